/* COPY and MOVE (RFC 9051, 6.4.7 and 6.4.8). */
#include "imap/session.h"

enum { RANGES_MAX = 6000 }; /* in one ask: a copy is all or none */

struct copy {
	struct sequence_set set;
	struct bytes name;
	bool move;
};

static bool parse(struct imap_server *s, struct cursor *c, bool move)
{
	struct copy *copy = arena_get(&s->arena, sizeof(*copy));

	s->run.state = copy;
	copy->move = move;
	return token_space(c) && token_sequence_set(c, &copy->set) &&
	       parse_mailbox(s, c, &copy->name);
}

bool copy_parse(struct imap_server *s, struct cursor *c)
{
	return parse(s, c, false);
}

bool move_parse(struct imap_server *s, struct cursor *c)
{
	return parse(s, c, true);
}

static void ask_copy_of(struct imap_server *s, const struct copy *copy, const struct uidset *set)
{
	struct buf packed = {0};

	uidset_pack(set->ranges, set->count, &packed);
	imap_ask(s, OWNER_COMMAND, 0,
	         &(struct ask){.kind = ASK_COPY,
	                       .copy = {.mailbox = s->box.id,
	                                .set = buf_bytes(&packed),
	                                .name = copy->name,
	                                .move = copy->move}});
	buf_done(&packed);
}

void copy_run(struct imap_server *s)
{
	const struct copy *copy = s->run.state;
	bool uid = s->run.command->flags & COMMAND_UID;
	struct uidset set = {0};

	if (copy->move && s->box.read_only)
		imap_no(s, "[CANNOT] The mailbox is open read-only");
	else if (!copy->name.len)
		imap_no(s, "[CANNOT] No mailbox can have this name");
	else if (!set_resolve(s, &copy->set, uid, &set))
		imap_bad(s, "No such message");
	else if (set.count == 0)
		imap_ok(s, "Nothing to do");
	else if (set.count > RANGES_MAX)
		imap_no(s, "[LIMIT] Too many ranges in the set");
	else
		ask_copy_of(s, copy, &set);
	uidset_done(&set);
}

/* "COPYUID 38505 304,319:320 3956:3958" (RFC 4315, 3); empty when nothing was copied. */
static void copyuid(const struct answer_copy *a, struct buf *out)
{
	struct uidset from = {0}, to = {0};

	if (uidset_unpack(a->from, &from) == OK && uidset_unpack(a->to, &to) == OK && from.count) {
		buf_printf(out, "[COPYUID %u ", a->uidvalidity);
		uidset_print(&from, out);
		buf_append_char(out, ' ');
		uidset_print(&to, out);
		buf_append_text(out, "]");
	}
	uidset_done(&from);
	uidset_done(&to);
}

static void respond_copied(struct imap_server *s, struct bytes code, bool move)
{
	if (move && code.len) {
		buf_printf(&s->out, "* OK %.*s Moved\r\n", BYTES_ARG(code));
		imap_ok(s, "Moved");
		return;
	}
	buf_append(&s->reply, s->run.tag);
	buf_append_text(&s->reply, " OK ");
	buf_append(&s->reply, code);
	buf_append_text(&s->reply, code.len ? " Copied\r\n" : "Nothing was copied\r\n");
	command_finish(s);
}

void copy_answer(struct imap_server *s, const struct answer *a, uint32_t mark)
{
	const struct copy *copy = s->run.state;
	struct buf code = {0};

	if (a->result != OK) {
		imap_no_answer(s, a);
		return;
	}
	if (copy->move || bytes_equal(copy->name, buf_bytes(&s->box.name)))
		s->moved = true;
	copyuid(&a->copy, &code);
	respond_copied(s, buf_bytes(&code), copy->move);
	buf_done(&code);
}
