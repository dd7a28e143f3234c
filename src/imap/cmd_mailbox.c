/* CREATE, DELETE, RENAME, SUBSCRIBE, UNSUBSCRIBE (RFC 9051, 6.3.4 to 6.3.8). */
#include "imap/name.h"
#include "imap/session.h"

struct mailbox_args {
	struct bytes name, to; /* empty: such a name cannot be */
	uint32_t attributes;
	bool on, deletes;
};

bool parse_mailbox(struct imap_server *s, struct cursor *c, struct bytes *ret)
{
	struct bytes word;

	if (!token_space(c) || !token_astring(c, &word))
		return false;
	if (name_read(word, s->rev2, &s->arena, ret) != OK)
		*ret = (struct bytes){0};
	return true;
}

static struct mailbox_args *new_args(struct imap_server *s)
{
	s->run.state = arena_get(&s->arena, sizeof(struct mailbox_args));
	return s->run.state;
}

static bool name_is_bad(struct imap_server *s, struct bytes name)
{
	if (name.len)
		return false;
	imap_no(s, "[CANNOT] No mailbox can have this name");
	return true;
}

/* ---- CREATE, with USE (RFC 6154, 3) ---- */

static const struct {
	const char *name;
	uint32_t bit;
} special_uses[] = {
        {"All", MAILBOX_ALL},         {"Archive", MAILBOX_ARCHIVE}, {"Drafts", MAILBOX_DRAFTS},
        {"Flagged", MAILBOX_FLAGGED}, {"Junk", MAILBOX_JUNK},       {"Sent", MAILBOX_SENT},
        {"Trash", MAILBOX_TRASH},
};

static bool take_special_use(struct cursor *c, uint32_t *attributes)
{
	struct bytes name;

	if (!token_char(c, '\\') || !token_atom(c, &name))
		return false;
	for (size_t i = 0; i < sizeof(special_uses) / sizeof(special_uses[0]); i++) {
		if (bytes_equal_nocase(name, bytes_of_text(special_uses[i].name))) {
			*attributes |= special_uses[i].bit;
			return true;
		}
	}
	return token_fail(c, "[USEATTR] No such special use");
}

static bool take_create_params(struct cursor *c, uint32_t *attributes)
{
	if (!token_char(c, '(') || !token_try_word(c, BYTES("USE")) || !token_space(c) ||
	    !token_char(c, '('))
		return token_fail(c, "Expected (USE (...))");
	do {
		if (!take_special_use(c, attributes))
			return false;
	} while (token_try_char(c, ' '));
	return token_char(c, ')') && token_char(c, ')');
}

bool create_parse(struct imap_server *s, struct cursor *c)
{
	struct mailbox_args *args = new_args(s);

	if (!parse_mailbox(s, c, &args->name))
		return false;
	return !token_try_char(c, ' ') || take_create_params(c, &args->attributes);
}

void create_run(struct imap_server *s)
{
	const struct mailbox_args *args = s->run.state;

	if (name_is_bad(s, args->name))
		return;
	if (bytes_find_char(args->name, '*') != BYTES_NONE ||
	    bytes_find_char(args->name, '%') != BYTES_NONE) {
		imap_no(s, "[CANNOT] * and %% cannot be in a mailbox's name");
		return;
	}
	if (bytes_equal(args->name, BYTES("INBOX"))) {
		imap_no(s, "[ALREADYEXISTS] INBOX is always there");
		return;
	}
	imap_ask(s, OWNER_COMMAND, 0,
	         &(struct ask){
	                 .kind = ASK_MAILBOX_CREATE,
	                 .mailbox_create = {.name = args->name, .attributes = args->attributes}});
}

/* ---- DELETE, RENAME ---- */

bool delete_parse(struct imap_server *s, struct cursor *c)
{
	struct mailbox_args *args = new_args(s);

	args->deletes = true;
	return parse_mailbox(s, c, &args->name);
}

void delete_run(struct imap_server *s)
{
	const struct mailbox_args *args = s->run.state;

	if (name_is_bad(s, args->name))
		return;
	if (bytes_equal(args->name, BYTES("INBOX"))) {
		imap_no(s, "[CANNOT] INBOX cannot be deleted");
		return;
	}
	imap_ask(s, OWNER_COMMAND, 0,
	         &(struct ask){.kind = ASK_MAILBOX_DELETE, .mailbox_delete = {.name = args->name}});
}

bool rename_parse(struct imap_server *s, struct cursor *c)
{
	struct mailbox_args *args = new_args(s);

	return parse_mailbox(s, c, &args->name) && parse_mailbox(s, c, &args->to);
}

void rename_run(struct imap_server *s)
{
	const struct mailbox_args *args = s->run.state;

	if (name_is_bad(s, args->name) || name_is_bad(s, args->to))
		return;
	imap_ask(s, OWNER_COMMAND, 0,
	         &(struct ask){.kind = ASK_MAILBOX_RENAME,
	                       .mailbox_rename = {.from = args->name, .to = args->to}});
}

/* ---- SUBSCRIBE ---- */

bool subscribe_parse(struct imap_server *s, struct cursor *c)
{
	struct mailbox_args *args = new_args(s);

	args->on = true;
	return parse_mailbox(s, c, &args->name);
}

bool unsubscribe_parse(struct imap_server *s, struct cursor *c)
{
	return parse_mailbox(s, c, &new_args(s)->name);
}

void subscribe_run(struct imap_server *s)
{
	const struct mailbox_args *args = s->run.state;

	if (name_is_bad(s, args->name))
		return;
	imap_ask(s, OWNER_COMMAND, 0,
	         &(struct ask){.kind = ASK_SUBSCRIBE,
	                       .subscribe = {.name = args->name, .on = args->on}});
}

/* A session that deletes the mailbox it has open has none open any more. */
static void deleted_own(struct imap_server *s, struct bytes name)
{
	if (!s->box.id || !bytes_equal(name, buf_bytes(&s->box.name)))
		return;
	sync_close(s);
	buf_append_text(&s->out, "* OK [CLOSED] The open mailbox was deleted\r\n");
}

void mailbox_answer(struct imap_server *s, const struct answer *a, uint32_t mark)
{
	const struct mailbox_args *args = s->run.state;

	if (a->result != OK) {
		imap_no_answer(s, a);
		return;
	}
	if (args->deletes)
		deleted_own(s, args->name);
	imap_ok(s, "Done");
}
