/* Many deadlines under one timer: a heap whose entries are members of what waits.
 *
 *	deadlines_set(&d, &connection->deadline, now + 5000);      again: moves it; TIME_NEVER:
 * removes it
 *	while ((first = deadlines_due(&d, now))) ...first->owner   it is taken out */
#ifndef ROLES_DEADLINES_H
#define ROLES_DEADLINES_H

#include "base/time.h"

struct deadline {
	time_ms at;
	size_t place; /* in the heap, from 1; 0: not in it */
	void *owner;
};

struct deadlines {
	struct deadline **heap; /* heap[1] is the earliest */
	size_t count, size;
};

void deadlines_set(struct deadlines *d, struct deadline *entry, time_ms at);
/* The earliest one that has passed, taken out; NULL: none has. */
struct deadline *deadlines_due(struct deadlines *d, time_ms now);
time_ms deadlines_next(const struct deadlines *d); /* TIME_NEVER: none */
void deadlines_done(struct deadlines *d);

#endif
