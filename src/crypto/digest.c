#include "crypto/digest.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "crypto/openssl.h"

struct digest {
	EVP_MD_CTX *ctx;
};

void crypto_die(const char *what)
{
	fprintf(stderr, "hikyaku: cryptography failed: %s\n", what);
	abort();
}

void crypto_warm(void)
{
	uint8_t scratch[DIGEST_SHA256];

	if (OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG | OPENSSL_INIT_LOAD_CRYPTO_STRINGS |
	                                OPENSSL_INIT_ADD_ALL_CIPHERS | OPENSSL_INIT_ADD_ALL_DIGESTS,
	                        NULL) != 1)
		crypto_die("OpenSSL does not start");
	if (sodium_init() < 0)
		crypto_die("libsodium does not start");
	if (RAND_bytes(scratch, sizeof scratch) != 1)
		crypto_die("no random octets");
	digest_hmac_sha256(BYTES("warm"), BYTES("up"), scratch);
	digest_hmac_md5(BYTES("warm"), BYTES("up"), scratch);
	remote_key_warm();
}

static void digest_once(const EVP_MD *md, struct bytes in, uint8_t *ret)
{
	if (EVP_Digest(in.len ? in.ptr : "", in.len, ret, NULL, md, NULL) != 1)
		crypto_die(EVP_MD_get0_name(md));
}

void digest_sha256(struct bytes in, uint8_t ret[DIGEST_SHA256])
{
	digest_once(EVP_sha256(), in, ret);
}

void digest_md5(struct bytes in, uint8_t ret[DIGEST_MD5])
{
	digest_once(EVP_md5(), in, ret);
}

static void hmac_once(const EVP_MD *md, struct bytes key, struct bytes in, uint8_t *ret)
{
	if (!HMAC(md, key.len ? key.ptr : "", (int)key.len,
	          (const unsigned char *)(in.len ? in.ptr : ""), in.len, ret, NULL))
		crypto_die("HMAC");
}

void digest_hmac_sha256(struct bytes key, struct bytes in, uint8_t ret[DIGEST_SHA256])
{
	hmac_once(EVP_sha256(), key, in, ret);
}

void digest_hmac_md5(struct bytes key, struct bytes in, uint8_t ret[DIGEST_MD5])
{
	hmac_once(EVP_md5(), key, in, ret);
}

static struct digest *begin(const EVP_MD *md)
{
	struct digest *d = NEW(struct digest);

	d->ctx = EVP_MD_CTX_new();
	if (!d->ctx || EVP_DigestInit_ex(d->ctx, md, NULL) != 1)
		crypto_die(EVP_MD_get0_name(md));
	return d;
}

struct digest *digest_new(void)
{
	return begin(EVP_sha256());
}

struct digest *digest_new_sha1(void)
{
	return begin(EVP_sha1());
}

struct digest *digest_copy(const struct digest *from)
{
	struct digest *d = NEW(struct digest);

	d->ctx = EVP_MD_CTX_new();
	if (!d->ctx || EVP_MD_CTX_copy_ex(d->ctx, from->ctx) != 1)
		crypto_die("copying a digest");
	return d;
}

void digest_add(struct digest *d, struct bytes piece)
{
	if (EVP_DigestUpdate(d->ctx, piece.ptr, piece.len) != 1)
		crypto_die("SHA-256");
}

void digest_finish(struct digest **d, uint8_t ret[DIGEST_SHA256])
{
	if (EVP_DigestFinal_ex((*d)->ctx, ret, NULL) != 1)
		crypto_die("SHA-256");
	digest_free(d);
}

void digest_free(struct digest **d)
{
	if (*d)
		EVP_MD_CTX_free((*d)->ctx);
	memory_free(*d);
	*d = NULL;
}
