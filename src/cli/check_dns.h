/* The DNS for `hikyaku check`: one name server that the operator names, asked directly. Opened before the process locks itself;
 * from then on it only sends and receives on what is open.
 *
 *	check_dns_open("127.0.0.1:5300", &dns, &why)            then the walls
 *	while (!spf_check(&in, facts, &arena, &verdict))
 *		check_dns_fill(dns, facts);
 *	check_dns_close(&dns);
 *
 * Nothing is cached, nothing proven by DNSSEC: what the server says is what it says. Over UDP, and over TCP where an answer was
 * cut. */
#ifndef CLI_CHECK_DNS_H
#define CLI_CHECK_DNS_H

#include "verify/facts.h"

enum {
	CHECK_DNS_TRIES = 3,
	CHECK_DNS_PATIENCE_MS = 1000, /* for the first try; each further one waits twice as long */
};

struct check_dns;

/* "192.0.2.1", "192.0.2.1:5300", "2001:db8::1", "[2001:db8::1]:5300". INVALID: none of these. */
enum result check_dns_open(const char *server, struct check_dns **ret, struct why *why) MUST_USE;
void check_dns_close(struct check_dns **d); /* NULL is fine */

/* Asks all that is missing, together, and adds what the server says; no answer: FACT_FAILED. Nothing is missing afterwards.
 * d NULL: every fact has failed. */
void check_dns_fill(struct check_dns *d, struct facts *facts);

#endif
