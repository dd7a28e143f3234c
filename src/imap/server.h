/* The IMAP server: IMAP4rev1 (RFC 3501) and IMAP4rev2 (RFC 9051) as one sealed engine (ask/engine.h).
 *
 *	struct imap_options o = imap_options_default(BYTES("mx.example.test"));
 *	struct engine *e = imap_server_new(&o, &peer, now);
 *	e->ops->output(e) holds the greeting; feed, ask, answer ... as ask/engine.h says
 *	e->ops->free(&e);
 *
 * It asks: LOGIN, SCRAM_* and DIGEST_LOGIN (by sasl/), TLS_START, NOTE, and the mailbox asks of ask/ask.def. It holds no
 * mail: a session's view of a mailbox is ranges of UIDs and a modseq, flags are asked for when a client wants them.
 *
 * What a host must know besides ask/engine.h:
 *  - ask() also moves a command on that waited for the output to drain: call it again after output was sent.
 *  - When the store was restarted, raise ENGINE_LOST: the session says WATCH again.
 *  - LOST becomes NO [UNAVAILABLE]; APPEND asks COMMITTED until it knows, ten seconds at most.
 *
 * Commands are one table (command.c); each family is a file cmd_*.c. Extensions: what CAPABILITY says, in cmd_any.c. */
#ifndef IMAP_SERVER_H
#define IMAP_SERVER_H

#include "ask/engine.h"

struct imap_options {
	struct bytes hostname;   /* said in the greeting */
	bool starttls;           /* offer STARTTLS on a connection in the clear */
	bool plaintext_login;    /* allow LOGIN and AUTHENTICATE PLAIN without TLS */
	unsigned mechanisms;     /* bits of enum sasl_mechanism that AUTHENTICATE offers */
	uint64_t message_max;    /* octets of one APPEND */
	uint32_t login_ms;       /* time for logging in */
	uint32_t idle_ms;        /* silence before BYE; RFC 9051, 5.4: at least 30 minutes */
	uint32_t errors_max;     /* broken commands before BYE */
	uint32_t logins_max;     /* failed logins before BYE */
	struct bytes id_version; /* ID (RFC 2971); empty: not told */
};

struct imap_options imap_options_default(struct bytes hostname);

/* options are borrowed for the engine's life, peer is copied. The greeting is in the output at once. */
struct engine *imap_server_new(const struct imap_options *options, const struct engine_peer *peer,
                               time_ms now);

#endif
