/* Canonical forms of a mail, as DKIM hashes it (RFC 6376, 3.4): header fields one by one, the body in a stream.
 *
 *	struct canon_body *b = canon_body_new(CANON_RELAXED);
 *	canon_body_add(b, piece); ...                          any split
 *	canon_body_finish(&b, hash);
 *
 *	canon_field(CANON_RELAXED, whole, &out);               "Subject:  a\r\n\tb \r\n" -> "subject:a b\r\n"
 *
 * The body is hashed as it is: only CRLF ends a line. It is not: signing (verify/dkim_sign.h). */
#ifndef VERIFY_CANON_H
#define VERIFY_CANON_H

#include "base/buf.h"
#include "crypto/digest.h"

enum canon_kind { CANON_SIMPLE, CANON_RELAXED };

/* Appends the canonical form of one field; whole is the field with its line ends, as header_next() gives it. It ends with
 * CRLF in any case. */
void canon_field(enum canon_kind kind, struct bytes whole, struct buf *out);

struct canon_body;

/* The hash of the canonical form's first octets alone (l= of RFC 6376, 3.5). */
struct canon_mark {
	uint64_t at;
	bool reached; /* hash is there: the canonical form has as many octets */
	bool whole;   /* and no more; known after finish */
	uint8_t hash[DIGEST_SHA256];
};

struct canon_body *canon_body_new(enum canon_kind kind);
struct canon_body *canon_body_new_sha1(enum canon_kind kind); /* for tests of old signatures */
/* Before the first add. marks live as long as b, any order. */
void canon_body_mark(struct canon_body *b, struct canon_mark *marks, size_t count);
void canon_body_add(struct canon_body *b, struct bytes piece);
/* Ends the body, frees b and sets it to NULL. */
void canon_body_finish(struct canon_body **b, uint8_t ret_hash[DIGEST_SHA256]);
void canon_body_free(struct canon_body **b); /* NULL is fine */

#endif
