#include "smtp/header.h"

#include "base/text.h"
#include "config/config.h"
#include "mail/address.h"
#include "mail/date.h"
#include "mail/header.h"

/* ---- where it ends ---- */

enum kind {
	KIND_FIELD, /* or what goes on with one: header */
	KIND_END,   /* the empty line */
	KIND_TEXT,  /* no field: the body has begun */
	KIND_MORE   /* cannot be said before more of the line is here */
};

enum {
	NAME_MAX = 998
}; /* name and blanks before the colon: RFC 5322, 2.1.1 lets no line be longer */

/* A name and a colon, or as much of it as there is. */
static enum kind field_kind(struct bytes line)
{
	size_t i = 0;

	while (i < line.len && i < NAME_MAX && (unsigned char)line.ptr[i] > ' ' &&
	       line.ptr[i] != ':' && line.ptr[i] != 0x7f)
		i++;
	if (i == 0 && line.len > 0)
		return KIND_TEXT;
	while (i < line.len && i < NAME_MAX && text_is_blank(line.ptr[i]))
		i++;
	if (i == line.len)
		return KIND_MORE;
	return line.ptr[i] == ':' ? KIND_FIELD : KIND_TEXT;
}

/* The line with which mbox files begin a mail; programs leave it there. */
static bool is_mbox(struct bytes line)
{
	return bytes_starts(line, BYTES("From ")) || bytes_starts(line, BYTES(">From "));
}

/* line: as far as it has come; whole: with its end, or at the mail's end. The answer does not depend on how much of the
 * line there is, once it is not KIND_MORE. */
static enum kind line_kind(const struct smtp_header_scan *s, struct bytes line, bool whole)
{
	enum kind kind;

	if (bytes_equal(line, BYTES("\r\n")) || bytes_equal(line, BYTES("\n")))
		return KIND_END;
	if (bytes_equal(line, BYTES("\r")) && !whole)
		return KIND_MORE;
	if (s->field && line.len > 0 && text_is_blank(line.ptr[0]))
		return KIND_FIELD;
	kind = field_kind(line);
	if (s->at == 0 && kind == KIND_TEXT && is_mbox(line))
		return KIND_FIELD;
	return kind == KIND_MORE && whole ? KIND_TEXT : kind;
}

bool smtp_header_scan(struct smtp_header_scan *s, struct bytes buffered, bool last, size_t *ret_len,
                      size_t *ret_body)
{
	while (s->at < buffered.len) {
		struct bytes line = bytes_skip(buffered, s->at);
		size_t lf = bytes_find_char(line, '\n');
		enum kind kind;

		line = bytes_first(line, lf == BYTES_NONE ? line.len : lf + 1);
		kind = line_kind(s, line, lf != BYTES_NONE || last);
		if (kind == KIND_END || kind == KIND_TEXT) {
			*ret_len = s->at;
			*ret_body = s->at + (kind == KIND_END ? line.len : 0);
			return true;
		}
		if (lf == BYTES_NONE && !last)
			return false;
		s->field |= field_kind(line) == KIND_FIELD;
		s->at += line.len;
	}
	*ret_len = *ret_body = buffered.len;
	return last;
}

/* ---- completion ---- */

struct completion {
	const struct smtp_header_setup *setup;
	struct arena *arena;
	struct buf *out;
	struct smtp_header_verdict *verdict;
	unsigned from, sender;
	bool date, message_id;
	bool own; /* a field that says who sends: the local user's name means his address */
	struct bytes sender_value;
};

static void refuse(struct completion *c, const char *text, struct bytes detail)
{
	if (c->verdict->refused)
		return;
	c->verdict->refused = text;
	c->verdict->detail = detail;
}

/* In DATA they refuse the mail in any case; BDAT brings them through. Programs do not agree on what they end. */
static bool has_bare_ends(struct bytes header)
{
	for (size_t i = 0; i < header.len; i++) {
		char c = header.ptr[i];

		if (c == '\0' || (c == '\n' && (i == 0 || header.ptr[i - 1] != '\r')) ||
		    (c == '\r' && (i + 1 == header.len || header.ptr[i + 1] != '\n')))
			return true;
	}
	return false;
}

/* ---- addresses without a domain ---- */

/* False also where writing the list anew would lose something: more than address_parse() gives, raw ISO-2022-JP. */
static bool can_complete(struct bytes value, const struct address *a)
{
	bool bare = false;
	size_t count = 0;

	for (; a; a = a->next, count++)
		bare |= a->kind == ADDRESS_MAILBOX && a->bare && a->local.len > 0;
	return bare && count < ADDRESS_LIST_MAX && bytes_find_char(value, 0x1b) == BYTES_NONE;
}

static bool names_local_user(const struct smtp_header_setup *setup, const struct address *a)
{
	return a->bare && setup->local_user.len > 0 && setup->user.len > 0 &&
	       bytes_equal_nocase(a->local, setup->local_user);
}

static struct bytes whole_address(struct completion *c, const struct address *a)
{
	struct buf b = {0};
	struct bytes copy;

	if (c->own && names_local_user(c->setup, a))
		return c->setup->user;
	address_put(a, &b);
	copy = a->bare ? arena_printf(c->arena, "%.*s@%.*s", BYTES_ARG(buf_bytes(&b)),
	                              BYTES_ARG(c->setup->domain))
	               : arena_copy(c->arena, buf_bytes(&b));
	buf_done(&b);
	return copy;
}

/* atext and blanks (RFC 5322, 3.2.3), so that encoded words stay what they are; or UTF-8. */
static bool is_phrase(struct bytes name)
{
	for (size_t i = 0; i < name.len; i++) {
		char c = name.ptr[i];

		if (!text_is_alnum(c) && (unsigned char)c < 0x80 &&
		    bytes_find_char(BYTES(" !#$%&'*+-/=?^_`{|}~"), c) == BYTES_NONE)
			return false;
	}
	return true;
}

static void put_name(struct buf *out, struct bytes name)
{
	if (is_phrase(name)) {
		buf_append(out, name);
		return;
	}
	buf_append_char(out, '"');
	for (size_t i = 0; i < name.len; i++) {
		if (name.ptr[i] == '"' || name.ptr[i] == '\\')
			buf_append_char(out, '\\');
		buf_append_char(out, name.ptr[i]);
	}
	buf_append_char(out, '"');
}

static void put_mailbox(struct completion *c, const struct address *a)
{
	struct bytes address = whole_address(c, a);

	if (a->name.len == 0) {
		buf_append(c->out, address);
		return;
	}
	put_name(c->out, a->name);
	buf_printf(c->out, " <%.*s>", BYTES_ARG(address));
}

/* The list again, with domains. */
static void put_completed(struct completion *c, struct bytes name, const struct address *list)
{
	bool comma = false;

	buf_printf(c->out, "%.*s: ", BYTES_ARG(name));
	for (const struct address *a = list; a; a = a->next) {
		if (a->kind == ADDRESS_GROUP_END) {
			buf_append_char(c->out, ';');
			comma = true;
			continue;
		}
		if (comma)
			buf_append_text(c->out, ",\r\n\t");
		comma = a->kind == ADDRESS_MAILBOX;
		if (comma) {
			put_mailbox(c, a);
		} else {
			put_name(c->out, a->name);
			buf_append_text(c->out, ": ");
		}
	}
	buf_append_text(c->out, "\r\n");
}

static void take_addresses(struct completion *c, const struct header_field *f)
{
	const struct address *list = address_parse(f->value, c->arena);

	if (can_complete(f->value, list))
		put_completed(c, f->name, list);
	else
		buf_append(c->out, f->whole);
}

/* ---- who it is from ---- */

static void take_own_addresses(struct completion *c, const struct header_field *f)
{
	c->own = true;
	take_addresses(c, f);
	c->own = false;
}

static void claim(struct completion *c, const struct address *a, const char *malformed)
{
	struct smtp_header_verdict *v = c->verdict;
	struct bytes canonical, address = whole_address(c, a);

	if (a->local.len == 0 || (!a->bare && a->domain.len == 0) ||
	    config_address_canonical(address, c->arena, &canonical) != OK) {
		refuse(c, malformed, address);
		return;
	}
	for (unsigned i = 0; i < v->claim_count; i++)
		if (bytes_equal(v->claims[i], canonical))
			return;
	if (v->claim_count == SMTP_HEADER_CLAIMS)
		refuse(c, "From and Sender name too many addresses", (struct bytes){0});
	else
		v->claims[v->claim_count++] = canonical;
}

static unsigned claim_all(struct completion *c, struct bytes value, const char *malformed)
{
	unsigned count = 0, all = 0;

	c->own = true;
	for (const struct address *a = address_parse(value, c->arena); a; a = a->next) {
		/* What is further was not read, and must not go unasked about. */
		if (++all == ADDRESS_LIST_MAX)
			refuse(c, "From and Sender name too many addresses", (struct bytes){0});
		if (a->kind != ADDRESS_MAILBOX)
			continue;
		claim(c, a, malformed);
		count++;
	}
	c->own = false;
	return count;
}

static void take_from(struct completion *c, const struct header_field *f)
{
	if (++c->from > 1)
		refuse(c, "There are several From fields; a mail has one (RFC 5322, 3.6)",
		       (struct bytes){0});
	else if (bytes_trim(f->value).len == 0)
		c->from = 0; /* as if it were not there */
	else if (claim_all(c, f->value, "<%.*s> in From is no address") == 0)
		refuse(c, "From has no address", (struct bytes){0});
	else
		take_own_addresses(c, f);
}

/* Its addresses are looked at after those of From, wherever it stands. */
static void take_sender(struct completion *c, const struct header_field *f)
{
	if (++c->sender > 1)
		refuse(c, "There are several Sender fields; a mail has one at most (RFC 5322, 3.6)",
		       (struct bytes){0});
	c->sender_value = f->value;
	if (bytes_trim(f->value).len > 0)
		take_own_addresses(c, f);
}

/* ---- the other fields ---- */

static void drop(struct completion *c, const struct header_field *f)
{
}

static void take_date(struct completion *c, const struct header_field *f)
{
	time_ms at;

	if (date_parse(f->value, &at, NULL) != OK)
		return; /* nothing to be made of it */
	c->date = true;
	buf_append(c->out, f->whole);
}

static void take_message_id(struct completion *c, const struct header_field *f)
{
	if (bytes_trim(f->value).len == 0)
		return;
	c->message_id = true;
	buf_append(c->out, f->whole);
}

static void take_tls_required(struct completion *c, const struct header_field *f)
{
	struct bytes value = bytes_trim(header_unfold(f->value, c->arena));

	c->verdict->tls_not_required |= bytes_equal_nocase(value, BYTES("No"));
	buf_append(c->out, f->whole);
}

static const struct {
	const char *name;
	void (*take)(struct completion *c, const struct header_field *f);
} fields[] = {
        {"From", take_from},
        {"Sender", take_sender},
        {"Reply-To", take_addresses},
        {"To", take_addresses},
        {"Cc", take_addresses},
        {"Bcc", drop},
        {"Resent-Bcc", drop},
        {"Return-Path", drop}, /* RFC 5321, 4.4: the last host makes it */
        {"Date", take_date},
        {"Message-ID", take_message_id},
        {"TLS-Required", take_tls_required},
};

static void take_field(struct completion *c, const struct header_field *f)
{
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		if (!bytes_equal_nocase(f->name, bytes_of_text(fields[i].name)))
			continue;
		fields[i].take(c, f);
		return;
	}
	buf_append(c->out, f->whole);
}

/* ---- what is missing ---- */

static void add_from(struct completion *c)
{
	struct bytes who = c->setup->sender.len > 0 ? c->setup->sender : c->setup->user;
	struct bytes value = arena_printf(c->arena, "<%.*s>", BYTES_ARG(who));

	if (claim_all(c, value, "<%.*s> in From is no address") == 0)
		refuse(c, "There is no From field", (struct bytes){0});
	buf_printf(c->out, "From: %.*s\r\n", BYTES_ARG(value));
}

static void add_missing(struct completion *c)
{
	char date[TIME_TEXT];

	if (c->from == 0)
		add_from(c);
	if (!c->date) {
		time_format_rfc5322(c->setup->now, 0, date);
		buf_printf(c->out, "Date: %s\r\n", date);
	}
	if (!c->message_id)
		buf_printf(c->out, "Message-ID: %.*s\r\n", BYTES_ARG(c->setup->message_id));
}

/* A header that ends without a line end: BDAT can bring it. */
static struct bytes with_line_end(struct bytes header, struct arena *arena)
{
	if (header.len == 0 || header.ptr[header.len - 1] == '\n')
		return header;
	return arena_printf(arena, "%.*s\r\n", BYTES_ARG(header));
}

void smtp_header_complete(struct bytes header, const struct smtp_header_setup *setup,
                          struct arena *arena, struct buf *out, struct smtp_header_verdict *ret)
{
	struct completion c = {.setup = setup, .arena = arena, .out = out, .verdict = ret};
	struct header_field f;
	size_t before = buf_len(out);

	*ret = (struct smtp_header_verdict){0};
	header = with_line_end(header, arena);
	if (has_bare_ends(header))
		refuse(&c, "A CR, LF or NUL stands alone in the header", (struct bytes){0});
	while (!ret->refused && header_next(&header, &f))
		take_field(&c, &f);
	if (!ret->refused)
		add_missing(&c);
	if (!ret->refused)
		(void)claim_all(&c, c.sender_value, "<%.*s> in Sender is no address");
	buf_append_text(out, "\r\n");
	if (ret->refused)
		buf_truncate(out, before);
}
