/* Another host's replies (RFC 5321, 4.2), read in any pieces and never believed in length. For the client.
 *
 *	taken = smtp_reader_feed(&r, in, &state);
 *	if (state == SMTP_READER_WHOLE) { r.code, smtp_reader_text(&r, ...), smtp_reader_clear(&r); }
 *
 * A line may end with LF alone, as many hosts' lines do. The code is the last line's; lines whose first digits disagree are
 * nonsense. */
#ifndef SMTP_CLIENT_REPLY_H
#define SMTP_CLIENT_REPLY_H

#include "base/arena.h"
#include "base/buf.h"

enum smtp_reader_state { SMTP_READER_MORE, SMTP_READER_WHOLE, SMTP_READER_BROKEN };

struct smtp_reader {
	struct buf line;  /* unfinished */
	struct buf lines; /* what stood after the codes, as it came, LF after each */
	uint16_t code;    /* 0: no line yet */
	const char *broken;
};

/* Takes octets up to the end of a reply. After BROKEN, r->broken says why; nothing more can be read. */
size_t smtp_reader_feed(struct smtp_reader *r, struct bytes in, enum smtp_reader_state *ret);
void smtp_reader_clear(struct smtp_reader *r);
void smtp_reader_done(struct smtp_reader *r);

/* "5.1.1" where the host gave one that goes with its code (RFC 2034), else "5.0.0". */
struct bytes smtp_reader_enhanced(const struct smtp_reader *r, struct arena *arena);
/* The reply as one line: "550 5.1.1 No such user, try again"; UTF-8, controls become ?, at most SMTP_CLIENT_TEXT octets. */
struct bytes smtp_reader_text(const struct smtp_reader *r, struct arena *arena);

/* Text from outside as one line of UTF-8, cut to max octets at a character. */
struct bytes smtp_clean(struct bytes text, size_t max, struct arena *arena);

#endif
