/* What a mail from strangers is worth: drives the checks of verify/ and policy/ while the mail comes in, asks the DNS, the
 * store's memory and at last the store itself, which knows whether a check can be trusted today.
 *
 *	struct judging *j = judging_new(&options, &ip, now);
 *	judging_hello(j, helo);
 *	judging_mail(j, sender);  judging_rcpt(j, rcpt) ...        facts are asked meanwhile
 *	judging_content(j, run) ...                                 as it came, dots taken off
 *	judging_end(j, now);
 *	while (judging_ask(j, number, &ask)) forward                and judging_answer(j, &answer)
 *	if ((r = judging_result(j))) obey it
 *
 *	MAIL     -> RESOLVE: SPF, reverse DNS, lists of addresses
 *	end      -> RESOLVE: DKIM, ARC, DMARC, lists of domains -> HISTORY -> verdict -> JUDGED -> result
 *
 * What is not known JUDGING_PATIENCE_MS after the mail's end counts as failed: a dead name server costs its own evidence, not
 * the mail. A store that does not answer JUDGED lets nothing be refused. Mail from options.trust is not judged.
 *
 * Sealed: no I/O, no clock. An engine's part, not an engine: it has no input and output of its own. */
#ifndef JUDGING_JUDGING_H
#define JUDGING_JUDGING_H

#include "ask/ask.h"
#include "base/ip.h"
#include "config/config.h"
#include "policy/dnsbl.h"
#include "policy/evidence.h"
#include "policy/verdict.h"

enum {
	JUDGING_PATIENCE_MS = 15 * 1000,
	JUDGING_ASKS = 8,          /* open at once */
	JUDGING_HEADER = 3 * 1024, /* octets of result.header at most */
};

/* Borrowed for the judging's life, strings included. */
struct judging_options {
	struct bytes hostname; /* the authserv-id, too */
	const struct config *config;
	struct dnsbl_list *lists;
	size_t list_count;
};

struct judging_options *judging_options_new(const struct config *c);
void judging_options_free(struct judging_options **o);

struct judging_result {
	enum judge_action action;
	uint64_t judgement;  /* COMMIT's; 0: it was not judged */
	uint64_t junk_of;    /* COMMIT's: accepted, and yet Junk for these */
	struct bytes id;     /* for the refusal's text: people quote it; may be empty */
	struct bytes reason; /* one line, for the sender; empty when accepted */
	struct bytes
	        header; /* Authentication-Results and X-Hikyaku-Verdict, CRLF line ends; may be empty */
};

struct judging;

/* NULL: who connects from there is not judged (judge.trust). */
struct judging *judging_new(const struct judging_options *o, const struct ip *ip, time_ms now);
void judging_free(struct judging **j);

void judging_hello(struct judging *j, struct bytes helo);
void judging_mail(struct judging *j, struct bytes sender,
                  time_ms now);                          /* a new mail; the last one is forgotten */
void judging_rcpt(struct judging *j, struct bytes rcpt); /* canonical; one that was accepted */
void judging_content(struct judging *j, struct bytes run);
void judging_end(struct judging *j, time_ms now);
void judging_reset(struct judging *j); /* that mail will not be */

bool judging_ask(struct judging *j, uint32_t number, struct ask *ret);
bool judging_answer(struct judging *j, const struct answer *a); /* false: not one of its asks */
time_ms judging_deadline(const struct judging *j);              /* TIME_NEVER: none */
void judging_tick(struct judging *j, time_ms now);

/* The client's name where reverse and forward DNS agree; empty: not known, or not yet. */
struct bytes judging_client_name(const struct judging *j);
/* NULL: not yet. Good until the next mail. */
const struct judging_result *judging_result(const struct judging *j);

#endif
