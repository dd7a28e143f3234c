/* Which destinations are offered to couriers, and how much at once.
 *
 * Those with due mail stand in a ring and are offered one batch in turn, so that one with 10,000
 * mails gets no more turns than one with a single mail. The ring is bounded: it is filled from the
 * index's lanes, in order of due, by a cursor that begins anew when it has reached the last one
 * that is due; who does not fit now comes with the cursor. One that is in backoff, or held, is not in
 * the ring, and its lanes' `next` keeps it out of what is read.
 *
 * Pace: a destination that is not known yet gets PACE_START connections. As many good batches as it
 * has connections give it one more, up to carry.per-destination; one that asks for less has half; one
 * that cannot be reached gets a single try after each backoff. */
#include "store/queue.h"

/* ---- lists ---- */

static void list_put(struct destination_list *l, struct destination *d)
{
	d->next = NULL;
	d->before = l->last;
	if (l->last)
		l->last->next = d;
	else
		l->first = d;
	l->last = d;
	l->count++;
}

static void list_remove(struct destination_list *l, struct destination *d)
{
	if (d->before)
		d->before->next = d->next;
	else
		l->first = d->next;
	if (d->next)
		d->next->before = d->before;
	else
		l->last = d->before;
	d->next = d->before = NULL;
	l->count--;
}

/* ---- rows in memory ---- */

struct bytes own_text(struct bytes b)
{
	char *copy = b.len ? memory_get(b.len) : NULL;

	if (b.len)
		memcpy(copy, b.ptr, b.len);
	return bytes_of(copy, b.len);
}

void own_text_set(struct bytes *at, struct bytes value)
{
	struct bytes old = *at;

	if (bytes_equal(old, value))
		return;
	*at = own_text(value);
	memory_free((void *)(uintptr_t)old.ptr);
}

static void destination_free(struct store *s, struct destination *d)
{
	list_remove(d->in_ring ? &s->queue->carry.ring : &s->queue->carry.idle, d);
	map_remove(&s->queue->carry.destinations, d->name);
	memory_free((void *)(uintptr_t)d->name.ptr);
	memory_free((void *)(uintptr_t)d->provider.ptr);
	memory_free(d->window);
	memory_free(d);
}

struct destination *destination_find(struct store *s, struct bytes name)
{
	return map_get(&s->queue->carry.destinations, name);
}

/* Those that were idle longest are forgotten first; their pace with them. */
static void make_room(struct store *s)
{
	struct destination *d = s->queue->carry.idle.first, *next;

	while (d && s->queue->carry.destinations.count >= DESTINATIONS_MAX) {
		next = d->next;
		if (d->open == 0 && !d->filling)
			destination_free(s, d);
		d = next;
	}
}

struct destination *destination_get(struct store *s, struct bytes name)
{
	struct destination *d = destination_find(s, name);

	if (d)
		return d;
	make_room(s);
	d = NEW(struct destination);
	d->name = own_text(name);
	d->limit = PACE_START;
	map_put(&s->queue->carry.destinations, name, d);
	list_put(&s->queue->carry.idle, d);
	return d;
}

void destinations_done(struct store *s)
{
	struct map_entry *e;

	for (size_t at = 0; (e = map_each(&s->queue->carry.destinations, &at)); at = 0)
		destination_free(s, e->value);
	map_done(&s->queue->carry.destinations);
	buf_done(&s->queue->carry.cursor_name);
}

/* ---- the ring ---- */

unsigned destination_room(const struct store *s, const struct destination *d)
{
	unsigned most = (unsigned)s->config->carry_per_destination;
	unsigned limit = d->failures ? 1 : d->limit < most ? d->limit : most;

	if (d->incident || d->not_before > s->now || d->pause > s->now || d->open >= limit)
		return 0;
	return limit - d->open;
}

static bool has_some(const struct destination *d)
{
	return d->more || d->filling || d->at < d->count;
}

/* The lanes may know nothing of it: a destination's row goes with its last mail, and a provider's pause has none. */
static void wake_at(struct queue *u, int64_t when)
{
	if (when < u->carry.pause)
		u->carry.pause = when;
}

void destination_offer(struct store *s, struct destination *d)
{
	struct queue *u = s->queue;

	if (d->in_ring || !has_some(d) || d->incident)
		return;
	if (d->not_before > s->now || d->pause > s->now) {
		wake_at(u, d->not_before > d->pause ? d->not_before : d->pause);
		return;
	}
	if (u->carry.ring.count >= RING_MAX) {
		u->carry.more = u->carry.dirty = true;
		return;
	}
	list_remove(&u->carry.idle, d);
	list_put(&u->carry.ring, d);
	d->in_ring = true;
	s->queue_moved = true;
}

/* The next one in turn; it goes behind all others. */
struct destination *destination_turn(struct store *s)
{
	struct destination_list *ring = &s->queue->carry.ring;
	struct destination *d = ring->first;

	if (d) {
		list_remove(ring, d);
		list_put(ring, d);
	}
	return d;
}

void destination_rest(struct store *s, struct destination *d)
{
	struct queue *u = s->queue;

	if (!d->in_ring)
		return;
	list_remove(&u->carry.ring, d);
	list_put(&u->carry.idle, d);
	d->in_ring = false;
}

/* ---- what moves ---- */

void destination_moved(struct store *s, struct bytes name, int64_t due)
{
	struct queue *u = s->queue;
	struct destination *d = destination_find(s, name);

	if (due > s->now) {
		if (due < u->carry.next)
			u->carry.next = due;
		if (due < u->carry.dirty_next)
			u->carry.dirty_next = due;
		return;
	}
	s->queue_moved = true;
	if (d) {
		d->more = d->dirty = true;
		destination_offer(s, d);
	} else {
		u->carry.more = u->carry.dirty = true;
	}
}

static void learn(struct destination *d, struct bytes provider, int64_t not_before,
                  uint32_t failures, uint64_t incident)
{
	if (provider.len)
		own_text_set(&d->provider, provider);
	d->not_before = not_before;
	d->failures = failures;
	d->incident = incident;
}

struct destination *destination_with(struct store *s, const struct change_destination *row)
{
	struct destination *d = destination_find(s, row->name);

	if (d)
		return d;
	d = destination_get(s, row->name);
	learn(d, row->provider, row->not_before, row->failures, row->incident);
	return d;
}

/* A DESTINATION effect is durable. */
void destination_known(struct store *s, const struct change_destination *c)
{
	struct destination *d = destination_find(s, c->name);

	if (d)
		learn(d, c->provider, c->not_before, c->failures, c->incident);
	if (d && d->not_before <= s->now && d->incident == 0)
		d->more = true;
	destination_moved(s, c->name, c->not_before);
}

/* What is in memory must not hold back what no row, and so no operator, knows of. */
void destination_forgotten(struct store *s, struct bytes name)
{
	struct destination *d = destination_find(s, name);

	if (!d || d->incident)
		return;
	d->not_before = 0;
	d->failures = 0;
	destination_offer(s, d);
}

/* ---- a window onto one destination's due mail ---- */

struct filling {
	struct db *db;
	struct bytes name;
	const struct fresh *fresh; /* the newest ones */
	size_t fresh_count;
	struct buf rows; /* struct lane_hint */
	size_t limit;
	bool full;
	int64_t now, next; /* next: when the next one falls due */
};

/* False: the window is full. */
static bool fill_one(struct filling *f, struct lane_hint h)
{
	buf_append(&f->rows, bytes_of(&h, sizeof(h)));
	f->full = --f->limit == 0;
	return !f->full;
}

/* The lane's fresh ones that are due, up to this one (NULL: all): they are sorted, too. */
static bool fill_fresh(struct filling *f, size_t *at, int64_t priority, const struct lane_hint *to)
{
	for (; *at < f->fresh_count; ++*at) {
		const struct fresh *h = &f->fresh[*at];

		if (h->priority > priority)
			continue;
		if (h->priority < priority || h->due > f->now ||
		    (to && (h->due > to->due || (h->due == to->due && h->id > to->id))))
			break;
		if (to && h->id == to->id)
			continue; /* filed meanwhile */
		if (!fill_one(f, (struct lane_hint){h->id, h->mail, h->due}))
			return false;
	}
	return true;
}

static void fill_lane(struct filling *f, int64_t priority)
{
	struct db_query *q = db_query(f->db, "SELECT id, mail, due FROM waiting WHERE destination=?"
	                                     " AND priority=? AND due<=? ORDER BY due, id LIMIT ?");
	size_t at = 0;

	db_bind(q, "biiu", f->name, priority, f->now, (uint64_t)f->limit);
	while (db_next(q)) {
		struct lane_hint h = {db_u64(q, 0), db_u64(q, 1), db_i64(q, 2)};

		if (!fill_fresh(f, &at, priority, &h) || !fill_one(f, h)) {
			db_end(q);
			return;
		}
	}
	fill_fresh(f, &at, priority, NULL);
}

/* A lane tells its earliest due, which may be that of a mail under way: those behind it are looked up here. */
static void find_next(struct filling *f, int64_t priority)
{
	struct db_query *q = db_query(f->db, "SELECT due FROM waiting WHERE destination=?"
	                                     " AND priority=? AND due>? ORDER BY due LIMIT 1");

	db_bind(q, "bii", f->name, priority, f->now);
	if (db_next(q) && db_i64(q, 0) < f->next)
		f->next = db_i64(q, 0);
	db_end(q);
	for (size_t i = 0; i < f->fresh_count; i++) {
		const struct fresh *h = &f->fresh[i];

		if (h->priority == priority && h->due > f->now && h->due < f->next)
			f->next = h->due;
	}
}

static void fill_lanes(struct filling *f)
{
	struct db_query *q = db_query(f->db, "SELECT priority FROM lane WHERE destination=?"
	                                     " AND due<=? ORDER BY priority DESC");
	int64_t priorities[32];
	size_t count = 0;

	db_bind(q, "bi", f->name, f->now);
	while (count < 32 && db_next(q))
		priorities[count++] = db_i64(q, 0);
	db_end(q);
	for (size_t i = 0; i < count && !f->full; i++) {
		fill_lane(f, priorities[i]);
		find_next(f, priorities[i]);
	}
}

/* Locked. */
static void fill_done(struct store *s, struct destination *d, const struct filling *f)
{
	struct bytes rows = buf_bytes(&f->rows);
	size_t count = rows.len / sizeof(struct lane_hint);

	d->filling = false;
	d->more = f->full || d->dirty;
	d->at = d->count = 0;
	if (d->size < count) {
		d->size = count;
		d->window = memory_resize(d->window, d->size * sizeof(*d->window));
	}
	for (; rows.len; rows = bytes_skip(rows, sizeof(struct lane_hint))) {
		const struct claim *c;
		struct lane_hint h;

		memcpy(&h, rows.ptr, sizeof(h));
		c = map_get_u64(&s->queue->claims, h.id);
		if (!c)
			d->window[d->count++] = h;
		else if (c->lease == 0)
			d->more = true; /* the writer has it, and may let it be */
	}
	if (f->next < TIME_NEVER)
		destination_moved(s, d->name, f->next);
	destination_offer(s, d);
	s->queue_moved = true;
}

/* On a reader's thread. */
static enum result run_fill(struct store *s, struct job *j, struct why *why)
{
	struct bytes name = j->ask.admin.subject;
	struct filling f = {.db = j->reader->db,
	                    .name = name,
	                    .limit = WINDOW_FILL + (size_t)j->entry_id,
	                    .now = j->now,
	                    .next = TIME_NEVER};
	struct destination *d;

	(void)why;
	f.fresh = fresh_copy(s, name, &j->arena, &f.fresh_count);
	fill_lanes(&f);
	store_hold(s);
	d = destination_find(s, name);
	if (d && d->filling)
		fill_done(s, d, &f);
	store_let(s);
	buf_done(&f.rows);
	return OK;
}

void destination_fill(struct store *s, struct destination *d)
{
	if (d->filling)
		return;
	d->filling = true;
	d->dirty = false;
	queue_job(s, run_fill, false, d->claimed, d->name);
}

/* ---- the lanes that are due ---- */

static void load_row(struct store *s, struct bytes name, struct db_query *q)
{
	struct destination *d;
	bool known;

	store_hold(s);
	known = destination_find(s, name) != NULL;
	d = destination_get(s, name);
	if (!known)
		learn(d, db_bytes(q, 2), db_i64(q, 3), (uint32_t)db_u64(q, 4), db_u64(q, 5));
	/* Also with batches under way: what fell due meanwhile is not theirs. */
	d->more = d->dirty = true;
	destination_offer(s, d);
	store_let(s);
}

static size_t load_rows(struct store *s, struct job *j, int64_t *next, struct buf *name)
{
	struct db_query *q = db_query(
	        j->reader->db,
	        "SELECT l.next, l.destination, d.provider, d.not_before, d.failures, d.incident"
	        " FROM lane l LEFT JOIN destination d ON d.name=l.destination"
	        " WHERE l.next<=? AND (l.next, l.destination)>(?, ?)"
	        " ORDER BY l.next, l.destination LIMIT ?");
	size_t count = 0;

	db_bind(q, "iibu", j->now, *next, arena_copy(&j->arena, buf_bytes(name)),
	        (uint64_t)LANES_FILL);
	while (db_next(q)) {
		*next = db_i64(q, 0);
		buf_clear(name);
		buf_append(name, db_bytes(q, 1));
		load_row(s, buf_bytes(name), q);
		count++;
	}
	return count;
}

static int64_t next_lane(struct db *db, int64_t now)
{
	struct db_query *q = db_query(db,
	                              "SELECT next FROM lane WHERE next>? ORDER BY next LIMIT 1");
	int64_t next;

	db_bind(q, "i", now);
	next = db_next(q) ? db_i64(q, 0) : TIME_NEVER;
	db_end(q);
	return next;
}

/* On a reader's thread. The cursor is this job's alone while `loading`. */
static enum result run_load(struct store *s, struct job *j, struct why *why)
{
	struct queue *u = s->queue;
	bool end = load_rows(s, j, &u->carry.cursor, &u->carry.cursor_name) < LANES_FILL;
	int64_t next = end ? next_lane(j->reader->db, j->now) : TIME_NEVER;

	(void)why;
	if (end) {
		u->carry.cursor = INT64_MIN;
		buf_clear(&u->carry.cursor_name);
	}
	store_hold(s);
	u->carry.loading = false;
	u->carry.more = !end || u->carry.dirty;
	if (end)
		u->carry.next = next < u->carry.dirty_next ? next : u->carry.dirty_next;
	s->queue_moved = true;
	store_let(s);
	return OK;
}

/* Locked: if there may be some, and there is room for them. */
void destinations_load(struct store *s)
{
	struct queue *u = s->queue;

	if (u->carry.loading || u->carry.ring.count > RING_MAX / 2 ||
	    (!u->carry.more && u->carry.next > s->now))
		return;
	u->carry.loading = true;
	if (u->carry.cursor ==
	    INT64_MIN) { /* what moves behind a cursor that goes on is for the next round */
		u->carry.dirty = false;
		u->carry.dirty_next = TIME_NEVER;
	}
	queue_job(s, run_load, false, 0, (struct bytes){0});
}
