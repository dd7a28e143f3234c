/* Is it like what people called junk? From how often each token was seen in junk and in other mail.
 *
 *	b = bayes_of(tokens, bad_total, good_total);      tokens: u32 bad, u32 good each, as HISTORY answers
 *	if (b.trained) bayes_evidence(&b, &arena, &e);
 *
 * Each token's share of junk is drawn towards 1/2 the less it was seen (Robinson); the BAYES_TOKENS that say most are
 * combined by Fisher's method, which can also say "I do not know" (about 1/2). Nothing is said before BAYES_TRAINED mails of
 * both kinds were learnt, and little before four times as many. */
#ifndef POLICY_BAYES_H
#define POLICY_BAYES_H

#include "base/arena.h"
#include "policy/evidence.h"

enum { BAYES_TOKENS = 150, BAYES_TRAINED = 10 };

struct bayes {
	bool trained;
	double junk;        /* 0 to 1; 1/2: it does not know */
	unsigned used;      /* tokens that said something */
	uint32_t bad, good; /* mails learnt */
};

struct bayes bayes_of(struct bytes tokens, uint32_t bad_total, uint32_t good_total);
void bayes_evidence(const struct bayes *b, struct arena *arena, struct evidence *ret);

#endif
