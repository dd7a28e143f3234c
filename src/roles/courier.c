/* courier: carries mail to other hosts. The deciding is in carrying/, the connections are courier_link's; this keeps batches
 * going, each with a session of its own, and brings asks and answers to their places.
 *
 * It keeps nothing: the store has the queue, hands out batches (CARRY) and says when. A few CARRY are open at any time, as many
 * batches under way as carry.connections allows. */
#include "roles/courier.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/memory.h"
#include "mail/charset.h"
#include "sys/file.h"
#include "sys/random.h"
#include "watch/incident.h"

enum {
	TAKERS =
	        4, /* CARRY that are open at once: they wait in the store; a channel has 64 places */
	WAITERS =
	        4, /* times carry.connections: batches that wait for dead hosts beside the others */
	QUICK_MS = 1000,
	ROOTS_MAX = 4 * 1024 * 1024,
	STOP_MS = 5000, /* what a mail under way has to reach its end; the queue has it else */
	DIRECT_EVERY_MS = 60000, /* while throttled */
	SMTP_PORT = 25,
	HTTPS_PORT = 443,
};

static void take_more(struct courier *c);

static time_ms now_of(const struct courier *c)
{
	return loop_now(c->role->loop);
}

/* ---- slots ---- */

static void on_slot(void *context);

static struct slot *slot_get(struct courier *c)
{
	struct slot *s = c->idle;

	if (s) {
		c->idle = s->next;
		return s;
	}
	if (c->slot_count >= (1 + WAITERS) * c->role->config->config->carry_connections)
		return NULL;
	if (c->slot_count == c->slot_room) {
		c->slot_room = c->slot_room ? c->slot_room * 2 : 16;
		c->slots = memory_resize(c->slots, c->slot_room * sizeof(struct slot *));
	}
	s = NEW(struct slot);
	s->courier = c;
	s->task.function = on_slot;
	s->task.context = s;
	c->slots[c->slot_count++] = s;
	return s;
}

static void slot_session(struct slot *s)
{
	struct courier *c = s->courier;

	if (s->session)
		map_remove_u64(&c->sessions, s->session);
	s->session = role_session_new(c->role);
	map_put_u64(&c->sessions, s->session, s);
}

static void slot_idle(struct slot *s)
{
	struct courier *c = s->courier;

	s->state = SLOT_IDLE;
	if (s->session)
		map_remove_u64(&c->sessions, s->session);
	s->session = 0;
	s->next = c->idle;
	c->idle = s;
}

/* ---- taking ---- */

static struct channel *store_of(const struct courier *c)
{
	struct channel *store = role_channel(c->role, STORE, 0);

	return store && channel_connected(store) ? store : NULL;
}

static bool may_take(const struct courier *c)
{
	return !c->stopping && store_of(c) && c->taking < TAKERS &&
	       c->taking + c->working - c->connecting <
	               c->role->config->config->carry_connections &&
	       now_of(c) >= c->take_after;
}

static void set_timer(struct courier *c)
{
	time_ms now = now_of(c), due = c->take_after > now ? c->take_after : TIME_NEVER;

	if (c->stopping)
		due = c->stop_at;

	for (size_t i = 0; i < c->slot_count; i++) {
		time_ms at = c->slots[i]->job ? carrying_job_deadline(c->slots[i]->job)
		                              : TIME_NEVER;

		due = at < due ? at : due;
	}
	if (due == TIME_NEVER)
		loop_timer_stop(c->timer);
	else
		loop_timer_set(c->timer, due - now);
}

static void take_more(struct courier *c)
{
	while (may_take(c)) {
		struct slot *s = slot_get(c);

		if (!s)
			return;
		s->state = SLOT_TAKING;
		s->asked = now_of(c);
		c->taking++;
		slot_session(s);
		channel_ask(store_of(c), &(struct ask){.kind = ASK_CARRY, .session = s->session});
	}
}

/* ---- the end of a batch ---- */

static void connecting(struct slot *s, bool now)
{
	if (s->connecting == now)
		return;
	s->connecting = now;
	if (now)
		s->courier->connecting++;
	else
		s->courier->connecting--;
}

static void let_go_of_link(struct slot *s)
{
	connecting(s, false);
	if (s->link && s->connect_number)
		link_drop(s->link);
	else if (s->link)
		link_done(s->link);
	s->link = NULL;
	s->connect_number = 0;
	s->sending = false;
}

static void stopped_when_idle(struct courier *c)
{
	if (c->stopping && c->working == 0)
		role_stopped(c->role);
}

static void end_job(struct slot *s)
{
	struct courier *c = s->courier;

	role_log(c->role, "carried", "%.*s", BYTES_ARG(carrying_job_outcome(s->job)));
	fetcher_forget(c->fetcher, s->session);
	let_go_of_link(s);
	carrying_job_free(&s->job);
	role_config_drop(&s->config);
	c->working--;
	slot_idle(s);
	take_more(c);
	stopped_when_idle(c);
}

/* ---- connecting ---- */

static void pump(struct slot *s);

static void answer_connect(struct slot *s, enum result result, const char *why)
{
	struct answer a = {.kind = ASK_CONNECT,
	                   .number = s->connect_number,
	                   .result = result,
	                   .why = bytes_of_text(why)};

	s->connect_number = 0;
	connecting(s, false);
	if (result != OK)
		s->link = NULL;
	carrying_job_tick(s->job, now_of(s->courier));
	carrying_job_answer(s->job, &a);
}

/* A connection that is there already, to this host or to one as good. */
static struct link *find_kept(struct slot *s)
{
	size_t choices = carrying_job_choices(s->job);

	for (size_t i = 0; i < choices; i++) {
		struct carrying_demand d;
		struct link *l;

		carrying_job_demand(s->job, i, &d);
		if (d.fresh)
			return NULL;
		l = links_idle(s->courier->links, d.key, s);
		if (l) {
			carrying_job_choose(s->job, i);
			return l;
		}
	}
	return NULL;
}

static struct link_limits limits_of(const struct config *c)
{
	return (struct link_limits){.connect_ms = c->carry_connect_timeout_ms,
	                            .reply_ms = c->carry_reply_timeout_ms,
	                            .data_ms = c->carry_data_timeout_ms,
	                            .idle_ms = c->carry_idle_ms};
}

static void connect_to(struct slot *s, const struct ask *a)
{
	const struct config *config = s->config->config;
	struct link_limits limits = limits_of(config);
	struct carrying_demand demand;
	struct link *kept;

	let_go_of_link(s);
	s->connect_number = a->number;
	kept = find_kept(s);
	if (kept) {
		s->link = kept;
		answer_connect(s, OK, "");
		return;
	}
	while (links_count(s->courier->links) >= config->carry_connections &&
	       links_close_idle(s->courier->links))
		;
	connecting(s, true);
	carrying_job_demand(s->job, 0, &demand);
	s->link = link_connect(s->courier->links, &demand, &limits,
	                       (const struct ip *)(const void *)a->connect.addresses.ptr,
	                       a->connect.addresses.len / sizeof(struct ip),
	                       (const struct ip *)(const void *)a->connect.source.ptr,
	                       a->connect.source.len / sizeof(struct ip), s);
}

/* ---- asks ---- */

static struct channel *channel_for(const struct courier *c, const struct ask *a)
{
	unsigned to = ask_info(a->kind)->to;

	return role_channel(c->role, to & STORE ? STORE : to & KEEPER ? KEEPER : RESOLVER, 0);
}

/* Channels are there from the start: without a peer they answer UNAVAILABLE. */
void courier_forward(struct courier *c, uint64_t session, struct ask *a)
{
	a->session = session;
	if (a->kind == ASK_FETCH)
		fetcher_ask(c->fetcher, a);
	else
		channel_ask(channel_for(c, a), a);
}

static void forward(struct slot *s, struct ask *a)
{
	if (a->kind == ASK_CONNECT)
		connect_to(s, a);
	else
		courier_forward(s->courier, s->session, a);
}

/* What the job wants, until it wants nothing more. */
static void pump(struct slot *s)
{
	struct ask a;

	if (s->state != SLOT_WORKING)
		return;
	while (carrying_job_ask(s->job, &a))
		forward(s, &a);
	if (carrying_job_mail(s->job) && s->link && !s->connect_number && !s->sending) {
		s->sending = true;
		link_send(s->link, carrying_job_mail(s->job));
	}
	if (carrying_job_finished(s->job))
		end_job(s);
	else if (s->connecting)
		take_more(s->courier);
	set_timer(s->courier);
}

/* Once a round: a mail that was sent is not sent again by a later call. */
static void on_slot(void *context)
{
	pump(context);
}

static void pump_soon(struct slot *s)
{
	loop_defer(s->courier->role->loop, &s->task);
}

/* ---- from the links ---- */

static void link_connected(void *owner, struct link *l, enum result result, const struct why *why)
{
	struct slot *s = owner;

	if (s->link != l)
		return;
	answer_connect(s, result, why->text);
	pump_soon(s);
}

static void link_asks(void *owner, struct link *l, const struct ask *a)
{
	struct slot *s = owner;
	struct channel *store = role_channel(s->courier->role, STORE, 0);

	channel_ask(store, a);
}

static void link_result(void *owner, struct link *l, const struct smtp_client_result *r)
{
	struct slot *s = owner;
	struct carrying_link facts;

	if (s->link != l || s->connect_number)
		return;
	s->sending = false;
	link_facts(l, &facts);
	carrying_job_tick(s->job, now_of(s->courier));
	carrying_job_result(s->job, r, &facts);
	/* More for this connection, or it is free for others while the result is on its way. */
	if (!carrying_job_mail(s->job)) {
		link_done(l);
		s->link = NULL;
	}
	pump_soon(s);
}

/* ---- is port 25 throttled? ---- */

static void tell_network(struct courier *c, enum throttle_state state)
{
	struct channel *store = store_of(c);
	const struct config *config = c->role->config->config;
	unsigned silent, answered;
	struct buf facts = {0};

	if (!store)
		return;
	c->told = state;
	throttle_count(&c->throttle, now_of(c), &silent, &answered);
	incident_fact_put(&facts, "state",
	                  state == THROTTLE_CLOSED ? BYTES("closed") : BYTES("partly"));
	buf_printf(&facts, "silent=%u\nanswered=%u\n", silent, answered);
	incident_fact_put(&facts, "route", config->carry_smarthost);
	channel_ask(store, &(struct ask){.kind = ASK_INCIDENT,
	                                 .session = role_session_new(c->role),
	                                 .number = 1,
	                                 .incident = {
	                                         .verb = state == THROTTLE_FINE ? INCIDENT_CLOSE
	                                                                        : INCIDENT_RAISE,
	                                         .kind = INCIDENT_NETWORK,
	                                         .key = BYTES("port25"),
	                                         .facts = buf_bytes(&facts),
	                                         .count = 1,
	                                 }});
	role_log(c->role, state == THROTTLE_FINE ? "network-fine" : "network-throttled",
	         "silent=%u answered=%u route=%.*s", silent, answered,
	         BYTES_ARG(config->carry_smarthost));
	buf_done(&facts);
}

static void look_at_network(struct courier *c)
{
	enum throttle_state state = throttle_state(&c->throttle, now_of(c));
	struct carrying_weather weather = {.throttled = state != THROTTLE_FINE};

	if (state == c->told)
		return;
	tell_network(c, state);
	for (size_t i = 0; i < c->slot_count; i++)
		if (c->slots[i]->job)
			carrying_job_weather(c->slots[i]->job, &weather);
}

static void link_outcome(void *context, const struct ip *to, enum result result)
{
	struct courier *c = context;

	throttle_add(&c->throttle, to,
	             result == OK       ? THROTTLE_ANSWERED
	             : result == DENIED ? THROTTLE_REFUSED
	                                : THROTTLE_SILENT,
	             now_of(c));
	look_at_network(c);
}

/* While throttled most goes by the fallback route; now and then one batch shows whether it still must. */
static bool is_throttled_for_next(struct courier *c)
{
	if (throttle_state(&c->throttle, now_of(c)) == THROTTLE_FINE)
		return false;
	if (now_of(c) < c->direct_after)
		return true;
	c->direct_after = now_of(c) + DIRECT_EVERY_MS;
	return false;
}

static const struct link_ops link_ops = {
        .connected = link_connected,
        .ask = link_asks,
        .result = link_result,
        .outcome = link_outcome,
};

/* ---- answers ---- */

/* Hosts of equal preference are shuffled by destination and minute, so that what is kept open can be used again. */
static uint64_t seed_for(const struct courier *c, struct bytes destination)
{
	return c->seed ^ map_hash(destination) ^ (uint64_t)(now_of(c) / 60000) * 0x9e3779b97f4a7c15;
}

static void carry_answered(struct slot *s, const struct answer *a)
{
	struct courier *c = s->courier;
	struct carrying_weather weather;

	c->taking--;
	if (a->result != OK || c->stopping) {
		if (a->result != OK && now_of(c) - s->asked < QUICK_MS)
			c->take_after = now_of(c) + QUICK_MS;
		slot_idle(s);
		take_more(c);
		set_timer(c);
		return;
	}
	weather.throttled = is_throttled_for_next(c);
	weather.seed = seed_for(c, a->carry.destination);
	s->state = SLOT_WORKING;
	c->working++;
	s->config = role_config_hold(c->role);
	s->job = carrying_job_new(s->config->config, &a->carry, &weather, now_of(c));
	take_more(c);
	pump(s);
}

static void job_answer(struct courier *c, const struct answer *a)
{
	struct slot *s = map_get_u64(&c->sessions, a->session);

	if (!s)
		return;
	if (s->state == SLOT_TAKING) {
		carry_answered(s, a);
	} else if (s->state == SLOT_WORKING) {
		carrying_job_tick(s->job, now_of(c));
		carrying_job_answer(s->job, a);
		pump_soon(s);
	}
}

static void courier_answer(struct role_context *r, struct channel *ch, const struct answer *a)
{
	struct courier *c = r->self;

	if (!links_answer(c->links, a) && !reporter_answer(c->reporter, a) &&
	    !teller_answer(c->teller, a) && !digester_answer(c->digester, a))
		job_answer(c, a);
}

void courier_fetched(struct courier *c, const struct answer *a)
{
	if (!reporter_answer(c->reporter, a) && !teller_answer(c->teller, a))
		job_answer(c, a);
}

/* ---- life ---- */

static void on_timer(void *context)
{
	struct courier *c = context;

	for (size_t i = 0; i < c->slot_count; i++) {
		struct slot *s = c->slots[i];

		if (s->state != SLOT_WORKING)
			continue;
		carrying_job_tick(s->job, now_of(c));
		pump_soon(s);
	}
	if (c->stopping && now_of(c) >= c->stop_at) {
		role_stopped(c->role);
		return;
	}
	take_more(c);
	set_timer(c);
}

static void courier_peer_back(struct role_context *r, struct channel *ch)
{
	struct courier *c = r->self;

	if (channel_peer(ch) != STORE)
		return;
	c->take_after = 0;
	take_more(c);
	set_timer(c);
}

/* The roots that other hosts' certificates must lead to: the option's file, or where Debian and others keep the system's. */
static void read_roots(struct courier *c)
{
	struct bytes option = c->role->config->config->carry_roots;
	const char *path = option.len ? arena_text(&c->arena, option)
	                              : "/etc/ssl/certs/ca-certificates.crt";
	int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct file_system *fs;
	struct buf text = {0};
	struct why why = {""};

	if (root < 0)
		return;
	fs = file_system_real_new(root);
	close(root);
	while (*path == '/')
		path++;
	if (file_read_all(fs, path, ROOTS_MAX, &text, &why) == OK)
		c->roots = arena_copy(&c->arena, buf_bytes(&text));
	else
		role_log(c->role, "roots-unreadable", "%s", why.text);
	buf_done(&text);
	file_system_free(&fs);
}

static void courier_warm(struct role_context *r)
{
	struct courier *c = NEW(struct courier);
	struct why why = {""};

	r->self = c;
	c->role = r;
	if (charset_warm(&why) != OK)
		role_fail(r, &why);
	read_roots(c);
	if (tls_client_context_new(&(struct tls_client_setup){.roots = c->roots}, &c->tls, &why) !=
	    OK) {
		role_log(r, "roots-missing", "%s", why.text);
		if (!c->tls)
			role_fail(r, &why);
	}
	c->fetcher = fetcher_warm(c);
}

static enum result courier_start(struct role_context *r, struct why *why)
{
	struct courier *c = r->self;

	c->timer = loop_timer_new(r->loop, on_timer, c);
	c->links = links_new(r, c->tls, &link_ops, c);
	fetcher_start(c->fetcher);
	c->reporter = reporter_new(c);
	c->digester = digester_new(c);
	c->teller = teller_new(c);
	random_fill(&c->seed, sizeof(c->seed));
	take_more(c);
	return OK;
}

/* What has reached a host goes to its end; the rest is the queue's still. */
static void courier_stop(struct role_context *r)
{
	struct courier *c = r->self;

	c->stopping = true;
	c->stop_at = now_of(c) + STOP_MS;
	links_stop(c->links);
	stopped_when_idle(c);
	set_timer(c);
}

/* Other hosts' SMTP and HTTPS, the smarthosts' and the webhooks'. */
static size_t courier_ports(const struct config *c, uint16_t *ret)
{
	size_t count = role_port_add(ret, 0, c->carry_port ? c->carry_port : SMTP_PORT);

	count = role_port_add(ret, count, c->carry_https_port ? c->carry_https_port : HTTPS_PORT);
	for (size_t i = 0; i < c->smarthost_count; i++)
		count = role_port_add(ret, count, c->smarthosts[i].port);
	for (size_t i = 0; i < c->alarm_count; i++)
		if (c->alarms[i].port)
			count = role_port_add(ret, count, c->alarms[i].port);
	return count;
}

static void courier_config(struct role_context *r)
{
	if (!role_lacks_port(r))
		return;
	role_log(r, "courier-again", "other ports need other walls");
	courier_stop(r);
}

static const struct role_ops ops = {
        .warm = courier_warm,
        .start = courier_start,
        .config = courier_config,
        .answer = courier_answer,
        .peer_back = courier_peer_back,
        .stop = courier_stop,
};

const struct role role_courier = {
        .name = "courier",
        .bit = COURIER,
        .does = "carries mail to other hosts; fetches over HTTPS",
        .rights = SANDBOX_CONNECT,
        .ports = courier_ports,
        .answerers = STORE | KEEPER | RESOLVER,
        .ops = &ops,
};
