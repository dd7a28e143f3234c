/* A short queue that nobody can fill for the others: entries take turns by the network that they
 * come from.
 *
 * The nth waiting entry of a network has its turn in the nth round from now; within a round the
 * older goes first. When it is full, the entry with the last turn is put out: whoever asks most
 * waits longest and is refused first. */
#ifndef ROLES_FAIR_H
#define ROLES_FAIR_H

#include "base/ip.h"

enum { FAIR_ROOM = 64 };

struct fair_entry {
	struct ip network;
	uint64_t turn, arrival;
	void *owner;
};

struct fair {
	struct fair_entry *entries[FAIR_ROOM];
	size_t count;
	uint64_t round, arrivals;
};

/* Returns the entry that found no room: this one, another one (which is out now), or NULL. */
struct fair_entry *fair_put(struct fair *f, struct fair_entry *e);
struct fair_entry *fair_take(struct fair *f); /* NULL: empty */

#endif
