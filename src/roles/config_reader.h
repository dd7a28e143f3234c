/* master's unprivileged child: reads etc/, parses it, and hands back what master and the roles need.
 *
 * `hikyaku role config-reader`; it gets ORDER_FOLDER (etc) and ORDER_GO on descriptor 3 and reports either REPORT_SETTINGS,
 * REPORT_LISTENER ..., REPORT_CHUNK ..., REPORT_DONE, or REPORT_FAILED with file and line. Behind walls: it may read etc/
 * and nothing else. */
#ifndef ROLES_CONFIG_READER_H
#define ROLES_CONFIG_READER_H

#include "config/config.h"
#include "sys/file.h"

#define CONFIG_READER_NAME "config-reader"

int config_reader_main(void);

/* Reads and parses all of an etc/ folder: also what the command line's checks use. overlay (may be NULL): a file to take in the
 * place of, or in addition to, the one of its name. */
enum result config_reader_load(struct file_system *etc, const struct config_source *overlay,
                               struct config **ret, struct why *why) MUST_USE;

/* The walls that it enters, for the test of the walls. */
enum result config_reader_enter_walls(int etc_fd, struct why *why) MUST_USE;

#endif
