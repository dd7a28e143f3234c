#include "sasl/sasl.h"

#include "base/encode.h"
#include "base/limits.h"
#include "base/memory.h"
#include "base/text.h"
#include "crypto/digest.h"
#include "sasl/prepare.h"
#include "sasl/scram.h"

enum { LINE_MAX_OCTETS = 16 * 1024, ENDPOINT_MAX = 64, NONCE_HEX = 36 };

struct mechanism {
	const char *name;
	unsigned bit; /* enum sasl_mechanism; 0: no SASL mechanism, a command of its own */
	/* initial: decoded; NULL: none came. */
	enum sasl_state (*start)(struct sasl *s, const struct bytes *initial);
	enum sasl_state (*respond)(struct sasl *s, struct bytes response);
	enum sasl_state (*answered)(struct sasl *s, const struct answer *a);
};

struct sasl {
	struct sasl_setup setup;
	uint8_t exporter[DIGEST_SHA256];
	uint8_t endpoint[ENDPOINT_MAX];
	const struct mechanism *mechanism;
	struct bytes name; /* static text, or what sasl_start_login was given, copied */
	char name_text[16];
	unsigned step;
	char user[LIMIT_USER];
	char password[LIMIT_PASSWORD];
	size_t user_len, password_len;
	uint8_t digest[DIGEST_MD5];
	struct buf raw;       /* a decoded line */
	struct buf clear;     /* the challenge before base64; CRAM-MD5's is needed again */
	struct buf challenge; /* in base64 */
	/* SCRAM */
	struct buf gs2, nonce, auth_message;
	enum scram_binding binding;
	uint8_t proof[DIGEST_SHA256];
	struct ask ask;
	uint64_t account;
	char address[LIMIT_ADDRESS];
	size_t address_len;
};

static void wipe_buf(struct buf *b)
{
	if (b->ptr)
		memory_wipe(b->ptr, b->size);
	buf_done(b);
}

static void wipe_password(struct sasl *s)
{
	memory_wipe(s->password, sizeof s->password);
	s->password_len = 0;
	wipe_buf(&s->raw);
}

static struct bytes user_of(const struct sasl *s)
{
	return bytes_of(s->user, s->user_len);
}

static struct bytes peer_of(const struct sasl *s)
{
	return bytes_of(s->setup.ip.octets, sizeof s->setup.ip.octets);
}

static enum sasl_state challenge(struct sasl *s)
{
	buf_clear(&s->challenge);
	encode_base64(&s->challenge, buf_bytes(&s->clear));
	return SASL_CHALLENGE;
}

static enum sasl_state challenge_text(struct sasl *s, struct bytes text)
{
	buf_clear(&s->clear);
	buf_append(&s->clear, text);
	return challenge(s);
}

/* The user in a prepared form; false: no such name can exist. */
static bool set_user(struct sasl *s, struct bytes raw)
{
	struct arena arena = {0};
	struct bytes name;
	bool fine = prepare_username(raw, &arena, &name) == OK;

	if (fine) {
		memcpy(s->user, name.ptr, name.len);
		s->user_len = name.len;
	}
	arena_done(&arena);
	return fine;
}

static bool set_password(struct sasl *s, struct bytes raw)
{
	struct arena arena = {0};
	struct bytes password;
	bool fine = prepare_password(raw, &arena, &password) == OK;

	if (fine) {
		memcpy(s->password, password.ptr, password.len);
		s->password_len = password.len;
		memory_wipe((char *)password.ptr, password.len);
	}
	arena_done(&arena);
	return fine;
}

/* Nobody acts for somebody else here: an authorisation identity must be the user itself. */
static bool same_as_user(const struct sasl *s, struct bytes authzid)
{
	struct arena arena = {0};
	struct bytes name;
	bool same = authzid.len == 0 || (prepare_username(authzid, &arena, &name) == OK &&
	                                 bytes_equal(name, user_of(s)));

	arena_done(&arena);
	return same;
}

/* What an answer that is not OK means to the client. */
static enum sasl_state refused(enum result r)
{
	switch (r) {
	case UNAVAILABLE:
	case LOST:
	case FAILED:
	case DAMAGED:
	case DISK_FULL: return SASL_UNAVAILABLE;
	default: return SASL_DENIED;
	}
}

static enum sasl_state logged_in(struct sasl *s, uint64_t account, struct bytes address)
{
	struct bytes fits = bytes_first(address, sizeof s->address);

	s->account = account;
	if (fits.len)
		memcpy(s->address, fits.ptr, fits.len);
	s->address_len = fits.len;
	return SASL_DONE;
}

/* ---- PLAIN (RFC 4616), LOGIN, and the commands with a user and a password ---- */

static enum sasl_state ask_login(struct sasl *s)
{
	s->ask = (struct ask){.kind = ASK_LOGIN};
	s->ask.login.user = user_of(s);
	s->ask.login.password = bytes_of(s->password, s->password_len);
	s->ask.login.mechanism = s->name;
	s->ask.login.peer = peer_of(s);
	return SASL_ASK;
}

static enum sasl_state login_answered(struct sasl *s, const struct answer *a)
{
	wipe_password(s);
	if (a->result != OK)
		return refused(a->result);
	return logged_in(s, a->login.account, a->login.address);
}

static enum sasl_state plain_respond(struct sasl *s, struct bytes response)
{
	struct bytes authzid, user, password;
	size_t first = bytes_find_char(response, '\0'), second;

	if (first == BYTES_NONE)
		return SASL_INVALID;
	authzid = bytes_first(response, first);
	user = bytes_skip(response, first + 1);
	second = bytes_find_char(user, '\0');
	if (second == BYTES_NONE)
		return SASL_INVALID;
	password = bytes_skip(user, second + 1);
	user = bytes_first(user, second);
	if (bytes_find_char(password, '\0') != BYTES_NONE)
		return SASL_INVALID;
	if (!set_user(s, user) || !set_password(s, password) || !same_as_user(s, authzid))
		return SASL_DENIED;
	return ask_login(s);
}

static enum sasl_state plain_start(struct sasl *s, const struct bytes *initial)
{
	return initial ? plain_respond(s, *initial) : challenge_text(s, BYTES(""));
}

enum { LOGIN_USER, LOGIN_PASSWORD };

static enum sasl_state login_respond(struct sasl *s, struct bytes response)
{
	if (s->step == LOGIN_USER) {
		/* A name that cannot exist is denied after the password, like any other. */
		s->user_len = 0;
		if (!set_user(s, response))
			s->user_len = 0;
		s->step = LOGIN_PASSWORD;
		return challenge_text(s, BYTES("Password:"));
	}
	if (s->user_len == 0 || !set_password(s, response))
		return SASL_DENIED;
	return ask_login(s);
}

static enum sasl_state login_start(struct sasl *s, const struct bytes *initial)
{
	s->step = LOGIN_USER;
	return initial && initial->len ? login_respond(s, *initial)
	                               : challenge_text(s, BYTES("Username:"));
}

/* ---- CRAM-MD5 (RFC 2195) and APOP (RFC 1939, 7) ---- */

static void random_hex(const struct sasl *s, const char *what, struct buf *out)
{
	struct buf in = {0};
	uint8_t hash[DIGEST_SHA256];

	buf_append(&in, bytes_of(s->setup.seed, sizeof s->setup.seed));
	buf_u64(&in, s->setup.counter);
	buf_append_text(&in, what);
	digest_sha256(buf_bytes(&in), hash);
	encode_hex(out, bytes_of(hash, NONCE_HEX / 2));
	wipe_buf(&in);
}

static enum sasl_state ask_digest(struct sasl *s, enum digest_kind kind)
{
	s->ask = (struct ask){.kind = ASK_DIGEST_LOGIN};
	s->ask.digest_login.user = user_of(s);
	s->ask.digest_login.kind = (uint8_t)kind;
	s->ask.digest_login.challenge = buf_bytes(&s->clear);
	s->ask.digest_login.digest = bytes_of(s->digest, sizeof s->digest);
	s->ask.digest_login.peer = peer_of(s);
	return SASL_ASK;
}

static bool set_digest(struct sasl *s, struct bytes hex)
{
	struct buf out = {0};
	bool fine = hex.len == 2 * DIGEST_MD5 && decode_hex(hex, &out) == OK;

	if (fine)
		memcpy(s->digest, buf_bytes(&out).ptr, DIGEST_MD5);
	buf_done(&out);
	return fine;
}

static enum sasl_state cram_start(struct sasl *s, const struct bytes *initial)
{
	if (initial)
		return SASL_INVALID;
	buf_clear(&s->clear);
	buf_append_char(&s->clear, '<');
	random_hex(s, "CRAM-MD5", &s->clear);
	buf_append_char(&s->clear, '@');
	buf_append(&s->clear, s->setup.hostname);
	buf_append_char(&s->clear, '>');
	return challenge(s);
}

static enum sasl_state cram_respond(struct sasl *s, struct bytes response)
{
	size_t space = bytes_find_last(response, ' ');

	if (space == BYTES_NONE || !set_digest(s, bytes_skip(response, space + 1)))
		return SASL_INVALID;
	if (!set_user(s, bytes_first(response, space)))
		return SASL_DENIED;
	return ask_digest(s, DIGEST_CRAM_MD5);
}

static enum sasl_state digest_answered(struct sasl *s, const struct answer *a)
{
	if (a->result != OK)
		return refused(a->result);
	return logged_in(s, a->digest_login.account, a->digest_login.address);
}

/* ---- SCRAM-SHA-256 and -PLUS (RFC 5802, 7677, 5929, 9266) ---- */

enum { SCRAM_FIRST, SCRAM_SALT, SCRAM_FINAL, SCRAM_PROOF, SCRAM_END };

static struct bytes binding_data(const struct sasl *s)
{
	if (s->binding == SCRAM_BINDING_EXPORTER)
		return s->setup.exporter;
	if (s->binding == SCRAM_BINDING_ENDPOINT)
		return s->setup.endpoint;
	return (struct bytes){0};
}

/* RFC 5802, 6: -PLUS and "p=" go together; "y" while we offered -PLUS means that somebody took it
 * out of our list on the way. */
static bool binding_fits(const struct sasl *s)
{
	bool plus = s->mechanism->bit == SASL_SCRAM_SHA_256_PLUS;

	switch (s->binding) {
	case SCRAM_BINDING_NONE: return !plus;
	case SCRAM_BINDING_UNOFFERED: return !plus && !(s->setup.offered & SASL_SCRAM_SHA_256_PLUS);
	case SCRAM_BINDING_EXPORTER:
	case SCRAM_BINDING_ENDPOINT: return plus && binding_data(s).len > 0;
	default: return false;
	}
}

static bool scram_user(struct sasl *s, const struct scram_first *f)
{
	struct buf name = {0}, authzid = {0};
	bool fine = scram_name_decode(f->username, &name) == OK &&
	            scram_name_decode(f->authzid, &authzid) == OK &&
	            set_user(s, buf_bytes(&name)) && same_as_user(s, buf_bytes(&authzid));

	buf_done(&name);
	buf_done(&authzid);
	return fine;
}

static enum sasl_state scram_first(struct sasl *s, struct bytes message)
{
	struct scram_first f;

	if (scram_first_parse(message, &f) != OK)
		return SASL_INVALID;
	s->binding = f.binding;
	if (!binding_fits(s) || !scram_user(s, &f))
		return SASL_DENIED;
	buf_append(&s->gs2, f.gs2);
	buf_append(&s->nonce, f.nonce);
	random_hex(s, "SCRAM", &s->nonce);
	buf_append(&s->auth_message, f.bare);
	buf_append_char(&s->auth_message, ',');
	s->step = SCRAM_SALT;
	s->ask = (struct ask){.kind = ASK_SCRAM_BEGIN};
	s->ask.scram_begin.user = user_of(s);
	return SASL_ASK;
}

static enum sasl_state scram_salt(struct sasl *s, const struct answer *a)
{
	if (a->result != OK)
		return refused(a->result);
	buf_clear(&s->clear);
	buf_append_text(&s->clear, "r=");
	buf_append(&s->clear, buf_bytes(&s->nonce));
	buf_append_text(&s->clear, ",s=");
	encode_base64(&s->clear, a->scram_begin.salt);
	buf_printf(&s->clear, ",i=%u", a->scram_begin.rounds);
	buf_append(&s->auth_message, buf_bytes(&s->clear));
	buf_append_char(&s->auth_message, ',');
	s->step = SCRAM_FINAL;
	return challenge(s);
}

/* c= must be the header that the client sent first, and the binding of this very connection. */
static bool binding_matches(const struct sasl *s, struct bytes said)
{
	struct buf want = {0}, got = {0};
	bool same;

	buf_append(&want, buf_bytes(&s->gs2));
	buf_append(&want, binding_data(s));
	same = decode_base64(said, &got) == OK &&
	       bytes_equal_secret(buf_bytes(&got), buf_bytes(&want));
	buf_done(&want);
	buf_done(&got);
	return same;
}

static bool set_proof(struct sasl *s, struct bytes base64)
{
	struct buf out = {0};
	bool fine = decode_base64(base64, &out) == OK && buf_len(&out) == sizeof s->proof;

	if (fine)
		memcpy(s->proof, buf_bytes(&out).ptr, sizeof s->proof);
	wipe_buf(&out);
	return fine;
}

static enum sasl_state scram_final(struct sasl *s, struct bytes message)
{
	struct scram_final f;

	if (scram_final_parse(message, &f) != OK || !set_proof(s, f.proof))
		return SASL_INVALID;
	if (!bytes_equal(f.nonce, buf_bytes(&s->nonce)) || !binding_matches(s, f.binding))
		return SASL_DENIED;
	buf_append(&s->auth_message, f.without_proof);
	s->step = SCRAM_PROOF;
	s->ask = (struct ask){.kind = ASK_SCRAM_FINISH};
	s->ask.scram_finish.user = user_of(s);
	s->ask.scram_finish.auth_message = buf_bytes(&s->auth_message);
	s->ask.scram_finish.proof = bytes_of(s->proof, sizeof s->proof);
	s->ask.scram_finish.peer = peer_of(s);
	return SASL_ASK;
}

/* SMTP, IMAP and POP3 have no room for data with their OK, so the server's signature is one more
 * challenge, and the client answers with an empty line (RFC 5802, 5; RFC 4422, 3.6). */
static enum sasl_state scram_proved(struct sasl *s, const struct answer *a)
{
	memory_wipe(s->proof, sizeof s->proof);
	if (a->result != OK)
		return refused(a->result);
	logged_in(s, a->scram_finish.account, a->scram_finish.address);
	buf_clear(&s->clear);
	buf_append_text(&s->clear, "v=");
	encode_base64(&s->clear, a->scram_finish.signature);
	s->step = SCRAM_END;
	return challenge(s);
}

static enum sasl_state scram_respond(struct sasl *s, struct bytes response)
{
	switch (s->step) {
	case SCRAM_FIRST: return scram_first(s, response);
	case SCRAM_FINAL: return scram_final(s, response);
	default: return response.len ? SASL_INVALID : SASL_DONE;
	}
}

static enum sasl_state scram_start(struct sasl *s, const struct bytes *initial)
{
	s->step = SCRAM_FIRST;
	return initial ? scram_first(s, *initial) : challenge_text(s, BYTES(""));
}

static enum sasl_state scram_answered(struct sasl *s, const struct answer *a)
{
	return s->step == SCRAM_SALT ? scram_salt(s, a) : scram_proved(s, a);
}

/* ---- the table: strongest first ---- */

static const struct mechanism mechanisms[] = {
        {"SCRAM-SHA-256-PLUS", SASL_SCRAM_SHA_256_PLUS, scram_start, scram_respond, scram_answered},
        {"SCRAM-SHA-256", SASL_SCRAM_SHA_256, scram_start, scram_respond, scram_answered},
        {"PLAIN", SASL_PLAIN, plain_start, plain_respond, login_answered},
        {"LOGIN", SASL_LOGIN, login_start, login_respond, login_answered},
        {"CRAM-MD5", SASL_CRAM_MD5, cram_start, cram_respond, digest_answered},
};

static const struct mechanism command_login = {"LOGIN", 0, NULL, NULL, login_answered};
static const struct mechanism command_apop = {"APOP", 0, NULL, NULL, digest_answered};

enum { MECHANISMS = sizeof mechanisms / sizeof *mechanisms };

unsigned sasl_offer(bool plaintext_allowed, bool old_allowed, bool has_binding)
{
	return (plaintext_allowed ? SASL_PLAIN | SASL_LOGIN : 0) |
	       (old_allowed ? SASL_CRAM_MD5 : 0) | SASL_SCRAM_SHA_256 |
	       (has_binding ? SASL_SCRAM_SHA_256_PLUS : 0);
}

void sasl_offer_words(unsigned offered, const char *prefix, struct buf *out)
{
	for (size_t i = 0; i < MECHANISMS; i++)
		if (offered & mechanisms[i].bit)
			buf_printf(out, "%s%s", prefix, mechanisms[i].name);
}

/* ---- the engine ---- */

struct sasl *sasl_new(const struct sasl_setup *setup)
{
	struct sasl *s = NEW(struct sasl);
	struct bytes exporter = bytes_first(setup->exporter, sizeof s->exporter);
	struct bytes endpoint = bytes_first(setup->endpoint, sizeof s->endpoint);

	s->setup = *setup;
	if (exporter.len)
		memcpy(s->exporter, exporter.ptr, exporter.len);
	if (endpoint.len)
		memcpy(s->endpoint, endpoint.ptr, endpoint.len);
	s->setup.exporter = bytes_of(s->exporter, exporter.len);
	s->setup.endpoint = bytes_of(s->endpoint, endpoint.len);
	return s;
}

void sasl_free(struct sasl **s)
{
	if (!*s)
		return;
	wipe_password(*s);
	wipe_buf(&(*s)->clear);
	wipe_buf(&(*s)->challenge);
	wipe_buf(&(*s)->gs2);
	wipe_buf(&(*s)->nonce);
	wipe_buf(&(*s)->auth_message);
	memory_wipe(*s, sizeof **s);
	memory_free(*s);
	*s = NULL;
}

static const struct mechanism *mechanism_named(const struct sasl *s, struct bytes name)
{
	for (size_t i = 0; i < MECHANISMS; i++)
		if ((s->setup.offered & mechanisms[i].bit) &&
		    bytes_equal_nocase(name, bytes_of_text(mechanisms[i].name)))
			return &mechanisms[i];
	return NULL;
}

static bool decode(struct sasl *s, struct bytes line)
{
	wipe_buf(&s->raw);
	return line.len <= LINE_MAX_OCTETS && decode_base64(line, &s->raw) == OK;
}

static void set_name(struct sasl *s, struct bytes name)
{
	name = bytes_first(name, sizeof s->name_text);
	if (name.len)
		memcpy(s->name_text, name.ptr, name.len);
	s->name = bytes_of(s->name_text, name.len);
}

enum sasl_state sasl_start(struct sasl *s, struct bytes mechanism, const struct bytes *initial)
{
	struct bytes decoded;

	s->mechanism = mechanism_named(s, mechanism);
	if (!s->mechanism)
		return SASL_UNKNOWN;
	s->name = bytes_of_text(s->mechanism->name);
	if (!initial)
		return s->mechanism->start(s, NULL);
	/* "=" is an initial response of no octets (RFC 4954, 4). */
	if (bytes_equal(*initial, BYTES("=")))
		wipe_buf(&s->raw);
	else if (!initial->len || !decode(s, *initial))
		return SASL_INVALID;
	decoded = buf_bytes(&s->raw);
	return s->mechanism->start(s, &decoded);
}

enum sasl_state sasl_line(struct sasl *s, struct bytes line)
{
	if (bytes_equal(line, BYTES("*")))
		return SASL_CANCELLED;
	if (!s->mechanism || !s->mechanism->respond || !decode(s, line))
		return SASL_INVALID;
	return s->mechanism->respond(s, buf_bytes(&s->raw));
}

enum sasl_state sasl_answer(struct sasl *s, const struct answer *a)
{
	if (!s->mechanism || a->kind != s->ask.kind)
		return SASL_UNAVAILABLE;
	return s->mechanism->answered(s, a);
}

enum sasl_state sasl_start_login(struct sasl *s, struct bytes user, struct bytes password,
                                 struct bytes what)
{
	s->mechanism = &command_login;
	set_name(s, what);
	if (!set_user(s, user) || !set_password(s, password))
		return SASL_DENIED;
	return ask_login(s);
}

enum sasl_state sasl_start_apop(struct sasl *s, struct bytes user, struct bytes challenge_text,
                                struct bytes digest)
{
	s->mechanism = &command_apop;
	set_name(s, BYTES("APOP"));
	if (!set_digest(s, digest))
		return SASL_INVALID;
	if (!set_user(s, user))
		return SASL_DENIED;
	buf_clear(&s->clear);
	buf_append(&s->clear, challenge_text);
	return ask_digest(s, DIGEST_APOP);
}

struct bytes sasl_challenge(const struct sasl *s)
{
	return buf_bytes(&s->challenge);
}

const struct ask *sasl_ask(const struct sasl *s)
{
	return &s->ask;
}

uint64_t sasl_account(const struct sasl *s)
{
	return s->account;
}

struct bytes sasl_address(const struct sasl *s)
{
	return bytes_of(s->address, s->address_len);
}

struct bytes sasl_name(const struct sasl *s)
{
	return s->name;
}

struct bytes sasl_user(const struct sasl *s)
{
	return user_of(s);
}
