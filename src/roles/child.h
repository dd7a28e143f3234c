/* master's children: the processes of the roles, their orders and reports, their death and return. master.c starts and stops
 * them all and decides what they get; child.c is about one of them at a time. Nobody else includes this. */
#ifndef ROLES_CHILD_H
#define ROLES_CHILD_H

#include "base/log.h"
#include "roles/orders.h"
#include "roles/role.h"
#include "roles/snapshot.h"
#include "sys/loop.h"
#include "sys/process.h"

/* A child's life:
 *
 *	state      what it means                               ends by
 *	DOWN       no process; the timer starts one            the timer
 *	STARTING   it has its orders, walls go up              REPORT_READY
 *	READY      it serves                                   its death
 *
 * Delays before it is started again: none after a first death, FAST_MS doubled up to READY_MAX_MS when it dies again
 * within STEADY_MS though it was ready, up to SLOW_MAX_MS when it never became ready. */
enum child_state { DOWN, STARTING, READY };

struct order_kept {
	struct order_kept *next;
	int passed;
	size_t len;
	char octets[];
};

struct child {
	struct master *m;
	const struct role *role;
	unsigned worker, workers;
	enum child_state state;
	struct process process;
	int fd; /* its descriptor 3, our end */
	struct loop_watch *orders, *death;
	struct loop_timer *timer;
	struct order_kept *unsent, **unsent_end; /* its socket is full */
	uint64_t taken;                          /* generation */
	time_ms started;
	unsigned crashes, restarts;
	struct sandbox_report walls;
};

/* Somebody who waits for a reload: 0, 0 is SIGHUP. */
struct request {
	struct child *child;
	uint32_t number;
	struct request *next;
};

struct master {
	const char *path;
	int directory, exe;
	int run;        /* DIR/run: opened once, never through a link */
	unsigned owner; /* of DIR */
	int lock; /* run/lock: shared with store, so that no second one can write while the first one dies */
	struct loop *loop;
	struct log log;
	struct snapshot *snapshot;
	struct snapshot *former; /* keeper is taking the new one: the others follow when it has */
	int admin, submit;       /* listening UNIX sockets */
	struct child *children;
	size_t child_count;
	struct loop_signal *hup, *term, *interrupt;
	struct loop_timer *reload_timer, *stop_timer;
	bool reading, read_again;
	struct request *requests; /* answered when all have taken the generation */
	size_t stop_phase;        /* 0: serving */
	int exit_code;
	char room[LIMIT_MESSAGE];
};

void master_say(struct master *m, const char *event, const char *format, ...) PRINTF(3, 4);

/* ---- one child (child.c) ---- */

const char *child_name(const struct child *c, char out[40]); /* "mx[1]" */

/* A process with its walls still down; it waits for child_order_start's orders, its channels, and ORDER_GO. */
enum result child_spawn(struct child *c, struct why *why) MUST_USE;
void child_order_start(struct child *c);
void child_link(struct child *a, struct child *b); /* channels between two, as the table says */
void child_start_again(void *child);               /* all of it, after a death */

/* Never blocks; nothing happens when it is down. passed stays the caller's. */
void child_order(struct child *c, const struct order *o, int passed);
void child_order_config(struct child *c);
void child_reply(struct child *c, uint32_t number, enum result result, struct bytes text);
struct order child_listener_order(enum order_kind kind, const struct snapshot_listener *l);
bool child_serves(const struct child *c, unsigned protocol);
const char *child_missing_wall(const struct sandbox_report *w); /* NULL: none is missing */

/* ---- what child.c tells master.c ---- */

void master_next_stop_phase(struct master *m); /* while stopping: one has ended */
void master_check_reload(struct master *m);    /* one has taken a generation, or is gone */
void master_start_reload(struct master *m);    /* m->requests has a new one */

#endif
