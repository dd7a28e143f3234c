/* The way of a login:
 *
 *	ask -> WAIT (the address has failed often) -> CREDENTIAL (store has it, sealed) -> HASH
 * (Argon2id on
 *	a worker; SCRAM and digests need none) -> GRANT (store may trust the session) -> answer
 *	wrong: the failure is counted, and the answer WAITs for what the account has seen
 *
 * Places to wait are few, and nobody shall learn more by filling them: a login for an account that has seen wrong passwords
 * takes its place before it is tried. Without one it is UNAVAILABLE, right or wrong.
 *
 * Nobody can tell an unknown user from a wrong password: both are looked up, opened, hashed and
 * delayed in the same way; for an unknown one it is nobody's credential, made at the start.
 * A new password takes the same queue and workers, then goes to store sealed. */
#include "roles/keeper.h"
#include "roles/ledger.h"
#include "roles/offence.h"

#include "base/memory.h"

enum {
	ADDRESS_WAIT_MS = 15 * 1000,
	ACCOUNT_WAIT_MS = 5 * 1000,
	/* Waiting asks occupy places of a front's channel; the rest is for people who do not wait.
	 * */
	WAITING_MAX = LIMIT_ASKS_CHANNEL / 3,
	/* ... and for other addresses. */
	WAITING_NETWORK_MAX = WAITING_MAX / 3,
	RECENT_MS = 60 * 60 * 1000,
	TRIED_MS = 7 * 24 * 3600 * 1000,
	GOOD_MS = 7 * 24 * 3600 * 1000,
	FREE_PASSWORDS = 2, /* of one user, where our people are: old ones after a change */
	RIGHT_MAILBOXES = 1,
	RIGHT_SENDING = 2,
	NAME_MAX_OCTETS = LIMIT_USER + LIMIT_DOMAIN + 2,
};

/* ---- requests ---- */

static bool cancelled(const struct request *q)
{
	return q->cancelled || !channel_connected(q->channel);
}

static struct bytes user_of(const struct request *q)
{
	return bytes_of(q->user, q->user_len);
}

/* A bare name is the same account as the name in the first domain. */
static struct bytes full_name(const struct keeper *k, const struct request *q,
                              char text[NAME_MAX_OCTETS])
{
	const struct config *c = k->r->config->config;
	struct bytes domain = c->domains.count ? c->domains.items[0] : (struct bytes){0};
	struct bytes user = user_of(q);

	if (bytes_find_char(user, '@') != BYTES_NONE)
		return user;
	return bytes_of(text, (size_t)snprintf(text, NAME_MAX_OCTETS, "%.*s@%.*s", BYTES_ARG(user),
	                                       BYTES_ARG(bytes_first(domain, LIMIT_DOMAIN))));
}

static struct bytes network_of(const struct request *q)
{
	return bytes_of(q->fair.network.octets, sizeof(q->fair.network.octets));
}

static void request_free(struct keeper *k, struct request *q)
{
	map_remove_u64(&k->requests, q->id);
	deadlines_set(&k->deadlines, &q->deadline, TIME_NEVER);
	if (q->waits)
		k->waiting--;
	memory_wipe(q->password, sizeof(q->password));
	password_credential_wipe(&q->credential);
	buf_done(&q->message);
	buf_done(&q->sealed);
	memory_free(q);
}

static void answer_now(struct keeper *k, struct request *q)
{
	if (!cancelled(q))
		channel_answer(q->channel, &q->answer);
	request_free(k, q);
}

static void answer_with(struct keeper *k, struct request *q, enum result result, const char *why)
{
	q->answer.result = result;
	q->answer.why = bytes_of_text(why);
	answer_now(k, q);
}

time_ms keeper_now(const struct keeper *k)
{
	return loop_now(k->r->loop);
}

static size_t waiting_from(struct keeper *k, const struct ip *network)
{
	size_t count = 0;
	struct map_entry *e;

	for (size_t at = 0; (e = map_each(&k->requests, &at));) {
		const struct request *q = e->value;

		count += q->waits && ip_equal(&q->fair.network, network);
	}
	return count;
}

/* A place to wait, until the request ends. False: too many have one already. */
static bool take_place(struct keeper *k, struct request *q)
{
	if (q->waits)
		return true;
	if (k->waiting >= WAITING_MAX || waiting_from(k, &q->fair.network) >= WAITING_NETWORK_MAX)
		return false;
	k->waiting++;
	q->waits = true;
	return true;
}

/* Goes on in keeper_login_due. */
static bool wait_for(struct keeper *k, struct request *q, time_ms ms)
{
	if (!take_place(k, q))
		return false;
	deadlines_set(&k->deadlines, &q->deadline, keeper_now(k) + ms);
	loop_timer_set(k->timer, deadlines_next(&k->deadlines) - keeper_now(k));
	return true;
}

static void ask_store(struct keeper *k, struct ask *a)
{
	struct channel *store = role_channel(k->r, STORE, 0);

	channel_ask(store, a);
}

static void ask_credential(struct keeper *k, struct request *q)
{
	struct ask a = {.kind = ASK_CREDENTIAL, .number = q->id};

	q->stage = STAGE_CREDENTIAL;
	a.credential.user = user_of(q);
	ask_store(k, &a);
}

/* ---- right or wrong ---- */

static void log_login(struct keeper *k, struct request *q, const char *event)
{
	char ip[IP_TEXT];

	ip_format(&q->ip, ip);
	role_log(k->r, event, "session=%016llx user=\"%.*s\" ip=%s mechanism=%.*s",
	         (unsigned long long)q->session, BYTES_ARG(user_of(q)), ip, (int)q->mechanism_len,
	         q->mechanism);
}

/* Failures are written down by the front, which knows the protocol. */
static void ledger_login(struct keeper *k, struct request *q)
{
	char text[NAME_MAX_OCTETS + 96];
	int len = snprintf(text, sizeof(text), "user=%.*s mechanism=%.*s session=%016llx",
	                   (int)q->address_len, q->address, (int)q->mechanism_len, q->mechanism,
	                   (unsigned long long)q->session);

	/* The session is the front's: in its name only the front may ask. */
	role_ledger(k->r, 0, &q->ip, BYTES("login-ok"), bytes_of(text, (size_t)len));
}

static uint64_t keyed(const struct keeper *k, struct bytes a, struct bytes b)
{
	uint8_t hash[DIGEST_SHA256];
	struct buf in = {0};
	uint64_t first;

	buf_block(&in, a);
	buf_block(&in, b);
	digest_hmac_sha256(bytes_of(k->recent_key, sizeof(k->recent_key)), buf_bytes(&in), hash);
	memory_wipe(in.ptr, in.size);
	buf_done(&in);
	memcpy(&first, hash, sizeof(first));
	return first ? first : 1;
}

/* How many different passwords this address has tried for this user, with this one; 0: it tried this very one
 * before. SCRAM and digests do not show which password it was. */
static unsigned nth_password(struct keeper *k, const struct request *q, struct bytes name)
{
	uint64_t who = keyed(k, network_of(q), name), password;
	struct tried *t = &k->tried[who % TRIED_SLOTS];

	if (q->kind != ASK_LOGIN)
		return BAN_NTH_UNSEEN;
	password = keyed(k, bytes_of(q->password, q->password_len), name);
	if (t->who != who || keeper_now(k) - t->last > TRIED_MS)
		*t = (struct tried){.who = who};
	t->last = keeper_now(k);
	for (size_t i = 0; i < TRIED_PASSWORDS; i++) {
		if (t->passwords[i] == password)
			return 0;
	}
	t->passwords[t->different % TRIED_PASSWORDS] = password;
	t->different++;
	return t->different < BAN_NTH_UNSEEN ? t->different : BAN_NTH_UNSEEN - 1;
}

static struct good *good_slot(struct keeper *k, const struct request *q, uint64_t *ret_who)
{
	*ret_who = keyed(k, network_of(q), BYTES("good"));
	return &k->good[*ret_who % GOOD_SLOTS];
}

static void remember_good(struct keeper *k, const struct request *q)
{
	uint64_t who;
	struct good *g = good_slot(k, q, &who);

	*g = (struct good){who, keeper_now(k)};
}

static bool is_good(struct keeper *k, const struct request *q)
{
	uint64_t who;
	const struct good *g = good_slot(k, q, &who);

	return g->who == who && keeper_now(k) - g->last < GOOD_MS;
}

/* True: what a forgotten client does, or an office's clients after its passwords were changed: the same wrong password
 * again, or the first of an account where others log in rightly. */
static bool tell_offence(struct keeper *k, struct request *q, struct bytes name)
{
	/* Of a suspended account every password is wrong. */
	unsigned nth = q->suspended ? 0 : nth_password(k, q, name);

	role_offence(k->r, ++k->numbers ? k->numbers : ++k->numbers, 0, &q->ip,
	             q->known ? BAN_WRONG_PASSWORD : BAN_UNKNOWN_USER, nth, BYTES("login"), name);
	return nth == 0 || (nth <= FREE_PASSWORDS && q->known && is_good(k, q));
}

/* A forgotten client in an office must not make all others there wait: it is counted against the account alone. */
static void wrong(struct keeper *k, struct request *q)
{
	char text[NAME_MAX_OCTETS];
	struct bytes name = full_name(k, q, text);
	time_ms wait;

	log_login(k, q, "login-failed");
	if (!tell_offence(k, q, name))
		penalty_add(&k->addresses, network_of(q), keeper_now(k));
	penalty_add(&k->accounts, name, keeper_now(k));
	wait = penalty_of(&k->accounts, name, keeper_now(k), ACCOUNT_WAIT_MS);
	q->answer.result = DENIED;
	q->stage = STAGE_REFUSE;
	if (wait == 0 || !wait_for(k, q, wait))
		answer_now(k, q);
}

static void fill_answer(struct request *q)
{
	struct bytes address = bytes_of(q->address, q->address_len);

	q->answer.result = OK;
	if (q->kind == ASK_LOGIN) {
		q->answer.login.account = q->account;
		q->answer.login.address = address;
	} else if (q->kind == ASK_DIGEST_LOGIN) {
		q->answer.digest_login.account = q->account;
		q->answer.digest_login.address = address;
	} else {
		q->answer.scram_finish.account = q->account;
		q->answer.scram_finish.address = address;
		q->answer.scram_finish.signature = bytes_of(q->signature, sizeof(q->signature));
	}
}

void keeper_say_grant(struct keeper *k, const struct grant *g, uint32_t number)
{
	struct ask a = {.kind = ASK_GRANT, .number = number};

	a.grant.front_session = g->session;
	a.grant.front = (uint8_t)g->front;
	a.grant.worker = (uint8_t)g->worker;
	a.grant.account = g->account;
	a.grant.rights = RIGHT_MAILBOXES | RIGHT_SENDING;
	a.grant.peer = g->peer;
	ask_store(k, &a);
}

static void right(struct keeper *k, struct request *q)
{
	struct grant g = {.session = q->session,
	                  .front = channel_peer(q->channel),
	                  .worker = channel_peer_worker(q->channel),
	                  .account = q->account,
	                  .peer = bytes_of(q->ip.octets, sizeof(q->ip.octets))};
	char text[NAME_MAX_OCTETS];

	if (cancelled(q)) {
		request_free(k, q);
		return;
	}
	penalty_clear(&k->accounts, full_name(k, q, text));
	remember_good(k, q);
	q->stage = STAGE_GRANT;
	keeper_say_grant(k, &g, q->id);
}

static void granted(struct keeper *k, struct request *q, const struct answer *a)
{
	struct grant *g;

	if (a->result != OK) {
		answer_with(k, q, UNAVAILABLE, "the store is not there");
		return;
	}
	if (cancelled(q)) {
		request_free(k, q);
		return;
	}
	g = NEW(struct grant);
	g->session = q->session;
	g->front = channel_peer(q->channel);
	g->worker = channel_peer_worker(q->channel);
	g->account = q->account;
	memory_free(map_put_u64(&k->grants, g->session, g));
	log_login(k, q, "login");
	ledger_login(k, q);
	fill_answer(q);
	answer_now(k, q);
}

static void judge(struct keeper *k, struct request *q, bool matched)
{
	if (matched && q->known && !q->suspended)
		right(k, q);
	else
		wrong(k, q);
}

/* ---- Argon2id: a pool, a fair queue before it, and the last right password kept as a keyed hash
 * ---- */

static void recent_hash(const struct keeper *k, const struct request *q, uint8_t ret[DIGEST_SHA256])
{
	struct buf in = {0};

	buf_block(&in, buf_bytes(&q->sealed)); /* a new password is another sealed credential */
	buf_block(&in, bytes_of(q->password, q->password_len));
	digest_hmac_sha256(bytes_of(k->recent_key, sizeof(k->recent_key)), buf_bytes(&in), ret);
	memory_wipe(in.ptr, in.size);
	buf_done(&in);
}

static struct recent *recent_slot(struct keeper *k, const struct request *q)
{
	return &k->recent[q->account % RECENT_SLOTS];
}

static bool recently_right(struct keeper *k, struct request *q)
{
	struct recent *slot = recent_slot(k, q);
	uint8_t hash[DIGEST_SHA256];

	recent_hash(k, q, hash);
	return q->known && slot->until > keeper_now(k) &&
	       bytes_equal_secret(bytes_of(hash, sizeof(hash)),
	                          bytes_of(slot->hash, sizeof(slot->hash)));
}

static void remember(struct keeper *k, struct request *q)
{
	struct recent *slot = recent_slot(k, q);

	recent_hash(k, q, slot->hash);
	slot->until = keeper_now(k) + RECENT_MS;
}

static void start_hashing(struct keeper *k)
{
	struct fair_entry *e;

	while (k->hashing < KEEPER_HASHERS && (e = fair_take(&k->queue))) {
		struct request *q = e->owner;

		k->hashing++;
		worker_put(k->hashers, &q->job);
	}
}

static void queue_hash(struct keeper *k, struct request *q)
{
	struct fair_entry *out;

	q->stage = STAGE_HASH;
	out = fair_put(&k->queue, &q->fair);
	if (out) {
		struct request *refused = out->owner;

		log_login(k, refused, "login-queue-full");
		answer_with(k, refused, UNAVAILABLE, "too many logins at once");
	}
	start_hashing(k);
}

/* On a worker's thread. */
static void hash(void *context, struct worker_job *jobs[], size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct request *q = (struct request *)jobs[i];
		struct bytes password = bytes_of(q->password, q->password_len);

		if (q->kind == ASK_PASSWORD)
			q->made = password_credential_make(password, q->keep_old, &q->credential);
		else
			q->matched = password_matches(&q->credential, password);
	}
}

static void set_credential(struct keeper *k, struct request *q);

static void hashed(void *context, struct worker_job *job)
{
	struct keeper *k = context;
	struct request *q = (struct request *)job;

	k->hashing--;
	start_hashing(k);
	if (q->kind == ASK_PASSWORD) {
		set_credential(k, q);
		return;
	}
	if (q->matched && q->known)
		remember(k, q);
	judge(k, q, q->matched);
}

/* ---- what each ask does once the credential is open ---- */

static void check_login(struct keeper *k, struct request *q)
{
	if (recently_right(k, q))
		judge(k, q, true);
	else
		queue_hash(k, q);
}

/* An unknown user gets rounds like all others and a salt that is always the same for that name.
 * Limit: a name in our domain written once with U-labels and once with A-labels shows two salts
 * when unknown. */
static void tell_salt(struct keeper *k, struct request *q)
{
	uint8_t fake[DIGEST_SHA256];
	char text[NAME_MAX_OCTETS];

	digest_hmac_sha256(bytes_of(k->salt_key, sizeof(k->salt_key)), full_name(k, q, text), fake);
	q->answer.result = OK;
	q->answer.scram_begin.rounds = q->credential.scram.rounds;
	q->answer.scram_begin.salt = bytes_of(q->known ? q->credential.scram.salt : fake,
	                                      PASSWORD_SALT);
	answer_now(k, q);
}

static void check_proof(struct keeper *k, struct request *q)
{
	struct bytes proof = bytes_of(q->proof, sizeof(q->proof));
	struct bytes message = buf_bytes(&q->message);

	scram_signature(&q->credential.scram, message, q->signature);
	judge(k, q, scram_proof_matches(&q->credential.scram, message, proof));
}

/* CRAM-MD5 (RFC 2195) is HMAC of the challenge, APOP (RFC 1939, 7) a plain hash. */
static void check_digest(struct keeper *k, struct request *q)
{
	const struct config *c = k->r->config->config;
	bool cram = q->digest_kind == DIGEST_CRAM_MD5;
	bool allowed = cram ? c->login_cram_md5 : c->login_apop;
	struct bytes plain = bytes_of(q->credential.plain, q->credential.plain_len);
	uint8_t want[DIGEST_MD5];

	if (cram) {
		digest_hmac_md5(plain, buf_bytes(&q->message), want);
	} else {
		buf_append(&q->message, plain);
		digest_md5(buf_bytes(&q->message), want);
		memory_wipe(q->message.ptr, q->message.size);
	}
	if (allowed)
		log_login(k, q, "old-mechanism-used");
	judge(k, q,
	      allowed && plain.len &&
	              bytes_equal_secret(bytes_of(want, sizeof(want)),
	                                 bytes_of(q->proof, sizeof(want))));
}

static void open_credential(struct keeper *k, struct request *q, const struct answer *a)
{
	struct bytes sealed = a->result == OK && a->credential.sealed.len ? a->credential.sealed
	                                                                  : buf_bytes(&k->nobody);
	struct bytes address = bytes_first(a->credential.address, sizeof(q->address));

	q->known = a->result == OK && a->credential.sealed.len;
	buf_append(&q->sealed, sealed);
	if (password_credential_open(sealed, k->seal_key, KEEPER_LABEL, &q->credential) != OK) {
		log_login(k, q, "credential-damaged");
		answer_with(k, q, UNAVAILABLE, "this account's credential cannot be opened");
		return;
	}
	if (q->known) {
		q->account = a->credential.account;
		q->suspended = a->credential.suspended;
		memcpy(q->address, address.ptr ? address.ptr : "", address.len);
		q->address_len = address.len;
	}
	switch (q->kind) {
	case ASK_LOGIN: check_login(k, q); break;
	case ASK_SCRAM_BEGIN: tell_salt(k, q); break;
	case ASK_SCRAM_FINISH: check_proof(k, q); break;
	default: check_digest(k, q); break;
	}
}

static void have_credential(struct keeper *k, struct request *q, const struct answer *a)
{
	if (a->result == OK || a->result == NOT_FOUND || a->result == DENIED ||
	    a->result == INVALID)
		open_credential(k, q, a);
	else
		answer_with(k, q, UNAVAILABLE, "the store is not there");
}

/* ---- a new password ---- */

static void set_credential(struct keeper *k, struct request *q)
{
	struct ask a = {.kind = ASK_CREDENTIAL_SET, .number = q->id};

	if (q->made != OK) {
		answer_with(k, q, q->made, "this cannot be a password");
		return;
	}
	password_credential_seal(&q->credential, k->seal_key, KEEPER_LABEL, &q->sealed);
	q->stage = STAGE_SET;
	a.credential_set.address = user_of(q);
	a.credential_set.create = q->create;
	a.credential_set.sealed = buf_bytes(&q->sealed);
	ask_store(k, &a);
}

static void credential_set(struct keeper *k, struct request *q, const struct answer *a)
{
	q->answer.result = a->result;
	q->answer.why = a->why;
	if (a->result == OK)
		q->answer.password.account = a->credential_set.account;
	role_log(k->r, "password-set", "user=\"%.*s\" result=%s", BYTES_ARG(user_of(q)),
	         result_name(a->result));
	answer_now(k, q);
}

/* ---- asks come in ---- */

static void set_user(struct request *q, struct bytes user)
{
	q->user_len = user.len;
	memcpy(q->user, user.ptr ? user.ptr : "", user.len);
}

static void set_mechanism(struct request *q, struct bytes name)
{
	name = bytes_first(name, sizeof(q->mechanism));
	q->mechanism_len = name.len;
	memcpy(q->mechanism, name.ptr ? name.ptr : "", name.len);
}

static bool set_peer(struct request *q, struct bytes peer)
{
	if (peer.len != sizeof(q->ip.octets))
		return false;
	memcpy(q->ip.octets, peer.ptr, peer.len);
	q->fair.network = ip_network(&q->ip);
	return true;
}

static bool set_password(struct request *q, struct bytes password)
{
	if (password.len > sizeof(q->password))
		return false;
	q->password_len = password.len;
	memcpy(q->password, password.ptr ? password.ptr : "", password.len);
	return true;
}

static bool set_proof(struct request *q, struct bytes proof, size_t len)
{
	if (proof.len != len)
		return false;
	memcpy(q->proof, proof.ptr, len);
	return true;
}

/* Copies the ask's fields; false: they do not fit their kind. */
static bool take_fields(struct keeper *k, struct request *q, const struct ask *a)
{
	const struct config *c = k->r->config->config;

	switch (a->kind) {
	case ASK_LOGIN:
		set_mechanism(q, a->login.mechanism);
		return set_password(q, a->login.password) && set_peer(q, a->login.peer);
	case ASK_SCRAM_BEGIN: return true;
	case ASK_SCRAM_FINISH:
		set_mechanism(q, BYTES("SCRAM-SHA-256"));
		buf_append(&q->message, a->scram_finish.auth_message);
		return set_proof(q, a->scram_finish.proof, PASSWORD_KEY) &&
		       set_peer(q, a->scram_finish.peer);
	case ASK_DIGEST_LOGIN:
		q->digest_kind = a->digest_login.kind;
		set_mechanism(q, q->digest_kind == DIGEST_APOP ? BYTES("APOP") : BYTES("CRAM-MD5"));
		buf_append(&q->message, a->digest_login.challenge);
		return q->digest_kind <= DIGEST_APOP &&
		       set_proof(q, a->digest_login.digest, DIGEST_MD5) &&
		       set_peer(q, a->digest_login.peer);
	default:
		q->create = a->password.create;
		q->keep_old = c->login_cram_md5 || c->login_apop;
		return set_password(q, a->password.password);
	}
}

static struct bytes user_field(const struct ask *a)
{
	switch (a->kind) {
	case ASK_LOGIN: return a->login.user;
	case ASK_SCRAM_BEGIN: return a->scram_begin.user;
	case ASK_SCRAM_FINISH: return a->scram_finish.user;
	case ASK_DIGEST_LOGIN: return a->digest_login.user;
	default: return a->password.address;
	}
}

static struct request *request_new(struct keeper *k, struct channel *ch, const struct ask *a)
{
	struct request *q = NEW(struct request);

	q->channel = ch;
	q->kind = a->kind;
	q->session = a->session;
	q->answer = answer_to(a, OK, (struct bytes){0});
	q->id = ++k->numbers ? k->numbers : ++k->numbers;
	q->deadline.owner = q;
	q->fair.owner = q;
	map_put_u64(&k->requests, q->id, q);
	return q;
}

void keeper_login_begin(struct keeper *k, struct channel *ch, const struct ask *a)
{
	struct request *q = request_new(k, ch, a);
	struct bytes user = user_field(a);
	char text[NAME_MAX_OCTETS];
	time_ms wait;

	if (user.len > LIMIT_USER || !take_fields(k, q, a) ||
	    (a->kind != ASK_PASSWORD && a->session == 0)) {
		answer_with(k, q, INVALID, "fields that do not fit");
		return;
	}
	set_user(q, user);
	if (a->kind == ASK_PASSWORD) {
		queue_hash(k, q);
		return;
	}
	if (a->kind == ASK_SCRAM_BEGIN) {
		ask_credential(k, q);
		return;
	}
	wait = penalty_of(&k->addresses, network_of(q), keeper_now(k), ADDRESS_WAIT_MS);
	q->stage = STAGE_WAIT;
	if ((wait > 0 && !wait_for(k, q, wait)) ||
	    (penalty_of(&k->accounts, full_name(k, q, text), keeper_now(k), ACCOUNT_WAIT_MS) > 0 &&
	     !take_place(k, q)))
		answer_with(k, q, UNAVAILABLE, "too many failed logins are waiting");
	else if (wait == 0)
		ask_credential(k, q);
}

void keeper_login_due(void *context)
{
	struct keeper *k = context;
	struct deadline *d;

	while ((d = deadlines_due(&k->deadlines, keeper_now(k)))) {
		struct request *q = d->owner;

		if (q->stage == STAGE_REFUSE || cancelled(q))
			answer_now(k, q);
		else
			ask_credential(k, q);
	}
	if (deadlines_next(&k->deadlines) != TIME_NEVER)
		loop_timer_set(k->timer, deadlines_next(&k->deadlines) - keeper_now(k));
}

const struct worker_ops keeper_hashers = {.run = hash, .done = hashed};

void keeper_login_answer(struct keeper *k, struct request *q, const struct answer *a)
{
	if (a->kind == ASK_CREDENTIAL && q->stage == STAGE_CREDENTIAL)
		have_credential(k, q, a);
	else if (a->kind == ASK_GRANT && q->stage == STAGE_GRANT)
		granted(k, q, a);
	else if (a->kind == ASK_CREDENTIAL_SET && q->stage == STAGE_SET)
		credential_set(k, q, a);
}
