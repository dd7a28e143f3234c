/* The grammar of hikyaku.conf: `key value ...` lines, `section name { ... }` blocks, # comments,
 * "quoted strings". It knows no key; config/parse.c does. Private to config/. */
#ifndef CONFIG_SYNTAX_H
#define CONFIG_SYNTAX_H

#include "base/arena.h"

struct syntax {
	struct bytes rest;
	const char *file; /* for reasons: "hikyaku.conf" */
	unsigned line;
	struct arena *arena;
};

enum statement_kind {
	STATEMENT_LINE,  /* key and values */
	STATEMENT_OPEN,  /* key and values, then { */
	STATEMENT_CLOSE, /* } */
	STATEMENT_END
};

struct statement {
	enum statement_kind kind;
	unsigned line;
	struct bytes key;
	struct bytes *values;
	size_t count;
};

struct syntax syntax_of(const char *file, struct bytes text, struct arena *arena);

/* The next statement. INVALID: why names file and line. */
enum result syntax_next(struct syntax *s, struct statement *ret, struct why *why) MUST_USE;

/* Takes the next line from *rest, without LF or CRLF. False at the end. */
bool syntax_line(struct bytes *rest, struct bytes *ret_line);

/* Text that an operator may write into our files: UTF-8 without control characters but tab, CR
 * and LF. *ret_line is where it breaks. */
bool syntax_is_text(struct bytes text, unsigned *ret_line);

/* How many edits make a out of b, up to about 3: for "did you mean". */
unsigned syntax_distance(struct bytes a, struct bytes b);

#endif
