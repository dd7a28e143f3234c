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

static enum result read_pem(struct bytes pem, EVP_PKEY **ret, struct why *why)
{
	BIO *bio = BIO_new_mem_buf(pem.ptr, (int)pem.len);
	char text[160];

	*ret = bio ? PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL) : NULL;
	BIO_free(bio);
	if (*ret)
		return OK;
	crypto_error_text(text, sizeof text);
	return why_set(why, INVALID, "not a private key in PEM without a password (%s)", text);
}

static enum result keep(EVP_PKEY *key, struct private_key **ret)
{
	*ret = NEW(struct private_key);
	(*ret)->key = key;
	return OK;
}

enum result private_key_parse(struct bytes pem, struct private_key **ret, struct why *why)
{
	EVP_PKEY *key;
	enum result r = read_pem(pem, &key, why);

	if (r != OK)
		return r;
	if (public_key_is_served(key))
		return keep(key, ret);
	EVP_PKEY_free(key);
	return why_set(why, INVALID, "the key is not P-256, P-384 or RSA of 2048 bits and more");
}

enum result private_key_parse_dkim(struct bytes pem, struct private_key **ret, unsigned *ret_scheme,
                                   struct why *why)
{
	EVP_PKEY *key;
	enum result r = read_pem(pem, &key, why);

	if (r != OK)
		return r;
	if (EVP_PKEY_is_a(key, "ED25519")) {
		*ret_scheme = PRIVATE_KEY_ED25519;
		return keep(key, ret);
	}
	if (EVP_PKEY_is_a(key, "RSA") && EVP_PKEY_get_bits(key) >= 1024 &&
	    EVP_PKEY_get_bits(key) <= 8192) {
		*ret_scheme = PRIVATE_KEY_RSA_PKCS1_SHA256;
		return keep(key, ret);
	}
	EVP_PKEY_free(key);
	return why_set(why, INVALID, "the key is not Ed25519 or RSA of 1024 to 8192 bits");
}

void private_key_make(unsigned scheme, struct buf *ret_pem)
{
	EVP_PKEY *key = scheme == PRIVATE_KEY_ED25519 ? EVP_PKEY_Q_keygen(NULL, NULL, "ED25519")
	                                              : EVP_RSA_gen(2048);
	BIO *bio = BIO_new(BIO_s_secmem());
	char *ptr;
	long len;

	if (!key || !bio || PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) != 1)
		crypto_die("making a key");
	len = BIO_get_mem_data(bio, &ptr);
	buf_append(ret_pem, bytes_of(ptr, (size_t)len));
	BIO_free(bio);
	EVP_PKEY_free(key);
}

void private_key_public(const struct private_key *k, struct buf *out)
{
	unsigned char raw[32], *der = NULL;
	size_t size = sizeof raw;
	int len;

	if (EVP_PKEY_is_a(k->key, "ED25519")) {
		if (EVP_PKEY_get_raw_public_key(k->key, raw, &size) != 1)
			crypto_die("a public key cannot be had");
		buf_append(out, bytes_of(raw, size));
		return;
	}
	len = i2d_PUBKEY(k->key, &der);
	if (len <= 0)
		crypto_die("a public key cannot be encoded");
	buf_append(out, bytes_of(der, (size_t)len));
	OPENSSL_free(der);
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
        [PRIVATE_KEY_ED25519] = {"ED25519", 32, 0},
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

/* Ed25519 hashes by itself what it signs, so it has a verb of its own. */
static bool sign_ed25519(EVP_PKEY *key, struct bytes digest, struct buf *out)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	size_t len = 64;
	bool done = ctx && EVP_DigestSignInit(ctx, NULL, NULL, NULL, key) == 1 &&
	            EVP_DigestSign(ctx, (unsigned char *)buf_room(out, len), &len,
	                           (const unsigned char *)digest.ptr, digest.len) == 1;

	if (done)
		buf_added(out, len);
	EVP_MD_CTX_free(ctx);
	ERR_clear_error();
	return done;
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
	if (scheme == PRIVATE_KEY_ED25519)
		return sign_ed25519(key, digest, out) ? OK : FAILED;
	ctx = EVP_PKEY_CTX_new(key, NULL);
	done = ctx && prepare(ctx, &schemes[scheme]) && sign(ctx, digest, out);
	EVP_PKEY_CTX_free(ctx);
	ERR_clear_error();
	return done ? OK : FAILED;
}
