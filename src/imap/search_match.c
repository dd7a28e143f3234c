/* Is this mail what SEARCH looks for? Three answers, because octets are read only for mails that need it. */
#include "base/text.h"
#include "imap/search.h"
#include "mail/body.h"
#include "mail/charset.h"
#include "mail/header.h"
#include "mail/words.h"

enum { DAY_MS = 24 * 60 * 60 * 1000 };

/* ---- folding ---- */

/* NFKC_Casefold of ASCII is its lower case; the most mail is that. */
void search_fold(struct bytes utf8, struct buf *out)
{
	char *room;

	if (!text_is_ascii(utf8)) {
		charset_fold(utf8, out);
		return;
	}
	room = buf_room(out, utf8.len);
	if (utf8.len)
		memcpy(room, utf8.ptr, utf8.len);
	text_lower(room, utf8.len);
	buf_added(out, utf8.len);
}

static bool holds(struct bytes folded, struct bytes needle)
{
	return needle.len == 0 || bytes_find(folded, needle) != BYTES_NONE;
}

static bool folds_to(struct bytes utf8, struct bytes needle)
{
	struct buf folded = {0};
	bool found;

	search_fold(utf8, &folded);
	found = holds(buf_bytes(&folded), needle);
	buf_done(&folded);
	return found;
}

/* ---- fields of the summary ---- */

static bool words_match(struct bytes value, struct bytes needle)
{
	struct buf utf8 = {0};
	bool found;

	if (!value.len)
		return needle.len == 0;
	words_decode(value, &utf8);
	found = folds_to(buf_bytes(&utf8), needle);
	buf_done(&utf8);
	return found;
}

/* "name <local@domain>", the way people see it. */
static bool addresses_match(const struct address *a, struct bytes needle)
{
	struct buf utf8 = {0};
	bool found;

	for (; a; a = a->next) {
		words_decode(a->name, &utf8);
		if (a->kind != ADDRESS_MAILBOX)
			continue;
		buf_append_text(&utf8, " <");
		address_put(a, &utf8);
		buf_append_text(&utf8, ">, ");
	}
	found = folds_to(buf_bytes(&utf8), needle);
	buf_done(&utf8);
	return found;
}

static bool field_matches(const struct mime_envelope *e, uint8_t field, struct bytes needle)
{
	switch (field) {
	case FIELD_FROM: return addresses_match(e->from, needle);
	case FIELD_TO: return addresses_match(e->to, needle);
	case FIELD_CC: return addresses_match(e->cc, needle);
	case FIELD_BCC: return addresses_match(e->bcc, needle);
	case FIELD_SENDER: return addresses_match(e->sender, needle);
	case FIELD_REPLY_TO: return addresses_match(e->reply_to, needle);
	case FIELD_SUBJECT: return words_match(e->subject, needle);
	case FIELD_MESSAGE_ID: return words_match(e->message_id, needle);
	case FIELD_IN_REPLY_TO: return words_match(e->in_reply_to, needle);
	default: return words_match(e->references, needle);
	}
}

static const char *const header_names[] = {
        [FIELD_FROM] = "From",
        [FIELD_TO] = "To",
        [FIELD_CC] = "Cc",
        [FIELD_BCC] = "Bcc",
        [FIELD_SUBJECT] = "Subject",
        [FIELD_SENDER] = "Sender",
        [FIELD_REPLY_TO] = "Reply-To",
        [FIELD_MESSAGE_ID] = "Message-ID",
        [FIELD_IN_REPLY_TO] = "In-Reply-To",
        [FIELD_REFERENCES] = "References",
};

static bool header_matches(struct bytes header, struct bytes name, struct bytes needle)
{
	struct header_field f;

	while (header_next(&header, &f))
		if (bytes_equal_nocase(f.name, name) && words_match(f.value, needle))
			return true;
	return false;
}

/* A summary that was cut does not hold all: then the header decides. */
static enum search_verdict match_field(const struct search_node *node,
                                       const struct search_mail *mail)
{
	if (mail->have_header)
		return header_matches(mail->header, bytes_of_text(header_names[node->field]),
		                      node->needle);
	if (!mail->have_summary || !mail->summary.root)
		return SEARCH_MAYBE;
	if (field_matches(mail->summary.root->envelope, node->field, node->needle))
		return SEARCH_YES;
	return mail->summary.partial & SUMMARY_CUT ? SEARCH_MAYBE : SEARCH_NO;
}

/* ---- the tree ---- */

static bool in_days(const struct search_node *node, time_ms t)
{
	int64_t day = t >= 0 ? t / DAY_MS : -((DAY_MS - 1 - t) / DAY_MS);

	return node->from <= day && day < node->to;
}

/* Date as it is written, whatever the zone (RFC 9051, 6.4.4); without a Date the day of arrival is taken. */
static enum search_verdict match_sent(const struct search_node *node,
                                      const struct search_mail *mail)
{
	const struct summary *sum = &mail->summary;

	if (!mail->have_summary)
		return SEARCH_MAYBE;
	if (!sum->date_valid)
		return in_days(node, mail->row->received);
	return in_days(node, sum->date + (time_ms)sum->date_zone * 60000);
}

static enum search_verdict match_and(const struct search_node *node, const struct search_mail *mail)
{
	enum search_verdict all = SEARCH_YES;

	for (const struct search_node *child = node->child; child; child = child->next) {
		enum search_verdict v = search_match(child, mail);

		if (v == SEARCH_NO)
			return SEARCH_NO;
		if (v == SEARCH_MAYBE)
			all = SEARCH_MAYBE;
	}
	return all;
}

static enum search_verdict negated(enum search_verdict v)
{
	return v == SEARCH_MAYBE ? v : v == SEARCH_YES ? SEARCH_NO : SEARCH_YES;
}

static enum search_verdict match_or(const struct search_node *node, const struct search_mail *mail)
{
	enum search_verdict a = search_match(node->child, mail), b;

	if (a == SEARCH_YES)
		return a;
	b = search_match(node->child->next, mail);
	return b == SEARCH_YES || a == SEARCH_NO ? b : a;
}

static enum search_verdict match_text(const struct search_node *node,
                                      const struct search_mail *mail)
{
	if (!mail->have_mail)
		return SEARCH_MAYBE;
	return holds(mail->body_text, node->needle) ||
	       (node->kind == SEARCH_TEXT && holds(mail->header_text, node->needle));
}

enum search_verdict search_match(const struct search_node *node, const struct search_mail *mail)
{
	const struct row *row = mail->row;

	switch ((enum search_kind)node->kind) {
	case SEARCH_ALL: return SEARCH_YES;
	case SEARCH_NONE: return SEARCH_NO;
	case SEARCH_AND: return match_and(node, mail);
	case SEARCH_OR: return match_or(node, mail);
	case SEARCH_NOT: return negated(search_match(node->child, mail));
	case SEARCH_FLAGS: return (row->flags & node->number) == node->number;
	case SEARCH_SET: return uidset_has(&node->uids, row->uid);
	case SEARCH_LARGER: return row->size > node->number;
	case SEARCH_SMALLER: return row->size < node->number;
	case SEARCH_RECEIVED: return in_days(node, row->received);
	case SEARCH_SENT: return match_sent(node, mail);
	case SEARCH_MODSEQ: return row->modseq >= node->number;
	case SEARCH_FIELD: return match_field(node, mail);
	case SEARCH_HEADER:
		return mail->have_header ? header_matches(mail->header, node->name, node->needle)
		                         : SEARCH_MAYBE;
	default: return match_text(node, mail);
	}
}

/* ---- sets ---- */

/* Numbers beyond the mailbox match nothing; they are no error in SEARCH. */
static void resolve_set(const struct imap_server *s, struct search_node *node)
{
	struct uidset one = {0};

	if (node->set.saved) {
		set_resolve(s, &node->set, true, &node->uids);
		return;
	}
	for (size_t i = 0; i < node->set.count; i++) {
		struct sequence_range r = node->set.ranges[i];
		struct sequence_set single = {.ranges = &r, .count = 1};
		uint32_t count = view_count(&s->box.view);

		if (!node->set_is_uid) {
			uint32_t low = r.first < r.last ? r.first : r.last;

			if (low > count && low != UINT32_MAX)
				continue;
			r.first = r.first > count ? UINT32_MAX : r.first;
			r.last = r.last > count ? UINT32_MAX : r.last;
		}
		if (set_resolve(s, &single, node->set_is_uid, &one) && one.count)
			uidset_add_range(&node->uids, one.ranges[0].first, one.ranges[0].last);
	}
	uidset_done(&one);
}

void search_resolve(const struct imap_server *s, struct search_node *node)
{
	for (; node; node = node->next) {
		if (node->kind == SEARCH_SET)
			resolve_set(s, node);
		search_resolve(s, node->child);
	}
}

void search_forget(struct search_node *node)
{
	for (; node; node = node->next) {
		uidset_done(&node->uids);
		search_forget(node->child);
	}
}

/* ---- text of a mail ---- */

void search_header_text(struct bytes header, struct buf *out)
{
	struct buf utf8 = {0};
	struct header_field f;

	while (header_next(&header, &f)) {
		buf_append(&utf8, f.name);
		buf_append_text(&utf8, ": ");
		words_decode(f.value, &utf8);
		buf_append_char(&utf8, '\n');
	}
	search_fold(buf_bytes(&utf8), out);
	buf_done(&utf8);
}

static void leaf_text(struct bytes raw, const struct mime_part *part, struct buf *out)
{
	struct body_decoder d = body_decoder_of((enum mime_encoding)part->encoding);
	struct bytes label = mime_param_find(part->params, BYTES("charset"));
	struct buf decoded = {0}, utf8 = {0};

	if (part->encoding != MIME_7BIT && part->encoding != MIME_8BIT) {
		body_decode(&d, raw, &decoded);
		body_decode_end(&d, &decoded);
		raw = buf_bytes(&decoded);
	}
	if (text_is_ascii(raw) && bytes_find_char(raw, 0x1b) == BYTES_NONE) {
		search_fold(raw, out);
	} else {
		if (!label.len || charset_to_utf8(label, raw, &utf8) != OK)
			charset_guess_to_utf8(raw, &utf8);
		search_fold(buf_bytes(&utf8), out);
	}
	buf_append_char(out, '\n');
	buf_done(&decoded);
	buf_done(&utf8);
}

static struct bytes between(struct bytes mail, uint64_t from, uint64_t to)
{
	return bytes_first(bytes_skip(mail, from), to - from);
}

/* Text parts, and the headers of messages within; pictures and the like hold no words. */
void search_body_text(struct bytes mail, const struct mime_part *part, struct buf *out)
{
	for (const struct mime_part *child = part->child; child; child = child->next) {
		if (part->message)
			search_header_text(between(mail, child->header_start, child->body_start),
			                   out);
		search_body_text(mail, child, out);
	}
	if (!part->child && bytes_equal(part->type, BYTES("text")))
		leaf_text(between(mail, part->body_start, part->body_end), part, out);
}
