/* A load of mails for one SMTP server: what Postfix's smtp-source does, with mailboxes round robin, mails that do not
 * compress to nothing, and the time that each transaction took.
 *
 *	load_smtp -s 50 -m 2000 -l 10240 [-k] [-p] [-u 100] [-d example.test] [-t TAG] [-f SENDER] [-a AUTH] 127.0.0.1 28025
 *
 * -k keeps each session's connection for all its mails; -p sends MAIL, RCPT and DATA together (PIPELINING).
 * -a logs in first: AUTH PLAIN with this base64 text.
 * A transaction is timed from connect (or from MAIL on a kept connection) to the 250 after the final dot.
 * One line of JSON on stdout: accepted, failed, seconds, rate, p50_ms, p99_ms, max_ms, cpu, error (the first one).
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { POOL_LINES = 16384, LINE = 78, HEADER = 512, REPLY = 4096 };

enum state { GREETING, HELO, AUTH, MAIL, RCPT, DATA, DOT, QUIT, CLOSED };

struct session {
	int fd;
	enum state state;
	long message;
	double began;
	int replies_due; /* pipelined: replies still to come before the next step */
	char in[REPLY];
	size_t in_len;
	char *out;
	size_t out_len, out_at;
};

static struct {
	struct sockaddr_storage address;
	socklen_t address_len;
	int sessions, users;
	long messages;
	size_t size;
	bool keep, pipeline;
	const char *domain, *tag, *sender, *auth;
} options = {.sessions = 1,
             .users = 100,
             .messages = 100,
             .size = 1024,
             .domain = "example.test",
             .tag = "load",
             .sender = "sender@example.org"};

static char pool[POOL_LINES * LINE];
static long taken, accepted, failed;
static double *times_ms;
static char first_error[256];
static int epoll;

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void die(const char *what)
{
	perror(what);
	exit(2);
}

/* Lines of base64 letters: text that a compressor can take a quarter from, as from attachments. */
static void fill_pool(void)
{
	static const char letters[] =
	        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	uint64_t x = 88172645463325252ULL;

	for (size_t i = 0; i < sizeof pool; i++) {
		x ^= x << 13, x ^= x >> 7, x ^= x << 17;
		pool[i] = letters[(x >> 20) & 63];
	}
	for (size_t i = 0; i < POOL_LINES; i++)
		pool[i * LINE + LINE - 2] = '\r', pool[i * LINE + LINE - 1] = '\n';
}

static void fail(const char *what, const char *detail)
{
	failed++;
	if (first_error[0] == '\0')
		snprintf(first_error, sizeof first_error, "%s: %.*s", what,
		         (int)strcspn(detail, "\r\n\"\\"), detail);
}

static void put(struct session *s, const char *text, size_t len)
{
	memcpy(s->out + s->out_len, text, len);
	s->out_len += len;
}

static void command(struct session *s, const char *format, const char *a, long n)
{
	int len = snprintf(s->out + s->out_len, HEADER, format, a, n);

	s->out_len += (size_t)len;
}

static void put_message(struct session *s)
{
	size_t begin = s->out_len, lines;
	int len = snprintf(s->out + s->out_len, HEADER,
	                   "From: Load <%s>\r\nTo: user%ld@%s\r\nSubject: load %s %ld\r\n"
	                   "Date: Mon, 23 Nov 2026 12:00:00 +0900\r\nMessage-ID: "
	                   "<%ld.%s.%ld@example.org>\r\n\r\n",
	                   options.sender, s->message % options.users, options.domain, options.tag,
	                   s->message, s->message, options.tag, (long)getpid());

	s->out_len += (size_t)len;
	lines = (size_t)(s->message * 131) % POOL_LINES;
	while (s->out_len - begin < options.size) {
		size_t room = options.size - (s->out_len - begin), take = room < LINE ? room : LINE;

		put(s, pool + lines * LINE, take);
		lines = (lines + 1) % POOL_LINES;
		if (take < LINE)
			put(s, "\r\n", 2);
	}
	put(s, ".\r\n", 3);
}

static void watch(struct session *s, uint32_t events, int how)
{
	struct epoll_event e = {.events = events, .data.ptr = s};

	if (epoll_ctl(epoll, how, s->fd, &e) < 0)
		die("epoll_ctl");
}

static void flush_out(struct session *s)
{
	while (s->out_at < s->out_len) {
		ssize_t n = send(s->fd, s->out + s->out_at, s->out_len - s->out_at, MSG_NOSIGNAL);

		if (n < 0) {
			if (errno == EAGAIN)
				watch(s, EPOLLIN | EPOLLOUT, EPOLL_CTL_MOD);
			return; /* any other error shows when reading */
		}
		s->out_at += (size_t)n;
	}
	s->out_at = s->out_len = 0;
	watch(s, EPOLLIN, EPOLL_CTL_MOD);
}

static void begin(struct session *s)
{
	int one = 1;

	s->state = CLOSED;
	if (taken >= options.messages)
		return;
	s->message = taken++;
	s->began = now();
	s->in_len = s->out_len = s->out_at = 0;
	s->fd = socket(options.address.ss_family, SOCK_STREAM | SOCK_NONBLOCK, 0);
	if (s->fd < 0)
		die("socket");
	setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	if (connect(s->fd, (struct sockaddr *)&options.address, options.address_len) < 0 &&
	    errno != EINPROGRESS)
		die("connect");
	s->state = GREETING;
	watch(s, EPOLLIN, EPOLL_CTL_ADD);
}

static void end(struct session *s)
{
	close(s->fd);
	begin(s);
}

static void send_mail(struct session *s)
{
	command(s, "MAIL FROM:<%s>\r\n", options.sender, 0);
	s->state = MAIL;
	if (options.pipeline) {
		command(s, "RCPT TO:<user%2$ld@%1$s>\r\nDATA\r\n", options.domain,
		        s->message % options.users);
		s->state = DATA;
		s->replies_due = 2;
	}
}

static void mail_done(struct session *s, bool good, const char *line)
{
	if (good) {
		times_ms[accepted++] = (now() - s->began) * 1e3;
	} else {
		fail("after the dot", line);
	}
	if (options.keep && taken < options.messages) {
		s->message = taken++;
		s->began = now();
		send_mail(s);
		return;
	}
	command(s, "QUIT\r\n%s", "", 0);
	s->state = QUIT;
}

/* One reply's last line: what we say next. */
static void reply(struct session *s, const char *line)
{
	char expected = s->state == DATA && s->replies_due == 0 ? '3' : '2';

	if (s->state == QUIT)
		return;
	if (s->state == DOT) {
		mail_done(s, line[0] == '2', line);
		return;
	}
	if (line[0] != expected) {
		fail("refused", line);
		command(s, "QUIT\r\n%s", "", 0);
		s->state = QUIT;
		return;
	}
	switch (s->state) {
	case GREETING:
		command(s, options.pipeline || options.auth ? "EHLO %s\r\n" : "HELO %s\r\n",
		        "load.example.org", 0);
		s->state = HELO;
		break;
	case HELO:
		if (options.auth) {
			command(s, "AUTH PLAIN %s\r\n", options.auth, 0);
			s->state = AUTH;
			break;
		}
		send_mail(s);
		break;
	case AUTH: send_mail(s); break;
	case MAIL:
		command(s, "RCPT TO:<user%2$ld@%1$s>\r\n", options.domain,
		        s->message % options.users);
		s->state = RCPT;
		break;
	case RCPT:
		command(s, "DATA\r\n%s", "", 0);
		s->state = DATA;
		break;
	case DATA:
		if (s->replies_due-- > 0)
			break;
		s->replies_due = 0;
		put_message(s);
		s->state = DOT;
		break;
	default: break;
	}
}

static bool read_in(struct session *s)
{
	ssize_t n = recv(s->fd, s->in + s->in_len, sizeof s->in - 1 - s->in_len, 0);
	char *line = s->in, *newline;

	if (n < 0 && errno == EAGAIN)
		return true;
	if (n <= 0) {
		if (s->state != QUIT)
			fail("connection", n < 0 ? strerror(errno) : "closed by the server");
		return false;
	}
	s->in_len += (size_t)n;
	s->in[s->in_len] = '\0';
	while ((newline = strchr(line, '\n')) != NULL) {
		*newline = '\0';
		if (newline - line >= 3 && line[3] != '-')
			reply(s, line);
		line = newline + 1;
	}
	s->in_len -= (size_t)(line - s->in);
	memmove(s->in, line, s->in_len);
	return true;
}

static int by_time(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void report(double seconds)
{
	struct rusage r;
	long n = accepted;

	getrusage(RUSAGE_SELF, &r);
	qsort(times_ms, (size_t)n, sizeof *times_ms, by_time);
	printf("{\"accepted\": %ld, \"failed\": %ld, \"seconds\": %.4f, \"rate\": %.1f, "
	       "\"p50_ms\": %.2f, "
	       "\"p99_ms\": %.2f, \"max_ms\": %.2f, \"cpu\": %.3f, \"error\": \"%s\"}\n",
	       accepted, failed, seconds, (double)accepted / seconds, n ? times_ms[n / 2] : 0,
	       n ? times_ms[n * 99 / 100] : 0, n ? times_ms[n - 1] : 0,
	       (double)(r.ru_utime.tv_sec + r.ru_stime.tv_sec) +
	               (double)(r.ru_utime.tv_usec + r.ru_stime.tv_usec) / 1e6,
	       first_error);
}

static bool set_address(const char *host, const char *port)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)&options.address;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&options.address;
	uint16_t number = htons((uint16_t)strtoul(port, NULL, 10));

	if (inet_pton(AF_INET, host, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET, v4->sin_port = number, options.address_len = sizeof *v4;
		return true;
	}
	v6->sin6_family = AF_INET6, v6->sin6_port = number, options.address_len = sizeof *v6;
	return inet_pton(AF_INET6, host, &v6->sin6_addr) == 1;
}

static bool parse_options(int argc, char **argv)
{
	for (int c; (c = getopt(argc, argv, "s:m:l:u:d:t:f:a:kp")) != -1;) {
		switch (c) {
		case 's': options.sessions = (int)strtol(optarg, NULL, 10); break;
		case 'm': options.messages = strtol(optarg, NULL, 10); break;
		case 'l': options.size = strtoul(optarg, NULL, 10); break;
		case 'u': options.users = (int)strtol(optarg, NULL, 10); break;
		case 'f': options.sender = optarg; break;
		case 'a': options.auth = optarg; break;
		case 'd': options.domain = optarg; break;
		case 't': options.tag = optarg; break;
		case 'k': options.keep = true; break;
		case 'p': options.pipeline = true; break;
		default: return false;
		}
	}
	return argc - optind == 2 && set_address(argv[optind], argv[optind + 1]) &&
	       options.sessions > 0 && options.users > 0 && options.messages > 0;
}

int main(int argc, char **argv)
{
	struct epoll_event events[256];
	struct session *sessions;
	double began;

	if (!parse_options(argc, argv)) {
		fputs("usage: load_smtp [-kp] [-s sessions] [-m mails] [-l octets] [-u mailboxes] "
		      "[-d domain] [-t tag] "
		      "ADDRESS PORT\n",
		      stderr);
		return 2;
	}
	fill_pool();
	times_ms = calloc((size_t)options.messages, sizeof *times_ms);
	sessions = calloc((size_t)options.sessions, sizeof *sessions);
	epoll = epoll_create1(0);
	if (times_ms == NULL || sessions == NULL || epoll < 0)
		die("start");
	began = now();
	for (int i = 0; i < options.sessions; i++) {
		sessions[i].out = malloc(options.size + 4 * HEADER);
		if (sessions[i].out == NULL)
			die("memory");
		begin(&sessions[i]);
	}
	while (accepted + failed < options.messages) {
		int n = epoll_wait(epoll, events, 256, 60000);

		if (n == 0) {
			fail("load", "nothing happened for a minute");
			break;
		}
		for (int i = 0; i < n; i++) {
			struct session *s = events[i].data.ptr;

			if ((events[i].events & ~(uint32_t)EPOLLOUT) != 0 && !read_in(s))
				end(s);
			else if (s->out_len > 0)
				flush_out(s);
		}
	}
	report(now() - began);
	return failed > 0;
}
