#include "../test.h"

#include "proxy/proxy.h"

static void is_ip(const struct ip *ip, const char *text)
{
	char out[IP_TEXT];

	ip_format(ip, out);
	assert_string_equal(out, text);
}

static void test_v1(void **state)
{
	static const char line[] = "PROXY TCP4 192.0.2.7 198.51.100.1 56324 25\r\nEHLO x\r\n";
	struct proxy_header h;
	size_t head = strlen(line) - 8;

	for (size_t len = 0; len < head; len++)
		assert_int_equal(proxy_parse(bytes_of(line, len), &h), 0);
	assert_int_equal(proxy_parse(bytes_of(line, head), &h), head);
	assert_int_equal(proxy_parse(bytes_of_text(line), &h), head);
	assert_false(h.local);
	is_ip(&h.client_ip, "192.0.2.7");
	is_ip(&h.local_ip, "198.51.100.1");
	assert_int_equal(h.client_port, 56324);
	assert_int_equal(h.local_port, 25);
}

static void test_v1_others(void **state)
{
	struct proxy_header h;

	assert_true(proxy_parse(BYTES("PROXY TCP6 2001:db8::1 ::1 1 65535\r\n"), &h) > 0);
	is_ip(&h.client_ip, "2001:db8::1");
	assert_int_equal(h.local_port, 65535);
	assert_true(proxy_parse(BYTES("PROXY UNKNOWN\r\n"), &h) > 0);
	assert_true(h.local);
	assert_true(proxy_parse(BYTES("PROXY UNKNOWN ffff::1 whatever\r\n"), &h) > 0);
	assert_true(h.local);
}

static const char *const broken_v1[] = {
        "EHLO x\r\n",
        "proxy TCP4 192.0.2.7 198.51.100.1 1 2\r\n",
        "PROXY TCP5 192.0.2.7 198.51.100.1 1 2\r\n",
        "PROXY TCP4 192.0.2.7 198.51.100.1 1\r\n",
        "PROXY TCP4 192.0.2.7 198.51.100.1 1 2 3\r\n",
        "PROXY TCP4 192.0.2.7 198.51.100.1 1 65536\r\n",
        "PROXY TCP4 192.0.2.7 198.51.100.1 01 2\r\n",
        "PROXY TCP4 192.0.2.7 198.51.100.1 -1 2\r\n",
        "PROXY TCP4 192.0.2.7 198.51.100.1 1 2\n",
        "PROXY TCP4  192.0.2.7 198.51.100.1 1 2\r\n",
        "PROXY TCP4 192.0.2.007 198.51.100.1 1 2\r\n",
        "PROXY TCP4 2001:db8::1 198.51.100.1 1 2\r\n",
        "PROXY TCP6 192.0.2.7 ::1 1 2\r\n",
        "PROXY TCP6 ::ffff:192.0.2.7 ::1 1 2\r\n",
        "PROXY UNKNOWNX\r\n",
        "PROXY\r\n",
        "PROXY TCP4 "
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
};

static void test_v1_broken(void **state)
{
	struct proxy_header h;

	for (size_t i = 0; i < sizeof(broken_v1) / sizeof(broken_v1[0]); i++)
		if (proxy_parse(bytes_of_text(broken_v1[i]), &h) != PROXY_BROKEN)
			fail_msg("taken: %s", broken_v1[i]);
	/* The first wrong octet is enough. */
	assert_int_equal(proxy_parse(BYTES("E"), &h), PROXY_BROKEN);
	assert_int_equal(proxy_parse(BYTES("PROXX"), &h), PROXY_BROKEN);
}

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"

static void test_v2(void **state)
{
	struct bytes v4 = BYTES(SIGNATURE
	                        "\x21\x11\0\x0c\xc0\0\x02\x07\xc6\x33\x64\x01\xdc\x04\0\x19");
	struct bytes v6 = BYTES(SIGNATURE "\x21\x21\0\x24\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1"
	                                  "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\2\0\1\0\x19");
	struct bytes tlv = BYTES(SIGNATURE
	                         "\x21\x11\0\x10\xc0\0\x02\x07\xc6\x33\x64\x01\xdc\x04\0\x19"
	                         "\4\0\1xEHLO");
	struct bytes local = BYTES(SIGNATURE "\x20\0\0\0");
	struct proxy_header h;

	for (size_t len = 0; len < v4.len; len++)
		assert_int_equal(proxy_parse(bytes_first(v4, len), &h), 0);
	assert_int_equal(proxy_parse(v4, &h), v4.len);
	is_ip(&h.client_ip, "192.0.2.7");
	is_ip(&h.local_ip, "198.51.100.1");
	assert_int_equal(h.client_port, 56324);
	assert_int_equal(h.local_port, 25);
	assert_int_equal(proxy_parse(v6, &h), v6.len);
	is_ip(&h.client_ip, "2001:db8::1");
	assert_int_equal(h.client_port, 1);
	assert_int_equal(proxy_parse(tlv, &h), tlv.len - 4);
	assert_int_equal(proxy_parse(local, &h), local.len);
	assert_true(h.local);
}

static void test_v2_broken(void **state)
{
	struct proxy_header h;

	assert_int_equal(proxy_parse(BYTES("\r\n\r\n\0\r\nQUIX"), &h), PROXY_BROKEN);
	assert_int_equal(proxy_parse(BYTES(SIGNATURE "\x11"), &h), PROXY_BROKEN);
	assert_int_equal(proxy_parse(BYTES(SIGNATURE "\x22"), &h), PROXY_BROKEN);
	assert_int_equal(proxy_parse(BYTES(SIGNATURE "\x21\x12\0\0"), &h), PROXY_BROKEN);
	assert_int_equal(proxy_parse(BYTES(SIGNATURE "\x21\x11\0\2ab"), &h), PROXY_BROKEN);
	assert_int_equal(proxy_parse(BYTES(SIGNATURE "\x21\x11\xff\xff"), &h), PROXY_BROKEN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_v1),        cmocka_unit_test(test_v1_others),
	        cmocka_unit_test(test_v1_broken), cmocka_unit_test(test_v2),
	        cmocka_unit_test(test_v2_broken),
	};

	return TEST_MAIN(tests);
}
