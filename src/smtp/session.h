/* The SMTP server's inside: who may see it is smtp/ only.
 *
 *	server.c     the engine's verbs, lines, replies, deadlines
 *	command.c    the table of commands
 *	envelope.c   MAIL and RCPT, and the answers to ROUTE and SENDER
 *	params.c     their parameters
 *	mail.c       DATA and BDAT: content, spool, commit
 *	auth.c       AUTH
 *	judge.c      what mail from strangers is worth
 *	strip.c      fields that strangers may not bring
 *	submit.c     what submission does to a mail on its way: header, senders, signatures
 */
#ifndef SMTP_SESSION_H
#define SMTP_SESSION_H

#include "base/arena.h"
#include "mail/summary.h"
#include "sasl/sasl.h"
#include "smtp/data.h"
#include "smtp/header.h"
#include "smtp/server.h"
#include "smtp/strip.h"
#include "verify/dkim_sign.h"

enum smtp_phase {
	PHASE_START, /* no HELO or EHLO yet */
	PHASE_READY, /* greeted */
	PHASE_MAIL,  /* MAIL was taken: recipients, then content */
	PHASE_BDAT   /* a BDAT was taken: only more of them */
};

enum smtp_mode {
	MODE_COMMAND,
	MODE_LONG_LINE, /* passing over a line that is too long */
	MODE_AUTH,      /* the next line is SASL's */
	MODE_DATA,
	MODE_BDAT
};

/* What the next step needs; nothing is taken from the client meanwhile. */
enum smtp_wait {
	WAIT_NONE,
	WAIT_TLS,
	WAIT_LOGIN,  /* what sasl/ asked */
	WAIT_SENDER, /* may this session send as MAIL's address? */
	WAIT_SPOOL,  /* the last chunks' answers, before COMMIT */
	WAIT_JUDGE,  /* what the checks say */
	WAIT_SUBMIT, /* answers about the header's senders, and signatures */
	WAIT_COMMIT,
	WAIT_COMMITTED, /* COMMIT was LOST: was it made durable? */
	WAIT_PAUSE      /* ... ask again in a moment */
};

/* Why a mail's content will be refused at its end, the gravest last. */
enum smtp_fault {
	FAULT_NONE,
	FAULT_SEQUENCE,   /* BDAT without MAIL: its octets are passed over */
	FAULT_RECIPIENTS, /* BDAT without a good one */
	FAULT_TIME,       /* the store is away: 451 */
	FAULT_DISK,       /* no space: 452 */
	FAULT_HEADER,     /* submit.refusal says what */
	FAULT_SIZE,       /* 552 */
	FAULT_BARE        /* a bare CR or LF: 521 */
};

enum {
	SMTP_ROUTES = 16, /* ROUTE asks at once: the rest of LIMIT_ASKS_SESSION is for others */
	SMTP_LONG_LINE = 65536, /* a line longer than this ends the session */
	SMTP_OVERRUN = 64 * 1024 *
	               1024, /* octets beyond the limit that we listen to before hanging up */
	SMTP_BEHIND = 4096,  /* octets of replies kept behind one open RCPT */
	SMTP_PAUSE_MS = 250,
	SMTP_COMMITTED_MS = 10000,
	SMTP_AUTH_LINE = 12288 +
	                 64, /* RFC 4954, 4: base64 of 12288 octets, and what stands before it */
	SMTP_LOGIN_MS = 5 * 60 * 1000, /* submission: from the greeting to a login */
	SMTP_KEYS_MS = 60 * 1000,      /* DKIM_KEYS's answer is good for */
	SMTP_SUBMITS = 2,              /* SENDER, DKIM_KEYS and DKIM_SIGN asks at once */
	SMTP_SIGN_PARENTS = 3          /* domains above the From domain whose keys will do */
};

/* A RCPT whose ROUTE is open, and what is to be said after it. */
struct smtp_rcpt {
	uint32_t number;
	bool asked, answered;
	struct bytes address; /* canonical; what is asked and kept */
	struct bytes orcpt;
	uint8_t notify;
	enum result result;
	enum route_class class;
	struct bytes after; /* replies to commands that came later */
};

/* A piece of content on its way to the store. */
struct smtp_chunk {
	struct buf data;
	uint32_t number;
	bool full, asked, answered;
};

/* What the client is told when submission does not take a mail. */
struct smtp_refusal {
	int code;
	const char *enhanced;
	struct bytes text; /* the mail's arena */
};

/* An address of the header whose right SENDER is asked about. */
struct smtp_claim {
	struct bytes address;
	uint32_t number;
	bool asked, answered;
};

/* A mail on its way through submission. */
struct smtp_submit {
	struct buf header; /* as far as it has come */
	struct smtp_header_scan scan;
	bool header_done;
	struct smtp_claim claims[SMTP_HEADER_CLAIMS];
	unsigned claim_count;
	struct bytes from;        /* the first From address */
	struct bytes sign_domain; /* d= */
	unsigned sign_parents;
	uint32_t keys_number;
	bool keys_asked, keys_done;
	struct dkim_signing_keys keys;
	struct dkim_signer *signer;
	bool body_done;
	unsigned signed_count;
	uint32_t sign_number;
	bool sign_asked;
	uint8_t digest[DIGEST_SHA256];
	struct smtp_refusal refusal; /* FAULT_HEADER */
};

/* One mail, from MAIL to its end. Reset whole. */
struct smtp_mail {
	struct arena arena;
	struct bytes sender, envid;
	uint64_t declared; /* SIZE= */
	uint8_t body;      /* as COMMIT's */
	uint8_t ret;
	uint8_t options, by_mode; /* as COMMIT's */
	int priority;
	bool priority_lowered;
	time_ms hold_until, deliver_by;
	uint32_t recipients_left; /* of the sender's limits */
	uint32_t sender_number;
	bool sender_asked;
	struct bytes sender_canonical, message_id;

	struct smtp_rcpt rcpts[SMTP_ROUTES]; /* a ring: the oldest at rcpt_first */
	unsigned rcpt_first, rcpt_open;
	uint32_t rcpt_good, rcpt_refused;
	struct buf recipients; /* packed for COMMIT */
	struct bytes only_rcpt;
	bool remote; /* one of them is not ours */

	enum smtp_fault fault;
	bool content; /* it has begun: trace and builder are there */
	struct smtp_data data;
	uint64_t size;      /* of content */
	uint64_t bdat_left; /* of this chunk */
	uint64_t bdat_len;
	bool bdat_last;
	struct buf trace, summary;
	struct buf added; /* fields that go on top of it: signatures, or what the judgement says */
	struct smtp_strip strip;
	enum judge_action action;
	uint64_t judgement, junk_of; /* as COMMIT's */
	struct summary_builder *builder;
	struct smtp_chunk chunks[LIMIT_SPOOL_WINDOW]; /* a ring */
	unsigned chunk_first, chunk_count;
	struct buf staged; /* content for which there is no chunk free yet */
	bool ended;        /* all of it is here */
	struct smtp_submit submit;
	uint32_t spool;   /* its number; 0: nothing was sent */
	bool spool_begun; /* SPOOL was asked */
	uint8_t key[16];
	bool key_given; /* by XKEY */
	uint32_t commit_number;
	bool commit_asked;
	time_ms committed_until, pause_until;
};

struct smtp_server {
	struct engine engine;
	const struct smtp_options *options;
	struct engine_peer peer;
	time_ms now, started, active; /* active: the last command, or octets of content */
	enum smtp_phase phase;
	enum smtp_mode mode;
	enum smtp_wait wait;
	bool closing, stopping, eof, ehlo;
	bool tls, tls_asked;
	uint32_t tls_number;
	struct bytes tls_version;      /* the session's arena */
	struct buf exporter, endpoint; /* channel bindings */
	struct sasl *sasl;             /* a login under way */
	uint32_t logins, login_failures, login_number;
	bool login_asked, logged_in;
	struct buf user; /* who it is, for people: ken@example.test, www-data@mx.example.test */
	struct buf keys_from, keys_domain,
	        keys_packed; /* DKIM_KEYS's last answer: for this From domain, d=, the list */
	time_ms keys_until;
	struct arena arena; /* the session's */
	struct buf helo;
	struct buf line;      /* the beginning of a command line */
	uint64_t line_passed; /* of a line that is too long */
	struct buf output;
	struct buf notes; /* blocks: event, text */
	size_t notes_given;
	uint32_t last_number; /* of asks */
	uint32_t errors, mails, spools;
	uint32_t spools_open;    /* SPOOL asks not yet answered, of whichever mail */
	uint32_t submits_open;   /* SMTP_SUBMITS, of whichever mail */
	uint32_t drop;           /* a spool to be dropped, or 0 */
	const char *verb;        /* of the command at hand */
	struct judging *judging; /* NULL: this client's mail is not judged */
	struct smtp_mail mail;
};

/* ---- server.c ---- */

uint32_t smtp_number(struct smtp_server *s);

/* Lines of the reply as they go out; they wait behind open RCPTs. */
void smtp_say(struct smtp_server *s, struct bytes lines);
/* "250 2.1.0 text". */
void smtp_reply(struct smtp_server *s, int code, const char *enhanced, const char *format, ...)
        PRINTF(4, 5);
/* The same for 4xx and 5xx: recorded by NOTE; 5xx counts as the client's error, too many end the
 * session. */
void smtp_refuse(struct smtp_server *s, int code, const char *enhanced, const char *format, ...)
        PRINTF(4, 5);
/* The same, but no error of the client's. */
void smtp_decline(struct smtp_server *s, int code, const char *enhanced, const char *format, ...)
        PRINTF(4, 5);
/* As refuse, and the session ends. */
void smtp_hang_up(struct smtp_server *s, int code, const char *enhanced, const char *format, ...)
        PRINTF(4, 5);
void smtp_note(struct smtp_server *s, const char *event, const char *format, ...) PRINTF(3, 4);
void smtp_count_error(struct smtp_server *s);
void smtp_flush_rcpts(struct smtp_server *s);

/* ---- command.c ---- */

struct smtp_command;

/* The command that a line begins with, and its arguments. NULL: unknown. */
const struct smtp_command *smtp_command_find(struct bytes line, struct bytes *ret_args);
bool smtp_command_is_parallel(const struct smtp_command *c);
void smtp_command_run(struct smtp_server *s, struct bytes line);

/* ---- envelope.c ---- */

void smtp_cmd_mail(struct smtp_server *s, struct bytes args);
void smtp_cmd_rcpt(struct smtp_server *s, struct bytes args);
bool smtp_rcpt_ask(struct smtp_server *s, struct ask *ret);
void smtp_rcpt_answer(struct smtp_server *s, const struct answer *a);
bool smtp_sender_ask(struct smtp_server *s, struct ask *ret);
void smtp_sender_answer(struct smtp_server *s, const struct answer *a);
/* How many recipients this mail may have, all limits together. */
uint32_t smtp_rcpts_max(const struct smtp_server *s);
/* What an answer to SENDER that is no yes means to the client. False: it is a yes. */
bool smtp_sender_refusal(struct smtp_server *s, const struct answer *a, struct bytes address,
                         struct smtp_refusal *ret);
/* Replies to the oldest RCPT, which was answered. */
void smtp_rcpt_reply(struct smtp_server *s, const struct smtp_rcpt *r);

/* ---- params.c ---- */

/* Takes all of them, or replies. */
bool smtp_mail_params(struct smtp_server *s, struct bytes params);
bool smtp_rcpt_params(struct smtp_server *s, struct bytes params);
struct smtp_rcpt *smtp_rcpt_newest(struct smtp_mail *m); /* the place for the next one */
/* Lines of the EHLO reply for what depends on the options; appends. */
void smtp_params_offer(struct smtp_server *s, struct buf *out);

/* ---- auth.c ---- */

void smtp_cmd_auth(struct smtp_server *s, struct bytes args);
void smtp_auth_line(struct smtp_server *s, struct bytes line); /* MODE_AUTH; without CRLF */
void smtp_auth_cancel(struct smtp_server *s);                  /* the line was none */
bool smtp_auth_ask(struct smtp_server *s, struct ask *ret);
void smtp_auth_answer(struct smtp_server *s, const struct answer *a);
unsigned smtp_auth_offered(const struct smtp_server *s); /* enum sasl_mechanism */

/* ---- judge.c ---- */

void smtp_judge_hello(struct smtp_server *s);
void smtp_judge_mail(struct smtp_server *s);
void smtp_judge_rcpt(struct smtp_server *s, struct bytes address);
void smtp_judge_content(struct smtp_server *s, struct bytes run);
void smtp_judge_end(struct smtp_server *s);   /* no more content */
bool smtp_judge_ready(struct smtp_server *s); /* the answer stands; from now on m->action does */
bool smtp_judge_ask(struct smtp_server *s, struct ask *ret);
bool smtp_judge_answer(struct smtp_server *s, const struct answer *a); /* false: not its own */
void smtp_judge_tick(struct smtp_server *s);
/* Says 451, and forgets the mail. */
void smtp_judge_defer(struct smtp_server *s);
/* Says 550; the mail is in escrow. */
void smtp_judge_refuse(struct smtp_server *s);

/* ---- submit.c ---- */

void smtp_submit_content(struct smtp_server *s, struct bytes run);
void smtp_submit_end(struct smtp_server *s); /* no more content */
/* All is asked and answered, and signed: COMMIT may follow. */
bool smtp_submit_ready(struct smtp_server *s);
bool smtp_submit_ask(struct smtp_server *s, struct ask *ret);
void smtp_submit_answer(struct smtp_server *s, const struct answer *a);
void smtp_submit_done(struct smtp_submit *u); /* gives its memory back */

/* ---- mail.c ---- */

/* Content as it will be stored: to the summary and to the store. */
void smtp_content_keep(struct smtp_server *s, struct bytes run);
void smtp_fault_set(struct smtp_mail *m, enum smtp_fault fault);
/* What is next once all content is here; call it whenever something that it waits for has come. */
void smtp_content_proceed(struct smtp_server *s);

void smtp_cmd_data(struct smtp_server *s, struct bytes args);
void smtp_cmd_bdat(struct smtp_server *s, struct bytes args);
size_t smtp_content_feed(struct smtp_server *s, struct bytes in); /* MODE_DATA, MODE_BDAT */
bool smtp_mail_ask(struct smtp_server *s, struct ask *ret);
void smtp_mail_answer(struct smtp_server *s, const struct answer *a);
void smtp_mail_tick(struct smtp_server *s);
void smtp_mail_reset(struct smtp_server *s); /* forget it; its spool is dropped */
void smtp_mail_done(struct smtp_mail *m);    /* give its memory back */

#endif
