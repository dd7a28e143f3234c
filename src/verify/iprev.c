#include "verify/iprev.h"

#include "dns/dns.h"

const char *iprev_result_name(enum iprev_result r)
{
	static const char *const names[IPREV_RESULTS] = {
	        [IPREV_PASS] = "pass",
	        [IPREV_FAIL] = "fail",
	        [IPREV_NONE] = "none",
	        [IPREV_TEMPERROR] = "temperror",
	};

	return r < IPREV_RESULTS ? names[r] : "none";
}

static bool has_ip(const struct fact *f, const struct ip *ip, struct arena *arena)
{
	for (size_t i = 0; i < f->count; i++) {
		struct dns_rdata r;

		if (dns_rdata_parse(f->type, f->records[i], arena, &r) == OK &&
		    ip_equal(&r.address, ip))
			return true;
	}
	return false;
}

/* The PTR's names, at most IPREV_NAMES. */
static size_t names_of(const struct fact *f, struct arena *arena, struct bytes names[IPREV_NAMES])
{
	size_t n = 0;

	for (size_t i = 0; i < f->count && n < IPREV_NAMES; i++) {
		struct dns_rdata r;

		if (dns_rdata_parse(DNS_PTR, f->records[i], arena, &r) == OK && r.name.len > 1)
			names[n++] = dns_name_text(&r.name, arena);
	}
	return n;
}

/* All forward look-ups are named at once. An error counts only if no other name leads back: the last word is not said then. */
static bool look_forward(const struct ip *ip, const struct bytes *names, size_t count,
                         struct facts *f, struct arena *arena, struct iprev_verdict *v)
{
	bool missing = false, failed = false;

	for (size_t i = 0; i < count; i++) {
		const struct fact *x = facts_need(f, names[i], ip_is_v4(ip) ? DNS_A : DNS_AAAA);

		missing |= !x;
		failed |= x && x->status >= FACT_FAILED;
		if (v->result == IPREV_PASS || !x || !has_ip(x, ip, arena))
			continue;
		v->result = IPREV_PASS;
		v->name = names[i];
	}
	if (v->result != IPREV_PASS && failed)
		v->result = IPREV_TEMPERROR;
	return !missing || v->result == IPREV_PASS;
}

bool iprev_check(const struct ip *ip, struct facts *f, struct arena *arena,
                 struct iprev_verdict *ret)
{
	const struct fact *ptr = facts_need(f, dns_reverse(ip, (struct bytes){0}, arena), DNS_PTR);
	struct iprev_verdict v = {.result = IPREV_NONE};
	struct bytes names[IPREV_NAMES];
	size_t count;

	if (!ptr)
		return false;
	count = names_of(ptr, arena, names);
	if (ptr->status >= FACT_FAILED) {
		v.result = IPREV_TEMPERROR;
	} else if (count > 0) {
		v = (struct iprev_verdict){IPREV_FAIL, names[0]};
		if (!look_forward(ip, names, count, f, arena, &v))
			return false;
	}
	*ret = v;
	return true;
}
