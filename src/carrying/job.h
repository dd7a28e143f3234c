/* The job as its files see it. Private to carrying/.
 *
 *	job.c     life, asks and answers, the states
 *	plan.c    facts: which hosts, and what TLS must be for each
 *	host.c    one host after the other: demands, results, the next one
 *	report.c  what is said to the store */
#ifndef CARRYING_JOB_H
#define CARRYING_JOB_H

#include "carrying/carrying.h"
#include "mail/summary.h"
#include "policy/provider.h"
#include "policy/reply.h"
#include "verify/dane.h"
#include "verify/mtasts.h"
#include "verify/tlsrpt.h"
#include "watch/incident.h"

enum job_state {
	JOB_FACTS,    /* RESOLVE, STS_POLICY, FETCH are open */
	JOB_SECRET,   /* SMARTHOST_SECRET */
	JOB_PATH,     /* PATH */
	JOB_CONNECT,  /* CONNECT */
	JOB_SENDING,  /* the mail is with the engine */
	JOB_INCIDENT, /* INCIDENT, before CARRIED */
	JOB_CARRIED,  /* CARRIED */
	JOB_WAIT,     /* CARRIED again at deadline */
	JOB_FINISHED,
};

enum {
	JOB_AGAIN =
	        15, /* times, JOB_AGAIN_MS apart, that a resolver which is away is asked again */
	JOB_AGAIN_MS = 2000,
	JOB_ASKS = 24, /* of LIMIT_ASKS_SESSION; more wait in the facts */
	JOB_INCIDENTS = 3,
	JOB_REPORTS = 2 * ROUTE_HOSTS + 2,
};

/* A recipient, and what is known of it. */
struct job_recipient {
	struct smtp_client_recipient to;
	uint32_t tries;
	bool decided;
	enum carry_outcome outcome;
	enum reply_class class;
	struct bytes status, reply; /* the arena's */
};

/* A host, and what TLS must be there. */
struct job_host {
	struct route_host route;
	struct dane dane;
	uint16_t port;
	enum smtp_client_tls tls;
	bool implicit_tls;
	enum tls_client_mode mode;
	struct bytes names[2]; /* one must be the certificate's */
	size_t name_count;
	bool by_sts; /* an MTA-STS policy demands it */
	bool done;   /* tried, or not to be tried */
	bool plain;  /* TLS failed and nothing demands it: in the clear */
	bool fresh;  /* a kept connection broke: a new one */
};

/* Why recipients without an answer have none: the last host's failure, or that there is no host. */
struct job_failure {
	const char *status; /* NULL: the judgement's */
	struct bytes reply;
	struct bytes host;
	enum carry_outcome outcome;
	enum reply_class class;
	enum carried_scope scope;
	struct bytes status_text; /* of a judgement */
	uint32_t retry_after;
};

struct job_report {
	enum tlsrpt_policy policy;
	enum tlsrpt_result result;
	struct bytes string, host, details;
};

struct job_incident {
	enum incident_kind kind;
	enum incident_verb verb;
	struct bytes key;
	struct bytes facts;
	uint32_t count;
};

struct carrying_job {
	const struct config *config;
	struct carrying_weather weather;
	struct arena arena;
	struct answer_carry carry;
	time_ms now, deadline;
	enum job_state state;
	struct ask asks[JOB_ASKS]; /* not drained yet */
	size_t ask_first, ask_count;
	uint32_t next_number;
	unsigned facts_again; /* how often nobody was there to ask the DNS */
	unsigned facts_open;  /* RESOLVE, STS_POLICY, FETCH without an answer */

	struct job_recipient *recipients;
	size_t recipient_count;
	bool requiretls, tls_not_required;

	/* facts and what follows from them */
	struct facts *facts;
	const struct config_smarthost *smarthost; /* NULL: by MX */
	const struct config_origin *origin;
	struct config_ips own; /* our addresses where port 25 of them is ours */
	struct bytes helo, password;
	struct ip sources[2];
	size_t source_count;
	struct route route;
	bool sts_asked, sts_fetched, sts_kept, sts_announced, wants_reports;
	uint32_t sts_number, fetch_number;
	struct bytes sts_id, sts_kept_id, sts_text;
	bool sts_valid;
	struct mtasts_policy sts;

	/* hosts */
	struct job_host hosts[ROUTE_HOSTS];
	size_t host_count, current;
	time_ms first_connect; /* 0: none yet */
	size_t tried;          /* hosts */
	struct bytes provider;
	bool probe, silent; /* silent: no host said a word so far */
	struct buf key;
	struct smtp_client_mail mail; /* of the recipients not decided yet */
	bool has_mail;
	struct ip addresses[CARRYING_ADDRESSES];

	/* what came of it */
	struct job_failure failure;
	enum carried_scope scope;
	uint32_t retry_after;
	struct bytes remote;
	struct ip remote_ip, source_ip;
	bool met; /* a host was connected: the two above */
	struct bytes tls_version;
	enum tls_verified tls_verified;
	struct job_report reports[JOB_REPORTS];
	size_t report_count;
	struct job_incident incidents[JOB_INCIDENTS];
	size_t incident_count, incident_next;
	struct buf results, reports_packed, outcome;
	time_ms again_ms;
	bool last_resort; /* CARRIED was refused as it was */
};

/* An ask for this job, queued; the caller fills it in. NULL: no room now. */
struct ask *carrying_ask(struct carrying_job *j, enum ask_kind kind);
/* Nothing more is known or tried: reports. */
void carrying_conclude(struct carrying_job *j);
void carrying_finish(struct carrying_job *j, const char *why);
bool carrying_has_undecided(const struct carrying_job *j);

/* plan.c */
void plan_begin(struct carrying_job *j);
void plan_answer(struct carrying_job *j, const struct answer *a);
void plan_again(struct carrying_job *j);
void plan_secret(struct carrying_job *j, const struct answer *a);
void plan_path(struct carrying_job *j, const struct answer *a);

/* host.c */
void host_next(struct carrying_job *j);
void host_connected(struct carrying_job *j, const struct answer *a);

/* report.c */
void report_begin(struct carrying_job *j);
void report_answer(struct carrying_job *j, const struct answer *a);
void report_again(struct carrying_job *j);
void report_tls(struct carrying_job *j, const struct job_host *h, enum tlsrpt_result result,
                struct bytes details);
/* An incident to be told before the result; of the same kind and key one. */
struct job_incident *report_incident(struct carrying_job *j, enum incident_kind kind,
                                     struct bytes key);

#endif
