/* A check on trial: what demotes it, what does not, how it comes back, what a restart keeps. */
#include "../test.h"

#include "watch/trial.h"

#define MINUTE (60LL * 1000)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)

static const time_ms begin = 1795000000000LL;

static unsigned say(struct trial *t, time_ms at, uint64_t who, bool accuses, bool known, bool clean)
{
	return trial_hear(
	        t,
	        &(struct trial_said){
	                .at = at, .accuses = accuses, .known = known, .clean = clean, .who = who});
}

static unsigned doubt(struct trial *t, time_ms at)
{
	return trial_hear(t, &(struct trial_said){.at = at, .doubt = true});
}

/* A day of ordinary work: each hour 20 clean mails of which one is accused, 20 that are junk and mostly accused. */
static time_ms live(struct trial *t, time_ms at, unsigned hours)
{
	for (unsigned h = 0; h < hours; h++, at += HOUR)
		for (unsigned i = 0; i < 20; i++) {
			assert_int_equal(
			        say(t, at + i * MINUTE, 1000 + i, i == 7 && h % 2, false, true), 0);
			assert_int_equal(
			        say(t, at + i * MINUTE, 2000 + i, i % 4 != 0, false, false), 0);
		}
	return at;
}

static struct trial well(time_ms at)
{
	struct trial t = {.tested = true};

	assert_int_equal(trial_state(&t, at), TRIAL_UNPROVEN);
	assert_int_equal(trial_tested(&t, at, TRIAL_TEST_WELL), 0);
	assert_int_equal(trial_state(&t, at), TRIAL_PROVEN);
	return t;
}

static void tests_must_be_fresh(void **state)
{
	struct trial t = well(begin);

	assert_int_equal(trial_state(&t, begin + TRIAL_FRESH_MS), TRIAL_PROVEN);
	assert_int_equal(trial_state(&t, begin + TRIAL_FRESH_MS + 1), TRIAL_UNPROVEN);
}

static void a_check_without_tests_is_trusted_at_first(void **state)
{
	struct trial t = {0};

	assert_int_equal(trial_state(&t, begin), TRIAL_PROVEN);
}

static void known_senders(void **state)
{
	struct trial t = well(begin);
	time_ms at = live(&t, begin, 24);

	(void)trial_tested(&t, at, TRIAL_TEST_WELL);
	assert_int_equal(say(&t, at, 1, true, true, false), 0);
	assert_int_equal(say(&t, at + 1, 1, true, true, false), 0); /* the same again */
	assert_int_equal(trial_state(&t, at), TRIAL_PROVEN);
	assert_int_equal(say(&t, at + 2, 2, true, true, false), TRIAL_DEMOTES);
	assert_int_equal(trial_state(&t, at + 2), TRIAL_DEMOTED);
	assert_int_equal(t.cause, TRIAL_KNOWN);
	assert_int_equal(t.bad_since, at + 1);
}

/* Where many known senders write, a few are within its tolerance. */
static void tolerance_grows_with_mail(void **state)
{
	struct trial t = well(begin);

	for (unsigned i = 0; i < 500; i++)
		(void)say(&t, begin + i, i, false, true, false);
	for (unsigned i = 0; i < 10; i++)
		assert_int_equal(say(&t, begin + HOUR, 5000 + i, true, true, false), 0);
	for (unsigned i = 10; i < 15 && !t.demoted; i++)
		(void)say(&t, begin + HOUR, 5000 + i, true, true, false);
	assert_int_equal(t.cause, TRIAL_KNOWN);
}

static void clean_mail(void **state)
{
	struct trial t = well(begin);
	time_ms at = live(&t, begin, 30) + HOUR * 2;
	unsigned said = 0;

	while (said < 30 && !t.demoted)
		(void)say(&t, at + said * 1000, 100 + said, true, false, true), said++;
	assert_int_equal(t.cause, TRIAL_CLEAN);
	assert_in_range(said, 4, 6);
	/* One sender's many mails are one. */
	t = well(begin);
	at = live(&t, begin, 30) + HOUR * 2;
	for (unsigned i = 0; i < 50; i++)
		assert_int_equal(say(&t, at + i * 1000, 100, true, false, true), 0);
}

/* A list that is new and meets much junk from proved senders does its work. */
static void a_young_check_may_work(void **state)
{
	struct trial t = well(begin);

	for (unsigned i = 0; i < 20; i++)
		assert_int_equal(say(&t, begin + i * 1000, i, i % 3 != 0, false, true), 0);
}

/* A wave of plain junk is no reason. */
static void a_wave_of_junk(void **state)
{
	struct trial t = well(begin);
	time_ms at = live(&t, begin, 48) + HOUR * 2;

	for (unsigned i = 0; i < 300; i++)
		assert_int_equal(say(&t, at + i * 1000, i, i % 10 != 0, false, false), 0);
}

static void rate_of_all_mail(void **state)
{
	struct trial t = well(begin);
	time_ms at = begin;

	for (unsigned i = 0; i < 500; i++, at += 5 * MINUTE)
		(void)say(&t, at, i, i % 10 == 0, false, false);
	at += 2 * HOUR;
	for (unsigned i = 0; i < 70 && !t.demoted; i++)
		(void)say(&t, at + i * 1000, i, true, false, false);
	assert_int_equal(t.cause, TRIAL_RATE);
}

static void tests_that_fail(void **state)
{
	struct trial t = well(begin);

	assert_int_equal(trial_tested(&t, begin + MINUTE, TRIAL_TEST_MAD), TRIAL_DEMOTES);
	assert_int_equal(t.bad_since, begin);
	assert_int_equal(trial_tested(&t, begin + 2 * MINUTE, TRIAL_TEST_MAD), 0);
	assert_int_equal(trial_tested(&t, begin + 20 * MINUTE, TRIAL_TEST_WELL), 0);
	assert_int_equal(trial_state(&t, begin + 20 * MINUTE), TRIAL_DEMOTED);
	assert_int_equal(trial_tested(&t, begin + 33 * MINUTE, TRIAL_TEST_WELL), TRIAL_RESTORES);
	assert_int_equal(trial_state(&t, begin + 33 * MINUTE), TRIAL_PROVEN);
	/* Again within a week: it has to be well for twice as long. */
	assert_int_equal(trial_tested(&t, begin + DAY, TRIAL_TEST_MAD), TRIAL_DEMOTES);
	assert_int_equal(trial_returns(&t), begin + DAY + HOUR);
}

static void blindness(void **state)
{
	struct trial t = well(begin);

	(void)say(&t, begin + MINUTE, 1, false, false, false);
	assert_int_equal(doubt(&t, begin + 2 * MINUTE), 0);
	assert_int_equal(doubt(&t, begin + 3 * MINUTE), 0);
	assert_int_equal(doubt(&t, begin + 4 * MINUTE), TRIAL_BLINDS);
	assert_int_equal(t.blind, begin + MINUTE);
	assert_int_equal(trial_state(&t, begin + 4 * MINUTE), TRIAL_BLIND);
	assert_int_equal(doubt(&t, begin + 5 * MINUTE), 0);
	assert_int_equal(say(&t, begin + 6 * MINUTE, 1, false, false, false), TRIAL_SEES);
	assert_int_equal(trial_state(&t, begin + 6 * MINUTE), TRIAL_PROVEN);
	/* By its tests at once; one lost answer is not yet it. */
	assert_int_equal(trial_tested(&t, begin + 7 * MINUTE, TRIAL_TEST_MUTE), TRIAL_BLINDS);
	assert_int_equal(trial_tested(&t, begin + 8 * MINUTE, TRIAL_TEST_WELL), TRIAL_SEES);
	assert_int_equal(trial_tested(&t, begin + 8 * MINUTE + 1, TRIAL_TEST_SILENT), 0);
	assert_int_equal(trial_tested(&t, begin + 9 * MINUTE, TRIAL_TEST_SILENT), TRIAL_BLINDS);
}

/* Strangers' broken DNS is no fault of SPF. */
static void a_check_without_tests_may_doubt(void **state)
{
	struct trial t = {0};

	for (unsigned i = 1; i < TRIAL_DOUBTS_UNTESTED; i++)
		assert_int_equal(doubt(&t, begin + i), 0);
	assert_int_equal(doubt(&t, begin + 100), TRIAL_BLINDS);
}

/* What goes on while it is demoted keeps it so. */
static void trouble_goes_on(void **state)
{
	struct trial t = well(begin);

	(void)say(&t, begin, 1, true, true, false);
	assert_int_equal(say(&t, begin, 2, true, true, false), TRIAL_DEMOTES);
	assert_int_equal(trial_returns(&t), begin + 6 * HOUR);
	(void)say(&t, begin + 3 * HOUR, 3, true, true, false);
	assert_int_equal(trial_returns(&t), begin + 9 * HOUR);
	assert_int_equal(trial_tick(&t, begin + 9 * HOUR - 1), 0);
	assert_int_equal(trial_tick(&t, begin + 9 * HOUR), TRIAL_RESTORES);
	assert_int_equal(say(&t, begin + 9 * HOUR, 4, true, true, false), 0);
}

static void the_operator_decides(void **state)
{
	struct trial t = well(begin);

	assert_int_equal(trial_restore(&t, begin), 0);
	(void)trial_tested(&t, begin, TRIAL_TEST_MAD);
	assert_int_equal(trial_restore(&t, begin + 1), TRIAL_RESTORES);
	assert_int_equal(trial_state(&t, begin + 1), TRIAL_PROVEN);
}

static void octets_keep_all(void **state)
{
	struct trial t = well(begin), u = {0};
	struct buf packed = {0}, again = {0};

	(void)live(&t, begin, 10);
	(void)doubt(&t, begin + 11 * HOUR);
	(void)say(&t, begin + 12 * HOUR, 1, true, true, true);
	(void)say(&t, begin + 12 * HOUR, 2, true, true, true);
	assert_true(t.demoted);
	trial_pack(&t, &packed);
	trial_unpack(buf_bytes(&packed), &u);
	assert_int_equal(trial_state(&u, begin + 12 * HOUR), TRIAL_DEMOTED);
	assert_int_equal(trial_returns(&u), trial_returns(&t));
	trial_pack(&u, &again);
	assert_bytes(buf_bytes(&again), buf_bytes(&packed));
	/* Half a record is none. */
	for (size_t n = 0; n < buf_len(&packed); n += 7) {
		struct trial v = {.demotions = 77};

		trial_unpack(bytes_first(buf_bytes(&packed), n), &v);
		assert_int_equal(v.demotions, 77);
	}
	buf_done(&packed);
	buf_done(&again);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(tests_must_be_fresh),
	        cmocka_unit_test(a_check_without_tests_is_trusted_at_first),
	        cmocka_unit_test(known_senders),
	        cmocka_unit_test(tolerance_grows_with_mail),
	        cmocka_unit_test(clean_mail),
	        cmocka_unit_test(a_young_check_may_work),
	        cmocka_unit_test(a_wave_of_junk),
	        cmocka_unit_test(rate_of_all_mail),
	        cmocka_unit_test(tests_that_fail),
	        cmocka_unit_test(blindness),
	        cmocka_unit_test(a_check_without_tests_may_doubt),
	        cmocka_unit_test(trouble_goes_on),
	        cmocka_unit_test(the_operator_decides),
	        cmocka_unit_test(octets_keep_all),
	};

	return TEST_MAIN(tests);
}
