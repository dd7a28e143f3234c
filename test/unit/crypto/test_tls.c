/* Our TLS server against OpenSSL's client, in memory, with the octets cut at random places. The private key is behind
 * a callback, as keeper's is. */
#include "../test.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "crypto/certificate.h"
#include "crypto/digest.h"
#include "crypto/sign.h"
#include "crypto/tls.h"

static const time_ms now = 1795000000000;

/* ---- a keeper of our own ---- */

struct key_box {
	struct private_key *keys[4];
	size_t count, signatures;
	unsigned last_scheme;
	bool broken;
};

static enum result sign(void *context, const struct remote_signature *s, struct buf *out)
{
	struct key_box *box = context;
	uint8_t id[DIGEST_SHA256];

	if (box->broken)
		return UNAVAILABLE;
	for (size_t i = 0; i < box->count; i++) {
		private_key_id(box->keys[i], id);
		if (memcmp(id, s->key, sizeof(id)) == 0) {
			box->signatures++;
			box->last_scheme = s->scheme;
			return private_key_sign(box->keys[i], s->scheme, s->digest, out);
		}
	}
	return NOT_FOUND;
}

static struct bytes add_certificate(struct key_box *box, const char *name, struct buf *pem)
{
	struct buf key = {0};
	struct why why = {""};

	certificate_make(bytes_of_text(name), now, pem, &key);
	assert_int_equal(private_key_parse(buf_bytes(&key), &box->keys[box->count], &why), OK);
	box->count++;
	buf_done(&key);
	return buf_bytes(pem);
}

/* A self-signed RSA certificate, for which certificate_make has no use. */
static struct bytes add_rsa(struct key_box *box, const char *name, struct buf *pem)
{
	EVP_PKEY *key = EVP_RSA_gen(2048);
	X509 *x = X509_new();
	BIO *bio = BIO_new(BIO_s_mem()), *key_bio = BIO_new(BIO_s_mem());
	char alt[100], *ptr;
	X509_EXTENSION *e;
	struct why why;
	long len;

	snprintf(alt, sizeof(alt), "DNS:%s", name);
	X509_set_version(x, X509_VERSION_3);
	X509_gmtime_adj(X509_getm_notBefore(x), 0);
	X509_gmtime_adj(X509_getm_notAfter(x), 86400);
	X509_set_pubkey(x, key);
	e = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, alt);
	X509_add_ext(x, e, -1);
	X509_EXTENSION_free(e);
	assert_true(X509_sign(x, key, EVP_sha384()) > 0);
	PEM_write_bio_X509(bio, x);
	PEM_write_bio_PrivateKey(key_bio, key, NULL, NULL, 0, NULL, NULL);
	len = BIO_get_mem_data(bio, &ptr);
	buf_append(pem, bytes_of(ptr, (size_t)len));
	len = BIO_get_mem_data(key_bio, &ptr);
	assert_int_equal(
	        private_key_parse(bytes_of(ptr, (size_t)len), &box->keys[box->count++], &why), OK);
	BIO_free(bio);
	BIO_free(key_bio);
	X509_free(x);
	EVP_PKEY_free(key);
	return buf_bytes(pem);
}

static void empty_box(struct key_box *box)
{
	for (size_t i = 0; i < box->count; i++)
		private_key_free(&box->keys[i]);
}

/* ---- a client ---- */

struct client {
	SSL_CTX *ctx;
	SSL *ssl;
	BIO *in, *out;
	bool done;
};

static SSL_SESSION *last_session;

static int keep_session(SSL *ssl, SSL_SESSION *session)
{
	SSL_SESSION_free(last_session);
	last_session = session;
	return 1;
}

static void client_begin(struct client *c, const char *sni, int max_version, SSL_SESSION *resume)
{
	c->ctx = SSL_CTX_new(TLS_client_method());
	SSL_CTX_set_max_proto_version(c->ctx, max_version);
	SSL_CTX_set_session_cache_mode(c->ctx,
	                               SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL_STORE);
	SSL_CTX_sess_set_new_cb(c->ctx, keep_session);
	c->ssl = SSL_new(c->ctx);
	c->in = BIO_new(BIO_s_mem());
	c->out = BIO_new(BIO_s_mem());
	SSL_set_bio(c->ssl, c->in, c->out);
	SSL_set_connect_state(c->ssl);
	if (sni)
		SSL_set_tlsext_host_name(c->ssl, sni);
	if (resume)
		SSL_set_session(c->ssl, resume);
	c->done = false;
}

static void client_end(struct client *c)
{
	/* Without it OpenSSL forbids the session to be resumed. */
	SSL_set_shutdown(c->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
	SSL_free(c->ssl);
	SSL_CTX_free(c->ctx);
}

static unsigned seed;

static size_t some(size_t most)
{
	seed = seed * 1103515245 + 12345;
	return 1 + (seed >> 8) % most;
}

/* Carries octets both ways in random pieces until nothing moves; what the server decrypts goes to plain. */
static enum result exchange(struct client *c, struct tls *t, struct buf *plain, struct why *why)
{
	struct buf out = {0};
	char room[4096];
	enum result r = OK;
	bool moved = true;

	while (moved && r == OK) {
		char *ptr;
		long len;

		moved = false;
		if (!c->done) {
			int n = SSL_do_handshake(c->ssl);

			c->done = n == 1;
		}
		len = BIO_get_mem_data(c->out, &ptr);
		if (len > 0) {
			int n = BIO_read(c->out, room, (int)some(len < 4096 ? (size_t)len : 4096));

			r = tls_feed(t, bytes_of(room, (size_t)n), plain, &out, why);
			moved = true;
		}
		if (buf_len(&out)) {
			size_t n = some(buf_len(&out));

			BIO_write(c->in, buf_bytes(&out).ptr, (int)n);
			buf_consume(&out, n);
			moved = true;
		}
		moved |= BIO_pending(c->out) > 0 || buf_len(&out) > 0;
		if (!moved && c->done && SSL_has_pending(c->ssl))
			break;
	}
	/* An alert on the way out, and tickets: they are read by the client. */
	if (buf_len(&out))
		BIO_write(c->in, buf_bytes(&out).ptr, (int)buf_len(&out));
	buf_done(&out);
	return r;
}

static struct tls_context *context_of(const struct bytes *pems, size_t count,
                                      const struct remote_signer *signer, bool only_1_3)
{
	struct tls_setup setup = {
	        .certificates = pems, .count = count, .signer = signer, .only_1_3 = only_1_3};
	struct tls_context *c;
	struct why why = {""};

	if (tls_context_new(&setup, &c, &why) != OK)
		fail_msg("%s", why.text);
	return c;
}

static void handshake(struct client *c, struct tls *t)
{
	struct buf plain = {0};
	struct why why = {""};

	if (exchange(c, t, &plain, &why) != OK)
		fail_msg("%s", why.text);
	assert_true(c->done);
	assert_true(tls_ready(t));
	assert_int_equal(buf_len(&plain), 0);
	buf_done(&plain);
}

static void check_echo(struct client *c, struct tls *t)
{
	struct buf plain = {0}, out = {0}, back = {0};
	static char big[100000], room[16384];
	struct why why = {""};
	int n;

	for (size_t i = 0; i < sizeof(big); i++)
		big[i] = (char)(i * 7);
	assert_int_equal(SSL_write(c->ssl, big, sizeof(big)), sizeof(big));
	assert_int_equal(exchange(c, t, &plain, &why), OK);
	assert_int_equal(buf_len(&plain), sizeof(big));
	assert_memory_equal(buf_bytes(&plain).ptr, big, sizeof(big));
	assert_int_equal(tls_write(t, bytes_of(big, sizeof(big)), &out), OK);
	while (buf_len(&out)) {
		size_t piece = some(buf_len(&out) < 5000 ? buf_len(&out) : 5000);

		BIO_write(c->in, buf_bytes(&out).ptr, (int)piece);
		buf_consume(&out, piece);
		while ((n = SSL_read(c->ssl, room, sizeof(room))) > 0)
			buf_append(&back, bytes_of(room, (size_t)n));
	}
	assert_int_equal(buf_len(&back), sizeof(big));
	assert_memory_equal(buf_bytes(&back).ptr, big, sizeof(big));
	buf_done(&plain);
	buf_done(&out);
	buf_done(&back);
}

static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};

static void test_splits(void **state)
{
	struct key_box box = {0};
	struct remote_signer signer = {sign, &box};
	struct buf pem = {0};
	struct bytes pems[1] = {add_certificate(&box, "mx.example.test", &pem)};
	struct tls_context *context = context_of(pems, 1, &signer, false);

	for (unsigned i = 0; i < 40; i++) {
		struct tls *t = tls_new(context);
		struct client c;

		seed = i;
		client_begin(&c, "mx.example.test", versions[i % 2], NULL);
		handshake(&c, t);
		check_echo(&c, t);
		client_end(&c);
		tls_free(&t);
	}
	assert_int_equal(box.signatures, 40);
	assert_int_equal(box.last_scheme, PRIVATE_KEY_ECDSA_SHA256);
	tls_context_free(&context);
	buf_done(&pem);
	empty_box(&box);
}

/* Both sides compute the same bindings; the certificate is the one that the name asks for. */
static void check_bindings(struct client *c, struct tls *t, const char *name)
{
	struct tls_info info;
	uint8_t exporter[32], endpoint[64];
	unsigned len = 0;
	X509 *x = SSL_get0_peer_certificate(c->ssl);
	int md_nid;

	tls_info(t, &info);
	assert_int_equal(X509_check_host(x, name, 0, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT, NULL), 1);
	SSL_export_keying_material(c->ssl, exporter, 32, "EXPORTER-Channel-Binding", 24, NULL, 0,
	                           0);
	assert_int_equal(info.exporter.len, 32);
	assert_memory_equal(info.exporter.ptr, exporter, 32);
	X509_get_signature_info(x, &md_nid, NULL, NULL, NULL);
	X509_digest(x, EVP_get_digestbynid(md_nid), endpoint, &len);
	assert_int_equal(info.endpoint.len, len);
	assert_memory_equal(info.endpoint.ptr, endpoint, len);
}

static void test_names_and_bindings(void **state)
{
	struct key_box box = {0};
	struct remote_signer signer = {sign, &box};
	struct buf a = {0}, b = {0};
	struct bytes pems[2] = {add_certificate(&box, "mx.example.test", &a),
	                        add_rsa(&box, "mail.example.jp", &b)};
	struct tls_context *context = context_of(pems, 2, &signer, false);
	static const char *const cases[][2] = {{"mx.example.test", "mx.example.test"},
	                                       {"mail.example.jp", "mail.example.jp"},
	                                       {"MAIL.example.jp", "mail.example.jp"},
	                                       {"unknown.example", "mx.example.test"},
	                                       {NULL, "mx.example.test"}};

	for (size_t i = 0; i < 2 * sizeof(cases) / sizeof(*cases); i++) {
		struct tls *t = tls_new(context);
		struct client c;

		client_begin(&c, cases[i / 2][0], versions[i % 2], NULL);
		handshake(&c, t);
		check_bindings(&c, t, cases[i / 2][1]);
		client_end(&c);
		tls_free(&t);
	}
	tls_context_free(&context);
	buf_done(&a);
	buf_done(&b);
	empty_box(&box);
}

/* RSA: PKCS#1 with TLS 1.2 where the client wants it, PSS with 1.3. */
static void test_rsa_schemes(void **state)
{
	struct key_box box = {0};
	struct remote_signer signer = {sign, &box};
	struct buf pem = {0};
	struct bytes pems[1] = {add_rsa(&box, "mx.example.test", &pem)};
	struct tls_context *context = context_of(pems, 1, &signer, false);
	struct tls *t = tls_new(context);
	struct client c;

	client_begin(&c, NULL, TLS1_3_VERSION, NULL);
	handshake(&c, t);
	assert_int_equal(box.last_scheme, PRIVATE_KEY_RSA_PSS_SHA256);
	client_end(&c);
	tls_free(&t);
	t = tls_new(context);
	client_begin(&c, NULL, TLS1_2_VERSION, NULL);
	SSL_set1_sigalgs_list(c.ssl, "RSA+SHA256");
	handshake(&c, t);
	assert_int_equal(box.last_scheme, PRIVATE_KEY_RSA_PKCS1_SHA256);
	client_end(&c);
	tls_free(&t);
	tls_context_free(&context);
	buf_done(&pem);
	empty_box(&box);
}

/* A client that can do ECDSA gets P-256, one that cannot gets RSA, under the same name. */
static void test_two_kinds(void **state)
{
	struct key_box box = {0};
	struct remote_signer signer = {sign, &box};
	struct buf a = {0}, b = {0};
	struct bytes pems[2] = {add_certificate(&box, "mx.example.test", &a),
	                        add_rsa(&box, "mx.example.test", &b)};
	struct tls_context *context = context_of(pems, 2, &signer, false);

	for (int i = 0; i < 2; i++) {
		struct tls *t = tls_new(context);
		struct client c;

		client_begin(&c, "mx.example.test", TLS1_3_VERSION, NULL);
		if (i == 1)
			SSL_set1_sigalgs_list(c.ssl, "RSA-PSS+SHA256:RSA+SHA256");
		handshake(&c, t);
		assert_int_equal(box.last_scheme,
		                 i ? PRIVATE_KEY_RSA_PSS_SHA256 : PRIVATE_KEY_ECDSA_SHA256);
		check_bindings(&c, t, "mx.example.test");
		client_end(&c);
		tls_free(&t);
	}
	tls_context_free(&context);
	buf_done(&a);
	buf_done(&b);
	empty_box(&box);
}

static void drain_tickets(struct client *c)
{
	char room[10];

	assert_int_equal(SSL_read(c->ssl, room, sizeof(room)), -1);
}

/* Tickets resume without a signature, in a second context with the same keys, and not after both keys have
 * changed; the endpoint binding is that of the first handshake. */
static void test_resumption(void **state)
{
	struct key_box box = {0};
	struct remote_signer signer = {sign, &box};
	struct buf pem = {0};
	struct bytes pems[1] = {add_certificate(&box, "mx.example.test", &pem)};
	char keys[3 * TLS_TICKET_KEY];

	for (size_t i = 0; i < sizeof(keys); i++)
		keys[i] = (char)(i * 13);
	for (int v = 0; v < 2; v++) {
		struct tls_context *one = context_of(pems, 1, &signer, false);
		struct tls_context *two = context_of(pems, 1, &signer, false);
		struct tls *t = tls_new(one);
		struct tls_info info;
		uint8_t endpoint[32];
		struct client c;
		size_t before;

		tls_free(&t);
		tls_context_ticket_keys(one, bytes_of(keys, TLS_TICKET_KEY));
		tls_context_ticket_keys(two, bytes_of(keys + TLS_TICKET_KEY, TLS_TICKET_KEY));
		t = tls_new(one);
		client_begin(&c, "mx.example.test", versions[v], NULL);
		handshake(&c, t);
		drain_tickets(&c);
		tls_info(t, &info);
		assert_false(info.resumed);
		memcpy(endpoint, info.endpoint.ptr, 32);
		client_end(&c);
		tls_free(&t);
		before = box.signatures;
		/* Unknown key: a full handshake, no error. */
		t = tls_new(two);
		SSL_SESSION_up_ref(last_session);
		SSL_SESSION *kept = last_session;
		client_begin(&c, "mx.example.test", versions[v], kept);
		handshake(&c, t);
		tls_info(t, &info);
		assert_false(info.resumed);
		assert_int_equal(box.signatures, before + 1);
		client_end(&c);
		tls_free(&t);
		/* The former key is the second now: it resumes. */
		{
			char both[2 * TLS_TICKET_KEY];

			memcpy(both, keys + TLS_TICKET_KEY, TLS_TICKET_KEY);
			memcpy(both + TLS_TICKET_KEY, keys, TLS_TICKET_KEY);
			tls_context_ticket_keys(two, bytes_of(both, sizeof(both)));
		}
		t = tls_new(two);
		client_begin(&c, "mx.example.test", versions[v], kept);
		handshake(&c, t);
		tls_info(t, &info);
		assert_true(info.resumed);
		assert_int_equal(box.signatures, before + 1);
		assert_int_equal(info.endpoint.len, 32);
		assert_memory_equal(info.endpoint.ptr, endpoint, 32);
		check_echo(&c, t);
		client_end(&c);
		tls_free(&t);
		SSL_SESSION_free(kept);
		tls_context_free(&one);
		tls_context_free(&two);
	}
	SSL_SESSION_free(last_session);
	last_session = NULL;
	buf_done(&pem);
	empty_box(&box);
}

/* keeper is away: the handshake fails with an alert, nothing hangs. */
static void test_no_signer(void **state)
{
	struct key_box box = {.broken = true};
	struct remote_signer signer = {sign, &box};
	struct buf pem = {0}, plain = {0};
	struct bytes pems[1] = {add_certificate(&box, "mx.example.test", &pem)};
	struct tls_context *context = context_of(pems, 1, &signer, false);
	struct tls *t = tls_new(context);
	struct why why = {""};
	struct client c;

	client_begin(&c, NULL, TLS1_3_VERSION, NULL);
	assert_int_equal(exchange(&c, t, &plain, &why), INVALID);
	assert_false(tls_ready(t));
	assert_int_equal(tls_feed(t, BYTES("more"), &plain, &plain, &why), INVALID);
	client_end(&c);
	tls_free(&t);
	tls_context_free(&context);
	buf_done(&pem);
	buf_done(&plain);
	empty_box(&box);
}

static void test_refusals(void **state)
{
	struct key_box box = {0};
	struct remote_signer signer = {sign, &box};
	struct buf pem = {0}, plain = {0}, out = {0};
	struct bytes pems[1] = {add_certificate(&box, "mx.example.test", &pem)};
	struct tls_context *context = context_of(pems, 1, &signer, true), *none = NULL;
	struct tls_setup bad = {.signer = &signer};
	struct why why = {""};
	struct tls *t;
	struct client c;

	/* Only 1.3. */
	t = tls_new(context);
	client_begin(&c, NULL, TLS1_2_VERSION, NULL);
	assert_int_equal(exchange(&c, t, &plain, &why), INVALID);
	assert_non_null(strstr(why.text, "TLS"));
	client_end(&c);
	tls_free(&t);
	/* Plain SMTP where TLS is expected. */
	t = tls_new(context);
	assert_int_equal(tls_feed(t, BYTES("EHLO client.example\r\n"), &plain, &out, &why),
	                 INVALID);
	assert_int_equal(buf_len(&plain), 0);
	tls_free(&t);
	/* No certificate, and one that is none. */
	assert_int_equal(tls_context_new(&bad, &none, &why), INVALID);
	bad.certificates = &BYTES("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
	bad.count = 1;
	assert_int_equal(tls_context_new(&bad, &none, &why), INVALID);
	assert_non_null(strstr(why.text, "certificate 1"));
	assert_null(none);
	tls_context_free(&context);
	buf_done(&pem);
	buf_done(&plain);
	buf_done(&out);
	empty_box(&box);
}

/* close_notify both ways; a context outlives its owner while a connection holds it. */
static void test_close(void **state)
{
	struct key_box box = {0};
	struct remote_signer signer = {sign, &box};
	struct buf pem = {0}, plain = {0}, out = {0};
	struct bytes pems[1] = {add_certificate(&box, "mx.example.test", &pem)};
	struct tls_context *context = context_of(pems, 1, &signer, false);
	struct tls *t = tls_new(context);
	struct why why = {""};
	struct client c;
	char room[10];

	tls_context_free(&context);
	client_begin(&c, NULL, TLS1_3_VERSION, NULL);
	handshake(&c, t);
	tls_close(t, &out);
	assert_true(buf_len(&out) > 0);
	BIO_write(c.in, buf_bytes(&out).ptr, (int)buf_len(&out));
	assert_int_equal(SSL_read(c.ssl, room, sizeof(room)), 0);
	assert_int_equal(SSL_get_error(c.ssl, 0), SSL_ERROR_ZERO_RETURN);
	SSL_write(c.ssl, "last", 4);
	SSL_shutdown(c.ssl);
	assert_int_equal(exchange(&c, t, &plain, &why), LOST);
	client_end(&c);
	tls_free(&t);
	buf_done(&pem);
	buf_done(&plain);
	buf_done(&out);
	empty_box(&box);
}

/* Random octets and damaged handshakes end with INVALID or wait for more; nothing else. */
static void test_noise(void **state)
{
	struct key_box box = {0};
	struct remote_signer signer = {sign, &box};
	struct buf pem = {0};
	struct bytes pems[1] = {add_certificate(&box, "mx.example.test", &pem)};
	struct tls_context *context = context_of(pems, 1, &signer, false);

	for (unsigned i = 0; i < 300; i++) {
		struct tls *t = tls_new(context);
		struct buf plain = {0}, out = {0};
		struct client c;
		struct why why;
		char *ptr;
		long len;

		seed = i;
		client_begin(&c, "mx.example.test", TLS1_3_VERSION, NULL);
		SSL_do_handshake(c.ssl);
		len = BIO_get_mem_data(c.out, &ptr);
		for (int k = 0; k < 3; k++)
			ptr[some((size_t)len) - 1] ^= (char)some(255);
		assert_true(tls_feed(t, bytes_of(ptr, (size_t)len), &plain, &out, &why) != LOST);
		assert_int_equal(buf_len(&plain), 0);
		client_end(&c);
		tls_free(&t);
		buf_done(&plain);
		buf_done(&out);
	}
	tls_context_free(&context);
	buf_done(&pem);
	empty_box(&box);
}

static void test_certificate(void **state)
{
	struct buf pem = {0}, key = {0}, chain = {0};
	struct certificate *c = NULL;
	struct private_key *k = NULL;
	uint8_t a[DIGEST_SHA256], b[DIGEST_SHA256];
	struct why why = {""};

	certificate_make(BYTES("mx.example.test"), now, &pem, &key);
	assert_int_equal(certificate_parse(buf_bytes(&pem), &c, &why), OK);
	assert_true(certificate_matches(c, BYTES("mx.example.test")));
	assert_true(certificate_matches(c, BYTES("MX.Example.Test")));
	assert_false(certificate_matches(c, BYTES("example.test")));
	assert_false(certificate_matches(c, BYTES("")));
	assert_int_equal(certificate_expires(c) / 86400000, now / 86400000 + 820);
	assert_int_equal(private_key_parse(buf_bytes(&key), &k, &why), OK);
	private_key_id(k, a);
	certificate_key_id(c, b);
	assert_memory_equal(a, b, sizeof(a));
	certificate_free(&c);
	/* A chain; then a chain whose second half is damaged. */
	buf_append(&chain, buf_bytes(&pem));
	buf_append(&chain, buf_bytes(&pem));
	assert_int_equal(certificate_parse(buf_bytes(&chain), &c, &why), OK);
	certificate_free(&c);
	chain.ptr[buf_len(&pem) + 100] = '!';
	assert_int_equal(certificate_parse(buf_bytes(&chain), &c, &why), INVALID);
	assert_int_equal(certificate_parse(buf_bytes(&key), &c, &why), INVALID);
	assert_int_equal(certificate_parse(BYTES(""), &c, &why), INVALID);
	private_key_free(&k);
	assert_int_equal(private_key_parse(buf_bytes(&pem), &k, &why), INVALID);
	buf_done(&pem);
	buf_done(&key);
	buf_done(&chain);
}

static void test_sign_refusals(void **state)
{
	struct key_box box = {0};
	struct buf pem = {0}, out = {0};

	add_certificate(&box, "a.example", &pem);
	assert_int_equal(private_key_sign(box.keys[0], PRIVATE_KEY_RSA_PSS_SHA256,
	                                  bytes_of("12345678123456781234567812345678", 32), &out),
	                 INVALID);
	assert_int_equal(
	        private_key_sign(box.keys[0], PRIVATE_KEY_ECDSA_SHA256, BYTES("short"), &out),
	        INVALID);
	assert_int_equal(private_key_sign(box.keys[0], 77, BYTES("short"), &out), INVALID);
	assert_int_equal(buf_len(&out), 0);
	buf_done(&pem);
	empty_box(&box);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_certificate), cmocka_unit_test(test_sign_refusals),
	        cmocka_unit_test(test_splits),      cmocka_unit_test(test_names_and_bindings),
	        cmocka_unit_test(test_rsa_schemes), cmocka_unit_test(test_two_kinds),
	        cmocka_unit_test(test_resumption),  cmocka_unit_test(test_no_signer),
	        cmocka_unit_test(test_refusals),    cmocka_unit_test(test_close),
	        cmocka_unit_test(test_noise),
	};

	crypto_warm();
	return TEST_MAIN(tests);
}
