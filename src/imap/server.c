/* The engine's verbs: what the host calls. */
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/memory.h"
#include "crypto/digest.h"
#include "imap/session.h"

enum { LOGIN_MS = 3 * 60 * 1000, IDLE_MS = 30 * 60 * 1000, RESERVE = 4 };

struct imap_options imap_options_default(struct bytes hostname)
{
	return (struct imap_options){
	        .hostname = hostname,
	        .starttls = true,
	        .mechanisms = SASL_PLAIN | SASL_SCRAM_SHA_256 | SASL_SCRAM_SHA_256_PLUS,
	        .message_max = 50u << 20,
	        .login_ms = LOGIN_MS,
	        .idle_ms = IDLE_MS,
	        .errors_max = 30,
	        .logins_max = 5,
	};
}

/* ---- asks ---- */

/* Some room is kept for the asks that a command must make to go on. */
bool imap_can_ask(const struct imap_server *s)
{
	return s->open_count < LIMIT_ASKS_SESSION - RESERVE;
}

static struct open_ask *find_open(struct imap_server *s, uint32_t number)
{
	for (unsigned i = 0; i < s->open_count; i++)
		if (s->open[i].number == number)
			return &s->open[i];
	return NULL;
}

void imap_ask(struct imap_server *s, enum imap_owner owner, uint32_t mark, const struct ask *a)
{
	struct waiting_ask *w;

	assert(s->open_count < LIMIT_ASKS_SESSION);
	if (!s->first_ask)
		arena_reset(&s->ask_arena);
	w = arena_get(&s->ask_arena, sizeof(*w));
	w->ask = ask_copy(&s->ask_arena, a);
	w->ask.number = ++s->number;
	*(s->first_ask ? s->last_ask : &s->first_ask) = w;
	s->last_ask = &w->next;
	s->open[s->open_count++] = (struct open_ask){s->number, mark, owner};
}

void imap_note(struct imap_server *s, const char *event, const char *format, ...)
{
	char text[512];
	va_list args;

	if (!imap_can_ask(s))
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	imap_ask(s, OWNER_NOTE, 0,
	         &(struct ask){
	                 .kind = ASK_NOTE,
	                 .note = {.event = bytes_of_text(event), .text = bytes_of_text(text)}});
}

bool imap_output_low(const struct imap_server *s)
{
	return buf_len(&s->out) < ENGINE_OUTPUT_HIGH;
}

void imap_bye(struct imap_server *s, const char *text)
{
	if (s->finished)
		return;
	buf_printf(&s->out, "* BYE %s\r\n", text);
	s->finished = true;
}

void imap_later(struct imap_server *s)
{
	s->later_at = s->now + 1;
}

void imap_key(struct imap_server *s, uint8_t key[16])
{
	uint8_t seed[16 + 8], digest[32];

	memcpy(seed, s->peer.seed, 16);
	s->counter++;
	for (int i = 0; i < 8; i++)
		seed[16 + i] = (uint8_t)(s->counter >> (8 * i));
	digest_sha256(bytes_of(seed, sizeof(seed)), digest);
	memcpy(key, digest, 16);
}

/* ---- the verbs ---- */

static void tls_answer(struct imap_server *s, const struct answer *a)
{
	s->tls_starting = false;
	if (a->result != OK) {
		s->finished = true;
		return;
	}
	s->peer.tls = true;
	buf_append(&s->exporter, a->tls_start.exporter);
	buf_append(&s->endpoint, a->tls_start.endpoint);
	input_reset(s);
}

/* What is under way is finished first; a message that is still coming in is not. */
static bool may_stop(const struct imap_server *s)
{
	bool appending = s->append_count > (s->appending ? 1 : 0);

	return !s->finishing && !s->held && !appending && (!s->run.command || s->run.wants_line);
}

/* Everything that can go on without the client. */
static void pump(struct imap_server *s)
{
	if (s->finished || s->tls_starting)
		return;
	append_pump(s);
	sync_watch(s);
	if (s->held && !s->finishing)
		command_dispatch(s);
	if (s->run.command && s->run.command->pump && !s->finishing && s->now >= s->later_at)
		s->run.command->pump(s);
	if (s->stopping && may_stop(s))
		imap_bye(s, "[UNAVAILABLE] The server is going down; come back in a minute");
}

/* An idle session keeps nothing that it can get again. */
static void rest(struct imap_server *s)
{
	if (s->open_count || (s->run.command && !s->run.wants_line) || s->append_count)
		return;
	arena_done(&s->ask_arena);
	if (buf_len(&s->line) == 0)
		buf_done(&s->line);
	buf_done(&s->chunk);
	if (buf_len(&s->out) == 0)
		buf_done(&s->out);
	if (s->run.command || s->held)
		return;
	arena_done(&s->arena);
	buf_done(&s->reply);
	if (buf_len(&s->in) == 0)
		buf_done(&s->in);
}

static bool blocked(const struct imap_server *s)
{
	if (s->finished || s->tls_starting || s->held || s->finishing || !imap_output_low(s))
		return true;
	if (s->run.command)
		return !s->run.wants_line;
	return append_blocked(s);
}

static size_t server_feed(struct engine *e, struct bytes in)
{
	struct imap_server *s = imap_of(e);
	size_t taken = 0;

	if (in.len)
		s->active = s->now;
	while (taken < in.len && !blocked(s)) {
		taken += input_take(s, bytes_skip(in, taken));
		append_pump(s);
	}
	return s->finished ? in.len : taken;
}

static bool server_ask(struct engine *e, struct ask *ret)
{
	struct imap_server *s = imap_of(e);
	bool idle = may_stop(s);

	if (!s->first_ask)
		pump(s);
	if (!s->first_ask) {
		rest(s);
		s->finished |= s->ended && idle && may_stop(s);
		return false;
	}
	*ret = s->first_ask->ask;
	s->first_ask = s->first_ask->next;
	return true;
}

static void give_answer(struct imap_server *s, const struct answer *a, struct open_ask o)
{
	if (a->result == LOST && o.owner != OWNER_TLS && o.owner != OWNER_NOTE && s->box.id) {
		s->rewatch = true;
		s->rewatch_at = s->now;
	}
	switch (o.owner) {
	case OWNER_COMMAND:
		if (s->run.command && s->run.command->answer && !s->finishing)
			s->run.command->answer(s, a, o.mark);
		break;
	case OWNER_SYNC: sync_answer(s, a); break;
	case OWNER_WATCH: sync_watch_answer(s, a); break;
	case OWNER_APPEND: append_answer(s, a, o.mark); break;
	case OWNER_TLS: tls_answer(s, a); break;
	default: break;
	}
}

static void server_answer(struct engine *e, const struct answer *a)
{
	struct imap_server *s = imap_of(e);
	struct open_ask *o = find_open(s, a->number);
	struct open_ask copy;

	if (!o)
		return;
	copy = *o;
	*o = s->open[--s->open_count];
	s->active = s->now;
	if (s->finished)
		return;
	give_answer(s, a, copy);
	pump(s);
}

static struct buf *server_output(struct engine *e)
{
	return &imap_of(e)->out;
}

static time_ms earlier(time_ms a, time_ms b)
{
	return a < b ? a : b;
}

static time_ms silence_ends(const struct imap_server *s)
{
	return s->active + (s->state == IMAP_NOT_AUTH ? s->options->login_ms : s->options->idle_ms);
}

static time_ms server_deadline(const struct engine *e)
{
	const struct imap_server *s = (const struct imap_server *)e;
	time_ms t;

	if (s->finished)
		return TIME_NEVER;
	t = earlier(silence_ends(s), append_deadline(s));
	if (s->rewatch && !s->watching)
		t = earlier(t, s->rewatch_at);
	if (s->wake_at > s->now)
		t = earlier(t, s->wake_at);
	if (s->later_at > s->now)
		t = earlier(t, s->later_at);
	return t;
}

static void server_tick(struct engine *e, time_ms now)
{
	struct imap_server *s = imap_of(e);

	s->now = now;
	if (s->finished)
		return;
	if (now >= silence_ends(s))
		imap_bye(s, "Nothing was heard for too long");
	pump(s);
}

/* What the client said before it left is still done; the host may have some of it yet to feed, so the end comes when
 * it asks again and there was nothing to do. */
static void server_eof(struct engine *e)
{
	imap_of(e)->ended = true;
}

static void server_event(struct engine *e, unsigned events)
{
	struct imap_server *s = imap_of(e);

	if (s->finished)
		return;
	if (events & ENGINE_CHANGED)
		s->moved = s->box.id != 0;
	if ((events & ENGINE_LOST) && s->box.id) {
		s->rewatch = true;
		s->rewatch_at = s->now;
	}
	if (events & ENGINE_STOP)
		s->stopping = true;
	idle_event(s);
	pump(s);
}

static bool server_finished(const struct engine *e)
{
	return ((const struct imap_server *)e)->finished;
}

static void server_free(struct engine **e)
{
	struct imap_server *s = imap_of(*e);

	*e = NULL;
	if (!s)
		return;
	if (s->run.command && s->run.command->done)
		s->run.command->done(s);
	append_drop_all(s);
	sync_close(s);
	memory_wipe(s->in.ptr, s->in.size);
	buf_done(&s->in);
	buf_done(&s->line);
	buf_done(&s->reply);
	buf_done(&s->out);
	buf_done(&s->chunk);
	buf_done(&s->exporter);
	buf_done(&s->endpoint);
	arena_done(&s->arena);
	arena_done(&s->ask_arena);
	memory_free(s);
}

static const struct engine_ops ops = {
        .name = "imap",
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

static void greet(struct imap_server *s)
{
	buf_append_text(&s->out, "* OK [CAPABILITY ");
	capability_words(s, &s->out);
	buf_printf(&s->out, "] %.*s ready\r\n", BYTES_ARG(s->options->hostname));
}

struct engine *imap_server_new(const struct imap_options *options, const struct engine_peer *peer,
                               time_ms now)
{
	struct imap_server *s = NEW(struct imap_server);

	s->engine.ops = &ops;
	s->options = options;
	s->peer = *peer;
	s->now = s->active = now;
	s->state = IMAP_NOT_AUTH;
	if (peer->tls) {
		buf_append(&s->exporter, peer->tls_info.exporter);
		buf_append(&s->endpoint, peer->tls_info.endpoint);
	}
	memset(&s->peer.tls_info, 0, sizeof(s->peer.tls_info));
	greet(s);
	return &s->engine;
}
