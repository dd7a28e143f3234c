/* What blob/blob.h promises, held against the real file system through nothing but that header: a second
 * implementation is run with the same cases. */
#include "../test.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/memory.h"
#include "blob/blob.h"

struct seen {
	size_t count;
	uint64_t lsn;
	char effects[40][64];
	struct blob_place blocks[40];
	bool in_order;
};

struct rig {
	char folder[64];
	int fd;
	struct file_system *fs;
	struct blob_log *log;
	struct blob_report report;
	struct seen seen;
	struct blob_options options;
};

static enum result see(void *context, const struct blob_record *r, struct why *why)
{
	struct seen *s = context;

	(void)why;
	s->in_order = s->count == 0 || r->lsn > s->lsn;
	s->lsn = r->lsn;
	if (s->count < 40) {
		snprintf(s->effects[s->count], sizeof(s->effects[0]), "%.*s",
		         BYTES_ARG(r->effects));
		s->blocks[s->count] = r->block;
	}
	s->count++;
	return OK;
}

static void reopen(struct rig *r, const struct blob_position *from)
{
	struct blob_position none = {0};
	struct why why = {0};

	blob_log_free(&r->log);
	r->seen = (struct seen){0};
	if (blob_log_open(r->fs, &r->options, from ? from : &none, see, &r->seen, &r->log,
	                  &r->report, &why) != OK)
		fail_msg("%s", why.text);
}

static struct rig rig(void)
{
	struct rig r = {.options = {.segment_size = 256 * 1024}};

	snprintf(r.folder, sizeof(r.folder), "/tmp/hikyaku-blob-XXXXXX");
	assert_non_null(mkdtemp(r.folder));
	r.fd = open(r.folder, O_RDONLY | O_DIRECTORY);
	r.fs = file_system_real_new(r.fd);
	reopen(&r, NULL);
	return r;
}

static void done(struct rig *r)
{
	char command[128];

	blob_log_free(&r->log);
	file_system_free(&r->fs);
	close(r->fd);
	snprintf(command, sizeof(command), "rm -rf '%s'", r->folder);
	assert_int_equal(system(command), 0);
}

static struct blob_record put(struct rig *r, const char *effects, struct bytes block)
{
	struct blob_record record;
	struct why why = {0};

	if (blob_log_put(r->log, bytes_of_text(effects), block, &record, &why) != OK)
		fail_msg("%s", why.text);
	return record;
}

static void sync_it(struct rig *r)
{
	struct why why = {0};

	if (blob_log_sync(r->log, &why) != OK)
		fail_msg("%s", why.text);
}

static struct buf block_of(const char *text, size_t times, uint64_t id)
{
	struct blob_writer w = {0};
	struct buf out = {0};

	for (size_t i = 0; i < times; i++)
		blob_writer_feed(&w, bytes_of_text(text), &out);
	blob_writer_finish(&w, id, &out);
	blob_writer_done(&w);
	return out;
}

static void what_was_synced_comes_back_in_order(void **state)
{
	struct rig r = rig();
	uint64_t first;

	(void)state;
	first = put(&r, "one", (struct bytes){0}).lsn;
	assert_int_equal(put(&r, "two", (struct bytes){0}).lsn, first + 1);
	sync_it(&r);
	put(&r, "three", (struct bytes){0});
	sync_it(&r);
	reopen(&r, NULL);
	assert_int_equal(r.seen.count, 3);
	assert_string_equal(r.seen.effects[0], "one");
	assert_string_equal(r.seen.effects[2], "three");
	assert_true(r.seen.in_order);
	assert_int_equal(r.report.damaged, 0);
	/* LSNs go on */
	assert_true(put(&r, "four", (struct bytes){0}).lsn > r.seen.lsn);
	done(&r);
}

static void what_was_not_synced_is_forgotten(void **state)
{
	struct rig r = rig();

	(void)state;
	put(&r, "one", (struct bytes){0});
	sync_it(&r);
	put(&r, "two", (struct bytes){0});
	assert_true(blob_log_drop(r.log));
	put(&r, "other", (struct bytes){0});
	sync_it(&r);
	put(&r, "never", (struct bytes){0});
	reopen(&r, NULL);
	assert_int_equal(r.seen.count, 2);
	assert_string_equal(r.seen.effects[1], "other");
	done(&r);
}

static void replay_begins_behind_the_position(void **state)
{
	struct rig r = rig();
	struct blob_position at, none;

	(void)state;
	put(&r, "one", (struct bytes){0});
	sync_it(&r);
	at = blob_log_position(r.log);
	put(&r, "two", (struct bytes){0});
	sync_it(&r);
	reopen(&r, &at);
	assert_int_equal(r.seen.count, 1);
	assert_string_equal(r.seen.effects[0], "two");
	/* It was in the last segment: written again, and there once. */
	assert_int_equal(r.report.rewritten, 1);
	none = blob_log_position(r.log);
	reopen(&r, &none);
	assert_int_equal(r.seen.count, 0);
	reopen(&r, NULL);
	assert_int_equal(r.seen.count, 2);
	done(&r);
}

static void blocks_read_back(void **state)
{
	struct rig r = rig();
	struct blob_reader reader = {0};
	struct buf block = block_of("0123456789", 20000, 7), out = {0};
	struct blob_record record = put(&r, "mail", buf_bytes(&block));
	uint64_t size = 0;
	struct why why;

	(void)state;
	sync_it(&r);
	assert_true(buf_len(&block) < 200000 / 10); /* it paid to compress */
	assert_int_equal(blob_read(r.log, &reader, &record.block, 0, SIZE_MAX, &out, &size, &why),
	                 OK);
	assert_int_equal(size, 200000);
	assert_int_equal(buf_len(&out), 200000);
	buf_clear(&out);
	assert_int_equal(blob_read(r.log, &reader, &record.block, 65533, 10, &out, &size, &why),
	                 OK);
	assert_bytes(buf_bytes(&out), BYTES("3456789012")); /* across two frames */
	buf_clear(&out);
	assert_int_equal(blob_read(r.log, &reader, &record.block, 199998, 10, &out, &size, &why),
	                 OK);
	assert_bytes(buf_bytes(&out), BYTES("89"));
	buf_clear(&out);
	assert_int_equal(blob_read(r.log, &reader, &record.block, 300000, 10, &out, &size, &why),
	                 OK);
	assert_int_equal(buf_len(&out), 0);
	/* where replay says it lies */
	reopen(&r, NULL);
	blob_reader_done(&reader);
	assert_int_equal(blob_read(r.log, &reader, &r.seen.blocks[0], 10, 10, &out, &size, &why),
	                 OK);
	assert_bytes(buf_bytes(&out), BYTES("0123456789"));
	blob_reader_done(&reader);
	buf_done(&out);
	buf_done(&block);
	done(&r);
}

static void an_empty_mail_is_a_mail(void **state)
{
	struct rig r = rig();
	struct blob_reader reader = {0};
	struct buf block = block_of("", 0, 1), out = {0};
	struct blob_record record = put(&r, "empty", buf_bytes(&block));
	uint64_t size = 9;
	struct why why;

	(void)state;
	sync_it(&r);
	assert_int_equal(blob_read(r.log, &reader, &record.block, 0, 100, &out, &size, &why), OK);
	assert_int_equal(size, 0);
	blob_reader_done(&reader);
	buf_done(&block);
	buf_done(&out);
	done(&r);
}

static void full_segments_are_followed_by_others(void **state)
{
	struct rig r = rig();
	struct arena arena = {0};
	struct blob_segment *list;
	char *big = memory_get(60000);
	struct blob_reader reader = {0};
	struct buf out = {0};
	struct why gone;

	(void)state;
	for (int i = 0; i < 30; i++) {
		struct blob_writer w = {.raw = true};
		struct buf block = {0};

		memset(big, 'a' + i, 60000);
		blob_writer_feed(&w, bytes_of(big, 60000), &block);
		blob_writer_finish(&w, (uint64_t)i, &block);
		blob_writer_done(&w);
		put(&r, "x", buf_bytes(&block));
		if (i % 4 == 3)
			sync_it(&r);
		buf_done(&block);
	}
	sync_it(&r);
	assert_true(blob_segment_list(r.log, &arena, &list) > 5);
	assert_true(list[0].size <= 256 * 1024);
	reopen(&r, NULL);
	assert_int_equal(r.seen.count, 30);
	for (int i = 0; i < 30; i += 7) {
		struct why why = {0};

		buf_clear(&out);
		if (blob_read(r.log, &reader, &r.seen.blocks[i], 59999, 5, &out, NULL, &why) != OK)
			fail_msg("mail %d in segment %u: %s", i, r.seen.blocks[i].segment,
			         why.text);
		assert_int_equal(buf_bytes(&out).ptr[0], 'a' + i);
	}
	/* a deleted segment: its mails are gone, the others are not */
	assert_int_equal(blob_segment_remove(r.log, list[0].number, &gone), OK);
	blob_reader_done(&reader);
	assert_int_equal(blob_read(r.log, &reader, &r.seen.blocks[0], 0, 5, &out, NULL, &gone),
	                 NOT_FOUND);
	assert_int_equal(blob_read(r.log, &reader, &r.seen.blocks[20], 0, 5, &out, NULL, &gone),
	                 OK);
	reopen(&r, NULL);
	assert_true(r.report.missing > 0);
	memory_free(big);
	arena_done(&arena);
	blob_reader_done(&reader);
	buf_done(&out);
	done(&r);
}

static void mails_of_their_own(void **state)
{
	struct rig r = rig();
	struct arena arena = {0};
	struct blob_file *f;
	struct blob_place place;
	struct blob_reader reader = {0};
	struct buf out = {0};
	uint64_t size, *numbers;
	size_t count;
	struct why why;

	(void)state;
	assert_int_equal(blob_file_new(r.log, &f, &why), OK);
	for (int i = 0; i < 1000; i++)
		assert_int_equal(
		        blob_file_feed(f, BYTES("a line of thirty-two octets....\n"), &why), OK);
	assert_int_equal(blob_file_finish(&f, &place, &why), OK);
	assert_null(f);
	assert_int_equal(place.segment, 0);
	assert_int_equal(blob_read(r.log, &reader, &place, 32000 - 5, 100, &out, &size, &why), OK);
	assert_int_equal(size, 32000);
	assert_bytes(buf_bytes(&out), BYTES("....\n"));
	assert_int_equal(blob_file_new(r.log, &f, &why), OK);
	blob_file_drop(&f);
	assert_int_equal(blob_file_list(r.log, &arena, &numbers, &count, &why), OK);
	assert_int_equal(count, 1);
	assert_int_equal(numbers[0], place.offset);
	assert_int_equal(blob_file_remove(r.log, place.offset, &why), OK);
	blob_reader_done(&reader);
	assert_int_equal(blob_read(r.log, &reader, &place, 0, 1, &out, &size, &why), NOT_FOUND);
	blob_reader_done(&reader);
	arena_done(&arena);
	buf_done(&out);
	done(&r);
}

static void write_image(struct rig *r, uint64_t lsn, const char *text)
{
	struct blob_position at = {lsn, 3, 4711};
	struct blob_image *image;
	struct why why;

	assert_int_equal(blob_image_new(r->fs, &at, &image, &why), OK);
	assert_int_equal(blob_image_put(image, bytes_of_text(text), &why), OK);
	assert_int_equal(blob_image_put(image, BYTES("second"), &why), OK);
	assert_int_equal(blob_image_finish(&image, &why), OK);
}

static void images(void **state)
{
	struct rig r = rig();
	struct blob_position at;
	struct blob_image *image;
	uint64_t damaged;
	struct why why;

	(void)state;
	assert_int_equal(blob_image_load(r.fs, see, &r.seen, &at, &damaged, &why), NOT_FOUND);
	write_image(&r, 10, "ten");
	write_image(&r, 20, "twenty");
	write_image(&r, 30, "thirty");
	assert_int_equal(blob_image_oldest(r.fs), 20);
	/* one that was begun does not count */
	at = (struct blob_position){40, 3, 4711};
	assert_int_equal(blob_image_new(r.fs, &at, &image, &why), OK);
	assert_int_equal(blob_image_put(image, BYTES("forty"), &why), OK);
	r.seen = (struct seen){0};
	assert_int_equal(blob_image_load(r.fs, see, &r.seen, &at, &damaged, &why), OK);
	assert_int_equal(r.seen.count, 2);
	assert_string_equal(r.seen.effects[0], "thirty");
	assert_int_equal(at.lsn, 30);
	assert_int_equal(at.offset, 4711);
	blob_image_drop(&image);
	assert_int_equal(blob_image_trim(r.fs, 25, &why), OK);
	assert_int_equal(blob_image_oldest(r.fs), 30);
	done(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(what_was_synced_comes_back_in_order),
	        cmocka_unit_test(what_was_not_synced_is_forgotten),
	        cmocka_unit_test(replay_begins_behind_the_position),
	        cmocka_unit_test(blocks_read_back),
	        cmocka_unit_test(an_empty_mail_is_a_mail),
	        cmocka_unit_test(full_segments_are_followed_by_others),
	        cmocka_unit_test(mails_of_their_own),
	        cmocka_unit_test(images),
	};

	return TEST_MAIN(tests);
}
