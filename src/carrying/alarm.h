/* One channel's alarms, told one after the other: webhooks by POST, signed where the channel has a secret; mail as mail.
 * A sealed machine over asks (ALARM, RESOLVE, ALARM_SIGN, FETCH; DKIM_KEYS, DKIM_SIGN, SPOOL, COMMIT; ALARM_DONE).
 *
 *	struct alarming *t = alarming_new(config, "ops", now);
 *	while (alarming_ask(t, &a)) forward(&a);
 *	alarming_answer(t, &answer);                    then drain the asks again
 *	if (alarming_finished(t)) alarming_free(&t);    no more for now: again in a moment
 *
 * An alarm is told when the other side says 2xx, or when the mail is durable in the queue. What fails ends the round:
 * the store says when it is tried again. One that was taken while we died is told twice; its id (webhook-id, Message-ID)
 * is the same. */
#ifndef CARRYING_ALARM_H
#define CARRYING_ALARM_H

#include "ask/ask.h"
#include "base/ip.h"
#include "config/config.h"

struct alarming;

enum { ALARMING_ADDRESSES = 16 };

/* Where a webhook's host was when it was last reached: that the DNS fails must be told, too. Kept from round to round by
 * whoever drives this; all zero at first. */
struct alarming_memory {
	struct ip addresses[ALARMING_ADDRESSES];
	size_t count;
	uint64_t host; /* map_hash of the name */
};

/* config and memory are borrowed for its life; channel: the section's name. */
struct alarming *alarming_new(const struct config *config, struct bytes channel,
                              struct alarming_memory *memory, time_ms now);
void alarming_free(struct alarming **t);
bool alarming_ask(struct alarming *t, struct ask *ret);
void alarming_answer(struct alarming *t, const struct answer *a);
bool alarming_finished(const struct alarming *t);

unsigned alarming_told(const struct alarming *t);
/* Why the last one was not; empty: none failed. */
struct bytes alarming_failed(const struct alarming *t);

#endif
