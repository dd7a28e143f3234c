/* What is done with a mail: the sum of all evidence against the recipients' thresholds, in words.
 *
 *	struct verdict_threshold t = verdict_threshold_of(config, rcpt);
 *	verdict_make(evidence, count, thresholds, n, &arena, &v);
 *	v.action, v.score, v.why                      what the mail as a whole gets, and its X-Hikyaku-Verdict
 *	verdict_action(&v, &t)                        what this recipient alone would get
 *
 * Points of all evidence add up. At the junk threshold a mail goes to the Junk folder, at the refuse threshold it is refused.
 * A check that wants a certain action gets at least that, whatever the sum is.
 *
 * Not so for a sender whom we know (evidence "history" that is GOOD and stands on proof): such mail is never refused or
 * deferred, and goes to Junk at worst; only a filter that the operator put there himself (milter.*) may do more.
 *
 * One DATA has one answer: a mail is refused or deferred only if every recipient's thresholds say so. */
#ifndef POLICY_VERDICT_H
#define POLICY_VERDICT_H

#include "config/config.h"
#include "policy/evidence.h"

/* In hundredths of a point. 0: never. */
struct verdict_threshold {
	int junk, refuse;
};

struct verdict {
	enum judge_action action; /* the mildest of what the recipients get */
	int score;                /* hundredths */
	bool known;               /* the sender is known to us, and that is proved */
	bool junk;                /* some recipient gets it in Junk, though not all do */
	enum judge_action wanted; /* what checks alone ask for, before the sum is looked at */
	struct bytes why; /* one line, at most VERDICT_WHY octets, the weightiest evidence first:
	                             "7.40 of 5.00: dmarc 4.00 (...), list.dbl 3.00 (...), history -0.60" */
	struct bytes
	        reason; /* one line for the sender, of the weightiest evidence; empty when accepted */
};

enum { VERDICT_WHY = 800, VERDICT_REASON = 200 };

/* `judge` and `judge-for` of the configuration. rcpt is canonical. */
struct verdict_threshold verdict_threshold_of(const struct config *c, struct bytes rcpt);

/* thresholds: of each recipient, at least one. Strings of ret come from the arena. */
void verdict_make(const struct evidence *list, size_t count,
                  const struct verdict_threshold *thresholds, size_t recipients,
                  struct arena *arena, struct verdict *ret);

/* What one recipient would get. */
enum judge_action verdict_action(const struct verdict *v, const struct verdict_threshold *t);

#endif
