/* Base64 (RFC 4648), hexadecimal, and CRC-free little helpers of that kind. Decoders are strict
 * unless the name says otherwise; mail bodies, which are decoded leniently and in a stream, are
 * mail/body.h. */
#ifndef BASE_ENCODE_H
#define BASE_ENCODE_H

#include "base/buf.h"

void encode_base64(struct buf *out, struct bytes in);
/* Strict: padding required, no white space, no stray bits. Appends; out is untouched when
 * INVALID. */
enum result decode_base64(struct bytes in, struct buf *out) MUST_USE;
void encode_hex(struct buf *out, struct bytes in);
enum result decode_hex(struct bytes in, struct buf *out) MUST_USE;

#endif
