/* A courier's connections to other hosts: connecting with head starts, TLS, the SMTP client engine, and those kept for the next
 * mail. It knows nothing of MX, policies or what a reply means (carrying/ does).
 *
 *	struct links *links = links_new(role, tls, &ops);
 *	link = links_idle(links, key);                          one that was kept, or
 *	link = link_connect(links, &demand, addresses, ...);    a new one: ops.connected says how it went
 *	link_send(link, owner, mail);                           ops.ask (QUEUE_READ), then ops.result
 *	link_done(link);                                        kept when it can be, else QUIT
 *
 * A link belongs to its owner from the call that gives it until link_done or link_drop; ops are never called from inside a call
 * of link_*, so that the owner may do anything in them. */
#ifndef ROLES_COURIER_LINK_H
#define ROLES_COURIER_LINK_H

#include "carrying/carrying.h"
#include "roles/role.h"

struct link;
struct links;

struct link_ops {
	/* OK, or NOT_FOUND, DENIED, UNAVAILABLE as carrying_job_answer wants them; then the link is gone. */
	void (*connected)(void *owner, struct link *l, enum result result, const struct why *why);
	/* The engine's QUEUE_READ: forward it with this session, bring the answer to links_answer. */
	void (*ask)(void *owner, struct link *l, const struct ask *a);
	void (*result)(void *owner, struct link *l, const struct smtp_client_result *r);
	/* One connect that says something about our port 25: policy/throttle.h. */
	void (*outcome)(void *context, const struct ip *to, enum result result);
};

struct link_limits {
	time_ms connect_ms, reply_ms, data_ms, idle_ms;
};

struct links *links_new(struct role_context *r, struct tls_client_context *tls,
                        const struct link_ops *ops, void *context);
/* All that are open, kept ones too. */
size_t links_count(const struct links *ls);
/* Closes the one that was kept longest; false: there is none. */
bool links_close_idle(struct links *ls);
/* Engines get ENGINE_STOP; kept ones say QUIT. */
void links_stop(struct links *ls);
/* An answer to what ops.ask forwarded; false: no link has this session. */
bool links_answer(struct links *ls, const struct answer *a);

/* A kept one for this key, now the owner's; NULL: none. */
struct link *links_idle(struct links *ls, struct bytes key, void *owner);

/* Addresses in their order, each with a head start over the next. sources: an address of each family to come from. */
struct link *link_connect(struct links *ls, const struct carrying_demand *demand,
                          const struct link_limits *limits, const struct ip *addresses,
                          size_t address_count, const struct ip *sources, size_t source_count,
                          void *owner);
void link_send(struct link *l, const struct smtp_client_mail *mail);
void link_facts(const struct link *l, struct carrying_link *ret);
uint64_t link_session(const struct link *l);
void link_done(struct link *l); /* keeps it, or says QUIT */
void link_drop(struct link *l); /* at once */

#endif
