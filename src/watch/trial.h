/* A check on trial: what it says of senders that we know to be good, of mail that nothing else speaks against, and of its own test
 * entries decides whether it may refuse. Pure: the store feeds it (store/check.c), keeps it, and acts on the events.
 *
 *	struct trial t = {.tested = true};                 a list: it has test entries
 *	events = trial_hear(&t, &said);                    before the mail is answered: the one that trips it is not refused
 *	events = trial_tested(&t, now, TRIAL_TEST_WELL);
 *	events = trial_tick(&t, now);                      now and then: it may have been well for long enough
 *	if (trial_state(&t, now) != TRIAL_PROVEN) it refuses nothing
 *
 *	state      when
 *	PROVEN     nothing below
 *	UNPROVEN   a list whose test entries were never right, or were not asked for TRIAL_FRESH_MS
 *	BLIND      it has given no usable answer: TRIAL_DOUBTS in a row, or to its tests
 *	DEMOTED    it accused known senders beyond its tolerance, accuses otherwise clean mail (or all mail) far more often than it
 *	           used to, or failed its tests in the other direction (it lists everything)
 *
 * A demoted check goes on being asked, and comes back when nothing was wrong with it for its hold: 30 minutes after a failed
 * test, else 6 hours, doubled each time within a week, 7 days at most.
 *
 * Tolerance: two different domains of known senders within a day; more than 2% of them where there are many. Clean mail:
 * accusations of at least 4 domains in half an hour count when at twice the rate of the last 3 days they would be chance less than
 * once in 7,000. All mail: when at 80%, twice that rate, and the rate of its worst hour they would be chance less than once in a
 * million: waves of junk come and go. */
#ifndef WATCH_TRIAL_H
#define WATCH_TRIAL_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/time.h"
#include "base/wire.h"

enum {
	TRIAL_HOURS = 72,
	TRIAL_MINUTES = 30,
	TRIAL_HITS = 16,
	TRIAL_DOUBTS = 3,
	TRIAL_DOUBTS_UNTESTED =
	        20, /* of a check without tests: others' broken DNS is not its fault */
};

#define TRIAL_FRESH_MS (35LL * 60 * 1000)

/* Numbers of these are kept in the store. */
enum trial_state { TRIAL_PROVEN, TRIAL_UNPROVEN, TRIAL_BLIND, TRIAL_DEMOTED, TRIAL_STATES };
enum trial_cause {
	TRIAL_NO_CAUSE,
	TRIAL_KNOWN,     /* known senders */
	TRIAL_CLEAN,     /* the rate of otherwise clean mail */
	TRIAL_RATE,      /* the rate of all mail */
	TRIAL_MAD_TESTS, /* its tests */
	TRIAL_CAUSES
};
enum trial_test {
	TRIAL_UNTESTED,
	TRIAL_TEST_WELL,
	TRIAL_TEST_MAD,   /* also lists what it must not */
	TRIAL_TEST_MUTE,  /* no usable answer, or lists nothing */
	TRIAL_TEST_SILENT /* no answer at all: one lost answer is not yet blindness */
};

const char *trial_state_name(enum trial_state s); /* "proven" */
const char *trial_cause_name(enum trial_cause c); /* "known-senders" */

struct trial_count {
	int64_t at;                /* hour or minute since the epoch */
	uint32_t seen, bad;        /* usable answers; accusations */
	uint32_t good, good_bad;   /* of those about known senders */
	uint32_t clean, clean_bad; /* of those about mail that nothing else speaks against */
	uint32_t doubts;           /* answers that were none */
};

struct trial_hit {
	uint64_t who; /* a hash of the sender's domain */
	time_ms at;
};

struct trial {
	bool tested; /* it has test entries */
	time_ms first, last, last_usable;
	struct trial_count hours[TRIAL_HOURS], minutes[TRIAL_MINUTES];
	struct trial_hit known[TRIAL_HITS], clean[TRIAL_HITS]; /* the newest first */
	uint32_t doubts;                                       /* in a row */
	enum trial_test test;                                  /* the last */
	time_ms test_at, well_at;  /* the last; the last that was well */
	enum trial_cause cause;    /* of the demotion */
	time_ms demoted, troubled; /* 0: it is not; when something was wrong last */
	time_ms bad_since;  /* about when it went wrong: what it refused since is looked at again */
	uint32_t demotions; /* within a week of each other */
	time_ms restored;   /* the last time */
	time_ms blind;      /* since when it has checked nothing; 0: it does */
};

/* What a check said of one mail. */
struct trial_said {
	time_ms at;
	bool doubt;   /* it could not look: nothing below counts */
	bool accuses; /* it wants the mail in Junk or refused, or speaks heavily against it */
	bool known;   /* the sender is proved and known to be good */
	bool clean;   /* nothing else speaks against the mail, and something proves its sender */
	uint64_t who;
};

/* Bits. */
enum trial_event {
	TRIAL_DEMOTES = 1,
	TRIAL_RESTORES = 2,
	TRIAL_BLINDS = 4,
	TRIAL_SEES = 8,
};

unsigned trial_hear(struct trial *t, const struct trial_said *s);
unsigned trial_tested(struct trial *t, time_ms now, enum trial_test result);
unsigned trial_tick(struct trial *t, time_ms now);
/* The operator trusts it again. */
unsigned trial_restore(struct trial *t, time_ms now);

enum trial_state trial_state(const struct trial *t, time_ms now);
/* When a demoted check comes back if nothing more goes wrong; 0: it is not demoted. */
time_ms trial_returns(const struct trial *t);
/* Sums of the last hours; at most TRIAL_HOURS. */
struct trial_count trial_sum(const struct trial *t, time_ms now, unsigned hours);

/* Appends; fields are only added at the end. */
void trial_pack(const struct trial *t, struct buf *out);
void trial_unpack(struct bytes in, struct trial *ret);

#endif
