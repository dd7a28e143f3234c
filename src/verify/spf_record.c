#include "verify/spf_record.h"

#include "base/text.h"

/* What may stand behind a mechanism's name (RFC 7208, 5). */
enum { SPEC = 1, SPEC_NEEDED = 2, BITS = 4, ADDRESS = 8 };

static const struct {
	const char *name;
	unsigned takes;
} mechanisms[SPF_MECHANISMS] = {
        [SPF_ALL] = {"all", 0},       [SPF_INCLUDE] = {"include", SPEC | SPEC_NEEDED},
        [SPF_A] = {"a", SPEC | BITS}, [SPF_MX] = {"mx", SPEC | BITS},
        [SPF_PTR] = {"ptr", SPEC},    [SPF_IP4] = {"ip4", ADDRESS},
        [SPF_IP6] = {"ip6", ADDRESS}, [SPF_EXISTS] = {"exists", SPEC | SPEC_NEEDED},
};

bool spf_record_is(struct bytes text)
{
	return bytes_starts_nocase(text, BYTES("v=spf1")) && (text.len == 6 || text.ptr[6] == ' ');
}

/* ---- domain-spec ---- */

static bool is_delimiter(char c)
{
	return c && strchr(".-+,/_=", c);
}

/* The octets of the macro-expand at the beginning ("%{d2r.}", "%%"), 0: none. letters: those allowed. */
static size_t macro_at(struct bytes b, const char *letters)
{
	size_t i = 3;
	bool nonzero = false;

	if (b.len < 2 || b.ptr[0] != '%')
		return 0;
	if (b.ptr[1] == '%' || b.ptr[1] == '_' || b.ptr[1] == '-')
		return 2;
	if (b.ptr[1] != '{' || b.len < 4 || !text_is_alpha(b.ptr[2]) ||
	    !strchr(letters, text_lower_char(b.ptr[2])))
		return 0;
	for (; i < b.len && text_is_digit(b.ptr[i]); i++)
		nonzero |= b.ptr[i] != '0';
	if (i > 3 && !nonzero)
		return 0; /* {d0}: there is no zeroth label */
	if (i < b.len && text_lower_char(b.ptr[i]) == 'r')
		i++;
	while (i < b.len && is_delimiter(b.ptr[i]))
		i++;
	return i < b.len && b.ptr[i] == '}' ? i + 1 : 0;
}

#define LETTERS "slodiphv"
#define LETTERS_EXPLAINING LETTERS "crt"

/* macro-string; *ret_last: where the last macro-expand ends. */
static bool is_macro_string(struct bytes b, const char *letters, size_t *ret_last)
{
	*ret_last = BYTES_NONE;
	for (size_t i = 0; i < b.len;) {
		size_t n = b.ptr[i] == '%' ? macro_at(bytes_skip(b, i), letters) : 1;

		if (n == 0 || b.ptr[i] <= ' ' || b.ptr[i] >= 0x7f)
			return false;
		if (b.ptr[i] == '%')
			*ret_last = i + n;
		i += n;
	}
	return true;
}

static bool is_top_label(struct bytes b)
{
	bool other_than_digits = false;

	for (size_t i = 0; i < b.len; i++) {
		if (!text_is_alnum(b.ptr[i]) && b.ptr[i] != '-')
			return false;
		other_than_digits |= !text_is_digit(b.ptr[i]);
	}
	return b.len > 0 && other_than_digits && b.ptr[0] != '-' && b.ptr[b.len - 1] != '-';
}

/* domain-spec = macro-string domain-end */
static bool is_domain_spec(struct bytes b)
{
	size_t last, dot;

	if (b.len == 0 || !is_macro_string(b, LETTERS, &last))
		return false;
	if (last == b.len && b.ptr[b.len - 1] == '}')
		return true;
	if (b.ptr[b.len - 1] == '.')
		b.len--;
	dot = bytes_find_last(b, '.');
	return dot != BYTES_NONE && (last == BYTES_NONE || dot >= last) &&
	       is_top_label(bytes_skip(b, dot + 1));
}

/* ---- prefixes ---- */

static bool read_bits(struct bytes digits, unsigned max, uint8_t *ret)
{
	uint64_t n;

	if ((digits.len > 1 && digits.ptr[0] == '0') || bytes_to_u64(digits, max, &n) != OK)
		return false;
	*ret = (uint8_t)n;
	return true;
}

static size_t digits_at_end(struct bytes b)
{
	size_t n = 0;

	while (n < b.len && text_is_digit(b.ptr[b.len - 1 - n]))
		n++;
	return n;
}

/* Takes "/24", "//64" or both from the end. A slash that is no part of them stays and is no domain-spec then. */
static bool take_dual_bits(struct bytes *b, struct spf_term *t)
{
	size_t n = digits_at_end(*b);

	if (n > 0 && n + 2 <= b->len && b->ptr[b->len - n - 1] == '/' &&
	    b->ptr[b->len - n - 2] == '/') {
		if (!read_bits(bytes_skip(*b, b->len - n), 128, &t->bits6))
			return false;
		b->len -= n + 2;
		n = digits_at_end(*b);
	}
	if (n > 0 && n < b->len && b->ptr[b->len - n - 1] == '/') {
		if (!read_bits(bytes_skip(*b, b->len - n), 32, &t->bits4))
			return false;
		b->len -= n + 1;
	}
	return true;
}

static bool read_address(struct bytes value, struct spf_term *t)
{
	bool v4 = t->mechanism == SPF_IP4;
	size_t slash = bytes_find_char(value, '/');
	struct bytes address = bytes_first(value, slash == BYTES_NONE ? value.len : slash);

	if (slash != BYTES_NONE &&
	    !read_bits(bytes_skip(value, slash + 1), v4 ? 32 : 128, v4 ? &t->bits4 : &t->bits6))
		return false;
	/* "::ffff:1.2.3.4" is an IPv6 address as text, whatever it means. */
	return (bytes_find_char(address, ':') == BYTES_NONE) == v4 &&
	       ip_parse(address, &t->ip) == OK;
}

/* ---- terms ---- */

static size_t name_at(struct bytes b)
{
	size_t i = 0;

	if (b.len == 0 || !text_is_alpha(b.ptr[0]))
		return 0;
	while (i < b.len &&
	       (text_is_alnum(b.ptr[i]) || b.ptr[i] == '-' || b.ptr[i] == '_' || b.ptr[i] == '.'))
		i++;
	return i;
}

static bool find_mechanism(struct bytes name, enum spf_mechanism *ret)
{
	for (int i = 0; i < SPF_MECHANISMS; i++) {
		if (!bytes_equal_nocase(name, bytes_of_text(mechanisms[i].name)))
			continue;
		*ret = (enum spf_mechanism)i;
		return true;
	}
	return false;
}

static bool parse_directive(struct bytes word, struct spf_term *t)
{
	struct bytes rest;
	size_t name;
	unsigned takes;

	*t = (struct spf_term){.qualifier = '+', .bits4 = 32, .bits6 = 128, .text = word};
	if (strchr("+-~?", word.ptr[0])) {
		t->qualifier = word.ptr[0];
		word = bytes_skip(word, 1);
	}
	name = name_at(word);
	if (name == 0 || !find_mechanism(bytes_first(word, name), &t->mechanism))
		return false;
	takes = mechanisms[t->mechanism].takes;
	rest = bytes_skip(word, name);
	if (takes & ADDRESS)
		return bytes_starts(rest, BYTES(":")) && read_address(bytes_skip(rest, 1), t);
	if (takes & BITS && !take_dual_bits(&rest, t))
		return false;
	if (rest.len == 0)
		return !(takes & SPEC_NEEDED);
	t->spec = bytes_skip(rest, 1);
	return takes & SPEC && rest.ptr[0] == ':' && is_domain_spec(t->spec);
}

static bool parse_modifier(struct bytes name, struct bytes value, struct spf_record *r)
{
	bool redirect = bytes_equal_nocase(name, BYTES("redirect")),
	     exp = bytes_equal_nocase(name, BYTES("exp"));
	struct bytes *into = redirect ? &r->redirect : &r->exp;
	size_t last;

	if (!redirect && !exp)
		return is_macro_string(value, LETTERS, &last);
	if (into->len > 0 || !is_domain_spec(value))
		return false; /* 6: each at most once */
	*into = value;
	return true;
}

static bool parse_term(struct bytes word, struct spf_record *r)
{
	size_t name = name_at(word);

	if (name > 0 && name < word.len && word.ptr[name] == '=')
		return parse_modifier(bytes_first(word, name), bytes_skip(word, name + 1), r);
	return parse_directive(word, &r->terms[r->count++]);
}

static size_t count_words(struct bytes text)
{
	size_t n = 1;

	for (size_t i = 0; i < text.len; i++)
		n += text.ptr[i] == ' ';
	return n;
}

enum result spf_record_parse(struct bytes text, struct arena *arena, struct spf_record *ret,
                             struct bytes *ret_bad)
{
	struct bytes rest = bytes_skip(text, 6), word;
	struct spf_record r = {0};

	if (text.len > SPF_RECORD_MAX) {
		*ret_bad = BYTES("a record of that length");
		return INVALID;
	}
	r.terms = arena_get(arena, count_words(text) * sizeof(*r.terms));
	while (bytes_cut(&rest, ' ', &word)) {
		if (word.len == 0 || parse_term(word, &r))
			continue;
		*ret_bad = word;
		return INVALID;
	}
	*ret = r;
	return OK;
}
