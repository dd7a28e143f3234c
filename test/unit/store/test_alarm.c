/* Alarms and rhythms through asks, as roles say them: what is told, in which order, how often, what outlives a restart. */
#include "store_test.h"

#include "base/memory.h"
#include "watch/alarm.h"
#include "watch/incident.h"

#define MINUTE (60 * 1000LL)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)

static const char channels[] = "alarm ops {\n\twebhook https://hook.test/\n}\n"
                               "alarm pager {\n\tcollect\n}\nwatch {\n\trepeat 4h\n}\n";

/* A channel alone, so that no other one is missed. */
static const char one_channel[] = "alarm ops {\n\twebhook https://hook.test/\n}\n"
                                  "watch {\n\trepeat 4h\n}\n";

static uint64_t say(struct rig *r, unsigned verb, const char *key)
{
	struct ask a = {.kind = ASK_INCIDENT};

	a.incident.verb = (uint8_t)verb;
	a.incident.kind = INCIDENT_BLOCKED;
	a.incident.key = bytes_of_text(key);
	a.incident.facts = BYTES("reply=550 no\n");
	a.incident.count = 1;
	return rig_ask(r, COURIER_PEER, a).incident.id;
}

static struct answer next(struct rig *r)
{
	return rig_ask(r, COURIER_PEER,
	               (struct ask){.kind = ASK_ALARM, .alarm.channel = BYTES("ops")});
}

static void done(struct rig *r, struct answer a, const char *failed)
{
	struct ask_alarm_done d = {
	        .id = a.alarm.id, .at = a.alarm.at, .failed = bytes_of_text(failed)};

	assert_int_equal(
	        rig_ask(r, COURIER_PEER, (struct ask){.kind = ASK_ALARM_DONE, .alarm_done = d})
	                .result,
	        OK);
}

static void tick(struct rig *r, int64_t later)
{
	r->now += later;
	assert_int_equal(rig_ask(r, WATCH_PEER, (struct ask){.kind = ASK_WATCH_TICK}).result, OK);
}

/* Which event is told next, and tells it; 0: none is due. */
static unsigned told(struct rig *r)
{
	struct answer a = next(r);

	if (a.result != OK)
		return 0;
	done(r, a, "");
	return a.alarm.event;
}

static bool has(struct answer a, const char *text)
{
	return a.result == OK && bytes_find(a.admin.rows, bytes_of_text(text)) != BYTES_NONE;
}

static void each_event_is_told_once_and_in_order(void **state)
{
	struct rig r = rig_make(channels, "");
	uint64_t id;
	struct answer a;

	rig_open(&r);
	assert_int_equal(next(&r).result, NOT_FOUND);
	id = say(&r, INCIDENT_RAISE, "google");
	say(&r, INCIDENT_RAISE, "google"); /* goes on: nothing new */
	say(&r, INCIDENT_CLOSE, "google");
	say(&r, INCIDENT_RAISE, "google");
	a = next(&r);
	assert_int_equal(a.result, OK);
	assert_int_equal(a.alarm.event, ALARM_RAISED);
	assert_int_equal(a.alarm.incident, id);
	assert_bytes(a.alarm.key, BYTES("google"));
	assert_bytes(a.alarm.facts, BYTES("reply=550 no\n"));
	assert_int_equal(told(&r), ALARM_RAISED);
	assert_int_equal(told(&r), ALARM_CLOSED);
	assert_int_equal(told(&r), ALARM_AGAIN);
	assert_int_equal(told(&r), 0);
	/* The other channel has its own. */
	assert_true(has(rig_admin(&r, ADMIN_ALARMS, "pager", 0), "incident.again"));
	assert_false(has(rig_admin(&r, ADMIN_ALARMS, "ops", 0), "incident"));
	rig_done(&r);
}

static void what_nobody_acknowledged_is_repeated(void **state)
{
	struct rig r = rig_make(one_channel, "");
	uint64_t id;

	rig_open(&r);
	id = say(&r, INCIDENT_RAISE, "google");
	assert_int_equal(told(&r), ALARM_RAISED);
	tick(&r, 3 * HOUR);
	assert_int_equal(told(&r), 0);
	tick(&r, HOUR + MINUTE);
	assert_int_equal(told(&r), ALARM_REPEATED);
	tick(&r, MINUTE);
	assert_int_equal(told(&r), 0);
	tick(&r, 4 * HOUR);
	assert_int_equal(told(&r), ALARM_REPEATED);
	assert_int_equal(told(&r), 0);
	rig_admin(&r, ADMIN_INCIDENT_ACK, "", id);
	assert_int_equal(told(&r), ALARM_ACKNOWLEDGED);
	tick(&r, 5 * HOUR);
	assert_int_equal(told(&r), 0);
	rig_admin(&r, ADMIN_INCIDENT_CLOSE, "", id);
	assert_int_equal(told(&r), ALARM_CLOSED);
	tick(&r, 5 * HOUR);
	assert_int_equal(told(&r), 0);
	rig_done(&r);
}

static void one_that_fails_waits_and_the_others_behind_it(void **state)
{
	struct rig r = rig_make(channels, "");
	struct answer a;

	rig_open(&r);
	say(&r, INCIDENT_RAISE, "google");
	say(&r, INCIDENT_RAISE, "outlook.com");
	done(&r, next(&r), "HTTP 500");
	assert_int_equal(next(&r).result, NOT_FOUND);
	r.now += alarm_wait_ms(0) + 1;
	a = next(&r);
	assert_int_equal(a.result, OK);
	assert_bytes(a.alarm.key, BYTES("google"));
	done(&r, a, "");
	a = next(&r);
	assert_bytes(a.alarm.key, BYTES("outlook.com"));
	rig_done(&r);
}

/* Nobody answers, nobody collects: the channel itself becomes an incident, which the other channel tells. */
static void a_channel_that_does_not_get_through_is_an_incident(void **state)
{
	struct rig r = rig_make(channels, "");

	rig_open(&r);
	say(&r, INCIDENT_RAISE, "google");
	assert_int_equal(told(&r), ALARM_RAISED);
	tick(&r, 4 * MINUTE);
	assert_false(has(rig_admin(&r, ADMIN_INCIDENTS, "", 0), "pager"));
	tick(&r, 2 * MINUTE);
	assert_true(has(rig_admin(&r, ADMIN_INCIDENTS, "", 0), "\"key\":\"pager\""));
	assert_true(has(rig_admin(&r, ADMIN_INCIDENTS, "", 0), "way=collect"));
	assert_int_equal(next(&r).alarm.kind, INCIDENT_CHANNEL);
	assert_int_equal(told(&r), ALARM_RAISED);
	tick(&r, MINUTE);
	assert_int_equal(told(&r), 0); /* said once */
	/* Somebody collects. */
	for (uint64_t id = 1; id < 10; id++)
		rig_admin(&r, ADMIN_ALARM_DONE, "", id);
	tick(&r, MINUTE);
	assert_false(has(rig_admin(&r, ADMIN_INCIDENTS, "", 0), "pager"));
	assert_int_equal(told(&r), ALARM_CLOSED);
	rig_done(&r);
}

static void alarms_outlive_a_restart_and_a_new_index(void **state)
{
	struct rig r = rig_make(channels, "");

	rig_open(&r);
	say(&r, INCIDENT_RAISE, "google");
	done(&r, next(&r), "HTTP 500");
	rig_close(&r);
	rig_open(&r);
	assert_true(has(rig_admin(&r, ADMIN_ALARMS, "ops", 0), "HTTP 500"));
	rig_admin(&r, ADMIN_CHECKPOINT, "", 0); /* an image holds them, too */
	rig_close(&r);
	rig_remove(&r, "index.db");
	rig_open(&r);
	assert_true(has(rig_admin(&r, ADMIN_ALARMS, "ops", 0), "HTTP 500"));
	r.now += MINUTE;
	assert_int_equal(told(&r), ALARM_RAISED);
	rig_done(&r);
}

static void after_a_week_one_is_given_up(void **state)
{
	struct rig r = rig_make(channels, "");
	struct answer a;

	rig_open(&r);
	say(&r, INCIDENT_RAISE, "google");
	tick(&r, 6 * DAY);
	assert_int_equal(next(&r).alarm.event, ALARM_RAISED);
	tick(&r, DAY + MINUTE);
	a = next(&r); /* what was said since is still there */
	assert_int_equal(a.result, OK);
	assert_true(a.alarm.at > r.now - 7 * DAY);
	rig_done(&r);
}

static void a_test_goes_to_its_channel(void **state)
{
	struct rig r = rig_make(channels, "");

	rig_open(&r);
	assert_int_equal(rig_admin(&r, ADMIN_ALARM_TEST, "nobody", 0).result, NOT_FOUND);
	assert_int_equal(rig_admin(&r, ADMIN_ALARM_TEST, "ops", 0).result, OK);
	assert_int_equal(told(&r), ALARM_TEST);
	rig_done(&r);
}

/* ---- mail that usually comes ---- */

static void comes(struct rig *r, const char *sender)
{
	struct ask a = rig_commit(r, 7, BYTES("Subject: backup\r\n\r\ndone\r\n"),
	                          "ken@example.test", NULL);

	a.commit.sender = bytes_of_text(sender);
	assert_int_equal(rig_ask(r, MX_PEER, a).result, OK);
}

static void a_job_that_stops_is_missed_and_its_next_mail_closes_it(void **state)
{
	struct rig r = rig_make("", "");

	rig_open(&r);
	rig_account(&r, "ken@example.test");
	for (int day = 0; day < 20; day++) {
		comes(&r, "root@nas.example.test");
		if (day % 2)
			comes(&r, "somebody@else.test"); /* no rhythm yet: missed by nobody */
		tick(&r, DAY);
		assert_false(has(rig_admin(&r, ADMIN_INCIDENTS, "", 0), "host nas"));
	}
	tick(&r, 12 * HOUR);
	assert_true(
	        has(rig_admin(&r, ADMIN_INCIDENTS, "", 0), "\"key\":\"host nas.example.test\""));
	assert_false(has(rig_admin(&r, ADMIN_INCIDENTS, "", 0), "somebody"));
	rig_close(&r);
	rig_open(&r);
	comes(&r, "root@nas.example.test");
	tick(&r, MINUTE);
	assert_false(has(rig_admin(&r, ADMIN_INCIDENTS, "", 0), "host nas"));
	rig_done(&r);
}

/* Nobody at all is heard of: one incident, not one for each. */
static void when_all_is_silent_one_is_told(void **state)
{
	struct rig r = rig_make("", "");
	struct answer a;

	rig_open(&r);
	rig_account(&r, "ken@example.test");
	for (int day = 0; day < 40; day++) {
		comes(&r, "root@nas.example.test");
		comes(&r, "root@web.example.test");
		tick(&r, DAY);
	}
	tick(&r, DAY);
	tick(&r, MINUTE);
	a = rig_admin(&r, ADMIN_INCIDENTS, "", 0);
	assert_true(has(a, "\"key\":\"all\""));
	assert_false(has(a, "host "));
	rig_done(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(each_event_is_told_once_and_in_order),
	        cmocka_unit_test(what_nobody_acknowledged_is_repeated),
	        cmocka_unit_test(one_that_fails_waits_and_the_others_behind_it),
	        cmocka_unit_test(a_channel_that_does_not_get_through_is_an_incident),
	        cmocka_unit_test(alarms_outlive_a_restart_and_a_new_index),
	        cmocka_unit_test(after_a_week_one_is_given_up),
	        cmocka_unit_test(a_test_goes_to_its_channel),
	        cmocka_unit_test(a_job_that_stops_is_missed_and_its_next_mail_closes_it),
	        cmocka_unit_test(when_all_is_silent_one_is_told),
	};

	return TEST_MAIN(tests);
}
