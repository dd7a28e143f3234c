/* hikyaku check mime and check charset, as functions, on all of test/data/mime and charsets-ja. */
#include "../test.h"

#include <jansson.h>

#include "base/encode.h"
#include "cli/check.h"
#include "crypto/digest.h"
#include "data.h"

static struct arena arena;

static int forget(void **state)
{
	arena_done(&arena);
	return 0;
}

static json_t *tree_of(struct bytes mail)
{
	struct check c = {.in = mail};
	struct buf out = {0};
	struct why why;

	assert_int_equal(check_mime(&c, &out, &why), OK);
	assert_true(bytes_ends(buf_bytes(&out), BYTES("\n")));
	assert_int_equal(bytes_find_char(buf_bytes(&out), '\n'), buf_len(&out) - 1);
	json_t *tree = json_loadb(buf_bytes(&out).ptr, buf_len(&out), 0, NULL);
	assert_non_null(tree);
	buf_done(&out);
	return tree;
}

static struct bytes hash_of(struct bytes octets)
{
	uint8_t digest[DIGEST_SHA256];
	struct buf hex = {0};

	digest_sha256(octets, digest);
	encode_hex(&hex, bytes_of(digest, sizeof(digest)));
	struct bytes copy = arena_copy(&arena, buf_bytes(&hex));
	buf_done(&hex);
	return copy;
}

/* Puts "SIZE HASH\n" for each leaf. */
static void put_leaves(json_t *tree, struct buf *out)
{
	json_t *part;
	size_t i;

	assert_true(json_is_string(json_object_get(tree, "type")));
	assert_true(json_is_integer(json_object_get(tree, "size")));
	if (!json_object_get(tree, "parts"))
		buf_printf(out, "%lld %s\n",
		           (long long)json_integer_value(json_object_get(tree, "size")),
		           json_string_value(json_object_get(tree, "sha256")));
	json_array_foreach(json_object_get(tree, "parts"), i, part) put_leaves(part, out);
}

/* test_mime4j.c says why these differ. */
static bool is_excused(const char *stem)
{
	static const char *const stems[] = {"malformedHeader-noheader",
	                                    "malformedHeaderStartsBody-noheader",
	                                    "malformedHeaderStartsBody-nocrlfcrlf",
	                                    "missing-boundary",
	                                    "missing-inner-boundary",
	                                    "missing-inner-start-boundary",
	                                    "multipartnopart"};

	for (size_t i = 0; i < sizeof(stems) / sizeof(stems[0]); i++) {
		if (strcmp(stem, stems[i]) == 0)
			return true;
	}
	return false;
}

static void put_expected_leaves(const char *stem, struct buf *out)
{
	struct bytes tree = data_read(
	        arena_text(&arena, arena_printf(&arena, "mime/mime4j/%s_decoded.xml", stem)),
	        &arena);
	size_t at;

	while ((at = bytes_find(tree, BYTES("-body name=\""))) != BYTES_NONE) {
		tree = bytes_skip(tree, at + strlen("-body name=\""));
		char *file = arena_text(&arena, bytes_first(tree, bytes_find_char(tree, '"')));
		struct bytes octets = data_read(
		        arena_text(&arena, arena_printf(&arena, "mime/mime4j/%s", file)), &arena);
		buf_printf(out, "%zu %.*s\n", octets.len, BYTES_ARG(hash_of(octets)));
	}
}

static void hashes_are_those_of_the_decoded_files(void **state)
{
	char **names = data_list("mime/mime4j", ".msg", &arena);
	size_t i;

	for (i = 0; names[i]; i++) {
		struct buf want = {0}, got = {0};
		char *stem = arena_text(&arena,
		                        bytes_first(bytes_of_text(names[i]), strlen(names[i]) - 4));
		json_t *tree = tree_of(data_read(
		        arena_text(&arena, arena_printf(&arena, "mime/mime4j/%s", names[i])),
		        &arena));
		put_leaves(tree, &got);
		put_expected_leaves(stem, &want);
		if (is_excused(stem))
			assert_true(buf_len(&got) > 0);
		else
			assert_bytes(buf_bytes(&got), buf_bytes(&want));
		json_decref(tree);
		buf_done(&want);
		buf_done(&got);
	}
	assert_int_equal(i, 32);
}

static void every_mail_has_a_tree(void **state)
{
	static const char *const folders[] = {"mime/mail-parser/rfc", "mime/mail-parser/legacy",
	                                      "mime/mail-parser/malformed", "charsets-ja/eml"};
	unsigned count = 0;

	for (size_t f = 0; f < 4; f++) {
		char **names = data_list(folders[f], ".eml", &arena);
		for (size_t i = 0; names[i]; i++, count++) {
			char *path = arena_text(
			        &arena, arena_printf(&arena, "%s/%s", folders[f], names[i]));
			struct buf leaves = {0};
			json_t *tree = tree_of(data_read(path, &arena));
			put_leaves(tree, &leaves);
			assert_true(buf_len(&leaves) > 0);
			json_decref(tree);
			buf_done(&leaves);
		}
	}
	assert_int_equal(count, 52);
}

static void an_encoded_message_is_taken_apart(void **state)
{
	json_t *tree = tree_of(data_read("mime/mail-parser/rfc/008.eml", &arena));
	json_t *message = json_array_get(json_object_get(tree, "parts"), 1);
	json_t *inner = json_array_get(json_object_get(message, "parts"), 0);

	assert_string_equal(json_string_value(json_object_get(message, "type")), "message/rfc822");
	assert_string_equal(json_string_value(json_object_get(inner, "type")),
	                    "multipart/alternative");
	assert_int_equal(json_array_size(json_object_get(inner, "parts")), 2);
	json_decref(tree);
}

static void charsets_come_out_as_utf8(void **state)
{
	static const char *const names[][2] = {
	        {"euc_jp", "EUC-JP"}, {"iso2022_jp", "ISO-2022-JP"}, {"shift_jis", "Shift_JIS"}};
	struct why why;

	for (size_t i = 0; i < 3; i++) {
		struct buf out = {0};
		struct check c = {.args = &names[i][1], .arg_count = 1};
		c.in = data_read(
		        arena_text(&arena,
		                   arena_printf(&arena, "charsets-ja/python/%s.txt", names[i][0])),
		        &arena);
		assert_int_equal(check_charset(&c, &out, &why), OK);
		char *want = arena_text(
		        &arena,
		        arena_printf(&arena, "charsets-ja/python/%s-utf8.txt", names[i][0]));
		assert_bytes(buf_bytes(&out), data_read(want, &arena));
		buf_done(&out);
	}
	struct buf out = {0};
	assert_int_equal(check_charset(&(struct check){.args = (const char *const[]){"nonsense"}},
	                               &out, &why),
	                 NOT_FOUND);
	assert_non_null(strstr(why.text, "nonsense"));
	buf_done(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_teardown(hashes_are_those_of_the_decoded_files, forget),
	        cmocka_unit_test_teardown(every_mail_has_a_tree, forget),
	        cmocka_unit_test_teardown(an_encoded_message_is_taken_apart, forget),
	        cmocka_unit_test_teardown(charsets_come_out_as_utf8, forget),
	};
	return TEST_MAIN(tests);
}
