/* One line an event, with RFC 3339 time: what a role says on stderr. Only roles/ and cli/ log.
 *
 *	log_line(log, now, "smtp-refused", "session=%s rcpt=<%s> code=550", id, rcpt);
 *	2026-11-23T09:00:00.123Z mx[1] smtp-refused session=... rcpt=<...> code=550
 *
 * Control characters in what a stranger sent are written as \xNN: nobody forges a line. */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/time.h"

typedef void log_write_function(void *context, struct bytes line); /* the line ends with LF */

struct log {
	log_write_function *write;
	void *context;
	char who[24]; /* "mx[1]" */
};

void log_line(const struct log *log, time_ms now, const char *event, const char *format, ...)
        PRINTF(4, 5);

#endif
