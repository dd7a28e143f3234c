/* Files, as an ops table: the real file system, or the simulator's torn disk. blob/ and db/ use
 * nothing else.
 *
 *	struct file_system *fs = file_system_real_new(dirfd);
 *	if (file_open(fs, "segments/0001", FILE_WRITE | FILE_CREATE | FILE_EXCLUSIVE, &f, why) !=
 * OK) ... file_write(f, offset, bytes, why); file_sync(f, why); file_directory_sync(fs, "segments",
 * why);
 *
 * Names are relative to the file system's root folder, with /, without "..". Any thread may use a
 * file system; a file is used by one thread at a time, except file_read, which any number may call
 * at once. Results: OK, NOT_FOUND, EXISTS, DENIED, DISK_FULL, FAILED; why names the file and the
 * system's reason. Calls that were interrupted or cut short are carried on inside. */
#ifndef SYS_FILE_H
#define SYS_FILE_H

#include "base/arena.h"

enum file_flags {
	FILE_WRITE = 1 << 0,     /* reading and writing; without it reading only */
	FILE_CREATE = 1 << 1,    /* made (mode 0600) when missing */
	FILE_EXCLUSIVE = 1 << 2, /* with FILE_CREATE: EXISTS when it is there */
	FILE_TRUNCATE = 1 << 3,
	FILE_PUBLIC =
	        1
	        << 4, /* with FILE_CREATE: everybody may read it (mode 0644); configuration is no secret */
};

struct file {
	const struct file_ops *ops;
};

struct file_ops {
	/* Up to len octets; *ret_len is shorter only at the end of the file. */
	enum result (*read)(struct file *f, uint64_t offset, void *ptr, size_t len, size_t *ret_len,
	                    struct why *why);
	/* All or an error; after an error the file's contents in that range are unknown. */
	enum result (*write)(struct file *f, uint64_t offset, struct bytes data, struct why *why);
	/* fdatasync: contents and length are on the disk when OK. FAILED: never try again, nobody
	 * knows what is there. */
	enum result (*sync)(struct file *f, struct why *why);
	enum result (*size)(struct file *f, uint64_t *ret, struct why *why);
	enum result (*truncate)(struct file *f, uint64_t size, struct why *why);
	/* Reserves space beyond the end without changing the length (FALLOC_FL_KEEP_SIZE). */
	enum result (*allocate)(struct file *f, uint64_t offset, uint64_t len, struct why *why);
	void (*close)(struct file *f); /* frees f; does not sync; releases a lock */
};

struct file_system {
	const struct file_system_ops *ops;
};

struct file_system_ops {
	enum result (*open)(struct file_system *fs, const char *name, unsigned flags,
	                    struct file **ret, struct why *why);
	/* A file without a name in this folder: gone when closed, whatever happens. */
	enum result (*open_unnamed)(struct file_system *fs, const char *folder, struct file **ret,
	                            struct why *why);
	/* Makes the file if missing and locks it against every other process (and every other
	 * file_lock); EXISTS when somebody has it. Held until closed. */
	enum result (*lock)(struct file_system *fs, const char *name, struct file **ret,
	                    struct why *why);
	enum result (*rename)(struct file_system *fs, const char *from, const char *to,
	                      struct why *why); /* replaces to */
	enum result (*remove)(struct file_system *fs, const char *name, struct why *why);
	/* Names in a folder, sorted by octets, without . and .. */
	enum result (*list)(struct file_system *fs, const char *folder, struct arena *arena,
	                    const char ***ret_names, size_t *ret_count, struct why *why);
	enum result (*make_directory)(struct file_system *fs, const char *name,
	                              struct why *why); /* mode 0700; EXISTS */
	/* Makes creations, renames and removals in this folder durable. "." is the root folder. */
	enum result (*directory_sync)(struct file_system *fs, const char *name, struct why *why);
	/* Octets that may still be written here. */
	enum result (*space)(struct file_system *fs, uint64_t *ret, struct why *why);
	void (*free)(struct file_system *fs); /* all its files must be closed */
};

static inline enum result file_open(struct file_system *fs, const char *name, unsigned flags,
                                    struct file **ret, struct why *why)
{
	return fs->ops->open(fs, name, flags, ret, why);
}

static inline enum result file_open_unnamed(struct file_system *fs, const char *folder,
                                            struct file **ret, struct why *why)
{
	return fs->ops->open_unnamed(fs, folder, ret, why);
}

static inline enum result file_lock(struct file_system *fs, const char *name, struct file **ret,
                                    struct why *why)
{
	return fs->ops->lock(fs, name, ret, why);
}

static inline enum result file_rename(struct file_system *fs, const char *from, const char *to,
                                      struct why *why)
{
	return fs->ops->rename(fs, from, to, why);
}

static inline enum result file_remove(struct file_system *fs, const char *name, struct why *why)
{
	return fs->ops->remove(fs, name, why);
}

static inline enum result file_list(struct file_system *fs, const char *folder, struct arena *arena,
                                    const char ***ret_names, size_t *ret_count, struct why *why)
{
	return fs->ops->list(fs, folder, arena, ret_names, ret_count, why);
}

static inline enum result file_make_directory(struct file_system *fs, const char *name,
                                              struct why *why)
{
	return fs->ops->make_directory(fs, name, why);
}

static inline enum result file_directory_sync(struct file_system *fs, const char *name,
                                              struct why *why)
{
	return fs->ops->directory_sync(fs, name, why);
}

static inline enum result file_space(struct file_system *fs, uint64_t *ret, struct why *why)
{
	return fs->ops->space(fs, ret, why);
}

static inline enum result file_read(struct file *f, uint64_t offset, void *ptr, size_t len,
                                    size_t *ret_len, struct why *why)
{
	return f->ops->read(f, offset, ptr, len, ret_len, why);
}

static inline enum result file_write(struct file *f, uint64_t offset, struct bytes data,
                                     struct why *why)
{
	return f->ops->write(f, offset, data, why);
}

static inline enum result file_sync(struct file *f, struct why *why)
{
	return f->ops->sync(f, why);
}

static inline enum result file_size(struct file *f, uint64_t *ret, struct why *why)
{
	return f->ops->size(f, ret, why);
}

static inline enum result file_truncate(struct file *f, uint64_t size, struct why *why)
{
	return f->ops->truncate(f, size, why);
}

static inline enum result file_allocate(struct file *f, uint64_t offset, uint64_t len,
                                        struct why *why)
{
	return f->ops->allocate(f, offset, len, why);
}

static inline void file_close(struct file **f)
{
	if (*f)
		(*f)->ops->close(*f);
	*f = NULL;
}

/* The operating system's files below an open folder. dirfd is duplicated. Never NULL. */
struct file_system *file_system_real_new(int dirfd);
void file_system_free(struct file_system **fs);

/* ---- for whole small files: configuration, keys ---- */

#include "base/buf.h"

/* Appends the file's contents; TOO_BIG above max octets. */
enum result file_read_all(struct file_system *fs, const char *name, size_t max, struct buf *out,
                          struct why *why) MUST_USE;
/* Writes name.new, syncs, renames, syncs the folder: readers see the old file or the new one. flags: 0 or
 * FILE_PUBLIC. */
enum result file_replace(struct file_system *fs, const char *name, unsigned flags,
                         struct bytes data, struct why *why) MUST_USE;
static inline enum result file_write_all(struct file_system *fs, const char *name,
                                         struct bytes data, struct why *why)
{
	return file_replace(fs, name, 0, data, why);
}

#endif
