/* `alarm` sections of hikyaku.conf: parsing, finding, and their octets.
 *
 *	u32 sections: block name, u8 way, block target, block host, u16 port, u8 japanese
 */
#include "config/alarms.h"

#define CONF "hikyaku.conf"

enum { SECTIONS = 16, URL_MAX = 1024 };

static enum result broken(struct why *why, unsigned line, const char *reason)
{
	return why_set(why, INVALID, CONF ":%u: alarm: %s", line, reason);
}

static bool only_of(struct bytes word, struct bytes accepted)
{
	for (size_t i = 0; i < word.len; i++)
		if (bytes_find_char(accepted, word.ptr[i]) == BYTES_NONE)
			return false;
	return word.len > 0;
}

#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

/* ---- the URL of a webhook ---- */

/* "host", "host:8443", "192.0.2.1:8443"; IPv6 addresses in URLs are not taken. */
static bool split_host(struct bytes authority, struct config_alarm *a)
{
	size_t colon = bytes_find_char(authority, ':');
	uint64_t port = 0;

	a->host = bytes_first(authority, colon);
	if (colon != BYTES_NONE &&
	    (bytes_to_u64(bytes_skip(authority, colon + 1), 65535, &port) != OK || port == 0))
		return false;
	a->port = (uint16_t)port;
	return a->host.len <= LIMIT_DOMAIN && only_of(a->host, BYTES(LETTERS "-._"));
}

static bool is_url(struct bytes url, struct config_alarm *a)
{
	struct bytes rest = bytes_skip(url, 8);
	size_t end = 0;

	if (url.len > URL_MAX || !bytes_starts(url, BYTES("https://")))
		return false;
	while (end < rest.len && rest.ptr[end] != '/' && rest.ptr[end] != '?')
		end++;
	return split_host(bytes_first(rest, end), a) &&
	       only_of(url, BYTES(LETTERS "-._~:/?[]@!$&'()*+,;=%"));
}

/* ---- keys ---- */

static enum result set_way(struct config *c, struct config_alarm *a, enum config_alarm_way way,
                           const struct statement *line, struct why *why)
{
	struct bytes word = line->count == 1 ? line->values[0] : (struct bytes){0};

	if (a->way != CONFIG_ALARM_NONE)
		return broken(why, line->line, "takes one of webhook, mail, collect");
	a->way = way;
	if (way == CONFIG_ALARM_COLLECT)
		return line->count == 0 ? OK : broken(why, line->line, "collect takes no value");
	if (way == CONFIG_ALARM_MAIL) {
		if (bytes_find_char(word, '@') == BYTES_NONE ||
		    config_address_tidy(word, &c->arena, &a->target) != OK)
			return broken(why, line->line, "mail takes one address");
		return OK;
	}
	a->target = arena_copy(&c->arena, word);
	if (!is_url(a->target, a))
		return broken(why, line->line, "webhook takes one URL: https://HOST[:PORT]/...");
	return OK;
}

static enum result set_language(struct config_alarm *a, const struct statement *line,
                                struct why *why)
{
	a->japanese = line->count == 1 && bytes_equal(line->values[0], BYTES("ja"));
	if (line->count != 1 || (!a->japanese && !bytes_equal(line->values[0], BYTES("en"))))
		return broken(why, line->line, "language takes en or ja");
	return OK;
}

static enum result set_key(struct config *c, struct config_alarm *a, const struct statement *line,
                           struct why *why)
{
	static const struct {
		const char *key;
		enum config_alarm_way way;
	} ways[] = {{"webhook", CONFIG_ALARM_WEBHOOK},
	            {"mail", CONFIG_ALARM_MAIL},
	            {"collect", CONFIG_ALARM_COLLECT}};

	for (size_t i = 0; i < sizeof(ways) / sizeof(*ways); i++)
		if (bytes_equal(line->key, bytes_of_text(ways[i].key)))
			return set_way(c, a, ways[i].way, line, why);
	if (bytes_equal(line->key, BYTES("language")))
		return set_language(a, line, why);
	return why_set(why, INVALID,
	               CONF ":%u: unknown key \"%.*s\" in an alarm; accepted: webhook, mail, "
	                    "collect, language",
	               line->line, BYTES_ARG(bytes_first(line->key, 60)));
}

/* ---- the section ---- */

const struct config_alarm *config_alarm_named(const struct config *c, struct bytes name)
{
	for (size_t i = 0; i < c->alarm_count; i++)
		if (bytes_equal(c->alarms[i].name, name))
			return &c->alarms[i];
	return NULL;
}

/* The name is also a file's under keys/alarm. */
static bool is_name(struct bytes name)
{
	return name.len <= 64 && only_of(name, BYTES(LETTERS "-_.")) && name.ptr[0] != '.';
}

static enum result parse_lines(struct config *c, struct syntax *x, struct config_alarm *a,
                               unsigned line, struct why *why)
{
	for (;;) {
		struct statement s = {0};
		enum result r = syntax_next(x, &s, why);

		if (r != OK || s.kind == STATEMENT_CLOSE)
			return r;
		if (s.kind != STATEMENT_LINE)
			return broken(why, line, "it has no } at its end");
		r = set_key(c, a, &s, why);
		if (r != OK)
			return r;
	}
}

enum result alarms_parse(struct config *c, struct syntax *x, const struct statement *open,
                         struct why *why)
{
	struct config_alarm a = {0};
	enum result r;

	if (open->count != 1 || !is_name(open->values[0]))
		return broken(why, open->line,
		              "it has one name of letters, digits, - _ and .: alarm NAME { ... }");
	if (config_alarm_named(c, open->values[0]))
		return broken(why, open->line, "there is one of this name already");
	if (c->alarm_count == SECTIONS)
		return broken(why, open->line, "these are too many");
	a.name = arena_copy(&c->arena, open->values[0]);
	r = parse_lines(c, x, &a, open->line, why);
	if (r == OK && a.way == CONFIG_ALARM_NONE)
		return broken(why, open->line, "it takes one of webhook, mail, collect");
	if (r != OK)
		return r;
	if (!c->alarms)
		c->alarms = arena_get(&c->arena, SECTIONS * sizeof(*c->alarms));
	c->alarms[c->alarm_count++] = a;
	return OK;
}

/* ---- octets ---- */

void alarms_encode(const struct config *c, struct buf *out)
{
	buf_u32(out, (uint32_t)c->alarm_count);
	for (size_t i = 0; i < c->alarm_count; i++) {
		const struct config_alarm *a = &c->alarms[i];

		buf_block(out, a->name);
		buf_u8(out, (uint8_t)a->way);
		buf_block(out, a->target);
		buf_block(out, a->host);
		buf_u16(out, a->port);
		buf_u8(out, a->japanese);
	}
}

void alarms_decode(struct config *c, struct wire *w)
{
	uint32_t count = wire_u32(w);

	w->bad |= count > SECTIONS;
	c->alarms = arena_get(&c->arena, SECTIONS * sizeof(*c->alarms));
	for (; !w->bad && c->alarm_count < count; c->alarm_count++) {
		struct config_alarm *a = &c->alarms[c->alarm_count];

		a->name = arena_copy(&c->arena, wire_block(w));
		a->way = wire_u8(w);
		a->target = arena_copy(&c->arena, wire_block(w));
		a->host = arena_copy(&c->arena, wire_block(w));
		a->port = wire_u16(w);
		a->japanese = wire_u8(w) != 0;
		w->bad |= a->way > CONFIG_ALARM_COLLECT;
	}
}
