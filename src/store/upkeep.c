/* What nobody asks for: garbage, checkpoints, images, the sweep. Run by the writer between groups,
 * as jobs like others, so that every change of it is a record, too.
 *
 * The sweep copies the live mails of mostly dead segments into the current one. A segment in which
 * nothing lives any more is deleted when an image beyond the copies is there (so rebuilding needs
 * neither it nor older records), and after a checkpoint of the index (so that no crash brings
 * back an
 * index that points into it). */
#include "store/escrow.h"

enum {
	CHECKPOINT_PAGES = 4000, /* 16 MiB: a long queue touches many pages, each often */
	KEYS_EVERY_MS = 3600 * 1000,
	COLLECT_WAIT_MS = 1000,
	SMALL_SEGMENTS = 8, /* so many small ones are gathered into one */
	DEAD_ABOVE = 70,    /* percent */
};

#define IMAGE_EVERY ((uint64_t)256 * 1024 * 1024)

/* ---- garbage ---- */

/* Mails that nothing refers to go; for others the deviation is folded into their row. */
static enum result run_collect(struct store *s, struct job *j, struct why *why)
{
	struct db_query *q = db_query(
	        s->db, "SELECT r.mail, m.refs+r.delta FROM reference r LEFT JOIN mail m"
	               " ON m.id=r.mail WHERE r.delta<0 ORDER BY r.mail LIMIT ?");
	size_t count = 0;

	(void)why;
	j->urgent = true;
	s->collecting = false;
	db_bind(q, "u", (uint64_t)COLLECT_BATCH);
	for (; db_next(q); count++) {
		int64_t refs = db_i64(q, 1);
		struct change *c = job_change(j, refs > 0 ? CHANGE_MAIL_REFS : CHANGE_MAIL_GONE);

		if (refs > 0)
			c->mail_refs = (struct change_mail_refs){db_u64(q, 0), (uint32_t)refs};
		else
			c->mail_gone.id = db_u64(q, 0);
	}
	if (count < COLLECT_BATCH)
		s->collect = 0;
	store_hold(s);
	s->collect_due = s->collect ? s->now : 0;
	store_let(s);
	return OK;
}

static enum result run_forget_keys(struct store *s, struct job *j, struct why *why)
{
	struct change *c;

	(void)s;
	(void)why;
	j->urgent = true;
	c = job_change(j, CHANGE_KEYS_GONE);
	c->keys_gone.before = j->now - KEY_LIFE_MS;
	return OK;
}

/* ---- the sweep ---- */

static bool mostly_dead(struct store *s, const struct blob_segment *g, size_t small)
{
	uint64_t *live = map_get_u64(&s->live, g->number);
	uint64_t octets = live ? live[0] : 0;

	if (g->current || g->number >= blob_log_position(s->log).segment)
		return false;
	if (octets == 0)
		return true;
	if (g->size < s->segment_size / 4)
		return small >= SMALL_SEGMENTS;
	return octets < g->size / 100 * (100 - DEAD_ABOVE);
}

static bool is_emptied(const struct store *s, uint32_t number)
{
	struct bytes rest = buf_bytes(&s->upkeep.emptied);
	uint32_t one;

	for (; rest.len >= sizeof(one); rest = bytes_skip(rest, sizeof(one))) {
		memcpy(&one, rest.ptr, sizeof(one));
		if (one == number)
			return true;
	}
	return false;
}

/* The next segment to be emptied, or 0. */
static uint32_t choose_victim(struct store *s, uint32_t after)
{
	struct arena arena = {0};
	struct blob_segment *list;
	size_t count = blob_segment_list(s->log, &arena, &list), small = 0;
	uint32_t victim = 0;

	for (size_t i = 0; i < count; i++)
		small += !list[i].current && list[i].size < s->segment_size / 4;
	for (size_t i = 0; i < count && !victim; i++) {
		if (list[i].number > after && !is_emptied(s, list[i].number) &&
		    mostly_dead(s, &list[i], small))
			victim = list[i].number;
	}
	arena_done(&arena);
	return victim;
}

/* One live mail of the victim; false: none is left. */
static bool sweep_mail(struct store *s, struct job *j, enum result *ret, struct why *why)
{
	struct db_query *q = db_query(s->db, "SELECT id, offset, stored FROM mail WHERE segment=?"
	                                     " AND id>? ORDER BY id LIMIT 1");
	struct blob_place p = {.segment = s->upkeep.victim};
	struct change *c;

	db_bind(q, "uu", (uint64_t)s->upkeep.victim, s->upkeep.victim_after);
	if (!db_next(q))
		return false;
	s->upkeep.victim_after = db_u64(q, 0);
	p.offset = db_u64(q, 1);
	p.stored = db_u64(q, 2);
	db_end(q);
	*ret = blob_copy(s->log, &s->own.blob, &p, &j->block, why);
	if (*ret != OK)
		return true; /* damaged: it stays where it is, and the segment too */
	c = job_change(j, CHANGE_MOVED);
	c->moved.id = s->upkeep.victim_after;
	return true;
}

static bool has_mails(struct store *s, uint32_t segment)
{
	struct db_query *q = db_query(s->db, "SELECT 1 FROM mail WHERE segment=? LIMIT 1");
	bool found;

	db_bind(q, "u", (uint64_t)segment);
	found = db_next(q);
	db_end(q);
	return found;
}

static void want_image(struct store *s)
{
	struct job *j;

	store_hold(s);
	if (!s->upkeep.image_running) {
		s->upkeep.image_running = true;
		j = job_new(s, image_write);
		job_put(&s->reads, j);
	}
	store_let(s);
}

static enum result run_sweep(struct store *s, struct job *j, struct why *why)
{
	struct upkeep *u = &s->upkeep;
	enum result result = OK;

	s->upkeep.sweeping = false;
	if (!u->victim) {
		u->victim = choose_victim(s, 0);
		u->victim_after = 0;
	}
	if (!u->victim) {
		store_hold(s);
		u->sweep_wanted = false;
		store_let(s);
		return OK;
	}
	if (sweep_mail(s, j, &result, why))
		return result;
	if (!has_mails(s, u->victim)) {
		buf_append(&u->emptied, bytes_of(&u->victim, sizeof(u->victim)));
		u->emptied_lsn = blob_log_position(s->log).lsn;
	}
	u->victim = choose_victim(s, u->victim);
	u->victim_after = 0;
	if (!u->victim) {
		store_hold(s);
		u->sweep_wanted = false;
		store_let(s);
	}
	return OK;
}

/* False: not now, or the store has ended. After a failed sync nobody knows what of the index is on the disk, and a later
 * one would say OK all the same: the index is given up. A full disk is waited for. */
static bool checkpoint(struct store *s)
{
	struct why why;
	enum result result = db_checkpoint(s->db, &why);

	if (result != OK && result != UNAVAILABLE && result != DISK_FULL) {
		index_condemn(s);
		store_fail(s, &why);
	}
	return result == OK;
}

/* Segments that nothing needs any more. */
static void delete_emptied(struct store *s)
{
	struct upkeep *u = &s->upkeep;
	uint64_t image;
	uint32_t number;

	store_hold(s);
	image = u->image_lsn;
	store_let(s);
	if (buf_len(&u->emptied) == 0)
		return;
	if (image < u->emptied_lsn) {
		if (!u->sweep_wanted)
			want_image(s);
		return;
	}
	if (!checkpoint(s) || blob_image_trim(s->fs, u->emptied_lsn, NULL) != OK)
		return;
	while (buf_len(&u->emptied)) {
		memcpy(&number, buf_bytes(&u->emptied).ptr, sizeof(number));
		if (has_mails(s, number)) { /* the group that emptied it was undone */
			buf_consume(&u->emptied, sizeof(number));
			continue;
		}
		if (db_failed(s->db, NULL) != OK || blob_segment_remove(s->log, number, NULL) != OK)
			return;
		buf_consume(&u->emptied, sizeof(number));
		memory_free(map_remove_u64(&s->live, number));
		struct db_query *q = db_query(s->db, "DELETE FROM segment WHERE id=?");

		db_bind(q, "u", (uint64_t)number);
		db_execute(q);
	}
}

/* ---- all of it ---- */

static void push(struct store *s, job_function *run)
{
	struct job *j;

	store_hold(s);
	j = job_new(s, run);
	job_put(&s->writes, j);
	store_let(s);
}

/* Garbage goes with the next group that others make, so that it costs no sync of its own; after a second, or
 * when there is much, it goes alone. */
static bool collect_now(const struct store *s)
{
	return s->collect && !s->collecting &&
	       (s->collect >= COLLECT_BATCH || (s->collect_due && s->now >= s->collect_due));
}

void upkeep_joins(struct store *s)
{
	bool others;

	store_hold(s);
	others = s->writes.count > 0;
	store_let(s);
	if (!others || !s->collect || s->collecting)
		return;
	s->collecting = true;
	push(s, run_collect);
}

time_ms upkeep_due(const struct store *s)
{
	return s->collect_due && !s->collecting ? s->collect_due : TIME_NEVER;
}

bool upkeep_waits(const struct store *s)
{
	return collect_now(s) || (s->upkeep.sweep_wanted && !s->upkeep.sweeping) ||
	       s->upkeep.image_done || escrow_waits(s);
}

static void start_jobs(struct store *s)
{
	time_ms now;
	bool collect;

	store_hold(s);
	if (s->collect && !s->collect_due)
		s->collect_due = s->now + COLLECT_WAIT_MS;
	collect = collect_now(s);
	store_let(s);
	if (collect) {
		s->collecting = true;
		push(s, run_collect);
	}
	if (s->upkeep.sweep_wanted && !s->upkeep.sweeping) {
		s->upkeep.sweeping = true;
		push(s, run_sweep);
	}
	store_hold(s);
	now = s->now;
	store_let(s);
	if (now - s->keys_pruned > KEYS_EVERY_MS) {
		s->keys_pruned = now;
		push(s, run_forget_keys);
	}
}

void upkeep(struct store *s)
{
	uint64_t grown, every;
	bool image_done;

	if (db_wal_pages(s->db) > CHECKPOINT_PAGES)
		checkpoint(s);
	if (store_failed(s, NULL))
		return;
	start_jobs(s);
	escrow_upkeep(s);
	store_hold(s);
	image_done = s->upkeep.image_done;
	s->upkeep.image_done = false;
	if (image_done && buf_len(&s->upkeep.emptied) == 0)
		s->upkeep.sweep_wanted = true; /* a good time to look */
	grown = blob_log_octets(s->log) - s->upkeep.image_octets;
	every = s->upkeep.image_size * 2;
	store_let(s);
	if (image_done || buf_len(&s->upkeep.emptied))
		delete_emptied(s);
	if (grown > (every > IMAGE_EVERY ? every : IMAGE_EVERY))
		want_image(s);
}
