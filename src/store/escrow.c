/* Escrow's rows, keeping, releasing and forgetting; store/escrow.h says what they mean.
 *
 * The row refers to its mail like a placement does, so the mail's bytes live as long as it. Who has got a released mail is
 * also in `delivered` while the row is there: an alias and the account behind it, released one after the other, are one copy. */
#include "store/escrow.h"

#include "base/text.h"
#include "policy/verdict.h"
#include "store/life.h"
#include "store/queue.h"

const char escrow_schema[] =
        "CREATE TABLE escrow(mail INTEGER PRIMARY KEY, judgement, at, size, sender BLOB, rcpts "
        "BLOB,"
        " released BLOB, envid BLOB, ret, options, body, ip BLOB, helo BLOB, ptr BLOB, sent_as "
        "BLOB,"
        " domain BLOB, score, known, checks BLOB, evidence BLOB, released_at, by BLOB,"
        " message_id BLOB);"
        "CREATE INDEX escrow_judgement ON escrow(judgement);"
        "CREATE INDEX escrow_at ON escrow(at);"
        "CREATE TABLE escrow_rcpt(address BLOB, mail, PRIMARY KEY(address, mail)) WITHOUT ROWID;"
        "CREATE TABLE escrow_check(name BLOB, mail, PRIMARY KEY(name, mail)) WITHOUT ROWID;"
        "CREATE TABLE digest(address BLOB PRIMARY KEY, until) WITHOUT ROWID;"
        "CREATE TABLE escrow_order(name BLOB PRIMARY KEY, since, after, at) WITHOUT ROWID;";

/* ---- rows ---- */

/* As it is looked for: ASCII letters in lower case. */
static struct bytes folded(struct bytes address, char room[LIMIT_ADDRESS])
{
	size_t len = address.len < LIMIT_ADDRESS ? address.len : LIMIT_ADDRESS;

	for (size_t i = 0; i < len; i++)
		room[i] = text_lower_char(address.ptr[i]);
	return bytes_of(room, len);
}

static void forget_keys(struct store *s, uint64_t mail)
{
	struct arena arena = {0};
	struct change_escrow e;
	struct wire w;
	struct bytes rest, one;
	char room[LIMIT_ADDRESS];
	struct db_query *q;

	if (!escrow_read(s->db, &arena, mail, &e)) {
		arena_done(&arena);
		return;
	}
	q = db_query(s->db, "DELETE FROM escrow_rcpt WHERE address=? AND mail=?");
	for (w = wire_of(e.rcpts); !wire_end(&w); wire_u8(&w), wire_block(&w)) {
		db_bind(q, "bu", folded(wire_block(&w), room), mail);
		db_execute(q);
	}
	for (w = wire_of(e.released); !wire_end(&w);) {
		db_bind(q, "bu", folded(wire_block(&w), room), mail);
		db_execute(q);
	}
	q = db_query(s->db, "DELETE FROM escrow_check WHERE name=? AND mail=?");
	for (rest = e.checks; bytes_cut(&rest, ' ', &one);) {
		db_bind(q, "bu", one, mail);
		db_execute(q);
	}
	arena_done(&arena);
}

static void remember_keys(struct store *s, const struct change_escrow *c)
{
	struct wire w;
	struct bytes rest = c->checks, one;
	char room[LIMIT_ADDRESS];
	struct db_query *q = db_query(s->db, "INSERT OR IGNORE INTO escrow_rcpt VALUES(?, ?)");

	for (w = wire_of(c->rcpts); !wire_end(&w); wire_u8(&w), wire_block(&w)) {
		db_bind(q, "bu", folded(wire_block(&w), room), c->mail);
		db_execute(q);
	}
	for (w = wire_of(c->released); !wire_end(&w);) {
		db_bind(q, "bu", folded(wire_block(&w), room), c->mail);
		db_execute(q);
	}
	q = db_query(s->db, "INSERT OR IGNORE INTO escrow_check VALUES(?, ?)");
	while (bytes_cut(&rest, ' ', &one)) {
		db_bind(q, "bu", one, c->mail);
		db_execute(q);
	}
}

enum result escrow_apply(struct store *s, const struct change_escrow *c)
{
	struct db_query *q;

	forget_keys(s, c->mail);
	q = db_query(s->db,
	             "INSERT OR REPLACE INTO escrow VALUES"
	             "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
	db_bind(q, "uuiubbbbuuubbbbbuubbibb", c->mail, c->judgement, c->at, c->size, c->sender,
	        c->rcpts, c->released, c->envid, (uint64_t)c->ret, (uint64_t)c->options,
	        (uint64_t)c->body, c->ip, c->helo, c->ptr, c->from, c->domain, (uint64_t)c->score,
	        (uint64_t)c->known, c->checks, c->evidence, c->released_at, c->by, c->message_id);
	db_execute(q);
	remember_keys(s, c);
	return OK;
}

enum result escrow_gone_apply(struct store *s, const struct change_escrow_gone *c)
{
	struct db_query *q;

	forget_keys(s, c->mail);
	q = db_query(s->db, "DELETE FROM escrow WHERE mail=?");
	db_bind(q, "u", c->mail);
	db_execute(q);
	q = db_query(s->db, "DELETE FROM delivered WHERE mail=?"
	                    " AND NOT EXISTS(SELECT 1 FROM entry WHERE entry.mail=delivered.mail)");
	db_bind(q, "u", c->mail);
	db_execute(q);
	return OK;
}

static void orders_wait(struct store *s)
{
	store_hold(s);
	s->escrow.ordered = true;
	store_let(s);
}

enum result escrow_order_apply(struct store *s, const struct change_escrow_order *c)
{
	struct db_query *q = db_query(s->db,
	                              "INSERT OR REPLACE INTO escrow_order VALUES(?, ?, ?, ?)");

	db_bind(q, "biui", c->check, c->since, c->after, c->at);
	db_execute(q);
	orders_wait(s);
	return OK;
}

enum result escrow_order_gone_apply(struct store *s, const struct change_escrow_order_gone *c)
{
	struct db_query *q = db_query(s->db, "DELETE FROM escrow_order WHERE name=?");

	db_bind(q, "b", c->check);
	db_execute(q);
	orders_wait(s); /* others may be there */
	return OK;
}

bool escrow_read(struct db *db, struct arena *arena, uint64_t mail, struct change_escrow *ret)
{
	struct db_query *q = db_query(
	        db,
	        "SELECT judgement, at, size, sender, rcpts, released, envid, ret, options, body,"
	        " ip, helo, ptr, sent_as, domain, score, known, checks, evidence, released_at, by,"
	        " message_id FROM escrow WHERE mail=?");

	db_bind(q, "u", mail);
	if (!db_next(q))
		return false;
	*ret = (struct change_escrow){.mail = mail,
	                              .judgement = db_u64(q, 0),
	                              .at = db_i64(q, 1),
	                              .size = db_u64(q, 2),
	                              .sender = arena_copy(arena, db_bytes(q, 3)),
	                              .rcpts = arena_copy(arena, db_bytes(q, 4)),
	                              .released = arena_copy(arena, db_bytes(q, 5)),
	                              .envid = arena_copy(arena, db_bytes(q, 6)),
	                              .ret = (uint8_t)db_u64(q, 7),
	                              .options = (uint8_t)db_u64(q, 8),
	                              .body = (uint8_t)db_u64(q, 9),
	                              .ip = arena_copy(arena, db_bytes(q, 10)),
	                              .helo = arena_copy(arena, db_bytes(q, 11)),
	                              .ptr = arena_copy(arena, db_bytes(q, 12)),
	                              .from = arena_copy(arena, db_bytes(q, 13)),
	                              .domain = arena_copy(arena, db_bytes(q, 14)),
	                              .score = (uint32_t)db_u64(q, 15),
	                              .known = (uint32_t)db_u64(q, 16),
	                              .checks = arena_copy(arena, db_bytes(q, 17)),
	                              .evidence = arena_copy(arena, db_bytes(q, 18)),
	                              .released_at = db_i64(q, 19),
	                              .by = arena_copy(arena, db_bytes(q, 20)),
	                              .message_id = arena_copy(arena, db_bytes(q, 21))};
	db_end(q);
	return true;
}

/* ---- keeping ---- */

/* "list.zen spf": those that speak against the mail, each once. */
static struct bytes checks_of(struct job *j, struct bytes evidence)
{
	struct wire w = wire_of(evidence);
	struct evidence e;
	struct buf out = {0};
	struct bytes ret;

	while (evidence_take(&w, &e)) {
		if (e.says != EVIDENCE_BAD || e.check.len == 0 || e.check.len > EVIDENCE_CHECK ||
		    bytes_find_char(e.check, ' ') != BYTES_NONE)
			continue;
		if (buf_len(&out))
			buf_append_char(&out, ' ');
		buf_append(&out, e.check);
	}
	ret = arena_copy(&j->arena, buf_bytes(&out));
	buf_done(&out);
	return ret;
}

/* What nobody may send to through us cannot be released either: never a relay. */
static bool all_ours(struct store *s, struct job *j, struct bytes rcpts)
{
	struct wire w = wire_of(rcpts);

	while (!wire_end(&w)) {
		struct bytes address = wire_block(&w);

		wire_u8(&w);
		wire_block(&w);
		if (w.bad || address.len == 0 || address.len > LIMIT_ADDRESS ||
		    route_of(s, s->writer_config, &j->arena, address, 0).class == ROUTE_REMOTE)
			return false;
	}
	return rcpts.len > 0 && !w.bad;
}

static void note_kept(struct job *j, const struct change_escrow *e, const struct judgement *judged)
{
	struct bytes words = judgement_words(&j->arena, judged);
	struct wire w = wire_of(e->rcpts);
	char id[JUDGEMENT_ID + 1] = "-";
	struct buf list = {0};

	for (; !wire_end(&w) && buf_len(&list) < 3000; wire_u8(&w), wire_block(&w)) {
		if (buf_len(&list))
			buf_append_char(&list, ' ');
		buf_append(&list, wire_block(&w));
	}
	if (e->judgement)
		judgement_id(e->judgement, id);
	ledger_note(j, &(struct ledger_event){
	                       .reason = LEDGER_ESCROWED,
	                       .mail = e->mail,
	                       .session = j->ask.session,
	                       .judgement = e->judgement,
	                       .ip = e->ip,
	                       .sender = e->sender,
	                       .rcpt = buf_bytes(&list),
	                       .message_id = e->message_id,
	                       .mark = judgement_mark(judged),
	                       .host = arena_printf(&j->arena, "%.*s %.*s", BYTES_ARG(e->helo),
	                                            BYTES_ARG(e->ptr)),
	                       .text = arena_printf(&j->arena, "id=%s size=%llu helo=%.*s %.*s", id,
	                                            (unsigned long long)e->size, BYTES_ARG(e->helo),
	                                            BYTES_ARG(words))});
	buf_done(&list);
}

enum result escrow_commit(struct store *s, struct job *j, uint64_t mail, uint64_t size,
                          struct why *why)
{
	const struct ask_commit *a = &j->ask.commit;
	struct judgement judged = {.action = JUDGE_REFUSE, .score = 30000};
	struct change_escrow *e;

	if (!all_ours(s, j, a->recipients))
		return why_set(why, DENIED, "what is not ours is not kept in escrow");
	judgement_find(s, a->judgement, &j->arena, &judged);
	e = &job_change(j, CHANGE_ESCROW)->escrow;
	*e = (struct change_escrow){.mail = mail,
	                            .judgement = a->judgement & INT64_MAX,
	                            .at = j->now,
	                            .size = size,
	                            .sender = a->sender,
	                            .rcpts = a->recipients,
	                            .envid = a->envid,
	                            .ret = a->ret,
	                            .options = a->options,
	                            .body = a->body,
	                            .ip = judged.ip,
	                            .helo = judged.helo,
	                            .ptr = judged.ptr,
	                            .from = judged.from,
	                            .domain = judged.domain,
	                            .score = judged.score,
	                            .known = judged.known,
	                            .checks = checks_of(j, judged.evidence),
	                            .evidence = judged.evidence,
	                            .message_id = a->message_id};
	note_kept(j, e, &judged);
	store_hold(s);
	s->escrow.octets += size;
	store_let(s);
	return OK;
}

/* ---- releasing ---- */

struct releasing {
	const struct change_escrow *e;
	struct delivery d;
	struct buf left, released;
	unsigned count;
};

static void release_one(struct store *s, struct job *j, struct releasing *r,
                        const struct recipient *to)
{
	unsigned before = r->d.refs;

	deliver(s, j, &r->d, to);
	buf_block(&r->released, to->address);
	r->count++;
	ledger_note(j, &(struct ledger_event){
	                       .reason = LEDGER_ESCROW_RELEASED,
	                       .mail = r->e->mail,
	                       .judgement = r->e->judgement,
	                       .sender = r->e->sender,
	                       .rcpt = to->address,
	                       .text = arena_printf(&j->arena, "by=\"%.*s\"%s", BYTES_ARG(r->e->by),
	                                            r->d.refs == before ? " had-it" : "")});
}

static void keep_recipient(struct buf *left, const struct recipient *to)
{
	buf_block(left, to->address);
	buf_u8(left, to->notify);
	buf_block(left, to->orcpt);
}

/* Its routes may have changed since: what would leave for another host now was forwarded by somebody's alias, which the
 * sorter follows; the recipient itself is ours or stays. */
static bool may_go(struct store *s, struct job *j, struct bytes address)
{
	return route_of(s, s->writer_config, &j->arena, address, 0).class != ROUTE_REMOTE;
}

static void release_recipients(struct store *s, struct job *j, struct releasing *r,
                               struct bytes wanted)
{
	struct wire w = wire_of(r->e->rcpts);

	while (!wire_end(&w)) {
		struct recipient to = {.address = wire_block(&w)};

		to.notify = wire_u8(&w);
		to.orcpt = wire_block(&w);
		if ((wanted.len == 0 || bytes_equal_nocase(wanted, to.address)) &&
		    may_go(s, j, to.address))
			release_one(s, j, r, &to);
		else
			keep_recipient(&r->left, &to);
	}
}

static void release_changes(struct store *s, struct job *j, struct releasing *r)
{
	struct change_escrow *c;

	for (size_t i = 0; i < r->d.have_count; i++) {
		struct change *had = job_change(j, CHANGE_DELIVERED);

		had->delivered = (struct change_delivered){r->d.mail, r->d.have[i]->id};
	}
	settle_references(s, j, r->d.mail, r->d.refs);
	c = &job_change(j, CHANGE_ESCROW)->escrow;
	*c = *r->e;
	c->rcpts = arena_copy(&j->arena, buf_bytes(&r->left));
	c->released = arena_copy(&j->arena, buf_bytes(&r->released));
	if (c->rcpts.len == 0)
		c->released_at = j->now;
}

unsigned escrow_release(struct store *s, struct job *j, uint64_t mail, struct bytes rcpt,
                        struct bytes by)
{
	struct change_escrow e;
	struct releasing r = {.e = &e};

	if (!escrow_read(s->db, &j->arena, mail, &e) || e.rcpts.len == 0)
		return 0;
	e.by = by;
	r.d = (struct delivery){.mail = mail,
	                        .size = e.size,
	                        .sender = e.sender,
	                        .envid = e.envid,
	                        .ret = e.ret,
	                        .options = e.options,
	                        .body = e.body,
	                        .queued_at = j->now};
	buf_append(&r.released, e.released);
	release_recipients(s, j, &r, rcpt);
	if (r.count)
		release_changes(s, j, &r);
	buf_done(&r.left);
	buf_done(&r.released);
	return r.count;
}

/* ---- a check that was wrong ---- */

/* Mail that was judged before the check fell, and comes into escrow after: so long an order stands. */
enum { ORDER_MS = 60 * 1000, RETRY_MS = 10 * 1000 };

/* Would it be refused without this check, too? */
static bool others_refuse(struct store *s, struct job *j, const struct change_escrow *e,
                          struct bytes check)
{
	struct evidence *list = arena_get(&j->arena, EVIDENCE_MAX * sizeof(*list));
	struct verdict_threshold *to;
	struct wire w = wire_of(e->evidence);
	size_t count = 0, rcpts = 0;
	struct verdict v = {0};

	while (count < EVIDENCE_MAX && evidence_take(&w, &list[count]))
		count += !bytes_equal(list[count].check, check);
	to = arena_get(&j->arena,
	               (e->rcpts.len / 9 + 1) * sizeof(*to)); /* 9: an empty one's octets */
	for (w = wire_of(e->rcpts); !wire_end(&w); wire_u8(&w), wire_block(&w))
		to[rcpts++] = verdict_threshold_of(s->writer_config, wire_block(&w));
	if (rcpts)
		verdict_make(list, count, to, rcpts, &j->arena, &v);
	return v.action >= JUDGE_DEFER;
}

void escrow_release_check(struct store *s, struct job *j, struct bytes check, int64_t since)
{
	struct db_query *q = db_query(s->db, "SELECT since FROM escrow_order WHERE name=?");
	struct change_escrow_order *c;

	db_bind(q, "b", check);
	if (db_next(q) && db_i64(q, 0) < since)
		since = db_i64(q, 0);
	db_end(q);
	c = &job_change(j, CHANGE_ESCROW_ORDER)->escrow_order;
	*c = (struct change_escrow_order){
	        .check = arena_copy(&j->arena, check), .since = since, .at = j->now};
}

/* The first that is not done: with mails to look at, or old enough to be forgotten. */
static bool next_order(struct store *s, struct job *j, struct change_escrow_order *ret)
{
	struct db_query *q = db_query(
	        s->db, "SELECT name, since, after, at FROM escrow_order o WHERE at<? OR EXISTS"
	               "(SELECT 1 FROM escrow_check c WHERE c.name=o.name AND c.mail>o.after)"
	               " ORDER BY name LIMIT 1");
	bool found;

	db_bind(q, "i", j->now - ORDER_MS);
	found = db_next(q);
	if (found)
		*ret = (struct change_escrow_order){arena_copy(&j->arena, db_bytes(q, 0)),
		                                    db_i64(q, 1), db_u64(q, 2), db_i64(q, 3)};
	db_end(q);
	return found;
}

/* When the oldest order is to be looked at again. */
static time_ms orders_due(struct store *s)
{
	struct db_query *q = db_query(s->db, "SELECT MIN(at), COUNT(*) FROM escrow_order");
	time_ms due = TIME_NEVER;

	db_bind(q, "");
	if (db_next(q) && db_u64(q, 1))
		due = db_i64(q, 0) + ORDER_MS + 1;
	db_end(q);
	return due;
}

static size_t refused_by(struct store *s, const struct change_escrow_order *o,
                         uint64_t mails[ESCROW_BATCH])
{
	struct db_query *q = db_query(s->db, "SELECT c.mail FROM escrow_check c JOIN escrow e"
	                                     " ON e.mail=c.mail WHERE c.name=? AND c.mail>?"
	                                     " AND e.at>=? AND e.released_at=0"
	                                     " ORDER BY c.mail LIMIT ?");
	size_t count = 0;

	db_bind(q, "buiu", o->check, o->after, o->since, (uint64_t)ESCROW_BATCH);
	while (db_next(q))
		mails[count++] = db_u64(q, 0);
	return count;
}

static enum result run_order(struct store *s, struct job *j, struct why *why)
{
	struct change_escrow_order o;
	uint64_t mails[ESCROW_BATCH];
	struct change_escrow e;
	time_ms due;
	size_t count;
	bool found;

	(void)why;
	j->urgent = true;
	due = orders_due(s);
	found = next_order(s, j, &o);
	store_hold(s);
	s->escrow.running = s->escrow.ordered = false; /* applying the effect sets it again */
	s->escrow.due = found ? j->now + RETRY_MS /* if this is not written down */ : due;
	store_let(s);
	if (!found)
		return OK;
	count = refused_by(s, &o, mails);
	for (size_t i = 0; i < count; i++) {
		if (escrow_read(s->db, &j->arena, mails[i], &e) &&
		    !others_refuse(s, j, &e, o.check))
			escrow_release(s, j, mails[i], (struct bytes){0},
			               arena_printf(&j->arena, "check %.*s is in doubt",
			                            BYTES_ARG(o.check)));
	}
	if (count < ESCROW_BATCH && o.at < j->now - ORDER_MS) {
		job_change(j, CHANGE_ESCROW_ORDER_GONE)->escrow_order_gone.check = o.check;
		return OK;
	}
	o.after = count == ESCROW_BATCH ? mails[count - 1] : s->counters.mail - 1;
	job_change(j, CHANGE_ESCROW_ORDER)->escrow_order = o;
	return OK;
}

/* ---- forgetting ---- */

static uint64_t octets_of(struct store *s)
{
	struct db_query *q = db_query(
	        s->db, "SELECT COALESCE(SUM(size), 0) FROM escrow WHERE released_at=0");
	uint64_t octets;

	db_bind(q, "");
	octets = db_next(q) ? db_u64(q, 0) : 0;
	db_end(q);
	return octets;
}

/* The oldest go: those beyond their age, and as many as it takes to be within the size. A released one takes no room of its
 * own and goes with age alone. */
static enum result run_forget(struct store *s, struct job *j, struct why *why)
{
	struct db_query *q = db_query(s->db, "SELECT mail, at, size, released_at FROM escrow"
	                                     " WHERE released_at=0 OR at<? ORDER BY mail LIMIT ?");
	uint64_t octets = octets_of(s), most = s->writer_config->escrow_size;
	int64_t oldest = j->now - (int64_t)s->writer_config->escrow_keep_ms;
	uint64_t mails[ESCROW_SWEEP];
	size_t count = 0;

	(void)why;
	j->urgent = true;
	db_bind(q, "iu", oldest, (uint64_t)ESCROW_SWEEP);
	while (db_next(q)) {
		bool kept = db_i64(q, 3) == 0;

		if (db_i64(q, 1) >= oldest && (octets <= most || !kept))
			continue;
		octets -= kept ? db_u64(q, 2) : 0;
		mails[count++] = db_u64(q, 0);
	}
	for (size_t i = 0; i < count; i++) {
		job_change(j, CHANGE_ESCROW_GONE)->escrow_gone.mail = mails[i];
		settle_references(s, j, mails[i], -1);
		ledger_note(j, &(struct ledger_event){.reason = LEDGER_ESCROW_FORGOTTEN,
		                                      .mail = mails[i]});
	}
	senders_quiet(s, j);
	store_hold(s);
	s->escrow.running = false;
	s->escrow.octets = octets;
	s->escrow.forget = count == ESCROW_SWEEP;
	s->escrow.ordered = true; /* one that failed is tried again */
	store_let(s);
	return OK;
}

/* ---- upkeep ---- */

enum { FORGET_EVERY_MS = 10 * 60 * 1000 };

static bool forget_now(const struct store *s)
{
	return s->escrow.forget || s->escrow.octets > s->config->escrow_size ||
	       s->now - s->escrow.forgot > FORGET_EVERY_MS;
}

bool escrow_waits(const struct store *s)
{
	return !s->escrow.running &&
	       (s->escrow.ordered || s->escrow.forget || s->now >= s->escrow.due ||
	        s->escrow.octets > s->config->escrow_size);
}

void escrow_upkeep(struct store *s)
{
	job_function *run = NULL;

	store_hold(s);
	if (s->escrow.running)
		run = NULL;
	else if (s->escrow.ordered || s->now >= s->escrow.due)
		run = run_order;
	else if (forget_now(s))
		run = run_forget;
	if (run == run_forget)
		s->escrow.forgot = s->now;
	if (run) {
		s->escrow.running = true;
		job_put(&s->writes, job_new(s, run));
	}
	store_let(s);
}

time_ms escrow_due(const struct store *s)
{
	return s->escrow.running ? TIME_NEVER : s->escrow.due;
}

void escrow_begin(struct store *s)
{
	s->escrow.due = orders_due(s);
	s->escrow.ordered = s->escrow.due != TIME_NEVER;
	s->escrow.octets = octets_of(s);
}
