/* The ledger's inside, for ledger.c and trace.c; who writes into it uses store/life.h. */
#ifndef STORE_LEDGER_H
#define STORE_LEDGER_H

#include "store/life.h"

enum { LEDGER_NAME = 32 }; /* "ledger/2026-11-23.db" */

/* What the keys of seek are about. */
enum ledger_by {
	LEDGER_BY_MAIL = 'm',
	LEDGER_BY_SESSION = 's',
	LEDGER_BY_IP = 'p',
	LEDGER_BY_ADDRESS = 'a', /* sender or recipient */
	LEDGER_BY_MESSAGE_ID = 'i',
	LEDGER_BY_JUDGEMENT = 'j',
	LEDGER_BY_HOST = 'h', /* the other side's */
	LEDGER_BY_MARK = 'k',
};

struct ledger {
	struct file_system *fs;
	/* locked */
	struct buf pending;
	size_t waiting; /* events in pending */
	time_ms since;  /* the first of them came */
	time_ms not_before;
	uint64_t dropped, written, damaged; /* events; files put aside */
	struct why failure;                 /* the last one */
	/* the thread's own */
	struct buf writing;
	struct db *today;
	int64_t day; /* of today: days since 1970 */
	uint64_t next_event;
	bool prune;
};

/* Below 2^63. Of addresses and Message-IDs, ASCII letters are folded. */
uint64_t ledger_key(enum ledger_by what, struct bytes text);
uint64_t ledger_key_u64(enum ledger_by what, uint64_t number);
void ledger_name(int64_t day, char out[LEDGER_NAME]);
/* Makes or opens a day's file for reading and writing. */
enum result ledger_open(struct ledger *l, const char *name, struct db **ret,
                        struct why *why) MUST_USE;
/* "ledger/2026-11-23.db" ..., the oldest first. */
size_t ledger_days(struct ledger *l, struct arena *arena, const char ***ret_names);

void trace_step(struct store *s, struct ledger *l); /* trace.c: answers one TRACE, if one waits */

#endif
