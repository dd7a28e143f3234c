/* Who sends, how much, and whether that is still who it was: limits, figures, holding.
 *
 * What an owner sends is counted in buckets of ten minutes (kept for two days, change SENT) and in days
 * (kept for 60, change SENT_DAY); "in an hour" and "in a day" count every bucket that reaches into the last
 * hour or day, so a limit never lets more through than it says, and now and then frees up to ten minutes
 * late. All of it is durable with the mail itself. */
#include <jansson.h>
#include <stdio.h>

#include "base/text.h"
#include "policy/reply.h"
#include "store/life.h"
#include "store/sending_judge.h"
#include "watch/incident.h"

#define HOUR_MS (3600LL * 1000)
#define DAY_MS (24 * HOUR_MS)
#define BUCKETS_KEPT_MS (2 * DAY_MS)
#define DAYS_KEPT_MS (60 * DAY_MS)

/* ---- whose ---- */

/* Local users speak to access only, which the kernel tells who they are. */
static uint64_t owner_of(struct store *s, const struct job *j)
{
	bool commit = j->ask.kind == ASK_COMMIT;
	uint32_t local = commit ? j->ask.commit.local_uid : j->ask.sender.local_uid;
	uint64_t named = commit ? 0 : j->ask.sender.front_session;
	struct session *session;

	if (j->from.role != ACCESS && (commit || j->from.role != KEEPER))
		return 0;
	if (local)
		return SENDING_UID | (local - 1);
	session = j->from.role == KEEPER ? map_get_u64(&s->sessions, named)
	                                 : session_get(s, j->from, j->ask.session, false);
	return session && session->peer.role == ACCESS ? session->sender : 0;
}

struct bytes sending_name(struct store *s, struct arena *arena, uint64_t owner)
{
	const struct account *a;
	struct bytes name = {0};

	if (owner & SENDING_UID)
		return arena_printf(arena, "uid:%llu", (unsigned long long)(owner & ~SENDING_UID));
	store_hold(s);
	a = account_by_id(s, owner);
	if (a)
		name = arena_copy(arena, a->now.address);
	store_let(s);
	return name;
}

/* ---- held ---- */

uint64_t sending_held(struct store *s, uint64_t owner)
{
	const struct account *a;
	char uid[32];

	if (owner == 0 || s->incidents.count == 0)
		return 0;
	if (owner & SENDING_UID) {
		snprintf(uid, sizeof(uid), "uid:%llu", (unsigned long long)(owner & ~SENDING_UID));
		return incident_seen(s, INCIDENT_SENDING, bytes_of_text(uid));
	}
	a = account_by_id(s, owner);
	return a ? incident_seen(s, INCIDENT_SENDING, a->now.address) : 0;
}

uint64_t sending_is_held(struct store *s, uint64_t owner)
{
	struct arena arena = {0};
	uint64_t id = owner ? incident_open(s, INCIDENT_SENDING, sending_name(s, &arena, owner))
	                    : 0;

	arena_done(&arena);
	return id;
}

/* ---- figures ---- */

struct bucket {
	int64_t at;
	struct sending_figures f;
};

struct recent {
	struct bucket *list; /* of the last day, oldest first */
	size_t count;
	struct sending_figures hour, day;
};

static void add(struct sending_figures *to, const struct sending_figures *f)
{
	to->messages += f->messages;
	to->recipients += f->recipients;
	to->fresh += f->fresh;
	to->unknown += f->unknown;
	to->results += f->results;
}

static struct sending_figures figures_of(struct db_query *q, int column)
{
	return (struct sending_figures){
	        (uint32_t)db_u64(q, column), (uint32_t)db_u64(q, column + 1),
	        (uint32_t)db_u64(q, column + 2), (uint32_t)db_u64(q, column + 3),
	        (uint32_t)db_u64(q, column + 4)};
}

enum { BUCKETS_MOST = 24 * 6 + 2 };

static struct recent recent_of(struct db *db, struct arena *arena, uint64_t owner, time_ms now)
{
	struct recent r = {.list = arena_get(arena, BUCKETS_MOST * sizeof(*r.list))};
	struct db_query *q = db_query(db, "SELECT at, messages, recipients, fresh, unknown, results"
	                                  " FROM sent WHERE owner=? AND at>? ORDER BY at");

	db_bind(q, "ui", owner, now - DAY_MS - SENDING_BUCKET_MS);
	while (db_next(q)) {
		struct bucket b = {db_i64(q, 0), figures_of(q, 1)};

		if (r.count < BUCKETS_MOST)
			r.list[r.count++] = b;
		add(&r.day, &b.f);
		if (b.at > now - HOUR_MS - SENDING_BUCKET_MS)
			add(&r.hour, &b.f);
	}
	return r;
}

/* ---- limits ---- */

struct limit {
	const char *words; /* "mails in an hour" */
	uint64_t most;     /* 0: none */
	uint32_t used;
	int64_t window;
	bool recipients;
};

enum { LIMITS = 4 };

/* The config's figures are read at once, under the lock where the caller is not the writer. */
static void limits_of(const struct config *c, const struct recent *r, struct limit l[LIMITS])
{
	l[0] = (struct limit){"mails in an hour", c->sending_messages_hour, r->hour.messages,
	                      HOUR_MS, false};
	l[1] = (struct limit){"mails in a day", c->sending_messages_day, r->day.messages, DAY_MS,
	                      false};
	l[2] = (struct limit){"recipients in an hour", c->sending_recipients_hour,
	                      r->hour.recipients, HOUR_MS, true};
	l[3] = (struct limit){"recipients in a day", c->sending_recipients_day, r->day.recipients,
	                      DAY_MS, true};
}

/* When enough old buckets will have left the window for this much more. */
static int64_t free_at(const struct limit *l, const struct recent *r, uint32_t more, time_ms now)
{
	uint64_t used = l->used;
	size_t i = 0;

	while (i < r->count && r->list[i].at <= now - l->window - SENDING_BUCKET_MS)
		i++;
	for (; i < r->count && used + more > l->most; i++)
		used -= l->recipients ? r->list[i].f.recipients : r->list[i].f.messages;
	return i ? r->list[i - 1].at + l->window + SENDING_BUCKET_MS : now;
}

static enum result over(const struct limit *l, const struct recent *r, uint32_t more, time_ms now,
                        struct why *why)
{
	char when[TIME_TEXT];

	if (more > l->most)
		return why_set(why, OVER_QUOTA, "no more than %llu %s may be sent",
		               (unsigned long long)l->most, l->words);
	time_format_rfc3339(free_at(l, r, more, now), when);
	return why_set(why, OVER_QUOTA, "the limit of %llu %s is reached; again from %.16sZ",
	               (unsigned long long)l->most, l->words, when);
}

/* Said in the ledger, too: whoever asks why a web form's mail did not go finds it there. Not locked. */
static void note_refusal(struct store *s, struct job *j, enum ledger_reason reason,
                         const struct why *why)
{
	struct bytes name = sending_name(s, &j->arena, j->owner);

	store_hold(s);
	ledger_put(s, &(struct ledger_event){.reason = reason,
	                                     .session = j->ask.session,
	                                     .sender = name,
	                                     .text = bytes_of_text(why->text)});
	store_let(s);
}

static enum result check_limits(const struct limit l[LIMITS], const struct recent *r,
                                uint32_t recipients, time_ms now, struct why *why)
{
	for (int i = 0; i < LIMITS; i++) {
		uint32_t more = l[i].recipients ? recipients : 1;

		if (l[i].most && l[i].used + (uint64_t)more > l[i].most)
			return over(&l[i], r, more, now, why);
	}
	return OK;
}

static uint32_t recipients_left(const struct limit l[LIMITS])
{
	uint64_t left = UINT32_MAX;

	for (int i = 0; i < LIMITS; i++) {
		uint64_t rest = l[i].most > l[i].used ? l[i].most - l[i].used : 0;

		if (l[i].most && l[i].recipients && rest < left)
			left = rest;
	}
	return (uint32_t)left;
}

/* ---- counting ---- */

static int64_t rounded(int64_t at, int64_t step)
{
	return at - at % step;
}

static bool counted(struct db *db, const char *sql, uint64_t owner, int64_t at,
                    struct sending_figures *ret)
{
	struct db_query *q = db_query(db, sql);
	bool found;

	db_bind(q, "ui", owner, at);
	found = db_next(q);
	if (found)
		*ret = figures_of(q, 0);
	db_end(q);
	return found;
}

static struct change_sent sent_row(uint64_t owner, int64_t at, const struct sending_figures *f)
{
	return (struct change_sent){owner,    at,         f->messages, f->recipients,
	                            f->fresh, f->unknown, f->results};
}

static struct sending_figures of_row(const struct change_sent *c)
{
	return (struct sending_figures){c->messages, c->recipients, c->fresh, c->unknown,
	                                c->results};
}

/* The job's own effect for this owner, to be added to. */
static struct change *own_change(struct job *j, enum change_kind kind, uint64_t owner)
{
	for (size_t i = j->change_count; i-- > 0;) {
		struct change *c = &j->changes[i];

		if (c->kind == kind && c->sent.owner == owner)
			return c;
	}
	return NULL;
}

_Static_assert(sizeof(struct change_sent) == sizeof(struct change_sent_day),
               "SENT and SENT_DAY have the same fields");

static void count_one(struct store *s, struct job *j, enum change_kind kind, const char *sql,
                      uint64_t owner, int64_t at, const struct sending_figures *more)
{
	struct change *c = own_change(j, kind, owner);
	struct sending_figures f = {0};

	if (c)
		f = of_row(&c->sent);
	else
		counted(s->db, sql, owner, at, &f);
	add(&f, more);
	c = c ? c : job_change(j, kind);
	c->sent = sent_row(owner, at, &f);
}

static void count(struct store *s, struct job *j, uint64_t owner,
                  const struct sending_figures *more)
{
	count_one(s, j, CHANGE_SENT,
	          "SELECT messages, recipients, fresh, unknown, results FROM sent"
	          " WHERE owner=? AND at=?",
	          owner, rounded(j->now, SENDING_BUCKET_MS), more);
	count_one(s, j, CHANGE_SENT_DAY,
	          "SELECT messages, recipients, fresh, unknown, results FROM sent_day"
	          " WHERE owner=? AND at=?",
	          owner, rounded(j->now, DAY_MS), more);
}

static void bind_row(struct db_query *q, const struct change_sent *c, bool key_last)
{
	if (key_last)
		db_bind(q, "uuuuuui", (uint64_t)c->messages, (uint64_t)c->recipients,
		        (uint64_t)c->fresh, (uint64_t)c->unknown, (uint64_t)c->results, c->owner,
		        c->at);
	else
		db_bind(q, "uiuuuuu", c->owner, c->at, (uint64_t)c->messages,
		        (uint64_t)c->recipients, (uint64_t)c->fresh, (uint64_t)c->unknown,
		        (uint64_t)c->results);
}

/* Old rows go when a new one begins: nearly all effects only change the newest. */
static void put_row(struct store *s, const char *const sql[3], const struct change_sent *c,
                    int64_t kept_ms)
{
	struct db_query *q = db_query(s->db, sql[0]);

	bind_row(q, c, true);
	db_execute(q);
	if (db_changes(s->db))
		return;
	q = db_query(s->db, sql[1]);
	bind_row(q, c, false);
	db_execute(q);
	q = db_query(s->db, sql[2]);
	db_bind(q, "ui", c->owner, c->at - kept_ms);
	db_execute(q);
}

enum result sent_apply(struct store *s, const struct change_sent *c)
{
	static const char update[] = "UPDATE sent SET messages=?, recipients=?, fresh=?, unknown=?,"
	                             " results=? WHERE owner=? AND at=?";
	static const char insert[] = "INSERT INTO sent VALUES(?, ?, ?, ?, ?, ?, ?)";
	static const char prune[] = "DELETE FROM sent WHERE owner=? AND at<?";

	put_row(s, (const char *const[]){update, insert, prune}, c, BUCKETS_KEPT_MS);
	return OK;
}

enum result sent_day_apply(struct store *s, const struct change_sent_day *c)
{
	static const char update[] = "UPDATE sent_day SET messages=?, recipients=?, fresh=?,"
	                             " unknown=?, results=? WHERE owner=? AND at=?";
	static const char insert[] = "INSERT INTO sent_day VALUES(?, ?, ?, ?, ?, ?, ?)";
	static const char prune[] = "DELETE FROM sent_day WHERE owner=? AND at<?";
	struct change_sent row = {c->owner, c->at,      c->messages, c->recipients,
	                          c->fresh, c->unknown, c->results};

	put_row(s, (const char *const[]){update, insert, prune}, &row, DAYS_KEPT_MS);
	return OK;
}

/* ---- judging ---- */

/* When the last incident of this owner was found to be over: what was before is well. */
static int64_t forgiven(struct store *s, struct bytes name)
{
	struct db_query *q = db_query(
	        s->db, "SELECT MAX(until) FROM incident WHERE kind=? AND key=? AND until>0");
	int64_t at = 0;

	db_bind(q, "ub", (uint64_t)INCIDENT_SENDING, name);
	if (db_next(q))
		at = db_i64(q, 0);
	db_end(q);
	return at;
}

static void history(struct store *s, uint64_t owner, int64_t before, struct sending_facts *f)
{
	struct db_query *q = db_query(
	        s->db, "SELECT MAX(messages), MAX(recipients), MAX(fresh), MAX(unknown),"
	               " MAX(results), COUNT(*) FROM sent_day WHERE owner=? AND at<?");

	db_bind(q, "ui", owner, before);
	if (db_next(q)) {
		f->most = figures_of(q, 0);
		f->days = (unsigned)db_u64(q, 5);
	}
	db_end(q);
}

static void networks(struct store *s, uint64_t owner, int64_t since, struct sending_facts *f)
{
	struct db_query *q = db_query(s->db,
	                              "SELECT COUNT(*), SUM(first>=?) FROM network WHERE owner=?");

	db_bind(q, "iu", since, owner);
	if (db_next(q)) {
		f->networks_new = (unsigned)db_u64(q, 1);
		f->networks = (unsigned)db_u64(q, 0) - f->networks_new;
	}
	db_end(q);
}

static unsigned age_days(struct store *s, uint64_t owner, time_ms now)
{
	int64_t since = now;
	struct db_query *q;

	if (!(owner & SENDING_UID)) {
		struct account *a = account_by_id(s, owner);

		return a && now > a->created ? (unsigned)((now - a->created) / DAY_MS) : 0;
	}
	q = db_query(s->db, "SELECT MIN(at) FROM sent_day WHERE owner=?");
	db_bind(q, "u", owner);
	if (db_next(q) && db_i64(q, 0))
		since = db_i64(q, 0);
	db_end(q);
	return (unsigned)((now - since) / DAY_MS);
}

static struct sending_facts facts_of(struct store *s, struct job *j, uint64_t owner,
                                     const struct recent *r, const struct sending_figures *more)
{
	struct bytes name = sending_name(s, &j->arena, owner);
	int64_t well = forgiven(s, name), since = j->now - DAY_MS;
	struct sending_facts f = {.day = *more};

	for (size_t i = 0; i < r->count; i++) {
		if (r->list[i].at >= well)
			add(&f.day, &r->list[i].f);
	}
	/* Days that the window reaches into are no history yet, unless an operator said so. */
	history(s, owner, well > since - DAY_MS ? well : since - DAY_MS, &f);
	networks(s, owner, well > since ? well : since, &f);
	f.age_days = age_days(s, owner, j->now);
	return f;
}

static void put_number(struct buf *facts, const char *name, uint32_t value)
{
	char text[16];

	snprintf(text, sizeof(text), "%u", value);
	incident_fact_put(facts, name, bytes_of_text(text));
}

static void put_peer(struct store *s, uint64_t owner, struct buf *facts)
{
	struct db_query *q = db_query(
	        s->db, "SELECT network FROM network WHERE owner=? ORDER BY first DESC LIMIT 1");
	struct ip ip;
	char text[IP_TEXT];

	db_bind(q, "u", owner);
	if (db_next(q) && db_bytes(q, 0).len == sizeof(ip)) {
		memcpy(&ip, db_bytes(q, 0).ptr, sizeof(ip));
		ip_format(&ip, text);
		incident_fact_put(facts, "peer", bytes_of_text(text));
	}
	db_end(q);
}

static uint64_t strike(struct store *s, struct job *j, uint64_t owner,
                       const struct sending_facts *f, const struct sending_verdict *v)
{
	struct bytes name = sending_name(s, &j->arena, owner);
	struct buf facts = {0};
	char detail[160];
	uint64_t id;

	snprintf(detail, sizeof(detail), "messages=%u recipients=%u fresh=%u unknown=%u of %u",
	         f->day.messages, f->day.recipients, f->day.fresh, f->day.unknown, f->day.results);
	incident_fact_put(&facts, "account", name);
	incident_fact_put(&facts, "reason", bytes_of_text(sending_reason_word(v->reason)));
	incident_fact_put(&facts, "detail", bytes_of_text(detail));
	put_number(&facts, "usual", v->usual);
	put_number(&facts, "now", v->now);
	put_peer(s, owner, &facts);
	id = incident_raise(s, j, INCIDENT_SENDING, name, buf_bytes(&facts), 1);
	ledger_note(j, &(struct ledger_event){.reason = LEDGER_SENDING_HELD,
	                                      .sender = name,
	                                      .text = bytes_of_text(detail)});
	buf_done(&facts);
	return id;
}

/* Is there anything to judge that was not judged with the mail before? Asking the index costs more than the
 * mail itself. The floors are the least of sending_judge's. */
static bool remarkable(const struct recent *r, const struct sending_figures *more)
{
	struct sending_figures day = r->day;

	add(&day, more);
	return (more->fresh && day.fresh >= 15) || (day.messages >= 200 && day.messages % 10 == 0);
}

/* The incident that holds it from now on, or 0. */
static uint64_t judge(struct store *s, struct job *j, uint64_t owner, const struct recent *r,
                      const struct sending_figures *more)
{
	struct sending_facts f;
	struct sending_verdict v;

	if (!s->writer_config->sending_watch)
		return 0;
	f = facts_of(s, j, owner, r, more);
	v = sending_judge(&f);
	return v.reason == SENDING_FINE ? 0 : strike(s, j, owner, &f, &v);
}

/* ---- COMMIT and CARRIED ---- */

static uint32_t count_recipients(struct bytes recipients)
{
	struct wire w = wire_of(recipients);
	uint32_t n = 0;

	for (; !wire_end(&w); n++) {
		wire_block(&w);
		wire_u8(&w);
		wire_block(&w);
	}
	return n;
}

enum result sending_commit(struct store *s, struct job *j, uint64_t owner, struct bytes recipients,
                           uint64_t *ret_incident, struct why *why)
{
	struct sending_figures more = {.messages = 1, .recipients = count_recipients(recipients)};
	struct recent r = recent_of(s->db, &j->arena, owner, j->now);
	struct limit limits[LIMITS];
	enum result result;

	limits_of(s->writer_config, &r, limits);
	if ((result = check_limits(limits, &r, more.recipients, j->now, why)) != OK) {
		note_refusal(s, j, LEDGER_SENDING_LIMIT, why);
		return result;
	}
	more.fresh = correspondents_note(s, j, owner, recipients);
	*ret_incident = sending_is_held(s, owner);
	if (*ret_incident == 0 && remarkable(&r, &more))
		*ret_incident = judge(s, j, owner, &r, &more);
	count(s, j, owner, &more);
	return OK;
}

static uint32_t unknown_of(const struct recent *r)
{
	uint32_t n = 0;

	for (size_t i = 0; i < r->count; i++)
		n += r->list[i].f.unknown;
	return n;
}

void sending_result(struct store *s, struct job *j, uint64_t owner, unsigned class)
{
	struct sending_figures more = {.results = 1, .unknown = class == REPLY_MAILBOX};
	const struct change *c;
	struct sending_figures job = {0};
	struct recent r;

	if (owner == 0)
		return;
	count(s, j, owner, &more);
	if (class != REPLY_MAILBOX || sending_is_held(s, owner))
		return;
	/* The bucket as the job makes it, in place of the one in the index. */
	r = recent_of(s->db, &j->arena, owner, j->now);
	c = own_change(j, CHANGE_SENT, owner);
	if (r.count && r.list[r.count - 1].at == c->sent.at)
		r.list[r.count - 1].f = of_row(&c->sent);
	else
		job = of_row(&c->sent);
	for (size_t i = 0; i < j->change_count; i++) {
		if (j->changes[i].kind == CHANGE_INCIDENT &&
		    j->changes[i].incident.kind == INCIDENT_SENDING &&
		    bytes_equal(j->changes[i].incident.key, sending_name(s, &j->arena, owner)))
			return;
	}
	if (unknown_of(&r) + job.unknown >= 10)
		judge(s, j, owner, &r, &job);
}

/* ---- an account is gone ---- */

void sending_gone(struct store *s, uint64_t owner)
{
	struct db_query *q = db_query(s->db, "DELETE FROM sent WHERE owner=?");

	db_bind(q, "u", owner);
	db_execute(q);
	q = db_query(s->db, "DELETE FROM sent_day WHERE owner=?");
	db_bind(q, "u", owner);
	db_execute(q);
	q = db_query(s->db, "DELETE FROM correspondent WHERE owner=?");
	db_bind(q, "u", owner);
	db_execute(q);
	q = db_query(s->db, "DELETE FROM network WHERE owner=?");
	db_bind(q, "u", owner);
	db_execute(q);
}

void sending_done(struct store *s)
{
	struct map_entry *e;

	networks_forget(s);
	for (size_t at = 0; (e = map_each(&s->correspondent_counts, &at));)
		memory_free(e->value);
	map_done(&s->correspondent_counts);
}

/* ---- SENDER ---- */

/* Does mail for the address come to the account, through aliases (also several, also in a row) or a dot
 * file? Locked. */
static bool leads_to(struct store *s, struct arena *arena, struct bytes address,
                     const struct account *account)
{
	enum { FACTS_MAX = 256, ROUNDS = 32 };
	struct config_fact *facts = arena_get(arena, FACTS_MAX * sizeof(*facts));
	struct config_expansion x = {0};
	size_t count = 0;
	enum result result = UNAVAILABLE;

	for (int round = 0; result == UNAVAILABLE && round < ROUNDS; round++) {
		result = config_expand(s->config, address, facts, count, arena, &x, NULL);
		for (size_t i = 0; result == UNAVAILABLE && i < x.missing_count; i++) {
			if (count == FACTS_MAX)
				return false;
			facts[count++] = (struct config_fact){
			        x.missing[i], account_by_address(s, x.missing[i]) != NULL};
		}
	}
	for (size_t i = 0; result == OK && i < x.leaf_count; i++) {
		if (x.leaves[i].kind == CONFIG_LEAF_PLACE &&
		    bytes_equal(x.leaves[i].address, account->now.address))
			return true;
	}
	return false;
}

/* Locked. */
static bool may_send_as(struct store *s, struct job *j, struct bytes address)
{
	const struct account *a;
	struct route r;

	if (address.len == 0)
		return true; /* notices of a mail program (RFC 8098, 2.1) */
	if (address.len > LIMIT_ADDRESS)
		return false;
	if (j->owner & SENDING_UID)
		return config_user_may_send(s->config, (uint32_t)(j->owner & ~SENDING_UID),
		                            address);
	a = account_by_id(s, j->owner);
	if (!a || a->now.suspended)
		return false;
	if (bytes_equal(address, a->now.address))
		return true;
	r = route_of(s, s->config, &j->arena, address, 0);
	if (r.account == a && r.class != ROUTE_QUEUE)
		return true;
	return r.class != ROUTE_REMOTE &&
	       ((r.account == a && r.own) || leads_to(s, &j->arena, address, a));
}

enum result sending_begin(struct store *s, struct job *j, struct why *why)
{
	struct bytes sender;

	j->owner = owner_of(s, j);
	if (j->ask.kind != ASK_COMMIT || j->owner == 0)
		return OK;
	if (config_address_canonical(j->ask.commit.sender, &j->arena, &sender) != OK)
		sender = j->ask.commit.sender;
	return may_send_as(s, j, sender)
	               ? OK
	               : why_set(why, DENIED, "the sender's address is another's");
}

/* A reader's thread; what needs the lock is taken in one go. */
enum result run_sender(struct store *s, struct job *j, struct why *why)
{
	struct answer_sender *ret = &j->answer.sender;
	struct recent r = recent_of(j->reader->db, &j->arena, j->owner, j->now);
	char *address = arena_text(&j->arena, j->ask.sender.address);
	struct limit limits[LIMITS];
	enum result result;
	uint64_t incident;

	if (j->owner == 0 && j->now - s->opened < GRACE_MS)
		return why_set(why, UNAVAILABLE, "the store is starting");
	text_lower(address, j->ask.sender.address.len);
	ret->address = bytes_of(address, j->ask.sender.address.len);
	store_hold(s);
	ret->allowed = may_send_as(s, j, ret->address);
	incident = sending_held(s, j->owner);
	limits_of(s->config, &r, limits);
	store_let(s);
	ret->recipients_left = recipients_left(limits);
	if (j->from.role == KEEPER) /* whether it may be signed, not whether it may be sent now */
		return OK;
	if (incident) {
		why_set(why, DENIED, "sending is held: see incident %llu",
		        (unsigned long long)incident);
		note_refusal(s, j, LEDGER_SENDING_HELD, why);
		return DENIED;
	}
	result = check_limits(limits, &r, 1, j->now, why);
	if (result != OK)
		note_refusal(s, j, LEDGER_SENDING_LIMIT, why);
	return result;
}

/* ---- the operator ---- */

static json_t *sending_row(struct store *s, struct job *j, uint64_t owner)
{
	struct recent r = recent_of(j->reader->db, &j->arena, owner, j->now);
	struct bytes name = sending_name(s, &j->arena, owner);
	struct limit l[LIMITS];
	uint64_t incident;

	store_hold(s);
	limits_of(s->config, &r, l);
	incident = sending_held(s, owner);
	store_let(s);
	return json_pack("{s:o,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I}", "sender",
	                 admin_text(name), "messages_hour", (json_int_t)r.hour.messages,
	                 "messages_hour_limit", (json_int_t)l[0].most, "messages_day",
	                 (json_int_t)r.day.messages, "messages_day_limit", (json_int_t)l[1].most,
	                 "recipients_hour", (json_int_t)r.hour.recipients, "recipients_hour_limit",
	                 (json_int_t)l[2].most, "recipients_day", (json_int_t)r.day.recipients,
	                 "recipients_day_limit", (json_int_t)l[3].most, "new_recipients_day",
	                 (json_int_t)r.day.fresh, "unknown_day", (json_int_t)r.day.unknown,
	                 "held_by", (json_int_t)incident);
}

enum result admin_sending(struct store *s, struct job *j, struct why *why)
{
	struct db_query *q = db_query(j->reader->db, "SELECT DISTINCT owner FROM sent WHERE owner>?"
	                                             " AND at>? ORDER BY owner");
	struct buf rows = {0};
	uint64_t last = 0;

	db_bind(q, "ui", j->ask.admin.number, j->now - DAY_MS - SENDING_BUCKET_MS);
	while (db_next(q)) {
		uint64_t owner = db_u64(q, 0);

		if (!admin_row(&rows, sending_row(s, j, owner))) {
			j->answer.admin.next = last;
			db_end(q);
			break;
		}
		last = owner;
	}
	admin_rows_done(j, &rows);
	return db_failed(j->reader->db, why);
}
