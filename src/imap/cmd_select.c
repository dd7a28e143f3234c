/* SELECT, EXAMINE, CLOSE, UNSELECT (RFC 9051, 6.3.2, 6.3.3, 6.4.1, 6.4.2; CONDSTORE: RFC 7162, 3.1.2). */
#include "base/wire.h"
#include "imap/session.h"

struct select {
	struct bytes name;
	bool read_only, condstore;
	bool opened; /* STATUS was answered */
	bool paged;  /* the first page of UIDs came */
	uint32_t uidnext, first_unseen;
};

/* [SP "(" select-param *(SP select-param) ")"] */
static bool take_params(struct cursor *c, struct select *sel)
{
	struct bytes word;

	if (!token_char(c, '('))
		return false;
	do {
		if (!token_atom(c, &word))
			return false;
		if (!bytes_equal_nocase(word, BYTES("CONDSTORE")))
			return token_fail(c, "Unknown parameter");
		sel->condstore = true;
	} while (token_try_char(c, ' '));
	return token_char(c, ')');
}

static bool parse(struct imap_server *s, struct cursor *c, bool read_only)
{
	struct select *sel = arena_get(&s->arena, sizeof(*sel));

	s->run.state = sel;
	sel->read_only = read_only;
	return parse_mailbox(s, c, &sel->name) && (!token_try_char(c, ' ') || take_params(c, sel));
}

bool select_parse(struct imap_server *s, struct cursor *c)
{
	return parse(s, c, false);
}

bool examine_parse(struct imap_server *s, struct cursor *c)
{
	return parse(s, c, true);
}

/* The store forgets the watch; nobody waits for that. */
static void unwatch(struct imap_server *s)
{
	if (imap_can_ask(s))
		imap_ask(s, OWNER_NOTE, 0, &(struct ask){.kind = ASK_WATCH});
}

void select_run(struct imap_server *s)
{
	const struct select *sel = s->run.state;

	if (s->box.id) {
		sync_close(s);
		unwatch(s);
		buf_append_text(&s->out, "* OK [CLOSED] The previous mailbox is closed\r\n");
	}
	s->condstore |= sel->condstore;
	if (!sel->name.len)
		imap_no(s, "[NONEXISTENT] There is no such mailbox");
	else
		imap_ask(s, OWNER_COMMAND, 0,
		         &(struct ask){.kind = ASK_STATUS, .status = {.name = sel->name}});
}

static void ask_uids(struct imap_server *s, uint32_t after)
{
	imap_ask(s, OWNER_COMMAND, 0,
	         &(struct ask){.kind = ASK_UIDS, .uids = {.mailbox = s->box.id, .after = after}});
}

static void open_box(struct imap_server *s, struct select *sel, const struct answer_status *a)
{
	s->box.id = a->mailbox;
	s->box.uidvalidity = a->uidvalidity;
	s->box.read_only = sel->read_only;
	s->box.modseq = a->modseq;
	buf_append(&s->box.name, sel->name);
	sync_keywords(s, a->keywords, false);
	sel->uidnext = a->uidnext;
	sel->first_unseen = a->first_unseen;
	sel->opened = true;
	s->rewatch = true;
	s->rewatch_at = s->now;
	ask_uids(s, 0);
}

static void add_uids(struct imap_server *s, struct bytes packed)
{
	struct uidset set = {0};

	if (uidset_unpack(packed, &set) == OK)
		for (size_t i = 0; i < set.count; i++)
			view_add_range(&s->box.view, set.ranges[i].first, set.ranges[i].last);
	uidset_done(&set);
}

/* IMAP4rev2 has no RECENT and no UNSEEN, but names the mailbox (RFC 9051, 6.3.2). */
static void tell_by_revision(struct imap_server *s, const struct select *sel)
{
	uint32_t unseen = sel->first_unseen ? view_seq(&s->box.view, sel->first_unseen) : 0;

	if (s->rev2) {
		buf_append_text(&s->out, "* LIST () \"/\" ");
		respond_mailbox(s, &s->out, sel->name);
		buf_append_text(&s->out, "\r\n");
		return;
	}
	buf_append_text(&s->out, "* 0 RECENT\r\n");
	if (unseen)
		buf_printf(&s->out, "* OK [UNSEEN %u] First unseen message\r\n", unseen);
}

static void tell_box(struct imap_server *s, const struct select *sel)
{
	uint32_t uidnext = sel->uidnext;

	if (uidnext <= view_last(&s->box.view))
		uidnext = view_last(&s->box.view) + 1;
	respond_mailbox_flags(s);
	buf_printf(&s->out, "* %u EXISTS\r\n", view_count(&s->box.view));
	tell_by_revision(s, sel);
	buf_printf(&s->out, "* OK [UIDVALIDITY %u] UIDs are valid\r\n", s->box.uidvalidity);
	buf_printf(&s->out, "* OK [UIDNEXT %u] Next UID\r\n", uidnext);
	buf_printf(&s->out, "* OK [HIGHESTMODSEQ %llu] Highest\r\n",
	           (unsigned long long)s->box.modseq);
	s->state = IMAP_SELECTED;
	imap_ok(s, "%s is open",
	        s->box.read_only ? "[READ-ONLY] The mailbox" : "[READ-WRITE] The mailbox");
}

static void take_page(struct imap_server *s, struct select *sel, const struct answer_uids *a)
{
	if (!sel->paged)
		s->box.modseq = a->modseq;
	sel->paged = true;
	add_uids(s, a->ranges);
	if (a->next)
		ask_uids(s, a->next);
	else
		tell_box(s, sel);
}

void select_answer(struct imap_server *s, const struct answer *a, uint32_t mark)
{
	struct select *sel = s->run.state;

	if (a->result != OK) {
		sync_close(s);
		imap_no_answer(s, a);
	} else if (sel->opened) {
		take_page(s, sel, &a->uids);
	} else {
		open_box(s, sel, &a->status);
	}
}

/* ---- closing ---- */

static void closed(struct imap_server *s)
{
	sync_close(s);
	unwatch(s);
	imap_ok(s, "Closed");
}

void close_run(struct imap_server *s)
{
	if (s->box.read_only)
		closed(s);
	else
		imap_ask(s, OWNER_COMMAND, 0,
		         &(struct ask){.kind = ASK_EXPUNGE, .expunge = {.mailbox = s->box.id}});
}

void close_answer(struct imap_server *s, const struct answer *a, uint32_t mark)
{
	if (a->result == OK || a->result == NOT_FOUND)
		closed(s);
	else
		imap_no_answer(s, a);
}

void unselect_run(struct imap_server *s)
{
	closed(s);
}
