#include "bus/frame.h"

#include "base/limits.h"
#include "base/wire.h"

void frame_hello(struct buf *out, unsigned self, unsigned self_worker)
{
	buf_u8(out, FRAME_HELLO);
	buf_u64(out, ask_table_hash());
	buf_u32(out, self);
	buf_u8(out, (uint8_t)self_worker);
}

const char *frame_check_hello(struct bytes in, unsigned peer, unsigned peer_worker)
{
	struct wire w = wire_of(in);
	uint8_t kind = wire_u8(&w);
	uint64_t hash = wire_u64(&w);
	uint32_t role = wire_u32(&w);
	uint8_t worker = wire_u8(&w);

	if (w.bad || w.rest.len > 0 || kind != FRAME_HELLO)
		return "its first message was no hello";
	if (hash != ask_table_hash())
		return "its ask table is another one";
	if (role != peer || worker != peer_worker)
		return "it says that it is another role";
	return NULL;
}

static bool owns_session(uint64_t session, unsigned peer, unsigned peer_worker)
{
	return session == 0 || session_is_of(session, peer, peer_worker);
}

const char *frame_check_ask(const struct ask *a, unsigned self, unsigned peer, unsigned peer_worker)
{
	const struct ask_info *info = ask_info(a->kind);

	if (!(info->from & peer))
		return "it asked what its role may not ask";
	if (!(info->to & self))
		return "it asked what this role does not answer";
	if (!owns_session(a->session, peer, peer_worker))
		return "it asked in the name of another process's session";
	return NULL;
}

void frame_answer(struct buf *out, const struct answer *a)
{
	size_t before = buf_len(out);
	struct answer cut;

	answer_encode(a, out);
	if (buf_len(out) - before <= LIMIT_MESSAGE)
		return;
	buf_truncate(out, before);
	cut = (struct answer){
	        .kind = a->kind,
	        .number = a->number,
	        .session = a->session,
	        .result = TOO_BIG,
	        .why = BYTES("the answer does not fit into a message"),
	};
	answer_encode(&cut, out);
}
