/* JUDGED: what the checks said of a mail. Nobody waits for the disk here: the answer comes from memory, and everything that is
 * to be kept is noted beside it. */
#include "policy/evidence.h"
#include "store/check.h"
#include "store/dmarc.h"
#include "store/escrow.h"
#include "store/life.h"

static struct judgement judgement_of(const struct ask_judged *a, enum judge_action action)
{
	return (struct judgement){.stage = a->stage,
	                          .action = (uint8_t)action,
	                          .score = a->score,
	                          .known = a->known,
	                          .ip = a->ip,
	                          .helo = a->helo,
	                          .ptr = a->ptr,
	                          .sender = a->sender,
	                          .from = a->from,
	                          .domain = a->domain,
	                          .evidence = a->evidence,
	                          .rcpts = a->rcpts};
}

enum result run_judged(struct store *s, struct job *j, struct why *why)
{
	const struct ask_judged *a = &j->ask.judged;
	struct answer_judged *ret = &j->answer.judged;
	char id[JUDGEMENT_ID + 1];
	struct judgement judgement;

	if (a->action >= JUDGE_ACTIONS || a->stage > 1)
		return why_set(why, INVALID, "that is no judgement");
	ret->action = (uint8_t)checks_hear(s, a, &j->arena, &ret->why);
	judgement = judgement_of(a, (enum judge_action)ret->action);
	judgement.session = j->ask.session;
	ret->judgement = judgement_keep(s, &judgement, id);
	learn_judged(s, a, ret->action, ret->judgement);
	if (a->stage == 1)
		dmarc_count(s, a->dmarc, a->ip, ret->action);
	ret->id = arena_copy(&j->arena, bytes_of_text(id));
	own_address_seen(s, a, ret->action, ret->id);
	return OK;
}
