/* The header of a mail as it lies in memory: fields one after another, nothing copied.
 *
 *	struct bytes rest = header;
 *	struct header_field f;
 *	while (header_next(&rest, &f))
 *		if (bytes_equal_nocase(f.name, BYTES("Subject"))) ...
 *
 * Line ends may be CRLF or a bare LF. A line that is no field (no colon, or a space in the name)
 * before the blank line is passed over: real mail has them, and what follows is still header. */
#ifndef MAIL_HEADER_H
#define MAIL_HEADER_H

#include "base/arena.h"
#include "base/buf.h"

struct header_field {
	struct bytes name;  /* without the colon and the blanks before it */
	struct bytes value; /* after the colon, folded as it stands, without the last line end */
	struct bytes whole; /* name to line end: what FETCH BODY[HEADER.FIELDS] gives */
};

/* Takes the next field from *rest. False at the blank line (which is taken) or at the end. */
bool header_next(struct bytes *rest, struct header_field *ret);

/* The first field of this name, compared without case. */
bool header_find(struct bytes header, struct bytes name, struct header_field *ret);

/* Octets of the header of this mail, the blank line included; the whole length when there is none.
 */
size_t header_len(struct bytes mail);

/* Unfolded (RFC 5322, 2.2.3): line ends removed, blanks at both ends too, other octets as they are.
 * NUL is dropped. When nothing has to change the input is given back, else a copy from the arena.
 */
struct bytes header_unfold(struct bytes value, struct arena *arena);

#endif
