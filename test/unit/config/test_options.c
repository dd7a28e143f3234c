#include "config_test.h"

static void test_defaults(void **state)
{
	struct config *c = parsed_conf("hostname mx.example.test\n");

	assert_int_equal(c->domains.count, 0);
	assert_int_equal(c->smtp_message_max, 50 * 1048576);
	assert_int_equal(c->smtp_recipients_max, 1000);
	assert_int_equal(c->smtp_command_timeout_ms, 300000);
	assert_int_equal(c->login_plaintext, CONFIG_PLAINTEXT_LOOPBACK);
	assert_int_equal(c->sandbox, CONFIG_SANDBOX_AUTO);
	assert_true(c->login_cram_md5);
	assert_false(c->dot_programs);
	assert_int_equal(c->listen.count, 2);
	assert_int_equal(c->listener_count, CONFIG_PROTOCOL_COUNT);
	assert_int_equal(c->listeners[0].port, 25);
	assert_int_equal(c->listeners[CONFIG_POP3S].port, 995);
	assert_int_equal(c->listeners[0].addresses.count, 2);
	assert_int_equal(c->address_separator.len, 1);
	config_free(&c);
	assert_null(c);
	config_free(&c);
}

static void test_values(void **state)
{
	struct config *c = parsed_conf("# ours\n"
	                               "hostname MX.Example.Test   # trailing\r\n"
	                               "domain example.test, \"other.test\" EXAMPLE.test\n"
	                               "domain b\xc3\xbc"
	                               "cher.test\n"
	                               "ports 10000\n"
	                               "listen 127.0.0.1\n"
	                               "sandbox require\n"
	                               "postmaster Ken\n"
	                               "smtp { message-size 25m\n recipients 200 }\n"
	                               "smtp {\n\tcommand-timeout 90s\n}\n"
	                               "login { plaintext never\n cram-md5 off }\n");

	assert_true(bytes_equal(c->hostname, BYTES("mx.example.test")));
	assert_int_equal(c->domains.count, 3);
	assert_true(bytes_equal(c->domains.items[2], BYTES("xn--bcher-kva.test")));
	assert_true(config_domain_is_ours(c, BYTES("other.test")));
	assert_false(config_domain_is_ours(c, BYTES("test")));
	assert_true(bytes_equal(c->postmaster, BYTES("ken@example.test")));
	assert_int_equal(c->smtp_message_max, 25 * 1048576);
	assert_int_equal(c->smtp_recipients_max, 200);
	assert_int_equal(c->smtp_command_timeout_ms, 90000);
	assert_int_equal(c->login_plaintext, CONFIG_PLAINTEXT_NEVER);
	assert_false(c->login_cram_md5);
	assert_int_equal(c->listen.count, 1);
	assert_int_equal(c->listeners[CONFIG_IMAP].port, 10143);
	config_free(&c);
}

static void test_listeners(void **state)
{
	struct config *c = parsed_conf("hostname a.test\nports 10000\n"
	                               "listener front { protocol smtp\n address 192.0.2.1 ::1\n"
	                               " port 2525\n proxy-from 10.0.0.0/8 2001:db8::/32 }\n"
	                               "listener { protocol imaps }\n");
	struct ip inside, outside;

	assert_int_equal(ip_parse(BYTES("10.1.2.3"), &inside), OK);
	assert_int_equal(ip_parse(BYTES("11.1.2.3"), &outside), OK);
	assert_int_equal(c->listener_count, 2);
	assert_int_equal(c->listeners[0].port, 2525);
	assert_int_equal(c->listeners[0].addresses.count, 2);
	assert_int_equal(c->listeners[0].proxy_from.count, 2);
	assert_true(ip_prefix_contains(&c->listeners[0].proxy_from.items[0], &inside));
	assert_false(ip_prefix_contains(&c->listeners[0].proxy_from.items[0], &outside));
	assert_int_equal(c->listeners[1].port, 10993);
	assert_true(config_protocol_is_tls(c->listeners[1].protocol));
	assert_string_equal(config_protocol_name(c->listeners[1].protocol), "imaps");
	config_free(&c);
}

struct refusal {
	const char *conf, *reason;
};

static const struct refusal refusals[] = {
        {"domain example.test\n", "hostname is missing"},
        {"hostname a b\n", "hikyaku.conf:1: hostname takes one value, not 2"},
        {"hostname\n", "takes one value"},
        {"\n\nhostname -a-\n", "hikyaku.conf:3: hostname: \"-a-\" is no host name"},
        {"hostname a.test\nhostname b.test\n", "hikyaku.conf:2: hostname is set in line 1 already"},
        {"hostname a.test\nhostnme x\n", "the nearest known is \"hostname\""},
        {"hostname a.test\nsmtp { mesage-size 1m }\n",
         "hikyaku.conf:2: unknown key \"mesage-size\" in smtp; the nearest known is "
         "\"message-size\""},
        {"hostname a.test\nsmtp\n", "\"smtp\" is a section"},
        {"hostname a.test\nsmpt { }\n", "the nearest known is \"smtp\""},
        {"hostname a.test\nsmtp { message-size 1 }\n",
         "takes a size from 64k to 2147483647, also with k, m or g, not \"1\""},
        {"hostname a.test\nsmtp { message-size 5x }\n", "not \"5x\""},
        {"hostname a.test\nsmtp { message-size 99999999999999999999g }\n", "takes a size"},
        {"hostname a.test\nsmtp { message-size 99999999999999999g }\n", "takes a size"},
        {"hostname a.test\nsmtp { command-timeout 5 }\n", "with ms, s, m, h or d"},
        {"hostname a.test\nsmtp { recipients 99 }\n", "from 100 to 10000"},
        {"hostname a.test\nsmtp { recipients -1 }\n", "takes a number"},
        {"hostname a.test\nsandbox maybe\n", "takes one of auto|require"},
        {"hostname a.test\nlogin { apop maybe }\n", "takes on or off"},
        {"hostname a.test\nlisten nowhere\n", "is no IP address"},
        {"hostname a.test\nlisten\n", "at least 1"},
        {"hostname a.test\nsmtp {\n", "hikyaku.conf:2: section smtp has no } at its end"},
        {"hostname a.test\nsmtp { smtp { } }\n", "has no } at its end"},
        {"hostname a.test\n}\n", "hikyaku.conf:2: } without a section"},
        {"hostname a.test\n{\n", "{ without the name"},
        {"hostname \"a.test\n", "hikyaku.conf:1: a quoted string has no end"},
        {"hostname a.test\nlistener x { port 25 }\n", "lacks its protocol"},
        {"hostname a.test\nlistener x { protocol smtp\nport 0 }\n", "hikyaku.conf:3: port takes"},
        {"hostname a.test\nlistener x { protocol smtp\nprot 0 }\n", "accepted: protocol, address"},
        {"hostname a.test\nlistener x { protocol smtp\nproxy-from 10.0.0.1/8 }\n", "is no network"},
        {"hostname a.test\ndomain a..b\n", "hikyaku.conf:2: domain: \"a..b\""},
        {"hostname a.test\ntls { certificate mx }\n", "there is no etc/tls/mx.pem"},
        {"hostname a.test\npostmaster ken\n", "no `domain` is configured"},
        {"hostname a.test\naddress { separator @ }\n", "separator takes one of"},
        {"hostname a.test\nqueue { retry-first 3h }\n", "retry-first is longer"},
        {"hostname a.test\n\xff\n", "hikyaku.conf:2: this is no UTF-8 text"},
        {"hostname a\x01.test\n", "hikyaku.conf:1: this is no UTF-8 text"},
};

static void test_refusals(void **state)
{
	for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++)
		refused_conf(refusals[i].conf, refusals[i].reason);
	refused(NULL, 0, "there is no such file");
}

/* The listing shows every option's default as a person would write it, and the parser takes it back. */
static void test_listing(void **state)
{
	struct config *c = parsed_conf("hostname mx.example.test\n");

	for (size_t i = 0; i < config_option_count(); i++) {
		const struct config_option_info *info = config_option_info(i);
		struct buf text = {0}, conf = {0};
		struct config *again;

		config_option_value(c, i, &text);
		if (strcmp(info->key, "hostname") != 0)
			assert_true(bytes_equal(buf_bytes(&text), bytes_of_text(info->value)));
		if (buf_len(&text) > 0 && strcmp(info->key, "hostname") != 0) {
			buf_printf(&conf, "hostname a.test\n%s%s%s %.*s\n%s%c", info->section,
			           info->section[0] ? " {\n" : "", info->key,
			           BYTES_ARG(buf_bytes(&text)), info->section[0] ? "}\n" : "", 0);
			again = parsed_conf(conf.ptr + conf.start);
			config_free(&again);
		}
		assert_true(strlen(info->help) > 10);
		buf_done(&text);
		buf_done(&conf);
	}
	config_free(&c);
}

static void test_certificates(void **state)
{
	struct config_source s[] = {source("tls/z.pem", "Z"), source("tls/a.pem", "A"),
	                            source("hikyaku.conf", "hostname a.test\n"),
	                            source("tls/.b.pem", "B"), source("tls/m.pem", "M")};
	struct config *c = parsed(s, 5);

	assert_int_equal(c->certificate_count, 3);
	assert_true(bytes_equal(c->certificates[0].name, BYTES("a")));
	assert_true(bytes_equal(c->certificates[1].pem, BYTES("M")));
	config_free(&c);
	s[2] = source("hikyaku.conf", "hostname a.test\ntls { certificate z a }\n");
	c = parsed(s, 5);
	assert_int_equal(c->certificate_count, 2);
	assert_true(bytes_equal(c->certificates[0].pem, BYTES("Z")));
	config_free(&c);
}

static void test_wanted(void **state)
{
	assert_true(config_source_wanted(BYTES("hikyaku.conf")));
	assert_true(config_source_wanted(BYTES("virtual")));
	assert_true(config_source_wanted(BYTES("dot/ken@example.test/default")));
	assert_true(config_source_wanted(BYTES("tls/mx.pem")));
	assert_false(config_source_wanted(BYTES("virtual~")));
	assert_false(config_source_wanted(BYTES(".history/virtual")));
	assert_false(config_source_wanted(BYTES("dot/ken@example.test/.default.swp")));
	assert_false(config_source_wanted(BYTES("dot/ken@example.test/a/b")));
	assert_false(config_source_wanted(BYTES("dot/x")));
	assert_false(config_source_wanted(BYTES("notes")));
}

static void test_encode(void **state)
{
	struct config_source s[] = {
	        source("hikyaku.conf",
	               BASE_CONF "smtp { message-size 1m }\nlisten ::1\n"
	                         "listener x { protocol pop3\nproxy-from 10.0.0.0/8 }\n"),
	        source("virtual", "ken@example.test a@example.test b@far.test\n"),
	        source("dot/a@example.test/default", "./Work\n&c@far.test\n"),
	        source("tls/mx.pem", "PEM")};
	struct config *c = parsed(s, 4), *back = NULL;
	struct buf one = {0}, two = {0};

	config_encode(c, &one);
	assert_int_equal(config_decode(buf_bytes(&one), &back, NULL), OK);
	config_encode(back, &two);
	assert_true(bytes_equal(buf_bytes(&one), buf_bytes(&two)));
	assert_true(config_domain_is_ours(back, BYTES("third.test")));
	config_free(&back);
	for (size_t len = 0; len < buf_len(&one); len++)
		assert_int_equal(config_decode(bytes_first(buf_bytes(&one), len), &back, NULL),
		                 INVALID);
	buf_u8(&one, 0);
	assert_int_equal(config_decode(buf_bytes(&one), &back, NULL), INVALID);
	assert_null(back);
	config_free(&c);
	buf_done(&one);
	buf_done(&two);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_defaults),  cmocka_unit_test(test_values),
	        cmocka_unit_test(test_listeners), cmocka_unit_test(test_refusals),
	        cmocka_unit_test(test_listing),   cmocka_unit_test(test_certificates),
	        cmocka_unit_test(test_wanted),    cmocka_unit_test(test_encode),
	};

	return TEST_MAIN(tests);
}
