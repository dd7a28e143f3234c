/* A bounce taken apart: what is said about it, and the mail that it is about. Private to policy/. */
#ifndef POLICY_BOUNCE_PARTS_H
#define POLICY_BOUNCE_PARTS_H

#include "base/arena.h"
#include "base/buf.h"

enum {
	BOUNCE_TEXT_MAX = 256 * 1024,    /* of what is said */
	BOUNCE_ORIGINAL_MAX = 16 * 1024, /* of the original's header */
};

/* Lines end with LF everywhere. All from the arena. */
struct bounce_parts {
	struct bytes header;   /* the bounce's own */
	struct bytes text;     /* what is said to a person, UTF-8, up to the original */
	struct bytes status;   /* message/delivery-status: groups of fields */
	struct bytes feedback; /* message/feedback-report; empty: none */
	struct bytes original; /* the original's header, as far as it came back; may be empty */
	struct bytes inner;    /* all of it that came back */
	bool report;           /* the whole is a multipart/report */
};

void bounce_parts_take(struct bytes mail, struct arena *arena, struct bounce_parts *ret);

/* The value of the first field of this name, unfolded, encoded words decoded; empty: none. Wherever it
 * stands: also indented. */
struct bytes bounce_field(struct bytes text, struct bytes name, struct arena *arena);

#endif
