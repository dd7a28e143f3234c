/* Every kind has its texts in both languages, with and without facts: no template shows through, no
 * phrase stands around a value that is missing. */
#include "../test.h"

#include "policy/provider.h"
#include "watch/incident.h"

static const char facts[] =
        "number=12\naddress=192.0.2.7\nhelo=mx.example.test\nhost=mx01.mail.icloud.com\n"
        "time=2026-11-23T10:00:00Z\nreply=550 5.7.0 Blocked - see https://x.test/?ip=192.0.2.7\n"
        "link=https://x.test/?ip=192.0.2.7\nheld=34\ndomains=icloud.com me.com\nrow=apple-blocked\n"
        "rcpt_domain=icloud.com\nstate=partly\nsilent=5\nanswered=2\nroute=relay\n"
        "reason=volume\nusual=3 a day\nnow=900 an hour\nname=example.test\ntype=MX\nfailing=4\n"
        "asked=5\nqueued=56\nexpires=2026-11-28T10:00:00Z\nhosts=a.test b.test\npolicy=dane\n"
        "selector=h1\n";

static bool has(struct bytes text, const char *part)
{
	return bytes_find(text, bytes_of_text(part)) != BYTES_NONE;
}

static void check_text(struct bytes text)
{
	assert_true(text.len > 3);
	assert_false(has(text, "{"));
	assert_false(has(text, "}"));
	assert_false(has(text, "["));
	assert_false(has(text, "]"));
	assert_false(has(text, "  ."));
	assert_false(has(text, "()"));
}

static void every_kind_speaks_both_languages(void **state)
{
	struct arena arena = {0};

	for (unsigned kind = 0; kind <= INCIDENT_KINDS; kind++) {
		for (int n = 0; n < 4; n++) {
			struct incident_texts t;
			incident_texts(kind, BYTES("icloud"),
			               n & 1 ? bytes_of_text(facts) : (struct bytes){0}, n & 2,
			               &arena, &t);
			check_text(t.title);
			check_text(t.cause);
			check_text(t.cost);
			check_text(t.what_to_do);
			assert_true(has(t.what_to_do, "hikyaku -C DIR "));
			assert_int_equal(bytes_find_char(t.title, '\n'), BYTES_NONE);
			if (t.request.len > 0)
				check_text(t.request);
		}
	}
	arena_done(&arena);
}

static void a_block_says_what_the_operator_needs(void **state)
{
	struct arena arena = {0};
	struct incident_texts t;

	for (int japanese = 0; japanese < 2; japanese++) {
		incident_texts(INCIDENT_BLOCKED, BYTES("icloud"), bytes_of_text(facts), japanese,
		               &arena, &t);
		assert_true(has(t.title, "Apple"));
		assert_true(has(t.title, "192.0.2.7"));
		assert_true(has(t.cause, "550 5.7.0 Blocked"));
		assert_true(has(t.cost, "34"));
		assert_true(has(t.what_to_do, "https://x.test/?ip=192.0.2.7"));
		assert_true(has(t.what_to_do, "incident:12"));
		assert_true(has(t.request, "192.0.2.7"));
		assert_true(has(t.request, "mx.example.test"));
		assert_true(has(t.request, "mx01.mail.icloud.com"));
		assert_true(has(t.request, "2026-11-23T10:00:00Z"));
		assert_true(has(t.request, "550 5.7.0 Blocked"));
		assert_true(has(t.request, "icloudadmin@apple.com"));
		assert_true(has(t.request, "Dear postmaster") && has(t.request, "ご担当者様"));
		assert_true(bytes_starts(t.request, japanese ? BYTES("宛先") : BYTES("To: ")));
		assert_bytes(t.link, BYTES("https://x.test/?ip=192.0.2.7"));
	}
	incident_texts(INCIDENT_BLOCKED, BYTES("icloud"), (struct bytes){0}, false, &arena, &t);
	assert_bytes(t.link, bytes_of_text(provider_find(BYTES("icloud"))->link));
	incident_texts(INCIDENT_BLOCKED, BYTES("example.net"), (struct bytes){0}, false, &arena,
	               &t);
	assert_true(has(t.title, "example.net"));
	assert_int_equal(t.link.len, 0);
	arena_done(&arena);
}

static void conditions_choose_phrases(void **state)
{
	struct arena arena = {0};
	struct incident_texts t;

	incident_texts(INCIDENT_NETWORK, BYTES("port25"), BYTES("state=closed\n"), false, &arena,
	               &t);
	assert_true(has(t.title, "closed"));
	assert_false(has(t.title, "throttled"));
	assert_true(has(t.what_to_do, "fallback-route"));
	incident_texts(INCIDENT_NETWORK, BYTES("port25"), BYTES("state=partly\nroute=relay\n"),
	               false, &arena, &t);
	assert_true(has(t.title, "throttled"));
	assert_true(has(t.cost, "route relay"));
	assert_false(has(t.what_to_do, "fallback-route"));
	arena_done(&arena);
}

static void commands_name_the_folder(void **state)
{
	struct arena arena = {0};
	struct incident_texts t;

	incident_texts(INCIDENT_DESTINATION, BYTES("x.test"), BYTES("dir=/srv/mail\n"), false,
	               &arena, &t);
	assert_true(has(t.what_to_do, "hikyaku -C /srv/mail queue why @x.test"));
	arena_done(&arena);
}

static void facts_are_lines(void **state)
{
	struct buf b = {0};

	incident_fact_put(&b, "reply", BYTES(" 550 no\r\nfake=1 "));
	incident_fact_put(&b, "empty", BYTES("  "));
	incident_fact_put(&b, "held", BYTES("3"));
	incident_fact_put(&b, "held", BYTES("4"));
	assert_bytes(incident_fact(buf_bytes(&b), "reply"), BYTES("550 no  fake=1"));
	assert_bytes(incident_fact(buf_bytes(&b), "held"), BYTES("4"));
	assert_int_equal(incident_fact(buf_bytes(&b), "fake").len, 0);
	assert_int_equal(incident_fact(buf_bytes(&b), "empty").len, 0);
	assert_int_equal(incident_fact(buf_bytes(&b), "hel").len, 0);
	buf_done(&b);
}

static void kinds_have_names(void **state)
{
	for (unsigned kind = 1; kind < INCIDENT_KINDS; kind++) {
		struct bytes name = bytes_of_text(incident_kind_name(kind));

		if (!bytes_equal(name,
		                 BYTES("unknown"))) /* a number that is not given to any yet */
			assert_int_equal(incident_kind_find(name), kind);
	}
	assert_int_equal(incident_kind_find(BYTES("channel")), INCIDENT_CHANNEL);
	assert_int_equal(incident_kind_find(BYTES("nothing")), INCIDENT_NONE);
	assert_string_equal(incident_kind_name(INCIDENT_KINDS + 7), "unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(every_kind_speaks_both_languages),
	        cmocka_unit_test(a_block_says_what_the_operator_needs),
	        cmocka_unit_test(conditions_choose_phrases),
	        cmocka_unit_test(commands_name_the_folder),
	        cmocka_unit_test(facts_are_lines),
	        cmocka_unit_test(kinds_have_names),
	};
	return TEST_MAIN(tests);
}
