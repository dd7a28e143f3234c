/* DMARC: records, a mail's row for its report, and reports written and read. What policies apply is test/end/test_check_dmarc.py. */
#include "facts_test.h"

#include "verify/dkim.h"
#include "verify/dmarc_report.h"

static void records(void **state)
{
	struct dmarc_record r;

	(void)state;
	assert_int_equal(
	        dmarc_record_parse(
	                BYTES("v=DMARC1; p=reject; SP=None ; t=y; psd=n; rua=mailto:a@b.test"), &r),
	        OK);
	assert_int_equal(r.p, DMARC_POLICY_REJECT);
	assert_int_equal(r.sp, DMARC_POLICY_NONE);
	assert_int_equal(r.np, DMARC_POLICY_NONE); /* as sp, where it is not there */
	assert_true(r.testing && r.psd == 'n' && !r.strict_spf);
	assert_bytes(r.rua, BYTES("mailto:a@b.test"));
	assert_int_equal(dmarc_record_parse(BYTES(" v = DMARC1 "), &r), OK);
	assert_int_equal(dmarc_record_parse(BYTES("v=DMARC1;p=quarantine;pct=0"), &r), OK);
	assert_true(r.testing);
	assert_int_equal(dmarc_record_parse(BYTES("v=DMARC1;p=quarantine;pct=0;t=n"), &r), OK);
	assert_false(r.testing);
	assert_int_equal(dmarc_record_parse(BYTES("v=DMARC1;p=sometimes"), &r), INVALID);
	assert_int_equal(dmarc_record_parse(BYTES("v=DMARC1;p=sometimes;rua=mailto:a@b.test"), &r),
	                 OK);
	assert_int_equal(r.p, DMARC_POLICY_NONE);
	assert_int_equal(dmarc_record_parse(BYTES("v=dmarc1;p=none"), &r), NOT_FOUND);
	assert_int_equal(dmarc_record_parse(BYTES("p=none;v=DMARC1"), &r), NOT_FOUND);
	assert_int_equal(dmarc_record_parse(BYTES("v=DMARC10"), &r), NOT_FOUND);
	assert_int_equal(dmarc_record_parse(BYTES(""), &r), NOT_FOUND);
}

static void rows(void **state)
{
	struct dkim_verdict keys[6] = {
	        {.result = DKIM_PASS, .domain = BYTES("d.test"), .selector = BYTES("s1")}};
	struct dmarc_input in = {.from_domain = BYTES("d.test"), .dkim = keys, .dkim_count = 6};
	struct spf_verdict spf = {.result = SPF_SOFTFAIL, .domain = BYTES("b.d.test")};
	struct dmarc_verdict v = {.result = DMARC_PASS,
	                          .policy = DMARC_POLICY_REJECT,
	                          .policy_domain = BYTES("d.test"),
	                          .record = BYTES("v=DMARC1;p=reject;rua=mailto:a@d.test"),
	                          .aligned_dkim = true};
	struct dmarc_row row;
	struct buf packed = {0};

	(void)state;
	dmarc_row_pack(&in, &spf, &v, &packed);
	assert_int_equal(buf_len(&packed), 0); /* nobody wants a report */
	v.rua = BYTES("mailto:a@d.test");
	dmarc_row_pack(&in, &spf, &v, &packed);
	assert_int_equal(dmarc_row_parse(buf_bytes(&packed), &row), OK);
	assert_true(row.passed && row.aligned_dkim && !row.aligned_spf &&
	            row.policy == DMARC_POLICY_REJECT);
	assert_int_equal(row.spf, SPF_SOFTFAIL);
	assert_int_equal(row.dkim_count, DMARC_ROW_DKIMS);
	assert_bytes(row.dkim[0].selector, BYTES("s1"));
	assert_bytes(row.sender_domain, BYTES("b.d.test"));
	for (size_t n = 0; n < buf_len(&packed); n++)
		assert_int_equal(dmarc_row_parse(bytes_first(buf_bytes(&packed), n), &row),
		                 INVALID);
	buf_done(&packed);
}

static struct dmarc_report_row a_row(void)
{
	struct dmarc_report_row x = {.count = 12,
	                             .disposition = DMARC_POLICY_QUARANTINE,
	                             .spf = true,
	                             .reason = BYTES("local_policy"),
	                             .header_from = BYTES("d.test"),
	                             .envelope_from = BYTES("<&>\"\xe9\x9b\xaa"),
	                             .spf_domain = BYTES("b.d.test"),
	                             .spf_scope = BYTES("mfrom"),
	                             .spf_result = BYTES("pass"),
	                             .dkim_count = 1};

	x.dkims[0] = (struct dmarc_report_dkim){BYTES("d.test"), BYTES("s1"), BYTES("fail")};
	assert_int_equal(ip_parse(BYTES("2001:db8::7"), &x.ip), OK);
	return x;
}

static void what_is_written_is_read(void **state)
{
	struct dmarc_report_row row = a_row();
	struct dmarc_report r = {.organization = BYTES("us.test & them"),
	                         .id = BYTES("1"),
	                         .begin = 1700000000,
	                         .end = 1700086399,
	                         .domain = BYTES("d.test"),
	                         .p = DMARC_POLICY_REJECT,
	                         .np = DMARC_POLICY_REJECT,
	                         .has_np = true,
	                         .strict_spf = true,
	                         .testing = true,
	                         .rows = &row,
	                         .row_count = 1};
	struct dmarc_report back;
	struct arena arena = {0};
	struct buf xml = {0}, mail = {0};
	struct why why;

	(void)state;
	dmarc_report_write(&r, &xml);
	assert_int_equal(dmarc_report_parse(buf_bytes(&xml), &arena, &back, &why), OK);
	assert_bytes(back.organization, r.organization);
	assert_true(back.begin == r.begin && back.end == r.end && back.p == r.p && back.has_np &&
	            !back.has_sp && back.strict_spf && !back.strict_dkim && back.testing);
	assert_int_equal(back.row_count, 1);
	assert_bytes(back.rows[0].envelope_from, row.envelope_from);
	assert_bytes(back.rows[0].dkims[0].result, BYTES("fail"));
	assert_bytes(back.rows[0].reason, BYTES("local_policy"));
	assert_true(back.rows[0].count == 12 && back.rows[0].spf && !back.rows[0].dkim &&
	            back.rows[0].disposition == DMARC_POLICY_QUARANTINE &&
	            ip_equal(&back.rows[0].ip, &row.ip));
	/* As a mail, with the XML not packed: found again. */
	dmarc_report_mail(&r, buf_bytes(&xml), BYTES("postmaster@us.test"), BYTES("a@d.test"),
	                  1700090000000, &mail);
	assert_int_equal(dmarc_report_find(buf_bytes(&mail), &arena, &back, &why), OK);
	assert_int_equal(back.rows[0].count, 12);
	buf_done(&xml);
	buf_done(&mail);
	arena_done(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(records),
	        cmocka_unit_test(rows),
	        cmocka_unit_test(what_is_written_is_read),
	};

	return TEST_MAIN(tests);
}
