/* Passwords: how they are kept, checked, and sealed. Only keeper calls this, with prepared
 * passwords (sasl/prepare.h), and the command line's setup for the sealing key.
 *
 *	password_credential_make(prepared, keep_old, &c);          slow: on a worker thread
 *	password_credential_seal(&c, key, label, &out);            what store keeps
 *	password_credential_open(sealed, key, label, &c);
 *	password_matches(&c, prepared);                            slow: on a worker thread
 *	password_credential_wipe(&c);
 *
 * A credential holds an Argon2id string (19 MiB, 2 passes), the SCRAM-SHA-256 keys (RFC 5802, 3;
 * RFC 7677) and, only where the operator allows CRAM-MD5 and APOP, the prepared password itself,
 * which those need. Sealed form: u8 version 1, 24 octets nonce, XChaCha20-Poly1305 of the encoded
 * credential with a label (what it is for) as associated data: store can neither read nor change
 * one. */
#ifndef CRYPTO_PASSWORD_H
#define CRYPTO_PASSWORD_H

#include "base/buf.h"
#include "base/limits.h"

enum {
	PASSWORD_SEAL_KEY = 32, /* octets in keys/seal.key */
	PASSWORD_HASH = 128,    /* an Argon2id string with its NUL */
	PASSWORD_SALT = 16,
	PASSWORD_KEY = 32,
	PASSWORD_ROUNDS =
	        20000, /* PBKDF2 rounds of new SCRAM keys, and what unknown users are told */
};

struct scram_keys {
	uint8_t salt[PASSWORD_SALT];
	uint32_t rounds;
	uint8_t stored_key[PASSWORD_KEY];
	uint8_t server_key[PASSWORD_KEY];
};

struct credential {
	char hash[PASSWORD_HASH];
	struct scram_keys scram;
	uint16_t plain_len; /* 0: CRAM-MD5 and APOP are not possible */
	char plain[LIMIT_PASSWORD];
};

/* password is 1 to LIMIT_PASSWORD octets, else INVALID or TOO_BIG. */
enum result password_credential_make(struct bytes password, bool keep_old,
                                     struct credential *ret) MUST_USE;
void password_credential_seal(const struct credential *c, const uint8_t key[PASSWORD_SEAL_KEY],
                              struct bytes label, struct buf *out);
/* DAMAGED: not sealed with this key and label. */
enum result password_credential_open(struct bytes sealed, const uint8_t key[PASSWORD_SEAL_KEY],
                                     struct bytes label, struct credential *ret) MUST_USE;
void password_credential_wipe(struct credential *c);

/* Argon2id: takes 20 ms and 19 MiB whatever the answer. */
bool password_matches(const struct credential *c, struct bytes password);
/* What an unknown user costs: the same work, always false. */
bool password_matches_nobody(struct bytes password);

/* SCRAM-SHA-256. */
void scram_keys_make(struct bytes password, const uint8_t salt[PASSWORD_SALT], uint32_t rounds,
                     struct scram_keys *ret);
/* Is ClientProof right for this AuthMessage (RFC 5802, 3)? proof must have 32 octets, else false.
 * */
bool scram_proof_matches(const struct scram_keys *k, struct bytes auth_message, struct bytes proof);
void scram_signature(const struct scram_keys *k, struct bytes auth_message,
                     uint8_t ret[PASSWORD_KEY]);
/* The client's side: ClientProof, and the ServerSignature that the server must answer with. password as it is; takes as
 * long as rounds say. */
void scram_client_proof(struct bytes password, struct bytes salt, uint32_t rounds,
                        struct bytes auth_message, uint8_t ret_proof[PASSWORD_KEY],
                        uint8_t ret_signature[PASSWORD_KEY]);

#endif
