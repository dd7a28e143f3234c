/* Frames of run/admin.sock: whole at every split, and nonsense is told from "not all there yet". */
#include "../test.h"

#include "base/wire.h"
#include "roles/admin.h"

static void a_frame_is_whole_or_not_there(void **state)
{
	struct ask a = {.kind = ASK_ADMIN,
	                .number = 1,
	                .admin = {.verb = ADMIN_QUEUE_SHOW, .subject = BYTES("q1")}},
	           back;
	struct arena arena = {0};
	struct buf out = {0};
	enum admin_frame kind;
	struct bytes body;
	size_t len;

	(void)state;
	admin_frame_ask(&out, &a);
	for (size_t n = 0; n < buf_len(&out); n++)
		assert_int_equal(
		        admin_frame_take(bytes_first(buf_bytes(&out), n), &kind, &body, &len),
		        UNAVAILABLE);
	len = buf_len(&out);
	admin_frame_hello(&out); /* what follows belongs to the next */
	assert_int_equal(admin_frame_take(buf_bytes(&out), &kind, &body, &len), OK);
	assert_int_equal(kind, ADMIN_FRAME_ASK);
	assert_int_equal(ask_decode(body, &arena, &back), OK);
	assert_int_equal(back.admin.verb, ADMIN_QUEUE_SHOW);
	assert_bytes(back.admin.subject, BYTES("q1"));
	buf_consume(&out, len);
	assert_int_equal(admin_frame_take(buf_bytes(&out), &kind, &body, &len), OK);
	assert_int_equal(kind, ADMIN_FRAME_HELLO);
	assert_int_equal(len, buf_len(&out));
	arena_done(&arena);
	buf_done(&out);
}

static void a_reply_says_why(void **state)
{
	struct buf out = {0};
	enum admin_frame kind;
	struct bytes body;
	struct wire w;
	size_t len;

	(void)state;
	admin_frame_reply(&out, DENIED, BYTES("not you"));
	assert_int_equal(admin_frame_take(buf_bytes(&out), &kind, &body, &len), OK);
	assert_int_equal(kind, ADMIN_FRAME_REPLY);
	w = wire_of(body);
	assert_int_equal(wire_u8(&w), DENIED);
	assert_bytes(wire_block(&w), BYTES("not you"));
	buf_done(&out);
}

static void nonsense_is_invalid(void **state)
{
	static const struct bytes cases[] = {
	        {"\0\0\0\0", 4},         /* nothing in it */
	        {"\xff\xff\xff\xff", 4}, /* longer than any */
	        {"\0\0\0\1\x63", 5},     /* no such kind */
	};
	enum admin_frame kind;
	struct bytes body;
	size_t len;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		assert_int_equal(admin_frame_take(cases[i], &kind, &body, &len), INVALID);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(a_frame_is_whole_or_not_there),
	        cmocka_unit_test(a_reply_says_why),
	        cmocka_unit_test(nonsense_is_invalid),
	};

	return TEST_MAIN(tests);
}
