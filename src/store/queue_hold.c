/* What waits for an incident to end, and what has waited too long.
 *
 * A hold is an incident that holds entries (HELD, with its number) or destinations (their row has its
 * number). It is probed: after carry.probe-first, doubled to probe-last, one of its mails goes out; CARRIED
 * closes the incident when a host takes it. However an incident ends, what it held goes on, in batches. Both
 * sides are rows, so a start in the middle of it goes on with it.
 *
 * Nothing held expires: time passes for it only again when it is released, and then it has a day at least. */
#include "store/life.h"
#include "store/queue.h"

enum {
	RELEASED_LIFE_MS = 24 * 3600 * 1000,
	HELD_ALARM_MS = 6 * 3600 * 1000,
	PROBE_AGAIN_MS = 5000
};

/* ---- holds in memory ---- */

void hold_put(struct store *s, uint64_t incident)
{
	struct hold *h = map_get_u64(&s->queue->carry.holds, incident);

	if (h) {
		h->over = false;
		return;
	}
	h = NEW(struct hold);
	h->incident = incident;
	h->wait = (int64_t)s->config->carry_probe_first_ms;
	h->probe = s->now + h->wait;
	map_put_u64(&s->queue->carry.holds, incident, h);
	s->queue_moved = true;
}

void hold_probed(struct store *s, struct hold *h, bool still)
{
	int64_t last = (int64_t)s->config->carry_probe_last_ms;

	if (still)
		h->wait = h->wait * 2 < last ? h->wait * 2 : last;
	h->probe = s->now + h->wait;
}

bool hold_probe_now(struct store *s, uint64_t incident)
{
	struct hold *h;

	store_hold(s);
	h = map_get_u64(&s->queue->carry.holds, incident);
	if (h) {
		h->probe = s->now;
		s->queue_moved = true;
	}
	store_let(s);
	return h != NULL;
}

/* ---- releasing ---- */

void entry_released(const struct job *j, const struct change_entry *e, struct change_entry_tried *t)
{
	int64_t life = j->now + RELEASED_LIFE_MS;

	entry_goes_on(j, e, t);
	if (t->expires && t->expires < life)
		t->expires = life;
	if (t->alarm && t->alarm < j->now)
		t->alarm = t->expires;
}

static void release_entry(struct job *j, const struct change_entry *e)
{
	struct change_entry_tried *t = entry_tried_change(j, e);

	t->incident = 0;
	t->reason = (struct bytes){0};
	if (e->state != ENTRY_HELD)
		return;
	entry_released(j, e, t);
	ledger_note(j, &(struct ledger_event){.reason = LEDGER_RELEASED,
	                                      .mail = e->mail,
	                                      .sender = e->sender,
	                                      .rcpt = e->rcpt});
}

static size_t release_entries(struct store *s, struct job *j, uint64_t incident)
{
	struct db_query *q = db_query(
	        s->db, "SELECT id FROM entry WHERE incident>0 AND incident=? ORDER BY id LIMIT ?");
	uint64_t ids[ALARM_BATCH];
	size_t count = 0, done = 0;

	db_bind(q, "uu", incident, (uint64_t)ALARM_BATCH);
	while (count < ALARM_BATCH && db_next(q))
		ids[count++] = db_u64(q, 0);
	db_end(q);
	for (size_t i = 0; i < count; i++) {
		struct entry_row r;

		if (!queue_claim(s, j, ids[i]) ||
		    !entry_row_read(s->db, &j->arena, ids[i], false, &r))
			continue;
		release_entry(j, &r.e);
		done++;
	}
	return done;
}

static size_t release_destinations(struct store *s, struct job *j, uint64_t incident)
{
	struct db_query *q = db_query(
	        s->db, "SELECT name FROM destination WHERE incident>0 AND incident=? LIMIT ?");
	struct bytes names[ALARM_BATCH];
	size_t count = 0;

	db_bind(q, "uu", incident, (uint64_t)ALARM_BATCH);
	while (count < ALARM_BATCH && db_next(q))
		names[count++] = arena_copy(&j->arena, db_bytes(q, 0));
	db_end(q);
	for (size_t i = 0; i < count; i++) {
		struct change_destination d;
		struct change *c;

		if (!destination_row_read(s->db, &j->arena, names[i], &d))
			continue;
		d.incident = 0;
		d.not_before = 0;
		d.failures = 0;
		c = job_change(j, CHANGE_DESTINATION);
		c->destination = d;
	}
	return count;
}

static enum result run_release(struct store *s, struct job *j, struct why *why)
{
	uint64_t incident = j->entry_id;
	struct hold *h;
	size_t done = 0;
	bool open;

	(void)why;
	store_hold(s);
	open = incident_is_open(s, incident); /* raised again since */
	store_let(s);
	if (!open)
		done = release_entries(s, j, incident) + release_destinations(s, j, incident);
	store_hold(s);
	h = map_get_u64(&s->queue->carry.holds, incident);
	if (h) {
		/* What the last probe has comes back with its batch: that looks again. */
		h->seeking = !open && done == 0 && h->lease;
		h->over = false;
		if (!open && done == 0 && h->lease == 0)
			memory_free(map_remove_u64(&s->queue->carry.holds, incident));
	}
	s->queue_moved = true;
	store_let(s);
	return OK;
}

/* ---- probing ---- */

static uint64_t find_one(struct db *db, uint64_t incident, uint64_t after)
{
	struct db_query *q = db_query(db, "SELECT id FROM entry WHERE incident>0 AND incident=?"
	                                  " AND id>? AND state=1 ORDER BY id LIMIT 1");
	uint64_t id = 0;

	db_bind(q, "uu", incident, after);
	if (db_next(q))
		id = db_u64(q, 0);
	db_end(q);
	return id;
}

/* A mail that waits for a destination that is held: the one that has waited longest since its last try. */
static uint64_t find_lane(struct store *s, struct job *j, uint64_t incident)
{
	struct db *db = j->reader->db;
	struct db_query *q = db_query(
	        db, "SELECT l.destination FROM destination d JOIN lane l ON l.destination=d.name"
	            " WHERE d.incident>0 AND d.incident=? AND l.due<=? ORDER BY l.due LIMIT 1");
	struct bytes name = {0};
	const struct fresh *fresh;
	size_t count, at = 0;
	uint64_t id = 0;

	db_bind(q, "ui", incident, j->now);
	if (db_next(q))
		name = arena_copy(&j->arena, db_bytes(q, 0));
	db_end(q);
	if (name.len == 0)
		return 0;
	fresh = fresh_copy(s, name, &j->arena, &count);
	q = db_query(db, "SELECT id FROM waiting WHERE destination=? AND due<=?"
	                 " ORDER BY priority, due LIMIT 1");
	db_bind(q, "bi", name, j->now);
	if (db_next(q))
		id = db_u64(q, 0);
	db_end(q);
	while (at < count && fresh[at].due > j->now)
		at++;
	return id ? id : at < count ? fresh[at].id : 0; /* those are the newest */
}

/* What is held goes round, then what waits for a held destination, then round again: a mail whose own
 * recipient is never taken must not be the only one that is tried. */
static uint64_t find_probe(struct store *s, struct job *j)
{
	uint64_t incident = j->entry_id, id = find_one(j->reader->db, incident, j->lease);

	if (!id)
		id = find_lane(s, j, incident);
	if (!id && j->lease)
		id = find_one(j->reader->db, incident, 0);
	return id;
}

/* On a reader's thread. */
static enum result run_probe(struct store *s, struct job *j, struct why *why)
{
	uint64_t incident = j->entry_id, id = find_probe(s, j);
	struct change_destination d;
	struct entry_row r;
	struct hold *h;
	bool found;

	(void)why;
	found = id && entry_row_read(j->reader->db, &j->arena, id, false, &r);
	if (found)
		destination_row_read(j->reader->db, &j->arena, r.e.destination, &d);
	store_hold(s);
	h = map_get_u64(&s->queue->carry.holds, incident);
	if (h) {
		h->seeking = false;
		h->probe = s->now + h->wait;
		if (found && !(r.e.owner && sending_held(s, r.e.owner) == incident)) {
			if (carry_probe(s, h, &r.e, &d))
				h->after = r.e.state == ENTRY_HELD ? id : 0;
			else /* all couriers are busy: that must not last as long as they are */
				h->probe = s->now + PROBE_AGAIN_MS;
		}
	}
	j->lease = 0;
	store_let(s);
	return OK;
}

/* Locked. */
void holds_match(struct store *s)
{
	struct map_entry *m;
	struct hold *h;
	uint64_t over;

	while ((over = incident_over(s))) {
		hold_put(s, over);
		h = map_get_u64(&s->queue->carry.holds, over);
		h->over = true;
	}
	for (size_t at = 0; (m = map_each(&s->queue->carry.holds, &at));) {
		h = m->value;
		if (h->seeking)
			continue;
		h->over = h->over || !incident_is_open(s, h->incident);
		if (h->over) {
			h->seeking = true;
			queue_job(s, run_release, true, h->incident, (struct bytes){0});
		} else if (h->probe <= s->now && h->lease == 0 && s->queue->carriers.first) {
			h->seeking = true;
			queue_job(s, run_probe, false, h->incident, (struct bytes){0})
			        ->lease = h->after;
		}
	}
}

time_ms holds_due(struct store *s)
{
	struct map_entry *m;
	time_ms due = TIME_NEVER;

	for (size_t at = 0; (m = map_each(&s->queue->carry.holds, &at));) {
		const struct hold *h = m->value;

		if (!h->seeking && h->lease == 0 && s->queue->carriers.first && h->probe < due)
			due = h->probe;
	}
	return due;
}

/* ---- holding ---- */

/* PATH was refused for this destination: that is remembered, so that it is not offered again. */
enum result run_hold_destination(struct store *s, struct job *j, struct why *why)
{
	struct bytes name = j->ask.admin.subject;
	struct change_destination d;
	struct destination *known;
	struct change *c;
	bool open;

	(void)why;
	destination_row_read(s->db, &j->arena, name, &d);
	store_hold(s);
	open = incident_is_open(s, j->entry_id);
	known = destination_find(s, name);
	if (!open && known && known->incident == j->entry_id) {
		known->incident = 0;
		known->more = true;
		destination_offer(s, known);
	}
	store_let(s);
	if (!open || d.incident == j->entry_id)
		return OK;
	d.provider = j->ask.admin.value;
	d.incident = j->entry_id;
	d.not_before = HELD_UNTIL;
	d.at = j->now;
	c = job_change(j, CHANGE_DESTINATION);
	c->destination = d;
	return OK;
}

/* The sending of its owner is held. */
enum result run_hold_entry(struct store *s, struct job *j, struct why *why)
{
	struct change_entry_tried *t;
	struct entry_row r;
	uint64_t incident = j->lease;
	bool open;

	(void)why;
	j->lease = 0;
	store_hold(s);
	open = incident_is_open(s, incident);
	store_let(s);
	if (!open || !queue_claim(s, j, j->entry_id) ||
	    !entry_row_read(s->db, &j->arena, j->entry_id, false, &r) || r.e.state != ENTRY_CARRY)
		return OK;
	t = entry_tried_change(j, &r.e);
	t->state = ENTRY_HELD;
	t->due = 0;
	t->incident = incident;
	ledger_note(j, &(struct ledger_event){.reason = LEDGER_HELD,
	                                      .mail = r.e.mail,
	                                      .sender = r.e.sender,
	                                      .rcpt = r.e.rcpt,
	                                      .text = BYTES("why=sending-held")});
	return OK;
}

/* ---- late ones ---- */

static void alarm_entry(struct store *s, struct job *j, const struct change_entry *e)
{
	struct change_destination d;
	struct change_entry_tried *t;
	bool known = destination_row_read(s->db, &j->arena, e->destination, &d);

	t = entry_tried_change(j, e);
	if (known && d.incident) {
		int64_t life = j->now + RELEASED_LIFE_MS;

		t->alarm = j->now + HELD_ALARM_MS;
		t->expires = t->expires < life ? life : t->expires;
		return;
	}
	if (t->reply.len == 0 && known) {
		t->status = d.status;
		t->reply = d.reply;
		t->remote = d.remote;
	}
	if (!entry_late(s, j, e, t))
		t->alarm = e->expires > j->now ? e->expires : j->now + HELD_ALARM_MS;
	if (t->task == SORT_TASK_FAILED)
		ledger_note(j, &(struct ledger_event){.reason = LEDGER_FAILED,
		                                      .mail = e->mail,
		                                      .sender = e->sender,
		                                      .rcpt = e->rcpt,
		                                      .text = BYTES("status=5.4.7")});
}

static int64_t next_alarm(struct db *db, int64_t now)
{
	struct db_query *q = db_query(
	        db, "SELECT alarm FROM entry WHERE state=2 AND alarm>? ORDER BY alarm LIMIT 1");
	int64_t next;

	db_bind(q, "i", now);
	next = db_next(q) ? db_i64(q, 0) : TIME_NEVER;
	db_end(q);
	return next;
}

/* The cursor is this job's alone while `running`. */
static enum result run_alarm(struct store *s, struct job *j, struct why *why)
{
	struct queue *u = s->queue;
	struct db_query *q = db_query(
	        s->db, "SELECT id, alarm FROM entry WHERE state=2 AND alarm>0 AND alarm<=?"
	               " AND (alarm, id)>(?, ?) ORDER BY alarm, id LIMIT ?");
	uint64_t ids[ALARM_BATCH];
	size_t count = 0;
	int64_t next;

	(void)why;
	db_bind(q, "iiuu", j->now, u->alarm.cursor, u->alarm.cursor_id, (uint64_t)ALARM_BATCH);
	while (count < ALARM_BATCH && db_next(q)) {
		ids[count++] = u->alarm.cursor_id = db_u64(q, 0);
		u->alarm.cursor = db_i64(q, 1);
	}
	db_end(q);
	for (size_t i = 0; i < count; i++) {
		struct entry_row r;

		/* What a courier has just now is late when its CARRIED comes. */
		if (queue_claim(s, j, ids[i]) &&
		    entry_row_read(s->db, &j->arena, ids[i], false, &r))
			alarm_entry(s, j, &r.e);
	}
	next = count < ALARM_BATCH ? next_alarm(s->db, j->now) : j->now;
	if (count < ALARM_BATCH) {
		u->alarm.cursor = INT64_MIN;
		u->alarm.cursor_id = 0;
	}
	store_hold(s);
	u->alarm.running = false;
	u->alarm.next = next < u->alarm.moved ? next : u->alarm.moved;
	if (count < ALARM_BATCH) /* else the cursor may be past what moved: the next round has it */
		u->alarm.moved = TIME_NEVER;
	s->queue_moved = true;
	store_let(s);
	return OK;
}

/* Locked. */
void alarm_match(struct store *s)
{
	struct queue *u = s->queue;

	if (u->alarm.running || u->alarm.next > s->now)
		return;
	u->alarm.running = true;
	queue_job(s, run_alarm, true, 0, (struct bytes){0});
}
