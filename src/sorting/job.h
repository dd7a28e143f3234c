/* The job as its files see it. Private to sorting/. */
#ifndef SORTING_JOB_H
#define SORTING_JOB_H

#include "mail/dsn.h"
#include "mail/summary.h"
#include "sorting/sorting.h"

enum job_state {
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

	struct buf header; /* of the mail, as far as it is read */
	struct job_notice notice;

	struct dsn dsn; /* the bounce, or another notice */
	struct dsn_recipient dsn_recipient;
	struct summary_builder *builder;
	struct buf trace, encoded, out; /* out: of the bounce, not spooled yet */
	unsigned chunks_open;
	bool reading, ended;
	uint64_t read_at;
};

/* An ask for this job, queued; the caller fills it in. */
struct ask *job_ask(struct sorting_job *j, enum ask_kind kind);
void job_read(struct sorting_job *j, uint64_t offset, size_t len);
void job_sorted(struct sorting_job *j);
void job_defer(struct sorting_job *j, uint32_t seconds, struct bytes reason);

/* bounce.c: tells the sender, j->notice says what and j->header is there; ends in job_sorted(). */
void bounce_begin(struct sorting_job *j);
void bounce_answer(struct sorting_job *j, const struct answer *a);

#endif
