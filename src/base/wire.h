/* A cursor over octets with a sticky error: read ten fields, test once (after Knot's wire_ctx).
 *
 *	struct wire w = wire_of(in);
 *	uid = wire_u32(&w); name = wire_block(&w);
 *	if (w.bad) return INVALID;
 *
 * After the first read beyond the end every read gives 0 or empty, and bad stays set. */
#ifndef BASE_WIRE_H
#define BASE_WIRE_H

#include "base/bytes.h"

struct wire {
	struct bytes rest;
	bool bad;
};

static inline struct wire wire_of(struct bytes in)
{
	return (struct wire){in, false};
}

uint8_t wire_u8(struct wire *w);
uint16_t wire_u16(struct wire *w);
uint32_t wire_u32(struct wire *w);
uint64_t wire_u64(struct wire *w);
struct bytes wire_take(struct wire *w, size_t len); /* borrows from the input */
struct bytes wire_block(struct wire *w);            /* a u32 length, then the octets; borrows */

static inline bool wire_end(const struct wire *w)
{
	return w->bad || w->rest.len == 0;
}

#endif
