/* QUIT after login: the UPDATE state (RFC 1939, 6). Mails that were fetched become \Seen; mails that
 * were deleted are marked \Deleted and expunged, by UID, so that nobody else's marks are touched. All
 * of it may be asked twice, so what was LOST is asked again for ten seconds; then the answer is -ERR. */
#include "pop3/session.h"

enum { RANGES = LIMIT_LIST / 8 };

static bool wanted(const struct pop3_mail *m, enum pop3_step step)
{
	if (step == STEP_SEEN)
		return (m->bits & (MAIL_BIT_READ | MAIL_BIT_SEEN | MAIL_BIT_DELETED)) ==
		       MAIL_BIT_READ;
	return m->bits & MAIL_BIT_DELETED;
}

/* The next ranges of UIDs from s->update_next on; false: there are none. Neighbours in the mailbox make
 * one range even where UIDs between them are gone: those are never used again. */
static bool ranges_take(struct pop3_server *s, enum pop3_step step)
{
	uint32_t i = s->update_next, count = 0, first;

	buf_clear(&s->ask_data);
	while (i < s->mail_count && count < RANGES) {
		if (!wanted(&s->mails[i], step)) {
			i++;
			continue;
		}
		for (first = i; i < s->mail_count && wanted(&s->mails[i], step);)
			i++;
		buf_u32(&s->ask_data, s->mails[first].uid);
		buf_u32(&s->ask_data, s->mails[i - 1].uid);
		count++;
	}
	s->update_next = i;
	return count;
}

static void ask_flags(struct pop3_server *s, enum pop3_step step, uint64_t flag)
{
	pop3_ask(s, step,
	         (struct ask){.kind = ASK_FLAGS_SET,
	                      .flags_set = {.mailbox = s->mailbox,
	                                    .set = buf_bytes(&s->ask_data),
	                                    .mode = FLAGS_ADD,
	                                    .flags = flag,
	                                    .unchanged_since = UINT64_MAX}});
}

static void update_done(struct pop3_server *s)
{
	s->step = STEP_NONE;
	if (s->removed)
		pop3_ok(s, "Bye; %u messages removed", s->removed);
	else
		pop3_ok(s, "Bye");
	s->finished = true;
}

static void update_failed(struct pop3_server *s, enum result result)
{
	s->step = STEP_NONE;
	pop3_note(s, "pop3-update-failed", "result=%s", result_name(result));
	pop3_err(s, "[SYS/TEMP] Some deleted messages may not be removed (%s)",
	         result_name(result));
	s->finished = true;
}

/* All of one step before the next: SEEN, MARK, EXPUNGE. */
static void update_go_on(struct pop3_server *s, enum pop3_step step)
{
	for (; step <= STEP_EXPUNGE; step++, s->update_next = 0) {
		if (!ranges_take(s, step))
			continue;
		if (step == STEP_EXPUNGE)
			pop3_ask(s, step,
			         (struct ask){.kind = ASK_EXPUNGE,
			                      .expunge = {.mailbox = s->mailbox,
			                                  .set = buf_bytes(&s->ask_data)}});
		else
			ask_flags(s, step, step == STEP_SEEN ? MAIL_SEEN : MAIL_DELETED);
		return;
	}
	update_done(s);
}

void update_begin(struct pop3_server *s)
{
	s->update_next = 0;
	s->removed = s->mail_count - s->kept_count;
	update_go_on(s, STEP_SEEN);
}

void update_answer(struct pop3_server *s, const struct answer *a)
{
	bool lost = a->result == LOST || a->result == UNAVAILABLE;

	if (lost && pop3_again(s))
		return;
	if (a->result != OK && s->step != STEP_SEEN)
		update_failed(s, a->result);
	else
		update_go_on(s, s->step); /* \Seen that could not be set is not worth an error */
}
