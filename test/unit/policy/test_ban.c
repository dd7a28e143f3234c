/* Who is kept out, and above all who is not. */
#include "../test.h"

#include <stdio.h>

#include "policy/ban.h"

enum { SECOND = 1000, MINUTE = 60 * SECOND, HOUR = 60 * MINUTE };
#define DAY (24LL * HOUR)
static const time_ms start = 1795392000000;

static struct ip_prefix allowed;
static struct ban_settings set = {.on = true,
                                  .threshold = 10,
                                  .half_ms = 30 * MINUTE,
                                  .first_ms = 10 * MINUTE,
                                  .most_ms = 7 * DAY,
                                  .allow = &allowed};

static struct ip at(const char *text)
{
	struct ip ip;

	assert_int_equal(ip_parse(bytes_of_text(text), &ip), OK);
	return ip;
}

static struct ip v4(unsigned network, unsigned host)
{
	return (struct ip){{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 203, (uint8_t)(network >> 8),
	                    (uint8_t)network, (uint8_t)host}};
}

static unsigned offend(struct ban_book *b, const struct ip *ip, enum ban_offence what, unsigned nth,
                       time_ms now)
{
	struct ban_verdict v;

	ban_offend(b, &set, ip, what, nth, now, &v);
	return (unsigned)v.count;
}

/* How many different passwords for one user until the ban. */
static unsigned guesses(struct ban_book *b, const struct ip *ip, time_ms now)
{
	unsigned n = 1;

	while (!offend(b, ip, BAN_WRONG_PASSWORD, n, now) && n < 100)
		n++;
	return n;
}

static void guessing_is_banned(void **state)
{
	struct ban_book b = {0};
	struct ip ip = at("192.0.2.7"), other = at("192.0.2.8");

	assert_int_equal(guesses(&b, &ip, start), 6);
	assert_non_null(ban_find(&b, &set, &ip, start));
	assert_null(ban_find(&b, &set, &other, start));
	assert_null(ban_find(&b, &set, &ip, start + set.first_ms));
	ban_done(&b);
}

static void a_forgotten_client_is_not(void **state)
{
	struct ban_book b = {0};
	struct ip ip = at("192.0.2.7");

	assert_int_equal(offend(&b, &ip, BAN_WRONG_PASSWORD, 1, start), 0);
	for (int i = 0; i < 10000; i++)
		assert_int_equal(offend(&b, &ip, BAN_WRONG_PASSWORD, 0, start + i * SECOND), 0);
	assert_null(ban_find(&b, &set, &ip, start + 10000 * SECOND));
	ban_done(&b);
}

/* Forty people's passwords were changed over night; each has two devices with old ones, and somebody's client
 * uses SCRAM. One of them logged in rightly. */
static void an_office_after_a_change_is_not(void **state)
{
	struct ban_book b = {0};
	struct ip ip = at("192.0.2.7");

	ban_good(&b, &ip, start);
	for (int person = 0; person < 40; person++) {
		for (int i = 0; i < 30; i++) {
			time_ms now = start + DAY + person * SECOND + i * MINUTE;

			assert_int_equal(
			        offend(&b, &ip, BAN_WRONG_PASSWORD, i < 2 ? i + 1u : 0, now), 0);
			assert_int_equal(offend(&b, &ip, BAN_WRONG_PASSWORD, BAN_NTH_UNSEEN, now),
			                 0);
		}
	}
	assert_null(ban_find(&b, &set, &ip, start + DAY + HOUR));
	/* But who guesses from there is. */
	assert_int_equal(guesses(&b, &ip, start + 2 * DAY), 12);
	/* A month later nobody of ours is there. */
	assert_int_equal(guesses(&b, &ip, start + 40 * DAY), 6);
	ban_done(&b);
}

static void spraying_is_banned(void **state)
{
	struct ban_book b = {0};
	struct ip ip = at("192.0.2.7");
	unsigned n = 0;

	while (!offend(&b, &ip, BAN_WRONG_PASSWORD, 1, start))
		n++;
	assert_int_equal(n + 1, 10);
	ip = at("192.0.2.9");
	for (n = 0; !offend(&b, &ip, BAN_UNKNOWN_USER, 1, start); n++)
		;
	assert_int_equal(n + 1, 5);
	ban_done(&b);
}

static void points_are_forgotten(void **state)
{
	struct ban_book b = {0};
	struct ip ip = at("192.0.2.7");

	for (int i = 0; i < 500; i++)
		assert_int_equal(offend(&b, &ip, BAN_UNKNOWN_USER, 1, start + i * 15LL * MINUTE),
		                 0);
	ban_done(&b);
}

static void each_ban_is_longer(void **state)
{
	static const time_ms want[] = {10 * MINUTE, 40 * MINUTE, 160 * MINUTE};
	struct ban_book b = {0};
	struct ip ip = at("2001:db8:1:2::3"), neighbour = at("2001:db8:1:2:ffff::9");
	time_ms now = start;

	for (int i = 0; i < 12; i++) {
		const struct ban_record *r;

		guesses(&b, &ip, now);
		r = ban_find(&b, &set, &neighbour, now); /* the /64 is one */
		assert_non_null(r);
		assert_int_equal(r->until - now, i < 3   ? want[i]
		                                 : i < 5 ? want[2] << 2 * (i - 2)
		                                         : set.most_ms);
		now = r->until + 1;
	}
	/* After some quiet weeks it starts lower. */
	now += 11 * 7 * DAY;
	guesses(&b, &ip, now);
	assert_int_equal(ban_find(&b, &set, &ip, now)->until - now, 40 * MINUTE);
	ban_done(&b);
}

static void a_network_follows_its_addresses(void **state)
{
	struct ban_book b = {0};
	struct ip quiet = v4(7, 200), beside = v4(8, 1);

	for (unsigned i = 0; i < BAN_NETWORK_ADDRESSES; i++) {
		struct ip ip = v4(7, i);

		assert_null(ban_find(&b, &set, &quiet, start));
		guesses(&b, &ip, start + i * MINUTE);
	}
	assert_non_null(ban_find(&b, &set, &quiet, start + 5 * MINUTE));
	assert_null(ban_find(&b, &set, &beside, start + 5 * MINUTE));
	/* Each a little: nobody is banned alone. */
	for (unsigned i = 0; i < 21; i++) {
		struct ip ip = v4(9, i);

		assert_null(ban_find(&b, &set, &ip, start));
		offend(&b, &ip, BAN_UNKNOWN_USER, 1, start + i * SECOND);
	}
	quiet = v4(9, 200);
	assert_non_null(ban_find(&b, &set, &quiet, start + MINUTE));
	ban_done(&b);
}

static void never_the_network_of_our_own(void **state)
{
	struct ban_book b = {0};
	struct ip ours = v4(7, 250);

	ban_good(&b, &ours, start);
	for (unsigned i = 0; i < 100; i++) {
		struct ip ip = v4(7, i);

		for (unsigned n = 1; n < 40; n++)
			offend(&b, &ip, BAN_WRONG_PASSWORD, n, start);
	}
	assert_null(ban_find(&b, &set, &ours, start));
	ban_done(&b);
}

static void many_at_once_are_a_campaign(void **state)
{
	struct ban_book b = {0};
	struct ban_verdict v;
	unsigned begun = 0;

	for (unsigned i = 0; i < 1000; i++) {
		struct ip ip = v4(i, 1);

		ban_offend(&b, &set, &ip, BAN_UNKNOWN_USER, 1, start + i * 100, &v);
		begun += v.campaign_begins;
		if (v.campaign_begins)
			assert_int_equal(i + 1, BAN_CAMPAIGN_ADDRESSES);
	}
	assert_int_equal(begun, 1);
	assert_true(ban_campaign(&b, start + 1000 * 100));
	assert_int_equal(b.campaign_addresses, 1000);
	/* Half is enough now; for our own nothing changes. */
	struct ip ip = v4(5000, 1), good = v4(5001, 1);
	assert_int_equal(guesses(&b, &ip, start + 101 * SECOND), 3);
	ban_good(&b, &good, start);
	assert_int_equal(guesses(&b, &good, start + 101 * SECOND), 12);
	ip = v4(5002, 1);
	assert_int_equal(offend(&b, &ip, BAN_UNKNOWN_USER, 1, start + 101 * SECOND), 0);
	assert_int_equal(offend(&b, &ip, BAN_UNKNOWN_USER, 2, start + 101 * SECOND), 1);
	assert_false(ban_campaign(&b, start + 102 * SECOND + BAN_CAMPAIGN_QUIET_MS));
	ban_done(&b);
}

static void slow_and_few_are_none(void **state)
{
	struct ban_book b = {0};
	struct ban_verdict v;

	for (unsigned i = 0; i < 500; i++) {
		struct ip ip = v4(i, 1);

		ban_offend(&b, &set, &ip, BAN_UNKNOWN_USER, 1, start + i * 30LL * SECOND, &v);
		assert_false(v.campaign_begins);
	}
	ban_done(&b);
}

static void mail_that_was_taken_speaks_for_it(void **state)
{
	struct ban_book b = {0};
	struct ip list = at("192.0.2.7"), attacker = at("198.51.100.7");
	unsigned n = 0;

	for (int i = 0; i < 1000; i++) {
		assert_int_equal(offend(&b, &list, BAN_UNKNOWN_RCPT, 1, start + i * SECOND), 0);
		assert_int_equal(offend(&b, &list, BAN_NOTHING, 1, start + i * SECOND), 0);
	}
	while (!offend(&b, &attacker, BAN_UNKNOWN_RCPT, 1, start))
		n++;
	assert_int_equal(n + 1, 20);
	ban_done(&b);
}

static void the_allowed_are_left_alone(void **state)
{
	struct ban_book b = {0};
	struct ip ip = at("10.1.2.3");

	assert_int_equal(ip_prefix_parse(BYTES("10.0.0.0/8"), &allowed), OK);
	set.allow_count = 1;
	assert_int_equal(guesses(&b, &ip, start), 100);
	assert_int_equal(b.records.count, 0);
	/* Also of a ban that was there before, and of the operator's. */
	set.allow_count = 0;
	guesses(&b, &ip, start);
	assert_non_null(ban_find(&b, &set, &ip, start));
	set.allow_count = 1;
	assert_null(ban_find(&b, &set, &ip, start));
	set.allow_count = 0;
	ban_done(&b);
}

static void the_operator_bans_and_lifts(void **state)
{
	struct ban_book b = {0};
	struct ip ip = at("192.0.2.77");
	struct ip_prefix p;
	char text[BAN_TEXT];

	assert_int_equal(ban_parse(BYTES("192.0.2.0/25"), &p), OK);
	ban_put(&b, &p, BAN_OPERATOR, start, start + HOUR, 0, BYTES("a reason"));
	ban_put(&b, &p, BAN_OPERATOR, start, start + HOUR, 0, BYTES("another reason"));
	assert_bytes(ban_find(&b, &set, &ip, start)->detail, BYTES("another reason"));
	ban_format(&p, text);
	assert_string_equal(text, "192.0.2.0/25");
	assert_true(ban_lift(&b, &p, start));
	assert_false(ban_lift(&b, &p, start));
	assert_null(ban_find(&b, &set, &ip, start));
	assert_int_equal(b.lengths[96 + 25], 0);
	assert_int_equal(ban_parse(BYTES("2001:db8:1:2:3::4"), &p), OK);
	ban_format(&p, text);
	assert_string_equal(text, "2001:db8:1:2::/64");
	assert_int_equal(ban_parse(BYTES("0.0.0.0/0"), &p), INVALID);
	assert_int_equal(ban_parse(BYTES("::/8"), &p), INVALID);
	assert_int_equal(ban_parse(BYTES("example.test"), &p), INVALID);
	ban_done(&b);
}

/* A flood of addresses takes bounded memory, and lets nobody out. */
static void memory_is_bounded(void **state)
{
	struct ban_book b = {0};
	struct ip banned = at("192.0.2.7"), office = at("198.51.100.7");

	set.most_ms = set.first_ms = 30 * DAY;
	guesses(&b, &banned, start);
	ban_good(&b, &office, start);
	for (unsigned i = 0; i < 3 * BAN_RECORDS_MAX; i++) {
		struct ip ip = {
		        {0x20, 1, 0xd, 0xb8, (uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i, 1}};

		offend(&b, &ip, BAN_UNKNOWN_USER, 1, start + i);
		assert_true(b.records.count <= BAN_RECORDS_MAX);
	}
	assert_non_null(ban_find(&b, &set, &banned, start + 3 * BAN_RECORDS_MAX));
	assert_true(ban_is_good(&b, &office, start + 3 * BAN_RECORDS_MAX));
	set.first_ms = 10 * MINUTE;
	set.most_ms = 7 * DAY;
	ban_done(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(guessing_is_banned),
	        cmocka_unit_test(a_forgotten_client_is_not),
	        cmocka_unit_test(an_office_after_a_change_is_not),
	        cmocka_unit_test(spraying_is_banned),
	        cmocka_unit_test(points_are_forgotten),
	        cmocka_unit_test(each_ban_is_longer),
	        cmocka_unit_test(a_network_follows_its_addresses),
	        cmocka_unit_test(never_the_network_of_our_own),
	        cmocka_unit_test(many_at_once_are_a_campaign),
	        cmocka_unit_test(slow_and_few_are_none),
	        cmocka_unit_test(mail_that_was_taken_speaks_for_it),
	        cmocka_unit_test(the_allowed_are_left_alone),
	        cmocka_unit_test(the_operator_bans_and_lifts),
	        cmocka_unit_test(memory_is_bounded),
	};
	return TEST_MAIN(tests);
}
