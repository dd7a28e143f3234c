#include "sys/worker.h"

#include <assert.h>
#include <pthread.h>
#include <signal.h>

#include "base/memory.h"

struct queue {
	struct worker_job *first, **end;
	size_t count;
};

struct worker {
	struct loop_wakeup *wakeup; /* NULL: no threads */
	struct worker_ops ops;
	void *context;
	size_t batch;
	char name[16];
	pthread_mutex_t lock; /* guards the queues and stopping */
	pthread_cond_t more;
	struct queue waiting, finished;
	bool stopping;
	unsigned thread_count;
	pthread_t threads[];
};

static void put(struct queue *q, struct worker_job *job)
{
	job->next = NULL;
	if (!q->end)
		q->end = &q->first;
	*q->end = job;
	q->end = &job->next;
	q->count++;
}

static struct worker_job *take(struct queue *q)
{
	struct worker_job *job = q->first;

	if (!job)
		return NULL;
	q->first = job->next;
	if (!q->first)
		q->end = &q->first;
	q->count--;
	return job;
}

static size_t take_batch(struct worker *w, struct worker_job **jobs)
{
	size_t n = 0;

	while (n < w->batch && (jobs[n] = take(&w->waiting)))
		n++;
	return n;
}

/* Called and returns with the lock held. */
static void run_batch(struct worker *w, struct worker_job **jobs, size_t n)
{
	pthread_mutex_unlock(&w->lock);
	w->ops.run(w->context, jobs, n);
	pthread_mutex_lock(&w->lock);
	for (size_t i = 0; i < n; i++)
		put(&w->finished, jobs[i]);
}

static void *thread_main(void *context)
{
	struct worker *w = context;
	struct worker_job **jobs = memory_get(w->batch * sizeof(*jobs));

	pthread_setname_np(pthread_self(), w->name);
	pthread_mutex_lock(&w->lock);
	for (;;) {
		size_t n = take_batch(w, jobs);

		if (n > 0) {
			run_batch(w, jobs, n);
			loop_wakeup_send(w->wakeup);
		} else if (w->stopping) {
			break;
		} else {
			pthread_cond_wait(&w->more, &w->lock);
		}
	}
	pthread_mutex_unlock(&w->lock);
	memory_free(jobs);
	return NULL;
}

/* Completions, outside the lock: done() may put new jobs. */
static void deliver(void *context)
{
	struct worker *w = context;
	struct worker_job *job, *next;
	struct queue finished;

	pthread_mutex_lock(&w->lock);
	finished = w->finished;
	w->finished = (struct queue){0};
	pthread_mutex_unlock(&w->lock);
	for (job = finished.first; job; job = next) {
		next = job->next;
		w->ops.done(w->context, job);
	}
}

static void start_threads(struct worker *w, unsigned count)
{
	sigset_t all, before;

	/* Signals belong to the loop's thread. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	for (; w->thread_count < count; w->thread_count++)
		if (pthread_create(&w->threads[w->thread_count], NULL, thread_main, w) != 0)
			break;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	assert(w->thread_count > 0);
}

struct worker *worker_new(struct loop *l, const char *name, unsigned threads, size_t batch,
                          const struct worker_ops *ops, void *context)
{
	struct worker *w = memory_get(sizeof(*w) + threads * sizeof(w->threads[0]));

	assert(batch > 0 && (threads > 0 || !l));
	w->ops = *ops;
	w->context = context;
	w->batch = batch;
	for (size_t i = 0; name[i] && i + 1 < sizeof(w->name); i++)
		w->name[i] = name[i];
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->more, NULL);
	if (l) {
		w->wakeup = loop_wakeup_new(l, deliver, w);
		start_threads(w, threads);
	}
	return w;
}

void worker_put(struct worker *w, struct worker_job *job)
{
	pthread_mutex_lock(&w->lock);
	put(&w->waiting, job);
	pthread_cond_signal(&w->more);
	pthread_mutex_unlock(&w->lock);
}

size_t worker_waiting(struct worker *w)
{
	size_t n;

	pthread_mutex_lock(&w->lock);
	n = w->waiting.count;
	pthread_mutex_unlock(&w->lock);
	return n;
}

bool worker_step(struct worker *w)
{
	struct worker_job **jobs = memory_get(w->batch * sizeof(*jobs));
	size_t n;

	assert(!w->wakeup);
	pthread_mutex_lock(&w->lock);
	n = take_batch(w, jobs);
	if (n > 0)
		run_batch(w, jobs, n);
	pthread_mutex_unlock(&w->lock);
	memory_free(jobs);
	deliver(w);
	return n > 0;
}

void worker_free(struct worker **pw)
{
	struct worker *w = *pw;

	if (!w)
		return;
	pthread_mutex_lock(&w->lock);
	w->stopping = true;
	pthread_cond_broadcast(&w->more);
	pthread_mutex_unlock(&w->lock);
	for (unsigned i = 0; i < w->thread_count; i++)
		pthread_join(w->threads[i], NULL);
	while (!w->wakeup && worker_step(w))
		;
	deliver(w);
	if (w->wakeup)
		loop_wakeup_free(&w->wakeup);
	pthread_cond_destroy(&w->more);
	pthread_mutex_destroy(&w->lock);
	memory_free(w);
	*pw = NULL;
}
