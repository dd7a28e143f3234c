#include "mail/trace.h"

#include <assert.h>

#include "base/limits.h"
#include "base/text.h"
#include "mail/header.h"

enum { NAME_MAX_LEN = 255, COMMENT_MAX_LEN = 120, PATH_MAX_LEN = 640 };

/* What strangers sent, so that it stays one word inside of a comment: no control characters,
 * blanks or parentheses. */
static void put_word(struct buf *out, struct bytes text, size_t most)
{
	bool utf8 = text_is_utf8(text);

	text = bytes_first(text, most);
	if (utf8 && !text_is_utf8(text)) { /* cut inside of a character */
		while (text.len > 0 && ((unsigned char)text.ptr[text.len - 1] & 0xc0) == 0x80)
			text.len--;
		if (text.len > 0 && (unsigned char)text.ptr[text.len - 1] >= 0xc0)
			text.len--;
	}
	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.ptr[i];
		bool bad = c <= ' ' || c == 0x7f || c == '(' || c == ')' || c == '\\' || c == ';' ||
		           (c >= 0x80 && !utf8);
		buf_append_char(out, bad ? '?' : (char)c);
	}
}

/* An envelope path: blanks are possible in quoted local parts; line ends are not. */
static void put_path(struct buf *out, struct bytes path)
{
	bool utf8 = text_is_utf8(path);

	buf_append_char(out, '<');
	for (size_t i = 0; i < path.len && i < PATH_MAX_LEN; i++) {
		unsigned char c = (unsigned char)path.ptr[i];
		buf_append_char(out, c < ' ' || c == 0x7f || (c >= 0x80 && !utf8) ? '?' : (char)c);
	}
	buf_append_char(out, '>');
}

/* "with" keywords: RFC 5321, 4.4; RFC 3848; RFC 6531, 4.3. */
static void put_protocol(struct buf *out, const struct trace *t)
{
	if (t->utf8)
		buf_append_text(out, "UTF8SMTP");
	else
		buf_append_text(out, t->esmtp || t->tls || t->auth ? "ESMTP" : "SMTP");
	if (t->tls)
		buf_append_char(out, 'S');
	if (t->auth)
		buf_append_char(out, 'A');
}

/* from HELO (NAME [ADDRESS]): what it said, and what we know. */
static void put_from(struct buf *out, const struct trace *t)
{
	char text[IP_TEXT];

	buf_append_text(out, "from ");
	if (t->helo.len > 0)
		put_word(out, t->helo, NAME_MAX_LEN);
	else
		buf_append_text(out, "unknown");
	ip_format(t->client, text);
	buf_append_text(out, " (");
	if (t->client_name.len > 0)
		put_word(out, t->client_name, NAME_MAX_LEN);
	else
		buf_append_text(out, "unknown");
	buf_printf(out, " [%s%s])\r\n\t", ip_is_v4(t->client) ? "" : "IPv6:", text);
}

static void put_comment(struct buf *out, struct bytes text)
{
	struct bytes word;
	bool first = true;

	text = bytes_first(text, COMMENT_MAX_LEN);
	buf_append_text(out, "\r\n\t(");
	while (bytes_cut(&text, ' ', &word)) {
		if (!first)
			buf_append_char(out, ' ');
		put_word(out, word, COMMENT_MAX_LEN);
		first = false;
	}
	buf_append_char(out, ')');
}

static void put_received(struct buf *out, const struct trace *t)
{
	char date[TIME_TEXT];

	buf_append_text(out, "Received: ");
	if (t->client)
		put_from(out, t);
	buf_append_text(out, "by ");
	put_word(out, t->hostname, NAME_MAX_LEN);
	if (t->client || t->esmtp || t->tls || t->auth) {
		buf_append_text(out, " with ");
		put_protocol(out, t);
	}
	if (t->id.len > 0) {
		buf_append_text(out, " id ");
		put_word(out, t->id, COMMENT_MAX_LEN);
	}
	if (t->tls_version.len > 0)
		put_comment(out, t->tls_version);
	if (t->rcpt.len > 0) {
		buf_append_text(out, "\r\n\tfor ");
		put_path(out, t->rcpt);
	}
	time_format_rfc5322(t->now, t->zone_minutes, date);
	buf_printf(out, ";\r\n\t%s\r\n", date);
}

void trace_make(const struct trace *t, struct buf *out)
{
	size_t before = buf_len(out);

	if (t->return_path) {
		buf_append_text(out, "Return-Path: ");
		put_path(out, t->sender);
		buf_append_text(out, "\r\n");
	}
	put_received(out, t);
	assert(buf_len(out) - before <= LIMIT_TRACE);
}

unsigned trace_hops(struct bytes header)
{
	struct header_field f;
	unsigned hops = 0;

	while (header_next(&header, &f))
		hops += bytes_equal_nocase(f.name, BYTES("Received"));
	return hops;
}

bool trace_delivered_to(struct bytes header, struct bytes address)
{
	struct header_field f;

	while (header_next(&header, &f)) {
		struct bytes value = bytes_trim(f.value);
		if (value.len > 2 && value.ptr[0] == '<' && value.ptr[value.len - 1] == '>')
			value = bytes_of(value.ptr + 1, value.len - 2);
		if (bytes_equal_nocase(f.name, BYTES("Delivered-To")) &&
		    bytes_equal_nocase(value, address))
			return true;
	}
	return false;
}
