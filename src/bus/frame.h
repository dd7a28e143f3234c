/* What crosses a channel, octet by octet; channel.c and direct.c alone use it. Numbers are big-endian.
 *
 *	hello    u8 0, u64 ask_table_hash, u32 role, u8 worker      the first message each way
 *	ask      u8 1 ...                                            ask_encode
 *	answer   u8 2 ...                                            answer_encode
 *	event    u8 3, u64 session, u32 events
 */
#ifndef BUS_FRAME_H
#define BUS_FRAME_H

#include "ask/ask.h"

enum frame_kind { FRAME_HELLO, FRAME_ASK, FRAME_ANSWER, FRAME_EVENT };

/* NULL: the hello is right; else what is wrong with it. */
const char *frame_check_hello(struct bytes in, unsigned peer, unsigned peer_worker);
void frame_hello(struct buf *out, unsigned self, unsigned self_worker);

/* NULL: this peer may ask this of us; else the rule it breaks. */
const char *frame_check_ask(const struct ask *a, unsigned self, unsigned peer,
                            unsigned peer_worker);

/* The answer, or one with TOO_BIG in its place when it is above LIMIT_MESSAGE. */
void frame_answer(struct buf *out, const struct answer *a);

#endif
