#include "../test.h"

#include "base/log.h"

static char written[4096];

static void keep(void *context, struct bytes line)
{
	snprintf(written, sizeof(written), "%.*s", BYTES_ARG(line));
}

static void nobody_forges_a_line(void **state)
{
	struct log log = {.write = keep, .who = "mx[1]"};

	log_line(&log, 1795424400123, "smtp-refused", "rcpt=<%s>", "a\r\nb\x7f");
	assert_string_equal(
	        written, "2026-11-23T09:00:00.123Z mx[1] smtp-refused rcpt=<a\\x0d\\x0ab\\x7f>\n");
}

/* Who reads the log on a terminal obeys nobody's control characters, in whatever they are written. */
static void nobody_moves_the_reader_s_cursor(void **state)
{
	struct log log = {.write = keep, .who = "mx"};

	log_line(&log, 1795424400123, "smtp-refused", "%s",
	         "\xe9\xa3\x9b \xc2\x9b"
	         "31m \x9b"
	         "31m \xff \xe9\xa3 \xe2\x80\xae.");
	assert_string_equal(written, "2026-11-23T09:00:00.123Z mx smtp-refused \xe9\xa3\x9b "
	                             "\\xc2\\x9b31m \\x9b31m \\xff \\xe9\\xa3 \\xe2\\x80\\xae.\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(nobody_forges_a_line),
	        cmocka_unit_test(nobody_moves_the_reader_s_cursor),
	};
	return TEST_MAIN(tests);
}
