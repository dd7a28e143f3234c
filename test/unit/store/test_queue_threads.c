/* Couriers, sorters and an operator at once, with writer and two readers on threads of their own: no entry is given to two,
 * none is lost, none comes back after it was delivered. Under -Db_sanitize=thread it also says whether they race. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/wire.h"
#include "store_test.h"

enum { MAILS = 3000, DOMAINS = 50, OPEN = 40 };

enum fate { WAITS, GIVEN, SAID, GONE }; /* SAID: a CARRIED or SORTED that ends it was asked */

struct load {
	struct rig r;
	enum fate fate[MAILS + 1];    /* by entry: one a mail, in the order of COMMIT */
	uint64_t ended_by[MAILS + 1]; /* the number of the ask that ends it */
	unsigned committed, gone, commits, carries, takes, said, twice, seed;
};

static bool stop;

static void *write_on(void *context)
{
	struct load *l = context;

	while (!__atomic_load_n(&stop, __ATOMIC_SEQ_CST)) {
		if (store_write_waits(l->r.store))
			store_write_step(l->r.store);
		else
			usleep(50);
	}
	return NULL;
}

struct reading {
	struct load *load;
	unsigned reader;
};

static void *read_on(void *context)
{
	struct reading *r = context;

	while (!__atomic_load_n(&stop, __ATOMIC_SEQ_CST)) {
		if (store_read_waits(r->load->r.store))
			store_read_step(r->load->r.store, r->reader);
		else
			usleep(50);
	}
	return NULL;
}

static unsigned draw(struct load *l, unsigned below)
{
	return (unsigned)rand_r(&l->seed) % below;
}

static uint32_t put(struct load *l, struct store_peer from, struct ask a)
{
	a.number = l->r.number++;
	store_ask(l->r.store, from, &a, l->r.now);
	return a.number;
}

static void commit(struct load *l)
{
	struct ask a = {.kind = ASK_SPOOL, .session = 9};
	char key[17], rcpt[40], room[100];
	struct buf recipients = {.ptr = room, .size = sizeof(room)};

	a.spool.spool = ++l->committed;
	a.spool.chunk = BYTES("x\r\n");
	put(l, SORTER_PEER, a);
	snprintf(key, sizeof(key), "key%013u", l->committed);
	snprintf(rcpt, sizeof(rcpt), "u@d%u.test", draw(l, DOMAINS));
	buf_block(&recipients, bytes_of_text(rcpt));
	buf_u8(&recipients, 0);
	buf_block(&recipients, (struct bytes){0});
	a = (struct ask){.kind = ASK_COMMIT, .session = 9};
	a.commit.spool = l->committed;
	a.commit.key = bytes_of(key, 16);
	a.commit.sender = BYTES("ken@example.test");
	a.commit.summary = BYTES("s");
	a.commit.recipients = buf_bytes(&recipients);
	put(l, SORTER_PEER, a);
	l->commits++;
}

static void ends(struct load *l, uint64_t entry, uint32_t number)
{
	l->fate[entry] = SAID;
	l->ended_by[entry] = number;
	l->said++;
}

static void given(struct load *l, uint64_t entry)
{
	l->twice += entry > MAILS || l->fate[entry] != WAITS;
	if (entry <= MAILS)
		l->fate[entry] = GIVEN;
}

static void carry_on(struct load *l, const struct answer_carry *c)
{
	static const uint8_t outcomes[] = {CARRY_DELIVERED, CARRY_DELIVERED, CARRY_DELIVERED,
	                                   CARRY_DEFERRED,  CARRY_UNTOUCHED, CARRY_FAILED};
	struct wire w = wire_of(c->entries);
	uint64_t entry = wire_u64(&w);
	uint8_t outcome = outcomes[draw(l, 6)];
	struct ask a = {.kind = ASK_CARRIED};
	char room[64];
	struct buf b = {.ptr = room, .size = sizeof(room)};
	uint32_t number;

	given(l, entry);
	buf_u64(&b, entry);
	buf_u8(&b, outcome);
	buf_u8(&b, 0);
	buf_block(&b, BYTES("2.0.0"));
	buf_block(&b, BYTES("reply"));
	a.carried.lease = c->lease;
	a.carried.results = buf_bytes(&b);
	a.carried.remote = BYTES("mx");
	a.carried.scope = draw(l, 40) == 0 ? CARRIED_BUSY : CARRIED_MAIL;
	a.carried.retry_after = 1;
	number = put(l, COURIER_PEER, a);
	if (outcome == CARRY_DELIVERED)
		ends(l, entry, number);
	else
		l->fate[entry] = WAITS; /* from when it is durable on, and nobody gets it before */
}

static void sort_on(struct load *l, const struct answer_take *t)
{
	struct ask a = {.kind = ASK_SORTED};
	char room[64];
	struct buf b = {.ptr = room, .size = sizeof(room)};

	given(l, t->entry);
	buf_u8(&b, SORT_DONE);
	buf_block(&b, BYTES("bounced"));
	a.sorted.entry = t->entry;
	a.sorted.lease = t->lease;
	a.sorted.actions = buf_bytes(&b);
	ends(l, t->entry, put(l, SORTER_PEER, a));
}

static void ended(struct load *l, uint32_t number)
{
	for (uint64_t e = 1; e <= MAILS; e++) {
		if (l->fate[e] == SAID && l->ended_by[e] == number) {
			l->fate[e] = GONE;
			l->gone++;
			l->said--;
			return;
		}
	}
}

static void drain(struct load *l)
{
	struct answer a;
	struct store_peer peer;

	while (store_next_answer(l->r.store, &peer, &a)) {
		l->commits -= a.kind == ASK_COMMIT;
		l->carries -= a.kind == ASK_CARRY;
		l->takes -= a.kind == ASK_TAKE;
		if (a.result != OK)
			l->twice += a.kind == ASK_CARRIED || a.kind == ASK_SORTED ||
			            a.kind == ASK_COMMIT;
		else if (a.kind == ASK_CARRY)
			carry_on(l, &a.carry);
		else if (a.kind == ASK_TAKE)
			sort_on(l, &a.take);
		else if (a.kind == ASK_CARRIED || a.kind == ASK_SORTED)
			ended(l, a.number);
	}
}

/* The operator's commands meet what is being carried: they are refused, or come first. */
static void meddle(struct load *l)
{
	static const uint16_t verbs[] = {ADMIN_QUEUE_HOLD, ADMIN_QUEUE_RELEASE, ADMIN_QUEUE_RELEASE,
	                                 ADMIN_QUEUE_RETRY, ADMIN_QUEUE_LIST};
	struct ask a = {.kind = ASK_ADMIN};
	char subject[32];

	snprintf(subject, sizeof(subject), "entry:%u", 1 + draw(l, l->committed));
	a.admin.verb = verbs[draw(l, 5)];
	a.admin.subject = bytes_of_text(subject);
	put(l, WEB_PEER, a);
}

static void round_of(struct load *l, bool end)
{
	struct ask release = {.kind = ASK_ADMIN};

	l->r.now += 5;
	store_tick(l->r.store, l->r.now);
	drain(l);
	if (l->committed < MAILS && l->commits < 8)
		commit(l);
	for (; l->carries < OPEN; l->carries++)
		put(l, COURIER_PEER, (struct ask){.kind = ASK_CARRY});
	for (; l->takes < 4; l->takes++)
		put(l, SORTER_PEER, (struct ask){.kind = ASK_TAKE});
	if (!end && draw(l, 4) == 0)
		meddle(l);
	release.admin.verb = ADMIN_QUEUE_RELEASE;
	release.admin.subject = BYTES("state:held");
	if (end && draw(l, 50) == 0)
		put(l, WEB_PEER, release);
	usleep(100);
}

static void nobody_gets_what_another_has(void **state)
{
	static struct load l;
	struct reading readings[2] = {{&l, 0}, {&l, 1}};
	pthread_t writer, readers[2];
	struct store_check check;
	struct why why;

	(void)state;
	l.r = rig_make("", "");
	l.seed = 7;
	l.r.options.readers = 2;
	rig_open(&l.r);
	assert_int_equal(pthread_create(&writer, NULL, write_on, &l), 0);
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&readers[i], NULL, read_on, &readings[i]), 0);
	/* Far more rounds than it needs; it is over when everything is. */
	for (unsigned i = 0, full = 0; i < 600000 && l.gone < MAILS; i++) {
		full += l.committed == MAILS;
		round_of(&l, full > 500);
	}
	__atomic_store_n(&stop, true, __ATOMIC_SEQ_CST);
	pthread_join(writer, NULL);
	for (int i = 0; i < 2; i++)
		pthread_join(readers[i], NULL);
	assert_int_equal(l.twice, 0);
	assert_int_equal(l.gone, MAILS);
	while (store_write_step(l.r.store))
		;
	assert_int_equal(store_verify(l.r.store, false, NULL, NULL, &check, &why), OK);
	assert_int_equal(check.figures, 0);
	assert_int_equal(check.dangling, 0);
	rig_done(&l.r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(nobody_gets_what_another_has),
	};

	return TEST_MAIN(tests);
}
