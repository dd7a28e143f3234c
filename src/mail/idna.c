/* Domain names by UTS 46. */
#include <unicode/uidna.h>

#include "base/limits.h"
#include "base/text.h"
#include "mail/charset.h"

enum { UNICODE_MAX = 4 * LIMIT_DOMAIN };

static UIDNA *open_idna(void)
{
	UErrorCode error = U_ZERO_ERROR;
	UIDNA *idna = uidna_openUTS46(
	        UIDNA_USE_STD3_RULES | UIDNA_CHECK_BIDI | UIDNA_CHECK_CONTEXTJ |
	                UIDNA_NONTRANSITIONAL_TO_ASCII | UIDNA_NONTRANSITIONAL_TO_UNICODE,
	        &error);
	return U_FAILURE(error) ? NULL : idna;
}

/* Letters, digits and hyphens in labels of 1 to 63 (RFC 5321, 4.1.2; RFC 1035, 2.3.4), no "xn--"
 * to look into. */
static bool is_plain(struct bytes domain)
{
	struct bytes label;

	if (domain.len == 0 || domain.len > LIMIT_DOMAIN || domain.ptr[domain.len - 1] == '.')
		return false;
	while (bytes_cut(&domain, '.', &label)) {
		if (label.len == 0 || label.len > 63 || label.ptr[0] == '-' ||
		    label.ptr[label.len - 1] == '-' || bytes_starts_nocase(label, BYTES("xn--")))
			return false;
		for (size_t i = 0; i < label.len; i++) {
			if (!text_is_alnum(label.ptr[i]) && label.ptr[i] != '-')
				return false;
		}
	}
	return true;
}

static void put_lower(struct bytes domain, struct buf *out)
{
	for (size_t i = 0; i < domain.len; i++)
		buf_append_char(out, text_lower_char(domain.ptr[i]));
}

typedef int32_t name_function(const UIDNA *idna, const char *name, int32_t length, char *dest,
                              int32_t capacity, UIDNAInfo *info, UErrorCode *error);

static enum result by_icu(struct bytes domain, name_function *to, size_t most, struct buf *out)
{
	UIDNAInfo info = UIDNA_INFO_INITIALIZER;
	UErrorCode error = U_ZERO_ERROR;
	char made[UNICODE_MAX];

	if (domain.len == 0 || !text_is_utf8(domain))
		return INVALID;
	if (domain.len > UNICODE_MAX)
		return TOO_BIG;
	UIDNA *idna = open_idna();
	if (!idna)
		return INVALID;
	int32_t len = to(idna, domain.ptr, (int32_t)domain.len, made, UNICODE_MAX, &info, &error);
	uidna_close(idna);
	if (error == U_BUFFER_OVERFLOW_ERROR || len > (int32_t)most)
		return TOO_BIG;
	if (U_FAILURE(error) || info.errors || len == 0 || made[len - 1] == '.')
		return INVALID;
	buf_append(out, bytes_of(made, (size_t)len));
	return OK;
}

enum result charset_domain_to_ascii(struct bytes domain, struct buf *out)
{
	if (is_plain(domain)) {
		put_lower(domain, out);
		return OK;
	}
	return by_icu(domain, uidna_nameToASCII_UTF8, LIMIT_DOMAIN, out);
}

enum result charset_domain_to_unicode(struct bytes domain, struct buf *out)
{
	if (is_plain(domain)) {
		put_lower(domain, out);
		return OK;
	}
	return by_icu(domain, uidna_nameToUnicodeUTF8, UNICODE_MAX, out);
}
