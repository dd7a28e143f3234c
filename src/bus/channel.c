#include "bus/channel.h"

#include <assert.h>

#include "base/limits.h"
#include "base/map.h"
#include "base/memory.h"
#include "base/wire.h"
#include "bus/frame.h"
#include "sys/socket.h"

/* An ask's way through a channel: waiting (no hello yet, or LIMIT_ASKS_CHANNEL are open) -> out (sent as the socket takes
 * it) -> open until its answer -> or refused, when the peer is gone: a LOST or UNAVAILABLE of our own making.
 *
 * Nothing that the peer does is handled inside channel_ask, channel_answer or channel_event: a failed send only
 * notes it, and `task` ends the connection later. So an op never runs inside a call of the role. */

enum { READS_A_ROUND = 16 }; /* then other descriptors get their turn */

struct key {
	enum ask_kind kind;
	uint32_t number;
	uint64_t session;
};

struct message {
	struct message *next;
	struct key key; /* of a waiting ask */
	bool is_answer; /* to be sent */
	size_t len;
	char octets[];
};

struct queue {
	struct message *first, *last;
	size_t count;
};

struct refused {
	struct refused *next;
	struct key key;
	enum result result;
};

struct keys {
	struct key all[LIMIT_ASKS_CHANNEL];
	size_t count;
};

struct channel {
	struct loop *loop; /* NULL: in memory */
	struct loop_watch *watch;
	struct loop_task task;
	int fd;
	struct channel *other; /* in memory: the other end, NULL without a peer */
	bool peer_died;        /* in memory: once the inbox is empty; else: a send failed */
	bool has_peer;
	bool quiet;     /* we have not said hello yet */
	bool greeted;   /* the peer has */
	bool late;      /* the peer has not, for too long: asks do not wait for it any more */
	bool say_ready; /* in memory: ops.ready is due */
	struct loop_timer *hello_timer;
	unsigned self, self_worker, peer, peer_worker;
	const struct channel_ops *ops;
	void *context;
	struct keys open, serving;
	struct queue waiting, out, inbox;
	size_t unsent; /* answers in out: for the peer, their asks are still open */
	struct refused *refused, **refused_end;
	struct map events; /* session -> flags, not sent yet */
	struct arena arena;
	struct buf encoded;
	char *incoming;
};

/* ---- small parts ---- */

static void push(struct queue *q, struct bytes octets, struct key key)
{
	struct message *m = memory_get(sizeof(*m) + octets.len);

	m->key = key;
	m->is_answer = false;
	m->len = octets.len;
	memcpy(m->octets, octets.ptr, octets.len);
	*(q->last ? &q->last->next : &q->first) = m;
	q->last = m;
	q->count++;
}

static struct message *shift(struct queue *q)
{
	struct message *m = q->first;

	if (!m)
		return NULL;
	q->first = m->next;
	if (!q->first)
		q->last = NULL;
	q->count--;
	return m;
}

static void drop_queue(struct queue *q)
{
	struct message *m;

	while ((m = shift(q)))
		memory_free(m);
}

static bool same_key(const struct key *a, const struct key *b)
{
	return a->number == b->number && a->session == b->session && a->kind == b->kind;
}

static bool keys_add(struct keys *k, struct key key)
{
	if (k->count == LIMIT_ASKS_CHANNEL)
		return false;
	k->all[k->count++] = key;
	return true;
}

static bool keys_remove(struct keys *k, struct key key)
{
	for (size_t i = 0; i < k->count; i++)
		if (same_key(&k->all[i], &key)) {
			k->all[i] = k->all[--k->count];
			return true;
		}
	return false;
}

static void wake(struct channel *c)
{
	if (c->loop)
		loop_defer(c->loop, &c->task);
}

static void refuse(struct channel *c, struct key key, enum result result)
{
	struct refused *f = NEW(struct refused);

	f->key = key;
	f->result = result;
	*c->refused_end = f;
	c->refused_end = &f->next;
	wake(c);
}

static struct key key_of(const struct ask *a)
{
	return (struct key){a->kind, a->number, a->session};
}

/* ---- sending ---- */

static void note_death(struct channel *c)
{
	c->peer_died = true;
	wake(c);
}

static bool is_usable(const struct channel *c)
{
	return c->has_peer && !c->quiet && c->greeted;
}

/* False: it must wait for the socket. */
static bool send_now(struct channel *c, struct bytes octets)
{
	enum result r;

	if (!c->loop) {
		if (c->other)
			push(&c->other->inbox, octets, (struct key){0});
		return true;
	}
	r = socket_send(c->fd, octets);
	if (r == LOST)
		note_death(c);
	return r != UNAVAILABLE;
}

/* True: it waits in out. */
static bool send_or_queue(struct channel *c, struct bytes octets)
{
	if ((c->peer_died && c->loop) || (!c->out.first && send_now(c, octets)))
		return false;
	push(&c->out, octets, (struct key){0});
	loop_watch_set(c->watch, LOOP_READ | LOOP_WRITE);
	return true;
}

static void send_events(struct channel *c)
{
	struct map_entry *e;

	for (size_t at = 0; !c->out.first && is_usable(c) && (e = map_each(&c->events, &at));) {
		struct wire key = wire_of(bytes_of(e->key, e->key_len));
		uint64_t session = 0;
		unsigned flags = (unsigned)(uintptr_t)e->value;

		/* map_*_u64 keys are the number as it lies in memory. */
		if (key.rest.len == sizeof(session))
			memcpy(&session, key.rest.ptr, sizeof(session));
		map_remove_u64(&c->events, session);
		buf_clear(&c->encoded);
		buf_u8(&c->encoded, FRAME_EVENT);
		buf_u64(&c->encoded, session);
		buf_u32(&c->encoded, flags);
		(void)send_or_queue(c, buf_bytes(&c->encoded));
	}
}

static void flush_out(struct channel *c)
{
	while (c->out.first && send_now(c, bytes_of(c->out.first->octets, c->out.first->len))) {
		c->unsent -= c->out.first->is_answer;
		memory_free(shift(&c->out));
	}
	send_events(c);
	if (c->watch && !c->out.first)
		loop_watch_set(c->watch, LOOP_READ);
}

/* More asks, as answers have made room. */
static void send_waiting(struct channel *c)
{
	struct message *m;

	while (is_usable(c) && c->open.count < LIMIT_ASKS_CHANNEL && (m = shift(&c->waiting))) {
		(void)keys_add(&c->open, m->key);
		send_or_queue(c, bytes_of(m->octets, m->len));
		memory_free(m);
	}
}

void channel_ask(struct channel *c, const struct ask *a)
{
	if (!c->has_peer || c->late) {
		refuse(c, key_of(a), UNAVAILABLE);
		return;
	}
	buf_clear(&c->encoded);
	ask_encode(a, &c->encoded);
	if (buf_len(&c->encoded) > LIMIT_MESSAGE) {
		refuse(c, key_of(a), TOO_BIG);
	} else if (!is_usable(c) || c->waiting.first || !keys_add(&c->open, key_of(a))) {
		push(&c->waiting, buf_bytes(&c->encoded), key_of(a));
	} else {
		send_or_queue(c, buf_bytes(&c->encoded));
	}
}

void channel_answer(struct channel *c, const struct answer *a)
{
	struct key key = {a->kind, a->number, a->session};

	if (!keys_remove(&c->serving, key) || !c->has_peer)
		return;
	buf_clear(&c->encoded);
	frame_answer(&c->encoded, a);
	if (send_or_queue(c, buf_bytes(&c->encoded))) {
		c->out.last->is_answer = true;
		c->unsent++;
	}
}

void channel_event(struct channel *c, uint64_t session, unsigned events)
{
	uintptr_t flags = events | (uintptr_t)map_get_u64(&c->events, session);

	if (!c->has_peer || !flags)
		return;
	map_put_u64(&c->events, session, (void *)flags);
	send_events(c);
}

/* ---- the end of a peer ---- */

static void close_connection(struct channel *c)
{
	loop_watch_free(&c->watch);
	socket_close(&c->fd);
	c->other = NULL;
	c->has_peer = c->quiet = c->greeted = c->late = c->peer_died = c->say_ready = false;
	if (c->hello_timer)
		loop_timer_stop(c->hello_timer);
	drop_queue(&c->out);
	c->unsent = 0;
	drop_queue(&c->inbox);
	map_done(&c->events);
	c->serving.count = 0;
}

static void refuse_waiting(struct channel *c, enum result result)
{
	struct message *m;

	while ((m = shift(&c->waiting))) {
		refuse(c, m->key, result);
		memory_free(m);
	}
}

static void on_hello_time(void *context)
{
	struct channel *c = context;

	c->late = true;
	refuse_waiting(c, UNAVAILABLE);
}

static void lose_peer(struct channel *c, const char *broken)
{
	close_connection(c);
	for (size_t i = 0; i < c->open.count; i++)
		refuse(c, c->open.all[i], LOST);
	c->open.count = 0;
	refuse_waiting(c, LOST);
	if (c->ops->lost)
		c->ops->lost(c->context, c, broken);
}

static bool deliver_refused(struct channel *c)
{
	struct refused *f = c->refused;
	struct answer a;

	if (!f)
		return false;
	c->refused = f->next;
	if (!c->refused)
		c->refused_end = &c->refused;
	a = (struct answer){
	        .kind = f->key.kind,
	        .number = f->key.number,
	        .session = f->key.session,
	        .result = f->result,
	        .why = f->result == TOO_BIG ? BYTES("the ask does not fit into a message")
	                                    : BYTES("the other process is not there"),
	};
	memory_free(f);
	c->ops->answer(c->context, c, &a);
	return true;
}

static void on_task(void *context)
{
	struct channel *c = context;
	struct refused *last;

	if (c->peer_died)
		lose_peer(c, NULL);
	/* What these answers lead to is answered in another round. */
	for (last = c->refused; last && last->next; last = last->next)
		;
	while (c->refused) {
		bool was_last = c->refused == last;

		deliver_refused(c);
		if (was_last)
			break;
	}
	if (c->refused)
		wake(c);
}

/* ---- receiving: each returns NULL or the rule that the peer broke ---- */

static const char *receive_ask(struct channel *c, struct bytes in)
{
	struct ask a;
	const char *broken;

	if (ask_decode(in, &c->arena, &a) != OK)
		return "it sent an ask that does not decode";
	broken = frame_check_ask(&a, c->self, c->peer, c->peer_worker);
	if (broken)
		return broken;
	/* Who does not read its answers must not make us keep more and more of them. */
	if (c->serving.count + c->unsent >= LIMIT_ASKS_CHANNEL ||
	    !keys_add(&c->serving, key_of(&a)))
		return "it has more asks open than a channel may";
	c->ops->ask(c->context, c, &a);
	return NULL;
}

static const char *receive_answer(struct channel *c, struct bytes in)
{
	struct answer a;

	if (answer_decode(in, &c->arena, &a) != OK)
		return "it sent an answer that does not decode";
	if (!keys_remove(&c->open, (struct key){a.kind, a.number, a.session}))
		return "it answered what nobody asked";
	c->ops->answer(c->context, c, &a);
	send_waiting(c);
	return NULL;
}

static const char *receive_event(struct channel *c, struct bytes in)
{
	struct wire w = wire_of(bytes_skip(in, 1));
	uint64_t session = wire_u64(&w);
	uint32_t events = wire_u32(&w);

	if (w.bad || w.rest.len > 0)
		return "it sent an event that does not decode";
	if (c->ops->event)
		c->ops->event(c->context, c, session, events);
	return NULL;
}

static void take_hello(struct channel *c)
{
	c->greeted = true;
	c->late = false;
	if (c->hello_timer)
		loop_timer_stop(c->hello_timer);
	send_waiting(c);
	send_events(c);
	if (c->ops->ready)
		c->ops->ready(c->context, c);
}

static const char *receive(struct channel *c, struct bytes in)
{
	const char *broken;

	arena_reset(&c->arena);
	if (!c->greeted) {
		broken = frame_check_hello(in, c->peer, c->peer_worker);
		if (!broken)
			take_hello(c);
		return broken;
	}
	switch (in.ptr[0]) {
	case FRAME_ASK:
		return c->ops->ask ? receive_ask(c, in) : "it asks a role that answers nothing";
	case FRAME_ANSWER: return receive_answer(c, in);
	case FRAME_EVENT: return receive_event(c, in);
	default: return "it sent a message of no known kind";
	}
}

static void on_readable(struct channel *c)
{
	const char *broken;
	size_t len = 0;

	for (int i = 0; i < READS_A_ROUND && c->fd >= 0; i++) {
		enum result r = socket_receive(c->fd, c->incoming, LIMIT_MESSAGE, &len);

		if (r == UNAVAILABLE)
			return;
		if (r == LOST) {
			lose_peer(c, NULL);
			return;
		}
		broken = r == OK ? receive(c, bytes_of(c->incoming, len))
		                 : "it sent a message above the limit";
		if (broken)
			lose_peer(c, broken);
	}
}

static void on_ready(void *context, unsigned events)
{
	struct channel *c = context;

	if (events & LOOP_WRITE)
		flush_out(c);
	if (events & LOOP_READ)
		on_readable(c);
}

/* ---- life ---- */

static struct channel *make(unsigned self, unsigned self_worker, unsigned peer,
                            unsigned peer_worker, const struct channel_ops *ops, void *context)
{
	struct channel *c = NEW(struct channel);

	c->fd = -1;
	c->self = self;
	c->self_worker = self_worker;
	c->peer = peer;
	c->peer_worker = peer_worker;
	c->ops = ops;
	c->context = context;
	c->refused_end = &c->refused;
	c->task = (struct loop_task){.function = on_task, .context = c};
	return c;
}

void channel_greet(struct channel *c)
{
	if (!c->has_peer || !c->quiet)
		return;
	c->quiet = false;
	buf_clear(&c->encoded);
	frame_hello(&c->encoded, c->self, c->self_worker);
	send_or_queue(c, buf_bytes(&c->encoded));
	send_waiting(c);
	send_events(c);
}

struct channel *channel_new(struct loop *l, int fd, unsigned self, unsigned self_worker,
                            unsigned peer, unsigned peer_worker, const struct channel_ops *ops,
                            void *context)
{
	struct channel *c = make(self, self_worker, peer, peer_worker, ops, context);

	c->loop = l;
	c->incoming = memory_get(LIMIT_MESSAGE);
	c->hello_timer = loop_timer_new(l, on_hello_time, c);
	if (fd >= 0)
		channel_attach(c, fd);
	return c;
}

void channel_attach_quiet(struct channel *c, int fd)
{
	if (c->has_peer)
		lose_peer(c, NULL);
	c->fd = fd;
	c->watch = loop_watch_new(c->loop, fd, LOOP_READ, on_ready, c);
	c->has_peer = c->quiet = true;
	loop_timer_set(c->hello_timer, CHANNEL_HELLO_MS);
}

void channel_attach(struct channel *c, int fd)
{
	channel_attach_quiet(c, fd);
	channel_greet(c);
}

void channel_free(struct channel **pc)
{
	struct channel *c = *pc;
	struct refused *f;

	if (!c)
		return;
	if (c->other)
		c->other->other = NULL;
	close_connection(c);
	loop_task_cancel(&c->task);
	loop_timer_free(&c->hello_timer);
	drop_queue(&c->waiting);
	while ((f = c->refused)) {
		c->refused = f->next;
		memory_free(f);
	}
	arena_done(&c->arena);
	buf_done(&c->encoded);
	memory_free(c->incoming);
	memory_free(c);
	*pc = NULL;
}

/* ---- in memory ---- */

void channel_join(struct channel *a, struct channel *b)
{
	assert(!a->loop && !b->loop && !a->has_peer && !b->has_peer);
	a->other = b;
	b->other = a;
	/* Both are there: nobody has to say hello. */
	a->has_peer = b->has_peer = true;
	a->greeted = b->greeted = true;
	a->say_ready = b->say_ready = true;
}

void channel_pair_new(const struct channel_end *a, const struct channel_end *b,
                      struct channel **ret_a, struct channel **ret_b)
{
	*ret_a = make(a->role, a->worker, b->role, b->worker, a->ops, a->context);
	*ret_b = make(b->role, b->worker, a->role, a->worker, b->ops, b->context);
	channel_join(*ret_a, *ret_b);
}

bool channel_step(struct channel *c)
{
	struct message *m;
	const char *broken;

	if (deliver_refused(c))
		return true;
	if (c->say_ready) {
		c->say_ready = false;
		if (c->ops->ready)
			c->ops->ready(c->context, c);
	}
	m = shift(&c->inbox);
	if (!m) {
		if (!c->peer_died)
			return false;
		lose_peer(c, NULL);
		return true;
	}
	broken = receive(c, bytes_of(m->octets, m->len));
	memory_free(m);
	if (broken) {
		channel_cut(c);
		lose_peer(c, broken);
	}
	return true;
}

void channel_cut(struct channel *c)
{
	if (c->other) {
		c->other->peer_died = true;
		c->other->other = NULL;
	}
	close_connection(c);
	c->open.count = 0;
	drop_queue(&c->waiting);
}

/* ---- looking at it ---- */

unsigned channel_peer(const struct channel *c)
{
	return c->peer;
}

unsigned channel_peer_worker(const struct channel *c)
{
	return c->peer_worker;
}

bool channel_connected(const struct channel *c)
{
	return c->has_peer;
}

size_t channel_open(const struct channel *c)
{
	return c->open.count;
}

size_t channel_waiting(const struct channel *c)
{
	return c->waiting.count;
}

size_t channel_serving(const struct channel *c)
{
	return c->serving.count;
}

void *channel_context(const struct channel *c)
{
	return c->context;
}
