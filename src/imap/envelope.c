#include "imap/envelope.h"

#include "imap/session.h"

/* ---- ENVELOPE ---- */

/* mail/ says empty for what is not there. */
static void put_nstring(struct buf *out, struct bytes b)
{
	if (b.len)
		respond_quoted(out, b);
	else
		buf_append(out, BYTES("NIL"));
}

/* addr-name addr-adl addr-mailbox addr-host; NIL as host begins a group, NIL as mailbox too ends it. */
static void put_address(struct buf *out, const struct address *a)
{
	buf_append_char(out, '(');
	put_nstring(out, a->kind == ADDRESS_MAILBOX ? a->name : (struct bytes){0});
	buf_append_char(out, ' ');
	put_nstring(out, a->route);
	buf_append_char(out, ' ');
	if (a->kind == ADDRESS_MAILBOX) {
		respond_quoted(out, a->local);
		buf_append_char(out, ' ');
		respond_quoted(out, a->domain);
	} else {
		put_nstring(out, a->kind == ADDRESS_GROUP_START ? a->name : (struct bytes){0});
		buf_append(out, BYTES(" NIL"));
	}
	buf_append_char(out, ')');
}

static void put_addresses(struct buf *out, const struct address *a)
{
	if (!a) {
		buf_append(out, BYTES("NIL"));
		return;
	}
	buf_append_char(out, '(');
	for (; a; a = a->next)
		put_address(out, a);
	buf_append_char(out, ')');
}

void envelope_print(struct buf *out, const struct mime_envelope *e)
{
	static const struct mime_envelope none;
	const struct address *lists[6];

	if (!e)
		e = &none;
	lists[0] = e->from;
	lists[1] = e->sender ? e->sender : e->from;
	lists[2] = e->reply_to ? e->reply_to : e->from;
	lists[3] = e->to;
	lists[4] = e->cc;
	lists[5] = e->bcc;
	buf_append_char(out, '(');
	put_nstring(out, e->date);
	buf_append_char(out, ' ');
	put_nstring(out, e->subject);
	for (int i = 0; i < 6; i++) {
		buf_append_char(out, ' ');
		put_addresses(out, lists[i]);
	}
	buf_append_char(out, ' ');
	put_nstring(out, e->in_reply_to);
	buf_append_char(out, ' ');
	put_nstring(out, e->message_id);
	buf_append_char(out, ')');
}

/* ---- BODYSTRUCTURE ---- */

static const char empty_text[] = "(\"text\" \"plain\" NIL NIL NIL \"7bit\" 0 0)";

static void put_params(struct buf *out, const struct mime_param *p)
{
	if (!p) {
		buf_append(out, BYTES("NIL"));
		return;
	}
	for (char before = '('; p; p = p->next, before = ' ') {
		buf_append_char(out, before);
		respond_quoted(out, p->name);
		buf_append_char(out, ' ');
		respond_quoted(out, p->value);
	}
	buf_append_char(out, ')');
}

static void put_disposition(struct buf *out, const struct mime_part *part)
{
	if (!part->disposition.len) {
		buf_append(out, BYTES(" NIL"));
		return;
	}
	buf_append(out, BYTES(" ("));
	respond_quoted(out, part->disposition);
	buf_append_char(out, ' ');
	put_params(out, part->disposition_params);
	buf_append_char(out, ')');
}

/* NIL, a string, or a list of strings. */
static void put_language(struct buf *out, struct bytes languages)
{
	bool list = bytes_find_char(languages, ',') != BYTES_NONE;
	struct bytes one;
	const char *before = list ? " (" : " ";

	if (!languages.len) {
		buf_append(out, BYTES(" NIL"));
		return;
	}
	while (bytes_cut(&languages, ',', &one)) {
		buf_append_text(out, before);
		respond_quoted(out, bytes_trim(one));
		before = " ";
	}
	if (list)
		buf_append_char(out, ')');
}

static void put_extension(struct buf *out, const struct mime_part *part)
{
	put_disposition(out, part);
	put_language(out, part->language);
	buf_append_char(out, ' ');
	put_nstring(out, part->location);
}

static void put_multipart(struct buf *out, const struct mime_part *part, bool extended)
{
	buf_append_char(out, '(');
	for (const struct mime_part *child = part->child; child; child = child->next)
		structure_print(out, child, extended);
	if (!part->child)
		buf_append_text(out, empty_text);
	buf_append_char(out, ' ');
	respond_quoted(out, part->subtype);
	if (extended) {
		buf_append_char(out, ' ');
		put_params(out, part->params);
		put_extension(out, part);
	}
	buf_append_char(out, ')');
}

static bool is_type(const struct mime_part *part, const char *type)
{
	return bytes_equal(part->type, bytes_of_text(type));
}

/* Clients take these types as a sign of more fields, so a message that was not taken apart gets empty ones. */
static bool is_message(const struct mime_part *part)
{
	return is_type(part, "message") && (bytes_equal(part->subtype, BYTES("rfc822")) ||
	                                    bytes_equal(part->subtype, BYTES("global")));
}

/* A multipart that has no boundary is a leaf; nobody expects one of that name, so it is shown as text. */
static void put_type(struct buf *out, const struct mime_part *part)
{
	bool odd = is_type(part, "multipart");

	respond_quoted(out, odd ? BYTES("text") : part->type);
	buf_append_char(out, ' ');
	respond_quoted(out, odd ? BYTES("plain") : part->subtype);
	buf_append_char(out, ' ');
	if (!part->params && !part->type_given && is_type(part, "text"))
		buf_append(out, BYTES("(\"charset\" \"us-ascii\")"));
	else
		put_params(out, part->params);
}

static void put_leaf(struct buf *out, const struct mime_part *part, bool extended)
{
	buf_append_char(out, '(');
	put_type(out, part);
	buf_append_char(out, ' ');
	put_nstring(out, part->id);
	buf_append_char(out, ' ');
	put_nstring(out, part->description);
	buf_append_char(out, ' ');
	respond_quoted(out, part->encoding_text.len ? part->encoding_text : BYTES("7bit"));
	buf_append_char(out, ' ');
	respond_number(out, part->body_end - part->body_start);
	if (is_message(part)) {
		const struct mime_part *inner = part->message ? part->child : NULL;

		buf_append_char(out, ' ');
		envelope_print(out, inner ? inner->envelope : NULL);
		buf_append_char(out, ' ');
		if (inner)
			structure_print(out, inner, extended);
		else
			buf_append_text(out, empty_text);
	}
	if (is_message(part) || is_type(part, "text") || is_type(part, "multipart")) {
		buf_append_char(out, ' ');
		respond_number(out, part->body_lines);
	}
	if (extended) {
		buf_append_char(out, ' ');
		put_nstring(out, part->md5);
		put_extension(out, part);
	}
	buf_append_char(out, ')');
}

void structure_print(struct buf *out, const struct mime_part *part, bool extended)
{
	if (part->multipart)
		put_multipart(out, part, extended);
	else
		put_leaf(out, part, extended);
}
