#include "config_test.h"

struct pair {
	const char *in, *out; /* NULL: INVALID */
};

static const struct pair pairs[] = {
        {"Ken@Example.TEST", "ken@example.test"},
        {"\"Ken\"@example.test", "ken@example.test"},
        {"\"ken sato\"@example.test", "\"ken sato\"@example.test"},
        {"\"a\\\"b\"@x.test", "\"a\\\"b\"@x.test"},
        {"\"a\\b\"@x.test", "ab@x.test"},
        {"\"a@b\"@x.test", "\"a@b\"@x.test"},
        {"\"\"@x.test", "\"\"@x.test"},
        {"o'neil+tag@x.test", "o'neil+tag@x.test"},
        {"\xe4\xbd\x90\xe8\x97\xa4@example.test", "\xe4\xbd\x90\xe8\x97\xa4@example.test"},
        /* Japanese domain; and the same in A-labels */
        {"a@\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e.test", "a@xn--wgv71a119e.test"},
        {"a@XN--WGV71A119E.test", "a@xn--wgv71a119e.test"},
        /* full-width full stop separates labels; a decomposed u-umlaut composes; case folds */
        {"a@\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e\xef\xbc\x8etest", "a@xn--wgv71a119e.test"},
        {"U\xcc\x88nal@x.test", "\xc3\xbcnal@x.test"},
        {"\xc3\x9cNAL@x.test", "\xc3\xbcnal@x.test"},
        {"a@my_host.test", "a@my_host.test"},
        {"a@[192.0.2.1]", "a@[192.0.2.1]"},
        {"a@[IPv6:2001:DB8:0::1]", "a@[IPv6:2001:db8::1]"},
        {"postmaster", "postmaster"},
        {"a@[2001:db8::1]", NULL},
        {"a@[IPv6:192.0.2.1]", NULL},
        {"a@[192.0.2.1", NULL},
        {"a@xn---", NULL},
        {"a@xn--99999999999999", NULL},
        {"a@", NULL},
        {"@a", NULL},
        {"", NULL},
        {"a b@x.test", NULL},
        {".a@x.test", NULL},
        {"a.@x.test", NULL},
        {"a..b@x.test", NULL},
        {"a@x..test", NULL},
        {"a@.test", NULL},
        {"a@test.", NULL},
        {"a@-x.test", NULL},
        {"a@x-.test", NULL},
        {"a@b@c", NULL},
        {"\"a@x.test", NULL},
        {"\"a\"b@x.test", NULL},
        {"\"a\nb\"@x.test", NULL},
        {"a\xff@x.test", NULL},
        {"a@x\xff.test", NULL},
        {"a@b,c", NULL},
        {"a@b c", NULL},
};

static void test_canonical(void **state)
{
	struct arena arena = {0};

	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		struct bytes out = {0};
		enum result r = config_address_canonical(bytes_of_text(pairs[i].in), &arena, &out);

		if (!pairs[i].out) {
			if (r == OK)
				fail_msg("%s was taken as %.*s", pairs[i].in, BYTES_ARG(out));
			continue;
		}
		if (r != OK || !bytes_equal(out, bytes_of_text(pairs[i].out)))
			fail_msg("%s became %.*s (%d)", pairs[i].in, BYTES_ARG(out), r);
	}
	arena_done(&arena);
}

/* What is canonical stays as it is. */
static void test_idempotent(void **state)
{
	struct arena arena = {0};
	struct bytes out;

	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		if (!pairs[i].out)
			continue;
		assert_int_equal(
		        config_address_canonical(bytes_of_text(pairs[i].out), &arena, &out), OK);
		assert_true(bytes_equal(out, bytes_of_text(pairs[i].out)));
	}
	arena_done(&arena);
}

static void test_lengths(void **state)
{
	struct arena arena = {0};
	struct bytes out;
	char text[400];

	memset(text, 'a', sizeof(text));
	memcpy(text + 64, "@x.test", 7);
	assert_int_equal(config_address_canonical(bytes_of(text, 71), &arena, &out), OK);
	memset(text, 'a', sizeof(text));
	memcpy(text + 65, "@x.test", 7);
	assert_int_equal(config_address_canonical(bytes_of(text, 72), &arena, &out), TOO_BIG);
	memset(text, 'a', sizeof(text));
	text[1] = '@';
	assert_int_equal(config_address_canonical(bytes_of(text, 65), &arena, &out), OK);
	assert_int_equal(config_address_canonical(bytes_of(text, 66), &arena, &out), INVALID);
	assert_int_equal(config_address_canonical(bytes_of(text, 400), &arena, &out), TOO_BIG);
	arena_done(&arena);
}

static void test_tidy(void **state)
{
	struct arena arena = {0};
	struct bytes out;

	assert_int_equal(config_address_tidy(BYTES("Ken@Far.TEST"), &arena, &out), OK);
	assert_true(bytes_equal(out, BYTES("Ken@far.test")));
	arena_done(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_canonical),
	        cmocka_unit_test(test_idempotent),
	        cmocka_unit_test(test_lengths),
	        cmocka_unit_test(test_tidy),
	};

	return TEST_MAIN(tests);
}
