#include "store/check.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "policy/dnsbl.h"
#include "policy/provider.h"
#include "policy/verdict.h"
#include "store/escrow.h"
#include "store/life.h"
#include "watch/incident.h"
#include "watch/trial.h"

enum {
	CHECKS_MAX = 200,
	WORDS = 300,
	WRITE_MS = 15 * 60 * 1000, /* some 4 kB each */
	HEAVY = 300,      /* points with which a check accuses though it asks for nothing */
	CLEAN_MOST = 200, /* points of all others up to which a mail is otherwise clean */
};

#define KNOWN_GOOD                                                                      \
	(HISTORY_WRITTEN_TO_BY_RCPT | HISTORY_WRITTEN_TO_BY_ANY | HISTORY_GOOD_DOMAIN | \
	 HISTORY_REPLY_TO_OURS)

#define SEEN_BEFORE (HISTORY_SEEN_SAME_WAY | HISTORY_GOOD_NETWORK)

struct check {
	char name[EVIDENCE_CHECK + 1];
	struct trial trial;
	char doubt[WORDS]; /* why it could not look, the last time */
	char tests[WORDS]; /* what its test entries said */
	uint32_t spared;   /* mails that it would have refused, since the start */
	bool settling;     /* a job is under way that writes what its standing is */
	bool demotes;      /* ... and that it was demoted just now */
	bool dirty;
	time_ms written;
};

/* ---- records ---- */

static void put_words(char out[WORDS], struct bytes text)
{
	text = bytes_first(text, WORDS - 1);
	if (text.len)
		memcpy(out, text.ptr, text.len);
	out[text.len] = '\0';
}

static struct check *check_make(struct store *s, struct bytes name)
{
	struct check *c = map_get(&s->checks, name);

	if (c || name.len == 0 || name.len > EVIDENCE_CHECK || s->checks.count >= CHECKS_MAX)
		return c;
	c = NEW(struct check);
	memcpy(c->name, name.ptr, name.len);
	c->trial.tested = bytes_starts(name, BYTES("list."));
	map_put(&s->checks, name, c);
	return c;
}

static bool is_configured(const struct store *s, struct bytes name)
{
	return !bytes_starts(name, BYTES("list.")) ||
	       config_list_named(s->config, bytes_skip(name, 5)) != NULL;
}

/* NULL: there is no such list, or there are too many checks. */
static struct check *check_get(struct store *s, struct bytes name)
{
	return is_configured(s, name) ? check_make(s, name) : NULL;
}

enum result check_apply(struct store *s, const struct change_check *c)
{
	struct db_query *q = db_query(s->db, "INSERT OR REPLACE INTO trial VALUES(?, ?, ?, ?)");

	db_bind(q, "bbbb", c->name, c->record, c->doubt, c->tests);
	db_execute(q);
	return OK;
}

enum result check_gone_apply(struct store *s, const struct change_check_gone *c)
{
	struct db_query *q = db_query(s->db, "DELETE FROM trial WHERE name=?");

	db_bind(q, "b", c->name);
	db_execute(q);
	return OK;
}

/* ---- writing down ---- */

static struct bytes moment(struct arena *arena, time_ms at)
{
	char text[TIME_TEXT];

	time_format_rfc3339(at, text);
	return arena_copy(arena, bytes_of_text(text));
}

static void put_number(struct buf *facts, const char *name, uint64_t n)
{
	char text[24];

	snprintf(text, sizeof(text), "%llu", (unsigned long long)n);
	incident_fact_put(facts, name, bytes_of_text(text));
}

static struct bytes zone_of(const struct store *s, const struct check *c)
{
	const struct config_list *l = config_list_named(s->config,
	                                                bytes_skip(bytes_of_text(c->name), 5));

	return l ? l->shown : (struct bytes){0};
}

static struct bytes facts_of(struct store *s, const struct check *c, struct arena *arena)
{
	const struct trial *t = &c->trial;
	struct trial_count day = trial_sum(t, s->now, 24);
	struct buf facts = {0};
	struct bytes all;

	incident_fact_put(&facts, "check", bytes_of_text(c->name));
	incident_fact_put(&facts, "zone", zone_of(s, c));
	if (t->demoted) {
		incident_fact_put(&facts, "cause", bytes_of_text(trial_cause_name(t->cause)));
		incident_fact_put(&facts, "bad_since", moment(arena, t->bad_since));
		incident_fact_put(&facts, "returns", moment(arena, trial_returns(t)));
		put_number(&facts, "accused", day.bad);
		put_number(&facts, "known", day.good_bad);
	} else {
		incident_fact_put(&facts, "since", moment(arena, t->blind));
		incident_fact_put(&facts, "doubt", bytes_of_text(c->doubt));
	}
	incident_fact_put(&facts, "tests", bytes_of_text(c->tests));
	all = arena_copy(arena, buf_bytes(&facts));
	buf_done(&facts);
	return all;
}

static void note(struct job *j, enum ledger_reason reason, const struct check *c)
{
	ledger_note(
	        j, &(struct ledger_event){
	                   .reason = reason,
	                   .text = arena_printf(
	                           &j->arena, "check=%s cause=\"%s\" doubt=\"%s\" tests=\"%s\"",
	                           c->name, trial_cause_name(c->trial.cause), c->doubt, c->tests)});
}

/* An incident is open while this holds. */
static void stand(struct store *s, struct job *j, const struct check *c, unsigned kind, bool holds,
                  enum ledger_reason begins, enum ledger_reason ends)
{
	struct bytes name = bytes_of_text(c->name);
	bool open = incident_open(s, kind, name) != 0;

	if (holds && !open) {
		incident_raise(s, j, kind, name, facts_of(s, c, &j->arena), 1);
		note(j, begins, c);
	} else if (!holds && open) {
		incident_close(s, j, kind, name);
		note(j, ends, c);
	}
}

static void write_record(struct job *j, const struct check *c)
{
	struct buf record = {0};

	trial_pack(&c->trial, &record);
	job_change(j, CHANGE_CHECK)->check = (struct change_check){
	        arena_copy(&j->arena, bytes_of_text(c->name)),
	        arena_copy(&j->arena, buf_bytes(&record)),
	        arena_copy(&j->arena, bytes_of_text(c->doubt)),
	        arena_copy(&j->arena, bytes_of_text(c->tests))};
	buf_done(&record);
}

/* The writer's: writes a check's record, and makes incidents and escrow what its standing wants. Said twice it does nothing
 * twice. */
static enum result settle(struct store *s, struct job *j, struct why *why)
{
	struct check *found, c;
	bool gone, demotes;

	(void)why;
	store_hold(s);
	found = map_get(&s->checks, j->ask.check_tested.check);
	if (!found) {
		store_let(s);
		return OK;
	}
	found->settling = found->dirty = false;
	demotes = found->demotes;
	found->demotes = false;
	found->written = s->now;
	c = *found;
	gone = !is_configured(s, bytes_of_text(found->name));
	if (gone)
		memory_free(map_remove(&s->checks, j->ask.check_tested.check));
	store_let(s);
	stand(s, j, &c, INCIDENT_CHECK, c.trial.demoted && !gone, LEDGER_CHECK_DEMOTED,
	      LEDGER_CHECK_RESTORED);
	stand(s, j, &c, INCIDENT_BLIND, c.trial.blind && !gone, LEDGER_CHECK_BLIND,
	      LEDGER_CHECK_SEES);
	if (demotes && c.trial.demoted)
		escrow_release_check(s, j, arena_copy(&j->arena, bytes_of_text(c.name)),
		                     c.trial.bad_since);
	if (gone)
		job_change(j, CHANGE_CHECK_GONE)->check_gone.name = arena_copy(
		        &j->arena, bytes_of_text(c.name));
	else
		write_record(j, &c);
	return OK;
}

/* Locked. */
static void want_settled(struct store *s, struct check *c)
{
	struct job *j;

	if (c->settling)
		return;
	c->settling = true;
	j = job_new(s, settle);
	j->now = s->now;
	j->ask.check_tested.check = arena_copy(&j->arena, bytes_of_text(c->name));
	job_put(&s->writes, j);
}

/* Locked. What happened to a check; when nothing did it is still written now and then. */
static void happened(struct store *s, struct check *c, unsigned events)
{
	c->dirty = true;
	c->demotes |= (events & TRIAL_DEMOTES) != 0;
	if (events || s->now - c->written >= WRITE_MS)
		want_settled(s, c);
}

/* ---- start and time ---- */

static void load(struct store *s)
{
	struct db_query *q = db_query(s->db, "SELECT name, record, doubt, tests FROM trial");

	db_bind(q, "");
	while (db_next(q)) {
		struct check *c = check_make(s, db_bytes(q, 0));

		if (!c)
			continue;
		trial_unpack(db_bytes(q, 1), &c->trial);
		put_words(c->doubt, db_bytes(q, 2));
		put_words(c->tests, db_bytes(q, 3));
		c->written = s->now;
	}
}

void checks_begin(struct store *s)
{
	load(s);
	checks_config(s);
}

void checks_done(struct store *s)
{
	struct map_entry *e;

	for (size_t at = 0; (e = map_each(&s->checks, &at));)
		memory_free(e->value);
	map_done(&s->checks);
}

void checks_config(struct store *s)
{
	struct map_entry *e;

	for (size_t at = 0; (e = map_each(&s->checks, &at));) {
		struct check *c = e->value;

		if (!is_configured(s, bytes_of_text(c->name)))
			want_settled(s, c);
	}
	for (size_t i = 0; i < s->config->list_count; i++) {
		char name[EVIDENCE_CHECK];

		snprintf(name, sizeof(name), "list.%.*s", BYTES_ARG(s->config->lists[i].name));
		(void)check_get(s, bytes_of_text(name));
	}
}

/* Demotions end; what was heard since the last record is kept. */
void checks_tick(struct store *s)
{
	struct map_entry *e;

	for (size_t at = 0; (e = map_each(&s->checks, &at));) {
		struct check *c = e->value;
		unsigned events = trial_tick(&c->trial, s->now);

		if (events || c->dirty)
			happened(s, c, events);
	}
}

/* ---- JUDGED ---- */

struct hearing {
	struct store *s;
	const struct ask_judged *a;
	struct evidence list[EVIDENCE_MAX];
	size_t count;
	int against;      /* points of all that speaks against it */
	unsigned wanting; /* checks that ask for more than to accept it */
	uint64_t who;
	bool proved, known, provider;
};

static struct bytes domain_of(struct bytes address)
{
	size_t at = bytes_find_last(address, '@');

	return at == BYTES_NONE ? (struct bytes){0} : bytes_skip(address, at + 1);
}

static bool same_or_below(struct bytes domain, struct bytes parent)
{
	return parent.len > 0 && domain.len >= parent.len &&
	       bytes_equal_nocase(bytes_skip(domain, domain.len - parent.len), parent) &&
	       (domain.len == parent.len || domain.ptr[domain.len - parent.len - 1] == '.');
}

/* FNV-1a: the same after a restart. */
static uint64_t hash_of(struct bytes text)
{
	uint64_t h = 0xcbf29ce484222325ULL;

	for (size_t i = 0; i < text.len; i++)
		h = (h ^ (uint8_t)text.ptr[i]) * 0x100000001b3ULL;
	return h ? h : 1;
}

/* Known is who is proved to be it: a forged sender whom our people know says nothing about a check. */
static void look_at_sender(struct hearing *h)
{
	const struct ask_judged *a = h->a;
	struct bytes from = domain_of(a->from), sender = domain_of(a->sender);

	h->proved = a->domain.len > 0 && (same_or_below(from, a->domain) ||
	                                  same_or_below(a->domain, provider_domain(from)) ||
	                                  (from.len == 0 && same_or_below(sender, a->domain)));
	h->known = h->proved && (a->known & KNOWN_GOOD);
	h->provider = h->proved && a->ptr.len > 0 && provider_find(provider_key(a->ptr)) != NULL;
	h->who = hash_of(a->domain.len ? provider_domain(a->domain) : sender);
}

static void read_evidence(struct hearing *h)
{
	struct wire w = wire_of(h->a->evidence);
	struct evidence e;

	while (h->count < EVIDENCE_MAX && evidence_take(&w, &e)) {
		h->list[h->count++] = e;
		h->against += e.points > 0 ? e.points : 0;
		h->wanting += e.wants > JUDGE_ACCEPT;
	}
}

/* What large providers' hosts send says something of a list of addresses: nobody means to list those. Of lists of domains it says
 * nothing: anybody may send in his own domain through them. */
static bool minds_addresses(const struct store *s, const struct evidence *e)
{
	const struct config_list *l = bytes_starts(e->check, BYTES("list."))
	                                      ? config_list_named(s->config,
	                                                          bytes_skip(e->check, 5))
	                                      : NULL;

	return l && l->kind == CONFIG_LIST_IP;
}

/* Clean is only mail of senders who were seen before: who has new domains could else have a list demoted at will. */
static struct trial_said said_of(const struct hearing *h, const struct evidence *e)
{
	struct trial_said said = {
	        .at = h->s->now, .doubt = e->says == EVIDENCE_DOUBT, .who = h->who};
	int others = h->against - (e->points > 0 ? e->points : 0);
	bool alone = h->proved && others < CLEAN_MOST &&
	             h->wanting == (e->wants > JUDGE_ACCEPT ? 1u : 0u);

	said.accuses = e->wants > JUDGE_ACCEPT || e->points >= HEAVY;
	said.clean = alone && (h->a->known & (KNOWN_GOOD | SEEN_BEFORE));
	said.known = h->known || (alone && h->provider && minds_addresses(h->s, e));
	return said;
}

/* Has it looked? "not asked" of a list that has nothing on such an address is no answer of it. */
static bool looked(const struct evidence *e)
{
	return e->says != EVIDENCE_NEUTRAL || !bytes_equal(e->text, BYTES("not asked"));
}

static void hear_one(struct hearing *h, const struct evidence *e)
{
	struct check *c = looked(e) ? check_get(h->s, e->check) : NULL;
	struct trial_said said;
	unsigned events = 0;

	if (!c)
		return;
	said = said_of(h, e);
	if (said.doubt)
		put_words(c->doubt, e->text);
	if (said.doubt && bytes_ends(e->text, BYTES(DNSBL_MAD)))
		events = trial_tested(&c->trial, h->s->now, TRIAL_TEST_MAD);
	events |= trial_hear(&c->trial, &said);
	happened(h->s, c, events);
}

/* The evidence without that of checks that are on trial; the first of those that asked for something. */
static struct check *without_doubtful(struct hearing *h, struct evidence *ret, size_t *ret_count)
{
	struct check *doubtful = NULL;

	*ret_count = 0;
	for (size_t i = 0; i < h->count; i++) {
		const struct evidence *e = &h->list[i];
		struct check *c = map_get(&h->s->checks, e->check);
		bool against = e->points > 0 || e->wants > JUDGE_ACCEPT;

		if (!c || !against || trial_state(&c->trial, h->s->now) == TRIAL_PROVEN) {
			ret[(*ret_count)++] = *e;
			continue;
		}
		c->spared += e->wants >= JUDGE_DEFER;
		if (!doubtful || e->wants > JUDGE_ACCEPT)
			doubtful = c;
	}
	return doubtful;
}

static enum judge_action judged_by(struct hearing *h, const struct evidence *list, size_t count,
                                   struct arena *arena)
{
	struct wire w = wire_of(h->a->rcpts);
	struct verdict_threshold thresholds[100];
	struct verdict v;
	size_t n = 0;

	while (n < 100 && !wire_end(&w))
		thresholds[n++] = verdict_threshold_of(h->s->config, wire_block(&w));
	if (n == 0)
		thresholds[n++] = verdict_threshold_of(h->s->config, (struct bytes){0});
	verdict_make(list, count, thresholds, n, arena, &v);
	return v.action;
}

/* What is left when those on trial have no say: before DATA the client may come again; after it the mail is taken, into Junk
 * where it would have been refused by a check that may yet be right, else where the others want it. */
static enum judge_action lowered(const struct hearing *h, const struct check *c,
                                 enum judge_action wanted, enum judge_action others)
{
	bool mad = c->trial.cause == TRIAL_MAD_TESTS;

	if (others >= wanted)
		return wanted;
	if (h->a->stage == 0)
		return wanted == JUDGE_REFUSE ? JUDGE_DEFER : wanted;
	if (wanted >= JUDGE_DEFER && !mad && !h->known && others < JUDGE_JUNK)
		return JUDGE_JUNK;
	return others;
}

static struct bytes reason(const struct hearing *h, const struct check *c, struct arena *arena)
{
	enum trial_state state = trial_state(&c->trial, h->s->now);

	return arena_printf(arena, "%s is %s%s%s", c->name, trial_state_name(state),
	                    state == TRIAL_DEMOTED ? ": " : "",
	                    state == TRIAL_DEMOTED ? trial_cause_name(c->trial.cause) : "");
}

enum judge_action checks_hear(struct store *s, const struct ask_judged *a, struct arena *arena,
                              struct bytes *ret_why)
{
	struct hearing h = {.s = s, .a = a};
	struct evidence rest[EVIDENCE_MAX];
	enum judge_action wanted = (enum judge_action)a->action, allowed;
	struct check *c;
	size_t count;

	*ret_why = (struct bytes){0};
	look_at_sender(&h);
	read_evidence(&h);
	for (size_t i = 0; i < h.count; i++)
		hear_one(&h, &h.list[i]);
	if (wanted == JUDGE_ACCEPT || !(c = without_doubtful(&h, rest, &count)))
		return wanted;
	allowed = lowered(&h, c, wanted, judged_by(&h, rest, count, arena));
	if (allowed == wanted)
		return wanted;
	*ret_why = reason(&h, c, arena);
	ledger_put(s,
	           &(struct ledger_event){
	                   .reason = LEDGER_SPARED,
	                   .ip = a->ip,
	                   .sender = a->sender,
	                   .text = arena_printf(arena, "wanted=%s done=%s why=\"%.*s\"",
	                                        judge_action_name(wanted),
	                                        judge_action_name(allowed), BYTES_ARG(*ret_why))});
	return allowed;
}

/* ---- CHECK_TESTED ---- */

static enum trial_test test_of(unsigned state)
{
	switch (state) {
	case DNSBL_WELL: return TRIAL_TEST_WELL;
	case DNSBL_LISTS_EVERYTHING: return TRIAL_TEST_MAD;
	case DNSBL_SILENT: return TRIAL_TEST_SILENT;
	default: return TRIAL_TEST_MUTE;
	}
}

enum result run_check_tested(struct store *s, struct job *j, struct why *why)
{
	const struct ask_check_tested *a = &j->ask.check_tested;
	struct check *c;

	if (a->state >= DNSBL_STATES || !bytes_starts(a->check, BYTES("list.")) ||
	    !is_configured(s, a->check))
		return why_set(why, INVALID, "there is no such list");
	if (!(c = check_get(s, a->check)))
		return why_set(why, UNAVAILABLE, "there are too many checks");
	snprintf(c->tests, sizeof(c->tests), "%s (%.*s)",
	         dnsbl_state_name((enum dnsbl_state)a->state),
	         BYTES_ARG(bytes_first(a->text, 240)));
	if (a->state != DNSBL_WELL)
		put_words(c->doubt, bytes_of_text(c->tests));
	happened(s, c, trial_tested(&c->trial, s->now, test_of(a->state)));
	j->answer.check_tested.standing = (uint8_t)trial_state(&c->trial, s->now);
	return OK;
}

/* ---- the operator ---- */

static json_t *row_of(struct store *s, const struct check *c)
{
	const struct trial *t = &c->trial;
	struct trial_count hour = trial_sum(t, s->now, 1), day = trial_sum(t, s->now, 24);
	uint64_t asked = (uint64_t)hour.seen + hour.doubts;

	return json_pack("{s:s,s:s,s:s,s:I,s:I,s:I,s:i,s:i,s:i,s:i,s:i,s:I,s:o,s:o}", "check",
	                 c->name, "state", trial_state_name(trial_state(t, s->now)), "cause",
	                 trial_cause_name(t->cause), "demoted_ms", (json_int_t)t->demoted,
	                 "returns_ms", (json_int_t)trial_returns(t), "blind_ms",
	                 (json_int_t)t->blind, "asked_hour", (int)asked, "covered_percent",
	                 asked ? (int)(hour.seen * 100ULL / asked) : 100, "hits_day", (int)day.bad,
	                 "false_hits_day", (int)day.good_bad, "spared", (int)c->spared, "tested_ms",
	                 (json_int_t)t->test_at, "tests", admin_text(bytes_of_text(c->tests)),
	                 "doubt", admin_text(bytes_of_text(c->doubt)));
}

/* In order of name: lists, then others. */
static int by_name(const void *a, const void *b)
{
	const struct check *const *x = a, *const *y = b;
	int list = (*y)->trial.tested - (*x)->trial.tested;

	return list ? list : strcmp((*x)->name, (*y)->name);
}

enum result admin_checks(struct store *s, struct job *j, struct why *why)
{
	struct bytes wanted = j->ask.admin.subject;
	const struct check **list = arena_get(&j->arena, (s->checks.count + 1) * sizeof(*list));
	struct buf rows = {0};
	struct map_entry *e;
	size_t count = 0;

	for (size_t at = 0; (e = map_each(&s->checks, &at));)
		if (wanted.len == 0 ||
		    bytes_equal(wanted, bytes_of_text(((struct check *)e->value)->name)))
			list[count++] = e->value;
	if (count == 0 && wanted.len)
		return why_set(why, NOT_FOUND, "there is no check \"%.*s\"",
		               BYTES_ARG(bytes_first(wanted, 80)));
	qsort(list, count, sizeof(*list), by_name);
	for (size_t i = j->ask.admin.number; i < count; i++) {
		if (!admin_row(&rows, row_of(s, list[i]))) {
			j->answer.admin.next = i;
			break;
		}
	}
	admin_rows_done(j, &rows);
	return OK;
}

enum result admin_check_restore(struct store *s, struct job *j, struct why *why)
{
	struct check *c;
	unsigned events = 0;

	store_hold(s);
	c = map_get(&s->checks, j->ask.admin.subject);
	if (c && (events = trial_restore(&c->trial, s->now)))
		want_settled(s, c);
	store_let(s);
	if (!c)
		return why_set(why, NOT_FOUND, "there is no check \"%.*s\"",
		               BYTES_ARG(bytes_first(j->ask.admin.subject, 80)));
	return events ? OK : why_set(why, NOT_FOUND, "%s is not demoted", c->name);
}
