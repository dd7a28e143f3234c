/* SMTP as a sealed engine (ask/engine.h), for two kinds of clients:
 *
 * Strangers on port 25: RFC 5321 with PIPELINING, SIZE, 8BITMIME, SMTPUTF8, CHUNKING, BINARYMIME, STARTTLS,
 * ENHANCEDSTATUSCODES, DSN, LIMITS and, over TLS, REQUIRETLS. It never offers AUTH and takes no recipient that is not ours.
 *
 * Our own people (options.submission; RFC 6409) on ports 587 and 465, and on run/submit.sock: besides these AUTH (RFC 4954),
 * FUTURERELEASE, MT-PRIORITY and DELIVERBY. Mail is taken only from who has logged in, or is a user of this machine
 * (engine_peer.local); for any recipient; with senders that SENDER allows, in the envelope and in the header. The header
 * is completed (Message-ID, Date, From; bare addresses), Bcc and Return-Path are taken out, and the mail is signed (DKIM).
 *
 *	struct smtp_options o = smtp_options_of(config);
 *	struct engine *e = smtp_server_new(&o, &peer, now);
 *	... drive it as ask/engine.h says ...
 *	e->ops->free(&e);
 *
 * It asks ROUTE for each recipient, SPOOL for each 32 KiB of content, COMMIT (and COMMITTED when
 * that was LOST), SPOOL_DROP, TLS_START, and NOTE for every mail and every refusal ("smtp-accepted", "smtp-refused";
 * "submitted", "submission-refused"). In submission also LOGIN and its kin, SENDER, DKIM_KEYS, DKIM_SIGN.
 *
 * Promises: 250 after the final dot leaves only after COMMIT was answered OK. What is answered LOST
 * or UNAVAILABLE becomes 451, never a refusal for good. Line ends are strict: a bare CR or LF in a
 * command or in DATA refuses it, and nothing but <CRLF>.<CRLF> ends DATA. BDAT counts octets and so
 * has no end that could be forged: what it brings is kept as it is, with bare CR and LF too (not so in a header
 * that is submitted). A mail whose From domain has keys is never sent on unsigned. */
#ifndef SMTP_SERVER_H
#define SMTP_SERVER_H

#include "ask/engine.h"
#include "config/config.h"
#include "judging/judging.h"

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
	bool starttls;                   /* false: no certificate, so STARTTLS is not offered */
	struct judging_options *judging; /* NULL: mail is not judged; of port 25 only */

	bool submission;                 /* what follows is for it alone */
	struct bytes domain;             /* where bare names live */
	enum config_plaintext plaintext; /* where passwords may cross without TLS */
	bool cram_md5;                   /* old mechanism; each use is noted */
	uint32_t login_failures;         /* then the session ends */
	bool hide_client;                /* Received does not tell the client's address */
	bool dkim_sign;
	time_ms hold_max_ms; /* FUTURERELEASE as far as this; 0: not offered */
	int priority_max;    /* of MT-PRIORITY */
};

/* Strings borrow from c. */
struct smtp_options smtp_options_of(const struct config *c);
struct smtp_options smtp_submission_options_of(const struct config *c);

struct engine *smtp_server_new(const struct smtp_options *o, const struct engine_peer *peer,
                               time_ms now);

#endif
