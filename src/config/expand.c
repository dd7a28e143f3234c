/* All that a recipient ends in. The order is config_route's; it is a walk over the graph of
 * aliases and dot files, depth first, that meets each address once. */
#include "config/tables.h"

enum mark { MARK_NONE, MARK_PATH, MARK_DONE };
enum known { KNOWN_NO, KNOWN_YES, KNOWN_MISSING };

struct walk {
	const struct config *config;
	const struct config_fact *facts;
	size_t fact_count;
	struct arena *arena;
	struct config_expansion *ret;
	struct why *why;
	struct map marks;   /* address -> enum mark */
	struct map leaves;  /* kind, address and mailbox -> itself: each stands once */
	struct map missing; /* address -> itself */
	size_t leaf_room, missing_room;
	bool postmaster; /* the recipient is postmaster or abuse */
};

static struct bytes at_home(struct walk *w, struct bytes address)
{
	struct name n = name_of(w->config, address);
	const struct config *c = w->config;

	if (!tables_is_host(c, n.domain) ||
	    n.local.len + 1 + c->domains.items[0].len > LIMIT_ADDRESS)
		return address;
	return arena_printf(w->arena, "%.*s@%.*s", BYTES_ARG(n.local),
	                    BYTES_ARG(c->domains.items[0]));
}

static enum result visit(struct walk *w, struct bytes address, struct bytes from, unsigned depth);

static void *grown(struct walk *w, void *items, size_t count, size_t size, size_t *room)
{
	void *more;

	if (count < *room)
		return items;
	*room = *room ? *room * 2 : 8;
	more = arena_get(w->arena, *room * size);
	if (count > 0)
		memcpy(more, items, count * size);
	return more;
}

static enum result leaf(struct walk *w, enum config_leaf_kind kind, struct bytes address,
                        struct bytes mailbox, struct bytes from)
{
	struct bytes key = arena_printf(w->arena, "%d %.*s %.*s", kind, BYTES_ARG(address),
	                                BYTES_ARG(mailbox));
	struct config_expansion *x = w->ret;

	if (map_put(&w->leaves, key, w))
		return OK;
	if (x->leaf_count == CONFIG_TARGETS)
		return why_set(w->why, INVALID, "%.*s: leads to more than %d places",
		               BYTES_ARG(from), CONFIG_TARGETS);
	x->leaves = grown(w, x->leaves, x->leaf_count, sizeof(*x->leaves), &w->leaf_room);
	x->leaves[x->leaf_count++] = (struct config_leaf){
	        .kind = kind, .address = address, .mailbox = mailbox, .from = from};
	return OK;
}

static enum known fact(struct walk *w, struct bytes address)
{
	struct config_expansion *x = w->ret;

	for (size_t i = 0; i < w->fact_count; i++)
		if (bytes_equal(w->facts[i].address, address))
			return w->facts[i].exists ? KNOWN_YES : KNOWN_NO;
	if (map_put(&w->missing, address, w))
		return KNOWN_MISSING;
	x->missing = grown(w, x->missing, x->missing_count, sizeof(*x->missing), &w->missing_room);
	x->missing[x->missing_count++] = arena_copy(w->arena, address);
	return KNOWN_MISSING;
}

/* ---- an account and its dot file ---- */

static enum result dot_line(struct walk *w, const struct dot *d, const struct dot_line *line,
                            unsigned depth)
{
	struct bytes from = arena_printf(w->arena, "%.*s:%u", BYTES_ARG(d->file),
	                                 (unsigned)line->line);

	switch (line->kind) {
	case DOT_PLACE: return leaf(w, CONFIG_LEAF_PLACE, d->account, line->value, from);
	case DOT_FORWARD: return visit(w, line->value, from, depth + 1);
	case DOT_PROGRAM: return leaf(w, CONFIG_LEAF_HOLD, d->account, (struct bytes){0}, from);
	}
	return OK;
}

static enum result account(struct walk *w, struct bytes address, bool has_ext, struct bytes ext,
                           struct bytes from, unsigned depth)
{
	const struct dot *d = tables_dot(w->config, address, has_ext, ext);
	enum result r = OK;

	if (!d || d->count == 0)
		return leaf(w, CONFIG_LEAF_PLACE, arena_copy(w->arena, address), BYTES("INBOX"),
		            from);
	for (size_t i = 0; i < d->count && r == OK; i++)
		r = dot_line(w, d, &d->lines[i], depth);
	return r;
}

/* ---- aliases ---- */

static struct bytes target_address(struct walk *w, const struct alias *a, size_t nth,
                                   const struct name *n, bool ext)
{
	char out[NAME_ROOM];
	size_t len = tables_target(w->config, a->targets[nth], n, ext, out);

	return arena_copy(w->arena, bytes_of(out, len));
}

static struct bytes alias_place(struct walk *w, const struct alias *a)
{
	return arena_printf(w->arena, "virtual:%u", (unsigned)a->line);
}

/* *ret_self: the address itself is among the targets. */
static enum result alias(struct walk *w, const struct alias *a, const struct name *n, bool ext,
                         unsigned depth, bool *ret_self)
{
	struct bytes from = alias_place(w, a);
	enum result r = OK;

	for (size_t i = 0; i < a->count && r == OK; i++) {
		struct bytes target = target_address(w, a, i, n, ext);

		if (target.len == 0)
			return why_set(w->why, INVALID, "%.*s: an address would be longer than %d",
			               BYTES_ARG(from), LIMIT_ADDRESS);
		if (bytes_equal(target, n->address))
			*ret_self = true;
		else
			r = visit(w, target, from, depth + 1);
	}
	return r;
}

/* Nobody of that name: the catch-all, else postmaster's rule, else unknown. */
static enum result nobody(struct walk *w, const struct name *n, struct bytes from, unsigned depth,
                          bool catch_all)
{
	const struct alias *a = catch_all ? tables_catch_all(w->config, n->domain) : NULL;
	struct bytes option = w->config->postmaster;
	bool self = false;
	enum result r;

	if (a) {
		r = alias(w, a, n, false, depth, &self);
		if (r != OK || !self || a->count > 1)
			return r;
	}
	if (name_is_postmaster(n) && option.len > 0 && !bytes_equal(option, n->address))
		return visit(w, option, BYTES("hikyaku.conf: postmaster"), depth + 1);
	return leaf(w, w->postmaster ? CONFIG_LEAF_FIRST : CONFIG_LEAF_UNKNOWN,
	            arena_copy(w->arena, n->address), (struct bytes){0}, from);
}

static enum result person(struct walk *w, const struct name *n, struct bytes from, unsigned depth,
                          bool catch_all)
{
	struct bytes base = arena_printf(w->arena, "%.*s@%.*s", BYTES_ARG(n->base),
	                                 BYTES_ARG(n->domain));
	enum known whole = fact(w, n->address), part = KNOWN_NO;

	if (whole == KNOWN_YES)
		return account(w, n->address, false, (struct bytes){0}, from, depth);
	if (n->has_ext)
		part = fact(w, base);
	if (whole == KNOWN_MISSING || part == KNOWN_MISSING)
		return OK;
	if (part == KNOWN_YES)
		return account(w, base, true, n->ext, from, depth);
	return nobody(w, n, from, depth, catch_all);
}

static enum result local(struct walk *w, const struct name *n, struct bytes from, unsigned depth)
{
	bool ext, self = false;
	const struct alias *a = tables_alias(w->config, n, &ext);
	enum result r;

	if (!a)
		return person(w, n, from, depth, true);
	r = alias(w, a, n, ext, depth, &self);
	return r == OK && self ? person(w, n, alias_place(w, a), depth, false) : r;
}

static enum result visit(struct walk *w, struct bytes address, struct bytes from, unsigned depth)
{
	struct name n = name_of(w->config, address = at_home(w, address));
	enum mark mark = (enum mark)(uintptr_t)map_get(&w->marks, address);
	enum result r;

	if (mark == MARK_PATH)
		return why_set(w->why, INVALID, "%.*s: leads in a circle: back to %.*s",
		               BYTES_ARG(bytes_first(from, 100)),
		               BYTES_ARG(bytes_first(address, 100)));
	if (mark == MARK_DONE)
		return OK;
	if (depth > CONFIG_DEPTH)
		return why_set(w->why, INVALID, "%.*s: aliases more than %d deep",
		               BYTES_ARG(bytes_first(from, 150)), CONFIG_DEPTH);
	if (!config_domain_is_ours(w->config, n.domain))
		return leaf(w, CONFIG_LEAF_REMOTE, arena_copy(w->arena, address), (struct bytes){0},
		            from);
	map_put(&w->marks, address, (void *)(uintptr_t)MARK_PATH);
	r = local(w, &n, from, depth);
	map_put(&w->marks, address, (void *)(uintptr_t)MARK_DONE);
	return r;
}

/* As config_route_begin does: postmaster without a domain is the first domain's. */
static struct bytes start(struct walk *w, struct bytes rcpt)
{
	const struct config *c = w->config;
	struct name n = name_of(c, rcpt);

	w->postmaster = name_is_postmaster(&n) && c->domains.count > 0;
	if (!w->postmaster || n.domain.len > 0)
		return rcpt;
	return arena_printf(w->arena, "%.*s@%.*s", BYTES_ARG(n.local),
	                    BYTES_ARG(c->domains.items[0]));
}

enum result config_expand(const struct config *c, struct bytes rcpt,
                          const struct config_fact *facts, size_t fact_count, struct arena *arena,
                          struct config_expansion *ret, struct why *why)
{
	struct config_expansion found = {0};
	struct walk w = {.config = c,
	                 .facts = facts,
	                 .fact_count = fact_count,
	                 .arena = arena,
	                 .ret = &found,
	                 .why = why};
	enum result r;

	if (rcpt.len == 0 || rcpt.len > LIMIT_ADDRESS)
		return why_set(why, INVALID, "no address");
	r = visit(&w, start(&w, arena_copy(arena, rcpt)), (struct bytes){0}, 0);
	map_done(&w.marks);
	map_done(&w.leaves);
	map_done(&w.missing);
	if (r != OK)
		return r;
	*ret = found;
	return found.missing_count > 0 ? why_set(why, UNAVAILABLE, "facts are missing") : OK;
}
