#include "carrying/job.h"

#include <assert.h>

#include "base/memory.h"
#include "base/text.h"
#include "base/wire.h"

/* ---- asks ---- */

struct ask *carrying_ask(struct carrying_job *j, enum ask_kind kind)
{
	if (j->ask_count == JOB_ASKS)
		return NULL;
	struct ask *a = &j->asks[(j->ask_first + j->ask_count++) % JOB_ASKS];

	*a = (struct ask){.kind = kind, .number = ++j->next_number};
	return a;
}

bool carrying_job_ask(struct carrying_job *j, struct ask *ret)
{
	if (j->ask_count == 0)
		return false;
	*ret = j->asks[j->ask_first];
	j->ask_first = (j->ask_first + 1) % JOB_ASKS;
	j->ask_count--;
	return true;
}

void carrying_job_answer(struct carrying_job *j, const struct answer *a)
{
	switch (a->kind) {
	case ASK_RESOLVE:
	case ASK_STS_POLICY:
	case ASK_FETCH:
		if (j->state == JOB_FACTS)
			plan_answer(j, a);
		break;
	case ASK_SMARTHOST_SECRET:
		if (j->state == JOB_SECRET)
			plan_secret(j, a);
		break;
	case ASK_PATH:
		if (j->state == JOB_PATH)
			plan_path(j, a);
		break;
	case ASK_CONNECT:
		if (j->state == JOB_CONNECT)
			host_connected(j, a);
		break;
	case ASK_INCIDENT:
	case ASK_CARRIED: report_answer(j, a); break;
	default: break; /* STS_POLICY_SET: kept or not */
	}
}

/* ---- the end ---- */

void carrying_finish(struct carrying_job *j, const char *why)
{
	if (why)
		buf_printf(&j->outcome, " %s", why);
	j->state = JOB_FINISHED;
	j->deadline = TIME_NEVER;
	j->ask_count = 0;
}

bool carrying_has_undecided(const struct carrying_job *j)
{
	for (size_t i = 0; i < j->recipient_count; i++)
		if (!j->recipients[i].decided)
			return true;
	return false;
}

/* Whoever has no answer has the failure's. */
void carrying_conclude(struct carrying_job *j)
{
	const struct job_failure *f = &j->failure;
	bool any = false;

	for (size_t i = 0; i < j->recipient_count; i++) {
		struct job_recipient *r = &j->recipients[i];

		if (r->decided)
			continue;
		any = true;
		r->decided = true;
		r->outcome = f->outcome;
		r->class = f->class;
		r->status = f->status ? bytes_of_text(f->status) : f->status_text;
		r->reply = f->reply;
	}
	if (any) {
		j->scope = f->scope;
		j->retry_after = f->retry_after > j->retry_after ? f->retry_after : j->retry_after;
		if (j->remote.len == 0)
			j->remote = f->host;
	}
	report_begin(j);
}

/* ---- life ---- */

static struct answer_carry copy_carry(struct arena *arena, const struct answer_carry *carry)
{
	struct answer a = {.kind = ASK_CARRY, .carry = *carry};

	return answer_copy(arena, &a).carry;
}

static void read_entries(struct carrying_job *j)
{
	struct wire w = wire_of(j->carry.entries);
	size_t room = j->carry.entries.len / 21 + 1; /* an entry takes 21 octets at least */

	j->recipients = arena_get(&j->arena, room * sizeof(*j->recipients));
	while (!wire_end(&w) && j->recipient_count < SMTP_CLIENT_RECIPIENTS) {
		struct job_recipient r = {0};

		r.to.entry = wire_u64(&w);
		r.to.address = wire_block(&w);
		r.to.notify = wire_u8(&w);
		r.to.orcpt = wire_block(&w);
		r.tries = wire_u32(&w);
		if (!w.bad)
			j->recipients[j->recipient_count++] = r;
	}
}

static bool has_8bit(const struct mime_part *p)
{
	for (; p; p = p->next)
		if (p->encoding == MIME_8BIT || p->encoding == MIME_BINARY || has_8bit(p->child))
			return true;
	return false;
}

static bool is_8bit_envelope(const struct mime_envelope *e)
{
	const struct address *lists[] = {e->from, e->sender, e->reply_to, e->to, e->cc};

	if (!text_is_ascii(e->subject))
		return true;
	for (size_t i = 0; i < sizeof(lists) / sizeof(*lists); i++)
		for (const struct address *a = lists[i]; a; a = a->next)
			if (!text_is_ascii(a->name) || !text_is_ascii(a->local) ||
			    !text_is_ascii(a->domain))
				return true;
	return false;
}

static void read_summary(struct carrying_job *j)
{
	struct summary s;

	j->mail = (struct smtp_client_mail){
	        .lease = j->carry.lease,
	        .sender = j->carry.sender,
	        .size = j->carry.size,
	        .envid = j->carry.envid,
	        .ret = j->carry.ret,
	        .body = j->carry.body,
	        .requiretls = j->requiretls,
	        .priority = (int8_t)j->carry.priority,
	        .deliver_by = j->carry.deliver_by,
	        .by_mode = j->carry.by_mode,
	        .eight_bit = j->carry.body & 1,
	};
	if (summary_decode(j->carry.summary, &j->arena, &s) != OK)
		return;
	j->mail.eight_bit |= has_8bit(s.root);
	j->mail.utf8_header = s.root->envelope && is_8bit_envelope(s.root->envelope);
}

struct carrying_job *carrying_job_new(const struct config *config, const struct answer_carry *carry,
                                      const struct carrying_weather *weather, time_ms now)
{
	struct carrying_job *j = NEW(struct carrying_job);

	j->config = config;
	j->weather = *weather;
	j->now = now;
	j->deadline = TIME_NEVER;
	j->carry = copy_carry(&j->arena, carry);
	j->facts = facts_new();
	j->silent = true;
	j->requiretls = j->carry.options & 1;
	j->tls_not_required = (j->carry.options & 2) && !j->requiretls; /* RFC 8689, 5 */
	j->failure = (struct job_failure){.status = "4.4.1",
	                                  .outcome = CARRY_DEFERRED,
	                                  .class = REPLY_NETWORK,
	                                  .scope = CARRIED_DESTINATION};
	read_entries(j);
	read_summary(j);
	buf_printf(&j->outcome, "id=%.*s destination=%.*s", BYTES_ARG(j->carry.id),
	           BYTES_ARG(j->carry.destination));
	if (j->recipient_count == 0)
		carrying_conclude(j);
	else
		plan_begin(j);
	return j;
}

void carrying_job_free(struct carrying_job **p)
{
	struct carrying_job *j = *p;

	if (!j)
		return;
	facts_free(&j->facts);
	if (j->password.len > 0)
		memory_wipe((void *)(uintptr_t)j->password.ptr, j->password.len);
	buf_done(&j->key);
	buf_done(&j->results);
	buf_done(&j->reports_packed);
	buf_done(&j->outcome);
	arena_done(&j->arena);
	memory_free(j);
	*p = NULL;
}

void carrying_job_weather(struct carrying_job *j, const struct carrying_weather *weather)
{
	j->weather.throttled = weather->throttled;
}

time_ms carrying_job_deadline(const struct carrying_job *j)
{
	return j->deadline;
}

void carrying_job_tick(struct carrying_job *j, time_ms now)
{
	j->now = now;
	if (j->state == JOB_WAIT && now >= j->deadline)
		report_again(j);
	else if (j->state == JOB_FACTS && now >= j->deadline)
		plan_again(j);
}

bool carrying_job_finished(const struct carrying_job *j)
{
	return j->state == JOB_FINISHED && j->ask_count == 0;
}

struct bytes carrying_job_outcome(const struct carrying_job *j)
{
	return buf_bytes(&j->outcome);
}
