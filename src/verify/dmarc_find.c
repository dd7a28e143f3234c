/* Finding the report in what was sent: the XML itself, packed, or a part of a mail. */
#include "mail/body.h"
#include "mail/unpack.h"
#include "verify/dmarc_report.h"

enum { PARTS = 20, DECODED_MAX = 16 * 1024 * 1024 }; /* of one mail that are tried */

/* HTML does, too; only XML with the root of a report is worth an error. */
static bool looks_like_xml(struct bytes in)
{
	struct bytes head = in;

	if (bytes_starts(head, bytes_of("\xef\xbb\xbf", 3)))
		head = bytes_skip(head, 3);
	head = bytes_trim(bytes_first(head, 4096));
	return bytes_starts(head, BYTES("<")) && bytes_find(in, BYTES("feedback")) != BYTES_NONE;
}

/* Packed or bare. NOT_FOUND: it is neither. */
static enum result read_file(struct bytes in, struct arena *arena, struct dmarc_report *ret,
                             struct why *why)
{
	struct buf xml = {0};
	enum result r;

	if (unpack_kind(in) == UNPACK_PLAIN && !looks_like_xml(in))
		return why_set(why, NOT_FOUND, "there is no report in it");
	r = unpack_one(in, DMARC_REPORT_XML, &xml, why);
	if (r == OK && !looks_like_xml(buf_bytes(&xml)))
		r = why_set(why, NOT_FOUND, "what is packed is no DMARC report");
	if (r == OK)
		r = dmarc_report_parse(buf_bytes(&xml), arena, ret, why);
	buf_done(&xml);
	return r;
}

static enum result read_part(struct bytes mail, const struct mime_part *p, struct arena *arena,
                             struct dmarc_report *ret, struct why *why)
{
	struct body_decoder d = body_decoder_of((enum mime_encoding)p->encoding);
	struct bytes body = bytes_skip(bytes_first(mail, p->body_end), p->body_start);
	struct buf out = {0};
	enum result r;

	if (body.len > DECODED_MAX)
		return why_set(why, TOO_BIG, "more than %d octets in one part", DECODED_MAX);
	body_decode(&d, body, &out);
	body_decode_end(&d, &out);
	r = read_file(buf_bytes(&out), arena, ret, why);
	buf_done(&out);
	return r;
}

static const struct mime_part *next_part(const struct mime_part *p)
{
	if (p->child)
		return p->child;
	while (p && !p->next)
		p = p->parent;
	return p ? p->next : NULL;
}

static enum result read_mail(struct bytes mail, struct arena *arena, struct dmarc_report *ret,
                             struct why *why)
{
	const struct mime_part *p = mime_parse(mail, arena, NULL);
	enum result worst = why_set(why, NOT_FOUND, "there is no report in it");

	for (int tried = 0; p && tried < PARTS; p = next_part(p)) {
		struct why part = {0};
		enum result r;

		if (p->child)
			continue;
		tried++;
		r = read_part(mail, p, arena, ret, &part);
		if (r == OK)
			return OK;
		if (r != NOT_FOUND && worst == NOT_FOUND)
			worst = why_set(why, r, "%s", part.text);
	}
	return worst;
}

enum result dmarc_report_find(struct bytes in, struct arena *arena, struct dmarc_report *ret,
                              struct why *why)
{
	if (unpack_kind(in) != UNPACK_PLAIN || looks_like_xml(in))
		return read_file(in, arena, ret, why);
	return read_mail(in, arena, ret, why);
}
