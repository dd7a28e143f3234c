/* What checks say about a mail, one piece of evidence each, and what is to be done with it. The vocabulary that the checks
 * (verify/, policy/), the verdict, the store's trial of checks and the ledger share.
 *
 *	struct evidence e = {.check = BYTES("list.zen"), .says = EVIDENCE_BAD, .points = 600,
 *	                     .wants = JUDGE_REFUSE, .text = BYTES("zen.spamhaus.org 127.0.0.4 (XBL)")};
 *	evidence_pack(&buf, &e);                                in JUDGED's evidence
 *	while (evidence_take(&wire, &e)) ...                    the reader's
 *
 * A check that doubts itself (a list that refuses us, a name that could not be resolved) says DOUBT, has no points, and never
 * wants more than JUDGE_DEFER. */
#ifndef POLICY_EVIDENCE_H
#define POLICY_EVIDENCE_H

#include "base/buf.h"
#include "base/wire.h"

/* In the order of gravity; numbers stand in asks and in the ledger. */
enum judge_action {
	JUDGE_ACCEPT, /* the recipient's own mailbox */
	JUDGE_JUNK,   /* taken, into the Junk folder */
	JUDGE_DEFER,  /* 4xx: come back later */
	JUDGE_REFUSE, /* 5xx; after DATA a copy is kept in escrow */
	JUDGE_ACTIONS
};

enum evidence_says {
	EVIDENCE_NEUTRAL, /* it looked and has nothing to say */
	EVIDENCE_GOOD,
	EVIDENCE_BAD,
	EVIDENCE_DOUBT, /* it could not look, or its answer cannot be trusted */
	EVIDENCE_SAYS
};

enum {
	EVIDENCE_MAX = 64,   /* of one mail */
	EVIDENCE_CHECK = 64, /* octets of a check's name */
	EVIDENCE_TEXT = 500, /* octets of text; longer is cut */
	EVIDENCE_POINTS = 10000,
};

struct evidence {
	struct bytes
	        check; /* as `hikyaku checks` names it: spf, dkim, dmarc, iprev, list.NAME, content, scam, milter.NAME */
	enum evidence_says says;
	int points; /* hundredths, -EVIDENCE_POINTS to EVIDENCE_POINTS; above 0 speaks against the mail */
	enum judge_action wants; /* what this check alone asks for; JUDGE_ACCEPT: nothing */
	struct bytes text;       /* the raw evidence, for a person; one line */
};

const char *judge_action_name(enum judge_action a);   /* "accept", "junk", "defer", "refuse" */
const char *evidence_says_name(enum evidence_says s); /* "neutral", "good", "bad", "doubt" */

/* Appends: block check, u8 says, u16 points + EVIDENCE_POINTS, u8 wants, block text. */
void evidence_pack(struct buf *out, const struct evidence *e);
/* The next; false at the end or where it is broken (w->bad). Bytes borrow from w. */
bool evidence_take(struct wire *w, struct evidence *ret);

#endif
