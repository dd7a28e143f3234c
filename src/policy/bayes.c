/* The arithmetic is Gary Robinson's ("A Statistical Approach to the Spam Problem", Linux Journal, 2003): f(w) for each token,
 * Fisher's chi-square over the tokens both ways, and their difference. */
#include "policy/bayes.h"

#include <math.h>
#include <stdlib.h>

#include "base/memory.h"
#include "base/wire.h"

enum { SURE = 4 * BAYES_TRAINED }; /* mails of each kind from which on it counts in full */

/* How much the assumption "as often in junk as not" weighs, in mails; and how far from it a token must be to be used. */
static const double weight = 0.4, distance = 0.1;

static double share_of_junk(uint32_t bad, uint32_t good, double bad_total, double good_total)
{
	double b = bad / bad_total, g = good / good_total;
	double p = b + g > 0 ? b / (b + g) : 0.5;
	double n = (double)bad + good;

	return (weight * 0.5 + n * p) / (weight + n);
}

static int by_distance(const void *a, const void *b)
{
	double x = fabs(*(const double *)a - 0.5), y = fabs(*(const double *)b - 0.5);

	return x < y ? 1 : x > y ? -1 : 0;
}

/* The probability that chi-square with 2n degrees of freedom is at least x. */
static double chi_square(double x, unsigned n)
{
	double m = x / 2, term = exp(-m), sum = term;

	for (unsigned i = 1; i < n; i++) {
		term *= m / i;
		sum += term;
	}
	return sum < 1 ? sum : 1;
}

static double combine(const double *f, unsigned n)
{
	double junk = 0, other = 0, s, h;

	for (unsigned i = 0; i < n; i++) {
		other += log(f[i]);
		junk += log(1 - f[i]);
	}
	s = 1 - chi_square(-2 * junk, n);
	h = 1 - chi_square(-2 * other, n);
	return (1 + s - h) / 2;
}

struct bayes bayes_of(struct bytes tokens, uint32_t bad_total, uint32_t good_total)
{
	struct bayes ret = {.junk = 0.5, .bad = bad_total, .good = good_total};
	struct wire w = wire_of(tokens);
	double *f;
	unsigned n = 0;

	ret.trained = bad_total >= BAYES_TRAINED && good_total >= BAYES_TRAINED;
	if (!ret.trained || tokens.len < 8)
		return ret;
	f = memory_get(tokens.len / 8 * sizeof(*f));
	while (w.rest.len >= 8) {
		uint32_t bad = wire_u32(&w), good = wire_u32(&w);
		double share = share_of_junk(bad, good, bad_total, good_total);

		if (fabs(share - 0.5) >= distance)
			f[n++] = share;
	}
	if (n) {
		qsort(f, n, sizeof(*f), by_distance);
		ret.used = n < BAYES_TOKENS ? n : BAYES_TOKENS;
		ret.junk = combine(f, ret.used);
	}
	memory_free(f);
	return ret;
}

/* Hundredths by probability. */
static const struct {
	double least;
	int points;
} scale[] = {
        {0.999, 450}, {0.99, 350}, {0.95, 250}, {0.80, 100}, {0.20, 0}, {0.05, -50}, {0.01, -150},
};

void bayes_evidence(const struct bayes *b, struct arena *arena, struct evidence *ret)
{
	uint32_t least = b->bad < b->good ? b->bad : b->good;
	int points = -250;

	for (size_t i = 0; i < sizeof(scale) / sizeof(*scale); i++) {
		if (b->junk >= scale[i].least) {
			points = scale[i].points;
			break;
		}
	}
	if (least < SURE)
		points = points * (int)least / SURE;
	*ret = (struct evidence){.check = BYTES("bayes"),
	                         .says = points > 0   ? EVIDENCE_BAD
	                                 : points < 0 ? EVIDENCE_GOOD
	                                              : EVIDENCE_NEUTRAL,
	                         .points = points,
	                         .text = arena_printf(arena,
	                                              "junk %.3f by %u words, learnt from %u junk "
	                                              "and %u other mails",
	                                              b->junk, b->used, b->bad, b->good)};
}
