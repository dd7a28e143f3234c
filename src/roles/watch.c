/* watch: looks at the server itself. It reads no mail and no stranger's bytes but DNS answers, keeps nothing that the
 * store does not keep for it, and only asks.
 *
 *	every minute     WATCH_TICK: the store tells again what is open, and looks for channels that do not get through and for mail
 *	                 that no longer comes
 *	watch.tests      each list's test entries (roles/watch_lists.h)
 *	watch.drift      what the DNS says of us (roles/watch_drift.h) */
#include "base/memory.h"
#include "roles/role.h"
#include "roles/watch_drift.h"
#include "roles/watch_lists.h"

enum { TICK_MS = 60 * 1000, FIRST_TICK_MS = 5000 };

struct watch {
	struct role_context *role;
	struct loop_timer *timer;
	struct watch_lists *lists;
	struct watch_drift *drift;
};

static void on_tick(void *context)
{
	struct watch *w = context;
	struct channel *store = role_channel(w->role, STORE, 0);

	loop_timer_set(w->timer, TICK_MS);
	if (store && channel_connected(store))
		channel_ask(store, &(struct ask){.kind = ASK_WATCH_TICK,
		                                 .number = 1,
		                                 .session = role_session_new(w->role)});
}

static enum result watch_start(struct role_context *r, struct why *why)
{
	struct watch *w = NEW(struct watch);

	(void)why;
	w->role = r;
	r->self = w;
	w->timer = loop_timer_new(r->loop, on_tick, w);
	loop_timer_set(w->timer, FIRST_TICK_MS);
	w->lists = watch_lists_new(r);
	w->drift = watch_drift_new(r);
	return OK;
}

static void watch_answer(struct role_context *r, struct channel *c, const struct answer *a)
{
	struct watch *w = r->self;

	(void)c;
	(void)(watch_lists_answer(w->lists, a) || watch_drift_answer(w->drift, a));
}

static void watch_config(struct role_context *r)
{
	struct watch *w = r->self;

	watch_lists_now(w->lists);
}

static void watch_peer_back(struct role_context *r, struct channel *c)
{
	struct watch *w = r->self;

	(void)c;
	watch_lists_now(w->lists);
}

static const struct role_ops ops = {
        .start = watch_start,
        .answer = watch_answer,
        .config = watch_config,
        .peer_back = watch_peer_back,
};

const struct role role_watch = {
        .name = "watch",
        .bit = WATCH,
        .does = "tests the checks, misses usual mail, looks after what others see of us",
        .answerers = STORE | RESOLVER,
        .ops = &ops,
};
