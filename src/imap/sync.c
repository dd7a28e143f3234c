/* Keeps the client's view of the mailbox true: WATCH, CHANGES, and the untagged responses that come of them. */
#include "base/memory.h"
#include "base/wire.h"
#include "imap/session.h"

enum { REWATCH_MS = 250 };

/* ---- keywords ---- */

static struct keywords *read_keywords(struct bytes packed)
{
	struct keywords *k = memory_get(sizeof(*k) + packed.len);
	struct wire w;

	if (packed.len)
		memcpy(k->data, packed.ptr, packed.len);
	k->packed = bytes_of(k->data, packed.len);
	w = wire_of(k->packed);
	while (!wire_end(&w) && k->count < LIMIT_KEYWORDS)
		k->names[k->count++] = wire_block(&w);
	return k;
}

void sync_keywords(struct imap_server *s, struct bytes packed, bool tell)
{
	if (s->box.keywords && bytes_equal(s->box.keywords->packed, packed))
		return;
	memory_free(s->box.keywords);
	s->box.keywords = read_keywords(packed);
	if (tell)
		respond_mailbox_flags(s);
}

/* ---- what happened ---- */

void sync_start(struct imap_server *s, bool expunge)
{
	s->sync = (struct sync){.running = true, .expunge = expunge, .first = true};
	s->sync.count = view_count(&s->box.view);
	s->moved = false;
	imap_ask(s, OWNER_SYNC, 0,
	         &(struct ask){.kind = ASK_CHANGES,
	                       .changes = {.mailbox = s->box.id, .since = s->box.modseq}});
}

static void end(struct imap_server *s)
{
	s->sync.running = false;
	if (s->finishing)
		command_end(s);
	else
		idle_event(s);
}

/* Expunged mails are told now, or kept in mind until it is allowed. */
static void tell_vanished(struct imap_server *s, struct bytes packed)
{
	struct uidset vanished = {0}, shown = {0};

	if (uidset_unpack(packed, &vanished) == OK) {
		uidset_intersect(&s->box.view.uids, &vanished, &shown);
		for (size_t i = 0; i < shown.count; i++)
			uidset_add_range(&s->box.gone, shown.ranges[i].first, shown.ranges[i].last);
	}
	uidset_done(&vanished);
	uidset_done(&shown);
	if (!s->sync.expunge || !s->box.gone.count)
		return;
	s->sync.count -= view_remove(&s->box.view, &s->box.gone, &s->out);
	uidset_done(&s->box.gone);
}

static void tell_flags(struct imap_server *s, uint32_t uid, uint32_t seq, uint64_t modseq,
                       uint64_t flags)
{
	buf_printf(&s->out, "* %u FETCH (UID %u FLAGS ", seq, uid);
	respond_flags(s, &s->out, flags);
	if (s->condstore)
		buf_printf(&s->out, " MODSEQ (%llu)", (unsigned long long)modseq);
	buf_append_text(&s->out, ")\r\n");
}

static void take_rows(struct imap_server *s, struct bytes rows)
{
	struct wire w = wire_of(rows);

	while (!wire_end(&w)) {
		uint32_t uid = wire_u32(&w);
		uint64_t modseq = wire_u64(&w), flags = wire_u64(&w);
		uint32_t seq;

		if (w.bad)
			return;
		if (view_add(&s->box.view, uid))
			continue;
		seq = view_seq(&s->box.view, uid);
		if (seq && !uidset_has(&s->box.gone, uid))
			tell_flags(s, uid, seq, modseq, flags);
	}
}

static void tell_count(struct imap_server *s)
{
	if (view_count(&s->box.view) == s->sync.count)
		return;
	buf_printf(&s->out, "* %u EXISTS\r\n", view_count(&s->box.view));
	if (!s->rev2)
		buf_append_text(&s->out, "* 0 RECENT\r\n");
}

/* WATCH brings CHANGED again if there was something; that is slower than asking at once, and no busy loop. */
static void sync_failed(struct imap_server *s, enum result r)
{
	if (r == NOT_FOUND) {
		imap_bye(s, "The mailbox was deleted");
		return;
	}
	s->rewatch = true;
	s->rewatch_at = s->now + REWATCH_MS;
	end(s);
}

void sync_answer(struct imap_server *s, const struct answer *a)
{
	const struct answer_changes *c = &a->changes;

	if (a->result != OK) {
		sync_failed(s, a->result);
		return;
	}
	if (s->sync.first) {
		s->sync.first = false;
		s->sync.modseq = c->modseq;
		sync_keywords(s, c->keywords, true);
		tell_vanished(s, c->vanished);
	}
	take_rows(s, c->rows);
	if (c->next) {
		imap_ask(s, OWNER_SYNC, 0,
		         &(struct ask){.kind = ASK_CHANGES,
		                       .changes = {.mailbox = s->box.id,
		                                   .since = s->box.modseq,
		                                   .after = c->next}});
		return;
	}
	tell_count(s);
	s->box.modseq = s->sync.modseq;
	end(s);
}

void sync_own_change(struct imap_server *s, uint64_t before, uint64_t modseq)
{
	if (s->box.modseq == before && modseq > before)
		s->box.modseq = modseq;
}

/* ---- watching ---- */

void sync_watch(struct imap_server *s)
{
	if (!s->rewatch || s->watching || s->now < s->rewatch_at || !s->box.id || !imap_can_ask(s))
		return;
	s->watching = true;
	s->rewatch = false;
	imap_ask(s, OWNER_WATCH, 0,
	         &(struct ask){.kind = ASK_WATCH,
	                       .watch = {.mailbox = s->box.id, .modseq = s->box.modseq}});
}

void sync_watch_answer(struct imap_server *s, const struct answer *a)
{
	s->watching = false;
	if (a->result == OK || !s->box.id)
		return;
	s->rewatch = true;
	s->rewatch_at = s->now + REWATCH_MS;
}

void sync_close(struct imap_server *s)
{
	buf_done(&s->box.name);
	view_done(&s->box.view);
	uidset_done(&s->box.gone);
	uidset_done(&s->box.saved);
	memory_free(s->box.keywords);
	memset(&s->box, 0, sizeof(s->box));
	s->moved = s->rewatch = false;
	if (s->state == IMAP_SELECTED)
		s->state = IMAP_AUTH;
}
