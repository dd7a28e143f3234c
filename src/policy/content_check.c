/* Evidence from what was read: one small function a check. Points are hundredths. */
#include <stdio.h>

#include "base/text.h"
#include "base/wire.h"
#include "mail/charset.h"
#include "mail/words.h"
#include "policy/bayes.h"
#include "policy/content_inside.h"
#include "policy/lookalike.h"
#include "policy/scam.h"

enum { SCAM_TEXT = 16 * 1024 /* such letters are short */ };

struct check {
	const struct content *c;
	const struct content_seen *seen;
	const struct content_setting *setting;
	const struct answer_history *history; /* NULL: not known */
	struct arena *arena;
	struct evidence *list;
	size_t count, max;
};

static void add(struct check *k, struct bytes check, int points, enum judge_action wants,
                struct bytes text)
{
	if (k->count < k->max)
		k->list[k->count++] = (struct evidence){.check = check,
		                                        .says = points > 0 || wants ? EVIDENCE_BAD
		                                                : points < 0        ? EVIDENCE_GOOD
		                                                             : EVIDENCE_NEUTRAL,
		                                        .points = points,
		                                        .wants = wants,
		                                        .text = bytes_first(text, EVIDENCE_TEXT)};
}

static void doubt(struct check *k, struct bytes check, enum judge_action wants, struct bytes text)
{
	if (k->count < k->max)
		k->list[k->count++] = (struct evidence){
		        .check = check, .says = EVIDENCE_DOUBT, .wants = wants, .text = text};
}

static bool knows(const struct check *k, unsigned bits)
{
	return k->history && (k->history->known & bits) != 0;
}

static struct bytes domain_of(struct bytes address)
{
	size_t at = bytes_find_last(address, '@');

	return at == BYTES_NONE ? (struct bytes){0} : bytes_skip(address, at + 1);
}

static bool is_ours(const struct check *k, struct bytes domain)
{
	return domain.len && config_domain_is_ours(k->setting->config, domain);
}

/* That it is from whom it says stands on more than its word. */
static bool is_proved(const struct check *k)
{
	return k->setting->proved.len > 0;
}

/* ---- what it says ---- */

static void check_gtube(struct check *k)
{
	if (k->seen->gtube)
		add(k, BYTES("content"), 10000, JUDGE_REFUSE,
		    BYTES("GTUBE, the string that tests filters"));
}

/* Mail to customers shows one name and counts clicks at another: little weight, but where the name is ours. */
static void check_links(struct check *k)
{
	const struct content_link *worst = NULL;
	bool ours = false;

	for (size_t i = 0; i < k->c->misleading_count && !ours; i++) {
		const struct content_link *l = &k->c->misleading[i];

		if (lookalike_same_owner(l->shown, l->host) || is_ours(k, l->host))
			continue;
		ours = is_ours(k, l->shown) || is_ours(k, lookalike_base(l->shown));
		worst = !worst || ours ? l : worst;
	}
	if (worst)
		add(k, BYTES("content"), ours ? 400 : 100, JUDGE_ACCEPT,
		    arena_printf(k->arena, "a link shows %.*s and leads to %.*s",
		                 BYTES_ARG(worst->shown), BYTES_ARG(worst->host)));
	if (k->c->user_in_link)
		add(k, BYTES("content"), 150, JUDGE_ACCEPT,
		    BYTES("a link hides its host behind an @"));
}

/* The domain of an address that stands in a display name; empty: none. */
static struct bytes address_in(struct check *k, struct bytes name)
{
	size_t at = bytes_find_char(name, '@'), len = 0;
	struct bytes rest = bytes_skip(name, at == BYTES_NONE ? name.len : at + 1), domain;

	while (len < rest.len &&
	       (text_is_alnum(rest.ptr[len]) || rest.ptr[len] == '.' || rest.ptr[len] == '-'))
		len++;
	while (len && (rest.ptr[len - 1] == '.' || rest.ptr[len - 1] == '-'))
		len--;
	rest = bytes_first(rest, len);
	if (at == BYTES_NONE || at == 0 || bytes_find_char(rest, '.') == BYTES_NONE ||
	    config_domain_canonical(rest, k->arena, &domain) != OK)
		return (struct bytes){0};
	return domain;
}

static void check_name(struct check *k)
{
	struct bytes domain = address_in(k, k->seen->from_name);
	bool ours = is_ours(k, domain);

	if (k->seen->from_domain.len == 0 || domain.len == 0 ||
	    lookalike_same_owner(domain, k->seen->from_domain))
		return;
	add(k, BYTES("name"), ours ? 450 : 250, JUDGE_ACCEPT,
	    arena_printf(k->arena, "the name shows an address at %.*s, From is at %.*s",
	                 BYTES_ARG(domain), BYTES_ARG(k->seen->from_domain)));
}

static void check_lookalike(struct check *k)
{
	static const int points[] = {
	        [LOOKALIKE_NEAR] = 300, [LOOKALIKE_INSIDE] = 350, [LOOKALIKE_SAME] = 600};
	const struct config_words *domains = &k->setting->config->domains;
	struct bytes from = k->seen->from_domain, like = {0};
	enum lookalike worst = LOOKALIKE_NONE;

	if (is_ours(k, from) || knows(k, HISTORY_WRITTEN_TO_BY_ANY) ||
	    (knows(k, HISTORY_GOOD_DOMAIN) && is_proved(k)))
		return;
	for (size_t i = 0; i < domains->count && i < 100; i++) {
		enum lookalike how = lookalike_of(from, domains->items[i], k->arena);

		if (how > worst) {
			worst = how;
			like = domains->items[i];
		}
	}
	if (worst)
		add(k, BYTES("lookalike"), points[worst], JUDGE_ACCEPT,
		    arena_printf(k->arena, "%.*s looks like %.*s", BYTES_ARG(from),
		                 BYTES_ARG(like)));
}

static void check_from(struct check *k)
{
	if (k->seen->from_count == 0)
		add(k, BYTES("content"), 200, JUDGE_ACCEPT, BYTES("no From"));
	else if (k->seen->from_count > 1)
		/* RFC 7489, 6.6.1: no policy could be asked for, so that would be the way around all of them. */
		add(k, BYTES("content"), 300, JUDGE_JUNK,
		    BYTES("From names several senders, so none is proved"));
	else if (k->seen->from_count == 1 && k->seen->from.len == 0)
		add(k, BYTES("content"), 150, JUDGE_ACCEPT, BYTES("From holds no address"));
}

/* ---- our own domains from outside ---- */

static void check_own(struct check *k)
{
	enum config_own_domain option = (enum config_own_domain)
	                                        k->setting->config->judge_own_domain;
	struct bytes from = k->seen->from;
	enum judge_action wants = option == CONFIG_OWN_DOMAIN_REFUSE ? JUDGE_REFUSE
	                          : option == CONFIG_OWN_DOMAIN_JUNK ? JUDGE_JUNK
	                                                             : JUDGE_ACCEPT;

	if (option == CONFIG_OWN_DOMAIN_OFF || !is_ours(k, k->seen->from_domain) || is_proved(k))
		return;
	if (!k->history) { /* who logs in from there is not known just now */
		doubt(k, BYTES("own-address"), wants == JUDGE_REFUSE ? JUDGE_DEFER : JUDGE_ACCEPT,
		      BYTES("our own address, and what we know of it could not be had"));
		return;
	}
	if (knows(k, HISTORY_OWN_LOGIN_NETWORK)) {
		add(k, BYTES("own-address"), 0, JUDGE_ACCEPT,
		    arena_printf(
		            k->arena,
		            "%.*s logs in from where this came from: a mail program that sends "
		            "through another server?",
		            BYTES_ARG(from)));
		return;
	}
	/* A list that breaks signatures sends our people's own mail back to us. */
	if (knows(k, HISTORY_GOOD_NETWORK | HISTORY_SEEN_SAME_WAY)) {
		add(k, BYTES("own-address"), 50, JUDGE_ACCEPT,
		    BYTES("our own domain, from a network that we know"));
		return;
	}
	add(k, BYTES("own-address"), 400, wants,
	    arena_printf(k->arena, "%.*s is ours, and nothing proves that it sent this",
	                 BYTES_ARG(from)));
}

/* ---- what we know of the sender ---- */

struct reputation {
	uint32_t good, bad;
	bool found;
};

static struct reputation reputation_of(const struct check *k, unsigned about)
{
	struct wire w = wire_of(k->history->reputations);
	struct reputation ret = {0};

	while (!wire_end(&w)) {
		unsigned what = wire_u8(&w);
		uint32_t good = wire_u32(&w), bad = wire_u32(&w);

		wire_u64(&w);
		wire_u64(&w);
		if (!w.bad && what == about)
			ret = (struct reputation){good, bad, true};
	}
	return ret;
}

/* People called its mail junk more often than not. Two such moves may be one person's mistake. */
static int bad_points(struct reputation r)
{
	if (r.bad < 2 || r.bad <= r.good)
		return 0;
	return r.bad >= 10 && r.bad > 4 * r.good ? 450 : r.bad >= 4 ? 300 : 150;
}

static void check_reputation(struct check *k)
{
	static const char *const names[] = {"address", "domain", "network"};
	int worst = 0;
	unsigned what = 0;
	struct reputation r = {0};

	for (unsigned i = HISTORY_ADDRESS; i <= HISTORY_NETWORK; i++) {
		struct reputation one = reputation_of(k, i);
		int points = bad_points(one);

		if (points > worst) {
			worst = points;
			what = i;
			r = one;
		}
	}
	if (worst)
		add(k, BYTES("reputation"), worst, JUDGE_ACCEPT,
		    arena_printf(k->arena, "%u mails of this %s were called junk, %u were not",
		                 r.bad, names[what], r.good));
}

/* Only what stands on proof is GOOD: a name in From alone is anybody's. */
static void check_history(struct check *k)
{
	bool stands = is_proved(k) || knows(k, HISTORY_SEEN_SAME_WAY);
	int points = 0;
	const char *text = NULL;

	if (knows(k, HISTORY_WRITTEN_TO_BY_RCPT) && stands) {
		points = -600;
		text = "the recipient wrote to this sender before";
	} else if (knows(k, HISTORY_WRITTEN_TO_BY_ANY) && stands) {
		points = -400;
		text = "one of our people wrote to this sender before";
	} else if (knows(k, HISTORY_REPLY_TO_OURS) && stands) {
		points = -400;
		text = "it answers a mail that one of our people sent";
	} else if (knows(k, HISTORY_GOOD_DOMAIN) && is_proved(k)) {
		points = -250;
		text = "this domain's mail has long been no junk";
	}
	/* Message-IDs of mail to lists are in their archives for all to read: a little weight, and nobody is known by it. */
	if (knows(k, HISTORY_REPLY_TO_OURS) && !stands)
		add(k, BYTES("reply"), -200, JUDGE_ACCEPT,
		    BYTES("it answers a mail that one of our people sent, or knows its "
		          "Message-ID"));
	if (points)
		add(k, BYTES("history"), points, JUDGE_ACCEPT, bytes_of_text(text));
	else if (knows(k, HISTORY_WRITTEN_TO_BY_RCPT | HISTORY_WRITTEN_TO_BY_ANY))
		add(k, BYTES("history"), 0, JUDGE_ACCEPT,
		    BYTES("our people wrote to this address, but nothing proves that this is from "
		          "it"));
	else if (!knows(k, HISTORY_SEEN_ADDRESS | HISTORY_SEEN_DOMAIN))
		add(k, BYTES("history"), 0, JUDGE_ACCEPT, BYTES("first contact"));
}

static void check_bayes(struct check *k)
{
	struct bayes b = bayes_of(k->history->tokens, k->history->bad_total,
	                          k->history->good_total);
	struct evidence e;

	if (!b.trained)
		return;
	bayes_evidence(&b, k->arena, &e);
	add(k, e.check, e.points, e.wants, e.text);
}

/* ---- conversation scam ---- */

/* Does this recipient stand for several people? By an alias, a dot file, or its name. It was accepted: what no alias leads
 * elsewhere is an account. */
static bool is_group(const struct check *k, struct bytes rcpt)
{
	struct config_route r;

	if (scam_is_role(bytes_first(rcpt, bytes_find_last(rcpt, '@'))))
		return true;
	config_route_begin(&r, k->setting->config, rcpt);
	while (r.state == CONFIG_ROUTE_ASK)
		config_route_next(&r, bytes_equal_nocase(r.address, rcpt));
	return r.state == CONFIG_ROUTE_ALIAS || r.state == CONFIG_ROUTE_DOT;
}

static struct bytes folded(struct check *k, struct bytes value)
{
	struct buf text = {0}, out = {0};
	struct bytes ret;

	words_decode(value, &text);
	charset_fold(buf_bytes(&text), &out);
	ret = arena_copy(k->arena, buf_bytes(&out));
	buf_done(&text);
	buf_done(&out);
	return ret;
}

/* How To or Cc calls this recipient. */
static struct bytes shown_as(struct check *k, struct bytes rcpt)
{
	const struct address *lists[] = {k->c->to, k->c->cc};
	struct bytes local = bytes_first(rcpt, bytes_find_last(rcpt, '@')),
	             domain = domain_of(rcpt);

	for (size_t i = 0; i < 2; i++) {
		for (const struct address *a = lists[i]; a; a = a->next) {
			if (a->name.len && bytes_equal_nocase(a->local, local) &&
			    bytes_equal_nocase(a->domain, domain))
				return folded(k, a->name);
		}
	}
	return (struct bytes){0};
}

static bool is_free_mail(const struct check *k, struct bytes domain)
{
	const struct config_words *more = &k->setting->config->judge_free_mail;

	for (size_t i = 0; i < more->count; i++) {
		if (bytes_equal_nocase(more->items[i], domain))
			return true;
	}
	return scam_is_free_mail(domain);
}

static void read_recipients(struct check *k, struct scam_facts *f)
{
	struct wire w = wire_of(k->setting->rcpts);

	for (int i = 0; i < 20 && !wire_end(&w); i++) {
		struct bytes rcpt = wire_block(&w);

		if (w.bad)
			break;
		if (!is_group(k, rcpt))
			continue;
		f->group = true;
		f->group_named = f->group_named ||
		                 scam_names_group(k->c->folded_subject, rcpt, shown_as(k, rcpt));
	}
}

static void check_scam(struct check *k)
{
	const struct content_seen *s = k->seen;
	struct bytes text = bytes_first(buf_bytes(&k->c->folded), SCAM_TEXT);
	struct bytes subject = k->c->folded_subject;
	struct bytes reply = domain_of(s->reply_to);
	struct scam_facts f = {
	        .first_contact = !knows(k, HISTORY_SEEN_ADDRESS | HISTORY_WRITTEN_TO_BY_ANY |
	                                           HISTORY_WRITTEN_TO_BY_RCPT |
	                                           HISTORY_REPLY_TO_OURS),
	        .plain = s->links == 0 && s->attachments == 0,
	        .free_mail = is_free_mail(k, s->from_domain) || is_free_mail(k, reply),
	        .reply_elsewhere = reply.len && s->from_domain.len &&
	                           !lookalike_same_owner(reply, s->from_domain),
	};
	struct evidence e;

	if (!f.first_contact || !f.plain || is_ours(k, s->from_domain))
		return;
	f.claims_earlier = scam_claims_earlier(text) || scam_claims_earlier(subject);
	f.begs = scam_begs(text) || scam_begs(subject);
	f.bait = scam_baits(text);
	read_recipients(k, &f);
	if (scam_evidence(&f, k->arena, &e))
		add(k, e.check, e.points, e.wants, e.text);
}

size_t content_evidence(const struct content *c, const struct content_setting *setting,
                        const struct answer_history *history, struct arena *arena,
                        struct evidence *ret, size_t max)
{
	struct check k = {.c = c,
	                  .seen = &c->seen,
	                  .setting = setting,
	                  .history = history,
	                  .arena = arena,
	                  .list = ret,
	                  .max = max};

	check_gtube(&k);
	check_from(&k);
	check_links(&k);
	check_name(&k);
	check_lookalike(&k);
	check_own(&k);
	if (history) {
		check_history(&k);
		check_reputation(&k);
		check_bayes(&k);
		check_scam(&k);
	}
	return k.count;
}
