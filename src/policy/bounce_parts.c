#include "policy/bounce_parts.h"

#include "base/limits.h"
#include "base/text.h"
#include "mail/body.h"
#include "mail/charset.h"
#include "mail/header.h"
#include "mail/mime.h"
#include "mail/words.h"

struct taking {
	struct bytes mail;
	struct buf text, status, feedback, original;
	struct bytes inner;
};

/* CRLF and bare CR become LF. */
static struct bytes with_lf(struct bytes mail, struct arena *arena)
{
	if (bytes_find_char(mail, '\r') == BYTES_NONE)
		return mail;
	char *out = arena_get(arena, mail.len);
	size_t len = 0;
	for (size_t i = 0; i < mail.len; i++) {
		if (mail.ptr[i] != '\r')
			out[len++] = mail.ptr[i];
		else if (i + 1 >= mail.len || mail.ptr[i + 1] != '\n')
			out[len++] = '\n';
	}
	return bytes_of(out, len);
}

static void put(struct buf *out, struct bytes piece, size_t max)
{
	if (buf_len(out) < max)
		buf_append(out, bytes_first(piece, max - buf_len(out)));
}

/* ---- one part ---- */

static bool is_type(const struct mime_part *p, const char *type, const char *subtype)
{
	return bytes_equal(p->type, bytes_of_text(type)) &&
	       (!subtype || bytes_equal(p->subtype, bytes_of_text(subtype)));
}

static void decode(const struct taking *t, const struct mime_part *p, struct buf *out)
{
	struct body_decoder d = body_decoder_of(p->encoding);
	size_t len = (size_t)(p->body_end - p->body_start);
	struct bytes body = bytes_first(bytes_skip(t->mail, (size_t)p->body_start), len);

	body_decode(&d, bytes_first(body, 4 * BOUNCE_TEXT_MAX), out);
	body_decode_end(&d, out);
}

/* A part that says us-ascii, or nothing, and is not: old gateways write ISO-2022-JP as it comes. */
static void to_utf8(const struct mime_part *p, struct bytes raw, struct buf *out)
{
	struct buf label = {0};

	words_param(p->params, BYTES("charset"), &label);
	bool plain = buf_len(&label) == 0 ||
	             bytes_equal_nocase(buf_bytes(&label), BYTES("us-ascii")) ||
	             bytes_equal_nocase(buf_bytes(&label), BYTES("utf-8"));
	if (plain && text_is_utf8(raw) && bytes_find_char(raw, 0x1b) == BYTES_NONE)
		buf_append(out, raw);
	else if (plain || charset_to_utf8(buf_bytes(&label), raw, out) != OK)
		charset_guess_to_utf8(raw, out);
	buf_done(&label);
}

static size_t entity(struct bytes text, char *ret)
{
	static const struct {
		const char *name;
		char c;
	} names[] = {{"&lt;", '<'},   {"&gt;", '>'},   {"&amp;", '&'},
	             {"&quot;", '"'}, {"&nbsp;", ' '}, {"&#64;", '@'}};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (bytes_starts_nocase(text, bytes_of_text(names[i].name))) {
			*ret = names[i].c;
			return strlen(names[i].name);
		}
	}
	return 0;
}

static bool is_block_tag(struct bytes tag)
{
	static const char *const names[] = {"<br",  "<p",  "</p", "<div", "</div", "<tr",
	                                    "</tr", "<li", "</h", "<h",   "<td"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (bytes_starts_nocase(tag, bytes_of_text(names[i])))
			return true;
	}
	return false;
}

/* Text of HTML, badly enough for finding addresses and replies in it. */
static void put_html(struct bytes html, struct buf *out, size_t max)
{
	while (html.len > 0) {
		char c;
		size_t len = html.ptr[0] == '&' ? entity(html, &c) : 0;
		if (len > 0) {
			put(out, bytes_of(&c, 1), max);
		} else if (html.ptr[0] == '<') {
			size_t end = bytes_find_char(bytes_first(html, 4096), '>');
			len = end == BYTES_NONE ? 1 : end + 1;
			if (is_block_tag(html))
				put(out, BYTES("\n"), max);
		} else {
			len = 1;
			put(out, bytes_first(html, 1), max);
		}
		html = bytes_skip(html, len);
	}
	put(out, BYTES("\n"), max);
}

static void take_text(struct taking *t, const struct mime_part *p)
{
	struct buf raw = {0}, utf8 = {0};

	decode(t, p, &raw);
	to_utf8(p, buf_bytes(&raw), &utf8);
	if (is_type(p, "text", "html"))
		put_html(buf_bytes(&utf8), &t->text, BOUNCE_TEXT_MAX);
	else
		put(&t->text, buf_bytes(&utf8), BOUNCE_TEXT_MAX);
	put(&t->text, BYTES("\n\n"), BOUNCE_TEXT_MAX + 2);
	buf_done(&utf8);
	buf_done(&raw);
}

static void take_original(struct taking *t, const struct mime_part *p)
{
	struct buf raw = {0};

	if (p->message) {
		size_t start = (size_t)p->child->header_start,
		       len = (size_t)(p->child->body_start - p->child->header_start);
		put(&t->original, bytes_first(bytes_skip(t->mail, start), len),
		    BOUNCE_ORIGINAL_MAX);
	} else {
		decode(t, p, &raw);
		put(&t->original, bytes_first(buf_bytes(&raw), header_len(buf_bytes(&raw))),
		    BOUNCE_ORIGINAL_MAX);
	}
	buf_done(&raw);
}

static void take_fields(struct taking *t, const struct mime_part *p, struct buf *out)
{
	struct buf raw = {0};

	decode(t, p, &raw);
	put(out, buf_bytes(&raw), BOUNCE_TEXT_MAX);
	put(out, BYTES("\n\n"), BOUNCE_TEXT_MAX + 2);
	buf_done(&raw);
}

static bool is_original(const struct mime_part *p)
{
	return p->message || is_type(p, "message", "rfc822") || is_type(p, "message", "global") ||
	       is_type(p, "text", "rfc822-headers") || is_type(p, "message", "rfc822-headers") ||
	       is_type(p, "message", "global-headers");
}

/* A leaf. What is no text, but no multipart that could not be taken apart either, says nothing. */
static void take_leaf(struct taking *t, const struct mime_part *p)
{
	if (is_original(p))
		take_original(t, p);
	else if (is_type(p, "message", "delivery-status") ||
	         is_type(p, "message", "global-delivery-status"))
		take_fields(t, p, &t->status);
	else if (is_type(p, "message", "feedback-report"))
		take_fields(t, p, &t->feedback);
	else if (is_type(p, "text", NULL) || is_type(p, "multipart", NULL))
		take_text(t, p);
}

static const struct mime_part *next(const struct mime_part *p, bool into)
{
	if (into && p->child)
		return p->child;
	while (p && !p->next)
		p = p->parent;
	return p ? p->next : NULL;
}

/* ---- where the original begins in the text ---- */

static bool is_marker(struct bytes line)
{
	static const char *const starts[] = {"received:",
	                                     "return-path:",
	                                     "dkim-signature:",
	                                     "x-originating-ip:",
	                                     "authentication-results:",
	                                     "domainkey-signature:",
	                                     "content-type: message/rfc822",
	                                     "content-description: undelivered",
	                                     "--- below this line",
	                                     "message headers follow",
	                                     "original message:",
	                                     "original message follows",
	                                     "original message headers",
	                                     "original mail as follows"};
	static const char *const parts[] = {"this is a copy of the message",
	                                    "this is a copy of your message",
	                                    "original message follows",
	                                    "- original message -",
	                                    "-original message-",
	                                    "-- original message",
	                                    "unsent message follows",
	                                    "unsent message below",
	                                    "header of the original message",
	                                    "message header follows",
	                                    "returned message --",
	                                    "returned message follows",
	                                    "copy of the original message",
	                                    "copy of the message header",
	                                    "copy of the first part of the message",
	                                    "header lines follow",
	                                    "headers of the original",
	                                    "included message",
	                                    "text of the message follows",
	                                    "message text follows",
	                                    "original email follows",
	                                    "- message body -",
	                                    "message contents follow"};

	for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++) {
		if (bytes_starts_nocase(line, bytes_of_text(starts[i])))
			return true;
	}
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		if (bytes_find_nocase(line, bytes_of_text(parts[i])) != BYTES_NONE)
			return true;
	}
	return false;
}

static void split(struct bytes whole, struct bytes *ret_text, struct bytes *ret_rest)
{
	struct bytes rest = whole, line;

	*ret_text = whole;
	*ret_rest = (struct bytes){0};
	for (size_t at = 0; bytes_cut(&rest, '\n', &line); at = whole.len - rest.len) {
		if (is_marker(bytes_trim(bytes_first(line, 200)))) {
			*ret_text = bytes_first(whole, at);
			*ret_rest = bytes_skip(whole, at);
			return;
		}
	}
}

/* The marker's line goes when it is no field. */
static struct bytes after_marker(struct bytes rest)
{
	struct bytes after = rest, line;

	if (!bytes_cut(&after, '\n', &line))
		return rest;
	size_t colon = bytes_find_char(line, ':');
	bool field = colon != BYTES_NONE && colon > 0 &&
	             bytes_find_char(bytes_first(line, colon), ' ') == BYTES_NONE;
	while (!field && after.len > 0 && after.ptr[0] == '\n')
		after = bytes_skip(after, 1);
	return field ? rest : after;
}

static struct bytes keep(struct arena *arena, struct buf *b)
{
	struct bytes kept = arena_copy(arena, buf_bytes(b));

	buf_done(b);
	return kept;
}

void bounce_parts_take(struct bytes mail, struct arena *arena, struct bounce_parts *ret)
{
	struct taking t = {.mail = with_lf(mail, arena)};
	const struct mime_part *root = mime_parse(t.mail, arena, NULL);
	struct bytes rest;

	for (const struct mime_part *p = root; p; p = next(p, !is_original(p) || p == root)) {
		if (!p->child || (is_original(p) && p != root))
			take_leaf(&t, p);
	}
	*ret = (struct bounce_parts){.report = is_type(root, "multipart", "report")};
	ret->header = bytes_first(t.mail, (size_t)root->body_start);
	split(keep(arena, &t.text), &ret->text, &rest);
	put(&t.original, rest, BOUNCE_ORIGINAL_MAX);
	ret->inner = t.inner.len > 0 ? t.inner : after_marker(rest);
	ret->status = keep(arena, &t.status);
	ret->feedback = keep(arena, &t.feedback);
	ret->original = keep(arena, &t.original);
}

/* ---- fields ---- */

/* A folded line goes on where the next one begins with a blank. */
static void put_folded(struct bytes rest, struct buf *out)
{
	struct bytes line;

	while (rest.len > 0 && text_is_blank(rest.ptr[0]) && bytes_cut(&rest, '\n', &line)) {
		if (bytes_trim(line).len == 0)
			return;
		buf_append_char(out, ' ');
		buf_append(out, bytes_trim(line));
	}
}

struct bytes bounce_field(struct bytes text, struct bytes name, struct arena *arena)
{
	struct bytes rest = text, line;
	struct buf raw = {0}, decoded = {0};

	while (buf_len(&raw) == 0 && bytes_cut(&rest, '\n', &line)) {
		bool indented = line.len > 0 && text_is_blank(line.ptr[0]);
		line = bytes_trim(line);
		size_t colon = bytes_find_char(bytes_first(line, name.len + 4), ':');
		if (colon == BYTES_NONE ||
		    !bytes_equal_nocase(bytes_trim(bytes_first(line, colon)), name))
			continue;
		buf_append(&raw, bytes_trim(bytes_skip(line, colon + 1)));
		if (!indented)
			put_folded(rest, &raw);
	}
	words_decode(bytes_first(buf_bytes(&raw), LIMIT_HEADER_FIELD), &decoded);
	struct bytes value = arena_copy(arena, bytes_trim(buf_bytes(&decoded)));
	buf_done(&raw);
	buf_done(&decoded);
	return value;
}
