/* keeper: passwords, private keys, grants. It parses nothing that strangers wrote: user names and
 * passwords come prepared, SCRAM's messages read, and all as fields of an ask.
 *
 * This file: the role, its keys, the grants that are alive. keeper_login.c: the way of a login.
 * keeper_sign.c: TLS signatures, on threads of their own. keeper_dkim.c: DKIM signatures, smarthosts' passwords.
 * keeper_alarm.c: signatures of webhooks. */
#include "roles/keeper.h"

#include "base/memory.h"
#include "roles/keeper_alarm.h"
#include "roles/keeper_sign.h"
#include "sys/file.h"
#include "sys/random.h"

enum { TICKET_MS = 24 * 60 * 60 * 1000 };

/* ---- sessions end ---- */

static void session_ended(struct keeper *k, struct channel *ch, const struct ask *a)
{
	struct answer answer = answer_to(a, OK, (struct bytes){0});
	struct map_entry *e;

	memory_free(map_remove_u64(&k->grants, a->session));
	for (size_t at = 0; (e = map_each(&k->requests, &at));) {
		struct request *q = e->value;

		q->cancelled |= q->session == a->session;
	}
	keeper_dkim_forget(k->dkim, ch, a->session);
	channel_answer(ch, &answer);
}

/* A front died: nobody speaks for its sessions any more. Its requests run to their end unanswered.
 * */
static void peer_lost(struct role_context *r, struct channel *ch)
{
	struct keeper *k = r->self;
	struct map_entry *e;

	if (channel_peer(ch) == STORE)
		return;
	for (size_t at = 0; (e = map_each(&k->grants, &at));) {
		struct grant *g = e->value;

		if (g->front == channel_peer(ch) && g->worker == channel_peer_worker(ch))
			memory_free(map_remove_u64(&k->grants, g->session));
	}
	for (size_t at = 0; (e = map_each(&k->requests, &at));) {
		struct request *q = e->value;

		q->cancelled |= q->channel == ch;
	}
	keeper_dkim_forget(k->dkim, ch, 0);
}

/* ---- the store comes back: it hears the living grants, then the fronts hear that it did ---- */

static void grants_said(struct keeper *k)
{
	struct channel *ch;

	for (size_t at = 0; (ch = role_channel_each(k->r, &at));)
		if (channel_peer(ch) != STORE)
			channel_event(ch, 0, ENGINE_LOST);
}

static void peer_back(struct role_context *r, struct channel *ch)
{
	struct keeper *k = r->self;
	struct map_entry *e;

	if (channel_peer(ch) != STORE)
		return;
	k->grants_open = 0;
	for (size_t at = 0; (e = map_each(&k->grants, &at));) {
		k->grants_open++;
		keeper_say_grant(k, e->value, ++k->numbers);
	}
	if (k->grants_open == 0)
		grants_said(k);
}

static void on_answer(struct role_context *r, struct channel *ch, const struct answer *a)
{
	struct keeper *k = r->self;
	struct request *q = map_get_u64(&k->requests, a->number);

	if (a->kind == ASK_SENDER) {
		keeper_dkim_answer(k, a);
		return;
	}
	if (!q) {
		if (a->kind == ASK_GRANT && k->grants_open && --k->grants_open == 0)
			grants_said(k);
		return;
	}
	keeper_login_answer(k, q, a);
}

/* ---- ticket keys ---- */

static void rotate_tickets(struct keeper *k)
{
	enum { KEY = sizeof(k->tickets) / 2 };

	if (k->ticket_count && keeper_now(k) - k->tickets_made < TICKET_MS)
		return;
	memcpy(k->tickets + KEY, k->tickets, KEY);
	random_fill(k->tickets, KEY);
	k->ticket_count = k->ticket_count ? 2 : 1;
	k->tickets_made = keeper_now(k);
}

/* A role that is taken over must not open another one's tickets: each role's keys are made from keeper's. */
static void role_key(const uint8_t *secret, size_t len, unsigned role, uint8_t *ret)
{
	uint8_t block[DIGEST_SHA256];
	struct buf label = {0};

	for (size_t at = 0; at < len; at += sizeof(block)) {
		buf_clear(&label);
		buf_printf(&label, "ticket key %u %zu", role, at);
		digest_hmac_sha256(bytes_of(secret, len), buf_bytes(&label), block);
		memcpy(ret + at, block, len - at < sizeof(block) ? len - at : sizeof(block));
	}
	memory_wipe(block, sizeof(block));
	buf_done(&label);
}

static void tell_tickets(struct keeper *k, struct channel *ch, const struct ask *a)
{
	enum { KEY = sizeof(k->tickets) / 2 };
	struct answer answer = answer_to(a, OK, (struct bytes){0});
	uint8_t keys[sizeof(k->tickets)];

	rotate_tickets(k);
	for (size_t i = 0; i < k->ticket_count; i++)
		role_key(k->tickets + i * KEY, KEY, channel_peer(ch), keys + i * KEY);
	answer.ticket_keys.keys = bytes_of(keys, k->ticket_count * KEY);
	channel_answer(ch, &answer);
	memory_wipe(keys, sizeof(keys));
}

/* ---- the role ---- */

static void on_ask(struct role_context *r, struct channel *ch, const struct ask *a)
{
	struct keeper *k = r->self;
	struct answer refused;

	switch (a->kind) {
	case ASK_LOGIN:
	case ASK_SCRAM_BEGIN:
	case ASK_SCRAM_FINISH:
	case ASK_DIGEST_LOGIN:
	case ASK_PASSWORD: keeper_login_begin(k, ch, a); break;
	case ASK_SESSION_END: session_ended(k, ch, a); break;
	case ASK_TICKET_KEYS: tell_tickets(k, ch, a); break;
	case ASK_DKIM_KEYS:
	case ASK_DKIM_SIGN:
	case ASK_SMARTHOST_SECRET: keeper_dkim_ask(k, ch, a); break;
	case ASK_ALARM_SIGN: keeper_alarm_ask(k, ch, a); break;
	default:
		refused = answer_to(a, INVALID, BYTES("keeper signs on its own channels only"));
		channel_answer(ch, &refused);
		break;
	}
}

static enum result read_seal_key(struct keeper *k, struct why *why)
{
	struct file_system *fs = file_system_real_new(role_folder_fd(k->r, "keys"));
	struct buf text = {0};
	enum result result = file_read_all(fs, "seal.key", PASSWORD_SEAL_KEY, &text, why);

	if (result == OK && buf_len(&text) != PASSWORD_SEAL_KEY)
		result = why_set(why, DAMAGED, "keys/seal.key is not %d octets", PASSWORD_SEAL_KEY);
	if (result == OK)
		memcpy(k->seal_key, buf_bytes(&text).ptr, PASSWORD_SEAL_KEY);
	if (text.ptr)
		memory_wipe(text.ptr, text.size);
	buf_done(&text);
	file_system_free(&fs);
	return result;
}

/* Nobody's credential: what unknown users are checked against. */
static void make_nobody(struct keeper *k)
{
	struct credential c;
	uint8_t password[32];

	random_fill(password, sizeof(password));
	if (password_credential_make(bytes_of(password, sizeof(password)), true, &c) == OK)
		password_credential_seal(&c, k->seal_key, KEEPER_LABEL, &k->nobody);
	password_credential_wipe(&c);
	memory_wipe(password, sizeof(password));
}

static void read_keys(struct keeper *k)
{
	size_t tls = keeper_keys_read(k->keys, k->r), dkim = keeper_dkim_read(k->dkim, k->r);

	role_log(k->r, "keys-read", "count=%zu dkim=%zu", tls, dkim);
}

static void warm(struct role_context *r)
{
	crypto_warm();
}

static enum result start(struct role_context *r, struct why *why)
{
	struct keeper *k = NEW(struct keeper);
	enum result result;

	k->r = r;
	r->self = k;
	result = read_seal_key(k, why);
	if (result != OK)
		return result;
	digest_hmac_sha256(bytes_of(k->seal_key, sizeof(k->seal_key)), BYTES("unknown users"),
	                   k->salt_key);
	random_fill(k->recent_key, sizeof(k->recent_key));
	make_nobody(k);
	k->timer = loop_timer_new(r->loop, keeper_login_due, k);
	k->hashers = worker_new(r->loop, "argon2", KEEPER_HASHERS, 1, &keeper_hashers, k);
	k->keys = keeper_keys_new();
	k->dkim = keeper_dkim_new();
	read_keys(k);
	return OK;
}

static void on_config(struct role_context *r)
{
	read_keys(r->self);
}

static void sign_channel(struct role_context *r, unsigned role, unsigned worker, int fd)
{
	struct keeper *k = r->self;

	keeper_keys_serve(k->keys, r, role, fd);
}

static const struct role_ops ops = {
        .warm = warm,
        .start = start,
        .ask = on_ask,
        .answer = on_answer,
        .peer_lost = peer_lost,
        .peer_back = peer_back,
        .config = on_config,
        .sign_channel = sign_channel,
};

const struct role role_keeper = {
        .name = "keeper",
        .bit = KEEPER,
        .does = "private keys, passwords, grants",
        .rights = SANDBOX_READ | SANDBOX_THREADS,
        .folders = {{.name = "keys"}},
        .answerers = STORE,
        .ops = &ops,
};
