/* The builder is the MIME parser; what is here makes a summary of its tree, encodes and decodes it.
 *
 * Encoded form, version 1. "number" is LEB128 (seven bits an octet, low first, 10 octets at most);
 * "text" is a number and that many octets.
 *
 *	u8 1                      version
 *	u8                        enum summary_partial bits
 *	number size, number received
 *	u8 1 or 0                 is there a date; then number: zigzag of time_ms, number: zigzag of the zone
 *	part                      root
 *
 * part:
 *	u8 flags                  PART_* below
 *	number                    header octets, body octets, header lines, body lines
 *	u8 encoding
 *	text type, subtype
 *	params                    number of them, then each: text name, text value
 *	if PART_DETAILS:          text encoding_text, id, description, md5, disposition, params, text language, location
 *	if PART_ENVELOPE:         text date, subject, in_reply_to, message_id, references;
 *	                          lists from, sender, reply_to, to, cc, bcc: number of addresses, then each:
 *	                          u8 kind (bit 7: bare), text name, route, local, domain
 *	if PART_MULTIPART or PART_MESSAGE, and not SUMMARY_NO_STRUCTURE:
 *	                          number of children; each: number: octets between the end of the one before (or of
 *	                          this part's header) and its header; part
 */
#include "mail/summary.h"

#include <assert.h>

#include "base/memory.h"
#include "base/wire.h"
#include "mail/date.h"

enum { SUMMARY_VERSION = 1 };

enum {
	PART_MULTIPART = 1 << 0,
	PART_MESSAGE = 1 << 1,
	PART_TYPE_GIVEN = 1 << 2,
	PART_DETAILS = 1 << 3,
	PART_ENVELOPE = 1 << 4,
};

enum { ADDRESS_BARE = 0x80 };

/* Octets left of texts when SUMMARY_CUT: together less than LIMIT_SUMMARY. */
enum {
	CUT_REFERENCES = 4000,
	CUT_SUBJECT = 2000,
	CUT_TEXT = 600,
	CUT_SHORT = 200,
	CUT_PARAMS = 1000,
	CUT_LIST = 1300,
	CUT_WHOLE = CUT_REFERENCES + CUT_SUBJECT + 3 * CUT_TEXT + 9 * CUT_SHORT + 2 * CUT_PARAMS +
	            6 * CUT_LIST + 512,
};
_Static_assert((int)CUT_WHOLE < (int)LIMIT_SUMMARY, "a cut summary must fit");

struct encoder {
	struct buf *out;
	bool cut;       /* texts are cut */
	bool structure; /* children are written */
};

/* ---- encoding ---- */

static void put_number(struct encoder *e, uint64_t n)
{
	while (n >= 0x80) {
		buf_u8(e->out, (uint8_t)(n | 0x80));
		n >>= 7;
	}
	buf_u8(e->out, (uint8_t)n);
}

static void put_signed(struct encoder *e, int64_t n)
{
	put_number(e, ((uint64_t)n << 1) ^ (uint64_t)(n >> 63));
}

static void put_text(struct encoder *e, struct bytes text, size_t most)
{
	if (e->cut)
		text = bytes_first(text, most);
	put_number(e, text.len);
	buf_append(e->out, text);
}

/* The newest ids stand last: those are kept. */
static void put_references(struct encoder *e, struct bytes text)
{
	if (e->cut && text.len > CUT_REFERENCES) {
		text = bytes_skip(text, text.len - CUT_REFERENCES);
		size_t id = bytes_find_char(text, '<');
		text = bytes_skip(text, id);
	}
	put_text(e, text, CUT_REFERENCES);
}

static void put_params(struct encoder *e, const struct mime_param *params)
{
	size_t count = 0, room = e->cut ? CUT_PARAMS : SIZE_MAX;

	for (const struct mime_param *p = params; p; p = p->next) {
		size_t need = p->name.len + p->value.len + 20;
		if (need > room)
			break;
		room -= need;
		count++;
	}
	put_number(e, count);
	for (; count > 0; count--, params = params->next) {
		put_text(e, params->name, SIZE_MAX);
		put_text(e, params->value, SIZE_MAX);
	}
}

static void put_list(struct encoder *e, const struct address *list)
{
	size_t count = 0, room = e->cut ? CUT_LIST : SIZE_MAX;

	for (const struct address *a = list; a; a = a->next) {
		size_t need = a->name.len + a->route.len + a->local.len + a->domain.len + 41;
		if (need > room)
			break;
		room -= need;
		count++;
	}
	put_number(e, count);
	for (const struct address *a = list; count > 0; count--, a = a->next) {
		buf_u8(e->out, (uint8_t)(a->kind | (a->bare ? ADDRESS_BARE : 0)));
		put_text(e, a->name, SIZE_MAX);
		put_text(e, a->route, SIZE_MAX);
		put_text(e, a->local, SIZE_MAX);
		put_text(e, a->domain, SIZE_MAX);
	}
}

static void put_envelope(struct encoder *e, const struct mime_envelope *v)
{
	put_text(e, v->date, CUT_SHORT);
	put_text(e, v->subject, CUT_SUBJECT);
	put_text(e, v->in_reply_to, CUT_TEXT);
	put_text(e, v->message_id, CUT_TEXT);
	put_references(e, v->references);
	put_list(e, v->from);
	put_list(e, v->sender);
	put_list(e, v->reply_to);
	put_list(e, v->to);
	put_list(e, v->cc);
	put_list(e, v->bcc);
}

static bool has_details(const struct mime_part *part)
{
	return part->encoding_text.len > 0 || part->id.len > 0 || part->description.len > 0 ||
	       part->md5.len > 0 || part->disposition.len > 0 || part->language.len > 0 ||
	       part->location.len > 0;
}

static void put_details(struct encoder *e, const struct mime_part *part)
{
	put_text(e, part->encoding_text, CUT_SHORT);
	put_text(e, part->id, CUT_SHORT);
	put_text(e, part->description, CUT_SHORT);
	put_text(e, part->md5, CUT_SHORT);
	put_text(e, part->disposition, CUT_SHORT);
	put_params(e, part->disposition_params);
	put_text(e, part->language, CUT_SHORT);
	put_text(e, part->location, CUT_TEXT);
}

static uint8_t part_flags(const struct mime_part *part)
{
	return (uint8_t)((part->multipart ? PART_MULTIPART : 0) |
	                 (part->message ? PART_MESSAGE : 0) |
	                 (part->type_given ? PART_TYPE_GIVEN : 0) |
	                 (has_details(part) ? PART_DETAILS : 0) |
	                 (part->envelope ? PART_ENVELOPE : 0));
}

/* The part alone, without its children. */
static void put_part(struct encoder *e, const struct mime_part *part)
{
	buf_u8(e->out, part_flags(part));
	put_number(e, part->body_start - part->header_start);
	put_number(e, part->body_end - part->body_start);
	put_number(e, part->header_lines);
	put_number(e, part->body_lines);
	buf_u8(e->out, part->encoding);
	put_text(e, part->type, CUT_SHORT);
	put_text(e, part->subtype, CUT_SHORT);
	put_params(e, part->params);
	if (has_details(part))
		put_details(e, part);
	if (part->envelope)
		put_envelope(e, part->envelope);
}

static void put_tree(struct encoder *e, const struct mime_part *part)
{
	put_part(e, part);
	if (!(part->multipart || part->message) || !e->structure)
		return;
	size_t count = 0;
	uint64_t at = part->body_start;
	for (const struct mime_part *child = part->child; child; child = child->next)
		count++;
	put_number(e, count);
	for (const struct mime_part *child = part->child; child; child = child->next) {
		put_signed(e, (int64_t)(child->header_start - at));
		put_tree(e, child); /* no deeper than LIMIT_MIME_DEPTH */
		at = child->body_end;
	}
}

static void put_summary(struct encoder *e, const struct summary *s, uint8_t partial)
{
	buf_u8(e->out, SUMMARY_VERSION);
	buf_u8(e->out, s->partial | partial);
	put_number(e, s->size);
	put_number(e, s->received);
	buf_u8(e->out, s->date_valid);
	if (s->date_valid) {
		put_signed(e, s->date);
		put_signed(e, s->date_zone);
	}
	put_tree(e, s->root);
}

void summary_encode(const struct summary *s, struct buf *out)
{
	static const struct {
		uint8_t partial;
		bool structure, cut;
	} tries[] = {{0, true, false},
	             {SUMMARY_NO_STRUCTURE, false, false},
	             {SUMMARY_NO_STRUCTURE | SUMMARY_CUT, false, true}};
	size_t before = buf_len(out);

	for (size_t i = 0; i < sizeof(tries) / sizeof(tries[0]); i++) {
		struct encoder e = {out, tries[i].cut,
		                    tries[i].structure && !(s->partial & SUMMARY_NO_STRUCTURE)};
		put_summary(&e, s, tries[i].partial);
		if (buf_len(out) - before <= LIMIT_SUMMARY)
			return;
		if (!tries[i].cut)
			buf_truncate(out, before);
	}
	assert(buf_len(out) - before <= LIMIT_SUMMARY);
}

/* ---- decoding ---- */

struct decoder {
	struct wire in;
	struct arena *arena;
	size_t parts;
	bool structure;
};

static uint64_t get_number(struct decoder *d)
{
	uint64_t n = 0;

	for (unsigned shift = 0; shift < 64; shift += 7) {
		uint8_t octet = wire_u8(&d->in);
		n |= (uint64_t)(octet & 0x7f) << shift;
		if (!(octet & 0x80))
			return n;
	}
	d->in.bad = true;
	return 0;
}

static int64_t get_signed(struct decoder *d)
{
	uint64_t n = get_number(d);
	return (int64_t)(n >> 1) ^ -(int64_t)(n & 1);
}

static struct bytes get_text(struct decoder *d)
{
	uint64_t len = get_number(d);

	if (len > d->in.rest.len) {
		d->in.bad = true;
		return (struct bytes){0};
	}
	return wire_take(&d->in, (size_t)len);
}

/* How many things follow; each takes at least one octet, so that a lie costs nothing. */
static size_t get_count(struct decoder *d)
{
	uint64_t count = get_number(d);

	if (d->in.bad || count > d->in.rest.len) {
		d->in.bad = true;
		return 0;
	}
	return (size_t)count;
}

static struct mime_param *get_params(struct decoder *d)
{
	struct mime_param *first = NULL, **tail = &first;

	for (size_t count = get_count(d); count > 0 && !d->in.bad; count--) {
		struct mime_param *p = arena_get(d->arena, sizeof(*p));
		p->name = get_text(d);
		p->value = get_text(d);
		*tail = p;
		tail = &p->next;
	}
	return first;
}

static struct address *get_list(struct decoder *d)
{
	struct address *first = NULL, **tail = &first;

	for (size_t count = get_count(d); count > 0 && !d->in.bad; count--) {
		struct address *a = arena_get(d->arena, sizeof(*a));
		uint8_t kind = wire_u8(&d->in);
		a->kind = kind & (ADDRESS_BARE - 1);
		a->bare = kind & ADDRESS_BARE;
		a->name = get_text(d);
		a->route = get_text(d);
		a->local = get_text(d);
		a->domain = get_text(d);
		d->in.bad |= a->kind > ADDRESS_GROUP_END;
		*tail = a;
		tail = &a->next;
	}
	return first;
}

static struct mime_envelope *get_envelope(struct decoder *d)
{
	struct mime_envelope *v = arena_get(d->arena, sizeof(*v));

	v->date = get_text(d);
	v->subject = get_text(d);
	v->in_reply_to = get_text(d);
	v->message_id = get_text(d);
	v->references = get_text(d);
	v->from = get_list(d);
	v->sender = get_list(d);
	v->reply_to = get_list(d);
	v->to = get_list(d);
	v->cc = get_list(d);
	v->bcc = get_list(d);
	return v;
}

static void get_details(struct decoder *d, struct mime_part *part)
{
	part->encoding_text = get_text(d);
	part->id = get_text(d);
	part->description = get_text(d);
	part->md5 = get_text(d);
	part->disposition = get_text(d);
	part->disposition_params = get_params(d);
	part->language = get_text(d);
	part->location = get_text(d);
}

static struct mime_part *get_part(struct decoder *d, struct mime_part *parent, uint64_t at)
{
	struct mime_part *part = arena_get(d->arena, sizeof(*part));
	uint8_t flags = wire_u8(&d->in);

	part->parent = parent;
	part->multipart = flags & PART_MULTIPART;
	part->message = flags & PART_MESSAGE;
	part->type_given = flags & PART_TYPE_GIVEN;
	part->header_start = at;
	part->body_start = at + get_number(d);
	part->body_end = part->body_start + get_number(d);
	part->header_lines = (uint32_t)get_number(d);
	part->body_lines = (uint32_t)get_number(d);
	part->encoding = wire_u8(&d->in);
	part->type = get_text(d);
	part->subtype = get_text(d);
	part->params = get_params(d);
	if (flags & PART_DETAILS)
		get_details(d, part);
	if (flags & PART_ENVELOPE)
		part->envelope = get_envelope(d);
	d->in.bad |= part->encoding > MIME_OTHER || (part->message && part->multipart) ||
	             ++d->parts > LIMIT_MIME_PARTS + 1;
	return part;
}

static struct mime_part *get_tree(struct decoder *d, struct mime_part *parent, uint64_t at,
                                  unsigned depth)
{
	struct mime_part *part = get_part(d, parent, at);
	struct mime_part **tail = &part->child;

	if (!(part->multipart || part->message) || !d->structure)
		return part;
	size_t count = get_count(d);
	d->in.bad |= depth > LIMIT_MIME_DEPTH || count == 0 || (part->message && count != 1);
	at = part->body_start;
	for (; count > 0 && !d->in.bad; count--) {
		at += (uint64_t)get_signed(d);
		*tail = get_tree(d, part, at, depth + 1);
		d->in.bad |= part->message && !(*tail)->envelope;
		at = (*tail)->body_end;
		tail = &(*tail)->next;
	}
	return part;
}

enum result summary_decode(struct bytes in, struct arena *arena, struct summary *ret)
{
	struct decoder d = {.in = wire_of(in), .arena = arena};
	struct summary s = {0};

	if (wire_u8(&d.in) != SUMMARY_VERSION)
		return INVALID;
	s.partial = wire_u8(&d.in);
	d.structure = !(s.partial & SUMMARY_NO_STRUCTURE);
	s.size = get_number(&d);
	s.received = (uint32_t)get_number(&d);
	s.date_valid = wire_u8(&d.in) == 1;
	if (s.date_valid) {
		s.date = get_signed(&d);
		s.date_zone = (int16_t)get_signed(&d);
	}
	s.root = get_tree(&d, NULL, 0, 0);
	if (d.in.bad || d.in.rest.len > 0 || !s.root->envelope)
		return INVALID;
	*ret = s;
	return OK;
}

/* ---- building ---- */

struct summary_builder {
	struct mime_parser *parser;
	bool done;
	struct summary summary;
};

static void take_date(struct summary *s)
{
	int zone;

	if (date_parse(s->root->envelope->date, &s->date, &zone) == OK) {
		s->date_valid = true;
		s->date_zone = (int16_t)zone;
	}
}

struct summary_builder *summary_builder_new(void)
{
	struct summary_builder *b = NEW(struct summary_builder);

	b->parser = mime_parser_new();
	return b;
}

void summary_builder_feed(struct summary_builder *b, struct bytes in)
{
	mime_parser_feed(b->parser, in);
}

const struct summary *summary_builder_summary(struct summary_builder *b)
{
	struct summary *s = &b->summary;

	if (b->done)
		return s;
	b->done = true;
	s->root = mime_parser_finish(b->parser);
	struct mime_count count = mime_parser_count(b->parser);
	s->size = count.size;
	s->received = count.received;
	s->partial = count.truncated ? SUMMARY_TRUNCATED : 0;
	take_date(s);
	return s;
}

void summary_builder_finish(struct summary_builder *b, struct buf *out)
{
	summary_encode(summary_builder_summary(b), out);
}

static uint32_t count_lines(struct bytes text)
{
	uint32_t lines = 0;

	for (size_t i = 0; i < text.len; i++)
		lines += text.ptr[i] == '\n';
	return lines;
}

void summary_builder_finish_grown(struct summary_builder *b, struct bytes fields, struct buf *out)
{
	struct summary s = *summary_builder_summary(b);
	struct mime_part root = *s.root;

	/* Offsets are encoded as differences: a header that began earlier is a longer one. */
	root.header_start -= fields.len;
	root.header_lines += count_lines(fields);
	s.root = &root;
	s.size += fields.len;
	summary_encode(&s, out);
}

void summary_builder_free(struct summary_builder **b)
{
	if (!*b)
		return;
	mime_parser_free(&(*b)->parser);
	memory_free(*b);
	*b = NULL;
}

struct summary summary_of(struct bytes mail, struct arena *arena)
{
	struct mime_count count;
	struct summary s = {.size = mail.len};

	s.root = mime_parse(mail, arena, &count);
	s.received = count.received;
	s.partial = count.truncated ? SUMMARY_TRUNCATED : 0;
	take_date(&s);
	return s;
}

bool summary_next_id(struct bytes *rest, struct bytes *ret_id)
{
	for (;;) {
		size_t open = bytes_find_char(*rest, '<');
		if (open == BYTES_NONE)
			return false;
		*rest = bytes_skip(*rest, open + 1);
		size_t close = bytes_find_char(*rest, '>');
		if (close == BYTES_NONE)
			return false;
		*ret_id = bytes_first(*rest, close);
		*rest = bytes_skip(*rest, close + 1);
		size_t again = bytes_find_last(*ret_id, '<');
		if (again != BYTES_NONE)
			*ret_id = bytes_skip(*ret_id, again + 1);
		if (ret_id->len > 0)
			return true;
	}
}
