#include "mail/charset.h"

#include <unicode/uclean.h>
#include <unicode/ucnv.h>
#include <unicode/unorm2.h>
#include <unicode/ustring.h>

#include "base/memory.h"
#include "base/text.h"
#include "mail/charset_japanese.h"

enum { LABEL_MAX = 60 };

/* Labels whose converter in ICU is another than mail means, or that ICU does not know. Compared
 * without case, and with "_" as "-". NULL: one of the kinds below that are ours. */
static const struct {
	const char *label;
	const char *converter;
} aliases[] = {
        {"us-ascii", "windows-1252"},
        {"ascii", "windows-1252"},
        {"ansi-x3.4-1968", "windows-1252"},
        {"iso-8859-1", "windows-1252"},
        {"iso8859-1", "windows-1252"},
        {"latin1", "windows-1252"},
        {"x-ansi", "windows-1252"},
        {"iso-8859-9", "windows-1254"},
        {"iso-8859-8-i", "iso-8859-8"},
        {"iso-8859-8-e", "iso-8859-8"},
        {"iso-8859-6-i", "iso-8859-6"},
        {"shift-jis", "windows-31j"},
        {"shiftjis", "windows-31j"},
        {"sjis", "windows-31j"},
        {"x-sjis", "windows-31j"},
        {"x-sjis-cp932", "windows-31j"},
        {"x-ms-cp932", "windows-31j"},
        {"cp932", "windows-31j"},
        {"windows-932", "windows-31j"},
        {"ms932", "windows-31j"},
        {"ms-kanji", "windows-31j"},
        {"csshiftjis", "windows-31j"},
        {"cswindows31j", "windows-31j"},
        {"sjis-win", "windows-31j"},
        {"euc-jp-ms", "euc-jp-2007"},
        {"eucjp-ms", "euc-jp-2007"},
        {"eucjp-win", "euc-jp-2007"},
        {"eucjp", "euc-jp-2007"},
        {"euc-jp", "euc-jp-2007"},
        {"x-euc-jp", "euc-jp-2007"},
        {"x-eucjp", "euc-jp-2007"},
        {"x-euc", "euc-jp-2007"},
        {"ujis", "euc-jp-2007"},
        {"cp51932", "euc-jp-2007"},
        {"cseucpkdfmtjapanese", "euc-jp-2007"},
        {"gb2312", "gb18030"},
        {"gb-2312-80", "gb18030"},
        {"gbk", "gb18030"},
        {"x-gbk", "gb18030"},
        {"cp936", "gb18030"},
        {"ks-c-5601-1987", "windows-949"},
        {"ksc5601", "windows-949"},
        {"euc-kr", "windows-949"},
        {"x-big5", "big5"},
        {"big5-hkscs", "big5-hkscs"},
        {"unicode-1-1-utf-7", "utf-7"},
        {"unicode", "utf-16"},
        {"cp-850", "cp850"},
        {"x-mac-roman", "macintosh"},
};

static const char *const utf8_labels[] = {
        "utf-8", "utf8", "unicode-1-1-utf-8", "x-utf-8", "csutf8", "utf-8-mac", "cp65001"};

static const char *const iso_2022_jp_labels[] = {
        "iso-2022-jp",
        "iso-2022-jp-1",
        "iso-2022-jp-2",
        "iso-2022-jp-3",
        "iso-2022-jp-2004",
        "iso-2022-jp-ms",
        "iso2022jp",
        "csiso2022jp",
        "csiso2022jp2",
        "x-iso-2022-jp",
        "cp50220",
        "cp50221",
        "cp50222",
        "windows-50220",
        "windows-50221",
        "jis",
        "jis7",
        "jis8",
        "iso-2022-jp-win",
};

/* The label in lower case, "_" as "-", without quotes and a language (RFC 2231, 5). False: no
 * label at all. */
static bool clean_label(struct bytes label, char out[LABEL_MAX + 1])
{
	size_t len = 0;

	label = bytes_trim(label);
	label = bytes_first(label, bytes_find_char(label, '*'));
	for (size_t i = 0; i < label.len; i++) {
		char c = text_lower_char(label.ptr[i]);
		if (c == '"' || c == '\'' || c == ' ')
			continue;
		if (!text_is_alnum(c) && !strchr("-_.:+()", c))
			return false;
		if (c == '\0' || len == LABEL_MAX)
			return false;
		out[len++] = c == '_' ? '-' : c;
	}
	out[len] = '\0';
	return len > 0;
}

static bool is_one_of(const char *label, const char *const *list, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (strcmp(label, list[i]) == 0)
			return true;
	}
	return false;
}

#define IS_ONE_OF(label, list) is_one_of(label, list, sizeof(list) / sizeof((list)[0]))

static UConverter *open_converter(const char *label)
{
	const char *name = label;
	UErrorCode error = U_ZERO_ERROR;

	for (size_t i = 0; i < sizeof(aliases) / sizeof(aliases[0]); i++) {
		if (strcmp(label, aliases[i].label) == 0)
			name = aliases[i].converter;
	}
	UConverter *converter = ucnv_open(name, &error);
	return U_FAILURE(error) ? NULL : converter;
}

/* UTF-16 as UTF-8. A lone surrogate becomes U+FFFD. */
static void put_utf16(const UChar *text, size_t len, struct buf *out)
{
	char *room = buf_room(out, len * 3);
	size_t at = 0;

	for (size_t i = 0; i < len; i++) {
		uint32_t code = text[i];
		if (code < 0x80) {
			room[at++] = (char)code;
			continue;
		}
		if (U16_IS_LEAD(code) && i + 1 < len && U16_IS_TRAIL(text[i + 1]))
			code = U16_GET_SUPPLEMENTARY(code, text[++i]);
		else if (U16_IS_SURROGATE(code))
			code = 0xfffd;
		at += (size_t)text_utf8_put(room + at, code);
	}
	buf_added(out, at);
}

/* Runs the converter over all of `in`; every turn either takes input or gives output. */
static void convert(UConverter *converter, struct bytes in, struct buf *out)
{
	const char *at = in.ptr, *end = in.ptr + in.len;
	UChar piece[1024];
	UErrorCode error;

	do {
		UChar *to = piece;
		const char *before = at;
		error = U_ZERO_ERROR;
		ucnv_toUnicode(converter, &to, piece + 1024, &at, end, NULL, true, &error);
		put_utf16(piece, (size_t)(to - piece), out);
		if (error != U_BUFFER_OVERFLOW_ERROR && U_FAILURE(error))
			break; /* callbacks substitute, so that this is out of memory or the like */
		if (at == before && to == piece)
			break;
	} while (error == U_BUFFER_OVERFLOW_ERROR);
}

struct UConverter *charset_converter_open(const char *name)
{
	return open_converter(name);
}

void charset_converter_run(struct UConverter *converter, struct bytes in, struct buf *out)
{
	if (converter)
		convert(converter, in, out);
}

void charset_converter_close(struct UConverter *converter)
{
	if (converter)
		ucnv_close(converter);
}

/* Well-formed UTF-8 as it is, U+FFFD for each octet that is not; a byte order mark is dropped. */
static void put_utf8(struct bytes in, struct buf *out)
{
	uint32_t code;

	if (bytes_starts(in, BYTES("\xef\xbb\xbf")))
		in = bytes_skip(in, 3);
	if (text_is_utf8(in)) {
		buf_append(out, in);
		return;
	}
	while (in.len > 0) {
		int len = text_utf8_next(in, &code);
		buf_append(out, len > 0 ? bytes_first(in, (size_t)len) : BYTES("\xef\xbf\xbd"));
		in = bytes_skip(in, len > 0 ? (size_t)len : 1);
	}
}

enum result charset_to_utf8(struct bytes label, struct bytes in, struct buf *out)
{
	char name[LABEL_MAX + 1];

	if (!clean_label(label, name))
		return NOT_FOUND;
	if (IS_ONE_OF(name, iso_2022_jp_labels)) {
		charset_iso_2022_jp(in, out);
		return OK;
	}
	bool ascii = strcmp(name, "us-ascii") == 0 || strcmp(name, "ascii") == 0;
	if (IS_ONE_OF(name, utf8_labels)) {
		put_utf8(in, out);
		return OK;
	}
	if (ascii) {
		charset_guess_to_utf8(in, out);
		return OK;
	}
	UConverter *converter = open_converter(name);
	if (!converter)
		return NOT_FOUND;
	convert(converter, in, out);
	ucnv_close(converter);
	return OK;
}

bool charset_known(struct bytes label)
{
	char name[LABEL_MAX + 1];

	if (!clean_label(label, name))
		return false;
	if (IS_ONE_OF(name, iso_2022_jp_labels) || IS_ONE_OF(name, utf8_labels))
		return true;
	UConverter *converter = open_converter(name);
	if (converter)
		ucnv_close(converter);
	return converter != NULL;
}

void charset_guess_to_utf8(struct bytes in, struct buf *out)
{
	const char *label = charset_guess(in);

	if (charset_to_utf8(bytes_of_text(label), in, out) != OK)
		put_utf8(in, out);
}

enum result charset_warm(struct why *why)
{
	static const char *const used[] = {
	        "windows-31j", "euc-jp-2007",  "windows-1252",  "gb18030", "windows-949", "big5",
	        "iso-8859-2",  "windows-1251", "iso-2022-jp-2", "koi8-r",  "utf-16",      "utf-7"};
	UErrorCode error = U_ZERO_ERROR;
	struct buf scratch = {0};

	u_init(&error);
	for (size_t i = 0; i < sizeof(used) / sizeof(used[0]); i++) {
		UConverter *converter = open_converter(used[i]);
		if (!converter)
			return why_set(why, FAILED,
			               "ICU has no converter %s: is its data installed?", used[i]);
		ucnv_close(converter);
	}
	charset_fold(BYTES("\xe3\x83\xa1"), &scratch);
	enum result r = charset_nfc(BYTES("\xe3\x83\xa1"), &scratch);
	if (r == OK)
		r = charset_domain_to_ascii(BYTES("\xe3\x83\xa1.jp"), &scratch);
	buf_done(&scratch);
	return r == OK ? OK : why_set(why, FAILED, "ICU cannot normalise: is its data installed?");
}

/* ---- folding ---- */

static UChar *to_utf16(struct bytes utf8, int32_t *ret_len)
{
	UErrorCode error = U_ZERO_ERROR;
	UChar *text = memory_get((utf8.len + 1) * sizeof(UChar));

	u_strFromUTF8WithSub(text, (int32_t)utf8.len + 1, ret_len, utf8.ptr, (int32_t)utf8.len,
	                     0xfffd, NULL, &error);
	if (U_FAILURE(error))
		*ret_len = 0;
	return text;
}

static void normalize(const UNormalizer2 *n, struct bytes utf8, bool same_dashes, struct buf *out)
{
	UErrorCode error = U_ZERO_ERROR;
	int32_t len;
	UChar *text = to_utf16(utf8, &len);

	for (int32_t i = 0; same_dashes && i < len; i++)
		text[i] = (UChar)charset_same_dash(text[i]);
	int32_t room = len + len / 4 + 32;
	UChar *made = memory_get((size_t)room * sizeof(UChar));
	int32_t made_len = unorm2_normalize(n, text, len, made, room, &error);
	if (error == U_BUFFER_OVERFLOW_ERROR) {
		error = U_ZERO_ERROR;
		room = made_len;
		made = memory_resize(made, (size_t)room * sizeof(UChar));
		made_len = unorm2_normalize(n, text, len, made, room, &error);
	}
	if (U_SUCCESS(error))
		put_utf16(made, (size_t)made_len, out);
	memory_free(made);
	memory_free(text);
}

/* Pieces bound the memory; they are cut before an ASCII octet, which nothing composes with
 * backwards. */
enum { FOLD_PIECE = 64 * 1024 };

static size_t piece_len(struct bytes b)
{
	if (b.len <= FOLD_PIECE)
		return b.len;
	for (size_t i = FOLD_PIECE; i > FOLD_PIECE / 2; i--) {
		if ((unsigned char)b.ptr[i] < 0x80)
			return i;
	}
	size_t i = FOLD_PIECE;
	while (i > FOLD_PIECE - 4 && ((unsigned char)b.ptr[i] & 0xc0) == 0x80)
		i--;
	return i;
}

void charset_fold(struct bytes utf8, struct buf *out)
{
	UErrorCode error = U_ZERO_ERROR;

	if (text_is_ascii(utf8)) {
		char *room = buf_room(out, utf8.len);
		if (utf8.len > 0)
			memcpy(room, utf8.ptr, utf8.len);
		text_lower(room, utf8.len);
		buf_added(out, utf8.len);
		return;
	}
	const UNormalizer2 *n = unorm2_getNFKCCasefoldInstance(&error);
	while (U_SUCCESS(error) && utf8.len > 0) {
		size_t len = piece_len(utf8);
		normalize(n, bytes_first(utf8, len), true, out);
		utf8 = bytes_skip(utf8, len);
	}
}

enum result charset_nfc(struct bytes utf8, struct buf *out)
{
	UErrorCode error = U_ZERO_ERROR;

	if (!text_is_utf8(utf8) || utf8.len > INT32_MAX / 8)
		return INVALID;
	if (text_is_ascii(utf8)) {
		buf_append(out, utf8);
		return OK;
	}
	const UNormalizer2 *n = unorm2_getNFCInstance(&error);
	if (U_FAILURE(error))
		return INVALID;
	normalize(n, utf8, false, out);
	return OK;
}
