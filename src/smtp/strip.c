#include "smtp/strip.h"

#include "base/text.h"
#include "verify/authres.h"

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* The colon that ends a field's name (RFC 5322, 2.2; 4.5.8 has blanks before it); BYTES_NONE: the line is no field. */
static size_t name_end(struct bytes line)
{
	size_t at = 0;

	while (at < line.len && line.ptr[at] > ' ' && line.ptr[at] < 0x7f && line.ptr[at] != ':')
		at++;
	if (at == 0)
		return BYTES_NONE;
	while (at < line.len && is_blank(line.ptr[at]))
		at++;
	return at < line.len && line.ptr[at] == ':' ? at : BYTES_NONE;
}

static bool is_results(struct bytes line)
{
	size_t colon = name_end(line);

	return colon != BYTES_NONE && bytes_equal_nocase(bytes_trim(bytes_first(line, colon)),
	                                                 BYTES("Authentication-Results"));
}

/* The field that was held is whole. */
static void release(struct smtp_strip *s, struct bytes hostname, struct buf *out)
{
	struct bytes field = buf_bytes(&s->held);
	struct bytes value = bytes_skip(field, bytes_find_char(field, ':') + 1);

	if (s->holding && !s->too_long && !authres_is_ours(value, hostname))
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
		release(s, hostname, out);
		s->holding = is_results(line);
		s->body = !s->holding && is_line(line) && name_end(line) == BYTES_NONE;
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
