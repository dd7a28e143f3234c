/* The operating system's file system behind the ops table. test/sim holds its torn disk to the same contract. */
#include "../test.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/memory.h"
#include "sys/file.h"

struct world {
	char path[64];
	struct file_system *fs;
	struct arena arena;
	struct why why;
};

static int setup(void **state)
{
	struct world *w = test_calloc(1, sizeof(*w));
	int fd;

	snprintf(w->path, sizeof(w->path), "/tmp/hikyaku-file-XXXXXX");
	if (!mkdtemp(w->path))
		return -1;
	fd = open(w->path, O_RDONLY | O_DIRECTORY);
	w->fs = file_system_real_new(fd);
	close(fd);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;
	const char **names;
	size_t count;

	if (file_list(w->fs, ".", &w->arena, &names, &count, NULL) == OK)
		for (size_t i = 0; i < count; i++)
			(void)file_remove(w->fs, names[i], NULL);
	file_system_free(&w->fs);
	arena_done(&w->arena);
	rmdir(w->path);
	test_free(w);
	return 0;
}

static void reads_what_was_written(void **state)
{
	struct world *w = *state;
	struct file *f;
	uint64_t size;
	char text[32];
	size_t n;

	assert_int_equal(file_open(w->fs, "a", FILE_WRITE | FILE_CREATE, &f, &w->why), OK);
	assert_int_equal(file_write(f, 3, BYTES("defg"), &w->why), OK);
	assert_int_equal(file_write(f, 0, BYTES("abc"), &w->why), OK);
	assert_int_equal(file_sync(f, &w->why), OK);
	assert_int_equal(file_size(f, &size, &w->why), OK);
	assert_int_equal(size, 7);
	assert_int_equal(file_read(f, 2, text, sizeof(text), &n, &w->why), OK);
	assert_int_equal(n, 5);
	assert_memory_equal(text, "cdefg", 5);
	assert_int_equal(file_read(f, 100, text, sizeof(text), &n, &w->why), OK);
	assert_int_equal(n, 0);
	assert_int_equal(file_truncate(f, 2, &w->why), OK);
	assert_int_equal(file_allocate(f, 2, 4096, &w->why), OK);
	assert_int_equal(file_size(f, &size, &w->why), OK);
	assert_int_equal(size, 2); /* reserving space does not lengthen it */
	file_close(&f);
	assert_null(f);
}

static void says_why_not(void **state)
{
	struct world *w = *state;
	struct file *f = NULL;

	assert_int_equal(file_open(w->fs, "missing", 0, &f, &w->why), NOT_FOUND);
	assert_non_null(strstr(w->why.text, "missing"));
	assert_null(f);
	assert_int_equal(
	        file_open(w->fs, "a", FILE_WRITE | FILE_CREATE | FILE_EXCLUSIVE, &f, &w->why), OK);
	file_close(&f);
	assert_int_equal(
	        file_open(w->fs, "a", FILE_WRITE | FILE_CREATE | FILE_EXCLUSIVE, &f, &w->why),
	        EXISTS);
	assert_int_equal(file_remove(w->fs, "missing", &w->why), NOT_FOUND);
	assert_int_equal(file_make_directory(w->fs, "a", &w->why), EXISTS);
}

static void lists_sorted_and_renames_over(void **state)
{
	struct world *w = *state;
	const char **names;
	size_t count;
	struct buf text = {0};

	assert_int_equal(file_write_all(w->fs, "c", BYTES("old"), &w->why), OK);
	assert_int_equal(file_write_all(w->fs, "b", BYTES("new"), &w->why), OK);
	assert_int_equal(file_make_directory(w->fs, "a", &w->why), OK);
	assert_int_equal(file_list(w->fs, ".", &w->arena, &names, &count, &w->why), OK);
	assert_int_equal(count, 3);
	assert_string_equal(names[0], "a");
	assert_string_equal(names[2], "c");
	assert_int_equal(file_rename(w->fs, "b", "c", &w->why), OK);
	assert_int_equal(file_directory_sync(w->fs, ".", &w->why), OK);
	assert_int_equal(file_read_all(w->fs, "c", 100, &text, &w->why), OK);
	assert_true(bytes_equal(buf_bytes(&text), BYTES("new")));
	assert_int_equal(file_read_all(w->fs, "c", 2, &text, &w->why), TOO_BIG);
	assert_true(bytes_equal(buf_bytes(&text), BYTES("new")));
	buf_done(&text);
}

static void lists_many(void **state)
{
	struct world *w = *state;
	const char **names;
	char name[8];
	size_t count;

	for (int i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "f%03d", i);
		assert_int_equal(file_write_all(w->fs, name, BYTES("x"), &w->why), OK);
	}
	assert_int_equal(file_list(w->fs, ".", &w->arena, &names, &count, &w->why), OK);
	assert_int_equal(count, 100);
	for (int i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "f%03d", i);
		assert_string_equal(names[i], name);
	}
}

static void an_unnamed_file_leaves_no_name(void **state)
{
	struct world *w = *state;
	const char **names;
	struct file *f;
	size_t count, n;
	char c;

	assert_int_equal(file_open_unnamed(w->fs, ".", &f, &w->why), OK);
	assert_int_equal(file_write(f, 0, BYTES("x"), &w->why), OK);
	assert_int_equal(file_read(f, 0, &c, 1, &n, &w->why), OK);
	assert_int_equal(n, 1);
	assert_int_equal(file_list(w->fs, ".", &w->arena, &names, &count, &w->why), OK);
	assert_int_equal(count, 0);
	file_close(&f);
}

static void a_lock_holds_until_closed(void **state)
{
	struct world *w = *state;
	struct file *f, *g = NULL;

	assert_int_equal(file_lock(w->fs, "lock", &f, &w->why), OK);
	assert_int_equal(file_lock(w->fs, "lock", &g, &w->why), EXISTS);
	file_close(&f);
	assert_int_equal(file_lock(w->fs, "lock", &g, &w->why), OK);
	file_close(&g);
}

static void links_are_not_followed(void **state)
{
	struct world *w = *state;
	struct file *f;
	char path[128];

	snprintf(path, sizeof(path), "%s/link", w->path);
	assert_int_equal(symlink("/etc/passwd", path), 0);
	assert_int_not_equal(file_open(w->fs, "link", 0, &f, &w->why), OK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(reads_what_was_written, setup, teardown),
	        cmocka_unit_test_setup_teardown(says_why_not, setup, teardown),
	        cmocka_unit_test_setup_teardown(lists_sorted_and_renames_over, setup, teardown),
	        cmocka_unit_test_setup_teardown(lists_many, setup, teardown),
	        cmocka_unit_test_setup_teardown(an_unnamed_file_leaves_no_name, setup, teardown),
	        cmocka_unit_test_setup_teardown(a_lock_holds_until_closed, setup, teardown),
	        cmocka_unit_test_setup_teardown(links_are_not_followed, setup, teardown),
	};

	return TEST_MAIN(tests);
}
