#include "flow.h"

#include <jansson.h>
#include <stdio.h>

#include "base/memory.h"
#include "base/text.h"
#include "base/wire.h"
#include "mail/summary.h"
#include "policy/reply.h"
#include "watch/incident.h"

enum {
	FLOW_MAILS = 40,
	FLOW_RECIPIENTS = 3,
	DOMAINS = 14,
	HOSTS = 4, /* providers: a domain's is its number's */
	COURIERS = 3,
	FLOW_LEASES = 64,
	FLOW_BATCH = 8,
	OPERATOR = 1,
	FLOW_ACCESS = FRONT_ACCESS,
	SECOND_MS = 1000,
	MINUTE_MS = 60 * SECOND_MS,
	FLOW_HOUR_MS = 60 * MINUTE_MS,
	SLACK_MS = 5 * SECOND_MS, /* a provider that wants less lets its domains wait for two */
	FLOW_DAYS = 30,
	FLOW_STEPS = 4000,
	FLOW_HELD_DAYS = 8, /* longer than queue.lifetime */
};

/* What a domain's host does now. */
enum mood { MOOD_GOOD, MOOD_LATER, MOOD_DEAD, MOOD_BUSY, MOOD_REFUSES, MOOD_UNTOUCHED, MOODS };

struct person {
	bool there, leased;
	unsigned has, over; /* over: given up, or removed */
	time_ms not_before;
};

struct handed {
	uint64_t lease;
	unsigned domain, count;
	bool path;
	uint64_t entries[FLOW_BATCH];
	struct person *to[FLOW_BATCH];
};

struct flow {
	struct world *w;
	struct person people[FLOW_MAILS][FLOW_RECIPIENTS];
	unsigned mails;
	enum mood moods[DOMAINS];
	bool blocked[HOSTS];
	struct handed handed[FLOW_LEASES];
	unsigned handed_count;
	uint32_t carries[COURIERS]; /* numbers of CARRYs that wait */
	uint32_t take;
	bool taken;
	uint64_t take_entry, take_lease;
	unsigned take_task;
	struct person *take_of;
	time_ms network_until; /* our own network may be said to be slow until then */
};

/* ---- what comes ---- */

static struct person *person_of(struct flow *f, struct bytes rcpt, unsigned *domain)
{
	char text[80];
	unsigned mail, who;

	snprintf(text, sizeof(text), "%.*s", (int)rcpt.len, rcpt.ptr);
	if (sscanf(text, "m%ur%u@%*1[dD]%u.test", &mail, &who, domain) != 3 || mail >= FLOW_MAILS ||
	    who >= FLOW_RECIPIENTS || *domain >= DOMAINS) {
		world_broken(f->w, "mail for %s, to whom nobody wrote", text);
		return NULL;
	}
	return &f->people[mail][who];
}

static void handed_add(struct flow *f, struct handed *h, struct wire *r)
{
	uint64_t entry = wire_u64(r);
	struct person *p = person_of(f, wire_block(r), &h->domain);

	wire_u8(r);
	wire_block(r);
	wire_u32(r);
	if (r->bad || !p)
		return;
	if (p->leased)
		world_broken(f->w, "entry %llu is given to two", (unsigned long long)entry);
	if (p->not_before > f->w->now)
		world_broken(f->w, "entry %llu is carried before its time",
		             (unsigned long long)entry);
	p->leased = true;
	h->entries[h->count] = entry;
	h->to[h->count++] = p;
}

static void carry_came(struct flow *f, const struct answer *a)
{
	struct handed *h = &f->handed[f->handed_count];
	struct wire r = wire_of(a->carry.entries);

	if (a->result != OK)
		return;
	if (f->handed_count == FLOW_LEASES) {
		world_broken(f->w, "%u batches are open", FLOW_LEASES);
		return;
	}
	*h = (struct handed){.lease = a->carry.lease};
	while (!wire_end(&r) && h->count < FLOW_BATCH && world_good(f->w))
		handed_add(f, h, &r);
	f->handed_count++;
}

static void take_came(struct flow *f, const struct answer *a)
{
	unsigned domain;

	f->take = 0;
	if (a->result != OK)
		return;
	f->taken = true;
	f->take_entry = a->take.entry;
	f->take_lease = a->take.lease;
	f->take_task = a->take.task;
	f->take_of = person_of(f, a->take.rcpt, &domain);
	if (f->take_of && f->take_of->leased)
		world_broken(f->w, "a sorter gets what a courier has");
	if (f->take_of)
		f->take_of->leased = true;
}

/* Answers that nobody waits for just now: those of CARRY and TAKE. */
static void came(void *context, const struct answer *a)
{
	struct flow *f = context;

	for (unsigned i = 0; i < COURIERS; i++) {
		if (f->carries[i] == a->number && a->kind == ASK_CARRY) {
			f->carries[i] = 0;
			carry_came(f, a);
		}
	}
	if (a->kind == ASK_TAKE && f->take == a->number)
		take_came(f, a);
}

static void ask_all(struct flow *f)
{
	world_run(f->w);
	for (unsigned i = 0; i < COURIERS; i++) {
		struct ask a = {.kind = ASK_CARRY};

		if (!f->carries[i])
			f->carries[i] = world_ask(f->w, COURIER, i + 1, &a);
	}
	if (!f->take && !f->taken) {
		struct ask a = {.kind = ASK_TAKE};

		f->take = world_ask(f->w, SORTER, 1, &a);
	}
	world_run(f->w);
}

/* ---- submission ---- */

static const struct bytes flow_trace = {"Return-Path: <a0@example.test>\r\n", 32};
static const struct bytes flow_text = {"From: a0@example.test\r\nSubject: flow\r\n\r\nHello\r\n",
                                       48};

static void flow_summary(struct buf *out)
{
	struct summary_builder *b = summary_builder_new();

	summary_builder_feed(b, flow_trace);
	summary_builder_feed(b, flow_text);
	summary_builder_finish(b, out);
	summary_builder_free(&b);
}

static void recipients_put(struct flow *f, struct buf *out, time_ms hold)
{
	unsigned count = 1 + (unsigned)world_draw(f->w, FLOW_RECIPIENTS);
	unsigned domain = (unsigned)world_draw(f->w, DOMAINS);

	for (unsigned i = 0; i < count; i++) {
		char text[64];

		if (world_chance(f->w, 40))
			domain = (unsigned)world_draw(f->w, DOMAINS);
		snprintf(text, sizeof(text), "m%ur%u@%c%u.test", f->mails, i,
		         world_chance(f->w, 20) ? 'D' : 'd', domain);
		buf_block(out, bytes_of_text(text));
		buf_u8(out, 0);
		buf_block(out, (struct bytes){0});
		f->people[f->mails][i] = (struct person){.there = true, .not_before = hold};
	}
}

static void flow_submit(struct flow *f)
{
	struct buf summary = {0}, recipients = {0};
	struct ask a = {.kind = ASK_SPOOL};
	struct answer got;
	char key[16] = {0};
	time_ms hold = world_chance(f->w, 15)
	                       ? f->w->now + (time_ms)world_draw(f->w, 8 * FLOW_HOUR_MS)
	                       : 0;

	if (f->mails == FLOW_MAILS)
		return;
	a.spool.spool = ++f->w->spools;
	a.spool.chunk = flow_text;
	if (!world_call(f->w, ACCESS, FLOW_ACCESS, &a, &got) || got.result != OK)
		return;
	flow_summary(&summary);
	recipients_put(f, &recipients, hold);
	snprintf(key, sizeof(key), "key%u", f->mails++);
	a = (struct ask){.kind = ASK_COMMIT};
	a.commit.spool = f->w->spools;
	a.commit.key = bytes_of(key, sizeof(key));
	a.commit.sender = BYTES("a0@example.test");
	a.commit.trace = flow_trace;
	a.commit.summary = buf_bytes(&summary);
	a.commit.recipients = buf_bytes(&recipients);
	a.commit.priority = (uint8_t)(int8_t)((int)world_draw(f->w, 5) - 2);
	a.commit.hold_until = hold;
	if (!world_call(f->w, ACCESS, FLOW_ACCESS, &a, &got) || got.result != OK)
		world_broken(f->w, "COMMIT: %s: %.*s", result_name(got.result), BYTES_ARG(got.why));
	buf_done(&summary);
	buf_done(&recipients);
}

/* ---- couriers ---- */

static void handed_drop(struct flow *f, unsigned at)
{
	for (unsigned i = 0; i < f->handed[at].count; i++)
		f->handed[at].to[i]->leased = false;
	f->handed[at] = f->handed[--f->handed_count];
}

static const char *host_name(unsigned domain, char *room, size_t size)
{
	snprintf(room, size, "host%u", domain % HOSTS);
	return room;
}

static bool flow_path(struct flow *f, unsigned at)
{
	struct handed *h = &f->handed[at];
	struct ask a = {.kind = ASK_PATH};
	struct answer got;
	char host[32];

	a.path.lease = h->lease;
	a.path.provider = bytes_of_text(host_name(h->domain, host, sizeof(host)));
	a.path.hosts = a.path.provider;
	world_call(f->w, COURIER, h->domain + 100, &a, &got);
	if (got.result == OK) {
		f->handed[at].path = true;
		return true;
	}
	handed_drop(f, at);
	return false;
}

static void flow_raise(struct flow *f, struct bytes host)
{
	struct ask a = {.kind = ASK_INCIDENT};
	struct answer got;

	a.incident.verb = INCIDENT_RAISE;
	a.incident.kind = INCIDENT_BLOCKED;
	a.incident.key = host;
	a.incident.count = 1;
	world_call(f->w, COURIER, 0, &a, &got);
}

static unsigned outcome_of(struct flow *f, enum mood mood, bool blocked)
{
	if (blocked)
		return CARRY_HELD;
	switch (mood) {
	case MOOD_GOOD: return CARRY_DELIVERED;
	case MOOD_BUSY: return world_chance(f->w, 50) ? CARRY_DELIVERED : CARRY_DEFERRED;
	case MOOD_REFUSES: return CARRY_FAILED;
	case MOOD_UNTOUCHED: return CARRY_UNTOUCHED;
	default: return CARRY_DEFERRED;
	}
}

static void flow_result(struct buf *out, uint64_t entry, unsigned outcome)
{
	buf_u64(out, entry);
	buf_u8(out, (uint8_t)outcome);
	buf_u8(out, 0);
	buf_block(out, BYTES("4.0.0"));
	buf_block(out, BYTES("450 4.0.0 as it is"));
}

static void flow_scope(struct flow *f, struct ask_carried *c, enum mood mood, bool blocked)
{
	c->scope = blocked             ? CARRIED_MAIL
	           : mood == MOOD_DEAD ? CARRIED_DESTINATION
	           : mood == MOOD_BUSY ? CARRIED_BUSY
	                               : CARRIED_MAIL;
	if (mood == MOOD_DEAD || mood == MOOD_UNTOUCHED)
		c->remote = (struct bytes){0};
	if (!blocked && mood == MOOD_UNTOUCHED && world_chance(f->w, 30)) {
		c->scope = CARRIED_NETWORK;
		f->network_until = f->w->now + 11 * MINUTE_MS;
	}
}

static void flow_carried(struct flow *f, unsigned at)
{
	struct handed *h = &f->handed[at];
	enum mood mood = f->moods[h->domain];
	bool blocked = f->blocked[h->domain % HOSTS];
	struct buf results = {0};
	struct ask a = {.kind = ASK_CARRIED};
	struct answer got;
	char host[32];

	a.carried.provider = bytes_of_text(host_name(h->domain, host, sizeof(host)));
	a.carried.remote = BYTES("mx.test");
	if (blocked && world_chance(f->w, 70))
		flow_raise(f, a.carried.provider);
	for (unsigned i = 0; i < h->count; i++) {
		unsigned outcome = outcome_of(f, mood, blocked);

		h->to[i]->has += outcome == CARRY_DELIVERED;
		flow_result(&results, h->entries[i], outcome);
	}
	flow_scope(f, &a.carried, mood, blocked);
	a.carried.lease = h->lease;
	a.carried.results = buf_bytes(&results);
	handed_drop(f, at); /* what it had may be given to others before we see the answer */
	if (!world_call(f->w, COURIER, 0, &a, &got) || got.result != OK)
		world_broken(f->w, "CARRIED: %s: %.*s", result_name(got.result),
		             BYTES_ARG(got.why));
	buf_done(&results);
}

static void flow_courier(struct flow *f)
{
	unsigned at;

	if (!f->handed_count)
		return;
	at = (unsigned)world_draw(f->w, f->handed_count);
	if (f->handed[at].path)
		flow_carried(f, at);
	else
		flow_path(f, at);
}

static void couriers_die(struct flow *f)
{
	struct store_peer courier = {.role = COURIER};

	while (f->handed_count)
		handed_drop(f, f->handed_count - 1);
	memset(f->carries, 0, sizeof(f->carries));
	store_peer_lost(f->w->store, courier);
}

/* ---- the sorter ---- */

static void flow_sorter(struct flow *f)
{
	struct buf actions = {0};
	struct ask a = {.kind = ASK_SORTED};
	struct answer got;

	if (!f->taken)
		return;
	if (f->take_task == SORT_TASK_DELAYED) {
		buf_u8(&actions, SORT_CARRY_ON);
	} else {
		buf_u8(&actions, SORT_DONE);
		buf_block(&actions, BYTES("done"));
		if (f->take_of)
			f->take_of->over++;
	}
	if (f->take_of)
		f->take_of->leased = false;
	f->taken = false;
	a.sorted.entry = f->take_entry;
	a.sorted.lease = f->take_lease;
	a.sorted.actions = buf_bytes(&actions);
	if (!world_call(f->w, SORTER, 0, &a, &got) || got.result != OK)
		world_broken(f->w, "SORTED: %s: %.*s", result_name(got.result), BYTES_ARG(got.why));
	buf_done(&actions);
}

/* ---- the operator ---- */

static bool admin(struct flow *f, unsigned verb, const char *subject, const char *value,
                  struct answer *ret)
{
	struct ask a = {.kind = ASK_ADMIN};

	a.admin.verb = (uint16_t)verb;
	a.admin.subject = bytes_of_text(subject);
	a.admin.value = bytes_of_text(value);
	return world_call(f->w, WEB, OPERATOR, &a, ret) && ret->result == OK;
}

static void admin_pages(struct flow *f, unsigned verb, const char *subject)
{
	struct ask a = {.kind = ASK_ADMIN};
	struct answer got;

	do {
		a.admin.verb = (uint16_t)verb;
		a.admin.subject = bytes_of_text(subject);
		world_call(f->w, WEB, OPERATOR, &a, &got);
		a.admin.number = got.result == OK ? got.admin.next : 0;
	} while (a.admin.number);
}

static void removed_rows(struct flow *f, struct bytes rows)
{
	json_error_t error;
	size_t at = 0;

	while (at < rows.len) {
		json_t *o = json_loadb(rows.ptr + at, rows.len - at, JSON_DISABLE_EOF_CHECK,
		                       &error);
		const char *rcpt = json_string_value(json_object_get(o, "recipient"));
		unsigned domain;
		struct person *p = rcpt ? person_of(f, bytes_of_text(rcpt), &domain) : NULL;

		if (p)
			p->over++;
		json_decref(o);
		if (!o)
			return;
		at += (size_t)error.position;
	}
}

static void released(struct flow *f)
{
	for (unsigned m = 0; m < f->mails; m++)
		for (unsigned i = 0; i < FLOW_RECIPIENTS; i++)
			f->people[m][i].not_before = 0; /* whoever was asked for now goes now */
}

static void close_incidents(struct flow *f)
{
	for (unsigned number = 1; number < 40; number++) {
		struct ask a = {.kind = ASK_ADMIN};
		struct answer got;

		a.admin.verb = ADMIN_INCIDENT_CLOSE;
		a.admin.number = number;
		world_call(f->w, WEB, OPERATOR, &a, &got);
	}
}

static void flow_operator(struct flow *f)
{
	struct answer got;
	char which[32], to[64];
	unsigned domain = (unsigned)world_draw(f->w, DOMAINS);

	snprintf(which, sizeof(which), "@d%u.test", domain);
	switch (world_draw(f->w, 7)) {
	case 0: admin(f, ADMIN_QUEUE_HOLD, which, "", &got); break;
	case 1:
		released(f);
		admin(f, ADMIN_QUEUE_RELEASE, world_chance(f->w, 50) ? "all" : which, "", &got);
		break;
	case 2:
		released(f);
		admin(f, ADMIN_QUEUE_RETRY, world_chance(f->w, 30) ? "all" : which, "", &got);
		break;
	case 3:
		if (world_chance(f->w, 30) && admin(f, ADMIN_QUEUE_REMOVE, which, "", &got))
			removed_rows(f, got.admin.rows);
		break;
	case 4: close_incidents(f); break;
	case 5:
		released(f); /* its time begins anew */
		if (!f->mails)
			break;
		snprintf(which, sizeof(which), "m%ur0@d%u.test",
		         (unsigned)world_draw(f->w, f->mails), domain);
		snprintf(to, sizeof(to), "%.*s@d%u.test", (int)strcspn(which, "@"), which,
		         (unsigned)world_draw(f->w, DOMAINS));
		admin(f, ADMIN_QUEUE_REDIRECT, which, to, &got);
		break;
	default: couriers_die(f); break;
	}
}

/* ---- time, and what must not stand ---- */

static int64_t number_of(json_t *o, const char *name)
{
	return json_integer_value(json_object_get(o, name));
}

static bool stands(struct flow *f, json_t *o)
{
	const char *state = json_string_value(json_object_get(o, "state"));
	int64_t due = number_of(o, "due_ms");

	if (!state || number_of(o, "incident") || due + SLACK_MS > f->w->now)
		return false;
	return strcmp(state, "carry") == 0 || strcmp(state, "ready") == 0;
}

static void look_row(struct flow *f, json_t *o)
{
	if (stands(f, o))
		world_broken(f->w, "%s, %s, %s since %lld ms, is offered to nobody",
		             json_string_value(json_object_get(o, "recipient")),
		             json_string_value(json_object_get(o, "state")), "due",
		             (long long)(f->w->now - number_of(o, "due_ms")));
	if (number_of(o, "expires_ms") && number_of(o, "expires_ms") + MINUTE_MS < f->w->now &&
	    strcmp(json_string_value(json_object_get(o, "state")), "carry") == 0 &&
	    !number_of(o, "incident"))
		world_broken(f->w, "%s is not given up",
		             json_string_value(json_object_get(o, "recipient")));
}

/* Everybody waits, and nobody has anything. */
static void look(struct flow *f, unsigned *ret_count)
{
	struct answer got;
	json_error_t error;
	size_t at = 0;

	*ret_count = 1;
	if (!admin(f, ADMIN_QUEUE_LIST, "", "", &got))
		return;
	for (*ret_count = 0; at < got.admin.rows.len; ++*ret_count) {
		json_t *o = json_loadb(got.admin.rows.ptr + at, got.admin.rows.len - at,
		                       JSON_DISABLE_EOF_CHECK, &error);

		if (!o)
			return;
		if (f->network_until < f->w->now && !f->handed_count && !f->taken)
			look_row(f, o);
		json_decref(o);
		at += (size_t)error.position;
	}
}

/* As the host of a store does: it sleeps until the store's deadline. */
static void flow_sleep(struct flow *f, time_ms until)
{
	while (f->w->now < until && world_good(f->w)) {
		time_ms next = store_deadline(f->w->store);

		next = next < until ? next : until;
		f->w->now = next > f->w->now ? next : f->w->now + 1;
		store_tick(f->w->store, f->w->now);
		ask_all(f);
		if (f->handed_count || f->taken)
			return; /* somebody has work */
	}
}

static void flow_quiet(struct flow *f, time_ms wait)
{
	time_ms until = f->w->now + wait;
	unsigned count;

	for (unsigned n = 0; n < FLOW_STEPS && world_good(f->w); n++) {
		ask_all(f);
		if (f->handed_count || f->taken) {
			flow_courier(f);
			flow_sorter(f);
		} else if (f->w->now < until) {
			flow_sleep(f, until);
		} else {
			break;
		}
	}
	if (!f->handed_count && !f->taken)
		look(f, &count);
}

static void flow_act(struct flow *f)
{
	switch (world_draw(f->w, 10)) {
	case 0:
	case 1: flow_submit(f); break;
	case 2:
	case 3:
	case 4: flow_courier(f); break;
	case 5: flow_sorter(f); break;
	case 6:
		f->moods[world_draw(f->w, DOMAINS)] = (enum mood)world_draw(f->w, MOOD_UNTOUCHED);
		if (world_chance(f->w, 20))
			f->blocked[world_draw(f->w, HOSTS)] ^= true;
		break;
	case 7: flow_operator(f); break;
	case 8: flow_sleep(f, f->w->now + (time_ms)world_draw(f->w, MINUTE_MS)); break;
	default:
		if (world_chance(f->w, 30))
			flow_quiet(f, (time_ms)world_draw(f->w, 3 * FLOW_HOUR_MS));
		break;
	}
	ask_all(f);
}

/* A host refused them, and the sender is to be told. */
static unsigned failed_already(struct flow *f)
{
	struct answer got;
	json_error_t error;
	unsigned count = 0;
	size_t at = 0;

	if (!admin(f, ADMIN_QUEUE_LIST, "", "", &got))
		return 0;
	while (at < got.admin.rows.len) {
		json_t *o = json_loadb(got.admin.rows.ptr + at, got.admin.rows.len - at,
		                       JSON_DISABLE_EOF_CHECK, &error);

		if (!o)
			break;
		count += strcmp(json_string_value(json_object_get(o, "task")), "failed") == 0;
		json_decref(o);
		at += (size_t)error.position;
	}
	return count;
}

/* What somebody held for longer than its lifetime is tried once it is released; not sent back untried. */
static void held_long(struct flow *f)
{
	unsigned over, after = 0;

	couriers_die(f);
	over = failed_already(f);
	admin_pages(f, ADMIN_QUEUE_HOLD, "all");
	flow_quiet(f, FLOW_HELD_DAYS * 24 * (time_ms)FLOW_HOUR_MS);
	for (unsigned m = 0; m < f->mails; m++)
		for (unsigned i = 0; i < FLOW_RECIPIENTS; i++)
			over += f->people[m][i].over;
	released(f);
	admin_pages(f, ADMIN_QUEUE_RELEASE, "state:held");
	flow_quiet(f, FLOW_HOUR_MS);
	for (unsigned m = 0; m < f->mails; m++)
		for (unsigned i = 0; i < FLOW_RECIPIENTS; i++)
			after += f->people[m][i].over;
	if (world_good(f->w) && after > over)
		world_broken(f->w, "%u mails were given up when they were released", after - over);
}

static void flow_end(struct flow *f)
{
	unsigned left = 1;

	memset(f->moods, 0, sizeof(f->moods)); /* all is well */
	memset(f->blocked, 0, sizeof(f->blocked));
	flow_quiet(f, MINUTE_MS); /* a provider lets some wait */
	if (world_chance(f->w, 20))
		held_long(f);
	close_incidents(f);
	released(f);
	admin_pages(f, ADMIN_QUEUE_RELEASE, "state:held");
	for (unsigned day = 0; left && day < FLOW_DAYS && world_good(f->w); day++) {
		flow_quiet(f, 24 * (time_ms)FLOW_HOUR_MS);
		look(f, &left);
	}
	if (left)
		world_broken(f->w, "after %u days the queue has %u", FLOW_DAYS, left);
	for (unsigned m = 0; m < f->mails; m++)
		for (unsigned i = 0; i < FLOW_RECIPIENTS && world_good(f->w); i++) {
			const struct person *p = &f->people[m][i];

			if (p->there && p->has + p->over != 1)
				world_broken(f->w,
				             "m%ur%u was delivered %u times, given up %u times", m,
				             i, p->has, p->over);
		}
}

void flow_run(struct world *w)
{
	struct flow *f = NEW(struct flow);

	f->w = w;
	w->other = came;
	w->context = f;
	for (unsigned i = 0; i < DOMAINS; i++)
		f->moods[i] = world_chance(w, 50) ? MOOD_GOOD
		                                  : (enum mood)world_draw(w, MOOD_UNTOUCHED);
	for (unsigned n = 0; n < 150 && world_good(w); n++)
		flow_act(f);
	if (world_good(w))
		flow_end(f);
	w->other = NULL;
	memory_free(f);
}
