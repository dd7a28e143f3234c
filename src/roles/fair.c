#include "roles/fair.h"

static bool earlier(const struct fair_entry *a, const struct fair_entry *b)
{
	return a->turn < b->turn || (a->turn == b->turn && a->arrival < b->arrival);
}

static uint64_t turn_of(const struct fair *f, const struct ip *network)
{
	uint64_t turn = f->round;

	for (size_t i = 0; i < f->count; i++)
		if (ip_equal(&f->entries[i]->network, network) && f->entries[i]->turn >= turn)
			turn = f->entries[i]->turn + 1;
	return turn;
}

static size_t last_of(const struct fair *f)
{
	size_t last = 0;

	for (size_t i = 1; i < f->count; i++)
		if (earlier(f->entries[last], f->entries[i]))
			last = i;
	return last;
}

struct fair_entry *fair_put(struct fair *f, struct fair_entry *e)
{
	struct fair_entry *out = NULL;
	size_t place = f->count;

	e->turn = turn_of(f, &e->network);
	e->arrival = f->arrivals++;
	if (f->count == FAIR_ROOM) {
		place = last_of(f);
		out = f->entries[place];
		if (earlier(out, e))
			return e;
	} else {
		f->count++;
	}
	f->entries[place] = e;
	return out;
}

struct fair_entry *fair_take(struct fair *f)
{
	struct fair_entry *e;
	size_t first = 0;

	if (f->count == 0)
		return NULL;
	for (size_t i = 1; i < f->count; i++)
		if (earlier(f->entries[i], f->entries[first]))
			first = i;
	e = f->entries[first];
	f->entries[first] = f->entries[--f->count];
	f->round = e->turn;
	return e;
}
