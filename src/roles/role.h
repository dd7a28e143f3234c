/* A role is one process of Hikyaku: one file in this folder and one row here (roles/role.c has them all).
 *
 *	const struct role role_mx = {
 *		.name = "mx", .bit = MX, .rights = SANDBOX_ACCEPT, .answerers = STORE | KEEPER, .signs = true,
 *		.protocols = 1 << CONFIG_SMTP, .ops = &ops,
 *	};
 *
 * The binary executes itself as `hikyaku role NAME`; role_main() takes what master gives over descriptor 3
 * (configuration, folders, listeners, channel ends), then
 *
 *	ops->warm(r)      before the walls: libraries load what they load from files. No threads yet: Landlock binds the
 *	                  thread that enters it and what that starts
 *	the walls         sandbox_enter with this row's rights; nothing below is possible without them
 *	ops->start(r)     makes r->self and threads; channels may be used from here on
 *	the loop          asks, answers, events, new configuration, new peers, stop
 *
 * A role has no globals: its state is r->self. It never frees its context. Ops that a role does not need are NULL. */
#ifndef ROLES_ROLE_H
#define ROLES_ROLE_H

#include "bus/channel.h"
#include "config/config.h"
#include "base/log.h"
#include "sys/loop.h"
#include "sys/sandbox.h"

struct role_context;

/* One generation of the configuration. Sessions hold the one that they began with. */
struct role_config {
	struct config *config;
	uint64_t generation; /* 1, 2, ... */
	unsigned holders;
};

/* A listening socket from master. Several workers of a role have the same one: accept until UNAVAILABLE. */
struct role_listener {
	int fd;
	unsigned protocol; /* enum config_protocol, or enum role_protocol */
	struct ip ip;
	uint16_t port;
	char name[64]; /* config_listener.name, for its proxy_from */
	struct role_listener *next;
};

/* Master's own two UNIX sockets: run/admin.sock, the command line's, for root and the owner; run/submit.sock, where every
 * local user hands mail in (SMTP, the kernel says who it is). */
enum role_protocol { ROLE_ADMIN = CONFIG_PROTOCOL_COUNT, ROLE_SUBMIT };
enum { ROLE_FOLDERS = 3, ROLE_PORTS = 128 };

struct role_folder {
	const char *name; /* below DIR: "data", "etc", "keys" */
	bool write;
};

struct role_ops {
	void (*warm)(struct role_context *r);
	enum result (*start)(struct role_context *r,
	                     struct why *why); /* not OK: the process ends, master tries again */

	/* Channels (bus/channel.h). Who asks is channel_peer(c), channel_peer_worker(c). */
	void (*ask)(struct role_context *r, struct channel *c, const struct ask *a);
	void (*answer)(struct role_context *r, struct channel *c, const struct answer *a);
	void (*event)(struct role_context *r, struct channel *c, uint64_t session, unsigned events);
	void (*peer_lost)(struct role_context *r,
	                  struct channel *c); /* it died; LOST answers follow */
	/* A process is there (again, or for the first time) and ready to answer: the same channel. */
	void (*peer_back)(struct role_context *r, struct channel *c);

	/* A listener opened (at start: for each, after start()) or is to be closed; l is the context's. */
	void (*listener)(struct role_context *r, struct role_listener *l);
	void (*listener_closed)(struct role_context *r, struct role_listener *l);
	/* r->config is a new generation. New sessions use it; running ones keep what they hold. */
	void (*config)(struct role_context *r);
	/* keeper only: the synchronous SIGN channel of a front; fd is keeper's now and replaces any former one. */
	void (*sign_channel)(struct role_context *r, unsigned role, unsigned worker, int fd);
	/* web only: master's reply to role_ask_master. */
	void (*master_answer)(struct role_context *r, uint32_t number, enum result result,
	                      struct bytes text);
	/* Finish what is under way, then call role_stopped(). NULL: at once. Fronts close their listeners here. */
	void (*stop)(struct role_context *r);
};

struct role {
	const char *name;
	unsigned bit;     /* enum role_bit */
	const char *does; /* one line, for docs and status */
	unsigned rights;  /* enum sandbox_right */
	struct role_folder folders[ROLE_FOLDERS];
	unsigned answerers; /* enum role_bit: it has a channel to each, to ask */
	bool signs;         /* has a synchronous channel to keeper */
	unsigned protocols; /* 1 << enum config_protocol or enum role_protocol: its listeners */
	/* With SANDBOX_CONNECT: the TCP ports that it may connect to with this configuration, at most ROLE_PORTS; returns how
	 * many. NULL: any. Walls stand for the life of a process: who needs others later ends itself. */
	size_t (*ports)(const struct config *c, uint16_t *ret);
	const struct role_ops *ops;
};

struct role_context {
	const struct role *role;
	unsigned worker, workers; /* 0 .. workers - 1 */
	struct loop *loop;
	struct log log;
	struct role_config *config;
	struct role_listener *listeners;
	struct sandbox_report walls;
	unsigned owner; /* uid of DIR's owner */
	int sign_fd; /* a front's synchronous channel to keeper, -1: none just now; use with channel_ask_wait, never keep */
	void *self;  /* the role's own state */
	struct role_private *private;
};

/* The channel to a role (its worker), or NULL. Roles that answer see every asker's worker. */
struct channel *role_channel(const struct role_context *r, unsigned role, unsigned worker);
/* All channels one after the other: for (at = 0; (c = role_channel_each(r, &at)); ) */
struct channel *role_channel_each(const struct role_context *r, size_t *at);

/* An open folder of the role's row ("data"), for file_system_real_new. -1: not in its row. Stays the context's. */
int role_folder_fd(const struct role_context *r, const char *name);

/* Does the configuration in force want a port that this process's walls close? Then it should end in order: master starts it
 * again, with other walls. */
bool role_lacks_port(const struct role_context *r);
/* Adds a port to what a row's `ports` collects, once; past ROLE_PORTS it stays as it is. */
size_t role_port_add(uint16_t *ports, size_t count, uint64_t port);

/* A session number for this process: ask.h's session_number, the counter from a random start. Never 0. */
uint64_t role_session_new(struct role_context *r);

struct role_config *role_config_hold(struct role_context *r);
void role_config_drop(struct role_config **c);

/* log_line with the loop's time. */
void role_log(const struct role_context *r, const char *event, const char *format, ...)
        PRINTF(3, 4);

/* The stop is done: the loop ends and the process exits with 0. */
void role_stopped(struct role_context *r);
/* This process cannot go on (a failed sync): logs why, tells master, exits at once with 1. */
void role_fail(struct role_context *r, const struct why *why) __attribute__((noreturn));

/* web only: a request to master, answered by master_answer with the same number. */
enum role_master_verb { ROLE_MASTER_STATUS, ROLE_MASTER_RELOAD };
void role_ask_master(struct role_context *r, uint32_t number, enum role_master_verb verb);

/* The table: keeper, store, resolver, sorter, mx, access, web, courier, watch, in the order in which master starts them. */
extern const struct role *const roles[];
extern const size_t role_count;
const struct role *role_by_name(struct bytes name); /* NULL: none */
const struct role *role_by_bit(unsigned bit);       /* NULL: none */
unsigned
role_number(const struct role *role); /* as root its uid is the option uid-base plus this */

/* `hikyaku role NAME`: runs it; returns the exit code. */
int role_main(const char *name);

/* Gives up what the row does not grant. fds: an open folder for each of the row's folders; c: what the row's ports are by,
 * NULL: a configuration of defaults. */
enum result role_enter_walls(const struct role *role, const int fds[ROLE_FOLDERS],
                             const struct config *c, struct sandbox_report *ret,
                             struct why *why) MUST_USE;

/* Rows, one a file. */
extern const struct role role_keeper, role_store, role_sorter, role_mx, role_access, role_web,
        role_courier, role_resolver, role_watch;

#endif
