/* CARRIED: what became of a batch, as one record; and when an entry is tried again, late, or given up.
 *
 *	outcome    the entry
 *	DELIVERED  gone
 *	RELAYED    READY to RELAYED where NOTIFY=SUCCESS was asked (RFC 3461, 5.2.2), else gone
 *	DEFERRED   CARRY, due by the schedule (or retry_after); late: READY to DELAYED, once; over: as FAILED
 *	FAILED     READY to FAILED
 *	HELD       HELD by the incident that the courier raised; its destination is held with it
 *	UNTOUCHED  as it was
 */
#include "policy/reply.h"
#include "store/life.h"
#include "store/queue.h"
#include "watch/incident.h"

enum {
	REPLY_MAX = 1000,
	STATUS_MAX = 16,
	NETWORK_FIRST_MS = 30 * 1000,
	NETWORK_LAST_MS = 10 * 60 * 1000,
	RETRY_AFTER_MAX_S = 24 * 3600,
};

/* ---- time ---- */

static int64_t sooner(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

enum { BY_RETURN = 1, BY_NOTIFY = 2, BY_MODE = 3 };
enum { NOTIFY_SUCCESS = 2, NOTIFY_DELAY = 8 };

static bool wants_delay(const struct change_entry *e)
{
	return e->sender.len && (e->notify == 0 || e->notify & NOTIFY_DELAY);
}

void entry_times(const struct config *c, struct change_entry *e, int64_t hold_until)
{
	int64_t start = hold_until > e->queued ? hold_until : e->queued, warn;

	e->expires = start +
	             (int64_t)(e->sender.len ? c->queue_lifetime_ms : c->queue_bounce_lifetime_ms);
	warn = start + (int64_t)c->queue_warn_ms;
	if (e->deliver_by && (e->by_mode & BY_MODE) == BY_RETURN)
		e->expires = sooner(e->expires, e->deliver_by);
	if (e->deliver_by && (e->by_mode & BY_MODE) == BY_NOTIFY)
		warn = sooner(warn, e->deliver_by);
	e->alarm = wants_delay(e) ? sooner(warn, e->expires) : e->expires;
}

/* min doubled for each try, max at most. */
static int64_t schedule(struct store *s, uint32_t tries)
{
	uint64_t first = s->writer_config->queue_retry_min_ms;
	uint64_t last = s->writer_config->queue_retry_max_ms, wait = first;

	while (tries-- && wait < last)
		wait *= 2;
	return (int64_t)queue_jitter(s, wait < last ? wait : last);
}

void entry_goes_on(const struct job *j, const struct change_entry *e, struct change_entry_tried *t)
{
	t->state = e->destination.len && e->task == SORT_TASK_ROUTE ? ENTRY_CARRY : ENTRY_READY;
	t->due = j->now;
	t->reason = (struct bytes){0};
}

static void becomes_task(struct change_entry_tried *t, enum sort_task task, int64_t now)
{
	t->state = ENTRY_READY;
	t->task = (uint8_t)task;
	t->due = now;
	t->incident = 0;
}

bool entry_late(struct store *s, struct job *j, const struct change_entry *e,
                struct change_entry_tried *t)
{
	(void)s;
	if (e->expires && j->now >= e->expires) {
		becomes_task(t, SORT_TASK_FAILED, j->now);
		t->status = BYTES("5.4.7");
		t->alarm = 0;
		return true;
	}
	if (!e->alarm || j->now < e->alarm || e->warned)
		return false;
	t->warned = 1;
	t->alarm = e->expires;
	if (!wants_delay(e))
		return true;
	t->again = t->due;
	becomes_task(t, SORT_TASK_DELAYED, j->now);
	if (t->status.len == 0)
		t->status = BYTES("4.4.7");
	return true;
}

/* ---- what the courier says ---- */

struct result_row {
	uint64_t entry;
	unsigned outcome, class;
	struct bytes status, reply;
};

static bool result_next(struct wire *w, struct result_row *r)
{
	if (wire_end(w))
		return false;
	r->entry = wire_u64(w);
	r->outcome = wire_u8(w);
	r->class = wire_u8(w);
	r->status = bytes_first(wire_block(w), STATUS_MAX);
	r->reply = bytes_first(wire_block(w), REPLY_MAX);
	return !w->bad && r->outcome <= CARRY_UNTOUCHED;
}

struct carried {
	const struct ask_carried *ask;
	struct batch batch; /* a copy */
	struct change_destination known;
	struct bytes reply, status; /* the last that says why */
	uint64_t incident;          /* that holds, found or raised */
	size_t gone, good, held, deferred, failed;
	bool known_before, domain_held;
	uint64_t closed;
};

static struct bytes domain_of(struct bytes address)
{
	size_t at = bytes_find_last(address, '@');

	return at == BYTES_NONE ? (struct bytes){0} : bytes_skip(address, at + 1);
}

static struct bytes blocked_facts(struct job *j, const struct carried *c,
                                  const struct change_entry *e, const struct result_row *r)
{
	struct buf facts = {0};
	struct bytes ret;

	incident_fact_put(&facts, "host", c->ask->remote);
	incident_fact_put(&facts, "reply", r->reply);
	incident_fact_put(&facts, "rcpt_domain", e->destination);
	ret = arena_copy(&j->arena, buf_bytes(&facts));
	buf_done(&facts);
	return ret;
}

/* The incident that the courier raised before; where it has none, ours. */
static uint64_t holding(struct store *s, struct job *j, struct carried *c,
                        const struct change_entry *e, const struct result_row *r)
{
	uint64_t id = incident_open(s, INCIDENT_BLOCKED, c->ask->provider);

	if (r->class == REPLY_OURS_DOMAIN || !id) {
		uint64_t of_domain = incident_open(s, INCIDENT_DOMAIN, domain_of(e->sender));

		if (of_domain) {
			c->domain_held = true;
			return of_domain;
		}
	}
	if (!id)
		id = incident_raise(s, j, INCIDENT_BLOCKED, c->ask->provider,
		                    blocked_facts(j, c, e, r), 1);
	c->incident = id;
	return id;
}

static void note(struct job *j, const struct carried *c, const struct change_entry *e,
                 const struct result_row *r, enum ledger_reason reason)
{
	const struct ask_carried *a = c->ask;
	struct bytes text = arena_printf(
	        &j->arena,
	        "entry=%llu destination=%.*s host=%.*s status=%.*s tls=\"%.*s\" reply=\"%.*s\"",
	        (unsigned long long)e->id, BYTES_ARG(e->destination), BYTES_ARG(a->remote),
	        BYTES_ARG(r->status), BYTES_ARG(bytes_first(a->tls, 100)), BYTES_ARG(r->reply));

	ledger_note(j, &(struct ledger_event){.reason = reason,
	                                      .mail = e->mail,
	                                      .ip = a->ip.len == 16 ? a->ip : (struct bytes){0},
	                                      .sender = e->sender,
	                                      .rcpt = e->rcpt,
	                                      .host = a->remote,
	                                      .text = text});
}

static void leaves(struct job *j, struct carried *c, const struct change_entry *e)
{
	entry_gone_change(j, e);
	c->gone++;
}

static struct change_entry_tried *tried(struct job *j, const struct carried *c,
                                        const struct change_entry *e, const struct result_row *r)
{
	struct change_entry_tried *t = entry_tried_change(j, e);

	t->tries = e->tries + 1;
	t->status = r->status;
	t->reply = r->reply;
	t->remote = bytes_first(c->ask->remote, LIMIT_DOMAIN);
	t->attempted = j->now;
	t->reason = (struct bytes){0};
	return t;
}

static void was_delivered(struct store *s, struct job *j, struct carried *c,
                          const struct change_entry *e, const struct result_row *r)
{
	(void)s;
	c->good++;
	note(j, c, e, r, LEDGER_CARRIED);
	if (r->outcome == CARRY_RELAYED && e->notify & NOTIFY_SUCCESS && e->sender.len)
		becomes_task(tried(j, c, e, r), SORT_TASK_RELAYED, j->now);
	else
		leaves(j, c, e);
}

static void was_held(struct store *s, struct job *j, struct carried *c,
                     const struct change_entry *e, const struct result_row *r)
{
	uint64_t incident = holding(s, j, c, e, r);
	struct change_entry_tried *t = tried(j, c, e, r);

	t->state = ENTRY_HELD;
	t->due = 0;
	t->incident = incident;
	c->held++;
	note(j, c, e, r, LEDGER_HELD);
}

static int64_t next_try(struct store *s, struct job *j, const struct carried *c, uint32_t tries)
{
	uint32_t after = c->ask->retry_after;

	if (after)
		return j->now +
		       (int64_t)(after < RETRY_AFTER_MAX_S ? after : RETRY_AFTER_MAX_S) * 1000;
	return j->now + schedule(s, tries);
}

static void was_deferred(struct store *s, struct job *j, struct carried *c,
                         const struct change_entry *e, const struct result_row *r)
{
	struct change_entry_tried *t = tried(j, c, e, r);

	c->deferred++;
	if (e->state == ENTRY_HELD) { /* a probe that told us nothing */
		t->tries = e->tries;
		return;
	}
	t->due = next_try(s, j, c, e->tries);
	entry_late(s, j, e, t);
	note(j, c, e, r, t->task == SORT_TASK_FAILED ? LEDGER_FAILED : LEDGER_DEFERRED);
}

static void was_failed(struct store *s, struct job *j, struct carried *c,
                       const struct change_entry *e, const struct result_row *r)
{
	(void)s;
	c->failed++;
	becomes_task(tried(j, c, e, r), SORT_TASK_FAILED, j->now);
	note(j, c, e, r, LEDGER_FAILED);
}

typedef void outcome_function(struct store *s, struct job *j, struct carried *c,
                              const struct change_entry *e, const struct result_row *r);

static outcome_function *const outcomes[] = {
        [CARRY_DELIVERED] = was_delivered, [CARRY_RELAYED] = was_delivered,
        [CARRY_DEFERRED] = was_deferred,   [CARRY_FAILED] = was_failed,
        [CARRY_HELD] = was_held,
};

static bool is_final(unsigned outcome)
{
	return outcome == CARRY_DELIVERED || outcome == CARRY_RELAYED || outcome == CARRY_FAILED;
}

static bool in_batch(const struct batch *b, uint64_t entry)
{
	for (size_t i = 0; i < b->count; i++) {
		if (b->entries[i] == entry)
			return true;
	}
	return false;
}

static enum result each_result(struct store *s, struct job *j, struct carried *c, struct why *why)
{
	struct wire w = wire_of(c->ask->results);
	struct result_row r;
	struct entry_row row;

	while (result_next(&w, &r)) {
		if (!in_batch(&c->batch, r.entry))
			return why_set(why, INVALID, "entry %llu is not in this batch",
			               (unsigned long long)r.entry);
		for (size_t i = 0; i < c->batch.count; i++) {
			if (c->batch.entries[i] == r.entry) /* one result each */
				c->batch.entries[i] = 0;
		}
		if (r.outcome == CARRY_UNTOUCHED)
			continue;
		if (!entry_row_read(s->db, &j->arena, r.entry, false, &row))
			continue;
		outcomes[r.outcome](s, j, c, &row.e, &r);
		if (is_final(r.outcome) && row.e.owner)
			sending_result(s, j, row.e.owner, r.class);
		if (r.reply.len)
			c->reply = r.reply;
		if (r.status.len)
			c->status = r.status;
	}
	return w.bad || !wire_end(&w) ? why_set(why, INVALID, "the results are malformed") : OK;
}

/* ---- the destination ---- */

static bool destination_same(const struct change_destination *a, const struct change_destination *b)
{
	return a->not_before == b->not_before && a->failures == b->failures &&
	       a->incident == b->incident && bytes_equal(a->provider, b->provider);
}

/* Batches that were under way when it failed say nothing new. */
static void destination_fails(struct store *s, struct job *j, const struct carried *c,
                              struct change_destination *d)
{
	if (d->failures && c->batch.since <= d->at)
		return;
	d->not_before = j->now + schedule(s, d->failures);
	d->failures++;
	d->at = j->now;
	d->status = c->status;
	d->reply = c->reply;
	d->remote = bytes_first(c->ask->remote, LIMIT_DOMAIN);
}

static void destination_change(struct store *s, struct job *j, struct carried *c)
{
	const struct ask_carried *a = c->ask;
	struct change_destination d = c->known;
	struct change *change;

	if (a->provider.len && a->provider.len <= LIMIT_DOMAIN)
		d.provider = a->provider;
	if (c->incident) {
		d.incident = c->incident;
		d.not_before = HELD_UNTIL;
		d.at = j->now;
		d.reply = c->reply;
	} else if (d.incident) {
		return; /* held since: its release says what is next */
	} else if (a->scope == CARRIED_DESTINATION) {
		destination_fails(s, j, c, &d);
	} else if (c->good || c->failed || a->remote.len) {
		d.failures = 0;
		d.not_before = 0;
	}
	if (destination_same(&d, &c->known) && c->known_before)
		return;
	if (!c->known_before && !d.failures && !d.incident)
		return; /* a provider alone is learnt again when it is needed */
	change = job_change(j, CHANGE_DESTINATION);
	change->destination = d;
}

/* A probe that got through ends what it probed. */
static void probe_change(struct store *s, struct job *j, struct carried *c,
                         const struct change_entry *e)
{
	struct bytes domain = domain_of(e->sender);

	if (!c->batch.probe || !c->good)
		return;
	if (incident_open(s, INCIDENT_BLOCKED, c->ask->provider) == c->batch.probe)
		c->closed = incident_close(s, j, INCIDENT_BLOCKED, c->ask->provider);
	else if (incident_open(s, INCIDENT_DOMAIN, domain) == c->batch.probe)
		c->closed = incident_close(s, j, INCIDENT_DOMAIN, domain);
}

/* ---- the whole ---- */

static bool batch_copy(struct store *s, struct job *j, struct carried *c, struct bytes *name)
{
	const struct batch *b;

	store_hold(s);
	b = batch_held_by(s, j, c->ask->lease);
	if (b) {
		c->batch = *b;
		c->batch.entries = arena_get(&j->arena, (b->count + 1) * sizeof(*b->entries));
		memcpy(c->batch.entries, b->entries, b->count * sizeof(*b->entries));
		*name = arena_copy(&j->arena, b->at->name);
	}
	store_let(s);
	return b != NULL;
}

static bool answered(struct store *s, const char *key)
{
	bool was;

	store_hold(s);
	was = map_get(&s->keys, bytes_of(key, KEY_LEN)) != NULL;
	store_let(s);
	return was;
}

enum result run_carried(struct store *s, struct job *j, struct why *why)
{
	struct carried c = {.ask = &j->ask.carried};
	char key[KEY_LEN];
	struct bytes name;
	struct entry_row first = {0};
	struct change *change;
	enum result result;

	j->urgent = true;
	sorted_key(key, UINT64_MAX, c.ask->lease);
	if (answered(s, key))
		return OK;
	if (!batch_copy(s, j, &c, &name))
		return why_set(why, NOT_FOUND, "the lease is lost");
	if (c.batch.count && !entry_row_read(s->db, &j->arena, c.batch.entries[0], false, &first))
		first = (struct entry_row){0};
	c.known_before = destination_row_read(s->db, &j->arena, name, &c.known);
	if ((result = each_result(s, j, &c, why)) != OK)
		return result;
	destination_change(s, j, &c);
	probe_change(s, j, &c, &first.e);
	tls_results_add(s, j, c.ask->tls_reports, c.ask->ip);
	settle_references(s, j, c.batch.mail, -(int64_t)c.gone);
	j->carried_good = c.good > 0;
	j->carried_held = c.held > 0;
	change = job_change(j, CHANGE_KEY);
	change->key = (struct change_key){.key = arena_copy(&j->arena, bytes_of(key, KEY_LEN)),
	                                  .mail = c.batch.mail,
	                                  .at = j->now};
	return OK;
}

/* ---- what it says of the pace (locked) ---- */

static void pace_up(struct store *s, struct destination *d, struct provider_pace *p)
{
	if (++d->good >= d->limit && d->limit < s->config->carry_per_destination) {
		d->limit++;
		d->good = 0;
	}
	if (p && p->limit && ++p->good >= p->limit) {
		p->good = 0;
		if (++p->limit > s->config->carry_connections)
			p->limit = 0;
	}
}

static unsigned half(unsigned n)
{
	return n > 2 ? n / 2 : 1;
}

static void pace_down(struct store *s, struct destination *d, struct provider_pace *p)
{
	unsigned open = d->open < d->limit ? d->open : d->limit;

	d->limit = half(open);
	d->good = 0;
	if (p) {
		p->limit = half(p->open);
		p->good = 0;
	}
	(void)s;
}

static void network_slow(struct store *s)
{
	struct queue *u = s->queue;
	int64_t wait = u->carry.network_wait;

	if (u->carry.network_until > s->now)
		return;
	wait = wait ? wait * 2 : NETWORK_FIRST_MS;
	u->carry.network_wait = wait < NETWORK_LAST_MS ? wait : NETWORK_LAST_MS;
	u->carry.network_until = s->now + u->carry.network_wait;
}

void carried_publish(struct store *s, const struct job *j)
{
	const struct ask_carried *a = &j->ask.carried;
	struct batch *b = batch_held_by(s, j, a->lease);
	struct hold *h;

	if (!b)
		return; /* a repeat, or the courier is dead */
	if (j->carried_good)
		pace_up(s, b->at, b->pace);
	if (a->scope == CARRIED_BUSY)
		pace_down(s, b->at, b->pace);
	if (a->scope == CARRIED_DESTINATION)
		b->at->limit = 1;
	if (a->scope == CARRIED_NETWORK)
		network_slow(s);
	else if (a->remote.len)
		s->queue->carry.network_wait = 0;
	h = b->probe ? map_get_u64(&s->queue->carry.holds, b->probe) : NULL;
	if (h)
		hold_probed(s, h, j->carried_held);
	batch_end(s, b);
}
