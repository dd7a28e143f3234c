#include "policy/ban.h"

#include <stdio.h>

#include "base/memory.h"

#define WEEK_MS (7 * 24 * 3600 * 1000LL)
#define DAY_MS (24 * 3600 * 1000LL)

enum {
	V4_MAPPED = 96, /* struct ip_prefix counts bits in the mapped form */
	UNIT_V6 = 64,
	NETWORK_V4 = V4_MAPPED + 24,
	NETWORK_V6 = 48,
	WIDEST_V4 = V4_MAPPED + 8,
	WIDEST_V6 = 16,
	EVICT_LOOKS = 64,
	LEVEL_MOST = 16,
	FREE_PASSWORDS = 2, /* of one user, from a good network */
};

/* ---- what each offence weighs, in hundredths of a point (ten points ban by default) ---- */

static const struct {
	const char *word;
	uint16_t first; /* from an address that is nobody's */
	uint16_t again; /* the second and further passwords for the same user */
	uint16_t good;  /* from a good network; of passwords only beyond FREE_PASSWORDS */
	bool guess;     /* counts for a campaign */
} offences[BAN_OFFENCES] = {
        [BAN_NOTHING] = {"none", 0, 0, 0, false},
        [BAN_WRONG_PASSWORD] = {"wrong-password", 100, 200, 100, true},
        [BAN_UNKNOWN_USER] = {"unknown-user", 200, 100, 20, true},
        [BAN_UNKNOWN_RCPT] = {"unknown-recipient", 50, 50, 10, true},
        [BAN_RELAY] = {"relaying", 300, 300, 100, false},
        [BAN_PROBING] = {"probing", 400, 400, 100, false},
        [BAN_EARLY] = {"early-talker", 100, 100, 20, false},
        [BAN_JAIL] = {"jail", 200, 200, 100, true},
        [BAN_OPERATOR] = {"operator", 0, 0, 0, false},
        [BAN_NEIGHBOURS] = {"neighbours", 0, 0, 0, false},
};

const char *ban_offence_word(enum ban_offence what)
{
	return what < BAN_OFFENCES ? offences[what].word : "unknown";
}

static uint32_t weight(enum ban_offence what, unsigned nth, bool good)
{
	bool password = what == BAN_WRONG_PASSWORD;

	if (nth == 0)
		return 0;
	if (good)
		return password && (nth <= FREE_PASSWORDS || nth == BAN_NTH_UNSEEN)
		               ? 0
		               : offences[what].good;
	return nth == 1 ? offences[what].first : offences[what].again;
}

/* ---- networks ---- */

static struct ip_prefix prefix_of(const struct ip *ip, unsigned bits)
{
	struct ip_prefix p = {*ip, (uint8_t)bits};

	for (unsigned i = 0; i < 16; i++) {
		unsigned keep = bits > i * 8 ? bits - i * 8 : 0;

		if (keep < 8)
			p.ip.octets[i] &= (uint8_t)(0xff00u >> keep);
	}
	return p;
}

struct ip_prefix ban_unit(const struct ip *ip)
{
	return prefix_of(ip, ip_is_v4(ip) ? 128 : UNIT_V6);
}

struct ip_prefix ban_network(const struct ip *ip)
{
	return prefix_of(ip, ip_is_v4(ip) ? NETWORK_V4 : NETWORK_V6);
}

bool ban_allowed(const struct ban_settings *s, const struct ip *ip)
{
	for (size_t i = 0; i < s->allow_count; i++) {
		if (ip_prefix_contains(&s->allow[i], ip))
			return true;
	}
	return false;
}

void ban_format(const struct ip_prefix *what, char out[BAN_TEXT])
{
	bool v4 = ip_is_v4(&what->ip) && what->bits >= V4_MAPPED;
	char ip[IP_TEXT];

	ip_format(&what->ip, ip);
	if (what->bits == 128)
		snprintf(out, BAN_TEXT, "%s", ip);
	else
		snprintf(out, BAN_TEXT, "%s/%u", ip, what->bits - (v4 ? V4_MAPPED : 0u));
}

enum result ban_parse(struct bytes text, struct ip_prefix *ret)
{
	struct ip_prefix p;
	bool v4;

	if (ip_prefix_parse(text, &p) != OK)
		return INVALID;
	v4 = ip_is_v4(&p.ip) && p.bits >= V4_MAPPED;
	if (p.bits == 128 && bytes_find_char(text, '/') == BYTES_NONE)
		p = ban_unit(&p.ip);
	if (p.bits < (v4 ? WIDEST_V4 : WIDEST_V6))
		return INVALID;
	*ret = p;
	return OK;
}

/* ---- records ---- */

enum { KEY = sizeof(struct ip) + 1 };

static struct bytes key_of(const struct ip_prefix *what, uint8_t room[KEY])
{
	memcpy(room, what->ip.octets, sizeof(what->ip.octets));
	room[KEY - 1] = what->bits;
	return bytes_of(room, KEY);
}

struct ban_record *ban_record_of(struct ban_book *b, const struct ip_prefix *what)
{
	uint8_t room[KEY];

	return map_get(&b->records, key_of(what, room));
}

static void drop(struct ban_book *b, struct ban_record *r)
{
	uint8_t room[KEY];

	if (r->until)
		b->lengths[r->what.bits]--;
	map_remove(&b->records, key_of(&r->what, room));
	memory_free((char *)r->detail.ptr);
	memory_free(r);
}

/* Worth of keeping: a ban and where our people are more than what happened last, so that no flood of addresses makes
 * either forgotten. */
static time_ms worth(const struct ban_record *r)
{
	time_ms kept = r->good ? r->good + BAN_GOOD_MS : 0;

	if (r->until && r->until + BAN_GOOD_MS > kept)
		kept = r->until + BAN_GOOD_MS;
	return r->last > kept ? r->last : kept;
}

static void evict(struct ban_book *b)
{
	struct ban_record *least = NULL;

	for (unsigned i = 0; i < EVICT_LOOKS; i++) {
		struct map_entry *e = map_each(&b->records, &b->sweep);

		if (!e) {
			b->sweep = 0;
			continue;
		}
		if (!least || worth(e->value) < worth(least))
			least = e->value;
	}
	if (least)
		drop(b, least);
}

/* Before records are taken, at most two: none that is held goes. */
static void make_room(struct ban_book *b)
{
	while (b->records.count + 2 > BAN_RECORDS_MAX)
		evict(b);
}

static struct ban_record *record_get(struct ban_book *b, const struct ip_prefix *what)
{
	struct ban_record *r = ban_record_of(b, what);
	uint8_t room[KEY];

	if (r)
		return r;
	r = NEW(struct ban_record);
	r->what = *what;
	map_put(&b->records, key_of(what, room), r);
	return r;
}

void ban_done(struct ban_book *b)
{
	struct map_entry *e;

	for (size_t at = 0; (e = map_each(&b->records, &at));) {
		struct ban_record *r = e->value;

		memory_free((char *)r->detail.ptr);
		memory_free(r);
	}
	map_done(&b->records);
	*b = (struct ban_book){0};
}

/* ---- scores ---- */

/* Halves, and between them a straight line. */
uint32_t ban_score(const struct ban_record *r, const struct ban_settings *s, time_ms now)
{
	time_ms age = now > r->scored ? now - r->scored : 0;
	uint64_t score = r->score;

	while (age >= s->half_ms && score) {
		score /= 2;
		age -= s->half_ms;
	}
	return (uint32_t)(score - score * (uint64_t)age / 2 / (uint64_t)s->half_ms);
}

static void add_score(struct ban_record *r, const struct ban_settings *s, uint32_t points,
                      time_ms now)
{
	r->score = ban_score(r, s, now) + points;
	r->scored = now;
}

/* ---- good networks ---- */

void ban_good(struct ban_book *b, const struct ip *ip, time_ms now)
{
	struct ip_prefix network = ban_network(ip);

	make_room(b);
	record_get(b, &network)->good = now;
}

bool ban_is_good(struct ban_book *b, const struct ip *ip, time_ms now)
{
	struct ip_prefix network = ban_network(ip);
	const struct ban_record *r = ban_record_of(b, &network);

	return r && r->good && now - r->good < BAN_GOOD_MS;
}

/* ---- bans ---- */

static time_ms duration(const struct ban_settings *s, uint32_t level)
{
	time_ms ms = s->first_ms;

	for (uint32_t i = 0; i < level && ms < s->most_ms; i++)
		ms *= 4;
	return ms < s->most_ms ? ms : s->most_ms;
}

/* One level is forgotten for each week that it kept quiet after its ban. */
static uint32_t level_now(const struct ban_record *r, time_ms now)
{
	uint64_t weeks = r->until && now > r->until ? (uint64_t)((now - r->until) / WEEK_MS) : 0;

	return weeks < r->level ? r->level - (uint32_t)weeks : 0;
}

static void set_until(struct ban_book *b, struct ban_record *r, time_ms until)
{
	b->lengths[r->what.bits] += (until != 0) - (r->until != 0);
	r->until = until;
}

static void begin(struct ban_book *b, const struct ban_settings *s, struct ban_record *r,
                  enum ban_offence reason, time_ms now, struct ban_verdict *v)
{
	uint32_t level = level_now(r, now);

	r->since = now;
	r->reason = (uint8_t)reason;
	set_until(b, r, now + duration(s, level));
	r->level = level < LEVEL_MOST ? level + 1 : level;
	r->score = 0;
	v->fresh[v->count++] = r;
}

struct ban_record *ban_find(struct ban_book *b, const struct ban_settings *s, const struct ip *ip,
                            time_ms now)
{
	if (!s->on || ban_allowed(s, ip))
		return NULL;
	for (unsigned bits = 0; bits <= 128; bits++) {
		struct ip_prefix p;
		struct ban_record *r;

		if (!b->lengths[bits])
			continue;
		p = prefix_of(ip, bits);
		r = ban_record_of(b, &p);
		if (r && r->until > now)
			return r;
	}
	return NULL;
}

struct ban_record *ban_put(struct ban_book *b, const struct ip_prefix *what,
                           enum ban_offence reason, time_ms since, time_ms until, uint32_t level,
                           struct bytes detail)
{
	struct ban_record *r;

	make_room(b);
	r = record_get(b, what);
	memory_free((char *)r->detail.ptr);
	r->detail = (struct bytes){0};
	if (detail.len) {
		char *copy = memory_get(detail.len);

		memcpy(copy, detail.ptr, detail.len);
		r->detail = bytes_of(copy, detail.len);
	}
	r->since = since;
	r->reason = (uint8_t)reason;
	r->level = level;
	set_until(b, r, until);
	return r;
}

bool ban_lift(struct ban_book *b, const struct ip_prefix *what, time_ms now)
{
	struct ban_record *r = ban_record_of(b, what);

	if (!r || r->until <= now)
		return false;
	set_until(b, r, 0);
	r->score = 0;
	r->level = 0;
	r->members = r->members_banned = 0;
	return true;
}

/* ---- many at once ---- */

bool ban_campaign(struct ban_book *b, time_ms now)
{
	if (b->campaign_since && now - b->campaign_last > BAN_CAMPAIGN_QUIET_MS)
		b->campaign_since = 0;
	return b->campaign_since != 0;
}

/* An address that guesses, counted once in BAN_CAMPAIGN_MS. */
static void count_guesser(struct ban_book *b, struct ban_record *r, time_ms now,
                          struct ban_verdict *v)
{
	bool was = ban_campaign(b, now);

	if (now - b->half_at >= BAN_CAMPAIGN_MS / 2) {
		b->guessers[1] = now - b->half_at < BAN_CAMPAIGN_MS ? b->guessers[0] : 0;
		b->guessers[0] = 0;
		b->half_at = now;
	}
	if (r->guessed && now - r->guessed < BAN_CAMPAIGN_MS)
		return;
	r->guessed = now;
	b->guessers[0]++;
	if (was)
		b->campaign_addresses++;
	if (b->guessers[0] + b->guessers[1] < BAN_CAMPAIGN_ADDRESSES)
		return;
	b->campaign_last = now;
	if (!was) {
		b->campaign_since = now;
		b->campaign_addresses = b->guessers[0] + b->guessers[1];
		b->campaign_bans = 0;
		v->campaign_begins = true;
	}
}

/* ---- an offence ---- */

/* A network is banned when several of its addresses are, or when many of them together did enough. */
static void judge_network(struct ban_book *b, const struct ban_settings *s, struct ban_record *n,
                          enum ban_offence what, bool good, time_ms now, struct ban_verdict *v)
{
	uint32_t threshold = s->threshold * BAN_POINT * BAN_NETWORK_FACTOR;

	if (good || n->until > now)
		return;
	if (n->members_banned >= BAN_NETWORK_ADDRESSES)
		begin(b, s, n, BAN_NEIGHBOURS, now, v);
	else if (n->members >= BAN_NETWORK_ADDRESSES && ban_score(n, s, now) >= threshold)
		begin(b, s, n, what, now, v);
	else
		return;
	n->members = n->members_banned = 0;
}

static void count_member(struct ban_record *n, const struct ban_record *r, time_ms now)
{
	if (now - n->members_since > DAY_MS) {
		n->members = n->members_banned = 0;
		n->members_since = now;
	}
	n->members += !r->last || r->last < n->members_since;
}

static void note(struct ban_record *r, enum ban_offence what, time_ms now)
{
	r->counts[what]++;
	r->last = now;
	if (!r->first)
		r->first = now;
}

void ban_offend(struct ban_book *b, const struct ban_settings *s, const struct ip *ip,
                enum ban_offence what, unsigned nth, time_ms now, struct ban_verdict *ret)
{
	struct ip_prefix unit = ban_unit(ip), network = ban_network(ip);
	struct ban_record *r, *n;
	bool good = ban_is_good(b, ip, now);
	uint32_t points = weight(what, nth, good), threshold = s->threshold * BAN_POINT;

	/* Each of many addresses does little: who guesses at nobody meanwhile is one of them. */
	if (what == BAN_UNKNOWN_USER && !good && ban_campaign(b, now))
		points *= 2;

	*ret = (struct ban_verdict){0};
	if (!s->on || what >= BAN_OFFENCES || ban_allowed(s, ip))
		return;
	if (what == BAN_NOTHING) {
		r = ban_record_of(b, &unit);
		if (r && r->score) {
			add_score(r, s, 0, now);
			r->score -= r->score < BAN_POINT ? r->score : BAN_POINT;
		}
		return;
	}
	make_room(b);
	n = record_get(b, &network);
	r = record_get(b, &unit);
	if (points)
		count_member(n, r, now);
	note(r, what, now);
	note(n, what, now);
	add_score(r, s, points, now);
	add_score(n, s, points, now);
	if (points && offences[what].guess && !good)
		count_guesser(b, r, now, ret);
	if (!good && ban_campaign(b, now))
		threshold /= 2;
	if (points && r->score >= threshold && r->until <= now) {
		n->members_banned += !r->since || r->since < n->members_since;
		begin(b, s, r, what, now, ret);
		b->campaign_bans += b->campaign_since != 0;
	}
	judge_network(b, s, n, what, good, now, ret);
}
