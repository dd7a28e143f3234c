/* Whom an owner has written to: what tells a stranger from somebody known. Addresses are compared with
 * ASCII letters folded. */
#include "base/text.h"
#include "store/life.h"

enum { PRUNE_SLACK = 500 };

bool correspondent_find(struct db *db, uint64_t owner, struct bytes address,
                        struct correspondent *ret)
{
	struct db_query *q = db_query(
	        db, "SELECT first, last, count FROM correspondent WHERE owner=? AND address=?");
	bool found;

	db_bind(q, "ub", owner, address);
	found = db_next(q);
	if (found && ret)
		*ret = (struct correspondent){db_i64(q, 0), db_i64(q, 1), db_u64(q, 2)};
	db_end(q);
	return found;
}

static struct bytes folded(struct arena *arena, struct bytes address)
{
	char *text = arena_text(arena, address);

	text_lower(text, address.len);
	return bytes_of(text, address.len);
}

/* How many an owner has, about: counted once, then kept along. The writer's. */
static uint64_t *count_of(struct store *s, uint64_t owner)
{
	uint64_t *count = map_get_u64(&s->correspondent_counts, owner);
	struct db_query *q;

	if (count)
		return count;
	count = memory_get(sizeof(*count));
	q = db_query(s->db, "SELECT COUNT(*) FROM correspondent WHERE owner=?");
	db_bind(q, "u", owner);
	*count = db_next(q) ? db_u64(q, 0) : 0;
	db_end(q);
	map_put_u64(&s->correspondent_counts, owner, count);
	return count;
}

static void prune(struct store *s, struct job *j, uint64_t owner, unsigned fresh)
{
	uint64_t *count = count_of(s, owner);
	struct db_query *q;

	*count += fresh;
	if (*count <= CORRESPONDENTS_MAX + PRUNE_SLACK)
		return;
	q = db_query(s->db, "SELECT last FROM correspondent WHERE owner=?"
	                    " ORDER BY last DESC LIMIT 1 OFFSET ?");
	/* The fresh ones are not in the index yet. */
	db_bind(q, "uu", owner,
	        (uint64_t)(fresh < CORRESPONDENTS_MAX ? CORRESPONDENTS_MAX - fresh : 0));
	if (db_next(q)) {
		struct change *c = job_change(j, CHANGE_CORRESPONDENTS_GONE);

		c->correspondents_gone = (struct change_correspondents_gone){owner,
		                                                             db_i64(q, 0) + 1};
	}
	db_end(q);
	memory_free(map_remove_u64(&s->correspondent_counts, owner));
}

unsigned correspondents_note(struct store *s, struct job *j, uint64_t owner,
                             struct bytes recipients)
{
	struct wire w = wire_of(recipients);
	struct buf rows = {0};
	unsigned fresh = 0;

	while (!wire_end(&w)) {
		struct correspondent c = {.first = j->now};
		struct bytes address = folded(&j->arena, wire_block(&w));

		wire_u8(&w);
		wire_block(&w);
		if (w.bad || address.len == 0)
			break;
		fresh += !correspondent_find(s->db, owner, address, &c);
		buf_block(&rows, address);
		buf_u64(&rows, (uint64_t)c.first);
		buf_u64(&rows, (uint64_t)j->now);
		buf_u64(&rows, c.count + 1);
	}
	job_change(j, CHANGE_CORRESPONDENTS)->correspondents = (struct change_correspondents){
	        owner, arena_copy(&j->arena, buf_bytes(&rows))};
	buf_done(&rows);
	prune(s, j, owner, fresh);
	return fresh;
}

enum result correspondents_apply(struct store *s, const struct change_correspondents *c)
{
	struct wire w = wire_of(c->rows);

	while (!wire_end(&w)) {
		struct bytes address = wire_block(&w);
		int64_t first = (int64_t)wire_u64(&w), last = (int64_t)wire_u64(&w);
		uint64_t count = wire_u64(&w);
		struct db_query *q = db_query(
		        s->db, "INSERT OR REPLACE INTO correspondent VALUES(?, ?, ?, ?, ?)");

		if (w.bad)
			break;
		db_bind(q, "ubiiu", c->owner, address, first, last, count);
		db_execute(q);
	}
	return OK;
}

enum result correspondents_gone_apply(struct store *s, const struct change_correspondents_gone *c)
{
	struct db_query *q = db_query(s->db, "DELETE FROM correspondent WHERE owner=? AND last<?");

	db_bind(q, "ui", c->owner, c->before);
	db_execute(q);
	return OK;
}
