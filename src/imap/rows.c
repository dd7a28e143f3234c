#include "imap/rows.h"

#include "base/wire.h"

/* A slice is asked, perhaps in several pages; if \Seen is to be set, that is asked too; then it is read. */
enum slot_state { SLOT_ASKED, SLOT_SEEING, SLOT_READY };

enum {
	FLAGS_SLICE = 2500, /* rows of 20 octets */
	BRIEF_SLICE = 1200, /* rows of 44 octets */
	FULL_SLICE = 24,    /* until the average is known */
	FULL_SLICE_MAX = 1000,
	SLICE_OCTETS = 48 * 1024,
	SLICE_RANGES = 6000,
};

void rows_begin(struct rows *r, struct imap_server *s, enum rows_kind kind, struct uidset *set)
{
	memset(r, 0, sizeof(*r));
	r->s = s;
	r->kind = (uint8_t)kind;
	r->set = *set;
	*set = (struct uidset){0};
	r->ahead = ROWS_AHEAD;
	r->slice = kind == ROWS_FULL ? FULL_SLICE : kind == ROWS_BRIEF ? BRIEF_SLICE : FLAGS_SLICE;
	r->from = r->set.count ? r->set.ranges[0].first : 0;
}

/* ---- asking ---- */

static void ask_page(struct rows *r, unsigned at, uint32_t after)
{
	const struct rows_slot *slot = &r->slots[at];
	struct ask a = {0};

	if (r->kind == ROWS_FLAGS) {
		a.kind = ASK_FLAGS;
		a.flags = (struct ask_flags){.mailbox = r->s->box.id,
		                             .set = buf_bytes(&slot->set),
		                             .after = after,
		                             .since = r->since};
	} else {
		a.kind = ASK_SUMMARIES;
		a.summaries = (struct ask_summaries){.mailbox = r->s->box.id,
		                                     .set = buf_bytes(&slot->set),
		                                     .after = after,
		                                     .full = r->kind == ROWS_FULL};
	}
	imap_ask(r->s, OWNER_COMMAND, ROWS_MARK | at, &a);
}

/* The part of the current range that holds at most `most` shown mails; *ret_mails of them. */
static uint32_t cut_range(const struct rows *r, struct uid_range range, uint32_t most,
                          uint32_t *ret_mails)
{
	const struct view *v = &r->s->box.view;
	uint32_t seq = view_seq_from(v, range.first);
	uint32_t end = range.last == UINT32_MAX ? v->count + 1 : view_seq_from(v, range.last + 1);
	uint32_t mails = end - seq;

	if (mails <= most) {
		*ret_mails = mails;
		return range.last;
	}
	*ret_mails = most;
	return view_uid(v, seq + most - 1);
}

/* Takes the next slice of the set into the slot; false when nothing is left. */
static bool cut_slice(struct rows *r, struct rows_slot *slot)
{
	uint32_t left = r->slice, mails;

	buf_clear(&slot->set);
	while (left && r->range < r->set.count && buf_len(&slot->set) < 8 * SLICE_RANGES) {
		struct uid_range range = {r->from, r->set.ranges[r->range].last};
		uint32_t last = cut_range(r, range, left, &mails);

		if (mails) {
			uidset_pack(&(struct uid_range){range.first, last}, 1, &slot->set);
			slot->last = last;
		}
		left -= mails;
		if (last < range.last) {
			r->from = last + 1;
			break;
		}
		if (++r->range < r->set.count)
			r->from = r->set.ranges[r->range].first;
	}
	return buf_len(&slot->set) > 0;
}

void rows_pump(struct rows *r)
{
	if (r->kind == ROWS_UID)
		return;
	while (r->used < r->ahead && r->failed == OK && r->range < r->set.count &&
	       imap_output_low(r->s) && imap_can_ask(r->s)) {
		unsigned at = (r->head + r->used) % ROWS_AHEAD;
		struct rows_slot *slot = &r->slots[at];

		if (!cut_slice(r, slot))
			return;
		slot->state = SLOT_ASKED;
		slot->pages = slot->rows = 0;
		slot->seen_modseq = 0;
		buf_clear(&slot->data);
		r->used++;
		ask_page(r, at, 0);
	}
}

/* ---- answers ---- */

static bool read_row(const struct rows *r, struct wire *w, struct row *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->uid = wire_u32(w);
	ret->modseq = wire_u64(w);
	ret->flags = wire_u64(w);
	if (r->kind != ROWS_FLAGS) {
		ret->received = (time_ms)wire_u64(w);
		ret->size = wire_u32(w);
		wire_u64(w);
		ret->summary = wire_block(w);
	}
	return !w->bad;
}

static void fail(struct rows *r, enum result result)
{
	if (r->failed == OK)
		r->failed = result;
}

/* Asks \Seen for the mails of the slice that have it not; false when all have. */
static bool ask_seen(struct rows *r, unsigned at)
{
	struct rows_slot *slot = &r->slots[at];
	struct wire w = wire_of(buf_bytes(&slot->data));
	struct uidset unseen = {0};
	struct buf packed = {0};
	struct row row;

	while (!wire_end(&w) && read_row(r, &w, &row))
		if (!(row.flags & MAIL_SEEN))
			uidset_add(&unseen, row.uid);
	uidset_pack(unseen.ranges, unseen.count, &packed);
	uidset_done(&unseen);
	if (buf_len(&packed) == 0)
		return false;
	imap_ask(r->s, OWNER_COMMAND, ROWS_MARK | at,
	         &(struct ask){.kind = ASK_FLAGS_SET,
	                       .flags_set = {.mailbox = r->s->box.id,
	                                     .set = buf_bytes(&packed),
	                                     .mode = FLAGS_ADD,
	                                     .flags = MAIL_SEEN,
	                                     .unchanged_since = UINT64_MAX}});
	buf_done(&packed);
	return true;
}

/* Pages of full rows are filled well when a slice is about SLICE_OCTETS. */
static void learn_slice(struct rows *r, const struct rows_slot *slot)
{
	uint32_t mails = 0;
	struct wire w = wire_of(buf_bytes(&slot->data));
	struct row row;

	if (r->kind != ROWS_FULL)
		return;
	while (!wire_end(&w) && read_row(r, &w, &row))
		mails++;
	if (!mails)
		return;
	r->slice = (uint32_t)(SLICE_OCTETS * (uint64_t)mails / buf_len(&slot->data));
	if (r->slice > FULL_SLICE_MAX)
		r->slice = FULL_SLICE_MAX;
	if (r->slice < 2)
		r->slice = 2;
}

static void page_came(struct rows *r, unsigned at, struct bytes rows, uint32_t next)
{
	struct rows_slot *slot = &r->slots[at];

	buf_append(&slot->data, rows);
	if (next && next < slot->last) {
		ask_page(r, at, next);
		return;
	}
	learn_slice(r, slot);
	slot->state = r->set_seen && ask_seen(r, at) ? SLOT_SEEING : SLOT_READY;
}

/* When \Seen cannot be set, the mail is shown all the same. */
static void seen_came(struct rows *r, struct rows_slot *slot, const struct answer *a)
{
	slot->state = SLOT_READY;
	if (a->result != OK)
		return;
	slot->seen_modseq = a->flags_set.modseq;
	sync_own_change(r->s, a->flags_set.before, a->flags_set.modseq);
}

bool rows_answer(struct rows *r, const struct answer *a, uint32_t mark)
{
	unsigned at = mark & ~ROWS_MARK;

	if (!(mark & ROWS_MARK) || at >= ROWS_AHEAD)
		return false;
	if (a->kind == ASK_FLAGS_SET)
		seen_came(r, &r->slots[at], a);
	else if (a->result != OK)
		fail(r, a->result);
	else if (a->kind == ASK_FLAGS)
		page_came(r, at, a->flags.rows, a->flags.next);
	else
		page_came(r, at, a->summaries.rows, a->summaries.next);
	return true;
}

/* ---- reading ---- */

static enum rows_what next_uid(struct rows *r, struct row *ret)
{
	const struct view *v = &r->s->box.view;

	while (r->range < r->set.count) {
		uint32_t uid = view_uid(v, view_seq_from(v, r->from));

		if (uid && uid <= r->set.ranges[r->range].last) {
			*ret = (struct row){.uid = uid};
			r->from = uid + 1;
			return ROWS_ROW;
		}
		if (++r->range < r->set.count)
			r->from = r->set.ranges[r->range].first;
	}
	return ROWS_END;
}

static void mark_seen(const struct rows *r, const struct rows_slot *slot, struct row *row)
{
	if (!slot->seen_modseq || (row->flags & MAIL_SEEN))
		return;
	row->flags |= MAIL_SEEN;
	row->modseq = slot->seen_modseq;
	row->touched = true;
}

enum rows_what rows_next(struct rows *r, struct row *ret)
{
	if (r->kind == ROWS_UID)
		return next_uid(r, ret);
	for (;;) {
		struct rows_slot *slot = &r->slots[r->head];
		struct wire w;

		if (r->failed != OK)
			return ROWS_FAILED;
		if (!r->used)
			return r->range < r->set.count ? ROWS_WAIT : ROWS_END;
		if (slot->state != SLOT_READY)
			return ROWS_WAIT;
		w = wire_of(bytes_skip(buf_bytes(&slot->data), r->offset));
		if (!wire_end(&w) && read_row(r, &w, ret)) {
			r->offset = buf_len(&slot->data) - w.rest.len;
			mark_seen(r, slot, ret);
			return ROWS_ROW;
		}
		r->offset = 0;
		r->head = (r->head + 1) % ROWS_AHEAD;
		r->used--;
		rows_pump(r);
	}
}

void rows_done(struct rows *r)
{
	uidset_done(&r->set);
	for (unsigned i = 0; i < ROWS_AHEAD; i++) {
		buf_done(&r->slots[i].set);
		buf_done(&r->slots[i].data);
	}
}
