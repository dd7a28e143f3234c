#include "client.h"

#include <stdarg.h>
#include <stdio.h>

#include "../test.h"
#include "base/arena.h"
#include "base/memory.h"

static const struct imap_options *options(void)
{
	static struct imap_options o;

	if (!o.hostname.len) {
		o = imap_options_default(BYTES("mx.example.test"));
		o.plaintext_login = true;
		o.errors_max = 1000000;
	}
	return &o;
}

struct client *client_new(struct fake_store *store, uint64_t session)
{
	struct engine_peer peer = {.session = session};
	struct client *c = NEW(struct client);

	c->store = store;
	c->session = session;
	c->e = imap_server_new(options(), &peer, store->now);
	client_say(c, (struct bytes){0});
	return c;
}

void client_free(struct client **c)
{
	fake_store_forget((*c)->store, (*c)->session);
	(*c)->e->ops->free(&(*c)->e);
	buf_done(&(*c)->heard);
	memory_free(*c);
	*c = NULL;
}

static void hear(struct client *c)
{
	struct buf *out = c->e->ops->output(c->e);

	if (buf_len(out) > c->most)
		c->most = buf_len(out);
	buf_append(&c->heard, buf_bytes(out));
	buf_consume(out, buf_len(out));
}

static bool answer_asks(struct client *c)
{
	bool any = false;
	struct ask a;

	while (c->e->ops->ask(c->e, &a)) {
		struct arena arena = {0};
		struct answer r;

		any = true;
		a.session = c->session;
		r = fake_store_answer(c->store, &a, &arena);
		c->e->ops->answer(c->e, &r);
		arena_done(&arena);
		if (buf_len(c->e->ops->output(c->e)) > c->most)
			c->most = buf_len(c->e->ops->output(c->e));
	}
	return any;
}

static void settle(struct client *c)
{
	bool any = true;

	while (any) {
		any = answer_asks(c);
		any |= buf_len(c->e->ops->output(c->e)) > 0;
		hear(c);
	}
}

struct bytes client_say(struct client *c, struct bytes text)
{
	size_t idle = 0;

	buf_clear(&c->heard);
	c->e->ops->tick(c->e, c->store->now);
	settle(c);
	while (text.len && idle < 3) {
		size_t taken = c->e->ops->feed(c->e, c->step ? bytes_first(text, c->step) : text);

		text = bytes_skip(text, taken);
		idle = taken ? 0 : idle + 1;
		settle(c);
	}
	assert_int_equal(text.len, 0);
	return buf_bytes(&c->heard);
}

struct bytes client_says(struct client *c, const char *format, ...)
{
	char text[4096];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	return client_say(c, bytes_of_text(text));
}

void client_login(struct client *c)
{
	struct bytes heard = client_says(c, "l LOGIN ken secret\r\n");

	assert_true(bytes_find(heard, BYTES("l OK ")) != BYTES_NONE);
}

void clients_changed(struct fake_store *store, struct client **clients, size_t count)
{
	uint64_t session;

	while ((session = fake_store_changed(store))) {
		for (size_t i = 0; i < count; i++) {
			if (clients[i]->session != session)
				continue;
			clients[i]->e->ops->event(clients[i]->e, ENGINE_CHANGED);
			settle(clients[i]);
		}
	}
}
