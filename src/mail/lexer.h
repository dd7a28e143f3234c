/* Splits a structured field's value into atoms, quoted strings, comments and specials (RFC 5322,
 * 3.2), folded or not. Private to mail/.
 *
 * What is opened and never closed (a quote, a comment, a bracket) is passed over as if it were
 * not there; that is found out once per value, so that the whole is linear. Raw ISO-2022-JP (ESC
 * $ ... ESC () is one run of atom characters: its octets look like quotes and commas but are
 * none. */
#ifndef MAIL_LEXER_H
#define MAIL_LEXER_H

#include "base/bytes.h"

enum token_kind {
	TOKEN_END,
	TOKEN_ATOM,
	TOKEN_QUOTED,  /* text is what stands between the quotes, still escaped */
	TOKEN_COMMENT, /* text is what stands between the outer parentheses, still escaped */
	TOKEN_LITERAL, /* "[192.0.2.1]", brackets included */
	TOKEN_SPECIAL, /* one octet */
};

struct token {
	enum token_kind kind;
	bool spaced; /* white space or a comment before it */
	char special;
	struct bytes text;
	const char *start; /* first octet of the token in the value, and one past its last */
	const char *end;
};

struct lexer {
	struct bytes rest;
	const char *specials;
	/* Where the first one that is never closed opens; NULL: not seen. It and later ones are
	 * none. */
	const char *no_quote, *no_comment, *no_literal;
};

extern const char lexer_address_specials[]; /* <>@,;: */
extern const char lexer_mime_specials[];    /* ;=/ */

static inline struct lexer lexer_of(struct bytes value, const char *specials)
{
	return (struct lexer){.rest = value, .specials = specials};
}

/* A part of the value that another lexer went over already, read again in the same way. */
static inline struct lexer lexer_within(const struct lexer *l, struct bytes part)
{
	struct lexer inner = *l;

	inner.rest = part;
	return inner;
}

/* False at the end (kind is TOKEN_END then). */
bool lexer_next(struct lexer *l, struct token *ret);

/* The token's text without escapes and line ends; out has room for text.len octets. Returns
 * octets written. */
size_t token_put(const struct token *t, char *out);

/* Octets of an ISO-2022-JP run at the start of b, 0 when there is none. */
size_t lexer_escape_len(struct bytes b);

#endif
