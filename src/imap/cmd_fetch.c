/* FETCH (RFC 9051, 6.4.5; MODSEQ and CHANGEDSINCE: RFC 7162; BINARY: RFC 3516).
 *
 * Rows come from rows.h. What they hold is written at once; a mail whose octets are needed becomes a job of reads.h.
 * The response to a job is written when all of it is here, except that one long piece of raw octets goes out as it
 * comes in. */
#include "imap/envelope.h"
#include "imap/fetch.h"

enum { STREAM_FROM = 2 * LIMIT_READ };

struct fetch {
	struct sequence_set set;
	struct fetch_items items;
	uint64_t changed_since;
	struct rows rows;
	struct reads reads;
	struct arena arena; /* of one mail's summary */
	bool begun, vanished, damaged, unknown_encoding;
	enum result failed;
};

/* ---- arguments ---- */

/* "(CHANGEDSINCE 12345)" */
static bool take_modifiers(struct imap_server *s, struct cursor *c, struct fetch *f)
{
	if (!token_char(c, '(') || !token_try_word(c, BYTES("CHANGEDSINCE")) || !token_space(c))
		return token_fail(c, "Unknown FETCH modifier");
	s->condstore = true;
	f->items.items |= FETCH_MODSEQ;
	return token_number(c, INT64_MAX, &f->changed_since) && token_char(c, ')');
}

bool fetch_parse(struct imap_server *s, struct cursor *c)
{
	struct fetch *f = arena_get(&s->arena, sizeof(*f));

	s->run.state = f;
	if (!token_space(c) || !token_sequence_set(c, &f->set) || !token_space(c) ||
	    !fetch_items_parse(c, &f->items))
		return false;
	if (token_try_char(c, ' ') && !take_modifiers(s, c, f))
		return false;
	if (f->items.items & FETCH_MODSEQ)
		s->condstore = true;
	if (s->run.command->flags & COMMAND_UID)
		f->items.items |= FETCH_UID;
	return true;
}

/* ---- what it needs ---- */

static bool needs_structure(const struct fetch *f)
{
	for (const struct section *sec = f->items.sections; sec; sec = sec->next)
		if (section_needs_structure(sec))
			return true;
	return f->items.items & (FETCH_BODY | FETCH_STRUCTURE);
}

/* A whole mail needs its size only; headers and parts need offsets. */
static bool needs_summary(const struct fetch *f)
{
	for (const struct section *sec = f->items.sections; sec; sec = sec->next)
		if (sec->kind != SECTION_WHOLE || sec->count)
			return true;
	return f->items.items & (FETCH_ENVELOPE | FETCH_BODY | FETCH_STRUCTURE);
}

static enum rows_kind rows_kind_of(const struct fetch *f)
{
	if (needs_summary(f))
		return ROWS_FULL;
	if (f->items.sections || (f->items.items & (FETCH_DATE | FETCH_SIZE)))
		return ROWS_BRIEF;
	if ((f->items.items & (FETCH_FLAGS | FETCH_MODSEQ)) || f->changed_since)
		return ROWS_FLAGS;
	return ROWS_UID;
}

void fetch_run(struct imap_server *s)
{
	struct fetch *f = s->run.state;
	struct uidset set = {0};

	if (!set_resolve(s, &f->set, s->run.command->flags & COMMAND_UID, &set)) {
		uidset_done(&set);
		imap_bad(s, "No such message");
		return;
	}
	rows_begin(&f->rows, s, rows_kind_of(f), &set);
	f->rows.since = f->changed_since;
	f->rows.set_seen = f->items.set_seen && !s->box.read_only;
	if (f->items.sections)
		f->rows.ahead = 2;
	reads_begin(&f->reads, s);
	f->begun = true;
	fetch_pump(s);
}

/* ---- one response ---- */

static struct buf *item(struct imap_server *s, bool *first, const char *name)
{
	if (!*first)
		buf_append_char(&s->out, ' ');
	*first = false;
	buf_append_text(&s->out, name);
	return &s->out;
}

static void put_row(struct imap_server *s, const struct fetch *f, const struct row *row,
                    const struct summary *sum, bool *first)
{
	unsigned items = f->items.items;

	if (row->touched)
		items |= FETCH_FLAGS | (s->condstore ? FETCH_MODSEQ : 0);
	if (items & FETCH_UID)
		respond_number(item(s, first, "UID "), row->uid);
	if (items & FETCH_FLAGS)
		respond_flags(s, item(s, first, "FLAGS "), row->flags);
	if (items & FETCH_MODSEQ) {
		respond_number(item(s, first, "MODSEQ ("), row->modseq);
		buf_append_char(&s->out, ')');
	}
	if (items & FETCH_DATE)
		respond_date_time(item(s, first, "INTERNALDATE "), row->received);
	if (items & FETCH_SIZE)
		respond_number(item(s, first, "RFC822.SIZE "), row->size);
	if (items & FETCH_ENVELOPE)
		envelope_print(item(s, first, "ENVELOPE "), sum->root->envelope);
	if (items & FETCH_BODY)
		structure_print(item(s, first, "BODY "), sum->root, false);
	if (items & FETCH_STRUCTURE)
		structure_print(item(s, first, "BODYSTRUCTURE "), sum->root, true);
}

static void begin_response(struct imap_server *s, const struct row *row)
{
	buf_append(&s->out, BYTES("* "));
	respond_number(&s->out, view_seq(&s->box.view, row->uid));
	buf_append(&s->out, BYTES(" FETCH ("));
}

/* ---- summaries ---- */

static bool partial_matters(const struct fetch *f, uint8_t partial)
{
	if ((partial & SUMMARY_NO_STRUCTURE) && needs_structure(f))
		return true;
	return (partial & SUMMARY_CUT) &&
	       (f->items.items & (FETCH_ENVELOPE | FETCH_STRUCTURE | FETCH_BODY));
}

/* The summary as stored; false when it does not tell enough, and the mail itself must be read. */
static bool stored_summary(struct fetch *f, const struct row *row, struct summary *ret)
{
	if (f->rows.kind != ROWS_FULL) {
		*ret = (struct summary){.size = row->size};
		return true;
	}
	arena_reset(&f->arena);
	return summary_decode(row->summary, &f->arena, ret) == OK &&
	       !partial_matters(f, ret->partial);
}

/* ---- what to read ---- */

static void add_range(const struct section *sec, const struct summary *sum, uint64_t *from,
                      uint64_t *to)
{
	const struct mime_part *part;
	uint64_t a, b;

	if (!section_range(sec, sum, &a, &b, &part))
		return;
	if (section_is_raw(sec))
		section_narrow(sec, &a, &b);
	if (a >= b)
		return;
	if (*from == *to) {
		*from = a;
		*to = b;
	}
	*from = a < *from ? a : *from;
	*to = b > *to ? b : *to;
}

/* One mail more: octets from the first to the last that any section wants. */
static void add_job(struct fetch *f, const struct row *row)
{
	struct section *sections = f->items.sections;
	struct summary sum;
	uint64_t from = 0, to = 0;
	bool stream;

	if (!stored_summary(f, row, &sum)) {
		reads_add(&f->reads, row, 0, row->size, false);
		return;
	}
	for (const struct section *sec = sections; sec; sec = sec->next)
		add_range(sec, &sum, &from, &to);
	stream = sections && !sections->next && section_is_raw(sections) && to - from > STREAM_FROM;
	reads_add(&f->reads, row, from, to, stream);
}

/* ---- responses with octets ---- */

static void put_section(struct imap_server *s, struct fetch *f, const struct section *sec,
                        const struct summary *sum, const struct read_job *job)
{
	struct bytes data = buf_bytes(&job->data);
	const struct mime_part *part;
	struct section narrowed = *sec;
	uint64_t a, b;

	if (!section_range(sec, sum, &a, &b, &part)) {
		section_print_nil(sec, &s->out);
		return;
	}
	if (section_is_raw(sec)) {
		section_narrow(sec, &a, &b);
		narrowed.partial = false;
	}
	data = a < b ? bytes_first(bytes_skip(data, a - job->from), b - a) : (struct bytes){0};
	if (!section_print(&narrowed, data, part, &s->out)) {
		f->unknown_encoding = true;
		section_print_nil(sec, &s->out);
	}
}

static void put_collected(struct imap_server *s, struct fetch *f, const struct read_job *job,
                          const struct summary *sum)
{
	bool first = true;

	begin_response(s, &job->row);
	put_row(s, f, &job->row, sum, &first);
	for (const struct section *sec = f->items.sections; sec; sec = sec->next) {
		item(s, &first, "");
		put_section(s, f, sec, sum, job);
	}
	buf_append(&s->out, BYTES(")\r\n"));
}

/* The one section of a streamed job, as far as it is here. True when it is out. */
static bool put_stream(struct imap_server *s, struct fetch *f, struct read_job *job)
{
	struct bytes chunk;
	struct summary sum;
	bool first = true;

	if (!job->begun) {
		if (!read_chunk(job, &chunk))
			return false;
		stored_summary(f, &job->row, &sum);
		begin_response(s, &job->row);
		put_row(s, f, &job->row, &sum, &first);
		buf_append(item(s, &first, ""), f->items.sections->label);
		buf_printf(&s->out, " {%llu}\r\n", (unsigned long long)(job->to - job->from));
		job->begun = true;
	}
	while (imap_output_low(s) && read_chunk(job, &chunk)) {
		buf_append(&s->out, chunk);
		read_consume(job);
	}
	if (job->taken < job->to)
		return false;
	buf_append(&s->out, BYTES(")\r\n"));
	return true;
}

/* A mail that is gone gives no response; a damaged one costs only itself. */
static void job_failed(struct imap_server *s, struct fetch *f, const struct read_job *job)
{
	if (job->begun)
		imap_bye(s, "[UNAVAILABLE] A message could not be sent to its end");
	else if (job->result == NOT_FOUND)
		f->vanished = true;
	else if (job->result == DAMAGED)
		f->damaged = true;
	else
		f->failed = job->result;
}

/* True when the job is over. */
static bool finish_job(struct imap_server *s, struct fetch *f, struct read_job *job)
{
	struct summary sum;

	if (job->result != OK) {
		job_failed(s, f, job);
		return true;
	}
	if (job->stream)
		return put_stream(s, f, job);
	if (!read_complete(job))
		return false;
	if (!stored_summary(f, &job->row, &sum)) {
		arena_reset(&f->arena);
		sum = summary_of(buf_bytes(&job->data), &f->arena);
	}
	put_collected(s, f, job, &sum);
	return true;
}

/* Responses to jobs, in order. True when one more was over. */
static bool finish_jobs(struct imap_server *s, struct fetch *f)
{
	bool popped = false;
	struct read_job *job;

	while (f->failed == OK && !s->finished && imap_output_low(s) &&
	       (job = reads_head(&f->reads)) && finish_job(s, f, job)) {
		reads_pop(&f->reads);
		popped = true;
	}
	return popped;
}

/* ---- the flow ---- */

/* A row that needs nothing but itself. False: it became a job. */
static void take_row(struct imap_server *s, struct fetch *f, const struct row *row)
{
	struct summary sum;
	bool first = true;

	if (row->modseq <= f->changed_since && f->changed_since)
		return;
	if (f->items.sections) {
		add_job(f, row);
		return;
	}
	if (!stored_summary(f, row, &sum)) {
		reads_add(&f->reads, row, 0, row->size, false);
		return;
	}
	begin_response(s, row);
	put_row(s, f, row, &sum, &first);
	buf_append(&s->out, BYTES(")\r\n"));
}

static void end(struct imap_server *s, const struct fetch *f)
{
	if (f->failed != OK) {
		struct answer a = {.kind = ASK_READ, .result = f->failed};

		imap_no_answer(s, &a);
	} else if (f->damaged) {
		imap_no(s, "[CORRUPTION] A message is damaged; the others were sent");
	} else if (f->unknown_encoding) {
		imap_no(s, "[UNKNOWN-CTE] A part has an encoding that nobody knows");
	} else if (f->vanished) {
		imap_ok(s, "[EXPUNGEISSUED] Some messages are gone");
	} else {
		imap_ok(s, "Fetched");
	}
}

/* Rows that are written at once must wait for the jobs before them, so that the order stays. */
static enum rows_what take_rows(struct imap_server *s, struct fetch *f)
{
	enum rows_what what = ROWS_WAIT;
	struct row row;

	while (imap_output_low(s) && !reads_full(&f->reads) &&
	       (f->items.sections || !reads_head(&f->reads))) {
		what = rows_next(&f->rows, &row);
		if (what != ROWS_ROW)
			break;
		take_row(s, f, &row);
	}
	return what == ROWS_ROW ? ROWS_WAIT : what;
}

void fetch_pump(struct imap_server *s)
{
	struct fetch *f = s->run.state;
	enum rows_what what;
	bool popped;

	do {
		rows_pump(&f->rows);
		what = take_rows(s, f);
		if (what == ROWS_FAILED && f->failed == OK)
			f->failed = f->rows.failed;
		reads_pump(&f->reads);
		popped = finish_jobs(s, f);
	} while (popped && f->failed == OK && !s->finished);
	if (!s->finished && (f->failed != OK || (what == ROWS_END && !reads_head(&f->reads))))
		end(s, f);
}

void fetch_answer(struct imap_server *s, const struct answer *a, uint32_t mark)
{
	struct fetch *f = s->run.state;

	if (!reads_answer(&f->reads, a, mark))
		rows_answer(&f->rows, a, mark);
	fetch_pump(s);
}

void fetch_done(struct imap_server *s)
{
	struct fetch *f = s->run.state;

	if (!f || !f->begun)
		return;
	rows_done(&f->rows);
	reads_done(&f->reads);
	arena_done(&f->arena);
}
