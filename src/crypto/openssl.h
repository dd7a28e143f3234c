/* What the files of crypto/ share and nobody outside sees: the OpenSSL side of certificates and
 * errors. */
#ifndef CRYPTO_OPENSSL_H
#define CRYPTO_OPENSSL_H

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "crypto/certificate.h"

/* A broken library, never a peer: ends the process. */
void crypto_die(const char *what) __attribute__((noreturn));

/* The oldest error in OpenSSL's queue as a sentence, then the queue is emptied. */
void crypto_error_text(char *ret, size_t size);

X509 *certificate_leaf(const struct certificate *c);
STACK_OF(X509) * certificate_chain(const struct certificate *c);
/* SHA-256 of a public key's SubjectPublicKeyInfo. */
void public_key_id(EVP_PKEY *key, uint8_t ret[DIGEST_SHA256]);
/* P-256, P-384, or RSA from 2048 bits. */
bool public_key_is_served(EVP_PKEY *key);

void remote_key_warm(void);

#endif
