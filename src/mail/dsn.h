/* Bounces: delivery status notifications of RFC 3461 and 3464 (multipart/report), for a person
 * first: the text comes in English, or in Japanese and English when the original is Japanese.
 *
 *	dsn_begin(&d, &out);
 *	... append the original's header, or all of it if d.full; CRLF line ends, any pieces
 *	dsn_end(&d, &out);
 *
 * The envelope sender of the bounce is null, and it goes to d.sender. Never made for a null sender:
 * that is asserted. */
#ifndef MAIL_DSN_H
#define MAIL_DSN_H

#include "base/buf.h"
#include "base/time.h"

enum dsn_action { DSN_FAILED, DSN_DELAYED, DSN_DELIVERED, DSN_RELAYED, DSN_EXPANDED };

struct dsn_recipient {
	uint8_t action;          /* enum dsn_action */
	struct bytes address;    /* final recipient */
	struct bytes orcpt;      /* "rfc822;ken@example.test" as given by ORCPT, or empty */
	struct bytes status;     /* "5.1.1" */
	struct bytes remote_mta; /* host name, or empty: we ourselves decided */
	struct bytes
	        diagnostic; /* the reply or our reason: "550 5.1.1 No such user"; may be empty */
	const char *english, *japanese; /* what happened and what to do; NULL: by status */
	time_ms last_attempt;           /* 0: there was none */
	time_ms will_retry_until;       /* of DSN_DELAYED; 0: not said */
};

struct dsn {
	struct bytes hostname;   /* ours: Reporting-MTA */
	struct bytes sender;     /* whom it goes to: the original's envelope sender; not empty */
	struct bytes postmaster; /* From; empty: MAILER-DAEMON@hostname */
	struct bytes envid;      /* as given by ENVID, or empty */
	struct bytes id; /* the original's id here; also makes the boundary and the Message-ID */
	struct bytes subject; /* the original's, as it stands in its header (encoded words and all);
	                         may be empty */
	time_ms arrival;      /* of the original */
	time_ms now;
	int zone_minutes;
	bool japanese; /* dsn_is_japanese of the original's header */
	bool full;     /* the whole original is returned, else its header */
	bool utf8;     /* the original came with SMTPUTF8: message/global and friends (RFC 6533) */
	const struct dsn_recipient *recipients;
	size_t count; /* at least one */
};

void dsn_begin(const struct dsn *d, struct buf *out);
void dsn_end(const struct dsn *d, struct buf *out);

/* Does its sender read Japanese? By Content-Language, charset parameters and encoded words of the
 * header. */
bool dsn_is_japanese(struct bytes header);

/* Must no bounce or automatic answer be made to this mail? (Auto-Submitted, Precedence, List-Id,
 * null sender: RFC 3834, 2.) Bounces heed only the null sender; vacation and the like heed all. */
bool dsn_is_automatic(struct bytes header, struct bytes sender);

#endif
