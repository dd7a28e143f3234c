/* Does the client's address lead to a name, and the name back to the address (RFC 8601, 2.7.3; "forward-confirmed reverse DNS")?
 * A pure function over DNS facts. Evidence, never proof: many honest hosts have no such name.
 *
 *	while (!iprev_check(&ip, facts, &arena, &verdict))
 *		ask for what is missing
 */
#ifndef VERIFY_IPREV_H
#define VERIFY_IPREV_H

#include "base/ip.h"
#include "verify/facts.h"

enum { IPREV_NAMES = 10 }; /* PTR records that are looked at */

enum iprev_result {
	IPREV_PASS,
	IPREV_FAIL, /* there are names, none leads back */
	IPREV_NONE, /* no PTR */
	IPREV_TEMPERROR,
	IPREV_RESULTS
};

const char *iprev_result_name(enum iprev_result r); /* "pass", "fail", "none", "temperror" */

struct iprev_verdict {
	enum iprev_result result;
	struct bytes
	        name; /* of IPREV_PASS the first that leads back; else the first PTR, or empty */
};

/* False: facts are missing, ret is untouched. */
bool iprev_check(const struct ip *ip, struct facts *f, struct arena *arena,
                 struct iprev_verdict *ret) MUST_USE;

#endif
