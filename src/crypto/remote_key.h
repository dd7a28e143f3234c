/* A private key that is somewhere else: OpenSSL signs with it, and the signing is a call of ours.
 *
 *	static enum result ask_keeper(void *context, const struct remote_signature *s, struct buf
 * *out) { SIGN ... }
 *	struct remote_signer signer = {ask_keeper, front};
 *	tls_context_new(&(struct tls_setup){.signer = &signer, ...}, &c, &why);
 *
 * OpenSSL signs synchronously inside the handshake, so the call may block; whoever implements it
 * bounds the time. It is a small OpenSSL provider, so that PSS and ECDSA arrive as a digest and a
 * scheme, and nobody can make keeper do a raw RSA operation. */
#ifndef CRYPTO_REMOTE_KEY_H
#define CRYPTO_REMOTE_KEY_H

#include "base/buf.h"
#include "crypto/digest.h"

struct remote_signature {
	uint8_t key[DIGEST_SHA256]; /* which key: SHA-256 of SubjectPublicKeyInfo */
	unsigned scheme;            /* enum private_key_scheme */
	struct bytes digest;
};

struct remote_signer {
	/* Appends the signature. Anything but OK fails the handshake. */
	enum result (*sign)(void *context, const struct remote_signature *s, struct buf *out);
	void *context;
};

/* An EVP_PKEY (returned as void to keep OpenSSL out of headers; the caller's to EVP_PKEY_free) with
 * the given public key, an EVP_PKEY too, whose private operation is signer's. signer must outlive
 * it. NULL: not a kind of key that we serve. For crypto/tls.c and tests. */
void *remote_key_new(void *public_key, const struct remote_signer *signer);

#endif
