/* What every unit test includes: cmocka in TAP, and comparing struct bytes. */
#ifndef TEST_UNIT_TEST_H
#define TEST_UNIT_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/bytes.h"

#define assert_bytes(got, want)                                                        \
	do {                                                                           \
		struct bytes got_ = (got), want_ = (want);                             \
		if (!bytes_equal(got_, want_)) {                                       \
			print_error("got  \"%.*s\"\nwant \"%.*s\"\n", BYTES_ARG(got_), \
			            BYTES_ARG(want_));                                 \
			fail();                                                        \
		}                                                                      \
	} while (0)

/* int main(void) { return TEST_MAIN(tests); } */
#define TEST_MAIN(tests) \
	(cmocka_set_message_output(CM_OUTPUT_TAP), cmocka_run_group_tests(tests, NULL, NULL))

#endif
