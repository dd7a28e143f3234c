/* A role without master: what roles/role.c gives to it, given by the test. Its channels are real ones on one loop; the
 * other ends are the test's. */
#ifndef TEST_UNIT_ROLES_HOUSE_H
#define TEST_UNIT_ROLES_HOUSE_H

#include "../test.h"

#include "roles/role.h"

struct house {
	struct role_context r;
	struct role_config config;
	struct config values;
	struct channel *channels[8]; /* the role's */
	struct channel *peers[8];    /* the test's ends */
	size_t count;
	uint64_t sessions;
	struct buf log;
	bool stopped;
	int folder; /* what role_folder_fd gives */
};

/* role: its row; the values may be filled in afterwards, before start. */
struct house *house_new(const struct role *role);
void house_free(struct house **h);
/* A channel between the role and a peer of the test; its other end. ops and context are the peer's. */
struct channel *house_connect(struct house *h, unsigned peer, unsigned worker,
                              const struct channel_ops *ops, void *context);
/* The peer dies; then a new one may be attached. */
void house_cut(struct house *h, unsigned peer);
struct channel *house_reconnect(struct house *h, unsigned peer, const struct channel_ops *ops,
                                void *context);

/* Runs the loop until the condition holds; fails after ten seconds. */
#define house_until(h, condition)                                                   \
	do {                                                                        \
		uint64_t until_ = clock_monotonic_us() + 10000000;                  \
		while (!(condition)) {                                              \
			house_step(h);                                              \
			if (clock_monotonic_us() > until_)                          \
				fail_msg("waited in vain for %s\n%.*s", #condition, \
				         BYTES_ARG(buf_bytes(&(h)->log)));          \
		}                                                                   \
	} while (0)
void house_step(struct house *h);
bool house_logged(const struct house *h, const char *text);

#endif
