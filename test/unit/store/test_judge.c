/* sending_judge on invented lives: who is held, and who must be left alone. */
#include "test.h"

#include "store/sending_judge.h"

struct life {
	const char *who;
	struct sending_facts facts;
	enum sending_reason want;
};

static const struct life lives[] = {
        {"a person's ordinary day",
         {.day = {12, 15, 2, 0, 15}, .most = {30, 60, 8, 1, 60}, .days = 40, .age_days = 400},
         SENDING_FINE},
        {"the weekly newsletter to 800 known readers, 2 addresses gone since",
         {.day = {800, 800, 6, 12, 800},
          .most = {790, 790, 20, 15, 790},
          .days = 30,
          .age_days = 300,
          .networks = 2},
         SENDING_FINE},
        {"a newsletter that grew by a hundred readers",
         {.day = {900, 900, 100, 14, 900},
          .most = {800, 800, 40, 15, 800},
          .days = 30,
          .age_days = 300},
         SENDING_FINE},
        {"a wedding invitation: one mail to 80 friends, most never written to",
         {.day = {3, 84, 70, 2, 84}, .most = {20, 25, 5, 1, 25}, .days = 50, .age_days = 500},
         SENDING_FINE},
        {"a new account brings its newsletter along",
         {.day = {600, 600, 600, 9, 600}, .days = 0, .age_days = 2, .networks = 1},
         SENDING_FINE},
        {"a phone on a journey: many networks, the usual people",
         {.day = {25, 30, 3, 0, 30},
          .most = {30, 60, 8, 1, 60},
          .days = 40,
          .age_days = 400,
          .networks = 9,
          .networks_new = 8},
         SENDING_FINE},
        {"a cron script that always sends 500 reports",
         {.day = {510, 510, 0, 0, 510}, .most = {505, 505, 3, 1, 505}, .days = 60, .age_days = 60},
         SENDING_FINE},
        {"one typing error among three mails",
         {.day = {3, 3, 1, 1, 3}, .most = {10, 10, 3, 0, 10}, .days = 20, .age_days = 200},
         SENDING_FINE},
        {"a stolen password: 120 strangers, from a network never seen",
         {.day = {120, 120, 118, 4, 60},
          .most = {30, 60, 8, 1, 60},
          .days = 40,
          .age_days = 400,
          .networks = 3,
          .networks_new = 1},
         SENDING_RECIPIENTS},
        {"the same in its first minutes: 45 strangers, one mail each",
         {.day = {45, 45, 45, 0, 5},
          .most = {30, 60, 8, 1, 60},
          .days = 40,
          .age_days = 400,
          .networks = 3,
          .networks_new = 1},
         SENDING_RECIPIENTS},
        {"an account that never sent, and now writes to 250 people",
         {.day = {250, 250, 250, 3, 40}, .days = 0, .age_days = 300},
         SENDING_RECIPIENTS},
        {"a harvested list: a third does not exist",
         {.day = {40, 40, 38, 14, 36}, .most = {30, 60, 8, 1, 60}, .days = 40, .age_days = 400},
         SENDING_UNKNOWN},
        {"even a new account is held when its addresses are guessed",
         {.day = {100, 100, 100, 50, 100}, .days = 0, .age_days = 1},
         SENDING_UNKNOWN},
        {"a botnet: from a dozen networks in a day, to strangers",
         {.day = {30, 30, 28, 0, 10},
          .most = {30, 60, 8, 1, 60},
          .days = 40,
          .age_days = 400,
          .networks = 3,
          .networks_new = 12},
         SENDING_NETWORKS},
        {"a script gone mad: 2,000 mails to the same person",
         {.day = {2000, 2000, 0, 0, 900}, .most = {40, 40, 3, 1, 40}, .days = 60, .age_days = 60},
         SENDING_VOLUME},
};

static void test_lives(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(lives) / sizeof(*lives); i++) {
		struct sending_verdict v = sending_judge(&lives[i].facts);

		if (v.reason != lives[i].want)
			fail_msg("%s: %s, wanted %s", lives[i].who, sending_reason_word(v.reason),
			         sending_reason_word(lives[i].want));
	}
}

/* What counts is told with the verdict: it stands in the incident. */
static void test_figures(void **state)
{
	struct sending_facts f = {.day = {120, 120, 118, 0, 0},
	                          .most = {30, 60, 8, 1, 60},
	                          .days = 40,
	                          .age_days = 400};
	struct sending_verdict v = sending_judge(&f);

	(void)state;
	assert_int_equal(v.now, 118);
	assert_int_equal(v.usual, 8);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_lives),
	        cmocka_unit_test(test_figures),
	};

	return TEST_MAIN(tests);
}
