/* Changing what stands in a mailbox: keywords, flags, expunging, copying and moving.
 *
 * The new values are computed from the view in memory and written as effects that name ranges, so
 * that a change of ten thousand mails is a short record. A mailbox that this group has changed
 * already has a view that is behind: then the group ends first. */
#include "store/internal.h"

enum { SYSTEM_FLAGS = 0x1f };

/* ---- keywords ---- */

static size_t keyword_count(struct bytes table)
{
	struct wire w = wire_of(table);
	size_t count = 0;

	for (; !wire_end(&w); count++)
		wire_block(&w);
	return count;
}

/* The bit of a keyword, or -1. */
static int keyword_find(struct bytes table, struct bytes name)
{
	struct wire w = wire_of(table);

	for (int bit = 0; !wire_end(&w); bit++) {
		if (bytes_equal_nocase(wire_block(&w), name))
			return bit;
	}
	return -1;
}

/* The table that this job has made so far, or the mailbox's. */
static struct change *table_change(struct job *j, const struct mailbox *m)
{
	for (size_t i = 0; i < j->change_count; i++) {
		if (j->changes[i].kind == CHANGE_MAILBOX && j->changes[i].mailbox.id == m->id)
			return &j->changes[i];
	}
	return NULL;
}

static enum result keyword_add(struct job *j, struct mailbox *m, struct bytes name, uint64_t *flags,
                               struct why *why)
{
	struct change *c = table_change(j, m);
	struct bytes table = c ? c->mailbox.keywords : m->next.keywords;
	int bit = keyword_find(table, name);
	struct buf b = {0};

	if (bit < 0) {
		bit = (int)keyword_count(table);
		if (bit >= LIMIT_KEYWORDS)
			return why_set(why, OVER_QUOTA, "the mailbox has %d keywords already",
			               LIMIT_KEYWORDS);
		if (!c) {
			mailbox_change(j, m);
			c = &j->changes[j->change_count - 1];
		}
		buf_append(&b, table);
		buf_block(&b, name);
		c->mailbox.keywords = arena_copy(&j->arena, buf_bytes(&b));
		buf_done(&b);
	}
	*flags |= (uint64_t)1 << (MAIL_KEYWORD_SHIFT + bit);
	return OK;
}

enum result keywords_add(struct store *s, struct job *j, struct mailbox *m, struct bytes names,
                         uint64_t *flags, struct why *why)
{
	struct wire w = wire_of(names);
	enum result result = OK;

	(void)s;
	while (result == OK && !wire_end(&w)) {
		struct bytes name = wire_block(&w);

		if (w.bad || name.len == 0 || name.len > 255)
			return why_set(why, INVALID, "a keyword is malformed");
		result = keyword_add(j, m, name, flags, why);
	}
	return result;
}

/* ---- the view that a change starts from ---- */

/* NULL: j->again is set, the group ends first. */
struct view *view_for_change(struct store *s, struct job *j, struct mailbox *m)
{
	if (m->bulk_group == s->group || (!m->view && m->touched)) {
		j->again = true;
		return NULL;
	}
	j->bulk[j->bulk[0] ? 1 : 0] = m;
	return view_load(s, m);
}

/* The mailbox as the writer sees it, or NULL. */
static struct mailbox *writers(struct store *s, struct job *j, uint64_t id)
{
	struct mailbox *m = asked_mailbox(s, j, id);

	return m && !m->next.gone ? m : NULL;
}

/* ---- FLAGS_SET ---- */

/* Mails by the value that their flags get. */
struct values {
	struct {
		uint64_t flags;
		struct gather gather;
	} * items;
	size_t count, size;
};

static struct gather *value_of(struct values *v, uint64_t flags)
{
	size_t i = 0;

	while (i < v->count && v->items[i].flags != flags)
		i++;
	if (i == v->count) {
		if (v->count == v->size) {
			v->size = v->size ? v->size * 2 : 16;
			v->items = memory_resize(v->items, v->size * sizeof(*v->items));
		}
		v->items[i].flags = flags;
		v->items[i].gather = (struct gather){0};
		v->count++;
	}
	return &v->items[i].gather;
}

static uint64_t new_flags(uint8_t mode, uint64_t old, uint64_t given)
{
	switch (mode) {
	case FLAGS_ADD: return old | given;
	case FLAGS_REMOVE: return old & ~given;
	default: return given;
	}
}

static void flags_change(struct job *j, const struct mailbox *m, struct values *v,
                         const struct view *view, int unseen, int deleted)
{
	struct buf groups = {0};
	struct change *c;

	for (size_t i = 0; i < v->count; i++) {
		gather_end(&v->items[i].gather, view);
		buf_u64(&groups, v->items[i].flags);
		buf_block(&groups, buf_bytes(&v->items[i].gather.out));
		buf_done(&v->items[i].gather.out);
	}
	c = job_change(j, CHANGE_FLAGS);
	c->flags = (struct change_flags){.mailbox = m->id,
	                                 .modseq = m->next.modseq + 1,
	                                 .unseen = m->next.unseen + (uint32_t)unseen,
	                                 .deleted = m->next.deleted + (uint32_t)deleted,
	                                 .groups = arena_copy(&j->arena, buf_bytes(&groups))};
	buf_done(&groups);
	memory_free(v->items);
}

/* Limit: linear in distinct values; people have few. */
static void set_flags(struct job *j, struct mailbox *m, struct view *view, uint64_t given)
{
	const struct ask_flags_set *a = &j->ask.flags_set;
	struct walk w = walk_begin(view, a->set, 0);
	struct values values = {0};
	struct gather refused = {0};
	int unseen = 0, deleted = 0;

	while (walk_next(&w)) {
		uint64_t old = view->flags[w.at], new = new_flags(a->mode, old, given);

		if (view->modseq[w.at] > a->unchanged_since) {
			gather_add(&refused, view, w.at);
			continue;
		}
		gather_add(value_of(&values, new), view, w.at);
		unseen += !(new &MAIL_SEEN) - !(old & MAIL_SEEN);
		deleted += ((new &MAIL_DELETED) != 0) - ((old & MAIL_DELETED) != 0);
	}
	gather_end(&refused, view);
	j->answer.flags_set.refused = arena_copy(
	        &j->arena, bytes_first(buf_bytes(&refused.out), RANGES_MAX * 8));
	buf_done(&refused.out);
	if (values.count)
		flags_change(j, m, &values, view, unseen, deleted);
}

enum result run_flags_set(struct store *s, struct job *j, struct why *why)
{
	const struct ask_flags_set *a = &j->ask.flags_set;
	struct mailbox *m = writers(s, j, a->mailbox);
	uint64_t given = a->flags & SYSTEM_FLAGS;
	struct change *c;
	struct view *view;
	enum result result;

	j->urgent = true;
	if (!m)
		return why_set(why, NOT_FOUND, "there is no such mailbox");
	if (!ranges_valid(a->set) || a->mode > FLAGS_REMOVE)
		return why_set(why, INVALID, "the ask is malformed");
	j->answer.flags_set.before = m->next.modseq;
	if (!(view = view_for_change(s, j, m)))
		return UNAVAILABLE;
	if ((result = keywords_add(s, j, m, a->keywords, &given, why)) != OK)
		return result;
	set_flags(j, m, view, given);
	c = table_change(j, m);
	j->answer.flags_set.table = c ? c->mailbox.keywords
	                              : arena_copy(&j->arena, m->next.keywords);
	j->answer.flags_set.modseq = m->next.modseq;
	for (size_t i = 0; i < j->change_count; i++) {
		if (j->changes[i].kind == CHANGE_FLAGS)
			j->answer.flags_set.modseq = j->changes[i].flags.modseq;
	}
	return OK;
}

/* ---- EXPUNGE ---- */

void expunge_change(struct job *j, struct mailbox *m, struct view *view, struct bytes ranges,
                    bool moved)
{
	struct change *c = job_change(j, CHANGE_EXPUNGE);
	struct change_expunge *e = &c->expunge;
	struct walk w = walk_begin(view, ranges, 0);

	*e = (struct change_expunge){.mailbox = m->id,
	                             .modseq = m->next.modseq + 1 + j->modseqs++,
	                             .moved = moved,
	                             .ranges = ranges,
	                             .messages = m->next.messages - j->took.messages,
	                             .unseen = m->next.unseen - j->took.unseen,
	                             .deleted = m->next.deleted - j->took.deleted,
	                             .size = m->next.size - j->took.size};
	while (walk_next(&w)) {
		bool unseen = !(view->flags[w.at] & MAIL_SEEN);
		bool deleted = (view->flags[w.at] & MAIL_DELETED) != 0;

		e->messages--;
		e->unseen -= unseen;
		e->deleted -= deleted;
		e->size -= view->octets[w.at];
		j->took.messages++;
		j->took.unseen += unseen;
		j->took.deleted += deleted;
		j->took.size += view->octets[w.at];
	}
}

/* So many ranges a modseq that CHANGES can tell of one in one answer. */
static void expunge_in_parts(struct job *j, struct mailbox *m, struct view *view,
                             struct bytes ranges, bool moved)
{
	while (ranges.len) {
		struct bytes part = bytes_first(ranges, VANISHED_TOLD * 8);

		expunge_change(j, m, view, part, moved);
		ranges = bytes_skip(ranges, part.len);
	}
}

enum result run_expunge(struct store *s, struct job *j, struct why *why)
{
	static const char everything[8] = "\0\0\0\1\377\377\377\377";
	const struct ask_expunge *a = &j->ask.expunge;
	struct mailbox *m = writers(s, j, a->mailbox);
	struct gather g = {0};
	struct view *view;
	struct walk w;

	j->urgent = true;
	if (!m)
		return why_set(why, NOT_FOUND, "there is no such mailbox");
	if (!ranges_valid(a->set))
		return why_set(why, INVALID, "the ask is malformed");
	if (!(view = view_for_change(s, j, m)))
		return UNAVAILABLE;
	w = walk_begin(view, a->set.len ? a->set : bytes_of(everything, 8), 0);
	while (walk_next(&w)) {
		if (view->flags[w.at] & MAIL_DELETED)
			gather_add(&g, view, w.at);
	}
	gather_end(&g, view);
	expunge_in_parts(j, m, view, arena_copy(&j->arena, buf_bytes(&g.out)), false);
	buf_done(&g.out);
	j->answer.expunge.modseq = m->next.modseq + j->modseqs;
	j->answer.expunge.count = (uint32_t)g.count;
	return OK;
}

/* ---- COPY and MOVE ---- */

/* For each keyword bit of the source, the flag in the target; 0: the target has no room for it. */
struct keyword_map {
	uint64_t to[LIMIT_KEYWORDS];
};

static void map_keywords(struct job *j, const struct mailbox *from, struct mailbox *to,
                         uint64_t used, struct keyword_map *map)
{
	struct wire w = wire_of(from->next.keywords);

	for (int bit = 0; bit < LIMIT_KEYWORDS; bit++) {
		struct bytes name = wire_end(&w) ? (struct bytes){0} : wire_block(&w);

		map->to[bit] = 0;
		if (!(used & (uint64_t)1 << (MAIL_KEYWORD_SHIFT + bit)) || name.len == 0)
			continue;
		if (keyword_add(j, to, name, &map->to[bit], NULL) != OK)
			map->to[bit] = 0;
	}
}

static uint64_t mapped(uint64_t flags, const struct keyword_map *map)
{
	uint64_t out = flags & SYSTEM_FLAGS;

	for (int bit = 0; bit < LIMIT_KEYWORDS; bit++) {
		if (flags & (uint64_t)1 << (MAIL_KEYWORD_SHIFT + bit))
			out |= map->to[bit];
	}
	return out;
}

/* The mails in ranges, into mailbox `to`; map NULL: the same keywords there. */
void places_change(struct job *j, const struct view *view, struct bytes ranges, uint64_t to,
                   uint32_t uid, uint64_t modseq, bool copied, const struct keyword_map *map)
{
	struct walk w = walk_begin(view, ranges, 0);
	struct buf rows = {0};
	struct change *c;

	while (walk_next(&w)) {
		uint64_t flags = view->flags[w.at];

		buf_u64(&rows, view->mail[w.at]);
		buf_u64(&rows, map ? mapped(flags, map) : flags);
		buf_u64(&rows, view->octets[w.at]);
	}
	if (buf_len(&rows)) {
		c = job_change(j, CHANGE_PLACES);
		c->places = (struct change_places){.mailbox = to,
		                                   .modseq = modseq,
		                                   .uid = uid,
		                                   .copied = copied,
		                                   .rows = arena_copy(&j->arena, buf_bytes(&rows))};
	}
	buf_done(&rows);
}

/* COPYUID: source UIDs exactly as they are, so that both lists have the same length. */
static void copied_ranges(struct job *j, const struct view *view, uint32_t uid)
{
	struct answer_copy *ret = &j->answer.copy;
	struct walk w = walk_begin(view, j->ask.copy.set, 0);
	struct buf from = {0}, to = {0};
	uint32_t first = 0, last = 0, count = 0;

	while (walk_next(&w)) {
		if (first && view->uid[w.at] == last + 1) {
			last++;
		} else {
			if (first) {
				buf_u32(&from, first);
				buf_u32(&from, last);
			}
			first = last = view->uid[w.at];
		}
		count++;
	}
	if (first) {
		buf_u32(&from, first);
		buf_u32(&from, last);
		buf_u32(&to, uid);
		buf_u32(&to, uid + count - 1);
	}
	ret->from = arena_copy(&j->arena, buf_bytes(&from));
	ret->to = arena_copy(&j->arena, buf_bytes(&to));
	buf_done(&from);
	buf_done(&to);
}

struct total {
	uint64_t size, flags;
	struct gather gather;
};

static struct total add_up(const struct view *view, struct bytes set)
{
	struct walk w = walk_begin(view, set, 0);
	struct total t = {0};

	while (walk_next(&w)) {
		t.size += view->octets[w.at];
		t.flags |= view->flags[w.at];
		gather_add(&t.gather, view, w.at);
	}
	gather_end(&t.gather, view);
	return t;
}

/* Within one mailbox the figures stay what they are: as many came as went. */
static void move_away(struct job *j, struct mailbox *from, const struct mailbox *to,
                      struct view *view, struct bytes ranges)
{
	struct change_expunge *e;

	j->modseqs = from == to;
	expunge_change(j, from, view, ranges, true);
	if (from != to)
		return;
	e = &j->changes[j->change_count - 1].expunge;
	e->messages = from->next.messages;
	e->unseen = from->next.unseen;
	e->deleted = from->next.deleted;
	e->size = from->next.size;
}

static enum result copy_mails(struct job *j, struct mailbox *from, struct mailbox *to,
                              struct view *view, struct why *why)
{
	bool move = j->ask.copy.move != 0;
	struct total t = add_up(view, j->ask.copy.set);
	struct bytes ranges = arena_copy(&j->arena, buf_bytes(&t.gather.out));
	struct keyword_map map;
	uint64_t quota = j->account->now.quota, modseq = to->next.modseq + 1;

	buf_done(&t.gather.out);
	if (!move && quota && j->account->next.used + t.size > quota)
		return why_set(why, OVER_QUOTA, "the account's quota is used up");
	copied_ranges(j, view, to->next.uidnext);
	j->answer.copy.uidvalidity = to->next.uidvalidity;
	if ((move && ranges.len / 8 > VANISHED_TOLD) || j->answer.copy.from.len / 8 >= RANGES_MAX)
		return why_set(why, TOO_BIG, "so many scattered mails at once");
	if (ranges.len) {
		map_keywords(j, from, to, t.flags, &map);
		places_change(j, view, ranges, to->id, to->next.uidnext, modseq, !move, &map);
		if (move)
			move_away(j, from, to, view, ranges);
	}
	j->answer.copy.modseq = from->next.modseq + j->modseqs;
	return OK;
}

enum result run_copy(struct store *s, struct job *j, struct why *why)
{
	const struct ask_copy *a = &j->ask.copy;
	struct mailbox *from = writers(s, j, a->mailbox), *to;
	struct view *view;

	j->urgent = a->move != 0;
	if (!from)
		return why_set(why, NOT_FOUND, "there is no such mailbox");
	if (!ranges_valid(a->set))
		return why_set(why, INVALID, "the ask is malformed");
	to = mailbox_by_name(j->account, a->name);
	if (!to || to->next.gone)
		return why_set(why, NOT_FOUND, "there is no mailbox of this name");
	if (!(view = view_for_change(s, j, from)))
		return UNAVAILABLE;
	return copy_mails(j, from, to, view, why);
}
