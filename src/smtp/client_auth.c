/* AUTH to a smarthost (RFC 4954): SCRAM-SHA-256 (RFC 5802, RFC 7677), PLAIN (RFC 4616), LOGIN, CRAM-MD5 (RFC 2195). */
#include "base/encode.h"
#include "base/memory.h"
#include "base/text.h"
#include "crypto/digest.h"
#include "crypto/password.h"
#include "smtp/client_session.h"

enum { ROUNDS_MIN = 4096, SALT_MAX = 256, NONCE_OCTETS = 18 };

struct mechanism {
	const char *name;
	void (*begin)(struct smtp_client *c);
	/* The host's challenge, decoded; false: it failed, the connection is over. */
	bool (*next)(struct smtp_client *c, struct bytes challenge);
	bool clear; /* shows the password to who listens */
};

static const struct mechanism mechanisms[AUTH_KINDS];

/* ---- choosing ---- */

void client_auth_offered(struct smtp_client *c, struct bytes words)
{
	struct bytes word;

	while (bytes_cut(&words, ' ', &word))
		for (unsigned i = AUTH_NONE + 1; i < AUTH_KINDS; i++)
			if (bytes_equal_nocase(word, bytes_of_text(mechanisms[i].name)))
				c->auth.offered |= 1u << i;
}

/* The enum's order is the order of preference: where TLS hides the password, what proves least work comes before a digest
 * that the host must keep the password for. */
static enum smtp_auth choose(const struct smtp_client *c)
{
	bool clear = c->host.tls || c->options.clear_password;

	for (unsigned i = AUTH_NONE + 1; i < AUTH_KINDS; i++)
		if (c->auth.offered & 1u << i && (clear || !mechanisms[i].clear))
			return (enum smtp_auth)i;
	return AUTH_NONE;
}

static void failed(struct smtp_client *c, const char *what)
{
	client_fail(c, SMTP_FAILURE_AUTH, SMTP_STAGE_AUTH,
	            client_words(SMTP_STAGE_AUTH, "4.7.8", &c->life, "%.*s %s",
	                         BYTES_ARG(client_host_name(c)), what));
}

void client_auth_begin(struct smtp_client *c)
{
	c->auth.kind = choose(c);
	if (c->auth.kind != AUTH_NONE)
		mechanisms[c->auth.kind].begin(c);
	else if (c->auth.offered && !c->host.tls)
		failed(c, "offers no way to log in that hides the password, and there is no TLS");
	else
		failed(c, "offers no AUTH mechanism that is known here");
}

/* ---- lines ---- */

/* text in base64, and the line's end. */
static void say(struct smtp_client *c, const char *before, struct bytes text)
{
	buf_append_text(&c->output, before);
	encode_base64(&c->output, text);
	client_command(c, EXPECT_AUTH, "%s", "");
}

/* ---- PLAIN, LOGIN, CRAM-MD5 ---- */

static void plain_begin(struct smtp_client *c)
{
	struct buf text = {0};

	buf_append_char(&text, '\0');
	buf_append(&text, c->options.user);
	buf_append_char(&text, '\0');
	buf_append(&text, c->options.password);
	say(c, "AUTH PLAIN ", buf_bytes(&text));
	memory_wipe(text.ptr, text.size);
	buf_done(&text);
}

static bool plain_next(struct smtp_client *c, struct bytes challenge)
{
	failed(c, "asks for more than PLAIN has");
	return false;
}

static void login_begin(struct smtp_client *c)
{
	client_command(c, EXPECT_AUTH, "AUTH LOGIN");
}

/* "User Name", then "Password"; what the words are is not looked at. */
static bool login_next(struct smtp_client *c, struct bytes challenge)
{
	if (c->auth.step > 1) {
		failed(c, "asks for more than LOGIN has");
		return false;
	}
	say(c, "", c->auth.step == 0 ? c->options.user : c->options.password);
	return true;
}

static void cram_begin(struct smtp_client *c)
{
	client_command(c, EXPECT_AUTH, "AUTH CRAM-MD5");
}

static bool cram_next(struct smtp_client *c, struct bytes challenge)
{
	uint8_t digest[DIGEST_MD5];
	struct buf text = {0};

	if (c->auth.step > 0) {
		failed(c, "asks for more than CRAM-MD5 has");
		return false;
	}
	digest_hmac_md5(c->options.password, challenge, digest);
	buf_append(&text, c->options.user);
	buf_append_char(&text, ' ');
	encode_hex(&text, bytes_of(digest, sizeof(digest)));
	say(c, "", buf_bytes(&text));
	buf_done(&text);
	return true;
}

/* ---- SCRAM-SHA-256 ---- */

static void scram_begin(struct smtp_client *c)
{
	uint8_t nonce[DIGEST_SHA256];
	struct buf text = {0};

	digest_hmac_sha256(bytes_of(c->options.seed, sizeof(c->options.seed)), BYTES("SCRAM nonce"),
	                   nonce);
	encode_base64(&text, bytes_of(nonce, NONCE_OCTETS));
	c->auth.nonce = arena_copy(&c->life, buf_bytes(&text));
	buf_clear(&text);
	buf_append_text(&text, "n=");
	/* RFC 5802, 5.1: saslname */
	for (size_t i = 0; i < c->options.user.len; i++) {
		char ch = c->options.user.ptr[i];

		if (ch == '=' || ch == ',')
			buf_append_text(&text, ch == '=' ? "=3D" : "=2C");
		else
			buf_append_char(&text, ch);
	}
	buf_printf(&text, ",r=%.*s", BYTES_ARG(c->auth.nonce));
	c->auth.first = arena_copy(&c->life, buf_bytes(&text));
	buf_clear(&text);
	buf_printf(&text, "n,,%.*s", BYTES_ARG(c->auth.first));
	say(c, "AUTH SCRAM-SHA-256 ", buf_bytes(&text));
	buf_done(&text);
}

/* "r=...": its value. */
static bool attribute(struct bytes *rest, char name, struct bytes *ret)
{
	if (!bytes_cut(rest, ',', ret) || ret->len < 2 || ret->ptr[0] != name || ret->ptr[1] != '=')
		return false;
	*ret = bytes_skip(*ret, 2);
	return true;
}

/* server-first-message: r=...,s=...,i=... */
static bool scram_first(const struct smtp_client *c, struct bytes in, struct bytes *ret_nonce,
                        struct buf *ret_salt, uint64_t *ret_rounds)
{
	struct bytes salt, rounds;

	return attribute(&in, 'r', ret_nonce) && attribute(&in, 's', &salt) &&
	       attribute(&in, 'i', &rounds) && bytes_starts(*ret_nonce, c->auth.nonce) &&
	       ret_nonce->len > c->auth.nonce.len && decode_base64(salt, ret_salt) == OK &&
	       buf_len(ret_salt) > 0 && buf_len(ret_salt) <= SALT_MAX &&
	       bytes_to_u64(rounds, SMTP_CLIENT_HASHES, ret_rounds) == OK &&
	       *ret_rounds >= ROUNDS_MIN;
}

static void scram_final(struct smtp_client *c, struct bytes first, struct bytes nonce,
                        struct bytes salt, uint32_t rounds)
{
	uint8_t proof[PASSWORD_KEY];
	struct buf message = {0}, text = {0};

	/* AuthMessage (RFC 5802, 3); biws is "n,,": no channel binding. */
	buf_printf(&message, "%.*s,", BYTES_ARG(c->auth.first));
	buf_append(&message, first);
	buf_printf(&message, ",c=biws,r=%.*s", BYTES_ARG(nonce));
	scram_client_proof(c->options.password, salt, rounds, buf_bytes(&message), proof,
	                   c->auth.signature);
	buf_printf(&text, "c=biws,r=%.*s,p=", BYTES_ARG(nonce));
	encode_base64(&text, bytes_of(proof, sizeof(proof)));
	say(c, "", buf_bytes(&text));
	memory_wipe(proof, sizeof(proof));
	buf_done(&message);
	buf_done(&text);
}

/* Does it know the password, too? */
static bool scram_proved(const struct smtp_client *c, struct bytes in)
{
	struct buf signature = {0};
	struct bytes value;
	bool proved = attribute(&in, 'v', &value) && decode_base64(value, &signature) == OK &&
	              bytes_equal_secret(buf_bytes(&signature), bytes_of(c->auth.signature, 32));

	buf_done(&signature);
	return proved;
}

static bool scram_next(struct smtp_client *c, struct bytes challenge)
{
	struct buf salt = {0};
	struct bytes nonce;
	uint64_t rounds;
	bool good = false;

	if (c->auth.step == 0) {
		good = scram_first(c, challenge, &nonce, &salt, &rounds);
		if (good)
			scram_final(c, challenge, nonce, buf_bytes(&salt), (uint32_t)rounds);
		else
			failed(c, "begins SCRAM in a way that is not accepted");
	} else if (c->auth.step == 1) {
		good = scram_proved(c, challenge);
		if (good)
			say(c, "", (struct bytes){0});
		else
			failed(c, "did not prove that it knows the password");
	} else {
		failed(c, "asks for more than SCRAM has");
	}
	buf_done(&salt);
	return good;
}

static const struct mechanism mechanisms[AUTH_KINDS] = {
        [AUTH_SCRAM] = {"SCRAM-SHA-256", scram_begin, scram_next, false},
        [AUTH_PLAIN] = {"PLAIN", plain_begin, plain_next, true},
        [AUTH_LOGIN] = {"LOGIN", login_begin, login_next, true},
        [AUTH_CRAM_MD5] = {"CRAM-MD5", cram_begin, cram_next, false},
};

/* ---- replies ---- */

static void next(struct smtp_client *c)
{
	struct bytes line = buf_bytes(&c->reader.lines);
	struct buf challenge = {0};

	line = bytes_trim(bytes_first(line, bytes_find_char(line, '\n')));
	/* LOGIN's prompts are not always base64. */
	if (decode_base64(line, &challenge) != OK && c->auth.kind != AUTH_LOGIN)
		client_nonsense(c, "its challenge is not base64");
	else if (mechanisms[c->auth.kind].next(c, buf_bytes(&challenge)))
		c->auth.step++;
	buf_done(&challenge);
}

void client_auth_reply(struct smtp_client *c)
{
	if (c->reader.code == 334) {
		next(c);
	} else if (c->reader.code == 235) {
		/* RFC 5802, 5: without its signature it may be anybody. */
		if (c->auth.kind == AUTH_SCRAM && c->auth.step < 2) {
			failed(c, "did not prove that it knows the password");
			return;
		}
		c->host.authenticated = true;
		client_go_on(c);
	} else if (c->reader.code >= 400) {
		client_refused(c, SMTP_FAILURE_AUTH, SMTP_STAGE_AUTH);
	} else {
		client_nonsense(c, "it answers AUTH with neither 334, 235 nor a refusal");
	}
}
