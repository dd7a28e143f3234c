#include "roles/resolver_context.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unbound-event.h>
#include <unbound.h>

#include "roles/role.h"
#include "sys/socket.h"

/* The root's keys, by IANA's trust anchors (RFC 7958): what stands in Debian's dns-root-data is trusted besides. */
static const char *const root_anchors[] = {
        ". DS 20326 8 2 E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D",
        ". DS 38696 8 2 683D2D0ACB8C9B712A1948B27F741219298D0A450D612C483AF444A4C0FB2B16",
};

static enum result set(struct ub_ctx *u, const char *key, const char *value, struct why *why)
{
	int status = ub_ctx_set_option(u, key, value);

	return status == 0 ? OK
	                   : why_set(why, FAILED, "libunbound does not take %s %s: %s", key, value,
	                             ub_strerror(status));
}

static enum result set_all(struct ub_ctx *u, const struct resolver_wants *w, struct why *why)
{
	const struct config *c = w->config;
	char cache[32], half[32];
	const struct {
		const char *key, *value;
	} options[] = {
	        {"use-syslog:", "no"},
	        {"do-ip6:", w->ip6 ? "yes" : "no"},
	        {"module-config:", c->resolver_dnssec ? "validator iterator" : "iterator"},
	        {"qname-minimisation:", "yes"},
	        {"aggressive-nsec:", "yes"},
	        {"harden-referral-path:", "no"},
	        {"prefetch:", "yes"},
	        {"prefetch-key:", "yes"},
	        {"edns-buffer-size:", "1232"},
	        {"outgoing-range:", "1024"},
	        {"num-queries-per-thread:", "2048"},
	        {"outgoing-num-tcp:", "100"},
	        {"msg-cache-size:", half},
	        {"rrset-cache-size:", cache},
	        {"key-cache-size:", half},
	        {"neg-cache-size:", half},
	        {"do-not-query-localhost:", "no"},
	};
	enum result r = OK;

	snprintf(cache, sizeof(cache), "%llu", (unsigned long long)c->resolver_cache / 2);
	snprintf(half, sizeof(half), "%llu", (unsigned long long)c->resolver_cache / 6);
	for (size_t i = 0; r == OK && i < sizeof(options) / sizeof(*options); i++)
		r = set(u, options[i].key, options[i].value, why);
	return r;
}

static enum result told(int status, const char *what, struct bytes value, struct why *why)
{
	return status == 0 ? OK
	                   : why_set(why, INVALID, "resolver: %s \"%.*s\": %s", what,
	                             BYTES_ARG(value), ub_strerror(status));
}

/* Zones that libunbound answers itself (RFC 6761: .test, home.arpa, private reverse zones) are asked about where the
 * operator said who knows them. The first such call closes the context for other settings. */
static enum result open_zone(struct ub_ctx *u, const char *zone, struct why *why)
{
	(void)ub_ctx_zone_remove(u, zone);
	return told(ub_ctx_zone_add(u, zone, "transparent"), "zone", bytes_of_text(zone), why);
}

static struct bytes stub_zone(struct bytes word)
{
	return bytes_first(word, bytes_find_char(word, '='));
}

static enum result set_servers(struct ub_ctx *u, const struct config *c, struct arena *arena,
                               struct why *why)
{
	enum result r = OK;

	for (size_t i = 0; r == OK && i < c->resolver_forward.count; i++) {
		struct bytes word = c->resolver_forward.items[i];

		r = told(ub_ctx_set_fwd(u, arena_text(arena, word)), "forward", word, why);
	}
	/* Whoever has a resolver of his own has his own private zones in it. */
	if (r == OK && c->resolver_forward.count > 0)
		r = set(u, "unblock-lan-zones:", "yes", why);
	if (r == OK && c->resolver_forward.count > 0)
		r = set(u, "insecure-lan-zones:", "yes", why);
	for (size_t i = 0; r == OK && i < c->resolver_stub.count; i++) {
		struct bytes word = c->resolver_stub.items[i], zone = stub_zone(word);

		r = told(ub_ctx_set_stub(u, arena_text(arena, zone),
		                         arena_text(arena, bytes_skip(word, zone.len + 1)), 0),
		         "stub", word, why);
	}
	return r;
}

static enum result add_file_anchors(struct ub_ctx *u, struct bytes lines, struct arena *arena,
                                    struct why *why)
{
	struct bytes rest = lines, line;
	enum result r = OK;

	while (r == OK && bytes_cut(&rest, '\n', &line)) {
		line = bytes_trim(bytes_first(line, bytes_find_char(line, ';')));
		if (line.len > 0)
			r = told(ub_ctx_add_ta(u, arena_text(arena, line)), "anchor", line, why);
	}
	return r;
}

static enum result set_trust(struct ub_ctx *u, const struct resolver_wants *w, struct arena *arena,
                             struct why *why)
{
	const struct config *c = w->config;
	enum result r = OK;

	for (size_t i = 0; r == OK && i < c->resolver_insecure.count; i++)
		r = set(u, "domain-insecure:", arena_text(arena, c->resolver_insecure.items[i]),
		        why);
	if (!c->resolver_dnssec)
		return r;
	for (size_t i = 0; r == OK && i < sizeof(root_anchors) / sizeof(*root_anchors); i++)
		r = told(ub_ctx_add_ta(u, root_anchors[i]), "anchor",
		         bytes_of_text(root_anchors[i]), why);
	if (r == OK)
		r = add_file_anchors(u, w->anchors, arena, why);
	for (size_t i = 0; r == OK && i < c->resolver_anchor.count; i++) {
		struct bytes line = c->resolver_anchor.items[i];

		r = told(ub_ctx_add_ta(u, arena_text(arena, line)), "anchor", line, why);
	}
	return r;
}

/* After everything else: see open_zone. */
static enum result open_zones(struct ub_ctx *u, const struct config *c, struct arena *arena,
                              struct why *why)
{
	enum result r = OK;

	for (size_t i = 0; r == OK && i < c->resolver_stub.count; i++)
		r = open_zone(u, arena_text(arena, stub_zone(c->resolver_stub.items[i])), why);
	for (size_t i = 0; r == OK && i < c->resolver_insecure.count; i++)
		r = open_zone(u, arena_text(arena, c->resolver_insecure.items[i]), why);
	return r;
}

enum result resolver_context_new(const struct resolver_wants *w, struct ub_ctx **ret,
                                 struct why *why)
{
	const struct config *c = w->config;
	struct ub_ctx *u = ub_ctx_create_ub_event(w->base);
	struct arena arena = {0};
	enum result r;

	if (!u)
		return why_set(why, FAILED, "libunbound gives no context");
	(void)ub_ctx_debugout(u, w->log);
	r = set_all(u, w, why);
	if (r == OK)
		r = set_servers(u, c, &arena, why);
	if (r == OK)
		r = set_trust(u, w, &arena, why);
	if (r == OK)
		r = open_zones(u, c, &arena, why);
	arena_done(&arena);
	if (r == OK)
		*ret = u;
	else
		ub_ctx_delete(u);
	return r;
}

/* ---- ports: TCP is for answers that are too large for UDP ---- */

enum { PORT = 53 };

/* "ADDRESS@PORT", or "ADDRESS": 53. */
static uint16_t port_of(struct bytes word)
{
	size_t at = bytes_find_last(word, '@');
	uint64_t port;

	return at != BYTES_NONE && bytes_to_u64(bytes_skip(word, at + 1), UINT16_MAX, &port) == OK
	               ? (uint16_t)port
	               : PORT;
}

static size_t add_ports(const struct config_words *words, uint16_t *ret, size_t count)
{
	for (size_t i = 0; i < words->count; i++)
		count = role_port_add(ret, count, port_of(words->items[i]));
	return count;
}

size_t resolver_ports(const struct config *c, uint16_t *ret)
{
	size_t count = role_port_add(ret, 0, PORT);

	count = add_ports(&c->resolver_forward, ret, count);
	return add_ports(&c->resolver_stub, ret, count);
}

/* ---- IPv6 ---- */

/* A UDP socket that is connected sends nothing: it only says whether there is a route (to a root server of IPv6). */
static bool has_ip6_route(void)
{
	struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_port = htons(53)};
	struct ip ip;
	int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool has;

	if (ip_parse(BYTES("2001:503:ba3e::2:30"), &ip) != OK)
		return false;
	memcpy(&a.sin6_addr, ip.octets, 16);
	has = fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0;
	socket_close(&fd);
	return has;
}

static bool names_ip6(const struct config_words *words)
{
	for (size_t i = 0; i < words->count; i++)
		if (bytes_find_char(words->items[i], ':') != BYTES_NONE)
			return true;
	return false;
}

bool resolver_wants_ip6(const struct config *c)
{
	return names_ip6(&c->resolver_forward) || names_ip6(&c->resolver_stub) || has_ip6_route();
}
