#include "imap/uidset.h"

#include "base/memory.h"
#include "base/wire.h"

enum { FIRST_SIZE = 4 };

static void make_room(struct uidset *set)
{
	if (set->count < set->size)
		return;
	set->size = set->size ? set->size * 2 : FIRST_SIZE;
	set->ranges = memory_resize(set->ranges, set->size * sizeof(*set->ranges));
}

size_t uidset_find(const struct uidset *set, uint32_t uid)
{
	size_t low = 0, high = set->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (set->ranges[middle].last < uid)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* first-1 and last+1 without wrapping: ranges that touch are joined. */
static uint32_t before(uint32_t uid)
{
	return uid ? uid - 1 : 0;
}

static uint32_t after(uint32_t uid)
{
	return uid == UINT32_MAX ? uid : uid + 1;
}

static void insert(struct uidset *set, size_t at, uint32_t first, uint32_t last)
{
	make_room(set);
	memmove(set->ranges + at + 1, set->ranges + at, (set->count - at) * sizeof(*set->ranges));
	set->ranges[at] = (struct uid_range){first, last};
	set->count++;
}

void uidset_add_range(struct uidset *set, uint32_t first, uint32_t last)
{
	size_t at = uidset_find(set, before(first));
	size_t end = at;

	while (end < set->count && set->ranges[end].first <= after(last))
		end++;
	if (end == at) {
		insert(set, at, first, last);
		return;
	}
	if (set->ranges[at].first < first)
		first = set->ranges[at].first;
	if (set->ranges[end - 1].last > last)
		last = set->ranges[end - 1].last;
	set->ranges[at] = (struct uid_range){first, last};
	memmove(set->ranges + at + 1, set->ranges + end, (set->count - end) * sizeof(*set->ranges));
	set->count -= end - at - 1;
}

void uidset_add(struct uidset *set, uint32_t uid)
{
	uidset_add_range(set, uid, uid);
}

bool uidset_has(const struct uidset *set, uint32_t uid)
{
	size_t at = uidset_find(set, uid);

	return at < set->count && set->ranges[at].first <= uid;
}

uint64_t uidset_members(const struct uidset *set)
{
	uint64_t members = 0;

	for (size_t i = 0; i < set->count; i++)
		members += (uint64_t)set->ranges[i].last - set->ranges[i].first + 1;
	return members;
}

void uidset_intersect(const struct uidset *a, const struct uidset *b, struct uidset *ret)
{
	size_t i = 0, j = 0;

	uidset_clear(ret);
	while (i < a->count && j < b->count) {
		const struct uid_range *x = &a->ranges[i], *y = &b->ranges[j];
		uint32_t first = x->first > y->first ? x->first : y->first;
		uint32_t last = x->last < y->last ? x->last : y->last;

		if (first <= last)
			uidset_add_range(ret, first, last);
		if (x->last < y->last)
			i++;
		else
			j++;
	}
}

/* Adds what of [first, last] is not in b; *at is the first range of b that may matter. */
static void subtract_range(uint32_t first, uint32_t last, const struct uidset *b, size_t *at,
                           struct uidset *ret)
{
	while (*at < b->count && b->ranges[*at].last < first)
		++*at;
	for (size_t j = *at; j < b->count && b->ranges[j].first <= last; j++) {
		if (first < b->ranges[j].first)
			uidset_add_range(ret, first, b->ranges[j].first - 1);
		if (b->ranges[j].last >= last)
			return;
		first = b->ranges[j].last + 1;
	}
	uidset_add_range(ret, first, last);
}

void uidset_subtract(const struct uidset *a, const struct uidset *b, struct uidset *ret)
{
	size_t at = 0;

	uidset_clear(ret);
	for (size_t i = 0; i < a->count; i++)
		subtract_range(a->ranges[i].first, a->ranges[i].last, b, &at, ret);
}

void uidset_print(const struct uidset *set, struct buf *out)
{
	for (size_t i = 0; i < set->count; i++) {
		const struct uid_range *r = &set->ranges[i];

		if (i)
			buf_append_char(out, ',');
		if (r->first == r->last)
			buf_printf(out, "%u", r->first);
		else
			buf_printf(out, "%u:%u", r->first, r->last);
	}
}

void uidset_pack(const struct uid_range *ranges, size_t count, struct buf *out)
{
	for (size_t i = 0; i < count; i++) {
		buf_u32(out, ranges[i].first);
		buf_u32(out, ranges[i].last);
	}
}

enum result uidset_unpack(struct bytes in, struct uidset *ret)
{
	struct wire w = wire_of(in);
	uint32_t least = 1;

	uidset_clear(ret);
	while (!wire_end(&w)) {
		uint32_t first = wire_u32(&w), last = wire_u32(&w);

		if (w.bad || first < least || last < first) {
			uidset_clear(ret);
			return INVALID;
		}
		uidset_add_range(ret, first, last);
		least = after(last);
	}
	return OK;
}

void uidset_clear(struct uidset *set)
{
	set->count = 0;
}

void uidset_done(struct uidset *set)
{
	memory_free(set->ranges);
	*set = (struct uidset){0};
}
