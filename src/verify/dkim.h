/* Verifies DKIM signatures (RFC 6376; Ed25519: RFC 8463; limits: RFC 8301) while a mail passes by, once and in any split. ARC
 * (verify/arc.h) is judged from the same verifier.
 *
 *	struct dkim_verifier *v = dkim_verifier_new();
 *	dkim_verifier_feed(v, piece); ...                           the mail as on the wire, CRLF
 *	dkim_verifier_need(v, facts);                               may be: names the keys once the header is complete
 *	dkim_verifier_end(v);
 *	while (!dkim_verify(v, facts, now, &arena, &verdicts, &count)) ... ask what is missing
 *	dkim_verifier_free(&v);
 *
 * The body is hashed at most twice (simple and relaxed), however many signatures there are. The header is kept: of one longer
 * than DKIM_HEADER octets no signature is believed.
 *
 * What is not believed though the mathematics are right (DKIM_POLICY): rsa-sha1 and keys of less than 1024 bits (RFC 8301, 3),
 * expired signatures, l= with octets after it, and fields that a reader looks at (From, Subject, Reply-To, Date, Content-Type)
 * which occur more often than they were signed (RFC 6376, 8.2 and 8.15). */
#ifndef VERIFY_DKIM_H
#define VERIFY_DKIM_H

#include <limits.h>

#include "base/arena.h"
#include "verify/facts.h"

enum {
	DKIM_LOOKED_AT = 10,      /* signatures, from the top; the rest is passed over */
	DKIM_HEADER = 256 * 1024, /* octets of header */
	DKIM_NAMES = 400,         /* names in h= */
};
#define DKIM_UNKNOWN UINT_MAX

/* RFC 8601, 2.7.1. */
enum dkim_result {
	DKIM_NONE, /* of a whole mail only: no signature */
	DKIM_PASS,
	DKIM_FAIL,
	DKIM_POLICY,    /* it verifies, or might, but by rules that are not ours: see above */
	DKIM_NEUTRAL,   /* a version, algorithm or canonical form that nobody here knows */
	DKIM_TEMPERROR, /* the key could not be had now */
	DKIM_PERMERROR, /* the signature or its key is broken, or there is no key */
	DKIM_RESULTS
};

const char *dkim_result_name(enum dkim_result r); /* "pass" */

struct dkim_verdict {
	enum dkim_result result;
	struct bytes
	        domain; /* d=, lower case; may be empty where the signature is broken, so may the next */
	struct bytes selector;  /* s= */
	struct bytes identity;  /* i=, or "@" and d= */
	struct bytes algorithm; /* a= */
	struct bytes signature; /* the first 8 characters of b=, for header.b (RFC 6008) */
	struct bytes reason;    /* for a person; empty with DKIM_PASS */
	unsigned key_bits;      /* 0: no key was had; Ed25519 has 256 */
	bool testing;           /* t=y in the key: its owner is only trying */
};

struct dkim_verifier;

struct dkim_verifier *dkim_verifier_new(void);
void dkim_verifier_free(struct dkim_verifier **v); /* NULL is fine */
/* For tests of old mail: rsa-sha1 and RSA keys from 512 bits on are believed. Before the first feed. */
void dkim_verifier_old_rules(struct dkim_verifier *v);
void dkim_verifier_feed(struct dkim_verifier *v, struct bytes piece);
void dkim_verifier_end(struct dkim_verifier *v);
/* The blank line after the header has come, or the end. */
bool dkim_verifier_has_header(const struct dkim_verifier *v);
/* How many fields of this name (lower case) the header has, once it is complete; DKIM_UNKNOWN: it is too long to be looked at whole.
 * For those who must not miss one. */
unsigned dkim_verifier_count(const struct dkim_verifier *v, struct bytes name);
/* Names the keys of all signatures and ARC sets as facts, so that they are asked while the body comes. Nothing before the header
 * is complete. */
void dkim_verifier_need(const struct dkim_verifier *v, struct facts *f);

/* After end, any number of times. A verdict a signature, topmost first; none: *ret_count is 0. False: facts are missing, and
 * all of them were named. now_seconds: since 1970, for x=. Verdicts and their bytes are the arena's. */
bool dkim_verify(const struct dkim_verifier *v, struct facts *f, int64_t now_seconds,
                 struct arena *arena, struct dkim_verdict **ret, size_t *ret_count) MUST_USE;

#endif
