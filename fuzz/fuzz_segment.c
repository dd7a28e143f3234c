/* A log whose one segment holds anything: opening it must give whole records only, and what it gave once it gives again.
 *
 * The input is a list of: an octet that says what comes, then
 *	0 mod 4   u8 length, so many octets as they are: garbage, a torn record
 *	1 mod 4   u8 length, so many octets: a whole record with these effects
 *	2 mod 4   u8 length, so many octets: a whole record with a block of them
 *	3 mod 4   u16 place, u8: this octet, written over what is there */
#include <stdlib.h>

#include "base/memory.h"
#include "base/wire.h"
#include "blob/internal.h"

/* The simulator's disk, so that the real one is left alone. */
#include "../test/sim/disk.c"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
	struct blob_log **log;
	uint64_t count, lsn, sum;
};

static void check(bool good)
{
	if (!good)
		abort();
}

static enum result see(void *context, const struct blob_record *r, struct why *why)
{
	struct seen *s = context;

	(void)why;
	check(r->lsn > s->lsn);
	s->lsn = r->lsn;
	s->count++;
	s->sum += checksum_of(r->effects) * s->count;
	return OK;
}

static void add_record(struct buf *file, uint64_t *lsn, struct bytes content, bool block)
{
	struct record_head h = {.segment = 1, .lsn = ++*lsn, .group = *lsn / 3, .nth = *lsn % 3};
	struct buf packed = {0};
	struct blob_writer w = {0};

	if (block) {
		blob_writer_feed(&w, content, &packed);
		blob_writer_finish(&w, *lsn, &packed);
		blob_writer_done(&w);
		content = bytes_first(content, 3);
	}
	h.effects = (uint32_t)content.len;
	h.length = h.effects + (uint32_t)buf_len(&packed);
	record_write(&h, content, buf_bytes(&packed), file);
	buf_done(&packed);
}

static void build(struct bytes in, struct buf *file)
{
	struct segment_head head = {.number = 1, .first_lsn = 1};
	struct wire w = wire_of(in);
	uint64_t lsn = 0;

	segment_head_write(&head, file);
	while (!wire_end(&w)) {
		uint8_t what = wire_u8(&w) % 4;

		if (what == 3) {
			size_t at = wire_u16(&w) % buf_len(file);

			file->ptr[file->start + at] = (char)wire_u8(&w);
			continue;
		}
		struct bytes content = wire_take(&w, wire_u8(&w));

		if (what == 0)
			buf_append(file, content);
		else
			add_record(file, &lsn, content, what == 2);
	}
}

static void open_log(struct disk *d, struct seen *s, struct blob_report *report)
{
	struct blob_options options = {.segment_size = 64 * 1024};
	struct blob_position from = {0};
	struct blob_log *log = NULL;

	*s = (struct seen){&log, 0, 0, 0};
	check(blob_log_open(disk_files(d), &options, &from, see, s, &log, report, NULL) == OK);
	blob_log_free(&log);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct disk *d = disk_new(1);
	struct file_system *fs = disk_files(d);
	struct blob_report report;
	struct seen first, second;
	struct buf content = {0};
	struct file *f;

	build(bytes_of(data, size), &content);
	check(file_make_directory(fs, "log", NULL) == OK);
	check(file_open(fs, "log/00000001", FILE_WRITE | FILE_CREATE, &f, NULL) == OK);
	check(file_write(f, 0, buf_bytes(&content), NULL) == OK);
	file_close(&f);
	open_log(d, &first, &report);
	open_log(d, &second, &report);
	check(first.count == second.count && first.sum == second.sum);
	buf_done(&content);
	disk_free(&d);
	return 0;
}
