#include "sys/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

union address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

static socklen_t to_address(const struct ip *ip, uint16_t port, union address *ret)
{
	*ret = (union address){0};
	if (ip_is_v4(ip)) {
		ret->v4.sin_family = AF_INET;
		ret->v4.sin_port = htons(port);
		memcpy(&ret->v4.sin_addr, ip->octets + 12, 4);
		return sizeof(ret->v4);
	}
	ret->v6.sin6_family = AF_INET6;
	ret->v6.sin6_port = htons(port);
	memcpy(&ret->v6.sin6_addr, ip->octets, 16);
	return sizeof(ret->v6);
}

static void from_address(const union address *a, struct ip *ret_ip, uint16_t *ret_port)
{
	*ret_ip = (struct ip){0};
	*ret_port = 0;
	if (a->any.sa_family == AF_INET) {
		ret_ip->octets[10] = ret_ip->octets[11] = 0xff;
		memcpy(ret_ip->octets + 12, &a->v4.sin_addr, 4);
		*ret_port = ntohs(a->v4.sin_port);
	} else if (a->any.sa_family == AF_INET6) {
		memcpy(ret_ip->octets, &a->v6.sin6_addr, 16);
		*ret_port = ntohs(a->v6.sin6_port);
	}
}

static void set_flag(int fd, int level, int option)
{
	int one = 1;

	(void)setsockopt(fd, level, option, &one, sizeof(one));
}

/* ---- listening ---- */

static enum result failed_at(struct why *why, const char *what, const struct ip *ip, uint16_t port)
{
	int error = errno;
	char text[IP_TEXT];

	ip_format(ip, text);
	return why_set(why,
	               error == EADDRINUSE ? EXISTS
	               : error == EACCES   ? DENIED
	                                   : FAILED,
	               "cannot %s %s port %u: %s", what, text, port, strerror(error));
}

enum result socket_listen(const struct ip *ip, uint16_t port, int *ret_fd, struct why *why)
{
	union address a;
	socklen_t len = to_address(ip, port, &a);
	int fd = socket(a.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	enum result r;

	if (fd < 0)
		return failed_at(why, "make a socket for", ip, port);
	set_flag(fd, SOL_SOCKET, SO_REUSEADDR);
	if (a.any.sa_family == AF_INET6)
		set_flag(fd, IPPROTO_IPV6, IPV6_V6ONLY);
	if (bind(fd, &a.any, len) == 0 && listen(fd, SOMAXCONN) == 0) {
		*ret_fd = fd;
		return OK;
	}
	r = failed_at(why, "listen on", ip, port);
	close(fd);
	return r;
}

/* A UNIX socket's name has 107 octets; a longer path goes by the folder's descriptor. */
static bool unix_address(int dirfd, const char *name, struct sockaddr_un *ret)
{
	int n;

	*ret = (struct sockaddr_un){.sun_family = AF_UNIX};
	n = dirfd == AT_FDCWD ? snprintf(ret->sun_path, sizeof(ret->sun_path), "%s", name)
	                      : snprintf(ret->sun_path, sizeof(ret->sun_path),
	                                 "/proc/self/fd/%d/%s", dirfd, name);
	return n > 0 && (size_t)n < sizeof(ret->sun_path);
}

enum result socket_listen_unix(int dirfd, const char *name, unsigned mode, int *ret_fd,
                               struct why *why)
{
	struct sockaddr_un a;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int bound, error;
	mode_t mask;

	if (fd < 0 || !unix_address(dirfd, name, &a)) {
		socket_close(&fd);
		return why_set(why, FAILED, "%s: cannot make a socket", name);
	}
	(void)unlinkat(dirfd, name, 0);
	/* By the mask, not by chmod afterwards: until then it would be open, and the name could lead elsewhere. */
	mask = umask(0777 & ~mode);
	bound = bind(fd, (struct sockaddr *)&a, sizeof(a));
	error = errno;
	(void)umask(mask);
	errno = error;
	if (bound == 0 && listen(fd, SOMAXCONN) == 0) {
		*ret_fd = fd;
		return OK;
	}
	(void)why_set(why, FAILED, "cannot listen on %s: %s", name, strerror(errno));
	close(fd);
	return FAILED;
}

static void fill_peer(int fd, const union address *from, struct socket_peer *ret)
{
	union address local = {0};
	socklen_t len = sizeof(local);

	from_address(from, &ret->ip, &ret->port);
	(void)getsockname(fd, &local.any, &len);
	from_address(&local, &ret->local_ip, &ret->local_port);
}

enum result socket_accept(int fd, int *ret_fd, struct socket_peer *ret_peer, struct why *why)
{
	union address from;
	socklen_t len;
	int got;

	/* A connection that was reset before it was accepted is nobody's concern: the next one. */
	do {
		from = (union address){0};
		len = sizeof(from);
		got = accept4(fd, &from.any, &len, SOCK_CLOEXEC | SOCK_NONBLOCK);
	} while (got < 0 && (errno == EINTR || errno == ECONNABORTED || errno == EPROTO));
	if (got < 0 && errno == EAGAIN)
		return UNAVAILABLE;
	if (got < 0)
		return why_set(why, UNAVAILABLE, "cannot accept a connection: %s", strerror(errno));
	if (from.any.sa_family != AF_UNIX)
		set_flag(got, IPPROTO_TCP, TCP_NODELAY);
	if (ret_peer)
		fill_peer(got, &from, ret_peer);
	*ret_fd = got;
	return OK;
}

enum result socket_peer_uid(int fd, unsigned *ret_uid)
{
	struct ucred c;
	socklen_t len = sizeof(c);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &c, &len) != 0)
		return FAILED;
	*ret_uid = c.uid;
	return OK;
}

/* ---- connecting ---- */

enum result socket_connect(const struct ip *ip, uint16_t port, int *ret_fd, struct why *why)
{
	union address a;
	socklen_t len = to_address(ip, port, &a);
	int fd = socket(a.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	enum result r;

	if (fd >= 0 && connect(fd, &a.any, len) == 0) {
		set_flag(fd, IPPROTO_TCP, TCP_NODELAY);
		*ret_fd = fd;
		return OK;
	}
	r = failed_at(why, "connect to", ip, port);
	socket_close(&fd);
	return r;
}

enum result socket_connect_datagram(const struct ip *ip, uint16_t port, int *ret_fd,
                                    struct why *why)
{
	union address a;
	socklen_t len = to_address(ip, port, &a);
	int fd = socket(a.any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	enum result r;

	if (fd >= 0 && connect(fd, &a.any, len) == 0) {
		*ret_fd = fd;
		return OK;
	}
	r = failed_at(why, "ask", ip, port);
	socket_close(&fd);
	return r;
}

static enum result connect_failed(struct why *why, int error)
{
	return why_set(why,
	               error == ECONNREFUSED || error == ECONNRESET ? DENIED
	               : error == ETIMEDOUT                         ? LOST
	               : error == ENETUNREACH || error == EHOSTUNREACH || error == EADDRNOTAVAIL ||
	                               error == EAFNOSUPPORT || error == ENETDOWN ||
	                               error == EHOSTDOWN
	                       ? NOT_FOUND
	                       : FAILED,
	               "%s", strerror(error));
}

enum result socket_connect_begin(const struct ip *ip, uint16_t port, const struct ip *source,
                                 int *ret_fd, struct why *why)
{
	union address a, from;
	socklen_t len = to_address(ip, port, &a), from_len = 0;
	int fd = socket(a.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	enum result r;

	if (source)
		from_len = to_address(source, 0, &from);
	if (fd >= 0 && (!source || bind(fd, &from.any, from_len) == 0) &&
	    (connect(fd, &a.any, len) == 0 || errno == EINPROGRESS)) {
		set_flag(fd, IPPROTO_TCP, TCP_NODELAY);
		*ret_fd = fd;
		return OK;
	}
	r = connect_failed(why, errno);
	socket_close(&fd);
	return r;
}

enum result socket_connect_end(int fd, struct socket_peer *ret_peer, struct why *why)
{
	union address theirs = {0}, ours = {0};
	socklen_t theirs_len = sizeof(theirs), ours_len = sizeof(ours), len = sizeof(int);
	int error = 0;

	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0)
		error = errno;
	if (error)
		return connect_failed(why, error);
	if (getpeername(fd, &theirs.any, &theirs_len) != 0)
		return errno == ENOTCONN ? UNAVAILABLE : connect_failed(why, errno);
	if (getsockname(fd, &ours.any, &ours_len) != 0)
		return connect_failed(why, errno);
	from_address(&theirs, &ret_peer->ip, &ret_peer->port);
	from_address(&ours, &ret_peer->local_ip, &ret_peer->local_port);
	return OK;
}

enum result socket_connect_unix(int dirfd, const char *name, int *ret_fd, struct why *why)
{
	struct sockaddr_un a;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int error;

	if (fd >= 0 && unix_address(dirfd, name, &a) &&
	    connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0) {
		*ret_fd = fd;
		return OK;
	}
	error = errno;
	socket_close(&fd);
	return why_set(why,
	               error == ENOENT || error == ECONNREFUSED ? NOT_FOUND
	               : error == EACCES                        ? DENIED
	                                                        : FAILED,
	               "cannot connect to %s: %s", name, strerror(error));
}

/* ---- octets ---- */

enum result socket_read(int fd, void *ptr, size_t len, size_t *ret_len)
{
	ssize_t n;

	do
		n = read(fd, ptr, len);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN ? UNAVAILABLE : LOST;
	*ret_len = (size_t)n;
	return OK;
}

enum result socket_write(int fd, struct bytes data, size_t *ret_len)
{
	ssize_t n;

	do
		n = send(fd, data.ptr, data.len, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN ? UNAVAILABLE : LOST;
	*ret_len = (size_t)n;
	return OK;
}

bool socket_has_input(int fd)
{
	char c;

	return recv(fd, &c, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

void socket_acknowledge(int fd)
{
	set_flag(fd, IPPROTO_TCP, TCP_QUICKACK);
}

void socket_shutdown(int fd)
{
	(void)shutdown(fd, SHUT_WR);
}

void socket_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* ---- messages ---- */

enum result socket_pair(int ret_fds[2], struct why *why)
{
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ret_fds) != 0)
		return why_set(why, FAILED, "cannot make a channel: %s", strerror(errno));
	return OK;
}

enum result socket_send(int fd, struct bytes message)
{
	size_t n;

	return socket_write(fd, message, &n);
}

enum result socket_receive(int fd, void *ptr, size_t size, size_t *ret_len)
{
	ssize_t n;

	do
		n = recv(fd, ptr, size, MSG_TRUNC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN ? UNAVAILABLE : LOST;
	if (n == 0)
		return LOST;
	if ((size_t)n > size)
		return TOO_BIG;
	*ret_len = (size_t)n;
	return OK;
}

union control {
	char space[CMSG_SPACE(sizeof(int))];
	struct cmsghdr align;
};

enum result socket_send_fd(int fd, struct bytes message, int passed)
{
	union control control = {0};
	struct iovec part = {(void *)(uintptr_t)message.ptr, message.len};
	struct msghdr m = {.msg_iov = &part, .msg_iovlen = 1};
	ssize_t n;

	/* Roles may not call sendmsg. */
	if (passed < 0)
		return socket_send(fd, message);
	m.msg_control = control.space;
	m.msg_controllen = sizeof(control.space);
	control.align.cmsg_level = SOL_SOCKET;
	control.align.cmsg_type = SCM_RIGHTS;
	control.align.cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(&control.align), &passed, sizeof(int));
	do
		n = sendmsg(fd, &m, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN ? UNAVAILABLE : LOST;
	return OK;
}

static int passed_fd(struct msghdr *m)
{
	struct cmsghdr *c = CMSG_FIRSTHDR(m);
	int fd = -1;

	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS &&
	    c->cmsg_len == CMSG_LEN(sizeof(int)))
		memcpy(&fd, CMSG_DATA(c), sizeof(int));
	return fd;
}

enum result socket_receive_fd(int fd, void *ptr, size_t size, size_t *ret_len, int *ret_passed)
{
	union control control = {0};
	struct iovec part = {ptr, size};
	struct msghdr m = {
	        .msg_iov = &part,
	        .msg_iovlen = 1,
	        .msg_control = control.space,
	        .msg_controllen = sizeof(control.space),
	};
	ssize_t n;

	do
		n = recvmsg(fd, &m, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN ? UNAVAILABLE : LOST;
	if (n == 0)
		return LOST;
	*ret_passed = passed_fd(&m);
	if (m.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) {
		socket_close(ret_passed);
		return TOO_BIG;
	}
	*ret_len = (size_t)n;
	return OK;
}

enum result socket_wait(int fd, bool writable, int timeout_ms)
{
	struct pollfd p = {.fd = fd, .events = writable ? POLLOUT : POLLIN};
	int n;

	do
		n = poll(&p, 1, timeout_ms);
	while (n < 0 && errno == EINTR);
	return n > 0 ? OK : UNAVAILABLE;
}

void socket_set_blocking(int fd, bool blocking)
{
	int flags = fcntl(fd, F_GETFL);

	(void)fcntl(fd, F_SETFL, blocking ? flags & ~O_NONBLOCK : flags | O_NONBLOCK);
}
