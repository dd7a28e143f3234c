#include "../test.h"

static void finding(void **state)
{
	struct bytes b = BYTES("abcabc");

	assert_int_equal(bytes_find(b, BYTES("ca")), 2);
	assert_true(bytes_find(b, BYTES("cc")) == BYTES_NONE);
	assert_int_equal(bytes_find_nocase(b, BYTES("BCA")), 1);
	assert_int_equal(bytes_find_last(b, 'a'), 3);
	assert_true(bytes_find_char((struct bytes){0}, 'a') == BYTES_NONE);
}

static void cutting_gives_every_part(void **state)
{
	struct bytes rest = BYTES("a,,b"), part;

	assert_true(bytes_cut(&rest, ',', &part));
	assert_bytes(part, BYTES("a"));
	assert_true(bytes_cut(&rest, ',', &part));
	assert_bytes(part, BYTES(""));
	assert_true(bytes_cut(&rest, ',', &part));
	assert_bytes(part, BYTES("b"));
	assert_false(bytes_cut(&rest, ',', &part));
}

static void numbers_have_bounds(void **state)
{
	uint64_t n = 7;

	assert_int_equal(bytes_to_u64(BYTES("18446744073709551615"), UINT64_MAX, &n), OK);
	assert_true(n == UINT64_MAX);
	n = 7;
	assert_int_equal(bytes_to_u64(BYTES("18446744073709551616"), UINT64_MAX, &n), TOO_BIG);
	assert_int_equal(bytes_to_u64(BYTES("101"), 100, &n), TOO_BIG);
	assert_int_equal(bytes_to_u64(BYTES("9"), 3, &n), TOO_BIG);
	assert_int_equal(bytes_to_u64(BYTES(""), 100, &n), INVALID);
	assert_int_equal(bytes_to_u64(BYTES("+1"), 100, &n), INVALID);
	assert_int_equal(n, 7);
	assert_int_equal(bytes_to_u64(BYTES("00"), 0, &n), OK);
	assert_int_equal(n, 0);
}

static void comparing(void **state)
{
	assert_true(bytes_equal_nocase(BYTES("MAIL from"), BYTES("mail FROM")));
	assert_false(bytes_equal_nocase(BYTES("mail"), BYTES("mai")));
	assert_true(bytes_compare(BYTES("a"), BYTES("ab")) < 0);
	assert_true(bytes_compare(BYTES("b"), BYTES("ab")) > 0);
	assert_true(bytes_starts_nocase(BYTES("RCPT TO:"), BYTES("rcpt to:")));
	assert_true(bytes_ends(BYTES("x.key"), BYTES(".key")));
	assert_false(bytes_ends(BYTES("key"), BYTES(".key")));
	assert_true(bytes_equal_secret(BYTES("s3"), BYTES("s3")));
	assert_false(bytes_equal_secret(BYTES("s3"), BYTES("s4")));
	assert_bytes(bytes_trim(BYTES(" \t a b\r\n")), BYTES("a b"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(finding),
	        cmocka_unit_test(cutting_gives_every_part),
	        cmocka_unit_test(numbers_have_bounds),
	        cmocka_unit_test(comparing),
	};
	return TEST_MAIN(tests);
}
