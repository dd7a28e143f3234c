/* MTA-STS (RFC 8461): the TXT record that says there is a policy, and the policy: which MX hosts a domain has, and whether
 * mail may go to a host whose certificate does not prove that it is one of them. Pure; fetching is the asker's.
 *
 *	if (mtasts_txt(&rdata, 1, &id) == OK && !bytes_equal(id, kept_id))
 *		fetch https://mta-sts.DOMAIN/.well-known/mta-sts.txt, then
 *	if (mtasts_policy_parse(text, &arena, &policy, &why) == OK && policy.mode == MTASTS_ENFORCE)
 *		only hosts for which mtasts_policy_covers(&policy, host), TLS, certificate by PKIX
 */
#ifndef VERIFY_MTASTS_H
#define VERIFY_MTASTS_H

#include "base/arena.h"
#include "base/time.h"

enum {
	MTASTS_POLICY_MAX = 64 * 1024, /* octets of a policy (RFC 8461, 3.3 asks for a limit) */
	MTASTS_AGE_MAX = 31557600,     /* seconds: about a year (3.2) */
	MTASTS_HOSTS = 100,            /* mx lines that we look at */
};

enum mtasts_mode { MTASTS_NONE, MTASTS_TESTING, MTASTS_ENFORCE };

struct mtasts_policy {
	enum mtasts_mode mode;
	uint32_t max_age; /* seconds, at most MTASTS_AGE_MAX */
	struct bytes *mx; /* "mx1.example.test", "*.example.test"; borrowed from the text */
	size_t mx_count;
};

/* The id in the strings of the TXT records at _mta-sts.DOMAIN, each record's strings joined (3.1). NOT_FOUND: none, or more
 * than one that begins with v=STSv1; INVALID: one, and it is broken. Both mean: no policy is announced. */
enum result mtasts_txt(const struct bytes *records, size_t count, struct bytes *ret_id) MUST_USE;

/* A policy's text (3.2): lines `key: value` ending in LF or CRLF. INVALID: why says what is wrong. */
enum result mtasts_policy_parse(struct bytes text, struct arena *arena, struct mtasts_policy *ret,
                                struct why *why) MUST_USE;

/* Is the host (A-labels, any case, with or without the dot at its end) one of the policy's (4.1)? "*.example.test" is one
 * label below example.test. */
bool mtasts_policy_covers(const struct mtasts_policy *p, struct bytes host);

const char *mtasts_mode_name(enum mtasts_mode m); /* "enforce" */

#endif
