/* EXPUNGE and UID EXPUNGE (RFC 9051, 6.4.3; RFC 4315). What vanished is told by sync.c before the tagged OK. */
#include "imap/session.h"

enum { RANGES_MAX = 7000 }; /* in one ask: below LIMIT_LIST */

struct expunge {
	struct sequence_set set;
};

static bool may_write(struct imap_server *s)
{
	if (!s->box.read_only)
		return true;
	imap_no(s, "[CANNOT] The mailbox is open read-only");
	return false;
}

static void ask_expunge(struct imap_server *s, struct bytes packed)
{
	imap_ask(s, OWNER_COMMAND, 0,
	         &(struct ask){.kind = ASK_EXPUNGE,
	                       .expunge = {.mailbox = s->box.id, .set = packed}});
}

void expunge_run(struct imap_server *s)
{
	if (may_write(s))
		ask_expunge(s, (struct bytes){0});
}

bool uid_expunge_parse(struct imap_server *s, struct cursor *c)
{
	struct expunge *e = arena_get(&s->arena, sizeof(*e));

	s->run.state = e;
	return token_space(c) && token_sequence_set(c, &e->set);
}

void uid_expunge_run(struct imap_server *s)
{
	const struct expunge *e = s->run.state;
	struct uidset set = {0};
	struct buf packed = {0};

	if (!may_write(s))
		return;
	set_resolve(s, &e->set, true, &set);
	if (set.count == 0) {
		imap_ok(s, "Nothing to expunge");
	} else if (set.count > RANGES_MAX) {
		imap_no(s, "[LIMIT] Too many ranges in the set");
	} else {
		uidset_pack(set.ranges, set.count, &packed);
		ask_expunge(s, buf_bytes(&packed));
	}
	buf_done(&packed);
	uidset_done(&set);
}

void expunge_answer(struct imap_server *s, const struct answer *a, uint32_t mark)
{
	if (a->result != OK)
		imap_no_answer(s, a);
	else if (s->condstore)
		imap_ok(s, "[HIGHESTMODSEQ %llu] Expunged", (unsigned long long)a->expunge.modseq);
	else
		imap_ok(s, "Expunged");
}
