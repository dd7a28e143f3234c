/* For every row of roles/role.c: behind its walls a process cannot open a file, make a socket, connect, execute, trace, read
 * or signal a sibling, nor make a process; and it still can what the row grants. Each probe is also tried without walls, so that
 * a probe that never works is noticed. */
#include "../unit/test.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "roles/config_reader.h"
#include "roles/role.h"

static char place[] = "/tmp/hikyaku-walls-XXXXXX";
static int folders[ROLE_FOLDERS]; /* one for each folder that a row may name */
static pid_t sibling;
static int listener, port; /* of the test: what a probe connects to, or accepts from */

enum { DONE = 0, NO_WALLS = 250 };

typedef bool probe(void);

/* ---- what is tried: true when it could be done ---- */

static bool open_outside(void)
{
	return open("/etc/passwd", O_RDONLY) >= 0;
}

static bool open_own_binary(void)
{
	return open("/proc/self/exe", O_RDONLY) >= 0;
}

static bool make_file(void)
{
	return open(place, O_RDWR | O_TMPFILE, 0600) >= 0;
}

static bool remove_file(void)
{
	char path[64];

	snprintf(path, sizeof(path), "%s/victim", place);
	return unlink(path) == 0;
}

static bool make_socket(void)
{
	return socket(AF_INET, SOCK_STREAM, 0) >= 0;
}

static bool make_datagram_socket(void)
{
	return socket(AF_INET, SOCK_DGRAM, 0) >= 0;
}

static bool connect_out(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0;
}

/* With a socket that it has already, as a taken-over role might. */
static int spare;

static bool connect_spare(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return connect(spare, (struct sockaddr *)&a, sizeof(a)) == 0;
}

static bool listen_anew(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET};

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return bind(spare, (struct sockaddr *)&a, sizeof(a)) == 0 && listen(spare, 1) == 0;
}

static bool execute(void)
{
	char name[] = "true", *const argv[] = {name, NULL};

	/* Only a failure returns; success exits with true's 0, which counts as done. */
	execv("/bin/true", argv);
	return false;
}

static bool trace_sibling(void)
{
	return ptrace(PTRACE_SEIZE, sibling, NULL, NULL) == 0;
}

static bool read_sibling(void)
{
	char here = 0;
	struct iovec local = {&here, 1},
	             remote = {(void *)place, 1}; /* forked from us: the same address is there */

	return process_vm_readv(sibling, &local, 1, &remote, 1, 0) == 1;
}

static bool signal_sibling(void)
{
	return kill(sibling, SIGURG) == 0;
}

static bool make_process(void)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	return pid > 0;
}

static bool pass_descriptor(void)
{
	union {
		char space[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = {0};
	char text = 'x';
	struct iovec part = {&text, 1};
	struct msghdr m = {.msg_iov = &part,
	                   .msg_iovlen = 1,
	                   .msg_control = control.space,
	                   .msg_controllen = sizeof(control.space)};
	int ends[2], passed = 2;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends) != 0)
		ends[0] = spare;
	control.align.cmsg_level = SOL_SOCKET;
	control.align.cmsg_type = SCM_RIGHTS;
	control.align.cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(&control.align), &passed, sizeof(int));
	return sendmsg(ends[0], &m, MSG_NOSIGNAL) == 1;
}

static bool use_ring(void)
{
	char params[128] = {0};

	return syscall(SYS_io_uring_setup, 4, params) >= 0;
}

struct attempt {
	const char *name;
	probe *run;
	bool master_may;    /* master's walls leave it: it starts processes and binds */
	bool may_be_absent; /* does not work on every machine even without walls */
	unsigned granted;   /* enum sandbox_right: roles with one of these may */
};

static const struct attempt attempts[] = {
        {"open a file", open_outside, true, false, 0},
        {"open its own program", open_own_binary, true, false, 0},
        {"make a file", make_file, true, true, 0},
        {"remove a file", remove_file, true, false, 0},
        {"make a UDP socket", make_datagram_socket, true, false, SANDBOX_DATAGRAM},
        {"make a socket", make_socket, true, false, SANDBOX_CONNECT},
        {"connect", connect_out, true, false, SANDBOX_CONNECT},
        {"connect a socket it has", connect_spare, true, false, SANDBOX_CONNECT},
        {"listen", listen_anew, true, false, 0},
        {"execute", execute, true, false, 0},
        {"trace a sibling", trace_sibling, false, true, 0},
        {"read a sibling", read_sibling, false, true, 0},
        {"signal a sibling", signal_sibling, true, false, 0},
        {"make a process", make_process, true, false, 0},
        {"pass a descriptor", pass_descriptor, true, false, 0},
        {"use io_uring", use_ring, false, true, 0},
};
enum { ATTEMPTS = sizeof(attempts) / sizeof(*attempts) };

/* ---- trying it ---- */

typedef bool enter_function(const struct role *role);

static bool enter_role(const struct role *role)
{
	struct sandbox_report report;
	struct why why;

	return role_enter_walls(role, folders, NULL, &report, &why) == OK && report.seccomp;
}

static bool enter_reader(const struct role *role)
{
	struct why why;

	(void)role;
	return config_reader_enter_walls(folders[0], &why) == OK;
}

static bool enter_master(const struct role *role)
{
	struct sandbox s = {.rights = SANDBOX_MASTER};
	struct sandbox_report report;
	struct why why;

	(void)role;
	return sandbox_enter(&s, &report, &why) == OK && report.seccomp;
}

static bool enter_nothing(const struct role *role)
{
	(void)role;
	return true;
}

static void put_victim(void)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "%s/victim", place);
	fd = open(path, O_RDWR | O_CREAT, 0600);
	assert_true(fd >= 0);
	close(fd);
}

/* True when a child behind these walls could do it. */
static bool could(enter_function *enter, const struct role *role, probe *run)
{
	int status = 0;
	pid_t pid;

	put_victim();
	spare = socket(AF_INET, SOCK_STREAM, 0); /* a new one: what a child does to it would stay */
	pid = fork();
	if (pid == 0) {
		if (!enter(role))
			_exit(NO_WALLS);
		_exit(run() ? DONE : 1);
	}
	close(spare);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFSIGNALED(status)) {
		assert_int_equal(WTERMSIG(status), SIGSYS);
		return false;
	}
	assert_int_not_equal(WEXITSTATUS(status), NO_WALLS);
	return WEXITSTATUS(status) == DONE;
}

static void probes_work_without_walls(void **state)
{
	(void)state;
	for (size_t i = 0; i < ATTEMPTS; i++)
		if (!could(enter_nothing, NULL, attempts[i].run) && !attempts[i].may_be_absent) {
			print_error("without walls it should be possible to %s\n",
			            attempts[i].name);
			fail();
		}
}

static void expect_none(enter_function *enter, const struct role *role, const char *name)
{
	for (size_t i = 0; i < ATTEMPTS; i++)
		if (!(role && role->rights & attempts[i].granted) &&
		    could(enter, role, attempts[i].run)) {
			print_error("%s could %s\n", name, attempts[i].name);
			fail();
		}
}

static void no_role_can(void **state)
{
	(void)state;
	assert_true(role_count > 0);
	for (size_t i = 0; i < role_count; i++)
		expect_none(enter_role, roles[i], roles[i]->name);
}

static void the_reader_of_the_configuration_cannot(void **state)
{
	(void)state;
	expect_none(enter_reader, NULL, "the reader of the configuration");
}

static void master_cannot_trace(void **state)
{
	(void)state;
	for (size_t i = 0; i < ATTEMPTS; i++)
		if (!attempts[i].master_may && could(enter_master, NULL, attempts[i].run)) {
			print_error("master could %s\n", attempts[i].name);
			fail();
		}
}

/* ---- what is granted ---- */

static int nth;

static bool read_folder(void)
{
	return openat(folders[nth], "file", O_RDONLY) >= 0;
}

static bool write_folder(void)
{
	int fd = openat(folders[nth], "new", O_RDWR | O_CREAT, 0600);

	return fd >= 0 && write(fd, "x", 1) == 1 && fdatasync(fd) == 0 &&
	       renameat(folders[nth], "new", folders[nth], "newer") == 0 &&
	       unlinkat(folders[nth], "newer", 0) == 0;
}

static bool accept_one(void)
{
	int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	return fd >= 0 || errno == EAGAIN;
}

static void a_role_reads_and_writes_its_folders_only(void **state)
{
	(void)state;
	for (size_t i = 0; i < role_count; i++)
		for (nth = 0; nth < ROLE_FOLDERS; nth++) {
			const struct role_folder *f = &roles[i]->folders[nth];

			assert_int_equal(could(enter_role, roles[i], read_folder), f->name != NULL);
			assert_int_equal(could(enter_role, roles[i], write_folder),
			                 f->name && f->write);
		}
}

static void a_role_accepts_only_with_the_right(void **state)
{
	(void)state;
	for (size_t i = 0; i < role_count; i++)
		assert_int_equal(could(enter_role, roles[i], accept_one),
		                 (roles[i]->rights & SANDBOX_ACCEPT) != 0);
}

/* DESIGN: who holds secrets parses nothing of strangers, who parses holds no files. */
static void the_rows_keep_the_promises(void **state)
{
	(void)state;
	for (size_t i = 0; i < role_count; i++) {
		const struct role *r = roles[i];
		bool front = r->bit & (MX | ACCESS | WEB);

		assert_false(front && r->rights & (SANDBOX_READ | SANDBOX_WRITE));
		assert_false(front && r->folders[0].name);
		assert_false(!front && r->rights & SANDBOX_ACCEPT);
		assert_false(r->rights & SANDBOX_MASTER);
		assert_false(r->bit != STORE && r->rights & SANDBOX_WRITE);
		/* Who reaches the network has neither files nor anybody's connections. */
		assert_false(!(r->bit & (RESOLVER | COURIER)) &&
		             r->rights & (SANDBOX_CONNECT | SANDBOX_DATAGRAM));
		assert_false(r->rights & (SANDBOX_CONNECT | SANDBOX_DATAGRAM) &&
		             (r->folders[0].name || r->rights & SANDBOX_ACCEPT));
		assert_false(r->bit != RESOLVER && r->rights & SANDBOX_DATAGRAM);
	}
}

/* ---- a place to play ---- */

static int setup(void **state)
{
	struct sockaddr_in a = {.sin_family = AF_INET};
	socklen_t len = sizeof(a);

	(void)state;
	unsetenv("HIKYAKU_WALLS");
	if (!mkdtemp(place))
		return -1;
	for (int i = 0; i < ROLE_FOLDERS; i++) {
		char path[64];
		int fd;

		snprintf(path, sizeof(path), "%s/%d", place, i);
		mkdir(path, 0700);
		folders[i] = open(path, O_RDONLY | O_DIRECTORY);
		fd = openat(folders[i], "file", O_RDWR | O_CREAT, 0600);
		close(fd);
	}
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	if (bind(listener, (struct sockaddr *)&a, sizeof(a)) != 0 || listen(listener, 64) != 0 ||
	    getsockname(listener, (struct sockaddr *)&a, &len) != 0)
		return -1;
	port = ntohs(a.sin_port);
	sibling = fork();
	if (sibling == 0)
		for (;;)
			pause();
	return 0;
}

static int teardown(void **state)
{
	char path[64];

	(void)state;
	kill(sibling, SIGKILL);
	waitpid(sibling, NULL, 0);
	for (int i = 0; i < ROLE_FOLDERS; i++) {
		unlinkat(folders[i], "file", 0);
		snprintf(path, sizeof(path), "%s/%d", place, i);
		rmdir(path);
	}
	snprintf(path, sizeof(path), "%s/victim", place);
	unlink(path);
	rmdir(place);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(probes_work_without_walls),
	        cmocka_unit_test(no_role_can),
	        cmocka_unit_test(the_reader_of_the_configuration_cannot),
	        cmocka_unit_test(master_cannot_trace),
	        cmocka_unit_test(a_role_reads_and_writes_its_folders_only),
	        cmocka_unit_test(a_role_accepts_only_with_the_right),
	        cmocka_unit_test(the_rows_keep_the_promises),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, setup, teardown);
}
