/* Conversation scam: mail that only wants an answer. No link and no attachment that a list could know, from a free-mail
 * address, to a group, speaking of letters that were never sent.
 *
 *	facts.claims_earlier = scam_claims_earlier(folded);   "my second letter", 再度, 2度目 ...
 *	facts.begs = scam_begs(folded);
 *	facts.group_named = scam_names_group(subject, rcpt, shown);
 *	if (scam_evidence(&facts, &arena, &e)) ...
 *
 * What it claims is weighed against what we know: "my third letter" from somebody who wrote twice is the truth. One mark alone
 * says nothing: an ordinary first letter to a group has two or three of them. */
#ifndef POLICY_SCAM_H
#define POLICY_SCAM_H

#include "base/arena.h"
#include "policy/evidence.h"

struct scam_facts {
	bool first_contact; /* HISTORY: we never had mail from this address, never wrote to it, and it answers nothing of ours */
	bool claims_earlier;  /* it says that it wrote before, or waits for an answer */
	bool begs;            /* it asks for a reply */
	bool group;           /* a recipient is an alias of several, or a role's name */
	bool group_named;     /* the subject begins with that group's name */
	bool free_mail;       /* From or Reply-To is at a free-mail provider */
	bool reply_elsewhere; /* Reply-To is at another domain than From */
	bool bait;            /* it offers money, work, an inheritance */
	bool plain;           /* no link, no attachment */
};

/* Phrases of several languages, by sense: a time counted ("3度目", "second") near a word for letter or contact, or the
 * complaint that no answer came. Text is folded. */
bool scam_claims_earlier(struct bytes folded);
bool scam_begs(struct bytes folded);
bool scam_baits(struct bytes folded);
/* subject folded; address canonical; shown: how To or Cc calls it, folded, may be empty. */
bool scam_names_group(struct bytes subject, struct bytes address, struct bytes shown);
bool scam_is_role(struct bytes local_part);
bool scam_is_free_mail(struct bytes domain);

/* False: nothing to say. */
bool scam_evidence(const struct scam_facts *f, struct arena *arena, struct evidence *ret);

#endif
