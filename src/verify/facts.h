/* DNS facts for the pure functions of this room: what the DNS was asked so far, what it said, and what is missing.
 *
 *	f = facts_need(facts, name, type);             NULL: not known yet; from now on it is named as missing
 *	while (facts_missing(facts, &name, &type)) ask RESOLVE, then facts_asked(facts, number)
 *	facts_answer(facts, &answer)                   by the ask's number
 *
 * The caller asks, adds, and calls the pure function again until nothing is missing. */
#ifndef VERIFY_FACTS_H
#define VERIFY_FACTS_H

#include "ask/ask.h"

/* Of one set: beyond it every fact is FACT_FAILED. More than all checks of one mail can name, with room for 19 lists of domains: who
 * could fill it would keep us from the fact that speaks against him. */
enum { FACTS_MAX = 1024 };

/* As RESOLVE's status. */
enum fact_status { FACT_FOUND, FACT_NO_DATA, FACT_NO_NAME, FACT_FAILED, FACT_BOGUS };

struct fact {
	struct bytes name; /* lower case, no dot at its end */
	uint16_t type;
	enum fact_status status;
	bool secure;
	struct bytes canonical; /* lower case, no dot at its end; empty: the name itself */
	struct bytes *records;  /* RDATA */
	size_t count;
	struct bytes reason;
	/* private */
	enum { FACT_WANTED, FACT_ASKED, FACT_KNOWN } state;
	uint32_t number;
};

struct facts;

struct facts *facts_new(void);
void facts_free(struct facts **f);

const struct fact *facts_need(struct facts *f, struct bytes name, uint16_t type);
/* The next that is wanted and was not asked for; the caller asks, then says so. */
bool facts_missing(const struct facts *f, struct bytes *ret_name, uint16_t *ret_type);
void facts_asked(struct facts *f, uint32_t number);
/* Nobody was there to ask: it is wanted again. False: nobody asked that. */
bool facts_again(struct facts *f, uint32_t number);
/* An answer to RESOLVE. Not OK: FACT_FAILED. False: nobody asked that. */
bool facts_answer(struct facts *f, const struct answer *a);
/* Nobody waits any longer: what is not known is FACT_FAILED. Answers that come late are nobody's. */
void facts_give_up(struct facts *f, struct bytes reason);
/* For tests: a fact without an ask. */
void facts_add(struct facts *f, struct bytes name, uint16_t type, const struct answer_resolve *a);

/* A name in wire form at the beginning of rdata (not compressed), as lower-case text without the dot at its end; the root is
 * empty. INVALID: none, or labels with dots or control characters in them. */
enum result facts_name(struct bytes rdata, struct arena *arena, struct bytes *ret) MUST_USE;
/* The strings of a TXT record, joined. */
enum result facts_text(struct bytes rdata, struct arena *arena, struct bytes *ret) MUST_USE;

#endif
