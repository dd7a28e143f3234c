/* A store on a disk that can fail, asked by scripted peers, all in one thread. */
#ifndef TEST_SIM_WORLD_H
#define TEST_SIM_WORLD_H

#include "disk.h"
#include "model.h"
#include "store/store.h"

enum { OPS = 8 };

struct world {
	uint64_t seed, random;
	struct disk *disk;
	struct disk *ledger_disk; /* fails by itself: nothing may depend on it */
	struct config *config;
	struct store *store; /* NULL: down */
	time_ms now;
	uint32_t numbers, spools, next_tag;
	struct arena arena; /* of the answer that call() gave */
	struct op ops[OPS]; /* under way */
	unsigned op_count;
	struct model model;
	struct why failure;  /* set: a promise was broken */
	bool quick;          /* a start takes no time */
	bool full;           /* the disk is */
	bool bad_sector;     /* somewhere in the log: one mail may be unreadable */
	unsigned unreadable; /* mails that the last world_read_all found so */
	/* Gets the answers that nobody waits for (world_ask); it must not ask. NULL: they are dropped. */
	void (*other)(void *context, const struct answer *a);
	void *context;
	/* what happened, for the summary */
	uint64_t asks, answers_ok, crashes, cuts_in_recovery, rebuilt, in_doubt, in_doubt_done;
};

void world_begin(struct world *w, uint64_t seed);
void world_end(struct world *w);
uint64_t world_draw(struct world *w, uint64_t below);
bool world_chance(struct world *w, unsigned percent);
void world_broken(struct world *w, const char *format, ...) PRINTF(2, 3);
static inline bool world_good(const struct world *w)
{
	return !w->failure.text[0];
}

/* Opens the store; false: it did not open (the disk lost power again, or w->failure). Grants are said again. */
bool world_open(struct world *w);
/* The process ends: cleanly, or not. */
void world_close(struct world *w);
bool world_down(const struct world *w); /* power is off, or the store says that it is at its end */

/* Asks and steps until the answer is there. False: it never came, or the world went down; ret->result is LOST then. */
bool world_call(struct world *w, unsigned role, uint64_t session, struct ask *a,
                struct answer *ret);
/* Asks, and does not wait: the answer goes to w->other. Gives the ask's number. */
uint32_t world_ask(struct world *w, unsigned role, uint64_t session, struct ask *a);
/* Spools and looks up what an operation needs; then puts it; its answer comes by world_run. */
void world_prepare(struct world *w, struct op *o);
void world_put(struct world *w, struct op *o);
/* Steps in a random order until nothing waits or the world is down. */
void world_run(struct world *w);

/* The next mail of a mailbox behind *uid, whole. False: there is none. */
bool world_next_mail(struct world *w, unsigned account, unsigned box, uint32_t *uid,
                     struct buf *out);
/* What COMMITTED says of a COMMIT or APPEND. */
enum result world_committed(struct world *w, const struct op *o);
/* The same COMMIT or APPEND once more: it gets the first answer and does nothing. */
void world_repeat(struct world *w, const struct op *o);
uint32_t world_tag(uint64_t size); /* which mail has this size; UINT32_MAX: none */
/* Everything as a client sees it. */
bool world_look(struct world *w, struct seen *ret, bool entries);
/* What is in escrow, with the mails' ids (may be NULL); room for ESCROWS. False: the world is down. */
bool world_escrow(struct world *w, struct model_escrow *list, char (*mails)[24],
                  unsigned *ret_count);
/* Reads every mail and compares it, octet by octet. */
bool world_read_all(struct world *w);
bool world_accounts(struct world *w); /* makes them */

enum { FRONT_MX = 200, FRONT_ACCESS = 300 }; /* sessions; access: + account */

#endif
