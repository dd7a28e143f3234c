/* The process that a person starts: it binds ports, makes channels, starts the roles, starts them again when they die,
 * reloads and stops them in order. It reads no octet of a network and parses no file: a child does (roles/config_reader.h).
 *
 * At start: lock DIR/run/lock (its pid is in it), read the configuration, bind, start every role's process, join each two
 * that the table links by a channel, and say GO. When a role dies it is started again at once (a role that dies before it
 * was ready waits a little longer each time), and its peers get new channel ends.
 *
 * SIGHUP, or a request through web: reload. A broken configuration keeps the old one and is logged with file and line.
 * SIGTERM, SIGINT: stop in order; fronts, sorter, keeper, store. */
#ifndef ROLES_MASTER_H
#define ROLES_MASTER_H

/* `hikyaku serve DIR`: returns the exit code when everything has stopped. */
int master_main(const char *directory);

#endif
