/* The set of facts: one a name and type, however it is written, and an end to how many there may be. */
#include "facts_test.h"

#include "base/limits.h"

static void test_one_fact_a_name_and_type(void **state)
{
	struct facts *f = facts_new();
	struct bytes name;
	uint16_t type;

	assert_null(facts_need(f, BYTES("A.Test"), T_A));
	assert_null(facts_need(f, BYTES("a.test."), T_A));
	assert_null(facts_need(f, BYTES("a.test"), T_AAAA));
	assert_true(facts_missing(f, &name, &type));
	assert_bytes(name, BYTES("a.test"));
	assert_int_equal(type, T_A);
	facts_asked(f, 1);
	assert_true(facts_missing(f, &name, &type));
	assert_int_equal(type, T_AAAA);
	facts_asked(f, 2);
	assert_false(facts_missing(f, &name, &type));
	fact_ip(f, "a.TEST", false, "", "192.0.2.1");
	assert_non_null(facts_need(f, BYTES("a.test"), T_A));
	assert_null(facts_need(f, BYTES("a.test"), T_AAAA));
	facts_free(&f);
}

static void test_names_that_are_none(void **state)
{
	struct facts *f = facts_new();
	char text[LIMIT_DOMAIN + 1];

	memset(text, 'a', sizeof(text));
	assert_int_equal(facts_need(f, bytes_of(text, sizeof(text)), T_A)->status, FACT_FAILED);
	assert_int_equal(facts_need(f, BYTES(""), T_A)->status, FACT_FAILED);
	assert_int_equal(facts_need(f, BYTES("."), T_A)->status, FACT_FAILED);
	assert_null(facts_need(f, bytes_of(text, LIMIT_DOMAIN), T_A));
	facts_free(&f);
}

/* Many facts are found again quickly, and there is an end of them. */
static void test_many(void **state)
{
	struct facts *f = facts_new();
	char text[40];

	for (unsigned i = 0; i < FACTS_MAX; i++) {
		snprintf(text, sizeof(text), "n%u.test", i);
		assert_null(facts_need(f, bytes_of_text(text), T_TXT));
	}
	assert_int_equal(facts_need(f, BYTES("one.more.test"), T_TXT)->status, FACT_FAILED);
	assert_true(facts_need(f, BYTES("one.more.test"), T_TXT)->reason.len > 0);
	fact_txt(f, "n7.test", "seven");
	assert_int_equal(facts_need(f, BYTES("N7.test"), T_TXT)->count, 1);
	facts_free(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_one_fact_a_name_and_type),
	        cmocka_unit_test(test_names_that_are_none),
	        cmocka_unit_test(test_many),
	};

	return TEST_MAIN(tests);
}
