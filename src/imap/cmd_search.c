/* SEARCH (RFC 9051, 6.4.4; RFC 4731 ESEARCH, RFC 5182 SEARCHRES, RFC 7162 MODSEQ).
 *
 * Rows decide what they can; only mails that they leave open are read. */
#include "imap/search.h"

enum { WORK_MAX = 2 * 1000 * 1000 }; /* keys compared in one turn: some milliseconds */

struct search {
	struct search_query query;
	struct rows rows;
	struct reads reads;
	bool begun;
	struct uidset found; /* UIDs */
	uint64_t modseq;     /* highest of the found */
	enum result failed;
	struct arena arena; /* of one mail */
	struct buf header_text, body_text;
};

bool search_parse(struct imap_server *s, struct cursor *c)
{
	struct search *se = arena_get(&s->arena, sizeof(*se));

	s->run.state = se;
	return search_query_parse(s, c, &se->query);
}

/* Only what stands at the top can narrow the mails that are looked at. */
static void narrow(const struct imap_server *s, const struct search_node *root, struct uidset *set)
{
	struct uidset narrowed = {0};

	for (size_t i = 0; i < s->box.view.uids.count; i++)
		uidset_add_range(set, s->box.view.uids.ranges[i].first,
		                 s->box.view.uids.ranges[i].last);
	for (const struct search_node *node = root->child; node; node = node->next) {
		if (node->kind != SEARCH_SET)
			continue;
		uidset_intersect(set, &node->uids, &narrowed);
		uidset_done(set);
		*set = narrowed;
		narrowed = (struct uidset){0};
	}
}

static enum rows_kind rows_kind_of(unsigned needs)
{
	if (needs & NEED_FULL)
		return ROWS_FULL;
	if (needs & NEED_BRIEF)
		return ROWS_BRIEF;
	return needs & NEED_FLAGS ? ROWS_FLAGS : ROWS_UID;
}

void search_run(struct imap_server *s)
{
	struct search *se = s->run.state;
	struct uidset set = {0};

	if (se->query.returns & RETURN_SAVE)
		uidset_done(&s->box.saved);
	if (se->query.bad_charset) {
		imap_no(s, "[BADCHARSET (UTF-8 US-ASCII ISO-2022-JP Shift_JIS EUC-JP)] "
		           "Unknown charset");
		return;
	}
	search_resolve(s, se->query.root);
	narrow(s, se->query.root, &set);
	rows_begin(&se->rows, s, rows_kind_of(se->query.needs), &set);
	reads_begin(&se->reads, s);
	se->begun = true;
	search_pump(s);
}

/* ---- judging ---- */

static void found(struct search *se, const struct row *row)
{
	uidset_add(&se->found, row->uid);
	if (row->modseq > se->modseq)
		se->modseq = row->modseq;
}

static struct search_mail mail_of(struct search *se, const struct row *row)
{
	struct search_mail mail = {.row = row};

	if (se->rows.kind == ROWS_FULL) {
		arena_reset(&se->arena);
		mail.have_summary = summary_decode(row->summary, &se->arena, &mail.summary) == OK;
	}
	return mail;
}

/* Octets that are still needed: the header, or all. */
static uint64_t wanted(const struct search *se, const struct search_mail *mail)
{
	bool header_only = !(se->query.needs & NEED_MAIL);

	if (header_only && mail->have_summary && mail->summary.root)
		return mail->summary.root->body_start;
	return mail->row->size;
}

static void take_row(struct search *se, const struct row *row)
{
	struct search_mail mail = mail_of(se, row);
	enum search_verdict v = search_match(se->query.root, &mail);

	if (v == SEARCH_YES)
		found(se, row);
	else if (v == SEARCH_MAYBE)
		reads_add(&se->reads, row, 0, wanted(se, &mail), false);
}

static void read_mail(struct search *se, const struct read_job *job, struct search_mail *mail)
{
	struct bytes data = buf_bytes(&job->data);

	if (!mail->have_summary || (mail->summary.partial & SUMMARY_NO_STRUCTURE))
		mail->summary = summary_of(data, &se->arena);
	mail->have_summary = mail->have_header = mail->have_mail = true;
	mail->header = bytes_first(data, mail->summary.root->body_start);
	buf_clear(&se->header_text);
	buf_clear(&se->body_text);
	if (!(se->query.needs & NEED_MAIL))
		return;
	search_header_text(mail->header, &se->header_text);
	search_body_text(data, mail->summary.root, &se->body_text);
	mail->header_text = buf_bytes(&se->header_text);
	mail->body_text = buf_bytes(&se->body_text);
}

static void take_job(struct search *se, const struct read_job *job)
{
	struct search_mail mail;

	if (job->result == NOT_FOUND || job->result == DAMAGED)
		return;
	if (job->result != OK) {
		se->failed = job->result;
		return;
	}
	mail = mail_of(se, &job->row);
	read_mail(se, job, &mail);
	if (search_match(se->query.root, &mail) == SEARCH_YES)
		found(se, &job->row);
	arena_reset(&se->arena);
}

/* ---- telling ---- */

/* The found ones in the command's own numbers. */
static void number(const struct imap_server *s, const struct search *se, struct uidset *ret)
{
	bool uid = s->run.command->flags & COMMAND_UID;
	const struct view *v = &s->box.view;

	for (size_t i = 0; i < se->found.count; i++) {
		uint32_t first = se->found.ranges[i].first, last = se->found.ranges[i].last;

		if (uid)
			uidset_add_range(ret, first, last);
		else if (view_seq(v, first) && view_seq(v, last))
			uidset_add_range(ret, view_seq(v, first), view_seq(v, last));
	}
}

static void put_search(struct imap_server *s, const struct search *se, const struct uidset *numbers)
{
	buf_append_text(&s->out, "* SEARCH");
	for (size_t i = 0; i < numbers->count; i++) {
		for (uint64_t n = numbers->ranges[i].first; n <= numbers->ranges[i].last; n++) {
			buf_append_char(&s->out, ' ');
			respond_number(&s->out, n);
		}
	}
	if (se->query.modseq && numbers->count)
		buf_printf(&s->out, " (MODSEQ %llu)", (unsigned long long)se->modseq);
	buf_append_text(&s->out, "\r\n");
}

static void put_esearch(struct imap_server *s, const struct search *se, unsigned returns,
                        const struct uidset *numbers)
{
	buf_printf(&s->out, "* ESEARCH (TAG \"%.*s\")", BYTES_ARG(s->run.tag));
	if (s->run.command->flags & COMMAND_UID)
		buf_append_text(&s->out, " UID");
	if (numbers->count) {
		if (returns & RETURN_MIN)
			buf_printf(&s->out, " MIN %u", numbers->ranges[0].first);
		if (returns & RETURN_MAX)
			buf_printf(&s->out, " MAX %u", numbers->ranges[numbers->count - 1].last);
		if (returns & RETURN_ALL) {
			buf_append_text(&s->out, " ALL ");
			uidset_print(numbers, &s->out);
		}
	}
	if (returns & RETURN_COUNT)
		buf_printf(&s->out, " COUNT %llu", (unsigned long long)uidset_members(numbers));
	if (se->query.modseq && numbers->count)
		buf_printf(&s->out, " MODSEQ %llu", (unsigned long long)se->modseq);
	buf_append_text(&s->out, "\r\n");
}

/* RFC 9051, 6.4.4.1: with MIN or MAX alone only these are kept. */
static void save(struct imap_server *s, const struct search *se)
{
	unsigned returns = se->query.returns;
	const struct uidset *f = &se->found;

	if (!(returns & RETURN_SAVE) || !f->count)
		return;
	if (!(returns & (RETURN_ALL | RETURN_COUNT)) && (returns & (RETURN_MIN | RETURN_MAX))) {
		if (returns & RETURN_MIN)
			uidset_add(&s->box.saved, f->ranges[0].first);
		if (returns & RETURN_MAX)
			uidset_add(&s->box.saved, f->ranges[f->count - 1].last);
		return;
	}
	for (size_t i = 0; i < f->count; i++)
		uidset_add_range(&s->box.saved, f->ranges[i].first, f->ranges[i].last);
}

/* Numbers join ranges over UIDs that do not exist in between; for UIDs a range may name only what was found, and
 * does. IMAP4rev2 knows ESEARCH only (RFC 9051, 6.4.4). */
static void end(struct imap_server *s, const struct search *se)
{
	unsigned returns = se->query.returns ? se->query.returns : RETURN_ALL;
	struct uidset numbers = {0};

	if (se->failed != OK) {
		struct answer a = {.kind = ASK_READ, .result = se->failed};

		imap_no_answer(s, &a);
		return;
	}
	number(s, se, &numbers);
	save(s, se);
	if (!se->query.extended && !s->rev2)
		put_search(s, se, &numbers);
	else if (returns != RETURN_SAVE)
		put_esearch(s, se, returns, &numbers);
	uidset_done(&numbers);
	imap_ok(s, "Searched");
}

/* ---- the flow ---- */

/* Many keys for many mails are looked at in turns, so that other sessions get theirs. */
static enum rows_what take_rows(struct imap_server *s, struct search *se)
{
	enum rows_what what = ROWS_WAIT;
	unsigned work = 0;
	struct row row;

	while (!reads_full(&se->reads)) {
		what = rows_next(&se->rows, &row);
		if (what != ROWS_ROW)
			return what;
		take_row(se, &row);
		work += se->query.nodes;
		if (work > WORK_MAX) {
			imap_later(s);
			break;
		}
	}
	return ROWS_WAIT;
}

static bool finish_jobs(struct search *se)
{
	struct read_job *job;
	bool popped = false;

	while (se->failed == OK && (job = reads_head(&se->reads)) && read_complete(job)) {
		take_job(se, job);
		reads_pop(&se->reads);
		popped = true;
	}
	return popped;
}

void search_pump(struct imap_server *s)
{
	struct search *se = s->run.state;
	enum rows_what what;
	bool popped;

	if (!se->begun)
		return;
	do {
		rows_pump(&se->rows);
		what = take_rows(s, se);
		if (what == ROWS_FAILED && se->failed == OK)
			se->failed = se->rows.failed;
		reads_pump(&se->reads);
		popped = finish_jobs(se);
	} while (popped && se->failed == OK);
	if (se->failed != OK || (what == ROWS_END && !reads_head(&se->reads)))
		end(s, se);
}

void search_answer(struct imap_server *s, const struct answer *a, uint32_t mark)
{
	struct search *se = s->run.state;

	if (!reads_answer(&se->reads, a, mark))
		rows_answer(&se->rows, a, mark);
	search_pump(s);
}

void search_done(struct imap_server *s)
{
	struct search *se = s->run.state;

	if (!se)
		return;
	search_forget(se->query.root);
	uidset_done(&se->found);
	buf_done(&se->header_text);
	buf_done(&se->body_text);
	arena_done(&se->arena);
	if (!se->begun)
		return;
	rows_done(&se->rows);
	reads_done(&se->reads);
}
