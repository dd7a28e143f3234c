#include "../test.h"

#include "base/encode.h"

/* RFC 4648, 10 */
static void base64_vectors(void **state)
{
	static const char *const pairs[][2] = {{"", ""},
	                                       {"f", "Zg=="},
	                                       {"fo", "Zm8="},
	                                       {"foo", "Zm9v"},
	                                       {"foob", "Zm9vYg=="},
	                                       {"fooba", "Zm9vYmE="},
	                                       {"foobar", "Zm9vYmFy"}};
	struct buf b = {0};

	for (size_t i = 0; i < sizeof(pairs) / sizeof(*pairs); i++) {
		buf_clear(&b);
		encode_base64(&b, bytes_of_text(pairs[i][0]));
		assert_bytes(buf_bytes(&b), bytes_of_text(pairs[i][1]));
		buf_clear(&b);
		assert_int_equal(decode_base64(bytes_of_text(pairs[i][1]), &b), OK);
		assert_bytes(buf_bytes(&b), bytes_of_text(pairs[i][0]));
	}
	buf_done(&b);
}

static void loose_base64_is_refused(void **state)
{
	static const char *const bad[] = {
	        "Zg", "Zg=", "Zh==", "Zm9=", "Zg==Zg==", "Z g=", "====", "Zm9v\n", "=Zm9"};
	struct buf b = {0};

	buf_append(&b, BYTES("kept"));
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_int_equal(decode_base64(bytes_of_text(bad[i]), &b), INVALID);
	assert_bytes(buf_bytes(&b), BYTES("kept"));
	buf_done(&b);
}

static void hex(void **state)
{
	struct buf b = {0};

	encode_hex(&b, BYTES("\x00\xff\x1a"));
	assert_bytes(buf_bytes(&b), BYTES("00ff1a"));
	buf_clear(&b);
	assert_int_equal(decode_hex(BYTES("00Ff1a"), &b), OK);
	assert_bytes(buf_bytes(&b), BYTES("\x00\xff\x1a"));
	assert_int_equal(decode_hex(BYTES("0"), &b), INVALID);
	assert_int_equal(decode_hex(BYTES("0g"), &b), INVALID);
	buf_done(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(base64_vectors),
	        cmocka_unit_test(loose_base64_is_refused),
	        cmocka_unit_test(hex),
	};
	return TEST_MAIN(tests);
}
