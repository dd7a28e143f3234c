/* The walls of a process: what its row in roles/role.c does not grant fails from sandbox_enter()
 * on.
 *
 * seccomp is required: a call that nobody listed gets ENOSYS, a dangerous one (exec, ptrace, a
 * socket, a signal to others) kills the process; opening a file without the right gets EACCES,
 * because libc itself looks for optional files. Landlock narrows file rights to folders (and
 * forbids TCP ports from ABI 4, signals and abstract sockets from ABI 6). Not dumpable, no new
 * privileges. Users and groups are process_start's. */
#ifndef SYS_SANDBOX_H
#define SYS_SANDBOX_H

#include "base/bytes.h"

enum sandbox_right {
	SANDBOX_ACCEPT = 1 << 0, /* accept and serve connections on sockets given by master */
	SANDBOX_READ = 1 << 1,   /* open files for reading, in its folders */
	SANDBOX_WRITE = 1
	                << 2, /* make, change and remove files, in its folders that are writable */
	SANDBOX_THREADS = 1 << 3,  /* start threads */
	SANDBOX_MASTER = 1 << 4,   /* everything but ptrace and the kernel's own doors;
	                             inherited by all roles */
	SANDBOX_CONNECT = 1 << 5,  /* make TCP connections, over IPv4 and IPv6; see sandbox.ports */
	SANDBOX_DATAGRAM = 1 << 6, /* make UDP sockets, send and receive with them */
};

struct sandbox_folder {
	int fd; /* an open folder */
	bool write;
};

struct sandbox {
	unsigned rights;
	const struct sandbox_folder *folders;
	size_t folder_count;
	const uint16_t
	        *ports;    /* with SANDBOX_CONNECT, from Landlock ABI 4: where TCP may connect to */
	size_t port_count; /* 0: to any port */
	uint64_t open_files; /* RLIMIT_NOFILE; 0: as it is */
	uint64_t memory;     /* RLIMIT_AS in octets; 0: as it is */
};

/* What stands after sandbox_enter: for status and docs. */
struct sandbox_report {
	bool seccomp;
	int landlock_abi; /* 0: the kernel has none */
	bool ports;       /* Landlock forbids TCP bind and connect as well */
	bool scoped;      /* ... and signals and abstract sockets to outside */
	bool off;         /* HIKYAKU_WALLS=off in a sanitizer build */
};

/* FAILED when a required wall cannot be built: the process must end. */
enum result sandbox_enter(const struct sandbox *s, struct sandbox_report *ret,
                          struct why *why) MUST_USE;
/* What this kernel has, without entering anything. */
void sandbox_probe(struct sandbox_report *ret);
/* Raises the soft limit of open files to the hard one (before a sandbox). */
void sandbox_raise_files(void);

#endif
