/* STORE (RFC 9051, 6.4.6; UNCHANGEDSINCE: RFC 7162, 3.1.3). */
#include "imap/rows.h"

enum { RANGES_MAX = 6000 }; /* in one ask */

struct store {
	struct sequence_set set;
	uint64_t unchanged_since;
	uint8_t mode; /* enum flags_mode */
	bool silent;
	struct flag_words flags;
	struct uidset uids;
	size_t at;             /* next range to ask for */
	struct uidset refused; /* by unchanged_since */
	uint64_t first_modseq; /* of the changes */
	bool telling;
	struct rows rows;
};

static bool take_modifier(struct imap_server *s, struct cursor *c, struct store *st)
{
	if (!token_try_word(c, BYTES("UNCHANGEDSINCE")) || !token_space(c))
		return token_fail(c, "Unknown STORE modifier");
	s->condstore = true;
	return token_number(c, INT64_MAX, &st->unchanged_since) && token_char(c, ')') &&
	       token_space(c);
}

static bool take_what(struct cursor *c, struct store *st)
{
	st->mode = token_try_char(c, '+')   ? FLAGS_ADD
	           : token_try_char(c, '-') ? FLAGS_REMOVE
	                                    : FLAGS_REPLACE;
	st->silent = token_try_word(c, BYTES("FLAGS.SILENT"));
	if (!st->silent && !token_try_word(c, BYTES("FLAGS")))
		return token_fail(c, "Expected FLAGS");
	return token_space(c) && token_flags(c, true, &st->flags);
}

bool store_parse(struct imap_server *s, struct cursor *c)
{
	struct store *st = arena_get(&s->arena, sizeof(*st));

	s->run.state = st;
	st->unchanged_since = UINT64_MAX;
	if (!token_space(c) || !token_sequence_set(c, &st->set) || !token_space(c))
		return false;
	if (token_try_char(c, '(') && !take_modifier(s, c, st))
		return false;
	return take_what(c, st);
}

/* ---- the change ---- */

static void ask_part(struct imap_server *s, struct store *st)
{
	size_t count = st->uids.count - st->at;
	struct buf packed = {0};

	if (count > RANGES_MAX)
		count = RANGES_MAX;
	uidset_pack(st->uids.ranges + st->at, count, &packed);
	st->at += count;
	imap_ask(s, OWNER_COMMAND, 0,
	         &(struct ask){.kind = ASK_FLAGS_SET,
	                       .flags_set = {.mailbox = s->box.id,
	                                     .set = buf_bytes(&packed),
	                                     .mode = st->mode,
	                                     .flags = st->flags.system,
	                                     .keywords = st->flags.keywords,
	                                     .unchanged_since = st->unchanged_since}});
	buf_done(&packed);
}

void store_run(struct imap_server *s)
{
	struct store *st = s->run.state;

	if (s->box.read_only) {
		imap_no(s, "[CANNOT] The mailbox is open read-only");
		return;
	}
	if (!set_resolve(s, &st->set, s->run.command->flags & COMMAND_UID, &st->uids)) {
		imap_bad(s, "No such message");
		return;
	}
	if (st->uids.count)
		ask_part(s, st);
	else
		imap_ok(s, "Nothing to store");
}

/* ---- telling ---- */

/* Those left alone, in the command's own numbers. */
static void put_modified(struct imap_server *s, const struct store *st, struct buf *out)
{
	struct uidset seqs = {0};

	buf_append_text(out, "[MODIFIED ");
	if (s->run.command->flags & COMMAND_UID) {
		uidset_print(&st->refused, out);
	} else {
		for (size_t i = 0; i < st->refused.count; i++) {
			const struct uid_range *r = &st->refused.ranges[i];
			uint32_t first = view_seq_from(&s->box.view, r->first);
			uint32_t end = view_seq_from(&s->box.view, r->last + 1);

			if (first < end)
				uidset_add_range(&seqs, first, end - 1);
		}
		uidset_print(&seqs, out);
	}
	buf_append_text(out, "] ");
	uidset_done(&seqs);
}

static void end(struct imap_server *s, const struct store *st)
{
	buf_append(&s->reply, s->run.tag);
	buf_append_text(&s->reply, " OK ");
	if (st->refused.count)
		put_modified(s, st, &s->reply);
	buf_append_text(&s->reply, "Stored\r\n");
	command_finish(s);
}

static void put_row(struct imap_server *s, const struct store *st, const struct row *row)
{
	uint32_t seq = view_seq(&s->box.view, row->uid);
	const char *separator = "";

	if (!seq)
		return;
	buf_append(&s->out, BYTES("* "));
	respond_number(&s->out, seq);
	buf_append(&s->out, BYTES(" FETCH ("));
	if (s->run.command->flags & COMMAND_UID) {
		buf_printf(&s->out, "UID %u", row->uid);
		separator = " ";
	}
	if (!st->silent) {
		buf_printf(&s->out, "%sFLAGS ", separator);
		respond_flags(s, &s->out, row->flags);
		separator = " ";
	}
	if (s->condstore)
		buf_printf(&s->out, "%sMODSEQ (%llu)", separator, (unsigned long long)row->modseq);
	buf_append(&s->out, BYTES(")\r\n"));
}

/* With .SILENT only new modseqs are told, and only to who knows CONDSTORE (RFC 7162, 3.1.3). */
static void tell(struct imap_server *s, struct store *st)
{
	struct uidset told = {0};

	if (st->silent && !s->condstore) {
		end(s, st);
		return;
	}
	uidset_subtract(&st->uids, &st->refused, &told);
	rows_begin(&st->rows, s, ROWS_FLAGS, &told);
	if (st->silent)
		st->rows.since = st->first_modseq - 1;
	st->telling = true;
	store_pump(s);
}

void store_pump(struct imap_server *s)
{
	struct store *st = s->run.state;
	enum rows_what what = ROWS_ROW;
	struct row row;

	if (!st->telling)
		return;
	rows_pump(&st->rows);
	while (what == ROWS_ROW && imap_output_low(s)) {
		what = rows_next(&st->rows, &row);
		if (what == ROWS_ROW)
			put_row(s, st, &row);
	}
	if (what == ROWS_END || what == ROWS_FAILED)
		end(s, st);
}

static void changed(struct imap_server *s, struct store *st, const struct answer_flags_set *a)
{
	struct uidset refused = {0};

	if (!st->first_modseq)
		st->first_modseq = a->modseq;
	sync_own_change(s, a->before, a->modseq);
	sync_keywords(s, a->table, true);
	if (uidset_unpack(a->refused, &refused) == OK)
		for (size_t i = 0; i < refused.count; i++)
			uidset_add_range(&st->refused, refused.ranges[i].first,
			                 refused.ranges[i].last);
	uidset_done(&refused);
	if (st->at < st->uids.count)
		ask_part(s, st);
	else
		tell(s, st);
}

void store_answer(struct imap_server *s, const struct answer *a, uint32_t mark)
{
	struct store *st = s->run.state;

	if (st->telling) {
		rows_answer(&st->rows, a, mark);
		store_pump(s);
	} else if (a->result == OK) {
		changed(s, st, &a->flags_set);
	} else {
		imap_no_answer(s, a);
	}
}

void store_done(struct imap_server *s)
{
	struct store *st = s->run.state;

	if (!st)
		return;
	uidset_done(&st->uids);
	uidset_done(&st->refused);
	rows_done(&st->rows);
}
