/* What the files of the DKIM and ARC verifier share (RFC 6376, RFC 8617): a signature as it is read, the key as it is published,
 * and the mail as it was kept. Private to verify/. */
#ifndef VERIFY_DKIM_INSIDE_H
#define VERIFY_DKIM_INSIDE_H

#include "base/map.h"
#include "crypto/public_key.h"
#include "verify/arc.h"
#include "verify/canon.h"

enum {
	DKIM_FIELDS = 4000, /* fields of a header; with more no signature is believed */
	DKIM_MARKS = DKIM_LOOKED_AT +
	             1,         /* different l= of one mail: its signatures and one of ARC */
	DKIM_VALUE = 16 * 1024, /* octets of a signature field */
	DKIM_RSA_BITS = 1024,   /* RFC 8301, 3.2 */
	DKIM_RSA_BITS_OLD = 512,
};

enum dkim_kind { DKIM_SIGNATURE, DKIM_ARC_MESSAGE, DKIM_ARC_SEAL };

/* One canonical form of the body with one hash. */
struct dkim_stream {
	enum canon_kind canon;
	bool sha1;
	struct canon_body *body; /* NULL: finished, or nobody wants it */
	bool wanted;
	uint8_t hash[DIGEST_SHA256];
	struct canon_mark marks[DKIM_MARKS];
	size_t mark_count;
};

struct dkim_signature {
	enum dkim_kind kind;
	enum dkim_result result; /* DKIM_PASS: nothing is wrong with it so far */
	const char *reason;
	struct bytes domain, selector, identity, algorithm;
	struct bytes key_name; /* empty: the result is settled */
	enum public_key_scheme scheme;
	enum canon_kind header_canon, body_canon;
	bool has_length;
	uint64_t length;
	uint64_t created, expires;   /* seconds; expires 0: never */
	struct bytes names;          /* h= */
	struct bytes raw_signature;  /* b= with all white space around it, in the field */
	struct bytes signature_text; /* b= without white space */
	struct bytes signature, body_hash;
	struct bytes chain; /* cv= */
	unsigned instance;  /* i= of ARC */
	/* what the mail gave */
	bool extra; /* a field occurs more often than it was signed */
	struct bytes header_hash;
	struct dkim_stream *stream;
	struct canon_mark *mark;
};

/* value: the field's, folded. What is kept is borrowed or the arena's. old_rules: as dkim_verifier_old_rules(). */
void dkim_signature_read(enum dkim_kind kind, struct bytes value, bool old_rules,
                         struct arena *arena, struct dkim_signature *ret);
/* Without white space, copied only where there is some. */
struct bytes dkim_packed(struct bytes text, struct arena *arena);

struct dkim_key {
	enum dkim_result result; /* DKIM_PASS: it can be used */
	const char *reason;
	struct public_key *key; /* NULL unless it can be used */
	bool testing;           /* t=y */
	bool strict;            /* t=s: i= must be d= */
};

/* The key that this signature names, from the TXT records of that name. NULL: its fact is missing. dkim_key_done() when done. */
const struct fact *dkim_key_find(const struct dkim_signature *s, struct facts *f,
                                 struct arena *arena, struct dkim_key *ret);
void dkim_key_done(struct dkim_key *k);

struct dkim_field {
	struct bytes name, value, whole;
	struct dkim_field *above; /* the next one of this name towards the top */
	/* of the lowest one of a name */
	unsigned count, taken;
	unsigned round; /* whose `next` and `taken` these are */
	struct dkim_field *next;
};

struct arc_set {
	struct dkim_field *results; /* ARC-Authentication-Results; NULL: none */
	struct dkim_field *message_field, *seal_field;
	struct dkim_signature seal;
};

struct arc_chain {
	const char *broken;   /* why no chain can be made of what is there; NULL: one can */
	unsigned count;       /* 0: no ARC in this mail */
	struct arc_set *sets; /* instance 1 first */
	struct dkim_signature message; /* the newest one's */
};

struct dkim_verifier {
	bool old_rules;
	bool in_body, ended;
	bool too_long; /* the header is; what is kept is its beginning */
	struct buf header;
	size_t line; /* octets of the line at hand */
	bool line_cr;
	struct arena arena;
	struct dkim_field *fields;
	size_t field_count;
	struct map lowest; /* name in lower case: its lowest field */
	unsigned rounds;
	struct dkim_signature signatures[DKIM_LOOKED_AT];
	size_t signature_count;
	struct arc_chain arc;
	struct dkim_stream streams[4]; /* canonical form + 2 * SHA-1 */
};

/* Sets header_hash and extra, and wants the body's hash. field: the signature's own. */
void dkim_signature_hash(struct dkim_verifier *v, struct dkim_signature *s,
                         const struct dkim_field *field);
/* Appends the field without its signature and without its line end, in canonical form. */
void dkim_put_unsigned(const struct dkim_signature *s, const struct dkim_field *field,
                       struct buf *out);
/* Whether key, body and signature agree; the body only with has_body. */
void dkim_signature_judge(const struct dkim_verifier *v, const struct dkim_signature *s,
                          const struct dkim_key *key, int64_t now_seconds, enum dkim_result *ret,
                          const char **ret_reason);

/* Finds the ARC sets once the header is complete. */
void arc_read(struct dkim_verifier *v);

#endif
