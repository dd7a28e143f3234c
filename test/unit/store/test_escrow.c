/* Escrow: what was refused is durable, delivered to nobody, and delivered once when it is released; over restarts, a rebuilt
 * index, and age and size. */
#include "store_test.h"

#include <stdlib.h>

#include "base/ip.h"
#include "policy/evidence.h"
#include "store/escrow.h"
#include "store/life.h"

#define DAY (24 * 3600 * 1000LL)

static struct answer escrow(struct rig *r, uint64_t judgement, const char *first,
                            const char *second)
{
	struct ask a = rig_commit(r, 7, BYTES("Subject: x\r\n\r\nhello\r\n"), first, second);

	a.commit.escrow = 1;
	a.commit.judgement = judgement;
	return rig_ask(r, MX_PEER, a);
}

static void say(struct buf *out, const char *check, enum judge_action wants)
{
	struct evidence e = {.check = bytes_of_text(check),
	                     .says = EVIDENCE_BAD,
	                     .points = 600,
	                     .wants = wants,
	                     .text = BYTES("127.0.0.4")};

	evidence_pack(out, &e);
}

/* As JUDGED does it. */
static uint64_t judged(struct rig *r, const char *check, const char *other)
{
	struct judgement j = {.stage = 1,
	                      .action = JUDGE_REFUSE,
	                      .score = 30600,
	                      .sender = BYTES("s@remote.test")};
	struct buf evidence = {0};
	char id[JUDGEMENT_ID + 1];
	uint64_t number;

	say(&evidence, check, JUDGE_REFUSE);
	if (other)
		say(&evidence, other, JUDGE_REFUSE);
	j.evidence = buf_bytes(&evidence);
	store_hold(r->store);
	number = judgement_keep(r->store, &j, id);
	store_let(r->store);
	buf_done(&evidence);
	return number;
}

static uint32_t messages(struct rig *r, uint64_t account, const char *mailbox)
{
	rig_login(r, account);
	return rig_status(r, mailbox).messages;
}

static enum result run_release(struct store *s, struct job *j, struct why *why)
{
	(void)why;
	escrow_release(s, j, j->entry_id, j->ask.admin.subject, BYTES("test"));
	return OK;
}

static void release(struct rig *r, uint64_t mail, const char *rcpt)
{
	struct job *j = job_new(r->store, run_release);

	j->entry_id = mail;
	j->ask.admin.subject = bytes_of_text(rcpt);
	store_hold(r->store);
	job_put(&r->store->writes, j);
	store_let(r->store);
	rig_run(r);
}

static enum result run_wrong(struct store *s, struct job *j, struct why *why)
{
	(void)why;
	escrow_release_check(s, j, BYTES("list.zen"), 0);
	return OK;
}

static void check_sound(struct rig *r)
{
	struct store_check c;
	struct why why = {0};

	assert_int_equal(store_verify(r->store, false, NULL, NULL, &c, &why), OK);
	assert_int_equal(c.damaged + c.figures + c.dangling, 0);
}

/* The same from the log alone. */
static void check_rebuilt(struct rig *r)
{
	char *before = rig_dump(r), *after;

	rig_close(r);
	rig_remove(r, "index.db*");
	rig_open(r);
	after = rig_dump(r);
	assert_string_equal(before, after);
	memory_free(before);
	memory_free(after);
	check_sound(r);
}

static bool kept(struct rig *r, uint64_t mail, struct change_escrow *ret)
{
	return escrow_read(r->store->db, &r->arena, mail, ret);
}

static void test_kept(void **state)
{
	struct rig r = rig_make("", "");
	struct change_escrow e;
	struct answer a;
	struct ask again;
	uint64_t ken;

	(void)state;
	rig_open(&r);
	ken = rig_account(&r, "ken@example.test");
	a = escrow(&r, judged(&r, "list.zen", NULL), "ken@example.test", NULL);
	assert_int_equal(a.result, OK);
	assert_true(bytes_equal(a.commit.id, BYTES("00000001")));
	assert_int_equal(messages(&r, ken, "INBOX"), 0);
	assert_int_equal(messages(&r, ken, "Junk"), 0);
	assert_int_equal(rig_take(&r).kind, 0);
	check_rebuilt(&r);
	assert_true(kept(&r, 1, &e));
	assert_true(bytes_equal(e.checks, BYTES("list.zen")));
	assert_true(bytes_equal(e.sender, BYTES("sender@remote.test")));
	assert_int_equal(e.released_at, 0);
	/* The same COMMIT again is the same mail. */
	again = rig_commit(&r, 7, BYTES("x\r\n"), "ken@example.test", NULL);
	again.commit.escrow = 1;
	a = rig_ask(&r, MX_PEER, again);
	again.commit.spool = rig_spool(&r, MX_PEER, 7, BYTES("x\r\n"));
	assert_true(bytes_equal(rig_ask(&r, MX_PEER, again).commit.id, BYTES("00000002")));
	assert_false(kept(&r, 3, &e));
	rig_done(&r);
}

static void test_rights(void **state)
{
	struct rig r = rig_make("", "");
	struct ask a;

	(void)state;
	rig_open(&r);
	rig_account(&r, "ken@example.test");
	assert_int_equal(escrow(&r, 0, "x@remote.test", NULL).result, DENIED);
	assert_int_equal(escrow(&r, 0, "ken@example.test", "x@remote.test").result, DENIED);
	a = rig_send(&r, "x\r\n", "ken@example.test", NULL);
	a.commit.escrow = 1;
	assert_int_equal(rig_ask(&r, SORTER_PEER, a).result, DENIED);
	rig_done(&r);
}

static void test_release(void **state)
{
	struct rig r = rig_make("", "all@example.test ken@example.test, aya@example.test\n");
	struct change_escrow e;
	uint64_t ken, aya;

	(void)state;
	rig_open(&r);
	ken = rig_account(&r, "ken@example.test");
	aya = rig_account(&r, "aya@example.test");
	escrow(&r, judged(&r, "spf", NULL), "ken@example.test", "aya@example.test");
	release(&r, 1, "KEN@example.test");
	assert_int_equal(messages(&r, ken, "INBOX"), 1);
	assert_int_equal(messages(&r, aya, "INBOX"), 0);
	assert_true(kept(&r, 1, &e));
	assert_int_equal(e.released_at, 0);
	check_rebuilt(&r);
	for (int i = 0; i < 3; i++)
		release(&r, 1, "");
	assert_int_equal(messages(&r, ken, "INBOX"), 1);
	assert_int_equal(messages(&r, aya, "INBOX"), 1);
	assert_true(kept(&r, 1, &e));
	assert_true(e.released_at > 0 && e.rcpts.len == 0);
	check_rebuilt(&r);
	/* An alias and the account behind it, one after the other: one copy. */
	escrow(&r, 0, "ken@example.test", "all@example.test");
	release(&r, 2, "ken@example.test");
	assert_int_equal(messages(&r, ken, "INBOX"), 2);
	release(&r, 2, "all@example.test");
	assert_int_equal(rig_take(&r).result, OK); /* the alias is the sorter's to follow */
	check_sound(&r);
	rig_done(&r);
}

/* A check that was wrong: what it alone had refused is delivered, however much it is; the rest stays. */
static void test_wrong_check(void **state)
{
	struct rig r = rig_make("", "");
	struct change_escrow e;
	enum { MAILS = ESCROW_BATCH * 2 + 3 };
	uint64_t ken;

	(void)state;
	rig_open(&r);
	ken = rig_account(&r, "ken@example.test");
	for (int i = 0; i < MAILS; i++)
		escrow(&r, judged(&r, "list.zen", NULL), "ken@example.test", NULL);
	escrow(&r, judged(&r, "list.zen", "dmarc"), "ken@example.test", NULL);
	escrow(&r, judged(&r, "dmarc", NULL), "ken@example.test", NULL);
	store_hold(r.store);
	job_put(&r.store->writes, job_new(r.store, run_wrong));
	store_let(r.store);
	/* The order is durable; the process dies with the work half done. */
	store_write_step(r.store);
	store_write_step(r.store);
	rig_close(&r);
	rig_open(&r);
	rig_run(&r);
	assert_int_equal(messages(&r, ken, "INBOX"), MAILS);
	for (uint64_t mail = 1; mail <= MAILS + 2; mail++) {
		assert_true(kept(&r, mail, &e));
		assert_int_equal(e.released_at > 0, mail <= MAILS);
	}
	assert_false(escrow_waits(r.store));
	/* It had been judged before, and came into escrow a moment after. */
	escrow(&r, judged(&r, "list.zen", NULL), "ken@example.test", NULL);
	assert_int_equal(messages(&r, ken, "INBOX"), MAILS);
	assert_true(store_deadline(r.store) <= r.now + 61 * 1000);
	r.now += 62 * 1000;
	store_tick(r.store, r.now);
	assert_true(store_write_waits(r.store));
	rig_run(&r);
	assert_int_equal(messages(&r, ken, "INBOX"), MAILS + 1);
	check_rebuilt(&r);
	assert_false(escrow_waits(r.store));
	/* The order is over: what the check says from now on counts again. */
	escrow(&r, judged(&r, "list.zen", NULL), "ken@example.test", NULL);
	r.now += 62 * 1000;
	store_tick(r.store, r.now);
	rig_run(&r);
	assert_int_equal(messages(&r, ken, "INBOX"), MAILS + 1);
	rig_done(&r);
}

static void test_forgotten(void **state)
{
	struct rig r = rig_make("escrow {\n keep 2d\n}\n", "");
	struct change_escrow e;
	uint64_t ken;

	(void)state;
	rig_open(&r);
	ken = rig_account(&r, "ken@example.test");
	escrow(&r, 0, "ken@example.test", NULL);
	escrow(&r, 0, "ken@example.test", NULL);
	release(&r, 2, "");
	r.now += DAY;
	store_tick(r.store, r.now);
	escrow(&r, 0, "ken@example.test", NULL);
	assert_true(kept(&r, 1, &e));
	r.now += DAY + 60 * 1000;
	store_tick(r.store, r.now);
	rig_mail(&r, "x\r\n", "ken@example.test", NULL);
	rig_run(&r);
	assert_false(kept(&r, 1, &e));
	assert_false(kept(&r, 2, &e));
	assert_true(kept(&r, 3, &e));
	/* The released one is in the mailbox still. */
	assert_int_equal(messages(&r, ken, "INBOX"), 2);
	assert_true(bytes_find(rig_read(&r, 1, 1), BYTES("hello")) != BYTES_NONE);
	check_rebuilt(&r);
	rig_done(&r);
}

static void test_size(void **state)
{
	struct rig r = rig_make("escrow {\n size 16m\n}\nstore {\n blob-over 100k\n}\n", "");
	char *big = memory_get(3000000);
	struct change_escrow e;
	uint64_t octets = 0;

	(void)state;
	memset(big, 'x', 3000000);
	rig_open(&r);
	rig_account(&r, "ken@example.test");
	for (int i = 0; i < 8; i++) {
		struct ask a = rig_commit(&r, 7, bytes_of(big, 3000000), "ken@example.test", NULL);

		a.commit.escrow = 1;
		assert_int_equal(rig_ask(&r, MX_PEER, a).result, OK);
	}
	rig_run(&r);
	for (uint64_t mail = 1; mail <= 8; mail++)
		octets += kept(&r, mail, &e) ? e.size : 0;
	assert_true(octets <= 16 * 1024 * 1024 && octets > 12 * 1024 * 1024);
	assert_false(kept(&r, 1, &e));
	assert_true(kept(&r, 8, &e));
	check_rebuilt(&r);
	memory_free(big);
	rig_done(&r);
}

/* A short id is one number, in any case, and never a queue id or a word. */
static void test_ids(void **state)
{
	struct rig r = rig_make("", "");
	uint64_t last = 0, back, ignored;
	char id[JUDGEMENT_ID + 1];

	(void)state;
	rig_open(&r);
	for (int i = 0; i < 20000; i++) {
		uint64_t number = judged(&r, "spf", NULL);

		assert_true(number > last);
		last = number;
		judgement_id(number, id);
		assert_true(judgement_of_id(bytes_of_text(id), &back));
		assert_int_equal(back, number);
		for (char *p = id; *p; p++)
			*p = (char)(*p >= 'a' ? *p - 32 : *p);
		assert_true(judgement_of_id(bytes_of_text(id), &back) && back == number);
	}
	assert_false(judgement_of_id(BYTES("0123ABCD"), &ignored));
	assert_false(judgement_of_id(BYTES("received"), &ignored));
	assert_false(judgement_of_id(BYTES("ravenwyz"), &ignored));
	assert_false(judgement_of_id(BYTES("k7"), &ignored));
	/* Bounded: the oldest are forgotten. */
	assert_int_equal(r.store->judgements.kept.count, JUDGEMENTS_MAX);
	rig_done(&r);
}

/* What the sender was told leads to the record of it. */
static void test_trace(void **state)
{
	struct rig r = rig_make("", "");
	char id[JUDGEMENT_ID + 1], text[200];
	uint64_t number;
	struct answer a;

	(void)state;
	rig_open(&r);
	rig_account(&r, "ken@example.test");
	number = judged(&r, "list.zen", NULL);
	judgement_id(number, id);
	escrow(&r, number, "ken@example.test", NULL);
	r.now += 1000;
	store_tick(r.store, r.now);
	rig_run(&r);
	snprintf(text, sizeof(text), "550 5.7.1 Refused by our checks; quote %s to the postmaster",
	         id);
	a = rig_admin(&r, ADMIN_TRACE, text, 0);
	assert_int_equal(a.result, OK);
	assert_true(bytes_find(a.admin.rows, BYTES("\"event\":\"escrowed\"")) != BYTES_NONE);
	assert_true(bytes_find(a.admin.rows, BYTES("score=6.00 list.zen=\\\"bad 6.00 127.0.0.4")) !=
	            BYTES_NONE);
	rig_done(&r);
}

/* A mail that came from this host; name: its PTR, which does not lead back, or NULL; good: it has none of that. */
static void came_from(struct rig *r, const char *ip_text, const char *name, uint32_t known,
                      bool good)
{
	struct evidence e = {.check = BYTES("iprev"),
	                     .says = good ? EVIDENCE_GOOD : EVIDENCE_BAD,
	                     .points = good ? 0 : 60};
	struct ask a = {.kind = ASK_JUDGED, .session = 7};
	struct buf evidence = {0}, rcpts = {0};
	struct ip ip;
	char text[200];

	snprintf(text, sizeof(text),
	         name ? "%s does not lead back to the address" : "the address has no name", name);
	e.text = bytes_of_text(text);
	evidence_pack(&evidence, &e);
	buf_block(&rcpts, BYTES("ken@example.test"));
	assert_int_equal(ip_parse(bytes_of_text(ip_text), &ip), OK);
	a.judged.stage = 1;
	a.judged.action = JUDGE_DEFER;
	a.judged.score = 30600;
	a.judged.known = known;
	a.judged.ip = bytes_of(ip.octets, sizeof(ip.octets));
	a.judged.helo = BYTES("relay.isp.test");
	a.judged.evidence = buf_bytes(&evidence);
	a.judged.rcpts = buf_bytes(&rcpts);
	assert_int_equal(rig_ask(r, MX_PEER, a).result, OK);
	buf_done(&evidence);
	buf_done(&rcpts);
}

static bool tells(struct answer a, const char *text)
{
	return a.result == OK && bytes_find(a.admin.rows, bytes_of_text(text)) != BYTES_NONE;
}

static void test_senders(void **state)
{
	struct rig r = rig_make("", "");
	struct answer a;
	int64_t begin;

	(void)state;
	rig_open(&r);
	rig_account(&r, "ken@example.test");
	begin = r.now;
	for (int i = 0; i < 3; i++) {
		came_from(&r, "192.0.2.1", "Out1.isp.test", 0, false);
		came_from(&r, "192.0.2.130", "out2.isp.test", HISTORY_WRITTEN_TO_BY_RCPT, false);
		came_from(&r, "198.51.100.9", NULL, HISTORY_SEEN_ADDRESS, false);
		came_from(&r, "203.0.113.5", "fine.test", 0, true);
	}
	came_from(&r, "198.51.100.77", NULL, 0, false);
	came_from(&r, "2001:db8:1:2::3", NULL, 0, false);
	r.now += 1000;
	store_tick(r.store, r.now);
	rig_run(&r);
	a = rig_admin(&r, ADMIN_SENDERS, "", 0);
	assert_true(tells(
	        a, "{\"network\":\"isp.test\",\"hosts\":2,\"named\":2,\"mails\":6,\"known\":3,"));
	assert_true(tells(a, "{\"network\":\"198.51.100.0/"
	                     "24\",\"hosts\":2,\"named\":0,\"mails\":4,\"known\":0,"));
	assert_true(tells(a, "{\"network\":\"2001:db8:1::/48\",\"hosts\":1"));
	assert_false(tells(a, "fine.test"));
	assert_true(bytes_starts(a.admin.rows, BYTES("{\"network\":\"isp.test\"")));
	a = rig_admin(&r, ADMIN_SENDERS, "ISP.test", 0);
	assert_true(tells(a, "isp.test") && !tells(a, "198.51.100"));
	assert_int_equal(rig_admin(&r, ADMIN_SENDERS, "", (uint64_t)begin + DAY).admin.rows.len, 0);
	/* Somebody whom we know writes from there: an incident, until nothing of the kind comes. */
	a = rig_admin(&r, ADMIN_INCIDENTS, "", 0);
	assert_true(tells(a, "\"key\":\"isp.test\"") && !tells(a, "198.51.100.0/24"));
	r.now += 4 * DAY;
	store_tick(r.store, r.now);
	rig_mail(&r, "x\r\n", "ken@example.test", NULL);
	rig_run(&r);
	assert_false(tells(rig_admin(&r, ADMIN_INCIDENTS, "", 0), "isp.test"));
	/* They were deferred: that is found by the host's name, too. */
	assert_true(tells(rig_admin(&r, ADMIN_TRACE, "relay.isp.test", 0), "judged-deferred"));
	rig_done(&r);
}

static struct answer digest(struct rig *r, const char *after)
{
	struct ask a = {.kind = ASK_DIGEST};

	a.digest.after = bytes_of_text(after);
	return rig_ask(r, COURIER_PEER, a);
}

/* Who is named is told once of each day that is over, and of nothing that was delivered after all. */
static void test_digest(void **state)
{
	struct rig r = rig_make("escrow {\n digest ken@example.test other.test\n digest-japanese "
	                        "other.test\n}\ndomain other.test\n",
	                        "");
	struct ask done = {.kind = ASK_DIGEST_DONE};
	struct answer a;

	(void)state;
	rig_open(&r);
	rig_account(&r, "ken@example.test");
	rig_account(&r, "aya@example.test");
	rig_account(&r, "mio@other.test");
	escrow(&r, judged(&r, "spf", NULL), "Ken@example.test", "aya@example.test");
	escrow(&r, judged(&r, "spf", NULL), "ken@example.test", "mio@other.test");
	escrow(&r, 0, "ken@example.test", NULL);
	release(&r, 3, "");
	assert_int_equal(digest(&r, "").result, NOT_FOUND); /* the day is not over */
	r.now += DAY;
	store_tick(r.store, r.now);
	a = digest(&r, "");
	assert_int_equal(a.result, OK);
	assert_true(bytes_equal(a.digest.rcpt, BYTES("ken@example.test")));
	assert_int_equal(a.digest.count, 2);
	assert_int_equal(a.digest.japanese, 0);
	done.digest_done.until = a.digest.until;
	done.digest_done.rcpt = BYTES("ken@example.test");
	a = digest(&r, "ken@example.test");
	assert_true(bytes_equal(a.digest.rcpt, BYTES("mio@other.test")));
	assert_int_equal(a.digest.japanese, 1);
	assert_int_equal(digest(&r, "mio@other.test").result, NOT_FOUND);
	/* It is due until it is out. */
	assert_true(bytes_equal(digest(&r, "").digest.rcpt, BYTES("ken@example.test")));
	assert_int_equal(rig_ask(&r, COURIER_PEER, done).result, OK);
	check_rebuilt(&r);
	assert_true(bytes_equal(digest(&r, "").digest.rcpt, BYTES("mio@other.test")));
	rig_done(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_kept),      cmocka_unit_test(test_rights),
	        cmocka_unit_test(test_release),   cmocka_unit_test(test_wrong_check),
	        cmocka_unit_test(test_forgotten), cmocka_unit_test(test_size),
	        cmocka_unit_test(test_ids),       cmocka_unit_test(test_trace),
	        cmocka_unit_test(test_senders),   cmocka_unit_test(test_digest),
	};

	return TEST_MAIN(tests);
}
