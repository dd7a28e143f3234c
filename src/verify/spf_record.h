/* The grammar of SPF records (RFC 7208, 4.6.1, 12) and of the macros in them (7.1). No DNS, no verdict.
 *
 *	if (spf_record_parse(text, &arena, &record, &bad) == OK)
 *		for (i < record.count) record.terms[i] ...
 *	spf_macro_expand(&values, spec, false, &arena, &name)
 */
#ifndef VERIFY_SPF_RECORD_H
#define VERIFY_SPF_RECORD_H

#include "base/arena.h"
#include "base/ip.h"
#include "base/time.h"

/* Octets; a longer one is an error. RFC 7208, 3.4 wants less than 512; the longest that are seen have some 4,000. It is read again
 * each time a fact comes. */
enum { SPF_RECORD_MAX = 8 * 1024 };

enum spf_mechanism {
	SPF_ALL,
	SPF_INCLUDE,
	SPF_A,
	SPF_MX,
	SPF_PTR,
	SPF_IP4,
	SPF_IP6,
	SPF_EXISTS,
	SPF_MECHANISMS
};

struct spf_term {
	enum spf_mechanism mechanism;
	char qualifier;       /* + - ~ ? */
	struct bytes spec;    /* domain-spec, macros in it; empty: the current domain */
	struct ip ip;         /* of ip4 and ip6 */
	uint8_t bits4, bits6; /* of a prefix: 32 and 128 where none stands */
	struct bytes text;    /* the whole term, as it stands */
};

struct spf_record {
	struct spf_term *terms;
	size_t count;
	struct bytes redirect, exp; /* domain-specs; empty: none */
};

/* Is it an SPF record (4.5)? */
bool spf_record_is(struct bytes text);
/* INVALID: the record is broken; ret_bad is the term that breaks it. Strings are borrowed from text. */
enum result spf_record_parse(struct bytes text, struct arena *arena, struct spf_record *ret,
                             struct bytes *ret_bad) MUST_USE;

/* ---- macros ---- */

struct spf_macro_values {
	struct ip ip;
	struct bytes sender; /* local@domain, whole */
	struct bytes domain; /* the current one */
	struct bytes helo;
	struct bytes validated; /* p */
	struct bytes hostname;  /* r */
	time_ms now;            /* t */
};

/* Is there the macro p in it? It alone needs the DNS. */
bool spf_macro_has_p(struct bytes spec);
/* explaining: c, r and t are there too (7.2). INVALID: broken, ret is untouched. */
enum result spf_macro_expand(const struct spf_macro_values *v, struct bytes spec, bool explaining,
                             struct arena *arena, struct bytes *ret) MUST_USE;
/* The same for a name to be asked for: not longer than a name may be (labels go from the left, 7.3), octets that text cannot show
 * escaped, no dot at its end. INVALID also for what is no name: empty or too long labels. */
enum result spf_macro_name(const struct spf_macro_values *v, struct bytes spec, struct arena *arena,
                           struct bytes *ret) MUST_USE;

#endif
