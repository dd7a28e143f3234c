/* Which hosts, and what TLS must be for each. The facts are asked for in rounds: each round asks for all that the pure functions
 * of verify/ say is missing. */
#include "base/memory.h"
#include "carrying/job.h"

enum { TYPE_A = 1, TYPE_TXT = 16, TYPE_AAAA = 28 };

static void gather(struct carrying_job *j);

/* ---- the beginning ---- */

static bool is_zero(const struct ip *ip)
{
	return ip_equal(ip, &(struct ip){0});
}

static void add_source(struct carrying_job *j, const struct ip *ip)
{
	if (!is_zero(ip))
		j->sources[j->source_count++] = *ip;
}

/* Where another host's port would be our own SMTP: a listener on that port, on addresses that are not "all". */
static void find_own(struct carrying_job *j)
{
	const struct config *c = j->config;

	j->own.items = arena_get(&j->arena, 64 * sizeof(struct ip));
	for (size_t i = 0; i < c->listener_count; i++) {
		const struct config_listener *l = &c->listeners[i];

		if (l->protocol != CONFIG_SMTP || l->port != c->carry_port)
			continue;
		for (size_t k = 0; k < l->addresses.count && j->own.count < 64; k++)
			j->own.items[j->own.count++] = l->addresses.items[k];
	}
}

static const struct config_smarthost *choose_smarthost(const struct carrying_job *j)
{
	if (j->weather.throttled && j->config->carry_smarthost.len > 0)
		return config_smarthost_named(j->config, j->config->carry_smarthost);
	return config_smarthost_for(j->config, j->carry.sender, j->carry.destination);
}

void plan_begin(struct carrying_job *j)
{
	j->origin = config_origin_for(j->config, j->carry.sender);
	j->helo = j->origin && j->origin->helo.len ? j->origin->helo : j->config->hostname;
	if (j->origin) {
		add_source(j, &j->origin->ip6);
		add_source(j, &j->origin->ip4);
	}
	find_own(j);
	j->smarthost = choose_smarthost(j);
	j->state = JOB_FACTS;
	gather(j);
}

/* ---- facts ---- */

static void give_up(struct carrying_job *j, const char *status, struct bytes reply,
                    enum carry_outcome outcome, enum reply_class class)
{
	j->failure = (struct job_failure){
	        .status = status,
	        .reply = reply,
	        .outcome = outcome,
	        .class = class,
	        .scope = outcome == CARRY_DEFERRED ? CARRIED_DESTINATION : CARRIED_MAIL,
	};
	carrying_conclude(j);
}

/* Asks for what the facts say is missing, as much as there is room for; the rest comes in the next round. */
static bool ask_missing(struct carrying_job *j)
{
	struct bytes name;
	uint16_t type;

	while (j->facts_open < JOB_ASKS - 4 && facts_missing(j->facts, &name, &type)) {
		struct ask *a = carrying_ask(j, ASK_RESOLVE);

		a->resolve.name = name;
		a->resolve.type = type;
		facts_asked(j->facts, a->number);
		j->facts_open++;
	}
	return j->facts_open > 0;
}

static enum result find_route(struct carrying_job *j)
{
	struct route_question q = {
	        .domain = j->smarthost ? j->smarthost->host : j->carry.destination,
	        .is_host = j->smarthost != NULL,
	        .anywhere = j->smarthost != NULL,
	        .hostname = j->smarthost ? (struct bytes){0} : j->config->hostname,
	        .own = j->smarthost ? NULL : &j->own,
	        .family = (enum route_family)j->config->carry_family,
	        .allowed = &j->config->carry_local_networks,
	        .seed = j->weather.seed,
	};

	return route_find(&q, j->facts, &j->arena, &j->route);
}

static bool is_domain(const struct carrying_job *j)
{
	return !j->smarthost && j->carry.destination.len > 0 && j->carry.destination.ptr[0] != '[';
}

/* The texts of a TXT set, each record's strings joined. */
static size_t texts_of(struct carrying_job *j, const struct fact *f, struct bytes *ret, size_t max)
{
	size_t n = 0;

	for (size_t i = 0; f->status == FACT_FOUND && i < f->count && n < max; i++)
		if (facts_text(f->records[i], &j->arena, &ret[n]) == OK)
			n++;
	return n;
}

/* ---- MTA-STS ---- */

static void ask_kept_policy(struct carrying_job *j)
{
	struct ask *a = carrying_ask(j, ASK_STS_POLICY);

	a->sts_policy.domain = j->carry.destination;
	j->sts_number = a->number;
	j->sts_asked = true;
	j->facts_open++;
}

static void use_policy(struct carrying_job *j, struct bytes text)
{
	struct why why;

	j->sts_text = text;
	j->sts_valid = mtasts_policy_parse(text, &j->arena, &j->sts, &why) == OK;
}

static void keep_policy(struct carrying_job *j)
{
	struct ask *a = carrying_ask(j, ASK_STS_POLICY_SET);

	if (!a)
		return;
	a->sts_policy_set.domain = j->carry.destination;
	a->sts_policy_set.id = j->sts_id;
	a->sts_policy_set.policy = j->sts_text;
	a->sts_policy_set.expires = j->now + (time_ms)j->sts.max_age * 1000;
}

static void report_fetch(struct carrying_job *j, enum tlsrpt_result result, const char *text)
{
	if (j->report_count < JOB_REPORTS)
		j->reports[j->report_count++] = (struct job_report){
		        .policy = TLSRPT_STS,
		        .result = result,
		        .details = arena_copy(&j->arena, bytes_of_text(text)),
		};
}

/* A new policy counts when it is one; else the one that was kept goes on (RFC 8461, 3.3). */
static void take_fetched(struct carrying_job *j, const struct answer *a)
{
	struct bytes text = arena_copy(&j->arena, a->fetch.body);
	struct mtasts_policy p;
	struct why why = {""};

	if (a->result != OK || a->fetch.status != 200) {
		if (a->result == OK)
			(void)why_set(&why, FAILED, "HTTP status %u", a->fetch.status);
		else
			(void)why_set(&why, FAILED, "%.*s", BYTES_ARG(a->why));
		report_fetch(j, TLSRPT_STS_FETCH, why.text);
	} else if (!bytes_starts_nocase(a->fetch.type, BYTES("text/plain")) ||
	           mtasts_policy_parse(text, &j->arena, &p, &why) != OK) {
		report_fetch(j, TLSRPT_STS_INVALID, why.text);
	} else {
		j->sts = p;
		j->sts_text = text;
		j->sts_valid = true;
		keep_policy(j);
	}
}

static bool ask_fetch(struct carrying_job *j)
{
	struct bytes host = arena_printf(&j->arena, "mta-sts.%.*s",
	                                 BYTES_ARG(j->carry.destination));
	struct route_question q = {.domain = host,
	                           .is_host = true,
	                           .family = (enum route_family)j->config->carry_family,
	                           .allowed = &j->config->carry_local_networks};
	struct route *r = arena_get(&j->arena, sizeof(*r));
	struct ask *a;

	if (route_find(&q, j->facts, &j->arena, r) == UNAVAILABLE)
		return false;
	j->sts_fetched = true;
	if (r->count == 0) {
		report_fetch(j, TLSRPT_STS_FETCH, "the policy's host has no address");
		return true;
	}
	a = carrying_ask(j, ASK_FETCH);
	a->fetch.url = arena_printf(&j->arena, "https://%.*s/.well-known/mta-sts.txt",
	                            BYTES_ARG(host));
	a->fetch.addresses = arena_copy(
	        &j->arena,
	        bytes_of(r->hosts[0].addresses, r->hosts[0].address_count * sizeof(struct ip)));
	a->fetch.max = MTASTS_POLICY_MAX;
	j->fetch_number = a->number;
	j->facts_open++;
	return true;
}

/* False: more facts are needed. */
static bool find_sts(struct carrying_job *j)
{
	struct bytes name = arena_printf(&j->arena, "_mta-sts.%.*s",
	                                 BYTES_ARG(j->carry.destination));
	const struct fact *f = facts_need(j->facts, name, TYPE_TXT);
	struct bytes texts[8];

	if (!j->sts_asked)
		ask_kept_policy(j);
	if (!f || j->facts_open > 0)
		return false;
	j->sts_announced = mtasts_txt(texts, texts_of(j, f, texts, 8), &j->sts_id) == OK;
	if (!j->sts_announced || (j->sts_kept && bytes_equal(j->sts_id, j->sts_kept_id)) ||
	    j->sts_fetched)
		return true;
	return ask_fetch(j) && j->facts_open == 0;
}

static void take_kept(struct carrying_job *j, const struct answer *a)
{
	if (a->result != OK || a->sts_policy.expires <= j->now)
		return;
	j->sts_kept = true;
	j->sts_kept_id = arena_copy(&j->arena, a->sts_policy.id);
	use_policy(j, arena_copy(&j->arena, a->sts_policy.policy));
}

/* ---- reports wanted? ---- */

static bool find_reports(struct carrying_job *j)
{
	struct bytes name = arena_printf(&j->arena, "_smtp._tls.%.*s",
	                                 BYTES_ARG(j->carry.destination));
	const struct fact *f = facts_need(j->facts, name, TYPE_TXT);
	struct bytes texts[8], ruas[TLSRPT_RUAS];
	size_t count;

	if (!f)
		return false;
	j->wants_reports = tlsrpt_txt(texts, texts_of(j, f, texts, 8), ruas, &count) == OK;
	return true;
}

/* ---- what TLS must be ---- */

static bool sts_demands(const struct carrying_job *j, enum mtasts_mode mode)
{
	return j->sts_valid && j->sts.mode == mode && !j->tls_not_required;
}

static void add_name(struct job_host *h, struct bytes name)
{
	if (!h->route.literal && name.len > 0)
		h->names[h->name_count++] = name;
}

static void refuse_host(struct carrying_job *j, struct job_host *h, const char *status,
                        struct bytes text, enum carry_outcome outcome)
{
	h->done = true;
	j->failure = (struct job_failure){
	        .status = status,
	        .reply = text,
	        .host = h->route.name,
	        .outcome = outcome,
	        .class = REPLY_NETWORK,
	        .scope = outcome == CARRY_DEFERRED ? CARRIED_DESTINATION : CARRIED_MAIL,
	};
}

static void demand_dane(struct carrying_job *j, struct job_host *h)
{
	h->tls = SMTP_TLS_MUST;
	h->mode = TLS_CLIENT_DANE;
	add_name(h, h->dane.base);
	if (!bytes_equal(h->dane.base, j->carry.destination))
		add_name(h,
		         j->carry.destination); /* RFC 7672, 3.2.2: proven, since the MX set is */
}

static void demand_pkix(struct job_host *h)
{
	h->tls = SMTP_TLS_MUST;
	h->mode = TLS_CLIENT_PKIX;
	h->name_count = 0;
	add_name(h, h->route.name);
}

/* REQUIRETLS (RFC 8689, 4.2.1): who answers must be proven, and the way to its name as well. */
static void demand_required(struct carrying_job *j, struct job_host *h)
{
	bool proven = j->smarthost || j->route.secure || h->by_sts || h->route.literal;

	if (!proven) {
		refuse_host(j, h, "5.7.10",
		            BYTES("REQUIRETLS was asked for, and neither DNSSEC nor MTA-STS proves "
		                  "which hosts take mail for the domain"),
		            CARRY_FAILED);
	} else if (h->mode == TLS_CLIENT_ANY) {
		demand_pkix(h);
	}
}

static void demand_sts(struct carrying_job *j, struct job_host *h)
{
	h->by_sts = mtasts_policy_covers(&j->sts, h->route.name);
	if (h->by_sts) {
		demand_pkix(h);
		return;
	}
	refuse_host(j, h, "4.7.5",
	            arena_printf(&j->arena, "the domain's MTA-STS policy does not name its MX %.*s",
	                         BYTES_ARG(h->route.name)),
	            CARRY_DEFERRED);
	report_tls(j, h, TLSRPT_VALIDATION, BYTES("the MX is not one of the policy's"));
}

static void demand_mx(struct carrying_job *j, struct job_host *h)
{
	static const enum smtp_client_tls by_option[] = {SMTP_TLS_NEVER, SMTP_TLS_MAY,
	                                                 SMTP_TLS_MUST};

	h->port = (uint16_t)j->config->carry_port;
	h->tls = by_option[j->config->carry_tls];
	h->mode = TLS_CLIENT_ANY;
	add_name(h, h->route.name);
	if (j->tls_not_required) /* past what the domain wants, not past what our operator does */
		return;
	h->name_count = h->dane.state == DANE_MATCH ? 0 : h->name_count;
	if (h->dane.state == DANE_DEFER) {
		refuse_host(j, h, "4.7.5", h->dane.text, CARRY_DEFERRED);
		report_tls(j, h, TLSRPT_DNSSEC_INVALID, h->dane.text);
	} else if (h->dane.state == DANE_MATCH) {
		demand_dane(j, h);
	} else if (sts_demands(j, MTASTS_ENFORCE)) {
		demand_sts(j, h); /* TLSA records that say nothing usable do not take its place */
	} else if (h->dane.state == DANE_ENCRYPT) {
		h->tls = SMTP_TLS_MUST;
	}
	if (j->requiretls && !h->done)
		demand_required(j, h);
}

static void demand_smarthost(struct carrying_job *j, struct job_host *h)
{
	h->port = j->smarthost->port;
	h->implicit_tls = j->smarthost->tls == CONFIG_SMARTHOST_IMPLICIT;
	h->tls = SMTP_TLS_MAY;
	h->mode = TLS_CLIENT_ANY;
	if (j->smarthost->tls != CONFIG_SMARTHOST_MAY || j->requiretls)
		demand_pkix(h);
	else
		add_name(h, h->route.name);
}

/* ---- everything is known ---- */

static void take_hosts(struct carrying_job *j)
{
	for (size_t i = 0; i < j->route.count; i++) {
		struct job_host *h = &j->hosts[i];
		struct dane dane = h->dane;

		*h = (struct job_host){.route = j->route.hosts[i], .dane = dane};
		if (j->smarthost)
			demand_smarthost(j, h);
		else
			demand_mx(j, h);
	}
	j->host_count = j->route.count;
}

static const struct job_host *first_host(const struct carrying_job *j)
{
	for (size_t i = 0; i < j->host_count; i++)
		if (!j->hosts[i].done)
			return &j->hosts[i];
	return NULL;
}

static void raise_tls(struct carrying_job *j)
{
	struct job_incident *x = report_incident(j, INCIDENT_TLS, j->carry.destination);
	struct buf facts = {0};

	if (!x)
		return;
	incident_fact_put(&facts, "destination", j->carry.destination);
	incident_fact_put(&facts, "host", j->failure.host);
	incident_fact_put(&facts, "policy",
	                  j->requiretls                    ? BYTES("requiretls")
	                  : sts_demands(j, MTASTS_ENFORCE) ? BYTES("mta-sts")
	                                                   : BYTES("dane"));
	incident_fact_put(&facts, "reason", j->failure.reply);
	x->facts = arena_copy(&j->arena, buf_bytes(&facts));
	x->count = (uint32_t)j->recipient_count;
	buf_done(&facts);
}

static void ask_path(struct carrying_job *j)
{
	const struct job_host *first = first_host(j);
	struct buf names = {0};
	struct ask *a;

	if (!first) {
		raise_tls(j);
		carrying_conclude(j);
		return;
	}
	for (size_t i = 0; i < j->host_count; i++)
		buf_printf(&names, "%s%.*s", i ? " " : "", BYTES_ARG(j->hosts[i].route.name));
	j->provider = provider_key(first->route.name);
	j->state = JOB_PATH;
	a = carrying_ask(j, ASK_PATH);
	a->path.lease = j->carry.lease;
	a->path.provider = j->provider;
	a->path.hosts = arena_copy(&j->arena, buf_bytes(&names));
	buf_done(&names);
}

static void planned(struct carrying_job *j)
{
	struct ask *a;

	if (j->route.count == 0) {
		give_up(j, j->route.status, j->route.text,
		        j->route.temporary ? CARRY_DEFERRED : CARRY_FAILED,
		        j->route.temporary ? REPLY_NETWORK : REPLY_DOMAIN);
		return;
	}
	take_hosts(j);
	if (!j->smarthost || j->smarthost->user.len == 0 || j->password.len > 0) {
		ask_path(j);
		return;
	}
	j->state = JOB_SECRET;
	a = carrying_ask(j, ASK_SMARTHOST_SECRET);
	a->smarthost_secret.route = j->smarthost->name;
}

/* One round: whatever can already be named as missing is asked together. */
static void gather(struct carrying_job *j)
{
	enum result r = find_route(j);
	bool whole = r == OK;

	if (r == OK && j->route.count > 0 && is_domain(j)) {
		for (size_t i = 0; j->config->carry_dane && i < j->route.count; i++)
			whole &= dane_find(&j->route.hosts[i], j->facts, &j->arena,
			                   &j->hosts[i].dane) == OK;
	}
	if (is_domain(j) && (r != OK || j->route.count > 0)) {
		if (j->config->carry_sts)
			whole &= find_sts(j);
		if (j->config->carry_tlsrpt)
			whole &= find_reports(j);
	}
	if (!whole && (ask_missing(j) || j->facts_open > 0))
		return;
	planned(j);
}

/* A resolver that is away says nothing of the destination: it is asked again, before anything is deferred. */
static bool is_away(const struct answer *a)
{
	return a->result == LOST || a->result == UNAVAILABLE;
}

static void take_resolved(struct carrying_job *j, const struct answer *a)
{
	if (is_away(a) && j->facts_again < JOB_AGAIN && facts_again(j->facts, a->number))
		j->deadline = j->now + JOB_AGAIN_MS;
	else
		(void)facts_answer(j->facts, a);
}

void plan_answer(struct carrying_job *j, const struct answer *a)
{
	j->facts_open--;
	if (a->kind == ASK_STS_POLICY)
		take_kept(j, a);
	else if (a->kind == ASK_FETCH)
		take_fetched(j, a);
	else
		take_resolved(j, a);
	if (j->facts_open == 0 && j->deadline == TIME_NEVER)
		gather(j);
}

void plan_again(struct carrying_job *j)
{
	j->deadline = TIME_NEVER;
	j->facts_again++;
	if (j->facts_open == 0)
		gather(j); /* else the last answer does */
}

void plan_secret(struct carrying_job *j, const struct answer *a)
{
	if (a->result == OK) {
		j->password = arena_copy(&j->arena, a->smarthost_secret.password);
		ask_path(j);
		return;
	}
	if (a->result == NOT_FOUND || a->result == DENIED) {
		struct job_incident *x = report_incident(j, INCIDENT_SMARTHOST, j->smarthost->name);
		struct buf facts = {0};

		if (x) {
			incident_fact_put(&facts, "route", j->smarthost->name);
			incident_fact_put(&facts, "host", j->smarthost->host);
			incident_fact_put(&facts, "reply",
			                  BYTES("there is no password for it in keys/smarthost"));
			x->facts = arena_copy(&j->arena, buf_bytes(&facts));
			x->count = (uint32_t)j->recipient_count;
			buf_done(&facts);
		}
	}
	give_up(j, "4.7.8",
	        arena_printf(&j->arena, "there is no password for the route %.*s: %s",
	                     BYTES_ARG(j->smarthost->name), result_name(a->result)),
	        CARRY_DEFERRED, REPLY_NETWORK);
}

void plan_path(struct carrying_job *j, const struct answer *a)
{
	if (a->result != OK) {
		/* The lease is over: the entries wait with the provider. */
		buf_printf(&j->outcome, " provider=%.*s waits=\"%.*s\"", BYTES_ARG(j->provider),
		           BYTES_ARG(a->why));
		carrying_finish(j, NULL);
		return;
	}
	j->probe = a->path.go == PATH_PROBE;
	host_next(j);
}
