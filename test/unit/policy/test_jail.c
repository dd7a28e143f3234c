/* Filters: every one of ours proves itself; what others write is read, or refused with the place; hostile lines cost
 * bounded time. */
#include "../test.h"

#include "policy/jail.h"

struct text {
	const char *name, *text;
};

static bool give(void *context, struct bytes name, struct bytes *ret)
{
	for (const struct text *t = context; t->name; t++) {
		if (bytes_equal(bytes_of_text(t->name), name)) {
			*ret = bytes_of_text(t->text);
			return true;
		}
	}
	return jail_builtin(NULL, name, ret);
}

static struct jail *make(const char *text, struct why *why)
{
	struct text files[] = {{"x", text}, {NULL, NULL}};
	struct jail *j = NULL;

	if (jail_new(BYTES("x"), (struct bytes){0}, give, files, &j, why) != OK)
		return NULL;
	return j;
}

static void says(struct jail *j, const char *line, const char *want)
{
	struct jail_verdict v;

	jail_judge(j, bytes_of_text(line), &v);
	assert_bytes(v.match ? v.host : BYTES("-"), bytes_of_text(want));
}

static void ours_prove_themselves(void **state)
{
	struct bytes name;
	size_t n = 0;

	for (; (name = jail_builtin_name(n)).len; n++) {
		struct jail *j;
		struct why why = {""};

		if (jail_new(name, (struct bytes){0}, jail_builtin, NULL, &j, &why) != OK ||
		    jail_prove(j, &why) != OK)
			fail_msg("%s", why.text);
		jail_free(&j);
	}
	assert_int_equal(n, 17);
}

static void values_lead_to_values(void **state)
{
	struct why why = {""};
	struct jail *j = make("[INCLUDES]\n"
	                      "before = common.conf\n"
	                      "[DEFAULT]\n"
	                      "word = fail\n"
	                      "[Definition]\n"
	                      "# a remark = none\n"
	                      "mode = loud\n"
	                      "said-loud = %(word)sED\n"
	                      "said-quiet = %(word)sed\n"
	                      "failregex = ^<said-<mode>> 100%% of <HOST>$\n"
	                      "            ^OTHER <ADDR>$\n"
	                      "ignoreregex = 192\\.0\\.2\\.9\n",
	                      &why);

	assert_string_equal(why.text, "");
	says(j, "failED 100% of 192.0.2.1", "192.0.2.1");
	says(j, "failED 100% of 192.0.2.9", "-");
	says(j, "OTHER 192.0.2.1", "192.0.2.1");
	says(j, "OTHER mx.example.test", "-");
	jail_free(&j);
	j = make("[Definition]\nfailregex = ^%(a)s <HOST>$\na = <b>\nb = bad\nignoreregex = 9$\n",
	         &why);
	says(j, "bad 192.0.2.1", "192.0.2.1");
	says(j, "bad mx.example.test", "mx.example.test");
	says(j, "bad ::ffff:192.0.2.1", "192.0.2.1");
	says(j, "bad [2001:db8::7]", "2001:db8::7");
	says(j, "bad 192.0.2.9", "-");
	says(j, "bad 12345", "-");
	jail_free(&j);
}

static void what_is_wrong_is_said(void **state)
{
	static const struct {
		const char *text, *want;
	} wrong[] = {
	        {"[Definition]\nfailregex = ^a(b <HOST>\n", "failregex 1, character"},
	        {"[Definition]\nfailregex = ^a <HOST>$\n\t^(?<x>a)[ <HOST>\n",
	         "failregex 2, character"},
	        {"[Definition]\nfailregex = ^%(nothing)s <HOST>\n",
	         "%(nothing)s: there is no such value"},
	        {"[Definition]\nfailregex = <a>\na = x<b>\nb = y<a>\n", ""},
	        {"[Definition]\n", "it has no failregex"},
	        {"[Definition]\nprefregex = ^x\nfailregex = ^<HOST>\n", "<F-CONTENT> is missing"},
	        {"[Definition]\nfailregex = ^a<SKIPLINES>b <HOST>\n", "<SKIPLINES>"},
	        {"[INCLUDES]\nbefore = nowhere.conf\n[Definition]\nfailregex = <HOST>\n",
	         "nowhere"},
	        {"[INCLUDES]\nbefore = x.conf\n[Definition]\nfailregex = <HOST>\n", "too deeply"},
	};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		struct why why = {""};
		struct jail *j = make(wrong[i].text, &why);

		if (j || !strstr(why.text, wrong[i].want))
			fail_msg("%zu: wanted \"%s\", got \"%s\"", i, wrong[i].want, why.text);
	}
}

static void a_mode_that_is_not_there(void **state)
{
	struct jail *j = NULL;
	struct why why = {""};

	assert_int_equal(jail_new(BYTES("sshd"), BYTES("bogus"), jail_builtin, NULL, &j, &why),
	                 INVALID);
	assert_non_null(strstr(why.text, "it has no mode bogus"));
	assert_int_equal(jail_new(BYTES("sshd"), BYTES("normal"), jail_builtin, NULL, &j, &why),
	                 OK);
	says(j, "Jan  2 03:04:05 mx sshd[1]: Did not receive identification string from 192.0.2.1",
	     "-");
	says(j, "Jan  2 03:04:05 mx sshd[1]: Invalid user eve from 192.0.2.1", "192.0.2.1");
	jail_free(&j);
	/* A filter without modes takes any. */
	assert_int_equal(jail_new(BYTES("qmail"), BYTES("normal"), jail_builtin, NULL, &j, &why),
	                 OK);
	jail_free(&j);
}

static void samples_are_required_and_run(void **state)
{
	struct why why = {""};
	struct jail *j = make("[Definition]\nfailregex = ^bad <HOST>$\n", &why);

	assert_int_equal(jail_prove(j, &why), INVALID);
	assert_non_null(strstr(why.text, "has no samples"));
	jail_free(&j);
	j = make("[Definition]\nfailregex = ^bad <HOST>$\n\t^worse <HOST>$\n"
	         "[Samples]\nhit = 192.0.2.1 bad 192.0.2.1\n",
	         &why);
	assert_int_equal(jail_prove(j, &why), INVALID);
	assert_non_null(strstr(why.text, "no sample matches rule 2: ^worse"));
	jail_free(&j);
	j = make("[Definition]\nfailregex = ^bad <HOST>\n"
	         "[Samples]\nhit = 192.0.2.1 bad 192.0.2.1\n\t- bad 192.0.2.2 no\n",
	         &why);
	assert_int_equal(jail_prove(j, &why), INVALID);
	assert_non_null(strstr(why.text, "a sample wants - and gets 192.0.2.2"));
	jail_free(&j);
	j = make("[Definition]\nfailregex = ^bad <HOST>$\n"
	         "[Samples]\nhit = 192.0.2.1 bad 192.0.2.1\n\t- good 192.0.2.2\n",
	         &why);
	assert_int_equal(jail_prove(j, &why), OK);
	jail_free(&j);
}

static void dates_are_known(void **state)
{
	static const char *const dates[] = {
	        "Jan  2 03:04:05 ",           "Jan 2 03:04:05 ",
	        "2026-01-02 03:04:05,678 ",   "2026-01-02T03:04:05.678901+09:00 ",
	        "2026/01/02 03:04:05 ",       "02-Jan-2026 03:04:05.678 ",
	        "@400000004c91b044077a9e94 ", "Jan 02 03:04:05 2026 ",
	        "2026-01-02 03:04:05 +0900 ", ""};
	struct why why = {""};
	struct jail *j = make("[Definition]\nfailregex = ^bad <HOST>$\n", &why);

	for (size_t i = 0; i < sizeof(dates) / sizeof(*dates); i++) {
		char line[100];

		snprintf(line, sizeof(line), "%sbad 192.0.2.1", dates[i]);
		says(j, line, "192.0.2.1");
	}
	says(j, "Jan 99 bad 192.0.2.1", "-");
	jail_free(&j);
	j = make("[Definition]\nfailregex = ^\\[\\] \\[client <HOST>\\]$\n", &why);
	says(j, "[Thu Dec 09 15:20:27.583 2021] [client 192.0.2.1]", "192.0.2.1");
	jail_free(&j);
}

/* Steps are limited: a rule that would take for ever does not match, and it shows. */
static void a_slow_rule_stops(void **state)
{
	const struct jail_rule_count *rules;
	struct why why = {""};
	struct jail *j = make("[Definition]\nfailregex = ^(a+)+b <HOST>$\n\t^a+ <HOST>$\n", &why);
	char line[4000];

	memset(line, 'a', sizeof(line));
	snprintf(line + sizeof(line) - 20, 20, " 192.0.2.1");
	says(j, line, "192.0.2.1");
	assert_int_equal(jail_rules(j, &rules), 2);
	assert_int_equal(rules[0].limited, 1);
	assert_int_equal(rules[0].matched, 0);
	assert_int_equal(rules[1].matched, 1);
	jail_free(&j);
}

/* A failure without an address waits for the line that has it; a connection is not another's. */
static void lines_of_one_connection(void **state)
{
	struct why why = {""};
	struct jail *j = make("[Definition]\n"
	                      "prefregex = ^<F-MLFID>\\d+</F-MLFID> <F-CONTENT>.+</F-CONTENT>$\n"
	                      "failregex = ^<F-NOFAIL>from</F-NOFAIL> <HOST>$\n"
	                      "\t^no such user <F-USER>\\S+</F-USER>$\n"
	                      "\t^<F-MLFGAINED>welcome</F-MLFGAINED> <F-USER>\\S+</F-USER>$\n"
	                      "\t^<F-MLFFORGET><F-NOFAIL>bye</F-NOFAIL></F-MLFFORGET> <HOST>$\n",
	                      &why);

	says(j, "1 from 192.0.2.1", "-");
	says(j, "2 no such user eve", "-");
	says(j, "1 no such user eve", "192.0.2.1");
	says(j, "2 bye 192.0.2.2", "192.0.2.2");
	says(j, "2 bye 192.0.2.2", "-");
	says(j, "1 welcome ken", "192.0.2.1"); /* as another than before */
	says(j, "3 from 192.0.2.3", "-");
	says(j, "3 welcome ken", "-");
	for (int i = 10; i < 10 + 3 * JAIL_CONNECTIONS; i++) {
		char line[60];

		snprintf(line, sizeof(line), "%d from 192.0.2.77", i);
		says(j, line, "-");
	}
	says(j, "3 no such user eve", "-"); /* long forgotten */
	jail_free(&j);
}

static void failures_are_seen_without_a_rule(void **state)
{
	struct jail_verdict v;
	struct why why = {""};
	struct jail *j = make("[Definition]\nfailregex = ^nothing <HOST>$\n", &why);

	jail_judge(j, BYTES("Jan  2 03:04:05 mx foo: authentication FAILURE from 192.0.2.1"), &v);
	assert_true(v.suspicious && !v.match);
	jail_judge(j, BYTES("Jan  2 03:04:05 mx foo: authentication failure from 2001:db8::1"), &v);
	assert_true(v.suspicious);
	jail_judge(j, BYTES("Jan  2 03:04:05 mx foo: authentication failure"), &v);
	assert_false(v.suspicious);
	jail_judge(j, BYTES("Jan  2 03:04:05 mx foo: welcome 192.0.2.1"), &v);
	assert_false(v.suspicious);
	jail_free(&j);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(ours_prove_themselves),
	        cmocka_unit_test(values_lead_to_values),
	        cmocka_unit_test(what_is_wrong_is_said),
	        cmocka_unit_test(a_mode_that_is_not_there),
	        cmocka_unit_test(samples_are_required_and_run),
	        cmocka_unit_test(dates_are_known),
	        cmocka_unit_test(a_slow_rule_stops),
	        cmocka_unit_test(lines_of_one_connection),
	        cmocka_unit_test(failures_are_seen_without_a_rule),
	};
	return TEST_MAIN(tests);
}
