/* web: the command line's UNIX socket. It forwards ADMIN asks to store, PASSWORD and DKIM_KEYS to keeper, RESOLVE to
 * resolver, status and reload to master; one request of a connection at a time. Only root and the owner of DIR may talk. */
#include <unistd.h>

#include "base/memory.h"
#include "base/wire.h"
#include "roles/admin.h"
#include "roles/role.h"
#include "sys/socket.h"

enum { CONNECTIONS_MAX = 32 };

struct connection {
	struct web *web;
	struct connection *next;
	uint64_t session;
	uint32_t request; /* number of a request to master, 0: none */
	int fd;
	struct loop_watch *watch;
	struct buf in, out;
	bool busy;    /* a request is under way */
	bool closing; /* once the output is sent */
};

struct web {
	struct role_context *r;
	struct connection *connections;
	size_t count;
	struct loop_watch *listener;
	uint32_t requests;
};

static void close_connection(struct connection *c)
{
	struct connection **at = &c->web->connections;

	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	c->web->count--;
	if (c->web->listener)
		loop_watch_set(c->web->listener, LOOP_READ);
	loop_watch_free(&c->watch);
	socket_close(&c->fd);
	buf_done(&c->in);
	buf_done(&c->out);
	memory_free(c);
}

/* False: the connection is gone. */
static bool send_output(struct connection *c)
{
	size_t n;

	while (buf_len(&c->out) > 0) {
		enum result r = socket_write(c->fd, buf_bytes(&c->out), &n);

		if (r == UNAVAILABLE)
			break;
		if (r != OK) {
			close_connection(c);
			return false;
		}
		buf_consume(&c->out, n);
	}
	if (buf_len(&c->out) == 0 && c->closing) {
		close_connection(c);
		return false;
	}
	loop_watch_set(c->watch,
	               (c->busy ? 0 : LOOP_READ) | (buf_len(&c->out) > 0 ? LOOP_WRITE : 0));
	return true;
}

/* ---- requests ---- */

static void refuse(struct connection *c, enum result result, const char *text)
{
	admin_frame_reply(&c->out, result, bytes_of_text(text));
	c->closing = true;
}

/* Whom the command line may ask through us; 0: nobody. */
static unsigned answerer_of(enum ask_kind kind)
{
	switch (kind) {
	case ASK_ADMIN: return STORE;
	case ASK_PASSWORD:
	case ASK_DKIM_KEYS: return KEEPER;
	case ASK_RESOLVE: return RESOLVER;
	default: return 0;
	}
}

static void forward_ask(struct connection *c, struct bytes body)
{
	struct arena arena = {0};
	struct ask a;

	if (ask_decode(body, &arena, &a) != OK || !answerer_of(a.kind)) {
		refuse(c, INVALID, "only ADMIN, PASSWORD, DKIM_KEYS and RESOLVE may be asked here");
	} else {
		a.session = c->session;
		a.number = 1;
		c->busy = true;
		channel_ask(role_channel(c->web->r, answerer_of(a.kind), 0), &a);
	}
	arena_done(&arena);
}

static void forward_request(struct connection *c, struct bytes body)
{
	if (body.len != 1 || (unsigned char)body.ptr[0] > ROLE_MASTER_RELOAD) {
		refuse(c, INVALID, "no such request");
		return;
	}
	c->busy = true;
	c->request = ++c->web->requests;
	role_ask_master(c->web->r, c->request, (enum role_master_verb)body.ptr[0]);
}

static void take_frames(struct connection *c)
{
	enum admin_frame kind;
	struct bytes body;
	size_t len;

	while (!c->busy && !c->closing) {
		enum result r = admin_frame_take(buf_bytes(&c->in), &kind, &body, &len);

		if (r == UNAVAILABLE)
			return;
		if (r != OK)
			refuse(c, INVALID, "a frame that makes no sense");
		else if (kind == ADMIN_FRAME_ASK)
			forward_ask(c, body);
		else if (kind == ADMIN_FRAME_REQUEST)
			forward_request(c, body);
		else
			refuse(c, INVALID, "a frame that clients do not send");
		if (r == OK)
			buf_consume(&c->in, len);
	}
}

static void on_ready(void *context, unsigned events)
{
	enum { STEP = 16 * 1024 };
	struct connection *c = context;
	size_t n = 0;

	if (events & LOOP_READ) {
		enum result r = socket_read(c->fd, buf_room(&c->in, STEP), STEP, &n);

		if (r == LOST || (r == OK && n == 0)) {
			close_connection(c);
			return;
		}
		if (r == OK)
			buf_added(&c->in, n);
		take_frames(c);
	}
	send_output(c);
}

/* ---- answers ---- */

static void answered(struct connection *c)
{
	c->busy = false;
	take_frames(c);
	send_output(c);
}

static void web_answer(struct role_context *r, struct channel *channel, const struct answer *a)
{
	struct web *web = r->self;
	struct connection *c;

	(void)channel;
	for (c = web->connections; c && c->session != a->session; c = c->next)
		;
	if (!c)
		return;
	admin_frame_answer(&c->out, a);
	answered(c);
}

static void web_master_answer(struct role_context *r, uint32_t number, enum result result,
                              struct bytes text)
{
	struct web *web = r->self;
	struct connection *c;

	for (c = web->connections; c && c->request != number; c = c->next)
		;
	if (!c)
		return;
	c->request = 0;
	admin_frame_reply(&c->out, result, text);
	answered(c);
}

/* ---- connections ---- */

static bool is_admin(const struct web *web, int fd)
{
	unsigned uid;

	return socket_peer_uid(fd, &uid) == OK && (uid == 0 || uid == web->r->owner);
}

static void welcome(struct web *web, int fd)
{
	struct connection *c = NEW(struct connection);

	c->web = web;
	c->fd = fd;
	c->session = role_session_new(web->r);
	c->next = web->connections;
	web->connections = c;
	web->count++;
	c->watch = loop_watch_new(web->r->loop, fd, LOOP_READ, on_ready, c);
	if (!is_admin(web, fd)) {
		role_log(web->r, "admin-refused",
		         "session=%llx only root and the owner of the folder may",
		         (unsigned long long)c->session);
		refuse(c, DENIED, "only root and the owner of the folder may do this");
	} else {
		admin_frame_hello(&c->out);
	}
	send_output(c);
}

static void on_connection(void *context, unsigned events)
{
	struct web *web = context;
	struct why why = {0};
	int fd;

	(void)events;
	while (web->count < CONNECTIONS_MAX &&
	       socket_accept(web->r->listeners->fd, &fd, NULL, &why) == OK)
		welcome(web, fd);
	/* Who waits outside must not keep us awake. */
	if (web->count >= CONNECTIONS_MAX)
		loop_watch_set(web->listener, 0);
}

static enum result web_start(struct role_context *r, struct why *why)
{
	struct web *web = NEW(struct web);

	(void)why;
	web->r = r;
	r->self = web;
	return OK;
}

static void web_listener(struct role_context *r, struct role_listener *l)
{
	struct web *web = r->self;

	if (!web->listener)
		web->listener = loop_watch_new(r->loop, l->fd, LOOP_READ, on_connection, web);
}

static void web_stop(struct role_context *r)
{
	struct web *web = r->self;

	loop_watch_free(&web->listener);
	while (web->connections)
		close_connection(web->connections);
	role_stopped(r);
}

static const struct role_ops ops = {
        .start = web_start,
        .answer = web_answer,
        .listener = web_listener,
        .master_answer = web_master_answer,
        .stop = web_stop,
};

const struct role role_web = {
        .name = "web",
        .bit = WEB,
        .does = "the command line's socket",
        .rights = SANDBOX_ACCEPT,
        .answerers = STORE | KEEPER | RESOLVER,
        .protocols = 1 << ROLE_ADMIN,
        .ops = &ops,
};
