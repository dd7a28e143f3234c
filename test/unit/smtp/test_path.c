#include "../test.h"

#include "smtp/path.h"

struct path {
	const char *in;
	enum result result;
	const char *address, *params;
};

static const struct path paths[] = {
        {"TO:<a@b>", OK, "a@b", ""},
        {"to: <a@b> X=1", OK, "a@b", " X=1"},
        {"TO:\t<>", OK, "", ""},
        {"TO:a@b X=1", OK, "a@b", " X=1"},
        {"TO:<@c,@d:a@b>", OK, "a@b", ""},
        {"TO:<\"a>b\"@c>", OK, "\"a>b\"@c", ""},
        {"TO:<\"a\\\">b\"@c> Y", OK, "\"a\\\">b\"@c", " Y"},
        {"TO:<a@b>X", INVALID, NULL, NULL},
        {"TO:<a@b", INVALID, NULL, NULL},
        {"TO:<\"a@b>", INVALID, NULL, NULL},
        {"TO:", NOT_FOUND, NULL, NULL},
        {"TO: ", NOT_FOUND, NULL, NULL},
        {"T:<a@b>", NOT_FOUND, NULL, NULL},
        {"", NOT_FOUND, NULL, NULL},
};

static void test_paths(void **state)
{
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		struct bytes address, params;
		enum result r = smtp_path_cut(bytes_of_text(paths[i].in), BYTES("TO:"), &address,
		                              &params);

		assert_int_equal(r, paths[i].result);
		if (r != OK)
			continue;
		assert_bytes(address, bytes_of_text(paths[i].address));
		assert_bytes(params, bytes_of_text(paths[i].params));
	}
}

static void test_params(void **state)
{
	struct bytes rest = BYTES("  SIZE=10 SMTPUTF8  X-a=b "), name, value;
	bool valued;

	assert_true(smtp_param_next(&rest, &name, &value, &valued));
	assert_bytes(name, BYTES("SIZE"));
	assert_bytes(value, BYTES("10"));
	assert_true(smtp_param_next(&rest, &name, &value, &valued));
	assert_bytes(name, BYTES("SMTPUTF8"));
	assert_false(valued);
	assert_true(smtp_param_next(&rest, &name, &value, &valued));
	assert_bytes(name, BYTES("X-a"));
	assert_false(smtp_param_next(&rest, &name, &value, &valued));
	assert_int_equal(rest.len, 0);
}

static void test_params_broken(void **state)
{
	static const char *const broken[] = {" =1",   " A=",    " A=b=c", " <x>",
	                                     " -a=1", " A\x01", " A=\x7f"};

	for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
		struct bytes rest = bytes_of_text(broken[i]), name, value;
		bool valued;

		assert_false(smtp_param_next(&rest, &name, &value, &valued));
		assert_true(rest.len > 0);
	}
}

static void test_xtext(void **state)
{
	struct arena arena = {0};
	struct bytes out;

	assert_int_equal(smtp_xtext_decode(BYTES("a+2Bb+3D"), &arena, &out), OK);
	assert_bytes(out, BYTES("a+b="));
	assert_int_equal(smtp_xtext_decode(BYTES("a+2"), &arena, &out), INVALID);
	assert_int_equal(smtp_xtext_decode(BYTES("a+2b"), &arena, &out), INVALID);
	assert_int_equal(smtp_xtext_decode(BYTES("+"), &arena, &out), INVALID);
	arena_done(&arena);
}

static void test_notify(void **state)
{
	assert_int_equal(smtp_notify_parse(BYTES("never")), 1);
	assert_int_equal(smtp_notify_parse(BYTES("SUCCESS,FAILURE,DELAY")), 14);
	assert_int_equal(smtp_notify_parse(BYTES("FAILURE")), 4);
	assert_int_equal(smtp_notify_parse(BYTES("NEVER,FAILURE")), 0);
	assert_int_equal(smtp_notify_parse(BYTES("FAILURE,,DELAY")), 0);
	assert_int_equal(smtp_notify_parse(BYTES("")), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_paths),         cmocka_unit_test(test_params),
	        cmocka_unit_test(test_params_broken), cmocka_unit_test(test_xtext),
	        cmocka_unit_test(test_notify),
	};

	return TEST_MAIN(tests);
}
