/* One batch of the queue on its way out: one mail, recipients of one destination. A sealed machine over asks; it decides where
 * to try, which TLS is good enough, what an answer means, and reports. It does not connect: its host does
 * (roles/courier.c), and keeps the connections.
 *
 *	struct carrying_job *j = carrying_job_new(config, &answer.carry, &weather, now);
 *	while (carrying_job_ask(j, &a))
 *		a.kind == ASK_CONNECT ? connect(j, &a) : a.kind == ASK_FETCH ? fetch(&a) : forward(&a);
 *	carrying_job_answer(j, &answer);                     then drain the asks again
 *	if ((mail = carrying_job_mail(j)))                   it has a connection: say this there
 *		smtp_client_send(engine, mail);
 *	carrying_job_result(j, &result, &link);              ... and what came of it; then ask for mail again
 *	if (carrying_job_finished(j)) log(carrying_job_outcome(j)), carrying_job_free(&j);
 *
 * What it does, in order (docs/mail-out.md):
 *	a route of the configuration, or MX, addresses, TLSA, MTA-STS of the destination    RESOLVE STS_POLICY FETCH
 *	may it go through that provider now?                                                PATH
 *	host by host until every recipient has an answer, each host once                     CONNECT
 *	what refuses our address or domain is an incident                                    INCIDENT
 *	the result, until the store has it                                                   CARRIED
 * Hosts that cannot be reached, greet with an error, or have no TLS where it must be, lead to the next host. An answer to a
 * recipient does not: it is the destination's word. */
#ifndef CARRYING_CARRYING_H
#define CARRYING_CARRYING_H

#include "ask/ask.h"
#include "config/config.h"
#include "crypto/tls_client.h"
#include "smtp/client.h"

enum { CARRYING_ADDRESSES = 16 }; /* of one host, as CONNECT takes */

/* What the host of the job knows and the configuration does not. */
struct carrying_weather {
	uint64_t seed;  /* random: shuffles hosts of equal preference (RFC 5321, 5.1) */
	bool throttled; /* our port 25 is (policy/throttle.h): the fallback route first */
};

struct carrying_job;

/* config is borrowed for the job's life; carry is copied. */
struct carrying_job *carrying_job_new(const struct config *config, const struct answer_carry *carry,
                                      const struct carrying_weather *weather, time_ms now);
void carrying_job_free(struct carrying_job **j);

/* Bytes in an ask are good until the next verb. Numbers are the job's own, from 1. */
bool carrying_job_ask(struct carrying_job *j, struct ask *ret);
/* CONNECT is answered by the host: OK; NOT_FOUND: no way there from here, DENIED: refused, UNAVAILABLE: silent; why says it in
 * words. FETCH: OK with any HTTP status; else why. */
void carrying_job_answer(struct carrying_job *j, const struct answer *a);

/* The weather has changed. */
void carrying_job_weather(struct carrying_job *j, const struct carrying_weather *weather);

/* When to call tick if nothing is answered; TIME_NEVER: not at all. */
time_ms carrying_job_deadline(const struct carrying_job *j);
void carrying_job_tick(struct carrying_job *j, time_ms now);

bool carrying_job_finished(const struct carrying_job *j);
/* key=value words for the log, once finished. */
struct bytes carrying_job_outcome(const struct carrying_job *j);

/* ---- the connection that CONNECT asks for ---- */

/* All borrowed from the job until its next verb. */
struct carrying_demand {
	struct bytes host; /* its name, for the record and for TLS */
	uint16_t port;
	enum smtp_client_tls tls;
	bool implicit_tls;
	struct tls_client_policy policy;
	struct bytes helo;
	struct bytes user, password;
	bool clear_password;
	bool fresh;   /* one that was kept broke at once: make a new one */
	bool network; /* its fate says something about our port 25 */
	/* A connection made for one demand serves every demand with the same key. */
	struct bytes key;
};

/* After a CONNECT was drained: hosts of the same preference that may be tried now. 0 is the one that the ask names. Where the
 * host has a connection to another one already, it chooses that instead, and answers as if it had been asked for. */
size_t carrying_job_choices(const struct carrying_job *j);
void carrying_job_demand(const struct carrying_job *j, size_t nth, struct carrying_demand *ret);
void carrying_job_choose(struct carrying_job *j, size_t nth);

/* The mail for the connection that CONNECT brought; NULL: none now. Borrowed until the next verb. */
const struct smtp_client_mail *carrying_job_mail(const struct carrying_job *j);

/* Facts about the connection over which a result came. */
struct carrying_link {
	struct ip ip, source;
	bool reused;              /* it was kept from an earlier mail */
	struct bytes tls_version; /* empty: none */
	struct tls_client_verdict tls;
	struct bytes host_name; /* from its greeting */
};
void carrying_job_result(struct carrying_job *j, const struct smtp_client_result *result,
                         const struct carrying_link *link);

#endif
