/* One batch from CARRY to CARRIED, with a scripted world: a zone as text, hosts that answer as each test says. */
#include "../config/config_test.h"
#include "../verify/facts_test.h"

#include "base/memory.h"
#include "base/wire.h"
#include "carrying/carrying.h"
#include "policy/reply.h"
#include "watch/incident.h"

/* ---- the world ---- */

enum { CONNECTS = 16, TOLD = 8, RECIPIENTS = 4 };

struct told {
	uint16_t kind;
	uint8_t verb;
	char key[64], facts[1024];
};

struct world {
	struct config *config;
	struct carrying_job *job;
	struct facts *zone; /* what RESOLVE answers; others: no such name */
	struct arena arena;
	uint64_t lease;
	bool path_closed, probe;
	int resolver_away; /* how many RESOLVE are answered by nobody */
	const char *password;
	const char *sts_kept, *sts_kept_id, *fetched; /* policies */
	int fetches, kept;
	const char *source;       /* our address, as this machine knows it */
	char hosts[CONNECTS][64]; /* that were connected to */
	struct carrying_demand demands[CONNECTS];
	int connects;
	uint32_t connect_number;
	bool connect_open;
	struct told told[TOLD];
	int told_count;
	int carried; /* how often CARRIED was asked */
	enum result carried_result;
	uint8_t outcomes[RECIPIENTS], classes[RECIPIENTS];
	char statuses[RECIPIENTS][16], replies[RECIPIENTS][256];
	size_t results;
	struct ask_carried last;
};

static struct fact *zone_fact(struct world *w, const struct ask *a)
{
	return (struct fact *)(uintptr_t)facts_need(w->zone, a->resolve.name, a->resolve.type);
}

static void answer_resolve(struct world *w, const struct ask *a)
{
	const struct fact *f = zone_fact(w, a);
	struct answer answer = {.kind = ASK_RESOLVE, .number = a->number, .result = OK};
	struct buf records = {0};

	if (w->resolver_away > 0) {
		w->resolver_away--;
		answer.result = w->resolver_away % 2 ? LOST : UNAVAILABLE;
		carrying_job_answer(w->job, &answer);
		return;
	}

	answer.resolve.status = f ? (uint8_t)f->status : FACT_NO_NAME;
	answer.resolve.secure = f && f->secure;
	for (size_t i = 0; f && i < f->count; i++)
		buf_block(&records, f->records[i]);
	answer.resolve.records = buf_bytes(&records);
	answer.resolve.canonical = f ? f->canonical : (struct bytes){0};
	carrying_job_answer(w->job, &answer);
	buf_done(&records);
}

static void put_text(char *to, size_t size, struct bytes b)
{
	snprintf(to, size, "%.*s", BYTES_ARG(b));
}

static void read_carried(struct world *w, const struct ask *a)
{
	struct wire wire = wire_of(a->carried.results);

	w->carried++;
	w->last = a->carried;
	w->last.remote = arena_copy(&w->arena, a->carried.remote);
	w->last.tls_reports = arena_copy(&w->arena, a->carried.tls_reports);
	for (w->results = 0; !wire_end(&wire) && w->results < RECIPIENTS; w->results++) {
		assert_int_equal(wire_u64(&wire), 100 + w->results);
		w->outcomes[w->results] = wire_u8(&wire);
		w->classes[w->results] = wire_u8(&wire);
		put_text(w->statuses[w->results], 16, wire_block(&wire));
		put_text(w->replies[w->results], 256, wire_block(&wire));
	}
	assert_false(wire.bad);
}

static void answer_ask(struct world *w, const struct ask *a)
{
	struct answer answer = {.kind = a->kind, .number = a->number, .result = OK};

	switch (a->kind) {
	case ASK_PATH:
		assert_int_equal(a->path.lease, w->lease);
		answer.result = w->path_closed ? UNAVAILABLE : OK;
		answer.path.go = w->probe ? PATH_PROBE : PATH_GO;
		break;
	case ASK_STS_POLICY:
		answer.result = w->sts_kept ? OK : NOT_FOUND;
		answer.sts_policy.policy = bytes_of_text(w->sts_kept);
		answer.sts_policy.id = bytes_of_text(w->sts_kept_id);
		answer.sts_policy.expires = TIME_NEVER;
		break;
	case ASK_STS_POLICY_SET: w->kept++; break;
	case ASK_FETCH:
		w->fetches++;
		assert_bytes(a->fetch.url, BYTES("https://mta-sts.d.test/.well-known/mta-sts.txt"));
		answer.result = w->fetched ? OK : UNAVAILABLE;
		answer.fetch.status = 200;
		answer.fetch.type = BYTES("text/plain; charset=utf-8");
		answer.fetch.body = bytes_of_text(w->fetched);
		break;
	case ASK_SMARTHOST_SECRET:
		answer.result = w->password ? OK : NOT_FOUND;
		answer.smarthost_secret.password = bytes_of_text(w->password);
		break;
	case ASK_INCIDENT: {
		struct told *t = &w->told[w->told_count++];

		t->kind = a->incident.kind;
		t->verb = a->incident.verb;
		put_text(t->key, sizeof(t->key), a->incident.key);
		put_text(t->facts, sizeof(t->facts), a->incident.facts);
		assert_int_equal(w->carried, 0); /* before the result */
		break;
	}
	case ASK_CARRIED:
		read_carried(w, a);
		answer.result = w->carried_result;
		break;
	default: fail_msg("asked %s", ask_info(a->kind)->name);
	}
	carrying_job_answer(w->job, &answer);
}

/* Until it wants a connection, or is through. */
static void run(struct world *w)
{
	struct ask a;

	while (carrying_job_ask(w->job, &a)) {
		if (a.kind == ASK_CONNECT) {
			struct carrying_demand d;

			assert_true(w->connects < CONNECTS);
			carrying_job_demand(w->job, 0, &d);
			assert_bytes(d.host, a.connect.host);
			put_text(w->hosts[w->connects], 64, d.host);
			w->demands[w->connects++] = d;
			w->connect_number = a.number;
			w->connect_open = true;
		} else if (a.kind == ASK_RESOLVE) {
			answer_resolve(w, &a);
		} else {
			answer_ask(w, &a);
		}
	}
}

static void begin_with(struct world *w, const char *conf, const char *destination, int recipients,
                       uint8_t notify, uint8_t options)
{
	struct buf entries = {0};
	struct carrying_weather weather = {.seed = 1};
	struct answer_carry carry = {.lease = w->lease = 77,
	                             .destination = bytes_of_text(destination),
	                             .id = BYTES("0000002a"),
	                             .sender = BYTES("ken@example.test"),
	                             .size = 1000,
	                             .options = options};

	for (int i = 0; i < recipients; i++) {
		buf_u64(&entries, 100 + (uint64_t)i);
		buf_block(&entries, BYTES("a@d.test"));
		buf_u8(&entries, notify);
		buf_block(&entries, BYTES(""));
		buf_u32(&entries, 1);
	}
	carry.entries = buf_bytes(&entries);
	if (!w->config)
		w->config = parsed_conf(conf);
	w->job = carrying_job_new(w->config, &carry, &weather, 1000000);
	buf_done(&entries);
	run(w);
}

static void begin(struct world *w)
{
	begin_with(w, BASE_CONF, "d.test", 1, 0, 0);
}

/* ---- what hosts do ---- */

static void connect_fails(struct world *w, enum result r)
{
	assert_true(w->connect_open);
	w->connect_open = false;
	carrying_job_answer(w->job, &(struct answer){.kind = ASK_CONNECT,
	                                             .number = w->connect_number,
	                                             .result = r,
	                                             .why = BYTES("no answer in time")});
	run(w);
}

static void connect_works(struct world *w)
{
	assert_true(w->connect_open);
	w->connect_open = false;
	carrying_job_answer(w->job,
	                    &(struct answer){.kind = ASK_CONNECT, .number = w->connect_number});
	run(w);
	assert_non_null(carrying_job_mail(w->job));
}

static struct smtp_reply said(const char *text, enum smtp_stage stage)
{
	uint64_t code = 0;

	(void)(bytes_to_u64(bytes_first(bytes_of_text(text), 3), 999, &code) == OK);
	return (struct smtp_reply){.code = (uint16_t)code,
	                           .text = bytes_of_text(text),
	                           .enhanced = strlen(text) > 9 && text[5] == '.'
	                                               ? bytes_of(text + 4, 5)
	                                               : (struct bytes){0},
	                           .stage = stage};
}

static struct carrying_link link_of(bool reused, const char *tls)
{
	struct carrying_link l = {.reused = reused, .tls_version = bytes_of_text(tls)};

	assert_int_equal(ip_parse(BYTES("8.8.8.1"), &l.ip), OK);
	assert_int_equal(ip_parse(BYTES("192.0.2.9"), &l.source), OK);
	return l;
}

/* Each recipient of the mail gets its word. */
static void recipients_hear(struct world *w, const enum smtp_outcome *outcomes,
                            const char *const *words)
{
	const struct smtp_client_mail *m = carrying_job_mail(w->job);
	struct smtp_recipient_result r[RECIPIENTS] = {0};
	struct smtp_client_result result = {.recipients = r, .count = m->count, .reusable = true};
	struct carrying_link l = link_of(false, "TLSv1.3");

	if (w->source)
		assert_int_equal(ip_parse(bytes_of_text(w->source), &l.source), OK);

	for (size_t i = 0; i < m->count; i++)
		r[i] = (struct smtp_recipient_result){m->recipients[i].entry, outcomes[i],
		                                      said(words[i], SMTP_STAGE_RCPT)};
	carrying_job_result(w->job, &result, &l);
	run(w);
}

static void all_hear(struct world *w, enum smtp_outcome outcome, const char *words)
{
	const enum smtp_outcome outcomes[] = {outcome, outcome, outcome, outcome};
	const char *const texts[] = {words, words, words, words};

	recipients_hear(w, outcomes, texts);
}

static void host_breaks(struct world *w, enum smtp_failure failure, enum smtp_stage stage,
                        const char *words, bool reused)
{
	const struct smtp_client_mail *m = carrying_job_mail(w->job);
	struct smtp_recipient_result r[RECIPIENTS] = {0};
	struct smtp_client_result result = {.recipients = r,
	                                    .count = m->count,
	                                    .failure = failure,
	                                    .stage = stage,
	                                    .reply = said(words, stage)};
	struct carrying_link l = link_of(reused, "");

	for (size_t i = 0; i < m->count; i++)
		r[i] = (struct smtp_recipient_result){.entry = m->recipients[i].entry,
		                                      .outcome = SMTP_UNTRIED};
	carrying_job_result(w->job, &result, &l);
	run(w);
}

static void expect(struct world *w, enum carry_outcome outcome, enum carried_scope scope)
{
	assert_true(carrying_job_finished(w->job));
	assert_int_equal(w->carried, 1);
	assert_true(w->results > 0);
	assert_int_equal(w->outcomes[0], outcome);
	assert_int_equal(w->last.scope, scope);
}

static int setup(void **state)
{
	struct world *w = test_calloc(1, sizeof(*w));

	w->zone = facts_new();
	fact_mx(w->zone, "d.test", false, "10 mx1.d.test 20 mx2.d.test");
	fact_host(w->zone, "mx1.d.test", false, "8.8.8.1");
	fact_host(w->zone, "mx2.d.test", false, "8.8.8.2");
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	carrying_job_free(&w->job);
	config_free(&w->config);
	facts_free(&w->zone);
	arena_done(&w->arena);
	test_free(w);
	return 0;
}

/* ---- the ordinary way ---- */

static void a_mail_is_delivered(void **state)
{
	struct world *w = *state;

	begin(w);
	assert_string_equal(w->hosts[0], "mx1.d.test");
	assert_int_equal(w->demands[0].port, 25);
	assert_int_equal(w->demands[0].tls, SMTP_TLS_MAY);
	assert_int_equal(w->demands[0].policy.mode, TLS_CLIENT_ANY);
	connect_works(w);
	all_hear(w, SMTP_SENT, "250 2.0.0 ok");
	expect(w, CARRY_DELIVERED, CARRIED_MAIL);
	assert_bytes(w->last.remote, BYTES("mx1.d.test"));
	assert_int_equal(w->last.tls_verified, TLS_UNVERIFIED);
	assert_int_equal(w->connects, 1);
}

static void a_host_without_dsn_leaves_success_to_us(void **state)
{
	struct world *w = *state;

	begin_with(w, BASE_CONF, "d.test", 1, 2, 0);
	connect_works(w);
	all_hear(w, SMTP_SENT, "250 2.0.0 ok");
	expect(w, CARRY_RELAYED, CARRIED_MAIL);
}

static void each_recipient_has_its_own_word(void **state)
{
	struct world *w = *state;
	const enum smtp_outcome outcomes[] = {SMTP_SENT, SMTP_FAILED, SMTP_DEFERRED, SMTP_UNKNOWN};
	const char *const words[] = {"250 2.1.5 ok", "550 5.1.1 User unknown",
	                             "450 4.2.0 Greylisted, try again later", ""};

	begin_with(w, BASE_CONF, "d.test", 4, 0, 0);
	connect_works(w);
	recipients_hear(w, outcomes, words);
	expect(w, CARRY_DELIVERED, CARRIED_MAIL);
	assert_int_equal(w->outcomes[1], CARRY_FAILED);
	assert_int_equal(w->classes[1], REPLY_MAILBOX);
	assert_string_equal(w->statuses[1], "5.1.1");
	assert_int_equal(w->outcomes[2], CARRY_DEFERRED);
	assert_int_equal(w->classes[2], REPLY_GREYLIST);
	assert_int_equal(w->outcomes[3], CARRY_DEFERRED);
	assert_string_equal(w->statuses[3], "4.4.2");
	assert_int_equal(w->connects,
	                 1); /* an answer to a recipient is no reason for another host */
}

static void recipients_that_a_host_does_not_take_at_once_come_after(void **state)
{
	struct world *w = *state;
	const enum smtp_outcome outcomes[] = {SMTP_SENT, SMTP_UNTRIED, SMTP_UNTRIED};
	const char *const words[] = {"250 ok", "", ""};

	begin_with(w, BASE_CONF, "d.test", 3, 0, 0);
	connect_works(w);
	recipients_hear(w, outcomes, words);
	assert_int_equal(carrying_job_mail(w->job)->count, 2);
	all_hear(w, SMTP_SENT, "250 ok");
	expect(w, CARRY_DELIVERED, CARRIED_MAIL);
	assert_int_equal(w->results, 3);
	assert_int_equal(w->connects, 1);
}

/* ---- other hosts ---- */

static void a_dead_first_host_leads_to_the_second(void **state)
{
	struct world *w = *state;

	begin(w);
	connect_fails(w, UNAVAILABLE);
	assert_string_equal(w->hosts[1], "mx2.d.test");
	connect_works(w);
	all_hear(w, SMTP_SENT, "250 ok");
	expect(w, CARRY_DELIVERED, CARRIED_MAIL);
	assert_bytes(w->last.remote, BYTES("mx2.d.test"));
}

static void each_host_is_tried_once(void **state)
{
	struct world *w = *state;

	begin(w);
	connect_works(w);
	host_breaks(w, SMTP_FAILURE_REFUSED, SMTP_STAGE_GREETING, "421 4.3.2 try later", false);
	connect_fails(w, DENIED);
	expect(w, CARRY_DEFERRED, CARRIED_DESTINATION);
	assert_int_equal(w->connects, 2);
}

static void all_silent_says_that_the_destination_is(void **state)
{
	struct world *w = *state;

	begin_with(w, BASE_CONF, "d.test", 3, 0, 0);
	connect_fails(w, UNAVAILABLE);
	connect_fails(w, UNAVAILABLE);
	expect(w, CARRY_DEFERRED, CARRIED_DESTINATION);
	assert_int_equal(w->results, 3);
	assert_string_equal(w->statuses[2], "4.4.1");
	assert_string_equal(w->replies[2], "no answer in time");
}

/* A 5xx greeting may be for us alone or for now; only 521 says never (RFC 7504). */
static void greetings_of_5xx(void **state)
{
	struct world *w = *state;

	begin(w);
	connect_works(w);
	host_breaks(w, SMTP_FAILURE_REFUSED, SMTP_STAGE_GREETING, "554 no service here", false);
	connect_works(w);
	host_breaks(w, SMTP_FAILURE_REFUSED, SMTP_STAGE_GREETING, "554 no service here", false);
	expect(w, CARRY_DEFERRED, CARRIED_DESTINATION);
}

static void a_host_that_never_takes_mail(void **state)
{
	struct world *w = *state;

	fact_mx(w->zone, "d.test", false, "10 mx1.d.test");
	begin(w);
	connect_works(w);
	host_breaks(w, SMTP_FAILURE_REFUSED, SMTP_STAGE_GREETING, "521 5.3.2 host takes no mail",
	            false);
	expect(w, CARRY_FAILED, CARRIED_MAIL);
}

static void a_kept_connection_that_has_ended_is_no_failure(void **state)
{
	struct world *w = *state;

	begin(w);
	connect_works(w);
	host_breaks(w, SMTP_FAILURE_CLOSED, SMTP_STAGE_MAIL, "", true);
	assert_string_equal(w->hosts[1], "mx1.d.test");
	assert_true(w->demands[1].fresh);
	connect_works(w);
	host_breaks(w, SMTP_FAILURE_CLOSED, SMTP_STAGE_MAIL, "", true); /* but once only */
	assert_string_equal(w->hosts[2], "mx2.d.test");
}

/* ---- the DNS ---- */

static void what_the_dns_forbids_is_not_tried(void **state)
{
	struct world *w = *state;

	fact_mx(w->zone, "d.test", false, "0 .");
	begin(w);
	expect(w, CARRY_FAILED, CARRIED_MAIL);
	assert_string_equal(w->statuses[0], "5.1.10");
	assert_int_equal(w->connects, 0);
}

static void a_failing_dns_waits(void **state)
{
	struct world *w = *state;

	fact(w->zone, "d.test", T_MX, FACT_FAILED, false, "", (struct bytes){0});
	begin(w);
	expect(w, CARRY_DEFERRED, CARRIED_DESTINATION);
	assert_string_equal(w->statuses[0], "4.4.3");
}

/* It died, or is not there yet: the destination must not pay for it. */
static void a_resolver_that_is_away_is_asked_again(void **state)
{
	struct world *w = *state;

	w->resolver_away = 7;
	begin(w);
	for (int i = 0; i < 10 && w->connects == 0; i++) {
		assert_false(carrying_job_finished(w->job));
		assert_true(carrying_job_deadline(w->job) != TIME_NEVER);
		carrying_job_tick(w->job, carrying_job_deadline(w->job));
		run(w);
	}
	connect_works(w);
	all_hear(w, SMTP_SENT, "250 ok");
	expect(w, CARRY_DELIVERED, CARRIED_MAIL);
}

static void a_resolver_that_stays_away_defers(void **state)
{
	struct world *w = *state;

	w->resolver_away = 10000;
	begin(w);
	for (int i = 0; i < 100 && !carrying_job_finished(w->job); i++) {
		carrying_job_tick(w->job, carrying_job_deadline(w->job));
		run(w);
	}
	expect(w, CARRY_DEFERRED, CARRIED_DESTINATION);
}

/* ---- TLS ---- */

static void tls_that_fails_is_done_without_where_nothing_demands_it(void **state)
{
	struct world *w = *state;

	begin(w);
	connect_works(w);
	host_breaks(w, SMTP_FAILURE_TLS, SMTP_STAGE_STARTTLS, "handshake failed", false);
	assert_string_equal(w->hosts[1], "mx1.d.test");
	assert_int_equal(w->demands[1].tls, SMTP_TLS_NEVER);
	connect_works(w);
	all_hear(w, SMTP_SENT, "250 ok");
	expect(w, CARRY_DELIVERED, CARRIED_MAIL);
}

static void secure_zone(struct world *w, struct bytes tlsa)
{
	struct buf records = {0};

	fact_mx(w->zone, "d.test", true, "10 mx1.d.test");
	fact_host(w->zone, "mx1.d.test", true, "8.8.8.1");
	buf_block(&records, tlsa);
	fact(w->zone, "_25._tcp.mx1.d.test", T_TLSA, FACT_FOUND, true, "", buf_bytes(&records));
	buf_done(&records);
}

static void dane_demands_a_match(void **state)
{
	struct world *w = *state;

	secure_zone(w, BYTES("\x03\x01\x01"
	                     "01234567890123456789012345678901"));
	begin(w);
	assert_int_equal(w->demands[0].tls, SMTP_TLS_MUST);
	assert_int_equal(w->demands[0].policy.mode, TLS_CLIENT_DANE);
	assert_int_equal(w->demands[0].policy.record_count, 1);
	connect_works(w);
	host_breaks(w, SMTP_FAILURE_TLS, SMTP_STAGE_STARTTLS, "no record matches", false);
	expect(w, CARRY_DEFERRED, CARRIED_DESTINATION); /* not in the clear */
	assert_int_equal(w->connects, 1);
	assert_int_equal(w->told_count, 1);
	assert_int_equal(w->told[0].kind, INCIDENT_TLS);
}

static void a_tlsa_question_that_fails_waits(void **state)
{
	struct world *w = *state;

	secure_zone(w, BYTES(""));
	fact(w->zone, "_25._tcp.mx1.d.test", T_TLSA, FACT_BOGUS, false, "", (struct bytes){0});
	begin(w);
	expect(w, CARRY_DEFERRED, CARRIED_DESTINATION);
	assert_int_equal(w->connects, 0);
}

#define STS "version: STSv1\nmode: enforce\nmx: mx1.d.test\nmax_age: 86400\n"

static void announce_sts(struct world *w)
{
	fact_txt(w->zone, "_mta-sts.d.test", "v=STSv1; id=2;");
	fact_host(w->zone, "mta-sts.d.test", false, "8.8.8.9");
}

static void a_policy_is_fetched_kept_and_obeyed(void **state)
{
	struct world *w = *state;

	announce_sts(w);
	w->fetched = STS;
	begin(w);
	assert_int_equal(w->fetches, 1);
	assert_int_equal(w->kept, 1);
	assert_string_equal(w->hosts[0], "mx1.d.test");
	assert_int_equal(w->demands[0].tls, SMTP_TLS_MUST);
	assert_int_equal(w->demands[0].policy.mode, TLS_CLIENT_PKIX);
	assert_int_equal(w->demands[0].policy.name_count, 1);
	connect_works(w);
	host_breaks(w, SMTP_FAILURE_NO_STARTTLS, SMTP_STAGE_EHLO, "no STARTTLS", false);
	expect(w, CARRY_DEFERRED, CARRIED_DESTINATION); /* mx2 is not the policy's */
	assert_int_equal(w->connects, 1);
}

static void a_kept_policy_is_not_fetched_again(void **state)
{
	struct world *w = *state;

	announce_sts(w);
	w->sts_kept = STS;
	w->sts_kept_id = "2";
	begin(w);
	assert_int_equal(w->fetches, 0);
	assert_int_equal(w->demands[0].policy.mode, TLS_CLIENT_PKIX);
}

static void a_failed_fetch_leaves_the_kept_one(void **state)
{
	struct world *w = *state;

	announce_sts(w);
	w->sts_kept = STS;
	w->sts_kept_id = "1";
	begin(w);
	assert_int_equal(w->fetches, 1);
	assert_int_equal(w->kept, 0);
	assert_int_equal(w->demands[0].policy.mode, TLS_CLIENT_PKIX);
}

/* The record may be taken away by who attacks the DNS: the kept policy counts until it runs out (RFC 8461, 10.2). */
static void a_record_that_is_gone_leaves_the_kept_one(void **state)
{
	struct world *w = *state;

	w->sts_kept = STS;
	w->sts_kept_id = "1";
	begin(w);
	assert_int_equal(w->fetches, 0);
	assert_int_equal(w->demands[0].policy.mode, TLS_CLIENT_PKIX);
}

static void a_policy_for_testing_only_looks(void **state)
{
	struct world *w = *state;

	announce_sts(w);
	w->fetched = "version: STSv1\nmode: testing\nmx: mx1.d.test\nmax_age: 86400\n";
	begin(w);
	assert_int_equal(w->demands[0].tls, SMTP_TLS_MAY);
	assert_int_equal(w->demands[0].policy.mode, TLS_CLIENT_ANY);
}

static void dane_wins_over_sts(void **state)
{
	struct world *w = *state;

	announce_sts(w);
	w->fetched = STS;
	secure_zone(w, BYTES("\x03\x01\x01"
	                     "01234567890123456789012345678901"));
	begin(w);
	assert_int_equal(w->demands[0].policy.mode, TLS_CLIENT_DANE);
}

/* RFC 8461, 2: only DANE that is checked goes before the policy. */
static void tlsa_that_is_unusable_leaves_the_policy(void **state)
{
	struct world *w = *state;

	announce_sts(w);
	w->fetched = STS;
	secure_zone(w, BYTES("\x01\x01\x01"
	                     "01234567890123456789012345678901"));
	begin(w);
	assert_int_equal(w->demands[0].tls, SMTP_TLS_MUST);
	assert_int_equal(w->demands[0].policy.mode, TLS_CLIENT_PKIX);
}

static void a_policy_is_not_fetched_from_our_own_network(void **state)
{
	struct world *w = *state;

	fact_txt(w->zone, "_mta-sts.d.test", "v=STSv1; id=2;");
	fact_host(w->zone, "mta-sts.d.test", false, "169.254.169.254");
	w->fetched = STS;
	begin(w);
	assert_int_equal(w->fetches, 0);
	assert_int_equal(w->connects, 1);
}

static void requiretls_needs_a_proven_way(void **state)
{
	struct world *w = *state;

	begin_with(w, BASE_CONF, "d.test", 1, 0, 1);
	expect(w, CARRY_FAILED, CARRIED_MAIL);
	assert_string_equal(w->statuses[0], "5.7.10");
	assert_int_equal(w->connects, 0);
}

static void requiretls_over_a_policy(void **state)
{
	struct world *w = *state;

	announce_sts(w);
	w->fetched = STS;
	begin_with(w, BASE_CONF, "d.test", 1, 0, 1);
	assert_int_equal(w->demands[0].policy.mode, TLS_CLIENT_PKIX);
	connect_works(w);
	assert_true(carrying_job_mail(w->job)->requiretls);
}

static void tls_required_no_goes_past_policies(void **state)
{
	struct world *w = *state;

	announce_sts(w);
	w->fetched = STS;
	begin_with(w, BASE_CONF, "d.test", 1, 0, 2);
	assert_int_equal(w->demands[0].tls, SMTP_TLS_MAY);
	assert_int_equal(w->demands[0].policy.mode, TLS_CLIENT_ANY);
}

/* The author of a mail speaks of what the domain asks for; what our operator asks for stands. */
static void tls_required_no_leaves_the_operators_must(void **state)
{
	struct world *w = *state;

	begin_with(w, BASE_CONF "carry {\n tls must\n}\n", "d.test", 1, 0, 2);
	assert_int_equal(w->demands[0].tls, SMTP_TLS_MUST);
	assert_int_equal(w->demands[0].policy.mode, TLS_CLIENT_ANY);
}

static void tls_results_are_told_to_who_asks(void **state)
{
	struct world *w = *state;

	fact_txt(w->zone, "_smtp._tls.d.test", "v=TLSRPTv1; rua=mailto:tls@d.test");
	begin(w);
	connect_works(w);
	all_hear(w, SMTP_SENT, "250 ok");
	expect(w, CARRY_DELIVERED, CARRIED_MAIL);
	assert_true(w->last.tls_reports.len > 2);
	assert_int_equal(w->last.tls_reports.ptr[1], 0); /* success */
}

/* ---- providers ---- */

static void a_block_is_held_and_told(void **state)
{
	struct world *w = *state;

	fact_mx(w->zone, "d.test", false, "10 mx01.mail.icloud.com");
	fact_host(w->zone, "mx01.mail.icloud.com", false, "8.8.8.1");
	begin(w);
	connect_works(w);
	all_hear(w, SMTP_FAILED,
	         "550 5.7.0 Blocked - see https://ipcheck.proofpoint.com/?ip=192.0.2.9");
	expect(w, CARRY_HELD, CARRIED_MAIL);
	assert_int_equal(w->told_count, 1);
	assert_int_equal(w->told[0].kind, INCIDENT_BLOCKED);
	assert_int_equal(w->told[0].verb, INCIDENT_RAISE);
	assert_non_null(strstr(w->told[0].facts, "address=192.0.2.9\n"));
	assert_non_null(strstr(w->told[0].facts, "domain=example.test\n"));
	assert_non_null(strstr(w->told[0].facts, "link=https://ipcheck.proofpoint.com/"));
	assert_true(w->last.provider.len > 0);
}

/* What we see of ourselves is 10.0.0.5; the provider's form wants what it saw. */
static void behind_a_nat_a_block_names_the_address_that_the_host_saw(void **state)
{
	struct world *w = *state;

	w->source = "10.0.0.5";
	begin(w);
	connect_works(w);
	all_hear(w, SMTP_FAILED, "554 5.7.1 Client host [8.8.4.4] blocked using zen.spamhaus.org");
	expect(w, CARRY_HELD, CARRIED_MAIL);
	assert_non_null(strstr(w->told[0].facts, "address=8.8.4.4\n"));
}

static void a_closed_path_ends_without_a_result(void **state)
{
	struct world *w = *state;

	w->path_closed = true;
	begin(w);
	assert_true(carrying_job_finished(w->job));
	assert_int_equal(w->carried, 0);
	assert_int_equal(w->connects, 0);
}

/* ---- smarthosts ---- */

#define RELAY BASE_CONF "route relay {\n host 127.0.0.9\n port 2525\n user ken\n}\n"

static void a_route_takes_its_own_way(void **state)
{
	struct world *w = *state;

	w->password = "secret";
	begin_with(w, RELAY, "d.test", 1, 0, 0);
	assert_string_equal(w->hosts[0], "127.0.0.9");
	assert_int_equal(w->demands[0].port, 2525);
	assert_false(w->demands[0].network);
	connect_works(w);
	host_breaks(w, SMTP_FAILURE_AUTH, SMTP_STAGE_AUTH, "535 5.7.8 no", false);
	expect(w, CARRY_DEFERRED, CARRIED_DESTINATION);
	assert_int_equal(w->told[0].kind, INCIDENT_SMARTHOST);
	assert_string_equal(w->told[0].key, "relay");
}

static void a_route_without_its_password_waits(void **state)
{
	struct world *w = *state;

	begin_with(w, RELAY, "d.test", 1, 0, 0);
	expect(w, CARRY_DEFERRED, CARRIED_DESTINATION);
	assert_int_equal(w->connects, 0);
	assert_int_equal(w->told[0].kind, INCIDENT_SMARTHOST);
}

static void a_throttled_network_turns_to_the_fallback(void **state)
{
	struct world *w = *state;
	struct carrying_weather weather = {.throttled = true};

	begin_with(w,
	           BASE_CONF
	           "route spare {\n host 127.0.0.8\n}\ncarry {\n fallback-route spare\n}\n",
	           "d.test", 1, 0, 0);
	connect_fails(w, UNAVAILABLE);
	carrying_job_weather(w->job, &weather);
	connect_fails(w, UNAVAILABLE);
	assert_string_equal(w->hosts[2], "127.0.0.8");
	connect_works(w);
	all_hear(w, SMTP_SENT, "250 ok");
	expect(w, CARRY_DELIVERED, CARRIED_MAIL);
}

/* ---- the store ---- */

static void the_result_is_repeated_until_it_is_taken(void **state)
{
	struct world *w = *state;

	begin(w);
	connect_works(w);
	w->carried_result = LOST;
	all_hear(w, SMTP_SENT, "250 ok");
	assert_false(carrying_job_finished(w->job));
	w->carried_result = UNAVAILABLE;
	carrying_job_tick(w->job, carrying_job_deadline(w->job));
	run(w);
	assert_false(carrying_job_finished(w->job));
	w->carried_result = OK;
	carrying_job_tick(w->job, carrying_job_deadline(w->job));
	run(w);
	assert_true(carrying_job_finished(w->job));
	assert_int_equal(w->carried, 3);
	assert_int_equal(w->outcomes[0], CARRY_DELIVERED);
}

static void a_mail_that_the_store_lost_has_no_result(void **state)
{
	struct world *w = *state;
	struct smtp_client_result result = {.failure = SMTP_FAILURE_READ, .read = LOST};
	struct carrying_link l = link_of(false, "");

	begin(w);
	connect_works(w);
	carrying_job_result(w->job, &result, &l);
	run(w);
	assert_true(carrying_job_finished(w->job));
	assert_int_equal(w->carried, 0);
}

static void a_stop_leaves_it_untouched(void **state)
{
	struct world *w = *state;

	begin(w);
	connect_works(w);
	host_breaks(w, SMTP_FAILURE_STOPPED, SMTP_STAGE_MAIL, "", false);
	expect(w, CARRY_UNTOUCHED, CARRIED_MAIL);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        T(a_mail_is_delivered),
	        T(a_host_without_dsn_leaves_success_to_us),
	        T(each_recipient_has_its_own_word),
	        T(recipients_that_a_host_does_not_take_at_once_come_after),
	        T(a_dead_first_host_leads_to_the_second),
	        T(each_host_is_tried_once),
	        T(all_silent_says_that_the_destination_is),
	        T(greetings_of_5xx),
	        T(a_host_that_never_takes_mail),
	        T(a_kept_connection_that_has_ended_is_no_failure),
	        T(what_the_dns_forbids_is_not_tried),
	        T(a_failing_dns_waits),
	        T(a_resolver_that_is_away_is_asked_again),
	        T(a_resolver_that_stays_away_defers),
	        T(tls_that_fails_is_done_without_where_nothing_demands_it),
	        T(dane_demands_a_match),
	        T(a_tlsa_question_that_fails_waits),
	        T(a_policy_is_fetched_kept_and_obeyed),
	        T(a_kept_policy_is_not_fetched_again),
	        T(a_failed_fetch_leaves_the_kept_one),
	        T(a_record_that_is_gone_leaves_the_kept_one),
	        T(a_policy_for_testing_only_looks),
	        T(dane_wins_over_sts),
	        T(tlsa_that_is_unusable_leaves_the_policy),
	        T(a_policy_is_not_fetched_from_our_own_network),
	        T(requiretls_needs_a_proven_way),
	        T(requiretls_over_a_policy),
	        T(tls_required_no_goes_past_policies),
	        T(tls_required_no_leaves_the_operators_must),
	        T(tls_results_are_told_to_who_asks),
	        T(a_block_is_held_and_told),
	        T(behind_a_nat_a_block_names_the_address_that_the_host_saw),
	        T(a_closed_path_ends_without_a_result),
	        T(a_route_takes_its_own_way),
	        T(a_route_without_its_password_waits),
	        T(a_throttled_network_turns_to_the_fallback),
	        T(the_result_is_repeated_until_it_is_taken),
	        T(a_mail_that_the_store_lost_has_no_result),
	        T(a_stop_leaves_it_untouched),
	};

	return TEST_MAIN(tests);
}
