/* The PROXY protocol's header, versions 1 and 2 (haproxy's doc/proxy-protocol.txt): who the client
 * really is, said by a balancer that the configuration names. Strict: a listener that expects a
 * header takes nothing else.
 *
 *	taken = proxy_parse(in, &header);
 *	if (taken > 0) use header, drop taken octets; the client's own begin there
 *
 * It is not a decision on whom to trust: `proxy-from` of the listener is that, and roles/front.c
 * asks it. */
#ifndef PROXY_PROXY_H
#define PROXY_PROXY_H

#include "base/ip.h"

enum {
	PROXY_V1_MAX = 107,      /* "PROXY ...\r\n" at its longest */
	PROXY_V2_MAX = 16 + 4096 /* we take no longer one: room for TLVs (TLS, names) */
};

enum { PROXY_BROKEN = -1 };

struct proxy_header {
	bool local; /* LOCAL or UNKNOWN: the balancer itself speaks (a health check); the addresses
	               are not set */
	struct ip client_ip;
	uint16_t client_port;
	struct ip local_ip; /* where the client connected to */
	uint16_t local_port;
};

/* Octets of the header, 0: more is needed, PROXY_BROKEN: this is none. The version is told by the
 * first octet; what is certainly wrong is told at once. *ret is set only with a result above 0. */
int proxy_parse(struct bytes in, struct proxy_header *ret);

#endif
