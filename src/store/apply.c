/* The index's tables, and how each effect changes them. Nothing is decided here: the writer
 * made the
 * effect, replay repeats it. */
#include <string.h>

#include "store/dmarc.h"
#include "store/escrow.h"
#include "store/alarm.h"
#include "store/ban.h"
#include "store/check.h"
#include "store/life.h"
#include "store/queue.h"

enum { SCHEMA = 7 }; /* raise it with any change below: the index is then made anew from the log */

#define SCHEMA_TEXT "7"

static const char schema[] =
        "CREATE TABLE meta(id INTEGER PRIMARY KEY, lsn, segment, offset,"
        " mail, account, mailbox, entry, uidvalidity);"
        "INSERT INTO meta VALUES(1, 0, 0, 0, 1, 1, 1, 1, 1);"
        "CREATE TABLE account(id INTEGER PRIMARY KEY, address BLOB, sealed BLOB, quota, suspended,"
        " created);"
        "CREATE TABLE mailbox(id INTEGER PRIMARY KEY, account, name BLOB, attributes, uidvalidity,"
        " uidnext, modseq, messages, unseen, deleted, size, keywords BLOB, floor);"
        "CREATE TABLE subscription(account, name BLOB, PRIMARY KEY(account, name)) WITHOUT ROWID;"
        /* segment, offset, stored: where the block lies; refs: placements and entries */
        "CREATE TABLE mail(id INTEGER PRIMARY KEY, segment, offset, stored, received, size, refs,"
        " summary BLOB);"
        "CREATE INDEX mail_segment ON mail(segment);"
        "CREATE TABLE placement(mailbox INTEGER, uid INTEGER, mail, flags, modseq, size,"
        " PRIMARY KEY(mailbox, uid)) WITHOUT ROWID;"
        "CREATE TABLE vanished(mailbox, modseq, first, last,"
        " PRIMARY KEY(mailbox, modseq, first)) WITHOUT ROWID;"
        /* by how much mail.refs is off: expunging and copying touch this instead of wide rows */
        "CREATE TABLE reference(mail INTEGER PRIMARY KEY, delta);"
        "CREATE INDEX garbage ON reference(mail) WHERE delta < 0;"
        "CREATE TABLE delivered(mail, account, PRIMARY KEY(mail, account)) WITHOUT ROWID;"
        "CREATE TABLE answer(seq INTEGER PRIMARY KEY, key BLOB, mail, uidvalidity, uid, at);"
        "CREATE TABLE segment(id INTEGER PRIMARY KEY, live);"
        /* what is known beside mail: store/life.h */
        "CREATE TABLE incident(id INTEGER PRIMARY KEY, kind, key BLOB, facts BLOB, since, last,"
        " until, count, relapses, acked_at, acked_by BLOB, said);"
        "CREATE INDEX incident_key ON incident(kind, key);"
        "CREATE TABLE sent(owner, at, messages, recipients, fresh, unknown, results,"
        " PRIMARY KEY(owner, at)) WITHOUT ROWID;"
        "CREATE TABLE sent_day(owner, at, messages, recipients, fresh, unknown, results,"
        " PRIMARY KEY(owner, at)) WITHOUT ROWID;"
        "CREATE TABLE correspondent(owner, address BLOB, first, last, count,"
        " PRIMARY KEY(owner, address)) WITHOUT ROWID;"
        "CREATE TABLE network(owner, network BLOB, first, last, count,"
        " PRIMARY KEY(owner, network)) WITHOUT ROWID;"
        /* other domains' TLS: store/tls.c */
        "CREATE TABLE sts_policy(domain BLOB PRIMARY KEY, id BLOB, policy BLOB, expires)"
        " WITHOUT ROWID;"
        "CREATE TABLE tls_result(domain BLOB, day, policy, result, string BLOB, mx BLOB, ip BLOB,"
        " details BLOB, sessions,"
        " PRIMARY KEY(domain, day, policy, result, mx, ip, details, string)) WITHOUT ROWID;"
        "CREATE INDEX tls_result_day ON tls_result(day);"
        /* who is kept out: store/ban.c */
        "CREATE TABLE ban(network BLOB, bits, reason, level, since, until, detail BLOB,"
        " PRIMARY KEY(network, bits)) WITHOUT ROWID;"
        "CREATE TABLE jail(name BLOB PRIMARY KEY, since, last, lines, suspicious, matched,"
        " last_match, example BLOB) WITHOUT ROWID;"
        "CREATE TABLE alarm(id INTEGER PRIMARY KEY, channel BLOB, incident, event, at, due, tries,"
        " failed BLOB);"
        "CREATE INDEX alarm_channel ON alarm(channel, id);"
        "CREATE TABLE rhythm(key BLOB PRIMARY KEY, record BLOB, last, due) WITHOUT ROWID;"
        "CREATE INDEX rhythm_due ON rhythm(due);"
        "CREATE TABLE trial(name BLOB PRIMARY KEY, record BLOB, doubt BLOB, tests BLOB)"
        " WITHOUT ROWID;"
        "PRAGMA user_version=" SCHEMA_TEXT ";";

enum result schema_make(struct db *db, struct why *why)
{
	enum result result = db_run(db, queue_schema, why);

	if (result == OK)
		result = db_run(db, escrow_schema, why);
	if (result == OK)
		result = db_run(db, dmarc_schema, why);
	return result == OK ? db_run(db, schema, why) : result;
}

bool schema_fits(struct db *db)
{
	struct db_query *q = db_query(db, "PRAGMA user_version");
	bool fits = db_next(q) && db_u64(q, 0) == SCHEMA;

	db_end(q);
	return fits;
}

enum result position_load(struct db *db, struct blob_position *ret)
{
	struct db_query *q = db_query(db, "SELECT lsn, segment, offset FROM meta WHERE id=1");

	db_bind(q, "");
	if (!db_next(q))
		return DAMAGED;
	*ret = (struct blob_position){db_u64(q, 0), (uint32_t)db_u64(q, 1), db_u64(q, 2)};
	db_end(q);
	return OK;
}

struct counters counters_load(struct db *db)
{
	struct db_query *q = db_query(
	        db, "SELECT mail, account, mailbox, entry, uidvalidity FROM meta WHERE id=1");
	struct counters c = {1, 1, 1, 1, 1};

	db_bind(q, "");
	if (db_next(q))
		c = (struct counters){db_u64(q, 0), db_u64(q, 1), db_u64(q, 2), db_u64(q, 3),
		                      (uint32_t)db_u64(q, 4)};
	db_end(q);
	return c;
}

/* ---- bookkeeping ---- */

static void above(uint64_t *counter, uint64_t used)
{
	if (*counter <= used)
		*counter = used + 1;
}

static void live_add(struct store *s, uint64_t segment, uint64_t octets, bool add)
{
	uint64_t *live = map_get_u64(&s->live, segment);

	if (!live) {
		live = memory_get(2 * sizeof(*live));
		map_put_u64(&s->live, segment, live);
	}
	live[0] = add ? live[0] + octets : live[0] > octets ? live[0] - octets : 0;
	live[1] = 1; /* to be saved */
}

static void set_size(struct store *s, struct mailbox *m, uint64_t size)
{
	account_touch(s, m->account);
	m->account->next.used += size - m->next.size;
	m->next.size = size;
}

static struct mailbox *writers_mailbox(struct store *s, uint64_t id)
{
	return map_get_u64(&s->mailboxes, id);
}

/* A mailbox that an effect names must be there: it was when the effect was made. */
static enum result no_mailbox(uint64_t id, struct why *why)
{
	return why_set(why, DAMAGED, "an effect names mailbox %llu, which is not there",
	               (unsigned long long)id);
}

/* ---- accounts and mailboxes ---- */

static enum result apply_counters(struct store *s, const struct change_counters *c)
{
	above(&s->counters.mail, c->mail - 1);
	above(&s->counters.account, c->account - 1);
	above(&s->counters.mailbox, c->mailbox - 1);
	above(&s->counters.entry, c->entry - 1);
	if (s->counters.uidvalidity < c->uidvalidity)
		s->counters.uidvalidity = c->uidvalidity;
	return OK;
}

static enum result apply_account(struct store *s, const struct change_account *c)
{
	struct account *a = map_get_u64(&s->accounts, c->id);
	struct db_query *q = db_query(s->db,
	                              "INSERT OR REPLACE INTO account VALUES(?, ?, ?, ?, ?, ?)");

	db_bind(q, "ubbuui", c->id, c->address, c->sealed, c->quota, (uint64_t)c->suspended,
	        c->created);
	db_execute(q);
	if (!a) {
		a = account_born(s, c->id);
		row_set_text(&a->next.address, a->now.address, c->address);
		a->created = c->created;
	}
	a->next.quota = c->quota;
	a->next.suspended = c->suspended != 0;
	account_touch(s, a);
	above(&s->counters.account, c->id);
	return OK;
}

static enum result apply_account_gone(struct store *s, const struct change_account_gone *c)
{
	struct account *a = map_get_u64(&s->accounts, c->id);
	struct db_query *q = db_query(s->db, "DELETE FROM account WHERE id=?");

	db_bind(q, "u", c->id);
	db_execute(q);
	q = db_query(s->db, "DELETE FROM subscription WHERE account=?");
	db_bind(q, "u", c->id);
	db_execute(q);
	sending_gone(s, c->id);
	if (a) {
		a->next.gone = true;
		account_touch(s, a);
	}
	return OK;
}

static enum result apply_mailbox(struct store *s, const struct change_mailbox *c, struct why *why)
{
	struct mailbox *m = writers_mailbox(s, c->id);
	struct account *a = map_get_u64(&s->accounts, c->account);

	if (!a)
		return why_set(why, DAMAGED, "mailbox %llu belongs to no account",
		               (unsigned long long)c->id);
	if (!m)
		m = mailbox_born(s, c->id, a);
	if (!bytes_equal(m->next.name, c->name))
		row_set_text(&m->next.name, m->now.name, c->name);
	if (!bytes_equal(m->next.keywords, c->keywords))
		row_set_text(&m->next.keywords, m->now.keywords, c->keywords);
	m->next.attributes = c->attributes;
	m->next.uidvalidity = c->uidvalidity;
	m->next.uidnext = c->uidnext;
	m->next.modseq = c->modseq;
	m->next.messages = c->messages;
	m->next.unseen = c->unseen;
	m->next.deleted = c->deleted;
	m->next.floor = c->floor;
	set_size(s, m, c->size);
	mailbox_touch(s, m);
	above(&s->counters.mailbox, c->id);
	if (s->counters.uidvalidity <= c->uidvalidity)
		s->counters.uidvalidity = c->uidvalidity + 1;
	return OK;
}

static enum result apply_mailbox_gone(struct store *s, const struct change_mailbox_gone *c,
                                      struct why *why)
{
	struct mailbox *m = writers_mailbox(s, c->id);
	struct db_query *q;

	if (!m)
		return no_mailbox(c->id, why);
	q = db_query(s->db, "INSERT INTO reference SELECT mail, -1 FROM placement WHERE mailbox=?"
	                    " ON CONFLICT(mail) DO UPDATE SET delta=delta-1");
	db_bind(q, "u", c->id);
	db_execute(q);
	q = db_query(s->db, "DELETE FROM placement WHERE mailbox=?");
	db_bind(q, "u", c->id);
	db_execute(q);
	q = db_query(s->db, "DELETE FROM vanished WHERE mailbox=?");
	db_bind(q, "u", c->id);
	db_execute(q);
	q = db_query(s->db, "DELETE FROM mailbox WHERE id=?");
	db_bind(q, "u", c->id);
	db_execute(q);
	set_size(s, m, 0);
	m->next.gone = true;
	mailbox_touch(s, m);
	m->unsaved = false;
	s->collect++;
	return OK;
}

static enum result apply_subscription(struct store *s, const struct change_subscription *c)
{
	struct db_query *q = c->on ? db_query(s->db,
	                                      "INSERT OR REPLACE INTO subscription VALUES(?, ?)")
	                           : db_query(
	                                     s->db,
	                                     "DELETE FROM subscription WHERE account=? AND name=?");

	db_bind(q, "ub", c->account, c->name);
	db_execute(q);
	return OK;
}

/* ---- mails ---- */

static enum result apply_mail(struct store *s, const struct change_mail *c,
                              const struct blob_record *r)
{
	struct blob_place p = {c->segment, c->offset, c->stored};
	struct db_query *q = db_query(s->db,
	                              "INSERT OR REPLACE INTO mail VALUES(?, ?, ?, ?, ?, ?, ?, ?)");

	if (c->segment == IN_RECORD)
		p = r->block;
	db_bind(q, "uuuuiuub", c->id, (uint64_t)p.segment, p.offset, p.stored, c->received, c->size,
	        (uint64_t)c->refs, c->summary);
	db_execute(q);
	live_add(s, p.segment, p.stored, true);
	above(&s->counters.mail, c->id);
	return OK;
}

static enum result apply_mail_gone(struct store *s, const struct change_mail_gone *c)
{
	struct db_query *q = db_query(
	        s->db, "DELETE FROM mail WHERE id=? RETURNING segment, offset, stored");

	db_bind(q, "u", c->id);
	if (db_next(q)) {
		uint64_t segment = db_u64(q, 0), offset = db_u64(q, 1);

		live_add(s, segment, db_u64(q, 2), false);
		if (segment == 0)
			buf_append(&s->files_gone, bytes_of(&offset, sizeof(offset)));
		db_execute(q);
	}
	q = db_query(s->db, "DELETE FROM reference WHERE mail=?");
	db_bind(q, "u", c->id);
	db_execute(q);
	return OK;
}

static enum result apply_mail_refs(struct store *s, const struct change_mail_refs *c)
{
	struct db_query *q = db_query(s->db, "UPDATE mail SET refs=? WHERE id=?");

	db_bind(q, "uu", (uint64_t)c->refs, c->id);
	db_execute(q);
	q = db_query(s->db, "DELETE FROM reference WHERE mail=?");
	db_bind(q, "u", c->id);
	db_execute(q);
	return OK;
}

static enum result apply_moved(struct store *s, const struct change_moved *c,
                               const struct blob_record *r)
{
	struct db_query *q = db_query(s->db, "SELECT segment, stored FROM mail WHERE id=?");
	bool found;

	db_bind(q, "u", c->id);
	found = db_next(q);
	if (found)
		live_add(s, db_u64(q, 0), db_u64(q, 1), false);
	db_end(q);
	if (!found)
		return OK;
	q = db_query(s->db, "UPDATE mail SET segment=?, offset=?, stored=? WHERE id=?");
	db_bind(q, "uuuu", (uint64_t)r->block.segment, r->block.offset, r->block.stored, c->id);
	db_execute(q);
	live_add(s, r->block.segment, r->block.stored, true);
	return OK;
}

static enum result apply_reference(struct store *s, const struct change_reference *c)
{
	struct db_query *q;

	if (c->delta == 0) {
		q = db_query(s->db, "DELETE FROM reference WHERE mail=?");
		db_bind(q, "u", c->mail);
	} else {
		q = db_query(s->db, "INSERT OR REPLACE INTO reference VALUES(?, ?)");
		db_bind(q, "ui", c->mail, c->delta);
	}
	db_execute(q);
	s->collect += c->delta < 0;
	return OK;
}

/* ---- placements ---- */

static void insert_placement(struct store *s, uint64_t mailbox, uint32_t uid, uint64_t mail,
                             uint64_t flags, uint64_t modseq, uint64_t size)
{
	struct db_query *q = db_query(s->db,
	                              "INSERT OR REPLACE INTO placement VALUES(?, ?, ?, ?, ?, ?)");

	db_bind(q, "uuuuuu", mailbox, (uint64_t)uid, mail, flags, modseq, size);
	db_execute(q);
}

static void count_in(struct store *s, struct mailbox *m, uint32_t uid, uint64_t flags,
                     uint64_t modseq, uint64_t size)
{
	m->next.messages++;
	m->next.unseen += !(flags & MAIL_SEEN);
	m->next.deleted += (flags & MAIL_DELETED) != 0;
	if (m->next.uidnext <= uid)
		m->next.uidnext = uid + 1;
	if (m->next.modseq < modseq)
		m->next.modseq = modseq;
	set_size(s, m, m->next.size + size);
	mailbox_touch(s, m);
}

static enum result apply_place(struct store *s, const struct change_place *c, struct why *why)
{
	struct mailbox *m = writers_mailbox(s, c->mailbox);

	if (!m)
		return no_mailbox(c->mailbox, why);
	insert_placement(s, c->mailbox, c->uid, c->mail, c->flags, c->modseq, c->size);
	above(&s->counters.mail, c->mail); /* its own record may be lost: see replay_record */
	count_in(s, m, c->uid, c->flags, c->modseq, c->size);
	return OK;
}

static enum result apply_places(struct store *s, const struct change_places *c, struct why *why)
{
	struct mailbox *m = writers_mailbox(s, c->mailbox);
	struct wire w = wire_of(c->rows);
	uint32_t uid = c->uid;

	if (!m)
		return no_mailbox(c->mailbox, why);
	for (; !wire_end(&w); uid++) {
		uint64_t mail = wire_u64(&w), flags = wire_u64(&w), size = wire_u64(&w);

		insert_placement(s, c->mailbox, uid, mail, flags, c->modseq, size);
		above(&s->counters.mail, mail);
		count_in(s, m, uid, flags, c->modseq, size);
		if (c->copied) {
			struct db_query *q = db_query(
			        s->db, "INSERT INTO reference VALUES(?, 1)"
			               " ON CONFLICT(mail) DO UPDATE SET delta=delta+1");

			db_bind(q, "u", mail);
			db_execute(q);
		}
	}
	return w.bad ? why_set(why, DAMAGED, "rows of a PLACES are cut") : OK;
}

static enum result apply_flags(struct store *s, const struct change_flags *c, struct why *why)
{
	struct mailbox *m = writers_mailbox(s, c->mailbox);
	struct wire w = wire_of(c->groups);
	uint32_t first, last;

	if (!m)
		return no_mailbox(c->mailbox, why);
	while (!wire_end(&w)) {
		uint64_t flags = wire_u64(&w);
		struct bytes ranges = wire_block(&w);

		while (range_next(&ranges, &first, &last)) {
			struct db_query *q = db_query(s->db,
			                              "UPDATE placement SET flags=?, modseq=?"
			                              " WHERE mailbox=? AND uid BETWEEN ? AND ?");

			db_bind(q, "uuuuu", flags, c->modseq, c->mailbox, (uint64_t)first,
			        (uint64_t)last);
			db_execute(q);
		}
	}
	m->next.unseen = c->unseen;
	m->next.deleted = c->deleted;
	m->next.modseq = c->modseq;
	mailbox_touch(s, m);
	return OK;
}

static void note_vanished(struct store *s, uint64_t mailbox, uint64_t modseq, struct bytes ranges)
{
	struct db_query *q = db_query(s->db, "INSERT OR REPLACE INTO vanished VALUES(?, ?, ?, ?)");
	uint32_t first, last;

	while (range_next(&ranges, &first, &last)) {
		db_bind(q, "uuuu", mailbox, modseq, (uint64_t)first, (uint64_t)last);
		db_execute(q);
	}
}

static enum result apply_expunge(struct store *s, const struct change_expunge *c, struct why *why)
{
	struct mailbox *m = writers_mailbox(s, c->mailbox);
	struct bytes ranges = c->ranges;
	struct db_query *q;
	uint32_t first, last;

	if (!m)
		return no_mailbox(c->mailbox, why);
	while (range_next(&ranges, &first, &last)) {
		if (!c->moved) {
			q = db_query(s->db, "INSERT INTO reference SELECT mail, -1 FROM placement"
			                    " WHERE mailbox=? AND uid BETWEEN ? AND ?"
			                    " ON CONFLICT(mail) DO UPDATE SET delta=delta-1");
			db_bind(q, "uuu", c->mailbox, (uint64_t)first, (uint64_t)last);
			db_execute(q);
		}
		q = db_query(s->db,
		             "DELETE FROM placement WHERE mailbox=? AND uid BETWEEN ? AND ?");
		db_bind(q, "uuu", c->mailbox, (uint64_t)first, (uint64_t)last);
		db_execute(q);
	}
	note_vanished(s, c->mailbox, c->modseq, c->ranges);
	m->next.messages = c->messages;
	m->next.unseen = c->unseen;
	m->next.deleted = c->deleted;
	m->next.modseq = c->modseq;
	set_size(s, m, c->size);
	mailbox_touch(s, m);
	s->collect += !c->moved;
	return OK;
}

static enum result apply_vanished_gone(struct store *s, const struct change_vanished_gone *c,
                                       struct why *why)
{
	struct mailbox *m = writers_mailbox(s, c->mailbox);
	struct db_query *q = db_query(s->db, "DELETE FROM vanished WHERE mailbox=? AND modseq<=?");

	if (!m)
		return no_mailbox(c->mailbox, why);
	db_bind(q, "uu", c->mailbox, c->floor);
	db_execute(q);
	m->next.floor = c->floor;
	mailbox_touch(s, m);
	return OK;
}

/* ---- queue and keys ---- */

static enum result apply_key(struct store *s, const struct change_key *c)
{
	struct db_query *q = db_query(
	        s->db, "INSERT INTO answer(key, mail, uidvalidity, uid, at) VALUES(?, ?, ?, ?, ?)");

	db_bind(q, "buuui", c->key, c->mail, (uint64_t)c->uidvalidity, (uint64_t)c->uid, c->at);
	db_execute(q);
	return OK;
}

static enum result apply_keys_gone(struct store *s, const struct change_keys_gone *c)
{
	struct db_query *q = db_query(s->db, "DELETE FROM answer WHERE at<?");

	db_bind(q, "i", c->before);
	db_execute(q);
	return OK;
}

static enum result apply_delivered(struct store *s, const struct change_delivered *c)
{
	struct db_query *q = db_query(s->db, "INSERT OR REPLACE INTO delivered VALUES(?, ?)");

	db_bind(q, "uu", c->mail, c->account);
	db_execute(q);
	return OK;
}

enum result change_apply(struct store *s, const struct change *c, const struct blob_record *r,
                         struct why *why)
{
	switch (c->kind) {
	case CHANGE_COUNTERS: return apply_counters(s, &c->counters);
	case CHANGE_ACCOUNT: return apply_account(s, &c->account);
	case CHANGE_ACCOUNT_GONE: return apply_account_gone(s, &c->account_gone);
	case CHANGE_MAILBOX: return apply_mailbox(s, &c->mailbox, why);
	case CHANGE_MAILBOX_GONE: return apply_mailbox_gone(s, &c->mailbox_gone, why);
	case CHANGE_SUBSCRIPTION: return apply_subscription(s, &c->subscription);
	case CHANGE_MAIL: return apply_mail(s, &c->mail, r);
	case CHANGE_MAIL_GONE: return apply_mail_gone(s, &c->mail_gone);
	case CHANGE_MAIL_REFS: return apply_mail_refs(s, &c->mail_refs);
	case CHANGE_MOVED: return apply_moved(s, &c->moved, r);
	case CHANGE_PLACE: return apply_place(s, &c->place, why);
	case CHANGE_PLACES: return apply_places(s, &c->places, why);
	case CHANGE_FLAGS: return apply_flags(s, &c->flags, why);
	case CHANGE_EXPUNGE: return apply_expunge(s, &c->expunge, why);
	case CHANGE_VANISHED:
		note_vanished(s, c->vanished.mailbox, c->vanished.modseq, c->vanished.ranges);
		return OK;
	case CHANGE_REFERENCE: return apply_reference(s, &c->reference);
	case CHANGE_ENTRY: return entry_apply(s, &c->entry);
	case CHANGE_ENTRY_STATE: return entry_state_apply(s, &c->entry_state);
	case CHANGE_ENTRY_GONE: return entry_gone_apply(s, &c->entry_gone);
	case CHANGE_ENTRY_TRIED: return entry_tried_apply(s, &c->entry_tried);
	case CHANGE_DESTINATION: return destination_apply(s, &c->destination);
	case CHANGE_KEY: return apply_key(s, &c->key);
	case CHANGE_KEYS_GONE: return apply_keys_gone(s, &c->keys_gone);
	case CHANGE_DELIVERED: return apply_delivered(s, &c->delivered);
	case CHANGE_VANISHED_GONE: return apply_vanished_gone(s, &c->vanished_gone, why);
	case CHANGE_INCIDENT: return incident_apply(s, &c->incident);
	case CHANGE_INCIDENT_GONE: return incident_gone_apply(s, &c->incident_gone);
	case CHANGE_SENT: return sent_apply(s, &c->sent);
	case CHANGE_SENT_DAY: return sent_day_apply(s, &c->sent_day);
	case CHANGE_CORRESPONDENTS: return correspondents_apply(s, &c->correspondents);
	case CHANGE_CORRESPONDENTS_GONE:
		return correspondents_gone_apply(s, &c->correspondents_gone);
	case CHANGE_NETWORK: return network_apply(s, &c->network);
	case CHANGE_DIGEST: return digest_apply(s, &c->digest);
	case CHANGE_ESCROW: return escrow_apply(s, &c->escrow);
	case CHANGE_ESCROW_GONE: return escrow_gone_apply(s, &c->escrow_gone);
	case CHANGE_ESCROW_ORDER: return escrow_order_apply(s, &c->escrow_order);
	case CHANGE_ESCROW_ORDER_GONE: return escrow_order_gone_apply(s, &c->escrow_order_gone);
	case CHANGE_STS_POLICY: return sts_policy_apply(s, &c->sts_policy);
	case CHANGE_TLS_RESULT: return tls_result_apply(s, &c->tls_result);
	case CHANGE_TLS_RESULTS_GONE: return tls_results_gone_apply(s, &c->tls_results_gone);
	case CHANGE_CHECK: return check_apply(s, &c->check);
	case CHANGE_CHECK_GONE: return check_gone_apply(s, &c->check_gone);
	case CHANGE_BAN: return ban_apply(s, &c->ban);
	case CHANGE_BANS_GONE: return bans_gone_apply(s, &c->bans_gone);
	case CHANGE_JAIL: return jail_apply(s, &c->jail);
	case CHANGE_ALARM: return alarm_apply(s, &c->alarm);
	case CHANGE_ALARM_GONE: return alarm_gone_apply(s, &c->alarm_gone);
	case CHANGE_RHYTHM: return rhythm_apply(s, &c->rhythm);
	case CHANGE_RHYTHM_GONE: return rhythm_gone_apply(s, &c->rhythm_gone);
	case CHANGE_DMARC_COUNT: return dmarc_count_apply(s, &c->dmarc_count);
	case CHANGE_DMARC_COUNTS_GONE: return dmarc_counts_gone_apply(s, &c->dmarc_counts_gone);
	case CHANGE_DMARC_REPORT: return dmarc_report_apply(s, &c->dmarc_report);
	case CHANGE_DMARC_REPORTS_GONE: return dmarc_reports_gone_apply(s, &c->dmarc_reports_gone);
	case CHANGE_NONE: break;
	}
	return why_set(why, DAMAGED, "an effect of unknown kind %d", (int)c->kind);
}

/* ---- what everybody sees ---- */

static void publish_key(struct store *s, const struct change_key *c)
{
	struct key_answer *k, *old;

	if (c->key.len != KEY_LEN)
		return;
	k = NEW(struct key_answer);
	*k = (struct key_answer){c->mail, c->uidvalidity, c->uid, c->at};
	old = map_put(&s->keys, c->key, k);
	memory_free(old);
	if (!old)
		buf_append(&s->key_order, c->key);
	if (s->keys.count > KEYS_MAX) {
		memory_free(map_remove(&s->keys, bytes_first(buf_bytes(&s->key_order), KEY_LEN)));
		buf_consume(&s->key_order, KEY_LEN);
	}
}

static void publish_keys_gone(struct store *s, const struct change_keys_gone *c)
{
	while (buf_len(&s->key_order) >= KEY_LEN) {
		struct bytes key = bytes_first(buf_bytes(&s->key_order), KEY_LEN);
		struct key_answer *k = map_get(&s->keys, key);

		if (k && k->at >= c->before)
			break;
		memory_free(map_remove(&s->keys, key));
		buf_consume(&s->key_order, KEY_LEN);
	}
}

static void publish_places(struct store *s, struct view *v, const struct change_places *c)
{
	struct wire w = wire_of(c->rows);

	for (uint32_t uid = c->uid; !wire_end(&w); uid++) {
		uint64_t mail = wire_u64(&w), flags = wire_u64(&w), size = wire_u64(&w);

		view_place(s, v, uid, mail, size, flags, c->modseq);
	}
}

static struct view *view_of(struct store *s, uint64_t mailbox)
{
	struct mailbox *m = map_get_u64(&s->mailboxes, mailbox);

	return m ? m->view : NULL;
}

void change_publish(struct store *s, const struct change *c)
{
	struct account *a;
	struct view *v;

	switch (c->kind) {
	case CHANGE_SUBSCRIPTION:
		a = map_get_u64(&s->accounts, c->subscription.account);
		if (a)
			subscription_put(a, c->subscription.name, c->subscription.on != 0);
		break;
	case CHANGE_PLACE:
		v = view_of(s, c->place.mailbox);
		if (v)
			view_place(s, v, c->place.uid, c->place.mail, c->place.size, c->place.flags,
			           c->place.modseq);
		break;
	case CHANGE_PLACES:
		v = view_of(s, c->places.mailbox);
		if (v)
			publish_places(s, v, &c->places);
		break;
	case CHANGE_FLAGS:
		v = view_of(s, c->flags.mailbox);
		if (v)
			view_flags(v, c->flags.modseq, c->flags.groups);
		break;
	case CHANGE_EXPUNGE:
		v = view_of(s, c->expunge.mailbox);
		if (v)
			view_expunge(s, v, c->expunge.modseq, c->expunge.ranges);
		break;
	case CHANGE_INCIDENT: incident_publish(s, &c->incident); break;
	case CHANGE_KEY: publish_key(s, &c->key); break;
	case CHANGE_KEYS_GONE: publish_keys_gone(s, &c->keys_gone); break;
	default: break;
	}
}

/* ---- once a group ---- */

static void save_mailbox(struct store *s, struct mailbox *m)
{
	const struct mailbox_row *r = &m->next;
	struct db_query *q = db_query(s->db, "INSERT OR REPLACE INTO mailbox VALUES"
	                                     "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");

	db_bind(q, "uubuuuuuuuubu", m->id, m->account->id, r->name, (uint64_t)r->attributes,
	        (uint64_t)r->uidvalidity, (uint64_t)r->uidnext, r->modseq, (uint64_t)r->messages,
	        (uint64_t)r->unseen, (uint64_t)r->deleted, r->size, r->keywords, r->floor);
	db_execute(q);
	m->unsaved = false;
}

static void save_segments(struct store *s)
{
	struct map_entry *e;

	for (size_t at = 0; (e = map_each(&s->live, &at));) {
		uint64_t *live = e->value, number;

		if (!live[1])
			continue;
		live[1] = 0;
		memcpy(&number, e->key, sizeof(number));
		struct db_query *q = db_query(s->db, "INSERT OR REPLACE INTO segment VALUES(?, ?)");

		db_bind(q, "uu", number, live[0]);
		db_execute(q);
	}
}

void mailboxes_save(struct store *s)
{
	struct mailbox **m = (struct mailbox **)(void *)(s->touched.ptr + s->touched.start);
	size_t count = buf_len(&s->touched) / sizeof(*m);

	for (size_t i = 0; i < count; i++) {
		if (m[i]->unsaved && !m[i]->next.gone)
			save_mailbox(s, m[i]);
	}
}

void state_save(struct store *s, const struct blob_position *at)
{
	struct counters *c = &s->counters;
	struct db_query *q;

	mailboxes_save(s);
	save_segments(s);
	q = db_query(s->db, "UPDATE meta SET lsn=?, segment=?, offset=?, mail=?, account=?,"
	                    " mailbox=?, entry=?, uidvalidity=? WHERE id=1");
	db_bind(q, "uuuuuuuu", at->lsn, (uint64_t)at->segment, at->offset, c->mail, c->account,
	        c->mailbox, c->entry, (uint64_t)c->uidvalidity);
	db_execute(q);
}
