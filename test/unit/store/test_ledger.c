/* The ledger and trace: what happened is found again, by whatever a person has in hand. */
#include "store_test.h"

#include <stdlib.h>

#include "base/ip.h"
#include "store/reason.h"
#include "store/trace_scan.h"
#include "../../sim/disk.h"

#define DAY (24 * 3600 * 1000LL)

/* The events wait half a second for others. */
static void settle(struct rig *r)
{
	r->now += 1000;
	store_tick(r->store, r->now);
	rig_run(r);
}

static struct answer trace(struct rig *r, const char *what)
{
	settle(r);
	return rig_admin(r, ADMIN_TRACE, what, 0);
}

static bool tells(struct answer a, const char *text)
{
	return a.result == OK && bytes_find(a.admin.rows, bytes_of_text(text)) != BYTES_NONE;
}

static void commit(struct rig *r, const char *sender, const char *rcpt, const char *message_id)
{
	struct ask a = rig_commit(r, 7, BYTES("Subject: x\r\n\r\nhello\r\n"), rcpt, NULL);

	a.commit.sender = bytes_of_text(sender);
	a.commit.message_id = bytes_of_text(message_id);
	a.commit.trace = BYTES("Received: from a.test (a.test [192.0.2.7])\r\n");
	assert_int_equal(rig_ask(r, MX_PEER, a).result, OK);
}

static void test_trace_mail(void **state)
{
	struct rig r = rig_make("", "sales@example.test ken@example.test\n");
	struct answer a;

	(void)state;
	rig_open(&r);
	rig_account(&r, "ken@example.test");
	commit(&r, "mother@remote.test", "ken@example.test", "one@remote.test");
	commit(&r, "shop@other.test", "sales@example.test", "two@other.test");
	a = trace(&r, "mother@remote.test");
	assert_true(tells(a, "\"event\":\"accepted\""));
	assert_true(tells(a, "one@remote.test"));
	assert_true(tells(a, "192.0.2.7"));
	assert_false(tells(a, "shop@other.test"));
	/* Where it stands now. */
	assert_true(tells(a, "\"mailbox\":\"INBOX\""));
	/* By Message-ID, with what mail programs put around it; in any case; by id; by the IP address. */
	assert_true(tells(trace(&r, "Message-ID: <ONE@remote.test>"), "mother@remote.test"));
	assert_true(tells(trace(&r, "00000001"), "mother@remote.test"));
	assert_true(tells(trace(&r, "192.0.2.7"), "shop@other.test"));
	assert_true(tells(trace(&r, "A.test"), "mother@remote.test"));
	assert_int_equal(trace(&r, "b.test").admin.rows.len, 0);
	/* An alias's mail is found where it was put. */
	assert_true(tells(trace(&r, "sales@example.test"), "\"account\":\"ken@example.test\""));
	/* The account's address meets both; a bounce that names one sender only that one. */
	a = trace(&r, "ken@example.test");
	assert_true(tells(a, "mother@remote.test") && tells(a, "shop@other.test"));
	a = trace(&r, "Final-Recipient: rfc822;ken@example.test\r\nTo: <shop@other.test>\r\n");
	assert_true(tells(a, "shop@other.test"));
	assert_false(tells(a, "mother@remote.test"));
	assert_int_equal(trace(&r, "good morning").result, INVALID);
	rig_done(&r);
}

/* The octets 70 and 102 are 'F' and 'f': an address and a mail's number are no text to be folded. */
static void test_numbers_are_not_folded(void **state)
{
	struct rig r = rig_make("", "");
	struct answer a;

	(void)state;
	rig_open(&r);
	rig_account(&r, "ken@example.test");
	for (int i = 1; i <= 102; i++)
		commit(&r,
		       i == 70    ? "upper@remote.test"
		       : i == 102 ? "lower@remote.test"
		                  : "x@remote.test",
		       "ken@example.test", "x@remote.test");
	a = trace(&r, "upper@remote.test");
	assert_true(tells(a, "00000046"));
	assert_false(tells(a, "lower@remote.test"));
	rig_done(&r);
}

/* A mail in the queue: its entry is told, and the removal afterwards. */
static void test_trace_queue(void **state)
{
	struct rig r = rig_make("", "all@example.test a@remote.test, b@remote.test\n");
	struct answer a;

	(void)state;
	rig_open(&r);
	commit(&r, "mother@remote.test", "all@example.test", "q@remote.test");
	a = trace(&r, "all@example.test");
	assert_true(tells(a, "\"now\":\"queue\""));
	assert_true(tells(a, "\"state\":\"ready\""));
	assert_int_equal(rig_admin(&r, ADMIN_QUEUE_HOLD, "1", 0).result, OK);
	a = trace(&r, "all@example.test");
	assert_true(tells(a, "\"event\":\"held\""));
	assert_true(tells(a, "\"state\":\"held\""));
	assert_int_equal(rig_admin(&r, ADMIN_QUEUE_REMOVE, "1", 0).result, OK);
	a = trace(&r, "all@example.test");
	assert_true(tells(a, "\"event\":\"removed\""));
	assert_false(tells(a, "\"now\":\"queue\""));
	assert_true(tells(a, "\"now\":\"gone\"") || tells(a, "\"now\":\"kept\""));
	rig_done(&r);
}

/* What happened around a time, in a file of many events. */
static void test_trace_time(void **state)
{
	struct rig r = rig_make("", "");
	int64_t middle = 0;
	char text[64];
	struct answer a;

	(void)state;
	rig_open(&r);
	rig_account(&r, "ken@example.test");
	for (int i = 0; i < 60; i++) {
		snprintf(text, sizeof(text), "s%d@remote.test", i);
		commit(&r, text, "ken@example.test", "x@remote.test");
		middle = i == 30 ? r.now : middle;
		r.now += 50 * 1000;
		settle(&r);
	}
	snprintf(text, sizeof(text), "time=%lld", (long long)middle);
	a = trace(&r, text);
	assert_true(tells(a, "s29@remote.test") && tells(a, "s30@remote.test") &&
	            tells(a, "s31@remote.test"));
	assert_false(tells(a, "s28@remote.test") || tells(a, "s32@remote.test"));
	snprintf(text, sizeof(text), "time=%lld", (long long)middle + DAY * 400);
	assert_int_equal(trace(&r, text).admin.rows.len, 0);
	rig_done(&r);
}

static void event(struct rig *r, unsigned reason, const char *sender, const char *text)
{
	struct ask a = {.kind = ASK_LEDGER, .session = 0x55};

	a.ledger.reason = (uint16_t)reason;
	a.ledger.sender = bytes_of_text(sender);
	a.ledger.text = bytes_of_text(text);
	assert_int_equal(rig_ask(r, MX_PEER, a).result, OK);
}

/* A front tells of its sessions. That a mail was carried, bounced or removed is the store's own to write down. */
static void test_rights(void **state)
{
	static const uint16_t stores[] = {
	        LEDGER_NONE,     LEDGER_ACCEPTED,        LEDGER_CARRIED,
	        LEDGER_REMOVED,  LEDGER_INCIDENT_CLOSED, LEDGER_SENDING_HELD,
	        LEDGER_ESCROWED, LEDGER_ESCROW_RELEASED, LEDGER_JUDGED_REFUSED};
	struct rig r = rig_make("", "");

	(void)state;
	rig_open(&r);
	for (size_t i = 0; i < sizeof(stores) / sizeof(*stores); i++) {
		struct ask a = {.kind = ASK_LEDGER};

		a.ledger.reason = stores[i];
		a.ledger.mail = 1;
		assert_int_equal(rig_ask(&r, MX_PEER, a).result, DENIED);
	}
	event(&r, LEDGER_SMTP_REFUSED, "one@remote.test", "day=first");
	rig_done(&r);
}

/* A refusal belongs to no mail, and is found all the same; over midnight and a restart too. */
static void test_days(void **state)
{
	struct rig r = rig_make("ledger { keep 7d\n }\n", "");

	(void)state;
	rig_open(&r);
	event(&r, LEDGER_SMTP_REFUSED, "one@remote.test", "day=first");
	settle(&r);
	r.now += DAY;
	event(&r, LEDGER_SMTP_REFUSED, "one@remote.test", "day=second");
	assert_true(tells(trace(&r, "one@remote.test"), "day=first"));
	assert_true(tells(trace(&r, "one@remote.test"), "day=second"));
	rig_close(&r);
	rig_open(&r);
	assert_true(tells(trace(&r, "one@remote.test"), "day=first"));
	/* Eight days later the first day is gone, as configured. */
	r.now += 7 * DAY;
	event(&r, LEDGER_SMTP_REFUSED, "one@remote.test", "day=ninth");
	settle(&r);
	assert_false(tells(trace(&r, "one@remote.test"), "day=first"));
	assert_true(tells(trace(&r, "one@remote.test"), "day=ninth"));
	rig_done(&r);
}

/* What waits when the store is closed is written. */
static void test_close_writes(void **state)
{
	struct rig r = rig_make("", "");

	(void)state;
	rig_open(&r);
	event(&r, LEDGER_LOGIN_FAILED, "ken@example.test", "last=1");
	rig_close(&r);
	rig_open(&r);
	assert_true(tells(trace(&r, "ken@example.test"), "last=1"));
	rig_done(&r);
}

/* Nothing holds a role up: what does not fit is counted and said. */
static void test_dropped(void **state)
{
	static char long_text[1900];
	struct rig r = rig_make("", "");

	(void)state;
	memset(long_text, 'x', sizeof(long_text) - 1);
	rig_open(&r);
	assert_true(tells(rig_admin(&r, ADMIN_STATUS, "", 0), "\"ledger_dropped\":0"));
	for (int i = 0; i < 4500; i++) {
		struct ask a = {.kind = ASK_LEDGER};
		struct answer got;
		struct store_peer to;

		a.ledger.reason = LEDGER_SMTP_REFUSED;
		a.ledger.text = bytes_of(long_text, sizeof(long_text) - 1);
		rig_put(&r, MX_PEER, a);
		assert_true(store_next_answer(r.store, &to, &got));
		assert_int_equal(got.result, OK);
	}
	assert_false(tells(rig_admin(&r, ADMIN_STATUS, "", 0), "\"ledger_dropped\":0"));
	rig_done(&r);
}

/* A file that is no database is replaced, and the ledger goes on. */
static void test_damaged_file(void **state)
{
	struct rig r = rig_make("", "");
	char command[200];

	(void)state;
	rig_open(&r);
	event(&r, LEDGER_LOGIN_FAILED, "ken@example.test", "first=1");
	settle(&r);
	rig_close(&r);
	snprintf(command, sizeof(command),
	         "for f in '%s'/ledger/*.db; do echo rubbish-rubbish-rubbish > $f; done", r.folder);
	assert_int_equal(system(command), 0);
	rig_open(&r);
	event(&r, LEDGER_LOGIN_FAILED, "ken@example.test", "second=1");
	assert_true(tells(trace(&r, "ken@example.test"), "second=1"));
	rig_done(&r);
}

/* ---- its disk is another's fault ---- */

/* No room for the ledger: mail goes on, the loss is counted, and it goes on when there is room again. */
static void test_disk_full(void **state)
{
	struct rig r = rig_make("", "");
	struct disk *d = disk_new(1);

	(void)state;
	r.options.ledger = disk_files(d);
	rig_open(&r);
	rig_account(&r, "ken@example.test");
	disk_set_space(d, disk_used(d) + 4096);
	for (int i = 0; i < 5; i++) {
		commit(&r, "mother@remote.test", "ken@example.test", "full@remote.test");
		settle(&r);
		r.now += 15 * 1000;
	}
	assert_false(tells(rig_admin(&r, ADMIN_STATUS, "", 0), "\"ledger_dropped\":0"));
	disk_set_space(d, UINT64_MAX);
	r.now += 15 * 1000;
	commit(&r, "father@remote.test", "ken@example.test", "room@remote.test");
	assert_true(tells(trace(&r, "room@remote.test"), "father@remote.test"));
	rig_login(&r, 1);
	assert_int_equal(rig_status(&r, "INBOX").messages, 6);
	rig_close(&r);
	disk_free(&d);
	rig_done(&r);
}

/* The power goes at each of its writes: the store does not mind, and the next start writes on. */
static void test_power_cut(void **state)
{
	(void)state;
	for (uint64_t step = 1; step < 120; step += 4) {
		struct rig r = rig_make("", "");
		struct disk *d = disk_new(step);

		r.options.ledger = disk_files(d);
		rig_open(&r);
		disk_cut_after(d, step);
		for (int i = 0; i < 6; i++) {
			event(&r, LEDGER_LOGIN_FAILED, "ken@example.test", "before=1");
			settle(&r);
		}
		rig_close(&r);
		disk_power_cycle(d);
		rig_open(&r);
		r.now += 15 * 1000;
		event(&r, LEDGER_LOGIN_FAILED, "ken@example.test", "after=1");
		assert_true(tells(trace(&r, "ken@example.test"), "after=1"));
		rig_close(&r);
		disk_free(&d);
		rig_done(&r);
	}
}

/* ---- the scanner ---- */

static void expect(const char *text, size_t count, const char *first)
{
	struct trace_clue list[TRACE_CLUES];

	assert_int_equal(trace_scan(bytes_of_text(text), list), count);
	if (count)
		assert_true(bytes_equal(list[0].text, bytes_of_text(first)));
}

static void test_scan(void **state)
{
	struct trace_clue list[TRACE_CLUES];
	static char many[40000];

	(void)state;
	expect("ken@example.test", 1, "ken@example.test");
	expect("<ken@example.test>,", 1, "ken@example.test");
	expect("Final-Recipient: rfc822;ken@example.test", 1, "ken@example.test");
	expect("mailto:ken@example.test", 1, "ken@example.test");
	expect("To: \"Ken\" <ken@example.test>; ken@example.test.", 1, "ken@example.test");
	expect("(\xe5\xae\x9b\xe5\x85\x88: \xe5\xb1\xb1@example.test)", 1,
	       "\xe5\xb1\xb1@example.test");
	expect("id 0000002A;", 1, "0000002A");
	expect("2A", 0, NULL);
	expect("550 5.7.1 quote k0a1b2c3 to the postmaster, e.g. by phone", 1, "k0a1b2c3");
	expect("(mail.example.test [192.0.2.7])", 2, "mail.example.test");
	expect("time=1700000000000", 1, "time=1700000000000");
	expect("[192.0.2.7]", 1, "192.0.2.7");
	expect("@example.test x@ @", 0, NULL);
	expect("", 0, NULL);
	assert_int_equal(trace_scan(BYTES("0000002A"), list), 1);
	assert_int_equal(list[0].kind, TRACE_MAIL);
	assert_int_equal(list[0].number, 42);
	/* Bounded, whatever is pasted. */
	for (size_t i = 0; i + 8 < sizeof(many); i += 8)
		snprintf(many + i, 9, "%05zx@b ", i / 8);
	assert_int_equal(trace_scan(bytes_of_text(many), list), TRACE_CLUES);
}

static void test_reasons(void **state)
{
	(void)state;
	assert_int_equal(ledger_reason_find(BYTES("smtp-refused")), LEDGER_SMTP_REFUSED);
	assert_int_equal(ledger_reason_find(BYTES("nonsense")), LEDGER_NONE);
	assert_string_equal(ledger_reason_word(LEDGER_CARRIED), "carried");
	assert_string_equal(ledger_reason_word(9999), "unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_trace_mail),   cmocka_unit_test(test_numbers_are_not_folded),
	        cmocka_unit_test(test_trace_time),   cmocka_unit_test(test_trace_queue),
	        cmocka_unit_test(test_rights),       cmocka_unit_test(test_days),
	        cmocka_unit_test(test_close_writes), cmocka_unit_test(test_dropped),
	        cmocka_unit_test(test_damaged_file), cmocka_unit_test(test_disk_full),
	        cmocka_unit_test(test_power_cut),    cmocka_unit_test(test_scan),
	        cmocka_unit_test(test_reasons),
	};

	return TEST_MAIN(tests);
}
