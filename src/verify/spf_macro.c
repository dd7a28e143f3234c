#include "base/buf.h"
#include "base/text.h"
#include "dns/dns.h"
#include "verify/spf_record.h"

/* Macros of SPF (RFC 7208, 7). The grammar itself has been looked at by spf_record_parse(); an explanation comes from elsewhere
 * and is read here for the first time, so all of it is checked here again. */

enum { PARTS = 128, NAME_TEXT = 253, EXPANDED_MAX = 4096 };

struct macro {
	char letter; /* lower case */
	bool escape; /* it stood in upper case: as in URLs */
	bool reverse;
	uint64_t keep; /* labels from the right; 0: all */
	struct bytes delimiters;
};

/* What stands between the braces. */
static bool parse_macro(struct bytes b, struct macro *ret)
{
	size_t digits = 1;

	if (b.len == 0 || !text_is_alpha(b.ptr[0]))
		return false;
	*ret = (struct macro){.letter = text_lower_char(b.ptr[0]),
	                      .escape = b.ptr[0] >= 'A' && b.ptr[0] <= 'Z'};
	while (digits < b.len && text_is_digit(b.ptr[digits]))
		digits++;
	if (digits > 1) {
		struct bytes number = bytes_of(b.ptr + 1, digits - 1);

		if (bytes_to_u64(bytes_first(number, 9), UINT64_MAX, &ret->keep) != OK ||
		    ret->keep == 0)
			return false;
	}
	b = bytes_skip(b, digits);
	if (b.len > 0 && text_lower_char(b.ptr[0]) == 'r') {
		ret->reverse = true;
		b = bytes_skip(b, 1);
	}
	for (size_t i = 0; i < b.len; i++)
		if (!b.ptr[i] || !strchr(".-+,/_=", b.ptr[i]))
			return false;
	ret->delimiters = b.len ? b : BYTES(".");
	return true;
}

/* ---- values ---- */

static struct bytes dotted_nibbles(const struct ip *ip, struct arena *arena)
{
	char *text = arena_get(arena, 64);

	for (int i = 0; i < 32; i++) {
		text[2 * i] =
		        "0123456789ABCDEF"[i % 2 ? ip->octets[i / 2] & 15 : ip->octets[i / 2] >> 4];
		text[2 * i + 1] = '.';
	}
	return bytes_of(text, 63);
}

static struct bytes readable(const struct ip *ip, struct arena *arena)
{
	char text[IP_TEXT];

	ip_format(ip, text);
	return arena_copy(arena, bytes_of_text(text));
}

static struct bytes local_part(struct bytes sender)
{
	size_t at = bytes_find_last(sender, '@');

	return bytes_first(sender, at == BYTES_NONE ? 0 : at);
}

static bool value_of(const struct spf_macro_values *v, char letter, bool explaining,
                     struct arena *arena, struct bytes *ret)
{
	bool v4 = ip_is_v4(&v->ip);

	if (!explaining && (letter == 'c' || letter == 'r' || letter == 't'))
		return false;
	switch (letter) {
	case 's': *ret = v->sender; return true;
	case 'l': *ret = local_part(v->sender); return true;
	case 'o': *ret = bytes_skip(v->sender, local_part(v->sender).len + 1); return true;
	case 'd': *ret = v->domain; return true;
	case 'i': *ret = v4 ? readable(&v->ip, arena) : dotted_nibbles(&v->ip, arena); return true;
	case 'p': *ret = v->validated.len ? v->validated : BYTES("unknown"); return true;
	case 'v': *ret = v4 ? BYTES("in-addr") : BYTES("ip6"); return true;
	case 'h': *ret = v->helo; return true;
	case 'c': *ret = readable(&v->ip, arena); return true;
	case 'r': *ret = v->hostname.len ? v->hostname : BYTES("unknown"); return true;
	case 't': *ret = arena_printf(arena, "%lld", (long long)(v->now / 1000)); return true;
	default: return false;
	}
}

/* ---- putting together ---- */

static size_t split(struct bytes value, struct bytes delimiters, struct bytes parts[PARTS])
{
	size_t n = 0, from = 0;

	for (size_t i = 0; i <= value.len && n < PARTS; i++) {
		if (i < value.len && bytes_find_char(delimiters, value.ptr[i]) == BYTES_NONE)
			continue;
		parts[n++] = bytes_of(value.ptr + from, i - from);
		from = i + 1;
	}
	return n;
}

static void put_escaped(struct buf *out, struct bytes b, bool escape)
{
	for (size_t i = 0; i < b.len; i++) {
		char c = b.ptr[i];

		if (!escape || text_is_alnum(c) || (c && strchr("-._~", c)))
			buf_append_char(out, c);
		else
			buf_printf(out, "%%%02X", (unsigned char)c);
	}
}

static void put_value(struct buf *out, const struct macro *m, struct bytes value)
{
	struct bytes parts[PARTS];
	size_t n = split(value, m->delimiters, parts);
	size_t keep = m->keep && m->keep < n ? (size_t)m->keep : n;

	for (size_t i = n - keep; i < n; i++) {
		if (i > n - keep)
			buf_append_char(out, '.');
		/* Reversed, the parts on the right are those that were on the left. */
		put_escaped(out, m->reverse ? parts[n - 1 - i] : parts[i], m->escape);
	}
}

/* Octets taken, 0: broken. */
static size_t put_macro(const struct spf_macro_values *v, struct bytes b, bool explaining,
                        struct arena *arena, struct buf *out)
{
	size_t end = bytes_find_char(b, '}');
	struct bytes value;
	struct macro m;

	if (b.len >= 2 && b.ptr[1] == '%')
		return buf_append_char(out, '%'), 2;
	if (b.len >= 2 && b.ptr[1] == '_')
		return buf_append_char(out, ' '), 2;
	if (b.len >= 2 && b.ptr[1] == '-')
		return buf_append_text(out, "%20"), 2;
	if (b.len < 2 || b.ptr[1] != '{' || end == BYTES_NONE ||
	    !parse_macro(bytes_of(b.ptr + 2, end - 2), &m) ||
	    !value_of(v, m.letter, explaining, arena, &value))
		return 0;
	put_value(out, &m, value);
	return end + 1;
}

enum result spf_macro_expand(const struct spf_macro_values *v, struct bytes spec, bool explaining,
                             struct arena *arena, struct bytes *ret)
{
	struct buf out = {0};
	size_t n = 1;

	for (size_t i = 0; i < spec.len && n > 0 && buf_len(&out) < EXPANDED_MAX; i += n) {
		n = 1;
		if (spec.ptr[i] == '%')
			n = put_macro(v, bytes_skip(spec, i), explaining, arena, &out);
		else
			buf_append_char(&out, spec.ptr[i]);
	}
	if (n > 0)
		*ret = arena_copy(arena, buf_bytes(&out));
	buf_done(&out);
	return n > 0 ? OK : INVALID;
}

bool spf_macro_has_p(struct bytes spec)
{
	return bytes_find_nocase(spec, BYTES("%{p")) != BYTES_NONE;
}

/* ---- as a name ---- */

static struct bytes shorten(struct bytes name)
{
	while (name.len > NAME_TEXT) {
		size_t dot = bytes_find_char(name, '.');

		if (dot == BYTES_NONE)
			break;
		name = bytes_skip(name, dot + 1);
	}
	return name;
}

static struct bytes escape_name(struct bytes name, struct arena *arena)
{
	struct buf out = {0};
	struct bytes ret;

	for (size_t i = 0; i < name.len; i++) {
		char c = name.ptr[i];

		if (c > ' ' && c < 0x7f && c != '\\')
			buf_append_char(&out, c);
		else
			buf_printf(&out, "\\%03u", (unsigned)(unsigned char)c);
	}
	ret = arena_copy(arena, buf_bytes(&out));
	buf_done(&out);
	return ret;
}

enum result spf_macro_name(const struct spf_macro_values *v, struct bytes spec, struct arena *arena,
                           struct bytes *ret)
{
	struct bytes name;
	struct dns_name parsed;

	if (spf_macro_expand(v, spec, false, arena, &name) != OK)
		return INVALID;
	if (bytes_ends(name, BYTES(".")))
		name.len--;
	name = escape_name(shorten(name), arena);
	if (name.len == 0 || dns_name_parse(name, &parsed) != OK)
		return INVALID;
	*ret = name;
	return OK;
}
