#include "sorting/job.h"

#include <assert.h>

#include "base/memory.h"
#include "mail/header.h"
#include "mail/trace.h"

enum { RETRY_SECONDS = 60, SORTED_AGAIN_MS = 5000, HEADER_MAX = LIMIT_READ };

/* ---- asks ---- */

struct ask *job_ask(struct sorting_job *j, enum ask_kind kind)
{
	assert(j->ask_count < JOB_ASKS);
	struct ask *a = &j->asks[(j->ask_first + j->ask_count++) % JOB_ASKS];

	*a = (struct ask){.kind = kind, .number = ++j->next_number};
	return a;
}

void job_read(struct sorting_job *j, uint64_t offset, size_t len)
{
	struct ask *a = job_ask(j, ASK_QUEUE_READ);

	a->queue_read = (struct ask_queue_read){.entry = j->take.entry,
	                                        .lease = j->take.lease,
	                                        .offset = offset,
	                                        .len = (uint32_t)len};
}

static void ask_route(struct sorting_job *j, struct bytes address)
{
	struct ask *a = job_ask(j, ASK_ROUTE);

	a->route.rcpt = address;
	a->route.size = j->take.size;
}

void job_sorted(struct sorting_job *j)
{
	struct ask *a = job_ask(j, ASK_SORTED);

	a->sorted = (struct ask_sorted){.entry = j->take.entry,
	                                .lease = j->take.lease,
	                                .actions = buf_bytes(&j->actions),
	                                .report = buf_bytes(&j->report)};
	if (j->builder) {
		a->sorted.spool = JOB_SPOOL;
		a->sorted.bounce_trace = buf_bytes(&j->trace);
		a->sorted.bounce_summary = buf_bytes(&j->encoded);
		a->sorted.bounce_rcpt = j->take.sender;
	}
	j->state = JOB_SORTED;
}

static void drop_bounce(struct sorting_job *j)
{
	if (!j->builder)
		return;
	summary_builder_free(&j->builder);
	job_ask(j, ASK_SPOOL_DROP)->spool_drop.spool = JOB_SPOOL;
}

static void finish(struct sorting_job *j)
{
	j->state = JOB_FINISHED;
	j->deadline = TIME_NEVER;
}

/* ---- actions ---- */

static void add_reason(struct sorting_job *j, enum sort_action action, struct bytes reason)
{
	buf_clear(&j->actions);
	buf_u8(&j->actions, (uint8_t)action);
	buf_block(&j->actions, reason);
	buf_printf(&j->outcome, " reason=\"%.*s\"", BYTES_ARG(reason));
}

void job_defer(struct sorting_job *j, uint32_t seconds, struct bytes reason)
{
	drop_bounce(j);
	buf_clear(&j->actions);
	buf_u8(&j->actions, SORT_DEFER);
	buf_u32(&j->actions, seconds);
	buf_block(&j->actions, reason);
	buf_printf(&j->outcome, " deferred=%u reason=\"%.*s\"", seconds, BYTES_ARG(reason));
	job_sorted(j);
}

static void hold(struct sorting_job *j, struct bytes reason)
{
	buf_append_text(&j->outcome, " held");
	add_reason(j, SORT_HOLD, reason);
	job_sorted(j);
}

static struct bytes origin(const struct sorting_job *j)
{
	return j->take.origin.len > 0 ? j->take.origin : j->take.rcpt;
}

static void add_redirect(struct sorting_job *j, struct bytes address)
{
	buf_u8(&j->actions, SORT_REDIRECT);
	buf_block(&j->actions, address);
	buf_block(&j->actions, origin(j));
	buf_printf(&j->outcome, " to=<%.*s>", BYTES_ARG(address));
}

static void add_deliver(struct sorting_job *j, struct bytes account, struct bytes mailbox)
{
	buf_u8(&j->actions, SORT_DELIVER);
	buf_block(&j->actions, account);
	buf_block(&j->actions, mailbox);
	buf_u64(&j->actions, 0);
	buf_printf(&j->outcome, " deliver=<%.*s>", BYTES_ARG(account));
}

/* ---- sending back ---- */

static void read_header(struct sorting_job *j)
{
	uint64_t len = j->summary.root ? j->summary.root->body_start : HEADER_MAX;

	j->state = JOB_HEADER;
	job_read(j, 0, len > 0 && len < HEADER_MAX ? (size_t)len : HEADER_MAX);
}

/* NOTIFY (RFC 3461, 4.1): nothing given means failures are told, and delays as we see fit. */
static bool is_wanted(const struct sorting_job *j, enum dsn_action action)
{
	enum { SUCCESS = 2, FAILURE = 4, DELAY = 8 };
	unsigned bit = action == DSN_FAILED ? FAILURE : action == DSN_DELAYED ? DELAY : SUCCESS;

	if (j->take.notify == 0)
		return bit != SUCCESS;
	return j->take.notify & bit;
}

/* A bounce that cannot be delivered is the postmaster's; nobody ever gets a bounce of a bounce. */
static void double_bounce(struct sorting_job *j)
{
	struct bytes local = BYTES("postmaster@");
	struct bytes domain = j->config->domains.count ? j->config->domains.items[0]
	                                               : (struct bytes){0};
	struct bytes postmaster = arena_printf(&j->arena, "%.*s%.*s", BYTES_ARG(local),
	                                       BYTES_ARG(domain));

	if (domain.len == 0 || bytes_equal(postmaster, j->rcpt) ||
	    bytes_equal(postmaster, origin(j))) {
		hold(j, j->notice.text);
		return;
	}
	add_redirect(j, postmaster);
	job_sorted(j);
}

static void tell(struct sorting_job *j)
{
	if (buf_len(&j->header) > 0)
		bounce_begin(j);
	else
		read_header(j);
}

/* The mail goes back: a notice of failure, and nothing more is done. */
static void fail(struct sorting_job *j, const struct job_notice *notice)
{
	j->notice = *notice;
	buf_clear(&j->actions);
	buf_printf(&j->outcome, " refused=%.*s", BYTES_ARG(notice->status));
	if (j->take.sender.len == 0) {
		double_bounce(j);
		return;
	}
	add_reason(j, SORT_DONE, notice->text);
	if (is_wanted(j, DSN_FAILED))
		tell(j);
	else
		job_sorted(j);
}

static void send_back(struct sorting_job *j, const char *status, struct bytes text)
{
	fail(j, &(struct job_notice){.status = bytes_of_text(status), .text = text});
}

/* ---- deciding ---- */

static bool has_remote(const struct config_expansion *x)
{
	for (size_t i = 0; i < x->leaf_count; i++) {
		if (x->leaves[i].kind == CONFIG_LEAF_REMOTE)
			return true;
	}
	return false;
}

static const struct config_leaf *find_leaf(const struct config_expansion *x,
                                           enum config_leaf_kind kind)
{
	for (size_t i = 0; i < x->leaf_count; i++) {
		if (x->leaves[i].kind == kind)
			return &x->leaves[i];
	}
	return NULL;
}

static void add_leaf(struct sorting_job *j, const struct config_leaf *leaf)
{
	switch (leaf->kind) {
	case CONFIG_LEAF_PLACE: add_deliver(j, leaf->address, leaf->mailbox); break;
	case CONFIG_LEAF_REMOTE: add_redirect(j, leaf->address); break;
	case CONFIG_LEAF_UNKNOWN:
		/* Somebody else's name gets an entry and a bounce of its own; our own was asked
		 * for here already. */
		if (!bytes_equal(leaf->address, j->rcpt))
			add_redirect(j, leaf->address);
		else
			buf_append_text(&j->outcome, " unknown");
		break;
	default: break;
	}
}

/* Who wrote to an alias does not know the name that failed: say which one led here. */
static struct bytes nobody(struct sorting_job *j)
{
	struct bytes text = BYTES("there is nobody of this name here");

	if (j->take.origin.len == 0)
		return text;
	return arena_printf(&j->arena, "%.*s (%.*s leads to it)", BYTES_ARG(text),
	                    BYTES_ARG(j->take.origin));
}

static void act(struct sorting_job *j)
{
	const struct config_expansion *x = &j->expansion;

	for (size_t i = 0; i < x->leaf_count; i++)
		add_leaf(j, &x->leaves[i]);
	if (buf_len(&j->actions) == 0)
		send_back(j, "5.1.1", nobody(j));
	else
		job_sorted(j);
}

static bool is_looping(const struct sorting_job *j)
{
	return j->summary.received > j->config->smtp_hops_max ||
	       trace_delivered_to(buf_bytes(&j->header), j->take.rcpt) ||
	       (j->take.origin.len > 0 &&
	        trace_delivered_to(buf_bytes(&j->header), j->take.origin));
}

static void decide(struct sorting_job *j)
{
	const struct config_expansion *x = &j->expansion;
	const struct config_leaf *held = find_leaf(x, CONFIG_LEAF_HOLD);
	const struct config_leaf *first = find_leaf(x, CONFIG_LEAF_FIRST);

	if (held) {
		hold(j, arena_printf(&j->arena, "%.*s: a |program line, and programs are not run",
		                     BYTES_ARG(held->from)));
	} else if (first) {
		j->state = JOB_FIRST;
		ask_route(j, first->address);
	} else if (has_remote(x)) {
		read_header(j);
	} else {
		act(j);
	}
}

/* ---- facts ---- */

static void ask_missing(struct sorting_job *j)
{
	const struct config_expansion *x = &j->expansion;

	while (j->missing_asked < x->missing_count &&
	       j->missing_asked - j->missing_answered < JOB_ASKS)
		ask_route(j, x->missing[j->missing_asked++]);
}

static void expand(struct sorting_job *j)
{
	struct why why = {0};

	j->state = JOB_FACTS;
	j->expansion = (struct config_expansion){0};
	j->missing_asked = j->missing_answered = 0;
	switch (config_expand(j->config, j->rcpt, j->facts, j->fact_count, &j->arena, &j->expansion,
	                      &why)) {
	case OK: decide(j); break;
	case UNAVAILABLE: ask_missing(j); break;
	default: hold(j, arena_copy(&j->arena, bytes_of_text(why.text))); break;
	}
}

static void add_fact(struct sorting_job *j, struct bytes address, bool exists)
{
	if (j->fact_count == j->fact_room) {
		size_t room = j->fact_room ? j->fact_room * 2 : 16;
		struct config_fact *more = arena_get(&j->arena, room * sizeof(*more));
		if (j->fact_count > 0)
			memcpy(more, j->facts, j->fact_count * sizeof(*more));
		j->facts = more;
		j->fact_room = room;
	}
	j->facts[j->fact_count++] = (struct config_fact){address, exists};
}

/* Answers come in any order: the number says which of the missing it is. They were numbered one
 * after the other. */
static void take_fact(struct sorting_job *j, const struct answer *a)
{
	size_t nth = j->missing_asked - (j->next_number - a->number) - 1;

	if (nth >= j->expansion.missing_count)
		return;
	add_fact(j, j->expansion.missing[nth], a->route.account & 1);
	j->missing_answered++;
	if (j->missing_answered == j->expansion.missing_count)
		expand(j);
	else
		ask_missing(j);
}

/* ---- answers ---- */

/* The entry is its own origin: placing is all that is left of it. */
static void take_room(struct sorting_job *j, const struct answer *a)
{
	if (a->route.account & 2) {
		send_back(j, "5.2.2", BYTES("the mailbox has been full for too long"));
		return;
	}
	buf_u8(&j->actions, SORT_PLACE);
	buf_block(&j->actions, BYTES("INBOX"));
	buf_u64(&j->actions, 0);
	buf_append_text(&j->outcome, " placed");
	job_sorted(j);
}

static void take_first(struct sorting_job *j, const struct answer *a)
{
	bool somebody = a->route.class != ROUTE_UNKNOWN && a->route.class != ROUTE_REMOTE;

	if (!somebody || bytes_equal(a->route.address, j->rcpt)) {
		hold(j, BYTES("mail for postmaster, and there is no account"));
		return;
	}
	add_deliver(j, a->route.address, BYTES("INBOX"));
	job_sorted(j);
}

static void take_header(struct sorting_job *j, const struct answer *a)
{
	if (a->result == OK)
		buf_append(&j->header,
		           bytes_first(a->queue_read.chunk, header_len(a->queue_read.chunk)));
	if (j->notice.status.len > 0)
		bounce_begin(j);
	else if (is_looping(j))
		send_back(j, "5.4.6",
		          BYTES("the mail has been here before: it is forwarded in a circle"));
	else
		act(j);
}

static void take_sorted(struct sorting_job *j, const struct answer *a)
{
	switch (a->result) {
	case OK:
	case LOST:
	case NOT_FOUND: /* somebody else has the entry now */
		if (a->result != OK)
			drop_bounce(j);
		buf_printf(&j->outcome, " result=%s", result_name(a->result));
		finish(j);
		break;
	case INVALID:
	case TOO_BIG:
		buf_printf(&j->outcome, " result=%s", result_name(a->result));
		if (j->last_resort) {
			finish(j);
			break;
		}
		j->last_resort = true;
		drop_bounce(j);
		hold(j, BYTES("the store would not take what the sorter made of it"));
		break;
	default:
		j->state = JOB_WAIT;
		j->deadline = j->now + SORTED_AGAIN_MS;
		break;
	}
}

static void take_answer(struct sorting_job *j, const struct answer *a)
{
	switch (j->state) {
	case JOB_REPORT:
		if (dmarc_answer(j, a))
			expand(j);
		break;
	case JOB_FACTS: take_fact(j, a); break;
	case JOB_ROOM: take_room(j, a); break;
	case JOB_FIRST: take_first(j, a); break;
	case JOB_HEADER: take_header(j, a); break;
	case JOB_BOUNCE: bounce_answer(j, a); break;
	default: break;
	}
}

/* Answers that are as good as any: no such address is an answer, and of a damaged mail the rest
 * is used. */
static bool is_usable(const struct answer *a)
{
	return a->result == OK ||
	       (a->kind == ASK_ROUTE && (a->result == INVALID || a->result == NOT_FOUND)) ||
	       (a->kind == ASK_QUEUE_READ && a->result == DAMAGED);
}

void sorting_job_answer(struct sorting_job *j, const struct answer *a)
{
	if (j->state == JOB_FINISHED || a->kind == ASK_SPOOL_DROP)
		return;
	if (a->kind == ASK_SORTED) {
		if (j->state == JOB_SORTED)
			take_sorted(j, a);
		return;
	}
	if (j->state >= JOB_SORTED)
		return; /* late, of what was given up */
	if (a->kind == ASK_DKIM_KEYS || a->kind == ASK_DKIM_SIGN) {
		take_answer(j, a); /* keeper's: without it there is no signature, that is all */
	} else if (a->result == LOST || (a->result == NOT_FOUND && a->kind == ASK_QUEUE_READ)) {
		drop_bounce(j);
		buf_printf(&j->outcome, " result=%s", result_name(a->result));
		finish(j);
	} else if (!is_usable(a)) {
		job_defer(j, RETRY_SECONDS, BYTES("the store could not answer"));
	} else {
		take_answer(j, a);
	}
}

bool sorting_job_ask(struct sorting_job *j, struct ask *ret)
{
	if (j->ask_count == 0)
		return false;
	*ret = j->asks[j->ask_first];
	j->ask_first = (j->ask_first + 1) % JOB_ASKS;
	j->ask_count--;
	return true;
}

/* ---- life ---- */

static bool is_place_only(const struct sorting_job *j)
{
	return j->take.origin.len > 0 && bytes_equal(j->take.origin, j->take.rcpt);
}

static struct bytes or_else(struct bytes given, const char *else_text)
{
	return given.len > 0 ? given : bytes_of_text(else_text);
}

static struct job_notice notice_of(const struct sorting_job *j, enum dsn_action action,
                                   const char *status, const char *text)
{
	return (struct job_notice){.action = action,
	                           .status = or_else(j->take.status, status),
	                           .text = or_else(j->take.reply, text),
	                           .remote = j->take.remote};
}

/* Tells the sender, if it wants to know, and ends with the action that stands in j->actions. */
static void inform(struct sorting_job *j, const struct job_notice *notice)
{
	if (j->take.sender.len == 0 || !is_wanted(j, notice->action)) {
		job_sorted(j);
		return;
	}
	j->notice = *notice;
	buf_append_text(&j->outcome, " notice=yes");
	tell(j);
}

static void start_failed(struct sorting_job *j)
{
	struct job_notice notice = notice_of(j, DSN_FAILED, "5.0.0",
	                                     "it could not be delivered, and no reason was given");

	fail(j, &notice);
}

static void start_delayed(struct sorting_job *j)
{
	struct job_notice notice = notice_of(j, DSN_DELAYED, "4.0.0",
	                                     "it could not be delivered so far");

	buf_u8(&j->actions, SORT_CARRY_ON);
	buf_append_text(&j->outcome, " delayed");
	inform(j, &notice);
}

static void start_done(struct sorting_job *j, enum dsn_action action, const char *status)
{
	struct job_notice notice = notice_of(j, action, status, "");

	add_reason(j, SORT_DONE, BYTES("delivered"));
	inform(j, &notice);
}

static void start_route(struct sorting_job *j)
{
	bool expired = j->now - j->take.queued > j->config->queue_lifetime_ms;

	if (config_address_canonical(j->take.rcpt, &j->arena, &j->rcpt) != OK) {
		send_back(j, "5.1.3", BYTES("this is no address"));
	} else if (is_place_only(j) && expired) {
		j->state = JOB_ROOM;
		ask_route(j, j->rcpt);
	} else if (is_place_only(j)) {
		take_room(j, &(struct answer){.kind = ASK_ROUTE});
	} else if (!dmarc_begin(j)) {
		expand(j);
	}
}

static void start(struct sorting_job *j)
{
	j->rcpt = j->take.rcpt;
	switch (j->take.task) {
	case SORT_TASK_ROUTE: start_route(j); break;
	case SORT_TASK_FAILED: start_failed(j); break;
	case SORT_TASK_DELAYED: start_delayed(j); break;
	case SORT_TASK_RELAYED: start_done(j, DSN_RELAYED, "2.1.9"); break;
	case SORT_TASK_EXPANDED: start_done(j, DSN_DELIVERED, "2.1.5"); break;
	default: hold(j, BYTES("the store gave a task that the sorter does not know")); break;
	}
}

static struct answer_take copy_take(struct arena *arena, const struct answer_take *take)
{
	struct answer a = {.kind = ASK_TAKE, .take = *take};

	return answer_copy(arena, &a).take;
}

struct sorting_job *sorting_job_new(const struct config *config, const struct answer_take *take,
                                    time_ms now)
{
	struct sorting_job *j = NEW(struct sorting_job);

	j->config = config;
	j->now = now;
	j->deadline = TIME_NEVER;
	j->take = copy_take(&j->arena, take);
	if (summary_decode(j->take.summary, &j->arena, &j->summary) != OK)
		j->summary = (struct summary){0};
	buf_printf(&j->outcome, "id=%.*s rcpt=<%.*s>", BYTES_ARG(j->take.id),
	           BYTES_ARG(j->take.rcpt));
	start(j);
	return j;
}

void sorting_job_free(struct sorting_job **p)
{
	struct sorting_job *j = *p;

	if (!j)
		return;
	summary_builder_free(&j->builder);
	buf_done(&j->actions);
	buf_done(&j->outcome);
	buf_done(&j->header);
	buf_done(&j->trace);
	buf_done(&j->encoded);
	buf_done(&j->out);
	buf_done(&j->content);
	buf_done(&j->whole);
	buf_done(&j->report);
	dkim_signer_free(&j->signer);
	arena_done(&j->arena);
	memory_free(j);
	*p = NULL;
}

time_ms sorting_job_deadline(const struct sorting_job *j)
{
	return j->deadline;
}

void sorting_job_tick(struct sorting_job *j, time_ms now)
{
	j->now = now;
	if (j->state != JOB_WAIT || now < j->deadline)
		return;
	j->deadline = TIME_NEVER;
	job_sorted(j);
}

bool sorting_job_finished(const struct sorting_job *j)
{
	return j->state == JOB_FINISHED && j->ask_count == 0;
}

struct bytes sorting_job_outcome(const struct sorting_job *j)
{
	return buf_bytes(&j->outcome);
}
