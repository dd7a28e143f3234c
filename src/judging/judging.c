#include "judging/inside.h"

#include "base/limits.h"
#include "base/memory.h"

enum {
	JUDGING_RCPTS = 100, /* told to the store; more make no difference */
	JUDGING_RCPTS_OCTETS = 12 * 1024,
	JUDGING_SCORE = 30000,
};

/* ---- beginning and forgetting ---- */

struct judging *judging_new(const struct judging_options *o, const struct ip *ip, time_ms now)
{
	struct judging *j;

	if (config_prefixes_contain(&o->config->judge_trust, ip))
		return NULL;
	j = NEW(struct judging);
	j->options = o;
	j->ip = *ip;
	j->now = now;
	return j;
}

void judging_reset(struct judging *j)
{
	struct arena arena;

	facts_free(&j->facts);
	dkim_verifier_free(&j->dkim);
	content_free(&j->content);
	buf_done(&j->rcpts);
	buf_done(&j->packed);
	buf_done(&j->report);
	arena_reset(&j->arena);
	arena = j->arena;
	*j = (struct judging){.options = j->options,
	                      .ip = j->ip,
	                      .helo = j->helo,
	                      .now = j->now,
	                      .open = j->open,
	                      .arena = arena};
}

void judging_free(struct judging **p)
{
	if (!*p)
		return;
	judging_reset(*p);
	arena_done(&(*p)->arena);
	buf_done(&(*p)->helo);
	memory_free(*p);
	*p = NULL;
}

struct judging_options *judging_options_new(const struct config *c)
{
	struct judging_options *o = NEW(struct judging_options);

	o->hostname = c->hostname;
	o->config = c;
	o->lists = dnsbl_of_config(c, &o->list_count);
	return o;
}

void judging_options_free(struct judging_options **o)
{
	if (!*o)
		return;
	memory_free((*o)->lists);
	memory_free(*o);
	*o = NULL;
}

/* ---- the mail as it comes ---- */

void judging_hello(struct judging *j, struct bytes helo)
{
	buf_clear(&j->helo);
	buf_append(&j->helo, helo);
}

void judging_mail(struct judging *j, struct bytes sender, time_ms now)
{
	judging_reset(j);
	j->now = now;
	j->step = STEP_COMING;
	j->look = true;
	j->sender = arena_copy(&j->arena, sender);
	j->facts = facts_new();
	j->dkim = dkim_verifier_new();
	j->content = content_new();
}

void judging_rcpt(struct judging *j, struct bytes rcpt)
{
	if (j->rcpt_count < JUDGING_RCPTS && buf_len(&j->rcpts) + rcpt.len < JUDGING_RCPTS_OCTETS) {
		buf_block(&j->rcpts, rcpt);
		j->rcpt_count++;
	}
}

void judging_content(struct judging *j, struct bytes run)
{
	if (j->step != STEP_COMING)
		return;
	dkim_verifier_feed(j->dkim, run);
	content_feed(j->content, run);
}

void judging_end(struct judging *j, time_ms now)
{
	if (j->step != STEP_COMING)
		return;
	dkim_verifier_end(j->dkim);
	content_end(j->content);
	j->now = now;
	j->patience_until = now + JUDGING_PATIENCE_MS;
	j->step = STEP_FACTS;
	j->look = true;
}

/* ---- asking ---- */

static void look(struct judging *j)
{
	if (!j->look || (j->step != STEP_COMING && j->step != STEP_FACTS))
		return;
	j->look = false;
	while (!checks_run(j, j->step == STEP_FACTS)) {
		if (!j->impatient)
			return;
		/* Each time they name facts that they did not name before; of these there is an end. */
		facts_give_up(j->facts, BYTES("no answer in time"));
	}
	j->step = STEP_HISTORY;
}

static bool fact_ask(struct judging *j, uint32_t number, struct ask *ret)
{
	struct bytes name;
	uint16_t type;

	if (j->open >= JUDGING_ASKS || !facts_missing(j->facts, &name, &type))
		return false;
	facts_asked(j->facts, number);
	j->open++;
	*ret = (struct ask){
	        .kind = ASK_RESOLVE, .number = number, .resolve = {.name = name, .type = type}};
	return true;
}

static struct bytes ip_of(const struct judging *j)
{
	return bytes_of(j->ip.octets, sizeof(j->ip.octets));
}

static void history_ask(struct judging *j, struct ask *ret)
{
	ret->kind = ASK_HISTORY;
	ret->history.ip = ip_of(j);
	ret->history.sender = j->sender;
	ret->history.domain = checks_proved(j);
	ret->history.rcpts = buf_bytes(&j->rcpts);
	content_history(j->content, &ret->history);
}

/* As JUDGED has it: hundredths + JUDGING_SCORE, never below 0. */
static uint16_t packed_score(int score)
{
	if (score < -JUDGING_SCORE)
		score = -JUDGING_SCORE;
	return (uint16_t)((score > JUDGING_SCORE ? JUDGING_SCORE : score) + JUDGING_SCORE);
}

static void judged_ask(struct judging *j, struct ask *ret)
{
	const struct content_seen *seen = content_seen(j->content);

	buf_clear(&j->report);
	checks_report(j, &j->report);
	ret->kind = ASK_JUDGED;
	ret->judged = (struct ask_judged){.stage = 1,
	                                  .action = (uint8_t)j->verdict.action,
	                                  .score = packed_score(j->verdict.score),
	                                  .ip = ip_of(j),
	                                  .helo = buf_bytes(&j->helo),
	                                  .ptr = judging_client_name(j),
	                                  .sender = j->sender,
	                                  .from = seen->from,
	                                  .domain = checks_proved(j),
	                                  .rcpts = buf_bytes(&j->rcpts),
	                                  .known = j->known,
	                                  .evidence = buf_bytes(&j->packed),
	                                  .tokens = seen->tokens,
	                                  .dmarc = buf_bytes(&j->report)};
}

bool judging_ask(struct judging *j, uint32_t number, struct ask *ret)
{
	look(j);
	if ((j->step == STEP_COMING || j->step == STEP_FACTS) && fact_ask(j, number, ret))
		return true;
	if (j->asked || (j->step != STEP_HISTORY && j->step != STEP_JUDGED))
		return false;
	j->asked = true;
	j->number = number;
	*ret = (struct ask){.number = number};
	if (j->step == STEP_HISTORY)
		history_ask(j, ret);
	else
		judged_ask(j, ret);
	return true;
}

/* ---- answers ---- */

static void finish(struct judging *j, enum judge_action action)
{
	struct buf header = {0};

	j->step = STEP_DONE;
	j->result.action = action;
	j->result.reason = j->verdict.reason;
	j->result.junk_of = action == JUDGE_ACCEPT && j->verdict.action == JUDGE_ACCEPT ? j->junk_of
	                                                                                : 0;
	header_make(j, &header);
	j->result.header = arena_copy(&j->arena, buf_bytes(&header));
	buf_done(&header);
}

static void history_answer(struct judging *j, const struct answer *a)
{
	j->known = a->result == OK ? a->history.known : 0;
	checks_weigh(j, a->result == OK ? &a->history : NULL);
	j->step = STEP_JUDGED;
}

/* Without the store's word nothing is refused: nobody could say whether a check had gone mad. */
static void judged_answer(struct judging *j, const struct answer *a)
{
	enum judge_action most = JUDGE_JUNK;

	if (a->result == OK) {
		most = a->judged.action < JUDGE_ACTIONS ? (enum judge_action)a->judged.action
		                                        : JUDGE_JUNK;
		j->result.judgement = a->judged.judgement;
		j->result.id = arena_copy(&j->arena, a->judged.id);
	}
	finish(j, most < j->verdict.action ? most : j->verdict.action);
}

bool judging_answer(struct judging *j, const struct answer *a)
{
	if (a->kind == ASK_RESOLVE) {
		/* Of an earlier mail, maybe: it counted as open until now. */
		if (j->open > 0)
			j->open--;
		if (j->facts && facts_answer(j->facts, a))
			j->look = true;
		return true;
	}
	if (!j->asked || a->number != j->number)
		return false;
	j->asked = false;
	if (j->step == STEP_HISTORY)
		history_answer(j, a);
	else if (j->step == STEP_JUDGED)
		judged_answer(j, a);
	return true;
}

/* ---- time ---- */

time_ms judging_deadline(const struct judging *j)
{
	return j->step == STEP_FACTS && !j->impatient ? j->patience_until : TIME_NEVER;
}

void judging_tick(struct judging *j, time_ms now)
{
	if (now > j->now)
		j->now = now;
	if (j->step != STEP_FACTS || j->now < j->patience_until)
		return;
	j->look = j->impatient = true;
}

/* ---- what came out ---- */

struct bytes judging_client_name(const struct judging *j)
{
	return j->iprev_known && j->iprev.result == IPREV_PASS ? j->iprev.name : (struct bytes){0};
}

const struct judging_result *judging_result(const struct judging *j)
{
	return j->step == STEP_DONE ? &j->result : NULL;
}
