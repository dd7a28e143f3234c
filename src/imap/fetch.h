/* What FETCH asks for, and how a part of a mail is found and printed. Shared by the cmd_fetch files. */
#ifndef IMAP_FETCH_H
#define IMAP_FETCH_H

#include "imap/reads.h"
#include "mail/summary.h"

enum fetch_item {
	FETCH_UID = 1 << 0,
	FETCH_FLAGS = 1 << 1,
	FETCH_DATE = 1 << 2,
	FETCH_SIZE = 1 << 3,
	FETCH_ENVELOPE = 1 << 4,
	FETCH_BODY = 1 << 5,
	FETCH_STRUCTURE = 1 << 6,
	FETCH_MODSEQ = 1 << 7,
};

enum section_kind {
	SECTION_WHOLE,
	SECTION_HEADER,
	SECTION_FIELDS,
	SECTION_FIELDS_NOT,
	SECTION_TEXT,
	SECTION_MIME,
};

/* BODY[1.2.HEADER]<0.100> and its like, RFC822.*, BINARY[1], BINARY.SIZE[1]. */
struct section {
	struct section *next;
	uint8_t kind; /* enum section_kind */
	bool binary, size_only;
	bool partial;
	uint64_t offset, len; /* of partial */
	const uint32_t *numbers;
	size_t count;
	const struct bytes *fields;
	size_t field_count;
	struct bytes label; /* as the response names it */
};

struct fetch_items {
	unsigned items; /* enum fetch_item */
	struct section *sections;
	bool set_seen; /* one of them is no PEEK */
};

/* "FAST", "FLAGS", "(UID BODY[])": RFC 9051, 6.4.5. */
bool fetch_items_parse(struct cursor *c, struct fetch_items *ret);

/* Octets of the mail that a section is made of. False: the mail has no such part. *ret_part is the part, or NULL for
 * what is not decoded. */
bool section_range(const struct section *sec, const struct summary *sum, uint64_t *ret_from,
                   uint64_t *ret_to, const struct mime_part **ret_part);

/* Does it need to know the mail's parts? */
bool section_needs_structure(const struct section *sec);

/* Only its octets as they are: it can be sent as it is read. */
bool section_is_raw(const struct section *sec);

/* Narrows a raw section's range by <offset.len>. */
void section_narrow(const struct section *sec, uint64_t *from, uint64_t *to);

/* Appends " LABEL value" without the blank: raw holds the octets of section_range (not narrowed). False: the part's encoding
 * is not known (BINARY). */
bool section_print(const struct section *sec, struct bytes raw, const struct mime_part *part,
                   struct buf *out);
void section_print_nil(const struct section *sec, struct buf *out);

#endif
