/* The SMTP client: the engine's verbs, what is waited for and how long, and how a connection ends. */
#include "smtp/client_session.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/memory.h"

static const struct engine_ops ops;

static struct smtp_client *of(struct engine *e)
{
	return (struct smtp_client *)e;
}

static const struct smtp_client *of_const(const struct engine *e)
{
	return (const struct smtp_client *)e;
}

uint32_t client_number(struct smtp_client *c)
{
	if (++c->last_number == 0)
		c->last_number = 1;
	return c->last_number;
}

/* ---- stages ---- */

/* What is waited for: at which stage that is, and how its reply is taken. */
static const struct expectation {
	enum smtp_stage stage;
	void (*reply)(struct smtp_client *c);
} expectations[] = {
        [EXPECT_GREETING] = {SMTP_STAGE_GREETING, client_greeting_reply},
        [EXPECT_EHLO] = {SMTP_STAGE_EHLO, client_ehlo_reply},
        [EXPECT_HELO] = {SMTP_STAGE_EHLO, client_helo_reply},
        [EXPECT_STARTTLS] = {SMTP_STAGE_STARTTLS, client_starttls_reply},
        [EXPECT_AUTH] = {SMTP_STAGE_AUTH, client_auth_reply},
        [EXPECT_RSET] = {SMTP_STAGE_IDLE, client_reset_reply},
        [EXPECT_MAIL] = {SMTP_STAGE_MAIL, client_mail_reply},
        [EXPECT_RCPT] = {SMTP_STAGE_RCPT, client_rcpt_reply},
        [EXPECT_DATA] = {SMTP_STAGE_DATA, client_data_reply},
        [EXPECT_BDAT] = {SMTP_STAGE_DATA, client_bdat_reply},
        [EXPECT_END] = {SMTP_STAGE_END, client_end_reply},
        [EXPECT_QUIT] = {SMTP_STAGE_IDLE, NULL},
};

const char *smtp_stage_name(enum smtp_stage s)
{
	static const char *const names[SMTP_STAGE_COUNT] = {
	        [SMTP_STAGE_GREETING] = "the greeting",
	        [SMTP_STAGE_EHLO] = "EHLO",
	        [SMTP_STAGE_STARTTLS] = "STARTTLS",
	        [SMTP_STAGE_AUTH] = "AUTH",
	        [SMTP_STAGE_IDLE] = "the next mail",
	        [SMTP_STAGE_MAIL] = "MAIL",
	        [SMTP_STAGE_RCPT] = "RCPT",
	        [SMTP_STAGE_DATA] = "DATA",
	        [SMTP_STAGE_END] = "the end of the mail"};

	return names[s];
}

enum smtp_expect client_expecting(const struct smtp_client *c)
{
	return buf_len(&c->expected) ? (enum smtp_expect)buf_bytes(&c->expected).ptr[0]
	                             : EXPECT_NOTHING;
}

enum smtp_stage client_stage(const struct smtp_client *c)
{
	enum smtp_expect e = client_expecting(c);

	/* Until its last octet has left, the host cannot have taken the mail. */
	if (e == EXPECT_END && buf_len(&c->output) > 0)
		return SMTP_STAGE_DATA;
	if (e != EXPECT_NOTHING)
		return expectations[e].stage;
	if (c->phase == CLIENT_TLS)
		return c->options.implicit_tls ? SMTP_STAGE_GREETING : SMTP_STAGE_STARTTLS;
	return c->tx.content == CONTENT_OPEN ? SMTP_STAGE_DATA : SMTP_STAGE_IDLE;
}

/* ---- commands and replies ---- */

void client_expect(struct smtp_client *c, enum smtp_expect expect)
{
	if (buf_len(&c->expected) == 0)
		c->waiting = c->now;
	buf_u8(&c->expected, (uint8_t)expect);
}

void client_command(struct smtp_client *c, enum smtp_expect expect, const char *format, ...)
{
	char text[1024];
	va_list args;
	int len;

	va_start(args, format);
	len = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	buf_append(&c->output,
	           bytes_of(text, (size_t)len < sizeof(text) ? (size_t)len : sizeof(text) - 1));
	buf_append_text(&c->output, "\r\n");
	client_expect(c, expect);
}

struct smtp_reply client_reply(const struct smtp_client *c, enum smtp_stage stage,
                               struct arena *arena)
{
	return (struct smtp_reply){.code = c->reader.code,
	                           .enhanced = smtp_reader_enhanced(&c->reader, arena),
	                           .text = smtp_reader_text(&c->reader, arena),
	                           .stage = stage};
}

struct smtp_reply client_words(enum smtp_stage stage, const char *enhanced, struct arena *arena,
                               const char *format, ...)
{
	char text[SMTP_CLIENT_TEXT];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	return (struct smtp_reply){.enhanced = bytes_of_text(enhanced),
	                           .text = smtp_clean(bytes_of_text(text), SMTP_CLIENT_TEXT, arena),
	                           .stage = stage};
}

struct bytes client_host_name(const struct smtp_client *c)
{
	return c->host.name.len ? c->host.name : BYTES("the host");
}

/* ---- how it ends ---- */

/* A host that said no in its dialogue hears QUIT (RFC 5321, 3.1); nothing follows where content was under way, and
 * nothing where nobody listens. */
static bool says_quit(const struct smtp_client *c, enum smtp_failure failure)
{
	bool talks = failure == SMTP_FAILURE_REFUSED || failure == SMTP_FAILURE_NO_STARTTLS ||
	             failure == SMTP_FAILURE_STARTTLS || failure == SMTP_FAILURE_AUTH ||
	             (failure == SMTP_FAILURE_READ && c->tx.content == CONTENT_NONE);

	return talks && c->tx.content == CONTENT_NONE && c->reader.code != 421;
}

void client_fail(struct smtp_client *c, enum smtp_failure failure, enum smtp_stage stage,
                 struct smtp_reply reply)
{
	if (c->phase == CLIENT_OVER)
		return;
	c->failure = failure;
	c->failure_stage = stage;
	c->failure_reply = reply;
	if (says_quit(c, failure))
		buf_append_text(&c->output, "QUIT\r\n");
	else
		buf_clear(&c->output);
	c->phase = CLIENT_OVER;
	buf_clear(&c->expected);
	if (c->tx.given && !c->tx.done) {
		if (stage == SMTP_STAGE_END && failure != SMTP_FAILURE_REFUSED && !c->tx.empty)
			client_decide(c, true, SMTP_UNKNOWN, reply);
		client_decide(c, false, SMTP_UNTRIED, reply);
		client_mail_finish(c);
	}
	c->result_waits = true;
}

void client_refused(struct smtp_client *c, enum smtp_failure failure, enum smtp_stage stage)
{
	client_fail(c, failure, stage, client_reply(c, stage, &c->life));
}

void client_nonsense(struct smtp_client *c, const char *what)
{
	enum smtp_stage stage = c->answering != EXPECT_NOTHING ? expectations[c->answering].stage
	                                                       : client_stage(c);
	struct arena arena = {0};
	struct bytes said = c->reader.code ? smtp_reader_text(&c->reader, &arena)
	                                   : (struct bytes){0};

	client_fail(c, SMTP_FAILURE_PROTOCOL, stage,
	            client_words(stage, "4.5.0", &c->life,
	                         "%.*s does not speak SMTP: at %s %s%s%.*s",
	                         BYTES_ARG(client_host_name(c)), smtp_stage_name(stage), what,
	                         said.len ? ": " : "", BYTES_ARG(bytes_first(said, 200))));
	arena_done(&arena);
}

/* ---- replies come in ---- */

/* Nothing was asked. Between mails that is 421 (RFC 5321, 3.8); while content is sent, a refusal of it. */
static void unexpected(struct smtp_client *c)
{
	bool content = c->tx.content == CONTENT_OPEN;

	if (c->reader.code >= 400 && content && !c->tx.empty) {
		client_decide(c, true, client_outcome(c->reader.code),
		              client_reply(c, SMTP_STAGE_DATA, &c->tx.arena));
		client_refused(c, SMTP_FAILURE_REFUSED, SMTP_STAGE_DATA);
	} else if (c->reader.code == 421) {
		client_refused(c, SMTP_FAILURE_REFUSED, client_stage(c));
	} else {
		client_nonsense(c, "it says what nobody asked for");
	}
}

static void take_reply(struct smtp_client *c)
{
	enum smtp_expect e = client_expecting(c);

	if (e == EXPECT_NOTHING) {
		unexpected(c);
		return;
	}
	if (e == EXPECT_QUIT) {
		c->phase = CLIENT_OVER;
		return;
	}
	buf_consume(&c->expected, 1);
	c->waiting = c->now;
	c->answering = e;
	expectations[e].reply(c);
	c->answering = EXPECT_NOTHING;
	/* It closes now, whatever that answered (RFC 5321, 3.8). */
	if (c->reader.code == 421 && c->phase != CLIENT_OVER)
		client_refused(c, SMTP_FAILURE_REFUSED, expectations[e].stage);
}

static size_t feed(struct engine *e, struct bytes in)
{
	struct smtp_client *c = of(e);
	size_t taken = 0;

	while (taken < in.len && c->phase != CLIENT_OVER) {
		enum smtp_reader_state state;

		if (c->phase == CLIENT_TLS)
			return taken;
		taken += smtp_reader_feed(&c->reader, bytes_skip(in, taken), &state);
		if (state == SMTP_READER_BROKEN) {
			c->reader.code = 0;
			client_nonsense(c, c->reader.broken);
		} else if (state == SMTP_READER_WHOLE) {
			take_reply(c);
			smtp_reader_clear(&c->reader);
			client_mail_push(c);
		}
	}
	return c->phase == CLIENT_OVER ? in.len : taken;
}

/* ---- the other verbs ---- */

static bool ask(struct engine *e, struct ask *ret)
{
	struct smtp_client *c = of(e);

	if (c->phase == CLIENT_TLS && !c->tls_asked) {
		c->tls_asked = true;
		c->tls_number = client_number(c);
		c->waiting = c->now;
		*ret = (struct ask){.kind = ASK_TLS_START, .number = c->tls_number};
		return true;
	}
	return c->phase == CLIENT_READY && client_content_ask(c, ret);
}

static void answer(struct engine *e, const struct answer *a)
{
	struct smtp_client *c = of(e);

	if (c->phase == CLIENT_TLS && c->tls_asked && a->number == c->tls_number)
		client_tls_answer(c, a);
	else if (c->phase == CLIENT_READY && c->tx.read_open && a->number == c->tx.read_number)
		client_content_answer(c, a);
}

static struct buf *output(struct engine *e)
{
	return &of(e)->output;
}

static time_ms reply_time(const struct smtp_client *c)
{
	switch (client_expecting(c)) {
	case EXPECT_GREETING: return c->options.greeting_ms;
	case EXPECT_END:
	case EXPECT_BDAT: return c->options.data_ms;
	default: return c->options.reply_ms;
	}
}

static time_ms earlier(time_ms a, time_ms b)
{
	return a < b ? a : b;
}

static time_ms deadline(const struct engine *e)
{
	const struct smtp_client *c = of_const(e);
	enum smtp_expect expecting = client_expecting(c);

	if (c->phase == CLIENT_OVER)
		return TIME_NEVER;
	if (c->phase == CLIENT_QUIT)
		return c->quit_until;
	if (c->phase == CLIENT_TLS)
		return c->waiting + c->options.reply_ms;
	if (expecting == EXPECT_END || expecting == EXPECT_BDAT)
		return earlier(c->waiting + reply_time(c), client_content_deadline(c));
	if (expecting != EXPECT_NOTHING)
		return earlier(c->waiting + reply_time(c), c->dialogue_until);
	return client_content_deadline(c);
}

static void timed_out(struct smtp_client *c)
{
	enum smtp_stage stage = client_stage(c);
	bool sending = client_expecting(c) == EXPECT_NOTHING || buf_len(&c->output) > 0;

	client_fail(c, SMTP_FAILURE_TIMEOUT, stage,
	            client_words(stage, "4.4.2", &c->life,
	                         c->phase == CLIENT_TLS
	                                 ? "%.*s did not finish the TLS handshake in time (%s)"
	                         : sending ? "%.*s does not take what is sent to it in time (%s)"
	                                   : "%.*s did not answer in time: %s",
	                         BYTES_ARG(client_host_name(c)), smtp_stage_name(stage)));
}

static void tick(struct engine *e, time_ms now)
{
	struct smtp_client *c = of(e);

	if (now > c->now)
		c->now = now;
	client_content_tick(c);
	if (c->phase == CLIENT_QUIT && c->now >= c->quit_until)
		c->phase = CLIENT_OVER;
	else if (c->phase != CLIENT_OVER && c->now >= deadline(e))
		timed_out(c);
}

/* A host that hangs up in the middle of saying no has said no: why it blocks us may stand there. */
static void last_words(struct engine *e)
{
	struct bytes line = buf_bytes(&of(e)->reader.line);

	if (line.len >= 3 && (line.ptr[0] == '4' || line.ptr[0] == '5'))
		(void)feed(e, BYTES("\n"));
}

static void eof(struct engine *e)
{
	struct smtp_client *c = of(e);
	enum smtp_stage stage;

	c->eof = true;
	last_words(e);
	stage = client_stage(c);
	if (c->phase == CLIENT_QUIT)
		c->phase = CLIENT_OVER;
	client_fail(c, SMTP_FAILURE_CLOSED, stage,
	            client_words(stage, "4.4.2", &c->life, "%.*s closed the connection at %s",
	                         BYTES_ARG(client_host_name(c)), smtp_stage_name(stage)));
}

/* Nothing was said of a mail yet: it can be left to others. */
static bool undecided(const struct smtp_client *c)
{
	return !c->tx.mail_sent;
}

static void event(struct engine *e, unsigned events)
{
	struct smtp_client *c = of(e);

	if (!(events & ENGINE_STOP) || c->stopping)
		return;
	c->stopping = true;
	if (!c->tx.given || c->tx.done)
		smtp_client_quit(e);
	else if (undecided(c))
		client_fail(c, SMTP_FAILURE_STOPPED, client_stage(c),
		            client_words(client_stage(c), "4.3.2", &c->life, "this server stops"));
}

static bool finished(const struct engine *e)
{
	return of_const(e)->phase == CLIENT_OVER;
}

static void free_engine(struct engine **e)
{
	struct smtp_client *c = of(*e);

	client_mail_reset(c);
	arena_done(&c->tx.arena);
	buf_done(&c->tx.chunk);
	smtp_reader_done(&c->reader);
	buf_done(&c->expected);
	/* AUTH's lines hold the password. */
	if (c->output.ptr)
		memory_wipe(c->output.ptr, c->output.size);
	buf_done(&c->output);
	if (c->secret.ptr)
		memory_wipe(c->secret.ptr, c->secret.size);
	buf_done(&c->secret);
	arena_done(&c->life);
	memory_free(c);
	*e = NULL;
}

static const struct engine_ops ops = {
        .name = "smtp-client",
        .feed = feed,
        .ask = ask,
        .answer = answer,
        .output = output,
        .deadline = deadline,
        .tick = tick,
        .eof = eof,
        .event = event,
        .finished = finished,
        .free = free_engine,
};

/* ---- what only a client has ---- */

struct engine *smtp_client_new(const struct smtp_client_options *o, time_ms now)
{
	struct smtp_client *c = NEW(struct smtp_client);

	c->engine.ops = &ops;
	c->now = now;
	c->answering = EXPECT_NOTHING;
	c->options = *o;
	c->options.helo = arena_copy(&c->life, o->helo);
	c->options.user = arena_copy(&c->life, o->user);
	buf_append(&c->secret, o->password);
	c->options.password = buf_bytes(&c->secret);
	c->dialogue_until = now + o->greeting_ms + SMTP_CLIENT_PATIENCE * o->reply_ms;
	client_hello_begin(c);
	return &c->engine;
}

static bool more_mails(const struct smtp_client *c)
{
	return c->phase < CLIENT_QUIT && !c->stopping &&
	       (c->host.mails_max == 0 || c->host.mails < c->host.mails_max);
}

bool smtp_client_ready(const struct engine *e)
{
	const struct smtp_client *c = of_const(e);

	return more_mails(c) && !c->result_waits && (!c->tx.given || c->tx.done);
}

void smtp_client_send(struct engine *e, const struct smtp_client_mail *m)
{
	struct smtp_client *c = of(e);

	client_mail_give(c, m);
	if (c->phase != CLIENT_OVER) {
		client_mail_push(c);
		return;
	}
	client_decide(c, false, SMTP_UNTRIED, c->failure_reply);
	client_mail_finish(c);
}

bool smtp_client_result(struct engine *e, struct smtp_client_result *ret)
{
	struct smtp_client *c = of(e);
	bool mail = c->tx.given && !c->tx.taken;

	if (!c->result_waits)
		return false;
	c->result_waits = false;
	c->tx.taken = true;
	*ret = (struct smtp_client_result){
	        .recipients = mail ? c->tx.results : NULL,
	        .count = mail ? c->tx.mail.count : 0,
	        .failure = c->failure,
	        .stage = c->failure_stage,
	        .reply = c->failure_reply,
	        .read = c->read,
	        .reusable = more_mails(c),
	        .dsn = c->host.extensions & SMTP_EXT_DSN,
	        .pipelined = c->host.extensions & SMTP_EXT_PIPELINING,
	};
	if (c->stopping)
		smtp_client_quit(e);
	return true;
}

void smtp_client_quit(struct engine *e)
{
	struct smtp_client *c = of(e);

	if (c->phase >= CLIENT_QUIT)
		return;
	if (c->phase != CLIENT_READY || client_expecting(c) != EXPECT_NOTHING ||
	    (c->tx.given && !c->tx.done)) {
		client_fail(c, SMTP_FAILURE_STOPPED, client_stage(c),
		            client_words(client_stage(c), "4.3.2", &c->life, "this server stops"));
		return;
	}
	c->phase = CLIENT_QUIT;
	c->quit_until = c->now + SMTP_CLIENT_QUIT_MS;
	client_command(c, EXPECT_QUIT, "QUIT");
}

void smtp_client_host(const struct engine *e, struct smtp_client_host *ret)
{
	*ret = of_const(e)->host;
}
