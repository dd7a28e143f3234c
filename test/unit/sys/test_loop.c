/* Descriptors, timers, tasks, signals and wake-ups, and freeing any of them from anywhere. */
#include "../test.h"

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include "sys/loop.h"

struct world {
	struct loop *loop;
	struct loop_watch *watch;
	struct loop_timer *timer;
	struct loop_wakeup *wakeup;
	struct loop_task task, other;
	int pipe[2];
	int count;
	char order[16];
};

static int setup(void **state)
{
	struct world *w = test_calloc(1, sizeof(*w));

	w->loop = loop_new();
	if (pipe(w->pipe) != 0)
		return -1;
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	loop_watch_free(&w->watch);
	loop_timer_free(&w->timer);
	loop_wakeup_free(&w->wakeup);
	loop_free(&w->loop);
	close(w->pipe[0]);
	close(w->pipe[1]);
	test_free(w);
	return 0;
}

static void read_one(void *context, unsigned events)
{
	struct world *w = context;
	char c;

	assert_int_equal(events, LOOP_READ);
	assert_int_equal(read(w->pipe[0], &c, 1), 1);
	w->count++;
	if (c == 'q')
		loop_stop(w->loop);
}

static void watches_until_stopped(void **state)
{
	struct world *w = *state;

	w->watch = loop_watch_new(w->loop, w->pipe[0], LOOP_READ, read_one, w);
	assert_int_equal(write(w->pipe[1], "abq", 3), 3);
	loop_run(w->loop);
	assert_int_equal(w->count, 3);
}

static void free_watch(void *context, unsigned events)
{
	struct world *w = context;

	(void)events;
	w->count++;
	loop_watch_free(&w->watch);
	loop_timer_set(w->timer, 1);
}

static void stop_loop(void *context)
{
	struct world *w = context;

	loop_stop(w->loop);
}

static void a_watch_may_be_freed_in_its_own_callback(void **state)
{
	struct world *w = *state;

	w->timer = loop_timer_new(w->loop, stop_loop, w);
	w->watch = loop_watch_new(w->loop, w->pipe[0], LOOP_READ, free_watch, w);
	assert_int_equal(write(w->pipe[1], "abc", 3), 3);
	loop_run(w->loop);
	assert_int_equal(w->count, 1);
}

static void a_sleeping_watch_says_nothing(void **state)
{
	struct world *w = *state;

	w->watch = loop_watch_new(w->loop, w->pipe[0], LOOP_READ, read_one, w);
	loop_watch_set(w->watch, 0);
	assert_int_equal(write(w->pipe[1], "a", 1), 1);
	loop_step(w->loop, false);
	assert_int_equal(w->count, 0);
	loop_watch_set(w->watch, LOOP_READ);
	loop_step(w->loop, false);
	assert_int_equal(w->count, 1);
}

static void note_a(void *context)
{
	struct world *w = context;

	w->order[w->count++] = 'a';
}

static void note_b(void *context)
{
	struct world *w = context;

	w->order[w->count++] = 'b';
	loop_stop(w->loop);
}

static void two_timers_fire_in_order(void **state)
{
	struct world *w = *state;
	struct loop_timer *late = loop_timer_new(w->loop, note_b, w);

	w->timer = loop_timer_new(w->loop, note_a, w);
	loop_timer_set(late, 20);
	loop_timer_set(w->timer, 500);
	loop_timer_set(w->timer, 1); /* the new time replaces the former one */
	assert_true(loop_timer_is_set(late));
	loop_run(w->loop);
	assert_string_equal(w->order, "ab");
	assert_false(loop_timer_is_set(late));
	loop_timer_free(&late);
}

static void defer_again(void *context)
{
	struct world *w = context;

	w->order[w->count++] = 'd';
	if (w->count < 3)
		loop_defer(w->loop, &w->task);
	else
		loop_stop(w->loop);
}

static void tasks_run_once_a_round_and_can_be_deferred_again(void **state)
{
	struct world *w = *state;

	w->task = (struct loop_task){.function = defer_again, .context = w};
	loop_defer(w->loop, &w->task);
	loop_defer(w->loop, &w->task); /* queued already: once */
	loop_run(w->loop);
	assert_string_equal(w->order, "ddd");
}

static void cancel_other(void *context)
{
	struct world *w = context;

	w->count++;
	loop_task_cancel(&w->other);
	loop_stop(w->loop);
}

static void never(void *context)
{
	(void)context;
	fail();
}

static void a_task_may_cancel_another_of_its_round(void **state)
{
	struct world *w = *state;

	w->task = (struct loop_task){.function = cancel_other, .context = w};
	w->other = (struct loop_task){.function = never};
	loop_defer(w->loop, &w->task);
	loop_defer(w->loop, &w->other);
	loop_run(w->loop);
	loop_step(w->loop, false);
	assert_int_equal(w->count, 1);
	/* It can be queued again. */
	loop_defer(w->loop, &w->other);
	loop_task_cancel(&w->other);
	loop_step(w->loop, false);
}

static void *send_wakeups(void *context)
{
	struct world *w = context;

	for (int i = 0; i < 100; i++)
		loop_wakeup_send(w->wakeup);
	return NULL;
}

static void wakes_up_from_a_thread(void **state)
{
	struct world *w = *state;
	pthread_t thread;

	w->wakeup = loop_wakeup_new(w->loop, stop_loop, w);
	assert_int_equal(pthread_create(&thread, NULL, send_wakeups, w), 0);
	loop_run(w->loop);
	pthread_join(thread, NULL);
}

static void signals_arrive_on_the_loop(void **state)
{
	struct world *w = *state;
	struct loop_signal *s = loop_signal_new(w->loop, SIGUSR1, stop_loop, w);

	raise(SIGUSR1);
	loop_run(w->loop);
	loop_signal_free(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(watches_until_stopped, setup, teardown),
	        cmocka_unit_test_setup_teardown(a_watch_may_be_freed_in_its_own_callback, setup,
	                                        teardown),
	        cmocka_unit_test_setup_teardown(a_sleeping_watch_says_nothing, setup, teardown),
	        cmocka_unit_test_setup_teardown(two_timers_fire_in_order, setup, teardown),
	        cmocka_unit_test_setup_teardown(tasks_run_once_a_round_and_can_be_deferred_again,
	                                        setup, teardown),
	        cmocka_unit_test_setup_teardown(a_task_may_cancel_another_of_its_round, setup,
	                                        teardown),
	        cmocka_unit_test_setup_teardown(wakes_up_from_a_thread, setup, teardown),
	        cmocka_unit_test_setup_teardown(signals_arrive_on_the_loop, setup, teardown),
	};

	return TEST_MAIN(tests);
}
