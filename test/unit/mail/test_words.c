#include "../test.h"

#include "mail/body.h"
#include "mail/header.h"
#include "mail/words.h"

static struct arena arena;

static int forget(void **state)
{
	arena_done(&arena);
	return 0;
}

static struct bytes kept(struct buf *out)
{
	struct bytes copy = arena_copy(&arena, buf_bytes(out));
	buf_done(out);
	return copy;
}

static struct bytes decoded(const char *value)
{
	struct buf out = {0};
	words_decode(bytes_of_text(value), &out);
	return kept(&out);
}

#define KANJI "\xe6\xbc\xa2\xe5\xad\x97" /* 漢字 */
#define BAD "\xef\xbf\xbd"

static void words_are_decoded(void **state)
{
	static const struct {
		const char *value, *want;
	} cases[] = {
	        {"plain", "plain"},
	        {" a \r\n\tb ", "a b"},
	        {"=?UTF-8?B?5ryi5a2X?=", KANJI},
	        {"=?utf-8?q?=E6=BC=A2_=E5=AD=97?=", "\xe6\xbc\xa2 \xe5\xad\x97"},
	        {"=?iso-2022-jp?B?GyRCNEE7ehsoQg==?=", KANJI},
	        {"=?shift_jis?B?ir+Omg==?=", KANJI},
	        {"=?EUC-JP?Q?=B4=C1=BB=FA?=", KANJI},
	        {"=?UTF-8?B?5ryi?= =?UTF-8?B?5a2X?=", KANJI},
	        {"=?UTF-8?B?5ryi?=\r\n =?UTF-8?B?5a2X?=", KANJI},
	        {"=?UTF-8?B?5ryi?= x =?UTF-8?B?5a2X?=", "\xe6\xbc\xa2 x \xe5\xad\x97"},
	        {"=?UTF-8?B?5rw=?= =?utf-8?B?ouWtlw==?=", KANJI}, /* cut inside of a character */
	        {"=?iso-2022-jp?B?GyRCNEE7?= =?ISO-2022-JP?B?ehsoQg==?=",
	         KANJI}, /* the same, state carried */
	        {"=?iso-2022-jp?B?GyRCNEE7GyhC?= =?iso-2022-jp?B?GyRCehsoQg==?=",
	         KANJI}, /* with escapes */
	        {"=?iso-2022-jp?B?GyRCLSEtahsoQg==?=", "\xe2\x91\xa0\xe3\x88\xb1"},
	        {"Re: =?UTF-8?Q?a?=b", "Re: ab"},
	        {"=?UTF-8?X?a?=", "=?UTF-8?X?a?="},
	        {"=?UTF-8?B?", "=?UTF-8?B?"},
	        {"=?", "=?"},
	        {"=?"
	         "?=",
	         "=?"
	         "?="},
	        {"=?x-unknown?Q?=E6=BC=A2?=", "\xe6\xbc\xa2"},
	        {"=?UTF-8*ja?B?5ryi5a2X?=", KANJI},
	        {"=?UTF-8?Q?a=0D=0ABcc:_x?=", "a  Bcc: x"}, /* nobody forges a line */
	        {"=?UTF-8?Q?=FF?=", BAD},
	        {KANJI, KANJI},
	        {"\x8a\xbf\x8e\x9a", KANJI}, /* raw Shift_JIS */
	        {"\xb4\xc1\xbb\xfa", KANJI}, /* raw EUC-JP */
	        {"\x1b$B4A;z\x1b(B", KANJI}, /* raw ISO-2022-JP */
	        {"Re: \x1b$B4A;z\x1b(B x", "Re: " KANJI " x"},
	        {"", ""},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_bytes(decoded(cases[i].value), bytes_of_text(cases[i].want));
}

static void many_broken_words_end(void **state)
{
	static const char *const pieces[] = {"=?",
	                                     "=?a?b?",
	                                     "=?a?b?x",
	                                     "?=",
	                                     "=?a?x?"
	                                     "?= ",
	                                     "\x1b$B",
	                                     "=?iso-2022-jp?B?GyRC?= "};

	for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
		struct buf value = {0}, out = {0};
		for (int n = 0; n < 20000; n++)
			buf_append_text(&value, pieces[i]);
		words_decode(buf_bytes(&value), &out);
		buf_done(&value);
		buf_done(&out);
	}
}

static void text_comes_back_from_words(void **state)
{
	struct buf text = {0}, words = {0}, back = {0};

	for (int i = 0; i < 200; i++) {
		buf_append_text(&text, i % 7 ? "\xe6\xbc\xa2" : "a b");
		buf_clear(&words);
		buf_clear(&back);
		words_encode(buf_bytes(&text), 9, &words);
		words_decode(buf_bytes(&words), &back);
		assert_bytes(buf_bytes(&back), buf_bytes(&text));
		struct bytes rest = buf_bytes(&words), line;
		for (size_t column = 9; bytes_cut(&rest, '\n', &line); column = 0)
			assert_true(column + bytes_trim(line).len <= 76);
	}
	buf_clear(&words);
	words_encode(BYTES("plain"), 9, &words);
	assert_bytes(buf_bytes(&words), BYTES("plain"));
	buf_clear(&words);
	words_encode(BYTES("a\r\nBcc: x"), 9, &words);
	assert_true(bytes_find_char(buf_bytes(&words), '\n') == BYTES_NONE);
	buf_done(&text);
	buf_done(&words);
	buf_done(&back);
}

static struct bytes parameter(const char *value, const char *name)
{
	struct bytes type, subtype;
	struct mime_param *params;
	struct buf out = {0};

	mime_value_parse(bytes_of_text(value), &arena, &type, &subtype, &params);
	if (!words_param(params, bytes_of_text(name), &out))
		buf_append_text(&out, "(none)");
	return kept(&out);
}

static void parameters_are_put_together(void **state)
{
	assert_bytes(parameter("attachment; filename=a.txt", "filename"), BYTES("a.txt"));
	assert_bytes(parameter("attachment; filename*=UTF-8''%E6%BC%A2%E5%AD%97.txt", "filename"),
	             BYTES(KANJI ".txt"));
	assert_bytes(parameter("attachment; filename*=iso-2022-jp'ja'%1B$B4A%3Bz%1B%28B.txt",
	                       "filename"),
	             BYTES(KANJI ".txt"));
	assert_bytes(
	        parameter("x; filename*1*=%E5%AD%97; filename*0*=UTF-8''%E6%BC%A2; filename*2=.txt",
	                  "filename"),
	        BYTES(KANJI ".txt"));
	assert_bytes(
	        parameter("x; filename*0*=UTF-8''%E6%BC; filename*1*=%A2%E5%AD%97", "filename"),
	        BYTES(KANJI));
	assert_bytes(parameter("x; filename=old; filename*=UTF-8''%E6%BC%A2", "filename"),
	             BYTES("\xe6\xbc\xa2"));
	assert_bytes(parameter("x; filename=\"=?UTF-8?B?5ryi5a2X?=.txt\"", "filename"),
	             BYTES(KANJI ".txt"));
	assert_bytes(parameter("x; filename=\"\x8a\xbf\x8e\x9a.txt\"", "filename"),
	             BYTES(KANJI ".txt"));
	assert_bytes(parameter("x; filename*0=a; filename*1=b", "FILENAME"), BYTES("ab"));
	assert_bytes(parameter("x; filename*1=b", "filename"), BYTES("(none)"));
	assert_bytes(parameter("x; filename*=%41", "filename"), BYTES("A"));
	assert_bytes(parameter("x; name=a b c.txt; y=z", "name"), BYTES("a b c.txt"));
	assert_bytes(parameter("multipart/mixed boundary=x", "boundary"), BYTES("x"));
	assert_bytes(parameter("x; y=z", "filename"), BYTES("(none)"));
}

/* ---- headers ---- */

static void fields_are_found(void **state)
{
	struct bytes header = BYTES("A: 1\r\nno field here\r\nB : 2\r\n\t3\r\nc:\n\r\nD: 4\r\n"),
	             rest = header;
	struct header_field f;

	assert_true(header_next(&rest, &f));
	assert_bytes(f.name, BYTES("A"));
	assert_true(header_next(&rest, &f));
	assert_bytes(f.name, BYTES("B"));
	assert_bytes(f.value, BYTES(" 2\r\n\t3"));
	assert_bytes(f.whole, BYTES("B : 2\r\n\t3\r\n"));
	assert_bytes(header_unfold(f.value, &arena), BYTES("2\t3"));
	assert_true(header_next(&rest, &f));
	assert_bytes(f.value, BYTES(""));
	assert_false(header_next(&rest, &f));
	assert_bytes(rest, BYTES("D: 4\r\n"));
	assert_true(header_find(header, BYTES("b"), &f));
	assert_false(header_find(header, BYTES("D"), &f));
	assert_int_equal(header_len(header), header.len - 6);
	assert_int_equal(header_len(BYTES("A: 1")), 4);
}

/* ---- bodies ---- */

static struct bytes body(enum mime_encoding encoding, const char *text, size_t step)
{
	struct body_decoder d = body_decoder_of(encoding);
	struct bytes in = bytes_of_text(text);
	struct buf out = {0};

	for (; in.len > 0; in = bytes_skip(in, step))
		body_decode(&d, bytes_first(in, step), &out);
	body_decode_end(&d, &out);
	return kept(&out);
}

static void bodies_are_decoded_at_any_split(void **state)
{
	static const struct {
		enum mime_encoding encoding;
		const char *text, *want;
	} cases[] = {
	        {MIME_BASE64, "YWJj", "abc"},
	        {MIME_BASE64, "YWI=", "ab"},
	        {MIME_BASE64, "YQ==", "a"},
	        {MIME_BASE64, "YQ", "a"},
	        {MIME_BASE64, "YW\r\nJj\r\n", "abc"},
	        {MIME_BASE64, "\r\n\r\nYWJj", "abc"},
	        {MIME_BASE64, "YQ==YmM=", "abc"},
	        {MIME_BASE64, "YWJj\r\nY*W-J!j", "abcabc"},
	        {MIME_BASE64, "this is not, base64\r\nYWJj", "this is not, base64\r\nYWJj"},
	        {MIME_BASE64, "", ""},
	        {MIME_QUOTED, "a=3Db", "a=b"},
	        {MIME_QUOTED, "a=\r\nb", "ab"},
	        {MIME_QUOTED, "a=\nb", "ab"},
	        {MIME_QUOTED, "a= \t\r\nb", "ab"},
	        {MIME_QUOTED, "a  \r\nb\t\n", "a\r\nb\n"},
	        {MIME_QUOTED, "a b  c", "a b  c"},
	        {MIME_QUOTED, "a=zzb=4", "a=zzb=4"},
	        {MIME_QUOTED, "=e3=81=82", "\xe3\x81\x82"},
	        {MIME_QUOTED, "a=", "a"},
	        {MIME_QUOTED, "a==41", "a=A"},
	        {MIME_QUOTED, "a =41", "a A"},
	        {MIME_QUOTED, "a \rb", "a \rb"},
	        {MIME_7BIT, "a=3D", "a=3D"},
	        {MIME_OTHER, "a=3D", "a=3D"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		for (size_t step = 1; step < 12; step++)
			assert_bytes(body(cases[i].encoding, cases[i].text, step),
			             bytes_of_text(cases[i].want));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_teardown(words_are_decoded, forget),
	        cmocka_unit_test_teardown(many_broken_words_end, forget),
	        cmocka_unit_test_teardown(text_comes_back_from_words, forget),
	        cmocka_unit_test_teardown(parameters_are_put_together, forget),
	        cmocka_unit_test_teardown(fields_are_found, forget),
	        cmocka_unit_test_teardown(bodies_are_decoded_at_any_split, forget),
	};
	return TEST_MAIN(tests);
}
