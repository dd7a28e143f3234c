/* The bounce, and the other notices: made by mail/dsn.h, sent to SPOOL as it is made, committed by
 * the SORTED that ends the entry or sends it on. Of a mail that failed the original is returned whole
 * when the sender asked for it (RET=FULL, RFC 3461, 4.3) or when it is small, else its header; other
 * notices return the header. */
#include "mail/header.h"
#include "mail/trace.h"
#include "policy/reply.h"
#include "sorting/job.h"

enum { SMALL_ORIGINAL = 64 * 1024, RET_FULL = 1, RET_HDRS = 2 };

static bool is_full(const struct sorting_job *j)
{
	if (j->notice.action != DSN_FAILED)
		return false;
	if (j->take.ret == RET_FULL || j->take.ret == RET_HDRS)
		return j->take.ret == RET_FULL;
	return j->take.size <= SMALL_ORIGINAL;
}

static bool is_utf8(const struct sorting_job *j)
{
	for (size_t i = 0; i < j->take.sender.len; i++) {
		if ((unsigned char)j->take.sender.ptr[i] >= 0x80)
			return true;
	}
	return false;
}

/* A part of the original that says it is Japanese, by its charset or Content-Language. */
static bool is_part_japanese(const struct mime_part *part)
{
	static const char *const charsets[] = {"iso-2022-jp", "shift_jis",   "euc-jp",
	                                       "sjis",        "windows-31j", "cp932"};
	struct bytes charset = mime_param_find(part->params, BYTES("charset"));

	for (size_t i = 0; i < sizeof(charsets) / sizeof(charsets[0]); i++) {
		if (bytes_starts_nocase(charset, bytes_of_text(charsets[i])))
			return true;
	}
	return bytes_starts_nocase(part->language, BYTES("ja"));
}

/* Goes through the parts in the order of the mail. */
static const struct mime_part *next_part(const struct mime_part *part)
{
	if (part->child)
		return part->child;
	while (part && !part->next)
		part = part->parent;
	return part ? part->next : NULL;
}

static bool is_japanese(const struct sorting_job *j)
{
	for (const struct mime_part *p = j->summary.root; p; p = next_part(p)) {
		if (is_part_japanese(p))
			return true;
	}
	return dsn_is_japanese(buf_bytes(&j->header));
}

/* What a host's reply means, in words for the sender. Our own reasons have theirs by status. */
static void explain(const struct job_notice *notice, struct dsn_recipient *r)
{
	struct reply_facts facts = {
	        .stage = REPLY_AT_RCPT, .host = notice->remote, .own_sender = true};
	struct reply_judgement judged;

	if (notice->remote.len == 0 || !reply_parse(notice->text, &facts) || facts.code < 400)
		return;
	reply_judge(&facts, &judged);
	if (judged.class == REPLY_TEMPORARY || judged.class == REPLY_PERMANENT)
		return; /* the status may know more */
	r->english = reply_class_words(judged.class, false);
	r->japanese = reply_class_words(judged.class, true);
}

/* What goes to SPOOL goes to the summary, too. */
static void put(struct sorting_job *j, struct bytes text)
{
	if (sign_take(j, text))
		return;
	summary_builder_feed(j->builder, text);
	buf_append(&j->out, text);
}

static void fill_dsn(struct sorting_job *j)
{
	struct header_field subject = {0};
	struct bytes header = buf_bytes(&j->header);

	header_find(header, BYTES("Subject"), &subject);
	j->dsn_recipient = (struct dsn_recipient){
	        .action = (uint8_t)j->notice.action,
	        .address = j->take.rcpt,
	        .orcpt = j->take.orcpt,
	        .status = j->notice.status,
	        .remote_mta = j->notice.remote,
	        .diagnostic = j->notice.text,
	        .last_attempt = j->take.attempted,
	        .will_retry_until = j->take.expires,
	};
	explain(&j->notice, &j->dsn_recipient);
	j->dsn = (struct dsn){
	        .hostname = j->config->hostname,
	        .sender = j->take.sender,
	        .envid = j->take.envid,
	        .id = j->take.id,
	        .subject = bytes_first(subject.value, LIMIT_HEADER_FIELD),
	        .arrival = j->take.queued,
	        .now = j->now,
	        .japanese = is_japanese(j),
	        .full = is_full(j),
	        .utf8 = is_utf8(j),
	        .recipients = &j->dsn_recipient,
	        .count = 1,
	};
}

static void make_trace(struct sorting_job *j)
{
	struct trace t = {
	        .return_path = true,
	        .hostname = j->config->hostname,
	        .id = arena_printf(&j->arena, "%.*s.bounce", BYTES_ARG(j->take.id)),
	        .rcpt = j->take.sender,
	        .now = j->now,
	};

	trace_make(&t, &j->trace);
}

/* Nothing more comes: the summary is complete. */
static void close_text(struct sorting_job *j)
{
	if (j->ended && j->signing != SIGN_ASKED)
		summary_builder_finish(j->builder, &j->encoded);
}

void bounce_flow(struct sorting_job *j)
{
	summary_builder_feed(j->builder, buf_bytes(&j->trace));
	put(j, buf_bytes(&j->content));
	buf_done(&j->content);
	close_text(j);
}

static void end_text(struct sorting_job *j)
{
	struct buf text = {0};

	dsn_end(&j->dsn, &text);
	put(j, buf_bytes(&text));
	buf_done(&text);
	j->ended = true;
	if (j->signing == SIGN_TEXT)
		sign_finish(j);
	else
		close_text(j);
}

/* Reads on while there is little to send; sends what there is; ends with SORTED when all is
 * spooled. */
static void go_on(struct sorting_job *j)
{
	if (!j->ended && !j->reading && buf_len(&j->out) < 2 * LIMIT_CHUNK) {
		j->reading = true;
		job_read(j, j->read_at, LIMIT_READ);
	}
	while (j->chunks_open < LIMIT_SPOOL_WINDOW &&
	       (buf_len(&j->out) >= LIMIT_CHUNK || (j->ended && buf_len(&j->out) > 0))) {
		struct bytes chunk = bytes_first(buf_bytes(&j->out), LIMIT_CHUNK);
		struct ask *a = job_ask(j, ASK_SPOOL);
		a->spool.spool = JOB_SPOOL;
		a->spool.chunk = chunk; /* stays in the buffer's memory until the next append */
		buf_consume(&j->out, chunk.len);
		j->chunks_open++;
	}
	if (j->ended && j->chunks_open == 0 && buf_len(&j->out) == 0)
		job_sorted(j);
}

/* What can be said at once; the rest of the original comes by QUEUE_READ. */
static void make(struct sorting_job *j)
{
	struct buf text = {0};

	fill_dsn(j);
	make_trace(j);
	if (j->signing != SIGN_TEXT)
		bounce_flow(j);
	dsn_begin(&j->dsn, &text);
	put(j, buf_bytes(&text));
	buf_done(&text);
	if (!j->dsn.full) {
		put(j, buf_bytes(&j->header));
		end_text(j);
	}
	if (j->signing != SIGN_ASKED)
		go_on(j);
}

void bounce_begin(struct sorting_job *j)
{
	j->state = JOB_BOUNCE;
	j->builder = summary_builder_new();
	if (!sign_begin(j))
		make(j);
}

static void take_piece(struct sorting_job *j, const struct answer *a)
{
	struct bytes chunk = a->queue_read.chunk;

	j->reading = false;
	if (a->result == OK)
		put(j, chunk);
	j->read_at += chunk.len;
	if (a->result != OK || chunk.len == 0 || j->read_at >= a->queue_read.total)
		end_text(j); /* what is damaged is missing at the end */
}

void bounce_answer(struct sorting_job *j, const struct answer *a)
{
	if (a->kind == ASK_SPOOL && j->chunks_open > 0)
		j->chunks_open--;
	else if (a->kind == ASK_QUEUE_READ)
		take_piece(j, a);
	else if (sign_answer(j, a))
		make(j);
	if (j->signing != SIGN_KEYS && j->signing != SIGN_ASKED && j->state == JOB_BOUNCE)
		go_on(j);
}
