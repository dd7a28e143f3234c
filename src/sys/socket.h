/* Sockets: listening, accepting, and the message sockets that channels are made of. All descriptors
 * that come from here are close-on-exec and, unless it says otherwise, non-blocking.
 *
 * Reading and writing give OK, UNAVAILABLE (would block: wait for the loop) or LOST (the connection
 * is broken). */
#ifndef SYS_SOCKET_H
#define SYS_SOCKET_H

#include "base/buf.h"
#include "base/ip.h"

/* Listens on one address (:: means all of IPv6 only, so that 0.0.0.0 can have the same port).
 * SO_REUSEADDR. */
enum result socket_listen(const struct ip *ip, uint16_t port, int *ret_fd,
                          struct why *why) MUST_USE;
/* Listens on a UNIX socket; a left-over one at this path is replaced. name is relative to dirfd. */
enum result socket_listen_unix(int dirfd, const char *name, unsigned mode, int *ret_fd,
                               struct why *why) MUST_USE;

struct socket_peer {
	struct ip ip, local_ip;
	uint16_t port, local_port;
};

/* UNAVAILABLE: nobody waits (or descriptors ran out: why is set). ret_peer may be NULL. */
enum result socket_accept(int fd, int *ret_fd, struct socket_peer *ret_peer,
                          struct why *why) MUST_USE;
/* The user at the other end of a UNIX socket (SO_PEERCRED). */
enum result socket_peer_uid(int fd, unsigned *ret_uid) MUST_USE;

/* For the command line and tests: blocking descriptors. */
enum result socket_connect(const struct ip *ip, uint16_t port, int *ret_fd,
                           struct why *why) MUST_USE;
/* UDP: a question is what socket_write() sends, an answer what socket_read() gets, from that peer only. Non-blocking. */
enum result socket_connect_datagram(const struct ip *ip, uint16_t port, int *ret_fd,
                                    struct why *why) MUST_USE;
/* The other way: begins to connect and does not wait; wait until it is writable, then ask how it went. source: the address to
 * connect from, NULL: any. Results of both: OK; UNAVAILABLE: (begin) never, (end) not decided yet; DENIED: refused; NOT_FOUND:
 * there is no way there from here (no route, no such family, the source is not ours); LOST: silence; FAILED: anything else. */
enum result socket_connect_begin(const struct ip *ip, uint16_t port, const struct ip *source,
                                 int *ret_fd, struct why *why) MUST_USE;
enum result socket_connect_end(int fd, struct socket_peer *ret_peer, struct why *why) MUST_USE;
enum result socket_connect_unix(int dirfd, const char *name, int *ret_fd, struct why *why) MUST_USE;

/* *ret_len 0 with OK: the peer has closed. */
enum result socket_read(int fd, void *ptr, size_t len, size_t *ret_len) MUST_USE;
enum result socket_write(int fd, struct bytes data, size_t *ret_len) MUST_USE;
bool socket_has_input(int fd);   /* are octets there to be read? Takes none */
void socket_acknowledge(int fd); /* what was received, now; not with the next thing that we send */
void socket_shutdown(int fd);    /* no more from us; the peer reads the end */
void socket_close(int *fd);      /* sets it to -1; -1 is fine */

/* ---- messages: SEQPACKET, whole or not at all ---- */

enum result socket_pair(int ret_fds[2], struct why *why) MUST_USE;
enum result socket_send(int fd, struct bytes message) MUST_USE;
/* One message; TOO_BIG when it did not fit; LOST at the end. Descriptors that came with it are
 * dropped. */
enum result socket_receive(int fd, void *ptr, size_t size, size_t *ret_len) MUST_USE;

/* The same with one descriptor (-1: none). Only master sends them. */
enum result socket_send_fd(int fd, struct bytes message, int passed) MUST_USE;
enum result socket_receive_fd(int fd, void *ptr, size_t size, size_t *ret_len,
                              int *ret_passed) MUST_USE;

/* Waits until fd is readable (or writable), at most timeout_ms (-1: for ever). UNAVAILABLE: time is
 * over. */
enum result socket_wait(int fd, bool writable, int timeout_ms);
void socket_set_blocking(int fd, bool blocking);

#endif
