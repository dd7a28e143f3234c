/* Rhythms of people, lists and jobs: none is missed while it keeps to itself, each is soon missed when it stops. */
#include "../test.h"

#include "watch/silence.h"

#define MINUTE 60000LL
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)
#define MONDAY (time_ms)(1767571200000LL) /* 2026-01-05T00:00:00Z */

static uint64_t state;

static double chance(void)
{
	state = state * 6364136223846793005ULL + 1442695040888963407ULL;
	return (double)(state >> 11) / (double)(1ULL << 53);
}

/* A mean of 1. */
static double waiting(void)
{
	double u = chance();
	double sum = 0;

	/* -ln(u) without libm: u in (0, 1], by halving */
	while (u < 0.5) {
		u *= 2;
		sum += 0.6931471805599453;
	}
	u = 1 - u;
	return sum + u + u * u / 2 + u * u * u / 3 + u * u * u * u / 4 + u * u * u * u * u / 5;
}

static void a_job_on_working_days_is_missed_the_same_day(void **unused)
{
	struct silence s = {0};
	time_ms at;

	for (int day = 0; day < 4 * 7; day++) {
		if (day % 7 >= 5)
			continue;
		at = MONDAY + day * DAY + 3 * HOUR;
		if (day >= 14)
			assert_true(silence_due(&s, SILENCE_HOST) > at); /* weekends are none */
		silence_arrived(&s, at);
	}
	for (int day = 28; day <= 29; day++)
		silence_arrived(&s, MONDAY + day * DAY + 3 * HOUR);
	/* Tuesday's came, Wednesday's does not: told on Wednesday. */
	at = silence_due(&s, SILENCE_HOST);
	assert_true(at > MONDAY + 30 * DAY + 3 * HOUR);
	assert_true(at < MONDAY + 31 * DAY);
	/* After Friday's mail nobody is missed before Monday. */
	for (int day = 30; day <= 32; day++)
		silence_arrived(&s, MONDAY + day * DAY + 3 * HOUR);
	assert_true(silence_due(&s, SILENCE_HOST) > MONDAY + 35 * DAY + 3 * HOUR);
}

static void an_hourly_job_is_missed_within_hours(void **unused)
{
	struct silence s = {0};

	for (int hour = 0; hour < 7 * 24; hour++)
		silence_arrived(&s, MONDAY + hour * HOUR + (hour % 3) * MINUTE);
	assert_true(silence_due(&s, SILENCE_HOST) - s.last > HOUR);
	assert_true(silence_due(&s, SILENCE_HOST) - s.last < 4 * HOUR);
}

static void what_is_new_or_seldom_is_not_missed(void **unused)
{
	struct silence s = {0};

	assert_int_equal(silence_due(&s, SILENCE_PAIR), 0);
	for (int day = 0; day < 10; day++)
		silence_arrived(&s, MONDAY + day * DAY);
	assert_int_equal(silence_due(&s, SILENCE_PAIR), 0); /* people: not after ten days */
	assert_true(silence_due(&s, SILENCE_HOST) > 0);
	s = (struct silence){0};
	for (int month = 0; month < 30; month++)
		silence_arrived(&s, MONDAY + month * 50 * DAY);
	assert_int_equal(silence_due(&s, SILENCE_HOST), 0);
	/* All at once, then nothing: a burst is no rhythm. */
	s = (struct silence){0};
	for (int i = 0; i < 500; i++)
		silence_arrived(&s, MONDAY + i);
	assert_int_equal(silence_due(&s, SILENCE_HOST), 0);
}

static void a_clock_that_goes_back_does_no_harm(void **unused)
{
	struct silence s = {0};

	for (int day = 0; day < 40; day++)
		silence_arrived(&s, MONDAY + (day % 3 ? day : day - 2) * DAY);
	assert_true(silence_due(&s, SILENCE_HOST) >= s.last);
}

/* People who write by chance, once a day on average, for half a year: how often is one of them missed wrongly? */
static void chance_is_not_missed(void **unused)
{
	unsigned wrong = 0, mails = 0;

	state = 7;
	for (int pair = 0; pair < 2000; pair++) {
		struct silence s = {0};
		time_ms at = MONDAY;

		while (at < MONDAY + 180 * DAY) {
			time_ms due = silence_due(&s, SILENCE_PAIR);

			wrong += due > 0 && due < at;
			silence_arrived(&s, at);
			mails++;
			at += (time_ms)(waiting() * (double)DAY);
		}
	}
	print_message("# %u mails of 2000 pairs in 180 days: %u silences told that were chance\n",
	              mails, wrong);
	assert_true(mails > 300000);
	assert_true(wrong <= 36); /* one in five days for 2000 of them */
}

/* Colleagues: many mails on working days from 9 to 18, none at night and on weekends, for a year. */
static void an_office_is_not_missed_at_weekends(void **unused)
{
	unsigned wrong = 0, late = 0;

	state = 3;
	for (int pair = 0; pair < 200; pair++) {
		struct silence s = {0};
		time_ms at = 0, due;

		for (int day = 0; day < 365; day++) {
			if (day % 7 >= 5)
				continue;
			for (double hour = 9 + waiting(); hour < 18; hour += waiting()) {
				at = MONDAY + day * DAY + (time_ms)(hour * (double)HOUR);
				due = silence_due(&s, SILENCE_PAIR);
				wrong += due > 0 && due < at;
				silence_arrived(&s, at);
			}
		}
		due = silence_due(&s, SILENCE_PAIR);
		late += due == 0 || due - at > 7 * DAY;
	}
	print_message(
	        "# 200 pairs in an office, a year: %u told wrongly, %u that stop are told after "
	        "more than a week\n",
	        wrong, late);
	assert_true(wrong <= 8); /* of a thousand such pairs one in twelve days */
	assert_true(late <= 20);
}

static void records_come_back(void **unused)
{
	struct silence s = {0}, back;
	struct buf record = {0};

	for (int day = 0; day < 100; day++)
		silence_arrived(&s, MONDAY + day * DAY + day * day * MINUTE);
	silence_pack(&s, &record);
	silence_unpack(buf_bytes(&record), &back);
	assert_memory_equal(&back.stretches, &s.stretches, sizeof(s.stretches));
	assert_int_equal(silence_due(&back, SILENCE_HOST), silence_due(&s, SILENCE_HOST));
	assert_true(silence_due(&s, SILENCE_HOST) > 0);
	for (size_t len = 0; len < buf_len(&record); len++) {
		silence_unpack(bytes_first(buf_bytes(&record), len), &back);
		assert_int_equal(back.count, 0);
	}
	buf_done(&record);
}

static void keys_say_who_is_missed(void **unused)
{
	static const struct {
		const char *sender, *rcpt, *key;
	} cases[] = {
	        {"Aiko@Example.test", "ken@example.test",
	         "pair aiko@example.test > ken@example.test"},
	        {"ml-bounces@lists.example.test", "ken@x.test", "list ml@lists.example.test"},
	        {"ml-return-17-ken=x.test@lists.example.test", "ken@x.test",
	         "list ml@lists.example.test"},
	        {"owner-ml@lists.example.test", "ken@x.test", "list ml@lists.example.test"},
	        {"root@nas.example.test", "ken@x.test", "host nas.example.test"},
	        {"bounce-2231=ken@shop.test", "ken@x.test", NULL},
	        {"", "ken@x.test", NULL},
	        {"ken", "ken@x.test", NULL},
	};
	struct buf key = {0};
	enum silence_kind kind;

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		bool found = silence_key(bytes_of_text(cases[i].sender),
		                         bytes_of_text(cases[i].rcpt), &kind, &key);

		assert_int_equal(found, cases[i].key != NULL);
		if (found) {
			assert_bytes(buf_bytes(&key), bytes_of_text(cases[i].key));
			assert_int_equal(silence_kind_of(buf_bytes(&key)), kind);
		}
	}
	buf_done(&key);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(a_job_on_working_days_is_missed_the_same_day),
	        cmocka_unit_test(an_hourly_job_is_missed_within_hours),
	        cmocka_unit_test(what_is_new_or_seldom_is_not_missed),
	        cmocka_unit_test(a_clock_that_goes_back_does_no_harm),
	        cmocka_unit_test(chance_is_not_missed),
	        cmocka_unit_test(an_office_is_not_missed_at_weekends),
	        cmocka_unit_test(records_come_back),
	        cmocka_unit_test(keys_say_who_is_missed),
	};

	return TEST_MAIN(tests);
}
