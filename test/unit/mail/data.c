#include "../test.h"

#include <dirent.h>
#include <stdlib.h>

#include "data.h"

static char *full_path(const char *path, struct arena *arena)
{
	return arena_text(arena, arena_printf(arena, "%s/%s", TEST_DATA, path));
}

bool data_exists(const char *path)
{
	struct arena arena = {0};
	FILE *f = fopen(full_path(path, &arena), "rb");

	if (f)
		fclose(f);
	arena_done(&arena);
	return f != NULL;
}

struct bytes data_read(const char *path, struct arena *arena)
{
	struct buf all = {0};
	FILE *f = fopen(full_path(path, arena), "rb");

	if (!f)
		fail_msg("test data %s is not there", path);
	for (size_t n = 1; n > 0;) {
		n = fread(buf_room(&all, 65536), 1, 65536, f);
		buf_added(&all, n);
	}
	fclose(f);
	struct bytes copy = arena_copy(arena, buf_bytes(&all));
	buf_done(&all);
	return copy;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

char **data_list(const char *path, const char *suffix, struct arena *arena)
{
	enum { MOST = 2000 };
	char **names = arena_get(arena, MOST * sizeof(char *));
	DIR *dir = opendir(full_path(path, arena));
	struct dirent *entry;
	size_t count = 0;

	if (!dir)
		fail_msg("test data %s is not there", path);
	while ((entry = readdir(dir)) && count < MOST - 1) {
		struct bytes name = bytes_of_text(entry->d_name);
		if (bytes_ends(name, bytes_of_text(suffix)))
			names[count++] = arena_text(arena, name);
	}
	closedir(dir);
	qsort(names, count, sizeof(char *), by_name);
	return names;
}

struct bytes data_with_crlf(struct bytes text, struct arena *arena)
{
	struct buf out = {0};

	for (size_t i = 0; i < text.len; i++) {
		if (text.ptr[i] == '\n' && (i == 0 || text.ptr[i - 1] != '\r'))
			buf_append_char(&out, '\r');
		buf_append_char(&out, text.ptr[i]);
	}
	struct bytes copy = arena_copy(arena, buf_bytes(&out));
	buf_done(&out);
	return copy;
}

struct bytes data_with_lf(struct bytes text, struct arena *arena)
{
	char *out = arena_get(arena, text.len + 1);
	size_t len = 0;

	for (size_t i = 0; i < text.len; i++) {
		if (text.ptr[i] != '\r' || i + 1 == text.len || text.ptr[i + 1] != '\n')
			out[len++] = text.ptr[i];
	}
	return bytes_of(out, len);
}
