/* What the store itself writes into the ledger: read off a job's ask and effects, so that no other file of
 * store/ has to think of it. Called for a writing job that has effects, before they are applied: rows of
 * entries still are as they were. */
#include <stdio.h>

#include "store/ledger.h"

enum {
	RECIPIENTS_OCTETS = 4000, /* in one event; more recipients make more events */
	EVENTS_OF_JOB = 500,      /* a command for a million entries is not told entry by entry */
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
	struct fates f;
	struct ip ip;

	if (!mail)
		return;
	if (ip_of_trace(a->trace, &ip))
		e.ip = bytes_of(ip.octets, sizeof(ip.octets));
	e.mail = mail->mail.id;
	f = fates_of(t->j, e.mail);
	snprintf(text, sizeof(text), "size=%llu placed=%u sorting=%u carrying=%u held=%u",
	         (unsigned long long)mail->mail.size, f.placed, f.waits, f.carry, f.held);
	e.text = bytes_of_text(text);
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

static struct bytes because(struct job *j, struct bytes reason)
{
	return reason.len ? arena_printf(&j->arena, "why=\"%.*s\"", BYTES_ARG(reason)) : reason;
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

/* ---- CARRIED ---- */

static enum ledger_reason reason_of(unsigned outcome)
{
	switch (outcome) {
	case CARRY_DELIVERED: return LEDGER_CARRIED;
	case CARRY_RELAYED: return LEDGER_RELAYED;
	case CARRY_DEFERRED: return LEDGER_DEFERRED;
	case CARRY_FAILED: return LEDGER_FAILED;
	case CARRY_HELD: return LEDGER_HELD;
	default: return LEDGER_NONE;
	}
}

static struct bytes attempt_text(struct job *j, struct bytes status, struct bytes reply)
{
	const struct ask_carried *a = &j->ask.carried;
	struct buf b = {0};
	struct bytes text;

	if (a->remote.len)
		buf_printf(&b, "host=%.*s", BYTES_ARG(a->remote));
	if (a->tls.len)
		buf_printf(&b, " tls=\"%.*s\"", BYTES_ARG(a->tls));
	if (status.len)
		buf_printf(&b, " status=%.*s", BYTES_ARG(status));
	if (reply.len)
		buf_printf(&b, " reply=\"%.*s\"", BYTES_ARG(bytes_first(reply, 600)));
	text = arena_copy(&j->arena, buf_bytes(&b));
	buf_done(&b);
	return text;
}

/* Recipients of one mail that got the same reply share an event. */
struct attempt {
	unsigned outcome;
	uint64_t mail;
	struct bytes sender, status, reply;
	struct buf list;
};

static void tell_attempt(struct telling *t, struct attempt *a)
{
	if (buf_len(&a->list) && reason_of(a->outcome) != LEDGER_NONE)
		tell(t, &(struct ledger_event){.reason = reason_of(a->outcome),
		                               .mail = a->mail,
		                               .ip = t->j->ask.carried.ip,
		                               .sender = a->sender,
		                               .rcpt = buf_bytes(&a->list),
		                               .text = attempt_text(t->j, a->status, a->reply)});
	buf_clear(&a->list);
}

static void tell_carried(struct telling *t)
{
	struct wire w = wire_of(t->j->ask.carried.results);
	struct attempt now = {0};

	while (!wire_end(&w)) {
		uint64_t id = wire_u64(&w);
		unsigned outcome = wire_u8(&w);
		struct bytes status, reply;
		struct was was;

		wire_u8(&w);
		status = wire_block(&w);
		reply = wire_block(&w);
		if (w.bad || !entry_was(t, id, &was))
			continue;
		if (outcome != now.outcome || was.mail != now.mail ||
		    !bytes_equal(reply, now.reply) || buf_len(&now.list) > RECIPIENTS_OCTETS) {
			tell_attempt(t, &now);
			now.outcome = outcome;
			now.mail = was.mail;
			now.sender = was.sender;
			now.status = status;
			now.reply = reply;
		}
		add_word(&now.list, was.rcpt);
	}
	tell_attempt(t, &now);
	buf_done(&now.list);
}

/* ---- states of entries, by whomever ---- */

static void tell_state(struct telling *t, uint64_t id, unsigned state, struct bytes reason)
{
	bool retry = t->j->ask.kind == ASK_ADMIN && t->j->ask.admin.verb == ADMIN_QUEUE_RETRY;
	struct was w;

	if (t->told >= EVENTS_OF_JOB || !entry_was(t, id, &w))
		return;
	if (state == ENTRY_HELD && w.state != ENTRY_HELD)
		tell_entry(t, &w, LEDGER_HELD, because(t->j, reason));
	else if (state != ENTRY_HELD && w.state == ENTRY_HELD)
		tell_entry(t, &w, LEDGER_RELEASED, (struct bytes){0});
	else if (retry)
		tell_entry(t, &w, LEDGER_RETRIED, (struct bytes){0});
	else if (t->j->ask.kind == ASK_SORTED && state == ENTRY_READY)
		tell_entry(t, &w, LEDGER_DEFERRED, because(t->j, reason));
	else if (t->j->ask.kind == ASK_NONE && state == ENTRY_READY && w.state == ENTRY_CARRY)
		tell_entry(t, &w, LEDGER_FAILED, because(t->j, reason));
}

static void tell_states(struct telling *t)
{
	bool admin = t->j->ask.kind == ASK_ADMIN;
	bool moved = admin && t->j->ask.admin.verb == ADMIN_QUEUE_REDIRECT;
	struct was w;

	for (size_t i = 0; i < t->j->change_count && t->told < EVENTS_OF_JOB; i++) {
		const struct change *c = &t->j->changes[i];

		if (c->kind == CHANGE_ENTRY_STATE)
			tell_state(t, c->entry_state.id, c->entry_state.state,
			           c->entry_state.reason);
		else if (c->kind == CHANGE_ENTRY_GONE && admin &&
		         entry_was(t, c->entry_gone.id, &w))
			tell_entry(t, &w, moved ? LEDGER_REDIRECTED : LEDGER_REMOVED,
			           moved ? arena_printf(&t->j->arena, "to=%.*s",
			                                BYTES_ARG(t->j->ask.admin.value))
			                 : (struct bytes){0});
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
	case ASK_CARRIED: tell_carried(&t); break;
	case ASK_ADMIN:
	case ASK_NONE: tell_states(&t); break;
	default: break;
	}
}
