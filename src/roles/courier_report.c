/* Now and then: are there TLS results, or judgements by DMARC, of a day that is over? Then carrying/tls_report.h and
 * carrying/dmarc_reporting.h say who gets them, one after the other. The times are random, so that not everybody's reports leave at
 * midnight (RFC 8460, 4.1). */
#include "base/memory.h"
#include "carrying/dmarc_reporting.h"
#include "carrying/tls_report.h"
#include "roles/courier.h"
#include "sys/random.h"

struct reporter {
	struct courier *courier;
	struct loop_timer *timer;
	struct loop_task task;
	struct tls_reporting *tls; /* one of them at a time */
	struct dmarc_reporting *dmarc;
	struct role_config *config;
	uint64_t session;
};

static void wait_for_next(struct reporter *r)
{
	uint64_t within = (uint64_t)r->courier->role->config->config->carry_tlsrpt_within_ms;

	loop_timer_set(r->timer, (int64_t)(random_u64() % within));
}

static void log_sent(struct reporter *r, const char *event, unsigned sent)
{
	if (sent > 0)
		role_log(r->courier->role, event, "reports=%u", sent);
}

static void end(struct reporter *r)
{
	log_sent(r, "dmarc-reported", dmarc_reporting_sent(r->dmarc));
	dmarc_reporting_free(&r->dmarc);
	role_config_drop(&r->config);
	courier_forward(r->courier, r->session, &(struct ask){.kind = ASK_SESSION_END});
	r->session = 0;
	wait_for_next(r);
}

static void begin_dmarc(struct reporter *r)
{
	uint8_t seed[16];

	log_sent(r, "tls-reported", tls_reporting_sent(r->tls));
	tls_reporting_free(&r->tls);
	random_fill(seed, sizeof(seed));
	r->dmarc = dmarc_reporting_new(r->config->config, seed, loop_now(r->courier->role->loop));
}

static void pump(void *context)
{
	struct reporter *r = context;
	struct ask a;

	while (r->tls && tls_reporting_ask(r->tls, &a))
		courier_forward(r->courier, r->session, &a);
	if (r->tls && tls_reporting_finished(r->tls))
		begin_dmarc(r);
	while (r->dmarc && dmarc_reporting_ask(r->dmarc, &a))
		courier_forward(r->courier, r->session, &a);
	if (r->dmarc && dmarc_reporting_finished(r->dmarc))
		end(r);
}

static void on_timer(void *context)
{
	struct reporter *r = context;
	uint8_t seed[16];

	if (r->tls || r->dmarc || r->courier->stopping)
		return;
	random_fill(seed, sizeof(seed));
	r->config = role_config_hold(r->courier->role);
	r->session = role_session_new(r->courier->role);
	r->tls = tls_reporting_new(r->config->config, seed, loop_now(r->courier->role->loop));
	pump(r);
}

bool reporter_answer(struct reporter *r, const struct answer *a)
{
	if ((!r->tls && !r->dmarc) || a->session != r->session)
		return false;
	if (r->tls)
		tls_reporting_answer(r->tls, a);
	else
		dmarc_reporting_answer(r->dmarc, a);
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
