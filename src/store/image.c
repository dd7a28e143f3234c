/* All live rows as changes: for images, for dumps. */
#include <stdio.h>

#include "store/internal.h"

enum { IMAGE_RECORD = 256 * 1024 };

struct each {
	struct db *db;
	change_each_function *function;
	void *context;
	struct why *why;
	enum result result;
};

static bool give(struct each *e, const struct change *c)
{
	e->result = e->function(e->context, c, e->why);
	return e->result == OK;
}

/* Each table has a query and a function that makes a change of its row. */
typedef void row_function(struct db_query *q, struct change *c);

static void row_counters(struct db_query *q, struct change *c)
{
	c->kind = CHANGE_COUNTERS;
	c->counters = (struct change_counters){db_u64(q, 0), db_u64(q, 1), db_u64(q, 2),
	                                       db_u64(q, 3), (uint32_t)db_u64(q, 4)};
}

static void row_account(struct db_query *q, struct change *c)
{
	c->kind = CHANGE_ACCOUNT;
	c->account = (struct change_account){db_u64(q, 0), db_bytes(q, 1),        db_bytes(q, 2),
	                                     db_u64(q, 3), (uint8_t)db_u64(q, 4), db_i64(q, 5)};
}

static void row_mailbox(struct db_query *q, struct change *c)
{
	c->kind = CHANGE_MAILBOX;
	c->mailbox = (struct change_mailbox){.id = db_u64(q, 0),
	                                     .account = db_u64(q, 1),
	                                     .name = db_bytes(q, 2),
	                                     .attributes = (uint32_t)db_u64(q, 3),
	                                     .uidvalidity = (uint32_t)db_u64(q, 4),
	                                     .uidnext = (uint32_t)db_u64(q, 5),
	                                     .modseq = db_u64(q, 6),
	                                     .messages = (uint32_t)db_u64(q, 7),
	                                     .unseen = (uint32_t)db_u64(q, 8),
	                                     .deleted = (uint32_t)db_u64(q, 9),
	                                     .size = db_u64(q, 10),
	                                     .keywords = db_bytes(q, 11),
	                                     .floor = db_u64(q, 12)};
}

/* The placements that follow count themselves in; the true figures come again behind them. */
static void row_mailbox_empty(struct db_query *q, struct change *c)
{
	row_mailbox(q, c);
	c->mailbox.messages = c->mailbox.unseen = c->mailbox.deleted = 0;
	c->mailbox.size = 0;
}

static void row_subscription(struct db_query *q, struct change *c)
{
	c->kind = CHANGE_SUBSCRIPTION;
	c->subscription = (struct change_subscription){db_u64(q, 0), db_bytes(q, 1), 1};
}

static void row_mail(struct db_query *q, struct change *c)
{
	c->kind = CHANGE_MAIL;
	c->mail = (struct change_mail){.id = db_u64(q, 0),
	                               .segment = (uint32_t)db_u64(q, 1),
	                               .offset = db_u64(q, 2),
	                               .stored = db_u64(q, 3),
	                               .received = db_i64(q, 4),
	                               .size = db_u64(q, 5),
	                               .refs = (uint32_t)db_u64(q, 6),
	                               .summary = db_bytes(q, 7)};
}

static void row_place(struct db_query *q, struct change *c)
{
	c->kind = CHANGE_PLACE;
	c->place = (struct change_place){.mailbox = db_u64(q, 0),
	                                 .uid = (uint32_t)db_u64(q, 1),
	                                 .mail = db_u64(q, 2),
	                                 .flags = db_u64(q, 3),
	                                 .modseq = db_u64(q, 4),
	                                 .size = db_u64(q, 5)};
}

static void row_vanished(struct db_query *q, struct change *c)
{
	static _Thread_local char range[8];
	struct buf b = {.ptr = range, .size = sizeof(range)};

	buf_u32(&b, (uint32_t)db_u64(q, 2));
	buf_u32(&b, (uint32_t)db_u64(q, 3));
	c->kind = CHANGE_VANISHED;
	c->vanished = (struct change_vanished){db_u64(q, 0), db_u64(q, 1), bytes_of(range, 8)};
}

static void row_reference(struct db_query *q, struct change *c)
{
	c->kind = CHANGE_REFERENCE;
	c->reference = (struct change_reference){db_u64(q, 0), db_i64(q, 1)};
}

static void row_entry(struct db_query *q, struct change *c)
{
	c->kind = CHANGE_ENTRY;
	c->entry = (struct change_entry){.id = db_u64(q, 0),
	                                 .mail = db_u64(q, 1),
	                                 .state = (uint8_t)db_u64(q, 2),
	                                 .due = db_i64(q, 3),
	                                 .tries = (uint32_t)db_u64(q, 4),
	                                 .queued = db_i64(q, 5),
	                                 .sender = db_bytes(q, 6),
	                                 .rcpt = db_bytes(q, 7),
	                                 .origin = db_bytes(q, 8),
	                                 .notify = (uint8_t)db_u64(q, 9),
	                                 .orcpt = db_bytes(q, 10),
	                                 .envid = db_bytes(q, 11),
	                                 .ret = (uint8_t)db_u64(q, 12),
	                                 .reason = db_bytes(q, 13),
	                                 .destination = db_bytes(q, 14),
	                                 .priority = (uint8_t)db_i64(q, 15),
	                                 .options = (uint8_t)db_u64(q, 16),
	                                 .body = (uint8_t)db_u64(q, 17),
	                                 .owner = db_u64(q, 18),
	                                 .deliver_by = db_i64(q, 19),
	                                 .by_mode = (uint8_t)db_u64(q, 20),
	                                 .expires = db_i64(q, 21),
	                                 .alarm = db_i64(q, 22),
	                                 .task = (uint8_t)db_u64(q, 23),
	                                 .status = db_bytes(q, 24),
	                                 .reply = db_bytes(q, 25),
	                                 .remote = db_bytes(q, 26),
	                                 .attempted = db_i64(q, 27),
	                                 .warned = (uint8_t)db_u64(q, 28),
	                                 .incident = db_u64(q, 29),
	                                 .again = db_i64(q, 30)};
}

static void row_destination(struct db_query *q, struct change *c)
{
	c->kind = CHANGE_DESTINATION;
	c->destination = (struct change_destination){.name = db_bytes(q, 0),
	                                             .provider = db_bytes(q, 1),
	                                             .not_before = db_i64(q, 2),
	                                             .failures = (uint32_t)db_u64(q, 3),
	                                             .incident = db_u64(q, 4),
	                                             .status = db_bytes(q, 5),
	                                             .reply = db_bytes(q, 6),
	                                             .remote = db_bytes(q, 7),
	                                             .at = db_i64(q, 8)};
}

static void row_delivered(struct db_query *q, struct change *c)
{
	c->kind = CHANGE_DELIVERED;
	c->delivered = (struct change_delivered){db_u64(q, 0), db_u64(q, 1)};
}

static void row_incident(struct db_query *q, struct change *c)
{
	c->kind = CHANGE_INCIDENT;
	c->incident = (struct change_incident){
	        db_u64(q, 0),           (uint32_t)db_u64(q, 1), db_bytes(q, 2),  db_bytes(q, 3),
	        db_i64(q, 4),           db_i64(q, 5),           db_i64(q, 6),    db_u64(q, 7),
	        (uint32_t)db_u64(q, 8), db_i64(q, 9),           db_bytes(q, 10), db_i64(q, 11)};
}

static void row_sent(struct db_query *q, struct change *c)
{
	c->kind = CHANGE_SENT;
	c->sent = (struct change_sent){db_u64(q, 0),           db_i64(q, 1),
	                               (uint32_t)db_u64(q, 2), (uint32_t)db_u64(q, 3),
	                               (uint32_t)db_u64(q, 4), (uint32_t)db_u64(q, 5),
	                               (uint32_t)db_u64(q, 6)};
}

static void row_ban(struct db_query *q, struct change *c)
{
	c->kind = CHANGE_BAN;
	c->ban = (struct change_ban){.network = db_bytes(q, 0),
	                             .bits = (uint8_t)db_u64(q, 1),
	                             .reason = (uint8_t)db_u64(q, 2),
	                             .level = (uint32_t)db_u64(q, 3),
	                             .since = db_i64(q, 4),
	                             .until = db_i64(q, 5),
	                             .detail = db_bytes(q, 6)};
}

static void row_check(struct db_query *q, struct change *c)
{
	c->kind = CHANGE_CHECK;
	c->check = (struct change_check){db_bytes(q, 0), db_bytes(q, 1), db_bytes(q, 2),
	                                 db_bytes(q, 3)};
}

static void row_jail(struct db_query *q, struct change *c)
{
	c->kind = CHANGE_JAIL;
	c->jail = (struct change_jail){.name = db_bytes(q, 0),
	                               .since = db_i64(q, 1),
	                               .last = db_i64(q, 2),
	                               .lines = db_u64(q, 3),
	                               .suspicious = db_u64(q, 4),
	                               .matched = db_u64(q, 5),
	                               .last_match = db_i64(q, 6),
	                               .example = db_bytes(q, 7)};
}

static void row_sent_day(struct db_query *q, struct change *c)
{
	row_sent(q, c);
	c->kind = CHANGE_SENT_DAY; /* the same fields */
}

static void row_correspondent(struct db_query *q, struct change *c)
{
	static _Thread_local char row[4 + LIMIT_ADDRESS + 24];
	struct buf b = {.ptr = row, .size = sizeof(row)};

	buf_block(&b, bytes_first(db_bytes(q, 1), LIMIT_ADDRESS));
	buf_u64(&b, (uint64_t)db_i64(q, 2));
	buf_u64(&b, (uint64_t)db_i64(q, 3));
	buf_u64(&b, db_u64(q, 4));
	c->kind = CHANGE_CORRESPONDENTS;
	c->correspondents = (struct change_correspondents){db_u64(q, 0), buf_bytes(&b)};
}

static void row_network(struct db_query *q, struct change *c)
{
	c->kind = CHANGE_NETWORK;
	c->network = (struct change_network){db_u64(q, 0), db_bytes(q, 1), db_i64(q, 2),
	                                     db_i64(q, 3), (uint32_t)db_u64(q, 4)};
}

static void row_sts_policy(struct db_query *q, struct change *c)
{
	c->kind = CHANGE_STS_POLICY;
	c->sts_policy = (struct change_sts_policy){db_bytes(q, 0), db_bytes(q, 1), db_bytes(q, 2),
	                                           db_i64(q, 3)};
}

static void row_dmarc_count(struct db_query *q, struct change *c)
{
	c->kind = CHANGE_DMARC_COUNT;
	c->dmarc_count = (struct change_dmarc_count){db_bytes(q, 0), db_i64(q, 1), db_bytes(q, 2),
	                                             db_u64(q, 3)};
}

static void row_dmarc_report(struct db_query *q, struct change *c)
{
	c->kind = CHANGE_DMARC_REPORT;
	c->dmarc_report = (struct change_dmarc_report){
	        db_bytes(q, 0), db_bytes(q, 1), db_bytes(q, 2), db_i64(q, 3), db_bytes(q, 4)};
}

static void row_tls_result(struct db_query *q, struct change *c)
{
	c->kind = CHANGE_TLS_RESULT;
	c->tls_result = (struct change_tls_result){.domain = db_bytes(q, 0),
	                                           .day = db_i64(q, 1),
	                                           .policy = (uint32_t)db_u64(q, 2),
	                                           .result = (uint32_t)db_u64(q, 3),
	                                           .string = db_bytes(q, 4),
	                                           .mx = db_bytes(q, 5),
	                                           .ip = db_bytes(q, 6),
	                                           .details = db_bytes(q, 7),
	                                           .sessions = db_u64(q, 8)};
}

static void row_escrow(struct db_query *q, struct change *c)
{
	c->kind = CHANGE_ESCROW;
	c->escrow = (struct change_escrow){.mail = db_u64(q, 0),
	                                   .judgement = db_u64(q, 1),
	                                   .at = db_i64(q, 2),
	                                   .size = db_u64(q, 3),
	                                   .sender = db_bytes(q, 4),
	                                   .rcpts = db_bytes(q, 5),
	                                   .released = db_bytes(q, 6),
	                                   .envid = db_bytes(q, 7),
	                                   .ret = (uint8_t)db_u64(q, 8),
	                                   .options = (uint8_t)db_u64(q, 9),
	                                   .body = (uint8_t)db_u64(q, 10),
	                                   .ip = db_bytes(q, 11),
	                                   .helo = db_bytes(q, 12),
	                                   .ptr = db_bytes(q, 13),
	                                   .from = db_bytes(q, 14),
	                                   .domain = db_bytes(q, 15),
	                                   .score = (uint32_t)db_u64(q, 16),
	                                   .known = (uint32_t)db_u64(q, 17),
	                                   .checks = db_bytes(q, 18),
	                                   .evidence = db_bytes(q, 19),
	                                   .released_at = db_i64(q, 20),
	                                   .by = db_bytes(q, 21),
	                                   .message_id = db_bytes(q, 22)};
}

static void row_digest(struct db_query *q, struct change *c)
{
	c->kind = CHANGE_DIGEST;
	c->digest = (struct change_digest){db_bytes(q, 0), db_i64(q, 1)};
}

static void row_escrow_order(struct db_query *q, struct change *c)
{
	c->kind = CHANGE_ESCROW_ORDER;
	c->escrow_order = (struct change_escrow_order){db_bytes(q, 0), db_i64(q, 1), db_u64(q, 2),
	                                               db_i64(q, 3)};
}

static void row_alarm(struct db_query *q, struct change *c)
{
	c->kind = CHANGE_ALARM;
	c->alarm = (struct change_alarm){.id = db_u64(q, 0),
	                                 .channel = db_bytes(q, 1),
	                                 .incident = db_u64(q, 2),
	                                 .event = (uint8_t)db_u64(q, 3),
	                                 .at = db_i64(q, 4),
	                                 .due = db_i64(q, 5),
	                                 .tries = (uint32_t)db_u64(q, 6),
	                                 .failed = db_bytes(q, 7)};
}

static void row_rhythm(struct db_query *q, struct change *c)
{
	c->kind = CHANGE_RHYTHM;
	c->rhythm = (struct change_rhythm){db_bytes(q, 0), db_bytes(q, 1), db_i64(q, 2),
	                                   db_i64(q, 3)};
}

static void row_key(struct db_query *q, struct change *c)
{
	c->kind = CHANGE_KEY;
	c->key = (struct change_key){db_bytes(q, 0), db_u64(q, 1), (uint32_t)db_u64(q, 2),
	                             (uint32_t)db_u64(q, 3), db_i64(q, 4)};
}

#define MAILBOX_COLUMNS                                                                         \
	"SELECT id, account, name, attributes, uidvalidity, uidnext, modseq, messages, unseen," \
	" deleted, size, keywords, floor FROM mailbox ORDER BY id"

static const struct {
	const char *sql;
	row_function *row;
} tables[] = {
        {"SELECT mail, account, mailbox, entry, uidvalidity FROM meta", row_counters},
        {"SELECT id, address, sealed, quota, suspended, created FROM account ORDER BY id",
         row_account},
        {MAILBOX_COLUMNS, row_mailbox_empty},
        {"SELECT account, name FROM subscription ORDER BY account, name", row_subscription},
        {"SELECT id, segment, offset, stored, received, size, refs, summary FROM mail ORDER BY id",
         row_mail},
        {"SELECT mailbox, uid, mail, flags, modseq, size FROM placement ORDER BY mailbox, uid",
         row_place},
        {"SELECT mailbox, modseq, first, last FROM vanished ORDER BY mailbox, modseq, first",
         row_vanished},
        {"SELECT mail, delta FROM reference WHERE delta<>0 ORDER BY mail", row_reference},
        {"SELECT id, mail, state, due, tries, queued, sender, rcpt, origin, notify, orcpt, envid,"
         " ret, reason, destination, priority, options, body, owner, deliver_by, by_mode, expires,"
         " alarm, task, status, reply, remote, attempted, warned, incident, again FROM entry"
         " ORDER BY id",
         row_entry},
        {"SELECT name, provider, not_before, failures, incident, status, reply, remote, at"
         " FROM destination ORDER BY name",
         row_destination},
        {"SELECT mail, account FROM delivered ORDER BY mail, account", row_delivered},
        {"SELECT key, mail, uidvalidity, uid, at FROM answer ORDER BY seq", row_key},
        {"SELECT mail, judgement, at, size, sender, rcpts, released, envid, ret, options, body, ip,"
         " helo, ptr, sent_as, domain, score, known, checks, evidence, released_at, by, message_id"
         " FROM escrow ORDER BY mail",
         row_escrow},
        {"SELECT address, until FROM digest ORDER BY address", row_digest},
        {"SELECT name, since, after, at FROM escrow_order ORDER BY name", row_escrow_order},
        {MAILBOX_COLUMNS " ", row_mailbox},
        {"SELECT id, channel, incident, event, at, due, tries, failed FROM alarm ORDER BY id",
         row_alarm},
        {"SELECT key, record, last, due FROM rhythm ORDER BY key", row_rhythm},
        {"SELECT id, kind, key, facts, since, last, until, count, relapses, acked_at, acked_by,"
         " said"
         " FROM incident ORDER BY id",
         row_incident},
        {"SELECT owner, at, messages, recipients, fresh, unknown, results FROM sent"
         " ORDER BY owner, at",
         row_sent},
        {"SELECT owner, at, messages, recipients, fresh, unknown, results FROM sent_day"
         " ORDER BY owner, at",
         row_sent_day},
        {"SELECT owner, address, first, last, count FROM correspondent ORDER BY owner, address",
         row_correspondent},
        {"SELECT owner, network, first, last, count FROM network ORDER BY owner, last, network",
         row_network},
        {"SELECT domain, id, policy, expires FROM sts_policy ORDER BY domain", row_sts_policy},
        {"SELECT domain, day, policy, result, string, mx, ip, details, sessions FROM tls_result"
         " ORDER BY domain, day, policy, result, mx, ip, details, string",
         row_tls_result},
        {"SELECT domain, day, row, count FROM dmarc_count ORDER BY domain, day, row",
         row_dmarc_count},
        {"SELECT domain, organization, id, received, rows FROM dmarc_report"
         " ORDER BY domain, organization, id",
         row_dmarc_report},
        {"SELECT name, record, doubt, tests FROM trial ORDER BY name", row_check},
        {"SELECT network, bits, reason, level, since, until, detail FROM ban"
         " ORDER BY network, bits",
         row_ban},
        {"SELECT name, since, last, lines, suspicious, matched, last_match, example FROM jail"
         " ORDER BY name",
         row_jail},
};

static bool each_row(struct each *e, const char *sql, row_function *row)
{
	struct db_query *q = db_query(e->db, sql);
	bool go_on = true;

	db_bind(q, "");
	while (go_on && db_next(q)) {
		struct change c = {0};

		row(q, &c);
		go_on = give(e, &c);
	}
	if (!go_on)
		db_end(q);
	return go_on;
}

enum result image_each(struct db *db, change_each_function *each, void *context, struct why *why)
{
	struct each e = {db, each, context, why, OK};

	for (size_t i = 0; i < sizeof(tables) / sizeof(*tables); i++) {
		if (!each_row(&e, tables[i].sql, tables[i].row))
			return e.result;
	}
	return db_failed(db, why);
}

/* ---- writing one ---- */

struct writing {
	struct blob_image *image;
	struct buf record;
	uint64_t octets;
};

static enum result flush(struct writing *w, struct why *why)
{
	enum result result = blob_image_put(w->image, buf_bytes(&w->record), why);

	w->octets += buf_len(&w->record);
	buf_clear(&w->record);
	return result;
}

static enum result write_change(void *context, const struct change *c, struct why *why)
{
	struct writing *w = context;

	change_encode(c, &w->record);
	return buf_len(&w->record) < IMAGE_RECORD ? OK : flush(w, why);
}

static enum result write_image(struct store *s, struct reader *r, struct writing *w,
                               struct blob_position *at, struct why *why)
{
	enum result result = position_load(r->db, at);

	if (result == OK)
		result = blob_image_new(s->fs, at, &w->image, why);
	if (result != OK)
		return result;
	result = image_each(r->db, write_change, w, why);
	if (result == OK)
		result = flush(w, why);
	if (result == OK)
		return blob_image_finish(&w->image, why);
	blob_image_drop(&w->image);
	return result;
}

/* On a reader's thread: one state of the index, however long it takes. */
enum result image_write(struct store *s, struct job *j, struct why *why)
{
	struct writing w = {0};
	struct blob_position at = {0};
	uint64_t octets;
	enum result result;

	store_hold(s);
	octets = blob_log_octets(s->log);
	store_let(s);
	db_snapshot(j->reader->db);
	result = write_image(s, j->reader, &w, &at, why);
	db_snapshot_end(j->reader->db);
	store_hold(s);
	s->upkeep.image_running = false;
	s->upkeep.image_octets = octets;
	if (result == OK) {
		s->upkeep.image_size = w.octets;
		s->upkeep.image_lsn = at.lsn;
		s->upkeep.image_done = true;
	}
	store_let(s);
	buf_done(&w.record);
	return result;
}

/* ---- dumping ---- */

struct dumping {
	struct buf *out;
	bool mailbox_seen; /* the first, empty ones are left out */
};

static void dump_text(struct buf *out, const char *name, struct bytes v)
{
	buf_printf(out, " %s=", name);
	for (size_t i = 0; i < v.len; i++)
		buf_printf(out, "%02x", (unsigned char)v.ptr[i]);
}

static void dump_number(struct buf *out, const char *name, int64_t v)
{
	/* Where bytes lie is not what a store holds. */
	if (strcmp(name, "segment") != 0 && strcmp(name, "offset") != 0 &&
	    strcmp(name, "stored") != 0)
		buf_printf(out, " %s=%lld", name, (long long)v);
}

#define dump_bytes dump_text
#define dump_u8(out, name, v) dump_number(out, name, (int64_t)(v))
#define dump_u32 dump_u8
#define dump_u64 dump_u8
#define dump_i64 dump_u8

static void dump_fields(struct buf *out, const struct change *c)
{
	switch (c->kind) {
#define CHANGE(number, NAME, name, meaning) \
	case CHANGE_##NAME: {               \
		const struct change_##name *v = &c->name;
#define FIELD(type, field) dump_##type(out, #field, v->field);
#define END(name) \
	break;    \
	}
#include "store/change.def"
#undef CHANGE
#undef FIELD
#undef END
	default: break;
	}
}

static enum result dump_change(void *context, const struct change *c, struct why *why)
{
	struct dumping *d = context;

	(void)why;
	buf_append_text(d->out, change_name(c->kind));
	dump_fields(d->out, c);
	buf_append_char(d->out, '\n');
	return OK;
}

enum result store_dump(struct store *s, struct buf *out, struct why *why)
{
	struct dumping d = {out, false};

	return image_each(s->db, dump_change, &d, why);
}
