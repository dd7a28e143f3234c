/* STARTTLS, AUTHENTICATE, LOGIN (RFC 9051, 6.2). The mechanisms are sasl/'s. */
#include "imap/session.h"

/* ---- STARTTLS ---- */

void starttls_run(struct imap_server *s)
{
	if (s->peer.tls || !s->options->starttls) {
		imap_bad(s, "STARTTLS is not offered here");
		return;
	}
	imap_ok(s, "Begin TLS now");
	s->tls_starting = true;
	imap_ask(s, OWNER_TLS, 0, &(struct ask){.kind = ASK_TLS_START});
}

/* ---- what is offered ---- */

static bool plaintext_allowed(const struct imap_server *s)
{
	return s->peer.tls || s->options->plaintext_login;
}

unsigned auth_offered(const struct imap_server *s)
{
	bool old = s->options->mechanisms & SASL_CRAM_MD5;

	return s->options->mechanisms &
	       sasl_offer(plaintext_allowed(s), old, buf_len(&s->exporter) > 0);
}

/* ---- the way through ---- */

struct auth {
	struct sasl *sasl;
	struct bytes mechanism;
	struct bytes initial;
	bool has_initial;
	struct bytes user, password; /* LOGIN */
};

static struct sasl *make_sasl(struct imap_server *s)
{
	struct sasl_setup setup = {
	        .offered = auth_offered(s),
	        .hostname = s->options->hostname,
	        .ip = s->peer.ip,
	        .counter = ++s->counter,
	        .exporter = buf_bytes(&s->exporter),
	        .endpoint = buf_bytes(&s->endpoint),
	};

	memcpy(setup.seed, s->peer.seed, sizeof(setup.seed));
	return sasl_new(&setup);
}

static void logged_in(struct imap_server *s, const struct auth *auth)
{
	struct buf words = {0};

	s->state = IMAP_AUTH;
	s->failed_logins = 0;
	if (bytes_equal(sasl_name(auth->sasl), BYTES("CRAM-MD5")))
		imap_note(s, "cram-md5-used", "protocol=imap user=%.*s",
		          BYTES_ARG(sasl_address(auth->sasl)));
	capability_words(s, &words);
	imap_ok(s, "[CAPABILITY %.*s] Logged in", BYTES_ARG(buf_bytes(&words)));
	buf_done(&words);
}

static void refused(struct imap_server *s, const struct auth *auth)
{
	imap_note(s, "login-failed", "protocol=imap mechanism=%.*s user=%.*s",
	          BYTES_ARG(sasl_name(auth->sasl)), BYTES_ARG(sasl_user(auth->sasl)));
	imap_no(s, "[AUTHENTICATIONFAILED] Wrong user or password");
	if (++s->failed_logins >= s->options->logins_max)
		imap_bye(s, "Too many failed logins");
}

static void challenge(struct imap_server *s, const struct auth *auth)
{
	buf_append_text(&s->out, "+ ");
	buf_append(&s->out, sasl_challenge(auth->sasl));
	buf_append_text(&s->out, "\r\n");
	s->run.wants_line = true;
}

static void step(struct imap_server *s, enum sasl_state state)
{
	const struct auth *auth = s->run.state;

	switch (state) {
	case SASL_CHALLENGE: challenge(s, auth); break;
	case SASL_ASK: imap_ask(s, OWNER_COMMAND, 0, sasl_ask(auth->sasl)); break;
	case SASL_DONE: logged_in(s, auth); break;
	case SASL_DENIED: refused(s, auth); break;
	case SASL_INVALID: imap_bad(s, "Broken authentication exchange"); break;
	case SASL_CANCELLED: imap_bad(s, "Authentication cancelled"); break;
	case SASL_UNKNOWN: imap_no(s, "[CANNOT] No such mechanism here"); break;
	default: imap_no(s, "[UNAVAILABLE] Cannot check passwords now; try again"); break;
	}
}

bool authenticate_parse(struct imap_server *s, struct cursor *c)
{
	struct auth *auth = arena_get(&s->arena, sizeof(*auth));

	s->run.state = auth;
	if (!token_space(c) || !token_atom(c, &auth->mechanism))
		return false;
	if (token_try_char(c, ' ')) {
		auth->has_initial = true;
		auth->initial = c->rest;
		c->rest = bytes_skip(c->rest, c->rest.len);
		return auth->initial.len > 0 || token_fail(c, "Empty initial response");
	}
	return true;
}

/* A mechanism that would be there under TLS is refused in a way that a client can show (RFC 5530). */
static bool needs_privacy(const struct imap_server *s, struct bytes mechanism)
{
	return !plaintext_allowed(s) && (bytes_equal_nocase(mechanism, BYTES("PLAIN")) ||
	                                 bytes_equal_nocase(mechanism, BYTES("LOGIN")));
}

void authenticate_run(struct imap_server *s)
{
	struct auth *auth = s->run.state;

	if (needs_privacy(s, auth->mechanism)) {
		imap_no(s, "[PRIVACYREQUIRED] Use TLS first");
		return;
	}
	auth->sasl = make_sasl(s);
	step(s, sasl_start(auth->sasl, auth->mechanism, auth->has_initial ? &auth->initial : NULL));
}

void authenticate_line(struct imap_server *s, struct bytes line)
{
	const struct auth *auth = s->run.state;

	step(s, sasl_line(auth->sasl, line));
}

void authenticate_answer(struct imap_server *s, const struct answer *a, uint32_t mark)
{
	const struct auth *auth = s->run.state;

	step(s, sasl_answer(auth->sasl, a));
}

void authenticate_done(struct imap_server *s)
{
	struct auth *auth = s->run.state;

	if (auth)
		sasl_free(&auth->sasl);
}

bool login_parse(struct imap_server *s, struct cursor *c)
{
	struct auth *auth = arena_get(&s->arena, sizeof(*auth));

	s->run.state = auth;
	return token_space(c) && token_astring(c, &auth->user) && token_space(c) &&
	       token_astring(c, &auth->password);
}

void login_run(struct imap_server *s)
{
	struct auth *auth = s->run.state;

	if (!plaintext_allowed(s)) {
		imap_no(s, "[PRIVACYREQUIRED] Use TLS first");
		return;
	}
	auth->sasl = make_sasl(s);
	step(s, sasl_start_login(auth->sasl, auth->user, auth->password, BYTES("LOGIN")));
}
