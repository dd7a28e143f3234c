#include "config/tables.h"

#include <assert.h>

#include "base/text.h"

struct name name_of(const struct config *c, struct bytes address)
{
	struct name n = {.address = address, .local = address};
	size_t at = bytes_find_last(address, '@'), sep;

	/* Canonical: an @ inside a quoted local part is before the last one, unless there is no
	 * domain. */
	if (at != BYTES_NONE && bytes_find_char(bytes_skip(address, at), '"') == BYTES_NONE) {
		n.local = bytes_first(address, at);
		n.domain = bytes_skip(address, at + 1);
	}
	n.base = n.local;
	if (c->address_separator.len == 0 || n.local.len == 0 || n.local.ptr[0] == '"')
		return n;
	sep = bytes_find_char(n.local, c->address_separator.ptr[0]);
	if (sep == BYTES_NONE || sep == 0)
		return n;
	n.has_ext = true;
	n.base = bytes_first(n.local, sep);
	n.ext = bytes_skip(n.local, sep + 1);
	return n;
}

bool name_is_postmaster(const struct name *n)
{
	return bytes_equal(n->base, BYTES("postmaster")) || bytes_equal(n->base, BYTES("abuse"));
}

bool tables_is_host(const struct config *c, struct bytes domain)
{
	return c->domains.count > 0 && domain.len > 0 && bytes_equal_nocase(domain, c->hostname) &&
	       !config_domain_is_ours(c, domain);
}

bool config_domain_is_ours(const struct config *c, struct bytes domain)
{
	return map_get(&c->tables->domains, domain) != NULL;
}

/* ---- the maps ---- */

struct dot_key {
	char text[2 * LIMIT_ADDRESS + 2];
	size_t len;
};

static struct bytes dot_key(struct dot_key *k, struct bytes account, struct bytes extension)
{
	k->len = 0;
	if (account.len > LIMIT_ADDRESS || extension.len > LIMIT_ADDRESS)
		return (struct bytes){0};
	if (account.len > 0)
		memcpy(k->text, account.ptr, account.len);
	k->text[account.len] = '\n';
	if (extension.len > 0)
		memcpy(k->text + account.len + 1, extension.ptr, extension.len);
	k->len = account.len + 1 + extension.len;
	return bytes_of(k->text, k->len);
}

void tables_index_domains(struct config *c)
{
	for (size_t i = 0; i < c->domains.count; i++)
		map_put(&c->tables->domains, c->domains.items[i], c->tables);
}

void tables_index(struct config *c)
{
	struct config_tables *t = c->tables;
	struct dot_key key;

	for (size_t i = t->alias_count; i-- > 0;)
		map_put(&t->alias_by_key, t->aliases[i].key, &t->aliases[i]);
	for (size_t i = t->dot_count; i-- > 0;)
		map_put(&t->dot_by_name, dot_key(&key, t->dots[i].account, t->dots[i].extension),
		        &t->dots[i]);
}

static const struct alias *alias_at(const struct config *c, struct bytes local, struct bytes domain)
{
	char key[2 * NAME_ROOM];

	if (local.len + 1 + domain.len > sizeof(key))
		return NULL;
	if (local.len > 0)
		memcpy(key, local.ptr, local.len);
	key[local.len] = '@';
	if (domain.len > 0)
		memcpy(key + local.len + 1, domain.ptr, domain.len);
	return map_get(&c->tables->alias_by_key, bytes_of(key, local.len + 1 + domain.len));
}

const struct alias *tables_alias(const struct config *c, const struct name *n, bool *ret_ext)
{
	const struct alias *found;
	bool bare = c->domains.count > 0 && bytes_equal(n->domain, c->domains.items[0]);

	*ret_ext = false;
	if (c->tables->alias_count == 0)
		return NULL;
	found = alias_at(c, n->local, n->domain);
	if (!found && n->has_ext && (found = alias_at(c, n->base, n->domain)))
		*ret_ext = true;
	if (!found && bare)
		found = map_get(&c->tables->alias_by_key, n->local);
	if (!found && bare && n->has_ext && (found = map_get(&c->tables->alias_by_key, n->base)))
		*ret_ext = true;
	return found;
}

const struct alias *tables_catch_all(const struct config *c, struct bytes domain)
{
	return c->tables->alias_count ? alias_at(c, (struct bytes){0}, domain) : NULL;
}

const struct dot *tables_dot_file(const struct config *c, struct bytes account,
                                  struct bytes extension)
{
	struct dot_key key;

	return map_get(&c->tables->dot_by_name, dot_key(&key, account, extension));
}

/* qmail's order: the extension's own file, then default (dot-qmail(5), EXTENSION ADDRESSES). */
const struct dot *tables_dot(const struct config *c, struct bytes account, bool has_ext,
                             struct bytes ext)
{
	const struct dot *found = NULL;

	if (c->tables->dot_count == 0)
		return NULL;
	if (has_ext)
		found = tables_dot_file(c, account, ext);
	return found ? found : tables_dot_file(c, account, BYTES("default"));
}

/* ---- targets ---- */

static size_t put(char out[NAME_ROOM], size_t at, struct bytes b)
{
	if (at == BYTES_NONE || at + b.len > LIMIT_ADDRESS)
		return BYTES_NONE;
	if (b.len > 0)
		memcpy(out + at, b.ptr, b.len);
	return at + b.len;
}

size_t tables_target(const struct config *c, struct bytes target, const struct name *n, bool ext,
                     char out[NAME_ROOM])
{
	struct name t = name_of(c, target);
	bool carry = ext && !t.has_ext && t.local.len > 0 && t.local.ptr[0] != '"' &&
	             config_domain_is_ours(c, t.domain);
	size_t len = put(out, 0, t.local.len > 0 ? t.local : n->local);

	if (carry) {
		len = put(out, len, c->address_separator);
		len = put(out, len, n->ext);
	}
	len = put(out, len, BYTES("@"));
	len = put(out, len, t.domain);
	return len == BYTES_NONE ? 0 : len;
}

static bool has_at(struct bytes word)
{
	return bytes_find_char(word, '@') != BYTES_NONE;
}

enum result tables_parse_target(const struct config *c, struct bytes word, struct arena *arena,
                                struct bytes *ret, struct why *why)
{
	struct bytes canonical;
	struct name n;

	if (config_address_canonical(word, arena, &canonical) != OK)
		return why_set(why, INVALID, "\"%.*s\" is no address",
		               BYTES_ARG(bytes_first(word, 80)));
	n = name_of(c, canonical);
	if (n.domain.len > 0 && !config_domain_is_ours(c, n.domain))
		return config_address_tidy(word, arena, ret);
	if (n.domain.len > 0) {
		*ret = canonical;
		return OK;
	}
	if (c->domains.count == 0 || has_at(word))
		return why_set(why, INVALID, "\"%.*s\" needs a domain: no `domain` is configured",
		               BYTES_ARG(bytes_first(word, 80)));
	*ret = arena_printf(arena, "%.*s@%.*s", BYTES_ARG(canonical),
	                    BYTES_ARG(c->domains.items[0]));
	return OK;
}
