#include "sys/process.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/memory.h"

extern char **environ;

enum result process_open_self(int *ret_exe, struct why *why)
{
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return why_set(why, FAILED, "cannot open this program's own file: %s",
		               strerror(errno));
	*ret_exe = fd;
	return OK;
}

static bool become(const struct process_start *s)
{
	return !s->change_user ||
	       (setgroups(1, &s->gid) == 0 && setresgid(s->gid, s->gid, s->gid) == 0 &&
	        setresuid(s->uid, s->uid, s->uid) == 0);
}

/* ---- the environment: what an operator keeps in his is none of a role's business ---- */

static bool is_passed_on(const char *variable)
{
	static const char *const names[] = {
	        "TZ=",   "TZDIR=",   "LANG=",         "LC_",           "PATH=",
	        "LD_",   "GLIBC_",   "ASAN_OPTIONS=", "LSAN_OPTIONS=", "UBSAN_OPTIONS=",
	        "LLVM_", "HIKYAKU_",
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (strncmp(variable, names[i], strlen(names[i])) == 0)
			return true;
	return false;
}

static char **make_environment(void)
{
	size_t count = 0, kept = 0;
	char **ret;

	while (environ && environ[count])
		count++;
	ret = memory_get((count + 1) * sizeof(*ret));
	for (size_t i = 0; i < count; i++)
		if (is_passed_on(environ[i]))
			ret[kept++] = environ[i];
	ret[kept] = NULL;
	return ret;
}

/* No role reads the terminal that master was started on. */
static void drop_terminal(void)
{
	int null = open("/dev/null", O_RDWR);

	if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0)
		_exit(126);
}

/* In the child, after fork: only calls that are safe there. Does not return. */
static void execute(const struct process_start *s, pid_t parent, char **environment)
{
	sigset_t none;
	int exe = fcntl(s->exe, F_DUPFD_CLOEXEC, 10);
	int fd = fcntl(s->fd, F_DUPFD_CLOEXEC, 10);

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	for (int number = 1; number < 32; number++)
		if (number != SIGKILL && number != SIGSTOP)
			signal(number, SIG_DFL);
	drop_terminal();
	if (exe < 0 || fd < 0 || dup2(fd, 3) != 3 || !become(s))
		_exit(126);
	close_range(4, ~0U, CLOSE_RANGE_CLOEXEC);
	/* After the change of user, which clears it; the parent may have died before. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(126);
	fexecve(exe, (char *const *)(uintptr_t)s->argv, environment);
	_exit(127);
}

enum result process_start(const struct process_start *s, struct process *ret, struct why *why)
{
	char **environment = make_environment();
	pid_t parent = getpid();
	pid_t pid = fork();
	int pidfd;

	if (pid == 0)
		execute(s, parent, environment);
	memory_free(environment);
	if (pid < 0)
		return why_set(why, FAILED, "cannot start a process: %s", strerror(errno));
	pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (pidfd < 0) {
		(void)why_set(why, FAILED, "cannot watch a process: %s", strerror(errno));
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		return FAILED;
	}
	*ret = (struct process){pid, pidfd};
	return OK;
}

void process_signal(const struct process *p, int number)
{
	(void)syscall(SYS_pidfd_send_signal, p->pidfd, number, NULL, 0);
}

static void describe(int status, char ret[64])
{
	const char *name;

	if (WIFEXITED(status)) {
		snprintf(ret, 64, "exited with %d", WEXITSTATUS(status));
		return;
	}
	name = sigabbrev_np(WTERMSIG(status));
	snprintf(ret, 64, "killed by SIG%s", name ? name : "?");
}

bool process_ended(struct process *p, char ret_status[64])
{
	int status;

	if (waitpid(p->pid, &status, WNOHANG) != p->pid)
		return false;
	describe(status, ret_status);
	close(p->pidfd);
	*p = (struct process){0, -1};
	return true;
}

static bool write_all(int fd, struct bytes data)
{
	while (data.len > 0) {
		ssize_t n = write(fd, data.ptr, data.len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		data = bytes_skip(data, (size_t)n);
	}
	return true;
}

/* ---- the log ---- */

static void write_stderr(void *context, struct bytes line)
{
	(void)context;
	(void)write_all(STDERR_FILENO, line);
}

void process_log_init(struct log *ret, const char *role, unsigned worker, unsigned workers)
{
	*ret = (struct log){.write = write_stderr};
	if (workers > 1)
		snprintf(ret->who, sizeof(ret->who), "%s[%u]", role, worker);
	else
		snprintf(ret->who, sizeof(ret->who), "%s", role);
}

/* ---- memory files ---- */

enum result process_memory_file(const char *name, struct bytes data, int *ret_fd, struct why *why)
{
	int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd >= 0 && write_all(fd, data) &&
	    fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) == 0) {
		*ret_fd = fd;
		return OK;
	}
	(void)why_set(why, FAILED, "cannot make a memory file: %s", strerror(errno));
	if (fd >= 0)
		close(fd);
	return FAILED;
}

enum result process_map(int fd, struct bytes *ret, struct why *why)
{
	struct stat st;
	void *ptr;

	if (fstat(fd, &st) != 0)
		return why_set(why, FAILED, "cannot stat a memory file: %s", strerror(errno));
	if (st.st_size == 0) {
		*ret = (struct bytes){0};
		return OK;
	}
	ptr = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (ptr == MAP_FAILED)
		return why_set(why, FAILED, "cannot map a memory file: %s", strerror(errno));
	*ret = bytes_of(ptr, (size_t)st.st_size);
	return OK;
}

void process_unmap(struct bytes *mapped)
{
	if (mapped->len > 0)
		munmap((void *)(uintptr_t)mapped->ptr, mapped->len);
	*mapped = (struct bytes){0};
}
