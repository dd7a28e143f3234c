/* What the files of blob/ share. The formats stand at the heads of segment.c, block.c and
 * image.c. */
#ifndef BLOB_INTERNAL_H
#define BLOB_INTERNAL_H

#include <pthread.h>

#include "base/map.h"
#include "blob/blob.h"

enum {
	RECORD_HEAD = 48,
	SEGMENT_HEAD = 1024,
	BLOCK_TAIL = 32,
	TABLE_ROW = 16,
	RECORD_MAX = 256 * 1024 * 1024,
	SEGMENT_NAME = 32,
};

enum record_flag {
	RECORD_LAST = 1 << 0, /* ends an image */
};

uint64_t checksum_of(struct bytes b);
uint32_t get_u32(const char *p); /* big-endian, as base/buf.h writes */
uint64_t get_u64(const char *p);
void put_u64(char *p, uint64_t v);

/* ---- segment.c: the format ---- */

struct segment_head {
	uint32_t number, previous;
	uint64_t previous_end; /* what lies behind it in the segment before never counted */
	uint64_t first_lsn;
	uint64_t salt, previous_salt; /* of its records' checksums */
};

struct record_head {
	uint32_t segment, nth, length, effects, flags;
	uint64_t lsn, group;
	uint64_t salt; /* the segment's: not in the record */
};

void segment_name(char out[SEGMENT_NAME], const char *folder, uint64_t number);
void segment_head_write(const struct segment_head *h, struct buf *out); /* both copies */
/* INVALID: neither copy is whole. */
enum result segment_head_read(struct file *f, uint32_t number, struct segment_head *ret,
                              struct why *why) MUST_USE;

/* Appends a whole record, padded. */
void record_write(const struct record_head *h, struct bytes effects, struct bytes block,
                  struct buf *out);
uint64_t record_size(uint64_t payload);

/* A window over a file that is read from front to back. */
struct record_scan {
	struct file *file;
	uint32_t segment;
	uint64_t salt;
	uint64_t end;      /* nothing counts from here on; UINT64_MAX: the file's length */
	bool last;         /* its end may be torn */
	uint64_t offset;   /* of the next record */
	uint64_t lsn;      /* of the last whole record */
	struct buf window; /* octets from `base` */
	uint64_t base;
	uint64_t torn, damaged;
	struct why first_damage;
};

struct record_view {
	struct record_head head;
	struct bytes payload; /* good until the next one */
	uint64_t offset;      /* of the record */
};

/* The next record that counts. NOT_FOUND: that was all; offset is where the valid part ends. */
enum result record_next(struct record_scan *s, struct record_view *ret, struct why *why) MUST_USE;
void record_scan_done(struct record_scan *s);

/* ---- log.c ---- */

struct segment_handle {
	struct file *file;
	unsigned users;
	bool gone; /* closed by its last user */
};

struct blob_log {
	struct file_system *fs;
	struct blob_options options;
	/* the writer's */
	uint32_t segment;         /* being written; 0: none yet in this process */
	uint64_t salt, last_salt; /* of segment and last_segment */
	struct file *file;
	uint64_t offset; /* where buf goes */
	struct buf group_buf;
	uint64_t group, lsn;
	uint32_t nth;
	bool group_written;    /* part of the group is in the file */
	uint32_t last_number;  /* the highest ever used */
	uint32_t last_segment; /* the one before `segment`, or before the next one */
	uint64_t last_end;
	uint64_t octets;
	bool full, space_known, failed;
	uint64_t space;
	/* everybody's */
	pthread_mutex_t lock;
	struct map handles;            /* segment number: struct segment_handle */
	struct blob_segment *segments; /* ascending */
	size_t segment_count;
	uint64_t next_file;
};

struct segment_handle *segment_handle_get(struct blob_log *l, uint32_t number, struct why *why);
void segment_handle_put(struct blob_log *l, struct segment_handle *h);

/* ---- reserve.c ---- */

void reserve_fill(struct blob_log *l);
bool reserve_open(struct blob_log *l);

#endif
