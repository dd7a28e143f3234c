#include "config/syntax.h"

#include "base/text.h"

enum { WORDS_MAX = 10000, DISTANCE_MAX = 40 };

struct syntax syntax_of(const char *file, struct bytes text, struct arena *arena)
{
	if (bytes_starts(text, BYTES("\xef\xbb\xbf")))
		text = bytes_skip(text, 3);
	return (struct syntax){.rest = text, .file = file, .line = 1, .arena = arena};
}

bool syntax_line(struct bytes *rest, struct bytes *ret_line)
{
	struct bytes line;

	if (!bytes_cut(rest, '\n', &line))
		return false;
	if (line.len > 0 && line.ptr[line.len - 1] == '\r')
		line.len--;
	*ret_line = line;
	return true;
}

bool syntax_is_text(struct bytes text, unsigned *ret_line)
{
	unsigned line = 1;

	while (text.len > 0) {
		uint32_t code;
		int len = text_utf8_next(text, &code);

		if (len <= 0 || code == 0x7f ||
		    (code < 0x20 && code != '\t' && code != '\r' && code != '\n')) {
			*ret_line = line;
			return false;
		}
		line += code == '\n';
		text = bytes_skip(text, (size_t)len);
	}
	return true;
}

/* Between words on a line: blanks, commas, the CR of a CRLF. */
static bool is_between(char c)
{
	return text_is_blank(c) || c == ',' || c == '\r';
}

static bool ends_word(char c)
{
	return is_between(c) || c == '\n' || c == '{' || c == '}' || c == '"';
}

static void skip_blanks(struct syntax *s)
{
	while (s->rest.len > 0 && is_between(s->rest.ptr[0]))
		s->rest = bytes_skip(s->rest, 1);
	if (s->rest.len > 0 && s->rest.ptr[0] == '#') {
		size_t end = bytes_find_char(s->rest, '\n');

		s->rest = bytes_skip(s->rest, end == BYTES_NONE ? s->rest.len : end);
	}
}

/* "..." with \" and \\; it ends on its line. */
static enum result take_quoted(struct syntax *s, struct bytes *ret, struct why *why)
{
	char *out = arena_get(s->arena, s->rest.len);
	size_t len = 0, at = 1;

	for (; at < s->rest.len && s->rest.ptr[at] != '"' && s->rest.ptr[at] != '\n'; at++) {
		if (s->rest.ptr[at] == '\\' && at + 1 < s->rest.len && s->rest.ptr[at + 1] != '\n')
			at++;
		out[len++] = s->rest.ptr[at];
	}
	if (at >= s->rest.len || s->rest.ptr[at] != '"')
		return why_set(why, INVALID, "%s:%u: a quoted string has no end on its line",
		               s->file, s->line);
	s->rest = bytes_skip(s->rest, at + 1);
	*ret = bytes_of(out, len);
	return OK;
}

static enum result take_word(struct syntax *s, struct bytes *ret, struct why *why)
{
	size_t len = 0;

	if (s->rest.ptr[0] == '"') {
		/* Room for the string only, not for the rest of the file. */
		struct bytes all = s->rest;
		size_t end = bytes_find_char(all, '\n');
		struct syntax line = *s;
		enum result r;

		line.rest = bytes_first(all, end == BYTES_NONE ? all.len : end);
		r = take_quoted(&line, ret, why);
		if (r == OK)
			s->rest = bytes_skip(all, (size_t)(line.rest.ptr - all.ptr));
		return r;
	}
	while (len < s->rest.len && !ends_word(s->rest.ptr[len]))
		len++;
	*ret = bytes_first(s->rest, len);
	s->rest = bytes_skip(s->rest, len);
	return OK;
}

struct words {
	struct bytes *items;
	size_t count, size;
};

static void words_add(struct arena *arena, struct words *w, struct bytes word)
{
	if (w->count == w->size) {
		size_t size = w->size ? w->size * 2 : 4;
		struct bytes *items = arena_get(arena, size * sizeof(*items));

		if (w->count > 0)
			memcpy(items, w->items, w->count * sizeof(*items));
		w->items = items;
		w->size = size;
	}
	w->items[w->count++] = word;
}

/* Words up to what ends the statement; that is not taken. */
static enum result take_words(struct syntax *s, struct words *w, struct why *why)
{
	for (;;) {
		struct bytes word = {0};
		enum result r;

		skip_blanks(s);
		if (s->rest.len == 0 || s->rest.ptr[0] == '\n' || s->rest.ptr[0] == '{' ||
		    s->rest.ptr[0] == '}')
			return OK;
		if (w->count == WORDS_MAX)
			return why_set(why, INVALID, "%s:%u: more than %d words on a line", s->file,
			               s->line, WORDS_MAX);
		r = take_word(s, &word, why);
		if (r != OK)
			return r;
		words_add(s->arena, w, word);
	}
}

static void skip_empty_lines(struct syntax *s)
{
	for (skip_blanks(s); s->rest.len > 0 && s->rest.ptr[0] == '\n'; skip_blanks(s)) {
		s->rest = bytes_skip(s->rest, 1);
		s->line++;
	}
}

enum result syntax_next(struct syntax *s, struct statement *ret, struct why *why)
{
	struct words w = {0};
	struct statement found = {.kind = STATEMENT_LINE};
	enum result r;

	skip_empty_lines(s);
	found.line = s->line;
	r = take_words(s, &w, why);
	if (r != OK)
		return r;
	if (w.count > 0) {
		found.key = w.items[0];
		found.values = w.items + 1;
		found.count = w.count - 1;
	}
	if (s->rest.len > 0 && s->rest.ptr[0] == '{') {
		if (w.count == 0)
			return why_set(why, INVALID, "%s:%u: { without the name of a section",
			               s->file, s->line);
		found.kind = STATEMENT_OPEN;
		s->rest = bytes_skip(s->rest, 1);
	} else if (s->rest.len > 0 && s->rest.ptr[0] == '}' && w.count == 0) {
		found.kind = STATEMENT_CLOSE;
		s->rest = bytes_skip(s->rest, 1);
	} else if (w.count == 0) {
		found.kind = STATEMENT_END;
	}
	*ret = found;
	return OK;
}

unsigned syntax_distance(struct bytes a, struct bytes b)
{
	unsigned row[DISTANCE_MAX + 1];

	if (a.len > DISTANCE_MAX || b.len > DISTANCE_MAX)
		return DISTANCE_MAX;
	for (size_t j = 0; j <= b.len; j++)
		row[j] = (unsigned)j;
	for (size_t i = 1; i <= a.len; i++) {
		unsigned corner = row[0];

		row[0] = (unsigned)i;
		for (size_t j = 1; j <= b.len; j++) {
			unsigned best = corner + (a.ptr[i - 1] != b.ptr[j - 1]);

			corner = row[j];
			best = best < row[j] + 1 ? best : row[j] + 1;
			row[j] = best < row[j - 1] + 1 ? best : row[j - 1] + 1;
		}
	}
	return row[b.len];
}
