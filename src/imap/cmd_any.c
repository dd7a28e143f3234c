/* CAPABILITY, NOOP (and CHECK), LOGOUT, ID, ENABLE, NAMESPACE. */
#include "imap/session.h"

/* What is announced is done. */
static const char before_login[] = "IMAP4rev2 IMAP4rev1 LITERAL+ SASL-IR ID ENABLE IDLE";
static const char after_login[] =
        " NAMESPACE UIDPLUS MOVE UNSELECT CHILDREN SPECIAL-USE CREATE-SPECIAL-USE CONDSTORE ESEARCH"
        " SEARCHRES LIST-EXTENDED LIST-STATUS STATUS=SIZE BINARY";

static bool in_the_clear(const struct imap_server *s)
{
	return !s->peer.tls && !s->options->plaintext_login;
}

void capability_words(const struct imap_server *s, struct buf *out)
{
	buf_append_text(out, before_login);
	if (s->state != IMAP_NOT_AUTH) {
		buf_append_text(out, after_login);
		buf_printf(out, " APPENDLIMIT=%llu", (unsigned long long)s->options->message_max);
		return;
	}
	if (!s->peer.tls && s->options->starttls)
		buf_append_text(out, " STARTTLS");
	if (in_the_clear(s))
		buf_append_text(out, " LOGINDISABLED");
	sasl_offer_words(auth_offered(s), " AUTH=", out);
}

void capability_run(struct imap_server *s)
{
	buf_append_text(&s->out, "* CAPABILITY ");
	capability_words(s, &s->out);
	buf_append_text(&s->out, "\r\n");
	imap_ok(s, "That is what I can do");
}

void noop_run(struct imap_server *s)
{
	imap_ok(s, "Done");
}

void logout_run(struct imap_server *s)
{
	buf_append_text(&s->out, "* BYE Goodbye\r\n");
	imap_ok(s, "Logged out");
	s->finished = true;
}

/* ---- ID (RFC 2971) ---- */

static bool id_pairs(struct cursor *c)
{
	struct bytes field, value;

	if (token_try_char(c, ')'))
		return true;
	do {
		if (!token_string(c, &field) || !token_space(c) || !token_nstring(c, &value))
			return false;
	} while (token_try_char(c, ' '));
	return token_char(c, ')');
}

bool id_parse(struct imap_server *s, struct cursor *c)
{
	if (!token_space(c))
		return false;
	return token_try_word(c, BYTES("NIL")) || (token_char(c, '(') && id_pairs(c));
}

void id_run(struct imap_server *s)
{
	buf_append_text(&s->out, "* ID (\"name\" \"Hikyaku\"");
	if (s->options->id_version.len) {
		buf_append_text(&s->out, " \"version\" ");
		respond_quoted(&s->out, s->options->id_version);
	}
	buf_append_text(&s->out, ")\r\n");
	imap_ok(s, "Pleased to meet you");
}

/* ---- ENABLE (RFC 9051, 6.3.1) ---- */

struct enable {
	bool rev2, condstore;
};

bool enable_parse(struct imap_server *s, struct cursor *c)
{
	struct enable *e = arena_get(&s->arena, sizeof(*e));
	struct bytes word;

	s->run.state = e;
	do {
		if (!token_space(c) || !token_atom(c, &word))
			return false;
		if (bytes_equal_nocase(word, BYTES("IMAP4rev2")))
			e->rev2 = true;
		if (bytes_equal_nocase(word, BYTES("CONDSTORE")))
			e->condstore = true;
	} while (c->rest.len);
	return true;
}

void enable_run(struct imap_server *s)
{
	const struct enable *e = s->run.state;

	buf_append_text(&s->out, "* ENABLED");
	if (e->rev2)
		buf_append_text(&s->out, " IMAP4rev2");
	if (e->condstore)
		buf_append_text(&s->out, " CONDSTORE");
	buf_append_text(&s->out, "\r\n");
	s->rev2 |= e->rev2;
	s->condstore |= e->condstore;
	imap_ok(s, "Enabled");
}

/* RFC 9051, 6.3.10: one personal namespace, nobody else's and no shared ones. */
void namespace_run(struct imap_server *s)
{
	buf_append_text(&s->out, "* NAMESPACE ((\"\" \"/\")) NIL NIL\r\n");
	imap_ok(s, "Namespaces");
}
