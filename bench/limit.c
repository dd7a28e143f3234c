/* The upper bound for any SMTP server with group commit on this machine: it answers, appends to one file, makes one
 * fdatasync for all mails that wait, then says 250. No parsing, no index, no checks, no delivery: not a server.
 *
 *	limit PORT FILE
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum { ROOM = 256 * 1024, WAITING = 1024 };

struct session {
	int fd;
	bool data, waiting;
	size_t len;
	struct session *next; /* among those that wait for a sync */
	char in[ROOM];
};

static int file, loop, wake_writer, wake_loop;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct session *waiting, *synced;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void say(struct session *s, const char *line)
{
	if (send(s->fd, line, strlen(line), MSG_NOSIGNAL) < 0 && errno != EPIPE &&
	    errno != ECONNRESET)
		die("send");
}

static void signal_to(int fd)
{
	uint64_t one = 1;

	if (write(fd, &one, sizeof one) < 0)
		die("eventfd");
}

static struct session *take(struct session **list)
{
	struct session *all;

	pthread_mutex_lock(&lock);
	all = *list;
	*list = NULL;
	pthread_mutex_unlock(&lock);
	return all;
}

static void *writer(void *unused)
{
	struct iovec pieces[WAITING];
	uint64_t count;

	(void)unused;
	for (;;) {
		struct session *all = take(&waiting), *last = NULL;
		int n = 0;

		if (all == NULL) {
			if (read(wake_writer, &count, sizeof count) < 0)
				die("eventfd");
			continue;
		}
		for (struct session *s = all; s != NULL; s = s->next) {
			pieces[n].iov_base = s->in, pieces[n].iov_len = s->len;
			last = s;
			if (++n == WAITING || s->next == NULL) {
				if (writev(file, pieces, n) < 0)
					die("writev");
				n = 0;
			}
		}
		if (fdatasync(file) < 0)
			die("fdatasync");
		pthread_mutex_lock(&lock);
		last->next = synced;
		synced = all;
		pthread_mutex_unlock(&lock);
		signal_to(wake_loop);
	}
	return NULL;
}

static void end(struct session *s)
{
	close(s->fd);
	free(s);
}

/* A command line; false: the session is over. */
static bool command(struct session *s, const char *line)
{
	if (strncasecmp(line, "DATA", 4) == 0) {
		s->data = true;
		say(s, "354 go on\r\n");
	} else if (strncasecmp(line, "QUIT", 4) == 0) {
		say(s, "221 bye\r\n");
		end(s);
		return false;
	} else {
		say(s, "250 ok\r\n");
	}
	return true;
}

static bool lines(struct session *s)
{
	char *newline;

	while (!s->data && (newline = memchr(s->in, '\n', s->len)) != NULL) {
		size_t taken = (size_t)(newline - s->in) + 1;

		if (!command(s, s->in))
			return false;
		s->len -= taken;
		memmove(s->in, s->in + taken, s->len);
	}
	return true;
}

static void readable(struct session *s)
{
	ssize_t n = recv(s->fd, s->in + s->len, ROOM - s->len, 0);

	if (n <= 0) {
		if (!s->waiting && !(n < 0 && errno == EAGAIN))
			end(s);
		return;
	}
	s->len += (size_t)n;
	if (!s->data && !lines(s))
		return;
	if (s->data && !s->waiting && s->len >= 5 &&
	    memcmp(s->in + s->len - 5, "\r\n.\r\n", 5) == 0) {
		s->waiting = true;
		pthread_mutex_lock(&lock);
		s->next = waiting;
		waiting = s;
		pthread_mutex_unlock(&lock);
		signal_to(wake_writer);
	}
}

static void answer_synced(void)
{
	uint64_t count;

	if (read(wake_loop, &count, sizeof count) < 0)
		die("eventfd");
	for (struct session *s = take(&synced), *next; s != NULL; s = next) {
		next = s->next;
		s->waiting = s->data = false;
		s->len = 0;
		say(s, "250 synced\r\n");
	}
}

static void watch(int fd, void *what)
{
	struct epoll_event e = {.events = EPOLLIN, .data.ptr = what};

	if (epoll_ctl(loop, EPOLL_CTL_ADD, fd, &e) < 0)
		die("epoll_ctl");
}

static void accept_all(int listener)
{
	int fd, one = 1;

	while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
		struct session *s = malloc(sizeof *s);

		if (s == NULL)
			die("memory");
		s->fd = fd, s->data = s->waiting = false, s->len = 0;
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
		say(s, "220 limit\r\n");
		watch(fd, s);
	}
}

static int listen_on(uint16_t port)
{
	struct sockaddr_in a = {.sin_family = AF_INET,
	                        .sin_port = htons(port),
	                        .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (bind(fd, (struct sockaddr *)&a, sizeof a) < 0 || listen(fd, 1024) < 0)
		die("listen");
	return fd;
}

int main(int argc, char **argv)
{
	struct epoll_event events[256];
	pthread_t thread;
	int listener;

	if (argc != 3)
		return 2;
	listener = listen_on((uint16_t)strtoul(argv[1], NULL, 10));
	file = open(argv[2], O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0600);
	loop = epoll_create1(0);
	wake_writer = eventfd(0, 0);
	wake_loop = eventfd(0, EFD_NONBLOCK);
	if (file < 0 || loop < 0 || pthread_create(&thread, NULL, writer, NULL) != 0)
		die("start");
	watch(listener, &listener);
	watch(wake_loop, &wake_loop);
	for (;;) {
		int n = epoll_wait(loop, events, 256, -1);

		for (int i = 0; i < n; i++) {
			if (events[i].data.ptr == &listener)
				accept_all(listener);
			else if (events[i].data.ptr == &wake_loop)
				answer_synced();
			else
				readable(events[i].data.ptr);
		}
	}
}
