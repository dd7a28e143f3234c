/* What a session shows its client of a mailbox: which UIDs exist and in which order, nothing else.
 *
 *	view_add(&v, 7); view_add(&v, 9);
 *	view_seq(&v, 9) == 2; view_uid(&v, 1) == 7; view_count(&v) == 2
 *	view_remove(&v, &vanished, &out);        "* 1 EXPUNGE" lines; then numbers are new
 *
 * Ranges of UIDs with the sequence number that each begins at: 100,000 mails without a gap cost 12 octets, one range a
 * gap otherwise. A zeroed struct is the empty view. */
#ifndef IMAP_VIEW_H
#define IMAP_VIEW_H

#include "imap/uidset.h"

struct view {
	struct uidset uids;
	uint32_t *seqs; /* of each range's first UID; as many as uids.count */
	size_t seqs_size;
	uint32_t count;
};

/* Shows these as well. UIDs below the last one are not taken (they were there before, or never): false. */
bool view_add_range(struct view *v, uint32_t first, uint32_t last);
bool view_add(struct view *v, uint32_t uid);

uint32_t view_count(const struct view *v);
uint32_t view_last(const struct view *v);              /* greatest UID, or 0 */
uint32_t view_seq(const struct view *v, uint32_t uid); /* 0: not shown */
uint32_t view_uid(const struct view *v, uint32_t seq); /* 0: no such number */

/* The first sequence number whose UID is >= uid; count + 1 when there is none. */
uint32_t view_seq_from(const struct view *v, uint32_t uid);

/* Takes these away and writes an untagged EXPUNGE for each, numbered one after another (RFC 9051, 7.5.1). UIDs that
 * are not shown are passed over. Linear in ranges plus removals. Returns how many. */
uint32_t view_remove(struct view *v, const struct uidset *vanished, struct buf *out);

void view_clear(struct view *v);
void view_done(struct view *v);

#endif
