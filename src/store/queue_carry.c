/* CARRY and PATH: which mail a courier gets next, and through whom it may go.
 *
 * A batch is one mail and recipients of one destination that are due. It is made of hints; the rows are
 * read once they are claimed. How destinations take turns stands at the head of destination.c. */
#include "store/life.h"
#include "store/queue.h"
#include "watch/incident.h"

enum {
	PROVIDER_PAUSE_MS = 2000, /* when it has as many connections as it wants */
	ENTRIES_MAX = LIMIT_ENVELOPE,
};

/* ---- batches ---- */

static struct batch *batch_new(struct store *s, struct job *j, struct destination *d, uint64_t mail)
{
	struct batch *b = NEW(struct batch);

	*b = (struct batch){.lease = ++s->queue->next_lease,
	                    .mail = mail,
	                    .at = d,
	                    .holder = j->from,
	                    .since = s->now};
	map_put_u64(&s->queue->batches, b->lease, b);
	d->open++;
	s->queue->carry.open++;
	return b;
}

static void batch_add(struct store *s, struct batch *b, uint64_t entry, int64_t due, uint8_t state)
{
	if (b->count % 16 == 0)
		b->entries = memory_resize(b->entries, (b->count + 16) * sizeof(*b->entries));
	b->entries[b->count++] = entry;
	b->at->claimed++;
	claim_put(s, entry, b->lease, b->holder, due, state)->batch = b;
}

void batch_end(struct store *s, struct batch *b)
{
	struct destination *d = b->at;
	struct hold *h = b->probe ? map_get_u64(&s->queue->carry.holds, b->probe) : NULL;

	for (size_t i = 0; i < b->count; i++) {
		struct claim *c = map_get_u64(&s->queue->claims, b->entries[i]);

		if (c && c->batch == b) {
			claim_drop(s, b->entries[i]);
			d->more = true;
			alarm_moved(s, s->now); /* it may be late since */
		}
	}
	d->claimed -= b->count;
	d->open--;
	s->queue->carry.open--;
	if (b->pace)
		b->pace->open--;
	if (h && h->lease == b->lease) {
		h->lease = 0;
		h->seeking = false;
	}
	map_remove_u64(&s->queue->batches, b->lease);
	memory_free(b->entries);
	memory_free(b);
	destination_offer(s, d);
	s->queue_moved = true;
}

/* Any thread. */
struct batch *batch_held_by(struct store *s, const struct job *j, uint64_t lease)
{
	struct batch *b = map_get_u64(&s->queue->batches, lease);

	return b && b->holder.role == j->from.role && b->holder.worker == j->from.worker ? b : NULL;
}

/* ---- choosing ---- */

static size_t recipients_most(const struct store *s)
{
	uint64_t most = s->config->carry_recipients;

	return most < BATCH_MAX ? (size_t)most : BATCH_MAX;
}

static bool take_hint(struct store *s, struct destination *d, struct batch *b,
                      const struct lane_hint *h)
{
	struct claim *c = map_get_u64(&s->queue->claims, h->id);

	if (c && c->lease == 0)
		d->more = true; /* the writer has it, and may let it be */
	if (c)
		return false;
	batch_add(s, b, h->id, h->due, ENTRY_CARRY);
	return true;
}

/* The first mail of the window, with all its recipients there. */
static struct batch *take_window(struct store *s, struct job *j, struct destination *d)
{
	struct batch *b = NULL;
	size_t most = recipients_most(s), kept = d->at;

	while (d->at < d->count && map_get_u64(&s->queue->claims, d->window[d->at].id)) {
		const struct claim *c = map_get_u64(&s->queue->claims, d->window[d->at++].id);

		d->more = d->more || c->lease == 0;
	}
	if (d->at == d->count)
		return NULL;
	b = batch_new(s, j, d, d->window[d->at].mail);
	kept = d->at;
	for (size_t i = d->at; i < d->count; i++) {
		if (d->window[i].mail == b->mail && b->count < most)
			take_hint(s, d, b, &d->window[i]);
		else
			d->window[kept++] = d->window[i];
	}
	d->count = kept;
	return b;
}

static bool provider_has_room(struct store *s, const struct destination *d)
{
	const struct provider_pace *p = d->provider.len
	                                        ? map_get(&s->queue->carry.providers, d->provider)
	                                        : NULL;

	return !p || p->limit == 0 || p->open < p->limit;
}

/* It leaves the ring, where it would be in others' way, and comes back with the lanes. */
static void rest_a_while(struct store *s, struct destination *d)
{
	d->pause = s->now + PROVIDER_PAUSE_MS;
	d->more = true;
	if (d->pause < s->queue->carry.pause)
		s->queue->carry.pause = d->pause;
}

/* A batch for the job from the next destination in turn that has one; NULL: none now. */
static struct batch *next_batch(struct store *s, struct job *j)
{
	struct destination_list *ring = &s->queue->carry.ring;

	for (size_t turns = ring->count; turns && ring->first; turns--) {
		struct destination *d = destination_turn(s);
		struct batch *b;

		if (!provider_has_room(s, d))
			rest_a_while(s, d);
		if (destination_room(s, d) == 0) {
			if (d->incident || d->not_before > s->now || d->pause > s->now)
				destination_rest(s, d);
			continue;
		}
		b = take_window(s, j, d);
		if (b)
			return b;
		if (d->more)
			destination_fill(s, d);
		else if (!d->filling)
			destination_rest(s, d);
	}
	return NULL;
}

static void give(struct store *s, struct job *j, struct batch *b)
{
	j->lease = b->lease;
	j->run = carry_read;
	job_put(&s->reads, j);
}

static bool network_waits(const struct store *s)
{
	const struct queue *u = s->queue;

	return u->carry.network_wait && (u->carry.network_until > s->now || u->carry.open > 0);
}

static bool full(const struct store *s)
{
	return s->queue->carry.open >= s->config->carry_connections || network_waits(s);
}

void carry_match(struct store *s)
{
	struct queue *u = s->queue;

	if (!u->carriers.first)
		return;
	if (u->carry.pause <= s->now) {
		u->carry.pause = TIME_NEVER;
		u->carry.more = u->carry.dirty = true;
	}
	destinations_load(s);
	while (u->carriers.first && !full(s)) {
		struct job *j = job_take(&u->carriers);
		struct batch *b = next_batch(s, j);

		if (!b) {
			job_put_first(&u->carriers, j);
			break;
		}
		give(s, j, b);
	}
	destinations_load(s);
}

time_ms carry_due(struct store *s)
{
	const struct queue *u = s->queue;
	time_ms due = TIME_NEVER;

	if (!u->carriers.first)
		return due;
	if (!u->carry.loading && u->carry.ring.count <= RING_MAX / 2)
		due = u->carry.more ? s->now : u->carry.next;
	if (u->carry.pause < due)
		due = u->carry.pause;
	if (u->carry.network_wait && u->carry.open == 0 && due < u->carry.network_until)
		due = u->carry.network_until;
	return due;
}

enum result run_carry(struct store *s, struct job *j, struct why *why)
{
	(void)why;
	j->later = true;
	job_put(&s->queue->carriers, j);
	s->queue_moved = true;
	return OK;
}

/* A probe: one entry that is held. The writer found it. Locked; false: nobody waits for one. */
bool carry_probe(struct store *s, struct hold *h, const struct change_entry *e,
                 const struct change_destination *row)
{
	struct queue *u = s->queue;
	struct job *j;
	struct batch *b;

	if (map_get_u64(&u->claims, e->id) || full(s) || !(j = job_take(&u->carriers)))
		return false;
	b = batch_new(s, j, destination_with(s, row), e->mail);
	b->probe = h->incident;
	h->lease = b->lease;
	batch_add(s, b, e->id, e->due, e->state);
	give(s, j, b);
	return true;
}

/* ---- the answer to CARRY ---- */

static void entry_pack(struct buf *out, const struct change_entry *e)
{
	buf_u64(out, e->id);
	buf_block(out, e->rcpt);
	buf_u8(out, e->notify);
	buf_block(out, e->orcpt);
	buf_u32(out, e->tries);
}

static bool fits(const struct buf *out, const struct change_entry *e)
{
	return buf_len(out) + e->rcpt.len + e->orcpt.len + 21 <= ENTRIES_MAX;
}

/* Is the row what it was claimed for? */
static bool carries(const struct batch *b, const struct change_entry *e, time_ms now)
{
	if (b->probe)
		return e->state == ENTRY_HELD || (e->state == ENTRY_CARRY && e->incident == 0);
	return e->state == ENTRY_CARRY && e->due <= now && e->mail == b->mail;
}

static void carry_answer(struct job *j, const struct batch *b, const struct entry_row *r)
{
	j->answer.carry = (struct answer_carry){
	        .lease = b->lease,
	        .destination = r->e.destination,
	        .id = arena_printf(&j->arena, "%08llX", (unsigned long long)r->e.mail),
	        .sender = r->e.sender,
	        .size = r->size,
	        .envid = r->e.envid,
	        .ret = r->e.ret,
	        .body = r->e.body,
	        .options = r->e.options & (uint8_t)~ENTRY_JUNK,
	        .priority = r->e.priority,
	        .deliver_by = r->e.deliver_by,
	        .by_mode = r->e.by_mode,
	        .queued = r->e.queued,
	        .summary = r->summary};
}

/* The sender's sending is held: the writer holds the entry. */
static bool sender_held(struct store *s, const struct change_entry *e)
{
	uint64_t incident;

	store_hold(s);
	incident = e->owner ? sending_held(s, e->owner) : 0;
	if (incident)
		queue_job(s, run_hold_entry, true, e->id, (struct bytes){0})->lease = incident;
	store_let(s);
	return incident != 0;
}

/* Nobody but this thread has the batch until CARRY is answered, except for the courier's death. */
static bool batch_copy(struct store *s, struct job *j, struct batch *ret, time_ms *now)
{
	const struct batch *b;

	store_hold(s);
	*now = s->now;
	b = map_get_u64(&s->queue->batches, j->lease);
	if (b) {
		*ret = *b;
		ret->entries = arena_get(&j->arena, b->count * sizeof(*b->entries));
		memcpy(ret->entries, b->entries, b->count * sizeof(*b->entries));
	}
	store_let(s);
	return b != NULL;
}

/* Lets go of what the batch does not carry after all. */
static void batch_shrink(struct store *s, uint64_t lease, const uint64_t *keep, size_t count)
{
	struct batch *b;

	store_hold(s);
	b = map_get_u64(&s->queue->batches, lease);
	for (size_t i = 0, k = 0; b && i < b->count; i++) {
		if (k < count && keep[k] == b->entries[i]) {
			k++;
			continue;
		}
		claim_drop(s, b->entries[i]);
		alarm_moved(s, s->now);
		b->at->more = true;
	}
	if (b && count == 0) {
		b->at->claimed -= b->count;
		b->count = 0;
		batch_end(s, b);
	} else if (b) {
		b->at->claimed -= b->count - count;
		memcpy(b->entries, keep, count * sizeof(*keep));
		b->count = count;
		b->read = true;
	}
	store_let(s);
}

/* On a reader's thread. */
enum result carry_read(struct store *s, struct job *j, struct why *why)
{
	struct batch b;
	struct buf out = {0};
	uint64_t *keep;
	size_t count = 0;
	time_ms now;

	if (!batch_copy(s, j, &b, &now))
		return why_set(why, UNAVAILABLE, "the lease is lost");
	keep = arena_get(&j->arena, (b.count + 1) * sizeof(*keep));
	for (size_t i = 0; i < b.count; i++) {
		struct entry_row r;

		if (!entry_row_read(j->reader->db, &j->arena, b.entries[i], count == 0, &r) ||
		    !carries(&b, &r.e, now) || !fits(&out, &r.e) || sender_held(s, &r.e))
			continue;
		if (count == 0)
			carry_answer(j, &b, &r);
		entry_pack(&out, &r.e);
		keep[count++] = r.e.id;
	}
	j->answer.carry.entries = arena_copy(&j->arena, buf_bytes(&out));
	buf_done(&out);
	if (db_failed(j->reader->db, why) != OK)
		return UNAVAILABLE; /* queue_unlease gives it all back */
	batch_shrink(s, j->lease, keep, count);
	if (count == 0) {
		j->lease = 0;
		j->waits = &s->queue->carriers;
	}
	return OK;
}

/* What a job was to be given and did not get. Locked. */
void queue_unlease(struct store *s, const struct job *j)
{
	struct batch *b;

	if (j->lease == 0 || j->silent || j->answer.result == OK)
		return;
	if (j->ask.kind == ASK_TAKE) {
		const struct claim *c = map_get_u64(&s->queue->claims, j->entry_id);

		if (c && c->lease == j->lease)
			claim_drop(s, j->entry_id);
	} else if (j->ask.kind == ASK_CARRY) {
		b = map_get_u64(&s->queue->batches, j->lease);
		if (b)
			batch_end(s, b);
	}
}

/* ---- PATH ---- */

static struct provider_pace *provider_get(struct store *s, struct bytes key)
{
	struct map *m = &s->queue->carry.providers;
	struct provider_pace *p = map_get(m, key);
	struct map_entry *e;

	if (p)
		return p;
	/* A full table forgets one that is idle; any one. */
	for (size_t at = 0; m->count >= PROVIDERS_MAX && (e = map_each(m, &at));) {
		struct provider_pace *old = e->value;

		if (old->open)
			continue;
		map_remove(m, old->key);
		memory_free((void *)(uintptr_t)old->key.ptr);
		memory_free(old);
		break;
	}
	p = NEW(struct provider_pace);
	p->key = own_text(key);
	map_put(m, key, p);
	return p;
}

static void hold_destination(struct store *s, struct destination *d)
{
	struct job *j = queue_job(s, run_hold_destination, true, d->incident, d->name);

	j->ask.admin.value = arena_copy(&j->arena, d->provider);
}

enum result run_path(struct store *s, struct job *j, struct why *why)
{
	const struct ask_path *a = &j->ask.path;
	struct batch *b = batch_held_by(s, j, a->lease);
	struct provider_pace *p;
	struct destination *d;
	uint64_t incident;

	if (!b)
		return why_set(why, NOT_FOUND, "the lease is lost");
	d = b->at;
	if (a->provider.len == 0 || a->provider.len > LIMIT_DOMAIN)
		return why_set(why, INVALID, "a provider has a name");
	if (b->pace)
		b->pace->open--; /* another host of the destination is tried */
	b->pace = NULL;
	own_text_set(&d->provider, a->provider);
	incident = incident_seen(s, INCIDENT_BLOCKED, a->provider);
	if (incident && b->probe != incident) {
		why_set(why, UNAVAILABLE, "%.*s refuses our address: held by incident %llu",
		        BYTES_ARG(bytes_first(a->provider, 100)), (unsigned long long)incident);
		d->incident = incident;
		hold_put(s, incident);
		hold_destination(s, d);
		batch_end(s, b);
		return UNAVAILABLE;
	}
	p = provider_get(s, a->provider);
	if (!b->probe && p->limit && p->open >= p->limit) {
		why_set(why, UNAVAILABLE, "%.*s has as many connections as it wants",
		        BYTES_ARG(bytes_first(a->provider, 100)));
		rest_a_while(s, d);
		batch_end(s, b);
		return UNAVAILABLE;
	}
	p->open++;
	b->pace = p;
	j->answer.path.go = b->probe && incident ? PATH_PROBE : PATH_GO;
	return OK;
}
