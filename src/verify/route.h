/* Which hosts take mail for a domain, in which order (RFC 5321, 5.1; RFC 7505), as a pure function over DNS facts.
 *
 *	struct route_question q = {.domain = destination, .hostname = ours, .seed = random};
 *	while (route_find(&q, &facts, &arena, &route) == UNAVAILABLE)
 *		ask for what facts say is missing, add the answers
 *	if (route.count == 0) the mail waits (route.temporary) or goes back: route.status, route.text
 *
 *	what the DNS says                             what follows
 *	MX                                            these hosts, lowest preference first, equals shuffled
 *	MX with our own name (or address) among them  only hosts before it; none: 5.4.6, the mail would come back to us
 *	one MX to "."                                 5.1.10: it takes no mail (RFC 7505)
 *	no MX, an address                             the domain itself is the host
 *	no such name; neither MX nor address          5.1.2
 *	MX only to names without address              5.4.4
 *	MX only to addresses of private networks      5.4.4, unless `allowed`
 *	the DNS fails or is bogus                     4.4.3, unless another host can be tried
 */
#ifndef VERIFY_ROUTE_H
#define VERIFY_ROUTE_H

#include "base/arena.h"
#include "base/ip.h"
#include "config/config.h"
#include "verify/facts.h"

enum {
	ROUTE_HOSTS = 8,     /* that are looked at, in their order */
	ROUTE_ADDRESSES = 8, /* of one host */
};

enum route_family { ROUTE_BOTH, ROUTE_IPV4, ROUTE_IPV6 }; /* as option carry.family */

struct route_question {
	struct bytes domain;   /* canonical, or [192.0.2.1], [IPv6:2001:db8::1] (RFC 5321, 4.1.3) */
	bool is_host;          /* its name or address is given: no MX is asked */
	bool anywhere;         /* the operator named it (a smarthost): private networks, too */
	struct bytes hostname; /* ours, canonical: mail must not come back to us */
	const struct config_ips
	        *own; /* our addresses, where another host's 25 would be ours; NULL: none */
	enum route_family family;
	const struct config_prefixes
	        *allowed; /* private networks that may be carried to; NULL: none */
	uint64_t seed;    /* shuffles equals */
};

struct route_host {
	struct bytes name; /* A-labels, lower case, no dot at its end; of a literal: the address */
	struct bytes canonical; /* where CNAMEs of it lead; the name itself without any */
	uint16_t preference;
	struct ip addresses[ROUTE_ADDRESSES]; /* IPv6 and IPv4 in turn (RFC 8305, 4) */
	size_t address_count;
	bool secure;  /* its addresses, and the way to its name, are proven by DNSSEC */
	bool literal; /* an address was given: no name to prove, no DANE */
};

struct route {
	struct route_host hosts[ROUTE_HOSTS];
	size_t count;
	bool secure;   /* the MX set, or that there is none, is proven */
	bool implicit; /* no MX: the domain itself */
	/* count 0: */
	bool temporary;
	const char *status; /* "5.1.2" */
	struct bytes text;  /* for a person */
};

/* OK; UNAVAILABLE: facts are missing, which they now know (verify/facts.h). What is returned is the arena's or borrowed from q and
 * facts. */
enum result route_find(const struct route_question *q, struct facts *facts, struct arena *arena,
                       struct route *ret) MUST_USE;

/* May mail be carried to this address? Not to loopback, private (RFC 1918, RFC 4193), link-local, shared (RFC 6598), multicast,
 * documentation or reserved ones, unless allowed. */
bool route_may_carry_to(const struct ip *ip, const struct config_prefixes *allowed);

#endif
