/* A taken-over peer on a channel: whatever messages it sends, the host decodes them, answers or calls the channel broken, and
 * every ask of the host gets exactly one answer.
 *
 * Input: messages, each a u16 length and its octets; the hello and a sound ask stand before them. */
#include <stdlib.h>

#include "base/limits.h"
#include "base/wire.h"
#include "bus/channel.h"
#include "bus/frame.h"
#include "sys/socket.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct host {
	size_t answers;
	bool lost;
};

static void on_ask(void *context, struct channel *c, const struct ask *a)
{
	struct host *h = context;
	struct answer answer = answer_to(a, a->number % 2 ? OK : DENIED, (struct bytes){0});

	if (h->lost)
		abort();
	if (a->number % 3)
		channel_answer(c, &answer);
}

static void on_answer(void *context, struct channel *c, const struct answer *a)
{
	struct host *h = context;

	(void)c;
	if (a->number >= 2 || ++h->answers > 2)
		abort();
}

static void on_event(void *context, struct channel *c, uint64_t session, unsigned events)
{
	(void)context;
	channel_event(c, session, events);
}

static void on_lost(void *context, struct channel *c, const char *broken)
{
	struct host *h = context;

	(void)c;
	(void)broken;
	h->lost = true;
}

static const struct channel_ops ops = {
        .ask = on_ask, .answer = on_answer, .event = on_event, .lost = on_lost};

static void send(int fd, struct bytes message)
{
	if (message.len > 0 && socket_send(fd, message) == TOO_BIG)
		abort();
}

static void send_all(struct loop *l, int fd, struct bytes in)
{
	struct wire w = wire_of(in);
	struct buf hello = {0};

	frame_hello(&hello, MX, 0);
	send(fd, buf_bytes(&hello));
	buf_done(&hello);
	while (w.rest.len > 2) {
		size_t len = wire_u16(&w);

		send(fd, wire_take(&w, len < w.rest.len ? len : w.rest.len));
		loop_step(l, false);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct loop *l = loop_new();
	struct host h = {0};
	struct channel *c;
	struct why why;
	int ends[2];

	if (socket_pair(ends, &why) != OK)
		abort();
	c = channel_new(l, ends[0], STORE, 0, MX, 0, &ops, &h);
	/* Questions that the peer may answer, or not. */
	channel_ask(c, &(struct ask){.kind = ASK_ROUTE, .number = 0});
	channel_ask(c, &(struct ask){.kind = ASK_STATUS, .number = 1});
	send_all(l, ends[1], bytes_of(data, size));
	socket_close(&ends[1]);
	for (int i = 0; i < 40; i++)
		loop_step(l, false);
	if (!h.lost || h.answers != 2)
		abort();
	channel_free(&c);
	loop_free(&l);
	return 0;
}
