#include "store/dmarc.h"

#include <jansson.h>
#include <stdlib.h>

#include "base/memory.h"
#include "policy/evidence.h"
#include "store/life.h"
#include "verify/dmarc_report.h"

#define DAY_MS (24LL * 3600 * 1000)

const char dmarc_schema[] =
        "CREATE TABLE dmarc_count(domain BLOB, day, row BLOB, count, PRIMARY KEY(domain, day, row))"
        " WITHOUT ROWID;"
        "CREATE INDEX dmarc_count_day ON dmarc_count(day);"
        "CREATE TABLE dmarc_report(domain BLOB, organization BLOB, id BLOB, received, rows BLOB,"
        " PRIMARY KEY(domain, organization, id)) WITHOUT ROWID;"
        "CREATE INDEX dmarc_report_received ON dmarc_report(received);";

/* ---- rows ---- */

enum result dmarc_count_apply(struct store *s, const struct change_dmarc_count *c)
{
	struct db_query *q = db_query(s->db,
	                              "INSERT OR REPLACE INTO dmarc_count VALUES(?, ?, ?, ?)");

	db_bind(q, "bibu", c->domain, c->day, c->row, c->count);
	db_execute(q);
	return OK;
}

enum result dmarc_counts_gone_apply(struct store *s, const struct change_dmarc_counts_gone *c)
{
	struct db_query *q = db_query(s->db, "DELETE FROM dmarc_count WHERE domain=? AND day=?");

	db_bind(q, "bi", c->domain, c->day);
	db_execute(q);
	return OK;
}

enum result dmarc_report_apply(struct store *s, const struct change_dmarc_report *c)
{
	struct db_query *q = db_query(s->db,
	                              "INSERT OR REPLACE INTO dmarc_report VALUES(?, ?, ?, ?, ?)");

	db_bind(q, "bbbib", c->domain, c->organization, c->id, c->received, c->rows);
	db_execute(q);
	return OK;
}

enum result dmarc_reports_gone_apply(struct store *s, const struct change_dmarc_reports_gone *c)
{
	struct db_query *q = db_query(s->db, "DELETE FROM dmarc_report WHERE received<?");

	db_bind(q, "i", c->before);
	db_execute(q);
	return OK;
}

/* ---- counting what we saw ---- */

static uint64_t count_of(struct store *s, struct bytes domain, int64_t day, struct bytes row)
{
	struct db_query *q = db_query(
	        s->db, "SELECT count FROM dmarc_count WHERE domain=? AND day=? AND row=?");
	uint64_t n;

	db_bind(q, "bib", domain, day, row);
	n = db_next(q) ? db_u64(q, 0) : 0;
	db_end(q);
	return n;
}

static uint64_t rows_of(struct store *s, struct bytes domain, int64_t day)
{
	struct db_query *q = db_query(s->db,
	                              "SELECT COUNT(*) FROM dmarc_count WHERE domain=? AND day=?");
	uint64_t n;

	db_bind(q, "bi", domain, day);
	n = db_next(q) ? db_u64(q, 0) : 0;
	db_end(q);
	return n;
}

/* The same row earlier in this job, or NULL. */
static struct change_dmarc_count *noted(struct job *j, struct bytes domain, int64_t day,
                                        struct bytes row)
{
	for (size_t i = 0; i < j->change_count; i++) {
		struct change *c = &j->changes[i];

		if (c->kind == CHANGE_DMARC_COUNT && c->dmarc_count.day == day &&
		    bytes_equal(c->dmarc_count.row, row) &&
		    bytes_equal(c->dmarc_count.domain, domain))
			return &c->dmarc_count;
	}
	return NULL;
}

static void add_one(struct store *s, struct job *j, int64_t day, struct bytes row)
{
	struct change_dmarc_count *had;
	struct dmarc_row parsed;
	uint64_t before;

	/* ip and action stand before what dmarc_row_pack made. */
	if (dmarc_row_parse(bytes_skip(row, 17), &parsed) != OK)
		return;
	if ((had = noted(j, parsed.policy_domain, day, row))) {
		had->count++;
		return;
	}
	before = count_of(s, parsed.policy_domain, day, row);
	if (before == 0 && rows_of(s, parsed.policy_domain, day) >= DMARC_ROWS)
		return;
	job_change(j, CHANGE_DMARC_COUNT)->dmarc_count = (struct change_dmarc_count){
	        parsed.policy_domain, day, row, before + 1};
}

static enum result run_count(struct store *s, struct job *j, struct why *why)
{
	struct wire w;

	(void)why;
	store_hold(s);
	w = wire_of(arena_copy(&j->arena, buf_bytes(&s->dmarc.pending)));
	buf_clear(&s->dmarc.pending);
	s->dmarc.count = 0;
	s->dmarc.writing = false;
	s->dmarc.written = s->now;
	store_let(s);
	while (!wire_end(&w)) {
		int64_t day = (int64_t)wire_u64(&w);
		struct bytes row = wire_block(&w);

		if (!w.bad)
			add_one(s, j, day, row);
	}
	return OK;
}

/* Locked. */
static void want_written(struct store *s)
{
	struct job *j;

	if (s->dmarc.writing || s->dmarc.count == 0)
		return;
	s->dmarc.writing = true;
	j = job_new(s, run_count);
	j->now = s->now;
	job_put(&s->writes, j);
}

void dmarc_count(struct store *s, struct bytes row, struct bytes ip, unsigned action)
{
	struct dmarc_row parsed;

	if (ip.len != 16 || dmarc_row_parse(row, &parsed) != OK)
		return;
	if (s->dmarc.count < 2 * DMARC_PENDING) {
		buf_u64(&s->dmarc.pending, (uint64_t)(s->now - s->now % DAY_MS));
		buf_u32(&s->dmarc.pending, (uint32_t)(17 + row.len));
		buf_append(&s->dmarc.pending, ip);
		buf_u8(&s->dmarc.pending, (uint8_t)action);
		buf_append(&s->dmarc.pending, row);
		s->dmarc.count++;
	}
	if (s->dmarc.count >= DMARC_PENDING || s->now - s->dmarc.written >= DMARC_WRITE_MS)
		want_written(s);
}

void dmarc_tick(struct store *s)
{
	store_hold(s);
	want_written(s);
	store_let(s);
}

/* ---- giving them to the courier ---- */

static bool next_due(struct store *s, struct job *j, struct answer_dmarc_due *ret)
{
	struct db_query *q = db_query(s->db, "SELECT domain, day FROM dmarc_count WHERE day<?"
	                                     " ORDER BY day, domain LIMIT 1");
	bool found;

	db_bind(q, "i", j->now - j->now % DAY_MS);
	found = db_next(q);
	if (found) {
		ret->domain = arena_copy(&j->arena, db_bytes(q, 0));
		ret->day = db_i64(q, 1);
	}
	db_end(q);
	return found;
}

/* Rows of a day that is over wait in memory: its report would lack them. */
static bool is_still_counted(struct store *s, time_ms now)
{
	struct wire w;
	bool waits;

	store_hold(s);
	w = wire_of(buf_bytes(&s->dmarc.pending));
	waits = s->dmarc.count > 0 && (int64_t)wire_u64(&w) < now - now % DAY_MS;
	if (waits)
		want_written(s);
	waits |= s->dmarc.writing;
	store_let(s);
	return waits;
}

/* The writer's: it sees what was counted before. */
enum result run_dmarc_due(struct store *s, struct job *j, struct why *why)
{
	const struct ask_dmarc_due *a = &j->ask.dmarc_due;
	struct answer_dmarc_due *ret = &j->answer.dmarc_due;
	struct buf rows = {0};
	struct db_query *q;

	ret->domain = a->domain;
	ret->day = a->day;
	if (is_still_counted(s, j->now))
		return why_set(why, UNAVAILABLE, "the last mails of that day are being counted");
	if (a->domain.len == 0 && !next_due(s, j, ret))
		return why_set(why, NOT_FOUND, "there is nothing to report");
	q = db_query(s->db, "SELECT row, count FROM dmarc_count WHERE domain=? AND day=? AND row>?"
	                    " ORDER BY row");
	db_bind(q, "bib", ret->domain, ret->day, a->after);
	while (!ret->more && db_next(q)) {
		ret->more = buf_len(&rows) + db_bytes(q, 0).len + 16 > DMARC_GIVEN;
		if (ret->more)
			break;
		buf_block(&rows, db_bytes(q, 0));
		buf_u64(&rows, db_u64(q, 1));
	}
	db_end(q);
	ret->rows = arena_copy(&j->arena, buf_bytes(&rows));
	buf_done(&rows);
	return OK;
}

enum result run_dmarc_done(struct store *s, struct job *j, struct why *why)
{
	const struct ask_dmarc_done *a = &j->ask.dmarc_done;

	(void)s;
	if (a->domain.len == 0 || a->domain.len > LIMIT_DOMAIN)
		return why_set(why, INVALID, "that is no domain");
	job_change(j, CHANGE_DMARC_COUNTS_GONE)
	        ->dmarc_counts_gone = (struct change_dmarc_counts_gone){a->domain, a->day};
	return OK;
}

/* ---- keeping what others saw ---- */

/* Not more than DMARC_RECEIVED: anybody may send them. The time of the oldest that may stay; 0: all may. */
static int64_t oldest_kept(struct store *s, const struct job *j)
{
	struct db_query *q = db_query(s->db, "SELECT received FROM dmarc_report"
	                                     " ORDER BY received DESC LIMIT 1 OFFSET ?");
	int64_t before = j->now - DMARC_RECEIVED_DAYS * DAY_MS;

	db_bind(q, "u", (uint64_t)DMARC_RECEIVED);
	if (db_next(q) && db_i64(q, 0) >= before)
		before = db_i64(q, 0) + 1;
	db_end(q);
	return before;
}

static bool any_before(struct store *s, int64_t before)
{
	struct db_query *q = db_query(s->db, "SELECT 1 FROM dmarc_report WHERE received<? LIMIT 1");
	bool found;

	db_bind(q, "i", before);
	found = db_next(q);
	db_end(q);
	return found;
}

bool dmarc_received(struct store *s, struct job *j, struct bytes packed)
{
	struct arena arena = {0};
	struct dmarc_report r;
	bool good = dmarc_report_unpack(packed, &arena, &r) == OK;
	int64_t before = oldest_kept(s, j);

	if (good && any_before(s, before))
		job_change(j, CHANGE_DMARC_REPORTS_GONE)->dmarc_reports_gone.before = before;
	if (good)
		job_change(j, CHANGE_DMARC_REPORT)->dmarc_report = (struct change_dmarc_report){
		        r.domain, r.organization, r.id, j->now, packed};
	arena_done(&arena);
	return good;
}

/* ---- hikyaku dmarc ---- */

/* What all reports say of one sender of a domain. */
struct source {
	struct bytes domain;
	struct ip ip;
	uint64_t mails, dkim, spf, failed, quarantined, rejected, reports;
	int64_t last;
	struct bytes from, envelope, reporter;
};

enum { SOURCES = 20000, SHOWN = 500 };

struct sources {
	struct map map;
	struct arena arena;
};

static struct source *source_of(struct sources *all, struct bytes domain,
                                const struct dmarc_report_row *x)
{
	struct buf key = {0};
	struct source *s;

	buf_append(&key, bytes_of(x->ip.octets, 16));
	buf_append(&key, domain);
	s = map_get(&all->map, buf_bytes(&key));
	if (!s && all->map.count < SOURCES) {
		s = arena_get(&all->arena, sizeof(*s));
		s->domain = arena_copy(&all->arena, domain);
		s->ip = x->ip;
		s->envelope = arena_copy(&all->arena,
		                         x->envelope_from.len ? x->envelope_from : x->spf_domain);
		map_put(&all->map, buf_bytes(&key), s);
	}
	buf_done(&key);
	return s;
}

static void add_report(struct sources *all, const struct dmarc_report *r)
{
	for (size_t i = 0; i < r->row_count; i++) {
		const struct dmarc_report_row *x = &r->rows[i];
		struct source *s = source_of(all, r->domain, x);

		if (!s)
			continue;
		s->mails += x->count;
		s->dkim += x->dkim ? x->count : 0;
		s->spf += x->spf ? x->count : 0;
		s->failed += x->dkim || x->spf ? 0 : x->count;
		s->quarantined += x->disposition == DMARC_POLICY_QUARANTINE ? x->count : 0;
		s->rejected += x->disposition == DMARC_POLICY_REJECT ? x->count : 0;
		s->reports++;
		if (r->end >= s->last) {
			s->last = r->end;
			s->reporter = arena_copy(&all->arena, r->organization);
		}
	}
}

static int by_failures(const void *a, const void *b)
{
	const struct source *x = *(struct source *const *)a, *y = *(struct source *const *)b;

	if (x->failed != y->failed)
		return x->failed > y->failed ? -1 : 1;
	if (x->mails != y->mails)
		return x->mails > y->mails ? -1 : 1;
	return memcmp(x->ip.octets, y->ip.octets, 16);
}

static json_t *source_row(const struct source *x)
{
	char ip[IP_TEXT];

	ip_format(&x->ip, ip);
	return json_pack("{s:o,s:s,s:I,s:I,s:I,s:I,s:I,s:I,s:o,s:I,s:o}", "domain",
	                 admin_text(x->domain), "ip", ip, "mails", (json_int_t)x->mails, "failed",
	                 (json_int_t)x->failed, "dkim", (json_int_t)x->dkim, "spf",
	                 (json_int_t)x->spf, "quarantined", (json_int_t)x->quarantined, "rejected",
	                 (json_int_t)x->rejected, "envelope_from", admin_text(x->envelope),
	                 "last_ms", (json_int_t)x->last * 1000, "reporter",
	                 admin_text(x->reporter));
}

static void put_sources(struct sources *all, struct buf *rows)
{
	struct source **list = memory_get((all->map.count + 1) * sizeof(*list));
	struct map_entry *e;
	size_t count = 0;

	for (size_t at = 0; (e = map_each(&all->map, &at));)
		list[count++] = e->value;
	qsort(list, count, sizeof(*list), by_failures);
	for (size_t i = 0; i < count && i < SHOWN; i++)
		if (!admin_row(rows, source_row(list[i])))
			break;
	memory_free(list);
}

static json_t *report_row(const struct dmarc_report *r, int64_t received)
{
	uint64_t mails = 0, failed = 0;

	for (size_t i = 0; i < r->row_count; i++) {
		mails += r->rows[i].count;
		failed += r->rows[i].dkim || r->rows[i].spf ? 0 : r->rows[i].count;
	}
	return json_pack("{s:o,s:o,s:I,s:I,s:I,s:I,s:s,s:o,s:I}", "domain", admin_text(r->domain),
	                 "reporter", admin_text(r->organization), "begin_ms",
	                 (json_int_t)r->begin * 1000, "end_ms", (json_int_t)r->end * 1000, "mails",
	                 (json_int_t)mails, "failed", (json_int_t)failed, "policy",
	                 dmarc_policy_name(r->p), "id", admin_text(r->id), "received_ms",
	                 (json_int_t)received);
}

enum result admin_dmarc(struct store *s, struct job *j, struct why *why)
{
	const struct ask_admin *a = &j->ask.admin;
	bool reports = bytes_equal(a->value, BYTES("reports"));
	struct sources all = {0};
	struct arena arena = {0};
	struct buf rows = {0};
	struct db_query *q = db_query(j->reader->db,
	                              "SELECT domain, received, rows FROM dmarc_report"
	                              " WHERE received>=? ORDER BY received DESC");

	(void)s;
	(void)why;
	db_bind(q, "i", (int64_t)a->number);
	while (db_next(q)) {
		struct dmarc_report r;

		arena_reset(&arena);
		if ((a->subject.len > 0 && !bytes_equal_nocase(a->subject, db_bytes(q, 0))) ||
		    dmarc_report_unpack(db_bytes(q, 2), &arena, &r) != OK)
			continue;
		if (!reports)
			add_report(&all, &r);
		else if (!admin_row(&rows, report_row(&r, db_i64(q, 1))))
			break;
	}
	db_end(q);
	if (!reports)
		put_sources(&all, &rows);
	admin_rows_done(j, &rows);
	map_done(&all.map);
	arena_done(&all.arena);
	arena_done(&arena);
	return OK;
}
