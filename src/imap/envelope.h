/* ENVELOPE and BODYSTRUCTURE as responses (RFC 9051, 7.5.2), from what mail/ knows of a mail. */
#ifndef IMAP_ENVELOPE_H
#define IMAP_ENVELOPE_H

#include "base/buf.h"
#include "mail/mime.h"

void envelope_print(struct buf *out, const struct mime_envelope *e);

/* extended: BODYSTRUCTURE; else BODY, without extension data. */
void structure_print(struct buf *out, const struct mime_part *part, bool extended);

#endif
