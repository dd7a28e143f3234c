#include "../test.h"

#include "imap/uidset.h"

static void expect(const struct uidset *set, const char *want)
{
	struct buf out = {0};

	uidset_print(set, &out);
	assert_bytes(buf_bytes(&out), bytes_of_text(want));
	buf_done(&out);
}

static void joins_what_touches(void **state)
{
	struct uidset set = {0};

	uidset_add(&set, 5);
	uidset_add(&set, 7);
	expect(&set, "5,7");
	uidset_add(&set, 6);
	expect(&set, "5:7");
	uidset_add_range(&set, 1, 2);
	uidset_add_range(&set, 10, 20);
	expect(&set, "1:2,5:7,10:20");
	uidset_add_range(&set, 2, 11);
	expect(&set, "1:20");
	uidset_add_range(&set, UINT32_MAX - 1, UINT32_MAX);
	uidset_add(&set, UINT32_MAX);
	expect(&set, "1:20,4294967294:4294967295");
	assert_int_equal(uidset_members(&set), 22);
	uidset_done(&set);
}

static void knows_its_members(void **state)
{
	struct uidset set = {0};

	uidset_add_range(&set, 3, 4);
	uidset_add(&set, 9);
	assert_false(uidset_has(&set, 2));
	assert_true(uidset_has(&set, 3));
	assert_true(uidset_has(&set, 4));
	assert_false(uidset_has(&set, 5));
	assert_true(uidset_has(&set, 9));
	assert_false(uidset_has(&set, 10));
	assert_int_equal(uidset_find(&set, 5), 1);
	assert_int_equal(uidset_find(&set, 10), 2);
	uidset_done(&set);
}

static struct uidset set_of(uint64_t bits)
{
	struct uidset set = {0};

	for (uint32_t i = 0; i < 64; i++)
		if (bits >> i & 1)
			uidset_add(&set, i + 1);
	return set;
}

static uint64_t bits_of(const struct uidset *set)
{
	uint64_t bits = 0;

	for (uint32_t i = 0; i < 64; i++)
		if (uidset_has(set, i + 1))
			bits |= 1ull << i;
	for (size_t i = 1; i < set->count; i++)
		assert_true(set->ranges[i].first > set->ranges[i - 1].last + 1);
	return bits;
}

static uint64_t next_random(uint64_t *seed)
{
	*seed = *seed * 6364136223846793005u + 1442695040888963407u;
	return *seed ^ *seed >> 29;
}

static void agrees_with_bits(void **state)
{
	uint64_t seed = 1;

	for (int n = 0; n < 3000; n++) {
		uint64_t a = next_random(&seed), b = next_random(&seed);
		struct uidset x, y, both = {0}, rest = {0};

		if (n % 3 == 0)
			a |= next_random(&seed) | next_random(&seed);
		x = set_of(a);
		y = set_of(b);
		uidset_intersect(&x, &y, &both);
		uidset_subtract(&x, &y, &rest);
		assert_int_equal(bits_of(&x), a);
		assert_int_equal(bits_of(&both), a & b);
		assert_int_equal(bits_of(&rest), a & ~b);
		for (size_t i = 0; i < y.count; i++)
			uidset_add_range(&x, y.ranges[i].first, y.ranges[i].last);
		assert_int_equal(bits_of(&x), a | b);
		uidset_done(&x);
		uidset_done(&y);
		uidset_done(&both);
		uidset_done(&rest);
	}
}

static void packs_and_unpacks(void **state)
{
	struct uidset set = set_of(0xf00f), again = {0};
	struct buf packed = {0};

	uidset_pack(set.ranges, set.count, &packed);
	assert_int_equal(uidset_unpack(buf_bytes(&packed), &again), OK);
	assert_int_equal(bits_of(&again), 0xf00f);
	assert_int_equal(uidset_unpack(bytes_first(buf_bytes(&packed), 7), &again), INVALID);
	assert_int_equal(again.count, 0);
	buf_clear(&packed);
	buf_u32(&packed, 5);
	buf_u32(&packed, 4);
	assert_int_equal(uidset_unpack(buf_bytes(&packed), &again), INVALID);
	buf_done(&packed);
	uidset_done(&set);
	uidset_done(&again);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(joins_what_touches),
	        cmocka_unit_test(knows_its_members),
	        cmocka_unit_test(agrees_with_bits),
	        cmocka_unit_test(packs_and_unpacks),
	};

	return TEST_MAIN(tests);
}
