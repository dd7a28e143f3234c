#include "policy/lookalike.h"

#include "base/text.h"
#include "mail/charset.h"

enum { LABEL_MAX = 63, SHORT = 5 /* names below this are like too many others */ };

/* ---- whose domain ---- */

static size_t dot_before(struct bytes domain, size_t end)
{
	size_t at = bytes_find_last(bytes_first(domain, end), '.');

	return at == BYTES_NONE ? 0 : at;
}

struct bytes lookalike_base(struct bytes domain)
{
	size_t last = dot_before(domain, domain.len), second = last ? dot_before(domain, last) : 0;
	size_t third;

	if (last == 0 || second == 0)
		return domain;
	if (domain.len - last - 1 == 2 && last - second - 1 <= 3) { /* co.jp, ne.jp, com.au */
		third = dot_before(domain, second);
		return third ? bytes_skip(domain, third + 1) : domain;
	}
	return bytes_skip(domain, second + 1);
}

bool lookalike_same_owner(struct bytes a, struct bytes b)
{
	return bytes_equal_nocase(lookalike_base(a), lookalike_base(b));
}

/* ---- what the eye sees ---- */

/* Characters that look like a letter, or like another letter that looks like it. */
static const struct {
	uint16_t first, last;
	char letter;
} alike[] = {
        {'0', '0', 'o'},     {'1', '1', 'l'},     {'3', '3', 'e'},     {'5', '5', 's'},
        {'i', 'i', 'l'},     {0xe0, 0xe5, 'a'},   {0xe7, 0xe7, 'c'},   {0xe8, 0xeb, 'e'},
        {0xec, 0xef, 'l'},   {0xf1, 0xf1, 'n'},   {0xf2, 0xf6, 'o'},   {0xf8, 0xf8, 'o'},
        {0xf9, 0xfc, 'u'},   {0xfd, 0xff, 'y'},   {0x101, 0x105, 'a'}, {0x107, 0x10d, 'c'},
        {0x111, 0x111, 'd'}, {0x113, 0x11b, 'e'}, {0x11d, 0x123, 'g'}, {0x127, 0x127, 'h'},
        {0x129, 0x131, 'l'}, {0x13a, 0x142, 'l'}, {0x144, 0x14b, 'n'}, {0x14d, 0x151, 'o'},
        {0x155, 0x159, 'r'}, {0x15b, 0x161, 's'}, {0x163, 0x167, 't'}, {0x169, 0x173, 'u'},
        {0x175, 0x175, 'w'}, {0x177, 0x177, 'y'}, {0x17a, 0x17e, 'z'}, {0x251, 0x251, 'a'},
        {0x261, 0x261, 'g'}, {0x3b1, 0x3b1, 'a'}, {0x3b9, 0x3b9, 'l'}, {0x3ba, 0x3ba, 'k'},
        {0x3bd, 0x3bd, 'v'}, {0x3bf, 0x3bf, 'o'}, {0x3c1, 0x3c1, 'p'}, {0x3c4, 0x3c4, 't'},
        {0x3c5, 0x3c5, 'u'}, {0x3c9, 0x3c9, 'w'}, {0x430, 0x430, 'a'}, {0x432, 0x432, 'b'},
        {0x435, 0x435, 'e'}, {0x43a, 0x43a, 'k'}, {0x43c, 0x43c, 'm'}, {0x43d, 0x43d, 'h'},
        {0x43e, 0x43e, 'o'}, {0x440, 0x440, 'p'}, {0x441, 0x441, 'c'}, {0x442, 0x442, 't'},
        {0x443, 0x443, 'y'}, {0x445, 0x445, 'x'}, {0x451, 0x451, 'e'}, {0x455, 0x455, 's'},
        {0x456, 0x457, 'l'}, {0x458, 0x458, 'j'}, {0x4bb, 0x4bb, 'h'}, {0x4cf, 0x4cf, 'l'},
        {0x501, 0x501, 'd'}, {0x51b, 0x51b, 'q'}, {0x51d, 0x51d, 'w'},
};

static char seen_as(uint32_t code)
{
	for (size_t i = 0; i < sizeof(alike) / sizeof(*alike); i++) {
		if (code >= alike[i].first && code <= alike[i].last)
			return alike[i].letter;
	}
	return code < 0x80 ? (char)code : '?';
}

/* Two letters that look like one. */
static const char twins[][4] = {"rnm", "vvw"};

static struct bytes skeleton(struct bytes domain, struct arena *arena)
{
	struct buf text = {0};
	struct bytes rest;
	char *out = arena_get(arena, domain.len + 1);
	size_t len = 0;
	uint32_t code;

	if (charset_domain_to_unicode(domain, &text) != OK) {
		buf_clear(&text);
		buf_append(&text, domain);
	}
	rest = buf_bytes(&text);
	while (rest.len && len < domain.len) {
		int taken = text_utf8_next(rest, &code);
		char letter = taken > 0 ? seen_as(code) : '?';

		rest = bytes_skip(rest, taken > 0 ? (size_t)taken : 1);
		if (letter == '-')
			continue;
		out[len++] = letter;
		for (size_t i = 0; i < sizeof(twins) / sizeof(*twins) && len >= 2; i++) {
			if (memcmp(out + len - 2, twins[i], 2) == 0)
				out[--len - 1] = twins[i][2];
		}
	}
	buf_done(&text);
	return bytes_of(out, len);
}

/* ---- one letter away ---- */

static bool one_apart(struct bytes a, struct bytes b)
{
	size_t head = 0, tail = 0, most = a.len < b.len ? a.len : b.len;
	size_t left_a, left_b;

	while (head < most && a.ptr[head] == b.ptr[head])
		head++;
	while (tail < most - head && a.ptr[a.len - 1 - tail] == b.ptr[b.len - 1 - tail])
		tail++;
	left_a = a.len - head - tail;
	left_b = b.len - head - tail;
	if (left_a <= 1 && left_b <= 1)
		return left_a + left_b > 0;
	return left_a == 2 && left_b == 2 && a.ptr[head] == b.ptr[head + 1] &&
	       a.ptr[head + 1] == b.ptr[head];
}

static bool near(struct bytes domain, struct bytes ours)
{
	size_t dot = bytes_find_char(domain, '.'), our_dot = bytes_find_char(ours, '.');

	if (dot == BYTES_NONE || our_dot == BYTES_NONE || our_dot < SHORT ||
	    !bytes_equal(bytes_skip(domain, dot), bytes_skip(ours, our_dot)))
		return false;
	return one_apart(bytes_first(domain, dot), bytes_first(ours, our_dot));
}

/* ---- one inside the other ---- */

static bool inside(struct bytes domain, struct bytes ours)
{
	struct bytes label = bytes_first(ours, bytes_find_char(ours, '.')), rest = domain, one;
	size_t at = bytes_find(domain, ours);

	if (at != BYTES_NONE && (at == 0 || domain.ptr[at - 1] == '.') &&
	    at + ours.len < domain.len &&
	    (domain.ptr[at + ours.len] == '.' || domain.ptr[at + ours.len] == '-'))
		return true;
	if (label.len < SHORT)
		return false;
	while (bytes_cut(&rest, '.', &one)) {
		if (one.len > label.len &&
		    ((bytes_starts(one, label) && one.ptr[label.len] == '-') ||
		     (bytes_ends(one, label) && one.ptr[one.len - label.len - 1] == '-')))
			return true;
	}
	return false;
}

enum lookalike lookalike_of(struct bytes domain, struct bytes ours, struct arena *arena)
{
	struct bytes base = lookalike_base(domain), our_base = lookalike_base(ours);

	if (domain.len == 0 || ours.len == 0 || bytes_equal_nocase(base, our_base))
		return LOOKALIKE_NONE;
	if (bytes_equal(skeleton(base, arena), skeleton(our_base, arena)))
		return LOOKALIKE_SAME;
	if (inside(domain, our_base))
		return LOOKALIKE_INSIDE;
	return near(base, our_base) ? LOOKALIKE_NEAR : LOOKALIKE_NONE;
}
