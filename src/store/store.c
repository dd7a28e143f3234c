/* Opening, and the table ask -> function. */
#include <stdio.h>

#include "store/escrow.h"
#include "store/alarm.h"
#include "store/ban.h"
#include "store/check.h"
#include "store/dmarc.h"
#include "store/life.h"

static const char index_name[] = "index.db";
static const char broken_name[] = "index.broken"; /* it is there: make the index anew */

/* ---- the table ---- */

enum way {
	WAY_NONE,
	WAY_HERE,  /* from memory, at once */
	WAY_VIEW,  /* the same, but the mailbox's view must be loaded */
	WAY_READ,  /* index or log: a reader */
	WAY_WRITE, /* the writer */
};

struct verb {
	enum way way;
	bool granted; /* needs a grant for the session */
	job_function *run;
};

static const struct verb verbs[ASK_COUNT] = {
        [ASK_ROUTE] = {WAY_HERE, false, run_route},
        [ASK_SPOOL] = {WAY_HERE, false, run_spool},
        [ASK_SPOOL_DROP] = {WAY_HERE, false, run_spool_drop},
        [ASK_HISTORY] = {WAY_HERE, false, run_history},
        [ASK_JUDGED] = {WAY_HERE, false, run_judged},
        [ASK_COMMIT] = {WAY_WRITE, false, run_commit},
        [ASK_COMMITTED] = {WAY_HERE, false, run_committed},
        [ASK_MAILBOXES] = {WAY_HERE, true, run_mailboxes},
        [ASK_MAILBOX_CREATE] = {WAY_WRITE, true, run_mailbox_create},
        [ASK_MAILBOX_DELETE] = {WAY_WRITE, true, run_mailbox_delete},
        [ASK_MAILBOX_RENAME] = {WAY_WRITE, true, run_mailbox_rename},
        [ASK_SUBSCRIBE] = {WAY_WRITE, true, run_subscribe},
        [ASK_STATUS] = {WAY_HERE, true, run_status},
        [ASK_WATCH] = {WAY_HERE, true, run_watch},
        [ASK_UIDS] = {WAY_VIEW, true, run_uids},
        [ASK_FLAGS] = {WAY_VIEW, true, run_flags},
        [ASK_SUMMARIES] = {WAY_READ, true, run_summaries},
        [ASK_READ] = {WAY_READ, true, run_read},
        [ASK_READ_MANY] = {WAY_READ, true, run_read_many},
        [ASK_CHANGES] = {WAY_VIEW, true, run_changes},
        [ASK_FLAGS_SET] = {WAY_WRITE, true, run_flags_set},
        [ASK_EXPUNGE] = {WAY_WRITE, true, run_expunge},
        [ASK_APPEND] = {WAY_WRITE, true, run_append},
        [ASK_COPY] = {WAY_WRITE, true, run_copy},
        [ASK_MAILBOX_LIMITS] = {WAY_HERE, true, run_mailbox_limits},
        [ASK_SESSION_END] = {WAY_HERE, false, run_session_end},
        [ASK_CREDENTIAL] = {WAY_READ, false, run_credential},
        [ASK_CREDENTIAL_SET] = {WAY_WRITE, false, run_credential_set},
        [ASK_GRANT] = {WAY_HERE, false, run_grant},
        [ASK_TAKE] = {WAY_HERE, false, run_take},
        [ASK_QUEUE_READ] = {WAY_READ, false, run_queue_read},
        [ASK_SORTED] = {WAY_WRITE, false, run_sorted},
        [ASK_CARRY] = {WAY_HERE, false, run_carry},
        [ASK_PATH] = {WAY_HERE, false, run_path},
        [ASK_CARRIED] = {WAY_WRITE, false, run_carried},
        [ASK_ADMIN] = {WAY_HERE, false, run_admin},
        [ASK_SENDER] = {WAY_READ, false, run_sender},
        [ASK_STS_POLICY] = {WAY_READ, false, run_sts_policy},
        [ASK_STS_POLICY_SET] = {WAY_WRITE, false, run_sts_policy_set},
        [ASK_TLSRPT] = {WAY_READ, false, run_tlsrpt},
        [ASK_TLSRPT_DONE] = {WAY_WRITE, false, run_tlsrpt_done},
        [ASK_DMARC_DUE] = {WAY_WRITE, false, run_dmarc_due},
        [ASK_DMARC_DONE] = {WAY_WRITE, false, run_dmarc_done},
        [ASK_DIGEST] = {WAY_READ, false, run_digest},
        [ASK_DIGEST_DONE] = {WAY_WRITE, false, run_digest_done},
        [ASK_INCIDENT] = {WAY_WRITE, false, run_incident},
        [ASK_ALARM] = {WAY_READ, false, run_alarm},
        [ASK_ALARM_DONE] = {WAY_WRITE, false, run_alarm_done},
        [ASK_WATCH_TICK] = {WAY_WRITE, false, run_watch_tick},
        [ASK_LEDGER] = {WAY_HERE, false, run_ledger},
        [ASK_CHECK_TESTED] = {WAY_HERE, false, run_check_tested},
        [ASK_BANNED] = {WAY_HERE, false, run_banned},
        [ASK_OFFENCE] = {WAY_HERE, false, run_offence},
};

/* ---- being asked ---- */

static uint64_t viewed_mailbox(const struct ask *a)
{
	switch (a->kind) {
	case ASK_UIDS: return a->uids.mailbox;
	case ASK_FLAGS: return a->flags.mailbox;
	default: return a->changes.mailbox;
	}
}

/* The writer loads the view, then answers like the owner. */
static enum result load_then_run(struct store *s, struct job *j, struct why *why)
{
	struct mailbox *m = asked_mailbox(s, j, viewed_mailbox(&j->ask));
	enum result result;

	if (!m)
		return why_set(why, NOT_FOUND, "there is no such mailbox");
	if (!m->view && m->touched) {
		j->again = true;
		return UNAVAILABLE;
	}
	view_load(s, m);
	store_hold(s);
	result = verbs[j->ask.kind].run(s, j, why);
	store_let(s);
	return result;
}

/* On a reader's thread: a big mail becomes a file of its own before its job joins a group. */
static enum result pack_then_write(struct store *s, struct job *j, struct why *why)
{
	struct bytes before = j->ask.kind == ASK_COMMIT   ? j->ask.commit.trace
	                      : j->ask.kind == ASK_SORTED ? j->ask.sorted.bounce_trace
	                                                  : (struct bytes){0};
	enum result result = spool_pack_file(s, j, before, why);

	if (result != OK)
		return result;
	j->run = verbs[j->ask.kind].run;
	j->later = true; /* store_read_step hands it to the writer */
	return OK;
}

static uint32_t spool_number(const struct ask *a)
{
	switch (a->kind) {
	case ASK_COMMIT: return a->commit.spool;
	case ASK_APPEND: return a->append.spool;
	case ASK_SORTED: return a->sorted.spool;
	default: return 0;
	}
}

static bool has_spool(const struct ask *a)
{
	return a->kind == ASK_COMMIT || a->kind == ASK_APPEND ||
	       (a->kind == ASK_SORTED && a->sorted.spool);
}

/* Locked. Where the job goes. */
static void hand_on(struct store *s, struct job *j, const struct verb *v, struct why *why)
{
	if (v->way == WAY_READ) {
		job_put(&s->reads, j);
		return;
	}
	/* Without its spool the job may still be a repeat: the writer knows. */
	if (has_spool(&j->ask) && spool_borrow(s, j, spool_number(&j->ask), why) == OK &&
	    j->spool->size > s->config->store_blob_over) {
		j->run = pack_then_write;
		job_put(&s->reads, j);
		return;
	}
	job_put(&s->writes, j);
}

static enum result check_grant(struct store *s, struct job *j, struct why *why)
{
	struct session *session = session_get(s, j->from, j->ask.session, false);

	j->account_id = session ? session->account : 0;
	j->account = j->account_id ? account_by_id(s, j->account_id) : NULL;
	if (j->account)
		return OK;
	if (s->now - s->opened < GRACE_MS)
		return why_set(why, UNAVAILABLE, "the store is starting");
	return why_set(why, DENIED, "this session has no grant");
}

/* True: answered. Locked. */
static bool run_here(struct store *s, struct job *j, const struct verb *v, enum result *ret,
                     struct why *why)
{
	struct mailbox *m;

	if (v->way == WAY_VIEW) {
		m = asked_mailbox(s, j, viewed_mailbox(&j->ask));
		if (m && !m->view) {
			j->run = load_then_run;
			return false;
		}
	}
	*ret = v->run(s, j, why);
	return true;
}

/* Asks of another kind than the writer's and readers' are answered within the call: they borrow. */
static bool borrows(const struct verb *v, const struct ask *a)
{
	return v->way == WAY_HERE && (a->kind == ASK_SPOOL || a->kind == ASK_ROUTE);
}

void store_ask(struct store *s, struct store_peer from, const struct ask *a, time_ms now)
{
	const struct verb *v = &verbs[a->kind];
	struct job *j = NEW(struct job);
	struct why why = {0};
	enum result result = OK;
	bool answered = true;

	j->from = from;
	j->life = s->lives[peer_slot(from)];
	j->now = now;
	j->run = v->run;
	j->ask = borrows(v, a) ? *a : ask_copy(&j->arena, a);
	store_hold(s);
	s->now = now;
	if (s->failed)
		result = why_set(&why, LOST, "%s", s->failure.text);
	else if (v->way == WAY_NONE)
		result = why_set(&why, INVALID, "the store does not answer this");
	else if (v->granted)
		result = check_grant(s, j, &why);
	else if (a->kind == ASK_COMMIT || a->kind == ASK_SENDER)
		result = sending_begin(s, j, &why);
	if (result == OK && (v->way == WAY_HERE || v->way == WAY_VIEW)) {
		answered = run_here(s, j, v, &result, &why);
		if (!answered)
			job_put(&s->writes, j);
	} else if (result == OK) {
		hand_on(s, j, v, &why);
		answered = false;
	}
	if (answered && !j->later) {
		job_finish(s, j, result, &why);
		job_put(&s->done, j);
	}
	store_let(s);
}

/* ---- answering ---- */

static void settle_delivered(struct store *s)
{
	if (!s->delivered)
		return;
	job_free(s, s->delivered);
	s->delivered = NULL;
}

bool store_next_answer(struct store *s, struct store_peer *ret_to, struct answer *ret)
{
	struct job *j;

	store_hold(s);
	settle_delivered(s);
	if (s->queue_moved)
		queue_match(s);
	while ((j = job_take(&s->done))) {
		queue_unlease(s, j);
		s->delivered = j;
		if (!j->silent && j->life == s->lives[peer_slot(j->from)])
			break;
		settle_delivered(s);
	}
	if (j) {
		*ret_to = j->from;
		*ret = j->answer;
	}
	store_let(s);
	return j != NULL;
}

void index_condemn(struct store *s)
{
	/* Where that cannot be written the next start tries with what there is, and so on. */
	enum result result = file_write_all(s->fs, broken_name, BYTES("1\n"), NULL);
	(void)result;
}

/* A reader that could not read the index knows nothing: its "not found" would be a wrong answer.
 * Nothing but a new index mends what is damaged: the store ends, the next start makes one. */
static enum result read_result(struct store *s, struct job *j, enum result result, struct why *why)
{
	struct why broken = {0};
	enum result failed = db_failed(j->reader->db, &broken);

	if (failed == OK)
		return result;
	db_rollback(j->reader->db);
	*why = broken;
	if (failed == DAMAGED) {
		index_condemn(s);
		store_fail(s, &broken);
	}
	return UNAVAILABLE;
}

bool store_read_step(struct store *s, unsigned reader)
{
	struct job *j;
	struct why why = {0};
	enum result result;
	bool more;

	store_hold(s);
	j = s->failed ? NULL : job_take(&s->reads);
	store_let(s);
	if (!j)
		return false;
	j->reader = &s->readers[reader];
	j->later = false;
	result = read_result(s, j, j->run(s, j, &why), &why);
	store_hold(s);
	if (j->waits && j->life != s->lives[peer_slot(j->from)]) {
		job_free(s, j); /* a dead one's: it must be given nothing */
	} else if (j->waits) {
		job_put_first(j->waits, j);
		j->waits = NULL;
	} else if (j->later) {
		job_put(&s->writes, j);
	} else {
		job_finish(s, j, result, &why);
		job_put(&s->done, j);
	}
	if (s->queue_moved)
		queue_match(s);
	more = s->reads.count > 0;
	store_let(s);
	return more;
}

bool store_read_waits(struct store *s)
{
	bool waits;

	store_hold(s);
	waits = s->reads.count > 0 && !s->failed;
	store_let(s);
	return waits;
}

/* ---- time ---- */

time_ms store_deadline(struct store *s)
{
	time_ms due;

	store_hold(s);
	due = queue_due(s);
	if (upkeep_due(s) < due)
		due = upkeep_due(s);
	if (escrow_due(s) < due)
		due = escrow_due(s);
	store_let(s);
	return due;
}

void store_tick(struct store *s, time_ms now)
{
	store_hold(s);
	s->now = now;
	queue_tick(s);
	bans_tick(s);
	checks_tick(s);
	store_let(s);
}

void store_config(struct store *s, const struct config *c)
{
	store_hold(s);
	s->config = c;
	checks_config(s);
	store_let(s);
}

/* ---- opening ---- */

enum { REPLAY_BATCH = 2000 };

struct replay {
	struct store *s;
	struct blob_report *report;
	size_t batch;
};

/* What an effect cannot be applied to was lost with a damaged record: it is passed over and
 * counted. */
static void replay_record(struct store *s, const struct blob_record *r, struct blob_report *report)
{
	struct wire w = wire_of(r->effects);
	struct change c;
	struct why why;

	while (change_decode(&w, &c)) {
		if (change_apply(s, &c, r, &why) != OK) {
			if (report->damaged++ == 0)
				report->first_damage = why;
			continue;
		}
		store_hold(s);
		change_publish(s, &c);
		store_let(s);
	}
	if (w.bad && report->damaged++ == 0)
		why_set(&report->first_damage, DAMAGED, "record %llu holds an unknown effect",
		        (unsigned long long)r->lsn);
	mailboxes_save(s);
	store_hold(s);
	state_publish(s);
	store_let(s);
	buf_clear(&s->files_gone);
}

static enum result replay_batch(struct replay *r, const struct blob_position *at, struct why *why)
{
	enum result result;

	state_save(r->s, at);
	r->batch = 0;
	if ((result = db_commit(r->s->db, why)) != OK)
		return result;
	if (db_wal_pages(r->s->db) > 4000 && (result = db_checkpoint(r->s->db, why)) != OK &&
	    result != UNAVAILABLE)
		return result;
	db_begin(r->s->db);
	return OK;
}

static enum result replay_one(void *context, const struct blob_record *r, struct why *why)
{
	struct replay *replay = context;
	enum result result;

	replay_record(replay->s, r, replay->report);
	if ((result = db_failed(replay->s->db, why)) != OK)
		return result;
	return ++replay->batch < REPLAY_BATCH ? OK : replay_batch(replay, &r->after, why);
}

static enum result image_one(void *context, const struct blob_record *r, struct why *why)
{
	struct replay *replay = context;

	replay_record(replay->s, r, replay->report);
	return db_failed(replay->s->db, why);
}

/* A new index from the newest image: in one transaction, so that half of one is never taken
 * for whole. */
static enum result rebuild(struct store *s, struct store_report *report, struct why *why)
{
	struct blob_report damage = {0};
	struct replay r = {s, &damage, 0};
	struct blob_position at = {0};
	enum result result;

	report->rebuilt = true;
	db_begin(s->db);
	s->counters = (struct counters){1, 1, 1, 1, 1};
	if ((result = schema_make(s->db, why)) != OK)
		return result;
	result = blob_image_load(s->fs, image_one, &r, &at, &report->image_damaged, why);
	if (result != OK && result != NOT_FOUND)
		return result;
	if (result == NOT_FOUND)
		at = (struct blob_position){0};
	state_save(s, &at);
	return db_commit(s->db, why);
}

static enum result open_index(struct store *s, bool anew, struct store_report *report,
                              struct why *why)
{
	enum result result;

	if (anew && (result = db_remove(s->fs, index_name, why)) != OK)
		return result;
	if ((result = db_open(s->fs, index_name, DB_WRITE, &s->db, why)) != OK)
		return result;
	if (schema_fits(s->db))
		return state_load(s, why);
	if (!anew)
		return DAMAGED;
	return rebuild(s, report, why);
}

static enum result replay_log(struct store *s, time_ms now, struct store_report *report,
                              struct why *why)
{
	struct blob_options o = {s->segment_size, s->reserve, (uint64_t)now << 16};
	struct blob_report damage = {0};
	struct replay r = {s, &damage, 0};
	struct blob_position from, at;
	enum result result;

	if ((result = position_load(s->db, &from)) != OK)
		return result;
	db_begin(s->db);
	result = blob_log_open(s->fs, &o, &from, replay_one, &r, &s->log, &report->log, why);
	if (result != OK)
		return result;
	at = blob_log_position(s->log);
	if (at.lsn < from.lsn)
		at = from;
	state_save(s, &at);
	if (report->log.damaged == 0 && damage.damaged)
		report->log.first_damage = damage.first_damage;
	report->log.damaged += damage.damaged;
	return db_commit(s->db, why);
}

static bool named(struct store *s, uint64_t number)
{
	struct db_query *q = db_query(s->db,
	                              "SELECT 1 FROM mail WHERE segment=0 AND offset=? LIMIT 1");
	bool found;

	db_bind(q, "u", number);
	found = db_next(q);
	db_end(q);
	return found;
}

/* Files of COMMITs that never became durable. While anything is damaged they are kept. */
static enum result remove_orphans(struct store *s, struct store_report *report, struct why *why)
{
	struct arena arena = {0};
	uint64_t *numbers;
	size_t count = 0;
	enum result result = blob_file_list(s->log, &arena, &numbers, &count, why);

	if (report->log.damaged || report->log.missing || report->image_damaged)
		count = 0;
	for (size_t i = 0; result == OK && i < count; i++) {
		if (named(s, numbers[i]))
			continue;
		result = blob_file_remove(s->log, numbers[i], why);
		report->orphans++;
	}
	arena_done(&arena);
	return result;
}

static void close_all(struct store *s)
{
	state_done(s);
	queue_done(s);
	incident_done(s);
	rhythms_done(s);
	bans_done(s);
	checks_done(s);
	sending_done(s);
	blob_log_free(&s->log);
	db_free(&s->db);
}

static enum result open_store(struct store *s, bool anew, time_ms now, struct store_report *report,
                              struct why *why)
{
	enum result result;

	if (!s->queue)
		s->queue = queue_new(s);
	result = open_index(s, anew, report, why);

	if (result == OK)
		result = replay_log(s, now, report, why);
	if (result == OK)
		result = remove_orphans(s, report, why);
	return result;
}

static uint64_t count_of(struct store *s, const char *sql)
{
	struct db_query *q = db_query(s->db, sql);
	uint64_t n;

	db_bind(q, "");
	n = db_next(q) ? db_u64(q, 0) : 0;
	db_end(q);
	return n;
}

static enum result open_readers(struct store *s, struct why *why)
{
	unsigned count = s->options.readers ? s->options.readers : 1;
	enum result result = OK;

	for (unsigned i = 0; result == OK && i < count && i < STORE_READERS; i++)
		result = db_open(s->fs, index_name, DB_READ, &s->readers[i].db, why);
	if (result == OK && s->ledger)
		result = db_open(s->fs, index_name, DB_READ, &s->ledger_reader.db, why);
	if (result == OK)
		result = learn_open(s, why);
	s->own.db = s->db;
	return result;
}

static struct store *store_new(struct file_system *fs, const struct store_options *o, time_ms now)
{
	struct store *s = NEW(struct store);

	s->fs = fs;
	s->options = *o;
	s->config = s->writer_config = o->config;
	s->segment_size = o->segment_size ? o->segment_size : o->config->store_segment_size;
	s->reserve = o->reserve ? o->reserve : o->config->store_reserve;
	if (s->reserve == UINT64_MAX)
		s->reserve = 0;
	s->opened = s->now = s->keys_pruned = now;
	s->queue = queue_new(s);
	pthread_mutex_init(&s->lock, NULL);
	job_list_init(&s->writes);
	job_list_init(&s->reads);
	job_list_init(&s->done);
	job_list_init(&s->traces);
	ledger_begin(s, o->ledger);
	learn_begin(s, o->learn);
	return s;
}

static bool index_condemned(struct file_system *fs)
{
	struct buf b = {0};
	bool is = file_read_all(fs, broken_name, 16, &b, NULL) == OK;

	buf_done(&b);
	return is;
}

/* Damaged, or its disk does not give it back: then it is made anew. */
static bool index_failed(const struct store *s, enum result result)
{
	return result == DAMAGED ||
	       (result == FAILED && (!s->db || db_failed(s->db, NULL) == FAILED));
}

enum result store_open(struct file_system *fs, const struct store_options *o, time_ms now,
                       struct store **ret, struct store_report *report, struct why *why)
{
	struct store *s = store_new(fs, o, now);
	bool condemned = index_condemned(fs);
	enum result result;

	*report = (struct store_report){0};
	result = open_store(s, condemned, now, report, why);
	if (result != OK && index_failed(s, result)) {
		close_all(s);
		result = open_store(s, true, now, report, why);
	}
	if (result == OK)
		result = open_readers(s, why);
	if (result == OK && condemned)
		result = file_remove(fs, broken_name, why);
	if (result != OK) {
		store_free(&s);
		return result;
	}
	report->accounts = s->accounts.count;
	report->mailboxes = s->mailboxes.count;
	incident_begin(s);
	bans_begin(s);
	checks_begin(s);
	queue_open(s);
	escrow_begin(s);
	for (unsigned state = 0; state < ENTRY_STATES; state++)
		report->entries += queue_count(s, state);
	report->mails = count_of(s, "SELECT COUNT(*) FROM mail INDEXED BY mail_segment");
	report->rebuilt = report->rebuilt && report->log.records + report->mails > 0;
	s->collect = count_of(s, "SELECT EXISTS(SELECT 1 FROM reference WHERE delta<0)");
	*ret = s;
	return OK;
}

static void drop_jobs(struct store *s, struct job_list *l)
{
	struct job *j;

	while ((j = job_take(l)))
		job_free(s, j);
}

void store_free(struct store **store)
{
	struct store *s = *store;
	struct map_entry *e;

	if (!s)
		return;
	settle_delivered(s);
	drop_jobs(s, &s->writes);
	drop_jobs(s, &s->reads);
	drop_jobs(s, &s->done);
	drop_jobs(s, &s->traces);
	ledger_free(s);
	learn_free(s);
	judgements_done(s);
	db_free(&s->ledger_reader.db);
	buf_done(&s->ledger_reader.buf);
	for (size_t at = 0; (e = map_each(&s->sessions, &at)); at = 0)
		session_end(s, e->value);
	map_done(&s->sessions);
	for (size_t i = 0; i < STORE_READERS; i++) {
		db_free(&s->readers[i].db);
		blob_reader_done(&s->readers[i].blob);
		buf_done(&s->readers[i].buf);
	}
	blob_reader_done(&s->own.blob);
	buf_done(&s->own.buf);
	blob_writer_done(&s->packer);
	close_all(s);
	buf_done(&s->encoded);
	buf_done(&s->dmarc.pending);
	buf_done(&s->files_gone);
	buf_done(&s->group_keys);
	buf_done(&s->event_list);
	buf_done(&s->upkeep.emptied);
	pthread_mutex_destroy(&s->lock);
	memory_free(s);
	*store = NULL;
}
