/* HISTORY: what is known of a sender. From the index (whom the recipients wrote to, where an account logged in from) and, on the
 * learning thread, from data/learn.db. Without that file the index alone answers. */
#include "base/text.h"
#include "policy/scam.h"
#include "store/learn.h"

enum {
	RCPTS_MAX = 100,
	REPLIES_MAX = 10,
	RECEIVED_MAX = 5,
	TOKENS_MOST = 1000,
	GOOD_MAILS = 10, /* of a domain or network that is good */
	GOOD_NETWORK_MAILS = 20,
	GOOD_PER_BAD = 20,
	WAY_MAILS = 2,
};

#define DAY_MS (24LL * 3600 * 1000)
#define GOOD_AGE_MS (14 * DAY_MS)
#define WAY_AGE_MS (3 * DAY_MS)
#define LOGIN_AGE_MS (90 * DAY_MS)

struct history {
	struct store *s;
	struct job *j;
	const struct ask_history *ask;
	struct answer_history *ret;
	struct db *index, *learnt; /* learnt NULL: there is none */
	uint64_t own;              /* the account whose address From is, or 0 */
	bool free_mail;            /* anybody has an address at the proved domain */
};

/* ---- what needs the store's memory ---- */

static bool is_free_mail(const struct config *c, struct bytes domain)
{
	for (size_t i = 0; i < c->judge_free_mail.count; i++) {
		if (bytes_equal_nocase(c->judge_free_mail.items[i], domain))
			return true;
	}
	return scam_is_free_mail(domain);
}

/* Accounts of the recipients; returns how many. */
static size_t look_up(struct history *h, uint64_t accounts[RCPTS_MAX])
{
	struct wire w = wire_of(h->ask->rcpts);
	size_t count = 0;
	struct account *a;

	store_hold(h->s);
	for (int i = 0; i < RCPTS_MAX && !wire_end(&w); i++) {
		struct bytes rcpt = wire_block(&w);
		struct route r;

		if (w.bad)
			break;
		r = route_of(h->s, h->s->config, &h->j->arena, rcpt, 0);
		if (r.account)
			accounts[count++] = r.account->id;
	}
	if (h->ask->from.len && h->ask->from.len <= LIMIT_ADDRESS) {
		struct route r = route_of(h->s, h->s->config, &h->j->arena, h->ask->from, 0);

		a = r.account;
		h->own = a ? a->id : 0;
	}
	h->free_mail = is_free_mail(h->s->config, h->ask->domain);
	store_let(h->s);
	return count;
}

/* ---- the index ---- */

static struct bytes folded(struct arena *arena, struct bytes text)
{
	char *copy = arena_text(arena, text);

	text_lower(copy, text.len);
	return bytes_of(copy, text.len);
}

static void written_to(struct history *h, const uint64_t *accounts, size_t count)
{
	struct bytes from = folded(&h->j->arena, h->ask->from);

	for (size_t i = 0; from.len && i < count; i++) {
		if (correspondent_find(h->index, accounts[i], from, NULL)) {
			h->ret->known |= HISTORY_WRITTEN_TO_BY_RCPT | HISTORY_WRITTEN_TO_BY_ANY;
			return;
		}
	}
}

static bool logged_in_from(struct history *h, struct bytes ip)
{
	struct ip network = learn_network(ip);
	struct db_query *q = db_query(h->index,
	                              "SELECT last FROM network WHERE owner=? AND network=?");
	bool found;

	db_bind(q, "ub", h->own, bytes_of(network.octets, sizeof(network.octets)));
	found = db_next(q) && h->j->now - db_i64(q, 0) < LOGIN_AGE_MS;
	db_end(q);
	return found;
}

/* The client itself, or who handed it the mail: a provider's relay says so in its Received line. */
static void own_network(struct history *h)
{
	struct bytes rest = bytes_first(h->ask->received, RECEIVED_MAX * sizeof(struct ip));
	bool found;

	if (h->own == 0)
		return;
	found = logged_in_from(h, h->ask->ip);
	for (; !found && rest.len >= sizeof(struct ip); rest = bytes_skip(rest, sizeof(struct ip)))
		found = logged_in_from(h, bytes_first(rest, sizeof(struct ip)));
	if (found)
		h->ret->known |= HISTORY_OWN_LOGIN_NETWORK;
}

/* ---- what was learnt ---- */

struct reputation {
	uint64_t good, bad;
	int64_t first, last;
};

static bool reputation_find(struct history *h, uint64_t key, struct reputation *ret)
{
	struct db_query *q = db_query(h->learnt,
	                              "SELECT good, bad, first, last FROM reputation WHERE key=?");
	bool found;

	db_bind(q, "u", key);
	found = db_next(q);
	if (found)
		*ret = (struct reputation){db_u64(q, 0), db_u64(q, 1), db_i64(q, 2), db_i64(q, 3)};
	db_end(q);
	return found;
}

static bool is_good(const struct history *h, const struct reputation *r, uint64_t mails)
{
	return r->good >= mails && r->bad * GOOD_PER_BAD <= r->good &&
	       h->j->now - r->first >= GOOD_AGE_MS;
}

static void put_reputation(struct buf *out, enum history_about about, const struct reputation *r)
{
	buf_u8(out, (uint8_t)about);
	buf_u32(out, (uint32_t)r->good);
	buf_u32(out, (uint32_t)r->bad);
	buf_u64(out, (uint64_t)r->first);
	buf_u64(out, (uint64_t)r->last);
}

static void reputations(struct history *h)
{
	const struct ask_history *a = h->ask;
	struct ip network = learn_network(a->ip);
	struct reputation r;
	struct buf out = {0};

	if (a->from.len && reputation_find(h, learn_key('a', a->from), &r)) {
		h->ret->known |= r.good > 0 && r.good >= r.bad ? HISTORY_SEEN_ADDRESS : 0;
		put_reputation(&out, HISTORY_ADDRESS, &r);
	}
	if (a->domain.len && reputation_find(h, learn_key('d', a->domain), &r)) {
		h->ret->known |= r.good > 0 ? HISTORY_SEEN_DOMAIN : 0;
		h->ret->known |= !h->free_mail && is_good(h, &r, GOOD_MAILS) ? HISTORY_GOOD_DOMAIN
		                                                             : 0;
		put_reputation(&out, HISTORY_DOMAIN, &r);
	}
	if (reputation_find(h, learn_key('n', bytes_of(network.octets, sizeof(network.octets))),
	                    &r)) {
		h->ret->known |= is_good(h, &r, GOOD_NETWORK_MAILS) ? HISTORY_GOOD_NETWORK : 0;
		put_reputation(&out, HISTORY_NETWORK, &r);
	}
	h->ret->reputations = arena_copy(&h->j->arena, buf_bytes(&out));
	buf_done(&out);
}

/* Old enough and often enough that nobody made it just for this mail. */
static bool way_is_known(struct history *h, uint64_t key)
{
	struct db_query *q = db_query(h->learnt, "SELECT good, first FROM way WHERE key=?");
	bool known;

	db_bind(q, "u", key);
	known = db_next(q) && db_u64(q, 0) >= WAY_MAILS && h->j->now - db_i64(q, 1) >= WAY_AGE_MS;
	db_end(q);
	return known;
}

static void ways(struct history *h)
{
	struct ip network = learn_network(h->ask->ip);
	struct bytes octets = bytes_of(network.octets, sizeof(network.octets)), none = {0};

	if (h->ask->from.len == 0)
		return;
	if (way_is_known(h, learn_way_key(h->ask->from, none, octets)) ||
	    (h->ask->domain.len &&
	     way_is_known(h, learn_way_key(h->ask->from, h->ask->domain, octets))))
		h->ret->known |= HISTORY_SEEN_SAME_WAY;
}

static bool is_there(struct history *h, const char *sql, uint64_t key)
{
	struct db_query *q = db_query(h->learnt, sql);
	bool found;

	db_bind(q, "u", key);
	found = db_next(q);
	db_end(q);
	return found;
}

static void letters(struct history *h)
{
	struct wire w = wire_of(h->ask->replies_to);

	for (int i = 0; i < REPLIES_MAX && !wire_end(&w); i++) {
		struct bytes id = wire_block(&w);

		if (!w.bad && is_there(h, "SELECT 1 FROM sent WHERE key=?", learn_key('i', id)))
			h->ret->known |= HISTORY_REPLY_TO_OURS;
	}
	if (h->ask->from.len &&
	    is_there(h, "SELECT 1 FROM written WHERE key=?", learn_key('a', h->ask->from)))
		h->ret->known |= HISTORY_WRITTEN_TO_BY_ANY;
}

static void count_token(struct history *h, uint64_t token, struct buf *out)
{
	struct db_query *q = db_query(h->learnt, "SELECT bad, good FROM token WHERE token=?");

	db_bind(q, "u", token & INT64_MAX);
	if (db_next(q)) {
		buf_u32(out, (uint32_t)db_u64(q, 0));
		buf_u32(out, (uint32_t)db_u64(q, 1));
	} else {
		buf_u64(out, 0);
	}
	db_end(q);
}

static void words(struct history *h)
{
	struct db_query *q = db_query(h->learnt, "SELECT bad, good FROM total");
	struct wire w = wire_of(bytes_first(h->ask->tokens, (size_t)TOKENS_MOST * 8));
	struct buf out = {0};

	db_bind(q, "");
	if (db_next(q)) {
		h->ret->bad_total = (uint32_t)db_u64(q, 0);
		h->ret->good_total = (uint32_t)db_u64(q, 1);
	}
	db_end(q);
	while (h->ret->bad_total && h->ret->good_total && w.rest.len >= 8)
		count_token(h, wire_u64(&w), &out);
	h->ret->tokens = arena_copy(&h->j->arena, buf_bytes(&out));
	buf_done(&out);
}

enum result run_history_learnt(struct store *s, struct job *j, struct why *why)
{
	struct history h = {.s = s,
	                    .j = j,
	                    .ask = &j->ask.history,
	                    .ret = &j->answer.history,
	                    .index = j->reader->db};
	uint64_t accounts[RCPTS_MAX];
	size_t count = look_up(&h, accounts);

	/* On a reader's thread, where there is no learning thread, only the index is asked. */
	if (s->learn && j->reader == &s->learn->reader)
		h.learnt = s->learn->db;
	db_snapshot(h.index);
	written_to(&h, accounts, count);
	own_network(&h);
	db_snapshot_end(h.index);
	if (h.learnt) {
		db_snapshot(h.learnt);
		reputations(&h);
		ways(&h);
		letters(&h);
		words(&h);
		db_snapshot_end(h.learnt);
	}
	return db_failed(h.index, why);
}
