/* Circles among aliases and dot files, found before the configuration is taken. An account with
 * a dot file is taken to exist; a catch-all is followed only where it maps a domain on a domain,
 * since otherwise it depends on which accounts there are (then config_expand finds the circle). */
#include "config/tables.h"

enum { GREY = 1, BLACK = 2 }; /* BLACK + height */

struct check {
	const struct config *config;
	struct map marks;
	struct arena arena;
	struct why *why;
};

/* Height of what hangs below an address, or -1. */
static int walk(struct check *k, struct bytes address, struct bytes where, unsigned depth);

static int higher(int height, int below)
{
	if (height < 0 || below < 0)
		return -1;
	return height > below + 1 ? height : below + 1;
}

static int walk_alias(struct check *k, const struct alias *a, const struct name *n, bool ext,
                      unsigned depth)
{
	struct bytes where = arena_printf(&k->arena, "virtual:%u", (unsigned)a->line);
	int height = 0;

	for (size_t i = 0; i < a->count && height >= 0; i++) {
		char out[NAME_ROOM];
		struct bytes to = bytes_of(out,
		                           tables_target(k->config, a->targets[i], n, ext, out));

		if (to.len > 0 && !bytes_equal(to, n->address))
			height = higher(height,
			                walk(k, arena_copy(&k->arena, to), where, depth + 1));
	}
	return height;
}

static int walk_dot(struct check *k, const struct dot *d, unsigned depth)
{
	int height = 0;

	for (size_t i = 0; i < d->count && height >= 0; i++) {
		struct bytes where = arena_printf(&k->arena, "%.*s:%u", BYTES_ARG(d->file),
		                                  (unsigned)d->lines[i].line);

		if (d->lines[i].kind == DOT_FORWARD)
			height = higher(height, walk(k, d->lines[i].value, where, depth + 1));
	}
	return height;
}

static const struct dot *dot_of(const struct config *c, const struct name *n, struct arena *arena)
{
	struct bytes base;
	const struct dot *d = tables_dot(c, n->address, false, (struct bytes){0});

	if (d || !n->has_ext)
		return d;
	base = arena_printf(arena, "%.*s@%.*s", BYTES_ARG(n->base), BYTES_ARG(n->domain));
	return tables_dot(c, base, true, n->ext);
}

static int walk_local(struct check *k, const struct name *n, unsigned depth)
{
	const struct config *c = k->config;
	bool ext;
	const struct alias *a = tables_alias(c, n, &ext);
	const struct dot *d;

	if (a)
		return walk_alias(k, a, n, ext, depth);
	d = dot_of(c, n, &k->arena);
	if (d)
		return walk_dot(k, d, depth);
	a = tables_catch_all(c, n->domain);
	if (a && a->count == 1 && a->targets[0].ptr[0] == '@')
		return walk_alias(k, a, n, false, depth);
	return 0;
}

static int too_deep(struct check *k, struct bytes where)
{
	(void)why_set(k->why, INVALID, "%.*s: aliases more than %d deep",
	              BYTES_ARG(bytes_first(where, 150)), CONFIG_DEPTH);
	return -1;
}

static int walk(struct check *k, struct bytes address, struct bytes where, unsigned depth)
{
	struct name n = name_of(k->config, address);
	uintptr_t mark = (uintptr_t)map_get(&k->marks, address);
	int height;

	if (!config_domain_is_ours(k->config, n.domain))
		return 0;
	if (mark == GREY) {
		(void)why_set(k->why, INVALID, "%.*s: leads in a circle: back to %.*s",
		              BYTES_ARG(bytes_first(where, 100)),
		              BYTES_ARG(bytes_first(address, 100)));
		return -1;
	}
	if (mark >= BLACK)
		return depth + (mark - BLACK) > CONFIG_DEPTH ? too_deep(k, where)
		                                             : (int)(mark - BLACK);
	if (depth > CONFIG_DEPTH)
		return too_deep(k, where);
	map_put(&k->marks, address, (void *)(uintptr_t)GREY);
	height = walk_local(k, &n, depth);
	if (height >= 0)
		map_put(&k->marks, address, (void *)(uintptr_t)(BLACK + (unsigned)height));
	return height;
}

/* "@domain" stands for a user whom nothing else names. */
static struct bytes alias_start(struct check *k, const struct alias *a)
{
	const struct config *c = k->config;

	if (a->key.ptr[0] == '@')
		return arena_printf(&k->arena, "\x01%.*s", BYTES_ARG(a->key));
	if (bytes_find_char(a->key, '@') == BYTES_NONE && c->domains.count > 0)
		return arena_printf(&k->arena, "%.*s@%.*s", BYTES_ARG(a->key),
		                    BYTES_ARG(c->domains.items[0]));
	return a->key;
}

static struct bytes dot_start(struct check *k, const struct dot *d)
{
	struct name n = name_of(k->config, d->account);

	if (bytes_equal(d->extension, BYTES("default")))
		return d->account;
	return arena_printf(&k->arena, "%.*s%.*s%.*s@%.*s", BYTES_ARG(n.local),
	                    BYTES_ARG(k->config->address_separator), BYTES_ARG(d->extension),
	                    BYTES_ARG(n.domain));
}

enum result tables_check_loops(const struct config *c, struct why *why)
{
	struct check k = {.config = c, .why = why};
	const struct config_tables *t = c->tables;
	int height = 0;

	for (size_t i = 0; i < t->alias_count && height >= 0; i++)
		height = walk(&k, alias_start(&k, &t->aliases[i]), BYTES("virtual"), 0);
	for (size_t i = 0; i < t->dot_count && height >= 0; i++)
		height = walk(&k, dot_start(&k, &t->dots[i]), t->dots[i].file, 0);
	map_done(&k.marks);
	arena_done(&k.arena);
	return height < 0 ? INVALID : OK;
}
