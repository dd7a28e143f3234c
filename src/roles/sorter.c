/* sorter: takes queued mail from the store and says what becomes of it. The thinking is in
 * sorting/; this keeps some jobs going at once, each with a session of its own, so that a late
 * answer to one never reaches the next.
 *
 *	slot      IDLE -> (TAKE asked) TAKING -> (an entry) WORKING -> (SORTED answered) IDLE
 *
 * Without a store all slots are IDLE until it is back. */
#include "base/memory.h"
#include "mail/charset.h"
#include "roles/role.h"
#include "sorting/sorting.h"

enum { SLOTS = 8, QUICK_MS = 1000 };

struct slot {
	enum { SLOT_IDLE, SLOT_TAKING, SLOT_WORKING } state;
	uint64_t session;
	time_ms asked; /* TAKE */
	struct sorting_job *job;
	struct role_config *config; /* what the job began with */
};

struct sorter {
	struct role_context *role;
	struct loop_timer *timer;
	struct slot slots[SLOTS];
	time_ms take_after; /* the store is there but answers nothing: not at once again */
	bool stopping;
};

static void take(struct sorter *s, struct slot *slot)
{
	struct channel *store = role_channel(s->role, STORE, 0);
	time_ms now = loop_now(s->role->loop);

	if (s->stopping || !store || !channel_connected(store) || now < s->take_after)
		return;
	slot->state = SLOT_TAKING;
	slot->session = role_session_new(s->role);
	slot->asked = now;
	channel_ask(store, &(struct ask){.kind = ASK_TAKE, .session = slot->session});
}

static void set_timer(struct sorter *s)
{
	time_ms now = loop_now(s->role->loop),
	        due = s->take_after > now ? s->take_after : TIME_NEVER;

	for (size_t i = 0; i < SLOTS; i++) {
		time_ms deadline = s->slots[i].job ? sorting_job_deadline(s->slots[i].job)
		                                   : TIME_NEVER;
		due = deadline < due ? deadline : due;
	}
	if (due == TIME_NEVER)
		loop_timer_stop(s->timer);
	else
		loop_timer_set(s->timer, due - now);
}

static bool is_working(const struct sorter *s)
{
	for (size_t i = 0; i < SLOTS; i++) {
		if (s->slots[i].state == SLOT_WORKING)
			return true;
	}
	return false;
}

/* Each job has a session of its own: the store forgets it, or there would be too many in the end. */
static void end_session(struct sorter *s, struct slot *slot)
{
	struct channel *store = role_channel(s->role, STORE, 0);

	if (store && channel_connected(store))
		channel_ask(store,
		            &(struct ask){.kind = ASK_SESSION_END, .session = slot->session});
}

static void end_job(struct sorter *s, struct slot *slot)
{
	struct bytes outcome = sorting_job_outcome(slot->job);

	end_session(s, slot);
	role_log(s->role, "sorted", "%.*s", BYTES_ARG(outcome));
	sorting_job_free(&slot->job);
	role_config_drop(&slot->config);
	slot->state = SLOT_IDLE;
	if (s->stopping && !is_working(s))
		role_stopped(s->role);
	else
		take(s, slot);
}

/* Forwards what the job asks; ends it when it is through. */
static void pump(struct sorter *s, struct slot *slot)
{
	struct channel *store = role_channel(s->role, STORE, 0),
	               *keeper = role_channel(s->role, KEEPER, 0);
	struct ask a;

	while (sorting_job_ask(slot->job, &a)) {
		a.session = slot->session;
		channel_ask(ask_info(a.kind)->to & KEEPER ? keeper : store, &a);
	}
	if (sorting_job_finished(slot->job))
		end_job(s, slot);
	set_timer(s);
}

static void take_answered(struct sorter *s, struct slot *slot, const struct answer *a)
{
	time_ms now = loop_now(s->role->loop);

	slot->state = SLOT_IDLE;
	if (s->stopping)
		return; /* the lease ends with us */
	if (a->result == OK) {
		slot->state = SLOT_WORKING;
		slot->config = role_config_hold(s->role);
		slot->job = sorting_job_new(slot->config->config, &a->take, now);
		pump(s, slot);
		return;
	}
	if (now - slot->asked < QUICK_MS)
		s->take_after = now + QUICK_MS;
	take(s, slot);
	set_timer(s);
}

static void sorter_answer(struct role_context *r, struct channel *c, const struct answer *a)
{
	struct sorter *s = r->self;

	for (size_t i = 0; i < SLOTS; i++) {
		struct slot *slot = &s->slots[i];
		if (slot->state == SLOT_IDLE || slot->session != a->session)
			continue;
		if (slot->state == SLOT_TAKING) {
			take_answered(s, slot, a);
		} else {
			sorting_job_answer(slot->job, a);
			pump(s, slot);
		}
		return;
	}
}

static void take_all(struct sorter *s)
{
	for (size_t i = 0; i < SLOTS; i++) {
		if (s->slots[i].state == SLOT_IDLE)
			take(s, &s->slots[i]);
	}
	set_timer(s);
}

static void on_timer(void *context)
{
	struct sorter *s = context;

	for (size_t i = 0; i < SLOTS; i++) {
		if (s->slots[i].state != SLOT_WORKING)
			continue;
		sorting_job_tick(s->slots[i].job, loop_now(s->role->loop));
		pump(s, &s->slots[i]);
	}
	take_all(s);
}

static void sorter_peer_back(struct role_context *r, struct channel *c)
{
	struct sorter *s = r->self;

	s->take_after = 0;
	take_all(s);
}

static void sorter_warm(struct role_context *r)
{
	struct why why;

	if (charset_warm(&why) != OK)
		role_fail(r, &why);
}

static enum result sorter_start(struct role_context *r, struct why *why)
{
	struct sorter *s = NEW(struct sorter);

	s->role = r;
	s->timer = loop_timer_new(r->loop, on_timer, s);
	r->self = s;
	take_all(s);
	return OK;
}

static void sorter_stop(struct role_context *r)
{
	struct sorter *s = r->self;

	s->stopping = true;
	if (!is_working(s))
		role_stopped(r);
}

static const struct role_ops ops = {
        .warm = sorter_warm,
        .start = sorter_start,
        .answer = sorter_answer,
        .peer_back = sorter_peer_back,
        .stop = sorter_stop,
};

const struct role role_sorter = {
        .name = "sorter",
        .bit = SORTER,
        .does = "follows aliases and dot files for queued mail, makes bounces",
        .answerers = STORE | KEEPER,
        .ops = &ops,
};
