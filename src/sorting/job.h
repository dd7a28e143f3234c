/* The job as its files see it. Private to sorting/. */
#ifndef SORTING_JOB_H
#define SORTING_JOB_H

#include "mail/dsn.h"
#include "mail/summary.h"
#include "sorting/sorting.h"
#include "verify/dkim_sign.h"

enum job_state {
	JOB_REPORT, /* QUEUE_READ asked for the whole mail, piece by piece: it may bring a report */
	JOB_FACTS,  /* ROUTE asked for addresses that config_expand wants to know about */
	JOB_ROOM,   /* ROUTE asked: does the account have room again? */
	JOB_FIRST,  /* ROUTE asked: who is the first account? */
	JOB_HEADER, /* QUEUE_READ asked for the header */
	JOB_BOUNCE, /* the bounce goes to SPOOL, the original comes by QUEUE_READ */
	JOB_SORTED, /* SORTED asked */
	JOB_WAIT,   /* SORTED could not be done; again at deadline */
	JOB_FINISHED,
};

enum { JOB_ASKS = 16, JOB_SPOOL = 1 };

enum signing { SIGN_NONE, SIGN_KEYS, SIGN_TEXT, SIGN_ASKED, SIGN_OVER };

/* What the sender is told, and why. */
struct job_notice {
	enum dsn_action action;
	struct bytes status; /* empty: there is nothing to tell */
	struct bytes text;   /* our reason, or the last host's reply */
	struct bytes remote; /* that host; empty: we ourselves decided, or it was never reached */
};

struct sorting_job {
	const struct config *config;
	struct arena arena;
	struct answer_take take;
	struct summary summary;
	time_ms now, deadline;
	enum job_state state;
	struct bytes rcpt;         /* canonical */
	struct ask asks[JOB_ASKS]; /* not drained yet */
	size_t ask_first, ask_count;
	uint32_t next_number;

	struct config_fact *facts;
	size_t fact_count, fact_room;
	struct config_expansion expansion;
	size_t missing_asked, missing_answered;

	struct buf actions;
	struct buf outcome;
	bool last_resort; /* SORTED was refused; this is the HOLD in its place */

	struct buf whole;  /* the mail, while a report is looked for */
	struct buf report; /* packed; empty: there is none */
	struct buf header; /* of the mail, as far as it is read */
	struct job_notice notice;

	struct dsn dsn; /* the bounce, or another notice */
	struct dsn_recipient dsn_recipient;
	struct summary_builder *builder;
	struct buf trace, encoded, out; /* out: of the bounce, not spooled yet */
	unsigned chunks_open;
	bool reading, ended;
	uint64_t read_at;

	enum signing signing;
	struct bytes sign_domain;
	struct dkim_signing_keys keys;
	unsigned key;       /* whose turn it is */
	struct buf content; /* the notice, until it is signed */
	struct dkim_signer *signer;
	uint8_t digest[DIGEST_SHA256];
};

/* An ask for this job, queued; the caller fills it in. */
struct ask *job_ask(struct sorting_job *j, enum ask_kind kind);
void job_read(struct sorting_job *j, uint64_t offset, size_t len);
void job_sorted(struct sorting_job *j);
void job_defer(struct sorting_job *j, uint32_t seconds, struct bytes reason);

/* bounce.c: tells the sender, j->notice says what and j->header is there; ends in job_sorted(). */
void bounce_begin(struct sorting_job *j);
void bounce_answer(struct sorting_job *j, const struct answer *a);
/* Trace and j->content, which is all there is so far, go to the summary and to SPOOL. */
void bounce_flow(struct sorting_job *j);

/* dmarc.c. begin: true when the mail is read first. answer: true when all of it was looked at. */
bool dmarc_begin(struct sorting_job *j);
bool dmarc_answer(struct sorting_job *j, const struct answer *a);

/* sign.c. begin: true when keys were asked for. take: keeps a piece; false: it is not signed. finish: all of
 * it was taken. answer: true when the notice can be made now. */
bool sign_begin(struct sorting_job *j);
bool sign_take(struct sorting_job *j, struct bytes piece);
void sign_finish(struct sorting_job *j);
bool sign_answer(struct sorting_job *j, const struct answer *a);

#endif
