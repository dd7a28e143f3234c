/* The queue: an entry is one recipient of one mail that could not be placed when the mail came.
 *
 *	state    | what it means                          | leaves it by
 *	---------+----------------------------------------+------------------------------------------------
 *	READY    | the sorter takes it when it is due     | SORTED: place, redirect, done: the entry is gone
 *	         |                                        |         defer: READY, due later, tries + 1
 *	         |                                        |         hold: HELD
 *	         |                                        | the operator: HELD, gone
 *	HELD     | an operator has to look at it          | the operator: release to READY, remove
 *	CARRY    | for another host; waits for a courier  | the operator: remove (the courier is yet to come)
 *	PARKED   | the account is suspended               | the account is let go: READY
 *	(leased) | READY, and a sorter works on it; only  | SORTED with the lease; the sorter's death or the
 *	         | in memory                              | store's: READY as if nothing had been
 *
 * The guarantee: for every recipient of a mail that COMMIT was answered OK for, there is at every
 * moment, after any crash, exactly one of
 *	- a placement in a mailbox (until somebody expunges it),
 *	- an entry in one of the states above,
 *	- a durable SORT_DONE with its reason, or an operator's removal,
 *	- further entries or placements that a SORTED put in its place, in the same transaction.
 * So nothing is lost, and nothing is done twice: SORTED's effects, the removal of the entry and the
 * memory of the answer (key: entry, lease) are one record. A SORTED that is repeated gets the first
 * answer; one whose lease is lost changes nothing (NOT_FOUND), because somebody else has the entry.
 */
#include "store/internal.h"

/* ---- the heap of READY entries that nobody has, by due ---- */

static bool before(const struct entry *a, const struct entry *b)
{
	return a->due < b->due || (a->due == b->due && a->id < b->id);
}

static void heap_set(struct store *s, size_t at, struct entry *e)
{
	s->heap[at] = e;
	e->heap_at = at + 1;
}

static void heap_up(struct store *s, size_t at)
{
	struct entry *e = s->heap[at];

	while (at && before(e, s->heap[(at - 1) / 2])) {
		heap_set(s, at, s->heap[(at - 1) / 2]);
		at = (at - 1) / 2;
	}
	heap_set(s, at, e);
}

static void heap_down(struct store *s, size_t at)
{
	struct entry *e = s->heap[at];

	for (;;) {
		size_t child = 2 * at + 1;

		if (child + 1 < s->heap_count && before(s->heap[child + 1], s->heap[child]))
			child++;
		if (child >= s->heap_count || !before(s->heap[child], e))
			break;
		heap_set(s, at, s->heap[child]);
		at = child;
	}
	heap_set(s, at, e);
}

static void heap_add(struct store *s, struct entry *e)
{
	if (s->heap_count == s->heap_size) {
		s->heap_size = s->heap_size ? s->heap_size * 2 : 64;
		s->heap = memory_resize(s->heap, s->heap_size * sizeof(*s->heap));
	}
	heap_set(s, s->heap_count++, e);
	heap_up(s, s->heap_count - 1);
	s->queue_moved = true;
}

static void heap_remove(struct store *s, struct entry *e)
{
	size_t at = e->heap_at - 1;
	struct entry *moved;

	if (e->heap_at == 0)
		return;
	e->heap_at = 0;
	moved = s->heap[--s->heap_count];
	if (moved == e)
		return;
	heap_set(s, at, moved);
	heap_up(s, at);
	heap_down(s, moved->heap_at - 1);
}

/* Puts it where its state says. */
static void settle(struct store *s, struct entry *e)
{
	heap_remove(s, e);
	if (e->state == ENTRY_READY && e->lease == 0)
		heap_add(s, e);
}

/* ---- what change_publish calls (locked) ---- */

void queue_put(struct store *s, const struct change_entry *c)
{
	struct entry *e = map_get_u64(&s->entries, c->id);

	if (!e) {
		e = NEW(struct entry);
		e->id = c->id;
		map_put_u64(&s->entries, c->id, e);
	} else {
		s->state_counts[e->state]--;
	}
	e->mail = c->mail;
	e->state = c->state < ENTRY_STATES ? c->state : ENTRY_HELD;
	e->due = c->due;
	e->tries = c->tries;
	s->state_counts[e->state]++;
	settle(s, e);
}

void queue_state(struct store *s, uint64_t id, uint8_t state, int64_t due, uint32_t tries)
{
	struct entry *e = map_get_u64(&s->entries, id);

	if (!e)
		return;
	s->state_counts[e->state]--;
	e->state = state < ENTRY_STATES ? state : ENTRY_HELD;
	s->state_counts[e->state]++;
	e->due = due;
	e->tries = tries;
	e->lease = 0;
	settle(s, e);
}

void queue_gone(struct store *s, uint64_t id)
{
	struct entry *e = map_remove_u64(&s->entries, id);

	if (!e)
		return;
	s->state_counts[e->state]--;
	heap_remove(s, e);
	memory_free(e);
}

/* A TAKE that waits for a dead sorter must not be given an entry: nobody would have it. */
static void takers_lost(struct store *s, struct store_peer from)
{
	size_t count = s->takers.count;

	while (count--) {
		struct job *j = job_take(&s->takers);

		if (j->from.role == from.role && j->from.worker == from.worker)
			job_free(s, j);
		else
			job_put(&s->takers, j);
	}
}

void queue_peer_lost(struct store *s, struct store_peer from)
{
	struct map_entry *m;

	takers_lost(s, from);
	for (size_t at = 0; (m = map_each(&s->entries, &at));) {
		struct entry *e = m->value;

		if (e->lease == 0 || e->holder.role != from.role || e->holder.worker != from.worker)
			continue;
		e->lease = 0;
		settle(s, e);
	}
}

void queue_done(struct store *s)
{
	struct map_entry *m;

	for (size_t at = 0; (m = map_each(&s->entries, &at));)
		memory_free(m->value);
	map_done(&s->entries);
	memory_free(s->heap);
	s->heap = NULL;
	s->heap_count = s->heap_size = 0;
}

/* ---- TAKE ---- */

/* The owner, locked: gives the job an entry that is due, if there is one. */
static bool lease_one(struct store *s, struct job *j)
{
	struct entry *e = s->heap_count ? s->heap[0] : NULL;

	if (!e || e->due > s->now)
		return false;
	heap_remove(s, e);
	e->lease = ++s->next_lease;
	e->holder = j->from;
	j->entry_id = e->id;
	j->lease = e->lease;
	j->run = take_read;
	job_put(&s->reads, j);
	return true;
}

enum result run_take(struct store *s, struct job *j, struct why *why)
{
	(void)why;
	j->later = true;
	if (!lease_one(s, j))
		job_put(&s->takers, j);
	return OK;
}

void queue_match(struct store *s)
{
	while (s->takers.first) {
		struct job *j = job_take(&s->takers);

		if (!lease_one(s, j)) {
			job_put_first(&s->takers, j);
			break;
		}
	}
	s->queue_moved = false;
}

time_ms queue_due(struct store *s)
{
	time_ms due = s->takers.first ? s->takers.first->now + TAKE_WAIT_MS : TIME_NEVER;

	if (s->takers.first && s->heap_count && s->heap[0]->due < due)
		due = s->heap[0]->due;
	return due;
}

/* On a reader's thread: the entry's row. */
enum result take_read(struct store *s, struct job *j, struct why *why)
{
	struct answer_take *ret = &j->answer.take;
	struct db_query *q = db_query(
	        j->reader->db,
	        "SELECT e.mail, e.sender, e.rcpt, e.origin, m.size, e.tries, e.queued, e.notify,"
	        " e.orcpt, e.envid, e.ret, m.summary FROM entry e JOIN mail m ON m.id=e.mail"
	        " WHERE e.id=?");

	(void)s;
	db_bind(q, "u", j->entry_id);
	if (!db_next(q))
		return why_set(why, UNAVAILABLE, "the entry went away");
	*ret = (struct answer_take){
	        .entry = j->entry_id,
	        .lease = j->lease,
	        .id = arena_printf(&j->arena, "%08llX", (unsigned long long)db_u64(q, 0)),
	        .sender = arena_copy(&j->arena, db_bytes(q, 1)),
	        .rcpt = arena_copy(&j->arena, db_bytes(q, 2)),
	        .origin = arena_copy(&j->arena, db_bytes(q, 3)),
	        .size = db_u64(q, 4),
	        .tries = (uint32_t)db_u64(q, 5),
	        .queued = db_i64(q, 6),
	        .notify = (uint8_t)db_u64(q, 7),
	        .orcpt = arena_copy(&j->arena, db_bytes(q, 8)),
	        .envid = arena_copy(&j->arena, db_bytes(q, 9)),
	        .ret = (uint8_t)db_u64(q, 10),
	        .summary = arena_copy(&j->arena, db_bytes(q, 11))};
	db_end(q);
	return OK;
}

/* ---- QUEUE_READ ---- */

/* The entry, if this peer holds it under this lease. */
static bool held_by(struct store *s, const struct job *j, uint64_t id, uint64_t lease,
                    uint64_t *ret_mail)
{
	struct entry *e;
	bool held;

	store_hold(s);
	e = map_get_u64(&s->entries, id);
	held = e && lease && e->lease == lease && e->holder.role == j->from.role &&
	       e->holder.worker == j->from.worker;
	if (held)
		*ret_mail = e->mail;
	store_let(s);
	return held;
}

enum result run_queue_read(struct store *s, struct job *j, struct why *why)
{
	const struct ask_queue_read *a = &j->ask.queue_read;
	struct buf *out = &j->reader->buf;
	uint64_t mail;
	enum result result;

	if (!held_by(s, j, a->entry, a->lease, &mail))
		return why_set(why, NOT_FOUND, "the lease is lost");
	buf_clear(out);
	result = read_mail(s, j->reader, mail, a->offset, a->len < LIMIT_READ ? a->len : LIMIT_READ,
	                   out, &j->answer.queue_read.total, why);
	j->answer.queue_read.chunk = arena_copy(&j->arena, buf_bytes(out));
	return result;
}

/* ---- SORTED ---- */

/* The entry's row and its mail's, as the writer sees them. */
static bool load_entry(struct store *s, struct job *j, uint64_t id, struct change_entry *e,
                       struct delivery *d)
{
	struct db_query *q = db_query(
	        s->db,
	        "SELECT e.mail, e.sender, e.rcpt, e.origin, e.notify, e.orcpt, e.envid, e.ret,"
	        " e.tries, e.queued, m.size FROM entry e JOIN mail m ON m.id=e.mail WHERE e.id=?");

	db_bind(q, "u", id);
	if (!db_next(q))
		return false;
	*e = (struct change_entry){.id = id,
	                           .mail = db_u64(q, 0),
	                           .sender = arena_copy(&j->arena, db_bytes(q, 1)),
	                           .rcpt = arena_copy(&j->arena, db_bytes(q, 2)),
	                           .origin = arena_copy(&j->arena, db_bytes(q, 3)),
	                           .notify = (uint8_t)db_u64(q, 4),
	                           .orcpt = arena_copy(&j->arena, db_bytes(q, 5)),
	                           .envid = arena_copy(&j->arena, db_bytes(q, 6)),
	                           .ret = (uint8_t)db_u64(q, 7),
	                           .tries = (uint32_t)db_u64(q, 8),
	                           .queued = db_i64(q, 9)};
	*d = (struct delivery){.mail = e->mail,
	                       .size = db_u64(q, 10),
	                       .sender = e->sender,
	                       .envid = e->envid,
	                       .ret = e->ret,
	                       .queued_at = e->queued};
	db_end(q);
	return true;
}

static void entry_stays(struct job *j, const struct change_entry *e, enum entry_state state,
                        int64_t due, uint32_t tries, struct bytes reason)
{
	struct change *c = job_change(j, CHANGE_ENTRY_STATE);

	c->entry_state = (struct change_entry_state){e->id, (uint8_t)state, due, tries, reason};
}

/* The account that a recipient address stands for, by name or through one alias. */
static struct account *own_account(struct store *s, struct job *j, const struct change_entry *e)
{
	if (bytes_equal(e->rcpt, e->origin)) /* aliases were followed before */
		return account_by_address(s, e->rcpt);
	return route_of(s, s->writer_config, &j->arena, e->rcpt, 0).account;
}

static enum result sort_place(struct store *s, struct job *j, struct wire *w,
                              const struct change_entry *e, struct delivery *d, bool *stays)
{
	struct bytes name = wire_block(w);
	uint64_t flags = wire_u64(w) & 0x1f;
	struct account *a = own_account(s, j, e);

	if (!a) {
		entry_stays(j, e, ENTRY_HELD, 0, e->tries, BYTES("there is no such account"));
		*stays = true;
	} else if (a->now.suspended) {
		entry_stays(j, e, ENTRY_PARKED, 0, e->tries, BYTES("the account is suspended"));
		*stays = true;
	} else if (a->next.quota && a->next.used + d->size > a->next.quota) {
		entry_stays(j, e, ENTRY_READY, j->now + FULL_RETRY_S * 1000, e->tries + 1,
		            BYTES("the mailbox is full"));
		*stays = true;
	} else if (!deliver_had(s, d, a)) {
		/* A dot file may name two folders: what this SORTED placed is no obstacle. */
		deliver_place(s, j, d, a, name, flags);
	}
	return OK;
}

static enum result sort_redirect(struct store *s, struct job *j, struct wire *w,
                                 const struct change_entry *e, struct delivery *d)
{
	struct recipient r = {.address = wire_block(w)};

	r.origin = wire_block(w);
	r.notify = e->notify;
	r.orcpt = e->orcpt;
	if (w->bad || r.address.len == 0 || r.address.len > LIMIT_ADDRESS)
		return INVALID;
	deliver(s, j, d, &r);
	return OK;
}

static enum result sort_deliver(struct store *s, struct job *j, struct wire *w,
                                const struct change_entry *e, struct delivery *d)
{
	struct recipient r = {.address = wire_block(w), .origin = e->origin};
	struct bytes mailbox = wire_block(w);
	uint64_t flags = wire_u64(w) & 0x1f;

	r.notify = e->notify;
	r.orcpt = e->orcpt;
	if (w->bad || r.address.len == 0 || r.address.len > LIMIT_ADDRESS)
		return INVALID;
	deliver_account(s, j, d, &r, mailbox, flags);
	return OK;
}

static enum result sort_action(struct store *s, struct job *j, struct wire *w,
                               const struct change_entry *e, struct delivery *d, bool *stays)
{
	uint32_t seconds;

	switch (wire_u8(w)) {
	case SORT_PLACE: return sort_place(s, j, w, e, d, stays);
	case SORT_REDIRECT: return sort_redirect(s, j, w, e, d);
	case SORT_DEFER:
		seconds = wire_u32(w);
		entry_stays(j, e, ENTRY_READY, j->now + (int64_t)seconds * 1000, e->tries + 1,
		            wire_block(w));
		*stays = true;
		return OK;
	case SORT_HOLD:
		entry_stays(j, e, ENTRY_HELD, 0, e->tries, wire_block(w));
		*stays = true;
		return OK;
	case SORT_DELIVER: return sort_deliver(s, j, w, e, d);
	case SORT_DONE: wire_block(w); return OK;
	default: return INVALID;
	}
}

/* The bounce is a mail of its own, with the null sender. */
static enum result send_bounce(struct store *s, struct job *j, struct why *why)
{
	const struct ask_sorted *a = &j->ask.sorted;
	struct delivery d = {.mail = s->counters.mail,
	                     .size = a->bounce_trace.len + j->spool->size,
	                     .queued_at = j->now};
	struct recipient r = {.address = a->bounce_rcpt, .notify = 1};
	size_t at = j->change_count;
	struct change *c = job_change(j, CHANGE_MAIL);

	if (a->bounce_rcpt.len == 0 || a->bounce_rcpt.len > LIMIT_ADDRESS)
		return why_set(why, INVALID, "a bounce goes to nobody");
	c->mail = (struct change_mail){.id = d.mail,
	                               .received = j->now,
	                               .size = d.size,
	                               .segment = IN_RECORD,
	                               .summary = a->bounce_summary};
	if (j->placed) {
		c->mail.segment = 0;
		c->mail.offset = j->place.offset;
		c->mail.stored = j->place.stored;
		j->place_used = true;
	}
	deliver(s, j, &d, &r);
	j->changes[at].mail.refs = d.refs;
	return j->placed ? OK : spool_pack(s, j, a->bounce_trace, d.mail, why);
}

/* The mail's references: one entry less, what was made more. */
static void settle_references(struct store *s, struct job *j, uint64_t mail, int64_t more)
{
	struct db_query *q = db_query(s->db, "SELECT delta FROM reference WHERE mail=?");
	int64_t delta = 0;
	struct change *c;

	db_bind(q, "u", mail);
	if (db_next(q))
		delta = db_i64(q, 0);
	db_end(q);
	if (more == 0)
		return;
	c = job_change(j, CHANGE_REFERENCE);
	c->reference = (struct change_reference){mail, delta + more};
}

void sorted_key(char out[KEY_LEN], uint64_t entry, uint64_t lease)
{
	for (int i = 0; i < 8; i++) {
		out[i] = (char)(entry >> (56 - 8 * i));
		out[8 + i] = (char)(lease >> (56 - 8 * i));
	}
}

static void entry_leaves(struct store *s, struct job *j, const struct change_entry *e,
                         const struct delivery *d, bool stays)
{
	struct change *c;

	for (size_t i = 0; i < d->have_count; i++) {
		c = job_change(j, CHANGE_DELIVERED);
		c->delivered = (struct change_delivered){d->mail, d->have[i]->id};
	}
	if (!stays) {
		c = job_change(j, CHANGE_ENTRY_GONE);
		c->entry_gone.id = e->id;
	}
	settle_references(s, j, d->mail, (int64_t)d->refs - !stays);
}

static enum result sort(struct store *s, struct job *j, const struct change_entry *e,
                        struct delivery *d, struct why *why)
{
	const struct ask_sorted *a = &j->ask.sorted;
	struct wire w = wire_of(a->actions);
	bool stays = false;
	enum result result = OK;

	while (result == OK && !stays && !wire_end(&w))
		result = sort_action(s, j, &w, e, d, &stays);
	if (result != OK || w.bad || a->actions.len == 0)
		return why_set(why, INVALID, "the actions are malformed");
	entry_leaves(s, j, e, d, stays);
	if (a->spool && !stays && (result = send_bounce(s, j, why)) != OK)
		return result;
	return OK;
}

enum result run_sorted(struct store *s, struct job *j, struct why *why)
{
	const struct ask_sorted *a = &j->ask.sorted;
	char key[KEY_LEN];
	struct change_entry e;
	struct delivery d;
	struct change *c;
	uint64_t mail;
	bool before_now;
	enum result result;

	j->urgent = true;
	sorted_key(key, a->entry, a->lease);
	store_hold(s);
	before_now = map_get(&s->keys, bytes_of(key, KEY_LEN)) != NULL;
	store_let(s);
	if (before_now)
		return OK;
	if (!held_by(s, j, a->entry, a->lease, &mail) || !load_entry(s, j, a->entry, &e, &d))
		return why_set(why, NOT_FOUND, "the lease is lost");
	if (a->spool && !j->spool)
		return why_set(why, NOT_FOUND, "there is no spool %u", a->spool);
	if ((result = sort(s, j, &e, &d, why)) != OK)
		return result;
	c = job_change(j, CHANGE_KEY);
	c->key = (struct change_key){
	        .key = arena_copy(&j->arena, bytes_of(key, KEY_LEN)), .mail = e.mail, .at = j->now};
	return OK;
}
