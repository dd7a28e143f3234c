/* Digests, and the start of the cryptographic libraries.
 *
 *	uint8_t id[DIGEST_SHA256];
 *	digest_sha256(mail, id);
 *
 * They do not fail: when OpenSSL has no memory or no algorithms the process ends. MD5 is here for
 * CRAM-MD5 and APOP alone, SHA-1 for tests of old DKIM signatures. */
#ifndef CRYPTO_DIGEST_H
#define CRYPTO_DIGEST_H

#include "base/bytes.h"

enum { DIGEST_SHA256 = 32, DIGEST_MD5 = 16, DIGEST_SHA1 = 20 };

/* Loads what OpenSSL and libsodium load lazily. Call once in a role's warm(), before the walls
 * stand. */
void crypto_warm(void);

void digest_sha256(struct bytes in, uint8_t ret[DIGEST_SHA256]);
void digest_md5(struct bytes in, uint8_t ret[DIGEST_MD5]);
void digest_hmac_sha256(struct bytes key, struct bytes in, uint8_t ret[DIGEST_SHA256]);
void digest_hmac_md5(struct bytes key, struct bytes in, uint8_t ret[DIGEST_MD5]);

/* SHA-256 of what comes in pieces. */
struct digest;
struct digest *digest_new(void);
struct digest *digest_new_sha1(void);               /* finish gives DIGEST_SHA1 octets */
struct digest *digest_copy(const struct digest *d); /* goes on by itself from here */
void digest_add(struct digest *d, struct bytes piece);
void digest_finish(struct digest **d, uint8_t ret[DIGEST_SHA256]); /* frees it, sets *d to NULL */
void digest_free(struct digest **d);

#endif
