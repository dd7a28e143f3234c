/* SMTP to another host, as a sealed engine (ask/engine.h): one connection that is there already, and
 * one mail after the other over it. RFC 5321 with PIPELINING, SIZE, 8BITMIME, SMTPUTF8, CHUNKING and
 * BINARYMIME, STARTTLS, ENHANCEDSTATUSCODES, DSN, REQUIRETLS, MT-PRIORITY, DELIVERBY, LIMITS, AUTH.
 *
 *	struct engine *e = smtp_client_new(&options, now);
 *	smtp_client_send(e, &mail);                  copied; at once, or later: smtp_client_ready()
 *	... drive it as ask/engine.h says ...
 *	if (smtp_client_result(e, &result)) ...      what became of it; good until the next send
 *	if (smtp_client_ready(e)) smtp_client_send(e, &another);   the connection is kept
 *	smtp_client_quit(e);                         QUIT; finished() comes after its reply
 *	e->ops->free(&e);
 *
 * It asks TLS_START (first of all with implicit TLS, else after STARTTLS was answered) and QUEUE_READ of the mail's first
 * entry, one at a time and only while its output is below a mark; NOTE never. Whom it talks to, which TLS is good enough
 * and what a reply means for other mail are its host's business.
 *
 * Promises:
 *  - A recipient is SMTP_SENT only when the host answered 2xx to the end of the content, after 2xx to its RCPT.
 *  - Every recipient of a mail has an outcome in the result; nothing is said of none.
 *  - SMTP_UNKNOWN only between the last octet of the final dot (or of BDAT LAST) and its reply: the one place where a mail
 *    may come twice when it is sent again. A connection that breaks before that has delivered nothing (RFC 5321, 4.1.1.4).
 *  - What a host says is bounded: a line by SMTP_CLIENT_LINE, a reply by SMTP_CLIENT_REPLY, a wait by the options, the
 *    whole dialogue before the content by SMTP_CLIENT_PATIENCE times reply_ms, the content by data_ms and what
 *    SMTP_CLIENT_SLOWEST octets a second take.
 *  - Nothing in content can end it or begin a command: dots are stuffed, and a CR or LF that stands alone becomes a space,
 *    as Postfix does (BDAT, which only BINARYMIME mail takes, is sent as it is).
 *  - 8-bit content goes to a host without 8BITMIME as it is, undeclared: rewriting it as quoted-printable would break its
 *    DKIM signature, and hosts that really cannot take it are gone. BINARYMIME without CHUNKING is refused: 5.6.3.
 */
#ifndef SMTP_CLIENT_H
#define SMTP_CLIENT_H

#include "ask/engine.h"

enum {
	SMTP_CLIENT_LINE = 4096,       /* octets of one line of a reply */
	SMTP_CLIENT_REPLY = 64 * 1024, /* ... of a whole reply */
	SMTP_CLIENT_TEXT = 1000,       /* ... of what is kept of one */
	SMTP_CLIENT_RECIPIENTS = 1000, /* of one mail */
	SMTP_CLIENT_PATIENCE = 3,
	SMTP_CLIENT_SLOWEST = 512,       /* octets a second */
	SMTP_CLIENT_QUIT_MS = 5000,      /* for the reply to QUIT */
	SMTP_CLIENT_HASHES = 500 * 1000, /* SCRAM rounds that a host may ask for */
};

enum smtp_client_tls { SMTP_TLS_NEVER, SMTP_TLS_MAY, SMTP_TLS_MUST };

/* Copied by _new, strings too (the password is wiped). */
struct smtp_client_options {
	struct bytes helo;        /* our name */
	enum smtp_client_tls tls; /* STARTTLS; MAY: where it is offered */
	bool implicit_tls;        /* TLS before the greeting; tls is not looked at */
	struct bytes user,
	        password; /* for AUTH; empty user: none. SCRAM-SHA-256, PLAIN, LOGIN, CRAM-MD5 as offered */
	bool clear_password; /* PLAIN and LOGIN without TLS too: a smarthost on loopback */
	uint8_t seed[16];    /* random: SCRAM's nonce */
	time_ms greeting_ms; /* RFC 5321, 4.5.3.2: 5 minutes */
	time_ms reply_ms;    /* to each command: 5 minutes */
	time_ms data_ms; /* without progress in sending content, and for the reply to its end: 10 minutes */
};

struct smtp_client_recipient {
	uint64_t entry;
	struct bytes address; /* domain in A-labels, or UTF-8 */
	uint8_t notify;       /* as COMMIT's */
	struct bytes orcpt;   /* decoded: "rfc822;ken@example.test" */
};

/* Copied by send. */
struct smtp_client_mail {
	uint64_t lease;      /* for QUEUE_READ, which names the first recipient's entry */
	struct bytes sender; /* without <>; empty is the null sender */
	const struct smtp_client_recipient *recipients;
	size_t count; /* 1 to SMTP_CLIENT_RECIPIENTS */
	uint64_t size;
	struct bytes envid; /* decoded */
	uint8_t ret;        /* as COMMIT's, as are the following */
	uint8_t body;       /* bit 0: 8BITMIME, 1: BINARYMIME, 2: SMTPUTF8 was asked for */
	bool requiretls;    /* RFC 8689: only over TLS, to a host that has it too: 5.7.10, 5.7.30 */
	int8_t priority;    /* MT-PRIORITY */
	time_ms deliver_by; /* 0: none */
	uint8_t by_mode;
	bool eight_bit; /* its content has octets above 127: declared where the host has 8BITMIME */
	bool utf8_header; /* ... its header has: with SMTPUTF8 in body it needs a host that has it */
};

/* Where in the dialogue. */
enum smtp_stage {
	SMTP_STAGE_GREETING, /* connected, no 220 yet; implicit TLS too */
	SMTP_STAGE_EHLO,
	SMTP_STAGE_STARTTLS, /* the command and the handshake */
	SMTP_STAGE_AUTH,
	SMTP_STAGE_IDLE, /* between mails */
	SMTP_STAGE_MAIL,
	SMTP_STAGE_RCPT,
	SMTP_STAGE_DATA, /* up to 354, and content before its last octet */
	SMTP_STAGE_END,  /* all was sent, the reply is missing */
	SMTP_STAGE_COUNT
};

/* "greeting", "EHLO", ..., for people. */
const char *smtp_stage_name(enum smtp_stage s);

/* What a host said, or what we say where it said nothing (code 0). */
struct smtp_reply {
	uint16_t code; /* 250; 0: not the host's words */
	struct bytes
	        enhanced; /* "5.1.1"; without one from the host: "5.0.0", "4.0.0", "2.0.0" by its code */
	struct bytes
	        text; /* one line, code and all: "550 5.1.1 No such user here"; UTF-8, at most SMTP_CLIENT_TEXT */
	enum smtp_stage stage; /* what it answers */
};

enum smtp_outcome {
	SMTP_UNTRIED, /* nothing is known of this recipient here: the connection failed first; another host may be tried */
	SMTP_SENT,    /* the host has it */
	SMTP_DEFERRED, /* 4xx */
	SMTP_FAILED,   /* 5xx, or (code 0) this host lacks what the mail needs */
	SMTP_UNKNOWN,  /* lost after the final dot: deferred; it may have arrived */
};

/* What ended a connection before its time. */
enum smtp_failure {
	SMTP_FAILURE_NONE,
	SMTP_FAILURE_REFUSED, /* greeting or EHLO answered 4xx, 5xx; or 421 to anything: see reply */
	SMTP_FAILURE_CLOSED,  /* by the host, without a word */
	SMTP_FAILURE_TIMEOUT,     /* at stage */
	SMTP_FAILURE_NO_STARTTLS, /* must, and it is not offered */
	SMTP_FAILURE_STARTTLS,    /* offered, and answered 4xx, 5xx */
	SMTP_FAILURE_TLS,         /* the handshake failed: reply.text is TLS_START's why */
	SMTP_FAILURE_AUTH,        /* refused (reply), or no mechanism in common (code 0) */
	SMTP_FAILURE_PROTOCOL,    /* nonsense: reply.text says what */
	SMTP_FAILURE_READ,        /* ours: QUEUE_READ was not answered OK; result is in read */
	SMTP_FAILURE_STOPPED,     /* ours: ENGINE_STOP before anything was decided */
};

struct smtp_recipient_result {
	uint64_t entry;
	enum smtp_outcome outcome;
	struct smtp_reply reply;
};

/* Borrowed from the engine until the next send, quit or free. */
struct smtp_client_result {
	const struct smtp_recipient_result
	        *recipients; /* as they were given; none without a mail */
	size_t count;
	enum smtp_failure failure;
	enum smtp_stage stage;   /* of the failure */
	struct smtp_reply reply; /* of the failure */
	enum result read;
	bool reusable; /* another mail may be sent: smtp_client_ready() */
	bool dsn;      /* the host has DSN: what NOTIFY=SUCCESS wants is its work now */
	bool pipelined;
};

/* What the host said of itself; empty and zero until its EHLO was answered. */
struct smtp_client_host {
	struct bytes name;                  /* from its greeting, as it says: not to be believed */
	struct bytes greeting;              /* one line */
	unsigned extensions;                /* enum smtp_extension */
	uint64_t size_max;                  /* 0: not said */
	uint32_t recipients_max, mails_max; /* LIMITS (RFC 9422); 0: not said */
	bool tls;                           /* up */
	struct bytes tls_version;
	bool authenticated;
	uint32_t mails; /* results given over this connection */
};

enum smtp_extension {
	SMTP_EXT_PIPELINING = 1 << 0,
	SMTP_EXT_SIZE = 1 << 1,
	SMTP_EXT_8BITMIME = 1 << 2,
	SMTP_EXT_SMTPUTF8 = 1 << 3,
	SMTP_EXT_CHUNKING = 1 << 4,
	SMTP_EXT_BINARYMIME = 1 << 5,
	SMTP_EXT_STARTTLS = 1 << 6,
	SMTP_EXT_DSN = 1 << 7,
	SMTP_EXT_REQUIRETLS = 1 << 8,
	SMTP_EXT_MT_PRIORITY = 1 << 9,
	SMTP_EXT_DELIVERBY = 1 << 10,
	SMTP_EXT_AUTH = 1 << 11,
	SMTP_EXT_LIMITS = 1 << 12,
	SMTP_EXT_ENHANCED = 1 << 13,
	SMTP_EXT_EHLO = 1 << 14, /* it took EHLO, not only HELO */
};

/* Over a connection that is up. The greeting is waited for at once; EHLO, STARTTLS and AUTH follow without a mail. */
struct engine *smtp_client_new(const struct smtp_client_options *o, time_ms now);

/* A mail may be given: none is under way, its result was taken, and the connection is not at its end. True from _new on.
 * A host's LIMITS MAILMAX is obeyed: then it is false before the host would say 421. */
bool smtp_client_ready(const struct engine *e);
/* Only when ready. More recipients than the host's LIMITS RCPTMAX: the rest come out SMTP_UNTRIED with failure NONE; send
 * them again. */
void smtp_client_send(struct engine *e, const struct smtp_client_mail *m);
/* True once: what became of the mail given, or, where none was, that the connection has failed. */
bool smtp_client_result(struct engine *e, struct smtp_client_result *ret);
/* QUIT, when no mail is under way: finished() follows its reply, or SMTP_CLIENT_QUIT_MS. */
void smtp_client_quit(struct engine *e);
void smtp_client_host(const struct engine *e, struct smtp_client_host *ret);

#endif
