/* The reports on TLS of the days that are over (RFC 8460): one after the other, as mails and POSTs. A sealed machine over asks
 * (TLSRPT, RESOLVE, DKIM_KEYS, DKIM_SIGN, SPOOL, COMMIT, FETCH, TLSRPT_DONE), one open at a time but for RESOLVE.
 *
 *	struct tls_reporting *t = tls_reporting_new(config, seed, now);
 *	while (tls_reporting_ask(t, &a)) forward(&a);
 *	tls_reporting_answer(t, &answer);                     then drain the asks again
 *	if (tls_reporting_finished(t)) tls_reporting_free(&t);       no more for now: again in some hours
 *
 * A domain that no longer asks for reports gets none. One whose DNS fails is tried again later, for three days. A report that
 * cannot be delivered is not repeated (RFC 8460, 5.4 leaves that open): the next day has the next. */
#ifndef CARRYING_TLS_REPORT_H
#define CARRYING_TLS_REPORT_H

#include "ask/ask.h"
#include "config/config.h"

struct tls_reporting;

/* config is borrowed for its life; seed: random. */
struct tls_reporting *tls_reporting_new(const struct config *config, const uint8_t seed[16],
                                        time_ms now);
void tls_reporting_free(struct tls_reporting **t);
bool tls_reporting_ask(struct tls_reporting *t, struct ask *ret);
void tls_reporting_answer(struct tls_reporting *t, const struct answer *a);
bool tls_reporting_finished(const struct tls_reporting *t);
/* How many reports went out. */
unsigned tls_reporting_sent(const struct tls_reporting *t);

#endif
