#include "fake_store.h"

#include "base/limits.h"
#include "base/memory.h"
#include "base/wire.h"
#include "mail/summary.h"

static struct fake_box *find_box(struct fake_store *f, struct bytes name)
{
	for (size_t i = 0; i < f->box_count; i++)
		if (bytes_equal(buf_bytes(&f->boxes[i].name), name))
			return &f->boxes[i];
	return NULL;
}

static struct fake_box *existing(struct fake_store *f, struct bytes name)
{
	struct fake_box *b = find_box(f, name);

	return b && b->exists ? b : NULL;
}

static struct fake_box *box_by_id(struct fake_store *f, uint64_t id)
{
	for (size_t i = 0; i < f->box_count; i++)
		if (f->boxes[i].exists && f->boxes[i].id == id)
			return &f->boxes[i];
	return NULL;
}

/* Boxes are kept in order of name. */
static struct fake_box *add_box(struct fake_store *f, struct bytes name)
{
	size_t at = 0;

	while (at < f->box_count && bytes_compare(buf_bytes(&f->boxes[at].name), name) < 0)
		at++;
	memmove(f->boxes + at + 1, f->boxes + at, (f->box_count - at) * sizeof(f->boxes[0]));
	memset(&f->boxes[at], 0, sizeof(f->boxes[at]));
	f->box_count++;
	buf_append(&f->boxes[at].name, name);
	return &f->boxes[at];
}

static struct fake_box *create(struct fake_store *f, struct bytes name, uint32_t attributes)
{
	struct fake_box *b = find_box(f, name);

	if (!b)
		b = add_box(f, name);
	b->exists = true;
	b->id = ++f->next_id;
	b->attributes = attributes;
	b->uidvalidity = (uint32_t)(1000 + b->id);
	b->uidnext = 1;
	b->modseq = 1;
	return b;
}

struct fake_store *fake_store_new(void)
{
	static const struct {
		const char *name;
		uint32_t attributes;
	} first[] = {
	        {"INBOX", 0},           {"Archive", MAILBOX_ARCHIVE}, {"Drafts", MAILBOX_DRAFTS},
	        {"Junk", MAILBOX_JUNK}, {"Sent", MAILBOX_SENT},       {"Trash", MAILBOX_TRASH}};
	struct fake_store *f = NEW(struct fake_store);

	f->now = 1700000000000;
	for (size_t i = 0; i < sizeof(first) / sizeof(first[0]); i++)
		create(f, bytes_of_text(first[i].name), first[i].attributes)->subscribed = true;
	return f;
}

static void clear_mails(struct fake_box *b)
{
	for (size_t i = 0; i < b->count; i++) {
		buf_done(&b->mails[i].content);
		buf_done(&b->mails[i].summary);
	}
	memory_free(b->mails);
	memory_free(b->gone);
	b->mails = NULL;
	b->gone = NULL;
	b->count = b->gone_count = 0;
	for (unsigned i = 0; i < LIMIT_KEYWORDS; i++)
		buf_done(&b->keywords[i]);
	b->keyword_count = 0;
}

void fake_store_free(struct fake_store **f)
{
	for (size_t i = 0; i < (*f)->box_count; i++) {
		clear_mails(&(*f)->boxes[i]);
		buf_done(&(*f)->boxes[i].name);
	}
	for (size_t i = 0; i < (*f)->spool_count; i++)
		buf_done(&(*f)->spools[i].data);
	memory_free(*f);
	*f = NULL;
}

/* ---- watching ---- */

static void moved(struct fake_store *f, const struct fake_box *b)
{
	for (size_t i = 0; i < f->watch_count; i++)
		if (f->watches[i].mailbox == b->id && b->modseq > f->watches[i].modseq)
			f->watches[i].raised = true;
}

uint64_t fake_store_changed(struct fake_store *f)
{
	for (size_t i = 0; i < f->watch_count; i++) {
		if (f->watches[i].raised) {
			f->watches[i].raised = false;
			return f->watches[i].session;
		}
	}
	return 0;
}

void fake_store_forget(struct fake_store *f, uint64_t session)
{
	for (size_t i = 0; i < f->watch_count; i++)
		if (f->watches[i].session == session)
			f->watches[i--] = f->watches[--f->watch_count];
}

static void watch(struct fake_store *f, const struct ask *a)
{
	struct fake_box *b = box_by_id(f, a->watch.mailbox);

	fake_store_forget(f, a->session);
	if (!b)
		return;
	f->watches[f->watch_count++] = (struct fake_watch){.session = a->session,
	                                                   .mailbox = b->id,
	                                                   .modseq = a->watch.modseq,
	                                                   .raised = b->modseq > a->watch.modseq};
}

/* ---- sets, flags, keywords ---- */

static bool in_set(struct bytes set, uint32_t uid)
{
	struct wire w = wire_of(set);

	while (!wire_end(&w)) {
		uint32_t first = wire_u32(&w), last = wire_u32(&w);

		if (uid >= first && uid <= last)
			return true;
	}
	return false;
}

/* Appends a UID to packed ranges that ascend. */
static void put_uid(struct buf *out, uint32_t uid)
{
	if (buf_len(out) >= 8) {
		struct wire w = wire_of(bytes_skip(buf_bytes(out), buf_len(out) - 4));

		if (wire_u32(&w) + 1 == uid) {
			buf_truncate(out, buf_len(out) - 4);
			buf_u32(out, uid);
			return;
		}
	}
	buf_u32(out, uid);
	buf_u32(out, uid);
}

static uint64_t keyword_bits(struct fake_box *b, struct bytes packed)
{
	struct wire w = wire_of(packed);
	uint64_t bits = 0;

	while (!wire_end(&w)) {
		struct bytes name = wire_block(&w);
		unsigned i = 0;

		while (i < b->keyword_count &&
		       !bytes_equal_nocase(buf_bytes(&b->keywords[i]), name))
			i++;
		if (i == b->keyword_count)
			buf_append(&b->keywords[b->keyword_count++], name);
		bits |= 1ull << (MAIL_KEYWORD_SHIFT + i);
	}
	return bits;
}

static struct bytes take(struct arena *arena, struct buf *b)
{
	struct bytes copy = arena_copy(arena, buf_bytes(b));

	buf_done(b);
	return copy;
}

static struct bytes keyword_table(const struct fake_box *b, struct arena *arena)
{
	struct buf out = {0};

	for (unsigned i = 0; i < b->keyword_count; i++)
		buf_block(&out, buf_bytes(&b->keywords[i]));
	return take(arena, &out);
}

/* ---- mails ---- */

static struct fake_mail *add_mail(struct fake_box *b, struct bytes content, struct bytes summary)
{
	struct fake_mail *m;

	b->mails = memory_resize(b->mails, (b->count + 1) * sizeof(*b->mails));
	m = &b->mails[b->count++];
	memset(m, 0, sizeof(*m));
	m->uid = b->uidnext++;
	buf_append(&m->content, content);
	buf_append(&m->summary, summary);
	return m;
}

static void remove_mail(struct fake_box *b, size_t at)
{
	b->gone = memory_resize(b->gone, (b->gone_count + 1) * sizeof(*b->gone));
	b->gone[b->gone_count++] = (struct fake_gone){b->mails[at].uid, b->modseq};
	buf_done(&b->mails[at].content);
	buf_done(&b->mails[at].summary);
	memmove(b->mails + at, b->mails + at + 1, (--b->count - at) * sizeof(*b->mails));
}

static struct fake_mail *find_mail(struct fake_box *b, uint32_t uid)
{
	for (size_t i = 0; b && i < b->count; i++)
		if (b->mails[i].uid == uid)
			return &b->mails[i];
	return NULL;
}

void fake_store_deliver(struct fake_store *f, const char *name, struct bytes mail, uint64_t flags)
{
	struct fake_box *b = existing(f, bytes_of_text(name));
	struct summary_builder *builder = summary_builder_new();
	struct buf summary = {0};
	struct fake_mail *m;

	summary_builder_feed(builder, mail);
	summary_builder_finish(builder, &summary);
	summary_builder_free(&builder);
	m = add_mail(b, mail, buf_bytes(&summary));
	buf_done(&summary);
	m->flags = flags;
	m->received = f->now;
	m->modseq = ++b->modseq;
	moved(f, b);
}

/* ---- spools ---- */

static struct fake_spool *find_spool(struct fake_store *f, uint64_t session, uint32_t number)
{
	for (size_t i = 0; i < f->spool_count; i++)
		if (f->spools[i].session == session && f->spools[i].number == number)
			return &f->spools[i];
	return NULL;
}

static void drop_spool(struct fake_store *f, struct fake_spool *sp)
{
	if (!sp)
		return;
	buf_done(&sp->data);
	*sp = f->spools[--f->spool_count];
}

static void spool(struct fake_store *f, const struct ask *a)
{
	struct fake_spool *sp = find_spool(f, a->session, a->spool.spool);

	if (!sp) {
		sp = &f->spools[f->spool_count++];
		*sp = (struct fake_spool){.session = a->session, .number = a->spool.spool};
	}
	buf_append(&sp->data, a->spool.chunk);
}

/* ---- answers ---- */

static enum result mailboxes(struct fake_store *f, const struct ask *a, struct answer *r,
                             struct arena *arena)
{
	struct buf out = {0};
	size_t rows = 0;

	for (size_t i = 0; i < f->box_count; i++) {
		const struct fake_box *b = &f->boxes[i];
		struct bytes name = buf_bytes(&b->name);
		uint32_t attributes = b->attributes;

		if ((!b->exists && !b->subscribed) ||
		    (a->mailboxes.after.len && bytes_compare(name, a->mailboxes.after) <= 0))
			continue;
		if (f->page && rows == f->page) {
			r->mailboxes.more = 1;
			break;
		}
		rows++;
		for (size_t n = 0; n < f->box_count; n++) {
			struct bytes below = buf_bytes(&f->boxes[n].name);

			if (f->boxes[n].exists && bytes_starts(below, name) &&
			    below.len > name.len && below.ptr[name.len] == '/')
				attributes |= MAILBOX_CHILDREN;
		}
		if (b->subscribed)
			attributes |= MAILBOX_SUBSCRIBED;
		if (!b->exists)
			attributes |= MAILBOX_NONEXISTENT;
		buf_block(&out, name);
		buf_u64(&out, b->exists ? b->id : 0);
		buf_u32(&out, attributes);
	}
	r->mailboxes.rows = take(arena, &out);
	return OK;
}

static enum result mailbox_create(struct fake_store *f, const struct ask *a, struct answer *r)
{
	struct bytes name = a->mailbox_create.name;

	if (existing(f, name))
		return EXISTS;
	for (size_t i = 0; i < name.len; i++)
		if (name.ptr[i] == '/' && !existing(f, bytes_first(name, i)))
			create(f, bytes_first(name, i), 0);
	r->mailbox_create.mailbox = create(f, name, a->mailbox_create.attributes)->id;
	return OK;
}

static enum result mailbox_delete(struct fake_store *f, const struct ask *a)
{
	struct fake_box *b = existing(f, a->mailbox_delete.name);

	if (!b)
		return NOT_FOUND;
	clear_mails(b);
	b->exists = false;
	return OK;
}

static enum result mailbox_rename(struct fake_store *f, const struct ask *a)
{
	struct fake_box *b = existing(f, a->mailbox_rename.from), *to;
	struct fake_box copy;

	if (!b)
		return NOT_FOUND;
	if (existing(f, a->mailbox_rename.to))
		return EXISTS;
	to = find_box(f, a->mailbox_rename.to);
	if (!to)
		to = add_box(f, a->mailbox_rename.to);
	b = existing(f, a->mailbox_rename.from);
	copy = *to;
	*to = *b;
	*b = copy;
	to->name = copy.name;
	b->name = (struct buf){0};
	buf_append(&b->name, a->mailbox_rename.from);
	b->exists = false;
	return OK;
}

static enum result subscribe(struct fake_store *f, const struct ask *a)
{
	struct fake_box *b = find_box(f, a->subscribe.name);

	if (!b && a->subscribe.on)
		b = add_box(f, a->subscribe.name);
	if (b)
		b->subscribed = a->subscribe.on;
	return OK;
}

static enum result status(struct fake_store *f, const struct ask *a, struct answer *r,
                          struct arena *arena)
{
	const struct fake_box *b = existing(f, a->status.name);

	if (!b)
		return NOT_FOUND;
	r->status.mailbox = b->id;
	r->status.uidvalidity = b->uidvalidity;
	r->status.uidnext = b->uidnext;
	r->status.messages = (uint32_t)b->count;
	r->status.modseq = b->modseq;
	r->status.keywords = keyword_table(b, arena);
	for (size_t i = 0; i < b->count; i++) {
		r->status.size += buf_len(&b->mails[i].content);
		r->status.deleted += (b->mails[i].flags & MAIL_DELETED) != 0;
		if (b->mails[i].flags & MAIL_SEEN)
			continue;
		r->status.unseen++;
		if (!r->status.first_unseen)
			r->status.first_unseen = b->mails[i].uid;
	}
	return OK;
}

static enum result uids(struct fake_store *f, const struct ask *a, struct answer *r,
                        struct arena *arena)
{
	struct fake_box *b = box_by_id(f, a->uids.mailbox);
	struct buf out = {0};
	size_t rows = 0;

	if (!b)
		return NOT_FOUND;
	for (size_t i = 0; i < b->count; i++) {
		if (b->mails[i].uid <= a->uids.after)
			continue;
		if (f->page && rows++ == f->page) {
			r->uids.next = b->mails[i].uid - 1;
			break;
		}
		put_uid(&out, b->mails[i].uid);
	}
	r->uids.ranges = take(arena, &out);
	r->uids.modseq = b->modseq;
	return OK;
}

/* Writes a page of rows; returns what to go on after, or 0. */
static uint32_t rows(struct fake_store *f, struct fake_box *b, const struct bytes *set,
                     uint32_t after, uint64_t since, int kind, struct arena *arena,
                     struct bytes *ret)
{
	struct buf out = {0};
	size_t count = 0;
	uint32_t last = 0, next = 0;

	for (size_t i = 0; i < b->count; i++) {
		const struct fake_mail *m = &b->mails[i];

		if (m->uid <= after || m->modseq <= since || (set && !in_set(*set, m->uid)))
			continue;
		if ((f->page && count == f->page) ||
		    buf_len(&out) + 64 + (kind == 2 ? buf_len(&m->summary) : 0) > LIMIT_LIST) {
			next = last;
			break;
		}
		count++;
		last = m->uid;
		buf_u32(&out, m->uid);
		buf_u64(&out, m->modseq);
		buf_u64(&out, m->flags);
		if (kind == 0)
			continue;
		buf_u64(&out, (uint64_t)m->received);
		buf_u32(&out, (uint32_t)buf_len(&m->content));
		buf_u64(&out, m->uid);
		buf_block(&out, kind == 2 ? buf_bytes(&m->summary) : (struct bytes){0});
	}
	*ret = take(arena, &out);
	return next;
}

static enum result flags(struct fake_store *f, const struct ask *a, struct answer *r,
                         struct arena *arena)
{
	struct fake_box *b = box_by_id(f, a->flags.mailbox);

	if (!b)
		return NOT_FOUND;
	r->flags.next = rows(f, b, &a->flags.set, a->flags.after, a->flags.since, 0, arena,
	                     &r->flags.rows);
	return OK;
}

static enum result summaries(struct fake_store *f, const struct ask *a, struct answer *r,
                             struct arena *arena)
{
	struct fake_box *b = box_by_id(f, a->summaries.mailbox);

	if (!b)
		return NOT_FOUND;
	r->summaries.next = rows(f, b, &a->summaries.set, a->summaries.after, 0,
	                         a->summaries.full ? 2 : 1, arena, &r->summaries.rows);
	return OK;
}

static enum result read_piece(struct fake_store *f, const struct ask *a, struct answer *r,
                              struct arena *arena)
{
	const struct fake_mail *m = find_mail(box_by_id(f, a->read.mailbox), a->read.uid);

	if (!m)
		return NOT_FOUND;
	r->read.total = buf_len(&m->content);
	r->read.chunk = arena_copy(
	        arena,
	        bytes_first(bytes_skip(buf_bytes(&m->content), a->read.offset), a->read.len));
	return OK;
}

static enum result read_many(struct fake_store *f, const struct ask *a, struct answer *r,
                             struct arena *arena)
{
	struct wire w = wire_of(a->read_many.pieces);
	struct buf out = {0};

	while (!wire_end(&w)) {
		uint32_t uid = wire_u32(&w);
		uint64_t offset = wire_u64(&w);
		uint32_t len = wire_u32(&w);
		const struct fake_mail *m = find_mail(box_by_id(f, a->read_many.mailbox), uid);
		struct bytes chunk = {0};

		if (m)
			chunk = bytes_first(bytes_skip(buf_bytes(&m->content), offset), len);
		if (buf_len(&out) && (buf_len(&out) + 5 + len > LIMIT_LIST || f->page))
			break;
		buf_u8(&out, m ? OK : NOT_FOUND);
		buf_block(&out, chunk);
	}
	r->read_many.rows = take(arena, &out);
	return OK;
}

static enum result changes(struct fake_store *f, const struct ask *a, struct answer *r,
                           struct arena *arena)
{
	struct fake_box *b = box_by_id(f, a->changes.mailbox);
	struct buf vanished = {0};

	if (!b)
		return NOT_FOUND;
	if (!a->changes.after) {
		for (uint32_t uid = 1; uid < b->uidnext; uid++)
			for (size_t i = 0; i < b->gone_count; i++)
				if (b->gone[i].uid == uid && b->gone[i].modseq > a->changes.since)
					put_uid(&vanished, uid);
		r->changes.keywords = keyword_table(b, arena);
	}
	r->changes.vanished = take(arena, &vanished);
	r->changes.next = rows(f, b, NULL, a->changes.after, a->changes.since, 0, arena,
	                       &r->changes.rows);
	r->changes.modseq = b->modseq;
	return OK;
}

static uint64_t new_flags(uint64_t old, uint64_t given, uint8_t mode)
{
	if (mode == FLAGS_ADD)
		return old | given;
	return mode == FLAGS_REMOVE ? old & ~given : given;
}

static enum result flags_set(struct fake_store *f, const struct ask *a, struct answer *r,
                             struct arena *arena)
{
	struct fake_box *b = box_by_id(f, a->flags_set.mailbox);
	struct buf refused = {0};
	uint64_t given;
	bool any = false;

	if (!b)
		return NOT_FOUND;
	given = a->flags_set.flags | keyword_bits(b, a->flags_set.keywords);
	for (size_t i = 0; i < b->count; i++) {
		struct fake_mail *m = &b->mails[i];
		uint64_t new;

		if (!in_set(a->flags_set.set, m->uid))
			continue;
		if (m->modseq > a->flags_set.unchanged_since) {
			put_uid(&refused, m->uid);
			continue;
		}
		new = new_flags(m->flags, given, a->flags_set.mode);
		if (new == m->flags)
			continue;
		m->flags = new;
		m->modseq = b->modseq + 1;
		any = true;
	}
	r->flags_set.before = b->modseq;
	b->modseq += any;
	r->flags_set.modseq = b->modseq;
	r->flags_set.refused = take(arena, &refused);
	r->flags_set.table = keyword_table(b, arena);
	moved(f, b);
	return OK;
}

static enum result expunge(struct fake_store *f, const struct ask *a, struct answer *r)
{
	struct fake_box *b = box_by_id(f, a->expunge.mailbox);

	if (!b)
		return NOT_FOUND;
	b->modseq++;
	for (size_t i = 0; i < b->count;) {
		if (!(b->mails[i].flags & MAIL_DELETED) ||
		    (a->expunge.set.len && !in_set(a->expunge.set, b->mails[i].uid))) {
			i++;
			continue;
		}
		remove_mail(b, i);
		r->expunge.count++;
	}
	r->expunge.modseq = b->modseq;
	moved(f, b);
	return OK;
}

static enum result append(struct fake_store *f, const struct ask *a, struct answer *r)
{
	struct fake_spool *sp = find_spool(f, a->session, a->append.spool);
	struct fake_box *b = existing(f, a->append.name);
	struct fake_mail *m;

	if (!b || !sp)
		return NOT_FOUND;
	m = add_mail(b, buf_bytes(&sp->data), a->append.summary);
	m->flags = a->append.flags | keyword_bits(b, a->append.keywords);
	m->received = a->append.received ? a->append.received : f->now;
	m->modseq = ++b->modseq;
	r->append.uidvalidity = b->uidvalidity;
	r->append.uid = m->uid;
	drop_spool(f, sp);
	moved(f, b);
	return OK;
}

static enum result copy(struct fake_store *f, const struct ask *a, struct answer *r,
                        struct arena *arena)
{
	struct fake_box *b = box_by_id(f, a->copy.mailbox), *to = existing(f, a->copy.name);
	struct buf from = {0}, fresh = {0};
	size_t count;

	if (!b || !to)
		return NOT_FOUND;
	to->modseq++;
	count = b->count;
	for (size_t i = 0, left = count; left; left--) {
		struct fake_mail *m = &b->mails[i], *made;
		struct fake_mail old = *m;
		uint64_t keywords = 0;

		if (!in_set(a->copy.set, m->uid)) {
			i++;
			continue;
		}
		for (unsigned k = 0; k < b->keyword_count; k++) {
			struct buf one = {0};

			if (!(old.flags & 1ull << (MAIL_KEYWORD_SHIFT + k)))
				continue;
			buf_block(&one, buf_bytes(&b->keywords[k]));
			keywords |= keyword_bits(to, buf_bytes(&one));
			buf_done(&one);
		}
		made = add_mail(to, buf_bytes(&old.content), buf_bytes(&old.summary));
		made->flags = (old.flags & 0xff) | keywords;
		made->received = old.received;
		made->modseq = to->modseq;
		put_uid(&from, old.uid);
		put_uid(&fresh, made->uid);
		if (a->copy.move)
			remove_mail(b, i);
		else
			i++;
	}
	if (a->copy.move && b != to) {
		b->modseq++;
		for (size_t i = 0; i < b->gone_count; i++)
			if (in_set(buf_bytes(&from), b->gone[i].uid))
				b->gone[i].modseq = b->modseq;
	}
	r->copy.uidvalidity = to->uidvalidity;
	r->copy.from = take(arena, &from);
	r->copy.to = take(arena, &fresh);
	r->copy.modseq = b->modseq;
	moved(f, b);
	moved(f, to);
	return OK;
}

static enum result login(const struct ask *a, struct answer *r)
{
	if (!bytes_equal(a->login.password, BYTES("secret")))
		return DENIED;
	r->login.account = 1;
	r->login.address = a->login.user;
	return OK;
}

static enum result dispatch(struct fake_store *f, const struct ask *a, struct answer *r,
                            struct arena *arena)
{
	switch (a->kind) {
	case ASK_MAILBOXES: return mailboxes(f, a, r, arena);
	case ASK_MAILBOX_CREATE: return mailbox_create(f, a, r);
	case ASK_MAILBOX_DELETE: return mailbox_delete(f, a);
	case ASK_MAILBOX_RENAME: return mailbox_rename(f, a);
	case ASK_SUBSCRIBE: return subscribe(f, a);
	case ASK_STATUS: return status(f, a, r, arena);
	case ASK_WATCH: watch(f, a); return OK;
	case ASK_UIDS: return uids(f, a, r, arena);
	case ASK_FLAGS: return flags(f, a, r, arena);
	case ASK_SUMMARIES: return summaries(f, a, r, arena);
	case ASK_READ: return read_piece(f, a, r, arena);
	case ASK_READ_MANY: return read_many(f, a, r, arena);
	case ASK_CHANGES: return changes(f, a, r, arena);
	case ASK_FLAGS_SET: return flags_set(f, a, r, arena);
	case ASK_EXPUNGE: return expunge(f, a, r);
	case ASK_APPEND: return append(f, a, r);
	case ASK_COPY: return copy(f, a, r, arena);
	case ASK_SPOOL: spool(f, a); return OK;
	case ASK_SPOOL_DROP:
		drop_spool(f, find_spool(f, a->session, a->spool_drop.spool));
		return OK;
	case ASK_COMMITTED: return NOT_FOUND;
	case ASK_LOGIN: return login(a, r);
	case ASK_NOTE: return OK;
	default: return UNAVAILABLE;
	}
}

struct answer fake_store_answer(struct fake_store *f, const struct ask *a, struct arena *arena)
{
	struct answer r = answer_to(a, OK, (struct bytes){0});

	f->asked[a->kind]++;
	if (f->lost_count && f->lost == a->kind) {
		f->lost_count--;
		r.result = f->result;
		return r;
	}
	r.result = dispatch(f, a, &r, arena);
	return r;
}
