/* Accounts and mailboxes in memory: all of them, always. Limit: some 300 octets a mailbox. */
#include "base/text.h"
#include "store/life.h"
#include "store/queue.h"

/* ---- finding ---- */

struct account *account_by_id(struct store *s, uint64_t id)
{
	struct account *a = map_get_u64(&s->accounts, id);

	return a && !a->born && !a->now.gone ? a : NULL;
}

struct account *account_by_address(struct store *s, struct bytes address)
{
	char lower[LIMIT_ADDRESS + 1];

	if (address.len > LIMIT_ADDRESS)
		return NULL;
	if (address.len)
		memcpy(lower, address.ptr, address.len);
	text_lower(lower, address.len);
	return map_get(&s->addresses, bytes_of(lower, address.len));
}

struct mailbox *mailbox_by_id(struct store *s, uint64_t id)
{
	struct mailbox *m = map_get_u64(&s->mailboxes, id);

	return m && !m->born ? m : NULL;
}

size_t mailbox_position(const struct account *a, struct bytes name, bool *ret_found)
{
	size_t low = 0, high = a->mailbox_count;

	while (low < high) {
		size_t mid = (low + high) / 2;

		if (bytes_compare(a->mailboxes[mid]->now.name, name) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	*ret_found = low < a->mailbox_count && bytes_equal(a->mailboxes[low]->now.name, name);
	return low;
}

struct mailbox *mailbox_by_name(const struct account *a, struct bytes name)
{
	bool found;
	size_t at;

	if (bytes_equal_nocase(name, BYTES("INBOX")))
		name = BYTES("INBOX");
	at = mailbox_position(a, name, &found);
	return found ? a->mailboxes[at] : NULL;
}

/* ---- subscriptions ---- */

static size_t subscription_position(const struct account *a, struct bytes name, bool *ret_found)
{
	size_t low = 0, high = a->subscription_count;

	while (low < high) {
		size_t mid = (low + high) / 2;

		if (bytes_compare(a->subscriptions[mid], name) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	*ret_found = low < a->subscription_count && bytes_equal(a->subscriptions[low], name);
	return low;
}

bool subscribed(const struct account *a, struct bytes name)
{
	bool found;

	subscription_position(a, name, &found);
	return found;
}

static struct bytes text_own(struct bytes b)
{
	char *copy = b.len ? memory_get(b.len) : NULL;

	if (b.len)
		memcpy(copy, b.ptr, b.len);
	return bytes_of(copy, b.len);
}

static void text_free(struct bytes b)
{
	memory_free((void *)(uintptr_t)b.ptr);
}

void subscription_put(struct account *a, struct bytes name, bool on)
{
	bool found;
	size_t at = subscription_position(a, name, &found), rest;

	if (found == on)
		return;
	rest = a->subscription_count - at;
	if (on) {
		a->subscriptions = memory_resize(a->subscriptions, (a->subscription_count + 1) *
		                                                           sizeof(struct bytes));
		memmove(a->subscriptions + at + 1, a->subscriptions + at,
		        rest * sizeof(struct bytes));
		a->subscriptions[at] = text_own(name);
		a->subscription_count++;
		return;
	}
	text_free(a->subscriptions[at]);
	memmove(a->subscriptions + at, a->subscriptions + at + 1,
	        (rest - 1) * sizeof(struct bytes));
	a->subscription_count--;
}

/* ---- changing ---- */

/* Sets a text of `next`, which must not free what `now` still shows. */
void row_set_text(struct bytes *next, struct bytes now, struct bytes value)
{
	if (next->ptr != now.ptr)
		text_free(*next);
	*next = text_own(value);
}

void account_touch(struct store *s, struct account *a)
{
	if (a->touched)
		return;
	a->touched = true;
	buf_append(&s->accounts_touched, bytes_of(&a, sizeof(a)));
}

void mailbox_touch(struct store *s, struct mailbox *m)
{
	m->unsaved = true;
	if (m->touched)
		return;
	m->touched = true;
	buf_append(&s->touched, bytes_of(&m, sizeof(m)));
}

struct account *account_born(struct store *s, uint64_t id)
{
	struct account *a = NEW(struct account);

	a->id = id;
	a->born = true;
	store_hold(s);
	map_put_u64(&s->accounts, id, a);
	store_let(s);
	return a;
}

struct mailbox *mailbox_born(struct store *s, uint64_t id, struct account *a)
{
	struct mailbox *m = NEW(struct mailbox);

	m->id = id;
	m->account = a;
	m->born = true;
	store_hold(s);
	map_put_u64(&s->mailboxes, id, m);
	store_let(s);
	return m;
}

static void mailbox_unlist(struct mailbox *m)
{
	struct account *a = m->account;

	for (size_t i = 0; i < a->mailbox_count; i++) {
		if (a->mailboxes[i] != m)
			continue;
		memmove(a->mailboxes + i, a->mailboxes + i + 1,
		        (a->mailbox_count - i - 1) * sizeof(m));
		a->mailbox_count--;
		return;
	}
}

static void mailbox_list(struct mailbox *m)
{
	struct account *a = m->account;
	bool found;
	size_t at = mailbox_position(a, m->now.name, &found);

	a->mailboxes = memory_resize(a->mailboxes, (a->mailbox_count + 1) * sizeof(m));
	memmove(a->mailboxes + at + 1, a->mailboxes + at, (a->mailbox_count - at) * sizeof(m));
	a->mailboxes[at] = m;
	a->mailbox_count++;
}

static void mailbox_release(struct store *s, struct mailbox *m)
{
	view_free(s, m);
	while (m->watchers)
		watch_drop(s, m->watchers);
	map_remove_u64(&s->mailboxes, m->id);
	if (m->next.name.ptr != m->now.name.ptr)
		text_free(m->next.name);
	if (m->next.keywords.ptr != m->now.keywords.ptr)
		text_free(m->next.keywords);
	text_free(m->now.name);
	text_free(m->now.keywords);
	memory_free(m);
}

static void account_release(struct store *s, struct account *a)
{
	if (account_by_address(s, a->now.address) == a)
		map_remove(&s->addresses, a->now.address);
	map_remove_u64(&s->accounts, a->id);
	for (size_t i = 0; i < a->subscription_count; i++)
		text_free(a->subscriptions[i]);
	memory_free(a->subscriptions);
	memory_free(a->mailboxes);
	if (a->next.address.ptr != a->now.address.ptr)
		text_free(a->next.address);
	text_free(a->now.address);
	memory_free(a);
}

static void publish_mailbox(struct store *s, struct mailbox *m)
{
	bool renamed = m->born || m->now.name.ptr != m->next.name.ptr;

	m->touched = false;
	if (m->next.gone) {
		changed_raise(s, m);
		mailbox_unlist(m);
		mailbox_release(s, m);
		return;
	}
	if (renamed) {
		mailbox_unlist(m);
		text_free(m->now.name);
	}
	if (m->now.keywords.ptr != m->next.keywords.ptr)
		text_free(m->now.keywords);
	m->now = m->next;
	m->born = false;
	if (renamed)
		mailbox_list(m);
	changed_raise(s, m);
}

static void choose_first(struct store *s)
{
	struct map_entry *e;

	s->first_account = NULL;
	for (size_t at = 0; (e = map_each(&s->accounts, &at));) {
		struct account *a = e->value;

		if (!a->born && (!s->first_account || a->id < s->first_account->id))
			s->first_account = a;
	}
}

static void publish_account(struct store *s, struct account *a)
{
	a->touched = false;
	if (a->next.gone) {
		bool first = s->first_account == a;

		account_release(s, a);
		if (first)
			choose_first(s);
		return;
	}
	a->now = a->next;
	if (!a->born)
		return;
	a->born = false;
	map_put(&s->addresses, a->now.address, a);
	if (!s->first_account || a->id < s->first_account->id)
		s->first_account = a;
}

void state_publish(struct store *s)
{
	struct mailbox **m = (struct mailbox **)(void *)(s->touched.ptr + s->touched.start);
	struct account **a = (struct account **)(void *)(s->accounts_touched.ptr +
	                                                 s->accounts_touched.start);
	size_t mailboxes = buf_len(&s->touched) / sizeof(*m);
	size_t accounts = buf_len(&s->accounts_touched) / sizeof(*a);

	for (size_t i = 0; i < mailboxes; i++)
		publish_mailbox(s, m[i]);
	for (size_t i = 0; i < accounts; i++)
		publish_account(s, a[i]);
	buf_clear(&s->touched);
	buf_clear(&s->accounts_touched);
	queue_publish(s);
}

static void undo_mailbox(struct store *s, struct mailbox *m)
{
	m->touched = m->unsaved = false;
	m->bulk_group = 0;
	if (m->born) {
		mailbox_release(s, m);
		return;
	}
	if (m->next.name.ptr != m->now.name.ptr)
		text_free(m->next.name);
	if (m->next.keywords.ptr != m->now.keywords.ptr)
		text_free(m->next.keywords);
	m->next = m->now;
}

void state_undo(struct store *s)
{
	struct mailbox **m = (struct mailbox **)(void *)(s->touched.ptr + s->touched.start);
	struct account **a = (struct account **)(void *)(s->accounts_touched.ptr +
	                                                 s->accounts_touched.start);
	size_t mailboxes = buf_len(&s->touched) / sizeof(*m);
	size_t accounts = buf_len(&s->accounts_touched) / sizeof(*a);

	store_hold(s);
	for (size_t i = 0; i < mailboxes; i++)
		undo_mailbox(s, m[i]);
	for (size_t i = 0; i < accounts; i++) {
		a[i]->touched = false;
		if (a[i]->born)
			account_release(s, a[i]);
		else
			a[i]->next = a[i]->now;
	}
	buf_clear(&s->touched);
	buf_clear(&s->accounts_touched);
	queue_undo(s);
	store_let(s);
}

/* ---- loading ---- */

static void load_accounts(struct store *s)
{
	struct db_query *q = db_query(s->db,
	                              "SELECT id, address, quota, suspended, created FROM account");

	db_bind(q, "");
	while (db_next(q)) {
		struct account *a = account_born(s, db_u64(q, 0));

		a->next.address = text_own(db_bytes(q, 1));
		a->next.quota = db_u64(q, 2);
		a->next.suspended = db_u64(q, 3) != 0;
		a->created = db_i64(q, 4);
		account_touch(s, a);
	}
	q = db_query(s->db, "SELECT account, name FROM subscription");
	db_bind(q, "");
	while (db_next(q)) {
		struct account *a = map_get_u64(&s->accounts, db_u64(q, 0));

		if (a)
			subscription_put(a, db_bytes(q, 1), true);
	}
}

static void load_mailboxes(struct store *s)
{
	struct db_query *q = db_query(
	        s->db, "SELECT id, account, name, attributes, uidvalidity, uidnext, modseq,"
	               " messages, unseen, deleted, size, keywords, floor FROM mailbox");

	db_bind(q, "");
	while (db_next(q)) {
		struct account *a = map_get_u64(&s->accounts, db_u64(q, 1));
		struct mailbox *m;

		if (!a)
			continue; /* fsck names it */
		m = mailbox_born(s, db_u64(q, 0), a);
		m->next = (struct mailbox_row){.name = text_own(db_bytes(q, 2)),
		                               .attributes = (uint32_t)db_u64(q, 3),
		                               .uidvalidity = (uint32_t)db_u64(q, 4),
		                               .uidnext = (uint32_t)db_u64(q, 5),
		                               .modseq = db_u64(q, 6),
		                               .messages = (uint32_t)db_u64(q, 7),
		                               .unseen = (uint32_t)db_u64(q, 8),
		                               .deleted = (uint32_t)db_u64(q, 9),
		                               .size = db_u64(q, 10),
		                               .keywords = text_own(db_bytes(q, 11)),
		                               .floor = db_u64(q, 12)};
		a->next.used += m->next.size;
		mailbox_touch(s, m);
		m->unsaved = false;
	}
}

static void load_keys(struct store *s)
{
	struct db_query *q = db_query(
	        s->db, "SELECT key, mail, uidvalidity, uid, at FROM answer ORDER BY seq");

	db_bind(q, "");
	while (db_next(q)) {
		struct change c = {.kind = CHANGE_KEY,
		                   .key = {db_bytes(q, 0), db_u64(q, 1), (uint32_t)db_u64(q, 2),
		                           (uint32_t)db_u64(q, 3), db_i64(q, 4)}};

		change_publish(s, &c);
	}
}

static void load_segments(struct store *s)
{
	struct db_query *q = db_query(s->db, "SELECT id, live FROM segment");

	db_bind(q, "");
	while (db_next(q)) {
		uint64_t *live = memory_get(2 * sizeof(*live));

		live[0] = db_u64(q, 1);
		map_put_u64(&s->live, db_u64(q, 0), live);
	}
}

enum result state_load(struct store *s, struct why *why)
{
	s->counters = counters_load(s->db);
	load_accounts(s);
	load_mailboxes(s);
	load_segments(s);
	store_hold(s);
	load_keys(s);
	incident_load(s);
	fresh_load(s);
	state_publish(s);
	store_let(s);
	return db_failed(s->db, why);
}

void state_done(struct store *s)
{
	struct map_entry *e;

	for (size_t at = 0; (e = map_each(&s->mailboxes, &at)); at = 0)
		mailbox_release(s, e->value);
	for (size_t at = 0; (e = map_each(&s->accounts, &at)); at = 0)
		account_release(s, e->value);
	for (size_t at = 0; (e = map_each(&s->keys, &at));)
		memory_free(e->value);
	for (size_t at = 0; (e = map_each(&s->live, &at));)
		memory_free(e->value);
	map_done(&s->mailboxes);
	map_done(&s->accounts);
	map_done(&s->addresses);
	map_done(&s->keys);
	map_done(&s->live);
	buf_done(&s->touched);
	buf_done(&s->accounts_touched);
	buf_done(&s->key_order);
	s->first_account = NULL;
}
