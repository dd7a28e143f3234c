/* A segment: log/00000001 and so on, eight hexadecimal digits. Numbers are big-endian.
 *
 *	head, 1,024 octets: twice the same 48 at offset 0 and at 512 (two sectors), zeros between
 *	  0  "HIKYAKU1"
 *	  8  u32  this segment's number
 *	 12  u32  number of the segment before, 0 for the first
 *	 16  u64  where that one ends: what lies behind in it never counted
 *	 24  u64  LSN that the first record here has at least
 *	 32  u64  salt: a random number that seeds the checksums of the records here
 *	 40  u64  XXH3 of the 40 octets before
 *	 48  u64  salt of the segment before, should its own head be lost
 *	records, each at a multiple of 8, padded with zeros:
 *	  0  u32  "HKR1"
 *	  4  u32  segment
 *	  8  u64  LSN: one more than the record before, over all segments
 *	 16  u64  group: the records that one sync made durable
 *	 24  u32  place in its group, from 0
 *	 28  u32  octets of the payload
 *	 32  u32  octets of effects at its start (store/change.def); the rest is a block (blob/block.c)
 *	 36  u32  flags: 1 ends an image
 *	 40  u64  XXH3, seeded with the salt, of the 40 octets before and the payload
 *	 48  payload
 *
 * A segment counts from when its head is valid. Normally the head is synced before the first
 * record; when a start rewrites the end of the segment before, the records are synced before the
 * head.
 *
 * The salt. Behind a bad record the next whole one is looked for, also where the bad one's mail lies.
 * A mail can hold what looks like a record; nobody who sends it knows the salt.
 *
 * The torn end. A group is written only after the sync of the one before. So where a bad record is
 * followed by the first record of a later group, or by one whose LSN says that more is missing than
 * its own group's beginning, the bad record was durable once: that is damage, counted and passed
 * over. Else the bad record and all behind it belong to the last group, whose sync was never
 * reported: the torn end, which does not count. In a segment that has a successor everything before
 * the end that the successor names was durable.
 */
#include <stdio.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/wire.h"
#include "blob/internal.h"

enum {
	RECORD_MAGIC = 0x484b5231,
	HEAD_COPY = 512,
	HEAD_LEN = 56,
	WINDOW = 1024 * 1024,
	SECTOR = 4096,
};

void segment_name(char out[SEGMENT_NAME], const char *folder, uint64_t number)
{
	snprintf(out, SEGMENT_NAME, strcmp(folder, "log") == 0 ? "%s/%08llx" : "%s/%016llx", folder,
	         (unsigned long long)number);
}

uint64_t record_size(uint64_t payload)
{
	return (RECORD_HEAD + payload + 7) & ~(uint64_t)7;
}

void segment_head_write(const struct segment_head *h, struct buf *out)
{
	struct buf b = {0};

	buf_append(&b, BYTES("HIKYAKU1"));
	buf_u32(&b, h->number);
	buf_u32(&b, h->previous);
	buf_u64(&b, h->previous_end);
	buf_u64(&b, h->first_lsn);
	buf_u64(&b, h->salt);
	buf_u64(&b, checksum_of(buf_bytes(&b)));
	buf_u64(&b, h->previous_salt);
	for (int copy = 0; copy < 2; copy++) {
		char *room;

		buf_append(out, buf_bytes(&b));
		room = buf_room(out, HEAD_COPY - HEAD_LEN);
		memset(room, 0, HEAD_COPY - HEAD_LEN);
		buf_added(out, HEAD_COPY - HEAD_LEN);
	}
	buf_done(&b);
}

static bool head_parse(const char *p, uint32_t number, struct segment_head *ret)
{
	if (memcmp(p, "HIKYAKU1", 8) != 0 || get_u32(p + 8) != number ||
	    get_u64(p + 40) != checksum_of(bytes_of(p, 40)))
		return false;
	*ret = (struct segment_head){number,          get_u32(p + 12), get_u64(p + 16),
	                             get_u64(p + 24), get_u64(p + 32), get_u64(p + 48)};
	return true;
}

enum result segment_head_read(struct file *f, uint32_t number, struct segment_head *ret,
                              struct why *why)
{
	char head[SEGMENT_HEAD] = {0};
	size_t got = 0;
	enum result result = file_read(f, 0, head, sizeof(head), &got, why);

	/* An unreadable first sector must not hide the second copy. */
	if (result != OK &&
	    (result = file_read(f, HEAD_COPY, head + HEAD_COPY, HEAD_COPY, &got, why)) != OK)
		return result;
	if (head_parse(head, number, ret) || head_parse(head + HEAD_COPY, number, ret))
		return OK;
	return why_set(why, INVALID, "log/%08x: no valid head", number);
}

/* XXH3 of head and payload, which lie apart. */
static uint64_t record_checksum(uint64_t salt, const char *head, struct bytes effects,
                                struct bytes block)
{
	XXH3_state_t state;

	XXH3_64bits_reset_withSeed(&state, salt);
	XXH3_64bits_update(&state, head, RECORD_HEAD - 8);
	XXH3_64bits_update(&state, effects.ptr, effects.len);
	if (block.len)
		XXH3_64bits_update(&state, block.ptr, block.len);
	return XXH3_64bits_digest(&state);
}

void record_write(const struct record_head *h, struct bytes effects, struct bytes block,
                  struct buf *out)
{
	static const char zeros[8];
	size_t payload = effects.len + block.len;
	char head[RECORD_HEAD];
	struct buf b = {.ptr = head, .size = sizeof(head)};

	buf_u32(&b, RECORD_MAGIC);
	buf_u32(&b, h->segment);
	buf_u64(&b, h->lsn);
	buf_u64(&b, h->group);
	buf_u32(&b, h->nth);
	buf_u32(&b, (uint32_t)payload);
	buf_u32(&b, (uint32_t)effects.len);
	buf_u32(&b, h->flags);
	put_u64(head + 40, record_checksum(h->salt, head, effects, block));
	buf_append(out, bytes_of(head, RECORD_HEAD));
	buf_append(out, effects);
	buf_append(out, block);
	buf_append(out, bytes_of(zeros, record_size(payload) - RECORD_HEAD - payload));
}

/* ---- scanning ---- */

/* At least len octets from offset, or what there is before the end. */
static enum result look(struct record_scan *s, uint64_t offset, size_t len, struct bytes *ret,
                        struct why *why)
{
	struct bytes have;
	size_t got = 0, want;
	enum result result;

	if (offset < s->base || offset + len > s->base + buf_len(&s->window)) {
		buf_clear(&s->window);
		s->base = offset;
		want = len > WINDOW ? len : WINDOW;
		if (s->end != UINT64_MAX && offset + want > s->end)
			want = offset < s->end ? (size_t)(s->end - offset) : 0;
		result = file_read(s->file, offset, buf_room(&s->window, want), want, &got, why);
		if (result != OK && want > len) /* a bad sector somewhere in the window */
			result = file_read(s->file, offset, buf_room(&s->window, len), len, &got,
			                   why);
		if (result != OK)
			return result;
		buf_added(&s->window, got);
	}
	have = bytes_skip(buf_bytes(&s->window), (size_t)(offset - s->base));
	*ret = bytes_first(have, len);
	return OK;
}

static struct record_head head_of(const char *p)
{
	return (struct record_head){.segment = get_u32(p + 4),
	                            .lsn = get_u64(p + 8),
	                            .group = get_u64(p + 16),
	                            .nth = get_u32(p + 24),
	                            .length = get_u32(p + 28),
	                            .effects = get_u32(p + 32),
	                            .flags = get_u32(p + 36)};
}

static uint64_t scan_end(struct record_scan *s)
{
	uint64_t size = 0;

	if (s->end != UINT64_MAX)
		return s->end;
	return file_size(s->file, &size, NULL) == OK ? size : s->offset;
}

/* Is there a whole record at this offset? Read errors count as no. */
static bool whole_at(struct record_scan *s, uint64_t offset, struct record_view *ret)
{
	struct bytes b;
	struct record_head h;

	if (look(s, offset, RECORD_HEAD, &b, NULL) != OK || b.len < RECORD_HEAD ||
	    get_u32(b.ptr) != RECORD_MAGIC)
		return false;
	h = head_of(b.ptr);
	if (h.segment != s->segment || h.length > RECORD_MAX || h.effects > h.length ||
	    offset + RECORD_HEAD + h.length > scan_end(s))
		return false;
	if (look(s, offset, RECORD_HEAD + (size_t)h.length, &b, NULL) != OK ||
	    b.len < RECORD_HEAD + (size_t)h.length)
		return false;
	if (record_checksum(s->salt, b.ptr, bytes_skip(b, RECORD_HEAD), (struct bytes){0}) !=
	    get_u64(b.ptr + 40))
		return false;
	*ret = (struct record_view){h, bytes_skip(b, RECORD_HEAD), offset};
	return true;
}

/* The next place at or behind offset that holds a whole record newer than what was seen. */
static bool find_whole(struct record_scan *s, uint64_t offset, struct record_view *ret)
{
	struct bytes b;

	for (offset = (offset + 7) & ~(uint64_t)7;; offset += 8) {
		if (look(s, offset, RECORD_HEAD, &b, NULL) != OK) {
			offset = (offset | (SECTOR - 1)) + 1 - 8; /* unreadable: go on behind */
			if (s->end != UINT64_MAX ? offset >= s->end : offset > ((uint64_t)1 << 40))
				return false;
			continue;
		}
		if (b.len < RECORD_HEAD)
			return false;
		if (get_u32(b.ptr) == RECORD_MAGIC && whole_at(s, offset, ret) &&
		    ret->head.lsn > s->lsn)
			return true;
	}
}

/* Does anything behind prove that what is bad here had counted? (See the head of this file.) */
static bool counted(struct record_scan *s, uint64_t offset, uint64_t *ret_next)
{
	struct record_view v;
	bool found = false;

	while (find_whole(s, offset, &v)) {
		if (!found)
			*ret_next = v.offset;
		found = true;
		if (!s->last || v.head.nth == 0 || v.head.lsn - s->lsn - 1 > v.head.nth)
			return true;
		offset = v.offset + record_size(v.head.length);
	}
	return false;
}

static void complain(struct record_scan *s, uint64_t from, uint64_t to)
{
	if (s->damaged++ == 0)
		why_set(&s->first_damage, DAMAGED, "segment %08x: octets %llu to %llu are damaged",
		        s->segment, (unsigned long long)from, (unsigned long long)to);
}

enum result record_next(struct record_scan *s, struct record_view *ret, struct why *why)
{
	uint64_t next, end;

	if (s->end != UINT64_MAX && s->offset >= s->end)
		return NOT_FOUND;
	if (!whole_at(s, s->offset, ret) || ret->head.lsn <= s->lsn) {
		end = scan_end(s);
		if (s->offset >= end)
			return NOT_FOUND;
		if (!counted(s, s->offset + 8, &next)) {
			if (s->last)
				s->torn += end - s->offset;
			else
				complain(s, s->offset, end);
			return NOT_FOUND;
		}
		complain(s, s->offset, next);
		s->offset = next;
		if (!whole_at(s, s->offset, ret))
			return why_set(why, FAILED, "segment %08x cannot be read twice alike",
			               s->segment);
	}
	s->lsn = ret->head.lsn;
	s->offset = ret->offset + record_size(ret->head.length);
	return OK;
}

void record_scan_done(struct record_scan *s)
{
	buf_done(&s->window);
}
