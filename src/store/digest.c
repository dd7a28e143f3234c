/* DIGEST: what was refused on a recipient's behalf on the days that are over (in UTC), once a day, for those whom options
 * escrow.digest name. `digest` remembers up to when each was told. */
#include <stdio.h>

#include "store/escrow.h"
#include "store/life.h"

enum { ROWS_MOST = 50, ROWS_OCTETS = 40 * 1024 };

#define DAY_MS (24LL * 3600 * 1000)

enum result digest_apply(struct store *s, const struct change_digest *c)
{
	struct db_query *q = db_query(s->db, "INSERT OR REPLACE INTO digest VALUES(?, ?)");

	db_bind(q, "bi", c->address, c->until);
	db_execute(q);
	return OK;
}

/* "all", "example.test", "@example.test", "ken@example.test" */
static bool is_named(const struct config_words *words, struct bytes address)
{
	struct bytes domain = bytes_skip(address, bytes_find_last(address, '@') + 1);

	for (size_t i = 0; i < words->count; i++) {
		struct bytes word = words->items[i];

		if (bytes_equal(word, BYTES("all")) || bytes_equal_nocase(word, address))
			return true;
		if (word.len && word.ptr[0] == '@')
			word = bytes_skip(word, 1);
		if (bytes_equal_nocase(word, domain))
			return true;
	}
	return false;
}

/* The next recipient behind `after` who is to be told. */
static bool next_one(struct job *j, const struct config *c, int64_t until,
                     struct answer_digest *ret)
{
	struct db_query *q = db_query(
	        j->reader->db,
	        "SELECT r.address, COALESCE(d.until, 0), COUNT(*) FROM escrow_rcpt r"
	        " JOIN escrow e ON e.mail=r.mail LEFT JOIN digest d ON d.address=r.address"
	        " WHERE r.address>? AND e.released_at=0 AND e.at<? AND e.at>=COALESCE(d.until, 0)"
	        " GROUP BY r.address ORDER BY r.address");

	db_bind(q, "bi", j->ask.digest.after, until);
	while (db_next(q)) {
		if (!is_named(&c->escrow_digest, db_bytes(q, 0)))
			continue;
		ret->rcpt = arena_copy(&j->arena, db_bytes(q, 0));
		ret->since = db_i64(q, 1);
		ret->count = (uint32_t)db_u64(q, 2);
		ret->until = until;
		ret->japanese = is_named(&c->escrow_digest_japanese, ret->rcpt);
		db_end(q);
		return true;
	}
	return false;
}

static void rows_of(struct job *j, struct answer_digest *ret)
{
	struct db_query *q = db_query(
	        j->reader->db,
	        "SELECT e.at, e.judgement, e.sender, e.sent_as, e.checks, m.summary, e.mail"
	        " FROM escrow_rcpt r JOIN escrow e ON e.mail=r.mail JOIN mail m ON m.id=e.mail"
	        " WHERE r.address=? AND e.released_at=0 AND e.at>=? AND e.at<?"
	        " ORDER BY r.mail DESC LIMIT ?");
	struct buf rows = {0};

	db_bind(q, "biiu", ret->rcpt, ret->since, ret->until, (uint64_t)ROWS_MOST);
	while (db_next(q)) {
		char id[24];

		if (buf_len(&rows) + db_bytes(q, 5).len > ROWS_OCTETS) {
			db_end(q);
			break;
		}
		judgement_id(db_u64(q, 1), id);
		if (db_u64(q, 1) == 0)
			snprintf(id, sizeof(id), "%08llX", (unsigned long long)db_u64(q, 6));
		buf_u64(&rows, (uint64_t)db_i64(q, 0));
		buf_block(&rows, bytes_of_text(id));
		buf_block(&rows, db_bytes(q, 2));
		buf_block(&rows, db_bytes(q, 3));
		buf_block(&rows, db_bytes(q, 4));
		buf_block(&rows, db_bytes(q, 5));
	}
	ret->rows = arena_copy(&j->arena, buf_bytes(&rows));
	buf_done(&rows);
}

enum result run_digest(struct store *s, struct job *j, struct why *why)
{
	const struct config *c;

	store_hold(s);
	c = s->config;
	store_let(s);
	if (c->escrow_digest.count == 0 ||
	    !next_one(j, c, j->now / DAY_MS * DAY_MS, &j->answer.digest))
		return why_set(why, NOT_FOUND, "nobody is to be told anything");
	rows_of(j, &j->answer.digest);
	return OK;
}

enum result run_digest_done(struct store *s, struct job *j, struct why *why)
{
	const struct ask_digest_done *a = &j->ask.digest_done;

	(void)s;
	if (a->rcpt.len == 0 || a->rcpt.len > LIMIT_ADDRESS || a->until > j->now)
		return why_set(why, INVALID, "that is no digest");
	job_change(j, CHANGE_DIGEST)->digest = (struct change_digest){.address = a->rcpt,
	                                                              .until = a->until};
	return OK;
}
