/* Time as a value. Nobody below roles/ reads a clock: the time is an argument.
 *
 * time_ms counts milliseconds since 1970-01-01T00:00:00Z, leap seconds not counted. */
#ifndef BASE_TIME_H
#define BASE_TIME_H

#include "base/bytes.h"

typedef int64_t time_ms;

#define TIME_NEVER INT64_MAX

struct time_civil {
	int year, month, day;     /* month 1-12, day 1-31 */
	int hour, minute, second; /* second 0-60 */
	int weekday;              /* 0 = Sunday */
	int zone_minutes;         /* east of UTC */
};

/* Proleptic Gregorian, any zone. */
struct time_civil time_to_civil(time_ms t, int zone_minutes);
time_ms time_from_civil(const struct time_civil *c);

enum { TIME_TEXT = 40 };
void time_format_rfc3339(time_ms t, char out[TIME_TEXT]); /* 2026-11-23T09:00:00.123Z */
void time_format_rfc5322(time_ms t, int zone_minutes,
                         char out[TIME_TEXT]); /* Mon, 23 Nov 2026 18:00:00 +0900 */

extern const char time_months[12][4];
extern const char time_weekdays[7][4];

#endif
