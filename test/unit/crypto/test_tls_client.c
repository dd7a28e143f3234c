/* Our TLS client against our TLS server, in memory, octets cut at random places: what each way of looking at a certificate
 * accepts and refuses, with certificates made here. */
#include "../test.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "crypto/digest.h"
#include "crypto/sign.h"
#include "crypto/tls.h"
#include "crypto/tls_client.h"

static const time_ms now = 1795000000000;

/* ---- certificates ---- */

struct made {
	EVP_PKEY *key;
	X509 *x;
};

static void extend(X509 *x, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX ctx;
	X509_EXTENSION *e;

	X509V3_set_ctx_nodb(&ctx);
	X509V3_set_ctx(&ctx, issuer, x, NULL, NULL, 0);
	e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	assert_non_null(e);
	X509_add_ext(x, e, -1);
	X509_EXTENSION_free(e);
}

/* issuer NULL: signed by itself. Days are counted from now. */
static struct made make(const char *name, const struct made *issuer, bool ca, int from, int to)
{
	static long serial = 1;
	struct made m = {EVP_EC_gen("P-256"), X509_new()};
	time_t t = (time_t)(now / 1000);
	X509_NAME *subject = X509_get_subject_name(m.x);
	char alt[200];

	X509_set_version(m.x, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(m.x), serial++);
	X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, (const unsigned char *)name, -1,
	                           -1, 0);
	X509_set_issuer_name(m.x, issuer ? X509_get_subject_name(issuer->x) : subject);
	X509_time_adj_ex(X509_getm_notBefore(m.x), from, 0, &t);
	X509_time_adj_ex(X509_getm_notAfter(m.x), to, 0, &t);
	X509_set_pubkey(m.x, m.key);
	if (ca) {
		extend(m.x, m.x, NID_basic_constraints, "critical,CA:TRUE");
		extend(m.x, m.x, NID_key_usage, "critical,keyCertSign,cRLSign");
	} else {
		snprintf(alt, sizeof(alt), "DNS:%s", name);
		extend(m.x, issuer ? issuer->x : m.x, NID_subject_alt_name, alt);
	}
	X509_sign(m.x, issuer ? issuer->key : m.key, EVP_sha256());
	return m;
}

static void unmake(struct made *m)
{
	EVP_PKEY_free(m->key);
	X509_free(m->x);
}

static void put_pem(X509 *x, struct buf *out)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *ptr;
	long len;

	PEM_write_bio_X509(bio, x);
	len = BIO_get_mem_data(bio, &ptr);
	buf_append(out, bytes_of(ptr, (size_t)len));
	BIO_free(bio);
}

static struct private_key *private_of(EVP_PKEY *key)
{
	BIO *bio = BIO_new(BIO_s_mem());
	struct private_key *k = NULL;
	struct why why;
	char *ptr;
	long len;

	PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL);
	len = BIO_get_mem_data(bio, &ptr);
	assert_int_equal(private_key_parse(bytes_of(ptr, (size_t)len), &k, &why), OK);
	BIO_free(bio);
	return k;
}

/* The world of these tests. */
static struct {
	struct made root, other_root, inner, good, wild, late, early, self, late_self, by_inner;
} all;

/* ---- a host ---- */

struct host {
	struct private_key *key;
	struct remote_signer signer;
	struct tls_context *context;
};

static enum result sign(void *context, const struct remote_signature *s, struct buf *out)
{
	return private_key_sign(context, s->scheme, s->digest, out);
}

/* leaf first, then what else the host shows. */
static void host_begin(struct host *h, const struct made *leaf, const struct made *second,
                       const struct made *third)
{
	struct buf pem = {0};
	struct bytes text;
	struct why why = {""};

	put_pem(leaf->x, &pem);
	if (second)
		put_pem(second->x, &pem);
	if (third)
		put_pem(third->x, &pem);
	h->key = private_of(leaf->key);
	h->signer = (struct remote_signer){sign, h->key};
	text = buf_bytes(&pem);
	if (tls_context_new(
	            &(struct tls_setup){.certificates = &text, .count = 1, .signer = &h->signer},
	            &h->context, &why) != OK)
		fail_msg("%s", why.text);
	buf_done(&pem);
}

static void host_end(struct host *h)
{
	tls_context_free(&h->context);
	private_key_free(&h->key);
}

/* ---- a handshake ---- */

static unsigned seed;

static size_t some(size_t most)
{
	seed = seed * 1103515245 + 12345;
	return 1 + (seed >> 8) % most;
}

/* One piece from `from` into t; what it answers goes to `to`. */
static enum result carry(struct buf *from, struct tls *t, struct buf *plain, struct buf *to)
{
	size_t n = some(buf_len(from));
	struct why why = {""};
	enum result r = tls_feed(t, bytes_first(buf_bytes(from), n), plain, to, &why);

	buf_consume(from, n);
	return r;
}

/* Until nothing moves, or one of them is done with the other. Returns the client's result. */
static enum result exchange(struct tls *client, struct tls *server, struct buf *to_client,
                            struct buf *to_server, struct buf *client_plain,
                            struct buf *server_plain)
{
	enum result r = OK, theirs = OK;
	struct why why = {""};

	r = tls_feed(client, (struct bytes){0}, client_plain, to_server, &why);
	while (r == OK && theirs == OK && (buf_len(to_server) || buf_len(to_client))) {
		if (buf_len(to_server))
			theirs = carry(to_server, server, server_plain, to_client);
		if (buf_len(to_client))
			r = carry(to_client, client, client_plain, to_server);
	}
	return r;
}

static struct tls_client_context *client_context(void)
{
	struct tls_client_context *c;
	struct buf pem = {0};
	struct why why = {""};

	put_pem(all.root.x, &pem);
	assert_int_equal(tls_client_context_new(
	                         &(struct tls_client_setup){.roots = buf_bytes(&pem)}, &c, &why),
	                 OK);
	buf_done(&pem);
	return c;
}

static struct tls_client_verdict meet(struct host *h, const struct tls_client_policy *p,
                                      enum result *ret, bool *ret_tls)
{
	struct tls_client_context *c = client_context();
	struct tls *client = tls_client_new(c, p, now), *server = tls_new(h->context);
	struct buf a = {0}, b = {0}, plain = {0}, back = {0};
	struct tls_client_verdict v;

	tls_client_context_free(&c);
	*ret = exchange(client, server, &a, &b, &plain, &back);
	*ret_tls = tls_ready(client);
	tls_client_verdict(client, &v);
	v.match.data = (struct bytes){0};
	if (*ret_tls) {
		assert_int_equal(tls_write(client, BYTES("EHLO a\r\n"), &b), OK);
		assert_int_equal(exchange(client, server, &a, &b, &plain, &back), OK);
		assert_bytes(buf_bytes(&back), BYTES("EHLO a\r\n"));
		assert_int_equal(tls_write(server, BYTES("250 b\r\n"), &a), OK);
		assert_int_equal(exchange(client, server, &a, &b, &plain, &back), OK);
		assert_bytes(buf_bytes(&plain), BYTES("250 b\r\n"));
	} else {
		/* Not one octet of a host that was not accepted is plaintext. */
		assert_int_equal(buf_len(&plain), 0);
		assert_int_equal(tls_write(client, BYTES("secret"), &b), LOST);
	}
	tls_free(&client);
	tls_free(&server);
	buf_done(&a);
	buf_done(&b);
	buf_done(&plain);
	buf_done(&back);
	return v;
}

/* ---- PKIX and opportunistic ---- */

struct pkix_case {
	const char *what;
	const struct made *leaf, *second;
	const char *names[3];
	enum tls_failure failure; /* NONE: verified */
};

static struct tls_client_policy policy_of(enum tls_client_mode mode, const char *const *names,
                                          struct bytes ret[3])
{
	struct tls_client_policy p = {.mode = mode, .names = ret};

	while (p.name_count < 3 && names[p.name_count]) {
		ret[p.name_count] = bytes_of_text(names[p.name_count]);
		p.name_count++;
	}
	p.sni = p.name_count ? ret[0] : (struct bytes){0};
	return p;
}

static void check_pkix(const struct pkix_case *c)
{
	struct bytes names[3];
	struct tls_client_policy p = policy_of(TLS_CLIENT_PKIX, c->names, names);
	struct tls_client_verdict v;
	struct host h;
	enum result r;
	bool tls;

	host_begin(&h, c->leaf, c->second, NULL);
	v = meet(&h, &p, &r, &tls);
	if (v.failure != c->failure)
		fail_msg("%s: %s (%s)", c->what, tls_failure_word(v.failure), v.text);
	assert_int_equal(r, c->failure ? INVALID : OK);
	assert_int_equal(tls, c->failure == TLS_FAILURE_NONE);
	assert_int_equal(v.proved, c->failure ? TLS_CLIENT_ANY : TLS_CLIENT_PKIX);
	assert_int_equal(v.text[0] != 0, c->failure != TLS_FAILURE_NONE);
	/* The same host, with opportunistic TLS: always accepted, and the truth is known. */
	p.mode = TLS_CLIENT_ANY;
	v = meet(&h, &p, &r, &tls);
	assert_true(tls);
	assert_int_equal(v.failure, TLS_FAILURE_NONE);
	assert_int_equal(v.proved, TLS_CLIENT_ANY);
	if (v.pkix != (c->failure == TLS_FAILURE_NONE))
		fail_msg("%s: opportunistic TLS thinks otherwise", c->what);
	host_end(&h);
}

static void test_pkix(void **state)
{
	const struct pkix_case cases[] = {
	        {"good", &all.good, NULL, {"mx.far.test"}, TLS_FAILURE_NONE},
	        {"in capitals", &all.good, NULL, {"MX.Far.Test"}, TLS_FAILURE_NONE},
	        {"one of two names",
	         &all.good,
	         NULL,
	         {"far.test", "mx.far.test"},
	         TLS_FAILURE_NONE},
	        {"an inner certificate that is shown",
	         &all.by_inner,
	         &all.inner,
	         {"in.far.test"},
	         TLS_FAILURE_NONE},
	        {"... that is not", &all.by_inner, NULL, {"in.far.test"}, TLS_FAILURE_NOT_TRUSTED},
	        {"wildcard", &all.wild, NULL, {"a.wild.test"}, TLS_FAILURE_NONE},
	        {"wildcard for two labels",
	         &all.wild,
	         NULL,
	         {"a.b.wild.test"},
	         TLS_FAILURE_HOST_MISMATCH},
	        {"wildcard for none", &all.wild, NULL, {"wild.test"}, TLS_FAILURE_HOST_MISMATCH},
	        {"another name", &all.good, NULL, {"mx.else.test"}, TLS_FAILURE_HOST_MISMATCH},
	        {"a parent's name", &all.good, NULL, {"far.test"}, TLS_FAILURE_HOST_MISMATCH},
	        {"no name to compare with", &all.good, NULL, {NULL}, TLS_FAILURE_HOST_MISMATCH},
	        {"expired", &all.late, NULL, {"mx.far.test"}, TLS_FAILURE_EXPIRED},
	        {"not yet", &all.early, NULL, {"mx.far.test"}, TLS_FAILURE_EXPIRED},
	        {"signed by itself", &all.self, NULL, {"mx.far.test"}, TLS_FAILURE_NOT_TRUSTED},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		seed = (unsigned)i;
		check_pkix(&cases[i]);
	}
}

/* ---- DANE ---- */

/* The data of a TLSA record for a certificate. */
static struct bytes association(const X509 *x, uint8_t selector, uint8_t matching, uint8_t *room)
{
	unsigned char *der = NULL;
	int len = selector ? i2d_PUBKEY(X509_get0_pubkey(x), &der) : i2d_X509(x, &der);
	unsigned size = (unsigned)len;

	assert_true(len > 0 && len < 4096);
	if (matching == 0)
		memcpy(room, der, size);
	else
		EVP_Digest(der, (size_t)len, room, &size,
		           matching == 1 ? EVP_sha256() : EVP_sha512(), NULL);
	OPENSSL_free(der);
	return bytes_of(room, size);
}

struct dane_case {
	const char *what;
	const struct made *leaf, *second, *third;
	const char *names[3];
	uint8_t usage;
	const struct made *recorded;
	enum tls_failure failure;
};

static void check_dane_one(const struct dane_case *c, uint8_t selector, uint8_t matching)
{
	uint8_t room[4096], wrong[32] = {1, 2, 3};
	struct tlsa records[2] = {{c->usage, selector, matching, {0}},
	                          {3, 1, 1, bytes_of(wrong, sizeof(wrong))}};
	struct bytes names[3];
	struct tls_client_policy p = policy_of(TLS_CLIENT_DANE, c->names, names);
	struct tls_client_verdict v;
	struct host h;
	enum result r;
	bool tls;

	records[0].data = association(c->recorded->x, selector, matching, room);
	p.records = records;
	p.record_count = 2;
	host_begin(&h, c->leaf, c->second, c->third);
	v = meet(&h, &p, &r, &tls);
	if (v.failure != c->failure || tls != (c->failure == TLS_FAILURE_NONE))
		fail_msg("%s, %u %u %u: %s (%s)", c->what, c->usage, selector, matching,
		         tls_failure_word(v.failure), v.text);
	assert_int_equal(v.proved, c->failure ? TLS_CLIENT_ANY : TLS_CLIENT_DANE);
	if (!c->failure) {
		assert_int_equal(v.match.usage, c->usage);
		assert_int_equal(v.match.selector, selector);
		assert_int_equal(v.match.matching, matching);
	}
	host_end(&h);
}

/* Every selector and matching type, with a record that fits nobody beside it. */
static void check_dane(const struct dane_case *c)
{
	for (uint8_t selector = 0; selector <= 1; selector++)
		for (uint8_t matching = 0; matching <= 2; matching++)
			check_dane_one(c, selector, matching);
}

static void test_dane(void **state)
{
	const struct dane_case cases[] = {
	        /* DANE-EE: the key is all that counts (RFC 7672, 3.1.1). */
	        {"EE, signed by itself",
	         &all.self,
	         NULL,
	         NULL,
	         {"mx.far.test"},
	         3,
	         &all.self,
	         TLS_FAILURE_NONE},
	        {"EE, another name",
	         &all.self,
	         NULL,
	         NULL,
	         {"mx.else.test"},
	         3,
	         &all.self,
	         TLS_FAILURE_NONE},
	        {"EE, expired",
	         &all.late_self,
	         NULL,
	         NULL,
	         {"mx.far.test"},
	         3,
	         &all.late_self,
	         TLS_FAILURE_NONE},
	        {"EE, expired, by a root",
	         &all.late,
	         NULL,
	         NULL,
	         {"mx.far.test"},
	         3,
	         &all.late,
	         TLS_FAILURE_NONE},
	        {"EE, another key",
	         &all.good,
	         NULL,
	         NULL,
	         {"mx.far.test"},
	         3,
	         &all.self,
	         TLS_FAILURE_VALIDATION},
	        {"EE, the record is of the root",
	         &all.good,
	         &all.root,
	         NULL,
	         {"mx.far.test"},
	         3,
	         &all.root,
	         TLS_FAILURE_VALIDATION},
	        /* DANE-TA: chain, dates and names (3.1.2). */
	        {"TA", &all.good, &all.root, NULL, {"mx.far.test"}, 2, &all.root, TLS_FAILURE_NONE},
	        {"TA, the second name",
	         &all.good,
	         &all.root,
	         NULL,
	         {"far.test", "mx.far.test"},
	         2,
	         &all.root,
	         TLS_FAILURE_NONE},
	        {"TA, an inner one",
	         &all.by_inner,
	         &all.inner,
	         NULL,
	         {"in.far.test"},
	         2,
	         &all.inner,
	         TLS_FAILURE_NONE},
	        {"TA, another name",
	         &all.good,
	         &all.root,
	         NULL,
	         {"mx.else.test"},
	         2,
	         &all.root,
	         TLS_FAILURE_HOST_MISMATCH},
	        {"TA, expired",
	         &all.late,
	         &all.root,
	         NULL,
	         {"mx.far.test"},
	         2,
	         &all.root,
	         TLS_FAILURE_EXPIRED},
	        {"TA, another root",
	         &all.good,
	         &all.root,
	         NULL,
	         {"mx.far.test"},
	         2,
	         &all.other_root,
	         TLS_FAILURE_VALIDATION},
	        {"TA, the record is of the leaf alone",
	         &all.self,
	         NULL,
	         NULL,
	         {"mx.far.test"},
	         2,
	         &all.root,
	         TLS_FAILURE_VALIDATION},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		seed = (unsigned)i;
		check_dane(&cases[i]);
	}
}

/* PKIX-TA, PKIX-EE, unknown numbers, wrong lengths: RFC 7672, 2.2 and 3.1.3: TLS, not verified. */
static void test_dane_unusable(void **state)
{
	uint8_t digest[64] = {9};
	const struct tlsa bad[] = {
	        {0, 1, 1, bytes_of(digest, 32)}, {1, 1, 1, bytes_of(digest, 32)},
	        {4, 1, 1, bytes_of(digest, 32)}, {255, 1, 1, bytes_of(digest, 32)},
	        {3, 2, 1, bytes_of(digest, 32)}, {3, 1, 3, bytes_of(digest, 32)},
	        {3, 1, 1, bytes_of(digest, 31)}, {3, 1, 1, bytes_of(digest, 64)},
	        {3, 1, 2, bytes_of(digest, 32)}, {2, 0, 0, {0}},
	};
	const char *const name[] = {"mx.far.test", NULL};
	struct bytes names[3];
	struct tls_client_policy p = policy_of(TLS_CLIENT_DANE, name, names);
	struct tls_client_verdict v;
	struct host h;
	enum result r;
	bool tls;

	host_begin(&h, &all.self, NULL, NULL);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_false(tlsa_is_usable(&bad[i]));
	p.records = bad;
	p.record_count = sizeof(bad) / sizeof(*bad);
	v = meet(&h, &p, &r, &tls);
	assert_true(tls);
	assert_int_equal(v.proved, TLS_CLIENT_ANY);
	/* A whole certificate that is none: not usable either, found only by looking. */
	p.records = &(struct tlsa){3, 0, 0, BYTES("no certificate")};
	p.record_count = 1;
	v = meet(&h, &p, &r, &tls);
	assert_true(tls);
	assert_int_equal(v.proved, TLS_CLIENT_ANY);
	p.record_count = 0;
	v = meet(&h, &p, &r, &tls);
	assert_true(tls);
	host_end(&h);
}

/* ---- the rest ---- */

/* Somebody who talks no TLS; a cut connection; nothing at all. */
static void test_no_tls(void **state)
{
	struct tls_client_context *c = client_context();
	struct tls_client_policy p = {.sni = BYTES("mx.far.test"), .mode = TLS_CLIENT_ANY};
	struct tls *t = tls_client_new(c, &p, now);
	struct buf plain = {0}, out = {0};
	struct tls_client_verdict v;
	struct why why = {""};

	assert_int_equal(tls_feed(t, (struct bytes){0}, &plain, &out, &why), OK);
	assert_true(buf_len(&out) > 0);
	assert_int_equal(tls_feed(t, BYTES("500 what is this?\r\n"), &plain, &out, &why), INVALID);
	tls_client_verdict(t, &v);
	assert_int_equal(v.failure, TLS_FAILURE_HANDSHAKE);
	assert_true(v.text[0]);
	assert_int_equal(buf_len(&plain), 0);
	tls_free(&t);
	tls_client_context_free(&c);
	buf_done(&plain);
	buf_done(&out);
}

/* The bindings are the same at both ends; the version is told. */
static void test_info(void **state)
{
	struct tls_client_context *c = client_context();
	struct tls_client_policy p = {.sni = BYTES("mx.far.test"), .mode = TLS_CLIENT_PKIX};
	struct tls *client, *server;
	struct buf a = {0}, b = {0}, plain = {0}, back = {0};
	struct tls_info ours, theirs;
	struct host h;

	host_begin(&h, &all.good, NULL, NULL);
	client = tls_client_new(c, &p, now);
	server = tls_new(h.context);
	assert_int_equal(exchange(client, server, &a, &b, &plain, &back), OK);
	tls_info(client, &ours);
	tls_info(server, &theirs);
	assert_true(bytes_equal(ours.version, theirs.version));
	assert_true(bytes_starts(ours.version, BYTES("TLSv1.3 ")));
	assert_true(bytes_equal(ours.exporter, theirs.exporter));
	assert_true(bytes_equal(ours.endpoint, theirs.endpoint));
	assert_int_equal(ours.endpoint.len, 32);
	assert_bytes(theirs.name, BYTES("mx.far.test"));
	tls_close(client, &b);
	assert_int_equal(tls_feed(server, buf_bytes(&b), &back, &a, NULL), LOST);
	tls_free(&client);
	tls_free(&server);
	host_end(&h);
	tls_client_context_free(&c);
	buf_done(&a);
	buf_done(&b);
	buf_done(&plain);
	buf_done(&back);
}

static void test_roots(void **state)
{
	struct tls_client_context *c = NULL;
	struct why why = {""};

	assert_int_equal(tls_client_context_new(
	                         &(struct tls_client_setup){.roots = BYTES("no PEM")}, &c, &why),
	                 INVALID);
	assert_null(c);
	/* The system's, or none: then it says so, and still there is a context. */
	(void)!tls_client_context_new(&(struct tls_client_setup){0}, &c, &why);
	assert_non_null(c);
	tls_client_context_free(&c);
}

static int setup(void **state)
{
	all.root = make("Root", NULL, true, -10, 100);
	all.other_root = make("Other Root", NULL, true, -10, 100);
	all.inner = make("Inner", &all.root, true, -10, 100);
	all.good = make("mx.far.test", &all.root, false, -1, 10);
	all.wild = make("*.wild.test", &all.root, false, -1, 10);
	all.late = make("mx.far.test", &all.root, false, -9, -1);
	all.early = make("mx.far.test", &all.root, false, 1, 10);
	all.self = make("mx.far.test", NULL, false, -1, 10);
	all.late_self = make("mx.far.test", NULL, false, -9, -1);
	all.by_inner = make("in.far.test", &all.inner, false, -1, 10);
	return 0;
}

static int teardown(void **state)
{
	struct made *m = (struct made *)&all;

	for (size_t i = 0; i < sizeof(all) / sizeof(*m); i++)
		unmake(&m[i]);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_pkix),          cmocka_unit_test(test_dane),
	        cmocka_unit_test(test_dane_unusable), cmocka_unit_test(test_no_tls),
	        cmocka_unit_test(test_info),          cmocka_unit_test(test_roots),
	};

	crypto_warm();
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, setup, teardown);
}
