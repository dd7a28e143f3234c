#include "sys/file.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/memory.h"
#include "sys/random.h"

struct real_system {
	struct file_system fs;
	int dirfd;
};

struct real_file {
	struct file file;
	int fd;
	char name[]; /* for reasons */
};

static enum result to_result(int error)
{
	switch (error) {
	case ENOENT:
	case ENOTDIR: return NOT_FOUND;
	case EEXIST:
	case ENOTEMPTY: return EXISTS;
	case EACCES:
	case EPERM:
	case EROFS: return DENIED;
	case ENOSPC:
	case EDQUOT:
	case EFBIG: return DISK_FULL;
	default: return FAILED;
	}
}

static enum result failed(struct why *why, const char *what, const char *name)
{
	int error = errno;

	return why_set(why, to_result(error), "%s: cannot %s: %s", name, what, strerror(error));
}

static int root_of(const struct file_system *fs)
{
	return ((const struct real_system *)fs)->dirfd;
}

/* ---- a file ---- */

static struct real_file *real(struct file *f)
{
	return (struct real_file *)f;
}

static enum result real_read(struct file *f, uint64_t offset, void *ptr, size_t len,
                             size_t *ret_len, struct why *why)
{
	size_t got = 0;

	while (got < len) {
		ssize_t n = pread(real(f)->fd, (char *)ptr + got, len - got, (off_t)(offset + got));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return failed(why, "read", real(f)->name);
		if (n == 0)
			break;
		got += (size_t)n;
	}
	*ret_len = got;
	return OK;
}

static enum result real_write(struct file *f, uint64_t offset, struct bytes data, struct why *why)
{
	while (data.len > 0) {
		ssize_t n = pwrite(real(f)->fd, data.ptr, data.len, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return failed(why, "write", real(f)->name);
		data = bytes_skip(data, (size_t)n);
		offset += (uint64_t)n;
	}
	return OK;
}

static enum result real_sync(struct file *f, struct why *why)
{
	return fdatasync(real(f)->fd) == 0 ? OK : failed(why, "sync", real(f)->name);
}

static enum result real_size(struct file *f, uint64_t *ret, struct why *why)
{
	struct stat st;

	if (fstat(real(f)->fd, &st) != 0)
		return failed(why, "stat", real(f)->name);
	*ret = (uint64_t)st.st_size;
	return OK;
}

static enum result real_truncate(struct file *f, uint64_t size, struct why *why)
{
	int status;

	do
		status = ftruncate(real(f)->fd, (off_t)size);
	while (status != 0 && errno == EINTR);
	return status == 0 ? OK : failed(why, "truncate", real(f)->name);
}

static enum result real_allocate(struct file *f, uint64_t offset, uint64_t len, struct why *why)
{
	int status;

	do
		status = fallocate(real(f)->fd, FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)len);
	while (status != 0 && errno == EINTR);
	/* A file system that cannot reserve (tmpfs of old, network ones) writes without a reserve. */
	if (status != 0 && (errno == EOPNOTSUPP || errno == ENOSYS))
		return OK;
	return status == 0 ? OK : failed(why, "reserve space for", real(f)->name);
}

static void real_close(struct file *f)
{
	close(real(f)->fd);
	memory_free(f);
}

static const struct file_ops real_file_ops = {
        .read = real_read,
        .write = real_write,
        .sync = real_sync,
        .size = real_size,
        .truncate = real_truncate,
        .allocate = real_allocate,
        .close = real_close,
};

static struct file *file_of(int fd, const char *name)
{
	size_t len = strlen(name) + 1;
	struct real_file *f = memory_get(sizeof(*f) + len);

	f->file.ops = &real_file_ops;
	f->fd = fd;
	memcpy(f->name, name, len);
	return &f->file;
}

/* ---- the file system ---- */

static enum result real_open(struct file_system *fs, const char *name, unsigned flags,
                             struct file **ret, struct why *why)
{
	int mode = O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | (flags & FILE_WRITE ? O_RDWR : O_RDONLY);
	int fd;

	mode |= flags & FILE_CREATE ? O_CREAT : 0;
	mode |= flags & FILE_EXCLUSIVE ? O_EXCL : 0;
	mode |= flags & FILE_TRUNCATE ? O_TRUNC : 0;
	fd = openat(root_of(fs), name, mode, flags & FILE_PUBLIC ? 0644 : 0600);
	if (fd < 0)
		return failed(why, "open", name);
	*ret = file_of(fd, name);
	return OK;
}

/* For file systems without O_TMPFILE. */
static int open_and_unlink(int dirfd, const char *folder)
{
	char name[4096];
	int fd;

	snprintf(name, sizeof(name), "%s/.unnamed.%016llx", folder,
	         (unsigned long long)random_u64());
	fd = openat(dirfd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd >= 0)
		unlinkat(dirfd, name, 0);
	return fd;
}

static enum result real_open_unnamed(struct file_system *fs, const char *folder, struct file **ret,
                                     struct why *why)
{
	int fd = openat(root_of(fs), folder, O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);

	if (fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR))
		fd = open_and_unlink(root_of(fs), folder);
	if (fd < 0)
		return failed(why, "open a temporary file in", folder);
	*ret = file_of(fd, folder);
	return OK;
}

static enum result real_lock(struct file_system *fs, const char *name, struct file **ret,
                             struct why *why)
{
	struct file *f = NULL;
	enum result r = real_open(fs, name, FILE_WRITE | FILE_CREATE, &f, why);

	if (r != OK)
		return r;
	if (flock(real(f)->fd, LOCK_EX | LOCK_NB) != 0) {
		r = errno == EWOULDBLOCK
		            ? why_set(why, EXISTS, "%s: locked by another process", name)
		            : failed(why, "lock", name);
		real_close(f);
		return r;
	}
	*ret = f;
	return OK;
}

static enum result real_rename(struct file_system *fs, const char *from, const char *to,
                               struct why *why)
{
	return renameat(root_of(fs), from, root_of(fs), to) == 0 ? OK : failed(why, "rename", from);
}

static enum result real_remove(struct file_system *fs, const char *name, struct why *why)
{
	if (unlinkat(root_of(fs), name, 0) == 0)
		return OK;
	if (errno == EISDIR && unlinkat(root_of(fs), name, AT_REMOVEDIR) == 0)
		return OK;
	return failed(why, "remove", name);
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static const char **add_name(struct arena *arena, const char **names, size_t count,
                             const char *name)
{
	/* The array doubles; the arena keeps the smaller ones until it is reset. */
	if (count == 0 || (count >= 16 && (count & (count - 1)) == 0)) {
		const char **more = arena_get(arena, (count == 0 ? 16 : 2 * count) * sizeof(*more));

		if (count > 0)
			memcpy(more, names, count * sizeof(*more));
		names = more;
	}
	names[count] = arena_text(arena, bytes_of_text(name));
	return names;
}

static enum result real_list(struct file_system *fs, const char *folder, struct arena *arena,
                             const char ***ret_names, size_t *ret_count, struct why *why)
{
	int fd = openat(root_of(fs), folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	const char **names = NULL;
	struct dirent *entry;
	size_t count = 0;

	if (!dir)
		return failed(why, "list", folder);
	while ((entry = readdir(dir)))
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			names = add_name(arena, names, count, entry->d_name), count++;
	closedir(dir);
	if (count > 0)
		qsort(names, count, sizeof(*names), compare_names);
	*ret_names = names;
	*ret_count = count;
	return OK;
}

static enum result real_make_directory(struct file_system *fs, const char *name, struct why *why)
{
	return mkdirat(root_of(fs), name, 0700) == 0 ? OK : failed(why, "make the folder", name);
}

static enum result real_directory_sync(struct file_system *fs, const char *name, struct why *why)
{
	int fd = openat(root_of(fs), name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	enum result r = OK;

	if (fd < 0)
		return failed(why, "open the folder", name);
	if (fsync(fd) != 0)
		r = failed(why, "sync the folder", name);
	close(fd);
	return r;
}

static enum result real_space(struct file_system *fs, uint64_t *ret, struct why *why)
{
	struct statvfs st;

	if (fstatvfs(root_of(fs), &st) != 0)
		return failed(why, "ask for the free space of", ".");
	*ret = (uint64_t)st.f_bavail * st.f_frsize;
	return OK;
}

static void real_free(struct file_system *fs)
{
	close(root_of(fs));
	memory_free(fs);
}

static const struct file_system_ops real_ops = {
        .open = real_open,
        .open_unnamed = real_open_unnamed,
        .lock = real_lock,
        .rename = real_rename,
        .remove = real_remove,
        .list = real_list,
        .make_directory = real_make_directory,
        .directory_sync = real_directory_sync,
        .space = real_space,
        .free = real_free,
};

struct file_system *file_system_real_new(int dirfd)
{
	struct real_system *fs = NEW(struct real_system);

	fs->fs.ops = &real_ops;
	fs->dirfd = fcntl(dirfd, F_DUPFD_CLOEXEC, 3);
	assert(fs->dirfd >= 0);
	return &fs->fs;
}

void file_system_free(struct file_system **fs)
{
	if (*fs)
		(*fs)->ops->free(*fs);
	*fs = NULL;
}

/* ---- whole files ---- */

static enum result read_rest(struct file *f, const char *name, size_t max, struct buf *out,
                             struct why *why)
{
	enum { STEP = 64 * 1024 };
	uint64_t offset = 0;
	size_t n;

	do {
		enum result r = file_read(f, offset, buf_room(out, STEP), STEP, &n, why);

		if (r != OK)
			return r;
		buf_added(out, n);
		offset += n;
		if (offset > max)
			return why_set(why, TOO_BIG, "%s: longer than %zu octets", name, max);
	} while (n == STEP);
	return OK;
}

enum result file_read_all(struct file_system *fs, const char *name, size_t max, struct buf *out,
                          struct why *why)
{
	size_t before = buf_len(out);
	struct file *f;
	enum result r = file_open(fs, name, 0, &f, why);

	if (r != OK)
		return r;
	r = read_rest(f, name, max, out, why);
	file_close(&f);
	if (r != OK)
		buf_truncate(out, before);
	return r;
}

static enum result write_new(struct file_system *fs, const char *name, unsigned flags,
                             struct bytes data, struct why *why)
{
	struct file *f;
	enum result r = file_open(fs, name, flags | FILE_WRITE | FILE_CREATE | FILE_TRUNCATE, &f,
	                          why);

	if (r != OK)
		return r;
	r = file_write(f, 0, data, why);
	if (r == OK)
		r = file_sync(f, why);
	file_close(&f);
	return r;
}

enum result file_replace(struct file_system *fs, const char *name, unsigned flags,
                         struct bytes data, struct why *why)
{
	struct arena arena = {0};
	size_t slash = bytes_find_last(bytes_of_text(name), '/');
	const char *folder = slash == BYTES_NONE ? "." : arena_text(&arena, bytes_of(name, slash));
	const char *temporary = arena_printf(&arena, "%s.new%c", name, 0).ptr;
	enum result r = write_new(fs, temporary, flags, data, why);

	if (r == OK)
		r = file_rename(fs, temporary, name, why);
	else
		(void)file_remove(fs, temporary, NULL);
	if (r == OK)
		r = file_directory_sync(fs, folder, why);
	arena_done(&arena);
	return r;
}
