/* DMARC (RFC 9989; records written for RFC 7489 are read as well): does a domain that SPF or DKIM proved belong to the same
 * organisation as the domain in From, and what does that one want done if none does? A pure function over DNS facts.
 *
 *	while (!dmarc_check(&in, facts, &arena, &verdict))
 *		ask for what is missing
 *
 * The organisation is found by walking up the DNS (RFC 9989, 4.10), at most 8 look-ups a domain, not by a list of public
 * suffixes. pct of RFC 7489 is gone; pct=0 is read as t=y, which replaced it. */
#ifndef VERIFY_DMARC_H
#define VERIFY_DMARC_H

#include "base/buf.h"
#include "verify/spf.h"

struct dkim_verdict; /* verify/dkim.h */

enum { DMARC_WALK = 8 }; /* look-ups of one walk (RFC 9989, 4.10) */

enum dmarc_result {
	DMARC_NONE, /* nobody published anything for this domain */
	DMARC_PASS,
	DMARC_FAIL,
	DMARC_TEMPERROR,
	DMARC_PERMERROR, /* no From, or several: there is no domain to judge */
	DMARC_RESULTS
};

enum dmarc_policy { DMARC_POLICY_NONE, DMARC_POLICY_QUARANTINE, DMARC_POLICY_REJECT };

const char *dmarc_result_name(enum dmarc_result r); /* "pass" */
const char *dmarc_policy_name(enum dmarc_policy p); /* "quarantine" */

/* ---- the record ---- */

struct dmarc_record {
	enum dmarc_policy p, sp, np; /* sp and np as they apply: p where the record has none */
	bool has_sp, has_np;
	bool strict_dkim, strict_spf; /* adkim=s, aspf=s */
	bool testing;                 /* t=y */
	char psd;                     /* 'y', 'n' or 'u' */
	struct bytes fo;              /* as written; may be empty */
	struct bytes rua;             /* as written; may be empty */
};

/* What stands in a TXT record. NOT_FOUND: it is no DMARC record; INVALID: it is one, but nothing can be done with it (RFC 9989,
 * 4.7: no valid p and no rua). Strings are borrowed. */
enum result dmarc_record_parse(struct bytes text, struct dmarc_record *ret) MUST_USE;

/* ---- the check ---- */

struct dmarc_input {
	struct bytes from_domain; /* A-labels, any case; empty: none or several From */
	enum spf_result spf;
	struct bytes spf_domain; /* that SPF was asked about */
	const struct dkim_verdict *dkim;
	size_t dkim_count;
};

struct dmarc_verdict {
	enum dmarc_result result;
	enum dmarc_policy policy; /* to apply to this mail if it failed: sp, np and t are heeded */
	struct bytes domain;      /* From's organisation; empty: there is no record at all */
	struct bytes
	        policy_domain; /* where the record stands, without _dmarc.; empty: there is none */
	struct bytes record;   /* its text */
	struct bytes rua;      /* where reports are wanted; may be empty */
	bool aligned_spf, aligned_dkim;
	bool testing;
	struct bytes reason; /* of errors: why, for a person */
};

/* False: facts are missing, ret is untouched. Strings are the arena's or borrowed from in and facts. */
bool dmarc_check(const struct dmarc_input *in, struct facts *f, struct arena *arena,
                 struct dmarc_verdict *ret) MUST_USE;

/* The domain that the mail is proven to be from: From's domain where DMARC passed, else the first domain with a valid DKIM
 * signature, else SPF's; empty: none. Borrowed from in. */
struct bytes dmarc_proved(const struct dmarc_input *in, const struct dmarc_verdict *v);

/* ---- a mail's row in the aggregate report of its day (RFC 9990) ---- */

enum { DMARC_ROW_DKIMS = 4, DMARC_ROW_MAX = 4096 };

struct dmarc_row {
	struct bytes policy_domain, record;
	struct bytes from, sender_domain; /* header_from, envelope_from */
	enum dmarc_policy policy;         /* that applies to it */
	bool passed, aligned_spf, aligned_dkim, testing;
	enum spf_result spf;
	struct bytes spf_domain;
	bool spf_by_helo;
	struct dmarc_row_dkim {
		struct bytes domain, selector, result;
	} dkim[DMARC_ROW_DKIMS];
	size_t dkim_count;
};

/* For JUDGED's field dmarc. Appends; nothing where nobody wants a report (no rua) or the verdict is an error. */
void dmarc_row_pack(const struct dmarc_input *in, const struct spf_verdict *spf,
                    const struct dmarc_verdict *v, struct buf *out);
/* INVALID: malformed. Strings borrow from packed. */
enum result dmarc_row_parse(struct bytes packed, struct dmarc_row *ret) MUST_USE;

#endif
