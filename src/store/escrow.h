/* Escrow: what was refused after DATA and is kept for a while, so that a refusal by mistake can be mended. For the files of
 * store/; escrow.c holds the rows, escrow_admin.c is the operator's, judgement.c remembers why.
 *
 *	n = judgement_keep(s, &judgement, id);              JUDGED: says what the refusal's text will quote
 *	COMMIT{judgement = n, escrow = 1}                   durable, delivered to nobody; then 5xx
 *	escrow_release_check(s, j, BYTES("list.zen"), since);    the check was wrong
 *
 *	kept      rcpts: those that it was not released to      goes by age and size (options escrow.*)
 *	released  rcpts is empty; released_at is set            a record, until it is old
 *
 * A release is a delivery as if the mail had been accepted then: placements and queue entries, the row's new lists and the
 * ledger's events in one transaction. What stands in `released` is never delivered again. */
#ifndef STORE_ESCROW_H
#define STORE_ESCROW_H

#include "store/internal.h"

enum {
	JUDGEMENT_ID = 8,
	JUDGEMENTS_MAX = 4096, /* remembered until their COMMIT */
	ESCROW_BATCH = 32,     /* mails that one job releases */
	ESCROW_SWEEP = 200,    /* rows that one job forgets */
};

/* ---- judgement.c: what JUDGED was told, for the COMMIT that names it, and for `hikyaku senders` ---- */

struct judgement {
	uint64_t number;       /* judgement_keep sets it */
	int64_t at;            /* the same */
	uint8_t stage, action; /* as JUDGED's; action is what was answered */
	uint16_t score;        /* as JUDGED's: hundredths + 30000 */
	uint32_t known;        /* enum history_known bits */
	struct bytes ip, helo, ptr, sender, from, domain, evidence;
	struct bytes rcpts; /* blocks; for the ledger alone, not remembered */
	uint64_t session;   /* the same */
};

/* Locked, the owner's. Remembers it, counts the sender's host (`hikyaku senders`), writes down in the ledger what is refused
 * or deferred (what is taken is told with its COMMIT). Everything is copied. Returns its number, which is never used again,
 * and the short id that says it. */
uint64_t judgement_keep(struct store *s, const struct judgement *j, char ret_id[JUDGEMENT_ID + 1]);
/* Any thread: copied into the arena. False: it is not known any more (a restart, or long ago). */
bool judgement_find(struct store *s, uint64_t number, struct arena *arena, struct judgement *ret);
void judgements_done(struct store *s);

/* "action=refuse score=12.40 list.zen=\"bad 6.00 127.0.0.4\" ...": the ledger's words, the weightiest first. From the arena. */
struct bytes judgement_words(struct arena *arena, const struct judgement *j);

/* For ledger_event.mark. */
struct bytes judgement_mark(const struct judgement *j);

/* Eight characters that people can read over a telephone: never a queue id, always with a digit. */
void judgement_id(uint64_t number, char out[JUDGEMENT_ID + 1]);
/* Any case. False: no such id. */
bool judgement_of_id(struct bytes text, uint64_t *ret);

/* ---- escrow.c ---- */

extern const char escrow_schema[];
enum result escrow_apply(struct store *s, const struct change_escrow *c);
enum result escrow_gone_apply(struct store *s, const struct change_escrow_gone *c);
enum result escrow_order_apply(struct store *s, const struct change_escrow_order *c);
enum result escrow_order_gone_apply(struct store *s, const struct change_escrow_order_gone *c);

/* The row, its texts copied into the arena. */
bool escrow_read(struct db *db, struct arena *arena, uint64_t mail, struct change_escrow *ret);
/* COMMIT with escrow=1; its MAIL effect is made by the caller. DENIED: a recipient is not ours. */
enum result escrow_commit(struct store *s, struct job *j, uint64_t mail, uint64_t size,
                          struct why *why);

/* A job of the writer: delivers to this recipient, or to all that are left (empty). How many it was released to; 0: to
 * nobody any more. by: who wanted it, for the record. */
unsigned escrow_release(struct store *s, struct job *j, uint64_t mail, struct bytes rcpt,
                        struct bytes by);
/* A job of the writer: this check was wrong since then. What it alone had refused since is released, in jobs of the store's
 * own, also after a crash. What another check refused as well stays. */
void escrow_release_check(struct store *s, struct job *j, struct bytes check, int64_t since);

/* The writer, between groups: orders and what is too old or too much. */
void escrow_upkeep(struct store *s);
bool escrow_waits(const struct store *s);
time_ms escrow_due(const struct store *s); /* locked: when there is something to do */
void escrow_begin(struct store *s);        /* the index is whole */

/* digest.c */
enum result digest_apply(struct store *s, const struct change_digest *c);
job_function run_digest, run_digest_done;
job_function admin_senders; /* senders.c */

/* senders_seen.c. Locked: a judgement came. */
void senders_seen(struct store *s, const struct judgement *j);
void senders_forget(struct store *s);
/* A job of the writer: closes incidents of networks that nothing came from for some days. */
void senders_quiet(struct store *s, struct job *j);
/* The host's name that does not lead back to its address; empty: it has none. *ret_bad: iprev speaks against it at all. */
struct bytes senders_host(struct bytes evidence, bool *ret_bad);
/* What it is counted by: the organisational part of its name, else its network. From the arena. */
struct bytes senders_network(struct arena *arena, struct bytes ip, struct bytes host);

job_function admin_escrow_list, admin_escrow_show, admin_escrow_read, admin_escrow_release;

#endif
