/* What was packed for sending: the one file in a gzip or zip, bounded whatever its maker claims.
 *
 *	if (unpack_one(attachment, 16 << 20, &xml, &why) == OK) ...
 *
 * One layer only: an archive in an archive stays packed. Of a zip the first file counts that is not empty. What is neither gzip nor
 * zip is given as it is. Made for reports: not a reader of archives in general. */
#ifndef MAIL_UNPACK_H
#define MAIL_UNPACK_H

#include "base/buf.h"

enum { UNPACK_ENTRIES = 100 }; /* of a zip that are looked at */

enum unpack_kind { UNPACK_PLAIN, UNPACK_GZIP, UNPACK_ZIP };

/* By its first octets. */
enum unpack_kind unpack_kind(struct bytes in);

/* Appends. TOO_BIG: it would be more than max octets; INVALID: broken, encrypted, or no file in it. out may have a part then. */
enum result unpack_one(struct bytes in, size_t max, struct buf *out, struct why *why) MUST_USE;

#endif
