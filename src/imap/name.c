#include "imap/name.h"

#include "base/limits.h"
#include "base/text.h"
#include "mail/charset.h"

/* The base64 of modified UTF-7: "," instead of "/", no padding. */
static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";

static int digit_value(char c)
{
	const char *at = c ? strchr(digits, c) : NULL;

	return at ? (int)(at - digits) : -1;
}

static void put_code(struct buf *out, uint32_t code)
{
	char utf8[4];

	buf_append(out, bytes_of(utf8, (size_t)text_utf8_put(utf8, code)));
}

/* Decodes one shifted run (without & and -) of UTF-16. What stands for itself must not be shifted. */
struct shifted {
	uint32_t bits;
	unsigned count; /* of bits */
	uint32_t high;  /* waiting surrogate */
};

static bool put_unit(struct shifted *s, uint32_t unit, struct buf *out)
{
	if (s->high) {
		if (unit < 0xdc00 || unit > 0xdfff)
			return false;
		put_code(out, 0x10000 + ((s->high - 0xd800) << 10) + (unit - 0xdc00));
		s->high = 0;
		return true;
	}
	if (unit >= 0xd800 && unit <= 0xdbff) {
		s->high = unit;
		return true;
	}
	if ((unit >= 0xdc00 && unit <= 0xdfff) || (unit >= 0x20 && unit <= 0x7e))
		return false;
	put_code(out, unit);
	return true;
}

static bool decode_run(struct bytes run, struct buf *out)
{
	struct shifted s = {0};

	for (size_t i = 0; i < run.len; i++) {
		int value = digit_value(run.ptr[i]);

		if (value < 0)
			return false;
		s.bits = (s.bits << 6 | (uint32_t)value) & 0x3fffff;
		s.count += 6;
		if (s.count < 16)
			continue;
		s.count -= 16;
		if (!put_unit(&s, s.bits >> s.count & 0xffff, out))
			return false;
	}
	return s.count < 6 && (s.bits & ((1u << s.count) - 1)) == 0 && !s.high;
}

static bool decode_utf7(struct bytes in, struct buf *out)
{
	bool run_before = false;

	while (in.len) {
		size_t end;

		if (in.ptr[0] != '&') {
			buf_append_char(out, in.ptr[0]);
			in = bytes_skip(in, 1);
			run_before = false;
			continue;
		}
		end = bytes_find_char(in, '-');
		if (end == BYTES_NONE)
			return false;
		if (end == 1) {
			buf_append_char(out, '&');
			run_before = false;
		} else {
			if (run_before || !decode_run(bytes_of(in.ptr + 1, end - 1), out))
				return false;
			run_before = true;
		}
		in = bytes_skip(in, end + 1);
	}
	return true;
}

enum result name_from_utf7(struct bytes in, struct buf *out)
{
	size_t before = buf_len(out);

	if (decode_utf7(in, out) && text_is_utf8(in))
		return OK;
	buf_truncate(out, before);
	return INVALID;
}

struct shift_writer {
	struct buf *out;
	uint32_t bits;
	unsigned count;
	bool open;
};

static void shift_put(struct shift_writer *w, uint32_t unit)
{
	if (!w->open)
		buf_append_char(w->out, '&');
	w->open = true;
	w->bits = w->bits << 16 | unit;
	for (w->count += 16; w->count >= 6; w->count -= 6)
		buf_append_char(w->out, digits[w->bits >> (w->count - 6) & 63]);
	w->bits &= (1u << w->count) - 1;
}

static void shift_end(struct shift_writer *w)
{
	if (!w->open)
		return;
	if (w->count)
		buf_append_char(w->out, digits[w->bits << (6 - w->count) & 63]);
	buf_append_char(w->out, '-');
	w->open = false;
	w->bits = w->count = 0;
}

void name_to_utf7(struct bytes utf8, struct buf *out)
{
	struct shift_writer w = {.out = out};
	uint32_t code;
	int len;

	while ((len = text_utf8_next(utf8, &code)) > 0) {
		utf8 = bytes_skip(utf8, (size_t)len);
		if (code >= 0x20 && code <= 0x7e) {
			shift_end(&w);
			buf_append_char(out, (char)code);
			if (code == '&')
				buf_append_char(out, '-');
		} else if (code >= 0x10000) {
			shift_put(&w, 0xd800 + ((code - 0x10000) >> 10));
			shift_put(&w, 0xdc00 + ((code - 0x10000) & 0x3ff));
		} else {
			shift_put(&w, code);
		}
	}
	shift_end(&w);
}

static enum result decode(struct bytes in, bool utf8, struct buf *out)
{
	if (!utf8)
		return name_from_utf7(in, out);
	if (!text_is_utf8(in))
		return INVALID;
	buf_append(out, in);
	return OK;
}

/* Levels must not be empty, and no control characters: nobody could delete such a mailbox again. */
static bool good_levels(struct bytes name)
{
	char before = '/';

	for (size_t i = 0; i < name.len; i++) {
		unsigned char c = (unsigned char)name.ptr[i];

		if (c < 0x20 || c == 0x7f || (c == '/' && before == '/'))
			return false;
		before = (char)c;
	}
	return name.len > 0 && before != '/';
}

/* "inbox" and "inbox/x" mean INBOX and below. */
static void write_inbox(char *name, size_t len)
{
	struct bytes b = {name, len};

	if (bytes_starts_nocase(b, BYTES("inbox")) && (len == 5 || name[5] == '/'))
		memcpy(name, "INBOX", 5);
}

static enum result check_name(struct bytes decoded, struct arena *arena, struct bytes *ret)
{
	struct buf nfc = {0};
	enum result r = charset_nfc(decoded, &nfc);
	char *name = arena_text(arena, buf_bytes(&nfc));
	size_t len = buf_len(&nfc);

	buf_done(&nfc);
	if (r != OK)
		return r;
	if (len > 1 && name[len - 1] == '/')
		len--;
	if (len > LIMIT_MAILBOX_NAME)
		return TOO_BIG;
	if (!good_levels(bytes_of(name, len)))
		return INVALID;
	write_inbox(name, len);
	*ret = bytes_of(name, len);
	return OK;
}

enum result name_read(struct bytes in, bool utf8, struct arena *arena, struct bytes *ret)
{
	struct buf decoded = {0};
	enum result r;

	if (in.len > 8 * LIMIT_MAILBOX_NAME)
		return TOO_BIG;
	r = decode(in, utf8, &decoded);
	if (r == OK)
		r = check_name(buf_bytes(&decoded), arena, ret);
	buf_done(&decoded);
	return r;
}

struct bytes name_read_pattern(struct bytes in, bool utf8, struct arena *arena)
{
	struct buf decoded = {0}, nfc = {0};
	struct bytes pattern = in;

	if (decode(in, utf8, &decoded) == OK && charset_nfc(buf_bytes(&decoded), &nfc) == OK)
		pattern = arena_copy(arena, buf_bytes(&nfc));
	buf_done(&decoded);
	buf_done(&nfc);
	return pattern;
}

/* Glob matching with one place to go back to: a "*" forgets the "%" before it, and a "%" cannot pass "/"; so two
 * places are kept, and the work is at most name times pattern. */
static bool glob(struct bytes name, struct bytes pattern)
{
	size_t n = 0, p = 0, star_n = 0, star_p = BYTES_NONE, percent_n = 0, percent_p = BYTES_NONE;

	for (;;) {
		if (p < pattern.len && pattern.ptr[p] == '*') {
			star_p = ++p;
			star_n = n;
			percent_p = BYTES_NONE;
		} else if (p < pattern.len && pattern.ptr[p] == '%') {
			percent_p = ++p;
			percent_n = n;
		} else if (n < name.len && p < pattern.len && name.ptr[n] == pattern.ptr[p]) {
			n++;
			p++;
		} else if (n == name.len && p == pattern.len) {
			return true;
		} else if (percent_p != BYTES_NONE && percent_n < name.len &&
		           name.ptr[percent_n] != '/') {
			n = ++percent_n;
			p = percent_p;
		} else if (star_p != BYTES_NONE && star_n < name.len) {
			n = ++star_n;
			p = star_p;
			percent_p = BYTES_NONE;
		} else {
			return false;
		}
	}
}

/* Only the letters of INBOX itself may differ in case, so a pattern that can match it is short. */
static bool matches_inbox(struct bytes pattern)
{
	char folded[16];

	if (pattern.len > sizeof(folded))
		return false;
	for (size_t i = 0; i < pattern.len; i++)
		folded[i] = text_upper_char(pattern.ptr[i]);
	return glob(BYTES("INBOX"), bytes_of(folded, pattern.len));
}

bool name_matches(struct bytes name, struct bytes pattern)
{
	return glob(name, pattern) || (bytes_equal(name, BYTES("INBOX")) && matches_inbox(pattern));
}

struct bytes name_parent(struct bytes name)
{
	size_t slash = bytes_find_last(name, '/');

	return slash == BYTES_NONE ? (struct bytes){0} : bytes_first(name, slash);
}
