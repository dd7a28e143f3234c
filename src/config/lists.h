/* The section `list`: a block or allow list in the DNS. Private to config/.
 *
 * A code is [!]ADDRESS[@PERCENT][=word]. Each octet of ADDRESS is a number, a range `4-7` or `*`; the last may be `&8`: that bit is
 * set. `!`: with this answer the list says that it does not serve us. 127.255.255.0-255 always does. */
#ifndef CONFIG_LISTS_H
#define CONFIG_LISTS_H

#include "base/wire.h"
#include "config/config.h"
#include "config/syntax.h"

/* open: the statement that began the section. INVALID: why names file and line. */
enum result lists_parse(struct config *c, struct syntax *x, const struct statement *open,
                        struct why *why) MUST_USE;

void lists_encode(const struct config *c, struct buf *out);
void lists_decode(struct config *c, struct wire *w); /* w->bad when it does not fit */

#endif
