/* One connection: socket, PROXY header, TLS and the engine's loop (ask/engine.h). front.c draws its
 * life. */
#include "roles/front_session.h"
#include "roles/ledger.h"
#include "roles/offence.h"

#include <stdio.h>

#include "base/memory.h"
#include "proxy/proxy.h"
#include "sys/random.h"

enum {
	PROXY_MS = 10 * 1000,
	BANNED_MS = 5 * 1000, /* the store is silent for so long: let it in */
	HANDSHAKE_MS = 30 * 1000,
	LINGER_MS = 2 * 1000,
	STALL_MS = 5 * 60 * 1000,  /* a peer that reads nothing of what we say */
	AGAIN_MS = 10,             /* an engine whose deadline stays in the past */
	ENCRYPT_PIECE = 64 * 1024, /* how much of an engine's output is encrypted at once */
};

const char *connection_from(const struct connection *c, char out[IP_TEXT])
{
	if (c->local)
		snprintf(out, IP_TEXT, "local uid=%u", c->uid);
	else
		ip_format(&c->peer.ip, out);
	return out;
}

static void log_connection(const struct connection *c, const char *event, const char *key,
                           const char *value)
{
	char ip[IP_TEXT];

	role_log(c->front->role, event, "session=%016llx ip=%s %s=\"%s\"",
	         (unsigned long long)c->session, connection_from(c, ip), key, value);
}

/* ---- the end ---- */

static void session_end(struct connection *c)
{
	struct ask a = {.kind = ASK_SESSION_END, .number = UINT32_MAX, .session = c->session};
	struct channel *store = role_channel(c->front->role, STORE, 0);
	struct channel *keeper = role_channel(c->front->role, KEEPER, 0);

	if (c->told_store && store && channel_connected(store))
		channel_ask(store, &a);
	if (c->told_keeper && keeper && channel_connected(keeper))
		channel_ask(keeper, &a);
	c->told_store = c->told_keeper = false;
}

static void engine_gone(struct connection *c)
{
	if (c->engine)
		c->engine->ops->free(&c->engine);
	session_end(c);
	map_remove_u64(&c->front->sessions, c->session);
	buf_done(&c->in);
}

static void set_deadline(struct connection *c, time_ms at)
{
	deadlines_set(&c->front->deadlines, &c->deadline, at);
	front_timer(c->front);
}

static void set_deadline_in(struct connection *c, time_ms ms)
{
	set_deadline(c, loop_now(c->front->role->loop) + ms);
}

void connection_kill(struct connection *c)
{
	if (c->phase == PHASE_DEAD)
		return;
	c->phase = PHASE_DEAD;
	loop_watch_free(&c->watch);
	socket_close(&c->fd);
	engine_gone(c);
	deadlines_set(&c->front->deadlines, &c->deadline, TIME_NEVER);
	front_count_out(c->front, c);
	tls_free(&c->tls);
	buf_done(&c->out);
	front_generation_drop(&c->generation);
	c->front->count--;
	loop_defer(c->front->role->loop, &c->task);
}

static void free_dead(struct connection *c)
{
	struct front *f = c->front;

	*c->prev = c->next;
	if (c->next)
		c->next->prev = c->prev;
	memory_free(c);
	if (f->stopping && !f->connections)
		role_stopped(f->role);
}

/* ---- sending ---- */

/* Sends what it can of b. False: the connection is gone. */
static bool flush(struct connection *c, struct buf *b)
{
	size_t len = 0;
	enum result r = OK;

	while (r == OK && buf_len(b)) {
		r = socket_write(c->fd, buf_bytes(b), &len);
		if (r == OK) {
			buf_consume(b, len);
			c->stalled_since = 0;
		}
	}
	if (r == OK || r == UNAVAILABLE)
		return true;
	connection_kill(c);
	return false;
}

/* TLS wrote into the shared buffer: send it, keep what the socket does not take. */
static bool flush_cipher(struct connection *c)
{
	struct buf *shared = &c->front->cipher;
	bool alive = true;

	if (buf_len(&c->out) == 0)
		alive = flush(c, shared);
	if (alive && buf_len(shared))
		buf_append(&c->out, buf_bytes(shared));
	buf_clear(shared);
	return alive;
}

static bool send_encrypted(struct connection *c, struct buf *output)
{
	bool alive = flush(c, &c->out);

	while (alive && buf_len(output) && buf_len(&c->out) == 0) {
		struct bytes piece = bytes_first(buf_bytes(output), ENCRYPT_PIECE);

		if (tls_write(c->tls, piece, &c->front->cipher) != OK) {
			connection_kill(c);
			return false;
		}
		buf_consume(output, piece.len);
		alive = flush_cipher(c);
	}
	return alive;
}

/* Sends the engine's output; true: some of it went, so that the engine may move on. */
static bool send_output(struct connection *c)
{
	struct buf *output = c->engine->ops->output(c->engine);
	size_t before = buf_len(output);

	if (c->phase != PHASE_RUN || (before == 0 && buf_len(&c->out) == 0))
		return false;
	if (!(c->tls ? send_encrypted(c, output) : flush(c, output)))
		return false;
	return buf_len(output) < before;
}

/* ---- asks ---- */

static struct bytes service_of(const struct connection *c)
{
	return bytes_of_text(config_protocol_name(c->protocol->protocol));
}

/* Number of an ask beside the engine's own, which count from 1, and the ledger's. */
static uint32_t own_number(struct connection *c)
{
	return 1u << 30 | (++c->front->number & 0x3fffffff);
}

/* Strangers on port 25; of failed logins keeper tells. */
static void tell_offence(struct connection *c, struct bytes event, struct bytes text)
{
	enum ban_offence kind;
	struct bytes user;

	if (c->protocol->protocol == CONFIG_SMTP && offence_of_note(event, text, &kind, &user))
		role_offence(c->front->role, own_number(c), c->session, &c->peer.ip, kind, 1,
		             service_of(c), user);
}

static bool note(struct connection *c, const struct ask *a)
{
	char event[64], ip[IP_TEXT];
	size_t len = a->note.event.len < sizeof(event) - 1 ? a->note.event.len : sizeof(event) - 1;
	struct answer answer;

	memcpy(event, a->note.event.ptr ? a->note.event.ptr : "", len);
	event[len] = '\0';
	role_log(c->front->role, event, "session=%016llx ip=%s %.*s",
	         (unsigned long long)c->session, connection_from(c, ip), BYTES_ARG(a->note.text));
	role_ledger(c->front->role, c->session, c->local ? NULL : &c->peer.ip, a->note.event,
	            a->note.text);
	tell_offence(c, a->note.event, a->note.text);
	answer = answer_to(a, OK, (struct bytes){0});
	c->engine->ops->answer(c->engine, &answer);
	return true;
}

/* What came in the clear behind the command would be taken for what came under TLS
 * (CVE-2011-0411 and its kin): such a session ends. */
static void tls_start(struct connection *c, const struct ask *a, size_t rest)
{
	struct answer answer;

	if (rest) {
		log_connection(c, "tls-injection", "protocol", c->engine->ops->name);
		connection_kill(c);
	} else if (c->tls || !c->generation->tls) {
		answer = answer_to(a, UNAVAILABLE, BYTES("there is no certificate"));
		c->engine->ops->answer(c->engine, &answer);
	} else {
		c->tls_asked = true;
		c->tls_number = a->number;
	}
}

/* The one of the answerers that is asked: SESSION_END alone has two, and goes out by itself. */
static unsigned answerer_of(unsigned to)
{
	if (to & STORE)
		return STORE;
	return to & KEEPER ? KEEPER : RESOLVER;
}

static void forward(struct connection *c, struct ask *a)
{
	struct front *f = c->front;
	unsigned to = ask_info(a->kind)->to;
	struct channel *ch = role_channel(f->role, answerer_of(to), 0);

	a->session = c->session;
	if ((to & STORE) && c->granted && f->grants_missing) {
		struct answer answer = answer_to(a, UNAVAILABLE, BYTES("the store is starting"));

		c->engine->ops->answer(c->engine, &answer);
	} else if (!ch) {
		struct answer answer = answer_to(a, UNAVAILABLE, BYTES("nobody answers this"));

		c->engine->ops->answer(c->engine, &answer);
	} else {
		c->told_store |= (to & STORE) != 0;
		c->told_keeper |= (to & KEEPER) != 0;
		channel_ask(ch, a);
	}
}

/* Drains the engine's asks. rest: octets offered and not taken. True: there were some. *ret_busy: one whose answer will make
 * the engine speak, as far as a front can tell. */
static bool drain_asks(struct connection *c, size_t rest, bool *ret_busy)
{
	struct ask a;
	bool any = false;

	while (c->phase != PHASE_DEAD && c->engine->ops->ask(c->engine, &a)) {
		any = true;
		*ret_busy |= a.kind != ASK_SPOOL && a.kind != ASK_NOTE;
		if (a.kind == ASK_NOTE)
			note(c, &a);
		else if (a.kind == ASK_TLS_START)
			tls_start(c, &a, rest);
		else
			forward(c, &a);
	}
	return any;
}

/* ---- TLS begins ---- */

static void begin_handshake(struct connection *c)
{
	if (!c->generation->tls) {
		log_connection(c, "tls-failed", "why", "there is no certificate");
		connection_kill(c);
		return;
	}
	c->tls = tls_new(c->generation->tls);
	c->phase = PHASE_HANDSHAKE;
	set_deadline_in(c, HANDSHAKE_MS);
}

static void fill_tls(struct connection *c, struct answer_tls_start *ret)
{
	struct tls_info info;

	tls_info(c->tls, &info);
	ret->version = info.version;
	ret->exporter = info.exporter;
	ret->endpoint = info.endpoint;
}

/* The name of a local peer's user. */
static struct bytes user_of(const struct connection *c, char *room, size_t size)
{
	struct bytes name = config_user_name(c->generation->config->config, c->uid);

	if (name.len > 0)
		return name;
	return bytes_of(room, (size_t)snprintf(room, size, "uid%u", c->uid));
}

static void begin_engine(struct connection *c)
{
	struct engine_peer peer = {
	        .ip = c->peer.ip,
	        .port = c->peer.port,
	        .local_ip = c->peer.local_ip,
	        .local_port = c->peer.local_port,
	        .session = c->session,
	        .tls = c->tls != NULL,
	        .local = c->local,
	        .uid = c->uid,
	};
	char unknown[24];
	size_t nth = (size_t)(c->protocol - c->front->protocols);

	random_fill(peer.seed, sizeof(peer.seed));
	if (c->tls)
		fill_tls(c, &peer.tls_info);
	if (c->local)
		peer.user = user_of(c, unknown, sizeof(unknown));
	c->engine = c->protocol->engine_new(c->generation->options[nth], &peer,
	                                    loop_now(c->front->role->loop));
	map_put_u64(&c->front->sessions, c->session, c);
	if (c->front->stopping)
		c->engine->ops->event(c->engine, ENGINE_STOP);
}

static void handshake_done(struct connection *c)
{
	struct answer answer = {.kind = ASK_TLS_START, .number = c->tls_number, .result = OK};

	c->phase = PHASE_RUN;
	if (!c->engine) {
		begin_engine(c);
		return;
	}
	c->tls_asked = false;
	fill_tls(c, &answer.tls_start);
	c->engine->ops->tick(c->engine, loop_now(c->front->role->loop));
	c->engine->ops->answer(c->engine, &answer);
}

/* ---- the loop of an engine ---- */

static void begin_linger(struct connection *c)
{
	if (c->eof) {
		connection_kill(c);
		return;
	}
	socket_shutdown(c->fd);
	c->phase = PHASE_LINGER;
	set_deadline_in(c, LINGER_MS);
}

/* The engine has finished and its output is sent; TLS says goodbye first. */
static void begin_end(struct connection *c)
{
	engine_gone(c);
	if (c->tls) {
		tls_close(c->tls, &c->front->cipher);
		if (!flush_cipher(c))
			return;
	}
	if (buf_len(&c->out) == 0)
		begin_linger(c);
}

static bool all_sent(struct connection *c)
{
	return buf_len(&c->out) == 0 &&
	       (!c->engine || buf_len(c->engine->ops->output(c->engine)) == 0);
}

static bool wants_input(const struct connection *c)
{
	if (c->phase == PHASE_BANNED)
		return false;
	/* What TLS itself says (tickets, alerts, new keys) is bounded like an engine's output. */
	if (c->eof || buf_len(&c->in) > 0 || buf_len(&c->out) >= ENGINE_OUTPUT_HIGH)
		return false;
	/* A handshake needs keeper's signature: better late than failed. */
	return c->phase == PHASE_HANDSHAKE ? !c->front->keeper_away : !c->tls_asked;
}

static void watch(struct connection *c)
{
	unsigned events = 0;

	if (wants_input(c))
		events |= LOOP_READ;
	if (c->phase == PHASE_HANDSHAKE ? buf_len(&c->out) > 0 : !all_sent(c))
		events |= LOOP_WRITE;
	if (events != c->watched)
		loop_watch_set(c->watch, events);
	c->watched = (uint8_t)events;
}

/* An idle connection holds no buffers. */
static void drop_empty_buffers(struct connection *c)
{
	struct buf *output = c->engine ? c->engine->ops->output(c->engine) : NULL;

	if (buf_len(&c->in) == 0)
		buf_done(&c->in);
	if (buf_len(&c->out) == 0)
		buf_done(&c->out);
	if (output && buf_len(output) == 0)
		buf_done(output);
}

/* The engine's deadline, or the end of our patience with a peer that does not read. */
static time_ms deadline_of(struct connection *c)
{
	time_ms now = loop_now(c->front->role->loop);
	time_ms at = c->engine ? c->engine->ops->deadline(c->engine) : TIME_NEVER;

	if (all_sent(c))
		c->stalled_since = 0;
	else if (!c->stalled_since)
		c->stalled_since = now;
	if (c->stalled_since && c->stalled_since + STALL_MS < at)
		at = c->stalled_since + STALL_MS;
	return at <= now ? now + AGAIN_MS : at;
}

/* What follows from the state after anything happened. */
static void settle(struct connection *c)
{
	if (c->phase == PHASE_RUN && c->engine && all_sent(c)) {
		if (c->engine->ops->finished(c->engine))
			begin_end(c);
		else if (c->tls_asked)
			begin_handshake(c);
	} else if (c->phase == PHASE_RUN && !c->engine && all_sent(c)) {
		begin_linger(c);
	}
	if (c->phase == PHASE_DEAD)
		return;
	if (c->phase == PHASE_RUN)
		set_deadline(c, deadline_of(c));
	drop_empty_buffers(c);
	watch(c);
}

/* Offers what is there; returns how much was taken. */
static size_t feed(struct connection *c, struct bytes *fresh)
{
	struct bytes in = buf_len(&c->in) ? buf_bytes(&c->in) : *fresh;
	size_t taken = in.len && !c->tls_asked ? c->engine->ops->feed(c->engine, in) : 0;

	if (buf_len(&c->in))
		buf_consume(&c->in, taken);
	else
		*fresh = bytes_skip(*fresh, taken);
	return taken;
}

/* fresh: plaintext just received, in a shared buffer. */
static void pump(struct connection *c, struct bytes fresh)
{
	bool moved = true, received = fresh.len > 0, busy = false;

	if (buf_len(&c->in)) {
		buf_append(&c->in, fresh);
		fresh = (struct bytes){0};
	}
	c->engine->ops->tick(c->engine, loop_now(c->front->role->loop));
	while (moved) {
		moved = feed(c, &fresh) > 0;
		moved |= drain_asks(c, buf_len(&c->in) + fresh.len, &busy);
		if (c->phase == PHASE_DEAD)
			return;
		if (send_output(c))
			moved = busy = true;
		if (c->phase == PHASE_DEAD)
			return;
	}
	/* Half a command: its end may wait in the client until this half is acknowledged (Nagle's algorithm
	 * against delayed acknowledgements: 40 ms for each mail that Python's imaplib appends). */
	if (received && !busy)
		socket_acknowledge(c->fd);
	buf_append(&c->in, fresh);
	settle(c);
}

/* ---- reading ---- */

static void peer_closed(struct connection *c)
{
	c->eof = true;
	if (c->phase != PHASE_RUN) {
		connection_kill(c);
	} else if (c->engine) {
		c->engine->ops->eof(c->engine);
		pump(c, (struct bytes){0});
	} else {
		settle(c);
	}
}

static void tls_received(struct connection *c, struct bytes in)
{
	struct front *f = c->front;
	struct why why = {""};
	enum result r = tls_feed(c->tls, in, &f->plain, &f->cipher, &why);

	if (!flush_cipher(c)) {
		buf_clear(&f->plain);
		return;
	}
	if (r == INVALID) {
		if (c->phase == PHASE_HANDSHAKE)
			log_connection(c, "tls-failed", "why", why.text);
		connection_kill(c);
	} else if (c->phase == PHASE_HANDSHAKE && tls_ready(c->tls)) {
		handshake_done(c);
	}
	if (c->phase == PHASE_RUN && c->engine)
		pump(c, buf_bytes(&f->plain));
	else if (c->phase != PHASE_DEAD)
		settle(c);
	buf_clear(&f->plain);
	if (r == LOST && c->phase != PHASE_DEAD)
		peer_closed(c);
}

static void begin_protocol(struct connection *c, struct bytes in);

/* The header comes in c->in; what follows it is the client's own. */
static void proxy_received(struct connection *c, struct bytes in)
{
	struct proxy_header h;
	struct buf rest = {0};
	int taken;

	buf_append(&c->in, in);
	taken = proxy_parse(buf_bytes(&c->in), &h);
	if (taken == 0)
		return;
	if (taken < 0) {
		log_connection(c, "proxy-broken", "why", "no PROXY header, or a broken one");
		connection_kill(c);
		return;
	}
	if (!h.local) {
		c->peer.ip = h.client_ip;
		c->peer.port = h.client_port;
		c->peer.local_ip = h.local_ip;
		c->peer.local_port = h.local_port;
	}
	buf_consume(&c->in, (size_t)taken);
	rest = c->in;
	c->in = (struct buf){0};
	begin_protocol(c, buf_bytes(&rest));
	buf_done(&rest);
}

/* The very first octets to port 25. */
static void sniff(struct connection *c, struct bytes in)
{
	c->sniffed = true;
	if (c->protocol->protocol == CONFIG_SMTP && offence_of_start(in))
		role_offence(c->front->role, own_number(c), c->session, &c->peer.ip, BAN_PROBING, 1,
		             service_of(c), (struct bytes){0});
}

static void received(struct connection *c, struct bytes in)
{
	switch (c->phase) {
	case PHASE_PROXY: proxy_received(c, in); break;
	case PHASE_HANDSHAKE: tls_received(c, in); break;
	case PHASE_RUN:
		if (!c->sniffed)
			sniff(c, in);
		if (c->tls)
			tls_received(c, in);
		else if (c->engine)
			pump(c, in);
		break;
	default: break; /* lingering */
	}
}

static void readable(struct connection *c)
{
	size_t len = 0;
	enum result r = socket_read(c->fd, c->front->room, FRONT_ROOM, &len);

	if (r == LOST)
		connection_kill(c);
	else if (r == OK && len == 0)
		peer_closed(c);
	else if (r == OK)
		received(c, bytes_of(c->front->room, len));
}

static void writable(struct connection *c)
{
	if (!flush(c, &c->out))
		return;
	if (c->engine && c->phase == PHASE_RUN)
		pump(c, (struct bytes){0});
	else
		settle(c);
}

static void on_socket(void *context, unsigned events)
{
	struct connection *c = context;

	if (events & LOOP_WRITE)
		writable(c);
	if (c->phase != PHASE_DEAD && (events & LOOP_READ) && (c->watched & LOOP_READ))
		readable(c);
}

/* ---- the beginning ---- */

/* True: the store is asked whether this address is kept out; the answer goes on. in waits. */
static bool ask_banned(struct connection *c, struct bytes in)
{
	struct front *f = c->front;
	struct channel *store = role_channel(f->role, STORE, 0);
	struct ask a = {.kind = ASK_BANNED, .number = own_number(c), .session = c->session};

	if (c->let_in || c->local || !store || !channel_connected(store) ||
	    !role_may_ban(f->role, &c->peer.ip))
		return false;
	a.banned.ip = bytes_of(c->peer.ip.octets, sizeof(c->peer.ip.octets));
	a.banned.service = service_of(c);
	c->phase = PHASE_BANNED;
	map_put_u64(&f->sessions, c->session, c);
	buf_append(&c->in, in);
	set_deadline_in(c, BANNED_MS);
	watch(c);
	channel_ask(store, &a);
	return true;
}

/* The address is known: count it, then TLS or the engine. in: octets that came behind a PROXY
 * header. */
static void begin_protocol(struct connection *c, struct bytes in)
{
	char from[IP_TEXT];

	if (ask_banned(c, in))
		return;
	if (!front_count_in(c->front, c)) {
		loop_watch_free(&c->watch);
		front_refuse(c->front, c->protocol, c->fd, connection_from(c, from), "address");
		c->fd = -1;
		connection_kill(c);
		return;
	}
	if (c->protocol->tls) {
		begin_handshake(c);
		if (c->phase == PHASE_HANDSHAKE && in.len)
			tls_received(c, in);
		else if (c->phase == PHASE_HANDSHAKE)
			settle(c);
		return;
	}
	c->phase = PHASE_RUN;
	begin_engine(c);
	pump(c, in);
}

/* A mail server waits for the greeting (RFC 5321, 3.1); what sends its commands blindly does not. */
static void tell_early(struct connection *c)
{
	if (c->protocol->protocol == CONFIG_SMTP &&
	    (buf_len(&c->in) > 0 || socket_has_input(c->fd)))
		role_offence(c->front->role, own_number(c), c->session, &c->peer.ip, BAN_EARLY, 1,
		             service_of(c), (struct bytes){0});
}

/* It is not kept out, or nobody can say: a store that is away must not shut the door. */
static void let_in(struct connection *c)
{
	struct buf rest = c->in;

	tell_early(c);
	c->in = (struct buf){0};
	c->let_in = true;
	begin_protocol(c, buf_bytes(&rest));
	buf_done(&rest);
}

/* A mail server hears 421 and comes again later: nothing is lost should it be a mistake. */
static void keep_out(struct connection *c)
{
	const char *words = c->protocol->banned;
	size_t len;

	if (words && !c->protocol->tls && socket_write(c->fd, bytes_of_text(words), &len) != OK)
		len = 0; /* it hears nothing; it is gone either way */
	connection_kill(c);
}

static void on_task(void *context)
{
	struct connection *c = context;

	if (c->phase == PHASE_DEAD)
		free_dead(c);
	else if (c->phase == PHASE_RUN && c->engine)
		pump(c, (struct bytes){0});
}

void front_refuse(struct front *f, const struct front_protocol *p, int fd, const char *from,
                  const char *limit)
{
	const char *protocol = p->protocol == ROLE_SUBMIT ? "submit"
	                                                  : config_protocol_name(p->protocol);
	size_t len;

	role_log(f->role, "connection-refused", "ip=%s limit=%s protocol=%s connections=%zu", from,
	         limit, protocol, f->count);
	if (!p->tls && socket_write(fd, bytes_of_text(p->busy), &len) != OK)
		len = 0; /* it hears nothing; it is gone either way */
	socket_close(&fd);
}

void connection_begin(struct front *f, const struct front_protocol *p, int fd,
                      const struct socket_peer *peer, bool proxy)
{
	struct connection *c = NEW(struct connection);

	c->front = f;
	c->protocol = p;
	c->fd = fd;
	c->peer = *peer;
	c->session = role_session_new(f->role);
	c->generation = f->generation;
	c->generation->holders++;
	c->deadline.owner = c;
	c->task.function = on_task;
	c->task.context = c;
	c->next = f->connections;
	c->prev = &f->connections;
	if (c->next)
		c->next->prev = &c->next;
	f->connections = c;
	f->count++;
	c->watched = LOOP_READ;
	c->local = p->protocol == ROLE_SUBMIT;
	c->watch = loop_watch_new(f->role->loop, fd, LOOP_READ, on_socket, c);
	if (c->local && socket_peer_uid(fd, &c->uid) != OK)
		connection_kill(c);
	else if (proxy)
		set_deadline_in(c, PROXY_MS);
	else
		begin_protocol(c, (struct bytes){0});
}

/* ---- from front.c ---- */

static bool grants(const struct answer *a)
{
	return a->result == OK &&
	       (a->kind == ASK_LOGIN || a->kind == ASK_SCRAM_FINISH || a->kind == ASK_DIGEST_LOGIN);
}

void connection_offended(struct connection *c, const struct answer *a)
{
	if (a->result == OK && a->offence.banned && !c->granted && !c->local)
		connection_kill(c);
}

void connection_answer(struct connection *c, const struct answer *a)
{
	if (a->kind == ASK_BANNED) {
		if (c->phase == PHASE_BANNED && a->result == OK && a->banned.banned)
			keep_out(c);
		else if (c->phase == PHASE_BANNED)
			let_in(c);
		return;
	}
	if (!c->engine)
		return;
	if (grants(a)) {
		c->granted = true;
		c->grant_forgotten = false;
	}
	c->engine->ops->tick(c->engine, loop_now(c->front->role->loop));
	c->engine->ops->answer(c->engine, a);
	loop_defer(c->front->role->loop, &c->task);
}

void connection_event(struct connection *c, unsigned events)
{
	if (c->engine) {
		c->engine->ops->tick(c->engine, loop_now(c->front->role->loop));
		c->engine->ops->event(c->engine, events);
		loop_defer(c->front->role->loop, &c->task);
	} else if ((events & ENGINE_STOP) && c->phase != PHASE_LINGER) {
		connection_kill(c);
	}
}

void connection_overdue(struct connection *c)
{
	bool stalled = c->stalled_since &&
	               loop_now(c->front->role->loop) - c->stalled_since >= STALL_MS;

	if (c->phase == PHASE_BANNED)
		let_in(c);
	else if (c->phase == PHASE_RUN && c->engine && !stalled)
		pump(c, (struct bytes){0});
	else
		connection_kill(c);
}

void connection_keeper_back(struct connection *c)
{
	if (c->phase == PHASE_HANDSHAKE)
		watch(c);
}
