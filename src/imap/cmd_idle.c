/* IDLE (RFC 9051, 6.3.13): what CHANGED announces is told at once. */
#include "imap/session.h"

struct idle {
	bool done; /* the client said so; what is under way comes first */
};

static struct idle *idling(struct imap_server *s)
{
	return s->run.command && s->run.command->line == idle_line ? s->run.state : NULL;
}

void idle_run(struct imap_server *s)
{
	s->run.state = arena_get(&s->arena, sizeof(struct idle));
	s->run.wants_line = true;
	buf_append_text(&s->out, "+ Idling\r\n");
	if (s->state == IMAP_SELECTED)
		sync_start(s, true);
}

void idle_event(struct imap_server *s)
{
	const struct idle *idle = idling(s);

	if (!idle || s->sync.running || s->finishing)
		return;
	if (idle->done)
		imap_ok(s, "No longer idle");
	else if (s->moved && s->state == IMAP_SELECTED)
		sync_start(s, true);
}

void idle_line(struct imap_server *s, struct bytes line)
{
	struct idle *idle = s->run.state;

	if (!bytes_equal_nocase(line, BYTES("DONE"))) {
		imap_bye(s, "Expected DONE");
		return;
	}
	idle->done = true;
	idle_event(s);
}
