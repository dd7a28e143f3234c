/* What is told of an incident to somebody who is not looking: the octets of a webhook's request, a mail, one line. Pure:
 * the store keeps the rows (store/alarm.c), courier sends them (carrying/alarm.h), `hikyaku alarms run` hands them to a
 * command.
 *
 *	struct alarm a = {.event = ALARM_RAISED, .incident = 7, .kind = INCIDENT_BLOCKED, .key = BYTES("google"), ...};
 *	alarm_json(&a, &arena, &body);
 *	alarm_signed(&a, now, body, &content);          what the signature is over (standardwebhooks.com) */
#ifndef WATCH_ALARM_H
#define WATCH_ALARM_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/time.h"

/* Numbers are kept in the store. */
enum alarm_event {
	ALARM_RAISED = 1,
	ALARM_AGAIN = 2,    /* it was over, and came back */
	ALARM_REPEATED = 3, /* still open, and nobody acknowledged it */
	ALARM_ACKNOWLEDGED = 4,
	ALARM_CLOSED = 5,
	ALARM_TEST = 6, /* the operator tries the channel; there is no incident */
	ALARM_EVENTS
};

struct alarm {
	enum alarm_event event;
	time_ms at;
	uint64_t incident; /* its number */
	unsigned kind;     /* watch/incident.h */
	struct bytes key, facts;
	time_ms since, last, until; /* until 0: open */
	uint64_t count;
	unsigned relapses;
	struct bytes acked_by;
	struct bytes server; /* our hostname */
	bool japanese;
};

/* "incident.raised": as JSON, mails and commands name the event. */
const char *alarm_event_name(unsigned event);

/* The same for every try of this alarm and for no other: who gets it twice can tell. */
struct bytes alarm_id(const struct alarm *a, struct arena *arena);

/* One line: "[mx.example.test] incident 7 over: google refuses mail from our address". */
struct bytes alarm_title(const struct alarm *a, struct arena *arena);

/* For a person, lines with LF: title, cause, cost, what to do; of one that is over how long it lasted and what it cost. */
void alarm_text(const struct alarm *a, struct arena *arena, struct buf *out);

/* One JSON object: type, timestamp, data (the incident with its texts and facts), and `text` for services that show that. */
void alarm_json(const struct alarm *a, struct arena *arena, struct buf *out);

/* id.timestamp.body: what HMAC-SHA256 is over. seconds: UNIX time of this try. */
void alarm_signed(struct bytes id, int64_t seconds, struct bytes body, struct buf *out);
/* A request's fields, lines `Name: value`; signature: 32 octets, or empty: there is no key for this channel. */
void alarm_headers(struct bytes id, int64_t seconds, struct bytes signature, struct buf *out);

/* A whole mail, CRLF line ends. */
void alarm_mail(const struct alarm *a, struct bytes from, struct bytes to, time_ms now,
                struct arena *arena, struct buf *out);

enum { ALARM_KEPT_MS = 7 * 24 * 3600 * 1000 }; /* then one that could not be told is given up */

/* How long to wait after this many tries that failed: from seconds to a quarter of an hour. */
int64_t alarm_wait_ms(unsigned tries);

#endif
