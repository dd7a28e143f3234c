/* The header of a mail that is submitted: where it ends, whether it can be sent, and its completion (RFC 6409, 6 and 8).
 * Private to smtp/, pure: octets in, octets and a verdict out.
 *
 *	while (!smtp_header_scan(&scan, buffered, last, &header_len, &body_start)) more octets
 *	smtp_header_complete(header, &setup, &arena, &out, &verdict);
 *
 * What it does: Bcc, Resent-Bcc and Return-Path are taken out, folded and repeated as they may be; Message-ID, Date and From are
 * added where they are missing, and put in place of ones that are empty or no date; "From " of mbox files is dropped;
 * addresses without a domain get one (RFC 6409, 6.4). All else stays as it is, octet by octet.
 * A line that is no field ends the header: the body begins there, and an empty line is put before it. */
#ifndef SMTP_HEADER_H
#define SMTP_HEADER_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/time.h"

enum { SMTP_HEADER_CLAIMS = 12 }; /* addresses in From and Sender */

struct smtp_header_scan {
	size_t at;  /* the first line that was not looked at */
	bool field; /* there was a field, so that a blank goes on with it */
};

/* buffered: all that came so far; last: no more will come. True: the header is its first *ret_len octets (without the empty
 * line), the body begins at *ret_body. */
bool smtp_header_scan(struct smtp_header_scan *s, struct bytes buffered, bool last, size_t *ret_len,
                      size_t *ret_body);

struct smtp_header_setup {
	struct bytes sender; /* of the envelope; empty: null */
	struct bytes
	        user; /* who has logged in: an address; From where both it and the sender are missing */
	struct bytes
	        local_user; /* a local user's name; empty: none. It means `user` in From and Sender */
	struct bytes domain;     /* of addresses that have none */
	struct bytes message_id; /* for a mail without one, <> included */
	time_ms now;
};

struct smtp_header_verdict {
	const char *refused; /* NULL: it may be sent; else why not, %s for detail */
	struct bytes detail;
	struct bytes claims[SMTP_HEADER_CLAIMS]; /* canonical; From's first, then Sender's */
	unsigned claim_count;
	bool tls_not_required; /* TLS-Required: No (RFC 8689, 5) */
};

/* Appends the completed header, with the empty line, to out, unless it is refused. */
void smtp_header_complete(struct bytes header, const struct smtp_header_setup *setup,
                          struct arena *arena, struct buf *out, struct smtp_header_verdict *ret);

#endif
