/* Tokens, also Japanese ones, and what the counts make of them. */
#include "../test.h"

#include "base/wire.h"
#include "mail/charset.h"
#include "policy/bayes.h"
#include "policy/tokens.h"

static bool has(const struct tokens *t, const char *word)
{
	uint64_t want = token_of(TOKEN_BODY, bytes_of_text(word));

	for (size_t i = 0; i < t->count; i++) {
		if (t->list[i] == want)
			return true;
	}
	return false;
}

static struct tokens tokens_in(const char *text)
{
	struct tokens t = {0};
	struct buf folded = {0};

	charset_fold(bytes_of_text(text), &folded);
	tokens_text(&t, TOKEN_BODY, buf_bytes(&folded));
	buf_done(&folded);
	return t;
}

static void latin_words(void **state)
{
	struct tokens t = tokens_in("Hello, HELLO world-wide a 2024 1234567 x2 "
	                            "abcdefghijklmnopqrstuvwxyzabc caf\303\251");

	assert_true(has(&t, "hello"));
	assert_true(has(&t, "world"));
	assert_true(has(&t, "wide"));
	assert_true(has(&t, "2024"));
	assert_true(has(&t, "#7"));
	assert_true(has(&t, "x2"));
	assert_true(has(&t, "caf\303\251"));
	assert_false(has(&t, "a"));
	assert_int_equal(t.count, 7);
}

static void japanese_pairs(void **state)
{
	struct tokens t = tokens_in("東京都で会議を行います。ﾒｰﾙ");

	assert_true(has(&t, "東京"));
	assert_true(has(&t, "京都"));
	assert_true(has(&t, "会議"));
	assert_true(has(&t, "都で"));
	assert_true(has(&t, "メール"));
	assert_true(has(&t, "メー"));
	assert_false(has(&t, "いま"));
	assert_false(has(&t, "ます"));
	assert_false(has(&t, "すメ"));
}

static void kinds_differ_and_each_stands_once(void **state)
{
	struct tokens t = {0};

	tokens_text(&t, TOKEN_BODY, BYTES("word word word"));
	tokens_text(&t, TOKEN_SUBJECT, BYTES("word"));
	assert_int_equal(t.count, 2);
	assert_true(token_of(TOKEN_BODY, BYTES("w")) <= INT64_MAX);
	/* counts are kept by it: a new hash would forget all that was learnt */
	assert_int_equal(token_of(TOKEN_BODY, BYTES("word")), t.list[0]);
}

static void bounded_and_safe(void **state)
{
	struct tokens t = {0};
	struct buf text = {0};

	for (int i = 0; i < 5000; i++)
		buf_printf(&text, "word%d ", i);
	tokens_text(&t, TOKEN_BODY, buf_bytes(&text));
	assert_int_equal(t.count, TOKENS_MAX);
	tokens_one(&t, TOKEN_HOST, BYTES("more"));
	assert_int_equal(t.count, TOKENS_MAX);
	memset(&t, 0, sizeof(t));
	tokens_text(&t, TOKEN_BODY, BYTES("\377\200ok\343\201 \360\237"));
	assert_true(has(&t, "ok"));
	buf_done(&text);
}

static struct bayes judge(const uint32_t (*counts)[2], size_t count, uint32_t bad, uint32_t good)
{
	struct buf packed = {0};
	struct bayes b;

	for (size_t i = 0; i < count; i++) {
		buf_u32(&packed, counts[i][0]);
		buf_u32(&packed, counts[i][1]);
	}
	b = bayes_of(buf_bytes(&packed), bad, good);
	buf_done(&packed);
	return b;
}

static void counts_decide(void **state)
{
	static const uint32_t junk[][2] = {{40, 0},  {30, 1}, {25, 0}, {50, 2},
	                                   {10, 10}, {20, 1}, {33, 0}};
	static const uint32_t other[][2] = {{0, 40},  {1, 30}, {0, 25}, {2, 50},
	                                    {10, 10}, {0, 9},  {1, 20}};
	static const uint32_t both[][2] = {{40, 0}, {0, 40}, {30, 1}, {1, 30}};
	static const uint32_t none[][2] = {{0, 0}, {0, 0}};

	assert_true(judge(junk, 7, 100, 100).junk > 0.99);
	assert_true(judge(other, 7, 100, 100).junk < 0.01);
	assert_true(judge(both, 4, 100, 100).junk > 0.4);
	assert_true(judge(both, 4, 100, 100).junk < 0.6);
	assert_true(judge(none, 2, 100, 100).junk == 0.5);
	assert_int_equal(judge(none, 2, 100, 100).used, 0);
	assert_false(judge(junk, 7, 100, 9).trained);
	assert_false(judge(junk, 7, 9, 100).trained);
}

/* As many junk mails as others, or a hundred times as many: what counts is the share of each. */
static void totals_are_weighed(void **state)
{
	static const uint32_t often[][2] = {{50, 5}, {60, 6}, {40, 4}, {30, 3}, {55, 6}};

	assert_true(judge(often, 5, 1000, 10).junk < 0.05);
	assert_true(judge(often, 5, 100, 100).junk > 0.95);
}

static void little_learnt_weighs_little(void **state)
{
	static const uint32_t junk[][2] = {{10, 0}, {10, 0}, {10, 0}, {10, 0},
	                                   {10, 0}, {10, 0}, {9, 0},  {9, 0}};
	struct arena arena = {0};
	struct bayes few = judge(junk, 8, 10, 10), many = judge(junk, 8, 40, 40);
	struct evidence a, b;

	bayes_evidence(&few, &arena, &a);
	bayes_evidence(&many, &arena, &b);
	assert_true(a.points > 0 && b.points > 3 * a.points);
	assert_int_equal(b.says, EVIDENCE_BAD);
	assert_true(b.points < 500); /* words alone junk nothing */
	arena_done(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(latin_words),
	        cmocka_unit_test(japanese_pairs),
	        cmocka_unit_test(kinds_differ_and_each_stands_once),
	        cmocka_unit_test(bounded_and_safe),
	        cmocka_unit_test(counts_decide),
	        cmocka_unit_test(totals_are_weighed),
	        cmocka_unit_test(little_learnt_weighs_little),
	};

	return TEST_MAIN(tests);
}
