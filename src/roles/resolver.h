/* What askers of the resolver may want to know besides RESOLVE (ask/ask.def). */
#ifndef ROLES_RESOLVER_H
#define ROLES_RESOLVER_H

/* RESOLVE of this name, any type, is answered by the role itself, at once (.invalid never exists: RFC 6761, 6.4): found, no data
 * (not known yet) or failed; secure: DNSSEC works; reason: a sentence for the operator. */
#define DNS_HEALTH "health.hikyaku.invalid"

#endif
