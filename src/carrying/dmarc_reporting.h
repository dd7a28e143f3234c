/* DMARC's aggregate reports of the days that are over (RFC 9990): one domain after the other, as mails. A sealed machine over asks
 * (DMARC_DUE, RESOLVE, DKIM_KEYS, DKIM_SIGN, SPOOL, COMMIT, DMARC_DONE), one open at a time but for RESOLVE.
 *
 *	struct dmarc_reporting *t = dmarc_reporting_new(config, seed, now);
 *	while (dmarc_reporting_ask(t, &a)) forward(&a);
 *	dmarc_reporting_answer(t, &answer);                   then drain the asks again
 *	if (dmarc_reporting_finished(t)) dmarc_reporting_free(&t);   no more for now: again in some hours
 *
 * A report goes to another domain only if that one says that it wants it (RFC 9990, 4.2: NAME._report._dmarc.OTHER). Where the DNS
 * fails it waits, for three days at most; where a report cannot be delivered it is not repeated. */
#ifndef CARRYING_DMARC_REPORTING_H
#define CARRYING_DMARC_REPORTING_H

#include "ask/ask.h"
#include "config/config.h"

struct dmarc_reporting;

/* config is borrowed for its life; seed: random. */
struct dmarc_reporting *dmarc_reporting_new(const struct config *config, const uint8_t seed[16],
                                            time_ms now);
void dmarc_reporting_free(struct dmarc_reporting **t);
bool dmarc_reporting_ask(struct dmarc_reporting *t, struct ask *ret);
void dmarc_reporting_answer(struct dmarc_reporting *t, const struct answer *a);
bool dmarc_reporting_finished(const struct dmarc_reporting *t);
/* How many reports went out. */
unsigned dmarc_reporting_sent(const struct dmarc_reporting *t);

#endif
