/* The daily digests of refused mail: one recipient after the other is told what was refused on his behalf. A sealed machine over asks
 * (DIGEST, those of posting.h, DIGEST_DONE), one open at a time.
 *
 *	struct digesting *d = digesting_new(config, now);
 *	while (digesting_ask(d, &a)) forward(&a);
 *	digesting_answer(d, &answer);                     then drain the asks again
 *	if (digesting_finished(d)) digesting_free(&d);    no more for now
 *
 * A digest of a recipient and a day is one mail, however often it is tried: its COMMIT's key says which. */
#ifndef CARRYING_DIGEST_H
#define CARRYING_DIGEST_H

#include "ask/ask.h"
#include "config/config.h"

struct digesting;

/* config is borrowed for its life. */
struct digesting *digesting_new(const struct config *config, time_ms now);
void digesting_free(struct digesting **d);
bool digesting_ask(struct digesting *d, struct ask *ret);
void digesting_answer(struct digesting *d, const struct answer *a);
bool digesting_finished(const struct digesting *d);
/* How many digests went out. */
unsigned digesting_sent(const struct digesting *d);

/* The mail, header and body, in the language that the answer says. Appends. */
void digest_mail(const struct config *config, const struct answer_digest *a, time_ms now,
                 struct buf *out);

#endif
