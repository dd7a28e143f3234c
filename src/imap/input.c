/* From octets to whole commands: lines, literals between them, and where APPEND's message goes. */
#include "base/memory.h"
#include "imap/session.h"

enum {
	ANONYMOUS_MAX = 40 * 1024, /* a command before login: ID may be 32 KiB (RFC 2971, 3.3) */
	ANSWER_MAX = 16 * 1024,    /* a line of SASL or DONE */
	MORE_MAX = 2 * LIMIT_IMAP_LINE, /* a command with its literals */
};

static size_t command_max(const struct imap_server *s)
{
	return s->state == IMAP_NOT_AUTH ? ANONYMOUS_MAX : MORE_MAX;
}

static size_t line_max(const struct imap_server *s)
{
	return s->state == IMAP_NOT_AUTH ? ANONYMOUS_MAX : LIMIT_IMAP_LINE;
}

static void forget(struct imap_server *s)
{
	buf_clear(&s->in);
	s->line_start = 0;
}

void input_reset(struct imap_server *s)
{
	memory_wipe(s->in.ptr, s->in.size);
	forget(s);
	s->input = INPUT_COMMAND;
}

/* The tag of what has come so far, for a refusal; "*" when there is none. */
static struct bytes tag_so_far(struct imap_server *s)
{
	struct cursor c = cursor_of(buf_bytes(&s->in), &s->arena);
	struct bytes tag;

	return token_tag(&c, &tag) && token_peek(&c) == ' ' ? tag : BYTES("*");
}

/* Answers a command that is not read to its end. */
static void refuse(struct imap_server *s, const char *text)
{
	struct bytes tag = tag_so_far(s);

	buf_printf(&s->out, "%.*s BAD %s\r\n", BYTES_ARG(tag), text);
	forget(s);
	if (++s->errors > s->options->errors_max)
		imap_bye(s, "Too many errors");
}

/* Any literal but APPEND's message: it becomes part of the command. */
static void begin_literal(struct imap_server *s, const struct literal_head *head)
{
	if (head->size > command_max(s) - buf_len(&s->in)) {
		refuse(s, "[TOOBIG] Literal too big");
		if (!head->sync)
			imap_bye(s, "[TOOBIG] Literal too big");
		return;
	}
	if (head->sync)
		buf_append_text(&s->out, "+ Go on\r\n");
	s->literal_left = head->size;
	s->input = head->size ? INPUT_LITERAL : INPUT_COMMAND;
	s->line_start = buf_len(&s->in);
}

static void line_done(struct imap_server *s)
{
	struct bytes line = bytes_skip(buf_bytes(&s->in), s->line_start);
	struct literal_head head;

	line = bytes_first(line, line.len - 2);
	if (token_literal_head(line, &head)) {
		if (!append_begin(s, &head))
			begin_literal(s, &head);
		return;
	}
	buf_truncate(&s->in, buf_len(&s->in) - 2);
	command_dispatch(s);
}

/* A bare LF ends a line as well, for people with telnet; the command then has CRLF all the same. */
static void end_with_crlf(struct buf *b)
{
	struct bytes all = buf_bytes(b);

	if (bytes_ends(all, BYTES("\r\n")))
		return;
	buf_truncate(b, all.len - 1);
	buf_append_text(b, "\r\n");
}

/* Octets that the line and the command may still have. */
static size_t room_left(const struct imap_server *s)
{
	size_t line = line_max(s) - (buf_len(&s->in) - s->line_start);
	size_t command = command_max(s) - buf_len(&s->in);

	return line < command ? line : command;
}

static size_t take_command(struct imap_server *s, struct bytes in)
{
	size_t lf = bytes_find_char(in, '\n');
	size_t len = lf == BYTES_NONE ? in.len : lf + 1;
	size_t room = room_left(s);

	buf_append(&s->in, bytes_first(in, len < room ? len : room));
	if (len > room) {
		refuse(s, "[LIMIT] Line too long");
		s->input = lf == BYTES_NONE ? INPUT_SKIP : INPUT_COMMAND;
		return len;
	}
	if (lf == BYTES_NONE)
		return len;
	end_with_crlf(&s->in);
	line_done(s);
	return len;
}

static size_t take_literal(struct imap_server *s, struct bytes in)
{
	size_t len = in.len < s->literal_left ? in.len : s->literal_left;

	buf_append(&s->in, bytes_first(in, len));
	s->literal_left -= len;
	if (s->literal_left == 0) {
		s->input = INPUT_COMMAND;
		s->line_start = buf_len(&s->in);
	}
	return len;
}

static size_t take_skip(struct imap_server *s, struct bytes in)
{
	size_t lf = bytes_find_char(in, '\n');

	if (lf == BYTES_NONE)
		return in.len;
	s->input = INPUT_COMMAND;
	return lf + 1;
}

/* A line into `line`; true when it is whole (its end is taken off). */
static bool take_line(struct imap_server *s, struct bytes in, size_t *ret_len)
{
	size_t lf = bytes_find_char(in, '\n');
	size_t len = lf == BYTES_NONE ? in.len : lf + 1;

	*ret_len = len;
	if (buf_len(&s->line) + len > ANSWER_MAX) {
		imap_bye(s, "[LIMIT] Line too long");
		return false;
	}
	buf_append(&s->line, bytes_first(in, len));
	if (lf == BYTES_NONE)
		return false;
	end_with_crlf(&s->line);
	buf_truncate(&s->line, buf_len(&s->line) - 2);
	return true;
}

static size_t take_answer_line(struct imap_server *s, struct bytes in)
{
	size_t len;

	if (!take_line(s, in, &len))
		return len;
	s->run.wants_line = false;
	s->run.command->line(s, buf_bytes(&s->line));
	memory_wipe(s->line.ptr, s->line.size);
	buf_clear(&s->line);
	return len;
}

static size_t take_tail(struct imap_server *s, struct bytes in)
{
	size_t len;

	if (!take_line(s, in, &len))
		return len;
	s->input = INPUT_COMMAND;
	append_tail(s, buf_bytes(&s->line));
	buf_clear(&s->line);
	return len;
}

size_t input_take(struct imap_server *s, struct bytes in)
{
	if (s->run.command)
		return take_answer_line(s, in);
	switch (s->input) {
	case INPUT_COMMAND: return take_command(s, in);
	case INPUT_LITERAL: return take_literal(s, in);
	case INPUT_SKIP: return take_skip(s, in);
	case INPUT_MESSAGE: return append_take(s, in);
	default: return take_tail(s, in);
	}
}
