/* Private keys, where they really are: in keeper.
 *
 *	private_key_parse(pem, &key, &why);
 *	private_key_sign(key, SIGN_.. , digest, &signature);
 *
 * P-256, P-384 and RSA (2048 bits and more). A key is known by the SHA-256 of its
 * SubjectPublicKeyInfo. */
#ifndef CRYPTO_SIGN_H
#define CRYPTO_SIGN_H

#include "base/buf.h"
#include "crypto/digest.h"

/* The same numbers as enum sign_scheme of ask/ask.h, which crypto/ cannot see. */
enum private_key_scheme {
	PRIVATE_KEY_ECDSA_SHA256,
	PRIVATE_KEY_ECDSA_SHA384,
	PRIVATE_KEY_RSA_PKCS1_SHA256,
	PRIVATE_KEY_RSA_PSS_SHA256,
	PRIVATE_KEY_ED25519, /* DKIM only: over SHA-256's 32 octets (RFC 8463, 3) */
};

struct private_key;

/* One key in PEM (PKCS#8 or traditional), not encrypted. INVALID: why says what is wrong with it.
 * */
enum result private_key_parse(struct bytes pem, struct private_key **ret, struct why *why) MUST_USE;
void private_key_free(struct private_key **k); /* wipes it */
void private_key_id(const struct private_key *k, uint8_t ret[DIGEST_SHA256]);

/* Appends the signature (DER for ECDSA). INVALID: the scheme is not this key's, or the digest has
 * the wrong length. Any thread, one at a time per key. */
enum result private_key_sign(const struct private_key *k, unsigned scheme, struct bytes digest,
                             struct buf *out) MUST_USE;

/* ---- keys for DKIM (RFC 6376, RFC 8463): RSA of 1024 to 8192 bits (RFC 8301, 3.2) and Ed25519 ---- */

/* *ret_scheme: PRIVATE_KEY_RSA_PKCS1_SHA256 or PRIVATE_KEY_ED25519. */
enum result private_key_parse_dkim(struct bytes pem, struct private_key **ret, unsigned *ret_scheme,
                                   struct why *why) MUST_USE;
/* A new one of that scheme (RSA of 2048 bits), appended in PEM: a secret, wipe the buffer. */
void private_key_make(unsigned scheme, struct buf *ret_pem);
/* What p= of its DNS record encodes: SubjectPublicKeyInfo, or Ed25519's 32 octets (RFC 8463, 4.2). */
void private_key_public(const struct private_key *k, struct buf *out);

#endif
