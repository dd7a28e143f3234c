#include "carrying/dmarc_reporting.h"

#include <assert.h>

#include "base/encode.h"
#include "base/memory.h"
#include "base/wire.h"
#include "carrying/report_mail.h"
#include "policy/evidence.h"
#include "verify/dmarc_report.h"
#include "verify/facts.h"
#include "verify/tlsrpt.h"

enum { ASKS = 4, RUAS = 4, ROWS = 2000, TYPE_TXT = 16, ROW_HEAD = 17 /* IP and action */ };

#define PATIENCE_MS (3LL * 24 * 3600 * 1000)
#define DAY_S (24 * 3600)

enum state {
	DMARC_NEXT,  /* DMARC_DUE, page by page */
	DMARC_FACTS, /* RESOLVE: do others want it? */
	DMARC_MAIL,  /* report_mail's */
	DMARC_DONE,  /* DMARC_DONE */
	DMARC_FINISHED,
};

struct dmarc_reporting {
	const struct config *config;
	time_ms now;
	enum state state;
	struct arena arena; /* of one report */
	struct ask asks[ASKS];
	size_t ask_first, ask_count;
	uint32_t next_number;
	unsigned open, sent, total;
	uint8_t seed[16];

	struct facts *facts;
	struct bytes domain, after; /* whose report it is; the last row that came */
	int64_t day;
	struct dmarc_report report;
	struct bytes rua, gz;
	struct bytes tos[RUAS];
	size_t to_count, to_next;
	struct report_mail mail;
};

static struct ask *ask(struct dmarc_reporting *t, enum ask_kind kind)
{
	assert(t->ask_count < ASKS);
	struct ask *a = &t->asks[(t->ask_first + t->ask_count++) % ASKS];

	*a = (struct ask){.kind = kind, .number = ++t->next_number};
	t->open++;
	return a;
}

bool dmarc_reporting_ask(struct dmarc_reporting *t, struct ask *ret)
{
	if (t->ask_count == 0)
		return false;
	*ret = t->asks[t->ask_first];
	t->ask_first = (t->ask_first + 1) % ASKS;
	t->ask_count--;
	return true;
}

/* ---- one report after the other ---- */

static void ask_page(struct dmarc_reporting *t)
{
	struct ask *a = ask(t, ASK_DMARC_DUE);

	t->state = DMARC_NEXT;
	a->dmarc_due = (struct ask_dmarc_due){
	        .domain = t->domain, .day = t->day, .after = t->after};
}

static void ask_next(struct dmarc_reporting *t)
{
	facts_free(&t->facts);
	arena_reset(&t->arena);
	t->report = (struct dmarc_report){0};
	t->domain = t->after = t->rua = (struct bytes){0};
	t->day = 0;
	t->to_count = t->to_next = 0;
	ask_page(t);
}

static void done(struct dmarc_reporting *t)
{
	struct ask *a = ask(t, ASK_DMARC_DONE);

	t->state = DMARC_DONE;
	a->dmarc_done.domain = t->domain;
	a->dmarc_done.day = t->day;
}

/* ---- rows ---- */

/* The record as it was last seen that day is what is reported as published. */
static void take_policy(struct dmarc_reporting *t, const struct dmarc_row *row)
{
	struct dmarc_record record;

	if (dmarc_record_parse(row->record, &record) != OK)
		return;
	t->rua = record.rua;
	t->report.p = record.p;
	t->report.sp = record.sp;
	t->report.np = record.np;
	t->report.has_sp = record.has_sp;
	t->report.has_np = record.has_np;
	t->report.strict_dkim = record.strict_dkim;
	t->report.strict_spf = record.strict_spf;
	t->report.testing = record.testing;
}

static enum dmarc_policy disposition(const struct dmarc_row *row, unsigned action)
{
	if (row->passed)
		return DMARC_POLICY_NONE;
	return action == JUDGE_REFUSE ? DMARC_POLICY_REJECT
	       : action == JUDGE_JUNK ? DMARC_POLICY_QUARANTINE
	                              : DMARC_POLICY_NONE;
}

static void fill_row(struct dmarc_report_row *x, const struct dmarc_row *row, unsigned action)
{
	x->disposition = disposition(row, action);
	x->dkim = row->aligned_dkim;
	x->spf = row->aligned_spf;
	if (!row->passed && x->disposition != row->policy)
		x->reason = BYTES("local_policy");
	x->header_from = row->from;
	x->envelope_from = row->sender_domain;
	for (size_t i = 0; i < row->dkim_count; i++)
		x->dkims[x->dkim_count++] = (struct dmarc_report_dkim){
		        row->dkim[i].domain, row->dkim[i].selector, row->dkim[i].result};
	x->spf_domain = row->spf_domain;
	x->spf_scope = row->spf_by_helo ? BYTES("helo") : BYTES("mfrom");
	x->spf_result = bytes_of_text(spf_result_name(row->spf));
}

static void take_row(struct dmarc_reporting *t, struct bytes packed, uint64_t count)
{
	struct dmarc_report_row *x = &t->report.rows[t->report.row_count];
	struct dmarc_row row;

	if (t->report.row_count == ROWS || packed.len <= ROW_HEAD ||
	    dmarc_row_parse(bytes_skip(packed, ROW_HEAD), &row) != OK)
		return;
	*x = (struct dmarc_report_row){.count = count};
	memcpy(x->ip.octets, packed.ptr, sizeof(x->ip.octets));
	fill_row(x, &row, (unsigned char)packed.ptr[ROW_HEAD - 1]);
	take_policy(t, &row);
	t->report.row_count++;
}

static void take_rows(struct dmarc_reporting *t, struct bytes list)
{
	struct wire w = wire_of(arena_copy(&t->arena, list));

	while (!wire_end(&w)) {
		struct bytes packed = wire_block(&w);
		uint64_t count = wire_u64(&w);

		if (w.bad)
			break;
		take_row(t, packed, count);
		t->after = packed;
	}
}

/* ---- to whom ---- */

static bool is_below(struct bytes name, struct bytes top)
{
	return name.len > top.len && name.ptr[name.len - top.len - 1] == '.' &&
	       bytes_equal_nocase(bytes_skip(name, name.len - top.len), top);
}

/* Of one house, as far as that can be seen from the names: then nobody else is bothered. */
static bool is_own(struct bytes policy_domain, struct bytes host)
{
	return bytes_equal_nocase(policy_domain, host) || is_below(host, policy_domain) ||
	       (is_below(policy_domain, host) && bytes_find_char(host, '.') != BYTES_NONE);
}

enum wanted { WANTED_NO, WANTED_YES, WANTED_UNKNOWN, WANTED_FAILED };

static enum wanted is_wanted(struct dmarc_reporting *t, struct bytes host)
{
	struct bytes name = arena_printf(&t->arena, "%.*s._report._dmarc.%.*s",
	                                 BYTES_ARG(t->domain), BYTES_ARG(host));
	const struct fact *f;

	if (is_own(t->domain, host))
		return WANTED_YES;
	if (!(f = facts_need(t->facts, name, TYPE_TXT)))
		return WANTED_UNKNOWN;
	if (f->status >= FACT_FAILED)
		return WANTED_FAILED;
	for (size_t i = 0; i < f->count; i++) {
		struct dmarc_record record;
		struct bytes text;

		/* Anything that begins as a record does; it may name no policy. */
		if (facts_text(f->records[i], &t->arena, &text) == OK &&
		    dmarc_record_parse(text, &record) != NOT_FOUND)
			return WANTED_YES;
	}
	return WANTED_NO;
}

/* "mailto:a@b!10m": the size of RFC 7489 is passed over (RFC 9990, 4.3). */
static bool address_of(struct dmarc_reporting *t, struct bytes uri, struct bytes *ret)
{
	size_t mark = bytes_find_char(uri, '!');

	return report_mail_address(bytes_first(uri, mark == BYTES_NONE ? uri.len : mark), &t->arena,
	                           ret);
}

/* False: not known yet, or it has to wait. */
static bool find_tos(struct dmarc_reporting *t)
{
	struct bytes rest = t->rua, uri, to;
	bool unknown = false;

	t->to_count = 0;
	while (t->to_count < RUAS && bytes_cut(&rest, ',', &uri)) {
		enum wanted w;

		if (!address_of(t, bytes_trim(uri), &to))
			continue;
		w = is_wanted(t, bytes_skip(to, bytes_find_last(to, '@') + 1));
		unknown |= w == WANTED_UNKNOWN;
		if (w == WANTED_YES)
			t->tos[t->to_count++] = to;
		if (w == WANTED_FAILED && t->now - t->day < PATIENCE_MS) {
			t->state = DMARC_FINISHED;
			return false;
		}
	}
	return !unknown;
}

static void ask_missing(struct dmarc_reporting *t)
{
	struct bytes name;
	uint16_t type;

	while (t->ask_count < ASKS && facts_missing(t->facts, &name, &type)) {
		struct ask *a = ask(t, ASK_RESOLVE);

		a->resolve.name = name;
		a->resolve.type = type;
		facts_asked(t->facts, a->number);
	}
}

/* ---- the report ---- */

static void make_report(struct dmarc_reporting *t)
{
	struct bytes organization = report_organization(t->config);
	struct dmarc_report *r = &t->report;
	struct time_civil day = time_to_civil(t->day, 0);
	struct buf id = {0}, xml = {0}, gz = {0};

	t->seed[t->total++ % 15]++;
	encode_hex(&id, bytes_of(t->seed, 8));
	r->organization = organization;
	r->email = arena_printf(&t->arena, "postmaster@%.*s", BYTES_ARG(organization));
	r->id = arena_printf(&t->arena, "%04d%02d%02d.%.*s", day.year, day.month, day.day,
	                     BYTES_ARG(buf_bytes(&id)));
	r->domain = t->domain;
	r->begin = t->day / 1000;
	r->end = r->begin + DAY_S - 1;
	dmarc_report_write(r, &xml);
	tlsrpt_gzip(buf_bytes(&xml), &gz);
	t->gz = arena_copy(&t->arena, buf_bytes(&gz));
	buf_done(&id);
	buf_done(&xml);
	buf_done(&gz);
}

static void pump_mail(struct dmarc_reporting *t)
{
	struct ask one;

	if (report_mail_ask(&t->mail, &one)) {
		struct ask *a = ask(t, one.kind);

		one.number = a->number;
		*a = one;
	}
}

static void send_next(struct dmarc_reporting *t)
{
	struct bytes to;

	if (t->to_next == t->to_count) {
		done(t);
		return;
	}
	to = t->tos[t->to_next++];
	dmarc_report_mail(&t->report, t->gz, t->report.email, to, t->now,
	                  report_mail_content(&t->mail));
	t->seed[15]++;
	report_mail_begin(&t->mail, t->config, t->report.organization, t->report.email, to, t->seed,
	                  t->now);
	t->state = DMARC_MAIL;
	pump_mail(t);
}

static void take_mail(struct dmarc_reporting *t, const struct answer *a)
{
	report_mail_answer(&t->mail, a);
	pump_mail(t);
	if (t->mail.open)
		return;
	t->sent += t->mail.state == REPORT_MAIL_SENT;
	if (t->mail.state == REPORT_MAIL_LATER)
		t->state = DMARC_FINISHED; /* the store is not well: later, from here */
	else
		send_next(t);
}

/* ---- what comes next ---- */

static void look_for_tos(struct dmarc_reporting *t)
{
	t->state = DMARC_FACTS;
	if (!find_tos(t)) {
		if (t->state == DMARC_FACTS)
			ask_missing(t);
		return;
	}
	if (t->to_count > 0)
		make_report(t);
	send_next(t);
}

static void take_page(struct dmarc_reporting *t, const struct answer *a)
{
	const struct answer_dmarc_due *p = &a->dmarc_due;

	if (a->result != OK || !t->config->carry_dmarc_reports || p->domain.len == 0) {
		t->state = DMARC_FINISHED;
		return;
	}
	if (!t->report.rows) {
		t->report.rows = arena_get(&t->arena, (ROWS + 1) * sizeof(*t->report.rows));
		t->facts = facts_new();
		t->domain = arena_copy(&t->arena, p->domain);
		t->day = p->day;
	}
	take_rows(t, p->rows);
	if (p->more && p->rows.len > 0)
		ask_page(t);
	else
		look_for_tos(t);
}

void dmarc_reporting_answer(struct dmarc_reporting *t, const struct answer *a)
{
	if (t->open > 0)
		t->open--;
	switch (t->state) {
	case DMARC_NEXT: take_page(t, a); break;
	case DMARC_FACTS:
		(void)facts_answer(t->facts, a);
		if (t->open == 0)
			look_for_tos(t);
		break;
	case DMARC_MAIL: take_mail(t, a); break;
	case DMARC_DONE:
		if (a->result == OK)
			ask_next(t);
		else
			t->state = DMARC_FINISHED;
		break;
	case DMARC_FINISHED: break;
	}
}

/* ---- life ---- */

struct dmarc_reporting *dmarc_reporting_new(const struct config *config, const uint8_t seed[16],
                                            time_ms now)
{
	struct dmarc_reporting *t = NEW(struct dmarc_reporting);

	t->config = config;
	t->now = now;
	memcpy(t->seed, seed, sizeof(t->seed));
	ask_next(t);
	return t;
}

void dmarc_reporting_free(struct dmarc_reporting **p)
{
	struct dmarc_reporting *t = *p;

	if (!t)
		return;
	report_mail_done(&t->mail);
	facts_free(&t->facts);
	arena_done(&t->arena);
	memory_free(t);
	*p = NULL;
}

bool dmarc_reporting_finished(const struct dmarc_reporting *t)
{
	return t->state == DMARC_FINISHED && t->ask_count == 0;
}

unsigned dmarc_reporting_sent(const struct dmarc_reporting *t)
{
	return t->sent;
}
