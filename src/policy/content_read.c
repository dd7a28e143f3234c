/* Reading what content.c kept: fields, then the text of each part. */
#include <stdio.h>

#include "base/text.h"
#include "mail/body.h"
#include "mail/charset.h"
#include "mail/header.h"
#include "mail/mime.h"
#include "mail/words.h"
#include "policy/content_inside.h"

enum {
	FROM_TOKENS = 40,
	SUBJECT_TOKENS = 120,
	SHAPE_TOKENS = 60,
	ID_MAX = 400,
	PARTS_MAX = 100, /* looked into */
};

#define GTUBE "XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"

static struct bytes decoded(struct content *c, struct bytes value)
{
	struct buf out = {0};
	struct bytes ret;

	words_decode(value, &out);
	ret = arena_copy(&c->arena, bytes_trim(buf_bytes(&out)));
	buf_done(&out);
	return ret;
}

static struct bytes folded(struct content *c, struct bytes utf8)
{
	struct buf out = {0};
	struct bytes ret;

	charset_fold(utf8, &out);
	ret = arena_copy(&c->arena, buf_bytes(&out));
	buf_done(&out);
	return ret;
}

/* ---- fields ---- */

static bool canonical(struct content *c, const struct address *a, struct bytes *ret_address,
                      struct bytes *ret_domain)
{
	if (a->kind != ADDRESS_MAILBOX || a->bare || a->domain.len == 0 ||
	    config_domain_canonical(a->domain, &c->arena, ret_domain) != OK)
		return false;
	*ret_address = arena_printf(&c->arena, "%.*s@%.*s",
	                            BYTES_ARG(bytes_first(a->local, LIMIT_ADDRESS)),
	                            BYTES_ARG(*ret_domain));
	return true;
}

static void read_from(struct content *c, struct bytes value)
{
	struct content_seen *s = &c->seen;

	for (const struct address *a = address_parse(value, &c->arena); a; a = a->next) {
		if (a->kind != ADDRESS_MAILBOX)
			continue;
		if (s->from_count++ == 0) {
			s->from_name = decoded(c, a->name);
			if (!canonical(c, a, &s->from, &s->from_domain))
				s->from = s->from_domain = (struct bytes){0};
		}
	}
	if (s->from_count > 1)
		s->from = s->from_domain = (struct bytes){0};
}

static void read_reply_to(struct content *c, struct bytes value)
{
	struct bytes domain;

	for (const struct address *a = address_parse(value, &c->arena);
	     a && c->seen.reply_to.len == 0; a = a->next) {
		if (!canonical(c, a, &c->seen.reply_to, &domain))
			c->seen.reply_to = (struct bytes){0};
	}
}

/* The ids in <> of In-Reply-To or References; of many the last, which are the nearest. */
static void read_ids(struct content *c, struct bytes value, struct buf *out, size_t *count)
{
	size_t start;

	while (*count < CONTENT_REPLIES && (start = bytes_find_last(value, '<')) != BYTES_NONE) {
		struct bytes id = bytes_skip(value, start + 1);
		size_t end = bytes_find_char(id, '>');

		value = bytes_first(value, start);
		if (end == BYTES_NONE || end == 0 || end > ID_MAX)
			continue;
		buf_block(out, bytes_first(id, end));
		++*count;
	}
	(void)c;
}

/* "from name (name [192.0.2.1]) by ..." or "from x (HELO y) (192.0.2.1) by ...": who handed it to the host that wrote this line.
 * The last address counts: what stands before it is what the client said of itself. */
static bool client_of(struct bytes value, struct ip *ret)
{
	bool found = false;

	value = bytes_first(value, bytes_find_nocase(value, BYTES(" by ")));
	for (size_t i = 0; i < value.len; i++) {
		struct bytes text = bytes_skip(value, i + 1);
		struct ip ip;
		size_t len = 0;

		if (value.ptr[i] != '[' && value.ptr[i] != '(')
			continue;
		if (bytes_starts_nocase(text, BYTES("IPv6:")))
			text = bytes_skip(text, 5);
		while (len < text.len && len < IP_TEXT &&
		       (text_is_alnum(text.ptr[len]) || text.ptr[len] == '.' ||
		        text.ptr[len] == ':'))
			len++;
		if (ip_parse(bytes_first(text, len), &ip) == OK && !ip_is_loopback(&ip)) {
			*ret = ip;
			found = true;
		}
	}
	return found;
}

struct reading {
	struct buf replies, received;
	size_t reply_count;
	struct bytes program;
};

static void read_field(struct content *c, struct reading *r, const struct header_field *f)
{
	struct content_seen *s = &c->seen;
	struct ip ip;

	if (bytes_equal_nocase(f->name, BYTES("From")))
		read_from(c, f->value);
	else if (bytes_equal_nocase(f->name, BYTES("Reply-To")) && !c->has_reply_to) {
		c->has_reply_to = true;
		read_reply_to(c, f->value);
	} else if (bytes_equal_nocase(f->name, BYTES("To")) && !c->to)
		c->to = address_parse(f->value, &c->arena);
	else if (bytes_equal_nocase(f->name, BYTES("Cc")) && !c->cc)
		c->cc = address_parse(f->value, &c->arena);
	else if (bytes_equal_nocase(f->name, BYTES("Subject")) && s->subject.len == 0)
		s->subject = decoded(c, f->value);
	else if (bytes_equal_nocase(f->name, BYTES("In-Reply-To")) ||
	         bytes_equal_nocase(f->name, BYTES("References")))
		read_ids(c, f->value, &r->replies, &r->reply_count);
	else if (bytes_equal_nocase(f->name, BYTES("Received")) &&
	         buf_len(&r->received) < CONTENT_RECEIVED * sizeof(ip) && client_of(f->value, &ip))
		buf_append(&r->received, bytes_of(&ip, sizeof(ip)));
	else if (bytes_equal_nocase(f->name, BYTES("X-Mailer")) ||
	         bytes_equal_nocase(f->name, BYTES("User-Agent")))
		r->program = f->value;
}

static void read_message_id(struct content *c, struct bytes value)
{
	size_t start = bytes_find_char(value, '<'), end;

	value = bytes_trim(bytes_skip(value, start == BYTES_NONE ? 0 : start + 1));
	end = bytes_find_char(value, '>');
	c->seen.message_id = arena_copy(&c->arena, bytes_first(bytes_first(value, end), ID_MAX));
}

/* ---- how it is made ---- */

static void shape(struct content *c, const char *what, struct bytes value)
{
	char text[96];
	int len = snprintf(text, sizeof(text), "%s %.*s", what,
	                   (int)(value.len < 64 ? value.len : 64), value.len ? value.ptr : "");

	text_lower(text, (size_t)len);
	tokens_one(&c->tokens, TOKEN_SHAPE, bytes_of(text, (size_t)len));
}

static void shape_of_part(struct content *c, const struct mime_part *p)
{
	struct buf name = {0};
	struct bytes extension;
	size_t dot;

	if (c->tokens.count > SHAPE_TOKENS)
		return;
	shape(c, "type", p->type);
	shape(c, "subtype", p->subtype);
	shape(c, "charset", mime_param_find(p->params, BYTES("charset")));
	if (words_param(p->disposition_params, BYTES("filename"), &name) ||
	    words_param(p->params, BYTES("name"), &name)) {
		dot = bytes_find_last(buf_bytes(&name), '.');
		extension = dot == BYTES_NONE ? (struct bytes){0}
		                              : bytes_skip(buf_bytes(&name), dot + 1);
		shape(c, "file", bytes_first(extension, 10));
	}
	buf_done(&name);
}

static void shape_of_mail(struct content *c, const struct reading *r)
{
	const struct content_seen *s = &c->seen;

	shape(c, "program", bytes_trim(r->program));
	shape(c, "from",
	      s->from_count == 1 ? BYTES("one")
	      : s->from_count    ? BYTES("many")
	                         : BYTES("none"));
	if (s->reply_to.len)
		shape(c, "reply-to", BYTES("given"));
	if (!c->to)
		shape(c, "to", BYTES("none"));
	if (s->subject.len == 0)
		shape(c, "subject", BYTES("none"));
	if (r->reply_count)
		shape(c, "answer", BYTES("yes"));
	shape(c, "links",
	      s->links == 0   ? BYTES("0")
	      : s->links == 1 ? BYTES("1")
	      : s->links < 6  ? BYTES("few")
	                      : BYTES("many"));
	shape(c, "attachments", s->attachments ? BYTES("some") : BYTES("none"));
}

/* ---- parts ---- */

static bool is_signature(const struct mime_part *p)
{
	return bytes_equal(p->subtype, BYTES("pgp-signature")) ||
	       bytes_equal(p->subtype, BYTES("pkcs7-signature")) ||
	       bytes_equal(p->subtype, BYTES("x-pkcs7-signature"));
}

static bool is_attachment(const struct mime_part *p)
{
	if (bytes_equal(p->disposition, BYTES("attachment")))
		return !is_signature(p);
	return !bytes_equal(p->type, BYTES("text")) && !is_signature(p) &&
	       !bytes_equal(p->type, BYTES("message")) && !bytes_equal(p->type, BYTES("multipart"));
}

static void read_text(struct content *c, const struct mime_part *p)
{
	struct bytes whole = buf_bytes(&c->kept), charset;
	struct buf raw = {0}, utf8 = {0};
	struct body_decoder d = body_decoder_of(p->encoding);

	body_decode(&d, bytes_first(bytes_skip(whole, p->body_start), p->body_end - p->body_start),
	            &raw);
	body_decode_end(&d, &raw);
	charset = mime_param_find(p->params, BYTES("charset"));
	if (charset.len == 0 || charset_to_utf8(charset, buf_bytes(&raw), &utf8) != OK)
		charset_guess_to_utf8(buf_bytes(&raw), &utf8);
	if (bytes_equal(p->subtype, BYTES("html")))
		content_text_html(c, buf_bytes(&utf8));
	else
		content_text_plain(c, buf_bytes(&utf8));
	buf_append_char(&c->text, '\n');
	buf_done(&raw);
	buf_done(&utf8);
}

static void read_part(struct content *c, const struct mime_part *p)
{
	if (p->multipart)
		return;
	c->seen.attachments += is_attachment(p);
	if (c->parts++ >= PARTS_MAX)
		return;
	shape_of_part(c, p);
	if (bytes_equal(p->type, BYTES("text")) && buf_len(&c->text) < TEXT_MAX)
		read_text(c, p);
}

/* All parts, without recursion. */
static void read_parts(struct content *c, const struct mime_part *root)
{
	const struct mime_part *p = root;

	while (p) {
		read_part(c, p);
		if (p->child) {
			p = p->child;
			continue;
		}
		while (p && !p->next)
			p = p->parent;
		p = p ? p->next : NULL;
	}
}

/* ---- all ---- */

static void make_tokens(struct content *c)
{
	struct content_seen *s = &c->seen;
	struct tokens *t = &c->tokens;

	tokens_some(t, TOKEN_FROM, folded(c, s->from_name), FROM_TOKENS);
	tokens_one(t, TOKEN_FROM, s->from);
	tokens_one(t, TOKEN_FROM, s->from_domain);
	tokens_some(t, TOKEN_SUBJECT, c->folded_subject, SUBJECT_TOKENS);
	for (size_t i = 0; i < s->host_count; i++)
		tokens_one(t, TOKEN_HOST, c->hosts[i]);
	tokens_text(t, TOKEN_BODY, buf_bytes(&c->folded));
	tokens_pack(t, &c->packed);
	s->tokens = buf_bytes(&c->packed);
}

void content_read(struct content *c)
{
	const struct mime_part *root = mime_parse(buf_bytes(&c->kept), &c->arena, NULL);
	struct bytes rest = bytes_first(buf_bytes(&c->kept), root->body_start);
	struct reading r = {0};
	struct header_field f;

	while (header_next(&rest, &f)) {
		if (bytes_equal_nocase(f.name, BYTES("Message-ID")) && c->seen.message_id.len == 0)
			read_message_id(c, f.value);
		else
			read_field(c, &r, &f);
	}
	read_parts(c, root);
	c->seen.replies_to = arena_copy(&c->arena, buf_bytes(&r.replies));
	c->seen.received = arena_copy(&c->arena, buf_bytes(&r.received));
	c->seen.hosts = c->hosts;
	c->folded_subject = folded(c, c->seen.subject);
	charset_fold(buf_bytes(&c->text), &c->folded);
	c->seen.gtube = bytes_find(buf_bytes(&c->text), BYTES(GTUBE)) != BYTES_NONE;
	shape_of_mail(c, &r);
	make_tokens(c);
	buf_done(&r.replies);
	buf_done(&r.received);
}
