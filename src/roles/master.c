#include "roles/master.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"
#include "roles/orders.h"
#include "roles/owner.h"
#include "roles/role.h"
#include "roles/snapshot.h"
#include "sys/clock.h"
#include "sys/file.h"
#include "sys/process.h"
#include "sys/random.h"
#include "sys/socket.h"

/* A child's life:
 *
 *	state      what it means                               ends by
 *	DOWN       no process; the timer starts one            the timer
 *	STARTING   it has its orders, walls go up              REPORT_READY
 *	READY      it serves                                   its death
 *
 * Delays before it is started again: none after a first death, FAST_MS doubled up to READY_MAX_MS when it dies again
 * within STEADY_MS though it was ready, up to SLOW_MAX_MS when it never became ready. */
enum child_state { DOWN, STARTING, READY };
enum { FAST_MS = 25, READY_MAX_MS = 400, SLOW_MAX_MS = 5000, STEADY_MS = 10000 };
enum { STOP_MAX_MS = 10000, RELOAD_MAX_MS = 10000 };

struct order_kept {
	struct order_kept *next;
	int passed;
	size_t len;
	char octets[];
};

struct child {
	struct master *m;
	const struct role *role;
	unsigned worker, workers;
	enum child_state state;
	struct process process;
	int fd; /* its descriptor 3, our end */
	struct loop_watch *orders, *death;
	struct loop_timer *timer;
	struct order_kept *unsent, **unsent_end; /* its socket is full */
	uint64_t taken;                          /* generation */
	time_ms started;
	unsigned crashes, restarts;
	struct sandbox_report walls;
};

/* Somebody who waits for a reload: 0, 0 is SIGHUP. */
struct request {
	struct child *child;
	uint32_t number;
	struct request *next;
};

struct master {
	const char *path;
	int directory, exe;
	unsigned owner; /* of DIR */
	struct file_system *fs;
	struct file *lock;
	struct loop *loop;
	struct log log;
	struct snapshot *snapshot;
	int admin; /* listening UNIX socket */
	struct child *children;
	size_t child_count;
	struct loop_signal *hup, *term, *interrupt;
	struct loop_timer *reload_timer, *stop_timer;
	bool reading, read_again;
	struct request *requests; /* answered when all have taken the generation */
	size_t stop_phase;        /* 0: serving */
	int exit_code;
	char room[LIMIT_MESSAGE];
};

static void say(struct master *m, const char *event, const char *format, ...) PRINTF(3, 4);
static void say(struct master *m, const char *event, const char *format, ...)
{
	char text[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	log_line(&m->log, clock_now(), event, "%s", text);
}

/* "mx[1]" */
static const char *child_name(const struct child *c, char out[40])
{
	if (c->workers > 1)
		snprintf(out, 40, "%s[%u]", c->role->name, c->worker);
	else
		snprintf(out, 40, "%s", c->role->name);
	return out;
}

/* ---- orders to a child ---- */

static void drop_unsent(struct child *c)
{
	struct order_kept *k;

	while ((k = c->unsent)) {
		c->unsent = k->next;
		socket_close(&k->passed);
		memory_free(k);
	}
	c->unsent_end = &c->unsent;
}

static void send_unsent(struct child *c)
{
	struct order_kept *k;

	while ((k = c->unsent) &&
	       socket_send_fd(c->fd, bytes_of(k->octets, k->len), k->passed) != UNAVAILABLE) {
		c->unsent = k->next;
		socket_close(&k->passed);
		memory_free(k);
	}
	if (!c->unsent) {
		c->unsent_end = &c->unsent;
		if (c->orders)
			loop_watch_set(c->orders, LOOP_READ);
	}
}

/* passed is duplicated where it has to wait; it stays the caller's. */
static void order(struct child *c, const struct order *o, int passed)
{
	struct buf out = {0};
	struct order_kept *k;

	if (c->state == DOWN)
		return;
	order_encode(o, &out);
	if (c->unsent || socket_send_fd(c->fd, buf_bytes(&out), passed) == UNAVAILABLE) {
		k = memory_get(sizeof(*k) + buf_len(&out));
		k->passed = passed < 0 ? -1 : fcntl(passed, F_DUPFD_CLOEXEC, 3);
		k->len = buf_len(&out);
		memcpy(k->octets, buf_bytes(&out).ptr, k->len);
		*c->unsent_end = k;
		c->unsent_end = &k->next;
		if (c->orders)
			loop_watch_set(c->orders, LOOP_READ | LOOP_WRITE);
	}
	buf_done(&out);
}

static void order_config(struct child *c)
{
	struct snapshot *s = c->m->snapshot;

	order(c, &(struct order){.kind = ORDER_CONFIG, .number = s->generation}, s->config);
}

static struct order listener_order(enum order_kind kind, const struct snapshot_listener *l)
{
	return (struct order){
	        .kind = kind,
	        .protocol = l->protocol,
	        .ip = l->ip,
	        .port = l->port,
	        .text = bytes_of_text(l->name),
	};
}

static bool serves(const struct child *c, unsigned protocol)
{
	return c->role->protocols >> protocol & 1;
}

static void order_listeners(struct child *c)
{
	struct snapshot *s = c->m->snapshot;

	for (size_t i = 0; i < s->listener_count; i++)
		if (serves(c, s->listeners[i].protocol)) {
			struct order o = listener_order(ORDER_LISTENER, &s->listeners[i]);

			order(c, &o, s->listeners[i].fd);
		}
	if (serves(c, ROLE_ADMIN))
		order(c,
		      &(struct order){.kind = ORDER_LISTENER,
		                      .protocol = ROLE_ADMIN,
		                      .text = BYTES("admin")},
		      c->m->admin);
}

/* The role opens nothing above its folders: it gets them open. */
static void order_folders(struct child *c)
{
	for (int i = 0; i < ROLE_FOLDERS; i++) {
		const char *name = c->role->folders[i].name;
		int fd = name ? openat(c->m->directory, name,
		                       O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW)
		              : -1;

		if (fd >= 0)
			order(c, &(struct order){.kind = ORDER_FOLDER, .text = bytes_of_text(name)},
			      fd);
		socket_close(&fd);
	}
}

/* ---- channels ---- */

static void give_ends(struct child *a, struct child *b, enum order_kind kind)
{
	struct why why = {0};
	int ends[2];

	if (socket_pair(ends, &why) != OK) {
		say(a->m, "channel-failed", "%s", why.text);
		return;
	}
	order(a, &(struct order){.kind = kind, .role = b->role->bit, .worker = (uint8_t)b->worker},
	      ends[0]);
	order(b, &(struct order){.kind = kind, .role = a->role->bit, .worker = (uint8_t)a->worker},
	      ends[1]);
	socket_close(&ends[0]);
	socket_close(&ends[1]);
}

static void link_children(struct child *a, struct child *b)
{
	if (a->role->answerers & b->role->bit || b->role->answerers & a->role->bit)
		give_ends(a, b, ORDER_CHANNEL);
	if ((a->role->signs && b->role->bit == KEEPER) ||
	    (b->role->signs && a->role->bit == KEEPER))
		give_ends(a, b, ORDER_SIGN);
}

static void link_to_all(struct child *c)
{
	struct master *m = c->m;

	for (size_t i = 0; i < m->child_count; i++)
		if (&m->children[i] != c && m->children[i].state != DOWN)
			link_children(c, &m->children[i]);
}

/* ---- starting a child ---- */

static void on_reports(void *context, unsigned events);
static void on_death(void *context, unsigned events);

static enum result spawn(struct child *c, struct why *why)
{
	struct master *m = c->m;
	const char *const argv[] = {"hikyaku", "role", c->role->name, NULL};
	struct process_start start = {.exe = m->exe, .argv = argv, .change_user = geteuid() == 0};
	int ends[2];
	enum result r = socket_pair(ends, why);

	if (r != OK)
		return r;
	start.fd = ends[1];
	start.uid = start.gid = m->snapshot->settings.uid_base + role_number(c->role);
	r = process_start(&start, &c->process, why);
	close(ends[1]);
	if (r != OK) {
		close(ends[0]);
		return r;
	}
	c->fd = ends[0];
	c->state = STARTING;
	c->started = clock_now();
	c->taken = m->snapshot->generation;
	c->orders = loop_watch_new(m->loop, c->fd, LOOP_READ, on_reports, c);
	c->death = loop_watch_new(m->loop, c->process.pidfd, LOOP_READ, on_death, c);
	return OK;
}

static void order_start(struct child *c)
{
	order(c,
	      &(struct order){
	              .kind = ORDER_START,
	              .worker = (uint8_t)c->worker,
	              .workers = (uint8_t)c->workers,
	              .number = c->m->owner,
	      },
	      -1);
	order_folders(c);
	order_config(c);
	order_listeners(c);
}

static void start_again(void *context)
{
	struct child *c = context;
	struct why why = {0};

	if (c->m->stop_phase > 0)
		return;
	if (spawn(c, &why) != OK) {
		say(c->m, "role-failed", "%s: %s", c->role->name, why.text);
		loop_timer_set(c->timer, SLOW_MAX_MS);
		return;
	}
	c->restarts++;
	order_start(c);
	link_to_all(c);
	order(c, &(struct order){.kind = ORDER_GO}, -1);
}

static int64_t delay_after_death(struct child *c)
{
	bool steady = c->state == READY && clock_now() - c->started >= STEADY_MS;
	int64_t max = c->state == READY ? READY_MAX_MS : SLOW_MAX_MS;
	int64_t delay;

	if (steady)
		c->crashes = 0;
	delay = c->crashes == 0 ? 0 : (int64_t)FAST_MS << (c->crashes < 10 ? c->crashes : 10);
	c->crashes++;
	return delay < max ? delay : max;
}

static void next_stop_phase(struct master *m);
static void check_reload(struct master *m);

static void on_death(void *context, unsigned events)
{
	struct child *c = context;
	struct master *m = c->m;
	char status[64], name[40];
	int64_t delay;

	(void)events;
	/* Before it is reaped the descriptor leaves the loop. */
	loop_watch_free(&c->death);
	if (!process_ended(&c->process, status)) {
		c->death = loop_watch_new(m->loop, c->process.pidfd, LOOP_READ, on_death, c);
		return;
	}
	loop_watch_free(&c->orders);
	socket_close(&c->fd);
	drop_unsent(c);
	delay = delay_after_death(c);
	c->state = DOWN;
	if (m->stop_phase > 0) {
		say(m, "role-stopped", "%s %s", child_name(c, name), status);
		next_stop_phase(m);
		return;
	}
	say(m, "role-ended", "%s %s; again in %lld ms", child_name(c, name), status,
	    (long long)delay);
	if (delay == 0)
		start_again(c);
	else
		loop_timer_set(c->timer, delay);
	check_reload(m);
}

/* ---- reports of a child ---- */

static struct child *find_child(struct master *m, unsigned role, unsigned worker)
{
	for (size_t i = 0; i < m->child_count; i++)
		if (m->children[i].role->bit == role && m->children[i].worker == worker)
			return &m->children[i];
	return NULL;
}

/* A role that broke the rules of a channel has been taken over, or is wrong: it does not go on. */
static void kill_broken(struct child *reporter, const struct order *o)
{
	struct child *c = find_child(reporter->m, o->role, o->worker);
	char a[40], b[40];

	if (!c || c->state == DOWN)
		return;
	say(c->m, "role-killed", "%s, reported by %s: %.*s", child_name(c, a),
	    child_name(reporter, b), BYTES_ARG(o->text));
	process_signal(&c->process, SIGKILL);
}

static const char *missing_wall(const struct sandbox_report *w)
{
	if (w->off)
		return "all (a sanitizer build)";
	if (w->landlock_abi == 0)
		return "Landlock";
	if (!w->ports)
		return "Landlock's TCP ports";
	return w->scoped ? NULL : "Landlock's scopes";
}

static void take_ready(struct child *c, const struct order *o)
{
	char name[40];

	c->state = READY;
	c->walls = o->walls;
	say(c->m, "role-ready", "%s pid=%d generation=%llu", child_name(c, name),
	    (int)c->process.pid, (unsigned long long)o->number);
	check_reload(c->m);
}

static void describe_status(struct master *m, struct buf *out)
{
	char name[40];

	buf_printf(out, "{\"pid\":%d,\"generation\":%llu,\"reading\":%s}\n", (int)getpid(),
	           (unsigned long long)m->snapshot->generation, m->reading ? "true" : "false");
	for (size_t i = 0; i < m->child_count; i++) {
		struct child *c = &m->children[i];
		const char *missing = missing_wall(&c->walls);

		buf_printf(out,
		           "{\"role\":\"%s\",\"pid\":%d,\"state\":\"%s\",\"since\":%lld,"
		           "\"restarts\":%u,"
		           "\"generation\":%llu,\"seccomp\":%s,\"landlock\":%d,\"missing_wall\":\"%"
		           "s\"}\n",
		           child_name(c, name), (int)c->process.pid,
		           c->state == READY      ? "ready"
		           : c->state == STARTING ? "starting"
		                                  : "down",
		           (long long)c->started, c->restarts, (unsigned long long)c->taken,
		           c->walls.seccomp ? "true" : "false", c->walls.landlock_abi,
		           c->state == READY && missing ? missing : "");
	}
}

static void reply(struct child *c, uint32_t number, enum result result, struct bytes text)
{
	order(c,
	      &(struct order){.kind = ORDER_REPLY,
	                      .number = number,
	                      .result = (uint8_t)result,
	                      .text = text},
	      -1);
}

static void start_reload(struct master *m);

static void take_request(struct child *c, const struct order *o)
{
	struct buf out = {0};
	struct request *r;

	if (c->role->bit != WEB)
		return;
	if (o->protocol == ROLE_MASTER_STATUS) {
		describe_status(c->m, &out);
		reply(c, (uint32_t)o->number, OK, buf_bytes(&out));
		buf_done(&out);
		return;
	}
	r = NEW(struct request);
	r->child = c;
	r->number = (uint32_t)o->number;
	r->next = c->m->requests;
	c->m->requests = r;
	start_reload(c->m);
}

static void take_report(struct child *c, const struct order *o)
{
	char name[40];

	switch (o->kind) {
	case REPORT_READY: take_ready(c, o); break;
	case REPORT_TAKEN:
		c->taken = o->number;
		check_reload(c->m);
		break;
	case REPORT_BROKEN: kill_broken(c, o); break;
	case REPORT_FAILED:
		say(c->m, "role-failed", "%s: %.*s", child_name(c, name), BYTES_ARG(o->text));
		break;
	case REPORT_REQUEST: take_request(c, o); break;
	default:
		say(c->m, "role-killed", "%s: it sent master nonsense", child_name(c, name));
		process_signal(&c->process, SIGKILL);
		break;
	}
}

static void on_reports(void *context, unsigned events)
{
	struct child *c = context;
	struct order o;
	int passed = -1;
	enum result r = OK;

	if (events & LOOP_WRITE)
		send_unsent(c);
	while (c->fd >= 0 && (r = order_receive(c->fd, c->m->room, &o, &passed)) == OK) {
		socket_close(&passed);
		take_report(c, &o);
	}
	/* The end: its death is seen by the other watch, unless it only closed this descriptor. */
	if (c->fd >= 0 && r != UNAVAILABLE) {
		loop_watch_free(&c->orders);
		process_signal(&c->process, SIGKILL);
	}
}

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

static void order_to_servers(struct master *m, enum order_kind kind,
                             const struct snapshot_listener *l)
{
	struct order o = listener_order(kind, l);

	for (size_t i = 0; i < m->child_count; i++)
		if (serves(&m->children[i], l->protocol))
			order(&m->children[i], &o, kind == ORDER_LISTENER ? l->fd : -1);
}

static bool same_workers(const struct order_settings *a, const struct order_settings *b)
{
	return a->workers_mx == b->workers_mx && a->workers_access == b->workers_access &&
	       a->workers_sorter == b->workers_sorter && a->uid_base == b->uid_base;
}

static void switch_to(struct master *m, struct snapshot *fresh)
{
	struct snapshot *old = m->snapshot;

	fresh->generation = old->generation + 1;
	if (!same_workers(&fresh->settings, &old->settings)) {
		say(m, "reload", "other numbers of workers or uids take effect at the next start");
		fresh->settings = old->settings;
	}
	m->snapshot = fresh;
	for (size_t i = 0; i < m->child_count; i++)
		order_config(&m->children[i]);
	for (size_t i = 0; i < old->listener_count; i++)
		if (!find_listener(fresh, &old->listeners[i]))
			order_to_servers(m, ORDER_LISTENER_CLOSE, &old->listeners[i]);
	for (size_t i = 0; i < fresh->listener_count; i++)
		if (!find_listener(old, &fresh->listeners[i]))
			order_to_servers(m, ORDER_LISTENER, &fresh->listeners[i]);
	snapshot_free(&old);
}

static void answer_requests(struct master *m, enum result result, const char *text)
{
	struct request *r;

	loop_timer_stop(m->reload_timer);
	while ((r = m->requests)) {
		m->requests = r->next;
		if (r->child)
			reply(r->child, r->number, result, bytes_of_text(text));
		memory_free(r);
	}
	say(m, result == OK ? "reloaded" : "reload-failed", "generation=%llu %s",
	    (unsigned long long)m->snapshot->generation, text);
}

/* The first one that has not taken the newest generation; one that is down gets it when it starts. */
static struct child *laggard(struct master *m)
{
	for (size_t i = 0; i < m->child_count; i++)
		if (m->children[i].state == STARTING ||
		    (m->children[i].state == READY &&
		     m->children[i].taken != m->snapshot->generation))
			return &m->children[i];
	return NULL;
}

static void check_reload(struct master *m)
{
	if (m->requests && !m->reading && loop_timer_is_set(m->reload_timer) && !laggard(m))
		answer_requests(m, OK, "");
}

static void on_reload_time(void *context)
{
	struct master *m = context;
	struct child *c = laggard(m);
	char text[128], name[40];

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
		start_reload(m);
	} else if (!fresh) {
		answer_requests(m, INVALID, reason.text);
	} else {
		switch_to(m, fresh);
		loop_timer_set(m->reload_timer, RELOAD_MAX_MS);
		check_reload(m);
	}
}

static enum result read_config(struct master *m, snapshot_done *done, struct why *why)
{
	struct snapshot_read how = {m->loop, m->exe, m->directory, done, m};

	return snapshot_read_start(&how, why);
}

static void start_reload(struct master *m)
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
	start_reload(m);
}

/* ---- stopping ---- */

/* Who is stopped together; each group only when the one before is gone. */
static const unsigned stop_phases[] = {MX | ACCESS | WEB, SORTER, KEEPER, STORE};
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
			order(&m->children[i], &(struct order){.kind = ORDER_STOP}, -1);
	loop_timer_set(m->stop_timer, STOP_MAX_MS);
}

static void next_stop_phase(struct master *m)
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
			say(m, "role-killed", "%s did not stop in time", child_name(c, name));
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
	next_stop_phase(m);
}

static void on_term(void *context)
{
	struct master *m = context;

	if (m->stop_phase > 0) {
		on_stop_time(m); /* asked twice: now */
		return;
	}
	say(m, "stopping", "on a signal");
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
			c->timer = loop_timer_new(m->loop, start_again, c);
		}
}

static enum result start_children(struct master *m, struct why *why)
{
	for (size_t i = 0; i < m->child_count; i++) {
		enum result r = spawn(&m->children[i], why);

		if (r != OK)
			return r;
		order_start(&m->children[i]);
	}
	for (size_t i = 0; i < m->child_count; i++)
		for (size_t n = 0; n < i; n++)
			link_children(&m->children[i], &m->children[n]);
	for (size_t i = 0; i < m->child_count; i++)
		order(&m->children[i], &(struct order){.kind = ORDER_GO}, -1);
	return OK;
}

static enum result check_walls(struct master *m, struct why *why)
{
	struct sandbox_report walls;
	const char *missing;

	sandbox_probe(&walls);
	missing = missing_wall(&walls);
	if (!missing)
		return OK;
	if (m->snapshot->settings.sandbox_required)
		return why_set(why, DENIED,
		               "this machine lacks a wall (%s) and the configuration says `sandbox "
		               "require`",
		               missing);
	say(m, "wall-missing", "%s; `sandbox require` would refuse to start", missing);
	return OK;
}

static enum result begin(struct master *m, struct why *why)
{
	enum result r = check_walls(m, why);

	if (r == OK)
		r = bind_all(NULL, m->snapshot, why);
	if (r == OK)
		r = socket_listen_unix(m->directory, "run/admin.sock", 0600, &m->admin, why);
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
	say(m, "start-failed", "%s", reason.text);
	if (m->child_count > 0) {
		stop(m, 1);
		return;
	}
	m->exit_code = 1;
	loop_stop(m->loop);
}

/* One master for a DIR: the lock goes with the process, the pid in it is for people. */
static enum result lock_directory(struct master *m, struct why *why)
{
	struct buf text = {0};
	enum result r = file_lock(m->fs, "run/lock", &m->lock, why);

	if (r == EXISTS) {
		if (file_read_all(m->fs, "run/lock", 64, &text, NULL) == OK)
			(void)why_set(why, EXISTS, "already running as pid %.*s",
			              BYTES_ARG(bytes_trim(buf_bytes(&text))));
	} else if (r == OK) {
		buf_printf(&text, "%d\n", (int)getpid());
		r = file_truncate(m->lock, 0, why);
		if (r == OK)
			r = file_write(m->lock, 0, buf_bytes(&text), why);
	}
	buf_done(&text);
	return r;
}

static enum result open_directory(struct master *m, struct why *why)
{
	struct stat st;

	m->directory = open(m->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (m->directory < 0 || fstat(m->directory, &st) != 0)
		return why_set(why, NOT_FOUND, "%s: %s", m->path, strerror(errno));
	m->owner = st.st_uid;
	m->fs = file_system_real_new(m->directory);
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
	snapshot_free(&m->snapshot);
	if (m->admin >= 0)
		(void)file_remove(m->fs, "run/admin.sock", NULL);
	socket_close(&m->admin);
	socket_close(&m->exe);
	file_close(&m->lock);
	file_system_free(&m->fs);
	socket_close(&m->directory);
}

int master_main(const char *directory)
{
	struct master *m = NEW(struct master);
	struct why why = {0};
	int exit_code;

	m->path = directory;
	m->directory = m->exe = m->admin = -1;
	process_log_init(&m->log, "master", 0, 1);
	signal(SIGPIPE, SIG_IGN);
	sandbox_raise_files();
	if (prepare(m, &why) == OK) {
		say(m, "starting", "%s", directory);
		loop_run(m->loop);
		say(m, "stopped", "%s", directory);
	} else {
		say(m, "start-failed", "%s: %s", directory, why.text);
		m->exit_code = 1;
	}
	finish(m);
	exit_code = m->exit_code;
	memory_free(m);
	return exit_code;
}
