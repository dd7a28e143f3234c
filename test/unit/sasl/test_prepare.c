#include "../test.h"

#include "base/limits.h"
#include "sasl/prepare.h"

struct row {
	const char *in, *out; /* out NULL: forbidden */
};

static void check(enum result (*prepare)(struct bytes, struct arena *, struct bytes *),
                  const struct row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct arena arena = {0};
		struct bytes got = {0};
		enum result r = prepare(bytes_of_text(rows[i].in), &arena, &got);

		if (!rows[i].out && r != INVALID)
			fail_msg("row %zu \"%s\" is allowed", i, rows[i].in);
		if (rows[i].out && r != OK)
			fail_msg("row %zu \"%s\" is forbidden", i, rows[i].in);
		if (rows[i].out)
			assert_bytes(got, bytes_of_text(rows[i].out));
		arena_done(&arena);
	}
}

/* RFC 8265, 3.5 (tables 1 and 2), for UsernameCaseMapped, and what Japanese keyboards make. */
static void test_usernames(void **state)
{
	static const struct row rows[] = {
	        {"juliet@example.com", "juliet@example.com"},
	        {"Ken@Example.TEST", "ken@example.test"},
	        {"fussball", "fussball"},
	        {"fu\xc3\x9f"
	         "ball",
	         "fu\xc3\x9f"
	         "ball"},                 /* sharp s stays */
	        {"\xcf\x80", "\xcf\x80"}, /* pi */
	        {"\xce\xa3", "\xcf\x83"}, /* SIGMA -> sigma */
	        {"\xcf\x83", "\xcf\x83"},
	        {"\xcf\x82", "\xcf\x82"}, /* final sigma stays */
	        {"foo bar", NULL},        /* a space */
	        {"", NULL},
	        {"henry\xe2\x85\xa3", NULL}, /* Roman numeral four: compatibility */
	        {"\xe2\x88\x9e", NULL},      /* infinity: a symbol */
	        {"a\x01", NULL},
	        {"a\x7f", NULL},
	        {"ken\xe3\x80\x80", NULL},        /* an ideographic space */
	        {"\xe5\x81\xa5", "\xe5\x81\xa5"}, /* 健 */
	        {"\xe3\x81\x9f\xe3\x82\x8d\xe3\x81\x86", "\xe3\x81\x9f\xe3\x82\x8d\xe3\x81\x86"},
	        /* full-width Ｋｅｎ＠ -> ken@ */
	        {"\xef\xbc\xab\xef\xbd\x85\xef\xbd\x8e\xef\xbc\xa0", "ken@"},
	        /* half-width ｹﾝ -> ケン; ﾀﾞ (two code points) -> ダ (composed) */
	        {"\xef\xbd\xb9\xef\xbe\x9d", "\xe3\x82\xb1\xe3\x83\xb3"},
	        {"\xef\xbe\x80\xef\xbe\x9e", "\xe3\x83\x80"},
	        /* か + combining mark -> が */
	        {"\xe3\x81\x8b\xe3\x82\x99", "\xe3\x81\x8c"},
	        /* the katakana middle dot: among Japanese only (RFC 5892, A.7) */
	        {"\xe3\x82\xa2\xe3\x83\xbb\xe3\x82\xa4", "\xe3\x82\xa2\xe3\x83\xbb\xe3\x82\xa4"},
	        {"a\xe3\x83\xbb"
	         "b",
	         NULL},
	        {"l\xc2\xb7l", "l\xc2\xb7l"}, /* Catalan */
	        {"a\xc2\xb7l", NULL},
	        {"a\xe2\x80\x8d", NULL},                  /* a joiner behind nothing that joins */
	        {"a\xe2\x80\x8b", NULL},                  /* zero width space */
	        {"a\xef\xbf\xbf", NULL},                  /* a noncharacter */
	        {"a\xcd\xb8", NULL},                      /* U+0378: unassigned */
	        {"\xe1\x84\x80", NULL},                   /* an old Hangul jamo */
	        {"\xd7\x90\xd7\x91", "\xd7\x90\xd7\x91"}, /* Hebrew */
	        {"a\xd7\x90", NULL},                      /* mixed directions (RFC 5893) */
	        {"\xd9\xa0\xdb\xb1\xd8\xa7", NULL},       /* two kinds of Arabic digits */
	        {"a\xff", NULL},
	        {"a\xc0\x80", NULL},
	};

	check(prepare_username, rows, sizeof(rows) / sizeof(*rows));
}

/* RFC 8265, 4.3 (tables 3 and 4). */
static void test_passwords(void **state)
{
	static const struct row rows[] = {
	        {"correct horse battery staple", "correct horse battery staple"},
	        {"Correct Horse Battery Staple", "Correct Horse Battery Staple"},
	        {"\xcf\x80\xc3\x9f\xc3\xa5", "\xcf\x80\xc3\x9f\xc3\xa5"},
	        {"Jack of \xe2\x99\xa6s", "Jack of \xe2\x99\xa6s"},
	        {"foo\xe1\x9a\x80"
	         "bar",
	         "foo bar"}, /* OGHAM SPACE MARK */
	        {"", NULL},
	        {"my cat is a \x09 by", NULL},
	        {"\xe9\xa3\x9b\xe8\x84\x9a\xe3\x80\x80\xe5\xaf\x86",
	         "\xe9\xa3\x9b\xe8\x84\x9a \xe5\xaf\x86"},
	        /* が typed as two code points is が; widths stay as typed */
	        {"\xe3\x81\x8b\xe3\x82\x99", "\xe3\x81\x8c"},
	        {"\xef\xbc\xb0", "\xef\xbc\xb0"},
	        {"\xe2\x85\xa3", "\xe2\x85\xa3"},
	        {"caf\x65\xcc\x81", "caf\xc3\xa9"},
	        {"a\xe2\x80\x8b", NULL},
	        {"a\xc2\x85", NULL},
	        {"a\xcd\xb8", NULL},
	        {"\xff", NULL},
	};

	check(prepare_password, rows, sizeof(rows) / sizeof(*rows));
}

static void test_limits(void **state)
{
	char long_text[LIMIT_PASSWORD + 2];
	struct arena arena = {0};
	struct bytes got;

	for (size_t i = 0; i < sizeof(long_text); i++)
		long_text[i] = 'a';
	assert_int_equal(prepare_username(bytes_of(long_text, LIMIT_USER), &arena, &got), OK);
	assert_int_equal(prepare_username(bytes_of(long_text, LIMIT_USER + 1), &arena, &got),
	                 TOO_BIG);
	assert_int_equal(prepare_password(bytes_of(long_text, LIMIT_PASSWORD), &arena, &got), OK);
	assert_int_equal(prepare_password(bytes_of(long_text, LIMIT_PASSWORD + 1), &arena, &got),
	                 TOO_BIG);
	/* U+0344 grows when it is normalised: the result counts. */
	for (size_t i = 0; i + 2 <= LIMIT_PASSWORD; i += 2) {
		long_text[i] = (char)0xcd;
		long_text[i + 1] = (char)0x84;
	}
	assert_int_equal(prepare_password(bytes_of(long_text, LIMIT_PASSWORD), &arena, &got),
	                 TOO_BIG);
	arena_done(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_usernames),
	        cmocka_unit_test(test_passwords),
	        cmocka_unit_test(test_limits),
	};

	prepare_warm();
	return TEST_MAIN(tests);
}
