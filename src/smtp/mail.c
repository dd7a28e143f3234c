/* The content of a mail: DATA (RFC 5321, 4.1.1.4) and BDAT (RFC 3030), spooled as it comes,
 * committed at its end.
 *
 *	content -> (submission: submit.c) -> summary builder
 *	        -> chunks of LIMIT_CHUNK -> SPOOL, at most LIMIT_SPOOL_WINDOW unanswered
 *	end     -> all SPOOLs answered -> (submission: senders allowed, signed) -> COMMIT -> 250
 *	                                  COMMIT LOST -> COMMITTED, again and again for ten seconds
 */
#include "base/text.h"
#include "mail/trace.h"
#include "smtp/session.h"

/* ---- chunks ---- */

static struct smtp_chunk *chunk_at(struct smtp_mail *m, unsigned nth)
{
	return &m->chunks[(m->chunk_first + nth) % LIMIT_SPOOL_WINDOW];
}

/* The chunk that is being filled, or NULL. */
static struct smtp_chunk *filling(struct smtp_mail *m)
{
	struct smtp_chunk *c = m->chunk_count > 0 ? chunk_at(m, m->chunk_count - 1) : NULL;

	return c && !c->full ? c : NULL;
}

/* Octets that can be taken before an answer to SPOOL is needed. */
static size_t content_room(struct smtp_mail *m)
{
	struct smtp_chunk *c = filling(m);

	if (buf_len(&m->staged) > 0)
		return 0;
	return (LIMIT_SPOOL_WINDOW - m->chunk_count) * (size_t)LIMIT_CHUNK +
	       (c ? LIMIT_CHUNK - buf_len(&c->data) : 0);
}

/* Into chunks, as far as there are any; returns how much that was. */
static size_t fill_chunks(struct smtp_mail *m, struct bytes run)
{
	size_t len = run.len;

	while (run.len > 0) {
		struct smtp_chunk *c = filling(m);
		struct bytes part;

		if (!c && m->chunk_count == LIMIT_SPOOL_WINDOW)
			break;
		if (!c) {
			c = chunk_at(m, m->chunk_count++);
			buf_clear(&c->data);
			c->full = c->asked = c->answered = false;
		}
		part = bytes_first(run, LIMIT_CHUNK - buf_len(&c->data));
		buf_append(&c->data, part);
		c->full = buf_len(&c->data) == LIMIT_CHUNK;
		run = bytes_skip(run, part.len);
	}
	return len - run.len;
}

/* What submission makes of a header may be more than came: then it waits. */
static void store_content(struct smtp_mail *m, struct bytes run)
{
	size_t taken = buf_len(&m->staged) == 0 ? fill_chunks(m, run) : 0;

	if (taken < run.len)
		buf_append(&m->staged, bytes_skip(run, taken));
}

static void unstage(struct smtp_mail *m)
{
	if (buf_len(&m->staged) == 0)
		return;
	buf_consume(&m->staged, fill_chunks(m, buf_bytes(&m->staged)));
	if (buf_len(&m->staged) == 0)
		buf_done(&m->staged);
}

void smtp_fault_set(struct smtp_mail *m, enum smtp_fault fault)
{
	if (fault > m->fault)
		m->fault = fault;
}

static void take_content(struct smtp_server *s, struct bytes run)
{
	struct smtp_mail *m = &s->mail;

	m->size += run.len;
	if (m->size > s->options->message_max)
		smtp_fault_set(m, FAULT_SIZE);
	if (m->fault != FAULT_NONE || run.len == 0)
		return;
	if (s->options->submission)
		smtp_submit_content(s, run);
	else
		smtp_judge_content(s, run);
}

void smtp_content_keep(struct smtp_server *s, struct bytes run)
{
	summary_builder_feed(s->mail.builder, run);
	store_content(&s->mail, run);
}

/* ---- beginning ---- */

static void make_trace(struct smtp_server *s)
{
	struct smtp_mail *m = &s->mail;
	bool local = s->peer.local;
	bool hidden = local || (s->options->submission && s->options->hide_client);
	struct trace t = {
	        .return_path = !m->remote, /* RFC 5321, 4.4: the last host makes it */
	        .sender = m->sender,
	        .helo = buf_bytes(&s->helo),
	        .client_name = s->judging ? judging_client_name(s->judging) : (struct bytes){0},
	        .client = hidden ? NULL : &s->peer.ip,
	        .hostname = s->options->hostname,
	        .esmtp = s->ehlo && !local,
	        .tls = s->tls,
	        .auth = s->logged_in && !local,
	        .utf8 = (m->body & 4) != 0,
	        .tls_version = s->tls ? s->tls_version : (struct bytes){0},
	        .rcpt = m->only_rcpt,
	        .now = s->now,
	};

	if (local)
		t.tls_version = arena_printf(&m->arena, "local user %.*s, uid %u",
		                             BYTES_ARG(s->peer.user), s->peer.uid);
	t.id = arena_printf(&m->arena, "%llx.%x", (unsigned long long)s->peer.session, s->spools);
	trace_make(&t, &m->trace);
}

static void content_begin(struct smtp_server *s)
{
	struct smtp_mail *m = &s->mail;

	if (m->content)
		return;
	m->content = true;
	m->spool = ++s->spools;
	m->data = (struct smtp_data){0};
	make_trace(s);
	m->builder = summary_builder_new();
	summary_builder_feed(m->builder, buf_bytes(&m->trace));
}

static bool no_recipients(struct smtp_server *s)
{
	if (s->mail.rcpt_good > 0)
		return false;
	if (s->mail.rcpt_refused > 0)
		smtp_refuse(s, 554, "5.5.1", "No recipient was accepted");
	else
		smtp_refuse(s, 503, "5.5.1", "First say RCPT TO:<address>");
	return true;
}

void smtp_cmd_data(struct smtp_server *s, struct bytes args)
{
	if (s->phase == PHASE_START) {
		smtp_refuse(s, 503, "5.5.1", "First say EHLO or HELO");
	} else if (s->phase == PHASE_READY) {
		smtp_refuse(s, 503, "5.5.1", "First say MAIL FROM:<address>");
	} else if (s->phase == PHASE_BDAT || s->mail.body & 2) {
		/* RFC 3030, 2 and 3 */
		smtp_refuse(s, 503, "5.5.1", "This mail goes on with BDAT");
	} else if (!no_recipients(s)) {
		content_begin(s);
		s->mode = MODE_DATA;
		smtp_reply(s, 354, "", "Go ahead; end with <CRLF>.<CRLF>");
	}
}

/* ---- the end ---- */

static void refuse_content(struct smtp_server *s)
{
	switch (s->mail.fault) {
	case FAULT_NONE: break;
	case FAULT_SEQUENCE: smtp_refuse(s, 503, "5.5.1", "First say MAIL FROM:<address>"); break;
	case FAULT_RECIPIENTS: (void)no_recipients(s); break;
	case FAULT_TIME:
		smtp_decline(s, 451, "4.3.0", "The mail cannot be kept just now; try again soon");
		break;
	case FAULT_DISK:
		smtp_decline(s, 452, "4.3.1", "There is no space for it just now; try again later");
		break;
	case FAULT_HEADER:
		smtp_refuse(s, s->mail.submit.refusal.code, s->mail.submit.refusal.enhanced, "%.*s",
		            BYTES_ARG(s->mail.submit.refusal.text));
		break;
	case FAULT_SIZE:
		smtp_refuse(s, 552, "5.3.4", "Too big; at most %llu octets are accepted",
		            (unsigned long long)s->options->message_max);
		break;
	case FAULT_BARE:
		/* The client and we may not agree on where this mail ended: no further word with
		 * it. */
		smtp_hang_up(s, 521, "5.5.2",
		             "A CR or LF stands alone in the mail; end each line with CRLF");
		break;
	}
	smtp_mail_reset(s);
}

/* RFC 5321, 6.3 */
static bool is_looping(struct smtp_server *s)
{
	uint32_t received = summary_builder_summary(s->mail.builder)->received;

	if (received <= s->options->hops_max + 1)
		return false;
	smtp_refuse(s, 554, "5.4.6", "This mail is in a loop: it has %u Received lines",
	            received - 1);
	smtp_mail_reset(s);
	return true;
}

/* After Return-Path, where there is one, before Received. */
static void add_fields(struct smtp_mail *m)
{
	struct bytes trace = buf_bytes(&m->trace);
	size_t first = bytes_starts(trace, BYTES("Return-Path:")) ? bytes_find_char(trace, '\n') + 1
	                                                          : 0;
	struct buf whole = {0};

	if (buf_len(&m->added) == 0)
		return;
	buf_append(&whole, bytes_first(trace, first));
	buf_append(&whole, buf_bytes(&m->added));
	buf_append(&whole, bytes_skip(trace, first));
	buf_done(&m->trace);
	m->trace = whole;
}

static void keep_message_id(struct smtp_mail *m)
{
	struct bytes rest = summary_builder_summary(m->builder)->root->envelope->message_id, id;

	if (summary_next_id(&rest, &id) && id.len <= LIMIT_MESSAGE_ID)
		m->message_id = arena_copy(&m->arena, id);
}

/* One key a mail: the session's random seed, and which mail of it this is. */
static void make_key(struct smtp_server *s)
{
	struct smtp_mail *m = &s->mail;

	memcpy(m->key, s->peer.seed, sizeof(m->key));
	for (int i = 0; i < 4; i++)
		m->key[15 - i] ^= (uint8_t)(m->spool >> (8 * i));
}

static void begin_commit(struct smtp_server *s)
{
	struct smtp_mail *m = &s->mail;

	summary_builder_finish_grown(m->builder, buf_bytes(&m->added), &m->summary);
	if (is_looping(s))
		return;
	add_fields(m);
	keep_message_id(m);
	if (!m->key_given)
		make_key(s);
	s->wait = WAIT_COMMIT;
	m->commit_asked = false;
}

void smtp_content_proceed(struct smtp_server *s)
{
	struct smtp_mail *m = &s->mail;

	s->wait = WAIT_NONE;
	unstage(m);
	if (buf_len(&m->staged) == 0 && filling(m))
		filling(m)->full = true;
	if (m->fault != FAULT_NONE)
		refuse_content(s);
	else if (m->chunk_count > 0)
		s->wait = WAIT_SPOOL;
	else if (s->options->submission && !smtp_submit_ready(s))
		s->wait = WAIT_SUBMIT;
	else if (!smtp_judge_ready(s))
		s->wait = WAIT_JUDGE;
	else if (m->action == JUDGE_DEFER)
		smtp_judge_defer(s);
	else
		begin_commit(s);
}

static void content_end(struct smtp_server *s)
{
	struct smtp_mail *m = &s->mail;

	s->mode = MODE_COMMAND;
	/* A mail of nothing has no first piece that could make its spool. */
	if (m->size == 0)
		take_content(s, BYTES("\r\n"));
	m->ended = true;
	if (m->fault == FAULT_NONE && s->options->submission)
		smtp_submit_end(s);
	else if (m->fault == FAULT_NONE)
		smtp_judge_end(s);
	smtp_content_proceed(s);
}

/* ---- feeding ---- */

static bool hang_up_on_overrun(struct smtp_server *s)
{
	if (s->mail.size <= s->options->message_max + SMTP_OVERRUN)
		return false;
	smtp_hang_up(s, 552, "5.3.4", "Far too big; at most %llu octets are accepted",
	             (unsigned long long)s->options->message_max);
	smtp_mail_reset(s);
	return true;
}

static size_t feed_data(struct smtp_server *s, struct bytes in)
{
	struct smtp_mail *m = &s->mail;
	struct bytes run;
	bool end;
	size_t taken = smtp_data_next(&m->data, in, &run, &end);

	if (m->data.bare)
		smtp_fault_set(m, FAULT_BARE);
	take_content(s, run);
	if (end)
		content_end(s);
	else
		(void)hang_up_on_overrun(s);
	return taken;
}

static void bdat_end(struct smtp_server *s)
{
	struct smtp_mail *m = &s->mail;

	s->mode = MODE_COMMAND;
	if (m->fault == FAULT_NONE && !m->bdat_last) {
		s->phase = PHASE_BDAT;
		smtp_reply(s, 250, "2.0.0", "%llu octets taken", (unsigned long long)m->bdat_len);
	} else if (m->fault == FAULT_NONE) {
		content_end(s);
	} else {
		refuse_content(s);
	}
}

static size_t feed_bdat(struct smtp_server *s, struct bytes in)
{
	struct smtp_mail *m = &s->mail;
	struct bytes run = bytes_first(in, m->bdat_left < in.len ? (size_t)m->bdat_left : in.len);

	m->bdat_left -= run.len;
	take_content(s, run);
	if (m->bdat_left == 0)
		bdat_end(s);
	return run.len;
}

size_t smtp_content_feed(struct smtp_server *s, struct bytes in)
{
	size_t room = s->mail.fault == FAULT_NONE ? content_room(&s->mail) : in.len;

	if (room == 0)
		return 0;
	in = bytes_first(in, room);
	s->active = s->now;
	s->verb = s->mode == MODE_DATA ? "DATA" : "BDAT";
	return s->mode == MODE_DATA ? feed_data(s, in) : feed_bdat(s, in);
}

/* ---- BDAT ---- */

static bool parse_bdat(struct bytes args, uint64_t *ret_len, bool *ret_last)
{
	size_t blank = bytes_find_char(args, ' ');
	struct bytes last = bytes_trim(bytes_skip(args, blank));

	if (blank == BYTES_NONE)
		last = (struct bytes){0};
	*ret_last = last.len > 0;
	if (last.len > 0 && !bytes_equal_nocase(last, BYTES("LAST")))
		return false;
	return bytes_to_u64(bytes_first(args, blank), INT64_MAX, ret_len) == OK;
}

static enum smtp_fault bdat_fault(const struct smtp_server *s, uint64_t len)
{
	const struct smtp_mail *m = &s->mail;

	if (s->phase != PHASE_MAIL && s->phase != PHASE_BDAT)
		return FAULT_SEQUENCE;
	if (m->rcpt_good == 0)
		return FAULT_RECIPIENTS;
	return len > s->options->message_max - m->size ? FAULT_SIZE : FAULT_NONE;
}

/* RFC 3030, 2: the octets follow at once, whatever we think of the command, so they are taken in
 * any case. */
void smtp_cmd_bdat(struct smtp_server *s, struct bytes args)
{
	struct smtp_mail *m = &s->mail;
	uint64_t len;
	bool last;

	if (!parse_bdat(args, &len, &last)) {
		smtp_hang_up(s, 501, "5.5.4",
		             "Write: BDAT octets [LAST]; what follows cannot be understood");
		return;
	}
	if (len > s->options->message_max + SMTP_OVERRUN) {
		smtp_hang_up(s, 552, "5.3.4", "Far too big; at most %llu octets are accepted",
		             (unsigned long long)s->options->message_max);
		return;
	}
	smtp_fault_set(m, bdat_fault(s, len));
	if (m->fault == FAULT_NONE)
		content_begin(s);
	m->bdat_left = m->bdat_len = len;
	m->bdat_last = last;
	s->mode = MODE_BDAT;
	if (len == 0)
		bdat_end(s);
}

/* ---- asks ---- */

static bool spool_ask(struct smtp_server *s, struct ask *ret)
{
	struct smtp_mail *m = &s->mail;

	if (m->fault != FAULT_NONE || s->spools_open >= LIMIT_SPOOL_WINDOW)
		return false;
	for (unsigned i = 0; i < m->chunk_count; i++) {
		struct smtp_chunk *c = chunk_at(m, i);

		if (c->asked || !c->full)
			continue;
		c->asked = m->spool_begun = true;
		c->number = smtp_number(s);
		s->spools_open++;
		*ret = (struct ask){.kind = ASK_SPOOL,
		                    .number = c->number,
		                    .spool = {.spool = m->spool, .chunk = buf_bytes(&c->data)}};
		return true;
	}
	return false;
}

/* A COMMIT with everything at its limit, and sender, ENVID, Message-ID and numbers, is one message. */
_Static_assert(LIMIT_TRACE + LIMIT_SUMMARY + LIMIT_ENVELOPE + 1000 <= LIMIT_MESSAGE,
               "COMMIT must fit");

static void commit_ask(struct smtp_server *s, struct ask *ret)
{
	const struct smtp_mail *m = &s->mail;

	*ret = (struct ask){.kind = ASK_COMMIT,
	                    .number = m->commit_number,
	                    .commit = {.spool = m->spool,
	                               .key = bytes_of(m->key, sizeof(m->key)),
	                               .sender = m->sender,
	                               .trace = buf_bytes(&m->trace),
	                               .summary = buf_bytes(&m->summary),
	                               .recipients = buf_bytes(&m->recipients),
	                               .envid = m->envid,
	                               .ret = m->ret,
	                               .body = m->body,
	                               .options = m->options,
	                               .priority = (uint8_t)m->priority,
	                               .hold_until = m->hold_until,
	                               .deliver_by = m->deliver_by,
	                               .by_mode = m->by_mode,
	                               .junk = m->action == JUDGE_JUNK,
	                               .local_uid = s->peer.local ? s->peer.uid + 1 : 0,
	                               .message_id = m->message_id,
	                               .judgement = m->judgement,
	                               .junk_of = m->junk_of,
	                               .escrow = m->action == JUDGE_REFUSE}};
}

bool smtp_mail_ask(struct smtp_server *s, struct ask *ret)
{
	struct smtp_mail *m = &s->mail;

	if (spool_ask(s, ret))
		return true;
	if ((s->wait != WAIT_COMMIT && s->wait != WAIT_COMMITTED) || m->commit_asked)
		return false;
	m->commit_asked = true;
	m->commit_number = smtp_number(s);
	if (s->wait == WAIT_COMMIT)
		commit_ask(s, ret);
	else
		*ret = (struct ask){.kind = ASK_COMMITTED,
		                    .number = m->commit_number,
		                    .committed.key = bytes_of(m->key, sizeof(m->key))};
	return true;
}

/* ---- answers ---- */

static enum smtp_fault fault_of(enum result r)
{
	switch (r) {
	case OK: return FAULT_NONE;
	case DISK_FULL:
	case OVER_QUOTA: return FAULT_DISK;
	case TOO_BIG: return FAULT_SIZE;
	default: return FAULT_TIME;
	}
}

static void drop_answered(struct smtp_mail *m)
{
	while (m->chunk_count > 0 && chunk_at(m, 0)->answered) {
		m->chunk_first = (m->chunk_first + 1) % LIMIT_SPOOL_WINDOW;
		m->chunk_count--;
	}
}

static void spool_answer(struct smtp_server *s, const struct answer *a)
{
	struct smtp_mail *m = &s->mail;
	bool ours = false;

	for (unsigned i = 0; i < m->chunk_count; i++) {
		struct smtp_chunk *c = chunk_at(m, i);

		if (!c->asked || c->answered || c->number != a->number)
			continue;
		c->answered = ours = true;
	}
	if (s->spools_open > 0)
		s->spools_open--;
	if (!ours)
		return; /* of a mail that was given up */
	smtp_fault_set(m, fault_of(a->result));
	drop_answered(m);
	unstage(m);
	s->active = s->now;
	if (s->wait == WAIT_SPOOL)
		smtp_content_proceed(s);
}

static void committed(struct smtp_server *s, struct bytes id)
{
	struct smtp_mail *m = &s->mail;

	m->spool_begun = false; /* used up */
	if (m->action == JUDGE_REFUSE) {
		smtp_judge_refuse(s);
		smtp_mail_reset(s);
		return;
	}
	smtp_note(s, s->options->submission ? "submitted" : "smtp-accepted",
	          "id=%.*s helo=%.*s%s%.*s sender=<%.*s> rcpts=%u size=%llu", BYTES_ARG(id),
	          BYTES_ARG(buf_bytes(&s->helo)), s->logged_in ? " user=" : "",
	          BYTES_ARG(buf_bytes(&s->user)), BYTES_ARG(m->sender), m->rcpt_good,
	          (unsigned long long)m->size);
	smtp_reply(s, 250, "2.0.0", "OK queued as %.*s", BYTES_ARG(bytes_first(id, 100)));
	s->mails++;
	smtp_mail_reset(s);
}

static void refuse_commit(struct smtp_server *s, enum result r, struct bytes why)
{
	bool submission = s->options->submission && why.len > 0;

	switch (r) {
	case OVER_QUOTA:
		if (submission) /* of a mailbox, or the sender's limits: the store says which */
			smtp_decline(s, 452, "4.7.1", "%.*s", BYTES_ARG(why));
		else
			smtp_decline(s, 452, "4.2.2", "A mailbox is full; try again later");
		break;
	case DENIED:
		if (submission) {
			smtp_decline(s, 450, "4.7.1", "%.*s", BYTES_ARG(why));
			break;
		}
		smtp_decline(s, 451, "4.3.0", "The mail could not be kept; try again soon");
		break;
	case DISK_FULL:
		smtp_decline(s, 452, "4.3.1", "There is no space for it just now; try again later");
		break;
	case TOO_BIG: smtp_refuse(s, 552, "5.3.4", "Too big for this server"); break;
	default:
		smtp_decline(s, 451, "4.3.0", "The mail could not be kept (%s); try again soon",
		             result_name(r));
		break;
	}
	smtp_mail_reset(s);
}

/* Unknown whether it was done: a short while is spent on finding out, so that it is neither lost
 * nor doubled. */
static void ask_later(struct smtp_server *s)
{
	struct smtp_mail *m = &s->mail;

	if (m->committed_until == 0)
		m->committed_until = s->now + SMTP_COMMITTED_MS;
	if (s->now >= m->committed_until) {
		s->wait = WAIT_NONE;
		refuse_commit(s, LOST, (struct bytes){0});
		return;
	}
	s->wait = WAIT_PAUSE;
	m->pause_until = s->now + SMTP_PAUSE_MS;
}

static void commit_answer(struct smtp_server *s, const struct answer *a)
{
	struct smtp_mail *m = &s->mail;

	if (!m->commit_asked || a->number != m->commit_number ||
	    (s->wait != WAIT_COMMIT && s->wait != WAIT_COMMITTED))
		return;
	s->active = s->now;
	s->verb = "DATA";
	if (a->result == LOST || (a->kind == ASK_COMMITTED && a->result == UNAVAILABLE)) {
		ask_later(s);
		return;
	}
	s->wait = WAIT_NONE;
	if (a->result == OK)
		committed(s, a->kind == ASK_COMMIT ? a->commit.id : a->committed.id);
	else
		refuse_commit(s, a->result, a->why);
}

void smtp_mail_answer(struct smtp_server *s, const struct answer *a)
{
	if (a->kind == ASK_SPOOL)
		spool_answer(s, a);
	else if (a->kind == ASK_COMMIT || a->kind == ASK_COMMITTED)
		commit_answer(s, a);
}

void smtp_mail_tick(struct smtp_server *s)
{
	if (s->wait != WAIT_PAUSE || s->now < s->mail.pause_until)
		return;
	s->wait = WAIT_COMMITTED;
	s->mail.commit_asked = false;
}

/* ---- forgetting ---- */

void smtp_mail_done(struct smtp_mail *m)
{
	for (int i = 0; i < LIMIT_SPOOL_WINDOW; i++)
		buf_done(&m->chunks[i].data);
	buf_done(&m->recipients);
	buf_done(&m->trace);
	buf_done(&m->summary);
	buf_done(&m->staged);
	buf_done(&m->added);
	smtp_strip_done(&m->strip);
	smtp_submit_done(&m->submit);
	summary_builder_free(&m->builder);
	arena_done(&m->arena);
}

void smtp_mail_reset(struct smtp_server *s)
{
	struct smtp_mail *m = &s->mail;
	struct smtp_mail fresh = {0};

	if (s->judging)
		judging_reset(s->judging);
	if (m->spool_begun)
		s->drop = m->spool;
	if (s->phase > PHASE_READY)
		s->phase = PHASE_READY;
	if (s->mode == MODE_DATA || s->mode == MODE_BDAT)
		s->mode = MODE_COMMAND;
	arena_reset(&m->arena);
	fresh.arena = m->arena;
	m->arena = (struct arena){0};
	smtp_mail_done(m);
	*m = fresh;
}
