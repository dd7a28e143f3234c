/* Looking into mailboxes: UIDs, flags and changes out of the view in memory, summaries and
 * bytes from
 * the index and the log, on a reader's thread. */
#include <stdlib.h>

#include "store/internal.h"

enum { FLAGS_ROW = 20, SUMMARY_HEAD = 44 };

/* ---- from memory (locked) ---- */

static struct view *seen_view(struct store *s, const struct job *j, uint64_t id,
                              struct mailbox **ret, struct why *why)
{
	*ret = asked_mailbox(s, j, id);
	if (!*ret || !(*ret)->view) {
		why_set(why, NOT_FOUND, "there is no such mailbox");
		return NULL;
	}
	(*ret)->view->used = ++s->view_clock;
	return (*ret)->view;
}

static void answer_bytes(struct job *j, struct buf *b, struct bytes *ret)
{
	*ret = arena_copy(&j->arena, buf_bytes(b));
	buf_done(b);
}

enum result run_uids(struct store *s, struct job *j, struct why *why)
{
	const struct ask_uids *a = &j->ask.uids;
	struct answer_uids *ret = &j->answer.uids;
	struct mailbox *m;
	struct view *v = seen_view(s, j, a->mailbox, &m, why);
	struct buf out = {0};
	size_t at;

	if (!v)
		return NOT_FOUND;
	for (at = view_from(v, a->after + 1); at < v->count && buf_len(&out) + 8 <= LIMIT_LIST;) {
		size_t end = at + 1;

		while (end < v->count && v->uid[end] == v->uid[end - 1] + 1)
			end++;
		buf_u32(&out, v->uid[at]);
		buf_u32(&out, v->uid[end - 1]);
		at = end;
	}
	ret->next = at < v->count ? v->uid[at - 1] : 0;
	ret->modseq = m->now.modseq;
	answer_bytes(j, &out, &ret->ranges);
	return OK;
}

static void flags_row(struct buf *out, const struct view *v, size_t at)
{
	buf_u32(out, v->uid[at]);
	buf_u64(out, v->modseq[at]);
	buf_u64(out, v->flags[at]);
}

enum result run_flags(struct store *s, struct job *j, struct why *why)
{
	const struct ask_flags *a = &j->ask.flags;
	struct answer_flags *ret = &j->answer.flags;
	struct mailbox *m;
	struct view *v = seen_view(s, j, a->mailbox, &m, why);
	struct buf out = {0};
	struct walk w;

	if (!v)
		return NOT_FOUND;
	if (!ranges_valid(a->set))
		return why_set(why, INVALID, "the ask is malformed");
	w = walk_begin(v, a->set, a->after);
	while (walk_next(&w)) {
		if (v->modseq[w.at] <= a->since)
			continue;
		if (buf_len(&out) + FLAGS_ROW > LIMIT_LIST) {
			ret->next = v->uid[w.at] - 1;
			break;
		}
		flags_row(&out, v, w.at);
	}
	answer_bytes(j, &out, &ret->rows);
	return OK;
}

/* ---- CHANGES ---- */

/* The gap in the view that a vanished UID lies in: everything in it is not there. Neighbouring
 * vanished ranges fall into one gap, which is told once. */
static void gap_add(const struct view *v, const struct mailbox *m, uint32_t uid, uint32_t last,
                    struct buf *out, uint32_t *told)
{
	while (uid <= last) {
		size_t at = view_from(v, uid);
		uint32_t first = at ? v->uid[at - 1] + 1 : 1;
		uint32_t end = at < v->count ? v->uid[at] - 1 : m->now.uidnext - 1;

		if (at < v->count && v->uid[at] == uid) {
			uid++;
			continue;
		}
		if (end > *told && first <= end && buf_len(out) < VANISHED_TOLD * 8) {
			buf_u32(out, first);
			buf_u32(out, end);
			*told = end;
		}
		if (end == UINT32_MAX)
			return;
		uid = end + 1;
	}
}

static int compare_vanished(const void *a, const void *b)
{
	uint32_t x = ((const struct vanished *)a)->first, y = ((const struct vanished *)b)->first;

	return x < y ? -1 : x > y;
}

/* What was expunged after `since`; *reached goes down to what fits into one answer. */
static void tell_vanished(struct job *j, const struct view *v, const struct mailbox *m,
                          uint64_t since, uint64_t *reached, struct buf *out)
{
	size_t from = v->vanished_count, count = 0;
	struct vanished *sorted;
	uint32_t told = 0;

	if (since < m->now.floor) {
		gap_add(v, m, 1, m->now.uidnext - 1, out, &told);
		return;
	}
	while (from && v->vanished[from - 1].modseq > since)
		from--;
	count = v->vanished_count - from;
	if (count > VANISHED_TOLD) {
		count = VANISHED_TOLD;
		while (count &&
		       v->vanished[from + count - 1].modseq == v->vanished[from + count].modseq)
			count--;
		*reached = v->vanished[from + (count ? count - 1 : 0)].modseq;
	}
	sorted = arena_get(&j->arena, (count + 1) * sizeof(*sorted));
	if (count)
		memcpy(sorted, v->vanished + from, count * sizeof(*sorted));
	qsort(sorted, count, sizeof(*sorted), compare_vanished);
	for (size_t i = 0; i < count; i++)
		gap_add(v, m, sorted[i].first, sorted[i].last, out, &told);
}

/* Once it has all pages the session shows the state of the first; where that is not all, it is told
 * to ask again. */
static void heard(struct store *s, struct session *session, struct mailbox *m, bool first,
                  const struct answer_changes *a)
{
	session->raised = false;
	if (session->watched != m->id)
		return;
	if (first)
		session->watched_modseq = a->modseq;
	if (a->next == 0)
		changed_raise(s, m);
}

enum result run_changes(struct store *s, struct job *j, struct why *why)
{
	const struct ask_changes *a = &j->ask.changes;
	struct answer_changes *ret = &j->answer.changes;
	struct session *session = session_get(s, j->from, j->ask.session, false);
	struct mailbox *m;
	struct view *v = seen_view(s, j, a->mailbox, &m, why);
	struct buf out = {0};
	size_t room;

	if (!v)
		return NOT_FOUND;
	ret->modseq = m->now.modseq;
	room = LIMIT_LIST;
	if (a->after == 0) {
		tell_vanished(j, v, m, a->since, &ret->modseq, &out);
		answer_bytes(j, &out, &ret->vanished);
		ret->keywords = arena_copy(&j->arena, m->now.keywords);
		room -= ret->vanished.len + ret->keywords.len;
	}
	for (size_t at = view_from(v, a->after + 1); at < v->count; at++) {
		if (v->modseq[at] <= a->since)
			continue;
		if (buf_len(&out) + FLAGS_ROW > room) {
			ret->next = v->uid[at] - 1;
			break;
		}
		flags_row(&out, v, at);
	}
	if (session)
		heard(s, session, m, a->after == 0, ret);
	answer_bytes(j, &out, &ret->rows);
	return OK;
}

/* ---- from the index and the log (a reader's thread) ---- */

static enum result check_mailbox(struct store *s, struct job *j, uint64_t id, struct why *why)
{
	bool found;

	store_hold(s);
	j->account = account_by_id(s, j->account_id);
	found = j->account && asked_mailbox(s, j, id);
	store_let(s);
	return found ? OK : why_set(why, NOT_FOUND, "there is no such mailbox");
}

/* False: the page is full. */
static bool summary_rows(struct db_query *q, bool full, struct buf *out, uint32_t *ret_last)
{
	while (db_next(q)) {
		struct bytes summary = full ? db_bytes(q, 6) : (struct bytes){0};

		if (buf_len(out) + SUMMARY_HEAD + summary.len > LIMIT_LIST && buf_len(out)) {
			db_end(q);
			return false;
		}
		*ret_last = (uint32_t)db_u64(q, 0);
		buf_u32(out, *ret_last);
		buf_u64(out, db_u64(q, 1));
		buf_u64(out, db_u64(q, 2));
		buf_u64(out, (uint64_t)db_i64(q, 3));
		buf_u32(out, (uint32_t)db_u64(q, 4));
		buf_u64(out, db_u64(q, 5));
		buf_block(out, summary);
	}
	return true;
}

static struct db_query *summary_query(struct db *db, bool full)
{
	if (full)
		return db_query(db, "SELECT p.uid, p.modseq, p.flags, m.received, m.size, m.id,"
		                    " m.summary FROM placement p JOIN mail m ON m.id=p.mail"
		                    " WHERE p.mailbox=? AND p.uid BETWEEN ? AND ? ORDER BY p.uid");
	return db_query(db, "SELECT p.uid, p.modseq, p.flags, m.received, m.size, m.id"
	                    " FROM placement p JOIN mail m ON m.id=p.mail"
	                    " WHERE p.mailbox=? AND p.uid BETWEEN ? AND ? ORDER BY p.uid");
}

enum result run_summaries(struct store *s, struct job *j, struct why *why)
{
	const struct ask_summaries *a = &j->ask.summaries;
	struct bytes rest = a->set;
	struct buf *out = &j->reader->buf;
	struct db_query *q = summary_query(j->reader->db, a->full != 0);
	uint32_t first, last, seen = a->after;
	bool more = false;

	if (check_mailbox(s, j, a->mailbox, why) != OK)
		return NOT_FOUND;
	if (!ranges_valid(a->set))
		return why_set(why, INVALID, "the ask is malformed");
	buf_clear(out);
	while (!more && range_next(&rest, &first, &last)) {
		if (last <= a->after)
			continue;
		if (first <= a->after)
			first = a->after + 1;
		db_bind(q, "uuu", a->mailbox, (uint64_t)first, (uint64_t)last);
		more = !summary_rows(q, a->full != 0, out, &seen);
	}
	j->answer.summaries.next = more ? seen : 0;
	j->answer.summaries.rows = arena_copy(&j->arena, buf_bytes(out));
	return db_failed(j->reader->db, why);
}

static bool place_of(struct reader *r, uint64_t mail, struct blob_place *ret)
{
	struct db_query *q = db_query(r->db, "SELECT segment, offset, stored FROM mail WHERE id=?");
	bool found;

	db_bind(q, "u", mail);
	found = db_next(q);
	if (found) {
		*ret = (struct blob_place){0};
		ret->segment = (uint32_t)db_u64(q, 0);
		ret->offset = db_u64(q, 1);
		ret->stored = db_u64(q, 2);
	}
	db_end(q);
	return found;
}

enum result read_mail(struct store *s, struct reader *r, uint64_t mail, uint64_t offset,
                      uint32_t len, struct buf *out, uint64_t *ret_total, struct why *why)
{
	struct blob_place place;
	enum result result = NOT_FOUND;

	/* A sweep may move it between the look into the index and the read. */
	for (int tries = 0; tries < 2 && result == NOT_FOUND; tries++) {
		if (!place_of(r, mail, &place))
			return why_set(why, NOT_FOUND, "the mail is gone");
		result = blob_read(s->log, &r->blob, &place, offset, len, out, ret_total, why);
	}
	if (result == NOT_FOUND)
		result = why_set(why, DAMAGED, "where the mail lay is missing");
	return result == FAILED ? DAMAGED : result;
}

static uint64_t mail_of(struct reader *r, uint64_t mailbox, uint32_t uid)
{
	struct db_query *q = db_query(r->db,
	                              "SELECT mail FROM placement WHERE mailbox=? AND uid=?");
	uint64_t mail = 0;

	db_bind(q, "uu", mailbox, (uint64_t)uid);
	if (db_next(q))
		mail = db_u64(q, 0);
	db_end(q);
	return mail;
}

enum result run_read(struct store *s, struct job *j, struct why *why)
{
	const struct ask_read *a = &j->ask.read;
	struct buf *out = &j->reader->buf;
	uint64_t mail;
	enum result result;

	if (check_mailbox(s, j, a->mailbox, why) != OK)
		return NOT_FOUND;
	mail = mail_of(j->reader, a->mailbox, a->uid);
	if (!mail)
		return why_set(why, NOT_FOUND, "there is no such mail");
	buf_clear(out);
	result = read_mail(s, j->reader, mail, a->offset, a->len < LIMIT_READ ? a->len : LIMIT_READ,
	                   out, &j->answer.read.total, why);
	j->answer.read.chunk = arena_copy(&j->arena, buf_bytes(out));
	return result;
}

/* One piece of READ_MANY; a piece that cannot be read costs the others nothing. */
static void read_piece(struct store *s, struct job *j, struct wire *w, struct buf *rows)
{
	uint32_t uid = wire_u32(w);
	uint64_t offset = wire_u64(w), total;
	uint32_t len = wire_u32(w);
	struct buf *out = &j->reader->buf;
	uint64_t mail = mail_of(j->reader, j->ask.read_many.mailbox, uid);
	enum result result = NOT_FOUND;

	buf_clear(out);
	if (mail)
		result = read_mail(s, j->reader, mail, offset, len < LIMIT_READ ? len : LIMIT_READ,
		                   out, &total, NULL);
	if (result != OK)
		buf_clear(out);
	buf_u8(rows, (uint8_t)result);
	buf_block(rows, buf_bytes(out));
}

enum result run_read_many(struct store *s, struct job *j, struct why *why)
{
	struct wire w = wire_of(j->ask.read_many.pieces);
	struct buf rows = {0};

	if (check_mailbox(s, j, j->ask.read_many.mailbox, why) != OK)
		return NOT_FOUND;
	while (!wire_end(&w)) {
		struct wire ahead = w;

		wire_take(&ahead, 12);
		if (buf_len(&rows) && buf_len(&rows) + 5 + wire_u32(&ahead) > LIMIT_LIST)
			break;
		read_piece(s, j, &w, &rows);
	}
	j->answer.read_many.rows = arena_copy(&j->arena, buf_bytes(&rows));
	buf_done(&rows);
	return w.bad ? why_set(why, INVALID, "the ask is malformed") : OK;
}
