/* ESCROW_* of ADMIN: what is kept, why, and letting it out.
 *
 * A subject is words: a mail's id (8 hexadecimal digits and more) or the short id of a refusal's text, and check=NAME,
 * since=MS, until=MS, to=ADDRESS, from=ADDRESS, state=kept|released. All must fit. The newest come first; the cursor is the
 * last mail's number, going down. */
#include <jansson.h>
#include <stdio.h>

#include "base/encode.h"
#include "base/ip.h"
#include "base/text.h"
#include "policy/evidence.h"
#include "store/escrow.h"
#include "store/life.h"

enum {
	PAGE = 500,
	LOOKED_AT = 20000, /* rows of one ask */
	TOLD = 50,         /* recipients of one mail */
};

/* ---- the subject ---- */

struct wanted {
	uint64_t mail, judgement;
	struct bytes check, to, from;
	int64_t since, until;
	bool kept, released, any; /* any: something was said at all */
};

static bool hex_number(struct bytes b, uint64_t *ret)
{
	*ret = 0;
	if (b.len < 8 || b.len > 15)
		return false;
	for (size_t i = 0; i < b.len; i++) {
		char c = text_lower_char(b.ptr[i]);

		if (!text_is_digit(c) && (c < 'a' || c > 'f'))
			return false;
		*ret = *ret * 16 + (uint64_t)(text_is_digit(c) ? c - '0' : c - 'a' + 10);
	}
	return true;
}

static bool value_of(struct bytes word, const char *name, struct bytes *ret)
{
	size_t len = strlen(name);

	if (!bytes_starts(word, bytes_of_text(name)) || word.len == len)
		return false;
	*ret = bytes_skip(word, len);
	return true;
}

static bool moment_of(struct bytes word, const char *name, int64_t *ret)
{
	struct bytes value;
	uint64_t number;

	if (!value_of(word, name, &value) || bytes_to_u64(value, INT64_MAX, &number) != OK)
		return false;
	*ret = (int64_t)number;
	return true;
}

static bool state_of(struct bytes word, struct wanted *w)
{
	if (bytes_equal(word, BYTES("state=kept")))
		w->released = false;
	else if (bytes_equal(word, BYTES("state=released")))
		w->kept = false;
	else
		return false;
	return true;
}

static enum result parse(struct job *j, struct wanted *ret, struct why *why)
{
	struct bytes rest = j->ask.admin.subject, word;
	struct wanted w = {.until = INT64_MAX, .kept = true, .released = true};

	while (bytes_cut(&rest, ' ', &word)) {
		if (word.len == 0)
			continue;
		if (state_of(word, &w))
			continue;
		w.any = true;
		if (!hex_number(word, &w.mail) && !judgement_of_id(word, &w.judgement) &&
		    !value_of(word, "check=", &w.check) && !value_of(word, "to=", &w.to) &&
		    !value_of(word, "from=", &w.from) && !moment_of(word, "since=", &w.since) &&
		    !moment_of(word, "until=", &w.until) && !bytes_equal(word, BYTES("all")))
			return why_set(why, INVALID, "%.*s is no id of a refused mail",
			               BYTES_ARG(bytes_first(word, 80)));
	}
	w.to = arena_copy(&j->arena, w.to);
	if (w.to.len)
		text_lower((char *)(uintptr_t)w.to.ptr, w.to.len);
	*ret = w;
	return OK;
}

/* ---- looking ---- */

#define FIND                                                                                      \
	"SELECT e.mail, e.at, e.released_at, e.sender, e.sent_as, e.checks, e.rcpts, e.released," \
	" e.judgement FROM "

static struct db_query *find(struct db *db, const struct wanted *w, uint64_t before)
{
	struct db_query *q;

	if (w->mail) {
		q = db_query(db, FIND "escrow e WHERE e.mail=? AND e.mail<? ORDER BY e.mail DESC");
		db_bind(q, "uu", w->mail, before);
	} else if (w->judgement) {
		q = db_query(db, FIND "escrow e WHERE e.judgement=? AND e.mail<?"
		                      " ORDER BY e.mail DESC");
		db_bind(q, "uu", w->judgement, before);
	} else if (w->to.len) {
		q = db_query(db, FIND "escrow_rcpt r JOIN escrow e ON e.mail=r.mail"
		                      " WHERE r.address=? AND r.mail<? ORDER BY r.mail DESC");
		db_bind(q, "bu", w->to, before);
	} else if (w->check.len) {
		q = db_query(db, FIND "escrow_check c JOIN escrow e ON e.mail=c.mail"
		                      " WHERE c.name=? AND c.mail<? ORDER BY c.mail DESC");
		db_bind(q, "bu", w->check, before);
	} else {
		q = db_query(db, FIND "escrow e WHERE e.mail<? ORDER BY e.mail DESC");
		db_bind(q, "u", before);
	}
	return q;
}

static bool has_word(struct bytes list, struct bytes word)
{
	struct bytes one;

	while (bytes_cut(&list, ' ', &one)) {
		if (bytes_equal(one, word))
			return true;
	}
	return false;
}

static bool fits(const struct wanted *w, struct db_query *q)
{
	int64_t at = db_i64(q, 1);

	if (at < w->since || at > w->until)
		return false;
	if (w->check.len && !has_word(db_bytes(q, 5), w->check))
		return false;
	if (w->from.len && !bytes_equal_nocase(db_bytes(q, 3), w->from) &&
	    !bytes_equal_nocase(db_bytes(q, 4), w->from))
		return false;
	return db_i64(q, 2) ? w->released : w->kept;
}

struct found {
	uint64_t mails[PAGE];
	size_t count;
	uint64_t next; /* 0: that was all */
};

static void look(struct job *j, const struct wanted *w, size_t most, struct found *ret)
{
	uint64_t before = j->ask.admin.number ? j->ask.admin.number : INT64_MAX, mail = 0;
	struct db_query *q = find(j->reader->db, w, before);
	size_t looked = 0;

	*ret = (struct found){0};
	while (db_next(q)) {
		if (ret->count == most || looked++ == LOOKED_AT) {
			ret->next = mail;
			db_end(q);
			break;
		}
		mail = db_u64(q, 0);
		if (fits(w, q))
			ret->mails[ret->count++] = mail;
	}
}

/* ---- rows ---- */

static void set_text(json_t *o, const char *name, struct bytes v)
{
	json_object_set_new(o, name, admin_text(v));
}

static json_t *addresses(struct bytes rcpts, struct bytes released)
{
	json_t *list = json_array();
	struct wire w;

	for (w = wire_of(rcpts); !wire_end(&w) && json_array_size(list) < TOLD;
	     wire_u8(&w), wire_block(&w))
		json_array_append_new(list, admin_text(wire_block(&w)));
	for (w = wire_of(released); !wire_end(&w) && json_array_size(list) < TOLD;)
		json_array_append_new(list, admin_text(wire_block(&w)));
	return list;
}

static json_t *summary_of_mail(struct job *j, uint64_t mail)
{
	struct db_query *q = db_query(j->reader->db, "SELECT summary FROM mail WHERE id=?");
	struct buf text = {0};
	json_t *ret;

	db_bind(q, "u", mail);
	if (db_next(q)) {
		encode_base64(&text, db_bytes(q, 0));
		db_end(q);
	}
	ret = admin_text(buf_bytes(&text));
	buf_done(&text);
	return ret;
}

static json_t *row_of(struct job *j, const struct change_escrow *e)
{
	char id[JUDGEMENT_ID + 1], score[24], ip_text[IP_TEXT];
	json_t *o = json_object();
	struct ip ip;

	judgement_id(e->judgement, id);
	set_text(o, "mail", arena_printf(&j->arena, "%08llX", (unsigned long long)e->mail));
	set_text(o, "id", e->judgement ? bytes_of_text(id) : (struct bytes){0});
	json_object_set_new(o, "time_ms", json_integer(e->at));
	set_text(o, "state",
	         bytes_of_text(e->released_at    ? "released"
	                       : e->released.len ? "partly"
	                                         : "kept"));
	set_text(o, "sender", e->sender);
	set_text(o, "from", e->from);
	json_object_set_new(o, "recipients", addresses(e->rcpts, e->released));
	set_text(o, "checks", e->checks);
	snprintf(score, sizeof(score), "%.2f", e->score ? ((double)e->score - 30000) / 100 : 0.0);
	set_text(o, "score", bytes_of_text(score));
	json_object_set_new(o, "size", json_integer((json_int_t)e->size));
	if (e->ip.len == sizeof(ip)) {
		memcpy(&ip, e->ip.ptr, sizeof(ip));
		ip_format(&ip, ip_text);
		set_text(o, "ip", bytes_of_text(ip_text));
	}
	return o;
}

static json_t *listed_row(struct job *j, const struct change_escrow *e)
{
	json_t *o = row_of(j, e);

	json_object_set_new(o, "summary", summary_of_mail(j, e->mail));
	return o;
}

static json_t *evidence_rows(struct bytes evidence)
{
	struct wire w = wire_of(evidence);
	json_t *list = json_array();
	struct evidence e;

	while (evidence_take(&w, &e)) {
		char points[16];
		json_t *o = json_object();

		snprintf(points, sizeof(points), "%.2f", (double)e.points / 100);
		set_text(o, "check", e.check);
		set_text(o, "says", bytes_of_text(evidence_says_name(e.says)));
		set_text(o, "points", bytes_of_text(points));
		set_text(o, "wants", bytes_of_text(judge_action_name(e.wants)));
		set_text(o, "text", e.text);
		json_array_append_new(list, o);
	}
	return list;
}

static json_t *whole_row(struct store *s, struct job *j, const struct change_escrow *e)
{
	json_t *o = row_of(j, e), *released = json_array();
	struct wire w = wire_of(e->released);
	int64_t keep;

	store_hold(s);
	keep = (int64_t)s->config->escrow_keep_ms;
	store_let(s);
	while (!wire_end(&w) && json_array_size(released) < TOLD)
		json_array_append_new(released, admin_text(wire_block(&w)));
	set_text(o, "helo", e->helo);
	set_text(o, "ptr", e->ptr);
	set_text(o, "proved_domain", e->domain);
	json_object_set_new(o, "known", json_integer(e->known));
	set_text(o, "message_id", e->message_id);
	json_object_set_new(o, "released", released);
	json_object_set_new(o, "released_ms", json_integer(e->released_at));
	set_text(o, "released_by", e->by);
	json_object_set_new(o, "forgotten_ms", json_integer(e->at + keep));
	json_object_set_new(o, "evidence", evidence_rows(e->evidence));
	return o;
}

/* ---- LIST, SHOW, READ ---- */

static enum result page(struct store *s, struct job *j, bool whole, struct why *why)
{
	struct found *f = arena_get(&j->arena, sizeof(*f));
	struct buf rows = {0};
	struct wanted w;

	if (parse(j, &w, why) != OK)
		return INVALID;
	look(j, &w, PAGE, f);
	for (size_t i = 0; i < f->count; i++) {
		struct change_escrow e;

		if (!escrow_read(j->reader->db, &j->arena, f->mails[i], &e))
			continue;
		if (!admin_row(&rows, whole ? whole_row(s, j, &e) : listed_row(j, &e))) {
			f->next = i ? f->mails[i - 1] : 0;
			break;
		}
	}
	j->answer.admin.next = f->next;
	admin_rows_done(j, &rows);
	if (whole && f->count == 0 && j->ask.admin.number == 0)
		return why_set(why, NOT_FOUND, "nothing in escrow is %.*s",
		               BYTES_ARG(bytes_first(j->ask.admin.subject, 80)));
	return db_failed(j->reader->db, why);
}

enum result admin_escrow_list(struct store *s, struct job *j, struct why *why)
{
	return page(s, j, false, why);
}

enum result admin_escrow_show(struct store *s, struct job *j, struct why *why)
{
	return page(s, j, true, why);
}

/* number: an offset, and next the one to go on from. */
enum result admin_escrow_read(struct store *s, struct job *j, struct why *why)
{
	struct found *f = arena_get(&j->arena, sizeof(*f));
	uint64_t offset = j->ask.admin.number, total = 0;
	struct buf chunk = {0}, rows = {0};
	struct wanted w;
	enum result result;

	if (parse(j, &w, why) != OK)
		return INVALID;
	j->ask.admin.number = 0;
	if (w.mail || w.judgement)
		look(j, &w, 1, f);
	if (f->count == 0)
		return why_set(why, NOT_FOUND, "there is no such mail in escrow");
	result = read_mail(s, j->reader, f->mails[0], offset, 24 * 1024, &chunk, &total, why);
	if (result == OK) {
		buf_append_text(&rows, "{\"chunk\":\"");
		encode_base64(&rows, buf_bytes(&chunk));
		buf_append_text(&rows, "\"}\n");
		offset += buf_len(&chunk);
		j->answer.admin.next = offset < total ? offset : 0;
	}
	buf_done(&chunk);
	admin_rows_done(j, &rows);
	return result;
}

/* ---- RELEASE ---- */

static void released_row(struct job *j, struct buf *rows, uint64_t mail, unsigned count)
{
	admin_row(rows,
	          json_pack("{s:o,s:i}", "mail",
	                    admin_text(arena_printf(&j->arena, "%08llX", (unsigned long long)mail)),
	                    "recipients", (int)count));
}

/* The writer: the answer's rows are the numbers that the reader found. */
static enum result run_release(struct store *s, struct job *j, struct why *why)
{
	struct wire w = wire_of(j->answer.admin.rows);
	struct buf rows = {0};

	(void)why;
	while (!wire_end(&w)) {
		uint64_t mail = wire_u64(&w);
		unsigned count = escrow_release(s, j, mail, j->ask.admin.value,
		                                BYTES("the operator"));

		if (count)
			released_row(j, &rows, mail, count);
	}
	admin_rows_done(j, &rows);
	return OK;
}

/* A reader. value: to this recipient only. */
enum result admin_escrow_release(struct store *s, struct job *j, struct why *why)
{
	struct found *f = arena_get(&j->arena, sizeof(*f));
	struct buf out = {0};
	struct wanted w;
	enum result result;

	(void)s;
	if (parse(j, &w, why) != OK)
		return INVALID;
	if (!w.any)
		return why_set(why, INVALID, "say which: all is a word, too");
	look(j, &w, ESCROW_BATCH, f);
	if ((result = db_failed(j->reader->db, why)) != OK)
		return result;
	if (f->count == 0 && j->ask.admin.number == 0 && f->next == 0)
		return why_set(why, NOT_FOUND, "nothing in escrow fits");
	for (size_t i = 0; i < f->count; i++)
		buf_u64(&out, f->mails[i]);
	j->answer.admin.rows = arena_copy(&j->arena, buf_bytes(&out));
	j->answer.admin.next = f->next;
	buf_done(&out);
	j->run = run_release;
	j->urgent = true;
	j->later = true;
	return OK;
}
