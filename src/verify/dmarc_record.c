/* DMARC's TXT record (RFC 9989, 4.7). */
#include "base/text.h"
#include "verify/dmarc.h"

const char *dmarc_result_name(enum dmarc_result r)
{
	static const char *const names[DMARC_RESULTS] = {
	        [DMARC_NONE] = "none",           [DMARC_PASS] = "pass",
	        [DMARC_FAIL] = "fail",           [DMARC_TEMPERROR] = "temperror",
	        [DMARC_PERMERROR] = "permerror",
	};

	return r < DMARC_RESULTS ? names[r] : "none";
}

const char *dmarc_policy_name(enum dmarc_policy p)
{
	return p == DMARC_POLICY_REJECT       ? "reject"
	       : p == DMARC_POLICY_QUARANTINE ? "quarantine"
	                                      : "none";
}

/* "v=DMARC1", blanks around "=" allowed, then the end or ";". What stands behind it. */
static bool take_version(struct bytes text, struct bytes *ret_rest)
{
	size_t end = bytes_find_char(text, ';');
	struct bytes first = bytes_first(text, end == BYTES_NONE ? text.len : end);
	size_t equals = bytes_find_char(first, '=');

	if (equals == BYTES_NONE ||
	    !bytes_equal_nocase(bytes_trim(bytes_first(first, equals)), BYTES("v")) ||
	    !bytes_equal(bytes_trim(bytes_skip(first, equals + 1)), BYTES("DMARC1")))
		return false;
	*ret_rest = bytes_skip(text, end == BYTES_NONE ? text.len : end + 1);
	return true;
}

static bool read_policy(struct bytes value, enum dmarc_policy *ret)
{
	for (enum dmarc_policy p = DMARC_POLICY_NONE; p <= DMARC_POLICY_REJECT; p++) {
		if (!bytes_equal_nocase(value, bytes_of_text(dmarc_policy_name(p))))
			continue;
		*ret = p;
		return true;
	}
	return false;
}

static bool says(struct bytes value, const char *word)
{
	return bytes_equal_nocase(value, bytes_of_text(word));
}

/* What was read, and what was broken about it. */
struct reading {
	struct dmarc_record r;
	bool pct_none, has_t;
	bool broken; /* a policy that is none of the words */
};

static void take_tag(struct reading *in, struct bytes name, struct bytes value)
{
	struct dmarc_record *r = &in->r;

	if (says(name, "p")) {
		in->broken |= !read_policy(value, &r->p);
	} else if (says(name, "sp")) {
		r->has_sp = read_policy(value, &r->sp);
		in->broken |= !r->has_sp;
	} else if (says(name, "np")) {
		r->has_np = read_policy(value, &r->np);
		in->broken |= !r->has_np;
	} else if (says(name, "adkim")) {
		r->strict_dkim = says(value, "s");
	} else if (says(name, "aspf")) {
		r->strict_spf = says(value, "s");
	} else if (says(name, "t")) {
		in->has_t = true;
		r->testing = says(value, "y");
	} else if (says(name, "pct")) {
		in->pct_none = says(value, "0");
	} else if (says(name, "psd")) {
		r->psd = says(value, "y") ? 'y' : says(value, "n") ? 'n' : 'u';
	} else if (says(name, "fo")) {
		r->fo = value;
	} else if (says(name, "rua")) {
		r->rua = value;
	}
}

static bool has_address(struct bytes rua)
{
	struct bytes uri;

	while (bytes_cut(&rua, ',', &uri))
		if (bytes_starts_nocase(bytes_trim(uri), BYTES("mailto:")))
			return true;
	return false;
}

enum result dmarc_record_parse(struct bytes text, struct dmarc_record *ret)
{
	struct reading in = {.r = {.psd = 'u'}};
	struct bytes rest, tag;

	if (!take_version(text, &rest))
		return NOT_FOUND;
	while (bytes_cut(&rest, ';', &tag)) {
		size_t equals = bytes_find_char(tag, '=');

		if (equals != BYTES_NONE)
			take_tag(&in, bytes_trim(bytes_first(tag, equals)),
			         bytes_trim(bytes_skip(tag, equals + 1)));
	}
	if (in.broken && !has_address(in.r.rua))
		return INVALID;
	if (in.broken) { /* its owner wants at least the reports */
		in.r.p = DMARC_POLICY_NONE;
		in.r.has_sp = in.r.has_np = false;
	}
	in.r.sp = in.r.has_sp ? in.r.sp : in.r.p;
	in.r.np = in.r.has_np ? in.r.np : in.r.sp;
	in.r.testing |= in.pct_none && !in.has_t;
	*ret = in.r;
	return OK;
}
