/* Mailbox names: as a client writes them, as the store keeps them, and the patterns of LIST.
 *
 * The store's names are UTF-8 in NFC with "/" between levels; INBOX is written so. IMAP4rev1 clients write modified
 * UTF-7 (RFC 3501, 5.1.3), after ENABLE IMAP4rev2 they write UTF-8. */
#ifndef IMAP_NAME_H
#define IMAP_NAME_H

#include "base/arena.h"
#include "base/buf.h"

/* Modified UTF-7 to UTF-8. INVALID for anything that the encoder would not have written (but raw UTF-8 is taken: some
 * old clients send it). Appends; out is untouched when INVALID. */
enum result name_from_utf7(struct bytes in, struct buf *out) MUST_USE;
void name_to_utf7(struct bytes utf8, struct buf *out);

/* A name from a client to the store's form, from the arena. INVALID: no such name can be; TOO_BIG. One "/" at the end
 * is dropped (CREATE writes it so). */
enum result name_read(struct bytes in, bool utf8, struct arena *arena, struct bytes *ret) MUST_USE;

/* The same for a LIST pattern or reference: anything that does not decode is taken as it stands. */
struct bytes name_read_pattern(struct bytes in, bool utf8, struct arena *arena);

/* Does the name match (RFC 9051, 6.3.9)? "*" is anything, "%" anything but "/". INBOX matches in any case. */
bool name_matches(struct bytes name, struct bytes pattern);

/* The parent's name: up to the last "/"; empty when it has none. */
struct bytes name_parent(struct bytes name);

#endif
