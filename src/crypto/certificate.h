/* Certificates: read, chosen by name, and the self-signed one that setup makes.
 *
 *	certificate_make(BYTES("mx.example.test"), now, &pem, &key_pem);   etc/tls/NAME.pem,
 * keys/tls/NAME.key
 *	certificate_parse(pem, &c, &why);
 *	certificate_matches(c, sni); */
#ifndef CRYPTO_CERTIFICATE_H
#define CRYPTO_CERTIFICATE_H

#include "base/buf.h"
#include "base/time.h"
#include "crypto/digest.h"

struct certificate; /* a leaf and its chain */

/* One or more PEM certificates, the leaf first. INVALID with a reason; keys other than P-256, P-384
 * and RSA of at least 2048 bits are refused. */
enum result certificate_parse(struct bytes pem, struct certificate **ret, struct why *why) MUST_USE;
void certificate_free(struct certificate **c);

/* By subjectAltName (RFC 6125), wildcards in the leftmost label included. name: A-labels, any case.
 * */
bool certificate_matches(const struct certificate *c, struct bytes name);
/* SHA-256 of its SubjectPublicKeyInfo: the private key's id (crypto/sign.h). */
void certificate_key_id(const struct certificate *c, uint8_t ret[DIGEST_SHA256]);
/* A way of signing (enum private_key_scheme) that its private key has. */
unsigned certificate_scheme(const struct certificate *c);
time_ms certificate_expires(const struct certificate *c);

/* A new P-256 key and a certificate for it and for hostname, signed by itself, good from a day ago
 * for 820 days (Apple's programs take no longer one). Appends PEM to both. key_pem is a secret:
 * file mode 0600, wipe the buffer. hostname: A-labels. */
void certificate_make(struct bytes hostname, time_ms now, struct buf *ret_pem,
                      struct buf *ret_key_pem);

#endif
