#include "roles/deadlines.h"

#include "base/memory.h"

static void put(struct deadlines *d, size_t place, struct deadline *entry)
{
	d->heap[place] = entry;
	entry->place = place;
}

static void sift_up(struct deadlines *d, struct deadline *entry)
{
	size_t place = entry->place;

	while (place > 1 && d->heap[place / 2]->at > entry->at) {
		put(d, place, d->heap[place / 2]);
		place /= 2;
	}
	put(d, place, entry);
}

static void sift_down(struct deadlines *d, struct deadline *entry)
{
	size_t place = entry->place;

	for (;;) {
		size_t child = place * 2;

		if (child > d->count)
			break;
		if (child < d->count && d->heap[child + 1]->at < d->heap[child]->at)
			child++;
		if (d->heap[child]->at >= entry->at)
			break;
		put(d, place, d->heap[child]);
		place = child;
	}
	put(d, place, entry);
}

static void take_out(struct deadlines *d, struct deadline *entry)
{
	struct deadline *last = d->heap[d->count--];
	size_t place = entry->place;

	entry->place = 0;
	if (last == entry)
		return;
	put(d, place, last);
	sift_up(d, last);
	sift_down(d, last);
}

void deadlines_set(struct deadlines *d, struct deadline *entry, time_ms at)
{
	if (at == TIME_NEVER) {
		if (entry->place)
			take_out(d, entry);
		return;
	}
	entry->at = at;
	if (!entry->place) {
		if (d->count + 2 > d->size) {
			d->size = d->size ? d->size * 2 : 64;
			d->heap = memory_resize(d->heap, d->size * sizeof(*d->heap));
		}
		put(d, ++d->count, entry);
	}
	sift_up(d, entry);
	sift_down(d, entry);
}

struct deadline *deadlines_due(struct deadlines *d, time_ms now)
{
	struct deadline *first = d->count ? d->heap[1] : NULL;

	if (!first || first->at > now)
		return NULL;
	take_out(d, first);
	return first;
}

time_ms deadlines_next(const struct deadlines *d)
{
	return d->count ? d->heap[1]->at : TIME_NEVER;
}

void deadlines_done(struct deadlines *d)
{
	memory_free(d->heap);
	*d = (struct deadlines){0};
}
