/* What the queue's files share; its states and its guarantee stand at the head of queue.c.
 *
 * An entry (one recipient of one mail) is a row of the index. In memory there are only
 *	claims        entries that somebody has just now: a sorter, a courier, or a job of the writer
 *	hints         which READY entries fall due first; a window onto the index, refilled from it
 *	destinations  those with due mail, as far as they are offered now, each with such a window
 *	fresh         the newest ones for other hosts, which the index has not by destination yet
 * so that a million entries need no memory of their own. A hint may be old: whoever is given an entry
 * claims it first and reads its row then, and only that row counts. What changes an entry has claimed
 * it, and the claim ends when the change is published; so nothing that was read under a claim can be
 * old. (Locked means: store_hold.) */
#ifndef STORE_QUEUE_H
#define STORE_QUEUE_H

#include "store/internal.h"

enum {
	HINTS_MAX = 8192,        /* of READY entries, in memory */
	HINTS_FILL = 1024,       /* read at once */
	WINDOW_FILL = 256,       /* of one destination */
	RING_MAX = 1024,         /* destinations that are offered in turn */
	DESTINATIONS_MAX = 8192, /* in memory, with what was learnt of their pace */
	LANES_FILL = 256,
	BATCH_MAX = 100,   /* recipients in one CARRY, whatever carry.recipients says */
	PACE_START = 5,    /* connections to a destination that is not known yet */
	ALARM_BATCH = 256, /* entries that one job of the store's own changes */
	PROVIDERS_MAX = 4096,
	FRESH_MAX = 16384, /* numbers of entries that are not filed */
};

/* What queue.moves tells those in memory, once the group is durable. */
enum { MOVED_ENTRY = 1, MOVED_DESTINATION, MOVED_FORGOTTEN, MOVED_LANE };

struct batch;

struct claim {
	uint64_t entry, lease; /* lease 0: a job of the writer has it until its group ends */
	struct store_peer holder;
	struct batch *batch; /* NULL: a sorter's */
	int64_t due;
	uint8_t state; /* that it was claimed in */
};

/* What CARRY gave. */
struct batch {
	uint64_t lease, mail;
	struct destination *at;
	struct store_peer holder;
	time_ms since;
	uint64_t probe;             /* the hold that it probes (its incident), or 0 */
	bool read;                  /* CARRY was answered */
	struct provider_pace *pace; /* of PATH; it has a connection of it */
	uint64_t *entries;
	size_t count;
};

struct hint {
	uint64_t id;
	int64_t due;
	size_t heap_at; /* place in the heap + 1 */
};

struct lane_hint {
	uint64_t id, mail;
	int64_t due;
};

struct destination {
	struct bytes name, provider; /* owned */
	struct destination *next,
	        *before; /* in the ring, or among the idle ones, the latest last */
	bool in_ring;
	bool more;           /* the index may have due entries that are not in the window */
	bool filling, dirty; /* dirty: it moved while it was filled */
	unsigned open, limit, good;
	size_t claimed; /* entries of its open batches */
	uint32_t failures;
	int64_t not_before, pause; /* pause: its provider wants no more connections now */
	uint64_t incident;         /* held by */
	struct lane_hint *window;
	size_t at, count, size;
};

struct destination_list {
	struct destination *first, *last;
	size_t count;
};

/* A provider that a host belongs to: how much it takes now. */
struct provider_pace {
	struct bytes key;           /* owned */
	unsigned open, limit, good; /* limit 0: none */
};

/* An incident that holds mail: when it is tried again. */
struct hold {
	uint64_t incident;
	int64_t probe, wait; /* when, and how long after that */
	uint64_t after;      /* the entry that was the last probe */
	uint64_t lease;      /* of the probe that is under way, or 0 */
	bool seeking;        /* a job looks for one */
	bool over;           /* being released */
};

struct queue {
	struct map claims;                /* entry: struct claim */
	struct map batches;               /* lease: struct batch */
	struct job_list takers, carriers; /* TAKE and CARRY asks that wait */
	size_t counts[ENTRY_STATES];
	uint64_t next_lease, random;
	bool open; /* the index is whole: before that nothing is kept of what moves */

	struct {                  /* READY */
		struct map known; /* entry: struct hint */
		struct hint **heap;
		size_t count, size;
		int64_t horizon; /* every READY entry that is due before it is a hint or claimed */
		int64_t passed;  /* the earliest that came while it was filled and is none */
		bool filling;
	} ready;

	struct {                         /* CARRY */
		struct map destinations; /* name: struct destination */
		struct destination_list ring, idle;
		size_t open;
		struct map providers; /* key: struct provider_pace */
		struct map holds;     /* incident: struct hold */
		bool loading, more, dirty;
		int64_t next;       /* when the next lane falls due, of those that are not loaded */
		int64_t dirty_next; /* of those that moved while it was loaded */
		int64_t cursor;
		struct buf cursor_name;
		int64_t network_until, network_wait;
		int64_t pause; /* when the first destination that pauses is looked at again */
	} carry;

	struct { /* late ones */
		int64_t next;
		bool running;
		int64_t cursor, moved; /* moved: the earliest that came meanwhile */
		uint64_t cursor_id;
	} alarm;

	struct {                    /* queue_fresh.c */
		struct map lists;   /* destination: struct fresh_list */
		uint64_t filed;     /* entries below are in `waiting` */
		uint64_t published; /* entries below may be seen by others than the writer */
		bool filing;        /* some of these are in it by now */
	} fresh;

	/* the writer's, of its group */
	struct buf moves;
	int64_t deltas[ENTRY_STATES];
	struct buf claimed; /* entries that its jobs claimed */
};

/* ---- queue.c ---- */

uint64_t queue_jitter(struct store *s, uint64_t length); /* length, 25 % more or less */
struct claim *claim_put(struct store *s, uint64_t entry, uint64_t lease, struct store_peer holder,
                        int64_t due, uint8_t state);
void claim_drop(struct store *s, uint64_t entry); /* as it was */
/* A job of the writer: may it change this entry? The claim ends with the group. */
bool queue_claim(struct store *s, struct job *j, uint64_t entry);
bool held_by(struct store *s, const struct job *j, uint64_t entry, uint64_t lease,
             uint64_t *ret_mail);
/* A job of the store's own for the writer, or a reader. Locked. */
struct job *queue_job(struct store *s, job_function *run, bool write, uint64_t number,
                      struct bytes text);

/* ---- queue_index.c: the rows ---- */

extern const char queue_schema[];
enum result entry_apply(struct store *s, const struct change_entry *c);
enum result entry_state_apply(struct store *s, const struct change_entry_state *c);
enum result entry_tried_apply(struct store *s, const struct change_entry_tried *c);
enum result entry_gone_apply(struct store *s, const struct change_entry_gone *c);
enum result destination_apply(struct store *s, const struct change_destination *c);

/* An entry's row, whole, with its mail's size; its texts are copied into the arena. False: none. */
struct entry_row {
	struct change_entry e;
	uint64_t size;
	struct bytes summary;
};
bool entry_row_read(struct db *db, struct arena *arena, uint64_t id, bool summary,
                    struct entry_row *ret);
bool destination_row_read(struct db *db, struct arena *arena, struct bytes name,
                          struct change_destination *ret);
/* An ENTRY_TRIED effect that changes nothing yet. */
struct change_entry_tried *entry_tried_change(struct job *j, const struct change_entry *e);
void entry_gone_change(struct job *j, const struct change_entry *e);
/* One entry less for its mail, or more. */
void settle_references(struct store *s, struct job *j, uint64_t mail, int64_t more);

/* ---- queue_fresh.c: the newest entries in CARRY, which are not in `waiting` yet ---- */

/* In CARRY. */
struct fresh {
	int64_t priority, due;
	uint64_t id, mail;
};
/* The writer's. */
bool fresh_put(struct store *s, struct bytes name, const struct fresh *f);  /* false: it is not */
bool fresh_drop(struct store *s, struct bytes name, const struct fresh *f); /* the same */
bool fresh_first(struct store *s, struct bytes name, int64_t priority, int64_t *ret_due);
void fresh_file(struct store *s); /* if there are enough of them */
/* Anybody's, before he reads the index: by priority, the highest first, then by due. */
struct fresh *fresh_copy(struct store *s, struct bytes name, struct arena *arena,
                         size_t *ret_count);
/* Locked. */
void fresh_load(struct store *s); /* from the index: what it says that is not filed yet */
void fresh_publish(struct store *s);
void fresh_done(struct queue *u);

/* ---- destination.c: which of them are offered ---- */

struct destination *destination_find(struct store *s, struct bytes name);
struct destination *destination_get(struct store *s, struct bytes name); /* makes it */
/* The same, with what its row says. */
struct destination *destination_with(struct store *s, const struct change_destination *row);
void destination_offer(struct store *s, struct destination *d); /* into the ring, if it may */
void destination_moved(struct store *s, struct bytes name, int64_t due);
void destination_known(struct store *s, const struct change_destination *c);
void destination_forgotten(struct store *s, struct bytes name); /* its row is gone */
void destination_fill(struct store *s, struct destination *d);
void destinations_load(struct store *s);
void destinations_done(struct store *s);
struct destination *destination_turn(struct store *s);         /* the next one; NULL: none */
void destination_rest(struct store *s, struct destination *d); /* out of the ring */
/* How many more connections it may have now. */
unsigned destination_room(const struct store *s, const struct destination *d);
struct bytes own_text(struct bytes b);
void own_text_set(struct bytes *at, struct bytes value);

/* ---- queue_carry.c, queue_carried.c ---- */

void carry_match(struct store *s);
time_ms carry_due(struct store *s);
void batch_end(struct store *s, struct batch *b); /* what is still claimed is as it was */
struct batch *batch_held_by(struct store *s, const struct job *j, uint64_t lease);
/* CARRIED is durable. Locked. */
void carried_publish(struct store *s, const struct job *j);
/* Sets expires and alarm of an entry that is made now. */
void entry_times(const struct config *c, struct change_entry *e, int64_t hold_until);
/* Gives the entry up, or tells its sender that it is late, if it is time: true. */
bool entry_late(struct store *s, struct job *j, const struct change_entry *e,
                struct change_entry_tried *t);

/* ---- queue_hold.c: what waits for an incident to end, and what is late ---- */

void hold_put(struct store *s, uint64_t incident);
void holds_match(struct store *s); /* probes that are due, incidents that are over */
time_ms holds_due(struct store *s);
void hold_probed(struct store *s, struct hold *h, bool still); /* still: it was refused again */
bool hold_probe_now(struct store *s, uint64_t incident);       /* false: it holds nothing */
void alarm_match(struct store *s);
void alarm_moved(struct store *s, int64_t alarm); /* one may be late from then on */

/* Gives a waiting CARRY this entry alone; false: nobody waits, or somebody has it. Locked. */
bool carry_probe(struct store *s, struct hold *h, const struct change_entry *e,
                 const struct change_destination *row);
/* Where an entry goes on that was held: READY or CARRY, now. */
void entry_goes_on(const struct job *j, const struct change_entry *e, struct change_entry_tried *t);
/* The same, and it has some time left, however long it was held. */
void entry_released(const struct job *j, const struct change_entry *e,
                    struct change_entry_tried *t);

#define HELD_UNTIL (INT64_MAX / 4) /* not_before of a destination that is held */

job_function run_carry, run_path, run_carried, carry_read, run_hold_entry, run_hold_destination;

#endif
