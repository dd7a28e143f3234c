/* Is it the network? Many unrelated silent hosts are; one dead host, however often tried, is not. */
#include "../test.h"

#include "policy/throttle.h"

enum { SECOND = 1000, MINUTE = 60 * SECOND };
static const time_ms start = 1795392000000;

static struct ip v4(unsigned network, unsigned host)
{
	return (struct ip){{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, (uint8_t)(network >> 8),
	                    (uint8_t)network, 0, (uint8_t)host}};
}

static struct ip v6(unsigned network)
{
	return (struct ip){{0x20, 0x01, (uint8_t)(network >> 8), (uint8_t)network, [15] = 1}};
}

static void add4(struct throttle *t, unsigned network, enum throttle_outcome outcome, time_ms now)
{
	struct ip ip = v4(network, 7);
	throttle_add(t, &ip, outcome, now);
}

static void one_dead_host_is_not_the_network(void **state)
{
	struct throttle t = {0};

	for (int i = 0; i < 200; i++) {
		struct ip ip = v4(900, (unsigned)i % 200);
		throttle_add(&t, &ip, THROTTLE_SILENT, start + i * SECOND);
		assert_int_equal(throttle_state(&t, start + i * SECOND), THROTTLE_FINE);
	}
}

static void a_few_dead_hosts_among_many_are_not(void **state)
{
	struct throttle t = {0};

	for (unsigned i = 0; i < 20; i++)
		add4(&t, 1000 + i, THROTTLE_ANSWERED, start + i * SECOND);
	for (unsigned i = 0; i < 5; i++)
		add4(&t, 2000 + i, THROTTLE_SILENT, start + (20 + i) * SECOND);
	assert_int_equal(throttle_state(&t, start + MINUTE), THROTTLE_FINE);
}

static void all_silent_is_closed(void **state)
{
	struct throttle t = {0};
	unsigned silent, answered;

	for (unsigned i = 0; i < 3; i++)
		add4(&t, 1000 + i, THROTTLE_SILENT, start + i);
	assert_int_equal(throttle_state(&t, start + 3), THROTTLE_FINE);
	add4(&t, 1003, THROTTLE_SILENT, start + 3);
	assert_int_equal(throttle_state(&t, start + 4), THROTTLE_CLOSED);
	throttle_count(&t, start + 4, &silent, &answered);
	assert_int_equal(silent, 4);
	assert_int_equal(answered, 0);
	assert_int_equal(t.since, start + 3);
}

static void some_answered_is_throttled(void **state)
{
	struct throttle t = {0};

	for (unsigned i = 0; i < 12; i++)
		add4(&t, 1000 + i, i % 2 ? THROTTLE_SILENT : THROTTLE_ANSWERED, start + i * SECOND);
	assert_int_equal(throttle_state(&t, start + 12 * SECOND), THROTTLE_PARTLY);
}

static void a_refusal_shows_that_packets_pass(void **state)
{
	struct throttle t = {0};

	for (unsigned i = 0; i < 12; i++)
		add4(&t, 1000 + i, THROTTLE_REFUSED, start + i * SECOND);
	assert_int_equal(throttle_state(&t, start + 12 * SECOND), THROTTLE_FINE);
}

static void it_ends_when_unrelated_hosts_answer(void **state)
{
	struct throttle t = {0};

	for (unsigned i = 0; i < 10; i++)
		add4(&t, 1000 + i, THROTTLE_SILENT, start + i);
	assert_int_equal(throttle_state(&t, start + 10), THROTTLE_CLOSED);
	for (unsigned i = 0; i < 7; i++) /* the same host again and again proves little */
		add4(&t, 2000, THROTTLE_ANSWERED, start + 20 + i);
	assert_int_equal(throttle_state(&t, start + 30), THROTTLE_PARTLY);
	for (unsigned i = 0; i < 3; i++)
		add4(&t, 2001 + i, THROTTLE_ANSWERED, start + 40 + i);
	assert_int_equal(throttle_state(&t, start + 50), THROTTLE_FINE);
	assert_int_equal(t.since, start + 42);
}

static void it_ends_when_nothing_is_tried(void **state)
{
	struct throttle t = {0};

	for (unsigned i = 0; i < 10; i++)
		add4(&t, 1000 + i, THROTTLE_SILENT, start + i);
	assert_int_equal(throttle_state(&t, start + THROTTLE_WINDOW_MS / 2), THROTTLE_CLOSED);
	assert_int_equal(throttle_state(&t, start + THROTTLE_WINDOW_MS + 20), THROTTLE_FINE);
}

static void broken_ipv6_is_not_throttling(void **state)
{
	struct throttle t = {0};

	for (unsigned i = 0; i < 10; i++) {
		struct ip ip = v6(100 + i);
		throttle_add(&t, &ip, THROTTLE_SILENT, start + i);
		add4(&t, 1000 + i, THROTTLE_ANSWERED, start + i);
	}
	assert_int_equal(throttle_state(&t, start + 20), THROTTLE_FINE);
	struct throttle only = {0};
	for (unsigned i = 0; i < 10; i++) {
		struct ip ip = v6(100 + i);
		throttle_add(&only, &ip, THROTTLE_SILENT, start + i);
	}
	assert_int_equal(throttle_state(&only, start + 20), THROTTLE_CLOSED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(one_dead_host_is_not_the_network),
	        cmocka_unit_test(a_few_dead_hosts_among_many_are_not),
	        cmocka_unit_test(all_silent_is_closed),
	        cmocka_unit_test(some_answered_is_throttled),
	        cmocka_unit_test(a_refusal_shows_that_packets_pass),
	        cmocka_unit_test(it_ends_when_unrelated_hosts_answer),
	        cmocka_unit_test(it_ends_when_nothing_is_tried),
	        cmocka_unit_test(broken_ipv6_is_not_throttling),
	};
	return TEST_MAIN(tests);
}
