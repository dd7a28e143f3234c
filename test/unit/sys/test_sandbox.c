/* What each right of a sandbox grants and denies, tried by children that enter it. */
#include "../test.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/memory.h"
#include "sys/loop.h"
#include "sys/sandbox.h"
#include "sys/worker.h"

struct folder {
	char path[64];
	int fd;
};

static struct folder mine, others;

enum { DID_IT = 0, KILLED = -1, NO_WALLS = 99 };

/* The probes return DID_IT or errno's value; 0 would be success. */
typedef int probe(void);

static int result_of(long value)
{
	return value >= 0 ? DID_IT : errno;
}

/* Runs the probe behind walls: DID_IT, an errno, or KILLED. */
static int behind(unsigned rights, probe *p)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		struct sandbox_folder folder = {mine.fd, rights & SANDBOX_WRITE};
		struct sandbox s = {.rights = rights, .folders = &folder, .folder_count = 1};
		struct sandbox_report report;
		struct why why;

		if (sandbox_enter(&s, &report, &why) != OK || !report.seccomp)
			_exit(NO_WALLS);
		_exit(p());
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFSIGNALED(status)) {
		assert_int_equal(WTERMSIG(status), SIGSYS);
		return KILLED;
	}
	assert_int_not_equal(WEXITSTATUS(status), NO_WALLS);
	return WEXITSTATUS(status);
}

static int open_mine(void)
{
	return result_of(openat(mine.fd, "file", O_RDONLY));
}

static int open_others(void)
{
	return result_of(openat(others.fd, "file", O_RDONLY));
}

static int open_passwd(void)
{
	return result_of(open("/etc/passwd", O_RDONLY));
}

static int write_mine(void)
{
	return result_of(openat(mine.fd, "new", O_RDWR | O_CREAT, 0600));
}

static int climb(void)
{
	return result_of(openat(mine.fd, "../", O_RDONLY | O_DIRECTORY));
}

static int make_socket(void)
{
	return result_of(socket(AF_INET, SOCK_STREAM, 0));
}

static int connect_somewhere(void)
{
	return result_of(connect(0, NULL, 0));
}

static int execute(void)
{
	char name[] = "true", *const argv[] = {name, NULL};

	return result_of(execv("/bin/true", argv));
}

static int trace_parent(void)
{
	return result_of(ptrace(PTRACE_ATTACH, getppid(), NULL, NULL));
}

static int read_parent(void)
{
	return result_of(syscall(SYS_process_vm_readv, getppid(), NULL, 0, NULL, 0, 0));
}

static int kill_parent(void)
{
	return result_of(kill(getppid(), 0));
}

static int make_process(void)
{
	pid_t pid = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);

	if (pid == 0)
		_exit(0);
	return result_of(pid);
}

static int make_code(void)
{
	return mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1,
	            0) == MAP_FAILED
	               ? errno
	               : DID_IT;
}

static int use_uring(void)
{
	return result_of(syscall(SYS_io_uring_setup, 1, NULL));
}

static void *nothing(void *context)
{
	return context;
}

static int make_thread(void)
{
	pthread_t thread;
	int error = pthread_create(&thread, NULL, nothing, NULL);

	return error ? error : pthread_join(thread, NULL);
}

static int unlisted(void)
{
	return result_of(syscall(SYS_getpriority, 0, 0));
}

static void run_jobs(void *context, struct worker_job *jobs[], size_t count)
{
	(void)context;
	(void)jobs;
	(void)count;
	memory_free(memory_get(1 << 20));
}

static void job_done(void *context, struct worker_job *job)
{
	(void)job;
	loop_stop(context);
}

/* What every role does all day must work in the narrowest walls. */
static int ordinary_day(void)
{
	struct loop *loop = loop_new();
	struct worker_ops ops = {.run = run_jobs, .done = job_done};
	struct worker_job job;
	struct worker *w = worker_new(loop, "day", 2, 1, &ops, loop);
	char *p = memory_get(10 << 20);

	memset(p, 1, 10 << 20);
	memory_free(p);
	worker_put(w, &job);
	loop_run(loop);
	worker_free(&w);
	loop_free(&loop);
	return write(2, "", 0) == 0 ? DID_IT : errno;
}

/* ---- what a taken-over front may not do with the sockets that it has ---- */

static int listener = -1, target = -1; /* the front's, and somebody's who must not be called */
static struct sockaddr_in target_address;

static int listen_somewhere(struct sockaddr_in *ret)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	socklen_t len = sizeof(*ret);

	*ret = (struct sockaddr_in){.sin_family = AF_INET,
	                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	assert_int_equal(bind(fd, (struct sockaddr *)ret, len), 0);
	assert_int_equal(listen(fd, 5), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)ret, &len), 0);
	return fd;
}

/* A listening socket that is shut down is an unconnected one, and TCP Fast Open connects without connect(). */
static int call_out(void)
{
	ssize_t n;

	(void)shutdown(listener, SHUT_RDWR);
	n = sendto(listener, "x", 1, MSG_FASTOPEN | MSG_NOSIGNAL,
	           (struct sockaddr *)&target_address, sizeof(target_address));
	return n < 0 && errno != EINPROGRESS ? errno : DID_IT;
}

static int send_to_an_address(void)
{
	return result_of(sendto(listener, "x", 1, MSG_NOSIGNAL, (struct sockaddr *)&target_address,
	                        sizeof(target_address)));
}

static int end_listening(void)
{
	return result_of(shutdown(listener, SHUT_RDWR));
}

/* A filter that drops all would stay with the shared socket when the front is started anew. */
static int deafen(void)
{
	struct sock_filter drop = BPF_STMT(BPF_RET | BPF_K, 0);
	struct sock_fprog program = {1, &drop};

	return result_of(
	        setsockopt(listener, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)));
}

static int use_a_connection(void)
{
	int ends[2] = {listener, listener}, one = 1;

	if (setsockopt(ends[0], IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) != 0 ||
	    setsockopt(ends[0], IPPROTO_TCP, TCP_QUICKACK, &one, sizeof(one)) != 0)
		return errno;
	/* Not connected, but asked the kernel: a listening socket does not mind this half. */
	if (shutdown(listener, SHUT_WR) != 0 && errno != ENOTCONN)
		return errno;
	return send(listener, "x", 1, MSG_NOSIGNAL) < 0 && errno != EPIPE && errno != ENOTCONN
	               ? errno
	               : DID_IT;
}

static void sockets_do_only_what_they_are_for(void **state)
{
	struct sockaddr_in own;
	struct pollfd called;
	int client;

	(void)state;
	listener = listen_somewhere(&own);
	target = listen_somewhere(&target_address);
	called = (struct pollfd){.fd = target, .events = POLLIN};
	assert_int_not_equal(behind(SANDBOX_ACCEPT, call_out), DID_IT);
	assert_int_equal(poll(&called, 1, 50), 0);
	assert_int_equal(behind(SANDBOX_ACCEPT, send_to_an_address), ENOSYS);
	assert_int_equal(behind(SANDBOX_ACCEPT, end_listening), ENOSYS);
	assert_int_equal(behind(SANDBOX_ACCEPT, deafen), ENOSYS);
	assert_int_equal(behind(SANDBOX_ACCEPT, use_a_connection), DID_IT);
	/* Whatever it did, the next front finds a listening socket. */
	client = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(connect(client, (struct sockaddr *)&own, sizeof(own)), 0);
	close(client);
	close(target);
	close(listener);
}

static void nothing_is_granted_by_default(void **state)
{
	(void)state;
	assert_int_equal(behind(0, open_mine), EACCES);
	assert_int_equal(behind(0, open_passwd), EACCES);
	assert_int_equal(behind(0, write_mine), EACCES);
	assert_int_equal(behind(0, unlisted), ENOSYS);
	assert_int_not_equal(behind(0, make_thread), DID_IT);
	assert_int_not_equal(behind(0, make_code), DID_IT);
	assert_int_not_equal(behind(0, make_process), DID_IT);
}

static void dangerous_calls_kill(void **state)
{
	static const unsigned rights[] = {0, SANDBOX_ACCEPT, SANDBOX_READ,
	                                  SANDBOX_READ | SANDBOX_WRITE | SANDBOX_THREADS};
	static probe *const probes[] = {make_socket, connect_somewhere, execute,  trace_parent,
	                                read_parent, kill_parent,       use_uring};

	(void)state;
	for (size_t r = 0; r < sizeof(rights) / sizeof(*rights); r++)
		for (size_t p = 0; p < sizeof(probes) / sizeof(*probes); p++)
			assert_int_equal(behind(rights[r], probes[p]), KILLED);
}

static void reading_is_held_to_its_folder(void **state)
{
	(void)state;
	assert_int_equal(behind(SANDBOX_READ, open_mine), DID_IT);
	assert_int_equal(behind(SANDBOX_READ, write_mine), EACCES);
	assert_int_equal(behind(SANDBOX_READ | SANDBOX_WRITE, write_mine), DID_IT);
}

static void landlock_keeps_other_folders_closed(void **state)
{
	struct sandbox_report here;

	(void)state;
	sandbox_probe(&here);
	if (here.landlock_abi == 0) {
		skip();
		return;
	}
	assert_int_equal(behind(SANDBOX_READ, open_others), EACCES);
	assert_int_equal(behind(SANDBOX_READ, open_passwd), EACCES);
	assert_int_equal(behind(SANDBOX_READ | SANDBOX_WRITE, open_passwd), EACCES);
	assert_int_equal(behind(SANDBOX_READ, climb), EACCES);
}

static void threads_need_their_right(void **state)
{
	(void)state;
	assert_int_equal(behind(SANDBOX_THREADS, make_thread), DID_IT);
	assert_int_not_equal(behind(SANDBOX_THREADS, make_process), DID_IT);
	assert_int_equal(behind(SANDBOX_THREADS, ordinary_day), DID_IT);
}

/* TCP and nothing else, and nobody listens. */
static int make_udp(void)
{
	return result_of(socket(AF_INET, SOCK_DGRAM, 0));
}

static int make_unix(void)
{
	return result_of(socket(AF_UNIX, SOCK_STREAM, 0));
}

static int listen_there(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	return result_of(listen(fd, 1));
}

static void connecting_is_tcp_only(void **state)
{
	(void)state;
	assert_int_equal(behind(SANDBOX_CONNECT, make_socket), DID_IT);
	assert_int_not_equal(behind(SANDBOX_CONNECT, make_udp), DID_IT);
	assert_int_not_equal(behind(SANDBOX_CONNECT, make_unix), DID_IT);
	assert_int_not_equal(behind(SANDBOX_CONNECT, listen_there), DID_IT);
	assert_int_not_equal(behind(SANDBOX_CONNECT, execute), DID_IT);
	assert_int_not_equal(behind(SANDBOX_CONNECT, open_passwd), DID_IT);
}

/* UDP, and TCP to the ports that are named where the kernel can tell; TCP Fast Open is no way around them. */
static uint16_t open_port;

static int ports_probe(probe *p, bool kernel_has_ports)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		const uint16_t ports[] = {53, open_port};
		struct sandbox s = {.rights = SANDBOX_CONNECT | SANDBOX_DATAGRAM,
		                    .ports = ports,
		                    .port_count = open_port ? 2 : 1};
		struct sandbox_report report;
		struct why why;

		if (sandbox_enter(&s, &report, &why) != OK || report.ports != kernel_has_ports)
			_exit(NO_WALLS);
		_exit(p());
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_false(WIFEXITED(status) && WEXITSTATUS(status) == NO_WALLS);
	return WIFEXITED(status) ? WEXITSTATUS(status) : KILLED;
}

static struct sockaddr_in there;

static int connect_target(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	return result_of(connect(fd, (struct sockaddr *)&there, sizeof(there)));
}

static int fast_open_target(void)
{
	struct iovec part = {(void *)(uintptr_t) "x", 1};
	struct msghdr m = {.msg_name = &there,
	                   .msg_namelen = sizeof(there),
	                   .msg_iov = &part,
	                   .msg_iovlen = 1};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (sendto(fd, "x", 1, MSG_FASTOPEN, (struct sockaddr *)&there, sizeof(there)) == 1)
		return DID_IT;
	return result_of(sendmsg(fd, &m, MSG_FASTOPEN));
}

static int bind_any_port(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	return result_of(bind(fd, (struct sockaddr *)&a, sizeof(a)));
}

static int bind_there(void)
{
	struct sockaddr_in a = there;
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1);
	return result_of(bind(fd, (struct sockaddr *)&a, sizeof(a)));
}

static int send_datagram(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	return result_of(sendto(fd, "x", 1, 0, (struct sockaddr *)&there, sizeof(there)));
}

static void resolving_is_udp_and_tcp_to_its_ports(void **state)
{
	socklen_t len = sizeof(there);
	int server = socket(AF_INET, SOCK_STREAM, 0);
	struct sandbox_report report;
	bool ports;

	(void)state;
	sandbox_probe(&report);
	ports = report.ports;
	there = (struct sockaddr_in){.sin_family = AF_INET};
	there.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(server, (struct sockaddr *)&there, sizeof(there)), 0);
	assert_int_equal(listen(server, 5), 0);
	assert_int_equal(getsockname(server, (struct sockaddr *)&there, &len), 0);
	open_port = 0;
	assert_int_equal(ports_probe(connect_target, ports), ports ? EACCES : DID_IT);
	assert_int_not_equal(ports_probe(fast_open_target, ports), DID_IT);
	assert_int_equal(ports_probe(send_datagram, ports), DID_IT);
	/* An address to connect from, but no port of one's own. */
	assert_int_equal(ports_probe(bind_any_port, ports), DID_IT);
	assert_int_equal(ports_probe(bind_there, ports), ports ? EACCES : DID_IT);
	assert_int_not_equal(ports_probe(make_unix, ports), DID_IT);
	assert_int_not_equal(ports_probe(listen_there, ports), DID_IT);
	assert_int_not_equal(ports_probe(execute, ports), DID_IT);
	assert_int_not_equal(ports_probe(open_passwd, ports), DID_IT);
	open_port = ntohs(there.sin_port);
	assert_int_equal(ports_probe(connect_target, ports), DID_IT);
	close(server);
}

static void master_may_not_trace(void **state)
{
	(void)state;
	assert_int_equal(behind(SANDBOX_MASTER, trace_parent), EPERM);
	assert_int_equal(behind(SANDBOX_MASTER, open_passwd), DID_IT);
}

/* An older kernel: Landlock's calls are not there. */
static bool forget_landlock(void)
{
	scmp_filter_ctx f = seccomp_init(SCMP_ACT_ALLOW);
	bool done = f &&
	            seccomp_rule_add(f, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(landlock_create_ruleset),
	                             0) == 0 &&
	            seccomp_load(f) == 0;

	seccomp_release(f);
	return done;
}

static void without_landlock_seccomp_stands_alone(void **state)
{
	pid_t pid = fork();
	int status;

	(void)state;
	if (pid == 0) {
		struct sandbox s = {0};
		struct sandbox_report report;
		struct why why;

		if (!forget_landlock() || sandbox_enter(&s, &report, &why) != OK)
			_exit(1);
		if (!report.seccomp || report.landlock_abi != 0 || report.ports || report.scoped)
			_exit(2); /* the report must say what is missing */
		_exit(open_mine() == EACCES && open_passwd() == EACCES ? 0 : 3);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void make_folder(struct folder *f)
{
	int fd;

	snprintf(f->path, sizeof(f->path), "/tmp/hikyaku-walls-XXXXXX");
	assert_non_null(mkdtemp(f->path));
	f->fd = open(f->path, O_RDONLY | O_DIRECTORY);
	fd = openat(f->fd, "file", O_RDWR | O_CREAT, 0644);
	close(fd);
}

static void remove_folder(struct folder *f)
{
	unlinkat(f->fd, "file", 0);
	unlinkat(f->fd, "new", 0);
	close(f->fd);
	rmdir(f->path);
}

static int setup(void **state)
{
	(void)state;
	unsetenv("HIKYAKU_WALLS");
	make_folder(&mine);
	make_folder(&others);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	remove_folder(&mine);
	remove_folder(&others);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(nothing_is_granted_by_default),
	        cmocka_unit_test(dangerous_calls_kill),
	        cmocka_unit_test(reading_is_held_to_its_folder),
	        cmocka_unit_test(landlock_keeps_other_folders_closed),
	        cmocka_unit_test(threads_need_their_right),
	        cmocka_unit_test(connecting_is_tcp_only),
	        cmocka_unit_test(resolving_is_udp_and_tcp_to_its_ports),
	        cmocka_unit_test(master_may_not_trace),
	        cmocka_unit_test(without_landlock_seccomp_stands_alone),
	        cmocka_unit_test(sockets_do_only_what_they_are_for),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, setup, teardown);
}
