/* Reports on TLS (RFC 8460): the TXT record that asks for them, and the report of a day. Pure.
 *
 *	if (tlsrpt_txt(records, count, &arena, &rua) == OK) ...
 *	tlsrpt_report(&report, &json);                              then gzip, then a mail or a POST
 */
#ifndef VERIFY_TLSRPT_H
#define VERIFY_TLSRPT_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/ip.h"
#include "base/time.h"

/* Values stand in CARRIED and in the store: only added. */
enum tlsrpt_policy { TLSRPT_NO_POLICY, TLSRPT_STS, TLSRPT_TLSA, TLSRPT_POLICIES };

/* RFC 8460, 4.3. */
enum tlsrpt_result {
	TLSRPT_SUCCESS,
	TLSRPT_STARTTLS_NOT_SUPPORTED,
	TLSRPT_HOST_MISMATCH,
	TLSRPT_EXPIRED,
	TLSRPT_NOT_TRUSTED,
	TLSRPT_VALIDATION,
	TLSRPT_TLSA_INVALID,
	TLSRPT_DNSSEC_INVALID,
	TLSRPT_DANE_REQUIRED,
	TLSRPT_STS_FETCH,
	TLSRPT_STS_INVALID,
	TLSRPT_STS_WEBPKI,
	TLSRPT_RESULTS
};

const char *tlsrpt_policy_name(enum tlsrpt_policy p); /* "sts" */
const char *tlsrpt_result_name(enum tlsrpt_result r); /* "certificate-expired" */

enum { TLSRPT_RUAS = 8 };

/* v=TLSRPTv1; rua=mailto:...,https:... (3). NOT_FOUND: none, or more than one; INVALID: broken. */
enum result tlsrpt_txt(const struct bytes *records, size_t count,
                       struct bytes ret_ruas[TLSRPT_RUAS], size_t *ret_count) MUST_USE;

struct tlsrpt_row {
	enum tlsrpt_policy policy;
	enum tlsrpt_result result;
	struct bytes policy_string; /* of TLSA: its records; of STS: the policy's text; lines */
	struct bytes mx_host;
	struct bytes ip; /* 16 octets of struct ip, or empty */
	struct bytes details;
	uint64_t sessions;
};

struct tlsrpt_report {
	struct bytes organization; /* ours: the first domain */
	struct bytes contact;      /* an address */
	struct bytes domain;       /* whose TLS this is about */
	time_ms day;               /* its beginning, UTC */
	struct bytes id;           /* unique */
	const struct tlsrpt_row *rows;
	size_t row_count;
};

/* The JSON of RFC 8460, 4.4. Appends. */
void tlsrpt_report(const struct tlsrpt_report *r, struct buf *out);

/* gzip (RFC 1952), stored as it is: reports are small. Appends. */
void tlsrpt_gzip(struct bytes data, struct buf *out);

/* The report as a mail (5.3): header and multipart/report; gz is the compressed JSON. Appends, CRLF line ends. from and to are
 * addresses without <>. */
void tlsrpt_mail(const struct tlsrpt_report *r, struct bytes gz, struct bytes from, struct bytes to,
                 time_ms now, struct buf *out);

/* RFC 8460, 5.1: "example.test!example.org!1479513600!1479599999!id.json.gz" */
struct bytes tlsrpt_file_name(const struct tlsrpt_report *r, struct arena *arena);

#endif
