/* How long a login waits because of wrong passwords before it, by address or by account.
 *
 * A table of fixed size: who fails often enough to throw others out of it is slowed all the same,
 * and memory cannot grow. The first failures cost nothing (people mistype), then the wait doubles
 * from half a second. A failure in ten minutes is forgotten. */
#ifndef ROLES_PENALTY_H
#define ROLES_PENALTY_H

#include "base/time.h"

enum {
	PENALTY_SLOTS = 8192,
	PENALTY_FREE = 3, /* failures that cost nothing */
	PENALTY_FIRST_MS = 500,
	PENALTY_FORGET_MS = 10 * 60 * 1000,
};

struct penalty_slot {
	uint64_t key;
	time_ms last;
	uint32_t failures;
};

struct penalties {
	struct penalty_slot slots[PENALTY_SLOTS];
};

/* The wait that this key has earned, at most max_ms. */
time_ms penalty_of(const struct penalties *p, struct bytes key, time_ms now, time_ms max_ms);
void penalty_add(struct penalties *p, struct bytes key, time_ms now);
void penalty_clear(struct penalties *p, struct bytes key); /* the right password came */

#endif
