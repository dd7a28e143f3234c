/* A disk that can lose power: sys/file.h over memory, with what is durable kept apart from what is not.
 *
 *	struct disk *d = disk_new(seed);
 *	store_open(disk_files(d), ...);
 *	disk_cut_after(d, 17);          the 17th write, sync or change of a folder from now is the last that is tried
 *	...                             everything after it fails with FAILED
 *	disk_power_cycle(d);            what survives: see below; all files must be closed
 *
 * What survives a cut, drawn from the seed:
 *  - a file's contents as of its last sync; of later writes nothing, all, a prefix, or any set of their 512-octet sectors,
 *    the rest of a grown file being zeros or garbage;
 *  - a folder's names as of its last directory_sync; of later changes a prefix, or any set, each whole. A rename within
 *    a folder is one change.
 * A sync that fails loses what was to be synced: some of it reached the disk, none of it will be tried again.
 * A process that merely dies loses nothing: disk_process_end().
 */
#ifndef TEST_SIM_DISK_H
#define TEST_SIM_DISK_H

#include "sys/file.h"

struct disk;

struct disk *disk_new(uint64_t seed);
void disk_free(struct disk **d);
struct file_system *disk_files(struct disk *d);

/* Writes, syncs, truncations and changes of folders so far. */
uint64_t disk_steps(const struct disk *d);

void disk_cut_after(struct disk *d, uint64_t steps); /* 0: never */
bool disk_is_off(const struct disk *d);
void disk_power_cycle(struct disk *d);
void disk_process_end(
        struct
        disk *d); /* forgets locks and files of a process that did not close them; the rest stays */

void disk_fail_sync_after(struct disk *d, uint64_t syncs); /* the nth from now; 0: none */
bool disk_sync_failed(const struct disk *d);
void disk_set_space(struct disk *d, uint64_t octets); /* UINT64_MAX: endless */
uint64_t disk_used(const struct disk *d);

/* Turns over octets of a file where they lie: what a bad sector does. False: no such place. */
bool disk_damage(struct disk *d, const char *name, uint64_t offset, size_t len);
/* Reads of this range of a file fail from now on; len 0: all work again. */
void disk_fail_read(struct disk *d, const char *name, uint64_t offset, uint64_t len);

extern bool disk_trace; /* tell each step on stdout */
/* Writes all files as they are now into a folder of the real disk, for a look. */
void disk_save(struct disk *d, const char *folder);

uint64_t disk_random(uint64_t *state);

#endif
