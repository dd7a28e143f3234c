/* The table of commands, and those that need nobody's answer. */
#include "pop3/session.h"

#include "base/text.h"

struct command {
	const char *name;
	unsigned states; /* enum pop3_state */
	bool wants;      /* arguments */
	bool takes;
	void (*run)(struct pop3_server *s, struct bytes args);
};

/* ---- message numbers ---- */

/* The mail that the first word names; says why not. RFC 1939, 5: numbers of deleted mails are refused. */
static bool mail_number(struct pop3_server *s, struct bytes word, uint32_t *ret)
{
	uint64_t n;

	if (bytes_to_u64(word, UINT32_MAX, &n) != OK || !n)
		pop3_err(s, "A message's number is expected");
	else if (n > s->mail_count)
		pop3_err(s, "There are only %u messages", s->mail_count);
	else if (s->mails[n - 1].bits & MAIL_BIT_DELETED)
		pop3_err(s, "Message %u is deleted", (unsigned)n);
	else
		return *ret = (uint32_t)n - 1, true;
	return false;
}

/* ---- listings ---- */

static void list_line(struct pop3_server *s, uint32_t nth)
{
	const struct pop3_mail *m = &s->mails[nth];

	if (s->listing_uids)
		buf_printf(&s->out, "%u %u.%u\r\n", nth + 1, s->uidvalidity, m->uid);
	else
		buf_printf(&s->out, "%u %u\r\n", nth + 1, m->size);
}

/* As much as there is room for; goes on when output was sent. */
void pop3_list_pump(struct pop3_server *s)
{
	for (; s->list_next < s->mail_count && pop3_room(s); s->list_next++)
		if (!(s->mails[s->list_next].bits & MAIL_BIT_DELETED))
			list_line(s, s->list_next);
	if (s->list_next < s->mail_count)
		return;
	buf_append_text(&s->out, ".\r\n");
	s->step = STEP_NONE;
}

static void listing(struct pop3_server *s, struct bytes args, bool uids)
{
	uint32_t nth;

	s->listing_uids = uids;
	if (!args.len) {
		pop3_ok(s, "%u messages (%llu octets)", s->kept_count,
		        (unsigned long long)s->kept_size);
		s->list_next = 0;
		s->step = STEP_LIST;
	} else if (mail_number(s, args, &nth)) {
		buf_append_text(&s->out, "+OK ");
		list_line(s, nth);
	}
}

static void cmd_list(struct pop3_server *s, struct bytes args)
{
	listing(s, args, false);
}

static void cmd_uidl(struct pop3_server *s, struct bytes args)
{
	listing(s, args, true);
}

static void cmd_stat(struct pop3_server *s, struct bytes args)
{
	pop3_ok(s, "%u %llu", s->kept_count, (unsigned long long)s->kept_size);
}

/* ---- mails ---- */

static void cmd_retr(struct pop3_server *s, struct bytes args)
{
	uint32_t nth;

	if (mail_number(s, args, &nth))
		stream_begin(s, nth, false, 0);
}

static void cmd_top(struct pop3_server *s, struct bytes args)
{
	struct bytes word, rest = args;
	uint64_t lines;
	uint32_t nth;

	bytes_cut(&rest, ' ', &word);
	if (bytes_to_u64(bytes_trim(rest), UINT32_MAX, &lines) != OK)
		pop3_err(s, "TOP takes a message's number and a number of lines");
	else if (mail_number(s, word, &nth))
		stream_begin(s, nth, true, lines);
}

static void cmd_dele(struct pop3_server *s, struct bytes args)
{
	uint32_t nth;

	if (!mail_number(s, args, &nth))
		return;
	s->mails[nth].bits |= MAIL_BIT_DELETED;
	s->kept_count--;
	s->kept_size -= s->mails[nth].size;
	pop3_ok(s, "Message %u will be removed at QUIT", nth + 1);
}

static void cmd_rset(struct pop3_server *s, struct bytes args)
{
	s->kept_count = s->mail_count;
	s->kept_size = 0;
	for (uint32_t i = 0; i < s->mail_count; i++) {
		s->mails[i].bits &= ~(unsigned)MAIL_BIT_DELETED;
		s->kept_size += s->mails[i].size;
	}
	pop3_ok(s, "%u messages (%llu octets)", s->kept_count, (unsigned long long)s->kept_size);
}

/* ---- the rest ---- */

static void cmd_noop(struct pop3_server *s, struct bytes args)
{
	pop3_ok(s, "Still here");
}

static void cmd_quit(struct pop3_server *s, struct bytes args)
{
	if (s->state == POP3_TRANSACTION) {
		update_begin(s);
		return;
	}
	pop3_ok(s, "Bye");
	s->finished = true;
}

/* RFC 6856, 2: from now on the client understands UTF-8 in headers. We send mails as they are in any
 * case; the client is told so by CAPA. */
static void cmd_utf8(struct pop3_server *s, struct bytes args)
{
	s->utf8 = true;
	pop3_ok(s, "UTF-8 it is");
}

/* RFC 2449, 5 and 6. What changes with login or TLS is said as it is now. */
static void cmd_capa(struct pop3_server *s, struct bytes args)
{
	unsigned mechanisms = pop3_mechanisms(s);

	pop3_ok(s, "What this server can do:");
	buf_append_text(&s->out, "TOP\r\nUIDL\r\nRESP-CODES\r\nAUTH-RESP-CODE\r\nPIPELINING\r\n"
	                         "UTF8 USER\r\nEXPIRE NEVER\r\n");
	if (pop3_plaintext_allowed(s))
		buf_append_text(&s->out, "USER\r\n");
	if (mechanisms) {
		buf_append_text(&s->out, "SASL");
		sasl_offer_words(mechanisms, " ", &s->out);
		buf_append_text(&s->out, "\r\n");
	}
	if (s->options->stls && !s->peer.tls && s->state == POP3_AUTHORIZATION)
		buf_append_text(&s->out, "STLS\r\n");
	buf_append_text(&s->out, "IMPLEMENTATION Hikyaku\r\n.\r\n");
}

enum { ANY = POP3_AUTHORIZATION | POP3_TRANSACTION };

static const struct command commands[] = {
        {"USER", POP3_AUTHORIZATION, true, true, cmd_user},
        {"PASS", POP3_AUTHORIZATION, true, true, cmd_pass},
        {"APOP", POP3_AUTHORIZATION, true, true, cmd_apop},
        {"AUTH", POP3_AUTHORIZATION, false, true, cmd_auth},
        {"STLS", POP3_AUTHORIZATION, false, false, cmd_stls},
        {"UTF8", POP3_AUTHORIZATION, false, false, cmd_utf8},
        {"CAPA", ANY, false, false, cmd_capa},
        {"QUIT", ANY, false, false, cmd_quit},
        {"NOOP", ANY, false, false, cmd_noop},
        {"STAT", POP3_TRANSACTION, false, false, cmd_stat},
        {"LIST", POP3_TRANSACTION, false, true, cmd_list},
        {"UIDL", POP3_TRANSACTION, false, true, cmd_uidl},
        {"RETR", POP3_TRANSACTION, true, true, cmd_retr},
        {"TOP", POP3_TRANSACTION, true, true, cmd_top},
        {"DELE", POP3_TRANSACTION, true, true, cmd_dele},
        {"RSET", POP3_TRANSACTION, false, false, cmd_rset},
};

static const struct command *command_find(struct bytes name)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (bytes_equal_nocase(name, bytes_of_text(commands[i].name)))
			return &commands[i];
	return NULL;
}

/* PASS alone keeps its blanks: a password may begin or end with one. */
static struct bytes arguments(const struct command *c, struct bytes rest)
{
	return c->run == cmd_pass ? rest : bytes_trim(rest);
}

void pop3_command(struct pop3_server *s, struct bytes line)
{
	size_t blank = 0;
	struct bytes name, args;
	const struct command *c;

	while (line.len && text_is_blank(line.ptr[0]))
		line = bytes_skip(line, 1);
	while (blank < line.len && !text_is_blank(line.ptr[blank]))
		blank++;
	name = bytes_first(line, blank);
	c = command_find(name);
	if (!c) {
		pop3_err(s, "No such command");
		return;
	}
	args = arguments(c, bytes_skip(line, blank + 1));
	if (!(c->states & (unsigned)s->state))
		pop3_err(s, s->state == POP3_AUTHORIZATION ? "Log in first" : "Not after login");
	else if (c->wants && !args.len)
		pop3_err(s, "%s needs an argument", c->name);
	else if (!c->takes && args.len)
		pop3_err(s, "%s takes no argument", c->name);
	else
		c->run(s, args);
}
