#include "../test.h"

#include "base/limits.h"
#include "imap/name.h"

static struct arena arena;

static int forget(void **state)
{
	arena_done(&arena);
	return 0;
}

static void converts_utf7(void **state)
{
	static const struct {
		const char *utf7, *utf8;
	} pairs[] = {
	        {"INBOX", "INBOX"},
	        {"Tom &- Jerry", "Tom & Jerry"},
	        {"~peter/mail/&U,BTFw-/&ZeVnLIqe-",
	         "~peter/mail/\xe5\x8f\xb0\xe5\x8c\x97/\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e"},
	        {"p&AOQA5A-", "p\xc3\xa4\xc3\xa4"},
	        {"&2D3eAA-", "\xf0\x9f\x98\x80"},
	        {"a&AOQ-&-b", "a\xc3\xa4&b"},
	};

	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		struct buf out = {0};

		assert_int_equal(name_from_utf7(bytes_of_text(pairs[i].utf7), &out), OK);
		assert_bytes(buf_bytes(&out), bytes_of_text(pairs[i].utf8));
		buf_clear(&out);
		name_to_utf7(bytes_of_text(pairs[i].utf8), &out);
		assert_bytes(buf_bytes(&out), bytes_of_text(pairs[i].utf7));
		buf_done(&out);
	}
}

/* RFC 3501, 5.1.3: one form a name, so what no encoder writes is refused. */
static void refuses_other_utf7(void **state)
{
	static const char *const bad[] = {"&",     "&x",    "&'+,-", "&AGE-", "&AOQ", "&AOQ-&AOQ-",
	                                  "&AOR-", "&2D0-", "&3gA-", "&A-",   "\xff"};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct buf out = {0};

		if (name_from_utf7(bytes_of_text(bad[i]), &out) != INVALID)
			fail_msg("%s", bad[i]);
		assert_int_equal(buf_len(&out), 0);
		buf_done(&out);
	}
}

static void reads_names(void **state)
{
	static const struct {
		const char *in;
		bool utf8;
		const char *want; /* NULL: refused */
	} cases[] = {
	        {"inbox", false, "INBOX"},
	        {"InBox/x", false, "INBOX/x"},
	        {"inboxes", false, "inboxes"},
	        {"a/b/", false, "a/b"},
	        {"&ZeVnLIqe-", false, "\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e"},
	        {"&ZeVnLIqe-", true, "&ZeVnLIqe-"},
	        {"a\xcc\x88", true, "\xc3\xa4"},
	        {"", false, NULL},
	        {"/", false, NULL},
	        {"/a", false, NULL},
	        {"a//b", false, NULL},
	        {"a\tb", false, NULL},
	        {"&x", false, NULL},
	        {"\xff", true, NULL},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct bytes got;
		enum result r = name_read(bytes_of_text(cases[i].in), cases[i].utf8, &arena, &got);

		if ((r == OK) != (cases[i].want != NULL))
			fail_msg("%s", cases[i].in);
		if (r == OK)
			assert_bytes(got, bytes_of_text(cases[i].want));
	}
	char longest[LIMIT_MAILBOX_NAME + 1];
	struct bytes got;
	memset(longest, 'x', sizeof(longest));
	assert_int_equal(name_read(bytes_of(longest, sizeof(longest)), true, &arena, &got),
	                 TOO_BIG);
}

static void matches_patterns(void **state)
{
	static const struct {
		const char *name, *pattern;
		bool want;
	} cases[] = {
	        {"INBOX", "*", true},
	        {"INBOX", "%", true},
	        {"INBOX", "inbox", true},
	        {"INBOX", "iN%", true},
	        {"a/b", "%", false},
	        {"a/b", "*", true},
	        {"a/b", "a/%", true},
	        {"a/b/c", "a/%", false},
	        {"a/b/c", "a/*c", true},
	        {"a/b/c", "%/%/%", true},
	        {"a/b/c", "%c", false},
	        {"a/bc/c", "*b%/c", true},
	        {"foo", "f%o", true},
	        {"foo", "f%x", false},
	        {"", "", true},
	        {"foo", "", false},
	        {"foo", "foo*", true},
	        {"foo", "foo%", true},
	        {"a/x/test", "*test", true},
	        {"a/x/test2", "*test", false},
	        {"Foo", "foo", false},
	        {"a/b/c/d", "a*%/d", true},
	        {"ab/cb", "*%b", true},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (name_matches(bytes_of_text(cases[i].name), bytes_of_text(cases[i].pattern)) !=
		    cases[i].want)
			fail_msg("%s %s", cases[i].name, cases[i].pattern);
}

/* Patterns that made simple matchers take for ever. */
static void matches_in_bounded_time(void **state)
{
	char name[1000], pattern[1000];

	memset(name, 'a', sizeof(name));
	for (size_t i = 0; i < sizeof(pattern); i++)
		pattern[i] = "a*%a"[i % 4];
	pattern[sizeof(pattern) - 1] = 'b';
	assert_false(
	        name_matches(bytes_of(name, sizeof(name)), bytes_of(pattern, sizeof(pattern))));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(converts_utf7),
	        cmocka_unit_test(refuses_other_utf7),
	        cmocka_unit_test_teardown(reads_names, forget),
	        cmocka_unit_test(matches_patterns),
	        cmocka_unit_test(matches_in_bounded_time),
	};

	return TEST_MAIN(tests);
}
