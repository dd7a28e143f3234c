/* The room's inside. judging.c: the verbs and steps; checks.c: what the checks say; lists.c: what
 * block lists say; header.c: what the mail is told about. */
#ifndef JUDGING_INSIDE_H
#define JUDGING_INSIDE_H

#include "judging/judging.h"
#include "policy/content.h"
#include "verify/arc.h"
#include "verify/dkim.h"
#include "verify/dmarc.h"
#include "verify/facts.h"
#include "verify/iprev.h"
#include "verify/spf.h"

enum judging_step {
	STEP_NONE,    /* no mail */
	STEP_COMING,  /* its facts are asked while it comes */
	STEP_FACTS,   /* all of it is here; facts are missing */
	STEP_HISTORY, /* HISTORY is asked */
	STEP_JUDGED,  /* JUDGED is asked */
	STEP_DONE
};

enum { JUDGING_EVIDENCE = 24 * 1024 }; /* octets told to the store: JUDGED is one message */

struct judging {
	const struct judging_options *options;
	struct ip ip;
	struct buf helo;
	time_ms now;

	/* of one mail: reset whole */
	struct arena arena;
	enum judging_step step;
	struct facts *facts;
	bool look; /* something came: the checks may get further */
	unsigned open;
	time_ms patience_until;
	bool impatient; /* what is not known by now is taken as failed */
	struct bytes sender;
	struct buf rcpts; /* blocks */
	size_t rcpt_count;
	struct dkim_verifier *dkim;
	struct content *content;
	uint32_t number; /* of HISTORY or JUDGED */
	bool asked;

	bool spf_known, iprev_known, dkim_known, arc_known, dmarc_known;
	struct spf_verdict spf;
	struct iprev_verdict iprev;
	struct dkim_verdict *signatures;
	size_t signature_count;
	struct arc_verdict arc;
	struct dmarc_verdict dmarc;

	struct listed *lists;  /* of each list of the options */
	struct bytes *domains; /* that lists of domains are asked about */
	size_t domain_count;

	struct evidence evidence[EVIDENCE_MAX];
	size_t evidence_count;
	struct buf packed; /* the same, for JUDGED */
	struct buf report; /* checks_report */
	uint32_t known;    /* enum history_known */
	struct verdict verdict;
	uint64_t junk_of; /* bit n: the verdict junks it for recipient n */
	struct judging_result result;
};

/* checks.c */

/* Runs every check as far as its facts go. True: all are decided (those that need the whole mail only when whole). */
bool checks_run(struct judging *j, bool whole);
/* Evidence of all that was decided and of what the store remembers; and the verdict. */
void checks_weigh(struct judging *j, const struct answer_history *h);
/* The domain that DMARC, DKIM or SPF proved for From's own; empty: none. */
struct bytes checks_proved_from(const struct judging *j);
/* The same; without it any domain that was proved, whoever From says it is. */
struct bytes checks_proved(const struct judging *j);
/* The mail's row for the domain's aggregate report; appends. */
void checks_report(const struct judging *j, struct buf *out);
void checks_add(struct judging *j, const struct evidence *e);

struct bytes checks_domain(struct bytes address); /* after the last @; empty: there is none */

/* lists.c */

/* As checks_run: those of domains only when the whole mail is here. */
bool lists_run(struct judging *j, bool whole);
void lists_weigh(struct judging *j);

/* header.c: appends. */
void header_make(struct judging *j, struct buf *out);

#endif
