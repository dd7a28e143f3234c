/* An OpenSSL provider with two key types and two signatures, all of them as small as libssl allows.
 *
 *	EVP_PKEY (ours) -> struct remote_key: the public key as an ordinary EVP_PKEY, the signer,
 * the id
 *
 * It lives in a library context of its own, so that nothing but remote_key_new ever gets it: a
 * certificate's public key is always OpenSSL's. What is asked about a key is asked of its public
 * half; only signing is different: the data is hashed here, and the digest goes to the signer. */
#include "crypto/remote_key.h"

#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/provider.h>
#include <openssl/rsa.h>

#include "base/memory.h"
#include "crypto/openssl.h"
#include "crypto/sign.h"

/* How the signer comes in with the key's other parameters. */
#define PARAM_SIGNER "hikyaku-signer"

struct remote_key {
	const char *type; /* "EC", "RSA" */
	EVP_PKEY *public;
	const struct remote_signer *signer; /* NULL: only a public key, to be compared with */
	uint8_t id[DIGEST_SHA256];
};

/* Made once a process, like OpenSSL's default one, and kept until it ends. */
static OSSL_LIB_CTX *library;

/* ---- keys ---- */

static void *key_new_ec(void *provider)
{
	struct remote_key *k = NEW(struct remote_key);

	k->type = "EC";
	return k;
}

static void *key_new_rsa(void *provider)
{
	struct remote_key *k = NEW(struct remote_key);

	k->type = "RSA";
	return k;
}

static void key_free(void *data)
{
	struct remote_key *k = data;

	if (k)
		EVP_PKEY_free(k->public);
	memory_free(k);
}

static int key_has(const void *data, int selection)
{
	return data && ((const struct remote_key *)data)->public;
}

static int key_match(const void *a, const void *b, int selection)
{
	return EVP_PKEY_eq(((const struct remote_key *)a)->public,
	                   ((const struct remote_key *)b)->public) == 1;
}

static int key_import(void *data, int selection, const OSSL_PARAM params[])
{
	struct remote_key *k = data;
	const OSSL_PARAM *signer = OSSL_PARAM_locate_const(params, PARAM_SIGNER);
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, k->type, NULL);
	const void *ptr = NULL;
	size_t len = 0;
	int done = ctx && EVP_PKEY_fromdata_init(ctx) == 1 &&
	           EVP_PKEY_fromdata(ctx, &k->public, EVP_PKEY_PUBLIC_KEY, (OSSL_PARAM *)params) ==
	                   1;

	EVP_PKEY_CTX_free(ctx);
	if (done && signer && OSSL_PARAM_get_octet_ptr(signer, &ptr, &len) == 1)
		k->signer = ptr;
	if (done)
		public_key_id(k->public, k->id);
	return done;
}

static const OSSL_PARAM *key_import_types(int selection)
{
	static const OSSL_PARAM types[] = {
	        OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, NULL, 0),
	        OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_PUB_KEY, NULL, 0),
	        OSSL_PARAM_BN(OSSL_PKEY_PARAM_RSA_N, NULL, 0),
	        OSSL_PARAM_BN(OSSL_PKEY_PARAM_RSA_E, NULL, 0),
	        OSSL_PARAM_octet_ptr(PARAM_SIGNER, NULL, 0),
	        OSSL_PARAM_END};

	return types;
}

static int key_get_params(void *data, OSSL_PARAM params[])
{
	return EVP_PKEY_get_params(((struct remote_key *)data)->public, params);
}

static const OSSL_PARAM *key_gettable_params(void *provider)
{
	static const OSSL_PARAM gettable[] = {
	        OSSL_PARAM_int(OSSL_PKEY_PARAM_BITS, NULL),
	        OSSL_PARAM_int(OSSL_PKEY_PARAM_SECURITY_BITS, NULL),
	        OSSL_PARAM_int(OSSL_PKEY_PARAM_MAX_SIZE, NULL),
	        OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, NULL, 0),
	        OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_EC_POINT_CONVERSION_FORMAT, NULL, 0),
	        OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_DEFAULT_DIGEST, NULL, 0),
	        OSSL_PARAM_END};

	return gettable;
}

static const char *key_signature_ec(int operation)
{
	return operation == OSSL_OP_SIGNATURE ? "ECDSA" : NULL;
}

static const char *key_signature_rsa(int operation)
{
	return operation == OSSL_OP_SIGNATURE ? "RSA" : NULL;
}

/* ---- signatures ---- */

struct signing {
	struct remote_key *key;
	const EVP_MD *md;
	size_t digest_len;
	bool pss;
};

static void *signing_new(void *provider, const char *properties)
{
	return NEW(struct signing);
}

static void signing_free(void *data)
{
	memory_free(data);
}

static int signing_set_params(void *data, const OSSL_PARAM params[])
{
	struct signing *s = data;
	const OSSL_PARAM *p = params ? OSSL_PARAM_locate_const(params,
	                                                       OSSL_SIGNATURE_PARAM_PAD_MODE)
	                             : NULL;
	int mode = 0;

	if (p && p->data_type == OSSL_PARAM_UTF8_STRING)
		s->pss = strcmp(p->data, OSSL_PKEY_RSA_PAD_MODE_PSS) == 0;
	else if (p && OSSL_PARAM_get_int(p, &mode) == 1)
		s->pss = mode == RSA_PKCS1_PSS_PADDING;
	return 1;
}

/* Salt length and MGF1 digest are taken and not looked at: TLS knows one choice (RFC 8446, 4.2.3),
 * and keeper makes just that. */
static const OSSL_PARAM *signing_settable_params(void *data, void *provider)
{
	static const OSSL_PARAM settable[] = {
	        OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PAD_MODE, NULL, 0),
	        OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PSS_SALTLEN, NULL, 0),
	        OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_MGF1_DIGEST, NULL, 0), OSSL_PARAM_END};

	return settable;
}

static int signing_begin(void *data, const char *digest, void *key, const OSSL_PARAM params[])
{
	struct signing *s = data;
	const EVP_MD *md = digest ? EVP_get_digestbyname(digest) : EVP_sha256();

	if (!md || (!EVP_MD_is_a(md, "SHA256") && !EVP_MD_is_a(md, "SHA384")))
		return 0;
	s->key = key ? key : s->key;
	s->md = md;
	s->digest_len = (size_t)EVP_MD_get_size(md);
	return s->key && s->key->signer && signing_set_params(data, params);
}

static int scheme_of(const struct signing *s)
{
	if (s->key->type[0] == 'E')
		return s->digest_len == 32 ? PRIVATE_KEY_ECDSA_SHA256 : PRIVATE_KEY_ECDSA_SHA384;
	if (s->digest_len != 32)
		return -1;
	return s->pss ? PRIVATE_KEY_RSA_PSS_SHA256 : PRIVATE_KEY_RSA_PKCS1_SHA256;
}

/* libssl signs in one call, once for the size and once for the signature. */
static int signing_sign(void *data, unsigned char *ret, size_t *ret_len, size_t size,
                        const unsigned char *ptr, size_t len)
{
	struct signing *s = data;
	uint8_t digest[EVP_MAX_MD_SIZE] = {0};
	struct remote_signature request = {.digest = bytes_of(digest, s->digest_len)};
	struct buf out = {0};
	int done = 0;

	if (!ret) {
		*ret_len = (size_t)EVP_PKEY_get_size(s->key->public);
		return 1;
	}
	if (scheme_of(s) < 0 || EVP_Digest(ptr, len, digest, NULL, s->md, NULL) != 1)
		return 0;
	request.scheme = (unsigned)scheme_of(s);
	memcpy(request.key, s->key->id, DIGEST_SHA256);
	if (s->key->signer->sign(s->key->signer->context, &request, &out) == OK &&
	    buf_len(&out) > 0 && buf_len(&out) <= size) {
		memcpy(ret, buf_bytes(&out).ptr, buf_len(&out));
		*ret_len = buf_len(&out);
		done = 1;
	}
	buf_done(&out);
	return done;
}

/* ---- tables ---- */

#define DISPATCH(id, function)                             \
	{                                                  \
		OSSL_FUNC_##id, (void (*)(void))(function) \
	}

#define KEY_DISPATCH(kind)                                                          \
	DISPATCH(KEYMGMT_NEW, key_new_##kind), DISPATCH(KEYMGMT_FREE, key_free),    \
	        DISPATCH(KEYMGMT_HAS, key_has), DISPATCH(KEYMGMT_MATCH, key_match), \
	        DISPATCH(KEYMGMT_IMPORT, key_import),                               \
	        DISPATCH(KEYMGMT_IMPORT_TYPES, key_import_types),                   \
	        DISPATCH(KEYMGMT_GET_PARAMS, key_get_params),                       \
	        DISPATCH(KEYMGMT_GETTABLE_PARAMS, key_gettable_params),             \
	        DISPATCH(KEYMGMT_QUERY_OPERATION_NAME, key_signature_##kind),       \
	{                                                                           \
		0, NULL                                                             \
	}

static const OSSL_DISPATCH key_ec[] = {KEY_DISPATCH(ec)};
static const OSSL_DISPATCH key_rsa[] = {KEY_DISPATCH(rsa)};

static const OSSL_DISPATCH signature[] = {
        DISPATCH(SIGNATURE_NEWCTX, signing_new),
        DISPATCH(SIGNATURE_FREECTX, signing_free),
        DISPATCH(SIGNATURE_DIGEST_SIGN_INIT, signing_begin),
        DISPATCH(SIGNATURE_DIGEST_SIGN, signing_sign),
        DISPATCH(SIGNATURE_SET_CTX_PARAMS, signing_set_params),
        DISPATCH(SIGNATURE_SETTABLE_CTX_PARAMS, signing_settable_params),
        {0, NULL}};

static const OSSL_ALGORITHM keys[] = {
        {"EC:id-ecPublicKey:1.2.840.10045.2.1", "provider=hikyaku", key_ec, NULL},
        {"RSA:rsaEncryption:1.2.840.113549.1.1.1", "provider=hikyaku", key_rsa, NULL},
        {NULL, NULL, NULL, NULL}};

static const OSSL_ALGORITHM signatures[] = {
        {"ECDSA", "provider=hikyaku", signature, NULL},
        {"RSA:rsaEncryption", "provider=hikyaku", signature, NULL},
        {NULL, NULL, NULL, NULL}};

static const OSSL_ALGORITHM *query(void *provider, int operation, int *no_cache)
{
	*no_cache = 0;
	if (operation == OSSL_OP_KEYMGMT)
		return keys;
	return operation == OSSL_OP_SIGNATURE ? signatures : NULL;
}

static const OSSL_DISPATCH provider_functions[] = {DISPATCH(PROVIDER_QUERY_OPERATION, query),
                                                   {0, NULL}};

static int provider_start(const OSSL_CORE_HANDLE *handle, const OSSL_DISPATCH *in,
                          const OSSL_DISPATCH **out, void **ret_provider)
{
	*out = provider_functions;
	*ret_provider = (void *)handle;
	return 1;
}

void remote_key_warm(void)
{
	if (library)
		return;
	library = OSSL_LIB_CTX_new();
	if (!library || OSSL_PROVIDER_add_builtin(library, "hikyaku", provider_start) != 1 ||
	    !OSSL_PROVIDER_load(library, "hikyaku"))
		crypto_die("the provider of remote keys does not start");
}

/* The public key's own parameters and the signer's. */
static OSSL_PARAM *key_params(EVP_PKEY *key, const struct remote_signer *signer)
{
	OSSL_PARAM *public = NULL, *ours, *both, *all;
	OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();

	if (!build || EVP_PKEY_todata(key, EVP_PKEY_PUBLIC_KEY, &public) != 1 ||
	    OSSL_PARAM_BLD_push_octet_ptr(build, PARAM_SIGNER, (void *)signer, sizeof *signer) != 1)
		crypto_die("a public key has no parameters");
	ours = OSSL_PARAM_BLD_to_param(build);
	both = ours ? OSSL_PARAM_merge(public, ours) : NULL; /* borrows from the two */
	all = both ? OSSL_PARAM_dup(both) : NULL;
	if (!all)
		crypto_die("out of memory");
	OSSL_PARAM_BLD_free(build);
	OSSL_PARAM_free(both);
	OSSL_PARAM_free(ours);
	OSSL_PARAM_free(public);
	return all;
}

void *remote_key_new(void *public_key, const struct remote_signer *signer)
{
	EVP_PKEY *ret = NULL;
	EVP_PKEY_CTX *ctx;
	OSSL_PARAM *params;

	if (!public_key_is_served(public_key))
		return NULL;
	remote_key_warm();
	ctx = EVP_PKEY_CTX_new_from_name(library, EVP_PKEY_is_a(public_key, "EC") ? "EC" : "RSA",
	                                 NULL);
	params = key_params(public_key, signer);
	if (!ctx || EVP_PKEY_fromdata_init(ctx) != 1 ||
	    EVP_PKEY_fromdata(ctx, &ret, EVP_PKEY_KEYPAIR, params) != 1)
		ret = NULL;
	OSSL_PARAM_free(params);
	EVP_PKEY_CTX_free(ctx);
	return ret;
}
