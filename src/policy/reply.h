/* What another host's reply means: is it this mailbox, this mail, our address, our domain, a rate,
 * the network? A table (policy/replies.def, each row with its source and an example) is read from
 * the top, most specific rows first; where none fits, the enhanced status (RFC 3463) and then the
 * code decide. No regular expressions.
 *
 *	struct reply_judgement judged;
 *	reply_judge(&(struct reply_facts){.code = 550, .status = BYTES("5.7.0"), .text = text,
 *	            .stage = REPLY_AT_RCPT, .host = mx, .own_sender = true}, &judged);
 *	if (judged.outcome == CARRY_HELD) ... the provider judged.provider blocks us: judged.link
 *
 * The two mistakes do not weigh the same: a block taken for a bad mailbox loses mail, a bad mailbox
 * taken for a block keeps a mail that should have gone back. So words that speak of our address win
 * over words that speak of a user. */
#ifndef POLICY_REPLY_H
#define POLICY_REPLY_H

#include "ask/ask.h"
#include "base/arena.h"
#include "base/ip.h"

enum reply_class {
	REPLY_OK,
	REPLY_MAILBOX,      /* this mailbox is bad: unknown, closed, moved */
	REPLY_MAILBOX_FULL, /* it is there, and has no room */
	REPLY_MAILBOX_OFF,  /* it is there, and switched off: suspended, inactive, locked */
	REPLY_DOMAIN, /* the recipient's domain: no such domain, takes no mail, host not responsible */
	REPLY_MAIL,         /* this mail: content, virus, size, form */
	REPLY_OURS_ADDRESS, /* our IP address: blocked, listed, no PTR. Whatever the mail */
	REPLY_OURS_DOMAIN,  /* our domain: SPF, DKIM, DMARC, a listed or unknown sender domain */
	REPLY_RATE,         /* too many, too fast: later, slower */
	REPLY_GREYLIST,     /* first try of an unknown sender: later */
	REPLY_NETWORK,      /* no reply at all: connect, DNS, TLS failed, connection broke */
	REPLY_TEMPORARY,    /* any other 4xx */
	REPLY_PERMANENT,    /* any other 5xx */
	REPLY_REFUSED,      /* the recipient's or sender's policy: not allowed to write to them */
	REPLY_PROTOCOL,     /* a command or extension not understood, a reply that is none */
	REPLY_CLASSES
};

enum reply_stage {
	REPLY_AT_CONNECT, /* the banner; no reply at all */
	REPLY_AT_HELO,
	REPLY_AT_TLS,
	REPLY_AT_AUTH,
	REPLY_AT_MAIL,
	REPLY_AT_RCPT,
	REPLY_AT_DATA, /* to DATA or BDAT */
	REPLY_AT_END,  /* after the mail's last octet */
};

struct reply_facts {
	unsigned code;       /* 550; 0: there was none */
	struct bytes status; /* "5.7.1" or empty: then it is looked for at the text's beginning */
	struct bytes
	        text; /* the reply, its lines joined with blanks, with or without code and status */
	enum reply_stage stage;
	struct bytes host; /* the MX host that said it; may be empty */
	const struct ip
	        *source; /* our address, NULL: not known. A text that names it is about us */
	bool own_sender; /* the envelope sender's domain is ours (or null): its SPF and DKIM are our fault */
	unsigned tries; /* of this recipient so far, this one not counted */
};

struct reply_judgement {
	enum reply_class class;
	/* What to do with the recipient: CARRY_DELIVERED, _DEFERRED, _FAILED or _HELD. */
	enum carry_outcome outcome;
	/* What it says about others: CARRIED_DESTINATION for what concerns the host, CARRIED_BUSY for a
	 * rate; else CARRIED_MAIL. */
	enum carried_scope scope;
	const char *row; /* "microsoft-s3150": the table's row; "status" or "code": none fitted */
	struct bytes provider; /* as provider_key(host) */
	struct bytes status;   /* given, found in the text, or x.0.0; a part of facts or static */
	struct bytes
	        link; /* where to ask: the text's URL when it names an address of ours, else the
	                          row's, the text's, the provider's; may be empty */
	uint32_t
	        retry_after; /* seconds that the text asks for or the row knows; 0: the schedule's */
};

/* Everything in *ret is borrowed from facts or static. Total: every input has a judgement. */
void reply_judge(const struct reply_facts *facts, struct reply_judgement *ret);

/* The same for text in which the code stands: "550 5.1.1 <a@b> User unknown", "smtp; 550-5.7.1 ...".
 * Fills code, status and text of *facts as far as they can be found; false: no code is there. */
bool reply_parse(struct bytes line, struct reply_facts *facts);

/* The first address that a text names. A host that refuses us says whom it saw: behind a NAT that is the
 * only place to learn our address from. */
bool reply_find_address(struct bytes text, struct ip *ret);

/* "ours-address": for logs, ledger and --json. Never NULL. */
const char *reply_class_name(enum reply_class class);

/* What happened and what to do, in a sentence or two for the person who sent the mail. */
const char *reply_class_words(enum reply_class class, bool japanese);

#endif
