#include "roles/snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"
#include "roles/config_reader.h"
#include "roles/role.h"
#include "sys/process.h"
#include "sys/socket.h"

enum { READING_MAX_MS = 20000, NOBODY = 65534, ENCODED_MAX = 512 * 1024 * 1024 };

struct snapshot_reading {
	struct snapshot_read how;
	struct process child;
	int fd;
	struct loop_watch *watch;
	struct loop_timer *timer;
	struct snapshot *snapshot;
	struct buf encoded;
	char room[LIMIT_MESSAGE];
};

void snapshot_free(struct snapshot **ps)
{
	struct snapshot *s = *ps;

	if (!s)
		return;
	socket_close(&s->config);
	for (size_t i = 0; i < s->listener_count; i++)
		socket_close(&s->listeners[i].fd);
	memory_free(s);
	*ps = NULL;
}

/* ---- the child ---- */

/* As root the child is whoever owns etc/ (store, which writes there), never root. */
static void choose_user(int etc, struct process_start *s)
{
	struct stat st;

	s->change_user = geteuid() == 0;
	s->uid = s->gid = NOBODY;
	if (fstat(etc, &st) == 0 && st.st_uid != 0) {
		s->uid = st.st_uid;
		s->gid = st.st_gid ? st.st_gid : NOBODY;
	}
}

static enum result start_child(struct snapshot_reading *g, int etc, int theirs, struct why *why)
{
	static const char *const argv[] = {"hikyaku", "role", CONFIG_READER_NAME, NULL};
	struct process_start start = {.exe = g->how.exe, .argv = argv, .fd = theirs};
	enum result r;

	choose_user(etc, &start);
	r = process_start(&start, &g->child, why);
	if (r == OK)
		r = order_send(g->fd, &(struct order){.kind = ORDER_FOLDER, .text = BYTES("etc")},
		               etc);
	if (r == OK)
		r = order_send(g->fd, &(struct order){.kind = ORDER_GO}, -1);
	return r == OK ? OK : why_set(why, FAILED, "cannot start the reader of the configuration");
}

static void reap(struct process *child)
{
	char status[64];

	process_signal(child, SIGKILL);
	/* It has been killed or has ended: the wait is short. */
	(void)socket_wait(child->pidfd, false, 1000);
	(void)process_ended(child, status);
}

/* ---- its reports ---- */

static void finish(struct snapshot_reading *g, const struct why *why)
{
	struct snapshot_read how = g->how;
	struct snapshot *s = g->snapshot;
	struct why copy = *why;
	bool right = why->text[0] == 0;

	loop_watch_free(&g->watch);
	loop_timer_free(&g->timer);
	socket_close(&g->fd);
	reap(&g->child);
	buf_done(&g->encoded);
	memory_free(g);
	if (!right)
		snapshot_free(&s);
	how.done(how.context, right ? s : NULL, &copy);
}

static void add_listener(struct snapshot_reading *g, const struct order *o, struct why *why)
{
	struct snapshot *s = g->snapshot;
	struct snapshot_listener *l = &s->listeners[s->listener_count];

	if (s->listener_count == SNAPSHOT_LISTENERS) {
		(void)why_set(why, TOO_BIG, "hikyaku.conf: more than %d listening addresses",
		              SNAPSHOT_LISTENERS);
		return;
	}
	/* From here on numbers that a role's row is asked with. */
	if (o->protocol >= CONFIG_PROTOCOL_COUNT || o->port == 0) {
		(void)why_set(why, FAILED, "the reader of the configuration sent nonsense");
		return;
	}
	*l = (struct snapshot_listener){
	        .protocol = o->protocol, .ip = o->ip, .port = o->port, .fd = -1};
	snprintf(l->name, sizeof(l->name), "%.*s", BYTES_ARG(o->text));
	s->listener_count++;
}

/* True when it was the last one. */
static bool take_report(struct snapshot_reading *g, const struct order *o, struct why *why)
{
	switch (o->kind) {
	case REPORT_SETTINGS:
		if (!order_settings_fit(&o->settings))
			(void)why_set(why, FAILED, "the reader of the configuration sent nonsense");
		g->snapshot->settings = o->settings;
		return why->text[0] != 0;
	case REPORT_LISTENER: add_listener(g, o, why); return why->text[0] != 0;
	case REPORT_CHUNK:
		if (buf_len(&g->encoded) + o->text.len > ENCODED_MAX)
			(void)why_set(why, TOO_BIG, "the configuration has more than %d octets",
			              ENCODED_MAX);
		else
			buf_append(&g->encoded, o->text);
		return why->text[0] != 0;
	case REPORT_DONE:
		if (!order_settings_fit(&g->snapshot->settings)) {
			(void)why_set(why, FAILED, "the reader of the configuration sent nonsense");
			return true;
		}
		/* Where it fails, why says so and finish() sees it. */
		if (process_memory_file("hikyaku-config", buf_bytes(&g->encoded),
		                        &g->snapshot->config, why) != OK)
			g->snapshot->config = -1;
		return true;
	case REPORT_FAILED: (void)why_set(why, INVALID, "%.*s", BYTES_ARG(o->text)); return true;
	default:
		(void)why_set(why, FAILED, "the reader of the configuration sent nonsense");
		return true;
	}
}

static void on_report(void *context, unsigned events)
{
	struct snapshot_reading *g = context;
	struct why why = {0};
	struct order o;
	int fd = -1;

	(void)events;
	for (;;) {
		enum result r = order_receive(g->fd, g->room, &o, &fd);

		if (r == UNAVAILABLE)
			return;
		socket_close(&fd); /* none is expected from it */
		if (r != OK)
			(void)why_set(&why, FAILED, "the reader of the configuration died");
		if (r != OK || take_report(g, &o, &why)) {
			finish(g, &why);
			return;
		}
	}
}

static void on_time(void *context)
{
	struct why why = {0};

	(void)why_set(&why, FAILED, "the reader of the configuration took more than %d s",
	              READING_MAX_MS / 1000);
	finish(context, &why);
}

enum result snapshot_read_start(const struct snapshot_read *how, struct why *why)
{
	int etc = openat(how->directory, "etc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct snapshot_reading *g;
	int ends[2];
	enum result r;

	if (etc < 0)
		return why_set(why, NOT_FOUND, "etc/: %s (hikyaku setup makes one)",
		               strerror(errno));
	r = socket_pair(ends, why);
	if (r != OK) {
		close(etc);
		return r;
	}
	g = NEW(struct snapshot_reading);
	g->how = *how;
	g->fd = ends[0];
	g->child.pidfd = -1;
	g->snapshot = NEW(struct snapshot);
	g->snapshot->config = -1;
	r = start_child(g, etc, ends[1], why);
	close(etc);
	close(ends[1]);
	if (r != OK) {
		if (g->child.pidfd >= 0)
			reap(&g->child);
		socket_close(&g->fd);
		snapshot_free(&g->snapshot);
		memory_free(g);
		return r;
	}
	g->watch = loop_watch_new(how->loop, g->fd, LOOP_READ, on_report, g);
	g->timer = loop_timer_new(how->loop, on_time, g);
	loop_timer_set(g->timer, READING_MAX_MS);
	return OK;
}
