#include "base/encode.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void encode_base64(struct buf *out, struct bytes in)
{
	const unsigned char *p = (const unsigned char *)in.ptr;
	size_t rest = in.len;

	for (; rest >= 3; p += 3, rest -= 3) {
		char *to = buf_room(out, 4);

		to[0] = alphabet[p[0] >> 2];
		to[1] = alphabet[(p[0] & 3) << 4 | p[1] >> 4];
		to[2] = alphabet[(p[1] & 15) << 2 | p[2] >> 6];
		to[3] = alphabet[p[2] & 63];
		buf_added(out, 4);
	}
	if (rest == 1) {
		buf_append_char(out, alphabet[p[0] >> 2]);
		buf_append_char(out, alphabet[(p[0] & 3) << 4]);
		buf_append(out, BYTES("=="));
	} else if (rest == 2) {
		buf_append_char(out, alphabet[p[0] >> 2]);
		buf_append_char(out, alphabet[(p[0] & 3) << 4 | p[1] >> 4]);
		buf_append_char(out, alphabet[(p[1] & 15) << 2]);
		buf_append_char(out, '=');
	}
}

static int value_of(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == '+')
		return 62;
	return c == '/' ? 63 : -1;
}

/* One group of four; false when it is not exact base64. last: padding may stand here. */
static bool decode_group(const char *in, bool last, struct buf *out)
{
	int pad = last ? (in[3] == '=') + (in[3] == '=' && in[2] == '=') : 0;
	uint32_t bits = 0;

	for (int i = 0; i < 4; i++) {
		int value = i >= 4 - pad ? 0 : value_of(in[i]);

		if (value < 0)
			return false;
		bits = bits << 6 | (uint32_t)value;
	}
	if ((pad == 1 && bits & 0xff) || (pad == 2 && bits & 0xffff))
		return false;
	for (int i = 0; i < 3 - pad; i++)
		buf_append_char(out, (char)(bits >> (16 - 8 * i)));
	return true;
}

enum result decode_base64(struct bytes in, struct buf *out)
{
	size_t before = buf_len(out);

	if (in.len % 4)
		return INVALID;
	for (size_t i = 0; i < in.len; i += 4) {
		if (decode_group(in.ptr + i, i + 4 == in.len, out))
			continue;
		buf_truncate(out, before);
		return INVALID;
	}
	return OK;
}

void encode_hex(struct buf *out, struct bytes in)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < in.len; i++) {
		buf_append_char(out, digits[(unsigned char)in.ptr[i] >> 4]);
		buf_append_char(out, digits[in.ptr[i] & 15]);
	}
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

enum result decode_hex(struct bytes in, struct buf *out)
{
	if (in.len % 2)
		return INVALID;
	for (size_t i = 0; i < in.len; i++)
		if (hex_value(in.ptr[i]) < 0)
			return INVALID;
	for (size_t i = 0; i < in.len; i += 2)
		buf_append_char(out, (char)(hex_value(in.ptr[i]) << 4 | hex_value(in.ptr[i + 1])));
	return OK;
}
