/* Mail going out: what CARRY gives to whom, and what CARRIED makes of it. */
#include "store_test.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/wire.h"

static unsigned fresh_entries; /* 0: the usual number */

static struct rig rig(const char *config)
{
	struct rig r = rig_make(config, "team@example.test ken@example.test, mia@example.test\n");

	r.options.fresh_entries = fresh_entries;
	rig_open(&r);
	rig_account(&r, "ken@example.test");
	rig_account(&r, "mia@example.test");
	rig_login(&r, 1);
	return r;
}

/* ---- asks in short ---- */

static struct answer send_ask(struct rig *r, struct ask a)
{
	return rig_ask(r, SORTER_PEER, a);
}

static void mail_to(struct rig *r, const char *first, const char *second)
{
	assert_int_equal(send_ask(r, rig_send(r, "x\r\n", first, second)).result, OK);
}

/* A CARRY that was answered; its texts live in `room`. */
struct got {
	uint64_t lease, entries[100];
	size_t count;
	char destination[256], id[32], first[330];
	uint32_t tries;
};

static bool got_from(const struct answer *a, struct got *g)
{
	struct wire w;

	*g = (struct got){0};
	if (a->kind != ASK_CARRY || a->result != OK)
		return false;
	g->lease = a->carry.lease;
	snprintf(g->destination, sizeof(g->destination), "%.*s", BYTES_ARG(a->carry.destination));
	snprintf(g->id, sizeof(g->id), "%.*s", BYTES_ARG(a->carry.id));
	w = wire_of(a->carry.entries);
	while (!wire_end(&w)) {
		struct bytes rcpt;

		g->entries[g->count] = wire_u64(&w);
		rcpt = wire_block(&w);
		if (g->count++ == 0)
			snprintf(g->first, sizeof(g->first), "%.*s", BYTES_ARG(rcpt));
		wire_u8(&w);
		wire_block(&w);
		g->tries = wire_u32(&w);
	}
	assert_false(w.bad);
	return true;
}

static bool carry(struct rig *r, struct got *g)
{
	struct answer a = rig_ask(r, COURIER_PEER, (struct ask){.kind = ASK_CARRY});

	return got_from(&a, g);
}

/* The asks that still wait are forgotten with the courier, and its leases too. */
static void courier_dies(struct rig *r)
{
	store_peer_lost(r->store, COURIER_PEER);
	rig_run(r);
}

static struct ask carried_ask(const struct got *g, enum carry_outcome outcome, const char *status,
                              const char *reply)
{
	static char room[65536];
	struct buf b = {.ptr = room, .size = sizeof(room)};
	struct ask a = {.kind = ASK_CARRIED};

	for (size_t i = 0; i < g->count; i++) {
		buf_u64(&b, g->entries[i]);
		buf_u8(&b, (uint8_t)outcome);
		buf_u8(&b, 0);
		buf_block(&b, bytes_of_text(status));
		buf_block(&b, bytes_of_text(reply));
	}
	a.carried.lease = g->lease;
	a.carried.results = buf_bytes(&b);
	a.carried.provider = BYTES("remote.test");
	a.carried.remote = BYTES("mx.remote.test");
	return a;
}

static enum result carried(struct rig *r, const struct got *g, enum carry_outcome outcome,
                           const char *status, const char *reply)
{
	return rig_ask(r, COURIER_PEER, carried_ask(g, outcome, status, reply)).result;
}

static void later(struct rig *r, int64_t ms)
{
	r->now += ms;
	store_tick(r->store, r->now);
	rig_run(r);
}

static void verify(struct rig *r)
{
	struct store_check check;
	struct why why = {0};

	assert_int_equal(store_verify(r->store, false, NULL, NULL, &check, &why), OK);
	assert_int_equal(check.figures, 0);
	assert_int_equal(check.dangling, 0);
}

static uint64_t entries(struct rig *r)
{
	struct answer a = rig_admin(r, ADMIN_QUEUE_LIST, "", 0);
	uint64_t n = 0;

	for (size_t i = 0; i < a.admin.rows.len; i++)
		n += a.admin.rows.ptr[i] == '\n';
	return n;
}

static bool listed(struct rig *r, const char *subject, const char *text)
{
	struct answer a = rig_admin(r, ADMIN_QUEUE_LIST, subject, 0);

	return bytes_find(a.admin.rows, bytes_of_text(text)) != BYTES_NONE;
}

enum { MINUTE = 60 * 1000, HOUR = 60 * MINUTE, DAY = 24 * HOUR };

/* ---- the thinnest way ---- */

/* One mail for two recipients of one destination is one batch; delivered, nothing is left of it. */
static void what_is_carried_is_gone(void **state)
{
	struct rig r = rig("");
	struct got g;

	(void)state;
	mail_to(&r, "a@remote.test", "b@remote.test");
	assert_true(carry(&r, &g));
	assert_int_equal(g.count, 2);
	assert_string_equal(g.destination, "remote.test");
	assert_string_equal(g.first, "a@remote.test");
	assert_false(carry(&r, &(struct got){0})); /* nobody else gets it */
	assert_true(listed(&r, "", "\"state\":\"carrying\""));
	{
		struct ask read = {.kind = ASK_QUEUE_READ};
		struct answer a;

		read.queue_read.entry = g.entries[1];
		read.queue_read.lease = g.lease;
		read.queue_read.len = 1000;
		a = rig_ask(&r, COURIER_PEER, read);
		assert_bytes(a.queue_read.chunk, BYTES("Received: by mx.example.test\r\nx\r\n"));
		assert_int_equal(rig_ask(&r, SORTER_PEER, read).result, NOT_FOUND);
	}
	assert_int_equal(carried(&r, &g, CARRY_DELIVERED, "2.0.0", "250 OK"), OK);
	assert_int_equal(entries(&r), 0);
	/* a repeat gets the first answer, also after a restart; another lease none */
	assert_int_equal(carried(&r, &g, CARRY_FAILED, "5.0.0", "550 no"), OK);
	rig_close(&r);
	rig_open(&r);
	assert_int_equal(carried(&r, &g, CARRY_FAILED, "5.0.0", "550 no"), OK);
	g.lease++;
	assert_int_equal(carried(&r, &g, CARRY_DELIVERED, "2.0.0", "250 OK"), NOT_FOUND);
	rig_run(&r);
	{
		char *dump = rig_dump(&r);

		assert_null(strstr(dump, "\nMAIL "));
		assert_null(strstr(dump, "ENTRY"));
		memory_free(dump);
	}
	rig_done(&r);
}

/* Each try doubles the wait, with jitter; what is not due is not given. */
static void deferred_mail_waits_longer_each_time(void **state)
{
	struct rig r = rig("queue {\nretry-first 5m\nretry-last 20m\n}\n");
	static const int64_t waits[] = {5, 10, 20, 20};
	struct got g;

	(void)state;
	mail_to(&r, "a@remote.test", NULL);
	for (size_t i = 0; i < 4; i++) {
		assert_true(carry(&r, &g));
		assert_int_equal(g.tries, i);
		assert_int_equal(carried(&r, &g, CARRY_DEFERRED, "4.3.0", "451 later"), OK);
		courier_dies(&r);
		later(&r, waits[i] * MINUTE * 3 / 4 - 1000);
		assert_false(carry(&r, &g));
		courier_dies(&r);
		if (i == 2) { /* durable */
			rig_close(&r);
			rig_open(&r);
		}
		later(&r, waits[i] * MINUTE / 2 + 2000);
	}
	assert_true(listed(&r, "a@remote.test", "451 later"));
	rig_done(&r);
}

static void what_the_host_asks_for_is_waited_for(void **state)
{
	struct rig r = rig("");
	struct got g;
	struct ask a;

	(void)state;
	mail_to(&r, "a@remote.test", NULL);
	assert_true(carry(&r, &g));
	a = carried_ask(&g, CARRY_DEFERRED, "4.7.1", "450 greylisted, come back in 60 seconds");
	a.carried.retry_after = 60;
	assert_int_equal(rig_ask(&r, COURIER_PEER, a).result, OK);
	later(&r, 59 * 1000);
	assert_false(carry(&r, &g));
	courier_dies(&r);
	later(&r, 2 * 1000);
	assert_true(carry(&r, &g));
	rig_done(&r);
}

/* A failure goes through the sorter: with status, reply and host; the bounce is its SORTED. */
static void what_fails_goes_to_the_sorter(void **state)
{
	struct rig r = rig("");
	struct answer a;
	struct got g;

	(void)state;
	mail_to(&r, "a@remote.test", NULL);
	assert_true(carry(&r, &g));
	assert_int_equal(carried(&r, &g, CARRY_FAILED, "5.1.1", "550 5.1.1 no such user"), OK);
	a = rig_take(&r);
	assert_int_equal(a.result, OK);
	assert_int_equal(a.take.task, SORT_TASK_FAILED);
	assert_bytes(a.take.status, BYTES("5.1.1"));
	assert_bytes(a.take.reply, BYTES("550 5.1.1 no such user"));
	assert_bytes(a.take.remote, BYTES("mx.remote.test"));
	assert_int_equal(a.take.attempted, r.now);
	assert_bytes(a.take.rcpt, BYTES("a@remote.test"));
	assert_false(carry(&r, &g));
	verify(&r);
	rig_done(&r);
}

static void a_dead_courier_gives_back(void **state)
{
	struct rig r = rig("");
	struct got g, again;

	(void)state;
	mail_to(&r, "a@remote.test", "b@remote.test");
	assert_true(carry(&r, &g));
	courier_dies(&r);
	assert_true(carry(&r, &again));
	assert_int_equal(again.count, 2);
	assert_true(again.lease != g.lease);
	assert_int_equal(carried(&r, &g, CARRY_DELIVERED, "2.0.0", "250 OK"), NOT_FOUND);
	rig_close(&r); /* the store's death, too */
	rig_open(&r);
	assert_true(carry(&r, &g));
	assert_int_equal(g.count, 2);
	rig_done(&r);
}

/* Part of a batch each: one record, and each entry has its own fate. */
static void each_recipient_has_its_own_fate(void **state)
{
	struct rig r = rig("");
	struct got g;
	struct ask a;
	struct buf b = {0};

	(void)state;
	mail_to(&r, "a@remote.test", "b@remote.test");
	assert_true(carry(&r, &g));
	a = carried_ask(&g, CARRY_DELIVERED, "2.0.0", "250 OK");
	buf_u64(&b, g.entries[0]);
	buf_u8(&b, CARRY_DELIVERED);
	buf_u8(&b, 0);
	buf_block(&b, BYTES("2.0.0"));
	buf_block(&b, BYTES("250 OK"));
	buf_u64(&b, g.entries[1]);
	buf_u8(&b, CARRY_UNTOUCHED);
	buf_u8(&b, 0);
	buf_block(&b, (struct bytes){0});
	buf_block(&b, (struct bytes){0});
	a.carried.results = buf_bytes(&b);
	assert_int_equal(rig_ask(&r, COURIER_PEER, a).result, OK);
	assert_int_equal(entries(&r), 1);
	assert_true(carry(&r, &g)); /* untouched: at once, no try counted */
	assert_string_equal(g.first, "b@remote.test");
	assert_int_equal(g.tries, 0);
	/* an entry of nobody's batch is refused, and changes nothing */
	g.entries[0] += 100;
	assert_int_equal(carried(&r, &g, CARRY_DELIVERED, "2.0.0", "250 OK"), INVALID);
	g.entries[0] -= 100;
	assert_int_equal(carried(&r, &g, CARRY_DELIVERED, "2.0.0", "250 OK"), OK);
	assert_int_equal(entries(&r), 0);
	buf_done(&b);
	rig_done(&r);
}

/* ---- never a relay ---- */

static struct ask from_session(struct rig *r, struct store_peer peer, uint64_t session)
{
	struct ask a = rig_send(r, "x\r\n", "far@remote.test", NULL);

	a.session = session;
	a.commit.spool = rig_spool(r, peer, session, BYTES("x\r\n"));
	return a;
}

static void strangers_send_nothing_elsewhere(void **state)
{
	struct rig r = rig("");
	struct ask a = {.kind = ASK_GRANT};

	(void)state;
	assert_int_equal(rig_mail(&r, "x\r\n", "ken@example.test", "far@remote.test"), DENIED);
	assert_int_equal(rig_status(&r, "INBOX").messages, 0);
	r.now += MINUTE;
	assert_int_equal(rig_ask(&r, ACCESS_PEER, from_session(&r, ACCESS_PEER, 77)).result,
	                 DENIED);
	/* a grant of the mailboxes alone is none of sending */
	assert_int_equal(rig_ask(&r, ACCESS_PEER, from_session(&r, ACCESS_PEER, r.session)).result,
	                 DENIED);
	a.grant.front_session = r.session;
	a.grant.front = ACCESS;
	a.grant.account = 1;
	a.grant.rights = 3;
	assert_int_equal(rig_ask(&r, KEEPER_PEER, a).result, OK);
	assert_int_equal(rig_ask(&r, ACCESS_PEER, from_session(&r, ACCESS_PEER, r.session)).result,
	                 OK);
	a = from_session(&r, ACCESS_PEER, 78);
	a.commit.local_uid = 34;
	assert_int_equal(rig_ask(&r, ACCESS_PEER, a).result, OK);
	a = from_session(&r, MX_PEER, 79); /* which a stranger cannot claim */
	a.commit.local_uid = 34;
	assert_int_equal(rig_ask(&r, MX_PEER, a).result, DENIED);
	assert_int_equal(entries(&r), 2);
	rig_done(&r);
}

/* ---- time ---- */

static void told_once(struct rig *r, struct answer *a)
{
	*a = rig_take(r);
	assert_int_equal(a->kind, ASK_TAKE);
	assert_int_equal(a->result, OK);
}

static void the_sender_is_told_once_and_in_the_end_it_goes_back(void **state)
{
	struct rig r = rig("queue {\nwarn 4h\nlifetime 5d\nretry-first 1h\nretry-last 2h\n}\n");
	struct ask sorted = {.kind = ASK_SORTED, .session = 55};
	struct buf actions = {0};
	struct answer a;
	struct got g;

	(void)state;
	mail_to(&r, "a@remote.test", NULL);
	assert_true(carry(&r, &g));
	assert_int_equal(carried(&r, &g, CARRY_DEFERRED, "4.4.1", "no answer"), OK);
	later(&r, 4 * HOUR + MINUTE);
	told_once(&r, &a);
	assert_int_equal(a.take.task, SORT_TASK_DELAYED);
	assert_bytes(a.take.status, BYTES("4.4.1"));
	assert_bytes(a.take.reply, BYTES("no answer"));
	assert_true(a.take.expires > r.now + 4 * DAY);
	assert_false(carry(&r, &g)); /* until the sorter has it done */
	buf_u8(&actions, SORT_CARRY_ON);
	sorted.sorted.entry = a.take.entry;
	sorted.sorted.lease = a.take.lease;
	sorted.sorted.actions = buf_bytes(&actions);
	sorted.sorted.spool = rig_spool(&r, SORTER_PEER, 55, BYTES("it is late\r\n"));
	sorted.sorted.bounce_rcpt = BYTES("ken@example.test");
	rig_put(&r, SORTER_PEER, sorted);
	a = rig_run(&r); /* the courier waits: it gets the mail in the same round */
	assert_true(got_from(&a, &g));
	assert_int_equal(rig_status(&r, "INBOX").messages, 1);
	assert_int_equal(carried(&r, &g, CARRY_DEFERRED, "4.4.1", "no answer still"), OK);
	later(&r, 2 * DAY);
	assert_int_equal(rig_take(&r).kind, ASK_NONE); /* told once */
	store_peer_lost(r.store, SORTER_PEER);
	rig_close(&r);
	rig_open(&r);
	later(&r, 3 * DAY);
	told_once(&r, &a);
	assert_int_equal(a.take.task, SORT_TASK_FAILED);
	assert_bytes(a.take.status, BYTES("5.4.7"));
	assert_bytes(a.take.reply, BYTES("no answer still"));
	verify(&r);
	buf_done(&actions);
	rig_done(&r);
}

/* FUTURERELEASE for others and for us; DELIVERBY with R. */
static void mail_may_be_for_later_and_only_until(void **state)
{
	struct rig r = rig("");
	struct ask a = rig_send(&r, "x\r\n", "a@remote.test", "ken@example.test");
	struct got g;

	(void)state;
	a.commit.hold_until = r.now + DAY;
	assert_int_equal(send_ask(&r, a).result, OK);
	assert_int_equal(rig_status(&r, "INBOX").messages, 0);
	assert_false(carry(&r, &g));
	assert_int_equal(rig_take(&r).kind, ASK_NONE);
	courier_dies(&r);
	later(&r, DAY + 1000);
	assert_true(carry(&r, &g));
	assert_int_equal(carried(&r, &g, CARRY_DELIVERED, "2.0.0", "250 OK"), OK);
	a = rig_send(&r, "x\r\n", "b@remote.test", NULL);
	a.commit.deliver_by = r.now + HOUR;
	a.commit.by_mode = 1;
	assert_int_equal(send_ask(&r, a).result, OK);
	assert_true(carry(&r, &g));
	assert_int_equal(carried(&r, &g, CARRY_DEFERRED, "4.4.1", "no answer"), OK);
	store_peer_lost(r.store, SORTER_PEER);
	later(&r, HOUR);
	{
		struct answer t = rig_take(&r);

		/* the mail for ken is due as well */
		if (t.take.task == SORT_TASK_ROUTE)
			t = rig_take(&r);
		assert_int_equal(t.take.task, SORT_TASK_FAILED);
	}
	rig_done(&r);
}

/* ---- NOTIFY=SUCCESS ---- */

static void success_is_told_where_it_was_asked_for(void **state)
{
	struct rig r = rig("");
	struct buf rcpts = {0};
	struct ask a = rig_send(&r, "x\r\n", "a@remote.test", NULL);
	struct answer t;
	struct got g;

	(void)state;
	buf_block(&rcpts, BYTES("a@remote.test"));
	buf_u8(&rcpts, 2);
	buf_block(&rcpts, BYTES("rfc822;a@remote.test"));
	buf_block(&rcpts, BYTES("mia@example.test"));
	buf_u8(&rcpts, 2);
	buf_block(&rcpts, (struct bytes){0});
	a.commit.recipients = buf_bytes(&rcpts);
	assert_int_equal(send_ask(&r, a).result, OK);
	t = rig_take(&r);
	assert_int_equal(t.take.task, SORT_TASK_EXPANDED);
	assert_bytes(t.take.rcpt, BYTES("mia@example.test"));
	assert_true(carry(&r, &g));
	assert_int_equal(carried(&r, &g, CARRY_RELAYED, "2.0.0", "250 OK"), OK);
	t = rig_take(&r);
	assert_int_equal(t.take.task, SORT_TASK_RELAYED);
	assert_bytes(t.take.orcpt, BYTES("rfc822;a@remote.test"));
	verify(&r);
	buf_done(&rcpts);
	rig_done(&r);
}

/* ---- fairness and pace ---- */

static size_t carry_many(struct rig *r, struct got *got, size_t most)
{
	size_t n = 0;

	while (n < most && carry(r, &got[n]))
		n++;
	courier_dies(r); /* the last ask waits */
	return n;
}

/* One with many mails and one with few take turns; no more than its pace are open for one. */
static void destinations_take_turns(void **state)
{
	struct rig r = rig("carry { per-destination 3 }\n");
	struct got g[8];

	(void)state;
	for (int i = 0; i < 20; i++)
		mail_to(&r, "a@many.test", NULL);
	mail_to(&r, "a@few.test", NULL);
	mail_to(&r, "b@few.test", NULL);
	assert_true(carry(&r, &g[0]));
	assert_true(carry(&r, &g[1]));
	assert_true(carry(&r, &g[2]));
	assert_true(carry(&r, &g[3]));
	assert_string_not_equal(g[0].destination, g[1].destination);
	assert_string_equal(g[0].destination, g[2].destination);
	assert_string_equal(g[1].destination, g[3].destination);
	courier_dies(&r);
	assert_int_equal(carry_many(&r, g, 8), 5); /* 3 and 2 */
	rig_done(&r);
}

static void the_urgent_one_goes_first(void **state)
{
	struct rig r = rig("");
	struct ask a;
	struct got g;

	(void)state;
	mail_to(&r, "first@remote.test", NULL);
	a = rig_send(&r, "x\r\n", "low@remote.test", NULL);
	a.commit.priority = (uint8_t)-4;
	assert_int_equal(send_ask(&r, a).result, OK);
	a = rig_send(&r, "x\r\n", "high@remote.test", NULL);
	a.commit.priority = 6;
	assert_int_equal(send_ask(&r, a).result, OK);
	assert_true(carry(&r, &g));
	assert_string_equal(g.first, "high@remote.test");
	assert_true(carry(&r, &g));
	assert_string_equal(g.first, "first@remote.test");
	assert_true(carry(&r, &g));
	assert_string_equal(g.first, "low@remote.test");
	rig_done(&r);
}

/* The newest wait in memory, the others in the index: the order is that of one queue. */
static void old_and_new_go_in_order_of_due(void **state)
{
	struct rig r = rig("queue {\nretry-first 60m\n}\n");
	struct got g[8];

	(void)state;
	mail_to(&r, "late1@remote.test", NULL);
	mail_to(&r, "late2@remote.test", NULL);
	assert_true(carry(&r, &g[0]));
	assert_true(carry(&r, &g[1]));
	for (int i = 0; i < 2; i++)
		assert_int_equal(carried(&r, &g[i], CARRY_DEFERRED, "4.3.0", "451 later"), OK);
	later(&r, MINUTE);
	mail_to(&r, "first@remote.test", NULL);
	later(&r, MINUTE);
	mail_to(&r, "second@remote.test", NULL);
	rig_close(&r);
	rig_open(&r);
	later(&r, 2 * HOUR);
	mail_to(&r, "last@remote.test", NULL);
	for (int i = 0; i < 5; i++)
		assert_true(carry(&r, &g[i]));
	assert_string_equal(g[0].first, "first@remote.test");
	assert_string_equal(g[1].first, "second@remote.test");
	assert_memory_equal(g[2].first, "late", 4);
	assert_memory_equal(g[3].first, "late", 4);
	assert_string_equal(g[4].first, "last@remote.test");
	for (int i = 0; i < 5; i++)
		assert_int_equal(carried(&r, &g[i], CARRY_DELIVERED, "2.0.0", "250 OK"), OK);
	assert_false(carry(&r, &g[0]));
	assert_int_equal(entries(&r), 0);
	rig_done(&r);
}

/* A dead host costs one try for each backoff, however much waits for it, and nobody else waits. */
static void a_dead_host_costs_one_try_each_time(void **state)
{
	struct rig r = rig("queue {\nretry-first 5m\nretry-last 2h\n}\n"
	                   "carry { per-destination 2 }\n");
	struct got g[10];
	struct ask a;
	size_t n;

	(void)state;
	for (int i = 0; i < 600; i++)
		mail_to(&r, "a@dead.test", NULL);
	for (int i = 0; i < 3; i++) {
		n = 0;
		while (n < 10 && carry(&r, &g[n]))
			n++;
		assert_int_equal(n, i == 0 ? 2 : 1);
		for (size_t k = 0; k < n; k++) {
			a = carried_ask(&g[k], CARRY_DEFERRED, "4.4.1", "connect: timed out");
			a.carried.scope = CARRIED_DESTINATION;
			a.carried.remote = (struct bytes){0};
			assert_int_equal(rig_ask(&r, COURIER_PEER, a).result, OK);
		}
		mail_to(&r, "b@alive.test", NULL);
		courier_dies(&r);
		assert_true(carry(&r, &g[0]));
		assert_string_equal(g[0].destination, "alive.test");
		assert_int_equal(carried(&r, &g[0], CARRY_DELIVERED, "2.0.0", "250"), OK);
		if (i == 1) {
			rig_close(&r);
			rig_open(&r);
		}
		assert_false(carry(&r, &g[0]));
		courier_dies(&r);
		later(&r, (5LL << i) * MINUTE * 5 / 4 + 1000);
	}
	/* it lives again: all goes at its pace */
	assert_true(carry(&r, &g[0]));
	assert_int_equal(carried(&r, &g[0], CARRY_DELIVERED, "2.0.0", "250"), OK);
	n = 0;
	while (n < 10 && carry(&r, &g[n]))
		n++;
	assert_true(n >= 1 && n <= 2);
	rig_done(&r);
}

/* ---- a provider that blocks us ---- */

enum { BLOCKED = 1 };

static uint64_t raise_block(struct rig *r, const char *provider)
{
	struct ask a = {.kind = ASK_INCIDENT};

	a.incident.verb = INCIDENT_RAISE;
	a.incident.kind = BLOCKED;
	a.incident.key = bytes_of_text(provider);
	a.incident.facts = BYTES("reply=550 blocked\n");
	return rig_ask(r, COURIER_PEER, a).incident.id;
}

static struct answer path(struct rig *r, const struct got *g, const char *provider)
{
	struct ask a = {.kind = ASK_PATH};

	a.path.lease = g->lease;
	a.path.provider = bytes_of_text(provider);
	a.path.hosts = BYTES("mx.remote.test");
	return rig_ask(r, COURIER_PEER, a);
}

/* Nothing goes to a provider that blocks us but one probe now and then; nothing expires; when a
 * probe gets through all of it goes, also what was never tried. */
static void a_block_holds_and_releases(void **state)
{
	struct rig r = rig("carry {\nprobe-first 15m\nprobe-last 1h\n}\n");
	struct answer a;
	struct got g, other;
	uint64_t id;

	(void)state;
	mail_to(&r, "a@one.test", NULL);
	mail_to(&r, "b@two.test", NULL);
	mail_to(&r, "c@one.test", NULL);
	assert_true(carry(&r, &g));
	assert_string_equal(g.destination, "one.test");
	assert_int_equal(path(&r, &g, "remote.test").path.go, PATH_GO);
	id = raise_block(&r, "remote.test");
	assert_int_equal(carried(&r, &g, CARRY_HELD, "5.7.1", "550 blocked"), OK);
	assert_true(listed(&r, "", "\"state\":\"held\""));
	/* another destination behind the same provider is known when its path is */
	assert_true(carry(&r, &other));
	assert_string_equal(other.destination, "two.test");
	a = path(&r, &other, "remote.test");
	assert_int_equal(a.result, UNAVAILABLE);
	assert_false(carry(&r, &g));
	courier_dies(&r);
	/* days later, and after a restart: nothing was given up, nobody was told */
	later(&r, 6LL * DAY);
	rig_close(&r);
	rig_open(&r);
	later(&r, 6LL * DAY);
	assert_int_equal(rig_take(&r).kind, ASK_NONE);
	store_peer_lost(r.store, SORTER_PEER);
	/* a probe: one entry, and it fails */
	assert_true(carry(&r, &g));
	assert_int_equal(g.count, 1);
	assert_false(carry(&r, &other));
	courier_dies(&r);
	later(&r, 20 * MINUTE);
	assert_true(carry(&r, &g));
	a = path(&r, &g, "remote.test");
	assert_int_equal(a.result, OK);
	assert_int_equal(a.path.go, PATH_PROBE);
	assert_int_equal(carried(&r, &g, CARRY_HELD, "5.7.1", "550 blocked"), OK);
	assert_false(carry(&r, &g));
	courier_dies(&r);
	later(&r, 16 * MINUTE); /* the wait has doubled */
	assert_false(carry(&r, &g));
	courier_dies(&r);
	later(&r, 16 * MINUTE);
	assert_true(carry(&r, &g));
	assert_int_equal(path(&r, &g, "remote.test").path.go, PATH_PROBE);
	assert_int_equal(carried(&r, &g, CARRY_DELIVERED, "2.0.0", "250 OK"), OK);
	a = rig_admin(&r, ADMIN_INCIDENTS, "", 0);
	assert_int_equal(a.admin.rows.len, 0);
	/* the rest, at once */
	assert_true(carry(&r, &g));
	assert_int_equal(path(&r, &g, "remote.test").path.go, PATH_GO);
	assert_int_equal(carried(&r, &g, CARRY_DELIVERED, "2.0.0", "250 OK"), OK);
	assert_true(carry(&r, &g));
	assert_int_equal(carried(&r, &g, CARRY_DELIVERED, "2.0.0", "250 OK"), OK);
	assert_int_equal(entries(&r), 0);
	assert_true(id > 0);
	rig_done(&r);
}

/* A provider that wants less gets less, for all its domains together; others do not wait for it. */
static void a_busy_provider_is_asked_less(void **state)
{
	struct rig r = rig("");
	struct got g[6];
	struct ask a;
	size_t n = 0;

	(void)state;
	for (int i = 0; i < 5; i++) {
		char to[64];

		snprintf(to, sizeof(to), "a@d%d.test", i);
		mail_to(&r, to, NULL);
		mail_to(&r, to, NULL);
	}
	for (int i = 0; i < 4; i++) {
		assert_true(carry(&r, &g[i]));
		assert_int_equal(path(&r, &g[i], "big.test").result, OK);
	}
	a = carried_ask(&g[0], CARRY_DEFERRED, "4.7.0", "421 too many connections");
	a.carried.scope = CARRIED_BUSY;
	a.carried.provider = BYTES("big.test");
	assert_int_equal(rig_ask(&r, COURIER_PEER, a).result, OK); /* 4 were open: 2 now */
	assert_true(carry(&r, &g[4]));                             /* not known to be of it yet */
	assert_int_equal(path(&r, &g[4], "big.test").result, UNAVAILABLE);
	assert_false(carry(&r, &g[4]));
	mail_to(&r, "b@other.test", NULL);
	courier_dies(&r);
	later(&r, 3000);
	while (n < 6 && carry(&r, &g[n])) {
		struct answer p = path(&r, &g[n],
		                       strcmp(g[n].destination, "other.test") == 0 ? "other.test"
		                                                                   : "big.test");

		n += p.result == OK;
	}
	assert_int_equal(n, 3); /* 2 of it, and the other */
	rig_done(&r);
}

/* incident:N is all that waits because of it: also what was never tried, and nothing else. */
static void an_incident_names_all_that_waits_for_it(void **state)
{
	struct rig r = rig("");
	struct got g;
	struct answer a;

	(void)state;
	mail_to(&r, "a@one.test", NULL);
	assert_true(carry(&r, &g));
	mail_to(&r, "b@one.test", NULL);
	mail_to(&r, "c@two.test", NULL);
	(void)raise_block(&r, "remote.test");
	assert_int_equal(carried(&r, &g, CARRY_HELD, "5.7.1", "550 blocked"), OK);
	rig_run(&r);
	a = rig_admin(&r, ADMIN_QUEUE_LIST, "incident:1", 0);
	assert_int_equal(a.result, OK);
	assert_true(bytes_find(a.admin.rows, BYTES("a@one.test")) != BYTES_NONE);
	assert_true(bytes_find(a.admin.rows, BYTES("b@one.test")) != BYTES_NONE);
	assert_true(bytes_find(a.admin.rows, BYTES("c@two.test")) == BYTES_NONE);
	assert_int_equal(rig_admin(&r, ADMIN_QUEUE_REMOVE, "incident:1", 0).result, OK);
	rig_run(&r);
	a = rig_admin(&r, ADMIN_QUEUE_LIST, "", 0);
	assert_true(bytes_find(a.admin.rows, BYTES("one.test")) == BYTES_NONE);
	assert_true(bytes_find(a.admin.rows, BYTES("c@two.test")) != BYTES_NONE);
	rig_done(&r);
}

/* The operator closes the incident: what it held goes on. */
static void a_closed_incident_releases(void **state)
{
	struct rig r = rig("");
	struct got g;
	uint64_t id;

	(void)state;
	mail_to(&r, "a@one.test", NULL);
	assert_true(carry(&r, &g));
	id = raise_block(&r, "remote.test");
	assert_int_equal(carried(&r, &g, CARRY_HELD, "5.7.1", "550 blocked"), OK);
	assert_false(carry(&r, &g));
	courier_dies(&r);
	assert_int_equal(rig_admin(&r, ADMIN_INCIDENT_CLOSE, "", id).result, OK);
	rig_run(&r);
	assert_true(carry(&r, &g));
	assert_int_equal(path(&r, &g, "remote.test").path.go, PATH_GO);
	rig_done(&r);
}

/* ---- the operator ---- */

static enum result act(struct rig *r, enum admin_verb verb, const char *subject, const char *value)
{
	struct ask a = {.kind = ASK_ADMIN};

	a.admin.verb = verb;
	a.admin.subject = bytes_of_text(subject);
	a.admin.value = bytes_of_text(value);
	return rig_ask(r, WEB_PEER, a).result;
}

static void the_operator_says_which(void **state)
{
	struct rig r = rig("");
	struct got g;

	(void)state;
	mail_to(&r, "a@one.test", "b@one.test");
	mail_to(&r, "c@two.test", NULL);
	assert_true(listed(&r, "@one.test", "b@one.test"));
	assert_false(listed(&r, "@one.test", "c@two.test"));
	assert_true(listed(&r, "two.test", "c@two.test"));
	assert_true(listed(&r, "00000001", "a@one.test"));
	assert_true(listed(&r, "entry:3", "c@two.test"));
	assert_true(listed(&r, "state:carry", "c@two.test"));
	assert_false(listed(&r, "state:held", "c@two.test"));
	assert_int_equal(act(&r, ADMIN_QUEUE_HOLD, "b@one.test", ""), OK);
	assert_int_equal(act(&r, ADMIN_QUEUE_HOLD, "nobody@one.test", ""), NOT_FOUND);
	assert_int_equal(act(&r, ADMIN_QUEUE_REMOVE, "", ""), INVALID);
	assert_int_equal(act(&r, ADMIN_QUEUE_REMOVE, "what", ""), INVALID);
	assert_true(carry(&r, &g));
	assert_int_equal(g.count, 1);
	assert_string_equal(g.first, "a@one.test");
	assert_int_equal(act(&r, ADMIN_QUEUE_REMOVE, "a@one.test", ""), UNAVAILABLE);
	assert_int_equal(carried(&r, &g, CARRY_DEFERRED, "4.0.0", "later"), OK);
	courier_dies(&r);
	assert_int_equal(act(&r, ADMIN_QUEUE_RELEASE, "b@one.test", ""), OK);
	assert_int_equal(act(&r, ADMIN_QUEUE_RETRY, "a@one.test", ""), OK);
	assert_true(listed(&r, "@one.test", "b@one.test"));
	for (int i = 0; i < 2; i++) {
		assert_true(carry(&r, &g));
		if (strcmp(g.destination, "one.test") == 0)
			assert_int_equal(g.count, 2);
	}
	courier_dies(&r);
	assert_int_equal(act(&r, ADMIN_QUEUE_REDIRECT, "@one.test", "ken@example.test"), OK);
	assert_int_equal(rig_status(&r, "INBOX").messages, 1);
	assert_int_equal(act(&r, ADMIN_QUEUE_REDIRECT, "@two.test", "d@three.test"), OK);
	assert_true(carry(&r, &g));
	assert_string_equal(g.first, "d@three.test");
	courier_dies(&r);
	assert_int_equal(act(&r, ADMIN_QUEUE_REMOVE, "all", ""), OK);
	assert_int_equal(entries(&r), 0);
	verify(&r);
	rig_done(&r);
}

/* One job puts several mails into one mailbox: each has a UID of its own. */
static void mails_redirected_together_all_arrive(void **state)
{
	struct rig r = rig("");

	(void)state;
	for (int i = 0; i < 5; i++)
		mail_to(&r, "a@one.test", NULL);
	assert_int_equal(act(&r, ADMIN_QUEUE_REDIRECT, "@one.test", "ken@example.test"), OK);
	assert_int_equal(rig_status(&r, "INBOX").messages, 5);
	assert_int_equal(rig_status(&r, "INBOX").uidnext, 6);
	assert_int_equal(entries(&r), 0);
	verify(&r);
	rig_done(&r);
}

/* More than a page, more than a group, more than the windows in memory. */
static void many_entries_are_listed_and_changed_page_by_page(void **state)
{
	enum { MANY = 1500 };
	struct rig r = rig("");
	uint64_t next = 0, seen = 0, pages = 0;
	struct answer a;

	(void)state;
	for (int i = 0; i < MANY; i++) {
		char to[64];

		snprintf(to, sizeof(to), "u%d@d%d.test", i, i % 700);
		mail_to(&r, to, NULL);
	}
	do {
		a = rig_admin(&r, ADMIN_QUEUE_LIST, "", next);
		for (size_t i = 0; i < a.admin.rows.len; i++)
			seen += a.admin.rows.ptr[i] == '\n';
		assert_true(a.admin.next == 0 || a.admin.next > next);
		next = a.admin.next;
		pages++;
	} while (next);
	assert_int_equal(seen, MANY);
	assert_true(pages > 3);
	do {
		a = rig_admin(&r, ADMIN_QUEUE_HOLD, "all", next);
		assert_int_equal(a.result, OK);
		next = a.admin.next;
	} while (next);
	a = rig_admin(&r, ADMIN_STATUS, "", 0);
	assert_true(bytes_find(a.admin.rows, BYTES("\"queue_held\":1500")) != BYTES_NONE);
	rig_close(&r);
	rig_open(&r);
	assert_int_equal(r.report.entries, MANY);
	a = rig_admin(&r, ADMIN_QUEUE_SUMMARY, "", 0);
	assert_true(bytes_find(a.admin.rows, BYTES("\"destination\":\"d0.test\",\"count\":3")) !=
	            BYTES_NONE);
	verify(&r);
	rig_done(&r);
}

/* All of it reaches couriers, each entry once, though little of it is in memory at a time. */
static void everything_is_offered_once(void **state)
{
	enum { MANY = 2500 };
	struct rig r = rig("carry { connections 10 }\n");
	bool *seen = memory_get(MANY + 2);
	struct got g;
	size_t n = 0;

	(void)state;
	for (int i = 0; i < MANY; i++) {
		char to[64];

		snprintf(to, sizeof(to), "u%d@d%d.test", i, i % 1300);
		mail_to(&r, to, NULL);
	}
	rig_close(&r);
	rig_open(&r);
	while (carry(&r, &g)) {
		assert_int_equal(g.count, 1);
		assert_true(g.entries[0] <= MANY && !seen[g.entries[0]]);
		seen[g.entries[0]] = true;
		n++;
		/* one in five is left for a later try */
		assert_int_equal(carried(&r, &g, n % 5 ? CARRY_DELIVERED : CARRY_DEFERRED, "2.0.0",
		                         "250 OK"),
		                 OK);
	}
	assert_int_equal(n, MANY);
	memory_free(seen);
	rig_done(&r);
}

/* test_store_queue [N]: with N entries at most that are not filed, so that filing happens between all others. */
int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(what_is_carried_is_gone),
	        cmocka_unit_test(deferred_mail_waits_longer_each_time),
	        cmocka_unit_test(what_the_host_asks_for_is_waited_for),
	        cmocka_unit_test(what_fails_goes_to_the_sorter),
	        cmocka_unit_test(a_dead_courier_gives_back),
	        cmocka_unit_test(each_recipient_has_its_own_fate),
	        cmocka_unit_test(strangers_send_nothing_elsewhere),
	        cmocka_unit_test(the_sender_is_told_once_and_in_the_end_it_goes_back),
	        cmocka_unit_test(mail_may_be_for_later_and_only_until),
	        cmocka_unit_test(success_is_told_where_it_was_asked_for),
	        cmocka_unit_test(destinations_take_turns),
	        cmocka_unit_test(the_urgent_one_goes_first),
	        cmocka_unit_test(old_and_new_go_in_order_of_due),
	        cmocka_unit_test(a_dead_host_costs_one_try_each_time),
	        cmocka_unit_test(a_block_holds_and_releases),
	        cmocka_unit_test(a_busy_provider_is_asked_less),
	        cmocka_unit_test(a_closed_incident_releases),
	        cmocka_unit_test(an_incident_names_all_that_waits_for_it),
	        cmocka_unit_test(the_operator_says_which),
	        cmocka_unit_test(mails_redirected_together_all_arrive),
	        cmocka_unit_test(many_entries_are_listed_and_changed_page_by_page),
	        cmocka_unit_test(everything_is_offered_once),
	};

	fresh_entries = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 0;
	return TEST_MAIN(tests);
}
