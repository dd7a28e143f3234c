/* Mailboxes, queue, accounts: the only writer. It takes asks (ask/ask.def, those with STORE as
 * answerer) and answers them.
 *
 *	store_open(fs, &options, now, &store, &report, &why);    replays the log, ready to be asked
 *	store_ask(store, from, &ask, now);                      never blocks; what is in memory is answered at once
 *	while (store_write_step(store)) ;                       one group a call: blocks for one fdatasync
 *	while (store_read_step(store, 0)) ;                     one read a call
 *	while (store_next_answer(store, &from, &answer)) channel_answer(...);
 *	while (store_next_event(store, &from, &session)) channel_event(...);
 *
 * Three kinds of callers, at most one at a time each: the owner (the loop: everything but the
 * steps), the writer (store_write_step) and reader n (store_read_step(store, n)). In the
 * simulator all three are the same thread.
 *
 * How a group of changes becomes durable stands at the head of store/writer.c, the queue's states
 * and their guarantee at the head of store/queue.c, formats in docs/store-format.md. It parses no
 * mail. */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include "ask/ask.h"
#include "blob/blob.h"
#include "config/config.h"

enum { STORE_READERS = 16 };

/* Which process asked: what grants, leases, spools and watches are bound to. */
struct store_peer {
	uint16_t role; /* enum role_bit */
	uint8_t worker;
};

struct store_options {
	const struct config *config; /* borrowed until store_config gives another */
	struct file_system *etc;     /* ADMIN_FILE_PUT writes here; NULL: it is DENIED */
	struct file_system
	        *ledger;           /* the data folder once more: the ledger's; NULL: none is kept */
	struct file_system *learn; /* and once more: what was learnt; NULL: nothing is */
	uint8_t seed[16];          /* random: leases, uidvalidity never meet an old one */
	unsigned readers;          /* 1 to STORE_READERS */
	uint64_t segment_size;     /* 0: the configuration's; the simulator wants it small */
	uint64_t reserve;          /* 0: the configuration's; UINT64_MAX: none */
	unsigned group_jobs;       /* 0: the configuration's */
	unsigned fresh_entries;    /* 0: FRESH_MAX (store/queue.h); the simulator wants it small */
};

struct store_report {
	struct blob_report log;
	bool rebuilt;           /* the index was missing, old or damaged, and made anew */
	uint64_t image_damaged; /* images passed over */
	uint64_t orphans;       /* blob files that nothing names, removed */
	uint64_t accounts, mailboxes, mails, entries;
};

struct store;

/* fs is the data folder; the caller holds its lock. */
enum result store_open(struct file_system *fs, const struct store_options *o, time_ms now,
                       struct store **ret, struct store_report *report, struct why *why) MUST_USE;
/* Checkpoints the index and closes. Waiting asks are forgotten. */
void store_free(struct store **s);

void store_config(struct store *s, const struct config *c); /* a new generation */

/* Rights were checked against the table by the channel. The ask is copied where it must live on. */
void store_ask(struct store *s, struct store_peer from, const struct ask *a, time_ms now);
/* The process died: its sessions' grants, spools, watches and leases end. */
void store_peer_lost(struct store *s, struct store_peer from);

/* Work for the writer: runs one group; false: nothing waits any more. */
bool store_write_step(struct store *s);
bool store_write_waits(struct store *s);
/* Work for a reader: runs one; false: nothing waits. */
bool store_read_step(struct store *s, unsigned reader);
bool store_read_waits(struct store *s);

/* Work for the ledger's thread: writes a batch of events, answers a TRACE. */
bool store_ledger_step(struct store *s);
bool store_ledger_waits(struct store *s);

/* Work for the learning thread: answers HISTORY, writes what was learnt. */
bool store_learn_step(struct store *s);
bool store_learn_waits(struct store *s);

/* The next answer or event; what it borrows is good until the next call. */
bool store_next_answer(struct store *s, struct store_peer *ret_to, struct answer *ret);
bool store_next_event(struct store *s, struct store_peer *ret_to, uint64_t *ret_session);

/* An incident was opened, opened again or closed; those that are open at the start are told once. Borrows
 * from room. */
struct store_incident {
	uint64_t id;
	unsigned kind; /* watch/incident.h */
	bool open;
	bool again; /* still open, told again */
	struct bytes key, facts;
};
bool store_next_incident(struct store *s, struct store_incident *ret, struct buf *room);

/* When to call store_tick if all is quiet: entries fall due, takers wait too long, the disk may
 * have space again. */
time_ms store_deadline(struct store *s);
void store_tick(struct store *s, time_ms now);

/* True: a sync failed, or the index after it. Everything waiting was answered LOST; the process
 * must end now. */
bool store_failed(struct store *s, struct why *why);

/* ---- for fsck and tests ---- */

/* All live rows as text, one a line, in a fixed order, without where bytes lie: two stores with
 * equal dumps hold the same. The writer must be idle. */
enum result store_dump(struct store *s, struct buf *out, struct why *why) MUST_USE;

struct store_check {
	uint64_t mails, octets; /* read and verified */
	uint64_t damaged;       /* mails whose bytes are lost */
	uint64_t figures;       /* mailbox figures that were wrong */
	uint64_t dangling;      /* placements or entries without a mail */
	uint64_t repaired;
};

typedef void store_complain_function(void *context, const char *text);

/* Reads every mail, recounts every mailbox, walks the queue; wrong figures are put right where
 * repair is set. */
enum result store_verify(struct store *s, bool repair, store_complain_function *complain,
                         void *context, struct store_check *ret, struct why *why) MUST_USE;

#endif
