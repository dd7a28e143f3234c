#include "mail/lexer.h"

const char lexer_address_specials[] = "<>@,;:";
const char lexer_mime_specials[] = ";=/";

enum { ESC = 0x1b };

/* ESC $ B, ESC $ @, ESC $ ( D begin two-byte text; ESC ( X ends it. Without an end it goes to
 * the end of the value. */
size_t lexer_escape_len(struct bytes b)
{
	if (b.len < 2 || b.ptr[0] != ESC || b.ptr[1] != '$')
		return 0;
	size_t at = 2;
	if (b.len > 2 && b.ptr[2] == '(')
		at = b.len > 3 ? 4 : 3;
	for (;;) {
		const char *esc = memchr(b.ptr + at, ESC, b.len - at);
		if (!esc)
			return b.len;
		at = (size_t)(esc - b.ptr);
		if (at + 1 < b.len && b.ptr[at + 1] == '(')
			return at + 3 < b.len ? at + 3 : b.len;
		at++;
	}
}

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '\0';
}

/* One octet or escape sequence of quoted text: how many octets it takes. */
static size_t quoted_step(struct bytes b, size_t at)
{
	if (b.ptr[at] == '\\')
		return 2;
	size_t escape = lexer_escape_len(bytes_skip(b, at));
	return escape ? escape : 1;
}

static size_t find_closing(struct bytes b, char close)
{
	for (size_t i = 1; i < b.len; i += quoted_step(b, i)) {
		if (b.ptr[i] == close)
			return i;
	}
	return BYTES_NONE;
}

static size_t find_comment_end(struct bytes b)
{
	size_t depth = 0;

	for (size_t i = 0; i < b.len; i += quoted_step(b, i)) {
		if (b.ptr[i] == '(')
			depth++;
		else if (b.ptr[i] == ')' && --depth == 0)
			return i;
	}
	return BYTES_NONE;
}

/* Is an opening at `at` one that is never closed? */
static bool is_open(const char *from, const char *at)
{
	return from && at >= from;
}

static bool is_atom(const struct lexer *l, const char *at)
{
	char c = *at;

	if (is_space(c) || c == '"' || c == '(')
		return false;
	if (c == '[')
		return is_open(l->no_literal, at);
	return !strchr(l->specials, c);
}

static size_t atom_len(const struct lexer *l)
{
	size_t i = 0;

	while (i < l->rest.len) {
		size_t escape = lexer_escape_len(bytes_skip(l->rest, i));
		if (escape)
			i += escape;
		else if (is_atom(l, l->rest.ptr + i))
			i++;
		else
			break;
	}
	return i;
}

static void take(struct lexer *l, struct token *t, enum token_kind kind, size_t len, size_t margin)
{
	t->kind = kind;
	t->start = l->rest.ptr;
	t->end = l->rest.ptr + len;
	t->text = bytes_of(l->rest.ptr + margin, len - 2 * margin);
	l->rest = bytes_skip(l->rest, len);
}

/* A quoted string, comment or literal at the start of rest. False: it is never closed, and its
 * opening is passed over. */
static bool take_closed(struct lexer *l, struct token *t, enum token_kind kind, const char **open)
{
	size_t end = BYTES_NONE;

	if (!is_open(*open, l->rest.ptr))
		end = kind == TOKEN_COMMENT
		              ? find_comment_end(l->rest)
		              : find_closing(l->rest, kind == TOKEN_QUOTED ? '"' : ']');
	if (end == BYTES_NONE) {
		if (!*open)
			*open = l->rest.ptr;
		if (kind != TOKEN_LITERAL)
			l->rest = bytes_skip(l->rest, 1);
		return false;
	}
	take(l, t, kind, end + 1, kind == TOKEN_LITERAL ? 0 : 1);
	return true;
}

bool lexer_next(struct lexer *l, struct token *ret)
{
	*ret = (struct token){.kind = TOKEN_END};
	while (l->rest.len > 0) {
		char c = l->rest.ptr[0];
		if (is_space(c)) {
			ret->spaced = true;
			l->rest = bytes_skip(l->rest, 1);
		} else if (c == '"') {
			if (take_closed(l, ret, TOKEN_QUOTED, &l->no_quote))
				return true;
		} else if (c == '(') {
			if (take_closed(l, ret, TOKEN_COMMENT, &l->no_comment))
				return true;
		} else if (c == '[' && !is_open(l->no_literal, l->rest.ptr)) {
			if (take_closed(l, ret, TOKEN_LITERAL, &l->no_literal))
				return true;
		} else if (is_atom(l, l->rest.ptr)) {
			take(l, ret, TOKEN_ATOM, atom_len(l), 0);
			return true;
		} else {
			ret->special = c;
			take(l, ret, TOKEN_SPECIAL, 1, 0);
			return true;
		}
	}
	ret->start = ret->end = l->rest.ptr;
	return false;
}

size_t token_put(const struct token *t, char *out)
{
	bool escapes = t->kind == TOKEN_QUOTED || t->kind == TOKEN_COMMENT;
	size_t len = 0;

	for (size_t i = 0; i < t->text.len; i++) {
		char c = t->text.ptr[i];
		size_t run = lexer_escape_len(bytes_skip(t->text, i));
		if (run) {
			memcpy(out + len, t->text.ptr + i, run);
			len += run;
			i += run - 1;
			continue;
		}
		if (c == '\\' && escapes && i + 1 < t->text.len)
			c = t->text.ptr[++i];
		if (c != '\r' && c != '\n' && c != '\0')
			out[len++] = c;
	}
	return len;
}
