/* The courier as its files see it. Private to roles/courier*.c.
 *
 *	courier.c         jobs (carrying/), who asks whom
 *	courier_link.c    connections
 *	courier_fetch.c   HTTPS
 *	courier_digest.c  the daily digests of refused mail
 *	courier_report.c  the daily reports on TLS (RFC 8460)
 *	courier_alarm.c   alarms: webhooks and mail */
#ifndef ROLES_COURIER_H
#define ROLES_COURIER_H

#include "base/map.h"
#include "policy/throttle.h"
#include "roles/courier_link.h"

struct fetcher;
struct reporter;
struct digester;
struct teller;

/*	IDLE -> (CARRY asked) TAKING -> (a batch) WORKING -> (finished) IDLE */
struct slot {
	struct courier *courier;
	enum { SLOT_IDLE, SLOT_TAKING, SLOT_WORKING } state;
	uint64_t session;
	time_ms asked; /* CARRY */
	struct carrying_job *job;
	struct role_config *config; /* what the job began with */
	struct link *link;          /* while it has one */
	uint32_t connect_number;    /* of its CONNECT that is not answered */
	bool connecting;            /* ... by a new connection: counted in courier.connecting */
	bool sending;               /* the mail is with the link's engine */
	struct loop_task task;
	struct slot *next; /* among the idle ones */
};

struct courier {
	struct role_context *role;
	struct tls_client_context *tls;
	struct bytes roots; /* PEM, the arena's */
	struct arena arena;
	struct links *links;
	struct fetcher *fetcher;
	struct reporter *reporter;
	struct digester *digester;
	struct teller *teller;
	struct loop_timer *timer;
	struct slot **slots; /* grow up to carry.connections */
	size_t slot_count, slot_room, taking, working;
	size_t connecting; /* of those that work: they wait for a host to answer, and cost little */
	struct slot *idle;
	struct map sessions; /* -> struct slot */
	struct throttle throttle;
	enum throttle_state told; /* of the throttle, as INCIDENT was told */
	uint64_t seed;
	time_ms take_after;
	time_ms direct_after; /* while throttled: when one batch goes straight again, to see */
	bool stopping;
	time_ms stop_at; /* whatever is still under way then is the queue's */
};

/* ---- courier_fetch.c: libcurl on our loop ---- */

/* In warm(): what the library opens, it opens now. */
struct fetcher *fetcher_warm(struct courier *c);
void fetcher_start(struct fetcher *f);
/* The answer to FETCH comes to courier_fetched with this session. */
void fetcher_ask(struct fetcher *f, const struct ask *a);
void fetcher_forget(struct fetcher *f, uint64_t session);
void courier_fetched(struct courier *c, const struct answer *a);

/* ---- courier_report.c: sends the reports of the days that are over, now and then ---- */

struct reporter *reporter_new(struct courier *c);
/* An answer to something it asked; false: it did not. */
bool reporter_answer(struct reporter *r, const struct answer *a);
/* ---- courier_alarm.c: tells the operator's channels of incidents ---- */

struct teller *teller_new(struct courier *c);
bool teller_answer(struct teller *t, const struct answer *a); /* as reporter_answer */

/* ---- courier_digest.c: tells recipients what was refused on their behalf, once a day ---- */

struct digester *digester_new(struct courier *c);
bool digester_answer(struct digester *d, const struct answer *a);

/* Forwards an ask of this session: to a role, or to the fetcher. */
void courier_forward(struct courier *c, uint64_t session, struct ask *a);

#endif
