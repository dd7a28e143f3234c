#include "policy/dnsbl.h"

#include <stdio.h>

#include "base/memory.h"
#include "dns/dns.h"
#include "policy/provider.h"

/* ---- lists ---- */

struct dnsbl_list *dnsbl_of_config(const struct config *c, size_t *ret_count)
{
	struct dnsbl_list *lists;

	*ret_count = c->list_count;
	if (c->list_count == 0)
		return NULL;
	lists = memory_get(c->list_count * sizeof(*lists));
	for (size_t i = 0; i < c->list_count; i++) {
		lists[i].config = &c->lists[i];
		snprintf(lists[i].check, sizeof(lists[i].check), "list.%.*s",
		         BYTES_ARG(c->lists[i].name));
	}
	return lists;
}

bool dnsbl_is_of_ip(const struct dnsbl_list *l)
{
	return l->config->kind != CONFIG_LIST_DOMAIN;
}

/* ---- one answer ---- */

/* What one name below the zone got. */
struct reply {
	enum dnsbl_result result;
	bool foreign; /* of ERROR: an answer, but none that a list gives */
	bool unknown; /* of ERROR: an answer as lists give it, but none of its codes */
	unsigned percent;
	struct bytes text; /* codes, or why */
};

static bool code_fits(const struct config_list_code *c, const uint8_t octets[4])
{
	for (size_t i = 0; i < 4; i++)
		if (octets[i] < c->from[i] || octets[i] > c->to[i])
			return false;
	return c->bits == 0 || (octets[3] & c->bits) != 0;
}

static const struct config_list_code *find_code(const struct config_list *l,
                                                const uint8_t octets[4], bool refused)
{
	const struct config_list_code *best = NULL;

	for (size_t i = 0; i < l->code_count; i++) {
		const struct config_list_code *c = &l->codes[i];

		if (c->refused == refused && code_fits(c, octets) &&
		    (!best || c->percent > best->percent))
			best = c;
	}
	return best;
}

/* Every list may speak so (spamhaus.org/news/article/788; others took it over). */
static bool is_refusal(const uint8_t octets[4])
{
	return octets[0] == 127 && octets[1] == 255 && octets[2] == 255;
}

static const char *refusal_word(const uint8_t octets[4])
{
	switch (octets[3]) {
	case 252: return "wrong name of the zone";
	case 254: return "asked through a public resolver";
	case 255: return "too many queries";
	default: return "it does not serve us";
	}
}

/* All of the octets count; a reply is as bad as its worst record: REFUSED before ERROR before LISTED. */
static void judge_octets(const struct config_list *l, const uint8_t o[4], struct reply *r,
                         struct buf *codes, struct arena *arena)
{
	const struct config_list_code *refused = find_code(l, o, true);
	const struct config_list_code *listed = find_code(l, o, false);

	if (is_refusal(o) || refused) {
		r->result = DNSBL_REFUSED;
		r->text = arena_printf(
		        arena, "the list refuses us: %u.%u.%u.%u (%.*s)", o[0], o[1], o[2], o[3],
		        refused && refused->meaning.len ? (int)refused->meaning.len
		                                        : (int)strlen(refusal_word(o)),
		        refused && refused->meaning.len ? refused->meaning.ptr : refusal_word(o));
	} else if (r->result == DNSBL_REFUSED) {
		return;
	} else if (listed) {
		if (r->result != DNSBL_ERROR)
			r->result = DNSBL_LISTED;
		if (listed->percent > r->percent)
			r->percent = listed->percent;
		buf_printf(codes, "%s%u.%u.%u.%u%s%.*s%s", buf_len(codes) ? " " : "", o[0], o[1],
		           o[2], o[3], listed->meaning.len ? " (" : "", BYTES_ARG(listed->meaning),
		           listed->meaning.len ? ")" : "");
	} else if (o[0] != 127) {
		r->result = DNSBL_ERROR;
		r->foreign = true;
		r->text = arena_printf(
		        arena,
		        "answered %u.%u.%u.%u, which no list may say: its domain may "
		        "be parked or expired",
		        o[0], o[1], o[2], o[3]);
	} else if (r->result == DNSBL_NOT_LISTED) {
		r->result = DNSBL_ERROR;
		r->unknown = true;
		r->text = arena_printf(arena, "answered %u.%u.%u.%u, which is none of its codes",
		                       o[0], o[1], o[2], o[3]);
	}
}

static void judge_records(const struct config_list *l, const struct fact *f, struct arena *arena,
                          struct reply *ret)
{
	struct reply r = {.result = DNSBL_NOT_LISTED};
	struct buf codes = {0};

	for (size_t i = 0; i < f->count; i++) {
		uint8_t octets[4];

		if (f->records[i].len != 4)
			continue;
		memcpy(octets, f->records[i].ptr, 4);
		if (i < DNSBL_CODES || is_refusal(octets))
			judge_octets(l, octets, &r, &codes, arena);
	}
	if (buf_len(&codes) > 0 && r.result == DNSBL_ERROR && !r.foreign)
		r.result = DNSBL_LISTED; /* a code that we do not know beside one that we do */
	if (r.result == DNSBL_LISTED)
		r.text = arena_copy(arena, buf_bytes(&codes));
	buf_done(&codes);
	*ret = r;
}

static struct bytes below(struct bytes name, const struct config_list *l, struct arena *arena)
{
	return arena_printf(arena, "%.*s.%.*s", BYTES_ARG(name), BYTES_ARG(l->zone));
}

/* False: it is not known yet. */
static bool look_up(const struct config_list *l, struct bytes name, struct facts *f,
                    struct arena *arena, struct reply *ret)
{
	const struct fact *x = facts_need(f, name, DNS_A);

	if (!x)
		return false;
	*ret = (struct reply){.result = DNSBL_NOT_LISTED};
	if (x->status >= FACT_FAILED)
		*ret = (struct reply){.result = DNSBL_ERROR,
		                      .text = x->reason.len ? arena_printf(arena, "no answer: %.*s",
		                                                           BYTES_ARG(x->reason))
		                                            : BYTES("no answer")};
	else if (x->status == FACT_FOUND)
		judge_records(l, x, arena, ret);
	return true;
}

/* ---- control: does it list everybody? ---- */

/* The must-not entry, of the family that was asked about (RFC 5782, 5). */
static struct bytes clean_name(const struct config_list *l, const struct ip *ip,
                               struct arena *arena)
{
	if (ip && !ip_is_v4(ip))
		return below(BYTES("1.0.0.0.0.0.f.7.f.f.f.f.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0."
		                   "0.0"),
		             l, arena);
	return below(l->clean, l, arena);
}

/* After a listing: true when the must-not entry is known; then r says whether the listing stands. */
static bool controlled(const struct config_list *l, const struct ip *ip, struct facts *f,
                       struct arena *arena, struct reply *r)
{
	struct reply control;

	if (r->result != DNSBL_LISTED)
		return true;
	if (!look_up(l, clean_name(l, ip, arena), f, arena, &control))
		return false;
	if (control.result == DNSBL_REFUSED)
		*r = control;
	else if (control.result != DNSBL_NOT_LISTED)
		*r = (struct reply){
		        .result = DNSBL_ERROR,
		        .text = control.result == DNSBL_LISTED
		                        ? BYTES(DNSBL_MAD)
		                        : arena_printf(arena,
		                                       "its listings cannot be believed: "
		                                       "the entry that must not be there %.*s",
		                                       BYTES_ARG(control.text))};
	return true;
}

static void conclude(const struct reply *r, struct bytes subject, struct dnsbl_verdict *ret)
{
	*ret = (struct dnsbl_verdict){.result = r->result, .asked = true};
	if (r->result == DNSBL_LISTED) {
		ret->percent = r->percent;
		ret->subject = subject;
		ret->codes = r->text;
	} else if (r->result != DNSBL_NOT_LISTED) {
		ret->text = r->text;
	}
}

/* ---- addresses ---- */

static struct bytes ip_text(const struct ip *ip, struct arena *arena)
{
	char text[IP_TEXT];

	ip_format(ip, text);
	return arena_copy(arena, bytes_of_text(text));
}

bool dnsbl_check_ip(const struct dnsbl_list *l, const struct ip *ip, struct facts *f,
                    struct arena *arena, struct dnsbl_verdict *ret)
{
	const struct config_list *c = l->config;
	struct reply r;

	if (ip_is_v4(ip) ? !c->ipv4 : !c->ipv6) {
		*ret = (struct dnsbl_verdict){.result = DNSBL_NOT_LISTED};
		return true;
	}
	if (!look_up(c, dns_reverse(ip, c->zone, arena), f, arena, &r) ||
	    !controlled(c, ip, f, arena, &r))
		return false;
	conclude(&r, ip_text(ip, arena), ret);
	return true;
}

/* ---- domains ---- */

static bool is_address(struct bytes domain)
{
	struct ip ip;

	return domain.len == 0 || domain.ptr[0] == '[' || ip_parse(domain, &ip) == OK;
}

/* What is asked about this domain; empty: nothing. A stranger's name that cannot be asked for must not look like a list that does
 * not answer; and some lists answer an address with a code of its own. */
static struct bytes asked_name(const struct config_list *l, struct bytes domain,
                               struct arena *arena)
{
	struct bytes name = l->base ? provider_domain(domain) : domain;
	struct dns_name parsed;

	if (is_address(domain) || name.len + 1 + l->zone.len > LIMIT_DOMAIN)
		return (struct bytes){0};
	name = below(name, l, arena);
	return dns_name_parse(name, &parsed) == OK ? name : (struct bytes){0};
}

/* In the order of what counts when several domains got different answers: listed, then that the list was in doubt. */
static unsigned weight(const struct reply *r)
{
	switch (r->result) {
	case DNSBL_LISTED: return 1000 + r->percent;
	case DNSBL_REFUSED: return 3;
	case DNSBL_ERROR: return 2;
	default: return 1;
	}
}

bool dnsbl_check_domains(const struct dnsbl_list *l, const struct bytes *domains, size_t count,
                         struct facts *f, struct arena *arena, struct dnsbl_verdict *ret)
{
	const struct config_list *c = l->config;
	struct dnsbl_verdict v = {.result = DNSBL_NOT_LISTED};
	unsigned worst = 0;
	bool all = true;

	for (size_t i = 0; i < count && i < DNSBL_DOMAINS; i++) {
		struct bytes name = asked_name(c, domains[i], arena);
		struct reply r;

		if (name.len == 0)
			continue;
		if (!look_up(c, name, f, arena, &r) || !controlled(c, NULL, f, arena, &r)) {
			all = false;
			continue;
		}
		if (weight(&r) <= worst)
			continue;
		worst = weight(&r);
		conclude(&r, domains[i], &v);
	}
	if (all)
		*ret = v;
	return all;
}

/* ---- evidence ---- */

static const enum judge_action wants[] = {
        [CONFIG_LIST_SCORE] = JUDGE_ACCEPT,
        [CONFIG_LIST_MARK] = JUDGE_ACCEPT,
        [CONFIG_LIST_JUNK] = JUDGE_JUNK,
        [CONFIG_LIST_REFUSE] = JUDGE_REFUSE,
};

static struct bytes evidence_text(const struct dnsbl_list *l, const struct dnsbl_verdict *v,
                                  struct arena *arena)
{
	const struct config_list *c = l->config;

	if (!v->asked)
		return BYTES("not asked");
	if (v->result == DNSBL_NOT_LISTED)
		return arena_printf(arena, "not in %.*s", BYTES_ARG(c->shown));
	if (v->result == DNSBL_LISTED)
		return arena_printf(arena, "%.*s in %.*s: %.*s", BYTES_ARG(v->subject),
		                    BYTES_ARG(c->shown), BYTES_ARG(v->codes));
	return arena_printf(arena, "%.*s: %.*s", BYTES_ARG(c->shown), BYTES_ARG(v->text));
}

void dnsbl_evidence(const struct dnsbl_list *l, const struct dnsbl_verdict *v, struct arena *arena,
                    struct evidence *ret)
{
	const struct config_list *c = l->config;
	int points = (int)(c->points * v->percent / 100);
	bool allow = c->kind == CONFIG_LIST_ALLOW;

	*ret = (struct evidence){.check = bytes_of_text(l->check),
	                         .text = evidence_text(l, v, arena)};
	if (v->result == DNSBL_REFUSED || v->result == DNSBL_ERROR)
		ret->says = EVIDENCE_DOUBT;
	if (v->result != DNSBL_LISTED)
		return;
	ret->says = allow ? EVIDENCE_GOOD : EVIDENCE_BAD;
	if (c->use != CONFIG_LIST_MARK)
		ret->points = allow ? -points : points;
	/* Half a listing (a good domain that is abused, a grey one) only weighs. */
	if (!allow && v->percent == 100)
		ret->wants = wants[c->use];
}

/* ---- health ---- */

const char *dnsbl_state_name(enum dnsbl_state s)
{
	static const char *const names[DNSBL_STATES] = {
	        [DNSBL_WELL] = "well",
	        [DNSBL_LISTS_NOTHING] = "lists nothing",
	        [DNSBL_LISTS_EVERYTHING] = "lists everything",
	        [DNSBL_REFUSES_US] = "refuses us",
	        [DNSBL_PARKED] = "parked",
	        [DNSBL_SILENT] = "silent",
	};

	return s < DNSBL_STATES ? names[s] : "unknown";
}

/* Test entries may have a code of their own. */
static bool is_there(const struct reply *r)
{
	return r->result == DNSBL_LISTED || (r->result == DNSBL_ERROR && r->unknown && !r->foreign);
}

static enum dnsbl_state state_of(const struct reply *must, const struct reply *must_not)
{
	const struct reply *both[] = {must, must_not};

	for (size_t i = 0; i < 2; i++)
		if (both[i]->result == DNSBL_REFUSED)
			return DNSBL_REFUSES_US;
	for (size_t i = 0; i < 2; i++)
		if (both[i]->result == DNSBL_ERROR && !is_there(both[i]))
			return both[i]->foreign ? DNSBL_PARKED : DNSBL_SILENT;
	if (is_there(must_not))
		return DNSBL_LISTS_EVERYTHING;
	return is_there(must) ? DNSBL_WELL : DNSBL_LISTS_NOTHING;
}

static struct bytes reply_text(const struct reply *r)
{
	return r->result == DNSBL_NOT_LISTED ? BYTES("not listed") : r->text;
}

bool dnsbl_self_test(const struct dnsbl_list *l, struct facts *f, struct arena *arena,
                     struct dnsbl_health *ret)
{
	const struct config_list *c = l->config;
	struct reply must = {0}, must_not = {0};
	bool known = look_up(c, below(c->listed, c, arena), f, arena, &must);

	known &= look_up(c, clean_name(c, NULL, arena), f, arena, &must_not);
	if (!known)
		return false;
	ret->state = state_of(&must, &must_not);
	ret->text = arena_printf(arena, "%.*s: %.*s; %.*s: %.*s", BYTES_ARG(c->listed),
	                         BYTES_ARG(reply_text(&must)), BYTES_ARG(c->clean),
	                         BYTES_ARG(reply_text(&must_not)));
	return true;
}
