/* talk_smtp_client: options helo, tls (never, may, must, implicit), user, password, clear-password, greeting, reply, data (ms);
 * mail (recipients separated by blanks; a line for each mail, sent one after the other), sender, null-sender (1), size, envid, ret, body,
 * requiretls, priority, deliver-by (ms from now), by-mode, eight-bit, utf8-header, notify, orcpt: of all mails; quit (1: after
 * the last).
 *
 * What became of each mail comes as NOTEs: "recipient ADDRESS OUTCOME REPLY" for each, then "result FAILURE STAGE REPLY" with
 * "reusable" and "dsn" where they are so. */
#include "base/memory.h"
#include "smtp/client.h"
#include "talk.h"

enum { MAILS_MAX = 16, RCPTS_MAX = 200 };

struct wrapper {
	struct engine engine;
	struct engine *inner;
	struct smtp_client_mail mails[MAILS_MAX];
	size_t count, sent;
	bool quit;
	struct arena arena;
	struct bytes notes[1000];
	size_t note_count, notes_given;
};

static struct wrapper *of(struct engine *e)
{
	return (struct wrapper *)e;
}

static const struct wrapper *of_const(const struct engine *e)
{
	return (const struct wrapper *)e;
}

/* ---- what became of it ---- */

static const char *const outcomes[] = {"untried", "sent", "deferred", "failed", "unknown"};
static const char *const failures[] = {"none",        "refused",  "closed", "timeout",
                                       "no-starttls", "starttls", "tls",    "auth",
                                       "protocol",    "read",     "stopped"};

static void note(struct wrapper *w, struct bytes text)
{
	if (w->note_count < 1000)
		w->notes[w->note_count++] = text;
}

static void note_result(struct wrapper *w, const struct smtp_client_result *r)
{
	const struct smtp_client_mail *m = w->sent ? &w->mails[w->sent - 1] : NULL;

	for (size_t i = 0; i < r->count && m; i++)
		note(w, arena_printf(&w->arena, "recipient %.*s %s %s %.*s %.*s",
		                     BYTES_ARG(m->recipients[i].address),
		                     outcomes[r->recipients[i].outcome],
		                     smtp_stage_name(r->recipients[i].reply.stage),
		                     BYTES_ARG(r->recipients[i].reply.enhanced),
		                     BYTES_ARG(r->recipients[i].reply.text)));
	note(w, arena_printf(&w->arena, "result %s%s%s%s%.*s%s%s", failures[r->failure],
	                     r->failure ? " " : "", r->failure ? smtp_stage_name(r->stage) : "",
	                     r->failure ? " " : "", BYTES_ARG(r->reply.text),
	                     r->reusable ? " reusable" : "", r->dsn ? " dsn" : ""));
}

static void settle(struct wrapper *w)
{
	struct smtp_client_result r;

	while (smtp_client_result(w->inner, &r)) {
		note_result(w, &r);
		if (smtp_client_ready(w->inner) && w->sent < w->count)
			smtp_client_send(w->inner, &w->mails[w->sent++]);
		else if (w->quit)
			smtp_client_quit(w->inner);
	}
}

/* ---- the verbs ---- */

static size_t feed(struct engine *e, struct bytes in)
{
	size_t taken = of(e)->inner->ops->feed(of(e)->inner, in);

	settle(of(e));
	return taken;
}

static bool ask(struct engine *e, struct ask *ret)
{
	struct wrapper *w = of(e);

	if (w->inner->ops->ask(w->inner, ret))
		return true;
	settle(w);
	if (w->notes_given == w->note_count)
		return w->inner->ops->ask(w->inner, ret);
	*ret = (struct ask){.kind = ASK_NOTE,
	                    .number = 1000000 + (uint32_t)w->notes_given,
	                    .note.event = BYTES("smtp"),
	                    .note.text = w->notes[w->notes_given]};
	w->notes_given++;
	return true;
}

static void answer(struct engine *e, const struct answer *a)
{
	of(e)->inner->ops->answer(of(e)->inner, a);
	settle(of(e));
}

static struct buf *output(struct engine *e)
{
	return of(e)->inner->ops->output(of(e)->inner);
}

static time_ms deadline(const struct engine *e)
{
	return of_const(e)->inner->ops->deadline(of_const(e)->inner);
}

static void tick(struct engine *e, time_ms now)
{
	of(e)->inner->ops->tick(of(e)->inner, now);
	settle(of(e));
}

static void eof(struct engine *e)
{
	of(e)->inner->ops->eof(of(e)->inner);
	settle(of(e));
}

static void event(struct engine *e, unsigned events)
{
	of(e)->inner->ops->event(of(e)->inner, events);
	settle(of(e));
}

static bool finished(const struct engine *e)
{
	return of_const(e)->inner->ops->finished(of_const(e)->inner);
}

static void free_engine(struct engine **e)
{
	struct wrapper *w = of(*e);

	w->inner->ops->free(&w->inner);
	arena_done(&w->arena);
	memory_free(w);
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

/* ---- settings ---- */

static void add_mail(struct wrapper *w, const struct talk_settings *s, struct bytes words,
                     time_ms now)
{
	struct smtp_client_mail *m = &w->mails[w->count++];
	struct smtp_client_recipient *r = arena_get(&w->arena, RCPTS_MAX * sizeof(*r));
	struct bytes word;
	uint64_t by = talk_setting_u64(s, "deliver-by", 0);

	m->recipients = r;
	while (m->count < RCPTS_MAX && bytes_cut(&words, ' ', &word)) {
		r[m->count].entry = 100 * w->count + m->count;
		r[m->count].address = word;
		r[m->count].notify = (uint8_t)talk_setting_u64(s, "notify", 0);
		r[m->count].orcpt = talk_setting(s, "orcpt", "");
		m->count++;
	}
	m->lease = 7;
	m->sender = talk_setting_u64(s, "null-sender", 0)
	                    ? (struct bytes){0}
	                    : talk_setting(s, "sender", "ken@example.test");
	m->size = talk_setting_u64(s, "size", 10);
	m->envid = talk_setting(s, "envid", "");
	m->ret = (uint8_t)talk_setting_u64(s, "ret", 0);
	m->body = (uint8_t)talk_setting_u64(s, "body", 0);
	m->requiretls = talk_setting_u64(s, "requiretls", 0);
	m->priority = (int8_t)talk_setting_u64(s, "priority", 0);
	m->deliver_by = by ? now + (time_ms)by : 0;
	m->by_mode = (uint8_t)talk_setting_u64(s, "by-mode", 0);
	m->eight_bit = talk_setting_u64(s, "eight-bit", 0);
	m->utf8_header = talk_setting_u64(s, "utf8-header", 0);
}

static struct engine *open_client(const struct talk_settings *s, const struct engine_peer *peer,
                                  time_ms now, struct arena *arena)
{
	static const char *const wishes[] = {"never", "may", "must", "implicit"};
	struct wrapper *w = NEW(struct wrapper);
	struct smtp_client_options o = {
	        .helo = talk_setting(s, "helo", "mail.example.test"),
	        .user = talk_setting(s, "user", ""),
	        .password = talk_setting(s, "password", ""),
	        .clear_password = talk_setting_u64(s, "clear-password", 0),
	        .greeting_ms = (time_ms)talk_setting_u64(s, "greeting", 300000),
	        .reply_ms = (time_ms)talk_setting_u64(s, "reply", 300000),
	        .data_ms = (time_ms)talk_setting_u64(s, "data", 600000),
	};
	struct bytes tls = talk_setting(s, "tls", "may");

	for (int i = 0; i < 4; i++)
		if (bytes_equal(tls, bytes_of_text(wishes[i])))
			o.tls = (enum smtp_client_tls)(i < 3 ? i : SMTP_TLS_MUST);
	o.implicit_tls = bytes_equal(tls, BYTES("implicit"));
	memcpy(o.seed, peer->seed, sizeof(o.seed));
	w->engine.ops = &ops;
	w->quit = talk_setting_u64(s, "quit", 0);
	for (size_t i = 0; i < s->count && w->count < MAILS_MAX; i++)
		if (bytes_equal(s->names[i], BYTES("mail")))
			add_mail(w, s, s->values[i], now);
	w->inner = smtp_client_new(&o, now);
	if (w->count)
		smtp_client_send(w->inner, &w->mails[w->sent++]);
	return &w->engine;
}

const struct talk_engine talk_engine = {"smtp_client", open_client};
