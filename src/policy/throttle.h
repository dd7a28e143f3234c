/* Is it our network? When outbound port 25 is throttled or closed (cloud providers do both), connects
 * to hosts that have nothing to do with each other time out, some or all, while none is refused.
 * A host that is down looks the same alone; so what counts is how many unrelated networks are silent
 * at once.
 *
 *	struct throttle t = {0};                        kept by whoever connects, for its life
 *	throttle_add(&t, &ip, THROTTLE_SILENT, now);    after each connect
 *	switch (throttle_state(&t, now)) ...            changes are incidents
 *
 * A pure value: no clock, no memory of its own; bounded. */
#ifndef POLICY_THROTTLE_H
#define POLICY_THROTTLE_H

#include "base/ip.h"
#include "base/time.h"

enum { THROTTLE_OUTCOMES = 64, THROTTLE_WINDOW_MS = 10 * 60 * 1000 };

enum throttle_outcome {
	THROTTLE_ANSWERED, /* connected */
	THROTTLE_REFUSED,  /* RST or ICMP from the host: our packets got out */
	THROTTLE_SILENT,   /* timed out */
};

enum throttle_state {
	THROTTLE_FINE,   /* or too little is known */
	THROTTLE_PARTLY, /* some answer, some are silent, across unrelated networks: throttled */
	THROTTLE_CLOSED, /* nobody answers: port 25 is blocked, or the network is gone */
};

struct throttle_event {
	uint64_t network; /* /16 of IPv4, /32 of IPv6: who is unrelated */
	time_ms at;
	uint8_t outcome;
	uint8_t family; /* 4 or 6 */
};

struct throttle {
	struct throttle_event events[THROTTLE_OUTCOMES]; /* a ring */
	unsigned next, count;
	uint8_t state; /* enum throttle_state, as of the last add */
	time_ms since; /* of this state; 0: from the start */
};

/* One connect and how it ended. IPv4 and IPv6 are judged apart; where IPv4 is used it decides: a
 * machine whose IPv6 leads nowhere is not throttled. */
void throttle_add(struct throttle *t, const struct ip *destination, enum throttle_outcome outcome,
                  time_ms now);

/* The state now. Throttled: THROTTLE_SUSPECTS unrelated networks are silent, and they are a third of
 * all that were tried in the window. Once so it stays until, of the last THROTTLE_RECENT connects,
 * THROTTLE_RECOVERY unrelated networks answered and at most one was silent; or until nothing was
 * tried for a window. */
enum { THROTTLE_SUSPECTS = 4, THROTTLE_RECOVERY = 4, THROTTLE_RECENT = 8 };
enum throttle_state throttle_state(struct throttle *t, time_ms now);

/* For the incident's facts: unrelated networks that were silent, and that answered, in the window. */
void throttle_count(const struct throttle *t, time_ms now, unsigned *ret_silent,
                    unsigned *ret_answered);

#endif
