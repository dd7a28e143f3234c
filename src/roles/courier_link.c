#include "roles/courier_link.h"

#include "base/map.h"
#include "base/memory.h"
#include "sys/random.h"
#include "sys/socket.h"

enum {
	HEAD_START_MS = 250, /* RFC 8305, 5: the Connection Attempt Delay */
	ATTEMPTS = 4,        /* under way at once for one host */
	ROOM = 64 * 1024,
	AGAIN_MS = 1000,
};

/*	CONNECTING -> (one answered) RUN <-> IDLE
 *	RUN, IDLE  -> (link_done) QUITTING -> DEAD
 * Whatever breaks makes it DEAD; memory goes at the end of the round. */
enum link_state { LINK_CONNECTING, LINK_RUN, LINK_IDLE, LINK_QUITTING, LINK_DEAD };

struct attempt {
	struct link *link;
	int fd;
	struct loop_watch *watch;
	struct ip ip;
	time_ms until;
};

struct link {
	struct links *links;
	enum link_state state;
	void *owner; /* NULL: kept, or on its way out */
	uint64_t session;

	/* CONNECTING */
	struct ip addresses[CARRYING_ADDRESSES];
	struct ip sources[2];
	size_t address_count, source_count, next;
	struct attempt attempts[ATTEMPTS];
	time_ms next_at;
	uint16_t port;
	bool network;
	enum result worst;
	struct why why;

	/* RUN */
	int fd;
	struct loop_watch *watch;
	unsigned watched;
	struct socket_peer peer;
	struct engine *engine;
	struct smtp_client_options options; /* texts in the arena, until the engine is made */
	struct tls *tls;
	bool tls_asked, tls_up, eof, reused, announced, have_verdict;
	uint32_t tls_number;
	struct tls_client_verdict verdict;
	struct bytes tls_version;
	struct buf in, out; /* plaintext not taken; what goes to the socket */
	struct link_limits limits;
	struct loop_timer *timer;
	struct loop_task task;
	struct arena arena;
	struct bytes key;
	time_ms idle_until;

	struct link *next_link, **prev_link;
	struct link *older, *newer; /* among the kept ones */
};

struct links {
	struct role_context *role;
	struct tls_client_context *tls;
	const struct link_ops *ops;
	void *context;
	struct link *all;
	size_t count;
	struct map sessions;
	struct link *oldest, *newest; /* kept */
	struct buf plain, cipher;     /* of the call under way */
	bool stopping;
	char room[ROOM];
};

static void settle(struct link *l);

struct links *links_new(struct role_context *r, struct tls_client_context *tls,
                        const struct link_ops *ops, void *context)
{
	struct links *ls = NEW(struct links);

	ls->role = r;
	ls->tls = tls;
	ls->ops = ops;
	ls->context = context;
	return ls;
}

size_t links_count(const struct links *ls)
{
	return ls->count;
}

static time_ms now_of(const struct link *l)
{
	return loop_now(l->links->role->loop);
}

/* ---- the end ---- */

static void close_attempt(struct attempt *a)
{
	loop_watch_free(&a->watch);
	socket_close(&a->fd);
}

static void leave_idle(struct link *l)
{
	struct links *ls = l->links;

	if (l->older)
		l->older->newer = l->newer;
	else if (ls->oldest == l)
		ls->oldest = l->newer;
	if (l->newer)
		l->newer->older = l->older;
	else if (ls->newest == l)
		ls->newest = l->older;
	l->older = l->newer = NULL;
}

static void free_link(struct link *l)
{
	*l->prev_link = l->next_link;
	if (l->next_link)
		l->next_link->prev_link = l->prev_link;
	loop_task_cancel(&l->task);
	loop_timer_free(&l->timer);
	if (l->engine)
		l->engine->ops->free(&l->engine);
	tls_free(&l->tls);
	buf_done(&l->in);
	buf_done(&l->out);
	arena_done(&l->arena);
	memory_free(l);
}

/* No descriptor, no owner, nothing to say; the memory goes when nobody is inside it any more. */
static void kill(struct link *l)
{
	if (l->state == LINK_DEAD)
		return;
	for (size_t i = 0; i < ATTEMPTS; i++)
		close_attempt(&l->attempts[i]);
	loop_watch_free(&l->watch);
	socket_close(&l->fd);
	leave_idle(l);
	if (l->session)
		map_remove_u64(&l->links->sessions, l->session);
	l->state = LINK_DEAD;
	l->owner = NULL;
	l->links->count--;
	loop_timer_stop(l->timer);
	loop_defer(l->links->role->loop, &l->task);
}

void link_drop(struct link *l)
{
	kill(l);
}

/* ---- writing ---- */

/* False: the connection is broken. */
static bool flush(struct link *l)
{
	while (buf_len(&l->out) > 0) {
		size_t len = 0;
		enum result r = socket_write(l->fd, buf_bytes(&l->out), &len);

		if (r == UNAVAILABLE)
			return true;
		if (r != OK)
			return false;
		buf_consume(&l->out, len);
	}
	return true;
}

/* What the engine says goes out, through TLS where that is up. True: something moved. */
static bool send_output(struct link *l)
{
	struct buf *output = l->engine->ops->output(l->engine);
	bool moved = false;

	while (buf_len(output) > 0 && buf_len(&l->out) < ENGINE_OUTPUT_HIGH && !l->eof) {
		struct bytes piece = bytes_first(buf_bytes(output), 16 * 1024);

		if (!l->tls_up)
			buf_append(&l->out, piece);
		else if (tls_write(l->tls, piece, &l->out) != OK)
			l->eof = true;
		buf_consume(output, piece.len);
		moved = true;
		if (!flush(l))
			l->eof = true;
		if (buf_len(&l->out) > 0)
			break;
	}
	return moved;
}

/* ---- TLS ---- */

static void answer_tls(struct link *l, enum result result, struct bytes why)
{
	struct answer a = {
	        .kind = ASK_TLS_START, .number = l->tls_number, .result = result, .why = why};

	if (result == OK) {
		struct tls_info info;

		tls_info(l->tls, &info);
		l->tls_version = arena_copy(&l->arena, info.version);
		a.tls_start.version = info.version;
		a.tls_start.exporter = info.exporter;
		a.tls_start.endpoint = info.endpoint;
	}
	l->tls_asked = false;
	l->tls_up = result == OK;
	tls_client_verdict(l->tls, &l->verdict);
	l->have_verdict = true;
	l->engine->ops->answer(l->engine, &a);
}

/* Everything said in the clear is out: the client speaks first. */
static void begin_tls(struct link *l)
{
	struct why why = {""};

	if (!l->tls || buf_len(&l->in) > 0) {
		/* What stands behind the reply to STARTTLS came in the clear: never to be read as if TLS had brought it. */
		buf_clear(&l->in);
		l->tls_asked = false;
		l->engine->ops->answer(l->engine,
		                       &(struct answer){.kind = ASK_TLS_START,
		                                        .number = l->tls_number,
		                                        .result = FAILED,
		                                        .why = BYTES("plaintext after STARTTLS")});
	} else if (tls_feed(l->tls, (struct bytes){0}, &l->in, &l->out, &why) != OK) {
		answer_tls(l, FAILED, bytes_of_text(why.text));
	} else if (!flush(l)) {
		l->eof = true;
	}
}

static void tls_received(struct link *l, struct bytes in)
{
	struct why why = {""};
	bool handshake = !l->tls_up;
	enum result r = tls_feed(l->tls, in, &l->in, &l->out, &why);

	if (!flush(l))
		l->eof = true;
	if (handshake && r == INVALID)
		answer_tls(l, FAILED, bytes_of_text(why.text));
	else if (handshake && tls_ready(l->tls))
		answer_tls(l, OK, (struct bytes){0});
	if (r != OK)
		l->eof = true;
}

/* ---- the engine ---- */

static void kept_ask(struct link *l, const struct ask *a)
{
	struct ask stamped = *a;

	stamped.session = l->session;
	l->links->ops->ask(l->owner, l, &stamped);
}

static bool drain_asks(struct link *l)
{
	struct ask a;
	bool any = false;

	while (l->engine->ops->ask(l->engine, &a)) {
		any = true;
		if (a.kind == ASK_TLS_START) {
			l->tls_asked = true;
			l->tls_number = a.number;
			if (l->tls_up)
				l->eof = true;
		} else if (a.kind == ASK_QUEUE_READ && l->owner) {
			kept_ask(l, &a);
		}
	}
	return any;
}

static bool feed(struct link *l)
{
	size_t taken;

	if (buf_len(&l->in) == 0 || l->tls_asked)
		return false;
	taken = l->engine->ops->feed(l->engine, buf_bytes(&l->in));
	buf_consume(&l->in, taken);
	return taken > 0;
}

static bool all_sent(const struct link *l)
{
	return buf_len(&l->out) == 0 && buf_len(l->engine->ops->output(l->engine)) == 0;
}

/* Runs until nothing moves any more; then whoever is waiting for a result hears it. */
static void pump(struct link *l)
{
	bool moved = true, told_eof = false, begun = false;

	l->engine->ops->tick(l->engine, now_of(l));
	while (moved) {
		moved = feed(l);
		moved |= drain_asks(l);
		moved |= send_output(l);
		if (l->tls_asked && !begun && !l->tls_up && all_sent(l) && !l->eof &&
		    !l->have_verdict) {
			begun = true;
			l->have_verdict = true;
			begin_tls(l);
			moved = true;
		}
		if (l->eof && !told_eof) {
			told_eof = true;
			l->engine->ops->eof(l->engine);
			moved = true;
		}
	}
	settle(l);
}

/* ---- watching ---- */

static void watch(struct link *l)
{
	unsigned events = 0;

	if (!l->eof && buf_len(&l->in) < ENGINE_OUTPUT_HIGH)
		events |= LOOP_READ;
	if (buf_len(&l->out) > 0)
		events |= LOOP_WRITE;
	if (events != l->watched)
		loop_watch_set(l->watch, events);
	l->watched = events;
}

static void set_timer(struct link *l)
{
	time_ms now = now_of(l), at = l->engine->ops->deadline(l->engine);

	if (l->state == LINK_IDLE && l->idle_until < at)
		at = l->idle_until;
	if (at == TIME_NEVER)
		loop_timer_stop(l->timer);
	else
		loop_timer_set(l->timer, at > now ? at - now : 1);
}

static void say_quit(struct link *l)
{
	l->state = LINK_QUITTING;
	l->owner = NULL;
	if (smtp_client_ready(l->engine) && !l->eof)
		smtp_client_quit(l->engine);
	else if (!l->engine->ops->finished(l->engine))
		kill(l); /* in the middle of something: nothing is to be said any more */
}

/* What follows from the state after anything happened. A result is told last: the owner may do anything with the link. */
static void settle(struct link *l)
{
	struct smtp_client_result result;

	if (l->state == LINK_DEAD)
		return;
	watch(l);
	set_timer(l);
	if (smtp_client_result(l->engine, &result)) {
		if (l->owner)
			l->links->ops->result(l->owner, l, &result);
		else
			kill(l);
	} else if (!l->owner && l->engine->ops->finished(l->engine) && (all_sent(l) || l->eof)) {
		if (l->tls_up && !l->eof) {
			tls_close(l->tls, &l->out);
			(void)flush(l);
		}
		kill(l);
	} else if (!l->owner && l->eof) {
		kill(l);
	}
}

static void received(struct link *l, struct bytes in)
{
	if (l->tls && (l->tls_up || l->tls_asked))
		tls_received(l, in);
	else
		buf_append(&l->in, in);
}

static void readable(struct link *l)
{
	size_t len = 0;
	enum result r = socket_read(l->fd, l->links->room, ROOM, &len);

	if (r == UNAVAILABLE)
		return;
	if (r == OK && len > 0)
		received(l, bytes_of(l->links->room, len));
	else
		l->eof = true;
}

static void on_socket(void *context, unsigned events)
{
	struct link *l = context;

	if (l->state == LINK_DEAD)
		return;
	if ((events & LOOP_WRITE) && !flush(l))
		l->eof = true;
	if ((events & LOOP_READ) && (l->watched & LOOP_READ))
		readable(l);
	pump(l);
}

/* ---- connecting ---- */

static void on_attempt(void *context, unsigned events);

static void count_outcome(struct link *l, const struct ip *ip, enum result result)
{
	if (l->network && result != NOT_FOUND)
		l->links->ops->outcome(l->links->context, ip, result);
}

static const struct ip *source_for(const struct link *l, const struct ip *to)
{
	for (size_t i = 0; i < l->source_count; i++)
		if (ip_is_v4(&l->sources[i]) == ip_is_v4(to))
			return &l->sources[i];
	return NULL;
}

/* Of several failures the one that says most about the host is told: refused, then silent, then no way there. */
static void note_failure(struct link *l, const struct ip *ip, enum result r, const char *text)
{
	enum result told = r == DENIED ? DENIED : r == NOT_FOUND ? NOT_FOUND : UNAVAILABLE;
	char address[IP_TEXT];
	int weight = told == DENIED ? 3 : told == UNAVAILABLE ? 2 : 1;
	int had = l->worst == DENIED ? 3 : l->worst == UNAVAILABLE ? 2 : l->worst == NOT_FOUND;

	count_outcome(l, ip, told);
	if (weight < had)
		return;
	ip_format(ip, address);
	l->worst = told;
	(void)why_set(&l->why, told, "connect to %s port %u: %s", address, l->port, text);
}

static bool start_attempt(struct link *l, struct attempt *a)
{
	const struct ip *ip = &l->addresses[l->next++];
	struct why why = {""};
	enum result r = socket_connect_begin(ip, l->port, source_for(l, ip), &a->fd, &why);

	if (r != OK) {
		note_failure(l, ip, r, why.text);
		return false;
	}
	a->link = l;
	a->ip = *ip;
	a->until = now_of(l) + l->limits.connect_ms;
	a->watch = loop_watch_new(l->links->role->loop, a->fd, LOOP_WRITE, on_attempt, a);
	l->next_at = now_of(l) + HEAD_START_MS;
	return true;
}

static size_t open_attempts(const struct link *l)
{
	size_t n = 0;

	for (size_t i = 0; i < ATTEMPTS; i++)
		n += l->attempts[i].fd >= 0;
	return n;
}

/* Nobody is under way, or the last one's head start is over: the next. */
static void start_more(struct link *l)
{
	for (size_t i = 0; i < ATTEMPTS && l->next < l->address_count; i++) {
		if (l->attempts[i].fd >= 0)
			continue;
		if (open_attempts(l) > 0 && now_of(l) < l->next_at)
			return;
		while (l->next < l->address_count && !start_attempt(l, &l->attempts[i]))
			;
	}
}

static void end_overdue(struct link *l)
{
	for (size_t i = 0; i < ATTEMPTS; i++) {
		struct attempt *a = &l->attempts[i];

		if (a->fd < 0 || now_of(l) < a->until)
			continue;
		close_attempt(a);
		note_failure(l, &a->ip, LOST, "no answer in time");
	}
}

static void set_connect_timer(struct link *l)
{
	time_ms at = TIME_NEVER, now = now_of(l);

	if (l->next < l->address_count && open_attempts(l) < ATTEMPTS)
		at = l->next_at;
	for (size_t i = 0; i < ATTEMPTS; i++)
		if (l->attempts[i].fd >= 0 && l->attempts[i].until < at)
			at = l->attempts[i].until;
	loop_timer_set(l->timer, at > now ? at - now : 1);
}

static void connecting(struct link *l)
{
	end_overdue(l);
	start_more(l);
	if (open_attempts(l) > 0) {
		set_connect_timer(l);
	} else {
		void *owner = l->owner;
		struct why why = l->why;
		enum result worst = l->worst == OK ? NOT_FOUND : l->worst;

		kill(l);
		l->links->ops->connected(owner, l, worst, &why);
	}
}

static void began(struct link *l, struct attempt *winner, const struct socket_peer *peer)
{
	l->fd = winner->fd;
	l->peer = *peer;
	winner->fd = -1;
	loop_watch_free(&winner->watch);
	for (size_t i = 0; i < ATTEMPTS; i++)
		close_attempt(&l->attempts[i]);
	l->state = LINK_RUN;
	l->watched = LOOP_READ;
	l->watch = loop_watch_new(l->links->role->loop, l->fd, LOOP_READ, on_socket, l);
	l->engine = smtp_client_new(&l->options, now_of(l));
	memory_wipe(&l->options.password, sizeof(l->options.password));
	count_outcome(l, &peer->ip, OK);
	loop_defer(l->links->role->loop, &l->task);
	l->announced = true;
	l->links->ops->connected(l->owner, l, OK, &(struct why){""});
}

static void on_attempt(void *context, unsigned events)
{
	struct attempt *a = context;
	struct link *l = a->link;
	struct socket_peer peer;
	struct why why = {""};
	enum result r = socket_connect_end(a->fd, &peer, &why);

	if (r == UNAVAILABLE)
		return;
	if (r == OK) {
		began(l, a, &peer);
		return;
	}
	close_attempt(a);
	note_failure(l, &a->ip, r, why.text);
	l->next_at = 0; /* no head start over one that has failed */
	connecting(l);
}

/* ---- time and later ---- */

static void on_timer(void *context)
{
	struct link *l = context;

	if (l->state == LINK_CONNECTING) {
		connecting(l);
	} else if (l->state == LINK_IDLE && now_of(l) >= l->idle_until) {
		leave_idle(l);
		say_quit(l);
		pump(l);
	} else if (l->state != LINK_DEAD) {
		pump(l);
	}
}

static void on_task(void *context)
{
	struct link *l = context;

	if (l->state == LINK_DEAD)
		free_link(l);
	else if (l->state == LINK_CONNECTING)
		connecting(l);
	else
		pump(l);
}

/* ---- the owner's verbs ---- */

static void copy_options(struct link *l, const struct carrying_demand *d)
{
	l->options = (struct smtp_client_options){
	        .helo = arena_copy(&l->arena, d->helo),
	        .tls = d->tls,
	        .implicit_tls = d->implicit_tls,
	        .user = arena_copy(&l->arena, d->user),
	        .password = arena_copy(&l->arena, d->password),
	        .clear_password = d->clear_password,
	        .greeting_ms = l->limits.reply_ms,
	        .reply_ms = l->limits.reply_ms,
	        .data_ms = l->limits.data_ms,
	};
	random_fill(l->options.seed, sizeof(l->options.seed));
}

static void take_session(struct link *l)
{
	if (l->session)
		map_remove_u64(&l->links->sessions, l->session);
	l->session = role_session_new(l->links->role);
	map_put_u64(&l->links->sessions, l->session, l);
}

struct link *link_connect(struct links *ls, const struct carrying_demand *demand,
                          const struct link_limits *limits, const struct ip *addresses,
                          size_t address_count, const struct ip *sources, size_t source_count,
                          void *owner)
{
	struct link *l = NEW(struct link);

	l->links = ls;
	l->owner = owner;
	l->fd = -1;
	for (size_t i = 0; i < ATTEMPTS; i++)
		l->attempts[i].fd = -1;
	l->limits = *limits;
	l->port = demand->port;
	l->network = demand->network;
	l->key = arena_copy(&l->arena, demand->key);
	l->address_count = address_count < CARRYING_ADDRESSES ? address_count : CARRYING_ADDRESSES;
	l->source_count = source_count < 2 ? source_count : 2;
	memcpy(l->addresses, addresses, l->address_count * sizeof(*addresses));
	memcpy(l->sources, sources, l->source_count * sizeof(*sources));
	copy_options(l, demand);
	if (demand->implicit_tls || demand->tls != SMTP_TLS_NEVER)
		l->tls = tls_client_new(ls->tls, &demand->policy, now_of(l));
	l->timer = loop_timer_new(ls->role->loop, on_timer, l);
	l->task.function = on_task;
	l->task.context = l;
	l->next_link = ls->all;
	l->prev_link = &ls->all;
	if (l->next_link)
		l->next_link->prev_link = &l->next_link;
	ls->all = l;
	ls->count++;
	loop_defer(ls->role->loop, &l->task);
	return l;
}

struct link *links_idle(struct links *ls, struct bytes key, void *owner)
{
	/* The newest: the others may then run out of time and be closed. */
	for (struct link *l = ls->newest; l; l = l->older) {
		if (!bytes_equal(l->key, key) || l->eof || !smtp_client_ready(l->engine))
			continue;
		leave_idle(l);
		l->state = LINK_RUN;
		l->owner = owner;
		l->reused = true;
		return l;
	}
	return NULL;
}

void link_send(struct link *l, const struct smtp_client_mail *mail)
{
	take_session(l);
	smtp_client_send(l->engine, mail);
	loop_defer(l->links->role->loop, &l->task);
}

void link_facts(const struct link *l, struct carrying_link *ret)
{
	struct smtp_client_host host;

	smtp_client_host(l->engine, &host);
	*ret = (struct carrying_link){
	        .ip = l->peer.ip,
	        .source = l->peer.local_ip,
	        .reused = l->reused,
	        .tls_version = l->tls_up ? l->tls_version : (struct bytes){0},
	        .tls = l->verdict,
	        .host_name = host.name,
	};
}

uint64_t link_session(const struct link *l)
{
	return l->session;
}

void link_done(struct link *l)
{
	struct links *ls = l->links;

	if (l->state == LINK_DEAD)
		return;
	l->owner = NULL;
	if (l->state == LINK_CONNECTING || l->eof) {
		kill(l);
		return;
	}
	if (l->limits.idle_ms > 0 && !ls->stopping && smtp_client_ready(l->engine)) {
		l->state = LINK_IDLE;
		l->idle_until = now_of(l) + l->limits.idle_ms;
		l->older = ls->newest;
		if (ls->newest)
			ls->newest->newer = l;
		else
			ls->oldest = l;
		ls->newest = l;
	} else {
		say_quit(l);
	}
	loop_defer(ls->role->loop, &l->task);
}

bool links_close_idle(struct links *ls)
{
	struct link *l = ls->oldest;

	if (!l)
		return false;
	leave_idle(l);
	say_quit(l);
	loop_defer(ls->role->loop, &l->task);
	return true;
}

void links_stop(struct links *ls)
{
	ls->stopping = true;
	while (links_close_idle(ls))
		;
	for (struct link *l = ls->all; l; l = l->next_link) {
		if (!l->engine || l->state == LINK_DEAD)
			continue;
		l->engine->ops->event(l->engine, ENGINE_STOP);
		loop_defer(ls->role->loop, &l->task);
	}
}

bool links_answer(struct links *ls, const struct answer *a)
{
	struct link *l = map_get_u64(&ls->sessions, a->session);

	if (!l)
		return false;
	if (l->state == LINK_DEAD || !l->engine)
		return true;
	l->engine->ops->tick(l->engine, now_of(l));
	l->engine->ops->answer(l->engine, a);
	loop_defer(ls->role->loop, &l->task);
	return true;
}
