/* SPF (RFC 7208): may this host send for this domain? A pure function over DNS facts (verify/facts.h).
 *
 *	struct spf_input in = {.ip = ip, .helo = helo, .sender = sender, .hostname = ours, .now = now};
 *	while (!spf_check(&in, facts, &arena, &verdict))
 *		ask for what is missing
 *
 *	the sender has a domain               it is checked
 *	the sender is empty                   postmaster@HELO is checked, by_helo is set
 *	no name that the DNS could have       SPF_NONE (4.3)
 *
 * Limits (4.6.4): 10 terms that cost a look-up, 2 of them without an answer, 10 names of an MX or PTR. The record is read to its
 * end before any of it is believed (4.6). What a domain says of a failure (exp=) is asked for only when it failed. */
#ifndef VERIFY_SPF_H
#define VERIFY_SPF_H

#include "base/ip.h"
#include "verify/facts.h"

enum spf_result {
	SPF_NONE, /* the domain says nothing, or is none */
	SPF_NEUTRAL,
	SPF_PASS,
	SPF_FAIL,
	SPF_SOFTFAIL,
	SPF_TEMPERROR, /* the DNS did not answer: nobody knows */
	SPF_PERMERROR, /* the record is broken */
	SPF_RESULTS
};

const char *spf_result_name(enum spf_result r); /* "none", "softfail": RFC 8601, 2.7.2 */

struct spf_input {
	struct ip ip;
	struct bytes helo;
	struct bytes sender;   /* without <>; empty: null */
	struct bytes hostname; /* ours, for the macro r in explanations */
	time_ms now;           /* for the macro t there */
};

struct spf_verdict {
	enum spf_result result;
	struct bytes domain; /* that was checked */
	bool by_helo;
	struct bytes
	        mechanism; /* that decided, as the record has it: "-all", "include:..."; may be empty */
	struct bytes
	        explanation; /* of SPF_FAIL, from the domain's owner: strangers' text; may be empty */
	struct bytes reason; /* of the errors and of none: why, for a person */
};

/* False: facts are missing, ret is untouched. Strings are the arena's or borrowed from in and facts. */
bool spf_check(const struct spf_input *in, struct facts *f, struct arena *arena,
               struct spf_verdict *ret) MUST_USE;

#endif
