/* Addresses in the form that they are compared in: RFC 5321, 4.1.2; RFC 6531, 3.3; IDNA by UTS
 * #46 (ICU). */
#include <unicode/uidna.h>
#include <unicode/unorm2.h>
#include <unicode/ustring.h>

#include "base/text.h"
#include "config/config.h"

enum { LABEL_MAX = 63, UNITS = 512 };

/* ---- domains ---- */

static bool is_label_char(char c)
{
	/* "_" stands in no host name, but in real domains of senders. */
	return text_is_alnum(c) || c == '-' || c == '_';
}

/* Labels of letters, digits and hyphens, 1 to 63 long, none empty. */
static bool is_ascii_domain(struct bytes domain)
{
	size_t label = 0;

	for (size_t i = 0; i < domain.len; i++) {
		char c = domain.ptr[i];

		if (c == '.' ? label == 0 || domain.ptr[i - 1] == '-' : !is_label_char(c))
			return false;
		if (label == 0 && c == '-')
			return false;
		label = c == '.' ? 0 : label + 1;
		if (label > LABEL_MAX)
			return false;
	}
	return label > 0 && domain.ptr[domain.len - 1] != '-';
}

static bool has_a_label(struct bytes domain)
{
	return bytes_starts_nocase(domain, BYTES("xn--")) ||
	       bytes_find_nocase(domain, BYTES(".xn--")) != BYTES_NONE;
}

/* By ICU: U-labels become A-labels, A-labels are checked. */
static enum result domain_by_icu(struct bytes domain, struct arena *arena, struct bytes *ret)
{
	UErrorCode error = U_ZERO_ERROR;
	UIDNAInfo info = UIDNA_INFO_INITIALIZER;
	UIDNA *idna = uidna_openUTS46(UIDNA_CHECK_BIDI | UIDNA_CHECK_CONTEXTJ |
	                                      UIDNA_NONTRANSITIONAL_TO_ASCII | UIDNA_USE_STD3_RULES,
	                              &error);
	char out[UNITS];
	int32_t len;

	if (U_FAILURE(error))
		return INVALID;
	len = uidna_nameToASCII_UTF8(idna, domain.ptr, (int32_t)domain.len, out, UNITS, &info,
	                             &error);
	uidna_close(idna);
	if (U_FAILURE(error) || info.errors != 0 || len <= 0)
		return INVALID;
	if (len > LIMIT_DOMAIN)
		return TOO_BIG;
	*ret = arena_copy(arena, bytes_of(out, (size_t)len));
	return is_ascii_domain(*ret) ? OK : INVALID;
}

/* [192.0.2.1] or [IPv6:2001:db8::1] (RFC 5321, 4.1.3), in the one form that ip_format gives. */
static enum result literal_canonical(struct bytes domain, struct arena *arena, struct bytes *ret)
{
	struct bytes inner = bytes_skip(bytes_first(domain, domain.len - 1), 1);
	bool six = bytes_starts_nocase(inner, BYTES("IPv6:"));
	struct ip ip;
	char text[IP_TEXT];

	if (domain.ptr[domain.len - 1] != ']' || domain.len < 3)
		return INVALID;
	if (ip_parse(bytes_skip(inner, six ? 5 : 0), &ip) != OK || six == ip_is_v4(&ip))
		return INVALID;
	ip_format(&ip, text);
	*ret = arena_printf(arena, six ? "[IPv6:%s]" : "[%s]", text);
	return OK;
}

enum result config_domain_canonical(struct bytes domain, struct arena *arena, struct bytes *ret)
{
	char *text;

	if (domain.len == 0)
		return INVALID;
	if (domain.len > LIMIT_DOMAIN)
		return TOO_BIG;
	if (domain.ptr[0] == '[')
		return literal_canonical(domain, arena, ret);
	if (!text_is_ascii(domain) || has_a_label(domain))
		return domain_by_icu(domain, arena, ret);
	if (!is_ascii_domain(domain))
		return INVALID;
	text = arena_text(arena, domain);
	text_lower(text, domain.len);
	*ret = bytes_of(text, domain.len);
	return OK;
}

/* ---- local parts ---- */

/* RFC 5322, 3.2.3 with RFC 6532, 3.2: what may stand outside quotes. */
static bool is_atom_char(char c)
{
	return text_is_alnum(c) || (unsigned char)c >= 0x80 ||
	       (c && strchr("!#$%&'*+-/=?^_`{|}~", c));
}

static bool is_dot_atom(struct bytes local)
{
	for (size_t i = 0; i < local.len; i++) {
		bool dot = local.ptr[i] == '.';

		if (!dot && !is_atom_char(local.ptr[i]))
			return false;
		if (dot && (i == 0 || i + 1 == local.len || local.ptr[i - 1] == '.'))
			return false;
	}
	return local.len > 0;
}

/* Where the local part ends: at the @ after a quoted string, else at the last one. BYTES_NONE:
 * no @. */
static size_t local_end(struct bytes address)
{
	size_t at = 1;

	if (address.len == 0 || address.ptr[0] != '"')
		return bytes_find_last(address, '@');
	while (at < address.len && address.ptr[at] != '"')
		at += address.ptr[at] == '\\' ? 2 : 1;
	if (at + 1 < address.len && address.ptr[at + 1] == '@')
		return at + 1;
	return BYTES_NONE;
}

/* The text of a quoted local part; others as they are. INVALID: neither a dot-atom nor a whole
 * quoted string. */
static enum result unquote(struct bytes local, struct arena *arena, struct bytes *ret)
{
	char *out;
	size_t len = 0, at = 1;

	if (local.len == 0 || local.ptr[0] != '"') {
		*ret = local;
		return is_dot_atom(local) && text_is_utf8(local) ? OK : INVALID;
	}
	out = arena_get(arena, local.len);
	for (; at < local.len && local.ptr[at] != '"'; at++) {
		if (local.ptr[at] == '\\' && ++at >= local.len)
			return INVALID;
		if ((unsigned char)local.ptr[at] < ' ' || local.ptr[at] == 0x7f)
			return INVALID;
		out[len++] = local.ptr[at];
	}
	if (at + 1 != local.len)
		return INVALID;
	*ret = bytes_of(out, len);
	return text_is_utf8(*ret) ? OK : INVALID;
}

/* In quotes only where it must be. */
static struct bytes quote(struct bytes local, struct arena *arena)
{
	char *out;
	size_t len = 0;

	if (is_dot_atom(local))
		return local;
	out = arena_get(arena, 2 * local.len + 2);
	out[len++] = '"';
	for (size_t i = 0; i < local.len; i++) {
		if (local.ptr[i] == '"' || local.ptr[i] == '\\')
			out[len++] = '\\';
		out[len++] = local.ptr[i];
	}
	out[len++] = '"';
	return bytes_of(out, len);
}

/* NFC, case folded, NFC again: folding can take a text out of its normal form. */
static enum result fold_by_icu(struct bytes local, struct arena *arena, struct bytes *ret)
{
	UErrorCode error = U_ZERO_ERROR;
	const UNormalizer2 *nfc = unorm2_getNFCInstance(&error);
	UChar in[UNITS], normal[UNITS], folded[UNITS];
	char out[UNITS];
	int32_t len;

	u_strFromUTF8(in, UNITS, &len, local.ptr, (int32_t)local.len, &error);
	if (U_SUCCESS(error))
		len = unorm2_normalize(nfc, in, len, normal, UNITS, &error);
	if (U_SUCCESS(error))
		len = u_strFoldCase(folded, UNITS, normal, len, U_FOLD_CASE_DEFAULT, &error);
	if (U_SUCCESS(error))
		len = unorm2_normalize(nfc, folded, len, normal, UNITS, &error);
	if (U_SUCCESS(error))
		u_strToUTF8(out, UNITS, &len, normal, len, &error);
	if (error == U_BUFFER_OVERFLOW_ERROR)
		return TOO_BIG;
	if (U_FAILURE(error))
		return INVALID;
	*ret = arena_copy(arena, bytes_of(out, (size_t)len));
	return OK;
}

static enum result fold(struct bytes local, struct arena *arena, struct bytes *ret)
{
	char *text;

	if (!text_is_ascii(local))
		return fold_by_icu(local, arena, ret);
	text = arena_text(arena, local);
	text_lower(text, local.len);
	*ret = bytes_of(text, local.len);
	return OK;
}

/* ---- both ---- */

static enum result local_canonical(struct bytes local, bool folded, struct arena *arena,
                                   struct bytes *ret)
{
	struct bytes text;
	enum result r = unquote(local, arena, &text);

	if (r == OK && text.len > LIMIT_LOCAL_PART)
		r = TOO_BIG;
	if (r == OK && folded)
		r = fold(text, arena, &text);
	if (r == OK)
		*ret = quote(text, arena);
	return r;
}

static enum result address(struct bytes in, bool folded, struct arena *arena, struct bytes *ret)
{
	size_t at = local_end(in);
	struct bytes local = in, domain = {0};
	enum result r;

	if (at != BYTES_NONE)
		local = bytes_first(in, at);
	r = local_canonical(local, folded, arena, &local);
	if (r == OK && at != BYTES_NONE)
		r = config_domain_canonical(bytes_skip(in, at + 1), arena, &domain);
	if (r != OK)
		return r;
	if (local.len + 1 + domain.len > LIMIT_ADDRESS)
		return TOO_BIG;
	*ret = at == BYTES_NONE
	               ? arena_copy(arena, local)
	               : arena_printf(arena, "%.*s@%.*s", BYTES_ARG(local), BYTES_ARG(domain));
	return OK;
}

enum result config_address_canonical(struct bytes in, struct arena *arena, struct bytes *ret)
{
	return address(in, true, arena, ret);
}

enum result config_address_tidy(struct bytes in, struct arena *arena, struct bytes *ret)
{
	return address(in, false, arena, ret);
}
