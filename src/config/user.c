/* Users of this machine, for run/submit.sock: names by uid, senders, and who may send as whom. */
#include <stdlib.h>

#include "base/text.h"
#include "config/config.h"

enum { NAME_MAX = 64 };
enum { SENDERS_OWN, SENDERS_OURS, SENDERS_ANY }; /* sendmail.senders */

/* A name that stands in an address as it is, and is no number: those are uids in sendmail.sender. */
static bool fits(struct bytes name)
{
	static const struct bytes others = BYTES("._-+$");
	bool digits = true;

	for (size_t i = 0; i < name.len; i++) {
		char c = name.ptr[i];

		if (!text_is_alnum(c) && bytes_find_char(others, c) == BYTES_NONE)
			return false;
		digits = digits && text_is_digit(c);
	}
	return name.len > 0 && name.len <= NAME_MAX && !digits && name.ptr[0] != '.' &&
	       name.ptr[name.len - 1] != '.' && bytes_find(name, BYTES("..")) == BYTES_NONE;
}

static int by_uid(const void *a, const void *b)
{
	const struct config_user *x = a, *y = b;

	if (x->uid != y->uid)
		return x->uid < y->uid ? -1 : 1;
	return x->name.ptr < y->name.ptr ? -1
	                                 : x->name.ptr > y->name.ptr; /* as the file has them */
}

/* name:x:uid:... (passwd(5)) */
static bool parse_line(struct bytes line, struct config_user *ret)
{
	struct bytes name, password, uid;
	uint64_t number;

	if (!bytes_cut(&line, ':', &name) || !bytes_cut(&line, ':', &password) ||
	    !bytes_cut(&line, ':', &uid) || !fits(name) ||
	    bytes_to_u64(uid, UINT32_MAX - 1, &number) != OK)
		return false;
	*ret = (struct config_user){(uint32_t)number, name};
	return true;
}

static size_t lines_of(struct bytes text)
{
	size_t count = 0;

	for (size_t i = 0; i < text.len; i++)
		count += text.ptr[i] == '\n';
	return count + 1 < CONFIG_USERS ? count + 1 : CONFIG_USERS;
}

void config_users_set(struct config *c, struct bytes passwd)
{
	struct bytes rest = arena_copy(&c->arena, passwd), line;
	size_t room = lines_of(rest), kept = 0;

	c->users = arena_get(&c->arena, (room + 1) * sizeof(*c->users));
	c->user_count = 0;
	while (c->user_count < room && bytes_cut(&rest, '\n', &line))
		c->user_count += parse_line(line, &c->users[c->user_count]);
	qsort(c->users, c->user_count, sizeof(*c->users), by_uid);
	for (size_t i = 0; i < c->user_count; i++)
		if (kept == 0 || c->users[kept - 1].uid != c->users[i].uid)
			c->users[kept++] = c->users[i];
	c->user_count = kept;
}

struct bytes config_user_name(const struct config *c, uint32_t uid)
{
	size_t low = 0, high = c->user_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (c->users[middle].uid < uid)
			low = middle + 1;
		else
			high = middle;
	}
	return low < c->user_count && c->users[low].uid == uid ? c->users[low].name
	                                                       : (struct bytes){0};
}

/* ---- senders ---- */

/* Store, which asks, has no ICU: letters of ASCII only. */
static struct bytes folded(struct bytes address, struct arena *arena)
{
	char *copy = arena_text(arena, address);

	text_lower(copy, address.len);
	return bytes_of(copy, address.len);
}

static struct bytes own_address(const struct config *c, uint32_t uid, struct arena *arena)
{
	struct bytes name = config_user_name(c, uid);

	if (name.len == 0)
		name = arena_printf(arena, "uid%u", uid);
	return folded(arena_printf(arena, "%.*s@%.*s", BYTES_ARG(name), BYTES_ARG(c->hostname)),
	              arena);
}

/* user=address, or uid=address */
static bool is_for(struct bytes word, struct bytes name, struct bytes uid,
                   struct bytes *ret_address)
{
	size_t equals = bytes_find_char(word, '=');
	struct bytes key;

	if (equals == BYTES_NONE)
		return false;
	key = bytes_first(word, equals);
	*ret_address = bytes_skip(word, equals + 1);
	return bytes_equal(key, uid) || (name.len > 0 && bytes_equal(key, name));
}

static bool configured_sender(const struct config *c, uint32_t uid, struct arena *arena,
                              struct bytes *ret)
{
	struct bytes name = config_user_name(c, uid), address;
	struct bytes number = arena_printf(arena, "%u", uid);

	for (size_t i = 0; i < c->sendmail_sender.count; i++)
		if (is_for(c->sendmail_sender.items[i], name, number, &address)) {
			*ret = folded(address, arena);
			return true;
		}
	return false;
}

struct bytes config_user_sender(const struct config *c, uint32_t uid, struct arena *arena)
{
	struct bytes address;

	return configured_sender(c, uid, arena, &address) ? address : own_address(c, uid, arena);
}

static bool is_ours(const struct config *c, struct bytes address)
{
	size_t at = bytes_find_last(address, '@');
	struct bytes domain;

	if (at == BYTES_NONE)
		return false;
	domain = bytes_skip(address, at + 1);
	return config_domain_is_ours(c, domain) || bytes_equal_nocase(domain, c->hostname);
}

bool config_user_may_send(const struct config *c, uint32_t uid, struct bytes address)
{
	struct arena arena = {0};
	struct bytes configured;
	bool may = address.len == 0 || c->sendmail_senders == SENDERS_ANY ||
	           bytes_equal(address, own_address(c, uid, &arena)) ||
	           (configured_sender(c, uid, &arena, &configured) &&
	            bytes_equal(address, configured));

	if (!may && c->sendmail_senders == SENDERS_OURS)
		may = is_ours(c, address);
	arena_done(&arena);
	return may;
}
