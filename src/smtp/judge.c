/* Mail from strangers is judged (judging/judging.h) while it comes; at its end the answer is obeyed:
 *
 *	accept, junk -> COMMIT -> 250
 *	defer        -> 451
 *	refuse       -> COMMIT into escrow, durable -> 550, with the id by which people ask for it
 *
 * Its header gets what was found out, and loses what only we may say. */
#include "smtp/session.h"

void smtp_judge_hello(struct smtp_server *s)
{
	if (s->options->judging && !s->judging)
		s->judging = judging_new(s->options->judging, &s->peer.ip, s->now);
	if (s->judging)
		judging_hello(s->judging, buf_bytes(&s->helo));
}

void smtp_judge_mail(struct smtp_server *s)
{
	if (s->judging)
		judging_mail(s->judging, s->mail.sender, s->now);
}

void smtp_judge_rcpt(struct smtp_server *s, struct bytes address)
{
	if (s->judging)
		judging_rcpt(s->judging, address);
}

void smtp_judge_content(struct smtp_server *s, struct bytes run)
{
	struct smtp_mail *m = &s->mail;
	struct buf out = {0};

	if (s->judging)
		judging_content(s->judging, run);
	if (m->strip.body) {
		smtp_content_keep(s, run);
		return;
	}
	smtp_strip_feed(&m->strip, run, s->options->hostname, &out);
	smtp_content_keep(s, buf_bytes(&out));
	buf_done(&out);
}

void smtp_judge_end(struct smtp_server *s)
{
	struct buf out = {0};

	if (s->judging)
		judging_end(s->judging, s->now);
	smtp_strip_end(&s->mail.strip, s->options->hostname, &out);
	smtp_content_keep(s, buf_bytes(&out));
	buf_done(&out);
}

bool smtp_judge_ask(struct smtp_server *s, struct ask *ret)
{
	if (!s->judging || !judging_ask(s->judging, s->last_number + 1, ret))
		return false;
	(void)smtp_number(s);
	return true;
}

bool smtp_judge_answer(struct smtp_server *s, const struct answer *a)
{
	if (!s->judging || !judging_answer(s->judging, a))
		return false;
	if (s->wait == WAIT_JUDGE)
		smtp_content_proceed(s);
	return true;
}

bool smtp_judge_ready(struct smtp_server *s)
{
	const struct judging_result *r = s->judging ? judging_result(s->judging) : NULL;
	struct smtp_mail *m = &s->mail;

	if (!s->judging)
		return true;
	if (!r)
		return false;
	m->action = r->action;
	m->judgement = r->judgement;
	m->junk_of = r->junk_of;
	if (buf_len(&m->added) == 0)
		buf_append(&m->added, r->header);
	return true;
}

void smtp_judge_tick(struct smtp_server *s)
{
	if (s->judging)
		judging_tick(s->judging, s->now);
}

void smtp_judge_defer(struct smtp_server *s)
{
	const struct judging_result *r = judging_result(s->judging);

	smtp_decline(s, 451, "4.7.1", "Not now: %.*s [%.*s]", BYTES_ARG(r->reason),
	             BYTES_ARG(r->id));
	smtp_mail_reset(s);
}

void smtp_judge_refuse(struct smtp_server *s)
{
	const struct judging_result *r = judging_result(s->judging);

	smtp_refuse(s, 550, "5.7.1", "Refused: %.*s; ask postmaster@%.*s about [%.*s]",
	            BYTES_ARG(r->reason), BYTES_ARG(s->options->hostname), BYTES_ARG(r->id));
}
