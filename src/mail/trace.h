/* The lines that we put on top of a mail that we take: Return-Path and Received (RFC 5321, 4.4). */
#ifndef MAIL_TRACE_H
#define MAIL_TRACE_H

#include "base/buf.h"
#include "base/ip.h"
#include "base/time.h"

struct trace {
	bool return_path;    /* write Return-Path: this is the final delivery as far as SMTP goes */
	struct bytes sender; /* without <>; empty is the null sender */
	struct bytes helo;   /* as the client said it; empty: it said none */
	struct bytes client_name;    /* verified host name by reverse DNS; empty: "unknown" */
	const struct ip *client;     /* NULL: made here, or not to be told */
	struct bytes hostname;       /* ours */
	bool esmtp, tls, auth, utf8; /* the keyword of RFC 3848 and RFC 6531: SMTP, ESMTP, ESMTPSA,
	                                UTF8SMTPS ... */
	struct bytes tls_version;    /* "TLSv1.3 with cipher ...": a comment; may be empty */
	struct bytes id;             /* ours, for grep; may be empty */
	struct bytes rcpt; /* "for": only when there is exactly one recipient; else empty */
	time_ms now;
	int zone_minutes;
};

enum { TRACE_HOPS_MAX = 100 }; /* RFC 5321, 6.3: a mail with more Received lines is in a loop */

/* Appends at most LIMIT_TRACE octets, CRLF line ends, ASCII or UTF-8, no line over 998; what
 * strangers sent is cut and control characters and parentheses in it become "?", so that nobody
 * forges a line. */
void trace_make(const struct trace *t, struct buf *out);

/* Received fields in this header, and whether a Delivered-To names this address (without case in
 * the domain, and in the local part too, as our accounts are). */
unsigned trace_hops(struct bytes header);
bool trace_delivered_to(struct bytes header, struct bytes address);

#endif
