/* Rows of mails from the store, a page at a time and some pages ahead: what FETCH, STORE and SEARCH read.
 *
 *	rows_begin(&r, s, ROWS_FLAGS, &set);
 *	pump:    rows_pump(&r); while ((what = rows_next(&r, &row)) == ROWS_ROW) ...
 *	answer:  if (rows_answer(&r, a, mark)) pump
 *	rows_done(&r);
 *
 * Rows come in ascending order of UID. Mails that are gone give no row. The summary is good until the next call. */
#ifndef IMAP_ROWS_H
#define IMAP_ROWS_H

#include "imap/session.h"

enum rows_kind {
	ROWS_UID,   /* nothing is asked: the view knows */
	ROWS_FLAGS, /* modseq and flags */
	ROWS_BRIEF, /* and date, size */
	ROWS_FULL,  /* and the summary */
};

enum rows_what { ROWS_ROW, ROWS_WAIT, ROWS_END, ROWS_FAILED };

struct row {
	uint32_t uid;
	uint64_t modseq, flags;
	time_ms received;
	uint32_t size;
	struct bytes summary;
	bool touched; /* \Seen was set just now */
};

enum { ROWS_AHEAD = 4, ROWS_MARK = 1u << 31 }; /* marks of rows' asks have this bit */

struct rows_slot {
	uint8_t state;  /* enum slot_state in rows.c */
	uint32_t last;  /* the slice's greatest UID */
	struct buf set; /* packed */
	struct buf data;
	size_t pages;
	size_t rows;          /* read so far, for the average */
	uint64_t seen_modseq; /* \Seen was set with this modseq; 0: it was not */
};

struct rows {
	struct imap_server *s;
	uint8_t kind;
	bool set_seen;  /* set \Seen on what has it not */
	uint64_t since; /* only greater modseqs (FLAGS) */
	struct uidset set;
	size_t range;   /* where the next slice begins: this range ... */
	uint32_t from;  /* ... at this UID */
	uint32_t slice; /* mails a slice */
	unsigned ahead;
	struct rows_slot slots[ROWS_AHEAD];
	unsigned head, used; /* ring of slots */
	size_t offset;       /* in the head's data */
	enum result failed;  /* the first failure */
};

/* Takes the ranges out of *set, which is empty then. */
void rows_begin(struct rows *r, struct imap_server *s, enum rows_kind kind, struct uidset *set);
void rows_pump(struct rows *r);
enum rows_what rows_next(struct rows *r, struct row *ret);
/* False: the answer was not the rows'. */
bool rows_answer(struct rows *r, const struct answer *a, uint32_t mark);
void rows_done(struct rows *r);

#endif
