#include "../test.h"

#include "base/map.h"

/* Against a plain array as the model, with removals that close gaps. */
static void behaves_like_an_array(void **state)
{
	static int values[500];
	bool there[500] = {0};
	struct map m = {0};
	uint32_t random = 1;

	for (int step = 0; step < 50000; step++) {
		random = random * 1664525 + 1013904223;
		unsigned key = (random >> 8) % 500;
		void *old = random & 0x80000000 ? map_put_u64(&m, key, &values[key])
		                                : map_remove_u64(&m, key);

		assert_ptr_equal(old, there[key] ? &values[key] : NULL);
		there[key] = random & 0x80000000;
	}
	for (unsigned key = 0; key < 500; key++)
		assert_ptr_equal(map_get_u64(&m, key), there[key] ? &values[key] : NULL);
	map_done(&m);
}

static void walking_sees_each_once(void **state)
{
	struct map m = {0};
	struct map_entry *e;
	size_t at = 0;
	int seen = 0, value;

	assert_null(map_each(&m, &at));
	map_put(&m, BYTES("a"), &value);
	map_put(&m, BYTES(""), &value);
	map_put(&m, BYTES("a\0b"), &value);
	while ((e = map_each(&m, &at)))
		seen++;
	assert_int_equal(seen, 3);
	assert_ptr_equal(map_get(&m, BYTES("a\0b")), &value);
	map_done(&m);
}

static void the_seed_changes_the_hash(void **state)
{
	uint64_t before = map_hash(BYTES("key"));

	map_seed((const uint8_t *)"0123456789abcdef");
	assert_true(map_hash(BYTES("key")) != before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(behaves_like_an_array),
	        cmocka_unit_test(walking_sees_each_once),
	        cmocka_unit_test(the_seed_changes_the_hash),
	};
	return TEST_MAIN(tests);
}
