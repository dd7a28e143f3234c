/* HELO: what it says about the client. */
#include "judging_test.h"

#include "policy/greeting.h"

static int points(const char *helo, const char *name)
{
	struct config *c = judging_config("");
	struct arena arena = {0};
	struct evidence e = {.points = 0};
	struct ip client;
	int got;

	assert_int_equal(ip_parse(BYTES("192.0.2.7"), &client), OK);
	got = greeting_evidence(bytes_of_text(helo), &client, bytes_of_text(name), c, &arena, &e)
	              ? e.points
	              : 0;
	assert_int_equal(e.wants, JUDGE_ACCEPT);
	config_free(&c);
	arena_done(&arena);
	return got;
}

static void ordinary_names_say_nothing(void **state)
{
	assert_int_equal(points("mail.remote.test", "mail.remote.test"), 0);
	assert_int_equal(points("mail.remote.test.", ""), 0);
	assert_int_equal(points("host_1.remote.test", ""), 0);
	assert_int_equal(points("[192.0.2.7]", ""), 0);
	assert_int_equal(points("mail.example.test", ""), 0);
}

static void bad_names(void **state)
{
	assert_int_equal(points("", ""), 60);
	assert_int_equal(points("localhost", ""), 60);
	assert_int_equal(points("friend", ""), 60);
	assert_int_equal(points("192.0.2.7", ""), 60);
	assert_int_equal(points("a b.test", ""), 60);
	assert_int_equal(points("[192.0.2.8]", ""), 100);
	assert_int_equal(points("[IPv6:2001:db8::1]", ""), 100);
}

static void our_own_name(void **state)
{
	assert_int_equal(points("mx.example.test", ""), 300);
	assert_int_equal(points("MX.Example.test", "other.test"), 300);
	assert_int_equal(points("example.test", ""), 300);
	/* it is another host of ours, and the DNS says so */
	assert_int_equal(points("example.test", "out.example.test"), 0);
	assert_int_equal(points("mx.example.test", "mx.example.test"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(ordinary_names_say_nothing),
	        cmocka_unit_test(bad_names),
	        cmocka_unit_test(our_own_name),
	};

	return TEST_MAIN(tests);
}
