/* One host after the other: what is demanded of its connection, what a dialogue brought, and what comes next. */
#include "carrying/job.h"

#include "base/encode.h"
#include "base/text.h"

/* ---- demands ---- */

static const struct job_host *choice(const struct carrying_job *j, size_t nth)
{
	const struct job_host *at = &j->hosts[j->current];

	if (nth == 0)
		return at;
	for (size_t i = 0; i < j->host_count; i++) {
		const struct job_host *h = &j->hosts[i];

		if (h != at && !h->done && h->route.preference == at->route.preference &&
		    --nth == 0)
			return h;
	}
	return NULL;
}

size_t carrying_job_choices(const struct carrying_job *j)
{
	size_t n = 1;

	if (j->hosts[j->current].plain || j->hosts[j->current].fresh)
		return 1;
	while (choice(j, n))
		n++;
	return n;
}

static bool is_loopback(const struct job_host *h)
{
	for (size_t i = 0; i < h->route.address_count; i++)
		if (!ip_is_loopback(&h->route.addresses[i]))
			return false;
	return h->route.address_count > 0;
}

/* Everything that makes a connection good for one demand and not for another. */
static void make_key(const struct carrying_job *j, const struct job_host *h, struct buf *key)
{
	enum smtp_client_tls tls = h->plain ? SMTP_TLS_NEVER : h->tls;

	buf_clear(key);
	buf_printf(key, "%.*s %u %d %d %d %.*s", BYTES_ARG(h->route.name), h->port, tls,
	           h->implicit_tls, h->mode, BYTES_ARG(j->helo));
	buf_append(key, bytes_of(j->sources, j->source_count * sizeof(*j->sources)));
	if (j->smarthost)
		buf_printf(key, " %.*s %.*s", BYTES_ARG(j->smarthost->name),
		           BYTES_ARG(j->smarthost->user));
	for (size_t i = 0; h->mode != TLS_CLIENT_ANY && i < h->name_count; i++)
		buf_printf(key, " %.*s", BYTES_ARG(h->names[i]));
	if (h->mode == TLS_CLIENT_DANE)
		buf_append(key, h->dane.string);
	if (h->route.literal) /* the name is the address */
		return;
	/* A name whose addresses have changed is another host. */
	buf_append(key, bytes_of(h->route.addresses, h->route.address_count * sizeof(struct ip)));
}

void carrying_job_demand(const struct carrying_job *cj, size_t nth, struct carrying_demand *ret)
{
	struct carrying_job *j = (struct carrying_job *)(uintptr_t)cj; /* key: room kept for it */
	const struct job_host *h = choice(j, nth);

	make_key(j, h, &j->key);
	*ret = (struct carrying_demand){
	        .host = h->route.name,
	        .port = h->port,
	        .tls = h->plain ? SMTP_TLS_NEVER : h->tls,
	        .implicit_tls = h->implicit_tls,
	        .policy =
	                {
	                        .sni = h->route.literal ? (struct bytes){0} : h->route.name,
	                        .mode = h->mode,
	                        .names = h->names,
	                        .name_count = h->name_count,
	                        .records = h->dane.records,
	                        .record_count = h->mode == TLS_CLIENT_DANE ? h->dane.count : 0,
	                },
	        .helo = j->helo,
	        .user = j->smarthost ? j->smarthost->user : (struct bytes){0},
	        .password = j->password,
	        .clear_password = j->smarthost && is_loopback(h),
	        .fresh = h->fresh,
	        .network = !j->smarthost,
	        .key = buf_bytes(&j->key),
	};
	if (h->dane.state == DANE_MATCH && h->mode == TLS_CLIENT_DANE)
		ret->policy.sni = h->dane.base; /* RFC 7672, 8.1 */
}

void carrying_job_choose(struct carrying_job *j, size_t nth)
{
	const struct job_host *h = choice(j, nth);

	if (h)
		j->current = (size_t)(h - j->hosts);
}

/* ---- the next host ---- */

static void ask_connect(struct carrying_job *j)
{
	const struct job_host *h = &j->hosts[j->current];
	struct ask *a = carrying_ask(j, ASK_CONNECT);

	j->state = JOB_CONNECT;
	j->has_mail = false;
	a->connect.addresses = bytes_of(h->route.addresses,
	                                h->route.address_count * sizeof(struct ip));
	a->connect.port = h->port;
	a->connect.source = bytes_of(j->sources, j->source_count * sizeof(*j->sources));
	a->connect.host = h->route.name;
}

/* Port 25 is throttled: the other way out, once. */
static bool turn_to_fallback(struct carrying_job *j)
{
	if (!j->silent || !j->weather.throttled || j->smarthost ||
	    j->config->carry_smarthost.len == 0)
		return false;
	j->host_count = j->current = 0;
	memset(j->hosts, 0, sizeof(j->hosts));
	j->route = (struct route){0};
	plan_begin(j);
	return true;
}

/* Hosts that all stay silent must not hold a batch for long: two are tried in any case (RFC 5321, 5.1). */
static bool has_waited_enough(const struct carrying_job *j)
{
	return j->silent && j->tried >= 2 && j->first_connect &&
	       j->now - j->first_connect >= 3 * j->config->carry_connect_timeout_ms;
}

void host_next(struct carrying_job *j)
{
	for (size_t i = 0; i < j->host_count && !has_waited_enough(j); i++) {
		if (j->hosts[i].done)
			continue;
		j->tried++;
		if (!j->first_connect)
			j->first_connect = j->now;
		j->current = i;
		ask_connect(j);
		return;
	}
	if (turn_to_fallback(j))
		return;
	if (j->silent && j->weather.throttled && !j->smarthost)
		j->failure.scope = CARRIED_NETWORK;
	carrying_conclude(j);
}

static void fail_host(struct carrying_job *j, struct job_host *h, struct job_failure f)
{
	h->done = true;
	f.host = h->route.name;
	/* A block is what the operator must hear of, whatever the other hosts say. */
	if (j->failure.outcome != CARRY_HELD)
		j->failure = f;
}

/* ---- the mail ---- */

static void make_mail(struct carrying_job *j)
{
	struct smtp_client_recipient *to = arena_get(&j->arena, j->recipient_count * sizeof(*to));

	j->mail.count = 0;
	for (size_t i = 0; i < j->recipient_count; i++)
		if (!j->recipients[i].decided)
			to[j->mail.count++] = j->recipients[i].to;
	j->mail.recipients = to;
	j->has_mail = true;
	j->state = JOB_SENDING;
}

const struct smtp_client_mail *carrying_job_mail(const struct carrying_job *j)
{
	return j->state == JOB_SENDING && j->has_mail ? &j->mail : NULL;
}

void host_connected(struct carrying_job *j, const struct answer *a)
{
	struct job_host *h = &j->hosts[j->current];

	if (a->result == OK) {
		make_mail(j);
		return;
	}
	if (a->result == DENIED)
		j->silent = false;
	fail_host(j, h,
	          (struct job_failure){
	                  .status = "4.4.1",
	                  .reply = arena_copy(&j->arena, a->why),
	                  .outcome = CARRY_DEFERRED,
	                  .class = REPLY_NETWORK,
	                  .scope = CARRIED_DESTINATION,
	          });
	host_next(j);
}

/* ---- judging ---- */

static enum reply_stage stage_of(enum smtp_stage s)
{
	static const enum reply_stage stages[SMTP_STAGE_COUNT] = {
	        [SMTP_STAGE_GREETING] = REPLY_AT_CONNECT, [SMTP_STAGE_EHLO] = REPLY_AT_HELO,
	        [SMTP_STAGE_STARTTLS] = REPLY_AT_TLS,     [SMTP_STAGE_AUTH] = REPLY_AT_AUTH,
	        [SMTP_STAGE_IDLE] = REPLY_AT_MAIL,        [SMTP_STAGE_MAIL] = REPLY_AT_MAIL,
	        [SMTP_STAGE_RCPT] = REPLY_AT_RCPT,        [SMTP_STAGE_DATA] = REPLY_AT_DATA,
	        [SMTP_STAGE_END] = REPLY_AT_END,
	};

	return stages[s];
}

static bool own_sender(const struct carrying_job *j)
{
	size_t at = bytes_find_last(j->carry.sender, '@');

	return at == BYTES_NONE ||
	       config_domain_is_ours(j->config, bytes_skip(j->carry.sender, at + 1));
}

/* Texts are copied: a result is borrowed. */
static void judge(struct carrying_job *j, const struct smtp_reply *r, uint32_t tries,
                  struct reply_judgement *ret)
{
	struct reply_facts facts = {
	        .code = r->code,
	        .text = arena_copy(&j->arena, r->text),
	        .status = arena_copy(&j->arena, r->enhanced),
	        .stage = stage_of(r->stage),
	        .host = j->hosts[j->current].route.name,
	        .source = j->met ? &j->source_ip : NULL,
	        .own_sender = own_sender(j),
	        .tries = tries,
	};

	reply_judge(&facts, ret);
}

static struct bytes domain_of(struct bytes address)
{
	size_t at = bytes_find_last(address, '@');

	return at == BYTES_NONE ? (struct bytes){0} : bytes_skip(address, at + 1);
}

static void put_ip(struct buf *facts, const char *name, const struct ip *ip)
{
	char text[IP_TEXT];

	ip_format(ip, text);
	incident_fact_put(facts, name, bytes_of_text(text));
}

/* Our address as the host saw it: behind a NAT (cloud instances) ours here is a private one, which no
 * provider's form takes. */
static void put_our_address(struct buf *facts, const struct carrying_job *j, struct bytes reply)
{
	struct ip seen;

	if (route_may_carry_to(&j->source_ip, NULL) || !reply_find_address(reply, &seen))
		seen = j->source_ip;
	put_ip(facts, "address", &seen);
}

/* A provider refuses our address, or our domain: what an operator needs to ask to be let in again. */
static void raise_block(struct carrying_job *j, const struct reply_judgement *judged,
                        struct bytes reply)
{
	bool domain = judged->class == REPLY_OURS_DOMAIN;
	struct bytes ours = domain_of(j->carry.sender);
	struct job_incident *x = domain ? report_incident(j, INCIDENT_DOMAIN, ours)
	                                : report_incident(j, INCIDENT_BLOCKED, j->provider);
	struct buf facts = {0};
	char time[TIME_TEXT];

	if (!x)
		return;
	x->count++;
	if (x->facts.len > 0)
		return;
	if (domain || own_sender(j))
		incident_fact_put(&facts, "domain", ours);
	if (domain)
		incident_fact_put(&facts, "provider", j->provider);
	if (j->met)
		put_our_address(&facts, j, reply);
	incident_fact_put(&facts, "helo", j->helo);
	incident_fact_put(&facts, "host", j->hosts[j->current].route.name);
	time_format_rfc3339(j->now, time);
	incident_fact_put(&facts, "time", bytes_of_text(time));
	incident_fact_put(&facts, "reply", reply);
	incident_fact_put(&facts, "row", bytes_of_text(judged->row));
	incident_fact_put(&facts, "link", judged->link);
	incident_fact_put(&facts, "rcpt_domain", domain_of(j->recipients[0].to.address));
	incident_fact_put(&facts, "domains", j->carry.destination);
	x->facts = arena_copy(&j->arena, buf_bytes(&facts));
	buf_done(&facts);
}

static void raise_smarthost(struct carrying_job *j, struct bytes reply)
{
	struct job_incident *x = report_incident(j, INCIDENT_SMARTHOST, j->smarthost->name);
	struct buf facts = {0};

	if (!x)
		return;
	incident_fact_put(&facts, "route", j->smarthost->name);
	incident_fact_put(&facts, "host", j->smarthost->host);
	incident_fact_put(&facts, "reply", reply);
	x->facts = arena_copy(&j->arena, buf_bytes(&facts));
	x->count = (uint32_t)j->recipient_count;
	buf_done(&facts);
}

/* A BUSY anywhere is the strongest thing to say; an answer that concerns the host comes next. */
static void widen_scope(struct carrying_job *j, enum carried_scope scope)
{
	if (scope == CARRIED_BUSY || (scope == CARRIED_DESTINATION && j->scope == CARRIED_MAIL))
		j->scope = scope;
}

static bool wants_success(const struct job_recipient *r)
{
	return (r->to.notify & 2) != 0;
}

static void decide_sent(struct job_recipient *r, bool dsn)
{
	r->decided = true;
	r->outcome = wants_success(r) && !dsn ? CARRY_RELAYED : CARRY_DELIVERED;
	r->class = REPLY_OK;
}

static void decide_refused(struct carrying_job *j, struct job_recipient *r,
                           const struct smtp_recipient_result *x)
{
	struct reply_judgement judged;

	judge(j, &x->reply, r->tries, &judged);
	r->decided = true;
	r->class = judged.class;
	r->outcome = judged.outcome;
	r->status = judged.status;
	/* Our own refusal (5.6.3, 5.3.4: the host lacks what the mail needs) is what it is. */
	if (x->reply.code == 0) {
		r->outcome = x->outcome == SMTP_FAILED ? CARRY_FAILED : CARRY_DEFERRED;
		r->status = r->status.len ? r->status : arena_copy(&j->arena, x->reply.enhanced);
	}
	/* Nothing that a host defers is given up for what its words look like, but by the queue's time. */
	if (x->outcome == SMTP_DEFERRED && r->outcome == CARRY_FAILED)
		r->outcome = CARRY_DEFERRED;
	if (r->outcome == CARRY_HELD)
		raise_block(j, &judged, r->reply);
	widen_scope(j, judged.scope);
	if (judged.retry_after > j->retry_after)
		j->retry_after = judged.retry_after;
}

static void decide(struct carrying_job *j, struct job_recipient *r,
                   const struct smtp_recipient_result *x, const struct smtp_client_result *result)
{
	if (x->outcome == SMTP_UNTRIED)
		return;
	r->reply = arena_copy(&j->arena, x->reply.text);
	r->status = arena_copy(&j->arena, x->reply.enhanced);
	if (x->outcome == SMTP_SENT) {
		decide_sent(r, result->dsn);
	} else if (x->outcome == SMTP_UNKNOWN) {
		r->decided = true;
		r->outcome = CARRY_DEFERRED;
		r->class = REPLY_NETWORK;
		r->status = BYTES("4.4.2");
	} else {
		decide_refused(j, r, x);
	}
}

static struct job_recipient *recipient(struct carrying_job *j, uint64_t entry)
{
	for (size_t i = 0; i < j->recipient_count; i++)
		if (j->recipients[i].to.entry == entry)
			return &j->recipients[i];
	return NULL;
}

/* How many recipients have their answer now. */
static size_t take_recipients(struct carrying_job *j, const struct smtp_client_result *result)
{
	size_t n = 0;

	for (size_t i = 0; i < result->count; i++) {
		struct job_recipient *r = recipient(j, result->recipients[i].entry);

		if (!r || r->decided)
			continue;
		decide(j, r, &result->recipients[i], result);
		n += r->decided;
	}
	return n;
}

/* ---- TLS: what it was, and what is reported ---- */

static enum tlsrpt_result report_of(enum tls_failure f)
{
	switch (f) {
	case TLS_FAILURE_HOST_MISMATCH: return TLSRPT_HOST_MISMATCH;
	case TLS_FAILURE_EXPIRED: return TLSRPT_EXPIRED;
	case TLS_FAILURE_NOT_TRUSTED: return TLSRPT_NOT_TRUSTED;
	default: return TLSRPT_VALIDATION;
	}
}

static void report_dialogue(struct carrying_job *j, const struct job_host *h,
                            const struct smtp_client_result *result,
                            const struct carrying_link *link)
{
	bool testing = j->sts_valid && j->sts.mode == MTASTS_TESTING;

	if (result->failure == SMTP_FAILURE_TLS)
		report_tls(j, h, report_of(link->tls.failure), bytes_of_text(link->tls.text));
	else if (result->failure == SMTP_FAILURE_NO_STARTTLS ||
	         result->failure == SMTP_FAILURE_STARTTLS)
		report_tls(j, h, TLSRPT_STARTTLS_NOT_SUPPORTED, result->reply.text);
	else if (link->tls_version.len == 0 && (testing || h->tls != SMTP_TLS_NEVER))
		report_tls(j, h, TLSRPT_STARTTLS_NOT_SUPPORTED, (struct bytes){0});
	else if (testing && !mtasts_policy_covers(&j->sts, h->route.name))
		report_tls(j, h, TLSRPT_VALIDATION, BYTES("the MX is not one of the policy's"));
	else if (testing && h->mode == TLS_CLIENT_ANY && !link->tls.pkix)
		report_tls(j, h, report_of(link->tls.failure), bytes_of_text(link->tls.text));
	else if (link->tls_version.len > 0)
		report_tls(j, h, TLSRPT_SUCCESS, (struct bytes){0});
}

static enum tls_verified verified(const struct job_host *h, const struct carrying_link *link)
{
	if (link->tls_version.len == 0)
		return TLS_NONE;
	if (link->tls.proved == TLS_CLIENT_DANE)
		return TLS_DANE;
	if (link->tls.proved == TLS_CLIENT_PKIX)
		return h->by_sts ? TLS_STS : TLS_PKIX;
	return link->tls.pkix ? TLS_PKIX : TLS_UNVERIFIED;
}

static void take_link(struct carrying_job *j, const struct job_host *h,
                      const struct carrying_link *link)
{
	j->met = true;
	j->silent = false;
	j->remote = h->route.name;
	j->remote_ip = link->ip;
	j->source_ip = link->source;
	j->tls_version = arena_copy(&j->arena, link->tls_version);
	j->tls_verified = verified(h, link);
}

/* ---- failures of a host ---- */

/* Hosts that greet with 521, or answer 556, never take mail (RFC 7504): the only greetings that are for good. */
static bool never_takes_mail(const struct smtp_reply *r)
{
	return r->code == 521 || r->code == 556;
}

static const char *failure_status(enum smtp_failure f)
{
	switch (f) {
	case SMTP_FAILURE_NO_STARTTLS:
	case SMTP_FAILURE_STARTTLS: return "4.7.4";
	case SMTP_FAILURE_TLS: return "4.7.5";
	case SMTP_FAILURE_AUTH: return "4.7.8";
	case SMTP_FAILURE_PROTOCOL: return "4.5.0";
	default: return "4.4.2";
	}
}

static void fail_without_words(struct carrying_job *j, struct job_host *h,
                               const struct smtp_client_result *result)
{
	struct bytes text = arena_copy(&j->arena, result->reply.text);

	if (text.len == 0)
		text = arena_printf(&j->arena, "%s at %s",
		                    result->failure == SMTP_FAILURE_TIMEOUT
		                            ? "no answer in time"
		                            : "the connection ended",
		                    smtp_stage_name(result->stage));
	fail_host(j, h,
	          (struct job_failure){
	                  .status = failure_status(result->failure),
	                  .reply = text,
	                  .outcome = CARRY_DEFERRED,
	                  .class = REPLY_NETWORK,
	                  .scope = CARRIED_DESTINATION,
	          });
}

static void fail_with_words(struct carrying_job *j, struct job_host *h,
                            const struct smtp_client_result *result)
{
	struct job_failure f = {.reply = arena_copy(&j->arena, result->reply.text)};
	struct reply_judgement judged;

	judge(j, &result->reply, j->recipients[0].tries, &judged);
	f.outcome = judged.outcome == CARRY_FAILED && !never_takes_mail(&result->reply)
	                    ? CARRY_DEFERRED
	                    : judged.outcome;
	f.class = judged.class;
	f.status_text = judged.status;
	f.retry_after = judged.retry_after;
	f.scope = f.outcome == CARRY_FAILED      ? CARRIED_MAIL
	          : judged.scope == CARRIED_BUSY ? CARRIED_BUSY
	                                         : CARRIED_DESTINATION;
	if (f.outcome == CARRY_HELD)
		raise_block(j, &judged, f.reply);
	fail_host(j, h, f);
}

static bool is_tls_failure(const struct smtp_client_result *r)
{
	return r->failure == SMTP_FAILURE_TLS || r->failure == SMTP_FAILURE_STARTTLS ||
	       r->failure == SMTP_FAILURE_NO_STARTTLS ||
	       (r->stage == SMTP_STAGE_STARTTLS && r->failure != SMTP_FAILURE_NONE);
}

static void raise_host_tls(struct carrying_job *j, const struct job_host *h)
{
	struct job_incident *x = report_incident(j, INCIDENT_TLS, j->carry.destination);
	struct buf facts = {0};

	if (!x)
		return;
	incident_fact_put(&facts, "destination", j->carry.destination);
	incident_fact_put(&facts, "host", h->route.name);
	incident_fact_put(&facts, "policy",
	                  h->mode == TLS_CLIENT_DANE || h->dane.state == DANE_ENCRYPT
	                          ? BYTES("dane")
	                  : h->by_sts ? BYTES("mta-sts")
	                              : BYTES("requiretls"));
	incident_fact_put(&facts, "reason", j->failure.reply);
	x->facts = arena_copy(&j->arena, buf_bytes(&facts));
	x->count = (uint32_t)j->recipient_count;
	buf_done(&facts);
}

/* TLS failed. Where nothing demands it, the same host gets the mail in the clear (RFC 7435). True: it is tried again. */
static bool again_in_the_clear(struct job_host *h)
{
	if (h->tls != SMTP_TLS_MAY || h->implicit_tls || h->plain)
		return false;
	h->plain = true;
	return true;
}

/* A connection that was kept has ended meanwhile: that is no failure of the host. */
static bool again_afresh(struct job_host *h, const struct smtp_client_result *r,
                         const struct carrying_link *link)
{
	if (!link->reused || h->fresh || r->stage > SMTP_STAGE_DATA ||
	    (r->failure != SMTP_FAILURE_CLOSED && r->failure != SMTP_FAILURE_REFUSED &&
	     r->failure != SMTP_FAILURE_TIMEOUT))
		return false;
	h->fresh = true;
	return true;
}

static void stop_untouched(struct carrying_job *j)
{
	j->failure = (struct job_failure){
	        .outcome = CARRY_UNTOUCHED, .status = "", .scope = CARRIED_MAIL};
	carrying_conclude(j);
}

static void fail_reading(struct carrying_job *j, enum result read)
{
	if (read == LOST || read == NOT_FOUND) {
		carrying_finish(j, "result=lost"); /* the lease is over with the store */
		return;
	}
	j->failure = (struct job_failure){
	        .outcome = CARRY_DEFERRED,
	        .status = "4.3.0",
	        .reply = read == DAMAGED ? BYTES("the mail cannot be read from the store: damaged")
	                                 : BYTES("the mail could not be read from the store"),
	        .class = REPLY_NETWORK,
	        .scope = CARRIED_MAIL};
	carrying_conclude(j);
}

static void take_failure(struct carrying_job *j, struct job_host *h,
                         const struct smtp_client_result *result, const struct carrying_link *link)
{
	if (is_tls_failure(result) && again_in_the_clear(h)) {
		ask_connect(j);
		return;
	}
	if (again_afresh(h, result, link)) {
		ask_connect(j);
		return;
	}
	if (result->reply.code > 0 && !is_tls_failure(result))
		fail_with_words(j, h, result);
	else
		fail_without_words(j, h, result);
	if (is_tls_failure(result) && !j->smarthost && j->config->carry_tls != 2)
		raise_host_tls(j, h);
	if (j->smarthost && (result->failure == SMTP_FAILURE_AUTH || is_tls_failure(result)))
		raise_smarthost(j, j->failure.reply);
	host_next(j);
}

/* What was wrong before and is now known to be right. */
static void close_incidents(struct carrying_job *j, const struct job_host *h)
{
	struct job_incident *x = NULL;
	bool again = false;

	for (size_t i = 0; i < j->recipient_count; i++)
		again |= j->recipients[i].tries > 0;
	if (!again)
		return;
	if (j->smarthost)
		x = report_incident(j, INCIDENT_SMARTHOST, j->smarthost->name);
	else if (h->mode != TLS_CLIENT_ANY || h->dane.state == DANE_ENCRYPT)
		x = report_incident(j, INCIDENT_TLS, j->carry.destination);
	if (x && x->facts.len == 0)
		x->verb = INCIDENT_CLOSE;
}

void carrying_job_result(struct carrying_job *j, const struct smtp_client_result *result,
                         const struct carrying_link *link)
{
	struct job_host *h = &j->hosts[j->current];
	size_t decided;

	if (j->state != JOB_SENDING)
		return;
	j->has_mail = false;
	take_link(j, h, link);
	if (!link->reused && result->failure != SMTP_FAILURE_READ &&
	    result->failure != SMTP_FAILURE_STOPPED &&
	    (result->stage > SMTP_STAGE_EHLO || result->failure == SMTP_FAILURE_NONE))
		report_dialogue(j, h, result, link);
	decided = take_recipients(j, result);
	if (decided > 0 && result->failure == SMTP_FAILURE_NONE)
		close_incidents(j, h);
	if (!carrying_has_undecided(j)) {
		report_begin(j);
	} else if (result->failure == SMTP_FAILURE_STOPPED) {
		stop_untouched(j);
	} else if (result->failure == SMTP_FAILURE_READ) {
		fail_reading(j, result->read);
	} else if (result->failure != SMTP_FAILURE_NONE) {
		take_failure(j, h, result, link);
	} else if (decided == 0) {
		/* It takes no recipient of this mail and says nothing: not again. */
		fail_without_words(j, h, result);
		host_next(j);
	} else if (result->reusable) {
		make_mail(j); /* more recipients than it takes at once */
	} else {
		ask_connect(j);
	}
}
