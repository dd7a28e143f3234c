#include "house.h"

#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/memory.h"
#include "sys/clock.h"
#include "sys/socket.h"

/* The context is the house's first member. */
static struct house *house_of(const struct role_context *r)
{
	return (struct house *)r;
}

/* ---- what role.c gives to roles ---- */

struct channel *role_channel(const struct role_context *r, unsigned role, unsigned worker)
{
	struct house *h = house_of(r);

	for (size_t i = 0; i < h->count; i++)
		if (channel_peer(h->channels[i]) == role &&
		    channel_peer_worker(h->channels[i]) == worker)
			return h->channels[i];
	return NULL;
}

struct channel *role_channel_each(const struct role_context *r, size_t *at)
{
	struct house *h = house_of(r);

	return *at < h->count ? h->channels[(*at)++] : NULL;
}

int role_folder_fd(const struct role_context *r, const char *name)
{
	return house_of(r)->folder;
}

uint64_t role_session_new(struct role_context *r)
{
	return session_number(r->role->bit, 0, ++house_of(r)->sessions);
}

struct role_config *role_config_hold(struct role_context *r)
{
	r->config->holders++;
	return r->config;
}

void role_config_drop(struct role_config **c)
{
	(*c)->holders--;
	*c = NULL;
}

void role_log(const struct role_context *r, const char *event, const char *format, ...)
{
	char text[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	buf_printf(&house_of(r)->log, "%s %s\n", event, text);
}

void role_stopped(struct role_context *r)
{
	house_of(r)->stopped = true;
}

void role_fail(struct role_context *r, const struct why *why)
{
	fail_msg("%s", why->text);
	abort();
}

/* ---- channels ---- */

static void on_ask(void *context, struct channel *c, const struct ask *a)
{
	struct role_context *r = context;

	r->role->ops->ask(r, c, a);
}

static void on_answer(void *context, struct channel *c, const struct answer *a)
{
	struct role_context *r = context;

	r->role->ops->answer(r, c, a);
}

static void on_event(void *context, struct channel *c, uint64_t session, unsigned events)
{
	struct role_context *r = context;

	if (r->role->ops->event)
		r->role->ops->event(r, c, session, events);
}

static void on_lost(void *context, struct channel *c, const char *broken)
{
	struct role_context *r = context;

	if (broken)
		fail_msg("the role's peer broke a rule: %s", broken);
	if (r->role->ops->peer_lost)
		r->role->ops->peer_lost(r, c);
}

static const struct channel_ops channel_ops = {
        .ask = on_ask, .answer = on_answer, .event = on_event, .lost = on_lost};
static const struct channel_ops asker_ops = {
        .answer = on_answer, .event = on_event, .lost = on_lost};

struct channel *house_connect(struct house *h, unsigned peer, unsigned worker,
                              const struct channel_ops *ops, void *context)
{
	const struct channel_ops *own = h->r.role->ops->ask ? &channel_ops : &asker_ops;
	struct why why;
	int fds[2];

	assert_int_equal(socket_pair(fds, &why), OK);
	h->channels[h->count] = channel_new(h->r.loop, fds[0], h->r.role->bit, h->r.worker, peer,
	                                    worker, own, &h->r);
	h->peers[h->count] = channel_new(h->r.loop, fds[1], peer, worker, h->r.role->bit,
	                                 h->r.worker, ops, context);
	return h->peers[h->count++];
}

static size_t place_of(struct house *h, unsigned peer)
{
	size_t i = 0;

	while (channel_peer(h->channels[i]) != peer)
		i++;
	return i;
}

void house_cut(struct house *h, unsigned peer)
{
	size_t i = place_of(h, peer);

	channel_free(&h->peers[i]);
	house_until(h, !channel_connected(h->channels[i]));
}

struct channel *house_reconnect(struct house *h, unsigned peer, const struct channel_ops *ops,
                                void *context)
{
	size_t i = place_of(h, peer);
	struct why why;
	int fds[2];

	assert_int_equal(socket_pair(fds, &why), OK);
	channel_attach(h->channels[i], fds[0]);
	h->peers[i] = channel_new(h->r.loop, fds[1], peer, 0, h->r.role->bit, h->r.worker, ops,
	                          context);
	if (h->r.role->ops->peer_back)
		h->r.role->ops->peer_back(&h->r, h->channels[i]);
	return h->peers[i];
}

/* ---- the house ---- */

struct house *house_new(const struct role *role)
{
	struct house *h = NEW(struct house);

	h->r.role = role;
	h->r.workers = 1;
	h->r.loop = loop_new();
	h->r.sign_fd = -1;
	h->r.config = &h->config;
	h->config.config = &h->values;
	h->config.generation = 1;
	h->config.holders = 1;
	h->folder = -1;
	return h;
}

void house_free(struct house **h)
{
	for (size_t i = 0; i < (*h)->count; i++) {
		channel_free(&(*h)->channels[i]);
		channel_free(&(*h)->peers[i]);
	}
	loop_free(&(*h)->r.loop);
	buf_done(&(*h)->log);
	if ((*h)->folder >= 0)
		close((*h)->folder);
	memory_free(*h);
	*h = NULL;
}

void house_step(struct house *h)
{
	loop_step(h->r.loop, false);
	usleep(50);
}

bool house_logged(const struct house *h, const char *text)
{
	return bytes_find(buf_bytes(&h->log), bytes_of_text(text)) != BYTES_NONE;
}
