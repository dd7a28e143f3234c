#include "verify/canon.h"

#include "base/memory.h"
#include "base/text.h"

/* ---- header fields ---- */

static void put_name(struct bytes name, struct buf *out)
{
	char *room = buf_room(out, name.len + 1);

	for (size_t i = 0; i < name.len; i++)
		room[i] = text_lower_char(name.ptr[i]);
	room[name.len] = ':';
	buf_added(out, name.len + 1);
}

/* Line ends gone, runs of blanks one blank, none at the ends (RFC 6376, 3.4.2). */
static void put_value(struct bytes value, struct buf *out)
{
	bool blank = false, any = false;

	for (size_t i = 0; i < value.len; i++) {
		char c = value.ptr[i];

		if (c == '\r' || c == '\n')
			continue;
		if (text_is_blank(c)) {
			blank = true;
			continue;
		}
		if (blank && any)
			buf_append_char(out, ' ');
		buf_append_char(out, c);
		blank = false;
		any = true;
	}
}

void canon_field(enum canon_kind kind, struct bytes whole, struct buf *out)
{
	size_t colon = bytes_find_char(whole, ':');

	if (kind == CANON_SIMPLE || colon == BYTES_NONE) {
		buf_append(out, whole);
		if (!bytes_ends(whole, BYTES("\r\n")))
			buf_append_text(out, "\r\n");
		return;
	}
	put_name(bytes_trim(bytes_first(whole, colon)), out);
	put_value(bytes_skip(whole, colon + 1), out);
	buf_append_text(out, "\r\n");
}

/* ---- the body (RFC 6376, 3.4.3 and 3.4.4) ----
 *
 * What may turn out to be no content is kept back: line ends (empty lines at the end do not count), and with relaxed
 * blanks, which are one blank before something and nothing at a line's end. */

struct canon_body {
	enum canon_kind kind;
	struct digest *digest;
	uint64_t hashed; /* octets that the digest has */
	struct canon_mark *marks;
	size_t mark_count;
	uint64_t line_ends; /* kept back */
	bool blank;         /* kept back, after line_ends */
	bool cr;            /* the last octet was a CR */
	bool any;           /* something was hashed */
	size_t len;
	char room[4096];
};

static struct canon_body *begin(enum canon_kind kind, struct digest *digest)
{
	struct canon_body *b = NEW(struct canon_body);

	b->kind = kind;
	b->digest = digest;
	return b;
}

struct canon_body *canon_body_new(enum canon_kind kind)
{
	return begin(kind, digest_new());
}

struct canon_body *canon_body_new_sha1(enum canon_kind kind)
{
	return begin(kind, digest_new_sha1());
}

void canon_body_mark(struct canon_body *b, struct canon_mark *marks, size_t count)
{
	b->marks = marks;
	b->mark_count = count;
}

static void reach(struct canon_body *b, struct canon_mark *m)
{
	struct digest *d = digest_copy(b->digest);

	digest_finish(&d, m->hash);
	m->reached = true;
}

/* Takes the marks that stand here; returns how many octets may be hashed before the next one. */
static uint64_t until_mark(struct canon_body *b)
{
	uint64_t room = UINT64_MAX;

	for (size_t i = 0; i < b->mark_count; i++) {
		struct canon_mark *m = &b->marks[i];

		if (!m->reached && m->at == b->hashed)
			reach(b, m);
		else if (!m->reached && m->at - b->hashed < room)
			room = m->at - b->hashed;
	}
	return room;
}

static void hash(struct canon_body *b, struct bytes piece)
{
	uint64_t room = until_mark(b);

	while (piece.len > 0) {
		struct bytes part = bytes_first(piece, room < piece.len ? (size_t)room : piece.len);

		digest_add(b->digest, part);
		b->hashed += part.len;
		piece = bytes_skip(piece, part.len);
		room = until_mark(b);
	}
}

static void flush(struct canon_body *b)
{
	hash(b, bytes_of(b->room, b->len));
	b->len = 0;
}

static void emit(struct canon_body *b, struct bytes piece)
{
	if (b->len + piece.len > sizeof(b->room))
		flush(b);
	if (piece.len > sizeof(b->room)) {
		hash(b, piece);
	} else if (piece.len > 0) {
		memcpy(b->room + b->len, piece.ptr, piece.len);
		b->len += piece.len;
	}
	b->any = true;
}

/* Content comes: what was kept back counts. */
static void content(struct canon_body *b, struct bytes piece)
{
	for (; b->line_ends > 0; b->line_ends--)
		emit(b, BYTES("\r\n"));
	if (b->blank)
		emit(b, BYTES(" "));
	b->blank = false;
	emit(b, piece);
}

static bool is_plain(const struct canon_body *b, char c)
{
	return c != '\r' && (b->kind == CANON_SIMPLE || !text_is_blank(c));
}

static size_t plain_len(const struct canon_body *b, struct bytes in)
{
	size_t len = 0;

	while (len < in.len && is_plain(b, in.ptr[len]))
		len++;
	return len;
}

/* The octet after a CR. True: it was the LF that makes a line end of it. */
static bool after_cr(struct canon_body *b, char c)
{
	b->cr = false;
	if (c != '\n') {
		content(b, BYTES("\r"));
		return false;
	}
	b->blank = false;
	b->line_ends++;
	return true;
}

void canon_body_add(struct canon_body *b, struct bytes in)
{
	while (in.len > 0) {
		size_t len;

		if (b->cr && after_cr(b, in.ptr[0])) {
			in = bytes_skip(in, 1);
			continue;
		}
		len = plain_len(b, in);
		if (len > 0) {
			content(b, bytes_first(in, len));
			in = bytes_skip(in, len);
			continue;
		}
		b->cr = in.ptr[0] == '\r';
		b->blank |= !b->cr;
		in = bytes_skip(in, 1);
	}
}

void canon_body_finish(struct canon_body **body, uint8_t ret_hash[DIGEST_SHA256])
{
	struct canon_body *b = *body;

	if (b->cr)
		content(b, BYTES("\r"));
	/* The last line gets its end; a body of nothing is one with simple, and nothing with relaxed. */
	if (b->any || b->kind == CANON_SIMPLE)
		emit(b, BYTES("\r\n"));
	flush(b);
	for (size_t i = 0; i < b->mark_count; i++)
		b->marks[i].whole = b->marks[i].at == b->hashed;
	digest_finish(&b->digest, ret_hash);
	memory_free(b);
	*body = NULL;
}

void canon_body_free(struct canon_body **b)
{
	if (!*b)
		return;
	digest_free(&(*b)->digest);
	memory_free(*b);
	*b = NULL;
}
