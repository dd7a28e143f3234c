/* What must be in the store, as plain values: applying an operation to a copy is how "wholly there or wholly not" is
 * tried out. */
#ifndef TEST_SIM_MODEL_H
#define TEST_SIM_MODEL_H

#include "ask/ask.h"

/* Account 0 is placed directly; account 1 has a dot file, so its mail goes through the queue; the list is an alias of
 * both. */
enum {
	ACCOUNTS = 2,
	LIST = 2,
	RECIPIENTS = 3,
	BOXES = 6,
	MAILS = 160,
	ENTRIES = 40,
	ESCROWS = 60,
	TAGS = 1024,
	UIDS = 32
};
enum { BOX_INBOX, BOX_JUNK, BOX_FIXED = 2 }; /* the first two are never deleted or renamed */

extern const char *const box_names[BOXES];
extern const char *const recipient_names[RECIPIENTS];
extern const char *const keyword_names[3];

struct model_mail {
	uint32_t tag, uid; /* uid 0: not told yet */
	uint8_t flags, keywords;
};

struct model_box {
	bool exists;
	unsigned count;
	struct model_mail mails[MAILS];
	/* what was told: it may never go back */
	uint32_t uidvalidity; /* 0: not told yet */
	uint32_t high;        /* no new mail may have this UID or a lower one */
	uint64_t modseq;
};

struct model_entry {
	uint32_t tag;
	unsigned recipient;
	bool junk; /* the verdict: INBOX becomes Junk */
};

/* Refused and kept. recipients: bits, those that it was not released to. */
struct model_escrow {
	uint32_t tag;
	unsigned recipients;
};

struct model {
	struct model_box boxes[ACCOUNTS][BOXES];
	struct model_entry entries[ENTRIES];
	unsigned entry_count;
	struct model_escrow escrow[ESCROWS];
	unsigned escrow_count;
	uint8_t delivered[TAGS];        /* bit: the account has it */
	uint32_t told[ACCOUNTS][BOXES]; /* the highest UIDVALIDITY under this name */
};

enum op_kind {
	OP_COMMIT,
	OP_APPEND,
	OP_FLAGS,
	OP_EXPUNGE,
	OP_COPY,
	OP_CREATE,
	OP_DELETE,
	OP_RENAME,
	OP_SORTED,
	OP_ESCROW,  /* COMMIT that delivers nothing */
	OP_RELEASE, /* ... until now */
	OP_IMAGE,
	OP_SWEEP,
	OP_KINDS
};

enum sort_way { WAY_PLACE, WAY_REDIRECT, WAY_DEFER, WAY_DONE };

struct op {
	enum op_kind kind;
	uint32_t number;
	unsigned account, box, to;
	uint32_t tag;
	unsigned recipients; /* COMMIT, ESCROW, RELEASE: bits */
	bool junk, move;
	uint32_t uids[UIDS]; /* ascending */
	unsigned uid_count;  /* EXPUNGE: 0 is all */
	enum flags_mode mode;
	uint8_t flags, keywords;
	uint64_t entry, lease;
	char mail[24]; /* RELEASE: its id */
	unsigned recipient;
	enum sort_way way;
	char key[16];
	/* made ready to be asked */
	struct ask ask;
	struct buf one, two;
	/* the answer */
	bool answered;
	enum result result;
	uint32_t uidvalidity, uid;
	uint32_t from[UIDS], copied[UIDS]; /* COPY: which UID became which */
	unsigned copied_count;
};

const char *op_name(enum op_kind kind);
/* What the operation does; what the answer told of UIDs is taken over. */
void model_apply(struct model *m, const struct op *o);

/* A mailbox as the store shows it. */
struct seen_box {
	bool exists;
	uint32_t uidvalidity, uidnext;
	uint64_t modseq;
	unsigned count;
	struct model_mail mails[MAILS];
};

struct seen {
	struct seen_box boxes[ACCOUNTS][BOXES];
	bool entries_known;
	struct model_entry entries[ENTRIES];
	unsigned entry_count;
	struct model_escrow escrow[ESCROWS];
	unsigned escrow_count;
};

/* Does the store show what the model says? Then the model learns the UIDs that it did not know. why says what differs. */
bool model_fits(struct model *m, const struct seen *seen, struct why *why);
/* What may never go back went back, or a change was told without a new modseq. before: as it was told last. */
bool model_holds(struct model *m, const struct model *before, const struct seen *seen,
                 struct why *why);

#endif
