/* Reading everything and counting everything: fsck. */
#include <stdarg.h>
#include <stdio.h>

#include "store/internal.h"

struct verify {
	struct store *s;
	bool repair;
	store_complain_function *complain;
	void *context;
	struct store_check *ret;
};

static void complain(struct verify *v, const char *format, ...) PRINTF(2, 3);

static void complain(struct verify *v, const char *format, ...)
{
	char text[400];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (v->complain)
		v->complain(v->context, text);
}

/* Every mail's octets, checksums verified. */
static void check_mails(struct verify *v)
{
	struct db_query *q = db_query(
	        v->s->db, "SELECT id, segment, offset, stored, size FROM mail ORDER BY id");
	struct buf sink = {0};

	db_bind(q, "");
	while (db_next(q)) {
		struct blob_place p = {0};
		struct why why = {0};
		uint64_t size = 0;

		p.segment = (uint32_t)db_u64(q, 1);
		p.offset = db_u64(q, 2);
		p.stored = db_u64(q, 3);
		buf_clear(&sink);
		v->ret->mails++;
		if (blob_read(v->s->log, &v->s->own.blob, &p, 0, SIZE_MAX, &sink, &size, &why) !=
		            OK ||
		    size != db_u64(q, 4) || buf_len(&sink) != size) {
			v->ret->damaged++;
			complain(v, "mail %llu cannot be read: %s",
			         (unsigned long long)db_u64(q, 0),
			         why.text[0] ? why.text : "its length is wrong");
		}
		v->ret->octets += buf_len(&sink);
	}
	buf_done(&sink);
}

static void check_dangling(struct verify *v)
{
	struct db_query *q = db_query(v->s->db,
	                              "SELECT mailbox, uid, mail FROM placement p"
	                              " WHERE NOT EXISTS(SELECT 1 FROM mail WHERE id=p.mail)");

	db_bind(q, "");
	while (db_next(q)) {
		v->ret->dangling++;
		complain(v, "mailbox %llu, uid %llu: its mail is not there",
		         (unsigned long long)db_u64(q, 0), (unsigned long long)db_u64(q, 1));
	}
	q = db_query(v->s->db, "SELECT id FROM entry e"
	                       " WHERE NOT EXISTS(SELECT 1 FROM mail WHERE id=e.mail)");
	db_bind(q, "");
	while (db_next(q)) {
		v->ret->dangling++;
		complain(v, "queue entry %llu: its mail is not there",
		         (unsigned long long)db_u64(q, 0));
	}
	q = db_query(v->s->db, "SELECT mail FROM escrow e"
	                       " WHERE NOT EXISTS(SELECT 1 FROM mail WHERE id=e.mail)");
	db_bind(q, "");
	while (db_next(q)) {
		v->ret->dangling++;
		complain(v, "mail %llu in escrow is not there", (unsigned long long)db_u64(q, 0));
	}
}

/* refs + deviation is what really refers to the mail: too few would lose it one day. The casts give
 * the columns an affinity: without it SQLite cannot look them up and scans them for each mail. */
static void check_references(struct verify *v)
{
	struct db_query *q = db_query(
	        v->s->db, "SELECT m.id, m.refs+COALESCE(r.delta,0), COALESCE(p.n,0)+COALESCE(e.n,0)"
	                  "+EXISTS(SELECT 1 FROM escrow x WHERE x.mail=m.id)"
	                  " FROM mail m LEFT JOIN reference r ON r.mail=m.id"
	                  " LEFT JOIN (SELECT CAST(mail AS INTEGER) mail, COUNT(*) n FROM "
	                  "placement GROUP BY 1) p ON p.mail=m.id"
	                  " LEFT JOIN (SELECT CAST(mail AS INTEGER) mail, COUNT(*) n FROM entry "
	                  "GROUP BY 1) e ON e.mail=m.id");

	db_bind(q, "");
	while (db_next(q)) {
		if (db_i64(q, 1) == db_i64(q, 2))
			continue;
		v->ret->figures++;
		complain(v, "mail %llu: counted %lld times, referred to %lld times",
		         (unsigned long long)db_u64(q, 0), (long long)db_i64(q, 1),
		         (long long)db_i64(q, 2));
	}
}

struct figures {
	uint64_t messages, unseen, deleted, size, uid, modseq;
};

static struct figures count_mailbox(struct store *s, uint64_t id)
{
	struct db_query *q = db_query(
	        s->db, "SELECT COUNT(*), COALESCE(SUM(flags&1=0),0), COALESCE(SUM(flags&8<>0),0),"
	               " COALESCE(SUM(size),0), COALESCE(MAX(uid),0), COALESCE(MAX(modseq),0)"
	               " FROM placement WHERE mailbox=?");
	struct figures f = {0};

	db_bind(q, "u", id);
	if (db_next(q))
		f = (struct figures){db_u64(q, 0), db_u64(q, 1), db_u64(q, 2),
		                     db_u64(q, 3), db_u64(q, 4), db_u64(q, 5)};
	db_end(q);
	return f;
}

static bool figures_right(const struct mailbox_row *r, const struct figures *f)
{
	return r->messages == f->messages && r->unseen == f->unseen && r->deleted == f->deleted &&
	       r->size == f->size && r->uidnext > f->uid && r->modseq >= f->modseq;
}

static enum result put_right(struct store *s, struct job *j, struct why *why)
{
	struct mailbox *m = map_get_u64(&s->mailboxes, j->entry_id);
	struct figures f;
	struct change_mailbox *c;

	(void)why;
	if (!m)
		return OK;
	f = count_mailbox(s, m->id);
	mailbox_change(j, m);
	c = &j->changes[j->change_count - 1].mailbox;
	c->messages = (uint32_t)f.messages;
	c->unseen = (uint32_t)f.unseen;
	c->deleted = (uint32_t)f.deleted;
	c->size = f.size;
	c->uidnext = m->next.uidnext > f.uid ? m->next.uidnext : (uint32_t)f.uid + 1;
	c->modseq = m->next.modseq > f.modseq ? m->next.modseq : f.modseq;
	j->urgent = true;
	return OK;
}

static void check_figures(struct verify *v)
{
	struct map_entry *e;

	for (size_t at = 0; (e = map_each(&v->s->mailboxes, &at));) {
		struct mailbox *m = e->value;
		struct figures f = count_mailbox(v->s, m->id);

		if (figures_right(&m->now, &f))
			continue;
		v->ret->figures++;
		complain(v, "mailbox %.*s of %.*s: its figures are wrong", BYTES_ARG(m->now.name),
		         BYTES_ARG(m->account->now.address));
		if (v->repair) {
			struct job *j = job_new(v->s, put_right);

			j->entry_id = m->id;
			job_put(&v->s->writes, j);
			v->ret->repaired++;
		}
	}
	while (store_write_step(v->s))
		;
}

enum result store_verify(struct store *s, bool repair, store_complain_function *function,
                         void *context, struct store_check *ret, struct why *why)
{
	struct verify v = {s, repair, function, context, ret};

	*ret = (struct store_check){0};
	if (db_check(s->db, why) != OK)
		return DAMAGED;
	check_mails(&v);
	check_dangling(&v);
	check_references(&v);
	check_figures(&v);
	return db_failed(s->db, why);
}
