#include "../test.h"

#include "imap/view.h"

static void numbers_by_gaps(void **state)
{
	struct view v = {0};

	assert_true(view_add_range(&v, 3, 5));
	assert_true(view_add(&v, 9));
	assert_false(view_add(&v, 9));
	assert_false(view_add(&v, 1));
	assert_int_equal(view_count(&v), 4);
	assert_int_equal(view_last(&v), 9);
	assert_int_equal(view_seq(&v, 5), 3);
	assert_int_equal(view_seq(&v, 9), 4);
	assert_int_equal(view_seq(&v, 6), 0);
	assert_int_equal(view_seq_from(&v, 6), 4);
	assert_int_equal(view_seq_from(&v, 1), 1);
	assert_int_equal(view_seq_from(&v, 10), 5);
	assert_int_equal(view_uid(&v, 1), 3);
	assert_int_equal(view_uid(&v, 4), 9);
	assert_int_equal(view_uid(&v, 5), 0);
	assert_int_equal(view_uid(&v, 0), 0);
	view_done(&v);
}

/* RFC 9051, 7.5.1: 3, 4, 7 and 11 go, each numbered as things stand then. */
static void expunges_one_after_another(void **state)
{
	struct view v = {0};
	struct uidset gone = {0};
	struct buf out = {0};

	view_add_range(&v, 101, 111);
	uidset_add_range(&gone, 103, 104);
	uidset_add(&gone, 107);
	uidset_add(&gone, 111);
	uidset_add(&gone, 500);
	assert_int_equal(view_remove(&v, &gone, &out), 4);
	assert_bytes(buf_bytes(&out),
	             BYTES("* 3 EXPUNGE\r\n* 3 EXPUNGE\r\n* 5 EXPUNGE\r\n* 8 EXPUNGE\r\n"));
	assert_int_equal(view_count(&v), 7);
	assert_int_equal(view_last(&v), 110);
	assert_int_equal(view_uid(&v, 3), 105);
	buf_done(&out);
	uidset_done(&gone);
	view_done(&v);
}

static uint32_t next_random(uint64_t *seed)
{
	*seed = *seed * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(*seed >> 33);
}

/* A list of UIDs is the model. */
static void agrees_with_a_list(void **state)
{
	uint32_t list[400];
	uint64_t seed = 7;

	for (int n = 0; n < 200; n++) {
		struct view v = {0};
		struct uidset gone = {0};
		struct buf out = {0};
		uint32_t count = 0, kept = 0, uid = 0;

		while (count < 400) {
			uid += next_random(&seed) % 3 ? 1 : 1 + next_random(&seed) % 4;
			list[count++] = uid;
			assert_true(view_add(&v, uid));
		}
		for (uint32_t i = 0; i < count; i++) {
			if (next_random(&seed) % 3 == 0)
				uidset_add(&gone, list[i]);
			else
				list[kept++] = list[i];
		}
		assert_int_equal(view_remove(&v, &gone, &out), count - kept);
		assert_int_equal(view_count(&v), kept);
		for (uint32_t i = 0; i < kept; i++) {
			assert_int_equal(view_uid(&v, i + 1), list[i]);
			assert_int_equal(view_seq(&v, list[i]), i + 1);
		}
		view_done(&v);
		uidset_done(&gone);
		buf_done(&out);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(numbers_by_gaps),
	        cmocka_unit_test(expunges_one_after_another),
	        cmocka_unit_test(agrees_with_a_list),
	};

	return TEST_MAIN(tests);
}
