/* The section `judge-for`: other thresholds for some recipients. Private to config/. */
#ifndef CONFIG_JUDGING_H
#define CONFIG_JUDGING_H

#include "base/wire.h"
#include "config/config.h"
#include "config/syntax.h"

/* open: the statement that began the section. INVALID: why names file and line. */
enum result judging_parse(struct config *c, struct syntax *x, const struct statement *open,
                          struct why *why) MUST_USE;
/* Once all is read: what was left out gets the section judge's values. */
enum result judging_check(struct config *c, unsigned line, struct why *why) MUST_USE;

void judging_encode(const struct config *c, struct buf *out);
void judging_decode(struct config *c, struct wire *w); /* w->bad when it does not fit */

#endif
