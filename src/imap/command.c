/* The table of commands, and how one begins and ends. */
#include "base/memory.h"
#include "base/text.h"
#include "imap/session.h"

/* RFC 9051, 6; LSUB and CHECK are IMAP4rev1's. Rows are in order of name: they are found by bisection. */
static const struct imap_command commands[] = {
        {"APPEND", IMAP_IN, 0, .parse = append_parse, .run = append_run},
        {"AUTHENTICATE", IMAP_NOT_AUTH, 0, .parse = authenticate_parse, .run = authenticate_run,
         .answer = authenticate_answer, .line = authenticate_line, .done = authenticate_done},
        {"CAPABILITY", IMAP_ANY, 0, .parse = parse_nothing, .run = capability_run},
        {"CHECK", IMAP_SELECTED, COMMAND_LOOK, .parse = parse_nothing, .run = noop_run},
        {"CLOSE", IMAP_SELECTED, COMMAND_QUIET, .parse = parse_nothing, .run = close_run,
         .answer = close_answer},
        {"COPY", IMAP_SELECTED, 0, .parse = copy_parse, .run = copy_run, .answer = copy_answer},
        {"CREATE", IMAP_IN, 0, .parse = create_parse, .run = create_run, .answer = mailbox_answer},
        {"DELETE", IMAP_IN, 0, .parse = delete_parse, .run = delete_run, .answer = mailbox_answer},
        {"ENABLE", IMAP_IN, 0, .parse = enable_parse, .run = enable_run},
        {"EXAMINE", IMAP_IN, COMMAND_QUIET, .parse = examine_parse, .run = select_run,
         .answer = select_answer},
        {"EXPUNGE", IMAP_SELECTED, COMMAND_LOOK, .parse = parse_nothing, .run = expunge_run,
         .answer = expunge_answer},
        {"FETCH", IMAP_SELECTED, COMMAND_NUMBERS, .parse = fetch_parse, .run = fetch_run,
         .answer = fetch_answer, .pump = fetch_pump, .done = fetch_done},
        {"ID", IMAP_ANY, 0, .parse = id_parse, .run = id_run},
        {"IDLE", IMAP_IN, 0, .parse = parse_nothing, .run = idle_run, .line = idle_line},
        {"LIST", IMAP_IN, 0, .parse = list_parse, .run = list_run, .answer = list_answer,
         .pump = list_pump},
        {"LOGIN", IMAP_NOT_AUTH, 0, .parse = login_parse, .run = login_run,
         .answer = authenticate_answer, .done = authenticate_done},
        {"LOGOUT", IMAP_ANY, COMMAND_QUIET, .parse = parse_nothing, .run = logout_run},
        {"LSUB", IMAP_IN, 0, .parse = lsub_parse, .run = list_run, .answer = list_answer,
         .pump = list_pump},
        {"MOVE", IMAP_SELECTED, 0, .parse = move_parse, .run = copy_run, .answer = copy_answer},
        {"NAMESPACE", IMAP_IN, 0, .parse = parse_nothing, .run = namespace_run},
        {"NOOP", IMAP_ANY, COMMAND_LOOK, .parse = parse_nothing, .run = noop_run},
        {"RENAME", IMAP_IN, 0, .parse = rename_parse, .run = rename_run, .answer = mailbox_answer},
        {"SEARCH", IMAP_SELECTED, COMMAND_NUMBERS, .parse = search_parse, .run = search_run,
         .answer = search_answer, .pump = search_pump, .done = search_done},
        {"SELECT", IMAP_IN, COMMAND_QUIET, .parse = select_parse, .run = select_run,
         .answer = select_answer},
        {"STARTTLS", IMAP_NOT_AUTH, 0, .parse = parse_nothing, .run = starttls_run},
        {"STATUS", IMAP_IN, 0, .parse = status_parse, .run = status_run, .answer = status_answer},
        {"STORE", IMAP_SELECTED, COMMAND_NUMBERS, .parse = store_parse, .run = store_run,
         .answer = store_answer, .pump = store_pump, .done = store_done},
        {"SUBSCRIBE", IMAP_IN, 0, .parse = subscribe_parse, .run = subscribe_run,
         .answer = mailbox_answer},
        {"UID COPY", IMAP_SELECTED, COMMAND_UID, .parse = copy_parse, .run = copy_run,
         .answer = copy_answer},
        {"UID EXPUNGE", IMAP_SELECTED, COMMAND_UID | COMMAND_LOOK, .parse = uid_expunge_parse,
         .run = uid_expunge_run, .answer = expunge_answer},
        {"UID FETCH", IMAP_SELECTED, COMMAND_UID, .parse = fetch_parse, .run = fetch_run,
         .answer = fetch_answer, .pump = fetch_pump, .done = fetch_done},
        {"UID MOVE", IMAP_SELECTED, COMMAND_UID, .parse = move_parse, .run = copy_run,
         .answer = copy_answer},
        {"UID SEARCH", IMAP_SELECTED, COMMAND_UID, .parse = search_parse, .run = search_run,
         .answer = search_answer, .pump = search_pump, .done = search_done},
        {"UID STORE", IMAP_SELECTED, COMMAND_UID, .parse = store_parse, .run = store_run,
         .answer = store_answer, .pump = store_pump, .done = store_done},
        {"UNSELECT", IMAP_SELECTED, COMMAND_QUIET, .parse = parse_nothing, .run = unselect_run},
        {"UNSUBSCRIBE", IMAP_IN, 0, .parse = unsubscribe_parse, .run = subscribe_run,
         .answer = mailbox_answer},
};

enum { COMMANDS = sizeof(commands) / sizeof(commands[0]), NAME_MAX_LEN = 16, ORPHANS_MAX = 8 };

static const struct imap_command *find_command(struct bytes name)
{
	size_t low = 0, high = COMMANDS;
	char upper[NAME_MAX_LEN];

	if (name.len > sizeof(upper))
		return NULL;
	for (size_t i = 0; i < name.len; i++)
		upper[i] = text_upper_char(name.ptr[i]);
	name.ptr = upper;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = bytes_compare(name, bytes_of_text(commands[middle].name));

		if (order == 0)
			return &commands[middle];
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

/* The command's name; "UID" takes the next word too. */
static bool take_name(struct cursor *c, struct bytes *ret)
{
	struct bytes name, second;

	if (!token_atom(c, &name))
		return false;
	if (bytes_equal_nocase(name, BYTES("UID"))) {
		if (!token_space(c) || !token_atom(c, &second))
			return false;
		name = bytes_of(name.ptr, (size_t)(second.ptr + second.len - name.ptr));
	}
	*ret = name;
	return true;
}

static const char *wrong_state(const struct imap_server *s, const struct imap_command *command)
{
	if (s->state == IMAP_NOT_AUTH)
		return "Log in first";
	if (command->states == IMAP_NOT_AUTH)
		return "Already logged in";
	return "Select a mailbox first";
}

/* Reads tag and name; the row becomes the running command even if it cannot run, so that BAD finds the tag. */
static void begin(struct imap_server *s)
{
	struct cursor c = cursor_of(buf_bytes(&s->in), &s->arena);
	static const struct imap_command unknown = {.name = "?", .flags = COMMAND_QUIET};
	const struct imap_command *command;
	struct bytes name;

	s->run.command = &unknown;
	s->run.tag = BYTES("*");
	if (!token_tag(&c, &s->run.tag) || !token_space(&c) || !take_name(&c, &name)) {
		imap_bad(s, "No command: %s", c.why);
		return;
	}
	command = find_command(name);
	if (!command) {
		imap_bad(s, "Unknown command");
		return;
	}
	if (!(command->states & s->state)) {
		imap_bad(s, "%s", wrong_state(s, command));
		return;
	}
	s->run.command = command;
	if (!command->parse(s, &c) || !token_end(&c))
		imap_bad(s, "%s", c.why ? c.why : "Broken arguments");
	else
		command->run(s);
}

/* Asks of commands that failed and did not wait for all answers. */
static unsigned orphans(const struct imap_server *s)
{
	unsigned count = 0;

	for (unsigned i = 0; i < s->open_count; i++)
		count += s->open[i].owner == OWNER_NONE;
	return count;
}

void command_dispatch(struct imap_server *s)
{
	s->held = s->append_count || orphans(s) > ORPHANS_MAX;
	if (!s->held)
		begin(s);
}

void command_finish(struct imap_server *s)
{
	uint8_t flags = s->run.command ? s->run.command->flags : 0;

	s->finishing = true;
	s->run.wants_line = false;
	if (s->state == IMAP_SELECTED && s->box.id && !(flags & COMMAND_QUIET) &&
	    (s->moved || (flags & COMMAND_LOOK) ||
	     (s->box.gone.count && !(flags & COMMAND_NUMBERS))))
		sync_start(s, !(flags & COMMAND_NUMBERS));
	else
		command_end(s);
}

/* A command that failed may leave asks open; their answers must not come to the next one. */
static void disown_asks(struct imap_server *s)
{
	for (unsigned i = 0; i < s->open_count; i++)
		if (s->open[i].owner == OWNER_COMMAND)
			s->open[i].owner = OWNER_NONE;
}

void command_end(struct imap_server *s)
{
	const struct imap_command *command = s->run.command;

	buf_append(&s->out, buf_bytes(&s->reply));
	buf_clear(&s->reply);
	s->finishing = false;
	if (!command)
		return;
	if (command->done)
		command->done(s);
	disown_asks(s);
	memset(&s->run, 0, sizeof(s->run));
	s->later_at = 0;
	if (command->states == IMAP_NOT_AUTH)
		memory_wipe(s->in.ptr, s->in.size);
	buf_clear(&s->in);
	s->line_start = 0;
	arena_reset(&s->arena);
}

bool parse_nothing(struct imap_server *s, struct cursor *c)
{
	return true;
}
