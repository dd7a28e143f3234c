/* Processes: master starts the roles from one open descriptor of its own executable.
 *
 *	int exe; process_open_self(&exe, why);
 *	process_start(&(struct process_start){.exe = exe, .argv = argv, .fd = end}, &p, why); */
#ifndef SYS_PROCESS_H
#define SYS_PROCESS_H

#include <sys/types.h>

#include "base/bytes.h"
#include "base/log.h"

struct process {
	pid_t pid;
	int pidfd; /* readable once it has ended */
};

struct process_start {
	int exe;                 /* of process_open_self */
	const char *const *argv; /* ends with NULL */
	int fd; /* becomes descriptor 3; nothing else above 2 is passed on; 0 and 1 are /dev/null */
	bool change_user; /* only as root: */
	uid_t uid;
	gid_t gid; /* the only group */
};

enum result process_open_self(int *ret_exe, struct why *why) MUST_USE;
/* The child dies with its parent (PR_SET_PDEATHSIG). Of the environment it gets time zone, language, what the loader and
 * sanitizers read, and HIKYAKU_*. */
enum result process_start(const struct process_start *s, struct process *ret,
                          struct why *why) MUST_USE;
void process_signal(const struct process *p, int signal);
/* Reaps it; false while it runs. *ret_status is a sentence: "exited with 1", "killed by SIGSYS".
 * Closes pidfd. */
bool process_ended(struct process *p, char ret_status[64]);

/* A log that writes whole lines to stderr. who: "mx", or "mx[1]" when there are several. */
void process_log_init(struct log *ret, const char *role, unsigned worker, unsigned workers);

/* A sealed memory file holding data: nobody can change it any more. */
enum result process_memory_file(const char *name, struct bytes data, int *ret_fd,
                                struct why *why) MUST_USE;
/* Maps a whole sealed memory file for reading. Good until process exit or process_unmap. */
enum result process_map(int fd, struct bytes *ret, struct why *why) MUST_USE;
void process_unmap(struct bytes *mapped);

#endif
