/* Verifies the ARC chain of a mail (RFC 8617, 5.2): who handed it on, and what they saw. It uses what a dkim_verifier has read.
 *
 *	struct arc_verdict v;
 *	while (!arc_verify(verifier, facts, now, &arena, &v)) ... ask what is missing
 *
 * A chain that passes says only that the sealers said so, and anybody can seal: arc_vouches() asks who they are. */
#ifndef VERIFY_ARC_H
#define VERIFY_ARC_H

#include "verify/dkim.h"

enum { ARC_INSTANCES = 50 }; /* RFC 8617, 4.2.1 */

/* RFC 8617, 4.4, and one for keys that could not be had now. */
enum arc_result { ARC_NONE, ARC_PASS, ARC_FAIL, ARC_TEMPERROR, ARC_RESULTS };

const char *arc_result_name(enum arc_result r); /* "pass" */

struct arc_hop {
	struct bytes domain;  /* d= of the seal, lower case */
	struct bytes authres; /* its ARC-Authentication-Results after i=, unfolded */
};

struct arc_verdict {
	enum arc_result result;
	unsigned instances; /* ARC sets; 0 with ARC_NONE */
	struct bytes
	        domain; /* d= of the newest seal, lower case; may be empty where the chain is broken */
	struct bytes selector; /* its s= */
	struct bytes reason;   /* for a person; empty with ARC_NONE and ARC_PASS */
	struct arc_hop *hops;  /* with ARC_PASS only: `instances` of them, the oldest first */
	bool closed; /* the newest seal itself says cv=fail: not even a broken chain may be gone on with */
};

/* As dkim_verify(). */
bool arc_verify(const struct dkim_verifier *v, struct facts *f, int64_t now_seconds,
                struct arena *arena, struct arc_verdict *ret) MUST_USE;

/* Whether the chain vouches that the mail passed DMARC for this From before somebody changed it: it passes, a seal of a trusted
 * domain reports that, and all seals after it are of trusted domains, too; others might have put in what they liked (RFC 8617, 9.3
 * and 9.4). trusted: domains, lower case; each stands for what is below it as well. */
bool arc_vouches(const struct arc_verdict *v, struct bytes from_domain, const struct bytes *trusted,
                 size_t trusted_count);

#endif
