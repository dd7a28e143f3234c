/* The event loop of a process: descriptors, timers, signals, wake-ups from threads. libuv is hidden
 * behind it.
 *
 *	struct loop *loop = loop_new();
 *	struct loop_watch *w = loop_watch_new(loop, fd, LOOP_READ, on_ready, connection);
 *	loop_run(loop);                                  until loop_stop()
 *
 * One thread runs a loop; only loop_wakeup_send() may be called by others. Everything may be freed
 * at any time on the loop's thread, also inside its own callback; after its _free no callback of it
 * comes any more. */
#ifndef SYS_LOOP_H
#define SYS_LOOP_H

#include "base/time.h"

struct loop;
struct loop_watch;
struct loop_timer;
struct loop_signal;
struct loop_wakeup;

struct loop *loop_new(void);
void loop_free(struct loop **l); /* everything made on it must have been freed */
void loop_run(struct loop *l);
void loop_stop(struct loop *l); /* loop_run returns after the callbacks that are under way */
void loop_step(struct loop *l, bool wait); /* one round; wait: until something happens */
time_ms loop_now(const struct loop *l);    /* wall clock, read once a round */

/* A descriptor. It stays the caller's: free the watch first, then close the descriptor.
 * Level-triggered. */
enum loop_events { LOOP_READ = 1 << 0, LOOP_WRITE = 1 << 1 };
typedef void loop_watch_function(void *context, unsigned events);
struct loop_watch *loop_watch_new(struct loop *l, int fd, unsigned events,
                                  loop_watch_function *function, void *context);
void loop_watch_set(struct loop_watch *w, unsigned events); /* 0: sleep */
void loop_watch_free(struct loop_watch **w);

/* Fires once, delay_ms after loop_timer_set; setting it again replaces the former time. */
typedef void loop_function(void *context);
struct loop_timer *loop_timer_new(struct loop *l, loop_function *function, void *context);
void loop_timer_set(struct loop_timer *t, int64_t delay_ms); /* below 0 counts as 0 */
void loop_timer_stop(struct loop_timer *t);
bool loop_timer_is_set(const struct loop_timer *t);
void loop_timer_free(struct loop_timer **t);

/* Work for the end of this round, after the callbacks that are under way. The task is a member of
 * what it works on and is queued at most once; cancel it before its owner's memory goes. */
struct loop_task {
	loop_function *function;
	void *context;
	struct loop *loop; /* set while queued */
	struct loop_task *next, *prev;
};
void loop_defer(struct loop *l, struct loop_task *t);
void loop_task_cancel(struct loop_task *t);

struct loop_signal *loop_signal_new(struct loop *l, int signal, loop_function *function,
                                    void *context);
void loop_signal_free(struct loop_signal **s);

/* loop_wakeup_send may be called from any thread; several calls may be merged into one callback. */
struct loop_wakeup *loop_wakeup_new(struct loop *l, loop_function *function, void *context);
void loop_wakeup_send(struct loop_wakeup *w);
void loop_wakeup_free(struct loop_wakeup **w);

#endif
