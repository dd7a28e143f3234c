/* Now and then: is somebody to be told what was refused on his behalf? Then carrying/digest.h writes to him. */
#include "base/memory.h"
#include "carrying/digest.h"
#include "roles/courier.h"

enum { LOOK_MS = 10 * 60 * 1000, FIRST_MS = 5000 };

struct digester {
	struct courier *courier;
	struct loop_timer *timer;
	struct loop_task task;
	struct digesting *digesting; /* NULL: idle */
	struct role_config *config;
	uint64_t session;
};

static void end(struct digester *d)
{
	unsigned sent = digesting_sent(d->digesting);

	if (sent > 0)
		role_log(d->courier->role, "digests-sent", "digests=%u", sent);
	digesting_free(&d->digesting);
	role_config_drop(&d->config);
	courier_forward(d->courier, d->session, &(struct ask){.kind = ASK_SESSION_END});
	d->session = 0;
	loop_timer_set(d->timer, LOOK_MS);
}

static void pump(void *context)
{
	struct digester *d = context;
	struct ask a;

	if (!d->digesting)
		return;
	while (digesting_ask(d->digesting, &a))
		courier_forward(d->courier, d->session, &a);
	if (digesting_finished(d->digesting))
		end(d);
}

static void on_timer(void *context)
{
	struct digester *d = context;
	struct role_context *role = d->courier->role;

	if (d->digesting || d->courier->stopping)
		return;
	if (role->config->config->escrow_digest.count == 0) {
		loop_timer_set(d->timer, LOOK_MS);
		return;
	}
	d->config = role_config_hold(role);
	d->session = role_session_new(role);
	d->digesting = digesting_new(d->config->config, loop_now(role->loop));
	pump(d);
}

bool digester_answer(struct digester *d, const struct answer *a)
{
	if (!d->digesting || a->session != d->session)
		return false;
	digesting_answer(d->digesting, a);
	loop_defer(d->courier->role->loop, &d->task);
	return true;
}

struct digester *digester_new(struct courier *c)
{
	struct digester *d = NEW(struct digester);

	d->courier = c;
	d->timer = loop_timer_new(c->role->loop, on_timer, d);
	d->task.function = pump;
	d->task.context = d;
	loop_timer_set(d->timer, FIRST_MS);
	return d;
}
