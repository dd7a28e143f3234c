/* An ask is a question from one part of Hikyaku to another, and the message between processes.
 *
 *	struct ask a = {.kind = ASK_ROUTE, .number = 7, .route.rcpt = BYTES("ken@example.test")};
 *	ask_encode(&a, &buf);                                  the asker's process
 *	if (ask_decode(in, &arena, &a) != OK) ...              the answerer's
 *
 * The engine chooses the number (unique among its open asks); the process that hosts it stamps the
 * session and forwards it unchanged; the answer carries both back. Structs and codec come from
 * ask.def. bytes fields are borrowed: by encode for the call, after decode from the arena.
 */
#ifndef ASK_ASK_H
#define ASK_ASK_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/time.h"

/* Who may ask and who answers: bits. ENGINE and HOST never stand on a channel. */
enum role_bit {
	ENGINE = 1 << 0,
	HOST = 1 << 1,
	KEEPER = 1 << 2,
	STORE = 1 << 3,
	MX = 1 << 4,
	ACCESS = 1 << 5,
	WEB = 1 << 6,
	SORTER = 1 << 7,
	RESOLVER = 1 << 8,
	COURIER = 1 << 9,
	WATCH = 1 << 10,
};

/* A session's number says who has it: the role's place (its bit's), worker, a counter. 0 is no session. */
static inline uint64_t session_number(unsigned role, unsigned worker, uint64_t counter)
{
	return (uint64_t)__builtin_ctz(role) << 56 | (uint64_t)(worker & 0xff) << 48 |
	       (counter & ((1ULL << 48) - 1));
}

static inline bool session_is_of(uint64_t session, unsigned role, unsigned worker)
{
	return session >> 48 == session_number(role, worker, 0) >> 48;
}

enum ask_kind {
	ASK_NONE,
#define ASK(NAME, name, from, to, meaning) ASK_##NAME,
#define IN(type, field, meaning)
#define OUT(type, field, meaning)
#define END(name)
#include "ask/ask.def"
#undef ASK
#undef IN
#undef OUT
#undef END
	ASK_COUNT
};

typedef uint8_t ask_u8;
typedef uint16_t ask_u16;
typedef uint32_t ask_u32;
typedef uint64_t ask_u64;
typedef int64_t ask_i64;
typedef struct bytes ask_bytes;

#define ASK(NAME, name, from, to, meaning) \
	struct ask_##name {                \
		char none[0];
#define IN(type, field, meaning) ask_##type field;
#define OUT(type, field, meaning)
#define END(name) \
	}         \
	;
#include "ask/ask.def"
#undef ASK
#undef IN
#undef OUT
#undef END

#define ASK(NAME, name, from, to, meaning) \
	struct answer_##name {             \
		char none[0];
#define IN(type, field, meaning)
#define OUT(type, field, meaning) ask_##type field;
#define END(name) \
	}         \
	;
#include "ask/ask.def"
#undef ASK
#undef IN
#undef OUT
#undef END

#define IN(type, field, meaning)
#define OUT(type, field, meaning)
#define END(name)

struct ask {
	enum ask_kind kind;
	uint32_t number;  /* the engine's */
	uint64_t session; /* stamped by the host; engines leave it 0 */
	union {
#define ASK(NAME, name, from, to, meaning) struct ask_##name name;
#include "ask/ask.def"
#undef ASK
	};
};

struct answer {
	enum ask_kind kind;
	uint32_t number;
	uint64_t session;
	enum result result; /* not OK: the fields below are zero */
	struct bytes why;   /* for a person; empty when OK */
	union {
#define ASK(NAME, name, from, to, meaning) struct answer_##name name;
#include "ask/ask.def"
#undef ASK
	};
};

#undef IN
#undef OUT
#undef END

/* ---- values that stand in fields ---- */

/* HISTORY's known: bits. What is said of From's address holds whoever wrote it there. */
enum history_known {
	HISTORY_WRITTEN_TO_BY_RCPT = 1 << 0, /* one of these recipients wrote to it */
	HISTORY_WRITTEN_TO_BY_ANY = 1 << 1,  /* one of our people did */
	HISTORY_GOOD_DOMAIN =
	        1 << 2, /* the proved domain has long sent mail that nobody called junk */
	HISTORY_GOOD_NETWORK = 1 << 3,  /* the client's network has */
	HISTORY_SEEN_ADDRESS = 1 << 4,  /* mail From it came before */
	HISTORY_SEEN_DOMAIN = 1 << 5,   /* mail of the proved domain did */
	HISTORY_REPLY_TO_OURS = 1 << 6, /* it answers a mail that one of our people sent */
	HISTORY_OWN_LOGIN_NETWORK =
	        1 << 7, /* From is one of ours, who logged in from where this mail came from */
	HISTORY_SEEN_SAME_WAY =
	        1
	        << 8, /* mail From it came from this network or with this proof before, and was no junk */
};

enum history_about { HISTORY_ADDRESS, HISTORY_DOMAIN, HISTORY_NETWORK };

enum route_class {
	ROUTE_DIRECT,    /* placed in a mailbox by the accepting transaction */
	ROUTE_QUEUE,     /* an alias, a dot file, several targets: the sorter's work */
	ROUTE_UNKNOWN,   /* our domain, no such user */
	ROUTE_REMOTE,    /* not our domain: no stranger may use it */
	ROUTE_FULL,      /* the account's quota is used up */
	ROUTE_SUSPENDED, /* kept in the queue until the account is let go again */
};

enum mail_flag {
	MAIL_SEEN = 1 << 0,
	MAIL_ANSWERED = 1 << 1,
	MAIL_FLAGGED = 1 << 2,
	MAIL_DELETED = 1 << 3,
	MAIL_DRAFT = 1 << 4,
	MAIL_KEYWORD_SHIFT = 8, /* bit 8 + n is the mailbox's n-th keyword */
};

enum flags_mode { FLAGS_REPLACE, FLAGS_ADD, FLAGS_REMOVE };

enum mailbox_attribute {
	MAILBOX_NOSELECT = 1 << 0,
	MAILBOX_SUBSCRIBED = 1 << 1,
	MAILBOX_CHILDREN = 1 << 2,
	MAILBOX_NONEXISTENT = 1 << 3, /* subscribed, but there is none */
	MAILBOX_ALL = 1 << 8,         /* special uses: RFC 6154 */
	MAILBOX_ARCHIVE = 1 << 9,
	MAILBOX_DRAFTS = 1 << 10,
	MAILBOX_FLAGGED = 1 << 11,
	MAILBOX_JUNK = 1 << 12,
	MAILBOX_SENT = 1 << 13,
	MAILBOX_TRASH = 1 << 14,
};

enum digest_kind { DIGEST_CRAM_MD5, DIGEST_APOP };

enum sign_scheme {
	SIGN_ECDSA_SHA256,
	SIGN_ECDSA_SHA384,
	SIGN_RSA_PKCS1_SHA256,
	SIGN_RSA_PSS_SHA256,
	SIGN_ED25519
};

/* SORTED.actions: u8 action, then fields. An action that keeps the entry (DEFER, HOLD, a PLACE without room) ends the
 * list: what follows is not done, so that the next try does not do it again. */
enum sort_action {
	SORT_PLACE, /* block mailbox name of the recipient's account; u64 flags: put the mail there */
	SORT_REDIRECT, /* block address; block origin: a new entry for this recipient, same mail and sender */
	SORT_DEFER, /* u32 seconds; block reason: try again then */
	SORT_HOLD,  /* block reason: until an operator says so; never alone forgotten */
	SORT_DONE,  /* block reason: nothing more (bounced, or refused by the user's own rule) */
	SORT_DELIVER, /* block account address; block mailbox name; u64 flags: put the mail there (the mailbox is
	                * made when it is missing); aliases and dot files
	                * were followed already. Without room, or suspended, it becomes an entry of its own whose origin is
	                * its recipient, which says the same */
	SORT_CARRY_ON, /* the entry goes back to where it waited: after SORT_TASK_DELAYED */
};

/* What the sorter is to do with what TAKE gave it. */
enum sort_task {
	SORT_TASK_ROUTE,   /* aliases, dot files: where does it go? */
	SORT_TASK_FAILED,  /* it could not be carried: a bounce (RFC 3464 failed), then DONE */
	SORT_TASK_DELAYED, /* it is late: tell the sender once, then SORT_CARRY_ON */
	SORT_TASK_RELAYED, /* a host without DSN took it, NOTIFY=SUCCESS was asked (RFC 3461, 5.2.2), then DONE */
	SORT_TASK_EXPANDED, /* delivered here, NOTIFY=SUCCESS was asked, then DONE */
};

enum carry_outcome {
	CARRY_DELIVERED, /* the host said 250 to it */
	CARRY_RELAYED,   /* as before, but the host has no DSN: we send what NOTIFY=SUCCESS wants */
	CARRY_DEFERRED, /* try again by the schedule; nothing is known to be wrong with the recipient */
	CARRY_FAILED, /* for good: a bounce */
	CARRY_HELD, /* the provider refuses our address or domain, whatever the mail: kept with an incident */
	CARRY_UNTOUCHED, /* not tried at all: back as it was, no try counted */
};

/* What a deferral says about other mail for the same destination. */
enum carried_scope {
	CARRIED_MAIL,        /* nothing */
	CARRIED_DESTINATION, /* none of its hosts can be reached or talks to us now */
	CARRIED_BUSY,        /* it talks to us, but wants fewer connections, or slower */
	CARRIED_NETWORK,     /* our own network: outbound port 25 is throttled or gone */
};

enum path_go {
	PATH_GO,
	PATH_PROBE /* the provider blocks us: this one mail tries whether it still does */
};

enum tls_verified { TLS_NONE, TLS_UNVERIFIED, TLS_PKIX, TLS_DANE, TLS_STS };

enum dkim_algorithm { DKIM_RSA_SHA256, DKIM_ED25519_SHA256 };
enum dkim_key_state {
	DKIM_KEY_NEW /* published, not used yet */,
	DKIM_KEY_SIGNS,
	DKIM_KEY_OLD /* still published */
};

enum incident_verb { INCIDENT_RAISE, INCIDENT_CLOSE };

enum admin_verb {
	ADMIN_STATUS,          /* rows: one object of figures */
	ADMIN_ACCOUNT_LIST,    /* number: cursor */
	ADMIN_ACCOUNT_REMOVE,  /* subject: address */
	ADMIN_ACCOUNT_QUOTA,   /* subject: address, number: octets (0 none) */
	ADMIN_ACCOUNT_SUSPEND, /* subject: address, number: 1 or 0 */
	ADMIN_QUEUE_LIST,      /* number: cursor */
	ADMIN_QUEUE_SHOW,      /* subject: queue id */
	ADMIN_QUEUE_RETRY,     /* subject: queue id, or empty: all */
	ADMIN_QUEUE_HOLD,      /* subject: queue id */
	ADMIN_QUEUE_RELEASE,   /* subject: queue id */
	ADMIN_QUEUE_REMOVE,    /* subject: queue id */
	ADMIN_FILE_PUT, /* subject: name under etc/, value: its text (a copy of the old goes to etc/.history) */
	ADMIN_CHECKPOINT, /* write an image now */
	ADMIN_SWEEP,      /* copy live bytes out of mostly dead segments now */
	/* For all of QUEUE_*: subject is what to act on: a queue id (8 hex digits and more), entry:N, an address,
	 * @domain or a domain, incident:N, state:WORD, or empty: all. */
	ADMIN_QUEUE_WHY, /* as SHOW, with everything known about its destination, provider and next try */
	ADMIN_QUEUE_REDIRECT, /* value: the address that it goes to instead */
	ADMIN_QUEUE_SUMMARY, /* rows: one a destination: count, oldest, next try, provider, held by which incident */
	ADMIN_INCIDENTS,      /* number: cursor; value "all": closed ones too */
	ADMIN_INCIDENT_SHOW,  /* number: its id */
	ADMIN_INCIDENT_CLOSE, /* number: its id; what it holds goes on */
	ADMIN_INCIDENT_ACK,   /* number: its id; value: by whom */
	ADMIN_TRACE, /* subject: an address, Message-ID, queue id, or text to find these in; number: cursor */
	ADMIN_ALARMS, /* rows: alarms that wait, oldest first; subject: a channel, or empty: all; number: cursor */
	ADMIN_ALARM_DONE, /* number: its id; value: why it could not be told; empty: it was */
	ADMIN_ALARM_TEST, /* subject: a channel, or empty: all; rows: one a channel */
	ADMIN_SENDING, /* rows: one an account or uid: what it sent in the last hour and day, its limits */
	ADMIN_BANS,     /* rows: bans; value "all": those that are over, too */
	ADMIN_BAN_WHY,  /* subject: an address or network; rows: all that is known of it */
	ADMIN_BAN_LIFT, /* subject: the same, or empty: all */
	ADMIN_BAN_ADD, /* subject: the same; value: why; number: for how long, ms; 0: for the longest time */
	ADMIN_BAN_DRILL, /* the whole way with an address that nobody has (RFC 5737), then undone; rows: what happened */
	ADMIN_BAN_JAIL, /* a jail's report; subject: its name; value: block example, then 16 octets of struct ip each: offences;
	                 * number: lines << 32 | suspicious, since the last report */
	ADMIN_JAILS,    /* rows: one a jail */
	ADMIN_CHECKS, /* rows: one a check of mail: may it refuse, since when not, why; subject: one alone; number: cursor */
	ADMIN_CHECK_RESTORE, /* subject: a demoted check that the operator trusts again */
	/* ESCROW_*: subject is words, store/escrow_admin.c says which: a mail's id, a refusal's short id, check=NAME, since=MS ... */
	ADMIN_ESCROW_LIST, /* number: cursor; rows have the mail's summary in base64 */
	ADMIN_ESCROW_SHOW, /* number: cursor; with the evidence */
	ADMIN_ESCROW_READ, /* one mail; number: offset; rows: one object, chunk in base64 */
	ADMIN_ESCROW_RELEASE, /* number: cursor; value: this recipient alone, or empty: all; rows: what was released */
	ADMIN_DMARC, /* subject: a domain, or empty: all; number: received since, time_ms; value: "reports", or empty: sources */
	ADMIN_SENDERS, /* rows: one a network of hosts whose names do not lead back to them; subject: one network, or empty: all;
	                * number: since when, time_ms */
};

/* ---- codec and table ---- */

/* What the table says of a kind. */
struct ask_info {
	const char *name; /* "ROUTE" */
	unsigned from;    /* enum role_bit */
	unsigned to;
	const char *meaning;
};

const struct ask_info *ask_info(enum ask_kind kind); /* kind < ASK_COUNT */

/* Encoded form: u8 1, u16 kind, u32 number, u64 session, fields in order. Appends to out. */
void ask_encode(const struct ask *a, struct buf *out);
/* INVALID when a field is missing, too long, or anything is left over. */
enum result ask_decode(struct bytes in, struct arena *arena, struct ask *ret) MUST_USE;

/* Encoded form: u8 2, u16 kind, u32 number, u64 session, u8 result, block why, fields (only when
 * OK). */
void answer_encode(const struct answer *a, struct buf *out);
enum result answer_decode(struct bytes in, struct arena *arena, struct answer *ret) MUST_USE;

/* The answer to an ask, before its fields are filled in. */
struct answer answer_to(const struct ask *a, enum result result, struct bytes why);

/* Deep copies; every bytes field goes into the arena. */
struct ask ask_copy(struct arena *arena, const struct ask *a);
struct answer answer_copy(struct arena *arena, const struct answer *a);

/* XXH3 of ask.def's text as the compiler saw it: what the hello on a channel compares. */
uint64_t ask_table_hash(void);

#endif
