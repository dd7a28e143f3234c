/* The leaves of test/data/mime/mime4j: the file STEM_decoded_1_2.txt holds the decoded second
 * child of the root. */
#include "../test.h"

#include "data.h"
#include "mail/body.h"
#include "mail/mime.h"

static const struct {
	const char *stem;
	const char *path; /* "" : the whole mail */
	const char *why;
} differences[] = {
        {"malformedHeader-noheader", "1",
         "a mail without a header is all body; nothing of it is dropped"},
        {"malformedHeaderStartsBody-noheader", "1", "the same"},
        {"malformedHeaderStartsBody-nocrlfcrlf", "1",
         "a line that is no field is passed over; what follows is still header"},
        {"missing-boundary", "leaves",
         "a multipart in which no part begins is a leaf, so that its text is not lost"},
        {"missing-inner-boundary", "leaves", "the same"},
        {"missing-inner-start-boundary", "leaves", "the same"},
        {"multipartnopart", "leaves", "the same"},
};

enum { DIFFERENCES = sizeof(differences) / sizeof(differences[0]) };

static bool is_excused(const char *stem, const char *path, bool excused[DIFFERENCES])
{
	for (size_t i = 0; i < DIFFERENCES; i++) {
		if (strcmp(differences[i].stem, stem) == 0 &&
		    (differences[i].path[0] == '\0' || strcmp(differences[i].path, path) == 0)) {
			excused[i] = true;
			return true;
		}
	}
	return false;
}

static struct bytes decoded(struct bytes mail, const struct mime_part *part, struct arena *arena)
{
	struct body_decoder d = body_decoder_of(part->encoding);
	struct buf out = {0};

	body_decode(
	        &d,
	        bytes_first(bytes_skip(mail, part->body_start), part->body_end - part->body_start),
	        &out);
	body_decode_end(&d, &out);
	struct bytes copy = arena_copy(arena, buf_bytes(&out));
	buf_done(&out);
	return copy;
}

static bool is_encoded_message(const struct mime_part *part)
{
	return bytes_equal(part->type, BYTES("message")) && !part->message &&
	       part->encoding == MIME_BASE64;
}

/* Follows "1_2_1" from the root; *mail changes on the way into an encoded message. NULL: no such
 * part. */
static const struct mime_part *follow(struct bytes *mail, const struct mime_part *part,
                                      const char *path, struct arena *arena)
{
	for (const char *at = strchr(path, '_'); at && part; at = strchr(at + 1, '_')) {
		if (is_encoded_message(part)) {
			*mail = decoded(*mail, part, arena);
			part = mime_parse(*mail, arena, NULL);
			continue;
		}
		part = part->child;
		for (int n = at[1] - '0'; n > 1 && part; n--)
			part = part->next;
	}
	return part;
}

static size_t count_leaves(struct bytes mail, const struct mime_part *part, struct arena *arena)
{
	size_t count = 0;

	if (is_encoded_message(part)) {
		struct bytes inner = decoded(mail, part, arena);
		return count_leaves(inner, mime_parse(inner, arena, NULL), arena);
	}
	if (!part->child)
		return 1;
	for (part = part->child; part; part = part->next)
		count += count_leaves(mail, part, arena);
	return count;
}

static unsigned check_leaf(struct bytes mail, const struct mime_part *root, const char *stem,
                           const char *file, bool *excused, struct arena *arena)
{
	struct bytes name = bytes_skip(bytes_of_text(file), strlen(stem) + strlen("_decoded_"));
	char *path = arena_text(arena, bytes_first(name, bytes_find_char(name, '.')));
	struct bytes want = data_read(
	        arena_text(arena, arena_printf(arena, "mime/mime4j/%s", file)), arena);
	const struct mime_part *part = follow(&mail, root, path, arena);
	struct bytes got = part ? decoded(mail, part, arena) : BYTES("(no such part)");

	if (bytes_equal(got, want) || is_excused(stem, path, excused))
		return 0;
	print_error("%s: got %zu octets \"%.*s\", want %zu \"%.*s\"\n", file, got.len,
	            BYTES_ARG(bytes_first(got, 200)), want.len, BYTES_ARG(bytes_first(want, 200)));
	return 1;
}

static unsigned check_mail(const char *message, bool *excused, struct arena *arena)
{
	struct bytes mail = data_read(
	        arena_text(arena, arena_printf(arena, "mime/mime4j/%s", message)), arena);
	char *stem = arena_text(arena, bytes_first(bytes_of_text(message), strlen(message) - 4));
	const struct mime_part *root = mime_parse(mail, arena, NULL);
	struct bytes tree = data_read(
	        arena_text(arena, arena_printf(arena, "mime/mime4j/%s_decoded.xml", stem)), arena);
	unsigned failures = 0;
	size_t leaves = 0, at;

	while ((at = bytes_find(tree, BYTES("-body name=\""))) != BYTES_NONE) {
		tree = bytes_skip(tree, at + strlen("-body name=\""));
		char *file = arena_text(arena, bytes_first(tree, bytes_find_char(tree, '"')));
		leaves++;
		failures += check_leaf(mail, root, stem, file, excused, arena);
	}
	if (count_leaves(mail, root, arena) != leaves && !is_excused(stem, "leaves", excused)) {
		print_error("%s: got %zu leaves, want %zu\n", stem, count_leaves(mail, root, arena),
		            leaves);
		failures++;
	}
	return failures;
}

static void leaves_are_right(void **state)
{
	bool excused[DIFFERENCES] = {false};
	struct arena arena = {0};
	char **names = data_list("mime/mime4j", ".msg", &arena);
	unsigned failures = 0, mails = 0;

	for (size_t i = 0; names[i]; i++, mails++)
		failures += check_mail(names[i], excused, &arena);
	assert_int_equal(mails, 32);
	assert_int_equal(failures, 0);
	for (size_t i = 0; i < DIFFERENCES; i++) {
		if (!excused[i] && differences[i].stem[0])
			fail_msg("%s %s is no difference any more", differences[i].stem,
			         differences[i].path);
	}
	arena_done(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(leaves_are_right)};
	return TEST_MAIN(tests);
}
