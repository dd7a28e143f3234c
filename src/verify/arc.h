/* Verifies the ARC chain of a mail (RFC 8617, 5.2): who handed it on, and what they saw. It uses what a dkim_verifier has read.
 *
 *	struct arc_verdict v;
 *	while (!arc_verify(verifier, facts, now, &arena, &v)) ... ask what is missing
 *
 * A chain that passes says only that the sealers said so: whether to believe the newest one is the caller's question. */
#ifndef VERIFY_ARC_H
#define VERIFY_ARC_H

#include "verify/dkim.h"

enum { ARC_INSTANCES = 50 }; /* RFC 8617, 4.2.1 */

/* RFC 8617, 4.4, and one for keys that could not be had now. */
enum arc_result { ARC_NONE, ARC_PASS, ARC_FAIL, ARC_TEMPERROR, ARC_RESULTS };

const char *arc_result_name(enum arc_result r); /* "pass" */

struct arc_verdict {
	enum arc_result result;
	unsigned instances; /* ARC sets; 0 with ARC_NONE */
	struct bytes
	        domain; /* d= of the newest seal, lower case; may be empty where the chain is broken */
	struct bytes selector; /* its s= */
	struct bytes reason;   /* for a person; empty with ARC_NONE and ARC_PASS */
	struct bytes
	        authres; /* the newest ARC-Authentication-Results after its i=, unfolded; with ARC_PASS only */
	bool closed; /* the newest seal itself says cv=fail: not even a broken chain may be gone on with */
};

/* As dkim_verify(). */
bool arc_verify(const struct dkim_verifier *v, struct facts *f, int64_t now_seconds,
                struct arena *arena, struct arc_verdict *ret) MUST_USE;

#endif
