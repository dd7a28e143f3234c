/* The same rules over real sockets on a loop, where the other side may also be slow, dead, or talk nonsense. */
#include "peer.h"

#include "base/limits.h"
#include "bus/frame.h"
#include "sys/socket.h"

struct world {
	struct loop *loop;
	struct peer mx, store;
	int raw; /* the other end, where the test itself is the peer */
};

static int setup(void **state)
{
	struct world *w = test_calloc(1, sizeof(*w));

	w->loop = loop_new();
	w->raw = -1;
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	channel_free(&w->mx.channel);
	channel_free(&w->store.channel);
	socket_close(&w->raw);
	loop_free(&w->loop);
	test_free(w);
	return 0;
}

static void join(struct world *w)
{
	struct why why;
	int ends[2];

	assert_int_equal(socket_pair(ends, &why), OK);
	w->mx.channel = channel_new(w->loop, ends[0], MX, 0, STORE, 0, &peer_ops, &w->mx);
	w->store.channel = channel_new(w->loop, ends[1], STORE, 0, MX, 0, &peer_ops, &w->store);
}

/* store alone; the test speaks for mx. */
static void join_raw(struct world *w, bool hello)
{
	struct buf out = {0};
	struct why why;
	int ends[2];

	assert_int_equal(socket_pair(ends, &why), OK);
	w->store.channel = channel_new(w->loop, ends[0], STORE, 0, MX, 0, &peer_ops, &w->store);
	w->raw = ends[1];
	if (hello) {
		frame_hello(&out, MX, 0);
		assert_int_equal(socket_send(w->raw, buf_bytes(&out)), OK);
	}
	buf_done(&out);
}

static void settle(struct world *w)
{
	for (int i = 0; i < 30; i++)
		loop_step(w->loop, false);
}

static void an_ask_is_answered(void **state)
{
	struct world *w = *state;

	join(w);
	peer_ask_route(&w->mx, 7);
	while (w->mx.answered == 0)
		loop_step(w->loop, true);
	assert_string_equal(w->mx.log, "answer ROUTE 7 ok;");
}

/* Both sides ask far more and far bigger than the sockets hold, at once: nobody gets stuck. */
static void neither_side_blocks(void **state)
{
	enum { COUNT = 300 };
	struct world *w = *state;
	char *big = memory_get(LIMIT_CHUNK);

	join(w);
	for (uint32_t i = 0; i < COUNT; i++) {
		struct ask a = {
		        .kind = ASK_SPOOL,
		        .number = i,
		        .session = peer_session(MX, 0, 1),
		        .spool = {.spool = 1, .chunk = {big, LIMIT_CHUNK}},
		};

		channel_ask(w->mx.channel, &a);
	}
	settle(w);
	while (w->mx.answered < COUNT)
		loop_step(w->loop, true);
	assert_int_equal(w->store.asked, COUNT);
	assert_int_equal(w->mx.results[OK], COUNT);
	memory_free(big);
}

/* Answers of 56 KiB pile up while nobody reads them. */
static void big_answers_wait_in_the_sender(void **state)
{
	struct world *w = *state;
	char *big = memory_get(LIMIT_READ);

	join(w);
	w->store.silent = true;
	for (uint32_t i = 0; i < LIMIT_ASKS_CHANNEL; i++)
		peer_ask_route(&w->mx, i);
	settle(w);
	assert_int_equal(w->store.asked, LIMIT_ASKS_CHANNEL);
	for (size_t i = 0; i < LIMIT_ASKS_CHANNEL; i++) {
		struct answer answer = answer_to(&w->store.asks[i], OK, (struct bytes){0});

		answer.route.address = bytes_of(big, LIMIT_READ);
		channel_answer(w->store.channel, &answer);
	}
	while (w->mx.answered < LIMIT_ASKS_CHANNEL)
		loop_step(w->loop, true);
	memory_free(big);
}

static void death_answers_all_with_lost(void **state)
{
	struct world *w = *state;

	join(w);
	w->store.silent = true;
	for (uint32_t i = 0; i < 100; i++)
		peer_ask_route(&w->mx, i);
	settle(w);
	channel_free(&w->store.channel);
	settle(w);
	assert_int_equal(w->mx.lost, 1);
	assert_null(w->mx.broken);
	assert_int_equal(w->mx.results[LOST], 100);
	peer_ask_route(&w->mx, 101);
	assert_int_equal(w->mx.answered, 100);
	settle(w);
	assert_int_equal(w->mx.results[UNAVAILABLE], 1);
}

static void a_new_peer_is_attached(void **state)
{
	struct world *w = *state;
	struct why why;
	int ends[2];

	join(w);
	settle(w);
	channel_free(&w->store.channel);
	settle(w);
	assert_false(channel_connected(w->mx.channel));
	assert_int_equal(socket_pair(ends, &why), OK);
	channel_attach(w->mx.channel, ends[0]);
	peer_ask_route(&w->mx, 1); /* before the new one is even there */
	w->store.channel = channel_new(w->loop, ends[1], STORE, 0, MX, 0, &peer_ops, &w->store);
	settle(w);
	assert_int_equal(w->mx.results[OK], 1);
}

static void without_a_peer_all_is_unavailable(void **state)
{
	struct world *w = *state;

	w->mx.channel = channel_new(w->loop, -1, MX, 0, STORE, 0, &peer_ops, &w->mx);
	peer_ask_route(&w->mx, 1);
	peer_ask_route(&w->mx, 2);
	settle(w);
	assert_string_equal(w->mx.log, "answer ROUTE 1 unavailable;answer ROUTE 2 unavailable;");
}

static int raw_peer(struct world *w)
{
	struct why why;
	int ends[2];

	assert_int_equal(socket_pair(ends, &why), OK);
	channel_attach(w->mx.channel, ends[0]);
	return ends[1];
}

static void asks_wait_for_hello(void **state)
{
	struct world *w = *state;
	struct buf hello = {0};
	char room[LIMIT_MESSAGE];
	size_t len;

	w->mx.channel = channel_new(w->loop, -1, MX, 0, STORE, 0, &peer_ops, &w->mx);
	w->raw = raw_peer(w);
	peer_ask_route(&w->mx, 1);
	settle(w);
	assert_int_equal(socket_receive(w->raw, room, sizeof(room), &len), OK); /* our hello */
	assert_int_equal(socket_receive(w->raw, room, sizeof(room), &len), UNAVAILABLE);
	assert_int_equal(w->mx.ready, 0);
	frame_hello(&hello, STORE, 0);
	assert_int_equal(socket_send(w->raw, buf_bytes(&hello)), OK);
	settle(w);
	assert_int_equal(w->mx.ready, 1);
	assert_int_equal(socket_receive(w->raw, room, sizeof(room), &len), OK);
	assert_int_equal(room[0], FRAME_ASK);
	buf_done(&hello);
}

static void asks_do_not_wait_for_ever(void **state)
{
	struct world *w = *state;
	struct buf hello = {0};

	w->mx.channel = channel_new(w->loop, -1, MX, 0, STORE, 0, &peer_ops, &w->mx);
	w->raw = raw_peer(w);
	peer_ask_route(&w->mx, 1);
	while (w->mx.answered == 0) /* CHANNEL_HELLO_MS */
		loop_step(w->loop, true);
	peer_ask_route(&w->mx, 2);
	settle(w);
	assert_string_equal(w->mx.log, "answer ROUTE 1 unavailable;answer ROUTE 2 unavailable;");
	/* Late is not never. */
	frame_hello(&hello, STORE, 0);
	assert_int_equal(socket_send(w->raw, buf_bytes(&hello)), OK);
	settle(w);
	assert_int_equal(w->mx.ready, 1);
	peer_ask_route(&w->mx, 3);
	assert_int_equal(channel_open(w->mx.channel), 1);
	buf_done(&hello);
}

static void a_quiet_end_is_greeted_by_later(void **state)
{
	struct world *w = *state;
	struct why why;
	int ends[2];

	assert_int_equal(socket_pair(ends, &why), OK);
	w->mx.channel = channel_new(w->loop, ends[0], MX, 0, STORE, 0, &peer_ops, &w->mx);
	w->store.channel = channel_new(w->loop, -1, STORE, 0, MX, 0, &peer_ops, &w->store);
	channel_attach_quiet(w->store.channel, ends[1]);
	peer_ask_route(&w->mx, 1);
	channel_event(w->store.channel, 5, 1);
	settle(w);
	assert_int_equal(w->mx.ready, 0);
	assert_int_equal(w->store.ready, 1);
	assert_int_equal(w->store.asked, 0);
	channel_greet(w->store.channel);
	settle(w);
	assert_int_equal(w->mx.ready, 1);
	assert_int_equal(w->mx.results[OK], 1);
	assert_int_equal(w->mx.events, 1);
}

static void events_are_merged_while_the_way_is_full(void **state)
{
	struct world *w = *state;
	char *big = memory_get(LIMIT_CHUNK);

	join(w);
	settle(w);
	for (uint32_t i = 0; i < 20; i++) {
		struct ask a = {.kind = ASK_SPOOL, .number = i, .spool.chunk = {big, LIMIT_CHUNK}};

		channel_ask(w->mx.channel, &a);
	}
	for (int i = 0; i < 50; i++)
		channel_event(w->mx.channel, 5, 1u << (i % 3));
	while (w->store.event_count == 0)
		loop_step(w->loop, true);
	settle(w);
	assert_int_equal(w->store.events, 7);
	assert_int_equal(w->store.event_count, 1);
	memory_free(big);
}

static void send_raw(struct world *w, struct bytes message)
{
	assert_int_equal(socket_send(w->raw, message), OK);
	settle(w);
}

static void assert_broken(struct world *w)
{
	assert_int_equal(w->store.lost, 1);
	assert_non_null(w->store.broken);
	assert_false(channel_connected(w->store.channel));
	assert_int_equal(w->store.asked, 0);
}

static void nonsense_breaks_the_channel(void **state)
{
	struct world *w = *state;

	join_raw(w, true);
	send_raw(w, BYTES("\x01\x00\x02garbage"));
	assert_broken(w);
}

static void an_unknown_kind_breaks_the_channel(void **state)
{
	struct world *w = *state;

	join_raw(w, true);
	send_raw(w, BYTES("\xff"));
	assert_broken(w);
}

static void no_hello_breaks_the_channel(void **state)
{
	struct world *w = *state;
	struct ask a = {.kind = ASK_ROUTE, .route.rcpt = BYTES("ken@example.test")};
	struct buf out = {0};

	join_raw(w, false);
	ask_encode(&a, &out);
	send_raw(w, buf_bytes(&out));
	assert_broken(w);
	buf_done(&out);
}

static void another_table_breaks_the_channel(void **state)
{
	struct world *w = *state;
	struct buf out = {0};

	join_raw(w, false);
	frame_hello(&out, MX, 0);
	out.ptr[out.start + 3] ^= 1; /* of the hash */
	send_raw(w, buf_bytes(&out));
	assert_broken(w);
	buf_done(&out);
}

static void another_role_s_hello_breaks_the_channel(void **state)
{
	struct world *w = *state;
	struct buf out = {0};

	join_raw(w, false);
	frame_hello(&out, ACCESS, 0);
	send_raw(w, buf_bytes(&out));
	assert_broken(w);
	buf_done(&out);
}

static void an_answer_to_nothing_breaks_the_channel(void **state)
{
	struct world *w = *state;
	struct answer answer = {.kind = ASK_ROUTE, .number = 1, .result = DENIED};
	struct buf out = {0};

	join_raw(w, true);
	answer_encode(&answer, &out);
	send_raw(w, buf_bytes(&out));
	assert_broken(w);
	buf_done(&out);
}

static void more_asks_than_the_cap_break_the_channel(void **state)
{
	struct world *w = *state;
	struct buf out = {0};

	join_raw(w, true);
	w->store.silent = true;
	for (uint32_t i = 0; i <= LIMIT_ASKS_CHANNEL; i++) {
		struct ask a = {
		        .kind = ASK_ROUTE, .number = i, .route.rcpt = BYTES("ken@example.test")};

		buf_clear(&out);
		ask_encode(&a, &out);
		assert_int_equal(socket_send(w->raw, buf_bytes(&out)), OK);
		loop_step(w->loop, false);
	}
	settle(w);
	assert_int_equal(w->store.asked, LIMIT_ASKS_CHANNEL);
	assert_int_equal(w->store.lost, 1);
	assert_non_null(w->store.broken);
	buf_done(&out);
}

/* Who asks and asks and reads no answer has more open than the cap: the answers must not pile up for it. */
static void answers_that_nobody_reads_count(void **state)
{
	enum { MANY = 5000 };
	struct world *w = *state;
	struct buf out = {0};

	join_raw(w, true);
	for (uint32_t i = 0; i < MANY && !w->store.lost; i++) {
		struct ask a = {
		        .kind = ASK_ROUTE, .number = i, .route.rcpt = BYTES("ken@example.test")};

		buf_clear(&out);
		ask_encode(&a, &out);
		assert_int_equal(socket_send(w->raw, buf_bytes(&out)), OK);
		loop_step(w->loop, false);
	}
	assert_int_equal(w->store.lost, 1);
	assert_non_null(w->store.broken);
	buf_done(&out);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        CASE(an_ask_is_answered),
	        CASE(neither_side_blocks),
	        CASE(big_answers_wait_in_the_sender),
	        CASE(death_answers_all_with_lost),
	        CASE(a_new_peer_is_attached),
	        CASE(without_a_peer_all_is_unavailable),
	        CASE(asks_wait_for_hello),
	        CASE(asks_do_not_wait_for_ever),
	        CASE(a_quiet_end_is_greeted_by_later),
	        CASE(answers_that_nobody_reads_count),
	        CASE(events_are_merged_while_the_way_is_full),
	        CASE(nonsense_breaks_the_channel),
	        CASE(an_unknown_kind_breaks_the_channel),
	        CASE(no_hello_breaks_the_channel),
	        CASE(another_table_breaks_the_channel),
	        CASE(another_role_s_hello_breaks_the_channel),
	        CASE(an_answer_to_nothing_breaks_the_channel),
	        CASE(more_asks_than_the_cap_break_the_channel),
	};

	return TEST_MAIN(tests);
}
