#include "crypto/password.h"

#include <openssl/evp.h>
#include <sodium.h>

#include "base/memory.h"
#include "base/wire.h"
#include "crypto/digest.h"
#include "crypto/openssl.h"

enum {
	PASSES = 2,
	MEMORY = 19 * 1024 * 1024,
	SEAL_VERSION = 1,
	SEAL_HEAD = 1 + crypto_aead_xchacha20poly1305_ietf_NPUBBYTES,
	SEAL_TAG = crypto_aead_xchacha20poly1305_ietf_ABYTES,
};

_Static_assert(PASSWORD_HASH >= crypto_pwhash_STRBYTES, "an Argon2id string fits");
_Static_assert(PASSWORD_SEAL_KEY == crypto_aead_xchacha20poly1305_ietf_KEYBYTES, "key length");

/* A hash that belongs to nobody, with the parameters of all others. */
static const char nobody[] = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0c2FsdA$"
                             "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

static struct bytes octets(const void *ptr, size_t len)
{
	return bytes_of(ptr, len);
}

/* ---- SCRAM-SHA-256 (RFC 5802, 3; RFC 7677) ---- */

void scram_keys_make(struct bytes password, const uint8_t salt[PASSWORD_SALT], uint32_t rounds,
                     struct scram_keys *ret)
{
	uint8_t salted[PASSWORD_KEY], client_key[PASSWORD_KEY];

	if (PKCS5_PBKDF2_HMAC(password.ptr, (int)password.len, salt, PASSWORD_SALT, (int)rounds,
	                      EVP_sha256(), sizeof salted, salted) != 1)
		crypto_die("PBKDF2");
	memcpy(ret->salt, salt, PASSWORD_SALT);
	ret->rounds = rounds;
	digest_hmac_sha256(octets(salted, sizeof salted), BYTES("Client Key"), client_key);
	digest_sha256(octets(client_key, sizeof client_key), ret->stored_key);
	digest_hmac_sha256(octets(salted, sizeof salted), BYTES("Server Key"), ret->server_key);
	memory_wipe(salted, sizeof salted);
	memory_wipe(client_key, sizeof client_key);
}

bool scram_proof_matches(const struct scram_keys *k, struct bytes auth_message, struct bytes proof)
{
	uint8_t client_key[PASSWORD_KEY], stored_key[PASSWORD_KEY];

	if (proof.len != PASSWORD_KEY)
		return false;
	/* ClientKey = ClientProof XOR ClientSignature */
	digest_hmac_sha256(octets(k->stored_key, PASSWORD_KEY), auth_message, client_key);
	for (size_t i = 0; i < PASSWORD_KEY; i++)
		client_key[i] ^= (uint8_t)proof.ptr[i];
	digest_sha256(octets(client_key, PASSWORD_KEY), stored_key);
	memory_wipe(client_key, sizeof client_key);
	return bytes_equal_secret(octets(stored_key, PASSWORD_KEY),
	                          octets(k->stored_key, PASSWORD_KEY));
}

void scram_signature(const struct scram_keys *k, struct bytes auth_message,
                     uint8_t ret[PASSWORD_KEY])
{
	digest_hmac_sha256(octets(k->server_key, PASSWORD_KEY), auth_message, ret);
}

void scram_client_proof(struct bytes password, struct bytes salt, uint32_t rounds,
                        struct bytes auth_message, uint8_t ret_proof[PASSWORD_KEY],
                        uint8_t ret_signature[PASSWORD_KEY])
{
	uint8_t salted[PASSWORD_KEY], key[PASSWORD_KEY], stored[PASSWORD_KEY];

	if (PKCS5_PBKDF2_HMAC(password.len ? password.ptr : "", (int)password.len,
	                      (const unsigned char *)salt.ptr, (int)salt.len, (int)rounds,
	                      EVP_sha256(), sizeof salted, salted) != 1)
		crypto_die("PBKDF2");
	digest_hmac_sha256(octets(salted, sizeof salted), BYTES("Client Key"), key);
	digest_sha256(octets(key, sizeof key), stored);
	digest_hmac_sha256(octets(stored, sizeof stored), auth_message, ret_proof);
	for (size_t i = 0; i < PASSWORD_KEY; i++)
		ret_proof[i] ^= key[i];
	digest_hmac_sha256(octets(salted, sizeof salted), BYTES("Server Key"), key);
	digest_hmac_sha256(octets(key, sizeof key), auth_message, ret_signature);
	memory_wipe(salted, sizeof salted);
	memory_wipe(key, sizeof key);
	memory_wipe(stored, sizeof stored);
}

/* ---- Argon2id ---- */

enum result password_credential_make(struct bytes password, bool keep_old, struct credential *ret)
{
	uint8_t salt[PASSWORD_SALT];

	if (password.len == 0)
		return INVALID;
	if (password.len > LIMIT_PASSWORD)
		return TOO_BIG;
	memset(ret, 0, sizeof *ret);
	if (crypto_pwhash_str_alg(ret->hash, password.ptr, password.len, PASSES, MEMORY,
	                          crypto_pwhash_ALG_ARGON2ID13) != 0)
		crypto_die("Argon2id: out of memory");
	randombytes_buf(salt, sizeof salt);
	scram_keys_make(password, salt, PASSWORD_ROUNDS, &ret->scram);
	if (keep_old) {
		memcpy(ret->plain, password.ptr, password.len);
		ret->plain_len = (uint16_t)password.len;
	}
	return OK;
}

bool password_matches(const struct credential *c, struct bytes password)
{
	return crypto_pwhash_str_verify(c->hash, password.len ? password.ptr : "", password.len) ==
	       0;
}

bool password_matches_nobody(struct bytes password)
{
	struct credential c = {0};

	memcpy(c.hash, nobody, sizeof nobody);
	return password_matches(&c, password) && false;
}

/* ---- sealing ---- */

static void encode(const struct credential *c, struct buf *out)
{
	buf_block(out, bytes_of_text(c->hash));
	buf_append(out, octets(c->scram.salt, PASSWORD_SALT));
	buf_u32(out, c->scram.rounds);
	buf_append(out, octets(c->scram.stored_key, PASSWORD_KEY));
	buf_append(out, octets(c->scram.server_key, PASSWORD_KEY));
	buf_block(out, octets(c->plain, c->plain_len));
}

static enum result decode(struct bytes in, struct credential *ret)
{
	struct wire w = wire_of(in);
	struct bytes hash = wire_block(&w);
	struct bytes salt = wire_take(&w, PASSWORD_SALT);
	uint32_t rounds = wire_u32(&w);
	struct bytes stored = wire_take(&w, PASSWORD_KEY);
	struct bytes server = wire_take(&w, PASSWORD_KEY);
	struct bytes plain = wire_block(&w);

	if (w.bad || w.rest.len || hash.len >= PASSWORD_HASH || plain.len > LIMIT_PASSWORD)
		return DAMAGED;
	memset(ret, 0, sizeof *ret);
	memcpy(ret->hash, hash.ptr, hash.len);
	memcpy(ret->scram.salt, salt.ptr, salt.len);
	ret->scram.rounds = rounds;
	memcpy(ret->scram.stored_key, stored.ptr, stored.len);
	memcpy(ret->scram.server_key, server.ptr, server.len);
	if (plain.len)
		memcpy(ret->plain, plain.ptr, plain.len);
	ret->plain_len = (uint16_t)plain.len;
	return OK;
}

void password_credential_seal(const struct credential *c, const uint8_t key[PASSWORD_SEAL_KEY],
                              struct bytes label, struct buf *out)
{
	struct buf clear = {0};
	uint8_t *room, *nonce;

	encode(c, &clear);
	room = (uint8_t *)buf_room(out, SEAL_HEAD + buf_len(&clear) + SEAL_TAG);
	room[0] = SEAL_VERSION;
	nonce = room + 1;
	randombytes_buf(nonce, SEAL_HEAD - 1);
	crypto_aead_xchacha20poly1305_ietf_encrypt(
	        room + SEAL_HEAD, NULL, (const uint8_t *)buf_bytes(&clear).ptr, buf_len(&clear),
	        (const uint8_t *)label.ptr, label.len, NULL, nonce, key);
	buf_added(out, SEAL_HEAD + buf_len(&clear) + SEAL_TAG);
	memory_wipe(clear.ptr, clear.size);
	buf_done(&clear);
}

enum result password_credential_open(struct bytes sealed, const uint8_t key[PASSWORD_SEAL_KEY],
                                     struct bytes label, struct credential *ret)
{
	struct buf clear = {0};
	const uint8_t *in = (const uint8_t *)sealed.ptr;
	unsigned long long len = 0;
	enum result r = DAMAGED;

	if (sealed.len < SEAL_HEAD + SEAL_TAG || sealed.len > sizeof(struct credential) * 2 ||
	    in[0] != SEAL_VERSION)
		return DAMAGED;
	if (crypto_aead_xchacha20poly1305_ietf_decrypt(
	            (uint8_t *)buf_room(&clear, sealed.len), &len, NULL, in + SEAL_HEAD,
	            sealed.len - SEAL_HEAD, (const uint8_t *)label.ptr, label.len, in + 1,
	            key) == 0) {
		buf_added(&clear, (size_t)len);
		r = decode(buf_bytes(&clear), ret);
	}
	memory_wipe(clear.ptr, clear.size);
	buf_done(&clear);
	return r;
}

void password_credential_wipe(struct credential *c)
{
	memory_wipe(c, sizeof *c);
}
