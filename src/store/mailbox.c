/* Mailboxes as names: list, create, delete, rename, subscribe, figures. What changes names ends its
 * group, so that the next job finds them by name. */
#include <stdlib.h>

#include "base/text.h"
#include "store/internal.h"

static const struct {
	const char *name;
	uint32_t attributes;
} first_mailboxes[] = {
        {"INBOX", 0},           {"Drafts", MAILBOX_DRAFTS}, {"Sent", MAILBOX_SENT},
        {"Junk", MAILBOX_JUNK}, {"Trash", MAILBOX_TRASH},   {"Archive", MAILBOX_ARCHIVE},
};

enum { FIRST_MAILBOXES = sizeof(first_mailboxes) / sizeof(*first_mailboxes) };
enum { SPECIAL_USES = 0x7f00 };

/* ---- names ---- */

static bool name_valid(struct bytes name)
{
	if (name.len == 0 || name.len > LIMIT_MAILBOX_NAME || !text_is_utf8(name))
		return false;
	if (name.ptr[0] == '/' || name.ptr[name.len - 1] == '/' ||
	    bytes_find(name, BYTES("//")) != BYTES_NONE)
		return false;
	for (size_t i = 0; i < name.len; i++) {
		if ((unsigned char)name.ptr[i] < 0x20 || name.ptr[i] == 0x7f)
			return false;
	}
	return true;
}

static bool is_inbox(struct bytes name)
{
	return bytes_equal_nocase(name, BYTES("INBOX"));
}

/* INBOX in any case, also as the first part of a name (RFC 9051, 5.1). */
static struct bytes tidy_name(struct arena *arena, struct bytes name)
{
	if (name.len >= 5 && is_inbox(bytes_first(name, 5)) &&
	    (name.len == 5 || name.ptr[5] == '/'))
		return arena_printf(arena, "INBOX%.*s", BYTES_ARG(bytes_skip(name, 5)));
	return name;
}

static bool below(struct bytes name, struct bytes parent)
{
	return name.len > parent.len && bytes_starts(name, parent) && name.ptr[parent.len] == '/';
}

static bool has_children(const struct account *a, struct bytes name)
{
	for (size_t i = 0; i < a->mailbox_count; i++) {
		if (below(a->mailboxes[i]->now.name, name))
			return true;
	}
	return false;
}

/* ---- making effects ---- */

void mailbox_change(struct job *j, const struct mailbox *m)
{
	const struct mailbox_row *r = &m->next;
	struct change *c = job_change(j, CHANGE_MAILBOX);

	c->mailbox = (struct change_mailbox){.id = m->id,
	                                     .account = m->account->id,
	                                     .name = r->name,
	                                     .attributes = r->attributes,
	                                     .uidvalidity = r->uidvalidity,
	                                     .uidnext = r->uidnext,
	                                     .modseq = r->modseq,
	                                     .messages = r->messages,
	                                     .unseen = r->unseen,
	                                     .deleted = r->deleted,
	                                     .size = r->size,
	                                     .keywords = r->keywords,
	                                     .floor = r->floor};
}

/* UIDVALIDITY only grows, over all mailboxes, also over a store that was made anew. */
static uint64_t new_mailbox(struct store *s, struct job *j, uint64_t account, struct bytes name,
                            uint32_t attributes)
{
	uint32_t validity = s->counters.uidvalidity, clock = (uint32_t)(j->now / 1000);
	uint64_t id = s->counters.mailbox + j->fresh;
	struct change *c = job_change(j, CHANGE_MAILBOX);

	c->mailbox = (struct change_mailbox){.id = id,
	                                     .account = account,
	                                     .name = name,
	                                     .attributes = attributes,
	                                     .uidvalidity = (validity > clock ? validity : clock) +
	                                                    j->fresh,
	                                     .uidnext = 1,
	                                     .modseq = 1};
	j->fresh++;
	return id;
}

void mailboxes_first(struct store *s, struct job *j, uint64_t account)
{
	for (size_t i = 0; i < FIRST_MAILBOXES; i++) {
		struct bytes name = bytes_of_text(first_mailboxes[i].name);
		struct change *c;

		new_mailbox(s, j, account, name, first_mailboxes[i].attributes);
		c = job_change(j, CHANGE_SUBSCRIPTION);
		c->subscription = (struct change_subscription){account, name, 1};
	}
}

static void make_parents(struct store *s, struct job *j, struct bytes name)
{
	for (size_t i = 1; i < name.len; i++) {
		if (name.ptr[i] == '/' && !mailbox_by_name(j->account, bytes_first(name, i)))
			new_mailbox(s, j, j->account->id, bytes_first(name, i), 0);
	}
}

/* Is this job making a mailbox of this name already? */
static bool born_in_job(const struct job *j, uint64_t account, struct bytes name)
{
	for (size_t i = 0; i < j->change_count; i++) {
		const struct change *c = &j->changes[i];

		if (c->kind == CHANGE_MAILBOX && c->mailbox.account == account &&
		    bytes_equal(c->mailbox.name, name))
			return true;
	}
	return false;
}

uint64_t mailbox_for_delivery(struct store *s, struct job *j, const struct account *a,
                              struct bytes name)
{
	struct change *c;

	name = tidy_name(&j->arena, name);
	if (!name_valid(name) || born_in_job(j, a->id, name))
		return 0;
	j->alone = true;
	for (size_t i = 1; i < name.len; i++) {
		struct bytes parent = bytes_first(name, i);

		if (name.ptr[i] == '/' && !mailbox_by_name(a, parent) &&
		    !born_in_job(j, a->id, parent))
			new_mailbox(s, j, a->id, parent, 0);
	}
	c = job_change(j, CHANGE_SUBSCRIPTION);
	c->subscription = (struct change_subscription){a->id, name, 1};
	return new_mailbox(s, j, a->id, name, 0);
}

/* ---- CREATE, DELETE, RENAME ---- */

enum result run_mailbox_create(struct store *s, struct job *j, struct why *why)
{
	const struct ask_mailbox_create *a = &j->ask.mailbox_create;
	struct bytes name = tidy_name(&j->arena, a->name);

	j->alone = true;
	if (!name_valid(name))
		return why_set(why, INVALID, "a mailbox cannot have this name");
	if (mailbox_by_name(j->account, name))
		return why_set(why, EXISTS, "there is a mailbox of this name");
	make_parents(s, j, name);
	j->answer.mailbox_create.mailbox = new_mailbox(s, j, j->account->id, name,
	                                               a->attributes & SPECIAL_USES);
	return OK;
}

enum result run_mailbox_delete(struct store *s, struct job *j, struct why *why)
{
	struct bytes name = tidy_name(&j->arena, j->ask.mailbox_delete.name);
	struct mailbox *m = mailbox_by_name(j->account, name);
	struct change *c;

	(void)s;
	j->alone = true;
	j->urgent = true;
	if (is_inbox(name))
		return why_set(why, DENIED, "INBOX cannot be deleted");
	if (!m && has_children(j->account, name))
		return why_set(why, DENIED, "the mailbox has mailboxes below it");
	if (!m)
		return why_set(why, NOT_FOUND, "there is no mailbox of this name");
	c = job_change(j, CHANGE_MAILBOX_GONE);
	c->mailbox_gone.id = m->id;
	return OK;
}

static enum result rename_inbox(struct store *s, struct job *j, struct bytes to, struct why *why)
{
	struct mailbox *m = mailbox_by_name(j->account, BYTES("INBOX"));
	struct view *v = view_for_change(s, j, m);
	struct gather g = {0};
	uint64_t id;

	if (!v)
		return UNAVAILABLE;
	if (mailbox_by_name(j->account, to))
		return why_set(why, EXISTS, "there is a mailbox of this name");
	make_parents(s, j, to);
	id = new_mailbox(s, j, j->account->id, to, 0);
	j->changes[j->change_count - 1].mailbox.keywords = m->next.keywords;
	for (size_t i = 0; i < v->count; i++)
		gather_add(&g, v, i);
	gather_end(&g, v);
	places_change(j, v, buf_bytes(&g.out), id, 1, 2, false, NULL);
	expunge_change(j, m, v, arena_copy(&j->arena, buf_bytes(&g.out)), true);
	buf_done(&g.out);
	return OK;
}

static void rename_one(struct job *j, struct mailbox *m, struct bytes from, struct bytes to)
{
	struct bytes rest = bytes_skip(m->now.name, from.len);

	mailbox_change(j, m);
	j->changes[j->change_count - 1].mailbox.name = arena_printf(&j->arena, "%.*s%.*s",
	                                                            BYTES_ARG(to), BYTES_ARG(rest));
}

enum result run_mailbox_rename(struct store *s, struct job *j, struct why *why)
{
	struct bytes from = tidy_name(&j->arena, j->ask.mailbox_rename.from);
	struct bytes to = tidy_name(&j->arena, j->ask.mailbox_rename.to);
	struct account *a = j->account;
	struct mailbox *m = mailbox_by_name(a, from);

	j->alone = true;
	if (!name_valid(to))
		return why_set(why, INVALID, "a mailbox cannot have this name");
	if (is_inbox(from))
		return rename_inbox(s, j, to, why);
	if (!m && !has_children(a, from))
		return why_set(why, NOT_FOUND, "there is no mailbox of this name");
	if (mailbox_by_name(a, to))
		return why_set(why, EXISTS, "there is a mailbox of this name");
	if (below(to, from))
		return why_set(why, INVALID, "a mailbox cannot go below itself");
	for (size_t i = 0; i < a->mailbox_count; i++) {
		struct bytes name = a->mailboxes[i]->now.name;

		if (below(name, from) && name.len - from.len + to.len > LIMIT_MAILBOX_NAME)
			return why_set(why, INVALID, "a name below it would be too long");
	}
	make_parents(s, j, to);
	for (size_t i = 0; i < a->mailbox_count; i++) {
		struct bytes name = a->mailboxes[i]->now.name;

		if (a->mailboxes[i] == m || below(name, from))
			rename_one(j, a->mailboxes[i], from, to);
	}
	return OK;
}

enum result run_subscribe(struct store *s, struct job *j, struct why *why)
{
	const struct ask_subscribe *a = &j->ask.subscribe;
	struct bytes name = tidy_name(&j->arena, a->name);
	struct change *c;

	(void)s;
	j->alone = true;
	j->urgent = true;
	if (!name_valid(name))
		return why_set(why, INVALID, "a mailbox cannot have this name");
	if (subscribed(j->account, name) == (a->on != 0))
		return OK;
	c = job_change(j, CHANGE_SUBSCRIPTION);
	c->subscription = (struct change_subscription){j->account->id, name, a->on != 0};
	return OK;
}

/* ---- MAILBOXES ---- */

static int compare_names(const void *a, const void *b)
{
	return bytes_compare(*(const struct bytes *)a, *(const struct bytes *)b);
}

/* Every name to be listed: mailboxes, their missing parents, subscriptions; sorted, some twice. */
static size_t all_names(struct job *j, struct bytes **ret)
{
	const struct account *a = j->account;
	size_t room = a->mailbox_count + a->subscription_count, count = 0;

	for (size_t i = 0; i < a->mailbox_count; i++) {
		for (size_t k = 0; k < a->mailboxes[i]->now.name.len; k++)
			room += a->mailboxes[i]->now.name.ptr[k] == '/';
	}
	*ret = arena_get(&j->arena, (room + 1) * sizeof(**ret));
	for (size_t i = 0; i < a->mailbox_count; i++) {
		struct bytes name = a->mailboxes[i]->now.name;

		(*ret)[count++] = name;
		for (size_t k = 1; k < name.len; k++) {
			if (name.ptr[k] == '/')
				(*ret)[count++] = bytes_first(name, k);
		}
	}
	for (size_t i = 0; i < a->subscription_count; i++)
		(*ret)[count++] = a->subscriptions[i];
	qsort(*ret, count, sizeof(**ret), compare_names);
	return count;
}

static void list_row(struct job *j, struct bytes name, struct buf *out)
{
	const struct account *a = j->account;
	struct mailbox *m = mailbox_by_name(a, name);
	bool children = has_children(a, name);
	uint32_t attributes = m          ? m->now.attributes
	                      : children ? MAILBOX_NOSELECT
	                                 : MAILBOX_NONEXISTENT;

	if (subscribed(a, name))
		attributes |= MAILBOX_SUBSCRIBED;
	if (children)
		attributes |= MAILBOX_CHILDREN;
	buf_block(out, name);
	buf_u64(out, m ? m->id : 0);
	buf_u32(out, attributes);
}

enum result run_mailboxes(struct store *s, struct job *j, struct why *why)
{
	struct bytes *names, after = j->ask.mailboxes.after;
	size_t count = all_names(j, &names);
	struct buf rows = {0};

	(void)s;
	(void)why;
	for (size_t i = 0; i < count; i++) {
		if (after.len && bytes_compare(names[i], after) <= 0)
			continue;
		if (i && bytes_equal(names[i], names[i - 1]))
			continue;
		if (buf_len(&rows) + names[i].len + 16 > LIMIT_LIST) {
			j->answer.mailboxes.more = 1;
			break;
		}
		list_row(j, names[i], &rows);
	}
	j->answer.mailboxes.rows = arena_copy(&j->arena, buf_bytes(&rows));
	buf_done(&rows);
	return OK;
}

/* ---- STATUS ---- */

static void fill_status(struct job *j, const struct mailbox *m, uint32_t first_unseen)
{
	const struct mailbox_row *r = &m->now;

	j->answer.status = (struct answer_status){.mailbox = m->id,
	                                          .uidvalidity = r->uidvalidity,
	                                          .uidnext = r->uidnext,
	                                          .messages = r->messages,
	                                          .unseen = r->unseen,
	                                          .deleted = r->deleted,
	                                          .first_unseen = first_unseen,
	                                          .size = r->size,
	                                          .modseq = r->modseq,
	                                          .keywords = arena_copy(&j->arena, r->keywords)};
}

static uint32_t find_unseen(struct reader *r, uint64_t mailbox)
{
	struct db_query *q = db_query(r->db, "SELECT uid FROM placement WHERE mailbox=?"
	                                     " AND flags&1=0 ORDER BY uid LIMIT 1");
	uint32_t uid = 0;

	db_bind(q, "u", mailbox);
	if (db_next(q))
		uid = (uint32_t)db_u64(q, 0);
	db_end(q);
	return uid;
}

/* On a reader's thread: the view is not loaded, and the first unseen mail has to be looked for. */
static enum result status_read(struct store *s, struct job *j, struct why *why)
{
	uint64_t id = j->answer.status.mailbox;
	uint32_t uid = find_unseen(j->reader, id);
	struct mailbox *m;

	store_hold(s);
	m = mailbox_by_id(s, id);
	if (m)
		fill_status(j, m, uid);
	store_let(s);
	return m ? OK : why_set(why, NOT_FOUND, "there is no mailbox of this name");
}

enum result run_status(struct store *s, struct job *j, struct why *why)
{
	struct mailbox *m = mailbox_by_name(j->account, tidy_name(&j->arena, j->ask.status.name));

	if (!m)
		return why_set(why, NOT_FOUND, "there is no mailbox of this name");
	fill_status(j, m, 0);
	if (m->view) {
		j->answer.status.first_unseen = m->now.unseen ? view_first_unseen(m->view) : 0;
		m->view->used = ++s->view_clock;
	} else if (m->now.unseen) {
		j->later = true;
		j->run = status_read;
		job_put(&s->reads, j);
	}
	return OK;
}

enum result run_mailbox_limits(struct store *s, struct job *j, struct why *why)
{
	(void)s;
	(void)why;
	j->answer.mailbox_limits.used = j->account->now.used;
	j->answer.mailbox_limits.limit = j->account->now.quota;
	return OK;
}
