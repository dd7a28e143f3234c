#include "model.h"

#include <stdio.h>

const char *const box_names[BOXES] = {"INBOX", "Junk", "Archive", "A", "B", "C"};
const char *const recipient_names[RECIPIENTS] = {"a0@example.test", "a1@example.test",
                                                 "list@example.test"};
const char *const keyword_names[3] = {"$Forwarded", "work", "Later"};

const char *op_name(enum op_kind kind)
{
	static const char *const names[OP_KINDS] = {
	        "COMMIT", "APPEND", "FLAGS",  "EXPUNGE", "COPY",  "CREATE", "DELETE",
	        "RENAME", "SORTED", "ESCROW", "RELEASE", "IMAGE", "SWEEP"};

	return names[kind];
}

/* ---- applying ---- */

static void mail_add(struct model_box *b, struct model_mail mail)
{
	if (b->count < MAILS)
		b->mails[b->count++] = mail;
}

static void mail_remove(struct model_box *b, unsigned at)
{
	memmove(&b->mails[at], &b->mails[at + 1], (--b->count - at) * sizeof(b->mails[0]));
}

static bool has_uid(const struct op *o, uint32_t uid)
{
	for (unsigned i = 0; i < o->uid_count; i++)
		if (uid && o->uids[i] == uid)
			return true;
	return false;
}

static void entry_add(struct model *m, uint32_t tag, unsigned recipient, bool junk)
{
	if (m->entry_count < ENTRIES)
		m->entries[m->entry_count++] = (struct model_entry){tag, recipient, junk};
}

static bool entry_remove(struct model *m, uint32_t tag, unsigned recipient, bool *ret_junk)
{
	for (unsigned i = 0; i < m->entry_count; i++)
		if (m->entries[i].tag == tag && m->entries[i].recipient == recipient) {
			*ret_junk = m->entries[i].junk;
			m->entries[i] = m->entries[--m->entry_count];
			return true;
		}
	return false;
}

/* Once for each account, however often it is reached. */
static void deliver(struct model *m, unsigned account, unsigned box, uint32_t tag, uint8_t flags)
{
	if (m->delivered[tag] & (1u << account))
		return;
	m->delivered[tag] |= (uint8_t)(1u << account);
	if (!m->boxes[account][box].exists)
		box = BOX_INBOX;
	mail_add(&m->boxes[account][box], (struct model_mail){.tag = tag, .flags = flags});
}

static void apply_commit(struct model *m, const struct op *o)
{
	if (o->recipients & 1)
		deliver(m, 0, o->junk ? BOX_JUNK : BOX_INBOX, o->tag, 0);
	if (o->recipients & 2)
		entry_add(m, o->tag, 1, o->junk);
	if (o->recipients & 4)
		entry_add(m, o->tag, LIST, o->junk);
}

static void apply_escrow(struct model *m, const struct op *o)
{
	if (m->escrow_count < ESCROWS)
		m->escrow[m->escrow_count++] = (struct model_escrow){o->tag, o->recipients};
}

/* Only to whom it was not released before. */
static void apply_release(struct model *m, const struct op *o)
{
	for (unsigned i = 0; i < m->escrow_count; i++) {
		struct op given = *o;

		if (m->escrow[i].tag != o->tag)
			continue;
		given.recipients = o->recipients & m->escrow[i].recipients;
		given.junk = false;
		apply_commit(m, &given);
		m->escrow[i].recipients &= ~given.recipients;
	}
}

static void apply_flags(struct model_box *b, const struct op *o)
{
	for (unsigned i = 0; i < b->count; i++) {
		struct model_mail *mail = &b->mails[i];

		if (!has_uid(o, mail->uid))
			continue;
		if (o->mode == FLAGS_REPLACE) {
			mail->flags = o->flags;
			mail->keywords = o->keywords;
		} else if (o->mode == FLAGS_ADD) {
			mail->flags |= o->flags;
			mail->keywords |= o->keywords;
		} else {
			mail->flags &= (uint8_t)~o->flags;
			mail->keywords &= (uint8_t)~o->keywords;
		}
	}
}

static void apply_expunge(struct model_box *b, const struct op *o)
{
	for (unsigned i = b->count; i--;)
		if (b->mails[i].flags & MAIL_DELETED &&
		    (!o->uid_count || has_uid(o, b->mails[i].uid)))
			mail_remove(b, i);
}

static uint32_t copied_uid(const struct op *o, uint32_t uid)
{
	for (unsigned i = 0; i < o->copied_count; i++)
		if (o->from[i] == uid)
			return o->copied[i];
	return 0;
}

static void apply_copy(struct model *m, const struct op *o)
{
	struct model_box *from = &m->boxes[o->account][o->box], *to = &m->boxes[o->account][o->to];
	unsigned count = from->count;

	for (unsigned i = 0; i < count; i++)
		if (has_uid(o, from->mails[i].uid)) {
			struct model_mail copy = from->mails[i];

			copy.uid = copied_uid(o, copy.uid);
			mail_add(to, copy);
		}
	for (unsigned i = count; o->move && i--;)
		if (has_uid(o, from->mails[i].uid))
			mail_remove(from, i);
}

static void apply_sorted(struct model *m, const struct op *o)
{
	bool junk;

	if (o->way == WAY_DEFER || !entry_remove(m, o->tag, o->recipient, &junk))
		return;
	if (o->way == WAY_PLACE)
		deliver(m, o->recipient, junk && o->to == BOX_INBOX ? BOX_JUNK : o->to, o->tag,
		        o->flags);
	if (o->way == WAY_REDIRECT) {
		deliver(m, 0, junk ? BOX_JUNK : BOX_INBOX, o->tag, 0);
		entry_add(m, o->tag, 1, junk);
	}
}

void model_apply(struct model *m, const struct op *o)
{
	struct model_box *b = &m->boxes[o->account][o->box];

	switch (o->kind) {
	case OP_COMMIT: apply_commit(m, o); break;
	case OP_APPEND:
		mail_add(b, (struct model_mail){o->tag, o->uid, o->flags, o->keywords});
		break;
	case OP_FLAGS: apply_flags(b, o); break;
	case OP_EXPUNGE: apply_expunge(b, o); break;
	case OP_COPY: apply_copy(m, o); break;
	case OP_CREATE: *b = (struct model_box){.exists = true}; break;
	case OP_DELETE: *b = (struct model_box){0}; break;
	case OP_RENAME:
		m->boxes[o->account][o->to] = *b;
		*b = (struct model_box){0};
		break;
	case OP_SORTED: apply_sorted(m, o); break;
	case OP_ESCROW: apply_escrow(m, o); break;
	case OP_RELEASE: apply_release(m, o); break;
	default: break;
	}
}

/* ---- comparing ---- */

static bool same_but_uid(const struct model_mail *a, const struct model_mail *b)
{
	return a->tag == b->tag && a->flags == b->flags && a->keywords == b->keywords;
}

/* The seen mail of this UID that nobody has matched yet. */
static int seen_find(const struct seen_box *seen, const bool *used, const struct model_mail *mail)
{
	for (unsigned i = 0; i < seen->count; i++)
		if (!used[i] && (mail->uid ? seen->mails[i].uid == mail->uid
		                           : same_but_uid(&seen->mails[i], mail)))
			return (int)i;
	return -1;
}

static bool mail_fits(const struct seen_box *seen, bool *used, struct model_mail *mail,
                      uint32_t high, const char *where, struct why *why)
{
	int at = seen_find(seen, used, mail);

	if (at < 0) {
		why_set(why, FAILED, "%s: mail %u (uid %u, flags %x, keywords %x) is missing",
		        where, mail->tag, mail->uid, mail->flags, mail->keywords);
		return false;
	}
	used[at] = true;
	if (!same_but_uid(&seen->mails[at], mail)) {
		why_set(why, FAILED,
		        "%s uid %u: is mail %u flags %x keywords %x, should be mail %u flags %x "
		        "keywords %x",
		        where, mail->uid, seen->mails[at].tag, seen->mails[at].flags,
		        seen->mails[at].keywords, mail->tag, mail->flags, mail->keywords);
		return false;
	}
	if (!mail->uid && seen->mails[at].uid <= high) {
		why_set(why, FAILED, "%s: the new mail %u has uid %u, which was used up to %u",
		        where, mail->tag, seen->mails[at].uid, high);
		return false;
	}
	mail->uid = seen->mails[at].uid;
	return true;
}

static bool box_fits(struct model_box *b, const struct seen_box *seen, const char *where,
                     struct why *why)
{
	bool used[MAILS] = {0}, known[MAILS];

	for (unsigned i = 0; i < b->count; i++)
		known[i] = b->mails[i].uid != 0;
	if (b->exists != seen->exists) {
		why_set(why, FAILED, "%s is %sthere", where, seen->exists ? "" : "not ");
		return false;
	}
	for (unsigned pass = 0; pass < 2; pass++) /* known UIDs first */
		for (unsigned i = 0; i < b->count; i++)
			if (known[i] == !pass &&
			    !mail_fits(seen, used, &b->mails[i], b->high, where, why))
				return false;
	if (seen->count != b->count) {
		why_set(why, FAILED, "%s has %u mails, should have %u", where, seen->count,
		        b->count);
		return false;
	}
	return true;
}

static bool entries_fit(const struct model *m, const struct seen *seen, struct why *why)
{
	struct model rest = {.entry_count = m->entry_count};
	bool junk;

	if (!seen->entries_known)
		return true;
	memcpy(rest.entries, m->entries, sizeof(rest.entries));
	for (unsigned i = 0; i < seen->entry_count; i++)
		if (!entry_remove(&rest, seen->entries[i].tag, seen->entries[i].recipient, &junk)) {
			why_set(why, FAILED, "the queue has mail %u for %s, and should not",
			        seen->entries[i].tag, recipient_names[seen->entries[i].recipient]);
			return false;
		}
	if (rest.entry_count) {
		why_set(why, FAILED, "the queue lacks mail %u for %s", rest.entries[0].tag,
		        recipient_names[rest.entries[0].recipient]);
		return false;
	}
	return true;
}

/* Nothing is lost from escrow, and nothing comes back that was released. */
static bool escrow_fits(const struct model *m, const struct seen *seen, struct why *why)
{
	if (seen->entries_known && seen->escrow_count != m->escrow_count)
		return why_set(why, FAILED, "%u mails in escrow, should be %u", seen->escrow_count,
		               m->escrow_count),
		       false;
	for (unsigned i = 0; seen->entries_known && i < m->escrow_count; i++) {
		const struct model_escrow *want = &m->escrow[i];
		unsigned k = 0;

		while (k < seen->escrow_count && seen->escrow[k].tag != want->tag)
			k++;
		if (k == seen->escrow_count)
			return why_set(why, FAILED, "mail %u is not in escrow", want->tag), false;
		if (seen->escrow[k].recipients != want->recipients)
			return why_set(why, FAILED,
			               "mail %u in escrow is left for %x, should be %x", want->tag,
			               seen->escrow[k].recipients, want->recipients),
			       false;
	}
	return true;
}

bool model_fits(struct model *m, const struct seen *seen, struct why *why)
{
	for (unsigned a = 0; a < ACCOUNTS; a++)
		for (unsigned b = 0; b < BOXES; b++) {
			char where[64];

			snprintf(where, sizeof(where), "a%u/%s", a, box_names[b]);
			if (!box_fits(&m->boxes[a][b], &seen->boxes[a][b], where, why))
				return false;
		}
	return entries_fit(m, seen, why) && escrow_fits(m, seen, why);
}

static bool same_mails(const struct model_box *a, const struct model_box *b)
{
	if (a->count != b->count)
		return false;
	for (unsigned i = 0; i < a->count; i++) {
		unsigned k = 0;

		while (k < b->count && (b->mails[k].uid != a->mails[i].uid ||
		                        !same_but_uid(&a->mails[i], &b->mails[k])))
			k++;
		if (k == b->count)
			return false;
	}
	return true;
}

static bool box_holds(uint32_t *told, struct model_box *b, const struct model_box *before,
                      const struct seen_box *seen, const char *where, struct why *why)
{
	bool same = b->uidvalidity && before->uidvalidity == b->uidvalidity;

	if (!b->uidvalidity) { /* new: not what another one of this name had */
		if (seen->uidvalidity <= *told)
			return why_set(why, FAILED, "%s: uidvalidity %u was used", where,
			               seen->uidvalidity),
			       false;
	} else if (seen->uidvalidity != b->uidvalidity) {
		return why_set(why, FAILED, "%s: uidvalidity was %u and is %u", where,
		               b->uidvalidity, seen->uidvalidity),
		       false;
	}
	if (seen->uidnext <= b->high)
		return why_set(why, FAILED, "%s: uidnext %u, and uid %u was used", where,
		               seen->uidnext, b->high),
		       false;
	if (seen->modseq < b->modseq)
		return why_set(why, FAILED, "%s: modseq was %llu and is %llu", where,
		               (unsigned long long)b->modseq, (unsigned long long)seen->modseq),
		       false;
	if (same && seen->modseq == before->modseq && !same_mails(b, before))
		return why_set(why, FAILED, "%s changed, and modseq is still %llu", where,
		               (unsigned long long)seen->modseq),
		       false;
	b->uidvalidity = seen->uidvalidity;
	b->modseq = seen->modseq;
	b->high = seen->uidnext - 1;
	if (*told < b->uidvalidity)
		*told = b->uidvalidity;
	return true;
}

bool model_holds(struct model *m, const struct model *before, const struct seen *seen,
                 struct why *why)
{
	for (unsigned a = 0; a < ACCOUNTS; a++)
		for (unsigned b = 0; b < BOXES; b++) {
			char where[64];

			snprintf(where, sizeof(where), "a%u/%s", a, box_names[b]);
			if (seen->boxes[a][b].exists &&
			    !box_holds(&m->told[a][b], &m->boxes[a][b], &before->boxes[a][b],
			               &seen->boxes[a][b], where, why))
				return false;
		}
	return true;
}
