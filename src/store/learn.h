/* What was learnt from earlier mail: data/learn.db, its thread, and HISTORY. learn.c: what waits, the thread, the file;
 * learn_lessons.c: what an event changes; learn_history.c: HISTORY. Who tells it something uses store/life.h.
 *
 *	total       mails learnt as junk and as no junk
 *	token       how often each word was in them
 *	reputation  of an address, a proved domain, a network: mails that were taken and nobody called junk, and that somebody did
 *	way         an address with the proof or the network that it came by: what tells it from its name alone
 *	judged      the words of each mail for judge.learn-keep, so that moving it can teach
 *	mail        which judgement a mail had
 *	sent        Message-IDs of what our people sent
 *	written     whom any of them wrote to */
#ifndef STORE_LEARN_H
#define STORE_LEARN_H

#include "store/life.h"

enum lesson_kind {
	LESSON_JUDGED =
	        1, /* u64 judgement, u8 action, u32 known, block ip, block from, block domain, block tokens */
	LESSON_TAKEN, /* u64 mail, u64 judgement */
	LESSON_JUNK,  /* u64 mail: somebody moved it into Junk */
	LESSON_GOOD,  /* u64 mail: and out of it */
	LESSON_SENT,  /* block message_id, block recipients: as COMMIT's */
};

/* From a judgement to what it did. */
enum lesson_state { LEARNT_NOTHING, LEARNT_GOOD, LEARNT_JUNK };

struct learn {
	struct file_system *fs;
	/* locked */
	struct buf pending; /* blocks: u8 kind, i64 at, the rest */
	size_t waiting;
	time_ms since, not_before;
	uint64_t dropped, damaged, junk, other; /* the latter two: mails learnt */
	struct why failure;
	struct job_list histories; /* HISTORY asks */
	struct reader reader;      /* the index, for the thread */
	/* the thread's own */
	struct buf writing;
	struct db *db;
	time_ms pruned;
	uint64_t slice; /* of the tables: the next to be pruned */
};

uint64_t learn_key(char what, struct bytes text); /* below 2^63; ASCII letters folded */
uint64_t learn_way_key(struct bytes from, struct bytes domain, struct bytes network);
struct ip learn_network(struct bytes ip); /* an IPv4 /24, an IPv6 /48 */

/* learn_lessons.c: inside a transaction. */
void lesson_apply(struct db *db, struct wire *lesson, const struct config *c);

/* learn_history.c */
job_function run_history_learnt;

#endif
