/* Authentication-Results: how it is written, whatever strangers put into it, and which of a mail's own claim to be ours. */
#include "../test.h"

#include "base/arena.h"
#include "verify/authres.h"

static void expect(const struct authres_row *rows, size_t count, const char *want)
{
	struct buf out = {0};

	authres_put(BYTES("mx.test"), rows, count, &out);
	assert_bytes(buf_bytes(&out), bytes_of_text(want));
	buf_done(&out);
}

static void test_form(void **state)
{
	const struct authres_row rows[] = {
	        {.method = "spf",
	         .result = "pass",
	         .properties = {{"smtp", "mailfrom", BYTES("a@b.test")}, {"smtp", "helo", {0}}}},
	        {.method = "dkim",
	         .result = "fail",
	         .reason = BYTES("the body was changed"),
	         .properties = {{"header", "d", BYTES("b.test")},
	                        {"header", "b", BYTES("ab+/cd==")}}},
	        {.method = "iprev",
	         .result = "pass",
	         .properties = {{"policy", "iprev", BYTES("2001:db8::1")}}},
	};

	expect(rows, 0, "Authentication-Results: mx.test; none\r\n");
	expect(rows, 1,
	       "Authentication-Results: mx.test;\r\n\tspf=pass smtp.mailfrom=a@b.test\r\n");
	expect(rows, 3,
	       "Authentication-Results: mx.test;\r\n"
	       "\tspf=pass smtp.mailfrom=a@b.test;\r\n"
	       "\tdkim=fail reason=\"the body was changed\" header.d=b.test\r\n"
	       "\theader.b=\"ab+/cd==\";\r\n"
	       "\tiprev=pass policy.iprev=\"2001:db8::1\"\r\n");
}

/* Nothing may end the line, the quotes or the field. */
static void test_hostile_values(void **state)
{
	static const struct {
		const char *value, *want;
	} cases[] = {
	        {"a b@c.test", "\"a b@c.test\""},
	        {"\"a;b\"@c.test", "\"\\\"a;b\\\"@c.test\""},
	        {"x\r\nBcc: y@z.test", "\"x??Bcc: y@z.test\""},
	        {"a\\", "\"a\\\\\""},
	        {"a;dkim=pass", "\"a;dkim=pass\""},
	        {"(a", "\"(a\""},
	        {"@b.test", "@b.test"},
	        {"\xe9\x85\x92@b.test", "\xe9\x85\x92@b.test"},
	        {"\xe9\xff@b.test", "\"??@b.test\""},
	        {"\x7f", "\"?\""},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct authres_row row = {
		        .method = "spf",
		        .result = "fail",
		        .reason = bytes_of_text(cases[i].value),
		        .properties = {{"smtp", "mailfrom", bytes_of_text(cases[i].value)}}};
		struct buf out = {0};
		struct bytes text;
		size_t at;

		authres_put(BYTES("mx.test"), &row, 1, &out);
		text = buf_bytes(&out);
		at = bytes_find(text, BYTES("smtp.mailfrom="));
		text = bytes_skip(text, at + 14);
		assert_bytes(bytes_first(text, text.len - 2), bytes_of_text(cases[i].want));
		buf_done(&out);
	}
}

static void test_long_values_are_cut_and_lines_folded(void **state)
{
	char value[1000];
	struct authres_row row = {
	        .method = "spf",
	        .result = "none",
	        .properties = {{"smtp", "mailfrom", bytes_of(value, sizeof(value))},
	                       {"smtp", "helo", BYTES("h.test")}}};
	struct buf out = {0};

	memset(value, 'x', sizeof(value));
	memcpy(value + AUTHRES_VALUE - 1, "\xe9\x85\x92", 3);
	authres_put(BYTES("mx.test"), &row, 1, &out);
	assert_true(bytes_find(buf_bytes(&out), BYTES("xx\r\n\tsmtp.helo=h.test\r\n")) !=
	            BYTES_NONE);
	assert_true(buf_len(&out) < AUTHRES_VALUE + 100);
	buf_done(&out);
}

static const struct {
	const char *value;
	bool ours;
} claims[] = {
        {" mx.test; spf=pass", true},
        {"mx.test", true},
        {"MX.Test;none", true},
        {"\r\n\tmx.test;\r\n\tspf=pass", true},
        {" (a (nested) comment) mx.test (more) 1; none", true},
        {"(\\) mx.other) mx.test;", true},
        {"\"mx.test\"; spf=pass", true},
        {"\"mx\\.test\";", true},
        {"mx.test.; none", true},
        {"mx.test 1; none", true},
        /* so broken that nobody can tell */
        {"(mx.test; spf=pass", true},
        {"\"mx.test; spf=pass", true},
        {"mx.test spf=pass", true},
        {"mx.test/1; spf=pass", true},
        {"=mx.test; spf=pass", true},
        {" mx.other.test; spf=pass smtp.helo=mx.test", false},
        {"xmx.test; spf=pass", false},
        {"mx.tes; spf=pass", false},
        {"(mx.test) other.test; none", false},
        {"\"mx.tes\"; none", false},
        {"\"mx.testx\"; none", false},
        {"mx.test.other; none", false},
        {"", false},
        {"()", false},
        {"(other", false},
};

static void test_claims(void **state)
{
	for (size_t i = 0; i < sizeof(claims) / sizeof(claims[0]); i++) {
		bool ours = authres_is_ours(bytes_of_text(claims[i].value), BYTES("mx.test"));

		if (ours != claims[i].ours)
			print_error("%s\n", claims[i].value);
		assert_int_equal(ours, claims[i].ours);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_form),
	        cmocka_unit_test(test_hostile_values),
	        cmocka_unit_test(test_long_values_are_cut_and_lines_folded),
	        cmocka_unit_test(test_claims),
	};

	return TEST_MAIN(tests);
}
