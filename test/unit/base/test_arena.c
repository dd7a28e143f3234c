#include "../test.h"

#include "base/arena.h"

static void pieces_do_not_touch(void **state)
{
	struct arena a = {0};
	struct bytes pieces[400];
	char text[300];

	for (size_t i = 0; i < 400; i++) {
		memset(text, 'a' + (int)(i % 26), sizeof(text));
		pieces[i] = arena_copy(&a, bytes_of(text, i % sizeof(text)));
	}
	for (size_t i = 0; i < 400; i++) {
		memset(text, 'a' + (int)(i % 26), sizeof(text));
		assert_bytes(pieces[i], bytes_of(text, i % sizeof(text)));
	}
	assert_true(a.total > 40000);
	arena_reset(&a);
	assert_int_equal(a.total, 0);
	assert_bytes(arena_printf(&a, "%s-%d", "x", 1), BYTES("x-1"));
	assert_string_equal(arena_text(&a, BYTES("abc")), "abc");
	arena_done(&a);
}

static void pieces_are_zero_and_aligned_after_reset(void **state)
{
	struct arena a = {0};

	memset(arena_get(&a, 100), 0xff, 100);
	arena_reset(&a);
	for (size_t size = 1; size < 40; size++) {
		const char *p = arena_get(&a, size);

		assert_int_equal((uintptr_t)p % 16, 0);
		for (size_t i = 0; i < size; i++)
			assert_int_equal(p[i], 0);
	}
	arena_done(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(pieces_do_not_touch),
	        cmocka_unit_test(pieces_are_zero_and_aligned_after_reset),
	};
	return TEST_MAIN(tests);
}
