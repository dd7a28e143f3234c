/* Rows for DMARC reports: counted from JUDGED, given when their day is over, forgotten when they are out; reports that came in. */
#include "store_test.h"

#include "base/buf.h"
#include "policy/evidence.h"
#include "verify/dmarc.h"
#include "verify/dmarc_report.h"

#define DAY (24LL * 3600 * 1000)

static void put_row(const char *domain, struct buf *out)
{
	struct dmarc_input in = {.from_domain = bytes_of_text(domain)};
	struct spf_verdict spf = {.result = SPF_FAIL, .domain = BYTES("sender.test")};
	struct dmarc_verdict v = {.result = DMARC_FAIL,
	                          .policy = DMARC_POLICY_REJECT,
	                          .policy_domain = bytes_of_text(domain),
	                          .record = BYTES("v=DMARC1;p=reject;rua=mailto:a@d.test"),
	                          .rua = BYTES("mailto:a@d.test")};

	dmarc_row_pack(&in, &spf, &v, out);
}

static void judged(struct rig *r, const char *domain, const char *address)
{
	struct ask a = {.kind = ASK_JUDGED};
	struct buf row = {0};
	struct ip ip;

	put_row(domain, &row);
	assert_int_equal(ip_parse(bytes_of_text(address), &ip), OK);
	a.judged.stage = 1;
	a.judged.action = JUDGE_REFUSE;
	a.judged.score = 30000;
	a.judged.ip = bytes_of(ip.octets, sizeof(ip.octets));
	a.judged.dmarc = buf_bytes(&row);
	assert_int_equal(rig_ask(r, MX_PEER, a).result, OK);
	buf_done(&row);
}

static struct answer due(struct rig *r)
{
	return rig_ask(r, COURIER_PEER, (struct ask){.kind = ASK_DMARC_DUE});
}

static enum result done(struct rig *r, const char *domain, int64_t day)
{
	struct ask a = {.kind = ASK_DMARC_DONE};

	a.dmarc_done.domain = bytes_of_text(domain);
	a.dmarc_done.day = day;
	return rig_ask(r, COURIER_PEER, a).result;
}

/* Rows, and mails in them. */
static void count(struct bytes rows, unsigned *ret_rows, uint64_t *ret_mails)
{
	struct wire w = wire_of(rows);

	*ret_rows = 0;
	*ret_mails = 0;
	while (!wire_end(&w)) {
		struct bytes row = wire_block(&w);
		struct dmarc_row parsed;

		*ret_mails += wire_u64(&w);
		assert_false(w.bad);
		assert_int_equal(row.ptr[16], JUDGE_REFUSE);
		assert_int_equal(dmarc_row_parse(bytes_skip(row, 17), &parsed), OK);
		++*ret_rows;
	}
}

static void a_day_is_counted_given_and_forgotten(void **state)
{
	struct rig r = rig_make("", "");
	int64_t day;
	struct answer a;
	unsigned rows;
	uint64_t mails;

	(void)state;
	rig_open(&r);
	day = r.now - r.now % DAY;
	for (int i = 0; i < 5; i++)
		judged(&r, "d.test", i < 3 ? "192.0.2.1" : "2001:db8::1");
	judged(&r, "e.test", "192.0.2.1");
	assert_int_equal(due(&r).result, NOT_FOUND); /* today is not over */
	r.now += DAY;
	do
		a = due(&r); /* what waits in memory is written first */
	while (a.result == UNAVAILABLE);
	assert_int_equal(a.result, OK);
	assert_bytes(a.dmarc_due.domain, BYTES("d.test"));
	assert_true(a.dmarc_due.day == day && !a.dmarc_due.more);
	count(a.dmarc_due.rows, &rows, &mails);
	assert_int_equal(rows, 2);
	assert_int_equal(mails, 5);
	/* It outlives a restart, also one that makes the index anew. */
	rig_close(&r);
	rig_remove(&r, "index.db*");
	rig_open(&r);
	a = due(&r);
	count(a.dmarc_due.rows, &rows, &mails);
	assert_int_equal(mails, 5);
	assert_int_equal(done(&r, "d.test", day), OK);
	assert_bytes(due(&r).dmarc_due.domain, BYTES("e.test"));
	assert_int_equal(done(&r, "e.test", day), OK);
	assert_int_equal(due(&r).result, NOT_FOUND);
	rig_done(&r);
}

static void many_rows_come_in_pages(void **state)
{
	struct rig r = rig_make("", "");
	struct ask a = {.kind = ASK_DMARC_DUE};
	struct arena arena = {0};
	struct answer got;
	unsigned rows, pages = 0, all = 0;
	uint64_t mails;
	char address[32];

	(void)state;
	rig_open(&r);
	for (int i = 0; i < 900; i++) {
		snprintf(address, sizeof(address), "192.0.%d.%d", i / 250, i % 250);
		judged(&r, "d.test", address);
	}
	r.now += DAY;
	while (due(&r).result == UNAVAILABLE)
		;
	do {
		struct wire w;

		got = rig_ask(&r, COURIER_PEER, a);
		assert_int_equal(got.result, OK);
		count(got.dmarc_due.rows, &rows, &mails);
		all += rows;
		pages++;
		a.dmarc_due.domain = BYTES("d.test");
		a.dmarc_due.day = got.dmarc_due.day;
		for (w = wire_of(got.dmarc_due.rows); !wire_end(&w); wire_u64(&w))
			a.dmarc_due.after = arena_copy(&arena, wire_block(&w));
	} while (got.dmarc_due.more);
	assert_int_equal(all, 900);
	assert_true(pages > 1);
	arena_done(&arena);
	rig_done(&r);
}

static void what_is_no_row_is_not_counted(void **state)
{
	struct rig r = rig_make("", "");
	struct ask a = {.kind = ASK_JUDGED};
	struct ip ip = {{0}};

	(void)state;
	rig_open(&r);
	a.judged.stage = 1;
	a.judged.score = 30000;
	a.judged.ip = bytes_of(ip.octets, sizeof(ip.octets));
	a.judged.dmarc = BYTES("nonsense");
	assert_int_equal(rig_ask(&r, MX_PEER, a).result, OK);
	r.now += DAY;
	assert_int_equal(due(&r).result, NOT_FOUND);
	rig_done(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(a_day_is_counted_given_and_forgotten),
	        cmocka_unit_test(many_rows_come_in_pages),
	        cmocka_unit_test(what_is_no_row_is_not_counted),
	};

	return TEST_MAIN(tests);
}
