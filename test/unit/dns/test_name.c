/* Names: text and wire agree, broken ones are refused, comparing is by RFC 4034. */
#include "../test.h"

#include "dns/dns.h"

static struct dns_name name(const char *text)
{
	struct dns_name n;

	assert_int_equal(dns_name_parse(bytes_of_text(text), &n), OK);
	return n;
}

static void assert_text(const struct dns_name *n, const char *text)
{
	char out[DNS_NAME_TEXT];

	dns_name_format(n, out);
	assert_string_equal(out, text);
}

static void text_and_wire_agree(void **state)
{
	struct dns_name n = name("MX1.Example.Test.");

	(void)state;
	assert_bytes(bytes_of(n.octets, n.len), BYTES("\3mx1\7example\4test\0"));
	assert_text(&n, "mx1.example.test");
	n = name(".");
	assert_int_equal(n.len, 1);
	assert_text(&n, ".");
	n = name("a\\.b.c\\032d.\\255x");
	assert_bytes(bytes_of(n.octets, n.len), BYTES("\3a.b\3c d\2\377x\0"));
	assert_text(&n, "a\\.b.c\\032d.\\255x");
	n = name("_25._tcp.mx");
	assert_int_equal(dns_name_labels(&n), 3);
}

static void broken_text_is_refused(void **state)
{
	static const char *const bad[] = {
	        "",    "..",    ".a",     "a..b",   "a b",   "a\tb", "\xc3\xa9.test",
	        "a\\", "a\\25", "a\\256", "a\\2x5", "a.\\\n"};
	struct dns_name n;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_int_equal(dns_name_parse(bytes_of_text(bad[i]), &n), INVALID);
}

static void sizes_are_the_rfcs(void **state)
{
	char text[300];
	struct dns_name n;
	size_t len = 0;

	(void)state;
	memset(text, 'a', sizeof(text));
	assert_int_equal(dns_name_parse(bytes_of(text, 63), &n), OK);
	assert_int_equal(dns_name_parse(bytes_of(text, 64), &n), TOO_BIG);
	/* 3 * 64 + 62 + 1 = 255 octets are the most. */
	for (len = 63; len < 253; len += 64)
		text[len] = '.';
	assert_int_equal(dns_name_parse(bytes_of(text, 253), &n), OK);
	assert_int_equal(n.len, 255);
	assert_int_equal(dns_name_parse(bytes_of(text, 254), &n), TOO_BIG);
	assert_int_equal(dns_name_prepend(&n, BYTES("x")), TOO_BIG);
}

static void broken_wire_is_refused(void **state)
{
	static const struct bytes bad[] = {
	        BYTES(""), BYTES("\3ab"), BYTES("\3abc"), BYTES("\300\14"), BYTES("\100a\0"),
	};
	struct dns_name n;
	char long_one[400];

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct wire w = wire_of(bad[i]);

		dns_name_take(&w, &n);
		assert_true(w.bad);
	}
	for (size_t i = 0; i < sizeof(long_one); i++)
		long_one[i] = i % 2 ? 'x' : 1;
	long_one[254] = 0;
	struct wire fits = wire_of(bytes_of(long_one, 255));
	dns_name_take(&fits, &n);
	assert_false(fits.bad);
	assert_int_equal(n.len, 255);
	long_one[254] = 1;
	long_one[256] = 0;
	struct wire longer = wire_of(bytes_of(long_one, 257));
	dns_name_take(&longer, &n);
	assert_true(longer.bad);
}

/* RFC 4034, 6.1's own example, in its order. */
static void order_is_canonical(void **state)
{
	static const char *const sorted[] = {
	        "example",         "a.example",      "yljkjljk.a.example",
	        "Z.a.example",     "zABC.a.EXAMPLE", "z.example",
	        "\\001.z.example", "*.z.example",    "\\200.z.example"};
	enum { COUNT = sizeof(sorted) / sizeof(*sorted) };

	(void)state;
	for (size_t i = 0; i < COUNT; i++)
		for (size_t j = 0; j < COUNT; j++) {
			struct dns_name a = name(sorted[i]), b = name(sorted[j]);
			int order = dns_name_compare(&a, &b);

			assert_int_equal((order > 0) - (order < 0), (i > j) - (i < j));
			assert_int_equal(dns_name_equal(&a, &b), i == j);
		}
}

static void above_and_below(void **state)
{
	struct dns_name n = name("a.b.example.test"), top = name("example.test"),
	                other = name("xample.test"), root = name(".");

	(void)state;
	assert_true(dns_name_below(&n, &top));
	assert_true(dns_name_below(&n, &root));
	assert_true(dns_name_below(&top, &top));
	assert_false(dns_name_below(&top, &n));
	assert_false(dns_name_below(&n, &other));
	dns_name_parent(&n);
	assert_text(&n, "b.example.test");
	assert_int_equal(dns_name_prepend(&n, BYTES("_443._tcp")), OK);
	assert_text(&n, "_443._tcp.b.example.test");
	dns_name_parent(&root);
	assert_int_equal(root.len, 1);
}

static void hosts(void **state)
{
	static const struct {
		const char *name;
		bool host;
	} rows[] = {
	        {"mx.example.test", true}, {"3com.example", true}, {"a-b.example", true},
	        {"-a.example", false},     {"a-.example", false},  {"_dmarc.example", false},
	        {"a\\.b.example", false},  {".", false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct dns_name n;

		if (dns_name_parse(bytes_of_text(rows[i].name), &n) == OK)
			assert_int_equal(dns_name_is_host(&n), rows[i].host);
	}
}

static void reverse_names(void **state)
{
	struct arena arena = {0};
	struct ip v4, v6;

	(void)state;
	assert_int_equal(ip_parse(BYTES("192.0.2.1"), &v4), OK);
	assert_int_equal(ip_parse(BYTES("2001:db8::567:89ab"), &v6), OK);
	assert_bytes(dns_reverse(&v4, (struct bytes){0}, &arena), BYTES("1.2.0.192.in-addr.arpa"));
	assert_bytes(dns_reverse(&v4, BYTES("dnsbl.test"), &arena), BYTES("1.2.0.192.dnsbl.test"));
	/* RFC 3596, 2.5 in kind */
	assert_bytes(
	        dns_reverse(&v6, (struct bytes){0}, &arena),
	        BYTES("b.a.9.8.7.6.5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa"));
	arena_done(&arena);
}

static void types(void **state)
{
	char out[DNS_TYPE_TEXT];
	uint16_t type;

	(void)state;
	assert_int_equal(dns_type_parse(BYTES("tlsa"), &type), OK);
	assert_int_equal(type, DNS_TLSA);
	assert_int_equal(dns_type_parse(BYTES("TYPE65280"), &type), OK);
	assert_int_equal(type, 65280);
	dns_type_format(type, out);
	assert_string_equal(out, "TYPE65280");
	assert_int_equal(dns_type_parse(BYTES("TYPE65536"), &type), INVALID);
	assert_int_equal(dns_type_parse(BYTES("0"), &type), INVALID);
	assert_int_equal(dns_type_parse(BYTES("NOSUCH"), &type), INVALID);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(text_and_wire_agree),
	        cmocka_unit_test(broken_text_is_refused),
	        cmocka_unit_test(sizes_are_the_rfcs),
	        cmocka_unit_test(broken_wire_is_refused),
	        cmocka_unit_test(order_is_canonical),
	        cmocka_unit_test(above_and_below),
	        cmocka_unit_test(hosts),
	        cmocka_unit_test(reverse_names),
	        cmocka_unit_test(types),
	};

	return TEST_MAIN(tests);
}
