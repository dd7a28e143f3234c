/* A context of libunbound as the configuration wants it, and what the walls must leave open for it. */
#ifndef ROLES_RESOLVER_CONTEXT_H
#define ROLES_RESOLVER_CONTEXT_H

#include <stdio.h>

#include "config/config.h"

struct ub_ctx;
struct ub_event_base;

struct resolver_wants {
	const struct config *config;
	struct ub_event_base *base; /* roles/resolver_loop.h; lives longer */
	struct bytes anchors; /* lines of a file of root keys, trusted besides those we know */
	bool ip6;
	FILE *log; /* libunbound's own words; lives longer */
};

/* The caller's, for ub_ctx_delete. Nothing is asked yet. */
enum result resolver_context_new(const struct resolver_wants *w, struct ub_ctx **ret,
                                 struct why *why) MUST_USE;

/* The row's `ports` (roles/role.h): 53 and those of `forward` and `stub`. */
size_t resolver_ports(const struct config *c, uint16_t *ret);

/* Is there a way to IPv6, or does the configuration name a server there? */
bool resolver_wants_ip6(const struct config *c);

#endif
