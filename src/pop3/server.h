/* A POP3 server (RFC 1939) as a sealed engine: ask/engine.h says how it is driven.
 *
 *	struct engine *e = pop3_server_new(&options, &peer, now);
 *
 * Commands: USER PASS APOP AUTH STLS CAPA STAT LIST UIDL RETR TOP DELE NOOP RSET QUIT UTF8.
 *
 * A session shows INBOX as it was at login; mail that comes later is seen by the next session. Several sessions may be
 * open on one mailbox: nothing is locked, and QUIT removes by UID, so two of them cannot remove each other's mail.
 * A unique-id is "UIDVALIDITY.UID" and so survives everything that IMAP's UIDs survive.
 *
 * Deleted mails go at QUIT, by FLAGS_SET and EXPUNGE; what could not be done for sure is answered -ERR, never +OK.
 * Bodies are read in pieces as the socket drains; a message that is found damaged on the way ends the session, because
 * POP3 has no other way to say so after +OK. */
#ifndef POP3_SERVER_H
#define POP3_SERVER_H

#include "ask/engine.h"

struct pop3_options {
	struct bytes hostname; /* in the greeting and in APOP's timestamp */
	bool tls_available;    /* offer STLS */
	bool plaintext_login;  /* passwords in the clear without TLS; loopback clients always may */
	bool apop;             /* offer APOP; its use is noted */
	uint32_t mechanisms;   /* enum sasl_mechanism bits that AUTH offers (sasl/sasl.h) */
	uint32_t login_failures; /* then the session ends; 0: 3 */
	uint32_t bad_commands;   /* then the session ends; 0: 20 */
	time_ms idle_timeout;    /* 0: ten minutes, the least that RFC 1939, 3 allows */
	time_ms login_timeout;   /* from the greeting to a successful login; 0: three minutes */
};

enum { POP3_LIMIT_LINE = 2048, POP3_LIMIT_MESSAGES = 1000000 };

struct engine *pop3_server_new(const struct pop3_options *o, const struct engine_peer *peer,
                               time_ms now);

#endif
