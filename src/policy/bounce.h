/* Reads a bounce that somebody sent us: for whom, why, for good or not. Delivery reports (RFC 3464)
 * and the many that are none: qmail's, Exim's, old sendmail's, Notes', au's and docomo's, and of
 * gateways that only say it in words, in English or Japanese. Complaints (ARF, RFC 5965) and
 * vacation replies are told apart.
 *
 *	struct bounce b;
 *	if (bounce_read(mail, &arena, &b) == BOUNCE_NONE) ...      it is ordinary mail
 *	for (size_t i = 0; i < b.count; i++)
 *		printf("%.*s", BYTES_ARG(b.recipients[i].address));
 *
 * Total and linear; lines may end with CRLF, LF or CR. Words of other charsets are decoded by
 * mail/, so charset_warm() comes first behind walls. */
#ifndef POLICY_BOUNCE_H
#define POLICY_BOUNCE_H

#include "policy/reply.h"

enum bounce_kind {
	BOUNCE_NONE,      /* not a bounce */
	BOUNCE_FAILURE,   /* recipients failed, or are late */
	BOUNCE_DELIVERED, /* all of them say: delivered */
	BOUNCE_VACATION,  /* an automatic reply of a person: the address is good */
	BOUNCE_FEEDBACK,  /* somebody complained about a mail (ARF) */
};

enum bounce_weight {
	BOUNCE_HARD,  /* the address is bad for good */
	BOUNCE_SOFT,  /* not delivered, but the address may be good */
	BOUNCE_OTHER, /* no failure: delivered, vacation, complaint */
};

struct bounce_recipient {
	struct bytes
	        address; /* as the sender wrote it where that is known, else the final one; no <> */
	struct bytes
	        status; /* "5.1.1"; never empty for a failure: "5.0.0" or "4.0.0" when nothing is said */
	struct bytes action;     /* failed, delayed, delivered, relayed, expanded; lower case */
	struct bytes diagnostic; /* what the host said, one line, UTF-8; may be empty */
	struct bytes remote;     /* the host that said it; may be empty */
	enum reply_class class;
	enum bounce_weight weight;
};

enum { BOUNCE_RECIPIENTS = 1000 }; /* more in one mail are left out */

struct bounce {
	enum bounce_kind kind;
	struct bounce_recipient *recipients;
	size_t count;
	struct bytes message_id; /* of the original, without <>; empty: not there */
	struct bytes envid;      /* Original-Envelope-Id; may be empty */
};

/* All in *ret is from the arena or borrowed from mail. */
enum bounce_kind bounce_read(struct bytes mail, struct arena *arena, struct bounce *ret);

const char *bounce_weight_name(enum bounce_weight weight); /* "hard", "soft", "other" */

#endif
