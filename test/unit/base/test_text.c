#include "../test.h"

#include "base/text.h"

static void every_scalar_value_comes_back(void **state)
{
	char out[4];
	uint32_t got;

	for (uint32_t code = 0; code <= 0x10ffff; code++) {
		if (code >= 0xd800 && code <= 0xdfff)
			continue;
		int len = text_utf8_put(out, code);

		assert_int_equal(text_utf8_next(bytes_of(out, (size_t)len), &got), len);
		assert_int_equal(got, code);
		assert_int_equal(text_utf8_next(bytes_of(out, (size_t)len - 1), &got),
		                 len == 1 ? 0 : -1);
	}
}

static void ill_formed_is_refused(void **state)
{
	static const char *const bad[] = {"\xc0\x80",
	                                  "\xc1\xbf",
	                                  "\xe0\x80\x80",
	                                  "\xed\xa0\x80",
	                                  "\xf0\x80\x80\x80",
	                                  "\xf4\x90\x80\x80",
	                                  "\xf5\x80\x80\x80",
	                                  "\x80",
	                                  "\xff",
	                                  "a\xe3\x81"};

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_false(text_is_utf8(bytes_of_text(bad[i])));
	assert_true(text_is_utf8(BYTES("飛脚 hikyaku")));
	assert_true(text_is_utf8(BYTES("")));
	assert_false(text_is_ascii(BYTES("12345678\x80")));
	assert_false(text_is_ascii(BYTES("1234\x80"
	                                 "5678")));
	assert_true(text_is_ascii(BYTES("123456789")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(every_scalar_value_comes_back),
	        cmocka_unit_test(ill_formed_is_refused),
	};
	return TEST_MAIN(tests);
}
