/* The parser is a machine over lines:
 *
 *	state     a line is                    what happens
 *	HEADER    a boundary of an open part   the part ends without a body
 *	          blank                        the body begins (BODY; HEADER again for the message in a message/rfc822)
 *	          a field's continuation       goes to the field
 *	          a field                      the one before it is read, this one is begun
 *	          none, first of its part      there is no header; BODY
 *	          none                         passed over
 *	BODY      a boundary of an open part   parts inside of it end; the next begins (HEADER), or its epilogue (BODY)
 *	          anything else                counted
 *
 * In BODY a line is gathered only when it begins with "--" and a multipart is open; all others
 * are skipped by memchr. In HEADER lines are gathered, at most LIMIT_HEADER_FIELD octets of
 * each. */
#include "mail/mime.h"

#include <assert.h>

#include "base/memory.h"
#include "base/text.h"
#include "mail/header.h"

enum { BOUNDARY_MAX = 8 * 1024, BODY_LINE_KEEP = BOUNDARY_MAX + 64 };

struct frame {
	struct mime_part *part; /* an open multipart */
	struct mime_part *last; /* its last child so far */
	struct bytes boundary;
	bool digest;
};

struct mark {
	uint64_t offset; /* octets before it */
	uint64_t lines;  /* LFs before it */
};

struct mime_parser {
	struct arena own, *arena;
	struct mime_part *root, *current;
	struct frame frames[LIMIT_MIME_DEPTH];
	size_t frame_count;
	size_t messages;          /* open message/rfc822 parts */
	struct mark now;          /* what has been seen */
	struct mark line_start;   /* where the line that we are in begins */
	unsigned line_end_before; /* octets of the line end before that: 0, 1, 2 */
	char last;                /* the last octet seen */
	bool in_header;
	bool first_line; /* of a header */
	bool gathering;  /* a body line that may be a boundary */
	bool ended, truncated;
	struct buf line;             /* what is gathered of the line */
	struct buf field;            /* the value of the field being read */
	const struct field_row *row; /* what it is; NULL: none of ours */
	uint32_t parts, received;
	size_t kept; /* octets of the arena that fields took */
	uint64_t work;
};

/* ---- fields ---- */

enum field_scope { ANY_PART, MESSAGE_ONLY, ROOT_ONLY };

typedef void field_function(struct mime_parser *p, struct mime_part *part, struct bytes value);

struct field_row {
	const char *name;
	enum field_scope scope;
	field_function *read;
};

static struct bytes keep(struct mime_parser *p, struct bytes value)
{
	struct bytes text = header_unfold(value, p->arena);
	return text.ptr == bytes_trim(value).ptr ? arena_copy(p->arena, text) : text;
}

/* The first field of a name counts. */
static void keep_once(struct mime_parser *p, struct bytes *field, struct bytes value)
{
	if (field->len == 0)
		*field = keep(p, value);
}

static void read_addresses(struct mime_parser *p, struct address **list, struct bytes value)
{
	if (!*list)
		*list = address_parse(value, p->arena);
}

static void read_type(struct mime_parser *p, struct mime_part *part, struct bytes value)
{
	struct bytes type, subtype;
	struct mime_param *params;

	mime_value_parse(value, p->arena, &type, &subtype, &params);
	if (type.len == 0)
		return;
	if (subtype.len == 0) { /* "text": a type of the last century (RFC 1049) */
		if (!bytes_equal(type, BYTES("text")))
			return;
		subtype = BYTES("plain");
	}
	part->type_given = true;
	part->type = type;
	part->subtype = subtype;
	part->params = params;
}

static void read_encoding(struct mime_parser *p, struct mime_part *part, struct bytes value)
{
	part->encoding_text = keep(p, value);
	part->encoding = (uint8_t)mime_encoding_of(part->encoding_text);
}

static void read_disposition(struct mime_parser *p, struct mime_part *part, struct bytes value)
{
	struct bytes none;

	mime_value_parse(value, p->arena, &part->disposition, &none, &part->disposition_params);
}

static void read_received(struct mime_parser *p, struct mime_part *part, struct bytes value)
{
	p->received++;
}

#define PART_TEXT(field)                                                        \
	static void read_##field(struct mime_parser *p, struct mime_part *part, \
	                         struct bytes value)                            \
	{                                                                       \
		keep_once(p, &part->field, value);                              \
	}
#define ENVELOPE_TEXT(field)                                                    \
	static void read_##field(struct mime_parser *p, struct mime_part *part, \
	                         struct bytes value)                            \
	{                                                                       \
		keep_once(p, &part->envelope->field, value);                    \
	}
#define ENVELOPE_LIST(field)                                                    \
	static void read_##field(struct mime_parser *p, struct mime_part *part, \
	                         struct bytes value)                            \
	{                                                                       \
		read_addresses(p, &part->envelope->field, value);               \
	}
PART_TEXT(id)
PART_TEXT(description)
PART_TEXT(md5)
PART_TEXT(language)
PART_TEXT(location)
ENVELOPE_TEXT(date)
ENVELOPE_TEXT(subject)
ENVELOPE_TEXT(in_reply_to)
ENVELOPE_TEXT(message_id)
ENVELOPE_TEXT(references)
ENVELOPE_LIST(from)
ENVELOPE_LIST(sender)
ENVELOPE_LIST(reply_to)
ENVELOPE_LIST(to)
ENVELOPE_LIST(cc)
ENVELOPE_LIST(bcc)

static const struct field_row fields[] = {
        {"content-type", ANY_PART, read_type},
        {"content-transfer-encoding", ANY_PART, read_encoding},
        {"content-disposition", ANY_PART, read_disposition},
        {"content-id", ANY_PART, read_id},
        {"content-description", ANY_PART, read_description},
        {"content-md5", ANY_PART, read_md5},
        {"content-language", ANY_PART, read_language},
        {"content-location", ANY_PART, read_location},
        {"date", MESSAGE_ONLY, read_date},
        {"subject", MESSAGE_ONLY, read_subject},
        {"in-reply-to", MESSAGE_ONLY, read_in_reply_to},
        {"message-id", MESSAGE_ONLY, read_message_id},
        {"references", MESSAGE_ONLY, read_references},
        {"from", MESSAGE_ONLY, read_from},
        {"sender", MESSAGE_ONLY, read_sender},
        {"reply-to", MESSAGE_ONLY, read_reply_to},
        {"to", MESSAGE_ONLY, read_to},
        {"cc", MESSAGE_ONLY, read_cc},
        {"bcc", MESSAGE_ONLY, read_bcc},
        {"received", ROOT_ONLY, read_received},
};

static const struct field_row *find_row(const struct mime_parser *p, struct bytes name)
{
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		const struct field_row *row = &fields[i];
		if (row->scope == MESSAGE_ONLY && !p->current->envelope)
			continue;
		if (row->scope == ROOT_ONLY && p->current != p->root)
			continue;
		if (bytes_equal_nocase(name, bytes_of_text(row->name)))
			return row;
	}
	return NULL;
}

static void end_field(struct mime_parser *p)
{
	size_t before = p->arena->total;

	if (p->row && p->kept > MIME_KEEP)
		p->truncated = true;
	else if (p->row)
		p->row->read(p, p->current, buf_bytes(&p->field));
	p->kept += p->arena->total - before;
	p->row = NULL;
	buf_clear(&p->field);
}

static void add_to_field(struct mime_parser *p, struct bytes text)
{
	size_t room = LIMIT_HEADER_FIELD - buf_len(&p->field);

	if (!p->row)
		return;
	if (text.len > room)
		p->truncated = true;
	buf_append(&p->field, bytes_first(text, room));
}

/* "Name:" or "Name :"; false when the line is no field. */
static bool begin_field(struct mime_parser *p, struct bytes line)
{
	size_t i = 0;

	while (i < line.len && (unsigned char)line.ptr[i] > ' ' && line.ptr[i] != ':')
		i++;
	struct bytes name = bytes_first(line, i);
	while (i < line.len && text_is_blank(line.ptr[i]))
		i++;
	if (name.len == 0 || i == line.len || line.ptr[i] != ':')
		return false;
	end_field(p);
	p->row = find_row(p, name);
	add_to_field(p, bytes_skip(line, i + 1));
	return true;
}

/* ---- the tree ---- */

static struct mime_part *begin_part(struct mime_parser *p, struct mime_part *parent, bool envelope,
                                    bool digest, struct mark at)
{
	struct mime_part *part = arena_get(p->arena, sizeof(*part));

	part->parent = parent;
	part->header_start = at.offset;
	part->header_lines =
	        (uint32_t)at.lines; /* where it begins; end_header() makes it a difference */
	part->type = digest ? BYTES("message") : BYTES("text");
	part->subtype = digest ? BYTES("rfc822") : BYTES("plain");
	if (envelope)
		part->envelope = arena_get(p->arena, sizeof(*part->envelope));
	p->current = part;
	p->parts++;
	p->in_header = true;
	p->first_line = true;
	return part;
}

static bool is_message(const struct mime_part *part)
{
	return bytes_equal(part->type, BYTES("message")) &&
	       (bytes_equal(part->subtype, BYTES("rfc822")) ||
	        bytes_equal(part->subtype, BYTES("global"))) &&
	       part->encoding <= MIME_BINARY;
}

/* Is there room for one more level, and a part in it? */
static bool may_nest(struct mime_parser *p)
{
	if (p->frame_count + p->messages < LIMIT_MIME_DEPTH && p->parts < LIMIT_MIME_PARTS)
		return true;
	p->truncated = true;
	return false;
}

static void open_multipart(struct mime_parser *p, struct mime_part *part)
{
	struct bytes boundary = mime_param_find(part->params, BYTES("boundary"));

	if (boundary.len == 0 || boundary.len > BOUNDARY_MAX || !may_nest(p))
		return;
	part->multipart = true;
	p->frames[p->frame_count++] = (struct frame){
	        .part = part,
	        .boundary = boundary,
	        .digest = bytes_equal(part->subtype, BYTES("digest")),
	};
}

static void end_header(struct mime_parser *p, struct mark at)
{
	struct mime_part *part = p->current;

	end_field(p);
	part->body_start = at.offset;
	part->header_lines = (uint32_t)at.lines - part->header_lines;
	part->body_lines = (uint32_t)at
	                           .lines; /* where it begins; close_part() makes it a difference */
	p->in_header = false;
}

static void begin_body(struct mime_parser *p, struct mark at)
{
	struct mime_part *part = p->current;

	end_header(p, at);
	if (bytes_equal(part->type, BYTES("multipart"))) {
		open_multipart(p, part);
	} else if (is_message(part) && may_nest(p)) {
		part->message = true;
		p->messages++;
		part->child = begin_part(p, part, true, false, at);
	}
}

/* The body ends here, without the line end before it, which belongs to the boundary (RFC 2046,
 * 5.1.1), but not before what is inside of it does: `least`, 0 for nothing. */
static void close_part(struct mime_parser *p, struct mime_part *part, struct mark at,
                       unsigned line_end, uint64_t least)
{
	uint64_t floor = part->body_start > least ? part->body_start : least;

	if (part->message)
		p->messages--;
	if (part->multipart && !part->child)
		part->multipart = false; /* its boundary never came: all of it is its text */
	if (line_end > 0 && at.offset >= floor + line_end) {
		at.offset -= line_end;
		at.lines--;
	}
	part->body_end = at.offset;
	part->body_lines = (uint32_t)at.lines - part->body_lines;
}

/* Closes current and all above it, up to but without keep_open (NULL: all). */
static void close_parts(struct mime_parser *p, const struct mime_part *keep_open, struct mark at,
                        unsigned line_end)
{
	uint64_t least = 0;

	if (p->in_header)
		end_header(p, at);
	for (; p->current != keep_open; p->current = p->current->parent) {
		close_part(p, p->current, at, line_end, least);
		least = p->current->body_end;
	}
}

/* ---- boundaries ---- */

/* What stands after the boundary may only be "--" and then a blank with anything, which is
 * ignored. Exact lines are what RFC 2046 has senders write; its note to implementors asks to
 * accept more, but a longer boundary must not pass for a shorter one. */
static bool is_boundary_end(struct bytes rest, bool *ret_close)
{
	*ret_close = bytes_starts(rest, BYTES("--"));
	if (*ret_close)
		rest = bytes_skip(rest, 2);
	return rest.len == 0 || text_is_blank(rest.ptr[0]) || rest.ptr[0] == '\r';
}

/* Which open multipart's boundary the line is: the longest that fits, then the innermost; -1:
 * none. */
static int find_frame(struct mime_parser *p, struct bytes line, bool *ret_close)
{
	int best = -1;
	bool close;

	if (line.len < 3 || line.ptr[0] != '-' || line.ptr[1] != '-')
		return -1;
	struct bytes rest = bytes_skip(bytes_first(line, BODY_LINE_KEEP), 2);
	for (size_t i = p->frame_count; i-- > 0;) {
		struct bytes boundary = p->frames[i].boundary;
		if (boundary.len > rest.len ||
		    (best >= 0 && boundary.len <= p->frames[best].boundary.len))
			continue;
		p->work += boundary.len;
		if (memcmp(rest.ptr, boundary.ptr, boundary.len) == 0 &&
		    is_boundary_end(bytes_skip(rest, boundary.len), &close)) {
			*ret_close = close;
			best = (int)i;
		}
	}
	return best;
}

static void add_child(struct mime_parser *p, struct frame *frame)
{
	struct mime_part *part = begin_part(p, frame->part, false, frame->digest, p->now);

	if (frame->last)
		frame->last->next = part;
	else
		frame->part->child = part;
	frame->last = part;
}

/* True: the line was a boundary and is dealt with. */
static bool take_boundary(struct mime_parser *p, struct bytes line)
{
	bool close;
	int n = find_frame(p, line, &close);

	if (n < 0)
		return false;
	close_parts(p, p->frames[n].part, p->line_start, p->line_end_before);
	p->frame_count = (size_t)n + (close ? 0 : 1);
	if (!close && p->parts < LIMIT_MIME_PARTS)
		add_child(p, &p->frames[n]);
	else if (!close)
		p->truncated = true;
	return true;
}

/* ---- lines ---- */

/* Broken senders fold after a ";" without the blank: what is no field then is the parameter. */
static bool wants_more(const struct mime_parser *p)
{
	struct bytes value = bytes_trim(buf_bytes(&p->field));

	return p->row && (p->row->read == read_type || p->row->read == read_disposition) &&
	       bytes_ends(value, BYTES(";"));
}

static void header_line(struct mime_parser *p, struct bytes line)
{
	bool first = p->first_line;

	p->first_line = false;
	if (take_boundary(p, line) || begin_field(p, line))
		return;
	if (line.len == 0 || (line.len == 1 && line.ptr[0] == '\r')) {
		begin_body(p, p->now);
	} else if (text_is_blank(line.ptr[0]) && !first) {
		add_to_field(p, BYTES("\n"));
		add_to_field(p, line);
	} else if (first && !bytes_starts(line, BYTES("From ")) &&
	           !bytes_starts(line, BYTES(">From "))) {
		begin_body(p, p->line_start); /* there is no header */
		if (p->in_header)
			header_line(p, line); /* nor has the message in it, of a digest */
	} else if (wants_more(p)) {
		add_to_field(p, BYTES("\n"));
		add_to_field(p, line);
	} else {
		end_field(p);
	}
}

static void end_line(struct mime_parser *p, struct bytes line, unsigned line_end)
{
	if (p->in_header)
		header_line(p, line);
	else
		take_boundary(p, line);
	p->line_start = p->now;
	p->line_end_before = line_end;
	p->gathering = false;
	buf_clear(&p->line);
}

static void see(struct mime_parser *p, struct bytes piece, uint64_t lines)
{
	p->now.offset += piece.len;
	p->now.lines += lines;
	p->work += piece.len;
	p->last = piece.ptr[piece.len - 1];
}

/* Octets of the line end that the piece ends with. */
static unsigned line_end_len(const struct mime_parser *p, struct bytes piece)
{
	char before = piece.len > 1 ? piece.ptr[piece.len - 2] : p->last;
	return before == '\r' ? 2 : 1;
}

/* A line, or a piece of it, in a header or after "-". Returns octets taken. */
static size_t feed_line(struct mime_parser *p, struct bytes in)
{
	size_t most = p->in_header ? LIMIT_HEADER_FIELD : BODY_LINE_KEEP;
	size_t lf = bytes_find_char(in, '\n');
	struct bytes text = bytes_first(in, lf);
	struct bytes line = bytes_first(text, most);

	p->truncated |= p->in_header && text.len > most - buf_len(&p->line);
	if (lf == BYTES_NONE || buf_len(&p->line) > 0) {
		buf_append(&p->line, bytes_first(text, most - buf_len(&p->line)));
		line = buf_bytes(&p->line);
	}
	if (lf == BYTES_NONE) {
		see(p, in, 0);
		return in.len;
	}
	unsigned line_end = line_end_len(p, bytes_first(in, lf + 1));
	see(p, bytes_first(in, lf + 1), 1);
	end_line(p, line, line_end);
	return lf + 1;
}

/* Body lines that cannot be boundaries. Returns octets taken; fewer than offered only before a
 * "-" that begins a line. */
static size_t feed_body(struct mime_parser *p, struct bytes in)
{
	const char *at = in.ptr, *end = in.ptr + in.len, *lf = NULL;
	uint64_t lines = 0;

	while (at < end) {
		bool line_begins = lf || p->now.offset == p->line_start.offset;
		if (line_begins && *at == '-' && p->frame_count > 0)
			break;
		const char *next = memchr(at, '\n', (size_t)(end - at));
		if (!next) {
			at = end;
			break;
		}
		lf = next;
		lines++;
		at = next + 1;
	}
	struct bytes seen = bytes_of(in.ptr, (size_t)(at - in.ptr));
	if (seen.len == 0)
		return 0;
	struct bytes to_line_end = bytes_of(in.ptr, lf ? (size_t)(lf + 1 - in.ptr) : 0);
	if (lf) {
		p->line_end_before = line_end_len(p, to_line_end);
		p->line_start.offset = p->now.offset + to_line_end.len;
		p->line_start.lines = p->now.lines + lines;
	}
	see(p, seen, lines);
	return seen.len;
}

void mime_parser_feed(struct mime_parser *p, struct bytes in)
{
	assert(!p->ended);
	while (in.len > 0) {
		size_t taken = p->in_header || p->gathering ? feed_line(p, in) : feed_body(p, in);
		if (taken == 0)
			p->gathering = true; /* until end_line() */
		in = bytes_skip(in, taken);
	}
}

const struct mime_part *mime_parser_finish(struct mime_parser *p)
{
	if (p->ended)
		return p->root;
	p->ended = true;
	if (p->now.offset > p->line_start.offset && (p->in_header || p->gathering))
		end_line(p, buf_bytes(&p->line), 0);
	close_parts(p, NULL, p->now, 0);
	return p->root;
}

/* ---- parsers and what they tell ---- */

static void begin(struct mime_parser *p, struct arena *arena)
{
	p->arena = arena;
	p->root = begin_part(p, NULL, true, false, (struct mark){0});
}

struct mime_parser *mime_parser_new(void)
{
	struct mime_parser *p = NEW(struct mime_parser);

	begin(p, &p->own);
	return p;
}

void mime_parser_free(struct mime_parser **p)
{
	if (!*p)
		return;
	buf_done(&(*p)->line);
	buf_done(&(*p)->field);
	arena_done(&(*p)->own);
	memory_free(*p);
	*p = NULL;
}

const struct mime_part *mime_parse(struct bytes mail, struct arena *arena,
                                   struct mime_count *ret_count)
{
	struct mime_parser p = {0};

	begin(&p, arena);
	mime_parser_feed(&p, mail);
	mime_parser_finish(&p);
	buf_done(&p.line);
	buf_done(&p.field);
	if (ret_count)
		*ret_count = mime_parser_count(&p);
	return p.root;
}

struct mime_count mime_parser_count(const struct mime_parser *p)
{
	return (struct mime_count){
	        .size = p->now.offset,
	        .parts = p->parts,
	        .received = p->received,
	        .truncated = p->truncated,
	        .work = p->work,
	};
}

/* ---- section numbers ---- */

static const struct mime_part *nth_child(const struct mime_part *part, uint32_t n)
{
	const struct mime_part *child = part->child;

	while (child && n > 1) {
		child = child->next;
		n--;
	}
	return n == 0 ? NULL : child;
}

const struct mime_part *mime_part_section(const struct mime_part *root, const uint32_t *numbers,
                                          size_t count)
{
	const struct mime_part *part = root;
	const struct mime_part *message = root; /* its parts count; NULL: those of part do */

	for (size_t i = 0; i < count && part; i++) {
		if (message && !message->multipart)
			part = numbers[i] == 1 ? message : NULL;
		else
			part = nth_child(message ? message : part, numbers[i]);
		message = part && part->message ? part->child : NULL;
	}
	return part;
}
