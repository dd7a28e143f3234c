#include <stdio.h>

#include "base/encode.h"
#include "base/text.h"
#include "mail/summary.h"
#include "talk.h"

/* ---- escapes ---- */

static int hex_digit(char c)
{
	if (text_is_digit(c))
		return c - '0';
	c = text_lower_char(c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static size_t unescape_one(struct bytes rest, char *out)
{
	static const char from[] = "rnt0\\\".", to[] = "\r\n\t\0\\\".";
	const char *at = rest.len > 1 ? memchr(from, rest.ptr[1], sizeof(from) - 1) : NULL;

	if (at) {
		*out = to[at - from];
		return 2;
	}
	if (rest.len >= 4 && rest.ptr[1] == 'x' && hex_digit(rest.ptr[2]) >= 0 &&
	    hex_digit(rest.ptr[3]) >= 0) {
		*out = (char)(hex_digit(rest.ptr[2]) * 16 + hex_digit(rest.ptr[3]));
		return 4;
	}
	*out = '\\';
	return 1;
}

struct bytes value_unescape(struct bytes text, bool pattern, struct arena *arena)
{
	char *out = arena_get(arena, text.len + 1);
	size_t len = 0;

	while (text.len > 0) {
		size_t taken = 1;

		if (pattern && bytes_starts(text, BYTES("..."))) {
			out[len++] = WILD;
			taken = 3;
		} else if (text.ptr[0] == '\\') {
			taken = unescape_one(text, &out[len++]);
		} else {
			out[len++] = text.ptr[0];
		}
		text = bytes_skip(text, taken);
	}
	return bytes_of(out, len);
}

bool value_matches(struct bytes pattern, struct bytes text)
{
	size_t star = BYTES_NONE, back = 0, p = 0, t = 0;

	while (t < text.len) {
		if (p < pattern.len && pattern.ptr[p] == WILD) {
			star = p++;
			back = t;
		} else if (p < pattern.len && pattern.ptr[p] == text.ptr[t]) {
			p++;
			t++;
		} else if (star != BYTES_NONE) {
			p = star + 1;
			t = ++back;
		} else {
			return false;
		}
	}
	while (p < pattern.len && pattern.ptr[p] == WILD)
		p++;
	return p == pattern.len;
}

void print_escaped(struct bytes b, struct buf *out)
{
	for (size_t i = 0; i < b.len; i++) {
		unsigned char c = (unsigned char)b.ptr[i];

		if (c == '\r')
			buf_append_text(out, "\\r");
		else if (c == '\n')
			buf_append_text(out, "\\n");
		else if (c == '\\' || c == '"')
			buf_printf(out, "\\%c", c);
		else if (c < ' ' || c == 0x7f || (c >= 0x80 && !text_is_utf8(b)))
			buf_printf(out, "\\x%02x", c);
		else
			buf_append_char(out, (char)c);
	}
}

/* ---- values ---- */

static void skip_blanks(struct bytes *rest)
{
	while (rest->len > 0 && strchr(" \t\n", rest->ptr[0]))
		*rest = bytes_skip(*rest, 1);
}

static struct bytes take_word(struct bytes *rest)
{
	size_t len = 0;
	struct bytes word;

	skip_blanks(rest);
	while (len < rest->len && !strchr(" \t\n{}\"", rest->ptr[len]))
		len++;
	word = bytes_first(*rest, len);
	*rest = bytes_skip(*rest, len);
	return word;
}

static enum result take_quoted(struct bytes *rest, struct arena *arena, struct bytes *ret,
                               struct why *why)
{
	size_t end = 1;

	while (end < rest->len && rest->ptr[end] != '"')
		end += rest->ptr[end] == '\\' ? 2 : 1;
	if (end >= rest->len)
		return why_set(why, INVALID, "a quoted value has no end");
	*ret = value_unescape(bytes_of(rest->ptr + 1, end - 1), true, arena);
	*rest = bytes_skip(*rest, end + 1);
	return OK;
}

/* "a" "b" is "ab". */
static enum result take_strings(struct bytes *rest, struct arena *arena, struct bytes *ret,
                                struct why *why)
{
	struct buf all = {0};
	enum result r = OK;

	while (r == OK && rest->len > 0 && rest->ptr[0] == '"') {
		struct bytes one = {0};

		r = take_quoted(rest, arena, &one, why);
		buf_append(&all, one);
		skip_blanks(rest);
	}
	*ret = arena_copy(arena, buf_bytes(&all));
	buf_done(&all);
	return r;
}

static enum result take_number(struct bytes *rest, uint64_t *ret, struct why *why)
{
	struct bytes word = take_word(rest);
	bool minus = bytes_starts(word, BYTES("-"));
	uint64_t value = 0;

	if (bytes_starts(word, BYTES("0x"))) {
		for (size_t i = 2; i < word.len; i++)
			value = value * 16 + (uint64_t)hex_digit(word.ptr[i]);
	} else if (bytes_to_u64(bytes_skip(word, minus), UINT64_MAX, &value) != OK) {
		return why_set(why, INVALID, "\"%.*s\" is no number", BYTES_ARG(word));
	}
	*ret = minus ? -value : value;
	return OK;
}

/* One member of { ... }: "u32 7", "block VALUE", "bytes VALUE". */
static enum result take_member(struct bytes *rest, struct arena *arena, struct buf *out,
                               struct why *why)
{
	struct bytes type = take_word(rest), value;
	uint64_t number;
	enum result r;

	if (bytes_equal(type, BYTES("block")) || bytes_equal(type, BYTES("bytes"))) {
		r = value_take(rest, arena, &value, why);
		if (r == OK && bytes_equal(type, BYTES("block")))
			buf_block(out, value);
		else if (r == OK)
			buf_append(out, value);
		return r;
	}
	r = take_number(rest, &number, why);
	if (r != OK)
		return r;
	if (bytes_equal(type, BYTES("u8")))
		buf_u8(out, (uint8_t)number);
	else if (bytes_equal(type, BYTES("u16")))
		buf_u16(out, (uint16_t)number);
	else if (bytes_equal(type, BYTES("u32")))
		buf_u32(out, (uint32_t)number);
	else if (bytes_equal(type, BYTES("u64")) || bytes_equal(type, BYTES("i64")))
		buf_u64(out, number);
	else
		return why_set(why, INVALID, "\"%.*s\" is no type: u8 u16 u32 u64 i64 block bytes",
		               BYTES_ARG(type));
	return OK;
}

static enum result take_packed(struct bytes *rest, struct arena *arena, struct bytes *ret,
                               struct why *why)
{
	struct buf out = {0};
	enum result r = OK;

	*rest = bytes_skip(*rest, 1);
	skip_blanks(rest);
	while (r == OK && rest->len > 0 && rest->ptr[0] != '}') {
		r = take_member(rest, arena, &out, why);
		skip_blanks(rest);
	}
	if (r == OK && rest->len == 0)
		r = why_set(why, INVALID, "{ without }");
	*rest = bytes_skip(*rest, 1);
	*ret = arena_copy(arena, buf_bytes(&out));
	buf_done(&out);
	return r;
}

/* summary "mail": the mail's summary, as the store would give it. */
static struct bytes summary_of_mail(struct bytes mail, struct arena *arena)
{
	struct summary_builder *b = summary_builder_new();
	struct buf out = {0};
	struct bytes copy;

	summary_builder_feed(b, mail);
	summary_builder_finish(b, &out);
	summary_builder_free(&b);
	copy = arena_copy(arena, buf_bytes(&out));
	buf_done(&out);
	return copy;
}

enum result value_take(struct bytes *rest, struct arena *arena, struct bytes *ret, struct why *why)
{
	enum result r;

	skip_blanks(rest);
	if (rest->len > 0 && rest->ptr[0] == '"')
		return take_strings(rest, arena, ret, why);
	if (rest->len > 0 && rest->ptr[0] == '{')
		return take_packed(rest, arena, ret, why);
	if (bytes_starts(*rest, BYTES("summary \""))) {
		*rest = bytes_skip(*rest, 8);
		r = take_strings(rest, arena, ret, why);
		if (r == OK)
			*ret = summary_of_mail(*ret, arena);
		return r;
	}
	*ret = value_unescape(take_word(rest), true, arena);
	return OK;
}

/* ---- fields of asks and answers, by name ---- */

enum type { TYPE_u8, TYPE_u16, TYPE_u32, TYPE_u64, TYPE_i64, TYPE_bytes };

typedef void visitor(void *context, const char *name, enum type type, void *field);

#define ASK(NAME, name, from, to, meaning)                                        \
	static void walk_ask_##name(struct ask *a, visitor *visit, void *context) \
	{                                                                         \
		struct ask_##name *it = &a->name;                                 \
		(void)it;
#define IN(type, field, meaning) visit(context, #field, TYPE_##type, &it->field);
#define OUT(type, field, meaning)
#define END(name) }
#include "ask/ask.def"
#undef ASK
#undef IN
#undef OUT
#define ASK(NAME, name, from, to, meaning)                                              \
	static void walk_answer_##name(struct answer *a, visitor *visit, void *context) \
	{                                                                               \
		struct answer_##name *it = &a->name;                                    \
		(void)it;
#define IN(type, field, meaning)
#define OUT(type, field, meaning) visit(context, #field, TYPE_##type, &it->field);
#include "ask/ask.def"
#undef ASK
#undef IN
#undef OUT
#undef END

struct kind {
	const char *name;
	void (*walk_ask)(struct ask *a, visitor *visit, void *context);
	void (*walk_answer)(struct answer *a, visitor *visit, void *context);
};

#define IN(type, field, meaning)
#define OUT(type, field, meaning)
#define END(name)
static const struct kind kinds[ASK_COUNT] = {
#define ASK(NAME, name, from, to, meaning) \
	[ASK_##NAME] = {#NAME, walk_ask_##name, walk_answer_##name},
#include "ask/ask.def"
#undef ASK
};
#undef IN
#undef OUT
#undef END

enum ask_kind ask_kind_named(struct bytes name)
{
	for (int i = 1; i < ASK_COUNT; i++)
		if (bytes_equal(name, bytes_of_text(kinds[i].name)))
			return (enum ask_kind)i;
	return ASK_NONE;
}

enum result result_named(struct bytes name, enum result *ret)
{
	static const char *const names[RESULT_COUNT] = {
	        [OK] = "OK",
	        [INVALID] = "INVALID",
	        [TOO_BIG] = "TOO_BIG",
	        [NOT_FOUND] = "NOT_FOUND",
	        [EXISTS] = "EXISTS",
	        [DENIED] = "DENIED",
	        [OVER_QUOTA] = "OVER_QUOTA",
	        [DISK_FULL] = "DISK_FULL",
	        [UNAVAILABLE] = "UNAVAILABLE",
	        [LOST] = "LOST",
	        [DAMAGED] = "DAMAGED",
	        [FAILED] = "FAILED",
	};

	for (int i = 0; i < RESULT_COUNT; i++) {
		if (bytes_equal(name, bytes_of_text(names[i]))) {
			*ret = (enum result)i;
			return OK;
		}
	}
	return INVALID;
}

static uint64_t number_of(enum type type, const void *field)
{
	switch (type) {
	case TYPE_u8: return *(const uint8_t *)field;
	case TYPE_u16: return *(const uint16_t *)field;
	case TYPE_u32: return *(const uint32_t *)field;
	case TYPE_u64: return *(const uint64_t *)field;
	case TYPE_i64: return (uint64_t) * (const int64_t *)field;
	case TYPE_bytes: break;
	}
	return 0;
}

static void set_number(enum type type, void *field, uint64_t value)
{
	switch (type) {
	case TYPE_u8: *(uint8_t *)field = (uint8_t)value; break;
	case TYPE_u16: *(uint16_t *)field = (uint16_t)value; break;
	case TYPE_u32: *(uint32_t *)field = (uint32_t)value; break;
	case TYPE_u64: *(uint64_t *)field = value; break;
	case TYPE_i64: *(int64_t *)field = (int64_t)value; break;
	case TYPE_bytes: break;
	}
}

/* One "name=value" looked for among the fields. */
struct search {
	struct bytes name, rest; /* rest: at the value */
	struct arena *arena;
	struct why *why;
	bool found, set;
	enum result result;
};

static void search_field(void *context, const char *name, enum type type, void *field)
{
	struct search *s = context;
	uint64_t number = 0;
	struct bytes value = {0};

	if (!bytes_equal(s->name, bytes_of_text(name)))
		return;
	s->found = true;
	if (type == TYPE_bytes)
		s->result = value_take(&s->rest, s->arena, &value, s->why);
	else
		s->result = take_number(&s->rest, &number, s->why);
	if (s->result != OK)
		return;
	if (s->set && type == TYPE_bytes)
		*(struct bytes *)field = value;
	else if (s->set)
		set_number(type, field, number);
	else if (type == TYPE_bytes && !value_matches(value, *(struct bytes *)field))
		s->result = why_set(s->why, INVALID, "%s is not as expected", name);
	else if (type != TYPE_bytes && number_of(type, field) != number)
		s->result = why_set(s->why, INVALID, "%s is %llu", name,
		                    (unsigned long long)number_of(type, field));
}

static enum result each_field(struct ask *a, struct answer *answer, struct bytes fields,
                              struct arena *arena, struct why *why)
{
	struct search s = {.rest = fields, .arena = arena, .why = why, .set = answer != NULL};

	for (skip_blanks(&s.rest); s.rest.len > 0; skip_blanks(&s.rest)) {
		size_t equals = bytes_find_char(s.rest, '=');

		if (equals == BYTES_NONE)
			return why_set(why, INVALID, "name=value is wanted at \"%.*s\"",
			               BYTES_ARG(s.rest));
		s.name = bytes_first(s.rest, equals);
		s.rest = bytes_skip(s.rest, equals + 1);
		s.found = false;
		if (answer)
			kinds[answer->kind].walk_answer(answer, search_field, &s);
		else
			kinds[a->kind].walk_ask(a, search_field, &s);
		if (!s.found)
			return why_set(why, INVALID, "there is no field %.*s", BYTES_ARG(s.name));
		if (s.result != OK)
			return INVALID;
	}
	return OK;
}

enum result answer_fill(struct answer *a, struct bytes fields, struct arena *arena, struct why *why)
{
	return each_field(NULL, a, fields, arena, why);
}

enum result ask_compare(const struct ask *a, struct bytes fields, struct arena *arena,
                        struct why *why)
{
	struct ask copy = *a;

	return each_field(&copy, NULL, fields, arena, why);
}

static void print_field(void *context, const char *name, enum type type, void *field)
{
	struct buf *out = context;

	buf_printf(out, " %s=", name);
	if (type != TYPE_bytes) {
		buf_printf(out, "%llu", (unsigned long long)number_of(type, field));
		return;
	}
	buf_append_char(out, '"');
	print_escaped(*(struct bytes *)field, out);
	buf_append_char(out, '"');
}

void ask_print(const struct ask *a, struct buf *out)
{
	struct ask copy = *a;

	buf_append_text(out, kinds[a->kind].name);
	kinds[a->kind].walk_ask(&copy, print_field, out);
}
