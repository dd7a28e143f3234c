#include "roles/admin.h"

#include "base/wire.h"

static void put(struct buf *out, enum admin_frame kind, struct buf *body)
{
	buf_u32(out, (uint32_t)buf_len(body) + 1);
	buf_u8(out, (uint8_t)kind);
	buf_append(out, buf_bytes(body));
	buf_done(body);
}

void admin_frame_hello(struct buf *out)
{
	struct buf body = {0};

	buf_u64(&body, ask_table_hash());
	put(out, ADMIN_FRAME_HELLO, &body);
}

void admin_frame_ask(struct buf *out, const struct ask *a)
{
	struct buf body = {0};

	ask_encode(a, &body);
	put(out, ADMIN_FRAME_ASK, &body);
}

void admin_frame_answer(struct buf *out, const struct answer *a)
{
	struct buf body = {0};

	answer_encode(a, &body);
	put(out, ADMIN_FRAME_ANSWER, &body);
}

void admin_frame_request(struct buf *out, uint8_t verb)
{
	struct buf body = {0};

	buf_u8(&body, verb);
	put(out, ADMIN_FRAME_REQUEST, &body);
}

void admin_frame_reply(struct buf *out, enum result result, struct bytes text)
{
	struct buf body = {0};

	buf_u8(&body, (uint8_t)result);
	buf_block(&body, text);
	put(out, ADMIN_FRAME_REPLY, &body);
}

enum result admin_frame_take(struct bytes in, enum admin_frame *ret_kind, struct bytes *ret_body,
                             size_t *ret_len)
{
	struct wire w = wire_of(in);
	uint32_t len = wire_u32(&w);

	if (w.bad)
		return UNAVAILABLE;
	if (len == 0 || len > ADMIN_FRAME_MAX)
		return INVALID;
	if (w.rest.len < len)
		return UNAVAILABLE;
	*ret_body = wire_take(&w, len);
	if ((unsigned char)ret_body->ptr[0] > ADMIN_FRAME_REPLY)
		return INVALID;
	*ret_kind = (enum admin_frame)ret_body->ptr[0];
	*ret_body = bytes_skip(*ret_body, 1);
	*ret_len = len + 4;
	return OK;
}
