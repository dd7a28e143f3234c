#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/buf.h"

/* What a stranger sent must not look like a line of ours. */
static void append_safe(struct buf *out, const char *text)
{
	for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
		if (*p < 0x20 || *p == 0x7f)
			buf_printf(out, "\\x%02x", *p);
		else
			buf_append_char(out, (char)*p);
	}
}

void log_line(const struct log *log, time_ms now, const char *event, const char *format, ...)
{
	char time[TIME_TEXT], text[2048];
	struct buf line = {0};
	va_list args;

	if (!log || !log->write)
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	time_format_rfc3339(now, time);
	buf_printf(&line, "%s %s %s ", time, log->who, event);
	append_safe(&line, text);
	buf_append_char(&line, '\n');
	log->write(log->context, buf_bytes(&line));
	buf_done(&line);
}
