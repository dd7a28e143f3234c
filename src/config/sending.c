/* `route` and `source` sections of hikyaku.conf: parsing, checking, finding, and their octets.
 *
 *	u32 smarthosts: block name, words to, words from, block host, u16 port, u8 tls, block user, u8 fallback
 *	u32 origins: block name, words domains, 16 octets ip4, 16 octets ip6, block helo
 *	words: u32 count, blocks
 */
#include "config/sending.h"

#define CONF "hikyaku.conf"

enum { SECTIONS = 256, WORDS = 10000 };

struct section {
	struct config *config;
	struct why *why;
	unsigned line;
	bool has_port, has_tls;
	struct config_smarthost *smarthost;
	struct config_origin *origin;
};

typedef enum result key_function(struct section *s, const struct statement *line);

struct key {
	const char *name;
	key_function *set;
};

static enum result broken(const struct section *s, unsigned line, const char *reason)
{
	return why_set(s->why, INVALID, CONF ":%u: %s", line, reason);
}

/* ---- words ---- */

static void word_add(struct config *c, struct config_words *list, struct bytes word)
{
	/* Doubling at the powers of two: the room is the next one. */
	if ((list->count & (list->count - 1)) == 0) {
		size_t room = list->count ? list->count * 2 : 1;
		struct bytes *more = arena_get(&c->arena, room * sizeof(*more));

		if (list->count > 0)
			memcpy(more, list->items, list->count * sizeof(*more));
		list->items = more;
	}
	list->items[list->count++] = word;
}

/* "example.test", or ".example.test" for all below it. */
static bool canonical_domain(struct config *c, struct bytes word, struct bytes *ret)
{
	bool below = word.len > 1 && word.ptr[0] == '.';

	if (config_domain_canonical(bytes_skip(word, below), &c->arena, ret) != OK)
		return false;
	if (below)
		*ret = arena_printf(&c->arena, ".%.*s", BYTES_ARG(*ret));
	return true;
}

static enum result add_domains(struct section *s, const struct statement *line,
                               struct config_words *list, bool addresses)
{
	if (line->count == 0)
		return broken(s, line->line, "at least one domain is missing");
	for (size_t i = 0; i < line->count; i++) {
		struct bytes word = line->values[i], canonical;
		bool is_address = addresses && bytes_find_char(word, '@') != BYTES_NONE;

		if (list->count == WORDS)
			return broken(s, line->line, "these are too many domains");
		if (is_address ? config_address_canonical(word, &s->config->arena, &canonical) != OK
		               : !canonical_domain(s->config, word, &canonical))
			return why_set(s->why, INVALID, CONF ":%u: \"%.*s\" is no domain%s",
			               line->line, BYTES_ARG(bytes_first(word, 80)),
			               addresses ? " and no address" : "");
		word_add(s->config, list, canonical);
	}
	return OK;
}

/* ---- keys of a route ---- */

static enum result set_to(struct section *s, const struct statement *line)
{
	return add_domains(s, line, &s->smarthost->to, false);
}

static enum result set_from(struct section *s, const struct statement *line)
{
	return add_domains(s, line, &s->smarthost->from, true);
}

static enum result set_host(struct section *s, const struct statement *line)
{
	struct bytes word = line->count == 1 ? line->values[0] : (struct bytes){0};
	struct ip ip;

	if (word.len > 2 && word.ptr[0] == '[' && word.ptr[word.len - 1] == ']')
		word = bytes_of(word.ptr + 1, word.len - 2);
	if (ip_parse(word, &ip) == OK)
		s->smarthost->host = arena_copy(&s->config->arena, word);
	else if (word.len == 0 ||
	         config_domain_canonical(word, &s->config->arena, &s->smarthost->host) != OK)
		return broken(s, line->line, "host takes one host name or address");
	return OK;
}

static enum result set_port(struct section *s, const struct statement *line)
{
	uint64_t port;

	if (line->count != 1 || bytes_to_u64(line->values[0], 65535, &port) != OK || port == 0)
		return broken(s, line->line, "port takes a number from 1 to 65535");
	s->smarthost->port = (uint16_t)port;
	s->has_port = true;
	return OK;
}

static enum result set_tls(struct section *s, const struct statement *line)
{
	static const char *const words[] = {"may", "must", "implicit"};

	for (unsigned i = 0; line->count == 1 && i < sizeof(words) / sizeof(*words); i++) {
		if (bytes_equal(line->values[0], bytes_of_text(words[i]))) {
			s->smarthost->tls = (enum config_smarthost_tls)i;
			s->has_tls = true;
			return OK;
		}
	}
	return broken(s, line->line, "tls takes one of may, must, implicit");
}

static enum result set_user(struct section *s, const struct statement *line)
{
	if (line->count != 1 || line->values[0].len == 0 || line->values[0].len > LIMIT_USER)
		return broken(s, line->line, "user takes one name");
	s->smarthost->user = arena_copy(&s->config->arena, line->values[0]);
	return OK;
}

static const struct key route_keys[] = {
        {"to", set_to},     {"from", set_from}, {"host", set_host},
        {"port", set_port}, {"tls", set_tls},   {"user", set_user},
};

/* ---- keys of a source ---- */

static enum result set_domain(struct section *s, const struct statement *line)
{
	return add_domains(s, line, &s->origin->domains, false);
}

static bool is_any(const struct ip *ip)
{
	return ip_equal(ip, &(struct ip){0});
}

static enum result set_address(struct section *s, const struct statement *line)
{
	if (line->count == 0)
		return broken(s, line->line, "address takes an IPv4 and an IPv6 address, or one");
	for (size_t i = 0; i < line->count; i++) {
		struct ip ip, *at;

		if (ip_parse(line->values[i], &ip) != OK)
			return why_set(s->why, INVALID, CONF ":%u: \"%.*s\" is no address",
			               line->line, BYTES_ARG(bytes_first(line->values[i], 60)));
		at = ip_is_v4(&ip) ? &s->origin->ip4 : &s->origin->ip6;
		if (!is_any(at))
			return broken(s, line->line, "address takes one address of each family");
		*at = ip;
	}
	return OK;
}

static enum result set_helo(struct section *s, const struct statement *line)
{
	if (line->count != 1 || line->values[0].len == 0 || line->values[0].ptr[0] == '[' ||
	    config_domain_canonical(line->values[0], &s->config->arena, &s->origin->helo) != OK)
		return broken(s, line->line, "helo takes one host name");
	return OK;
}

static const struct key source_keys[] = {
        {"domain", set_domain},
        {"address", set_address},
        {"helo", set_helo},
};

/* ---- sections ---- */

static enum result set_key(struct section *s, const struct key *keys, size_t count,
                           const struct statement *line, const char *what, const char *accepted)
{
	for (size_t i = 0; i < count; i++)
		if (bytes_equal(line->key, bytes_of_text(keys[i].name)))
			return keys[i].set(s, line);
	return why_set(s->why, INVALID, CONF ":%u: unknown key \"%.*s\" in a %s; accepted: %s",
	               line->line, BYTES_ARG(bytes_first(line->key, 60)), what, accepted);
}

static enum result parse_lines(struct section *s, struct syntax *x, const struct key *keys,
                               size_t count, const char *what, const char *accepted)
{
	for (;;) {
		struct statement line = {0};
		enum result r = syntax_next(x, &line, s->why);

		if (r != OK)
			return r;
		if (line.kind == STATEMENT_CLOSE)
			return OK;
		if (line.kind != STATEMENT_LINE)
			return why_set(s->why, INVALID, CONF ":%u: this %s has no } at its end",
			               s->line, what);
		r = set_key(s, keys, count, &line, what, accepted);
		if (r != OK)
			return r;
	}
}

/* The name is also a file's under keys/smarthost. */
static bool is_name(struct bytes name)
{
	if (name.len == 0 || name.len > 64 || name.ptr[0] == '.')
		return false;
	for (size_t i = 0; i < name.len; i++)
		if (bytes_find_char(BYTES("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
		                          "0123456789-_."),
		                    name.ptr[i]) == BYTES_NONE)
			return false;
	return true;
}

static enum result take_name(struct section *s, const struct statement *open, const char *what,
                             struct bytes *ret)
{
	if (open->count != 1 || !is_name(open->values[0]))
		return why_set(s->why, INVALID,
		               CONF ":%u: a %s has one name of letters, digits, - _ and .: "
		                    "%s NAME { ... }",
		               open->line, what, what);
	*ret = arena_copy(&s->config->arena, open->values[0]);
	return OK;
}

static enum result finish_route(struct section *s)
{
	struct config_smarthost *h = s->smarthost;
	struct ip ip;
	bool loopback = h->host.len > 0 && ip_parse(h->host, &ip) == OK && ip_is_loopback(&ip);

	if (h->host.len == 0)
		return broken(s, s->line, "this route lacks its host");
	if (!s->has_tls && h->user.len > 0 && !loopback)
		h->tls = CONFIG_SMARTHOST_MUST;
	if (h->user.len > 0 && h->tls == CONFIG_SMARTHOST_MAY && !loopback)
		return broken(s, s->line,
		              "this route has a user, so its password must not cross in the clear: "
		              "tls must, or tls implicit");
	if (!s->has_port)
		h->port = h->tls == CONFIG_SMARTHOST_IMPLICIT ? 465 : h->user.len ? 587 : 25;
	return OK;
}

enum result sending_parse_route(struct config *c, struct syntax *x, const struct statement *open,
                                struct why *why)
{
	struct section s = {.config = c, .why = why, .line = open->line};
	enum result r;

	if (!c->smarthosts)
		c->smarthosts = arena_get(&c->arena, SECTIONS * sizeof(*c->smarthosts));
	if (c->smarthost_count == SECTIONS)
		return broken(&s, open->line, "these are too many routes");
	s.smarthost = &c->smarthosts[c->smarthost_count];
	r = take_name(&s, open, "route", &s.smarthost->name);
	if (r == OK && config_smarthost_named(c, s.smarthost->name))
		return broken(&s, open->line, "there is a route of this name already");
	if (r == OK)
		r = parse_lines(&s, x, route_keys, sizeof(route_keys) / sizeof(*route_keys),
		                "route", "to, from, host, port, tls, user");
	if (r == OK)
		r = finish_route(&s);
	c->smarthost_count += r == OK;
	return r;
}

enum result sending_parse_source(struct config *c, struct syntax *x, const struct statement *open,
                                 struct why *why)
{
	struct section s = {.config = c, .why = why, .line = open->line};
	enum result r;

	if (!c->origins)
		c->origins = arena_get(&c->arena, SECTIONS * sizeof(*c->origins));
	if (c->origin_count == SECTIONS)
		return broken(&s, open->line, "these are too many sources");
	s.origin = &c->origins[c->origin_count];
	r = take_name(&s, open, "source", &s.origin->name);
	if (r == OK)
		r = parse_lines(&s, x, source_keys, sizeof(source_keys) / sizeof(*source_keys),
		                "source", "domain, address, helo");
	c->origin_count += r == OK;
	return r;
}

enum result sending_check(struct config *c, unsigned line, struct why *why)
{
	if (c->carry_smarthost.len == 0)
		return OK;
	for (size_t i = 0; i < c->smarthost_count; i++) {
		struct config_smarthost *h = &c->smarthosts[i];

		if (!bytes_equal(h->name, c->carry_smarthost))
			continue;
		h->fallback = h->to.count == 0 && h->from.count == 0;
		return OK;
	}
	return why_set(why, INVALID,
	               CONF ":%u: fallback-route: there is no section `route %.*s { ... }`", line,
	               BYTES_ARG(bytes_first(c->carry_smarthost, 64)));
}

/* ---- finding ---- */

static bool covers(struct bytes pattern, struct bytes domain)
{
	if (pattern.len > 0 && pattern.ptr[0] == '.')
		return domain.len > pattern.len && bytes_ends(domain, pattern);
	return bytes_equal(pattern, domain);
}

static struct bytes domain_of(struct bytes address)
{
	size_t at = bytes_find_last(address, '@');

	return at == BYTES_NONE ? (struct bytes){0} : bytes_skip(address, at + 1);
}

static bool any_covers(const struct config_words *list, struct bytes domain, struct bytes address)
{
	for (size_t i = 0; i < list->count; i++) {
		struct bytes word = list->items[i];

		if (bytes_find_char(word, '@') != BYTES_NONE ? bytes_equal_nocase(word, address)
		                                             : covers(word, domain))
			return true;
	}
	return false;
}

const struct config_smarthost *config_smarthost_for(const struct config *c, struct bytes sender,
                                                    struct bytes destination)
{
	for (size_t i = 0; i < c->smarthost_count; i++) {
		const struct config_smarthost *h = &c->smarthosts[i];

		if (h->fallback)
			continue;
		if ((h->to.count == 0 || any_covers(&h->to, destination, (struct bytes){0})) &&
		    (h->from.count == 0 || any_covers(&h->from, domain_of(sender), sender)))
			return h;
	}
	return NULL;
}

const struct config_smarthost *config_smarthost_named(const struct config *c, struct bytes name)
{
	for (size_t i = 0; i < c->smarthost_count; i++)
		if (bytes_equal(c->smarthosts[i].name, name))
			return &c->smarthosts[i];
	return NULL;
}

const struct config_origin *config_origin_for(const struct config *c, struct bytes sender)
{
	const struct config_origin *other = NULL;

	for (size_t i = 0; i < c->origin_count; i++) {
		const struct config_origin *o = &c->origins[i];

		if (o->domains.count > 0 && any_covers(&o->domains, domain_of(sender), sender))
			return o;
		if (o->domains.count == 0 && !other)
			other = o;
	}
	return other;
}

/* ---- as octets ---- */

static void encode_words(const struct config_words *list, struct buf *out)
{
	buf_u32(out, (uint32_t)list->count);
	for (size_t i = 0; i < list->count; i++)
		buf_block(out, list->items[i]);
}

void sending_encode(const struct config *c, struct buf *out)
{
	buf_u32(out, (uint32_t)c->smarthost_count);
	for (size_t i = 0; i < c->smarthost_count; i++) {
		const struct config_smarthost *h = &c->smarthosts[i];

		buf_block(out, h->name);
		encode_words(&h->to, out);
		encode_words(&h->from, out);
		buf_block(out, h->host);
		buf_u16(out, h->port);
		buf_u8(out, (uint8_t)h->tls);
		buf_block(out, h->user);
		buf_u8(out, h->fallback);
	}
	buf_u32(out, (uint32_t)c->origin_count);
	for (size_t i = 0; i < c->origin_count; i++) {
		const struct config_origin *o = &c->origins[i];

		buf_block(out, o->name);
		encode_words(&o->domains, out);
		buf_append(out, bytes_of(o->ip4.octets, 16));
		buf_append(out, bytes_of(o->ip6.octets, 16));
		buf_block(out, o->helo);
	}
}

static struct bytes decode_block(struct config *c, struct wire *w)
{
	return arena_copy(&c->arena, wire_block(w));
}

static uint32_t decode_count(struct wire *w, uint32_t max)
{
	uint32_t count = wire_u32(w);

	w->bad |= count > max;
	return w->bad ? 0 : count;
}

static void decode_words(struct config *c, struct wire *w, struct config_words *ret)
{
	uint32_t count = decode_count(w, WORDS);

	for (uint32_t i = 0; i < count && !w->bad; i++)
		word_add(c, ret, decode_block(c, w));
}

static void decode_ip(struct wire *w, struct ip *ret)
{
	struct bytes octets = wire_take(w, 16);

	if (octets.len == 16)
		memcpy(ret->octets, octets.ptr, 16);
}

static void decode_smarthost(struct config *c, struct wire *w, struct config_smarthost *h)
{
	h->name = decode_block(c, w);
	decode_words(c, w, &h->to);
	decode_words(c, w, &h->from);
	h->host = decode_block(c, w);
	h->port = wire_u16(w);
	h->tls = wire_u8(w);
	h->user = decode_block(c, w);
	h->fallback = wire_u8(w) != 0;
	w->bad |= h->tls > CONFIG_SMARTHOST_IMPLICIT;
}

void sending_decode(struct config *c, struct wire *w)
{
	uint32_t count = decode_count(w, SECTIONS);

	c->smarthosts = arena_get(&c->arena, (count + 1) * sizeof(*c->smarthosts));
	for (; c->smarthost_count < count && !w->bad; c->smarthost_count++)
		decode_smarthost(c, w, &c->smarthosts[c->smarthost_count]);
	count = decode_count(w, SECTIONS);
	c->origins = arena_get(&c->arena, (count + 1) * sizeof(*c->origins));
	for (; c->origin_count < count && !w->bad; c->origin_count++) {
		struct config_origin *o = &c->origins[c->origin_count];

		o->name = decode_block(c, w);
		decode_words(c, w, &o->domains);
		decode_ip(w, &o->ip4);
		decode_ip(w, &o->ip6);
		o->helo = decode_block(c, w);
	}
}
