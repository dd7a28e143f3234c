/* The SMTP server's inside: who may see it is smtp/ only.
 *
 *	server.c     the engine's verbs, lines, replies, deadlines
 *	command.c    the table of commands
 *	envelope.c   MAIL and RCPT, and the answers to ROUTE
 *	mail.c       DATA and BDAT: content, spool, commit
 */
#ifndef SMTP_SESSION_H
#define SMTP_SESSION_H

#include "base/arena.h"
#include "mail/summary.h"
#include "smtp/data.h"
#include "smtp/server.h"

enum smtp_phase {
	PHASE_START, /* no HELO or EHLO yet */
	PHASE_READY, /* greeted */
	PHASE_MAIL,  /* MAIL was taken: recipients, then content */
	PHASE_BDAT   /* a BDAT was taken: only more of them */
};

enum smtp_mode {
	MODE_COMMAND,
	MODE_LONG_LINE, /* passing over a line that is too long */
	MODE_DATA,
	MODE_BDAT
};

/* What the next step needs; nothing is taken from the client meanwhile. */
enum smtp_wait {
	WAIT_NONE,
	WAIT_TLS,
	WAIT_SPOOL, /* the last chunks' answers, before COMMIT */
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
	FAULT_SIZE,       /* 552 */
	FAULT_BARE        /* a bare CR or LF: 521 */
};

enum {
	SMTP_ROUTES = 24, /* ROUTE asks at once: the rest of LIMIT_ASKS_SESSION is for others */
	SMTP_LONG_LINE = 65536, /* a line longer than this ends the session */
	SMTP_OVERRUN = 64 * 1024 *
	               1024, /* octets beyond the limit that we listen to before hanging up */
	SMTP_BEHIND = 4096,  /* octets of replies kept behind one open RCPT */
	SMTP_PAUSE_MS = 250,
	SMTP_COMMITTED_MS = 10000
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

/* One mail, from MAIL to its end. Reset whole. */
struct smtp_mail {
	struct arena arena;
	struct bytes sender, envid;
	uint64_t declared; /* SIZE= */
	uint8_t body;      /* as COMMIT's */
	uint8_t ret;

	struct smtp_rcpt rcpts[SMTP_ROUTES]; /* a ring: the oldest at rcpt_first */
	unsigned rcpt_first, rcpt_open;
	uint32_t rcpt_good, rcpt_refused;
	struct buf recipients; /* packed for COMMIT */
	struct bytes only_rcpt;

	enum smtp_fault fault;
	bool content; /* it has begun: trace and builder are there */
	struct smtp_data data;
	uint64_t size;      /* of content */
	uint64_t bdat_left; /* of this chunk */
	uint64_t bdat_len;
	bool bdat_last;
	struct buf trace, summary;
	struct summary_builder *builder;
	struct smtp_chunk chunks[LIMIT_SPOOL_WINDOW]; /* a ring */
	unsigned chunk_first, chunk_count;
	uint32_t spool;   /* its number; 0: nothing was sent */
	bool spool_begun; /* SPOOL was asked */
	uint8_t key[16];
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
	struct bytes tls_version; /* the session's arena */
	struct arena arena;       /* the session's */
	struct buf helo;
	struct buf line;      /* the beginning of a command line */
	uint64_t line_passed; /* of a line that is too long */
	struct buf output;
	struct buf notes; /* blocks: event, text */
	size_t notes_given;
	uint32_t last_number; /* of asks */
	uint32_t errors, mails, spools;
	uint32_t spools_open; /* SPOOL asks not yet answered, of whichever mail */
	uint32_t drop;        /* a spool to be dropped, or 0 */
	const char *verb;     /* of the command at hand */
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
/* Replies to the oldest RCPT, which was answered. */
void smtp_rcpt_reply(struct smtp_server *s, const struct smtp_rcpt *r);

/* ---- mail.c ---- */

void smtp_cmd_data(struct smtp_server *s, struct bytes args);
void smtp_cmd_bdat(struct smtp_server *s, struct bytes args);
size_t smtp_content_feed(struct smtp_server *s, struct bytes in); /* MODE_DATA, MODE_BDAT */
bool smtp_mail_ask(struct smtp_server *s, struct ask *ret);
void smtp_mail_answer(struct smtp_server *s, const struct answer *a);
void smtp_mail_tick(struct smtp_server *s);
void smtp_mail_reset(struct smtp_server *s); /* forget it; its spool is dropped */
void smtp_mail_done(struct smtp_mail *m);    /* give its memory back */

#endif
