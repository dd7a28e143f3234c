/* What a mail says: read once as it comes in, decoded, and judged.
 *
 *	struct content *c = content_new();
 *	content_feed(c, run); ...                      any split, CRLF line ends or bare LF
 *	content_end(c);
 *	seen = content_seen(c);                        From, links, tokens, what HISTORY and lists are asked about
 *	count = content_evidence(c, &setting, history, &arena, list, EVIDENCE_MAX);
 *	content_free(&c);
 *
 * Of the mail it keeps header fields and text: at most CONTENT_KEEP octets, each text part up to CONTENT_PART; bodies that are
 * no text are passed over. Transfer encodings and charsets are taken off by mail/, HTML is reduced to what a person sees,
 * text is folded by NFKC. Bounded in memory and linear in time, whatever comes.
 *
 * Its evidence:
 *
 *	content       GTUBE; a link that shows another host than it leads to; own domain from outside
 *	name          a display name that holds another address, or one of our own people's
 *	lookalike     a domain that looks like one of ours
 *	scam          conversation scam (policy/scam.h)
 *	bayes         words (policy/bayes.h)
 *	history       what the sender did before, and whom our people wrote to
 *	own-address   one of our own addresses from outside: a lost setting, or forged */
#ifndef POLICY_CONTENT_H
#define POLICY_CONTENT_H

#include "ask/ask.h"
#include "base/ip.h"
#include "config/config.h"
#include "policy/evidence.h"

enum {
	CONTENT_KEEP = 256 * 1024,
	CONTENT_PART = 64 * 1024,
	CONTENT_HOSTS = 30,    /* of links */
	CONTENT_REPLIES = 10,  /* Message-IDs that it answers */
	CONTENT_RECEIVED = 5,  /* addresses in Received fields */
	CONTENT_TOKENS = 1000, /* policy/tokens.h */
};

struct content;

struct content *content_new(void);
void content_feed(struct content *c, struct bytes in);
void content_end(struct content *c); /* once */
void content_free(struct content **c);

/* After content_end; good until content_free. Text is UTF-8. */
struct content_seen {
	unsigned from_count; /* mailboxes in From fields */
	struct bytes
	        from; /* the address, domain canonical; empty when there is none or more than one */
	struct bytes from_domain; /* for DMARC; the same */
	struct bytes from_name;   /* display name */
	struct bytes reply_to;    /* the first address; may be empty */
	struct bytes subject;
	struct bytes message_id; /* without <> */
	struct bytes replies_to; /* blocks: Message-IDs without <> in In-Reply-To and References */
	struct bytes
	        received; /* 16 octets of struct ip each: clients that its Received fields name, the newest first */
	struct bytes tokens; /* u64 each: for HISTORY and JUDGED */
	const struct bytes
	        *hosts; /* of links, canonical, each once, as they come: for lists of domains */
	size_t host_count;
	unsigned links, attachments;
	bool gtube;
};

const struct content_seen *content_seen(const struct content *c);

/* What the mail is judged against. */
struct content_setting {
	const struct config *config;
	struct bytes rcpts;  /* blocks: canonical recipients */
	struct bytes sender; /* envelope */
	struct bytes proved; /* the domain that DMARC, DKIM or SPF proved for From's; empty: none */
};

/* Fills in what HISTORY asks of the content: from, tokens, replies_to, received. */
void content_history(const struct content *c, struct ask_history *ret);

/* Evidence; history NULL: it was not answered. Returns how many, at most max. Strings come from the arena. */
size_t content_evidence(const struct content *c, const struct content_setting *setting,
                        const struct answer_history *history, struct arena *arena,
                        struct evidence *ret, size_t max);

#endif
