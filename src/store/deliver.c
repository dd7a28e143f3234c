/* Where mail for a recipient goes, and making it durable there: ROUTE, COMMIT, APPEND.
 *
 * One COMMIT is one record: the mail's row, a placement for every recipient that is an account of
 * ours without a dot file, a queue entry for every other one, the answer's key. */
#include <stdio.h>

#include "store/alarm.h"
#include "store/escrow.h"
#include "store/life.h"
#include "store/queue.h"

enum { NOTIFY_SUCCESS = 2 }; /* RFC 3461, 4.1 */

/* ---- ROUTE ---- */

static bool over_quota(const struct account *a, uint64_t used, uint64_t more)
{
	return a->now.quota && used + more > a->now.quota;
}

static enum route_class account_class(const struct account *a, uint64_t size)
{
	if (a->now.suspended)
		return ROUTE_SUSPENDED;
	return over_quota(a, a->now.used, size) ? ROUTE_FULL : ROUTE_DIRECT;
}

/* r points into itself: it must not be copied. */
static void follow(struct store *s, const struct config *c, struct bytes rcpt,
                   struct config_route *r)
{
	config_route_begin(r, c, rcpt);
	while (r->state == CONFIG_ROUTE_ASK)
		config_route_next(r, account_by_address(s, r->address) != NULL);
	if (r->state == CONFIG_ROUTE_FIRST && s->first_account) {
		config_route_begin(r, c, s->first_account->now.address);
		while (r->state == CONFIG_ROUTE_ASK)
			config_route_next(r, account_by_address(s, r->address) != NULL);
	}
}

static bool takes_reports(const struct config *c, struct bytes rcpt)
{
	struct arena arena = {0};
	struct bytes canonical;
	bool ret = c->dmarc_reports.count > 0 &&
	           config_address_canonical(rcpt, &arena, &canonical) == OK &&
	           config_takes_reports(c, canonical);

	arena_done(&arena);
	return ret;
}

struct route route_of(struct store *s, const struct config *c, struct arena *arena,
                      struct bytes rcpt, uint64_t size)
{
	struct config_route r;
	struct route ret = {.class = ROUTE_UNKNOWN};
	struct account *a;
	bool reports;

	if (rcpt.len == 0 || rcpt.len > LIMIT_ADDRESS) {
		ret.address = rcpt;
		return ret;
	}
	follow(s, c, rcpt, &r);
	ret.address = arena_copy(arena, r.address);
	a = account_by_address(s, r.address);
	ret.own = r.own && a;
	reports = r.state == CONFIG_ROUTE_ACCOUNT && takes_reports(c, rcpt);
	switch (r.state) {
	case CONFIG_ROUTE_ACCOUNT:
		ret.account = a;
		ret.class = a ? account_class(a, size) : ROUTE_UNKNOWN;
		break;
	case CONFIG_ROUTE_DOT:
	case CONFIG_ROUTE_ALIAS:
		ret.class = ROUTE_QUEUE;
		ret.account = a;
		break;
	case CONFIG_ROUTE_REMOTE: ret.class = ROUTE_REMOTE; break;
	default: break;
	}
	if (reports && ret.class == ROUTE_DIRECT) {
		/* The sorter reads it first, and must know for whom it came. */
		ret.class = ROUTE_QUEUE;
		ret.address = arena_copy(arena, rcpt);
	}
	return ret;
}

enum result run_route(struct store *s, struct job *j, struct why *why)
{
	const struct ask_route *a = &j->ask.route;
	struct route r = route_of(s, s->config, &j->arena, a->rcpt, a->size);
	const struct account *exact = account_by_address(s, a->rcpt);

	(void)why;
	j->answer.route.class = (uint8_t)r.class;
	j->answer.route.address = r.address;
	if (exact)
		j->answer.route.account = over_quota(exact, exact->now.used, a->size) ? 3 : 1;
	return OK;
}

/* ---- placing ---- */

void place(struct store *s, struct job *j, struct mailbox *m, uint64_t mail, uint64_t flags,
           uint64_t size, uint32_t *ret_uid)
{
	struct change *c;
	uint32_t before = 0; /* by this very job: a release of several mails */

	(void)s;
	for (size_t i = 0; i < j->change_count; i++)
		before += j->changes[i].kind == CHANGE_PLACE &&
		          j->changes[i].place.mailbox == m->id;
	c = job_change(j, CHANGE_PLACE);
	c->place = (struct change_place){.mailbox = m->id,
	                                 .uid = m->next.uidnext + before,
	                                 .mail = mail,
	                                 .flags = flags,
	                                 .modseq = m->next.modseq + 1 + before,
	                                 .size = size};
	if (ret_uid)
		*ret_uid = c->place.uid;
}

bool deliver_had(struct store *s, const struct delivery *d, const struct account *a)
{
	struct db_query *q;
	bool found;

	if (d->mail >= s->counters.mail)
		return false; /* it is new */
	q = db_query(s->db, "SELECT 1 FROM delivered WHERE mail=? AND account=?");
	db_bind(q, "uu", d->mail, a->id);
	found = db_next(q);
	db_end(q);
	return found;
}

static bool has_it(struct store *s, const struct delivery *d, const struct account *a)
{
	for (size_t i = 0; i < d->have_count; i++) {
		if (d->have[i] == a)
			return true;
	}
	return deliver_had(s, d, a);
}

static void now_has_it(struct job *j, struct delivery *d, struct account *a)
{
	if (d->have_count == d->have_size) {
		struct account **more;

		d->have_size = d->have_size ? d->have_size * 2 : 8;
		more = arena_get(&j->arena, d->have_size * sizeof(*more));
		if (d->have_count)
			memcpy(more, d->have, d->have_count * sizeof(*more));
		d->have = more;
	}
	d->have[d->have_count++] = a;
}

void deliver_place(struct store *s, struct job *j, struct delivery *d, struct account *a,
                   struct bytes mailbox, uint64_t flags)
{
	struct mailbox *m = mailbox_by_name(a, mailbox);

	if (!m || m->next.gone)
		m = mailbox_by_name(a, BYTES("INBOX"));
	place(s, j, m, d->mail, flags, d->size, NULL);
	now_has_it(j, d, a);
	d->refs++;
}

static struct change_entry *entry_change(struct store *s, struct job *j, struct delivery *d,
                                         const struct recipient *r, enum entry_state state,
                                         int64_t due, struct bytes reason)
{
	struct change *c = job_change(j, CHANGE_ENTRY);
	uint64_t id = s->counters.entry;

	for (size_t i = 0; i + 1 < j->change_count; i++)
		id += j->changes[i].kind == CHANGE_ENTRY;
	c->entry = (struct change_entry){.id = id,
	                                 .mail = d->mail,
	                                 .state = (uint8_t)state,
	                                 .due = due,
	                                 .queued = d->queued_at,
	                                 .sender = d->sender,
	                                 .rcpt = r->address,
	                                 .origin = r->origin,
	                                 .notify = r->notify,
	                                 .orcpt = r->orcpt,
	                                 .envid = d->envid,
	                                 .ret = d->ret,
	                                 .reason = reason,
	                                 .options = d->options | (d->junk ? ENTRY_JUNK : 0),
	                                 .body = d->body,
	                                 .priority = d->priority,
	                                 .owner = d->owner,
	                                 .deliver_by = d->deliver_by,
	                                 .by_mode = d->by_mode};
	entry_times(s->writer_config, &c->entry, d->hold_until);
	d->refs++;
	d->queued = true;
	return &c->entry;
}

void deliver_entry(struct store *s, struct job *j, struct delivery *d, const struct recipient *r,
                   enum entry_state state, int64_t due, struct bytes reason)
{
	entry_change(s, j, d, r, state, due, reason);
}

/* It was placed, and its sender wanted to know (RFC 3461, 5.2.4): the sorter says so. */
void deliver_expanded(struct store *s, struct job *j, struct delivery *d, const struct recipient *r)
{
	if (!(r->notify & NOTIFY_SUCCESS) || d->sender.len == 0)
		return;
	entry_change(s, j, d, r, ENTRY_READY, j->now, (struct bytes){0})->task = SORT_TASK_EXPANDED;
}

/* The canonical domain of an address, or its literal as it is. */
static struct bytes destination_of(struct job *j, struct bytes address)
{
	struct bytes domain = bytes_skip(address, bytes_find_last(address, '@') + 1), canonical;

	if (config_domain_canonical(domain, &j->arena, &canonical) != OK)
		canonical = domain;
	return bytes_first(canonical, LIMIT_DOMAIN);
}

/* For another host. Whoever may not send there is refused as a whole (store.h: never a relay). */
static void deliver_elsewhere(struct store *s, struct job *j, struct delivery *d,
                              const struct recipient *r, int64_t due)
{
	struct change_entry *e;

	if (!d->may_carry) {
		d->denied = true;
		return;
	}
	e = entry_change(s, j, d, r, d->incident ? ENTRY_HELD : ENTRY_CARRY, d->incident ? 0 : due,
	                 (struct bytes){0});
	e->incident = d->incident;
	e->destination = destination_of(j, r->address);
}

/* The Junk folder by its special use, so that a renamed one is found. */
static struct bytes junk_name(const struct account *a)
{
	for (size_t i = 0; i < a->mailbox_count; i++) {
		if (a->mailboxes[i]->now.attributes & MAILBOX_JUNK)
			return a->mailboxes[i]->now.name;
	}
	return BYTES("INBOX");
}

struct bytes deliver_folder(const struct delivery *d, const struct account *a, struct bytes mailbox)
{
	return d->junk && bytes_equal_nocase(mailbox, BYTES("INBOX")) ? junk_name(a) : mailbox;
}

void deliver(struct store *s, struct job *j, struct delivery *d, const struct recipient *r)
{
	struct route route = route_of(s, s->writer_config, &j->arena, r->address, d->size);
	struct account *a = route.account;
	time_ms now = j->now > d->hold_until ? j->now : d->hold_until;

	/* Others in this group may have used the quota up since. */
	if (route.class == ROUTE_DIRECT && over_quota(a, a->next.used, d->size))
		route.class = ROUTE_FULL;
	if ((route.class == ROUTE_DIRECT || route.class == ROUTE_FULL) && has_it(s, d, a))
		return;
	if (route.class == ROUTE_DIRECT && now > j->now) /* FUTURERELEASE (RFC 4865) */
		route.class = ROUTE_QUEUE;
	switch (route.class) {
	case ROUTE_DIRECT:
		deliver_place(s, j, d, a, deliver_folder(d, a, BYTES("INBOX")), 0);
		deliver_expanded(s, j, d, r);
		break;
	case ROUTE_FULL:
		deliver_entry(s, j, d, r, ENTRY_READY, now + FULL_RETRY_S * 1000,
		              BYTES("the mailbox is full"));
		break;
	case ROUTE_SUSPENDED:
		deliver_entry(s, j, d, r, ENTRY_PARKED, 0, BYTES("the account is suspended"));
		break;
	case ROUTE_REMOTE: deliver_elsewhere(s, j, d, r, now); break;
	case ROUTE_QUEUE:
	case ROUTE_UNKNOWN: /* known at RCPT, gone since: the sorter sends it back */
		deliver_entry(s, j, d, r, ENTRY_READY, now, (struct bytes){0});
		break;
	}
}

/* Into a mailbox that a dot file names; one that is not there yet is made. */
static void place_by_name(struct store *s, struct job *j, struct delivery *d, struct account *a,
                          struct bytes name, uint64_t flags)
{
	struct mailbox born = {.next = {.uidnext = 1, .modseq = 1}};

	if (!mailbox_by_name(a, name))
		born.id = mailbox_for_delivery(s, j, a, name);
	if (born.id == 0) {
		deliver_place(s, j, d, a, name, flags);
		return;
	}
	place(s, j, &born, d->mail, flags, d->size, NULL);
	now_has_it(j, d, a);
	d->refs++;
}

/* The account itself, aliases and dot files having been followed. What cannot be placed now
 * becomes an entry that is its
 * own origin: it is placed later and never expanded again. */
void deliver_account(struct store *s, struct job *j, struct delivery *d, const struct recipient *r,
                     struct bytes mailbox, uint64_t flags)
{
	struct account *a = account_by_address(s, r->address);
	struct recipient own = *r;

	own.origin = r->address;
	if (!a)
		deliver_entry(s, j, d, r, ENTRY_READY, j->now, (struct bytes){0});
	else if (deliver_had(s, d, a))
		return; /* by an earlier transaction; a dot file may name two folders */
	else if (a->now.suspended)
		deliver_entry(s, j, d, &own, ENTRY_PARKED, 0, BYTES("the account is suspended"));
	else if (over_quota(a, a->next.used, d->size))
		deliver_entry(s, j, d, &own, ENTRY_READY, j->now + FULL_RETRY_S * 1000,
		              BYTES("the mailbox is full"));
	else {
		place_by_name(s, j, d, a, deliver_folder(d, a, mailbox), flags);
		deliver_expanded(s, j, d, r);
	}
}

/* ---- COMMIT ---- */

static bool parse_recipient(struct wire *w, struct recipient *ret)
{
	*ret = (struct recipient){0};
	ret->address = wire_block(w);
	ret->notify = wire_u8(w);
	ret->orcpt = wire_block(w);
	return !w->bad && ret->address.len && ret->address.len <= LIMIT_ADDRESS;
}

static struct change *mail_change(struct store *s, struct job *j, uint64_t size, int64_t received,
                                  struct bytes summary)
{
	struct change *c = job_change(j, CHANGE_MAIL);

	c->mail = (struct change_mail){.id = s->counters.mail,
	                               .received = received,
	                               .size = size,
	                               .segment = IN_RECORD,
	                               .summary = summary};
	if (j->placed) {
		c->mail.segment = 0;
		c->mail.offset = j->place.offset;
		c->mail.stored = j->place.stored;
		j->place_used = true;
	}
	return c;
}

/* "as people see it" */
static struct bytes mail_id_text(struct arena *arena, uint64_t mail)
{
	return arena_printf(arena, "%08llX", (unsigned long long)mail);
}

static void key_change(struct job *j, struct bytes key, uint64_t mail, uint32_t uidvalidity,
                       uint32_t uid)
{
	struct change *c = job_change(j, CHANGE_KEY);

	c->key = (struct change_key){key, mail, uidvalidity, uid, j->now};
}

/* The answer that this key got before. One that is in this very group is not known yet:
 * j->again. */
static bool answered_before(struct store *s, struct job *j, struct bytes key,
                            struct key_answer *ret)
{
	struct bytes rest = buf_bytes(&s->group_keys);
	struct key_answer *k;

	*ret = (struct key_answer){0};
	store_hold(s);
	k = map_get(&s->keys, key);
	if (k)
		*ret = *k;
	store_let(s);
	for (; !k && rest.len; rest = bytes_skip(rest, KEY_LEN))
		j->again = j->again || bytes_equal(bytes_first(rest, KEY_LEN), key);
	return k || j->again;
}

/* After deliveries: whom the sorter must not give it again. */
static void delivered_changes(struct job *j, const struct delivery *d)
{
	for (size_t i = 0; d->queued && i < d->have_count; i++) {
		struct change *c = job_change(j, CHANGE_DELIVERED);

		c->delivered = (struct change_delivered){d->mail, d->have[i]->id};
	}
}

/* Strangers may not, nor sessions that nobody has logged in to (ask.def: COMMIT). */
static bool may_carry(const struct job *j)
{
	return j->from.role != MX && (j->from.role != ACCESS || j->owner);
}

/* Refused by the checks: kept, and given to nobody. */
static enum result commit_escrowed(struct store *s, struct job *j, struct why *why)
{
	const struct ask_commit *a = &j->ask.commit;
	uint64_t mail = s->counters.mail, size = a->trace.len + j->spool->size;
	enum result result;

	if (j->from.role != MX)
		return why_set(why, DENIED, "only what strangers send is kept in escrow");
	mail_change(s, j, size, j->now, a->summary)->mail.refs = 1;
	if ((result = escrow_commit(s, j, mail, size, why)) != OK)
		return result;
	key_change(j, a->key, mail, 0, 0);
	j->answer.commit.id = mail_id_text(&j->arena, mail);
	return j->placed ? OK : spool_pack(s, j, a->trace, mail, why);
}

/* Who writes to whom, so that it can be missed: strangers, and programs of this host. */
static void note_rhythms(struct store *s, struct job *j)
{
	struct wire w = wire_of(j->ask.commit.recipients);
	struct recipient r;

	while (!wire_end(&w) && parse_recipient(&w, &r))
		rhythm_note(s, j, j->ask.commit.sender, r.address);
}

static enum result commit_spooled(struct store *s, struct job *j, struct why *why)
{
	const struct ask_commit *a = &j->ask.commit;
	struct wire w = wire_of(a->recipients);
	struct delivery d = {.mail = s->counters.mail,
	                     .size = a->trace.len + j->spool->size,
	                     .junk = a->junk != 0,
	                     .sender = a->sender,
	                     .envid = a->envid,
	                     .ret = a->ret,
	                     .queued_at = j->now,
	                     .owner = j->owner,
	                     .options = a->options & (uint8_t)~ENTRY_JUNK,
	                     .body = a->body,
	                     .priority = a->priority,
	                     .deliver_by = a->deliver_by,
	                     .by_mode = a->by_mode,
	                     .hold_until = a->hold_until,
	                     .may_carry = may_carry(j)};
	struct recipient r;
	size_t mail_at;
	enum result result;

	if (j->owner &&
	    (result = sending_commit(s, j, j->owner, a->recipients, &d.incident, why)) != OK)
		return result;
	if (j->owner)
		own_address_over(s, j, j->owner);
	mail_at = j->change_count;
	mail_change(s, j, d.size, j->now, a->summary);
	for (size_t nth = 0; !wire_end(&w); nth++) {
		if (!parse_recipient(&w, &r))
			return why_set(why, INVALID, "the recipients are malformed");
		d.junk = a->junk || (nth < 64 && a->junk_of >> nth & 1);
		deliver(s, j, &d, &r);
	}
	if (d.denied && j->from.role == ACCESS && j->now - s->opened < GRACE_MS)
		return why_set(why, UNAVAILABLE, "the store is starting");
	if (d.denied)
		return why_set(why, DENIED, "this session may not send to other hosts");
	if (d.refs == 0)
		return why_set(why, INVALID, "there is no recipient");
	j->changes[mail_at].mail.refs = d.refs;
	delivered_changes(j, &d);
	key_change(j, a->key, d.mail, 0, 0);
	j->answer.commit.id = mail_id_text(&j->arena, d.mail);
	result = j->placed ? OK : spool_pack(s, j, a->trace, d.mail, why);
	if (result == OK && !d.junk && (j->from.role == MX || a->local_uid))
		note_rhythms(s, j);
	return result;
}

enum result run_commit(struct store *s, struct job *j, struct why *why)
{
	const struct ask_commit *a = &j->ask.commit;
	struct key_answer before;

	if (a->key.len != KEY_LEN)
		return why_set(why, INVALID, "a key has 16 octets");
	if (answered_before(s, j, a->key, &before)) {
		j->answer.commit.id = mail_id_text(&j->arena, before.mail);
		return OK;
	}
	if (!j->spool)
		return why_set(why, NOT_FOUND, "there is no spool %u", a->spool);
	return a->escrow ? commit_escrowed(s, j, why) : commit_spooled(s, j, why);
}

enum result run_committed(struct store *s, struct job *j, struct why *why)
{
	const struct key_answer *k = map_get(&s->keys, j->ask.committed.key);

	if (!k)
		return why_set(why, NOT_FOUND, "nothing was committed under this key");
	j->answer.committed.id = mail_id_text(&j->arena, k->mail);
	j->answer.committed.uidvalidity = k->uidvalidity;
	j->answer.committed.uid = k->uid;
	return OK;
}

/* ---- APPEND ---- */

enum result run_append(struct store *s, struct job *j, struct why *why)
{
	const struct ask_append *a = &j->ask.append;
	struct mailbox *m;
	struct key_answer before;
	uint64_t flags = a->flags & 0x1f, size, mail = s->counters.mail;
	uint32_t uid;
	struct change *c;

	if (a->key.len != KEY_LEN)
		return why_set(why, INVALID, "a key has 16 octets");
	if (answered_before(s, j, a->key, &before)) {
		j->answer.append.uidvalidity = before.uidvalidity;
		j->answer.append.uid = before.uid;
		return OK;
	}
	if (!j->spool)
		return why_set(why, NOT_FOUND, "there is no spool %u", a->spool);
	m = mailbox_by_name(j->account, a->name);
	if (!m)
		return why_set(why, NOT_FOUND, "there is no mailbox of this name");
	size = j->spool->size;
	if (over_quota(j->account, j->account->next.used, size))
		return why_set(why, OVER_QUOTA, "the account's quota is used up");
	if (keywords_add(s, j, m, a->keywords, &flags, why) != OK)
		return OVER_QUOTA;
	c = mail_change(s, j, size, a->received ? a->received : j->now, a->summary);
	c->mail.refs = 1;
	place(s, j, m, mail, flags, size, &uid);
	key_change(j, a->key, mail, m->next.uidvalidity, uid);
	j->answer.append.uidvalidity = m->next.uidvalidity;
	j->answer.append.uid = uid;
	return j->placed ? OK : spool_pack(s, j, (struct bytes){0}, mail, why);
}
