/* Inside of keeper: its state. Seen by keeper.c and keeper_login.c only. */
#ifndef ROLES_KEEPER_H
#define ROLES_KEEPER_H

#include <stdio.h>

#include "ask/engine.h"
#include "base/limits.h"
#include "base/map.h"
#include "crypto/digest.h"
#include "crypto/password.h"
#include "roles/deadlines.h"
#include "roles/fair.h"
#include "roles/keeper_dkim.h"
#include "roles/penalty.h"
#include "roles/role.h"
#include "sys/worker.h"

enum {
	RECENT_SLOTS = 4096,
	KEEPER_HASHERS = 2,
	TRIED_SLOTS = 8192,
	TRIED_PASSWORDS = 8,
	GOOD_SLOTS = 4096
};

/* What sealed credentials are bound to. */
#define KEEPER_LABEL BYTES("hikyaku credential")

/* The last right password of an account, as a keyed hash over it and the sealed credential. */
struct recent {
	uint8_t hash[DIGEST_SHA256];
	time_ms until;
};

/* Which wrong passwords an address tried for a user, as keyed hashes: a client that was forgotten tries the
 * same one for months, who guesses tries others. */
struct tried {
	uint64_t who;                        /* hash of address unit and user; 0: free */
	uint64_t passwords[TRIED_PASSWORDS]; /* a ring */
	uint32_t different;
	time_ms last;
};

/* An address from which somebody logged in rightly. */
struct good {
	uint64_t who; /* hash of the address unit; 0: free */
	time_ms last;
};

struct grant {
	uint64_t session, account;
	unsigned front, worker;
	struct bytes peer; /* where it logged in from; empty when said again */
};

enum stage {
	STAGE_WAIT,       /* before anything: the address has failed often */
	STAGE_CREDENTIAL, /* store is asked */
	STAGE_HASH,       /* in the queue, or with a worker */
	STAGE_GRANT,      /* store is told */
	STAGE_SET,        /* store keeps a new credential */
	STAGE_REFUSE,     /* the answer is no, and waits */
};

struct request {
	struct worker_job job; /* first: a job is its request */
	struct fair_entry fair;
	struct deadline deadline;
	struct channel *channel;
	struct answer answer;
	enum ask_kind kind;
	enum stage stage;
	uint32_t id;
	uint64_t session, account;
	struct ip ip;
	char user[LIMIT_USER];
	char password[LIMIT_PASSWORD];
	char address[LIMIT_ADDRESS];
	char mechanism[16];
	size_t user_len, password_len, address_len, mechanism_len;
	struct buf message; /* SCRAM's AuthMessage, or a challenge */
	struct buf sealed;
	struct credential credential;
	uint8_t proof[PASSWORD_KEY]; /* or an MD5 digest */
	uint8_t signature[PASSWORD_KEY];
	uint8_t digest_kind, create;
	enum result made;
	bool keep_old, matched, known, suspended, cancelled, waits;
};

struct keeper {
	struct role_context *r;
	struct keeper_keys *keys;
	struct keeper_dkim *dkim;
	struct worker *hashers;
	struct fair queue;
	unsigned hashing;    /* with the workers just now */
	struct map requests; /* id -> request */
	struct map grants;   /* session -> grant: the living ones */
	size_t grants_open;  /* said again and not answered */
	uint32_t numbers;
	struct deadlines deadlines;
	struct loop_timer *timer;
	size_t waiting; /* requests that are delayed */
	struct penalties addresses, accounts;
	struct recent recent[RECENT_SLOTS];
	struct tried tried[TRIED_SLOTS];
	struct good good[GOOD_SLOTS];
	struct buf nobody; /* a sealed credential that no password opens */
	uint8_t seal_key[PASSWORD_SEAL_KEY];
	uint8_t salt_key[DIGEST_SHA256];
	uint8_t recent_key[DIGEST_SHA256];
	uint8_t tickets[160]; /* two keys of 80 octets, the newest first */
	size_t ticket_count;
	time_ms tickets_made;
};

/* keeper_login.c */
extern const struct worker_ops keeper_hashers;
time_ms keeper_now(const struct keeper *k);
void keeper_login_begin(struct keeper *k, struct channel *ch, const struct ask *a);
void keeper_login_answer(struct keeper *k, struct request *q, const struct answer *a);
void keeper_login_due(void *keeper); /* the timer: what has waited goes on */
void keeper_say_grant(struct keeper *k, const struct grant *g, uint32_t number);

#endif
