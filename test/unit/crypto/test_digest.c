#include "../test.h"

#include "base/encode.h"
#include "crypto/digest.h"

static void assert_hex(const uint8_t *got, size_t len, const char *want)
{
	struct buf out = {0};

	encode_hex(&out, bytes_of(got, len));
	buf_append_char(&out, '\0');
	assert_string_equal(buf_bytes(&out).ptr, want);
	buf_done(&out);
}

/* FIPS 180-4 and RFC 1321's own examples. */
static void test_hashes(void **state)
{
	uint8_t sha[DIGEST_SHA256], md5[DIGEST_MD5];

	digest_sha256(BYTES("abc"), sha);
	assert_hex(sha, sizeof(sha),
	           "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	digest_sha256((struct bytes){0}, sha);
	assert_hex(sha, sizeof(sha),
	           "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
	digest_md5(BYTES("message digest"), md5);
	assert_hex(md5, sizeof(md5), "f96b697d7cb7938d525a2f31aaf161d0");
}

/* RFC 4231, 4.3, and RFC 2195's example. */
static void test_hmac(void **state)
{
	uint8_t sha[DIGEST_SHA256], md5[DIGEST_MD5];

	digest_hmac_sha256(BYTES("Jefe"), BYTES("what do ya want for nothing?"), sha);
	assert_hex(sha, sizeof(sha),
	           "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
	digest_hmac_md5(BYTES("tanstaaftanstaaf"),
	                BYTES("<1896.697170952@postoffice.reston.mci.net>"), md5);
	assert_hex(md5, sizeof(md5), "b913a602c7eda7a495b4e6e7334d3890");
}

static void test_pieces(void **state)
{
	struct digest *d = digest_new();
	uint8_t sha[DIGEST_SHA256];

	digest_add(d, BYTES("a"));
	digest_add(d, (struct bytes){0});
	digest_add(d, BYTES("bc"));
	digest_finish(&d, sha);
	assert_null(d);
	assert_hex(sha, sizeof(sha),
	           "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_hashes),
	        cmocka_unit_test(test_hmac),
	        cmocka_unit_test(test_pieces),
	};

	crypto_warm();
	return TEST_MAIN(tests);
}
