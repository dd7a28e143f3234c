/* Values of header fields against test/data/mime/mail-parser/fields, and what those files do not
 * hold. */
#include "../test.h"

#include <jansson.h>

#include "base/time.h"
#include "data.h"
#include "mail/address.h"
#include "mail/date.h"
#include "mail/header.h"
#include "mail/mime.h"
#include "mail/words.h"

struct difference {
	int n; /* which of the list, from 0 */
	const char *why;
};

static bool is_difference(const struct difference *list, int n)
{
	for (; list->why; list++) {
		if (list->n == n)
			return true;
	}
	return false;
}

static json_t *load(const char *name, struct arena *arena)
{
	struct bytes path = arena_printf(arena, "mime/mail-parser/fields/%s.json", name);
	struct bytes text = data_read(arena_text(arena, path), arena);
	json_t *root = json_loadb(text.ptr, text.len, JSON_ALLOW_NUL, NULL);

	assert_non_null(root);
	return root;
}

static struct bytes text_of(json_t *object, const char *key)
{
	json_t *value = json_object_get(object, key);
	return json_is_string(value) ? bytes_of(json_string_value(value), json_string_length(value))
	                             : BYTES("");
}

/* The header value up to where a field ends. */
static struct bytes value_of(json_t *object)
{
	struct bytes text = text_of(object, "header");

	for (size_t i = 0; i + 1 < text.len; i++) {
		if (text.ptr[i] == '\n' && text.ptr[i + 1] != ' ' && text.ptr[i + 1] != '\t')
			return bytes_first(text, i);
	}
	return text;
}

/* ---- addresses ---- */

static const struct difference address_differences[] = {
        {8, "a comment is the name only when there is no other (RFC 5322, 3.4)"},
        {9, "a backslash quotes the line end, not what follows the fold"},
        {10, "a comment is the name only when there is no other (RFC 5322, 3.4)"},
        {11, "a comment is the name only when there is no other (RFC 5322, 3.4)"},
        {13, "the route is kept apart, and blanks around dots are dropped (RFC 5322, 4.4)"},
        {14, "the same"},
        {22, "a comment is the name only when there is no other (RFC 5322, 3.4)"},
        {33, "words_decode trims what a person reads"},
        {56, "a comment is the name only when there is no other (RFC 5322, 3.4)"},
        {-1, NULL},
};

static void put_expected_list(json_t *list, struct buf *out)
{
	json_t *address;
	size_t i;

	json_array_foreach(list, i, address)
	{
		buf_printf(out, "[%.*s|%.*s]", BYTES_ARG(text_of(address, "name")),
		           BYTES_ARG(text_of(address, "address")));
	}
}

static void put_expected(json_t *expected, struct buf *out)
{
	json_t *group;
	size_t i;

	put_expected_list(json_object_get(expected, "List"), out);
	json_array_foreach(json_object_get(expected, "Group"), i, group)
	{
		struct bytes name = text_of(group, "name");
		if (name.len > 0)
			buf_printf(out, "%.*s:", BYTES_ARG(name));
		put_expected_list(json_object_get(group, "addresses"), out);
		if (name.len > 0)
			buf_append_text(out, ";");
	}
}

static void put_parsed(const struct address *a, struct buf *out)
{
	for (; a; a = a->next) {
		if (a->kind == ADDRESS_GROUP_END) {
			buf_append_text(out, ";");
			continue;
		}
		if (a->kind == ADDRESS_MAILBOX)
			buf_append_text(out, "[");
		words_decode(a->name, out);
		buf_append_text(out, a->kind == ADDRESS_MAILBOX ? "|" : ":");
		if (a->kind == ADDRESS_GROUP_START)
			continue;
		buf_append(out, a->local);
		if (!a->bare)
			buf_printf(out, "@%.*s", BYTES_ARG(a->domain));
		buf_append_text(out, "]");
	}
}

static void addresses_are_as_expected(void **state)
{
	struct arena arena = {0};
	json_t *list = load("address", &arena), *item;
	unsigned failures = 0;
	size_t i;

	json_array_foreach(list, i, item)
	{
		struct buf want = {0}, got = {0};
		put_expected(json_object_get(item, "expected"), &want);
		put_parsed(address_parse(value_of(item), &arena), &got);
		bool same = bytes_equal(buf_bytes(&want), buf_bytes(&got));
		if (same == is_difference(address_differences, (int)i)) {
			print_error("address %zu: %.*s got  %.*s\n want %.*s\n", i,
			            BYTES_ARG(value_of(item)), BYTES_ARG(buf_bytes(&got)),
			            BYTES_ARG(buf_bytes(&want)));
			failures++;
		}
		buf_done(&want);
		buf_done(&got);
	}
	json_decref(list);
	arena_done(&arena);
	assert_int_equal(failures, 0);
}

/* ---- dates ---- */

static const struct difference date_differences[] = {
        {12, "six numbers are no date: nothing says which of them is the time"},
        {14, "a comment may be folded badly; the date is plain to see"},
        {-1, NULL},
};

static int number_of(json_t *object, const char *key)
{
	return (int)json_integer_value(json_object_get(object, key));
}

static void put_expected_date(json_t *e, struct buf *out)
{
	char text[TIME_TEXT];
	int zone = number_of(e, "tz_hour") * 60 + number_of(e, "tz_minute");
	struct time_civil c = {
	        .year = number_of(e, "year"),
	        .month = number_of(e, "month"),
	        .day = number_of(e, "day"),
	        .hour = number_of(e, "hour"),
	        .minute = number_of(e, "minute"),
	        .second = number_of(e, "second"),
	        .zone_minutes = json_is_true(json_object_get(e, "tz_before_gmt")) ? -zone : zone,
	};

	if (!json_is_object(e)) {
		buf_append_text(out, "none");
		return;
	}
	time_format_rfc5322(time_from_civil(&c), c.zone_minutes, text);
	buf_append_text(out, text);
}

static void put_date(struct bytes value, struct buf *out)
{
	char text[TIME_TEXT];
	time_ms t;
	int zone;

	if (date_parse(value, &t, &zone) != OK) {
		buf_append_text(out, "none");
		return;
	}
	time_format_rfc5322(t, zone, text);
	buf_append_text(out, text);
}

static void dates_are_as_expected(void **state)
{
	struct arena arena = {0};
	json_t *list = load("date", &arena), *item;
	unsigned failures = 0;
	size_t i;

	json_array_foreach(list, i, item)
	{
		struct buf want = {0}, got = {0};
		put_expected_date(json_object_get(item, "expected"), &want);
		put_date(text_of(item, "header"), &got);
		bool same = bytes_equal(buf_bytes(&want), buf_bytes(&got));
		if (same == is_difference(date_differences, (int)i)) {
			print_error("date %zu: \"%.*s\" got %.*s want %.*s\n", i,
			            BYTES_ARG(text_of(item, "header")), BYTES_ARG(buf_bytes(&got)),
			            BYTES_ARG(buf_bytes(&want)));
			failures++;
		}
		buf_done(&want);
		buf_done(&got);
	}
	json_decref(list);
	arena_done(&arena);
	assert_int_equal(failures, 0);
}

/* ---- Content-Type ---- */

static const struct difference type_differences[] = {
        {29, "the language of a value is not asked for here"},
        {30, "the language of a value is not asked for here"},
        {31, "the language of a value is not asked for here"},
        {34, "blanks between encoded words are not text (RFC 2047, 6.2)"},
        {38, "words_decode trims what a person reads"},
        {47, "= is no type"},
        {48, "a type ends where its first word does"},
        {49, "an empty value is a value"},
        {55, "words_decode trims what a person reads"},
        {56, "words_decode trims what a person reads"},
        {57, "words_decode trims what a person reads"},
        {58, "as 48"},
        {59, "sections are as RFC 2231 has them: 9999 does not follow 1; NUL is dropped"},
        {61, "a name that no part has may be read as one likes; nothing breaks"},
        {76, "a subtype ends at a slash (RFC 2045, 5.1)"},
        {77, "as 76"},
        {78, "as 76"},
        {-1, NULL},
};

static void put_expected_type(json_t *e, struct buf *out)
{
	json_t *attribute;
	size_t i;

	if (!json_is_object(e)) {
		buf_append_text(out, "none");
		return;
	}
	buf_printf(out, "%.*s/%.*s", BYTES_ARG(text_of(e, "c_type")),
	           BYTES_ARG(text_of(e, "c_subtype")));
	json_array_foreach(json_object_get(e, "attributes"), i, attribute)
	{
		buf_printf(out, "; %s=%s", json_string_value(json_array_get(attribute, 0)),
		           json_string_value(json_array_get(attribute, 1)));
	}
}

static void put_type(struct bytes value, struct arena *arena, struct buf *out)
{
	struct bytes type, subtype;
	struct mime_param *params;

	mime_value_parse(value, arena, &type, &subtype, &params);
	if (type.len == 0) {
		buf_append_text(out, "none");
		return;
	}
	buf_printf(out, "%.*s/%.*s", BYTES_ARG(type), BYTES_ARG(subtype));
	for (const struct mime_param *p = params; p; p = p->next) {
		struct bytes name = bytes_first(p->name, bytes_find_char(p->name, '*'));
		bool before = false;
		for (const struct mime_param *q = params; q != p; q = q->next)
			before |= bytes_equal(name,
			                      bytes_first(q->name, bytes_find_char(q->name, '*')));
		if (before)
			continue;
		buf_printf(out, "; %.*s=", BYTES_ARG(name));
		words_param(params, name, out);
	}
}

static void types_are_as_expected(void **state)
{
	struct arena arena = {0};
	json_t *list = load("content_type", &arena), *item;
	unsigned failures = 0;
	size_t i;

	json_array_foreach(list, i, item)
	{
		struct buf want = {0}, got = {0};
		put_expected_type(json_object_get(item, "expected"), &want);
		put_type(value_of(item), &arena, &got);
		bool same = bytes_equal(buf_bytes(&want), buf_bytes(&got));
		if (same == is_difference(type_differences, (int)i)) {
			print_error("type %zu: \"%.*s\"\n got  %.*s\n want %.*s\n", i,
			            BYTES_ARG(value_of(item)), BYTES_ARG(buf_bytes(&got)),
			            BYTES_ARG(buf_bytes(&want)));
			failures++;
		}
		buf_done(&want);
		buf_done(&got);
	}
	json_decref(list);
	arena_done(&arena);
	assert_int_equal(failures, 0);
}

/* ---- unstructured text ---- */

static const struct difference text_differences[] = {
        {21, "no blank is put where there is none"},
        {22, "an empty word gives nothing, its blank stays one"},
        {27, "as 21"},
        {28, "as 21"},
        {-1, NULL},
};

static void texts_are_as_expected(void **state)
{
	struct arena arena = {0};
	json_t *list = load("unstructured", &arena), *item;
	unsigned failures = 0;
	size_t i;

	json_array_foreach(list, i, item)
	{
		struct buf got = {0};
		struct bytes want = text_of(item, "expected");
		words_decode(value_of(item), &got);
		if (bytes_equal(want, buf_bytes(&got)) == is_difference(text_differences, (int)i)) {
			print_error("text %zu: \"%.*s\"\n got  \"%.*s\"\n want \"%.*s\"\n", i,
			            BYTES_ARG(value_of(item)), BYTES_ARG(buf_bytes(&got)),
			            BYTES_ARG(want));
			failures++;
		}
		buf_done(&got);
	}
	json_decref(list);
	arena_done(&arena);
	assert_int_equal(failures, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(addresses_are_as_expected),
	        cmocka_unit_test(dates_are_as_expected),
	        cmocka_unit_test(types_are_as_expected),
	        cmocka_unit_test(texts_are_as_expected),
	};
	return TEST_MAIN(tests);
}
