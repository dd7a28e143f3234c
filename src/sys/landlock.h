/* Landlock's kernel interface, written out: Debian 12's headers end at ABI 2, and there is no library for it.
 * Values from the kernel's documentation, userspace-api/landlock. Used by sandbox.c alone. */
#ifndef SYS_LANDLOCK_H
#define SYS_LANDLOCK_H

#include <stdint.h>

#define LANDLOCK_VERSION 1U     /* landlock_create_ruleset's flag: tell the ABI */
#define LANDLOCK_RULE_FOLDER 1U /* LANDLOCK_RULE_PATH_BENEATH */
#define LANDLOCK_RULE_PORT 2U   /* LANDLOCK_RULE_NET_PORT, ABI 4 */

#define LANDLOCK_FILE_EXECUTE (1ULL << 0)
#define LANDLOCK_FILE_READ (1ULL << 2)
#define LANDLOCK_FOLDER_READ (1ULL << 3)
#define LANDLOCK_FILES_ABI_1 ((1ULL << 13) - 1)
#define LANDLOCK_FILE_REFER (1ULL << 13)    /* ABI 2 */
#define LANDLOCK_FILE_TRUNCATE (1ULL << 14) /* ABI 3 */
#define LANDLOCK_FILE_IOCTL (1ULL << 15)    /* ABI 5 */
#define LANDLOCK_PORT_BIND (1ULL << 0)      /* ABI 4 */
#define LANDLOCK_PORT_CONNECT (1ULL << 1)
#define LANDLOCK_SCOPE_SOCKETS (1ULL << 0) /* ABI 6 */
#define LANDLOCK_SCOPE_SIGNALS (1ULL << 1)

struct landlock_rules {
	uint64_t files;
	uint64_t ports;
	uint64_t scoped;
};

struct landlock_folder {
	uint64_t allowed;
	int32_t fd;
} __attribute__((packed));

struct landlock_port {
	uint64_t allowed;
	uint64_t port;
};

#endif
