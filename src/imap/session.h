/* Inside of the IMAP engine: one session, and what the files of this folder do for each other. Not for other rooms.
 *
 * The way of a command: input.c puts its lines and literals together in `in`; command.c reads tag and name, finds the
 * row and calls parse, then run. The row's functions ask (imap_ask), get answers and pump calls, write untagged
 * responses into `out`, and end with imap_ok, imap_no or imap_bad. Then sync.c tells what moved in the mailbox where
 * that is allowed, and the tagged response goes out. One command runs at a time; only APPENDs overlap (cmd_append.c). */
#ifndef IMAP_SESSION_H
#define IMAP_SESSION_H

#include "base/limits.h"
#include "imap/server.h"
#include "imap/token.h"
#include "imap/view.h"
#include "sasl/sasl.h"

enum imap_state {
	IMAP_NOT_AUTH = 1 << 0,
	IMAP_AUTH = 1 << 1,
	IMAP_SELECTED = 1 << 2,
	IMAP_ANY = IMAP_NOT_AUTH | IMAP_AUTH | IMAP_SELECTED,
	IMAP_IN = IMAP_AUTH | IMAP_SELECTED,
};

enum imap_command_flag {
	COMMAND_UID = 1 << 0,     /* the UID variant */
	COMMAND_NUMBERS = 1 << 1, /* sequence numbers must stay: no EXPUNGE (RFC 9051, 7.5.1) */
	COMMAND_LOOK = 1 << 2,    /* look for changes even if none were announced */
	COMMAND_QUIET = 1 << 3,   /* tell nothing before the tagged response */
};

struct imap_server;

/* A row of the command table. parse reads the arguments (what is after the name, with its space) into run.state;
 * false is BAD with the cursor's reason. answer gets what imap_ask(OWNER_COMMAND) asked. pump goes on when there
 * is room for output. line gets what the client sends while run.wants_line. done gives memory back. */
typedef bool command_parse(struct imap_server *s, struct cursor *c);
typedef void command_run(struct imap_server *s);
typedef void command_answer(struct imap_server *s, const struct answer *a, uint32_t mark);
typedef void command_line(struct imap_server *s, struct bytes line);

struct imap_command {
	const char *name;
	uint8_t states;
	uint8_t flags;
	command_parse *parse;
	command_run *run;
	command_answer *answer;
	command_run *pump;
	command_line *line;
	command_run *done;
};

/* Whose answer it will be. */
enum imap_owner {
	OWNER_NONE,
	OWNER_COMMAND,
	OWNER_SYNC,
	OWNER_WATCH,
	OWNER_APPEND,
	OWNER_NOTE,
	OWNER_TLS,
};

struct open_ask {
	uint32_t number;
	uint32_t mark; /* the owner's */
	uint8_t owner;
};

struct waiting_ask {
	struct waiting_ask *next;
	struct ask ask;
};

enum input_phase {
	INPUT_COMMAND, /* lines of a command */
	INPUT_LITERAL, /* a literal that belongs into it */
	INPUT_SKIP,    /* the rest of a line that was too long */
	INPUT_MESSAGE, /* APPEND's message */
	INPUT_TAIL,    /* the rest of the line after it */
};

/* The flag names of a mailbox: names[n] is flag bit MAIL_KEYWORD_SHIFT + n; empty: not used. */
struct keywords {
	unsigned count;
	struct bytes names[LIMIT_KEYWORDS];
	struct bytes packed; /* as the store gave them */
	char data[];
};

struct selected {
	uint64_t id;
	uint32_t uidvalidity;
	bool read_only;
	struct buf name;
	uint64_t modseq; /* of the state that the view shows */
	struct view view;
	struct uidset gone;  /* expunged, but the client was not told yet */
	struct uidset saved; /* "$" (RFC 9051, 6.4.4.1) */
	struct keywords *keywords;
};

struct sync {
	bool running;
	bool expunge; /* may be told */
	bool first;
	uint32_t count; /* of messages, before */
	uint64_t modseq;
};

struct append;

struct imap_server {
	struct engine engine; /* first */
	const struct imap_options *options;
	struct engine_peer peer;
	struct buf exporter, endpoint; /* channel bindings of TLS */
	time_ms now, active;
	uint8_t state; /* enum imap_state: one bit */
	bool finished, ended, stopping, tls_starting;
	bool rev2, condstore; /* ENABLEd */
	unsigned errors, failed_logins;
	uint64_t counter; /* for keys and SASL seeds */

	/* input.c */
	uint8_t input; /* enum input_phase */
	struct buf in;
	size_t line_start; /* of the last line in `in` */
	uint64_t literal_left;
	bool held; /* `in` is a whole command that waits for APPENDs */
	struct buf line;

	/* the running command */
	struct {
		const struct imap_command *command;
		struct bytes tag;
		void *state;
		bool wants_line;
	} run;
	struct arena arena; /* the running command's */
	bool finishing;     /* its tagged response is in `reply` and waits for sync */
	struct buf reply;
	struct buf out;

	/* asks */
	struct waiting_ask *first_ask, **last_ask;
	struct arena ask_arena;
	struct open_ask open[LIMIT_ASKS_SESSION];
	unsigned open_count;
	uint32_t number;

	/* the mailbox */
	struct selected box;
	struct sync sync;
	bool moved;    /* CHANGED came */
	bool rewatch;  /* WATCH must be said (again) */
	bool watching; /* a WATCH is open */
	time_ms rewatch_at;
	time_ms wake_at;  /* a READ is asked again; 0: none waits */
	time_ms later_at; /* a command that yielded goes on */

	/* cmd_append.c */
	struct append *appends, **last_append, *appending;
	struct buf chunk;
	unsigned append_count, spools_open;
	uint32_t serial;
};

static inline struct imap_server *imap_of(struct engine *e)
{
	return (struct imap_server *)e;
}

/* ---- server.c ---- */

/* Puts a question; bytes in it are copied. Its answer comes to the owner with the mark. There must be room:
 * imap_can_ask. */
void imap_ask(struct imap_server *s, enum imap_owner owner, uint32_t mark, const struct ask *a);
bool imap_can_ask(const struct imap_server *s);
void imap_note(struct imap_server *s, const char *event, const char *format, ...) PRINTF(3, 4);
bool imap_output_low(const struct imap_server *s);
void imap_bye(struct imap_server *s, const char *text);
void imap_later(struct imap_server *s); /* the command goes on in a moment, by pump */

/* 16 octets that nobody has had before. */
void imap_key(struct imap_server *s, uint8_t key[16]);

/* ---- respond.c ---- */

/* The tagged response and the end of the running command: text begins with a response code or not. */
void imap_ok(struct imap_server *s, const char *format, ...) PRINTF(2, 3);
void imap_no(struct imap_server *s, const char *format, ...) PRINTF(2, 3);
void imap_bad(struct imap_server *s, const char *format, ...) PRINTF(2, 3);

/* NO with the response code (RFC 5530) and text that an answer deserves. */
void imap_no_answer(struct imap_server *s, const struct answer *a);
/* The same as text, without tag and NO; a missing mailbox is [TRYCREATE] or [NONEXISTENT]. */
void respond_result(struct buf *out, enum result r, struct bytes why, bool try_create);

void respond_quoted(struct buf *out,
                    struct bytes b); /* quoted, or a literal where it must be one */
void respond_nstring(struct buf *out, struct bytes b); /* NIL when ptr is NULL */
void respond_mailbox(struct imap_server *s, struct buf *out, struct bytes name);
void respond_flags(const struct imap_server *s, struct buf *out, uint64_t flags); /* "(\Seen $x)" */
void respond_date_time(struct buf *out, time_ms t); /* "17-Jul-1996 02:44:25 +0000" in quotes */
void respond_number(struct buf *out, uint64_t n);
/* "* FLAGS (..)" and PERMANENTFLAGS of the selected mailbox. */
void respond_mailbox_flags(struct imap_server *s);

/* ---- input.c ---- */
size_t input_take(struct imap_server *s, struct bytes in);
void input_reset(struct imap_server *s);

/* ---- command.c ---- */
void command_dispatch(struct imap_server *s); /* what is in `in` */
void command_finish(struct imap_server *s);   /* the reply is set: tell what moved, then end */
void command_end(struct imap_server *s);

/* ---- sync.c ---- */

/* Tells what happened in the mailbox since the view's state, then calls command_end or goes on idling. */
void sync_start(struct imap_server *s, bool expunge);
void sync_answer(struct imap_server *s, const struct answer *a);
void sync_watch(struct imap_server *s); /* says WATCH when it must be said */
void sync_watch_answer(struct imap_server *s, const struct answer *a);
/* A change that this session made and told itself: if nobody else changed anything, the view is at it. */
void sync_own_change(struct imap_server *s, uint64_t before, uint64_t modseq);
void sync_keywords(struct imap_server *s, struct bytes packed, bool tell);
void sync_close(struct imap_server *s); /* no mailbox any more */

/* ---- set.c ---- */

/* What a client's set means in the view, as UIDs. False: a number that does not exist; BAD. */
bool set_resolve(const struct imap_server *s, const struct sequence_set *set, bool uid,
                 struct uidset *ret);

/* ---- cmd_any.c, cmd_auth.c ---- */
void capability_words(const struct imap_server *s, struct buf *out);
unsigned auth_offered(const struct imap_server *s); /* cmd_auth.c: enum sasl_mechanism bits */

/* ---- cmd_append.c ---- */
bool append_begin(struct imap_server *s,
                  const struct literal_head *head); /* false: not its message */
size_t append_take(struct imap_server *s, struct bytes in);
void append_tail(struct imap_server *s, struct bytes line);
bool append_blocked(const struct imap_server *s);
void append_pump(struct imap_server *s);
void append_answer(struct imap_server *s, const struct answer *a, uint32_t serial);
time_ms append_deadline(const struct imap_server *s);
void append_drop_all(struct imap_server *s);

/* ---- cmd_status.c ---- */

/* "(MESSAGES UIDNEXT ...)" as bits; and the untagged STATUS. */
bool status_items(struct imap_server *s, struct cursor *c, unsigned *ret);
void status_print(struct imap_server *s, struct bytes name, unsigned items,
                  const struct answer_status *a);

/* ---- cmd_idle.c ---- */
void idle_event(struct imap_server *s);

/* ---- the rows' functions ---- */

command_parse append_parse, authenticate_parse, copy_parse, create_parse, delete_parse,
        enable_parse, examine_parse, fetch_parse, id_parse, list_parse, login_parse, lsub_parse,
        move_parse, parse_nothing, rename_parse, search_parse, select_parse, status_parse,
        store_parse, subscribe_parse, uid_expunge_parse, unsubscribe_parse;
command_run append_run, authenticate_done, authenticate_run, capability_run, close_run, copy_run,
        create_run, delete_run, enable_run, expunge_run, fetch_done, fetch_pump, fetch_run, id_run,
        idle_run, list_pump, list_run, login_run, logout_run, namespace_run, noop_run, rename_run,
        search_done, search_pump, search_run, select_run, starttls_run, status_run, store_done,
        store_pump, store_run, subscribe_run, uid_expunge_run, unselect_run;
command_answer authenticate_answer, close_answer, copy_answer, expunge_answer, fetch_answer,
        list_answer, mailbox_answer, search_answer, select_answer, status_answer, store_answer;
command_line authenticate_line, idle_line;

/* SP mailbox; false with the reason. A name that cannot be gives an empty *ret: NO, not BAD. */
bool parse_mailbox(struct imap_server *s, struct cursor *c, struct bytes *ret);

#endif
