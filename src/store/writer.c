/* How changes become durable: a group.
 *
 *	 1. Take waiting jobs, one after the other, up to a limit. Each computes its effects from the
 *	    writer's state and changes nothing yet; one that fails has none.
 *	 2. Its effects (and a mail's block) become one record of the log's group, in memory; then they
 *	    are applied to the index, inside one transaction, and to the `next` rows.
 *	 3. The log writes the group and syncs it: one fdatasync.
 *	 4. The index commits (no sync).
 *	 5. Next becomes now; answers and events leave.
 *
 * Nobody but the writer sees anything before 5. No job needs a savepoint, since nothing of it is
 * applied before all of it is known to be possible.
 *
 * What fails, and then what:
 *	no room for a record         DISK_FULL for that job; the others go on
 *	the index before 3, full     all is undone, DISK_FULL for the group, the log's group is
 *	                             forgotten (if part of it is on the disk already: as below)
 *	the index before 3, else     everybody gets LOST, the store ends; the next start makes the
 *	                             index anew, since this one cannot be read
 *	the sync                     everybody gets LOST, the store ends; never tried again
 *	the index's commit after 3   the same; the next start replays the log
 */
#include "store/life.h"
#include "store/queue.h"

/* ---- jobs ---- */

void job_list_init(struct job_list *l)
{
	*l = (struct job_list){.last = &l->first};
}

void job_put(struct job_list *l, struct job *j)
{
	j->next = NULL;
	*l->last = j;
	l->last = &j->next;
	l->count++;
}

void job_put_first(struct job_list *l, struct job *j)
{
	j->next = l->first;
	if (!l->first)
		l->last = &j->next;
	l->first = j;
	l->count++;
}

struct job *job_take(struct job_list *l)
{
	struct job *j = l->first;

	if (!j)
		return NULL;
	l->first = j->next;
	if (!l->first)
		l->last = &l->first;
	l->count--;
	j->next = NULL;
	return j;
}

struct job *job_new(struct store *s, job_function *run)
{
	struct job *j = NEW(struct job);

	j->run = run;
	j->silent = true;
	j->now = s->now;
	return j;
}

/* Locked. */
void job_free(struct store *s, struct job *j)
{
	spool_return(s, j);
	/* After LOST the record may count at the next start, and then names this file. */
	if (j->placed && j->answer.result != LOST && !(j->place_used && j->answer.result == OK)) {
		/* If it cannot be removed, it is an orphan that the next start removes. */
		enum result result = blob_file_remove(s->log, j->place.offset, NULL);
		(void)result;
	}
	arena_done(&j->arena);
	buf_done(&j->block);
	buf_done(&j->notes);
	buf_done(&j->lessons);
	memory_free(j->changes);
	memory_free(j);
}

struct change *job_change(struct job *j, enum change_kind kind)
{
	struct change *c;

	if (j->change_count == j->change_size) {
		j->change_size = j->change_size ? j->change_size * 2 : 8;
		j->changes = memory_resize(j->changes, j->change_size * sizeof(*j->changes));
	}
	c = &j->changes[j->change_count++];
	*c = (struct change){.kind = kind};
	return c;
}

/* The answer's head; fields stay only with OK. */
void job_finish(struct store *s, struct job *j, enum result result, const struct why *why)
{
	struct answer a = answer_to(&j->ask, result, (struct bytes){0});

	(void)s;
	if (result == OK) {
		j->answer.kind = a.kind;
		j->answer.number = a.number;
		j->answer.session = a.session;
		j->answer.result = OK;
		j->answer.why = (struct bytes){0};
		return;
	}
	if (why)
		a.why = arena_copy(&j->arena, bytes_of_text(why->text));
	j->answer = a;
}

/* ---- failing ---- */

static void lose(struct store *s, struct job_list *from, const struct why *why)
{
	struct job *j;

	while ((j = job_take(from))) {
		job_finish(s, j, LOST, why);
		job_put(&s->done, j);
	}
}

void store_fail(struct store *s, const struct why *why)
{
	store_hold(s);
	if (!s->failed)
		s->failure = *why;
	s->failed = true;
	lose(s, &s->writes, why);
	lose(s, &s->reads, why);
	queue_lost(s, why);
	lose(s, &s->traces, why);
	store_let(s);
}

bool store_failed(struct store *s, struct why *why)
{
	bool failed;

	store_hold(s);
	failed = s->failed;
	if (failed && why)
		*why = s->failure;
	store_let(s);
	return failed;
}

/* The group is not durable and never will be: LOST for all of it. */
static void group_lost(struct store *s, struct job_list *group, const struct why *why)
{
	store_hold(s);
	lose(s, group, why);
	store_let(s);
	store_fail(s, why);
}

/* Nothing of the group has happened. */
static void group_undo(struct store *s, struct job_list *group, enum result result,
                       const struct why *why)
{
	struct job *j;

	db_rollback(s->db);
	state_undo(s);
	s->counters = counters_load(s->db);
	buf_clear(&s->files_gone);
	if (!blob_log_drop(s->log)) {
		group_lost(s, group, why);
		return;
	}
	store_hold(s);
	while ((j = job_take(group))) {
		if (j->answer.result == OK)
			job_finish(s, j, result == DISK_FULL ? DISK_FULL : UNAVAILABLE, why);
		job_put(&s->done, j);
	}
	store_let(s);
}

/* What is in memory may have been read from an index that cannot be read: only a new start
 * mends that. */
static void group_broken(struct store *s, struct job_list *group, enum result result,
                         const struct why *why)
{
	if (result == DISK_FULL) {
		group_undo(s, group, result, why);
		return;
	}
	if (result == DAMAGED || result == FAILED)
		index_condemn(s);
	group_lost(s, group, why);
}

/* ---- one job ---- */

enum step { STEP_ON, STEP_END, STEP_AGAIN, STEP_BROKEN };

static void encode_changes(struct store *s, const struct job *j)
{
	buf_clear(&s->encoded);
	for (size_t i = 0; i < j->change_count; i++)
		change_encode(&j->changes[i], &s->encoded);
}

static bool renews_key(const struct job *j)
{
	return j->change_count && j->changes[j->change_count - 1].kind == CHANGE_KEY;
}

/* Step 2 for one job. */
static enum result record_job(struct store *s, struct job *j, struct why *why, bool *ret_broken)
{
	struct blob_record record;
	enum result result;

	encode_changes(s, j);
	result = blob_log_room(s->log, buf_len(&s->encoded) + buf_len(&j->block), j->urgent, why);
	if (result == OK)
		result = blob_log_put(s->log, buf_bytes(&s->encoded), buf_bytes(&j->block), &record,
		                      why);
	if (result != OK) {
		*ret_broken = result != DISK_FULL && result != TOO_BIG;
		return result;
	}
	if (!s->in_group)
		db_begin(s->db);
	s->in_group = true;
	for (size_t i = 0; i < j->change_count && result == OK; i++)
		result = change_apply(s, &j->changes[i], &record, why);
	*ret_broken = result != OK;
	for (size_t i = 0; i < 2; i++) {
		if (j->bulk[i])
			j->bulk[i]->bulk_group = s->group;
	}
	if (renews_key(j))
		buf_append(&s->group_keys, j->changes[j->change_count - 1].key.key);
	return result;
}

static void job_reset(struct job *j)
{
	j->again = false;
	j->change_count = 0;
	j->fresh = j->modseqs = 0;
	j->took.messages = j->took.unseen = j->took.deleted = 0;
	j->took.size = 0;
	j->bulk[0] = j->bulk[1] = NULL;
	buf_clear(&j->block);
	buf_clear(&j->notes);
	buf_clear(&j->lessons);
}

static enum step run_job(struct store *s, struct job *j, struct why *why, enum result *ret)
{
	enum result result = OK;
	bool broken = false;

	j->reader = &s->own;
	j->account = j->account_id ? account_by_id(s, j->account_id) : NULL;
	if (j->account_id && !j->account)
		result = why_set(why, DENIED, "the account is gone");
	else
		result = j->run(s, j, why);
	if (j->again) {
		job_reset(j);
		return STEP_AGAIN;
	}
	if (result != OK)
		j->change_count = 0;
	else if (j->change_count) {
		ledger_note_job(s, j);
		learn_note_job(s, j);
		result = record_job(s, j, why, &broken);
	}
	if (result != OK) {
		j->change_count = 0;
		buf_clear(&j->notes);
		buf_clear(&j->lessons);
	}
	*ret = result;
	job_finish(s, j, result, why);
	if (broken)
		return STEP_BROKEN;
	return j->alone ? STEP_END : STEP_ON;
}

/* ---- the group ---- */

unsigned group_limit(const struct store *s)
{
	unsigned jobs = s->options.group_jobs ? s->options.group_jobs
	                                      : (unsigned)s->writer_config->store_group_jobs;

	return jobs ? jobs : 1;
}

static struct job *next_job(struct store *s)
{
	struct job *j;

	store_hold(s);
	j = s->failed ? NULL : job_take(&s->writes);
	store_let(s);
	return j;
}

static void put_back(struct store *s, struct job *j)
{
	store_hold(s);
	job_put_first(&s->writes, j);
	store_let(s);
}

/* Steps 1 and 2. False: the group is broken, for *ret. */
static bool gather_group(struct store *s, struct job_list *group, enum result *ret, struct why *why)
{
	unsigned limit = group_limit(s);
	struct job *j;

	while (group->count < limit && (j = next_job(s))) {
		enum step step = run_job(s, j, why, ret);

		if (step == STEP_AGAIN) {
			put_back(s, j);
			break;
		}
		job_put(group, j);
		if (step == STEP_BROKEN)
			return false;
		if (step == STEP_END)
			break;
	}
	return true;
}

static void remove_files(struct store *s)
{
	uint64_t number;

	while (buf_len(&s->files_gone)) {
		memcpy(&number, buf_bytes(&s->files_gone).ptr, sizeof(number));
		buf_consume(&s->files_gone, sizeof(number));
		/* If it stays, it is an orphan that the next start removes. */
		enum result result = blob_file_remove(s->log, number, NULL);
		(void)result;
	}
}

/* Step 5. */
static void publish(struct store *s, struct job_list *group)
{
	struct job *j;

	store_hold(s);
	for (j = group->first; j; j = j->next) {
		for (size_t i = 0; i < j->change_count; i++)
			change_publish(s, &j->changes[i]);
		ledger_publish(s, j);
		learn_publish(s, j);
	}
	state_publish(s);
	for (j = group->first; j; j = j->next) {
		if (j->ask.kind == ASK_CARRIED && j->answer.result == OK)
			carried_publish(s, j);
	}
	if (s->queue_moved)
		queue_match(s);
	while ((j = job_take(group)))
		job_put(&s->done, j);
	store_let(s);
}

static void commit_group(struct store *s, struct job_list *group)
{
	struct blob_position at = blob_log_position(s->log);
	struct why why = {0};
	enum result result;

	if (s->in_group)
		state_save(s, &at);
	/* Also where nothing is to be written: a job that could not read saw nothing, and did
	 * nothing. */
	if ((result = db_failed(s->db, &why)) != OK) {
		group_broken(s, group, result, &why);
		return;
	}
	if (s->in_group) {
		if (blob_log_sync(s->log, &why) != OK || db_commit(s->db, &why) != OK) {
			group_lost(s, group, &why);
			return;
		}
	}
	publish(s, group);
	remove_files(s);
}

bool store_write_step(struct store *s)
{
	struct job_list group;
	struct why why = {0};
	enum result result = OK;
	bool more;

	job_list_init(&group);
	store_hold(s);
	s->writer_config = s->config;
	store_let(s);
	s->group++;
	s->in_group = false;
	buf_clear(&s->group_keys);
	upkeep_joins(s);
	if (gather_group(s, &group, &result, &why))
		commit_group(s, &group);
	else
		group_broken(s, &group, result, &why);
	s->in_group = false;
	if (!store_failed(s, NULL))
		upkeep(s);
	store_hold(s);
	more = !s->failed && s->writes.count > 0;
	store_let(s);
	return more;
}

bool store_write_waits(struct store *s)
{
	bool waits;

	store_hold(s);
	waits = !s->failed && (s->writes.count > 0 || upkeep_waits(s));
	store_let(s);
	return waits;
}
