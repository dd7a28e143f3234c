/* Starting processes from an open executable, watching their end, sealed memory. This program is its own child. */
#include "../test.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "sys/process.h"
#include "sys/socket.h"

static int child_main(const char *what)
{
	char text[16];
	size_t n;

	if (strcmp(what, "echo") == 0) {
		if (socket_wait(3, false, 10000) != OK ||
		    socket_receive(3, text, sizeof(text), &n) != OK)
			return 1;
		/* Nothing above 3 was passed on. */
		for (int fd = 4; fd < 64; fd++)
			if (fcntl(fd, F_GETFD) >= 0)
				return 2;
		return socket_send(3, bytes_of(text, n)) == OK ? 7 : 3;
	}
	if (strcmp(what, "bare") == 0) {
		/* Neither the operator's terminal nor what else stands in his environment. */
		for (int fd = 0; fd < 2; fd++) {
			struct stat st;

			if (fstat(fd, &st) != 0 || st.st_rdev != makedev(1, 3))
				return 4;
		}
		if (getenv("SECRET_TOKEN") || getenv("TZONE"))
			return 5;
		return getenv("TZ") && getenv("LC_ALL") && getenv("HIKYAKU_TESTED") ? 7 : 6;
	}
	if (strcmp(what, "wait") == 0)
		pause();
	return 9;
}

static void start(const char *what, int fd, struct process *ret)
{
	const char *const argv[] = {"test", "child", what, NULL};
	struct process_start s = {.argv = argv, .fd = fd};
	struct why why = {0};

	assert_int_equal(process_open_self(&s.exe, &why), OK);
	assert_int_equal(process_start(&s, ret, &why), OK);
	close(s.exe);
}

static void wait_for(struct process *p, const char *status)
{
	char text[64];

	assert_int_equal(socket_wait(p->pidfd, false, 20000), OK);
	assert_true(process_ended(p, text));
	assert_string_equal(text, status);
}

static void a_child_has_descriptor_3_alone(void **state)
{
	struct process p;
	struct why why;
	char text[16];
	int ends[2];
	size_t n;

	(void)state;
	assert_int_equal(socket_pair(ends, &why), OK);
	start("echo", ends[1], &p);
	close(ends[1]);
	assert_int_equal(socket_send(ends[0], BYTES("hello")), OK);
	assert_int_equal(socket_wait(ends[0], false, 20000), OK);
	assert_int_equal(socket_receive(ends[0], text, sizeof(text), &n), OK);
	assert_int_equal(n, 5);
	wait_for(&p, "exited with 7");
	close(ends[0]);
}

static void a_child_knows_no_more_than_it_needs(void **state)
{
	struct process p;

	(void)state;
	setenv("SECRET_TOKEN", "x", 1);
	setenv("TZONE", "x", 1);
	setenv("TZ", "Asia/Tokyo", 1);
	setenv("LC_ALL", "C.UTF-8", 1);
	setenv("HIKYAKU_TESTED", "1", 1);
	start("bare", 2, &p);
	wait_for(&p, "exited with 7");
}

static void a_killed_child_says_so(void **state)
{
	struct process p;
	char text[64];

	(void)state;
	start("wait", 0, &p);
	assert_false(process_ended(&p, text));
	process_signal(&p, SIGKILL);
	wait_for(&p, "killed by SIGKILL");
}

static void sealed_memory_cannot_change(void **state)
{
	struct bytes mapped;
	struct why why;
	int fd;

	(void)state;
	assert_int_equal(process_memory_file("test", BYTES("hello"), &fd, &why), OK);
	assert_int_equal(pwrite(fd, "x", 1, 0), -1);
	assert_int_equal(errno, EPERM);
	assert_int_equal(ftruncate(fd, 0), -1);
	assert_ptr_equal(mmap(NULL, 1, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), MAP_FAILED);
	assert_int_equal(process_map(fd, &mapped, &why), OK);
	assert_true(bytes_equal(mapped, BYTES("hello")));
	process_unmap(&mapped);
	close(fd);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(a_child_has_descriptor_3_alone),
	        cmocka_unit_test(a_child_knows_no_more_than_it_needs),
	        cmocka_unit_test(a_killed_child_says_so),
	        cmocka_unit_test(sealed_memory_cannot_change),
	};

	if (argc == 3)
		return child_main(argv[2]);
	return TEST_MAIN(tests);
}
