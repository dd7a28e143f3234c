/* Sets of UIDs (or sequence numbers): ascending ranges that do not touch.
 *
 *	struct uidset set = {0};
 *	uidset_add(&set, 5); uidset_add_range(&set, 7, 9);      ascending is cheap, any order is right
 *	uidset_print(&set, &out);                                "5,7:9"
 *	uidset_done(&set);
 *
 * A zeroed struct is the empty set. */
#ifndef IMAP_UIDSET_H
#define IMAP_UIDSET_H

#include "base/buf.h"

struct uid_range {
	uint32_t first, last; /* first <= last, first > 0 */
};

struct uidset {
	struct uid_range *ranges;
	size_t count, size;
};

void uidset_add(struct uidset *set, uint32_t uid);
void uidset_add_range(struct uidset *set, uint32_t first, uint32_t last); /* first <= last */
bool uidset_has(const struct uidset *set, uint32_t uid);
uint64_t uidset_members(const struct uidset *set);

/* Position of the first range whose last is >= uid; count when there is none. */
size_t uidset_find(const struct uidset *set, uint32_t uid);

/* *ret is what is in both (or in a but not in b); it must be another set than a and b, and is cleared first. */
void uidset_intersect(const struct uidset *a, const struct uidset *b, struct uidset *ret);
void uidset_subtract(const struct uidset *a, const struct uidset *b, struct uidset *ret);

/* "1:3,5" (RFC 9051, sequence-set); nothing for the empty set. */
void uidset_print(const struct uidset *set, struct buf *out);

/* The ranges of ask/ask.def: pairs of u32. INVALID unless ascending and whole. */
void uidset_pack(const struct uid_range *ranges, size_t count, struct buf *out);
enum result uidset_unpack(struct bytes in, struct uidset *ret) MUST_USE; /* replaces *ret */

void uidset_clear(struct uidset *set); /* empty, memory kept */
void uidset_done(struct uidset *set);

#endif
