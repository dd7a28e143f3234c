#include "imap/view.h"

#include "base/memory.h"

static void make_room(struct view *v)
{
	if (v->uids.count <= v->seqs_size)
		return;
	v->seqs_size = v->uids.size;
	v->seqs = memory_resize(v->seqs, v->seqs_size * sizeof(*v->seqs));
}

static uint32_t range_len(const struct view *v, size_t i)
{
	return v->uids.ranges[i].last - v->uids.ranges[i].first + 1;
}

bool view_add_range(struct view *v, uint32_t first, uint32_t last)
{
	size_t ranges = v->uids.count;

	if (first > last || first <= view_last(v))
		return false;
	uidset_add_range(&v->uids, first, last);
	if (v->uids.count > ranges) {
		make_room(v);
		v->seqs[ranges] = v->count + 1;
	}
	v->count += last - first + 1;
	return true;
}

bool view_add(struct view *v, uint32_t uid)
{
	return view_add_range(v, uid, uid);
}

uint32_t view_count(const struct view *v)
{
	return v->count;
}

uint32_t view_last(const struct view *v)
{
	return v->uids.count ? v->uids.ranges[v->uids.count - 1].last : 0;
}

uint32_t view_seq_from(const struct view *v, uint32_t uid)
{
	size_t at = uidset_find(&v->uids, uid);

	if (at == v->uids.count)
		return v->count + 1;
	if (uid <= v->uids.ranges[at].first)
		return v->seqs[at];
	return v->seqs[at] + (uid - v->uids.ranges[at].first);
}

uint32_t view_seq(const struct view *v, uint32_t uid)
{
	return uidset_has(&v->uids, uid) ? view_seq_from(v, uid) : 0;
}

uint32_t view_uid(const struct view *v, uint32_t seq)
{
	size_t low = 0, high = v->uids.count;

	if (seq == 0 || seq > v->count)
		return 0;
	while (high - low > 1) {
		size_t middle = low + (high - low) / 2;

		if (v->seqs[middle] <= seq)
			low = middle;
		else
			high = middle;
	}
	return v->uids.ranges[low].first + (seq - v->seqs[low]);
}

static void number_ranges(struct view *v)
{
	v->count = 0;
	make_room(v);
	for (size_t i = 0; i < v->uids.count; i++) {
		v->seqs[i] = v->count + 1;
		v->count += range_len(v, i);
	}
}

uint32_t view_remove(struct view *v, const struct uidset *vanished, struct buf *out)
{
	struct uidset gone = {0}, left = {0};
	uint32_t removed = 0;

	uidset_intersect(&v->uids, vanished, &gone);
	for (size_t i = 0; i < gone.count; i++) {
		uint32_t seq = view_seq(v, gone.ranges[i].first) - removed;
		uint32_t members = gone.ranges[i].last - gone.ranges[i].first + 1;

		for (uint32_t n = 0; n < members; n++)
			buf_printf(out, "* %u EXPUNGE\r\n", seq);
		removed += members;
	}
	if (removed) {
		uidset_subtract(&v->uids, &gone, &left);
		uidset_done(&v->uids);
		v->uids = left;
		number_ranges(v);
	}
	uidset_done(&gone);
	return removed;
}

void view_clear(struct view *v)
{
	uidset_clear(&v->uids);
	v->count = 0;
}

void view_done(struct view *v)
{
	uidset_done(&v->uids);
	memory_free(v->seqs);
	*v = (struct view){0};
}
