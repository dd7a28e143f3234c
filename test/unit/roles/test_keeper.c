/* keeper with a store and fronts that the test plays; its folder keys/ is a temporary one. */
#include "house.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/memory.h"
#include "crypto/certificate.h"
#include "crypto/sign.h"
#include "policy/ban.h"
#include "roles/keeper.h"
#include "roles/keeper_sign.h"
#include "sys/clock.h"
#include "sys/file.h"
#include "sys/random.h"
#include "sys/socket.h"

struct row {
	char address[64];
	struct buf sealed;
	bool suspended;
};

struct world {
	struct house *h;
	struct channel *store, *front, *web;
	struct row rows[4];
	size_t row_count;
	unsigned credentials, grants, events, offences;
	unsigned offence_kind, offence_nth; /* the last */
	struct ask grant;                   /* the last */
	/* Answers at the fronts, in the order in which they came. */
	struct answer answers[128];
	struct arena arena;
	size_t answer_count;
	char folder[64];
	uint8_t key_id[DIGEST_SHA256];
	struct buf certificate;
};

/* ---- the store ---- */

static struct row *row_of(struct world *w, struct bytes user)
{
	for (size_t i = 0; i < w->row_count; i++)
		if (bytes_equal(bytes_of_text(w->rows[i].address), user) ||
		    (bytes_starts(bytes_of_text(w->rows[i].address), user) &&
		     w->rows[i].address[user.len] == '@'))
			return &w->rows[i];
	return NULL;
}

static void put_row(struct world *w, const struct ask *a)
{
	struct row *row = row_of(w, a->credential_set.address);

	if (!row) {
		row = &w->rows[w->row_count++];
		snprintf(row->address, sizeof(row->address), "%.*s",
		         BYTES_ARG(a->credential_set.address));
	}
	buf_clear(&row->sealed);
	buf_append(&row->sealed, a->credential_set.sealed);
}

static void store_ask(void *context, struct channel *c, const struct ask *a)
{
	struct world *w = context;
	struct answer answer = answer_to(a, OK, (struct bytes){0});
	struct row *row;

	switch (a->kind) {
	case ASK_CREDENTIAL:
		w->credentials++;
		row = row_of(w, a->credential.user);
		if (!row) {
			answer = answer_to(a, NOT_FOUND, (struct bytes){0});
			break;
		}
		answer.credential.account = (uint64_t)(row - w->rows) + 1;
		answer.credential.address = bytes_of_text(row->address);
		answer.credential.sealed = buf_bytes(&row->sealed);
		answer.credential.suspended = row->suspended;
		break;
	case ASK_CREDENTIAL_SET:
		put_row(w, a);
		answer.credential_set.account = w->row_count;
		break;
	case ASK_GRANT:
		w->grants++;
		w->grant = *a;
		break;
	case ASK_LEDGER: break;
	case ASK_OFFENCE:
		w->offences++;
		w->offence_kind = a->offence.kind;
		w->offence_nth = a->offence.nth;
		break;
	default: fail_msg("keeper asks the store %s", ask_info(a->kind)->name);
	}
	channel_answer(c, &answer);
}

static void front_answered(void *context, struct channel *c, const struct answer *a)
{
	struct world *w = context;

	w->answers[w->answer_count++] = answer_copy(&w->arena, a);
}

static void store_answered(void *context, struct channel *c, const struct answer *a)
{
}

static void front_event_came(void *context, struct channel *c, uint64_t session, unsigned events)
{
	struct world *w = context;

	w->events += session == 0 && events == ENGINE_LOST;
}

static void lost(void *context, struct channel *c, const char *broken)
{
	assert_null(broken);
}

static const struct channel_ops store_ops = {
        .ask = store_ask, .answer = store_answered, .event = front_event_came, .lost = lost};
static const struct channel_ops front_ops = {
        .answer = front_answered, .event = front_event_came, .lost = lost};

/* ---- the world ---- */

static void write_file(struct world *w, const char *name, struct bytes text)
{
	struct file_system *fs = file_system_real_new(w->h->folder);
	struct why why;

	if (file_write_all(fs, name, text, &why) != OK)
		fail_msg("%s", why.text);
	file_system_free(&fs);
}

static void make_keys(struct world *w)
{
	struct file_system *fs;
	struct buf key = {0};
	struct why why;
	struct certificate *c;

	snprintf(w->folder, sizeof(w->folder), "/tmp/hikyaku-keeper-XXXXXX");
	assert_non_null(mkdtemp(w->folder));
	w->h->folder = open(w->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	fs = file_system_real_new(w->h->folder);
	assert_int_equal(file_make_directory(fs, "tls", &why), OK);
	file_system_free(&fs);
	write_file(w, "seal.key", BYTES("0123456789abcdef0123456789abcdef"));
	certificate_make(BYTES("mx.example.test"), clock_now(), &w->certificate, &key);
	write_file(w, "tls/mx.key", buf_bytes(&key));
	write_file(w, "tls/broken.key", BYTES("no key"));
	assert_int_equal(certificate_parse(buf_bytes(&w->certificate), &c, &why), OK);
	certificate_key_id(c, w->key_id);
	certificate_free(&c);
	buf_done(&key);
}

static void remove_keys(struct world *w)
{
	assert_int_equal(unlinkat(w->h->folder, "tls/mx.key", 0), 0);
	assert_int_equal(unlinkat(w->h->folder, "tls/broken.key", 0), 0);
	assert_int_equal(unlinkat(w->h->folder, "tls", AT_REMOVEDIR), 0);
	assert_int_equal(unlinkat(w->h->folder, "seal.key", 0), 0);
	assert_int_equal(rmdir(w->folder), 0);
}

static struct bytes domain = BYTES("example.test");

static int setup(void **state)
{
	struct world *w = NEW(struct world);
	struct why why = {""};

	w->h = house_new(&role_keeper);
	w->h->values.domains.items = &domain;
	w->h->values.domains.count = 1;
	w->h->values.login_cram_md5 = true;
	w->h->values.login_apop = true;
	make_keys(w);
	w->store = house_connect(w->h, STORE, 0, &store_ops, w);
	w->front = house_connect(w->h, ACCESS, 0, &front_ops, w);
	w->web = house_connect(w->h, WEB, 0, &front_ops, w);
	if (role_keeper.ops->start(&w->h->r, &why) != OK)
		fail_msg("%s", why.text);
	*state = w;
	return 0;
}

/* Nobody waits for penalties when the test is over. True: nothing is under way. */
static bool hurried(struct keeper *k)
{
	struct map_entry *e;

	for (size_t at = 0; (e = map_each(&k->requests, &at));) {
		struct request *q = e->value;

		if (q->deadline.place)
			deadlines_set(&k->deadlines, &q->deadline, 0);
	}
	keeper_login_due(k);
	return k->requests.count == 0;
}

/* Only what the process itself would not give back when it ends. */
static int teardown(void **state)
{
	struct world *w = *state;
	struct keeper *k = w->h->r.self;
	struct map_entry *e;

	house_until(w->h, hurried(k));
	worker_free(&k->hashers);
	loop_timer_free(&k->timer);
	for (size_t at = 0; (e = map_each(&k->grants, &at));)
		memory_free(e->value);
	map_done(&k->grants);
	map_done(&k->requests);
	deadlines_done(&k->deadlines);
	buf_done(&k->nobody);
	keeper_keys_free(&k->keys);
	keeper_dkim_free(&k->dkim);
	memory_free(k);
	remove_keys(w);
	house_free(&w->h);
	for (size_t i = 0; i < w->row_count; i++)
		buf_done(&w->rows[i].sealed);
	arena_done(&w->arena);
	buf_done(&w->certificate);
	memory_free(w);
	return 0;
}

/* ---- asking ---- */

enum { ACCESS_PLACE = 5 };
static const uint64_t SESSION = (uint64_t)ACCESS_PLACE << 56 |
                                77; /* session_number(ACCESS, 0, 77) */
static const char near[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, -1, -1, 127, 0, 0, 1};
static const char far[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, -1, -1, 192, 0, 2, 1};

static uint32_t numbers;

static const struct answer *answer_of(struct world *w, uint32_t number)
{
	for (size_t i = 0; i < w->answer_count; i++)
		if (w->answers[i].number == number)
			return &w->answers[i];
	return NULL;
}

static uint32_t put(struct channel *c, struct ask a, uint64_t session)
{
	a.number = ++numbers;
	a.session = session;
	channel_ask(c, &a);
	return a.number;
}

static const struct answer *wait_for(struct world *w, uint32_t number)
{
	house_until(w->h, answer_of(w, number));
	return answer_of(w, number);
}

static uint32_t put_login(struct world *w, const char *user, const char *password, const char *peer,
                          uint64_t session)
{
	struct ask a = {.kind = ASK_LOGIN};

	a.login.user = bytes_of_text(user);
	a.login.password = bytes_of_text(password);
	a.login.mechanism = BYTES("PLAIN");
	a.login.peer = bytes_of(peer, 16);
	return put(w->front, a, session);
}

static const struct answer *login(struct world *w, const char *user, const char *password)
{
	return wait_for(w, put_login(w, user, password, near, SESSION));
}

static void set_password(struct world *w, const char *address, const char *password)
{
	struct ask a = {.kind = ASK_PASSWORD};

	a.password.address = bytes_of_text(address);
	a.password.password = bytes_of_text(password);
	a.password.create = 1;
	assert_int_equal(wait_for(w, put(w->web, a, session_number(WEB, 0, 1)))->result, OK);
}

/* ---- tests ---- */

static void right_and_wrong(void **state)
{
	struct world *w = *state;
	const struct answer *a;

	set_password(w, "ken@example.test", "飛脚 secret");
	a = login(w, "ken@example.test", "飛脚 secret");
	assert_int_equal(a->result, OK);
	assert_int_equal(a->login.account, 1);
	assert_bytes(a->login.address, BYTES("ken@example.test"));
	assert_int_equal(w->grants, 1);
	assert_true(w->grant.grant.front_session == SESSION);
	assert_int_equal(w->grant.grant.front, ACCESS);
	assert_int_equal(w->grant.grant.account, 1);
	assert_int_equal(login(w, "ken@example.test", "飛脚 Secret")->result, DENIED);
	assert_int_equal(login(w, "ken", "飛脚 secret")->result, OK);
	assert_int_equal(w->grants, 2);
	/* The same answer and the same ask of the store, whoever it is. */
	w->credentials = 0;
	assert_int_equal(login(w, "nobody@example.test", "x")->result, DENIED);
	assert_int_equal(w->credentials, 1);
	assert_int_equal(w->grants, 2);
	assert_true(house_logged(
	        w->h, "login-failed session=050000000000004d user=\"nobody@example.test\" "
	              "ip=127.0.0.1 mechanism=PLAIN"));
}

/* The hash of the last right password spares Argon2id, and never outlives a change of the password.
 * */
static void a_new_password_counts_at_once(void **state)
{
	struct world *w = *state;

	set_password(w, "ken@example.test", "one");
	assert_int_equal(login(w, "ken", "one")->result, OK);
	assert_int_equal(login(w, "ken", "one")->result, OK);
	set_password(w, "ken@example.test", "two");
	assert_int_equal(login(w, "ken", "one")->result, DENIED);
	assert_int_equal(login(w, "ken", "two")->result, OK);
	w->rows[0].suspended = true;
	assert_int_equal(login(w, "ken", "two")->result, DENIED);
}

static void what_cannot_be_opened_is_not_wrong(void **state)
{
	struct world *w = *state;

	set_password(w, "ken@example.test", "one");
	w->rows[0].sealed.ptr[40] ^= 1;
	assert_int_equal(login(w, "ken", "one")->result, UNAVAILABLE);
	assert_true(house_logged(w->h, "credential-damaged"));
	house_cut(w->h, STORE);
	assert_int_equal(login(w, "ken", "one")->result, UNAVAILABLE);
}

static const struct answer *scram_begin(struct world *w, const char *user)
{
	struct ask a = {.kind = ASK_SCRAM_BEGIN};

	a.scram_begin.user = bytes_of_text(user);
	return wait_for(w, put(w->front, a, SESSION));
}

static void nobody_can_tell_salts_apart(void **state)
{
	struct world *w = *state;
	const struct answer *known, *unknown, *bare, *again, *other;

	set_password(w, "ken@example.test", "one");
	known = scram_begin(w, "ken@example.test");
	assert_bytes(scram_begin(w, "ken")->scram_begin.salt, known->scram_begin.salt);
	unknown = scram_begin(w, "eve@example.test");
	again = scram_begin(w, "eve@example.test");
	bare = scram_begin(w, "eve");
	other = scram_begin(w, "mallory");
	assert_int_equal(unknown->result, OK);
	assert_int_equal(unknown->scram_begin.salt.len, known->scram_begin.salt.len);
	assert_int_equal(unknown->scram_begin.rounds, known->scram_begin.rounds);
	assert_bytes(again->scram_begin.salt, unknown->scram_begin.salt);
	assert_bytes(bare->scram_begin.salt, unknown->scram_begin.salt);
	assert_false(bytes_equal(other->scram_begin.salt, unknown->scram_begin.salt));
}

/* The client's side: the proof from the password and the salt. */
static void prove(const struct answer *begin, const char *password, struct bytes message,
                  uint8_t ret[PASSWORD_KEY])
{
	uint8_t salted[PASSWORD_KEY], u[PASSWORD_KEY], key[PASSWORD_KEY], stored[PASSWORD_KEY];
	char first[PASSWORD_SALT + 4];

	memcpy(first, begin->scram_begin.salt.ptr, PASSWORD_SALT);
	memcpy(first + PASSWORD_SALT, "\0\0\0\1", 4);
	digest_hmac_sha256(bytes_of_text(password), bytes_of(first, sizeof(first)), u);
	memcpy(salted, u, sizeof(u));
	for (uint32_t i = 1; i < begin->scram_begin.rounds; i++) {
		digest_hmac_sha256(bytes_of_text(password), bytes_of(u, sizeof(u)), u);
		for (size_t k = 0; k < sizeof(u); k++)
			salted[k] ^= u[k];
	}
	digest_hmac_sha256(bytes_of(salted, sizeof(salted)), BYTES("Client Key"), key);
	digest_sha256(bytes_of(key, sizeof(key)), stored);
	digest_hmac_sha256(bytes_of(stored, sizeof(stored)), message, u);
	for (size_t k = 0; k < sizeof(u); k++)
		ret[k] = key[k] ^ u[k];
}

static const struct answer *scram_finish(struct world *w, const char *user, const uint8_t *proof)
{
	struct ask a = {.kind = ASK_SCRAM_FINISH};

	a.scram_finish.user = bytes_of_text(user);
	a.scram_finish.auth_message = BYTES("what both said");
	a.scram_finish.proof = bytes_of(proof, PASSWORD_KEY);
	a.scram_finish.peer = bytes_of(near, 16);
	return wait_for(w, put(w->front, a, SESSION));
}

static void scram_proofs(void **state)
{
	struct world *w = *state;
	uint8_t proof[PASSWORD_KEY];

	set_password(w, "ken@example.test", "one");
	prove(scram_begin(w, "ken"), "one", BYTES("what both said"), proof);
	assert_int_equal(scram_finish(w, "ken", proof)->result, OK);
	assert_int_equal(w->answers[w->answer_count - 1].scram_finish.signature.len, PASSWORD_KEY);
	assert_int_equal(w->grants, 1);
	proof[3] ^= 1;
	assert_int_equal(scram_finish(w, "ken", proof)->result, DENIED);
	prove(scram_begin(w, "eve"), "one", BYTES("what both said"), proof);
	assert_int_equal(scram_finish(w, "eve", proof)->result, DENIED);
	assert_int_equal(w->grants, 1);
}

static const struct answer *digest_login(struct world *w, enum digest_kind kind,
                                         const uint8_t digest[DIGEST_MD5])
{
	struct ask a = {.kind = ASK_DIGEST_LOGIN};

	a.digest_login.user = BYTES("ken");
	a.digest_login.kind = (uint8_t)kind;
	a.digest_login.challenge = BYTES("<1896.697170952@example.test>");
	a.digest_login.digest = bytes_of(digest, DIGEST_MD5);
	a.digest_login.peer = bytes_of(near, 16);
	return wait_for(w, put(w->front, a, SESSION));
}

static void old_mechanisms_where_allowed(void **state)
{
	struct world *w = *state;
	uint8_t cram[DIGEST_MD5], apop[DIGEST_MD5];

	set_password(w, "ken@example.test", "one");
	digest_hmac_md5(BYTES("one"), BYTES("<1896.697170952@example.test>"), cram);
	digest_md5(BYTES("<1896.697170952@example.test>one"), apop);
	assert_int_equal(digest_login(w, DIGEST_CRAM_MD5, cram)->result, OK);
	assert_int_equal(digest_login(w, DIGEST_APOP, apop)->result, OK);
	assert_int_equal(digest_login(w, DIGEST_APOP, cram)->result, DENIED);
	assert_true(house_logged(w->h, "old-mechanism-used session=050000000000004d user=\"ken\" "
	                               "ip=127.0.0.1 mechanism=APOP"));
	w->h->values.login_cram_md5 = false;
	assert_int_equal(digest_login(w, DIGEST_CRAM_MD5, cram)->result, DENIED);
	assert_int_equal(digest_login(w, DIGEST_APOP, apop)->result, OK);
	/* Neither is allowed: a new credential has nothing that they could use. */
	w->h->values.login_apop = false;
	set_password(w, "ken@example.test", "one");
	w->h->values.login_apop = true;
	assert_int_equal(digest_login(w, DIGEST_APOP, apop)->result, DENIED);
}

static void fields_that_do_not_fit(void **state)
{
	struct world *w = *state;
	static char large[LIMIT_PASSWORD + 1];
	struct ask a = {.kind = ASK_LOGIN};

	a.login.user = BYTES("ken");
	a.login.peer = BYTES("short");
	assert_int_equal(wait_for(w, put(w->front, a, SESSION))->result, INVALID);
	a.login.peer = bytes_of(near, 16);
	a.login.password = bytes_of(large, sizeof(large));
	assert_int_equal(wait_for(w, put(w->front, a, SESSION))->result, INVALID);
	a.login.password = BYTES("x");
	a.login.user = bytes_of(large, LIMIT_USER + 1);
	assert_int_equal(wait_for(w, put(w->front, a, SESSION))->result, INVALID);
	a.login.user = BYTES("ken");
	assert_int_equal(wait_for(w, put(w->front, a, 0))->result, INVALID);
	a = (struct ask){.kind = ASK_SIGN};
	assert_int_equal(wait_for(w, put(w->front, a, SESSION))->result, INVALID);
	assert_int_equal(w->credentials, 0);
}

/* Failures slow their own address; a login from elsewhere that comes later is answered first. */
static void only_who_fails_waits(void **state)
{
	static const char *const users[PENALTY_FREE] = {"a", "b", "c"};
	struct world *w = *state;
	uint32_t slow, quick;

	set_password(w, "ken@example.test", "one");
	set_password(w, "ann@example.test", "two");
	for (int i = 0; i < PENALTY_FREE; i++)
		assert_int_equal(wait_for(w, put_login(w, users[i], "x", far, SESSION))->result,
		                 DENIED);
	slow = put_login(w, "ann", "two", far, SESSION);
	for (int i = 0; i < 20; i++)
		house_step(w->h);
	quick = put_login(w, "ken", "one", near, SESSION);
	assert_int_equal(wait_for(w, quick)->result, OK);
	assert_null(answer_of(w, slow));
	assert_int_equal(wait_for(w, slow)->result, OK);
}

/* Who guesses and who has forgotten a client somewhere: the store hears how many different passwords it were. */
static void the_same_wrong_password_is_told_apart(void **state)
{
	struct world *w = *state;
	struct keeper *k = w->h->r.self;

	w->h->values.ban_on = true;
	set_password(w, "ken@example.test", "one");
	assert_int_equal(login(w, "ken", "old")->result, DENIED);
	assert_int_equal(w->offence_kind, BAN_WRONG_PASSWORD);
	assert_int_equal(w->offence_nth, 1);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(login(w, "ken@example.test", "old")->result, DENIED);
		assert_int_equal(w->offence_nth, 0);
	}
	assert_int_equal(w->offences, 4);
	/* It slows the account, not the office. */
	assert_int_equal(penalty_of(&k->addresses, bytes_of(near, 16), clock_now(), 100000), 0);
	assert_int_equal(login(w, "ken", "another")->result, DENIED);
	assert_int_equal(w->offence_nth, 2);
	assert_int_equal(wait_for(w, put_login(w, "ken", "old", far, SESSION))->result, DENIED);
	assert_int_equal(w->offence_nth, 1);
	assert_int_equal(login(w, "nobody", "old")->result, DENIED);
	assert_int_equal(w->offence_kind, BAN_UNKNOWN_USER);
	assert_int_equal(w->offence_nth, 1);
	/* A right password is no offence; of a suspended account it counts nothing. */
	w->offences = 0;
	assert_int_equal(login(w, "ken", "one")->result, OK);
	assert_int_equal(w->offences, 0);
	w->rows[0].suspended = true;
	assert_int_equal(login(w, "ken", "one")->result, DENIED);
	assert_int_equal(w->offences, 1);
	assert_int_equal(w->offence_nth, 0);
}

static void no_offences_where_bans_are_off(void **state)
{
	struct world *w = *state;
	struct ip_prefix all = {.bits = 0};

	assert_int_equal(login(w, "nobody", "x")->result, DENIED);
	w->h->values.ban_on = true;
	w->h->values.ban_allow = (struct config_prefixes){&all, 1};
	assert_int_equal(login(w, "nobody", "y")->result, DENIED);
	assert_int_equal(w->offences, 0);
	w->h->values.ban_allow.count = 0;
	assert_int_equal(login(w, "nobody", "z")->result, DENIED);
	assert_int_equal(w->offences, 1);
}

/* Only so many may wait: the places of a front's channel are for others. */
static void waiting_is_bounded(void **state)
{
	struct world *w = *state;
	struct keeper *k = w->h->r.self;
	uint32_t first, last;

	for (int i = 0; i < PENALTY_FREE; i++)
		penalty_add(&k->addresses, bytes_of(far, 16), clock_now());
	first = put_login(w, "a", "x", far, SESSION);
	for (int i = 0; i < 40; i++)
		last = put_login(w, "a", "x", far, SESSION);
	assert_int_equal(wait_for(w, last)->result, UNAVAILABLE);
	assert_null(answer_of(w, first));
	/* One address never takes all places: others who failed may still wait. */
	assert_int_equal(k->waiting, LIMIT_ASKS_CHANNEL / 3 / 3);
	for (int i = 0; i < PENALTY_FREE; i++)
		penalty_add(&k->addresses, bytes_of(near, 16), clock_now());
	last = put_login(w, "b", "x", near, SESSION);
	assert_int_equal(wait_for(w, first)->result, DENIED);
	assert_int_equal(wait_for(w, last)->result, DENIED);
}

/* Guessers from everywhere who fill the places do not learn more by it: an account that has seen wrong passwords is not tried
 * without a place to wait. */
static void no_guess_without_a_place_to_wait(void **state)
{
	struct world *w = *state;
	struct keeper *k = w->h->r.self;
	unsigned before;

	set_password(w, "ken@example.test", "one");
	set_password(w, "ann@example.test", "two");
	for (int i = 0; i < PENALTY_FREE; i++)
		penalty_add(&k->accounts, BYTES("ken@example.test"), clock_now());
	k->waiting += LIMIT_ASKS_CHANNEL / 3;
	before = w->credentials;
	/* The bare name is the same account. */
	assert_int_equal(wait_for(w, put_login(w, "ken", "x", near, SESSION))->result, UNAVAILABLE);
	assert_int_equal(
	        wait_for(w, put_login(w, "ken@example.test", "one", near, SESSION))->result,
	        UNAVAILABLE);
	assert_int_equal(w->credentials, before);
	assert_int_equal(wait_for(w, put_login(w, "ann", "two", near, SESSION))->result, OK);
	k->waiting -= LIMIT_ASKS_CHANNEL / 3;
	assert_int_equal(wait_for(w, put_login(w, "ken", "one", near, SESSION))->result, OK);
	assert_int_equal(k->waiting, 0);
}

/* mx, taken over, must not be able to open the tickets of people who read mail. */
static void each_role_has_ticket_keys_of_its_own(void **state)
{
	struct world *w = *state;
	struct ask a = {.kind = ASK_TICKET_KEYS};
	const struct answer *ours = wait_for(w, put(w->front, a, SESSION));
	const struct answer *others = wait_for(w, put(w->web, a, session_number(WEB, 0, 1)));

	assert_int_equal(others->ticket_keys.keys.len, ours->ticket_keys.keys.len);
	for (size_t at = 0; at + 16 <= ours->ticket_keys.keys.len; at += 16)
		assert_memory_not_equal(ours->ticket_keys.keys.ptr + at,
		                        others->ticket_keys.keys.ptr + at, 16);
}

/* Many from one address, then one from another: it is not the last. */
static void hashing_is_fair(void **state)
{
	struct world *w = *state;
	uint32_t flood[40], one;

	set_password(w, "ken@example.test", "one");
	for (int i = 0; i < 40; i++)
		flood[i] = put_login(w, "nobody", "x", far, SESSION);
	one = put_login(w, "ken", "one", near, SESSION);
	assert_int_equal(wait_for(w, one)->result, OK);
	assert_null(answer_of(w, flood[39]));
	assert_null(answer_of(w, flood[20]));
}

static void grants_are_said_again(void **state)
{
	struct world *w = *state;
	struct ask end = {.kind = ASK_SESSION_END};

	set_password(w, "ken@example.test", "one");
	assert_int_equal(login(w, "ken", "one")->result, OK);
	assert_int_equal(wait_for(w, put_login(w, "ken", "one", near, SESSION + 1))->result, OK);
	wait_for(w, put(w->front, end, SESSION + 1));
	house_cut(w->h, STORE);
	w->grants = 0;
	w->store = house_reconnect(w->h, STORE, &store_ops, w);
	house_until(w->h, w->events == 2); /* both fronts hear that it is done */
	assert_int_equal(w->grants, 1);
	assert_true(w->grant.grant.front_session == SESSION);
	/* The front died: nobody speaks for its sessions any more. */
	house_cut(w->h, ACCESS);
	house_cut(w->h, STORE);
	w->grants = w->events = 0;
	w->store = house_reconnect(w->h, STORE, &store_ops, w);
	house_until(w->h, w->events == 1);
	assert_int_equal(w->grants, 0);
}

/* The session ended while its login was under way: no grant for it. */
static void a_session_that_ended_gets_no_grant(void **state)
{
	struct world *w = *state;
	struct ask end = {.kind = ASK_SESSION_END};
	struct keeper *k = w->h->r.self;

	set_password(w, "ken@example.test", "one");
	put_login(w, "ken", "one", near, SESSION);
	wait_for(w, put(w->front, end, SESSION));
	house_until(w->h, k->requests.count == 0);
	assert_int_equal(w->grants, 0);
	assert_int_equal(k->grants.count, 0);
}

static void ticket_keys_stay_for_a_day(void **state)
{
	struct world *w = *state;
	struct keeper *k = w->h->r.self;
	struct ask a = {.kind = ASK_TICKET_KEYS};
	const struct answer *first = wait_for(w, put(w->front, a, SESSION)), *second, *third;

	assert_int_equal(first->ticket_keys.keys.len, 80);
	second = wait_for(w, put(w->front, a, SESSION));
	assert_bytes(second->ticket_keys.keys, first->ticket_keys.keys);
	k->tickets_made -= 24 * 60 * 60 * 1000 + 1;
	third = wait_for(w, put(w->front, a, SESSION));
	assert_int_equal(third->ticket_keys.keys.len, 160);
	assert_bytes(bytes_skip(third->ticket_keys.keys, 80), first->ticket_keys.keys);
}

static enum result ask_sign(int fd, struct world *w, uint8_t scheme, struct arena *arena,
                            struct answer *ret)
{
	struct ask a = {.kind = ASK_SIGN, .number = ++numbers};

	a.sign.key = bytes_of(w->key_id, sizeof(w->key_id));
	a.sign.scheme = scheme;
	a.sign.digest = BYTES("0123456789abcdef0123456789abcdef");
	return channel_ask_wait(fd, &a, 10000, arena, ret);
}

static void signing_has_a_thread(void **state)
{
	struct world *w = *state;
	struct arena arena = {0};
	struct answer a;
	struct why why;
	struct ask other = {.kind = ASK_SESSION_END, .number = 1};
	struct config_certificate certificates[2];
	struct buf other_pem = {0}, other_key = {0};
	int fds[2];

	assert_true(house_logged(w->h, "key-refused file=keys/tls/broken.key"));
	assert_true(house_logged(w->h, "keys-read count=1"));
	assert_int_equal(socket_pair(fds, &why), OK);
	role_keeper.ops->sign_channel(&w->h->r, ACCESS, 0, fds[1]);
	/* Nobody runs the loop: it signs all the same. */
	assert_int_equal(ask_sign(fds[0], w, SIGN_ECDSA_SHA256, &arena, &a), OK);
	assert_int_equal(a.result, OK);
	assert_true(a.sign.signature.len > 60);
	assert_int_equal(ask_sign(fds[0], w, SIGN_RSA_PSS_SHA256, &arena, &a), OK);
	assert_int_equal(a.result, INVALID);
	w->key_id[0] ^= 1;
	assert_int_equal(ask_sign(fds[0], w, SIGN_ECDSA_SHA256, &arena, &a), OK);
	assert_int_equal(a.result, NOT_FOUND);
	w->key_id[0] ^= 1;
	/* A reload: the key is still there, and that of another certificate is missed. */
	certificate_make(BYTES("other.example.test"), clock_now(), &other_pem, &other_key);
	certificates[0] = (struct config_certificate){BYTES("mx"), buf_bytes(&w->certificate)};
	certificates[1] = (struct config_certificate){BYTES("other"), buf_bytes(&other_pem)};
	w->h->values.certificates = certificates;
	w->h->values.certificate_count = 2;
	role_keeper.ops->config(&w->h->r);
	assert_true(house_logged(w->h, "key-missing certificate=etc/tls/other.pem"));
	assert_false(house_logged(w->h, "key-missing certificate=etc/tls/mx.pem"));
	/* Another key in the place of mx.key: the certificate's own one stays in use. */
	write_file(w, "tls/mx.key", buf_bytes(&other_key));
	role_keeper.ops->config(&w->h->r);
	assert_true(house_logged(w->h, "key-kept certificate=etc/tls/mx.pem"));
	buf_done(&other_pem);
	buf_done(&other_key);
	assert_int_equal(ask_sign(fds[0], w, SIGN_ECDSA_SHA256, &arena, &a), OK);
	assert_int_equal(a.result, OK);
	/* Anything else on that channel ends it. */
	assert_int_equal(channel_ask_wait(fds[0], &other, 10000, &arena, &a), LOST);
	socket_close(&fds[0]);
	arena_done(&arena);
}

static void without_the_seal_key_it_does_not_start(void **state)
{
	struct world *w = *state;
	struct keeper *k = w->h->r.self, *second;
	struct why why = {""};

	write_file(w, "seal.key", BYTES("too short"));
	assert_int_equal(role_keeper.ops->start(&w->h->r, &why), DAMAGED);
	assert_non_null(strstr(why.text, "seal.key"));
	second = w->h->r.self;
	memory_free(second);
	w->h->r.self = k;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        TEST(right_and_wrong),
	        TEST(a_new_password_counts_at_once),
	        TEST(what_cannot_be_opened_is_not_wrong),
	        TEST(nobody_can_tell_salts_apart),
	        TEST(scram_proofs),
	        TEST(old_mechanisms_where_allowed),
	        TEST(fields_that_do_not_fit),
	        TEST(only_who_fails_waits),
	        TEST(the_same_wrong_password_is_told_apart),
	        TEST(no_offences_where_bans_are_off),
	        TEST(waiting_is_bounded),
	        TEST(no_guess_without_a_place_to_wait),
	        TEST(each_role_has_ticket_keys_of_its_own),
	        TEST(hashing_is_fair),
	        TEST(grants_are_said_again),
	        TEST(a_session_that_ended_gets_no_grant),
	        TEST(ticket_keys_stay_for_a_day),
	        TEST(signing_has_a_thread),
	        TEST(without_the_seal_key_it_does_not_start),
	};

	crypto_warm();
	return TEST_MAIN(tests);
}
