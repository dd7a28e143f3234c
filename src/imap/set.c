/* A client's sequence set, seen through the session's view (RFC 9051, 9: sequence-set). */
#include "imap/session.h"

static void order(uint32_t *first, uint32_t *last)
{
	uint32_t swap = *first;

	if (*first <= *last)
		return;
	*first = *last;
	*last = swap;
}

/* UIDs that do not exist are no error; "*" is the greatest that does (RFC 9051, 9). */
static void add_uids(const struct view *v, struct sequence_range r, struct uidset *ret)
{
	uint32_t top = view_last(v);
	uint32_t first = r.first == UINT32_MAX ? top : r.first;
	uint32_t last = r.last == UINT32_MAX ? top : r.last;

	order(&first, &last);
	if (last > top)
		last = top;
	if (first && first <= last)
		uidset_add_range(ret, first, last);
}

/* Sequence numbers must exist; in an empty mailbox "*" and what reaches to it is nothing. Between two shown UIDs
 * there is no unshown one, so a range of numbers is a range of UIDs. */
static bool add_numbers(const struct view *v, struct sequence_range r, struct uidset *ret)
{
	uint32_t count = view_count(v);
	bool star = r.first == UINT32_MAX || r.last == UINT32_MAX;
	uint32_t first = r.first == UINT32_MAX ? count : r.first;
	uint32_t last = r.last == UINT32_MAX ? count : r.last;

	if (count == 0 && star)
		return true;
	order(&first, &last);
	if (first == 0 || last > count)
		return false;
	uidset_add_range(ret, view_uid(v, first), view_uid(v, last));
	return true;
}

bool set_resolve(const struct imap_server *s, const struct sequence_set *set, bool uid,
                 struct uidset *ret)
{
	uidset_clear(ret);
	if (set->saved) {
		uidset_intersect(&s->box.saved, &s->box.view.uids, ret);
		return true;
	}
	for (size_t i = 0; i < set->count; i++) {
		if (uid)
			add_uids(&s->box.view, set->ranges[i], ret);
		else if (!add_numbers(&s->box.view, set->ranges[i], ret))
			return false;
	}
	return true;
}
