/* One end of a channel that writes down what happens to it: "ask ROUTE 7", "answer ROUTE 7 ok", "lost". */
#ifndef TEST_BUS_PEER_H
#define TEST_BUS_PEER_H

#include "../test.h"

#include "base/memory.h"
#include "bus/channel.h"

enum { PEER_ASKS = 1000 };

struct peer {
	struct channel *channel;
	char log[8192];
	struct ask asks[PEER_ASKS]; /* numbers and sessions only */
	size_t asked, answered;
	size_t results[RESULT_COUNT];
	uint64_t session;
	unsigned events, event_count;
	size_t lost, ready;
	const char *broken;
	bool silent; /* answers later */
};

static inline void peer_note(struct peer *p, const char *text)
{
	size_t len = strlen(p->log);

	snprintf(p->log + len, sizeof(p->log) - len, "%s;", text);
}

static inline void peer_answer(struct peer *p, const struct ask *a, enum result result)
{
	struct answer answer = answer_to(a, result, (struct bytes){0});

	if (result == OK && a->kind == ASK_ROUTE) {
		answer.route.class = ROUTE_DIRECT;
		answer.route.address = BYTES("someone");
	}
	channel_answer(p->channel, &answer);
}

static inline void peer_on_ask(void *context, struct channel *c, const struct ask *a)
{
	struct peer *p = context;
	char text[64];

	(void)c;
	snprintf(text, sizeof(text), "ask %s %u", ask_info(a->kind)->name, a->number);
	if (p->asked < 20)
		peer_note(p, text);
	if (p->asked < PEER_ASKS)
		p->asks[p->asked] = (struct ask){
		        .kind = a->kind, .number = a->number, .session = a->session};
	p->asked++;
	if (!p->silent)
		peer_answer(p, a, OK);
}

static inline void peer_on_answer(void *context, struct channel *c, const struct answer *a)
{
	struct peer *p = context;
	char text[64];

	(void)c;
	snprintf(text, sizeof(text), "answer %s %u %s", ask_info(a->kind)->name, a->number,
	         result_name(a->result));
	if (p->answered < 20)
		peer_note(p, text);
	p->answered++;
	p->results[a->result]++;
}

static inline void peer_on_event(void *context, struct channel *c, uint64_t session,
                                 unsigned events)
{
	struct peer *p = context;

	(void)c;
	p->session = session;
	p->events |= events;
	p->event_count++;
}

static inline void peer_on_lost(void *context, struct channel *c, const char *broken)
{
	struct peer *p = context;

	(void)c;
	peer_note(p, broken ? "broken" : "lost");
	p->lost++;
	p->broken = broken;
}

static inline void peer_on_ready(void *context, struct channel *c)
{
	struct peer *p = context;

	(void)c;
	p->ready++;
}

static const struct channel_ops peer_ops = {peer_on_ask, peer_on_answer, peer_on_event,
                                            peer_on_lost, peer_on_ready};

static inline uint64_t peer_session(unsigned role, unsigned worker, uint64_t counter)
{
	return session_number(role, worker, counter);
}

static inline void peer_ask_route(struct peer *p, uint32_t number)
{
	struct ask a = {
	        .kind = ASK_ROUTE,
	        .number = number,
	        .session = peer_session(MX, 0, 1),
	        .route.rcpt = BYTES("ken@example.test"),
	};

	channel_ask(p->channel, &a);
}

#endif
