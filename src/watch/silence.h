/* When is silence worth telling? From how mail of one kind (of one person to another, of a list, of a host's jobs) came
 * so far: a pure function of its own rhythm.
 *
 *	struct silence s = {0};
 *	silence_unpack(record, &s);
 *	silence_arrived(&s, now);
 *	due = silence_due(&s, SILENCE_PAIR);           0: no rhythm that anybody could miss
 *	silence_pack(&s, &record);
 *
 * What counts are the quiet stretches between mails, by the weekday on which they began: who writes on working days is
 * silent for three days from every Friday on, and for one from Monday on. Where nearly all stretches are alike, one that
 * is a quarter longer than any (for people: half as long again) is too long; where they are not, four times the longest.
 * It takes weeks to know a rhythm; before that nothing is missed. */
#ifndef WATCH_SILENCE_H
#define WATCH_SILENCE_H

#include "base/buf.h"
#include "base/time.h"

enum silence_kind {
	SILENCE_PAIR, /* two people: missed only after long regularity */
	SILENCE_LIST,
	SILENCE_HOST, /* jobs: regular from the first week on */
	SILENCE_ALL,  /* everything that comes from outside */
};

enum { SILENCE_DAYS = 7, SILENCE_KEPT = 8, SILENCE_RECENT = 48 };

struct silence {
	uint64_t count;
	time_ms first, last; /* 0: none came yet */
	uint32_t stretches[SILENCE_DAYS]
	                  [SILENCE_KEPT]; /* minutes, of at least SILENCE_STRETCH; 0: none yet */
	uint8_t at[SILENCE_DAYS];         /* which is overwritten next */
	uint32_t recent[SILENCE_RECENT]; /* the last ones of any length, minutes + 1; 0: none yet */
	uint8_t recent_at;
};

/* A mail came. Times that go backwards count as now. */
void silence_arrived(struct silence *s, time_ms at);

/* From when on its silence is worth an incident; 0: never. */
time_ms silence_due(const struct silence *s, enum silence_kind kind);

/* The longest stretch that is known, in minutes. */
uint32_t silence_usual(const struct silence *s);

void silence_pack(const struct silence *s, struct buf *out);
/* A record that does not fit is an empty one. */
void silence_unpack(struct bytes record, struct silence *ret);

/* Which kind, and its key: "list ml@example.test", "host nas.example.test", "pair a@x > b@y"; by the envelope alone.
 * Lists are known by their bounce addresses (owner-, -bounces, -return-...), jobs by who sends them (root@, cron@ ...).
 * False: nothing that could be missed. */
bool silence_key(struct bytes sender, struct bytes rcpt, enum silence_kind *ret_kind,
                 struct buf *ret_key);
/* Of such a key. */
enum silence_kind silence_kind_of(struct bytes key);

#endif
