/* Memory that lives as long as a unit of work (a connection, a transaction) and is given back
 * whole.
 *
 *	struct arena a = {0};
 *	name = arena_copy(&a, borrowed);
 *	arena_reset(&a);              after the transaction: everything from it is gone
 *
 * A zeroed struct is an empty arena and costs nothing until used. There is no free of a single
 * piece; what must shrink and grow belongs into a buf. Not for secrets (nothing is wiped). */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include "base/bytes.h"

struct arena_chunk;

struct arena {
	struct arena_chunk *chunks;
	size_t total; /* octets handed out since the last reset: what limits are tested against */
};

void *arena_get(struct arena *a, size_t size)
        __attribute__((malloc, returns_nonnull)); /* zeroed, aligned to 16 */
struct bytes arena_copy(struct arena *a, struct bytes b);
char *arena_text(struct arena *a, struct bytes b); /* NUL-terminated copy */
struct bytes arena_printf(struct arena *a, const char *format, ...) PRINTF(2, 3);
void arena_reset(struct arena *a); /* keeps one small chunk */
void arena_done(struct arena *a);

#endif
