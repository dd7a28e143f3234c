/* Content as DATA carries it (RFC 5321, 4.5.2): dots stuffed, ended by <CRLF>.<CRLF>, and nothing in it that any reader
 * could take for that end: a CR or LF that stands alone becomes a space. In any pieces. */
#ifndef SMTP_CLIENT_STUFFING_H
#define SMTP_CLIENT_STUFFING_H

#include "base/buf.h"

enum smtp_stuffing_state {
	STUFFING_LINE_START,
	STUFFING_IN_LINE,
	STUFFING_CR, /* a CR that is not written yet: what follows decides */
};

/* Zeroed: at the beginning. */
struct smtp_stuffing {
	enum smtp_stuffing_state state;
};

void smtp_stuffing_add(struct smtp_stuffing *s, struct bytes in, struct buf *out);
/* The last line's end where it has none, and the dot. */
void smtp_stuffing_end(struct smtp_stuffing *s, struct buf *out);

#endif
