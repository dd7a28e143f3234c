/* Text in header fields: encoded words (RFC 2047), and octets that nobody declared. Parameters (RFC
 * 2231) too. */
#ifndef MAIL_WORDS_H
#define MAIL_WORDS_H

#include "mail/mime.h"

/* A field's value as a person reads it: unfolded, encoded words decoded (adjacent ones of one
 * charset joined before conversion, so that a character may be cut between them), raw 8-bit and raw
 * ISO-2022-JP guessed. Appends UTF-8. Linear. */
void words_decode(struct bytes value, struct buf *out);

/* Text as encoded words (UTF-8, B), with folds so that no line is over 76 columns; ASCII text goes
 * out as it is. `column` is where the text begins on its line. Appends. */
void words_encode(struct bytes utf8, size_t column, struct buf *out);

/* A parameter by name, put together from its sections name*0*, name*1, and decoded (RFC 2231, 3 and
 * 4); encoded words in plain values too, since real mail has them. False: not there. Appends UTF-8.
 */
bool words_param(const struct mime_param *params, struct bytes name, struct buf *out);

#endif
