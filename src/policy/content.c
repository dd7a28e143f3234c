/* What comes in is cut down while it comes: header fields, text and the lines that hold the parts together are kept, bodies
 * that are no text are not. What is left is a mail again, small, which content_read.c takes apart with mail/.
 *
 *	HEADER  its blank line: multipart -> SKIP (what stands before the first part), message/rfc822 -> HEADER,
 *	        text -> TEXT, anything else -> SKIP
 *	TEXT    CONTENT_PART octets, then as SKIP
 *	SKIP    dropped
 *	        in both, a line that is one of the boundaries named so far: HEADER, or SKIP after the last part
 */
#include "base/memory.h"
#include "base/text.h"
#include "mail/mime.h"
#include "policy/content_inside.h"

enum {
	LINE_MAX_LEN = 4096, /* longer ones are not looked at */
	HEADER_MAX = 64 * 1024,
	TYPE_MAX = 4096,
	BOUNDARIES_MAX = 64,
};

struct content *content_new(void)
{
	struct content *c = NEW(struct content);

	c->first = true;
	return c;
}

void content_free(struct content **c)
{
	if (!*c)
		return;
	buf_done(&(*c)->kept);
	buf_done(&(*c)->line);
	buf_done(&(*c)->type);
	buf_done(&(*c)->text);
	buf_done(&(*c)->folded);
	buf_done(&(*c)->packed);
	arena_done(&(*c)->arena);
	memory_free(*c);
	*c = NULL;
}

static void keep(struct content *c, struct bytes octets)
{
	size_t room = CONTENT_KEEP - buf_len(&c->kept);

	if (octets.len <= room)
		buf_append(&c->kept, octets);
}

/* ---- headers ---- */

static void add_boundary(struct content *c, const struct mime_param *params)
{
	struct bytes boundary = bytes_trim(mime_param_find(params, BYTES("boundary")));

	if (boundary.len == 0 || c->boundary_count == BOUNDARIES_MAX)
		return;
	if (!c->boundaries)
		c->boundaries = arena_get(&c->arena, BOUNDARIES_MAX * sizeof(*c->boundaries));
	c->boundaries[c->boundary_count++] = arena_copy(&c->arena, boundary);
}

/* The header is over. */
static void decide(struct content *c)
{
	struct bytes type = {0}, subtype = {0};
	struct mime_param *params = NULL;

	mime_value_parse(buf_bytes(&c->type), &c->arena, &type, &subtype, &params);
	c->part_len = 0;
	c->state = CONTENT_SKIP;
	if (bytes_equal(type, BYTES("multipart")))
		add_boundary(c, params);
	else if (type.len == 0 || bytes_equal(type, BYTES("text")))
		c->state = CONTENT_TEXT;
	else if (bytes_equal(type, BYTES("message")) &&
	         !bytes_equal(subtype, BYTES("delivery-status")))
		c->state = CONTENT_HEADER;
	c->first = true;
	c->header_len = 0;
	buf_clear(&c->type);
}

static bool is_field(struct bytes line)
{
	size_t colon = bytes_find_char(line, ':');

	return colon != BYTES_NONE && colon > 0 &&
	       bytes_find_char(bytes_first(line, colon), ' ') == BYTES_NONE;
}

static void take_text(struct content *c, struct bytes line);
static bool take_boundary(struct content *c, struct bytes line);

static void take_header(struct content *c, struct bytes line)
{
	struct bytes text = bytes_trim(line);
	bool folded = line.len && text_is_blank(line.ptr[0]);

	if (take_boundary(c, line))
		return;
	if (c->first && text.len && !is_field(text)) { /* no header at all */
		decide(c);
		take_text(c, line);
		return;
	}
	c->first = false;
	c->header_len += line.len;
	if (c->header_len <= HEADER_MAX || text.len == 0)
		keep(c, line);
	if (text.len == 0 && !folded) {
		decide(c);
		return;
	}
	if (!folded) {
		c->typed = bytes_starts_nocase(text, BYTES("Content-Type")) &&
		           bytes_starts(bytes_trim(bytes_skip(text, 12)), BYTES(":"));
		if (c->typed) {
			buf_clear(&c->type);
			text = bytes_skip(text, bytes_find_char(text, ':') + 1);
		}
	}
	if (c->typed && buf_len(&c->type) + text.len < TYPE_MAX) {
		buf_append_char(&c->type, ' ');
		buf_append(&c->type, text);
	}
}

/* ---- bodies ---- */

static bool is_boundary(const struct content *c, struct bytes line, bool *ret_last)
{
	line = bytes_skip(line, 2);
	for (size_t i = 0; i < c->boundary_count; i++) {
		struct bytes rest;

		if (!bytes_starts(line, c->boundaries[i]))
			continue;
		rest = bytes_skip(line, c->boundaries[i].len);
		*ret_last = bytes_starts(rest, BYTES("--"));
		rest = bytes_skip(rest, *ret_last ? 2 : 0);
		if (rest.len == 0 || bytes_find_char(BYTES(" \t\r\n"), rest.ptr[0]) != BYTES_NONE)
			return true;
	}
	return false;
}

static bool take_boundary(struct content *c, struct bytes line)
{
	bool last = false;

	if (!bytes_starts(line, BYTES("--")) || !is_boundary(c, line, &last))
		return false;
	keep(c, line);
	c->state = last ? CONTENT_SKIP : CONTENT_HEADER;
	c->first = true;
	c->header_len = 0;
	buf_clear(&c->type);
	return true;
}

static void take_text(struct content *c, struct bytes line)
{
	if (take_boundary(c, line) || c->state != CONTENT_TEXT)
		return;
	c->part_len += line.len;
	if (c->part_len <= CONTENT_PART)
		keep(c, line);
}

static void take_line(struct content *c, struct bytes line)
{
	if (c->state == CONTENT_HEADER)
		take_header(c, line);
	else
		take_text(c, line);
}

/* The rest of a line whose beginning was taken already: it is no boundary, no field, and ends nothing. */
static void take_rest(struct content *c, struct bytes piece)
{
	if (c->state == CONTENT_HEADER)
		c->header_len += piece.len;
	else
		c->part_len += piece.len;
	if (c->state == CONTENT_HEADER ? c->header_len <= HEADER_MAX
	                               : c->state == CONTENT_TEXT && c->part_len <= CONTENT_PART)
		keep(c, piece);
}

/* A line, or the next LINE_MAX_LEN octets of it. */
static void take_piece(struct content *c, struct bytes piece)
{
	if (c->middle)
		take_rest(c, piece);
	else
		take_line(c, piece);
	c->middle = piece.ptr[piece.len - 1] != '\n';
}

void content_feed(struct content *c, struct bytes in)
{
	while (in.len) {
		size_t end = bytes_find_char(in, '\n');
		size_t room = LINE_MAX_LEN - buf_len(&c->line);
		size_t len = end == BYTES_NONE ? in.len : end + 1;
		bool whole = end != BYTES_NONE;

		if (len >= room) {
			len = room;
			whole = true;
		}
		if (whole && buf_len(&c->line) == 0) {
			take_piece(c, bytes_first(in, len));
		} else {
			buf_append(&c->line, bytes_first(in, len));
			if (whole) {
				take_piece(c, buf_bytes(&c->line));
				buf_clear(&c->line);
			}
		}
		in = bytes_skip(in, len);
	}
}

void content_end(struct content *c)
{
	if (buf_len(&c->line))
		take_piece(c, buf_bytes(&c->line));
	buf_clear(&c->line);
	content_read(c);
}

const struct content_seen *content_seen(const struct content *c)
{
	return &c->seen;
}

void content_history(const struct content *c, struct ask_history *ret)
{
	ret->from = c->seen.from;
	ret->tokens = c->seen.tokens;
	ret->replies_to = c->seen.replies_to;
	ret->received = c->seen.received;
}
