#include "roles/watch_drift.h"

#include <assert.h>

#include "base/map.h"
#include "base/memory.h"
#include "verify/publish.h"
#include "watch/incident.h"

enum { FIRST_MS = 60 * 1000, BETWEEN_MS = 50 };

static_assert(PUBLISH_PROBLEMS <= 64, "a bit for each");

/* Of one domain. */
struct watched {
	uint64_t was_right; /* a bit for each enum publish_problem that it did not have once */
	bool told;          /* its incident */
};

struct watch_drift {
	struct role_context *role;
	struct loop_timer *timer;
	struct map domains; /* name: struct watched */
	/* of one round */
	struct role_config *config;
	size_t next; /* among the configuration's domains */
	uint64_t session;
	uint32_t number;
	struct facts *facts;
};

static struct watched *watched_of(struct watch_drift *d, struct bytes domain)
{
	struct watched *w = map_get(&d->domains, domain);

	if (!w) {
		w = NEW(struct watched);
		map_put(&d->domains, domain, w);
	}
	return w;
}

/* ---- telling ---- */

static void tell(struct watch_drift *d, struct bytes domain, enum incident_verb verb,
                 struct bytes facts)
{
	struct channel *store = role_channel(d->role, STORE, 0);

	if (store)
		channel_ask(store, &(struct ask){.kind = ASK_INCIDENT,
		                                 .session = d->session,
		                                 .number = ++d->number,
		                                 .incident = {.verb = (uint8_t)verb,
		                                              .kind = INCIDENT_DRIFT,
		                                              .key = domain,
		                                              .facts = facts,
		                                              .count = 1}});
}

static void raise_drift(struct watch_drift *d, struct bytes domain,
                        const struct publish_findings *list, uint64_t drifted)
{
	struct buf records = {0}, facts = {0};

	for (size_t i = 0; i < list->count; i++)
		if (drifted & 1ULL << list->items[i].problem)
			buf_printf(&records, "%s%s (%.*s)", buf_len(&records) ? ", " : "",
			           publish_problem_name(list->items[i].problem),
			           BYTES_ARG(list->items[i].name));
	incident_fact_put(&facts, "domain", domain);
	incident_fact_put(&facts, "records", buf_bytes(&records));
	tell(d, domain, INCIDENT_RAISE, buf_bytes(&facts));
	role_log(d->role, "drift", "domain=%.*s records=\"%.*s\"", BYTES_ARG(domain),
	         BYTES_ARG(buf_bytes(&records)));
	buf_done(&facts);
	buf_done(&records);
}

/* The problems that cost mail. False: a name could not be looked up just now, so nothing is known. */
static bool problems_of(const struct publish_findings *list, uint64_t *ret)
{
	*ret = 0;
	for (size_t i = 0; i < list->count; i++) {
		enum publish_problem p = list->items[i].problem;

		if (p == PUBLISH_LOOKUP_FAILED)
			return false;
		if (publish_problem_level(p) == PUBLISH_ERROR)
			*ret |= 1ULL << p;
	}
	return true;
}

static void judge(struct watch_drift *d, struct bytes domain, const struct publish_findings *list)
{
	struct watched *w = watched_of(d, domain);
	uint64_t problems;

	if (!problems_of(list, &problems))
		return;
	w->was_right |= ~problems;
	if (problems & w->was_right && !w->told)
		raise_drift(d, domain, list, problems & w->was_right);
	else if (problems == 0) /* also one that a former process raised */
		tell(d, domain, INCIDENT_CLOSE, (struct bytes){0});
	w->told = (problems & w->was_right) != 0;
}

/* ---- a round ---- */

static void ask_missing(struct watch_drift *d)
{
	struct channel *resolver = role_channel(d->role, RESOLVER, 0);
	struct ask a = {.kind = ASK_RESOLVE, .session = d->session};

	while (resolver && facts_missing(d->facts, &a.resolve.name, &a.resolve.type)) {
		a.number = ++d->number;
		facts_asked(d->facts, a.number);
		channel_ask(resolver, &a);
	}
}

static void end_domain(struct watch_drift *d)
{
	facts_free(&d->facts);
	d->next++;
	loop_timer_set(d->timer, BETWEEN_MS);
}

static void go_on(struct watch_drift *d)
{
	const struct config *c = d->config->config;
	struct publish_question q = {.domain = c->domains.items[d->next],
	                             .hostname = c->hostname,
	                             .smarthost = c->smarthost_count > 0};
	struct publish_findings list = {0};
	struct arena arena = {0};

	if (publish_check(&q, d->facts, &arena, &list) == UNAVAILABLE) {
		ask_missing(d);
	} else {
		judge(d, q.domain, &list);
		end_domain(d);
	}
	arena_done(&arena);
}

static void begin_round(struct watch_drift *d)
{
	d->config = role_config_hold(d->role);
	d->next = 0;
}

/* A domain whose names did not all answer until now is passed over: the next round asks anew. */
static void on_timer(void *context)
{
	struct watch_drift *d = context;
	int64_t every = d->role->config->config->watch_drift_ms;

	d->next += d->facts != NULL;
	facts_free(&d->facts);
	if (!d->config)
		begin_round(d);
	loop_timer_set(d->timer, every);
	if (d->next >= d->config->config->domains.count) {
		role_config_drop(&d->config);
		return;
	}
	d->session = role_session_new(d->role);
	d->facts = facts_new();
	go_on(d);
}

bool watch_drift_answer(struct watch_drift *d, const struct answer *a)
{
	if (a->session != d->session)
		return false;
	if (a->kind == ASK_RESOLVE && d->facts && facts_answer(d->facts, a))
		go_on(d);
	return true;
}

struct watch_drift *watch_drift_new(struct role_context *r)
{
	struct watch_drift *d = NEW(struct watch_drift);
	int64_t every = r->config->config->watch_drift_ms;

	d->role = r;
	d->timer = loop_timer_new(r->loop, on_timer, d);
	loop_timer_set(d->timer, every < FIRST_MS ? every : FIRST_MS);
	return d;
}
