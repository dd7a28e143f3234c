/* A configuration as master has it: the sealed encoding, the listeners, and the few settings that are its own. Read by
 * the child (roles/config_reader.h) on the loop. Used by master.c alone. */
#ifndef ROLES_SNAPSHOT_H
#define ROLES_SNAPSHOT_H

#include "roles/orders.h"
#include "sys/loop.h"

enum { SNAPSHOT_LISTENERS = 256 };

struct snapshot_listener {
	uint8_t protocol;
	struct ip ip;
	uint16_t port;
	char name[64];
	int fd; /* master's; -1: not bound yet */
};

struct snapshot {
	uint64_t generation;
	int config; /* sealed memory file */
	struct order_settings settings;
	struct snapshot_listener listeners[SNAPSHOT_LISTENERS];
	size_t listener_count;
};

void snapshot_free(struct snapshot **s); /* closes what it has open */

struct snapshot_reading;

/* Calls done() once, with a snapshot that is the caller's (generation 0, nothing bound), or NULL and why. */
typedef void snapshot_done(void *context, struct snapshot *s, const struct why *why);
struct snapshot_read {
	struct loop *loop;
	int exe;       /* process_open_self */
	int directory; /* DIR */
	snapshot_done *done;
	void *context;
};
enum result snapshot_read_start(const struct snapshot_read *how, struct why *why) MUST_USE;

#endif
