#include "policy/throttle.h"

/* What the last outcome of each network in the window was. */
struct tally {
	unsigned silent, answered;
};

static uint64_t network_of(const struct ip *ip)
{
	const uint8_t *o = ip->octets;

	if (ip_is_v4(ip))
		return 4ULL << 32 | (uint64_t)o[12] << 8 | o[13];
	return 6ULL << 32 | (uint64_t)o[0] << 24 | (uint64_t)o[1] << 16 | (uint64_t)o[2] << 8 |
	       o[3];
}

/* The nth event, counted from the newest. */
static const struct throttle_event *event(const struct throttle *t, unsigned nth)
{
	return &t->events[(t->next + THROTTLE_OUTCOMES - 1 - nth) % THROTTLE_OUTCOMES];
}

/* Was this network seen among the newer ones? Then this event is old news. */
static bool is_superseded(const struct throttle *t, unsigned nth)
{
	for (unsigned i = 0; i < nth; i++) {
		if (event(t, i)->network == event(t, nth)->network)
			return true;
	}
	return false;
}

static struct tally tally_of(const struct throttle *t, uint8_t family, time_ms from, unsigned max)
{
	struct tally tally = {0};
	unsigned seen = 0;

	for (unsigned i = 0; i < t->count && seen < max; i++) {
		const struct throttle_event *e = event(t, i);
		if (e->family != family || e->at < from)
			continue;
		seen++;
		if (is_superseded(t, i))
			continue;
		tally.silent += e->outcome == THROTTLE_SILENT;
		tally.answered += e->outcome != THROTTLE_SILENT;
	}
	return tally;
}

static uint8_t family_that_counts(const struct throttle *t, time_ms from)
{
	struct tally four = tally_of(t, 4, from, THROTTLE_OUTCOMES);

	return four.silent + four.answered > 0 ? 4 : 6;
}

static enum throttle_state judge(const struct throttle *t, time_ms now)
{
	time_ms from = now - THROTTLE_WINDOW_MS;
	uint8_t family = family_that_counts(t, from);
	struct tally all = tally_of(t, family, from, THROTTLE_OUTCOMES),
	             recent = tally_of(t, family, from, THROTTLE_RECENT);
	bool suspect = all.silent >= THROTTLE_SUSPECTS && all.silent * 2 >= all.answered;
	bool recovered = recent.answered >= THROTTLE_RECOVERY && recent.silent <= 1;

	if (all.silent + all.answered == 0 || recovered)
		return THROTTLE_FINE;
	if (!suspect)
		return (enum throttle_state)t->state;
	return all.answered == 0 ? THROTTLE_CLOSED : THROTTLE_PARTLY;
}

enum throttle_state throttle_state(struct throttle *t, time_ms now)
{
	enum throttle_state state = judge(t, now);

	if (state != t->state) {
		t->state = (uint8_t)state;
		t->since = now;
	}
	return state;
}

void throttle_add(struct throttle *t, const struct ip *destination, enum throttle_outcome outcome,
                  time_ms now)
{
	t->events[t->next] = (struct throttle_event){.network = network_of(destination),
	                                             .at = now,
	                                             .outcome = (uint8_t)outcome,
	                                             .family = ip_is_v4(destination) ? 4 : 6};
	t->next = (t->next + 1) % THROTTLE_OUTCOMES;
	t->count += t->count < THROTTLE_OUTCOMES;
	throttle_state(t, now);
}

void throttle_count(const struct throttle *t, time_ms now, unsigned *ret_silent,
                    unsigned *ret_answered)
{
	time_ms from = now - THROTTLE_WINDOW_MS;
	struct tally tally = tally_of(t, family_that_counts(t, from), from, THROTTLE_OUTCOMES);

	*ret_silent = tally.silent;
	*ret_answered = tally.answered;
}
