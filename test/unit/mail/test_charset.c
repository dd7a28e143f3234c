#include "../test.h"

#include <stdlib.h>

#include "base/text.h"
#include "data.h"
#include "mail/body.h"
#include "mail/charset.h"
#include "mail/mime.h"
#include "mail/words.h"

static struct arena arena;

static int forget(void **state)
{
	arena_done(&arena);
	return 0;
}

static struct bytes utf8_of(const char *label, struct bytes in)
{
	struct buf out = {0};

	assert_int_equal(charset_to_utf8(bytes_of_text(label), in, &out), OK);
	struct bytes copy = arena_copy(&arena, buf_bytes(&out));
	buf_done(&out);
	return copy;
}

static void warm_works(void **state)
{
	struct why why;
	assert_int_equal(charset_warm(&why), OK);
}

/* ---- every character of the tables ---- */

typedef size_t write_function(unsigned pointer, char *out); /* 0: it has no place there */

static size_t write_shift_jis(unsigned pointer, char *out)
{
	unsigned lead = pointer / 188, trail = pointer % 188;
	out[0] = (char)(lead + (lead < 0x1f ? 0x81 : 0xc1));
	out[1] = (char)(trail + (trail < 0x3f ? 0x40 : 0x41));
	return 2;
}

static size_t write_euc(unsigned pointer, char *out)
{
	out[0] = (char)(pointer / 94 + 0xa1);
	out[1] = (char)(pointer % 94 + 0xa1);
	return pointer / 94 < 94 ? 2 : 0;
}

static size_t write_euc_0212(unsigned pointer, char *out)
{
	out[0] = (char)0x8f;
	return write_euc(pointer, out + 1) ? 3 : 0;
}

static size_t write_iso_2022_jp(unsigned pointer, char *out)
{
	memcpy(out, "\x1b$B", 3);
	out[3] = (char)(pointer / 94 + 0x21);
	out[4] = (char)(pointer % 94 + 0x21);
	memcpy(out + 5, "\x1b(B", 3);
	return pointer / 94 < 94 ? 8 : 0;
}

static size_t write_iso_2022_jp_0212(unsigned pointer, char *out)
{
	size_t len = write_iso_2022_jp(pointer, out + 1);
	memcpy(out, "\x1b$(D", 4);
	return len ? len + 1 : 0;
}

static size_t write_kana(unsigned pointer, char *out)
{
	memcpy(out, "\x1b(I", 3);
	out[3] = (char)(pointer + 0x21);
	return 4;
}

static size_t write_kana_8_bit(unsigned pointer, char *out)
{
	out[0] = (char)(pointer + 0xa1);
	return 1;
}

static size_t write_kana_shifted(unsigned pointer, char *out)
{
	out[0] = 0x0e;
	out[1] = (char)(pointer + 0x21);
	out[2] = 0x0f;
	return 3;
}

static size_t write_kana_euc(unsigned pointer, char *out)
{
	out[0] = (char)0x8e;
	out[1] = (char)(pointer + 0xa1);
	return 2;
}

/* Half-width kana are letters of their own here; the table maps them to full width for encoders
 * of ISO-2022-JP. */
static uint32_t half_width(unsigned pointer)
{
	return 0xff61 + pointer;
}

static unsigned check_table(const char *table, const char *label, write_function *write, bool kana)
{
	char *path = arena_text(&arena, arena_printf(&arena, "charsets-ja/whatwg/%s.txt", table));
	struct bytes text = data_read(path, &arena), line;
	unsigned count = 0;

	while (bytes_cut(&text, '\n', &line)) {
		char in[16], want[4];
		unsigned pointer, code;
		if (sscanf(arena_text(&arena, line), " %u 0x%x", &pointer, &code) != 2)
			continue;
		size_t len = write(pointer, in);
		if (len == 0)
			continue;
		struct bytes got = utf8_of(label, bytes_of(in, len));
		assert_bytes(got, bytes_of(want, (size_t)text_utf8_put(
		                                         want, kana ? half_width(pointer) : code)));
		count++;
	}
	return count;
}

static void every_character_of_jis_x_0208(void **state)
{
	assert_int_equal(check_table("index-jis0208", "Shift_JIS", write_shift_jis, false), 7724);
	arena_reset(&arena);
	assert_int_equal(check_table("index-jis0208", "EUC-JP", write_euc, false), 7336);
	arena_reset(&arena);
	assert_int_equal(check_table("index-jis0208", "ISO-2022-JP", write_iso_2022_jp, false),
	                 7336);
}

static void every_character_of_jis_x_0212(void **state)
{
	assert_int_equal(check_table("index-jis0212", "EUC-JP", write_euc_0212, false), 6067);
	arena_reset(&arena);
	assert_int_equal(
	        check_table("index-jis0212", "iso-2022-jp-1", write_iso_2022_jp_0212, false), 6067);
}

static void every_half_width_kana(void **state)
{
	static const struct {
		const char *label;
		write_function *write;
	} ways[] = {
	        {"iso-2022-jp", write_kana},
	        {"cp50221", write_kana_8_bit},
	        {"ISO-2022-JP-MS", write_kana_shifted},
	        {"shift_jis", write_kana_8_bit},
	        {"euc-jp", write_kana_euc},
	};

	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++)
		assert_int_equal(check_table("index-iso-2022-jp-katakana", ways[i].label,
		                             ways[i].write, true),
		                 63);
}

static void running_text(void **state)
{
	static const struct {
		const char *name, *label;
	} texts[] = {
	        {"euc_jp", "euc-jp"}, {"iso2022_jp", "iso-2022-jp"}, {"shift_jis", "shift_jis"}};

	for (size_t i = 0; i < 3; i++) {
		struct bytes in = data_read(
		        arena_text(&arena, arena_printf(&arena, "charsets-ja/python/%s.txt",
		                                        texts[i].name)),
		        &arena);
		struct bytes want = data_read(
		        arena_text(&arena, arena_printf(&arena, "charsets-ja/python/%s-utf8.txt",
		                                        texts[i].name)),
		        &arena);
		assert_bytes(utf8_of(texts[i].label, in), want);
		assert_string_equal(charset_guess(in), texts[i].label);
	}
}

/* ---- the traps ---- */

#define HIRAGANA_A "\xe3\x81\x82"
#define KANJI "\xe6\xbc\xa2\xe5\xad\x97" /* 漢字 */
#define BAD "\xef\xbf\xbd"

static void iso_2022_jp_as_it_is_sent(void **state)
{
	static const struct {
		const char *in, *want;
	} cases[] = {
	        {"\x1b$B4A;z\x1b(B", KANJI},
	        {"\x1b$@4A;z\x1b(J", KANJI},
	        {"\x1b$(B4A;z\x1b(B", KANJI},
	        {"\x1b&@\x1b$B4A;z\x1b(B", KANJI},
	        {"a\x1b$B4A;z", "a" KANJI},                       /* no ESC ( B */
	        {"\x1b$B4A;z\r\nabc", KANJI "\r\nabc"},           /* nor at the line end */
	        {"\x1b$B4A;\x1b(B\x1b$Bz\x1b(B", KANJI},          /* cut inside of a character */
	        {"\x1b$B4A;\x1b(Bx", "\xe6\xbc\xa2" BAD "x"},     /* really cut */
	        {"\x1b$B-!-j\x1b(B", "\xe2\x91\xa0\xe3\x88\xb1"}, /* NEC row 13: ① ㈱ */
	        {"\x1b$B|b\x1b(B", "\xe9\xab\x99"},               /* IBM: 髙 */
	        {"\x1b(IR0Y\x1b(B", "\xef\xbe\x92\xef\xbd\xb0\xef\xbe\x99"},
	        {"\x0eR0Y\x0f", "\xef\xbe\x92\xef\xbd\xb0\xef\xbe\x99"},
	        {"\xd2\xb0\xd9", "\xef\xbe\x92\xef\xbd\xb0\xef\xbe\x99"},
	        {"\x1b(J\\~\x1b(B\\~", "\xc2\xa5\xe2\x80\xbe\\~"},
	        {"\x1b$B!A!B!]\x1b(B",
	         "\xef\xbd\x9e\xe2\x88\xa5\xef\xbc\x8d"},         /* wave dash and its family */
	        {"\x1b$A::WV\x1b(B", "\xe6\xb1\x89\xe5\xad\x97"}, /* GB 2312 in ISO-2022-JP-2 */
	        {"\x1b$B4A", "\xe6\xbc\xa2"},
	        {"\x1b", BAD},
	        {"\x1b$B4", BAD},
	        {"\x1b$", BAD "$"},
	        {"\xe6\xbc\xa2", "\xe6\xbc\xa2"}, /* UTF-8 by a false label */
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_bytes(utf8_of("iso-2022-jp", bytes_of_text(cases[i].in)),
		             bytes_of_text(cases[i].want));
}

static void labels_are_what_mail_means(void **state)
{
	static const char *const sjis[] = {"Shift_JIS", "SHIFT-JIS", "x-sjis", "Windows-31J",
	                                   "cp932",     "MS_Kanji",  "sjis"};
	static const char *const euc[] = {"EUC-JP", "x-euc-jp", "eucjp-ms", "ujis", "CP51932"};
	static const char *const jis[] = {"ISO-2022-JP", "iso-2022-jp-2", "csISO2022JP",
	                                  "cp50220",     "CP50222",       "\"iso-2022-jp\""};

	for (size_t i = 0; i < 7; i++)
		assert_bytes(utf8_of(sjis[i], BYTES("\x87\x40")), BYTES("\xe2\x91\xa0"));
	for (size_t i = 0; i < 5; i++)
		assert_bytes(utf8_of(euc[i], BYTES("\xad\xa1")), BYTES("\xe2\x91\xa0"));
	for (size_t i = 0; i < 6; i++)
		assert_bytes(utf8_of(jis[i], BYTES("\x1b$B-!\x1b(B")), BYTES("\xe2\x91\xa0"));
	assert_bytes(utf8_of("ISO-8859-1", BYTES("\x80\xe9")), BYTES("\xe2\x82\xac\xc3\xa9"));
	assert_bytes(utf8_of("us-ascii", BYTES("caf\xc3\xa9")), BYTES("caf\xc3\xa9"));
	assert_bytes(utf8_of("utf-8", BYTES("\xef\xbb\xbf"
	                                    "a\xff")),
	             BYTES("a" BAD));
	assert_bytes(utf8_of("utf-7", BYTES("+byJbVw-")), BYTES(KANJI));
	assert_bytes(utf8_of("gb2312", BYTES("\xba\xba")), BYTES("\xe6\xb1\x89"));
	assert_bytes(utf8_of("KS_C_5601-1987", BYTES("\xb0\xa1")), BYTES("\xea\xb0\x80"));
}

static void unknown_labels_are_not_found(void **state)
{
	struct buf out = {0};

	assert_int_equal(charset_to_utf8(BYTES("x-nonsense"), BYTES("a"), &out), NOT_FOUND);
	assert_int_equal(charset_to_utf8(BYTES(""), BYTES("a"), &out), NOT_FOUND);
	assert_int_equal(charset_to_utf8(BYTES("iso-2022,locale=ja,version=4"), BYTES("a"), &out),
	                 NOT_FOUND);
	assert_int_equal(charset_to_utf8(BYTES("a\0b"), BYTES("a"), &out), NOT_FOUND);
	assert_false(charset_known(BYTES("x-nonsense")));
	assert_true(charset_known(BYTES("Shift_JIS")));
	assert_int_equal(buf_len(&out), 0);
	buf_done(&out);
}

static void undeclared_text_is_guessed(void **state)
{
	assert_string_equal(charset_guess(BYTES("plain")), "utf-8");
	assert_string_equal(charset_guess(BYTES("\xe6\xbc\xa2")), "utf-8");
	assert_string_equal(charset_guess(BYTES("\x1b$B4A;z\x1b(B")), "iso-2022-jp");
	assert_string_equal(charset_guess(BYTES("\x8a\xbf\x8e\x9a")), "shift_jis");
	assert_string_equal(charset_guess(BYTES("\xb4\xc1\xbb\xfa")), "euc-jp");
	assert_string_equal(charset_guess(BYTES("\x82\xa0\x82\xe8\x82\xaa\x82\xc6\x82\xa4")),
	                    "shift_jis");
	assert_string_equal(charset_guess(BYTES("\xa4\xa2\xa4\xea\xa4\xac\xa4\xc8\xa4\xa6")),
	                    "euc-jp");
	assert_string_equal(charset_guess(BYTES("Andr\xe9 Pirard")), "windows-1252");
	assert_string_equal(charset_guess(BYTES("J\xe4rnefors")), "windows-1252");
}

static void garbage_ends(void **state)
{
	static const char *const labels[] = {"iso-2022-jp", "shift_jis",  "euc-jp",  "utf-8",
	                                     "utf-7",       "utf-16",     "gb18030", "big5",
	                                     "iso-2022-kr", "hz-gb-2312", "us-ascii"};
	unsigned seed = 1;

	for (size_t l = 0; l < sizeof(labels) / sizeof(labels[0]); l++) {
		for (int round = 0; round < 200; round++) {
			char in[97];
			struct buf out = {0};
			for (size_t i = 0; i < sizeof(in); i++) {
				seed = seed * 1103515245 + 12345;
				in[i] = (char)(seed >> 16);
				if (i % 3 == 0 && l == 0)
					in[i] = "\x1b$B(IDJ\x0e\x0f"[(seed >> 8) % 9];
			}
			assert_int_equal(charset_to_utf8(bytes_of_text(labels[l]),
			                                 bytes_of(in, sizeof(in)), &out),
			                 OK);
			assert_true(text_is_utf8(buf_bytes(&out)));
			assert_true(buf_len(&out) <= 3 * sizeof(in) + 3);
			buf_done(&out);
		}
	}
}

/* ---- folding, normalising, domains ---- */

static struct bytes folded(const char *text)
{
	struct buf out = {0};

	charset_fold(bytes_of_text(text), &out);
	struct bytes copy = arena_copy(&arena, buf_bytes(&out));
	buf_done(&out);
	return copy;
}

static void what_looks_alike_folds_alike(void **state)
{
	assert_bytes(folded("ABC"), BYTES("abc"));
	assert_bytes(folded("\xef\xbc\xa1\xef\xbc\xa2"), BYTES("ab")); /* full width */
	assert_bytes(folded("\xef\xbe\x92\xef\xbd\xb0\xef\xbe\x99"),
	             folded("\xe3\x83\xa1\xe3\x83\xbc\xe3\x83\xab")); /* ﾒｰﾙ */
	assert_bytes(folded("\xe3\x80\x9c"), folded("\xef\xbd\x9e")); /* wave dash */
	assert_bytes(folded("\xe2\x88\x92"), folded("\xef\xbc\x8d")); /* minus */
	assert_bytes(folded("\xe2\x80\x96"), folded("\xe2\x88\xa5"));
	assert_bytes(folded("Stra\xc3\x9f"
	                    "e"),
	             BYTES("strasse"));
	assert_bytes(folded("a\xff"), BYTES("a" BAD));
	struct buf many = {0}, out = {0};
	for (int i = 0; i < 50000; i++)
		buf_append_text(&many, KANJI);
	charset_fold(buf_bytes(&many), &out);
	assert_bytes(buf_bytes(&out), buf_bytes(&many));
	buf_done(&many);
	buf_done(&out);
}

static void names_are_composed(void **state)
{
	struct buf out = {0};

	assert_int_equal(charset_nfc(BYTES("\xe3\x81\x8b\xe3\x82\x99"), &out),
	                 OK); /* か and a combining mark: が */
	assert_bytes(buf_bytes(&out), BYTES("\xe3\x81\x8c"));
	assert_int_equal(charset_nfc(BYTES("\xff"), &out), INVALID);
	buf_done(&out);
}

static void domains_have_two_forms(void **state)
{
	static const struct {
		const char *in, *ascii;
		enum result result;
	} cases[] = {
	        {"Example.TEST", "example.test", OK},
	        {"\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e.jp", "xn--wgv71a119e.jp", OK},
	        {"\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e\xe3\x80\x82jp", "xn--wgv71a119e.jp",
	         OK}, /* ideographic full stop */
	        {"xn--wgv71a119e.jp", "xn--wgv71a119e.jp", OK},
	        {"a..b", "", INVALID},
	        {"", "", INVALID},
	        {"-a.b", "", INVALID},
	        {"a b.c", "", INVALID},
	        {"a.b.", "", INVALID},
	        {"xn--zzzzzzzz99999.jp", "", INVALID},
	        {"\xff", "", INVALID},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct buf out = {0};
		assert_int_equal(charset_domain_to_ascii(bytes_of_text(cases[i].in), &out),
		                 cases[i].result);
		assert_bytes(buf_bytes(&out), bytes_of_text(cases[i].ascii));
		buf_done(&out);
	}
	struct buf out = {0};
	assert_int_equal(charset_domain_to_unicode(BYTES("XN--WGV71A119E.jp"), &out), OK);
	assert_bytes(buf_bytes(&out), BYTES("\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e.jp"));
	buf_done(&out);
}

/* ---- whole mails ---- */

static struct bytes decoded_body(struct bytes mail, const struct mime_part *part)
{
	struct body_decoder d = body_decoder_of(part->encoding);
	struct buf octets = {0}, out = {0};

	body_decode(
	        &d,
	        bytes_first(bytes_skip(mail, part->body_start), part->body_end - part->body_start),
	        &octets);
	body_decode_end(&d, &octets);
	assert_int_equal(charset_to_utf8(mime_param_find(part->params, BYTES("charset")),
	                                 buf_bytes(&octets), &out),
	                 OK);
	struct bytes copy = arena_copy(&arena, buf_bytes(&out));
	buf_done(&octets);
	buf_done(&out);
	return copy;
}

static void whole_mails_read_right(void **state)
{
	static const struct {
		const char *file, *subject, *name, *body;
	} mails[] = {
	        {"japanese", "まみむめも", NULL, "かきくえこ\n"},
	        {"japanese_attachment", "testing", "てすと.txt", NULL},
	        {"japanese_attachment_long_name",
	         "まみむめもまみむめもまみむめもまみむめもまみむめもまみむめもまみむめもまみむめも"
	         "まみむめもまみむめも",
	         "かきくけこかきくけこかきくけこかきくけこかきくけこ.txt", NULL},
	        {"japanese_iso_2022", "まみむめも", NULL, "すみません。"},
	        {"japanese_shift_jis", "test", NULL, NULL},
	};

	for (size_t i = 0; i < sizeof(mails) / sizeof(mails[0]); i++) {
		char *path = arena_text(
		        &arena, arena_printf(&arena, "charsets-ja/eml/%s.eml", mails[i].file));
		struct bytes mail = data_read(path, &arena);
		const struct mime_part *root = mime_parse(mail, &arena, NULL);
		struct buf subject = {0}, name = {0};
		words_decode(root->envelope->subject, &subject);
		assert_bytes(buf_bytes(&subject), bytes_of_text(mails[i].subject));
		for (const struct mime_part *p = root->child; p && name.end == 0; p = p->next)
			words_param(p->disposition_params, BYTES("filename"), &name);
		assert_bytes(buf_bytes(&name), bytes_of_text(mails[i].name));
		if (mails[i].body)
			assert_true(bytes_starts(decoded_body(mail, root),
			                         bytes_of_text(mails[i].body)));
		buf_done(&subject);
		buf_done(&name);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_teardown(warm_works, forget),
	        cmocka_unit_test_teardown(every_character_of_jis_x_0208, forget),
	        cmocka_unit_test_teardown(every_character_of_jis_x_0212, forget),
	        cmocka_unit_test_teardown(every_half_width_kana, forget),
	        cmocka_unit_test_teardown(running_text, forget),
	        cmocka_unit_test_teardown(iso_2022_jp_as_it_is_sent, forget),
	        cmocka_unit_test_teardown(labels_are_what_mail_means, forget),
	        cmocka_unit_test_teardown(unknown_labels_are_not_found, forget),
	        cmocka_unit_test_teardown(undeclared_text_is_guessed, forget),
	        cmocka_unit_test_teardown(garbage_ends, forget),
	        cmocka_unit_test_teardown(what_looks_alike_folds_alike, forget),
	        cmocka_unit_test_teardown(names_are_composed, forget),
	        cmocka_unit_test_teardown(domains_have_two_forms, forget),
	        cmocka_unit_test_teardown(whole_mails_read_right, forget),
	};
	return TEST_MAIN(tests);
}
