/* Values of Content-Type, Content-Disposition and Content-Transfer-Encoding (RFC 2045, 5 and 6;
 * RFC 2183), as they should be and as they are. */
#include "base/text.h"
#include "mail/lexer.h"
#include "mail/mime.h"

enum { PARAMS_MAX = 256 };

static struct bytes lower_copy(struct arena *arena, struct bytes text)
{
	if (text.len == 0)
		return (struct bytes){0};
	char *out = arena_get(arena, text.len);
	memcpy(out, text.ptr, text.len);
	text_lower(out, text.len);
	return bytes_of(out, text.len);
}

static bool is_special(const struct token *t, char c)
{
	return t->kind == TOKEN_SPECIAL && t->special == c;
}

/* The token is the name of a parameter before which the ";" was forgotten: "multipart/mixed
 * boundary=x". */
static bool begins_param(const struct lexer *after, const struct token *t)
{
	struct lexer look = *after;
	struct token next;

	return t->kind == TOKEN_ATOM && t->spaced && lexer_next(&look, &next) &&
	       is_special(&next, '=');
}

static void go_back(struct lexer *l, const struct token *t)
{
	l->rest = bytes_of(t->start, (size_t)(l->rest.ptr - t->start) + l->rest.len);
}

/* Atoms up to a ";" (or a "/" for the type) as one lower case word: "image/ jpeg" is image and
 * jpeg. */
static struct bytes take_word(struct lexer *l, char also, char *ret_end, struct arena *arena)
{
	struct token t;
	struct bytes word = {0};

	*ret_end = 0;
	while (lexer_next(l, &t)) {
		if (is_special(&t, ';') || (also && is_special(&t, also))) {
			*ret_end = t.special;
			break;
		}
		if (word.len > 0 && also != '=' && begins_param(l, &t)) {
			go_back(l, &t);
			*ret_end = ';';
			break;
		}
		if ((t.kind == TOKEN_ATOM || t.kind == TOKEN_QUOTED) && word.len == 0)
			word = lower_copy(arena, t.text);
	}
	return word;
}

/* False at the ";" (which is taken), at the end, and before a parameter without one. */
static bool next_of_value(struct lexer *l, struct token *t, bool any)
{
	if (!lexer_next(l, t) || is_special(t, ';'))
		return false;
	if (any && begins_param(l, t)) {
		go_back(l, t);
		return false;
	}
	return true;
}

/* After the "=": to the next ";". Unquoted values with blanks in them are common in file names.
 * A quoted string ends the value: what stands between it and the ";" is nobody's. */
static struct bytes take_param_value(struct lexer *l, struct arena *arena)
{
	struct lexer look = *l;
	struct token t;
	size_t room = 0, len = 0;
	bool quoted = false, any = false;

	for (; next_of_value(&look, &t, any); any = true)
		room = (size_t)(t.end - l->rest.ptr);
	char *out = room ? arena_get(arena, room) : NULL;
	for (any = false; next_of_value(l, &t, any); any = true) {
		if (t.kind == TOKEN_COMMENT || quoted)
			continue;
		if (t.kind == TOKEN_QUOTED && len == 0)
			quoted = true;
		if (t.spaced && len > 0)
			out[len++] = ' ';
		len += token_put(&t, out + len);
	}
	return bytes_of(out, len);
}

static void read_params(struct lexer *l, struct arena *arena, struct mime_param **ret_params)
{
	struct mime_param **tail = ret_params;
	char end;

	for (int n = 0; l->rest.len > 0 && n < PARAMS_MAX; n++) {
		struct bytes name = take_word(l, '=', &end, arena);
		if (end != '=')
			continue;
		struct bytes value = take_param_value(l, arena);
		if (name.len == 0)
			continue;
		struct mime_param *param = arena_get(arena, sizeof(*param));
		param->name = name;
		param->value = value;
		*tail = param;
		tail = &param->next;
	}
}

void mime_value_parse(struct bytes value, struct arena *arena, struct bytes *ret_type,
                      struct bytes *ret_subtype, struct mime_param **ret_params)
{
	struct lexer l = lexer_of(value, lexer_mime_specials);
	char end;

	*ret_subtype = (struct bytes){0};
	*ret_params = NULL;
	*ret_type = take_word(&l, '/', &end, arena);
	if (end == '/')
		*ret_subtype = take_word(&l, 0, &end, arena);
	read_params(&l, arena, ret_params);
}

struct bytes mime_param_find(const struct mime_param *params, struct bytes name)
{
	for (; params; params = params->next) {
		if (bytes_equal_nocase(params->name, name))
			return params->value;
	}
	return (struct bytes){0};
}

enum mime_encoding mime_encoding_of(struct bytes value)
{
	static const struct {
		const char *name;
		enum mime_encoding encoding;
	} names[] = {
	        {"7bit", MIME_7BIT},
	        {"8bit", MIME_8BIT},
	        {"binary", MIME_BINARY},
	        {"base64", MIME_BASE64},
	        {"quoted-printable", MIME_QUOTED},
	        {"7-bit", MIME_7BIT},
	        {"8-bit", MIME_8BIT},
	};
	struct lexer l = lexer_of(value, lexer_mime_specials);
	struct token t;

	while (lexer_next(&l, &t) && t.kind == TOKEN_COMMENT)
		;
	for (size_t i = 0; t.kind != TOKEN_END && i < sizeof(names) / sizeof(names[0]); i++) {
		if (bytes_equal_nocase(t.text, bytes_of_text(names[i].name)))
			return names[i].encoding;
	}
	return bytes_trim(value).len ? MIME_OTHER : MIME_7BIT;
}
