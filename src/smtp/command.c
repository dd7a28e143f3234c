/* The commands, and those that are no more than a reply. */
#include "base/text.h"
#include "smtp/session.h"

typedef void command_function(struct smtp_server *s, struct bytes args);

enum args { ARGS_NONE, ARGS_MAY, ARGS_MUST };

struct smtp_command {
	const char *verb;
	command_function *run;
	enum args args;
	bool parallel; /* may run while RCPTs before it are open */
	const char *usage;
};

static command_function cmd_helo, cmd_ehlo, cmd_rset, cmd_vrfy, cmd_expn, cmd_help, cmd_noop,
        cmd_quit, cmd_starttls, cmd_web;

/* RFC 5321, 4.1.1; BDAT is RFC 3030, STARTTLS RFC 3207, AUTH RFC 4954. */
static const struct smtp_command commands[] = {
        {"EHLO", cmd_ehlo, ARGS_MUST, false, "EHLO your-host-name"},
        {"HELO", cmd_helo, ARGS_MUST, false, "HELO your-host-name"},
        {"MAIL", smtp_cmd_mail, ARGS_MAY, false, "MAIL FROM:<address> [parameters]"},
        {"RCPT", smtp_cmd_rcpt, ARGS_MAY, true, "RCPT TO:<address> [parameters]"},
        {"DATA", smtp_cmd_data, ARGS_NONE, false, "DATA"},
        {"BDAT", smtp_cmd_bdat, ARGS_MAY, false, "BDAT octets [LAST]"},
        {"RSET", cmd_rset, ARGS_NONE, false, "RSET"},
        {"NOOP", cmd_noop, ARGS_MAY, false, "NOOP"},
        {"QUIT", cmd_quit, ARGS_NONE, false, "QUIT"},
        {"HELP", cmd_help, ARGS_MAY, false, "HELP"},
        {"VRFY", cmd_vrfy, ARGS_MUST, false, "VRFY address"},
        {"EXPN", cmd_expn, ARGS_MAY, false, NULL},
        {"STARTTLS", cmd_starttls, ARGS_NONE, false, "STARTTLS"},
        {"AUTH", smtp_cmd_auth, ARGS_MAY, false, "AUTH mechanism [initial-response]"},
        /* A browser that was made to talk to us: what follows is no SMTP. */
        {"GET", cmd_web, ARGS_MAY, false, NULL},
        {"POST", cmd_web, ARGS_MAY, false, NULL},
        {"CONNECT", cmd_web, ARGS_MAY, false, NULL},
};

enum { COMMANDS = sizeof(commands) / sizeof(commands[0]) };

const struct smtp_command *smtp_command_find(struct bytes line, struct bytes *ret_args)
{
	size_t len = bytes_find_char(line, ' ');
	struct bytes verb = bytes_first(line, len);

	for (size_t i = 0; i < COMMANDS; i++) {
		if (!bytes_equal_nocase(verb, bytes_of_text(commands[i].verb)))
			continue;
		*ret_args = len == BYTES_NONE ? bytes_skip(line, line.len)
		                              : bytes_trim(bytes_skip(line, len));
		return &commands[i];
	}
	return NULL;
}

bool smtp_command_is_parallel(const struct smtp_command *c)
{
	return c->parallel;
}

void smtp_command_run(struct smtp_server *s, struct bytes line)
{
	struct bytes args;
	const struct smtp_command *c = smtp_command_find(bytes_trim(line), &args);

	s->verb = c ? c->verb : "-";
	if (!c)
		smtp_refuse(s, 500, "5.5.1", "Unknown command; HELP lists those that there are");
	else if ((c->args == ARGS_NONE && args.len > 0) || (c->args == ARGS_MUST && args.len == 0))
		smtp_refuse(s, 501, "5.5.4", "Write: %s", c->usage);
	else
		c->run(s, args);
}

/* ---- greeting ---- */

/* RFC 5321, 4.1.4: a wrong name is no reason to refuse; but it stands in Received and in logs. */
static bool greet(struct smtp_server *s, struct bytes args)
{
	struct bytes name = bytes_first(args, bytes_find_char(args, ' '));

	for (size_t i = 0; i < name.len; i++)
		if ((unsigned char)name.ptr[i] <= ' ' || name.ptr[i] == 0x7f)
			name.len = 0;
	if (name.len == 0 || name.len > LIMIT_DOMAIN || !text_is_utf8(name)) {
		smtp_refuse(s, 501, "5.5.4", "That is no host name; write: %s your-host-name",
		            s->verb);
		return false;
	}
	smtp_mail_reset(s);
	buf_clear(&s->helo);
	buf_append(&s->helo, name);
	smtp_judge_hello(s);
	s->phase = PHASE_READY;
	return true;
}

static void cmd_helo(struct smtp_server *s, struct bytes args)
{
	if (!greet(s, args))
		return;
	s->ehlo = false;
	smtp_reply(s, 250, "", "%.*s", BYTES_ARG(s->options->hostname));
}

static void cmd_ehlo(struct smtp_server *s, struct bytes args)
{
	const struct smtp_options *o = s->options;

	if (!greet(s, args))
		return;
	s->ehlo = true;
	buf_printf(&s->output,
	           "250-%.*s\r\n250-PIPELINING\r\n250-SIZE %llu\r\n250-8BITMIME\r\n"
	           "250-SMTPUTF8\r\n250-CHUNKING\r\n250-BINARYMIME\r\n",
	           BYTES_ARG(o->hostname), (unsigned long long)o->message_max);
	smtp_params_offer(s, &s->output);
	buf_printf(&s->output, "250-LIMITS MAILMAX=%u RCPTMAX=%u\r\n250 HELP\r\n", o->mails_max,
	           o->recipients_max);
}

/* ---- the small ones ---- */

static void cmd_rset(struct smtp_server *s, struct bytes args)
{
	smtp_mail_reset(s);
	smtp_reply(s, 250, "2.0.0", "Forgotten");
}

static void cmd_noop(struct smtp_server *s, struct bytes args)
{
	smtp_reply(s, 250, "2.0.0", "OK");
}

static void cmd_quit(struct smtp_server *s, struct bytes args)
{
	smtp_reply(s, 221, "2.0.0", "%.*s Goodbye", BYTES_ARG(s->options->hostname));
	s->closing = true;
}

/* RFC 5321, 7.3: who asks learns nothing about our users. */
static void cmd_vrfy(struct smtp_server *s, struct bytes args)
{
	smtp_reply(s, 252, "2.1.5", "Send mail to it: RCPT says whether it is taken");
}

static void cmd_expn(struct smtp_server *s, struct bytes args)
{
	smtp_refuse(s, 502, "5.5.1", "EXPN is not offered; lists do not tell their members");
}

static void cmd_help(struct smtp_server *s, struct bytes args)
{
	buf_append_text(&s->output, "214-2.0.0 Commands:\r\n");
	for (size_t i = 0; i < COMMANDS; i++)
		if (commands[i].usage &&
		    (s->options->submission || commands[i].run != smtp_cmd_auth))
			buf_printf(&s->output, "214-2.0.0   %s\r\n", commands[i].usage);
	buf_append_text(&s->output, "214 2.0.0 Each line ends with CRLF\r\n");
}

static void cmd_web(struct smtp_server *s, struct bytes args)
{
	smtp_hang_up(s, 502, "5.7.0", "This is a mail server (SMTP), no web server");
}

/* RFC 3207, 4. What follows the command in the same packet is the host's to see: it ends the
 * session. */
static void cmd_starttls(struct smtp_server *s, struct bytes args)
{
	if (s->tls) {
		smtp_refuse(s, 503, "5.5.1", "TLS is up already");
		return;
	}
	if (s->logged_in) {
		smtp_refuse(s, 503, "5.5.1",
		            "You have logged in already; STARTTLS comes before AUTH");
		return;
	}
	if (!s->options->starttls) {
		smtp_refuse(s, 502, "5.5.1", "STARTTLS is not offered: there is no certificate");
		return;
	}
	smtp_mail_reset(s);
	smtp_reply(s, 220, "2.0.0", "Begin TLS");
	s->wait = WAIT_TLS;
	s->tls_asked = false;
}
