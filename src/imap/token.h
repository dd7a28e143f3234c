/* The words of IMAP's grammar (RFC 9051, 9), read strictly from one complete command.
 *
 *	struct cursor c = cursor_of(command, &arena);
 *	if (token_space(&c) && token_astring(&c, &name) && token_end(&c)) ...
 *	else respond BAD with c.why
 *
 * Every function takes its word and returns true, or returns false, takes nothing that matters and leaves a reason in
 * c.why. The command is one run of octets: its lines with their literals between them ("{5}" CRLF and 5 octets), as
 * input.c put them together. Strings are borrowed from it where they can be, else they come from the arena. */
#ifndef IMAP_TOKEN_H
#define IMAP_TOKEN_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/time.h"

struct cursor {
	struct bytes rest;
	struct arena *arena;
	const char *why; /* of the first failure; NULL: none yet */
};

static inline struct cursor cursor_of(struct bytes command, struct arena *arena)
{
	return (struct cursor){command, arena, NULL};
}

/* Sets the reason if there is none yet; always false, so that a parser can end with it. */
bool token_fail(struct cursor *c, const char *why);

char token_peek(const struct cursor *c); /* 0 at the end */
bool token_char(struct cursor *c, char wanted);
bool token_try_char(struct cursor *c, char wanted); /* the same, without leaving a reason */
bool token_space(struct cursor *c);                 /* exactly one SP */
bool token_end(struct cursor *c);                   /* nothing is left */
bool token_try_word(struct cursor *c,
                    struct bytes word); /* an atom in any case, followed by no atom char */

bool token_atom(struct cursor *c, struct bytes *ret);
bool token_tag(struct cursor *c, struct bytes *ret);    /* astring chars but "+" */
bool token_string(struct cursor *c, struct bytes *ret); /* quoted or literal */
bool token_astring(struct cursor *c, struct bytes *ret);
bool token_nstring(struct cursor *c, struct bytes *ret);      /* NIL gives ptr NULL */
bool token_list_mailbox(struct cursor *c, struct bytes *ret); /* astring that may hold % and * */

bool token_number(struct cursor *c, uint64_t max, uint64_t *ret);
bool token_nz_number(struct cursor *c, uint64_t max, uint64_t *ret);

/* "{12}", "{12+}" or "~{12}" at the end of a line: what input.c needs to know. False when it is none. */
struct literal_head {
	size_t at; /* where "{" or "~" is */
	uint64_t size;
	bool sync; /* wait for "+": no plus sign in it */
	bool literal8;
};
bool token_literal_head(struct bytes line, struct literal_head *ret);

/* sequence-set as written; UINT32_MAX stands for "*", saved for "$" (RFC 9051, 9). */
struct sequence_set {
	struct sequence_range {
		uint32_t first, last;
	} * ranges;
	size_t count;
	bool saved;
};
bool token_sequence_set(struct cursor *c, struct sequence_set *ret);

/* flag-list with its parentheses, or one or more flags without when bare is allowed (STORE). Keywords come packed as
 * ask.def's blocks. \Recent and unknown system flags are refused. */
struct flag_words {
	uint64_t system; /* enum mail_flag */
	struct bytes keywords;
};
bool token_flags(struct cursor *c, bool bare, struct flag_words *ret);

/* date ("1-Feb-1994", quoted or not): the day's start in UTC. */
bool token_date(struct cursor *c, time_ms *ret);
/* date-time: "17-Jul-1996 02:44:25 -0700" in quotes. */
bool token_date_time(struct cursor *c, time_ms *ret);

bool token_is_atom_char(char c);

#endif
