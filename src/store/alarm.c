#include "store/alarm.h"

#include <jansson.h>
#include <stdio.h>

#include "store/dmarc.h"
#include "store/life.h"
#include "watch/alarm.h"
#include "watch/incident.h"

enum {
	WAITING_MAX =
	        1000, /* of one channel; what is more is not said, but stands in `hikyaku incidents` */
	FAILED_MAX = 400,
	LATE_MS = 5 * 60 * 1000, /* one that waits for so long: the channel does not get through */
	REPEAT_MOST = 100,       /* incidents told again in one tick */
	GONE_MOST = 200,
};

/* ---- rows ---- */

enum result alarm_apply(struct store *s, const struct change_alarm *c)
{
	struct db_query *q = db_query(s->db, "INSERT OR REPLACE INTO alarm VALUES"
	                                     "(?, ?, ?, ?, ?, ?, ?, ?)");

	db_bind(q, "ubuuiiub", c->id, c->channel, c->incident, (uint64_t)c->event, c->at, c->due,
	        (uint64_t)c->tries, c->failed);
	db_execute(q);
	return OK;
}

enum result alarm_gone_apply(struct store *s, const struct change_alarm_gone *c)
{
	struct db_query *q = db_query(s->db, "DELETE FROM alarm WHERE id=?");

	db_bind(q, "u", c->id);
	db_execute(q);
	return OK;
}

#define COLUMNS "id, channel, incident, event, at, due, tries, failed"

static struct change_alarm row_of(struct db_query *q, struct arena *arena)
{
	return (struct change_alarm){.id = db_u64(q, 0),
	                             .channel = arena_copy(arena, db_bytes(q, 1)),
	                             .incident = db_u64(q, 2),
	                             .event = (uint8_t)db_u64(q, 3),
	                             .at = db_i64(q, 4),
	                             .due = db_i64(q, 5),
	                             .tries = (uint32_t)db_u64(q, 6),
	                             .failed = arena_copy(arena, db_bytes(q, 7))};
}

/* ---- making them ---- */

static uint64_t next_id(struct store *s, const struct job *j)
{
	struct db_query *q = db_query(s->db, "SELECT MAX(id) FROM alarm");
	uint64_t id;

	db_bind(q, "");
	id = db_next(q) ? db_u64(q, 0) : 0;
	db_end(q);
	for (size_t i = 0; i < j->change_count; i++)
		if (j->changes[i].kind == CHANGE_ALARM && j->changes[i].alarm.id > id)
			id = j->changes[i].alarm.id;
	return id + 1;
}

/* Is there room, and is it not said already that this one is still open? */
static bool is_wanted(struct store *s, struct bytes channel, uint64_t incident, unsigned event)
{
	struct db_query *q = db_query(s->db, "SELECT COUNT(*), SUM(incident=?) FROM alarm"
	                                     " WHERE channel=?");
	bool wanted = true;

	db_bind(q, "ub", incident, channel);
	if (db_next(q))
		wanted = db_u64(q, 0) < WAITING_MAX &&
		         (event != ALARM_REPEATED || db_u64(q, 1) == 0);
	db_end(q);
	return wanted;
}

static void put_alarm(struct store *s, struct job *j, const struct config_alarm *channel,
                      uint64_t incident, unsigned event)
{
	uint64_t id = next_id(s, j);

	if (is_wanted(s, channel->name, incident, event))
		job_change(j, CHANGE_ALARM)->alarm = (struct change_alarm){
		        .id = id,
		        .channel = arena_copy(&j->arena, channel->name),
		        .incident = incident,
		        .event = (uint8_t)event,
		        .at = j->now,
		        .due = j->now};
}

void alarms_note(struct store *s, struct job *j, struct change_incident *row, unsigned event)
{
	const struct config *c = s->writer_config;

	row->said = j->now;
	for (size_t i = 0; i < c->alarm_count; i++)
		put_alarm(s, j, &c->alarms[i], row->id, event);
}

/* ---- telling them ---- */

static bool next_due(struct job *j, struct bytes channel, struct change_alarm *ret)
{
	struct db_query *q = db_query(
	        j->reader->db, "SELECT " COLUMNS " FROM alarm WHERE channel=? ORDER BY id LIMIT 1");
	bool found;

	db_bind(q, "b", channel);
	found = db_next(q);
	if (found)
		*ret = row_of(q, &j->arena);
	db_end(q);
	return found;
}

/* In order: while the oldest waits for its next try, so do the others. */
enum result run_alarm(struct store *s, struct job *j, struct why *why)
{
	struct answer_alarm *ret = &j->answer.alarm;
	struct change_alarm a;
	struct db_query *q;

	(void)s;
	if (!next_due(j, j->ask.alarm.channel, &a) || a.due > j->now)
		return why_set(why, NOT_FOUND, "no alarm is due");
	*ret = (struct answer_alarm){
	        .id = a.id, .event = a.event, .at = a.at, .incident = a.incident};
	q = db_query(j->reader->db, "SELECT kind, key, facts, since, last, until, count, relapses,"
	                            " acked_by FROM incident WHERE id=?");
	db_bind(q, "u", a.incident);
	if (db_next(q)) {
		ret->kind = (uint16_t)db_u64(q, 0);
		ret->key = arena_copy(&j->arena, db_bytes(q, 1));
		ret->facts = arena_copy(&j->arena, db_bytes(q, 2));
		ret->since = db_i64(q, 3);
		ret->last = db_i64(q, 4);
		ret->until = db_i64(q, 5);
		ret->count = db_u64(q, 6);
		ret->relapses = (uint32_t)db_u64(q, 7);
		ret->acked_by = arena_copy(&j->arena, db_bytes(q, 8));
	}
	db_end(q);
	return OK;
}

static void note(struct job *j, enum ledger_reason reason, const struct change_alarm *a)
{
	struct bytes text = arena_printf(
	        &j->arena, "alarm=\"%.*s\" incident=%llu event=%s tries=%u%s%.*s%s",
	        BYTES_ARG(a->channel), (unsigned long long)a->incident, alarm_event_name(a->event),
	        a->tries, a->failed.len ? " why=\"" : "", BYTES_ARG(a->failed),
	        a->failed.len ? "\"" : "");

	ledger_note(j, &(struct ledger_event){.reason = reason, .text = text});
}

/* at 0: whatever it is. */
static bool find_alarm(struct store *s, struct job *j, uint64_t id, int64_t at,
                       struct change_alarm *ret)
{
	struct db_query *q = db_query(s->db, "SELECT " COLUMNS " FROM alarm WHERE id=?");
	bool found;

	db_bind(q, "u", id);
	found = db_next(q);
	if (found)
		*ret = row_of(q, &j->arena);
	db_end(q);
	return found && (at == 0 || ret->at == at);
}

/* A repeat finds nothing, and is as good. */
static void settle(struct store *s, struct job *j, uint64_t id, int64_t at, struct bytes failed)
{
	struct change_alarm a;

	if (!find_alarm(s, j, id, at, &a))
		return;
	if (failed.len == 0) {
		job_change(j, CHANGE_ALARM_GONE)->alarm_gone.id = a.id;
		note(j, LEDGER_ALARM_TOLD, &a);
		return;
	}
	a.due = j->now + alarm_wait_ms(a.tries);
	a.tries++;
	a.failed = bytes_first(failed, FAILED_MAX);
	job_change(j, CHANGE_ALARM)->alarm = a;
}

enum result run_alarm_done(struct store *s, struct job *j, struct why *why)
{
	const struct ask_alarm_done *a = &j->ask.alarm_done;

	(void)why;
	settle(s, j, a->id, a->at, a->failed);
	return OK;
}

/* ---- once a minute ---- */

static void repeat_open(struct store *s, struct job *j)
{
	struct db_query *q = db_query(
	        s->db,
	        "SELECT id, kind, key, facts, since, last, count, relapses, said FROM incident"
	        " WHERE until=0 AND acked_at=0 AND said<? ORDER BY id LIMIT ?");

	db_bind(q, "iu", j->now - s->writer_config->watch_repeat_ms, (uint64_t)REPEAT_MOST);
	while (db_next(q)) {
		struct change_incident row = {.id = db_u64(q, 0),
		                              .kind = (uint32_t)db_u64(q, 1),
		                              .key = arena_copy(&j->arena, db_bytes(q, 2)),
		                              .facts = arena_copy(&j->arena, db_bytes(q, 3)),
		                              .since = db_i64(q, 4),
		                              .last = db_i64(q, 5),
		                              .count = db_u64(q, 6),
		                              .relapses = (uint32_t)db_u64(q, 7)};

		alarms_note(s, j, &row, ALARM_REPEATED);
		job_change(j, CHANGE_INCIDENT)->incident = row;
		incident_say_again(s, &row);
	}
}

static void forget_old(struct store *s, struct job *j)
{
	struct db_query *q = db_query(s->db, "SELECT " COLUMNS " FROM alarm WHERE at<? LIMIT ?");

	db_bind(q, "iu", j->now - ALARM_KEPT_MS, (uint64_t)GONE_MOST);
	while (db_next(q)) {
		struct change_alarm a = row_of(q, &j->arena);

		job_change(j, CHANGE_ALARM_GONE)->alarm_gone.id = a.id;
		note(j, LEDGER_ALARM_GIVEN_UP, &a);
	}
}

/* Of a section that is no longer in the configuration. */
static void forget_unknown(struct store *s, struct job *j)
{
	struct db_query *q = db_query(s->db, "SELECT id, channel FROM alarm LIMIT 5000");
	size_t gone = 0;

	db_bind(q, "");
	while (gone < GONE_MOST && db_next(q))
		if (!config_alarm_named(s->writer_config, db_bytes(q, 1))) {
			job_change(j, CHANGE_ALARM_GONE)->alarm_gone.id = db_u64(q, 0);
			gone++;
		}
	db_end(q);
}

static const char *way_of(const struct config_alarm *c)
{
	switch (c->way) {
	case CONFIG_ALARM_WEBHOOK: return "webhook";
	case CONFIG_ALARM_MAIL: return "mail";
	case CONFIG_ALARM_COLLECT: return "collect";
	default: return "";
	}
}

static uint64_t waiting_of(struct store *s, struct bytes channel)
{
	struct db_query *q = db_query(s->db, "SELECT COUNT(*) FROM alarm WHERE channel=?");
	uint64_t n;

	db_bind(q, "b", channel);
	n = db_next(q) ? db_u64(q, 0) : 0;
	db_end(q);
	return n;
}

static void raise_channel(struct store *s, struct job *j, const struct config_alarm *c,
                          const struct change_alarm *oldest)
{
	char since[TIME_TEXT], waiting[24];
	struct buf facts = {0};

	time_format_rfc3339(oldest->at, since);
	snprintf(waiting, sizeof(waiting), "%llu", (unsigned long long)waiting_of(s, c->name));
	incident_fact_put(&facts, "channel", c->name);
	incident_fact_put(&facts, "way", bytes_of_text(way_of(c)));
	incident_fact_put(&facts, "reason", oldest->failed);
	incident_fact_put(&facts, "since", bytes_of_text(since));
	incident_fact_put(&facts, "waiting", bytes_of_text(waiting));
	incident_raise(s, j, INCIDENT_CHANNEL, c->name, arena_copy(&j->arena, buf_bytes(&facts)),
	               incident_open(s, INCIDENT_CHANNEL, c->name) == 0);
	buf_done(&facts);
}

/* Whatever the cause (nobody answers, nobody collects, courier is gone): an old row says it. */
static void look_at_channel(struct store *s, struct job *j, const struct config_alarm *c)
{
	struct db_query *q = db_query(s->db, "SELECT " COLUMNS
	                                     " FROM alarm WHERE channel=? ORDER BY id LIMIT 1");
	struct change_alarm oldest = {0};
	bool found;

	db_bind(q, "b", c->name);
	found = db_next(q);
	if (found)
		oldest = row_of(q, &j->arena);
	db_end(q);
	if (found && j->now - oldest.at > LATE_MS)
		raise_channel(s, j, c, &oldest);
	else if (!found)
		(void)incident_close(s, j, INCIDENT_CHANNEL, c->name);
}

/* A channel that nobody wants any more is no trouble. */
static void close_unknown(struct store *s, struct job *j)
{
	struct db_query *q = db_query(s->db, "SELECT key FROM incident WHERE kind=? AND until=0");

	db_bind(q, "u", (uint64_t)INCIDENT_CHANNEL);
	while (db_next(q)) {
		struct bytes key = arena_copy(&j->arena, db_bytes(q, 0));

		if (!config_alarm_named(s->writer_config, key))
			(void)incident_close(s, j, INCIDENT_CHANNEL, key);
	}
}

enum result run_watch_tick(struct store *s, struct job *j, struct why *why)
{
	const struct config *c = s->writer_config;

	(void)why;
	if (c->watch_repeat_ms > 0)
		repeat_open(s, j);
	forget_old(s, j);
	forget_unknown(s, j);
	for (size_t i = 0; i < c->alarm_count; i++)
		look_at_channel(s, j, &c->alarms[i]);
	close_unknown(s, j);
	rhythms_tick(s, j);
	dmarc_tick(s);
	return OK;
}

/* ---- the operator, and who collects for him ---- */

static json_t *alarm_row(struct bytes server, const struct change_alarm *a, struct db_query *q)
{
	return json_pack(
	        "{s:I,s:o,s:s,s:i,s:I,s:I,s:i,s:o,s:I,s:i,s:o,s:o,s:I,s:I,s:I,s:I,s:i,s:o,s:o}",
	        "id", (json_int_t)a->id, "channel", admin_text(a->channel), "event",
	        alarm_event_name(a->event), "event_number", (int)a->event, "at_ms",
	        (json_int_t)a->at, "due_ms", (json_int_t)a->due, "tries", (int)a->tries, "failed",
	        admin_text(a->failed), "incident", (json_int_t)a->incident, "kind_number",
	        (int)db_u64(q, 8), "key", admin_text(db_bytes(q, 9)), "facts",
	        admin_text(db_bytes(q, 10)), "since_ms", (json_int_t)db_i64(q, 11), "last_ms",
	        (json_int_t)db_i64(q, 12), "until_ms", (json_int_t)db_i64(q, 13), "count",
	        (json_int_t)db_u64(q, 14), "relapses", (int)db_u64(q, 15), "acknowledged_by",
	        admin_text(db_bytes(q, 16)), "server", admin_text(server));
}

enum result admin_alarms(struct store *s, struct job *j, struct why *why)
{
	struct bytes channel = j->ask.admin.subject, server;
	struct db_query *q = db_query(
	        j->reader->db,
	        "SELECT a.id, a.channel, a.incident, a.event, a.at, a.due, a.tries, a.failed, "
	        "i.kind,"
	        " i.key, i.facts, i.since, i.last, i.until, i.count, i.relapses, i.acked_by"
	        " FROM alarm a LEFT JOIN incident i ON i.id=a.incident WHERE a.id>?"
	        " AND (a.channel=? OR ?) ORDER BY a.id");
	struct buf rows = {0};
	uint64_t last = 0;

	store_hold(s);
	server = arena_copy(&j->arena, s->config->hostname);
	store_let(s);
	db_bind(q, "ubu", j->ask.admin.number, channel, (uint64_t)(channel.len == 0));
	while (db_next(q)) {
		struct change_alarm a = row_of(q, &j->arena);

		if (!admin_row(&rows, alarm_row(server, &a, q))) {
			j->answer.admin.next = last;
			db_end(q);
			break;
		}
		last = a.id;
	}
	admin_rows_done(j, &rows);
	return db_failed(j->reader->db, why);
}

enum result admin_alarm_done(struct store *s, struct job *j, struct why *why)
{
	(void)why;
	settle(s, j, j->ask.admin.number, 0, j->ask.admin.value);
	return OK;
}

enum result admin_alarm_test(struct store *s, struct job *j, struct why *why)
{
	const struct config *c = s->writer_config;
	struct bytes wanted = j->ask.admin.subject;
	struct buf rows = {0};

	if (wanted.len && !config_alarm_named(c, wanted))
		return why_set(why, NOT_FOUND, "there is no section `alarm %.*s { ... }`",
		               BYTES_ARG(bytes_first(wanted, 64)));
	if (c->alarm_count == 0)
		return why_set(why, NOT_FOUND, "no alarm is configured: there is no section alarm");
	for (size_t i = 0; i < c->alarm_count; i++) {
		const struct config_alarm *a = &c->alarms[i];

		if (wanted.len && !bytes_equal(wanted, a->name))
			continue;
		put_alarm(s, j, a, 0, ALARM_TEST);
		admin_row(&rows, json_pack("{s:o,s:s,s:o}", "channel", admin_text(a->name), "way",
		                           way_of(a), "target", admin_text(a->target)));
	}
	admin_rows_done(j, &rows);
	return OK;
}
