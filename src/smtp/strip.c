#include "smtp/strip.h"

#include "base/text.h"
#include "verify/authres.h"

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* The name before the colon, blanks after it aside (RFC 5322, 2.2; 4.5.8 has blanks there). A line that has nothing but a name and
 * blanks as far as it is looked at counts, too: programs find the colon. Empty: the line is no field. */
static struct bytes field_name(struct bytes line)
{
	size_t end = 0, at;

	while (end < line.len && line.ptr[end] > ' ' && line.ptr[end] < 0x7f &&
	       line.ptr[end] != ':')
		end++;
	at = end;
	while (at < line.len && is_blank(line.ptr[at]))
		at++;
	return at == line.len || line.ptr[at] == ':' ? bytes_first(line, end) : (struct bytes){0};
}

static bool is_results(struct bytes name)
{
	return bytes_equal_nocase(name, BYTES("Authentication-Results"));
}

/* What the verdict is told in: nobody else's. */
static bool is_verdict(struct bytes name)
{
	return bytes_equal_nocase(name, BYTES("X-Hikyaku-Verdict")) ||
	       bytes_equal_nocase(name, BYTES("X-Hikyaku-Judgement"));
}

/* Only that ends the header: programs read on over lines that are no fields (mail/header.h does). */
static bool is_end(struct bytes line)
{
	return line.ptr[0] == '\n' || (line.len > 1 && line.ptr[0] == '\r' && line.ptr[1] == '\n');
}

/* The field that was held is whole. */
static void release(struct smtp_strip *s, struct bytes hostname, struct buf *out)
{
	struct bytes field = buf_bytes(&s->held);
	size_t colon = bytes_find_char(field, ':');
	struct bytes value = colon == BYTES_NONE ? field : bytes_skip(field, colon + 1);

	if (s->holding && !s->too_long && !is_verdict(field_name(field)) &&
	    !authres_is_ours(value, hostname))
		buf_append(out, field);
	buf_clear(&s->held);
	s->holding = s->too_long = false;
}

static void pass(struct smtp_strip *s, struct bytes piece, struct buf *out)
{
	if (!s->holding)
		buf_append(out, piece);
	else if (buf_len(&s->held) + piece.len > SMTP_STRIP_FIELD)
		s->too_long = true;
	else
		buf_append(&s->held, piece);
}

static bool is_line(struct bytes line)
{
	return line.len > 0 && line.ptr[line.len - 1] == '\n';
}

/* The line's beginning is here: which way does it go? */
static void judge_line(struct smtp_strip *s, struct bytes hostname, struct buf *out)
{
	struct bytes line = buf_bytes(&s->line);

	if (!is_blank(line.ptr[0])) {
		struct bytes name = field_name(line);

		release(s, hostname, out);
		s->holding = is_results(name) || is_verdict(name);
		s->body = is_end(line);
	}
	pass(s, line, out);
	s->mid_line = !s->body && !is_line(line);
	buf_clear(&s->line);
}

static size_t line_len(struct bytes in, size_t max)
{
	size_t lf = bytes_find_char(in, '\n');
	size_t len = lf == BYTES_NONE ? in.len : lf + 1;

	return len < max ? len : max;
}

void smtp_strip_feed(struct smtp_strip *s, struct bytes run, struct bytes hostname, struct buf *out)
{
	while (run.len > 0 && !s->body) {
		size_t len;

		if (s->mid_line) {
			len = line_len(run, run.len);
			pass(s, bytes_first(run, len), out);
			s->mid_line = run.ptr[len - 1] != '\n';
		} else {
			len = line_len(run, SMTP_STRIP_NAME - buf_len(&s->line));
			buf_append(&s->line, bytes_first(run, len));
			if (run.ptr[len - 1] == '\n' || buf_len(&s->line) == SMTP_STRIP_NAME)
				judge_line(s, hostname, out);
		}
		run = bytes_skip(run, len);
	}
	buf_append(out, run);
}

void smtp_strip_end(struct smtp_strip *s, struct bytes hostname, struct buf *out)
{
	if (buf_len(&s->line) > 0)
		judge_line(s, hostname, out);
	release(s, hostname, out);
}

void smtp_strip_done(struct smtp_strip *s)
{
	buf_done(&s->line);
	buf_done(&s->held);
}
