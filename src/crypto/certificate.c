#include "crypto/certificate.h"

#include <openssl/err.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdio.h>

#include "base/memory.h"
#include "crypto/openssl.h"
#include "crypto/sign.h"

struct certificate {
	X509 *leaf;
	STACK_OF(X509) * chain; /* without the leaf; may be empty */
};

enum { DAYS_GOOD = 820 };

void crypto_error_text(char *ret, size_t size)
{
	unsigned long code = ERR_get_error();
	const char *reason = code ? ERR_reason_error_string(code) : NULL;

	if (reason)
		snprintf(ret, size, "%s", reason);
	else if (code)
		ERR_error_string_n(code, ret, size);
	else
		snprintf(ret, size, "no reason given");
	ERR_clear_error();
}

bool public_key_is_served(EVP_PKEY *key)
{
	char group[32] = "";

	if (EVP_PKEY_is_a(key, "RSA"))
		return EVP_PKEY_get_bits(key) >= 2048;
	if (!EVP_PKEY_is_a(key, "EC") ||
	    EVP_PKEY_get_group_name(key, group, sizeof group, NULL) != 1)
		return false;
	return strcmp(group, "prime256v1") == 0 || strcmp(group, "secp384r1") == 0;
}

void public_key_id(EVP_PKEY *key, uint8_t ret[DIGEST_SHA256])
{
	unsigned char *der = NULL;
	int len = i2d_PUBKEY(key, &der);

	if (len <= 0)
		crypto_die("a public key cannot be encoded");
	digest_sha256(bytes_of(der, (size_t)len), ret);
	OPENSSL_free(der);
}

X509 *certificate_leaf(const struct certificate *c)
{
	return c->leaf;
}

STACK_OF(X509) * certificate_chain(const struct certificate *c)
{
	return c->chain;
}

static void read_all(BIO *bio, struct certificate *c)
{
	X509 *x;

	c->leaf = PEM_read_bio_X509(bio, NULL, NULL, NULL);
	while (c->leaf && (x = PEM_read_bio_X509(bio, NULL, NULL, NULL)))
		if (!sk_X509_push(c->chain, x))
			crypto_die("out of memory");
}

/* The last read ends with "no start line"; anything else is a broken certificate. */
static bool ended_well(void)
{
	unsigned long code = ERR_peek_last_error();
	bool well = ERR_GET_LIB(code) == ERR_LIB_PEM && ERR_GET_REASON(code) == PEM_R_NO_START_LINE;

	return well;
}

enum result certificate_parse(struct bytes pem, struct certificate **ret, struct why *why)
{
	struct certificate *c = NEW(struct certificate);
	BIO *bio = BIO_new_mem_buf(pem.ptr ? pem.ptr : "", (int)pem.len);
	enum result r = OK;
	char text[160];

	c->chain = sk_X509_new_null();
	if (!bio || !c->chain)
		crypto_die("out of memory");
	ERR_clear_error();
	read_all(bio, c);
	BIO_free(bio);
	if (!c->leaf || !ended_well()) {
		crypto_error_text(text, sizeof text);
		r = why_set(why, INVALID, "not a certificate chain in PEM (%s)", text);
	} else if (!X509_get0_pubkey(c->leaf) || !public_key_is_served(X509_get0_pubkey(c->leaf))) {
		r = why_set(why, INVALID,
		            "its key is not P-256, P-384 or RSA of 2048 bits and more");
	}
	ERR_clear_error();
	if (r != OK)
		certificate_free(&c);
	else
		*ret = c;
	return r;
}

void certificate_free(struct certificate **c)
{
	if (!*c)
		return;
	X509_free((*c)->leaf);
	sk_X509_pop_free((*c)->chain, X509_free);
	memory_free(*c);
	*c = NULL;
}

bool certificate_matches(const struct certificate *c, struct bytes name)
{
	/* RFC 9525, 2: the subject's common name is not looked at. */
	return name.len && X509_check_host(c->leaf, name.ptr, name.len,
	                                   X509_CHECK_FLAG_NEVER_CHECK_SUBJECT, NULL) == 1;
}

void certificate_key_id(const struct certificate *c, uint8_t ret[DIGEST_SHA256])
{
	public_key_id(X509_get0_pubkey(c->leaf), ret);
}

unsigned certificate_scheme(const struct certificate *c)
{
	return EVP_PKEY_is_a(X509_get0_pubkey(c->leaf), "EC") ? PRIVATE_KEY_ECDSA_SHA256
	                                                      : PRIVATE_KEY_RSA_PSS_SHA256;
}

time_ms certificate_expires(const struct certificate *c)
{
	struct tm tm;
	struct time_civil civil;

	if (ASN1_TIME_to_tm(X509_get0_notAfter(c->leaf), &tm) != 1)
		return 0;
	civil = (struct time_civil){.year = tm.tm_year + 1900,
	                            .month = tm.tm_mon + 1,
	                            .day = tm.tm_mday,
	                            .hour = tm.tm_hour,
	                            .minute = tm.tm_min,
	                            .second = tm.tm_sec};
	return time_from_civil(&civil);
}

/* ---- making one ---- */

static bool add_extension(X509 *x, int nid, const char *value)
{
	X509V3_CTX ctx;
	X509_EXTENSION *e;
	bool done;

	X509V3_set_ctx_nodb(&ctx);
	X509V3_set_ctx(&ctx, x, x, NULL, NULL, 0);
	e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	done = e && X509_add_ext(x, e, -1) == 1;
	X509_EXTENSION_free(e);
	return done;
}

static bool set_serial(X509 *x)
{
	unsigned char octets[16];
	BIGNUM *number;
	bool done;

	if (RAND_bytes(octets, sizeof octets) != 1)
		return false;
	octets[0] = (octets[0] & 0x7f) | 0x40;
	number = BN_bin2bn(octets, sizeof octets, NULL);
	done = number && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(x));
	BN_free(number);
	return done;
}

static bool set_name(X509 *x, struct bytes hostname)
{
	X509_NAME *name = X509_get_subject_name(x);
	/* ub-common-name is 64 (RFC 5280, A.1); the name that counts is in subjectAltName. */
	struct bytes cn = hostname.len <= 64 ? hostname : BYTES("Hikyaku");

	return X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)cn.ptr,
	                                  (int)cn.len, -1, 0) == 1 &&
	       X509_set_issuer_name(x, name) == 1;
}

static bool fill_in(X509 *x, EVP_PKEY *key, struct bytes hostname, time_ms now)
{
	char alt[300];
	time_t t = (time_t)(now / 1000);

	snprintf(alt, sizeof alt, "DNS:%.*s", BYTES_ARG(bytes_first(hostname, 255)));
	return X509_set_version(x, X509_VERSION_3) == 1 && set_serial(x) && set_name(x, hostname) &&
	       X509_set_pubkey(x, key) == 1 &&
	       X509_time_adj_ex(X509_getm_notBefore(x), -1, 0, &t) &&
	       X509_time_adj_ex(X509_getm_notAfter(x), DAYS_GOOD, 0, &t) &&
	       add_extension(x, NID_subject_alt_name, alt) &&
	       add_extension(x, NID_basic_constraints, "critical,CA:FALSE") &&
	       add_extension(x, NID_key_usage, "critical,digitalSignature") &&
	       add_extension(x, NID_ext_key_usage, "serverAuth") &&
	       add_extension(x, NID_subject_key_identifier, "hash") &&
	       X509_sign(x, key, EVP_sha256()) > 0;
}

static void append_bio(BIO *bio, struct buf *out)
{
	char *ptr;
	long len = BIO_get_mem_data(bio, &ptr);

	buf_append(out, bytes_of(ptr, (size_t)len));
}

void certificate_make(struct bytes hostname, time_ms now, struct buf *ret_pem,
                      struct buf *ret_key_pem)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *x = X509_new();
	BIO *pem = BIO_new(BIO_s_mem()), *key_pem = BIO_new(BIO_s_secmem());

	if (!key || !x || !pem || !key_pem || !fill_in(x, key, hostname, now) ||
	    PEM_write_bio_X509(pem, x) != 1 ||
	    PEM_write_bio_PKCS8PrivateKey(key_pem, key, NULL, NULL, 0, NULL, NULL) != 1)
		crypto_die("making a certificate");
	append_bio(pem, ret_pem);
	append_bio(key_pem, ret_key_pem);
	BIO_free(pem);
	BIO_free(key_pem);
	X509_free(x);
	EVP_PKEY_free(key);
}
