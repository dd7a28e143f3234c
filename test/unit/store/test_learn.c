/* HISTORY, and what teaches it: mails that were taken, moves into and out of Junk, letters that our people wrote. */
#include "store_test.h"

#include <stdlib.h>

#include "base/ip.h"
#include "base/wire.h"
#include "policy/evidence.h"

#define DAY (24 * 3600 * 1000LL)

enum { STRANGERS = 7 };

struct world {
	struct rig r;
	struct file_system *learn;
	uint64_t ken;
};

static struct world world_make(const char *conf)
{
	struct world w = {.r = rig_make(conf, "sales@example.test ken@example.test\n")};

	w.learn = file_system_real_new(w.r.fd);
	w.r.options.learn = w.learn;
	rig_open(&w.r);
	w.ken = rig_account(&w.r, "ken@example.test");
	return w;
}

static void world_done(struct world *w)
{
	rig_done(&w->r);
	file_system_free(&w->learn);
}

static void settle(struct rig *r)
{
	r->now += 1000;
	store_tick(r->store, r->now);
	rig_run(r);
}

/* Who sent it, and its words. */
struct letter {
	const char *from, *domain, *ip;
	uint64_t first_word;
	unsigned words;
	uint32_t known;
	enum judge_action action;
	const char *replies_to;
};

static struct bytes ip_of(const char *text)
{
	static struct ip ip;

	assert_int_equal(ip_parse(bytes_of_text(text), &ip), OK);
	return bytes_of(ip.octets, sizeof(ip.octets));
}

static struct bytes words_of(const struct letter *l, struct buf *room)
{
	buf_clear(room);
	for (unsigned i = 0; i < l->words; i++)
		buf_u64(room, (l->first_word + i) * 0x9e3779b97f4a7c15ULL >> 1);
	return buf_bytes(room);
}

static struct answer_history history(struct world *w, const struct letter *l)
{
	struct ask a = {.kind = ASK_HISTORY, .session = STRANGERS};
	struct buf words = {0}, rcpts = {0}, replies = {0};
	struct answer got;

	settle(&w->r);
	buf_block(&rcpts, BYTES("ken@example.test"));
	if (l->replies_to)
		buf_block(&replies, bytes_of_text(l->replies_to));
	a.history.ip = ip_of(l->ip ? l->ip : "192.0.2.1");
	a.history.from = bytes_of_text(l->from);
	a.history.domain = bytes_of_text(l->domain);
	a.history.rcpts = buf_bytes(&rcpts);
	a.history.tokens = words_of(l, &words);
	a.history.replies_to = buf_bytes(&replies);
	got = rig_ask(&w->r, MX_PEER, a);
	assert_int_equal(got.kind, ASK_HISTORY);
	assert_int_equal(got.result, OK);
	buf_done(&words);
	buf_done(&rcpts);
	buf_done(&replies);
	return got.history;
}

static uint64_t judge(struct world *w, const struct letter *l)
{
	struct ask a = {.kind = ASK_JUDGED, .session = STRANGERS};
	struct buf words = {0};
	struct answer got;

	a.judged.stage = 1;
	a.judged.action = (uint8_t)l->action;
	a.judged.score = 30000;
	a.judged.ip = ip_of(l->ip ? l->ip : "192.0.2.1");
	a.judged.from = bytes_of_text(l->from);
	a.judged.domain = bytes_of_text(l->domain);
	a.judged.known = l->known;
	a.judged.tokens = words_of(l, &words);
	got = rig_ask(&w->r, MX_PEER, a);
	assert_int_equal(got.result, OK);
	buf_done(&words);
	return got.judged.judgement;
}

/* The whole way; it stands in INBOX, or in Junk. */
static void mail(struct world *w, const struct letter *l)
{
	struct ask a = rig_commit(&w->r, STRANGERS, BYTES("Subject: x\r\n\r\nx\r\n"),
	                          "ken@example.test", NULL);

	a.commit.judgement = judge(w, l);
	a.commit.junk = l->action == JUDGE_JUNK;
	assert_int_equal(rig_ask(&w->r, MX_PEER, a).result, OK);
}

static void move(struct world *w, const char *from, const char *to)
{
	struct answer_status s;
	struct ask a;

	rig_login(&w->r, w->ken);
	s = rig_status(&w->r, from);
	a = rig_mine(&w->r, ASK_COPY);
	a.copy.mailbox = s.mailbox;
	a.copy.set = rig_range(&w->r, s.uidnext - 1, s.uidnext - 1);
	a.copy.name = bytes_of_text(to);
	a.copy.move = 1;
	assert_int_equal(rig_ask(&w->r, ACCESS_PEER, a).result, OK);
}

static uint32_t first_count(struct answer_history h, bool bad)
{
	struct wire w = wire_of(h.tokens);
	uint32_t of_bad = wire_u32(&w), of_good = wire_u32(&w);

	return bad ? of_bad : of_good;
}

static void reputation(struct answer_history h, unsigned about, uint32_t *ret_good,
                       uint32_t *ret_bad)
{
	struct wire w = wire_of(h.reputations);

	*ret_good = *ret_bad = 0;
	while (!wire_end(&w)) {
		unsigned what = wire_u8(&w);
		uint32_t good = wire_u32(&w), bad = wire_u32(&w);

		wire_u64(&w);
		wire_u64(&w);
		if (what == about) {
			*ret_good = good;
			*ret_bad = bad;
		}
	}
}

static void expect_reputation(struct world *w, const struct letter *l, unsigned about,
                              uint32_t good, uint32_t bad)
{
	uint32_t got_good, got_bad;

	reputation(history(w, l), about, &got_good, &got_bad);
	assert_int_equal(got_good, good);
	assert_int_equal(got_bad, bad);
}

static void first_contact_knows_nothing(void **state)
{
	struct world w = world_make("");
	struct letter l = {.from = "a@remote.test", .domain = "remote.test", .words = 3};
	struct answer_history h = history(&w, &l);

	assert_int_equal(h.known, 0);
	assert_int_equal(h.reputations.len, 0);
	assert_int_equal(h.tokens.len, 0);
	world_done(&w);
}

static void what_was_taken_is_remembered(void **state)
{
	struct world w = world_make("");
	struct letter l = {.from = "A@remote.test", .domain = "remote.test", .words = 3};
	struct letter junk = {.from = "b@junk.test",
	                      .domain = "junk.test",
	                      .ip = "198.51.100.1",
	                      .action = JUDGE_JUNK};

	mail(&w, &l);
	mail(&w, &junk);
	l.from = "a@remote.test";
	assert_true(history(&w, &l).known & HISTORY_SEEN_ADDRESS);
	assert_true(history(&w, &l).known & HISTORY_SEEN_DOMAIN);
	expect_reputation(&w, &l, HISTORY_ADDRESS, 1, 0);
	/* what the checks themselves put into Junk teaches nothing */
	assert_int_equal(history(&w, &junk).known, 0);
	expect_reputation(&w, &junk, HISTORY_ADDRESS, 0, 0);
	/* nor what was judged and never taken */
	l.from = "c@remote.test";
	judge(&w, &l);
	assert_false(history(&w, &l).known & HISTORY_SEEN_ADDRESS);
	world_done(&w);
}

static void moves_into_junk_teach(void **state)
{
	struct world w = world_make("");
	struct letter l = {.from = "a@remote.test", .domain = "remote.test", .words = 3};
	struct letter other = {.from = "k@known.test",
	                       .domain = "known.test",
	                       .words = 3,
	                       .first_word = 100,
	                       .known = HISTORY_WRITTEN_TO_BY_RCPT,
	                       .ip = "198.51.100.1"};
	struct answer_history h;

	mail(&w, &other);
	mail(&w, &l);
	h = history(&w, &l);
	assert_int_equal(h.bad_total, 0);
	assert_int_equal(h.good_total, 1); /* of the sender whom ken wrote to */
	move(&w, "INBOX", "Junk");
	h = history(&w, &l);
	assert_int_equal(h.bad_total, 1);
	assert_int_equal(first_count(h, true), 1);
	assert_int_equal(first_count(h, false), 0);
	assert_false(h.known & HISTORY_SEEN_ADDRESS);
	expect_reputation(&w, &l, HISTORY_ADDRESS, 0, 1);
	expect_reputation(&w, &l, HISTORY_DOMAIN, 0, 1);
	expect_reputation(&w, &other, HISTORY_ADDRESS, 1, 0);
	/* a second look: no, it was none */
	move(&w, "Junk", "INBOX");
	h = history(&w, &l);
	assert_int_equal(h.bad_total, 0);
	assert_int_equal(h.good_total, 2);
	expect_reputation(&w, &l, HISTORY_ADDRESS, 1, 0);
	/* from Junk into the bin is no praise */
	move(&w, "INBOX", "Junk");
	move(&w, "Junk", "Trash");
	assert_int_equal(history(&w, &l).bad_total, 1);
	world_done(&w);
}

static void what_the_checks_junked_wrongly(void **state)
{
	struct world w = world_make("");
	struct letter l = {
	        .from = "a@remote.test", .domain = "remote.test", .words = 3, .action = JUDGE_JUNK};
	struct letter bad = {.from = "b@bad.test",
	                     .domain = "bad.test",
	                     .words = 3,
	                     .first_word = 50,
	                     .ip = "198.51.100.1"};

	mail(&w, &bad);
	move(&w, "INBOX", "Junk");
	mail(&w, &l);
	move(&w, "Junk", "INBOX");
	assert_int_equal(history(&w, &l).good_total, 1);
	assert_int_equal(first_count(history(&w, &l), false), 1);
	expect_reputation(&w, &l, HISTORY_ADDRESS, 1, 0);
	world_done(&w);
}

/* An operator let it out: somebody looked at it. */
static void a_release_from_escrow_teaches(void **state)
{
	struct world w = world_make("");
	struct letter l = {.from = "a@remote.test",
	                   .domain = "remote.test",
	                   .words = 3,
	                   .action = JUDGE_REFUSE};
	struct ask a = rig_commit(&w.r, STRANGERS, BYTES("Subject: x\r\n\r\nx\r\n"),
	                          "ken@example.test", NULL);

	a.commit.judgement = judge(&w, &l);
	a.commit.escrow = 1;
	assert_int_equal(rig_ask(&w.r, MX_PEER, a).result, OK);
	assert_int_equal(history(&w, &l).good_total, 0);
	assert_int_equal(rig_admin(&w.r, ADMIN_ESCROW_RELEASE, "all", 0).result, OK);
	assert_int_equal(history(&w, &l).good_total, 1);
	expect_reputation(&w, &l, HISTORY_ADDRESS, 1, 0);
	world_done(&w);
}

/* The words are kept for judge.learn-keep: what is moved later teaches nothing any more. */
static void old_words_are_forgotten(void **state)
{
	struct world w = world_make("judge { learn-keep 10d }\n");
	struct letter l = {.from = "a@remote.test", .domain = "remote.test", .words = 3};
	struct letter other = {.from = "b@remote.test", .domain = "remote.test", .words = 3};

	mail(&w, &l);
	settle(&w.r);
	w.r.now += 11 * DAY;
	assert_int_equal(rig_mail(&w.r, "Subject: y\r\n\r\ny\r\n", "ken@example.test", NULL), OK);
	judge(&w, &other);
	settle(&w.r);
	rig_login(&w.r, w.ken);
	struct ask a = rig_mine(&w.r, ASK_COPY);
	a.copy.mailbox = rig_status(&w.r, "INBOX").mailbox;
	a.copy.set = rig_range(&w.r, 1, 1);
	a.copy.name = BYTES("Junk");
	a.copy.move = 1;
	assert_int_equal(rig_ask(&w.r, ACCESS_PEER, a).result, OK);
	assert_int_equal(history(&w, &l).bad_total, 0);
	/* what was counted stays */
	assert_true(history(&w, &l).known & HISTORY_SEEN_ADDRESS);
	world_done(&w);
}

static void learning_can_be_off(void **state)
{
	struct world w = world_make("judge { learn off }\n");
	struct letter l = {.from = "a@remote.test", .domain = "remote.test", .words = 3};

	mail(&w, &l);
	move(&w, "INBOX", "Junk");
	assert_int_equal(history(&w, &l).bad_total, 0);
	world_done(&w);
}

static void login(struct world *w, const char *from)
{
	struct ask a = {.kind = ASK_GRANT};

	a.grant.front_session = 0x2000 + w->ken;
	a.grant.front = ACCESS;
	a.grant.account = w->ken;
	a.grant.rights = 3;
	a.grant.peer = ip_of(from);
	assert_int_equal(rig_ask(&w->r, KEEPER_PEER, a).result, OK);
}

static void written_to_and_replies(void **state)
{
	struct world w = world_make("");
	struct letter l = {.from = "friend@remote.test", .domain = "remote.test"};
	struct ask a;

	login(&w, "203.0.113.9");
	a = rig_commit(&w.r, STRANGERS, BYTES("Subject: x\r\n\r\nx\r\n"), "Friend@Remote.test",
	               NULL);
	a.session = 0x2000 + w.ken;
	a.commit.spool = rig_spool(&w.r, ACCESS_PEER, a.session, BYTES("Subject: x\r\n\r\nx\r\n"));
	a.commit.sender = BYTES("ken@example.test");
	a.commit.message_id = BYTES("one@example.test");
	assert_int_equal(rig_ask(&w.r, ACCESS_PEER, a).result, OK);
	assert_true(history(&w, &l).known & HISTORY_WRITTEN_TO_BY_RCPT);
	assert_true(history(&w, &l).known & HISTORY_WRITTEN_TO_BY_ANY);
	l.from = "other@remote.test";
	assert_int_equal(history(&w, &l).known, 0);
	l.replies_to = "one@example.test";
	assert_int_equal(history(&w, &l).known, HISTORY_REPLY_TO_OURS);
	l.replies_to = "two@example.test";
	assert_int_equal(history(&w, &l).known, 0);
	world_done(&w);
}

static void goodness_takes_time(void **state)
{
	struct world w = world_make("");
	struct letter l = {.from = "a@remote.test", .domain = "remote.test"};
	struct letter free_mail = {
	        .from = "a@gmail.com", .domain = "gmail.com", .ip = "198.51.100.1"};

	for (int i = 0; i < 30; i++) {
		mail(&w, &l);
		mail(&w, &free_mail);
	}
	assert_false(history(&w, &l).known &
	             (HISTORY_GOOD_DOMAIN | HISTORY_GOOD_NETWORK | HISTORY_SEEN_SAME_WAY));
	w.r.now += 15 * DAY;
	assert_true(history(&w, &l).known & HISTORY_GOOD_DOMAIN);
	assert_true(history(&w, &l).known & HISTORY_GOOD_NETWORK);
	assert_true(history(&w, &l).known & HISTORY_SEEN_SAME_WAY);
	/* anybody has an address there: the domain says nothing of him */
	assert_false(history(&w, &free_mail).known & HISTORY_GOOD_DOMAIN);
	/* another's network, without proof: his name alone is no way that we know */
	l.ip = "203.0.113.1";
	l.domain = "";
	assert_int_equal(history(&w, &l).known, HISTORY_SEEN_ADDRESS);
	world_done(&w);
}

static void complaints_end_it(void **state)
{
	struct world w = world_make("");
	struct letter l = {.from = "a@remote.test", .domain = "remote.test"};

	for (int i = 0; i < 12; i++)
		mail(&w, &l);
	w.r.now += 15 * DAY;
	assert_true(history(&w, &l).known & HISTORY_GOOD_DOMAIN);
	move(&w, "INBOX", "Junk");
	assert_false(history(&w, &l).known & (HISTORY_GOOD_DOMAIN | HISTORY_SEEN_SAME_WAY));
	world_done(&w);
}

static void own_login_network(void **state)
{
	struct world w = world_make("");
	struct letter l = {.from = "ken@example.test", .domain = "", .ip = "203.0.113.200"};

	login(&w, "203.0.113.9");
	assert_true(history(&w, &l).known & HISTORY_OWN_LOGIN_NETWORK);
	l.ip = "198.51.100.1";
	assert_false(history(&w, &l).known & HISTORY_OWN_LOGIN_NETWORK);
	l.ip = "203.0.113.200";
	l.from = "mie@example.test";
	assert_false(history(&w, &l).known & HISTORY_OWN_LOGIN_NETWORK);
	l.from = "ken@example.test";
	w.r.now += 100 * DAY;
	assert_false(history(&w, &l).known & HISTORY_OWN_LOGIN_NETWORK);
	world_done(&w);
}

/* The mother's client: it lost its SMTP setting, and her mail comes by her provider's relay. */
static void a_lost_setting_is_an_incident(void **state)
{
	struct world w = world_make("");
	struct letter l = {.from = "ken@example.test",
	                   .domain = "",
	                   .ip = "203.0.113.200",
	                   .action = JUDGE_REFUSE};
	struct answer a;
	struct ask commit;

	login(&w, "203.0.113.9");
	l.known = history(&w, &l).known;
	judge(&w, &l);
	settle(&w.r);
	a = rig_admin(&w.r, ADMIN_INCIDENTS, "", 0);
	assert_true(bytes_find(a.admin.rows, BYTES("ken@example.test")) != BYTES_NONE);
	assert_true(bytes_find(a.admin.rows, BYTES("action=refuse")) != BYTES_NONE);
	assert_true(bytes_find(a.admin.rows, BYTES("ip=203.0.113.200")) != BYTES_NONE);
	/* she sends through us again: it is over */
	commit = rig_commit(&w.r, STRANGERS, BYTES("Subject: x\r\n\r\nx\r\n"), "a@remote.test",
	                    NULL);
	commit.session = 0x2000 + w.ken;
	commit.commit.spool = rig_spool(&w.r, ACCESS_PEER, commit.session,
	                                BYTES("Subject: x\r\n\r\nx\r\n"));
	commit.commit.sender = BYTES("ken@example.test");
	assert_int_equal(rig_ask(&w.r, ACCESS_PEER, commit).result, OK);
	a = rig_admin(&w.r, ADMIN_INCIDENTS, "", 0);
	assert_true(bytes_find(a.admin.rows, BYTES("ken@example.test")) == BYTES_NONE);
	world_done(&w);
}

/* The same From from anywhere else is plain forgery: no incident. */
static void a_forgery_is_none(void **state)
{
	struct world w = world_make("");
	struct letter l = {.from = "ken@example.test",
	                   .domain = "",
	                   .ip = "198.51.100.1",
	                   .action = JUDGE_REFUSE};
	struct answer a;

	login(&w, "203.0.113.9");
	l.known = history(&w, &l).known;
	judge(&w, &l);
	settle(&w.r);
	a = rig_admin(&w.r, ADMIN_INCIDENTS, "", 0);
	assert_true(bytes_find(a.admin.rows, BYTES("ken@example.test")) == BYTES_NONE);
	world_done(&w);
}

static void it_outlives_a_restart(void **state)
{
	struct world w = world_make("");
	struct letter l = {.from = "a@remote.test", .domain = "remote.test", .words = 3};

	mail(&w, &l);
	rig_close(&w.r); /* what waits is written */
	rig_open(&w.r);
	assert_true(history(&w, &l).known & HISTORY_SEEN_ADDRESS);
	move(&w, "INBOX", "Junk");
	rig_close(&w.r);
	rig_open(&w.r);
	assert_int_equal(history(&w, &l).bad_total, 1);
	assert_true(bytes_find(rig_admin(&w.r, ADMIN_STATUS, "", 0).admin.rows,
	                       BYTES("\"learnt_junk\":1")) != BYTES_NONE);
	world_done(&w);
}

static void a_broken_file_is_put_aside(void **state)
{
	struct world w = world_make("");
	struct letter l = {.from = "a@remote.test", .domain = "remote.test", .words = 3};
	char command[200];

	mail(&w, &l);
	rig_close(&w.r);
	snprintf(command, sizeof(command),
	         "cd %s && rm -f learn.db-wal && head -c 8192 /dev/urandom > learn.db", w.r.folder);
	assert_int_equal(system(command), 0);
	rig_open(&w.r);
	assert_int_equal(history(&w, &l).known, 0);
	mail(&w, &l);
	assert_true(history(&w, &l).known & HISTORY_SEEN_ADDRESS);
	snprintf(command, sizeof(command), "test -f %s/learn.damaged", w.r.folder);
	assert_int_equal(system(command), 0);
	world_done(&w);
}

/* Without the file, as in the simulator: the index alone answers. */
static void without_learning(void **state)
{
	struct world w = {.r = rig_make("", "")};
	struct letter l = {.from = "a@remote.test", .domain = "remote.test", .words = 3};

	rig_open(&w.r);
	w.ken = rig_account(&w.r, "ken@example.test");
	mail(&w, &l);
	assert_int_equal(history(&w, &l).known, 0);
	rig_done(&w.r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(first_contact_knows_nothing),
	        cmocka_unit_test(what_was_taken_is_remembered),
	        cmocka_unit_test(moves_into_junk_teach),
	        cmocka_unit_test(what_the_checks_junked_wrongly),
	        cmocka_unit_test(a_release_from_escrow_teaches),
	        cmocka_unit_test(old_words_are_forgotten),
	        cmocka_unit_test(learning_can_be_off),
	        cmocka_unit_test(written_to_and_replies),
	        cmocka_unit_test(goodness_takes_time),
	        cmocka_unit_test(complaints_end_it),
	        cmocka_unit_test(own_login_network),
	        cmocka_unit_test(a_lost_setting_is_an_incident),
	        cmocka_unit_test(a_forgery_is_none),
	        cmocka_unit_test(it_outlives_a_restart),
	        cmocka_unit_test(a_broken_file_is_put_aside),
	        cmocka_unit_test(without_learning),
	};

	return TEST_MAIN(tests);
}
