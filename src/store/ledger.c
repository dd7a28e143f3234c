/* The ledger: what happened, for people. Events wait in memory; the ledger's thread (store_ledger_step)
 * writes them into a SQLite file a day, data/ledger/2026-11-23.db, within a second.
 *
 *	event   a row an event
 *	seek    key, event: where a mail, address, Message-ID, network address or session occurs. A key is
 *	        the hash of a letter and the text, so one narrow index serves every question
 *
 * It has a file system of its own (store_options.ledger): its faults are not the index's. No answer waits
 * for it, nothing is decided from it, a crash may cost its last second, and what did not fit into memory
 * or onto the disk is counted (ADMIN_STATUS: ledger_dropped). */
#include "store/ledger.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"
#include "store/ban.h"

enum {
	PENDING_MAX = 8 * 1024 * 1024, /* octets that wait in memory */
	BATCH_OCTETS = 512 * 1024,     /* in one transaction, about */
	PATIENCE_MS = 500,             /* an event waits no longer for others */
	RECIPIENTS_MAX = 4096,         /* octets of one event */
	TEXT_MAX = 2048,
	FIELD_MAX = 1000,
	KEYS_MOST = 160, /* of one event */
	RETRY_MS = 10 * 1000,
	CHECKPOINT_PAGES = 4000,
};

#define DAY_MS (24LL * 3600 * 1000)

/* ---- events that wait ---- */

static void encode(struct buf *out, const struct ledger_event *e, time_ms now)
{
	size_t start = buf_len(out);
	uint32_t len;
	char *p;

	buf_u32(out, 0);
	buf_u16(out, (uint16_t)e->reason);
	buf_u64(out, e->mail);
	buf_u64(out, e->session);
	buf_u64(out, (uint64_t)(e->at ? e->at : now));
	buf_block(out, e->ip.len == sizeof(struct ip) ? e->ip : (struct bytes){0});
	buf_block(out, bytes_first(e->sender, FIELD_MAX));
	buf_block(out, bytes_first(e->rcpt, RECIPIENTS_MAX));
	buf_block(out, bytes_first(e->message_id, FIELD_MAX));
	buf_block(out, bytes_first(e->text, TEXT_MAX));
	buf_u64(out, e->judgement);
	buf_block(out, bytes_first(e->host, FIELD_MAX));
	buf_block(out, bytes_first(e->mark, FIELD_MAX));
	len = (uint32_t)(buf_len(out) - start - 4);
	p = out->ptr + out->start + start;
	for (int i = 0; i < 4; i++)
		p[i] = (char)(len >> (24 - 8 * i));
}

static bool decode(struct wire *all, struct ledger_event *ret)
{
	struct wire w;

	if (wire_end(all))
		return false;
	w = wire_of(wire_block(all));
	ret->reason = (enum ledger_reason)wire_u16(&w);
	ret->mail = wire_u64(&w);
	ret->session = wire_u64(&w);
	ret->at = (int64_t)wire_u64(&w);
	ret->ip = wire_block(&w);
	ret->sender = wire_block(&w);
	ret->rcpt = wire_block(&w);
	ret->message_id = wire_block(&w);
	ret->text = wire_block(&w);
	ret->judgement = wire_u64(&w);
	ret->host = wire_block(&w);
	ret->mark = wire_block(&w);
	return !w.bad && !all->bad;
}

void ledger_note(struct job *j, const struct ledger_event *e)
{
	encode(&j->notes, e, j->now);
}

/* Locked. */
static void put_encoded(struct store *s, struct bytes events, size_t count)
{
	struct ledger *l = s->ledger;

	if (!l || events.len == 0)
		return;
	if (buf_len(&l->pending) + events.len > PENDING_MAX) {
		l->dropped += count;
		return;
	}
	if (buf_len(&l->pending) == 0)
		l->since = s->now;
	buf_append(&l->pending, events);
	l->waiting += count;
}

void ledger_put(struct store *s, const struct ledger_event *e)
{
	struct buf one = {0};

	encode(&one, e, s->now);
	put_encoded(s, buf_bytes(&one), 1);
	buf_done(&one);
}

void ledger_publish(struct store *s, struct job *j)
{
	struct wire w = wire_of(buf_bytes(&j->notes));
	size_t count = 0;

	for (; !wire_end(&w); count++)
		wire_block(&w);
	put_encoded(s, buf_bytes(&j->notes), count);
}

enum result run_ledger(struct store *s, struct job *j, struct why *why)
{
	const struct ask_ledger *a = &j->ask.ledger;

	/* What became of a mail is told by the store alone: what a front says is about its sessions. */
	if (a->reason < LEDGER_SENDER_REFUSED ||
	    (a->reason >= LEDGER_ESCROWED && a->reason <= LEDGER_JUDGED_DEFERRED))
		return why_set(why, DENIED, "this is not for that process to say");
	if (a->reason == LEDGER_LOGIN_FAILED)
		bans_login_failed(s, a->ip);
	ledger_put(s, &(struct ledger_event){.reason = (enum ledger_reason)a->reason,
	                                     .mail = a->mail,
	                                     .session = j->ask.session,
	                                     .ip = a->ip,
	                                     .sender = a->sender,
	                                     .rcpt = a->rcpt,
	                                     .text = a->text});
	return OK;
}

/* Locked. */
void ledger_status(struct store *s, struct json_t *ret)
{
	const struct ledger *l = s->ledger;

	if (!l)
		return;
	json_object_set_new(ret, "ledger_written", json_integer((json_int_t)l->written));
	json_object_set_new(ret, "ledger_dropped", json_integer((json_int_t)l->dropped));
	if (l->damaged)
		json_object_set_new(ret, "ledger_damaged", json_integer((json_int_t)l->damaged));
	if (l->dropped && l->failure.text[0])
		json_object_set_new(ret, "ledger_why", admin_text(bytes_of_text(l->failure.text)));
}

/* ---- keys ---- */

/* FNV-1a, then mixed: the files are ours alone, and a collision that somebody made on purpose only shows
 * one mail more. Text is folded; a number's octets are not: 0x46 and 0x66 are no letters there. */
uint64_t ledger_key(enum ledger_by what, struct bytes text)
{
	bool fold = what == LEDGER_BY_ADDRESS || what == LEDGER_BY_MESSAGE_ID ||
	            what == LEDGER_BY_HOST;
	uint64_t h = 0xcbf29ce484222325u ^ (uint8_t)what;

	h *= 0x100000001b3u;
	for (size_t i = 0; i < text.len; i++) {
		h ^= (uint8_t)(fold ? text_lower_char(text.ptr[i]) : text.ptr[i]);
		h *= 0x100000001b3u;
	}
	h ^= h >> 32;
	h *= 0xd6e8feb86659fd93u;
	h ^= h >> 32;
	return h >> 1; /* SQLite's integers are signed */
}

uint64_t ledger_key_u64(enum ledger_by what, uint64_t number)
{
	return ledger_key(what, bytes_of(&number, sizeof(number)));
}

struct pair {
	uint64_t key, event;
};

struct pairs {
	struct pair *list;
	size_t count, size;
};

static void pair_add(struct pairs *p, uint64_t key, uint64_t event)
{
	if (p->count == p->size) {
		p->size = p->size ? p->size * 2 : 1024;
		p->list = memory_resize(p->list, p->size * sizeof(*p->list));
	}
	p->list[p->count++] = (struct pair){key, event};
}

static void keys_of(struct pairs *p, const struct ledger_event *e, uint64_t id)
{
	struct bytes rest = e->rcpt, hosts, one;
	size_t most = p->count + KEYS_MOST;

	if (e->mail)
		pair_add(p, ledger_key_u64(LEDGER_BY_MAIL, e->mail), id);
	if (e->session)
		pair_add(p, ledger_key_u64(LEDGER_BY_SESSION, e->session), id);
	if (e->judgement)
		pair_add(p, ledger_key_u64(LEDGER_BY_JUDGEMENT, e->judgement), id);
	if (e->mark.len)
		pair_add(p, ledger_key(LEDGER_BY_MARK, e->mark), id);
	if (e->ip.len)
		pair_add(p, ledger_key(LEDGER_BY_IP, e->ip), id);
	if (e->sender.len)
		pair_add(p, ledger_key(LEDGER_BY_ADDRESS, e->sender), id);
	if (e->message_id.len)
		pair_add(p, ledger_key(LEDGER_BY_MESSAGE_ID, e->message_id), id);
	for (hosts = e->host; p->count < most && bytes_cut(&hosts, ' ', &one);) {
		if (one.len)
			pair_add(p, ledger_key(LEDGER_BY_HOST, one), id);
	}
	while (p->count < most && bytes_cut(&rest, ' ', &one)) {
		if (one.len)
			pair_add(p, ledger_key(LEDGER_BY_ADDRESS, one), id);
	}
}

static int by_key(const void *a, const void *b)
{
	const struct pair *x = a, *y = b;

	if (x->key != y->key)
		return x->key < y->key ? -1 : 1;
	return x->event < y->event ? -1 : x->event > y->event;
}

/* ---- a day's file ---- */

static const char schema[] =
        "CREATE TABLE IF NOT EXISTS event(id INTEGER PRIMARY KEY, at, reason, mail, session,"
        " ip BLOB, sender BLOB, rcpt BLOB, message_id BLOB, text BLOB);"
        "CREATE TABLE IF NOT EXISTS seek(key INTEGER, event INTEGER, PRIMARY KEY(key, event))"
        " WITHOUT ROWID;";

void ledger_name(int64_t day, char out[LEDGER_NAME])
{
	struct time_civil c = time_to_civil(day * DAY_MS, 0);

	snprintf(out, LEDGER_NAME, "ledger/%04d-%02d-%02d.db", c.year, c.month, c.day);
}

enum result ledger_open(struct ledger *l, const char *name, struct db **ret, struct why *why)
{
	enum result result = db_open(l->fs, name, DB_WRITE, ret, why);

	if (result == OK && (result = db_run(*ret, schema, why)) != OK)
		db_free(ret);
	return result;
}

static uint64_t last_event(struct db *db)
{
	struct db_query *q = db_query(db, "SELECT MAX(id) FROM event");
	uint64_t id;

	db_bind(q, "");
	id = db_next(q) ? db_u64(q, 0) : 0;
	db_end(q);
	return id;
}

/* A damaged file is put aside (2026-11-23.damaged, for sqlite3's .recover), and the day goes on in a new one. */
static enum result put_aside(struct ledger *l, int64_t day, struct why *why)
{
	char name[LEDGER_NAME], aside[LEDGER_NAME + 8];
	enum result result;

	db_free(&l->today);
	l->damaged++;
	ledger_name(day, name);
	snprintf(aside, sizeof(aside), "%.*s.damaged", (int)(strlen(name) - 3), name);
	result = file_rename(l->fs, name, aside, why);
	return result == OK || result == NOT_FOUND ? db_remove(l->fs, name, why) : result;
}

static enum result open_day(struct ledger *l, int64_t day, struct why *why)
{
	char name[LEDGER_NAME];
	enum result result;

	if (l->today && l->day == day)
		return OK;
	db_free(&l->today);
	ledger_name(day, name);
	result = file_make_directory(l->fs, "ledger", why);
	if (result != OK && result != EXISTS)
		return result;
	result = ledger_open(l, name, &l->today, why);
	if (result == DAMAGED && (result = put_aside(l, day, why)) == OK)
		result = ledger_open(l, name, &l->today, why);
	if (result != OK)
		return result;
	l->day = day;
	l->next_event = last_event(l->today) + 1;
	l->prune = true;
	return OK;
}

/* ---- writing ---- */

static void insert_event(struct db *db, uint64_t id, const struct ledger_event *e)
{
	struct db_query *q = db_query(db, "INSERT INTO event VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");

	db_bind(q, "uiuuubbbbb", id, e->at, (uint64_t)e->reason, e->mail & INT64_MAX,
	        e->session & INT64_MAX, e->ip, e->sender, e->rcpt, e->message_id, e->text);
	db_execute(q);
}

static void insert_pairs(struct db *db, struct pairs *p)
{
	struct db_query *q = db_query(db, "INSERT OR IGNORE INTO seek VALUES(?, ?)");

	if (p->count)
		qsort(p->list, p->count, sizeof(*p->list), by_key);
	for (size_t i = 0; i < p->count; i++) {
		if (i && by_key(&p->list[i], &p->list[i - 1]) == 0)
			continue;
		db_bind(q, "uu", p->list[i].key, p->list[i].event);
		db_execute(q);
	}
}

/* Events of this day, from w's beginning; what belongs to another day is left in w. */
static enum result write_events(struct ledger *l, int64_t day, struct wire *w, uint64_t *ret_count,
                                struct why *why)
{
	struct ledger_event e;
	struct wire ahead = *w;
	struct pairs pairs = {0};
	uint64_t count = 0;
	enum result result;

	db_begin(l->today);
	for (; decode(&ahead, &e) && e.at / DAY_MS == day; *w = ahead) {
		insert_event(l->today, l->next_event, &e);
		keys_of(&pairs, &e, l->next_event++);
		count++;
	}
	insert_pairs(l->today, &pairs);
	memory_free(pairs.list);
	if ((result = db_commit(l->today, why)) != OK) {
		db_rollback(l->today);
		return result;
	}
	*ret_count += count;
	if (db_wal_pages(l->today) <= CHECKPOINT_PAGES)
		return OK;
	result = db_checkpoint(l->today, why);
	return result == UNAVAILABLE ? OK : result;
}

static enum result write_day(struct ledger *l, struct wire *w, uint64_t *ret_count, struct why *why)
{
	struct wire from = *w, ahead = *w;
	struct ledger_event e;
	enum result result;

	if (!decode(&ahead, &e))
		return INVALID;
	for (int tries = 0; tries < 2; tries++) {
		*w = from;
		if ((result = open_day(l, e.at / DAY_MS, why)) == OK)
			result = write_events(l, e.at / DAY_MS, w, ret_count, why);
		if (result != DAMAGED || put_aside(l, e.at / DAY_MS, why) != OK)
			break;
	}
	return result;
}

/* Not locked: the batch is the thread's own. */
static void write_batch(struct store *s, struct ledger *l, struct bytes batch, size_t count)
{
	struct wire w = wire_of(batch);
	uint64_t written = 0;
	struct why why = {0};
	enum result result = OK;

	while (result == OK && !wire_end(&w))
		result = write_day(l, &w, &written, &why);
	if (result != OK)
		db_free(&l->today);
	store_hold(s);
	l->written += written;
	if (result != OK) {
		l->dropped += count - written;
		l->failure = why;
		l->not_before = s->now + RETRY_MS;
	}
	store_let(s);
}

/* ---- keeping it small ---- */

static bool is_day_file(const char *name)
{
	return strlen(name) == strlen("2026-11-23.db") &&
	       bytes_ends(bytes_of_text(name), BYTES(".db"));
}

static uint64_t size_of(struct ledger *l, const char *name)
{
	struct file *f;
	uint64_t size = 0;

	if (file_open(l->fs, name, 0, &f, NULL) != OK)
		return 0;
	if (file_size(f, &size, NULL) != OK)
		size = 0;
	file_close(&f);
	return size;
}

size_t ledger_days(struct ledger *l, struct arena *arena, const char ***ret_names)
{
	const char **names = NULL, **days;
	size_t count = 0, found = 0;

	if (file_list(l->fs, "ledger", arena, &names, &count, NULL) != OK)
		count = 0;
	days = arena_get(arena, (count + 1) * sizeof(*days));
	for (size_t i = 0; i < count; i++) {
		if (is_day_file(names[i]))
			days[found++] = arena_text(arena,
			                           arena_printf(arena, "ledger/%s", names[i]));
	}
	*ret_names = days;
	return found;
}

/* Days beyond age or size go, the oldest first; today's stays. */
static void prune(struct ledger *l, int64_t keep_ms, uint64_t keep_octets, time_ms now)
{
	struct arena arena = {0};
	const char **names;
	size_t count = ledger_days(l, &arena, &names);
	char oldest[LEDGER_NAME], today[LEDGER_NAME];
	uint64_t octets = 0;

	ledger_name((now - keep_ms) / DAY_MS, oldest);
	ledger_name(l->day, today);
	while (count-- > 0) {
		enum result result = OK;

		octets += size_of(l, names[count]);
		if (strcmp(names[count], today) < 0 &&
		    (octets > keep_octets || strcmp(names[count], oldest) < 0))
			result = db_remove(l->fs, names[count], NULL);
		(void)result; /* it is tried again tomorrow */
	}
	arena_done(&arena);
}

/* ---- the ledger's thread ---- */

/* Locked. */
static bool has_batch(const struct store *s, const struct ledger *l)
{
	return buf_len(&l->pending) > 0 && s->now >= l->not_before &&
	       (buf_len(&l->pending) >= BATCH_OCTETS || s->now - l->since >= PATIENCE_MS ||
	        s->now < l->since);
}

bool store_ledger_waits(struct store *s)
{
	struct ledger *l = s->ledger;
	bool waits;

	if (!l)
		return false;
	store_hold(s);
	waits = has_batch(s, l) || (s->traces.count > 0 && !s->failed);
	store_let(s);
	return waits;
}

static bool take_batch(struct store *s, struct ledger *l, size_t *ret_count)
{
	struct buf swap;

	if (!has_batch(s, l))
		return false;
	swap = l->pending;
	l->pending = l->writing;
	l->writing = swap;
	*ret_count = l->waiting;
	l->waiting = 0;
	return true;
}

static void write_pending(struct store *s, struct ledger *l)
{
	size_t count = 0;
	int64_t keep_ms = 0;
	uint64_t keep_octets = 0;
	time_ms now;
	bool any;

	store_hold(s);
	any = take_batch(s, l, &count);
	keep_ms = s->config->ledger_keep_ms;
	keep_octets = s->config->ledger_size;
	now = s->now;
	store_let(s);
	if (!any)
		return;
	write_batch(s, l, buf_bytes(&l->writing), count);
	buf_clear(&l->writing);
	if (l->prune && l->today) {
		prune(l, keep_ms, keep_octets, now);
		l->prune = false;
	}
}

bool store_ledger_step(struct store *s)
{
	struct ledger *l = s->ledger;

	if (!l)
		return false;
	write_pending(s, l);
	trace_step(s, l);
	return store_ledger_waits(s);
}

/* ---- beginning and end ---- */

void ledger_begin(struct store *s, struct file_system *fs)
{
	if (!fs)
		return;
	s->ledger = NEW(struct ledger);
	s->ledger->fs = fs;
}

void ledger_free(struct store *s)
{
	struct ledger *l = s->ledger;

	if (!l)
		return;
	if (buf_len(&l->pending))
		write_batch(s, l, buf_bytes(&l->pending), l->waiting);
	db_free(&l->today);
	buf_done(&l->pending);
	buf_done(&l->writing);
	memory_free(l);
	s->ledger = NULL;
}
