/* Jobs go to threads in batches, in order, and come back to the loop; inline without threads. */
#include "../test.h"

#include <pthread.h>

#include "sys/worker.h"

enum { JOBS = 200 };

struct job {
	struct worker_job job;
	int number, result;
};

struct world {
	struct loop *loop;
	struct worker *worker;
	struct job jobs[JOBS];
	int done, biggest, last;
	pthread_t loop_thread;
	bool in_order;
};

static void run(void *context, struct worker_job *jobs[], size_t count)
{
	struct world *w = context;

	/* biggest is touched by one thread alone in these tests; read after the join. */
	if ((int)count > w->biggest)
		w->biggest = (int)count;
	for (size_t i = 0; i < count; i++) {
		struct job *j = (struct job *)jobs[i];

		j->result = j->number * 2;
	}
}

static void done(void *context, struct worker_job *job)
{
	struct world *w = context;
	struct job *j = (struct job *)job;

	assert_true(pthread_equal(pthread_self(), w->loop_thread));
	assert_int_equal(j->result, j->number * 2);
	if (j->number != w->last + 1)
		w->in_order = false;
	w->last = j->number;
	if (++w->done == JOBS && w->loop)
		loop_stop(w->loop);
}

static const struct worker_ops ops = {.run = run, .done = done};

static void begin(struct world *w, bool loop, unsigned threads, size_t batch)
{
	*w = (struct world){.loop = loop ? loop_new() : NULL,
	                    .last = -1,
	                    .in_order = true,
	                    .loop_thread = pthread_self()};
	w->worker = worker_new(w->loop, "test", threads, batch, &ops, w);
	for (int i = 0; i < JOBS; i++)
		w->jobs[i].number = i;
}

static void put_all(struct world *w)
{
	for (int i = 0; i < JOBS; i++)
		worker_put(w->worker, &w->jobs[i].job);
}

static void one_thread_keeps_order_and_takes_batches(void **state)
{
	struct world w;

	(void)state;
	begin(&w, true, 1, 16);
	put_all(&w);
	loop_run(w.loop);
	worker_free(&w.worker);
	loop_free(&w.loop);
	assert_int_equal(w.done, JOBS);
	assert_true(w.in_order);
	assert_in_range(w.biggest, 1, 16);
}

static void several_threads_do_all(void **state)
{
	struct world w;

	(void)state;
	begin(&w, true, 4, 1);
	put_all(&w);
	loop_run(w.loop);
	worker_free(&w.worker);
	loop_free(&w.loop);
	assert_int_equal(w.done, JOBS);
}

static void freeing_runs_what_waits(void **state)
{
	struct world w;

	(void)state;
	begin(&w, true, 1, 4);
	put_all(&w);
	worker_free(&w.worker);
	assert_int_equal(w.done, JOBS);
	loop_free(&w.loop);
}

static void without_a_loop_it_runs_inline(void **state)
{
	struct world w;

	(void)state;
	begin(&w, false, 0, 64);
	assert_false(worker_step(w.worker));
	put_all(&w);
	assert_int_equal(worker_waiting(w.worker), JOBS);
	assert_true(worker_step(w.worker));
	assert_int_equal(w.done, 64);
	assert_int_equal(w.biggest, 64);
	while (worker_step(w.worker))
		;
	assert_int_equal(w.done, JOBS);
	worker_free(&w.worker);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(one_thread_keeps_order_and_takes_batches),
	        cmocka_unit_test(several_threads_do_all),
	        cmocka_unit_test(freeing_runs_what_waits),
	        cmocka_unit_test(without_a_loop_it_runs_inline),
	};

	return TEST_MAIN(tests);
}
