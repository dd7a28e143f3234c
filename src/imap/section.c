/* Sections of a mail: where they lie, and what FETCH says of them (RFC 9051, 6.4.5.1; RFC 3516). */
#include "imap/fetch.h"
#include "mail/body.h"
#include "mail/header.h"

bool section_needs_structure(const struct section *sec)
{
	return sec->count > 0;
}

bool section_is_raw(const struct section *sec)
{
	return !sec->size_only && sec->kind != SECTION_FIELDS && sec->kind != SECTION_FIELDS_NOT &&
	       (!sec->binary || sec->count == 0);
}

/* HEADER and TEXT are of a message: the mail itself, or what a message/rfc822 holds. */
static const struct mime_part *message_of(const struct section *sec, const struct mime_part *part)
{
	if (sec->count == 0)
		return part;
	return part->message ? part->child : NULL;
}

static bool part_range(const struct section *sec, const struct mime_part *part, uint64_t *from,
                       uint64_t *to)
{
	const struct mime_part *message;

	switch (sec->kind) {
	case SECTION_WHOLE:
		*from = part->body_start;
		*to = part->body_end;
		return true;
	case SECTION_MIME:
		*from = part->header_start;
		*to = part->body_start;
		return true;
	default: break;
	}
	message = message_of(sec, part);
	if (!message)
		return false;
	*from = sec->kind == SECTION_TEXT ? message->body_start : message->header_start;
	*to = sec->kind == SECTION_TEXT ? message->body_end : message->body_start;
	return true;
}

/* BODYSTRUCTURE must show a body in a message that was not taken apart (envelope.c): an empty one, which is this. */
static bool is_empty_body(const struct section *sec, const struct summary *sum)
{
	const struct mime_part *part;

	if (sec->count == 0 || sec->kind != SECTION_WHOLE || sec->numbers[sec->count - 1] != 1)
		return false;
	part = mime_part_section(sum->root, sec->numbers, sec->count - 1);
	return part && !part->child &&
	       (part->multipart || bytes_equal(part->type, BYTES("message")));
}

bool section_range(const struct section *sec, const struct summary *sum, uint64_t *ret_from,
                   uint64_t *ret_to, const struct mime_part **ret_part)
{
	const struct mime_part *part = sum->root;

	*ret_part = NULL;
	if (sec->count == 0 && sec->kind == SECTION_WHOLE) {
		*ret_from = 0;
		*ret_to = sum->size;
		return true;
	}
	if (sec->count)
		part = mime_part_section(sum->root, sec->numbers, sec->count);
	if (!part && is_empty_body(sec, sum)) {
		*ret_from = *ret_to = 0;
		return true;
	}
	if (!part || !part_range(sec, part, ret_from, ret_to))
		return false;
	*ret_part = part;
	return true;
}

void section_narrow(const struct section *sec, uint64_t *from, uint64_t *to)
{
	uint64_t len = *to - *from;

	if (!sec->partial)
		return;
	*from += sec->offset < len ? sec->offset : len;
	if (*to - *from > sec->len)
		*to = *from + sec->len;
}

/* ---- printing ---- */

static bool is_wanted(const struct section *sec, struct bytes name)
{
	for (size_t i = 0; i < sec->field_count; i++)
		if (bytes_equal_nocase(sec->fields[i], name))
			return sec->kind == SECTION_FIELDS;
	return sec->kind == SECTION_FIELDS_NOT;
}

/* The blank line is there whether the header had one or not (RFC 9051, 6.4.5.1). */
static void pick_fields(const struct section *sec, struct bytes header, struct buf *out)
{
	struct header_field f;

	while (header_next(&header, &f)) {
		if (!is_wanted(sec, f.name))
			continue;
		buf_append(out, f.whole);
		if (!bytes_ends(f.whole, BYTES("\n")))
			buf_append_text(out, "\r\n");
	}
	buf_append_text(out, "\r\n");
}

static bool decode(const struct mime_part *part, struct bytes raw, struct buf *out)
{
	struct body_decoder d;

	if (part->encoding == MIME_OTHER)
		return false;
	d = body_decoder_of(part->multipart ? MIME_BINARY : part->encoding);
	body_decode(&d, raw, out);
	body_decode_end(&d, out);
	return true;
}

static void put_value(const struct section *sec, struct bytes value, struct buf *out)
{
	bool literal8 = sec->binary && bytes_find_char(value, 0) != BYTES_NONE;

	buf_append(out, sec->label);
	if (sec->size_only) {
		buf_append_char(out, ' ');
		respond_number(out, value.len);
		return;
	}
	if (sec->partial) {
		value = bytes_skip(value, sec->offset);
		value = bytes_first(value, sec->len);
	}
	buf_printf(out, " %s{%zu}\r\n", literal8 ? "~" : "", value.len);
	buf_append(out, value);
}

bool section_print(const struct section *sec, struct bytes raw, const struct mime_part *part,
                   struct buf *out)
{
	struct buf made = {0};
	bool known = true;

	if (sec->kind == SECTION_FIELDS || sec->kind == SECTION_FIELDS_NOT) {
		pick_fields(sec, raw, &made);
		raw = buf_bytes(&made);
	} else if (sec->binary && part) {
		known = decode(part, raw, &made);
		raw = buf_bytes(&made);
	}
	if (known)
		put_value(sec, raw, out);
	buf_done(&made);
	return known;
}

void section_print_nil(const struct section *sec, struct buf *out)
{
	buf_append(out, sec->label);
	buf_append_text(out, sec->size_only ? " 0" : " NIL");
}
