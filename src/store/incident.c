/* Incidents: rows (change INCIDENT), of which the open ones are also in memory. Their words are not made
 * here (watch/incident.h): the store keeps kind, key and facts. */
#include <jansson.h>
#include <stdio.h>

#include "store/alarm.h"
#include "store/life.h"
#include "watch/alarm.h"
#include "watch/incident.h"

enum {
	KEY_MAX = 400,
	FACTS_MAX = 8 * 1024,
	GONE_MOST = 20, /* forgotten at once */
	NEWS_MAX = 256 * 1024,
};

#define DAY_MS (24LL * 3600 * 1000)
#define RELAPSE_MS (7 * DAY_MS)
#define KEPT_MS (400 * DAY_MS)

/* ---- in memory: the open ones ---- */

struct open_incident {
	uint64_t id;
	unsigned kind;
};

static struct bytes map_key(char room[2 + KEY_MAX], unsigned kind, struct bytes key)
{
	key = bytes_first(key, KEY_MAX);
	room[0] = (char)(kind >> 8);
	room[1] = (char)kind;
	if (key.len)
		memcpy(room + 2, key.ptr, key.len);
	return bytes_of(room, 2 + key.len);
}

uint64_t incident_seen(struct store *s, unsigned kind, struct bytes key)
{
	char room[2 + KEY_MAX];
	const struct open_incident *i = map_get(&s->incidents, map_key(room, kind, key));

	return i ? i->id : 0;
}

bool incident_is_open(struct store *s, uint64_t id)
{
	struct map_entry *e;

	for (size_t at = 0; (e = map_each(&s->incidents, &at));) {
		if (((struct open_incident *)e->value)->id == id)
			return true;
	}
	return false;
}

/* For the log of the process. Bounded: who does not ask does not want to know. */
static void put_news(struct store *s, const struct change_incident *c, bool again)
{
	struct buf *news = &s->incident_news;

	if (buf_len(news) > NEWS_MAX)
		return;
	buf_u64(news, c->id);
	buf_u32(news, c->kind);
	buf_u8(news, again ? 2 : c->until == 0);
	buf_block(news, c->key);
	buf_block(news, c->facts);
}

void incident_say_again(struct store *s, const struct change_incident *c)
{
	store_hold(s);
	put_news(s, c, true);
	store_let(s);
}

bool store_next_incident(struct store *s, struct store_incident *ret, struct buf *room)
{
	struct wire w;
	unsigned news;
	bool found;

	store_hold(s);
	found = buf_len(&s->incident_news) > 0;
	buf_clear(room);
	if (found) {
		w = wire_of(buf_bytes(&s->incident_news));
		ret->id = wire_u64(&w);
		ret->kind = wire_u32(&w);
		news = wire_u8(&w);
		ret->open = news != 0;
		ret->again = news == 2;
		ret->key = wire_block(&w);
		ret->facts = wire_block(&w);
		buf_append(room, ret->key);
		buf_append(room, ret->facts);
		ret->facts = bytes_skip(buf_bytes(room), ret->key.len);
		ret->key = bytes_first(buf_bytes(room), ret->key.len);
		buf_consume(&s->incident_news, buf_len(&s->incident_news) - w.rest.len);
	}
	store_let(s);
	return found;
}

void incident_publish(struct store *s, const struct change_incident *c)
{
	char room[2 + KEY_MAX];
	struct bytes key = map_key(room, c->kind, c->key);
	struct open_incident *i = map_get(&s->incidents, key);

	if (c->until) {
		memory_free(map_remove(&s->incidents, key));
		if (i) {
			put_news(s, c, false);
			buf_append(&s->incidents_over, bytes_of(&c->id, sizeof(c->id)));
			s->queue_moved = true; /* what it held goes on now */
		}
		return;
	}
	if (!i) {
		i = NEW(struct open_incident);
		map_put(&s->incidents, key, i);
		put_news(s, c, false);
	}
	*i = (struct open_incident){c->id, c->kind};
}

uint64_t incident_over(struct store *s)
{
	uint64_t id = 0;

	if (buf_len(&s->incidents_over) == 0)
		return 0;
	memcpy(&id, buf_bytes(&s->incidents_over).ptr, sizeof(id));
	buf_consume(&s->incidents_over, sizeof(id));
	return id;
}

void incident_done(struct store *s)
{
	struct map_entry *e;

	for (size_t at = 0; (e = map_each(&s->incidents, &at));)
		memory_free(e->value);
	map_done(&s->incidents);
	buf_done(&s->incidents_over);
	buf_done(&s->incident_news);
}

/* ---- rows ---- */

enum result incident_apply(struct store *s, const struct change_incident *c)
{
	struct db_query *q = db_query(s->db, "INSERT OR REPLACE INTO incident VALUES"
	                                     "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");

	db_bind(q, "uubbiiiuuibi", c->id, (uint64_t)c->kind, c->key, c->facts, c->since, c->last,
	        c->until, c->count, (uint64_t)c->relapses, c->acked_at, c->acked_by, c->said);
	db_execute(q);
	s->incident_group = s->group;
	return OK;
}

enum result incident_gone_apply(struct store *s, const struct change_incident_gone *c)
{
	struct db_query *q = db_query(s->db, "DELETE FROM incident WHERE id=?");

	db_bind(q, "u", c->id);
	db_execute(q);
	return OK;
}

#define COLUMNS \
	"id, kind, key, facts, since, last, until, count, relapses, acked_at, acked_by, said"

static struct change_incident row_of(struct db_query *q, struct arena *arena)
{
	return (struct change_incident){.id = db_u64(q, 0),
	                                .kind = (uint32_t)db_u64(q, 1),
	                                .key = arena_copy(arena, db_bytes(q, 2)),
	                                .facts = arena_copy(arena, db_bytes(q, 3)),
	                                .since = db_i64(q, 4),
	                                .last = db_i64(q, 5),
	                                .until = db_i64(q, 6),
	                                .count = db_u64(q, 7),
	                                .relapses = (uint32_t)db_u64(q, 8),
	                                .acked_at = db_i64(q, 9),
	                                .acked_by = arena_copy(arena, db_bytes(q, 10)),
	                                .said = db_i64(q, 11)};
}

void incident_load(struct store *s)
{
	struct db_query *q = db_query(s->db, "SELECT " COLUMNS " FROM incident WHERE until=0");
	struct arena arena = {0};

	db_bind(q, "");
	while (db_next(q)) {
		struct change_incident c = row_of(q, &arena);

		incident_publish(s, &c);
	}
	arena_done(&arena);
}

/* Replay told of old ones: what counts is what is open now. */
void incident_begin(struct store *s)
{
	struct db_query *q = db_query(s->db, "SELECT " COLUMNS " FROM incident WHERE until=0");
	struct arena arena = {0};

	buf_clear(&s->incident_news);
	buf_clear(&s->incidents_over);
	db_bind(q, "");
	while (db_next(q)) {
		struct change_incident c = row_of(q, &arena);

		put_news(s, &c, false);
	}
	arena_done(&arena);
}

/* The newest row of this kind and key, as the writer's job sees it: its own effects, its group's, the
 * index's. */
static bool newest(struct store *s, struct job *j, unsigned kind, struct bytes key,
                   struct change_incident *ret)
{
	struct db_query *q;
	bool found;

	for (size_t i = j->change_count; i-- > 0;) {
		const struct change *c = &j->changes[i];

		if (c->kind == CHANGE_INCIDENT && c->incident.kind == kind &&
		    bytes_equal(c->incident.key, key)) {
			*ret = c->incident;
			return true;
		}
	}
	q = db_query(s->db, "SELECT " COLUMNS
	                    " FROM incident WHERE kind=? AND key=? ORDER BY id DESC LIMIT 1");
	db_bind(q, "ub", (uint64_t)kind, key);
	found = db_next(q);
	if (found)
		*ret = row_of(q, &j->arena);
	db_end(q);
	return found;
}

static uint64_t next_id(struct store *s, const struct job *j)
{
	struct db_query *q = db_query(s->db, "SELECT MAX(id) FROM incident");
	uint64_t id;

	db_bind(q, "");
	id = db_next(q) ? db_u64(q, 0) : 0;
	db_end(q);
	for (size_t i = 0; i < j->change_count; i++) {
		if (j->changes[i].kind == CHANGE_INCIDENT && j->changes[i].incident.id > id)
			id = j->changes[i].incident.id;
	}
	return id + 1;
}

uint64_t incident_open(struct store *s, unsigned kind, struct bytes key)
{
	struct db_query *q;
	uint64_t id = 0;
	bool none;

	store_hold(s);
	none = s->incidents.count == 0 && s->incident_group != s->group;
	store_let(s);
	if (none)
		return 0;
	q = db_query(s->db, "SELECT id FROM incident WHERE kind=? AND key=? AND until=0");
	db_bind(q, "ub", (uint64_t)kind, bytes_first(key, KEY_MAX));
	if (db_next(q))
		id = db_u64(q, 0);
	db_end(q);
	return id;
}

/* ---- raising and closing ---- */

static void note(struct job *j, enum ledger_reason reason, const struct change_incident *c)
{
	struct bytes text = arena_printf(&j->arena, "incident=%llu kind=%u key=\"%.*s\"",
	                                 (unsigned long long)c->id, c->kind, BYTES_ARG(c->key));

	ledger_note(j, &(struct ledger_event){.reason = reason, .text = text});
}

/* Old ones are forgotten when a new one comes; the newest number stays, so that none is used again. */
static void forget_old(struct store *s, struct job *j)
{
	struct db_query *q = db_query(s->db, "SELECT id FROM incident WHERE until>0 AND until<?"
	                                     " ORDER BY id LIMIT ?");

	db_bind(q, "iu", j->now - KEPT_MS, (uint64_t)GONE_MOST);
	while (db_next(q)) {
		struct change *c = job_change(j, CHANGE_INCIDENT_GONE);

		c->incident_gone.id = db_u64(q, 0);
	}
}

uint64_t incident_raise(struct store *s, struct job *j, unsigned kind, struct bytes key,
                        struct bytes facts, uint64_t count)
{
	struct change_incident row = {0};
	bool found, was_open;

	key = bytes_first(key, KEY_MAX);
	facts = bytes_first(facts, FACTS_MAX);
	found = newest(s, j, kind, key, &row);
	was_open = found && row.until == 0;
	if (!was_open && (!found || j->now - row.until > RELAPSE_MS)) {
		row = (struct change_incident){.id = next_id(s, j),
		                               .kind = kind,
		                               .key = arena_copy(&j->arena, key),
		                               .since = j->now};
		forget_old(s, j);
	} else if (!was_open) {
		row.relapses++;
		row.until = row.acked_at = 0;
		row.acked_by = (struct bytes){0};
	}
	row.last = j->now;
	row.count += count;
	if (facts.len)
		row.facts = arena_copy(&j->arena, facts);
	if (!was_open) {
		alarms_note(s, j, &row, row.relapses ? ALARM_AGAIN : ALARM_RAISED);
		note(j, LEDGER_INCIDENT_RAISED, &row);
	}
	job_change(j, CHANGE_INCIDENT)->incident = row;
	return row.id;
}

static uint64_t close_row(struct store *s, struct job *j, struct change_incident *row)
{
	row->until = j->now > row->since ? j->now : row->since + 1;
	alarms_note(s, j, row, ALARM_CLOSED);
	job_change(j, CHANGE_INCIDENT)->incident = *row;
	note(j, LEDGER_INCIDENT_CLOSED, row);
	return row->id;
}

uint64_t incident_close(struct store *s, struct job *j, unsigned kind, struct bytes key)
{
	struct change_incident row;

	if (!newest(s, j, kind, bytes_first(key, KEY_MAX), &row) || row.until)
		return 0;
	return close_row(s, j, &row);
}

/* Who may say what. That an account's sending is held is the store's own finding: a process that reads strangers' bytes neither
 * begins such a hold nor ends one, nor holds mail to a provider that it never spoke to. */
static bool may_say(unsigned role, unsigned kind)
{
	switch (kind) {
	case INCIDENT_BLOCKED:
	case INCIDENT_NETWORK:
	case INCIDENT_DOMAIN:
	case INCIDENT_DESTINATION:
	case INCIDENT_TLS:
	case INCIDENT_SMARTHOST: return role == COURIER;
	case INCIDENT_DNS: return role == RESOLVER || role == COURIER;
	case INCIDENT_DKIM: return role == KEEPER;
	case INCIDENT_DRIFT: return role == WATCH;
	default: return false;
	}
}

enum result run_incident(struct store *s, struct job *j, struct why *why)
{
	const struct ask_incident *a = &j->ask.incident;
	struct answer_incident *ret = &j->answer.incident;

	if (a->kind == 0 || a->key.len > KEY_MAX || a->facts.len > FACTS_MAX)
		return why_set(why, INVALID, "that is no incident");
	if (!may_say(j->from.role, a->kind))
		return why_set(why, DENIED, "this is not for that process to say");
	switch (a->verb) {
	case INCIDENT_RAISE:
		ret->fresh = incident_open(s, a->kind, a->key) == 0;
		ret->id = incident_raise(s, j, a->kind, a->key, a->facts, a->count);
		return OK;
	case INCIDENT_CLOSE: ret->id = incident_close(s, j, a->kind, a->key); return OK;
	default: return why_set(why, INVALID, "an incident is raised or closed");
	}
}

/* ---- the operator ---- */

static json_t *incident_row(const struct change_incident *c)
{
	return json_pack("{s:I,s:i,s:o,s:o,s:I,s:I,s:I,s:I,s:i,s:I,s:o}", "id", (json_int_t)c->id,
	                 "kind_number", (int)c->kind, "key", admin_text(c->key), "facts",
	                 admin_text(c->facts), "since_ms", (json_int_t)c->since, "last_ms",
	                 (json_int_t)c->last, "until_ms", (json_int_t)c->until, "count",
	                 (json_int_t)c->count, "relapses", (int)c->relapses, "acknowledged_ms",
	                 (json_int_t)c->acked_at, "acknowledged_by", admin_text(c->acked_by));
}

/* On a reader's thread; the newest first. */
enum result admin_incidents(struct store *s, struct job *j, struct why *why)
{
	bool all = bytes_equal(j->ask.admin.value, BYTES("all"));
	uint64_t from = j->ask.admin.number ? j->ask.admin.number : INT64_MAX, last = 0;
	struct db_query *q = db_query(j->reader->db, "SELECT " COLUMNS " FROM incident WHERE id<?"
	                                             " AND (until=0 OR ?) ORDER BY id DESC");
	struct buf rows = {0};

	(void)s;
	db_bind(q, "uu", from, (uint64_t)all);
	while (db_next(q)) {
		struct change_incident c = row_of(q, &j->arena);

		if (!admin_row(&rows, incident_row(&c))) {
			j->answer.admin.next = last;
			db_end(q);
			break;
		}
		last = c.id;
	}
	admin_rows_done(j, &rows);
	return db_failed(j->reader->db, why);
}

static enum result find_row(struct db *db, struct job *j, struct change_incident *ret,
                            struct why *why)
{
	struct db_query *q = db_query(db, "SELECT " COLUMNS " FROM incident WHERE id=?");
	bool found;

	if (j->ask.admin.number > INT64_MAX)
		return why_set(why, NOT_FOUND, "there is no such incident");
	db_bind(q, "u", j->ask.admin.number);
	found = db_next(q);
	if (found)
		*ret = row_of(q, &j->arena);
	db_end(q);
	return found ? OK
	             : why_set(why, NOT_FOUND, "there is no incident %llu",
	                       (unsigned long long)j->ask.admin.number);
}

enum result admin_incident_show(struct store *s, struct job *j, struct why *why)
{
	struct change_incident c;
	struct buf rows = {0};
	enum result result = find_row(j->reader->db, j, &c, why);

	(void)s;
	if (result != OK)
		return result;
	admin_row(&rows, incident_row(&c));
	admin_rows_done(j, &rows);
	return OK;
}

enum result admin_incident_close(struct store *s, struct job *j, struct why *why)
{
	struct change_incident c;
	enum result result = find_row(s->db, j, &c, why);

	if (result == OK && c.until)
		result = why_set(why, NOT_FOUND, "incident %llu is closed already",
		                 (unsigned long long)c.id);
	if (result == OK)
		close_row(s, j, &c);
	return result;
}

enum result admin_incident_ack(struct store *s, struct job *j, struct why *why)
{
	struct change_incident c;
	enum result result = find_row(s->db, j, &c, why);

	if (result != OK)
		return result;
	c.acked_at = j->now;
	c.acked_by = bytes_first(j->ask.admin.value, 200);
	if (c.until == 0)
		alarms_note(s, j, &c, ALARM_ACKNOWLEDGED);
	job_change(j, CHANGE_INCIDENT)->incident = c;
	note(j, LEDGER_INCIDENT_ACKED, &c);
	return OK;
}
