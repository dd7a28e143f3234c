#include "base/text.h"
#include "verify/mtasts.h"
#include "verify/publish_spf.h"
#include "verify/publish_wants.h"

/* Each part names the facts that it needs at once, so that a whole check takes few rounds of asking. A part whose fact is not there
 * yet says nothing. */

enum { ADDRESSES = 16 };

struct check {
	const struct publish_question *q;
	struct facts *facts;
	struct arena *arena;
	struct publish_findings *out;
	bool missing;
	struct ip addresses[ADDRESSES]; /* ours, or what the host's name leads to */
	size_t address_count;
};

/* ---- small things ---- */

static void found(struct check *k, enum publish_problem p, struct bytes name, struct bytes have,
                  struct bytes want)
{
	for (size_t i = 0; i < k->out->count; i++)
		if (k->out->items[i].problem == p && bytes_equal(k->out->items[i].name, name) &&
		    bytes_equal(k->out->items[i].want, want))
			return;
	if (k->out->count < PUBLISH_FINDINGS)
		k->out->items[k->out->count++] = (struct publish_finding){p, name, have, want};
}

static const struct bytes nothing;

/* NULL: not known, or not to be known, which is said. */
static const struct fact *need(struct check *k, struct bytes name, uint16_t type)
{
	const struct fact *f = facts_need(k->facts, name, type);

	k->missing |= !f;
	if (!f || f->status < FACT_FAILED)
		return f;
	found(k, f->status == FACT_BOGUS ? PUBLISH_BOGUS : PUBLISH_LOOKUP_FAILED, f->name,
	      f->reason, nothing);
	return NULL;
}

static bool record(struct check *k, const struct fact *f, size_t nth, struct dns_rdata *ret)
{
	return dns_rdata_parse(f->type, f->records[nth], k->arena, ret) == OK;
}

/* Records as a zone file has them, with commas between. */
static struct bytes listed(struct check *k, const struct fact *f)
{
	struct buf out = {0};
	struct bytes copy;

	for (size_t i = 0; i < f->count; i++) {
		if (i > 0)
			buf_append_text(&out, ", ");
		dns_rdata_format(f->type, f->records[i], &out);
		/* A name alone is for people to read: without the dot at its end. */
		if (f->type == DNS_PTR && buf_len(&out) > 0)
			buf_truncate(&out, buf_len(&out) - 1);
	}
	copy = arena_copy(k->arena, buf_bytes(&out));
	buf_done(&out);
	return copy;
}

static struct bytes ip_text(struct check *k, const struct ip *ip)
{
	char text[IP_TEXT];

	ip_format(ip, text);
	return arena_copy(k->arena, bytes_of_text(text));
}

static struct bytes number_text(struct check *k, size_t n)
{
	return arena_printf(k->arena, "%zu", n);
}

static bool holds_address(struct check *k, const struct fact *f, const struct ip *ip)
{
	struct dns_rdata r;

	for (size_t i = 0; f && i < f->count; i++)
		if (record(k, f, i, &r) && ip_equal(&r.address, ip))
			return true;
	return false;
}

/* ---- this host ---- */

static void add_addresses(struct check *k, const struct fact *f)
{
	struct dns_rdata r;

	for (size_t i = 0; f && i < f->count && k->address_count < ADDRESSES; i++)
		if (record(k, f, i, &r))
			k->addresses[k->address_count++] = r.address;
}

static void want_address(struct check *k, const struct fact *a, const struct fact *aaaa,
                         const struct ip *ip)
{
	const struct fact *f = ip_is_v4(ip) ? a : aaaa;

	if (holds_address(k, f, ip))
		return;
	found(k, PUBLISH_HOST_OTHER_ADDRESS, k->q->hostname,
	      f->count       ? listed(k, f)
	      : ip_is_v4(ip) ? BYTES("no IPv4 address")
	                     : BYTES("no IPv6 address"),
	      ip_text(k, ip));
}

static struct bytes wanted_addresses(struct check *k)
{
	const struct ip *ip = k->q->addresses;

	return k->q->address_count
	               ? arena_printf(k->arena, "%.*s. %s %.*s", BYTES_ARG(k->q->hostname),
	                              ip_is_v4(ip) ? "A" : "AAAA", BYTES_ARG(ip_text(k, ip)))
	               : arena_printf(k->arena, "%.*s. A ...", BYTES_ARG(k->q->hostname));
}

static void check_ptr(struct check *k, const struct ip *ip)
{
	const struct fact *f = need(k, dns_reverse(ip, nothing, k->arena), DNS_PTR);
	bool ours = false;
	struct dns_rdata r;

	if (!f)
		return;
	for (size_t i = 0; i < f->count; i++)
		ours |= record(k, f, i, &r) &&
		        bytes_equal_nocase(dns_name_text(&r.name, k->arena), k->q->hostname);
	if (f->count == 0)
		found(k, PUBLISH_PTR_MISSING, ip_text(k, ip), nothing, k->q->hostname);
	else if (!ours)
		found(k, PUBLISH_PTR_OTHER, ip_text(k, ip), listed(k, f), k->q->hostname);
	else if (f->count > 1)
		found(k, PUBLISH_PTR_MANY, ip_text(k, ip), listed(k, f), k->q->hostname);
}

static void check_host(struct check *k)
{
	const struct publish_question *q = k->q;
	const struct fact *a = need(k, q->hostname, DNS_A), *aaaa = need(k, q->hostname, DNS_AAAA);

	for (size_t i = 0; i < q->address_count && i < ADDRESSES; i++)
		k->addresses[k->address_count++] = q->addresses[i];
	if (q->address_count == 0) {
		add_addresses(k, a);
		add_addresses(k, aaaa);
	}
	for (size_t i = 0; i < k->address_count; i++)
		check_ptr(k, &k->addresses[i]);
	if (!a || !aaaa)
		return;
	if (a->canonical.len > 0)
		found(k, PUBLISH_HOST_CNAME, q->hostname, a->canonical, nothing);
	if (a->count + aaaa->count == 0) {
		found(k, PUBLISH_HOST_NO_ADDRESS, q->hostname, nothing, wanted_addresses(k));
		return;
	}
	for (size_t i = 0; i < q->address_count; i++)
		want_address(k, a, aaaa, &q->addresses[i]);
}

/* ---- MX ---- */

/* "192.0.2.1." as a name. */
static bool is_address(struct bytes name)
{
	struct ip ip;

	return ip_parse(name, &ip) == OK;
}

/* Is it this machine, by its name or by an address? */
static bool check_mx_host(struct check *k, struct bytes host)
{
	const struct fact *a, *aaaa;
	bool ours = bytes_equal(host, k->q->hostname);

	if (ours)
		return true; /* check_host looks at it */
	if (is_address(host)) {
		found(k, PUBLISH_MX_ADDRESS, k->q->domain, host, k->q->hostname);
		return false;
	}
	a = need(k, host, DNS_A);
	aaaa = need(k, host, DNS_AAAA);
	if (!a || !aaaa)
		return false;
	if (a->canonical.len > 0)
		found(k, PUBLISH_MX_CNAME, host, a->canonical, nothing);
	if (a->count + aaaa->count == 0)
		found(k, PUBLISH_MX_NOWHERE, host, nothing, nothing);
	for (size_t i = 0; i < k->address_count; i++)
		ours |= holds_address(k, a, &k->addresses[i]) ||
		        holds_address(k, aaaa, &k->addresses[i]);
	return ours;
}

static void check_mx(struct check *k)
{
	const struct fact *f = need(k, k->q->domain, DNS_MX);
	bool ours = false, null = false, address = false;
	struct dns_rdata r;

	if (!f)
		return;
	for (size_t i = 0; i < f->count && i < ADDRESSES; i++) {
		if (!record(k, f, i, &r))
			continue;
		if (r.mx.host.len <= 1) {
			null = true;
			continue;
		}
		ours |= check_mx_host(k, dns_name_text(&r.mx.host, k->arena));
		address |= is_address(dns_name_text(&r.mx.host, k->arena));
	}
	if (f->count == 0)
		found(k, PUBLISH_MX_MISSING, k->q->domain, nothing, k->q->hostname);
	else if (null && f->count == 1)
		found(k, PUBLISH_MX_NULL, k->q->domain, nothing, k->q->hostname);
	else if (!ours && !address && !k->missing)
		found(k, PUBLISH_MX_OTHER, k->q->domain, listed(k, f), k->q->hostname);
	if (!f->secure)
		found(k, PUBLISH_NOT_SIGNED, k->q->domain, nothing, nothing);
}

/* ---- SPF ---- */

static void check_cover(struct check *k, const struct ip *ip)
{
	struct publish_spf spf;

	publish_spf(k->q->domain, ip, k->facts, k->arena, &spf);
	k->missing |= spf.missing;
	if (!spf.missing && !spf.failed && !spf.covered && !spf.macros)
		found(k, PUBLISH_SPF_NOT_US, k->q->domain, spf.text, ip_text(k, ip));
}

static void check_spf(struct check *k)
{
	const struct fact *f = need(k, k->q->domain, DNS_TXT);
	struct bytes want = publish_want_spf(), domain = k->q->domain;
	struct publish_spf spf;
	struct ip nobody = {{0}};

	if (!f)
		return;
	publish_spf(domain, &nobody, k->facts, k->arena, &spf);
	k->missing |= spf.missing;
	if (spf.records == 0)
		found(k, PUBLISH_SPF_MISSING, domain, nothing, want);
	else if (spf.records > 1)
		found(k, PUBLISH_SPF_TWO, domain, number_text(k, spf.records), want);
	if (spf.records != 1 || spf.missing)
		return;
	if (spf.broken.len > 0)
		found(k, PUBLISH_SPF_BROKEN, domain, spf.broken, want);
	if (spf.lookups > SPF_LOOKUPS_MAX)
		found(k, PUBLISH_SPF_LOOKUPS, domain, number_text(k, spf.lookups), nothing);
	if (spf.everybody)
		found(k, PUBLISH_SPF_ALL, domain, spf.text, nothing);
	else if (!k->q->smarthost)
		for (size_t i = 0; i < k->address_count; i++)
			check_cover(k, &k->addresses[i]);
}

/* Bounces have no sender: there SPF looks at the name in our greeting (RFC 7208, 2.4). */
static void check_host_spf(struct check *k)
{
	const struct fact *f = need(k, k->q->hostname, DNS_TXT);
	struct publish_spf spf;
	struct ip nobody = {{0}};

	if (!f || bytes_equal(k->q->hostname, k->q->domain))
		return;
	publish_spf(k->q->hostname, &nobody, k->facts, k->arena, &spf);
	k->missing |= spf.missing;
	if (spf.records == 0 && !spf.missing)
		found(k, PUBLISH_SPF_HOST, k->q->hostname, nothing, publish_want_host_spf());
}

/* ---- TXT records of other kinds ---- */

/* How many begin with this; the last of them. */
static size_t tagged(struct check *k, const struct fact *f, struct bytes tag, struct bytes *ret)
{
	struct dns_rdata r;
	size_t count = 0;

	for (size_t i = 0; i < f->count; i++)
		if (record(k, f, i, &r) && bytes_starts(r.text, tag)) {
			*ret = r.text;
			count++;
		}
	return count;
}

/* The value of a tag (RFC 6376, 3.2), blanks taken out. Empty: it has none. */
static struct bytes tag_value(struct check *k, struct bytes text, struct bytes name)
{
	struct bytes field, value;
	struct buf out = {0};

	while (bytes_cut(&text, ';', &field)) {
		size_t equals = bytes_find_char(field, '=');

		if (equals == BYTES_NONE ||
		    !bytes_equal(bytes_trim(bytes_first(field, equals)), name))
			continue;
		field = bytes_skip(field, equals + 1);
		for (size_t i = 0; i < field.len; i++)
			if (!text_is_blank(field.ptr[i]))
				buf_append_char(&out, field.ptr[i]);
		break;
	}
	value = arena_copy(k->arena, buf_bytes(&out));
	buf_done(&out);
	return value;
}

static bool publishes_key(struct check *k, const struct fact *f, struct bytes wanted)
{
	struct bytes p = tag_value(k, wanted, BYTES("p"));
	struct dns_rdata r;

	for (size_t i = 0; i < f->count; i++)
		if (record(k, f, i, &r) && bytes_equal(tag_value(k, r.text, BYTES("p")), p))
			return true;
	return false;
}

static void check_key(struct check *k, const struct publish_key *key)
{
	struct bytes name = arena_printf(k->arena, "%.*s._domainkey.%.*s", BYTES_ARG(key->selector),
	                                 BYTES_ARG(k->q->domain));
	const struct fact *f = key->state == DKIM_KEY_OLD ? NULL : need(k, name, DNS_TXT);

	if (!f || publishes_key(k, f, key->record))
		return;
	if (key->state == DKIM_KEY_NEW)
		found(k, PUBLISH_DKIM_NEW, name, nothing, key->record);
	else
		found(k, f->count ? PUBLISH_DKIM_OTHER : PUBLISH_DKIM_MISSING, name, listed(k, f),
		      key->record);
}

static void check_dkim(struct check *k)
{
	bool signs = false;

	for (size_t i = 0; i < k->q->key_count; i++) {
		signs |= k->q->keys[i].state == DKIM_KEY_SIGNS;
		check_key(k, &k->q->keys[i]);
	}
	if (!signs)
		found(k, PUBLISH_DKIM_NONE, k->q->domain, nothing, nothing);
}

static bool is_policy(struct bytes p)
{
	return bytes_equal_nocase(p, BYTES("none")) || bytes_equal_nocase(p, BYTES("quarantine")) ||
	       bytes_equal_nocase(p, BYTES("reject"));
}

/* The record of the domain itself, else of a domain above it (RFC 7489, 6.6.3). */
static const struct fact *find_dmarc(struct check *k, struct bytes *ret_text, size_t *ret_count)
{
	struct bytes domain = k->q->domain;
	const struct fact *f;

	for (;;) {
		size_t dot = bytes_find_char(domain, '.');

		f = need(k, publish_name(k->arena, "_dmarc", domain), DNS_TXT);
		*ret_count = f ? tagged(k, f, BYTES("v=DMARC1"), ret_text) : 0;
		if (!f || *ret_count > 0 || dot == BYTES_NONE)
			return f;
		domain = bytes_skip(domain, dot + 1);
		if (bytes_find_char(domain, '.') == BYTES_NONE)
			return f;
	}
}

static void check_dmarc(struct check *k)
{
	struct bytes text = {0}, want = publish_want_dmarc(k->q, k->arena);
	size_t count;
	const struct fact *f = find_dmarc(k, &text, &count);

	if (!f)
		return;
	if (count == 0)
		found(k, PUBLISH_DMARC_MISSING, k->q->domain, nothing, want);
	else if (count > 1)
		found(k, PUBLISH_DMARC_TWO, k->q->domain, number_text(k, count), want);
	else if (!is_policy(tag_value(k, text, BYTES("p"))))
		found(k, PUBLISH_DMARC_BROKEN, k->q->domain, text, want);
}

/* ---- TLS ---- */

static bool is_our_key(const struct check *k, const struct dns_rdata *r)
{
	for (size_t i = 0; i < k->q->spki_count; i++)
		if (r->tlsa.usage == 3 && r->tlsa.selector == 1 && r->tlsa.matching == 1 &&
		    bytes_equal(r->tlsa.data, k->q->spki[i]))
			return true;
	return false;
}

/* Only what says a key by its SHA-256 can be compared here. */
static void check_tlsa(struct check *k)
{
	struct bytes name = publish_name(k->arena, "_25._tcp", k->q->hostname), want;
	const struct fact *f = need(k, name, DNS_TLSA), *host = need(k, k->q->hostname, DNS_A);
	bool fits = false, others = false;
	struct dns_rdata r;

	if (!f || !host || k->q->spki_count == 0)
		return;
	want = publish_want_tlsa(k->q->spki[0], k->arena);
	for (size_t i = 0; i < f->count; i++) {
		if (!record(k, f, i, &r))
			continue;
		fits |= is_our_key(k, &r);
		others |= r.tlsa.usage != 3 || r.tlsa.selector != 1 || r.tlsa.matching != 1;
	}
	if (f->count > 0 && !fits && !others)
		found(k, PUBLISH_TLSA_OTHER, name, listed(k, f), want);
	if (f->count > 0 && !f->secure)
		found(k, PUBLISH_TLSA_INSECURE, name, nothing, nothing);
	if (f->count == 0 && host->count > 0 && host->secure)
		found(k, PUBLISH_TLSA_MISSING, name, nothing, want);
}

static void check_sts_record(struct check *k, struct bytes text, struct bytes id)
{
	struct bytes host = publish_name(k->arena, "mta-sts", k->q->domain);
	const struct fact *a = need(k, host, DNS_A), *aaaa = need(k, host, DNS_AAAA);
	struct bytes ours = publish_sts_id(k->q, k->arena);

	if (a && aaaa && a->count + aaaa->count == 0)
		found(k, PUBLISH_STS_NO_HOST, k->q->domain, text, host);
	else if (!bytes_equal(id, ours))
		found(k, PUBLISH_STS_STALE, k->q->domain, id, ours);
}

static void check_sts(struct check *k)
{
	const struct fact *f = need(k, publish_name(k->arena, "_mta-sts", k->q->domain), DNS_TXT);
	struct bytes text = {0}, id;
	size_t count;
	enum result r;

	if (!f)
		return;
	count = tagged(k, f, BYTES("v=STSv1"), &text);
	r = mtasts_txt(&text, count == 1, &id);
	if (count == 0)
		found(k, PUBLISH_STS_MISSING, k->q->domain, nothing, nothing);
	else if (r != OK)
		found(k, PUBLISH_STS_BROKEN, k->q->domain, count > 1 ? listed(k, f) : text,
		      publish_want_sts(k->q, k->arena));
	else
		check_sts_record(k, text, id);
}

static void check_tlsrpt(struct check *k)
{
	const struct fact *f = need(k, publish_name(k->arena, "_smtp._tls", k->q->domain), DNS_TXT);
	struct bytes text;

	if (f && tagged(k, f, BYTES("v=TLSRPTv1"), &text) == 0)
		found(k, PUBLISH_TLSRPT_MISSING, k->q->domain, nothing,
		      publish_want_tlsrpt(k->q, k->arena));
}

/* ---- SRV ---- */

static void check_service(struct check *k, const struct publish_service *s)
{
	struct bytes name = publish_name(k->arena, s->labels, k->q->domain),
	             want = publish_want_srv(k->q, s, k->arena);
	const struct fact *f = need(k, name, DNS_SRV);
	bool ours = false;
	struct dns_rdata r;

	if (!f)
		return;
	for (size_t i = 0; i < f->count; i++)
		ours |= record(k, f, i, &r) && r.srv.port == s->port &&
		        bytes_equal(dns_name_text(&r.srv.target, k->arena), k->q->hostname);
	if (f->count == 0)
		found(k, PUBLISH_SRV_MISSING, name, nothing, want);
	else if (!ours)
		found(k, PUBLISH_SRV_OTHER, name, listed(k, f), want);
}

/* ---- all of it ---- */

/* Errors first, each level in the order of the parts. */
static void sort(struct publish_findings *f)
{
	struct publish_findings sorted = {.count = 0};

	for (enum publish_level level = PUBLISH_ERROR; level <= PUBLISH_NOTE; level++)
		for (size_t i = 0; i < f->count; i++)
			if (publish_problem_level(f->items[i].problem) == level)
				sorted.items[sorted.count++] = f->items[i];
	*f = sorted;
}

enum result publish_check(const struct publish_question *q, struct facts *facts,
                          struct arena *arena, struct publish_findings *ret)
{
	struct check k = {.q = q, .facts = facts, .arena = arena, .out = ret};
	struct publish_service services[PUBLISH_SERVICES];
	size_t count = publish_services(q, services);

	ret->count = 0;
	check_host(&k);
	check_mx(&k);
	check_spf(&k);
	check_host_spf(&k);
	check_dkim(&k);
	check_dmarc(&k);
	check_tlsa(&k);
	check_sts(&k);
	check_tlsrpt(&k);
	for (size_t i = 0; i < count; i++)
		check_service(&k, &services[i]);
	if (k.missing)
		return UNAVAILABLE;
	sort(ret);
	return OK;
}
