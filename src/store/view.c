/* A mailbox in memory: uid, mail, size, flags and modseq of every mail, 36 octets each, kept
 * true by
 * the writer. It is made when somebody first asks and dropped when there are too many. */
#include "store/internal.h"

/* ---- ranges ---- */

bool range_next(struct bytes *rest, uint32_t *first, uint32_t *last)
{
	struct wire w = wire_of(*rest);

	if (rest->len < 8)
		return false;
	*first = wire_u32(&w);
	*last = wire_u32(&w);
	*rest = w.rest;
	return true;
}

bool ranges_valid(struct bytes ranges)
{
	uint32_t first, last, before = 0;

	if (ranges.len % 8 != 0)
		return false;
	while (range_next(&ranges, &first, &last)) {
		if (first == 0 || last < first || first <= before)
			return false;
		before = last;
	}
	return true;
}

size_t view_from(const struct view *v, uint32_t uid)
{
	size_t low = 0, high = v->count;

	while (low < high) {
		size_t mid = (low + high) / 2;

		if (v->uid[mid] < uid)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

struct walk walk_begin(const struct view *v, struct bytes ranges, uint32_t after)
{
	struct walk w = {.view = v, .rest = ranges};
	uint32_t first, last;

	/* Ranges that lie before `after` are passed over, the one around it is entered in its
	 * middle. */
	while (range_next(&w.rest, &first, &last)) {
		if (last <= after)
			continue;
		w.at = view_from(v, first > after ? first : after + 1);
		w.end = last == UINT32_MAX ? v->count : view_from(v, last + 1);
		break;
	}
	w.at--;
	w.all = false;
	return w;
}

bool walk_next(struct walk *w)
{
	uint32_t first, last;

	while (++w->at >= w->end) {
		if (!range_next(&w->rest, &first, &last)) {
			w->at = w->end;
			w->at--;
			return false;
		}
		w->at = view_from(w->view, first) - 1;
		w->end = last == UINT32_MAX ? w->view->count : view_from(w->view, last + 1);
	}
	return true;
}

void gather_add(struct gather *g, const struct view *v, size_t at)
{
	g->count++;
	if (g->any && at == g->last + 1) {
		g->last = at;
		return;
	}
	gather_end(g, v);
	g->first = g->last = at;
	g->any = true;
}

void gather_end(struct gather *g, const struct view *v)
{
	if (!g->any)
		return;
	buf_u32(&g->out, v->uid[g->first]);
	buf_u32(&g->out, v->uid[g->last]);
	g->any = false;
}

/* ---- one view ---- */

static void grow(struct view *v)
{
	size_t size = v->size ? v->size * 2 : 64;

	v->uid = memory_resize(v->uid, size * sizeof(*v->uid));
	v->mail = memory_resize(v->mail, size * sizeof(*v->mail));
	v->octets = memory_resize(v->octets, size * sizeof(*v->octets));
	v->modseq = memory_resize(v->modseq, size * sizeof(*v->modseq));
	v->flags = memory_resize(v->flags, size * sizeof(*v->flags));
	v->size = size;
}

/* UIDs only grow, so a new mail stands at the end. */
void view_place(struct store *s, struct view *v, uint32_t uid, uint64_t mail, uint64_t octets,
                uint64_t flags, uint64_t modseq)
{
	if (v->count == v->size)
		grow(v);
	v->uid[v->count] = uid;
	v->mail[v->count] = mail;
	v->octets[v->count] = octets;
	v->flags[v->count] = flags;
	v->modseq[v->count] = modseq;
	v->count++;
	s->view_mails++;
}

void view_flags(struct view *v, uint64_t modseq, struct bytes groups)
{
	struct wire w = wire_of(groups);

	while (!wire_end(&w)) {
		uint64_t flags = wire_u64(&w);
		struct walk walk = walk_begin(v, wire_block(&w), 0);

		while (walk_next(&walk)) {
			v->flags[walk.at] = flags;
			v->modseq[walk.at] = modseq;
		}
	}
}

static void add_vanished(struct view *v, uint64_t modseq, uint32_t first, uint32_t last)
{
	if (v->vanished_count == v->vanished_size) {
		v->vanished_size = v->vanished_size ? v->vanished_size * 2 : 16;
		v->vanished = memory_resize(v->vanished, v->vanished_size * sizeof(*v->vanished));
	}
	v->vanished[v->vanished_count++] = (struct vanished){modseq, first, last};
}

static void move_rows(struct view *v, size_t to, size_t from, size_t count)
{
	memmove(v->uid + to, v->uid + from, count * sizeof(*v->uid));
	memmove(v->mail + to, v->mail + from, count * sizeof(*v->mail));
	memmove(v->octets + to, v->octets + from, count * sizeof(*v->octets));
	memmove(v->flags + to, v->flags + from, count * sizeof(*v->flags));
	memmove(v->modseq + to, v->modseq + from, count * sizeof(*v->modseq));
}

void view_expunge(struct store *s, struct view *v, uint64_t modseq, struct bytes ranges)
{
	size_t kept = 0, at = 0, before = v->count;
	uint32_t first, last;

	while (range_next(&ranges, &first, &last)) {
		size_t from = view_from(v, first), to = at;

		/* Rows before this range that stay; positions are those before any move. */
		from = from < at ? at : from;
		if (kept != to)
			move_rows(v, kept, to, from - to);
		kept += from - to;
		at = from;
		while (at < v->count && v->uid[at] <= last)
			at++;
		add_vanished(v, modseq, first, last);
	}
	if (kept != at)
		move_rows(v, kept, at, v->count - at);
	v->count = kept + (v->count - at);
	s->view_mails -= before - v->count;
}

uint32_t view_first_unseen(const struct view *v)
{
	for (size_t i = 0; i < v->count; i++) {
		if (!(v->flags[i] & MAIL_SEEN))
			return v->uid[i];
	}
	return 0;
}

/* ---- all of them ---- */

static void view_done(struct view *v)
{
	memory_free(v->uid);
	memory_free(v->mail);
	memory_free(v->octets);
	memory_free(v->modseq);
	memory_free(v->flags);
	memory_free(v->vanished);
	memory_free(v);
}

void view_free(struct store *s, struct mailbox *m)
{
	if (!m->view)
		return;
	s->view_mails -= m->view->count;
	view_done(m->view);
	m->view = NULL;
}

/* The view that was used least lately and that nobody watches. */
static void drop_some(struct store *s)
{
	while (s->view_mails > VIEW_MAILS_MAX) {
		struct mailbox *oldest = NULL;
		struct map_entry *e;

		for (size_t at = 0; (e = map_each(&s->mailboxes, &at));) {
			struct mailbox *m = e->value;

			if (m->view && !m->watchers && m->bulk_group != s->group &&
			    (!oldest || m->view->used < oldest->view->used))
				oldest = m;
		}
		if (!oldest)
			return;
		view_free(s, oldest);
	}
}

static void read_rows(struct store *s, const struct mailbox *m, struct view *v)
{
	struct db_query *q = db_query(s->db, "SELECT uid, mail, size, flags, modseq FROM placement "
	                                     "WHERE mailbox=? ORDER BY uid");

	db_bind(q, "u", m->id);
	while (db_next(q))
		view_place(s, v, (uint32_t)db_u64(q, 0), db_u64(q, 1), db_u64(q, 2), db_u64(q, 3),
		           db_u64(q, 4));
	q = db_query(s->db, "SELECT modseq, first, last FROM vanished WHERE mailbox=?");
	db_bind(q, "u", m->id);
	while (db_next(q))
		add_vanished(v, db_u64(q, 0), (uint32_t)db_u64(q, 1), (uint32_t)db_u64(q, 2));
}

/* The writer's, outside a group or for a mailbox that this group has not touched: what its
 * connection sees is then what everybody sees. */
struct view *view_load(struct store *s, struct mailbox *m)
{
	struct view *v;
	uint64_t mails;

	if (m->view)
		return m->view;
	v = NEW(struct view);
	mails = s->view_mails;
	read_rows(s, m, v);
	store_hold(s);
	s->view_mails = mails + v->count;
	drop_some(s);
	v->used = ++s->view_clock;
	m->view = v;
	store_let(s);
	return v;
}
