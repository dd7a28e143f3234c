#include "../test.h"

#include "base/buf.h"
#include "base/wire.h"

static void numbers_come_back(void **state)
{
	struct buf b = {0};
	struct wire w;

	buf_u8(&b, 0xfe);
	buf_u16(&b, 0xfedc);
	buf_u32(&b, 0xfedcba98);
	buf_u64(&b, 0xfedcba9876543210);
	buf_block(&b, BYTES("name"));
	w = wire_of(buf_bytes(&b));
	assert_int_equal(wire_u8(&w), 0xfe);
	assert_int_equal(wire_u16(&w), 0xfedc);
	assert_int_equal(wire_u32(&w), 0xfedcba98);
	assert_true(wire_u64(&w) == 0xfedcba9876543210);
	assert_bytes(wire_block(&w), BYTES("name"));
	assert_true(wire_end(&w));
	assert_false(w.bad);
	buf_done(&b);
}

static void reading_beyond_the_end_sticks(void **state)
{
	struct wire w = wire_of(BYTES("\0\0\0\5abc"));

	assert_int_equal(wire_block(&w).len, 0);
	assert_true(w.bad);
	assert_int_equal(wire_u8(&w), 0);
	assert_true(w.bad);
}

static void front_is_used_up_while_the_end_grows(void **state)
{
	struct buf b = {0};
	unsigned next_in = 0, next_out = 0;

	for (int round = 0; round < 3000; round++) {
		for (int n = 0; n < 7; n++)
			buf_u32(&b, next_in++);
		for (int n = 0; n < (round % 2 ? 8 : 5); n++) {
			struct wire w = wire_of(buf_bytes(&b));

			assert_int_equal(wire_u32(&w), next_out++);
			buf_consume(&b, 4);
		}
	}
	assert_true(b.size <= 64 * 1024);
	buf_done(&b);
	assert_int_equal(buf_len(&b), 0);
}

static void printing_and_cutting(void **state)
{
	struct buf b = {0};

	buf_printf(&b, "%d %s\r\n", 250, "ok");
	assert_bytes(buf_bytes(&b), BYTES("250 ok\r\n"));
	buf_truncate(&b, 3);
	assert_bytes(buf_bytes(&b), BYTES("250"));
	buf_done(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(numbers_come_back),
	        cmocka_unit_test(reading_beyond_the_end_sticks),
	        cmocka_unit_test(front_is_used_up_while_the_end_grows),
	        cmocka_unit_test(printing_and_cutting),
	};
	return TEST_MAIN(tests);
}
