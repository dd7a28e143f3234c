/* Who is kept out: asked by fronts at accept, fed by fronts, keeper and jails. */
#include "store/ban.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "policy/ban.h"
#include "store/life.h"
#include "watch/incident.h"

#define DAY_MS (24LL * 3600 * 1000)
#define KEPT_MS (90 * DAY_MS) /* a ban that is over, for the next one's length */

enum {
	EVENTS = 4096,
	SERVICE_MAX = 16,
	USER_MAX = 64,
	DETAIL_MAX = 400,
	KEY_LEN_BAN = sizeof(struct ip) + 1,
	DROPS_A_NOTE = 1000,
	CAMPAIGN_SAID_MS = 60 * 1000,
	DEAD_FAILURES = 20, /* logins that failed, and keeper told of none */
	JAIL_SUSPICIOUS = 20,
	WHY_EVENTS = 20,
	CAMPAIGN_USERS = 5,
};

/* What happened lately, for `hikyaku ban why`. */
struct event {
	struct ip ip;
	time_ms at;
	uint8_t kind, nth;
	char service[SERVICE_MAX], user[USER_MAX]; /* cut; ended by NUL where shorter */
};

struct bans {
	struct ban_book book;
	struct event *events; /* a ring */
	size_t next, count;
	time_ms campaign_said;
	uint64_t failures, login_offences, offences, dropped, begun;
	bool dead_said;
};

static struct ban_settings settings(const struct store *s)
{
	const struct config *c = s->config;

	return (struct ban_settings){.on = c->ban_on,
	                             .threshold = (uint32_t)c->ban_threshold,
	                             .half_ms = c->ban_half_ms,
	                             .first_ms = c->ban_first_ms,
	                             .most_ms = c->ban_most_ms,
	                             .allow = c->ban_allow.items,
	                             .allow_count = c->ban_allow.count};
}

static bool ip_of(struct bytes octets, struct ip *ret)
{
	if (octets.len != sizeof(*ret))
		return false;
	memcpy(ret, octets.ptr, sizeof(*ret));
	return true;
}

/* ---- effects ---- */

enum result ban_apply(struct store *s, const struct change_ban *c)
{
	struct db_query *q = db_query(s->db,
	                              "INSERT OR REPLACE INTO ban VALUES(?, ?, ?, ?, ?, ?, ?)");

	db_bind(q, "buuuiib", c->network, (uint64_t)c->bits, (uint64_t)c->reason,
	        (uint64_t)c->level, c->since, c->until, c->detail);
	db_execute(q);
	return OK;
}

enum result bans_gone_apply(struct store *s, const struct change_bans_gone *c)
{
	struct db_query *q = db_query(s->db, "DELETE FROM ban WHERE until<?");

	db_bind(q, "i", c->before);
	db_execute(q);
	return OK;
}

enum result jail_apply(struct store *s, const struct change_jail *c)
{
	struct db_query *q = db_query(s->db,
	                              "INSERT OR REPLACE INTO jail VALUES(?, ?, ?, ?, ?, ?, ?, ?)");

	db_bind(q, "biiuuuib", c->name, c->since, c->last, c->lines, c->suspicious, c->matched,
	        c->last_match, c->example);
	db_execute(q);
	return OK;
}

/* ---- at start ---- */

static void load_bans(struct store *s)
{
	struct db_query *q = db_query(
	        s->db, "SELECT network, bits, reason, level, since, until, detail FROM ban"
	               " ORDER BY until");

	db_bind(q, "");
	while (db_next(q)) {
		struct ip_prefix what = {.bits = (uint8_t)db_u64(q, 1)};

		if (what.bits <= 128 && ip_of(db_bytes(q, 0), &what.ip))
			ban_put(&s->bans->book, &what, (enum ban_offence)db_u64(q, 2), db_i64(q, 4),
			        db_i64(q, 5), (uint32_t)db_u64(q, 3), db_bytes(q, 6));
	}
}

/* Where our people logged in from is known since before the start. */
static void load_good(struct store *s)
{
	struct db_query *q = db_query(
	        s->db, "SELECT network, MAX(last) FROM network WHERE last>? GROUP BY network");
	struct ip ip;

	db_bind(q, "i", s->now - BAN_GOOD_MS);
	while (db_next(q)) {
		if (ip_of(db_bytes(q, 0), &ip))
			ban_good(&s->bans->book, &ip, db_i64(q, 1));
	}
}

void bans_begin(struct store *s)
{
	bans_done(s);
	s->bans = NEW(struct bans);
	s->bans->events = memory_get(EVENTS * sizeof(*s->bans->events));
	load_bans(s);
	load_good(s);
}

void bans_done(struct store *s)
{
	if (!s->bans)
		return;
	ban_done(&s->bans->book);
	memory_free(s->bans->events);
	memory_free(s->bans);
	s->bans = NULL;
}

/* ---- writing down ---- */

static void forget_old(struct store *s, struct job *j)
{
	struct db_query *q = db_query(s->db, "SELECT 1 FROM ban WHERE until<? LIMIT 1");
	bool some;

	db_bind(q, "i", j->now - KEPT_MS);
	some = db_next(q);
	db_end(q);
	if (some)
		job_change(j, CHANGE_BANS_GONE)->bans_gone.before = j->now - KEPT_MS;
}

/* The ban as the book has it by now. Locked. */
static void put_ban(struct job *j, const struct ban_record *r)
{
	job_change(j, CHANGE_BAN)->ban = (struct change_ban){
	        .network = arena_copy(&j->arena, bytes_of(&r->what.ip, sizeof(r->what.ip))),
	        .bits = r->what.bits,
	        .reason = r->reason,
	        .level = r->level,
	        .since = r->since,
	        .until = r->until,
	        .detail = arena_copy(&j->arena, r->detail)};
}

static void note_ban(struct store *s, struct job *j, enum ledger_reason reason,
                     const struct ban_record *r)
{
	char what[BAN_TEXT], until[TIME_TEXT] = "-";
	struct bytes text;

	ban_format(&r->what, what);
	if (r->until)
		time_format_rfc3339(r->until, until);
	text = arena_printf(&j->arena, "what=%s reason=%s level=%u until=%s", what,
	                    ban_offence_word(r->reason), r->level, until);
	ledger_note(j,
	            &(struct ledger_event){
	                    .reason = reason,
	                    .ip = arena_copy(&j->arena, bytes_of(&r->what.ip, sizeof(r->what.ip))),
	                    .text = text});
	(void)s;
}

/* A job of the store's own: ask.offence.ip is the network and its bits. */
static enum result write_ban(struct store *s, struct job *j, struct why *why)
{
	struct bytes key = j->ask.offence.ip;
	struct ip_prefix what;
	const struct ban_record *r;

	(void)why;
	memcpy(&what.ip, key.ptr, sizeof(what.ip));
	what.bits = (uint8_t)key.ptr[sizeof(what.ip)];
	store_hold(s);
	r = ban_record_of(&s->bans->book, &what);
	if (r) {
		put_ban(j, r);
		note_ban(s, j, LEDGER_BANNED, r);
	}
	store_let(s);
	forget_old(s, j);
	return OK;
}

static void want_written(struct store *s, const struct ban_record *r)
{
	struct job *j = job_new(s, write_ban);
	char key[KEY_LEN_BAN];

	memcpy(key, &r->what.ip, sizeof(r->what.ip));
	key[sizeof(r->what.ip)] = (char)r->what.bits;
	j->ask.offence.ip = arena_copy(&j->arena, bytes_of(key, sizeof(key)));
	j->urgent = true;
	job_put(&s->writes, j);
	s->bans->begun++;
}

/* ---- an attack from many places ---- */

/* A few of the names that were tried, for the operator to know whose. */
static void put_users(const struct bans *b, struct buf *out)
{
	unsigned count = 0;

	for (size_t i = 0; i < b->count && count < CAMPAIGN_USERS; i++) {
		const struct event *e = &b->events[(b->next + EVENTS - 1 - i) % EVENTS];
		struct bytes user = bytes_of(e->user, strnlen(e->user, USER_MAX));

		if (user.len == 0 || bytes_find(buf_bytes(out), user) != BYTES_NONE)
			continue;
		buf_printf(out, "%s%.*s", count++ ? " " : "", BYTES_ARG(user));
	}
}

static enum result write_campaign(struct store *s, struct job *j, struct why *why)
{
	struct buf facts = {0}, users = {0};
	const struct ban_book *b = &s->bans->book;
	char text[TIME_TEXT];

	(void)why;
	store_hold(s);
	put_users(s->bans, &users);
	time_format_rfc3339(b->campaign_since, text);
	incident_fact_put(&facts, "since", bytes_of_text(text));
	snprintf(text, sizeof(text), "%u", b->campaign_addresses);
	incident_fact_put(&facts, "addresses", bytes_of_text(text));
	snprintf(text, sizeof(text), "%u", b->campaign_bans);
	incident_fact_put(&facts, "banned", bytes_of_text(text));
	incident_fact_put(&facts, "users", buf_bytes(&users));
	store_let(s);
	incident_raise(s, j, INCIDENT_GUESSING, BYTES("logins"), buf_bytes(&facts), 0);
	buf_done(&facts);
	buf_done(&users);
	return OK;
}

static enum result close_campaign(struct store *s, struct job *j, struct why *why)
{
	(void)why;
	incident_close(s, j, INCIDENT_GUESSING, BYTES("logins"));
	return OK;
}

static void say_campaign(struct store *s)
{
	s->bans->campaign_said = s->now;
	job_put(&s->writes, job_new(s, write_campaign));
}

/* ---- rules that are dead ---- */

static enum result write_dead(struct store *s, struct job *j, struct why *why)
{
	struct buf facts = {0};
	char text[32];

	(void)why;
	store_hold(s);
	snprintf(text, sizeof(text), "%llu", (unsigned long long)s->bans->failures);
	store_let(s);
	incident_fact_put(&facts, "jail", BYTES("logins"));
	incident_fact_put(&facts, "suspicious", bytes_of_text(text));
	incident_raise(s, j, INCIDENT_JAIL, BYTES("logins"), buf_bytes(&facts), 1);
	buf_done(&facts);
	return OK;
}

static enum result close_dead(struct store *s, struct job *j, struct why *why)
{
	(void)why;
	incident_close(s, j, INCIDENT_JAIL, BYTES("logins"));
	return OK;
}

void bans_login_failed(struct store *s, struct bytes octets)
{
	struct ban_settings set = settings(s);
	struct bans *b = s->bans;
	struct ip ip;

	if (!b || !set.on || !ip_of(octets, &ip) || ban_allowed(&set, &ip))
		return;
	b->failures++;
	if (b->failures < DEAD_FAILURES || b->login_offences || b->dead_said)
		return;
	b->dead_said = true;
	job_put(&s->writes, job_new(s, write_dead));
}

static void login_told(struct store *s)
{
	struct bans *b = s->bans;

	if (b->login_offences++ == 0 &&
	    (b->dead_said || incident_seen(s, INCIDENT_JAIL, BYTES("logins"))))
		job_put(&s->writes, job_new(s, close_dead));
	b->dead_said = false;
}

/* ---- asks of fronts and keeper ---- */

static void remember(struct bans *b, const struct ip *ip, const struct ask_offence *a, time_ms now)
{
	struct event *e = &b->events[b->next];

	*e = (struct event){.ip = *ip, .at = now, .kind = a->kind, .nth = a->nth};
	memcpy(e->service, a->service.ptr ? a->service.ptr : "",
	       a->service.len < SERVICE_MAX ? a->service.len : SERVICE_MAX);
	memcpy(e->user, a->user.ptr ? a->user.ptr : "",
	       a->user.len < USER_MAX ? a->user.len : USER_MAX);
	b->next = (b->next + 1) % EVENTS;
	b->count += b->count < EVENTS;
}

/* True: it is kept out now. */
static bool offend(struct store *s, const struct ip *ip, const struct ask_offence *a)
{
	struct ban_settings set = settings(s);
	struct bans *b = s->bans;
	struct ban_verdict v;

	if (!set.on || ban_allowed(&set, ip))
		return false;
	ban_offend(&b->book, &set, ip, a->kind, a->nth, s->now, &v);
	if (a->kind != BAN_NOTHING) {
		remember(b, ip, a, s->now);
		b->offences++;
	}
	for (size_t i = 0; i < v.count; i++)
		want_written(s, v.fresh[i]);
	if (v.campaign_begins)
		say_campaign(s);
	return ban_find(&b->book, &set, ip, s->now) != NULL;
}

enum result run_offence(struct store *s, struct job *j, struct why *why)
{
	const struct ask_offence *a = &j->ask.offence;
	struct ip ip;

	if (!ip_of(a->ip, &ip) || a->kind >= BAN_OPERATOR)
		return why_set(why, INVALID, "that is no offence");
	if (j->from.role == KEEPER)
		login_told(s);
	j->answer.offence.banned = offend(s, &ip, a);
	return OK;
}

enum result run_banned(struct store *s, struct job *j, struct why *why)
{
	struct ban_settings set = settings(s);
	struct ban_record *r;
	struct ip ip;

	if (!ip_of(j->ask.banned.ip, &ip))
		return why_set(why, INVALID, "that is no address");
	r = ban_find(&s->bans->book, &set, &ip, s->now);
	if (!r)
		return OK;
	j->answer.banned.banned = 1;
	j->answer.banned.until = r->until;
	s->bans->dropped++;
	if (r->dropped++ % DROPS_A_NOTE == 0) {
		char what[BAN_TEXT], text[BAN_TEXT + 64];

		ban_format(&r->what, what);
		snprintf(text, sizeof(text), "what=%s dropped=%llu", what,
		         (unsigned long long)r->dropped);
		ledger_put(s, &(struct ledger_event){.reason = LEDGER_BAN_DROPPED,
		                                     .ip = j->ask.banned.ip,
		                                     .text = bytes_of_text(text)});
	}
	return OK;
}

void bans_good(struct store *s, struct bytes peer)
{
	struct ip ip;

	if (s->bans && ip_of(peer, &ip))
		ban_good(&s->bans->book, &ip, s->now);
}

void bans_tick(struct store *s)
{
	struct bans *b = s->bans;

	if (!b)
		return;
	if (ban_campaign(&b->book, s->now)) {
		if (s->now - b->campaign_said >= CAMPAIGN_SAID_MS)
			say_campaign(s);
	} else if (s->now - b->campaign_said >= CAMPAIGN_SAID_MS &&
	           incident_seen(s, INCIDENT_GUESSING, BYTES("logins"))) {
		b->campaign_said = s->now;
		job_put(&s->writes, job_new(s, close_campaign));
	}
}

void bans_status(struct store *s, json_t *ret)
{
	size_t banned = 0;
	struct map_entry *e;

	if (!s->bans)
		return;
	for (size_t at = 0; (e = map_each(&s->bans->book.records, &at));)
		banned += ((struct ban_record *)e->value)->until > s->now;
	json_object_set_new(ret, "bans", json_integer((json_int_t)banned));
	json_object_set_new(ret, "ban_drops", json_integer((json_int_t)s->bans->dropped));
}

/* ---- the operator ---- */

static json_t *counts_of(const struct ban_record *r)
{
	json_t *o = json_object();

	for (unsigned i = 1; i < BAN_OFFENCES; i++) {
		if (r->counts[i])
			json_object_set_new(o, ban_offence_word(i), json_integer(r->counts[i]));
	}
	return o;
}

static json_t *ban_row(const struct ban_record *r, time_ms now)
{
	char what[BAN_TEXT];

	ban_format(&r->what, what);
	return json_pack("{s:s,s:s,s:I,s:I,s:I,s:I,s:I,s:o}", "address", what, "reason",
	                 ban_offence_word(r->reason), "since_ms", (json_int_t)r->since,
	                 "banned_until_ms", (json_int_t)r->until, "left_ms",
	                 (json_int_t)(r->until > now ? r->until - now : 0), "bans",
	                 (json_int_t)r->level, "dropped", (json_int_t)r->dropped, "detail",
	                 admin_text(r->detail));
}

static int by_since(const void *a, const void *b)
{
	const struct ban_record *x = *(struct ban_record *const *)a,
	                        *y = *(struct ban_record *const *)b;

	if (x->since != y->since)
		return x->since < y->since ? 1 : -1;
	return memcmp(&x->what.ip, &y->what.ip, sizeof(x->what.ip));
}

enum result admin_bans(struct store *s, struct job *j, struct why *why)
{
	bool all = bytes_equal(j->ask.admin.value, BYTES("all"));
	const struct map *records = &s->bans->book.records;
	struct ban_record **list = arena_get(&j->arena, (records->count + 1) * sizeof(*list));
	struct buf rows = {0};
	struct map_entry *e;
	size_t count = 0;

	(void)why;
	for (size_t at = 0; (e = map_each(records, &at));) {
		struct ban_record *r = e->value;

		if (r->until > s->now || (all && r->until))
			list[count++] = r;
	}
	qsort(list, count, sizeof(*list), by_since);
	for (size_t i = (size_t)j->ask.admin.number; i < count; i++) {
		if (!admin_row(&rows, ban_row(list[i], s->now))) {
			j->answer.admin.next = i;
			break;
		}
	}
	admin_rows_done(j, &rows);
	return OK;
}

static void why_record(struct store *s, struct buf *rows, const struct ip_prefix *what)
{
	const struct ban_record *r = ban_record_of(&s->bans->book, what);
	struct ban_settings set = settings(s);
	json_t *o;

	if (!r)
		return;
	o = ban_row(r, s->now);
	json_object_set_new(o, "banned", json_boolean(r->until > s->now));
	json_object_set_new(o, "points", json_real(ban_score(r, &set, s->now) / (double)BAN_POINT));
	json_object_set_new(o, "threshold", json_integer((json_int_t)set.threshold));
	json_object_set_new(o, "offences", counts_of(r));
	json_object_set_new(o, "first_ms", json_integer((json_int_t)r->first));
	json_object_set_new(o, "last_ms", json_integer((json_int_t)r->last));
	json_object_set_new(o, "own_login_ms", json_integer((json_int_t)r->good));
	admin_row(rows, o);
}

static void why_events(struct store *s, struct buf *rows, const struct ip_prefix *what)
{
	const struct bans *b = s->bans;
	unsigned given = 0;

	for (size_t i = 0; i < b->count && given < WHY_EVENTS; i++) {
		const struct event *e = &b->events[(b->next + EVENTS - 1 - i) % EVENTS];
		char ip[IP_TEXT];

		if (!ip_prefix_contains(what, &e->ip))
			continue;
		given++;
		ip_format(&e->ip, ip);
		admin_row(
		        rows,
		        json_pack(
		                "{s:I,s:s,s:s,s:o,s:o,s:i}", "at_ms", (json_int_t)e->at, "from", ip,
		                "offence", ban_offence_word(e->kind), "service",
		                admin_text(bytes_of(e->service, strnlen(e->service, SERVICE_MAX))),
		                "user", admin_text(bytes_of(e->user, strnlen(e->user, USER_MAX))),
		                "different_passwords", (int)e->nth));
	}
}

static enum result subject_of(const struct job *j, struct ip_prefix *ret, struct why *why)
{
	return ban_parse(j->ask.admin.subject, ret) == OK
	               ? OK
	               : why_set(why, INVALID,
	                         "that is no address or network (an IPv4 /8 or an IPv6 /16 at "
	                         "most)");
}

/* First row: the verdict. Then what is known of the address, its network and what covers them; then what it
 * did lately. */
enum result admin_ban_why(struct store *s, struct job *j, struct why *why)
{
	struct ban_settings set = settings(s);
	struct ip_prefix what, network;
	const struct ban_record *r;
	struct buf rows = {0};
	char text[BAN_TEXT] = "";

	if (subject_of(j, &what, why) != OK)
		return INVALID;
	r = ban_find(&s->bans->book, &set, &what.ip, s->now);
	network = ban_network(&what.ip);
	if (r)
		ban_format(&r->what, text);
	admin_row(&rows, json_pack("{s:o,s:b,s:b,s:b,s:b,s:s}", "address",
	                           admin_text(j->ask.admin.subject), "banned", r != NULL, "allowed",
	                           ban_allowed(&set, &what.ip), "own_network",
	                           ban_is_good(&s->bans->book, &what.ip, s->now), "off", !set.on,
	                           "by", text));
	if (r && (r->what.bits != what.bits) && r->what.bits != network.bits)
		why_record(s, &rows, &r->what);
	why_record(s, &rows, &what);
	if (network.bits != what.bits)
		why_record(s, &rows, &network);
	why_events(s, &rows, &what);
	admin_rows_done(j, &rows);
	return OK;
}

/* Locked; a writing job. */
static void lift(struct store *s, struct job *j, struct ban_record *r)
{
	if (!ban_lift(&s->bans->book, &r->what, s->now))
		return;
	put_ban(j, r);
	note_ban(s, j, LEDGER_BAN_LIFTED, r);
}

static unsigned lift_all(struct store *s, struct job *j)
{
	struct map_entry *e;
	unsigned count = 0;

	for (size_t at = 0; (e = map_each(&s->bans->book.records, &at));) {
		struct ban_record *r = e->value;

		if (r->until <= s->now)
			continue;
		lift(s, j, r);
		count++;
	}
	return count;
}

/* Whatever keeps this address out; of a network what was banned as this network, or inside it. */
static unsigned lift_one(struct store *s, struct job *j, const struct ip_prefix *what)
{
	struct ban_settings set = settings(s);
	bool address = what->bits == ban_unit(&what->ip).bits;
	struct ban_record *r;
	struct map_entry *e;
	unsigned count = 0;

	set.on = true;
	set.allow_count = 0;
	while (address && (r = ban_find(&s->bans->book, &set, &what->ip, s->now))) {
		lift(s, j, r);
		count++;
	}
	for (size_t at = 0; !address && (e = map_each(&s->bans->book.records, &at));) {
		r = e->value;
		if (r->until <= s->now || r->what.bits < what->bits ||
		    !ip_prefix_contains(what, &r->what.ip))
			continue;
		lift(s, j, r);
		count++;
	}
	return count;
}

enum result admin_ban_lift(struct store *s, struct job *j, struct why *why)
{
	struct ip_prefix what;
	unsigned count;

	if (j->ask.admin.subject.len && subject_of(j, &what, why) != OK)
		return INVALID;
	store_hold(s);
	count = j->ask.admin.subject.len ? lift_one(s, j, &what) : lift_all(s, j);
	store_let(s);
	if (count == 0)
		return why_set(why, NOT_FOUND, "%.*s is not banned",
		               BYTES_ARG(j->ask.admin.subject.len ? j->ask.admin.subject
		                                                  : BYTES("anybody")));
	return OK;
}

enum result admin_ban_add(struct store *s, struct job *j, struct why *why)
{
	struct ban_settings set;
	struct ban_record *r;
	struct ip_prefix what;
	time_ms last;

	if (subject_of(j, &what, why) != OK)
		return INVALID;
	store_hold(s);
	set = settings(s);
	last = j->ask.admin.number && j->ask.admin.number < (uint64_t)(3650 * DAY_MS)
	               ? (time_ms)j->ask.admin.number
	               : set.most_ms;
	r = ban_record_of(&s->bans->book, &what);
	r = ban_put(&s->bans->book, &what, BAN_OPERATOR, s->now, s->now + last, r ? r->level : 0,
	            bytes_first(j->ask.admin.value, DETAIL_MAX));
	put_ban(j, r);
	note_ban(s, j, LEDGER_BANNED, r);
	store_let(s);
	return OK;
}

/* An address that nobody has (RFC 5737) goes the whole way through the book that fronts ask, and out again. It is
 * not written down. */
enum result admin_ban_drill(struct store *s, struct job *j, struct why *why)
{
	struct ban_settings set = settings(s);
	struct ban_verdict v = {0};
	struct buf rows = {0};
	struct ip_prefix what;
	bool before, banned, after;
	unsigned needed = 0;
	struct ip ip;

	if (!set.on)
		return why_set(why, DENIED, "bans are switched off: option `on` of section `ban`");
	if (ip_parse(BYTES("203.0.113.199"), &ip) != OK || ban_allowed(&set, &ip))
		return why_set(why, DENIED, "203.0.113.199 is in the allow list");
	what = ban_unit(&ip);
	ban_lift(&s->bans->book, &what, s->now);
	before = ban_find(&s->bans->book, &set, &ip, s->now) != NULL;
	while (v.count == 0 && needed < set.threshold * 2) {
		needed++;
		ban_offend(&s->bans->book, &set, &ip, BAN_WRONG_PASSWORD, needed, s->now, &v);
	}
	banned = ban_find(&s->bans->book, &set, &ip, s->now) != NULL;
	ban_lift(&s->bans->book, &what, s->now);
	after = ban_find(&s->bans->book, &set, &ip, s->now) != NULL;
	admin_row(&rows, json_pack("{s:b,s:s,s:i,s:b,s:b,s:b,s:I,s:I}", "works",
	                           !before && banned && !after, "address", "203.0.113.199",
	                           "passwords_until_banned", (int)needed, "banned_before", before,
	                           "banned", banned, "banned_after_lift", after,
	                           "failed_logins_seen", (json_int_t)s->bans->failures,
	                           "failed_logins_counted", (json_int_t)s->bans->login_offences));
	admin_rows_done(j, &rows);
	return OK;
}

/* ---- jails: other services' logs, read by `hikyaku ban watch` ---- */

static void jail_row(struct store *s, struct job *j, struct change_jail *row)
{
	struct db_query *q = db_query(s->db, "SELECT since, lines, suspicious, matched, last_match,"
	                                     " example FROM jail WHERE name=?");

	db_bind(q, "b", row->name);
	if (db_next(q)) {
		row->since = db_i64(q, 0);
		row->lines = db_u64(q, 1);
		row->suspicious = db_u64(q, 2);
		row->matched = db_u64(q, 3);
		row->last_match = db_i64(q, 4);
		row->example = arena_copy(&j->arena, db_bytes(q, 5));
	}
	db_end(q);
}

/* Failures are there, and no rule ever matched one: nobody would be banned. */
static void judge_jail(struct store *s, struct job *j, const struct change_jail *row)
{
	struct buf facts = {0};
	char text[32];

	if (row->matched)
		incident_close(s, j, INCIDENT_JAIL, row->name);
	if (row->matched || row->suspicious < JAIL_SUSPICIOUS)
		return;
	incident_fact_put(&facts, "jail", row->name);
	snprintf(text, sizeof(text), "%llu", (unsigned long long)row->lines);
	incident_fact_put(&facts, "lines", bytes_of_text(text));
	snprintf(text, sizeof(text), "%llu", (unsigned long long)row->suspicious);
	incident_fact_put(&facts, "suspicious", bytes_of_text(text));
	incident_fact_put(&facts, "example", row->example);
	incident_raise(s, j, INCIDENT_JAIL, row->name, buf_bytes(&facts), 1);
	buf_done(&facts);
}

enum result admin_ban_jail(struct store *s, struct job *j, struct why *why)
{
	struct wire w = wire_of(j->ask.admin.value);
	struct bytes example = wire_block(&w), name = j->ask.admin.subject;
	struct change_jail row = {.name = name, .since = j->now};
	struct ask_offence a = {.kind = BAN_JAIL, .nth = 1, .service = name};
	struct ip ip;
	bool any = false;

	if (w.bad || name.len == 0 || name.len > 64)
		return why_set(why, INVALID, "that is no jail's report");
	jail_row(s, j, &row);
	row.last = j->now;
	row.lines += j->ask.admin.number >> 32;
	row.suspicious += (uint32_t)j->ask.admin.number;
	if (example.len)
		row.example = bytes_first(example, DETAIL_MAX);
	store_hold(s);
	for (; ip_of(bytes_first(w.rest, sizeof(ip)), &ip);
	     w.rest = bytes_skip(w.rest, sizeof(ip))) {
		offend(s, &ip, &a);
		row.matched++;
		any = true;
	}
	store_let(s);
	if (any)
		row.last_match = j->now;
	job_change(j, CHANGE_JAIL)->jail = row;
	judge_jail(s, j, &row);
	return OK;
}

/* On a reader's thread. */
enum result admin_jails(struct store *s, struct job *j, struct why *why)
{
	struct db_query *q = db_query(j->reader->db,
	                              "SELECT name, since, last, lines, suspicious, matched,"
	                              " last_match FROM jail ORDER BY name");
	struct buf rows = {0};

	(void)s;
	db_bind(q, "");
	while (db_next(q))
		admin_row(&rows,
		          json_pack("{s:o,s:I,s:I,s:I,s:I,s:I,s:I}", "jail",
		                    admin_text(db_bytes(q, 0)), "since_ms",
		                    (json_int_t)db_i64(q, 1), "last_ms", (json_int_t)db_i64(q, 2),
		                    "lines", (json_int_t)db_u64(q, 3), "suspicious",
		                    (json_int_t)db_u64(q, 4), "matched", (json_int_t)db_u64(q, 5),
		                    "last_match_ms", (json_int_t)db_i64(q, 6)));
	admin_rows_done(j, &rows);
	return db_failed(j->reader->db, why);
}
