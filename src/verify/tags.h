/* Lists of tags as DKIM's signatures and keys and ARC's fields have them: "v=1; a=rsa-sha256; ..." (RFC 6376, 3.2). Names are
 * compared exactly; the same name twice, an empty place between two semicolons, and octets that are no text spoil the whole. Text
 * beyond ASCII is let through (RFC 8616). */
#ifndef VERIFY_TAGS_H
#define VERIFY_TAGS_H

#include "base/bytes.h"

enum { TAGS_MAX = 40 };

struct tag {
	struct bytes name;
	struct bytes value; /* without white space at its ends; folded as it stands within */
	struct bytes raw;   /* all between "=" and ";" */
};

struct tags {
	struct tag items[TAGS_MAX];
	size_t count;
};

/* Borrows from list. INVALID: not a list of tags. TOO_BIG: more than TAGS_MAX. */
enum result tags_parse(struct bytes list, struct tags *ret) MUST_USE;
/* NULL: not there. */
const struct tag *tags_find(const struct tags *t, const char *name);

/* Whether a list with colons between has this word, white space around it aside ("sha1 : sha256"). */
bool tags_list_has(struct bytes list, struct bytes word);

#endif
