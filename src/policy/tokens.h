/* The words of a mail as numbers: what the content filter counts.
 *
 *	struct tokens t = {0};
 *	tokens_text(&t, TOKEN_SUBJECT, folded);
 *	tokens_text(&t, TOKEN_BODY, folded);
 *	tokens_one(&t, TOKEN_HOST, host);
 *	t.list[0 .. t.count)
 *
 * Text is UTF-8, folded by charset_fold. Words of letters and digits count whole. Where words are not separated (Han, kana,
 * Thai ...) each two neighbours are one token; two hiragana are not: those are endings and particles. A run of katakana is a
 * word besides.
 *
 * A token is a hash of its kind and its octets, below 2^63, the same in every version: counts are kept by it. Each stands
 * once; the first TOKENS_MAX are kept. */
#ifndef POLICY_TOKENS_H
#define POLICY_TOKENS_H

#include "base/buf.h"

enum { TOKENS_MAX = 1000, TOKENS_TABLE = 2048 };

enum token_kind {
	TOKEN_BODY = 'b',
	TOKEN_SUBJECT = 's',
	TOKEN_FROM = 'f',  /* display name, address and domain of From */
	TOKEN_HOST = 'h',  /* of a link, and its parents */
	TOKEN_SHAPE = 'm', /* how the mail is made: types, charsets, program, hours */
};

struct tokens {
	uint64_t list[TOKENS_MAX];
	size_t count;
	uint16_t table[TOKENS_TABLE]; /* place in list plus 1 */
};

uint64_t token_of(enum token_kind kind, struct bytes text);
void tokens_one(struct tokens *t, enum token_kind kind, struct bytes text);
void tokens_text(struct tokens *t, enum token_kind kind, struct bytes folded);
/* The same, of at most `most` new ones. */
void tokens_some(struct tokens *t, enum token_kind kind, struct bytes folded, size_t most);
/* u64 each. Appends. */
void tokens_pack(const struct tokens *t, struct buf *out);

#endif
