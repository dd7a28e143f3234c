/* stdin becomes a message.
 *
 * Line ends: LF and CRLF (also with several CRs before the LF) become CRLF. A CR in the middle of a line ends a line of the
 * body (progress bars in cron's mail), and is a blank in the header, where it must not make a new field. A line that is a lone
 * dot ends the message unless -i. What has no line end at the end gets one.
 *
 * Header: lines `Name: ...` and their continuations. It ends at a blank line, or at the first line that is neither: then
 * that line is the body's first. An mbox line `From ...` at the top is dropped.
 *
 * Memory: the header, and SENDMAIL_MEMORY of the body; the rest is in a file without a name. It is kept until the server
 * has it, because a server that restarts in the middle must be told it again. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/text.h"
#include "cli/sendmail.h"

enum {
	SENDMAIL_MEMORY = 1024 * 1024,
	PIECE = 64 * 1024,
	NAME_MAX_LEN = 998, /* RFC 5322, 2.1.1: a line without a colon by then is no field */
};

struct reader {
	const struct sendmail *s;
	struct sendmail_message *m;
	struct buf piece; /* of the body, on its way to the file */
	uint64_t max, size;
	size_t line;     /* where the header's current line begins */
	bool in_body;    /* the header is over */
	bool line_begun; /* something stands on this line */
	bool dot;        /* ... and it is one dot, not written yet */
	bool cr;         /* the last octet was a CR, not written yet */
	bool ended;      /* by the lone dot */
	bool dropped;    /* the mbox line */
	int code;
};

/* ---- the body's place ---- */

static int open_unnamed(void)
{
	const char *folders[] = {getenv("TMPDIR"), "/var/tmp", "/tmp"};
	int fd = -1;

	for (size_t i = 0; fd < 0 && i < sizeof(folders) / sizeof(*folders); i++)
		if (folders[i] && folders[i][0] == '/')
			fd = open(folders[i], O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	return fd >= 0 ? fd : memfd_create("sendmail", MFD_CLOEXEC);
}

static bool write_all(int fd, struct bytes data, uint64_t offset)
{
	while (data.len > 0) {
		ssize_t n = pwrite(fd, data.ptr, data.len, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		offset += (uint64_t)n;
		data = bytes_skip(data, (size_t)n);
	}
	return true;
}

/* No room on the disk: what was written goes into memory; the server's largest mail bounds it. */
static bool move_to_memory(struct sendmail_message *m)
{
	char room[16 * 1024];
	int fd = memfd_create("sendmail", MFD_CLOEXEC);
	uint64_t at = 0;
	bool good = fd >= 0;

	while (good && at < m->file_len) {
		ssize_t n = pread(m->file, room, sizeof(room), (off_t)at);

		good = n > 0 && write_all(fd, bytes_of(room, (size_t)n), at);
		at += n > 0 ? (uint64_t)n : 0;
	}
	if (!good) {
		if (fd >= 0)
			close(fd);
		return false;
	}
	close(m->file);
	m->file = fd;
	return true;
}

static void flush_piece(struct reader *r)
{
	struct sendmail_message *m = r->m;
	struct bytes data = buf_bytes(&r->piece);

	if (m->file < 0)
		m->file = open_unnamed();
	if (m->file < 0 || (!write_all(m->file, data, m->file_len) &&
	                    (!move_to_memory(m) || !write_all(m->file, data, m->file_len))))
		r->code = sendmail_fail(r->s, EX_TEMPFAIL, "cannot keep the message: %s",
		                        strerror(errno));
	m->file_len += data.len;
	buf_clear(&r->piece);
}

static void body_put(struct reader *r, struct bytes data)
{
	if (r->m->file < 0 && buf_len(&r->piece) == 0 &&
	    buf_len(&r->m->body) + data.len <= SENDMAIL_MEMORY) {
		buf_append(&r->m->body, data);
		return;
	}
	buf_append(&r->piece, data);
	if (buf_len(&r->piece) >= PIECE)
		flush_piece(r);
}

/* ---- header lines ---- */

static struct bytes current_line(const struct reader *r)
{
	return bytes_skip(buf_bytes(&r->m->header), r->line);
}

/* `Name:` or `Name :`, printable and without a blank inside (RFC 5322, 2.2 and 4.5). */
static bool is_field(struct bytes line)
{
	size_t i = 0;

	while (i < line.len && line.ptr[i] > ' ' && line.ptr[i] < 0x7f && line.ptr[i] != ':')
		i++;
	if (i == 0)
		return false;
	while (i < line.len && text_is_blank(line.ptr[i]))
		i++;
	return i < line.len && line.ptr[i] == ':';
}

static bool belongs_to_header(const struct reader *r, struct bytes line)
{
	if (line.len > 0 && text_is_blank(line.ptr[0]))
		return r->line > 0;
	return is_field(line);
}

static bool is_mbox_line(const struct reader *r, struct bytes line)
{
	return r->line == 0 && !r->dropped && bytes_starts(line, BYTES("From "));
}

/* The header was over before this line. */
static void line_is_body(struct reader *r)
{
	struct bytes line = current_line(r);

	r->in_body = true;
	body_put(r, line);
	buf_truncate(&r->m->header, r->line);
}

static void header_put(struct reader *r, char c)
{
	struct bytes line;

	buf_append_char(&r->m->header, c);
	line = current_line(r);
	if (line.len == NAME_MAX_LEN && !belongs_to_header(r, line) && !is_mbox_line(r, line))
		line_is_body(r);
	else if (buf_len(&r->m->header) > SENDMAIL_HEADER_MAX)
		r->code = sendmail_fail(r->s, EX_DATAERR, "the header has more than %d octets",
		                        SENDMAIL_HEADER_MAX);
}

static void header_line_end(struct reader *r)
{
	struct bytes line = current_line(r);

	if (line.len == 0) {
		r->in_body = true;
	} else if (is_mbox_line(r, line)) {
		r->dropped = true;
		buf_truncate(&r->m->header, r->line);
	} else if (belongs_to_header(r, line)) {
		buf_append_text(&r->m->header, "\r\n");
		r->line = buf_len(&r->m->header);
	} else {
		line_is_body(r);
		body_put(r, BYTES("\r\n"));
	}
}

/* ---- octets ---- */

static void put(struct reader *r, char c)
{
	r->line_begun = true;
	r->size++;
	if ((unsigned char)c >= 0x80)
		r->m->eight_bit = true;
	if (r->in_body)
		body_put(r, bytes_of(&c, 1));
	else
		header_put(r, c);
}

static void put_line_end(struct reader *r)
{
	r->line_begun = false;
	r->size += 2;
	if (r->in_body)
		body_put(r, BYTES("\r\n"));
	else
		header_line_end(r);
}

static void take_line_end(struct reader *r)
{
	r->cr = false;
	if (r->dot && !r->s->dot_is_text) {
		r->ended = true;
		return;
	}
	if (r->dot)
		put(r, '.');
	r->dot = false;
	put_line_end(r);
}

/* A CR that no LF followed. */
static void take_lone_cr(struct reader *r)
{
	r->cr = false;
	if (r->dot)
		put(r, '.');
	r->dot = false;
	if (r->in_body)
		put_line_end(r);
	else
		put(r, ' ');
}

static void take(struct reader *r, char c)
{
	if (c == '\n') {
		take_line_end(r);
		return;
	}
	if (c == '\r') {
		r->cr = true;
		return;
	}
	if (r->cr)
		take_lone_cr(r);
	if (c == '.' && !r->line_begun && !r->dot) {
		r->dot = true;
		return;
	}
	if (r->dot)
		put(r, '.');
	r->dot = false;
	put(r, c);
}

/* Octets of a body's line that need no second look. */
static size_t plain_run(const struct reader *r, struct bytes in)
{
	size_t n = 0;

	if (!r->in_body || !r->line_begun || r->cr || r->dot)
		return 0;
	while (n < in.len && in.ptr[n] != '\r' && in.ptr[n] != '\n' &&
	       (unsigned char)in.ptr[n] < 0x80)
		n++;
	return n;
}

static void take_all(struct reader *r, struct bytes in)
{
	while (in.len > 0 && !r->ended && r->code == EX_OK) {
		size_t n = plain_run(r, in);

		if (n > 0) {
			body_put(r, bytes_first(in, n));
			r->size += n;
		} else {
			take(r, in.ptr[0]);
			n = 1;
		}
		in = bytes_skip(in, n);
		if (r->size > r->max)
			r->code = sendmail_fail(
			        r->s, EX_DATAERR,
			        "the message is too big: this server takes at most %llu octets",
			        (unsigned long long)r->max);
	}
}

static void finish(struct reader *r)
{
	if (!r->ended && (r->line_begun || r->dot || r->cr))
		take_line_end(r);
	if (r->code == EX_OK && buf_len(&r->piece))
		flush_piece(r);
}

int sendmail_message_read(const struct sendmail *s, int fd, uint64_t max,
                          struct sendmail_message *ret)
{
	char room[PIECE];
	struct reader r = {.s = s, .m = ret, .max = max};
	ssize_t n = 1;

	while (n != 0 && !r.ended && r.code == EX_OK) {
		n = read(fd, room, sizeof(room));
		if (n < 0 && errno != EINTR)
			r.code = sendmail_fail(s, EX_IOERR, "stdin: %s", strerror(errno));
		else if (n > 0)
			take_all(&r, bytes_of(room, (size_t)n));
	}
	if (r.code == EX_OK)
		finish(&r);
	buf_done(&r.piece);
	return r.code;
}

/* ---- giving it back ---- */

uint64_t sendmail_message_size(const struct sendmail_message *m)
{
	return buf_len(&m->header) + 2 + buf_len(&m->body) + m->file_len;
}

bool sendmail_message_body(const struct sendmail_message *m, uint64_t offset, char *ptr,
                           size_t size, size_t *ret_len)
{
	uint64_t in_memory = buf_len(&m->body);
	struct bytes rest;
	ssize_t n;

	if (offset < in_memory) {
		rest = bytes_first(bytes_skip(buf_bytes(&m->body), (size_t)offset), size);
		memcpy(ptr, rest.ptr, rest.len);
		*ret_len = rest.len;
		return true;
	}
	*ret_len = 0;
	if (m->file < 0 || offset - in_memory >= m->file_len)
		return true;
	do
		n = pread(m->file, ptr, size, (off_t)(offset - in_memory));
	while (n < 0 && errno == EINTR);
	if (n <= 0)
		return false;
	*ret_len = (size_t)n;
	return true;
}

void sendmail_message_done(struct sendmail_message *m)
{
	buf_done(&m->header);
	buf_done(&m->body);
	if (m->file >= 0)
		close(m->file);
	m->file = -1;
}
