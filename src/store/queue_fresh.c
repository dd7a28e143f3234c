/* The newest entries in CARRY, which are not in the table `waiting` yet.
 *
 * That table is sorted by destination, so a mail that joined it at once would dirty a page which no other mail of
 * its group touches: with 1,000,000 queued mails that was more than all its other rows together, written to the
 * index's log and again at its checkpoint. So the entries from the number `filed` on are found here, in memory, by
 * destination; when there are FRESH_MAX such numbers, all go into the table at once, sorted, and each page is
 * dirtied once for many. The index holds that number in the same transaction, so it always tells which of its
 * entries belong here: a start reads them, and so does what follows a group that was undone.
 *
 * Only the writer changes this, and it looks without the lock. Others see what is published: they
 * copy it first and read the index then, so that what is filed meanwhile is seen twice rather than never. */
#include "base/memory.h"
#include "store/queue.h"

struct fresh_list {
	struct fresh *entries; /* sorted: higher priority, due, id */
	size_t at, count, size;
};

static bool before(const struct fresh *a, const struct fresh *b)
{
	if (a->priority != b->priority)
		return a->priority > b->priority;
	return a->due < b->due || (a->due == b->due && a->id < b->id);
}

/* Where it is, or belongs. */
static size_t position(const struct fresh_list *l, const struct fresh *f)
{
	size_t low = l->at, high = l->count;

	while (low < high) {
		size_t mid = (low + high) / 2;

		if (before(&l->entries[mid], f))
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static void list_free(struct fresh_list *l)
{
	memory_free(l->entries);
	memory_free(l);
}

static struct fresh_list *list_of(struct store *s, struct bytes name)
{
	return map_get(&s->queue->fresh.lists, name);
}

static void list_make_room(struct fresh_list *l)
{
	if (l->count < l->size)
		return;
	if (l->at > l->size / 2) {
		memmove(l->entries, l->entries + l->at, (l->count - l->at) * sizeof(*l->entries));
		l->count -= l->at;
		l->at = 0;
		return;
	}
	l->size = l->size ? l->size * 2 : 4;
	l->entries = memory_resize(l->entries, l->size * sizeof(*l->entries));
}

/* Locked. */
static void put(struct store *s, struct bytes name, const struct fresh *f)
{
	struct fresh_list *l = list_of(s, name);
	size_t at;

	if (!l) {
		l = NEW(struct fresh_list);
		map_put(&s->queue->fresh.lists, name, l);
	}
	list_make_room(l);
	at = position(l, f);
	memmove(l->entries + at + 1, l->entries + at, (l->count - at) * sizeof(*l->entries));
	l->entries[at] = *f;
	l->count++;
}

static bool is_fresh(const struct store *s, uint64_t id)
{
	return id >= s->queue->fresh.filed;
}

bool fresh_put(struct store *s, struct bytes name, const struct fresh *f)
{
	if (!is_fresh(s, f->id))
		return false;
	store_hold(s);
	put(s, name, f);
	store_let(s);
	return true;
}

/* Locked. */
static void drop(struct store *s, struct bytes name, struct fresh_list *l, size_t at)
{
	if (at == l->at) {
		l->at++;
	} else {
		memmove(l->entries + at, l->entries + at + 1,
		        (l->count - at - 1) * sizeof(*l->entries));
		l->count--;
	}
	if (l->at == l->count) {
		map_remove(&s->queue->fresh.lists, name);
		list_free(l);
	}
}

/* One that was filed in this group is in both places. */
bool fresh_drop(struct store *s, struct bytes name, const struct fresh *f)
{
	struct fresh_list *l = list_of(s, name);
	size_t at = l ? position(l, f) : 0;

	if (l && at < l->count && l->entries[at].id == f->id) {
		store_hold(s);
		drop(s, name, l, at);
		store_let(s);
	}
	return is_fresh(s, f->id);
}

bool fresh_first(struct store *s, struct bytes name, int64_t priority, int64_t *ret_due)
{
	const struct fresh_list *l = list_of(s, name);
	size_t at = l ? position(l, &(struct fresh){priority, INT64_MIN, 0, 0}) : 0;

	if (!l || at == l->count || l->entries[at].priority != priority)
		return false;
	*ret_due = l->entries[at].due;
	return true;
}

struct fresh *fresh_copy(struct store *s, struct bytes name, struct arena *arena, size_t *ret_count)
{
	const struct fresh_list *l;
	struct fresh *copy = NULL;

	*ret_count = 0;
	store_hold(s);
	l = list_of(s, name);
	if (l)
		copy = arena_get(arena, (l->count - l->at) * sizeof(*copy));
	for (size_t i = l ? l->at : 0; l && i < l->count; i++) {
		if (l->entries[i].id < s->queue->fresh.published)
			copy[(*ret_count)++] = l->entries[i];
	}
	store_let(s);
	return copy;
}

/* ---- all of them ---- */

void fresh_done(struct queue *u)
{
	struct map_entry *e;

	for (size_t at = 0; (e = map_each(&u->fresh.lists, &at));)
		list_free(e->value);
	map_done(&u->fresh.lists);
}

void fresh_load(struct store *s)
{
	struct db_query *q = db_query(s->db, "SELECT below FROM filed WHERE one=1");

	fresh_done(s->queue);
	db_bind(q, "");
	s->queue->fresh.filed = db_next(q) ? db_u64(q, 0) : 1;
	db_end(q);
	s->queue->fresh.filing = false;
	q = db_query(s->db, "SELECT id, mail, due, priority, destination FROM entry WHERE id>=?"
	                    " AND state=2");
	db_bind(q, "u", s->queue->fresh.filed);
	while (db_next(q)) {
		struct fresh f = {db_i64(q, 3), db_i64(q, 2), db_u64(q, 0), db_u64(q, 1)};

		put(s, db_bytes(q, 4), &f);
	}
}

void fresh_file(struct store *s)
{
	uint64_t from = s->queue->fresh.filed, to = s->counters.entry;
	uint64_t most = s->options.fresh_entries ? s->options.fresh_entries : FRESH_MAX;
	struct db_query *q;

	if (to - from < most)
		return;
	q = db_query(s->db,
	             "INSERT OR REPLACE INTO waiting SELECT destination, priority, due, id, mail"
	             " FROM entry WHERE state=2 AND id>=? ORDER BY 1, 2, 3, 4");
	db_bind(q, "u", from);
	db_execute(q);
	q = db_query(s->db, "UPDATE filed SET below=?");
	db_bind(q, "u", to);
	db_execute(q);
	s->queue->fresh.filed = to;
	s->queue->fresh.filing = true;
}

/* What is filed goes from here. */
void fresh_publish(struct store *s)
{
	struct queue *u = s->queue;
	struct map left = {0};
	struct map_entry *e;

	u->fresh.published = s->counters.entry;
	if (!u->fresh.filing)
		return;
	u->fresh.filing = false;
	for (size_t at = 0; (e = map_each(&u->fresh.lists, &at));) {
		struct fresh_list *l = e->value;
		size_t kept = 0;

		for (size_t i = l->at; i < l->count; i++) {
			if (is_fresh(s, l->entries[i].id))
				l->entries[kept++] = l->entries[i];
		}
		l->at = 0;
		l->count = kept;
		if (kept)
			map_put(&left, bytes_of(e->key, e->key_len), l);
		else
			list_free(l);
	}
	map_done(&u->fresh.lists);
	u->fresh.lists = left;
}
