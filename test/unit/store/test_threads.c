/* Owner, writer and two readers on threads of their own, as roles/store.c runs them, under a mixed load.
 * Afterwards everything must add up. Under -Db_sanitize=thread it also says whether they race. */
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "store_test.h"

enum { ACCOUNTS = 8, ROUNDS = 2500, OPEN_MOST = 200 };

struct load {
	struct rig r;
	char addresses[ACCOUNTS][40], key[17], name[17];
	uint64_t accounts[ACCOUNTS], boxes[ACCOUNTS];
	unsigned seed, open, answered, other;
	char *body;
};

static bool stop;

static bool stopped(void)
{
	return __atomic_load_n(&stop, __ATOMIC_SEQ_CST);
}

static void *write_on(void *context)
{
	struct load *l = context;

	while (!stopped()) {
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

	while (!stopped()) {
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

static void drain(struct load *l)
{
	struct answer a;
	struct store_peer peer;
	uint64_t session;

	while (store_next_answer(l->r.store, &peer, &a)) {
		l->open--;
		l->answered++;
		/* One image at a time. */
		l->other += a.result != OK && a.result != NOT_FOUND && a.result != EXISTS &&
		            !(a.kind == ASK_ADMIN && a.result == UNAVAILABLE);
	}
	while (store_next_event(l->r.store, &peer, &session))
		;
}

static void put(struct load *l, struct store_peer from, struct ask a)
{
	rig_put(&l->r, from, a);
	for (l->open++; l->open > OPEN_MOST;)
		drain(l);
}

static void commit(struct load *l, unsigned k)
{
	size_t len = draw(l, 60) ? draw(l, 9000) + 1 : 1500000;
	uint32_t spool = l->r.spool++;
	uint64_t session = 7 +
	                   spool % 64; /* as many clients: one has few mails under way at once */
	struct ask c = {.kind = ASK_COMMIT, .session = session};

	for (size_t at = 0; at < len; at += LIMIT_CHUNK) {
		struct ask a = {.kind = ASK_SPOOL, .session = session};

		a.spool.spool = spool;
		a.spool.chunk = bytes_of(l->body, len - at < LIMIT_CHUNK ? len - at : LIMIT_CHUNK);
		put(l, MX_PEER, a);
	}
	snprintf(l->key, sizeof(l->key), "key%013u", spool);
	c.commit.spool = spool;
	c.commit.key = bytes_of(l->key, 16);
	c.commit.summary = BYTES("summary");
	c.commit.recipients = rig_recipients(&l->r, l->addresses[k],
	                                     draw(l, 5) ? NULL : "team@example.test");
	put(l, MX_PEER, c);
}

static void change(struct load *l, struct ask a, uint64_t box)
{
	switch (draw(l, 3)) {
	case 0:
		a.kind = ASK_FLAGS_SET;
		a.flags_set.mailbox = box;
		a.flags_set.set = rig_range(&l->r, 1 + draw(l, 50), 60 + draw(l, 50));
		a.flags_set.mode = (uint8_t)draw(l, 3);
		a.flags_set.flags = draw(l, 32);
		a.flags_set.unchanged_since = UINT64_MAX;
		break;
	case 1:
		a.kind = ASK_EXPUNGE;
		a.expunge.mailbox = box;
		break;
	default:
		a.kind = ASK_COPY;
		a.copy.mailbox = box;
		a.copy.set = rig_range(&l->r, 1, draw(l, 200) + 1);
		a.copy.name = BYTES("Archive");
		a.copy.move = (uint8_t)draw(l, 2);
	}
	put(l, ACCESS_PEER, a);
}

static void look(struct load *l, struct ask a, uint64_t box)
{
	switch (draw(l, 5)) {
	case 0:
		a.kind = ASK_STATUS;
		a.status.name = BYTES("INBOX");
		break;
	case 1:
		a.kind = ASK_SUMMARIES;
		a.summaries.mailbox = box;
		a.summaries.set = rig_range(&l->r, 1, 9999);
		a.summaries.full = 1;
		break;
	case 2:
		a.kind = ASK_READ;
		a.read.mailbox = box;
		a.read.uid = draw(l, 200);
		a.read.len = LIMIT_READ;
		break;
	case 3:
		a.kind = ASK_CHANGES;
		a.changes.mailbox = box;
		put(l, ACCESS_PEER, a);
		a.kind = ASK_WATCH;
		a.watch.mailbox = box;
		a.watch.modseq = 0;
		break;
	default:
		a.kind = ASK_FLAGS;
		a.flags.mailbox = box;
		a.flags.set = rig_range(&l->r, 1, 9999);
	}
	put(l, ACCESS_PEER, a);
}

static void name_boxes(struct load *l, struct ask a)
{
	snprintf(l->name, sizeof(l->name), "box%u", draw(l, 20));
	a.kind = draw(l, 2) ? ASK_MAILBOX_CREATE : ASK_MAILBOX_DELETE;
	if (a.kind == ASK_MAILBOX_CREATE)
		a.mailbox_create.name = bytes_of_text(l->name);
	else
		a.mailbox_delete.name = bytes_of_text(l->name);
	put(l, ACCESS_PEER, a);
}

static void operate(struct load *l)
{
	static const enum admin_verb verbs[] = {ADMIN_STATUS, ADMIN_QUEUE_LIST, ADMIN_ACCOUNT_LIST,
	                                        ADMIN_SWEEP, ADMIN_CHECKPOINT};
	struct ask a = {.kind = ASK_ADMIN};

	a.admin.verb = verbs[draw(l, 5)];
	put(l, WEB_PEER, a);
}

static void round_of(struct load *l)
{
	unsigned k = draw(l, ACCOUNTS), what = draw(l, 12);
	struct ask a = {.session = 0x2000 + l->accounts[k]};

	l->r.now += 10;
	if (what < 3)
		commit(l, k);
	else if (what < 6)
		change(l, a, l->boxes[k]);
	else if (what < 10)
		look(l, a, l->boxes[k]);
	else if (what < 11)
		name_boxes(l, a);
	else
		operate(l);
	drain(l);
}

static void load_begin(struct load *l)
{
	l->r = rig_make("", "team@example.test u1@example.test, u2@example.test\n");
	l->r.options.readers = 2;
	rig_open(&l->r);
	l->seed = 1;
	l->body = memory_get(2000000);
	memset(l->body, 'x', 2000000);
	for (unsigned i = 0; i < ACCOUNTS; i++) {
		snprintf(l->addresses[i], sizeof(l->addresses[i]), "u%u@example.test", i);
		l->accounts[i] = rig_account(&l->r, l->addresses[i]);
		rig_login(&l->r, l->accounts[i]);
		l->boxes[i] = rig_status(&l->r, "INBOX").mailbox;
	}
}

static void threads_keep_the_store_whole(void **state)
{
	struct load l = {0};
	struct reading readings[2] = {{&l, 0}, {&l, 1}};
	pthread_t threads[3];
	struct store_check check;
	struct why why = {0};
	char *before, *after;

	(void)state;
	load_begin(&l);
	pthread_create(&threads[0], NULL, write_on, &l);
	for (unsigned i = 0; i < 2; i++)
		pthread_create(&threads[1 + i], NULL, read_on, &readings[i]);
	for (unsigned i = 0; i < ROUNDS; i++)
		round_of(&l);
	while (l.open)
		drain(&l);
	__atomic_store_n(&stop, true, __ATOMIC_SEQ_CST);
	for (unsigned i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	assert_true(l.answered > ROUNDS);
	assert_int_equal(l.other, 0);
	rig_run(&l.r);
	assert_int_equal(store_verify(l.r.store, false, NULL, NULL, &check, &why), OK);
	assert_int_equal(check.damaged + check.figures + check.dangling, 0);
	before = rig_dump(&l.r);
	rig_close(&l.r);
	rig_remove(&l.r, "index.db*");
	rig_open(&l.r);
	after = rig_dump(&l.r);
	assert_int_equal(strcmp(before, after), 0);
	memory_free(before);
	memory_free(after);
	memory_free(l.body);
	rig_done(&l.r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(threads_keep_the_store_whole)};

	return TEST_MAIN(tests);
}
