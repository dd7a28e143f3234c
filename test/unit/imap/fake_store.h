/* A store in memory for tests of the IMAP engine: it answers what IMAP asks, of one account, and raises CHANGED.
 * It is simple where the real one is careful: nothing is durable, everything is linear. */
#ifndef TEST_FAKE_STORE_H
#define TEST_FAKE_STORE_H

#include "ask/engine.h"
#include "base/limits.h"

struct fake_mail {
	uint32_t uid;
	uint64_t modseq, flags;
	time_ms received;
	struct buf content, summary;
};

struct fake_gone {
	uint32_t uid;
	uint64_t modseq;
};

struct fake_box {
	struct buf name;
	uint64_t id;
	uint32_t attributes;
	bool exists, subscribed;
	uint32_t uidvalidity, uidnext;
	uint64_t modseq;
	struct fake_mail *mails;
	size_t count;
	struct fake_gone *gone;
	size_t gone_count;
	struct buf keywords[LIMIT_KEYWORDS];
	unsigned keyword_count;
};

struct fake_spool {
	uint64_t session;
	uint32_t number;
	struct buf data;
};

struct fake_watch {
	uint64_t session, mailbox, modseq;
	bool raised;
};

struct fake_store {
	struct fake_box boxes[256];
	size_t box_count;
	struct fake_spool spools[64];
	size_t spool_count;
	struct fake_watch watches[64];
	size_t watch_count;
	uint64_t next_id;
	time_ms now;
	/* What tests set: */
	size_t page;        /* rows in one answer; 0: as many as fit */
	enum ask_kind lost; /* asks of this kind are answered with `result` ... */
	enum result result;
	unsigned lost_count; /* ... this many times */
	unsigned asked[ASK_COUNT];
};

struct fake_store *fake_store_new(void);
void fake_store_free(struct fake_store **f);

/* The answer's bytes live in the arena. */
struct answer fake_store_answer(struct fake_store *f, const struct ask *a, struct arena *arena);

/* The next session with a CHANGED to be raised; 0: none. */
uint64_t fake_store_changed(struct fake_store *f);
void fake_store_forget(struct fake_store *f, uint64_t session);

/* Puts a mail into a mailbox that exists, as a delivery would. */
void fake_store_deliver(struct fake_store *f, const char *name, struct bytes mail, uint64_t flags);

#endif
