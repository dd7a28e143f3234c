#include "roles/role.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/map.h"
#include "base/memory.h"
#include "roles/orders.h"
#include "sys/clock.h"
#include "sys/process.h"
#include "sys/random.h"
#include "sys/socket.h"

/* ---- the table, in the order of starting ---- */

const struct role *const roles[] = {
        &role_keeper, &role_store, &role_resolver, &role_sorter, &role_mx,
        &role_access, &role_web,   &role_courier,  &role_watch,
};
const size_t role_count = sizeof(roles) / sizeof(*roles);

const struct role *role_by_name(struct bytes name)
{
	for (size_t i = 0; i < role_count; i++)
		if (bytes_equal(bytes_of_text(roles[i]->name), name))
			return roles[i];
	return NULL;
}

const struct role *role_by_bit(unsigned bit)
{
	for (size_t i = 0; i < role_count; i++)
		if (roles[i]->bit == bit)
			return roles[i];
	return NULL;
}

unsigned role_number(const struct role *role)
{
	return (unsigned)__builtin_ctz(role->bit / KEEPER);
}

/* ---- the context ---- */

struct role_peer {
	struct channel *channel;
	struct role_peer *next;
};

struct role_private {
	struct role_context *r;
	struct loop_watch *watch; /* of master's orders */
	struct role_peer *peers;
	int folders[ROLE_FOLDERS];
	int lock; /* DIR's, which ends with the last process that has it; never read again */
	bool running;
	uint16_t ports[ROLE_PORTS]; /* that the walls leave open */
	size_t port_count;
	uint64_t sessions;
	char room[LIMIT_MESSAGE];
};

static struct role_peer *find_peer(const struct role_context *r, unsigned role, unsigned worker)
{
	struct role_peer *p;

	for (p = r->private->peers; p; p = p->next)
		if (channel_peer(p->channel) == role && channel_peer_worker(p->channel) == worker)
			return p;
	return NULL;
}

struct channel *role_channel(const struct role_context *r, unsigned role, unsigned worker)
{
	struct role_peer *p = find_peer(r, role, worker);

	return p ? p->channel : NULL;
}

struct channel *role_channel_each(const struct role_context *r, size_t *at)
{
	struct role_peer *p = r->private->peers;

	for (size_t i = 0; p && i < *at; i++)
		p = p->next;
	(*at)++;
	return p ? p->channel : NULL;
}

int role_folder_fd(const struct role_context *r, const char *name)
{
	for (int i = 0; i < ROLE_FOLDERS; i++)
		if (r->role->folders[i].name && strcmp(r->role->folders[i].name, name) == 0)
			return r->private->folders[i];
	return -1;
}

size_t role_port_add(uint16_t *ports, size_t count, uint64_t port)
{
	for (size_t i = 0; i < count; i++)
		if (ports[i] == port)
			return count;
	if (count < ROLE_PORTS)
		ports[count++] = (uint16_t)port;
	return count;
}

bool role_lacks_port(const struct role_context *r)
{
	uint16_t ports[ROLE_PORTS];
	size_t count = r->role->ports && r->walls.ports ? r->role->ports(r->config->config, ports)
	                                                : 0,
	       before = r->private->port_count;

	for (size_t i = 0; i < count; i++)
		if (role_port_add(r->private->ports, before, ports[i]) != before)
			return true;
	return false;
}

uint64_t role_session_new(struct role_context *r)
{
	return session_number(r->role->bit, r->worker, ++r->private->sessions);
}

struct role_config *role_config_hold(struct role_context *r)
{
	r->config->holders++;
	return r->config;
}

void role_config_drop(struct role_config **c)
{
	if (*c && --(*c)->holders == 0) {
		config_free(&(*c)->config);
		memory_free(*c);
	}
	*c = NULL;
}

void role_log(const struct role_context *r, const char *event, const char *format, ...)
{
	char text[2048];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	log_line(&r->log, r->loop ? loop_now(r->loop) : clock_now(), event, "%s", text);
}

/* Reports are few and short; where master does not take one at once, a moment's wait costs nothing. */
static void report(const struct order *o)
{
	while (order_send(ORDERS_FD, o, -1) == UNAVAILABLE)
		(void)socket_wait(ORDERS_FD, true, 100);
}

void role_stopped(struct role_context *r)
{
	loop_stop(r->loop);
}

void role_fail(struct role_context *r, const struct why *why)
{
	role_log(r, "role-failed", "%s", why->text);
	report(&(struct order){.kind = REPORT_FAILED, .text = bytes_of_text(why->text)});
	_exit(1);
}

void role_ask_master(struct role_context *r, uint32_t number, enum role_master_verb verb)
{
	(void)r;
	report(&(struct order){
	        .kind = REPORT_REQUEST, .number = number, .protocol = (uint8_t)verb});
}

/* ---- channels: the bus calls us, we call the role ---- */

static void on_ask(void *context, struct channel *c, const struct ask *a)
{
	struct role_context *r = context;

	r->role->ops->ask(r, c, a);
}

static void on_answer(void *context, struct channel *c, const struct answer *a)
{
	struct role_context *r = context;

	if (r->role->ops->answer)
		r->role->ops->answer(r, c, a);
}

static void on_event(void *context, struct channel *c, uint64_t session, unsigned events)
{
	struct role_context *r = context;

	if (r->role->ops->event)
		r->role->ops->event(r, c, session, events);
}

static void on_lost(void *context, struct channel *c, const char *broken)
{
	struct role_context *r = context;

	if (broken)
		report(&(struct order){
		        .kind = REPORT_BROKEN,
		        .role = channel_peer(c),
		        .worker = (uint8_t)channel_peer_worker(c),
		        .text = bytes_of_text(broken),
		});
	if (r->role->ops->peer_lost)
		r->role->ops->peer_lost(r, c);
}

static void on_ready(void *context, struct channel *c)
{
	struct role_context *r = context;

	if (r->role->ops->peer_back)
		r->role->ops->peer_back(r, c);
}

static const struct channel_ops channel_ops = {
        .ask = on_ask,
        .answer = on_answer,
        .event = on_event,
        .lost = on_lost,
        .ready = on_ready,
};

/* A role that answers nobody gets no ask op: the bus then calls an ask a broken rule. */
static const struct channel_ops channel_ops_asker = {
        .answer = on_answer,
        .event = on_event,
        .lost = on_lost,
        .ready = on_ready,
};

static struct role_peer *add_peer(struct role_context *r, unsigned role, unsigned worker)
{
	struct role_peer *p = NEW(struct role_peer);
	const struct channel_ops *ops = r->role->ops->ask ? &channel_ops : &channel_ops_asker;

	p->channel = channel_new(r->loop, -1, r->role->bit, r->worker, role, worker, ops, r);
	p->next = r->private->peers;
	r->private->peers = p;
	return p;
}

/* Who says hello serves: before start() has done its work, nobody hears it. */
static void take_channel(struct role_context *r, const struct order *o, int fd)
{
	struct role_peer *p = find_peer(r, o->role, o->worker);

	if (!p)
		p = add_peer(r, o->role, o->worker);
	if (r->private->running)
		channel_attach(p->channel, fd);
	else
		channel_attach_quiet(p->channel, fd);
}

static void greet_all(struct role_context *r)
{
	for (struct role_peer *p = r->private->peers; p; p = p->next)
		channel_greet(p->channel);
}

/* An asker finds its channels there from the start; without a peer they answer UNAVAILABLE. */
static void add_missing_peers(struct role_context *r)
{
	for (unsigned bit = 1; bit; bit <<= 1)
		if (r->role->answerers & bit && !find_peer(r, bit, 0))
			add_peer(r, bit, 0);
}

static void take_sign_channel(struct role_context *r, const struct order *o, int fd)
{
	if (r->role->signs) {
		socket_close(&r->sign_fd);
		r->sign_fd = fd;
	} else if (r->role->ops->sign_channel) {
		r->role->ops->sign_channel(r, o->role, o->worker, fd);
	} else {
		socket_close(&fd);
	}
}

/* ---- orders ---- */

static enum result take_config(struct role_context *r, uint64_t generation, int fd, struct why *why)
{
	struct role_config *fresh;
	struct config *config;
	struct bytes encoded;
	enum result result = process_map(fd, &encoded, why);

	if (result != OK)
		return result;
	result = config_decode(encoded, &config, why);
	process_unmap(&encoded);
	if (result != OK)
		return result;
	fresh = NEW(struct role_config);
	fresh->config = config;
	fresh->generation = generation;
	fresh->holders = 1;
	role_config_drop(&r->config);
	r->config = fresh;
	return OK;
}

static void take_new_config(struct role_context *r, const struct order *o, int fd)
{
	struct why why = {0};

	if (take_config(r, o->number, fd, &why) != OK)
		role_fail(r, &why);
	socket_close(&fd);
	if (!r->private->running)
		return;
	if (r->role->ops->config)
		r->role->ops->config(r);
	report(&(struct order){.kind = REPORT_TAKEN, .number = o->number});
}

static void take_listener(struct role_context *r, const struct order *o, int fd)
{
	struct role_listener *l = NEW(struct role_listener);

	l->fd = fd;
	l->protocol = o->protocol;
	l->ip = o->ip;
	l->port = o->port;
	snprintf(l->name, sizeof(l->name), "%.*s", BYTES_ARG(o->text));
	l->next = r->listeners;
	r->listeners = l;
	if (r->private->running && r->role->ops->listener)
		r->role->ops->listener(r, l);
}

static void close_listener(struct role_context *r, const struct order *o)
{
	struct role_listener **at, *l;

	for (at = &r->listeners; (l = *at); at = &l->next)
		if (l->protocol == o->protocol && l->port == o->port && ip_equal(&l->ip, &o->ip))
			break;
	if (!l)
		return;
	*at = l->next;
	if (r->role->ops->listener_closed)
		r->role->ops->listener_closed(r, l);
	socket_close(&l->fd);
	memory_free(l);
}

static void take_folder(struct role_context *r, const struct order *o, int fd)
{
	for (int i = 0; i < ROLE_FOLDERS; i++)
		if (bytes_equal(bytes_of_text(r->role->folders[i].name), o->text)) {
			socket_close(&r->private->folders[i]);
			r->private->folders[i] = fd;
			return;
		}
	socket_close(&fd);
}

static void stop(struct role_context *r)
{
	if (!r->private->running)
		exit(0);
	if (r->role->ops->stop)
		r->role->ops->stop(r);
	else
		role_stopped(r);
}

static void take_order(struct role_context *r, const struct order *o, int fd)
{
	switch (o->kind) {
	case ORDER_START:
		r->worker = o->worker;
		r->workers = o->workers;
		r->owner = (unsigned)o->number;
		process_log_init(&r->log, r->role->name, r->worker, r->workers);
		break;
	case ORDER_LOCK: r->private->lock = fd; return;
	case ORDER_FOLDER: take_folder(r, o, fd); return;
	case ORDER_CONFIG: take_new_config(r, o, fd); return;
	case ORDER_LISTENER: take_listener(r, o, fd); return;
	case ORDER_LISTENER_CLOSE: close_listener(r, o); break;
	case ORDER_CHANNEL: take_channel(r, o, fd); return;
	case ORDER_SIGN: take_sign_channel(r, o, fd); return;
	case ORDER_STOP: stop(r); break;
	case ORDER_REPLY:
		if (r->role->ops->master_answer)
			r->role->ops->master_answer(r, (uint32_t)o->number, o->result, o->text);
		break;
	default: break;
	}
	socket_close(&fd);
}

/* Master is gone: nothing is served without it. */
static void orphaned(struct role_context *r)
{
	role_log(r, "role-ended", "master is gone");
	_exit(1);
}

static void on_order(void *context, unsigned events)
{
	struct role_context *r = context;
	struct order o;
	int fd = -1;
	enum result result;

	(void)events;
	while ((result = order_receive(ORDERS_FD, r->private->room, &o, &fd)) == OK)
		take_order(r, &o, fd);
	if (result != UNAVAILABLE)
		orphaned(r);
}

/* SIGN channels that came before start() ran wait here: keeper's state does not exist yet. */
struct early_sign {
	struct order order;
	int fd;
	struct early_sign *next;
};

static void keep_sign(struct early_sign **list, const struct order *o, int fd)
{
	struct early_sign *e = NEW(struct early_sign);

	e->order = *o;
	e->order.text = (struct bytes){0};
	e->fd = fd;
	e->next = *list;
	*list = e;
}

static void take_early_signs(struct role_context *r, struct early_sign **list)
{
	struct early_sign *e;

	while ((e = *list)) {
		*list = e->next;
		take_sign_channel(r, &e->order, e->fd);
		memory_free(e);
	}
}

/* Everything up to ORDER_GO, waiting for it. */
static void take_first_orders(struct role_context *r, struct early_sign **signs)
{
	struct order o = {0};
	int fd = -1;

	while (o.kind != ORDER_GO) {
		enum result result = order_receive(ORDERS_FD, r->private->room, &o, &fd);

		if (result == UNAVAILABLE)
			(void)socket_wait(ORDERS_FD, false, -1);
		else if (result != OK)
			orphaned(r);
		else if (o.kind == ORDER_SIGN)
			keep_sign(signs, &o, fd);
		else
			take_order(r, &o, fd);
	}
}

/* ---- the walls ---- */

enum result role_enter_walls(const struct role *role, const int fds[ROLE_FOLDERS],
                             const struct config *c, struct sandbox_report *ret, struct why *why)
{
	static const struct config defaults = {0};
	struct sandbox_folder folders[ROLE_FOLDERS];
	uint16_t ports[ROLE_PORTS];
	struct sandbox s = {.rights = role->rights, .folders = folders, .ports = ports};

	if (role->ports)
		s.port_count = role->ports(c ? c : &defaults, ports);

	for (int i = 0; i < ROLE_FOLDERS; i++)
		if (role->folders[i].name && fds[i] >= 0)
			folders[s.folder_count++] = (struct sandbox_folder){fds[i],
			                                                    role->folders[i].write};
	return sandbox_enter(&s, ret, why);
}

/* ---- running ---- */

static void seed(struct role_context *r)
{
	uint8_t key[16];

	random_fill(key, sizeof(key));
	map_seed(key);
	r->private->sessions = random_u64();
}

static void prepare(struct role_context *r, const struct role *role)
{
	signal(SIGPIPE, SIG_IGN);
	/* Ctrl-C reaches the whole group, a service manager's stop all processes; stopping in order is master's. */
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	umask(022);
	sandbox_raise_files();
	r->role = role;
	r->sign_fd = -1;
	r->private = NEW(struct role_private);
	r->private->r = r;
	for (int i = 0; i < ROLE_FOLDERS; i++)
		r->private->folders[i] = -1;
	process_log_init(&r->log, role->name, 0, 1);
	seed(r);
	socket_set_blocking(ORDERS_FD, false);
	r->loop = loop_new();
}

static void begin(struct role_context *r, struct early_sign **signs)
{
	const struct role_ops *ops = r->role->ops;
	struct why why = {0};

	if (ops->warm)
		ops->warm(r);
	if (role_enter_walls(r->role, r->private->folders, r->config ? r->config->config : NULL,
	                     &r->walls, &why) != OK)
		role_fail(r, &why);
	if (r->role->ports && r->config)
		r->private->port_count = r->role->ports(r->config->config, r->private->ports);
	add_missing_peers(r);
	if (ops->start && ops->start(r, &why) != OK)
		role_fail(r, &why);
	r->private->running = true;
	take_early_signs(r, signs);
	greet_all(r);
	for (struct role_listener *l = r->listeners; l; l = l->next)
		if (ops->listener)
			ops->listener(r, l);
	r->private->watch = loop_watch_new(r->loop, ORDERS_FD, LOOP_READ, on_order, r);
	report(&(struct order){.kind = REPORT_READY,
	                       .walls = r->walls,
	                       .number = r->config ? r->config->generation : 0});
}

int role_main(const char *name)
{
	const struct role *role = role_by_name(bytes_of_text(name));
	struct role_context r = {0};
	struct early_sign *signs = NULL;

	if (!role)
		return 2;
	prepare(&r, role);
	take_first_orders(&r, &signs);
	begin(&r, &signs);
	loop_run(r.loop);
	/* From inside this frame, so that a leak checker still sees what the context holds. */
	exit(0);
}
