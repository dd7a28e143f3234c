/* The front of a house that strangers come to: sockets, TLS and asks around any engine
 * (ask/engine.h). mx and access are one page each over this.
 *
 *	static const struct front_protocol protocols[] = {
 *		{CONFIG_SMTP, .tls = false, .busy = "421 4.3.2 ...\r\n", options_new, engine_new},
 *	};
 *	static enum result start(struct role_context *r, struct why *why)
 *	{
 *		return front_start(r, protocols, 1, why);
 *	}
 *
 * For each connection: limits, PROXY header where the listener wants one, TLS, then the engine's
 * loop: feed, drain its asks into channels (TLS_START and NOTE are answered here), send its output,
 * bring the answers back by session. When the engine takes less than it is offered, nothing is read
 * until an answer or the socket's draining changes that.
 *
 * A session keeps the configuration, certificates and options that it began with; the last one to
 * go frees them. An idle connection holds no buffers. One timer serves all deadlines (a heap).
 */
#ifndef ROLES_FRONT_H
#define ROLES_FRONT_H

#include "ask/engine.h"
#include "roles/role.h"

struct front_protocol {
	unsigned protocol; /* enum config_protocol, or ROLE_SUBMIT: peers are local users then */
	bool tls;          /* TLS from the first octet */
	const char *busy;  /* the polite refusal when there are too many connections */
	/* What engines borrow, one a generation of the configuration; from memory_get, freed with
	 * memory_free. has_tls: there is a certificate, so STARTTLS may be offered. */
	void *(*options_new)(const struct config *c, bool has_tls);
	struct engine *(*engine_new)(const void *options, const struct engine_peer *peer,
	                             time_ms now);
	const char *banned;                  /* what a banned address is told; NULL: nothing */
	void (*options_free)(void *options); /* NULL: it is one piece of memory */
};

/* A role's ops, to be put into its row; start is the role's own and calls front_start. */
void front_warm(struct role_context *r);
enum result front_start(struct role_context *r, const struct front_protocol *protocols,
                        size_t count, struct why *why) MUST_USE;
void front_answer(struct role_context *r, struct channel *c, const struct answer *a);
void front_event(struct role_context *r, struct channel *c, uint64_t session, unsigned events);
void front_peer_lost(struct role_context *r, struct channel *c);
void front_peer_back(struct role_context *r, struct channel *c);
void front_listener(struct role_context *r, struct role_listener *l);
void front_listener_closed(struct role_context *r, struct role_listener *l);
void front_config(struct role_context *r);
void front_stop(struct role_context *r);

#endif
