/* The queue's rows: entries, lanes, destinations.
 *
 * A lane is what waits for one destination at one priority: a row with the earliest due of its
 * entries, and `next`, the later one of that and of the destination's own backoff. So the next
 * destinations to be tried are a range of an index, however many there are. Lanes are derived:
 * no effect names them. A destination's row is there only while something is known of it that
 * matters (a backoff, a provider, a hold) and mail waits for it.
 *
 * What waits for a destination, in the order in which it is tried, is the table `waiting`: the entries in CARRY
 * whose number is below filed.below. The newer ones are in memory (queue_fresh.c). Derived like the lanes.
 */
#include "store/queue.h"

const char queue_schema[] =
        "CREATE TABLE entry(id INTEGER PRIMARY KEY, mail, state, due, tries, queued, sender BLOB,"
        " rcpt BLOB, origin BLOB, notify, orcpt BLOB, envid BLOB, ret, reason BLOB,"
        " destination BLOB, priority, options, body, owner, deliver_by, by_mode, expires, alarm,"
        " task, status BLOB, reply BLOB, remote BLOB, attempted, warned, incident, again);"
        "CREATE INDEX entry_mail ON entry(mail);"
        "CREATE INDEX entry_state ON entry(state, id);"
        "CREATE INDEX entry_ready ON entry(due, id) WHERE state=0;"
        "CREATE TABLE waiting(destination BLOB, priority, due, id, mail,"
        " PRIMARY KEY(destination, priority, due, id)) WITHOUT ROWID;"
        "CREATE TABLE filed(one INTEGER PRIMARY KEY, below);"
        "INSERT INTO filed VALUES(1, 1);"
        "CREATE INDEX entry_alarm ON entry(alarm, id) WHERE state=2;"
        "CREATE INDEX entry_incident ON entry(incident, id) WHERE incident>0;"
        "CREATE TABLE lane(destination BLOB, priority, due, next,"
        " PRIMARY KEY(destination, priority)) WITHOUT ROWID;"
        "CREATE INDEX lane_next ON lane(next, destination);"
        "CREATE TABLE destination(name BLOB PRIMARY KEY, provider BLOB, not_before, failures,"
        " incident, status BLOB, reply BLOB, remote BLOB, at) WITHOUT ROWID;"
        "CREATE INDEX destination_incident ON destination(incident) WHERE incident>0;";

/* ---- what moved, for everybody to see once the group is durable ---- */

struct old_row {
	bool found;
	uint64_t mail;
	unsigned state;
	struct bytes destination; /* in `room` */
	int64_t priority, due;
	char room[LIMIT_DOMAIN + 3];
};

static struct old_row old_of(struct store *s, uint64_t id)
{
	struct old_row o = {0};
	struct db_query *q = db_query(
	        s->db, "SELECT mail, state, destination, priority, due FROM entry WHERE id=?");
	struct bytes name;

	db_bind(q, "u", id);
	if (!db_next(q))
		return o;
	o.found = true;
	o.mail = db_u64(q, 0);
	o.state = (unsigned)db_u64(q, 1);
	name = bytes_first(db_bytes(q, 2), sizeof(o.room));
	if (name.len)
		memcpy(o.room, name.ptr, name.len);
	o.destination.len = name.len;
	o.priority = db_i64(q, 3);
	o.due = db_i64(q, 4);
	db_end(q);
	return o;
}

static struct bytes name_of(const struct old_row *o)
{
	return bytes_of(o->room, o->destination.len);
}

/* state ENTRY_STATES: it is gone. */
static void moved(struct store *s, uint64_t id, unsigned from, unsigned to, int64_t due,
                  int64_t alarm, uint64_t incident, struct bytes destination)
{
	struct buf *b = &s->queue->moves;

	if (from < ENTRY_STATES)
		s->queue->deltas[from]--;
	if (to < ENTRY_STATES)
		s->queue->deltas[to]++;
	if (!s->queue->open)
		return;
	buf_u8(b, MOVED_ENTRY);
	buf_u64(b, id);
	buf_u8(b, from == ENTRY_STATES);
	buf_u8(b, (uint8_t)to);
	buf_u64(b, (uint64_t)due);
	buf_u64(b, (uint64_t)alarm);
	buf_u64(b, incident);
	buf_block(b, destination);
}

/* ---- lanes ---- */

/* A destination's row is gone: nothing is known in memory either. */
static void forgotten(struct store *s, struct bytes name)
{
	struct buf *b = &s->queue->moves;

	if (!s->queue->open)
		return;
	buf_u8(b, MOVED_FORGOTTEN);
	buf_block(b, name);
}

static void lane_forget(struct store *s, struct bytes name, int64_t priority)
{
	struct db_query *q = db_query(s->db, "DELETE FROM lane WHERE destination=? AND priority=?");

	db_bind(q, "bi", name, priority);
	db_execute(q);
	q = db_query(s->db, "DELETE FROM destination WHERE name=? AND incident=0 AND NOT EXISTS"
	                    "(SELECT 1 FROM lane WHERE lane.destination=destination.name)");
	db_bind(q, "b", name);
	db_execute(q);
	if (db_changes(s->db))
		forgotten(s, name);
}

/* Its first one is another, that nobody may have looked for behind the one that is gone. */
static void lane_moved(struct store *s, struct bytes name, int64_t due)
{
	struct buf *b = &s->queue->moves;

	if (!s->queue->open)
		return;
	buf_u8(b, MOVED_LANE);
	buf_block(b, name);
	buf_u64(b, (uint64_t)due);
}

static void lane_recount(struct store *s, struct bytes name, int64_t priority)
{
	struct db_query *q = db_query(s->db, "SELECT due FROM waiting WHERE destination=?"
	                                     " AND priority=? ORDER BY due LIMIT 1");
	bool found;
	int64_t due, fresh;

	db_bind(q, "bi", name, priority);
	found = db_next(q);
	due = found ? db_i64(q, 0) : 0;
	db_end(q);
	if (fresh_first(s, name, priority, &fresh) && (!found || fresh < due)) {
		found = true;
		due = fresh;
	}
	if (!found) {
		lane_forget(s, name, priority);
		return;
	}
	q = db_query(s->db,
	             "INSERT OR REPLACE INTO lane VALUES(?1, ?2, ?3, max(?3, COALESCE((SELECT"
	             " not_before FROM destination WHERE name=?1), 0)))");
	db_bind(q, "bii", name, priority, due);
	db_execute(q);
	lane_moved(s, name, due);
}

/* A new entry can only make it earlier. */
static void lane_join(struct store *s, struct bytes name, int64_t priority, int64_t due)
{
	struct db_query *q = db_query(
	        s->db, "INSERT INTO lane VALUES(?1, ?2, ?3, max(?3, COALESCE((SELECT not_before"
	               " FROM destination WHERE name=?1), 0)))"
	               " ON CONFLICT(destination, priority) DO UPDATE SET due=excluded.due,"
	               " next=excluded.next WHERE excluded.due<due");

	db_bind(q, "bii", name, priority, due);
	db_execute(q);
}

/* It is in CARRY, or the newest entries are filed. */
static void lane_enter(struct store *s, struct bytes name, const struct fresh *f)
{
	struct db_query *q = db_query(s->db,
	                              "INSERT OR REPLACE INTO waiting VALUES(?, ?, ?, ?, ?)");

	if (fresh_put(s, name, f))
		return;
	db_bind(q, "biiuu", name, f->priority, f->due, f->id, f->mail);
	db_execute(q);
}

/* It is in CARRY no more, or due at another time. */
static void lane_leave(struct store *s, uint64_t id, const struct old_row *o)
{
	struct db_query *q = db_query(s->db, "DELETE FROM waiting WHERE destination=? AND"
	                                     " priority=? AND due=? AND id=?");
	struct bytes name = name_of(o);

	if (!o->found || o->state != ENTRY_CARRY ||
	    fresh_drop(s, name, &(struct fresh){o->priority, o->due, id, o->mail}))
		return;
	db_bind(q, "biiu", name, o->priority, o->due, id);
	db_execute(q);
}

static void lane_again(struct store *s, uint64_t id, const struct old_row *o, unsigned state,
                       int64_t due)
{
	lane_leave(s, id, o);
	if (state == ENTRY_CARRY)
		lane_enter(s, name_of(o), &(struct fresh){o->priority, due, id, o->mail});
}

/* ---- entries ---- */

static int64_t signed_priority(uint8_t priority)
{
	return (int8_t)priority;
}

static void above(uint64_t *counter, uint64_t used)
{
	if (*counter <= used)
		*counter = used + 1;
}

enum result entry_apply(struct store *s, const struct change_entry *c)
{
	struct old_row old = {0};
	struct db_query *q = db_query(
	        s->db, "INSERT OR REPLACE INTO entry VALUES"
	               "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?,"
	               " ?, ?, ?, ?, ?, ?)");
	unsigned state = c->state < ENTRY_STATES ? c->state : ENTRY_HELD;

	if (c->id < s->counters.entry)
		old = old_of(s, c->id);
	db_bind(q, "uuuiuibbbubbubbiuuuiuiiubbbiuui", c->id, c->mail, (uint64_t)state, c->due,
	        (uint64_t)c->tries, c->queued, c->sender, c->rcpt, c->origin, (uint64_t)c->notify,
	        c->orcpt, c->envid, (uint64_t)c->ret, c->reason, c->destination,
	        signed_priority(c->priority), (uint64_t)c->options, (uint64_t)c->body, c->owner,
	        c->deliver_by, (uint64_t)c->by_mode, c->expires, c->alarm, (uint64_t)c->task,
	        c->status, c->reply, c->remote, c->attempted, (uint64_t)c->warned, c->incident,
	        c->again);
	db_execute(q);
	above(&s->counters.entry, c->id);
	above(&s->counters.mail, c->mail);
	lane_leave(s, c->id, &old);
	if (state == ENTRY_CARRY)
		lane_enter(s, c->destination,
		           &(struct fresh){signed_priority(c->priority), c->due, c->id, c->mail});
	if (old.found && old.state == ENTRY_CARRY)
		lane_recount(s, name_of(&old), old.priority);
	if (state == ENTRY_CARRY)
		lane_join(s, c->destination, signed_priority(c->priority), c->due);
	moved(s, c->id, old.found ? old.state : ENTRY_STATES, state, c->due, c->alarm, c->incident,
	      c->destination);
	fresh_file(s);
	return OK;
}

enum result entry_state_apply(struct store *s, const struct change_entry_state *c)
{
	struct old_row old = old_of(s, c->id);
	struct db_query *q = db_query(
	        s->db, "UPDATE entry SET state=?, due=?, tries=?, reason=? WHERE id=?");
	unsigned state = c->state < ENTRY_STATES ? c->state : ENTRY_HELD;

	if (!old.found)
		return OK;
	db_bind(q, "uiubu", (uint64_t)state, c->due, (uint64_t)c->tries, c->reason, c->id);
	db_execute(q);
	lane_again(s, c->id, &old, state, c->due);
	if (old.state == ENTRY_CARRY || state == ENTRY_CARRY)
		lane_recount(s, name_of(&old), old.priority);
	moved(s, c->id, old.state, state, c->due, 0, 0, name_of(&old));
	return OK;
}

enum result entry_tried_apply(struct store *s, const struct change_entry_tried *c)
{
	struct old_row old = old_of(s, c->id);
	struct db_query *q = db_query(
	        s->db,
	        "UPDATE entry SET state=?, due=?, tries=?, reason=?, expires=?, alarm=?, task=?,"
	        " status=?, reply=?, remote=?, attempted=?, warned=?, incident=?, again=?"
	        " WHERE id=?");
	unsigned state = c->state < ENTRY_STATES ? c->state : ENTRY_HELD;

	if (!old.found)
		return OK;
	db_bind(q, "uiubiiubbbiuuiu", (uint64_t)state, c->due, (uint64_t)c->tries, c->reason,
	        c->expires, c->alarm, (uint64_t)c->task, c->status, c->reply, c->remote,
	        c->attempted, (uint64_t)c->warned, c->incident, c->again, c->id);
	db_execute(q);
	lane_again(s, c->id, &old, state, c->due);
	if (old.state == ENTRY_CARRY || state == ENTRY_CARRY)
		lane_recount(s, name_of(&old), old.priority);
	moved(s, c->id, old.state, state, c->due, c->alarm, c->incident, name_of(&old));
	return OK;
}

enum result entry_gone_apply(struct store *s, const struct change_entry_gone *c)
{
	struct old_row old = old_of(s, c->id);
	struct db_query *q = db_query(s->db, "DELETE FROM entry WHERE id=?");

	if (!old.found)
		return OK;
	db_bind(q, "u", c->id);
	db_execute(q);
	lane_leave(s, c->id, &old);
	if (old.state == ENTRY_CARRY)
		lane_recount(s, name_of(&old), old.priority);
	q = db_query(s->db,
	             "DELETE FROM delivered WHERE mail=?"
	             " AND NOT EXISTS(SELECT 1 FROM entry WHERE entry.mail=delivered.mail)"
	             " AND NOT EXISTS(SELECT 1 FROM escrow WHERE escrow.mail=delivered.mail)");
	db_bind(q, "u", old.mail);
	db_execute(q);
	moved(s, c->id, old.state, ENTRY_STATES, 0, 0, 0, name_of(&old));
	return OK;
}

/* ---- destinations ---- */

enum result destination_apply(struct store *s, const struct change_destination *c)
{
	struct buf *b = &s->queue->moves;
	bool gone = false;
	struct db_query *q = db_query(
	        s->db, "INSERT OR REPLACE INTO destination VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?)");

	db_bind(q, "bbiuubbbi", c->name, c->provider, c->not_before, (uint64_t)c->failures,
	        c->incident, c->status, c->reply, c->remote, c->at);
	db_execute(q);
	q = db_query(s->db, "UPDATE lane SET next=max(due, ?) WHERE destination=?");
	db_bind(q, "ib", c->not_before, c->name);
	db_execute(q);
	if (db_changes(s->db) == 0 && c->incident == 0) {
		q = db_query(s->db, "DELETE FROM destination WHERE name=?");
		db_bind(q, "b", c->name);
		db_execute(q);
		gone = true; /* nobody waits for it */
	}
	if (!s->queue->open)
		return OK;
	buf_u8(b, MOVED_DESTINATION);
	buf_block(b, c->name);
	buf_block(b, c->provider);
	buf_u64(b, gone ? 0 : (uint64_t)c->not_before);
	buf_u32(b, gone ? 0 : c->failures);
	buf_u64(b, c->incident);
	return OK;
}

bool destination_row_read(struct db *db, struct arena *arena, struct bytes name,
                          struct change_destination *ret)
{
	struct db_query *q = db_query(db, "SELECT provider, not_before, failures, incident, status,"
	                                  " reply, remote, at FROM destination WHERE name=?");

	*ret = (struct change_destination){.name = name};
	db_bind(q, "b", name);
	if (!db_next(q))
		return false;
	ret->provider = arena_copy(arena, db_bytes(q, 0));
	ret->not_before = db_i64(q, 1);
	ret->failures = (uint32_t)db_u64(q, 2);
	ret->incident = db_u64(q, 3);
	ret->status = arena_copy(arena, db_bytes(q, 4));
	ret->reply = arena_copy(arena, db_bytes(q, 5));
	ret->remote = arena_copy(arena, db_bytes(q, 6));
	ret->at = db_i64(q, 7);
	db_end(q);
	return true;
}

/* ---- reading ---- */

bool entry_row_read(struct db *db, struct arena *arena, uint64_t id, bool summary,
                    struct entry_row *ret)
{
	struct db_query *q = db_query(
	        db,
	        "SELECT e.mail, e.state, e.due, e.tries, e.queued, e.sender, e.rcpt, e.origin,"
	        " e.notify, e.orcpt, e.envid, e.ret, e.reason, e.destination, e.priority, "
	        "e.options,"
	        " e.body, e.owner, e.deliver_by, e.by_mode, e.expires, e.alarm, e.task, e.status,"
	        " e.reply, e.remote, e.attempted, e.warned, e.incident, e.again, m.size,"
	        " CASE ? WHEN 1 THEN m.summary END"
	        " FROM entry e JOIN mail m ON m.id=e.mail WHERE e.id=?");

	db_bind(q, "uu", (uint64_t)summary, id);
	if (!db_next(q))
		return false;
	*ret = (struct entry_row){.e = {.id = id,
	                                .mail = db_u64(q, 0),
	                                .state = (uint8_t)db_u64(q, 1),
	                                .due = db_i64(q, 2),
	                                .tries = (uint32_t)db_u64(q, 3),
	                                .queued = db_i64(q, 4),
	                                .sender = arena_copy(arena, db_bytes(q, 5)),
	                                .rcpt = arena_copy(arena, db_bytes(q, 6)),
	                                .origin = arena_copy(arena, db_bytes(q, 7)),
	                                .notify = (uint8_t)db_u64(q, 8),
	                                .orcpt = arena_copy(arena, db_bytes(q, 9)),
	                                .envid = arena_copy(arena, db_bytes(q, 10)),
	                                .ret = (uint8_t)db_u64(q, 11),
	                                .reason = arena_copy(arena, db_bytes(q, 12)),
	                                .destination = arena_copy(arena, db_bytes(q, 13)),
	                                .priority = (uint8_t)db_i64(q, 14),
	                                .options = (uint8_t)db_u64(q, 15),
	                                .body = (uint8_t)db_u64(q, 16),
	                                .owner = db_u64(q, 17),
	                                .deliver_by = db_i64(q, 18),
	                                .by_mode = (uint8_t)db_u64(q, 19),
	                                .expires = db_i64(q, 20),
	                                .alarm = db_i64(q, 21),
	                                .task = (uint8_t)db_u64(q, 22),
	                                .status = arena_copy(arena, db_bytes(q, 23)),
	                                .reply = arena_copy(arena, db_bytes(q, 24)),
	                                .remote = arena_copy(arena, db_bytes(q, 25)),
	                                .attempted = db_i64(q, 26),
	                                .warned = (uint8_t)db_u64(q, 27),
	                                .incident = db_u64(q, 28),
	                                .again = db_i64(q, 29)},
	                          .size = db_u64(q, 30),
	                          .summary = arena_copy(arena, db_bytes(q, 31))};
	db_end(q);
	return true;
}

/* ---- effects ---- */

struct change_entry_tried *entry_tried_change(struct job *j, const struct change_entry *e)
{
	struct change *c = job_change(j, CHANGE_ENTRY_TRIED);

	c->entry_tried = (struct change_entry_tried){.id = e->id,
	                                             .state = e->state,
	                                             .due = e->due,
	                                             .tries = e->tries,
	                                             .reason = e->reason,
	                                             .expires = e->expires,
	                                             .alarm = e->alarm,
	                                             .task = e->task,
	                                             .status = e->status,
	                                             .reply = e->reply,
	                                             .remote = e->remote,
	                                             .attempted = e->attempted,
	                                             .warned = e->warned,
	                                             .incident = e->incident,
	                                             .again = e->again};
	return &c->entry_tried;
}

void entry_gone_change(struct job *j, const struct change_entry *e)
{
	struct change *c = job_change(j, CHANGE_ENTRY_GONE);

	c->entry_gone.id = e->id;
}

/* The row of deviations is a full new value, so every job says it once for each mail. */
void settle_references(struct store *s, struct job *j, uint64_t mail, int64_t more)
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
