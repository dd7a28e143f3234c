/* How mail usually comes. What was taken is noted in memory; once a minute, and of one
 * key every ten minutes, it is written down (RHYTHM), and whoever is silent for longer
 * than ever before becomes an incident. A crash may cost the last minutes, which nobody misses. */
#include <stdio.h>

#include "store/alarm.h"
#include "store/life.h"
#include "watch/incident.h"
#include "watch/silence.h"

enum {
	HEARD_MAX = 50000, /* in memory: most of them came once and never again */
	ROWS_MAX = 20000,
	SPACING_MS = 10 * 60 * 1000, /* who writes often is written down so seldom */
	TICK_MOST = 500,             /* rows written in one tick */
	RAISE_MOST = 20,             /* incidents raised in one tick */
	FORGET_MOST = 200,
	GRACE_SILENCE_MS = 3600 *
	                   1000, /* after a start: what waited for us elsewhere comes first */
};

#define IDLE_MS (45LL * 24 * 3600 * 1000)
#define ALL_KEY BYTES("all")

/* Of one key. */
struct heard {
	time_ms at;
	time_ms written; /* 0: not since the start */
	bool pending;    /* came since it was written down */
	bool once;       /* has no row yet: it gets one when it comes again */
};

/* ---- rows ---- */

enum result rhythm_apply(struct store *s, const struct change_rhythm *c)
{
	struct db_query *q = db_query(s->db, "INSERT OR REPLACE INTO rhythm VALUES(?, ?, ?, ?)");

	db_bind(q, "bbii", c->key, c->record, c->last, c->due);
	db_execute(q);
	return OK;
}

enum result rhythm_gone_apply(struct store *s, const struct change_rhythm_gone *c)
{
	struct db_query *q = db_query(s->db, "DELETE FROM rhythm WHERE key=?");

	db_bind(q, "b", c->key);
	db_execute(q);
	return OK;
}

static bool load(struct store *s, struct bytes key, struct silence *ret)
{
	struct db_query *q = db_query(s->db, "SELECT record FROM rhythm WHERE key=?");
	bool found;

	db_bind(q, "b", key);
	found = db_next(q);
	if (found)
		silence_unpack(db_bytes(q, 0), ret);
	db_end(q);
	return found;
}

static void save(struct job *j, struct bytes key, const struct silence *r, time_ms due)
{
	struct buf record = {0};

	silence_pack(r, &record);
	job_change(j, CHANGE_RHYTHM)->rhythm = (struct change_rhythm){
	        .key = arena_copy(&j->arena, key),
	        .record = arena_copy(&j->arena, buf_bytes(&record)),
	        .last = r->last,
	        .due = due};
	buf_done(&record);
}

/* ---- what came ---- */

static void forget_heard(struct store *s)
{
	struct map_entry *e;

	for (size_t at = 0; (e = map_each(&s->rhythms, &at));)
		memory_free(e->value);
	map_done(&s->rhythms);
}

void rhythms_done(struct store *s)
{
	forget_heard(s);
}

static void hear(struct store *s, struct bytes key, time_ms at)
{
	struct heard *h = map_get(&s->rhythms, key);

	if (!h) {
		if (s->rhythms.count >= HEARD_MAX)
			forget_heard(s);
		h = NEW(struct heard);
		map_put(&s->rhythms, key, h);
	}
	h->at = at;
	h->pending = true;
}

void rhythm_note(struct store *s, const struct job *j, struct bytes sender, struct bytes rcpt)
{
	enum silence_kind kind;
	struct buf key = {0};

	if (s->writer_config->watch_silence && silence_key(sender, rcpt, &kind, &key)) {
		hear(s, buf_bytes(&key), j->now);
		hear(s, ALL_KEY, j->now);
	}
	buf_done(&key);
}

static void write_down(struct store *s, struct job *j, struct bytes key, struct heard *h)
{
	struct silence r = {0};

	h->pending = false;
	if (!load(s, key, &r) && !h->once && !bytes_equal(key, ALL_KEY)) {
		h->once = true;
		return;
	}
	h->once = false;
	h->written = j->now;
	silence_arrived(&r, h->at);
	save(j, key, &r, silence_due(&r, silence_kind_of(key)));
	(void)incident_close(s, j, INCIDENT_SILENCE, key);
}

static void forget_keys(struct store *s, struct bytes keys)
{
	struct wire w = wire_of(keys);

	while (!wire_end(&w))
		memory_free(map_remove(&s->rhythms, wire_block(&w)));
}

static void write_all_down(struct store *s, struct job *j)
{
	struct buf gone = {0};
	struct map_entry *e;
	size_t written = 0;

	for (size_t at = 0; written < TICK_MOST && (e = map_each(&s->rhythms, &at));) {
		struct heard *h = e->value;
		struct bytes key = bytes_of(e->key, e->key_len);
		bool lately = j->now - h->written < SPACING_MS;

		if (h->pending && !lately) {
			write_down(s, j, key, h);
			written++;
		} else if (!h->pending && !h->once && !lately) {
			buf_block(&gone, key);
		}
	}
	forget_keys(s, buf_bytes(&gone));
	buf_done(&gone);
}

/* Came, and the index does not know it yet: written down in this very job, or not at all. */
static bool is_fresh(const struct store *s, const struct job *j, struct bytes key)
{
	const struct heard *h = map_get(&s->rhythms, key);

	if (h && h->pending)
		return true;
	for (size_t i = 0; i < j->change_count; i++)
		if (j->changes[i].kind == CHANGE_RHYTHM &&
		    bytes_equal(j->changes[i].rhythm.key, key))
			return true;
	return false;
}

/* ---- what does not come ---- */

static void span(char out[32], int64_t minutes)
{
	if (minutes >= 2 * 24 * 60)
		snprintf(out, 32, "%lld d", (long long)(minutes / (24 * 60)));
	else if (minutes >= 120)
		snprintf(out, 32, "%lld h", (long long)(minutes / 60));
	else
		snprintf(out, 32, "%lld min", (long long)minutes);
}

static void put_who(struct buf *facts, struct bytes key)
{
	size_t blank = bytes_find_char(key, ' ');
	struct bytes who = blank == BYTES_NONE ? (struct bytes){0} : bytes_skip(key, blank + 1);
	size_t arrow = bytes_find(who, BYTES(" > "));

	incident_fact_put(facts, "what", bytes_first(key, blank));
	incident_fact_put(facts, "from", bytes_first(who, arrow));
	if (arrow != BYTES_NONE)
		incident_fact_put(facts, "to", bytes_skip(who, arrow + 3));
}

static void raise_silence(struct store *s, struct job *j, struct bytes key, const struct silence *r)
{
	char last[TIME_TEXT], usual[32], silent[32], seen[24];
	struct buf facts = {0};

	time_format_rfc3339(r->last, last);
	span(usual, silence_usual(r));
	span(silent, (j->now - r->last) / 60000);
	snprintf(seen, sizeof(seen), "%llu", (unsigned long long)r->count);
	put_who(&facts, key);
	incident_fact_put(&facts, "last", bytes_of_text(last));
	incident_fact_put(&facts, "usual", bytes_of_text(usual));
	incident_fact_put(&facts, "silent", bytes_of_text(silent));
	incident_fact_put(&facts, "seen", bytes_of_text(seen));
	incident_raise(s, j, INCIDENT_SILENCE, key, arena_copy(&j->arena, buf_bytes(&facts)), 1);
	buf_done(&facts);
}

struct overdue {
	struct bytes key;
	struct silence rhythm;
};

/* Told once: due 0 until it comes again. While everything is silent nobody is missed by name. */
static void miss(struct store *s, struct job *j)
{
	struct db_query *q = db_query(s->db, "SELECT key, record FROM rhythm WHERE due>0 AND due<?"
	                                     " ORDER BY key='all' DESC, due LIMIT ?");
	struct overdue *late = arena_get(&j->arena, RAISE_MOST * sizeof(*late));
	bool all = incident_open(s, INCIDENT_SILENCE, ALL_KEY) != 0;
	size_t count = 0;

	db_bind(q, "iu", j->now, (uint64_t)RAISE_MOST);
	while (count < RAISE_MOST && db_next(q)) {
		if (is_fresh(s, j, db_bytes(q, 0)))
			continue;
		late[count].key = arena_copy(&j->arena, db_bytes(q, 0));
		silence_unpack(db_bytes(q, 1), &late[count++].rhythm);
	}
	db_end(q);
	for (size_t i = 0; i < count && !all; i++) {
		all = bytes_equal(late[i].key, ALL_KEY);
		raise_silence(s, j, late[i].key, &late[i].rhythm);
		save(j, late[i].key, &late[i].rhythm, 0);
	}
}

/* Those without a rhythm that nobody heard of for long; when there are too many, those that were heard of longest ago. */
static void forget_idle(struct store *s, struct job *j)
{
	struct db_query *q = db_query(s->db, "SELECT COUNT(*) FROM rhythm");
	int64_t before = j->now - IDLE_MS;

	db_bind(q, "");
	if (db_next(q) && db_u64(q, 0) > ROWS_MAX)
		before = INT64_MAX;
	db_end(q);
	q = db_query(s->db, "SELECT key FROM rhythm WHERE due=0 AND last<? AND key<>? ORDER BY last"
	                    " LIMIT ?");
	db_bind(q, "ibu", before, ALL_KEY, (uint64_t)FORGET_MOST);
	while (db_next(q)) {
		struct bytes key = arena_copy(&j->arena, db_bytes(q, 0));

		if (!is_fresh(s, j, key))
			job_change(j, CHANGE_RHYTHM_GONE)->rhythm_gone.key = key;
	}
}

void rhythms_tick(struct store *s, struct job *j)
{
	write_all_down(s, j);
	if (j->now % (3600 * 1000) < 60000)
		forget_idle(s, j);
	if (s->writer_config->watch_silence && j->now - s->opened > GRACE_SILENCE_MS)
		miss(s, j);
}
