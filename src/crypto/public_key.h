/* Public keys as DKIM publishes them in the DNS, and what they say of a signature (RFC 6376, 3.3; RFC 8463).
 *
 *	if (public_key_parse_rsa(der, &key, &why) == OK && public_key_bits(key) >= 1024)
 *		good = public_key_verify(key, PUBLIC_KEY_RSA_SHA256, digest, signature);
 *	public_key_free(&key);
 *
 * Keys come from strangers: how long a verification may take is bounded here. */
#ifndef CRYPTO_PUBLIC_KEY_H
#define CRYPTO_PUBLIC_KEY_H

#include "base/bytes.h"

enum {
	PUBLIC_KEY_BITS = 8192, /* an RSA key has at most these */
	PUBLIC_KEY_EXPONENT = 64,
};

enum public_key_scheme {
	PUBLIC_KEY_RSA_SHA256, /* PKCS #1 v1.5 */
	PUBLIC_KEY_RSA_SHA1,   /* tests of old signatures only */
	PUBLIC_KEY_ED25519,    /* over SHA-256's 32 octets (RFC 8463, 3) */
};

struct public_key;

/* SubjectPublicKeyInfo, or RSAPublicKey alone, in DER with nothing after it. INVALID: none, or not RSA, or an exponent below 3 or
 * longer than PUBLIC_KEY_EXPONENT bits. */
enum result public_key_parse_rsa(struct bytes der, struct public_key **ret,
                                 struct why *why) MUST_USE;
/* The 32 octets (RFC 8463, 4.2). */
enum result public_key_parse_ed25519(struct bytes raw, struct public_key **ret,
                                     struct why *why) MUST_USE;
void public_key_free(struct public_key **k); /* NULL is fine */

unsigned public_key_bits(const struct public_key *k); /* of Ed25519: 256 */
/* False: the signature is not this key's over this digest, or the scheme is not this key's. */
bool public_key_verify(const struct public_key *k, enum public_key_scheme scheme,
                       struct bytes digest, struct bytes signature);

#endif
