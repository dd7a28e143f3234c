/* What is said to the store: incidents first, then the result, until it is answered. */
#include "carrying/job.h"

enum {
	AGAIN_FIRST_MS = 1000,
	AGAIN_LAST_MS = 30 * 1000,
	REPLIES_MAX = 40 * 1024, /* octets of all replies in one CARRIED */
	REPLY_MIN = 160,
	DETAILS_MAX = 200,
	STRING_MAX = 4096,
};

/* ---- TLS reports ---- */

void report_tls(struct carrying_job *j, const struct job_host *h, enum tlsrpt_result result,
                struct bytes details)
{
	struct job_report *r;

	if (!j->wants_reports || j->smarthost || j->report_count == JOB_REPORTS)
		return;
	r = &j->reports[j->report_count++];
	*r = (struct job_report){
	        .result = result,
	        .host = h->route.name,
	        .details = arena_copy(&j->arena, bytes_first(details, DETAILS_MAX)),
	};
	if (h->dane.state != DANE_NONE) {
		r->policy = TLSRPT_TLSA;
		r->string = bytes_first(h->dane.string, STRING_MAX);
	} else if (j->sts_valid && j->sts.mode != MTASTS_NONE) {
		r->policy = TLSRPT_STS;
		r->string = bytes_first(j->sts_text, STRING_MAX);
		if (result == TLSRPT_VALIDATION)
			r->result = TLSRPT_STS_WEBPKI;
	}
}

static void pack_reports(struct carrying_job *j)
{
	buf_clear(&j->reports_packed);
	for (size_t i = 0; j->wants_reports && i < j->report_count; i++) {
		const struct job_report *r = &j->reports[i];

		buf_u8(&j->reports_packed, (uint8_t)r->policy);
		buf_u8(&j->reports_packed, (uint8_t)r->result);
		buf_block(&j->reports_packed, j->carry.destination);
		buf_block(&j->reports_packed,
		          buf_len(&j->reports_packed) < 8192 ? r->string : (struct bytes){0});
		buf_block(&j->reports_packed, r->host);
		buf_block(&j->reports_packed, r->details);
	}
}

/* ---- incidents ---- */

struct job_incident *report_incident(struct carrying_job *j, enum incident_kind kind,
                                     struct bytes key)
{
	for (size_t i = 0; i < j->incident_count; i++)
		if (j->incidents[i].kind == kind && bytes_equal(j->incidents[i].key, key))
			return &j->incidents[i];
	if (j->incident_count == JOB_INCIDENTS || key.len == 0)
		return NULL;
	j->incidents[j->incident_count] = (struct job_incident){
	        .kind = kind, .verb = INCIDENT_RAISE, .key = arena_copy(&j->arena, key)};
	return &j->incidents[j->incident_count++];
}

static void ask_incident(struct carrying_job *j)
{
	const struct job_incident *x = &j->incidents[j->incident_next];
	struct ask *a = carrying_ask(j, ASK_INCIDENT);

	j->state = JOB_INCIDENT;
	a->incident = (struct ask_incident){
	        .verb = (uint8_t)x->verb,
	        .kind = (uint16_t)x->kind,
	        .key = x->key,
	        .facts = x->facts,
	        .count = x->count,
	};
}

/* ---- the result ---- */

static void pack_results(struct carrying_job *j)
{
	size_t most = REPLIES_MAX / j->recipient_count;

	if (most < REPLY_MIN)
		most = REPLY_MIN;
	if (j->last_resort)
		most = 0;
	buf_clear(&j->results);
	for (size_t i = 0; i < j->recipient_count; i++) {
		const struct job_recipient *r = &j->recipients[i];

		buf_u64(&j->results, r->to.entry);
		buf_u8(&j->results, (uint8_t)r->outcome);
		buf_u8(&j->results, (uint8_t)r->class);
		buf_block(&j->results, bytes_first(r->status, 16));
		buf_block(&j->results, bytes_first(r->reply, most));
	}
}

static void ask_carried(struct carrying_job *j)
{
	struct ask *a = carrying_ask(j, ASK_CARRIED);

	j->state = JOB_CARRIED;
	a->carried = (struct ask_carried){
	        .lease = j->carry.lease,
	        .results = buf_bytes(&j->results),
	        .scope = (uint8_t)j->scope,
	        .provider = j->provider,
	        .remote = j->remote,
	        .ip = j->met ? bytes_of(j->remote_ip.octets, 16) : (struct bytes){0},
	        .source = j->met ? bytes_of(j->source_ip.octets, 16) : (struct bytes){0},
	        .tls = j->tls_version,
	        .tls_verified = (uint8_t)j->tls_verified,
	        .tls_reports = j->last_resort ? (struct bytes){0} : buf_bytes(&j->reports_packed),
	        .retry_after = j->retry_after,
	};
}

static void report_next(struct carrying_job *j)
{
	if (j->incident_next < j->incident_count) {
		ask_incident(j);
	} else {
		ask_carried(j);
	}
}

static const char *const outcome_words[] = {
        [CARRY_DELIVERED] = "delivered", [CARRY_RELAYED] = "relayed",
        [CARRY_DEFERRED] = "deferred",   [CARRY_FAILED] = "failed",
        [CARRY_HELD] = "held",           [CARRY_UNTOUCHED] = "untouched",
};

static void describe(struct carrying_job *j)
{
	unsigned counts[CARRY_UNTOUCHED + 1] = {0};
	const struct job_recipient *worst = NULL;
	char ip[IP_TEXT];

	for (size_t i = 0; i < j->recipient_count; i++) {
		const struct job_recipient *r = &j->recipients[i];

		counts[r->outcome]++;
		if (!worst && r->outcome != CARRY_DELIVERED && r->outcome != CARRY_RELAYED)
			worst = r;
	}
	for (unsigned i = 0; i <= CARRY_UNTOUCHED; i++)
		if (counts[i])
			buf_printf(&j->outcome, " %s=%u", outcome_words[i], counts[i]);
	if (j->remote.len > 0)
		buf_printf(&j->outcome, " host=%.*s", BYTES_ARG(j->remote));
	if (j->met) {
		ip_format(&j->remote_ip, ip);
		buf_printf(&j->outcome, " ip=%s tls=\"%.*s\"", ip, BYTES_ARG(j->tls_version));
	}
	if (worst)
		buf_printf(&j->outcome, " class=%s reply=\"%.*s\"", reply_class_name(worst->class),
		           BYTES_ARG(bytes_first(worst->reply, 300)));
	else if (j->recipient_count > 0)
		buf_printf(&j->outcome, " reply=\"%.*s\"",
		           BYTES_ARG(bytes_first(j->recipients[0].reply, 120)));
}

void report_begin(struct carrying_job *j)
{
	if (j->recipient_count == 0) {
		carrying_finish(j, "result=empty");
		return;
	}
	describe(j);
	pack_results(j);
	pack_reports(j);
	report_next(j);
}

void report_again(struct carrying_job *j)
{
	j->deadline = TIME_NEVER;
	ask_carried(j);
}

/* Unknown is not no: the same result again, until the store says that it has it (it gives the first answer to a repeat). */
static void again_later(struct carrying_job *j)
{
	j->again_ms = j->again_ms == 0                  ? AGAIN_FIRST_MS
	              : j->again_ms * 2 < AGAIN_LAST_MS ? j->again_ms * 2
	                                                : AGAIN_LAST_MS;
	j->state = JOB_WAIT;
	j->deadline = j->now + j->again_ms;
}

static void take_carried(struct carrying_job *j, const struct answer *a)
{
	switch (a->result) {
	case OK: carrying_finish(j, NULL); break;
	case NOT_FOUND: carrying_finish(j, "result=not-found"); break; /* somebody else's by now */
	case INVALID:
	case TOO_BIG:
	case DENIED:
		if (j->last_resort) {
			buf_printf(&j->outcome, " result=%s", result_name(a->result));
			carrying_finish(j, NULL);
			break;
		}
		j->last_resort = true;
		pack_results(j);
		ask_carried(j);
		break;
	default: again_later(j); break;
	}
}

void report_answer(struct carrying_job *j, const struct answer *a)
{
	if (a->kind == ASK_INCIDENT && j->state == JOB_INCIDENT) {
		j->incident_next++;
		report_next(j);
	} else if (a->kind == ASK_CARRIED && j->state == JOB_CARRIED) {
		take_carried(j, a);
	}
}
