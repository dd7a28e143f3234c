/* SQLite's files over sys/file.h. Locks and the WAL's shared memory are this process's own:
 * nobody else opens the index (the instance's lock sees to that). */
#ifndef DB_VFS_H
#define DB_VFS_H

#include "sys/file.h"

struct sqlite3_vfs;

/* The VFS for fs; vfs_release when its connection is closed. */
struct sqlite3_vfs *vfs_get(struct file_system *fs);
void vfs_release(struct sqlite3_vfs *v);

/* Has this database a writing connection? */
bool vfs_written(struct sqlite3_vfs *v, const char *name);

/* Did a write fail that SQLite could not be told of? */
bool vfs_failed(struct sqlite3_vfs *v);

#endif
