#include "watch/silence.h"

#include <assert.h>
#include <stdlib.h>

#include "base/text.h"
#include "base/wire.h"

enum {
	STRETCH = 6 * 60, /* minutes: shorter ones are the pauses of a working day */
	SAMPLES = 4,      /* of a weekday, or it goes by all of them */
	REGULAR = 10,     /* of all, before a rhythm is believed */
	VERSION = 1,
	LONGEST = 60 * 24 * 60, /* what comes more seldom is not missed */
	DAY = 24 * 60,
};

#define MINUTE_MS 60000LL
#define DAY_MS (DAY * MINUTE_MS)

/* How much must have come, over how long, before its silence means anything. */
static const struct {
	unsigned count, days;
} enough[] = {
        [SILENCE_PAIR] = {30, 42},
        [SILENCE_LIST] = {12, 14},
        [SILENCE_HOST] = {6, 5},
        [SILENCE_ALL] = {30, 7},
};

/* 1970-01-01 was a Thursday; in UTC, since the same weekday each week is all that counts. */
static unsigned weekday(time_ms at)
{
	return (unsigned)((at / DAY_MS + 4) % SILENCE_DAYS);
}

void silence_arrived(struct silence *s, time_ms at)
{
	if (at < s->last)
		at = s->last;
	if (s->count > 0) {
		int64_t minutes = (at - s->last) / MINUTE_MS;
		uint32_t stretch = minutes > 10 * LONGEST ? 10 * LONGEST : (uint32_t)minutes;
		unsigned day = weekday(s->last);

		s->recent[s->recent_at] = stretch + 1;
		s->recent_at = (uint8_t)((s->recent_at + 1) % SILENCE_RECENT);
		if (stretch >= STRETCH) {
			s->stretches[day][s->at[day]] = stretch;
			s->at[day] = (uint8_t)((s->at[day] + 1) % SILENCE_KEPT);
		}
	} else {
		s->first = at;
	}
	s->count++;
	s->last = at;
}

/* ---- how long is too long? ---- */

enum { ALL = SILENCE_DAYS * SILENCE_KEPT };

static_assert((int)SILENCE_RECENT <= (int)ALL, "one room for either");

/* Values in ascending order, without the free places. */
struct samples {
	uint32_t value[ALL];
	size_t count;
};

static int by_size(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static void take(const uint32_t *from, size_t count, uint32_t offset, struct samples *ret)
{
	ret->count = 0;
	for (size_t i = 0; i < count; i++)
		if (from[i])
			ret->value[ret->count++] = from[i] - offset;
	qsort(ret->value, ret->count, sizeof(*ret->value), by_size);
}

static uint32_t median(const struct samples *s)
{
	return s->count ? s->value[s->count / 2] : 0;
}

static uint32_t most(const struct samples *s)
{
	return s->count ? s->value[s->count - 1] : 0;
}

/* How many are far above what is usual. */
static size_t strays(const struct samples *s, uint32_t usual)
{
	size_t n = 0;

	for (size_t i = 0; i < s->count; i++)
		n += s->value[i] > usual + usual / 10 * 6 + 60;
	return n;
}

/* A rhythm: enough of it is known, and nearly all stretches are as long as those that began on the same weekday. Chance cannot
 * look like that: of waits without memory every third is a stray. */
static bool is_regular(const struct silence *s, const struct samples *all)
{
	size_t stray = 0;

	for (size_t day = 0; day < SILENCE_DAYS; day++) {
		struct samples own;

		take(s->stretches[day], SILENCE_KEPT, 0, &own);
		stray += strays(&own, own.count < SAMPLES ? median(all) : median(&own));
	}
	return all->count >= REGULAR && stray <= all->count / 25;
}

/* Jobs keep time; people do not. */
static uint32_t tight(uint32_t longest, enum silence_kind kind)
{
	return kind == SILENCE_PAIR ? longest + longest / 2 + 4 * 60 : longest + longest / 4 + 60;
}

/* Without a rhythm the longest wait so far is soon passed by chance: four times that is not. */
static uint32_t wide(uint32_t longest)
{
	return longest > LONGEST ? UINT32_MAX : 4 * longest;
}

static uint32_t limit_now(const struct silence *s, enum silence_kind kind)
{
	struct samples all, own;

	take(&s->stretches[0][0], ALL, 0, &all);
	if (all.count == 0) { /* day and night: jobs */
		take(s->recent, SILENCE_RECENT, 1, &all);
		if (all.count < SILENCE_RECENT)
			return 0;
		return strays(&all, median(&all)) <= all.count / 20 ? tight(most(&all), kind)
		                                                    : wide(most(&all));
	}
	if (!is_regular(s, &all))
		return wide(most(&all));
	take(s->stretches[weekday(s->last)], SILENCE_KEPT, 0, &own);
	return tight(most(own.count < SAMPLES ? &all : &own), kind);
}

time_ms silence_due(const struct silence *s, enum silence_kind kind)
{
	uint32_t limit;

	if (s->count < enough[kind].count || s->last - s->first < enough[kind].days * DAY_MS)
		return 0;
	limit = limit_now(s, kind);
	return limit == 0 || limit > LONGEST ? 0 : s->last + limit * MINUTE_MS;
}

uint32_t silence_usual(const struct silence *s)
{
	uint32_t most = 0;

	for (size_t i = 0; i < SILENCE_DAYS; i++)
		for (size_t j = 0; j < SILENCE_KEPT; j++)
			most = s->stretches[i][j] > most ? s->stretches[i][j] : most;
	for (size_t i = 0; i < SILENCE_RECENT; i++)
		most = s->recent[i] > most + 1 ? s->recent[i] - 1 : most;
	return most;
}

/* ---- octets ---- */

void silence_pack(const struct silence *s, struct buf *out)
{
	buf_u8(out, VERSION);
	buf_u64(out, s->count);
	buf_u64(out, (uint64_t)s->first);
	buf_u64(out, (uint64_t)s->last);
	for (size_t i = 0; i < SILENCE_DAYS; i++) {
		buf_u8(out, s->at[i]);
		for (size_t j = 0; j < SILENCE_KEPT; j++)
			buf_u32(out, s->stretches[i][j]);
	}
	buf_u8(out, s->recent_at);
	for (size_t i = 0; i < SILENCE_RECENT; i++)
		buf_u32(out, s->recent[i]);
}

void silence_unpack(struct bytes record, struct silence *ret)
{
	struct wire w = wire_of(record);
	unsigned version = wire_u8(&w);

	*ret = (struct silence){.count = wire_u64(&w)};
	ret->first = (time_ms)wire_u64(&w);
	ret->last = (time_ms)wire_u64(&w);
	for (size_t i = 0; i < SILENCE_DAYS; i++) {
		ret->at[i] = wire_u8(&w) % SILENCE_KEPT;
		for (size_t j = 0; j < SILENCE_KEPT; j++)
			ret->stretches[i][j] = wire_u32(&w);
	}
	ret->recent_at = wire_u8(&w) % SILENCE_RECENT;
	for (size_t i = 0; i < SILENCE_RECENT; i++)
		ret->recent[i] = wire_u32(&w);
	if (w.bad || version != VERSION)
		*ret = (struct silence){0};
}

/* ---- whose rhythm ---- */

/* The list's own part of a bounce address: "ml-bounces+ken=example.test" is "ml". 0: it is none. */
static struct bytes list_part(struct bytes local)
{
	static const char *const ends[] = {"-bounces", "-bounce",  "-return-", "-return",
	                                   "-owner",   "-request", "-errors",  "+bounces",
	                                   "+bounce",  ".bounces", "-admin"};

	if (bytes_starts_nocase(local, BYTES("owner-")))
		return bytes_skip(local, 6);
	for (size_t i = 0; i < sizeof(ends) / sizeof(*ends); i++) {
		size_t at = bytes_find(local, bytes_of_text(ends[i]));

		if (at != BYTES_NONE && at > 0)
			return bytes_first(local, at);
	}
	return (struct bytes){0};
}

static bool is_job(struct bytes local)
{
	static const char *const names[] = {"root",     "cron",   "crontab",  "backup",
	                                    "logcheck", "daemon", "logwatch", "www-data",
	                                    "anacron",  "nobody", "monitor",  "smartd"};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (bytes_equal_nocase(local, bytes_of_text(names[i])))
			return true;
	return false;
}

static void put_key(struct buf *key, const char *what, struct bytes text)
{
	buf_clear(key);
	buf_append_text(key, what);
	buf_append(key, text);
	text_lower(key->ptr + key->start, buf_len(key));
}

bool silence_key(struct bytes sender, struct bytes rcpt, enum silence_kind *ret_kind,
                 struct buf *ret_key)
{
	size_t at = bytes_find_last(sender, '@');
	struct bytes local = bytes_first(sender, at), domain = bytes_skip(sender, at + 1), list;

	if (at == BYTES_NONE || at == 0 || domain.len == 0)
		return false;
	list = list_part(local);
	if (list.len > 0) {
		struct buf name = {0};

		buf_printf(&name, "%.*s@%.*s", BYTES_ARG(list), BYTES_ARG(domain));
		put_key(ret_key, "list ", buf_bytes(&name));
		buf_done(&name);
		*ret_kind = SILENCE_LIST;
	} else if (is_job(local)) {
		put_key(ret_key, "host ", domain);
		*ret_kind = SILENCE_HOST;
	} else {
		struct buf names = {0};

		/* Variable bounce addresses never come twice. */
		if (bytes_find_char(local, '=') != BYTES_NONE || rcpt.len == 0)
			return false;
		buf_printf(&names, "%.*s > %.*s", BYTES_ARG(sender), BYTES_ARG(rcpt));
		put_key(ret_key, "pair ", buf_bytes(&names));
		buf_done(&names);
		*ret_kind = SILENCE_PAIR;
	}
	return true;
}

enum silence_kind silence_kind_of(struct bytes key)
{
	if (bytes_starts(key, BYTES("list ")))
		return SILENCE_LIST;
	if (bytes_starts(key, BYTES("host ")))
		return SILENCE_HOST;
	return bytes_starts(key, BYTES("pair ")) ? SILENCE_PAIR : SILENCE_ALL;
}
