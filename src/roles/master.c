#include "roles/master.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"
#include "roles/child.h"
#include "roles/owner.h"
#include "sys/socket.h"

enum { STOP_MAX_MS = 20000, RELOAD_MAX_MS = 10000, LOCK_MAX_MS = 10000 };

/* ---- configuration ---- */

static bool same_listener(const struct snapshot_listener *a, const struct snapshot_listener *b)
{
	return a->protocol == b->protocol && a->port == b->port && ip_equal(&a->ip, &b->ip);
}

static struct snapshot_listener *find_listener(struct snapshot *s,
                                               const struct snapshot_listener *like)
{
	for (size_t i = 0; s && i < s->listener_count; i++)
		if (same_listener(&s->listeners[i], like))
			return &s->listeners[i];
	return NULL;
}

/* Everything that is new is bound before anything is given up. old is NULL at the start. */
static enum result bind_all(struct snapshot *old, struct snapshot *fresh, struct why *why)
{
	for (size_t i = 0; i < fresh->listener_count; i++) {
		struct snapshot_listener *l = &fresh->listeners[i], *same = find_listener(old, l);
		enum result r = OK;

		if (same)
			l->fd = fcntl(same->fd, F_DUPFD_CLOEXEC, 3);
		else
			r = socket_listen(&l->ip, l->port, &l->fd, why);
		if (r != OK)
			return r;
	}
	return OK;
}

/* Started since the switch: it got the new listeners with its first orders. */
static bool knows_listeners(const struct child *c)
{
	return c->state != DOWN && c->taken == c->m->snapshot->generation;
}

static void order_to_servers(struct master *m, enum order_kind kind,
                             const struct snapshot_listener *l)
{
	struct order o = child_listener_order(kind, l);

	for (size_t i = 0; i < m->child_count; i++)
		if (child_serves(&m->children[i], l->protocol) &&
		    !(kind == ORDER_LISTENER && knows_listeners(&m->children[i])))
			child_order(&m->children[i], &o, kind == ORDER_LISTENER ? l->fd : -1);
}

static bool same_workers(const struct order_settings *a, const struct order_settings *b)
{
	return a->workers_mx == b->workers_mx && a->workers_access == b->workers_access &&
	       a->workers_sorter == b->workers_sorter && a->uid_base == b->uid_base;
}

static void order_config_to(struct master *m, bool keeper)
{
	for (size_t i = 0; i < m->child_count; i++)
		if ((m->children[i].role->bit == KEEPER) == keeper)
			child_order_config(&m->children[i]);
}

static bool lags(const struct child *c)
{
	return c->state == STARTING ||
	       (c->state == READY && c->taken != c->m->snapshot->generation);
}

static bool keeper_lags(struct master *m)
{
	for (size_t i = 0; i < m->child_count; i++)
		if (m->children[i].role->bit == KEEPER && lags(&m->children[i]))
			return true;
	return false;
}

/* The second half of a switch: everybody but keeper. A listener is given after the configuration that names it. */
static void spread(struct master *m)
{
	struct snapshot *old = m->former, *fresh = m->snapshot;

	if (!old)
		return;
	m->former = NULL;
	order_config_to(m, false);
	for (size_t i = 0; i < old->listener_count; i++)
		if (!find_listener(fresh, &old->listeners[i]))
			order_to_servers(m, ORDER_LISTENER_CLOSE, &old->listeners[i]);
	for (size_t i = 0; i < fresh->listener_count; i++)
		if (!find_listener(old, &fresh->listeners[i]))
			order_to_servers(m, ORDER_LISTENER, &fresh->listeners[i]);
	snapshot_free(&old);
}

/* Not in a folder of somebody who is not root: he could change what stands there meanwhile, as often as he likes. */
static void give_new_keys(struct master *m)
{
	struct why why;

	if (geteuid() == 0 && m->owner == 0 &&
	    owner_give_keys(m->directory, m->snapshot->settings.uid_base, &why) != OK)
		master_say(m, "keys-not-given", "%s", why.text);
}

/* Keeper reads its keys first: a renewed certificate that a front takes has its key there already. */
static void switch_to(struct master *m, struct snapshot *fresh)
{
	struct snapshot *old = m->snapshot;

	fresh->generation = old->generation + 1;
	if (!same_workers(&fresh->settings, &old->settings)) {
		master_say(m, "reload",
		           "other numbers of workers or uids take effect at the next start");
		fresh->settings = old->settings;
	}
	spread(m); /* of a switch before, if keeper is slow */
	m->snapshot = fresh;
	m->former = old;
	give_new_keys(m);
	order_config_to(m, true);
}

static void answer_requests(struct master *m, enum result result, const char *text)
{
	struct request *r;

	loop_timer_stop(m->reload_timer);
	while ((r = m->requests)) {
		m->requests = r->next;
		if (r->child)
			child_reply(r->child, r->number, result, bytes_of_text(text));
		memory_free(r);
	}
	master_say(m, result == OK ? "reloaded" : "reload-failed", "generation=%llu %s",
	           (unsigned long long)m->snapshot->generation, text);
}

/* The first one that has not taken the newest generation; one that is down gets it when it starts. */
static struct child *laggard(struct master *m)
{
	for (size_t i = 0; i < m->child_count; i++)
		if (lags(&m->children[i]))
			return &m->children[i];
	return NULL;
}

void master_check_reload(struct master *m)
{
	if (m->former && !keeper_lags(m))
		spread(m);
	if (m->requests && !m->reading && loop_timer_is_set(m->reload_timer) && !laggard(m))
		answer_requests(m, OK, "");
}

static void on_reload_time(void *context)
{
	struct master *m = context;
	struct child *c = laggard(m);
	char text[128], name[40];

	spread(m); /* whatever keeper does */
	snprintf(text, sizeof(text), "%s has not taken the new configuration yet",
	         c ? child_name(c, name) : "nobody");
	answer_requests(m, c ? UNAVAILABLE : OK, c ? text : "");
}

static void on_reread(void *context, struct snapshot *fresh, const struct why *why)
{
	struct master *m = context;
	struct why reason = *why;

	m->reading = false;
	if (fresh && bind_all(m->snapshot, fresh, &reason) != OK)
		snapshot_free(&fresh);
	if (m->stop_phase > 0) {
		snapshot_free(&fresh);
		return;
	}
	if (m->read_again) {
		/* Files changed while they were read: only the last reading counts. */
		snapshot_free(&fresh);
		m->read_again = false;
		master_start_reload(m);
	} else if (!fresh) {
		answer_requests(m, INVALID, reason.text);
	} else {
		switch_to(m, fresh);
		loop_timer_set(m->reload_timer, RELOAD_MAX_MS);
		master_check_reload(m);
	}
}

static enum result read_config(struct master *m, snapshot_done *done, struct why *why)
{
	struct snapshot_read how = {m->loop, m->exe, m->directory, done, m};

	return snapshot_read_start(&how, why);
}

void master_start_reload(struct master *m)
{
	struct why why = {0};

	if (m->reading) {
		m->read_again = true;
		return;
	}
	m->reading = true;
	if (read_config(m, on_reread, &why) != OK) {
		m->reading = false;
		answer_requests(m, FAILED, why.text);
	}
}

static void on_hup(void *context)
{
	struct master *m = context;
	struct request *r = NEW(struct request);

	r->next = m->requests;
	m->requests = r;
	master_start_reload(m);
}

/* ---- stopping ---- */

/* Who is stopped together; each group only when the one before is gone. */
static const unsigned stop_phases[] = {MX | ACCESS | WEB, SORTER | COURIER | WATCH,
                                       KEEPER | RESOLVER, STORE};
enum { STOP_PHASES = sizeof(stop_phases) / sizeof(*stop_phases) };

static bool phase_is_running(struct master *m)
{
	for (size_t i = 0; i < m->child_count; i++)
		if (m->children[i].state != DOWN &&
		    m->children[i].role->bit & stop_phases[m->stop_phase - 1])
			return true;
	return false;
}

static void order_stop(struct master *m)
{
	for (size_t i = 0; i < m->child_count; i++)
		if (m->children[i].role->bit & stop_phases[m->stop_phase - 1])
			child_order(&m->children[i], &(struct order){.kind = ORDER_STOP}, -1);
	loop_timer_set(m->stop_timer, STOP_MAX_MS);
}

void master_next_stop_phase(struct master *m)
{
	while (!phase_is_running(m)) {
		if (m->stop_phase == STOP_PHASES) {
			loop_stop(m->loop);
			return;
		}
		m->stop_phase++;
		order_stop(m);
	}
}

static void on_stop_time(void *context)
{
	struct master *m = context;
	char name[40];

	for (size_t i = 0; i < m->child_count; i++) {
		struct child *c = &m->children[i];

		if (c->state != DOWN && c->role->bit & stop_phases[m->stop_phase - 1]) {
			master_say(m, "role-killed", "%s did not stop in time",
			           child_name(c, name));
			process_signal(&c->process, SIGKILL);
		}
	}
}

static void stop(struct master *m, int exit_code)
{
	if (m->stop_phase > 0)
		return;
	m->exit_code = exit_code;
	for (size_t i = 0; i < m->child_count; i++)
		loop_timer_stop(m->children[i].timer);
	m->stop_phase = 1;
	order_stop(m);
	master_next_stop_phase(m);
}

static void on_term(void *context)
{
	struct master *m = context;

	if (m->stop_phase > 0) {
		on_stop_time(m); /* asked twice: now */
		return;
	}
	master_say(m, "stopping", "on a signal");
	stop(m, 0);
}

/* ---- starting everything ---- */

static unsigned workers_of(const struct order_settings *s, unsigned role)
{
	switch (role) {
	case MX: return s->workers_mx;
	case ACCESS: return s->workers_access;
	case SORTER: return s->workers_sorter;
	default: return 1;
	}
}

static void make_children(struct master *m)
{
	const struct order_settings *s = &m->snapshot->settings;

	for (size_t i = 0; i < role_count; i++)
		m->child_count += workers_of(s, roles[i]->bit);
	m->children = memory_get(m->child_count * sizeof(*m->children));
	m->child_count = 0;
	for (size_t i = 0; i < role_count; i++)
		for (unsigned worker = 0; worker < workers_of(s, roles[i]->bit); worker++) {
			struct child *c = &m->children[m->child_count++];

			*c = (struct child){
			        .m = m,
			        .role = roles[i],
			        .worker = worker,
			        .workers = workers_of(s, roles[i]->bit),
			        .fd = -1,
			        .process = {0, -1},
			};
			c->unsent_end = &c->unsent;
			c->timer = loop_timer_new(m->loop, child_start_again, c);
		}
}

static enum result start_children(struct master *m, struct why *why)
{
	for (size_t i = 0; i < m->child_count; i++) {
		enum result r = child_spawn(&m->children[i], why);

		if (r != OK)
			return r;
		child_order_start(&m->children[i]);
	}
	for (size_t i = 0; i < m->child_count; i++)
		for (size_t n = 0; n < i; n++)
			child_link(&m->children[i], &m->children[n]);
	for (size_t i = 0; i < m->child_count; i++)
		child_order(&m->children[i], &(struct order){.kind = ORDER_GO}, -1);
	return OK;
}

static enum result check_walls(struct master *m, struct why *why)
{
	struct sandbox_report walls;
	const char *missing;

	sandbox_probe(&walls);
	missing = child_missing_wall(&walls);
	if (!missing)
		return OK;
	if (m->snapshot->settings.sandbox_required)
		return why_set(why, DENIED,
		               "this machine lacks a wall (%s) and the configuration says `sandbox "
		               "require`",
		               missing);
	master_say(m, "wall-missing", "%s; `sandbox require` would refuse to start", missing);
	return OK;
}

static enum result begin(struct master *m, struct why *why)
{
	enum result r = check_walls(m, why);

	if (r == OK)
		r = bind_all(NULL, m->snapshot, why);
	if (r == OK)
		r = socket_listen_unix(m->run, "admin.sock", 0600, &m->admin, why);
	/* For every user of this machine: access looks at who it is (docs/sendmail.md). */
	if (r == OK)
		r = socket_listen_unix(m->run, "submit.sock", 0666, &m->submit, why);
	if (r == OK && geteuid() == 0)
		r = owner_give(m->directory, m->owner, m->snapshot->settings.uid_base, why);
	if (r == OK) {
		make_children(m);
		r = start_children(m, why);
	}
	return r;
}

static void on_first_read(void *context, struct snapshot *fresh, const struct why *why)
{
	struct master *m = context;
	struct why reason = *why;

	if (fresh) {
		m->snapshot = fresh;
		fresh->generation = 1;
		if (begin(m, &reason) == OK)
			return;
	}
	master_say(m, "start-failed", "%s", reason.text);
	if (m->child_count > 0) {
		stop(m, 1);
		return;
	}
	m->exit_code = 1;
	loop_stop(m->loop);
}

/* The pid that stands in run/lock, 0: none. */
static pid_t lock_holder(int fd)
{
	char text[24];
	uint64_t pid;
	ssize_t n = pread(fd, text, sizeof(text), 0);

	return n > 0 && bytes_to_u64(bytes_trim(bytes_of(text, (size_t)n)), INT32_MAX, &pid) == OK
	               ? (pid_t)pid
	               : 0;
}

/* Where master was killed its store may live a moment longer, with the lock. */
static enum result take_lock(int fd, struct why *why)
{
	for (int waited_ms = 0; flock(fd, LOCK_EX | LOCK_NB) != 0; waited_ms += 10) {
		pid_t pid = lock_holder(fd);

		if (errno != EWOULDBLOCK || waited_ms >= LOCK_MAX_MS ||
		    (pid > 0 && kill(pid, 0) == 0))
			return why_set(why, EXISTS, "already running as pid %d", (int)pid);
		(void)poll(NULL, 0, 10);
	}
	return OK;
}

/* One master for a DIR, and one store: the lock goes with the last of them. The pid in it is for people. */
static enum result lock_directory(struct master *m, struct why *why)
{
	char pid[16];
	enum result r;

	m->lock = openat(m->run, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (m->lock < 0)
		return why_set(why, FAILED, "run/lock: %s", strerror(errno));
	r = take_lock(m->lock, why);
	snprintf(pid, sizeof(pid), "%d\n", (int)getpid());
	if (r == OK && (ftruncate(m->lock, 0) != 0 || pwrite(m->lock, pid, strlen(pid), 0) < 0))
		r = why_set(why, FAILED, "run/lock: %s", strerror(errno));
	return r;
}

static enum result open_directory(struct master *m, struct why *why)
{
	struct stat st;

	m->directory = open(m->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (m->directory < 0 || fstat(m->directory, &st) != 0)
		return why_set(why, NOT_FOUND, "%s: %s", m->path, strerror(errno));
	m->owner = st.st_uid;
	/* A copy of DIR may be without it: nothing in it outlives a start. */
	if (mkdirat(m->directory, "run", 0755) != 0 && errno != EEXIST)
		return why_set(why, FAILED, "%s/run: %s", m->path, strerror(errno));
	/* DIR's owner may not be root: what stands here as a link would lead master's files elsewhere. */
	m->run = openat(m->directory, "run", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (m->run < 0)
		return why_set(why, FAILED, "%s/run: %s", m->path, strerror(errno));
	return lock_directory(m, why);
}

static enum result enter_walls(struct why *why)
{
	struct sandbox walls = {.rights = SANDBOX_MASTER};
	struct sandbox_report report;

	return sandbox_enter(&walls, &report, why);
}

static enum result prepare(struct master *m, struct why *why)
{
	enum result r = process_open_self(&m->exe, why);

	if (r == OK)
		r = open_directory(m, why);
	if (r == OK)
		r = enter_walls(why);
	if (r != OK)
		return r;
	m->loop = loop_new();
	m->hup = loop_signal_new(m->loop, SIGHUP, on_hup, m);
	m->term = loop_signal_new(m->loop, SIGTERM, on_term, m);
	m->interrupt = loop_signal_new(m->loop, SIGINT, on_term, m);
	m->reload_timer = loop_timer_new(m->loop, on_reload_time, m);
	m->stop_timer = loop_timer_new(m->loop, on_stop_time, m);
	return read_config(m, on_first_read, why);
}

static void finish(struct master *m)
{
	for (size_t i = 0; i < m->child_count; i++)
		loop_timer_free(&m->children[i].timer);
	memory_free(m->children);
	loop_signal_free(&m->hup);
	loop_signal_free(&m->term);
	loop_signal_free(&m->interrupt);
	loop_timer_free(&m->reload_timer);
	loop_timer_free(&m->stop_timer);
	loop_free(&m->loop);
	snapshot_free(&m->former);
	snapshot_free(&m->snapshot);
	if (m->admin >= 0)
		(void)unlinkat(m->run, "admin.sock", 0);
	socket_close(&m->admin);
	if (m->submit >= 0)
		(void)unlinkat(m->run, "submit.sock", 0);
	socket_close(&m->submit);
	socket_close(&m->exe);
	socket_close(&m->lock);
	socket_close(&m->run);
	socket_close(&m->directory);
}

int master_main(const char *directory)
{
	struct master *m = NEW(struct master);
	struct why why = {0};
	int exit_code;

	m->path = directory;
	m->directory = m->run = m->exe = m->admin = m->submit = m->lock = -1;
	process_log_init(&m->log, "master", 0, 1);
	signal(SIGPIPE, SIG_IGN);
	sandbox_raise_files();
	if (prepare(m, &why) == OK) {
		master_say(m, "starting", "%s", directory);
		loop_run(m->loop);
		master_say(m, "stopped", "%s", directory);
	} else {
		master_say(m, "start-failed", "%s: %s", directory, why.text);
		m->exit_code = 1;
	}
	finish(m);
	exit_code = m->exit_code;
	memory_free(m);
	return exit_code;
}
