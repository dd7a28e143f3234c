/* Users of this machine: names by uid out of passwd(5), their senders, and who may send as whom. */
#include "config_test.h"

static const char passwd[] = "root:x:0:0:root:/root:/bin/sh\n"
                             "toor:x:0:0::/root:/bin/sh\n"
                             "www-data:x:33:33::/:/bin/false\n"
                             "bad name:x:40:40::/:/bin/sh\n"
                             "1234:x:41:41::/:/bin/sh\n"
                             "x<y>:x:42:42::/:/bin/sh\n"
                             "nobody:x:65534:65534::/:/bin/sh\n"
                             "minus:x:-1:1::/:/bin/sh\n"
                             "huge:x:4294967295:1::/:/bin/sh\n"
                             "short:x\n"
                             "\n"
                             "last:x:1000:1000::/:";

static struct config *with_users(const char *conf)
{
	struct config *c = parsed_conf(conf);

	config_users_set(c, bytes_of_text(passwd));
	return c;
}

static void check_names(const struct config *c)
{
	assert_bytes(config_user_name(c, 0), BYTES("root")); /* the first of a uid */
	assert_bytes(config_user_name(c, 33), BYTES("www-data"));
	assert_bytes(config_user_name(c, 65534), BYTES("nobody"));
	assert_bytes(config_user_name(c, 1000), BYTES("last"));
	for (uint32_t uid = 40; uid <= 42; uid++) /* no names for an address */
		assert_bytes(config_user_name(c, uid), BYTES(""));
	assert_bytes(config_user_name(c, 1), BYTES(""));
	assert_bytes(config_user_name(c, UINT32_MAX), BYTES(""));
	assert_int_equal(c->user_count, 4);
}

static void test_names(void **state)
{
	struct config *c = with_users("hostname mx.example.test\n"), *back;
	struct buf encoded = {0};

	check_names(c);
	config_encode(c, &encoded);
	assert_int_equal(config_decode(buf_bytes(&encoded), &back, NULL), OK);
	check_names(back);
	config_free(&back);
	config_free(&c);
	buf_done(&encoded);
}

static void test_sender(void **state)
{
	struct config *c = with_users(
	        "hostname MX.example.test\ndomain example.test\n"
	        "sendmail {\nsender www-data=Web@example.test 77=seven@example.test\n}\n");
	struct arena arena = {0};

	assert_bytes(config_user_sender(c, 0, &arena), BYTES("root@mx.example.test"));
	assert_bytes(config_user_sender(c, 33, &arena), BYTES("web@example.test"));
	assert_bytes(config_user_sender(c, 77, &arena), BYTES("seven@example.test"));
	assert_bytes(config_user_sender(c, 78, &arena), BYTES("uid78@mx.example.test"));
	arena_done(&arena);
	config_free(&c);
}

static bool may(const char *senders, uint32_t uid, const char *address)
{
	char conf[256];
	struct config *c;
	bool answer;

	snprintf(conf, sizeof(conf),
	         "hostname mx.example.test\ndomain example.test\n"
	         "sendmail {\nsender www-data=web@other.test\nsenders %s\n}\n",
	         senders);
	c = with_users(conf);
	answer = config_user_may_send(c, uid, bytes_of_text(address));
	config_free(&c);
	return answer;
}

/* A wrong answer here is either a mail that a program cannot send, or one user who sends as another. */
static void test_may_send(void **state)
{
	static const char *const modes[] = {"own", "ours", "any"};

	for (size_t i = 0; i < 3; i++) {
		assert_true(may(modes[i], 0, ""));
		assert_true(may(modes[i], 0, "root@mx.example.test"));
		assert_true(may(modes[i], 33, "web@other.test"));
		assert_true(may(modes[i], 33, "www-data@mx.example.test"));
		assert_true(may(modes[i], 78, "uid78@mx.example.test"));
		assert_int_equal(may(modes[i], 33, "root@mx.example.test"), i > 0);
		assert_int_equal(may(modes[i], 33, "ken@example.test"), i > 0);
		assert_int_equal(may(modes[i], 0, "web@other.test"), i > 1);
		assert_int_equal(may(modes[i], 0, "ken@example.test.evil.test"), i > 1);
		assert_int_equal(may(modes[i], 0, "root"), i > 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_names),
	        cmocka_unit_test(test_sender),
	        cmocka_unit_test(test_may_send),
	};

	return TEST_MAIN(tests);
}
