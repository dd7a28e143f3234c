/* A channel without a loop: the synchronous SIGN channel between a front and keeper. */
#include "base/limits.h"
#include "base/memory.h"
#include "bus/channel.h"
#include "bus/frame.h"
#include "sys/clock.h"
#include "sys/socket.h"

/* Waits and reads one message, whatever it is. */
static enum result receive(int fd, int timeout_ms, struct arena *arena, struct bytes *ret)
{
	char *room = arena_get(arena, LIMIT_MESSAGE);
	size_t len = 0;
	enum result r = socket_wait(fd, false, timeout_ms);

	if (r == OK)
		r = socket_receive(fd, room, LIMIT_MESSAGE, &len);
	if (r == OK)
		*ret = bytes_of(room, len);
	return r;
}

static int left_ms(uint64_t until_us)
{
	uint64_t now = clock_monotonic_us();

	return now >= until_us ? 0 : (int)((until_us - now) / 1000) + 1;
}

static enum result send_ask(int fd, const struct ask *a)
{
	struct buf out = {0};
	enum result r;

	ask_encode(a, &out);
	r = buf_len(&out) > LIMIT_MESSAGE ? TOO_BIG : socket_send(fd, buf_bytes(&out));
	buf_done(&out);
	return r;
}

enum result channel_ask_wait(int fd, const struct ask *a, int timeout_ms, struct arena *arena,
                             struct answer *ret)
{
	uint64_t until = clock_monotonic_us() + (uint64_t)timeout_ms * 1000;
	struct answer answer;
	struct bytes in;
	enum result r = fd < 0 ? UNAVAILABLE : send_ask(fd, a);

	while (r == OK) {
		r = receive(fd, left_ms(until), arena, &in);
		if (r != OK)
			break;
		if (answer_decode(in, arena, &answer) != OK)
			return INVALID;
		/* The answer to one that we no longer waited for: the next one is ours. */
		if (answer.kind != a->kind || answer.number != a->number ||
		    answer.session != a->session)
			continue;
		*ret = answer;
		return OK;
	}
	return r;
}

enum result channel_receive_ask(int fd, unsigned self, unsigned peer, int timeout_ms,
                                struct arena *arena, struct ask *ret)
{
	struct ask a;
	struct bytes in;
	enum result r = receive(fd, timeout_ms, arena, &in);

	if (r == TOO_BIG)
		return DENIED;
	if (r != OK)
		return r;
	if (ask_decode(in, arena, &a) != OK || !(ask_info(a.kind)->from & peer) ||
	    !(ask_info(a.kind)->to & self))
		return DENIED;
	*ret = a;
	return OK;
}

enum result channel_send_answer(int fd, const struct answer *a)
{
	struct buf out = {0};
	enum result r;

	frame_answer(&out, a);
	r = socket_send(fd, buf_bytes(&out));
	buf_done(&out);
	return r;
}
