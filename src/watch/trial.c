#include "watch/trial.h"

#include <math.h>

#define MINUTE_MS (60LL * 1000)
#define HOUR_MS (60 * MINUTE_MS)
#define DAY_MS (24 * HOUR_MS)
#define WEEK_MS (7 * DAY_MS)
#define HOLD_MS (6 * HOUR_MS)
#define HOLD_TESTS_MS (30 * MINUTE_MS)
#define LATELY_MS (TRIAL_MINUTES * MINUTE_MS)

enum {
	VERSION = 1,
	KNOWN_MOST = 1,
	KNOWN_SHARE = 50,
	CLEAN_LEAST = 4,
	RATE_LEAST = 20,
	RATE_HISTORY = 100,
	HOUR_LEAST = 10,
	HISTORY = 2
};

const char *trial_state_name(enum trial_state s)
{
	static const char *const names[TRIAL_STATES] = {
	        [TRIAL_PROVEN] = "proven",
	        [TRIAL_UNPROVEN] = "unproven",
	        [TRIAL_BLIND] = "blind",
	        [TRIAL_DEMOTED] = "demoted",
	};

	return s < TRIAL_STATES ? names[s] : "unknown";
}

const char *trial_cause_name(enum trial_cause c)
{
	static const char *const names[TRIAL_CAUSES] = {
	        [TRIAL_NO_CAUSE] = "",        [TRIAL_KNOWN] = "known-senders",
	        [TRIAL_CLEAN] = "clean-mail", [TRIAL_RATE] = "rate",
	        [TRIAL_MAD_TESTS] = "tests",
	};

	return c < TRIAL_CAUSES ? names[c] : "unknown";
}

/* ---- counting ---- */

static struct trial_count *bucket(struct trial_count *ring, size_t size, int64_t at)
{
	struct trial_count *c = &ring[(uint64_t)at % size];

	if (c->at != at)
		*c = (struct trial_count){.at = at};
	return c;
}

static void count_one(struct trial_count *c, const struct trial_said *s)
{
	if (s->doubt) {
		c->doubts++;
		return;
	}
	c->seen++;
	c->bad += s->accuses;
	c->good += s->known;
	c->good_bad += s->known && s->accuses;
	c->clean += s->clean;
	c->clean_bad += s->clean && s->accuses;
}

static void add(struct trial_count *sum, const struct trial_count *c)
{
	sum->seen += c->seen;
	sum->bad += c->bad;
	sum->good += c->good;
	sum->good_bad += c->good_bad;
	sum->clean += c->clean;
	sum->clean_bad += c->clean_bad;
	sum->doubts += c->doubts;
}

/* Buckets numbered from first to last. */
static struct trial_count sum_of(const struct trial_count *ring, size_t size, int64_t first,
                                 int64_t last)
{
	struct trial_count sum = {0};

	for (size_t i = 0; i < size; i++)
		if (ring[i].at >= first && ring[i].at <= last)
			add(&sum, &ring[i]);
	return sum;
}

struct trial_count trial_sum(const struct trial *t, time_ms now, unsigned hours)
{
	int64_t hour = now / HOUR_MS;

	return sum_of(t->hours, TRIAL_HOURS, hour - (int64_t)hours + 1, hour);
}

static struct trial_count lately(const struct trial *t, time_ms now)
{
	int64_t minute = now / MINUTE_MS;

	return sum_of(t->minutes, TRIAL_MINUTES, minute - TRIAL_MINUTES + 1, minute);
}

/* What is usual: the hours before the present ones. */
static struct trial_count usual(const struct trial *t, time_ms now)
{
	int64_t hour = now / HOUR_MS;

	return sum_of(t->hours, TRIAL_HOURS, hour - TRIAL_HOURS + 1, hour - HISTORY + 1);
}

/* Kept once a domain, the newest first. True: it was not among those of this span. */
static bool remember(struct trial_hit hits[TRIAL_HITS], uint64_t who, time_ms at, time_ms span)
{
	size_t i = 0;
	bool fresh;

	while (i < TRIAL_HITS - 1 && hits[i].at && hits[i].who != who)
		i++;
	fresh = hits[i].who != who || at - hits[i].at >= span;
	memmove(hits + 1, hits, i * sizeof(*hits));
	hits[0] = (struct trial_hit){who, at};
	return fresh;
}

static unsigned hits_since(const struct trial_hit hits[TRIAL_HITS], time_ms since)
{
	unsigned n = 0;

	for (size_t i = 0; i < TRIAL_HITS; i++)
		n += hits[i].at && hits[i].at > since;
	return n;
}

/* ---- chance ---- */

/* The probability that of n things k or more happen when each does with p. */
static double at_least(unsigned n, unsigned k, double p)
{
	double sum = 0;

	for (unsigned i = k; i <= n; i++)
		sum += exp(lgamma(n + 1.0) - lgamma(i + 1.0) - lgamma(n - i + 1.0) + i * log(p) +
		           (n - i) * log1p(-p));
	return sum < 1 ? sum : 1;
}

static bool jumped(unsigned n, unsigned k, double p, double chance)
{
	if (n > 1000) {
		k = (unsigned)((uint64_t)k * 1000 / n);
		n = 1000;
	}
	return k > 0 && at_least(n, k, p < 0.97 ? p : 0.97) < chance;
}

/* Twice the usual share. Without a history that is taken as 40%, so that a young check is not demoted for doing its work. */
static double twice_usual(uint64_t seen, uint64_t bad)
{
	return 2 * ((double)bad + 8) / ((double)seen + 20);
}

static bool clean_jumped(const struct trial *t, time_ms now)
{
	struct trial_count now_ = lately(t, now), before = usual(t, now);

	/* One sender's many mails are one. */
	if (hits_since(t->clean, now - LATELY_MS) < CLEAN_LEAST)
		return false;
	return jumped(now_.clean, now_.clean_bad, twice_usual(before.clean, before.clean_bad),
	              1.5e-4);
}

/* The largest share of an hour that was. */
static double worst_hour(const struct trial *t, time_ms now)
{
	int64_t present = now / HOUR_MS;
	double worst = 0;

	for (size_t i = 0; i < TRIAL_HOURS; i++) {
		const struct trial_count *c = &t->hours[i];
		double share = c->seen ? (double)c->bad / c->seen : 0;

		if (c->seen >= HOUR_LEAST && c->at > present - TRIAL_HOURS &&
		    c->at <= present - HISTORY && share > worst)
			worst = share;
	}
	return worst;
}

/* Waves of junk come and go, so this must be more than the worst hour was, and nearly everything. */
static bool rate_jumped(const struct trial *t, time_ms now)
{
	struct trial_count now_ = lately(t, now), before = usual(t, now);
	double p = twice_usual(before.seen, before.bad), worst = worst_hour(t, now);

	if (before.seen < RATE_HISTORY || now_.bad < RATE_LEAST)
		return false;
	p = p > 0.8 ? p : 0.8;
	return jumped(now_.seen, now_.bad, p > worst ? p : worst, 1e-6);
}

static bool known_beyond(const struct trial *t, time_ms now)
{
	unsigned domains = hits_since(t->known, now - DAY_MS);
	struct trial_count day = trial_sum(t, now, 24);

	return domains > KNOWN_MOST && day.good_bad > day.good / KNOWN_SHARE;
}

/* ---- demotion ---- */

static time_ms hold_of(const struct trial *t)
{
	time_ms hold = t->cause == TRIAL_MAD_TESTS ? HOLD_TESTS_MS : HOLD_MS;

	for (unsigned i = 1; i < t->demotions && hold < WEEK_MS; i++)
		hold *= 2;
	return hold < WEEK_MS ? hold : WEEK_MS;
}

time_ms trial_returns(const struct trial *t)
{
	return t->demoted ? t->troubled + hold_of(t) : 0;
}

static unsigned demote(struct trial *t, enum trial_cause cause, time_ms since, time_ms now)
{
	t->troubled = now;
	if (t->demoted)
		return 0;
	t->demotions = t->restored && now - t->restored < WEEK_MS ? t->demotions + 1 : 1;
	t->cause = cause;
	t->demoted = now;
	t->bad_since = since;
	return TRIAL_DEMOTES;
}

static unsigned restore(struct trial *t, time_ms now)
{
	t->demoted = 0;
	t->cause = TRIAL_NO_CAUSE;
	t->restored = now;
	t->doubts = 0;
	memset(t->known, 0, sizeof(t->known));
	memset(t->clean, 0, sizeof(t->clean));
	memset(t->minutes, 0, sizeof(t->minutes));
	return TRIAL_RESTORES;
}

unsigned trial_restore(struct trial *t, time_ms now)
{
	return t->demoted ? restore(t, now) : 0;
}

unsigned trial_tick(struct trial *t, time_ms now)
{
	return t->demoted && now >= trial_returns(t) ? restore(t, now) : 0;
}

/* ---- blindness ---- */

static unsigned sees(struct trial *t)
{
	t->doubts = 0;
	if (!t->blind)
		return 0;
	t->blind = 0;
	return TRIAL_SEES;
}

static unsigned blinded(struct trial *t, time_ms now)
{
	/* One that lists everybody is known to be broken already. */
	if (t->blind || (t->demoted && t->cause == TRIAL_MAD_TESTS))
		return 0;
	t->blind = t->last_usable ? t->last_usable : now;
	return TRIAL_BLINDS;
}

/* ---- what it says ---- */

static unsigned hear_doubt(struct trial *t, const struct trial_said *s)
{
	t->doubts++;
	return t->doubts >= (t->tested ? TRIAL_DOUBTS : TRIAL_DOUBTS_UNTESTED) ? blinded(t, s->at)
	                                                                       : 0;
}

static time_ms oldest_hit(const struct trial_hit hits[TRIAL_HITS], time_ms since)
{
	time_ms oldest = 0;

	for (size_t i = 0; i < TRIAL_HITS; i++)
		if (hits[i].at > since && (!oldest || hits[i].at < oldest))
			oldest = hits[i].at;
	return oldest;
}

static unsigned hear_accusation(struct trial *t, const struct trial_said *s)
{
	if (s->known)
		(void)remember(t->known, s->who, s->at, DAY_MS);
	if (s->clean)
		(void)remember(t->clean, s->who, s->at, LATELY_MS);
	if (s->known && known_beyond(t, s->at))
		return demote(t, TRIAL_KNOWN, oldest_hit(t->known, s->at - DAY_MS), s->at);
	if (s->clean && clean_jumped(t, s->at))
		return demote(t, TRIAL_CLEAN, s->at - LATELY_MS, s->at);
	if (rate_jumped(t, s->at))
		return demote(t, TRIAL_RATE, s->at - LATELY_MS, s->at);
	return 0;
}

unsigned trial_hear(struct trial *t, const struct trial_said *s)
{
	unsigned events = trial_tick(t, s->at);

	if (!t->first)
		t->first = s->at;
	t->last = s->at;
	count_one(bucket(t->hours, TRIAL_HOURS, s->at / HOUR_MS), s);
	count_one(bucket(t->minutes, TRIAL_MINUTES, s->at / MINUTE_MS), s);
	if (s->doubt)
		return events | hear_doubt(t, s);
	t->last_usable = s->at;
	events |= sees(t);
	return s->accuses ? events | hear_accusation(t, s) : events;
}

unsigned trial_tested(struct trial *t, time_ms now, enum trial_test result)
{
	bool again = t->test == TRIAL_TEST_SILENT;
	time_ms well = t->well_at;

	if (!t->first)
		t->first = now;
	t->tested = true;
	t->test = result;
	t->test_at = now;
	switch (result) {
	case TRIAL_TEST_WELL:
		t->well_at = now;
		t->last_usable = now;
		return sees(t) | trial_tick(t, now);
	case TRIAL_TEST_MAD: return demote(t, TRIAL_MAD_TESTS, well ? well : now - HOUR_MS, now);
	case TRIAL_TEST_MUTE: return blinded(t, now);
	case TRIAL_TEST_SILENT:
		return again || now - t->last_usable > MINUTE_MS || t->doubts ? blinded(t, now) : 0;
	default: return 0;
	}
}

enum trial_state trial_state(const struct trial *t, time_ms now)
{
	if (t->demoted)
		return TRIAL_DEMOTED;
	if (t->blind)
		return TRIAL_BLIND;
	if (t->tested && (!t->well_at || now - t->well_at > TRIAL_FRESH_MS))
		return TRIAL_UNPROVEN;
	return TRIAL_PROVEN;
}

/* ---- octets ---- */

static void pack_counts(const struct trial_count *ring, size_t size, struct buf *out)
{
	uint32_t used = 0;

	for (size_t i = 0; i < size; i++)
		used += ring[i].at != 0;
	buf_u32(out, used);
	for (size_t i = 0; i < size; i++) {
		const struct trial_count *c = &ring[i];

		if (c->at == 0)
			continue;
		buf_u64(out, (uint64_t)c->at);
		buf_u32(out, c->seen);
		buf_u32(out, c->bad);
		buf_u32(out, c->good);
		buf_u32(out, c->good_bad);
		buf_u32(out, c->clean);
		buf_u32(out, c->clean_bad);
		buf_u32(out, c->doubts);
	}
}

static void unpack_counts(struct wire *w, struct trial_count *ring, size_t size)
{
	uint32_t n = wire_u32(w);

	w->bad |= n > size;
	for (; n > 0 && !w->bad; n--) {
		struct trial_count c = {.at = (int64_t)wire_u64(w)};

		c.seen = wire_u32(w);
		c.bad = wire_u32(w);
		c.good = wire_u32(w);
		c.good_bad = wire_u32(w);
		c.clean = wire_u32(w);
		c.clean_bad = wire_u32(w);
		c.doubts = wire_u32(w);
		if (!w->bad)
			ring[(uint64_t)c.at % size] = c;
	}
}

static void pack_hits(const struct trial_hit hits[TRIAL_HITS], struct buf *out)
{
	for (size_t i = 0; i < TRIAL_HITS; i++) {
		buf_u64(out, hits[i].who);
		buf_u64(out, (uint64_t)hits[i].at);
	}
}

static void unpack_hits(struct wire *w, struct trial_hit hits[TRIAL_HITS])
{
	for (size_t i = 0; i < TRIAL_HITS; i++) {
		hits[i].who = wire_u64(w);
		hits[i].at = (int64_t)wire_u64(w);
	}
}

void trial_pack(const struct trial *t, struct buf *out)
{
	const time_ms times[] = {t->first,   t->last,     t->last_usable, t->test_at,  t->well_at,
	                         t->demoted, t->troubled, t->bad_since,   t->restored, t->blind};

	buf_u8(out, VERSION);
	buf_u8(out, t->tested);
	buf_u8(out, (uint8_t)t->test);
	buf_u8(out, (uint8_t)t->cause);
	buf_u32(out, t->doubts);
	buf_u32(out, t->demotions);
	for (size_t i = 0; i < sizeof(times) / sizeof(*times); i++)
		buf_u64(out, (uint64_t)times[i]);
	pack_hits(t->known, out);
	pack_hits(t->clean, out);
	pack_counts(t->hours, TRIAL_HOURS, out);
	pack_counts(t->minutes, TRIAL_MINUTES, out);
}

/* What cannot be read is a new record. */
void trial_unpack(struct bytes in, struct trial *ret)
{
	struct wire w = wire_of(in);
	struct trial t = {0};
	time_ms *const times[] = {&t.first,   &t.last,     &t.last_usable, &t.test_at,  &t.well_at,
	                          &t.demoted, &t.troubled, &t.bad_since,   &t.restored, &t.blind};

	if (wire_u8(&w) != VERSION)
		return;
	t.tested = wire_u8(&w) != 0;
	t.test = wire_u8(&w);
	t.cause = wire_u8(&w);
	t.doubts = wire_u32(&w);
	t.demotions = wire_u32(&w);
	for (size_t i = 0; i < sizeof(times) / sizeof(*times); i++)
		*times[i] = (int64_t)wire_u64(&w);
	unpack_hits(&w, t.known);
	unpack_hits(&w, t.clean);
	unpack_counts(&w, t.hours, TRIAL_HOURS);
	unpack_counts(&w, t.minutes, TRIAL_MINUTES);
	if (!w.bad)
		*ret = t;
}
