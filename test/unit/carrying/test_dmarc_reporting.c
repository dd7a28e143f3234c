/* DMARC reports on their way out: who gets them, what is asked in which order, what the mail says. */
#include "../verify/facts_test.h"

#include "base/memory.h"
#include "base/wire.h"
#include "carrying/dmarc_reporting.h"
#include "policy/evidence.h"
#include "verify/dmarc_report.h"

#define DAY 1700006400000LL
#define NOW (DAY + 30LL * 3600 * 1000)

static const uint8_t seed[16] = {1, 2, 3};

struct world {
	struct config *config;
	struct arena arena;
	struct buf rows;   /* of d.test */
	struct buf mail;   /* spooled since the last COMMIT */
	struct buf sent;   /* the last mail that was committed */
	struct buf to;     /* recipients, a line each */
	const char *allow; /* TXT at d.test._report._dmarc.other.test; NULL: there is none */
	bool dns_fails, store_fails;
	unsigned asked, done, commits;
};

static struct world world_make(const char *rua)
{
	struct config_source source = {BYTES("hikyaku.conf"),
	                               BYTES("hostname mx.us.test\ndomain us.test\n")};
	struct dmarc_input in = {.from_domain = BYTES("d.test")};
	struct spf_verdict spf = {.result = SPF_FAIL, .domain = BYTES("sender.test")};
	struct dmarc_verdict v = {.result = DMARC_FAIL,
	                          .policy = DMARC_POLICY_REJECT,
	                          .policy_domain = BYTES("d.test")};
	struct world w = {0};
	struct buf row = {0};
	struct why why = {{0}};

	assert_int_equal(config_parse(&source, 1, &w.config, &why), OK);
	v.record = arena_printf(&w.arena, "v=DMARC1; p=reject; np=reject; rua=%s", rua);
	v.rua = bytes_of_text(rua);
	buf_append(&row, bytes_of("\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\0\2\1", 16));
	buf_u8(&row, JUDGE_JUNK);
	dmarc_row_pack(&in, &spf, &v, &row);
	buf_block(&w.rows, buf_bytes(&row));
	buf_u64(&w.rows, 7);
	buf_done(&row);
	return w;
}

static void world_done(struct world *w)
{
	buf_done(&w->rows);
	buf_done(&w->mail);
	buf_done(&w->sent);
	buf_done(&w->to);
	arena_done(&w->arena);
	config_free(&w->config);
}

static void answer_due(struct world *w, struct answer *a)
{
	a->result = w->done ? NOT_FOUND : OK;
	a->dmarc_due.domain = BYTES("d.test");
	a->dmarc_due.day = DAY;
	a->dmarc_due.rows = buf_bytes(&w->rows);
}

static void answer_name(struct world *w, const struct ask *ask, struct answer *a)
{
	struct buf rdata = {0}, records = {0};

	assert_bytes(ask->resolve.name, BYTES("d.test._report._dmarc.other.test"));
	w->asked++;
	a->resolve.status = w->dns_fails ? FACT_FAILED : w->allow ? FACT_FOUND : FACT_NO_NAME;
	if (w->allow) {
		buf_u8(&rdata, (uint8_t)strlen(w->allow));
		buf_append_text(&rdata, w->allow);
		buf_block(&records, buf_bytes(&rdata));
	}
	a->resolve.records = arena_copy(&w->arena, buf_bytes(&records));
	buf_done(&rdata);
	buf_done(&records);
}

static void take_commit(struct world *w, const struct ask *ask)
{
	struct wire recipients = wire_of(ask->commit.recipients);

	w->commits++;
	assert_int_equal(ask->commit.sender.len, 0);
	assert_int_equal(ask->commit.key.len, 16);
	buf_append(&w->to, wire_block(&recipients));
	buf_append_char(&w->to, '\n');
	buf_clear(&w->sent);
	buf_append(&w->sent, buf_bytes(&w->mail));
	buf_clear(&w->mail);
}

static struct answer answer_of(struct world *w, const struct ask *ask)
{
	struct answer a = {.kind = ask->kind, .number = ask->number, .result = OK};

	switch (ask->kind) {
	case ASK_DMARC_DUE: answer_due(w, &a); break;
	case ASK_RESOLVE: answer_name(w, ask, &a); break;
	case ASK_DKIM_KEYS: a.result = NOT_FOUND; break;
	case ASK_SPOOL:
		buf_append(&w->mail, ask->spool.chunk);
		a.result = w->store_fails ? DISK_FULL : OK;
		break;
	case ASK_COMMIT: take_commit(w, ask); break;
	case ASK_DMARC_DONE: w->done++; break;
	default: fail_msg("asked for %d", ask->kind);
	}
	return a;
}

static unsigned run(struct world *w, time_ms now)
{
	struct dmarc_reporting *t = dmarc_reporting_new(w->config, seed, now);
	struct ask ask;
	unsigned sent;

	while (!dmarc_reporting_finished(t)) {
		struct answer a;

		assert_true(dmarc_reporting_ask(t, &ask));
		a = answer_of(w, &ask);
		dmarc_reporting_answer(t, &a);
	}
	sent = dmarc_reporting_sent(t);
	dmarc_reporting_free(&t);
	return sent;
}

static void the_report_says_what_was_seen(void **state)
{
	struct world w = world_make("mailto:rua@d.test");
	struct dmarc_report r;
	struct why why;

	(void)state;
	assert_int_equal(run(&w, NOW), 1);
	assert_int_equal(w.done, 1);
	assert_int_equal(w.asked, 0); /* their own address: nobody else is asked */
	assert_bytes(buf_bytes(&w.to), BYTES("rua@d.test\n"));
	assert_int_equal(dmarc_report_find(buf_bytes(&w.sent), &w.arena, &r, &why), OK);
	assert_bytes(r.domain, BYTES("d.test"));
	assert_bytes(r.organization, BYTES("us.test"));
	assert_true(r.begin == DAY / 1000 && r.end == DAY / 1000 + 86399 &&
	            r.p == DMARC_POLICY_REJECT && r.has_np);
	assert_int_equal(r.row_count, 1);
	assert_true(r.rows[0].count == 7 && r.rows[0].disposition == DMARC_POLICY_QUARANTINE);
	assert_bytes(r.rows[0].reason, BYTES("local_policy"));
	assert_true(bytes_find(buf_bytes(&w.sent),
	                       BYTES("Subject: Report Domain: d.test Submitter: us.test")) !=
	            BYTES_NONE);
	world_done(&w);
}

static void others_must_say_that_they_want_it(void **state)
{
	struct world w = world_make("mailto:d@other.test!10m, mailto:rua@d.test");

	(void)state;
	assert_int_equal(run(&w, NOW), 1);
	assert_bytes(buf_bytes(&w.to), BYTES("rua@d.test\n"));
	assert_int_equal(w.asked, 1);
	w.done = 0;
	w.allow = "v=DMARC1;";
	buf_clear(&w.to);
	assert_int_equal(run(&w, NOW), 2);
	assert_bytes(buf_bytes(&w.to), BYTES("d@other.test\nrua@d.test\n"));
	w.done = 0;
	w.allow = "v=spf1 -all";
	assert_int_equal(run(&w, NOW), 1);
	world_done(&w);
}

static void nobody_to_send_to_is_the_end_of_it(void **state)
{
	struct world w = world_make("https://d.test/dmarc");

	(void)state;
	assert_int_equal(run(&w, NOW), 0);
	assert_int_equal(w.done, 1);
	world_done(&w);
}

static void a_dead_dns_may_wait_but_not_for_ever(void **state)
{
	struct world w = world_make("mailto:d@other.test");

	(void)state;
	w.dns_fails = true;
	assert_int_equal(run(&w, NOW), 0);
	assert_int_equal(w.done, 0);
	assert_int_equal(run(&w, NOW + 4LL * 24 * 3600 * 1000), 0);
	assert_int_equal(w.done, 1);
	world_done(&w);
}

static void a_store_that_is_not_well_gets_it_again(void **state)
{
	struct world w = world_make("mailto:rua@d.test");

	(void)state;
	w.store_fails = true;
	assert_int_equal(run(&w, NOW), 0);
	assert_true(w.done == 0 && w.commits == 0);
	world_done(&w);
}

static void switched_off_sends_nothing(void **state)
{
	struct config_source source = {
	        BYTES("hikyaku.conf"),
	        BYTES("hostname mx.us.test\ndomain us.test\ncarry { dmarc-reports off }\n")};
	struct world w = world_make("mailto:rua@d.test");
	struct why why = {{0}};

	(void)state;
	config_free(&w.config);
	assert_int_equal(config_parse(&source, 1, &w.config, &why), OK);
	assert_int_equal(run(&w, NOW), 0);
	world_done(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(the_report_says_what_was_seen),
	        cmocka_unit_test(others_must_say_that_they_want_it),
	        cmocka_unit_test(nobody_to_send_to_is_the_end_of_it),
	        cmocka_unit_test(a_dead_dns_may_wait_but_not_for_ever),
	        cmocka_unit_test(a_store_that_is_not_well_gets_it_again),
	        cmocka_unit_test(switched_off_sends_nothing),
	};

	return TEST_MAIN(tests);
}
