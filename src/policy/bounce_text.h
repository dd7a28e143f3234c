/* Bounces that only speak to a person: whom they name, and what they say about each. Private to
 * policy/. */
#ifndef POLICY_BOUNCE_TEXT_H
#define POLICY_BOUNCE_TEXT_H

#include "policy/bounce_parts.h"
#include "policy/reply.h"

enum { BOUNCE_TEXT_ITEMS = 200 };

struct bounce_text_item {
	struct bytes address;
	struct bytes said; /* on one line */
};

struct bounce_text {
	struct bounce_text_item *items;
	size_t count;
	bool delayed; /* a warning: it is still being tried */
};

/* Does header or text say that this is about a mail that was not delivered? */
bool bounce_text_is_bounce(const struct bounce_parts *parts, struct arena *arena);

void bounce_text_read(const struct bounce_parts *parts, struct arena *arena,
                      struct bounce_text *ret);

/* What the text says from this address on, up to the next paragraph that begins with an address; empty:
 * it is not named. */
struct bytes bounce_text_about(struct bytes text, struct bytes address);

/* Words that speak of a host that was never reached: *ret_class REPLY_NETWORK, or REPLY_DOMAIN when
 * there is no such host. */
bool bounce_text_is_network(struct bytes text, enum reply_class *ret_class);

#endif
