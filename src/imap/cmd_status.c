/* STATUS (RFC 9051, 6.3.11; SIZE: RFC 8438; HIGHESTMODSEQ: RFC 7162; APPENDLIMIT: RFC 7889). */
#include "imap/session.h"

struct status {
	struct bytes name;
	unsigned items;
};

enum {
	ITEM_MESSAGES,
	ITEM_UIDNEXT,
	ITEM_UIDVALIDITY,
	ITEM_UNSEEN,
	ITEM_DELETED,
	ITEM_SIZE,
	ITEM_RECENT,
	ITEM_MODSEQ,
	ITEM_LIMIT,
	ITEMS
};

static const char *const item_names[ITEMS] = {
        [ITEM_MESSAGES] = "MESSAGES",       [ITEM_UIDNEXT] = "UIDNEXT",
        [ITEM_UIDVALIDITY] = "UIDVALIDITY", [ITEM_UNSEEN] = "UNSEEN",
        [ITEM_DELETED] = "DELETED",         [ITEM_SIZE] = "SIZE",
        [ITEM_RECENT] = "RECENT",           [ITEM_MODSEQ] = "HIGHESTMODSEQ",
        [ITEM_LIMIT] = "APPENDLIMIT",
};

static bool take_item(struct imap_server *s, struct cursor *c, unsigned *items)
{
	struct bytes word;

	if (!token_atom(c, &word))
		return false;
	for (unsigned i = 0; i < ITEMS; i++) {
		if (!bytes_equal_nocase(word, bytes_of_text(item_names[i])))
			continue;
		*items |= 1u << i;
		if (i == ITEM_MODSEQ)
			s->condstore = true;
		return true;
	}
	return token_fail(c, "Unknown STATUS item");
}

bool status_items(struct imap_server *s, struct cursor *c, unsigned *ret)
{
	unsigned items = 0;

	if (!token_char(c, '('))
		return false;
	do {
		if (!take_item(s, c, &items))
			return false;
	} while (token_try_char(c, ' '));
	*ret = items;
	return token_char(c, ')');
}

static uint64_t item_value(const struct imap_server *s, unsigned item,
                           const struct answer_status *a)
{
	switch (item) {
	case ITEM_MESSAGES: return a->messages;
	case ITEM_UIDNEXT: return a->uidnext;
	case ITEM_UIDVALIDITY: return a->uidvalidity;
	case ITEM_UNSEEN: return a->unseen;
	case ITEM_DELETED: return a->deleted;
	case ITEM_SIZE: return a->size;
	case ITEM_MODSEQ: return a->modseq;
	case ITEM_LIMIT: return s->options->message_max;
	default: return 0;
	}
}

void status_print(struct imap_server *s, struct bytes name, unsigned items,
                  const struct answer_status *a)
{
	const char *separator = "";

	buf_append_text(&s->out, "* STATUS ");
	respond_mailbox(s, &s->out, name);
	buf_append_text(&s->out, " (");
	for (unsigned i = 0; i < ITEMS; i++) {
		if (!(items & 1u << i))
			continue;
		buf_printf(&s->out, "%s%s %llu", separator, item_names[i],
		           (unsigned long long)item_value(s, i, a));
		separator = " ";
	}
	buf_append_text(&s->out, ")\r\n");
}

bool status_parse(struct imap_server *s, struct cursor *c)
{
	struct status *st = arena_get(&s->arena, sizeof(*st));

	s->run.state = st;
	return parse_mailbox(s, c, &st->name) && token_space(c) && status_items(s, c, &st->items);
}

void status_run(struct imap_server *s)
{
	const struct status *st = s->run.state;

	if (!st->name.len)
		imap_no(s, "[NONEXISTENT] There is no such mailbox");
	else
		imap_ask(s, OWNER_COMMAND, 0,
		         &(struct ask){.kind = ASK_STATUS, .status = {.name = st->name}});
}

void status_answer(struct imap_server *s, const struct answer *a, uint32_t mark)
{
	const struct status *st = s->run.state;

	if (a->result != OK) {
		imap_no_answer(s, a);
		return;
	}
	status_print(s, st->name, st->items, &a->status);
	imap_ok(s, "Status");
}
