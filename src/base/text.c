#include "base/text.h"

bool text_is_ascii(struct bytes b)
{
	uint64_t word;
	size_t i = 0;

	for (; i + 8 <= b.len; i += 8) {
		memcpy(&word, b.ptr + i, 8);
		if (word & 0x8080808080808080)
			return false;
	}
	for (; i < b.len; i++)
		if (b.ptr[i] & 0x80)
			return false;
	return true;
}

/* Length by the first octet, 0 for one that starts nothing (RFC 3629, 4). */
static int length_of(unsigned char first)
{
	if (first < 0x80)
		return 1;
	if (first >= 0xc2 && first <= 0xdf)
		return 2;
	if (first >= 0xe0 && first <= 0xef)
		return 3;
	if (first >= 0xf0 && first <= 0xf4)
		return 4;
	return 0;
}

int text_utf8_next(struct bytes b, uint32_t *ret_code)
{
	static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
	uint32_t code;
	int len;

	if (b.len == 0)
		return 0;
	len = length_of((unsigned char)b.ptr[0]);
	if (len == 0 || (size_t)len > b.len)
		return -1;
	code = len == 1 ? (unsigned char)b.ptr[0] : (unsigned char)b.ptr[0] & (0x7fu >> len);
	for (int i = 1; i < len; i++) {
		if ((b.ptr[i] & 0xc0) != 0x80)
			return -1;
		code = code << 6 | (b.ptr[i] & 0x3f);
	}
	if (code < smallest[len] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
		return -1;
	*ret_code = code;
	return len;
}

bool text_is_utf8(struct bytes b)
{
	uint32_t code;
	int len;

	if (text_is_ascii(b))
		return true;
	while ((len = text_utf8_next(b, &code)) > 0)
		b = bytes_skip(b, (size_t)len);
	return len == 0;
}

int text_utf8_put(char *out, uint32_t code)
{
	if (code < 0x80) {
		out[0] = (char)code;
		return 1;
	}
	if (code < 0x800) {
		out[0] = (char)(0xc0 | code >> 6);
		out[1] = (char)(0x80 | (code & 0x3f));
		return 2;
	}
	if (code < 0x10000) {
		out[0] = (char)(0xe0 | code >> 12);
		out[1] = (char)(0x80 | (code >> 6 & 0x3f));
		out[2] = (char)(0x80 | (code & 0x3f));
		return 3;
	}
	out[0] = (char)(0xf0 | code >> 18);
	out[1] = (char)(0x80 | (code >> 12 & 0x3f));
	out[2] = (char)(0x80 | (code >> 6 & 0x3f));
	out[3] = (char)(0x80 | (code & 0x3f));
	return 4;
}

void text_lower(char *ptr, size_t len)
{
	for (size_t i = 0; i < len; i++)
		ptr[i] = text_lower_char(ptr[i]);
}
