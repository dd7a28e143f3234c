/* A round of a channel's alarms, answered by hand: what is asked in which order, and what becomes of each failure. */
#include "../test.h"

#include "base/memory.h"
#include "carrying/alarm.h"
#include "dns/dns.h"
#include "watch/incident.h"

static const char text[] =
        "hostname mx.example.test\ndomain example.test\n"
        "alarm ops {\n\twebhook https://hook.test/in\n}\n"
        "alarm port {\n\twebhook https://192.0.2.7:8443/\n}\n"
        "alarm post {\n\tmail ops@example.test\n}\nalarm pager {\n\tcollect\n}\n";

struct round {
	struct config *config;
	struct alarming *alarming;
	struct alarming_memory memory;
	struct ask ask;
};

static void begin(struct round *r, const char *channel)
{
	struct config_source source = {BYTES("hikyaku.conf"), bytes_of_text(text)};
	struct why why;

	if (!r->config && config_parse(&source, 1, &r->config, &why) != OK)
		fail_msg("%s", why.text);
	r->alarming = alarming_new(r->config, bytes_of_text(channel), &r->memory, 1767571200000);
}

static void end(struct round *r)
{
	alarming_free(&r->alarming);
	config_free(&r->config);
}

static void expect(struct round *r, enum ask_kind kind)
{
	assert_true(alarming_ask(r->alarming, &r->ask));
	assert_int_equal(r->ask.kind, kind);
}

static struct answer plain(const struct round *r, enum result result)
{
	return answer_to(&r->ask, result, result == OK ? (struct bytes){0} : BYTES("because"));
}

static void answer(struct round *r, struct answer a)
{
	alarming_answer(r->alarming, &a);
}

static void give_alarm(struct round *r)
{
	struct answer a;

	expect(r, ASK_ALARM);
	a = plain(r, OK);
	a.alarm = (struct answer_alarm){.id = 3,
	                                .event = 1,
	                                .at = 1767571000000,
	                                .incident = 7,
	                                .kind = INCIDENT_DNS,
	                                .key = BYTES("resolver"),
	                                .facts = BYTES("reason=no answer\n"),
	                                .since = 1767571000000};
	answer(r, a);
}

/* A and AAAA, answered alike. */
static void resolve(struct round *r, enum dns_status status)
{
	static const char block[] = "\0\0\0\4\xc0\0\2\x09";
	struct ask asks[2];

	for (int i = 0; i < 2; i++) {
		expect(r, ASK_RESOLVE);
		asks[i] = r->ask;
	}
	for (int i = 0; i < 2; i++) {
		struct answer a = answer_to(&asks[i], OK, (struct bytes){0});

		a.resolve.status = (uint8_t)status;
		if (status == DNS_FOUND && asks[i].resolve.type == DNS_A)
			a.resolve.records = bytes_of(block, sizeof(block) - 1);
		else if (status == DNS_FOUND)
			a.resolve.status = DNS_NO_DATA;
		answer(r, a);
	}
}

static void reply(struct round *r, unsigned status)
{
	struct answer a = plain(r, OK);

	a.fetch.status = (uint16_t)status;
	answer(r, a);
}

static void expect_done(struct round *r, const char *failed)
{
	expect(r, ASK_ALARM_DONE);
	assert_int_equal(r->ask.alarm_done.id, 3);
	assert_int_equal(r->ask.alarm_done.at, 1767571000000);
	assert_bytes(r->ask.alarm_done.failed, bytes_of_text(failed));
	answer(r, plain(r, OK));
}

static void expect_over(struct round *r)
{
	assert_false(alarming_ask(r->alarming, &r->ask));
	assert_true(alarming_finished(r->alarming));
}

static void one_after_the_other_signed(void **state)
{
	struct round r = {0};
	struct answer signature;

	begin(&r, "ops");
	give_alarm(&r);
	resolve(&r, DNS_FOUND);
	expect(&r, ASK_ALARM_SIGN);
	assert_bytes(r.ask.alarm_sign.channel, BYTES("ops"));
	assert_true(bytes_starts(r.ask.alarm_sign.content,
	                         BYTES("hk_7_1_1767571000000.1767571200.{\"type\":")));
	signature = plain(&r, OK);
	signature.alarm_sign.signature = BYTES("0123456789abcdef0123456789abcdef");
	answer(&r, signature);
	expect(&r, ASK_FETCH);
	assert_bytes(r.ask.fetch.url, BYTES("https://hook.test/in"));
	assert_int_equal(r.ask.fetch.addresses.len, 16);
	assert_int_not_equal(bytes_find(r.ask.fetch.headers, BYTES("webhook-signature: v1,MDEy")),
	                     BYTES_NONE);
	reply(&r, 202);
	expect_done(&r, "");
	give_alarm(&r); /* the next */
	assert_int_equal(alarming_told(r.alarming), 1);
	end(&r);
}

static void what_is_no_2xx_is_tried_later(void **state)
{
	static const unsigned statuses[] = {199, 301, 404, 410, 500};

	for (size_t i = 0; i < sizeof(statuses) / sizeof(*statuses); i++) {
		struct round r = {0};
		char why[64];

		begin(&r, "port");
		give_alarm(&r);
		expect(&r, ASK_ALARM_SIGN); /* an address needs no DNS */
		answer(&r, plain(&r, NOT_FOUND));
		expect(&r, ASK_FETCH);
		assert_int_equal(r.ask.fetch.port, 8443);
		assert_int_equal(bytes_find(r.ask.fetch.headers, BYTES("signature")), BYTES_NONE);
		reply(&r, statuses[i]);
		snprintf(why, sizeof(why), "it answered HTTP status %u", statuses[i]);
		expect_done(&r, why);
		expect_over(&r);
		assert_int_equal(alarming_told(r.alarming), 0);
		end(&r);
	}
}

/* keeper restarts: unsigned is no way out of that. */
static void a_secret_that_cannot_be_had_now_is_waited_for(void **state)
{
	struct round r = {0};

	begin(&r, "port");
	give_alarm(&r);
	expect(&r, ASK_ALARM_SIGN);
	answer(&r, plain(&r, LOST));
	expect_done(&r, "because");
	expect_over(&r);
	end(&r);
}

static void when_the_dns_fails_the_last_address_is_used(void **state)
{
	struct round r = {0};

	begin(&r, "ops");
	give_alarm(&r);
	resolve(&r, DNS_FAILED);
	expect_done(&r, "hook.test has no address in the DNS");
	alarming_free(&r.alarming);

	begin(&r, "ops");
	give_alarm(&r);
	resolve(&r, DNS_FOUND);
	expect(&r, ASK_ALARM_SIGN);
	answer(&r, plain(&r, NOT_FOUND));
	expect(&r, ASK_FETCH);
	reply(&r, 200);
	expect_done(&r, "");
	alarming_free(&r.alarming);

	begin(&r, "ops");
	give_alarm(&r);
	resolve(&r, DNS_FAILED);
	expect(&r, ASK_ALARM_SIGN);
	answer(&r, plain(&r, NOT_FOUND));
	expect(&r, ASK_FETCH);
	assert_int_equal(r.ask.fetch.addresses.len, 16);
	end(&r);
}

static void as_a_mail_it_is_told_when_it_is_durable(void **state)
{
	struct round r = {0};

	for (int refused = 0; refused < 2; refused++) {
		begin(&r, "post");
		give_alarm(&r);
		expect(&r, ASK_DKIM_KEYS);
		answer(&r, plain(&r, LOST)); /* unsigned then */
		expect(&r, ASK_SPOOL);
		assert_true(bytes_starts(
		        r.ask.spool.chunk,
		        BYTES("From: postmaster@example.test\r\nTo: ops@example.test\r\n")));
		answer(&r, plain(&r, OK));
		expect(&r, ASK_COMMIT);
		assert_int_equal(r.ask.commit.sender.len, 0);
		answer(&r, plain(&r, refused ? DISK_FULL : OK));
		expect_done(&r, refused ? "because" : "");
		alarming_free(&r.alarming);
	}
	end(&r);
}

static void what_is_collected_is_not_ours(void **state)
{
	struct round r = {0};

	begin(&r, "pager");
	expect_over(&r);
	alarming_free(&r.alarming);
	begin(&r, "nobody");
	expect_over(&r);
	end(&r);
}

/* What keeper signs travels in one message, however large the incident's facts are. */
static void large_facts_fit_into_a_message(void **state)
{
	struct round r = {0};
	struct buf facts = {0}, encoded = {0};
	struct answer a;

	while (buf_len(&facts) < 8000)
		buf_append_text(&facts, "reason=\xff\xff\xff\xff\xff\xff\xff\xff\"\"\"\"\n");
	begin(&r, "port");
	expect(&r, ASK_ALARM);
	a = plain(&r, OK);
	a.alarm = (struct answer_alarm){.id = 3, .event = 1, .kind = INCIDENT_DNS};
	a.alarm.key = BYTES("resolver");
	a.alarm.facts = buf_bytes(&facts);
	answer(&r, a);
	expect(&r, ASK_ALARM_SIGN);
	ask_encode(&r.ask, &encoded);
	assert_true(buf_len(&encoded) < LIMIT_MESSAGE - 1024);
	buf_done(&encoded);
	buf_done(&facts);
	end(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(one_after_the_other_signed),
	        cmocka_unit_test(what_is_no_2xx_is_tried_later),
	        cmocka_unit_test(a_secret_that_cannot_be_had_now_is_waited_for),
	        cmocka_unit_test(when_the_dns_fails_the_last_address_is_used),
	        cmocka_unit_test(as_a_mail_it_is_told_when_it_is_durable),
	        cmocka_unit_test(what_is_collected_is_not_ours),
	        cmocka_unit_test(large_facts_fit_into_a_message),
	};

	return TEST_MAIN(tests);
}
