/* Did what an owner sends change suddenly? A pure function: figures in, verdict out, so that it can be tried
 * on invented lives without a store.
 *
 *	verdict = sending_judge(&facts);
 *	if (verdict.reason != SENDING_FINE) ... hold its sending, raise an incident
 *
 * What it must catch: a stolen password, from which hundreds of mails to strangers go out. What it must
 * leave alone: a newsletter that goes out as every week, a wedding invitation, a new account's first days,
 * a script that always sent much. So everything is compared with the owner's own earlier days, with a
 * floor below which nothing is remarkable. */
#ifndef STORE_SENDING_JUDGE_H
#define STORE_SENDING_JUDGE_H

#include <stdint.h>

struct sending_figures {
	uint32_t messages, recipients;
	uint32_t fresh;            /* recipients that it had never written to */
	uint32_t unknown, results; /* final answers: no such user; all of them */
};

struct sending_facts {
	struct sending_figures
	        day; /* the last 24 hours, or since an operator found it to be well */
	struct sending_figures most; /* of each figure the largest on an earlier day */
	unsigned days;               /* earlier days on which it sent anything */
	unsigned age_days;           /* since the account was made */
	unsigned networks;           /* that it logged in from before */
	unsigned networks_new;       /* ... and for the first time in these 24 hours */
};

enum sending_reason {
	SENDING_FINE,
	SENDING_RECIPIENTS, /* many people that it never wrote to */
	SENDING_UNKNOWN,    /* many addresses that do not exist */
	SENDING_NETWORKS,   /* from many new networks at once, to new people */
	SENDING_VOLUME,     /* very many more mails than ever */
};

struct sending_verdict {
	enum sending_reason reason;
	uint32_t now, usual; /* the figure that did it */
};

struct sending_verdict sending_judge(const struct sending_facts *f);
const char *sending_reason_word(enum sending_reason reason); /* "recipients" */

#endif
