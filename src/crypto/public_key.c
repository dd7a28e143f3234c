#include "crypto/public_key.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "base/memory.h"
#include "crypto/openssl.h"

enum { ED25519 = 32, DER_MAX = 2048 };

struct public_key {
	EVP_PKEY *key;
};

static enum result keep(EVP_PKEY *key, struct public_key **ret)
{
	*ret = NEW(struct public_key);
	(*ret)->key = key;
	return OK;
}

/* As RFC 6376 says (RSAPublicKey), and as everybody does (its erratum 3017). */
static EVP_PKEY *read_der(struct bytes der)
{
	const unsigned char *at = (const unsigned char *)der.ptr, *end = at + der.len;
	EVP_PKEY *key = d2i_PUBKEY(NULL, &at, (long)der.len);

	if (!key) {
		at = (const unsigned char *)der.ptr;
		key = d2i_PublicKey(EVP_PKEY_RSA, NULL, &at, (long)der.len);
	}
	if (key && at != end) {
		EVP_PKEY_free(key);
		key = NULL;
	}
	ERR_clear_error();
	return key;
}

/* A long exponent makes a verification as dear as a signature; with 1 everybody can sign. */
static bool is_served(EVP_PKEY *key)
{
	BIGNUM *e = NULL;
	bool good = EVP_PKEY_is_a(key, "RSA") && EVP_PKEY_get_bits(key) <= PUBLIC_KEY_BITS &&
	            EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_E, &e) == 1 &&
	            BN_num_bits(e) <= PUBLIC_KEY_EXPONENT && BN_num_bits(e) >= 2 && BN_is_odd(e);

	BN_free(e);
	ERR_clear_error();
	return good;
}

enum result public_key_parse_rsa(struct bytes der, struct public_key **ret, struct why *why)
{
	EVP_PKEY *key = der.len > 0 && der.len <= DER_MAX ? read_der(der) : NULL;

	if (!key)
		return why_set(why, INVALID, "not a public key in DER");
	if (is_served(key))
		return keep(key, ret);
	EVP_PKEY_free(key);
	return why_set(why, INVALID, "not an RSA key of at most %d bits with a common exponent",
	               PUBLIC_KEY_BITS);
}

enum result public_key_parse_ed25519(struct bytes raw, struct public_key **ret, struct why *why)
{
	EVP_PKEY *key = raw.len == ED25519
	                        ? EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL,
	                                                      (const unsigned char *)raw.ptr,
	                                                      raw.len)
	                        : NULL;

	ERR_clear_error();
	if (!key)
		return why_set(why, INVALID, "an Ed25519 key has %d octets, not %zu", ED25519,
		               raw.len);
	return keep(key, ret);
}

void public_key_free(struct public_key **k)
{
	if (*k)
		EVP_PKEY_free((*k)->key);
	memory_free(*k);
	*k = NULL;
}

unsigned public_key_bits(const struct public_key *k)
{
	return EVP_PKEY_is_a(k->key, "RSA") ? (unsigned)EVP_PKEY_get_bits(k->key) : 256;
}

static const unsigned char *octets(struct bytes b)
{
	return (const unsigned char *)(b.len ? b.ptr : "");
}

static bool verify_rsa(EVP_PKEY *key, const EVP_MD *md, struct bytes digest, struct bytes signature)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL);
	bool good = ctx && EVP_PKEY_verify_init(ctx) == 1 &&
	            EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PADDING) == 1 &&
	            EVP_PKEY_CTX_set_signature_md(ctx, md) == 1 &&
	            EVP_PKEY_verify(ctx, octets(signature), signature.len, octets(digest),
	                            digest.len) == 1;

	EVP_PKEY_CTX_free(ctx);
	return good;
}

static bool verify_ed25519(EVP_PKEY *key, struct bytes digest, struct bytes signature)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool good = ctx && EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, key) == 1 &&
	            EVP_DigestVerify(ctx, octets(signature), signature.len, octets(digest),
	                             digest.len) == 1;

	EVP_MD_CTX_free(ctx);
	return good;
}

bool public_key_verify(const struct public_key *k, enum public_key_scheme scheme,
                       struct bytes digest, struct bytes signature)
{
	bool rsa = EVP_PKEY_is_a(k->key, "RSA"), good = false;

	if (rsa && scheme != PUBLIC_KEY_ED25519)
		good = verify_rsa(k->key, scheme == PUBLIC_KEY_RSA_SHA1 ? EVP_sha1() : EVP_sha256(),
		                  digest, signature);
	else if (!rsa && scheme == PUBLIC_KEY_ED25519)
		good = verify_ed25519(k->key, digest, signature);
	ERR_clear_error();
	return good;
}
