/* Thresholds of the verdict: `judge` and `judge-for`. */
#include "config_test.h"

static void expect(const struct config *c, const char *rcpt, uint64_t junk, uint64_t refuse)
{
	uint64_t got_junk, got_refuse;

	config_judge_for(c, bytes_of_text(rcpt), &got_junk, &got_refuse);
	assert_int_equal(got_junk, junk);
	assert_int_equal(got_refuse, refuse);
}

static struct config *again(struct config *c)
{
	struct buf octets = {0};
	struct config *made = NULL;
	struct why why;

	config_encode(c, &octets);
	assert_int_equal(config_decode(buf_bytes(&octets), &made, &why), OK);
	buf_done(&octets);
	config_free(&c);
	return made;
}

static void test_defaults(void **state)
{
	struct config *c = parsed_conf("hostname a.test\n");

	expect(c, "ken@example.test", 500, 1200);
	config_free(&c);
}

static void test_the_nearest_counts(void **state)
{
	struct config *c = again(
	        parsed_conf("hostname a.test\n"
	                    "domain example.test other.test\n"
	                    "judge { junk 4.5\n refuse 10 }\n"
	                    "judge-for below { for .example.test\n junk 1 }\n"
	                    "judge-for house { for example.test\n refuse 0 }\n"
	                    "judge-for ken { for Ken@example.test\n junk 7.25 }\n"));

	expect(c, "ken@other.test", 450, 1000);
	expect(c, "mie@example.test", 450, 0);
	expect(c, "ken@example.test", 725, 1000);
	expect(c, "ken@lab.example.test", 100, 1000);
	config_free(&c);
}

static void test_what_is_wrong(void **state)
{
	static const char *const wrong[] = {
	        "judge { junk -1 }\n",
	        "judge { junk 5.123 }\n",
	        "judge { junk 6\n refuse 5 }\n",
	        "judge-for x { junk 5 }\n",
	        "judge-for x { for example.test\n refuse 1 }\n",
	        "judge-for x { for not..a.domain }\n",
	        "judge-for x { for a.test\n score 5 }\n",
	        "judge-for { for a.test }\n",
	        "judge-for x { for a.test\n",
	};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		struct buf text = {0};
		struct config *c = NULL;
		struct why why;
		struct config_source source = {.name = BYTES("hikyaku.conf")};

		buf_append_text(&text, "hostname a.test\n");
		buf_append_text(&text, wrong[i]);
		source.text = buf_bytes(&text);
		if (config_parse(&source, 1, &c, &why) != INVALID)
			fail_msg("accepted: %s", wrong[i]);
		buf_done(&text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_defaults),
	        cmocka_unit_test(test_the_nearest_counts),
	        cmocka_unit_test(test_what_is_wrong),
	};

	return TEST_MAIN(tests);
}
