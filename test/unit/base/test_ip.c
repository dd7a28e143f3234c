#include "../test.h"

#include "base/ip.h"

static struct ip ip_of(const char *text)
{
	struct ip ip;

	assert_int_equal(ip_parse(bytes_of_text(text), &ip), OK);
	return ip;
}

static bool inside(const char *prefix, const char *address)
{
	struct ip ip = ip_of(address);
	struct ip_prefix p;

	assert_int_equal(ip_prefix_parse(bytes_of_text(prefix), &p), OK);
	return ip_prefix_contains(&p, &ip);
}

static void text_form(void **state)
{
	static const char *const pairs[][2] = {{"192.0.2.1", "192.0.2.1"},
	                                       {"2001:DB8:0:0::1", "2001:db8::1"},
	                                       {"::ffff:192.0.2.1", "192.0.2.1"}};
	static const char *const bad[] = {"",      "192.0.2",          "192.0.2.256", "1.2.3.4.5",
	                                  "::1::", "2001:db8::1%eth0", "192.0.2.1 ",  "0x7f.1"};
	char out[IP_TEXT];
	struct ip ip;

	for (size_t i = 0; i < sizeof(pairs) / sizeof(*pairs); i++) {
		ip = ip_of(pairs[i][0]);
		ip_format(&ip, out);
		assert_string_equal(out, pairs[i][1]);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_int_equal(ip_parse(bytes_of_text(bad[i]), &ip), INVALID);
}

static void prefixes(void **state)
{
	struct ip_prefix p;

	assert_true(inside("10.0.0.0/8", "10.255.0.1"));
	assert_false(inside("10.0.0.0/8", "11.0.0.1"));
	assert_true(inside("192.0.2.128/25", "192.0.2.200"));
	assert_false(inside("192.0.2.128/25", "192.0.2.100"));
	assert_true(inside("0.0.0.0/0", "203.0.113.9"));
	assert_false(inside("0.0.0.0/0", "2001:db8::1"));
	assert_true(inside("2001:db8::/33", "2001:db8:7fff::1"));
	assert_false(inside("2001:db8::/33", "2001:db8:8000::1"));
	assert_true(inside("192.0.2.1", "192.0.2.1"));
	assert_int_equal(ip_prefix_parse(BYTES("10.0.0.1/8"), &p), INVALID);
	assert_int_equal(ip_prefix_parse(BYTES("10.0.0.0/33"), &p), INVALID);
	assert_int_equal(ip_prefix_parse(BYTES("2001:db8::/"), &p), INVALID);
}

static void networks_and_loopback(void **state)
{
	struct ip a = ip_of("2001:db8:1:2:3::4"), b = ip_of("2001:db8:1:2::"),
	          v4 = ip_of("127.9.9.9");
	struct ip network = ip_network(&a);

	assert_true(ip_equal(&network, &b));
	network = ip_network(&v4);
	assert_true(ip_equal(&network, &v4));
	assert_true(ip_is_loopback(&v4));
	b = ip_of("::1");
	assert_true(ip_is_loopback(&b));
	assert_false(ip_is_loopback(&a));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(text_form),
	        cmocka_unit_test(prefixes),
	        cmocka_unit_test(networks_and_loopback),
	};
	return TEST_MAIN(tests);
}
