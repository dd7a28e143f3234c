#include "../test.h"

#include "base/encode.h"
#include "crypto/digest.h"
#include "crypto/password.h"

static const uint8_t key[PASSWORD_SEAL_KEY] = "0123456789abcdef0123456789abcde";
static const uint8_t other_key[PASSWORD_SEAL_KEY] = "another key that opens nothing";
#define LABEL BYTES("test")

static struct bytes from_base64(struct buf *out, const char *text)
{
	assert_int_equal(decode_base64(bytes_of_text(text), out), OK);
	return buf_bytes(out);
}

/* The whole exchange of RFC 7677, 3. */
static void test_scram_rfc7677(void **state)
{
	struct bytes auth = BYTES("n=user,r=rOprNGfwEbeRWgbNEkqO,"
	                          "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
	                          "s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,"
	                          "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0");
	struct buf salt = {0}, proof = {0}, signature = {0};
	uint8_t got[PASSWORD_KEY];
	struct scram_keys keys;
	struct bytes p;

	scram_keys_make(BYTES("pencil"),
	                (const uint8_t *)from_base64(&salt, "W22ZaJ0SNY7soEsUEjb6gQ==").ptr, 4096,
	                &keys);
	p = from_base64(&proof, "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=");
	assert_true(scram_proof_matches(&keys, auth, p));
	scram_signature(&keys, auth, got);
	from_base64(&signature, "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
	assert_memory_equal(got, buf_bytes(&signature).ptr, PASSWORD_KEY);
	/* One bit of the proof, another message, a short proof: all wrong. */
	((char *)p.ptr)[5] ^= 1;
	assert_false(scram_proof_matches(&keys, auth, p));
	((char *)p.ptr)[5] ^= 1;
	assert_false(scram_proof_matches(&keys, bytes_skip(auth, 1), p));
	assert_false(scram_proof_matches(&keys, auth, bytes_skip(p, 1)));
	buf_done(&salt);
	buf_done(&proof);
	buf_done(&signature);
}

static void test_credential(void **state)
{
	struct credential c;

	assert_int_equal(password_credential_make(BYTES(""), true, &c), INVALID);
	assert_int_equal(password_credential_make(bytes_of(key, LIMIT_PASSWORD + 1), true, &c),
	                 TOO_BIG);
	assert_int_equal(password_credential_make(BYTES("飛脚 secret"), false, &c), OK);
	assert_true(password_matches(&c, BYTES("飛脚 secret")));
	assert_false(password_matches(&c, BYTES("飛脚 secreT")));
	assert_false(password_matches(&c, BYTES("")));
	assert_int_equal(c.plain_len, 0);
	assert_non_null(strstr(c.hash, "$argon2id$v=19$m=19456,t=2,p=1$"));
	password_credential_wipe(&c);
}

/* The same work for an unknown user: a hash with the same parameters, which libsodium takes as valid and
 * no password opens. */
static void test_nobody(void **state)
{
	assert_false(password_matches_nobody(BYTES("x")));
	assert_false(password_matches_nobody(BYTES("")));
}

static void test_seal(void **state)
{
	struct credential c, back;
	struct buf sealed = {0};

	assert_int_equal(password_credential_make(BYTES("secret"), true, &c), OK);
	password_credential_seal(&c, key, LABEL, &sealed);
	assert_int_equal(bytes_find(buf_bytes(&sealed), BYTES("secret")), BYTES_NONE);
	assert_int_equal(password_credential_open(buf_bytes(&sealed), key, LABEL, &back), OK);
	assert_string_equal(back.hash, c.hash);
	assert_memory_equal(&back.scram, &c.scram, sizeof(c.scram));
	assert_int_equal(back.plain_len, 6);
	assert_memory_equal(back.plain, "secret", 6);
	assert_int_equal(password_credential_open(buf_bytes(&sealed), other_key, LABEL, &back),
	                 DAMAGED);
	assert_int_equal(password_credential_open(buf_bytes(&sealed), key, BYTES("x"), &back),
	                 DAMAGED);
	/* Any octet changed, any end cut off. */
	for (size_t i = 0; i < buf_len(&sealed); i++) {
		sealed.ptr[i] ^= 0x20;
		assert_int_equal(password_credential_open(buf_bytes(&sealed), key, LABEL, &back),
		                 DAMAGED);
		sealed.ptr[i] ^= 0x20;
		assert_int_equal(password_credential_open(bytes_first(buf_bytes(&sealed), i), key,
		                                          LABEL, &back),
		                 DAMAGED);
	}
	buf_done(&sealed);
}

/* Sealing the same twice shows nothing of it: the nonce is new. */
static void test_seal_nonce(void **state)
{
	struct credential c;
	struct buf a = {0}, b = {0};

	assert_int_equal(password_credential_make(BYTES("secret"), false, &c), OK);
	password_credential_seal(&c, key, LABEL, &a);
	password_credential_seal(&c, key, LABEL, &b);
	assert_int_equal(buf_len(&a), buf_len(&b));
	assert_memory_not_equal(buf_bytes(&a).ptr + 25, buf_bytes(&b).ptr + 25, buf_len(&a) - 25);
	buf_done(&a);
	buf_done(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_scram_rfc7677), cmocka_unit_test(test_credential),
	        cmocka_unit_test(test_nobody),        cmocka_unit_test(test_seal),
	        cmocka_unit_test(test_seal_nonce),
	};

	crypto_warm();
	return TEST_MAIN(tests);
}
