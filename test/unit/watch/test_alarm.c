/* What is told: JSON that any parser reads, whatever the facts hold; mail in two languages; waits that grow. */
#include "../test.h"

#include <jansson.h>

#include "mail/header.h"
#include "watch/alarm.h"
#include "watch/incident.h"

static struct alarm alarm_of(enum alarm_event event)
{
	return (struct alarm){.event = event,
	                      .at = 1767571200000,
	                      .incident = 7,
	                      .kind = INCIDENT_BLOCKED,
	                      .key = BYTES("google"),
	                      .facts = BYTES("address=192.0.2.7\nreply=550 \"no\" \\ \x01 \xff\n"),
	                      .since = 1767571200000 - 3 * 3600 * 1000,
	                      .last = 1767571200000,
	                      .count = 41,
	                      .relapses = 2,
	                      .server = BYTES("mx.example.test")};
}

static json_t *json_of(const struct alarm *a)
{
	struct arena arena = {0};
	struct buf body = {0};
	json_t *json;

	alarm_json(a, &arena, &body);
	json = json_loadb(buf_bytes(&body).ptr, buf_len(&body), 0, NULL);
	assert_non_null(json);
	buf_done(&body);
	arena_done(&arena);
	return json;
}

static const char *at(json_t *json, const char *key)
{
	return json_string_value(json_object_get(json, key));
}

static void json_is_json_whatever_the_facts(void **state)
{
	for (unsigned event = 1; event < ALARM_EVENTS; event++)
		for (int japanese = 0; japanese < 2; japanese++) {
			struct alarm a = alarm_of(event);
			json_t *json;

			a.japanese = japanese;
			json = json_of(&a);
			assert_string_equal(at(json, "type"), alarm_event_name(event));
			assert_string_equal(at(json, "timestamp"), "2026-01-05T00:00:00.000Z");
			assert_non_null(at(json, "text"));
			if (event != ALARM_TEST)
				assert_string_equal(at(json_object_get(json, "data"), "kind"),
				                    "blocked");
			json_decref(json);
		}
}

static void facts_are_kept_word_by_word(void **state)
{
	struct alarm a = alarm_of(ALARM_RAISED);
	json_t *json = json_of(&a),
	       *facts = json_object_get(json_object_get(json, "data"), "facts");

	assert_string_equal(at(facts, "reply"), "550 \"no\" \\ \x01 \xef\xbf\xbd");
	assert_string_equal(at(facts, "address"), "192.0.2.7");
	json_decref(json);
}

static void one_that_is_over_says_how_long_and_how_much(void **state)
{
	struct alarm a = alarm_of(ALARM_CLOSED);
	json_t *json;

	a.until = a.at;
	json = json_of(&a);
	assert_string_equal(at(json_object_get(json, "data"), "summary"),
	                    "It lasted 3 h 0 min (counted 41 times, came back 2 times).");
	assert_true(json_is_false(json_object_get(json_object_get(json, "data"), "open")));
	json_decref(json);
}

static void all_tries_of_an_alarm_have_one_id(void **state)
{
	struct arena arena = {0};
	struct alarm a = alarm_of(ALARM_RAISED), b = alarm_of(ALARM_CLOSED);
	struct buf content = {0}, headers = {0};

	assert_bytes(alarm_id(&a, &arena), BYTES("hk_7_1_1767571200000"));
	assert_false(bytes_equal(alarm_id(&a, &arena), alarm_id(&b, &arena)));
	alarm_signed(BYTES("hk_7"), 1767571200, BYTES("{}"), &content);
	assert_bytes(buf_bytes(&content), BYTES("hk_7.1767571200.{}"));
	alarm_headers(BYTES("hk_7"), 5, BYTES("abc"), &headers);
	assert_bytes(buf_bytes(&headers),
	             BYTES("webhook-id: hk_7\nwebhook-timestamp: 5\nwebhook-signature: v1,YWJj\n"));
	buf_done(&headers);
	buf_done(&content);
	arena_done(&arena);
}

static void a_mail_has_no_line_of_the_facts_in_its_header(void **state)
{
	struct arena arena = {0};
	struct alarm a = alarm_of(ALARM_RAISED);
	struct buf mail = {0};
	struct bytes text, header;

	a.japanese = true;
	a.key = BYTES("evil\r\nBcc: x@example.test");
	alarm_mail(&a, BYTES("postmaster@example.test"), BYTES("ops@example.test"), a.at, &arena,
	           &mail);
	text = buf_bytes(&mail);
	header = bytes_first(text, header_len(text));
	assert_int_equal(bytes_find_nocase(header, BYTES("\nBcc:")), BYTES_NONE);
	assert_int_not_equal(bytes_find(header, BYTES("Subject: =?")), BYTES_NONE);
	assert_int_not_equal(bytes_find(header, BYTES("\r\nAuto-Submitted: auto-generated\r\n")),
	                     BYTES_NONE);
	buf_done(&mail);
	arena_done(&arena);
}

static void waits_grow_to_a_quarter_of_an_hour(void **state)
{
	for (unsigned tries = 1; tries < 200; tries++)
		assert_true(alarm_wait_ms(tries) >= alarm_wait_ms(tries - 1));
	assert_int_equal(alarm_wait_ms(0), 5000);
	assert_int_equal(alarm_wait_ms(1000), 900000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(json_is_json_whatever_the_facts),
	        cmocka_unit_test(facts_are_kept_word_by_word),
	        cmocka_unit_test(one_that_is_over_says_how_long_and_how_much),
	        cmocka_unit_test(all_tries_of_an_alarm_have_one_id),
	        cmocka_unit_test(a_mail_has_no_line_of_the_facts_in_its_header),
	        cmocka_unit_test(waits_grow_to_a_quarter_of_an_hour),
	};

	return TEST_MAIN(tests);
}
