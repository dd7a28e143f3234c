/* A mail's block. Numbers are big-endian.
 *
 *	frame 0, frame 1, ...     64 KiB of the mail each, the last one shorter; zstd or as they are
 *	table, a row a frame:
 *	  0  u32  octets of the frame here
 *	  4  u32  octets of the mail in it; bit 31: compressed
 *	  8  u64  XXH3 of the octets here
 *	tail:
 *	  0  u64  id of the mail (of the file, for a mail of its own)
 *	  8  u64  octets of the mail
 *	 16  u32  frames
 *	 20  u32  "HKB1"
 *	 24  u64  XXH3 of table and tail up to here
 *
 * Table and tail stand at the end, so that a block is written in one pass. A reader starts at the
 * end (the index knows how long the block is) and verifies each frame it opens.
 */
#include <zstd.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/memory.h"
#include "base/wire.h"
#include "blob/internal.h"

enum {
	BLOCK_MAGIC = 0x484b4231,
	COMPRESS_MIN = 1024, /* less is not worth the call */
	COMPRESS_LEVEL = 1,
	WHOLE_MAX = BLOB_FRAME + 4096, /* blocks up to this are read in one go */
	TABLE_GUESS = 4096,
};

#define COMPRESSED 0x80000000u

uint64_t checksum_of(struct bytes b)
{
	return XXH3_64bits(b.ptr, b.len);
}

uint32_t get_u32(const char *p)
{
	const uint8_t *u = (const uint8_t *)p;

	return (uint32_t)u[0] << 24 | (uint32_t)u[1] << 16 | (uint32_t)u[2] << 8 | u[3];
}

uint64_t get_u64(const char *p)
{
	return (uint64_t)get_u32(p) << 32 | get_u32(p + 4);
}

void put_u64(char *p, uint64_t v)
{
	for (int i = 0; i < 8; i++)
		p[i] = (char)(v >> (56 - 8 * i));
}

/* ---- writing ---- */

/* The frame compressed, or empty when that does not save an eighth. */
static struct bytes compress(struct blob_writer *w, struct bytes raw)
{
	size_t n;

	if (w->raw || raw.len < COMPRESS_MIN)
		return (struct bytes){0};
	if (!w->compressor)
		w->compressor = ZSTD_createCCtx();
	buf_clear(&w->packed);
	n = ZSTD_compressCCtx(w->compressor, buf_room(&w->packed, ZSTD_compressBound(raw.len)),
	                      ZSTD_compressBound(raw.len), raw.ptr, raw.len, COMPRESS_LEVEL);
	if (ZSTD_isError(n) || n > raw.len - raw.len / 8)
		return (struct bytes){0};
	buf_added(&w->packed, n);
	return buf_bytes(&w->packed);
}

static void write_frame(struct blob_writer *w, struct bytes raw, struct buf *out)
{
	struct bytes packed = compress(w, raw), stored = packed.len ? packed : raw;

	buf_u32(&w->table, (uint32_t)stored.len);
	buf_u32(&w->table, (uint32_t)raw.len | (packed.len ? COMPRESSED : 0));
	buf_u64(&w->table, checksum_of(stored));
	buf_append(out, stored);
	w->frames++;
	w->size += raw.len;
}

void blob_writer_feed(struct blob_writer *w, struct bytes in, struct buf *out)
{
	while (in.len) {
		size_t n = BLOB_FRAME - buf_len(&w->frame);

		if (buf_len(&w->frame) == 0 && in.len >= BLOB_FRAME) {
			write_frame(w, bytes_first(in, BLOB_FRAME), out);
			in = bytes_skip(in, BLOB_FRAME);
			continue;
		}
		buf_append(&w->frame, bytes_first(in, n));
		in = bytes_skip(in, n);
		if (buf_len(&w->frame) == BLOB_FRAME) {
			write_frame(w, buf_bytes(&w->frame), out);
			buf_clear(&w->frame);
		}
	}
}

void blob_writer_finish(struct blob_writer *w, uint64_t id, struct buf *out)
{
	if (buf_len(&w->frame))
		write_frame(w, buf_bytes(&w->frame), out);
	buf_u64(&w->table, id);
	buf_u64(&w->table, w->size);
	buf_u32(&w->table, w->frames);
	buf_u32(&w->table, BLOCK_MAGIC);
	buf_u64(&w->table, checksum_of(buf_bytes(&w->table)));
	buf_append(out, buf_bytes(&w->table));
	buf_clear(&w->table);
	buf_clear(&w->frame);
	w->size = 0;
	w->frames = 0;
}

void blob_writer_done(struct blob_writer *w)
{
	buf_done(&w->frame);
	buf_done(&w->table);
	buf_done(&w->packed);
	ZSTD_freeCCtx(w->compressor);
	*w = (struct blob_writer){0};
}

/* ---- reading ---- */

/* Where a block's octets come from, for the time of one call. */
struct source {
	struct blob_log *log;
	struct segment_handle *handle; /* NULL: a file of its own */
	struct file *file;
	const struct blob_place *place;
};

static enum result open_source(struct blob_log *l, const struct blob_place *p, struct source *ret,
                               struct why *why)
{
	char name[SEGMENT_NAME];

	*ret = (struct source){.log = l, .place = p};
	if (p->segment == 0) {
		segment_name(name, "blob", p->offset);
		return file_open(l->fs, name, 0, &ret->file, why);
	}
	ret->handle = segment_handle_get(l, p->segment, why);
	if (!ret->handle)
		return NOT_FOUND;
	ret->file = ret->handle->file;
	return OK;
}

static void close_source(struct source *s)
{
	if (s->handle)
		segment_handle_put(s->log, s->handle);
	else
		file_close(&s->file);
}

static enum result damaged(const struct source *s, struct why *why, const char *what)
{
	return why_set(why, DAMAGED, "%s of the mail at segment %u offset %llu: %s", "block",
	               s->place->segment, (unsigned long long)s->place->offset, what);
}

/* Octets of the block; anything the disk refuses costs this mail only. */
static enum result read_block(const struct source *s, uint64_t at, size_t len, struct buf *out,
                              struct why *why)
{
	uint64_t base = s->place->segment ? s->place->offset : 0;
	size_t got = 0;

	if (file_read(s->file, base + at, buf_room(out, len), len, &got, why) != OK)
		return damaged(s, why, "the disk cannot read it");
	buf_added(out, got);
	return got == len ? OK : damaged(s, why, "it ends early");
}

struct table {
	struct bytes rows;
	uint32_t frames;
	uint64_t size;
	bool whole; /* r->raw holds the whole block */
};

static enum result parse_tail(const struct source *s, struct bytes raw, struct table *ret,
                              uint64_t *ret_need, struct why *why)
{
	const char *tail = raw.ptr + raw.len - BLOCK_TAIL;
	uint32_t frames;
	size_t len;

	if (raw.len < BLOCK_TAIL || get_u32(tail + 20) != BLOCK_MAGIC)
		return damaged(s, why, "no block ends there");
	frames = get_u32(tail + 16);
	*ret_need = (uint64_t)frames * TABLE_ROW + BLOCK_TAIL;
	if (*ret_need > s->place->stored)
		return damaged(s, why, "its table is too long");
	if (*ret_need > raw.len)
		return TOO_BIG;
	len = (size_t)*ret_need;
	if (checksum_of(bytes_of(raw.ptr + raw.len - len, len - 8)) != get_u64(tail + 24))
		return damaged(s, why, "the checksum of its table is wrong");
	*ret = (struct table){bytes_of(raw.ptr + raw.len - len, len - BLOCK_TAIL), frames,
	                      get_u64(tail + 8), raw.len == s->place->stored};
	return OK;
}

/* The block's end into r->raw; all of it when it is small. */
static enum result read_table(struct blob_reader *r, const struct source *s, struct table *ret,
                              struct why *why)
{
	uint64_t stored = s->place->stored, need = 0;
	size_t want = stored <= WHOLE_MAX ? (size_t)stored : TABLE_GUESS;
	enum result result;

	if (memcmp(&r->place, s->place, sizeof(r->place)) == 0 && buf_len(&r->raw))
		return parse_tail(s, buf_bytes(&r->raw), ret, &need, why);
	r->nth = 0;
	buf_clear(&r->raw);
	r->place = (struct blob_place){0};
	if ((result = read_block(s, stored - want, want, &r->raw, why)) != OK)
		goto failed;
	result = parse_tail(s, buf_bytes(&r->raw), ret, &need, why);
	if (result == TOO_BIG) {
		buf_clear(&r->raw);
		result = read_block(s, stored - need, (size_t)need, &r->raw, why);
		if (result == OK)
			result = parse_tail(s, buf_bytes(&r->raw), ret, &need, why);
	}
	if (result == OK) {
		r->place = *s->place;
		return OK;
	}
failed:
	buf_clear(&r->raw);
	return result;
}

static enum result inflate(struct blob_reader *r, const struct source *s, struct bytes stored,
                           size_t raw_len, struct why *why)
{
	size_t n;

	if (!r->decompressor)
		r->decompressor = ZSTD_createDCtx();
	n = ZSTD_decompressDCtx(r->decompressor, buf_room(&r->frame, raw_len), raw_len, stored.ptr,
	                        stored.len);
	if (ZSTD_isError(n) || n != raw_len)
		return damaged(s, why, "a frame does not decompress");
	buf_added(&r->frame, n);
	return OK;
}

/* Frame nth into r->frame, verified. */
static enum result read_frame(struct blob_reader *r, const struct source *s, const struct table *t,
                              uint32_t nth, uint64_t at, struct why *why)
{
	const char *row = t->rows.ptr + (size_t)nth * TABLE_ROW;
	uint32_t stored_len = get_u32(row), raw = get_u32(row + 4);
	struct bytes stored;
	enum result result;

	if (r->nth == nth + 1)
		return OK;
	r->nth = 0;
	if ((raw & ~COMPRESSED) > BLOB_FRAME || at + stored_len > s->place->stored)
		return damaged(s, why, "a frame is too long");
	if (t->whole) {
		stored = bytes_first(bytes_skip(buf_bytes(&r->raw), (size_t)at), stored_len);
	} else {
		buf_clear(&r->stored);
		if ((result = read_block(s, at, stored_len, &r->stored, why)) != OK)
			return result;
		stored = buf_bytes(&r->stored);
	}
	if (checksum_of(stored) != get_u64(row + 8))
		return damaged(s, why, "the checksum of a frame is wrong");
	buf_clear(&r->frame);
	if (raw & COMPRESSED)
		result = inflate(r, s, stored, raw & ~COMPRESSED, why);
	else
		buf_append(&r->frame, stored), result = OK;
	r->nth = result == OK ? nth + 1 : 0;
	return result;
}

static enum result read_range(struct blob_reader *r, const struct source *s, const struct table *t,
                              uint64_t offset, size_t len, struct buf *out, struct why *why)
{
	uint64_t at = 0;

	for (uint32_t nth = 0; nth < t->frames && len; nth++) {
		const char *row = t->rows.ptr + (size_t)nth * TABLE_ROW;
		uint64_t first = (uint64_t)nth * BLOB_FRAME;
		uint32_t raw = get_u32(row + 4) & ~COMPRESSED;

		if (offset < first + raw) {
			struct bytes piece;
			enum result result = read_frame(r, s, t, nth, at, why);

			if (result != OK)
				return result;
			piece = bytes_first(
			        bytes_skip(buf_bytes(&r->frame), (size_t)(offset - first)), len);
			buf_append(out, piece);
			offset += piece.len;
			len -= piece.len;
		}
		at += get_u32(row);
	}
	return OK;
}

enum result blob_read(struct blob_log *l, struct blob_reader *r, const struct blob_place *place,
                      uint64_t offset, size_t len, struct buf *out, uint64_t *ret_size,
                      struct why *why)
{
	struct source s;
	struct table t;
	enum result result = open_source(l, place, &s, why);
	size_t before = buf_len(out);

	if (result != OK)
		return result;
	if (place->stored < BLOCK_TAIL)
		result = damaged(&s, why, "it is too short");
	else
		result = read_table(r, &s, &t, why);
	if (result == OK)
		result = read_range(r, &s, &t, offset, len, out, why);
	if (result == OK && ret_size)
		*ret_size = t.size;
	if (result != OK)
		buf_truncate(out, before);
	close_source(&s);
	return result;
}

enum result blob_copy(struct blob_log *l, struct blob_reader *r, const struct blob_place *place,
                      struct buf *out, struct why *why)
{
	struct source s;
	struct buf sink = {0};
	uint64_t size = 0;
	enum result result = blob_read(l, r, place, 0, SIZE_MAX, &sink, &size, why);

	buf_done(&sink);
	if (result != OK)
		return result;
	if ((result = open_source(l, place, &s, why)) != OK)
		return result;
	result = read_block(&s, 0, (size_t)place->stored, out, why);
	close_source(&s);
	return result;
}

void blob_reader_done(struct blob_reader *r)
{
	buf_done(&r->raw);
	buf_done(&r->frame);
	buf_done(&r->stored);
	ZSTD_freeDCtx(r->decompressor);
	*r = (struct blob_reader){0};
}
