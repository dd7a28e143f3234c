/* Fields that a stranger must not bring along: Authentication-Results in our name (RFC 8601, 5), which a mail program would
 * believe, and those that tell our verdict. Private to smtp/, pure; all else passes as it came, octet by octet.
 *
 *	smtp_strip_feed(&strip, run, hostname, &out);   out grows by what may pass now
 *	smtp_strip_end(&strip, hostname, &out);         ... and by the rest */
#ifndef SMTP_STRIP_H
#define SMTP_STRIP_H

#include "base/buf.h"

enum {
	SMTP_STRIP_NAME = 256, /* octets of a line that settle which field it is */
	SMTP_STRIP_FIELD =
	        64 * 1024, /* a longer Authentication-Results is nobody's honest field: it goes */
};

struct smtp_strip {
	bool body;       /* the header is over */
	bool mid_line;   /* the line was judged; its rest goes the same way */
	bool holding;    /* the field at hand is one of those */
	bool too_long;   /* ... and longer than SMTP_STRIP_FIELD */
	struct buf line; /* the beginning of a line */
	struct buf held; /* that field, as far as it came */
};

void smtp_strip_feed(struct smtp_strip *s, struct bytes run, struct bytes hostname,
                     struct buf *out);
void smtp_strip_end(struct smtp_strip *s, struct bytes hostname, struct buf *out);
void smtp_strip_done(struct smtp_strip *s);

#endif
