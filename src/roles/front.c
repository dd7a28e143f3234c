/* A connection's life (front_connection.h has its fields):
 *
 *	accept -> PROXY? -> BANNED? -> HANDSHAKE? -> RUN <-> HANDSHAKE (STARTTLS) -> LINGER -> DEAD
 *
 * PROXY	a balancer speaks first; its header is read octet-exactly
 * BANNED	the store is asked whether the address is kept out; nothing is read
 * HANDSHAKE	TLS is made; the engine does not exist yet, or waits for TLS_START
 * RUN		pump(): feed, asks, output, until nothing moves
 * LINGER	all is said; what the peer still sends is thrown away, so that no reset eats our
 * last line DEAD		freed at the end of the loop's round
 *
 * This file: listeners, limits, generations of the configuration, and what comes from channels.
 * front_session.c: the life above. */
#include "roles/front.h"

#include "base/limits.h"
#include "base/memory.h"
#include "crypto/certificate.h"
#include "mail/charset.h"
#include "roles/front_session.h"
#include "sasl/prepare.h"
#include "sys/socket.h"

enum {
	ACCEPTS_A_ROUND = 64,
	PAUSE_MS = 500,                  /* when descriptors have run out */
	STOP_MS = 10 * 1000,             /* what is under way may finish */
	TICKET_KEYS_MS = 60 * 60 * 1000, /* keeper makes new ones daily */
	GRANTS_MS = 1000, /* keeper says the grants again; wait for its word this long */
	SIGN_MS = 1000,
	SIGN_PAUSE_MS = 5 * 1000, /* a keeper that hangs must not make everybody else wait */
	KEYS_MS = 1000,
	KEY_CHECKS = 3,
};

struct listener {
	struct front *front;
	struct role_listener *listener;
	const struct front_protocol *protocol;
	struct loop_watch *watch;
	struct listener *next;
};

/* ---- signing: keeper has the keys ---- */

static enum result sign(void *context, const struct remote_signature *s, struct buf *out)
{
	struct front *f = context;
	struct role_context *r = f->role;
	struct arena arena = {0};
	struct answer answer = {0};
	struct ask a = {.kind = ASK_SIGN, .number = ++f->number};
	enum result result;

	a.sign.key = bytes_of(s->key, sizeof(s->key));
	a.sign.scheme = (uint8_t)s->scheme;
	a.sign.digest = s->digest;
	result = r->sign_fd < 0 || loop_now(r->loop) < f->sign_again
	                 ? UNAVAILABLE
	                 : channel_ask_wait(r->sign_fd, &a, SIGN_MS, &arena, &answer);
	/* It was waited for in vain, and all sessions with it. */
	if (result == UNAVAILABLE && r->sign_fd >= 0 && loop_now(r->loop) >= f->sign_again)
		f->sign_again = loop_now(r->loop) + SIGN_PAUSE_MS;
	if (result == OK)
		result = answer.result;
	if (result == OK)
		buf_append(out, answer.sign.signature);
	else
		role_log(r, "sign-failed", "result=%s why=%.*s", result_name(result),
		         BYTES_ARG(answer.why));
	arena_done(&arena);
	return result;
}

/* ---- generations ---- */

/* Has keeper its key? Asked by a signature that nobody needs. Not known counts as yes, and so does
 * the start, when keeper may not be there and nothing could be kept instead (keeper says what it
 * misses). */
static bool has_key(struct front *f, const struct config_certificate *cc)
{
	struct remote_signature s = {.digest = BYTES("is there a key to this document?")};
	struct certificate *c;
	struct buf out = {0};
	enum result r;

	if (!f->generation || certificate_parse(cc->pem, &c, NULL) != OK)
		return true;
	certificate_key_id(c, s.key);
	s.scheme = certificate_scheme(c);
	certificate_free(&c);
	r = f->signer.sign(f->signer.context, &s, &out);
	buf_done(&out);
	return r != NOT_FOUND;
}

/* The certificates that keeper can sign for. */
static size_t usable(struct front *f, const struct config *c, struct bytes *ret_pems)
{
	size_t count = 0;

	for (size_t i = 0; i < c->certificate_count; i++) {
		if (has_key(f, &c->certificates[i]))
			ret_pems[count++] = c->certificates[i].pem;
		else
			role_log(f->role, "tls-without-key", "certificate=%.*s",
			         BYTES_ARG(c->certificates[i].name));
	}
	return count;
}

static struct tls_context *make_tls(struct front *f, const struct config *c)
{
	struct tls_context *tls = NULL;
	struct tls_setup setup = {.signer = &f->signer,
	                          .only_1_3 = c->tls_version_min == CONFIG_TLS_1_3};
	struct bytes *pems = memory_get((c->certificate_count + 1) * sizeof(*pems));
	struct why why = {"a key is missing"};
	bool former = f->generation && f->generation->tls;

	setup.certificates = pems;
	setup.count = usable(f, c, pems);
	f->keys_missing = setup.count < c->certificate_count;
	if (c->certificate_count && ((f->keys_missing && former) || !setup.count ||
	                             tls_context_new(&setup, &tls, &why) != OK)) {
		role_log(f->role, "tls-refused", "why=\"%s\" kept=%s", why.text,
		         former ? "the former certificates" : "nothing");
		if (former)
			tls = tls_context_hold(f->generation->tls);
	}
	memory_free(pems);
	if (tls && buf_len(&f->ticket_keys))
		tls_context_ticket_keys(tls, buf_bytes(&f->ticket_keys));
	return tls;
}

static void new_generation(struct front *f)
{
	struct front_generation *g = NEW(struct front_generation);

	g->holders = 1;
	g->config = role_config_hold(f->role);
	g->tls = make_tls(f, g->config->config);
	g->front = f;
	g->options = memory_get(f->protocol_count * sizeof(*g->options));
	for (size_t i = 0; i < f->protocol_count; i++)
		g->options[i] = f->protocols[i].options_new(g->config->config, g->tls != NULL);
	if (f->generation)
		front_generation_drop(&f->generation);
	f->generation = g;
	/* keeper reads its keys at the same time; ask again when it will be done. */
	if (f->keys_missing && f->key_checks++ < KEY_CHECKS)
		loop_timer_set(f->keys_timer, KEYS_MS);
}

static void check_keys_again(void *context)
{
	new_generation(context);
}

void front_generation_drop(struct front_generation **generation)
{
	struct front_generation *g = *generation;

	*generation = NULL;
	if (--g->holders > 0)
		return;
	for (size_t i = 0; i < g->front->protocol_count; i++)
		if (g->front->protocols[i].options_free)
			g->front->protocols[i].options_free(g->options[i]);
		else
			memory_free(g->options[i]);
	memory_free(g->options);
	tls_context_free(&g->tls);
	role_config_drop(&g->config);
	memory_free(g);
}

void front_config(struct role_context *r)
{
	struct front *f = r->self;

	f->key_checks = 0;
	new_generation(f);
	for (struct connection *c = f->connections; c; c = c->next)
		connection_event(c, ENGINE_RELOAD);
}

/* ---- limits ---- */

/* No network begins with ff, which is multicast: there the local users are, one by one. */
static struct ip network_of_uid(uint32_t uid)
{
	struct ip ip = {.octets = {0xff}};

	for (int i = 0; i < 4; i++)
		ip.octets[15 - i] = (uint8_t)(uid >> (8 * i));
	return ip;
}

static struct bytes network_of(struct connection *c)
{
	c->network = c->local ? network_of_uid(c->uid) : ip_network(&c->peer.ip);
	return bytes_of(c->network.octets, sizeof(c->network.octets));
}

bool front_count_in(struct front *f, struct connection *c)
{
	struct bytes key = network_of(c);
	uintptr_t count = (uintptr_t)map_get(&f->addresses, key);

	if (count >= f->generation->config->config->connections_per_address)
		return false;
	map_put(&f->addresses, key, (void *)(count + 1));
	c->counted = true;
	return true;
}

void front_count_out(struct front *f, struct connection *c)
{
	struct bytes key = bytes_of(c->network.octets, sizeof(c->network.octets));
	uintptr_t count = (uintptr_t)map_get(&f->addresses, key);

	if (!c->counted)
		return;
	c->counted = false;
	if (count > 1)
		map_put(&f->addresses, key, (void *)(count - 1));
	else
		map_remove(&f->addresses, key);
}

/* ---- accepting ---- */

/* Must this peer begin with a PROXY header? */
static bool wants_proxy(const struct front *f, const struct role_listener *l, const struct ip *ip)
{
	const struct config *c = f->generation->config->config;

	for (size_t i = 0; i < c->listener_count; i++) {
		const struct config_listener *cl = &c->listeners[i];

		if (!bytes_equal(cl->name, bytes_of_text(l->name)))
			continue;
		if (config_prefixes_contain(&cl->proxy_from, ip))
			return true;
	}
	return false;
}

static void taken_in(struct listener *l, int fd, const struct socket_peer *peer)
{
	struct front *f = l->front;
	bool proxy = l->protocol->protocol != ROLE_SUBMIT && wants_proxy(f, l->listener, &peer->ip);
	char ip[IP_TEXT];

	if (f->count >= f->generation->config->config->connections_total) {
		ip_format(&peer->ip, ip);
		front_refuse(f, l->protocol, fd, ip, "all");
		return;
	}
	connection_begin(f, l->protocol, fd, peer, proxy);
}

/* Descriptors have run out: a listening socket stays readable, so look away for a moment. */
static void pause_listening(struct front *f, const struct why *why)
{
	role_log(f->role, "accept-failed", "why=\"%s\" connections=%zu", why->text, f->count);
	for (struct listener *l = f->listeners; l; l = l->next)
		loop_watch_set(l->watch, 0);
	loop_timer_set(f->pause, PAUSE_MS);
}

static void listen_again(void *context)
{
	struct front *f = context;

	for (struct listener *l = f->listeners; l; l = l->next)
		loop_watch_set(l->watch, LOOP_READ);
}

static void on_listener(void *context, unsigned events)
{
	struct listener *l = context;
	struct socket_peer peer;
	struct why why = {""};
	int fd;

	for (int i = 0; i < ACCEPTS_A_ROUND; i++) {
		if (socket_accept(l->listener->fd, &fd, &peer, &why) != OK)
			break;
		taken_in(l, fd, &peer);
	}
	if (why.text[0])
		pause_listening(l->front, &why);
}

void front_listener(struct role_context *r, struct role_listener *listener)
{
	struct front *f = r->self;
	struct listener *l;

	for (size_t i = 0; i < f->protocol_count; i++) {
		if (f->protocols[i].protocol != listener->protocol || f->stopping)
			continue;
		l = NEW(struct listener);
		l->front = f;
		l->listener = listener;
		l->protocol = &f->protocols[i];
		l->watch = loop_watch_new(r->loop, listener->fd, LOOP_READ, on_listener, l);
		l->next = f->listeners;
		f->listeners = l;
	}
}

void front_listener_closed(struct role_context *r, struct role_listener *listener)
{
	struct front *f = r->self;

	for (struct listener **at = &f->listeners; *at;) {
		struct listener *l = *at;

		if (l->listener != listener) {
			at = &l->next;
			continue;
		}
		*at = l->next;
		loop_watch_free(&l->watch);
		memory_free(l);
	}
}

static void close_listeners(struct front *f)
{
	while (f->listeners) {
		struct listener *l = f->listeners;

		f->listeners = l->next;
		loop_watch_free(&l->watch);
		memory_free(l);
	}
}

/* ---- deadlines ---- */

static void on_deadlines(void *context)
{
	struct front *f = context;
	time_ms now = loop_now(f->role->loop);
	struct deadline *d;

	f->timer_at = TIME_NEVER;
	while ((d = deadlines_due(&f->deadlines, now)))
		connection_overdue(d->owner);
	front_timer(f);
}

void front_timer(struct front *f)
{
	time_ms next = deadlines_next(&f->deadlines);

	if (next >= f->timer_at)
		return;
	f->timer_at = next;
	loop_timer_set(f->timer, next - loop_now(f->role->loop));
}

/* ---- what comes from channels ---- */

static void ask_ticket_keys(struct front *f)
{
	struct channel *keeper = role_channel(f->role, KEEPER, 0);
	struct ask a = {.kind = ASK_TICKET_KEYS, .session = f->session};

	a.number = ++f->number;
	if (keeper && channel_connected(keeper))
		channel_ask(keeper, &a);
	loop_timer_set(f->ticket_timer, TICKET_KEYS_MS);
}

static void on_ticket_timer(void *context)
{
	ask_ticket_keys(context);
}

static void take_ticket_keys(struct front *f, const struct answer *a)
{
	if (a->result != OK)
		return;
	buf_clear(&f->ticket_keys);
	buf_append(&f->ticket_keys, a->ticket_keys.keys);
	if (f->generation->tls)
		tls_context_ticket_keys(f->generation->tls, a->ticket_keys.keys);
}

void front_answer(struct role_context *r, struct channel *ch, const struct answer *a)
{
	struct front *f = r->self;
	struct connection *c = map_get_u64(&f->sessions, a->session);

	if (a->kind == ASK_TICKET_KEYS)
		take_ticket_keys(f, a);
	else if (c && a->kind == ASK_OFFENCE)
		connection_offended(c, a);
	else if (c && a->kind != ASK_SESSION_END && a->kind != ASK_LEDGER)
		connection_answer(c, a);
}

/* The store was restarted. Sessions that it can be told about again go on; those whose grant keeper
 * has forgotten as well end, and their clients come back. */
static void grants_said(struct front *f)
{
	f->grants_missing = false;
	loop_timer_stop(f->grants_timer);
	for (struct connection *c = f->connections; c; c = c->next)
		if (c->granted)
			connection_event(c, c->grant_forgotten ? ENGINE_STOP : ENGINE_LOST);
}

static void on_grants_timer(void *context)
{
	grants_said(context);
}

void front_event(struct role_context *r, struct channel *ch, uint64_t session, unsigned events)
{
	struct front *f = r->self;
	struct connection *c = map_get_u64(&f->sessions, session);
	struct channel *store = role_channel(r, STORE, 0);

	if (channel_peer(ch) == KEEPER && (events & ENGINE_LOST)) {
		/* Also said by a keeper that has just started, while the store still knows us all. */
		if (f->grants_missing && store && channel_connected(store))
			grants_said(f);
	} else if (c) {
		connection_event(c, events);
	}
}

void front_peer_lost(struct role_context *r, struct channel *ch)
{
	struct front *f = r->self;

	if (channel_peer(ch) == STORE)
		f->grants_missing = (r->role->answerers & KEEPER) && r->role->bit == ACCESS;
	if (channel_peer(ch) != KEEPER)
		return;
	f->keeper_away = true;
	for (struct connection *c = f->connections; c; c = c->next)
		c->grant_forgotten = c->granted;
}

void front_peer_back(struct role_context *r, struct channel *ch)
{
	struct front *f = r->self;

	if (channel_peer(ch) == STORE && f->grants_missing)
		loop_timer_set(f->grants_timer, GRANTS_MS);
	if (channel_peer(ch) != KEEPER)
		return;
	ask_ticket_keys(f);
	f->keeper_away = false;
	f->sign_again = 0;
	for (struct connection *c = f->connections; c; c = c->next)
		connection_keeper_back(c);
}

/* ---- begin and end ---- */

void front_warm(struct role_context *r)
{
	struct why why;

	crypto_warm();
	prepare_warm();
	if (charset_warm(&why) != OK)
		role_fail(r, &why);
}

enum result front_start(struct role_context *r, const struct front_protocol *protocols,
                        size_t count, struct why *why)
{
	struct front *f = NEW(struct front);

	f->role = r;
	f->protocols = protocols;
	f->protocol_count = count;
	f->signer = (struct remote_signer){sign, f};
	f->session = role_session_new(r);
	f->timer_at = TIME_NEVER;
	f->room = memory_get(FRONT_ROOM);
	f->timer = loop_timer_new(r->loop, on_deadlines, f);
	f->pause = loop_timer_new(r->loop, listen_again, f);
	f->ticket_timer = loop_timer_new(r->loop, on_ticket_timer, f);
	f->keys_timer = loop_timer_new(r->loop, check_keys_again, f);
	f->grants_timer = loop_timer_new(r->loop, on_grants_timer, f);
	f->stop_timer = loop_timer_new(r->loop, front_stop_now, f);
	r->self = f;
	new_generation(f);
	ask_ticket_keys(f);
	return OK;
}

/* Time is over: whoever is still here is cut off. */
void front_stop_now(void *context)
{
	struct front *f = context;

	for (struct connection *c = f->connections; c; c = c->next)
		connection_kill(c);
	if (!f->connections)
		role_stopped(f->role);
}

void front_stop(struct role_context *r)
{
	struct front *f = r->self;

	f->stopping = true;
	close_listeners(f);
	loop_timer_stop(f->pause);
	loop_timer_set(f->stop_timer, STOP_MS);
	for (struct connection *c = f->connections; c; c = c->next)
		connection_event(c, ENGINE_STOP);
	if (!f->connections)
		role_stopped(r);
}
