/* Block and allow lists in the DNS (RFC 5782), typed: an answer is listed, not listed, *the list refuses us*, or an error, and only
 * documented answers count. Pure functions over DNS facts.
 *
 *	lists = dnsbl_of_config(config, &count);
 *	while (!dnsbl_check_ip(&lists[i], &ip, facts, &arena, &verdict))
 *		ask for what is missing
 *	dnsbl_evidence(&lists[i], &verdict, &arena, &evidence);
 *	...
 *	memory_free(lists);
 *
 *	answer                                       result
 *	NXDOMAIN, no address                         NOT_LISTED
 *	a documented code                            LISTED, if the list does not list what it must not (below)
 *	127.255.255.x, the list's own such codes     REFUSED: over its limit, asked through a public resolver ...
 *	an address that is no code; not in 127/8     ERROR: expired or parked domain, captive network, a new code
 *	timeout, SERVFAIL                            ERROR
 *
 * A list is never believed on its own word: whatever it lists, its must-not entry (127.0.0.1, INVALID; RFC 5782, 5) is looked at
 * as well, in the same round and mostly from the resolver's cache. A list that lists that too lists everybody, and is in
 * ERROR at that very moment.
 *
 * A key of the operator's in a zone is in no verdict, evidence or reason. */
#ifndef POLICY_DNSBL_H
#define POLICY_DNSBL_H

#include "base/ip.h"
#include "config/config.h"
#include "policy/evidence.h"
#include "verify/facts.h"

/* So many domains of each of the CONFIG_DOMAIN_LISTS, and all else that a mail asks, fit into one set of facts. */
enum { DNSBL_DOMAINS = 24, DNSBL_CODES = 8 };

struct dnsbl_list {
	const struct config_list *config; /* borrowed */
	char check[48];                   /* "list.zen": its name among the checks */
};

/* All lists of the configuration, as written, in one piece for memory_free. NULL when there are none; the config must outlive
 * them. */
struct dnsbl_list *dnsbl_of_config(const struct config *c, size_t *ret_count);

/* Is it asked about the client's address (ip, allow), or about domains? */
bool dnsbl_is_of_ip(const struct dnsbl_list *l);

/* How the text of evidence ends when the list was caught listing what it must not. */
#define DNSBL_MAD "it lists everything, also what it must not"

enum dnsbl_result { DNSBL_NOT_LISTED, DNSBL_LISTED, DNSBL_REFUSED, DNSBL_ERROR };

struct dnsbl_verdict {
	enum dnsbl_result result;
	bool asked; /* false: this list has nothing on such an address, or there was no domain */
	unsigned percent;     /* of LISTED: how much of the list's points */
	struct bytes subject; /* of LISTED: the domain, or the address as text */
	struct bytes codes;   /* of LISTED: "127.0.0.4 (XBL) 127.0.0.10 (PBL)" */
	struct bytes text;    /* of REFUSED and ERROR: why; one line */
};

/* False: facts are missing, ret is untouched. Strings come from the arena. */
bool dnsbl_check_ip(const struct dnsbl_list *l, const struct ip *ip, struct facts *f,
                    struct arena *arena, struct dnsbl_verdict *ret) MUST_USE;
/* The worst of the first DNSBL_DOMAINS domains. */
bool dnsbl_check_domains(const struct dnsbl_list *l, const struct bytes *domains, size_t count,
                         struct facts *f, struct arena *arena, struct dnsbl_verdict *ret) MUST_USE;

/* REFUSED and ERROR are EVIDENCE_DOUBT without points. check is borrowed from the list, text is the arena's. */
void dnsbl_evidence(const struct dnsbl_list *l, const struct dnsbl_verdict *v, struct arena *arena,
                    struct evidence *ret);

/* ---- is the list itself well? ---- */

/* Numbers stand in CHECK_TESTED and in the store. */
enum dnsbl_state {
	DNSBL_WELL,
	DNSBL_LISTS_NOTHING,    /* not even what it must */
	DNSBL_LISTS_EVERYTHING, /* also what it must not */
	DNSBL_REFUSES_US,
	DNSBL_PARKED, /* answers that no list gives: its domain may have expired */
	DNSBL_SILENT, /* no answer */
	DNSBL_STATES
};

const char *dnsbl_state_name(enum dnsbl_state s); /* "lists everything" */

struct dnsbl_health {
	enum dnsbl_state state;
	struct bytes text; /* what it answered, for a person; one line */
};

/* Both test entries. False: facts are missing. */
bool dnsbl_self_test(const struct dnsbl_list *l, struct facts *f, struct arena *arena,
                     struct dnsbl_health *ret) MUST_USE;

#endif
