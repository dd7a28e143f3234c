#include "../test.h"

#include "ask/ask.h"
#include "imap/token.h"

static struct arena arena;

static int forget(void **state)
{
	arena_done(&arena);
	return 0;
}

static struct cursor on(const char *text)
{
	return cursor_of(bytes_of_text(text), &arena);
}

static void reads_strings(void **state)
{
	static const struct {
		const char *in, *want; /* want NULL: refused */
	} cases[] = {
	        {"atom]x rest", "atom]x"},
	        {"\"quoted\"", "quoted"},
	        {"\"a \\\"b\\\" \\\\\"", "a \"b\" \\"},
	        {"\"\"", ""},
	        {"{5}\r\nhello rest", "hello"},
	        {"{5+}\r\nhel\r\n", "hel\r\n"},
	        {"{0}\r\n", ""},
	        {"\"\xe3\x81\x82\"", "\xe3\x81\x82"},
	        {"\"no end", NULL},
	        {"\"bad \\n\"", NULL},
	        {"\"line\r\nend\"", NULL},
	        {"\"\xff\"", NULL},
	        {"{6}\r\nhello", NULL},
	        {"{5}hello", NULL},
	        {"{}\r\n", NULL},
	        {"{-1}\r\n", NULL},
	        {"{99999999999999999999}\r\n", NULL},
	        {"(", NULL},
	        {"", NULL},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct cursor c = on(cases[i].in);
		struct bytes got;
		bool good = token_astring(&c, &got);

		if (good != (cases[i].want != NULL))
			fail_msg("%s", cases[i].in);
		if (good)
			assert_bytes(got, bytes_of_text(cases[i].want));
		else
			assert_non_null(c.why);
	}
}

static void reads_literal_heads(void **state)
{
	struct literal_head head;

	assert_true(token_literal_head(BYTES("a LOGIN {11}"), &head));
	assert_int_equal(head.size, 11);
	assert_int_equal(head.at, 8);
	assert_true(head.sync);
	assert_true(token_literal_head(BYTES("a APPEND x ~{12+}"), &head));
	assert_false(head.sync);
	assert_true(head.literal8);
	assert_int_equal(head.at, 11);
	assert_false(token_literal_head(BYTES("a LOGIN {11} "), &head));
	assert_false(token_literal_head(BYTES("a LOGIN {1x}"), &head));
	assert_false(token_literal_head(BYTES("a LOGIN 11}"), &head));
	assert_false(token_literal_head(BYTES(""), &head));
}

static void reads_sequence_sets(void **state)
{
	struct cursor c = on("2,4:7,9,12:*,*:4 rest");
	struct sequence_set set;

	assert_true(token_sequence_set(&c, &set));
	assert_int_equal(set.count, 5);
	assert_int_equal(set.ranges[1].first, 4);
	assert_int_equal(set.ranges[1].last, 7);
	assert_int_equal(set.ranges[3].last, UINT32_MAX);
	assert_int_equal(set.ranges[4].first, UINT32_MAX);
	c = on("$");
	assert_true(token_sequence_set(&c, &set));
	assert_true(set.saved);
	static const char *const bad[] = {"",  "0",   "1,",         "1:", ":1",
	                                  "a", "1:0", "4294967296", "-1"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		c = on(bad[i]);
		if (token_sequence_set(&c, &set))
			fail_msg("%s", bad[i]);
	}
}

static void reads_flags(void **state)
{
	struct cursor c = on("(\\Seen $Junk \\DELETED x)");
	struct flag_words words;

	assert_true(token_flags(&c, false, &words));
	assert_int_equal(words.system, MAIL_SEEN | MAIL_DELETED);
	assert_bytes(words.keywords, BYTES("\0\0\0\5$Junk\0\0\0\1x"));
	c = on("()");
	assert_true(token_flags(&c, false, &words));
	assert_int_equal(words.system, 0);
	c = on("\\Flagged $a");
	assert_true(token_flags(&c, true, &words));
	assert_int_equal(words.system, MAIL_FLAGGED);
	static const char *const bad[] = {"(\\Recent)", "(\\Foo)", "(\\Seen", "(\\Seen )",
	                                  "(a  b)"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		c = on(bad[i]);
		if (token_flags(&c, false, &words))
			fail_msg("%s", bad[i]);
	}
	c = on("\\Seen");
	assert_false(token_flags(&c, false, &words));
}

static void reads_dates(void **state)
{
	struct cursor c = on("\"17-Jul-1996 02:44:25 -0700\"");
	time_ms t;

	assert_true(token_date_time(&c, &t));
	assert_int_equal(t / 1000, 837596665);
	c = on("\" 1-feb-2000 00:00:00 +0900\"");
	assert_true(token_date_time(&c, &t));
	assert_int_equal(t / 1000, 949330800);
	c = on("1-Feb-1994");
	assert_true(token_date(&c, &t));
	assert_int_equal(t / 1000, 760060800);
	c = on("\"29-Feb-2024\"");
	assert_true(token_date(&c, &t));
	static const char *const bad[] = {"30-Feb-2024", "29-Feb-2023", "1-Foo-2020",
	                                  "0-Jan-2020",  "32-Jan-2020", "1-Jan-20",
	                                  "1 Jan 2020",  "\"1-Jan-2020"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		c = on(bad[i]);
		if (token_date(&c, &t))
			fail_msg("%s", bad[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_teardown(reads_strings, forget),
	        cmocka_unit_test_teardown(reads_literal_heads, forget),
	        cmocka_unit_test_teardown(reads_sequence_sets, forget),
	        cmocka_unit_test_teardown(reads_flags, forget),
	        cmocka_unit_test_teardown(reads_dates, forget),
	};

	return TEST_MAIN(tests);
}
