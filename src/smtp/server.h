/* SMTP from strangers on port 25, as a sealed engine (ask/engine.h): RFC 5321 with PIPELINING,
 * SIZE, 8BITMIME, SMTPUTF8, CHUNKING, BINARYMIME, STARTTLS, ENHANCEDSTATUSCODES, DSN and LIMITS.
 *
 *	struct smtp_options o = smtp_options_of(config);
 *	struct engine *e = smtp_server_new(&o, &peer, now);
 *	... drive it as ask/engine.h says ...
 *	e->ops->free(&e);
 *
 * It asks ROUTE for each recipient, SPOOL for each 32 KiB of content, COMMIT (and COMMITTED when
 * that was LOST), SPOOL_DROP, TLS_START, and NOTE for every refusal ("smtp-refused": code, command,
 * what it was about).
 *
 * Promises: 250 after the final dot leaves only after COMMIT was answered OK. What is answered LOST
 * or UNAVAILABLE becomes 451, never a refusal for good. Line ends are strict: a bare CR or LF in a
 * command or in DATA refuses it, and nothing but <CRLF>.<CRLF> ends DATA. BDAT counts octets and so
 * has no end that could be forged: what it brings is kept as it is, with bare CR and LF too. It
 * never offers AUTH and takes no recipient that is not ours.
 */
#ifndef SMTP_SERVER_H
#define SMTP_SERVER_H

#include "ask/engine.h"
#include "config/config.h"

/* Plain values, borrowed for the engine's life, strings included. */
struct smtp_options {
	struct bytes hostname;
	uint64_t message_max;    /* octets of content */
	uint32_t recipients_max; /* of one mail */
	uint32_t errors_max;     /* refused commands before 421 */
	uint32_t mails_max;      /* mails in one session before 421 */
	uint32_t hops_max;       /* Received lines in what comes in */
	time_ms command_timeout_ms;
	time_ms session_max_ms;
	bool starttls; /* false: no certificate, so STARTTLS is not offered */
};

/* hostname borrows from c. */
struct smtp_options smtp_options_of(const struct config *c);

struct engine *smtp_server_new(const struct smtp_options *o, const struct engine_peer *peer,
                               time_ms now);

#endif
