/* `route` and `source` sections: what is accepted, what is said of what is not, which one is chosen, and that the octets
 * for the roles say the same. */
#include "config_test.h"

#define ROUTES                                                                          \
	"route relay {\n to example.org .example.org\n host relay.example.net\n}\n"     \
	"route lab {\n from lab.test ken@example.test\n host 127.0.0.9\n user ken\n}\n" \
	"route spare {\n host [192.0.2.5]\n tls implicit\n user u\n}\n"                 \
	"carry {\n fallback-route spare\n}\n"                                           \
	"source a {\n domain example.test\n address 192.0.2.1 2001:db8::1\n helo "      \
	"out.example.test\n}\n"                                                         \
	"source rest {\n address 192.0.2.2\n}\n"

static void check(const struct config *c)
{
	const struct config_smarthost *h = config_smarthost_for(c, BYTES("x@y.test"),
	                                                        BYTES("a.example.org"));
	const struct config_origin *o = config_origin_for(c, BYTES("ken@example.test"));
	struct ip ip;

	assert_bytes(h->name, BYTES("relay"));
	assert_int_equal(h->port, 25);
	assert_int_equal(h->tls, CONFIG_SMARTHOST_MAY);
	assert_bytes(config_smarthost_for(c, BYTES(""), BYTES("example.org"))->name,
	             BYTES("relay"));
	assert_null(config_smarthost_for(c, BYTES(""), BYTES("notexample.org")));
	h = config_smarthost_for(c, BYTES("Ken@example.test"), BYTES("b.test"));
	assert_bytes(h->name, BYTES("lab"));
	assert_int_equal(h->port, 587);
	assert_bytes(config_smarthost_for(c, BYTES("m@lab.test"), BYTES("b.test"))->name,
	             BYTES("lab"));
	assert_null(config_smarthost_for(c, BYTES("mari@example.test"), BYTES("b.test")));
	h = config_smarthost_named(c, BYTES("spare"));
	assert_true(h->fallback);
	assert_int_equal(h->port, 465);
	assert_bytes(h->host, BYTES("192.0.2.5"));
	assert_bytes(o->helo, BYTES("out.example.test"));
	assert_int_equal(ip_parse(BYTES("2001:db8::1"), &ip), OK);
	assert_true(ip_equal(&ip, &o->ip6));
	assert_bytes(config_origin_for(c, BYTES(""))->name, BYTES("rest"));
	assert_int_equal(config_origin_for(c, BYTES(""))->helo.len, 0);
}

static void routes_are_found_before_and_after_the_wire(void **state)
{
	struct config *c = parsed_conf(BASE_CONF ROUTES), *d = NULL;
	struct buf b = {0};
	struct why why;

	check(c);
	config_encode(c, &b);
	assert_int_equal(config_decode(buf_bytes(&b), &d, &why), OK);
	check(d);
	buf_done(&b);
	config_free(&c);
	config_free(&d);
}

static void mistakes_are_named(void **state)
{
	refused_conf(BASE_CONF "route a {\n}\n", "hikyaku.conf:4: this route lacks its host");
	refused_conf(BASE_CONF "route {\n host a.test\n}\n", "a route has one name");
	refused_conf(BASE_CONF "route ../a {\n host a.test\n}\n", "a route has one name");
	refused_conf(BASE_CONF "route a {\n host a.test\n}\nroute a {\n host b.test\n}\n",
	             "already");
	refused_conf(BASE_CONF "route a {\n host a.test\n tls may\n user u\n}\n", "in the clear");
	refused_conf(BASE_CONF "route a {\n hsot a.test\n}\n", "unknown key \"hsot\" in a route");
	refused_conf(BASE_CONF "route a {\n host a.test\n port 0\n}\n", "1 to 65535");
	refused_conf(BASE_CONF "route a {\n host a.test\n tls always\n}\n", "may, must, implicit");
	refused_conf(BASE_CONF "route a {\n to \"a b\"\n}\n", "is no domain");
	refused_conf(BASE_CONF "route a {\n host a.test\n", "no } at its end");
	refused_conf(BASE_CONF "carry {\n fallback-route x\n}\n", "there is no section `route x");
	refused_conf(BASE_CONF "source a {\n address 192.0.2.1 192.0.2.2\n}\n",
	             "one address of each");
	refused_conf(BASE_CONF "source a {\n address here\n}\n", "is no address");
	refused_conf(BASE_CONF "source a {\n helo [192.0.2.1]\n}\n", "one host name");
	refused_conf(BASE_CONF "rote a {\n}\n", "the nearest known is \"route\"");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(routes_are_found_before_and_after_the_wire),
	        cmocka_unit_test(mistakes_are_named),
	};

	return TEST_MAIN(tests);
}
