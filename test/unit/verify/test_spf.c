/* SPF and reverse DNS over scripted facts: which facts are named when, limits, and what the openspf suite (test/end/test_check_spf.py)
 * does not ask. */
#include "facts_test.h"

#include "base/arena.h"
#include "dns/dns.h"
#include "verify/iprev.h"
#include "verify/spf.h"

static struct arena arena;

static struct ip ip(const char *text)
{
	struct ip ret;

	assert_int_equal(ip_parse(bytes_of_text(text), &ret), OK);
	return ret;
}

static struct spf_input input(const char *from)
{
	return (struct spf_input){
	        .ip = ip("192.0.2.7"), .helo = BYTES("helo.test"), .sender = bytes_of_text(from)};
}

static size_t count_missing(struct facts *f)
{
	struct bytes name;
	uint16_t type;
	size_t n = 0;

	for (; facts_missing(f, &name, &type); n++)
		facts_asked(f, (uint32_t)n + 1);
	return n;
}

static struct spf_verdict judge(struct facts *f, const char *from)
{
	struct spf_input in = input(from);
	struct spf_verdict v;

	assert_true(spf_check(&in, f, &arena, &v));
	return v;
}

static void facts_are_named_together(void **state)
{
	struct facts *f = facts_new();
	struct spf_input in = input("a@d.test");
	struct spf_verdict v;

	(void)state;
	assert_false(spf_check(&in, f, &arena, &v));
	assert_int_equal(count_missing(f), 1);
	fact_txt(f, "d.test", "v=spf1 a mx include:x.test exists:%{i}.y.test a:z.test -all");
	assert_false(spf_check(&in, f, &arena, &v));
	assert_int_equal(count_missing(f), 5);
	facts_free(&f);
}

static void an_earlier_match_needs_no_later_fact(void **state)
{
	struct facts *f = facts_new();
	struct spf_verdict v;

	(void)state;
	fact_txt(f, "d.test", "v=spf1 ip4:192.0.2.0/24 include:never.test -all");
	v = judge(f, "a@d.test");
	assert_int_equal(v.result, SPF_PASS);
	assert_bytes(v.mechanism, BYTES("ip4:192.0.2.0/24"));
	assert_bytes(v.domain, BYTES("d.test"));
	assert_false(v.by_helo);
	facts_free(&f);
}

static void no_sender_is_the_name_it_greeted_with(void **state)
{
	struct facts *f = facts_new();
	struct spf_verdict v;

	(void)state;
	fact_txt(f, "helo.test", "v=spf1 -all");
	v = judge(f, "");
	assert_int_equal(v.result, SPF_FAIL);
	assert_true(v.by_helo);
	assert_bytes(v.domain, BYTES("helo.test"));
	facts_free(&f);
}

static void ten_terms_and_no_more(void **state)
{
	struct facts *f = facts_new();

	(void)state;
	fact_txt(f, "loop.test", "v=spf1 include:loop.test -all");
	assert_int_equal(judge(f, "a@loop.test").result, SPF_PERMERROR);
	fact_txt(f, "r.test", "v=spf1 redirect=r.test");
	assert_int_equal(judge(f, "a@r.test").result, SPF_PERMERROR);
	facts_free(&f);
}

static void two_empty_answers_and_no_more(void **state)
{
	struct facts *f = facts_new();

	(void)state;
	for (int i = 0; i < 3; i++) {
		static const char *const names[] = {"a.test", "b.test", "c.test"};
		fact_none(f, names[i], T_A, false);
	}
	fact_txt(f, "two.test", "v=spf1 a:a.test a:b.test ~all");
	fact_txt(f, "three.test", "v=spf1 a:a.test a:b.test a:c.test ~all");
	assert_int_equal(judge(f, "a@two.test").result, SPF_SOFTFAIL);
	assert_int_equal(judge(f, "a@three.test").result, SPF_PERMERROR);
	facts_free(&f);
}

static void a_dead_dns_is_no_failure(void **state)
{
	struct facts *f = facts_new();

	(void)state;
	fact(f, "dead.test", T_TXT, FACT_FAILED, false, "", (struct bytes){0});
	fact(f, "forged.test", T_TXT, FACT_BOGUS, false, "", (struct bytes){0});
	assert_int_equal(judge(f, "a@dead.test").result, SPF_TEMPERROR);
	assert_int_equal(judge(f, "a@forged.test").result, SPF_TEMPERROR);
	facts_free(&f);
}

static void what_is_explained_is_one_line_of_text(void **state)
{
	struct facts *f = facts_new();

	(void)state;
	fact_txt(f, "d.test", "v=spf1 -all exp=why.d.test");
	fact_txt(f, "why.d.test", "see %{L} at %{o}");
	assert_bytes(judge(f, "a b@d.test").explanation, BYTES("see a%20b at d.test"));
	fact_txt(f, "e.test", "v=spf1 -all exp=why.e.test");
	fact_txt(f, "why.e.test", "say %{l}");
	assert_bytes(judge(f, "a\r\nb@e.test").explanation, BYTES(""));
	facts_free(&f);
}

/* ---- reverse DNS ---- */

#define REVERSE "7.2.0.192.in-addr.arpa"

static void put_ptr(struct facts *f, const char *const *names, size_t count)
{
	struct buf records = {0};

	for (size_t i = 0; i < count; i++) {
		struct dns_name n;

		assert_int_equal(dns_name_parse(bytes_of_text(names[i]), &n), OK);
		buf_block(&records, bytes_of(n.octets, n.len));
	}
	fact(f, REVERSE, DNS_PTR, FACT_FOUND, false, "", buf_bytes(&records));
	buf_done(&records);
}

static void names_must_lead_back(void **state)
{
	static const char *const names[] = {"one.test", "two.test"};
	struct ip client = ip("192.0.2.7");
	struct facts *f = facts_new();
	struct iprev_verdict v;

	(void)state;
	assert_false(iprev_check(&client, f, &arena, &v));
	put_ptr(f, names, 2);
	assert_false(iprev_check(&client, f, &arena, &v));
	fact_ip(f, "one.test", false, "", "192.0.2.99");
	assert_false(iprev_check(&client, f, &arena, &v));
	fact_ip(f, "two.test", false, "", "192.0.2.7");
	assert_true(iprev_check(&client, f, &arena, &v));
	assert_int_equal(v.result, IPREV_PASS);
	assert_bytes(v.name, BYTES("two.test"));
	fact_ip(f, "two.test", false, "", "192.0.2.8");
	assert_true(iprev_check(&client, f, &arena, &v));
	assert_int_equal(v.result, IPREV_FAIL);
	assert_bytes(v.name, BYTES("one.test"));
	fact(f, "two.test", T_A, FACT_FAILED, false, "", (struct bytes){0});
	assert_true(iprev_check(&client, f, &arena, &v));
	assert_int_equal(v.result, IPREV_TEMPERROR);
	facts_free(&f);
}

static void no_name_is_no_failure(void **state)
{
	struct ip client = ip("192.0.2.7");
	struct facts *f = facts_new();
	struct iprev_verdict v;

	(void)state;
	fact(f, REVERSE, DNS_PTR, FACT_NO_NAME, false, "", (struct bytes){0});
	assert_true(iprev_check(&client, f, &arena, &v));
	assert_int_equal(v.result, IPREV_NONE);
	fact(f, REVERSE, DNS_PTR, FACT_FAILED, false, "", (struct bytes){0});
	assert_true(iprev_check(&client, f, &arena, &v));
	assert_int_equal(v.result, IPREV_TEMPERROR);
	facts_free(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(facts_are_named_together),
	        cmocka_unit_test(an_earlier_match_needs_no_later_fact),
	        cmocka_unit_test(no_sender_is_the_name_it_greeted_with),
	        cmocka_unit_test(ten_terms_and_no_more),
	        cmocka_unit_test(two_empty_answers_and_no_more),
	        cmocka_unit_test(a_dead_dns_is_no_failure),
	        cmocka_unit_test(what_is_explained_is_one_line_of_text),
	        cmocka_unit_test(names_must_lead_back),
	        cmocka_unit_test(no_name_is_no_failure),
	};
	int failed = TEST_MAIN(tests);

	arena_done(&arena);
	return failed;
}
