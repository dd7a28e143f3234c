/* `hikyaku check KIND`: the judgement of one thing, for operators and tests alike. cli/check.c has the table of kinds; it
 * reads stdin, after the process has locked itself like mx. A kind is a pure function. */
#ifndef CLI_CHECK_H
#define CLI_CHECK_H

#include "base/buf.h"

struct check {
	struct bytes in;         /* all of stdin */
	const char *const *args; /* after KIND */
	size_t arg_count;
};

/* Appends what is printed, one result a line. OK: judged (exit 0). */
typedef enum result check_function(const struct check *c, struct buf *out, struct why *why);

enum result check_mime(const struct check *c, struct buf *out,
                       struct why *why); /* cli/check_mime.c */
enum result check_charset(const struct check *c, struct buf *out,
                          struct why *why); /* cli/check_charset.c */
enum result check_bounce(const struct check *c, struct buf *out,
                         struct why *why); /* cli/check_bounce.c */

#endif
