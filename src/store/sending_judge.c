#include "store/sending_judge.h"

#include <stdbool.h>
#include <stddef.h>

/* Below these nothing is remarkable, whatever the history. */
enum {
	FRESH_FLOOR = 50,             /* people never written to, with a history to compare with */
	FRESH_FLOOR_NEW_NETWORK = 30, /* ... while it is used from a network never seen */
	FRESH_FLOOR_NO_HISTORY =
	        200, /* an old account that never sent; a new one may begin as it likes */
	FRESH_TIMES = 5,
	UNKNOWN_FLOOR = 10,
	UNKNOWN_TIMES = 4,
	NETWORKS_FLOOR = 5,
	NETWORKS_FRESH_FLOOR = 15,
	VOLUME_FLOOR = 200,
	VOLUME_TIMES = 10,
	NEW_ACCOUNT_DAYS = 7,
	HISTORY_DAYS = 3,     /* fewer earlier days are no history */
	SPREAD_MESSAGES = 10, /* one mail to a whole family is not a run */
	SPREAD_TIMES = 3,
};

static uint32_t larger(uint32_t a, uint32_t b)
{
	return a > b ? a : b;
}

static struct sending_verdict says(enum sending_reason reason, uint32_t now, uint32_t usual)
{
	return (struct sending_verdict){reason, now, usual};
}

/* Guessed or harvested addresses: a third of them is not there, and it was never like that. A newsletter's
 * list decays slowly, so its earlier days show the same. */
static bool many_unknown(const struct sending_facts *f)
{
	return f->day.unknown >= UNKNOWN_FLOOR && f->day.unknown >= f->day.results / 3 &&
	       f->day.unknown > UNKNOWN_TIMES * f->most.unknown;
}

static uint32_t fresh_floor(const struct sending_facts *f)
{
	if (f->days >= HISTORY_DAYS)
		return f->networks_new && f->networks ? FRESH_FLOOR_NEW_NETWORK : FRESH_FLOOR;
	return f->age_days < NEW_ACCOUNT_DAYS ? UINT32_MAX : FRESH_FLOOR_NO_HISTORY;
}

static bool many_fresh(const struct sending_facts *f)
{
	uint32_t floor = fresh_floor(f), threshold;

	if (floor == UINT32_MAX)
		return false;
	threshold = larger(floor, FRESH_TIMES * f->most.fresh);
	if (f->day.fresh < threshold || f->day.fresh < f->day.recipients / 2)
		return false;
	return f->day.messages >= SPREAD_MESSAGES || f->day.fresh / SPREAD_TIMES >= threshold;
}

/* A phone changes networks too, but does not write to strangers from each. */
static bool many_networks(const struct sending_facts *f)
{
	return f->networks && f->networks_new >= NETWORKS_FLOOR &&
	       f->networks_new > f->networks / 2 && f->day.messages >= SPREAD_MESSAGES &&
	       f->day.fresh >= larger(NETWORKS_FRESH_FLOOR, 2 * f->most.fresh);
}

static bool much_more(const struct sending_facts *f)
{
	return f->days >= HISTORY_DAYS &&
	       f->day.messages >= larger(VOLUME_FLOOR, VOLUME_TIMES * f->most.messages);
}

struct sending_verdict sending_judge(const struct sending_facts *f)
{
	if (many_unknown(f))
		return says(SENDING_UNKNOWN, f->day.unknown, f->most.unknown);
	if (many_networks(f))
		return says(SENDING_NETWORKS, f->networks_new, f->networks);
	if (many_fresh(f))
		return says(SENDING_RECIPIENTS, f->day.fresh, f->most.fresh);
	if (much_more(f))
		return says(SENDING_VOLUME, f->day.messages, f->most.messages);
	return says(SENDING_FINE, 0, 0);
}

const char *sending_reason_word(enum sending_reason reason)
{
	static const char *const words[] = {"fine", "recipients", "unknown", "networks", "volume"};

	return (size_t)reason < sizeof(words) / sizeof(*words) ? words[reason] : "fine";
}
