/* What a domain must publish in the DNS so that its mail comes, goes, and is believed; and how that differs from what is there
 * now. Pure: the records come from the question, the check is a restartable function over facts.
 *
 *	struct publish_question q = {.domain = ..., .hostname = ..., .keys = ..., ...};
 *	publish_zone(&q, japanese, &out);                          a piece of zone file
 *	while (publish_check(&q, facts, &arena, &list) == UNAVAILABLE)
 *		ask for what facts say is missing, add the answers
 *	for each finding: publish_say(&list.items[i], PUBLISH_DO, japanese, &out)
 *
 * Every finding has a level: an error costs mail, a warning costs trust or will cost mail, a note is an offer. What each one causes
 * and what to do stands in publish.def, in English and Japanese. */
#ifndef VERIFY_PUBLISH_H
#define VERIFY_PUBLISH_H

#include "base/ip.h"
#include "dns/dns.h"
#include "verify/facts.h"

struct publish_key {
	struct bytes selector, record; /* "v=DKIM1; ..." */
	enum dkim_key_state state;
};

struct publish_question {
	struct bytes domain, hostname; /* canonical */
	const struct ip
	        *addresses; /* ours, as others see them; none: what the host's name leads to */
	size_t address_count;
	const struct publish_key *keys;
	size_t key_count;
	const struct bytes *spki; /* SHA-256 of each of our certificates' public keys, 32 octets */
	size_t spki_count;
	/* What clients may be told of; 0: not offered. */
	uint16_t imaps, pop3s, submissions, submission;
	bool smarthost; /* mail leaves through other hosts, which SPF must name too */
};

/* ---- what to publish ---- */

enum publish_place {
	PUBLISH_DOMAIN,  /* in the domain's zone */
	PUBLISH_HOST,    /* in the zone of the host's name */
	PUBLISH_REVERSE, /* whoever gave the address makes it */
	PUBLISH_OFFER,   /* in the domain's zone, and only with what the comment says */
};

struct publish_record {
	enum publish_place place;
	struct bytes name; /* whole, no dot at its end */
	uint16_t type;
	struct bytes text; /* RDATA as a zone file has it; empty: only the operator knows it */
	const char *english, *japanese; /* what for */
};

enum { PUBLISH_RECORDS = 64, PUBLISH_FINDINGS = 64 };

struct publish_records {
	struct publish_record items[PUBLISH_RECORDS];
	size_t count;
};

void publish_records(const struct publish_question *q, struct arena *arena,
                     struct publish_records *ret);

/* As a piece of zone file, whole names, what belongs elsewhere or is an offer as comments. */
void publish_zone(const struct publish_question *q, bool japanese, struct buf *out);

/* The MTA-STS policy (RFC 8461, 3.2) for our host, in testing mode, and the id that goes with exactly this text. */
void publish_sts_policy(const struct publish_question *q, struct buf *out);
struct bytes publish_sts_id(const struct publish_question *q, struct arena *arena);

/* ---- what differs ---- */

enum publish_level { PUBLISH_ERROR, PUBLISH_WARNING, PUBLISH_NOTE };

enum publish_problem {
#define PROBLEM(NAME, name, level, what, what_ja, causes, causes_ja, remedy, remedy_ja) \
	PUBLISH_##NAME,
#include "verify/publish.def"
#undef PROBLEM
	PUBLISH_PROBLEMS
};

struct publish_finding {
	enum publish_problem problem;
	struct bytes name; /* whose record */
	struct bytes have; /* what is published */
	struct bytes want; /* what should be */
};

struct publish_findings {
	struct publish_finding items[PUBLISH_FINDINGS];
	size_t count;
};

/* OK; UNAVAILABLE: facts are missing, which they now know. */
enum result publish_check(const struct publish_question *q, struct facts *facts,
                          struct arena *arena, struct publish_findings *ret) MUST_USE;

const char *publish_problem_name(enum publish_problem p); /* "ptr-other" */
enum publish_level publish_problem_level(enum publish_problem p);

enum publish_part { PUBLISH_WHAT, PUBLISH_CAUSES, PUBLISH_DO };
/* One sentence or two, without a line end. Appends. */
void publish_say(const struct publish_finding *f, enum publish_part part, bool japanese,
                 struct buf *out);

#endif
