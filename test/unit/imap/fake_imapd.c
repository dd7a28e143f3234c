/* The IMAP engine over a store in memory on a TCP port of 127.0.0.1: for scripts and clients, without the house around
 * it. Any user, password "secret".
 *
 *	fake_imapd PORT        0: takes a free port and prints it
 */
#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/arena.h"
#include "fake_store.h"
#include "imap/server.h"
#include "sasl/sasl.h"

enum { CONNECTIONS = 32 };

struct connection {
	int fd;
	uint64_t session;
	struct engine *e;
	struct buf in;
};

static struct connection connections[CONNECTIONS];
static size_t count;
static struct fake_store *store;
static struct imap_options options;

static time_ms now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (time_ms)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static bool serve_asks(struct connection *c)
{
	bool any = false;
	struct ask a;

	while (c->e->ops->ask(c->e, &a)) {
		struct arena arena = {0};
		struct answer r;

		any = true;
		a.session = c->session;
		r = fake_store_answer(store, &a, &arena);
		c->e->ops->answer(c->e, &r);
		arena_done(&arena);
	}
	return any;
}

static bool send_output(struct connection *c)
{
	struct buf *out = c->e->ops->output(c->e);
	bool any = false;

	while (buf_len(out)) {
		ssize_t n = send(c->fd, buf_bytes(out).ptr, buf_len(out), MSG_NOSIGNAL);

		if (n <= 0) {
			c->e->ops->eof(c->e);
			buf_clear(out);
			return false;
		}
		buf_consume(out, (size_t)n);
		any = true;
	}
	return any;
}

static void work(struct connection *c)
{
	bool any = true;

	c->e->ops->tick(c->e, now());
	while (any) {
		size_t taken = c->e->ops->feed(c->e, buf_bytes(&c->in));

		buf_consume(&c->in, taken);
		any = serve_asks(c) | send_output(c) | (taken > 0);
	}
}

static void raise_changes(void)
{
	uint64_t session;

	while ((session = fake_store_changed(store))) {
		for (size_t i = 0; i < count; i++) {
			if (connections[i].session == session) {
				connections[i].e->ops->event(connections[i].e, ENGINE_CHANGED);
				work(&connections[i]);
			}
		}
	}
}

static void take_connection(int listener)
{
	static uint64_t session;
	struct engine_peer peer = {.session = ++session};
	int fd = accept(listener, NULL, NULL);

	if (fd < 0 || count == CONNECTIONS)
		return;
	connections[count] = (struct connection){.fd = fd, .session = session};
	connections[count].e = imap_server_new(&options, &peer, now());
	work(&connections[count++]);
}

static void close_connection(size_t i)
{
	close(connections[i].fd);
	fake_store_forget(store, connections[i].session);
	connections[i].e->ops->free(&connections[i].e);
	buf_done(&connections[i].in);
	connections[i] = connections[--count];
}

static void read_connection(struct connection *c)
{
	ssize_t n = recv(c->fd, buf_room(&c->in, 65536), 65536, 0);

	if (n > 0)
		buf_added(&c->in, (size_t)n);
	else
		c->e->ops->eof(c->e);
	work(c);
}

static void run(int listener)
{
	for (;;) {
		struct pollfd fds[CONNECTIONS + 1] = {{.fd = listener, .events = POLLIN}};
		size_t polled = count;

		for (size_t i = 0; i < count; i++)
			fds[i + 1] = (struct pollfd){.fd = connections[i].fd, .events = POLLIN};
		if (poll(fds, polled + 1, -1) < 0)
			return;
		for (size_t i = 0; i < polled; i++)
			if (fds[i + 1].revents)
				read_connection(&connections[i]);
		raise_changes();
		for (size_t i = count; i-- > 0;)
			if (connections[i].e->ops->finished(connections[i].e))
				close_connection(i);
		if (fds[0].revents)
			take_connection(listener);
	}
}

int main(int argc, char **argv)
{
	struct sockaddr_in address = {.sin_family = AF_INET};
	socklen_t len = sizeof(address);
	int listener = socket(AF_INET, SOCK_STREAM, 0), on = 1;

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	address.sin_port = htons((uint16_t)(argc > 1 ? strtol(argv[1], NULL, 10) : 0));
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(listener, (struct sockaddr *)&address, sizeof(address)) != 0 ||
	    listen(listener, 64) != 0 ||
	    getsockname(listener, (struct sockaddr *)&address, &len) != 0) {
		perror("fake_imapd");
		return 1;
	}
	printf("%d\n", ntohs(address.sin_port));
	fflush(stdout);
	options = imap_options_default(BYTES("mx.example.test"));
	options.plaintext_login = true;
	options.starttls = false;
	options.id_version = BYTES("0");
	store = fake_store_new();
	run(listener);
	return 0;
}
