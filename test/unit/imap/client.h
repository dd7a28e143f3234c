/* A client for tests: an engine over the store in memory; everything happens at once. */
#ifndef TEST_IMAP_CLIENT_H
#define TEST_IMAP_CLIENT_H

#include "fake_store.h"
#include "imap/server.h"

enum { CLIENTS = 4 };

struct client {
	struct fake_store *store;
	struct engine *e;
	uint64_t session;
	struct buf heard; /* since the last client_say */
	size_t step;      /* octets fed at once; 0: all */
	size_t most;      /* greatest length of the output seen */
	bool deaf;        /* changes are not raised */
};

struct client *client_new(struct fake_store *store, uint64_t session);
void client_free(struct client **c);

/* Says this (CRLF included by the caller) and returns what was heard; good until the next call. */
struct bytes client_say(struct client *c, struct bytes text);
struct bytes client_says(struct client *c, const char *format, ...) PRINTF(2, 3);
void client_login(struct client *c);

/* Lets all of them hear what changed. */
void clients_changed(struct fake_store *store, struct client **clients, size_t count);

#endif
