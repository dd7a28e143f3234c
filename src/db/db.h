/* The index: tables derived from the log's effects, made to be lost and rebuilt.
 *
 *	db_open(fs, "index.db", DB_WRITE, &db, &why);
 *	db_run(db, "CREATE TABLE ...", &why);
 *	q = db_query(db, "SELECT flags FROM placement WHERE mailbox=? AND uid>?");   prepared once, kept
 *	db_bind(q, "uu", mailbox, uid);
 *	while (db_next(q)) flags = db_u64(q, 0);
 *
 * SQLite behind it, on a VFS of our own over sys/file.h (db/vfs.c), in WAL mode with
 * synchronous=NORMAL: a commit syncs nothing, because the log was synced before. One connection
 * writes and checkpoints; others read (a second checkpointing connection can corrupt a WAL
 * database before SQLite 3.51.3). All connections are in one process.
 *
 * Everything that fails here after the start ends the store (the index is rebuilt or replayed),
 * so errors are sticky: test db_failed() once a group. */
#ifndef DB_DB_H
#define DB_DB_H

#include "base/arena.h"
#include "sys/file.h"

enum db_mode { DB_READ, DB_WRITE };

struct db;
struct db_query; /* belongs to its db */

/* DB_WRITE makes it when missing, once per file at a time (EXISTS otherwise); DB_READ needs a
 * writer to be there. DAMAGED: not a database. */
enum result db_open(struct file_system *fs, const char *name, enum db_mode mode, struct db **ret,
                    struct why *why) MUST_USE;
void db_free(struct db **db);
/* Removes the file and its log. No connection may be open. */
enum result db_remove(struct file_system *fs, const char *name, struct why *why) MUST_USE;

/* Several statements; at start only. */
enum result db_run(struct db *db, const char *sql, struct why *why) MUST_USE;

void db_begin(struct db *db);
enum result db_commit(struct db *db, struct why *why) MUST_USE; /* DISK_FULL, DAMAGED, FAILED */
void db_rollback(struct db *db);
/* OK, or what failed first since the last rollback. */
enum result db_failed(const struct db *db, struct why *why);

/* Moves the WAL into the database and syncs both. UNAVAILABLE: readers are in the way of some of
 * it; what could be moved is. A commit never does this by itself. */
enum result db_checkpoint(struct db *db, struct why *why) MUST_USE;
uint64_t db_wal_pages(const struct db *db); /* how much there is to move */

/* sql is a string literal: its address is the key. Never NULL; a statement that does not prepare
 * is our bug. */
struct db_query *db_query(struct db *db, const char *sql);
/* Binds all and rewinds. u: uint64_t (below 2^63), i: int64_t, b: struct bytes (good until the
 * next bind), n: NULL. */
void db_bind(struct db_query *q, const char *types, ...);
bool db_next(struct db_query *q);    /* a row; after the last one the query is rewound */
void db_execute(struct db_query *q); /* to its end */
void db_end(struct db_query *q);     /* rewinds early */
uint64_t db_u64(struct db_query *q, int column);
int64_t db_i64(struct db_query *q, int column);
struct bytes db_bytes(struct db_query *q, int column); /* good until the next step */
uint64_t db_changes(struct db *db);                    /* rows that the last statement changed */

/* A read transaction: one state for several queries. */
void db_snapshot(struct db *db);
void db_snapshot_end(struct db *db);

/* SQLite's own PRAGMA integrity_check: "ok" or its first complaint. */
enum result db_check(struct db *db, struct why *why) MUST_USE;

#endif
