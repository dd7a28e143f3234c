/* DMARC aggregate reports (RFC 9990, and those of RFC 7489, appendix C): what other hosts saw of mail that claims to be from a
 * domain. Read and written by the same struct.
 *
 *	dmarc_report_find(octets, &arena, &report, &why)            a mail, a gzip, a zip or the XML itself
 *	for (i < report.row_count) report.rows[i] ...
 *
 *	dmarc_report_write(&report, &xml);                          then gzip, then a mail
 *
 * Nothing in a report is believed: anybody can send one. Reading is bounded in memory and time, whatever it claims. */
#ifndef VERIFY_DMARC_REPORT_H
#define VERIFY_DMARC_REPORT_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/ip.h"
#include "verify/dmarc.h"

enum {
	DMARC_REPORT_XML = 16 * 1024 * 1024, /* octets of XML */
	DMARC_REPORT_ROWS = 5000,            /* that are kept of one report */
	DMARC_REPORT_TEXT = 255,             /* octets of a value; longer is cut */
	DMARC_REPORT_DKIMS = DMARC_ROW_DKIMS,
};

struct dmarc_report_row {
	struct ip ip;
	uint64_t count;
	enum dmarc_policy disposition; /* what the reporter did: none, quarantine, reject */
	bool dkim, spf;                /* aligned and passed */
	struct bytes
	        reason; /* why it did other than the policy: a word of RFC 9990; may be empty */
	struct bytes header_from, envelope_from;
	struct dmarc_report_dkim {
		struct bytes domain, selector, result;
	} dkims[DMARC_REPORT_DKIMS];
	size_t dkim_count;
	struct bytes spf_domain, spf_scope, spf_result; /* the first */
};

struct dmarc_report {
	struct bytes organization, email, id;
	int64_t begin, end;  /* seconds since 1970 */
	struct bytes domain; /* whose mail this is about; lower case */
	enum dmarc_policy p, sp, np;
	bool has_sp, has_np;
	bool strict_dkim, strict_spf, testing;
	struct dmarc_report_row *rows;
	size_t row_count;
	uint64_t rows_left_out; /* beyond DMARC_REPORT_ROWS */
};

/* An XML document. INVALID: not well-formed, with a document type (RFC 9990 has none; entities are how bombs are made), or not a
 * report. TOO_BIG. Strings are the arena's, UTF-8 without control characters. */
enum result dmarc_report_parse(struct bytes xml, struct arena *arena, struct dmarc_report *ret,
                               struct why *why) MUST_USE;
/* The same of whatever was sent: the XML, packed or not, or a whole mail with it as a part. NOT_FOUND: no report in it. */
enum result dmarc_report_find(struct bytes in, struct arena *arena, struct dmarc_report *ret,
                              struct why *why) MUST_USE;

/* For the store: what is shown of a report, at most max octets; rows that find no room are left out. Appends. */
void dmarc_report_pack(const struct dmarc_report *r, size_t max, struct buf *out);
/* INVALID: malformed. Strings borrow from packed. */
enum result dmarc_report_unpack(struct bytes packed, struct arena *arena,
                                struct dmarc_report *ret) MUST_USE;

/* XML as RFC 9990, appendix B. Appends. */
void dmarc_report_write(const struct dmarc_report *r, struct buf *out);

/* "receiver!policy-domain!begin!end!unique-id.xml.gz" (RFC 9990, 4.1) */
struct bytes dmarc_report_file_name(const struct dmarc_report *r, struct arena *arena);
/* The whole mail; gz is the packed XML. Appends, CRLF line ends. Addresses without <>. */
void dmarc_report_mail(const struct dmarc_report *r, struct bytes gz, struct bytes from,
                       struct bytes to, time_ms now, struct buf *out);

#endif
