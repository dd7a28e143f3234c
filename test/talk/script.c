#include <stdio.h>

#include "base/text.h"
#include "talk.h"

struct reader {
	struct script *script;
	struct why *why;
	unsigned line;
	size_t room;
};

struct bytes talk_setting(const struct talk_settings *s, const char *name, const char *otherwise)
{
	for (size_t i = 0; i < s->count; i++)
		if (bytes_equal(s->names[i], bytes_of_text(name)))
			return s->values[i];
	return bytes_of_text(otherwise);
}

uint64_t talk_setting_u64(const struct talk_settings *s, const char *name, uint64_t otherwise)
{
	struct bytes text = talk_setting(s, name, "");
	uint64_t value;

	return bytes_to_u64(text, UINT64_MAX, &value) == OK ? value : otherwise;
}

static enum result broken(struct reader *r, const char *what)
{
	return why_set(r->why, INVALID, "%s:%u: %s", r->script->file, r->line, what);
}

static struct step *add(struct reader *r, enum step_kind kind)
{
	struct script *s = r->script;

	if (s->count == r->room) {
		size_t room = r->room ? r->room * 2 : 32;
		struct step *more = arena_get(&s->arena, room * sizeof(*more));

		if (s->count > 0)
			memcpy(more, s->steps, s->count * sizeof(*more));
		s->steps = more;
		r->room = room;
	}
	s->steps[s->count] = (struct step){.kind = kind, .line = r->line};
	return &s->steps[s->count++];
}

/* ---- the kinds of lines ---- */

static struct bytes with_line_end(struct bytes text, struct arena *arena)
{
	char *out = arena_get(arena, text.len + 2);

	if (text.len > 0)
		memcpy(out, text.ptr, text.len);
	memcpy(out + text.len, "\r\n", 2);
	return bytes_of(out, text.len + 2);
}

static enum result read_client(struct reader *r, struct bytes text)
{
	add(r, STEP_CLIENT)->text = with_line_end(text, &r->script->arena);
	return OK;
}

static enum result read_client_octets(struct reader *r, struct bytes text)
{
	add(r, STEP_CLIENT)->text = value_unescape(text, false, &r->script->arena);
	return OK;
}

/* "C* 5000 abc\r\n" */
static enum result read_client_times(struct reader *r, struct bytes text)
{
	size_t blank = bytes_find_char(text, ' ');
	struct bytes one = value_unescape(bytes_skip(text, blank + 1), false, &r->script->arena);
	uint64_t times;
	char *all;

	if (blank == BYTES_NONE || bytes_to_u64(bytes_first(text, blank), 100000000, &times) != OK)
		return broken(r, "C* NUMBER TEXT");
	all = arena_get(&r->script->arena, times * one.len + 1);
	for (size_t i = 0; i < times; i++)
		memcpy(all + i * one.len, one.ptr, one.len);
	add(r, STEP_CLIENT)->text = bytes_of(all, times * one.len);
	return OK;
}

/* In a line of the server only `...` is special. */
static struct bytes line_pattern(struct bytes text, struct arena *arena)
{
	char *out = arena_get(arena, text.len + 1);
	size_t len = 0;

	while (text.len > 0) {
		bool wild = bytes_starts(text, BYTES("..."));

		out[len++] = wild ? WILD : text.ptr[0];
		text = bytes_skip(text, wild ? 3 : 1);
	}
	return bytes_of(out, len);
}

static enum result read_server(struct reader *r, struct bytes text)
{
	add(r, STEP_SERVER)->text = line_pattern(text, &r->script->arena);
	return OK;
}

static enum result read_until(struct reader *r, struct bytes text)
{
	add(r, STEP_UNTIL)->text = line_pattern(text, &r->script->arena);
	return OK;
}

static enum result read_octets(struct reader *r, struct bytes text)
{
	add(r, STEP_OCTETS)->text = value_unescape(text, true, &r->script->arena);
	return OK;
}

static enum result read_note(struct reader *r, struct bytes text)
{
	add(r, STEP_NOTE)->text = line_pattern(text, &r->script->arena);
	return OK;
}

static struct bytes first_word(struct bytes text, struct bytes *ret_rest)
{
	size_t blank = bytes_find_char(text, ' ');

	*ret_rest = blank == BYTES_NONE ? (struct bytes){0} : bytes_skip(text, blank + 1);
	return bytes_first(text, blank);
}

static enum result read_ask(struct reader *r, struct bytes text)
{
	struct step *s = add(r, STEP_ASK);

	s->ask = ask_kind_named(first_word(text, &s->fields));
	return s->ask == ASK_NONE ? broken(r, "there is no such ask") : OK;
}

/* "OK name=value", "LOST", or only the fields. */
static void take_result(struct bytes text, struct step *s)
{
	struct bytes rest, word = first_word(text, &rest);

	s->result = OK;
	s->fields = text;
	if (result_named(word, &s->result) == OK)
		s->fields = rest;
}

static enum result read_answer(struct reader *r, struct bytes text)
{
	take_result(text, add(r, STEP_ANSWER));
	return OK;
}

static enum result read_auto(struct reader *r, struct bytes text)
{
	struct step *s = add(r, STEP_AUTO);
	struct bytes rest;

	s->ask = ask_kind_named(first_word(text, &rest));
	take_result(rest, s);
	return s->ask == ASK_NONE ? broken(r, "there is no such ask") : OK;
}

static enum result read_tls(struct reader *r, struct bytes text)
{
	add(r, STEP_TLS)->text = text;
	return OK;
}

static enum result read_number(struct reader *r, enum step_kind kind, struct bytes text)
{
	uint64_t number = INT64_MAX;

	if (!bytes_equal(text, BYTES("never")) && bytes_to_u64(text, INT64_MAX, &number) != OK)
		return broken(r, "a number of milliseconds is wanted");
	add(r, kind)->number = (int64_t)number;
	return OK;
}

static enum result read_tick(struct reader *r, struct bytes text)
{
	return read_number(r, STEP_TICK, text);
}

static enum result read_deadline(struct reader *r, struct bytes text)
{
	return read_number(r, STEP_DEADLINE, text);
}

static enum result read_event(struct reader *r, struct bytes text)
{
	static const char *const names[] = {"changed", "reload", "stop", "lost"};

	for (int i = 0; i < 4; i++) {
		if (bytes_equal(text, bytes_of_text(names[i]))) {
			add(r, STEP_EVENT)->number = 1 << i;
			return OK;
		}
	}
	return broken(r, "EVENT changed, reload, stop or lost");
}

static enum result read_eof(struct reader *r, struct bytes text)
{
	add(r, STEP_EOF);
	return OK;
}

static enum result read_closed(struct reader *r, struct bytes text)
{
	add(r, STEP_CLOSED);
	return OK;
}

static enum result read_option(struct reader *r, struct bytes text)
{
	struct talk_settings *s = &r->script->settings;

	if (s->count == 32)
		return broken(r, "too many options");
	s->names[s->count] = first_word(text, &s->values[s->count]);
	s->count++;
	return OK;
}

static enum result read_peer(struct reader *r, struct bytes text)
{
	return ip_parse(text, &r->script->peer.ip) == OK ? OK : broken(r, "peer IP-ADDRESS");
}

static enum result read_implicit_tls(struct reader *r, struct bytes text)
{
	r->script->peer.tls = true;
	r->script->peer.tls_info.version = BYTES("TLSv1.3");
	return OK;
}

struct line_kind {
	const char *word;
	enum result (*read)(struct reader *r, struct bytes text);
};

static const struct line_kind line_kinds[] = {
        {"C:", read_client},         {"C~", read_client_octets}, {"C*", read_client_times},
        {"S:", read_server},         {"S*", read_until},         {"S~", read_octets},
        {"ASK:", read_ask},          {"ANSWER:", read_answer},   {"AUTO:", read_auto},
        {"NOTE:", read_note},        {"TLS", read_tls},          {"TICK", read_tick},
        {"DEADLINE", read_deadline}, {"EVENT", read_event},      {"EOF", read_eof},
        {"CLOSED", read_closed},     {"option", read_option},    {"peer", read_peer},
        {"tls", read_implicit_tls},  {"H:", read_client},        {"H~", read_client_octets},
        {"H*", read_client_times},   {"W:", read_server},        {"W*", read_until},
        {"W~", read_octets},
};

enum { LINE_KINDS = sizeof(line_kinds) / sizeof(line_kinds[0]) };

/* "ASK#two:" is ASK: with a label. */
static struct bytes take_label(struct bytes *word, struct arena *arena)
{
	size_t hash = bytes_find_char(*word, '#');
	struct bytes label;

	if (hash == BYTES_NONE || hash == 0)
		return (struct bytes){0};
	label = bytes_skip(*word, hash + 1);
	label.len -= bytes_ends(label, BYTES(":"));
	*word = arena_printf(arena, "%.*s:", (int)hash, word->ptr);
	return label;
}

static enum result read_line(struct reader *r, struct bytes line)
{
	struct bytes rest, word = first_word(line, &rest);
	struct bytes label = take_label(&word, &r->script->arena);
	size_t before = r->script->count;

	for (size_t i = 0; i < LINE_KINDS; i++) {
		enum result result;

		if (!bytes_equal(word, bytes_of_text(line_kinds[i].word)))
			continue;
		result = line_kinds[i].read(r, rest);
		if (r->script->count > before)
			r->script->steps[before].label = label;
		return result;
	}
	return broken(r, "no known kind of line");
}

/* Takes a line, and those after it while it ends with " \". */
static bool take_line(struct reader *r, struct bytes *rest, struct bytes *ret)
{
	struct buf line = {0};
	struct bytes part;
	bool any = false, more = true;

	while (more && bytes_cut(rest, '\n', &part)) {
		any = true;
		r->line++;
		more = bytes_ends(part, BYTES(" \\"));
		part.len -= more;
		buf_append(&line, part);
	}
	*ret = arena_copy(&r->script->arena, buf_bytes(&line));
	buf_done(&line);
	return any;
}

enum result script_read(const char *file, struct bytes text, struct script *ret, struct why *why)
{
	struct reader r = {.script = ret, .why = why};
	struct bytes line;

	*ret = (struct script){.file = file};
	if (ip_parse(BYTES("192.0.2.7"), &ret->peer.ip) != OK ||
	    ip_parse(BYTES("192.0.2.1"), &ret->peer.local_ip) != OK)
		return INVALID;
	ret->peer.port = 40000;
	ret->peer.session = 0xabc;
	memcpy(ret->peer.seed, "0123456789abcdef", 16);
	while (take_line(&r, &text, &line)) {
		struct bytes trimmed = bytes_trim(line);
		bool speech = line.len > 1 && strchr("CS", line.ptr[0]);

		if (trimmed.len == 0 || trimmed.ptr[0] == '#')
			continue;
		if (read_line(&r, speech ? line : trimmed) != OK)
			return INVALID;
	}
	return OK;
}
