/* ASCII classes and UTF-8. Locale-free: <ctype.h> is banned. Unicode beyond well-formedness
 * (case folding, normalisation, IDNA, PRECIS) is mail/charset.h, which uses ICU. */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

#include "base/bytes.h"

static inline bool text_is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static inline char text_lower_char(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

static inline char text_upper_char(char c)
{
	return c >= 'a' && c <= 'z' ? (char)(c - 32) : c;
}

static inline bool text_is_alpha(char c)
{
	return text_lower_char(c) >= 'a' && text_lower_char(c) <= 'z';
}

static inline bool text_is_alnum(char c)
{
	return text_is_alpha(c) || text_is_digit(c);
}

static inline bool text_is_blank(char c)
{
	return c == ' ' || c == '\t';
}

bool text_is_ascii(struct bytes b); /* no octet above 0x7f */
bool text_is_utf8(
        struct bytes b); /* well-formed: no overlong forms, surrogates, or above U+10FFFF */

/* Reads one code point: returns octets taken and sets *ret_code, or 0 at the end, or -1 where
 * the next octet starts no well-formed character (skip one octet and go on, or give up). */
int text_utf8_next(struct bytes b, uint32_t *ret_code);

/* Writes a code point as UTF-8 to out (room for 4), returns the length; code must be a scalar
 * value. */
int text_utf8_put(char *out, uint32_t code);

/* In place, ASCII letters only. */
void text_lower(char *ptr, size_t len);

#endif
