#include "base/bytes.h"

#include "base/text.h"

bool bytes_equal(struct bytes a, struct bytes b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

bool bytes_equal_nocase(struct bytes a, struct bytes b)
{
	if (a.len != b.len)
		return false;
	for (size_t i = 0; i < a.len; i++)
		if (text_lower_char(a.ptr[i]) != text_lower_char(b.ptr[i]))
			return false;
	return true;
}

int bytes_compare(struct bytes a, struct bytes b)
{
	size_t len = a.len < b.len ? a.len : b.len;
	int order = len ? memcmp(a.ptr, b.ptr, len) : 0;

	if (order != 0)
		return order;
	return a.len < b.len ? -1 : a.len > b.len;
}

bool bytes_starts(struct bytes b, struct bytes prefix)
{
	return b.len >= prefix.len && bytes_equal(bytes_first(b, prefix.len), prefix);
}

bool bytes_starts_nocase(struct bytes b, struct bytes prefix)
{
	return b.len >= prefix.len && bytes_equal_nocase(bytes_first(b, prefix.len), prefix);
}

bool bytes_ends(struct bytes b, struct bytes suffix)
{
	return b.len >= suffix.len && bytes_equal(bytes_skip(b, b.len - suffix.len), suffix);
}

size_t bytes_find(struct bytes b, struct bytes needle)
{
	const char *at;

	if (needle.len == 0)
		return 0;
	if (b.len < needle.len)
		return BYTES_NONE;
	at = memmem(b.ptr, b.len, needle.ptr, needle.len);
	return at ? (size_t)(at - b.ptr) : BYTES_NONE;
}

/* Limit: the product of the lengths; for short needles in lines and fields. */
size_t bytes_find_nocase(struct bytes b, struct bytes needle)
{
	for (size_t i = 0; i + needle.len <= b.len; i++)
		if (bytes_starts_nocase(bytes_skip(b, i), needle))
			return i;
	return BYTES_NONE;
}

size_t bytes_find_char(struct bytes b, char c)
{
	const char *at = b.len ? memchr(b.ptr, c, b.len) : NULL;

	return at ? (size_t)(at - b.ptr) : BYTES_NONE;
}

size_t bytes_find_last(struct bytes b, char c)
{
	const char *at = b.len ? memrchr(b.ptr, c, b.len) : NULL;

	return at ? (size_t)(at - b.ptr) : BYTES_NONE;
}

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct bytes bytes_trim(struct bytes b)
{
	while (b.len && is_space(b.ptr[0]))
		b = bytes_skip(b, 1);
	while (b.len && is_space(b.ptr[b.len - 1]))
		b.len--;
	return b;
}

bool bytes_cut(struct bytes *rest, char sep, struct bytes *ret_part)
{
	size_t at;

	if (rest->len == 0)
		return false;
	at = bytes_find_char(*rest, sep);
	if (at == BYTES_NONE)
		at = rest->len;
	*ret_part = bytes_first(*rest, at);
	*rest = bytes_skip(*rest, at + 1);
	return true;
}

enum result bytes_to_u64(struct bytes b, uint64_t max, uint64_t *ret)
{
	uint64_t value = 0;

	if (b.len == 0)
		return INVALID;
	for (size_t i = 0; i < b.len; i++)
		if (!text_is_digit(b.ptr[i]))
			return INVALID;
	for (size_t i = 0; i < b.len; i++) {
		unsigned digit = (unsigned)(b.ptr[i] - '0');

		if (value > max / 10 || value * 10 > max - digit || digit > max)
			return TOO_BIG;
		value = value * 10 + digit;
	}
	*ret = value;
	return OK;
}

bool bytes_equal_secret(struct bytes a, struct bytes b)
{
	unsigned differ = 0;

	if (a.len != b.len)
		return false;
	for (size_t i = 0; i < a.len; i++)
		differ |= (unsigned char)a.ptr[i] ^ (unsigned char)b.ptr[i];
	return differ == 0;
}
