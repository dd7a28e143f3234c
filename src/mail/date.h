/* Dates of RFC 5322, 3.3 and 4.3, and what real mail writes instead: two-digit and three-digit
 * years, month numbers, no seconds, no weekday, zone names, comments in between, a Received line's
 * tail. */
#ifndef MAIL_DATE_H
#define MAIL_DATE_H

#include "base/time.h"

/* INVALID when there is no day, month, year and hour to be found; *ret_zone_minutes (may be NULL)
 * is east of UTC. */
enum result date_parse(struct bytes value, time_ms *ret, int *ret_zone_minutes) MUST_USE;

#endif
