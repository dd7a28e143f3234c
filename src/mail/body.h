/* Decoding of a body as a stream (RFC 2045, 6): base64 and quoted-printable as real mail has them,
 * and the encodings that change nothing. Any split gives the same result; nothing is
 * refused, nothing is kept.
 *
 *	struct body_decoder d = body_decoder_of(part->encoding);
 *	body_decode(&d, chunk, &out); ... body_decode_end(&d, &out);
 *
 * base64: when the first line holds octets outside of the alphabet, the label is false and the
 * body stays as it is; further on such octets are passed over; "=" ends a group, and what
 * follows is decoded on.
 *
 * quoted-printable: a "=" that begins no valid escape stands for itself; blanks before a line end
 * are dropped. */
#ifndef MAIL_BODY_H
#define MAIL_BODY_H

#include "base/buf.h"
#include "mail/mime.h"

/* A value: copied and forgotten at will. */
struct body_decoder {
	uint8_t encoding; /* enum mime_encoding */
	uint8_t state;    /* base64: the first line is held, it is base64, it is not */
	uint8_t count;    /* base64: digits in bits */
	uint8_t held_len;
	uint32_t bits;
	char held[80]; /* base64: the first line; quoted-printable: what may still be dropped */
};

struct body_decoder body_decoder_of(enum mime_encoding encoding);
void body_decode(struct body_decoder *d, struct bytes in, struct buf *out);
void body_decode_end(struct body_decoder *d, struct buf *out);

/* Encoded base64 in lines of 76 with CRLF. */
void body_encode_base64(struct bytes in, struct buf *out);

#endif
