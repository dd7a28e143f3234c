/* The VFS. What is unusual:
 *
 *  - Locks (SQLite's five states) and the WAL index live in a struct node a file name, in this
 *    process; every connection is in this process.
 *  - Consecutive writes to a WAL are put together and go out in one call: SQLite writes a head of
 *    24 octets and a page for each frame. They go out before anybody may look: at the barrier
 *    between the two copies of the WAL index's head, and before any read, sync, size or truncation.
 *    A write that fails at the barrier cannot be reported there: it is remembered and the commit
 *    fails (vfs_failed).
 */
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/memory.h"
#include "db/vfs.h"
#include "sys/random.h"

enum { REGIONS_MAX = 1024, WAL_GATHER = 1024 * 1024, NAME_MAX_LEN = 256 };

struct vfs;

struct node {
	struct node *next;
	char *name;
	unsigned users;
	/* of the database file */
	unsigned writers;
	unsigned shared;
	struct vfs_file *reserved, *pending, *exclusive;
	struct vfs_file *writing; /* its WAL, as the writing connection has it open */
	/* of the WAL index */
	void *regions[REGIONS_MAX];
	int region_count;
	unsigned shm_users;
	unsigned shm_shared[SQLITE_SHM_NLOCK];
	struct vfs_file *shm_exclusive[SQLITE_SHM_NLOCK];
};

struct vfs_file {
	sqlite3_file base;
	struct vfs *vfs;
	struct node *node;
	struct file *file;
	int level;
	bool wal, mapped;
	bool writer;         /* a database file opened for writing */
	bool entered;        /* its name in the folder is durable */
	struct buf gathered; /* of a WAL: octets for `at` */
	uint64_t at;
};

struct vfs {
	sqlite3_vfs base;
	struct file_system *fs;
	struct vfs *next;
	unsigned users;
	bool failed;
	pthread_mutex_t lock; /* nodes, locks, regions */
	struct node *nodes;
	char name[40];
};

static pthread_mutex_t registry_lock = PTHREAD_MUTEX_INITIALIZER;
static struct vfs *registry; /* SQLite knows a VFS by name, process-wide */

static struct vfs_file *of(sqlite3_file *f)
{
	return (struct vfs_file *)f;
}

static int code_of(enum result r, int otherwise)
{
	return r == OK ? SQLITE_OK : r == DISK_FULL ? SQLITE_FULL : otherwise;
}

/* ---- contents ---- */

static enum result send_gathered(struct vfs_file *f)
{
	struct bytes data = buf_bytes(&f->gathered);
	enum result result;

	if (data.len == 0)
		return OK;
	result = file_write(f->file, f->at, data, NULL);
	f->at += data.len;
	buf_clear(&f->gathered);
	return result;
}

static int file_close_it(sqlite3_file *base)
{
	struct vfs_file *f = of(base);
	struct vfs *v = f->vfs;
	enum result result = send_gathered(f);

	pthread_mutex_lock(&v->lock);
	if (f->node && f->node->writing == f)
		f->node->writing = NULL;
	if (f->writer)
		f->node->writers--;
	if (f->node && --f->node->users == 0) {
		struct node **at = &v->nodes;

		while (*at != f->node)
			at = &(*at)->next;
		*at = f->node->next;
		for (int i = 0; i < f->node->region_count; i++)
			memory_free(f->node->regions[i]);
		memory_free(f->node->name);
		memory_free(f->node);
	}
	pthread_mutex_unlock(&v->lock);
	file_close(&f->file);
	buf_done(&f->gathered);
	return code_of(result, SQLITE_IOERR_CLOSE);
}

static int file_read_it(sqlite3_file *base, void *ptr, int len, sqlite3_int64 offset)
{
	struct vfs_file *f = of(base);
	size_t got = 0;

	if (send_gathered(f) != OK ||
	    file_read(f->file, (uint64_t)offset, ptr, (size_t)len, &got, NULL) != OK)
		return SQLITE_IOERR_READ;
	if (got == (size_t)len)
		return SQLITE_OK;
	memset((char *)ptr + got, 0, (size_t)len - got);
	return SQLITE_IOERR_SHORT_READ;
}

static int file_write_it(sqlite3_file *base, const void *ptr, int len, sqlite3_int64 offset)
{
	struct vfs_file *f = of(base);
	struct bytes data = bytes_of(ptr, (size_t)len);

	if (!f->wal)
		return code_of(file_write(f->file, (uint64_t)offset, data, NULL),
		               SQLITE_IOERR_WRITE);
	if (buf_len(&f->gathered) >= WAL_GATHER ||
	    (uint64_t)offset != f->at + buf_len(&f->gathered)) {
		enum result result = send_gathered(f);

		if (result != OK)
			return code_of(result, SQLITE_IOERR_WRITE);
		f->at = (uint64_t)offset;
	}
	buf_append(&f->gathered, data);
	f->node->writing = f; /* only the writing connection comes here */
	return SQLITE_OK;
}

static int file_truncate_it(sqlite3_file *base, sqlite3_int64 size)
{
	enum result result = send_gathered(of(base));

	if (result == OK)
		result = file_truncate(of(base)->file, (uint64_t)size, NULL);
	return code_of(result, SQLITE_IOERR_TRUNCATE);
}

static int file_sync_it(sqlite3_file *base, int flags)
{
	struct vfs_file *f = of(base);
	enum result result = send_gathered(f);

	(void)flags;
	if (result == OK)
		result = file_sync(f->file, NULL);
	/* A WAL whose name a power cut takes away repairs nothing. */
	if (result == OK && !f->entered)
		result = file_directory_sync(f->vfs->fs, ".", NULL);
	f->entered = f->entered || result == OK;
	if (result != OK)
		of(base)->vfs->failed = true;
	return code_of(result, SQLITE_IOERR_FSYNC);
}

static int file_size_it(sqlite3_file *base, sqlite3_int64 *ret)
{
	uint64_t size = 0;

	if (send_gathered(of(base)) != OK || file_size(of(base)->file, &size, NULL) != OK)
		return SQLITE_IOERR_FSTAT;
	*ret = (sqlite3_int64)size;
	return SQLITE_OK;
}

/* ---- locks of the database file ---- */

static int take_lock(struct vfs_file *f, int level)
{
	struct node *n = f->node;

	if (level == SQLITE_LOCK_SHARED) {
		if (n->pending || n->exclusive)
			return SQLITE_BUSY;
		n->shared++;
	} else if (level == SQLITE_LOCK_RESERVED) {
		if (n->reserved && n->reserved != f)
			return SQLITE_BUSY;
		n->reserved = f;
	} else {
		if ((n->reserved && n->reserved != f) || (n->pending && n->pending != f))
			return SQLITE_BUSY;
		n->pending = f;
		if (n->shared > 1) {
			f->level = SQLITE_LOCK_PENDING;
			return SQLITE_BUSY;
		}
		n->exclusive = f;
	}
	f->level = level;
	return SQLITE_OK;
}

static int file_lock_it(sqlite3_file *base, int level)
{
	struct vfs_file *f = of(base);
	int code = SQLITE_OK;

	if (!f->node || f->level >= level)
		return SQLITE_OK;
	pthread_mutex_lock(&f->vfs->lock);
	code = take_lock(f, level);
	pthread_mutex_unlock(&f->vfs->lock);
	return code;
}

static int file_unlock_it(sqlite3_file *base, int level)
{
	struct vfs_file *f = of(base);
	struct node *n = f->node;

	if (!n || f->level <= level)
		return SQLITE_OK;
	pthread_mutex_lock(&f->vfs->lock);
	if (n->reserved == f)
		n->reserved = NULL;
	if (n->pending == f)
		n->pending = NULL;
	if (n->exclusive == f)
		n->exclusive = NULL;
	if (level == SQLITE_LOCK_NONE)
		n->shared--;
	f->level = level;
	pthread_mutex_unlock(&f->vfs->lock);
	return SQLITE_OK;
}

static int file_reserved_it(sqlite3_file *base, int *ret)
{
	struct vfs_file *f = of(base);

	pthread_mutex_lock(&f->vfs->lock);
	*ret = f->node && f->node->reserved != NULL;
	pthread_mutex_unlock(&f->vfs->lock);
	return SQLITE_OK;
}

/* ---- the WAL index ---- */

static int shm_map(sqlite3_file *base, int nth, int size, int extend, void volatile **ret)
{
	struct vfs_file *f = of(base);
	struct node *n = f->node;
	int code = SQLITE_OK;

	*ret = NULL;
	if (nth >= REGIONS_MAX)
		return SQLITE_IOERR_SHMMAP;
	pthread_mutex_lock(&f->vfs->lock);
	if (!f->mapped)
		n->shm_users++;
	f->mapped = true;
	while (extend && n->region_count <= nth)
		n->regions[n->region_count++] = memory_get((size_t)size);
	if (nth < n->region_count)
		*ret = n->regions[nth];
	pthread_mutex_unlock(&f->vfs->lock);
	return code;
}

static bool shm_free_for(const struct vfs_file *f, int first, int count, bool exclusive)
{
	const struct node *n = f->node;

	for (int i = first; i < first + count; i++) {
		if (n->shm_exclusive[i] && n->shm_exclusive[i] != f)
			return false;
		if (exclusive && n->shm_shared[i] > 0)
			return false;
	}
	return true;
}

static int shm_lock(sqlite3_file *base, int first, int count, int flags)
{
	struct vfs_file *f = of(base);
	struct node *n = f->node;
	bool exclusive = flags & SQLITE_SHM_EXCLUSIVE, lock = flags & SQLITE_SHM_LOCK;
	int code = SQLITE_OK;

	pthread_mutex_lock(&f->vfs->lock);
	if (lock && !shm_free_for(f, first, count, exclusive))
		code = SQLITE_BUSY;
	for (int i = first; code == SQLITE_OK && i < first + count; i++) {
		if (exclusive)
			n->shm_exclusive[i] = lock ? f : NULL;
		else if (lock)
			n->shm_shared[i]++;
		else if (n->shm_shared[i])
			n->shm_shared[i]--;
	}
	pthread_mutex_unlock(&f->vfs->lock);
	return code;
}

/* Only the writing connection has anything gathered; others must not touch it. */
static void shm_barrier(sqlite3_file *base)
{
	struct vfs_file *f = of(base), *wal = f->writer ? f->node->writing : NULL;

	if (wal && send_gathered(wal) != OK)
		f->vfs->failed = true;
	__sync_synchronize();
}

static int shm_unmap(sqlite3_file *base, int delete)
{
	struct vfs_file *f = of(base);
	struct node *n = f->node;

	(void)delete;
	pthread_mutex_lock(&f->vfs->lock);
	if (f->mapped && --n->shm_users == 0) {
		for (int i = 0; i < n->region_count; i++)
			memory_free(n->regions[i]);
		n->region_count = 0;
	}
	f->mapped = false;
	pthread_mutex_unlock(&f->vfs->lock);
	return SQLITE_OK;
}

static int file_control_it(sqlite3_file *base, int op, void *arg)
{
	(void)base;
	(void)op;
	(void)arg;
	return SQLITE_NOTFOUND;
}

static int sector_size(sqlite3_file *base)
{
	(void)base;
	return 4096;
}

static int characteristics(sqlite3_file *base)
{
	(void)base;
	return 0;
}

static const sqlite3_io_methods methods = {
        .iVersion = 2,
        .xClose = file_close_it,
        .xRead = file_read_it,
        .xWrite = file_write_it,
        .xTruncate = file_truncate_it,
        .xSync = file_sync_it,
        .xFileSize = file_size_it,
        .xLock = file_lock_it,
        .xUnlock = file_unlock_it,
        .xCheckReservedLock = file_reserved_it,
        .xFileControl = file_control_it,
        .xSectorSize = sector_size,
        .xDeviceCharacteristics = characteristics,
        .xShmMap = shm_map,
        .xShmLock = shm_lock,
        .xShmBarrier = shm_barrier,
        .xShmUnmap = shm_unmap,
};

/* ---- names ---- */

/* A database and its WAL are one node. */
static struct node *node_of(struct vfs *v, struct bytes name)
{
	struct node *n;

	pthread_mutex_lock(&v->lock);
	for (n = v->nodes; n && !bytes_equal(bytes_of_text(n->name), name); n = n->next)
		;
	if (!n) {
		n = NEW(struct node);
		n->name = memory_get(name.len + 1);
		memcpy(n->name, name.ptr, name.len);
		n->next = v->nodes;
		v->nodes = n;
	}
	n->users++;
	pthread_mutex_unlock(&v->lock);
	return n;
}

static int vfs_open(sqlite3_vfs *base, const char *name, sqlite3_file *file, int flags,
                    int *ret_flags)
{
	struct vfs *v = base->pAppData;
	struct vfs_file *f = of(file);
	unsigned how = flags & SQLITE_OPEN_READWRITE ? FILE_WRITE : 0;
	enum result result;

	*f = (struct vfs_file){.vfs = v, .wal = flags & SQLITE_OPEN_WAL};
	if (flags & SQLITE_OPEN_CREATE)
		how |= FILE_CREATE;
	result = name ? file_open(v->fs, name, how, &f->file, NULL)
	              : file_open_unnamed(v->fs, ".", &f->file, NULL);
	if (result != OK)
		return SQLITE_CANTOPEN;
	if (name && flags & (SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_WAL))
		f->node = node_of(v, bytes_of(name, strlen(name) - (f->wal ? strlen("-wal") : 0)));
	f->writer = f->node && !f->wal && flags & SQLITE_OPEN_READWRITE;
	if (f->writer)
		f->node->writers++;
	f->base.pMethods = &methods;
	if (ret_flags)
		*ret_flags = flags;
	return SQLITE_OK;
}

static int vfs_delete(sqlite3_vfs *base, const char *name, int sync)
{
	struct vfs *v = base->pAppData;
	enum result result = file_remove(v->fs, name, NULL);

	if (result == NOT_FOUND)
		return SQLITE_IOERR_DELETE_NOENT;
	if (result == OK && sync)
		result = file_directory_sync(v->fs, ".", NULL);
	return result == OK ? SQLITE_OK : SQLITE_IOERR_DELETE;
}

static int vfs_access(sqlite3_vfs *base, const char *name, int flags, int *ret)
{
	struct vfs *v = base->pAppData;
	struct file *f;
	uint64_t size = 0;

	*ret = 0;
	if (file_open(v->fs, name, 0, &f, NULL) != OK)
		return SQLITE_OK;
	/* For SQLite an empty file is none (unixAccess). */
	*ret = flags != SQLITE_ACCESS_EXISTS || (file_size(f, &size, NULL) == OK && size > 0);
	file_close(&f);
	return SQLITE_OK;
}

static int vfs_full_name(sqlite3_vfs *base, const char *name, int size, char *ret)
{
	(void)base;
	snprintf(ret, (size_t)size, "%s", name);
	return SQLITE_OK;
}

static int vfs_random(sqlite3_vfs *base, int len, char *ret)
{
	(void)base;
	random_fill(ret, (size_t)len);
	return len;
}

static int vfs_sleep(sqlite3_vfs *base, int microseconds)
{
	struct timespec t = {microseconds / 1000000, (long)(microseconds % 1000000) * 1000};

	(void)base;
	nanosleep(&t, NULL);
	return microseconds;
}

/* SQLite asks only for date functions, which we do not use. */
static int vfs_time(sqlite3_vfs *base, double *ret)
{
	(void)base;
	*ret = 2440587.5;
	return SQLITE_OK;
}

struct sqlite3_vfs *vfs_get(struct file_system *fs)
{
	static unsigned number;
	struct vfs *v;

	pthread_mutex_lock(&registry_lock);
	for (v = registry; v && v->fs != fs; v = v->next)
		;
	if (!v) {
		v = NEW(struct vfs);
		v->fs = fs;
		pthread_mutex_init(&v->lock, NULL);
		snprintf(v->name, sizeof(v->name), "hikyaku-%u", ++number);
		v->base = (sqlite3_vfs){.iVersion = 1,
		                        .szOsFile = sizeof(struct vfs_file),
		                        .mxPathname = NAME_MAX_LEN,
		                        .zName = v->name,
		                        .pAppData = v,
		                        .xOpen = vfs_open,
		                        .xDelete = vfs_delete,
		                        .xAccess = vfs_access,
		                        .xFullPathname = vfs_full_name,
		                        .xRandomness = vfs_random,
		                        .xSleep = vfs_sleep,
		                        .xCurrentTime = vfs_time};
		sqlite3_vfs_register(&v->base, 0);
		v->next = registry;
		registry = v;
	}
	v->users++;
	pthread_mutex_unlock(&registry_lock);
	return &v->base;
}

void vfs_release(struct sqlite3_vfs *base)
{
	struct vfs *v = base->pAppData, **at = &registry;

	pthread_mutex_lock(&registry_lock);
	if (--v->users == 0) {
		while (*at != v)
			at = &(*at)->next;
		*at = v->next;
		sqlite3_vfs_unregister(&v->base);
		pthread_mutex_destroy(&v->lock);
		memory_free(v);
	}
	pthread_mutex_unlock(&registry_lock);
}

bool vfs_failed(struct sqlite3_vfs *base)
{
	return ((struct vfs *)base->pAppData)->failed;
}

bool vfs_written(struct sqlite3_vfs *base, const char *name)
{
	struct vfs *v = base->pAppData;
	bool found = false;

	pthread_mutex_lock(&v->lock);
	for (struct node *n = v->nodes; n; n = n->next)
		found = found || (n->writers && strcmp(n->name, name) == 0);
	pthread_mutex_unlock(&v->lock);
	return found;
}
