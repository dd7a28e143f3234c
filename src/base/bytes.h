/* A borrowed run of octets: pointer and length, never owned, not NUL-terminated, may hold any
 * octet.
 *
 *	struct bytes line = BYTES("MAIL FROM:<a@b>");
 *	if (bytes_starts_nocase(line, BYTES("mail from:")))
 *		path = bytes_skip(line, 10);
 *
 * Invariant: ptr is never NULL when len > 0. The empty value is (struct bytes){0}. */
#ifndef BASE_BYTES_H
#define BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/result.h"

struct bytes {
	const char *ptr;
	size_t len;
};

#define BYTES(literal) ((struct bytes){"" literal, sizeof(literal) - 1})
#define BYTES_NONE SIZE_MAX
/* printf("%.*s", BYTES_ARG(b)) */
#define BYTES_ARG(b) (int)(b).len, (b).ptr ? (b).ptr : ""

static inline struct bytes bytes_of(const void *ptr, size_t len)
{
	return (struct bytes){(const char *)ptr, len};
}

static inline struct bytes bytes_of_text(const char *text)
{
	return (struct bytes){text, text ? strlen(text) : 0};
}

/* The part after the first n octets, and the first n octets; n is cut to the length. */
static inline struct bytes bytes_skip(struct bytes b, size_t n)
{
	if (n > b.len)
		n = b.len;
	return (struct bytes){n ? b.ptr + n : b.ptr, b.len - n};
}

static inline struct bytes bytes_first(struct bytes b, size_t n)
{
	return (struct bytes){b.ptr, n < b.len ? n : b.len};
}

bool bytes_equal(struct bytes a, struct bytes b);
bool bytes_equal_nocase(struct bytes a, struct bytes b); /* ASCII letters only */
int bytes_compare(struct bytes a, struct bytes b);       /* as memcmp, the shorter first */
bool bytes_starts(struct bytes b, struct bytes prefix);
bool bytes_starts_nocase(struct bytes b, struct bytes prefix);
bool bytes_ends(struct bytes b, struct bytes suffix);

/* Position of the first (last) occurrence, or BYTES_NONE. */
size_t bytes_find(struct bytes b, struct bytes needle);
size_t bytes_find_nocase(struct bytes b, struct bytes needle);
size_t bytes_find_char(struct bytes b, char c);
size_t bytes_find_last(struct bytes b, char c);

/* Without spaces, tabs, CR and LF at both ends. */
struct bytes bytes_trim(struct bytes b);

/* Takes from *rest up to the first sep (which is dropped) into *ret_part. False when *rest is used
 * up:
 *	while (bytes_cut(&rest, ',', &item)) ... */
bool bytes_cut(struct bytes *rest, char sep, struct bytes *ret_part);

/* Decimal digits only, no sign, no space, at least one digit. INVALID or TOO_BIG (above max). */
enum result bytes_to_u64(struct bytes b, uint64_t max, uint64_t *ret) MUST_USE;

/* The same in time that depends on the length only; for secrets. */
bool bytes_equal_secret(struct bytes a, struct bytes b);

#endif
