/* DANE, MTA-STS and TLSRPT: what is read of records and policies, and what is not. */
#include "facts_test.h"
#include "verify/dane.h"
#include "verify/mtasts.h"
#include "verify/tlsrpt.h"

#define H32 "01234567890123456789012345678901"

/* ---- DANE ---- */

static void fact_tlsa(struct facts *f, const char *name, bool secure, struct bytes rdata)
{
	struct buf records = {0};

	buf_block(&records, rdata);
	fact(f, name, T_TLSA, FACT_FOUND, secure, "", buf_bytes(&records));
	buf_done(&records);
}

static enum dane_state state_of(struct facts *f, const struct route_host *h)
{
	struct arena arena = {0};
	struct dane d;

	assert_int_equal(dane_find(h, f, &arena, &d), OK);
	if (d.state == DANE_MATCH) {
		assert_int_equal(d.count, 1);
		assert_int_equal(d.records[0].usage, 3);
		assert_int_equal(d.records[0].data.len, 32);
	}
	arena_done(&arena);
	return d.state;
}

static void dane_only_where_all_is_proven(void **state)
{
	struct facts *f = facts_new();
	struct route_host h = {.name = BYTES("mx.test"), .canonical = BYTES("mx.test")};
	struct arena arena = {0};
	struct dane d;

	assert_int_equal(state_of(f, &h), DANE_NONE); /* not secure: not even asked */
	h.secure = true;
	assert_int_equal(dane_find(&h, f, &arena, &d), UNAVAILABLE);
	fact_tlsa(f, "_25._tcp.mx.test", false, BYTES("\x03\x01\x01" H32));
	assert_int_equal(state_of(f, &h), DANE_NONE);
	fact_tlsa(f, "_25._tcp.mx.test", true, BYTES("\x03\x01\x01" H32));
	assert_int_equal(state_of(f, &h), DANE_MATCH);
	h.literal = true;
	assert_int_equal(state_of(f, &h), DANE_NONE);
	arena_done(&arena);
	facts_free(&f);
}

static void records_that_cannot_be_used_still_want_encryption(void **state)
{
	static const struct bytes unusable[] = {
	        {"\x00\x01\x01" H32, 35}, /* PKIX-TA: RFC 7672, 3.1.3 */
	        {"\x03\x01\x01" H32, 34}, /* a digest too short */
	        {"\x03\x07\x01" H32, 35}, /* an unknown selector */
	        {"\x03", 1},
	};

	for (size_t i = 0; i < sizeof(unusable) / sizeof(*unusable); i++) {
		struct facts *f = facts_new();
		struct route_host h = {
		        .name = BYTES("mx.test"), .canonical = BYTES("mx.test"), .secure = true};

		fact_tlsa(f, "_25._tcp.mx.test", true, unusable[i]);
		assert_int_equal(state_of(f, &h), DANE_ENCRYPT);
		facts_free(&f);
	}
}

static void a_question_that_fails_defers(void **state)
{
	static const enum fact_status statuses[] = {FACT_FAILED, FACT_BOGUS};

	for (size_t i = 0; i < 2; i++) {
		struct facts *f = facts_new();
		struct route_host h = {
		        .name = BYTES("mx.test"), .canonical = BYTES("mx.test"), .secure = true};

		fact(f, "_25._tcp.mx.test", T_TLSA, statuses[i], false, "", (struct bytes){0});
		assert_int_equal(state_of(f, &h), DANE_DEFER);
		facts_free(&f);
	}
}

static void an_alias_is_looked_at_first(void **state)
{
	struct facts *f = facts_new();
	struct route_host h = {
	        .name = BYTES("mx.test"), .canonical = BYTES("real.test"), .secure = true};
	struct arena arena = {0};
	struct dane d;

	fact_none(f, "_25._tcp.real.test", T_TLSA, true);
	assert_int_equal(dane_find(&h, f, &arena, &d), UNAVAILABLE);
	fact_tlsa(f, "_25._tcp.mx.test", true, BYTES("\x03\x01\x01" H32));
	assert_int_equal(dane_find(&h, f, &arena, &d), OK);
	assert_bytes(d.base, BYTES("mx.test"));
	fact_tlsa(f, "_25._tcp.real.test", true, BYTES("\x03\x01\x01" H32));
	assert_int_equal(dane_find(&h, f, &arena, &d), OK);
	assert_bytes(d.base, BYTES("real.test"));
	assert_true(bytes_starts(d.string, BYTES("3 1 1 3031")));
	arena_done(&arena);
	facts_free(&f);
}

/* ---- MTA-STS ---- */

static void sts_records(void **state)
{
	struct bytes good[] = {BYTES("v=spf1 -all"), BYTES("v=STSv1; id=20160831085700Z;")};
	struct bytes two[] = {BYTES("v=STSv1; id=1;"), BYTES("v=STSv1; id=2;")};
	struct bytes bad[] = {BYTES("v=STSv1; id=not-alnum;")};
	struct bytes none[] = {BYTES("v=STSv12; id=1"), BYTES("id=1; v=STSv1")};
	struct bytes spaced[] = {BYTES("v=STSv1 ; x=y; id = a1 ")};
	struct bytes id;

	assert_int_equal(mtasts_txt(good, 2, &id), OK);
	assert_bytes(id, BYTES("20160831085700Z"));
	assert_int_equal(mtasts_txt(two, 2, &id), NOT_FOUND);
	assert_int_equal(mtasts_txt(bad, 1, &id), INVALID);
	assert_int_equal(mtasts_txt(none, 2, &id), NOT_FOUND);
	assert_int_equal(mtasts_txt(spaced, 1, &id), OK);
	assert_bytes(id, BYTES("a1"));
}

static void sts_policies(void **state)
{
	struct arena arena = {0};
	struct mtasts_policy p;
	struct why why;

	assert_int_equal(mtasts_policy_parse(
	                         BYTES("version: STSv1\r\nmode: enforce\r\nmx: mail.example.com\r\n"
	                               "mx: *.example.net\r\nmax_age: 604800\r\n"),
	                         &arena, &p, &why),
	                 OK);
	assert_int_equal(p.mode, MTASTS_ENFORCE);
	assert_int_equal(p.max_age, 604800);
	assert_true(mtasts_policy_covers(&p, BYTES("Mail.Example.com.")));
	assert_true(mtasts_policy_covers(&p, BYTES("a.example.net")));
	assert_false(mtasts_policy_covers(&p, BYTES("a.b.example.net")));
	assert_false(mtasts_policy_covers(&p, BYTES("example.net")));
	assert_false(mtasts_policy_covers(&p, BYTES("x.mail.example.com")));
	assert_int_equal(
	        mtasts_policy_parse(BYTES("version: STSv1\nmode: none\nmax_age: 99999999999\n"),
	                            &arena, &p, &why),
	        INVALID); /* eleven digits */
	assert_int_equal(
	        mtasts_policy_parse(BYTES("version: STSv1\nmode: none\nmax_age: 9999999999\n"),
	                            &arena, &p, &why),
	        OK);
	assert_int_equal(p.max_age, MTASTS_AGE_MAX);
	arena_done(&arena);
}

static void sts_policies_that_are_none(void **state)
{
	static const char *const bad[] = {
	        "",
	        "mode: enforce\nversion: STSv1\nmx: a\nmax_age: 1\n",
	        "version: STSv2\nmode: enforce\nmx: a\nmax_age: 1\n",
	        "version: STSv1\nmode: enforce\nmax_age: 1\n",
	        "version: STSv1\nmode: strict\nmx: a\nmax_age: 1\n",
	        "version: STSv1\nmode: enforce\nmx: a\n",
	        "version: STSv1\nmode: enforce\nmx: a b\nmax_age: 1\n",
	        "<html>not found</html>",
	        "version: STSv1\nmode: enforce\nmx: a\nmax_age: -1\n",
	};
	struct arena arena = {0};
	struct mtasts_policy p;
	struct why why;

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		if (mtasts_policy_parse(bytes_of_text(bad[i]), &arena, &p, &why) != INVALID)
			fail_msg("taken: %s", bad[i]);
	arena_done(&arena);
}

/* ---- TLSRPT ---- */

static void reports_that_are_asked_for(void **state)
{
	struct bytes good[] = {BYTES("v=TLSRPTv1; rua=mailto:tls@d.test,https://d.test/r,ftp://x")};
	struct bytes bad[] = {BYTES("v=TLSRPTv1; rua=ftp://x")};
	struct bytes ruas[TLSRPT_RUAS];
	size_t count;

	assert_int_equal(tlsrpt_txt(good, 1, ruas, &count), OK);
	assert_int_equal(count, 2);
	assert_bytes(ruas[1], BYTES("https://d.test/r"));
	assert_int_equal(tlsrpt_txt(bad, 1, ruas, &count), INVALID);
	assert_int_equal(tlsrpt_txt(NULL, 0, ruas, &count), NOT_FOUND);
}

static void the_report_of_a_day(void **state)
{
	const struct tlsrpt_row rows[] = {
	        {TLSRPT_STS,
	         TLSRPT_SUCCESS,
	         BYTES("version: STSv1\nmx: *.d.test\n"),
	         BYTES("mx.d.test"),
	         {0},
	         {0},
	         7},
	        {TLSRPT_STS,
	         TLSRPT_EXPIRED,
	         BYTES("version: STSv1\nmx: *.d.test\n"),
	         BYTES("mx.d.test"),
	         {0},
	         BYTES("a \"quote\""),
	         2},
	        {TLSRPT_NO_POLICY,
	         TLSRPT_STARTTLS_NOT_SUPPORTED,
	         {0},
	         BYTES("old.d.test"),
	         {0},
	         {0},
	         1},
	};
	const struct tlsrpt_report r = {.organization = BYTES("us.test"),
	                                .contact = BYTES("postmaster@us.test"),
	                                .domain = BYTES("d.test"),
	                                .day = 1763856000000,
	                                .id = BYTES("1"),
	                                .rows = rows,
	                                .row_count = 3};
	struct buf b = {0};

	tlsrpt_report(&r, &b);
	assert_bytes(
	        buf_bytes(&b),
	        BYTES("{\"organization-name\":\"us.test\",\"date-range\":{"
	              "\"start-datetime\":\"2025-11-23T00:00:00Z\",\"end-datetime\":\"2025-11-"
	              "23T23:59:59Z\"},"
	              "\"contact-info\":\"postmaster@us.test\",\"report-id\":\"1\",\"policies\":["
	              "{\"policy\":{\"policy-type\":\"sts\",\"policy-string\":[\"version: "
	              "STSv1\",\"mx: "
	              "*.d.test\"],"
	              "\"policy-domain\":\"d.test\",\"mx-host\":[\"*.d.test\"]},"
	              "\"summary\":{\"total-successful-session-count\":7,\"total-failure-session-"
	              "count\":2},"
	              "\"failure-details\":[{\"result-type\":\"certificate-expired\","
	              "\"receiving-mx-hostname\":\"mx.d.test\",\"failed-session-count\":2,"
	              "\"failure-reason-code\":\"a \\\"quote\\\"\"}]},"
	              "{\"policy\":{\"policy-type\":\"no-policy-found\",\"policy-domain\":\"d."
	              "test\"},"
	              "\"summary\":{\"total-successful-session-count\":0,\"total-failure-session-"
	              "count\":1},"
	              "\"failure-details\":[{\"result-type\":\"starttls-not-supported\","
	              "\"receiving-mx-hostname\":\"old.d.test\",\"failed-session-count\":1}]}]}"
	              "\n"));
	buf_done(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(dane_only_where_all_is_proven),
	        cmocka_unit_test(records_that_cannot_be_used_still_want_encryption),
	        cmocka_unit_test(a_question_that_fails_defers),
	        cmocka_unit_test(an_alias_is_looked_at_first),
	        cmocka_unit_test(sts_records),
	        cmocka_unit_test(sts_policies),
	        cmocka_unit_test(sts_policies_that_are_none),
	        cmocka_unit_test(reports_that_are_asked_for),
	        cmocka_unit_test(the_report_of_a_day),
	};

	return TEST_MAIN(tests);
}
