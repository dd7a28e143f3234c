/* keeper's DKIM keys with a store and askers that the test plays; its folder keys/ is a temporary one. What it signs is
 * verified by OpenSSL with the record that it says to publish. */
#include "house.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#define ENGINE OPENSSL_ENGINE /* it is ask.h's word, too */
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#undef ENGINE

#include "base/encode.h"
#include "base/memory.h"
#include "base/wire.h"
#include "roles/dkim_folder.h"
#include "roles/keeper.h"
#include "roles/keeper_sign.h"
#include "sys/clock.h"

static const time_ms now = 1795000000000; /* 2026-11-18 */
static const char digest[] = "0123456789abcdef0123456789abcdef";

struct world {
	struct house *h;
	struct channel *store, *access, *courier;
	struct file_system *fs;
	struct arena arena;
	struct answer answer;
	bool answered;
	struct ask sender; /* the last SENDER */
	unsigned senders;
	enum result sender_result;
	uint8_t allowed;
	struct bytes rsa, ed25519; /* selectors */
	char folder[64];
};

/* ---- the others ---- */

static void store_ask(void *context, struct channel *c, const struct ask *a)
{
	struct world *w = context;
	struct answer answer = answer_to(a, w->sender_result, (struct bytes){0});

	assert_int_equal(a->kind, ASK_SENDER);
	w->sender = ask_copy(&w->arena, a);
	w->senders++;
	if (w->sender_result == OK)
		answer.sender.allowed = w->allowed;
	channel_answer(c, &answer);
}

static void answered(void *context, struct channel *c, const struct answer *a)
{
	struct world *w = context;

	w->answer = answer_copy(&w->arena, a);
	w->answered = true;
}

static void event(void *context, struct channel *c, uint64_t session, unsigned events)
{
}

static void lost(void *context, struct channel *c, const char *broken)
{
	assert_null(broken);
}

static const struct channel_ops store_ops = {
        .ask = store_ask, .answer = answered, .event = event, .lost = lost};
static const struct channel_ops asker_ops = {.answer = answered, .event = event, .lost = lost};

/* ---- the world ---- */

static void write_file(struct world *w, const char *name, struct bytes text)
{
	struct why why;

	if (file_write_all(w->fs, name, text, &why) != OK)
		fail_msg("%s", why.text);
}

static void set_state(struct world *w, enum dkim_key_state rsa, enum dkim_key_state ed25519)
{
	struct arena arena = {0};
	struct dkim_keys keys;
	struct why why;

	assert_int_equal(dkim_folder_read(w->fs, BYTES("example.test"), &arena, &keys, NULL, &why),
	                 OK);
	for (size_t i = 0; i < keys.count; i++) {
		keys.items[i].state = keys.items[i].algorithm == DKIM_RSA_SHA256 ? rsa : ed25519;
		keys.items[i].made = now;
	}
	assert_int_equal(dkim_folder_write(w->fs, BYTES("example.test"), &keys, &why), OK);
	dkim_keys_free(&keys);
	arena_done(&arena);
}

static void make_keys(struct world *w)
{
	struct why why;

	snprintf(w->folder, sizeof(w->folder), "/tmp/hikyaku-dkim-XXXXXX");
	assert_non_null(mkdtemp(w->folder));
	w->h->folder = open(w->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	w->fs = file_system_real_new(w->h->folder);
	assert_int_equal(file_make_directory(w->fs, "tls", &why), OK);
	assert_int_equal(file_make_directory(w->fs, "smarthost", &why), OK);
	write_file(w, "seal.key", BYTES("0123456789abcdef0123456789abcdef"));
	write_file(w, "smarthost/isp", BYTES("geheim wort \nmore\n"));
	write_file(w, "smarthost/empty", BYTES("\n"));
	assert_int_equal(dkim_folder_make(w->fs, BYTES("example.test"), DKIM_RSA_SHA256, now,
	                                  &w->arena, &w->rsa, &why),
	                 OK);
	assert_int_equal(dkim_folder_make(w->fs, BYTES("example.test"), DKIM_ED25519_SHA256, now,
	                                  &w->arena, &w->ed25519, &why),
	                 OK);
	write_file(w, "dkim/example.test/broken.key", BYTES("no key"));
	set_state(w, DKIM_KEY_SIGNS, DKIM_KEY_SIGNS);
}

static struct bytes domains[] = {BYTES("example.test"), BYTES("other.test")};

static int setup(void **state)
{
	struct world *w = NEW(struct world);
	struct why why = {""};

	w->h = house_new(&role_keeper);
	w->h->values.domains.items = domains;
	w->h->values.domains.count = 2;
	w->allowed = 1;
	make_keys(w);
	w->store = house_connect(w->h, STORE, 0, &store_ops, w);
	w->access = house_connect(w->h, ACCESS, 0, &asker_ops, w);
	w->courier = house_connect(w->h, COURIER, 0, &asker_ops, w);
	if (role_keeper.ops->start(&w->h->r, &why) != OK)
		fail_msg("%s", why.text);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;
	struct keeper *k = w->h->r.self;
	char command[100];

	worker_free(&k->hashers);
	loop_timer_free(&k->timer);
	map_done(&k->grants);
	map_done(&k->requests);
	deadlines_done(&k->deadlines);
	buf_done(&k->nobody);
	keeper_keys_free(&k->keys);
	keeper_dkim_free(&k->dkim);
	memory_free(k);
	file_system_free(&w->fs);
	house_free(&w->h);
	snprintf(command, sizeof(command), "rm -r %s", w->folder);
	assert_int_equal(system(command), 0);
	arena_done(&w->arena);
	memory_free(w);
	return 0;
}

/* ---- asking ---- */

static const struct answer *put(struct world *w, struct channel *c, struct ask a)
{
	static uint32_t numbers;

	a.number = ++numbers;
	a.session = c == w->access ? session_number(ACCESS, 0, 7) : session_number(COURIER, 0, 7);
	w->answered = false;
	channel_ask(c, &a);
	house_until(w->h, w->answered);
	assert_int_equal(w->answer.number, a.number);
	return &w->answer;
}

static const struct answer *sign(struct world *w, struct channel *c, const char *domain,
                                 struct bytes selector, uint8_t algorithm, const char *from)
{
	struct ask a = {.kind = ASK_DKIM_SIGN};

	a.dkim_sign.domain = bytes_of_text(domain);
	a.dkim_sign.selector = selector;
	a.dkim_sign.algorithm = algorithm;
	a.dkim_sign.digest = bytes_of(digest, 32);
	a.dkim_sign.from = bytes_of_text(from);
	a.dkim_sign.local_uid = 1001;
	return put(w, c, a);
}

static enum result sign_as(struct world *w, const char *from)
{
	return sign(w, w->access, "example.test", w->rsa, DKIM_RSA_SHA256, from)->result;
}

/* The record of a selector; empty: it is not told. */
static struct bytes record_of(struct world *w, struct bytes selector, enum dkim_key_state state)
{
	struct ask a = {.kind = ASK_DKIM_KEYS, .dkim_keys.domain = BYTES("example.test")};
	const struct answer *answer = put(w, w->access, a);
	struct wire wire = wire_of(answer->dkim_keys.keys);

	while (!wire_end(&wire)) {
		struct bytes name = wire_block(&wire);
		uint8_t algorithm = wire_u8(&wire), s = wire_u8(&wire);
		struct bytes record = wire_block(&wire);
		time_ms made = (time_ms)wire_u64(&wire);

		if (!bytes_equal(name, selector))
			continue;
		assert_int_equal(algorithm,
		                 bytes_equal(name, w->rsa) ? DKIM_RSA_SHA256 : DKIM_ED25519_SHA256);
		assert_int_equal(s, state);
		assert_int_equal(made / 86400000, now / 86400000);
		return record;
	}
	assert_false(wire.bad);
	return (struct bytes){0};
}

static struct bytes public_of(struct world *w, struct bytes record)
{
	struct buf out = {0};
	struct bytes p;

	assert_int_equal(
	        decode_base64(bytes_skip(record, bytes_find(record, BYTES("p=")) + 2), &out), OK);
	p = arena_copy(&w->arena, buf_bytes(&out));
	buf_done(&out);
	return p;
}

/* ---- tests ---- */

static void rsa_as_rfc_6376(void **state)
{
	struct world *w = *state;
	struct bytes record = record_of(w, w->rsa, DKIM_KEY_SIGNS);
	struct bytes p = public_of(w, record);
	const unsigned char *der = (const unsigned char *)p.ptr;
	EVP_PKEY *key = d2i_PUBKEY(NULL, &der, (long)p.len);
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL);
	const struct answer *a = sign(w, w->courier, "example.test", w->rsa, DKIM_RSA_SHA256, "");

	assert_true(bytes_starts(record, BYTES("v=DKIM1; k=rsa; p=MII")));
	assert_int_equal(EVP_PKEY_get_bits(key), 2048);
	assert_int_equal(a->result, OK);
	assert_int_equal(EVP_PKEY_verify_init(ctx), 1);
	EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PADDING);
	EVP_PKEY_CTX_set_signature_md(ctx, EVP_sha256());
	assert_int_equal(EVP_PKEY_verify(ctx, (const unsigned char *)a->dkim_sign.signature.ptr,
	                                 a->dkim_sign.signature.len, (const unsigned char *)digest,
	                                 32),
	                 1);
	/* Courier and sorter are asked for no sender. */
	assert_int_equal(w->senders, 0);
	EVP_PKEY_CTX_free(ctx);
	EVP_PKEY_free(key);
}

static void ed25519_as_rfc_8463(void **state)
{
	struct world *w = *state;
	struct bytes record = record_of(w, w->ed25519, DKIM_KEY_SIGNS);
	struct bytes p = public_of(w, record);
	EVP_PKEY *key = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL,
	                                            (const unsigned char *)p.ptr, p.len);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	const struct answer *a = sign(w, w->courier, "example.test", w->ed25519,
	                              DKIM_ED25519_SHA256, "");

	assert_true(bytes_starts(record, BYTES("v=DKIM1; k=ed25519; p=")));
	assert_int_equal(p.len, 32);
	assert_int_equal(a->result, OK);
	assert_int_equal(a->dkim_sign.signature.len, 64);
	EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, key);
	assert_int_equal(EVP_DigestVerify(ctx, (const unsigned char *)a->dkim_sign.signature.ptr,
	                                  64, (const unsigned char *)digest, 32),
	                 1);
	EVP_MD_CTX_free(ctx);
	EVP_PKEY_free(key);
}

/* A front gets what its session may send as, and nothing else. */
static void a_front_needs_its_senders_right(void **state)
{
	struct world *w = *state;

	assert_int_equal(sign_as(w, "Ken@Example.test"), OK);
	assert_int_equal(w->senders, 1);
	assert_bytes(w->sender.sender.address, BYTES("Ken@Example.test"));
	assert_true(w->sender.sender.front_session == session_number(ACCESS, 0, 7));
	assert_int_equal(w->sender.sender.local_uid, 1001);
	assert_int_equal(sign_as(w, "ken@mail.example.test"), OK);
	w->allowed = 0;
	assert_int_equal(sign_as(w, "ken@example.test"), DENIED);
	w->allowed = 1;
	w->sender_result = DENIED;
	assert_int_equal(sign_as(w, "ken@example.test"), DENIED);
	w->sender_result = UNAVAILABLE;
	assert_int_equal(sign_as(w, "ken@example.test"), UNAVAILABLE);
	w->sender_result = OK;
	/* The From is not of d=: store is not even asked. */
	w->senders = 0;
	assert_int_equal(sign_as(w, "ken@else.test"), DENIED);
	assert_int_equal(sign_as(w, "ken@badexample.test"), DENIED);
	assert_int_equal(sign_as(w, "ken"), DENIED);
	assert_int_equal(sign_as(w, ""), DENIED);
	assert_int_equal(w->senders, 0);
}

static void no_key_no_signature(void **state)
{
	struct world *w = *state;
	struct ask short_one = {.kind = ASK_DKIM_SIGN};

	assert_int_equal(sign(w, w->courier, "else.test", w->rsa, DKIM_RSA_SHA256, "")->result,
	                 DENIED);
	assert_int_equal(sign(w, w->courier, "other.test", w->rsa, DKIM_RSA_SHA256, "")->result,
	                 NOT_FOUND);
	assert_int_equal(
	        sign(w, w->courier, "example.test", BYTES("none"), DKIM_RSA_SHA256, "")->result,
	        NOT_FOUND);
	assert_int_equal(
	        sign(w, w->courier, "example.test", w->rsa, DKIM_ED25519_SHA256, "")->result,
	        NOT_FOUND);
	short_one.dkim_sign.domain = BYTES("example.test");
	short_one.dkim_sign.selector = w->rsa;
	short_one.dkim_sign.digest = BYTES("short");
	assert_int_equal(put(w, w->courier, short_one)->result, INVALID);
	/* New and old keys sign nothing; a reload is what makes the difference. */
	set_state(w, DKIM_KEY_OLD, DKIM_KEY_NEW);
	assert_int_equal(sign_as(w, "ken@example.test"), OK);
	role_keeper.ops->config(&w->h->r);
	assert_int_equal(sign_as(w, "ken@example.test"), NOT_FOUND);
	assert_int_equal(
	        sign(w, w->courier, "example.test", w->ed25519, DKIM_ED25519_SHA256, "")->result,
	        NOT_FOUND);
	assert_true(record_of(w, w->rsa, DKIM_KEY_OLD).len > 0);
	assert_true(record_of(w, w->ed25519, DKIM_KEY_NEW).len > 0);
}

static void broken_files_cost_themselves(void **state)
{
	struct world *w = *state;

	assert_true(house_logged(w->h, "key-refused why=\"keys/dkim/example.test/broken.key: "));
	assert_true(house_logged(w->h, "dkim=2"));
	write_file(w, "dkim/example.test/state", BYTES("\x01 \xff\nhk signs\n\n# x\n"));
	role_keeper.ops->config(&w->h->r);
	assert_int_equal(sign_as(w, "ken@example.test"), NOT_FOUND);
}

static enum result secret(struct world *w, struct bytes route)
{
	struct ask a = {.kind = ASK_SMARTHOST_SECRET, .smarthost_secret.route = route};

	return put(w, w->courier, a)->result;
}

static void smarthosts_have_secrets(void **state)
{
	struct world *w = *state;

	assert_int_equal(secret(w, BYTES("isp")), OK);
	assert_bytes(w->answer.smarthost_secret.password, BYTES("geheim wort"));
	assert_int_equal(secret(w, BYTES("empty")), NOT_FOUND);
	assert_int_equal(secret(w, BYTES("none")), NOT_FOUND);
	/* Nothing else of keys/ can be named. */
	assert_int_equal(secret(w, BYTES("../seal.key")), INVALID);
	assert_int_equal(secret(w, BYTES("..")), INVALID);
	assert_int_equal(secret(w, BYTES(".")), INVALID);
	assert_int_equal(secret(w, BYTES("")), INVALID);
	assert_int_equal(secret(w, BYTES("a/b")), INVALID);
	assert_int_equal(secret(w, BYTES("isp\0x")), INVALID);
}

static void names_are_no_paths(void **state)
{
	static const char *const bad[] = {"",   ".",  "..",  "../x", "a/b",  ".a", "a..b",
	                                  "a.", "-a", "a b", "a\nb", "a\\b", "é",  "a:b"};
	struct world *w = *state;
	struct dkim_keys keys;
	struct bytes selector;
	struct why why;

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct bytes name = bytes_of_text(bad[i]);

		assert_false(dkim_name_is_good(name, 63));
		assert_int_equal(dkim_folder_make(w->fs, name, DKIM_ED25519_SHA256, now, &w->arena,
		                                  &selector, &why),
		                 INVALID);
		assert_int_equal(dkim_folder_read(w->fs, name, &w->arena, &keys, NULL, &why),
		                 INVALID);
		assert_int_equal(dkim_folder_remove(w->fs, BYTES("example.test"), name, &why),
		                 INVALID);
	}
	assert_true(dkim_name_is_good(BYTES("xn--wgv71a.example"), 63));
	assert_true(dkim_name_is_good(BYTES("hk2026_1"), 63));
	assert_false(dkim_name_is_good(BYTES("toolong"), 6));
	assert_int_equal(dkim_folder_read(w->fs, BYTES("none.test"), &w->arena, &keys, NULL, &why),
	                 NOT_FOUND);
}

/* A second key on the same day has a selector of its own. */
static void selectors_differ(void **state)
{
	struct world *w = *state;
	struct bytes second;
	struct why why;

	assert_bytes(w->rsa, BYTES("hk20261118r"));
	assert_bytes(w->ed25519, BYTES("hk20261118e"));
	assert_int_equal(dkim_folder_make(w->fs, BYTES("example.test"), DKIM_ED25519_SHA256, now,
	                                  &w->arena, &second, &why),
	                 OK);
	assert_bytes(second, BYTES("hk20261118eb"));
	assert_int_equal(dkim_folder_remove(w->fs, BYTES("example.test"), second, &why), OK);
	assert_int_equal(dkim_folder_remove(w->fs, BYTES("example.test"), second, &why), NOT_FOUND);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        TEST(rsa_as_rfc_6376),
	        TEST(ed25519_as_rfc_8463),
	        TEST(a_front_needs_its_senders_right),
	        TEST(no_key_no_signature),
	        TEST(broken_files_cost_themselves),
	        TEST(smarthosts_have_secrets),
	        TEST(names_are_no_paths),
	        TEST(selectors_differ),
	};

	crypto_warm();
	return TEST_MAIN(tests);
}
