#include "verify/spf.h"

#include "base/text.h"
#include "dns/dns.h"
#include "verify/spf_record.h"

/* RFC 7208, 4.6.4. */
enum { TERMS = 10, VOIDS = 2, NAMES = 10 };

struct walk {
	const struct spf_input *in;
	struct facts *facts;
	struct arena *arena;
	struct spf_macro_values values;
	unsigned terms, voids;
	bool missing;        /* the verdict has to wait */
	struct bytes reason; /* the first error's */
};

/* What evaluating a record came to. */
struct found {
	enum spf_result result;
	struct bytes mechanism;
	struct bytes exp, domain; /* whose explanation it would be */
};

static struct found check_host(struct walk *w, struct bytes domain);

const char *spf_result_name(enum spf_result r)
{
	static const char *const names[SPF_RESULTS] = {
	        [SPF_NONE] = "none",           [SPF_NEUTRAL] = "neutral",
	        [SPF_PASS] = "pass",           [SPF_FAIL] = "fail",
	        [SPF_SOFTFAIL] = "softfail",   [SPF_TEMPERROR] = "temperror",
	        [SPF_PERMERROR] = "permerror",
	};

	return r < SPF_RESULTS ? names[r] : "none";
}

static void say(struct walk *w, const char *what, struct bytes about)
{
	if (w->reason.len == 0)
		w->reason = arena_printf(w->arena, "%s: %.*s", what,
		                         BYTES_ARG(bytes_first(about, 200)));
}

/* ---- what a mechanism says: it matches, it does not, or the whole ends with an error ---- */

enum match { NO, YES, TEMPORARY, PERMANENT };

/* NULL: not known yet. */
static const struct fact *need(struct walk *w, struct bytes name, uint16_t type)
{
	const struct fact *f = facts_need(w->facts, name, type);

	w->missing |= !f;
	return f;
}

static bool failed(struct walk *w, const struct fact *f)
{
	if (f->status < FACT_FAILED)
		return false;
	say(w, "the DNS does not answer", f->name);
	return true;
}

/* An answer without records: only a few are put up with, as they may be an attack on others. False: too many. */
static bool count_void(struct walk *w, const struct fact *f)
{
	if (f->status != FACT_NO_DATA && f->status != FACT_NO_NAME)
		return true;
	if (++w->voids <= VOIDS)
		return true;
	say(w, "too many names that do not exist", f->name);
	return false;
}

static bool in_prefix(const struct spf_term *t, const struct ip *a, const struct ip *b)
{
	struct ip_prefix p = {*a, (uint8_t)(ip_is_v4(a) ? 96 + t->bits4 : t->bits6)};

	if (ip_is_v4(a) != ip_is_v4(b))
		return false;
	for (unsigned i = p.bits; i < 128; i++)
		p.ip.octets[i / 8] &= (uint8_t) ~(0x80 >> i % 8);
	return ip_prefix_contains(&p, b);
}

static uint16_t address_type(const struct walk *w)
{
	return ip_is_v4(&w->in->ip) ? DNS_A : DNS_AAAA;
}

static bool fact_has_ip(struct walk *w, const struct fact *f, const struct spf_term *t)
{
	for (size_t i = 0; i < f->count; i++) {
		struct dns_rdata r;

		if (dns_rdata_parse(f->type, f->records[i], w->arena, &r) == OK &&
		    in_prefix(t, &r.address, &w->in->ip))
			return true;
	}
	return false;
}

/* ---- the mechanisms ---- */

static enum match match_address(struct walk *w, const struct spf_term *t, struct bytes name)
{
	const struct fact *f = need(w, name, address_type(w));

	if (!f)
		return NO;
	if (failed(w, f))
		return TEMPORARY;
	if (!count_void(w, f))
		return PERMANENT;
	return fact_has_ip(w, f, t) ? YES : NO;
}

/* The hosts' addresses are asked for together; the first that matches decides. */
static enum match match_mx(struct walk *w, const struct spf_term *t, struct bytes name)
{
	const struct fact *f = need(w, name, DNS_MX);
	enum match m = NO;
	bool missing = false;

	if (!f)
		return NO;
	if (failed(w, f))
		return TEMPORARY;
	if (!count_void(w, f))
		return PERMANENT;
	if (f->count > NAMES) {
		say(w, "more than 10 mail hosts", name);
		return PERMANENT;
	}
	for (size_t i = 0; i < f->count; i++) {
		struct dns_rdata r;

		if (dns_rdata_parse(DNS_MX, f->records[i], w->arena, &r) != OK ||
		    r.mx.host.len <= 1)
			continue;
		name = dns_name_text(&r.mx.host, w->arena);
		if (m != NO || missing)
			(void)facts_need(w->facts, name, address_type(w));
		else
			m = match_address(w, t, name);
		missing |= w->missing;
	}
	return m;
}

static bool ends_with_domain(struct bytes name, struct bytes domain)
{
	return bytes_equal_nocase(name, domain) ||
	       (name.len > domain.len && name.ptr[name.len - domain.len - 1] == '.' &&
	        bytes_equal_nocase(bytes_skip(name, name.len - domain.len), domain));
}

/* Does the name of the client's PTR lead back to it? */
static bool leads_back(struct walk *w, struct bytes name)
{
	static const struct spf_term whole = {.bits4 = 32, .bits6 = 128};
	const struct fact *f = need(w, name, address_type(w));

	return f && f->status == FACT_FOUND && fact_has_ip(w, f, &whole);
}

static const struct fact *client_names(struct walk *w)
{
	const struct fact *f = need(w, dns_reverse(&w->in->ip, (struct bytes){0}, w->arena),
	                            DNS_PTR);

	return f && f->status == FACT_FOUND ? f : NULL;
}

/* The client's names that lead back to it and end in the domain (5.5); of the first 10. empty: none. below: it must be at or below the
 * domain; else the best is taken, for the macro p (7.3). */
static struct bytes validated_name(struct walk *w, struct bytes domain, bool below)
{
	const struct fact *f = client_names(w);
	struct bytes exact = {0}, under = {0}, any = {0};

	for (size_t i = 0; f && i < f->count && i < NAMES; i++) {
		struct bytes name;
		struct dns_rdata r;

		if (dns_rdata_parse(DNS_PTR, f->records[i], w->arena, &r) != OK)
			continue;
		name = dns_name_text(&r.name, w->arena);
		if ((below && !ends_with_domain(name, domain)) || !leads_back(w, name))
			continue;
		if (bytes_equal_nocase(name, domain))
			exact = exact.len ? exact : name;
		else if (ends_with_domain(name, domain))
			under = under.len ? under : name;
		else
			any = any.len ? any : name;
	}
	return exact.len ? exact : under.len ? under : any;
}

static enum match match_include(struct walk *w, struct bytes name)
{
	struct found f = check_host(w, name);

	if (w->missing)
		return NO;
	switch (f.result) {
	case SPF_PASS: return YES;
	case SPF_TEMPERROR: return TEMPORARY;
	case SPF_NONE: say(w, "included, but there is no SPF record", name); return PERMANENT;
	case SPF_PERMERROR: return PERMANENT;
	default: return NO;
	}
}

static enum match match_exists(struct walk *w, struct bytes name)
{
	const struct fact *f = need(w, name, DNS_A);

	if (!f)
		return NO;
	if (failed(w, f))
		return TEMPORARY;
	if (!count_void(w, f))
		return PERMANENT;
	return f->status == FACT_FOUND ? YES : NO;
}

/* The name that a domain-spec means; the macro p may have to wait for facts. INVALID: it means no name. */
static enum result name_of(struct walk *w, struct bytes spec, struct bytes domain,
                           struct bytes *ret)
{
	if (spec.len == 0) {
		*ret = domain;
		return OK;
	}
	w->values.domain = domain;
	if (spf_macro_has_p(spec))
		w->values.validated = validated_name(w, domain, false);
	return w->missing ? UNAVAILABLE : spf_macro_name(&w->values, spec, w->arena, ret);
}

static bool count_term(struct walk *w, struct bytes term)
{
	if (++w->terms <= TERMS)
		return true;
	say(w, "more than 10 terms that need the DNS", term);
	return false;
}

static enum match match(struct walk *w, const struct spf_term *t, struct bytes domain)
{
	struct bytes name = {0};
	enum result r;

	if (t->mechanism == SPF_ALL)
		return YES;
	if (t->mechanism == SPF_IP4 || t->mechanism == SPF_IP6)
		return in_prefix(t, &t->ip, &w->in->ip) ? YES : NO;
	if (!count_term(w, t->text))
		return PERMANENT;
	r = name_of(w, t->spec, domain, &name);
	/* RFC 7208, 4.8 leaves open what a spec means that expands to no name; most take it as one that nobody has. An include
	 * of nothing is an include without a record. */
	if (r == UNAVAILABLE || (r != OK && t->mechanism != SPF_INCLUDE))
		return NO;
	switch (t->mechanism) {
	case SPF_INCLUDE: return match_include(w, name);
	case SPF_A: return match_address(w, t, name);
	case SPF_MX: return match_mx(w, t, name);
	case SPF_PTR: return validated_name(w, name, true).len ? YES : NO;
	default: return match_exists(w, name);
	}
}

/* ---- a record ---- */

static enum spf_result of_qualifier(char qualifier)
{
	return qualifier == '-'   ? SPF_FAIL
	       : qualifier == '~' ? SPF_SOFTFAIL
	       : qualifier == '?' ? SPF_NEUTRAL
	                          : SPF_PASS;
}

/* Names what the terms behind a missing one will need, so that all is asked together. */
static void name_rest(struct walk *w, const struct spf_record *r, size_t from, struct bytes domain)
{
	unsigned left = w->terms < TERMS ? TERMS - w->terms : 0;

	for (size_t i = from; i < r->count && left > 0; i++) {
		const struct spf_term *t = &r->terms[i];
		struct bytes name = domain;
		uint16_t type = t->mechanism == SPF_INCLUDE  ? DNS_TXT
		                : t->mechanism == SPF_MX     ? DNS_MX
		                : t->mechanism == SPF_A      ? address_type(w)
		                : t->mechanism == SPF_EXISTS ? DNS_A
		                                             : 0;

		if (t->mechanism == SPF_ALL)
			break;
		if (type == 0 || spf_macro_has_p(t->spec))
			continue;
		w->values.domain = domain;
		if (t->spec.len == 0 || spf_macro_name(&w->values, t->spec, w->arena, &name) == OK)
			(void)facts_need(w->facts, name, type);
		left--;
	}
}

static struct found follow_redirect(struct walk *w, const struct spf_record *r, struct bytes domain)
{
	struct found f = {.result = SPF_NEUTRAL};
	struct bytes name = {0};
	enum result named;

	if (r->redirect.len == 0)
		return f;
	f.result = SPF_PERMERROR;
	if (!count_term(w, r->redirect))
		return f;
	named = name_of(w, r->redirect, domain, &name);
	if (named == UNAVAILABLE)
		return f;
	f = check_host(w, name);
	if (f.result == SPF_NONE) {
		say(w, "redirected to, but there is no SPF record", r->redirect);
		f.result = SPF_PERMERROR; /* 6.1 */
	}
	return f;
}

static struct found walk_record(struct walk *w, struct bytes domain, struct bytes text)
{
	struct found f = {.result = SPF_PERMERROR, .domain = domain};
	struct spf_record r;
	struct bytes bad;

	if (spf_record_parse(text, w->arena, &r, &bad) != OK) {
		say(w, "not understood", bad);
		return f;
	}
	for (size_t i = 0; i < r.count; i++) {
		enum match m = match(w, &r.terms[i], domain);

		f.mechanism = r.terms[i].text;
		f.result = SPF_TEMPERROR;
		if (w->missing) {
			name_rest(w, &r, i + 1, domain);
			return f;
		}
		if (m == TEMPORARY)
			return f;
		f.result = m == PERMANENT ? SPF_PERMERROR : of_qualifier(r.terms[i].qualifier);
		f.exp = r.exp;
		if (m != NO)
			return f;
	}
	return follow_redirect(w, &r, domain);
}

/* ---- a domain ---- */

/* The domain's one record. Not OK: it stands in *ret_result. */
static bool find_record(struct walk *w, const struct fact *f, struct bytes *ret,
                        enum spf_result *ret_result)
{
	unsigned found = 0;

	for (size_t i = 0; i < f->count; i++) {
		struct dns_rdata r;

		if (dns_rdata_parse(DNS_TXT, f->records[i], w->arena, &r) != OK ||
		    !spf_record_is(r.text))
			continue;
		*ret = r.text;
		found++;
	}
	*ret_result = found > 1 ? SPF_PERMERROR : SPF_NONE;
	if (found > 1)
		say(w, "more than one SPF record", f->name);
	return found == 1;
}

/* check_host() of RFC 7208, 4: domain is a name as facts have it, or empty. */
static struct found check_host(struct walk *w, struct bytes domain)
{
	struct found f = {.result = SPF_NONE};
	const struct fact *fact;
	struct bytes text;

	if (domain.len == 0)
		return f;
	fact = need(w, domain, DNS_TXT);
	if (!fact)
		return f;
	if (failed(w, fact)) {
		f.result = SPF_TEMPERROR;
		return f;
	}
	if (!find_record(w, fact, &text, &f.result))
		return f;
	return walk_record(w, domain, text);
}

/* ---- what the domain says of a failure (6.2) ---- */

static bool is_printable(struct bytes b)
{
	for (size_t i = 0; i < b.len; i++)
		if (b.ptr[i] < ' ' || b.ptr[i] >= 0x7f)
			return false;
	return true;
}

/* Nothing where anything about it is wrong. */
static struct bytes explain(struct walk *w, const struct found *f)
{
	struct bytes name, text = {0};
	const struct fact *fact;
	struct dns_rdata r;

	if (f->result != SPF_FAIL || f->exp.len == 0 || name_of(w, f->exp, f->domain, &name) != OK)
		return text;
	fact = need(w, name, DNS_TXT);
	if (!fact || fact->status != FACT_FOUND || fact->count != 1 ||
	    dns_rdata_parse(DNS_TXT, fact->records[0], w->arena, &r) != OK)
		return text;
	w->values.domain = f->domain;
	if (spf_macro_has_p(r.text))
		w->values.validated = validated_name(w, f->domain, false);
	if (w->missing || !is_printable(r.text) ||
	    spf_macro_expand(&w->values, r.text, true, w->arena, &text) != OK ||
	    !is_printable(text))
		return (struct bytes){0};
	return text;
}

/* ---- the whole ---- */

/* May it be asked for at all (4.3)? Empty: no. */
static struct bytes checkable(struct bytes domain, struct arena *arena)
{
	struct dns_name name;
	struct bytes plain = domain;

	if (bytes_ends(plain, BYTES(".")))
		plain.len--;
	if (plain.len > 253 || !text_is_ascii(plain) ||
	    bytes_find_char(plain, '\\') != BYTES_NONE || dns_name_parse(plain, &name) != OK ||
	    dns_name_labels(&name) < 2)
		return (struct bytes){0};
	return arena_copy(arena, plain);
}

static struct bytes domain_of(struct bytes sender)
{
	size_t at = bytes_find_last(sender, '@');

	return at == BYTES_NONE ? (struct bytes){0} : bytes_skip(sender, at + 1);
}

/* 2.4, 4.3: without a local part it is postmaster's. */
static struct bytes whole_sender(const struct spf_input *in, struct arena *arena)
{
	struct bytes domain = domain_of(in->sender);

	if (in->sender.len == 0)
		return arena_printf(arena, "postmaster@%.*s", BYTES_ARG(in->helo));
	if (domain.len + 1 < in->sender.len)
		return in->sender;
	return arena_printf(arena, "postmaster@%.*s", BYTES_ARG(domain));
}

bool spf_check(const struct spf_input *in, struct facts *facts, struct arena *arena,
               struct spf_verdict *ret)
{
	struct walk w = {.in = in, .facts = facts, .arena = arena};
	struct bytes domain = in->sender.len ? domain_of(in->sender) : in->helo;
	struct bytes explanation;
	struct found f;

	w.values = (struct spf_macro_values){.ip = in->ip,
	                                     .sender = whole_sender(in, arena),
	                                     .helo = in->helo,
	                                     .hostname = in->hostname,
	                                     .now = in->now};
	f = check_host(&w, checkable(domain, arena));
	if (w.missing)
		return false;
	explanation = explain(&w, &f);
	if (w.missing)
		return false;
	*ret = (struct spf_verdict){.result = f.result,
	                            .domain = domain,
	                            .by_helo = in->sender.len == 0,
	                            .mechanism = f.mechanism,
	                            .explanation = explanation,
	                            .reason = w.reason};
	if (f.result == SPF_NONE)
		ret->reason = BYTES("the domain has no SPF record");
	return true;
}
