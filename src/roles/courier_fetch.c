/* HTTPS for the courier: MTA-STS policies, reports, webhooks. libcurl's multi interface on our loop. What the library would open by
 * itself (roots, its own wake-up pipe) is opened in warm(); names are resolved by whoever asks. */
#include <curl/curl.h>
#include <stdio.h>

#include "base/memory.h"
#include "roles/courier.h"

enum {
	FETCH_MS = 60 * 1000, /* RFC 8461, 3.3 */
	CONNECT_MS = 20 * 1000,
	CONNECTIONS = 16,
	FAILURES = 256,             /* fetches whose failure is remembered */
	FAILURE_MS = 5 * 60 * 1000, /* RFC 8461, 3.3: not again at once */
	URL_MAX = 2048,
	RESOLVED_S = 600, /* longer than any fetch: nothing is ever resolved by the library */
};

struct failure {
	uint64_t hash; /* of the URL */
	time_ms until;
};

struct fetch {
	struct fetcher *fetcher;
	struct ask ask; /* copied */
	struct arena arena;
	CURL *easy;
	struct curl_slist *resolve, *connect_to, *headers;
	struct buf body;
	bool too_big;
	char error[CURL_ERROR_SIZE];
	struct fetch *next, **prev;
};

struct fetcher {
	struct courier *courier;
	CURLM *multi;
	struct loop_timer *timer;
	struct fetch *fetches;
	struct failure failures[FAILURES];
	unsigned next_failure;
};

/* ---- the end of a fetch ---- */

static void fetch_free(struct fetch *x)
{
	*x->prev = x->next;
	if (x->next)
		x->next->prev = x->prev;
	if (x->easy) {
		(void)curl_multi_remove_handle(x->fetcher->multi, x->easy);
		curl_easy_cleanup(x->easy);
	}
	curl_slist_free_all(x->resolve);
	curl_slist_free_all(x->connect_to);
	curl_slist_free_all(x->headers);
	buf_done(&x->body);
	arena_done(&x->arena);
	memory_free(x);
}

static void remember_failure(struct fetcher *f, struct bytes url)
{
	f->failures[f->next_failure] = (struct failure){
	        map_hash(url), loop_now(f->courier->role->loop) + FAILURE_MS};
	f->next_failure = (f->next_failure + 1) % FAILURES;
}

static bool failed_lately(const struct fetcher *f, struct bytes url)
{
	uint64_t hash = map_hash(url);

	for (unsigned i = 0; i < FAILURES; i++)
		if (f->failures[i].hash == hash &&
		    f->failures[i].until > loop_now(f->courier->role->loop))
			return true;
	return false;
}

static void answer(struct fetch *x, enum result result, const char *why)
{
	struct courier *c = x->fetcher->courier;
	struct answer a = answer_to(&x->ask, result, bytes_of_text(why));
	long status = 0;
	char *type = NULL;

	if (result == OK) {
		(void)curl_easy_getinfo(x->easy, CURLINFO_RESPONSE_CODE, &status);
		(void)curl_easy_getinfo(x->easy, CURLINFO_CONTENT_TYPE, &type);
		a.fetch.status = (uint16_t)status;
		a.fetch.type = bytes_of_text(type);
		a.fetch.body = buf_bytes(&x->body);
	}
	if (result != OK || status < 200 || status > 299) {
		if (x->ask.fetch.type.len == 0) /* who posts knows himself when to try again */
			remember_failure(x->fetcher, x->ask.fetch.url);
		role_log(c->role, "fetch-failed", "url=%.*s status=%ld why=\"%s\"",
		         BYTES_ARG(x->ask.fetch.url), status, why);
	}
	courier_fetched(c, &a);
	fetch_free(x);
}

/* ---- the library calls us ---- */

static void collect(struct fetcher *f)
{
	CURLMsg *m;
	int left;

	while ((m = curl_multi_info_read(f->multi, &left))) {
		struct fetch *x = NULL;

		if (m->msg != CURLMSG_DONE)
			continue;
		(void)curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &x);
		if (m->data.result == CURLE_OK)
			answer(x, OK, "");
		else if (x->too_big)
			answer(x, TOO_BIG, "it is larger than is taken");
		else
			answer(x, UNAVAILABLE,
			       x->error[0] ? x->error : curl_easy_strerror(m->data.result));
	}
}

static void on_timer(void *context)
{
	struct fetcher *f = context;
	int running;

	(void)curl_multi_socket_action(f->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	collect(f);
}

struct watched {
	struct fetcher *fetcher;
	curl_socket_t fd;
	struct loop_watch *watch;
};

static void on_socket(void *context, unsigned events)
{
	struct watched *w = context;
	struct fetcher *f = w->fetcher;
	int action = (events & LOOP_READ ? CURL_CSELECT_IN : 0) |
	             (events & LOOP_WRITE ? CURL_CSELECT_OUT : 0);
	int running;

	(void)curl_multi_socket_action(f->multi, w->fd, action, &running);
	collect(f);
}

static int watch_socket(CURL *easy, curl_socket_t fd, int what, void *context, void *socket)
{
	struct fetcher *f = context;
	struct watched *w = socket;
	unsigned events = (what & CURL_POLL_IN ? LOOP_READ : 0) |
	                  (what & CURL_POLL_OUT ? LOOP_WRITE : 0);

	(void)easy;
	if (what == CURL_POLL_REMOVE) {
		if (w) {
			loop_watch_free(&w->watch);
			memory_free(w);
		}
		(void)curl_multi_assign(f->multi, fd, NULL);
		return 0;
	}
	if (w) {
		loop_watch_set(w->watch, events);
		return 0;
	}
	w = NEW(struct watched);
	w->fetcher = f;
	w->fd = fd;
	w->watch = loop_watch_new(f->courier->role->loop, fd, events, on_socket, w);
	(void)curl_multi_assign(f->multi, fd, w);
	return 0;
}

static int set_timer(CURLM *multi, long ms, void *context)
{
	struct fetcher *f = context;

	(void)multi;
	if (ms < 0)
		loop_timer_stop(f->timer);
	else
		loop_timer_set(f->timer, ms);
	return 0;
}

static size_t take_body(char *ptr, size_t size, size_t count, void *context)
{
	struct fetch *x = context;
	size_t len = size * count;

	if (buf_len(&x->body) + len > x->ask.fetch.max) {
		x->too_big = true;
		return 0;
	}
	buf_append(&x->body, bytes_of(ptr, len));
	return len;
}

/* ---- a request ---- */

/* The host of "https://host/..."; empty: it is none that we take. No users; no port but the one that the asker says. */
static struct bytes host_of(struct bytes url, unsigned port)
{
	struct bytes rest = bytes_skip(url, 8), host;
	uint64_t named;
	size_t end;

	if (!bytes_starts_nocase(url, BYTES("https://")) || url.len > URL_MAX)
		return (struct bytes){0};
	end = bytes_find_char(rest, '/');
	host = end == BYTES_NONE ? rest : bytes_first(rest, end);
	end = bytes_find_char(host, ':');
	if (end != BYTES_NONE && port > 0 &&
	    bytes_to_u64(bytes_skip(host, end + 1), 65535, &named) == OK && named == port)
		host = bytes_first(host, end);
	for (size_t i = 0; i < host.len; i++)
		if (bytes_find_char(BYTES("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
		                          "0123456789-._"),
		                    host.ptr[i]) == BYTES_NONE)
			return (struct bytes){0};
	return host;
}

static bool resolve(struct fetch *x, struct bytes host, unsigned port)
{
	struct bytes ips = x->ask.fetch.addresses;
	struct buf line = {0};

	buf_printf(&line, "+%.*s:%u:", BYTES_ARG(host), port);
	for (size_t i = 0; i + 16 <= ips.len; i += 16) {
		struct ip ip;
		char text[IP_TEXT];

		memcpy(ip.octets, ips.ptr + i, 16);
		ip_format(&ip, text);
		buf_printf(&line, ip_is_v4(&ip) ? "%s%s" : "%s[%s]", i ? "," : "", text);
	}
	x->resolve = curl_slist_append(NULL, arena_text(&x->arena, buf_bytes(&line)));
	buf_clear(&line);
	buf_printf(&line, "%.*s:%u:%.*s:%u", BYTES_ARG(host),
	           x->ask.fetch.port ? x->ask.fetch.port : 443, BYTES_ARG(host), port);
	x->connect_to = curl_slist_append(NULL, arena_text(&x->arena, buf_bytes(&line)));
	buf_done(&line);
	return x->resolve && x->connect_to && ips.len >= 16;
}

static void set_options(struct fetch *x)
{
	const struct courier *c = x->fetcher->courier;
	CURL *e = x->easy;
	struct curl_blob roots = {.data = (void *)(uintptr_t)c->roots.ptr,
	                          .len = c->roots.len,
	                          .flags = CURL_BLOB_NOCOPY};

	curl_easy_setopt(e, CURLOPT_URL, arena_text(&x->arena, x->ask.fetch.url));
	curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "https");
	curl_easy_setopt(e, CURLOPT_PROXY, "");
	curl_easy_setopt(e, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(e, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(e, CURLOPT_TIMEOUT_MS, (long)FETCH_MS);
	curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS);
	curl_easy_setopt(e, CURLOPT_DNS_CACHE_TIMEOUT, (long)RESOLVED_S);
	curl_easy_setopt(e, CURLOPT_RESOLVE, x->resolve);
	curl_easy_setopt(e, CURLOPT_CONNECT_TO, x->connect_to);
	curl_easy_setopt(e, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	curl_easy_setopt(e, CURLOPT_SSL_VERIFYPEER, 1L);
	curl_easy_setopt(e, CURLOPT_SSL_VERIFYHOST, 2L);
	curl_easy_setopt(e, CURLOPT_CAINFO, NULL);
	curl_easy_setopt(e, CURLOPT_CAPATH, NULL);
	curl_easy_setopt(e, CURLOPT_CAINFO_BLOB, &roots);
	curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, take_body);
	curl_easy_setopt(e, CURLOPT_WRITEDATA, x);
	curl_easy_setopt(e, CURLOPT_ERRORBUFFER, x->error);
	curl_easy_setopt(e, CURLOPT_PRIVATE, x);
	curl_easy_setopt(e, CURLOPT_USERAGENT, "Hikyaku");
}

static void set_post(struct fetch *x)
{
	struct bytes more = x->ask.fetch.headers, line;

	if (x->ask.fetch.type.len == 0)
		return;
	x->headers = curl_slist_append(
	        NULL, arena_text(&x->arena, arena_printf(&x->arena, "Content-Type: %.*s",
	                                                 BYTES_ARG(x->ask.fetch.type))));
	x->headers = curl_slist_append(x->headers, "Expect:");
	while (bytes_cut(&more, '\n', &line))
		if (line.len > 0)
			x->headers = curl_slist_append(x->headers, arena_text(&x->arena, line));
	curl_easy_setopt(x->easy, CURLOPT_POST, 1L);
	curl_easy_setopt(x->easy, CURLOPT_HTTPHEADER, x->headers);
	curl_easy_setopt(x->easy, CURLOPT_POSTFIELDS, x->ask.fetch.body.ptr);
	curl_easy_setopt(x->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)x->ask.fetch.body.len);
}

static struct fetch *fetch_new(struct fetcher *f, const struct ask *a)
{
	struct fetch *x = NEW(struct fetch);

	x->fetcher = f;
	x->ask = ask_copy(&x->arena, a);
	x->next = f->fetches;
	x->prev = &f->fetches;
	if (x->next)
		x->next->prev = &x->next;
	f->fetches = x;
	return x;
}

static void refuse(struct fetcher *f, const struct ask *a, enum result result, const char *why)
{
	struct answer answer = answer_to(a, result, bytes_of_text(why));

	courier_fetched(f->courier, &answer);
}

void fetcher_ask(struct fetcher *f, const struct ask *a)
{
	unsigned port = a->fetch.port
	                        ? a->fetch.port
	                        : (unsigned)f->courier->role->config->config->carry_https_port;
	struct bytes host = host_of(a->fetch.url, a->fetch.port);
	struct fetch *x;

	if (host.len == 0) {
		refuse(f, a, INVALID, "this is no URL that is fetched");
		return;
	}
	if (failed_lately(f, a->fetch.url)) {
		refuse(f, a, UNAVAILABLE, "it failed a few minutes ago");
		return;
	}
	x = fetch_new(f, a);
	x->easy = curl_easy_init();
	if (!x->easy || !resolve(x, host, port)) {
		answer(x, INVALID, "it has no address");
		return;
	}
	set_options(x);
	set_post(x);
	if (curl_multi_add_handle(f->multi, x->easy) != CURLM_OK)
		answer(x, UNAVAILABLE, "the request could not be begun");
}

void fetcher_forget(struct fetcher *f, uint64_t session)
{
	struct fetch *next;

	for (struct fetch *x = f->fetches; x; x = next) {
		next = x->next;
		if (x->ask.session == session)
			fetch_free(x);
	}
}

/* ---- life ---- */

struct fetcher *fetcher_warm(struct courier *c)
{
	struct fetcher *f = NEW(struct fetcher);

	f->courier = c;
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK || !(f->multi = curl_multi_init()))
		role_fail(c->role, &(struct why){"libcurl cannot be used"});
	return f;
}

void fetcher_start(struct fetcher *f)
{
	f->timer = loop_timer_new(f->courier->role->loop, on_timer, f);
	curl_multi_setopt(f->multi, CURLMOPT_SOCKETFUNCTION, watch_socket);
	curl_multi_setopt(f->multi, CURLMOPT_SOCKETDATA, f);
	curl_multi_setopt(f->multi, CURLMOPT_TIMERFUNCTION, set_timer);
	curl_multi_setopt(f->multi, CURLMOPT_TIMERDATA, f);
	curl_multi_setopt(f->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, (long)CONNECTIONS);
	curl_multi_setopt(f->multi, CURLMOPT_MAXCONNECTS, 4L);
}
