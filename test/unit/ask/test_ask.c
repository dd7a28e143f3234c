#include "../test.h"

#include "ask/ask.h"

static void an_ask_comes_back(void **state)
{
	struct ask a = {.kind = ASK_COMMIT,
	                .number = 7,
	                .session = 0x0102030405060708,
	                .commit = {.spool = 3,
	                           .sender = BYTES("a@b"),
	                           .recipients = BYTES("\0\xff"),
	                           .body = 5}};
	struct arena arena = {0};
	struct buf b = {0};
	struct ask got;

	ask_encode(&a, &b);
	assert_int_equal(ask_decode(buf_bytes(&b), &arena, &got), OK);
	assert_int_equal(got.kind, ASK_COMMIT);
	assert_int_equal(got.number, 7);
	assert_true(got.session == a.session);
	assert_int_equal(got.commit.spool, 3);
	assert_bytes(got.commit.sender, BYTES("a@b"));
	assert_bytes(got.commit.recipients, BYTES("\0\xff"));
	assert_int_equal(got.commit.body, 5);
	assert_int_equal(got.commit.envid.len, 0);
	buf_done(&b);
	arena_done(&arena);
}

static void an_answer_has_fields_only_when_ok(void **state)
{
	struct answer a = {.kind = ASK_STATUS,
	                   .number = 9,
	                   .result = NOT_FOUND,
	                   .why = BYTES("no such mailbox"),
	                   .status = {.uidnext = 5}};
	struct arena arena = {0};
	struct buf b = {0};
	struct answer got;

	answer_encode(&a, &b);
	assert_int_equal(answer_decode(buf_bytes(&b), &arena, &got), OK);
	assert_int_equal(got.result, NOT_FOUND);
	assert_bytes(got.why, BYTES("no such mailbox"));
	assert_int_equal(got.status.uidnext, 0);
	buf_clear(&b);
	a.result = OK;
	answer_encode(&a, &b);
	assert_int_equal(answer_decode(buf_bytes(&b), &arena, &got), OK);
	assert_int_equal(got.status.uidnext, 5);
	buf_done(&b);
	arena_done(&arena);
}

/* Every kind: each cut is refused, and so is anything left over. */
static void cut_or_padded_is_refused(void **state)
{
	struct arena arena = {0};
	struct buf b = {0};
	struct answer answer;
	struct ask got;

	for (int kind = ASK_NONE + 1; kind < ASK_COUNT; kind++) {
		struct ask a = {.kind = (enum ask_kind)kind};
		struct answer ok = answer_to(&a, OK, BYTES(""));

		buf_clear(&b);
		ask_encode(&a, &b);
		for (size_t len = 0; len < buf_len(&b); len++)
			assert_int_equal(ask_decode(bytes_first(buf_bytes(&b), len), &arena, &got),
			                 INVALID);
		assert_int_equal(ask_decode(buf_bytes(&b), &arena, &got), OK);
		assert_int_equal(answer_decode(buf_bytes(&b), &arena, &answer), INVALID);
		buf_append_char(&b, 0);
		assert_int_equal(ask_decode(buf_bytes(&b), &arena, &got), INVALID);
		buf_clear(&b);
		answer_encode(&ok, &b);
		for (size_t len = 0; len < buf_len(&b); len++)
			assert_int_equal(
			        answer_decode(bytes_first(buf_bytes(&b), len), &arena, &answer),
			        INVALID);
	}
	buf_done(&b);
	arena_done(&arena);
}

/* DESIGN: asks go downward only (fronts, sorter, keeper, store), and never to oneself. */
static void the_table_has_no_circles(void **state)
{
	static const unsigned floors[] = {HOST, STORE, KEEPER, SORTER, MX | ACCESS | WEB};

	for (int kind = ASK_NONE + 1; kind < ASK_COUNT; kind++) {
		const struct ask_info *info = ask_info((enum ask_kind)kind);
		size_t lowest_asker = 9, highest_answerer = 0;

		for (size_t floor = 0; floor < sizeof(floors) / sizeof(*floors); floor++) {
			if (info->to & floors[floor])
				highest_answerer = floor;
			if (lowest_asker == 9 && info->from & floors[floor])
				lowest_asker = floor;
		}
		assert_true(info->from == ENGINE ? info->to == HOST
		                                 : lowest_asker > highest_answerer);
	}
}

static void the_hash_is_that_of_a_table(void **state)
{
	assert_true(ask_table_hash() != 0);
	assert_true(ask_table_hash() == ask_table_hash());
	assert_string_equal(ask_info(ASK_ROUTE)->name, "ROUTE");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(an_ask_comes_back),
	        cmocka_unit_test(an_answer_has_fields_only_when_ok),
	        cmocka_unit_test(cut_or_padded_is_refused),
	        cmocka_unit_test(the_table_has_no_circles),
	        cmocka_unit_test(the_hash_is_that_of_a_table),
	};
	return TEST_MAIN(tests);
}
