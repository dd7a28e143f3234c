/* TLS for servers, as a sealed engine: ciphertext in, plaintext out, and the other way round. No
 * sockets. For clients see crypto/tls_client.h.
 *
 *	struct tls_setup setup = {.certificates = pems, .count = n, .signer = &signer};
 *	tls_context_new(&setup, &context, &why);            one per configuration generation
 *	struct tls *t = tls_new(context);
 *	r = tls_feed(t, from_socket, &plain, &to_socket);   all of it is taken
 *	if (tls_ready(t)) tls_write(t, reply, &to_socket);
 *	tls_close(t, &to_socket);                           close_notify
 *
 * TLS 1.2 and 1.3 with forward secrecy; no renegotiation, no compression, no early data. Private
 * keys are elsewhere (crypto/remote_key.h). Resumption is by tickets under keys from outside, so
 * that any worker resumes what another began. Idle, a connection costs about 15 KiB. */
#ifndef CRYPTO_TLS_H
#define CRYPTO_TLS_H

#include "base/buf.h"
#include "base/time.h"
#include "crypto/remote_key.h"

struct tls_context;
struct tls;

enum {
	TLS_TICKET_KEY = 80, /* name 16, AES-256 key 32, HMAC-SHA-256 key 32 */
	TLS_TICKET_KEYS = 2, /* how many are good, the newest first */
	TLS_EXPORTER = 32,
	TLS_ENDPOINT_MAX = 64,
};

struct tls_setup {
	const struct bytes *certificates; /* PEM chains; the first one serves unknown names */
	size_t count;
	bool only_1_3;
	const struct remote_signer *signer; /* must outlive the context */
};

/* INVALID: why says which certificate and what is wrong. Certificates are parsed here; nothing of
 * setup but signer is borrowed afterwards. */
enum result tls_context_new(const struct tls_setup *setup, struct tls_context **ret,
                            struct why *why) MUST_USE;
/* Contexts are counted: connections hold one, so the owner may let go of it at any time. */
struct tls_context *tls_context_hold(struct tls_context *c);
void tls_context_free(struct tls_context **c);
/* 1 or 2 keys of TLS_TICKET_KEY octets; without any there is no resumption. */
void tls_context_ticket_keys(struct tls_context *c, struct bytes keys);

struct tls *tls_new(struct tls_context *c);
void tls_free(struct tls **t);

/* Takes all ciphertext; appends decrypted octets to plain and what has to be sent to out (also when
 * it fails: the alert). OK; LOST: the peer said close_notify (what came before it is in plain);
 * INVALID: broken, close the connection; why then says how, in OpenSSL's words. */
enum result tls_feed(struct tls *t, struct bytes ciphertext, struct buf *plain, struct buf *out,
                     struct why *why) MUST_USE;

/* The handshake is done. */
bool tls_ready(const struct tls *t);

/* Encrypts all of it. Only when ready. LOST: the connection is broken. */
enum result tls_write(struct tls *t, struct bytes plain, struct buf *out) MUST_USE;

/* Says close_notify; nothing can be written afterwards. */
void tls_close(struct tls *t, struct buf *out);

/* What a finished handshake agreed on. Texts and octets are good as long as the connection. */
struct tls_info {
	struct bytes version;  /* "TLSv1.3 TLS_AES_256_GCM_SHA384" */
	struct bytes exporter; /* tls-exporter (RFC 9266); empty where it would not be safe */
	struct bytes endpoint; /* tls-server-end-point (RFC 5929, 4.1) */
	struct bytes name;     /* SNI; may be empty */
	bool resumed;
};
void tls_info(struct tls *t, struct tls_info *ret);

#endif
