/* TRACE: the whole life of a mail in order of time, from the ledger's files and from what stands in the
 * queue and the mailboxes now. Runs on the ledger's thread.
 *
 * Clues in the question are looked up in every day's file, the newest first. A queue id or Message-ID that
 * is found settles it; else the mails that most of the clues meet in (a bounce names sender and recipient)
 * are shown, the newest first. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"
#include "store/ledger.h"
#include "store/trace_scan.h"

enum {
	HITS_OF_CLUE = 500, /* events of one clue in one day, the newest */
	HITS_IN_ALL = 4000, /* ... and in all days */
	MAILS_MAX = 4000,
	LOOSE_MAX = 100, /* events that belong to no mail */
	EVENTS_OF_MAIL = 2000,
	TIME_AROUND_MS = 60 * 1000,
	STRONG = 1000, /* what a queue id or Message-ID counts */
};

struct trace_mail {
	uint64_t mail;
	unsigned score;
	uint64_t clues; /* bits: which of them */
	int64_t at;
};

struct line {
	struct ledger_event event;
	uint64_t order;
};

struct trace {
	struct store *s;
	struct job *j;
	struct ledger *ledger;
	struct trace_clue clues[TRACE_CLUES];
	size_t clue_count;
	unsigned hits[TRACE_CLUES];
	const char **days;
	struct db **open; /* by day; opened for this question alone, but today's */
	size_t day_count;
	struct trace_mail *mails;
	size_t mail_count;
	struct map mail_places; /* mail: its place in mails + 1, as a pointer's value */
	struct line *loose;
	size_t loose_count;
	struct map loose_seen;
	struct buf page;
};

/* ---- looking up ---- */

static struct ledger_event event_of(struct db_query *q, struct arena *arena)
{
	return (struct ledger_event){.at = db_i64(q, 1),
	                             .reason = (enum ledger_reason)db_u64(q, 2),
	                             .mail = db_u64(q, 3),
	                             .session = db_u64(q, 4),
	                             .ip = arena_copy(arena, db_bytes(q, 5)),
	                             .sender = arena_copy(arena, db_bytes(q, 6)),
	                             .rcpt = arena_copy(arena, db_bytes(q, 7)),
	                             .message_id = arena_copy(arena, db_bytes(q, 8)),
	                             .text = arena_copy(arena, db_bytes(q, 9))};
}

#define EVENT \
	"e.id, e.at, e.reason, e.mail, e.session, e.ip, e.sender, e.rcpt, e.message_id, e.text"

static void found_mail(struct trace *t, uint64_t mail, size_t clue, unsigned weight, int64_t at)
{
	uintptr_t place = (uintptr_t)map_get_u64(&t->mail_places, mail);
	struct trace_mail *m;

	if (place == 0) {
		if (t->mail_count == MAILS_MAX)
			return;
		t->mails[t->mail_count++] = (struct trace_mail){.mail = mail, .at = at};
		place = t->mail_count;
		map_put_u64(&t->mail_places, mail, (void *)place);
	}
	m = &t->mails[place - 1];
	if (m->at < at)
		m->at = at;
	if (!(m->clues & 1ULL << clue))
		m->score += weight;
	m->clues |= 1ULL << clue;
}

static void found_loose(struct trace *t, size_t day, struct db_query *q)
{
	uint64_t order = (uint64_t)day << 40 | db_u64(q, 0);

	if (t->loose_count == LOOSE_MAX || map_put_u64(&t->loose_seen, order, t) != NULL)
		return;
	t->loose[t->loose_count++] = (struct line){event_of(q, &t->j->arena), order};
}

static void look_up(struct trace *t, struct db *db, size_t day, uint64_t key, size_t clue,
                    unsigned weight)
{
	struct db_query *q;

	if (t->hits[clue] >= HITS_IN_ALL)
		return;
	q = db_query(db, "SELECT " EVENT " FROM seek s JOIN event e ON e.id=s.event"
	                 " WHERE s.key=? ORDER BY s.event DESC LIMIT ?");
	db_bind(q, "uu", key, (uint64_t)HITS_OF_CLUE);
	for (; db_next(q); t->hits[clue]++) {
		if (db_u64(q, 3))
			found_mail(t, db_u64(q, 3), clue, weight, db_i64(q, 1));
		else
			found_loose(t, day, q);
	}
}

/* Events are written in order of time, but for the few that waited for each other: no index is needed. */
static uint64_t event_at(struct db *db, int64_t at)
{
	struct db_query *q = db_query(
	        db, "SELECT COALESCE(MIN(id), 1), COALESCE(MAX(id), 0) FROM event");
	uint64_t low = 1, high = 0;

	db_bind(q, "");
	if (db_next(q)) {
		low = db_u64(q, 0);
		high = db_u64(q, 1) + 1;
	}
	db_end(q);
	q = db_query(db, "SELECT at FROM event WHERE id=?");
	while (low < high) {
		uint64_t middle = low + (high - low) / 2;
		bool before;

		db_bind(q, "u", middle);
		before = db_next(q) && db_i64(q, 0) < at;
		db_end(q);
		if (before)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool is_day_of(const struct trace *t, size_t day, int64_t at)
{
	char name[LEDGER_NAME];

	ledger_name(at / (24LL * 3600 * 1000), name);
	return strcmp(name, t->days[day]) == 0;
}

/* What happened within a minute of it. */
static void look_up_time(struct trace *t, struct db *db, size_t day, int64_t at, size_t clue)
{
	struct db_query *q;
	uint64_t from;

	if (!is_day_of(t, day, at - TIME_AROUND_MS) && !is_day_of(t, day, at + TIME_AROUND_MS))
		return;
	from = event_at(db, at - TIME_AROUND_MS);
	q = db_query(db, "SELECT " EVENT " FROM event e WHERE e.id>=? ORDER BY e.id LIMIT ?");
	db_bind(q, "uu", from, (uint64_t)HITS_OF_CLUE);
	while (db_next(q)) {
		if (db_i64(q, 1) > at + TIME_AROUND_MS) {
			db_end(q);
			break;
		}
		if (db_u64(q, 3))
			found_mail(t, db_u64(q, 3), clue, 1, db_i64(q, 1));
		else
			found_loose(t, day, q);
	}
}

static void look_up_clue(struct trace *t, struct db *db, size_t day, size_t nth)
{
	const struct trace_clue *c = &t->clues[nth];

	switch (c->kind) {
	case TRACE_MAIL:
		look_up(t, db, day, ledger_key_u64(LEDGER_BY_MAIL, c->number), nth, STRONG);
		break;
	case TRACE_HOST: look_up(t, db, day, ledger_key(LEDGER_BY_HOST, c->text), nth, 1); break;
	case TRACE_TIME: look_up_time(t, db, day, (int64_t)c->number, nth); break;
	case TRACE_JUDGEMENT:
		look_up(t, db, day, ledger_key_u64(LEDGER_BY_JUDGEMENT, c->number), nth, STRONG);
		break;
	case TRACE_IP:
		look_up(t, db, day,
		        ledger_key(LEDGER_BY_IP, bytes_of(c->ip.octets, sizeof(c->ip.octets))), nth,
		        1);
		break;
	case TRACE_ADDRESS:
		look_up(t, db, day, ledger_key(LEDGER_BY_MESSAGE_ID, c->text), nth, STRONG);
		look_up(t, db, day, ledger_key(LEDGER_BY_ADDRESS, c->text), nth, 1);
		break;
	}
}

/* Today's is open already; another is opened for this question. NULL: it cannot be read. */
static struct db *open_day(struct trace *t, size_t day)
{
	struct ledger *l = t->ledger;
	char today[LEDGER_NAME];

	ledger_name(l->day, today);
	if (l->today && strcmp(today, t->days[day]) == 0)
		return l->today;
	if (!t->open[day] && ledger_open(l, t->days[day], &t->open[day], NULL) != OK)
		t->open[day] = NULL;
	return t->open[day];
}

/* A queue id is known to the index even where the ledger knows nothing of it. */
static void look_up_index(struct trace *t, size_t nth)
{
	const struct trace_clue *c = &t->clues[nth];
	struct db_query *q;

	if (c->kind == TRACE_MAIL) {
		q = db_query(t->j->reader->db, "SELECT received FROM mail WHERE id=?");
		db_bind(q, "u", c->number);
		if (db_next(q))
			found_mail(t, c->number, nth, STRONG, db_i64(q, 0));
		db_end(q);
	}
}

static void look_up_all(struct trace *t)
{
	for (size_t day = t->day_count; day-- > 0;) {
		struct db *db = open_day(t, day);

		for (size_t i = 0; db && i < t->clue_count; i++)
			look_up_clue(t, db, day, i);
	}
	for (size_t i = 0; i < t->clue_count; i++)
		look_up_index(t, i);
}

/* ---- choosing ---- */

static int by_score(const void *a, const void *b)
{
	const struct trace_mail *x = a, *y = b;

	if (x->score != y->score)
		return x->score > y->score ? -1 : 1;
	return x->at > y->at ? -1 : x->at < y->at;
}

/* Only the best: what one clue of many meets is not what was asked for. */
static void choose(struct trace *t)
{
	size_t keep = 0;

	if (t->mail_count)
		qsort(t->mails, t->mail_count, sizeof(*t->mails), by_score);
	while (keep < t->mail_count && t->mails[keep].score == t->mails[0].score)
		keep++;
	t->mail_count = keep;
}

/* ---- telling ---- */

static void set_text(json_t *o, const char *name, struct bytes value)
{
	if (value.len)
		json_object_set_new(o, name, admin_text(value));
}

static json_t *mail_object(uint64_t mail)
{
	char id[24];

	snprintf(id, sizeof(id), "%08llX", (unsigned long long)mail);
	return json_pack("{s:s}", "mail", mail ? id : "-");
}

static json_t *event_object(const struct ledger_event *e)
{
	json_t *o = mail_object(e->mail);
	char text[IP_TEXT];
	struct ip ip;

	json_object_set_new(o, "time_ms", json_integer(e->at));
	json_object_set_new(o, "event", json_string(ledger_reason_word(e->reason)));
	set_text(o, "sender", e->sender);
	set_text(o, "recipient", e->rcpt);
	set_text(o, "message_id", e->message_id);
	if (e->ip.len == sizeof(ip)) {
		memcpy(&ip, e->ip.ptr, sizeof(ip));
		ip_format(&ip, text);
		json_object_set_new(o, "ip", json_string(text));
	}
	if (e->session) {
		snprintf(text, sizeof(text), "%llx", (unsigned long long)e->session);
		json_object_set_new(o, "session", json_string(text));
	}
	set_text(o, "text", e->text);
	return o;
}

static int by_time(const void *a, const void *b)
{
	const struct line *x = a, *y = b;

	if (x->event.at != y->event.at)
		return x->event.at < y->event.at ? -1 : 1;
	return x->order < y->order ? -1 : x->order > y->order;
}

static void tell_lines(struct buf *rows, struct line *lines, size_t count)
{
	if (count)
		qsort(lines, count, sizeof(*lines), by_time);
	for (size_t i = 0; i < count; i++)
		admin_row(rows, event_object(&lines[i].event));
}

static size_t gather(struct trace *t, uint64_t mail, struct line *lines)
{
	size_t count = 0;

	for (size_t day = 0; day < t->day_count; day++) {
		struct db *db = open_day(t, day);
		struct db_query *q = db ? db_query(db, "SELECT " EVENT " FROM seek s"
		                                       " JOIN event e ON e.id=s.event"
		                                       " WHERE s.key=? ORDER BY s.event LIMIT ?")
		                        : NULL;

		if (!db)
			continue;
		db_bind(q, "uu", ledger_key_u64(LEDGER_BY_MAIL, mail),
		        (uint64_t)(EVENTS_OF_MAIL - count));
		while (count < EVENTS_OF_MAIL && db_next(q))
			lines[count++] = (struct line){event_of(q, &t->j->arena),
			                               (uint64_t)day << 40 | db_u64(q, 0)};
		db_end(q);
	}
	return count;
}

static void tell_queue(struct trace *t, struct buf *rows, uint64_t mail, bool *ret_any)
{
	static const char *const states[] = {"ready", "held", "carry", "parked"};
	struct db_query *q = db_query(t->j->reader->db,
	                              "SELECT id, state, due, tries, rcpt, reason,"
	                              " queued FROM entry WHERE mail=?"
	                              " ORDER BY id LIMIT 1000");

	db_bind(q, "u", mail);
	while (db_next(q)) {
		json_t *o = mail_object(mail);
		uint64_t state = db_u64(q, 1);

		json_object_set_new(o, "now", json_string("queue"));
		json_object_set_new(o, "entry", json_integer(db_i64(q, 0)));
		json_object_set_new(o, "state", json_string(state < 4 ? states[state] : "?"));
		set_text(o, "recipient", db_bytes(q, 4));
		json_object_set_new(o, "due_ms", json_integer(db_i64(q, 2)));
		json_object_set_new(o, "tries", json_integer(db_i64(q, 3)));
		json_object_set_new(o, "queued_ms", json_integer(db_i64(q, 6)));
		set_text(o, "reason", db_bytes(q, 5));
		admin_row(rows, o);
		*ret_any = true;
	}
}

struct folder {
	uint64_t id;
	struct bytes account, name;
};

enum { FOLDERS_MAX = 200 };

/* The mailboxes of the accounts that the events name: a placement is found by mailbox, not by mail. */
static size_t folders_of(struct trace *t, const struct line *lines, size_t count,
                         struct folder list[FOLDERS_MAX])
{
	struct map seen = {0};
	size_t found = 0;

	store_hold(t->s);
	for (size_t i = 0; i < count; i++) {
		struct bytes rest = lines[i].event.rcpt, one;

		while (bytes_cut(&rest, ' ', &one)) {
			struct account *a = one.len ? account_by_address(t->s, one) : NULL;

			if (!a || map_put_u64(&seen, a->id, a))
				continue;
			for (size_t n = 0; n < a->mailbox_count && found < FOLDERS_MAX; n++)
				list[found++] = (struct folder){
				        a->mailboxes[n]->id,
				        arena_copy(&t->j->arena, a->now.address),
				        arena_copy(&t->j->arena, a->mailboxes[n]->now.name)};
		}
	}
	store_let(t->s);
	map_done(&seen);
	return found;
}

static void tell_places(struct trace *t, struct buf *rows, uint64_t mail, const struct line *lines,
                        size_t count, bool *ret_any)
{
	struct folder *list = arena_get(&t->j->arena, FOLDERS_MAX * sizeof(*list));
	size_t found = folders_of(t, lines, count, list);

	for (size_t i = 0; i < found; i++) {
		struct db_query *q = db_query(t->j->reader->db, "SELECT uid, flags FROM placement"
		                                                " WHERE mailbox=? AND mail=?"
		                                                " ORDER BY uid DESC LIMIT 1");
		json_t *o;

		db_bind(q, "uu", list[i].id, mail);
		if (db_next(q)) {
			o = mail_object(mail);
			json_object_set_new(o, "now", json_string("mailbox"));
			set_text(o, "account", list[i].account);
			set_text(o, "mailbox", list[i].name);
			json_object_set_new(o, "uid", json_integer(db_i64(q, 0)));
			json_object_set_new(o, "seen", json_boolean(db_u64(q, 1) & MAIL_SEEN));
			admin_row(rows, o);
			*ret_any = true;
		}
		db_end(q);
	}
}

static bool is_kept(struct trace *t, uint64_t mail)
{
	struct db_query *q = db_query(t->j->reader->db, "SELECT 1 FROM mail WHERE id=?");
	bool kept;

	db_bind(q, "u", mail);
	kept = db_next(q);
	db_end(q);
	return kept;
}

static void tell_mail(struct trace *t, uint64_t mail, struct buf *rows)
{
	struct line *lines = arena_get(&t->j->arena, EVENTS_OF_MAIL * sizeof(*lines));
	size_t count = gather(t, mail, lines);
	bool any = false;

	tell_lines(rows, lines, count);
	tell_queue(t, rows, mail, &any);
	tell_places(t, rows, mail, lines, count, &any);
	if (!any) {
		json_t *o = mail_object(mail);

		json_object_set_new(o, "now", json_string(is_kept(t, mail) ? "kept" : "gone"));
		admin_row(rows, o);
	}
}

/* Whole mails as long as they fit; the cursor counts mails. */
static void tell(struct trace *t)
{
	uint64_t nth = t->j->ask.admin.number;
	struct buf one = {0};

	if (nth == 0)
		tell_lines(&t->page, t->loose, t->loose_count);
	for (; nth < t->mail_count; nth++) {
		buf_clear(&one);
		tell_mail(t, t->mails[nth].mail, &one);
		if (buf_len(&t->page) && buf_len(&t->page) + buf_len(&one) > LIMIT_LIST - 4096)
			break;
		buf_append(&t->page, buf_bytes(&one));
	}
	t->j->answer.admin.next = nth < t->mail_count ? nth : 0;
	buf_done(&one);
}

/* ---- the job ---- */

static enum result run_trace(struct store *s, struct job *j, struct why *why)
{
	struct trace *t = arena_get(&j->arena, sizeof(*t));

	*t = (struct trace){.s = s, .j = j, .ledger = s->ledger};
	t->clue_count = trace_scan(j->ask.admin.subject, t->clues);
	if (t->clue_count == 0)
		return why_set(why, INVALID,
		               "that is no address, Message-ID, queue id, refusal's id, IP address "
		               "or host");
	t->mails = memory_get(MAILS_MAX * sizeof(*t->mails));
	t->loose = memory_get(LOOSE_MAX * sizeof(*t->loose));
	t->day_count = ledger_days(s->ledger, &j->arena, &t->days);
	t->open = arena_get(&j->arena, (t->day_count + 1) * sizeof(*t->open));
	look_up_all(t);
	choose(t);
	tell(t);
	admin_rows_done(j, &t->page);
	for (size_t i = 0; i < t->day_count; i++)
		db_free(&t->open[i]);
	memory_free(t->mails);
	memory_free(t->loose);
	map_done(&t->mail_places);
	map_done(&t->loose_seen);
	return db_failed(j->reader->db, why);
}

enum result admin_trace(struct store *s, struct job *j, struct why *why)
{
	if (!s->ledger)
		return why_set(why, UNAVAILABLE, "this store keeps no ledger");
	j->later = true;
	j->run = run_trace;
	job_put(&s->traces, j);
	return OK;
}

void trace_step(struct store *s, struct ledger *l)
{
	struct why why = {0};
	enum result result;
	struct job *j;

	(void)l;
	store_hold(s);
	j = s->failed ? NULL : job_take(&s->traces);
	store_let(s);
	if (!j)
		return;
	j->reader = &s->ledger_reader;
	j->later = false;
	result = j->run(s, j, &why);
	if (db_failed(j->reader->db, NULL) != OK) {
		db_rollback(j->reader->db);
		result = UNAVAILABLE;
	}
	store_hold(s);
	job_finish(s, j, result, &why);
	job_put(&s->done, j);
	store_let(s);
}
