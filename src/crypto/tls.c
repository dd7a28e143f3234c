#include "crypto/tls.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <stdio.h>

#include "base/memory.h"
#include "crypto/openssl.h"
#include "crypto/tls_inside.h"

/* A certificate with its remote private key. */
struct identity {
	struct certificate *certificate;
	EVP_PKEY *key;
};

struct tls_context {
	SSL_CTX *ssl;
	BIO_METHOD *bio;
	struct identity *identities;
	size_t count;
	unsigned holders;
	size_t ticket_key_count;
	uint8_t ticket_keys[TLS_TICKET_KEYS * TLS_TICKET_KEY];
};

enum { READ_PIECE = 16 * 1024, TICKET_SECONDS = 24 * 60 * 60 };

/* The layout of a ticket key. */
enum { TICKET_NAME = 0, TICKET_AES = 16, TICKET_MAC = 48, TICKET_PART = 32 };

/* ---- OpenSSL's input and output: the caller's memory, nothing kept ---- */

static int bio_read(BIO *bio, char *ptr, int len)
{
	struct tls *t = BIO_get_data(bio);
	struct bytes piece = bytes_first(t->in, len > 0 ? (size_t)len : 0);

	BIO_clear_retry_flags(bio);
	if (piece.len == 0) {
		BIO_set_retry_read(bio);
		return -1;
	}
	memcpy(ptr, piece.ptr, piece.len);
	t->in = bytes_skip(t->in, piece.len);
	return (int)piece.len;
}

static int bio_write(BIO *bio, const char *ptr, int len)
{
	struct tls *t = BIO_get_data(bio);

	BIO_clear_retry_flags(bio);
	if (len > 0 && t->out)
		buf_append(t->out, bytes_of(ptr, (size_t)len));
	return len;
}

static long bio_control(BIO *bio, int command, long number, void *ptr)
{
	return command == BIO_CTRL_FLUSH;
}

static int bio_create(BIO *bio)
{
	BIO_set_init(bio, 1);
	return 1;
}

BIO_METHOD *tls_bio_method(void)
{
	BIO_METHOD *m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "hikyaku");

	if (!m || !BIO_meth_set_read(m, bio_read) || !BIO_meth_set_write(m, bio_write) ||
	    !BIO_meth_set_ctrl(m, bio_control) || !BIO_meth_set_create(m, bio_create))
		crypto_die("out of memory");
	return m;
}

/* ---- tickets (RFC 5077, RFC 8446, 4.6.1) ---- */

static const uint8_t *ticket_key_named(const struct tls_context *c, const unsigned char *name)
{
	for (size_t i = 0; i < c->ticket_key_count; i++)
		if (memcmp(c->ticket_keys + i * TLS_TICKET_KEY, name, TICKET_AES) == 0)
			return c->ticket_keys + i * TLS_TICKET_KEY;
	return NULL;
}

static int ticket_start(const uint8_t *key, unsigned char *iv, EVP_CIPHER_CTX *cipher,
                        EVP_MAC_CTX *mac, int encrypting)
{
	OSSL_PARAM params[] = {OSSL_PARAM_octet_string(OSSL_MAC_PARAM_KEY,
	                                               (void *)(key + TICKET_MAC), TICKET_PART),
	                       OSSL_PARAM_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)"SHA256", 0),
	                       OSSL_PARAM_END};

	return EVP_CipherInit_ex(cipher, EVP_aes_256_cbc(), NULL, key + TICKET_AES, iv,
	                         encrypting) == 1 &&
	       EVP_MAC_CTX_set_params(mac, params) == 1;
}

static int ticket_key(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
                      EVP_MAC_CTX *mac, int encrypting)
{
	struct tls_context *c = ((struct tls *)SSL_get_app_data(ssl))->context;
	const uint8_t *key = encrypting ? c->ticket_keys : ticket_key_named(c, name);

	if (!key || c->ticket_key_count == 0)
		return 0;
	if (encrypting) {
		memcpy(name, key + TICKET_NAME, TICKET_AES);
		if (RAND_bytes(iv, EVP_MAX_IV_LENGTH) != 1)
			return -1;
	}
	if (!ticket_start(key, iv, cipher, mac, encrypting))
		return -1;
	return key == c->ticket_keys ? 1 : 2; /* 2: good, and worth a new one */
}

/* tls-server-end-point (RFC 5929, 4.1): the certificate under its own signature's hash; MD5 and
 * SHA-1 count as SHA-256. */
static size_t endpoint_of(const X509 *x, uint8_t ret[TLS_ENDPOINT_MAX])
{
	int md_nid = NID_undef;
	unsigned len = 0;
	const EVP_MD *md;

	if (!x || !X509_get_signature_info((X509 *)x, &md_nid, NULL, NULL, NULL))
		return 0;
	if (md_nid == NID_md5 || md_nid == NID_sha1)
		md_nid = NID_sha256;
	md = EVP_get_digestbynid(md_nid);
	return md && EVP_MD_get_size(md) <= TLS_ENDPOINT_MAX && X509_digest(x, md, ret, &len) == 1
	               ? len
	               : 0;
}

/* A resumed connection shows no certificate; its client binds to the one that it saw. So the ticket
 * carries the binding. */
static int ticket_made(SSL *ssl, void *context)
{
	uint8_t endpoint[TLS_ENDPOINT_MAX];
	struct tls *t = SSL_get_app_data(ssl);
	size_t len = endpoint_of(SSL_get_certificate(ssl), endpoint);

	if (SSL_session_reused(ssl) && t->endpoint_len)
		return SSL_SESSION_set1_ticket_appdata(SSL_get_session(ssl), t->endpoint,
		                                       t->endpoint_len);
	return SSL_SESSION_set1_ticket_appdata(SSL_get_session(ssl), endpoint, len);
}

static SSL_TICKET_RETURN ticket_opened(SSL *ssl, SSL_SESSION *session, const unsigned char *name,
                                       size_t name_len, SSL_TICKET_STATUS status, void *context)
{
	struct tls *t = SSL_get_app_data(ssl);
	void *ptr = NULL;
	size_t len = 0;

	if (status != SSL_TICKET_SUCCESS && status != SSL_TICKET_SUCCESS_RENEW)
		return SSL_TICKET_RETURN_IGNORE_RENEW;
	if (SSL_SESSION_get0_ticket_appdata(session, &ptr, &len) == 1 && len &&
	    len <= TLS_ENDPOINT_MAX) {
		memcpy(t->endpoint, ptr, len);
		t->endpoint_len = (uint8_t)len;
	}
	return status == SSL_TICKET_SUCCESS ? SSL_TICKET_RETURN_USE : SSL_TICKET_RETURN_USE_RENEW;
}

/* ---- the certificate by name ---- */

static struct bytes sni(const SSL *ssl)
{
	return bytes_of_text(SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name));
}

static bool use(SSL *ssl, const struct identity *id)
{
	return SSL_use_cert_and_key(ssl, certificate_leaf(id->certificate), id->key,
	                            certificate_chain(id->certificate), 1) == 1;
}

/* Every certificate that has the name (an RSA one beside a P-256 one, say: OpenSSL then takes what
 * the client can), else the first one. */
static int choose(SSL *ssl, void *context)
{
	struct tls_context *c = ((struct tls *)SSL_get_app_data(ssl))->context;
	struct bytes name = sni(ssl);
	bool found = false;

	SSL_certs_clear(ssl);
	for (size_t i = c->count; i-- > 0;)
		if (certificate_matches(c->identities[i].certificate, name))
			found |= use(ssl, &c->identities[i]);
	return found || use(ssl, &c->identities[0]);
}

static int name_taken(SSL *ssl, int *alert, void *context)
{
	return SSL_TLSEXT_ERR_OK;
}

/* ---- contexts ---- */

static enum result add_identity(struct tls_context *c, const struct tls_setup *setup, size_t nth,
                                struct why *why)
{
	struct identity *id = &c->identities[c->count];
	struct why inner = {""};

	if (certificate_parse(setup->certificates[nth], &id->certificate, &inner) != OK)
		return why_set(why, INVALID, "certificate %zu: %s", nth + 1, inner.text);
	id->key = remote_key_new(X509_get0_pubkey(certificate_leaf(id->certificate)),
	                         setup->signer);
	c->count++;
	return id->key ? OK
	               : why_set(why, INVALID, "certificate %zu: not a kind of key we serve",
	                         nth + 1);
}

static void set_options(SSL_CTX *ssl, bool only_1_3)
{
	SSL_CTX_set_options(ssl, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
	                                 SSL_OP_CIPHER_SERVER_PREFERENCE |
	                                 SSL_OP_PRIORITIZE_CHACHA);
	SSL_CTX_set_mode(ssl, SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_timeout(ssl, TICKET_SECONDS);
	SSL_CTX_set_num_tickets(ssl, 1);
	SSL_CTX_set_quiet_shutdown(ssl, 0);
	if (SSL_CTX_set_min_proto_version(ssl, only_1_3 ? TLS1_3_VERSION : TLS1_2_VERSION) != 1 ||
	    SSL_CTX_set_cipher_list(ssl, "ECDHE+AESGCM:ECDHE+CHACHA20:ECDHE+AES:!aNULL") != 1 ||
	    SSL_CTX_set1_sigalgs_list(ssl, "ECDSA+SHA256:ECDSA+SHA384:RSA-PSS+SHA256:RSA+SHA256") !=
	            1 ||
	    SSL_CTX_set_session_id_context(ssl, (const unsigned char *)"hikyaku", 7) != 1)
		crypto_die("OpenSSL does not take our settings");
}

static void set_callbacks(SSL_CTX *ssl)
{
	SSL_CTX_set_cert_cb(ssl, choose, NULL);
	SSL_CTX_set_tlsext_servername_callback(ssl, name_taken);
	SSL_CTX_set_tlsext_ticket_key_evp_cb(ssl, ticket_key);
	SSL_CTX_set_session_ticket_cb(ssl, ticket_made, ticket_opened, NULL);
}

enum result tls_context_new(const struct tls_setup *setup, struct tls_context **ret,
                            struct why *why)
{
	struct tls_context *c = NEW(struct tls_context);
	enum result r = setup->count ? OK : why_set(why, INVALID, "there is no certificate");

	c->holders = 1;
	c->bio = tls_bio_method();
	c->ssl = SSL_CTX_new(TLS_server_method());
	if (!c->ssl)
		crypto_die("OpenSSL has no TLS");
	set_options(c->ssl, setup->only_1_3);
	set_callbacks(c->ssl);
	c->identities = memory_get((setup->count + 1) * sizeof *c->identities);
	for (size_t i = 0; r == OK && i < setup->count; i++)
		r = add_identity(c, setup, i, why);
	if (r != OK)
		tls_context_free(&c);
	else
		*ret = c;
	return r;
}

struct tls_context *tls_context_hold(struct tls_context *c)
{
	c->holders++;
	return c;
}

void tls_context_free(struct tls_context **context)
{
	struct tls_context *c = *context;

	*context = NULL;
	if (!c || --c->holders > 0)
		return;
	SSL_CTX_free(c->ssl);
	for (size_t i = 0; i < c->count; i++) {
		certificate_free(&c->identities[i].certificate);
		EVP_PKEY_free(c->identities[i].key);
	}
	memory_free(c->identities);
	BIO_meth_free(c->bio);
	memory_wipe(c->ticket_keys, sizeof c->ticket_keys);
	memory_free(c);
}

void tls_context_ticket_keys(struct tls_context *c, struct bytes keys)
{
	size_t count = keys.len / TLS_TICKET_KEY;

	if (count > TLS_TICKET_KEYS)
		count = TLS_TICKET_KEYS;
	memory_wipe(c->ticket_keys, sizeof c->ticket_keys);
	if (count)
		memcpy(c->ticket_keys, keys.ptr, count * TLS_TICKET_KEY);
	c->ticket_key_count = count;
}

/* ---- connections ---- */

struct tls *tls_make(SSL_CTX *ssl, BIO_METHOD *method)
{
	struct tls *t = NEW(struct tls);
	BIO *bio = BIO_new(method);

	t->ssl = SSL_new(ssl);
	if (!t->ssl || !bio)
		crypto_die("out of memory");
	BIO_set_data(bio, t);
	SSL_set_bio(t->ssl, bio, bio);
	SSL_set_app_data(t->ssl, t);
	return t;
}

struct tls *tls_new(struct tls_context *c)
{
	struct tls *t = tls_make(c->ssl, c->bio);

	t->context = tls_context_hold(c);
	SSL_set_accept_state(t->ssl);
	if (c->ticket_key_count == 0) {
		SSL_set_options(t->ssl, SSL_OP_NO_TICKET);
		SSL_set_num_tickets(t->ssl, 0);
	}
	return t;
}

void tls_free(struct tls **t)
{
	if (!*t)
		return;
	SSL_free((*t)->ssl);
	tls_context_free(&(*t)->context);
	tls_client_context_free(&(*t)->client);
	memory_wipe(*t, sizeof **t);
	memory_free(*t);
	*t = NULL;
}

static enum result broken(struct tls *t, struct why *why)
{
	char text[160];

	t->broken = true;
	if (t->client)
		tls_client_broke(t);
	crypto_error_text(text, sizeof text);
	return why_set(why, INVALID, "TLS: %s", text);
}

/* What SSL_read's end means. */
static enum result read_ended(struct tls *t, int n, struct why *why)
{
	switch (SSL_get_error(t->ssl, n)) {
	case SSL_ERROR_WANT_READ:
	case SSL_ERROR_WANT_WRITE: return OK;
	case SSL_ERROR_ZERO_RETURN: return LOST;
	default: return broken(t, why);
	}
}

enum result tls_feed(struct tls *t, struct bytes ciphertext, struct buf *plain, struct buf *out,
                     struct why *why)
{
	enum result r;
	int n;

	if (t->broken)
		return why_set(why, INVALID, "TLS: broken before");
	ERR_clear_error();
	t->in = ciphertext;
	t->out = out;
	while ((n = SSL_read(t->ssl, buf_room(plain, READ_PIECE), READ_PIECE)) > 0)
		buf_added(plain, (size_t)n);
	r = read_ended(t, n, why);
	t->in = (struct bytes){0};
	t->out = NULL;
	ERR_clear_error();
	return r;
}

bool tls_ready(const struct tls *t)
{
	return !t->broken && SSL_is_init_finished(t->ssl);
}

enum result tls_write(struct tls *t, struct bytes plain, struct buf *out)
{
	size_t done = 0;
	enum result r = OK;

	if (t->broken)
		return LOST;
	ERR_clear_error();
	t->out = out;
	if (plain.len && SSL_write_ex(t->ssl, plain.ptr, plain.len, &done) != 1) {
		t->broken = true;
		r = LOST;
	}
	t->out = NULL;
	ERR_clear_error();
	return r;
}

void tls_close(struct tls *t, struct buf *out)
{
	if (t->broken || !SSL_is_init_finished(t->ssl))
		return;
	ERR_clear_error();
	t->out = out;
	SSL_shutdown(t->ssl);
	t->out = NULL;
	ERR_clear_error();
}

/* The exporter without a context, as GnuTLS and others do; TLS 1.2 has a safe one only with
 * extended master secret (RFC 9266, 3). */
static void describe(struct tls *t)
{
	bool safe = SSL_version(t->ssl) >= TLS1_3_VERSION || SSL_get_extms_support(t->ssl) == 1;

	snprintf(t->version, sizeof t->version, "%s %s", SSL_get_version(t->ssl),
	         SSL_get_cipher_name(t->ssl));
	t->exporter_known = safe && SSL_export_keying_material(t->ssl, t->exporter, TLS_EXPORTER,
	                                                       "EXPORTER-Channel-Binding", 24, NULL,
	                                                       0, 0) == 1;
	if (!SSL_session_reused(t->ssl))
		t->endpoint_len = (uint8_t)endpoint_of(t->client ? SSL_get0_peer_certificate(t->ssl)
		                                                 : SSL_get_certificate(t->ssl),
		                                       t->endpoint);
	t->described = true;
}

void tls_info(struct tls *t, struct tls_info *ret)
{
	if (!t->described)
		describe(t);
	*ret = (struct tls_info){
	        .version = bytes_of_text(t->version),
	        .exporter = bytes_of(t->exporter, t->exporter_known ? TLS_EXPORTER : 0),
	        .endpoint = bytes_of(t->endpoint, t->endpoint_len),
	        .name = sni(t->ssl),
	        .resumed = SSL_session_reused(t->ssl) == 1,
	};
}
