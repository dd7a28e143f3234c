/* What the store knows beside mail: incidents, who sends how much and to whom, and the ledger. For the
 * files of store/; incident.c, sending*.c, correspondent.c, ledger.c and trace.c hold it.
 *
 *	incident_raise(s, j, INCIDENT_BLOCKED, provider, facts, 1);      a job of the writer
 *	if ((id = incident_open(s, INCIDENT_BLOCKED, provider))) ...     the same; also inside its group
 *	if ((id = incident_seen(s, INCIDENT_BLOCKED, provider))) ...     the owner, locked
 *	ledger_note(j, &(struct ledger_event){LEDGER_CARRIED, .mail = mail, ...});   kept once j is durable
 */
#ifndef STORE_LIFE_H
#define STORE_LIFE_H

#include "store/reason.h"
#include "store/internal.h"

/* ---- incident.c ----
 *
 * One open row for each kind and key. Raising an open one updates count, last and facts (empty facts
 * leave the old ones). Raising one that was closed less than 7 days ago opens it again, relapses + 1.
 * Numbers are never used again.
 *
 *	open:   raised, goes on            until = 0
 *	closed: over, kept 400 days        until = when
 */
struct incident {
	uint64_t id;
	unsigned kind; /* watch/incident.h */
	struct bytes key, facts;
	int64_t since, last, until; /* time_ms; until 0: open */
	uint64_t count;
	uint32_t relapses;
	int64_t acked_at;
	struct bytes acked_by;
};

/* The number of the open one, or 0. A job of the writer; sees what earlier jobs of its group did. */
uint64_t incident_open(struct store *s, unsigned kind, struct bytes key);
/* The same of what is published: the owner and readers, locked. */
uint64_t incident_seen(struct store *s, unsigned kind, struct bytes key);
/* Locked: is this one open, as published? */
bool incident_is_open(struct store *s, uint64_t id);
/* Writing jobs: adds the effect; returns its number (also to one that is new in this very job). */
uint64_t incident_raise(struct store *s, struct job *j, unsigned kind, struct bytes key,
                        struct bytes facts, uint64_t count);
/* Returns the number of the one that was open, or 0. What was held because of it is released by the queue
 * as soon as it is published (incident_over). */
uint64_t incident_close(struct store *s, struct job *j, unsigned kind, struct bytes key);
/* Locked: the number of an incident that was closed (by anybody) since this was last asked; 0: none. The
 * queue asks it after each group and releases what it held for it, in batches. One that was closed just
 * before a crash is not told: at its start the queue looks at its held entries' incidents itself. */
uint64_t incident_over(struct store *s);

/* For the log of the process: it is still open. */
void incident_say_again(struct store *s, const struct change_incident *c);
void incident_publish(struct store *s, const struct change_incident *c); /* change_publish */
enum result incident_apply(struct store *s, const struct change_incident *c);
enum result incident_gone_apply(struct store *s, const struct change_incident_gone *c);
void incident_load(struct store *s);  /* at start; locked */
void incident_begin(struct store *s); /* after replay */
void incident_done(struct store *s);

/* ---- sending.c: whose mail it is, its limits, its holding ----
 *
 * An owner is an account (its id) or a local user (SENDING_UID and its uid). 0: nobody's, a stranger's or
 * our own mail; it has no limits. job.owner is set when a COMMIT or SENDER comes in. */

enum { SENDING_BUCKET_MS = 10 * 60 * 1000 };
#define SENDING_UID (1ULL << 40)

/* Locked, from store_ask: sets job.owner, whose mail a COMMIT or SENDER speaks of. A COMMIT in his name has a sender that is his:
 * the front asked SENDER before, and is not believed. */
enum result sending_begin(struct store *s, struct job *j, struct why *why);
/* "ken@example.test" or "uid:33": the incident's key. */
struct bytes sending_name(struct store *s, struct arena *arena, uint64_t owner);

/* COMMIT, before anything else is decided, for an owner that is not 0: may this mail, with recipients as in
 * the ask, be sent? OVER_QUOTA: no, why says which limit. Adds the effects that count it. *ret_incident: its
 * sending is held (perhaps by this very mail): whatever would go into the queue for another host becomes
 * HELD with this incident's number. */
enum result sending_commit(struct store *s, struct job *j, uint64_t owner, struct bytes recipients,
                           uint64_t *ret_incident, struct why *why);
/* The incident that holds this owner's sending, or 0. sending_held: locked, what is published: the scheduler
 * asks it before it hands out a batch. sending_is_held: a writing job. */
uint64_t sending_held(struct store *s, uint64_t owner);
uint64_t sending_is_held(struct store *s, uint64_t owner);
/* CARRIED, for each recipient with a final answer: class is enum reply_class. May raise an incident. */
void sending_result(struct store *s, struct job *j, uint64_t owner, unsigned class);
/* A login that was granted from this address (16 octets). Locked; may start a job of its own. */
void sending_login(struct store *s, uint64_t owner, struct bytes peer);

enum result sent_apply(struct store *s, const struct change_sent *c);
enum result sent_day_apply(struct store *s, const struct change_sent_day *c);
enum result network_apply(struct store *s, const struct change_network *c);
void networks_forget(struct store *s);              /* those in memory */
void sending_gone(struct store *s, uint64_t owner); /* an account is gone: apply */
void sending_done(struct store *s);

job_function run_sender, run_incident, run_ledger, run_judged;
job_function admin_sending, admin_incidents, admin_incident_show, admin_incident_close,
        admin_incident_ack, admin_trace;

/* ---- correspondent.c: whom an owner has written to ---- */

enum { CORRESPONDENTS_MAX = 10000 }; /* of one owner; the oldest are forgotten */

/* Has the owner written to this address before? On any connection; ret may be NULL. */
struct correspondent {
	int64_t first, last;
	uint64_t count;
};
bool correspondent_find(struct db *db, uint64_t owner, struct bytes address,
                        struct correspondent *ret);
/* A writing job: notes that it writes to these (packed as COMMIT's recipients); returns how many are new. */
unsigned correspondents_note(struct store *s, struct job *j, uint64_t owner,
                             struct bytes recipients);
enum result correspondents_apply(struct store *s, const struct change_correspondents *c);
enum result correspondents_gone_apply(struct store *s, const struct change_correspondents_gone *c);

/* ---- ledger.c: what happened, a SQLite file a day under data/ledger/ ----
 *
 * Events wait in memory (bounded; what does not fit is counted and said in status) until the ledger's own
 * thread writes them, within a second. No answer ever waits for it; a crash may cost the last second. */

struct ledger_event {
	enum ledger_reason reason;
	uint64_t mail, session;
	struct bytes ip;                       /* 16 octets of struct ip, or empty */
	struct bytes sender, rcpt, message_id; /* rcpt: one, or several separated by blanks */
	struct bytes text; /* key=value words; a value with blanks in double quotes */
	int64_t at;        /* 0: now */
	/* It is found by these, too, but they are not shown: */
	uint64_t judgement; /* by its short id (store/escrow.h); 0: none */
	struct bytes host;  /* the other side's names, separated by blanks */
	struct bytes mark;  /* "iprev": its name does not lead back to it (store/senders.c) */
};

/* A writing job's: written down when (and only if) the job is durable. Everything is copied. */
void ledger_note(struct job *j, const struct ledger_event *e);
/* What a writing job's ask and effects say by themselves: ledger_events.c. Before they are applied. */
void ledger_note_job(struct store *s, struct job *j);
/* Locked: at once. */
void ledger_put(struct store *s, const struct ledger_event *e);
void ledger_status(struct store *s, struct json_t *ret);    /* adds its figures; locked */
void ledger_publish(struct store *s, struct job *j);        /* writer.c's publish; locked */
void ledger_begin(struct store *s, struct file_system *fs); /* NULL: none is kept */
void ledger_free(struct store *s);                          /* what waits is written first */

/* ---- learn.c: what was learnt from earlier mail, data/learn.db (store/learn.h) ----
 *
 * Lessons wait in memory until the learning thread writes them; no answer but HISTORY's waits for it. */

/* Locked: JUDGED was answered with this action and number. Nothing is learnt of what was said before DATA. */
void learn_judged(struct store *s, const struct ask_judged *a, unsigned action, uint64_t judgement);
/* Locked. From is one of ours who logs in from where this came from, and nothing proves it: a job raises OWN_ADDRESS. */
void own_address_seen(struct store *s, const struct ask_judged *a, unsigned action,
                      struct bytes id);
/* A COMMIT of the owner's own: it is over. */
void own_address_over(struct store *s, struct job *j, uint64_t owner);
void learn_note_job(struct store *s,
                    struct job *j); /* what a writing job teaches, before it is applied */
void learn_publish(struct store *s, struct job *j);                /* writer.c's publish; locked */
void learn_status(struct store *s, struct json_t *ret);            /* adds its figures; locked */
void learn_begin(struct store *s, struct file_system *fs);         /* NULL: nothing is learnt */
enum result learn_open(struct store *s, struct why *why) MUST_USE; /* the index is there */
void learn_free(struct store *s);
job_function run_history;

/* ---- tls.c: other domains' MTA-STS policies, and results for TLS reports ---- */

/* A job of the writer: what CARRIED's tls_reports say, counted by day. ip: 16 octets, or empty. */
void tls_results_add(struct store *s, struct job *j, struct bytes reports, struct bytes ip);
enum result sts_policy_apply(struct store *s, const struct change_sts_policy *c);
enum result tls_result_apply(struct store *s, const struct change_tls_result *c);
enum result tls_results_gone_apply(struct store *s, const struct change_tls_results_gone *c);
enum result run_sts_policy(struct store *s, struct job *j, struct why *why);
enum result run_sts_policy_set(struct store *s, struct job *j, struct why *why);
enum result run_tlsrpt(struct store *s, struct job *j, struct why *why);
enum result run_tlsrpt_done(struct store *s, struct job *j, struct why *why);

#endif
