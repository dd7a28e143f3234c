#include "sasl/prepare.h"

#include <unicode/ubidi.h>
#include <unicode/uchar.h>
#include <unicode/unorm2.h>
#include <unicode/uscript.h>
#include <unicode/ustring.h>

#include "base/limits.h"
#include "base/memory.h"
#include "base/text.h"

/* UTF-16 units: what LIMIT_PASSWORD octets of UTF-8 can become, decomposed and lowered. */
enum { UNITS = 4 * LIMIT_PASSWORD };

struct text16 {
	UChar units[UNITS];
	int32_t len;
};

/* ---- derived properties (RFC 8264, 8) ---- */

enum property { PVALID, FREE_PVAL, CONTEXTUAL, DISALLOWED };

/* Exceptions (RFC 8264, 9.6, which is RFC 5892, 2.6). */
static const struct exception {
	UChar32 first, last;
	enum property property;
} exceptions[] = {
        {0x00b7, 0x00b7, CONTEXTUAL}, {0x00df, 0x00df, PVALID},     {0x0375, 0x0375, CONTEXTUAL},
        {0x03c2, 0x03c2, PVALID},     {0x05f3, 0x05f4, CONTEXTUAL}, {0x0640, 0x0640, DISALLOWED},
        {0x0660, 0x0669, CONTEXTUAL}, {0x06f0, 0x06f9, CONTEXTUAL}, {0x06fd, 0x06fe, PVALID},
        {0x07fa, 0x07fa, DISALLOWED}, {0x0f0b, 0x0f0b, PVALID},     {0x200c, 0x200d, CONTEXTUAL},
        {0x3007, 0x3007, PVALID},     {0x302e, 0x302f, DISALLOWED}, {0x3031, 0x3035, DISALLOWED},
        {0x303b, 0x303b, DISALLOWED}, {0x30fb, 0x30fb, CONTEXTUAL},
};

static bool is_old_jamo(UChar32 c)
{
	int32_t type = u_getIntPropertyValue(c, UCHAR_HANGUL_SYLLABLE_TYPE);

	return type == U_HST_LEADING_JAMO || type == U_HST_VOWEL_JAMO ||
	       type == U_HST_TRAILING_JAMO;
}

static bool has_compatibility(UChar32 c)
{
	UErrorCode e = U_ZERO_ERROR;
	const UNormalizer2 *nfkc = unorm2_getNFKCInstance(&e);
	UChar one[2];
	int32_t len = 0;

	U16_APPEND_UNSAFE(one, len, c);
	return !unorm2_isNormalized(nfkc, one, len, &e);
}

static enum property by_category(UChar32 c)
{
	uint32_t category = U_GET_GC_MASK(c);

	if (category & (U_GC_LL_MASK | U_GC_LU_MASK | U_GC_LO_MASK | U_GC_ND_MASK | U_GC_LM_MASK |
	                U_GC_MN_MASK | U_GC_MC_MASK))
		return PVALID;
	if (category & (U_GC_LT_MASK | U_GC_NL_MASK | U_GC_NO_MASK | U_GC_ME_MASK | U_GC_ZS_MASK |
	                U_GC_S_MASK | U_GC_P_MASK))
		return FREE_PVAL;
	return DISALLOWED;
}

static enum property property_of(UChar32 c)
{
	for (size_t i = 0; i < sizeof exceptions / sizeof *exceptions; i++)
		if (c >= exceptions[i].first && c <= exceptions[i].last)
			return exceptions[i].property;
	if (c >= 0x21 && c <= 0x7e)
		return PVALID;
	if (u_charType(c) == U_UNASSIGNED || is_old_jamo(c) ||
	    u_hasBinaryProperty(c, UCHAR_DEFAULT_IGNORABLE_CODE_POINT) ||
	    u_hasBinaryProperty(c, UCHAR_NONCHARACTER_CODE_POINT) ||
	    u_charType(c) == U_CONTROL_CHAR)
		return DISALLOWED;
	return has_compatibility(c) ? FREE_PVAL : by_category(c);
}

/* ---- contextual rules (RFC 5892, appendix A) ---- */

static UChar32 before(const struct text16 *t, int32_t at)
{
	UChar32 c = U_SENTINEL;

	if (at > 0)
		U16_PREV(t->units, 0, at, c);
	return c;
}

static UChar32 after(const struct text16 *t, int32_t at)
{
	UChar32 c = U_SENTINEL;

	if (at < t->len)
		U16_FWD_1(t->units, at, t->len);
	if (at < t->len)
		U16_NEXT(t->units, at, t->len, c);
	return c;
}

static UScriptCode script_of(UChar32 c)
{
	UErrorCode e = U_ZERO_ERROR;

	return c < 0 ? USCRIPT_UNKNOWN : uscript_getScript(c, &e);
}

static bool any_between(const struct text16 *t, UChar32 first, UChar32 last)
{
	UChar32 c;

	for (int32_t i = 0; i < t->len;) {
		U16_NEXT(t->units, i, t->len, c);
		if (c >= first && c <= last)
			return true;
	}
	return false;
}

static bool any_japanese(const struct text16 *t)
{
	UChar32 c;

	for (int32_t i = 0; i < t->len;) {
		UScriptCode s;

		U16_NEXT(t->units, i, t->len, c);
		s = script_of(c);
		if (s == USCRIPT_HIRAGANA || s == USCRIPT_KATAKANA || s == USCRIPT_HAN)
			return true;
	}
	return false;
}

/* A.1: what joins to the left stands before, what joins to the right after, transparent ones apart.
 * */
static bool between_joining(const struct text16 *t, int32_t at)
{
	int32_t i = at;
	int32_t type = U_JT_TRANSPARENT;
	UChar32 c;

	while (i > 0 && type == U_JT_TRANSPARENT) {
		U16_PREV(t->units, 0, i, c);
		type = u_getIntPropertyValue(c, UCHAR_JOINING_TYPE);
	}
	if (type != U_JT_LEFT_JOINING && type != U_JT_DUAL_JOINING)
		return false;
	type = U_JT_TRANSPARENT;
	for (i = at + 1; i < t->len && type == U_JT_TRANSPARENT;) {
		U16_NEXT(t->units, i, t->len, c);
		type = u_getIntPropertyValue(c, UCHAR_JOINING_TYPE);
	}
	return type == U_JT_RIGHT_JOINING || type == U_JT_DUAL_JOINING;
}

static bool context_allows(const struct text16 *t, int32_t at, UChar32 c)
{
	enum { VIRAMA = 9 };

	switch (c) {
	case 0x200c: return u_getCombiningClass(before(t, at)) == VIRAMA || between_joining(t, at);
	case 0x200d: return u_getCombiningClass(before(t, at)) == VIRAMA;
	case 0x00b7: return before(t, at) == 'l' && after(t, at) == 'l';
	case 0x0375: return script_of(after(t, at)) == USCRIPT_GREEK;
	case 0x05f3:
	case 0x05f4: return script_of(before(t, at)) == USCRIPT_HEBREW;
	case 0x30fb: return any_japanese(t);
	default:
		/* A.8, A.9: the two kinds of Arabic digits do not mix. */
		return c < 0x06f0 ? !any_between(t, 0x06f0, 0x06f9)
		                  : !any_between(t, 0x0660, 0x0669);
	}
}

/* Every code point is allowed in IdentifierClass, or (freeform) in FreeformClass. */
static bool class_allows(const struct text16 *t, bool freeform)
{
	for (int32_t i = 0; i < t->len;) {
		int32_t at = i;
		enum property p;
		UChar32 c;

		U16_NEXT(t->units, i, t->len, c);
		p = property_of(c);
		/* A space is in no category above ASCII7; FreeformClass has it (RFC 8264, 4.3.1).
		 * */
		if (p == DISALLOWED || (p == FREE_PVAL && !freeform) ||
		    (p == CONTEXTUAL && !context_allows(t, at, c)))
			return false;
	}
	return true;
}

/* ---- the Bidi rule (RFC 5893, 2), for names with anything from right to left ---- */

static bool ltr_label(UCharDirection d)
{
	return d == U_LEFT_TO_RIGHT || d == U_EUROPEAN_NUMBER;
}

static bool rtl_ends(UCharDirection d)
{
	return d == U_RIGHT_TO_LEFT || d == U_RIGHT_TO_LEFT_ARABIC || d == U_EUROPEAN_NUMBER ||
	       d == U_ARABIC_NUMBER;
}

static bool neutral(UCharDirection d)
{
	return d == U_EUROPEAN_NUMBER_SEPARATOR || d == U_EUROPEAN_NUMBER_TERMINATOR ||
	       d == U_COMMON_NUMBER_SEPARATOR || d == U_OTHER_NEUTRAL || d == U_BOUNDARY_NEUTRAL ||
	       d == U_DIR_NON_SPACING_MARK;
}

static bool bidi_allows(const struct text16 *t)
{
	UCharDirection first = U_OTHER_NEUTRAL, last = U_OTHER_NEUTRAL;
	bool any_rtl = false, any_ltr = false, arabic = false, european = false, odd = false;
	UChar32 c;

	for (int32_t i = 0; i < t->len;) {
		UCharDirection d;
		bool begins = i == 0;

		U16_NEXT(t->units, i, t->len, c);
		d = u_charDirection(c);
		first = begins ? d : first;
		last = d == U_DIR_NON_SPACING_MARK ? last : d;
		any_rtl |= d == U_RIGHT_TO_LEFT || d == U_RIGHT_TO_LEFT_ARABIC ||
		           d == U_ARABIC_NUMBER;
		any_ltr |= d == U_LEFT_TO_RIGHT;
		arabic |= d == U_ARABIC_NUMBER;
		european |= d == U_EUROPEAN_NUMBER;
		odd |= !rtl_ends(d) && !ltr_label(d) && !neutral(d);
	}
	if (!any_rtl)
		return true;
	if (first == U_RIGHT_TO_LEFT || first == U_RIGHT_TO_LEFT_ARABIC)
		return !odd && !any_ltr && rtl_ends(last) && !(arabic && european);
	return false;
}

/* ---- mappings ---- */

static enum result widen(struct bytes in, struct text16 *ret)
{
	UErrorCode e = U_ZERO_ERROR;

	if (!text_is_utf8(in))
		return INVALID;
	u_strFromUTF8(ret->units, UNITS, &ret->len, in.ptr, (int32_t)in.len, &e);
	return U_FAILURE(e) ? TOO_BIG : OK;
}

static enum result append(struct text16 *t, const UChar *units, int32_t len)
{
	if (t->len + len > UNITS)
		return TOO_BIG;
	memcpy(t->units + t->len, units, (size_t)len * sizeof *units);
	t->len += len;
	return OK;
}

/* Full-width and half-width characters become the ordinary ones (RFC 8265, 3.3.2, 1). */
static enum result map_width(const struct text16 *in, struct text16 *ret)
{
	UErrorCode e = U_ZERO_ERROR;
	const UNormalizer2 *nfkc = unorm2_getNFKCInstance(&e);
	enum result r = OK;
	UChar32 c;

	ret->len = 0;
	for (int32_t i = 0; r == OK && i < in->len;) {
		int32_t at = i, len = -1;
		UChar raw[32];
		int32_t type;

		U16_NEXT(in->units, i, in->len, c);
		type = u_getIntPropertyValue(c, UCHAR_DECOMPOSITION_TYPE);
		if (type == U_DT_WIDE || type == U_DT_NARROW)
			len = unorm2_getRawDecomposition(nfkc, c, raw, 32, &e);
		r = len > 0 ? append(ret, raw, len) : append(ret, in->units + at, i - at);
	}
	return U_FAILURE(e) ? INVALID : r;
}

static void map_spaces(struct text16 *t)
{
	for (int32_t i = 0; i < t->len; i++) /* all of Zs is in the BMP */
		if (u_charType(t->units[i]) == U_SPACE_SEPARATOR)
			t->units[i] = ' ';
}

static enum result lower(const struct text16 *in, struct text16 *ret)
{
	UErrorCode e = U_ZERO_ERROR;

	ret->len = u_strToLower(ret->units, UNITS, in->units, in->len, "", &e);
	return U_FAILURE(e) ? TOO_BIG : OK;
}

static enum result compose(const struct text16 *in, struct text16 *ret)
{
	UErrorCode e = U_ZERO_ERROR;

	ret->len = unorm2_normalize(unorm2_getNFCInstance(&e), in->units, in->len, ret->units,
	                            UNITS, &e);
	return U_FAILURE(e) ? TOO_BIG : OK;
}

static enum result narrow(const struct text16 *t, size_t limit, struct arena *arena,
                          struct bytes *ret)
{
	UErrorCode e = U_ZERO_ERROR;
	char out[LIMIT_PASSWORD + 4];
	int32_t len = 0;

	u_strToUTF8(out, sizeof out, &len, t->units, t->len, &e);
	if (U_FAILURE(e) || (size_t)len > limit)
		return TOO_BIG;
	*ret = arena_copy(arena, bytes_of(out, (size_t)len));
	memory_wipe(out, sizeof out);
	return OK;
}

/* ---- the two profiles ---- */

static bool all_between(struct bytes in, char first, char last)
{
	for (size_t i = 0; i < in.len; i++)
		if (in.ptr[i] < first || in.ptr[i] > last)
			return false;
	return true;
}

static enum result prepare_name(struct text16 *a, struct text16 *b, struct bytes in)
{
	enum result r = widen(in, a);

	if (r == OK)
		r = map_width(a, b);
	if (r == OK)
		r = lower(b, a);
	if (r == OK)
		r = compose(a, b);
	if (r == OK && (b->len == 0 || !class_allows(b, false) || !bidi_allows(b)))
		r = INVALID;
	return r;
}

enum result prepare_username(struct bytes in, struct arena *arena, struct bytes *ret)
{
	struct text16 a, b;
	enum result r;

	if (in.len == 0)
		return INVALID;
	if (in.len > LIMIT_USER)
		return TOO_BIG;
	if (all_between(in, 0x21, 0x7e)) {
		*ret = arena_copy(arena, in);
		text_lower((char *)ret->ptr, ret->len);
		return OK;
	}
	r = prepare_name(&a, &b, in);
	return r == OK ? narrow(&b, LIMIT_USER, arena, ret) : r;
}

enum result prepare_password(struct bytes in, struct arena *arena, struct bytes *ret)
{
	struct text16 a, b;
	enum result r;

	if (in.len == 0)
		return INVALID;
	if (in.len > LIMIT_PASSWORD)
		return TOO_BIG;
	if (all_between(in, 0x20, 0x7e)) {
		*ret = arena_copy(arena, in);
		return OK;
	}
	r = widen(in, &a);
	if (r == OK) {
		map_spaces(&a);
		r = compose(&a, &b);
	}
	if (r == OK)
		r = class_allows(&b, true) ? narrow(&b, LIMIT_PASSWORD, arena, ret) : INVALID;
	memory_wipe(&a, sizeof a);
	memory_wipe(&b, sizeof b);
	return r;
}

void prepare_warm(void)
{
	struct arena arena = {0};
	struct bytes name;

	if (prepare_username(BYTES("\xef\xbc\xab\xe5\x81\xa5\xe3\x83\xbb"), &arena, &name) != OK ||
	    prepare_password(BYTES("\xe9\xa3\x9b\xe8\x84\x9a\xe3\x80\x80"), &arena, &name) != OK)
		name = (struct bytes){0};
	arena_done(&arena);
}
