#include "base/time.h"

#include <stdio.h>

const char time_months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                 "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
const char time_weekdays[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};

enum { DAY_SECONDS = 86400, DAYS_400_YEARS = 146097, DAYS_TO_1970 = 719468 };

static int64_t floor_divide(int64_t a, int64_t b)
{
	return a / b - (a % b < 0);
}

/* Days since 1970-01-01. Years are counted from March, so that the leap day is the last. */
static int64_t days_from_date(int64_t year, int month, int day)
{
	int64_t era, year_of_era, day_of_year;

	year -= month <= 2;
	era = floor_divide(year, 400);
	year_of_era = year - era * 400;
	day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
	return era * DAYS_400_YEARS + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 +
	       day_of_year - DAYS_TO_1970;
}

static void date_from_days(int64_t days, struct time_civil *c)
{
	int64_t era, day_of_era, year_of_era, day_of_year, month;

	days += DAYS_TO_1970;
	era = floor_divide(days, DAYS_400_YEARS);
	day_of_era = days - era * DAYS_400_YEARS;
	year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) /
	              365;
	day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
	month = (5 * day_of_year + 2) / 153;
	c->day = (int)(day_of_year - (153 * month + 2) / 5 + 1);
	c->month = (int)(month < 10 ? month + 3 : month - 9);
	c->year = (int)(year_of_era + era * 400 + (c->month <= 2));
}

struct time_civil time_to_civil(time_ms t, int zone_minutes)
{
	int64_t seconds = floor_divide(t, 1000) + zone_minutes * 60;
	int64_t days = floor_divide(seconds, DAY_SECONDS);
	int64_t rest = seconds - days * DAY_SECONDS;
	struct time_civil c = {.zone_minutes = zone_minutes};

	date_from_days(days, &c);
	c.hour = (int)(rest / 3600);
	c.minute = (int)(rest / 60 % 60);
	c.second = (int)(rest % 60);
	c.weekday = (int)(((days + 4) % 7 + 7) % 7);
	return c;
}

time_ms time_from_civil(const struct time_civil *c)
{
	int64_t days = days_from_date(c->year, c->month, c->day);

	return (days * DAY_SECONDS + c->hour * 3600 + c->minute * 60 + c->second -
	        c->zone_minutes * 60) *
	       1000;
}

void time_format_rfc3339(time_ms t, char out[TIME_TEXT])
{
	struct time_civil c = time_to_civil(t, 0);

	snprintf(out, TIME_TEXT, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", c.year, c.month, c.day,
	         c.hour, c.minute, c.second, (int)(t - floor_divide(t, 1000) * 1000));
}

void time_format_rfc5322(time_ms t, int zone_minutes, char out[TIME_TEXT])
{
	struct time_civil c = time_to_civil(t, zone_minutes);
	int zone = zone_minutes < 0 ? -zone_minutes : zone_minutes;

	snprintf(out, TIME_TEXT, "%s, %02d %s %04d %02d:%02d:%02d %c%02d%02d",
	         time_weekdays[c.weekday], c.day, time_months[c.month - 1], c.year, c.hour,
	         c.minute, c.second, zone_minutes < 0 ? '-' : '+', zone / 60, zone % 60);
}
