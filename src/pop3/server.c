/* The engine's verbs, the lines, the replies, and the one ask that a command waits for. */
#include "pop3/session.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/memory.h"

static struct pop3_server *of(struct engine *e)
{
	return (struct pop3_server *)e;
}

struct pop3_options pop3_options_of(const struct config *c, bool has_tls)
{
	return (struct pop3_options){
	        .hostname = c->hostname,
	        .stls = has_tls,
	        .plaintext = (enum config_plaintext)c->login_plaintext,
	        .cram_md5 = c->login_cram_md5,
	        .apop = c->login_apop,
	        .login_failures = (uint32_t)c->login_failures_max,
	        .errors_max = (uint32_t)c->pop3_errors_max,
	        .idle_ms = c->pop3_idle_ms,
	        .login_ms = 3 * 60 * 1000,
	};
}

/* ---- replies ---- */

static void reply(struct pop3_server *s, const char *status, const char *format, va_list args)
{
	char text[1024];

	vsnprintf(text, sizeof(text), format, args);
	buf_printf(&s->out, "%s %s\r\n", status, text);
}

void pop3_ok(struct pop3_server *s, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	reply(s, "+OK", format, args);
	va_end(args);
}

void pop3_err(struct pop3_server *s, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	reply(s, "-ERR", format, args);
	va_end(args);
	if (++s->errors >= s->options->errors_max) {
		pop3_note(s, "pop3-errors", "errors=%u", s->errors);
		s->finished = true;
	}
}

bool pop3_room(const struct pop3_server *s)
{
	return buf_len(&s->out) < ENGINE_OUTPUT_HIGH;
}

bool pop3_plaintext_allowed(const struct pop3_server *s)
{
	return s->peer.tls || s->options->plaintext == CONFIG_PLAINTEXT_ALWAYS ||
	       (s->options->plaintext == CONFIG_PLAINTEXT_LOOPBACK && ip_is_loopback(&s->peer.ip));
}

unsigned pop3_mechanisms(const struct pop3_server *s)
{
	return sasl_offer(pop3_plaintext_allowed(s), s->options->cram_md5,
	                  buf_len(&s->exporter) || buf_len(&s->endpoint));
}

/* ---- asks ---- */

void pop3_ask(struct pop3_server *s, enum pop3_step step, struct ask a)
{
	s->step = step;
	s->ask = a;
	s->ask.number = ++s->next_number;
	s->ask_waits = true;
	s->ask_open = true;
}

/* LOST is unknown, not no (DESIGN: LOST): everything that is asked this way may be asked twice. */
bool pop3_again(struct pop3_server *s)
{
	if (!s->retry_until)
		s->retry_until = s->now + POP3_GIVE_UP_MS;
	if (s->now >= s->retry_until) {
		s->retry_until = 0;
		return false;
	}
	s->retry_at = s->now + POP3_RETRY_MS;
	return true;
}

static void ask_again(struct pop3_server *s)
{
	s->retry_at = TIME_NEVER;
	pop3_ask(s, s->step, s->ask);
}

void pop3_note(struct pop3_server *s, const char *event, const char *format, ...)
{
	char text[1024];
	struct pop3_note *n = NEW(struct pop3_note), **end = &s->notes;
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	s->note_count++;
	n->event = event;
	buf_append_text(&n->text, text);
	while (*end)
		end = &(*end)->next;
	*end = n;
}

static void note_done(struct pop3_note **n)
{
	if (!*n)
		return;
	buf_done(&(*n)->text);
	memory_free(*n);
	*n = NULL;
}

static bool give_note(struct pop3_server *s, struct ask *ret)
{
	note_done(&s->note_given);
	if (!s->notes)
		return false;
	s->note_given = s->notes;
	s->notes = s->note_given->next;
	*ret = (struct ask){.kind = ASK_NOTE, .number = ++s->next_number};
	ret->note.event = bytes_of_text(s->note_given->event);
	ret->note.text = buf_bytes(&s->note_given->text);
	return true;
}

/* ---- steps: who gets an answer, and who moves on when there is room ---- */

struct step_row {
	void (*answer)(struct pop3_server *s, const struct answer *a);
	void (*pump)(struct pop3_server *s);
};

static const struct step_row steps[STEP_COUNT] = {
        [STEP_SASL] = {login_answer, NULL},     [STEP_TLS] = {login_tls, NULL},
        [STEP_OPEN] = {login_opened, NULL},     [STEP_LOAD] = {login_loaded, NULL},
        [STEP_LIST] = {NULL, pop3_list_pump},   [STEP_READ] = {stream_answer, stream_pump},
        [STEP_SEEN] = {update_answer, NULL},    [STEP_MARK] = {update_answer, NULL},
        [STEP_EXPUNGE] = {update_answer, NULL},
};

static void pump(struct pop3_server *s)
{
	size_t before = buf_len(&s->out);

	if (s->ask_open || !pop3_room(s) || !steps[s->step].pump)
		return;
	steps[s->step].pump(s);
	if (buf_len(&s->out) != before || s->ask_open)
		s->active = s->now;
}

/* Nothing is under way that must be finished first. */
static bool idle(const struct pop3_server *s)
{
	return s->step == STEP_NONE || s->step == STEP_SASL_LINE;
}

static void stop_when_idle(struct pop3_server *s)
{
	if (!s->stopping || s->finished || !idle(s))
		return;
	buf_append_text(&s->out,
	                "-ERR [SYS/TEMP] The server is stopping; come back in a moment\r\n");
	s->finished = true;
}

/* ---- lines ---- */

/* The line without its end: CRLF, or a bare LF from somebody at a terminal. */
static struct bytes line_text(const struct pop3_server *s)
{
	struct bytes line = buf_bytes(&s->line);

	line.len--;
	if (line.len && line.ptr[line.len - 1] == '\r')
		line.len--;
	return line;
}

static void line_run(struct pop3_server *s)
{
	struct bytes line = line_text(s);

	if (s->skipping) {
		s->skipping = false;
		if (s->step == STEP_SASL_LINE)
			s->step = STEP_NONE;
		pop3_err(s, "The line is too long");
	} else if (s->step == STEP_SASL_LINE) {
		login_line(s, line);
	} else {
		pop3_command(s, line);
	}
	memory_wipe(s->line.ptr + s->line.start, buf_len(&s->line)); /* it may hold a password */
	buf_clear(&s->line);
}

/* Takes up to the end of a line; what is too long is thrown away as it comes. */
static size_t line_take(struct pop3_server *s, struct bytes in)
{
	size_t end = bytes_find_char(in, '\n');
	size_t n = end == BYTES_NONE ? in.len : end + 1;

	if (buf_len(&s->line) + n > POP3_LINE) {
		s->skipping = true;
		buf_clear(&s->line);
		if (end != BYTES_NONE)
			buf_append_char(&s->line, '\n');
	} else {
		buf_append(&s->line, bytes_first(in, n));
	}
	if (end != BYTES_NONE)
		line_run(s);
	return n;
}

/* For a line. Notes count, too: an engine has only so many open asks. */
static bool ready(const struct pop3_server *s)
{
	return idle(s) && pop3_room(s) && s->note_count < POP3_NOTES;
}

static size_t feed(struct engine *e, struct bytes in)
{
	struct pop3_server *s = of(e);
	size_t taken = 0;

	pump(s);
	while (taken < in.len && !s->finished && ready(s)) {
		taken += line_take(s, bytes_skip(in, taken));
		pump(s);
		stop_when_idle(s);
	}
	if (taken)
		s->active = s->now;
	s->left = taken < in.len;
	return s->finished ? in.len : taken;
}

/* ---- the other verbs ---- */

static bool ask(struct engine *e, struct ask *ret)
{
	struct pop3_server *s = of(e);

	pump(s);
	if (give_note(s, ret))
		return true;
	if (!s->ask_waits)
		return false;
	s->ask_waits = false;
	*ret = s->ask;
	return true;
}

static void answer(struct engine *e, const struct answer *a)
{
	struct pop3_server *s = of(e);

	if (a->kind == ASK_NOTE && s->note_count)
		s->note_count--;
	if (!s->ask_open || a->kind != s->ask.kind || a->number != s->ask.number)
		return;
	s->ask_open = false;
	s->active = s->now;
	if (a->result != LOST && a->result != UNAVAILABLE && a->result != DENIED)
		s->retry_until = 0;
	steps[s->step].answer(s, a);
	pump(s);
	stop_when_idle(s);
}

static struct buf *output(struct engine *e)
{
	return &of(e)->out;
}

static time_ms quiet_until(const struct pop3_server *s)
{
	time_ms until = s->active + s->options->idle_ms;

	if (s->state == POP3_AUTHORIZATION && s->born + s->options->login_ms < until)
		until = s->born + s->options->login_ms;
	return until;
}

static time_ms deadline(const struct engine *e)
{
	const struct pop3_server *s = (const struct pop3_server *)e;

	if (s->finished)
		return TIME_NEVER;
	return s->retry_at < quiet_until(s) ? s->retry_at : quiet_until(s);
}

/* RFC 1939, 3: when the time is over, nothing is removed and nothing is said. */
static void tick(struct engine *e, time_ms now)
{
	struct pop3_server *s = of(e);

	s->now = now;
	if (s->finished)
		return;
	if (now >= s->retry_at)
		ask_again(s);
	if (now >= quiet_until(s)) {
		pop3_note(s, "pop3-timeout", "state=%s",
		          s->state == POP3_AUTHORIZATION ? "login" : "session");
		buf_clear(&s->out);
		s->finished = true;
	}
}

/* The peer says no more; what it said is still carried out. */
static void eof(struct engine *e)
{
	of(e)->closed = true;
}

static void event(struct engine *e, unsigned events)
{
	struct pop3_server *s = of(e);

	if (events & ENGINE_STOP)
		s->stopping = true;
	stop_when_idle(s);
}

static bool finished(const struct engine *e)
{
	const struct pop3_server *s = (const struct pop3_server *)e;

	return s->finished || (s->closed && idle(s) && !s->left);
}

static void server_free(struct engine **e)
{
	struct pop3_server *s = of(*e);
	struct pop3_note *next;

	for (; s->notes; s->notes = next) {
		next = s->notes->next;
		note_done(&s->notes);
	}
	note_done(&s->note_given);
	sasl_free(&s->sasl);
	buf_done(&s->exporter);
	buf_done(&s->endpoint);
	buf_done(&s->line);
	buf_done(&s->out);
	buf_done(&s->ask_data);
	buf_done(&s->user);
	buf_done(&s->address);
	memory_free(s->mails);
	memory_free(s);
	*e = NULL;
}

static const struct engine_ops ops = {
        .name = "pop3",
        .feed = feed,
        .ask = ask,
        .answer = answer,
        .output = output,
        .deadline = deadline,
        .tick = tick,
        .eof = eof,
        .event = event,
        .finished = finished,
        .free = server_free,
};

struct engine *pop3_server_new(const struct pop3_options *o, const struct engine_peer *peer,
                               time_ms now)
{
	struct pop3_server *s = NEW(struct pop3_server);

	s->engine.ops = &ops;
	s->options = o;
	s->peer = *peer;
	s->now = s->born = s->active = now;
	s->state = POP3_AUTHORIZATION;
	s->retry_at = TIME_NEVER;
	if (peer->tls) {
		buf_append(&s->exporter, peer->tls_info.exporter);
		buf_append(&s->endpoint, peer->tls_info.endpoint);
	}
	memset(&s->peer.tls_info, 0, sizeof(s->peer.tls_info)); /* borrowed */
	login_timestamp(s);
	pop3_ok(s, "%.*s POP3 is ready%s%s", BYTES_ARG(o->hostname), s->timestamp[0] ? " " : "",
	        s->timestamp);
	return &s->engine;
}
