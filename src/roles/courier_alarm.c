/* Every few seconds: is there an alarm for one of the operator's channels? carrying/alarm.h says how it is told.
 * Channels do not wait for each other: each has a round of its own, with a session of its own. */
#include "base/memory.h"
#include "carrying/alarm.h"
#include "roles/courier.h"

enum { LOOK_MS = 3000, CHANNELS = 16 };

struct round {
	struct teller *teller;
	struct alarming *alarming; /* NULL: idle */
	struct role_config *config;
	struct bytes channel;          /* the config's */
	struct alarming_memory memory; /* of the channel at this place of the configuration */
	uint64_t session;
	struct loop_task task;
};

struct teller {
	struct courier *courier;
	struct loop_timer *timer;
	struct round rounds[CHANNELS];
};

static void end(struct round *r)
{
	struct courier *c = r->teller->courier;
	struct bytes failed = alarming_failed(r->alarming);

	if (failed.len)
		role_log(c->role, "alarm-failed", "alarm=%.*s why=\"%.*s\"", BYTES_ARG(r->channel),
		         BYTES_ARG(failed));
	if (alarming_told(r->alarming))
		role_log(c->role, "alarm-told", "alarm=%.*s alarms=%u", BYTES_ARG(r->channel),
		         alarming_told(r->alarming));
	alarming_free(&r->alarming);
	role_config_drop(&r->config);
	courier_forward(c, r->session, &(struct ask){.kind = ASK_SESSION_END});
	r->session = 0;
}

static void pump(void *context)
{
	struct round *r = context;
	struct ask a;

	if (!r->alarming)
		return;
	while (alarming_ask(r->alarming, &a))
		courier_forward(r->teller->courier, r->session, &a);
	if (alarming_finished(r->alarming))
		end(r);
}

static bool is_told(const struct teller *t, struct bytes channel)
{
	for (size_t i = 0; i < CHANNELS; i++)
		if (t->rounds[i].alarming && bytes_equal(t->rounds[i].channel, channel))
			return true;
	return false;
}

static void begin(struct teller *t, struct round *r, const struct config_alarm *channel)
{
	struct role_context *role = t->courier->role;

	if (r->alarming || is_told(t, channel->name))
		return;
	r->config = role_config_hold(role);
	r->session = role_session_new(role);
	r->channel = channel->name;
	r->alarming = alarming_new(r->config->config, channel->name, &r->memory,
	                           loop_now(role->loop));
	pump(r);
}

static void on_timer(void *context)
{
	struct teller *t = context;
	const struct config *c = t->courier->role->config->config;

	for (size_t i = 0; i < c->alarm_count && i < CHANNELS && !t->courier->stopping; i++)
		if (c->alarms[i].way != CONFIG_ALARM_COLLECT)
			begin(t, &t->rounds[i], &c->alarms[i]);
	loop_timer_set(t->timer, LOOK_MS);
}

bool teller_answer(struct teller *t, const struct answer *a)
{
	for (size_t i = 0; i < CHANNELS; i++) {
		struct round *r = &t->rounds[i];

		if (!r->alarming || r->session != a->session)
			continue;
		alarming_answer(r->alarming, a);
		loop_defer(t->courier->role->loop, &r->task);
		return true;
	}
	return false;
}

struct teller *teller_new(struct courier *c)
{
	struct teller *t = NEW(struct teller);

	t->courier = c;
	for (size_t i = 0; i < CHANNELS; i++) {
		t->rounds[i].teller = t;
		t->rounds[i].task = (struct loop_task){.function = pump, .context = &t->rounds[i]};
	}
	t->timer = loop_timer_new(c->role->loop, on_timer, t);
	loop_timer_set(t->timer, LOOK_MS);
	return t;
}
