/* An image: image/<lsn, sixteen hexadecimal digits>. Numbers are big-endian.
 *
 *	  0  "HIKIMAGE"
 *	  8  u64  LSN: everything up to it is in the image
 *	 16  u32  segment, and
 *	 20  u64  offset where the log goes on
 *	 28  u32  zero
 *	 32  u64  XXH3 of the 32 octets before
 *	 40  records as in a segment (blob/segment.c): segment 0, LSN 1, 2, ... counting here,
 *	     the last one with flag 1 and no payload
 *
 * It is written as image/new, synced, renamed, and the folder is synced: one that has a name is
 * whole, unless the disk damaged it; then the one before serves, and more of the log is replayed.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "blob/internal.h"

enum { IMAGE_HEAD = 40, IMAGE_PUSH = 1024 * 1024, IMAGES_KEPT = 2 };

struct blob_image {
	struct file_system *fs;
	struct file *file;
	struct buf out;
	uint64_t offset, count, lsn;
};

static const char new_name[] = "image/new";

enum result blob_image_new(struct file_system *fs, const struct blob_position *at,
                           struct blob_image **ret, struct why *why)
{
	struct blob_image *i = NEW(struct blob_image);
	enum result result;

	i->fs = fs;
	i->lsn = at->lsn;
	result = file_open(fs, new_name, FILE_WRITE | FILE_CREATE | FILE_TRUNCATE, &i->file, why);
	if (result != OK) {
		memory_free(i);
		return result;
	}
	buf_append(&i->out, BYTES("HIKIMAGE"));
	buf_u64(&i->out, at->lsn);
	buf_u32(&i->out, at->segment);
	buf_u64(&i->out, at->offset);
	buf_u32(&i->out, 0);
	buf_u64(&i->out, checksum_of(buf_bytes(&i->out)));
	*ret = i;
	return OK;
}

static enum result push(struct blob_image *i, size_t keep, struct why *why)
{
	enum result result;

	if (buf_len(&i->out) <= keep)
		return OK;
	result = file_write(i->file, i->offset, buf_bytes(&i->out), why);
	i->offset += buf_len(&i->out);
	buf_clear(&i->out);
	return result;
}

static enum result put(struct blob_image *i, struct bytes effects, uint32_t flags, struct why *why)
{
	struct record_head h = {.length = (uint32_t)effects.len,
	                        .effects = (uint32_t)effects.len,
	                        .flags = flags,
	                        .lsn = ++i->count};

	record_write(&h, effects, (struct bytes){0}, &i->out);
	return push(i, IMAGE_PUSH, why);
}

enum result blob_image_put(struct blob_image *i, struct bytes effects, struct why *why)
{
	return put(i, effects, 0, why);
}

static void release(struct blob_image **image)
{
	file_close(&(*image)->file);
	buf_done(&(*image)->out);
	memory_free(*image);
	*image = NULL;
}

void blob_image_drop(struct blob_image **image)
{
	enum result result;

	if (!*image)
		return;
	result = file_remove((*image)->fs, new_name, NULL);
	(void)result; /* the next image overwrites it */
	release(image);
}

/* LSNs of the images there are, ascending. */
static enum result list(struct file_system *fs, struct arena *arena, uint64_t **ret,
                        size_t *ret_count, struct why *why)
{
	const char **names;
	size_t count;
	enum result result = file_list(fs, "image", arena, &names, &count, why);

	if (result != OK)
		return result;
	*ret = arena_get(arena, (count + 1) * sizeof(**ret));
	*ret_count = 0;
	for (size_t i = 0; i < count; i++) {
		if (strlen(names[i]) == 16 && strspn(names[i], "0123456789abcdef") == 16)
			(*ret)[(*ret_count)++] = strtoull(names[i], NULL, 16);
	}
	return OK;
}

static void remove_old(struct file_system *fs)
{
	struct arena arena = {0};
	char name[SEGMENT_NAME];
	uint64_t *lsns;
	size_t count;

	if (list(fs, &arena, &lsns, &count, NULL) == OK) {
		for (size_t i = 0; i + IMAGES_KEPT < count; i++) {
			segment_name(name, "image", lsns[i]);
			if (file_remove(fs, name, NULL) != OK)
				break;
		}
	}
	arena_done(&arena);
}

enum result blob_image_finish(struct blob_image **image, struct why *why)
{
	struct blob_image *i = *image;
	struct file_system *fs = i->fs;
	char name[SEGMENT_NAME];
	enum result result = put(i, (struct bytes){0}, RECORD_LAST, why);

	segment_name(name, "image", i->lsn);
	if (result == OK)
		result = push(i, 0, why);
	if (result == OK)
		result = file_sync(i->file, why);
	if (result != OK) {
		blob_image_drop(image);
		return result;
	}
	release(image);
	result = file_rename(fs, new_name, name, why);
	if (result == OK)
		result = file_directory_sync(fs, "image", why);
	if (result == OK)
		remove_old(fs);
	return result;
}

static enum result read_head(struct file *f, uint64_t lsn, struct blob_position *ret,
                             struct why *why)
{
	char head[IMAGE_HEAD];
	size_t got = 0;
	enum result result = file_read(f, 0, head, sizeof(head), &got, why);

	if (result != OK)
		return result;
	if (got < IMAGE_HEAD || memcmp(head, "HIKIMAGE", 8) != 0 ||
	    get_u64(head + 32) != checksum_of(bytes_of(head, 32)) || get_u64(head + 8) != lsn)
		return why_set(why, DAMAGED, "image/%016llx: its head is damaged",
		               (unsigned long long)lsn);
	*ret = (struct blob_position){lsn, get_u32(head + 16), get_u64(head + 20)};
	return OK;
}

/* All records of one image, or DAMAGED. each may be NULL. */
static enum result walk(struct file *f, uint64_t lsn, blob_replay_function *each, void *context,
                        struct blob_position *ret, struct why *why)
{
	struct record_scan s = {.file = f, .end = UINT64_MAX, .offset = IMAGE_HEAD};
	struct record_view v;
	enum result result = read_head(f, lsn, ret, why);
	bool ended = false;

	while (result == OK && !ended && (result = record_next(&s, &v, why)) == OK) {
		struct blob_record r = {.effects = v.payload, .after = *ret};

		ended = v.head.flags & RECORD_LAST;
		if (!ended && each)
			result = each(context, &r, why);
	}
	if (result == NOT_FOUND || (result == OK && s.damaged))
		result = why_set(why, DAMAGED, "image/%016llx: records are damaged",
		                 (unsigned long long)lsn);
	record_scan_done(&s);
	return result;
}

static enum result load_one(struct file_system *fs, uint64_t lsn, blob_replay_function *each,
                            void *context, struct blob_position *ret, struct why *why)
{
	char name[SEGMENT_NAME];
	struct file *f;
	enum result result;

	segment_name(name, "image", lsn);
	if ((result = file_open(fs, name, 0, &f, why)) != OK)
		return DAMAGED;
	if (walk(f, lsn, NULL, NULL, ret, why) != OK)
		result = DAMAGED;
	else
		result = walk(f, lsn, each, context, ret, why);
	file_close(&f);
	return result;
}

enum result blob_image_load(struct file_system *fs, blob_replay_function *each, void *context,
                            struct blob_position *ret, uint64_t *ret_damaged, struct why *why)
{
	struct arena arena = {0};
	uint64_t *lsns;
	size_t count = 0;
	enum result result = list(fs, &arena, &lsns, &count, why);

	*ret_damaged = 0;
	if (result == OK)
		result = NOT_FOUND;
	while (count && (result == NOT_FOUND || result == DAMAGED)) {
		result = load_one(fs, lsns[--count], each, context, ret, why);
		if (result == DAMAGED)
			++*ret_damaged;
	}
	arena_done(&arena);
	return result == DAMAGED ? NOT_FOUND : result;
}

enum result blob_image_trim(struct file_system *fs, uint64_t lsn, struct why *why)
{
	struct arena arena = {0};
	char name[SEGMENT_NAME];
	uint64_t *lsns;
	size_t count = 0;
	enum result result = list(fs, &arena, &lsns, &count, why);

	for (size_t i = 0; result == OK && i < count && lsns[i] < lsn; i++) {
		segment_name(name, "image", lsns[i]);
		result = file_remove(fs, name, why);
	}
	arena_done(&arena);
	return result == OK ? file_directory_sync(fs, "image", why) : result;
}

static uint64_t one_of(struct file_system *fs, bool newest)
{
	struct arena arena = {0};
	uint64_t *lsns, lsn = 0;
	size_t count;

	if (list(fs, &arena, &lsns, &count, NULL) == OK && count)
		lsn = lsns[newest ? count - 1 : 0];
	arena_done(&arena);
	return lsn;
}

uint64_t blob_image_oldest(struct file_system *fs)
{
	return one_of(fs, false);
}

uint64_t blob_image_newest(struct file_system *fs)
{
	return one_of(fs, true);
}
