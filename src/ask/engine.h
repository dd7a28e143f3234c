/* An engine asks, the world answers: what every protocol engine looks like from outside.
 *
 * A sealed engine knows base types, mail formats and the ask table; no sockets, clock, files,
 * threads, logging or callbacks. The host (roles/front.c, test/talk, test/sim, fuzz) drives it:
 *
 *	ops->tick(engine, now);                  before each batch, and when deadline() has passed
 *	taken = ops->feed(engine, in);           keep the rest; offer it again after an answer
 *	while (ops->ask(engine, &a)) forward(&a);
 *	send(ops->output(engine));               consume what was sent
 *	ops->answer(engine, &answer);            in any order; then feed what was left
 *	if (ops->finished(engine) && output is empty) close;
 *
 * Rules:
 *  - feed returns how many octets it took. Fewer than offered only when the next step needs an
 *    answer, when the output is above ENGINE_OUTPUT_HIGH, or when TLS is about to start; the host
 *    then stops reading. That is all the back-pressure there is. It makes progress on any split of
 *    the input, and the output does not depend on the split.
 *  - ask is drained in a loop; bytes in an ask are good until the next call of any verb. At most
 *    LIMIT_ASKS_SESSION are open.
 *  - An answer may come with any result; LOST and UNAVAILABLE mean unknown and not now, never no.
 *  - After asking TLS_START it takes nothing more until the answer; the host flushes the output in
 *    the clear first. On OK the engine forgets what it knew (RFC 3207, 4.2).
 *  - eof: the peer closed; open asks may still be answered.
 *  - event: something happened that was not asked for (enum engine_event bits, merged).
 *  - Bulk data (READ, SPOOL) is paced by the engine: it asks for more only while output is below
 *    the mark. ask() moves it on: call it again after output was sent. */
#ifndef ASK_ENGINE_H
#define ASK_ENGINE_H

#include "ask/ask.h"
#include "base/ip.h"

enum { ENGINE_OUTPUT_HIGH = 128 * 1024 };

enum engine_event {
	ENGINE_CHANGED = 1 << 0, /* the watched mailbox moved: ask CHANGES */
	ENGINE_RELOAD = 1 << 1, /* a new configuration; sessions end with the one they began with */
	ENGINE_STOP = 1 << 2,   /* finish what is under way, say goodbye (421, BYE), finish */
	ENGINE_LOST = 1 << 3,   /* the store is back and knows the grants: say WATCH again */
};

/* Who is at the other end; copied by the engine's _new. */
struct engine_peer {
	struct ip ip; /* of the client, by PROXY protocol where that is configured */
	uint16_t port;
	struct ip local_ip;
	uint16_t local_port;
	/* A program of this machine on run/submit.sock: the kernel says who runs it (SO_PEERCRED), so it needs no AUTH and no
	 * TLS; ip and local_ip are ::, ports are 0. */
	bool local;
	uint32_t uid;      /* of a local one */
	struct bytes user; /* its name in /etc/passwd, or "uid1000"; borrowed as tls_info is */
	uint64_t session;  /* for ids and logs */
	uint8_t seed[16];  /* random: message keys, challenges */
	bool tls;          /* implicit TLS is up already; the fields below are set */
	struct answer_tls_start tls_info; /* borrowed for the call of _new */
};

struct engine;

struct engine_ops {
	const char *name; /* "smtp" */
	size_t (*feed)(struct engine *e, struct bytes in);
	bool (*ask)(struct engine *e, struct ask *ret);
	void (*answer)(struct engine *e, const struct answer *a);
	struct buf *(*output)(struct engine *e);
	time_ms (*deadline)(const struct engine *e); /* TIME_NEVER: none */
	void (*tick)(struct engine *e, time_ms now);
	void (*eof)(struct engine *e);
	void (*event)(struct engine *e, unsigned events);
	bool (*finished)(const struct engine *e); /* close once the output is sent */
	void (*free)(struct engine **e); /* sets *e to NULL; open asks are forgotten by the host */
};

/* The first member of every engine: struct smtp_server { struct engine engine; ... }. */
struct engine {
	const struct engine_ops *ops;
};

#endif
