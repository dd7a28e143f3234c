/* A POP3 server (RFC 1939) as a sealed engine: ask/engine.h says how it is driven.
 *
 *	struct pop3_options o = pop3_options_of(config, has_tls);
 *	struct engine *e = pop3_server_new(&o, &peer, now);
 *
 * Commands: USER PASS APOP AUTH STLS CAPA STAT LIST UIDL RETR TOP DELE NOOP RSET UTF8 QUIT.
 *
 * A session shows INBOX as it was at login; mail that comes later is seen by the next session.
 * Several sessions may be open on one mailbox: nothing is locked, and QUIT removes by UID, so two of
 * them cannot remove each other's mail. A unique-id is "UIDVALIDITY.UID" and so survives everything
 * that IMAP's UIDs survive.
 *
 * Deleted mails go at QUIT, by FLAGS_SET and EXPUNGE; what could not be done for sure is answered
 * -ERR, never +OK. Mails are read in pieces as the socket drains; one that turns out to be damaged
 * halfway ends the session, because POP3 has no other way to say so after +OK.
 *
 * A host calls ask() also after output was sent: that moves listings and mails on. */
#ifndef POP3_SERVER_H
#define POP3_SERVER_H

#include "ask/engine.h"
#include "config/config.h"

/* Plain values, borrowed for the engine's life, strings included. */
struct pop3_options {
	struct bytes hostname;           /* in the greeting and in APOP's timestamp */
	bool stls;                       /* there is a certificate: offer STLS */
	enum config_plaintext plaintext; /* where passwords may cross without TLS */
	bool cram_md5, apop;             /* old mechanisms; each use is noted */
	uint32_t login_failures;         /* then the session ends */
	uint32_t errors_max;             /* refused commands, then the session ends */
	time_ms idle_ms;                 /* silence; RFC 1939, 3: ten minutes at least */
	time_ms login_ms;                /* from the greeting to a successful login */
};

enum {
	POP3_LINE = 8192,        /* a command, or a line of SASL */
	POP3_MESSAGES = 1000000, /* of a mailbox that are shown; the oldest */
	POP3_RETRY_MS = 250,     /* how often an ask that was lost is put again, ... */
	POP3_GIVE_UP_MS = 10000, /* ... and for how long */
};

struct pop3_options pop3_options_of(const struct config *c, bool has_tls);

struct engine *pop3_server_new(const struct pop3_options *o, const struct engine_peer *peer,
                               time_ms now);

#endif
