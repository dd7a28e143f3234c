/* The SMTP client's inside: who may see it is smtp/ only.
 *
 *	client.c           the engine's verbs, waiting, deadlines, failure
 *	client_hello.c     from the greeting to READY: EHLO, its extensions, STARTTLS
 *	client_auth.c      AUTH
 *	client_mail.c      a mail's envelope, and what became of its recipients
 *	client_content.c   its content
 *	client_reply.c     replies, read
 *	client_stuffing.c  dots
 */
#ifndef SMTP_CLIENT_SESSION_H
#define SMTP_CLIENT_SESSION_H

#include "base/arena.h"
#include "base/limits.h"
#include "smtp/client.h"
#include "smtp/client_reply.h"
#include "smtp/client_stuffing.h"

/* What a reply will answer: the order of commands sent. */
enum smtp_expect {
	EXPECT_GREETING,
	EXPECT_EHLO,
	EXPECT_HELO,
	EXPECT_STARTTLS,
	EXPECT_AUTH,
	EXPECT_RSET,
	EXPECT_MAIL,
	EXPECT_RCPT, /* the next one */
	EXPECT_DATA,
	EXPECT_BDAT,
	EXPECT_END, /* the final dot, or BDAT LAST */
	EXPECT_QUIT,
	EXPECT_NOTHING,
};

enum smtp_client_phase {
	CLIENT_HELLO, /* greeting, EHLO, AUTH: a reply is awaited */
	CLIENT_TLS,   /* TLS_START is to be asked, or was */
	CLIENT_READY, /* a mail, or none */
	CLIENT_QUIT,
	CLIENT_OVER
};

enum { SMTP_CLIENT_READ_LOW = 64 * 1024 }; /* output below this: more content is read */

enum smtp_auth { AUTH_NONE, AUTH_SCRAM, AUTH_PLAIN, AUTH_LOGIN, AUTH_CRAM_MD5, AUTH_KINDS };

struct smtp_client_auth {
	unsigned offered; /* 1 << enum smtp_auth */
	enum smtp_auth kind;
	unsigned step;
	struct bytes nonce, first; /* SCRAM: ours, client-first-message-bare */
	uint8_t signature[32];     /* what the host must prove */
};

struct smtp_client_rcpt {
	struct smtp_client_recipient r;
	bool use;      /* in this transaction */
	bool decided;  /* its result stands */
	bool accepted; /* RCPT was answered 2xx */
};

enum smtp_content_state {
	CONTENT_NONE,   /* not allowed yet */
	CONTENT_OPEN,   /* after 354; or BDAT may be sent */
	CONTENT_ENDING, /* its last octet is in the output */
};

/* The mail under way. Reset whole. */
struct smtp_transaction {
	struct arena arena;
	bool given, begun, done, taken; /* done: the result waits to be taken, or was */
	struct smtp_client_mail mail;
	struct smtp_client_rcpt *rcpts;
	struct smtp_recipient_result *results;
	size_t sent, answered, accepted; /* RCPTs */
	bool mail_sent, mail_refused, data_sent;
	bool smtputf8, bdat;

	enum smtp_content_state content;
	bool empty; /* 354 after all were refused: just the dot */
	struct smtp_stuffing stuffing;
	uint64_t offset, total; /* read so far, in all */
	uint32_t read_number;
	bool read_open, read_answered;
	struct buf chunk; /* read, not yet written */
	bool chunk_full;
	time_ms progress, content_until;
	size_t output_left; /* at the last look */
};

struct smtp_client {
	struct engine engine;
	struct smtp_client_options options; /* strings are life's, the password is secret's */
	struct arena life;
	struct buf secret;
	time_ms now;
	enum smtp_client_phase phase;
	bool stopping, eof, result_waits;
	enum smtp_failure failure;
	enum smtp_stage failure_stage;
	struct smtp_reply failure_reply;
	enum result read;

	struct smtp_reader reader;
	enum smtp_expect answering; /* what the reply at hand answers */
	struct buf expected;        /* enum smtp_expect, an octet each, the next first */
	struct buf output;
	time_ms waiting, dialogue_until,
	        quit_until; /* waiting: since the last reply, or the command */
	uint32_t last_number;
	bool tls_asked, helo_only;
	uint32_t tls_number;
	bool needs_reset; /* RSET before the next MAIL */

	struct smtp_client_host host; /* strings are life's */
	struct smtp_client_auth auth;
	struct smtp_transaction tx;
};

/* ---- client.c ---- */

uint32_t client_number(struct smtp_client *c);
enum smtp_expect client_expecting(const struct smtp_client *c);
enum smtp_stage client_stage(const struct smtp_client *c);
/* A command without its CRLF, and what its reply will be. */
void client_command(struct smtp_client *c, enum smtp_expect expect, const char *format, ...)
        PRINTF(3, 4);
void client_expect(struct smtp_client *c, enum smtp_expect expect);
/* The reply at hand, in this arena. */
struct smtp_reply client_reply(const struct smtp_client *c, enum smtp_stage stage,
                               struct arena *arena);
/* Our words. */
struct smtp_reply client_words(enum smtp_stage stage, const char *enhanced, struct arena *arena,
                               const char *format, ...) PRINTF(4, 5);
/* The connection is over; what is undecided is SMTP_UNTRIED, or SMTP_UNKNOWN after the end of the content. */
void client_fail(struct smtp_client *c, enum smtp_failure failure, enum smtp_stage stage,
                 struct smtp_reply reply);
/* ... by the reply at hand. */
void client_refused(struct smtp_client *c, enum smtp_failure failure, enum smtp_stage stage);
void client_nonsense(struct smtp_client *c, const char *what);
/* How the host is called in our words. */
struct bytes client_host_name(const struct smtp_client *c);

/* ---- client_hello.c ---- */

void client_hello_begin(struct smtp_client *c);
void client_greeting_reply(struct smtp_client *c);
void client_ehlo_reply(struct smtp_client *c);
void client_helo_reply(struct smtp_client *c);
void client_starttls_reply(struct smtp_client *c);
void client_tls_answer(struct smtp_client *c, const struct answer *a);
void client_go_on(struct smtp_client *c); /* after AUTH */

/* ---- client_auth.c ---- */

void client_auth_offered(struct smtp_client *c, struct bytes words);
void client_auth_begin(struct smtp_client *c);
void client_auth_reply(struct smtp_client *c);

/* ---- client_mail.c ---- */

void client_mail_give(struct smtp_client *c, const struct smtp_client_mail *m);
void client_mail_reset(struct smtp_client *c);
void client_mail_push(struct smtp_client *c); /* send what may be sent */
void client_reset_reply(struct smtp_client *c);
void client_mail_reply(struct smtp_client *c);
void client_rcpt_reply(struct smtp_client *c);
void client_data_reply(struct smtp_client *c);
void client_end_reply(struct smtp_client *c);
/* All that are not decided yet get this. */
void client_decide(struct smtp_client *c, bool accepted_only, enum smtp_outcome outcome,
                   struct smtp_reply reply);
void client_mail_finish(struct smtp_client *c);
enum smtp_outcome client_outcome(uint16_t code);

/* ---- client_content.c ---- */

void client_content_open(struct smtp_client *c);
bool client_content_ask(struct smtp_client *c, struct ask *ret);
void client_content_answer(struct smtp_client *c, const struct answer *a);
void client_content_move(struct smtp_client *c);
void client_bdat_reply(struct smtp_client *c);
void client_content_tick(struct smtp_client *c);
time_ms client_content_deadline(const struct smtp_client *c);

#endif
