/* What an event changes in data/learn.db.
 *
 *	JUDGED  the mail's words and names are kept
 *	TAKEN   it was accepted: good for address, domain and network; of a sender whom the recipient wrote to its words are learnt
 *	JUNK    somebody moved it into Junk: bad, and learnt as junk; what it did before is taken back
 *	GOOD    and out of it: the other way round
 *
 * What the checks themselves threw into Junk or refused teaches nothing: a filter that believes itself goes mad. */
#include "policy/evidence.h"
#include "store/learn.h"

enum {
	COUNTED = 3,      /* of state: what the reputations were told (enum lesson_state) */
	LEARNT_SHIFT = 2, /* what the words were counted as */
	GOOD_AHEAD =
	        3, /* mails learnt as good by themselves: so many times those learnt as junk ... */
	GOOD_FIRST = 200, /* ... and so many more */
};

#define DAY_MS (24LL * 3600 * 1000)

struct lesson {
	struct db *db;
	int64_t at;
	const struct config *config;
};

/* A mail as its judgement left it; bytes from the arena. */
struct judged {
	uint64_t judgement, state;
	unsigned action;
	uint32_t known;
	struct bytes ip, from, domain, tokens;
};

/* ---- words ---- */

static void count_token(struct lesson *l, uint64_t token, int bad, int good)
{
	struct db_query *q;

	if (bad + good > 0) {
		q = db_query(
		        l->db,
		        "INSERT INTO token VALUES(?, ?, ?, ?) ON CONFLICT(token) DO UPDATE"
		        " SET bad=bad+excluded.bad, good=good+excluded.good, day=excluded.day");
		db_bind(q, "uiii", token, (int64_t)bad, (int64_t)good, l->at / DAY_MS);
	} else {
		q = db_query(
		        l->db,
		        "UPDATE token SET bad=MAX(bad+?, 0), good=MAX(good+?, 0) WHERE token=?");
		db_bind(q, "iiu", (int64_t)bad, (int64_t)good, token);
	}
	db_execute(q);
}

static void count_words(struct lesson *l, struct bytes tokens, int bad, int good)
{
	struct db_query *q = db_query(l->db,
	                              "UPDATE total SET bad=MAX(bad+?, 0), good=MAX(good+?, 0)");
	struct wire w = wire_of(tokens);

	if (tokens.len < 8)
		return;
	db_bind(q, "ii", (int64_t)bad, (int64_t)good);
	db_execute(q);
	while (w.rest.len >= 8)
		count_token(l, wire_u64(&w) & INT64_MAX, bad, good);
}

/* It counts as this from now on. */
static void learn_as(struct lesson *l, struct judged *m, enum lesson_state as)
{
	enum lesson_state was = (enum lesson_state)(m->state >> LEARNT_SHIFT);

	if (was == as)
		return;
	if (was != LEARNT_NOTHING)
		count_words(l, m->tokens, was == LEARNT_JUNK ? -1 : 0, was == LEARNT_GOOD ? -1 : 0);
	count_words(l, m->tokens, as == LEARNT_JUNK, as == LEARNT_GOOD);
	m->state = (m->state & COUNTED) | (uint64_t)as << LEARNT_SHIFT;
}

/* Where many are good and few are junk, more of the good would only drown the rest. */
static bool good_is_wanted(struct lesson *l)
{
	struct db_query *q = db_query(l->db, "SELECT bad, good FROM total");
	bool wanted;

	db_bind(q, "");
	wanted = !db_next(q) || db_u64(q, 1) < GOOD_AHEAD * db_u64(q, 0) + GOOD_FIRST;
	db_end(q);
	return wanted;
}

/* ---- reputations ---- */

static void count_reputation(struct lesson *l, uint64_t key, int good, int bad)
{
	struct db_query *q = db_query(l->db,
	                              "INSERT INTO reputation VALUES(?, MAX(?, 0), MAX(?, 0), ?, ?)"
	                              " ON CONFLICT(key) DO UPDATE SET good=MAX(good+?, 0),"
	                              " bad=MAX(bad+?, 0), last=excluded.last");

	db_bind(q, "uiiiiii", key, (int64_t)good, (int64_t)bad, l->at, l->at, (int64_t)good,
	        (int64_t)bad);
	db_execute(q);
}

static void count_way(struct lesson *l, uint64_t key, bool good)
{
	struct db_query *q;

	if (good) {
		q = db_query(l->db, "INSERT INTO way VALUES(?, 1, ?, ?) ON CONFLICT(key) DO UPDATE"
		                    " SET good=good+1, last=excluded.last");
		db_bind(q, "uii", key, l->at, l->at);
	} else {
		q = db_query(l->db, "DELETE FROM way WHERE key=?");
		db_bind(q, "u", key);
	}
	db_execute(q);
}

static void count_sender(struct lesson *l, const struct judged *m, int good, int bad)
{
	struct ip network = learn_network(m->ip);
	struct bytes octets = bytes_of(network.octets, sizeof(network.octets));

	if (m->from.len)
		count_reputation(l, learn_key('a', m->from), good, bad);
	if (m->domain.len)
		count_reputation(l, learn_key('d', m->domain), good, bad);
	count_reputation(l, learn_key('n', octets), good, bad);
	if (m->from.len == 0 || (good <= 0 && bad <= 0))
		return;
	count_way(l, learn_way_key(m->from, (struct bytes){0}, octets), bad <= 0);
	if (m->domain.len)
		count_way(l, learn_way_key(m->from, m->domain, octets), bad <= 0);
}

static void count_as(struct lesson *l, struct judged *m, enum lesson_state as)
{
	enum lesson_state was = (enum lesson_state)(m->state & COUNTED);

	if (was == as)
		return;
	count_sender(l, m, (as == LEARNT_GOOD) - (was == LEARNT_GOOD),
	             (as == LEARNT_JUNK) - (was == LEARNT_JUNK));
	m->state = (m->state & ~(uint64_t)COUNTED) | as;
}

/* ---- rows ---- */

static void judged_put(struct lesson *l, struct wire *w)
{
	struct db_query *q = db_query(
	        l->db, "INSERT OR REPLACE INTO judged VALUES(?, ?, ?, ?, 0, ?, ?, ?, ?)");
	uint64_t judgement = wire_u64(w);
	uint8_t action = wire_u8(w);
	uint32_t known = wire_u32(w);
	struct bytes ip = wire_block(w), from = wire_block(w), domain = wire_block(w),
	             tokens = wire_block(w);

	if (w->bad)
		return;
	db_bind(q, "uiuubbbb", judgement, l->at, (uint64_t)action, (uint64_t)known, ip, from,
	        domain, tokens);
	db_execute(q);
}

static bool judged_find(struct lesson *l, uint64_t judgement, struct arena *arena,
                        struct judged *ret)
{
	struct db_query *q = db_query(
	        l->db, "SELECT action, known, state, ip, sender, domain, tokens FROM judged"
	               " WHERE judgement=?");
	bool found;

	db_bind(q, "u", judgement);
	found = db_next(q);
	if (found)
		*ret = (struct judged){.judgement = judgement,
		                       .action = (unsigned)db_u64(q, 0),
		                       .known = (uint32_t)db_u64(q, 1),
		                       .state = db_u64(q, 2),
		                       .ip = arena_copy(arena, db_bytes(q, 3)),
		                       .from = arena_copy(arena, db_bytes(q, 4)),
		                       .domain = arena_copy(arena, db_bytes(q, 5)),
		                       .tokens = arena_copy(arena, db_bytes(q, 6))};
	db_end(q);
	return found;
}

static void state_put(struct lesson *l, const struct judged *m)
{
	struct db_query *q = db_query(l->db, "UPDATE judged SET state=? WHERE judgement=?");

	db_bind(q, "uu", m->state, m->judgement);
	db_execute(q);
}

static bool mail_find(struct lesson *l, uint64_t mail, struct arena *arena, struct judged *ret)
{
	struct db_query *q = db_query(l->db, "SELECT judgement FROM mail WHERE mail=?");
	uint64_t judgement = 0;

	db_bind(q, "u", mail);
	if (db_next(q))
		judgement = db_u64(q, 0);
	db_end(q);
	return judgement && judged_find(l, judgement, arena, ret);
}

/* ---- events ---- */

static void take_taken(struct lesson *l, struct wire *w)
{
	struct db_query *q = db_query(l->db, "INSERT OR REPLACE INTO mail VALUES(?, ?)");
	uint64_t mail = wire_u64(w), judgement = wire_u64(w);
	struct arena arena = {0};
	struct judged m;

	if (w->bad)
		return;
	db_bind(q, "uu", mail, judgement);
	db_execute(q);
	if (judged_find(l, judgement, &arena, &m) && m.action == JUDGE_ACCEPT) {
		bool known = m.known & (HISTORY_WRITTEN_TO_BY_RCPT | HISTORY_REPLY_TO_OURS);
		bool stands = m.domain.len || m.known & HISTORY_SEEN_SAME_WAY;

		count_as(l, &m, LEARNT_GOOD);
		if (known && stands && l->config->judge_learn && good_is_wanted(l))
			learn_as(l, &m, LEARNT_GOOD);
		state_put(l, &m);
	}
	arena_done(&arena);
}

static void take_moved(struct lesson *l, struct wire *w, enum lesson_state as)
{
	uint64_t mail = wire_u64(w);
	struct arena arena = {0};
	struct judged m;

	if (!w->bad && mail_find(l, mail, &arena, &m)) {
		count_as(l, &m, as);
		if (l->config->judge_learn)
			learn_as(l, &m, as);
		state_put(l, &m);
	}
	arena_done(&arena);
}

static void take_sent(struct lesson *l, struct wire *w)
{
	struct db_query *q = db_query(l->db, "INSERT OR REPLACE INTO sent VALUES(?, ?)");
	struct bytes id = wire_block(w);
	struct wire rcpts = wire_of(wire_block(w));

	if (w->bad)
		return;
	if (id.len) {
		db_bind(q, "ui", learn_key('i', id), l->at);
		db_execute(q);
	}
	q = db_query(l->db, "INSERT OR REPLACE INTO written VALUES(?, ?)");
	while (!wire_end(&rcpts)) {
		struct bytes address = wire_block(&rcpts);

		wire_u8(&rcpts);
		wire_block(&rcpts);
		if (rcpts.bad)
			break;
		db_bind(q, "ui", learn_key('a', address), l->at);
		db_execute(q);
	}
}

void lesson_apply(struct db *db, struct wire *lesson, const struct config *c)
{
	enum lesson_kind kind = (enum lesson_kind)wire_u8(lesson);
	struct lesson l = {.db = db, .config = c, .at = (int64_t)wire_u64(lesson)};

	switch (kind) {
	case LESSON_JUDGED: judged_put(&l, lesson); break;
	case LESSON_TAKEN: take_taken(&l, lesson); break;
	case LESSON_JUNK: take_moved(&l, lesson, LEARNT_JUNK); break;
	case LESSON_GOOD: take_moved(&l, lesson, LEARNT_GOOD); break;
	case LESSON_SENT: take_sent(&l, lesson); break;
	}
}
