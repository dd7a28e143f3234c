/* DANE for SMTP (RFC 7672): what the TLSA records of a host demand, as a pure function over DNS facts.
 *
 *	while (dane_find(&route.hosts[i], &facts, &arena, &dane) == UNAVAILABLE) ask for what is missing
 *
 *	the DNS says                                          TLS must be
 *	host or the way to it not proven by DNSSEC            as without DANE
 *	no TLSA records, and that is proven                   as without DANE
 *	TLSA records, proven, one at least is usable          there, and the certificate match one (3.1)
 *	TLSA records, proven, none is usable                  there; whose certificate it is does not matter (2.2)
 *	the question fails, or its answer is bogus            the host must not be used now (2.1)
 */
#ifndef VERIFY_DANE_H
#define VERIFY_DANE_H

#include "crypto/tls_client.h"
#include "verify/route.h"

enum { DANE_RECORDS = 32 };

enum dane_state { DANE_NONE, DANE_MATCH, DANE_ENCRYPT, DANE_DEFER };

struct dane {
	enum dane_state state;
	struct tlsa *records; /* DANE_MATCH: the usable ones */
	size_t count;
	struct bytes base;   /* the name whose TLSA records these are (2.2.2) */
	struct bytes string; /* for reports: the records as text, one a line */
	struct bytes text;   /* DANE_DEFER: why, for a person */
};

/* OK, or UNAVAILABLE: facts are missing. Port 25 is meant whatever port is used. */
enum result dane_find(const struct route_host *host, struct facts *facts, struct arena *arena,
                      struct dane *ret) MUST_USE;

#endif
