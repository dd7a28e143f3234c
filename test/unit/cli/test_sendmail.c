/* The sendmail command's view of a header: bare addresses get a domain in place, and nothing else is touched. */
#include "../test.h"

#include "cli/sendmail.h"

static struct bytes qualified(const char *value, const char *own, struct buf *out)
{
	buf_clear(out);
	sendmail_header_qualify(bytes_of_text(value), BYTES("d.test"), BYTES("root"),
	                        bytes_of_text(own), out);
	return buf_bytes(out);
}

static void test_qualify(void **state)
{
	static const struct {
		const char *value, *want;
	} cases[] = {
	        {"", ""},
	        {" ken", " ken@d.test"},
	        {" ken ", " ken@d.test "},
	        {" ken@x.test", " ken@x.test"},
	        {" ken, mari@x.test,yuki", " ken@d.test, mari@x.test,yuki@d.test"},
	        {" <ken>", " <ken@d.test>"},
	        {" Ken S <ken>", " Ken S <ken@d.test>"},
	        {" Ken S <ken@x.test>", " Ken S <ken@x.test>"},
	        {" \"a, <b>\" <ken>", " \"a, <b>\" <ken@d.test>"},
	        {" ken (a, (b) \\) c)", " ken@d.test (a, (b) \\) c)"},
	        {" (c) ken", " (c) ken@d.test"},
	        {" Team: ken, mari;", " Team: ken@d.test, mari@d.test;"},
	        {" undisclosed-recipients:;", " undisclosed-recipients:;"},
	        {" two words", " two words"},
	        {" \"ken\"", " \"ken\""},
	        {" <>", " <>"},
	        {" <@relay.test:ken>", " <@relay.test:ken>"},
	        {" Ken <ken> trailing", " Ken <ken@d.test> trailing"},
	        {" ken,\r\n\tmari", " ken@d.test,\r\n\tmari@d.test"},
	        {" (unclosed", " (unclosed"},
	        {" \"unclosed", " \"unclosed"},
	        {" <unclosed", " <unclosed"},
	        {" root", " root@d.test"},
	};
	struct buf out = {0};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		assert_bytes(qualified(cases[i].value, "", &out), bytes_of_text(cases[i].want));
	/* The caller's own name becomes his sender. */
	assert_bytes(qualified(" root (Cron)", "ops@x.test", &out), BYTES(" ops@x.test (Cron)"));
	assert_bytes(qualified(" A <root>, ken", "ops@x.test", &out),
	             BYTES(" A <ops@x.test>, ken@d.test"));
	assert_bytes(qualified(" root@x.test", "ops@x.test", &out), BYTES(" root@x.test"));
	buf_done(&out);
}

static uint32_t random_next(uint32_t *seed)
{
	*seed = *seed * 1664525 + 1013904223;
	return *seed >> 8;
}

/* Whatever stands there: without what was put in, it is what it was. */
static void test_nothing_else_is_touched(void **state)
{
	static const char letters[] = "ab,;:<>()\"\\ @.\r\n\t";
	struct buf out = {0}, back = {0};
	uint32_t seed = 7;

	for (int round = 0; round < 20000; round++) {
		char value[64];
		size_t len = random_next(&seed) % sizeof(value);
		struct bytes rest, in = bytes_of(value, len);
		size_t at;

		for (size_t i = 0; i < len; i++)
			value[i] = letters[random_next(&seed) % (sizeof(letters) - 1)];
		buf_clear(&out);
		buf_clear(&back);
		sendmail_header_qualify(in, BYTES("\1"), BYTES("root"), (struct bytes){0}, &out);
		for (rest = buf_bytes(&out); (at = bytes_find(rest, BYTES("@\1"))) != BYTES_NONE;
		     rest = bytes_skip(rest, at + 2))
			buf_append(&back, bytes_first(rest, at));
		buf_append(&back, rest);
		assert_bytes(buf_bytes(&back), in);
	}
	buf_done(&out);
	buf_done(&back);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_qualify),
	        cmocka_unit_test(test_nothing_else_is_touched),
	};

	return TEST_MAIN(tests);
}
