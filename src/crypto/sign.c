#include "crypto/sign.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include "base/memory.h"
#include "crypto/openssl.h"

struct private_key {
	EVP_PKEY *key;
};

/* Nobody types passwords for keys here: an encrypted one is refused. */
static int no_password(char *buf, int size, int writing, void *context)
{
	return -1;
}

enum result private_key_parse(struct bytes pem, struct private_key **ret, struct why *why)
{
	BIO *bio = BIO_new_mem_buf(pem.ptr, (int)pem.len);
	EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL) : NULL;
	char text[160];

	BIO_free(bio);
	if (!key) {
		crypto_error_text(text, sizeof text);
		return why_set(why, INVALID, "not a private key in PEM without a password (%s)",
		               text);
	}
	if (!public_key_is_served(key)) {
		EVP_PKEY_free(key);
		return why_set(why, INVALID,
		               "the key is not P-256, P-384 or RSA of 2048 bits and more");
	}
	*ret = NEW(struct private_key);
	(*ret)->key = key;
	return OK;
}

void private_key_free(struct private_key **k)
{
	if (*k)
		EVP_PKEY_free((*k)->key);
	memory_free(*k);
	*k = NULL;
}

void private_key_id(const struct private_key *k, uint8_t ret[DIGEST_SHA256])
{
	public_key_id(k->key, ret);
}

static const struct scheme {
	const char *type;
	size_t digest_len;
	int padding; /* 0: none to set */
} schemes[] = {
        [PRIVATE_KEY_ECDSA_SHA256] = {"EC", 32, 0},
        [PRIVATE_KEY_ECDSA_SHA384] = {"EC", 48, 0},
        [PRIVATE_KEY_RSA_PKCS1_SHA256] = {"RSA", 32, RSA_PKCS1_PADDING},
        [PRIVATE_KEY_RSA_PSS_SHA256] = {"RSA", 32, RSA_PKCS1_PSS_PADDING},
};

static bool prepare(EVP_PKEY_CTX *ctx, const struct scheme *s)
{
	if (EVP_PKEY_sign_init(ctx) != 1 ||
	    EVP_PKEY_CTX_set_signature_md(ctx, s->digest_len == 32 ? EVP_sha256() : EVP_sha384()) !=
	            1)
		return false;
	if (s->padding && EVP_PKEY_CTX_set_rsa_padding(ctx, s->padding) != 1)
		return false;
	return s->padding != RSA_PKCS1_PSS_PADDING ||
	       EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, RSA_PSS_SALTLEN_DIGEST) == 1;
}

static bool sign(EVP_PKEY_CTX *ctx, struct bytes digest, struct buf *out)
{
	const unsigned char *in = (const unsigned char *)digest.ptr;
	size_t len = 0;
	unsigned char *room;

	if (EVP_PKEY_sign(ctx, NULL, &len, in, digest.len) != 1)
		return false;
	room = (unsigned char *)buf_room(out, len);
	if (EVP_PKEY_sign(ctx, room, &len, in, digest.len) != 1)
		return false;
	buf_added(out, len);
	return true;
}

enum result private_key_sign(const struct private_key *k, unsigned scheme, struct bytes digest,
                             struct buf *out)
{
	EVP_PKEY *key = k->key;
	EVP_PKEY_CTX *ctx;
	bool done;

	if (scheme >= sizeof schemes / sizeof *schemes ||
	    digest.len != schemes[scheme].digest_len || !EVP_PKEY_is_a(key, schemes[scheme].type))
		return INVALID;
	ctx = EVP_PKEY_CTX_new(key, NULL);
	done = ctx && prepare(ctx, &schemes[scheme]) && sign(ctx, digest, out);
	EVP_PKEY_CTX_free(ctx);
	ERR_clear_error();
	return done ? OK : FAILED;
}
