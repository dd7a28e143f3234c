#include "roles/resolver_loop.h"

#include <sys/time.h>
#include <unbound-event.h>

#include "base/memory.h"

/* An event is a descriptor with bits, a time, or both. As in libevent one without UB_EV_PERSIST is over when it fires; the
 * callback may free the event, so it is called last. */

struct base {
	struct ub_event_base ub; /* first: libunbound knows only this */
	struct loop *loop;
};

struct event {
	struct ub_event ub; /* first */
	struct base *base;
	int fd;
	short bits;
	void (*function)(int, short, void *);
	void *context;
	struct loop_watch *watch;
	struct loop_timer *timer;
	int64_t after_ms; /* below 0: no time */
};

static struct event *event_of(struct ub_event *ub)
{
	return (struct event *)ub;
}

/* ---- firing ---- */

static void sleep_now(struct event *e)
{
	loop_watch_free(&e->watch);
	if (e->timer)
		loop_timer_stop(e->timer);
}

static void fire(struct event *e, short what)
{
	if (!(e->bits & UB_EV_PERSIST))
		sleep_now(e);
	else if (e->after_ms >= 0)
		loop_timer_set(e->timer, e->after_ms);
	e->function(e->fd, what, e->context);
}

static void on_ready(void *context, unsigned events)
{
	struct event *e = context;

	fire(e, (short)((events & LOOP_READ ? UB_EV_READ : 0) |
	                (events & LOOP_WRITE ? UB_EV_WRITE : 0)));
}

static void on_time(void *context)
{
	fire(context, UB_EV_TIMEOUT);
}

/* ---- what libunbound calls ---- */

static int64_t milliseconds(const struct timeval *t)
{
	return t ? (int64_t)t->tv_sec * 1000 + (t->tv_usec + 999) / 1000 : -1;
}

static unsigned watched(const struct event *e)
{
	return (e->bits & UB_EV_READ ? LOOP_READ : 0) | (e->bits & UB_EV_WRITE ? LOOP_WRITE : 0);
}

static int add(struct ub_event *ub, struct timeval *after)
{
	struct event *e = event_of(ub);

	sleep_now(e);
	e->after_ms = milliseconds(after);
	if (e->fd >= 0 && watched(e))
		e->watch = loop_watch_new(e->base->loop, e->fd, watched(e), on_ready, e);
	if (e->after_ms < 0)
		return 0;
	if (!e->timer)
		e->timer = loop_timer_new(e->base->loop, on_time, e);
	loop_timer_set(e->timer, e->after_ms);
	return 0;
}

static int del(struct ub_event *ub)
{
	sleep_now(event_of(ub));
	return 0;
}

static int add_timer(struct ub_event *ub, struct ub_event_base *base,
                     void (*function)(int, short, void *), void *context, struct timeval *after)
{
	struct event *e = event_of(ub);

	(void)base;
	e->function = function;
	e->context = context;
	return add(ub, after);
}

static void add_bits(struct ub_event *ub, short bits)
{
	event_of(ub)->bits |= bits;
}

static void del_bits(struct ub_event *ub, short bits)
{
	event_of(ub)->bits &= (short)~bits;
}

static void set_fd(struct ub_event *ub, int fd)
{
	event_of(ub)->fd = fd;
}

static void event_free(struct ub_event *ub)
{
	struct event *e = event_of(ub);

	sleep_now(e);
	loop_timer_free(&e->timer);
	memory_free(e);
}

/* Signals and Windows: libunbound never asks. */
static int no_signal(struct ub_event *ub, struct timeval *after)
{
	(void)ub;
	(void)after;
	return -1;
}

static void no_windows(struct ub_event *ub)
{
	(void)ub;
}

static void no_windows_bit(struct ub_event *ub, int bit)
{
	(void)ub;
	(void)bit;
}

static struct ub_event_vmt event_vmt = {
        .add_bits = add_bits,
        .del_bits = del_bits,
        .set_fd = set_fd,
        .free = event_free,
        .add = add,
        .del = del,
        .add_timer = add_timer,
        .del_timer = del,
        .add_signal = no_signal,
        .del_signal = del,
        .winsock_unregister_wsaevent = no_windows,
        .winsock_tcp_wouldblock = no_windows_bit,
};

static struct ub_event *new_event(struct ub_event_base *base, int fd, short bits,
                                  void (*function)(int, short, void *), void *context)
{
	struct event *e = NEW(struct event);

	e->ub = (struct ub_event){UB_EVENT_MAGIC, &event_vmt};
	e->base = (struct base *)base;
	e->fd = fd;
	e->bits = bits;
	e->function = function;
	e->context = context;
	e->after_ms = -1;
	return &e->ub;
}

static struct ub_event *no_new_signal(struct ub_event_base *base, int fd,
                                      void (*function)(int, short, void *), void *context)
{
	(void)base;
	(void)fd;
	(void)function;
	(void)context;
	return NULL;
}

static struct ub_event *no_new_windows(struct ub_event_base *base, void *event,
                                       void (*function)(int, short, void *), void *context)
{
	(void)event;
	return no_new_signal(base, -1, function, context);
}

static void base_free(struct ub_event_base *base)
{
	(void)base; /* resolver_loop_free does */
}

/* The loop is run and stopped by the role. */
static int nothing(struct ub_event_base *base)
{
	(void)base;
	return 0;
}

static int no_exit(struct ub_event_base *base, struct timeval *after)
{
	(void)base;
	(void)after;
	return 0;
}

static struct ub_event_base_vmt base_vmt = {
        .free = base_free,
        .dispatch = nothing,
        .loopexit = no_exit,
        .new_event = new_event,
        .new_signal = no_new_signal,
        .winsock_register_wsaevent = no_new_windows,
};

struct ub_event_base *resolver_loop_new(struct loop *l)
{
	struct base *b = NEW(struct base);

	b->ub = (struct ub_event_base){UB_EVENT_MAGIC, &base_vmt};
	b->loop = l;
	return &b->ub;
}

void resolver_loop_free(struct ub_event_base **b)
{
	memory_free(*b);
	*b = NULL;
}
