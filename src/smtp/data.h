/* What stands between 354 and <CRLF>.<CRLF>: dots taken off, line ends watched (RFC 5321, 4.5.2 and
 * 4.1.1.4). Private to smtp/.
 *
 *	while (!end && in.len > 0) {
 *		taken = smtp_data_next(&d, in, &run, &end);
 *		use run; in = bytes_skip(in, taken);
 *	}
 *	if (d.bare) refuse
 *
 * Only <CRLF>.<CRLF> ends it. A bare CR or LF sets `bare` for good and begins no line, so that
 * no dot after it counts: that is all there is to SMTP smuggling. */
#ifndef SMTP_DATA_H
#define SMTP_DATA_H

#include "base/bytes.h"

enum smtp_data_state {
	DATA_LINE_START,
	DATA_IN_LINE,
	DATA_CR,    /* a CR, which must be followed by LF */
	DATA_DOT,   /* a dot at the start of a line: not content */
	DATA_DOT_CR /* ... and a CR: it may be the end */
};

struct smtp_data {
	enum smtp_data_state state;
	bool bare; /* a CR or LF stood alone: what the runs hold then is of no use */
};

/* Takes octets (at least one of a non-empty input) and gives the content among them, a run
 * borrowed from `in`, maybe empty. *ret_end: the final dot was taken; what follows is the next
 * command. */
size_t smtp_data_next(struct smtp_data *d, struct bytes in, struct bytes *ret_run, bool *ret_end);

#endif
