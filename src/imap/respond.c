/* What the server says: tagged responses, and the forms of strings, names, flags and dates (RFC 9051, 7 and 9). */
#include <stdarg.h>
#include <stdio.h>

#include "base/text.h"
#include "base/time.h"
#include "imap/name.h"
#include "imap/session.h"

enum { QUOTED_MAX = 1000 };

/* ---- tagged ---- */

static void tagged(struct imap_server *s, const char *status, const char *format, va_list args)
{
	char text[1024];

	vsnprintf(text, sizeof(text), format, args);
	buf_printf(&s->reply, "%.*s %s %s\r\n", BYTES_ARG(s->run.tag), status, text);
	command_finish(s);
}

void imap_ok(struct imap_server *s, const char *format, ...)
{
	va_list args;

	s->errors = 0;
	va_start(args, format);
	tagged(s, "OK", format, args);
	va_end(args);
}

void imap_no(struct imap_server *s, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	tagged(s, "NO", format, args);
	va_end(args);
}

void imap_bad(struct imap_server *s, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	tagged(s, "BAD", format, args);
	va_end(args);
	if (++s->errors > s->options->errors_max)
		imap_bye(s, "Too many errors");
}

/* ---- results ---- */

/* RFC 5530, RFC 9051, 7.1. */
static const struct {
	const char *code, *text;
} result_words[RESULT_COUNT] = {
        [INVALID] = {"CANNOT", "That cannot be"},
        [TOO_BIG] = {"LIMIT", "Too big"},
        [NOT_FOUND] = {"NONEXISTENT", "There is no such mailbox"},
        [EXISTS] = {"ALREADYEXISTS", "It exists already"},
        [DENIED] = {"NOPERM", "Not allowed"},
        [OVER_QUOTA] = {"OVERQUOTA", "The quota is used up"},
        [DISK_FULL] = {"UNAVAILABLE", "The server's disk is full; try again later"},
        [UNAVAILABLE] = {"UNAVAILABLE", "Not available now; try again"},
        [LOST] = {"UNAVAILABLE", "Not available now; try again"},
        [DAMAGED] = {"CORRUPTION", "A message is damaged"},
        [FAILED] = {"SERVERBUG", "The server failed"},
};

/* A reason comes from our own store but may quote what a stranger sent. */
static void put_reason(struct buf *out, struct bytes why)
{
	why = bytes_first(why, 200);
	for (size_t i = 0; i < why.len; i++)
		buf_append_char(out, why.ptr[i] >= ' ' && why.ptr[i] < 0x7f ? why.ptr[i] : '?');
}

void respond_result(struct buf *out, enum result r, struct bytes why, bool try_create)
{
	if (r <= OK || r >= RESULT_COUNT)
		r = FAILED;
	buf_printf(out, "[%s] ", r == NOT_FOUND && try_create ? "TRYCREATE" : result_words[r].code);
	if (why.len && r != LOST)
		put_reason(out, why);
	else
		buf_append_text(out, result_words[r].text);
}

void imap_no_answer(struct imap_server *s, const struct answer *a)
{
	struct buf text = {0};

	respond_result(&text, a->result, a->why, a->kind == ASK_COPY || a->kind == ASK_APPEND);
	imap_no(s, "%.*s", BYTES_ARG(buf_bytes(&text)));
	buf_done(&text);
}

/* ---- forms ---- */

void respond_number(struct buf *out, uint64_t n)
{
	char digits[20];
	size_t at = sizeof(digits);

	do
		digits[--at] = (char)('0' + n % 10);
	while (n /= 10);
	buf_append(out, bytes_of(digits + at, sizeof(digits) - at));
}

enum string_form { STRING_PLAIN, STRING_ESCAPED, STRING_LITERAL };

/* 8-bit goes into literals: a rev1 client may not take it in quotes. */
static enum string_form string_form(struct bytes b)
{
	enum string_form form = STRING_PLAIN;

	if (b.len > QUOTED_MAX)
		return STRING_LITERAL;
	for (size_t i = 0; i < b.len; i++) {
		unsigned char c = (unsigned char)b.ptr[i];

		if (c >= 0x7f || c == '\r' || c == '\n' || c == 0)
			return STRING_LITERAL;
		if (c == '"' || c == '\\')
			form = STRING_ESCAPED;
	}
	return form;
}

static void put_escaped(struct buf *out, struct bytes b)
{
	for (size_t i = 0; i < b.len; i++) {
		if (b.ptr[i] == '"' || b.ptr[i] == '\\')
			buf_append_char(out, '\\');
		buf_append_char(out, b.ptr[i]);
	}
}

void respond_quoted(struct buf *out, struct bytes b)
{
	enum string_form form = string_form(b);

	if (form == STRING_LITERAL) {
		buf_printf(out, "{%zu}\r\n", b.len);
		buf_append(out, b);
		return;
	}
	buf_append_char(out, '"');
	if (form == STRING_ESCAPED)
		put_escaped(out, b);
	else
		buf_append(out, b);
	buf_append_char(out, '"');
}

void respond_nstring(struct buf *out, struct bytes b)
{
	if (b.ptr)
		respond_quoted(out, b);
	else
		buf_append(out, BYTES("NIL"));
}

static bool is_plain_name(struct bytes b)
{
	for (size_t i = 0; i < b.len; i++)
		if (!text_is_alnum(b.ptr[i]) && !strchr("/-_.+@", b.ptr[i]))
			return false;
	return b.len > 0 && !bytes_equal_nocase(b, BYTES("NIL"));
}

/* rev2 clients take UTF-8 in quotes (RFC 9051, 5.1). */
static void put_name(struct buf *out, struct bytes name)
{
	if (is_plain_name(name)) {
		buf_append(out, name);
	} else {
		buf_append_char(out, '"');
		put_escaped(out, name);
		buf_append_char(out, '"');
	}
}

void respond_mailbox(struct imap_server *s, struct buf *out, struct bytes name)
{
	struct buf utf7 = {0};

	if (!s->rev2) {
		name_to_utf7(name, &utf7);
		name = buf_bytes(&utf7);
	}
	put_name(out, name);
	buf_done(&utf7);
}

static const struct {
	uint64_t bit;
	const char *name;
} flag_names[] = {
        {MAIL_ANSWERED, "\\Answered"}, {MAIL_FLAGGED, "\\Flagged"}, {MAIL_DELETED, "\\Deleted"},
        {MAIL_SEEN, "\\Seen"},         {MAIL_DRAFT, "\\Draft"},
};

enum { FLAG_NAMES = sizeof(flag_names) / sizeof(flag_names[0]) };

static void put_flag(struct buf *out, bool *first, struct bytes name)
{
	if (!*first)
		buf_append_char(out, ' ');
	*first = false;
	buf_append(out, name);
}

void respond_flags(const struct imap_server *s, struct buf *out, uint64_t flags)
{
	const struct keywords *k = s->box.keywords;
	bool first = true;

	buf_append_char(out, '(');
	for (size_t i = 0; i < FLAG_NAMES; i++)
		if (flags & flag_names[i].bit)
			put_flag(out, &first, bytes_of_text(flag_names[i].name));
	flags >>= MAIL_KEYWORD_SHIFT;
	for (unsigned i = 0; k && flags && i < k->count; i++, flags >>= 1)
		if ((flags & 1) && k->names[i].len)
			put_flag(out, &first, k->names[i]);
	buf_append_char(out, ')');
}

void respond_mailbox_flags(struct imap_server *s)
{
	const uint64_t all = UINT64_MAX;

	buf_append_text(&s->out, "* FLAGS ");
	respond_flags(s, &s->out, all);
	if (s->box.read_only) {
		buf_append_text(&s->out, "\r\n* OK [PERMANENTFLAGS ()] Read-only\r\n");
		return;
	}
	buf_append_text(&s->out, "\r\n* OK [PERMANENTFLAGS ");
	respond_flags(s, &s->out, all);
	buf_truncate(&s->out, buf_len(&s->out) - 1);
	buf_append_text(&s->out, " \\*)] Flags that stay\r\n");
}

void respond_date_time(struct buf *out, time_ms t)
{
	struct time_civil c = time_to_civil(t, 0);

	buf_printf(out, "\"%02d-%s-%04d %02d:%02d:%02d +0000\"", c.day, time_months[c.month - 1],
	           c.year, c.hour, c.minute, c.second);
}
