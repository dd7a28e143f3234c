/* A host that takes every mail and keeps none: what Postfix's smtp-sink does, but it counts mails on kept connections too.
 *
 *	sink 28700 COUNT-FILE
 *
 * COUNT-FILE holds four 64-bit numbers, kept current: mails, connections made, connections open, most open at once. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

struct session {
	int fd;
	bool data;
	unsigned ended; /* octets of CRLF.CRLF seen so far */
	char line[2048];
	size_t line_len;
	char out[8192];
	size_t out_len;
};

static volatile uint64_t *counts;
static int epoll;

static void die(const char *what)
{
	perror(what);
	exit(2);
}

static void say(struct session *s, const char *text)
{
	size_t len = strlen(text);

	if (s->out_len + len <= sizeof s->out) {
		memcpy(s->out + s->out_len, text, len);
		s->out_len += len;
	}
}

static bool command(struct session *s)
{
	s->line[s->line_len] = '\0';
	s->line_len = 0;
	if (strncasecmp(s->line, "EHLO", 4) == 0) {
		say(s,
		    "250-sink.test\r\n250-PIPELINING\r\n250-SIZE 100000000\r\n250-8BITMIME\r\n250 "
		    "ENHANCEDSTATUSCODES\r\n");
	} else if (strncasecmp(s->line, "DATA", 4) == 0) {
		say(s, "354 go on\r\n");
		s->data = true;
		s->ended = 2;
	} else if (strncasecmp(s->line, "QUIT", 4) == 0) {
		say(s, "221 2.0.0 bye\r\n");
		return false;
	} else {
		say(s, "250 2.0.0 OK\r\n");
	}
	return true;
}

/* Passes over content; returns how many octets of it belong to the mail. */
static size_t content(struct session *s, const char *in, size_t len)
{
	static const char end[] = "\r\n.\r\n";

	for (size_t i = 0; i < len; i++) {
		s->ended = in[i] == end[s->ended] ? s->ended + 1 : in[i] == '\r';
		if (s->ended == 5) {
			s->data = false;
			counts[0]++;
			say(s, "250 2.0.0 taken\r\n");
			return i + 1;
		}
	}
	return len;
}

static bool input(struct session *s, const char *in, size_t len)
{
	while (len) {
		size_t n = 1;

		if (s->data)
			n = content(s, in, len);
		else if (*in == '\n' && !command(s))
			return false;
		else if (*in != '\n' && *in != '\r' && s->line_len < sizeof s->line - 1)
			s->line[s->line_len++] = *in;
		in += n;
		len -= n;
	}
	return true;
}

static void flush_out(struct session *s)
{
	if (s->out_len && send(s->fd, s->out, s->out_len, MSG_NOSIGNAL) < 0 && errno != EAGAIN)
		return; /* shows when reading */
	s->out_len = 0;
}

static void end(struct session *s)
{
	close(s->fd);
	free(s);
	counts[2]--;
}

static void serve(struct session *s)
{
	static char room[65536];
	ssize_t n = recv(s->fd, room, sizeof room, 0);
	bool more;

	if (n < 0 && errno == EAGAIN)
		return;
	more = n > 0 && input(s, room, (size_t)n);
	flush_out(s);
	if (!more)
		end(s);
}

static void welcome(int listener)
{
	int fd, one = 1;

	while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
		struct session *s = calloc(1, sizeof *s);
		struct epoll_event e = {.events = EPOLLIN, .data.ptr = s};

		if (s == NULL)
			die("memory");
		s->fd = fd;
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
		if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e) < 0)
			die("epoll_ctl");
		counts[1]++;
		if (++counts[2] > counts[3])
			counts[3] = counts[2];
		say(s, "220 sink.test ESMTP\r\n");
		flush_out(s);
	}
}

static int listen_at(const char *port)
{
	struct sockaddr_in a = {.sin_family = AF_INET,
	                        .sin_port = htons((uint16_t)strtoul(port, NULL, 10)),
	                        .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof a) < 0 || listen(fd, 1000) < 0)
		die("listen");
	return fd;
}

int main(int argc, char **argv)
{
	struct epoll_event events[256], first = {.events = EPOLLIN};
	int file, listener;

	if (argc != 3) {
		fputs("usage: sink PORT COUNT-FILE\n", stderr);
		return 2;
	}
	file = open(argv[2], O_RDWR | O_CREAT | O_TRUNC, 0644);
	if (file < 0 || ftruncate(file, 4096) < 0)
		die(argv[2]);
	counts = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	epoll = epoll_create1(0);
	listener = listen_at(argv[1]);
	if (counts == MAP_FAILED || epoll < 0 ||
	    epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &first) < 0)
		die("start");
	for (;;) {
		int n = epoll_wait(epoll, events, 256, -1);

		for (int i = 0; i < n; i++) {
			if (events[i].data.ptr)
				serve(events[i].data.ptr);
			else
				welcome(listener);
		}
	}
}
