/* A mail of our own, handed in: signed with our keys (DKIM_KEYS, DKIM_SIGN), spooled, committed. A sealed machine over
 * asks, one open at a time.
 *
 *	struct posting *p = posting_new(config, &(struct posting_mail){.content = mail, .domain = ..., ...}, now);
 *	while (posting_ask(p, &a)) forward(&a);
 *	posting_answer(p, &answer);                      then drain the asks again
 *	if (posting_finished(p)) { posting_failed(p) says why it did not go in; posting_free(&p); }
 *
 * Without a key, or when keeper does not answer, it goes out unsigned. */
#ifndef CARRYING_POSTING_H
#define CARRYING_POSTING_H

#include "ask/ask.h"
#include "config/config.h"

struct posting_mail {
	struct bytes content; /* header and body, CRLF line ends */
	struct bytes domain;  /* whose keys sign: one of ours */
	struct bytes from;    /* the From address */
	struct bytes to;
	uint8_t key[16]; /* COMMIT's: the same key is the same mail */
};

struct posting;

/* Everything in mail is copied; config is borrowed for its life. */
struct posting *posting_new(const struct config *config, const struct posting_mail *mail,
                            time_ms now);
void posting_free(struct posting **p);
bool posting_ask(struct posting *p, struct ask *ret);
void posting_answer(struct posting *p, const struct answer *a);
bool posting_finished(const struct posting *p);
/* Once finished: empty: it is durable in the queue. */
struct bytes posting_failed(const struct posting *p);

#endif
