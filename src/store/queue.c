/* The queue: an entry is one recipient of one mail that is not where it should be yet.
 *
 *	state    | what it means                          | leaves it by
 *	---------+----------------------------------------+------------------------------------------------
 *	READY    | the sorter takes it when it is due,    | SORTED: place, redirect, done: the entry is gone
 *	         | with a task:                           |         defer: READY, due later, tries + 1
 *	         |   ROUTE     where does it go?          |         hold: HELD
 *	         |   FAILED    send it back               |         carry on: CARRY, due when it was
 *	         |   DELAYED   tell the sender that it    | the operator: HELD, gone, another recipient
 *	         |             is late                    |
 *	         |   RELAYED   tell the sender that it    |
 *	         |   EXPANDED  arrived (RFC 3461, 5.2)    |
 *	CARRY    | for another host; a courier gets it    | CARRIED: delivered: gone, or READY to RELAYED
 *	         | when it is due                         |          deferred: CARRY, due later, tries + 1
 *	         |                                        |          failed: READY to FAILED
 *	         |                                        |          held: HELD, with the incident
 *	         |                                        | time: READY to DELAYED, once; READY to FAILED
 *	         |                                        | the operator: HELD, gone, another recipient
 *	HELD     | an operator has to look at it, or an   | the incident's end: CARRY
 *	         | incident's end releases it; it never   | the operator: release to READY or CARRY, gone
 *	         | expires                                |
 *	PARKED   | the account is suspended               | the account is let go: READY
 *	(leased) | a sorter or a courier works on it;     | SORTED, CARRIED with the lease; the sorter's,
 *	         | only in memory                         | courier's, store's death: as if nothing had been
 *
 * The guarantee: for every recipient of a mail that COMMIT was answered OK for, there is at every
 * moment, after any crash, exactly one of
 *	- a placement in a mailbox (until somebody expunges it),
 *	- an entry in one of the states above,
 *	- a durable SORT_DONE with its reason, a durable CARRIED with another host's 250, or an operator's
 *	  removal,
 *	- further entries or placements that a SORTED put in its place, in the same transaction.
 * So nothing is lost, and nothing is done twice: SORTED's effects, the removal of the entry and the
 * memory of the answer (key: entry, lease) are one record; CARRIED's the same for all its entries (key:
 * lease). One that is repeated gets the first answer; one whose lease is lost changes nothing
 * (NOT_FOUND), because somebody else has the entry. (A placed recipient whose sender wanted to know has
 * an entry to EXPANDED beside its placement.)
 */
#include "store/queue.h"

/* ---- small things ---- */

struct queue *queue_new(const struct store *s)
{
	struct queue *u = NEW(struct queue);

	memcpy(&u->next_lease, s->options.seed, sizeof(u->next_lease));
	memcpy(&u->random, s->options.seed + 8, sizeof(u->random));
	/* Far from those of other seeds, however near these are; SQLite's integers are signed. */
	u->next_lease = u->next_lease * 0x9e3779b97f4a7c15 >> 2;
	u->random |= 1;
	job_list_init(&u->takers);
	job_list_init(&u->carriers);
	u->ready.horizon = u->ready.passed = INT64_MIN;
	u->carry.cursor = u->carry.next = INT64_MIN;
	u->alarm.next = u->alarm.cursor = INT64_MIN;
	u->alarm.moved = u->carry.pause = TIME_NEVER;
	u->fresh.filed = 1;
	return u;
}

/* The writer's. */
uint64_t queue_jitter(struct store *s, uint64_t length)
{
	uint64_t *r = &s->queue->random;

	*r ^= *r << 13;
	*r ^= *r >> 7;
	*r ^= *r << 17;
	return length - length / 4 + (length > 1 ? *r % (length / 2 + 1) : 0);
}

struct job *queue_job(struct store *s, job_function *run, bool write, uint64_t number,
                      struct bytes text)
{
	struct job *j = job_new(s, run);

	j->entry_id = number;
	j->ask.admin.subject = arena_copy(&j->arena, text);
	j->urgent = true;
	job_put(write ? &s->writes : &s->reads, j);
	return j;
}

size_t queue_count(const struct store *s, enum entry_state state)
{
	return s->queue->counts[state];
}

/* ---- hints of READY entries: a heap by due ---- */

static bool before(const struct hint *a, const struct hint *b)
{
	return a->due < b->due || (a->due == b->due && a->id < b->id);
}

static void heap_set(struct queue *u, size_t at, struct hint *h)
{
	u->ready.heap[at] = h;
	h->heap_at = at + 1;
}

static void heap_up(struct queue *u, size_t at)
{
	struct hint *h = u->ready.heap[at];

	while (at && before(h, u->ready.heap[(at - 1) / 2])) {
		heap_set(u, at, u->ready.heap[(at - 1) / 2]);
		at = (at - 1) / 2;
	}
	heap_set(u, at, h);
}

static void heap_down(struct queue *u, size_t at)
{
	struct hint *h = u->ready.heap[at];

	for (;;) {
		size_t child = 2 * at + 1;

		if (child + 1 < u->ready.count &&
		    before(u->ready.heap[child + 1], u->ready.heap[child]))
			child++;
		if (child >= u->ready.count || !before(u->ready.heap[child], h))
			break;
		heap_set(u, at, u->ready.heap[child]);
		at = child;
	}
	heap_set(u, at, h);
}

static void hint_drop(struct queue *u, uint64_t id)
{
	struct hint *h = map_remove_u64(&u->ready.known, id), *last;
	size_t at;

	if (!h)
		return;
	at = h->heap_at - 1;
	last = u->ready.heap[--u->ready.count];
	if (last != h) {
		heap_set(u, at, last);
		heap_up(u, at);
		heap_down(u, last->heap_at - 1);
	}
	memory_free(h);
}

static void hints_forget(struct queue *u)
{
	for (size_t i = 0; i < u->ready.count; i++)
		memory_free(u->ready.heap[i]);
	u->ready.count = 0;
	map_done(&u->ready.known);
	u->ready.horizon = u->ready.passed = INT64_MIN;
}

static void hint_put(struct store *s, uint64_t id, int64_t due)
{
	struct queue *u = s->queue;
	struct hint *h;

	hint_drop(u, id);
	if (u->ready.count == u->ready.size) {
		u->ready.size = u->ready.size ? u->ready.size * 2 : 64;
		u->ready.heap = memory_resize(u->ready.heap,
		                              u->ready.size * sizeof(*u->ready.heap));
	}
	h = NEW(struct hint);
	*h = (struct hint){.id = id, .due = due};
	map_put_u64(&u->ready.known, id, h);
	heap_set(u, u->ready.count++, h);
	heap_up(u, u->ready.count - 1);
	s->queue_moved = true;
}

/* An entry is READY from now on. */
static void ready_moved(struct store *s, uint64_t id, int64_t due)
{
	struct queue *u = s->queue;

	hint_drop(u, id);
	if (u->ready.count >= HINTS_MAX)
		hints_forget(u); /* the earliest of them come back from the index */
	if (due < u->ready.horizon) {
		hint_put(s, id, due);
	} else {
		if (due < u->ready.passed)
			u->ready.passed = due;
		s->queue_moved = true;
	}
}

/* A job of the writer may have it and let it be: then it is offered again. */
static bool claimed(struct store *s, uint64_t id, int64_t due)
{
	struct claim *c = map_get_u64(&s->queue->claims, id);

	if (c && c->lease == 0) {
		c->state = ENTRY_READY;
		c->due = due;
	}
	return c != NULL;
}

/* On a reader's thread: more hints. */
static enum result run_fill(struct store *s, struct job *j, struct why *why)
{
	struct db_query *q = db_query(j->reader->db, "SELECT id, due FROM entry WHERE state=0"
	                                             " AND due>=? ORDER BY due, id LIMIT ?");
	struct queue *u = s->queue;
	struct buf rows = {0};
	struct bytes rest;
	uint64_t limit = HINTS_FILL + j->entry_id, count = 0;
	int64_t row[2] = {0, 0};

	(void)why;
	db_bind(q, "iu", (int64_t)j->lease, limit);
	for (; db_next(q); count++) {
		row[0] = db_i64(q, 0);
		row[1] = db_i64(q, 1);
		buf_append(&rows, bytes_of(row, sizeof(row)));
	}
	store_hold(s);
	u->ready.filling = false;
	for (rest = buf_bytes(&rows); rest.len; rest = bytes_skip(rest, sizeof(row))) {
		memcpy(row, rest.ptr, sizeof(row));
		if (!claimed(s, (uint64_t)row[0], row[1]))
			hint_put(s, (uint64_t)row[0], row[1]);
	}
	u->ready.horizon = count < limit ? TIME_NEVER : row[1];
	if (u->ready.passed < u->ready.horizon)
		u->ready.horizon = u->ready.passed;
	s->queue_moved = true;
	store_let(s);
	buf_done(&rows);
	return OK;
}

static void fill(struct store *s)
{
	struct queue *u = s->queue;

	if (u->ready.filling)
		return;
	u->ready.filling = true;
	u->ready.passed = TIME_NEVER;
	queue_job(s, run_fill, false, u->claims.count, (struct bytes){0})
	        ->lease = (uint64_t)u->ready.horizon;
}

/* ---- claims ---- */

struct claim *claim_put(struct store *s, uint64_t entry, uint64_t lease, struct store_peer holder,
                        int64_t due, uint8_t state)
{
	struct claim *c = NEW(struct claim);

	*c = (struct claim){
	        .entry = entry, .lease = lease, .holder = holder, .due = due, .state = state};
	map_put_u64(&s->queue->claims, entry, c);
	return c;
}

static void claim_forget(struct store *s, uint64_t entry)
{
	memory_free(map_remove_u64(&s->queue->claims, entry));
}

/* Nothing came of it: the entry is offered again. */
void claim_drop(struct store *s, uint64_t entry)
{
	struct claim *c = map_remove_u64(&s->queue->claims, entry);

	if (!c)
		return;
	if (c->state == ENTRY_READY)
		ready_moved(s, entry, c->due);
	memory_free(c);
}

bool queue_claim(struct store *s, struct job *j, uint64_t entry)
{
	struct claim *c;
	bool mine;

	store_hold(s);
	c = map_get_u64(&s->queue->claims, entry);
	if (!c) {
		c = claim_put(s, entry, 0, j->from, 0, ENTRY_STATES);
		buf_append(&s->queue->claimed, bytes_of(&entry, sizeof(entry)));
	}
	mine = c->lease == 0;
	store_let(s);
	return mine;
}

/* The writer's group is over, one way or the other. Locked. */
static void claims_end(struct store *s)
{
	struct buf *b = &s->queue->claimed;
	uint64_t entry;

	while (buf_len(b)) {
		struct claim *c;

		memcpy(&entry, buf_bytes(b).ptr, sizeof(entry));
		buf_consume(b, sizeof(entry));
		c = map_get_u64(&s->queue->claims, entry);
		if (c && c->lease == 0)
			claim_drop(s, entry);
	}
}

/* ---- what the writer's group did (locked) ---- */

void alarm_moved(struct store *s, int64_t alarm)
{
	struct queue *u = s->queue;

	if (alarm < u->alarm.next)
		u->alarm.next = alarm;
	if (alarm < u->alarm.moved)
		u->alarm.moved = alarm;
}

static void publish_entry(struct store *s, struct wire *w)
{
	uint64_t id = wire_u64(w), incident;
	bool fresh = wire_u8(w) != 0;
	unsigned state = wire_u8(w);
	int64_t due = (int64_t)wire_u64(w), alarm = (int64_t)wire_u64(w);
	struct bytes destination;

	incident = wire_u64(w);
	destination = wire_block(w);
	/* A new one may have been seen in the index, and given away, since the commit. */
	if (!fresh)
		claim_forget(s, id);
	if (state == ENTRY_READY)
		ready_moved(s, id, due);
	else
		hint_drop(s->queue, id);
	if (state == ENTRY_CARRY) {
		destination_moved(s, destination, due);
		alarm_moved(s, alarm);
	}
	if (state == ENTRY_HELD && incident)
		hold_put(s, incident);
}

static void publish_destination(struct store *s, struct wire *w)
{
	struct change_destination c = {.name = wire_block(w)};

	c.provider = wire_block(w);
	c.not_before = (int64_t)wire_u64(w);
	c.failures = wire_u32(w);
	c.incident = wire_u64(w);
	if (c.incident)
		hold_put(s, c.incident);
	destination_known(s, &c);
}

static void publish_lane(struct store *s, struct wire *w)
{
	struct bytes name = wire_block(w);

	destination_moved(s, name, (int64_t)wire_u64(w));
}

void queue_publish(struct store *s)
{
	struct queue *u = s->queue;
	struct wire w = wire_of(buf_bytes(&u->moves));

	while (!wire_end(&w)) {
		switch (wire_u8(&w)) {
		case MOVED_ENTRY: publish_entry(s, &w); break;
		case MOVED_DESTINATION: publish_destination(s, &w); break;
		case MOVED_FORGOTTEN: destination_forgotten(s, wire_block(&w)); break;
		default: publish_lane(s, &w); break;
		}
	}
	buf_clear(&u->moves);
	fresh_publish(s);
	for (int i = 0; i < ENTRY_STATES; i++) {
		u->counts[i] += (size_t)u->deltas[i];
		u->deltas[i] = 0;
	}
	claims_end(s);
}

void queue_undo(struct store *s)
{
	struct queue *u = s->queue;

	buf_clear(&u->moves);
	memset(u->deltas, 0, sizeof(u->deltas));
	fresh_load(s);
	claims_end(s);
	s->queue_moved = true;
}

/* The index is whole. */
void queue_open(struct store *s)
{
	struct queue *u = s->queue;
	struct db_query *q = db_query(s->db, "SELECT state, COUNT(*) FROM entry GROUP BY state");

	buf_clear(&u->moves);
	memset(u->counts, 0, sizeof(u->counts));
	memset(u->deltas, 0, sizeof(u->deltas));
	db_bind(q, "");
	while (db_next(q)) {
		if (db_u64(q, 0) < ENTRY_STATES)
			u->counts[db_u64(q, 0)] = db_u64(q, 1);
	}
	q = db_query(s->db, "SELECT DISTINCT incident FROM entry WHERE incident>0");
	db_bind(q, "");
	while (db_next(q))
		hold_put(s, db_u64(q, 0));
	q = db_query(s->db, "SELECT DISTINCT incident FROM destination WHERE incident>0");
	db_bind(q, "");
	while (db_next(q))
		hold_put(s, db_u64(q, 0));
	u->open = true;
	s->queue_moved = true;
}

/* ---- those who wait ---- */

static void waiting_lost(struct store *s, struct job_list *l, struct store_peer from)
{
	size_t count = l->count;

	while (count--) {
		struct job *j = job_take(l);

		if (j->from.role == from.role && j->from.worker == from.worker)
			job_free(s, j);
		else
			job_put(l, j);
	}
}

static bool is_of(const struct store_peer *a, struct store_peer b)
{
	return a->role == b.role && a->worker == b.worker;
}

static void batches_lost(struct store *s, struct store_peer from)
{
	struct map_entry *m;

	for (size_t at = 0; (m = map_each(&s->queue->batches, &at));) {
		struct batch *b = m->value;

		if (is_of(&b->holder, from)) {
			batch_end(s, b);
			at = 0;
		}
	}
}

void queue_peer_lost(struct store *s, struct store_peer from)
{
	struct map_entry *m;

	waiting_lost(s, &s->queue->takers, from);
	waiting_lost(s, &s->queue->carriers, from);
	batches_lost(s, from);
	for (size_t at = 0; (m = map_each(&s->queue->claims, &at));) {
		struct claim *c = m->value;

		if (c->lease && is_of(&c->holder, from)) {
			claim_drop(s, c->entry);
			at = 0;
		}
	}
}

static void map_free_values(struct map *m)
{
	struct map_entry *e;

	for (size_t at = 0; (e = map_each(m, &at));)
		memory_free(e->value);
	map_done(m);
}

static void jobs_drop(struct store *s, struct job_list *l)
{
	struct job *j;

	while ((j = job_take(l)))
		job_free(s, j);
}

/* All that is in memory; the rows stay. */
void queue_done(struct store *s)
{
	struct queue *u = s->queue;
	struct map_entry *e;

	if (!u)
		return;
	jobs_drop(s, &u->takers);
	jobs_drop(s, &u->carriers);
	for (size_t at = 0; (e = map_each(&u->batches, &at)); at = 0)
		batch_end(s, e->value);
	hints_forget(u);
	memory_free(u->ready.heap);
	map_free_values(&u->claims);
	map_done(&u->batches);
	destinations_done(s);
	for (size_t at = 0; (e = map_each(&u->carry.providers, &at));)
		memory_free((void *)(uintptr_t)((struct provider_pace *)e->value)->key.ptr);
	map_free_values(&u->carry.providers);
	map_free_values(&u->carry.holds);
	fresh_done(u);
	buf_done(&u->moves);
	buf_done(&u->claimed);
	memory_free(u);
	s->queue = NULL;
}

void queue_lost(struct store *s, const struct why *why)
{
	struct job *j;

	while ((j = job_take(&s->queue->takers)) || (j = job_take(&s->queue->carriers))) {
		job_finish(s, j, LOST, why);
		job_put(&s->done, j);
	}
}

/* ---- TAKE ---- */

/* The owner, locked: gives the job an entry that is due, if there is one. */
static bool lease_one(struct store *s, struct job *j)
{
	struct queue *u = s->queue;
	struct hint *h = u->ready.count ? u->ready.heap[0] : NULL;

	if (!h || h->due > s->now) {
		if (u->ready.horizon <= s->now)
			fill(s);
		return false;
	}
	if (claimed(s, h->id, h->due)) {
		hint_drop(u, h->id);
		return lease_one(s, j);
	}
	j->entry_id = h->id;
	j->lease = ++u->next_lease;
	claim_put(s, h->id, j->lease, j->from, h->due, ENTRY_READY);
	hint_drop(u, h->id);
	j->run = take_read;
	job_put(&s->reads, j);
	return true;
}

enum result run_take(struct store *s, struct job *j, struct why *why)
{
	(void)why;
	j->later = true;
	job_put(&s->queue->takers, j);
	s->queue_moved = true;
	return OK;
}

void queue_match(struct store *s)
{
	struct queue *u = s->queue;

	s->queue_moved = false;
	while (u->takers.first) {
		struct job *j = job_take(&u->takers);

		if (!lease_one(s, j)) {
			job_put_first(&u->takers, j);
			break;
		}
	}
	holds_match(s);
	carry_match(s);
	alarm_match(s);
}

static void tell_nothing(struct store *s, struct job_list *l, const char *text)
{
	struct why why;

	while (l->first && s->now - l->first->now >= TAKE_WAIT_MS) {
		struct job *j = job_take(l);

		job_finish(s, j, why_set(&why, UNAVAILABLE, "%s", text), &why);
		job_put(&s->done, j);
	}
}

/* The owner's, locked, with time. */
void queue_tick(struct store *s)
{
	queue_match(s);
	tell_nothing(s, &s->queue->takers, "there is nothing to sort");
	tell_nothing(s, &s->queue->carriers, "there is nothing to carry");
}

static time_ms earlier(time_ms a, time_ms b)
{
	return a < b ? a : b;
}

time_ms queue_due(struct store *s)
{
	const struct queue *u = s->queue;
	time_ms due = TIME_NEVER;

	if (u->takers.first) {
		due = u->takers.first->now + TAKE_WAIT_MS;
		if (u->ready.count)
			due = earlier(due, u->ready.heap[0]->due);
		if (!u->ready.filling)
			due = earlier(due, u->ready.horizon);
	}
	if (u->carriers.first)
		due = earlier(due, u->carriers.first->now + TAKE_WAIT_MS);
	due = earlier(due, carry_due(s));
	due = earlier(due, holds_due(s));
	if (!u->alarm.running)
		due = earlier(due, u->alarm.next);
	return due;
}

/* The entry is not what the hint said: the asker waits on. */
static enum result take_again(struct store *s, struct job *j, const struct change_entry *e)
{
	store_hold(s);
	claim_forget(s, j->entry_id);
	if (e && e->state == ENTRY_READY)
		ready_moved(s, j->entry_id, e->due);
	j->lease = 0;
	j->waits = &s->queue->takers;
	s->queue_moved = true;
	store_let(s);
	return OK;
}

/* On a reader's thread: the entry's row. */
enum result take_read(struct store *s, struct job *j, struct why *why)
{
	struct entry_row r;
	time_ms now;

	store_hold(s);
	now = s->now;
	store_let(s);
	if (!entry_row_read(j->reader->db, &j->arena, j->entry_id, true, &r))
		return db_failed(j->reader->db, why) == OK ? take_again(s, j, NULL) : UNAVAILABLE;
	if (r.e.state != ENTRY_READY || r.e.due > now)
		return take_again(s, j, &r.e);
	j->answer.take = (struct answer_take){
	        .entry = j->entry_id,
	        .lease = j->lease,
	        .id = arena_printf(&j->arena, "%08llX", (unsigned long long)r.e.mail),
	        .sender = r.e.sender,
	        .rcpt = r.e.rcpt,
	        .origin = r.e.origin,
	        .size = r.size,
	        .tries = r.e.tries,
	        .queued = r.e.queued,
	        .notify = r.e.notify,
	        .orcpt = r.e.orcpt,
	        .envid = r.e.envid,
	        .ret = r.e.ret,
	        .summary = r.summary,
	        .task = r.e.task,
	        .status = r.e.status,
	        .reply = r.e.reply,
	        .remote = r.e.remote,
	        .attempted = r.e.attempted,
	        .expires = r.e.expires};
	return OK;
}

/* ---- QUEUE_READ ---- */

/* The entry, if this peer holds it under this lease. */
bool held_by(struct store *s, const struct job *j, uint64_t id, uint64_t lease, uint64_t *ret_mail)
{
	struct claim *c;
	bool held;

	store_hold(s);
	c = map_get_u64(&s->queue->claims, id);
	held = c && lease && c->lease == lease && is_of(&c->holder, j->from);
	if (held && c->batch)
		*ret_mail = c->batch->mail;
	store_let(s);
	return held;
}

static uint64_t mail_of(struct db *db, uint64_t entry)
{
	struct db_query *q = db_query(db, "SELECT mail FROM entry WHERE id=?");
	uint64_t mail = 0;

	db_bind(q, "u", entry);
	if (db_next(q))
		mail = db_u64(q, 0);
	db_end(q);
	return mail;
}

enum result run_queue_read(struct store *s, struct job *j, struct why *why)
{
	const struct ask_queue_read *a = &j->ask.queue_read;
	struct buf *out = &j->reader->buf;
	uint64_t mail = 0;
	enum result result;

	if (!held_by(s, j, a->entry, a->lease, &mail))
		return why_set(why, NOT_FOUND, "the lease is lost");
	if (!mail)
		mail = mail_of(j->reader->db, a->entry);
	buf_clear(out);
	result = read_mail(s, j->reader, mail, a->offset, a->len < LIMIT_READ ? a->len : LIMIT_READ,
	                   out, &j->answer.queue_read.total, why);
	j->answer.queue_read.chunk = arena_copy(&j->arena, buf_bytes(out));
	return result;
}
