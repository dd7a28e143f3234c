/* The section `resolver`: what libunbound would not take is refused with its line, before any role sees it. */
#include "config_test.h"

#define TOP "hostname mx.example.test\n"

static void good_words_are_taken(void **state)
{
	struct config *c = parsed_conf(
	        TOP
	        "resolver {\n\tforward 192.0.2.1 2001:db8::1@5353\n"
	        "\tstub example.test=127.0.0.1@5300 .=192.0.2.53 2.0.192.in-addr.arpa=::1\n"
	        "\tanchor \"example.test. IN DS 12345 13 2 aabb\" \". DNSKEY 257 3 8 AwEA ag==\"\n"
	        "\tinsecure test. home.arpa\n\tdnssec off\n}\n");

	(void)state;
	assert_int_equal(c->resolver_forward.count, 2);
	assert_int_equal(c->resolver_stub.count, 3);
	assert_int_equal(c->resolver_anchor.count, 2);
	assert_int_equal(c->resolver_insecure.count, 2);
	assert_false(c->resolver_dnssec);
	config_free(&c);
}

static void bad_words_are_refused_with_their_line(void **state)
{
	static const char *const bad[] = {
	        "forward resolver.example.test",
	        "forward 192.0.2.1@0",
	        "forward 192.0.2.1@65536",
	        "stub 127.0.0.1",
	        "stub example.test=x",
	        "stub a..b=127.0.0.1",
	        "stub =127.0.0.1",
	        "anchor \"example.test\"",
	        "anchor example.test. DS 1",
	        "anchor \"a..b DS 1 2 3 ab\"",
	        "insecure a..b",
	        "insecure \"a b\"",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		char conf[256];

		snprintf(conf, sizeof(conf), TOP "resolver {\n\t%s\n}\n", bad[i]);
		refused_conf(conf, "hikyaku.conf:3: resolver: ");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(good_words_are_taken),
	        cmocka_unit_test(bad_words_are_refused_with_their_line),
	};

	return TEST_MAIN(tests);
}
