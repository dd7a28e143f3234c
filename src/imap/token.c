#include "imap/token.h"

#include "ask/ask.h"
#include "base/limits.h"
#include "base/text.h"

enum { SETS_MAX = 16384, KEYWORD_MAX = 255 };

bool token_fail(struct cursor *c, const char *why)
{
	if (!c->why)
		c->why = why;
	return false;
}

/* ATOM-CHAR: any CHAR except atom-specials; 8-bit is none (RFC 9051, 9). */
bool token_is_atom_char(char c)
{
	return c > ' ' && c < 0x7f && !strchr("(){%*\"\\]", c);
}

static bool is_astring_char(char c)
{
	return token_is_atom_char(c) || c == ']';
}

static bool is_list_char(char c)
{
	return is_astring_char(c) || c == '%' || c == '*';
}

static bool is_tag_char(char c)
{
	return is_astring_char(c) && c != '+';
}

static bool take_while(struct cursor *c, bool (*is)(char), struct bytes *ret)
{
	size_t len = 0;

	while (len < c->rest.len && is(c->rest.ptr[len]))
		len++;
	if (len == 0)
		return false;
	*ret = bytes_first(c->rest, len);
	c->rest = bytes_skip(c->rest, len);
	return true;
}

char token_peek(const struct cursor *c)
{
	return c->rest.len ? c->rest.ptr[0] : 0;
}

bool token_try_char(struct cursor *c, char wanted)
{
	if (c->rest.len == 0 || c->rest.ptr[0] != wanted)
		return false;
	c->rest = bytes_skip(c->rest, 1);
	return true;
}

bool token_char(struct cursor *c, char wanted)
{
	if (token_try_char(c, wanted))
		return true;
	return token_fail(c, wanted == '('   ? "Expected ("
	                     : wanted == ')' ? "Expected )"
	                                     : "Unexpected character");
}

bool token_space(struct cursor *c)
{
	return token_try_char(c, ' ') || token_fail(c, "Expected a space");
}

bool token_end(struct cursor *c)
{
	return c->rest.len == 0 || token_fail(c, "Something is left after the arguments");
}

bool token_try_word(struct cursor *c, struct bytes word)
{
	if (!bytes_starts_nocase(c->rest, word))
		return false;
	if (c->rest.len > word.len && token_is_atom_char(c->rest.ptr[word.len]))
		return false;
	c->rest = bytes_skip(c->rest, word.len);
	return true;
}

bool token_atom(struct cursor *c, struct bytes *ret)
{
	return take_while(c, token_is_atom_char, ret) || token_fail(c, "Expected an atom");
}

bool token_tag(struct cursor *c, struct bytes *ret)
{
	return take_while(c, is_tag_char, ret) || token_fail(c, "Expected a tag");
}

/* ---- strings ---- */

static struct bytes unescape(struct arena *arena, struct bytes in)
{
	char *out = arena_get(arena, in.len);
	size_t len = 0;

	for (size_t i = 0; i < in.len; i++) {
		if (in.ptr[i] == '\\')
			i++;
		out[len++] = in.ptr[i];
	}
	return bytes_of(out, len);
}

/* quoted (RFC 9051, 9): no CR, LF, NUL; only " and \ are escaped; UTF-8 is taken in every mode. */
static bool take_quoted(struct cursor *c, struct bytes *ret)
{
	bool escaped = false;
	size_t at = 1;
	struct bytes inside;

	for (; at < c->rest.len && c->rest.ptr[at] != '"'; at++) {
		char ch = c->rest.ptr[at];

		if (ch == '\r' || ch == '\n' || ch == 0)
			return token_fail(c, "Line end in a quoted string");
		if (ch != '\\')
			continue;
		escaped = true;
		at++;
		if (at == c->rest.len || (c->rest.ptr[at] != '"' && c->rest.ptr[at] != '\\'))
			return token_fail(c, "Only \\\" and \\\\ may be escaped");
	}
	if (at >= c->rest.len)
		return token_fail(c, "A quoted string does not end");
	inside = bytes_of(c->rest.ptr + 1, at - 1);
	if (!text_is_utf8(inside))
		return token_fail(c, "A quoted string is not UTF-8");
	c->rest = bytes_skip(c->rest, at + 1);
	*ret = escaped ? unescape(c->arena, inside) : inside;
	return true;
}

static bool read_head(struct bytes b, struct literal_head *ret, size_t *ret_len)
{
	struct literal_head head = {.sync = true};
	size_t at = 0, digits;

	if (at < b.len && b.ptr[at] == '~') {
		head.literal8 = true;
		at++;
	}
	if (at == b.len || b.ptr[at++] != '{')
		return false;
	for (digits = at; at < b.len && text_is_digit(b.ptr[at]);)
		at++;
	if (bytes_to_u64(bytes_of(b.ptr + digits, at - digits), UINT64_MAX, &head.size) != OK)
		return false;
	if (at < b.len && b.ptr[at] == '+') {
		head.sync = false;
		at++;
	}
	if (at == b.len || b.ptr[at++] != '}')
		return false;
	*ret = head;
	*ret_len = at;
	return true;
}

bool token_literal_head(struct bytes line, struct literal_head *ret)
{
	size_t at = bytes_find_last(line, '{'), len;

	if (at == BYTES_NONE || !bytes_ends(line, BYTES("}")))
		return false;
	if (at > 0 && line.ptr[at - 1] == '~')
		at--;
	if (!read_head(bytes_skip(line, at), ret, &len) || at + len != line.len)
		return false;
	ret->at = at;
	return true;
}

static bool take_literal(struct cursor *c, struct bytes *ret)
{
	struct literal_head head;
	struct bytes rest, content;
	size_t len;

	if (!read_head(c->rest, &head, &len))
		return token_fail(c, "Broken literal");
	rest = bytes_skip(c->rest, len);
	if (!bytes_starts(rest, BYTES("\r\n")) || rest.len - 2 < head.size)
		return token_fail(c, "Broken literal");
	content = bytes_of(rest.ptr + 2, head.size);
	if (!head.literal8 && bytes_find_char(content, 0) != BYTES_NONE)
		return token_fail(c, "NUL in a literal");
	c->rest = bytes_skip(rest, 2 + head.size);
	*ret = content;
	return true;
}

bool token_string(struct cursor *c, struct bytes *ret)
{
	if (token_peek(c) == '"')
		return take_quoted(c, ret);
	if (token_peek(c) == '{')
		return take_literal(c, ret);
	return token_fail(c, "Expected a string");
}

bool token_astring(struct cursor *c, struct bytes *ret)
{
	if (take_while(c, is_astring_char, ret))
		return true;
	return token_string(c, ret);
}

bool token_nstring(struct cursor *c, struct bytes *ret)
{
	if (token_try_word(c, BYTES("NIL"))) {
		*ret = (struct bytes){0};
		return true;
	}
	return token_string(c, ret);
}

bool token_list_mailbox(struct cursor *c, struct bytes *ret)
{
	if (take_while(c, is_list_char, ret))
		return true;
	return token_string(c, ret);
}

/* ---- numbers and sets ---- */

static bool is_digit(char c)
{
	return text_is_digit(c);
}

bool token_number(struct cursor *c, uint64_t max, uint64_t *ret)
{
	struct cursor at = *c;
	struct bytes digits;

	if (!take_while(&at, is_digit, &digits) || bytes_to_u64(digits, max, ret) != OK)
		return token_fail(c, "Expected a number");
	c->rest = at.rest;
	return true;
}

bool token_nz_number(struct cursor *c, uint64_t max, uint64_t *ret)
{
	uint64_t n;

	if (!token_number(c, max, &n) || n == 0)
		return token_fail(c, "Expected a number above zero");
	*ret = n;
	return true;
}

static bool take_seq_number(struct cursor *c, uint32_t *ret)
{
	uint64_t n;

	if (token_try_char(c, '*')) {
		*ret = UINT32_MAX;
		return true;
	}
	if (!token_nz_number(c, UINT32_MAX, &n))
		return token_fail(c, "Broken sequence set");
	*ret = (uint32_t)n;
	return true;
}

static bool take_sequence_range(struct cursor *c, struct sequence_range *ret)
{
	if (!take_seq_number(c, &ret->first))
		return false;
	ret->last = ret->first;
	return !token_try_char(c, ':') || take_seq_number(c, &ret->last);
}

static void keep_range(struct cursor *c, struct sequence_set *set, size_t *size,
                       struct sequence_range r)
{
	if (set->count == *size) {
		size_t bigger = *size ? *size * 2 : 4;
		struct sequence_range *ranges = arena_get(c->arena, bigger * sizeof(*ranges));

		if (set->count)
			memcpy(ranges, set->ranges, set->count * sizeof(*ranges));
		set->ranges = ranges;
		*size = bigger;
	}
	set->ranges[set->count++] = r;
}

bool token_sequence_set(struct cursor *c, struct sequence_set *ret)
{
	struct sequence_set set = {0};
	size_t size = 0;

	if (token_try_char(c, '$')) {
		set.saved = true;
		*ret = set;
		return true;
	}
	do {
		struct sequence_range r;

		if (set.count == SETS_MAX)
			return token_fail(c, "Too many ranges in a set");
		if (!take_sequence_range(c, &r))
			return false;
		keep_range(c, &set, &size, r);
	} while (token_try_char(c, ','));
	*ret = set;
	return true;
}

/* ---- flags ---- */

static const struct {
	const char *name;
	uint64_t bit;
} system_flags[] = {
        {"Seen", MAIL_SEEN},       {"Answered", MAIL_ANSWERED}, {"Flagged", MAIL_FLAGGED},
        {"Deleted", MAIL_DELETED}, {"Draft", MAIL_DRAFT},
};

static bool take_system_flag(struct cursor *c, uint64_t *flags)
{
	struct bytes name;

	if (!token_atom(c, &name))
		return token_fail(c, "Broken flag");
	for (size_t i = 0; i < sizeof(system_flags) / sizeof(system_flags[0]); i++) {
		if (bytes_equal_nocase(name, bytes_of_text(system_flags[i].name))) {
			*flags |= system_flags[i].bit;
			return true;
		}
	}
	return token_fail(c, "No such system flag");
}

static bool take_flag(struct cursor *c, struct flag_words *words, struct buf *keywords,
                      unsigned *count)
{
	struct bytes name;

	if (token_try_char(c, '\\'))
		return take_system_flag(c, &words->system);
	if (!token_atom(c, &name))
		return token_fail(c, "Broken flag");
	if (name.len > KEYWORD_MAX || ++*count > LIMIT_KEYWORDS)
		return token_fail(c, "Too many flags, or too long");
	buf_block(keywords, name);
	return true;
}

static bool take_flags(struct cursor *c, bool bare, struct flag_words *words, struct buf *keywords)
{
	bool list = token_try_char(c, '(');
	unsigned count = 0;

	if (!list && !bare)
		return token_fail(c, "Expected a list of flags");
	if (list && token_try_char(c, ')'))
		return true;
	do {
		if (!take_flag(c, words, keywords, &count))
			return false;
	} while (token_try_char(c, ' '));
	return !list || token_char(c, ')');
}

bool token_flags(struct cursor *c, bool bare, struct flag_words *ret)
{
	struct flag_words words = {0};
	struct buf keywords = {0};
	bool good = take_flags(c, bare, &words, &keywords);

	words.keywords = arena_copy(c->arena, buf_bytes(&keywords));
	buf_done(&keywords);
	if (good)
		*ret = words;
	return good;
}

/* ---- dates ---- */

static bool take_month(struct cursor *c, int *ret)
{
	for (int i = 0; i < 12; i++) {
		if (bytes_starts_nocase(c->rest, bytes_of(time_months[i], 3))) {
			c->rest = bytes_skip(c->rest, 3);
			*ret = i + 1;
			return true;
		}
	}
	return token_fail(c, "Expected a month such as Feb");
}

/* Exactly `digits` digits. */
static bool take_digits(struct cursor *c, size_t digits, int max, int *ret)
{
	struct bytes b = bytes_first(c->rest, digits);
	uint64_t n;

	if (b.len != digits || bytes_to_u64(b, (uint64_t)max, &n) != OK)
		return token_fail(c, "Broken date");
	c->rest = bytes_skip(c->rest, digits);
	*ret = (int)n;
	return true;
}

static int month_days(int year, int month)
{
	static const int days[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

	return month == 2 && leap ? 29 : days[month - 1];
}

/* The rest of a date after its day: "-Feb-1994". */
static bool take_month_year(struct cursor *c, struct time_civil *t)
{
	if (!token_try_char(c, '-') || !take_month(c, &t->month) || !token_try_char(c, '-') ||
	    !take_digits(c, 4, 9999, &t->year))
		return token_fail(c, "Broken date");
	if (t->day < 1 || t->day > month_days(t->year, t->month))
		return token_fail(c, "No such day");
	return true;
}

bool token_date(struct cursor *c, time_ms *ret)
{
	bool quoted = token_try_char(c, '"');
	struct time_civil t = {0};
	size_t digits = c->rest.len > 1 && text_is_digit(c->rest.ptr[1]) ? 2 : 1;

	if (!take_digits(c, digits, 31, &t.day) || !take_month_year(c, &t))
		return false;
	if (quoted && !token_try_char(c, '"'))
		return token_fail(c, "Broken date");
	*ret = time_from_civil(&t);
	return true;
}

static bool take_zone(struct cursor *c, int *ret)
{
	bool west = token_peek(c) == '-';
	int hours, minutes;

	if (!token_try_char(c, '+') && !token_try_char(c, '-'))
		return token_fail(c, "Broken time zone");
	if (!take_digits(c, 2, 14, &hours) || !take_digits(c, 2, 59, &minutes))
		return false;
	*ret = (west ? -1 : 1) * (hours * 60 + minutes);
	return true;
}

static bool take_time(struct cursor *c, struct time_civil *t)
{
	return take_digits(c, 2, 23, &t->hour) && token_char(c, ':') &&
	       take_digits(c, 2, 59, &t->minute) && token_char(c, ':') &&
	       take_digits(c, 2, 60, &t->second);
}

bool token_date_time(struct cursor *c, time_ms *ret)
{
	struct time_civil t = {0};

	if (!token_char(c, '"'))
		return false;
	if (!take_digits(c, token_try_char(c, ' ') ? 1 : 2, 31, &t.day) || !take_month_year(c, &t))
		return false;
	if (!token_space(c) || !take_time(c, &t) || !token_space(c) ||
	    !take_zone(c, &t.zone_minutes) || !token_char(c, '"'))
		return false;
	*ret = time_from_civil(&t);
	return true;
}
