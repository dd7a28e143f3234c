/* The small parts that fronts and keeper are made of: deadlines, the fair queue, penalties. */
#include "../test.h"

#include "base/map.h"
#include "roles/deadlines.h"
#include "roles/fair.h"
#include "roles/penalty.h"

static unsigned seed = 1;

static unsigned some(unsigned most)
{
	seed = seed * 1103515245 + 12345;
	return (seed >> 8) % most;
}

/* A heap against the plain way: the earliest of an array. */
static void deadlines_come_in_order(void **state)
{
	enum { N = 300 };
	struct deadlines d = {0};
	struct deadline all[N] = {0};

	for (int round = 0; round < 3000; round++) {
		struct deadline *e = &all[some(N)];
		time_ms next = TIME_NEVER;

		deadlines_set(&d, e, some(4) ? (time_ms)some(1000) : TIME_NEVER);
		for (int i = 0; i < N; i++)
			if (all[i].place && all[i].at < next)
				next = all[i].at;
		assert_true(deadlines_next(&d) == next);
		if (some(5) == 0 && next != TIME_NEVER) {
			assert_null(deadlines_due(&d, next - 1));
			e = deadlines_due(&d, next);
			assert_true(e->at == next && e->place == 0);
		}
	}
	deadlines_done(&d);
	assert_true(deadlines_next(&d) == TIME_NEVER);
}

static struct ip network(uint8_t n)
{
	struct ip ip = {{n}};

	return ip;
}

/* A flood from one network and a single login from another: the single one is second, not last. */
static void nobody_waits_for_a_flood(void **state)
{
	struct fair f = {0};
	struct fair_entry flood[FAIR_ROOM - 1], one = {.network = network(2)};

	for (size_t i = 0; i < FAIR_ROOM - 1; i++) {
		flood[i] = (struct fair_entry){.network = network(1)};
		assert_null(fair_put(&f, &flood[i]));
	}
	assert_null(fair_put(&f, &one));
	assert_ptr_equal(fair_take(&f), &flood[0]);
	assert_ptr_equal(fair_take(&f), &one);
	for (size_t i = 1; i < FAIR_ROOM - 1; i++)
		assert_ptr_equal(fair_take(&f), &flood[i]);
	assert_null(fair_take(&f));
}

/* Full: who asks most is put out, and only the flood's own newcomers are refused. */
static void a_full_queue_refuses_who_asks_most(void **state)
{
	struct fair f = {0};
	struct fair_entry flood[FAIR_ROOM + 1], others[3];

	for (size_t i = 0; i < FAIR_ROOM; i++) {
		flood[i] = (struct fair_entry){.network = network(1)};
		assert_null(fair_put(&f, &flood[i]));
	}
	flood[FAIR_ROOM] = (struct fair_entry){.network = network(1)};
	assert_ptr_equal(fair_put(&f, &flood[FAIR_ROOM]), &flood[FAIR_ROOM]);
	for (size_t i = 0; i < 3; i++) {
		others[i] = (struct fair_entry){.network = network((uint8_t)(i + 2))};
		assert_ptr_equal(fair_put(&f, &others[i]), &flood[FAIR_ROOM - 1 - i]);
	}
	assert_ptr_equal(fair_take(&f), &flood[0]);
	for (size_t i = 0; i < 3; i++)
		assert_ptr_equal(fair_take(&f), &others[i]);
	assert_int_equal(f.count, FAIR_ROOM - 4);
}

/* Turns go on from where the queue is: who comes late does not overtake all rounds of the past. */
static void rounds_go_on(void **state)
{
	struct fair f = {0};
	struct fair_entry a[20], b[20];

	for (size_t i = 0; i < 20; i++) {
		a[i] = (struct fair_entry){.network = network(1)};
		assert_null(fair_put(&f, &a[i]));
	}
	for (size_t i = 0; i < 10; i++)
		assert_ptr_equal(fair_take(&f), &a[i]);
	for (size_t i = 0; i < 5; i++) {
		b[i] = (struct fair_entry){.network = network(2)};
		assert_null(fair_put(&f, &b[i]));
	}
	/* b's first has the round that is under way, then they alternate. */
	assert_ptr_equal(fair_take(&f), &b[0]);
	for (size_t i = 0; i < 4; i++) {
		assert_ptr_equal(fair_take(&f), &a[10 + i]);
		assert_ptr_equal(fair_take(&f), &b[1 + i]);
	}
	assert_ptr_equal(fair_take(&f), &a[14]);
}

static void penalties_double_and_are_forgotten(void **state)
{
	static struct penalties p;
	struct bytes key = BYTES("192.0.2.1"), other = BYTES("192.0.2.2");
	static const time_ms want[] = {0, 0, 0, 500, 1000, 2000, 4000, 5000, 5000};
	time_ms now = 1000000;

	for (size_t i = 0; i < sizeof(want) / sizeof(*want); i++) {
		assert_true(penalty_of(&p, key, now, 5000) == want[i]);
		penalty_add(&p, key, now);
	}
	assert_true(penalty_of(&p, other, now, 5000) == 0);
	/* Nine failures; one is forgotten in ten minutes. */
	assert_true(penalty_of(&p, key, now + 5 * PENALTY_FORGET_MS, 5000) == 1000);
	assert_true(penalty_of(&p, key, now + 100 * PENALTY_FORGET_MS, 5000) == 0);
	penalty_clear(&p, key);
	assert_true(penalty_of(&p, key, now, 5000) == 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(deadlines_come_in_order),
	        cmocka_unit_test(nobody_waits_for_a_flood),
	        cmocka_unit_test(a_full_queue_refuses_who_asks_most),
	        cmocka_unit_test(rounds_go_on),
	        cmocka_unit_test(penalties_double_and_are_forgotten),
	};

	return TEST_MAIN(tests);
}
