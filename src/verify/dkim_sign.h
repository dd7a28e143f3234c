/* Makes DKIM signatures (RFC 6376; Ed25519: RFC 8463) while a mail passes by. It hashes; whoever has the key signs.
 *
 *	struct dkim_signer *s = dkim_signer_new(header);       as soon as the header is complete
 *	dkim_signer_body(s, piece); ...                        the body, any split
 *	dkim_signer_finish(s);
 *	for each key:
 *		dkim_signer_begin(s, &key, now, digest);       -> ask DKIM_SIGN with the digest
 *		dkim_signer_put(s, signature, &out);           the whole field with its CRLF
 *	dkim_signer_free(&s);
 *
 * relaxed/relaxed, SHA-256, no l=. Which fields are signed is the table in dkim_sign.c. Each of them is named once more than it
 * occurs ("oversigned"), so that nobody adds a second From or Subject; fields that do not occur are named once, but for those
 * that mailing lists add. A field
 * that occurs more often than DKIM_REPEATS is signed as far as that, from the bottom up, and not oversigned.
 * The mail's own octets must be those that are stored and sent: header after completion, body untouched. */
#ifndef VERIFY_DKIM_SIGN_H
#define VERIFY_DKIM_SIGN_H

#include "ask/ask.h"
#include "crypto/digest.h"

enum {
	DKIM_REPEATS = 8,
	DKIM_FIELD = 2560, /* a signature field is never longer: keys up to RSA 4096 */
};

struct dkim_signing_key {
	struct bytes domain;   /* d= */
	struct bytes selector; /* s= */
	enum dkim_algorithm algorithm;
};

struct dkim_signing_keys {
	struct dkim_signing_key items[2]; /* RSA and Ed25519, at most one each */
	unsigned count;
};

/* From the list that DKIM_KEYS answers: the first key of each algorithm whose state is DKIM_KEY_SIGNS. Strings are
 * borrowed from `packed` and `domain`. INVALID: malformed. */
enum result dkim_signing_keys_parse(struct bytes packed, struct bytes domain,
                                    struct dkim_signing_keys *ret) MUST_USE;

struct dkim_signer;

/* header: all fields, with or without the blank line after them; not kept. */
struct dkim_signer *dkim_signer_new(struct bytes header);
void dkim_signer_body(struct dkim_signer *s, struct bytes piece);
void dkim_signer_finish(struct dkim_signer *s);
/* After finish, any number of times. Makes the field without its signature and the digest to be signed. */
void dkim_signer_begin(struct dkim_signer *s, const struct dkim_signing_key *key, time_ms now,
                       uint8_t ret_digest[DIGEST_SHA256]);
/* Appends the field that begin made, with this signature. TOO_BIG: it would be longer than DKIM_FIELD, nothing is
 * appended. */
enum result dkim_signer_put(struct dkim_signer *s, struct bytes signature,
                            struct buf *out) MUST_USE;
void dkim_signer_free(struct dkim_signer **s); /* NULL is fine */

#endif
