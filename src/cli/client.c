#include "cli/client.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/wire.h"
#include "roles/admin.h"
#include "sys/socket.h"

enum { WAIT_MS = 60000 };

struct client {
	int fd;
	struct buf in;
	size_t used; /* of in, by the frame that was given out last */
	struct arena arena;
};

static enum result send_all(struct client *c, struct buf *out, struct why *why)
{
	struct bytes rest = buf_bytes(out);
	enum result r = OK;
	size_t n = 0;

	while (r == OK && rest.len > 0) {
		r = socket_write(c->fd, rest, &n);
		rest = bytes_skip(rest, n);
	}
	buf_done(out);
	return r == OK ? OK : why_set(why, LOST, "the server closed the connection");
}

static enum result read_more(struct client *c, struct why *why)
{
	enum { STEP = 64 * 1024 };
	size_t n = 0;

	if (socket_wait(c->fd, false, WAIT_MS) != OK)
		return why_set(why, UNAVAILABLE, "the server did not answer within %d s",
		               WAIT_MS / 1000);
	if (socket_read(c->fd, buf_room(&c->in, STEP), STEP, &n) != OK || n == 0)
		return why_set(why, LOST, "the server closed the connection");
	buf_added(&c->in, n);
	return OK;
}

/* A REPLY where an ANSWER or HELLO was due says why not. */
static enum result take_reply(struct bytes body, struct bytes *ret_text, struct why *why)
{
	struct wire w = wire_of(body);
	uint8_t result = wire_u8(&w);
	struct bytes text = wire_block(&w);

	if (w.bad || result >= RESULT_COUNT)
		return why_set(why, INVALID, "the server sent nonsense");
	if (result != OK)
		return why_set(why, result, "%.*s", BYTES_ARG(text));
	*ret_text = text;
	return OK;
}

static enum result read_frame(struct client *c, enum admin_frame wanted, struct bytes *ret_body,
                              struct why *why)
{
	enum admin_frame kind;
	struct bytes body;
	enum result r;

	buf_consume(&c->in, c->used);
	c->used = 0;
	while ((r = admin_frame_take(buf_bytes(&c->in), &kind, &body, &c->used)) == UNAVAILABLE) {
		r = read_more(c, why);
		if (r != OK)
			return r;
	}
	if (r == OK && kind == wanted) {
		*ret_body = body;
		return OK;
	}
	if (r == OK && kind == ADMIN_FRAME_REPLY)
		r = take_reply(body, &body, why);
	return r != OK ? r : why_set(why, INVALID, "the server sent nonsense");
}

static enum result check_hello(struct client *c, struct why *why)
{
	struct bytes body;
	enum result r = read_frame(c, ADMIN_FRAME_HELLO, &body, why);
	struct wire w;

	if (r != OK)
		return r;
	w = wire_of(body);
	if (wire_u64(&w) != ask_table_hash() || w.bad)
		return why_set(why, INVALID,
		               "the server that runs is another version of hikyaku; restart it");
	return OK;
}

enum result client_open(const char *directory, struct client **ret, struct why *why)
{
	struct client *c;
	int dirfd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC), fd = -1;
	enum result r;

	if (dirfd < 0)
		return why_set(why, NOT_FOUND, "%s: %s", directory, strerror(errno));
	r = socket_connect_unix(dirfd, "run/admin.sock", &fd, NULL);
	close(dirfd);
	if (r == DENIED)
		return why_set(why, r, "%s: only root and the owner of the folder may do this",
		               directory);
	if (r != OK)
		return why_set(why, r, "%s: no server runs here; start one with: hikyaku serve %s",
		               directory, directory);
	c = NEW(struct client);
	c->fd = fd;
	r = check_hello(c, why);
	if (r != OK)
		client_close(&c);
	else
		*ret = c;
	return r;
}

void client_close(struct client **pc)
{
	struct client *c = *pc;

	if (!c)
		return;
	socket_close(&c->fd);
	buf_done(&c->in);
	arena_done(&c->arena);
	memory_free(c);
	*pc = NULL;
}

enum result client_send(struct client *c, const struct ask *a, struct why *why)
{
	struct buf out = {0};

	admin_frame_ask(&out, a);
	return send_all(c, &out, why);
}

enum result client_ask(struct client *c, const struct ask *a, struct answer *ret, struct why *why)
{
	enum result r = client_send(c, a, why);

	return r == OK ? client_receive(c, a->kind, ret, why) : r;
}

enum result client_receive(struct client *c, enum ask_kind kind, struct answer *ret,
                           struct why *why)
{
	struct answer answer;
	struct bytes body;
	enum result r = read_frame(c, ADMIN_FRAME_ANSWER, &body, why);

	if (r != OK)
		return r;
	arena_reset(&c->arena);
	if (answer_decode(body, &c->arena, &answer) != OK || answer.kind != kind)
		return why_set(why, INVALID, "the server sent nonsense");
	if (answer.result != OK && answer.why.len > 0)
		return why_set(why, answer.result, "%.*s", BYTES_ARG(answer.why));
	if (answer.result != OK)
		return why_set(why, answer.result, "%s", result_name(answer.result));
	*ret = answer;
	return OK;
}

enum result client_request(struct client *c, enum role_master_verb verb, struct bytes *ret_text,
                           struct why *why)
{
	struct buf out = {0};
	struct bytes body;
	enum result r;

	admin_frame_request(&out, (uint8_t)verb);
	r = send_all(c, &out, why);
	if (r == OK)
		r = read_frame(c, ADMIN_FRAME_REPLY, &body, why);
	return r == OK ? take_reply(body, ret_text, why) : r;
}
