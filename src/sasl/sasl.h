/* SASL for servers: the mechanisms as one small engine. SMTP, IMAP and POP3 drive it line by line;
 * what only keeper can answer comes out as an ask.
 *
 *	struct sasl *s = sasl_new(&setup);
 *	state = sasl_start(s, mechanism, initial);                   "AUTH PLAIN AGtlbgBzZWNyZXQ="
 *	for (;;) switch (state) {
 *	case SASL_CHALLENGE: send(prefix, sasl_challenge(s), CRLF); state = sasl_line(s, line);
 *	case SASL_ASK:       give *sasl_ask(s) a number, ask it; state = sasl_answer(s, &answer);
 *	case SASL_DONE:      sasl_account(s), sasl_address(s)
 *	default:             refuse; sasl_free(&s)
 *	}
 *
 * Mechanisms: PLAIN, LOGIN, SCRAM-SHA-256, SCRAM-SHA-256-PLUS, CRAM-MD5. What is offered is the
 * setup's to say; what is not offered is not served. A wrong password, an unknown user, a name that
 * preparation forbids are all SASL_DENIED: the client learns nothing else.
 * The commands that are no SASL (IMAP LOGIN, POP3 USER/PASS and APOP) come in by sasl_start_login
 * and sasl_start_apop, so that preparation and asks are the same.
 * Memory: passwords are wiped when the ask has been answered and at sasl_free. */
#ifndef SASL_SASL_H
#define SASL_SASL_H

#include "ask/ask.h"
#include "base/ip.h"

enum sasl_mechanism {
	SASL_PLAIN = 1 << 0,
	SASL_LOGIN = 1 << 1,
	SASL_SCRAM_SHA_256 = 1 << 2,
	SASL_SCRAM_SHA_256_PLUS = 1 << 3,
	SASL_CRAM_MD5 = 1 << 4,
};

enum sasl_state {
	SASL_CHALLENGE, /* send sasl_challenge(), then give the client's next line to sasl_line() */
	SASL_ASK,       /* ask sasl_ask(), give the answer to sasl_answer() */
	SASL_DONE,      /* logged in; the session is granted */
	SASL_DENIED,    /* 535, NO [AUTHENTICATIONFAILED], -ERR [AUTH] */
	SASL_UNAVAILABLE, /* not now: 454, NO [UNAVAILABLE], -ERR [SYS/TEMP] */
	SASL_INVALID,     /* base64 or grammar broken: 501, BAD */
	SASL_CANCELLED,   /* the client sent "*": 501, BAD */
	SASL_UNKNOWN,     /* no such mechanism here: 504, NO */
};

/* Everything is copied, except hostname, which must outlive the engine. */
struct sasl_setup {
	unsigned offered;      /* enum sasl_mechanism: sasl_offer() */
	struct bytes hostname; /* of the server: in CRAM-MD5's challenge */
	struct ip ip;          /* of the client */
	uint8_t seed[16];      /* engine_peer.seed: only its hash with counter is shown */
	uint64_t counter;      /* another one for each attempt of the session */
	struct bytes exporter; /* channel bindings of TLS_START; empty without TLS */
	struct bytes endpoint;
};

/* What may be offered on a connection: clear text (PLAIN, LOGIN) only where allowed, old (CRAM-MD5)
 * where the operator says so, -PLUS where there is a channel binding. */
unsigned sasl_offer(bool plaintext_allowed, bool old_allowed, bool has_binding);
/* Appends the names, strongest first, each after prefix: " AUTH=" for IMAP, " " for SMTP and POP3.
 * */
void sasl_offer_words(unsigned offered, const char *prefix, struct buf *out);

/* One for each attempt. */
struct sasl *sasl_new(const struct sasl_setup *setup);
void sasl_free(struct sasl **s); /* wipes; NULL is fine */

/* initial: the base64 initial response as it stood in the command ("=" is an empty one); NULL:
 * there was none. */
enum sasl_state sasl_start(struct sasl *s, struct bytes mechanism, const struct bytes *initial);
/* A line from the client without its CRLF: base64, or "*". */
enum sasl_state sasl_line(struct sasl *s, struct bytes line);
enum sasl_state sasl_answer(struct sasl *s, const struct answer *a);

/* IMAP LOGIN, POP3 USER/PASS: what is the word in the ask's mechanism field ("LOGIN", "USER"). Not
 * prepared yet. */
enum sasl_state sasl_start_login(struct sasl *s, struct bytes user, struct bytes password,
                                 struct bytes what);
/* POP3 APOP (RFC 1939, 7): challenge is the greeting's <...>, digest 32 hexadecimal digits. */
enum sasl_state sasl_start_apop(struct sasl *s, struct bytes user, struct bytes challenge,
                                struct bytes digest);

/* In base64; may be empty. Good until the next call. */
struct bytes sasl_challenge(const struct sasl *s);
/* Its number and session are the caller's to set. Good until the next call. */
const struct ask *sasl_ask(const struct sasl *s);

/* After SASL_DONE; good until sasl_free. */
uint64_t sasl_account(const struct sasl *s);
struct bytes sasl_address(const struct sasl *s);
/* For the record, from sasl_start on: the mechanism's name, and who it was said to be (prepared;
 * may be empty). */
struct bytes sasl_name(const struct sasl *s);
struct bytes sasl_user(const struct sasl *s);

#endif
