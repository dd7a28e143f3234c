/* The AUTHORIZATION state (RFC 1939, 4 and 7; RFC 5034): passwords, SASL, STLS (RFC 2595, 4), and the
 * opening of INBOX. Codes are those of RFC 3206 and RFC 2449, 8.1.1. */
#include "pop3/session.h"

#include <stdio.h>

#include "base/encode.h"
#include "base/memory.h"
#include "crypto/digest.h"

static const struct bytes all_uids = {"\0\0\0\1\377\377\377\377", 8}; /* ranges: 1 to 2^32-1 */

/* "<HEX.MILLISECONDS@HOST>": never the same twice (RFC 1939, 7). The octets are a digest of the seed,
 * which stays with us. */
void login_timestamp(struct pop3_server *s)
{
	struct buf in = {0}, hex = {0};
	uint8_t digest[DIGEST_SHA256];

	if (!s->options->apop)
		return;
	buf_append_text(&in, "apop");
	buf_append(&in, bytes_of(s->peer.seed, sizeof(s->peer.seed)));
	buf_u64(&in, s->peer.session);
	digest_sha256(buf_bytes(&in), digest);
	encode_hex(&hex, bytes_of(digest, 8));
	snprintf(s->timestamp, sizeof(s->timestamp), "<%.*s.%lld@%.*s>", BYTES_ARG(buf_bytes(&hex)),
	         (long long)s->now, BYTES_ARG(s->options->hostname));
	buf_done(&in);
	buf_done(&hex);
}

static void login_new(struct pop3_server *s)
{
	struct sasl_setup setup = {
	        .offered = pop3_mechanisms(s),
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

/* ---- INBOX ---- */

static void inbox_open(struct pop3_server *s)
{
	s->mail_count = 0;
	pop3_ask(s, STEP_OPEN, (struct ask){.kind = ASK_STATUS, .status.name = BYTES("INBOX")});
}

static void inbox_load(struct pop3_server *s, uint32_t after)
{
	pop3_ask(s, STEP_LOAD,
	         (struct ask){
	                 .kind = ASK_SUMMARIES,
	                 .summaries = {.mailbox = s->mailbox, .set = all_uids, .after = after}});
}

/* LOST and UNAVAILABLE are asked again for a while; the rest ends the login. True: wait. */
static bool inbox_failed(struct pop3_server *s, const struct answer *a)
{
	if (a->result == OK)
		return false;
	if ((a->result == LOST || a->result == UNAVAILABLE) && pop3_again(s))
		return true;
	s->step = STEP_NONE;
	pop3_err(s, "[SYS/TEMP] The mailbox cannot be opened just now (%s)",
	         result_name(a->result));
	return true;
}

void login_opened(struct pop3_server *s, const struct answer *a)
{
	if (inbox_failed(s, a))
		return;
	s->mailbox = a->status.mailbox;
	s->uidvalidity = a->status.uidvalidity;
	inbox_load(s, 0);
}

static void mail_add(struct pop3_server *s, struct pop3_mail m)
{
	if (s->mail_count == s->mail_room) {
		s->mail_room = s->mail_room ? s->mail_room * 2 : 64;
		s->mails = memory_resize(s->mails, s->mail_room * sizeof(m));
	}
	s->mails[s->mail_count++] = m;
	s->kept_size += m.size;
}

/* Rows as ask.def has them: uid, modseq, flags, received, size, mail id, summary. */
static void rows_add(struct pop3_server *s, struct bytes rows)
{
	struct wire w = wire_of(rows);

	while (!wire_end(&w) && s->mail_count < POP3_MESSAGES) {
		struct pop3_mail m = {.uid = wire_u32(&w)};
		uint64_t flags;

		wire_u64(&w);
		flags = wire_u64(&w);
		wire_u64(&w);
		m.size = wire_u32(&w);
		wire_u64(&w);
		wire_block(&w);
		m.bits = flags & MAIL_SEEN ? MAIL_BIT_SEEN : 0;
		if (!w.bad)
			mail_add(s, m);
	}
}

void login_loaded(struct pop3_server *s, const struct answer *a)
{
	if (inbox_failed(s, a))
		return;
	rows_add(s, a->summaries.rows);
	if (a->summaries.next > s->ask.summaries.after && s->mail_count < POP3_MESSAGES) {
		inbox_load(s, a->summaries.next);
		return;
	}
	s->step = STEP_NONE;
	s->state = POP3_TRANSACTION;
	s->kept_count = s->mail_count;
	s->errors = 0;
	pop3_ok(s, "%u messages (%llu octets)", s->kept_count, (unsigned long long)s->kept_size);
}

/* ---- what SASL says ---- */

/* Old mechanisms are used by somebody: the operator wants to know who. */
static void note_old(struct pop3_server *s)
{
	struct bytes name = sasl_name(s->sasl);

	if (bytes_equal(name, BYTES("CRAM-MD5")) || bytes_equal(name, BYTES("APOP")))
		pop3_note(s, "old-mechanism", "mechanism=%.*s user=%.*s", BYTES_ARG(name),
		          BYTES_ARG(sasl_user(s->sasl)));
}

static void login_done(struct pop3_server *s)
{
	note_old(s);
	buf_clear(&s->address);
	buf_append(&s->address, sasl_address(s->sasl));
	sasl_free(&s->sasl);
	s->kept_size = 0;
	inbox_open(s);
}

static void login_refused(struct pop3_server *s)
{
	pop3_note(s, "login-failed", "mechanism=%.*s user=%.*s", BYTES_ARG(sasl_name(s->sasl)),
	          BYTES_ARG(sasl_user(s->sasl)));
	pop3_err(s, "[AUTH] The user name or the password is wrong");
	if (++s->failures >= s->options->login_failures)
		s->finished = true;
}

static void login_state(struct pop3_server *s, enum sasl_state state)
{
	struct bytes challenge;

	s->step = STEP_NONE;
	switch (state) {
	case SASL_CHALLENGE:
		challenge = sasl_challenge(s->sasl);
		buf_printf(&s->out, "+ %.*s\r\n", BYTES_ARG(challenge));
		s->step = STEP_SASL_LINE;
		return;
	case SASL_ASK: pop3_ask(s, STEP_SASL, *sasl_ask(s->sasl)); return;
	case SASL_DONE: login_done(s); return;
	case SASL_DENIED: login_refused(s); break;
	case SASL_UNAVAILABLE:
		pop3_err(s, "[SYS/TEMP] Nobody can log in just now; try again in a moment");
		break;
	case SASL_INVALID: pop3_err(s, "That is not what the mechanism expects"); break;
	case SASL_CANCELLED: pop3_err(s, "Cancelled"); break;
	case SASL_UNKNOWN: pop3_err(s, "No such mechanism here"); break;
	}
	sasl_free(&s->sasl);
}

void login_line(struct pop3_server *s, struct bytes line)
{
	login_state(s, sasl_line(s->sasl, line));
}

void login_answer(struct pop3_server *s, const struct answer *a)
{
	login_state(s, sasl_answer(s->sasl, a));
}

/* ---- commands ---- */

static bool refuse_plaintext(struct pop3_server *s)
{
	if (pop3_plaintext_allowed(s))
		return false;
	pop3_note(s, "plaintext-refused", "command=USER");
	pop3_err(s, "Passwords are taken only over TLS%s",
	         s->options->stls ? ": say STLS first" : "");
	return true;
}

void cmd_user(struct pop3_server *s, struct bytes args)
{
	if (refuse_plaintext(s))
		return;
	if (args.len > LIMIT_USER) {
		pop3_err(s, "The user name is too long");
		return;
	}
	buf_clear(&s->user);
	buf_append(&s->user, args);
	pop3_ok(s,
	        "And the password?"); /* the same for everybody, whether there is such a user or not */
}

void cmd_pass(struct pop3_server *s, struct bytes args)
{
	if (refuse_plaintext(s))
		return;
	if (!buf_len(&s->user)) {
		pop3_err(s, "USER first");
		return;
	}
	login_new(s);
	login_state(s, sasl_start_login(s->sasl, buf_bytes(&s->user), args, BYTES("USER")));
	buf_clear(&s->user);
}

void cmd_apop(struct pop3_server *s, struct bytes args)
{
	size_t space = bytes_find_last(args, ' ');

	if (!s->timestamp[0]) {
		pop3_err(s, "APOP is not served here");
	} else if (space == BYTES_NONE) {
		pop3_err(s, "APOP takes a name and a digest");
	} else {
		login_new(s);
		login_state(s, sasl_start_apop(s->sasl, bytes_first(args, space),
		                               bytes_of_text(s->timestamp),
		                               bytes_skip(args, space + 1)));
	}
}

/* Without arguments: what some old clients ask, the names of the mechanisms. */
static void auth_list(struct pop3_server *s)
{
	struct buf words = {0};
	struct bytes rest, word;

	sasl_offer_words(pop3_mechanisms(s), " ", &words);
	pop3_ok(s, "Mechanisms:");
	rest = bytes_trim(buf_bytes(&words));
	while (bytes_cut(&rest, ' ', &word))
		buf_printf(&s->out, "%.*s\r\n", BYTES_ARG(word));
	buf_append_text(&s->out, ".\r\n");
	buf_done(&words);
}

void cmd_auth(struct pop3_server *s, struct bytes args)
{
	struct bytes mechanism, initial = bytes_trim(args);

	if (!bytes_cut(&initial, ' ', &mechanism)) {
		auth_list(s);
		return;
	}
	initial = bytes_trim(initial);
	login_new(s);
	login_state(s, sasl_start(s->sasl, mechanism, initial.len ? &initial : NULL));
}

/* RFC 2595, 4. What the client says after this and before the handshake is the host's to refuse. */
void cmd_stls(struct pop3_server *s, struct bytes args)
{
	if (s->peer.tls) {
		pop3_err(s, "TLS is on already");
	} else if (!s->options->stls) {
		pop3_err(s, "There is no certificate here");
	} else {
		pop3_ok(s, "Begin TLS");
		pop3_ask(s, STEP_TLS, (struct ask){.kind = ASK_TLS_START});
	}
}

void login_tls(struct pop3_server *s, const struct answer *a)
{
	s->step = STEP_NONE;
	if (a->result != OK) {
		s->finished = true;
		return;
	}
	s->peer.tls = true;
	buf_clear(&s->user); /* nothing that was said in the clear counts */
	s->utf8 = false;
	buf_append(&s->exporter, a->tls_start.exporter);
	buf_append(&s->endpoint, a->tls_start.endpoint);
}
