/* What COMMIT and SORTED write into the ledger: read off the job's ask and effects. Called before they are
 * applied: rows of entries still are as they were. What the courier and the operator did is noted where it
 * is done (store/queue_*.c). */
#include <stdio.h>

#include "store/escrow.h"
#include "store/ledger.h"

enum {
	RECIPIENTS_OCTETS = 4000, /* in one event; more recipients make more events */
	EVENTS_OF_JOB = 500,      /* a list of a million members is not told one by one */
};

struct telling {
	struct store *s;
	struct job *j;
	unsigned told;
};

static void tell(struct telling *t, const struct ledger_event *e)
{
	if (t->told++ < EVENTS_OF_JOB)
		ledger_note(t->j, e);
}

static struct bytes account_of(struct store *s, uint64_t mailbox)
{
	const struct mailbox *m = map_get_u64(&s->mailboxes, mailbox);

	return m ? m->account->next.address : (struct bytes){0};
}

static bool has_word(struct bytes list, struct bytes word)
{
	struct bytes one;

	while (bytes_cut(&list, ' ', &one)) {
		if (bytes_equal_nocase(one, word))
			return true;
	}
	return false;
}

static void add_word(struct buf *list, struct bytes word)
{
	if (word.len == 0 || has_word(buf_bytes(list), word))
		return;
	if (buf_len(list))
		buf_append_char(list, ' ');
	buf_append(list, word);
}

/* ---- COMMIT ---- */

struct fates {
	unsigned placed, waits, carry, held;
};

static struct fates fates_of(const struct job *j, uint64_t mail)
{
	struct fates f = {0};

	for (size_t i = 0; i < j->change_count; i++) {
		const struct change *c = &j->changes[i];

		f.placed += c->kind == CHANGE_PLACE && c->place.mail == mail;
		if (c->kind != CHANGE_ENTRY || c->entry.mail != mail)
			continue;
		f.held += c->entry.state == ENTRY_HELD;
		f.carry += c->entry.state == ENTRY_CARRY;
		f.waits += c->entry.state == ENTRY_READY || c->entry.state == ENTRY_PARKED;
	}
	return f;
}

static const struct change *mail_made(const struct job *j)
{
	for (size_t i = 0; i < j->change_count; i++) {
		if (j->changes[i].kind == CHANGE_MAIL)
			return &j->changes[i];
	}
	return NULL;
}

/* The accounts that got it too: an alias's target is found by trace like its recipient. */
static void add_accounts(struct telling *t, struct buf *list, uint64_t mail)
{
	for (size_t i = 0; i < t->j->change_count && buf_len(list) < RECIPIENTS_OCTETS; i++) {
		const struct change *c = &t->j->changes[i];

		if (c->kind == CHANGE_PLACE && c->place.mail == mail)
			add_word(list, account_of(t->s, c->place.mailbox));
	}
}

/* Whom it came from: the first [address] of the Received line that the front wrote. */
static bool ip_of_trace(struct bytes trace, struct ip *ret)
{
	size_t from = bytes_find_char(trace, '['), to;

	if (from == BYTES_NONE)
		return false;
	trace = bytes_skip(trace, from + 1);
	if (bytes_starts(trace, BYTES("IPv6:")))
		trace = bytes_skip(trace, strlen("IPv6:"));
	to = bytes_find_char(bytes_first(trace, IP_TEXT), ']');
	return to != BYTES_NONE && ip_parse(bytes_first(trace, to), ret) == OK;
}

/* "Received: from HELO (NAME [192.0.2.7])": both names. */
static struct bytes hosts_of_trace(struct job *j, struct bytes trace)
{
	struct bytes field = BYTES("Received: from "), helo, name;
	size_t at = bytes_find(trace, field), end;

	if (at == BYTES_NONE)
		return (struct bytes){0};
	trace = bytes_skip(trace, at + field.len);
	end = bytes_find_char(trace, ' ');
	helo = bytes_first(trace, end == BYTES_NONE ? 0 : end);
	name = bytes_skip(trace, helo.len);
	at = bytes_find_char(name, '(');
	name = at == BYTES_NONE || at > 2 ? (struct bytes){0} : bytes_skip(name, at + 1);
	end = bytes_find_char(name, ' ');
	name = bytes_first(name, end == BYTES_NONE ? 0 : end);
	return arena_printf(&j->arena, "%.*s %.*s", BYTES_ARG(bytes_first(helo, LIMIT_DOMAIN)),
	                    BYTES_ARG(bytes_first(name, LIMIT_DOMAIN)));
}

static void tell_commit(struct telling *t)
{
	const struct ask_commit *a = &t->j->ask.commit;
	const struct change *mail = mail_made(t->j);
	struct wire w = wire_of(a->recipients);
	struct buf list = {0};
	struct ledger_event e = {.reason = LEDGER_ACCEPTED,
	                         .session = t->j->ask.session,
	                         .sender = a->sender,
	                         .message_id = a->message_id};
	char text[160];
	struct judgement judged;
	struct fates f;
	struct ip ip;

	if (!mail || a->escrow)
		return; /* escrow.c says it */
	if (ip_of_trace(a->trace, &ip))
		e.ip = bytes_of(ip.octets, sizeof(ip.octets));
	e.host = hosts_of_trace(t->j, a->trace);
	e.mail = mail->mail.id;
	f = fates_of(t->j, e.mail);
	snprintf(text, sizeof(text), "size=%llu placed=%u sorting=%u carrying=%u held=%u",
	         (unsigned long long)mail->mail.size, f.placed, f.waits, f.carry, f.held);
	e.text = bytes_of_text(text);
	if (t->j->owner)
		e.text = arena_printf(&t->j->arena, "by=%.*s %s",
		                      BYTES_ARG(sending_name(t->s, &t->j->arena, t->j->owner)),
		                      text);
	if (judgement_find(t->s, a->judgement, &t->j->arena, &judged)) {
		e.judgement = a->judgement;
		e.mark = judgement_mark(&judged);
		e.text = arena_printf(&t->j->arena, "%.*s %.*s", BYTES_ARG(e.text),
		                      BYTES_ARG(judgement_words(&t->j->arena, &judged)));
	}
	while (!wire_end(&w)) {
		struct bytes address = wire_block(&w);

		wire_u8(&w);
		wire_block(&w);
		if (buf_len(&list) + address.len > RECIPIENTS_OCTETS) {
			e.rcpt = buf_bytes(&list);
			tell(t, &e);
			buf_clear(&list);
		}
		add_word(&list, address);
	}
	add_accounts(t, &list, e.mail);
	e.rcpt = buf_bytes(&list);
	tell(t, &e);
	buf_done(&list);
}

/* ---- entries ---- */

struct was {
	uint64_t mail;
	unsigned state;
	struct bytes sender, rcpt;
};

static bool entry_was(struct telling *t, uint64_t id, struct was *ret)
{
	struct db_query *q = db_query(t->s->db,
	                              "SELECT mail, state, sender, rcpt FROM entry WHERE id=?");
	bool found;

	db_bind(q, "u", id);
	found = db_next(q);
	if (found)
		*ret = (struct was){db_u64(q, 0), (unsigned)db_u64(q, 1),
		                    arena_copy(&t->j->arena, db_bytes(q, 2)),
		                    arena_copy(&t->j->arena, db_bytes(q, 3))};
	db_end(q);
	return found;
}

static void tell_entry(struct telling *t, const struct was *w, enum ledger_reason reason,
                       struct bytes text)
{
	tell(t, &(struct ledger_event){.reason = reason,
	                               .mail = w->mail,
	                               .sender = w->sender,
	                               .rcpt = w->rcpt,
	                               .text = text});
}

/* ---- SORTED ---- */

static void tell_placed(struct telling *t, const struct was *w, const struct change_place *c)
{
	struct buf list = {0};

	add_word(&list, w->rcpt);
	add_word(&list, account_of(t->s, c->mailbox));
	tell(t, &(struct ledger_event){.reason = LEDGER_PLACED,
	                               .mail = c->mail,
	                               .sender = w->sender,
	                               .rcpt = buf_bytes(&list)});
	buf_done(&list);
}

static void tell_notice(struct telling *t, const struct was *w, bool gone)
{
	const struct ask_sorted *a = &t->j->ask.sorted;
	const struct change *mail = mail_made(t->j);
	struct bytes text;

	if (!mail)
		return;
	text = arena_printf(&t->j->arena, "notice=%08llX to=%.*s",
	                    (unsigned long long)mail->mail.id, BYTES_ARG(a->bounce_rcpt));
	tell_entry(t, w, gone ? LEDGER_BOUNCED : LEDGER_WARNED, text);
	tell(t, &(struct ledger_event){.reason = LEDGER_ACCEPTED,
	                               .mail = mail->mail.id,
	                               .rcpt = a->bounce_rcpt,
	                               .text = arena_printf(&t->j->arena, "notice-of=%08llX",
	                                                    (unsigned long long)w->mail)});
}

static void tell_sorted(struct telling *t)
{
	const struct ask_sorted *a = &t->j->ask.sorted;
	unsigned before = t->told;
	bool gone = false;
	struct was w;

	if (!entry_was(t, a->entry, &w))
		return;
	for (size_t i = 0; i < t->j->change_count; i++) {
		const struct change *c = &t->j->changes[i];

		if (c->kind == CHANGE_PLACE && c->place.mail == w.mail)
			tell_placed(t, &w, &c->place);
		if (c->kind == CHANGE_ENTRY && c->entry.mail == w.mail)
			tell(t,
			     &(struct ledger_event){.reason = LEDGER_QUEUED,
			                            .mail = w.mail,
			                            .sender = w.sender,
			                            .rcpt = c->entry.rcpt,
			                            .text = arena_printf(&t->j->arena, "for=%.*s",
			                                                 BYTES_ARG(w.rcpt))});
		gone = gone || (c->kind == CHANGE_ENTRY_GONE && c->entry_gone.id == a->entry);
	}
	tell_notice(t, &w, gone);
	if (gone && t->told == before)
		tell_entry(t, &w, LEDGER_DISCARDED, (struct bytes){0});
}

/* ---- states of entries that the sorter left in the queue ---- */

static struct bytes because(struct job *j, struct bytes reason)
{
	return reason.len ? arena_printf(&j->arena, "why=\"%.*s\"", BYTES_ARG(reason)) : reason;
}

static void tell_state(struct telling *t, uint64_t id, unsigned state, struct bytes reason)
{
	struct was w;

	if (!entry_was(t, id, &w))
		return;
	if (state == ENTRY_HELD && w.state != ENTRY_HELD)
		tell_entry(t, &w, LEDGER_HELD, because(t->j, reason));
	else if (state == ENTRY_READY)
		tell_entry(t, &w, LEDGER_DEFERRED, because(t->j, reason));
}

static void tell_states(struct telling *t)
{
	for (size_t i = 0; i < t->j->change_count; i++) {
		const struct change *c = &t->j->changes[i];

		if (c->kind == CHANGE_ENTRY_STATE)
			tell_state(t, c->entry_state.id, c->entry_state.state,
			           c->entry_state.reason);
		else if (c->kind == CHANGE_ENTRY_TRIED)
			tell_state(t, c->entry_tried.id, c->entry_tried.state,
			           c->entry_tried.reason);
	}
}

void ledger_note_job(struct store *s, struct job *j)
{
	struct telling t = {s, j, 0};

	if (!s->ledger)
		return;
	switch (j->ask.kind) {
	case ASK_COMMIT: tell_commit(&t); break;
	case ASK_SORTED:
		tell_sorted(&t);
		tell_states(&t);
		break;
	default: break;
	}
}
