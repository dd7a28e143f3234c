/* A mail on its way to the client: RETR and TOP (RFC 1939, 5 and 7), read in pieces while the output
 * has room. Lines that begin with a dot get one more; line ends become CRLF, so that no mail, however
 * it was stored, can end the response early. */
#include "pop3/session.h"

static void stream_ask(struct pop3_server *s)
{
	pop3_ask(s, STEP_READ,
	         (struct ask){
	                 .kind = ASK_READ,
	                 .read = {.mailbox = s->mailbox,
	                          .uid = s->mails[s->stream.nth].uid,
	                          .offset = s->stream.offset,
	                          .len = s->stream.top && !s->stream.offset ? 8192 : LIMIT_READ}});
}

void stream_begin(struct pop3_server *s, uint32_t nth, bool top, uint64_t lines)
{
	s->stream = (struct pop3_stream){.nth = nth, .top = top, .lines = lines};
	stream_ask(s);
}

/* A line has ended: TOP counts. Blank: the header ends. */
static void line_ended(struct pop3_stream *t, bool blank)
{
	if (!t->top)
		return;
	if (t->in_body && t->lines)
		t->lines--;
	else if (blank)
		t->in_body = true;
	if (t->in_body && !t->lines)
		t->ended = true;
}

static void put_line_end(struct pop3_server *s)
{
	struct pop3_stream *t = &s->stream;
	bool blank = t->column == 0;

	buf_append_text(&s->out, "\r\n");
	t->column = 0;
	t->cr = false;
	line_ended(t, blank);
}

/* The part of a line that lies in this chunk, up to the octet before a CR or LF. */
static size_t run_length(struct bytes b)
{
	const char *cr = memchr(b.ptr, '\r', b.len),
	           *lf = memchr(b.ptr, '\n', cr ? (size_t)(cr - b.ptr) : b.len);

	return lf ? (size_t)(lf - b.ptr) : cr ? (size_t)(cr - b.ptr) : b.len;
}

static void put_text(struct pop3_server *s, struct bytes text)
{
	struct pop3_stream *t = &s->stream;

	if (!t->column && text.ptr[0] == '.')
		buf_append_char(&s->out, '.');
	buf_append(&s->out, text);
	t->column += text.len;
}

/* A CR that no LF follows is an octet like any other. */
static void put_lone_cr(struct pop3_server *s)
{
	s->stream.cr = false;
	put_text(s, BYTES("\r"));
}

static void put_chunk(struct pop3_server *s, struct bytes b)
{
	struct pop3_stream *t = &s->stream;

	while (b.len && !t->ended) {
		size_t n = 1;

		if (b.ptr[0] == '\n') {
			put_line_end(s);
		} else if (t->cr) {
			put_lone_cr(s);
			continue;
		} else if (b.ptr[0] == '\r') {
			t->cr = true;
		} else {
			n = run_length(b);
			put_text(s, bytes_first(b, n));
		}
		b = bytes_skip(b, n);
	}
}

static void stream_end(struct pop3_server *s)
{
	struct pop3_stream *t = &s->stream;

	if (t->cr)
		put_lone_cr(s);
	if (t->column)
		buf_append_text(&s->out, "\r\n");
	buf_append_text(&s->out, ".\r\n");
	if (!t->top)
		s->mails[t->nth].bits |= MAIL_BIT_READ;
	s->step = STEP_NONE;
}

/* Before +OK there is a word for it; after it only the end of the connection tells the client that
 * what it has is not the mail. */
static void stream_failed(struct pop3_server *s, const struct answer *a)
{
	bool lost = a->result == LOST || a->result == UNAVAILABLE || a->result == DENIED;

	if (lost && pop3_again(s))
		return;
	s->step = STEP_NONE;
	pop3_note(s, "pop3-read-failed", "uid=%u result=%s", s->mails[s->stream.nth].uid,
	          result_name(a->result));
	if (s->stream.began)
		s->finished = true;
	else if (a->result == NOT_FOUND)
		pop3_err(s, "Somebody else removed message %u", s->stream.nth + 1);
	else if (a->result == DAMAGED)
		pop3_err(s, "[SYS/PERM] Message %u is damaged on our disk", s->stream.nth + 1);
	else
		pop3_err(s, "[SYS/TEMP] Message %u cannot be read just now", s->stream.nth + 1);
}

void stream_answer(struct pop3_server *s, const struct answer *a)
{
	struct pop3_stream *t = &s->stream;

	if (a->result != OK) {
		stream_failed(s, a);
		return;
	}
	if (!t->began)
		pop3_ok(s, "%llu octets", (unsigned long long)a->read.total);
	t->began = true;
	put_chunk(s, a->read.chunk);
	t->offset += a->read.chunk.len;
	if (!a->read.chunk.len || t->offset >= a->read.total)
		t->ended = true;
	if (t->ended)
		stream_end(s);
}

/* There is room again. */
void stream_pump(struct pop3_server *s)
{
	if (s->retry_at == TIME_NEVER)
		stream_ask(s);
}
