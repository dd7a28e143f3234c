/* The sum, the thresholds, and whom nothing but the operator's own filter may refuse. */
#include "judging_test.h"

#define BAD(name, p, w)                                                              \
	{                                                                            \
		.check = BYTES(name), .says = EVIDENCE_BAD, .points = p, .wants = w, \
		.text = BYTES("text")                                                \
	}
#define KNOWN                                                                    \
	{                                                                        \
		.check = BYTES("history"), .says = EVIDENCE_GOOD, .points = -600 \
	}

static const struct verdict_threshold usual = {500, 1200};

struct rig {
	struct arena arena;
	struct verdict v;
};

static struct rig made(const struct evidence *list, size_t count, const struct verdict_threshold *t,
                       size_t recipients)
{
	struct rig r = {0};

	verdict_make(list, count, t, recipients, &r.arena, &r.v);
	return r;
}

static void expect(const struct evidence *list, size_t count, enum judge_action action)
{
	struct rig r = made(list, count, &usual, 1);

	if (r.v.action != action)
		fail_msg("want %s, got %s: %.*s", judge_action_name(action),
		         judge_action_name(r.v.action), BYTES_ARG(r.v.why));
	arena_done(&r.arena);
}

#define EXPECT(action, ...)                                         \
	do {                                                        \
		const struct evidence list[] = {__VA_ARGS__};       \
		expect(list, sizeof(list) / sizeof(*list), action); \
	} while (0)

static void sums(void **state)
{
	expect(NULL, 0, JUDGE_ACCEPT);
	EXPECT(JUDGE_ACCEPT, BAD("a", 499, JUDGE_ACCEPT));
	EXPECT(JUDGE_JUNK, BAD("a", 300, JUDGE_ACCEPT), BAD("b", 200, JUDGE_ACCEPT));
	EXPECT(JUDGE_REFUSE, BAD("a", 600, JUDGE_ACCEPT), BAD("b", 600, JUDGE_ACCEPT));
	EXPECT(JUDGE_JUNK, BAD("a", 600, JUDGE_ACCEPT), BAD("b", 599, JUDGE_ACCEPT));
}

static void what_a_check_wants(void **state)
{
	EXPECT(JUDGE_REFUSE, BAD("dmarc", 100, JUDGE_REFUSE));
	EXPECT(JUDGE_JUNK, BAD("scam", 100, JUDGE_JUNK));
	EXPECT(JUDGE_DEFER, BAD("x", 600, JUDGE_DEFER));
	/* one that doubts itself never refuses */
	EXPECT(JUDGE_DEFER,
	       {.check = BYTES("list.x"), .says = EVIDENCE_DOUBT, .wants = JUDGE_REFUSE});
}

static void whom_we_know(void **state)
{
	EXPECT(JUDGE_JUNK, KNOWN, BAD("list.x", 600, JUDGE_REFUSE));
	EXPECT(JUDGE_JUNK, KNOWN, BAD("list.x", 9000, JUDGE_ACCEPT));
	EXPECT(JUDGE_ACCEPT, KNOWN, BAD("list.x", 900, JUDGE_ACCEPT));
	EXPECT(JUDGE_REFUSE, KNOWN, BAD("milter.clamav", 0, JUDGE_REFUSE));
	/* a name that anybody can write is no proof */
	EXPECT(JUDGE_REFUSE, {.check = BYTES("history"), .says = EVIDENCE_NEUTRAL},
	       BAD("list.x", 600, JUDGE_REFUSE));
}

static void the_mildest_recipient_decides(void **state)
{
	static const struct verdict_threshold t[] = {{500, 1200}, {500, 0}, {0, 0}, {300, 600}};
	const struct evidence list[] = {BAD("a", 1300, JUDGE_ACCEPT)};
	struct rig r = made(list, 1, t, 4);

	assert_int_equal(r.v.action, JUDGE_ACCEPT);
	assert_true(r.v.junk);
	assert_int_equal(verdict_action(&r.v, &t[0]), JUDGE_REFUSE);
	assert_int_equal(verdict_action(&r.v, &t[1]), JUDGE_JUNK);
	assert_int_equal(verdict_action(&r.v, &t[2]), JUDGE_ACCEPT);
	arena_done(&r.arena);
	r = made(list, 1, t, 2);
	assert_int_equal(r.v.action, JUDGE_JUNK);
	assert_false(r.v.junk);
	arena_done(&r.arena);
}

static void thresholds_come_from_the_configuration(void **state)
{
	struct config *c = judging_config(
	        "judge { junk 4 }\njudge-for mie { for mie@example.test\n refuse 20 }\n");
	struct verdict_threshold ken = verdict_threshold_of(c, BYTES("ken@example.test"));
	struct verdict_threshold mie = verdict_threshold_of(c, BYTES("mie@example.test"));

	assert_int_equal(ken.junk, 400);
	assert_int_equal(ken.refuse, 1200);
	assert_int_equal(mie.refuse, 2000);
	config_free(&c);
}

static void words(void **state)
{
	const struct evidence list[] = {
	        BAD("iprev", 60, JUDGE_ACCEPT),
	        {.check = BYTES("spf"), .says = EVIDENCE_NEUTRAL},
	        {.check = BYTES("list.dbl"),
	         .says = EVIDENCE_BAD,
	         .points = 700,
	         .text = BYTES("listed\r\nX-Forged: y")},
	        {.check = BYTES("history"), .says = EVIDENCE_NEUTRAL, .points = -60},
	};
	struct rig r = made(list, 4, &usual, 1);

	assert_bytes(r.v.why, BYTES("7.00 of 5.00: list.dbl 7.00 (listed  X-Forged: y), iprev 0.60 "
	                            "(text), history -0.60"));
	assert_bytes(r.v.reason, BYTES("list.dbl: listed  X-Forged: y"));
	arena_done(&r.arena);
}

static void long_evidence_is_cut(void **state)
{
	struct evidence list[EVIDENCE_MAX];
	struct buf text = {0};
	struct rig r;

	for (int i = 0; i < 400; i++)
		buf_append_text(&text, "\343\201\202");
	for (size_t i = 0; i < EVIDENCE_MAX; i++)
		list[i] = (struct evidence){.check = BYTES("x"),
		                            .says = EVIDENCE_BAD,
		                            .points = 10,
		                            .text = buf_bytes(&text)};
	r = made(list, EVIDENCE_MAX, &usual, 1);
	assert_true(r.v.why.len <= VERDICT_WHY && r.v.why.len > 300);
	assert_true(r.v.reason.len <= VERDICT_REASON);
	arena_done(&r.arena);
	buf_done(&text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(sums),
	        cmocka_unit_test(what_a_check_wants),
	        cmocka_unit_test(whom_we_know),
	        cmocka_unit_test(the_mildest_recipient_decides),
	        cmocka_unit_test(thresholds_come_from_the_configuration),
	        cmocka_unit_test(words),
	        cmocka_unit_test(long_evidence_is_cut),
	};

	return TEST_MAIN(tests);
}
