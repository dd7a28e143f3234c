#include "smtp/client_stuffing.h"

/* After a CR at the end of the last piece. */
static size_t after_cr(struct smtp_stuffing *s, struct bytes in, struct buf *out)
{
	bool pair = in.ptr[0] == '\n';

	buf_append(out, pair ? BYTES("\r\n") : BYTES(" "));
	s->state = pair ? STUFFING_LINE_START : STUFFING_IN_LINE;
	return pair;
}

/* A run without CR and LF, then what ends it, which is at `end` (in.len: nothing does). Returns octets used. */
static size_t run(struct smtp_stuffing *s, struct bytes in, size_t end, struct buf *out)
{
	bool pair = end + 1 < in.len && in.ptr[end] == '\r' && in.ptr[end + 1] == '\n';

	if (end > 0)
		s->state = STUFFING_IN_LINE;
	if (pair) {
		buf_append(out, bytes_first(in, end + 2));
		s->state = STUFFING_LINE_START;
		return end + 2;
	}
	buf_append(out, bytes_first(in, end));
	if (end == in.len)
		return end;
	if (in.ptr[end] == '\r' && end + 1 == in.len) {
		s->state = STUFFING_CR;
	} else {
		buf_append_char(out, ' ');
		s->state = STUFFING_IN_LINE;
	}
	return end + 1;
}

static size_t find(struct bytes in, size_t from, char c)
{
	const char *at = from < in.len ? memchr(in.ptr + from, c, in.len - from) : NULL;

	return at ? (size_t)(at - in.ptr) : in.len;
}

void smtp_stuffing_add(struct smtp_stuffing *s, struct bytes in, struct buf *out)
{
	size_t at = 0, cr = 0, lf = 0;

	if (in.len == 0)
		return;
	if (s->state == STUFFING_CR)
		at = after_cr(s, in, out);
	/* The next CR and LF are remembered, so that many of one kind do not make the other searched for again and again. */
	cr = find(in, at, '\r');
	lf = find(in, at, '\n');
	while (at < in.len) {
		if (s->state == STUFFING_LINE_START && in.ptr[at] == '.')
			buf_append_char(out, '.');
		at += run(s, bytes_skip(in, at), (cr < lf ? cr : lf) - at, out);
		if (cr < at)
			cr = find(in, at, '\r');
		if (lf < at)
			lf = find(in, at, '\n');
	}
}

void smtp_stuffing_end(struct smtp_stuffing *s, struct buf *out)
{
	if (s->state == STUFFING_CR)
		buf_append_char(out, ' ');
	buf_append(out, s->state == STUFFING_LINE_START ? BYTES(".\r\n") : BYTES("\r\n.\r\n"));
	s->state = STUFFING_LINE_START;
}
