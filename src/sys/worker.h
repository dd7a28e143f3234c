/* Blocking work behind a queue: threads that take jobs, and their completion back on the loop.
 *
 *	struct worker_ops ops = {.run = hash_all, .done = hashed};
 *	struct worker *w = worker_new(loop, "argon2", 2, 1, &ops, keeper);
 *	worker_put(w, &request->job);
 *
 * A job is a member of what it works on. It belongs to the worker from worker_put until done() is
 * called. Jobs of one thread are done in order. With loop NULL there are no threads: worker_step()
 * runs a batch and its completions in the caller, for the simulator. */
#ifndef SYS_WORKER_H
#define SYS_WORKER_H

#include "sys/loop.h"

struct worker;

struct worker_job {
	struct worker_job *next; /* the worker's */
};

struct worker_ops {
	/* On a thread of its own: 1 to batch jobs, in the order they were put. Touches nothing that
	 * the loop's thread touches, besides the jobs. */
	void (*run)(void *context, struct worker_job *jobs[], size_t count);
	/* On the loop: the job is the caller's again. */
	void (*done)(void *context, struct worker_job *job);
};

/* threads >= 1; batch >= 1: the most jobs that one run() gets (all that wait, up to it). */
struct worker *worker_new(struct loop *l, const char *name, unsigned threads, size_t batch,
                          const struct worker_ops *ops, void *context);
void worker_put(struct worker *w, struct worker_job *job);
size_t worker_waiting(struct worker *w); /* put but not yet taken by a thread */
bool worker_step(struct worker *w);      /* loop NULL only; false: nothing was waiting */
void worker_free(struct worker **w); /* runs what waits, joins the threads, calls done() for all */

#endif
