/* The rules of a channel, over the in-memory variant: order, the cap, LOST, what is refused. */
#include "peer.h"

#include "base/limits.h"

struct world {
	struct peer mx, store;
};

static int setup(void **state)
{
	struct world *w = test_calloc(1, sizeof(*w));
	struct channel_end a = {MX, 0, &peer_ops, &w->mx}, b = {STORE, 0, &peer_ops, &w->store};

	channel_pair_new(&a, &b, &w->mx.channel, &w->store.channel);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	channel_free(&w->mx.channel);
	channel_free(&w->store.channel);
	test_free(w);
	return 0;
}

static void settle(struct world *w)
{
	while (channel_step(w->mx.channel) | channel_step(w->store.channel))
		;
}

static void an_ask_is_answered(void **state)
{
	struct world *w = *state;

	peer_ask_route(&w->mx, 7);
	assert_int_equal(channel_open(w->mx.channel), 1);
	assert_int_equal(w->store.asked, 0); /* nothing happens inside channel_ask */
	settle(w);
	assert_string_equal(w->store.log, "ask ROUTE 7;");
	assert_string_equal(w->mx.log, "answer ROUTE 7 ok;");
	assert_int_equal(channel_open(w->mx.channel), 0);
	assert_int_equal(channel_serving(w->store.channel), 0);
}

static void answers_come_in_any_order(void **state)
{
	struct world *w = *state;

	w->store.silent = true;
	peer_ask_route(&w->mx, 1);
	peer_ask_route(&w->mx, 2);
	settle(w);
	peer_answer(&w->store, &w->store.asks[1], OK);
	peer_answer(&w->store, &w->store.asks[0], DENIED);
	settle(w);
	assert_string_equal(w->mx.log, "answer ROUTE 2 ok;answer ROUTE 1 denied;");
}

static void at_the_cap_the_asker_waits(void **state)
{
	struct world *w = *state;

	w->store.silent = true;
	for (uint32_t i = 0; i < LIMIT_ASKS_CHANNEL + 10; i++)
		peer_ask_route(&w->mx, i);
	settle(w);
	assert_int_equal(w->store.asked, LIMIT_ASKS_CHANNEL);
	assert_int_equal(channel_waiting(w->mx.channel), 10);
	peer_answer(&w->store, &w->store.asks[5], OK);
	settle(w);
	assert_int_equal(w->store.asked, LIMIT_ASKS_CHANNEL + 1);
	assert_int_equal(w->store.asks[LIMIT_ASKS_CHANNEL].number,
	                 LIMIT_ASKS_CHANNEL); /* the oldest that waited */
	for (size_t i = 0; i < w->store.asked; i++) {
		if (i != 5)
			peer_answer(&w->store, &w->store.asks[i], OK);
		settle(w);
	}
	assert_int_equal(w->mx.answered, LIMIT_ASKS_CHANNEL + 10);
}

static void death_answers_all_with_lost(void **state)
{
	struct world *w = *state;

	w->store.silent = true;
	for (uint32_t i = 0; i < LIMIT_ASKS_CHANNEL + 10; i++)
		peer_ask_route(&w->mx, i);
	settle(w);
	channel_cut(w->store.channel);
	settle(w);
	assert_true(bytes_starts(bytes_of_text(w->mx.log), BYTES("lost;answer ROUTE 0 lost;")));
	assert_int_equal(w->mx.results[LOST], LIMIT_ASKS_CHANNEL + 10);
	peer_ask_route(&w->mx, 500);
	assert_int_equal(w->mx.answered, LIMIT_ASKS_CHANNEL + 10); /* not inside channel_ask */
	settle(w);
	assert_int_equal(w->mx.results[UNAVAILABLE], 1);
}

static void what_was_sent_before_death_still_counts(void **state)
{
	struct world *w = *state;

	peer_ask_route(&w->mx, 1);
	while (channel_step(w->store.channel))
		;
	channel_cut(w->store.channel); /* after it answered */
	settle(w);
	assert_string_equal(w->mx.log, "answer ROUTE 1 ok;lost;");
}

static void a_new_peer_takes_its_place(void **state)
{
	struct world *w = *state;

	w->store.silent = true;
	peer_ask_route(&w->mx, 1);
	settle(w);
	channel_cut(w->store.channel);
	settle(w);
	channel_join(w->mx.channel, w->store.channel);
	w->store.silent = false;
	peer_ask_route(&w->mx, 2);
	settle(w);
	assert_string_equal(w->mx.log, "lost;answer ROUTE 1 lost;answer ROUTE 2 ok;");
	/* The dead one's question is nobody's any more. */
	peer_answer(&w->store, &w->store.asks[0], OK);
	settle(w);
	assert_int_equal(w->mx.answered, 2);
}

static void events_are_merged_by_the_receiver_s_session(void **state)
{
	struct world *w = *state;

	channel_event(w->store.channel, 42, 1);
	channel_event(w->store.channel, 42, 4);
	settle(w);
	assert_int_equal(w->mx.session, 42);
	assert_int_equal(w->mx.events, 5);
}

static void break_rule(struct world *w, const struct ask *a)
{
	channel_ask(w->mx.channel, a);
	settle(w);
	assert_int_equal(w->store.asked, 0);
	assert_int_equal(w->store.lost, 1);
	assert_non_null(w->store.broken);
	/* For the culprit its peer is gone. */
	assert_int_equal(w->mx.results[LOST], 1);
}

static void a_role_asks_what_it_may_not(void **state)
{
	struct ask a = {.kind = ASK_CREDENTIAL,
	                .number = 1,
	                .session = peer_session(MX, 0, 1),
	                .credential.user = BYTES("ken")};

	break_rule(*state, &a);
}

static void a_role_asks_the_wrong_one(void **state)
{
	struct ask a = {.kind = ASK_TICKET_KEYS, .number = 1, .session = peer_session(MX, 0, 1)};

	break_rule(*state, &a);
}

static void a_role_asks_in_another_s_name(void **state)
{
	struct ask a = {
	        .kind = ASK_ROUTE,
	        .number = 1,
	        .session = peer_session(ACCESS, 0, 1),
	        .route.rcpt = BYTES("ken@example.test"),
	};

	break_rule(*state, &a);
}

static void a_worker_asks_in_another_worker_s_name(void **state)
{
	struct ask a = {
	        .kind = ASK_ROUTE,
	        .number = 1,
	        .session = peer_session(MX, 3, 1),
	        .route.rcpt = BYTES("ken@example.test"),
	};

	break_rule(*state, &a);
}

static void too_big_is_refused_here(void **state)
{
	struct world *w = *state;
	char *big = memory_get(LIMIT_MESSAGE);
	struct ask a = {.kind = ASK_SPOOL, .number = 1, .spool.chunk = {big, LIMIT_MESSAGE}};

	channel_ask(w->mx.channel, &a);
	settle(w);
	assert_int_equal(w->mx.results[TOO_BIG], 1);
	assert_int_equal(w->store.asked, 0);
	memory_free(big);
}

static void an_answer_too_big_becomes_a_reason(void **state)
{
	struct world *w = *state;
	struct answer answer;
	char *big = memory_get(LIMIT_MESSAGE);

	w->store.silent = true;
	peer_ask_route(&w->mx, 1);
	settle(w);
	answer = answer_to(&w->store.asks[0], OK, (struct bytes){0});
	answer.route.address = bytes_of(big, LIMIT_MESSAGE);
	channel_answer(w->store.channel, &answer);
	settle(w);
	assert_int_equal(w->mx.results[TOO_BIG], 1);
	memory_free(big);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        CASE(an_ask_is_answered),
	        CASE(answers_come_in_any_order),
	        CASE(at_the_cap_the_asker_waits),
	        CASE(death_answers_all_with_lost),
	        CASE(what_was_sent_before_death_still_counts),
	        CASE(a_new_peer_takes_its_place),
	        CASE(events_are_merged_by_the_receiver_s_session),
	        CASE(a_role_asks_what_it_may_not),
	        CASE(a_role_asks_the_wrong_one),
	        CASE(a_role_asks_in_another_s_name),
	        CASE(a_worker_asks_in_another_worker_s_name),
	        CASE(too_big_is_refused_here),
	        CASE(an_answer_too_big_becomes_a_reason),
	};

	return TEST_MAIN(tests);
}
