/* The one result type of the house, and the human reason that goes with it.
 *
 * Every function that can fail returns enum result and is marked MUST_USE. Where the failure
 * happens, a sentence for a person is put into a struct why: what, where, and what to do. Lower
 * floors never log. */
#ifndef BASE_RESULT_H
#define BASE_RESULT_H

#define MUST_USE __attribute__((warn_unused_result))
#define PRINTF(nth, args) __attribute__((format(printf, nth, args)))

enum result {
	OK = 0,
	INVALID, /* breaks a grammar or a range: the asker's mistake; trying again does not help */
	TOO_BIG, /* above a limit of base/limits.h or of the configuration */
	NOT_FOUND,   /* no such thing */
	EXISTS,      /* it is there already */
	DENIED,      /* the asker has no right to it, or the password is wrong */
	OVER_QUOTA,  /* the account's quota is used up */
	DISK_FULL,   /* no space beyond the reserve */
	UNAVAILABLE, /* not now: busy, starting, stopping; try again */
	LOST,        /* the answerer died: whether it was done is unknown */
	DAMAGED,     /* a checksum does not match: this record is lost, others are not */
	FAILED,      /* the operating system said no; the reason says what */
	RESULT_COUNT
};

/* The name of a result, for logs: "over-quota". Never NULL. */
const char *result_name(enum result r);

/* A reason for a person; always NUL-terminated, cut when too long. */
struct why {
	char text[256];
};

/* Sets the reason and returns r, so that a function can end with `return why_set(why, INVALID,
 * ...)`. why may be NULL. */
enum result why_set(struct why *why, enum result r, const char *format, ...) PRINTF(3, 4);

#endif
