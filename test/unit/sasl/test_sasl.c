/* The mechanisms, with a keeper of the test's own that computes from the password what the real one computes from its
 * keys; and as clients the exchanges of the RFCs. */
#include "../test.h"

#include "base/encode.h"
#include "crypto/digest.h"
#include "crypto/password.h"
#include "sasl/sasl.h"
#include "sasl/scram.h"

static const char exporter[] = "0123456789abcdef0123456789ABCDEF";

static struct sasl *begin(unsigned offered)
{
	struct sasl_setup setup = {
	        .offered = offered,
	        .hostname = BYTES("mx.example.test"),
	        .seed = "a random seed...",
	        .counter = 1,
	};

	if (offered & SASL_SCRAM_SHA_256_PLUS) {
		setup.exporter = bytes_of(exporter, 32);
		setup.endpoint = bytes_of("endpoint of 32 octets...........", 32);
	}
	return sasl_new(&setup);
}

#define ALL (SASL_PLAIN | SASL_LOGIN | SASL_SCRAM_SHA_256 | SASL_SCRAM_SHA_256_PLUS | SASL_CRAM_MD5)

static struct bytes base64(struct buf *b, struct bytes text)
{
	buf_clear(b);
	encode_base64(b, text);
	return buf_bytes(b);
}

static enum sasl_state start(struct sasl *s, const char *mechanism, struct bytes raw)
{
	struct buf b = {0};
	struct bytes initial = base64(&b, raw);
	enum sasl_state state = sasl_start(s, bytes_of_text(mechanism), &initial);

	buf_done(&b);
	return state;
}

static enum sasl_state say(struct sasl *s, struct bytes raw)
{
	struct buf b = {0};
	enum sasl_state state = sasl_line(s, base64(&b, raw));

	buf_done(&b);
	return state;
}

static struct bytes challenge_of(struct sasl *s, struct buf *b)
{
	buf_clear(b);
	assert_int_equal(decode_base64(sasl_challenge(s), b), OK);
	return buf_bytes(b);
}

static enum sasl_state answer_login(struct sasl *s, enum result r)
{
	struct answer a = answer_to(sasl_ask(s), r, (struct bytes){0});

	if (r == OK) {
		a.login.account = 7;
		a.login.address = BYTES("ken@example.test");
	}
	return sasl_answer(s, &a);
}

static void test_offer(void **state)
{
	struct buf b = {0};

	sasl_offer_words(sasl_offer(true, true, true), " AUTH=", &b);
	assert_bytes(buf_bytes(&b), BYTES(" AUTH=SCRAM-SHA-256-PLUS AUTH=SCRAM-SHA-256 AUTH=PLAIN "
	                                  "AUTH=LOGIN AUTH=CRAM-MD5"));
	buf_clear(&b);
	sasl_offer_words(sasl_offer(false, false, false), " ", &b);
	assert_bytes(buf_bytes(&b), BYTES(" SCRAM-SHA-256"));
	buf_done(&b);
}

static void test_plain(void **state)
{
	struct sasl *s = begin(ALL);
	const struct ask *a;

	assert_int_equal(start(s, "plain", bytes_of("\0Ken@Example.test\0pass word", 27)),
	                 SASL_ASK);
	a = sasl_ask(s);
	assert_int_equal(a->kind, ASK_LOGIN);
	assert_bytes(a->login.user, BYTES("ken@example.test"));
	assert_bytes(a->login.password, BYTES("pass word"));
	assert_bytes(a->login.mechanism, BYTES("PLAIN"));
	assert_int_equal(a->login.peer.len, 16);
	assert_int_equal(answer_login(s, OK), SASL_DONE);
	assert_int_equal(sasl_account(s), 7);
	assert_bytes(sasl_address(s), BYTES("ken@example.test"));
	assert_bytes(sasl_user(s), BYTES("ken@example.test"));
	assert_bytes(sasl_name(s), BYTES("PLAIN"));
	sasl_free(&s);
	/* Without an initial response: an empty challenge. */
	s = begin(ALL);
	assert_int_equal(sasl_start(s, BYTES("PLAIN"), NULL), SASL_CHALLENGE);
	assert_int_equal(sasl_challenge(s).len, 0);
	assert_int_equal(say(s, bytes_of("ken\0KEN\0pw", 10)), SASL_ASK);
	assert_int_equal(answer_login(s, DENIED), SASL_DENIED);
	sasl_free(&s);
}

struct plain_row {
	const char *message;
	size_t len;
	enum sasl_state state;
};

static void test_plain_refusals(void **state)
{
	static const struct plain_row rows[] = {
	        {"ken\0pw", 6, SASL_INVALID},       {"kenpw", 5, SASL_INVALID},
	        {"\0ken\0pw\0x", 9, SASL_INVALID},  {"", 0, SASL_INVALID},
	        {"\0\0pw", 4, SASL_DENIED},         {"\0ken\0", 5, SASL_DENIED},
	        {"root\0ken\0pw", 11, SASL_DENIED}, {"\0ken\0p\x01w", 8, SASL_DENIED},
	        {"\0k n\0pw", 7, SASL_DENIED},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct sasl *s = begin(ALL);

		assert_int_equal(sasl_start(s, BYTES("PLAIN"), NULL), SASL_CHALLENGE);
		assert_int_equal(say(s, bytes_of(rows[i].message, rows[i].len)), rows[i].state);
		sasl_free(&s);
	}
}

/* What keeper's answers mean. */
static void test_results(void **state)
{
	static const struct {
		enum result r;
		enum sasl_state state;
	} rows[] = {{DENIED, SASL_DENIED},          {NOT_FOUND, SASL_DENIED},
	            {LOST, SASL_UNAVAILABLE},       {INVALID, SASL_DENIED},
	            {DAMAGED, SASL_UNAVAILABLE},    {FAILED, SASL_UNAVAILABLE},
	            {UNAVAILABLE, SASL_UNAVAILABLE}};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct sasl *s = begin(ALL);

		assert_int_equal(sasl_start_login(s, BYTES("ken"), BYTES("pw"), BYTES("USER")),
		                 SASL_ASK);
		assert_bytes(sasl_ask(s)->login.mechanism, BYTES("USER"));
		assert_int_equal(answer_login(s, rows[i].r), rows[i].state);
		sasl_free(&s);
	}
}

static void test_framing(void **state)
{
	struct sasl *s = begin(SASL_PLAIN | SASL_SCRAM_SHA_256);
	struct bytes bad = BYTES("AGtlbg"), equals = BYTES("="), none = {0};

	assert_int_equal(sasl_start(s, BYTES("CRAM-MD5"), NULL), SASL_UNKNOWN);
	assert_int_equal(sasl_start(s, BYTES("SCRAM-SHA-256-PLUS"), NULL), SASL_UNKNOWN);
	assert_int_equal(sasl_start(s, BYTES("PLAI"), NULL), SASL_UNKNOWN);
	assert_int_equal(sasl_line(s, BYTES("AA==")), SASL_INVALID);
	assert_int_equal(sasl_start(s, BYTES("PLAIN"), &bad), SASL_INVALID);
	assert_int_equal(sasl_start(s, BYTES("PLAIN"), &none), SASL_INVALID);
	assert_int_equal(sasl_start(s, BYTES("PLAIN"), &equals), SASL_INVALID);
	assert_int_equal(sasl_start(s, BYTES("PLAIN"), NULL), SASL_CHALLENGE);
	assert_int_equal(sasl_line(s, BYTES("*")), SASL_CANCELLED);
	assert_int_equal(sasl_line(s, BYTES("AG=lbg==")), SASL_INVALID);
	sasl_free(&s);
}

static void test_login(void **state)
{
	struct sasl *s = begin(ALL);
	struct buf b = {0};

	assert_int_equal(sasl_start(s, BYTES("LOGIN"), NULL), SASL_CHALLENGE);
	assert_bytes(sasl_challenge(s), BYTES("VXNlcm5hbWU6"));
	assert_int_equal(say(s, BYTES("ken")), SASL_CHALLENGE);
	assert_bytes(challenge_of(s, &b), BYTES("Password:"));
	assert_int_equal(say(s, BYTES("pw")), SASL_ASK);
	assert_bytes(sasl_ask(s)->login.password, BYTES("pw"));
	sasl_free(&s);
	/* A name that cannot be is denied where a wrong password is. */
	s = begin(ALL);
	assert_int_equal(start(s, "LOGIN", BYTES("k\x01")), SASL_CHALLENGE);
	assert_int_equal(say(s, BYTES("pw")), SASL_DENIED);
	sasl_free(&s);
	buf_done(&b);
}

static void test_cram_md5(void **state)
{
	struct sasl *s = begin(ALL);
	struct buf challenge = {0}, other = {0}, response = {0};
	uint8_t digest[DIGEST_MD5];
	struct bytes initial = BYTES("AA==");

	assert_int_equal(sasl_start(s, BYTES("CRAM-MD5"), &initial), SASL_INVALID);
	assert_int_equal(sasl_start(s, BYTES("CRAM-MD5"), NULL), SASL_CHALLENGE);
	challenge_of(s, &challenge);
	assert_true(bytes_starts(buf_bytes(&challenge), BYTES("<")));
	assert_true(bytes_ends(buf_bytes(&challenge), BYTES("@mx.example.test>")));
	digest_hmac_md5(BYTES("tanstaaftanstaaf"), buf_bytes(&challenge), digest);
	buf_append_text(&response, "Tim Smith ");
	encode_hex(&response, bytes_of(digest, sizeof(digest)));
	/* A space cannot be in a prepared name. */
	assert_int_equal(say(s, buf_bytes(&response)), SASL_DENIED);
	buf_clear(&response);
	buf_append_text(&response, "Tim ");
	encode_hex(&response, bytes_of(digest, sizeof(digest)));
	assert_int_equal(say(s, buf_bytes(&response)), SASL_ASK);
	assert_int_equal(sasl_ask(s)->kind, ASK_DIGEST_LOGIN);
	assert_int_equal(sasl_ask(s)->digest_login.kind, DIGEST_CRAM_MD5);
	assert_bytes(sasl_ask(s)->digest_login.user, BYTES("tim"));
	assert_bytes(sasl_ask(s)->digest_login.challenge, buf_bytes(&challenge));
	assert_bytes(sasl_ask(s)->digest_login.digest, bytes_of(digest, sizeof(digest)));
	assert_int_equal(say(s, BYTES("tim 1234")), SASL_INVALID);
	assert_int_equal(say(s, BYTES("tim")), SASL_INVALID);
	sasl_free(&s);
	/* Another attempt, another challenge. */
	{
		struct sasl_setup setup = {
		        .offered = ALL, .seed = "a random seed...", .counter = 2};

		s = sasl_new(&setup);
	}
	assert_int_equal(sasl_start(s, BYTES("CRAM-MD5"), NULL), SASL_CHALLENGE);
	challenge_of(s, &other);
	assert_false(bytes_equal(bytes_first(buf_bytes(&other), 20),
	                         bytes_first(buf_bytes(&challenge), 20)));
	sasl_free(&s);
	buf_done(&challenge);
	buf_done(&other);
	buf_done(&response);
}

/* RFC 1939, 7. */
static void test_apop(void **state)
{
	struct sasl *s = begin(ALL);

	assert_int_equal(sasl_start_apop(s, BYTES("mrose"),
	                                 BYTES("<1896.697170952@dbc.mtview.ca.us>"),
	                                 BYTES("c4c9334bac560ecc979e58001b3e22fb")),
	                 SASL_ASK);
	assert_int_equal(sasl_ask(s)->digest_login.kind, DIGEST_APOP);
	assert_int_equal((uint8_t)sasl_ask(s)->digest_login.digest.ptr[0], 0xc4);
	assert_bytes(sasl_name(s), BYTES("APOP"));
	assert_int_equal(sasl_start_apop(s, BYTES("mrose"), BYTES("<x>"), BYTES("c4c9")),
	                 SASL_INVALID);
	sasl_free(&s);
}

/* ---- SCRAM ---- */

static const uint8_t salt[PASSWORD_SALT] = "sixteen octets..";

static enum sasl_state answer_salt(struct sasl *s)
{
	struct answer a = answer_to(sasl_ask(s), OK, (struct bytes){0});

	assert_int_equal(a.kind, ASK_SCRAM_BEGIN);
	a.scram_begin.salt = bytes_of(salt, sizeof(salt));
	a.scram_begin.rounds = 4096;
	return sasl_answer(s, &a);
}

/* keeper's part, with the keys of password "pencil". */
static enum sasl_state answer_proof(struct sasl *s)
{
	const struct ask *ask = sasl_ask(s);
	struct answer a = answer_to(ask, DENIED, (struct bytes){0});
	uint8_t signature[PASSWORD_KEY];
	struct scram_keys keys;

	assert_int_equal(ask->kind, ASK_SCRAM_FINISH);
	scram_keys_make(BYTES("pencil"), salt, 4096, &keys);
	if (scram_proof_matches(&keys, ask->scram_finish.auth_message, ask->scram_finish.proof)) {
		scram_signature(&keys, ask->scram_finish.auth_message, signature);
		a = answer_to(ask, OK, (struct bytes){0});
		a.scram_finish.signature = bytes_of(signature, sizeof(signature));
		a.scram_finish.account = 9;
		a.scram_finish.address = BYTES("user@example.test");
	}
	return sasl_answer(s, &a);
}

/* A client's last message, made as RFC 5802, 3 says. */
static void client_final(struct buf *out, const char *password, const char *gs2,
                         struct bytes binding, struct bytes bare, struct bytes server_first)
{
	struct buf cbind = {0}, auth = {0};
	struct scram_keys keys;
	uint8_t salted[PASSWORD_KEY], client_key[PASSWORD_KEY], signature[PASSWORD_KEY];
	struct bytes rest = server_first, nonce;

	bytes_cut(&rest, ',', &nonce);
	buf_clear(out);
	buf_append_text(&cbind, gs2);
	buf_append(&cbind, binding);
	buf_append_text(out, "c=");
	encode_base64(out, buf_bytes(&cbind));
	buf_append_text(out, ",");
	buf_append(out, nonce);
	buf_append(&auth, bare);
	buf_append_char(&auth, ',');
	buf_append(&auth, server_first);
	buf_append_char(&auth, ',');
	buf_append(&auth, buf_bytes(out));
	scram_keys_make(bytes_of_text(password), salt, 4096, &keys);
	/* ClientKey again: SaltedPassword by PBKDF2 = Hi with one block, written out. */
	{
		uint8_t u[PASSWORD_KEY];
		char first[PASSWORD_SALT + 4];

		memcpy(first, salt, PASSWORD_SALT);
		memcpy(first + PASSWORD_SALT, "\0\0\0\1", 4);
		digest_hmac_sha256(bytes_of_text(password), bytes_of(first, sizeof(first)), u);
		memcpy(salted, u, sizeof(u));
		for (int i = 1; i < 4096; i++) {
			digest_hmac_sha256(bytes_of_text(password), bytes_of(u, sizeof(u)), u);
			for (size_t k = 0; k < sizeof(u); k++)
				salted[k] ^= u[k];
		}
	}
	digest_hmac_sha256(bytes_of(salted, sizeof(salted)), BYTES("Client Key"), client_key);
	digest_hmac_sha256(bytes_of(keys.stored_key, PASSWORD_KEY), buf_bytes(&auth), signature);
	for (size_t i = 0; i < PASSWORD_KEY; i++)
		client_key[i] ^= signature[i];
	buf_append_text(out, ",p=");
	encode_base64(out, bytes_of(client_key, PASSWORD_KEY));
	buf_done(&cbind);
	buf_done(&auth);
}

struct scram_row {
	const char *mechanism, *gs2, *said_gs2, *password;
	enum { WITH_NOTHING, WITH_EXPORTER, WITH_ENDPOINT, WITH_WRONG } binding;
	enum sasl_state first; /* after client-first */
	enum sasl_state final; /* after client-final */
	enum sasl_state proof; /* after keeper's answer */
};

static struct bytes binding_of(int which)
{
	switch (which) {
	case WITH_EXPORTER: return bytes_of(exporter, 32);
	case WITH_ENDPOINT: return BYTES("endpoint of 32 octets...........");
	case WITH_WRONG: return BYTES("somebody in the middle..........");
	default: return (struct bytes){0};
	}
}

static void run_scram(const struct scram_row *row, unsigned offered)
{
	struct sasl *s = begin(offered);
	struct buf message = {0}, first = {0};
	struct bytes bare = BYTES("n=User,r=fyko+d2lbbFgONRv9qkxdawL");

	buf_append_text(&message, row->gs2);
	buf_append(&message, bare);
	assert_int_equal(start(s, row->mechanism, buf_bytes(&message)), row->first);
	if (row->first != SASL_ASK)
		goto done;
	assert_bytes(sasl_ask(s)->scram_begin.user, BYTES("user"));
	assert_int_equal(answer_salt(s), SASL_CHALLENGE);
	challenge_of(s, &first);
	assert_true(bytes_starts(buf_bytes(&first), BYTES("r=fyko+d2lbbFgONRv9qkxdawL")));
	assert_true(bytes_ends(buf_bytes(&first), BYTES(",s=c2l4dGVlbiBvY3RldHMuLg==,i=4096")));
	client_final(&message, row->password, row->said_gs2, binding_of(row->binding), bare,
	             buf_bytes(&first));
	assert_int_equal(say(s, buf_bytes(&message)), row->final);
	if (row->final != SASL_ASK)
		goto done;
	assert_int_equal(answer_proof(s), row->proof);
	if (row->proof == SASL_CHALLENGE) {
		assert_true(bytes_starts(challenge_of(s, &first), BYTES("v=")));
		assert_int_equal(sasl_line(s, BYTES("")), SASL_DONE);
		assert_int_equal(sasl_account(s), 9);
		assert_bytes(sasl_address(s), BYTES("user@example.test"));
	}
done:
	sasl_free(&s);
	buf_done(&message);
	buf_done(&first);
}

static void test_scram(void **state)
{
	static const struct scram_row rows[] = {
	        {"SCRAM-SHA-256", "n,,", "n,,", "pencil", WITH_NOTHING, SASL_ASK, SASL_ASK,
	         SASL_CHALLENGE},
	        {"SCRAM-SHA-256", "n,a=user,", "n,a=user,", "pencil", WITH_NOTHING, SASL_ASK,
	         SASL_ASK, SASL_CHALLENGE},
	        {"SCRAM-SHA-256", "n,,", "n,,", "Pencil", WITH_NOTHING, SASL_ASK, SASL_ASK,
	         SASL_DENIED},
	        {"SCRAM-SHA-256", "n,a=root,", "n,a=root,", "pencil", WITH_NOTHING, SASL_DENIED, 0,
	         0},
	        /* the client could bind and did not see -PLUS, which we offered: taken out on the way */
	        {"SCRAM-SHA-256", "y,,", "y,,", "pencil", WITH_NOTHING, SASL_DENIED, 0, 0},
	        {"SCRAM-SHA-256", "p=tls-exporter,,", "p=tls-exporter,,", "pencil", WITH_EXPORTER,
	         SASL_DENIED, 0, 0},
	        /* gs2 header changed between the messages */
	        {"SCRAM-SHA-256", "n,,", "y,,", "pencil", WITH_NOTHING, SASL_ASK, SASL_DENIED, 0},
	        {"SCRAM-SHA-256-PLUS", "p=tls-exporter,,", "p=tls-exporter,,", "pencil",
	         WITH_EXPORTER, SASL_ASK, SASL_ASK, SASL_CHALLENGE},
	        {"SCRAM-SHA-256-PLUS", "p=tls-server-end-point,,", "p=tls-server-end-point,,",
	         "pencil", WITH_ENDPOINT, SASL_ASK, SASL_ASK, SASL_CHALLENGE},
	        {"SCRAM-SHA-256-PLUS", "p=tls-exporter,,", "p=tls-exporter,,", "pencil", WITH_WRONG,
	         SASL_ASK, SASL_DENIED, 0},
	        {"SCRAM-SHA-256-PLUS", "p=tls-exporter,,", "p=tls-exporter,,", "pencil",
	         WITH_NOTHING, SASL_ASK, SASL_DENIED, 0},
	        {"SCRAM-SHA-256-PLUS", "p=tls-unique,,", "p=tls-unique,,", "pencil", WITH_EXPORTER,
	         SASL_DENIED, 0, 0},
	        {"SCRAM-SHA-256-PLUS", "n,,", "n,,", "pencil", WITH_NOTHING, SASL_DENIED, 0, 0},
	        {"SCRAM-SHA-256-PLUS", "y,,", "y,,", "pencil", WITH_NOTHING, SASL_DENIED, 0, 0},
	};
	static const struct scram_row no_tls = {"SCRAM-SHA-256", "y,,",         "y,,",
	                                        "pencil",        WITH_NOTHING,  SASL_ASK,
	                                        SASL_ASK,        SASL_CHALLENGE};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		run_scram(&rows[i], ALL);
	run_scram(&no_tls, ALL & ~SASL_SCRAM_SHA_256_PLUS);
}

static void test_scram_grammar(void **state)
{
	static const char *const bad[] = {
	        "",
	        "n",
	        "n,",
	        "n,,",
	        "n,,n=user",
	        "n,,r=abc",
	        "n,,n=,r=abc",
	        "n,,n=u,r=",
	        "n,,r=a,n=u",
	        "x,,n=u,r=abc",
	        "p=,,n=u,r=abc",
	        "n,b=u,n=u,r=abc",
	        "n,a=,n=u,r=abc",
	        "n,,m=x,n=u,r=abc",
	        "n,,n=u,r=abc,m=x",
	        "n,,n=u,r=abc,",
	        "n,,n=u,r=abc,=x",
	        "n,,n=u,r=abc,xy",
	        "n,,n=u,r=a\x01",
	        "n,,N=u,r=abc",
	};
	static const char *const good[] = {"n,,n=u,r=abc", "n,,n=u,r=abc,x=1", "y,a=u,n=u,r=!~"};
	static const char *const bad_final[] = {"",
	                                        "c=biws",
	                                        "c=biws,r=abc",
	                                        "r=abc,c=biws,p=AA==",
	                                        "c=biws,p=AA==",
	                                        "c=biws,r=abc,p=AA==,x=1",
	                                        "c=biws,r=abc,m=1,p=AA==",
	                                        "p=AA=="};
	struct scram_first f;
	struct scram_final l;
	struct buf name = {0};

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		if (scram_first_parse(bytes_of_text(bad[i]), &f) != INVALID)
			fail_msg("\"%s\" is taken", bad[i]);
	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++)
		assert_int_equal(scram_first_parse(bytes_of_text(good[i]), &f), OK);
	for (size_t i = 0; i < sizeof(bad_final) / sizeof(*bad_final); i++)
		if (scram_final_parse(bytes_of_text(bad_final[i]), &l) != INVALID)
			fail_msg("\"%s\" is taken", bad_final[i]);
	assert_int_equal(scram_final_parse(BYTES("c=biws,r=abc,x=1,p=AA=="), &l), OK);
	assert_bytes(l.without_proof, BYTES("c=biws,r=abc,x=1"));
	assert_int_equal(scram_name_decode(BYTES("a=2Cb=3Dc"), &name), OK);
	assert_bytes(buf_bytes(&name), BYTES("a,b=c"));
	assert_int_equal(scram_name_decode(BYTES("a=2c"), &name), INVALID);
	assert_int_equal(scram_name_decode(BYTES("a="), &name), INVALID);
	buf_done(&name);
}

/* Steps out of order: nonce changed, proof of the wrong length, more after the end. */
static void test_scram_order(void **state)
{
	struct sasl *s = begin(ALL);

	assert_int_equal(start(s, "SCRAM-SHA-256", BYTES("n,,n=user,r=abc")), SASL_ASK);
	assert_int_equal(answer_salt(s), SASL_CHALLENGE);
	assert_int_equal(
	        say(s, BYTES("c=biws,r=abc,p=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")),
	        SASL_DENIED);
	assert_int_equal(say(s, BYTES("c=biws,r=abc,p=AAAA")), SASL_INVALID);
	assert_int_equal(sasl_line(s, BYTES("*")), SASL_CANCELLED);
	sasl_free(&s);
	/* Empty challenge first where there was no initial response. */
	s = begin(ALL);
	assert_int_equal(sasl_start(s, BYTES("SCRAM-SHA-256"), NULL), SASL_CHALLENGE);
	assert_int_equal(sasl_challenge(s).len, 0);
	assert_int_equal(say(s, BYTES("n,,n=user,r=abc")), SASL_ASK);
	sasl_free(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_offer),          cmocka_unit_test(test_plain),
	        cmocka_unit_test(test_plain_refusals), cmocka_unit_test(test_results),
	        cmocka_unit_test(test_framing),        cmocka_unit_test(test_login),
	        cmocka_unit_test(test_cram_md5),       cmocka_unit_test(test_apop),
	        cmocka_unit_test(test_scram),          cmocka_unit_test(test_scram_grammar),
	        cmocka_unit_test(test_scram_order),
	};

	return TEST_MAIN(tests);
}
