#include "roles/keeper_dkim.h"

#include "base/memory.h"
#include "base/text.h"
#include "roles/dkim_folder.h"
#include "roles/keeper.h"
#include "sys/file.h"

enum { PENDING_MAX = 4 * LIMIT_ASKS_CHANNEL, SECRET_MAX = LIMIT_PASSWORD + 2, ROUTE_NAME_MAX = 63 };

struct domain {
	struct dkim_keys keys;
	struct arena arena; /* their strings */
};

/* A DKIM_SIGN whose SENDER is asked. */
struct pending {
	struct channel *channel;
	struct ask ask;
	struct arena arena;
	bool cancelled;
};

struct keeper_dkim {
	struct map domains; /* name -> struct domain */
	struct map pending; /* number -> struct pending */
};

/* ---- the keys ---- */

static void free_domains(struct map *domains)
{
	struct map_entry *e;

	for (size_t at = 0; (e = map_each(domains, &at));) {
		struct domain *d = e->value;

		dkim_keys_free(&d->keys);
		arena_done(&d->arena);
		memory_free(d);
	}
	map_done(domains);
}

struct keeper_dkim *keeper_dkim_new(void)
{
	return NEW(struct keeper_dkim);
}

void keeper_dkim_free(struct keeper_dkim **d)
{
	struct map_entry *e;

	free_domains(&(*d)->domains);
	for (size_t at = 0; (e = map_each(&(*d)->pending, &at));) {
		struct pending *p = e->value;

		arena_done(&p->arena);
		memory_free(p);
	}
	map_done(&(*d)->pending);
	memory_free(*d);
	*d = NULL;
}

static size_t read_domain(struct map *domains, struct role_context *r, struct file_system *fs,
                          const char *name)
{
	struct domain *d = NEW(struct domain);
	struct why why = {""}, bad = {""};
	enum result result = dkim_folder_read(fs, bytes_of_text(name), &d->arena, &d->keys, &bad,
	                                      &why);

	if (bad.text[0])
		role_log(r, "key-refused", "why=\"%s\"", bad.text);
	if (result != OK) {
		role_log(r, "keys-unread", "folder=keys/dkim/%s why=\"%s\"", name, why.text);
		arena_done(&d->arena);
		memory_free(d);
		return 0;
	}
	map_put(domains, bytes_of_text(name), d);
	return d->keys.count;
}

size_t keeper_dkim_read(struct keeper_dkim *d, struct role_context *r)
{
	struct file_system *fs = file_system_real_new(role_folder_fd(r, "keys"));
	struct map fresh = {0};
	struct arena arena = {0};
	const char **names;
	struct why why = {""};
	size_t count = 0, keys = 0;

	if (dkim_folder_domains(fs, &arena, &names, &count, &why) != OK)
		role_log(r, "keys-unread", "folder=keys/dkim why=\"%s\"", why.text);
	for (size_t i = 0; i < count; i++)
		keys += read_domain(&fresh, r, fs, names[i]);
	arena_done(&arena);
	file_system_free(&fs);
	free_domains(&d->domains);
	d->domains = fresh;
	return keys;
}

/* ---- DKIM_KEYS ---- */

static void answer_keys(struct keeper_dkim *d, struct channel *ch, const struct ask *a)
{
	const struct domain *domain = map_get(&d->domains, a->dkim_keys.domain);
	struct answer answer = answer_to(a, OK, (struct bytes){0});
	struct buf keys = {0};

	for (size_t i = 0; domain && i < domain->keys.count; i++) {
		const struct dkim_key *k = &domain->keys.items[i];

		buf_block(&keys, k->selector);
		buf_u8(&keys, (uint8_t)k->algorithm);
		buf_u8(&keys, (uint8_t)k->state);
		buf_block(&keys, k->record);
		buf_u64(&keys, (uint64_t)k->made);
	}
	answer.dkim_keys.keys = buf_bytes(&keys);
	channel_answer(ch, &answer);
	buf_done(&keys);
}

/* ---- DKIM_SIGN ---- */

static void refuse(struct channel *ch, const struct ask *a, enum result result, const char *why)
{
	struct answer answer = answer_to(a, result, bytes_of_text(why));

	channel_answer(ch, &answer);
}

static const struct dkim_key *find_key(const struct keeper_dkim *d, const struct ask_dkim_sign *s)
{
	const struct domain *domain = map_get(&d->domains, s->domain);

	for (size_t i = 0; domain && i < domain->keys.count; i++) {
		const struct dkim_key *k = &domain->keys.items[i];

		if (bytes_equal(k->selector, s->selector) && k->algorithm == s->algorithm &&
		    k->state == DKIM_KEY_SIGNS)
			return k;
	}
	return NULL;
}

static void sign(struct keeper *k, struct channel *ch, const struct ask *a)
{
	const struct dkim_key *key = find_key(k->dkim, &a->dkim_sign);
	struct answer answer = answer_to(a, OK, (struct bytes){0});
	struct buf out = {0};

	if (!key ||
	    private_key_sign(key->key,
	                     key->algorithm == DKIM_ED25519_SHA256 ? PRIVATE_KEY_ED25519
	                                                           : PRIVATE_KEY_RSA_PKCS1_SHA256,
	                     a->dkim_sign.digest, &out) != OK) {
		refuse(ch, a, key ? INVALID : NOT_FOUND, "there is no such key that signs");
	} else {
		answer.dkim_sign.signature = buf_bytes(&out);
		channel_answer(ch, &answer);
	}
	buf_done(&out);
}

/* One of the configured domains, or below one. */
static bool is_ours(const struct keeper *k, struct bytes domain)
{
	const struct config *c = k->r->config->config;

	for (size_t i = 0; i < c->domains.count; i++) {
		struct bytes ours = c->domains.items[i];

		if (bytes_equal(domain, ours) ||
		    (domain.len > ours.len && bytes_ends(domain, ours) &&
		     domain.ptr[domain.len - ours.len - 1] == '.'))
			return true;
	}
	return false;
}

/* The From address's domain is d= or below it (RFC 6376, 3.9 leaves it open; DMARC's alignment does not). */
static bool from_fits(struct bytes from, struct bytes domain)
{
	size_t at = bytes_find_last(from, '@');
	struct bytes its = at == BYTES_NONE ? (struct bytes){0} : bytes_skip(from, at + 1);

	if (its.len < domain.len || domain.len == 0 ||
	    !bytes_equal_nocase(bytes_skip(its, its.len - domain.len), domain))
		return false;
	return its.len == domain.len || its.ptr[its.len - domain.len - 1] == '.';
}

static void ask_sender(struct keeper *k, struct channel *ch, const struct ask *a)
{
	struct ask sender = {.kind = ASK_SENDER, .number = ++k->numbers};
	struct pending *p = NEW(struct pending);

	p->channel = ch;
	p->ask = ask_copy(&p->arena, a);
	map_put_u64(&k->dkim->pending, sender.number, p);
	sender.sender.front_session = a->session;
	sender.sender.address = p->ask.dkim_sign.from;
	sender.sender.local_uid = a->dkim_sign.local_uid;
	channel_ask(role_channel(k->r, STORE, 0), &sender);
}

static void begin_sign(struct keeper *k, struct channel *ch, const struct ask *a)
{
	if (!is_ours(k, a->dkim_sign.domain))
		refuse(ch, a, DENIED, "that domain is not ours");
	else if (!find_key(k->dkim, &a->dkim_sign))
		refuse(ch, a, NOT_FOUND, "there is no such key that signs");
	else if (channel_peer(ch) != ACCESS)
		sign(k, ch, a);
	else if (!from_fits(a->dkim_sign.from, a->dkim_sign.domain))
		refuse(ch, a, DENIED, "the sender's domain is another one");
	else if (k->dkim->pending.count >= PENDING_MAX)
		refuse(ch, a, UNAVAILABLE, "too many signatures wait");
	else
		ask_sender(k, ch, a);
}

void keeper_dkim_answer(struct keeper *k, const struct answer *a)
{
	struct pending *p = map_remove_u64(&k->dkim->pending, a->number);

	if (!p)
		return;
	if (p->cancelled || !channel_connected(p->channel))
		; /* nobody waits */
	else if (a->result != OK)
		refuse(p->channel, &p->ask,
		       a->result == LOST || a->result == UNAVAILABLE ? UNAVAILABLE : DENIED,
		       "store does not say that it may send as this address");
	else if (!a->sender.allowed)
		refuse(p->channel, &p->ask, DENIED, "it may not send as this address");
	else
		sign(k, p->channel, &p->ask);
	arena_done(&p->arena);
	memory_free(p);
}

void keeper_dkim_forget(struct keeper_dkim *d, struct channel *ch, uint64_t session)
{
	struct map_entry *e;

	for (size_t at = 0; (e = map_each(&d->pending, &at));) {
		struct pending *p = e->value;

		p->cancelled |= p->channel == ch && (session == 0 || p->ask.session == session);
	}
}

/* ---- smarthosts ---- */

/* keys/smarthost/NAME: its first line. Read each time: it is small, seldom wanted, and then always the newest. */
static void answer_secret(struct keeper *k, struct channel *ch, const struct ask *a)
{
	struct answer answer = answer_to(a, OK, (struct bytes){0});
	struct file_system *fs = file_system_real_new(role_folder_fd(k->r, "keys"));
	struct bytes name = a->smarthost_secret.route, line;
	char path[100];
	struct buf text = {0};
	struct why why = {""};
	enum result r = INVALID;

	if (dkim_name_is_good(name, ROUTE_NAME_MAX)) {
		snprintf(path, sizeof(path), "smarthost/%.*s", BYTES_ARG(name));
		r = file_read_all(fs, path, SECRET_MAX, &text, &why);
	}
	line = buf_bytes(&text);
	line = bytes_trim(bytes_first(line, bytes_find_char(line, '\n')));
	if (r != OK || line.len == 0) {
		refuse(ch, a, r == OK ? NOT_FOUND : r,
		       "keys/smarthost has no password for this route");
	} else {
		answer.smarthost_secret.password = line;
		channel_answer(ch, &answer);
	}
	if (text.ptr)
		memory_wipe(text.ptr, text.size);
	buf_done(&text);
	file_system_free(&fs);
}

/* ---- the asks ---- */

void keeper_dkim_ask(struct keeper *k, struct channel *ch, const struct ask *a)
{
	switch (a->kind) {
	case ASK_DKIM_KEYS: answer_keys(k->dkim, ch, a); break;
	case ASK_DKIM_SIGN: begin_sign(k, ch, a); break;
	default: answer_secret(k, ch, a); break;
	}
}
