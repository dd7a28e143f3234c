/* The trees of test/data/mime/mail-parser: 47 messages, each as it is and with CRLF, against
 * what another parser made of them. */
#include "../test.h"

#include <jansson.h>

#include "data.h"
#include "mail/body.h"
#include "mail/charset.h"
#include "mail/mime.h"
#include "mail/words.h"

/* Where we differ, and why. */
static const struct {
	const char *file; /* without .eml */
	int part;         /* -1: any */
	const char *what;
	const char *why;
} differences[] = {
        {"legacy/026", 2, "text", "undeclared octets above 0x7f are guessed, not replaced"},
        {"legacy/049", 0, "offset_end", "the last LF is part of the text"},
        {"legacy/049", 0, "text", "the last LF is part of the text"},
        {"malformed/000", 0, "part",
         "a part without a body is still a part: each delimiter line begins one"},
        {"malformed/008", 0, "part",
         "--ab is the outer boundary, not the inner boundary a with something behind it"},
        {"malformed/008", 3, "part", "the same"},
        {"malformed/012", 0, "part",
         "the outer boundary ends an inner multipart that was not closed (RFC 2046, 5.1.2)"},
        {"malformed/012", 0, "text", "the same"},
        {"malformed/012", 0, "offset_end", "the same"},
        {"malformed/014", 0, "part",
         "a delimiter line begins a part, an empty one at the end of the mail too"},
        {"malformed/016", -1, "part",
         "boundaries that begin alike are told apart by their whole length"},
        {"malformed/022", 2, "kind",
         "what is declared message/rfc822 is one; without a header its text is its body"},
};

struct check {
	const char *name; /* "rfc/000" */
	bool crlf;
	struct bytes mail;
	json_t *parts;
	unsigned *failures;
	bool *excused;
};

static void differ(const struct check *c, int part, const char *what, const char *format, ...)
        PRINTF(4, 5);

static void differ(const struct check *c, int part, const char *what, const char *format, ...)
{
	char text[600];
	va_list args;

	for (size_t i = 0; i < sizeof(differences) / sizeof(differences[0]); i++) {
		if (strcmp(differences[i].file, c->name) == 0 &&
		    strcmp(differences[i].what, what) == 0 &&
		    (differences[i].part == part || differences[i].part < 0)) {
			c->excused[i] = true;
			return;
		}
	}
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	print_error("%s%s part %d %s: %s\n", c->name, c->crlf ? " (CRLF)" : "", part, what, text);
	++*c->failures;
}

static struct bytes json_bytes(json_t *value)
{
	return json_is_string(value) ? bytes_of(json_string_value(value), json_string_length(value))
	                             : BYTES("");
}

static json_t *find_header(json_t *part, const char *name)
{
	json_t *headers = json_object_get(part, "headers"), *h, *found = NULL;
	size_t i;

	json_array_foreach(headers, i, h)
	{
		if (bytes_equal(json_bytes(json_object_get(h, "name")), bytes_of_text(name)))
			found = json_object_get(h, "value");
	}
	return found;
}

static void decode(const struct check *c, const struct mime_part *part, bool text, struct buf *out)
{
	struct bytes raw = bytes_first(bytes_skip(c->mail, part->body_start),
	                               part->body_end - part->body_start);
	struct body_decoder d = body_decoder_of(part->encoding);
	struct buf decoded = {0};

	body_decode(&d, raw, &decoded);
	body_decode_end(&d, &decoded);
	struct bytes charset = mime_param_find(part->params, BYTES("charset"));
	if (!text)
		buf_append(out, buf_bytes(&decoded));
	else if (charset.len == 0 || charset_to_utf8(charset, buf_bytes(&decoded), out) != OK)
		charset_guess_to_utf8(buf_bytes(&decoded), out);
	buf_done(&decoded);
}

static void check_offset(const struct check *c, int n, json_t *json, const char *key, uint64_t got)
{
	uint64_t want = (uint64_t)json_integer_value(json_object_get(json, key));
	if (want != got)
		differ(c, n, key, "got %llu, want %llu", (unsigned long long)got,
		       (unsigned long long)want);
}

static void check_type(const struct check *c, int n, json_t *json, const struct mime_part *part)
{
	json_t *type = json_object_get(find_header(json, "content_type"), "ContentType");
	if (!type)
		return;
	struct bytes main = json_bytes(json_object_get(type, "c_type"));
	struct bytes sub = json_bytes(json_object_get(type, "c_subtype"));
	if (!bytes_equal_nocase(main, part->type) || !bytes_equal_nocase(sub, part->subtype))
		differ(c, n, "type", "got %.*s/%.*s, want %.*s/%.*s", BYTES_ARG(part->type),
		       BYTES_ARG(part->subtype), BYTES_ARG(main), BYTES_ARG(sub));
}

static void check_binary(const struct check *c, int n, json_t *octets, struct bytes got)
{
	size_t count = json_array_size(octets), i = 0;

	while (i < count && i < got.len &&
	       (unsigned char)got.ptr[i] == json_integer_value(json_array_get(octets, i)))
		i++;
	if (i != count || i != got.len)
		differ(c, n, "octets", "got %zu, want %zu, the same up to %zu", got.len, count, i);
}

static void check_part(const struct check *c, int n, const struct mime_part *part);

static void check_message(const struct check *c, int n, json_t *message,
                          const struct mime_part *part)
{
	struct check inner = *c;

	inner.parts = json_object_get(message, "parts");
	if (part->message) {
		check_part(&inner, 0, part->child);
	} else if (part->encoding == MIME_BASE64) { /* its offsets count from its own start */
		struct arena arena = {0};
		struct buf decoded = {0};
		decode(c, part, false, &decoded);
		inner.mail = buf_bytes(&decoded);
		check_part(&inner, 0, mime_parse(inner.mail, &arena, NULL));
		buf_done(&decoded);
		arena_done(&arena);
	} else {
		differ(c, n, "kind", "got a leaf, want a message");
	}
}

static void check_children(const struct check *c, int n, json_t *indexes,
                           const struct mime_part *part)
{
	const struct mime_part *child = part->child;
	json_t *index;
	size_t i;

	if (!part->multipart && json_array_size(indexes) > 0) {
		differ(c, n, "kind", "got a leaf, want a multipart of %zu",
		       json_array_size(indexes));
		return;
	}
	json_array_foreach(indexes, i, index)
	{
		if (child) {
			check_part(c, (int)json_integer_value(index), child);
			child = child->next;
		} else {
			differ(c, (int)json_integer_value(index), "part", "is not there");
		}
	}
	for (; child && part->multipart; child = child->next)
		differ(c, n, "part", "one too many at %llu",
		       (unsigned long long)child->header_start);
}

static void check_leaf(const struct check *c, int n, json_t *json, const char *kind, json_t *value,
                       const struct mime_part *part)
{
	struct buf got = {0};
	bool text = strcmp(kind, "Text") == 0 || strcmp(kind, "Html") == 0;

	if (part->multipart || part->message) {
		differ(c, n, "kind", "got a %s, want a leaf",
		       part->multipart ? "multipart" : "message");
		return;
	}
	check_offset(c, n, json, "offset_end", part->body_end);
	decode(c, part, text && json_is_string(value), &got);
	if (json_is_string(value)) {
		struct bytes want = json_bytes(value), have = buf_bytes(&got);
		size_t same = 0;
		while (same < want.len && same < have.len && want.ptr[same] == have.ptr[same])
			same++;
		if (!bytes_equal(want, have))
			differ(c, n, "text",
			       "got %zu, want %zu, the same up to %zu: got \"%.*s\" want \"%.*s\"",
			       have.len, want.len, same,
			       BYTES_ARG(bytes_first(bytes_skip(have, same), 40)),
			       BYTES_ARG(bytes_first(bytes_skip(want, same), 40)));
	} else {
		check_binary(c, n, value, buf_bytes(&got));
	}
	buf_done(&got);
}

static void check_part(const struct check *c, int n, const struct mime_part *part)
{
	json_t *json = json_array_get(c->parts, (size_t)n);
	json_t *body = json_object_get(json, "body"), *value;
	const char *kind;

	check_offset(c, n, json, "offset_header", part->header_start);
	check_offset(c, n, json, "offset_body", part->body_start);
	check_type(c, n, json, part);
	json_object_foreach(body, kind, value)
	{
		if (strcmp(kind, "Multipart") == 0)
			check_children(c, n, value, part);
		else if (strcmp(kind, "Message") == 0)
			check_message(c, n, value, part);
		else
			check_leaf(c, n, json, kind, value, part);
	}
}

static void check_mail(const char *name, bool crlf, struct bytes mail, unsigned *failures,
                       bool *excused)
{
	struct arena arena = {0};
	struct bytes path = arena_printf(&arena, "mime/mail-parser/%s%s.json", name,
	                                 crlf ? ".crlf" : "");
	struct bytes text = data_read(arena_text(&arena, path), &arena);
	json_t *root = json_loadb(text.ptr, text.len, JSON_ALLOW_NUL, NULL);
	assert_non_null(root);
	struct check c = {name, crlf, mail, json_object_get(root, "parts"), failures, excused};

	check_part(&c, 0, mime_parse(mail, &arena, NULL));
	json_decref(root);
	arena_done(&arena);
}

static void trees_are_right(void **state)
{
	static const char *const folders[] = {"rfc", "legacy", "malformed"};
	bool excused[sizeof(differences) / sizeof(differences[0])] = {false};
	struct arena arena = {0};
	unsigned failures = 0, mails = 0;

	for (size_t f = 0; f < 3; f++) {
		struct bytes folder = arena_printf(&arena, "mime/mail-parser/%s", folders[f]);
		char **names = data_list(arena_text(&arena, folder), ".eml", &arena);
		for (size_t i = 0; names[i]; i++, mails++) {
			struct bytes stem = bytes_first(bytes_of_text(names[i]),
			                                strlen(names[i]) - 4);
			char *name = arena_text(&arena, arena_printf(&arena, "%s/%.*s", folders[f],
			                                             BYTES_ARG(stem)));
			char *path = arena_text(
			        &arena, arena_printf(&arena, "mime/mail-parser/%s.eml", name));
			struct bytes mail = data_read(path, &arena);
			check_mail(name, false, data_with_lf(mail, &arena), &failures, excused);
			check_mail(name, true, data_with_crlf(mail, &arena), &failures, excused);
		}
	}
	assert_int_equal(mails, 47);
	assert_int_equal(failures, 0);
	for (size_t i = 0; i < sizeof(differences) / sizeof(differences[0]); i++) {
		if (!excused[i] && differences[i].file[0])
			fail_msg("%s part %d %s is no difference any more", differences[i].file,
			         differences[i].part, differences[i].what);
	}
	arena_done(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(trees_are_right)};
	return TEST_MAIN(tests);
}
