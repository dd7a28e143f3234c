/* Reports on TLS on their way out: as a signed mail, as a POST, and what is asked in which order. */
#include "../verify/facts_test.h"

#include "base/wire.h"
#include "carrying/tls_report.h"
#include "verify/tlsrpt.h"

#define DAY 1700006400000LL
#define NOW (DAY + 30LL * 3600 * 1000)

static const uint8_t seed[16] = {4, 5, 6};

struct world {
	struct config *config;
	struct arena arena;
	struct buf rows, keys, mail, trace, to, posted;
	const char *rua;
	unsigned done, signed_, commits;
	bool sign_fails;
};

static void put_key(struct buf *out, const char *selector, unsigned algorithm)
{
	buf_block(out, bytes_of_text(selector));
	buf_u8(out, (uint8_t)algorithm);
	buf_u8(out, DKIM_KEY_SIGNS);
	buf_block(out, BYTES("v=DKIM1"));
	buf_u64(out, 0);
}

static struct world world_make(const char *rua)
{
	struct config_source source = {BYTES("hikyaku.conf"),
	                               BYTES("hostname mx.us.test\ndomain us.test\n"
	                                     "carry { allow-networks 127.0.0.0/8 }\n")};
	struct world w = {.rua = rua};
	struct why why = {{0}};

	assert_int_equal(config_parse(&source, 1, &w.config, &why), OK);
	buf_u8(&w.rows, TLSRPT_STS);
	buf_u8(&w.rows, TLSRPT_EXPIRED);
	buf_block(&w.rows, BYTES("version: STSv1"));
	buf_block(&w.rows, BYTES("mx.d.test"));
	buf_block(&w.rows, (struct bytes){0});
	buf_block(&w.rows, BYTES("x"));
	buf_u64(&w.rows, 3);
	put_key(&w.keys, "rsa1", 0);
	put_key(&w.keys, "ed1", 1);
	return w;
}

static void world_done(struct world *w)
{
	buf_done(&w->rows);
	buf_done(&w->keys);
	buf_done(&w->mail);
	buf_done(&w->trace);
	buf_done(&w->to);
	buf_done(&w->posted);
	arena_done(&w->arena);
	config_free(&w->config);
}

static void answer_name(struct world *w, const struct ask *ask, struct answer *a)
{
	struct buf rdata = {0}, records = {0};
	bool txt = ask->resolve.type == T_TXT;

	a->resolve.status = txt || ask->resolve.type == T_A ? FACT_FOUND : FACT_NO_DATA;
	if (txt) {
		buf_u8(&rdata, (uint8_t)strlen(w->rua));
		buf_append_text(&rdata, w->rua);
	} else {
		buf_append(&rdata, bytes_of("\x7f\0\0\1", 4));
	}
	if (a->resolve.status == FACT_FOUND)
		buf_block(&records, buf_bytes(&rdata));
	a->resolve.records = arena_copy(&w->arena, buf_bytes(&records));
	buf_done(&rdata);
	buf_done(&records);
}

static void take_commit(struct world *w, const struct ask *ask)
{
	struct wire recipients = wire_of(ask->commit.recipients);

	w->commits++;
	buf_append(&w->trace, ask->commit.trace);
	buf_append(&w->to, wire_block(&recipients));
}

static struct answer answer_of(struct world *w, const struct ask *ask)
{
	struct answer a = {.kind = ask->kind, .number = ask->number, .result = OK};

	switch (ask->kind) {
	case ASK_TLSRPT:
		a.result = w->done ? NOT_FOUND : OK;
		a.tlsrpt = (struct answer_tlsrpt){
		        .domain = BYTES("d.test"), .day = DAY, .rows = buf_bytes(&w->rows)};
		break;
	case ASK_RESOLVE: answer_name(w, ask, &a); break;
	case ASK_DKIM_KEYS: a.dkim_keys.keys = buf_bytes(&w->keys); break;
	case ASK_DKIM_SIGN:
		w->signed_++;
		a.result = w->sign_fails ? UNAVAILABLE : OK;
		a.dkim_sign.signature = BYTES("signature");
		break;
	case ASK_SPOOL: buf_append(&w->mail, ask->spool.chunk); break;
	case ASK_COMMIT: take_commit(w, ask); break;
	case ASK_FETCH:
		buf_append(&w->posted, ask->fetch.url);
		a.fetch.status = 200;
		break;
	case ASK_TLSRPT_DONE: w->done++; break;
	default: fail_msg("asked for %d", ask->kind);
	}
	return a;
}

static unsigned run(struct world *w)
{
	struct tls_reporting *t = tls_reporting_new(w->config, seed, NOW);
	struct ask ask;
	unsigned sent;

	while (!tls_reporting_finished(t)) {
		struct answer a;

		assert_true(tls_reporting_ask(t, &ask));
		a = answer_of(w, &ask);
		tls_reporting_answer(t, &a);
	}
	sent = tls_reporting_sent(t);
	tls_reporting_free(&t);
	return sent;
}

static unsigned count(const struct buf *text, const char *what)
{
	struct bytes rest = buf_bytes(text), needle = bytes_of_text(what);
	unsigned n = 0;
	size_t at;

	for (; (at = bytes_find(rest, needle)) != BYTES_NONE; rest = bytes_skip(rest, at + 1))
		n++;
	return n;
}

static void a_mail_is_signed_with_each_key(void **state)
{
	struct world w = world_make("v=TLSRPTv1; rua=mailto:tls@d.test");

	(void)state;
	assert_int_equal(run(&w), 1);
	assert_true(w.done == 1 && w.commits == 1 && w.signed_ == 2);
	assert_int_equal(count(&w.trace, "DKIM-Signature:"), 2);
	assert_bytes(buf_bytes(&w.to), BYTES("tls@d.test"));
	assert_int_equal(count(&w.mail, "TLS-Report-Domain: d.test\r\n"), 1);
	world_done(&w);
}

static void without_its_signature_it_goes_all_the_same(void **state)
{
	struct world w = world_make("v=TLSRPTv1; rua=mailto:tls@d.test");

	(void)state;
	w.sign_fails = true;
	assert_int_equal(run(&w), 1);
	assert_int_equal(count(&w.trace, "DKIM-Signature:"), 0);
	world_done(&w);
}

static void two_ways_are_two_reports(void **state)
{
	struct world w = world_make("v=TLSRPTv1; rua=https://r.d.test/tls,mailto:tls@d.test");

	(void)state;
	assert_int_equal(run(&w), 2);
	assert_true(w.done == 1 && w.commits == 1);
	assert_bytes(buf_bytes(&w.posted), BYTES("https://r.d.test/tls"));
	world_done(&w);
}

static void who_does_not_want_it_gets_none(void **state)
{
	struct world w = world_make("v=spf1 -all");

	(void)state;
	assert_int_equal(run(&w), 0);
	assert_true(w.done == 1 && w.commits == 0);
	world_done(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(a_mail_is_signed_with_each_key),
	        cmocka_unit_test(without_its_signature_it_goes_all_the_same),
	        cmocka_unit_test(two_ways_are_two_reports),
	        cmocka_unit_test(who_does_not_want_it_gets_none),
	};

	return TEST_MAIN(tests);
}
