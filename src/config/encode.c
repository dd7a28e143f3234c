/* A config as octets, for the sealed memory file that each role gets. Both ends are the same
 * executable, so there is no version but a check that it is so.
 *
 *	u32 magic, u32 number of options
 *	each option in the order of options.def, by type (config/option.c)
 *	u32 listeners: block name, u8 protocol, ips, u16 port, prefixes
 *	u32 certificates: block name, block pem
 *	u32 aliases: block key, u32 line, u32 targets: block
 *	u32 dot files: block account, block extension, block file, u32 lines: u8 kind, block value, u32 line
 *	u32 users: u32 uid, block name
 *	smarthosts and origins (config/sending.c), thresholds (config/judging.c), alarms (config/alarms.c), lists (config/lists.c)
 */
#include "base/memory.h"
#include "config/alarms.h"
#include "config/judging.h"
#include "config/lists.h"
#include "config/option.h"
#include "config/sending.h"
#include "config/tables.h"

enum { MAGIC = 0x484b4331 }; /* HKC1 */

static void encode_listeners(const struct config *c, struct buf *out)
{
	buf_u32(out, (uint32_t)c->listener_count);
	for (size_t i = 0; i < c->listener_count; i++) {
		const struct config_listener *l = &c->listeners[i];

		buf_block(out, l->name);
		buf_u8(out, (uint8_t)l->protocol);
		option_ips_encode(&l->addresses, out);
		buf_u16(out, l->port);
		option_prefixes_encode(&l->proxy_from, out);
	}
}

static void encode_certificates(const struct config *c, struct buf *out)
{
	buf_u32(out, (uint32_t)c->certificate_count);
	for (size_t i = 0; i < c->certificate_count; i++) {
		buf_block(out, c->certificates[i].name);
		buf_block(out, c->certificates[i].pem);
	}
}

static void encode_aliases(const struct config_tables *t, struct buf *out)
{
	buf_u32(out, (uint32_t)t->alias_count);
	for (size_t i = 0; i < t->alias_count; i++) {
		const struct alias *a = &t->aliases[i];

		buf_block(out, a->key);
		buf_u32(out, a->line);
		buf_u32(out, (uint32_t)a->count);
		for (size_t j = 0; j < a->count; j++)
			buf_block(out, a->targets[j]);
	}
}

static void encode_dots(const struct config_tables *t, struct buf *out)
{
	buf_u32(out, (uint32_t)t->dot_count);
	for (size_t i = 0; i < t->dot_count; i++) {
		const struct dot *d = &t->dots[i];

		buf_block(out, d->account);
		buf_block(out, d->extension);
		buf_block(out, d->file);
		buf_u32(out, (uint32_t)d->count);
		for (size_t j = 0; j < d->count; j++) {
			buf_u8(out, (uint8_t)d->lines[j].kind);
			buf_block(out, d->lines[j].value);
			buf_u32(out, d->lines[j].line);
		}
	}
}

static void encode_users(const struct config *c, struct buf *out)
{
	buf_u32(out, (uint32_t)c->user_count);
	for (size_t i = 0; i < c->user_count; i++) {
		buf_u32(out, c->users[i].uid);
		buf_block(out, c->users[i].name);
	}
}

void config_encode(const struct config *c, struct buf *out)
{
	buf_u32(out, MAGIC);
	buf_u32(out, (uint32_t)config_option_count());
	for (size_t i = 0; i < config_option_count(); i++)
		option_encode(c, i, out);
	encode_listeners(c, out);
	encode_certificates(c, out);
	encode_aliases(c->tables, out);
	encode_dots(c->tables, out);
	encode_users(c, out);
	sending_encode(c, out);
	judging_encode(c, out);
	alarms_encode(c, out);
	lists_encode(c, out);
}

/* ---- back ---- */

struct decoder {
	struct config *config;
	struct wire wire;
};

/* A count of things that take at least `least` octets each: never more than what is left can
 * hold. */
static uint32_t take_count(struct decoder *d, size_t least)
{
	uint32_t count = wire_u32(&d->wire);

	if (d->wire.bad || d->wire.rest.len / least < count) {
		d->wire.bad = true;
		return 0;
	}
	return count;
}

static void *room_for(struct decoder *d, size_t count, size_t size)
{
	return arena_get(&d->config->arena, (count + 1) * size);
}

static struct bytes take_block(struct decoder *d)
{
	return arena_copy(&d->config->arena, wire_block(&d->wire));
}

/* Canonical addresses and names are never empty nor longer than this. */
static struct bytes take_name(struct decoder *d)
{
	struct bytes name = take_block(d);

	if (name.len == 0 || name.len > LIMIT_ADDRESS)
		d->wire.bad = true;
	return name;
}

static void decode_listeners(struct decoder *d)
{
	struct config *c = d->config;
	uint32_t count = take_count(d, 15);

	c->listeners = room_for(d, count, sizeof(*c->listeners));
	for (uint32_t i = 0; i < count && !d->wire.bad; i++) {
		struct config_listener *l = &c->listeners[c->listener_count++];

		l->name = take_block(d);
		l->protocol = wire_u8(&d->wire);
		option_ips_decode(&l->addresses, &d->wire, &c->arena);
		l->port = wire_u16(&d->wire);
		option_prefixes_decode(&l->proxy_from, &d->wire, &c->arena);
		if (l->protocol >= CONFIG_PROTOCOL_COUNT)
			d->wire.bad = true;
	}
}

static void decode_certificates(struct decoder *d)
{
	struct config *c = d->config;
	uint32_t count = take_count(d, 8);

	c->certificates = room_for(d, count, sizeof(*c->certificates));
	for (uint32_t i = 0; i < count && !d->wire.bad; i++) {
		c->certificates[i].name = take_block(d);
		c->certificates[i].pem = take_block(d);
		c->certificate_count++;
	}
}

static void decode_aliases(struct decoder *d)
{
	struct config_tables *t = d->config->tables;
	uint32_t count = take_count(d, 12);

	t->aliases = room_for(d, count, sizeof(*t->aliases));
	for (uint32_t i = 0; i < count && !d->wire.bad; i++) {
		struct alias *a = &t->aliases[t->alias_count++];
		uint32_t targets;

		a->key = take_name(d);
		a->line = wire_u32(&d->wire);
		targets = take_count(d, 4);
		a->targets = room_for(d, targets, sizeof(*a->targets));
		for (uint32_t j = 0; j < targets && !d->wire.bad; j++)
			a->targets[a->count++] = take_name(d);
	}
}

static void decode_dot(struct decoder *d, struct dot *dot)
{
	uint32_t lines;

	dot->account = take_name(d);
	dot->extension = take_name(d);
	dot->file = take_block(d);
	lines = take_count(d, 9);
	dot->lines = room_for(d, lines, sizeof(*dot->lines));
	for (uint32_t j = 0; j < lines && !d->wire.bad; j++) {
		struct dot_line *line = &dot->lines[dot->count++];

		line->kind = wire_u8(&d->wire);
		line->value = take_block(d);
		line->line = wire_u32(&d->wire);
		if (line->kind > DOT_PROGRAM ||
		    (line->kind == DOT_FORWARD &&
		     (line->value.len == 0 || line->value.len > LIMIT_ADDRESS)))
			d->wire.bad = true;
	}
}

static void decode_dots(struct decoder *d)
{
	struct config_tables *t = d->config->tables;
	uint32_t count = take_count(d, 16);

	t->dots = room_for(d, count, sizeof(*t->dots));
	for (uint32_t i = 0; i < count && !d->wire.bad; i++)
		decode_dot(d, &t->dots[t->dot_count++]);
}

static void decode_users(struct decoder *d)
{
	struct config *c = d->config;
	uint32_t count = take_count(d, 8);

	c->users = room_for(d, count, sizeof(*c->users));
	for (uint32_t i = 0; i < count && !d->wire.bad; i++) {
		struct config_user *u = &c->users[c->user_count++];

		u->uid = wire_u32(&d->wire);
		u->name = take_name(d);
	}
}

static void decode_all(struct decoder *d)
{
	if (wire_u32(&d->wire) != MAGIC || wire_u32(&d->wire) != config_option_count())
		d->wire.bad = true;
	for (size_t i = 0; i < config_option_count() && !d->wire.bad; i++)
		option_decode(d->config, i, &d->wire);
	decode_listeners(d);
	decode_certificates(d);
	decode_aliases(d);
	decode_dots(d);
	decode_users(d);
	sending_decode(d->config, &d->wire);
	judging_decode(d->config, &d->wire);
	alarms_decode(d->config, &d->wire);
	lists_decode(d->config, &d->wire);
	if (d->wire.rest.len > 0)
		d->wire.bad = true;
	for (size_t i = 0; i < d->config->domains.count; i++)
		if (d->config->domains.items[i].len == 0 ||
		    d->config->domains.items[i].len > LIMIT_DOMAIN)
			d->wire.bad = true;
	if (d->config->address_separator.len > 1 || d->config->postmaster.len > LIMIT_ADDRESS)
		d->wire.bad = true;
}

enum result config_decode(struct bytes in, struct config **ret, struct why *why)
{
	struct config *c = NEW(struct config);
	struct decoder d = {.config = c, .wire = wire_of(in)};

	c->tables = arena_get(&c->arena, sizeof(*c->tables));
	decode_all(&d);
	if (d.wire.bad) {
		config_free(&c);
		return why_set(why, INVALID, "the sealed configuration does not fit this program");
	}
	tables_index_domains(c);
	tables_index(c);
	*ret = c;
	return OK;
}
