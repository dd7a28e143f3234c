/* The SMTP server: the engine's verbs, lines, replies, deadlines (RFC 5321). */
#include "smtp/session.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/memory.h"
#include "base/text.h"
#include "base/wire.h"

static const struct engine_ops ops;

static struct smtp_server *of(struct engine *e)
{
	return (struct smtp_server *)e;
}

struct smtp_options smtp_options_of(const struct config *c)
{
	return (struct smtp_options){
	        .hostname = c->hostname,
	        .message_max = c->smtp_message_max,
	        .recipients_max = (uint32_t)c->smtp_recipients_max,
	        .errors_max = (uint32_t)c->smtp_errors_max,
	        .mails_max = (uint32_t)c->smtp_mails_max,
	        .hops_max = (uint32_t)c->smtp_hops_max,
	        .command_timeout_ms = c->smtp_command_timeout_ms,
	        .session_max_ms = c->smtp_session_max_ms,
	        .starttls = c->certificate_count > 0,
	};
}

struct smtp_options smtp_submission_options_of(const struct config *c)
{
	struct smtp_options o = smtp_options_of(c);

	o.submission = true;
	o.domain = c->domains.count > 0 ? c->domains.items[0] : c->hostname;
	o.plaintext = (enum config_plaintext)c->login_plaintext;
	o.cram_md5 = c->login_cram_md5;
	o.login_failures = (uint32_t)c->login_failures_max;
	o.hide_client = c->submission_hide_client;
	o.dkim_sign = c->dkim_sign;
	o.hold_max_ms = c->submission_hold_ms;
	o.priority_max = (int)c->submission_priority_max;
	return o;
}

uint32_t smtp_number(struct smtp_server *s)
{
	if (++s->last_number == 0)
		s->last_number = 1;
	return s->last_number;
}

/* ---- replies ---- */

static unsigned last_rcpt(const struct smtp_mail *m)
{
	return (m->rcpt_first + m->rcpt_open - 1) % SMTP_ROUTES;
}

void smtp_say(struct smtp_server *s, struct bytes lines)
{
	struct smtp_mail *m = &s->mail;

	if (m->rcpt_open > 0) {
		struct smtp_rcpt *r = &m->rcpts[last_rcpt(m)];

		r->after = arena_printf(&m->arena, "%.*s%.*s", BYTES_ARG(r->after),
		                        BYTES_ARG(lines));
		return;
	}
	buf_append(&s->output, lines);
}

struct text {
	char ptr[768];
	size_t len;
};

/* "250 2.1.0 text\r\n"; what came from the client may have made it long, then it is cut. */
static struct text format_reply(int code, const char *enhanced, const char *format, va_list args)
{
	struct text t;
	size_t room = sizeof(t.ptr) - 2;
	int len;

	t.len = (size_t)snprintf(t.ptr, room, "%d %s%s", code, enhanced, enhanced[0] ? " " : "");
	len = vsnprintf(t.ptr + t.len, room - t.len, format, args);
	t.len += (size_t)len < room - t.len ? (size_t)len : room - t.len - 1;
	for (size_t i = 0; i < t.len; i++)
		if ((unsigned char)t.ptr[i] < ' ' || t.ptr[i] == 0x7f)
			t.ptr[i] = '?';
	t.ptr[t.len++] = '\r';
	t.ptr[t.len++] = '\n';
	return t;
}

void smtp_reply(struct smtp_server *s, int code, const char *enhanced, const char *format, ...)
{
	struct text t;
	va_list args;

	va_start(args, format);
	t = format_reply(code, enhanced, format, args);
	va_end(args);
	smtp_say(s, bytes_of(t.ptr, t.len));
}

/* What was refused, to whom, and why, as words for a person and for grep. */
static void note_refusal(struct smtp_server *s, struct text *t)
{
	smtp_note(s, s->options->submission ? "submission-refused" : "smtp-refused",
	          "command=%s helo=%.*s%s%.*s sender=<%.*s> reply=\"%.*s\"",
	          s->verb ? s->verb : "-", BYTES_ARG(buf_bytes(&s->helo)),
	          s->logged_in ? " user=" : "", BYTES_ARG(buf_bytes(&s->user)),
	          BYTES_ARG(s->mail.sender), (int)t->len - 2, t->ptr);
}

void smtp_hang_up(struct smtp_server *s, int code, const char *enhanced, const char *format, ...)
{
	struct text t;
	va_list args;

	if (s->closing)
		return;
	va_start(args, format);
	t = format_reply(code, enhanced, format, args);
	va_end(args);
	smtp_say(s, bytes_of(t.ptr, t.len));
	note_refusal(s, &t);
	s->closing = true;
}

void smtp_count_error(struct smtp_server *s)
{
	if (++s->errors >= s->options->errors_max)
		smtp_hang_up(s, 421, "4.7.0", "%.*s Too many refused commands; goodbye",
		             BYTES_ARG(s->options->hostname));
}

void smtp_decline(struct smtp_server *s, int code, const char *enhanced, const char *format, ...)
{
	struct text t;
	va_list args;

	va_start(args, format);
	t = format_reply(code, enhanced, format, args);
	va_end(args);
	smtp_say(s, bytes_of(t.ptr, t.len));
	note_refusal(s, &t);
}

void smtp_refuse(struct smtp_server *s, int code, const char *enhanced, const char *format, ...)
{
	struct text t;
	va_list args;

	va_start(args, format);
	t = format_reply(code, enhanced, format, args);
	va_end(args);
	smtp_say(s, bytes_of(t.ptr, t.len));
	note_refusal(s, &t);
	if (code >= 500)
		smtp_count_error(s);
}

void smtp_note(struct smtp_server *s, const char *event, const char *format, ...)
{
	char text[1024];
	va_list args;
	int len;

	va_start(args, format);
	len = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	buf_block(&s->notes, bytes_of_text(event));
	buf_block(&s->notes,
	          bytes_of(text, (size_t)len < sizeof(text) ? (size_t)len : sizeof(text) - 1));
}

/* Answers to RCPTs go out in the order in which they were asked (RFC 2920, 3.2). */
void smtp_flush_rcpts(struct smtp_server *s)
{
	struct smtp_mail *m = &s->mail;

	while (m->rcpt_open > 0 && m->rcpts[m->rcpt_first].answered) {
		struct smtp_rcpt r = m->rcpts[m->rcpt_first];
		bool was_closing = s->closing;

		m->rcpt_first = (m->rcpt_first + 1) % SMTP_ROUTES;
		m->rcpt_open--;
		smtp_rcpt_reply(s, &r);
		if (s->closing && !was_closing) {
			m->rcpt_open = 0; /* that was the last word */
			return;
		}
		buf_append(&s->output, r.after);
	}
}

/* ---- lines ---- */

static bool is_clean(struct smtp_server *s, struct bytes line)
{
	if (line.len > 0 && line.ptr[line.len - 1] == '\r' &&
	    bytes_find_char(bytes_first(line, line.len - 1), '\r') == BYTES_NONE &&
	    bytes_find_char(line, '\0') == BYTES_NONE)
		return true;
	s->verb = "-";
	smtp_auth_cancel(s);
	smtp_refuse(s, 500, "5.5.2",
	            "End each line with CRLF; a CR, LF or NUL alone is not accepted");
	return false;
}

/* A command that must wait for the RCPTs before it: all but RCPT, and RCPT where the limit is
 * near. */
static bool must_wait(struct smtp_server *s, struct bytes line)
{
	const struct smtp_mail *m = &s->mail;
	struct bytes args;
	const struct smtp_command *c;

	if (m->rcpt_open == 0)
		return false;
	/* Replies that pile up behind an open RCPT are kept in memory: not too many of them. */
	if (m->rcpts[last_rcpt(m)].after.len > SMTP_BEHIND)
		return true;
	c = smtp_command_find(bytes_trim(line), &args);
	return !c || !smtp_command_is_parallel(c) || m->rcpt_open == SMTP_ROUTES ||
	       m->rcpt_good + m->rcpt_open >= smtp_rcpts_max(s) ||
	       buf_len(&m->recipients) + m->rcpt_open * 1024u > LIMIT_ENVELOPE;
}

/* A login's lines may be longer than a command. */
static size_t line_max(const struct smtp_server *s)
{
	return s->options->submission && !s->logged_in ? SMTP_AUTH_LINE : LIMIT_SMTP_LINE;
}

static size_t long_line(struct smtp_server *s, struct bytes in)
{
	size_t lf = bytes_find_char(in, '\n');
	size_t len = lf == BYTES_NONE ? in.len : lf + 1;

	s->line_passed += len;
	if (s->line_passed > SMTP_LONG_LINE) {
		smtp_hang_up(s, 421, "4.7.0", "%.*s That line does not end; goodbye",
		             BYTES_ARG(s->options->hostname));
		return in.len;
	}
	if (lf != BYTES_NONE) {
		s->mode = MODE_COMMAND;
		s->verb = "-";
		/* RFC 4954, 4: 5.5.6 ends a login. */
		smtp_refuse(s, 500, s->sasl ? "5.5.6" : "5.5.2",
		            "Line too long; at most %zu octets are accepted", line_max(s));
		smtp_auth_cancel(s);
	}
	return len;
}

static size_t keep_beginning(struct smtp_server *s, struct bytes in)
{
	if (buf_len(&s->line) + in.len > line_max(s)) {
		s->line_passed = buf_len(&s->line);
		buf_clear(&s->line);
		s->mode = MODE_LONG_LINE;
		return long_line(s, in);
	}
	buf_append(&s->line, in);
	return in.len;
}

/* Takes one command line, or the beginning of one. 0: it has to wait. */
static size_t command_feed(struct smtp_server *s, struct bytes in)
{
	size_t lf = bytes_find_char(in, '\n'), before = buf_len(&s->line);
	struct bytes line = bytes_first(in, lf);

	if (before + (lf == BYTES_NONE ? in.len : lf + 1) > line_max(s) && s->mail.rcpt_open > 0)
		return 0;
	if (lf == BYTES_NONE || before + lf + 1 > line_max(s))
		return keep_beginning(s, in);
	if (before > 0) {
		buf_append(&s->line, line);
		line = buf_bytes(&s->line);
	}
	if (must_wait(s, line)) {
		buf_truncate(&s->line, before);
		return 0;
	}
	s->active = s->now;
	if (!is_clean(s, line))
		;
	else if (s->mode == MODE_AUTH)
		smtp_auth_line(s, bytes_first(line, line.len - 1));
	else
		smtp_command_run(s, bytes_first(line, line.len - 1));
	buf_clear(&s->line);
	return lf + 1;
}

/* ---- the engine's verbs ---- */

static size_t feed_mode(struct smtp_server *s, struct bytes in)
{
	switch (s->mode) {
	case MODE_COMMAND:
	case MODE_AUTH: return command_feed(s, in);
	case MODE_LONG_LINE: return long_line(s, in);
	case MODE_DATA:
	case MODE_BDAT: return smtp_content_feed(s, in);
	}
	return in.len;
}

static void end_if_stopping(struct smtp_server *s)
{
	bool busy = s->wait != WAIT_NONE || s->mode == MODE_DATA || s->mode == MODE_BDAT ||
	            s->phase == PHASE_BDAT || s->mail.rcpt_open > 0;

	if (s->stopping && !busy)
		smtp_hang_up(s, 421, "4.3.2", "%.*s Going down for a moment; try again",
		             BYTES_ARG(s->options->hostname));
}

static size_t server_feed(struct engine *e, struct bytes in)
{
	struct smtp_server *s = of(e);
	size_t taken = 0;

	while (taken < in.len && !s->closing) {
		size_t n;

		if (s->wait != WAIT_NONE || buf_len(&s->output) > ENGINE_OUTPUT_HIGH)
			return taken;
		n = feed_mode(s, bytes_skip(in, taken));
		if (n == 0)
			return taken;
		taken += n;
		end_if_stopping(s);
	}
	return in.len;
}

static bool note_ask(struct smtp_server *s, struct ask *ret)
{
	struct wire w;

	if (s->notes_given > 0)
		buf_consume(&s->notes, s->notes_given);
	s->notes_given = 0;
	if (buf_len(&s->notes) == 0)
		return false;
	w = wire_of(buf_bytes(&s->notes));
	*ret = (struct ask){.kind = ASK_NOTE, .number = smtp_number(s)};
	ret->note.event = wire_block(&w);
	ret->note.text = wire_block(&w);
	s->notes_given = buf_len(&s->notes) - w.rest.len;
	return true;
}

static bool server_ask(struct engine *e, struct ask *ret)
{
	struct smtp_server *s = of(e);

	if (note_ask(s, ret))
		return true;
	if (s->drop != 0) {
		*ret = (struct ask){.kind = ASK_SPOOL_DROP,
		                    .number = smtp_number(s),
		                    .spool_drop.spool = s->drop};
		s->drop = 0;
		return true;
	}
	if (s->wait == WAIT_TLS && !s->tls_asked) {
		s->tls_asked = true;
		s->tls_number = smtp_number(s);
		*ret = (struct ask){.kind = ASK_TLS_START, .number = s->tls_number};
		return true;
	}
	return smtp_auth_ask(s, ret) || smtp_sender_ask(s, ret) || smtp_rcpt_ask(s, ret) ||
	       smtp_submit_ask(s, ret) || smtp_judge_ask(s, ret) || smtp_mail_ask(s, ret);
}

static void tls_keep(struct smtp_server *s, const struct answer_tls_start *t)
{
	s->tls_version = arena_copy(&s->arena, t->version);
	buf_append(&s->exporter, t->exporter);
	buf_append(&s->endpoint, t->endpoint);
}

/* RFC 3207, 4.2: what was said in the clear is forgotten. */
static void tls_answer(struct smtp_server *s, const struct answer *a)
{
	if (s->wait != WAIT_TLS || a->number != s->tls_number)
		return;
	s->wait = WAIT_NONE;
	s->active = s->now;
	if (a->result != OK) {
		smtp_note(s, "tls-failed", "%.*s", BYTES_ARG(a->why));
		s->closing = true;
		return;
	}
	s->tls = true;
	tls_keep(s, &a->tls_start);
	s->phase = PHASE_START;
	s->ehlo = false;
	buf_clear(&s->helo);
}

static bool is_login(enum ask_kind kind)
{
	return kind == ASK_LOGIN || kind == ASK_SCRAM_BEGIN || kind == ASK_SCRAM_FINISH ||
	       kind == ASK_DIGEST_LOGIN;
}

static void server_answer(struct engine *e, const struct answer *a)
{
	struct smtp_server *s = of(e);

	if (a->kind == ASK_TLS_START)
		tls_answer(s, a);
	else if (smtp_judge_answer(s, a))
		;
	else if (a->kind == ASK_ROUTE)
		smtp_rcpt_answer(s, a);
	else if (is_login(a->kind))
		smtp_auth_answer(s, a);
	else if (a->kind == ASK_SENDER && s->wait == WAIT_SENDER &&
	         a->number == s->mail.sender_number)
		smtp_sender_answer(s, a);
	else if (a->kind == ASK_SENDER || a->kind == ASK_DKIM_KEYS || a->kind == ASK_DKIM_SIGN)
		smtp_submit_answer(s, a);
	else
		smtp_mail_answer(s, a);
	end_if_stopping(s);
}

static struct buf *server_output(struct engine *e)
{
	return &of(e)->output;
}

static time_ms earlier(time_ms a, time_ms b)
{
	return a < b ? a : b;
}

static bool waits_for_client(const struct smtp_server *s)
{
	return s->wait == WAIT_NONE && s->mail.rcpt_open == 0 && !s->closing && !s->eof;
}

/* Who does not log in has no time to lose. */
static time_ms session_max(const struct smtp_server *s)
{
	time_ms most = s->options->session_max_ms;

	return s->options->submission && !s->logged_in ? earlier(most, SMTP_LOGIN_MS) : most;
}

static time_ms server_deadline(const struct engine *e)
{
	const struct smtp_server *s = (const struct smtp_server *)e;

	if (s->wait == WAIT_PAUSE)
		return s->mail.pause_until;
	if (s->wait == WAIT_JUDGE)
		return judging_deadline(s->judging);
	if (!waits_for_client(s))
		return TIME_NEVER;
	return earlier(s->active + s->options->command_timeout_ms, s->started + session_max(s));
}

static void server_tick(struct engine *e, time_ms now)
{
	struct smtp_server *s = of(e);
	struct bytes host = s->options->hostname;

	if (now > s->now)
		s->now = now;
	smtp_mail_tick(s);
	smtp_judge_tick(s);
	if (!waits_for_client(s))
		return;
	s->verb = "-";
	if (s->now >= s->started + session_max(s))
		smtp_hang_up(s, 421, "4.4.2",
		             "%.*s This session has lasted too long; connect again",
		             BYTES_ARG(host));
	else if (s->now >= s->active + s->options->command_timeout_ms)
		smtp_hang_up(s, 421, "4.4.2", "%.*s Nothing came for too long; goodbye",
		             BYTES_ARG(host));
}

static void server_eof(struct engine *e)
{
	struct smtp_server *s = of(e);

	s->eof = true;
	if (s->mode == MODE_DATA || s->mode == MODE_BDAT)
		smtp_mail_reset(s);
}

static void server_event(struct engine *e, unsigned events)
{
	struct smtp_server *s = of(e);

	if (events & ENGINE_STOP) {
		s->stopping = true;
		end_if_stopping(s);
	}
}

/* What is being made durable is waited for, even when nobody listens any more. */
static bool server_finished(const struct engine *e)
{
	const struct smtp_server *s = (const struct smtp_server *)e;

	if (s->wait == WAIT_SPOOL || s->wait == WAIT_JUDGE || s->wait == WAIT_SUBMIT ||
	    s->wait == WAIT_COMMIT || s->wait == WAIT_COMMITTED || s->wait == WAIT_PAUSE)
		return false;
	return s->eof || (s->closing && s->mail.rcpt_open == 0);
}

static void server_free(struct engine **e)
{
	struct smtp_server *s = *e ? of(*e) : NULL;

	if (!s)
		return;
	smtp_mail_done(&s->mail);
	judging_free(&s->judging);
	buf_done(&s->helo);
	buf_done(&s->line);
	buf_done(&s->output);
	buf_done(&s->notes);
	sasl_free(&s->sasl);
	buf_done(&s->exporter);
	buf_done(&s->endpoint);
	buf_done(&s->user);
	buf_done(&s->keys_from);
	buf_done(&s->keys_domain);
	buf_done(&s->keys_packed);
	arena_done(&s->arena);
	memory_free(s);
	*e = NULL;
}

static const struct engine_ops ops = {
        .name = "smtp",
        .feed = server_feed,
        .ask = server_ask,
        .answer = server_answer,
        .output = server_output,
        .deadline = server_deadline,
        .tick = server_tick,
        .eof = server_eof,
        .event = server_event,
        .finished = server_finished,
        .free = server_free,
};

struct engine *smtp_server_new(const struct smtp_options *o, const struct engine_peer *peer,
                               time_ms now)
{
	struct smtp_server *s = NEW(struct smtp_server);

	s->engine.ops = &ops;
	s->options = o;
	s->peer = *peer;
	s->now = s->started = s->active = now;
	s->tls = peer->tls;
	if (peer->tls)
		tls_keep(s, &peer->tls_info);
	s->peer.user = arena_copy(&s->arena, peer->user);
	if (peer->local && o->submission) {
		s->logged_in = true;
		buf_printf(&s->user, "%.*s@%.*s", BYTES_ARG(peer->user), BYTES_ARG(o->hostname));
	}
	memset(&s->peer.tls_info, 0, sizeof(s->peer.tls_info));
	buf_printf(&s->output, "220 %.*s ESMTP Hikyaku\r\n", BYTES_ARG(o->hostname));
	return &s->engine;
}
