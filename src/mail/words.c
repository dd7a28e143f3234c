#include "mail/words.h"

#include "base/encode.h"
#include "base/text.h"
#include "mail/body.h"
#include "mail/charset.h"
#include "mail/lexer.h"

enum { CHARSET_MAX = 64, ENCODED_PAYLOAD = 45, SECTIONS_MAX = 256 };

struct reader {
	struct bytes value;
	struct buf *out;
	struct buf raw;       /* decoded octets of words of one charset, not converted yet */
	struct bytes charset; /* of raw; empty: there are none */
	const char *guessed;  /* charset of undeclared octets in the value; NULL: not asked yet */
	bool no_end;          /* no "?=" ahead */
};

/* Control characters would let an encoded word forge lines. */
static void clean(struct buf *out, size_t from)
{
	for (char *c = out->ptr + out->start + from; c < out->ptr + out->end; c++) {
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			*c = ' ';
	}
}

static void convert(struct bytes charset, struct bytes raw, struct buf *out)
{
	size_t before = buf_len(out);

	if (charset_to_utf8(charset, raw, out) != OK)
		charset_guess_to_utf8(raw, out);
	clean(out, before);
}

static void flush(struct reader *r)
{
	if (r->charset.len > 0)
		convert(r->charset, buf_bytes(&r->raw), r->out);
	r->charset = (struct bytes){0};
	buf_clear(&r->raw);
}

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '\0';
}

static int hex_value(char c)
{
	if (text_is_digit(c))
		return c - '0';
	c = text_lower_char(c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Octets written as a marker and two hexadecimal digits; a marker without them stands for
 * itself. */
static void decode_hex_marked(struct bytes text, char marker, bool underscore, struct buf *out)
{
	for (size_t i = 0; i < text.len; i++) {
		char c = text.ptr[i];
		int high = c == marker && i + 2 < text.len ? hex_value(text.ptr[i + 1]) : -1;
		int low = high >= 0 ? hex_value(text.ptr[i + 2]) : -1;
		if (low >= 0) {
			c = (char)(high * 16 + low);
			i += 2;
		} else if (c == '_' && underscore) {
			c = ' ';
		} else if (c == '\r' || c == '\n') { /* folded inside: not allowed, but done */
			while (i + 1 < text.len && is_space(text.ptr[i + 1]))
				i++;
			continue;
		}
		buf_append_char(out, c);
	}
}

static void decode_base64_text(struct bytes text, struct buf *out)
{
	struct body_decoder d = body_decoder_of(MIME_BASE64);

	body_decode(&d, text, out);
	body_decode_end(&d, out);
}

/* Text after "=?": charset ? encoding ? text ?= (RFC 2047, 2). Returns octets with the "=?", 0:
 * no encoded word. */
static size_t parse_word(struct reader *r, struct bytes b, struct bytes *ret_charset,
                         char *ret_encoding, struct bytes *ret_text)
{
	size_t i = 2;

	if (r->no_end || !bytes_starts(b, BYTES("=?")))
		return 0;
	while (i < b.len && i < CHARSET_MAX && (unsigned char)b.ptr[i] > ' ' && b.ptr[i] != '?' &&
	       b.ptr[i] != '=')
		i++;
	if (i == 2 || i + 3 > b.len || b.ptr[i] != '?' || b.ptr[i + 2] != '?')
		return 0;
	char encoding = text_lower_char(b.ptr[i + 1]);
	if (encoding != 'b' && encoding != 'q')
		return 0;
	struct bytes text = bytes_skip(b, i + 3);
	size_t end = bytes_find(text, BYTES("?="));
	if (end == BYTES_NONE) {
		r->no_end = true;
		return 0;
	}
	*ret_charset = bytes_of(b.ptr + 2, i - 2);
	*ret_charset = bytes_first(*ret_charset,
	                           bytes_find_char(*ret_charset, '*')); /* RFC 2231, 5 */
	*ret_encoding = encoding;
	*ret_text = bytes_first(text, end);
	return i + 3 + end + 2;
}

static void add_word(struct reader *r, struct bytes charset, char encoding, struct bytes text)
{
	if (!bytes_equal_nocase(r->charset, charset))
		flush(r);
	r->charset = charset;
	if (encoding == 'b')
		decode_base64_text(text, &r->raw);
	else
		decode_hex_marked(text, '=', true, &r->raw);
}

/* Text outside of encoded words. */
static void add_plain(struct reader *r, struct bytes text)
{
	flush(r);
	if (text_is_ascii(text) && bytes_find_char(text, 0x1b) == BYTES_NONE) {
		size_t before = buf_len(r->out);
		buf_append(r->out, text);
		clean(r->out, before);
		return;
	}
	if (!r->guessed)
		r->guessed = charset_guess(r->value);
	convert(bytes_of_text(r->guessed), text, r->out);
}

/* White space at the start of b; *ret_fold: with a line end in it. */
static size_t space_len(struct bytes b, bool *ret_fold)
{
	size_t n = 0;

	*ret_fold = false;
	while (n < b.len && is_space(b.ptr[n])) {
		*ret_fold |= b.ptr[n] == '\n' || b.ptr[n] == '\r';
		n++;
	}
	return n;
}

/* Octets up to the next white space or "=?". */
static size_t plain_len(struct bytes b)
{
	size_t n = 0;

	while (n < b.len && !is_space(b.ptr[n])) {
		size_t escape = lexer_escape_len(bytes_skip(b, n));
		if (n > 0 && b.ptr[n] == '=' && n + 1 < b.len && b.ptr[n + 1] == '?')
			break;
		n += escape ? escape : 1;
	}
	return n;
}

void words_decode(struct bytes value, struct buf *out)
{
	struct reader r = {.value = value, .out = out};
	struct bytes rest = bytes_trim(value), space = {0}, charset, text;
	bool after_word = false, fold = false;
	char encoding;

	while (rest.len > 0) {
		space = bytes_first(rest, space_len(rest, &fold));
		rest = bytes_skip(rest, space.len);
		size_t word = parse_word(&r, rest, &charset, &encoding, &text);
		if (space.len > 0 && !(word && after_word))
			add_plain(&r, fold ? BYTES(" ") : space);
		size_t taken = word ? word : plain_len(rest);
		if (word)
			add_word(&r, charset, encoding, text);
		else if (taken > 0)
			add_plain(&r, bytes_first(rest, taken));
		after_word = word > 0;
		rest = bytes_skip(rest, taken);
	}
	flush(&r);
	buf_done(&r.raw);
}

/* ---- encoding ---- */

/* At most `most` octets of whole characters. */
static size_t whole_characters(struct bytes utf8, size_t most)
{
	if (utf8.len <= most)
		return utf8.len;
	size_t n = most;
	while (n > 0 && ((unsigned char)utf8.ptr[n] & 0xc0) == 0x80)
		n--;
	return n ? n : most;
}

void words_encode(struct bytes utf8, size_t column, struct buf *out)
{
	if (text_is_ascii(utf8) && bytes_find(utf8, BYTES("=?")) == BYTES_NONE &&
	    bytes_find_char(utf8, '\n') == BYTES_NONE &&
	    bytes_find_char(utf8, '\r') == BYTES_NONE) {
		buf_append(out, utf8);
		return;
	}
	size_t room = column + 16 < 76 ? (76 - column - 12) / 4 * 3 : ENCODED_PAYLOAD;
	for (bool first = true; utf8.len > 0; first = false) {
		size_t n = whole_characters(utf8, room < ENCODED_PAYLOAD ? room : ENCODED_PAYLOAD);
		if (!first)
			buf_append_text(out, "\r\n ");
		buf_append_text(out, "=?UTF-8?B?");
		encode_base64(out, bytes_first(utf8, n));
		buf_append_text(out, "?=");
		utf8 = bytes_skip(utf8, n);
		room = ENCODED_PAYLOAD;
	}
}

/* ---- parameters ---- */

struct section {
	struct bytes value;
	bool extended;
};

/* "name*", "name*2", "name*2*": which section of `name` this parameter is; -1: none. The lone
 * "name*" is section 0. */
static int section_number(struct bytes param, struct bytes name, bool *ret_extended)
{
	uint64_t n = 0;

	if (!bytes_starts_nocase(param, name) || param.len <= name.len ||
	    param.ptr[name.len] != '*')
		return -1;
	param = bytes_skip(param, name.len + 1);
	*ret_extended = param.len == 0 || param.ptr[param.len - 1] == '*';
	if (param.len == 0)
		return 0;
	if (*ret_extended)
		param.len--;
	if (bytes_to_u64(param, SECTIONS_MAX - 1, &n) != OK)
		return -1;
	return (int)n;
}

static size_t collect(const struct mime_param *params, struct bytes name,
                      struct section sections[SECTIONS_MAX])
{
	bool have[SECTIONS_MAX] = {false}, extended;
	size_t count = 0;

	for (; params; params = params->next) {
		int n = section_number(params->name, name, &extended);
		if (n < 0 || have[n])
			continue;
		have[n] = true;
		sections[n] = (struct section){params->value, extended};
	}
	while (count < SECTIONS_MAX && have[count])
		count++;
	return count;
}

/* charset'language'text */
static struct bytes take_charset(struct bytes *value)
{
	size_t first = bytes_find_char(*value, '\'');
	if (first == BYTES_NONE)
		return (struct bytes){0};
	struct bytes charset = bytes_first(*value, first), rest = bytes_skip(*value, first + 1);
	size_t second = bytes_find_char(rest, '\'');
	if (second == BYTES_NONE)
		return (struct bytes){0};
	*value = bytes_skip(rest, second + 1);
	return charset;
}

static void put_sections(struct section *sections, size_t count, struct buf *out)
{
	struct bytes charset = {0};
	struct buf raw = {0};
	bool extended = false;

	if (sections[0].extended)
		charset = take_charset(&sections[0].value);
	for (size_t i = 0; i < count; i++) {
		extended |= sections[i].extended;
		if (sections[i].extended)
			decode_hex_marked(sections[i].value, '%', false, &raw);
		else
			buf_append(&raw, sections[i].value);
	}
	if (extended)
		convert(charset, buf_bytes(&raw), out);
	else
		words_decode(buf_bytes(&raw), out);
	buf_done(&raw);
}

bool words_param(const struct mime_param *params, struct bytes name, struct buf *out)
{
	struct section sections[SECTIONS_MAX];
	size_t count = collect(params, name, sections);

	if (count > 0) {
		put_sections(sections, count, out);
		return true;
	}
	for (; params; params = params->next) {
		if (bytes_equal_nocase(params->name, name)) {
			words_decode(params->value, out);
			return true;
		}
	}
	return false;
}
