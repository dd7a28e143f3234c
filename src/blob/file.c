/* Segments to read from, and mails that are files of their own. */
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "blob/internal.h"

enum { HANDLES_MAX = 400 }; /* open segments; the descriptor limit is 1,024 on many systems */

/* ---- handles ---- */

static void close_idle(struct blob_log *l)
{
	struct map_entry *e;

	for (size_t at = 0; (e = map_each(&l->handles, &at));) {
		struct segment_handle *h = e->value;

		if (h->users)
			continue;
		file_close(&h->file);
		memory_free(h);
		map_remove(&l->handles, bytes_of(e->key, e->key_len));
		return;
	}
}

struct segment_handle *segment_handle_get(struct blob_log *l, uint32_t number, struct why *why)
{
	struct segment_handle *h;
	char name[SEGMENT_NAME];

	pthread_mutex_lock(&l->lock);
	h = map_get_u64(&l->handles, number);
	if (!h) {
		struct file *f;

		if (l->handles.count >= HANDLES_MAX)
			close_idle(l);
		segment_name(name, "log", number);
		if (file_open(l->fs, name, 0, &f, why) == OK) {
			h = NEW(struct segment_handle);
			h->file = f;
			map_put_u64(&l->handles, number, h);
		}
	}
	if (h)
		h->users++;
	pthread_mutex_unlock(&l->lock);
	return h;
}

void segment_handle_put(struct blob_log *l, struct segment_handle *h)
{
	pthread_mutex_lock(&l->lock);
	if (--h->users == 0 && h->gone) {
		file_close(&h->file);
		memory_free(h);
	}
	pthread_mutex_unlock(&l->lock);
}

static void forget_handle(struct blob_log *l, uint32_t number)
{
	struct segment_handle *h = map_remove_u64(&l->handles, number);

	if (!h)
		return;
	h->gone = true;
	if (h->users == 0) {
		file_close(&h->file);
		memory_free(h);
	}
}

/* ---- segments ---- */

size_t blob_segment_list(struct blob_log *l, struct arena *arena, struct blob_segment **ret)
{
	size_t count;

	pthread_mutex_lock(&l->lock);
	count = l->segment_count;
	*ret = arena_get(arena, (count + 1) * sizeof(**ret));
	if (count)
		memcpy(*ret, l->segments, count * sizeof(**ret));
	pthread_mutex_unlock(&l->lock);
	return count;
}

enum result blob_segment_remove(struct blob_log *l, uint32_t number, struct why *why)
{
	char name[SEGMENT_NAME];
	enum result result;
	size_t kept = 0;

	segment_name(name, "log", number);
	if ((result = file_remove(l->fs, name, why)) != OK)
		return result;
	pthread_mutex_lock(&l->lock);
	forget_handle(l, number);
	for (size_t i = 0; i < l->segment_count; i++) {
		if (l->segments[i].number != number)
			l->segments[kept++] = l->segments[i];
	}
	l->segment_count = kept;
	pthread_mutex_unlock(&l->lock);
	return file_directory_sync(l->fs, "log", why);
}

/* ---- mails of their own ---- */

struct blob_file {
	struct blob_log *log;
	struct file *file;
	struct blob_writer writer;
	struct buf out;
	uint64_t number, offset;
	char name[SEGMENT_NAME];
};

enum result blob_file_new(struct blob_log *l, struct blob_file **ret, struct why *why)
{
	struct blob_file *f = NEW(struct blob_file);
	enum result result;

	f->log = l;
	pthread_mutex_lock(&l->lock);
	f->number = l->next_file++;
	pthread_mutex_unlock(&l->lock);
	segment_name(f->name, "blob", f->number);
	result = file_open(l->fs, f->name, FILE_WRITE | FILE_CREATE | FILE_EXCLUSIVE, &f->file,
	                   why);
	if (result != OK) {
		memory_free(f);
		return result;
	}
	*ret = f;
	return OK;
}

static enum result push(struct blob_file *f, size_t keep, struct why *why)
{
	enum result result;

	if (buf_len(&f->out) <= keep)
		return OK;
	result = file_write(f->file, f->offset, buf_bytes(&f->out), why);
	f->offset += buf_len(&f->out);
	buf_clear(&f->out);
	return result;
}

enum result blob_file_feed(struct blob_file *f, struct bytes in, struct why *why)
{
	blob_writer_feed(&f->writer, in, &f->out);
	return push(f, 4 * BLOB_FRAME, why);
}

static void release(struct blob_file **file)
{
	struct blob_file *f = *file;

	file_close(&f->file);
	blob_writer_done(&f->writer);
	buf_done(&f->out);
	memory_free(f);
	*file = NULL;
}

enum result blob_file_finish(struct blob_file **file, struct blob_place *ret, struct why *why)
{
	struct blob_file *f = *file;
	struct blob_place place;
	enum result result;

	blob_writer_finish(&f->writer, f->number, &f->out);
	if ((result = push(f, 0, why)) != OK || (result = file_sync(f->file, why)) != OK ||
	    (result = file_directory_sync(f->log->fs, "blob", why)) != OK) {
		blob_file_drop(file);
		return result;
	}
	place = (struct blob_place){0, f->number, f->offset};
	release(file);
	*ret = place;
	return OK;
}

void blob_file_drop(struct blob_file **file)
{
	struct blob_file *f = *file;
	enum result result;

	if (!f)
		return;
	/* What cannot be removed now is an orphan that the next start removes. */
	result = file_remove(f->log->fs, f->name, NULL);
	(void)result;
	release(file);
}

enum result blob_file_remove(struct blob_log *l, uint64_t number, struct why *why)
{
	char name[SEGMENT_NAME];

	segment_name(name, "blob", number);
	return file_remove(l->fs, name, why);
}

enum result blob_file_list(struct blob_log *l, struct arena *arena, uint64_t **ret,
                           size_t *ret_count, struct why *why)
{
	const char **names;
	size_t count;
	enum result result = file_list(l->fs, "blob", arena, &names, &count, why);

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
