/* `alarm` sections: what is accepted, what is said of what is not, and that the octets for the roles say the same. */
#include "config_test.h"

#define ALARMS                                                                      \
	"alarm ops {\n webhook https://hook.example.test/in?a=b\n language ja\n}\n" \
	"alarm port {\n webhook https://192.0.2.7:8443\n}\n"                        \
	"alarm post {\n mail Ken@Example.test\n}\nalarm pager {\n collect\n}\n"

static void check(const struct config *c)
{
	const struct config_alarm *a = config_alarm_named(c, BYTES("ops"));

	assert_int_equal(c->alarm_count, 4);
	assert_int_equal(a->way, CONFIG_ALARM_WEBHOOK);
	assert_bytes(a->target, BYTES("https://hook.example.test/in?a=b"));
	assert_bytes(a->host, BYTES("hook.example.test"));
	assert_int_equal(a->port, 0);
	assert_true(a->japanese);
	a = config_alarm_named(c, BYTES("port"));
	assert_bytes(a->host, BYTES("192.0.2.7"));
	assert_int_equal(a->port, 8443);
	assert_false(a->japanese);
	assert_bytes(config_alarm_named(c, BYTES("post"))->target, BYTES("Ken@example.test"));
	assert_int_equal(config_alarm_named(c, BYTES("pager"))->way, CONFIG_ALARM_COLLECT);
	assert_null(config_alarm_named(c, BYTES("op")));
}

static void alarms_are_the_same_before_and_after_the_wire(void **state)
{
	struct config *c = parsed_conf(BASE_CONF ALARMS), *d = NULL;
	struct buf b = {0};
	struct why why;

	check(c);
	config_encode(c, &b);
	assert_int_equal(config_decode(buf_bytes(&b), &d, &why), OK);
	check(d);
	for (size_t len = 0; len < buf_len(&b); len++) {
		struct config *cut = NULL;

		assert_int_not_equal(config_decode(bytes_first(buf_bytes(&b), len), &cut, &why),
		                     OK);
	}
	buf_done(&b);
	config_free(&c);
	config_free(&d);
}

static void what_is_wrong_is_said(void **state)
{
	static const struct {
		const char *text, *why;
	} cases[] = {
	        {"alarm {\n collect\n}\n", "one name"},
	        {"alarm ../x {\n collect\n}\n", "one name"},
	        {"alarm .x {\n collect\n}\n", "one name"},
	        {"alarm a {\n}\n", "takes one of"},
	        {"alarm a {\n collect\n mail a@b.test\n}\n", "takes one of"},
	        {"alarm a {\n webhook http://x.test/\n}\n", "https://"},
	        {"alarm a {\n webhook https://\n}\n", "https://"},
	        {"alarm a {\n webhook https://u:p@x.test/\n}\n", "https://"},
	        {"alarm a {\n webhook https://x.test:0/\n}\n", "https://"},
	        {"alarm a {\n webhook https://x.test:70000/\n}\n", "https://"},
	        {"alarm a {\n webhook \"https://x.test/ y\"\n}\n", "https://"},
	        {"alarm a {\n mail ken\n}\n", "one address"},
	        {"alarm a {\n collect\n language fr\n}\n", "en or ja"},
	        {"alarm a {\n collect\n kind x\n}\n", "unknown key"},
	        {"alarm a {\n collect\n}\nalarm a {\n collect\n}\n", "already"},
	        {"alarm a {\n collect\n", "}"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char text[400];
		struct config_source source = {BYTES("hikyaku.conf"), {0}};
		struct config *c = NULL;
		struct why why = {0};

		snprintf(text, sizeof(text), "%s%s", BASE_CONF, cases[i].text);
		source.text = bytes_of_text(text);
		assert_int_equal(config_parse(&source, 1, &c, &why), INVALID);
		assert_non_null(strstr(why.text, cases[i].why));
		assert_non_null(strstr(why.text, "hikyaku.conf:"));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(alarms_are_the_same_before_and_after_the_wire),
	        cmocka_unit_test(what_is_wrong_is_said),
	};

	return TEST_MAIN(tests);
}
