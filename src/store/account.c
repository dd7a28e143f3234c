/* Accounts: credentials for keeper, and what the operator does with accounts. */
#include "base/text.h"
#include "store/queue.h"

/* ---- names ---- */

/* "ken" is ken in the first domain. */
static struct bytes full_address(struct store *s, struct arena *arena, struct bytes user)
{
	if (bytes_find_char(user, '@') != BYTES_NONE || s->config->domains.count == 0)
		return user;
	return arena_printf(arena, "%.*s@%.*s", BYTES_ARG(user),
	                    BYTES_ARG(s->config->domains.items[0]));
}

static struct bytes lowered(struct arena *arena, struct bytes b)
{
	struct bytes copy = arena_copy(arena, b);

	text_lower((char *)(uintptr_t)copy.ptr, copy.len);
	return copy;
}

/* ---- CREDENTIAL ---- */

enum result run_credential(struct store *s, struct job *j, struct why *why)
{
	struct answer_credential *ret = &j->answer.credential;
	struct db_query *q = db_query(j->reader->db,
	                              "SELECT sealed, address FROM account WHERE id=?");
	struct account *a;

	store_hold(s);
	a = account_by_address(s, full_address(s, &j->arena, j->ask.credential.user));
	if (a) {
		ret->account = a->id;
		ret->suspended = a->now.suspended;
	}
	store_let(s);
	db_bind(q, "u", ret->account);
	if (!ret->account || !db_next(q))
		return why_set(why, NOT_FOUND, "there is no such account");
	ret->sealed = arena_copy(&j->arena, db_bytes(q, 0));
	ret->address = arena_copy(&j->arena, db_bytes(q, 1));
	db_end(q);
	return OK;
}

static struct bytes sealed_of(struct store *s, struct arena *arena, uint64_t account)
{
	struct db_query *q = db_query(s->db, "SELECT sealed FROM account WHERE id=?");
	struct bytes sealed = {0};

	db_bind(q, "u", account);
	if (db_next(q))
		sealed = arena_copy(arena, db_bytes(q, 0));
	db_end(q);
	return sealed;
}

/* An ACCOUNT effect with what the account is. */
static struct change_account *account_change(struct store *s, struct job *j, struct account *a)
{
	struct change *c = job_change(j, CHANGE_ACCOUNT);

	c->account = (struct change_account){.id = a->id,
	                                     .address = a->now.address,
	                                     .sealed = sealed_of(s, &j->arena, a->id),
	                                     .quota = a->now.quota,
	                                     .suspended = a->now.suspended,
	                                     .created = a->created};
	return &c->account;
}

static bool address_valid(const struct config *c, struct bytes address)
{
	size_t at = bytes_find_last(address, '@');

	if (at == BYTES_NONE || at == 0 || address.len > LIMIT_ADDRESS || !text_is_utf8(address))
		return false;
	for (size_t i = 0; i < address.len; i++) {
		if ((unsigned char)address.ptr[i] <= ' ' || address.ptr[i] == 0x7f ||
		    address.ptr[i] == '/')
			return false;
	}
	return config_domain_is_ours(c, bytes_skip(address, at + 1));
}

static enum result create_account(struct store *s, struct job *j, struct bytes address,
                                  struct why *why)
{
	uint64_t id = s->counters.account;
	struct change *c;

	address = lowered(&j->arena, address);
	if (!address_valid(s->writer_config, address))
		return why_set(why, INVALID,
		               "%.*s is not an address in one of the configured domains",
		               BYTES_ARG(address));
	c = job_change(j, CHANGE_ACCOUNT);
	c->account = (struct change_account){.id = id,
	                                     .address = address,
	                                     .sealed = j->ask.credential_set.sealed,
	                                     .quota = s->writer_config->quota,
	                                     .created = j->now};
	mailboxes_first(s, j, id);
	j->answer.credential_set.account = id;
	return OK;
}

enum result run_credential_set(struct store *s, struct job *j, struct why *why)
{
	const struct ask_credential_set *c = &j->ask.credential_set;
	struct bytes address = full_address(s, &j->arena, c->address);
	struct account *a = account_by_address(s, address);

	j->alone = true;
	j->urgent = true;
	if (c->create && a)
		return why_set(why, EXISTS, "there is an account %.*s already", BYTES_ARG(address));
	if (c->create)
		return create_account(s, j, address, why);
	if (!a)
		return why_set(why, NOT_FOUND, "there is no account %.*s", BYTES_ARG(address));
	account_change(s, j, a)->sealed = c->sealed;
	j->answer.credential_set.account = a->id;
	return OK;
}

/* ---- the operator's ---- */

static struct account *named_account(struct store *s, struct job *j, struct why *why)
{
	struct bytes address = full_address(s, &j->arena, j->ask.admin.subject);
	struct account *a = account_by_address(s, address);

	j->alone = true;
	j->urgent = true;
	if (!a)
		why_set(why, NOT_FOUND, "there is no account %.*s", BYTES_ARG(address));
	return a;
}

enum result admin_account_quota(struct store *s, struct job *j, struct why *why)
{
	struct account *a = named_account(s, j, why);

	if (!a)
		return NOT_FOUND;
	account_change(s, j, a)->quota = j->ask.admin.number;
	return OK;
}

/* Entries that waited for the account are due now. */
static void unpark(struct store *s, struct job *j, struct account *a)
{
	struct db_query *q = db_query(
	        s->db, "SELECT id, rcpt, tries FROM entry WHERE state=? ORDER BY id");

	db_bind(q, "u", (uint64_t)ENTRY_PARKED);
	while (db_next(q)) {
		struct route r = route_of(s, s->writer_config, &j->arena, db_bytes(q, 1), 0);
		struct change *c;

		if (r.account != a || !queue_claim(s, j, db_u64(q, 0)))
			continue;
		c = job_change(j, CHANGE_ENTRY_STATE);
		c->entry_state = (struct change_entry_state){.id = db_u64(q, 0),
		                                             .state = ENTRY_READY,
		                                             .due = j->now,
		                                             .tries = (uint32_t)db_u64(q, 2)};
	}
}

enum result admin_account_suspend(struct store *s, struct job *j, struct why *why)
{
	struct account *a = named_account(s, j, why);

	if (!a)
		return NOT_FOUND;
	account_change(s, j, a)->suspended = j->ask.admin.number != 0;
	if (!j->ask.admin.number)
		unpark(s, j, a);
	return OK;
}

/* Its mailboxes go, and its mails with them. Queue entries stay: the sorter sends them back. */
enum result admin_account_remove(struct store *s, struct job *j, struct why *why)
{
	struct account *a = named_account(s, j, why);
	struct change *c;

	if (!a)
		return NOT_FOUND;
	for (size_t i = 0; i < a->mailbox_count; i++) {
		c = job_change(j, CHANGE_MAILBOX_GONE);
		c->mailbox_gone.id = a->mailboxes[i]->id;
	}
	c = job_change(j, CHANGE_ACCOUNT_GONE);
	c->account_gone.id = a->id;
	return OK;
}
