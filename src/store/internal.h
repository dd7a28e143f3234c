/* What the files of store/ share: the state in memory, jobs, and one section a file.
 *
 * Who touches what: the owner (loop), the writer and readers are different threads. `lock` guards
 * everything that is not marked otherwise. A mailbox and an account have two rows: `next` is the
 * writer's own and runs ahead inside a group, `now` is what everybody else sees; publishing
 * copies next to now after the index's COMMIT. */
#ifndef STORE_INTERNAL_H
#define STORE_INTERNAL_H

#include <pthread.h>

#include "base/map.h"
#include "base/memory.h"
#include "db/db.h"
#include "store/change.h"
#include "store/store.h"

enum {
	GRACE_MS = 10 * 1000, /* after a start keeper says the grants again */
	TAKE_WAIT_MS = 60 * 1000,
	FULL_RETRY_S = 300,
	KEYS_MAX = 1 << 18,
	KEY_LIFE_MS = 24 * 3600 * 1000,
	KEY_LEN = 16,
	COLLECT_BATCH = 500,
	VIEW_MAILS_MAX = 4 * 1024 * 1024, /* in memory, of all views together */
	VANISHED_MAX = 20000,             /* rows kept for one mailbox */
	RANGES_MAX = LIMIT_LIST / 8,
	VANISHED_TOLD = 4096, /* ranges of one modseq, and in one answer to CHANGES */
};

#define IN_RECORD UINT32_MAX

/* ---- rows in memory ---- */

struct mailbox_row {
	struct bytes name, keywords; /* owned */
	uint32_t attributes, uidvalidity, uidnext, messages, unseen, deleted;
	uint64_t modseq, size, floor;
	bool gone;
};

struct account_row {
	struct bytes address; /* owned; never changes */
	uint64_t quota, used;
	bool suspended, gone;
};

struct view; /* store/view.c */
struct session;

struct mailbox {
	uint64_t id;
	struct account *account;
	struct mailbox_row now, next;
	bool born;           /* made in this group */
	bool touched;        /* next differs from now */
	bool unsaved;        /* next differs from the index */
	uint64_t bulk_group; /* the group that changed many of its mails: its view is behind */
	struct view *view;   /* NULL: not loaded */
	struct session *watchers;
};

struct account {
	uint64_t id;
	int64_t created;
	struct account_row now, next;
	bool born, touched;
	struct mailbox **mailboxes; /* by name */
	size_t mailbox_count;
	struct bytes *subscriptions; /* by name; owned */
	size_t subscription_count;
};

/* Of one recipient of one mail (store/queue.c). */
enum entry_state { ENTRY_READY, ENTRY_HELD, ENTRY_CARRY, ENTRY_PARKED, ENTRY_STATES };

struct queue; /* store/queue.h */

struct key_answer {
	uint64_t mail;
	uint32_t uidvalidity, uid;
	int64_t at;
};

struct counters {
	uint64_t mail, account, mailbox, entry;
	uint32_t uidvalidity;
};

/* ---- sessions ---- */

struct spool {
	struct spool *next;
	uint32_t number;
	bool busy; /* a job has it */
	struct buf memory;
	struct file *file; /* when it grew too big; then memory is empty */
	uint64_t size;
};

struct session {
	uint64_t id;
	struct store_peer peer;
	uint64_t account; /* granted: its mailboxes; 0: none */
	uint64_t sender;  /* granted: sending as it; 0: none */
	struct spool *spools;
	unsigned busy;    /* jobs that use a spool of it */
	bool ended;       /* freed when the last such job is done */
	uint64_t watched; /* mailbox; 0: none */
	uint64_t watched_modseq;
	bool raised; /* CHANGED was said and CHANGES not yet asked */
	struct session *next_watcher;
};

/* ---- jobs ---- */

struct reader {
	struct db *db;
	struct blob_reader blob;
	struct buf buf;
};

struct job;

struct job_list {
	struct job *first, **last;
	size_t count;
};

typedef enum result job_function(struct store *s, struct job *j, struct why *why);

struct job {
	struct job *next;
	struct store_peer from;
	uint32_t life; /* of the peer that asked: what a dead one asked is answered to nobody */
	struct ask ask;
	struct answer answer;
	struct arena arena; /* ask, answer and what making it needs */
	time_ms now;
	uint64_t account_id;     /* of the session's grant; 0: none is needed */
	uint64_t owner;          /* COMMIT, SENDER: whose mail (store/life.h) */
	struct account *account; /* ... while it runs */
	struct session *session; /* whose spool it has */
	struct spool *spool;
	struct blob_place place; /* the spool as a file of its own */
	bool placed, place_used;
	uint64_t entry_id, lease; /* TAKE, CARRY; of the queue's own jobs, what they are about */
	bool carried_good, carried_held;
	struct job_list *waits; /* set by a reader: the asker waits there again */
	bool silent;            /* the store's own: nobody waits for an answer */
	bool later;             /* put elsewhere: no answer yet */
	job_function *run;
	struct reader *reader; /* of the thread that runs it */
	/* what a writing job wants */
	struct change *changes;
	size_t change_count, change_size;
	struct buf block;
	struct buf notes;   /* for the ledger, once it is durable */
	struct buf lessons; /* for store/learn.h, the same */
	bool urgent;        /* may use the reserve */
	bool alone;         /* names or accounts change: the group ends with it */
	bool again;         /* a view is behind: end the group, then run it again */
	struct mailbox *bulk[2];
	uint32_t fresh;   /* mailboxes made */
	uint32_t modseqs; /* used up by expunges */
	struct {
		uint32_t messages, unseen, deleted;
		uint64_t size;
	} took; /* by expunges so far */
};

enum { PEERS = 512 };

/* A place for each role and worker (config: at most 32 of them). */
static inline unsigned peer_slot(struct store_peer p)
{
	return ((unsigned)__builtin_ctz(p.role | 0x8000u) * 32 + p.worker) % PEERS;
}

void job_list_init(struct job_list *l);
void job_put(struct job_list *l, struct job *j);
void job_put_first(struct job_list *l, struct job *j);
struct job *job_take(struct job_list *l);

struct store {
	struct file_system *fs;
	struct store_options options;
	uint64_t segment_size, reserve;
	pthread_mutex_t lock;
	time_ms opened, now; /* now: as last told */
	const struct config *config, *writer_config;

	/* rows */
	struct map accounts;  /* id: struct account */
	struct map addresses; /* address: struct account */
	struct map mailboxes; /* id: struct mailbox */
	struct account *first_account;
	struct queue *queue;
	struct map keys;          /* key: struct key_answer */
	struct buf key_order;     /* keys, oldest first, KEY_LEN each */
	struct counters counters; /* the writer's */
	uint64_t view_mails, view_clock;

	/* sessions: the owner's, and under the lock where the writer looks */
	struct map sessions;
	uint64_t spool_octets;
	bool queue_moved; /* who waits may be given something */

	/* work */
	struct job_list writes, reads, done;
	struct job *delivered;  /* what store_next_answer gave last */
	struct session *events; /* to be raised */
	struct buf event_list;  /* session ids, 8 octets each */

	/* the writer's */
	struct db *db;
	struct blob_log *log;
	struct reader own;
	struct blob_writer packer;
	struct buf encoded;
	struct map live;    /* segment: struct live */
	struct buf touched; /* struct mailbox * */
	struct buf accounts_touched;
	struct buf files_gone; /* numbers of blob files to remove after the commit */
	uint64_t group;
	struct buf group_keys; /* of COMMITs and APPENDs in this group */
	bool in_group, replaying;
	uint64_t collect;    /* garbage may be there */
	bool collecting;     /* a job for it is waiting */
	time_ms collect_due; /* alone, if no other job takes it along; 0: there is none */
	time_ms keys_pruned;
	struct upkeep {                /* locked */
		uint64_t image_octets; /* of the log when the last image was begun */
		uint64_t image_size, image_lsn;
		bool image_running, image_done;
		bool sweep_wanted, sweeping;
		uint32_t victim;
		uint64_t victim_after; /* mails up to this id were looked at */
		struct buf emptied;    /* segments that nothing lives in: uint32_t each */
		uint64_t emptied_lsn;  /* an image beyond it lets them go */
	} upkeep;

	/* what was refused (store/escrow.h) */
	struct {
		struct map kept;  /* number: struct kept; locked */
		struct buf order; /* numbers, the oldest first */
		uint64_t last;
		struct map networks; /* name: struct sending_network (senders_seen.c) */
	} judgements;
	struct {                 /* locked */
		uint64_t octets; /* kept, about */
		bool ordered;    /* a release for a check may be under way */
		bool forget;     /* more is to be forgotten now */
		bool running;    /* a job for it waits */
		time_ms forgot, due;
	} escrow;

	/* what is known beside mail (store/life.h) */
	struct map incidents;            /* kind, key: struct open_incident; the open ones */
	struct buf incidents_over;       /* numbers of those closed, for the queue */
	struct buf incident_news;        /* opened and closed since the owner last asked: blocks */
	uint64_t incident_group;         /* the writer's: the last group that changed one */
	struct map correspondent_counts; /* the writer's; owner: uint64_t, about */
	struct map rhythms;              /* the writer's; key: what came since the last tick */
	struct map networks_seen;        /* owner, network: when it was last noted */
	struct {                         /* store/dmarc.c; locked */
		struct buf pending;      /* u64 day, block row */
		size_t count;
		bool writing;
		time_ms written;
	} dmarc;
	struct bans *bans;           /* store/ban.c */
	struct map checks;           /* name: struct check (store/check.c) */
	struct ledger *ledger;       /* NULL: this store keeps none */
	struct learn *learn;         /* NULL: it learns nothing */
	struct job_list traces;      /* TRACE asks, for the ledger's thread */
	struct reader ledger_reader; /* of that thread */

	struct reader readers[STORE_READERS];
	uint32_t lives[PEERS]; /* how often each peer died */
	bool failed;
	struct why failure;
};

static inline void store_hold(struct store *s)
{
	pthread_mutex_lock(&s->lock);
}

static inline void store_let(struct store *s)
{
	pthread_mutex_unlock(&s->lock);
}

/* ---- state.c: rows in memory ---- */

struct account *account_by_id(struct store *s, uint64_t id);
struct account *account_by_address(struct store *s, struct bytes address);
struct mailbox *mailbox_by_id(struct store *s, uint64_t id);
struct mailbox *mailbox_by_name(const struct account *a, struct bytes name); /* INBOX in any case */
size_t mailbox_position(const struct account *a, struct bytes name, bool *ret_found);
bool subscribed(const struct account *a, struct bytes name);
void subscription_put(struct account *a, struct bytes name, bool on);
struct account *account_born(struct store *s, uint64_t id);
struct mailbox *mailbox_born(struct store *s, uint64_t id, struct account *a);
void account_touch(struct store *s, struct account *a);
void mailbox_touch(struct store *s, struct mailbox *m);
void row_set_text(struct bytes *next, struct bytes now, struct bytes value);
/* Next becomes now for everything touched; forgets what is gone. Locked. */
void state_publish(struct store *s);
/* Next becomes what now is. */
void state_undo(struct store *s);
void state_done(struct store *s);
enum result state_load(struct store *s, struct why *why);

/* ---- apply.c: effects into the index and into `next` ---- */

enum result schema_make(struct db *db, struct why *why);
bool schema_fits(struct db *db);
enum result change_apply(struct store *s, const struct change *c, const struct blob_record *r,
                         struct why *why);
/* What everybody sees: views, queue, keys, names. Locked. */
void change_publish(struct store *s, const struct change *c);
/* Mailbox rows, segments, counters and the position: once a group. */
void state_save(struct store *s, const struct blob_position *at);
void mailboxes_save(struct store *s); /* the rows alone: replay does it for each record */
enum result position_load(struct db *db, struct blob_position *ret);
struct counters counters_load(struct db *db);

/* ---- writer.c ---- */

struct change *job_change(struct job *j, enum change_kind kind); /* zeroed, to be filled in */
void store_fail(struct store *s, const struct why *why);

/* ---- view.c ---- */

struct vanished {
	uint64_t modseq;
	uint32_t first, last;
};

struct view {
	size_t count, size;
	uint32_t *uid;
	uint64_t *mail, *octets, *modseq, *flags;
	struct vanished *vanished; /* by modseq */
	size_t vanished_count, vanished_size;
	uint64_t used; /* view_clock: the least is dropped first */
};

/* Loads it from the writer's connection, if it is not there. Not locked. */
struct view *view_load(struct store *s, struct mailbox *m);
void view_free(struct store *s, struct mailbox *m);
void view_place(struct store *s, struct view *v, uint32_t uid, uint64_t mail, uint64_t octets,
                uint64_t flags, uint64_t modseq);
void view_flags(struct view *v, uint64_t modseq, struct bytes groups);
void view_expunge(struct store *s, struct view *v, uint64_t modseq, struct bytes ranges);
size_t view_from(const struct view *v, uint32_t uid); /* first position with uid or more */

/* Ranges: pairs of u32. */
bool ranges_valid(struct bytes ranges);
bool range_next(struct bytes *rest, uint32_t *first, uint32_t *last);
/* Walks positions of a view that are in ranges: for (walk_begin(..); walk_next(&w); ) w.at */
struct walk {
	const struct view *view;
	struct bytes rest;
	size_t at, end;
	bool all;
};
struct walk walk_begin(const struct view *v, struct bytes ranges, uint32_t after);
bool walk_next(struct walk *w); /* w->at is the position */
/* Gathers positions into ranges; neighbours in the view are one range. */
struct gather {
	struct buf out;
	size_t first, last; /* positions; last + 1 when empty */
	bool any;
	size_t count;
};
void gather_add(struct gather *g, const struct view *v, size_t at);
void gather_end(struct gather *g, const struct view *v);
uint32_t view_first_unseen(const struct view *v);

/* ---- deliver.c: where a recipient's mail goes ---- */

struct route {
	enum route_class class;
	struct account *account; /* DIRECT, FULL, SUSPENDED; of QUEUE when the address has one */
	struct bytes address;    /* in the arena */
	bool own;                /* the recipient itself names the account */
};

/* Locked, or the writer with its own config. */
struct route route_of(struct store *s, const struct config *c, struct arena *arena,
                      struct bytes rcpt, uint64_t size);

struct delivery {
	uint64_t mail, size;
	uint32_t refs; /* placements and entries made */
	bool junk;
	bool queued;           /* an entry was made */
	struct account **have; /* accounts that got it in this job */
	size_t have_count, have_size;
	struct bytes sender, envid;
	uint8_t ret;
	int64_t queued_at;
	uint64_t owner;
	uint8_t options, body, priority, by_mode;
	int64_t deliver_by, hold_until;
	bool may_carry;    /* to other hosts */
	bool denied;       /* a recipient is there, and it may not */
	uint64_t incident; /* the owner's sending is held */
};

struct recipient {
	struct bytes address, orcpt, origin;
	uint8_t notify;
};

enum {
	ENTRY_JUNK = 1 << 7
}; /* of an entry's options, besides COMMIT's: the verdict says Junk folder */

/* The verdict's choice, unless somebody chose a folder of his own. */
struct bytes deliver_folder(const struct delivery *d, const struct account *a,
                            struct bytes mailbox);
void deliver(struct store *s, struct job *j, struct delivery *d, const struct recipient *r);
/* Did an earlier transaction give it to this account already? */
bool deliver_had(struct store *s, const struct delivery *d, const struct account *a);
/* Places the mail in the account's mailbox of this name, or INBOX. */
void deliver_place(struct store *s, struct job *j, struct delivery *d, struct account *a,
                   struct bytes mailbox, uint64_t flags);
void deliver_account(struct store *s, struct job *j, struct delivery *d, const struct recipient *r,
                     struct bytes mailbox, uint64_t flags);
void deliver_entry(struct store *s, struct job *j, struct delivery *d, const struct recipient *r,
                   enum entry_state state, int64_t due, struct bytes reason);
void deliver_expanded(struct store *s, struct job *j, struct delivery *d,
                      const struct recipient *r);
void place(struct store *s, struct job *j, struct mailbox *m, uint64_t mail, uint64_t flags,
           uint64_t size, uint32_t *ret_uid);

/* ---- mailbox.c, flags.c ---- */

struct keyword_map;

void mailbox_change(struct job *j,
                    const struct mailbox *m); /* a MAILBOX effect with what next is */
void mailboxes_first(struct store *s, struct job *j, uint64_t account);
/* Makes the mailbox that a dot file names, with its parents, subscribed; its uidnext and modseq
 * are 1. 0: no such name. */
uint64_t mailbox_for_delivery(struct store *s, struct job *j, const struct account *a,
                              struct bytes name);
/* Adds the flags of these keywords, made where missing. */
enum result keywords_add(struct store *s, struct job *j, struct mailbox *m, struct bytes names,
                         uint64_t *flags, struct why *why);
struct view *view_for_change(struct store *s, struct job *j, struct mailbox *m);
void expunge_change(struct job *j, struct mailbox *m, struct view *view, struct bytes ranges,
                    bool moved);
void places_change(struct job *j, const struct view *view, struct bytes ranges, uint64_t to,
                   uint32_t uid, uint64_t modseq, bool copied, const struct keyword_map *map);

/* ---- spool.c ---- */

struct session *session_get(struct store *s, struct store_peer from, uint64_t id, bool make);
void session_end(struct store *s, struct session *session);
struct spool *spool_find(struct session *session, uint32_t number);
/* The job has the spool until it is done. NOT_FOUND: no such spool. */
enum result spool_borrow(struct store *s, struct job *j, uint32_t number, struct why *why);
void spool_return(struct store *s, struct job *j);
/* before, then the spool's octets, as a block in j->block. */
enum result spool_pack(struct store *s, struct job *j, struct bytes before, uint64_t id,
                       struct why *why);
/* The same as a file of its own: j->place. Any thread. */
enum result spool_pack_file(struct store *s, struct job *j, struct bytes before, struct why *why);
void spool_drop(struct store *s, struct session *session, uint32_t number);

/* ---- queue.c (all locked, except for queue_open) ---- */

struct queue *queue_new(const struct store *s);
void queue_open(struct store *s);    /* the index is whole */
void queue_publish(struct store *s); /* what the group's effects did */
void queue_undo(struct store *s);
void queue_peer_lost(struct store *s, struct store_peer from);
/* Gives those who wait what is due. The owner's. */
void queue_match(struct store *s);
void queue_tick(struct store *s);
time_ms queue_due(struct store *s);
size_t queue_count(const struct store *s, enum entry_state state);
void queue_unlease(struct store *s, const struct job *j); /* its answer was not OK */
void queue_lost(struct store *s, const struct why *why);  /* LOST for those who wait */
void queue_done(struct store *s);

/* ---- sessions and reading ---- */

struct mailbox *asked_mailbox(struct store *s, const struct job *j,
                              uint64_t id); /* NULL: not the account's */
void changed_raise(struct store *s, struct mailbox *m);
void watch_drop(struct store *s, struct session *session);
enum result read_mail(struct store *s, struct reader *r, uint64_t mail, uint64_t offset,
                      uint32_t len, struct buf *out, uint64_t *ret_total, struct why *why);

job_function run_route, run_spool, run_spool_drop, run_commit, run_committed;
job_function run_mailboxes, run_mailbox_create, run_mailbox_delete, run_mailbox_rename;
job_function run_subscribe, run_status, run_watch, run_uids, run_flags, run_summaries, run_read,
        run_read_many;
job_function run_changes, run_flags_set, run_expunge, run_append, run_copy, run_mailbox_limits;
job_function run_session_end, run_credential, run_credential_set, run_grant;
job_function run_take, run_queue_read, run_sorted, run_admin, take_read;
job_function run_carry, run_path, run_carried;

struct json_t;
/* Appends the object as a line and lets go of it; false: the page is full. */
bool admin_row(struct buf *rows, struct json_t *object);
void admin_rows_done(struct job *j, struct buf *rows); /* rows become the answer's */
struct json_t *admin_text(struct bytes b); /* a JSON string; what is not UTF-8 is said so */

job_function admin_queue_list, admin_queue_show, admin_queue_summary, admin_queue_act;
job_function admin_account_quota, admin_account_suspend, admin_account_remove;

/* ---- image.c, upkeep.c ---- */

/* All live rows as changes, in a fixed order. They can be applied in this order to an empty
 * index. */
typedef enum result change_each_function(void *context, const struct change *c, struct why *why);
enum result image_each(struct db *db, change_each_function *each, void *context, struct why *why);
job_function image_write;
void upkeep(struct store *s); /* the writer, between groups */
bool upkeep_waits(const struct store *s);
void upkeep_joins(struct store *s);        /* before a group is gathered */
time_ms upkeep_due(const struct store *s); /* locked */
void sorted_key(char out[KEY_LEN], uint64_t entry, uint64_t lease);

/* ---- store.c, writer.c ---- */

struct job *job_new(struct store *s, job_function *run);
void job_free(struct store *s, struct job *j);
void job_finish(struct store *s, struct job *j, enum result result, const struct why *why);
unsigned group_limit(const struct store *s);
/* The next start makes the index anew. Any thread. */
void index_condemn(struct store *s);

#endif
