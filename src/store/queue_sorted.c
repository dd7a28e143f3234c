/* SORTED: what the sorter found out about an entry, as one record. */
#include "store/dmarc.h"
#include "store/life.h"
#include "store/queue.h"

/* What the actions did to the entry itself. */
enum stays {
	LEAVES,     /* it is gone */
	STAYS,      /* it is tried again, or held: a bounce that came with it is not sent */
	STAYS_TOLD, /* it goes on, and what came with it is sent */
};

/* The entry's row and its mail's, as the writer sees them. */
static bool load_entry(struct store *s, struct job *j, uint64_t id, struct change_entry *e,
                       struct delivery *d)
{
	struct entry_row r;

	if (!entry_row_read(s->db, &j->arena, id, false, &r))
		return false;
	*e = r.e;
	*d = (struct delivery){.mail = e->mail,
	                       .size = r.size,
	                       .sender = e->sender,
	                       .envid = e->envid,
	                       .ret = e->ret,
	                       .queued_at = e->queued,
	                       .owner = e->owner,
	                       .options = e->options & (uint8_t)~ENTRY_JUNK,
	                       .junk = (e->options & ENTRY_JUNK) != 0,
	                       .body = e->body,
	                       .priority = e->priority,
	                       .deliver_by = e->deliver_by,
	                       .by_mode = e->by_mode,
	                       .may_carry = true};
	return true;
}

static void entry_stays(struct job *j, const struct change_entry *e, enum entry_state state,
                        int64_t due, uint32_t tries, struct bytes reason)
{
	struct change *c = job_change(j, CHANGE_ENTRY_STATE);

	c->entry_state = (struct change_entry_state){e->id, (uint8_t)state, due, tries, reason};
}

/* The account that a recipient address stands for, by name or through one alias. */
static struct account *own_account(struct store *s, struct job *j, const struct change_entry *e)
{
	if (bytes_equal(e->rcpt, e->origin)) /* aliases were followed before */
		return account_by_address(s, e->rcpt);
	return route_of(s, s->writer_config, &j->arena, e->rcpt, 0).account;
}

static enum result sort_place(struct store *s, struct job *j, struct wire *w,
                              const struct change_entry *e, struct delivery *d, enum stays *stays)
{
	struct bytes name = wire_block(w);
	uint64_t flags = wire_u64(w) & 0x1f;
	struct account *a = own_account(s, j, e);

	if (!a) {
		entry_stays(j, e, ENTRY_HELD, 0, e->tries, BYTES("there is no such account"));
		*stays = STAYS;
	} else if (a->now.suspended) {
		entry_stays(j, e, ENTRY_PARKED, 0, e->tries, BYTES("the account is suspended"));
		*stays = STAYS;
	} else if (a->next.quota && a->next.used + d->size > a->next.quota) {
		entry_stays(j, e, ENTRY_READY, j->now + FULL_RETRY_S * 1000, e->tries + 1,
		            BYTES("the mailbox is full"));
		*stays = STAYS;
	} else if (!deliver_had(s, d, a)) {
		/* A dot file may name two folders: what this SORTED placed is no obstacle. */
		deliver_place(s, j, d, a, deliver_folder(d, a, name), flags);
		deliver_expanded(s, j, d,
		                 &(struct recipient){.address = e->rcpt,
		                                     .orcpt = e->orcpt,
		                                     .notify = e->notify});
	}
	return OK;
}

static enum result sort_redirect(struct store *s, struct job *j, struct wire *w,
                                 const struct change_entry *e, struct delivery *d)
{
	struct recipient r = {.address = wire_block(w)};

	r.origin = wire_block(w);
	r.notify = e->notify;
	r.orcpt = e->orcpt;
	if (w->bad || r.address.len == 0 || r.address.len > LIMIT_ADDRESS)
		return INVALID;
	deliver(s, j, d, &r);
	return OK;
}

static enum result sort_deliver(struct store *s, struct job *j, struct wire *w,
                                const struct change_entry *e, struct delivery *d)
{
	struct recipient r = {.address = wire_block(w), .origin = e->origin};
	struct bytes mailbox = wire_block(w);
	uint64_t flags = wire_u64(w) & 0x1f;

	r.notify = e->notify;
	r.orcpt = e->orcpt;
	if (w->bad || r.address.len == 0 || r.address.len > LIMIT_ADDRESS)
		return INVALID;
	deliver_account(s, j, d, &r, mailbox, flags);
	return OK;
}

/* The sender was told that it is late. */
static enum result sort_carry_on(struct job *j, const struct change_entry *e, enum stays *stays)
{
	struct change_entry_tried *t;

	if (e->destination.len == 0)
		return INVALID;
	t = entry_tried_change(j, e);
	t->state = ENTRY_CARRY;
	t->task = SORT_TASK_ROUTE;
	t->due = e->again;
	t->again = 0;
	*stays = STAYS_TOLD;
	return OK;
}

static enum result sort_action(struct store *s, struct job *j, struct wire *w,
                               const struct change_entry *e, struct delivery *d, enum stays *stays)
{
	uint32_t seconds;

	switch (wire_u8(w)) {
	case SORT_PLACE: return sort_place(s, j, w, e, d, stays);
	case SORT_REDIRECT: return sort_redirect(s, j, w, e, d);
	case SORT_DEFER:
		seconds = wire_u32(w);
		entry_stays(j, e, ENTRY_READY, j->now + (int64_t)seconds * 1000, e->tries + 1,
		            wire_block(w));
		*stays = STAYS;
		return OK;
	case SORT_HOLD:
		entry_stays(j, e, ENTRY_HELD, 0, e->tries, wire_block(w));
		*stays = STAYS;
		return OK;
	case SORT_DELIVER: return sort_deliver(s, j, w, e, d);
	case SORT_CARRY_ON: return sort_carry_on(j, e, stays);
	case SORT_DONE: wire_block(w); return OK;
	default: return INVALID;
	}
}

/* The bounce is a mail of its own, with the null sender. */
static enum result send_bounce(struct store *s, struct job *j, struct why *why)
{
	const struct ask_sorted *a = &j->ask.sorted;
	struct delivery d = {.mail = s->counters.mail,
	                     .size = a->bounce_trace.len + j->spool->size,
	                     .queued_at = j->now,
	                     .may_carry = true};
	struct recipient r = {.address = a->bounce_rcpt, .notify = 1};
	size_t at = j->change_count;
	struct change *c = job_change(j, CHANGE_MAIL);

	if (a->bounce_rcpt.len == 0 || a->bounce_rcpt.len > LIMIT_ADDRESS)
		return why_set(why, INVALID, "a bounce goes to nobody");
	c->mail = (struct change_mail){.id = d.mail,
	                               .received = j->now,
	                               .size = d.size,
	                               .segment = IN_RECORD,
	                               .summary = a->bounce_summary};
	if (j->placed) {
		c->mail.segment = 0;
		c->mail.offset = j->place.offset;
		c->mail.stored = j->place.stored;
		j->place_used = true;
	}
	deliver(s, j, &d, &r);
	j->changes[at].mail.refs = d.refs;
	return j->placed ? OK : spool_pack(s, j, a->bounce_trace, d.mail, why);
}

void sorted_key(char out[KEY_LEN], uint64_t entry, uint64_t lease)
{
	for (int i = 0; i < 8; i++) {
		out[i] = (char)(entry >> (56 - 8 * i));
		out[8 + i] = (char)(lease >> (56 - 8 * i));
	}
}

static void entry_leaves(struct store *s, struct job *j, const struct change_entry *e,
                         const struct delivery *d, enum stays stays)
{
	struct change *c;

	for (size_t i = 0; i < d->have_count; i++) {
		c = job_change(j, CHANGE_DELIVERED);
		c->delivered = (struct change_delivered){d->mail, d->have[i]->id};
	}
	if (stays == LEAVES) {
		c = job_change(j, CHANGE_ENTRY_GONE);
		c->entry_gone.id = e->id;
	}
	settle_references(s, j, d->mail, (int64_t)d->refs - (stays == LEAVES));
}

static enum result sort(struct store *s, struct job *j, const struct change_entry *e,
                        struct delivery *d, struct why *why)
{
	const struct ask_sorted *a = &j->ask.sorted;
	struct wire w = wire_of(a->actions);
	enum stays stays = LEAVES;
	enum result result = OK;

	while (result == OK && stays == LEAVES && !wire_end(&w))
		result = sort_action(s, j, &w, e, d, &stays);
	if (result != OK || w.bad || a->actions.len == 0)
		return why_set(why, INVALID, "the actions are malformed");
	entry_leaves(s, j, e, d, stays);
	if (a->spool && stays != STAYS && (result = send_bounce(s, j, why)) != OK)
		return result;
	return OK;
}

enum result run_sorted(struct store *s, struct job *j, struct why *why)
{
	const struct ask_sorted *a = &j->ask.sorted;
	char key[KEY_LEN];
	struct change_entry e;
	struct delivery d;
	struct change *c;
	uint64_t mail;
	bool before_now;
	enum result result;

	j->urgent = true;
	sorted_key(key, a->entry, a->lease);
	store_hold(s);
	before_now = map_get(&s->keys, bytes_of(key, KEY_LEN)) != NULL;
	store_let(s);
	if (before_now)
		return OK;
	if (!held_by(s, j, a->entry, a->lease, &mail) || !load_entry(s, j, a->entry, &e, &d))
		return why_set(why, NOT_FOUND, "the lease is lost");
	if (a->spool && !j->spool)
		return why_set(why, NOT_FOUND, "there is no spool %u", a->spool);
	if ((result = sort(s, j, &e, &d, why)) != OK)
		return result;
	if (a->report.len > 0 && !dmarc_received(s, j, a->report))
		return why_set(why, INVALID, "that is no report");
	c = job_change(j, CHANGE_KEY);
	c->key = (struct change_key){
	        .key = arena_copy(&j->arena, bytes_of(key, KEY_LEN)), .mail = e.mail, .at = j->now};
	return OK;
}
