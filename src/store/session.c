/* Who may do what, and who wants to hear of changes. */
#include "store/ban.h"
#include "store/life.h"

enum { RIGHT_MAILBOXES = 1, RIGHT_SENDING = 2 };

enum result run_grant(struct store *s, struct job *j, struct why *why)
{
	const struct ask_grant *g = &j->ask.grant;
	struct store_peer front = {g->front, g->worker};
	struct session *session;

	if (!account_by_id(s, g->account))
		return why_set(why, NOT_FOUND, "there is no such account");
	session = session_get(s, front, g->front_session, true);
	if (!session)
		return why_set(why, DENIED, "that is another process's session");
	session->account = g->rights & RIGHT_MAILBOXES ? g->account : 0;
	session->sender = g->rights & RIGHT_SENDING ? g->account : 0;
	sending_login(s, g->account, g->peer);
	bans_good(s, g->peer);
	return OK;
}

struct mailbox *asked_mailbox(struct store *s, const struct job *j, uint64_t id)
{
	struct mailbox *m = mailbox_by_id(s, id);

	return m && m->account == j->account ? m : NULL;
}

/* ---- watching ---- */

void watch_drop(struct store *s, struct session *session)
{
	struct mailbox *m = map_get_u64(&s->mailboxes, session->watched);
	struct session **at = m ? &m->watchers : NULL;

	while (at && *at && *at != session)
		at = &(*at)->next_watcher;
	if (at && *at)
		*at = session->next_watcher;
	session->watched = 0;
	session->next_watcher = NULL;
}

static void raise(struct store *s, struct session *session)
{
	if (session->raised)
		return;
	session->raised = true;
	buf_append(&s->event_list, bytes_of(&session->id, sizeof(session->id)));
}

/* Locked: the mailbox moved. */
void changed_raise(struct store *s, struct mailbox *m)
{
	for (struct session *w = m->watchers; w; w = w->next_watcher) {
		if (m->next.gone || m->now.modseq > w->watched_modseq)
			raise(s, w);
	}
}

enum result run_watch(struct store *s, struct job *j, struct why *why)
{
	const struct ask_watch *a = &j->ask.watch;
	struct session *session = session_get(s, j->from, j->ask.session, true);
	struct mailbox *m = a->mailbox ? asked_mailbox(s, j, a->mailbox) : NULL;

	if (!session)
		return why_set(why, DENIED, "that is another process's session");
	watch_drop(s, session);
	session->raised = false;
	if (a->mailbox == 0)
		return OK;
	if (!m)
		return why_set(why, NOT_FOUND, "there is no such mailbox");
	session->watched = m->id;
	session->watched_modseq = a->modseq;
	session->next_watcher = m->watchers;
	m->watchers = session;
	if (m->now.modseq > a->modseq)
		raise(s, session);
	return OK;
}

bool store_next_event(struct store *s, struct store_peer *ret_to, uint64_t *ret_session)
{
	bool found = false;

	store_hold(s);
	while (!found && buf_len(&s->event_list)) {
		struct session *session;
		uint64_t id;

		memcpy(&id, buf_bytes(&s->event_list).ptr, sizeof(id));
		buf_consume(&s->event_list, sizeof(id));
		session = map_get_u64(&s->sessions, id);
		if (!session || !session->raised)
			continue;
		/* One that does not ask CHANGES hears of the next move all the same. */
		session->raised = false;
		*ret_to = session->peer;
		*ret_session = id;
		found = true;
	}
	store_let(s);
	return found;
}

void store_peer_lost(struct store *s, struct store_peer from)
{
	struct map_entry *e;

	store_hold(s);
	s->lives[peer_slot(from)]++;
	for (size_t at = 0; (e = map_each(&s->sessions, &at));) {
		struct session *session = e->value;

		if (session->peer.role == from.role && session->peer.worker == from.worker) {
			session_end(s, session);
			at = 0;
		}
	}
	queue_peer_lost(s, from);
	store_let(s);
}
