/* What becomes of one queued mail for one recipient: aliases and dot files followed, placed,
 * forwarded, held or sent back. A sealed machine over asks (QUEUE_READ, ROUTE, SPOOL, SORTED);
 * roles/sorter.c runs several of them.
 *
 *	struct sorting_job *j = sorting_job_new(config, &answer.take, now);
 *	while (sorting_job_ask(j, &a)) forward(&a);          each with the job's own session
 *	sorting_job_answer(j, &answer);                      then drain the asks again
 *	if (sorting_job_finished(j)) log(sorting_job_outcome(j)), sorting_job_free(&j);
 *
 *	what the recipient leads to         what is done
 *	an account's mailbox, also by       DELIVER
 *	    aliases
 *	an address elsewhere                REDIRECT: the queue carries it; sent back as a loop when the
 *	                                    mail was delivered to this recipient before, or hopped too often
 *	an alias to nobody of ours          REDIRECT: an entry of its own, which then is sent back
 *	nobody                              a bounce, unless NOTIFY says none; to postmaster when the
 *	                                    mail is itself a bounce
 *	postmaster or abuse, and nobody     DELIVER to the first account; held when there is none
 *	    is named
 *	a circle, a |program                HOLD: the operator sees it, with file and line
 *	an account whose quota stays used   tried again; a bounce after queue.lifetime
 *	    up
 *
 *	FAILED, DELAYED, RELAYED, EXPANDED  the sender is told (RFC 3461, 3464) unless NOTIFY says no or
 *	                                    there is none; FAILED also asks what `nobody` asks above
 *
 * Every way ends in one SORTED, so that the lease ends, too; only when the store died (LOST) or
 * gave the entry to somebody else (NOT_FOUND) there is nothing to say. The mail is opened only
 * for a bounce and for the loop check. */
#ifndef SORTING_SORTING_H
#define SORTING_SORTING_H

#include "ask/ask.h"
#include "config/config.h"

struct sorting_job;

/* config is borrowed for the job's life; take is copied. */
struct sorting_job *sorting_job_new(const struct config *config, const struct answer_take *take,
                                    time_ms now);
void sorting_job_free(struct sorting_job **j);

/* Bytes in an ask are good until the next verb. Numbers are the job's own, from 1. */
bool sorting_job_ask(struct sorting_job *j, struct ask *ret);
void sorting_job_answer(struct sorting_job *j, const struct answer *a);

/* When to call tick if nothing is answered; TIME_NEVER: not at all. */
time_ms sorting_job_deadline(const struct sorting_job *j);
void sorting_job_tick(struct sorting_job *j, time_ms now);

bool sorting_job_finished(const struct sorting_job *j);
/* key=value words for the log, once finished. */
struct bytes sorting_job_outcome(const struct sorting_job *j);

#endif
