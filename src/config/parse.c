/* Files under etc/ become a config: hikyaku.conf first, then certificates, virtual and dot
 * files, which need to know the domains. */
#include "base/memory.h"
#include "base/text.h"
#include "config/alarms.h"
#include "config/judging.h"
#include "config/lists.h"
#include "config/option.h"
#include "config/resolver.h"
#include "config/sending.h"
#include "config/syntax.h"
#include "config/tables.h"

#define CONF "hikyaku.conf"

struct parser {
	struct config *config;
	struct syntax syntax;
	struct why *why;
	unsigned *seen; /* per option: the line that set it last */
	size_t listener_room;
};

/* ---- listeners ---- */

struct protocol {
	const char *name;
	uint16_t port;
	bool tls;
};

static const struct protocol protocols[CONFIG_PROTOCOL_COUNT] = {
        [CONFIG_SMTP] = {"smtp", 25, false},
        [CONFIG_IMAP] = {"imap", 143, false},
        [CONFIG_IMAPS] = {"imaps", 993, true},
        [CONFIG_POP3] = {"pop3", 110, false},
        [CONFIG_POP3S] = {"pop3s", 995, true},
        [CONFIG_SUBMISSION] = {"submission", 587, false},
        [CONFIG_SUBMISSIONS] = {"submissions", 465, true},
};

bool config_protocol_is_tls(enum config_protocol p)
{
	return protocols[p].tls;
}

const char *config_protocol_name(enum config_protocol p)
{
	return protocols[p].name;
}

static enum result broken(struct parser *p, unsigned line, const char *reason)
{
	return why_set(p->why, INVALID, CONF ":%u: %s", line, reason);
}

static void listener_add(struct parser *p, struct config_listener l)
{
	struct config *c = p->config;

	if (c->listener_count == p->listener_room) {
		size_t room = p->listener_room ? p->listener_room * 2 : 8;
		struct config_listener *more = arena_get(&c->arena, room * sizeof(*more));

		if (c->listener_count > 0)
			memcpy(more, c->listeners, c->listener_count * sizeof(*more));
		c->listeners = more;
		p->listener_room = room;
	}
	c->listeners[c->listener_count++] = l;
}

static enum result set_protocol(struct parser *p, const struct statement *s,
                                struct config_listener *l)
{
	for (int i = 0; s->count == 1 && i < CONFIG_PROTOCOL_COUNT; i++) {
		if (bytes_equal(s->values[0], bytes_of_text(protocols[i].name))) {
			l->protocol = (enum config_protocol)i;
			return OK;
		}
	}
	return broken(
	        p, s->line,
	        "protocol takes one of smtp, imap, imaps, pop3, pop3s, submission, submissions");
}

static enum result set_port(struct parser *p, const struct statement *s, struct config_listener *l)
{
	uint64_t port;

	if (s->count != 1 || bytes_to_u64(s->values[0], 65535, &port) != OK || port == 0)
		return broken(p, s->line, "port takes a number from 1 to 65535");
	l->port = (uint16_t)port;
	return OK;
}

static enum result set_list(struct parser *p, const struct statement *s, struct config_listener *l)
{
	bool addresses = bytes_equal(s->key, BYTES("address"));
	struct arena *arena = &p->config->arena;
	enum result r = OK;
	struct why why;

	if (s->count == 0)
		return broken(p, s->line, "at least one address or network is missing");
	for (size_t i = 0; i < s->count && r == OK; i++)
		r = addresses ? option_ips_add(&l->addresses, s->values[i], arena, &why)
		              : option_prefixes_add(&l->proxy_from, s->values[i], arena, &why);
	return r == OK ? OK : broken(p, s->line, why.text);
}

static enum result listener_line(struct parser *p, const struct statement *s,
                                 struct config_listener *l)
{
	if (bytes_equal(s->key, BYTES("protocol")))
		return set_protocol(p, s, l);
	if (bytes_equal(s->key, BYTES("port")))
		return set_port(p, s, l);
	if (bytes_equal(s->key, BYTES("address")) || bytes_equal(s->key, BYTES("proxy-from")))
		return set_list(p, s, l);
	return why_set(p->why, INVALID,
	               CONF ":%u: unknown key \"%.*s\" in a listener; accepted: protocol, address, "
	                    "port, proxy-from",
	               s->line, BYTES_ARG(bytes_first(s->key, 60)));
}

static enum result parse_listener(struct parser *p, const struct statement *open)
{
	struct config_listener l = {.protocol = CONFIG_PROTOCOL_COUNT};
	struct statement s = {0};
	enum result r;

	if (open->count > 1)
		return broken(p, open->line, "a listener has one name: listener NAME { ... }");
	if (open->count == 1)
		l.name = arena_copy(&p->config->arena, open->values[0]);
	for (;;) {
		r = syntax_next(&p->syntax, &s, p->why);
		if (r != OK)
			return r;
		if (s.kind == STATEMENT_CLOSE)
			break;
		if (s.kind != STATEMENT_LINE)
			return broken(p, open->line, "this listener has no } at its end");
		r = listener_line(p, &s, &l);
		if (r != OK)
			return r;
	}
	if (l.protocol == CONFIG_PROTOCOL_COUNT)
		return broken(p, open->line,
		              "this listener lacks its protocol: smtp, imap, imaps, pop3, pop3s, "
		              "submission or "
		              "submissions");
	listener_add(p, l);
	return OK;
}

/* What was left open: standard ports, the addresses of `listen`. */
static void finish_listeners(struct parser *p)
{
	struct config *c = p->config;

	if (c->listener_count == 0)
		for (int i = 0; i < CONFIG_PROTOCOL_COUNT; i++)
			listener_add(p, (struct config_listener){
			                        .name = bytes_of_text(protocols[i].name),
			                        .protocol = (enum config_protocol)i});
	for (size_t i = 0; i < c->listener_count; i++) {
		struct config_listener *l = &c->listeners[i];

		if (l->port == 0)
			l->port = (uint16_t)(protocols[l->protocol].port + c->ports);
		if (l->addresses.count == 0)
			l->addresses = c->listen;
		if (l->name.len == 0)
			l->name = bytes_of_text(protocols[l->protocol].name);
	}
}

/* ---- options ---- */

static enum result unknown_key(struct parser *p, struct bytes section, const struct statement *s)
{
	const char *nearest = option_nearest_key(section, s->key);
	const char *other = section.len == 0 ? option_nearest_section(s->key) : NULL;
	struct bytes key = bytes_first(s->key, 60);

	if (section.len == 0 && option_section_known(s->key))
		return why_set(p->why, INVALID,
		               CONF ":%u: \"%.*s\" is a section: write %.*s { ... }", s->line,
		               BYTES_ARG(key), BYTES_ARG(key));
	return why_set(p->why, INVALID, CONF ":%u: unknown key \"%.*s\"%s%.*s%s%s%s", s->line,
	               BYTES_ARG(key), section.len ? " in " : "", BYTES_ARG(section),
	               nearest || other ? "; the nearest known is \""
	                                : "; `hikyaku config` lists all",
	               nearest ? nearest
	               : other ? other
	                       : "",
	               nearest || other ? "\"" : "");
}

static enum result parse_option(struct parser *p, struct bytes section, const struct statement *s)
{
	size_t nth = option_find(section, s->key);
	struct why why;

	if (nth == BYTES_NONE)
		return unknown_key(p, section, s);
	if (p->seen[nth] && !option_is_list(nth))
		return why_set(p->why, INVALID, CONF ":%u: %.*s is set in line %u already", s->line,
		               BYTES_ARG(bytes_first(s->key, 60)), p->seen[nth]);
	if (option_set(p->config, nth, s->values, s->count, p->seen[nth] > 0, &why) != OK)
		return broken(p, s->line, why.text);
	p->seen[nth] = s->line;
	return OK;
}

static enum result parse_section(struct parser *p, const struct statement *open)
{
	const char *nearest = option_nearest_section(open->key);
	struct statement s = {0};
	enum result r;

	if (!option_section_known(open->key) || open->key.len == 0)
		return why_set(p->why, INVALID, CONF ":%u: unknown section \"%.*s\"%s%s%s",
		               open->line, BYTES_ARG(bytes_first(open->key, 60)),
		               nearest ? "; the nearest known is \""
		                       : "; `hikyaku config` lists all",
		               nearest ? nearest : "", nearest ? "\"" : "");
	if (open->count > 0)
		return why_set(p->why, INVALID, CONF ":%u: section %.*s takes no name", open->line,
		               BYTES_ARG(open->key));
	for (;;) {
		r = syntax_next(&p->syntax, &s, p->why);
		if (r != OK)
			return r;
		if (s.kind == STATEMENT_CLOSE)
			return OK;
		if (s.kind != STATEMENT_LINE)
			return why_set(p->why, INVALID,
			               CONF ":%u: section %.*s has no } at its end", open->line,
			               BYTES_ARG(open->key));
		r = parse_option(p, open->key, &s);
		if (r != OK)
			return r;
	}
}

static enum result parse_statements(struct parser *p)
{
	for (;;) {
		struct statement s = {0};
		enum result r = syntax_next(&p->syntax, &s, p->why);

		if (r != OK || s.kind == STATEMENT_END)
			return r;
		if (s.kind == STATEMENT_CLOSE)
			return broken(p, s.line, "} without a section before it");
		if (s.kind == STATEMENT_LINE)
			r = parse_option(p, (struct bytes){0}, &s);
		else if (bytes_equal(s.key, BYTES("listener")))
			r = parse_listener(p, &s);
		else if (bytes_equal(s.key, BYTES("route")))
			r = sending_parse_route(p->config, &p->syntax, &s, p->why);
		else if (bytes_equal(s.key, BYTES("source")))
			r = sending_parse_source(p->config, &p->syntax, &s, p->why);
		else if (bytes_equal(s.key, BYTES("judge-for")))
			r = judging_parse(p->config, &p->syntax, &s, p->why);
		else if (bytes_equal(s.key, BYTES("alarm")))
			r = alarms_parse(p->config, &p->syntax, &s, p->why);
		else if (bytes_equal(s.key, BYTES("list")))
			r = lists_parse(p->config, &p->syntax, &s, p->why);
		else
			r = parse_section(p, &s);
		if (r != OK)
			return r;
	}
}

/* ---- what the values must be besides ---- */

static unsigned line_of(const struct parser *p, const char *section, const char *key)
{
	return p->seen[option_find(bytes_of_text(section), bytes_of_text(key))];
}

static enum result check_domains(struct parser *p)
{
	struct config *c = p->config;
	size_t kept = 0;

	for (size_t i = 0; i < c->domains.count; i++) {
		struct bytes domain = c->domains.items[i];

		if (domain.len == 0 || domain.ptr[0] == '[' ||
		    config_domain_canonical(domain, &c->arena, &domain) != OK)
			return why_set(p->why, INVALID,
			               CONF ":%u: domain: \"%.*s\" is no domain name",
			               line_of(p, "", "domain"),
			               BYTES_ARG(bytes_first(c->domains.items[i], 80)));
		if (map_get(&c->tables->domains, domain))
			continue;
		map_put(&c->tables->domains, domain, c->tables);
		c->domains.items[kept++] = domain;
	}
	c->domains.count = kept;
	return OK;
}

static enum result check_hostname(struct parser *p)
{
	struct config *c = p->config;

	if (c->hostname.len == 0)
		return why_set(p->why, INVALID,
		               CONF
		               ": hostname is missing: the name by which others reach this host, "
		               "such as `hostname mx.example.test`");
	if (c->hostname.ptr[0] == '[' ||
	    config_domain_canonical(c->hostname, &c->arena, &c->hostname) != OK)
		return why_set(p->why, INVALID, CONF ":%u: hostname: \"%.*s\" is no host name",
		               line_of(p, "", "hostname"), BYTES_ARG(bytes_first(c->hostname, 80)));
	return OK;
}

static enum result check_postmaster(struct parser *p)
{
	struct config *c = p->config;
	struct why why;

	if (c->postmaster.len == 0)
		return OK;
	if (tables_parse_target(c, c->postmaster, &c->arena, &c->postmaster, &why) != OK)
		return why_set(p->why, INVALID, CONF ":%u: postmaster: %s",
		               line_of(p, "", "postmaster"), why.text);
	return OK;
}

static enum result check_separator(struct parser *p)
{
	struct bytes s = p->config->address_separator;

	if (s.len == 0 || bytes_find_char(BYTES("+-_.=~#"), s.ptr[0]) != BYTES_NONE)
		return OK;
	return why_set(p->why, INVALID, CONF ":%u: separator takes one of + - _ . = ~ #",
	               line_of(p, "address", "separator"));
}

static enum result check_queue(struct parser *p)
{
	if (p->config->queue_retry_min_ms <= p->config->queue_retry_max_ms)
		return OK;
	return why_set(p->why, INVALID, CONF ": queue: retry-first is longer than retry-last");
}

static enum result check_sending(struct parser *p)
{
	return sending_check(p->config, line_of(p, "carry", "fallback-route"), p->why);
}

static enum result check_judging(struct parser *p)
{
	return judging_check(p->config, line_of(p, "judge", "refuse"), p->why);
}

static enum result check_resolver(struct parser *p)
{
	const char *key;
	struct why why;

	if (resolver_check(p->config, &key, &why) == OK)
		return OK;
	return why_set(p->why, INVALID, CONF ":%u: resolver: %s", line_of(p, "resolver", key),
	               why.text);
}

typedef enum result check_function(struct parser *p);

static check_function *const checks[] = {check_domains,   check_hostname, check_postmaster,
                                         check_separator, check_queue,    check_sending,
                                         check_resolver,  check_judging};

static enum result parse_conf(struct parser *p, struct bytes text)
{
	enum result r;
	unsigned line = 0;

	if (!syntax_is_text(text, &line))
		return broken(p, line, "this is no UTF-8 text");
	p->syntax = syntax_of(CONF, text, &p->config->arena);
	r = parse_statements(p);
	for (size_t i = 0; r == OK && i < sizeof(checks) / sizeof(checks[0]); i++)
		r = checks[i](p);
	if (r == OK)
		finish_listeners(p);
	return r;
}

/* ---- the other files ---- */

static bool is_dot_file(struct bytes name)
{
	size_t slash;

	if (!bytes_starts(name, BYTES("dot/")))
		return false;
	name = bytes_skip(name, 4);
	slash = bytes_find_char(name, '/');
	if (slash == BYTES_NONE || slash == 0 || slash + 1 == name.len)
		return false;
	return bytes_find_char(bytes_skip(name, slash + 1), '/') == BYTES_NONE;
}

static bool is_certificate(struct bytes name)
{
	return bytes_starts(name, BYTES("tls/")) && bytes_ends(name, BYTES(".pem")) &&
	       name.len > 8 && bytes_find_char(bytes_skip(name, 4), '/') == BYTES_NONE;
}

/* Hidden files, and what editors leave behind. */
static bool is_leftover(struct bytes name)
{
	if (name.len == 0 || name.ptr[0] == '.' || bytes_find(name, BYTES("/.")) != BYTES_NONE)
		return true;
	return bytes_ends(name, BYTES("~")) || bytes_ends(name, BYTES(".bak")) ||
	       bytes_ends(name, BYTES(".tmp")) || bytes_ends(name, BYTES("#"));
}

bool config_source_wanted(struct bytes name)
{
	if (is_leftover(name))
		return false;
	return bytes_equal(name, BYTES(CONF)) || bytes_equal(name, BYTES("virtual")) ||
	       is_dot_file(name) || is_certificate(name);
}

static const struct config_source *source_named(const struct config_source *sources, size_t count,
                                                struct bytes name)
{
	for (size_t i = 0; i < count; i++)
		if (bytes_equal(sources[i].name, name))
			return &sources[i];
	return NULL;
}

static struct bytes certificate_name(struct bytes file)
{
	return bytes_of(file.ptr + 4, file.len - 8);
}

static void certificate_add(struct config *c, const struct config_source *s)
{
	c->certificates[c->certificate_count++] = (struct config_certificate){
	        .name = arena_copy(&c->arena, certificate_name(s->name)),
	        .pem = arena_copy(&c->arena, s->text)};
}

/* All there are, by name, so that the order does not depend on the directory's. */
static void all_certificates(struct config *c, const struct config_source *sources, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		size_t at;

		if (!config_source_wanted(sources[i].name) || !is_certificate(sources[i].name))
			continue;
		certificate_add(c, &sources[i]);
		for (at = c->certificate_count - 1; at > 0; at--) {
			struct config_certificate *here = &c->certificates[at], swap = *here;

			if (bytes_compare(here[-1].name, here[0].name) <= 0)
				break;
			here[0] = here[-1];
			here[-1] = swap;
		}
	}
}

static enum result parse_certificates(struct parser *p, const struct config_source *sources,
                                      size_t count)
{
	struct config *c = p->config;

	c->certificates = arena_get(&c->arena, (count + c->tls_certificates.count + 1) *
	                                               sizeof(*c->certificates));
	if (c->tls_certificates.count == 0) {
		all_certificates(c, sources, count);
		return OK;
	}
	for (size_t i = 0; i < c->tls_certificates.count; i++) {
		struct bytes name = c->tls_certificates.items[i];
		const struct config_source *s = source_named(
		        sources, count, arena_printf(&c->arena, "tls/%.*s.pem", BYTES_ARG(name)));

		if (!s)
			return why_set(p->why, INVALID,
			               CONF ":%u: certificate %.*s: there is no etc/tls/%.*s.pem",
			               line_of(p, "tls", "certificate"),
			               BYTES_ARG(bytes_first(name, 60)),
			               BYTES_ARG(bytes_first(name, 60)));
		certificate_add(c, s);
	}
	return OK;
}

static enum result parse_dots(struct parser *p, const struct config_source *sources, size_t count)
{
	struct config *c = p->config;
	struct config_tables *t = c->tables;

	t->dots = arena_get(&c->arena, (count + 1) * sizeof(*t->dots));
	for (size_t i = 0; i < count; i++) {
		struct bytes name = sources[i].name;
		enum result r;

		if (!is_dot_file(name) || !config_source_wanted(name))
			continue;
		r = dot_parse(c, name, sources[i].text, &t->dots[t->dot_count], p->why);
		if (r != OK)
			return r;
		t->dot_count++;
	}
	return OK;
}

static enum result check_dots_once(struct parser *p)
{
	const struct config_tables *t = p->config->tables;

	for (size_t i = 0; i < t->dot_count; i++) {
		const struct dot *d = &t->dots[i];
		const struct dot *first = tables_dot_file(p->config, d->account, d->extension);

		if (first != d)
			return why_set(p->why, INVALID, "%.*s: is for the same mail as %.*s",
			               BYTES_ARG(bytes_first(d->file, 110)),
			               BYTES_ARG(bytes_first(first->file, 110)));
	}
	return OK;
}

static enum result parse_all(struct parser *p, const struct config_source *sources, size_t count)
{
	const struct config_source *conf = source_named(sources, count, BYTES(CONF));
	const struct config_source *aliases = source_named(sources, count, BYTES("virtual"));
	enum result r;

	if (!conf)
		return why_set(p->why, INVALID, CONF ": there is no such file in etc/");
	r = parse_conf(p, conf->text);
	if (r == OK)
		r = parse_certificates(p, sources, count);
	if (r == OK && aliases)
		r = virtual_parse(p->config, aliases->text, p->why);
	if (r == OK)
		r = parse_dots(p, sources, count);
	if (r != OK)
		return r;
	tables_index(p->config);
	r = check_dots_once(p);
	return r == OK ? tables_check_loops(p->config, p->why) : r;
}

enum result config_parse(const struct config_source *sources, size_t count, struct config **ret,
                         struct why *why)
{
	struct config *c = NEW(struct config);
	struct parser p = {.config = c, .why = why};
	enum result r;

	c->tables = arena_get(&c->arena, sizeof(*c->tables));
	p.seen = arena_get(&c->arena, config_option_count() * sizeof(*p.seen));
	option_defaults(c);
	r = parse_all(&p, sources, count);
	if (r == OK)
		*ret = c;
	else
		config_free(&c);
	return r;
}

void config_free(struct config **c)
{
	if (!*c)
		return;
	if ((*c)->tables) {
		map_done(&(*c)->tables->alias_by_key);
		map_done(&(*c)->tables->dot_by_name);
		map_done(&(*c)->tables->domains);
	}
	arena_done(&(*c)->arena);
	memory_free(*c);
	*c = NULL;
}
