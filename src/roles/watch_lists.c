#include "roles/watch_lists.h"

#include "base/memory.h"
#include "policy/dnsbl.h"

enum { FIRST_MS = 500 };

/* One list's test; session tells its answers from others'. */
struct list_test {
	uint64_t session;
	struct facts *facts;
	bool told;
};

struct watch_lists {
	struct role_context *role;
	struct loop_timer *timer;
	/* of one round */
	struct role_config *config;
	struct dnsbl_list *lists;
	struct list_test *tests;
	size_t count;
	uint32_t number;
};

static void forget_round(struct watch_lists *w)
{
	for (size_t i = 0; i < w->count; i++)
		facts_free(&w->tests[i].facts);
	memory_free(w->tests);
	memory_free(w->lists);
	w->tests = NULL;
	w->lists = NULL;
	w->count = 0;
	if (w->config)
		role_config_drop(&w->config);
}

static void ask_missing(struct watch_lists *w, struct list_test *t)
{
	struct channel *resolver = role_channel(w->role, RESOLVER, 0);
	struct ask a = {.kind = ASK_RESOLVE, .session = t->session};

	while (resolver && facts_missing(t->facts, &a.resolve.name, &a.resolve.type)) {
		a.number = ++w->number;
		facts_asked(t->facts, a.number);
		channel_ask(resolver, &a);
	}
}

static void tell(struct watch_lists *w, size_t nth, const struct dnsbl_health *h)
{
	struct channel *store = role_channel(w->role, STORE, 0);

	w->tests[nth].told = true;
	if (h->state != DNSBL_WELL)
		role_log(w->role, "list", "name=%.*s state=\"%s\" answered=\"%.*s\"",
		         BYTES_ARG(w->lists[nth].config->name), dnsbl_state_name(h->state),
		         BYTES_ARG(h->text));
	if (store)
		channel_ask(
		        store,
		        &(struct ask){.kind = ASK_CHECK_TESTED,
		                      .number = ++w->number,
		                      .session = w->tests[nth].session,
		                      .check_tested = {.check = bytes_of_text(w->lists[nth].check),
		                                       .state = (uint8_t)h->state,
		                                       .text = h->text}});
}

static void go_on(struct watch_lists *w, size_t nth)
{
	struct list_test *t = &w->tests[nth];
	struct arena arena = {0};
	struct dnsbl_health health;

	if (t->told)
		return;
	if (dnsbl_self_test(&w->lists[nth], t->facts, &arena, &health))
		tell(w, nth, &health);
	else
		ask_missing(w, t);
	arena_done(&arena);
}

/* What the last round did not get is forgotten: its answers are nobody's. */
static void on_round(void *context)
{
	struct watch_lists *w = context;

	forget_round(w);
	w->config = role_config_hold(w->role);
	loop_timer_set(w->timer, w->config->config->watch_tests_ms);
	w->lists = dnsbl_of_config(w->config->config, &w->count);
	w->tests = memory_get((w->count + 1) * sizeof(*w->tests));
	for (size_t i = 0; i < w->count; i++) {
		w->tests[i] = (struct list_test){role_session_new(w->role), facts_new(), false};
		go_on(w, i);
	}
}

struct watch_lists *watch_lists_new(struct role_context *r)
{
	struct watch_lists *w = NEW(struct watch_lists);

	w->role = r;
	w->timer = loop_timer_new(r->loop, on_round, w);
	loop_timer_set(w->timer, FIRST_MS);
	return w;
}

bool watch_lists_answer(struct watch_lists *w, const struct answer *a)
{
	if (a->kind == ASK_CHECK_TESTED)
		return true;
	for (size_t i = 0; a->kind == ASK_RESOLVE && i < w->count; i++) {
		if (w->tests[i].session != a->session)
			continue;
		if (facts_answer(w->tests[i].facts, a))
			go_on(w, i);
		return true;
	}
	return false;
}

void watch_lists_now(struct watch_lists *w)
{
	loop_timer_set(w->timer, FIRST_MS);
}
