#include "crypto/tls_client.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>

#include "base/memory.h"
#include "crypto/openssl.h"
#include "crypto/tls_inside.h"

struct tls_client_context {
	SSL_CTX *ssl;
	BIO_METHOD *bio;
	unsigned holders;
};

/* ---- TLSA records ---- */

/* The numbers of RFC 7218. */
enum { USAGE_TA = 2, USAGE_EE = 3, SELECTOR_SPKI = 1, MATCHING_SHA512 = 2 };

bool tlsa_is_usable(const struct tlsa *t)
{
	static const size_t lengths[] = {0, 32, 64};

	return (t->usage == USAGE_TA || t->usage == USAGE_EE) && t->selector <= SELECTOR_SPKI &&
	       t->matching <= MATCHING_SHA512 &&
	       (t->matching == 0 ? t->data.len > 0 : t->data.len == lengths[t->matching]);
}

/* ---- contexts ---- */

static bool add_roots(X509_STORE *store, struct bytes pem)
{
	BIO *bio = BIO_new_mem_buf(pem.ptr ? pem.ptr : "", (int)pem.len);
	STACK_OF(X509_INFO) *all = bio ? PEM_X509_INFO_read_bio(bio, NULL, NULL, NULL) : NULL;
	int count = 0;

	for (int i = 0; all && i < sk_X509_INFO_num(all); i++) {
		X509_INFO *info = sk_X509_INFO_value(all, i);

		if (info->x509 && X509_STORE_add_cert(store, info->x509) == 1)
			count++;
	}
	sk_X509_INFO_pop_free(all, X509_INFO_free);
	BIO_free(bio);
	return count > 0;
}

/* As one file, read now: behind the walls there is no folder to look into later. */
static bool add_system_roots(SSL_CTX *ssl)
{
	const char *const files[] = {"/etc/ssl/certs/ca-certificates.crt",
	                             "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem",
	                             X509_get_default_cert_file()};

	for (size_t i = 0; i < sizeof files / sizeof *files; i++)
		if (SSL_CTX_load_verify_file(ssl, files[i]) == 1)
			return true;
	return false;
}

static void set_options(SSL_CTX *ssl, bool only_1_3)
{
	SSL_CTX_set_options(ssl,
	                    SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_TICKET);
	SSL_CTX_set_mode(ssl, SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_quiet_shutdown(ssl, 0);
	if (SSL_CTX_set_min_proto_version(ssl, only_1_3 ? TLS1_3_VERSION : TLS1_2_VERSION) != 1 ||
	    SSL_CTX_set_cipher_list(ssl, "HIGH:!aNULL:!eNULL:!PSK:!SRP") != 1 ||
	    SSL_CTX_dane_enable(ssl) != 1)
		crypto_die("OpenSSL does not take our settings");
	/* RFC 7672, 3.1.1: with DANE-EE the name is the TLSA record's own. */
	SSL_CTX_dane_set_flags(ssl, DANE_FLAG_NO_DANE_EE_NAMECHECKS);
}

enum result tls_client_context_new(const struct tls_client_setup *setup,
                                   struct tls_client_context **ret, struct why *why)
{
	struct tls_client_context *c = NEW(struct tls_client_context);
	bool found;

	c->holders = 1;
	c->bio = tls_bio_method();
	c->ssl = SSL_CTX_new(TLS_client_method());
	if (!c->ssl)
		crypto_die("OpenSSL has no TLS");
	set_options(c->ssl, setup->only_1_3);
	ERR_clear_error();
	found = setup->roots.len ? add_roots(SSL_CTX_get_cert_store(c->ssl), setup->roots)
	                         : add_system_roots(c->ssl);
	ERR_clear_error();
	if (!found && setup->roots.len) {
		tls_client_context_free(&c);
		return why_set(why, INVALID, "the roots hold no certificate in PEM");
	}
	*ret = c;
	return found ? OK
	             : why_set(why, FAILED,
	                       "this system has no root certificates (Debian: ca-certificates)");
}

struct tls_client_context *tls_client_context_hold(struct tls_client_context *c)
{
	c->holders++;
	return c;
}

void tls_client_context_free(struct tls_client_context **context)
{
	struct tls_client_context *c = *context;

	*context = NULL;
	if (!c || --c->holders > 0)
		return;
	SSL_CTX_free(c->ssl);
	BIO_meth_free(c->bio);
	memory_free(c);
}

/* ---- what must be proved ---- */

static void name_of(struct bytes name, char ret[256])
{
	snprintf(ret, 256, "%.*s", BYTES_ARG(bytes_first(name, 255)));
}

static void add_name(struct tls *t, struct bytes name)
{
	char text[256];

	name_of(name, text);
	if (text[0] && X509_VERIFY_PARAM_add1_host(SSL_get0_param(t->ssl), text, 0) == 1)
		t->named = true;
}

static void add_names(struct tls *t, const struct tls_client_policy *p)
{
	/* RFC 9525, 6.3: one wildcard, the whole leftmost label; the subject is not looked at. */
	SSL_set_hostflags(t->ssl, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT |
	                                  X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	for (size_t i = 0; i < p->name_count; i++)
		add_name(t, p->names[i]);
	if (p->name_count == 0)
		add_name(t, p->sni);
	/* Without a name there would be no check of names at all. */
	if (!t->named &&
	    X509_VERIFY_PARAM_set1_host(SSL_get0_param(t->ssl), "no-name.invalid", 0) != 1)
		crypto_die("out of memory");
}

static bool add_records(struct tls *t, const struct tls_client_policy *p)
{
	char base[256];
	size_t usable = 0;

	name_of(p->name_count ? p->names[0] : p->sni, base);
	for (size_t i = 0; i < p->record_count; i++)
		usable += tlsa_is_usable(&p->records[i]);
	if (usable == 0 || base[0] == 0 || SSL_dane_enable(t->ssl, base) != 1)
		return false;
	usable = 0;
	for (size_t i = 0; i < p->record_count; i++) {
		const struct tlsa *r = &p->records[i];

		if (tlsa_is_usable(r) &&
		    SSL_dane_tlsa_add(t->ssl, r->usage, r->selector, r->matching,
		                      (const unsigned char *)r->data.ptr, r->data.len) == 1)
			usable++;
	}
	ERR_clear_error();
	return usable > 0;
}

/* Security levels (SSL_CTX_set_security_level): weak keys beat none where nobody was to be verified anyway. */
static void set_mode(struct tls *t, enum tls_client_mode mode)
{
	t->mode = mode;
	SSL_set_verify(t->ssl, mode == TLS_CLIENT_ANY ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, NULL);
	SSL_set_security_level(t->ssl, mode == TLS_CLIENT_ANY ? 0 : 1);
}

static struct tls *make(struct tls_client_context *c, const struct tls_client_policy *p)
{
	struct tls *t = tls_make(c->ssl, c->bio);
	char sni[256];

	t->client = tls_client_context_hold(c);
	SSL_set_connect_state(t->ssl);
	name_of(p->sni, sni);
	if (sni[0] && SSL_set_tlsext_host_name(t->ssl, sni) != 1)
		crypto_die("out of memory");
	return t;
}

struct tls *tls_client_new(struct tls_client_context *c, const struct tls_client_policy *p,
                           time_ms now)
{
	struct tls *t = make(c, p);

	if (p->mode == TLS_CLIENT_DANE && !add_records(t, p)) {
		/* Half a DANE setup cannot be undone: begin again. */
		tls_free(&t);
		t = make(c, p);
		set_mode(t, TLS_CLIENT_ANY);
	} else {
		set_mode(t, p->mode);
	}
	add_names(t, p);
	X509_VERIFY_PARAM_set_time(SSL_get0_param(t->ssl), (time_t)(now / 1000));
	return t;
}

/* ---- what was proved ---- */

static const struct meaning {
	long error;
	enum tls_failure failure;
} meanings[] = {
        {X509_V_ERR_HOSTNAME_MISMATCH, TLS_FAILURE_HOST_MISMATCH},
        {X509_V_ERR_IP_ADDRESS_MISMATCH, TLS_FAILURE_HOST_MISMATCH},
        {X509_V_ERR_CERT_HAS_EXPIRED, TLS_FAILURE_EXPIRED},
        {X509_V_ERR_CERT_NOT_YET_VALID, TLS_FAILURE_EXPIRED},
        {X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT, TLS_FAILURE_NOT_TRUSTED},
        {X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY, TLS_FAILURE_NOT_TRUSTED},
        {X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE, TLS_FAILURE_NOT_TRUSTED},
        {X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT, TLS_FAILURE_NOT_TRUSTED},
        {X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN, TLS_FAILURE_NOT_TRUSTED},
        {X509_V_ERR_CERT_UNTRUSTED, TLS_FAILURE_NOT_TRUSTED},
        {X509_V_ERR_CERT_REVOKED, TLS_FAILURE_NOT_TRUSTED},
};

static enum tls_failure failure_of(long error)
{
	for (size_t i = 0; i < sizeof meanings / sizeof *meanings; i++)
		if (meanings[i].error == error)
			return meanings[i].failure;
	return TLS_FAILURE_VALIDATION;
}

/* "certificate has expired (CN = mx.example.test)" */
static void describe_certificate(const struct tls *t, long error, char *out, size_t size)
{
	X509 *x = SSL_get0_peer_certificate(t->ssl);
	char subject[100] = "";

	if (x)
		X509_NAME_oneline(X509_get_subject_name(x), subject, sizeof subject);
	snprintf(out, size, "%s (its certificate is for %s)", X509_verify_cert_error_string(error),
	         subject[0] ? subject : "nobody");
}

void tls_client_broke(struct tls *t)
{
	unsigned long code = ERR_peek_last_error();
	long error = SSL_get_verify_result(t->ssl);
	const char *reason = code ? ERR_reason_error_string(code) : NULL;

	if (t->failure != TLS_FAILURE_NONE)
		return;
	if (t->mode != TLS_CLIENT_ANY && error != X509_V_OK &&
	    ERR_GET_REASON(code) == SSL_R_CERTIFICATE_VERIFY_FAILED) {
		t->failure = failure_of(error);
		describe_certificate(t, error, t->failure_text, sizeof t->failure_text);
		return;
	}
	t->failure = TLS_FAILURE_HANDSHAKE;
	snprintf(t->failure_text, sizeof t->failure_text, "%s",
	         reason ? reason : "the handshake failed");
}

const char *tls_failure_word(enum tls_failure f)
{
	static const char *const words[] = {
	        [TLS_FAILURE_NONE] = "",
	        [TLS_FAILURE_HOST_MISMATCH] = "certificate-host-mismatch",
	        [TLS_FAILURE_EXPIRED] = "certificate-expired",
	        [TLS_FAILURE_NOT_TRUSTED] = "certificate-not-trusted",
	        [TLS_FAILURE_VALIDATION] = "validation-failure",
	        [TLS_FAILURE_HANDSHAKE] = "validation-failure",
	};

	return words[f];
}

static void find_record(const struct tls *t, struct tls_client_verdict *ret)
{
	uint8_t usage, selector, matching;
	const unsigned char *data;
	size_t len;

	if (SSL_get0_dane_authority(t->ssl, NULL, NULL) < 0 ||
	    SSL_get0_dane_tlsa(t->ssl, &usage, &selector, &matching, &data, &len) < 0)
		return;
	ret->proved = TLS_CLIENT_DANE;
	ret->match = (struct tlsa){usage, selector, matching, bytes_of(data, len)};
}

void tls_client_verdict(const struct tls *t, struct tls_client_verdict *ret)
{
	bool good = tls_ready(t) && SSL_get0_peer_certificate(t->ssl) &&
	            SSL_get_verify_result(t->ssl) == X509_V_OK && t->named;

	*ret = (struct tls_client_verdict){.failure = t->failure};
	snprintf(ret->text, sizeof ret->text, "%s", t->failure_text);
	if (!tls_ready(t))
		return;
	ret->pkix = t->mode != TLS_CLIENT_DANE && good;
	if (t->mode == TLS_CLIENT_PKIX && good)
		ret->proved = TLS_CLIENT_PKIX;
	else if (t->mode == TLS_CLIENT_DANE)
		find_record(t, ret);
}
