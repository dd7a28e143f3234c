/* The front with an engine that understands words, real sockets, and a store and a keeper that the
 * test plays.
 *
 *	ECHO text	says text
 *	ROUTE		asks ROUTE and takes nothing more until it is answered: "route RESULT"
 *	LOGIN		asks LOGIN: "login RESULT"
 *	BIG n		says n KiB
 *	TLS		asks TLS_START after "220 go": "tls VERSION-LENGTH EXPORTER-LENGTH"
 *	NOTE		asks NOTE
 *	SHORT		lets its deadline be 20 ms from now; it then says "late" and finishes
 *	QUIT		says "bye" and finishes
 * Events are said: "changed", "lost", "reload"; STOP says "stopping" and finishes. */
/* OpenSSL has a type of the same name as a role bit. */
#define ENGINE openssl_engine
#include <openssl/ssl.h>
#undef ENGINE

#include "house.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/memory.h"
#include "crypto/certificate.h"
#include "crypto/digest.h"
#include "crypto/sign.h"
#include "roles/front_session.h"
#include "sys/clock.h"

/* ---- the engine ---- */

struct toy {
	struct engine engine;
	struct engine_peer peer;
	const char *greeting;
	struct buf line, out;
	struct ask asks[8];
	size_t ask_first, ask_count;
	uint32_t number;
	time_ms now, deadline;
	bool waits, finished;
};

static void ask(struct toy *t, struct ask a)
{
	a.number = ++t->number;
	t->asks[(t->ask_first + t->ask_count++) % 8] = a;
}

static void word(struct toy *t, struct bytes line)
{
	uint64_t n;

	if (bytes_starts(line, BYTES("ECHO ")))
		buf_printf(&t->out, "%.*s\r\n", BYTES_ARG(bytes_skip(line, 5)));
	else if (bytes_equal(line, BYTES("ROUTE")) || bytes_equal(line, BYTES("LOGIN"))) {
		bool route = line.ptr[0] == 'R';

		ask(t, (struct ask){.kind = route ? ASK_ROUTE : ASK_LOGIN});
		t->waits = true;
	} else if (bytes_equal(line, BYTES("TLS"))) {
		buf_append_text(&t->out, "220 go\r\n");
		ask(t, (struct ask){.kind = ASK_TLS_START});
		t->waits = true;
	} else if (bytes_equal(line, BYTES("NOTE"))) {
		ask(t, (struct ask){
		               .kind = ASK_NOTE,
		               .note = {.event = BYTES("toy-noted"), .text = BYTES("what=this")}});
	} else if (bytes_starts(line, BYTES("BIG ")) &&
	           bytes_to_u64(bytes_skip(line, 4), 100000, &n) == OK) {
		memset(buf_room(&t->out, n * 1024), 'x', n * 1024);
		buf_added(&t->out, n * 1024);
		buf_append_text(&t->out, "\r\n");
	} else if (bytes_equal(line, BYTES("SHORT"))) {
		t->deadline = t->now + 20;
	} else if (bytes_equal(line, BYTES("QUIT"))) {
		buf_append_text(&t->out, "bye\r\n");
		t->finished = true;
	}
}

static size_t toy_feed(struct engine *e, struct bytes in)
{
	struct toy *t = (struct toy *)e;
	size_t taken = 0;

	while (taken < in.len && !t->waits && !t->finished &&
	       buf_len(&t->out) < ENGINE_OUTPUT_HIGH) {
		char c = in.ptr[taken++];

		if (c != '\n') {
			if (c != '\r')
				buf_append_char(&t->line, c);
			continue;
		}
		word(t, buf_bytes(&t->line));
		buf_done(&t->line);
	}
	return t->finished ? in.len : taken;
}

static bool toy_ask(struct engine *e, struct ask *ret)
{
	struct toy *t = (struct toy *)e;

	if (!t->ask_count)
		return false;
	*ret = t->asks[t->ask_first];
	t->ask_first = (t->ask_first + 1) % 8;
	t->ask_count--;
	return true;
}

static void toy_answer(struct engine *e, const struct answer *a)
{
	struct toy *t = (struct toy *)e;

	if (a->kind == ASK_NOTE)
		return;
	t->waits = false;
	if (a->kind == ASK_TLS_START && a->result == OK)
		buf_printf(&t->out, "tls %zu %zu\r\n", a->tls_start.exporter.len,
		           a->tls_start.endpoint.len);
	else
		buf_printf(&t->out, "%s %s\r\n",
		           a->kind == ASK_ROUTE   ? "route"
		           : a->kind == ASK_LOGIN ? "login"
		                                  : "tls",
		           result_name(a->result));
}

static struct buf *toy_output(struct engine *e)
{
	return &((struct toy *)e)->out;
}

static time_ms toy_deadline(const struct engine *e)
{
	return ((const struct toy *)e)->deadline;
}

static void toy_tick(struct engine *e, time_ms now)
{
	struct toy *t = (struct toy *)e;

	t->now = now;
	if (now >= t->deadline && !t->finished) {
		buf_append_text(&t->out, "late\r\n");
		t->deadline = TIME_NEVER;
		t->finished = true;
	}
}

static void toy_eof(struct engine *e)
{
	((struct toy *)e)->finished = true;
}

static void toy_event(struct engine *e, unsigned events)
{
	struct toy *t = (struct toy *)e;

	if (events & ENGINE_CHANGED)
		buf_append_text(&t->out, "changed\r\n");
	if (events & ENGINE_LOST)
		buf_append_text(&t->out, "lost\r\n");
	if (events & ENGINE_RELOAD)
		buf_append_text(&t->out, "reload\r\n");
	if (events & ENGINE_STOP) {
		buf_append_text(&t->out, "stopping\r\n");
		t->finished = true;
	}
}

static bool toy_finished(const struct engine *e)
{
	return ((const struct toy *)e)->finished;
}

static void toy_free(struct engine **e)
{
	struct toy *t = (struct toy *)*e;

	buf_done(&t->line);
	buf_done(&t->out);
	memory_free(t);
	*e = NULL;
}

static const struct engine_ops toy_ops = {"toy",      toy_feed,     toy_ask,  toy_answer,
                                          toy_output, toy_deadline, toy_tick, toy_eof,
                                          toy_event,  toy_finished, toy_free};

static void *options_new(const struct config *c, bool has_tls)
{
	struct bytes *name = NEW(struct bytes);

	*name = c->hostname;
	return name;
}

static struct engine *engine_new(const void *options, const struct engine_peer *peer, time_ms now)
{
	struct toy *t = NEW(struct toy);
	char ip[IP_TEXT];

	t->engine.ops = &toy_ops;
	t->deadline = TIME_NEVER;
	t->now = now;
	ip_format(&peer->ip, ip);
	buf_printf(&t->out, "hello %s tls=%d exporter=%zu host=%.*s\r\n", ip, peer->tls,
	           peer->tls_info.exporter.len, BYTES_ARG(*(const struct bytes *)options));
	return &t->engine;
}

static const struct front_protocol protocols[] = {
        {CONFIG_IMAP, false, "busy\r\n", options_new, engine_new, "banned\r\n", NULL},
        {CONFIG_IMAPS, true, "busy\r\n", options_new, engine_new, "banned\r\n", NULL},
};

/* ---- the world ---- */

struct world {
	struct house *h;
	struct channel *store, *keeper;
	struct role_listener plain, tls;
	struct ask route; /* the last ROUTE, not answered when hold is set */
	bool hold;
	bool bans, silent; /* the store bans everybody; it says nothing about it */
	unsigned routes, ends, banned_asks, offences;
	struct remote_signer signer; /* the front's own, before the test took its place */
	struct private_key *key;
	uint64_t session; /* of the last ask */
};

static void store_ask(void *context, struct channel *c, const struct ask *a)
{
	struct world *w = context;
	struct answer answer = answer_to(a, OK, (struct bytes){0});

	w->session = a->session;
	if (a->kind == ASK_SESSION_END)
		w->ends++;
	w->offences += a->kind == ASK_OFFENCE;
	if (a->kind == ASK_BANNED) {
		w->banned_asks++;
		answer.banned.banned = w->bans;
		if (w->silent)
			return;
	}
	if (a->kind == ASK_ROUTE) {
		w->routes++;
		w->route = *a;
		if (w->hold)
			return;
	}
	channel_answer(c, &answer);
}

static void nothing_answered(void *context, struct channel *c, const struct answer *a)
{
}

static void nothing_happened(void *context, struct channel *c, uint64_t session, unsigned events)
{
}

static void nothing_lost(void *context, struct channel *c, const char *broken)
{
	assert_null(broken);
}

static const struct channel_ops peer_ops = {.ask = store_ask,
                                            .answer = nothing_answered,
                                            .event = nothing_happened,
                                            .lost = nothing_lost};

static const struct role_ops front_ops = {
        .answer = front_answer,
        .event = front_event,
        .peer_lost = front_peer_lost,
        .peer_back = front_peer_back,
};

static const struct role row = {.name = "access",
                                .bit = ACCESS,
                                .answerers = STORE | KEEPER,
                                .signs = true,
                                .ops = &front_ops};

static struct ip loopback(void)
{
	struct ip ip;

	assert_int_equal(ip_parse(BYTES("127.0.0.1"), &ip), OK);
	return ip;
}

static void open_listener(struct world *w, struct role_listener *l, enum config_protocol p)
{
	struct sockaddr_in a;
	socklen_t len = sizeof(a);
	struct why why;

	l->protocol = p;
	l->ip = loopback();
	snprintf(l->name, sizeof(l->name), "%s", p == CONFIG_IMAP ? "plain" : "tls");
	if (socket_listen(&l->ip, 0, &l->fd, &why) != OK)
		fail_msg("%s", why.text);
	assert_int_equal(getsockname(l->fd, (struct sockaddr *)&a, &len), 0);
	l->port = ntohs(a.sin_port);
	front_listener(&w->h->r, l);
}

/* A signer thread is not needed: the front's synchronous channel is replaced by its signer's
 * callback. */
static enum result sign(void *context, const struct remote_signature *s, struct buf *out)
{
	struct world *w = context;
	uint8_t id[DIGEST_SHA256];

	private_key_id(w->key, id);
	if (memcmp(id, s->key, sizeof(id)) != 0)
		return NOT_FOUND;

	return private_key_sign(w->key, s->scheme, s->digest, out);
}

static struct config_listener listener_config;
static struct ip_prefix balancer;
static struct config_certificate certificate;
static struct buf pem;

static void fill_config(struct config *c)
{
	c->hostname = BYTES("one");
	c->connections_total = 100;
	c->connections_per_address = 100;
	certificate.name = BYTES("mx");
	certificate.pem = buf_bytes(&pem);
	c->certificates = &certificate;
	c->certificate_count = 1;
	c->listeners = &listener_config;
	c->listener_count = 1;
	listener_config.name = BYTES("plain");
	listener_config.proxy_from.items = &balancer;
	listener_config.proxy_from.count = 0;
}

static int setup(void **state)
{
	struct world *w = NEW(struct world);
	struct buf key = {0};
	struct why why;
	struct front *f;

	w->h = house_new(&row);
	buf_clear(&pem);
	certificate_make(BYTES("mx.example.test"), clock_now(), &pem, &key);
	assert_int_equal(private_key_parse(buf_bytes(&key), &w->key, &why), OK);
	buf_done(&key);
	fill_config(&w->h->values);
	w->store = house_connect(w->h, STORE, 0, &peer_ops, w);
	w->keeper = house_connect(w->h, KEEPER, 0, &peer_ops, w);
	assert_int_equal(front_start(&w->h->r, protocols, 2, &why), OK);
	f = w->h->r.self;
	w->signer = f->signer;
	f->signer = (struct remote_signer){sign, w};
	open_listener(w, &w->plain, CONFIG_IMAP);
	open_listener(w, &w->tls, CONFIG_IMAPS);
	*state = w;
	return 0;
}

/* The process would just end; here everything is given back, so that a leak of a session shows. */
static void front_free(struct front *f)
{
	front_generation_drop(&f->generation);
	map_done(&f->sessions);
	map_done(&f->addresses);
	deadlines_done(&f->deadlines);
	loop_timer_free(&f->timer);
	loop_timer_free(&f->pause);
	loop_timer_free(&f->ticket_timer);
	loop_timer_free(&f->grants_timer);
	loop_timer_free(&f->keys_timer);
	loop_timer_free(&f->stop_timer);
	buf_done(&f->plain);
	buf_done(&f->cipher);
	buf_done(&f->ticket_keys);
	memory_free(f->room);
	memory_free(f);
}

static int teardown(void **state)
{
	struct world *w = *state;
	struct front *f = w->h->r.self;

	if (!w->h->stopped)
		front_stop(&w->h->r);
	front_stop_now(f);
	house_until(w->h, w->h->stopped);
	assert_int_equal(f->count, 0);
	assert_int_equal(f->addresses.count, 0);
	assert_int_equal(f->sessions.count, 0);
	front_free(f);
	assert_int_equal(w->h->config.holders, 1);
	socket_close(&w->plain.fd);
	socket_close(&w->tls.fd);
	private_key_free(&w->key);
	house_free(&w->h);
	memory_free(w);
	buf_done(&pem);
	return 0;
}

/* ---- clients ---- */

struct client {
	struct world *w;
	int fd;
	SSL_CTX *ctx;
	SSL *ssl;
	struct buf got;
	bool closed;
};

static struct client *client_new(struct world *w, const struct role_listener *l)
{
	struct client *c = NEW(struct client);
	struct ip ip = loopback();
	struct why why;

	c->w = w;
	assert_int_equal(socket_connect(&ip, l->port, &c->fd, &why), OK);
	socket_set_blocking(c->fd, false);
	return c;
}

static void client_free(struct client **c)
{
	SSL_free((*c)->ssl);
	SSL_CTX_free((*c)->ctx);
	socket_close(&(*c)->fd);
	buf_done(&(*c)->got);
	memory_free(*c);
	*c = NULL;
}

static void client_tls(struct client *c)
{
	int r;

	c->ctx = SSL_CTX_new(TLS_client_method());
	c->ssl = SSL_new(c->ctx);
	SSL_set_fd(c->ssl, c->fd);
	while ((r = SSL_connect(c->ssl)) != 1) {
		int e = SSL_get_error(c->ssl, r);

		if (e != SSL_ERROR_WANT_READ && e != SSL_ERROR_WANT_WRITE)
			fail_msg("the handshake fails\n%.*s", BYTES_ARG(buf_bytes(&c->w->h->log)));
		house_step(c->w->h);
	}
}

static void say(struct client *c, const char *text)
{
	struct bytes rest = bytes_of_text(text);

	while (rest.len) {
		int n = c->ssl ? SSL_write(c->ssl, rest.ptr, (int)rest.len)
		               : (int)write(c->fd, rest.ptr, rest.len);

		if (n > 0)
			rest = bytes_skip(rest, (size_t)n);
		else
			house_step(c->w->h);
	}
}

static void listen_to(struct client *c)
{
	char room[8192];
	int n;

	house_step(c->w->h);
	n = c->ssl ? SSL_read(c->ssl, room, sizeof(room)) : (int)read(c->fd, room, sizeof(room));
	if (n > 0)
		buf_append(&c->got, bytes_of(room, (size_t)n));
	else if (c->ssl ? SSL_get_error(c->ssl, n) != SSL_ERROR_WANT_READ
	                : n == 0 || errno == ECONNRESET)
		c->closed = true;
}

static bool has(struct client *c, const char *text)
{
	size_t at;

	listen_to(c);
	at = bytes_find(buf_bytes(&c->got), bytes_of_text(text));
	if (at == BYTES_NONE)
		return false;
	buf_consume(&c->got, at + strlen(text));
	return true;
}

#define expect(c, text) house_until((c)->w->h, has(c, text))
#define expect_closed(c) house_until((c)->w->h, (listen_to(c), (c)->closed))

/* ---- tests ---- */

static void words_go_through(void **state)
{
	struct world *w = *state;
	struct client *c = client_new(w, &w->plain);

	expect(c, "hello 127.0.0.1 tls=0 exporter=0 host=one\r\n");
	say(c, "ECHO one\r\nECHO two\r\nEC");
	expect(c, "one\r\ntwo\r\n");
	say(c, "HO three\r\n");
	expect(c, "three\r\n");
	say(c, "NOTE\r\nROUTE\r\nECHO after\r\n");
	expect(c, "route ok\r\nafter\r\n");
	assert_true(
	        house_logged(w->h, "toy-noted session=0500000000000002 ip=127.0.0.1 what=this"));
	assert_int_equal(w->session, 0x500000000000002);
	say(c, "QUIT\r\nECHO not any more\r\n");
	expect(c, "bye\r\n");
	expect_closed(c);
	assert_int_equal(buf_len(&c->got), 0);
	house_until(w->h, w->ends == 1);
	client_free(&c);
}

/* While an answer is out nothing is taken, and nothing gets lost. */
static void an_open_ask_holds_the_rest(void **state)
{
	struct world *w = *state;
	struct client *c = client_new(w, &w->plain);
	struct answer answer;

	w->hold = true;
	say(c, "ROUTE\r\n");
	for (int i = 0; i < 3000; i++)
		say(c, "ECHO a line that waits for the answer to ROUTE, as all others do\r\n");
	say(c, "ECHO last\r\n");
	house_until(w->h, w->routes == 1);
	for (int i = 0; i < 50; i++)
		house_step(w->h);
	listen_to(c);
	assert_int_equal(bytes_find(buf_bytes(&c->got), BYTES("ECHO")), BYTES_NONE);
	assert_int_equal(w->routes, 1);
	answer = answer_to(&w->route, DENIED, (struct bytes){0});
	channel_answer(w->store, &answer);
	expect(c, "route denied\r\n");
	expect(c, "last\r\n");
	client_free(&c);
}

/* A client that does not read stops the engine, not the process; all comes in the end. */
static void a_slow_reader_holds_only_itself(void **state)
{
	struct world *w = *state;
	struct client *slow = client_new(w, &w->plain), *quick = client_new(w, &w->plain);
	size_t got = 0;

	for (int i = 0; i < 200; i++)
		say(slow, "BIG 100\r\n");
	say(slow, "QUIT\r\n");
	say(quick, "ECHO quick\r\n");
	expect(quick, "quick\r\n");
	while (!slow->closed) {
		listen_to(slow);
		got += buf_len(&slow->got);
		buf_clear(&slow->got);
	}
	assert_true(got > 200 * 100 * 1024);
	client_free(&slow);
	client_free(&quick);
}

static void tls_from_the_start(void **state)
{
	struct world *w = *state;
	struct client *c = client_new(w, &w->tls);

	client_tls(c);
	expect(c, "hello 127.0.0.1 tls=1 exporter=32 host=one\r\n");
	say(c, "BIG 1000\r\nECHO end\r\n");
	expect(c, "end\r\n");
	say(c, "QUIT\r\n");
	expect(c, "bye\r\n");
	expect_closed(c);
	assert_int_equal(SSL_get_error(c->ssl, 0), SSL_ERROR_ZERO_RETURN);
	client_free(&c);
}

static void tls_by_command(void **state)
{
	struct world *w = *state;
	struct client *c = client_new(w, &w->plain);

	say(c, "ECHO clear\r\nTLS\r\n");
	expect(c, "clear\r\n220 go\r\n");
	client_tls(c);
	expect(c, "tls 32 32\r\n");
	say(c, "ECHO hidden\r\n");
	expect(c, "hidden\r\n");
	say(c, "TLS\r\n");
	expect(c, "220 go\r\ntls unavailable\r\n");
	client_free(&c);
}

/* Octets that came in the clear behind the command end the session. */
static void injection_ends_the_session(void **state)
{
	struct world *w = *state;
	struct client *c = client_new(w, &w->plain);

	say(c, "ECHO x\r\nTLS\r\nECHO injected\r\n");
	expect_closed(c);
	assert_int_equal(bytes_find(buf_bytes(&c->got), BYTES("injected")), BYTES_NONE);
	assert_int_equal(bytes_find(buf_bytes(&c->got), BYTES("220")), BYTES_NONE);
	assert_true(house_logged(w->h, "tls-injection"));
	client_free(&c);
}

static void noise_instead_of_tls(void **state)
{
	struct world *w = *state;
	struct client *c = client_new(w, &w->tls);

	say(c, "HELO this is no TLS\r\n");
	expect_closed(c);
	assert_true(house_logged(w->h, "tls-failed"));
	client_free(&c);
}

/* keeper hangs: one signature is waited for, the next handshakes fail at once instead of stopping everybody. */
static void a_keeper_that_hangs_is_waited_for_once(void **state)
{
	struct world *w = *state;
	struct remote_signature s = {.digest = BYTES("0123456789abcdef0123456789abcdef")};
	struct role_context *r = &w->h->r;
	char room[LIMIT_MESSAGE];
	struct buf out = {0};
	struct why why;
	int ends[2], former = r->sign_fd;
	size_t len;

	assert_int_equal(socket_pair(ends, &why), OK);
	r->sign_fd = ends[0];
	for (int i = 0; i < 3; i++)
		assert_int_equal(w->signer.sign(w->signer.context, &s, &out), UNAVAILABLE);
	assert_int_equal(socket_receive(ends[1], room, sizeof(room), &len), OK);
	assert_int_equal(socket_receive(ends[1], room, sizeof(room), &len), UNAVAILABLE);
	r->sign_fd = former;
	socket_close(&ends[0]);
	socket_close(&ends[1]);
}

/* Who comes while keeper is away waits for it instead of failing. */
static void a_handshake_waits_for_keeper(void **state)
{
	struct world *w = *state;
	struct client *c;

	house_cut(w->h, KEEPER);
	c = client_new(w, &w->tls);
	c->ctx = SSL_CTX_new(TLS_client_method());
	c->ssl = SSL_new(c->ctx);
	SSL_set_fd(c->ssl, c->fd);
	for (int i = 0; i < 30; i++) {
		assert_int_equal(SSL_connect(c->ssl), -1);
		assert_int_equal(SSL_get_error(c->ssl, -1), SSL_ERROR_WANT_READ);
		house_step(w->h);
	}
	w->keeper = house_reconnect(w->h, KEEPER, &peer_ops, w);
	house_until(w->h, SSL_connect(c->ssl) == 1);
	expect(c, "hello");
	client_free(&c);
}

static void too_many_from_one_address(void **state)
{
	struct world *w = *state;
	struct client *a, *b, *c;

	w->h->values.connections_per_address = 2;
	a = client_new(w, &w->plain);
	b = client_new(w, &w->plain);
	expect(a, "hello");
	expect(b, "hello");
	c = client_new(w, &w->plain);
	expect(c, "busy\r\n");
	expect_closed(c);
	assert_true(house_logged(w->h, "connection-refused ip=127.0.0.1 limit=address"));
	client_free(&c);
	client_free(&a);
	house_until(w->h, ((struct front *)w->h->r.self)->count == 1);
	c = client_new(w, &w->plain);
	expect(c, "hello");
	client_free(&c);
	client_free(&b);
}

static void too_many_in_all(void **state)
{
	struct world *w = *state;
	struct client *a, *b;

	w->h->values.connections_total = 1;
	a = client_new(w, &w->plain);
	expect(a, "hello");
	b = client_new(w, &w->plain);
	expect(b, "busy\r\n");
	assert_true(house_logged(w->h, "limit=all"));
	client_free(&a);
	client_free(&b);
}

static void the_balancer_says_who(void **state)
{
	struct world *w = *state;
	struct client *c;

	listener_config.proxy_from.count = 1;
	assert_int_equal(ip_prefix_parse(BYTES("127.0.0.0/8"), &balancer), OK);
	c = client_new(w, &w->plain);
	say(c, "PROXY TCP4 192.0.2.7 203.0.113.1 4711 143\r");
	for (int i = 0; i < 20; i++)
		house_step(w->h);
	say(c, "\nECHO first\r\n");
	expect(c, "hello 192.0.2.7 ");
	expect(c, "first\r\n");
	client_free(&c);
	c = client_new(w, &w->plain);
	say(c, "ECHO no header\r\n");
	expect_closed(c);
	assert_int_equal(buf_len(&c->got), 0);
	assert_true(house_logged(w->h, "proxy-broken"));
	client_free(&c);
}

static void a_deadline_passes(void **state)
{
	struct world *w = *state;
	struct client *c = client_new(w, &w->plain);

	say(c, "SHORT\r\n");
	expect(c, "late\r\n");
	expect_closed(c);
	client_free(&c);
}

/* The store dies with an ask open: LOST at once; UNAVAILABLE while it is away; then it is back. */
static void the_store_dies(void **state)
{
	struct world *w = *state;
	struct client *c = client_new(w, &w->plain), *user = client_new(w, &w->plain);

	say(user, "LOGIN\r\n");
	expect(user, "login ok\r\n");
	w->hold = true;
	say(c, "ROUTE\r\n");
	house_until(w->h, w->routes == 1);
	house_cut(w->h, STORE);
	expect(c, "route lost\r\n");
	say(c, "ROUTE\r\n");
	expect(c, "route unavailable\r\n");
	w->hold = false;
	w->store = house_reconnect(w->h, STORE, &peer_ops, w);
	say(c, "ROUTE\r\n");
	expect(c, "route ok\r\n");
	/* Whoever is logged in waits until keeper has said the grants again. */
	say(user, "ROUTE\r\n");
	expect(user, "route unavailable\r\n");
	channel_event(w->keeper, 0, ENGINE_LOST);
	expect(user, "lost\r\n");
	say(user, "ROUTE\r\n");
	expect(user, "route ok\r\n");
	client_free(&c);
	client_free(&user);
}

/* keeper has forgotten the grant too: such a session ends, and its client comes back. */
static void store_and_keeper_die(void **state)
{
	struct world *w = *state;
	struct client *user = client_new(w, &w->plain);

	say(user, "LOGIN\r\n");
	expect(user, "login ok\r\n");
	house_cut(w->h, KEEPER);
	w->keeper = house_reconnect(w->h, KEEPER, &peer_ops, w);
	channel_event(w->keeper, 0, ENGINE_LOST);
	for (int i = 0; i < 20; i++)
		house_step(w->h);
	say(user, "ROUTE\r\n");
	expect(user, "route ok\r\n");
	assert_int_equal(buf_len(&user->got), 0);
	house_cut(w->h, STORE);
	w->store = house_reconnect(w->h, STORE, &peer_ops, w);
	channel_event(w->keeper, 0, ENGINE_LOST);
	expect(user, "stopping\r\n");
	expect_closed(user);
	client_free(&user);
}

static void events_reach_their_session(void **state)
{
	struct world *w = *state;
	struct client *a = client_new(w, &w->plain), *b = client_new(w, &w->plain);

	say(a, "ROUTE\r\n");
	expect(a, "route ok\r\n");
	channel_event(w->store, w->session, ENGINE_CHANGED);
	expect(a, "changed\r\n");
	say(b, "ECHO quiet\r\n");
	expect(b, "quiet\r\n");
	assert_int_equal(buf_len(&b->got), 0);
	client_free(&a);
	client_free(&b);
}

/* A new configuration: sessions keep what they began with, new ones have the new one; broken
 * certificates leave the former ones in force. */
static void a_reload_is_for_new_sessions(void **state)
{
	struct world *w = *state;
	struct client *old = client_new(w, &w->plain), *fresh;

	expect(old, "hello 127.0.0.1 tls=0 exporter=0 host=one\r\n");
	w->h->values.hostname = BYTES("two");
	certificate.pem = BYTES("no certificate");
	front_config(&w->h->r);
	expect(old, "reload\r\n");
	assert_true(house_logged(w->h, "tls-refused"));
	fresh = client_new(w, &w->tls);
	client_tls(fresh);
	expect(fresh, "host=two\r\n");
	say(old, "TLS\r\n");
	expect(old, "220 go\r\n");
	client_tls(old);
	expect(old, "tls 32 32\r\n");
	client_free(&old);
	client_free(&fresh);
}

/* A certificate whose key keeper does not have: the former ones stay, until the key is there. */
static void a_certificate_without_a_key(void **state)
{
	struct world *w = *state;
	struct front *f = w->h->r.self;
	struct tls_context *former = f->generation->tls;
	struct buf other = {0}, key = {0};
	struct client *c;
	struct why why;

	certificate_make(BYTES("mx.example.test"), clock_now(), &other, &key);
	certificate.pem = buf_bytes(&other);
	front_config(&w->h->r);
	assert_true(house_logged(w->h, "tls-without-key certificate=mx"));
	assert_ptr_equal(f->generation->tls, former);
	c = client_new(w, &w->tls);
	client_tls(c);
	expect(c, "hello");
	client_free(&c);
	private_key_free(&w->key);
	assert_int_equal(private_key_parse(buf_bytes(&key), &w->key, &why), OK);
	house_until(w->h, f->generation->tls != former);
	c = client_new(w, &w->tls);
	client_tls(c);
	expect(c, "hello");
	client_free(&c);
	buf_done(&other);
	buf_done(&key);
}

static void stopping_says_goodbye(void **state)
{
	struct world *w = *state;
	struct client *c = client_new(w, &w->plain), *t = client_new(w, &w->tls);

	client_tls(t);
	expect(t, "hello");
	expect(c, "hello");
	front_stop(&w->h->r);
	expect(c, "stopping\r\n");
	expect(t, "stopping\r\n");
	client_free(&c);
	client_free(&t);
	house_until(w->h, w->h->stopped);
}

/* Clients that vanish at any moment leave nothing behind (teardown looks). */
static void clients_vanish(void **state)
{
	static const char *const words[] = {"",        "ECHO x\r\n",   "ROUTE\r\n",
	                                    "TLS\r\n", "BIG 1000\r\n", "TLS\r\n\x16\x03\x01"};
	struct world *w = *state;

	for (int i = 0; i < 120; i++) {
		struct client *c = client_new(w, i % 2 ? &w->plain : &w->tls);

		say(c, words[i % 6]);
		for (int k = 0; k < i % 7; k++)
			house_step(w->h);
		client_free(&c);
	}
	house_until(w->h, ((struct front *)w->h->r.self)->count == 0);
}

/* Who is kept out hears nothing of the engine; who is not, all of it. */
static void the_banned_are_dropped(void **state)
{
	struct world *w = *state;
	struct client *c, *t;

	w->h->values.ban_on = true;
	c = client_new(w, &w->plain);
	expect(c, "hello");
	assert_int_equal(w->banned_asks, 1);
	w->bans = true;
	t = client_new(w, &w->plain);
	say(t, "ECHO one\r\n");
	expect(t, "banned\r\n");
	expect_closed(t);
	assert_int_equal(buf_len(&t->got), 0);
	client_free(&t);
	t = client_new(w, &w->tls);
	expect_closed(t);
	client_free(&t);
	assert_int_equal(w->banned_asks, 3);
	/* Who was let in stays. */
	say(c, "ECHO still\r\n");
	expect(c, "still\r\n");
	client_free(&c);
}

/* A store that is silent, or is not there, shuts no door. */
static void nobody_says_who_is_banned(void **state)
{
	struct world *w = *state;
	struct client *c;

	w->h->values.ban_on = true;
	w->silent = true;
	c = client_new(w, &w->plain);
	say(c, "ECHO early\r\n");
	house_until(w->h, w->banned_asks == 1);
	for (int i = 0; i < 20; i++)
		listen_to(c);
	assert_int_equal(buf_len(&c->got), 0);
	house_cut(w->h, STORE);
	expect(c, "hello");
	expect(c, "early\r\n");
	client_free(&c);
	c = client_new(w, &w->plain);
	expect(c, "hello");
	assert_int_equal(w->banned_asks, 1);
	client_free(&c);
}

static void the_allowed_are_not_asked_for(void **state)
{
	struct world *w = *state;
	struct ip_prefix all = {.bits = 0};
	struct client *c;

	w->h->values.ban_on = w->bans = true;
	w->h->values.ban_allow = (struct config_prefixes){&all, 1};
	c = client_new(w, &w->plain);
	expect(c, "hello");
	assert_int_equal(w->banned_asks, 0);
	client_free(&c);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        TEST(words_go_through),
	        TEST(an_open_ask_holds_the_rest),
	        TEST(a_slow_reader_holds_only_itself),
	        TEST(tls_from_the_start),
	        TEST(tls_by_command),
	        TEST(injection_ends_the_session),
	        TEST(noise_instead_of_tls),
	        TEST(a_handshake_waits_for_keeper),
	        TEST(a_keeper_that_hangs_is_waited_for_once),
	        TEST(too_many_from_one_address),
	        TEST(too_many_in_all),
	        TEST(the_balancer_says_who),
	        TEST(the_banned_are_dropped),
	        TEST(nobody_says_who_is_banned),
	        TEST(the_allowed_are_not_asked_for),
	        TEST(a_deadline_passes),
	        TEST(the_store_dies),
	        TEST(store_and_keeper_die),
	        TEST(events_reach_their_session),
	        TEST(a_reload_is_for_new_sessions),
	        TEST(a_certificate_without_a_key),
	        TEST(stopping_says_goodbye),
	        TEST(clients_vanish),
	};

	crypto_warm();
	return TEST_MAIN(tests);
}
