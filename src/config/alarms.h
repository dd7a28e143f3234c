/* The section `alarm`: where the operator is told of incidents. Private to config/. */
#ifndef CONFIG_ALARMS_H
#define CONFIG_ALARMS_H

#include "base/wire.h"
#include "config/config.h"
#include "config/syntax.h"

/* open: the statement that began the section. INVALID: why names file and line. */
enum result alarms_parse(struct config *c, struct syntax *x, const struct statement *open,
                         struct why *why) MUST_USE;

void alarms_encode(const struct config *c, struct buf *out);
void alarms_decode(struct config *c, struct wire *w); /* w->bad when it does not fit */

#endif
