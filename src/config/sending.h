/* The sections `route` and `source`: other ways out than the recipient's MX from any address. Private to config/. */
#ifndef CONFIG_SENDING_H
#define CONFIG_SENDING_H

#include "base/wire.h"
#include "config/config.h"
#include "config/syntax.h"

/* open: the statement that began the section. INVALID: why names file and line. */
enum result sending_parse_route(struct config *c, struct syntax *x, const struct statement *open,
                                struct why *why) MUST_USE;
enum result sending_parse_source(struct config *c, struct syntax *x, const struct statement *open,
                                 struct why *why) MUST_USE;
/* Once all is read: what the sections must be besides. line: of carry.fallback-route, for the reason. */
enum result sending_check(struct config *c, unsigned line, struct why *why) MUST_USE;

void sending_encode(const struct config *c, struct buf *out);
void sending_decode(struct config *c, struct wire *w); /* w->bad when it does not fit */

#endif
