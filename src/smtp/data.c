#include "smtp/data.h"

/* From inside a line to past its end, or to the end of the input. */
static size_t line_rest(struct smtp_data *d, struct bytes in)
{
	const char *lf = memchr(in.ptr, '\n', in.len);
	size_t len = lf ? (size_t)(lf - in.ptr) + 1 : in.len;
	/* Of the line, without the CRLF that it should end with, or a CR at the end of the
	 * input. */
	size_t text = len, ending = 0;

	if (lf)
		ending = len >= 2 && lf[-1] == '\r' ? 2 : 0;
	else
		ending = in.ptr[len - 1] == '\r' ? 1 : 0;
	text -= ending;
	if ((lf && ending == 0) || memchr(in.ptr, '\r', text))
		d->bare = true;
	if (ending == 2)
		d->state = DATA_LINE_START;
	else if (ending == 1)
		d->state = DATA_CR;
	return len;
}

/* The states in which one octet decides. Returns how many are taken as content (0 or 1). */
static size_t after_cr(struct smtp_data *d, char c)
{
	d->state = c == '\n' ? DATA_LINE_START : DATA_IN_LINE;
	if (c == '\n')
		return 1;
	d->bare = true;
	return 0;
}

/* An octet after a dot that stood first in its line. True: it is taken, and no content. */
static bool after_dot(struct smtp_data *d, char c, bool *ret_end)
{
	if (d->state == DATA_DOT && c == '\r') {
		d->state = DATA_DOT_CR;
		return true;
	}
	if (d->state == DATA_DOT_CR && c == '\n') {
		d->state = DATA_LINE_START;
		*ret_end = true;
		return true;
	}
	/* <CR>.<CR>x, or a stuffed dot: the line goes on with this octet. */
	if (d->state == DATA_DOT_CR)
		d->bare = true;
	d->state = DATA_IN_LINE;
	return false;
}

size_t smtp_data_next(struct smtp_data *d, struct bytes in, struct bytes *ret_run, bool *ret_end)
{
	size_t start = 0, at = 0;

	*ret_end = false;
	while (at < in.len && (d->state == DATA_DOT || d->state == DATA_DOT_CR)) {
		if (after_dot(d, in.ptr[at], ret_end))
			start = ++at;
		if (*ret_end)
			break;
	}
	while (at < in.len && !*ret_end) {
		if (d->state == DATA_CR) {
			at += after_cr(d, in.ptr[at]);
		} else if (d->state == DATA_LINE_START && in.ptr[at] == '.') {
			d->state = DATA_DOT;
			break;
		} else {
			d->state = DATA_IN_LINE;
			at += line_rest(d, bytes_skip(in, at));
		}
	}
	*ret_run = bytes_of(in.ptr + start, at - start);
	return at + (d->state == DATA_DOT && at < in.len ? 1 : 0);
}
