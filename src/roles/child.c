#include "roles/child.h"

#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "base/memory.h"
#include "sys/clock.h"
#include "sys/socket.h"

enum { FAST_MS = 25, READY_MAX_MS = 400, SLOW_MAX_MS = 5000, STEADY_MS = 10000 };

void master_say(struct master *m, const char *event, const char *format, ...)
{
	char text[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	log_line(&m->log, clock_now(), event, "%s", text);
}

/* "mx[1]" */
const char *child_name(const struct child *c, char out[40])
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
void child_order(struct child *c, const struct order *o, int passed)
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

void child_order_config(struct child *c)
{
	struct snapshot *s = c->m->snapshot;

	child_order(c, &(struct order){.kind = ORDER_CONFIG, .number = s->generation}, s->config);
}

struct order child_listener_order(enum order_kind kind, const struct snapshot_listener *l)
{
	return (struct order){
	        .kind = kind,
	        .protocol = l->protocol,
	        .ip = l->ip,
	        .port = l->port,
	        .text = bytes_of_text(l->name),
	};
}

bool child_serves(const struct child *c, unsigned protocol)
{
	return c->role->protocols >> protocol & 1;
}

static void order_unix_listener(struct child *c, uint8_t protocol, struct bytes name, int fd)
{
	if (child_serves(c, protocol))
		child_order(
		        c,
		        &(struct order){.kind = ORDER_LISTENER, .protocol = protocol, .text = name},
		        fd);
}

static void order_listeners(struct child *c)
{
	struct snapshot *s = c->m->snapshot;

	for (size_t i = 0; i < s->listener_count; i++)
		if (child_serves(c, s->listeners[i].protocol)) {
			struct order o = child_listener_order(ORDER_LISTENER, &s->listeners[i]);

			child_order(c, &o, s->listeners[i].fd);
		}
	order_unix_listener(c, ROLE_ADMIN, BYTES("admin"), c->m->admin);
	order_unix_listener(c, ROLE_SUBMIT, BYTES("submit"), c->m->submit);
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
			child_order(
			        c,
			        &(struct order){.kind = ORDER_FOLDER, .text = bytes_of_text(name)},
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
		master_say(a->m, "channel-failed", "%s", why.text);
		return;
	}
	child_order(
	        a,
	        &(struct order){.kind = kind, .role = b->role->bit, .worker = (uint8_t)b->worker},
	        ends[0]);
	child_order(
	        b,
	        &(struct order){.kind = kind, .role = a->role->bit, .worker = (uint8_t)a->worker},
	        ends[1]);
	socket_close(&ends[0]);
	socket_close(&ends[1]);
}

void child_link(struct child *a, struct child *b)
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
			child_link(c, &m->children[i]);
}

/* ---- starting a child ---- */

static void on_reports(void *context, unsigned events);
static void on_death(void *context, unsigned events);

enum result child_spawn(struct child *c, struct why *why)
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

void child_order_start(struct child *c)
{
	child_order(c,
	            &(struct order){
	                    .kind = ORDER_START,
	                    .worker = (uint8_t)c->worker,
	                    .workers = (uint8_t)c->workers,
	                    .number = c->m->owner,
	            },
	            -1);
	order_folders(c);
	if (c->role->bit == STORE)
		child_order(c, &(struct order){.kind = ORDER_LOCK}, c->m->lock);
	child_order_config(c);
	order_listeners(c);
}

void child_start_again(void *context)
{
	struct child *c = context;
	struct why why = {0};

	if (c->m->stop_phase > 0)
		return;
	if (child_spawn(c, &why) != OK) {
		master_say(c->m, "role-failed", "%s: %s", c->role->name, why.text);
		loop_timer_set(c->timer, SLOW_MAX_MS);
		return;
	}
	c->restarts++;
	child_order_start(c);
	link_to_all(c);
	child_order(c, &(struct order){.kind = ORDER_GO}, -1);
}

/* Who is killed from outside while it starts has not failed to start. */
static int64_t delay_after_death(struct child *c, const char *status)
{
	bool steady = c->state == READY && clock_now() - c->started >= STEADY_MS;
	bool killed = strcmp(status, "killed by SIGKILL") == 0;
	int64_t max = c->state == READY || killed ? READY_MAX_MS : SLOW_MAX_MS;
	int64_t delay;

	if (steady)
		c->crashes = 0;
	delay = c->crashes == 0 ? 0 : (int64_t)FAST_MS << (c->crashes < 10 ? c->crashes : 10);
	c->crashes++;
	return delay < max ? delay : max;
}

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
	delay = delay_after_death(c, status);
	c->state = DOWN;
	if (m->stop_phase > 0) {
		master_say(m, "role-stopped", "%s %s", child_name(c, name), status);
		master_next_stop_phase(m);
		return;
	}
	master_say(m, "role-ended", "%s %s; again in %lld ms", child_name(c, name), status,
	           (long long)delay);
	if (delay == 0)
		child_start_again(c);
	else
		loop_timer_set(c->timer, delay);
	master_check_reload(m);
}

/* ---- reports of a child ---- */

static struct child *find_child(struct master *m, unsigned role, unsigned worker)
{
	for (size_t i = 0; i < m->child_count; i++)
		if (m->children[i].role->bit == role && m->children[i].worker == worker)
			return &m->children[i];
	return NULL;
}

/* A role that broke the rules of a channel has been taken over, or is wrong: it does not go on. The word of one that asks
 * does not end the one that answers, or a taken-over front could end store: then the reporter is started anew. */
static void kill_broken(struct child *reporter, const struct order *o)
{
	struct child *accused = find_child(reporter->m, o->role, o->worker);
	bool believed = accused && accused->role->answerers & reporter->role->bit;
	char a[40], b[40];

	if (!accused || accused->state == DOWN)
		return;
	master_say(reporter->m, "channel-broken", "%s says of %s: %.*s", child_name(reporter, a),
	           child_name(accused, b), BYTES_ARG(o->text));
	process_signal(believed ? &accused->process : &reporter->process, SIGKILL);
}

const char *child_missing_wall(const struct sandbox_report *w)
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
	master_say(c->m, "role-ready", "%s pid=%d generation=%llu", child_name(c, name),
	           (int)c->process.pid, (unsigned long long)o->number);
	master_check_reload(c->m);
}

static void describe_child(const struct child *c, struct buf *out)
{
	static const char *const states[] = {"down", "starting", "ready"};
	const char *missing = c->state == READY ? child_missing_wall(&c->walls) : NULL;
	char name[40], since[TIME_TEXT];

	time_format_rfc3339(c->started, since);
	buf_printf(out,
	           "{\"role\":\"%s\",\"state\":\"%s\",\"pid\":%d,\"since\":\"%s\",\"restarts\":%u,",
	           child_name(c, name), states[c->state], (int)c->process.pid, since, c->restarts);
	buf_printf(out,
	           "\"generation\":%llu,\"seccomp\":%s,\"landlock\":%d,\"missing_wall\":\"%s\"}\n",
	           (unsigned long long)c->taken, c->walls.seccomp ? "true" : "false",
	           c->walls.landlock_abi, missing ? missing : "");
}

static void describe_status(struct master *m, struct buf *out)
{
	buf_printf(out, "{\"pid\":%d,\"generation\":%llu,\"reading\":%s}\n", (int)getpid(),
	           (unsigned long long)m->snapshot->generation, m->reading ? "true" : "false");
	for (size_t i = 0; i < m->child_count; i++)
		describe_child(&m->children[i], out);
}

void child_reply(struct child *c, uint32_t number, enum result result, struct bytes text)
{
	child_order(c,
	            &(struct order){.kind = ORDER_REPLY,
	                            .number = number,
	                            .result = (uint8_t)result,
	                            .text = text},
	            -1);
}

static void take_request(struct child *c, const struct order *o)
{
	struct buf out = {0};
	struct request *r;

	if (c->role->bit != WEB)
		return;
	if (o->protocol == ROLE_MASTER_STATUS) {
		describe_status(c->m, &out);
		child_reply(c, (uint32_t)o->number, OK, buf_bytes(&out));
		buf_done(&out);
		return;
	}
	r = NEW(struct request);
	r->child = c;
	r->number = (uint32_t)o->number;
	r->next = c->m->requests;
	c->m->requests = r;
	master_start_reload(c->m);
}

static void take_report(struct child *c, const struct order *o)
{
	char name[40];

	switch (o->kind) {
	case REPORT_READY: take_ready(c, o); break;
	case REPORT_TAKEN:
		c->taken = o->number;
		master_check_reload(c->m);
		break;
	case REPORT_BROKEN: kill_broken(c, o); break;
	case REPORT_FAILED:
		master_say(c->m, "role-failed", "%s: %.*s", child_name(c, name),
		           BYTES_ARG(o->text));
		break;
	case REPORT_REQUEST: take_request(c, o); break;
	default:
		master_say(c->m, "role-killed", "%s: it sent master nonsense", child_name(c, name));
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
