/* Who is behind an MX host: the provider whose filter decides about many domains at once, so that a
 * block by it is one block. Known ones stand in policy/providers.def; of others the host's
 * organisational domain is the name.
 *
 *	provider_key(BYTES("alt1.gmail-smtp-in.l.google.com"))    "google"
 *	provider_key(BYTES("mx2.kumamoto.example.co.jp"))         "example.co.jp"
 *	provider_find(BYTES("google"))->link                      where to ask to be let in again
 */
#ifndef POLICY_PROVIDER_H
#define POLICY_PROVIDER_H

#include "base/bytes.h"

struct provider {
	const char *key;    /* "outlook.com": what PATH, CARRIED and incidents name it by */
	const char *name;   /* "Microsoft (Outlook.com, Hotmail)" */
	const char *hosts;  /* MX host suffixes, separated by spaces: "google.com googlemail.com" */
	const char *link;   /* form or address where a block is lifted; "" unknown */
	const char *site;   /* what it says to senders; "" unknown */
	const char *mail;   /* address for a request by mail; "" none: use the form */
	const char *source; /* where this is written down */
};

/* The provider's key for an MX host name, any case, with or without the dot at its end: a text of the
 * table, or a part of `host` (then in the case that it came in). An address literal is its own key.
 * Never empty unless host is. */
struct bytes provider_key(struct bytes host);

/* By key. NULL: not in the table (the key is a domain then). */
const struct provider *provider_find(struct bytes key);

/* The organisational domain by a small rule, without a public suffix list: the last two labels, or
 * three below suffixes as co.jp and com.au. A part of host. */
struct bytes provider_domain(struct bytes host);

#endif
