/* Listening, accepting, and message sockets with descriptors. */
#include "../test.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/limits.h"
#include "sys/socket.h"

static struct ip ip_of(const char *text)
{
	struct ip ip;

	assert_int_equal(ip_parse(bytes_of_text(text), &ip), OK);
	return ip;
}

/* A free port, as the kernel gives it. */
static int listen_somewhere(const char *address, uint16_t *ret_port)
{
	struct ip ip = ip_of(address);
	struct why why;
	int fd = -1;

	for (uint16_t port = 21400; port < 21500; port++)
		if (socket_listen(&ip, port, &fd, &why) == OK) {
			*ret_port = port;
			return fd;
		}
	fail();
	return -1;
}

static void talk_over(const char *address)
{
	struct ip ip = ip_of(address);
	struct socket_peer peer;
	struct why why = {0};
	uint16_t port = 0;
	int listener = listen_somewhere(address, &port), client, server = -1;
	char text[8];
	size_t n;

	assert_int_equal(socket_accept(listener, &server, &peer, &why), UNAVAILABLE);
	assert_int_equal(socket_connect(&ip, port, &client, &why), OK);
	assert_int_equal(socket_wait(listener, false, 5000), OK);
	assert_int_equal(socket_accept(listener, &server, &peer, &why), OK);
	assert_true(ip_equal(&peer.ip, &ip));
	assert_true(ip_equal(&peer.local_ip, &ip));
	assert_int_equal(peer.local_port, port);
	assert_int_equal(socket_read(server, text, sizeof(text), &n), UNAVAILABLE);
	assert_int_equal(socket_write(client, BYTES("hello"), &n), OK);
	assert_int_equal(socket_wait(server, false, 5000), OK);
	assert_int_equal(socket_read(server, text, sizeof(text), &n), OK);
	assert_int_equal(n, 5);
	socket_close(&client);
	assert_int_equal(client, -1);
	assert_int_equal(socket_wait(server, false, 5000), OK);
	assert_int_equal(socket_read(server, text, sizeof(text), &n), OK);
	assert_int_equal(n, 0);
	socket_close(&server);
	socket_close(&listener);
}

static void talks_over_ipv4(void **state)
{
	(void)state;
	talk_over("127.0.0.1");
}

static void talks_over_ipv6(void **state)
{
	(void)state;
	talk_over("::1");
}

static void both_families_may_have_one_port(void **state)
{
	struct ip any6 = ip_of("::"), any4 = ip_of("0.0.0.0");
	struct why why = {0};
	uint16_t port = 0;
	int four = listen_somewhere("0.0.0.0", &port), six, again;

	(void)state;
	assert_int_equal(socket_listen(&any6, port, &six, &why), OK);
	assert_int_equal(socket_listen(&any4, port, &again, &why), EXISTS);
	assert_non_null(strstr(why.text, "0.0.0.0"));
	socket_close(&four);
	socket_close(&six);
}

static void messages_are_whole_or_refused(void **state)
{
	static char big[LIMIT_MESSAGE], room[LIMIT_MESSAGE];
	struct why why;
	int ends[2], sent = 0;
	size_t n;

	(void)state;
	assert_int_equal(socket_pair(ends, &why), OK);
	assert_int_equal(socket_receive(ends[1], room, sizeof(room), &n), UNAVAILABLE);
	/* It takes some of the largest, then says that it would block; it never blocks. */
	while (socket_send(ends[0], bytes_of(big, sizeof(big))) == OK)
		sent++;
	assert_true(sent >= 1);
	assert_int_equal(socket_receive(ends[1], room, sizeof(room), &n), OK);
	assert_int_equal(n, sizeof(big));
	assert_int_equal(socket_receive(ends[1], room, 100, &n), TOO_BIG);
	socket_close(&ends[0]);
	while (--sent > 1)
		assert_int_equal(socket_receive(ends[1], room, sizeof(room), &n), OK);
	assert_int_equal(socket_receive(ends[1], room, sizeof(room), &n), LOST);
	assert_int_equal(socket_send(ends[1], BYTES("x")), LOST);
	socket_close(&ends[1]);
}

static void a_descriptor_can_be_passed(void **state)
{
	struct why why;
	int ends[2], null = open("/dev/null", O_WRONLY), passed = -1;
	char room[16];
	size_t n;

	(void)state;
	assert_int_equal(socket_pair(ends, &why), OK);
	assert_int_equal(socket_send_fd(ends[0], BYTES("here"), null), OK);
	assert_int_equal(socket_receive_fd(ends[1], room, sizeof(room), &n, &passed), OK);
	assert_int_equal(n, 4);
	assert_true(passed >= 0 && passed != null);
	assert_int_equal(write(passed, "x", 1), 1);
	assert_true(fcntl(passed, F_GETFD) & FD_CLOEXEC);
	close(passed);
	/* Who does not ask for descriptors does not get any. */
	assert_int_equal(socket_send_fd(ends[0], BYTES("again"), null), OK);
	assert_int_equal(socket_receive(ends[1], room, sizeof(room), &n), OK);
	assert_int_equal(n, 5);
	close(null);
	socket_close(&ends[0]);
	socket_close(&ends[1]);
}

static void a_unix_socket_knows_its_peer(void **state)
{
	char path[] = "/tmp/hikyaku-socket-XXXXXX";
	struct why why = {0};
	int dir, listener, client, server;
	unsigned uid = 12345;

	(void)state;
	assert_non_null(mkdtemp(path));
	dir = open(path, O_RDONLY | O_DIRECTORY);
	assert_int_equal(socket_connect_unix(dir, "s", &client, &why), NOT_FOUND);
	assert_int_equal(socket_listen_unix(dir, "s", 0600, &listener, &why), OK);
	assert_int_equal(socket_connect_unix(dir, "s", &client, &why), OK);
	assert_int_equal(socket_accept(listener, &server, NULL, &why), OK);
	assert_int_equal(socket_peer_uid(server, &uid), OK);
	assert_int_equal(uid, getuid());
	socket_close(&client);
	socket_close(&server);
	socket_close(&listener);
	/* One that was left over is replaced. */
	assert_int_equal(socket_listen_unix(dir, "s", 0600, &listener, &why), OK);
	socket_close(&listener);
	unlinkat(dir, "s", 0);
	close(dir);
	rmdir(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(talks_over_ipv4),
	        cmocka_unit_test(talks_over_ipv6),
	        cmocka_unit_test(both_families_may_have_one_port),
	        cmocka_unit_test(messages_are_whole_or_refused),
	        cmocka_unit_test(a_descriptor_can_be_passed),
	        cmocka_unit_test(a_unix_socket_knows_its_peer),
	};

	return TEST_MAIN(tests);
}
