/* What listing a mailbox needs to know of a mail, made once when it comes in, so that nobody opens
 * the mail for it: IMAP's ENVELOPE, BODYSTRUCTURE, RFC822.SIZE, SEARCH in the usual fields, SORT
 * and THREAD.
 *
 *	struct summary_builder *b = summary_builder_new();
 *	summary_builder_feed(b, trace); summary_builder_feed(b, data); ...    any split
 *	summary_builder_finish(b, &buf);                        at most LIMIT_SUMMARY octets
 *	hops = summary_builder_summary(b)->received;
 *	summary_builder_free(&b);
 *
 *	struct summary s;
 *	if (summary_decode(bytes, &arena, &s) == OK) envelope = s.root->envelope; ...
 *
 * A mail that is too rich for LIMIT_SUMMARY gets a partial summary. In this order:
 *  1. SUMMARY_NO_STRUCTURE: root stands alone: its children are left out (root->child is NULL).
 *     BODYSTRUCTURE and sections need the mail itself: feed it (READ) to a builder and use
 *     summary_builder_summary(), which knows no such limit.
 *  2. SUMMARY_CUT: besides, address lists and texts of the envelope are cut. ENVELOPE and SEARCH
 *     in them need the mail, too.
 *
 * Offsets, size and date are always right. */
#ifndef MAIL_SUMMARY_H
#define MAIL_SUMMARY_H

#include "base/time.h"
#include "mail/mime.h"

enum summary_partial {
	SUMMARY_NO_STRUCTURE = 1 << 0,
	SUMMARY_CUT = 1 << 1,
	SUMMARY_TRUNCATED = 1 << 2, /* the parser met LIMIT_MIME_PARTS, _DEPTH or MIME_KEEP: reading
	                               again gives no more */
};

struct summary {
	uint8_t partial;   /* enum summary_partial bits */
	uint64_t size;     /* octets: RFC822.SIZE */
	uint32_t received; /* Received fields of the header: hops */
	bool date_valid;
	time_ms date;                 /* the Date field; 0 when not valid */
	int16_t date_zone;            /* minutes east */
	const struct mime_part *root; /* root->envelope is never NULL */
};

struct summary_builder;

struct summary_builder *summary_builder_new(void);
void summary_builder_feed(struct summary_builder *b, struct bytes in);
/* Once: ends the mail and appends its encoded summary. */
void summary_builder_finish(struct summary_builder *b, struct buf *out);
/* The same for a mail into whose header these fields (whole ones, CRLF line ends) were put after it was fed: what is in
 * the summary but offsets must not depend on them. */
void summary_builder_finish_grown(struct summary_builder *b, struct bytes fields, struct buf *out);
/* The whole, unlimited summary; ends the mail if finish was not called. Lives as long as the
 * builder. */
const struct summary *summary_builder_summary(struct summary_builder *b);
void summary_builder_free(struct summary_builder **b);

/* Appends at most LIMIT_SUMMARY octets. */
void summary_encode(const struct summary *s, struct buf *out);
/* Strings are borrowed from `in`, structs come from the arena. INVALID: not made by summary_encode.
 */
enum result summary_decode(struct bytes in, struct arena *arena, struct summary *ret) MUST_USE;

/* A whole mail in memory; everything from the arena. */
struct summary summary_of(struct bytes mail, struct arena *arena);

/* The subject that SORT and THREAD compare (RFC 5256, 2.1): decoded, "Re:" and the like removed.
 * Appends UTF-8. *ret_reply (may be NULL): it was a reply or forward. */
void summary_base_subject(struct bytes subject, struct buf *out, bool *ret_reply);

/* The next message id of References, In-Reply-To or Message-ID, without <>; false: no more. */
bool summary_next_id(struct bytes *rest, struct bytes *ret_id);

#endif
