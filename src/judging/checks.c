/* What each check says of the mail at hand: first as facts allow, then as evidence. */
#include "judging/inside.h"

#include "base/memory.h"
#include "base/wire.h"
#include "policy/greeting.h"
#include "policy/lookalike.h"

enum { DMARC_OBEY }; /* of judge.dmarc's words */

struct bytes checks_domain(struct bytes address)
{
	size_t at = bytes_find_last(address, '@');

	return at == BYTES_NONE ? (struct bytes){0} : bytes_skip(address, at + 1);
}

/* ---- as far as facts go ---- */

/* A check that misses a fact is run again from its beginning, maybe a hundred times, and a stranger's DNS says how much it has to
 * read: each attempt has an arena of its own, and of the last one only the verdict is kept. */
static void keep(struct judging *j, struct bytes *text)
{
	*text = arena_copy(&j->arena, *text);
}

static bool run_spf(struct judging *j)
{
	struct spf_input in = {.ip = j->ip,
	                       .helo = buf_bytes(&j->helo),
	                       .sender = j->sender,
	                       .hostname = j->options->hostname,
	                       .now = j->now};
	struct spf_verdict *v = &j->spf;
	struct arena attempt = {0};

	if (!j->spf_known && spf_check(&in, j->facts, &attempt, v)) {
		j->spf_known = true;
		keep(j, &v->domain);
		keep(j, &v->mechanism);
		keep(j, &v->explanation);
		keep(j, &v->reason);
	}
	arena_done(&attempt);
	return j->spf_known;
}

static bool run_iprev(struct judging *j)
{
	struct arena attempt = {0};

	if (!j->iprev_known && iprev_check(&j->ip, j->facts, &attempt, &j->iprev)) {
		j->iprev_known = true;
		keep(j, &j->iprev.name);
	}
	arena_done(&attempt);
	return j->iprev_known;
}

static bool run_signatures(struct judging *j)
{
	int64_t now = j->now / 1000;

	if (!j->dkim_known)
		j->dkim_known = dkim_verify(j->dkim, j->facts, now, &j->arena, &j->signatures,
		                            &j->signature_count);
	if (!j->arc_known)
		j->arc_known = arc_verify(j->dkim, j->facts, now, &j->arena, &j->arc);
	return j->dkim_known && j->arc_known;
}

static struct dmarc_input dmarc_input_of(const struct judging *j)
{
	return (struct dmarc_input){.from_domain = content_seen(j->content)->from_domain,
	                            .spf = j->spf.result,
	                            .spf_domain = j->spf.domain,
	                            .dkim = j->signatures,
	                            .dkim_count = j->signature_count};
}

static bool run_dmarc(struct judging *j)
{
	struct dmarc_verdict *v = &j->dmarc;
	struct arena attempt = {0};
	struct dmarc_input in;

	if (!j->spf_known || !j->dkim_known)
		return false;
	in = dmarc_input_of(j);
	if (!j->dmarc_known && dmarc_check(&in, j->facts, &attempt, v)) {
		j->dmarc_known = true;
		keep(j, &v->domain);
		keep(j, &v->policy_domain);
		keep(j, &v->record);
		keep(j, &v->rua);
		keep(j, &v->reason);
	}
	arena_done(&attempt);
	return j->dmarc_known;
}

/* All of them, though one be missing a fact: what can be asked is asked at once. */
bool checks_run(struct judging *j, bool whole)
{
	bool envelope = run_spf(j);

	envelope &= run_iprev(j);
	if (!whole) {
		(void)lists_run(j, false);
		dkim_verifier_need(j->dkim, j->facts);
		return false;
	}
	envelope &= lists_run(j, true);
	envelope &= run_signatures(j);
	return run_dmarc(j) && envelope;
}

static bool is_below(struct bytes domain, struct bytes top)
{
	return domain.len > top.len && domain.ptr[domain.len - top.len - 1] == '.' &&
	       bytes_equal_nocase(bytes_skip(domain, domain.len - top.len), top);
}

static bool is_from(struct bytes domain, struct bytes from)
{
	return domain.len > 0 && (lookalike_same_owner(domain, from) || is_below(domain, from) ||
	                          is_below(from, domain));
}

/* Where there is no policy, what aligns in the relaxed way proves From as well. */
struct bytes checks_proved_from(const struct judging *j)
{
	struct bytes from = content_seen(j->content)->from_domain;

	if (from.len == 0 || j->dmarc.result == DMARC_FAIL)
		return (struct bytes){0};
	if (j->dmarc.result == DMARC_PASS)
		return from;
	for (size_t i = 0; i < j->signature_count; i++)
		if (j->signatures[i].result == DKIM_PASS && is_from(j->signatures[i].domain, from))
			return j->signatures[i].domain;
	return j->spf.result == SPF_PASS && is_from(j->spf.domain, from) ? j->spf.domain
	                                                                 : (struct bytes){0};
}

struct bytes checks_proved(const struct judging *j)
{
	struct dmarc_input in = dmarc_input_of(j);
	struct bytes from = checks_proved_from(j);

	return from.len ? from : dmarc_proved(&in, &j->dmarc);
}

void checks_report(const struct judging *j, struct buf *out)
{
	struct dmarc_input in = dmarc_input_of(j);

	dmarc_row_pack(&in, &j->spf, &j->dmarc, out);
}

/* ---- as evidence ---- */

void checks_add(struct judging *j, const struct evidence *e)
{
	if (j->evidence_count < EVIDENCE_MAX)
		j->evidence[j->evidence_count++] = *e;
}

static void say(struct judging *j, const char *check, enum evidence_says says, int points,
                enum judge_action wants, struct bytes text)
{
	checks_add(j, &(struct evidence){.check = bytes_of_text(check),
	                                 .says = says,
	                                 .points = points,
	                                 .wants = wants,
	                                 .text = text});
}

/* How much a result weighs: an indexed table a check. Failed authentication alone is little: honest mail is forwarded. */
struct weight {
	enum evidence_says says;
	int points;
};

static const struct weight of_spf[SPF_RESULTS] = {
        [SPF_NONE] = {EVIDENCE_NEUTRAL, 20},      [SPF_NEUTRAL] = {EVIDENCE_NEUTRAL, 20},
        [SPF_PASS] = {EVIDENCE_GOOD, -10},        [SPF_FAIL] = {EVIDENCE_BAD, 150},
        [SPF_SOFTFAIL] = {EVIDENCE_BAD, 60},      [SPF_TEMPERROR] = {EVIDENCE_DOUBT, 0},
        [SPF_PERMERROR] = {EVIDENCE_NEUTRAL, 30},
};

static void weigh_spf(struct judging *j)
{
	struct weight w = of_spf[j->spf.result];

	say(j, "spf", w.says, w.points, JUDGE_ACCEPT,
	    arena_printf(&j->arena, "%s for %.*s%s%.*s", spf_result_name(j->spf.result),
	                 BYTES_ARG(j->spf.domain), j->spf.reason.len ? ": " : "",
	                 BYTES_ARG(j->spf.reason)));
}

static const struct weight of_dkim[DKIM_RESULTS] = {
        [DKIM_NONE] = {EVIDENCE_NEUTRAL, 20},      [DKIM_PASS] = {EVIDENCE_GOOD, -10},
        [DKIM_FAIL] = {EVIDENCE_NEUTRAL, 30},      [DKIM_POLICY] = {EVIDENCE_NEUTRAL, 20},
        [DKIM_NEUTRAL] = {EVIDENCE_NEUTRAL, 20},   [DKIM_TEMPERROR] = {EVIDENCE_DOUBT, 0},
        [DKIM_PERMERROR] = {EVIDENCE_NEUTRAL, 30},
};

/* Of several signatures the best counts. */
static const struct dkim_verdict *best_signature(const struct judging *j)
{
	const struct dkim_verdict *best = NULL;

	for (size_t i = 0; i < j->signature_count; i++) {
		const struct dkim_verdict *v = &j->signatures[i];

		if (!best || v->result == DKIM_PASS ||
		    (v->result == DKIM_TEMPERROR && best->result != DKIM_PASS))
			best = v;
		if (v->result == DKIM_PASS)
			break;
	}
	return best;
}

static void weigh_dkim(struct judging *j)
{
	const struct dkim_verdict *v = best_signature(j);
	struct weight w = of_dkim[v ? v->result : DKIM_NONE];

	say(j, "dkim", w.says, w.points, JUDGE_ACCEPT,
	    v ? arena_printf(&j->arena, "%s for %.*s%s%.*s", dkim_result_name(v->result),
	                     BYTES_ARG(v->domain), v->reason.len ? ": " : "", BYTES_ARG(v->reason))
	      : BYTES("no signature"));
}

/* A domain that asks for refusal is obeyed, but not where a chain of hosts that the operator trusts vouches that the mail was good
 * before a list or forwarder changed it (RFC 8617, 7.2): then it is only marked. Where proof could not be had, a mail that would
 * be refused without it has to come again: anybody can name a selector whose name server is dead. */
static void weigh_dmarc(struct judging *j)
{
	const struct dmarc_verdict *d = &j->dmarc;
	bool obey = j->options->config->judge_dmarc == DMARC_OBEY;
	const struct config_words *sealers = &j->options->config->judge_sealers;
	bool handed_on = arc_vouches(&j->arc, content_seen(j->content)->from_domain, sealers->items,
	                             sealers->count);
	struct bytes text = arena_printf(
	        &j->arena, "%s for %.*s, which asks for %s%s", dmarc_result_name(d->result),
	        BYTES_ARG(content_seen(j->content)->from_domain), dmarc_policy_name(d->policy),
	        handed_on ? "; ARC vouches for it" : "");

	if (d->result == DMARC_PASS)
		say(j, "dmarc", EVIDENCE_GOOD, -50, JUDGE_ACCEPT, text);
	else if (d->result == DMARC_TEMPERROR)
		say(j, "dmarc", EVIDENCE_DOUBT, 0,
		    obey && !handed_on && d->policy == DMARC_POLICY_REJECT ? JUDGE_DEFER
		                                                           : JUDGE_ACCEPT,
		    text);
	else if (d->result != DMARC_FAIL)
		say(j, "dmarc", EVIDENCE_NEUTRAL, 0, JUDGE_ACCEPT, BYTES("no policy"));
	else if (d->policy == DMARC_POLICY_REJECT)
		say(j, "dmarc", EVIDENCE_BAD, handed_on ? 200 : 600,
		    handed_on || !obey ? JUDGE_ACCEPT : JUDGE_REFUSE, text);
	else if (d->policy == DMARC_POLICY_QUARANTINE)
		say(j, "dmarc", EVIDENCE_BAD, handed_on ? 100 : 300,
		    handed_on || !obey ? JUDGE_ACCEPT : JUDGE_JUNK, text);
	else
		say(j, "dmarc", EVIDENCE_BAD, 60, JUDGE_ACCEPT, text);
}

/* Evidence, never alone: whole providers have no forward DNS. */
static void weigh_iprev(struct judging *j)
{
	switch (j->iprev.result) {
	case IPREV_PASS: say(j, "iprev", EVIDENCE_GOOD, 0, JUDGE_ACCEPT, j->iprev.name); break;
	case IPREV_FAIL:
		say(j, "iprev", EVIDENCE_BAD, 60, JUDGE_ACCEPT,
		    arena_printf(&j->arena, "%.*s does not lead back to the address",
		                 BYTES_ARG(j->iprev.name)));
		break;
	case IPREV_NONE:
		say(j, "iprev", EVIDENCE_BAD, 80, JUDGE_ACCEPT, BYTES("the address has no name"));
		break;
	default:
		say(j, "iprev", EVIDENCE_DOUBT, 0, JUDGE_ACCEPT,
		    BYTES("the name could not be looked up"));
		break;
	}
}

static void weigh_greeting(struct judging *j)
{
	struct bytes name = j->iprev.result == IPREV_PASS ? j->iprev.name : (struct bytes){0};
	struct evidence e;

	if (greeting_evidence(buf_bytes(&j->helo), &j->ip, name, j->options->config, &j->arena, &e))
		checks_add(j, &e);
}

static void weigh_arc(struct judging *j)
{
	if (j->arc.result != ARC_NONE)
		say(j, "arc", EVIDENCE_NEUTRAL, 0, JUDGE_ACCEPT,
		    arena_printf(&j->arena, "%s of %.*s", arc_result_name(j->arc.result),
		                 BYTES_ARG(j->arc.domain)));
}

static void weigh_content(struct judging *j, const struct answer_history *h)
{
	struct content_setting setting = {.config = j->options->config,
	                                  .rcpts = buf_bytes(&j->rcpts),
	                                  .sender = j->sender,
	                                  .proved = checks_proved_from(j)};
	size_t count = j->evidence_count;

	j->evidence_count += content_evidence(j->content, &setting, h, &j->arena,
	                                      j->evidence + count, EVIDENCE_MAX - count);
}

/* A From that programs show and the policies were not asked about, behind a line that is no field, in a line without end, or
 * further down than is read, would be the way around all of them. */
static void weigh_header(struct judging *j)
{
	unsigned froms = dkim_verifier_count(j->dkim, BYTES("from"));
	unsigned seen = content_seen(j->content)->from_count;

	if (froms == DKIM_UNKNOWN)
		say(j, "header", EVIDENCE_BAD, 300, JUDGE_JUNK,
		    BYTES("too long to be looked at whole"));
	else if ((froms > 0 && seen == 0) || (froms > 1 && seen == 1))
		say(j, "header", EVIDENCE_BAD, 300, JUDGE_JUNK,
		    BYTES("a From stands where it cannot be looked at"));
}

static struct verdict_threshold *thresholds_of(struct judging *j, size_t *ret_count)
{
	struct verdict_threshold *list = arena_get(&j->arena, (j->rcpt_count + 1) * sizeof(*list));
	struct wire w = wire_of(buf_bytes(&j->rcpts));
	size_t count = 0;

	while (!wire_end(&w))
		list[count++] = verdict_threshold_of(j->options->config, wire_block(&w));
	if (count == 0)
		list[count++] = verdict_threshold_of(j->options->config, (struct bytes){0});
	*ret_count = count;
	return list;
}

void checks_weigh(struct judging *j, const struct answer_history *h)
{
	struct verdict_threshold *thresholds;
	size_t count;

	weigh_spf(j);
	weigh_dkim(j);
	weigh_dmarc(j);
	weigh_arc(j);
	weigh_iprev(j);
	weigh_greeting(j);
	lists_weigh(j);
	weigh_content(j, h);
	weigh_header(j);
	thresholds = thresholds_of(j, &count);
	verdict_make(j->evidence, j->evidence_count, thresholds, count, &j->arena, &j->verdict);
	for (size_t i = 0; i < count && i < 64; i++) {
		if (verdict_action(&j->verdict, &thresholds[i]) >= JUDGE_JUNK)
			j->junk_of |= 1ULL << i;
	}
	for (size_t i = 0; i < j->evidence_count && buf_len(&j->packed) < JUDGING_EVIDENCE; i++)
		evidence_pack(&j->packed, &j->evidence[i]);
}
