/* The part of SPF (RFC 7208) that its own publisher wants to know: does the record cover our address, is it well-formed, how many
 * look-ups does it cost? Not the check of mail that comes in: macros are not expanded, they cover nobody. */
#ifndef VERIFY_PUBLISH_SPF_H
#define VERIFY_PUBLISH_SPF_H

#include "base/ip.h"
#include "verify/facts.h"

enum { SPF_LOOKUPS_MAX = 10 }; /* RFC 7208, 4.6.4 */

struct publish_spf {
	bool missing;      /* facts are: nothing below is final */
	bool failed;       /* some name could not be looked up: what depends on it is not known */
	unsigned records;  /* v=spf1 records at the name */
	struct bytes text; /* the record, where there is one */
	bool covered;      /* passes for the address */
	bool everybody;    /* it passes for any address: +all */
	bool macros;       /* some terms depend on the mail */
	unsigned lookups;
	struct bytes broken; /* the term that is wrong, or a domain without a record; empty: none */
};

/* The zero address asks for no cover, only the rest. */
void publish_spf(struct bytes domain, const struct ip *ip, struct facts *facts, struct arena *arena,
                 struct publish_spf *ret);

#endif
