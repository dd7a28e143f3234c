#include "sys/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <seccomp.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <termios.h>
#include <unistd.h>

#include "sys/landlock.h"

/* The filter of a role is the sum of the rows below that its rights name. What no row names gets ENOSYS, so that
 * libc falls back to older calls (clone3 to clone, statx to fstat); what `dangerous` names kills, unless a right granted it.
 *
 * Checked by argument, in add_checked(): clone, mmap, mprotect, tgkill, fcntl, ioctl, prctl, prlimit64, sendto, shutdown,
 * setsockopt. */

#define CALL(name) SCMP_SYS(name)
enum { CALLS_END = -1000000 };

/* clang-format off */
static const int calls_always[] = {
	/* memory */
	CALL(brk), CALL(munmap), CALL(mremap), CALL(madvise),
	/* descriptors that are open already */
	CALL(read), CALL(write), CALL(readv), CALL(writev), CALL(pread64), CALL(pwrite64),
	CALL(close), CALL(close_range), CALL(fstat), CALL(newfstatat), CALL(lseek), CALL(dup),
	CALL(dup3), CALL(pipe2), CALL(eventfd2), CALL(timerfd_create), CALL(timerfd_settime),
	CALL(timerfd_gettime), CALL(memfd_create), CALL(ftruncate),
	/* sockets that are open already: channels, connections. No sendmsg: descriptors come from master only. */
	CALL(recvfrom), CALL(recvmsg), CALL(getsockname), CALL(getpeername), CALL(getsockopt),
	/* waiting */
	CALL(epoll_create1), CALL(epoll_ctl), CALL(epoll_wait), CALL(epoll_pwait),
	CALL(epoll_pwait2), CALL(poll), CALL(ppoll), CALL(futex), CALL(nanosleep),
	CALL(clock_nanosleep), CALL(restart_syscall), CALL(sched_yield),
	/* time, chance, self */
	CALL(clock_gettime), CALL(clock_getres), CALL(gettimeofday), CALL(time), CALL(getrandom),
	CALL(getpid), CALL(gettid), CALL(getppid), CALL(getuid), CALL(geteuid), CALL(getgid),
	CALL(getegid), CALL(uname), CALL(sysinfo), CALL(getrusage), CALL(getcpu),
	CALL(sched_getaffinity), CALL(rseq), CALL(set_robust_list), CALL(membarrier),
	/* signals to oneself */
	CALL(rt_sigaction), CALL(rt_sigprocmask), CALL(rt_sigreturn), CALL(sigaltstack), CALL(exit),
	CALL(exit_group), CALLS_END,
};

static const int calls_accept[] = {
	CALL(accept4), CALLS_END
};

/* socket() is looked into: add_connecting(). bind() chooses the address to connect from; nothing can listen. */
static const int calls_connect[] = {
	CALL(connect), CALL(bind), CALLS_END
};

static const int calls_read[] = {
	CALL(openat),     CALL(open),      CALL(getdents64), CALL(statx),      CALL(stat),
	CALL(lstat),      CALL(access),    CALL(faccessat),  CALL(faccessat2), CALL(readlink),
	CALL(readlinkat), CALL(fadvise64), CALL(preadv),     CALL(flock),      CALL(statfs),
	CALL(fstatfs),    CALLS_END,
};

static const int calls_write[] = {
	CALL(fsync),   CALL(fdatasync), CALL(sync_file_range), CALL(fallocate), CALL(pwritev),
	CALL(rename),    CALL(renameat),        CALL(renameat2), CALL(unlink),  CALL(unlinkat),
	CALL(mkdir),           CALL(mkdirat), CALL(fchmod),  CALL(umask),     CALL(utimensat),
	CALLS_END,
};

/* Kills, unless granted. io_uring is here because it goes around this very filter. */
static const int calls_dangerous[] = {
	CALL(execve), CALL(execveat), CALL(fork), CALL(vfork), CALL(ptrace), CALL(process_vm_readv),
	CALL(process_vm_writev), CALL(process_madvise), CALL(kcmp), CALL(pidfd_open),
	CALL(pidfd_getfd), CALL(pidfd_send_signal), CALL(kill), CALL(tkill), CALL(rt_sigqueueinfo),
	CALL(rt_tgsigqueueinfo), CALL(socket), CALL(socketpair), CALL(connect), CALL(bind),
	CALL(listen), CALL(accept), CALL(accept4), CALL(sendmsg), CALL(sendmmsg),
	CALL(io_uring_setup), CALL(io_uring_enter), CALL(io_uring_register), CALL(setuid),
	CALL(setgid), CALL(setreuid), CALL(setregid), CALL(setresuid), CALL(setresgid),
	CALL(setgroups), CALL(setfsuid), CALL(setfsgid), CALL(capset), CALL(chroot),
	CALL(pivot_root), CALL(mount), CALL(umount2), CALL(unshare), CALL(setns), CALL(bpf),
	CALL(perf_event_open), CALL(userfaultfd), CALL(init_module), CALL(finit_module),
	CALL(delete_module), CALL(kexec_load), CALL(kexec_file_load), CALL(reboot), CALL(swapon),
	CALL(swapoff), CALL(keyctl), CALL(add_key), CALL(request_key), CALL(open_by_handle_at),
	CALL(name_to_handle_at), CALL(personality), CALL(iopl), CALL(ioperm), CALL(modify_ldt),
	CALL(settimeofday), CALL(clock_settime), CALL(sethostname), CALL(chown), CALL(fchown),
	CALL(lchown), CALL(fchownat), CALL(mknod), CALL(mknodat), CALL(symlink), CALL(symlinkat),
	CALL(link), CALL(linkat), CALLS_END,
};

/* Opening files is refused, not deadly: malloc, the resolver of time zones and OpenSSL look for optional files. */
static const int calls_refused[] = {
	CALL(open),      CALL(openat),     CALL(openat2), CALL(creat),    CALL(access),
	CALL(faccessat), CALL(faccessat2), CALL(stat),    CALL(lstat),    CALL(statx),
	CALL(readlink),  CALL(readlinkat), CALL(unlink),  CALL(unlinkat), CALL(rename),
	CALL(renameat),  CALL(renameat2),  CALL(mkdir),   CALL(mkdirat),  CALL(rmdir), CALL(chdir),
	CALL(fchdir),     CALL(chmod),   CALL(fchmodat), CALL(truncate), CALLS_END,
};

/* What master and, through it, every role is denied. Not connect(): the courier needs it, and a filter is inherited. */
static const int calls_denied_master[] = {
	CALL(ptrace), CALL(process_vm_readv), CALL(process_vm_writev), CALL(bpf),
	CALL(perf_event_open), CALL(userfaultfd), CALL(init_module), CALL(finit_module),
	CALL(delete_module), CALL(kexec_load), CALL(kexec_file_load), CALL(reboot), CALL(mount),
	CALL(umount2), CALL(pivot_root), CALL(setns), CALL(open_by_handle_at), CALL(io_uring_setup),
	CALL(keyctl), CALL(add_key), CALL(request_key), CALL(pidfd_getfd), CALLS_END,
};
/* clang-format on */

static bool in_list(const int *calls, int call)
{
	for (; *calls != CALLS_END; calls++)
		if (*calls == call)
			return true;
	return false;
}

static bool is_granted(unsigned rights, int call)
{
	return in_list(calls_always, call) ||
	       (rights & SANDBOX_ACCEPT && in_list(calls_accept, call)) ||
	       (rights & (SANDBOX_CONNECT | SANDBOX_DATAGRAM) &&
	        (in_list(calls_connect, call) || call == CALL(socket))) ||
	       (rights & SANDBOX_DATAGRAM && call == CALL(sendmsg)) ||
	       (rights & (SANDBOX_READ | SANDBOX_WRITE) && in_list(calls_read, call)) ||
	       (rights & SANDBOX_WRITE && in_list(calls_write, call));
}

/* Calls that this architecture lacks have negative numbers; libseccomp takes them as no-ops or says EDOM. */
static bool add(scmp_filter_ctx f, uint32_t action, int call)
{
	int status = seccomp_rule_add(f, action, call, 0);

	return status == 0 || (call < 0 && status == -EDOM);
}

static bool add_list(scmp_filter_ctx f, uint32_t action, const int *calls)
{
	for (; *calls != CALLS_END; calls++)
		if (!add(f, action, *calls))
			return false;
	return true;
}

static bool add_list_except(scmp_filter_ctx f, uint32_t action, const int *calls, unsigned rights)
{
	for (; *calls != CALLS_END; calls++)
		if (!is_granted(rights, *calls) && !add(f, action, *calls))
			return false;
	return true;
}

/* Allows the call when (argument & mask) == value. */
static bool add_when(scmp_filter_ctx f, int call, unsigned nth, uint64_t mask, uint64_t value)
{
	struct scmp_arg_cmp when = {
	        .arg = nth, .op = SCMP_CMP_MASKED_EQ, .datum_a = mask, .datum_b = value};

	return seccomp_rule_add(f, SCMP_ACT_ALLOW, call, 1, when) == 0;
}

static bool add_equals(scmp_filter_ctx f, int call, unsigned nth, const uint64_t *values,
                       size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct scmp_arg_cmp when = {.arg = nth, .op = SCMP_CMP_EQ, .datum_a = values[i]};

		if (seccomp_rule_add(f, SCMP_ACT_ALLOW, call, 1, when) != 0)
			return false;
	}
	return true;
}

/* What libunbound sets on its own sockets. A role with this right has no listening ones. */
static const struct {
	int level, name;
} datagram_options[] = {
        {SOL_SOCKET, SO_REUSEADDR},    {SOL_SOCKET, SO_REUSEPORT},
        {SOL_SOCKET, SO_RCVBUF},       {SOL_SOCKET, SO_SNDBUF},
        {IPPROTO_IP, IP_MTU_DISCOVER}, {IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT},
        {IPPROTO_IPV6, IPV6_V6ONLY},   {IPPROTO_IPV6, IPV6_MTU_DISCOVER},
        {IPPROTO_IPV6, IPV6_MTU},      {IPPROTO_TCP, TCP_MAXSEG},
};

/* Sends to an address, but never with MSG_FASTOPEN: that would be a TCP connect that Landlock's ports do not see. libunbound
 * tries it (sendmsg) and takes EPIPE as "not on this machine". */
static bool add_datagrams(scmp_filter_ctx f)
{
	struct scmp_arg_cmp to = {
	        .arg = 3, .op = SCMP_CMP_MASKED_EQ, .datum_a = MSG_FASTOPEN, .datum_b = 0};
	struct scmp_arg_cmp message = {
	        .arg = 2, .op = SCMP_CMP_MASKED_EQ, .datum_a = MSG_FASTOPEN, .datum_b = 0};
	struct scmp_arg_cmp fast = {.arg = 2,
	                            .op = SCMP_CMP_MASKED_EQ,
	                            .datum_a = MSG_FASTOPEN,
	                            .datum_b = MSG_FASTOPEN};
	bool done = seccomp_rule_add_array(f, SCMP_ACT_ALLOW, CALL(sendto), 1, &to) == 0 &&
	            seccomp_rule_add_array(f, SCMP_ACT_ALLOW, CALL(sendmsg), 1, &message) == 0 &&
	            seccomp_rule_add_array(f, SCMP_ACT_ERRNO(EPIPE), CALL(sendmsg), 1, &fast) == 0;

	for (size_t i = 0; done && i < sizeof(datagram_options) / sizeof(*datagram_options); i++) {
		struct scmp_arg_cmp option[] = {
		        {.arg = 1,
		         .op = SCMP_CMP_EQ,
		         .datum_a = (uint64_t)datagram_options[i].level},
		        {.arg = 2,
		         .op = SCMP_CMP_EQ,
		         .datum_a = (uint64_t)datagram_options[i].name},
		};

		done = seccomp_rule_add_array(f, SCMP_ACT_ALLOW, CALL(setsockopt), 2, option) == 0;
	}
	return done;
}

/* Sending has no address: with one, TCP Fast Open connects a socket that was shut down, around connect() and, on many kernels,
 * Landlock. Only the sending half is shut down, and no option but these is set: listening sockets are shared with master and
 * those who come after, so what a taken-over role does to them would stay. */
static bool add_sockets(scmp_filter_ctx f, unsigned rights)
{
	static const int options[] = {TCP_NODELAY, TCP_QUICKACK};
	static const uint64_t half[] = {SHUT_WR};
	struct scmp_arg_cmp plain[] = {
	        {.arg = 3, .op = SCMP_CMP_MASKED_EQ, .datum_a = MSG_FASTOPEN, .datum_b = 0},
	        {.arg = 4, .op = SCMP_CMP_EQ, .datum_a = 0},
	};
	bool done = (rights & SANDBOX_DATAGRAM
	                     ? add_datagrams(f)
	                     : seccomp_rule_add_array(f, SCMP_ACT_ALLOW, CALL(sendto), 2, plain) ==
	                               0) &&
	            add_equals(f, CALL(shutdown), 1, half, 1);

	for (size_t i = 0; done && i < sizeof(options) / sizeof(*options); i++) {
		struct scmp_arg_cmp option[] = {
		        {.arg = 1, .op = SCMP_CMP_EQ, .datum_a = IPPROTO_TCP},
		        {.arg = 2, .op = SCMP_CMP_EQ, .datum_a = (uint64_t)options[i]},
		};

		done = seccomp_rule_add_array(f, SCMP_ACT_ALLOW, CALL(setsockopt), 2, option) == 0;
	}
	return done;
}

static bool add_checked(scmp_filter_ctx f, unsigned rights)
{
	static const uint64_t fcntls[] = {F_GETFD,         F_SETFD,     F_GETFL,     F_SETFL,
	                                  F_DUPFD_CLOEXEC, F_ADD_SEALS, F_GET_SEALS, F_SETLK,
	                                  F_GETLK,         F_OFD_SETLK, F_OFD_GETLK};
	static const uint64_t ioctls[] = {FIONBIO, FIONREAD, FIOCLEX, TCGETS};
	static const uint64_t prctls[] = {PR_SET_NAME, PR_GET_NAME, PR_GET_DUMPABLE,
	                                  0x53564d41 /* PR_SET_VMA */};
	const uint64_t self[] = {(uint64_t)getpid()};
	const uint64_t no_limit_set[] = {0};

	/* No new code: nothing becomes executable any more. */
	return add_when(f, CALL(mmap), 2, PROT_EXEC, 0) &&
	       add_when(f, CALL(mprotect), 2, PROT_EXEC, 0) &&
	       /* A thread, never a process. clone3 cannot be looked into and stays ENOSYS. */
	       (!(rights & SANDBOX_THREADS) ||
	        add_when(f, CALL(clone), 0, CLONE_THREAD, CLONE_THREAD)) &&
	       add_equals(f, CALL(tgkill), 0, self, 1) &&
	       add_equals(f, CALL(fcntl), 1, fcntls, sizeof(fcntls) / sizeof(*fcntls)) &&
	       add_equals(f, CALL(ioctl), 1, ioctls, sizeof(ioctls) / sizeof(*ioctls)) &&
	       add_equals(f, CALL(prctl), 0, prctls, sizeof(prctls) / sizeof(*prctls)) &&
	       add_equals(f, CALL(prlimit64), 2, no_limit_set, 1) && add_sockets(f, rights);
}

/* Sockets of this kind over IPv4 and IPv6; others (netlink, raw, UNIX) stay closed, without killing. */
static bool add_socket_kind(scmp_filter_ctx f, uint64_t kind)
{
	static const int families[] = {AF_INET, AF_INET6};
	bool done = true;

	for (size_t i = 0; done && i < sizeof(families) / sizeof(*families); i++) {
		struct scmp_arg_cmp which[] = {
		        {.arg = 0, .op = SCMP_CMP_EQ, .datum_a = (uint64_t)families[i]},
		        {.arg = 1, .op = SCMP_CMP_MASKED_EQ, .datum_a = 0xf, .datum_b = kind},
		};

		done = seccomp_rule_add_array(f, SCMP_ACT_ALLOW, CALL(socket), 2, which) == 0;
	}
	return done;
}

static bool add_connecting(scmp_filter_ctx f, unsigned rights)
{
	return (!(rights & SANDBOX_CONNECT) || add_socket_kind(f, SOCK_STREAM)) &&
	       (!(rights & SANDBOX_DATAGRAM) || add_socket_kind(f, SOCK_DGRAM)) &&
	       add_list(f, SCMP_ACT_ALLOW, calls_connect);
}

static bool fill_role(scmp_filter_ctx f, unsigned rights)
{
	return add_list(f, SCMP_ACT_ALLOW, calls_always) &&
	       (!(rights & SANDBOX_ACCEPT) || add_list(f, SCMP_ACT_ALLOW, calls_accept)) &&
	       (!(rights & (SANDBOX_CONNECT | SANDBOX_DATAGRAM)) || add_connecting(f, rights)) &&
	       (!(rights & (SANDBOX_READ | SANDBOX_WRITE)) ||
	        add_list(f, SCMP_ACT_ALLOW, calls_read)) &&
	       (!(rights & SANDBOX_WRITE) || add_list(f, SCMP_ACT_ALLOW, calls_write)) &&
	       add_checked(f, rights) &&
	       add_list_except(f, SCMP_ACT_KILL_PROCESS, calls_dangerous, rights) &&
	       add_list_except(f, SCMP_ACT_ERRNO(EACCES), calls_refused, rights);
}

static enum result load_filter(unsigned rights, struct why *why)
{
	bool master = rights & SANDBOX_MASTER;
	scmp_filter_ctx f = seccomp_init(master ? SCMP_ACT_ALLOW : SCMP_ACT_ERRNO(ENOSYS));
	int status = f ? 0 : -ENOMEM;
	bool filled = f && (master ? add_list(f, SCMP_ACT_ERRNO(EPERM), calls_denied_master)
	                           : fill_role(f, rights));

	if (filled) {
		(void)seccomp_attr_set(f, SCMP_FLTATR_CTL_OPTIMIZE, 2);
		(void)seccomp_attr_set(f, SCMP_FLTATR_CTL_TSYNC, 1); /* threads of warm() too */
		status = seccomp_load(f);
	}
	if (f)
		seccomp_release(f);
	if (!filled)
		return why_set(why, FAILED, "cannot build the seccomp filter");
	if (status != 0)
		return why_set(why, FAILED, "cannot load the seccomp filter: %s",
		               strerror(-status));
	return OK;
}

/* ---- Landlock, by its three system calls ---- */

/* Rights by the ABI that brought them: what an older kernel does not know must not be named. */
static uint64_t file_rights(int abi)
{
	uint64_t rights = LANDLOCK_FILES_ABI_1;

	if (abi >= 2)
		rights |= LANDLOCK_FILE_REFER;
	if (abi >= 3)
		rights |= LANDLOCK_FILE_TRUNCATE;
	if (abi >= 5)
		rights |= LANDLOCK_FILE_IOCTL;
	return rights;
}

static int landlock_abi(void)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_VERSION);

	return abi < 0 ? 0 : (int)abi;
}

static bool landlock_allow(int rules, const struct sandbox_folder *folder, uint64_t handled)
{
	struct landlock_folder rule = {
	        .allowed = folder->write ? handled & ~LANDLOCK_FILE_EXECUTE
	                                 : LANDLOCK_FILE_READ | LANDLOCK_FOLDER_READ,
	        .fd = folder->fd,
	};

	return syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_FOLDER, &rule, 0) == 0;
}

static bool landlock_allow_port(int rules, uint64_t right, uint16_t port)
{
	struct landlock_port rule = {right, port};

	return syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PORT, &rule, 0) == 0;
}

/* Port 0 stands for any that the kernel chooses: that is how an address to connect from is bound. */
static bool landlock_allow_ports(int rules, const struct sandbox *s)
{
	bool done = s->port_count == 0 || landlock_allow_port(rules, LANDLOCK_PORT_BIND, 0);

	for (size_t i = 0; done && i < s->port_count; i++)
		done = landlock_allow_port(rules, LANDLOCK_PORT_CONNECT, s->ports[i]);
	return done;
}

/* Who may connect to any port may choose the address that it does so from, which is a bind. */
static uint64_t port_rights(const struct sandbox *s, int abi)
{
	bool any = s->rights & SANDBOX_CONNECT && s->port_count == 0;

	return abi >= 4 && !any ? LANDLOCK_PORT_BIND | LANDLOCK_PORT_CONNECT : 0;
}

static bool landlock_enter(const struct sandbox *s, int abi)
{
	struct landlock_rules attr = {
	        .files = file_rights(abi),
	        .ports = port_rights(s, abi),
	        .scoped = abi >= 6 ? LANDLOCK_SCOPE_SOCKETS | LANDLOCK_SCOPE_SIGNALS : 0,
	};
	size_t size = abi >= 6 ? sizeof(attr) : abi >= 4 ? 16 : 8;
	int rules = (int)syscall(SYS_landlock_create_ruleset, &attr, size, 0);
	bool done = rules >= 0;

	for (size_t i = 0; done && i < s->folder_count; i++)
		done = landlock_allow(rules, &s->folders[i], attr.files);
	if (done && attr.ports)
		done = landlock_allow_ports(rules, s);
	done = done && syscall(SYS_landlock_restrict_self, rules, 0) == 0;
	if (rules >= 0)
		close(rules);
	return done;
}

void sandbox_probe(struct sandbox_report *ret)
{
	int abi = landlock_abi();

	*ret = (struct sandbox_report){
	        .seccomp = seccomp_api_get() > 0 && prctl(PR_GET_SECCOMP) >= 0,
	        .landlock_abi = abi,
	        .ports = abi >= 4,
	        .scoped = abi >= 6,
	};
}

/* ---- entering ---- */

void sandbox_raise_files(void)
{
	struct rlimit l;

	if (getrlimit(RLIMIT_NOFILE, &l) == 0) {
		l.rlim_cur = l.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &l);
	}
}

static void set_limit(int which, uint64_t value)
{
	struct rlimit l = {value, value};

	(void)setrlimit(which, &l);
}

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED
#endif
#endif

static bool walls_off(void)
{
#ifdef SANITIZED
	const char *value = getenv("HIKYAKU_WALLS");

	return value && strcmp(value, "off") == 0;
#else
	return false;
#endif
}

static enum result enter(const struct sandbox *s, struct sandbox_report *ret, struct why *why)
{
	bool master = s->rights & SANDBOX_MASTER;
	enum result r;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		return why_set(why, FAILED, "cannot give up new privileges: %s", strerror(errno));
	(void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	set_limit(RLIMIT_CORE, 0);
	if (s->open_files)
		set_limit(RLIMIT_NOFILE, s->open_files);
	if (s->memory)
		set_limit(RLIMIT_AS, s->memory);
	/* Before seccomp, which would refuse Landlock's calls. Threads that run already are not bound by it, so warm() of
	 * a role with folders starts none that opens files. */
	if (!master && ret->landlock_abi > 0 && !landlock_enter(s, ret->landlock_abi))
		return why_set(why, FAILED, "cannot enter Landlock: %s", strerror(errno));
	r = load_filter(s->rights, why);
	ret->seccomp = r == OK;
	return r;
}

enum result sandbox_enter(const struct sandbox *s, struct sandbox_report *ret, struct why *why)
{
	struct sandbox_report report;

	sandbox_probe(&report);
	report.seccomp = false;
	report.ports = port_rights(s, report.landlock_abi) != 0;
	if (walls_off()) {
		/* LeakSanitizer looks at the process as a debugger does; a change of uid forbids that. */
		(void)prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
		*ret = (struct sandbox_report){.off = true};
		return OK;
	}
	*ret = report;
	return enter(s, ret, why);
}
