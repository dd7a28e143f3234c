/* sendmail, mailq, newaliases: the same binary by these names, for programs of this machine that send mail.
 *
 *	sendmail.c          what is asked for: flags, the instance's folder, exit codes
 *	sendmail_message.c  stdin becomes a message: line ends, header, recipients in it
 *	sendmail_header.c   fields: bare addresses, Bcc, From
 *	sendmail_talk.c     SMTP over run/submit.sock, again and again until it is durable or time is over
 *	sendmail_queue.c    mailq, newaliases, -q
 *
 * The process has the rights of whoever called it and no others; what it may do is decided at the other end of the socket,
 * by its uid. Exit codes are those of sysexits.h: 0 only when the mail is durable for every recipient; 75 means that trying
 * again later may help. docs/sendmail.md has the whole contract. Nobody outside of these files and cli.c includes this. */
#ifndef CLI_SENDMAIL_H
#define CLI_SENDMAIL_H

#include <sysexits.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/time.h"
#include "config/config.h"

enum sendmail_mode {
	SENDMAIL_DELIVER,
	SENDMAIL_SMTP,    /* -bs */
	SENDMAIL_QUEUE,   /* -bp, mailq */
	SENDMAIL_ALIASES, /* -bi, newaliases */
	SENDMAIL_FLUSH,   /* -q */
	SENDMAIL_NOTHING, /* --help, --version: said already */
};

/* Addresses as they go onto the wire, without <>. */
struct sendmail_list {
	struct bytes *items;
	size_t count, size;
};

struct sendmail {
	const char *name; /* as called: for what it says on stderr */
	enum sendmail_mode mode;
	const char *directory; /* the instance's */
	int dirfd;
	struct config *config; /* of etc/hikyaku.conf; NULL: cannot be read */
	struct bytes user;     /* the caller's name */
	struct bytes own;      /* the sender of what he sends */
	struct bytes host;     /* where bare senders live */
	struct bytes domain;   /* where bare recipients live */
	struct bytes full_name;
	struct bytes sender; /* -f; empty and sender_given: the null sender */
	bool sender_given;
	bool from_header; /* -t */
	bool dot_is_text; /* -i */
	bool verbose;
	bool in_header;                   /* sendmail_add takes what the header holds */
	const char *notify, *ret, *envid; /* DSN, as written; NULL: none */
	time_ms wait_ms;                  /* -1: the option's */
	struct sendmail_list recipients;
	struct arena arena;
};

/* argv[0] is ignored; name is what to call oneself. directory NULL: it is looked for. Returns the exit code. */
int sendmail_main(const char *name, const char *directory, int argc, char **argv);

/* "NAME: ..." on stderr; returns code. */
int sendmail_fail(const struct sendmail *s, int code, const char *format, ...) PRINTF(3, 4);

/* Adds what a list of addresses holds; bare ones get domain. INVALID: text that is no address; why names it. */
enum result sendmail_add(struct sendmail *s, struct bytes list, struct bytes domain,
                         struct sendmail_list *to, struct why *why) MUST_USE;

/* ---- the message ---- */

enum { SENDMAIL_HEADER_MAX = 16 * 1024 * 1024 };

struct sendmail_message {
	struct buf header; /* fields, CRLF line ends, without the blank line */
	struct buf body;   /* its first octets, up to SENDMAIL_MEMORY */
	int file;          /* what follows them, in a file without a name; -1: nothing does */
	uint64_t file_len;
	bool eight_bit;
};

/* Reads all of it. EX_OK, or the exit code, which has been explained. max: octets of the whole. */
int sendmail_message_read(const struct sendmail *s, int fd, uint64_t max,
                          struct sendmail_message *ret);
uint64_t sendmail_message_size(const struct sendmail_message *m); /* with the blank line */
/* Up to size octets of the body from offset on; 0: that was all. False: it cannot be read. */
bool sendmail_message_body(const struct sendmail_message *m, uint64_t offset, char *ptr,
                           size_t size, size_t *ret_len);
void sendmail_message_done(struct sendmail_message *m);

/* ---- its header (pure) ---- */

/* Completes the header: bare addresses get a domain, Bcc and Return-Path are taken out, From is added where there is none.
 * With -t the recipients are added to s->recipients. INVALID: an address in it is none. */
enum result sendmail_header_finish(struct sendmail *s, struct buf *header,
                                   struct why *why) MUST_USE;
/* A field's value with a domain behind every address that has none; one that is `user` becomes `own`. Appends. */
void sendmail_header_qualify(struct bytes value, struct bytes domain, struct bytes user,
                             struct bytes own, struct buf *out);

/* ---- talking ---- */

int sendmail_send(struct sendmail *s, const struct sendmail_message *m);
int sendmail_bridge(struct sendmail *s); /* -bs */

/* ---- for administrators ---- */

int sendmail_mailq(struct sendmail *s);
int sendmail_newaliases(struct sendmail *s);
int sendmail_flush(struct sendmail *s);

#endif
