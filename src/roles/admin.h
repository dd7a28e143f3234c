/* What the command line and web say to each other over run/admin.sock: frames, one request at a time.
 *
 *	frame    u32 length of what follows, u8 kind, then
 *	HELLO    u64 ask_table_hash                     web's first frame; DENIED is said by a REPLY instead
 *	ASK      ask_encode of ADMIN, PASSWORD, DKIM_KEYS or RESOLVE; number and session are web's business
 *	ANSWER   answer_encode
 *	REQUEST  u8 enum role_master_verb               status, reload
 *	REPLY    u8 result, block text
 *
 * SO_PEERCRED decides who may talk: root and the owner of DIR. */
#ifndef ROLES_ADMIN_H
#define ROLES_ADMIN_H

#include "ask/ask.h"
#include "base/limits.h"

enum admin_frame {
	ADMIN_FRAME_HELLO,
	ADMIN_FRAME_ASK,
	ADMIN_FRAME_ANSWER,
	ADMIN_FRAME_REQUEST,
	ADMIN_FRAME_REPLY
};
enum { ADMIN_FRAME_MAX = LIMIT_MESSAGE + 64 };

void admin_frame_hello(struct buf *out);
void admin_frame_ask(struct buf *out, const struct ask *a);
void admin_frame_answer(struct buf *out, const struct answer *a);
void admin_frame_request(struct buf *out, uint8_t verb);
void admin_frame_reply(struct buf *out, enum result result, struct bytes text);

/* Takes the first whole frame of in. *ret_body borrows from in, *ret_len is what to consume. UNAVAILABLE: not all there yet;
 * INVALID: nonsense. */
enum result admin_frame_take(struct bytes in, enum admin_frame *ret_kind, struct bytes *ret_body,
                             size_t *ret_len) MUST_USE;

#endif
