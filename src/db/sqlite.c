/* The index by SQLite. */
#include <assert.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/memory.h"
#include "db/db.h"
#include "db/vfs.h"

enum { QUERIES = 256, CACHE_WRITER_KIB = 32768, CACHE_READER_KIB = 8192, BUSY_MS = 10000 };

struct db_query {
	struct db *db;
	sqlite3_stmt *stmt;
	const char *sql;
};

struct db {
	sqlite3 *sqlite;
	struct sqlite3_vfs *vfs;
	enum db_mode mode;
	struct db_query queries[QUERIES]; /* open addressing by the literal's address */
	enum result failed;
	struct why why;
	uint64_t wal_pages; /* in the WAL after the last commit */
};

static enum result result_of(int code)
{
	switch (code & 0xff) {
	case SQLITE_OK:
	case SQLITE_ROW:
	case SQLITE_DONE: return OK;
	case SQLITE_FULL: return DISK_FULL;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB: return DAMAGED;
	case SQLITE_BUSY:
	case SQLITE_LOCKED: return UNAVAILABLE;
	default: return FAILED;
	}
}

/* Keeps the first failure. */
static enum result note(struct db *db, int code)
{
	enum result r = result_of(code);

	if (r != OK && db->failed == OK) {
		db->failed = r;
		why_set(&db->why, r, "index: %s (%d)", sqlite3_errmsg(db->sqlite),
		        sqlite3_extended_errcode(db->sqlite));
	}
	return r;
}

enum result db_run(struct db *db, const char *sql, struct why *why)
{
	int code = sqlite3_exec(db->sqlite, sql, NULL, NULL, NULL);

	if (code == SQLITE_OK)
		return OK;
	return why_set(why, result_of(code), "index: %s", sqlite3_errmsg(db->sqlite));
}

static int count_pages(void *context, sqlite3 *sqlite, const char *name, int pages)
{
	(void)sqlite;
	(void)name;
	((struct db *)context)->wal_pages = (uint64_t)pages;
	return SQLITE_OK;
}

static enum result configure(struct db *db, struct why *why)
{
	char sql[320];
	bool write = db->mode == DB_WRITE;

	sqlite3_busy_timeout(db->sqlite, BUSY_MS);
	sqlite3_extended_result_codes(db->sqlite, 1);
	snprintf(sql, sizeof(sql),
	         "PRAGMA temp_store=MEMORY; PRAGMA cache_size=-%d; %s PRAGMA foreign_keys=OFF;"
	         "PRAGMA synchronous=NORMAL; PRAGMA secure_delete=OFF; PRAGMA cell_size_check=ON;",
	         write ? CACHE_WRITER_KIB : CACHE_READER_KIB,
	         write ? "PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0;" : "");
	if (db_run(db, sql, why) != OK)
		return why_set(why, DAMAGED, "index: %s", sqlite3_errmsg(db->sqlite));
	if (write) /* after the PRAGMA: it replaces the hook */
		sqlite3_wal_hook(db->sqlite, count_pages, db);
	return OK;
}

enum result db_open(struct file_system *fs, const char *name, enum db_mode mode, struct db **ret,
                    struct why *why)
{
	struct db *db = NEW(struct db);
	int flags = SQLITE_OPEN_NOMUTEX |
	            (mode == DB_WRITE ? SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE
	                              : SQLITE_OPEN_READONLY);
	enum result result;
	int code;

	db->vfs = vfs_get(fs);
	db->mode = mode;
	if (mode == DB_WRITE && vfs_written(db->vfs, name)) {
		result = why_set(why, EXISTS, "%s has a writing connection already", name);
		goto failed;
	}
	code = sqlite3_open_v2(name, &db->sqlite, flags, db->vfs->zName);
	if (code != SQLITE_OK) {
		result = why_set(why, result_of(code), "%s: %s", name, sqlite3_errmsg(db->sqlite));
		goto failed;
	}
	if ((result = configure(db, why)) != OK)
		goto failed;
	*ret = db;
	return OK;
failed:
	db_free(&db);
	return result;
}

void db_free(struct db **dbp)
{
	struct db *db = *dbp;

	if (!db)
		return;
	for (int i = 0; i < QUERIES; i++)
		sqlite3_finalize(db->queries[i].stmt);
	sqlite3_close(db->sqlite);
	vfs_release(db->vfs);
	memory_free(db);
	*dbp = NULL;
}

enum result db_remove(struct file_system *fs, const char *name, struct why *why)
{
	char wal[128];
	enum result result;

	snprintf(wal, sizeof(wal), "%s-wal", name);
	result = file_remove(fs, name, why);
	if (result != OK && result != NOT_FOUND)
		return result;
	result = file_remove(fs, wal, why);
	if (result != OK && result != NOT_FOUND)
		return result;
	return file_directory_sync(fs, ".", why);
}

/* ---- transactions ---- */

void db_begin(struct db *db)
{
	db_execute(db_query(db, "BEGIN IMMEDIATE"));
}

enum result db_commit(struct db *db, struct why *why)
{
	if (db->failed == OK)
		db_execute(db_query(db, "COMMIT"));
	if (db->failed == OK && vfs_failed(db->vfs))
		db->failed = why_set(&db->why, FAILED, "index: its log could not be written");
	return db_failed(db, why);
}

void db_rollback(struct db *db)
{
	db->failed = OK;
	if (!sqlite3_get_autocommit(db->sqlite))
		db_execute(db_query(db, "ROLLBACK"));
	db->failed = OK;
}

enum result db_failed(const struct db *db, struct why *why)
{
	if (db->failed != OK && why)
		*why = db->why;
	return db->failed;
}

enum result db_checkpoint(struct db *db, struct why *why)
{
	int frames = 0, done = 0;
	int code = sqlite3_wal_checkpoint_v2(db->sqlite, NULL, SQLITE_CHECKPOINT_PASSIVE, &frames,
	                                     &done);

	if (code != SQLITE_OK)
		return why_set(why, result_of(code), "index: checkpoint: %s",
		               sqlite3_errmsg(db->sqlite));
	if (done < frames)
		return UNAVAILABLE;
	db->wal_pages = 0;
	return OK;
}

uint64_t db_wal_pages(const struct db *db)
{
	return db->wal_pages;
}

void db_snapshot(struct db *db)
{
	db_execute(db_query(db, "BEGIN"));
}

void db_snapshot_end(struct db *db)
{
	db_execute(db_query(db, "COMMIT"));
}

/* ---- statements ---- */

static void prepare(struct db *db, struct db_query *q, const char *sql)
{
	int code = sqlite3_prepare_v3(db->sqlite, sql, -1, SQLITE_PREPARE_PERSISTENT, &q->stmt,
	                              NULL);

	q->db = db;
	q->sql = sql;
	if (code != SQLITE_OK) {
		note(db, code);
		if ((code & 0xff) == SQLITE_ERROR)
			fprintf(stderr, "%s: %s\n", sql, sqlite3_errmsg(db->sqlite));
		assert((code & 0xff) != SQLITE_ERROR); /* our SQL is wrong */
	}
}

struct db_query *db_query(struct db *db, const char *sql)
{
	size_t at = ((uintptr_t)sql * 0x9e3779b97f4a7c15u >> 32) % QUERIES;

	for (int tries = 0; tries < QUERIES; tries++, at = (at + 1) % QUERIES) {
		struct db_query *q = &db->queries[at];

		if (q->sql == sql && q->stmt)
			return q;
		if (!q->sql || (q->sql == sql && !q->stmt)) {
			prepare(db, q, sql);
			return q;
		}
	}
	assert(!"more statements than QUERIES");
	return NULL;
}

void db_bind(struct db_query *q, const char *types, ...)
{
	va_list args;

	if (!q->stmt)
		return;
	sqlite3_reset(q->stmt);
	va_start(args, types);
	for (int i = 0; types[i]; i++) {
		struct bytes b;

		if (types[i] == 'u') {
			sqlite3_bind_int64(q->stmt, i + 1, (sqlite3_int64)va_arg(args, uint64_t));
		} else if (types[i] == 'i') {
			sqlite3_bind_int64(q->stmt, i + 1, va_arg(args, int64_t));
		} else if (types[i] == 'b') {
			b = va_arg(args, struct bytes);
			sqlite3_bind_blob64(q->stmt, i + 1, b.ptr ? b.ptr : "", b.len,
			                    SQLITE_STATIC);
		} else {
			sqlite3_bind_null(q->stmt, i + 1);
		}
	}
	va_end(args);
}

bool db_next(struct db_query *q)
{
	int code;

	if (!q->stmt)
		return false;
	code = sqlite3_step(q->stmt);
	if (code == SQLITE_ROW)
		return true;
	note(q->db, code);
	sqlite3_reset(q->stmt);
	return false;
}

void db_execute(struct db_query *q)
{
	while (db_next(q))
		;
}

void db_end(struct db_query *q)
{
	if (q->stmt)
		sqlite3_reset(q->stmt);
}

uint64_t db_u64(struct db_query *q, int column)
{
	return (uint64_t)sqlite3_column_int64(q->stmt, column);
}

int64_t db_i64(struct db_query *q, int column)
{
	return sqlite3_column_int64(q->stmt, column);
}

struct bytes db_bytes(struct db_query *q, int column)
{
	const void *ptr = sqlite3_column_blob(q->stmt, column);

	return bytes_of(ptr, (size_t)sqlite3_column_bytes(q->stmt, column));
}

uint64_t db_changes(struct db *db)
{
	return (uint64_t)sqlite3_changes64(db->sqlite);
}

enum result db_check(struct db *db, struct why *why)
{
	struct db_query *q = db_query(db, "PRAGMA integrity_check(1)");
	enum result result = OK;

	if (!db_next(q))
		return db_failed(db, why) == OK ? FAILED : DAMAGED;
	if (!bytes_equal(db_bytes(q, 0), BYTES("ok")))
		result = why_set(why, DAMAGED, "index: %.*s", BYTES_ARG(db_bytes(q, 0)));
	db_end(q);
	return result;
}
