/* AUTH (RFC 4954), in submission alone. The mechanisms are sasl/'s. */
#include "base/memory.h"
#include "smtp/session.h"

static bool plaintext_allowed(const struct smtp_server *s)
{
	return s->tls || s->options->plaintext == CONFIG_PLAINTEXT_ALWAYS ||
	       (s->options->plaintext == CONFIG_PLAINTEXT_LOOPBACK && ip_is_loopback(&s->peer.ip));
}

unsigned smtp_auth_offered(const struct smtp_server *s)
{
	if (!s->options->submission || s->peer.local)
		return 0;
	return sasl_offer(plaintext_allowed(s), s->options->cram_md5,
	                  buf_len(&s->exporter) || buf_len(&s->endpoint));
}

static void auth_new(struct smtp_server *s)
{
	struct sasl_setup setup = {
	        .offered = smtp_auth_offered(s),
	        .hostname = s->options->hostname,
	        .ip = s->peer.ip,
	        .counter = ++s->logins,
	        .exporter = buf_bytes(&s->exporter),
	        .endpoint = buf_bytes(&s->endpoint),
	};

	memcpy(setup.seed, s->peer.seed, sizeof(setup.seed));
	sasl_free(&s->sasl);
	s->sasl = sasl_new(&setup);
}

static void auth_done(struct smtp_server *s)
{
	if (bytes_equal(sasl_name(s->sasl), BYTES("CRAM-MD5")))
		smtp_note(s, "old-mechanism", "mechanism=CRAM-MD5 user=%.*s",
		          BYTES_ARG(sasl_address(s->sasl)));
	buf_clear(&s->user);
	buf_append(&s->user, sasl_address(s->sasl));
	s->logged_in = true;
	smtp_reply(s, 235, "2.7.0", "Welcome");
}

static void auth_denied(struct smtp_server *s)
{
	smtp_note(s, "login-failed", "protocol=submission mechanism=%.*s user=%.*s",
	          BYTES_ARG(sasl_name(s->sasl)), BYTES_ARG(sasl_user(s->sasl)));
	smtp_refuse(s, 535, "5.7.8", "The user name or the password is wrong");
	if (++s->login_failures >= s->options->login_failures)
		smtp_hang_up(s, 421, "4.7.0", "%.*s Too many failed logins; goodbye",
		             BYTES_ARG(s->options->hostname));
}

static void auth_state(struct smtp_server *s, enum sasl_state state)
{
	struct bytes challenge;

	s->mode = MODE_COMMAND;
	s->wait = WAIT_NONE;
	switch (state) {
	case SASL_CHALLENGE:
		challenge = sasl_challenge(s->sasl);
		buf_printf(&s->output, "334 %.*s\r\n", BYTES_ARG(challenge));
		s->mode = MODE_AUTH;
		return;
	case SASL_ASK:
		s->wait = WAIT_LOGIN;
		s->login_asked = false;
		return;
	case SASL_DONE: auth_done(s); break;
	case SASL_DENIED: auth_denied(s); break;
	case SASL_UNAVAILABLE:
		smtp_decline(s, 454, "4.7.0", "Nobody can log in just now; try again in a moment");
		break;
	case SASL_INVALID:
		smtp_refuse(s, 501, "5.5.2", "That is not what the mechanism expects");
		break;
	case SASL_CANCELLED: smtp_refuse(s, 501, "5.7.0", "Cancelled"); break;
	case SASL_UNKNOWN:
		smtp_refuse(s, 504, "5.5.4", "No such mechanism here; EHLO lists those there are");
		break;
	}
	sasl_free(&s->sasl);
}

/* A mechanism that would be there under TLS (RFC 4954, 6). */
static bool needs_tls(const struct smtp_server *s, struct bytes mechanism)
{
	return !plaintext_allowed(s) && (bytes_equal_nocase(mechanism, BYTES("PLAIN")) ||
	                                 bytes_equal_nocase(mechanism, BYTES("LOGIN")));
}

static bool may_auth(struct smtp_server *s, struct bytes mechanism)
{
	if (!s->options->submission)
		smtp_refuse(s, 502, "5.5.1", "Logging in is not offered on this port");
	else if (s->logged_in)
		smtp_refuse(s, 503, "5.5.1", "You have logged in already");
	else if (s->phase == PHASE_START)
		smtp_refuse(s, 503, "5.5.1", "First say EHLO");
	else if (mechanism.len == 0)
		smtp_refuse(s, 501, "5.5.4", "Write: AUTH mechanism [initial-response]");
	else if (needs_tls(s, mechanism))
		smtp_refuse(s, 538, "5.7.11", "Passwords are taken only over TLS%s",
		            s->options->starttls ? ": say STARTTLS first" : "");
	else
		return true;
	return false;
}

void smtp_cmd_auth(struct smtp_server *s, struct bytes args)
{
	size_t blank = bytes_find_char(args, ' ');
	struct bytes mechanism = bytes_first(args, blank);
	struct bytes initial = bytes_trim(bytes_skip(args, blank));

	if (!may_auth(s, mechanism))
		return;
	auth_new(s);
	auth_state(s, sasl_start(s->sasl, mechanism,
	                         blank != BYTES_NONE && initial.len > 0 ? &initial : NULL));
}

void smtp_auth_line(struct smtp_server *s, struct bytes line)
{
	s->verb = "AUTH";
	auth_state(s, sasl_line(s->sasl, line));
	/* It may have held a password. */
	if (s->line.ptr)
		memory_wipe(s->line.ptr, s->line.size);
}

void smtp_auth_cancel(struct smtp_server *s)
{
	s->mode = MODE_COMMAND;
	sasl_free(&s->sasl);
}

bool smtp_auth_ask(struct smtp_server *s, struct ask *ret)
{
	if (s->wait != WAIT_LOGIN || s->login_asked)
		return false;
	s->login_asked = true;
	s->login_number = smtp_number(s);
	*ret = *sasl_ask(s->sasl);
	ret->number = s->login_number;
	return true;
}

void smtp_auth_answer(struct smtp_server *s, const struct answer *a)
{
	if (s->wait != WAIT_LOGIN || !s->login_asked || a->number != s->login_number)
		return;
	s->active = s->now;
	s->verb = "AUTH";
	auth_state(s, sasl_answer(s->sasl, a));
}
