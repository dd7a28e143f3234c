/* What an incident says: its kinds, and from kind, key and facts the title, cause, cost and what to
 * do, in English and Japanese. The rows themselves are the store's; whoever raises one (ask INCIDENT)
 * puts the facts in, as lines `name=value`, and the words are made when somebody reads them, so that
 * a better text also serves old incidents.
 *
 *	struct incident_texts t;
 *	incident_texts(INCIDENT_BLOCKED, BYTES("google"), facts, false, &arena, &t);
 *	printf("%.*s\n%.*s\n", BYTES_ARG(t.title), BYTES_ARG(t.what_to_do));
 *
 * Whoever reads a row adds the facts `number` (its id) and `dir` (the server's folder), which the
 * commands in the texts name; without them they say ID and DIR. Facts that are missing leave a phrase
 * out; nothing here fails. Unknown
 * kinds (of a newer program) get a plain text. */
#ifndef WATCH_INCIDENT_H
#define WATCH_INCIDENT_H

#include "base/arena.h"
#include "base/buf.h"

/* Numbers are kept in the store: only added, never reused. Key and facts of each: */
enum incident_kind {
	INCIDENT_NONE = 0,

	/* A provider refuses our address. Key: provider (policy/provider.h).
	 * Facts: address (ours), helo (our name), host (theirs), time (RFC 3339), reply (code and text, one
	 * line), row (policy/replies.def), link, rcpt_domain (an example of whom the mail was for),
	 * domains (a few, separated by spaces), held (mails kept, a number). */
	INCIDENT_BLOCKED = 1,

	/* Outbound port 25 is throttled or closed. Key: "port25" or the source address.
	 * Facts: address, state (partly|closed), silent, answered (networks), route (the fallback route in
	 * use; empty: none configured), held. */
	INCIDENT_NETWORK = 2,

	/* An account's sending changed suddenly. Key: the account's address, or uid:N.
	 * Facts: account, reason (a word: recipients|unknown|networks|volume), detail, usual, now, peer
	 * (an address that it sends from), held. */
	INCIDENT_SENDING = 3,

	/* Names cannot be resolved. Key: "resolver" or a zone. Facts: name, type, reason, failing, asked. */
	INCIDENT_DNS = 4,

	/* A provider refuses our domain: SPF, DKIM, DMARC, listed. Key: our domain.
	 * Facts: domain, provider, host, time, reply, link, row, held. */
	INCIDENT_DOMAIN = 5,

	/* A domain of ours sends without DKIM although keys are wanted, or its key is not published.
	 * Key: our domain. Facts: domain, selector, reason. */
	INCIDENT_DKIM = 6,

	/* Much mail waits for one destination whose hosts do not answer. Key: the destination.
	 * Facts: destination, hosts, reason, queued, expires (when the oldest goes back, RFC 3339). */
	INCIDENT_DESTINATION = 7,

	/* TLS that DANE or MTA-STS demands cannot be had. Key: the destination.
	 * Facts: destination, host, policy (dane|mta-sts|requiretls), reason, queued. */
	INCIDENT_TLS = 8,

	/* A smarthost refuses us or our password. Key: the route's name. Facts: route, host, reply, held. */
	INCIDENT_SMARTHOST = 9,

	/* Mail From one of our own addresses comes from outside, proves nothing, and comes from where its owner logs in: a mail
	 * program that lost its SMTP setting. Key: the address. Facts: address, ip (whence it came), name (its host), action
	 * (accept|junk|defer|refuse), id (the judgement's), time (RFC 3339). */
	INCIDENT_OWN_ADDRESS = 12,

	/* A check of mail may not refuse any more: it accused senders we know, or far more than it used to, or failed its
	 * tests. Key: the check (list.zen). Facts: check, zone, cause (known-senders|clean-mail|rate|tests), bad_since, returns
	 * (RFC 3339), accused, known (mails in a day), tests. */
	INCIDENT_CHECK = 10,

	/* A check of mail gives no usable answers: nothing is checked by it. Key: the check. Facts: check, zone, since
	 * (RFC 3339), doubt (what it answered), tests. */
	INCIDENT_BLIND = 11,

	/* A provider's hosts have names that do not lead back to them (no forward-confirmed reverse DNS), and people whom our
	 * users know write from there. Key: the names' domain, or a network. Facts: network, ip, name (of one host), sender,
	 * action (accept|junk|defer|refuse: what that mail got), id (its judgement's). */
	INCIDENT_SENDERS = 13,

	/* Many addresses guess passwords or recipients at once. Key: "logins". Facts: addresses, banned,
	 * users (a few of those tried), first (an address), since. */
	INCIDENT_GUESSING = 14,

	/* A jail reads a log in which there are failures, and none of its rules ever matched. Key: the jail's
	 * name. Facts: jail, lines, suspicious, since, example (a line that looks like a failure). */
	INCIDENT_JAIL = 15,

	/* Mail that usually comes does not come any more. Key: "pair SENDER > RECIPIENT", "list ID", "host NAME".
	 * Facts: what (pair|list|host), from, to, last (RFC 3339), usual (the longest wait so far), silent (for how long
	 * now), seen (how many came). */
	INCIDENT_SILENCE = 16,

	/* The operator cannot be told. Key: the alarm's name. Facts: channel, way (webhook|mail|collect), reason,
	 * since (RFC 3339), waiting (alarms). */
	INCIDENT_CHANNEL = 17,

	/* What the DNS says of us is no longer what it said. Key: the domain, or our hostname. Facts: domain, records (what is
	 * wrong, one after the other), count, since. */
	INCIDENT_DRIFT = 18,

	INCIDENT_KINDS
};

struct incident_texts {
	struct bytes title; /* one line */
	struct bytes cause; /* what is wrong and how we know */
	struct bytes cost;  /* what it costs until it is mended, and what it does not */
	struct bytes
	        what_to_do; /* steps, lines, each with the exact `hikyaku` command where there is one */
	struct bytes
	        request; /* BLOCKED and DOMAIN: a letter to the provider's postmaster, OWN_ADDRESS: one to the
	                    user; in both languages, the reader's first; else empty */
	struct bytes link; /* where to ask; may be empty */
};

/* All from the arena. */
void incident_texts(unsigned kind, struct bytes key, struct bytes facts, bool japanese,
                    struct arena *arena, struct incident_texts *ret);

/* "blocked": the kind's word for logs, --json and commands; "unknown". */
const char *incident_kind_name(unsigned kind);
/* 0 (INCIDENT_NONE): no kind has this name. */
unsigned incident_kind_find(struct bytes name);

/* The value of a fact; empty: not there. Of several the last counts. */
struct bytes incident_fact(struct bytes facts, const char *name);
/* Appends a line; control characters of the value become blanks. An empty value adds nothing. */
void incident_fact_put(struct buf *facts, const char *name, struct bytes value);

#endif
