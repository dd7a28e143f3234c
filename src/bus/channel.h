/* A channel carries asks, answers and events between two processes, one message of at most
 * LIMIT_MESSAGE a send.
 *
 *	struct channel *store = channel_new(loop, fd, MX, worker, STORE, 0, &ops, front);
 *	channel_ask(store, &ask);                        the answer comes to ops.answer, always,
 * perhaps as LOST
 *
 * - Sending never blocks and reading never stops. At most LIMIT_ASKS_CHANNEL asks are open; more
 * wait here.
 * - Every ask gets exactly one answer, in any order, on a later round of the loop, never inside
 * channel_ask. When the peer dies all open and waiting ones get LOST; while there is no peer a new
 * one gets UNAVAILABLE.
 * - Each end says hello when its process is ready to serve. Until the peer has, asks wait here, for CHANNEL_HELLO_MS at
 *   most; then they get UNAVAILABLE until it has.
 * - An event is a word of flags for a session, merged with what was not sent yet.
 * - What comes in is checked against the ask table: a peer that asks what it may not, answers what
 * nobody asked, or sends what does not decode has broken the channel: ops.lost says why, and the
 * host reports it to master.
 * - bytes in what ops functions get are good during the call; ask_copy() what must live longer.
 * - Not a queue for bulk: that is READ and SPOOL (ask/ask.def).
 *
 * In memory (no loop, no descriptor) two ends are made by channel_pair_new; channel_step delivers
 * one message. */
#ifndef BUS_CHANNEL_H
#define BUS_CHANNEL_H

#include "ask/ask.h"
#include "sys/loop.h"

enum { CHANNEL_HELLO_MS = 2000 };

struct channel;

struct channel_ops {
	/* The peer asks; answer it now or later with channel_answer. */
	void (*ask)(void *context, struct channel *c, const struct ask *a);
	/* The answer to one of ours: session and number say which. */
	void (*answer)(void *context, struct channel *c, const struct answer *a);
	void (*event)(void *context, struct channel *c, uint64_t session, unsigned events);
	/* The peer is gone; asks it had open need no answer any more. broken: NULL when it died,
	 * else what rule it broke. Comes before the LOST answers. The channel stays and waits for
	 * channel_attach. */
	void (*lost)(void *context, struct channel *c, const char *broken);
	/* The peer has said hello: from now on it answers. NULL is fine. */
	void (*ready)(void *context, struct channel *c);
};

/* fd -1: no peer yet. The channel owns fd. self and peer are enum role_bit. */
struct channel *channel_new(struct loop *l, int fd, unsigned self, unsigned self_worker,
                            unsigned peer, unsigned peer_worker, const struct channel_ops *ops,
                            void *context);
void channel_free(struct channel **c); /* open asks are forgotten without an answer */

/* A new peer process in the place of the former one. */
void channel_attach(struct channel *c, int fd);
/* The same for a process that is not ready yet: hello is said by channel_greet. */
void channel_attach_quiet(struct channel *c, int fd);
void channel_greet(struct channel *c); /* said already: nothing happens */

void channel_ask(struct channel *c, const struct ask *a);
/* Ignored when the peer that asked is gone (a later peer's open asks are told apart by session and
 * number). */
void channel_answer(struct channel *c, const struct answer *a);
void channel_event(struct channel *c, uint64_t session, unsigned events);

unsigned channel_peer(const struct channel *c); /* enum role_bit */
unsigned channel_peer_worker(const struct channel *c);
bool channel_connected(const struct channel *c);
size_t channel_open(const struct channel *c);    /* our asks that are sent and not answered */
size_t channel_waiting(const struct channel *c); /* ... and those that wait to be sent */
size_t channel_serving(const struct channel *c); /* the peer's asks that we have not answered */
/* For what a role is asked by itself (tests, embedding): user data of the channel's owner. */
void *channel_context(const struct channel *c);

/* ---- in memory, for the simulator and tests ---- */

/* Two ends joined; ops and context are each end's own. */
struct channel_end {
	unsigned role, worker;
	const struct channel_ops *ops;
	void *context;
};
void channel_pair_new(const struct channel_end *a, const struct channel_end *b,
                      struct channel **ret_a, struct channel **ret_b);
/* Delivers the oldest message (or LOST/UNAVAILABLE answer) to this end; false: there was none. */
bool channel_step(struct channel *c);
/* The process behind this end died: the other end loses its peer. This end is unusable until joined
 * again. */
void channel_cut(struct channel *c);
void channel_join(struct channel *a, struct channel *b); /* both without a peer */

/* ---- without a loop: the synchronous SIGN channel ---- */

/* Sends one ask and waits for its answer; stale answers are dropped. UNAVAILABLE after timeout_ms,
 * LOST when the peer is gone, INVALID when it sends nonsense. fd is blocking or not. */
enum result channel_ask_wait(int fd, const struct ask *a, int timeout_ms, struct arena *arena,
                             struct answer *ret) MUST_USE;
/* The other side, on a thread: reads one ask (blocks up to timeout_ms), checked against the table.
 * DENIED: the peer broke the rules. */
enum result channel_receive_ask(int fd, unsigned self, unsigned peer, int timeout_ms,
                                struct arena *arena, struct ask *ret) MUST_USE;
enum result channel_send_answer(int fd, const struct answer *a) MUST_USE;

#endif
