#include "mail/body.h"

#include "base/encode.h"
#include "base/text.h"

enum { PAD = 64, SKIP = 65 };

enum base64_state { FIRST_LINE, DIGITS, PLAIN };

static const uint8_t base64_values[256] = {
#define S SKIP
        S,  S,  S,  S,  S,  S,  S,  S,  S,  S,  S,  S,  S,  S,  S,  S,  S,  S,   S,  S,  S,  S,
        S,  S,  S,  S,  S,  S,  S,  S,  S,  S,  S,  S,  S,  S,  S,  S,  S,  S,   S,  S,  S,  62,
        S,  S,  S,  63, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, S,  S,  S,  PAD, S,  S,  S,  0,
        1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15, 16, 17, 18,  19, 20, 21, 22,
        23, 24, 25, S,  S,  S,  S,  S,  S,  26, 27, 28, 29, 30, 31, 32, 33, 34,  35, 36, 37, 38,
        39, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, S,  S,  S,  S,  S,   S,  S,  S,  S,
        S,  S,  S,  S,  S,  S,  S,  S,  S,  S,  S,  S,  S,  S,  S,  S,  S,  S,   S,  S,  S,  S,
        S,  S,  S,  S,  S,  S,  S,  S,  S,  S,  S,  S,  S,  S,  S,  S,  S,  S,   S,  S,  S,  S,
        S,  S,  S,  S,  S,  S,  S,  S,  S,  S,  S,  S,  S,  S,  S,  S,  S,  S,   S,  S,  S,  S,
        S,  S,  S,  S,  S,  S,  S,  S,  S,  S,  S,  S,  S,  S,  S,  S,  S,  S,   S,  S,  S,  S,
        S,  S,  S,  S,  S,  S,  S,  S,  S,  S,  S,  S,  S,  S,  S,  S,  S,  S,   S,  S,  S,  S,
        S,  S,  S,  S,  S,  S,  S,  S,  S,  S,  S,  S,  S,  S,
#undef S
};

struct body_decoder body_decoder_of(enum mime_encoding encoding)
{
	return (struct body_decoder){.encoding = (uint8_t)encoding};
}

/* ---- base64 ---- */

static size_t end_group(struct body_decoder *d, char *out)
{
	size_t n = d->count > 1 ? (size_t)d->count - 1 : 0;

	if (n >= 1)
		out[0] = (char)(d->bits >> (d->count == 2 ? 4 : 10));
	if (n >= 2)
		out[1] = (char)(d->bits >> 2);
	d->count = 0;
	d->bits = 0;
	return n;
}

static void decode_digits(struct body_decoder *d, struct bytes in, struct buf *out)
{
	char *room = buf_room(out, in.len + 4);
	size_t len = 0;

	for (size_t i = 0; i < in.len; i++) {
		uint8_t v = base64_values[(unsigned char)in.ptr[i]];
		if (v == SKIP)
			continue;
		if (v == PAD) {
			len += end_group(d, room + len);
			continue;
		}
		d->bits = d->bits << 6 | v;
		if (++d->count == 4) {
			room[len++] = (char)(d->bits >> 16);
			room[len++] = (char)(d->bits >> 8);
			room[len++] = (char)d->bits;
			d->count = 0;
			d->bits = 0;
		}
	}
	buf_added(out, len);
}

static bool is_base64(struct bytes line)
{
	for (size_t i = 0; i < line.len; i++) {
		char c = line.ptr[i];
		if (base64_values[(unsigned char)c] == SKIP && !text_is_blank(c) && c != '\r' &&
		    c != '\n')
			return false;
	}
	return true;
}

/* The first line is known: is it what the label says? */
static void decide(struct body_decoder *d, struct buf *out)
{
	struct bytes line = bytes_of(d->held, d->held_len);

	d->state = is_base64(line) ? DIGITS : PLAIN;
	if (d->state == DIGITS)
		decode_digits(d, line, out);
	else
		buf_append(out, line);
	d->held_len = 0;
}

static void decode_base64_body(struct body_decoder *d, struct bytes in, struct buf *out)
{
	while (d->state == FIRST_LINE && in.len > 0) {
		d->held[d->held_len++] = in.ptr[0];
		bool line_end = in.ptr[0] == '\n' &&
		                bytes_trim(bytes_of(d->held, d->held_len)).len > 0;
		if (line_end || d->held_len == sizeof(d->held))
			decide(d, out);
		in = bytes_skip(in, 1);
	}
	if (d->state == DIGITS)
		decode_digits(d, in, out);
	else
		buf_append(out, in);
}

/* ---- quoted-printable ----
 *
 * held is what was seen since an "=" or a run of blanks, and may still turn out to mean nothing:
 *	"="  "=X"  "=" blanks  "=" blanks CR  blanks  blanks CR */

static int hex_value(char c)
{
	if (text_is_digit(c))
		return c - '0';
	c = text_lower_char(c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static void release(struct body_decoder *d, struct buf *out)
{
	buf_append(out, bytes_of(d->held, d->held_len));
	d->held_len = 0;
}

static bool hold(struct body_decoder *d, char c)
{
	if (d->held_len == sizeof(d->held))
		return false;
	d->held[d->held_len++] = c;
	return true;
}

/* With "=" held. True: c is dealt with. */
static bool after_equals(struct body_decoder *d, char c, struct buf *out)
{
	char last = d->held[d->held_len - 1];

	if (c == '\n') { /* a soft line break */
		d->held_len = 0;
		return true;
	}
	if (d->held_len == 1 && hex_value(c) >= 0)
		return hold(d, c);
	if (d->held_len == 2 && hex_value(last) >= 0 && hex_value(c) >= 0) {
		buf_append_char(out, (char)(hex_value(last) * 16 + hex_value(c)));
		d->held_len = 0;
		return true;
	}
	bool only_blanks = d->held_len == 1 || text_is_blank(last);
	return (text_is_blank(c) || c == '\r') && only_blanks && hold(d, c);
}

/* With blanks held, perhaps a CR after them. True: c is dealt with. */
static bool after_blanks(struct body_decoder *d, char c, struct buf *out)
{
	bool cr = d->held[d->held_len - 1] == '\r';

	if (c == '\n') {
		d->held_len = 0;
		buf_append_text(out, cr ? "\r\n" : "\n");
		return true;
	}
	return !cr && (text_is_blank(c) || c == '\r') && hold(d, c);
}

static void decode_quoted_octet(struct body_decoder *d, char c, struct buf *out)
{
	if (d->held_len > 0) {
		if (d->held[0] == '=' ? after_equals(d, c, out) : after_blanks(d, c, out))
			return;
		release(d, out);
	}
	if (c == '=' || text_is_blank(c))
		hold(d, c);
	else
		buf_append_char(out, c);
}

/* ---- */

void body_decode(struct body_decoder *d, struct bytes in, struct buf *out)
{
	switch ((enum mime_encoding)d->encoding) {
	case MIME_BASE64: decode_base64_body(d, in, out); return;
	case MIME_QUOTED:
		for (size_t i = 0; i < in.len; i++)
			decode_quoted_octet(d, in.ptr[i], out);
		return;
	default: buf_append(out, in); return;
	}
}

void body_decode_end(struct body_decoder *d, struct buf *out)
{
	char rest[3];

	if (d->encoding == MIME_BASE64 && d->state == FIRST_LINE)
		decide(d, out);
	if (d->encoding == MIME_BASE64)
		buf_append(out, bytes_of(rest, end_group(d, rest)));
	else if (d->encoding == MIME_QUOTED && d->held_len > 0 && d->held[0] == '=' &&
	         (d->held_len == 1 || hex_value(d->held[1]) < 0))
		d->held_len = 0; /* a soft line break at the end */
	else if (d->encoding == MIME_QUOTED)
		release(d, out);
}

void body_encode_base64(struct bytes in, struct buf *out)
{
	while (in.len > 0) {
		encode_base64(out, bytes_first(in, 57));
		buf_append_text(out, "\r\n");
		in = bytes_skip(in, 57);
	}
}
