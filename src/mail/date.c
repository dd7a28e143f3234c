#include "mail/date.h"

#include "base/text.h"
#include "mail/lexer.h"

/* The value is read word by word; each word is a time (with a colon), a zone, a month's name, or a
 * number. What the numbers mean follows from how many there are and whether a month was named:
 *
 *	1 Jul 2003 10:52:37 +0200       day, month, year
 *	Jul  1 10:52:37 2003            day, year (asctime)
 *	20 11 79 05:34:27               day, month, year
 *	2003-07-01T10:52:37Z            year, month, day (ISO 8601)
 *	7/1/2003 10:52:37 AM            month, day, year
 */

struct reader {
	int numbers[3];
	int digits[3];
	int count;
	int month; /* 1-12 when it was named */
	bool slash;
	bool has_time;
	int hour, minute, second;
	bool has_zone;
	int zone;
};

static const struct {
	const char *name;
	int minutes;
} zones[] = {
        {"UT", 0},      {"GMT", 0},    {"UTC", 0},    {"Z", 0},      {"EST", -300}, {"EDT", -240},
        {"CST", -360},  {"CDT", -300}, {"MST", -420}, {"MDT", -360}, {"PST", -480}, {"PDT", -420},
        {"JST", 540},   {"KST", 540},  {"WET", 0},    {"WEST", 60},  {"BST", 60},   {"CET", 60},
        {"MET", 60},    {"MEZ", 60},   {"CEST", 120}, {"MEST", 120}, {"MESZ", 120}, {"EET", 120},
        {"EEST", 180},  {"MSK", 180},  {"IST", 330},  {"HKT", 480},  {"SGT", 480},  {"AWST", 480},
        {"AEST", 600},  {"AEDT", 660}, {"NZST", 720}, {"NZDT", 780}, {"HST", -600}, {"AKST", -540},
        {"AKDT", -480}, {"AST", -240}, {"ADT", -180}, {"NST", -210}, {"NDT", -150}, {"BRT", -180},
};

/* Digits at the start of *b; -1 when there are none or more than six. */
static int take_number(struct bytes *b, int *ret_digits)
{
	int value = 0, digits = 0;

	while (b->len > 0 && text_is_digit(b->ptr[0])) {
		if (++digits > 6)
			return -1;
		value = value * 10 + (b->ptr[0] - '0');
		*b = bytes_skip(*b, 1);
	}
	*ret_digits = digits;
	return digits ? value : -1;
}

/* "10:52", "10:52:37", "10:52:37.123"; dots for colons are not taken: they are dates in Germany. */
static bool read_time(struct reader *r, struct bytes *word)
{
	struct bytes b = *word;
	int digits, second = 0;
	int hour = take_number(&b, &digits);
	if (hour < 0 || hour > 23 || digits > 2 || b.len == 0 || b.ptr[0] != ':')
		return false;
	b = bytes_skip(b, 1);
	int minute = take_number(&b, &digits);
	if (minute < 0 || minute > 59)
		return false;
	if (b.len > 0 && b.ptr[0] == ':') {
		b = bytes_skip(b, 1);
		second = take_number(&b, &digits);
		if (second < 0 || second > 60)
			return false;
	}
	if (b.len > 1 && b.ptr[0] == '.' && text_is_digit(b.ptr[1])) {
		b = bytes_skip(b, 1);
		while (b.len > 0 && text_is_digit(b.ptr[0]))
			b = bytes_skip(b, 1);
	}
	r->hour = hour;
	r->minute = minute;
	r->second = second;
	r->has_time = true;
	*word = b;
	return true;
}

/* "+0900", "-03:30", "+9". */
static void read_offset(struct reader *r, struct bytes word)
{
	int sign = word.ptr[0] == '-' ? -1 : 1, digits, minutes = 0;
	struct bytes b = bytes_skip(word, 1);
	int n = take_number(&b, &digits);
	if (n < 0)
		return;
	if (digits <= 2) {
		minutes = n * 60;
		if (b.len > 1 && b.ptr[0] == ':') {
			b = bytes_skip(b, 1);
			n = take_number(&b, &digits);
			minutes += n > 0 && n < 60 ? n : 0;
		}
	} else if (n % 100 < 60) {
		minutes = n / 100 * 60 + n % 100;
	}
	r->has_zone = true;
	r->zone = minutes < 16 * 60 ? sign * minutes : 0; /* nothing on earth is further away */
}

static bool read_month(struct reader *r, struct bytes word)
{
	if (word.len < 3 || r->month)
		return false;
	for (int i = 0; i < 12; i++) {
		if (bytes_equal_nocase(bytes_first(word, 3), bytes_of_text(time_months[i]))) {
			r->month = i + 1;
			return true;
		}
	}
	return false;
}

static void read_word(struct reader *r, struct bytes word)
{
	if (!r->has_time && read_month(r, word))
		return;
	if (r->has_time && word.len == 2 && text_lower_char(word.ptr[1]) == 'm') {
		if (text_lower_char(word.ptr[0]) == 'p' && r->hour < 12)
			r->hour += 12;
		else if (text_lower_char(word.ptr[0]) == 'a' && r->hour == 12)
			r->hour = 0;
		return;
	}
	if (!r->has_time || r->has_zone)
		return;
	for (size_t i = 0; i < sizeof(zones) / sizeof(zones[0]); i++) {
		if (bytes_equal_nocase(word, bytes_of_text(zones[i].name))) {
			r->has_zone = true;
			r->zone = zones[i].minutes;
		}
	}
}

static size_t alpha_len(struct bytes b)
{
	size_t n = 0;

	while (n < b.len && (text_is_alpha(b.ptr[n]) || (unsigned char)b.ptr[n] >= 0x80))
		n++;
	return n;
}

/* One atom: words, numbers and separators in it, such as "01-Jul-03" or "2003-07-01T10:52:37Z". */
static void read_atom(struct reader *r, struct bytes b)
{
	while (b.len > 0) {
		size_t letters = alpha_len(b);
		int digits;
		if (letters) {
			read_word(r, bytes_first(b, letters));
			b = bytes_skip(b, letters);
		} else if (text_is_digit(b.ptr[0])) {
			if (!r->has_time && read_time(r, &b))
				continue;
			int n = take_number(&b, &digits);
			if (n >= 0 && r->count < 3) {
				r->numbers[r->count] = n;
				r->digits[r->count++] = digits;
			}
		} else if ((b.ptr[0] == '+' || b.ptr[0] == '-') && r->has_time && b.len > 1 &&
		           text_is_digit(b.ptr[1])) {
			if (!r->has_zone)
				read_offset(r, b);
			return;
		} else {
			r->slash |= b.ptr[0] == '/';
			b = bytes_skip(b, 1);
		}
	}
}

static void read_value(struct reader *r, struct bytes value)
{
	struct lexer l = lexer_of(value, ",;");
	struct token t;

	while (lexer_next(&l, &t)) {
		if (t.kind == TOKEN_ATOM || t.kind == TOKEN_QUOTED)
			read_atom(r, t.text);
	}
}

static int full_year(int year, int digits)
{
	if (digits == 2)
		return year < 50 ? year + 2000 : year + 1900; /* RFC 5322, 4.3 */
	return digits == 3 ? year + 1900 : year;
}

static bool pick(const struct reader *r, struct time_civil *c)
{
	int year = -1, day = -1, month = r->month;

	if (month && r->count >= 2) {
		year = r->digits[0] > 2 ? 0 : 1;
		day = 1 - year;
	} else if (!month && r->count == 3 && r->digits[0] == 4) {
		year = 0, day = 2, month = r->numbers[1];
	} else if (!month && r->count == 3) {
		bool month_first = r->slash && r->numbers[0] <= 12;
		day = month_first ? 1 : 0;
		month = r->numbers[month_first ? 0 : 1];
		year = 2;
	} else {
		return false;
	}
	c->year = full_year(r->numbers[year], r->digits[year]);
	c->month = month;
	c->day = r->numbers[day];
	return c->month >= 1 && c->month <= 12 && c->day >= 1 && c->day <= 31 && c->year >= 1 &&
	       c->year <= 9999;
}

enum result date_parse(struct bytes value, time_ms *ret, int *ret_zone_minutes)
{
	struct reader r = {0};
	struct time_civil c = {0};
	size_t semicolon = bytes_find_last(value,
	                                   ';'); /* a Received line: the date stands after it */

	read_value(&r, semicolon == BYTES_NONE ? value : bytes_skip(value, semicolon + 1));
	if (!r.has_time || !pick(&r, &c))
		return INVALID;
	c.hour = r.hour;
	c.minute = r.minute;
	c.second = r.second;
	c.zone_minutes = r.zone;
	*ret = time_from_civil(&c);
	if (ret_zone_minutes)
		*ret_zone_minutes = r.zone;
	return OK;
}
