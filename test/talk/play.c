#include <stdarg.h>
#include <stdio.h>

#include "base/text.h"
#include "base/wire.h"
#include "talk.h"

enum { OPEN_MAX = 64, AUTO_MAX = 40, START_MS = 1764000000 };

/* An ask that the script has not yet expected or answered. */
struct open_ask {
	struct ask ask;
	struct bytes label;
	bool expected;
	struct open_ask *next;
};

struct auto_rule {
	enum ask_kind kind;
	enum result result;
	struct bytes fields;
};

struct play {
	const struct script *script;
	const struct step *step;
	struct engine *engine;
	struct arena arena;
	time_ms now;
	enum split split;
	uint64_t random;
	struct buf input;      /* offered, not yet taken */
	struct buf output;     /* sent, not yet expected */
	struct open_ask *open; /* in the order in which they came */
	struct auto_rule rules[AUTO_MAX];
	size_t rule_count;
	struct buf notes; /* blocks */
	struct record *record;
	struct why *why;
};

/* ---- the host ---- */

static const struct auto_rule *rule_for(const struct play *p, enum ask_kind kind)
{
	for (size_t i = p->rule_count; i-- > 0;)
		if (p->rules[i].kind == kind)
			return &p->rules[i];
	return NULL;
}

static void keep_ask(struct play *p, const struct ask *a)
{
	struct open_ask **at = &p->open;
	struct open_ask *new = arena_get(&p->arena, sizeof(*new));

	new->ask = ask_copy(&p->arena, a);
	while (*at)
		at = &(*at)->next;
	*at = new;
}

static void take_ask(struct play *p, const struct ask *a)
{
	if (a->kind == ASK_NOTE) {
		buf_block(&p->notes, arena_printf(&p->arena, "%.*s %.*s", BYTES_ARG(a->note.event),
		                                  BYTES_ARG(a->note.text)));
		return;
	}
	if (!rule_for(p, a->kind)) {
		ask_print(a, &p->record->asks);
		buf_append_char(&p->record->asks, '\n');
	}
	keep_ask(p, a);
}

static enum result fail(struct play *p, const char *format, ...) PRINTF(2, 3);

static enum result fail(struct play *p, const char *format, ...)
{
	char text[1500];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	return why_set(p->why, INVALID, "%s:%u: %s", p->script->file, p->step ? p->step->line : 0,
	               text);
}

static enum result give_answer(struct play *p, const struct ask *ask, enum result result,
                               struct bytes fields)
{
	struct answer a = answer_to(ask, result,
	                            result == OK ? (struct bytes){0} : BYTES("scripted"));
	struct why why;

	if (result == OK && answer_fill(&a, fields, &p->arena, &why) != OK)
		return fail(p, "%s", why.text);
	p->engine->ops->tick(p->engine, p->now);
	p->engine->ops->answer(p->engine, &a);
	return OK;
}

static bool answer_one_by_rule(struct play *p, enum result *ret)
{
	for (struct open_ask **at = &p->open; *at; at = &(*at)->next) {
		struct open_ask *here = *at;
		const struct auto_rule *rule = rule_for(p, here->ask.kind);

		if (here->expected || !rule)
			continue;
		*at = here->next;
		*ret = give_answer(p, &here->ask, rule->result, rule->fields);
		return true;
	}
	return false;
}

/* One turn of a host's loop, until nothing moves any more. */
static enum result pump(struct play *p)
{
	const struct engine_ops *ops = p->engine->ops;
	enum result r = OK;

	for (bool moved = true; moved && r == OK;) {
		struct ask a;
		struct buf *out;

		moved = false;
		ops->tick(p->engine, p->now);
		if (buf_len(&p->input) > 0) {
			size_t taken = ops->feed(p->engine, buf_bytes(&p->input));

			if (taken > buf_len(&p->input))
				return fail(p, "the engine took more than there was");
			buf_consume(&p->input, taken);
			moved = taken > 0;
		}
		while (ops->ask(p->engine, &a)) {
			take_ask(p, &a);
			moved = true;
		}
		out = ops->output(p->engine);
		moved |= buf_len(out) > 0;
		buf_append(&p->output, buf_bytes(out));
		buf_append(&p->record->output, buf_bytes(out));
		buf_consume(out, buf_len(out));
		moved |= answer_one_by_rule(p, &r);
	}
	return r;
}

/* ---- the client ---- */

static size_t piece(struct play *p, size_t left)
{
	if (p->split == SPLIT_WHOLE)
		return left;
	if (p->split == SPLIT_BYTES)
		return 1;
	p->random = p->random * 6364136223846793005ULL + 1442695040888963407ULL;
	left = left < 3000 ? left : 3000;
	return 1 + (p->random >> 33) % (p->random >> 60 < 8 ? (left < 40 ? left : 40) : left);
}

static enum result say(struct play *p, struct bytes text)
{
	enum result r = OK;

	while (text.len > 0 && r == OK) {
		size_t len = piece(p, text.len);

		buf_append(&p->input, bytes_first(text, len));
		text = bytes_skip(text, len);
		r = pump(p);
	}
	return r;
}

/* Lines that stand together are one text, so that played whole they arrive at once. */
static enum result step_client(struct play *p, size_t *at)
{
	const struct script *s = p->script;
	struct buf all = {0};
	enum result r;

	while (*at < s->count && s->steps[*at].kind == STEP_CLIENT)
		buf_append(&all, s->steps[(*at)++].text);
	(*at)--;
	r = say(p, buf_bytes(&all));
	buf_done(&all);
	return r;
}

/* ---- the server ---- */

static enum result fail_output(struct play *p, const char *what, struct bytes got)
{
	struct buf text = {0};
	enum result r;

	print_escaped(bytes_first(got, 300), &text);
	r = fail(p, "%s: \"%.*s\"", what, BYTES_ARG(buf_bytes(&text)));
	buf_done(&text);
	return r;
}

static bool take_output_line(struct play *p, struct bytes *ret)
{
	struct bytes all = buf_bytes(&p->output);
	size_t end = bytes_find(all, BYTES("\r\n"));

	if (end == BYTES_NONE)
		return false;
	*ret = arena_copy(&p->arena, bytes_first(all, end));
	buf_consume(&p->output, end + 2);
	return true;
}

static enum result step_server(struct play *p, const struct step *s)
{
	struct bytes line;

	do {
		if (!take_output_line(p, &line))
			return fail_output(p, "the server said no such line; left is",
			                   buf_bytes(&p->output));
	} while (s->kind == STEP_UNTIL && !value_matches(s->text, line));
	if (!value_matches(s->text, line))
		return fail_output(p, "the server said", line);
	return OK;
}

/* Exactly these octets; a wildcard stands for a run that ends where the rest of the pattern
 * begins. */
static enum result step_octets(struct play *p, const struct step *s)
{
	struct bytes out = buf_bytes(&p->output);

	if (bytes_find_char(s->text, WILD) == BYTES_NONE)
		out = bytes_first(out, s->text.len);
	if (!value_matches(s->text, out))
		return fail_output(p, "the server said", buf_bytes(&p->output));
	buf_consume(&p->output, out.len);
	return OK;
}

/* ---- asks ---- */

static enum result step_ask(struct play *p, const struct step *s)
{
	struct open_ask *at = p->open;
	struct buf text = {0};
	struct why why;
	enum result r;

	while (at && at->expected)
		at = at->next;
	if (!at)
		return fail(p, "the engine asked nothing");
	at->expected = true;
	at->label = s->label;
	if (at->ask.kind == s->ask && ask_compare(&at->ask, s->fields, &p->arena, &why) == OK)
		return OK;
	ask_print(&at->ask, &text);
	r = fail(p, "%s; the engine asked %.*s", at->ask.kind == s->ask ? why.text : "another ask",
	         (int)(buf_len(&text) < 700 ? buf_len(&text) : 700), text.ptr + text.start);
	buf_done(&text);
	return r;
}

static enum result step_answer(struct play *p, const struct step *s)
{
	for (struct open_ask **at = &p->open; *at; at = &(*at)->next) {
		struct open_ask *here = *at;
		enum result r;

		if (!here->expected || !bytes_equal(here->label, s->label))
			continue;
		*at = here->next;
		r = give_answer(p, &here->ask, s->result, s->fields);
		return r == OK ? pump(p) : r;
	}
	return fail(p, "there is no ask to answer");
}

static enum result step_auto(struct play *p, const struct step *s)
{
	if (p->rule_count == AUTO_MAX)
		return fail(p, "too many AUTO lines");
	p->rules[p->rule_count++] = (struct auto_rule){s->ask, s->result, s->fields};
	return pump(p);
}

static enum result step_note(struct play *p, const struct step *s)
{
	struct wire w = wire_of(buf_bytes(&p->notes));
	struct bytes last = {0};

	while (!wire_end(&w)) {
		last = wire_block(&w);
		if (!value_matches(s->text, last))
			continue;
		buf_consume(&p->notes, buf_len(&p->notes) - w.rest.len);
		return OK;
	}
	return fail_output(p, "no such NOTE; the last is", last);
}

static enum result step_tls(struct play *p, const struct step *s)
{
	struct step ask = {.kind = STEP_ASK, .ask = ASK_TLS_START};
	struct step answer = {
	        .kind = STEP_ANSWER,
	        .fields = BYTES("version=TLSv1.3 exporter=01234567890123456789012345678901")};
	enum result r = step_ask(p, &ask);

	if (r == OK && buf_len(&p->input) > 0)
		return fail(p, "plaintext after the command that starts TLS: a host hangs up here");
	if (r == OK && bytes_equal(s->text, BYTES("fails")))
		answer.result = FAILED;
	return r == OK ? step_answer(p, &answer) : r;
}

/* ---- the rest ---- */

static enum result step_deadline(struct play *p, const struct step *s)
{
	time_ms at = p->engine->ops->deadline(p->engine);
	time_ms left = at == TIME_NEVER ? TIME_NEVER : at - p->now;

	return left == s->number ? OK : fail(p, "the deadline is in %lld ms", (long long)left);
}

static enum result step_closed(struct play *p)
{
	return p->engine->ops->finished(p->engine) ? OK : fail(p, "the session goes on");
}

static enum result play_step(struct play *p, size_t *at)
{
	const struct step *s = &p->script->steps[*at];
	const struct engine_ops *ops = p->engine->ops;

	p->step = s;
	switch (s->kind) {
	case STEP_CLIENT: return step_client(p, at);
	case STEP_SERVER:
	case STEP_UNTIL: return step_server(p, s);
	case STEP_OCTETS: return step_octets(p, s);
	case STEP_ASK: return step_ask(p, s);
	case STEP_ANSWER: return step_answer(p, s);
	case STEP_AUTO: return step_auto(p, s);
	case STEP_NOTE: return step_note(p, s);
	case STEP_TLS: return step_tls(p, s);
	case STEP_TICK: p->now += s->number; return pump(p);
	case STEP_DEADLINE: return step_deadline(p, s);
	case STEP_EVENT: ops->event(p->engine, (unsigned)s->number); return pump(p);
	case STEP_EOF: ops->eof(p->engine); return pump(p);
	case STEP_CLOSED: return step_closed(p);
	}
	return OK;
}

static enum result nothing_left(struct play *p)
{
	struct buf text = {0};
	enum result r;

	if (buf_len(&p->output) > 0)
		return fail_output(p, "the server said more", buf_bytes(&p->output));
	for (struct open_ask *at = p->open; at; at = at->next) {
		if (at->expected)
			continue;
		ask_print(&at->ask, &text);
		r = fail(p, "the engine asked more: %.*s",
		         (int)(buf_len(&text) < 700 ? buf_len(&text) : 700), text.ptr + text.start);
		buf_done(&text);
		return r;
	}
	return OK;
}

enum result script_play(const struct script *s, enum split split, uint64_t seed, struct record *ret,
                        struct why *why)
{
	struct play p = {.script = s,
	                 .split = split,
	                 .random = seed,
	                 .record = ret,
	                 .why = why,
	                 .now = (time_ms)START_MS * 1000};
	struct arena options = {0};
	enum result r;

	p.engine = talk_engine.open(&s->settings, &s->peer, p.now, &options);
	r = pump(&p);
	for (size_t i = 0; i < s->count && r == OK; i++)
		r = play_step(&p, &i);
	if (r == OK)
		r = nothing_left(&p);
	p.engine->ops->free(&p.engine);
	buf_done(&p.input);
	buf_done(&p.output);
	buf_done(&p.notes);
	arena_done(&p.arena);
	arena_done(&options);
	return r;
}
