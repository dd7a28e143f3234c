/* QUEUE_* of ADMIN: what waits, why, and what the operator does about it.
 *
 * A subject says which entries (ask.h: enum admin_verb). They are looked for by a reader, in the order of
 * their numbers, a page at a time; what is to be changed then goes to the writer, which looks again at each.
 * `next` is the last number looked at: a command that touches a million entries is many small groups. */
#include <jansson.h>
#include <stdio.h>

#include "base/text.h"
#include "store/life.h"
#include "store/queue.h"
#include "watch/incident.h"

static const char *const state_names[ENTRY_STATES] = {"ready", "held", "carry", "parked"};
static const char *const task_names[] = {"route", "failed", "delayed", "relayed", "expanded"};

/* ---- the subject ---- */

enum subject_kind {
	SUBJECT_ALL,
	SUBJECT_MAIL,
	SUBJECT_ENTRY,
	SUBJECT_INCIDENT,
	SUBJECT_STATE,
	SUBJECT_ADDRESS,
	SUBJECT_DOMAIN
};

struct subject {
	enum subject_kind kind;
	uint64_t number;
	struct bytes text;
};

static bool hex_number(struct bytes b, uint64_t *ret)
{
	*ret = 0;
	if (b.len < 8 || b.len > 15)
		return false;
	for (size_t i = 0; i < b.len; i++) {
		char c = text_lower_char(b.ptr[i]);

		if (!text_is_digit(c) && (c < 'a' || c > 'f'))
			return false;
		*ret = *ret * 16 + (uint64_t)(text_is_digit(c) ? c - '0' : c - 'a' + 10);
	}
	return true;
}

static bool word_number(struct bytes b, struct bytes word, uint64_t *ret)
{
	return bytes_starts(b, word) && bytes_to_u64(bytes_skip(b, word.len), INT64_MAX, ret) == OK;
}

static bool state_number(struct bytes b, uint64_t *ret)
{
	if (!bytes_starts(b, BYTES("state:")))
		return false;
	for (*ret = 0; *ret < ENTRY_STATES; ++*ret) {
		if (bytes_equal_nocase(bytes_skip(b, 6), bytes_of_text(state_names[*ret])))
			return true;
	}
	return false;
}

static enum result domain_subject(struct job *j, struct bytes name, struct subject *ret)
{
	ret->kind = SUBJECT_DOMAIN;
	if (config_domain_canonical(name, &j->arena, &ret->text) != OK)
		ret->text = name;
	return OK;
}

static enum result subject_parse(struct job *j, struct subject *ret, struct why *why)
{
	struct bytes b = bytes_trim(j->ask.admin.subject);

	*ret = (struct subject){.text = b};
	if (b.len == 0 || bytes_equal_nocase(b, BYTES("all")))
		return OK;
	if (bytes_to_u64(b, 9999999, &ret->number) == OK && b.len < 8)
		ret->kind = SUBJECT_ENTRY;
	else if (hex_number(b, &ret->number))
		ret->kind = SUBJECT_MAIL;
	else if (word_number(b, BYTES("entry:"), &ret->number))
		ret->kind = SUBJECT_ENTRY;
	else if (word_number(b, BYTES("incident:"), &ret->number))
		ret->kind = SUBJECT_INCIDENT;
	else if (state_number(b, &ret->number))
		ret->kind = SUBJECT_STATE;
	else if (b.ptr[0] == '@')
		return domain_subject(j, bytes_skip(b, 1), ret);
	else if (bytes_find_char(b, '@') != BYTES_NONE)
		ret->kind = SUBJECT_ADDRESS;
	else if (bytes_find_char(b, '.') != BYTES_NONE || b.ptr[0] == '[')
		return domain_subject(j, b, ret);
	else
		return why_set(why, INVALID,
		               "%.*s is no queue id (8 hex digits), entry:N, address, @domain,"
		               " incident:N, state:ready|held|carry|parked or all",
		               BYTES_ARG(bytes_first(b, 80)));
	return OK;
}

#define FIND "SELECT id, rcpt, sender, destination FROM entry WHERE "

/* Destinations that an incident holds, and the owner whose sending it holds: its key is his name (store/life.h). */
#define HELD_DESTINATIONS "SELECT name FROM destination WHERE incident>0 AND incident=?1"
#define HELD_OWNER                                                                     \
	"SELECT CASE WHEN CAST(i.key AS TEXT) LIKE 'uid:%'"                            \
	" THEN (1<<40) + CAST(SUBSTR(CAST(i.key AS TEXT),5) AS INTEGER) ELSE a.id END" \
	" FROM incident i LEFT JOIN account a ON a.address=i.key"                      \
	" WHERE i.id=?1 AND i.kind=3 AND i.until=0"

_Static_assert(SENDING_UID == 1ULL << 40 && INCIDENT_SENDING == 3, "HELD_OWNER says them in SQL");

/* What it holds itself, and what it will hold when its turn comes: behind such destinations, of such an owner. No
 * index gives all in the order of numbers, so they are looked for among all entries, only where there are such. */
static struct db_query *incident_query(struct db *db, uint64_t incident)
{
	struct db_query *q = db_query(db, "SELECT 1 WHERE EXISTS (" HELD_DESTINATIONS
	                                  ") OR EXISTS (" HELD_OWNER ")");
	bool wide;

	db_bind(q, "u", incident);
	wide = db_next(q);
	if (wide)
		db_end(q);
	return wide ? db_query(db, FIND "(+incident=?1 OR (+state=2 AND"
	                                " (+destination IN (" HELD_DESTINATIONS ")"
	                                " OR +owner IN (" HELD_OWNER ")))) AND id>?2 ORDER BY id")
	            : db_query(db, FIND "incident>0 AND incident=? AND id>? ORDER BY id");
}

static struct db_query *subject_query(struct db *db, const struct subject *b, uint64_t after)
{
	struct db_query *q;

	switch (b->kind) {
	case SUBJECT_MAIL: q = db_query(db, FIND "mail=? AND id>? ORDER BY id"); break;
	case SUBJECT_ENTRY: q = db_query(db, FIND "id=? AND id>? ORDER BY id"); break;
	case SUBJECT_STATE: q = db_query(db, FIND "state=? AND id>? ORDER BY id"); break;
	case SUBJECT_INCIDENT: q = incident_query(db, b->number); break;
	default:
		q = db_query(db, FIND "id>? ORDER BY id");
		db_bind(q, "u", after);
		return q;
	}
	db_bind(q, "uu", b->number, after);
	return q;
}

static bool subject_fits(const struct subject *b, struct db_query *q)
{
	if (b->kind == SUBJECT_ADDRESS)
		return bytes_equal_nocase(db_bytes(q, 1), b->text) ||
		       bytes_equal_nocase(db_bytes(q, 2), b->text);
	return b->kind != SUBJECT_DOMAIN || bytes_equal(db_bytes(q, 3), b->text);
}

/* The next numbers that fit, at most `most`; *ret_more: there are others behind the last. */
static size_t subject_ids(struct job *j, const struct subject *b, uint64_t *ids, size_t most,
                          bool *ret_more)
{
	struct db_query *q = subject_query(j->reader->db, b, j->ask.admin.number);
	size_t count = 0;

	*ret_more = false;
	while (db_next(q)) {
		if (!subject_fits(b, q))
			continue;
		if (count == most) {
			*ret_more = true;
			db_end(q);
			break;
		}
		ids[count++] = db_u64(q, 0);
	}
	return count;
}

/* ---- rows ---- */

struct told {
	const char *state;
	unsigned open, limit;
	bool known;
	uint64_t sender_held; /* by this incident: it will be held when it is due */
};

static struct told told_of(struct store *s, const struct change_entry *e)
{
	struct told t = {.state = e->state < ENTRY_STATES ? state_names[e->state] : "?"};
	const struct destination *d;
	const struct claim *c;

	store_hold(s);
	c = map_get_u64(&s->queue->claims, e->id);
	if (c && c->lease)
		t.state = c->batch ? "carrying" : "sorting";
	if (e->state == ENTRY_CARRY)
		t.sender_held = sending_held(s, e->owner);
	d = destination_find(s, e->destination);
	if (d) {
		t.known = true;
		t.open = d->open;
		t.limit = d->limit;
	}
	store_let(s);
	return t;
}

static struct bytes because(struct job *j, const struct change_entry *e,
                            const struct change_destination *d, uint64_t sender_held)
{
	static const char *const tasks[] = {
	        "waits for the sorter", "could not be delivered: goes back to its sender",
	        "late: its sender is told", "relayed: its sender is told",
	        "delivered: its sender is told"};

	if (sender_held)
		return arena_printf(&j->arena, "what its sender sends is held by incident %llu",
		                    (unsigned long long)sender_held);
	if (e->reason.len)
		return e->reason;
	if (e->state == ENTRY_HELD && e->incident)
		return arena_printf(&j->arena, "held by incident %llu: %.*s",
		                    (unsigned long long)e->incident, BYTES_ARG(e->reply));
	if (e->state == ENTRY_READY && e->task < 5)
		return bytes_of_text(tasks[e->task]);
	if (e->state != ENTRY_CARRY)
		return e->reply;
	if (d->incident)
		return arena_printf(&j->arena, "%.*s is held by incident %llu",
		                    BYTES_ARG(d->provider), (unsigned long long)d->incident);
	if (d->failures && d->not_before > e->due)
		return arena_printf(&j->arena, "no host of %.*s could be used: %.*s",
		                    BYTES_ARG(e->destination), BYTES_ARG(d->reply));
	if (e->reply.len)
		return e->reply;
	return e->due > j->now ? BYTES("its time has not come") : BYTES("waits for the courier");
}

static void set_number(json_t *o, const char *name, int64_t v)
{
	json_object_set_new(o, name, json_integer((json_int_t)v));
}

static void set_text(json_t *o, const char *name, struct bytes v)
{
	json_object_set_new(o, name, admin_text(v));
}

static int64_t due_of(const struct change_entry *e, const struct change_destination *d)
{
	return e->state == ENTRY_CARRY && d->not_before > e->due && d->not_before < HELD_UNTIL
	               ? d->not_before
	               : e->due;
}

static json_t *entry_json(struct store *s, struct job *j, const struct entry_row *r, bool all)
{
	const struct change_entry *e = &r->e;
	struct change_destination d = {0};
	struct told told = told_of(s, e);
	json_t *o = json_object();

	if (e->destination.len)
		destination_row_read(j->reader->db, &j->arena, e->destination, &d);
	set_text(o, "id", arena_printf(&j->arena, "%llu", (unsigned long long)e->id));
	set_text(o, "mail", arena_printf(&j->arena, "%08llX", (unsigned long long)e->mail));
	set_text(o, "state", bytes_of_text(told.state));
	set_text(o, "task", bytes_of_text(e->task < 5 ? task_names[e->task] : "?"));
	set_number(o, "due_ms", due_of(e, &d));
	set_number(o, "tries", e->tries);
	set_number(o, "queued_ms", e->queued);
	set_text(o, "sender", e->sender);
	set_text(o, "recipient", e->rcpt);
	set_text(o, "origin", e->origin);
	set_text(o, "reason", because(j, e, &d, told.sender_held));
	set_number(o, "size", (int64_t)r->size);
	set_text(o, "destination", e->destination);
	set_text(o, "provider", d.provider);
	set_number(o, "incident",
	           (int64_t)(e->incident        ? e->incident
	                     : told.sender_held ? told.sender_held
	                                        : d.incident));
	set_number(o, "expires_ms", e->expires);
	set_number(o, "age_ms", j->now - e->queued);
	set_number(o, "attempted_ms", e->attempted);
	set_text(o, "status", e->status);
	set_text(o, "reply", e->reply);
	set_text(o, "remote", e->remote);
	if (!all)
		return o;
	set_number(o, "priority", (int8_t)e->priority);
	set_number(o, "warned", e->warned);
	set_number(o, "deliver_by_ms", e->deliver_by);
	set_number(o, "owner", (int64_t)e->owner);
	set_text(o, "envid", e->envid);
	set_number(o, "destination_failures", d.failures);
	set_number(o, "destination_not_before_ms", d.not_before < HELD_UNTIL ? d.not_before : 0);
	set_text(o, "destination_reply", d.reply);
	set_text(o, "destination_remote", d.remote);
	set_number(o, "destination_connections", told.open);
	set_number(o, "destination_connections_max", told.known ? told.limit : 0);
	return o;
}

/* ---- LIST, SHOW, WHY ---- */

enum { PAGE = 1000 };

static enum result list_page(struct store *s, struct job *j, bool all, struct why *why)
{
	struct subject b;
	struct buf rows = {0};
	uint64_t *ids = arena_get(&j->arena, PAGE * sizeof(*ids));
	size_t count;
	bool more;

	if (subject_parse(j, &b, why) != OK)
		return INVALID;
	count = subject_ids(j, &b, ids, PAGE, &more);
	for (size_t i = 0; i < count; i++) {
		struct entry_row r;

		if (!entry_row_read(j->reader->db, &j->arena, ids[i], false, &r))
			continue;
		if (!admin_row(&rows, entry_json(s, j, &r, all))) {
			j->answer.admin.next = ids[i] - 1;
			more = false;
			break;
		}
	}
	if (more)
		j->answer.admin.next = ids[count - 1];
	admin_rows_done(j, &rows);
	if (count == 0 && b.kind != SUBJECT_ALL && j->ask.admin.number == 0 && all)
		return why_set(why, NOT_FOUND, "nothing in the queue is %.*s", BYTES_ARG(b.text));
	return db_failed(j->reader->db, why);
}

enum result admin_queue_list(struct store *s, struct job *j, struct why *why)
{
	return list_page(s, j, false, why);
}

enum result admin_queue_show(struct store *s, struct job *j, struct why *why)
{
	return list_page(s, j, true, why);
}

/* ---- SUMMARY ---- */

static json_t *summary_json(struct store *s, struct job *j, struct db_query *q)
{
	struct bytes name = arena_copy(&j->arena, db_bytes(q, 0));
	struct change_destination d = {0};
	json_t *o = json_object();

	(void)s;
	set_text(o, "destination", name.len ? name : BYTES("(here)"));
	set_number(o, "count", db_i64(q, 1));
	set_number(o, "carry", db_i64(q, 2));
	set_number(o, "held", db_i64(q, 3));
	set_number(o, "oldest_ms", db_i64(q, 4));
	set_number(o, "due_ms", db_i64(q, 5));
	set_number(o, "size", db_i64(q, 7));
	if (name.len)
		destination_row_read(j->reader->db, &j->arena, name, &d);
	set_text(o, "provider", d.provider);
	set_number(o, "incident", d.incident ? (int64_t)d.incident : db_i64(q, 6));
	set_number(o, "failures", d.failures);
	set_number(o, "not_before_ms", d.not_before < HELD_UNTIL ? d.not_before : 0);
	set_text(o, "reply", d.reply);
	return o;
}

enum result admin_queue_summary(struct store *s, struct job *j, struct why *why)
{
	struct db_query *q = db_query(
	        j->reader->db,
	        "SELECT e.destination, COUNT(*) n, SUM(e.state=2), SUM(e.state=1), MIN(e.queued),"
	        " COALESCE(MIN(CASE WHEN e.state IN (0,2) THEN e.due END),0), MAX(e.incident),"
	        " SUM(COALESCE(m.size,0)) FROM entry e LEFT JOIN mail m ON m.id=e.mail"
	        " GROUP BY e.destination ORDER BY n DESC, e.destination LIMIT -1 OFFSET ?");
	uint64_t at = j->ask.admin.number;
	struct buf rows = {0};

	db_bind(q, "u", at);
	while (db_next(q)) {
		if (!admin_row(&rows, summary_json(s, j, q))) {
			j->answer.admin.next = at;
			db_end(q);
			break;
		}
		at++;
	}
	admin_rows_done(j, &rows);
	return db_failed(j->reader->db, why);
}

/* ---- what changes something ---- */

/* What an act did to a mail's references, all its entries together. */
struct act {
	uint64_t mail[ALARM_BATCH];
	int64_t more[ALARM_BATCH];
	size_t count, done, busy;
	struct delivery given; /* of the last mail: an account gets one copy of it */
	struct buf rows;
};

static void act_refs(struct act *a, uint64_t mail, int64_t more)
{
	for (size_t i = 0; i < a->count; i++) {
		if (a->mail[i] == mail) {
			a->more[i] += more;
			return;
		}
	}
	a->mail[a->count] = mail;
	a->more[a->count++] = more;
}

typedef bool act_function(struct store *s, struct job *j, struct act *a, const struct entry_row *r);

static void act_note(struct job *j, const struct change_entry *e, enum ledger_reason reason,
                     struct bytes text)
{
	ledger_note(j, &(struct ledger_event){.reason = reason,
	                                      .mail = e->mail,
	                                      .sender = e->sender,
	                                      .rcpt = e->rcpt,
	                                      .text = text});
}

static bool act_hold(struct store *s, struct job *j, struct act *a, const struct entry_row *r)
{
	struct change_entry_tried *t;

	(void)s;
	(void)a;
	if (r->e.state == ENTRY_HELD && r->e.incident == 0)
		return false;
	t = entry_tried_change(j, &r->e);
	t->state = ENTRY_HELD;
	t->due = 0;
	t->incident = 0;
	t->reason = BYTES("held by the operator");
	act_note(j, &r->e, LEDGER_HELD, BYTES("why=operator"));
	return true;
}

static bool act_release(struct store *s, struct job *j, struct act *a, const struct entry_row *r)
{
	struct change_entry_tried *t;

	(void)s;
	(void)a;
	if (r->e.state != ENTRY_HELD)
		return false;
	t = entry_tried_change(j, &r->e);
	t->incident = 0;
	entry_released(j, &r->e, t);
	act_note(j, &r->e, LEDGER_RELEASED, BYTES("why=operator"));
	return true;
}

/* Now, instead of when it is due: the destination's backoff is over, too. */
/* What an incident holds is tried with one mail, now: if the other side takes it, all of it goes on. */
static bool retry_held(struct store *s, struct job *j, const struct entry_row *r)
{
	struct change_destination d;
	uint64_t incident = r->e.state == ENTRY_HELD ? r->e.incident : 0;

	if (r->e.state == ENTRY_CARRY &&
	    destination_row_read(s->db, &j->arena, r->e.destination, &d))
		incident = d.incident;
	if (incident == 0 || !hold_probe_now(s, incident))
		return false;
	act_note(j, &r->e, LEDGER_RETRIED, (struct bytes){0});
	return true;
}

static bool act_retry(struct store *s, struct job *j, struct act *a, const struct entry_row *r)
{
	struct change_destination d;
	struct change_entry_tried *t;

	(void)a;
	if (retry_held(s, j, r))
		return true;
	if (r->e.state != ENTRY_READY && r->e.state != ENTRY_CARRY)
		return false;
	t = entry_tried_change(j, &r->e);
	if (t->due > j->now)
		t->due = j->now;
	if (r->e.state == ENTRY_CARRY &&
	    destination_row_read(s->db, &j->arena, r->e.destination, &d) && !d.incident &&
	    d.not_before > j->now) {
		struct change *c = job_change(j, CHANGE_DESTINATION);

		d.not_before = 0;
		c->destination = d;
	}
	act_note(j, &r->e, LEDGER_RETRIED, (struct bytes){0});
	return true;
}

static bool act_remove(struct store *s, struct job *j, struct act *a, const struct entry_row *r)
{
	(void)s;
	entry_gone_change(j, &r->e);
	act_refs(a, r->e.mail, -1);
	act_note(j, &r->e, LEDGER_REMOVED, (struct bytes){0});
	return true;
}

static bool act_redirect(struct store *s, struct job *j, struct act *a, const struct entry_row *r)
{
	const struct change_entry *e = &r->e;
	struct delivery d = {.mail = e->mail,
	                     .size = r->size,
	                     .sender = e->sender,
	                     .envid = e->envid,
	                     .ret = e->ret,
	                     .queued_at = j->now, /* its time begins anew */
	                     .owner = e->owner,
	                     .options = e->options & (uint8_t)~ENTRY_JUNK,
	                     .body = e->body,
	                     .priority = e->priority,
	                     .may_carry = true};
	struct recipient to = {.address = j->ask.admin.value,
	                       .orcpt = e->orcpt,
	                       .origin = e->rcpt,
	                       .notify = e->notify};
	size_t had = 0;

	if (a->given.mail == e->mail) {
		d.have = a->given.have;
		d.have_count = had = a->given.have_count;
		d.have_size = a->given.have_size;
	}
	deliver(s, j, &d, &to);
	a->given = d;
	for (size_t i = had; i < d.have_count; i++) {
		struct change *c = job_change(j, CHANGE_DELIVERED);

		c->delivered = (struct change_delivered){d.mail, d.have[i]->id};
	}
	entry_gone_change(j, e);
	act_refs(a, e->mail, (int64_t)d.refs - 1);
	act_note(j, e, LEDGER_REDIRECTED,
	         arena_printf(&j->arena, "to=%.*s", BYTES_ARG(j->ask.admin.value)));
	return true;
}

static void act_one(struct store *s, struct job *j, struct act *a, uint64_t id,
                    act_function *function)
{
	struct entry_row r;

	if (!queue_claim(s, j, id)) {
		a->busy++;
		return;
	}
	if (!entry_row_read(s->db, &j->arena, id, false, &r) || !function(s, j, a, &r))
		return;
	a->done++;
	admin_row(
	        &a->rows,
	        json_pack(
	                "{s:o,s:o,s:o}", "id",
	                admin_text(arena_printf(&j->arena, "%llu", (unsigned long long)id)), "mail",
	                admin_text(arena_printf(&j->arena, "%08llX", (unsigned long long)r.e.mail)),
	                "recipient", admin_text(r.e.rcpt)));
}

static act_function *act_of(unsigned verb)
{
	switch (verb) {
	case ADMIN_QUEUE_HOLD: return act_hold;
	case ADMIN_QUEUE_RELEASE: return act_release;
	case ADMIN_QUEUE_RETRY: return act_retry;
	case ADMIN_QUEUE_REMOVE: return act_remove;
	default: return act_redirect;
	}
}

/* The writer: j->answer.admin.rows are the numbers that the reader found. */
static enum result run_act(struct store *s, struct job *j, struct why *why)
{
	struct wire w = wire_of(j->answer.admin.rows);
	struct act a = {0};

	while (!wire_end(&w))
		act_one(s, j, &a, wire_u64(&w), act_of(j->ask.admin.verb));
	for (size_t i = 0; i < a.count; i++)
		settle_references(s, j, a.mail[i], a.more[i]);
	if (a.done == 0 && a.busy && !j->answer.admin.next && j->ask.admin.number == 0) {
		buf_done(&a.rows);
		return why_set(why, UNAVAILABLE, "a sorter or courier has it just now");
	}
	admin_rows_done(j, &a.rows);
	return OK;
}

static bool value_fits(const struct job *j)
{
	struct bytes v = j->ask.admin.value;
	size_t at = bytes_find_last(v, '@');

	return j->ask.admin.verb != ADMIN_QUEUE_REDIRECT ||
	       (at != BYTES_NONE && at > 0 && at + 1 < v.len && v.len <= LIMIT_ADDRESS);
}

/* Each makes up to four effects, and a redirected one a few more: the record stays small. */
enum { ACT_BATCH = ALARM_BATCH };

/* A reader. */
enum result admin_queue_act(struct store *s, struct job *j, struct why *why)
{
	struct subject b;
	struct buf out = {0};
	uint64_t ids[ACT_BATCH];
	size_t count;
	bool more;
	enum result result;

	(void)s;
	if (subject_parse(j, &b, why) != OK)
		return INVALID;
	if (!value_fits(j))
		return why_set(why, INVALID, "mail is redirected to an address");
	if (b.kind == SUBJECT_ALL && b.text.len == 0 && j->ask.admin.verb != ADMIN_QUEUE_RETRY)
		return why_set(why, INVALID, "say which: all is a word, too");
	count = subject_ids(j, &b, ids, ACT_BATCH, &more);
	if ((result = db_failed(j->reader->db, why)) != OK)
		return result;
	if (count == 0 && b.kind != SUBJECT_ALL && j->ask.admin.number == 0)
		return why_set(why, NOT_FOUND, "nothing in the queue is %.*s", BYTES_ARG(b.text));
	for (size_t i = 0; i < count; i++)
		buf_u64(&out, ids[i]);
	j->answer.admin.rows = arena_copy(&j->arena, buf_bytes(&out));
	j->answer.admin.next = more ? ids[count - 1] : 0;
	buf_done(&out);
	j->run = run_act;
	j->urgent = true;
	j->later = true;
	return OK;
}
