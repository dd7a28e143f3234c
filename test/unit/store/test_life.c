/* Incidents, limits and rights of sending, holding what changed suddenly: through asks, as roles say them, and
 * over restarts. */
#include "store_test.h"

#include "base/ip.h"
#include "base/wire.h"
#include "policy/reply.h"
#include "watch/incident.h"

#define HOUR (3600 * 1000LL)
#define DAY (24 * HOUR)

static struct answer incident(struct rig *r, unsigned verb, unsigned kind, const char *key,
                              const char *facts, uint32_t count)
{
	struct ask a = {.kind = ASK_INCIDENT};

	a.incident.verb = (uint8_t)verb;
	a.incident.kind = (uint16_t)kind;
	a.incident.key = bytes_of_text(key);
	a.incident.facts = bytes_of_text(facts);
	a.incident.count = count;
	return rig_ask(r, COURIER_PEER, a);
}

static bool shows(struct answer a, const char *text)
{
	return a.result == OK && bytes_find(a.admin.rows, bytes_of_text(text)) != BYTES_NONE;
}

static struct answer show(struct rig *r, uint64_t id)
{
	return rig_admin(r, ADMIN_INCIDENT_SHOW, "", id);
}

/* A process that is taken over says what its work is about, and nothing else. */
static void test_incident_rights(void **state)
{
	static const struct {
		unsigned kind, verb;
		const struct store_peer *from;
		enum result result;
	} rows[] = {
	        {INCIDENT_BLOCKED, INCIDENT_RAISE, &COURIER_PEER, OK},
	        {INCIDENT_BLOCKED, INCIDENT_CLOSE, &MX_PEER, DENIED},
	        {INCIDENT_BLOCKED, INCIDENT_RAISE, &ACCESS_PEER, DENIED},
	        {INCIDENT_SENDING, INCIDENT_CLOSE, &ACCESS_PEER, DENIED},
	        {INCIDENT_SENDING, INCIDENT_CLOSE, &COURIER_PEER, DENIED},
	        {INCIDENT_SENDING, INCIDENT_RAISE, &MX_PEER, DENIED},
	        {INCIDENT_NETWORK, INCIDENT_RAISE, &SORTER_PEER, DENIED},
	        {INCIDENT_DKIM, INCIDENT_RAISE, &COURIER_PEER, DENIED},
	        {INCIDENT_DKIM, INCIDENT_RAISE, &KEEPER_PEER, OK},
	        {999, INCIDENT_RAISE, &COURIER_PEER, DENIED},
	};
	struct rig r = rig_make("", "");

	(void)state;
	rig_open(&r);
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct ask a = {.kind = ASK_INCIDENT};

		a.incident.verb = (uint8_t)rows[i].verb;
		a.incident.kind = (uint16_t)rows[i].kind;
		a.incident.key = BYTES("ken@example.test");
		assert_int_equal(rig_ask(&r, *rows[i].from, a).result, rows[i].result);
	}
	rig_done(&r);
}

static void test_incident(void **state)
{
	struct rig r = rig_make("", "");
	struct answer a;

	(void)state;
	rig_open(&r);
	a = incident(&r, INCIDENT_RAISE, INCIDENT_BLOCKED, "apple", "link=https://a.test/", 3);
	assert_int_equal(a.result, OK);
	assert_int_equal(a.incident.id, 1);
	assert_true(a.incident.fresh);
	/* The same again: the same row, facts kept where none are said. */
	a = incident(&r, INCIDENT_RAISE, INCIDENT_BLOCKED, "apple", "", 4);
	assert_int_equal(a.incident.id, 1);
	assert_false(a.incident.fresh);
	assert_true(shows(show(&r, 1), "\"count\":7"));
	assert_true(shows(show(&r, 1), "link=https://a.test/"));
	/* Another key, another kind: other rows. */
	assert_int_equal(
	        incident(&r, INCIDENT_RAISE, INCIDENT_BLOCKED, "docomo", "", 1).incident.id, 2);
	assert_int_equal(incident(&r, INCIDENT_RAISE, INCIDENT_DNS, "apple", "", 1).incident.id, 3);
	assert_int_equal(incident(&r, INCIDENT_CLOSE, INCIDENT_BLOCKED, "apple", "", 0).incident.id,
	                 1);
	assert_int_equal(incident(&r, INCIDENT_CLOSE, INCIDENT_BLOCKED, "apple", "", 0).incident.id,
	                 0);
	assert_false(shows(rig_admin(&r, ADMIN_INCIDENTS, "", 0), "\"id\":1,"));
	/* Six days later it relapses: the same row. */
	r.now += 6 * DAY;
	a = incident(&r, INCIDENT_RAISE, INCIDENT_BLOCKED, "apple", "", 1);
	assert_int_equal(a.incident.id, 1);
	assert_true(a.incident.fresh);
	assert_true(shows(show(&r, 1), "\"relapses\":1"));
	incident(&r, INCIDENT_CLOSE, INCIDENT_BLOCKED, "apple", "", 0);
	/* Eight days later it is another one. */
	r.now += 8 * DAY;
	assert_int_equal(incident(&r, INCIDENT_RAISE, INCIDENT_BLOCKED, "apple", "", 1).incident.id,
	                 4);
	rig_done(&r);
}

static unsigned told(struct rig *r, bool *ret_open)
{
	struct store_incident i;
	struct buf room = {0};
	unsigned count = 0;

	while (store_next_incident(r->store, &i, &room)) {
		assert_true(bytes_equal(i.key, BYTES("apple")));
		assert_true(bytes_equal(i.facts, BYTES("held=3\n")));
		*ret_open = i.open;
		count++;
	}
	buf_done(&room);
	return count;
}

/* The process hears of each opening and closing once, and at its start of what is open. */
static void test_incident_told(void **state)
{
	struct rig r = rig_make("", "");
	bool open = false;

	(void)state;
	rig_open(&r);
	incident(&r, INCIDENT_RAISE, INCIDENT_BLOCKED, "apple", "held=3\n", 3);
	incident(&r, INCIDENT_RAISE, INCIDENT_BLOCKED, "apple", "", 1);
	assert_int_equal(told(&r, &open), 1);
	assert_true(open);
	rig_close(&r);
	rig_remove(&r, "index.db*");
	rig_open(&r);
	assert_int_equal(told(&r, &open), 1);
	assert_true(open);
	incident(&r, INCIDENT_CLOSE, INCIDENT_BLOCKED, "apple", "", 0);
	assert_int_equal(told(&r, &open), 1);
	assert_false(open);
	rig_close(&r);
	rig_open(&r);
	assert_int_equal(told(&r, &open), 0);
	rig_done(&r);
}

/* Open incidents outlive the process, and the index. */
static void test_incident_durable(void **state)
{
	struct rig r = rig_make("", "");
	char *before, *after;

	(void)state;
	rig_open(&r);
	incident(&r, INCIDENT_RAISE, INCIDENT_BLOCKED, "apple", "reply=550 5.7.0 Blocked", 3);
	incident(&r, INCIDENT_RAISE, INCIDENT_NETWORK, "port25", "", 1);
	incident(&r, INCIDENT_CLOSE, INCIDENT_NETWORK, "port25", "", 0);
	assert_int_equal(rig_admin(&r, ADMIN_INCIDENT_ACK, "", 1).result, OK);
	before = rig_dump(&r);
	rig_close(&r);
	rig_remove(&r, "index.db*");
	rig_open(&r);
	after = rig_dump(&r);
	assert_string_equal(before, after);
	assert_false(incident(&r, INCIDENT_RAISE, INCIDENT_BLOCKED, "apple", "", 1).incident.fresh);
	assert_int_equal(incident(&r, INCIDENT_CLOSE, INCIDENT_BLOCKED, "apple", "", 1).incident.id,
	                 1);
	memory_free(before);
	memory_free(after);
	rig_done(&r);
}

static void test_incident_admin(void **state)
{
	struct rig r = rig_make("", "");
	struct ask a = {.kind = ASK_ADMIN};

	(void)state;
	rig_open(&r);
	incident(&r, INCIDENT_RAISE, INCIDENT_BLOCKED, "apple", "", 1);
	assert_int_equal(show(&r, 9).result, NOT_FOUND);
	a.admin.verb = ADMIN_INCIDENT_ACK;
	a.admin.number = 1;
	a.admin.value = BYTES("ken");
	assert_int_equal(rig_ask(&r, WEB_PEER, a).result, OK);
	assert_true(shows(show(&r, 1), "\"acknowledged_by\":\"ken\""));
	assert_int_equal(rig_admin(&r, ADMIN_INCIDENT_CLOSE, "", 1).result, OK);
	assert_int_equal(rig_admin(&r, ADMIN_INCIDENT_CLOSE, "", 1).result, NOT_FOUND);
	assert_false(shows(rig_admin(&r, ADMIN_INCIDENTS, "", 0), "apple"));
	a.admin.verb = ADMIN_INCIDENTS;
	a.admin.number = 0;
	a.admin.value = BYTES("all");
	assert_true(shows(rig_ask(&r, WEB_PEER, a), "apple"));
	rig_done(&r);
}

/* ---- who may send as whom ---- */

static void grant(struct rig *r, uint64_t account, const char *peer)
{
	struct ask a = {.kind = ASK_GRANT};
	struct ip ip;

	r->session = 0x3000 + account;
	a.grant.front_session = r->session;
	a.grant.front = ACCESS;
	a.grant.account = account;
	a.grant.rights = 3;
	if (peer) {
		assert_int_equal(ip_parse(bytes_of_text(peer), &ip), OK);
		a.grant.peer = bytes_of(ip.octets, sizeof(ip.octets));
	}
	assert_int_equal(rig_ask(r, KEEPER_PEER, a).result, OK);
}

static struct answer sender(struct rig *r, const char *address)
{
	struct ask a = rig_mine(r, ASK_SENDER);

	a.sender.address = bytes_of_text(address);
	return rig_ask(r, ACCESS_PEER, a);
}

static bool may(struct rig *r, const char *address)
{
	struct answer a = sender(r, address);

	assert_int_equal(a.result, OK);
	return a.sender.allowed == 1;
}

static const char aliases[] = "sales@example.test ken@example.test\n"
                              "team@example.test ken@example.test, mari@example.test\n"
                              "all@example.test team@example.test, out@remote.test\n"
                              "boss@example.test mari@example.test\n";

static void test_sender(void **state)
{
	struct rig r = rig_make("", aliases);
	uint64_t ken;

	(void)state;
	rig_open(&r);
	ken = rig_account(&r, "ken@example.test");
	rig_account(&r, "mari@example.test");
	grant(&r, ken, NULL);
	assert_true(may(&r, "ken@example.test"));
	assert_true(may(&r, "Ken@Example.TEST"));
	assert_true(may(&r, "ken+lists@example.test"));
	assert_true(may(&r, "sales@example.test"));
	assert_true(may(&r, "team@example.test"));
	assert_true(may(&r, "all@example.test"));
	assert_true(may(&r, ""));
	assert_false(may(&r, "mari@example.test"));
	assert_false(may(&r, "mari+ken@example.test"));
	assert_false(may(&r, "boss@example.test"));
	assert_false(may(&r, "nobody@example.test"));
	assert_false(may(&r, "ken@remote.test"));
	assert_false(may(&r, "ken"));
	/* Nobody is logged in: nobody's; right after a start nobody knows yet. */
	r.session = 0x4444;
	assert_int_equal(sender(&r, "ken@example.test").result, UNAVAILABLE);
	r.now += 60 * 1000;
	assert_false(may(&r, "ken@example.test"));
	rig_done(&r);
}

/* A suspended account may send as nobody, and a grant without the right to send gives none. */
static void test_sender_rights(void **state)
{
	struct rig r = rig_make("", aliases);
	uint64_t ken;

	(void)state;
	rig_open(&r);
	ken = rig_account(&r, "ken@example.test");
	r.now += 60 * 1000;
	rig_login(&r, ken); /* rights: mailboxes only */
	assert_false(may(&r, "ken@example.test"));
	grant(&r, ken, NULL);
	assert_true(may(&r, "ken@example.test"));
	assert_int_equal(rig_admin(&r, ADMIN_ACCOUNT_SUSPEND, "ken@example.test", 1).result, OK);
	assert_false(may(&r, "ken@example.test"));
	rig_done(&r);
}

static enum result commit_as(struct rig *r, const char *sender, uint32_t local_uid)
{
	static uint8_t count;
	struct ask a = {.kind = ASK_COMMIT, .session = local_uid ? 0x77 : r->session};
	char key[16] = "commit-as------";

	key[15] = (char)++count;
	a.commit.spool = rig_spool(r, ACCESS_PEER, a.session, BYTES("From: x\r\n\r\nx\r\n"));
	a.commit.key = bytes_of(key, sizeof(key));
	a.commit.sender = bytes_of_text(sender);
	a.commit.recipients = rig_recipients(r, "x@remote.test", NULL);
	a.commit.local_uid = local_uid;
	return rig_ask(r, ACCESS_PEER, a).result;
}

/* A front that is taken over sends as the users who logged in on it, and as nobody else: COMMIT asks again. */
static void test_sender_of_commit(void **state)
{
	struct rig r = rig_make("", aliases);

	(void)state;
	rig_open(&r);
	grant(&r, rig_account(&r, "ken@example.test"), NULL);
	rig_account(&r, "mari@example.test");
	assert_int_equal(commit_as(&r, "Ken@example.TEST", 0), OK);
	assert_int_equal(commit_as(&r, "sales@example.test", 0), OK);
	assert_int_equal(commit_as(&r, "", 0), OK);
	assert_int_equal(commit_as(&r, "mari@example.test", 0), DENIED);
	assert_int_equal(commit_as(&r, "boss@example.test", 0), DENIED);
	assert_int_equal(commit_as(&r, "ken@remote.test", 0), DENIED);
	assert_int_equal(commit_as(&r, "www-data@mx.example.test", 34), OK);
	assert_int_equal(commit_as(&r, "www@remote.test", 34), DENIED);
	rig_done(&r);
}

static struct answer local_sender(struct rig *r, struct store_peer from, uint32_t uid,
                                  const char *address)
{
	struct ask a = {.kind = ASK_SENDER, .session = 0x77};

	a.sender.address = bytes_of_text(address);
	a.sender.local_uid = uid + 1;
	return rig_ask(r, from, a);
}

static void test_sender_local(void **state)
{
	struct rig r = rig_make("", "");

	(void)state;
	rig_open(&r);
	assert_true(local_sender(&r, ACCESS_PEER, 33, "www@example.test").sender.allowed);
	assert_true(local_sender(&r, ACCESS_PEER, 33, "www-data@mx.example.test").sender.allowed);
	assert_false(local_sender(&r, ACCESS_PEER, 33, "www@remote.test").sender.allowed);
	rig_done(&r);
	r = rig_make("sendmail { senders any\n }\n", "");
	rig_open(&r);
	assert_true(local_sender(&r, ACCESS_PEER, 33, "www@remote.test").sender.allowed);
	rig_done(&r);
}

/* ---- how much ---- */

static uint64_t sending_session(const struct rig *r, uint32_t local_uid)
{
	return local_uid ? 0x77 : r->session;
}

static uint32_t spool_mail(struct rig *r, uint32_t local_uid)
{
	return rig_spool(r, ACCESS_PEER, sending_session(r, local_uid),
	                 BYTES("Subject: x\r\n\r\nx\r\n"));
}

/* A mail of the session's account, or of a local user, to one recipient; put only. */
static void put_mail(struct rig *r, uint32_t spool, uint32_t local_uid, const char *rcpt)
{
	struct ask a = {.kind = ASK_COMMIT, .session = sending_session(r, local_uid)};
	char key[17];

	snprintf(key, sizeof(key), "sent%012u", spool);
	a.commit.spool = spool;
	a.commit.key = bytes_of(key, 16);
	a.commit.sender = BYTES("ken@example.test");
	a.commit.summary = BYTES("s");
	a.commit.recipients = rig_recipients(r, rcpt, NULL);
	a.commit.local_uid = local_uid;
	rig_put(r, ACCESS_PEER, a);
}

static enum result send(struct rig *r, const char *rcpt)
{
	put_mail(r, spool_mail(r, 0), 0, rcpt);
	return rig_run(r).result;
}

static void test_limit(void **state)
{
	struct rig r = rig_make("sending { messages-hour 3\n }\n", "");
	struct answer a;
	uint64_t ken;

	(void)state;
	rig_open(&r);
	ken = rig_account(&r, "ken@example.test");
	grant(&r, ken, NULL);
	for (int i = 0; i < 3; i++)
		assert_int_equal(send(&r, "a@remote.test"), OK);
	assert_int_equal(send(&r, "a@remote.test"), OVER_QUOTA);
	a = sender(&r, "ken@example.test");
	assert_int_equal(a.result, OVER_QUOTA);
	assert_true(bytes_find(a.why, BYTES("3 mails in an hour")) != BYTES_NONE);
	/* Not by a restart. */
	rig_close(&r);
	rig_open(&r);
	grant(&r, ken, NULL);
	assert_int_equal(send(&r, "a@remote.test"), OVER_QUOTA);
	/* Others are not concerned. */
	put_mail(&r, spool_mail(&r, 34), 34, "a@remote.test");
	assert_int_equal(rig_run(&r).result, OK);
	/* Time mends it, and what is said about it is true. */
	r.now += HOUR + 10 * 60 * 1000;
	assert_int_equal(sender(&r, "ken@example.test").result, OK);
	assert_int_equal(send(&r, "a@remote.test"), OK);
	rig_done(&r);
}

/* Five at once, in one group of the writer: the limit holds inside it, too. */
static void test_limit_together(void **state)
{
	struct rig r = rig_make("sending { recipients-day 3\n }\n", "");
	uint32_t spools[5];

	(void)state;
	rig_open(&r);
	grant(&r, rig_account(&r, "ken@example.test"), NULL);
	r.refused = 0;
	for (int i = 0; i < 5; i++)
		spools[i] = spool_mail(&r, 0);
	for (int i = 0; i < 5; i++)
		put_mail(&r, spools[i], 0, "a@remote.test");
	rig_run(&r);
	assert_int_equal(r.refused, 2);
	assert_int_equal(sender(&r, "ken@example.test").result, OVER_QUOTA);
	assert_true(shows(rig_admin(&r, ADMIN_SENDING, "", 0), "\"messages_day\":3,"));
	rig_done(&r);
}

/* ---- sudden changes ---- */

/* Two weeks of an ordinary life: a few mails a day to people it knows. */
static void live(struct rig *r, uint64_t account)
{
	char rcpt[40];

	for (int day = 0; day < 14; day++) {
		r->now += DAY;
		grant(r, account, "198.51.100.7");
		for (int i = 0; i < 4; i++) {
			snprintf(rcpt, sizeof(rcpt), "friend%d@remote.test", i + day / 7);
			assert_int_equal(send(r, rcpt), OK);
		}
	}
}

/* How many mails to strangers go before it is held; 0: it is not. */
static int run_away(struct rig *r, int most)
{
	char rcpt[40];

	for (int i = 1; i <= most; i++) {
		snprintf(rcpt, sizeof(rcpt), "stranger%d@other.test", i);
		assert_int_equal(send(r, rcpt), OK);
		if (sender(r, "ken@example.test").result == DENIED)
			return i;
	}
	return 0;
}

static uint64_t held_count(struct rig *r)
{
	struct answer a = rig_admin(r, ADMIN_STATUS, "", 0);
	size_t at = bytes_find(a.admin.rows, BYTES("\"queue_held\":"));
	uint64_t n = 0;
	struct bytes digits = bytes_skip(a.admin.rows, at + strlen("\"queue_held\":"));

	while (digits.len && digits.ptr[0] >= '0' && digits.ptr[0] <= '9') {
		n = n * 10 + (uint64_t)(digits.ptr[0] - '0');
		digits = bytes_skip(digits, 1);
	}
	return n;
}

static void settle(struct rig *r)
{
	for (int i = 0; i < 20; i++) {
		r->now += 1000;
		store_tick(r->store, r->now);
		rig_run(r);
	}
}

static void test_stolen(void **state)
{
	struct rig r = rig_make("", "");
	uint64_t ken;
	int let_through;

	(void)state;
	rig_open(&r);
	ken = rig_account(&r, "ken@example.test");
	live(&r, ken);
	assert_false(shows(rig_admin(&r, ADMIN_INCIDENTS, "", 0), "ken@"));
	r.now += DAY;
	grant(&r, ken, "203.0.113.9"); /* from where nobody ever logged in */
	let_through = run_away(&r, 200);
	assert_in_range(let_through, 10, 60);
	/* The mail that struck is held already, and what was not carried yet as well; one incident says it. */
	settle(&r);
	assert_true(held_count(&r) >= 1);
	assert_int_equal(send(&r, "stranger0@other.test"), OK);
	settle(&r);
	assert_true(held_count(&r) >= 2);
	assert_true(shows(rig_admin(&r, ADMIN_INCIDENTS, "", 0), "reason=recipients"));
	assert_true(shows(rig_admin(&r, ADMIN_INCIDENTS, "", 0), "peer=203.0.113.0"));
	assert_true(shows(rig_admin(&r, ADMIN_QUEUE_LIST, "incident:1", 0), "stranger"));
	/* It survives a restart. */
	rig_close(&r);
	rig_open(&r);
	grant(&r, ken, "203.0.113.9");
	assert_int_equal(sender(&r, "ken@example.test").result, DENIED);
	/* The operator says that it is well: all of it goes on, and no new alarm at once. */
	assert_int_equal(rig_admin(&r, ADMIN_INCIDENT_CLOSE, "", 1).result, OK);
	settle(&r);
	assert_int_equal(held_count(&r), 0);
	assert_int_equal(sender(&r, "ken@example.test").result, OK);
	assert_int_equal(send(&r, "one-more@other.test"), OK);
	assert_int_equal(sender(&r, "ken@example.test").result, OK);
	rig_done(&r);
}

static void test_watch_off(void **state)
{
	struct rig r = rig_make("sending { watch off\n }\n", "");
	uint64_t ken;

	(void)state;
	rig_open(&r);
	ken = rig_account(&r, "ken@example.test");
	live(&r, ken);
	r.now += DAY;
	grant(&r, ken, "203.0.113.9");
	assert_int_equal(run_away(&r, 100), 0);
	rig_done(&r);
}

/* The courier takes all that is due, and a host says the same of each. */
static void carry_all(struct rig *r, enum carry_outcome outcome, unsigned class, const char *reply)
{
	struct answer a;

	while ((a = rig_ask(r, COURIER_PEER, (struct ask){.kind = ASK_CARRY})).kind == ASK_CARRY &&
	       a.result == OK) {
		struct ask done = {.kind = ASK_CARRIED};
		struct wire w = wire_of(a.carry.entries);
		struct buf results = {0};

		while (!wire_end(&w)) {
			buf_u64(&results, wire_u64(&w));
			wire_block(&w);
			wire_u8(&w);
			wire_block(&w);
			wire_u32(&w);
			buf_u8(&results, (uint8_t)outcome);
			buf_u8(&results, (uint8_t) class);
			buf_block(&results, BYTES("5.1.1"));
			buf_block(&results, bytes_of_text(reply));
		}
		done.carried.lease = a.carry.lease;
		done.carried.results = buf_bytes(&results);
		done.carried.provider = BYTES("other.test");
		done.carried.remote = BYTES("mx.other.test");
		assert_int_equal(rig_ask(r, COURIER_PEER, done).result, OK);
		buf_done(&results);
	}
	store_peer_lost(r->store, COURIER_PEER); /* the CARRY that waits */
	rig_run(r);
}

/* Guessed addresses: hosts say of most that there is no such user. Even a new account is held then. */
static void test_unknown_users(void **state)
{
	struct rig r = rig_make("", "");
	char rcpt[40];

	(void)state;
	rig_open(&r);
	grant(&r, rig_account(&r, "ken@example.test"), NULL);
	for (int i = 0; i < 9; i++) {
		snprintf(rcpt, sizeof(rcpt), "guess%d@other.test", i);
		assert_int_equal(send(&r, rcpt), OK);
	}
	carry_all(&r, CARRY_FAILED, REPLY_MAILBOX, "550 5.1.1 no such user");
	assert_int_equal(sender(&r, "ken@example.test").result, OK);
	for (int i = 10; i < 20; i++) {
		snprintf(rcpt, sizeof(rcpt), "guess%d@other.test", i);
		assert_int_equal(send(&r, rcpt), OK);
	}
	carry_all(&r, CARRY_FAILED, REPLY_MAILBOX, "550 5.1.1 no such user");
	assert_int_equal(sender(&r, "ken@example.test").result, DENIED);
	assert_true(shows(rig_admin(&r, ADMIN_INCIDENTS, "", 0), "reason=unknown"));
	rig_done(&r);
}

/* The same number of mails that are taken, or full mailboxes: nothing. */
static void test_known_users(void **state)
{
	struct rig r = rig_make("", "");
	char rcpt[40];

	(void)state;
	rig_open(&r);
	grant(&r, rig_account(&r, "ken@example.test"), NULL);
	for (int i = 0; i < 20; i++) {
		snprintf(rcpt, sizeof(rcpt), "friend%d@other.test", i);
		assert_int_equal(send(&r, rcpt), OK);
	}
	carry_all(&r, CARRY_FAILED, REPLY_MAILBOX_FULL, "552 5.2.2 full");
	assert_int_equal(sender(&r, "ken@example.test").result, OK);
	rig_done(&r);
}

/* A list that goes to the same people every week is nobody's alarm, however many they are. */
static void test_newsletter(void **state)
{
	struct rig r = rig_make("", "");
	uint64_t ken;
	char rcpt[40];

	(void)state;
	rig_open(&r);
	ken = rig_account(&r, "ken@example.test");
	for (int week = 0; week < 3; week++) {
		grant(&r, ken, "198.51.100.7");
		for (int i = 0; i < 150 + week * 10; i++) {
			snprintf(rcpt, sizeof(rcpt), "reader%d@remote.test", i);
			assert_int_equal(send(&r, rcpt), OK);
		}
		assert_int_equal(sender(&r, "ken@example.test").result, OK);
		r.now += 7 * DAY;
	}
	rig_done(&r);
}

/* A mail to a thousand people; which: the first's number. */
static enum result send_thousand(struct rig *r, unsigned first)
{
	uint32_t spool = spool_mail(r, 0);
	struct ask a = {.kind = ASK_COMMIT, .session = r->session};
	struct buf list = {0};
	char text[32];
	enum result result;

	for (unsigned i = first; i < first + 1000; i++) {
		snprintf(text, sizeof(text), "reader%u@far.test", i);
		buf_block(&list, bytes_of_text(text));
		buf_u8(&list, 0);
		buf_block(&list, (struct bytes){0});
	}
	snprintf(text, sizeof(text), "many%012u", spool);
	a.commit.spool = spool;
	a.commit.key = bytes_of(text, 16);
	a.commit.summary = BYTES("s");
	a.commit.recipients = buf_bytes(&list);
	result = rig_ask(r, ACCESS_PEER, a).result;
	buf_done(&list);
	return result;
}

static unsigned known(struct rig *r, const char *what)
{
	char *dump = rig_dump(r), *at = dump;
	unsigned count = 0;

	for (; (at = strstr(at, what)); at++)
		count++;
	memory_free(dump);
	return count;
}

/* Whom somebody wrote to is remembered, but not without end: the oldest are forgotten. */
static void test_correspondents_bounded(void **state)
{
	struct rig r = rig_make("sending { watch off\n recipients-hour 0\n recipients-day 0\n }\n",
	                        "");

	(void)state;
	rig_open(&r);
	grant(&r, rig_account(&r, "ken@example.test"), NULL);
	for (unsigned i = 0; i < 12; i++) {
		assert_int_equal(send_thousand(&r, i * 1000), OK);
		r.now += 1000;
	}
	assert_in_range(known(&r, "CORRESPONDENTS "), 9000, 10500);
	/* "reader11999@far.test" is known, "reader0@far.test" is not: hexadecimal in a dump. */
	assert_int_equal(
	        known(&r, "CORRESPONDENTS owner=1 rows=0000001472656164657231313939394066"), 1);
	assert_int_equal(known(&r, "CORRESPONDENTS owner=1 rows=00000010726561646572304066"), 0);
	rig_done(&r);
}

/* What is known of senders is durable, and the same after the index is made anew. */
static void test_sending_durable(void **state)
{
	struct rig r = rig_make("", "");
	char *before, *after;

	(void)state;
	rig_open(&r);
	live(&r, rig_account(&r, "ken@example.test"));
	before = rig_dump(&r);
	assert_non_null(strstr(before, "CORRESPONDENTS"));
	assert_non_null(strstr(before, "NETWORK"));
	assert_non_null(strstr(before, "SENT_DAY"));
	rig_close(&r);
	rig_remove(&r, "index.db*");
	rig_open(&r);
	after = rig_dump(&r);
	assert_string_equal(before, after);
	memory_free(before);
	memory_free(after);
	rig_done(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_incident_rights),
	        cmocka_unit_test(test_incident),
	        cmocka_unit_test(test_incident_durable),
	        cmocka_unit_test(test_incident_told),
	        cmocka_unit_test(test_incident_admin),
	        cmocka_unit_test(test_sender),
	        cmocka_unit_test(test_sender_rights),
	        cmocka_unit_test(test_sender_of_commit),
	        cmocka_unit_test(test_sender_local),
	        cmocka_unit_test(test_limit),
	        cmocka_unit_test(test_limit_together),
	        cmocka_unit_test(test_stolen),
	        cmocka_unit_test(test_watch_off),
	        cmocka_unit_test(test_newsletter),
	        cmocka_unit_test(test_unknown_users),
	        cmocka_unit_test(test_known_users),
	        cmocka_unit_test(test_correspondents_bounded),
	        cmocka_unit_test(test_sending_durable),
	};

	return TEST_MAIN(tests);
}
