#include "../test.h"

#include "base/time.h"

static void every_day_of_four_centuries_comes_back(void **state)
{
	int weekday = 5; /* 1600-01-01 was a Saturday */

	for (time_ms t = -11676096000000; t < 13569465600000; t += 86400000) {
		struct time_civil c = time_to_civil(t, 0);

		weekday = (weekday + 1) % 7;
		assert_int_equal(c.weekday, weekday);
		assert_true(time_from_civil(&c) == t);
	}
}

static void written_forms(void **state)
{
	char out[TIME_TEXT];

	time_format_rfc3339(1795424400123, out);
	assert_string_equal(out, "2026-11-23T09:00:00.123Z");
	time_format_rfc5322(1795424400123, 540, out);
	assert_string_equal(out, "Mon, 23 Nov 2026 18:00:00 +0900");
	time_format_rfc5322(1795424400123, -210, out);
	assert_string_equal(out, "Mon, 23 Nov 2026 05:30:00 -0330");
	time_format_rfc3339(-1, out);
	assert_string_equal(out, "1969-12-31T23:59:59.999Z");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(every_day_of_four_centuries_comes_back),
	        cmocka_unit_test(written_forms),
	};
	return TEST_MAIN(tests);
}
