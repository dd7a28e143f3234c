/* Where one recipient leads: config.h says in which order what is looked at. */
#include <assert.h>

#include "base/text.h"
#include "config/tables.h"

enum step { STEP_ALIAS, STEP_FULL, STEP_BASE, STEP_CATCH_ALL, STEP_POSTMASTER };

static void current_set(struct config_route *r, struct bytes address)
{
	struct name n = name_of(r->config, address);
	struct bytes domain = n.domain;

	assert(address.len <= LIMIT_ADDRESS);
	if (tables_is_host(r->config, domain))
		domain = r->config->domains.items[0];
	r->current_len = address.len;
	if (domain.ptr == n.domain.ptr || n.local.len + 1 + domain.len > LIMIT_ADDRESS) {
		memcpy(r->current, address.ptr, address.len);
	} else {
		memcpy(r->current, n.local.ptr, n.local.len);
		r->current[n.local.len] = '@';
		memcpy(r->current + n.local.len + 1, domain.ptr, domain.len);
		r->current_len = n.local.len + 1 + domain.len;
	}
	r->step = STEP_ALIAS;
	r->identity = false;
}

static void text_set(struct config_route *r, struct bytes local, struct bytes domain)
{
	size_t len = local.len;

	memcpy(r->text, local.ptr, local.len);
	r->text[len++] = '@';
	memcpy(r->text + len, domain.ptr, domain.len);
	r->address = bytes_of(r->text, len + domain.len);
}

static void finish(struct config_route *r, enum config_route_state state)
{
	/* "Always reachable" (RFC 5321, 4.5.1) includes an option or alias that leads nowhere. */
	if (state == CONFIG_ROUTE_UNKNOWN && r->postmaster)
		state = CONFIG_ROUTE_FIRST;
	r->state = state;
	r->address = bytes_of(r->rcpt, r->rcpt_len);
}

static void ask(struct config_route *r, struct bytes local, struct bytes domain, enum step next)
{
	text_set(r, local, domain);
	r->state = CONFIG_ROUTE_ASK;
	r->step = next;
}

static void go_to(struct config_route *r, struct bytes address)
{
	if (++r->depth > CONFIG_DEPTH || address.len == 0)
		finish(r, CONFIG_ROUTE_UNKNOWN);
	else
		current_set(r, address);
}

/* One target is followed here; several are the sorter's. A target that is the address itself
 * ends the aliases (virtual(5)): the account of that name is meant. */
static void follow(struct config_route *r, const struct alias *a, const struct name *n, bool ext)
{
	char out[NAME_ROOM];
	struct bytes target;

	if (a->count != 1) {
		finish(r, CONFIG_ROUTE_ALIAS);
		return;
	}
	target = bytes_of(out, tables_target(r->config, a->targets[0], n, ext, out));
	if (bytes_equal(target, n->address))
		r->identity = true;
	else
		go_to(r, target);
}

static void step_alias(struct config_route *r, const struct name *n)
{
	const struct alias *a;
	bool ext;

	if (!config_domain_is_ours(r->config, n->domain)) {
		if (r->depth > 0)
			finish(r, CONFIG_ROUTE_ALIAS);
		else
			finish(r, n->domain.len > 0 ? CONFIG_ROUTE_REMOTE : CONFIG_ROUTE_UNKNOWN);
		return;
	}
	r->step = STEP_FULL;
	a = tables_alias(r->config, n, &ext);
	if (a)
		follow(r, a, n, ext);
}

static void step_catch_all(struct config_route *r, const struct name *n)
{
	const struct alias *a = r->identity ? NULL : tables_catch_all(r->config, n->domain);

	r->step = STEP_POSTMASTER;
	if (a)
		follow(r, a, n, false);
}

static void step_postmaster(struct config_route *r, const struct name *n)
{
	struct bytes option = r->config->postmaster;

	if (name_is_postmaster(n) && option.len > 0 && !bytes_equal(option, n->address))
		go_to(r, option);
	else
		finish(r, CONFIG_ROUTE_UNKNOWN);
}

static void run(struct config_route *r)
{
	r->state = CONFIG_ROUTE_ASK;
	r->address = (struct bytes){0};
	while (r->state == CONFIG_ROUTE_ASK && r->address.len == 0) {
		char copy[NAME_ROOM];
		struct name n;

		/* What follows may overwrite current while it reads the name. */
		memcpy(copy, r->current, r->current_len);
		n = name_of(r->config, bytes_of(copy, r->current_len));
		switch ((enum step)r->step) {
		case STEP_ALIAS: step_alias(r, &n); break;
		case STEP_FULL:
			ask(r, n.local, n.domain, n.has_ext ? STEP_BASE : STEP_CATCH_ALL);
			break;
		case STEP_BASE: ask(r, n.base, n.domain, STEP_CATCH_ALL); break;
		case STEP_CATCH_ALL: step_catch_all(r, &n); break;
		case STEP_POSTMASTER: step_postmaster(r, &n); break;
		}
	}
}

/* RFC 5321, 4.5.1: <postmaster> without a domain. */
static bool belongs_to_host(const struct config *c, const struct name *n)
{
	return c->domains.count > 0 && name_is_postmaster(n) && n->domain.len == 0;
}

void config_route_begin(struct config_route *r, const struct config *c, struct bytes rcpt)
{
	struct name n;

	*r = (struct config_route){.config = c};
	if (rcpt.len == 0 || rcpt.len > LIMIT_ADDRESS) {
		finish(r, CONFIG_ROUTE_UNKNOWN);
		return;
	}
	memcpy(r->rcpt, rcpt.ptr, rcpt.len);
	text_lower(r->rcpt, rcpt.len);
	r->rcpt_len = rcpt.len;
	n = name_of(c, bytes_of(r->rcpt, rcpt.len));
	if (belongs_to_host(c, &n) && n.local.len + 1 + c->domains.items[0].len <= LIMIT_ADDRESS) {
		text_set(r, n.local, c->domains.items[0]);
		current_set(r, r->address);
	} else {
		current_set(r, n.address);
	}
	n = name_of(c, bytes_of(r->current, r->current_len));
	r->postmaster = name_is_postmaster(&n) && config_domain_is_ours(c, n.domain);
	run(r);
}

/* A dot file that only says "keep" needs no sorter. */
static bool is_plain(const struct dot *d)
{
	return !d || d->count == 0 ||
	       (d->count == 1 && d->lines[0].kind == DOT_PLACE &&
	        bytes_equal(d->lines[0].value, BYTES("INBOX")));
}

void config_route_next(struct config_route *r, bool exists)
{
	struct name n = name_of(r->config, bytes_of(r->current, r->current_len));
	bool whole = bytes_equal(r->address, n.address);

	assert(r->state == CONFIG_ROUTE_ASK);
	if (!exists) {
		run(r);
		return;
	}
	r->own = r->depth == 0;
	r->state = is_plain(tables_dot(r->config, r->address, !whole, n.ext)) ? CONFIG_ROUTE_ACCOUNT
	                                                                      : CONFIG_ROUTE_DOT;
}

bool config_takes_reports(const struct config *c, struct bytes address)
{
	for (size_t i = 0; i < c->dmarc_reports.count; i++)
		if (bytes_equal_nocase(c->dmarc_reports.items[i], address))
			return true;
	return false;
}
