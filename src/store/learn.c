/* Learning: lessons wait in memory until the learning thread (store_learn_step) writes them into data/learn.db, within a second.
 * The same thread answers HISTORY. No other answer waits for it; a crash may cost its last second; what did not fit into memory
 * or onto the disk is counted (ADMIN_STATUS: learn_dropped). A damaged file is put aside, and learning begins anew: mail is
 * judged with less memory, and goes on. */
#include "store/learn.h"

#include <jansson.h>

#include "base/text.h"
#include "policy/evidence.h"

enum {
	PENDING_MAX = 8 * 1024 * 1024, /* octets that wait in memory */
	BATCH_OCTETS = 256 * 1024,     /* in one transaction, about */
	PATIENCE_MS = 300,
	RETRY_MS = 10 * 1000,
	CHECKPOINT_PAGES = 4000,
	PRUNE_EVERY_MS = 60 * 1000,
	PRUNE_ROWS = 2000, /* at once */
	SLICES = 1024,
	ONCE_DAYS = 120, /* a word that was seen once */
	KEPT_DAYS = 400, /* of anything else that was not seen again */
	TOKENS_OCTETS = 8 * 1000,
};

#define DAY_MS (24LL * 3600 * 1000)

static const char file_name[] = "learn.db";

static const char schema[] =
        "CREATE TABLE IF NOT EXISTS total(id INTEGER PRIMARY KEY, bad, good);"
        "INSERT OR IGNORE INTO total VALUES(1, 0, 0);"
        "CREATE TABLE IF NOT EXISTS token(token INTEGER PRIMARY KEY, bad, good, day);"
        "CREATE TABLE IF NOT EXISTS reputation(key INTEGER PRIMARY KEY, good, bad, first, last);"
        "CREATE TABLE IF NOT EXISTS way(key INTEGER PRIMARY KEY, good, first, last);"
        "CREATE TABLE IF NOT EXISTS judged(judgement INTEGER PRIMARY KEY, at, action, known, "
        "state, ip BLOB,"
        " sender BLOB, domain BLOB, tokens BLOB);"
        "CREATE INDEX IF NOT EXISTS judged_at ON judged(at);"
        "CREATE TABLE IF NOT EXISTS mail(mail INTEGER PRIMARY KEY, judgement);"
        "CREATE TABLE IF NOT EXISTS sent(key INTEGER PRIMARY KEY, at);"
        "CREATE TABLE IF NOT EXISTS written(key INTEGER PRIMARY KEY, at);";

/* ---- keys ---- */

static uint64_t mix(uint64_t h, struct bytes text)
{
	for (size_t i = 0; i < text.len; i++) {
		h ^= (uint8_t)text_lower_char(text.ptr[i]);
		h *= 0x100000001b3u;
	}
	return h;
}

static uint64_t finish(uint64_t h)
{
	h ^= h >> 32;
	h *= 0xd6e8feb86659fd93u;
	h ^= h >> 32;
	return h >> 1; /* SQLite's integers are signed */
}

uint64_t learn_key(char what, struct bytes text)
{
	return finish(mix(mix(0xcbf29ce484222325u, bytes_of(&what, 1)), text));
}

uint64_t learn_way_key(struct bytes from, struct bytes domain, struct bytes network)
{
	uint64_t h = mix(mix(0xcbf29ce484222325u, BYTES("w")), from);

	h = mix(h, domain.len ? BYTES("\001") : BYTES("\002"));
	return finish(mix(h, domain.len ? domain : network));
}

struct ip learn_network(struct bytes octets)
{
	struct ip ip = {{0}};
	size_t keep;

	if (octets.len == sizeof(ip))
		memcpy(&ip, octets.ptr, sizeof(ip));
	keep = ip_is_v4(&ip) ? 15 : 6;
	memset(ip.octets + keep, 0, sizeof(ip.octets) - keep);
	return ip;
}

/* ---- lessons that wait ---- */

static void lesson_begin(struct buf *out, enum lesson_kind kind, time_ms now)
{
	buf_u8(out, (uint8_t)kind);
	buf_u64(out, (uint64_t)now);
}

/* Locked. */
static void put_lessons(struct store *s, struct bytes lessons, size_t count)
{
	struct learn *l = s->learn;

	if (!l || lessons.len == 0)
		return;
	if (buf_len(&l->pending) + lessons.len > PENDING_MAX) {
		l->dropped += count;
		return;
	}
	if (buf_len(&l->pending) == 0)
		l->since = s->now;
	buf_append(&l->pending, lessons);
	l->waiting += count;
}

static void lesson_end(struct buf *lessons, struct buf *one)
{
	buf_block(lessons, buf_bytes(one));
	buf_done(one);
}

void learn_judged(struct store *s, const struct ask_judged *a, unsigned action, uint64_t judgement)
{
	struct buf one = {0}, block = {0};

	if (!s->learn || a->stage != 1)
		return;
	lesson_begin(&one, LESSON_JUDGED, s->now);
	buf_u64(&one, judgement);
	buf_u8(&one, (uint8_t)action);
	buf_u32(&one, a->known);
	buf_block(&one, a->ip);
	buf_block(&one, bytes_first(a->from, LIMIT_ADDRESS));
	buf_block(&one, bytes_first(a->domain, LIMIT_DOMAIN));
	buf_block(&one, bytes_first(a->tokens, TOKENS_OCTETS));
	lesson_end(&block, &one);
	put_lessons(s, buf_bytes(&block), 1);
	buf_done(&block);
}

/* ---- what a job teaches ---- */

static void teach_commit(struct job *j)
{
	const struct ask_commit *a = &j->ask.commit;
	struct buf one = {0};

	for (size_t i = 0; a->judgement && i < j->change_count; i++) {
		if (j->changes[i].kind != CHANGE_MAIL)
			continue;
		lesson_begin(&one, LESSON_TAKEN, j->now);
		buf_u64(&one, j->changes[i].mail.id);
		buf_u64(&one, a->judgement);
		lesson_end(&j->lessons, &one);
		break;
	}
	if (j->owner == 0)
		return;
	lesson_begin(&one, LESSON_SENT, j->now);
	buf_block(&one, a->message_id);
	buf_block(&one, a->recipients);
	lesson_end(&j->lessons, &one);
}

/* Moved (or copied: clients without MOVE delete afterwards) into the Junk folder, or out of it to somewhere that is not the bin. */
static void teach_move(struct store *s, struct job *j)
{
	const struct mailbox *from = asked_mailbox(s, j, j->ask.copy.mailbox);
	const struct mailbox *to = mailbox_by_name(j->account, j->ask.copy.name);
	bool into, out_of;
	struct buf one = {0};

	if (!from || !to || from == to)
		return;
	into = to->next.attributes & MAILBOX_JUNK;
	out_of = from->next.attributes & MAILBOX_JUNK && !(to->next.attributes & MAILBOX_TRASH);
	for (size_t i = 0; (into || out_of) && i < j->change_count; i++) {
		const struct change *c = &j->changes[i];
		struct wire w = wire_of(c->kind == CHANGE_PLACES ? c->places.rows
		                                                 : (struct bytes){0});

		while (!wire_end(&w)) {
			uint64_t mail = wire_u64(&w);

			wire_u64(&w);
			wire_u64(&w);
			if (w.bad)
				break;
			lesson_begin(&one, into ? LESSON_JUNK : LESSON_GOOD, j->now);
			buf_u64(&one, mail);
			lesson_end(&j->lessons, &one);
		}
	}
}

/* An operator let a mail out of escrow: somebody looked, and found it good. */
static void teach_release(struct job *j)
{
	struct buf one = {0};

	for (size_t i = 0; i < j->change_count; i++) {
		const struct change *c = &j->changes[i];

		if (c->kind != CHANGE_ESCROW || c->escrow.released_at != j->now)
			continue;
		lesson_begin(&one, LESSON_GOOD, j->now);
		buf_u64(&one, c->escrow.mail);
		lesson_end(&j->lessons, &one);
	}
}

void learn_note_job(struct store *s, struct job *j)
{
	if (!s->learn)
		return;
	if (j->ask.kind == ASK_COMMIT)
		teach_commit(j);
	else if (j->ask.kind == ASK_ADMIN)
		teach_release(j);
	else if (j->ask.kind == ASK_COPY)
		teach_move(s, j);
}

void learn_publish(struct store *s, struct job *j)
{
	struct wire w = wire_of(buf_bytes(&j->lessons));
	size_t count = 0;

	for (; !wire_end(&w); count++)
		wire_block(&w);
	put_lessons(s, buf_bytes(&j->lessons), count);
}

void learn_status(struct store *s, struct json_t *ret)
{
	const struct learn *l = s->learn;

	if (!l)
		return;
	json_object_set_new(ret, "learnt_junk", json_integer((json_int_t)l->junk));
	json_object_set_new(ret, "learnt_other", json_integer((json_int_t)l->other));
	if (!l->dropped && !l->damaged)
		return;
	json_object_set_new(ret, "learn_dropped", json_integer((json_int_t)l->dropped));
	json_object_set_new(ret, "learn_damaged", json_integer((json_int_t)l->damaged));
	if (l->failure.text[0])
		json_object_set_new(ret, "learn_why", admin_text(bytes_of_text(l->failure.text)));
}

/* ---- the file ---- */

static enum result put_aside(struct learn *l, struct why *why)
{
	enum result result;

	db_free(&l->db);
	l->damaged++;
	result = file_rename(l->fs, file_name, "learn.damaged", why);
	return result == OK || result == NOT_FOUND ? db_remove(l->fs, file_name, why) : result;
}

static enum result open_file(struct learn *l, struct why *why)
{
	enum result result = OK;

	for (int tries = 0; !l->db && tries < 2; tries++) {
		result = db_open(l->fs, file_name, DB_WRITE, &l->db, why);
		if (result == OK && (result = db_run(l->db, schema, why)) != OK)
			db_free(&l->db);
		if (result != DAMAGED || put_aside(l, why) != OK)
			break;
	}
	return result;
}

static enum result write_lessons(struct learn *l, struct bytes lessons, const struct config *c,
                                 struct why *why)
{
	struct wire w = wire_of(lessons);
	enum result result = open_file(l, why);

	if (result != OK)
		return result;
	db_begin(l->db);
	while (!wire_end(&w)) {
		struct wire one = wire_of(wire_block(&w));

		lesson_apply(l->db, &one, c);
	}
	if ((result = db_commit(l->db, why)) != OK) {
		db_rollback(l->db);
		return result;
	}
	if (db_wal_pages(l->db) <= CHECKPOINT_PAGES)
		return OK;
	result = db_checkpoint(l->db, why);
	return result == UNAVAILABLE ? OK : result;
}

/* ---- keeping it small ---- */

static uint64_t number_of(struct db *db, const char *sql)
{
	struct db_query *q = db_query(db, sql);
	uint64_t n;

	db_bind(q, "");
	n = db_next(q) ? db_u64(q, 0) : 0;
	db_end(q);
	return n;
}

static uint64_t octets_used(struct db *db)
{
	return (number_of(db, "PRAGMA page_count") - number_of(db, "PRAGMA freelist_count")) *
	       number_of(db, "PRAGMA page_size");
}

static void forget_judged(struct db *db, int64_t before)
{
	struct db_query *q = db_query(
	        db, "DELETE FROM judged WHERE judgement IN"
	            " (SELECT judgement FROM judged WHERE at<? ORDER BY at LIMIT ?)");

	db_bind(q, "iu", before, (uint64_t)PRUNE_ROWS);
	db_execute(q);
}

/* Numbers of mails and of judgements both grow with time: the oldest rows come first. */
static void forget_mails(struct db *db)
{
	struct db_query *q = db_query(
	        db, "DELETE FROM mail WHERE judgement<(SELECT MIN(judgement) FROM judged)"
	            " AND mail IN (SELECT mail FROM mail ORDER BY mail LIMIT ?)");

	db_bind(q, "u", (uint64_t)PRUNE_ROWS);
	db_execute(q);
}

/* The keys are hashes, spread evenly: one slice of each table a time, all of it in SLICES times. */
static void forget_slice(struct learn *l, time_ms now)
{
	static const char *const tables[] = {
	        "DELETE FROM token WHERE token>=? AND token<? AND bad+good<2 AND day*86400000<?",
	        "DELETE FROM sent WHERE key>=? AND key<? AND at<?",
	        "DELETE FROM way WHERE key>=? AND key<? AND last<?",
	        "DELETE FROM reputation WHERE key>=? AND key<? AND last<?",
	};
	uint64_t width = (uint64_t)INT64_MAX / SLICES + 1, from = l->slice * width;
	uint64_t to = l->slice + 1 == SLICES ? INT64_MAX : from + width;

	for (size_t i = 0; i < sizeof(tables) / sizeof(*tables); i++) {
		struct db_query *q = db_query(l->db, tables[i]);

		db_bind(q, "uui", from, to, now - (i == 0 ? ONCE_DAYS : KEPT_DAYS) * DAY_MS);
		db_execute(q);
	}
	l->slice = (l->slice + 1) % SLICES;
}

/* A little of it each minute, so that no HISTORY waits for long. */
static void prune(struct learn *l, int64_t keep_ms, uint64_t size, time_ms now)
{
	db_begin(l->db);
	forget_judged(l->db, now - keep_ms);
	if (octets_used(l->db) > size)
		forget_judged(l->db, INT64_MAX);
	forget_mails(l->db);
	forget_slice(l, now);
	if (db_commit(l->db, NULL) != OK)
		db_rollback(l->db);
	l->pruned = now;
}

/* ---- the thread ---- */

/* Locked. */
static bool has_batch(const struct store *s, const struct learn *l)
{
	return buf_len(&l->pending) > 0 && s->now >= l->not_before &&
	       (buf_len(&l->pending) >= BATCH_OCTETS || s->now - l->since >= PATIENCE_MS ||
	        s->now < l->since);
}

bool store_learn_waits(struct store *s)
{
	struct learn *l = s->learn;
	bool waits;

	if (!l)
		return false;
	store_hold(s);
	waits = !s->failed && (has_batch(s, l) || l->histories.count > 0);
	store_let(s);
	return waits;
}

/* For ADMIN_STATUS. */
static void count_learnt(struct store *s, struct learn *l)
{
	uint64_t junk = number_of(l->db, "SELECT bad FROM total");
	uint64_t other = number_of(l->db, "SELECT good FROM total");

	store_hold(s);
	l->junk = junk;
	l->other = other;
	store_let(s);
}

static void write_pending(struct store *s, struct learn *l)
{
	struct buf swap;
	struct why why = {0};
	struct config now_config;
	size_t count;
	time_ms now;
	enum result result;

	store_hold(s);
	if (!has_batch(s, l)) {
		store_let(s);
		return;
	}
	swap = l->pending;
	l->pending = l->writing;
	l->writing = swap;
	count = l->waiting;
	l->waiting = 0;
	now_config = *s->config; /* plain values alone are looked at: the rest is not ours */
	now = s->now;
	store_let(s);
	result = write_lessons(l, buf_bytes(&l->writing), &now_config, &why);
	if (result == DAMAGED && put_aside(l, &why) == OK)
		result = write_lessons(l, buf_bytes(&l->writing), &now_config, &why);
	if (result == OK && now - l->pruned >= PRUNE_EVERY_MS)
		prune(l, now_config.judge_learn_keep_ms, now_config.judge_learn_size, now);
	buf_clear(&l->writing);
	if (result == OK) {
		count_learnt(s, l);
		return;
	}
	db_free(&l->db);
	store_hold(s);
	l->dropped += count;
	l->failure = why;
	l->not_before = s->now + RETRY_MS;
	store_let(s);
}

static bool answer_one(struct store *s, struct learn *l)
{
	struct why why = {0};
	enum result result;
	struct job *j;

	store_hold(s);
	j = s->failed ? NULL : job_take(&l->histories);
	store_let(s);
	if (!j)
		return false;
	j->reader = &l->reader;
	j->later = false;
	if (!l->db && open_file(l, &why) == OK) {
		count_learnt(s, l);
	} else if (!l->db) {
		store_hold(s);
		l->failure = why;
		store_let(s);
	}
	result = j->run(s, j, &why);
	if (db_failed(j->reader->db, NULL) != OK) {
		db_rollback(j->reader->db);
		result = UNAVAILABLE;
	}
	if (l->db && db_failed(l->db, NULL) != OK)
		db_free(&l->db);
	store_hold(s);
	job_finish(s, j, result, &why);
	job_put(&s->done, j);
	store_let(s);
	return true;
}

bool store_learn_step(struct store *s)
{
	struct learn *l = s->learn;

	if (!l)
		return false;
	while (answer_one(s, l))
		;
	write_pending(s, l);
	return store_learn_waits(s);
}

/* ---- HISTORY ---- */

enum result run_history(struct store *s, struct job *j, struct why *why)
{
	(void)why;
	j->later = true;
	j->run = run_history_learnt;
	job_put(s->learn ? &s->learn->histories : &s->reads, j);
	return OK;
}

/* ---- beginning and end ---- */

void learn_begin(struct store *s, struct file_system *fs)
{
	if (!fs)
		return;
	s->learn = NEW(struct learn);
	s->learn->fs = fs;
	job_list_init(&s->learn->histories);
}

enum result learn_open(struct store *s, struct why *why)
{
	if (!s->learn)
		return OK;
	return db_open(s->fs, "index.db", DB_READ, &s->learn->reader.db, why);
}

void learn_free(struct store *s)
{
	struct learn *l = s->learn;
	struct why why;
	struct job *j;

	if (!l)
		return;
	if (buf_len(&l->pending) && s->config) {
		enum result result = write_lessons(l, buf_bytes(&l->pending), s->config, &why);
		(void)result; /* there is nobody to tell */
	}
	while ((j = job_take(&l->histories)))
		job_free(s, j);
	db_free(&l->db);
	db_free(&l->reader.db);
	buf_done(&l->reader.buf);
	buf_done(&l->pending);
	buf_done(&l->writing);
	memory_free(l);
	s->learn = NULL;
}
