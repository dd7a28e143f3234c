#include "verify/dmarc.h"

#include "base/text.h"
#include "dns/dns.h"
#include "verify/dkim.h"

/* The way up from a name (RFC 9989, 4.10): the name itself, then one label less each; of a name with more than 8 labels the second
 * step is at its last 7. A record with psd=y or psd=n ends the way. */
struct step {
	struct bytes domain;
	struct bytes text; /* of the record; empty: there is none, or more than one */
	struct dmarc_record record;
};

struct way {
	struct step steps[DMARC_WALK];
	size_t count; /* steps that were made */
	bool failed;  /* the DNS did not answer at one of them */
	struct bytes failed_name;
};

struct check {
	const struct dmarc_input *in;
	struct facts *facts;
	struct arena *arena;
};

/* ---- names ---- */

static size_t count_labels(struct bytes domain)
{
	size_t n = domain.len > 0;

	for (size_t i = 0; i < domain.len; i++)
		n += domain.ptr[i] == '.';
	return n;
}

static struct bytes parent(struct bytes domain)
{
	size_t dot = bytes_find_char(domain, '.');

	return dot == BYTES_NONE ? (struct bytes){0} : bytes_skip(domain, dot + 1);
}

static struct bytes last_labels(struct bytes domain, size_t n)
{
	while (count_labels(domain) > n)
		domain = parent(domain);
	return domain;
}

static bool is_below(struct bytes domain, struct bytes top)
{
	return domain.len > top.len && domain.ptr[domain.len - top.len - 1] == '.' &&
	       bytes_equal_nocase(bytes_skip(domain, domain.len - top.len), top);
}

/* A domain as names are here: lower case, no dot at its end; empty: it is none. */
static struct bytes plain(struct bytes domain, struct arena *arena)
{
	struct dns_name name;
	struct bytes copy;

	if (bytes_ends(domain, BYTES(".")))
		domain.len--;
	if (dns_name_parse(domain, &name) != OK)
		return (struct bytes){0};
	copy = arena_copy(arena, domain);
	text_lower((char *)(uintptr_t)copy.ptr, copy.len);
	return copy;
}

/* ---- the way up ---- */

/* The one DMARC record among these; several are as none (4.10, step 2). */
static void read_records(const struct fact *f, struct arena *arena, struct step *s)
{
	unsigned found = 0;

	for (size_t i = 0; i < f->count; i++) {
		struct dns_rdata r;
		struct dmarc_record record;
		enum result parsed;

		if (dns_rdata_parse(DNS_TXT, f->records[i], arena, &r) != OK)
			continue;
		parsed = dmarc_record_parse(r.text, &record);
		if (parsed == NOT_FOUND)
			continue;
		found++;
		if (parsed != OK)
			continue;
		s->text = r.text;
		s->record = record;
	}
	if (found > 1)
		s->text = (struct bytes){0};
}

/* All names of the way are named at once. False: facts are missing that decide. */
static bool walk(struct check *c, struct bytes domain, struct way *ret)
{
	const struct fact *facts[DMARC_WALK];
	struct way w = {0};
	size_t names = 0;

	for (; domain.len > 0 && names < DMARC_WALK; names++) {
		struct bytes name = arena_printf(c->arena, "_dmarc.%.*s", BYTES_ARG(domain));

		w.steps[names].domain = domain;
		facts[names] = facts_need(c->facts, name, DNS_TXT);
		domain = count_labels(domain) > DMARC_WALK ? last_labels(domain, DMARC_WALK - 1)
		                                           : parent(domain);
	}
	while (w.count < names) {
		struct step *s = &w.steps[w.count];
		const struct fact *f = facts[w.count++];

		if (!f)
			return false;
		if (f->status >= FACT_FAILED && !w.failed) {
			w.failed = true;
			w.failed_name = f->name;
		}
		read_records(f, c->arena, s);
		if (s->text.len > 0 && s->record.psd != 'u')
			break;
	}
	*ret = w;
	return true;
}

/* RFC 9989, 4.10.2. */
static struct bytes organisation(const struct way *w)
{
	struct bytes best = w->steps[0].domain;

	for (size_t i = 0; i < w->count; i++) {
		const struct step *s = &w->steps[i];

		if (s->text.len == 0)
			continue;
		if (s->record.psd == 'y' && i > 0)
			return last_labels(w->steps[0].domain, count_labels(s->domain) + 1);
		best = s->domain;
	}
	return best;
}

/* RFC 9989, 4.10.1: From's own record, its organisation's, or the one of the registry above it. NULL: none. */
static const struct step *policy_step(const struct way *w, struct bytes organisation)
{
	const struct step *last = &w->steps[w->count - 1];

	if (w->steps[0].text.len > 0)
		return &w->steps[0];
	for (size_t i = 1; i < w->count; i++)
		if (w->steps[i].text.len > 0 && bytes_equal(w->steps[i].domain, organisation))
			return &w->steps[i];
	return last->text.len > 0 && last->record.psd == 'y' ? last : NULL;
}

/* ---- alignment (RFC 9989, 4.4) ---- */

enum aligned { ALIGNED_NO, ALIGNED_YES, ALIGNED_MISSING, ALIGNED_FAILED };

struct from {
	struct bytes domain, organisation;
};

static enum aligned is_aligned(struct check *c, const struct from *from, struct bytes domain,
                               bool strict)
{
	struct way w;

	domain = plain(domain, c->arena);
	if (domain.len == 0)
		return ALIGNED_NO;
	if (bytes_equal(domain, from->domain))
		return ALIGNED_YES;
	/* Its organisation is a name above it: nobody else can be of From's. */
	if (strict ||
	    (!bytes_equal(domain, from->organisation) && !is_below(domain, from->organisation)))
		return ALIGNED_NO;
	if (!walk(c, domain, &w))
		return ALIGNED_MISSING;
	if (w.failed)
		return ALIGNED_FAILED;
	return bytes_equal(organisation(&w), from->organisation) ? ALIGNED_YES : ALIGNED_NO;
}

struct alignment {
	bool spf, dkim, missing, failed;
};

static bool note(struct alignment *a, enum aligned one)
{
	a->missing |= one == ALIGNED_MISSING;
	a->failed |= one == ALIGNED_FAILED;
	return one == ALIGNED_YES;
}

/* Its proof could not be had just now: it might have aligned (RFC 7489, 6.6.2: a temperror is no fail). */
static void doubt(struct alignment *a, enum aligned one)
{
	a->missing |= one == ALIGNED_MISSING;
	a->failed |= one == ALIGNED_YES || one == ALIGNED_FAILED;
}

static struct alignment align(struct check *c, const struct from *from,
                              const struct dmarc_record *record)
{
	const struct dmarc_input *in = c->in;
	struct alignment a = {0};

	if (in->spf == SPF_PASS)
		a.spf = note(&a, is_aligned(c, from, in->spf_domain, record->strict_spf));
	else if (in->spf == SPF_TEMPERROR)
		doubt(&a, is_aligned(c, from, in->spf_domain, record->strict_spf));
	for (size_t i = 0; i < in->dkim_count; i++) {
		const struct dkim_verdict *d = &in->dkim[i];

		if (d->result == DKIM_PASS)
			a.dkim |= note(&a, is_aligned(c, from, d->domain, record->strict_dkim));
		else if (d->result == DKIM_TEMPERROR)
			doubt(&a, is_aligned(c, from, d->domain, record->strict_dkim));
	}
	return a;
}

/* ---- the whole ---- */

static enum dmarc_policy softer(enum dmarc_policy p)
{
	return p == DMARC_POLICY_REJECT ? DMARC_POLICY_QUARANTINE : DMARC_POLICY_NONE;
}

/* False: whether From's domain exists at all is not known yet, and matters. */
static bool policy_of(struct check *c, struct bytes from, const struct step *s,
                      enum dmarc_policy *ret)
{
	const struct dmarc_record *r = &s->record;
	enum dmarc_policy p = r->p;

	if (!bytes_equal(s->domain, from)) {
		const struct fact *f = r->np != r->sp ? facts_need(c->facts, from, DNS_A) : NULL;

		if (r->np != r->sp && !f)
			return false;
		p = f && f->status == FACT_NO_NAME ? r->np : r->sp;
	}
	*ret = r->testing ? softer(p) : p;
	return true;
}

static void without_record(const struct way *w, struct dmarc_verdict *v)
{
	v->result = w->failed ? DMARC_TEMPERROR : DMARC_NONE;
	v->reason = w->failed ? w->failed_name : (struct bytes){0};
}

static bool judge(struct check *c, const struct from *from, const struct way *w,
                  const struct step *s, struct dmarc_verdict *v)
{
	struct alignment a = align(c, from, &s->record);

	v->policy_domain = s->domain;
	v->record = s->text;
	v->rua = s->record.rua;
	v->testing = s->record.testing;
	if (!policy_of(c, from->domain, s, &v->policy) || a.missing)
		return false;
	v->aligned_spf = a.spf;
	v->aligned_dkim = a.dkim;
	v->result = DMARC_PASS;
	if (a.spf || a.dkim)
		return true;
	/* What was not found out could have aligned it, or be a stricter or milder record. */
	v->result = a.failed || w->failed ? DMARC_TEMPERROR : DMARC_FAIL;
	v->reason = v->result == DMARC_TEMPERROR ? w->failed_name : (struct bytes){0};
	return true;
}

bool dmarc_check(const struct dmarc_input *in, struct facts *facts, struct arena *arena,
                 struct dmarc_verdict *ret)
{
	struct check c = {in, facts, arena};
	struct from from = {.domain = plain(in->from_domain, arena)};
	struct dmarc_verdict v = {.result = DMARC_PERMERROR};
	const struct step *s;
	struct way w;

	if (from.domain.len == 0) {
		v.reason = BYTES("From has no domain, or there are several");
		*ret = v;
		return true;
	}
	if (!walk(&c, from.domain, &w))
		return false;
	v.domain = from.organisation = organisation(&w);
	s = policy_step(&w, from.organisation);
	if (!s)
		without_record(&w, &v);
	else if (!judge(&c, &from, &w, s, &v))
		return false;
	if (v.result == DMARC_TEMPERROR)
		v.reason = arena_printf(arena, "the DNS does not answer: %.*s",
		                        BYTES_ARG(v.reason));
	*ret = v;
	return true;
}

struct bytes dmarc_proved(const struct dmarc_input *in, const struct dmarc_verdict *v)
{
	if (v->result == DMARC_PASS)
		return in->from_domain;
	for (size_t i = 0; i < in->dkim_count; i++)
		if (in->dkim[i].result == DKIM_PASS)
			return in->dkim[i].domain;
	return in->spf == SPF_PASS ? in->spf_domain : (struct bytes){0};
}
