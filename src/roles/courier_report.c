/* Now and then: are there TLS results of a day that is over? Then carrying/tls_report.h says who gets them. The times are random, so
 * that not everybody's reports leave at midnight (RFC 8460, 4.1). */
#include "base/memory.h"
#include "carrying/tls_report.h"
#include "roles/courier.h"
#include "sys/random.h"

struct reporter {
	struct courier *courier;
	struct loop_timer *timer;
	struct loop_task task;
	struct tls_reporting *reporting;
	struct role_config *config;
	uint64_t session;
};

static void wait_for_next(struct reporter *r)
{
	uint64_t within = (uint64_t)r->courier->role->config->config->carry_tlsrpt_within_ms;

	loop_timer_set(r->timer, (int64_t)(random_u64() % within));
}

static void end(struct reporter *r)
{
	unsigned sent = tls_reporting_sent(r->reporting);

	if (sent > 0)
		role_log(r->courier->role, "tls-reported", "reports=%u", sent);
	tls_reporting_free(&r->reporting);
	role_config_drop(&r->config);
	courier_forward(r->courier, r->session, &(struct ask){.kind = ASK_SESSION_END});
	r->session = 0;
	wait_for_next(r);
}

static void pump(void *context)
{
	struct reporter *r = context;
	struct ask a;

	if (!r->reporting)
		return;
	while (tls_reporting_ask(r->reporting, &a))
		courier_forward(r->courier, r->session, &a);
	if (tls_reporting_finished(r->reporting))
		end(r);
}

static void on_timer(void *context)
{
	struct reporter *r = context;
	uint8_t seed[16];

	if (r->reporting || r->courier->stopping)
		return;
	random_fill(seed, sizeof(seed));
	r->config = role_config_hold(r->courier->role);
	r->session = role_session_new(r->courier->role);
	r->reporting = tls_reporting_new(r->config->config, seed, loop_now(r->courier->role->loop));
	pump(r);
}

bool reporter_answer(struct reporter *r, const struct answer *a)
{
	if (!r->reporting || a->session != r->session)
		return false;
	tls_reporting_answer(r->reporting, a);
	loop_defer(r->courier->role->loop, &r->task);
	return true;
}

struct reporter *reporter_new(struct courier *c)
{
	struct reporter *r = NEW(struct reporter);

	r->courier = c;
	r->timer = loop_timer_new(c->role->loop, on_timer, r);
	r->task.function = pump;
	r->task.context = r;
	wait_for_next(r);
	return r;
}
