#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/text.h"

/* No control character of ASCII, ISO 6429's C1 or Unicode's separators and directions. */
static bool is_harmless(uint32_t code)
{
	return code >= 0x20 && (code < 0x7f || code > 0x9f) &&
	       !(code >= 0x2028 && code <= 0x202e) && !(code >= 0x2066 && code <= 0x2069);
}

/* What a stranger sent must not look like a line of ours, nor move the cursor of who reads it. */
static void append_safe(struct buf *out, struct bytes text)
{
	while (text.len > 0) {
		uint32_t code = 0;
		int taken = text_utf8_next(text, &code);
		struct bytes piece = bytes_first(text, taken > 0 ? (size_t)taken : 1);

		if (taken > 0 && is_harmless(code))
			buf_append(out, piece);
		else
			for (size_t i = 0; i < piece.len; i++)
				buf_printf(out, "\\x%02x", (unsigned char)piece.ptr[i]);
		text = bytes_skip(text, piece.len);
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
	append_safe(&line, bytes_of_text(text));
	buf_append_char(&line, '\n');
	log->write(log->context, buf_bytes(&line));
	buf_done(&line);
}
