#include "carrying/tls_report.h"

#include <assert.h>

#include "base/encode.h"
#include "base/memory.h"
#include "base/wire.h"
#include "carrying/report_mail.h"
#include "verify/facts.h"
#include "verify/route.h"
#include "verify/tlsrpt.h"

enum {
	ASKS = 4,
	ROWS = 64,
	REPLY_MAX = 4096, /* of a POST's answer, which nobody reads */
	TYPE_TXT = 16,
};

#define PATIENCE_MS (3LL * 24 * 3600 * 1000)

enum state {
	REPORT_NEXT,  /* TLSRPT */
	REPORT_FACTS, /* RESOLVE: who wants it, where is that */
	REPORT_MAIL,  /* report_mail's */
	REPORT_POST,  /* FETCH */
	REPORT_DONE,  /* TLSRPT_DONE */
	REPORT_FINISHED,
};

struct tls_reporting {
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
	struct tlsrpt_report report;
	struct tlsrpt_row rows[ROWS];
	struct bytes ruas[TLSRPT_RUAS], rua, to, gz;
	size_t rua_count, rua_next;
	bool has_ruas;
	struct route route; /* of a POST */

	struct report_mail mail;
};

static void go_on(struct tls_reporting *t);

static struct ask *ask(struct tls_reporting *t, enum ask_kind kind)
{
	assert(t->ask_count < ASKS);
	struct ask *a = &t->asks[(t->ask_first + t->ask_count++) % ASKS];

	*a = (struct ask){.kind = kind, .number = ++t->next_number};
	t->open++;
	return a;
}

bool tls_reporting_ask(struct tls_reporting *t, struct ask *ret)
{
	if (t->ask_count == 0)
		return false;
	*ret = t->asks[t->ask_first];
	t->ask_first = (t->ask_first + 1) % ASKS;
	t->ask_count--;
	return true;
}

/* ---- one report after the other ---- */

static void ask_next(struct tls_reporting *t)
{
	facts_free(&t->facts);
	arena_reset(&t->arena);
	t->has_ruas = false;
	t->rua_next = t->rua_count = 0;
	t->state = REPORT_NEXT;
	ask(t, ASK_TLSRPT);
}

static void done(struct tls_reporting *t)
{
	struct ask *a = ask(t, ASK_TLSRPT_DONE);

	t->state = REPORT_DONE;
	a->tlsrpt_done.domain = t->report.domain;
	a->tlsrpt_done.day = t->report.day;
}

static void read_rows(struct tls_reporting *t, struct bytes packed)
{
	struct wire w = wire_of(arena_copy(&t->arena, packed));

	t->report.row_count = 0;
	while (!wire_end(&w) && t->report.row_count < ROWS) {
		struct tlsrpt_row *r = &t->rows[t->report.row_count];

		r->policy = wire_u8(&w);
		r->result = wire_u8(&w);
		r->policy_string = wire_block(&w);
		r->mx_host = wire_block(&w);
		r->ip = wire_block(&w);
		r->details = wire_block(&w);
		r->sessions = wire_u64(&w);
		t->report.row_count += !w.bad;
	}
	t->report.rows = t->rows;
}

static void begin_report(struct tls_reporting *t, const struct answer_tlsrpt *a)
{
	struct time_civil day = time_to_civil(a->day, 0);
	struct bytes organization = report_organization(t->config);
	struct buf id = {0}, json = {0}, gz = {0};

	t->facts = facts_new();
	t->seed[t->total++ % 16]++;
	encode_hex(&id, bytes_of(t->seed, 8));
	t->report = (struct tlsrpt_report){
	        .organization = organization,
	        .contact = arena_printf(&t->arena, "postmaster@%.*s", BYTES_ARG(organization)),
	        .domain = arena_copy(&t->arena, a->domain),
	        .day = a->day,
	        .id = arena_printf(&t->arena, "%04d%02d%02d.%.*s", day.year, day.month, day.day,
	                           BYTES_ARG(buf_bytes(&id))),
	};
	read_rows(t, a->rows);
	tlsrpt_report(&t->report, &json);
	tlsrpt_gzip(buf_bytes(&json), &gz);
	t->gz = arena_copy(&t->arena, buf_bytes(&gz));
	buf_done(&id);
	buf_done(&json);
	buf_done(&gz);
	t->state = REPORT_FACTS;
	go_on(t);
}

/* ---- facts ---- */

static bool ask_missing(struct tls_reporting *t)
{
	struct bytes name;
	uint16_t type;

	while (t->ask_count < ASKS && facts_missing(t->facts, &name, &type)) {
		struct ask *a = ask(t, ASK_RESOLVE);

		a->resolve.name = name;
		a->resolve.type = type;
		facts_asked(t->facts, a->number);
	}
	return t->open > 0;
}

/* False: not known yet. A domain whose DNS fails may wait; then nobody is kept waiting behind it. */
static bool find_ruas(struct tls_reporting *t)
{
	struct bytes name = arena_printf(&t->arena, "_smtp._tls.%.*s", BYTES_ARG(t->report.domain));
	const struct fact *f = facts_need(t->facts, name, TYPE_TXT);
	struct bytes texts[8];
	size_t count = 0;

	if (!f)
		return false;
	for (size_t i = 0; f->status == FACT_FOUND && i < f->count && count < 8; i++)
		count += facts_text(f->records[i], &t->arena, &texts[count]) == OK;
	t->has_ruas = true;
	if ((f->status == FACT_FAILED || f->status == FACT_BOGUS) &&
	    t->now - t->report.day < PATIENCE_MS)
		t->state = REPORT_FINISHED;
	else if (tlsrpt_txt(texts, count, t->ruas, &t->rua_count) != OK)
		t->rua_count = 0;
	return true;
}

/* ---- as a mail ---- */

static void pump_mail(struct tls_reporting *t)
{
	struct ask one;

	if (report_mail_ask(&t->mail, &one)) {
		struct ask *a = ask(t, one.kind);

		one.number = a->number;
		*a = one;
	}
}

static void begin_mail(struct tls_reporting *t)
{
	tlsrpt_mail(&t->report, t->gz, t->report.contact, t->to, t->now,
	            report_mail_content(&t->mail));
	t->seed[15]++;
	report_mail_begin(&t->mail, t->config, t->report.organization, t->report.contact, t->to,
	                  t->seed, t->now);
	t->state = REPORT_MAIL;
	pump_mail(t);
}

static void take_mail(struct tls_reporting *t, const struct answer *a)
{
	report_mail_answer(&t->mail, a);
	pump_mail(t);
	if (t->mail.open)
		return;
	t->sent += t->mail.state == REPORT_MAIL_SENT;
	if (t->mail.state == REPORT_MAIL_LATER)
		t->state = REPORT_FINISHED; /* the store is not well: later, from here */
	else
		go_on(t);
}

/* ---- as a POST ---- */

static struct bytes host_of(struct bytes url)
{
	struct bytes rest = bytes_skip(url, 8);
	size_t end = 0;

	while (end < rest.len && rest.ptr[end] != '/' && rest.ptr[end] != ':' &&
	       rest.ptr[end] != '?')
		end++;
	return bytes_first(rest, end);
}

/* False: not known yet. */
static bool begin_post(struct tls_reporting *t)
{
	struct route_question q = {.domain = host_of(t->rua),
	                           .is_host = true,
	                           .allowed = &t->config->carry_local_networks};
	struct ask *a;

	if (route_find(&q, t->facts, &t->arena, &t->route) == UNAVAILABLE)
		return false;
	if (t->route.count == 0 || t->route.hosts[0].literal) {
		t->rua = (struct bytes){0};
		return true;
	}
	t->state = REPORT_POST;
	a = ask(t, ASK_FETCH);
	a->fetch.url = t->rua;
	a->fetch.addresses = bytes_of(t->route.hosts[0].addresses,
	                              t->route.hosts[0].address_count * sizeof(struct ip));
	a->fetch.type = BYTES("application/tlsrpt+gzip");
	a->fetch.body = t->gz;
	a->fetch.max = REPLY_MAX;
	return true;
}

/* ---- what comes next ---- */

static void go_on(struct tls_reporting *t)
{
	t->state = REPORT_FACTS;
	while (t->state == REPORT_FACTS && t->open == 0) {
		if (!t->has_ruas && !find_ruas(t)) {
			(void)ask_missing(t);
			return;
		}
		if (t->state != REPORT_FACTS)
			return;
		if (t->rua.len == 0) {
			if (t->rua_next == t->rua_count) {
				done(t);
				return;
			}
			t->rua = t->ruas[t->rua_next++];
		}
		if (bytes_starts_nocase(t->rua, BYTES("mailto:"))) {
			if (report_mail_address(t->rua, &t->arena, &t->to))
				begin_mail(t);
			t->rua = (struct bytes){0};
		} else if (!begin_post(t)) {
			(void)ask_missing(t);
			return;
		}
	}
}

static void take_next(struct tls_reporting *t, const struct answer *a)
{
	if (a->result == OK && t->config->carry_tlsrpt)
		begin_report(t, &a->tlsrpt);
	else
		t->state = REPORT_FINISHED;
}

void tls_reporting_answer(struct tls_reporting *t, const struct answer *a)
{
	if (t->open > 0)
		t->open--;
	switch (t->state) {
	case REPORT_NEXT: take_next(t, a); break;
	case REPORT_FACTS:
		(void)facts_answer(t->facts, a);
		if (t->open == 0)
			go_on(t);
		break;
	case REPORT_MAIL: take_mail(t, a); break;
	case REPORT_POST:
		t->sent += a->result == OK;
		t->rua = (struct bytes){0};
		go_on(t);
		break;
	case REPORT_DONE:
		if (a->result == OK)
			ask_next(t);
		else
			t->state = REPORT_FINISHED;
		break;
	case REPORT_FINISHED: break;
	}
}

/* ---- life ---- */

struct tls_reporting *tls_reporting_new(const struct config *config, const uint8_t seed[16],
                                        time_ms now)
{
	struct tls_reporting *t = NEW(struct tls_reporting);

	t->config = config;
	t->now = now;
	memcpy(t->seed, seed, sizeof(t->seed));
	ask_next(t);
	return t;
}

void tls_reporting_free(struct tls_reporting **p)
{
	struct tls_reporting *t = *p;

	if (!t)
		return;
	report_mail_done(&t->mail);
	facts_free(&t->facts);
	arena_done(&t->arena);
	memory_free(t);
	*p = NULL;
}

bool tls_reporting_finished(const struct tls_reporting *t)
{
	return t->state == REPORT_FINISHED && t->ask_count == 0;
}

unsigned tls_reporting_sent(const struct tls_reporting *t)
{
	return t->sent;
}
