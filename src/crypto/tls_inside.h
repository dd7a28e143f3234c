/* What tls.c and tls_client.c share: a connection, whichever side it is. */
#ifndef CRYPTO_TLS_INSIDE_H
#define CRYPTO_TLS_INSIDE_H

#include <openssl/ssl.h>

#include "crypto/tls.h"
#include "crypto/tls_client.h"

struct tls {
	SSL *ssl;
	struct tls_context *context;       /* of a server */
	struct tls_client_context *client; /* of a client */
	struct bytes in;                   /* during a call: ciphertext not yet taken */
	struct buf *out;                   /* during a call */
	char version[64];
	uint8_t exporter[TLS_EXPORTER];
	uint8_t endpoint[TLS_ENDPOINT_MAX];
	uint8_t endpoint_len;
	bool exporter_known, broken, described;

	/* of a client */
	enum tls_client_mode mode; /* ANY too where no TLSA record was usable */
	bool named;                /* there are names that the certificate was compared with */
	enum tls_failure failure;
	char failure_text[200];
};

BIO_METHOD *tls_bio_method(void);
/* A connection of neither side yet. */
struct tls *tls_make(SSL_CTX *ssl, BIO_METHOD *method);

/* The handshake has failed; OpenSSL's errors are still there. */
void tls_client_broke(struct tls *t);

#endif
