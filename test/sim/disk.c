#include "disk.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/memory.h"

enum { SECTOR = 512 };

/* A write (data) or a truncation (data.ptr NULL: to offset) that is not yet synced. */
struct change {
	uint64_t offset;
	char *data;
	size_t len;
};

struct inode {
	struct inode *next; /* of the disk; never freed before it */
	struct buf now, durable;
	struct change *changes;
	size_t change_count, change_room;
	bool locked;
	uint64_t bad_from, bad_to; /* reads fail here */
};

/* A name. now or durable NULL: not there. */
struct entry {
	char *name;
	struct inode *now, *durable;
	bool folder_now, folder_durable;
};

/* A change of names in one folder: `to` gets inode (NULL: goes), and `from`, where there is one, goes. */
struct naming {
	char *folder;
	size_t to, from; /* entries; SIZE_MAX: none */
	struct inode *inode;
	bool is_folder;
};

struct disk {
	struct file_system files;
	uint64_t random;
	struct inode *inodes;
	struct entry *entries;
	size_t entry_count, entry_room;
	struct naming *namings;
	size_t naming_count, naming_room;
	uint64_t steps, cut_at, sync_fails_in, space;
	bool off, sync_failed;
	unsigned open_files;
};

struct handle {
	struct file file;
	struct disk *disk;
	struct inode *inode;
	bool write, locks;
	char name[128];
};

bool disk_trace;

static void trace(const struct disk *d, const char *what, const char *name, uint64_t offset,
                  uint64_t len)
{
	if (disk_trace)
		printf("# %llu %s %s %llu+%llu%s\n", (unsigned long long)d->steps, what, name,
		       (unsigned long long)offset, (unsigned long long)len,
		       d->off ? " power off" : "");
}

uint64_t disk_random(uint64_t *state)
{
	uint64_t z = (*state += 0x9e3779b97f4a7c15u); /* SplitMix64 */

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

static uint64_t below(struct disk *d, uint64_t n)
{
	return n ? disk_random(&d->random) % n : 0;
}

static char *copy_text(const char *text)
{
	size_t n = strlen(text) + 1;

	return memcpy(memory_get(n), text, n);
}

static struct disk *disk_of(struct file_system *fs)
{
	return (struct disk *)fs;
}

static enum result off(struct why *why)
{
	return why_set(why, FAILED, "the power is off");
}

/* One more step; false: this is where the power goes. */
static bool step(struct disk *d)
{
	if (d->off)
		return false;
	d->steps++;
	if (d->cut_at && d->steps >= d->cut_at)
		d->off = true;
	return !d->off;
}

/* ---- names ---- */

static struct entry *entry_find(struct disk *d, const char *name)
{
	for (size_t i = 0; i < d->entry_count; i++)
		if (!strcmp(d->entries[i].name, name))
			return &d->entries[i];
	return NULL;
}

static size_t entry_make(struct disk *d, const char *name)
{
	struct entry *e = entry_find(d, name);

	if (e)
		return (size_t)(e - d->entries);
	if (d->entry_count == d->entry_room) {
		d->entry_room = d->entry_room ? d->entry_room * 2 : 16;
		d->entries = memory_resize(d->entries, d->entry_room * sizeof(*e));
	}
	d->entries[d->entry_count] = (struct entry){.name = copy_text(name)};
	return d->entry_count++;
}

static bool is_there(const struct entry *e)
{
	return e && (e->now || e->folder_now);
}

static char *folder_of(const char *name)
{
	const char *slash = strrchr(name, '/');
	char *folder = copy_text(slash ? name : ".");

	if (slash)
		folder[slash - name] = 0;
	return folder;
}

static bool folder_there(struct disk *d, const char *name)
{
	char *folder = folder_of(name);
	struct entry *e = entry_find(d, folder);
	bool there = !strcmp(folder, ".") || (e && e->folder_now);

	memory_free(folder);
	return there;
}

static void name_now(struct disk *d, const struct naming *n)
{
	if (n->from != SIZE_MAX)
		d->entries[n->from].now = NULL;
	d->entries[n->to].now = n->inode;
	d->entries[n->to].folder_now = n->is_folder;
}

static void name_durably(struct disk *d, const struct naming *n)
{
	if (n->from != SIZE_MAX)
		d->entries[n->from].durable = NULL;
	d->entries[n->to].durable = n->inode;
	d->entries[n->to].folder_durable = n->is_folder;
}

static void rename_in(struct disk *d, size_t to, size_t from, struct inode *inode, bool is_folder)
{
	struct naming n = {folder_of(d->entries[to].name), to, from, inode, is_folder};

	if (d->naming_count == d->naming_room) {
		d->naming_room = d->naming_room ? d->naming_room * 2 : 16;
		d->namings = memory_resize(d->namings, d->naming_room * sizeof(n));
	}
	d->namings[d->naming_count++] = n;
	name_now(d, &n);
}

static void namings_forget(struct disk *d, const char *folder)
{
	size_t kept = 0;

	for (size_t i = 0; i < d->naming_count; i++) {
		if (folder && strcmp(d->namings[i].folder, folder))
			d->namings[kept++] = d->namings[i];
		else
			memory_free(d->namings[i].folder);
	}
	d->naming_count = kept;
}

/* ---- contents ---- */

static void buf_put(struct buf *b, uint64_t offset, const char *data, size_t len)
{
	while (buf_len(b) < offset)
		buf_append_char(b, 0);
	if (buf_len(b) < offset + len) {
		size_t grow = offset + len - buf_len(b);

		buf_room(b, grow);
		buf_added(b, grow);
	}
	if (len)
		memcpy(b->ptr + b->start + offset, data, len);
}

static void change_apply(struct buf *b, const struct change *c)
{
	if (c->data)
		buf_put(b, c->offset, c->data, c->len);
	else if (buf_len(b) > c->offset)
		buf_truncate(b, c->offset);
	else
		buf_put(b, c->offset, NULL, 0);
}

static void changes_forget(struct inode *n)
{
	for (size_t i = 0; i < n->change_count; i++)
		memory_free(n->changes[i].data);
	n->change_count = 0;
}

static void change_add(struct inode *n, struct change c)
{
	if (n->change_count == n->change_room) {
		n->change_room = n->change_room ? n->change_room * 2 : 16;
		n->changes = memory_resize(n->changes, n->change_room * sizeof(c));
	}
	n->changes[n->change_count++] = c;
	change_apply(&n->now, &c);
}

/* Some sectors of a write get through; what a grown file holds instead is zeros or garbage. */
static void change_tear(struct disk *d, struct buf *b, const struct change *c)
{
	uint64_t at = c->offset, end = c->offset + c->len;

	if (!c->data) {
		if (below(d, 2))
			change_apply(b, c);
		return;
	}
	while (at < end) {
		uint64_t stop = (at / SECTOR + 1) * SECTOR;
		size_t n = (size_t)((stop < end ? stop : end) - at);

		switch (below(d, 8)) {
		case 0:
			if (buf_len(b) < at + n) {
				char garbage[SECTOR];

				for (size_t i = 0; i < n; i++)
					garbage[i] = (char)disk_random(&d->random);
				buf_put(b, at, garbage, n);
			}
			break;
		case 1:
		case 2: break;
		default: buf_put(b, at, c->data + (at - c->offset), n);
		}
		at += n;
	}
}

/* What of the unsynced changes is on the disk after all. */
static void inode_survive(struct disk *d, struct inode *n)
{
	size_t whole = n->change_count;
	bool torn = false;

	switch (below(d, 5)) {
	case 0: whole = 0; break;
	case 1: break;
	case 2:
		whole = below(d, n->change_count + 1);
		torn = true;
		break;
	default: whole = 0; torn = true;
	}
	for (size_t i = 0; i < n->change_count; i++) {
		if (i < whole)
			change_apply(&n->durable, &n->changes[i]);
		else if (torn)
			change_tear(d, &n->durable, &n->changes[i]);
	}
	changes_forget(n);
}

static void inode_settle(struct inode *n)
{
	buf_clear(&n->now);
	buf_append(&n->now, buf_bytes(&n->durable));
	n->locked = false;
}

static struct inode *inode_new(struct disk *d)
{
	struct inode *n = NEW(struct inode);

	n->next = d->inodes;
	d->inodes = n;
	return n;
}

/* ---- file_ops ---- */

static enum result op_read(struct file *f, uint64_t offset, void *ptr, size_t len, size_t *ret_len,
                           struct why *why)
{
	struct handle *h = (struct handle *)f;
	struct bytes b = buf_bytes(&h->inode->now);

	if (h->disk->off)
		return off(why);
	b = offset < b.len ? bytes_first(bytes_skip(b, offset), len) : (struct bytes){0};
	if (offset < h->inode->bad_to && offset + b.len > h->inode->bad_from)
		return why_set(why, FAILED, "%s: Input/output error", h->name);
	if (b.len)
		memcpy(ptr, b.ptr, b.len);
	*ret_len = b.len;
	return OK;
}

uint64_t disk_used(const struct disk *d)
{
	uint64_t used = 0;

	for (size_t i = 0; i < d->entry_count; i++)
		if (d->entries[i].now)
			used += buf_len(&d->entries[i].now->now);
	return used;
}

static bool no_space(const struct handle *h, uint64_t end)
{
	uint64_t have = buf_len(&h->inode->now);

	return h->disk->space != UINT64_MAX && end > have &&
	       disk_used(h->disk) + (end - have) > h->disk->space;
}

static enum result op_write(struct file *f, uint64_t offset, struct bytes data, struct why *why)
{
	struct handle *h = (struct handle *)f;
	struct change c = {.offset = offset, .len = data.len};

	if (!h->write)
		return why_set(why, DENIED, "%s is open for reading", h->name);
	if (h->disk->off)
		return off(why);
	if (no_space(h, offset + data.len))
		return why_set(why, DISK_FULL, "%s: No space left on device", h->name);
	c.data = memory_get(data.len + 1);
	if (data.len)
		memcpy(c.data, data.ptr, data.len);
	change_add(h->inode,
	           c); /* even where the power goes just now, some of it may get through */
	return step(h->disk) ? OK : off(why);
}

static enum result op_sync(struct file *f, struct why *why)
{
	struct handle *h = (struct handle *)f;
	struct disk *d = h->disk;

	if (d->off || !step(d))
		return trace(d, "sync", h->name, 0, 0), off(why);
	trace(d, d->sync_fails_in == 1 ? "sync fails" : "sync", h->name, 0, 0);
	if (d->sync_fails_in && !--d->sync_fails_in) {
		d->sync_failed = true;
		inode_survive(d, h->inode);
		return why_set(why, FAILED, "%s: Input/output error", h->name);
	}
	for (size_t i = 0; i < h->inode->change_count; i++)
		change_apply(&h->inode->durable, &h->inode->changes[i]);
	changes_forget(h->inode);
	return OK;
}

static enum result op_size(struct file *f, uint64_t *ret, struct why *why)
{
	struct handle *h = (struct handle *)f;

	if (h->disk->off)
		return off(why);
	*ret = buf_len(&h->inode->now);
	return OK;
}

static enum result op_truncate(struct file *f, uint64_t size, struct why *why)
{
	struct handle *h = (struct handle *)f;

	if (h->disk->off)
		return off(why);
	if (no_space(h, size))
		return why_set(why, DISK_FULL, "%s: No space left on device", h->name);
	trace(h->disk, "truncate", h->name, size, 0);
	change_add(h->inode, (struct change){.offset = size});
	return step(h->disk) ? OK : off(why);
}

static enum result op_allocate(struct file *f, uint64_t offset, uint64_t len, struct why *why)
{
	struct handle *h = (struct handle *)f;

	if (h->disk->off)
		return off(why);
	return no_space(h, offset + len)
	               ? why_set(why, DISK_FULL, "%s: No space left on device", h->name)
	               : OK;
}

static void op_close(struct file *f)
{
	struct handle *h = (struct handle *)f;

	if (h->locks)
		h->inode->locked = false;
	h->disk->open_files--;
	memory_free(h);
}

static const struct file_ops file_ops = {
        .read = op_read,
        .write = op_write,
        .sync = op_sync,
        .size = op_size,
        .truncate = op_truncate,
        .allocate = op_allocate,
        .close = op_close,
};

/* ---- file_system_ops ---- */

static struct handle *handle_new(struct disk *d, struct inode *n, const char *name, bool write)
{
	struct handle *h = NEW(struct handle);

	h->file.ops = &file_ops;
	h->disk = d;
	h->inode = n;
	h->write = write;
	snprintf(h->name, sizeof(h->name), "%s", name);
	d->open_files++;
	return h;
}

static enum result fs_open(struct file_system *fs, const char *name, unsigned flags,
                           struct file **ret, struct why *why)
{
	struct disk *d = disk_of(fs);
	struct entry *e = entry_find(d, name);
	struct inode *n = e ? e->now : NULL;

	if (d->off)
		return off(why);
	if (n && flags & FILE_CREATE && flags & FILE_EXCLUSIVE)
		return why_set(why, EXISTS, "%s: File exists", name);
	if (!n && (!(flags & FILE_CREATE) || !folder_there(d, name)))
		return why_set(why, NOT_FOUND, "%s: No such file or directory", name);
	if (!n) {
		if (!step(d))
			return off(why);
		n = inode_new(d);
		rename_in(d, entry_make(d, name), SIZE_MAX, n, false);
	}
	if (flags & FILE_TRUNCATE && buf_len(&n->now)) {
		change_add(n, (struct change){0});
		if (!step(d))
			return off(why);
	}
	*ret = &handle_new(d, n, name, flags & FILE_WRITE)->file;
	return OK;
}

static enum result fs_open_unnamed(struct file_system *fs, const char *folder, struct file **ret,
                                   struct why *why)
{
	struct disk *d = disk_of(fs);

	if (d->off)
		return off(why);
	*ret = &handle_new(d, inode_new(d), "(unnamed)", true)->file;
	return OK;
}

static enum result fs_lock(struct file_system *fs, const char *name, struct file **ret,
                           struct why *why)
{
	struct handle *h;
	enum result r = fs_open(fs, name, FILE_WRITE | FILE_CREATE, ret, why);

	if (r != OK)
		return r;
	h = (struct handle *)*ret;
	if (h->inode->locked) {
		file_close(ret);
		return why_set(why, EXISTS, "%s is locked", name);
	}
	h->inode->locked = h->locks = true;
	return OK;
}

static enum result fs_rename(struct file_system *fs, const char *from, const char *to,
                             struct why *why)
{
	struct disk *d = disk_of(fs);
	struct entry *e = entry_find(d, from);
	struct inode *n = e ? e->now : NULL;

	if (d->off)
		return off(why);
	if (!n || !folder_there(d, to))
		return why_set(why, NOT_FOUND, "%s: No such file or directory", n ? to : from);
	if (!step(d))
		return off(why);
	trace(d, "rename", to, 0, 0);
	rename_in(d, entry_make(d, to), entry_make(d, from), n, false);
	return OK;
}

static enum result fs_remove(struct file_system *fs, const char *name, struct why *why)
{
	struct disk *d = disk_of(fs);
	struct entry *e = entry_find(d, name);

	if (d->off)
		return off(why);
	if (!is_there(e))
		return why_set(why, NOT_FOUND, "%s: No such file or directory", name);
	if (!step(d))
		return off(why);
	trace(d, "remove", name, 0, 0);
	rename_in(d, entry_make(d, name), SIZE_MAX, NULL, false);
	return OK;
}

/* The name within the folder, or NULL: it is not directly in it. */
static const char *name_in(const char *folder, const char *name)
{
	size_t n = strlen(folder);
	const char *rest = name;

	if (strcmp(folder, ".")) {
		if (strncmp(name, folder, n) || name[n] != '/')
			return NULL;
		rest = name + n + 1;
	}
	return strchr(rest, '/') ? NULL : rest;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static enum result fs_list(struct file_system *fs, const char *folder, struct arena *arena,
                           const char ***ret_names, size_t *ret_count, struct why *why)
{
	struct disk *d = disk_of(fs);
	struct entry *e = entry_find(d, folder);
	const char **names = arena_get(arena, (d->entry_count + 1) * sizeof(*names)), *in;
	size_t count = 0;

	if (d->off)
		return off(why);
	if (strcmp(folder, ".") && !(e && e->folder_now))
		return why_set(why, NOT_FOUND, "%s: No such file or directory", folder);
	for (size_t i = 0; i < d->entry_count; i++)
		if (is_there(&d->entries[i]) && (in = name_in(folder, d->entries[i].name)))
			names[count++] = arena_text(arena, bytes_of_text(in));
	qsort(names, count, sizeof(*names), compare_names);
	*ret_names = names;
	*ret_count = count;
	return OK;
}

static enum result fs_make_directory(struct file_system *fs, const char *name, struct why *why)
{
	struct disk *d = disk_of(fs);

	if (d->off)
		return off(why);
	if (is_there(entry_find(d, name)))
		return why_set(why, EXISTS, "%s: File exists", name);
	if (!step(d))
		return off(why);
	rename_in(d, entry_make(d, name), SIZE_MAX, NULL, true);
	return OK;
}

static enum result fs_directory_sync(struct file_system *fs, const char *name, struct why *why)
{
	struct disk *d = disk_of(fs);

	if (d->off || !step(d))
		return off(why);
	trace(d, "sync folder", name, 0, 0);
	for (size_t i = 0; i < d->naming_count; i++)
		if (!strcmp(d->namings[i].folder, name))
			name_durably(d, &d->namings[i]);
	namings_forget(d, name);
	return OK;
}

static enum result fs_space(struct file_system *fs, uint64_t *ret, struct why *why)
{
	struct disk *d = disk_of(fs);
	uint64_t used = disk_used(d);

	if (d->off)
		return off(why);
	*ret = d->space == UINT64_MAX ? (uint64_t)1 << 40 : d->space > used ? d->space - used : 0;
	return OK;
}

static void fs_free(struct file_system *fs)
{
	(void)fs; /* disk_free does it */
}

static const struct file_system_ops file_system_ops = {
        .open = fs_open,
        .open_unnamed = fs_open_unnamed,
        .lock = fs_lock,
        .rename = fs_rename,
        .remove = fs_remove,
        .list = fs_list,
        .make_directory = fs_make_directory,
        .directory_sync = fs_directory_sync,
        .space = fs_space,
        .free = fs_free,
};

/* ---- the disk ---- */

struct disk *disk_new(uint64_t seed)
{
	struct disk *d = NEW(struct disk);

	d->files.ops = &file_system_ops;
	d->random = seed;
	d->space = UINT64_MAX;
	return d;
}

void disk_free(struct disk **disk)
{
	struct disk *d = *disk;
	struct inode *next;

	for (struct inode *n = d->inodes; n; n = next) {
		next = n->next;
		changes_forget(n);
		memory_free(n->changes);
		buf_done(&n->now);
		buf_done(&n->durable);
		memory_free(n);
	}
	for (size_t i = 0; i < d->entry_count; i++)
		memory_free(d->entries[i].name);
	namings_forget(d, NULL);
	memory_free(d->entries);
	memory_free(d->namings);
	memory_free(d);
	*disk = NULL;
}

struct file_system *disk_files(struct disk *d)
{
	return &d->files;
}

uint64_t disk_steps(const struct disk *d)
{
	return d->steps;
}

void disk_cut_after(struct disk *d, uint64_t steps)
{
	d->cut_at = steps ? d->steps + steps : 0;
}

bool disk_is_off(const struct disk *d)
{
	return d->off;
}

bool disk_sync_failed(const struct disk *d)
{
	return d->sync_failed;
}

void disk_fail_sync_after(struct disk *d, uint64_t syncs)
{
	d->sync_fails_in = syncs;
}

void disk_set_space(struct disk *d, uint64_t octets)
{
	d->space = octets;
}

void disk_process_end(struct disk *d)
{
	for (struct inode *n = d->inodes; n; n = n->next)
		n->locked = false;
	d->sync_failed = false;
	d->sync_fails_in = 0;
	d->off = false;
	d->cut_at = 0;
}

/* Of the changes of names in a folder that was not synced: none, all, a prefix, or any. */
static void names_survive(struct disk *d)
{
	uint64_t way = below(d, 4), prefix = below(d, d->naming_count + 1);

	for (size_t i = 0; i < d->naming_count; i++)
		if (way == 1 || (way == 2 && i < prefix) || (way == 3 && below(d, 2)))
			name_durably(d, &d->namings[i]);
	namings_forget(d, NULL);
	for (size_t i = 0; i < d->entry_count; i++) {
		d->entries[i].now = d->entries[i].durable;
		d->entries[i].folder_now = d->entries[i].folder_durable;
	}
}

/* A file in a folder that is not there is not there either. */
static void drop_orphans(struct disk *d)
{
	for (size_t i = 0; i < d->entry_count; i++)
		if (is_there(&d->entries[i]) && !folder_there(d, d->entries[i].name)) {
			d->entries[i].now = d->entries[i].durable = NULL;
			d->entries[i].folder_now = d->entries[i].folder_durable = false;
		}
}

void disk_power_cycle(struct disk *d)
{
	trace(d, "power cycle", "", 0, 0);
	for (struct inode *n = d->inodes; n; n = n->next) {
		inode_survive(d, n);
		inode_settle(n);
	}
	names_survive(d);
	drop_orphans(d);
	disk_process_end(d);
}

bool disk_damage(struct disk *d, const char *name, uint64_t offset, size_t len)
{
	struct entry *e = entry_find(d, name);
	struct buf *both[2];

	if (!e || !e->now || buf_len(&e->now->now) < offset + len ||
	    buf_len(&e->now->durable) < offset + len)
		return false;
	both[0] = &e->now->now;
	both[1] = &e->now->durable;
	for (int k = 0; k < 2; k++)
		for (size_t i = 0; i < len; i++)
			both[k]->ptr[both[k]->start + offset + i] ^= (char)0x5a;
	return true;
}

void disk_fail_read(struct disk *d, const char *name, uint64_t offset, uint64_t len)
{
	struct entry *e = entry_find(d, name);

	for (struct inode *n = d->inodes; n && !len; n = n->next)
		n->bad_from = n->bad_to = 0;
	if (e && e->now && len) {
		e->now->bad_from = offset;
		e->now->bad_to = offset + len;
	}
}

void disk_save(struct disk *d, const char *folder)
{
	for (size_t i = 0; i < d->entry_count; i++) {
		const struct entry *e = &d->entries[i];
		char path[512];
		FILE *f;

		snprintf(path, sizeof(path), "%s/%s", folder, e->name);
		if (e->folder_now)
			mkdir(path, 0700);
		if (!e->now || !(f = fopen(path, "wb")))
			continue;
		if (buf_len(&e->now->now))
			fwrite(buf_bytes(&e->now->now).ptr, 1, buf_len(&e->now->now), f);
		fclose(f);
	}
}
