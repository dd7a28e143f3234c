#include "sys/loop.h"

#include <assert.h>
#include <uv.h>

#include "base/memory.h"
#include "sys/clock.h"

/* libuv frees handles late: uv_close() calls back in a later round. So each of our objects starts with its handle,
 * loses its function at _free and its memory in the callback. */

struct loop {
	uv_loop_t uv;
	uv_idle_t idle; /* runs while tasks wait; keeps the loop from sleeping */
	struct loop_task *tasks, *last;
	bool stopping;
	time_ms now; /* as of uv_now() == now_uv */
	uint64_t now_uv;
};

struct loop_watch {
	uv_poll_t uv;
	loop_watch_function *function;
	void *context;
	unsigned events;
};

struct loop_timer {
	uv_timer_t uv;
	loop_function *function;
	void *context;
};

struct loop_signal {
	uv_signal_t uv;
	loop_function *function;
	void *context;
};

struct loop_wakeup {
	uv_async_t uv;
	loop_function *function;
	void *context;
};

static void must(int status)
{
	/* Making a handle fails only when memory or descriptors for the loop itself are gone: our own bug. */
	assert(status == 0);
}

static void closed(uv_handle_t *h)
{
	memory_free(h);
}

static void close_handle(void *handle)
{
	uv_close(handle, closed);
}

/* ---- the loop ---- */

struct loop *loop_new(void)
{
	struct loop *l = NEW(struct loop);

	must(uv_loop_init(&l->uv));
	must(uv_idle_init(&l->uv, &l->idle));
	l->idle.data = l;
	return l;
}

void loop_free(struct loop **pl)
{
	struct loop *l = *pl;

	if (!l)
		return;
	uv_close((uv_handle_t *)&l->idle, NULL);
	while (uv_run(&l->uv, UV_RUN_NOWAIT))
		;
	must(uv_loop_close(&l->uv));
	memory_free(l);
	*pl = NULL;
}

void loop_run(struct loop *l)
{
	while (!l->stopping)
		uv_run(&l->uv, UV_RUN_ONCE);
	l->stopping = false;
}

void loop_stop(struct loop *l)
{
	l->stopping = true;
	uv_stop(&l->uv);
}

void loop_step(struct loop *l, bool wait)
{
	uv_run(&l->uv, wait ? UV_RUN_ONCE : UV_RUN_NOWAIT);
}

time_ms loop_now(const struct loop *cl)
{
	struct loop *l = (struct loop *)(uintptr_t)
	        cl; /* a cache: one reading of the clock a round */
	uint64_t now = uv_now(&l->uv);

	if (l->now == 0 || now != l->now_uv) {
		l->now = clock_now();
		l->now_uv = now;
	}
	return l->now;
}

/* ---- descriptors ---- */

static int to_uv(unsigned events)
{
	return (events & LOOP_READ ? UV_READABLE : 0) | (events & LOOP_WRITE ? UV_WRITABLE : 0);
}

static void on_poll(uv_poll_t *h, int status, int events)
{
	struct loop_watch *w = (struct loop_watch *)h;
	unsigned ready = (events & UV_READABLE ? LOOP_READ : 0) |
	                 (events & UV_WRITABLE ? LOOP_WRITE : 0);

	/* An error on the descriptor: whoever reads or writes it will see it, perhaps only after what
	 * was received before it. libuv has stopped watching by then. */
	if (status < 0) {
		ready = w->events;
		if (ready)
			must(uv_poll_start(&w->uv, to_uv(ready), on_poll));
	}
	if (ready && w->function)
		w->function(w->context, ready);
}

struct loop_watch *loop_watch_new(struct loop *l, int fd, unsigned events,
                                  loop_watch_function *function, void *context)
{
	struct loop_watch *w = NEW(struct loop_watch);

	must(uv_poll_init(&l->uv, &w->uv, fd));
	w->function = function;
	w->context = context;
	loop_watch_set(w, events);
	return w;
}

void loop_watch_set(struct loop_watch *w, unsigned events)
{
	if (events == w->events)
		return;
	w->events = events;
	if (events)
		must(uv_poll_start(&w->uv, to_uv(events), on_poll));
	else
		must(uv_poll_stop(&w->uv));
}

void loop_watch_free(struct loop_watch **w)
{
	if (!*w)
		return;
	(*w)->function = NULL;
	uv_poll_stop(&(*w)->uv);
	close_handle(*w);
	*w = NULL;
}

/* ---- timers ---- */

static void on_timer(uv_timer_t *h)
{
	struct loop_timer *t = (struct loop_timer *)h;

	if (t->function)
		t->function(t->context);
}

struct loop_timer *loop_timer_new(struct loop *l, loop_function *function, void *context)
{
	struct loop_timer *t = NEW(struct loop_timer);

	must(uv_timer_init(&l->uv, &t->uv));
	t->function = function;
	t->context = context;
	return t;
}

void loop_timer_set(struct loop_timer *t, int64_t delay_ms)
{
	must(uv_timer_start(&t->uv, on_timer, delay_ms < 0 ? 0 : (uint64_t)delay_ms, 0));
}

void loop_timer_stop(struct loop_timer *t)
{
	uv_timer_stop(&t->uv);
}

bool loop_timer_is_set(const struct loop_timer *t)
{
	return uv_is_active((const uv_handle_t *)&t->uv);
}

void loop_timer_free(struct loop_timer **t)
{
	if (!*t)
		return;
	(*t)->function = NULL;
	uv_timer_stop(&(*t)->uv);
	close_handle(*t);
	*t = NULL;
}

/* ---- tasks ---- */

static void append_task(struct loop *l, struct loop_task *t)
{
	t->loop = l;
	t->next = NULL;
	t->prev = l->last;
	*(l->last ? &l->last->next : &l->tasks) = t;
	l->last = t;
}

static void unlink_task(struct loop_task *t)
{
	struct loop *l = t->loop;

	*(t->prev ? &t->prev->next : &l->tasks) = t->next;
	*(t->next ? &t->next->prev : &l->last) = t->prev;
	t->next = t->prev = NULL;
	t->loop = NULL;
}

static void on_idle(uv_idle_t *h)
{
	struct loop *l = h->data;
	struct loop_task end = {
	        0}; /* marks where this round's tasks end, whoever cancels what meanwhile */

	append_task(l, &end);
	while (l->tasks != &end) {
		struct loop_task *t = l->tasks;

		unlink_task(t);
		t->function(t->context);
	}
	unlink_task(&end);
	if (!l->tasks)
		uv_idle_stop(&l->idle);
}

void loop_defer(struct loop *l, struct loop_task *t)
{
	if (t->loop)
		return;
	append_task(l, t);
	must(uv_idle_start(&l->idle, on_idle));
}

void loop_task_cancel(struct loop_task *t)
{
	if (t->loop)
		unlink_task(t);
}

/* ---- signals and wake-ups ---- */

static void on_signal(uv_signal_t *h, int number)
{
	struct loop_signal *s = (struct loop_signal *)h;

	(void)number;
	if (s->function)
		s->function(s->context);
}

struct loop_signal *loop_signal_new(struct loop *l, int signal, loop_function *function,
                                    void *context)
{
	struct loop_signal *s = NEW(struct loop_signal);

	must(uv_signal_init(&l->uv, &s->uv));
	s->function = function;
	s->context = context;
	must(uv_signal_start(&s->uv, on_signal, signal));
	return s;
}

void loop_signal_free(struct loop_signal **s)
{
	if (!*s)
		return;
	(*s)->function = NULL;
	uv_signal_stop(&(*s)->uv);
	close_handle(*s);
	*s = NULL;
}

static void on_wakeup(uv_async_t *h)
{
	struct loop_wakeup *w = (struct loop_wakeup *)h;

	if (w->function)
		w->function(w->context);
}

struct loop_wakeup *loop_wakeup_new(struct loop *l, loop_function *function, void *context)
{
	struct loop_wakeup *w = NEW(struct loop_wakeup);

	must(uv_async_init(&l->uv, &w->uv, on_wakeup));
	w->function = function;
	w->context = context;
	return w;
}

void loop_wakeup_send(struct loop_wakeup *w)
{
	uv_async_send(&w->uv);
}

void loop_wakeup_free(struct loop_wakeup **w)
{
	if (!*w)
		return;
	(*w)->function = NULL;
	close_handle(*w);
	*w = NULL;
}
