/* What SEARCH looks for, as a tree, and whether a mail is it. Shared by the search files. */
#ifndef IMAP_SEARCH_H
#define IMAP_SEARCH_H

#include "imap/reads.h"
#include "mail/summary.h"

enum search_kind {
	SEARCH_ALL,
	SEARCH_NONE,
	SEARCH_AND, /* children */
	SEARCH_OR,
	SEARCH_NOT,
	SEARCH_FLAGS, /* all of these are set */
	SEARCH_SET,   /* UIDs */
	SEARCH_LARGER,
	SEARCH_SMALLER,
	SEARCH_RECEIVED, /* day from <= INTERNALDATE < to */
	SEARCH_SENT,     /* the same for Date */
	SEARCH_MODSEQ,
	SEARCH_FIELD,  /* an address list or text of the summary */
	SEARCH_HEADER, /* any other field */
	SEARCH_BODY,
	SEARCH_TEXT,
};

enum search_field {
	FIELD_NONE,
	FIELD_FROM,
	FIELD_TO,
	FIELD_CC,
	FIELD_BCC,
	FIELD_SUBJECT,
	FIELD_SENDER,
	FIELD_REPLY_TO,
	FIELD_MESSAGE_ID,
	FIELD_IN_REPLY_TO,
	FIELD_REFERENCES,
};

struct search_node {
	uint8_t kind;  /* enum search_kind */
	uint8_t field; /* enum search_field */
	struct search_node *child, *next;
	uint64_t number;     /* flags, size, modseq */
	int64_t from, to;    /* days since 1970 */
	struct bytes name;   /* of a header field */
	struct bytes needle; /* folded */
	struct sequence_set set;
	bool set_is_uid;
	struct uidset uids; /* of SEARCH_SET, when resolved */
};

enum search_return {
	RETURN_MIN = 1 << 0,
	RETURN_MAX = 1 << 1,
	RETURN_ALL = 1 << 2,
	RETURN_COUNT = 1 << 3,
	RETURN_SAVE = 1 << 4,
};

/* What a mail must give before it can be judged. */
enum search_need {
	NEED_FLAGS = 1 << 0,
	NEED_BRIEF = 1 << 1,  /* size, date of arrival */
	NEED_FULL = 1 << 2,   /* the summary */
	NEED_HEADER = 1 << 3, /* the header itself */
	NEED_MAIL = 1 << 4,   /* all of it */
};

struct search_query {
	bool extended; /* RETURN was there */
	unsigned returns;
	struct search_node *root;
	unsigned needs;
	unsigned nodes;   /* in the tree: what one mail costs at most */
	bool modseq;      /* MODSEQ was a key: tell the highest one */
	bool bad_charset; /* NO [BADCHARSET] */
};

bool search_query_parse(struct imap_server *s, struct cursor *c, struct search_query *ret);

/* Sets become UIDs of the view. */
void search_resolve(const struct imap_server *s, struct search_node *node);
void search_forget(struct search_node *node); /* the sets' memory */

/* A mail as far as it is known. text: header and body of the mail, folded; used when have_mail (or, for the header,
 * have_header). */
struct search_mail {
	const struct row *row;
	bool have_summary, have_header, have_mail;
	struct summary summary;
	struct bytes header;                 /* as it stands */
	struct bytes header_text, body_text; /* folded */
};

enum search_verdict { SEARCH_NO, SEARCH_YES, SEARCH_MAYBE };

enum search_verdict search_match(const struct search_node *node, const struct search_mail *mail);

/* Text for BODY and TEXT from a whole mail, decoded and folded. Appends. */
void search_header_text(struct bytes header, struct buf *out);
void search_body_text(struct bytes mail, const struct mime_part *root, struct buf *out);

/* Folds for comparing; the quick way for ASCII. */
void search_fold(struct bytes utf8, struct buf *out);

#endif
