/* Who is kept out for a time, and for how long. What strangers do wrong is counted by address (IPv6: by /64)
 * and by network (IPv4 /24, IPv6 /48), forgotten by halves, and adds up to a ban; each further ban lasts
 * four times as long.
 *
 *	ban_offend(&book, &settings, &ip, BAN_UNKNOWN_USER, 1, now, &verdict);
 *	for (i = 0; i < verdict.count; i++) ... verdict.fresh[i] is banned from now on: write it down
 *	if (ban_find(&book, &settings, &ip, now)) ... drop the connection
 *	ban_good(&book, &ip, now);          somebody logged in rightly from there
 *
 * What must not happen is that our own people are kept out. So:
 *  - the same wrong password again is nothing: a phone that was forgotten tries its old one for months.
 *    Who tells that from guessing sees passwords (keeper); here it is `nth`, the number of different
 *    passwords that this address tried for this user, and 0 for one that it had tried before;
 *  - a network from which somebody logged in rightly within 30 days is good: there the first two passwords
 *    of each user cost nothing (an office on the morning after its passwords were changed), nor do those
 *    that the mechanism does not show; and it is never banned as a whole;
 *  - what is in the allow list is neither counted nor banned.
 *
 * A pure value: no clock; memory is bounded (BAN_RECORDS_MAX), the least recent go first. */
#ifndef POLICY_BAN_H
#define POLICY_BAN_H

#include "base/arena.h"
#include "base/ip.h"
#include "base/map.h"
#include "base/time.h"

/* Numbers stand in asks and in the log: only added. policy/ban.c has what each weighs. */
enum ban_offence {
	BAN_NOTHING,        /* a mail was taken: takes a little off the score */
	BAN_WRONG_PASSWORD, /* of an account that exists */
	BAN_UNKNOWN_USER,   /* a login for nobody */
	BAN_UNKNOWN_RCPT,   /* mail for an address of ours that does not exist */
	BAN_RELAY,          /* mail for others, from a stranger */
	BAN_PROBING,        /* another protocol, garbage, too many refused commands */
	BAN_EARLY,          /* it spoke before it was greeted */
	BAN_JAIL,           /* another service's log says so (policy/jail.h) */
	BAN_OPERATOR,       /* `hikyaku ban add`: never counted, only a reason */
	BAN_NEIGHBOURS,     /* several addresses of one network are banned: only a reason */
	BAN_OFFENCES
};

enum {
	BAN_RECORDS_MAX = 32768,
	BAN_POINT = 100,        /* scores are hundredths */
	BAN_NETWORK_FACTOR = 4, /* a network's threshold, in thresholds of one address */
	BAN_NETWORK_ADDRESSES = 5,
	BAN_NTH_UNSEEN =
	        255, /* `nth` where the mechanism does not show the password (SCRAM, CRAM-MD5) */
	BAN_CAMPAIGN_ADDRESSES = 30, /* so many guess at once: it is an attack from many places */
};
#define BAN_CAMPAIGN_MS (10 * 60 * 1000LL) /* ... within this */
#define BAN_CAMPAIGN_QUIET_MS (30 * 60 * 1000LL)
#define BAN_GOOD_MS (30 * 24 * 3600 * 1000LL)

struct ban_settings {
	bool on;
	uint32_t threshold; /* points */
	time_ms half_ms;    /* after which half of a score is forgotten */
	time_ms first_ms;   /* the first ban */
	time_ms most_ms;    /* the longest */
	const struct ip_prefix *allow;
	size_t allow_count;
};

struct ban_record {
	struct ip_prefix what; /* masked */
	uint32_t score;        /* hundredths, as of `scored` */
	time_ms scored;
	uint32_t counts[BAN_OFFENCES];
	time_ms first, last;     /* offences; 0: none */
	time_ms since, until;    /* the newest ban; until 0: never banned */
	uint32_t level;          /* bans so far, less one for each quiet week */
	uint64_t dropped;        /* connections refused because of it, since the start */
	time_ms good;            /* when somebody last logged in rightly from there; 0: never */
	uint32_t members;        /* of a network: different addresses that offended ... */
	uint32_t members_banned; /* ... and that were banned */
	time_ms members_since;
	time_ms guessed;     /* the last time that it was counted for a campaign */
	uint8_t reason;      /* enum ban_offence of the newest ban */
	struct bytes detail; /* owned by the book: what the operator said, or the jail's name */
};

struct ban_book {
	struct map records;
	uint32_t lengths[129]; /* how many records of each prefix length have a ban */
	size_t sweep;          /* where the next eviction looks */
	/* many addresses that guess at once */
	uint32_t guessers[2]; /* of this half of BAN_CAMPAIGN_MS and of the one before */
	time_ms half_at, campaign_since, campaign_last;
	uint32_t campaign_addresses, campaign_bans;
};

struct ban_verdict {
	struct ban_record *fresh[2]; /* banned by this very offence: the address, its network */
	size_t count;
	bool campaign_begins;
};

/* An offence. nth: see above; for offences without passwords 1. What happens from a banned address is
 * counted, too, but bans anew only when the ban is over. */
void ban_offend(struct ban_book *b, const struct ban_settings *s, const struct ip *ip,
                enum ban_offence what, unsigned nth, time_ms now, struct ban_verdict *ret);
/* The ban that keeps this address out now, or NULL; the widest where there are several. */
struct ban_record *ban_find(struct ban_book *b, const struct ban_settings *s, const struct ip *ip,
                            time_ms now);
/* What is known of exactly this network or address, or NULL. */
struct ban_record *ban_record_of(struct ban_book *b, const struct ip_prefix *what);
void ban_good(struct ban_book *b, const struct ip *ip, time_ms now);
bool ban_is_good(struct ban_book *b, const struct ip *ip, time_ms now);
/* Writes a ban down as it is (the operator's, or one read back). */
struct ban_record *ban_put(struct ban_book *b, const struct ip_prefix *what,
                           enum ban_offence reason, time_ms since, time_ms until, uint32_t level,
                           struct bytes detail);
/* Ends it and forgets what led to it. False: there is none. */
bool ban_lift(struct ban_book *b, const struct ip_prefix *what, time_ms now);
void ban_done(struct ban_book *b);

/* Is an attack from many places going on? Ends by itself after BAN_CAMPAIGN_QUIET_MS. While it lasts, half
 * of the threshold is enough for addresses that are not good, and users that do not exist weigh double:
 * two guesses are enough. */
bool ban_campaign(struct ban_book *b, time_ms now);

/* The unit that is counted: the address, or its /64; and its network: /24, /48. */
struct ip_prefix ban_unit(const struct ip *ip);
struct ip_prefix ban_network(const struct ip *ip);
bool ban_allowed(const struct ban_settings *s, const struct ip *ip);
uint32_t ban_score(const struct ban_record *r, const struct ban_settings *s, time_ms now);
const char *ban_offence_word(enum ban_offence what); /* "wrong-password" */
enum { BAN_TEXT = IP_TEXT + 4 };
/* "192.0.2.1", "192.0.2.0/24", "2001:db8::/64" */
void ban_format(const struct ip_prefix *what, char out[BAN_TEXT]);
/* An address means itself (IPv6: its /64); a prefix is taken as it is. INVALID: neither, or wider than
 * an IPv4 /8 or an IPv6 /16. */
enum result ban_parse(struct bytes text, struct ip_prefix *ret) MUST_USE;

#endif
