/* The structure of a mail (RFC 2045, 2046): a tree of parts with their octets, found in one pass.
 *
 *	struct mime_parser *p = mime_parser_new();
 *	mime_parser_feed(p, bytes);                       any split, as DATA arrives
 *	const struct mime_part *root = mime_parser_finish(p);
 *	...
 *	mime_parser_free(&p);                             the tree goes with it
 *
 *	root = mime_parse(whole, &arena, NULL);           the same for a mail in memory
 *
 * The parser keeps no mail, only the fields that the tree and the envelopes need: at most MIME_KEEP
 * octets. It costs one memchr per line and compares boundaries only on lines that begin with "--".
 * Lines end with CRLF or a bare LF; a bare CR is no line end. The line end before a boundary
 * belongs to the boundary (RFC 2046, 5.1.1).
 *
 * The child of a multipart is never NULL: one whose boundary never comes is a leaf (multipart is
 * false) of that type.
 *
 * What breaks the rules:
 *
 *  - A boundary of an outer multipart ends all inner ones that were not closed; the end of the
 *    mail ends everything.
 *
 *  - A boundary line may go on after a blank; anything else after it (a longer boundary) is another
 *    boundary, or text. Of boundaries that begin alike the longest counts.
 *
 *  - A multipart without a boundary parameter, and parts beyond LIMIT_MIME_DEPTH or
 *    LIMIT_MIME_PARTS, are leaves (`truncated`).
 *
 *  - A message/rfc822 in base64 or quoted-printable is a leaf: its offsets would not be octets of
 *    this mail.
 *
 *  - A header line that is no field is passed over; but when it is the first line of a part's
 *    header, there is no header and the body starts there.
 *
 *  - After a Content-Type or -Disposition that ends with ";" a line that is no field goes on with
 *    it, blank or not.
 *
 *  - Of several Content-Type, Content-Transfer-Encoding or Content-Disposition the last counts; of
 *    other fields the first.
 *
 *  - In multipart/digest the default type is message/rfc822, elsewhere text/plain;
 *    charset=us-ascii (RFC 2046, 5.1.5).
 */
#ifndef MAIL_MIME_H
#define MAIL_MIME_H

#include "base/arena.h"
#include "base/limits.h"
#include "mail/address.h"

enum { MIME_KEEP = 1024 * 1024 };

/* A parameter as it stands: name in lower case, value unquoted. RFC 2231 sections are single ones
 * ("filename*0*"). */
struct mime_param {
	struct mime_param *next;
	struct bytes name;
	struct bytes value;
};

enum mime_encoding { MIME_7BIT, MIME_8BIT, MIME_BINARY, MIME_BASE64, MIME_QUOTED, MIME_OTHER };

/* Fields of a message (root, or what stands in a message/rfc822), unfolded, encoded words not
 * decoded. Empty: not there. */
struct mime_envelope {
	struct bytes date, subject, in_reply_to, message_id, references;
	struct address *from, *sender, *reply_to, *to, *cc,
	        *bcc; /* as written: defaults are IMAP's */
};

struct mime_part {
	struct mime_part *parent;
	struct mime_part *child; /* first; of message/rfc822: the message in it, exactly one */
	struct mime_part *next;
	uint64_t header_start; /* octets from the start of the mail */
	uint64_t body_start;   /* header_start to body_start is the header with its blank line */
	uint64_t body_end;     /* body_start to body_end is the body: what IMAP's BODY[n] gives */
	uint32_t header_lines; /* blank line included */
	uint32_t body_lines;   /* line ends in the body: BODYSTRUCTURE's lines */
	uint8_t encoding;      /* enum mime_encoding */
	bool multipart;        /* type is multipart and it was taken apart */
	bool message;      /* type is message/rfc822 or message/global and child is its message */
	bool type_given;   /* there was a Content-Type that could be read */
	struct bytes type; /* lower case; never empty */
	struct bytes subtype; /* lower case; never empty */
	struct mime_param *params;
	struct bytes encoding_text; /* as written, for BODYSTRUCTURE; empty: 7BIT */
	struct bytes id;            /* Content-ID, brackets included */
	struct bytes description;   /* unfolded */
	struct bytes md5;
	struct bytes disposition; /* lower case, empty: none */
	struct mime_param *disposition_params;
	struct bytes language; /* as written: "en, ja" */
	struct bytes location;
	struct mime_envelope
	        *envelope; /* of root and of the message in a message/rfc822; else NULL */
};

struct mime_parser;

struct mime_parser *mime_parser_new(void);
void mime_parser_feed(struct mime_parser *p, struct bytes in);
const struct mime_part *mime_parser_finish(struct mime_parser *p); /* once; never NULL */
void mime_parser_free(struct mime_parser **p);

struct mime_count {
	uint64_t size;     /* octets fed */
	uint32_t parts;    /* in the tree */
	uint32_t received; /* Received fields of the root header: hops so far */
	bool truncated;    /* a limit was met: parts or fields are left out */
	uint64_t work;     /* octets looked at, comparisons included: tests hold it linear */
};

struct mime_count mime_parser_count(const struct mime_parser *p);

/* The same for a mail in memory; ret_count may be NULL. */
const struct mime_part *mime_parse(struct bytes mail, struct arena *arena,
                                   struct mime_count *ret_count);

/* The part that an IMAP section number names (RFC 9051, 6.4.5.1); count 0 is root. In a message,
 * the children of its multipart count, or its one body as 1. NULL: no such part. When the part
 * is a message/rfc822 (part->message), HEADER and TEXT of it are header and body of part->child. */
const struct mime_part *mime_part_section(const struct mime_part *root, const uint32_t *numbers,
                                          size_t count);

/* A parameter by plain name; not RFC 2231 (words_param does). Empty: not there. */
struct bytes mime_param_find(const struct mime_param *params, struct bytes name);

/* Parses a Content-Type or Content-Disposition value: "a/b; x=y" or "a; x=y". *ret_subtype empty
 * for the latter. */
void mime_value_parse(struct bytes value, struct arena *arena, struct bytes *ret_type,
                      struct bytes *ret_subtype, struct mime_param **ret_params);

enum mime_encoding mime_encoding_of(struct bytes value);

#endif
