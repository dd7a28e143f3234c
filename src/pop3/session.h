/* Inside of the POP3 engine: one session, and what the files of this folder do for each other.
 *
 * The way of a command: server.c puts lines together and gives them to command.c, which finds the
 * row and runs it. A command that needs the store or keeper sets a step and asks; the answer goes to
 * the step's function. While a step is on, no further line is taken. */
#ifndef POP3_SESSION_H
#define POP3_SESSION_H

#include "base/arena.h"
#include "base/limits.h"
#include "base/wire.h"
#include "pop3/server.h"
#include "sasl/sasl.h"

enum { POP3_NOTES = 8 }; /* open at once; then no more lines are taken */

enum pop3_state { POP3_AUTHORIZATION = 1 << 0, POP3_TRANSACTION = 1 << 1 };

/* What a command under way waits for. The table of what happens next is in server.c. */
enum pop3_step {
	STEP_NONE,      /* the next command */
	STEP_SASL_LINE, /* the client's next line belongs to SASL */
	STEP_SASL,      /* keeper, for SASL */
	STEP_TLS,       /* the host, for STLS */
	STEP_OPEN,      /* STATUS of INBOX */
	STEP_LOAD,      /* its mails: SUMMARIES */
	STEP_LIST,      /* room for more lines of LIST or UIDL */
	STEP_READ,      /* READ, or room for more of a mail */
	STEP_SEEN,      /* QUIT: FLAGS_SET \Seen */
	STEP_MARK,      /* QUIT: FLAGS_SET \Deleted */
	STEP_EXPUNGE,   /* QUIT: EXPUNGE */
	STEP_COUNT
};

enum mail_bit {
	MAIL_BIT_DELETED = 1 << 0, /* DELE in this session */
	MAIL_BIT_READ = 1 << 1,    /* RETR in this session */
	MAIL_BIT_SEEN = 1 << 2,    /* \Seen at login */
};

struct pop3_mail {
	uint32_t uid;
	uint32_t size;
	uint32_t bits;
};

struct pop3_note {
	const char *event;
	struct buf text;
	struct pop3_note *next;
};

/* A mail on its way out: RETR and TOP. */
struct pop3_stream {
	uint32_t nth;    /* in mails */
	uint64_t offset; /* next octet to ask for */
	bool began;      /* +OK was said */
	bool ended;      /* nothing more to ask for */
	bool top;        /* only the header and `lines` lines */
	bool in_body;    /* TOP: behind the blank line */
	uint64_t lines;  /* TOP: still to send */
	uint64_t column; /* octets since the line began; 0: at its start */
	bool cr;         /* the last octet was a CR */
};

struct pop3_server {
	struct engine engine; /* first */
	const struct pop3_options *options;
	struct engine_peer peer;
	struct buf exporter, endpoint; /* channel bindings of TLS */
	time_ms now, born, active;
	enum pop3_state state;
	enum pop3_step step;
	bool finished, stopping;
	bool closed; /* the peer says no more */
	bool left;   /* feed took less than it was offered */
	bool utf8;   /* the client said UTF8 */
	uint32_t errors, failures;

	struct buf line; /* of the command, up to its end */
	bool skipping;   /* the rest of a line that was too long */
	struct buf out;

	/* the one ask of the step */
	struct ask ask;
	struct buf ask_data; /* what it borrows */
	bool ask_waits;      /* ask() has not given it out yet */
	bool ask_open;
	uint32_t next_number;
	time_ms retry_at, retry_until;        /* TIME_NEVER: no retry is due; until: 0: not begun */
	struct pop3_note *notes, *note_given; /* waiting; given out just now */
	unsigned note_count;                  /* waiting, or given out and not answered */

	/* logging in */
	struct buf user; /* of USER */
	struct sasl *sasl;
	uint64_t logins;                   /* counter for SASL's seeds */
	char timestamp[LIMIT_DOMAIN + 64]; /* APOP's "<...>", or empty */
	struct buf address;

	/* INBOX */
	uint64_t mailbox;
	uint32_t uidvalidity;
	struct pop3_mail *mails;
	uint32_t mail_count, mail_room;
	uint32_t kept_count; /* without those of DELE */
	uint64_t kept_size;

	bool listing_uids;    /* LIST or UIDL */
	uint32_t list_next;   /* next one of LIST or UIDL */
	uint32_t update_next; /* next one that QUIT looks at */
	uint32_t removed;
	struct pop3_stream stream;
};

/* ---- server.c ---- */

void pop3_ok(struct pop3_server *s, const char *format, ...) PRINTF(2, 3);
void pop3_err(struct pop3_server *s, const char *format, ...) PRINTF(2, 3); /* counts as an error */
/* The command is done for now; its step waits for this ask. What it borrows stands in s->ask_data
 * or lives until the answer. */
void pop3_ask(struct pop3_server *s, enum pop3_step step, struct ask a);
/* Puts the same ask again in a while. False: it was tried long enough. */
bool pop3_again(struct pop3_server *s);
void pop3_note(struct pop3_server *s, const char *event, const char *format, ...) PRINTF(3, 4);
bool pop3_room(const struct pop3_server *s); /* for more output */
bool pop3_plaintext_allowed(const struct pop3_server *s);
unsigned pop3_mechanisms(const struct pop3_server *s); /* that AUTH offers now */

/* ---- command.c ---- */

void pop3_command(struct pop3_server *s, struct bytes line);
void pop3_list_pump(struct pop3_server *s);

/* ---- login.c ---- */

void cmd_user(struct pop3_server *s, struct bytes args);
void cmd_pass(struct pop3_server *s, struct bytes args);
void cmd_apop(struct pop3_server *s, struct bytes args);
void cmd_auth(struct pop3_server *s, struct bytes args);
void cmd_stls(struct pop3_server *s, struct bytes args);
void login_line(struct pop3_server *s, struct bytes line);
void login_answer(struct pop3_server *s, const struct answer *a);
void login_tls(struct pop3_server *s, const struct answer *a);
void login_opened(struct pop3_server *s, const struct answer *a);
void login_loaded(struct pop3_server *s, const struct answer *a);
void login_timestamp(struct pop3_server *s);

/* ---- stream.c ---- */

void stream_begin(struct pop3_server *s, uint32_t nth, bool top, uint64_t lines);
void stream_answer(struct pop3_server *s, const struct answer *a);
void stream_pump(struct pop3_server *s);

/* ---- update.c ---- */

void update_begin(struct pop3_server *s);
void update_answer(struct pop3_server *s, const struct answer *a);

#endif
