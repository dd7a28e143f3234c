#include "verify/publish_spf.h"

#include "base/text.h"
#include "dns/dns.h"

enum { DEPTH = 10, LOOKUPS_STOP = 30, MX_HOSTS = 10 };

enum verdict { NONE, PASS, OTHER };

struct walk {
	struct facts *facts;
	struct arena *arena;
	const struct ip *ip;
	struct publish_spf *out;
	unsigned depth;
};

static enum verdict walk_domain(struct walk *w, struct bytes domain);

/* ---- facts ---- */

static const struct fact *need(struct walk *w, struct bytes name, uint16_t type)
{
	const struct fact *f = facts_need(w->facts, name, type);

	w->out->missing |= !f;
	w->out->failed |= f && f->status >= FACT_FAILED;
	return f;
}

static bool is_spf(struct bytes text)
{
	return bytes_starts_nocase(text, BYTES("v=spf1")) && (text.len == 6 || text.ptr[6] == ' ');
}

/* The one record; how many there are. */
static unsigned find_record(struct walk *w, const struct fact *f, struct bytes *ret)
{
	unsigned found = 0;

	for (size_t i = 0; i < f->count; i++) {
		struct dns_rdata r;

		if (dns_rdata_parse(DNS_TXT, f->records[i], w->arena, &r) != OK || !is_spf(r.text))
			continue;
		*ret = r.text;
		found++;
	}
	return found;
}

static void broken(struct walk *w, struct bytes what)
{
	if (w->out->broken.len == 0)
		w->out->broken = arena_copy(w->arena, what);
}

/* ---- addresses ---- */

static bool in_prefix(const struct walk *w, const struct ip *ip, uint64_t bits4, uint64_t bits6)
{
	struct ip_prefix p = {*ip, (uint8_t)(ip_is_v4(ip) ? 96 + bits4 : bits6)};

	return ip_is_v4(ip) == ip_is_v4(w->ip) && ip_prefix_contains(&p, w->ip);
}

static bool has_address(struct walk *w, struct bytes host, uint64_t bits4, uint64_t bits6)
{
	uint16_t type = ip_is_v4(w->ip) ? DNS_A : DNS_AAAA;
	const struct fact *f = need(w, host, type);

	for (size_t i = 0; f && i < f->count; i++) {
		struct dns_rdata r;

		if (dns_rdata_parse(type, f->records[i], w->arena, &r) == OK &&
		    in_prefix(w, &r.address, bits4, bits6))
			return true;
	}
	return false;
}

static bool mx_has_address(struct walk *w, struct bytes domain, uint64_t bits4, uint64_t bits6)
{
	const struct fact *f = need(w, domain, DNS_MX);
	bool found = false;

	for (size_t i = 0; f && i < f->count && i < MX_HOSTS; i++) {
		struct dns_rdata r;
		struct bytes host;
		struct ip ip;

		if (dns_rdata_parse(DNS_MX, f->records[i], w->arena, &r) != OK ||
		    r.mx.host.len <= 1)
			continue;
		host = dns_name_text(&r.mx.host, w->arena);
		/* All of them, so that all that is missing is named at once. An address is no name. */
		if (ip_parse(host, &ip) != OK)
			found |= has_address(w, host, bits4, bits6);
	}
	return found;
}

/* ---- terms (RFC 7208, 4.6.1) ---- */

struct term {
	struct bytes whole, name, value; /* value: after : or =, without the prefix lengths */
	char qualifier;
	bool modifier;
	uint64_t bits4, bits6;
};

static bool take_bits(struct bytes text, uint64_t max, uint64_t *ret)
{
	return bytes_to_u64(text, max, ret) == OK;
}

/* "/24", "//64", "/24//64" behind a domain. */
static bool split_bits(struct term *t)
{
	size_t slash = bytes_find_char(t->value, '/'), both;
	struct bytes bits;

	if (slash == BYTES_NONE)
		return true;
	bits = bytes_skip(t->value, slash);
	t->value = bytes_first(t->value, slash);
	both = bytes_find(bits, BYTES("//"));
	if (both != BYTES_NONE && !take_bits(bytes_skip(bits, both + 2), 128, &t->bits6))
		return false;
	if (both != BYTES_NONE)
		bits = bytes_first(bits, both);
	return bits.len == 0 || take_bits(bytes_skip(bits, 1), 32, &t->bits4);
}

static struct term parse_term(struct bytes word)
{
	struct term t = {.whole = word, .qualifier = '+', .bits4 = 32, .bits6 = 128};
	size_t end = 0;

	if (word.len > 0 && bytes_find_char(BYTES("+-~?"), word.ptr[0]) != BYTES_NONE) {
		t.qualifier = word.ptr[0];
		word = bytes_skip(word, 1);
	}
	while (end < word.len && bytes_find_char(BYTES(":=/"), word.ptr[end]) == BYTES_NONE)
		end++;
	t.name = bytes_first(word, end);
	t.modifier = end < word.len && word.ptr[end] == '=';
	t.value = bytes_skip(word, end < word.len && word.ptr[end] == '/' ? end : end + 1);
	return t;
}

static bool match_ip(struct walk *w, const struct term *t, bool v4)
{
	size_t slash = bytes_find_char(t->value, '/');
	struct bytes address = bytes_first(t->value, slash == BYTES_NONE ? t->value.len : slash);
	uint64_t bits = v4 ? 32 : 128;
	struct ip ip;

	if (ip_parse(address, &ip) != OK || ip_is_v4(&ip) != v4 ||
	    (slash != BYTES_NONE && !take_bits(bytes_skip(t->value, slash + 1), bits, &bits))) {
		broken(w, t->whole);
		return false;
	}
	return in_prefix(w, &ip, bits, bits);
}

static bool has_macro(struct walk *w, struct bytes value)
{
	bool macro = bytes_find_char(value, '%') != BYTES_NONE;

	w->out->macros |= macro;
	return macro;
}

static bool match_host(struct walk *w, struct term *t, struct bytes domain, bool mx)
{
	struct bytes name;

	if (!split_bits(t)) {
		broken(w, t->whole);
		return false;
	}
	name = t->value.len ? t->value : domain;
	if (has_macro(w, name))
		return false;
	return (mx ? mx_has_address : has_address)(w, name, t->bits4, t->bits6);
}

static bool match_include(struct walk *w, const struct term *t)
{
	enum verdict v;

	if (t->value.len == 0) {
		broken(w, t->whole);
		return false;
	}
	if (has_macro(w, t->value))
		return false;
	v = walk_domain(w, t->value);
	if (v == NONE && !w->out->missing && !w->out->failed)
		broken(w, t->whole); /* RFC 7208, 5.2: none is a permanent error */
	return v == PASS;
}

static bool match_exists(struct walk *w, const struct term *t)
{
	const struct fact *f;

	if (t->value.len == 0) {
		broken(w, t->whole);
		return false;
	}
	f = has_macro(w, t->value) ? NULL : need(w, t->value, DNS_A);
	return f && f->status == FACT_FOUND;
}

static bool name_is(const struct term *t, struct bytes name)
{
	return bytes_equal_nocase(t->name, name);
}

/* Does this mechanism match? Each that costs a look-up is counted. */
static bool match(struct walk *w, struct term *t, struct bytes domain)
{
	if (name_is(t, BYTES("all")))
		return true;
	if (name_is(t, BYTES("ip4")) || name_is(t, BYTES("ip6")))
		return match_ip(w, t, name_is(t, BYTES("ip4")));
	w->out->lookups++;
	if (w->out->lookups > LOOKUPS_STOP)
		return false;
	if (name_is(t, BYTES("a")) || name_is(t, BYTES("mx")))
		return match_host(w, t, domain, name_is(t, BYTES("mx")));
	if (name_is(t, BYTES("include")))
		return match_include(w, t);
	if (name_is(t, BYTES("exists")))
		return match_exists(w, t);
	if (!name_is(t, BYTES("ptr"))) {
		w->out->lookups--;
		broken(w, t->whole);
	}
	return false;
}

/* ---- records ---- */

static enum verdict walk_record(struct walk *w, struct bytes domain, struct bytes text)
{
	struct bytes rest = bytes_skip(text, 6), word, redirect = {0};
	enum verdict v = OTHER;
	bool decided = false;

	while (bytes_cut(&rest, ' ', &word)) {
		struct term t = parse_term(word);

		if (word.len == 0)
			continue;
		if (t.modifier) {
			redirect = name_is(&t, BYTES("redirect")) ? t.value : redirect;
		} else if (match(w, &t, domain) && !decided) {
			decided = true;
			v = t.qualifier == '+' ? PASS : OTHER;
			if (w->depth == 1 && v == PASS && name_is(&t, BYTES("all")))
				w->out->everybody = true;
		}
	}
	if (decided || redirect.len == 0 || has_macro(w, redirect))
		return v;
	w->out->lookups++;
	return w->out->lookups > LOOKUPS_STOP ? v : walk_domain(w, redirect);
}

static enum verdict walk_domain(struct walk *w, struct bytes domain)
{
	const struct fact *f = need(w, domain, DNS_TXT);
	struct bytes text = {0};
	unsigned records;
	enum verdict v;

	if (!f || f->status >= FACT_FAILED || w->depth == DEPTH)
		return NONE;
	records = find_record(w, f, &text);
	if (w->depth == 0) {
		w->out->records = records;
		w->out->text = text;
	} else if (records > 1) {
		broken(w, domain);
	}
	if (records != 1)
		return NONE;
	w->depth++;
	v = walk_record(w, domain, text);
	w->depth--;
	return v;
}

void publish_spf(struct bytes domain, const struct ip *ip, struct facts *facts, struct arena *arena,
                 struct publish_spf *ret)
{
	struct walk w = {.facts = facts, .arena = arena, .ip = ip, .out = ret};

	*ret = (struct publish_spf){0};
	ret->covered = walk_domain(&w, domain) == PASS;
}
