/* The log, which is the truth, and the mails' bytes in it.
 *
 * It knows records, not what they mean: a record is some octets of effects (store/change.def)
 * and, where a mail comes with it, the mail's block. Below one folder:
 *
 *	log/00000001 ...          segments: records, append-only            (blob/segment.c has the format)
 *	blob/0000000000000001 ... mails too big for the log, a block each   (blob/block.c)
 *	image/<lsn> ...           all live rows as effects                  (blob/image.c)
 *	reserve                   disk kept back
 *
 *	blob_log_open(fs, &options, &position, &replay, &log, &report, &why);   replays what is beyond the position
 *	blob_log_put(log, effects, block, &record, &why);               into the group; nothing durable yet
 *	blob_log_sync(log, &why);                                               one fdatasync: now it counts
 *
 * What it promises: a record whose blob_log_sync was OK is replayed at every later start until
 * its segment is deleted. One that was not may or may not be. A segment is never overwritten and
 * never appended to by a later process.
 *
 * put, sync, drop and the file verbs of one log are for one thread (blob_file_new may be called
 * by any); reading is for any. */
#ifndef BLOB_BLOB_H
#define BLOB_BLOB_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/time.h"
#include "sys/file.h"

/* ---- a mail's block: frames of 64 KiB, compressed where that pays, with a checksum each ---- */

enum { BLOB_FRAME = 64 * 1024 };

/* Where a block lies. */
struct blob_place {
	uint32_t segment; /* 0: a file of its own, and offset is its number */
	uint64_t offset;
	uint64_t stored; /* octets there */
};

/* Fills a block; zeroed is ready. Feed the mail in any split. */
struct blob_writer {
	struct buf frame; /* not yet full */
	struct buf table;
	struct buf packed;
	void *compressor; /* ZSTD_CCtx */
	uint64_t size;
	uint32_t frames;
	bool raw; /* never compress */
};

void blob_writer_feed(struct blob_writer *w, struct bytes in, struct buf *out);
/* Ends it with table and tail; ready for the next. id is told by readers that look at a block
 * alone. */
void blob_writer_finish(struct blob_writer *w, uint64_t id, struct buf *out);
void blob_writer_done(struct blob_writer *w);

/* Reads blocks; zeroed is ready; one a thread. Keeps the frame that it opened last. */
struct blob_reader {
	struct buf raw;   /* the block's end: its table and, where the block is small, all of it */
	struct buf frame; /* the frame opened last */
	struct buf stored;
	struct blob_place place;
	uint32_t nth; /* frame number + 1 of what `frame` holds; 0: nothing */
	void *decompressor;
};

void blob_reader_done(struct blob_reader *r);

/* ---- the log ---- */

struct blob_options {
	uint64_t segment_size;
	uint64_t reserve;    /* octets kept back; 0: none */
	uint64_t first_file; /* blob files are numbered above this; grows from start to start */
};

/* The state that an index has: everything up to here is in it. Zeroed: nothing is. */
struct blob_position {
	uint64_t lsn;     /* of the last record */
	uint32_t segment; /* where to go on reading */
	uint64_t offset;
};

struct blob_record {
	uint64_t lsn, group;
	struct bytes effects;
	struct blob_place block; /* stored 0: none */
	struct blob_position after;
};

/* Called for each record in order. Not OK ends the replay with that. */
typedef enum result blob_replay_function(void *context, const struct blob_record *r,
                                         struct why *why);

/* What a start or fsck saw. */
struct blob_report {
	uint32_t segments;
	uint64_t records;   /* replayed */
	uint64_t rewritten; /* from the end of the last segment into a new one */
	uint64_t torn;      /* octets at the end that never counted */
	uint64_t damaged;   /* places where records were lost although they had counted */
	uint64_t missing;   /* segments that should be there */
	struct why first_damage;
};

struct blob_log;

/* Makes the folders when missing, reads what is beyond position, calls replay for each record.
 * position zeroed and an image: load that first (blob_image_load), its position is given by it.
 * DAMAGED records are counted and passed over; FAILED: the disk said no. */
enum result blob_log_open(struct file_system *fs, const struct blob_options *o,
                          const struct blob_position *from, blob_replay_function *replay,
                          void *context, struct blob_log **ret, struct blob_report *report,
                          struct why *why) MUST_USE;
void blob_log_free(struct blob_log **l); /* pending records are forgotten */

/* Reads all records of all segments and changes nothing: fsck. */
enum result blob_log_check(struct file_system *fs, blob_replay_function *each, void *context,
                           struct blob_report *report, struct why *why) MUST_USE;

/* Is there room for this much more? Looks at the disk, opens and refills the reserve. DISK_FULL:
 * not for this one. urgent: results, flags, expunges: they may use the reserve. */
enum result blob_log_room(struct blob_log *l, uint64_t octets, bool urgent,
                          struct why *why) MUST_USE;
bool blob_log_full(const struct blob_log *l); /* the reserve is open */

/* Adds a record to the group; ask blob_log_room first. DISK_FULL, TOO_BIG: it is not in the
 * group, others stay. Other failures: the log is at its end. */
enum result blob_log_put(struct blob_log *l, struct bytes effects, struct bytes block,
                         struct blob_record *ret, struct why *why) MUST_USE;
/* Writes and syncs the group. FAILED: never again; this process must end. */
enum result blob_log_sync(struct blob_log *l, struct why *why) MUST_USE;
/* Forgets the group. False: part of it is written already; this process must end. */
bool blob_log_drop(struct blob_log *l);
struct blob_position blob_log_position(struct blob_log *l); /* behind the last record put */
/* written since it was opened; any thread */
uint64_t blob_log_octets(struct blob_log *l);

/* Appends len octets from offset of the mail to out (fewer only at its end); sets the mail's
 * size. Checksums verified. DAMAGED: this mail (frame) is lost; NOT_FOUND: the segment or file is
 * gone (ask the index again). */
enum result blob_read(struct blob_log *l, struct blob_reader *r, const struct blob_place *place,
                      uint64_t offset, size_t len, struct buf *out, uint64_t *ret_size,
                      struct why *why) MUST_USE;
/* The block as it is stored, all checksums verified: for the sweep. */
enum result blob_copy(struct blob_log *l, struct blob_reader *r, const struct blob_place *place,
                      struct buf *out, struct why *why) MUST_USE;

/* ---- mails of their own: durable before anything names them ---- */

struct blob_file;

/* Begins one under a number never used before. Feed, then finish: synced, folder too. Any thread. */
enum result blob_file_new(struct blob_log *l, struct blob_file **ret, struct why *why) MUST_USE;
enum result blob_file_feed(struct blob_file *f, struct bytes in, struct why *why) MUST_USE;
enum result blob_file_finish(struct blob_file **f, struct blob_place *ret,
                             struct why *why) MUST_USE; /* frees it in any case */
void blob_file_drop(struct blob_file **f);
enum result blob_file_remove(struct blob_log *l, uint64_t number, struct why *why) MUST_USE;
/* Numbers that exist, ascending. */
enum result blob_file_list(struct blob_log *l, struct arena *arena, uint64_t **ret,
                           size_t *ret_count, struct why *why) MUST_USE;

/* ---- segments, for the sweep ---- */

struct blob_segment {
	uint32_t number;
	uint64_t size; /* octets of the file */
	uint64_t first_lsn;
	bool current; /* being written */
};

/* Ascending. */
size_t blob_segment_list(struct blob_log *l, struct arena *arena, struct blob_segment **ret);
/* Deletes it and syncs the folder. The caller knows that nothing needs it any more. */
enum result blob_segment_remove(struct blob_log *l, uint32_t number, struct why *why) MUST_USE;

/* ---- images ---- */

struct blob_image;

/* Any thread. It counts once finished: synced, renamed, folder synced; older ones but the one
 * before are removed. */
enum result blob_image_new(struct file_system *fs, const struct blob_position *at,
                           struct blob_image **ret, struct why *why) MUST_USE;
enum result blob_image_put(struct blob_image *i, struct bytes effects, struct why *why) MUST_USE;
enum result blob_image_finish(struct blob_image **i, struct why *why) MUST_USE; /* frees it */
void blob_image_drop(struct blob_image **i);
/* The newest whole one: calls each for its records and sets its position. NOT_FOUND: there is
 * none. Damaged ones are passed over (before any of their records is given) and counted. */
enum result blob_image_load(struct file_system *fs, blob_replay_function *each, void *context,
                            struct blob_position *ret, uint64_t *ret_damaged,
                            struct why *why) MUST_USE;
/* Removes images below this LSN: what they would need is about to go. */
enum result blob_image_trim(struct file_system *fs, uint64_t lsn, struct why *why) MUST_USE;
/* LSN of the oldest image kept; 0: none. Segments whose last record is not above it are not
 * needed for rebuilding. */
uint64_t blob_image_oldest(struct file_system *fs);
/* LSN of the newest one; 0: none. The log was synced up to it before it was made. */
uint64_t blob_image_newest(struct file_system *fs);

#endif
