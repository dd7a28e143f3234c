#include "roles/keeper_sign.h"

#include <pthread.h>
#include <stdio.h>

#include "base/map.h"
#include "base/memory.h"
#include "crypto/certificate.h"
#include "crypto/sign.h"
#include "sys/file.h"
#include "sys/socket.h"

enum { KEY_FILE_MAX = 64 * 1024, RECEIVE_MS = 60 * 1000 };

_Static_assert((int)SIGN_ECDSA_SHA256 == (int)PRIVATE_KEY_ECDSA_SHA256 &&
                       (int)SIGN_RSA_PSS_SHA256 == (int)PRIVATE_KEY_RSA_PSS_SHA256,
               "the ask's schemes and crypto's are the same numbers");

struct keeper_keys {
	pthread_rwlock_t lock; /* read: signing; written: a reload */
	struct map keys;       /* id -> struct private_key */
};

struct keeper_keys *keeper_keys_new(void)
{
	struct keeper_keys *k = NEW(struct keeper_keys);

	pthread_rwlock_init(&k->lock, NULL);
	return k;
}

/* ---- reading them ---- */

static void read_key(struct map *keys, struct role_context *r, struct file_system *fs,
                     const char *name)
{
	char path[300];
	struct buf pem = {0};
	struct private_key *key;
	struct why why = {""};
	uint8_t id[DIGEST_SHA256];

	snprintf(path, sizeof(path), "tls/%s", name);
	if (file_read_all(fs, path, KEY_FILE_MAX, &pem, &why) != OK ||
	    private_key_parse(buf_bytes(&pem), &key, &why) != OK) {
		role_log(r, "key-refused", "file=keys/%s why=\"%s\"", path, why.text);
	} else {
		private_key_id(key, id);
		key = map_put(keys, bytes_of(id, sizeof(id)), key);
		if (key)
			private_key_free(&key);
	}
	if (pem.ptr)
		memory_wipe(pem.ptr, pem.size);
	buf_done(&pem);
}

static void read_folder(struct map *keys, struct role_context *r, struct file_system *fs)
{
	struct arena arena = {0};
	const char **names;
	size_t count = 0;
	struct why why = {""};

	if (file_list(fs, "tls", &arena, &names, &count, &why) != OK)
		role_log(r, "keys-unread", "why=\"%s\"", why.text);
	for (size_t i = 0; i < count; i++)
		if (bytes_ends(bytes_of_text(names[i]), BYTES(".key")))
			read_key(keys, r, fs, names[i]);
	arena_done(&arena);
}

static void free_keys(struct map *keys)
{
	struct map_entry *e;

	for (size_t at = 0; (e = map_each(keys, &at));) {
		struct private_key *key = e->value;

		private_key_free(&key);
	}
	map_done(keys);
}

void keeper_keys_free(struct keeper_keys **k)
{
	free_keys(&(*k)->keys);
	pthread_rwlock_destroy(&(*k)->lock);
	memory_free(*k);
	*k = NULL;
}

/* The certificate's key is among the fresh ones, or is taken over from the former ones. Under the
 * lock. */
static void match_key(struct keeper_keys *k, struct map *fresh, struct role_context *r,
                      const struct config_certificate *c)
{
	struct certificate *certificate;
	uint8_t id[DIGEST_SHA256];
	struct bytes key = bytes_of(id, sizeof(id));
	struct private_key *former;

	if (certificate_parse(c->pem, &certificate, NULL) != OK)
		return;
	certificate_key_id(certificate, id);
	certificate_free(&certificate);
	if (map_get(fresh, key))
		return;
	former = map_remove(&k->keys, key);
	if (former)
		map_put(fresh, key, former);
	role_log(r, former ? "key-kept" : "key-missing",
	         "certificate=etc/tls/%.*s.pem expected=keys/tls/%.*s.key", BYTES_ARG(c->name),
	         BYTES_ARG(c->name));
}

size_t keeper_keys_read(struct keeper_keys *k, struct role_context *r)
{
	struct file_system *fs = file_system_real_new(role_folder_fd(r, "keys"));
	const struct config *c = r->config->config;
	struct map fresh = {0}, former;

	read_folder(&fresh, r, fs);
	file_system_free(&fs);
	pthread_rwlock_wrlock(&k->lock);
	for (size_t i = 0; i < c->certificate_count; i++)
		match_key(k, &fresh, r, &c->certificates[i]);
	former = k->keys;
	k->keys = fresh;
	pthread_rwlock_unlock(&k->lock);
	free_keys(&former);
	return fresh.count;
}

/* ---- signing ---- */

struct signer {
	struct keeper_keys *keys;
	unsigned peer;
	int fd;
};

static enum result sign(struct keeper_keys *k, const struct ask *a, struct buf *out)
{
	struct private_key *key;
	enum result r = NOT_FOUND;

	pthread_rwlock_rdlock(&k->lock);
	key = map_get(&k->keys, a->sign.key);
	if (key)
		r = private_key_sign(key, a->sign.scheme, a->sign.digest, out);
	pthread_rwlock_unlock(&k->lock);
	return r;
}

static struct bytes reason(enum result r)
{
	return r == OK          ? (struct bytes){0}
	       : r == NOT_FOUND ? BYTES("keys/tls has no such key")
	                        : BYTES("this key cannot sign so");
}

static bool serve_one(struct signer *s, struct arena *arena)
{
	struct buf out = {0};
	struct answer answer;
	struct ask a;
	enum result r = channel_receive_ask(s->fd, KEEPER, s->peer, RECEIVE_MS, arena, &a);

	if (r == UNAVAILABLE)
		return true;
	if (r != OK || a.kind != ASK_SIGN)
		return false;
	r = sign(s->keys, &a, &out);
	answer = answer_to(&a, r, reason(r));
	if (r == OK)
		answer.sign.signature = buf_bytes(&out);
	r = channel_send_answer(s->fd, &answer);
	buf_done(&out);
	return r == OK || r == UNAVAILABLE;
}

static void *serve(void *context)
{
	struct signer *s = context;
	struct arena arena = {0};

	while (serve_one(s, &arena))
		arena_reset(&arena);
	arena_done(&arena);
	socket_close(&s->fd);
	memory_free(s);
	return NULL;
}

void keeper_keys_serve(struct keeper_keys *k, struct role_context *r, unsigned peer, int fd)
{
	struct signer *s = NEW(struct signer);
	pthread_t thread;

	s->keys = k;
	s->peer = peer;
	s->fd = fd;
	if (pthread_create(&thread, NULL, serve, s) != 0) {
		role_log(r, "sign-failed", "why=\"no thread for signing\"");
		socket_close(&s->fd);
		memory_free(s);
		return;
	}
	pthread_detach(thread);
}
