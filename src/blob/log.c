/* The log as a whole: opening (what is beyond the index's position is replayed), appending,
 * syncing.
 *
 * At a start, with L the last segment:
 *	1. records beyond the position in segments before L were synced when the next one was opened:
 *	   replayed where they are;
 *	2. those in L may be in the page cache only (the process died, or its sync failed), except up to
 *	   the newest image, which was made of what was synced and names places there. They are
 *	   written again, with their LSN, into L + 1, which is synced, then its head, then the folder;
 *	   now they count and are replayed from there. The head says that L ends where they began,
 *	   since what is behind may never reach the disk;
 *	3. L is cut there, which gives back what was preallocated.
 * A crash anywhere in between leaves L as it was and a segment without a head, which is removed.
 * If there is nothing to write again, L + 1 is made with the first record that comes.
 *
 * Where nothing of L is kept, not even its head is known to be on the disk. Then L + 1 names the
 * segment before L, and L, if it is found again, is removed: a segment whose successor names one
 * before it never counted.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "sys/random.h"
#include "blob/internal.h"

/* ---- the table of segments ---- */

static void segment_add(struct blob_log *l, struct blob_segment s)
{
	pthread_mutex_lock(&l->lock);
	l->segments = memory_resize(l->segments, (l->segment_count + 1) * sizeof(s));
	l->segments[l->segment_count++] = s;
	pthread_mutex_unlock(&l->lock);
}

static bool parse_name(const char *name, size_t digits, uint64_t *ret)
{
	char *end;

	if (strlen(name) != digits || strspn(name, "0123456789abcdef") != digits)
		return false;
	*ret = strtoull(name, &end, 16);
	return true;
}

/* What opening knows of one segment. */
struct found {
	struct segment_head head;
	struct file *file;
	uint64_t end;              /* UINT64_MAX: the last one */
	bool headless, unreadable; /* unreadable: the disk did not give the head back */
};

struct opening {
	struct blob_log *log;
	struct arena arena;
	struct found *found;
	size_t count;
	struct blob_position position;
	uint64_t durable; /* LSN: up to it the log was synced, says the index or an image */
	blob_replay_function *replay;
	void *context;
	struct blob_report *report;
	bool check_only;
};

static enum result list_segments(struct opening *o, struct file_system *fs, struct why *why)
{
	const char **names;
	size_t count;
	uint64_t number;
	enum result result = file_list(fs, "log", &o->arena, &names, &count, why);

	if (result != OK)
		return result;
	o->found = arena_get(&o->arena, (count + 1) * sizeof(*o->found));
	for (size_t i = 0; i < count; i++) {
		struct found *f = &o->found[o->count];
		char name[SEGMENT_NAME];

		if (!parse_name(names[i], 8, &number) || number == 0)
			continue;
		segment_name(name, "log", number);
		if ((result = file_open(fs, name, 0, &f->file, why)) != OK)
			return result;
		o->count++;
		f->end = UINT64_MAX;
		result = segment_head_read(f->file, (uint32_t)number, &f->head, why);
		f->headless = result != OK;
		f->unreadable = result != OK && result != INVALID;
		f->head.number = (uint32_t)number;
	}
	return OK;
}

static void note_damage(struct blob_report *r, uint64_t count, const struct why *why)
{
	if (r->damaged == 0 && count)
		r->first_damage = *why;
	r->damaged += count;
}

/* A segment whose successor names one before it: what counted of it was written again there. */
static enum result drop_superseded(struct opening *o, struct file_system *fs, struct why *why)
{
	size_t first = o->count; /* what is kept gathers at the end */

	for (size_t i = o->count; i-- > 0;) {
		struct found *f = &o->found[i], *next = &o->found[first];
		char name[SEGMENT_NAME];
		enum result result;

		if (first == o->count || next->headless || next->head.previous >= f->head.number) {
			o->found[--first] = *f;
			continue;
		}
		file_close(&f->file);
		segment_name(name, "log", f->head.number);
		if (!o->check_only && (result = file_remove(fs, name, why)) != OK)
			return result;
	}
	o->count -= first;
	memmove(o->found, o->found + first, o->count * sizeof(*o->found));
	return OK;
}

/* A headless segment behind all others was never born; anywhere else it is damage, but its records
 * are looked at all the same. */
static enum result settle_segments(struct opening *o, struct file_system *fs, struct why *why)
{
	char name[SEGMENT_NAME];
	enum result result;

	while (o->count && o->found[o->count - 1].headless &&
	       o->found[o->count - 1].head.number > o->position.segment) {
		struct found *f = &o->found[--o->count];

		file_close(&f->file);
		if (f->unreadable && !o->check_only)
			return why_set(why, FAILED,
			               "log/%08x cannot be read, and may hold mail that counts",
			               f->head.number);
		segment_name(name, "log", f->head.number);
		if (!o->check_only && ((result = file_remove(fs, name, why)) != OK ||
		                       (result = file_directory_sync(fs, "log", why)) != OK))
			return result;
	}
	if ((result = drop_superseded(o, fs, why)) != OK)
		return result;
	for (size_t i = 0; i < o->count; i++) {
		struct found *f = &o->found[i], *next = f + 1;
		bool last = i + 1 == o->count;

		if (f->headless) {
			struct why w;

			why_set(&w, DAMAGED, "log/%08x: both copies of its head are damaged",
			        f->head.number);
			note_damage(o->report, 1, &w);
			f->head.first_lsn = 0;
		}
		if (!last && !next->headless && next->head.previous == f->head.number)
			f->end = next->head.previous_end;
		if (f->headless && !last && !next->headless)
			f->head.salt = next->head.previous_salt;
	}
	o->report->segments = (uint32_t)o->count;
	return OK;
}

static struct record_scan scan_begin(const struct opening *o, const struct found *f, bool last)
{
	bool here = f->head.number == o->position.segment;
	struct record_scan s = {.file = f->file,
	                        .segment = f->head.number,
	                        .salt = f->head.salt,
	                        .end = f->end,
	                        .last = last,
	                        .offset = here ? o->position.offset : SEGMENT_HEAD};

	s.lsn = here ? o->position.lsn : f->head.first_lsn ? f->head.first_lsn - 1 : 0;
	return s;
}

static void scan_finish(struct opening *o, struct record_scan *s)
{
	note_damage(o->report, s->damaged, &s->first_damage);
	o->report->torn += s->torn;
	record_scan_done(s);
}

static enum result give(struct opening *o, const struct record_view *v, uint32_t segment,
                        uint64_t offset, struct why *why)
{
	struct blob_record r = {
	        .lsn = v->head.lsn,
	        .group = v->head.group,
	        .effects = bytes_first(v->payload, v->head.effects),
	        .block = {segment, offset + RECORD_HEAD + v->head.effects,
	                  v->head.length - v->head.effects},
	        .after = {v->head.lsn, segment, offset + record_size(v->head.length)}};

	if (v->head.lsn <= o->position.lsn)
		return OK;
	if (!r.block.stored)
		r.block = (struct blob_place){0};
	o->report->records++;
	o->position = r.after;
	return o->replay(o->context, &r, why);
}

static void saw(struct blob_log *l, const struct record_view *v)
{
	if (v->head.lsn > l->lsn)
		l->lsn = v->head.lsn;
	if (v->head.group >= l->group)
		l->group = v->head.group + 1;
}

/* A segment that has a successor, or all of them when only checking. */
static enum result replay_in_place(struct opening *o, const struct found *f, bool last,
                                   struct why *why)
{
	struct record_scan s = scan_begin(o, f, last);
	struct record_view v;
	enum result result;

	while ((result = record_next(&s, &v, why)) == OK) {
		if (o->log)
			saw(o->log, &v);
		if ((result = give(o, &v, f->head.number, v.offset, why)) != OK)
			break;
	}
	scan_finish(o, &s);
	return result == NOT_FOUND ? OK : result;
}

/* ---- a new segment ---- */

static enum result write_head(struct blob_log *l, struct file *f, uint32_t number,
                              uint64_t first_lsn, struct why *why)
{
	struct segment_head h = {number,    l->last_segment, l->last_end,
	                         first_lsn, l->salt,         l->last_salt};
	struct buf b = {0};
	enum result result;

	segment_head_write(&h, &b);
	result = file_write(f, 0, buf_bytes(&b), why);
	buf_done(&b);
	if (result == OK)
		result = file_sync(f, why);
	if (result == OK)
		result = file_directory_sync(l->fs, "log", why);
	return result;
}

static enum result create(struct blob_log *l, uint32_t number, struct file **ret, struct why *why)
{
	char name[SEGMENT_NAME];
	enum result result;

	segment_name(name, "log", number);
	result = file_open(l->fs, name, FILE_WRITE | FILE_CREATE | FILE_EXCLUSIVE, ret, why);
	if (result != OK)
		return result;
	/* Where there is not that much left, blob_log_room has seen that there is enough for
	 * what comes. */
	result = file_allocate(*ret, 0, l->options.segment_size, why);
	if (result == OK || result == DISK_FULL)
		return OK;
	file_close(ret);
	if (file_remove(l->fs, name, NULL) != OK)
		return FAILED;
	return result;
}

static void become(struct blob_log *l, struct file *f, uint32_t number, uint64_t first_lsn)
{
	if (l->segment_count)
		l->segments[l->segment_count - 1].current = false;
	segment_add(l, (struct blob_segment){number, SEGMENT_HEAD, first_lsn, true});
	l->file = f;
	l->segment = l->last_number = number;
	l->offset = SEGMENT_HEAD;
}

/* The next segment, head synced. */
static enum result open_next(struct blob_log *l, struct why *why)
{
	uint32_t number = l->last_number + 1;
	struct file *f;
	enum result result = create(l, number, &f, why);

	l->salt = random_u64();

	if (result != OK)
		return result;
	if ((result = write_head(l, f, number, l->lsn + 1, why)) != OK) {
		file_close(&f);
		l->failed = true;
		return FAILED;
	}
	become(l, f, number, l->lsn + 1);
	return OK;
}

/* ---- the end of the last segment, written again ---- */

static enum result copy_records(struct opening *o, const struct found *last, struct file *to,
                                uint32_t number, uint64_t *ret_end, struct why *why)
{
	struct record_scan s = scan_begin(o, last, true);
	struct record_view v;
	struct buf b = {0};
	uint64_t at = SEGMENT_HEAD;
	enum result result;

	while ((result = record_next(&s, &v, why)) == OK) {
		struct record_head h = v.head;

		if (h.lsn <= o->position.lsn)
			continue;
		h.segment = number;
		h.salt = o->log->salt;
		buf_clear(&b);
		record_write(&h, bytes_first(v.payload, h.effects),
		             bytes_skip(v.payload, h.effects), &b);
		if ((result = file_write(to, at, buf_bytes(&b), why)) != OK)
			break;
		at += buf_len(&b);
		o->report->rewritten++;
	}
	buf_done(&b);
	record_scan_done(&s);
	*ret_end = at;
	return result == NOT_FOUND ? file_sync(to, why) : result;
}

/* Steps 2 and 3 of this file's head. */
static enum result rewrite_end(struct opening *o, const struct found *last, struct why *why)
{
	struct blob_log *l = o->log;
	uint32_t number = l->last_number + 1;
	uint64_t end = 0, first = o->position.lsn + 1;
	struct file *f;
	struct found again;
	enum result result = create(l, number, &f, why);

	l->salt = random_u64();

	if (result != OK)
		return result;
	result = copy_records(o, last, f, number, &end, why);
	if (result == OK)
		result = write_head(l, f, number, first, why);
	if (result != OK) {
		file_close(&f);
		return result;
	}
	become(l, f, number, first);
	again = (struct found){.head = {.number = number, .first_lsn = first, .salt = l->salt},
	                       .file = f,
	                       .end = end};
	result = replay_in_place(o, &again, false, why);
	l->offset = end;
	l->segments[l->segment_count - 1].size = end;
	return result;
}

/* How far the last segment is valid, and whether there is anything that may not be durable: then it
 * is kept up to there only. */
static bool measure_last(struct opening *o, const struct found *last)
{
	struct record_scan s = scan_begin(o, last, true);
	struct record_view v;
	uint64_t durable_end = s.offset;
	bool beyond = false;

	while (record_next(&s, &v, NULL) == OK) {
		saw(o->log, &v);
		if (v.head.lsn <= o->durable)
			durable_end = s.offset;
		else
			beyond = true;
	}
	o->log->last_end = beyond ? durable_end : s.offset;
	if (o->log->last_end <= SEGMENT_HEAD && !last->headless) {
		o->log->last_segment = last->head.previous;
		o->log->last_salt = last->head.previous_salt;
		o->log->last_end = last->head.previous_end;
	}
	scan_finish(o, &s);
	return beyond;
}

static enum result replay_durable(struct opening *o, const struct found *last, struct why *why)
{
	struct record_scan s = scan_begin(o, last, true);
	struct record_view v;
	enum result result = OK;

	while (result == OK && (result = record_next(&s, &v, why)) == OK &&
	       v.head.lsn <= o->durable)
		result = give(o, &v, last->head.number, v.offset, why);
	record_scan_done(&s);
	return result == NOT_FOUND ? OK : result;
}

/* The table's row of a segment of which nothing is kept. */
static void segment_forget(struct blob_log *l, uint32_t number)
{
	size_t kept = 0;

	pthread_mutex_lock(&l->lock);
	for (size_t i = 0; i < l->segment_count; i++) {
		if (l->segments[i].number != number)
			l->segments[kept++] = l->segments[i];
	}
	l->segment_count = kept;
	pthread_mutex_unlock(&l->lock);
}

static enum result cut_last(struct opening *o, const struct found *last, struct why *why)
{
	char name[SEGMENT_NAME];
	struct file *f;
	enum result result;

	segment_name(name, "log", last->head.number);
	if (o->log->last_segment != last->head.number) {
		segment_forget(o->log, last->head.number);
		return file_remove(o->log->fs, name, why);
	}
	if ((result = file_open(o->log->fs, name, FILE_WRITE, &f, why)) != OK)
		return result;
	result = file_truncate(f, o->log->last_end, why);
	file_close(&f);
	return result;
}

static enum result replay_all(struct opening *o, struct why *why)
{
	struct blob_log *l = o->log;
	enum result result = OK;

	l->last_number = o->position.segment; /* it may be gone, and is not used again */
	for (size_t i = 0; i < o->count; i++) {
		struct found *f = &o->found[i];
		uint64_t size = 0;
		bool last = i + 1 == o->count;

		if (i && f->head.previous && f->head.previous != f[-1].head.number &&
		    f[-1].head.number >= o->position.segment)
			o->report->missing++;
		if (i == 0 && f->head.previous && o->position.lsn == 0)
			o->report->missing++; /* all of the log is wanted */
		if ((result = file_size(f->file, &size, why)) != OK)
			return result;
		segment_add(l, (struct blob_segment){f->head.number,
		                                     f->end == UINT64_MAX ? size : f->end,
		                                     f->head.first_lsn, false});
		l->last_segment = f->head.number;
		l->last_salt = f->head.salt;
		if (l->last_number < f->head.number)
			l->last_number = f->head.number;
		if (f->head.number < o->position.segment && !last)
			continue;
		if (!last) {
			if ((result = replay_in_place(o, f, false, why)) != OK)
				return result;
			continue;
		}
		bool beyond = measure_last(o, f);

		l->segments[l->segment_count - 1].size = l->last_end;
		if ((result = replay_durable(o, f, why)) != OK ||
		    (beyond && (result = rewrite_end(o, f, why)) != OK))
			return result;
		result = cut_last(o, f, why);
	}
	return result;
}

static void opening_done(struct opening *o)
{
	for (size_t i = 0; i < o->count; i++)
		file_close(&o->found[i].file);
	arena_done(&o->arena);
}

static enum result make_folders(struct file_system *fs, struct why *why)
{
	static const char *const folders[] = {"log", "blob", "image"};
	bool made = false;

	for (size_t i = 0; i < sizeof(folders) / sizeof(*folders); i++) {
		enum result result = file_make_directory(fs, folders[i], why);

		if (result != OK && result != EXISTS)
			return result;
		made = made || result == OK;
	}
	return made ? file_directory_sync(fs, ".", why) : OK;
}

static enum result find_next_file(struct blob_log *l, struct why *why)
{
	struct arena arena = {0};
	uint64_t *numbers;
	size_t count;
	enum result result = blob_file_list(l, &arena, &numbers, &count, why);

	l->next_file = l->options.first_file + 1;
	if (result == OK && count && numbers[count - 1] >= l->next_file)
		l->next_file = numbers[count - 1] + 1;
	arena_done(&arena);
	return result;
}

enum result blob_log_open(struct file_system *fs, const struct blob_options *options,
                          const struct blob_position *from, blob_replay_function *replay,
                          void *context, struct blob_log **ret, struct blob_report *report,
                          struct why *why)
{
	struct blob_log *l = NEW(struct blob_log);
	struct opening o = {.log = l,
	                    .position = *from,
	                    .replay = replay,
	                    .context = context,
	                    .report = report};
	enum result result;

	*report = (struct blob_report){0};
	l->fs = fs;
	l->options = *options;
	o.durable = blob_image_newest(fs);
	if (o.durable < from->lsn)
		o.durable = from->lsn;
	l->lsn = from->lsn;
	l->group = 1;
	pthread_mutex_init(&l->lock, NULL);
	result = make_folders(fs, why);
	if (result == OK)
		result = list_segments(&o, fs, why);
	if (result == OK)
		result = settle_segments(&o, fs, why);
	if (result == OK)
		result = replay_all(&o, why);
	if (result == OK)
		result = find_next_file(l, why);
	opening_done(&o);
	if (result != OK) {
		blob_log_free(&l);
		return result;
	}
	if (l->segment) {
		l->last_segment = l->segment;
		l->last_salt = l->salt;
	}
	reserve_fill(l);
	*ret = l;
	return OK;
}

enum result blob_log_check(struct file_system *fs, blob_replay_function *each, void *context,
                           struct blob_report *report, struct why *why)
{
	struct opening o = {
	        .replay = each, .context = context, .report = report, .check_only = true};
	enum result result;

	*report = (struct blob_report){0};
	result = list_segments(&o, fs, why);
	if (result == OK)
		result = settle_segments(&o, fs, why);
	for (size_t i = 0; i < o.count && result == OK; i++) {
		struct found *f = &o.found[i];

		if (i && f->head.previous && f->head.previous != f[-1].head.number)
			report->missing++;
		result = replay_in_place(&o, f, i + 1 == o.count, why);
	}
	opening_done(&o);
	return result;
}

void blob_log_free(struct blob_log **log)
{
	struct blob_log *l = *log;
	struct map_entry *e;

	if (!l)
		return;
	if (l->file && !l->failed && !l->group_written &&
	    file_truncate(l->file, l->offset, NULL) != OK) /* gives back what was reserved */
		l->failed = true;
	for (size_t at = 0; (e = map_each(&l->handles, &at));) {
		struct segment_handle *h = e->value;

		file_close(&h->file);
		memory_free(h);
	}
	map_done(&l->handles);
	file_close(&l->file);
	buf_done(&l->group_buf);
	memory_free(l->segments);
	pthread_mutex_destroy(&l->lock);
	memory_free(l);
	*log = NULL;
}

/* ---- appending ---- */

static enum result flush(struct blob_log *l, struct why *why)
{
	enum result result;

	if (buf_len(&l->group_buf) == 0)
		return OK;
	result = file_write(l->file, l->offset, buf_bytes(&l->group_buf), why);
	if (result != OK) {
		l->failed = true;
		return result;
	}
	pthread_mutex_lock(&l->lock);
	l->offset += buf_len(&l->group_buf);
	l->octets += buf_len(&l->group_buf);
	buf_clear(&l->group_buf);
	l->group_written = true;
	l->segments[l->segment_count - 1].size = l->offset;
	pthread_mutex_unlock(&l->lock);
	return OK;
}

/* The segment is full: it is synced before the next one opens. */
static enum result roll(struct blob_log *l, struct why *why)
{
	enum result result;

	if (l->file) {
		if ((result = flush(l, why)) != OK)
			return result;
		if ((result = file_sync(l->file, why)) != OK) {
			l->failed = true;
			return FAILED;
		}
		l->last_segment = l->segment;
		l->last_salt = l->salt;
		l->last_end = l->offset;
	}
	struct file *old = l->file;

	if ((result = open_next(l, why)) != OK)
		return result;
	file_close(&old);
	return OK;
}

static bool fits(const struct blob_log *l, uint64_t octets)
{
	uint64_t used = l->offset + buf_len(&l->group_buf);

	return used == SEGMENT_HEAD || used + octets <= l->options.segment_size;
}

enum result blob_log_put(struct blob_log *l, struct bytes effects, struct bytes block,
                         struct blob_record *ret, struct why *why)
{
	uint64_t size = record_size(effects.len + block.len), offset;
	struct record_head h;
	enum result result;

	if (l->failed)
		return why_set(why, FAILED, "the log is at its end");
	if (effects.len + block.len > RECORD_MAX)
		return why_set(why, TOO_BIG, "a change of %zu octets is too much for one record",
		               effects.len);
	if ((!l->file || !fits(l, size)) && (result = roll(l, why)) != OK)
		return result;
	offset = l->offset + buf_len(&l->group_buf);
	h = (struct record_head){.segment = l->segment,
	                         .nth = l->nth++,
	                         .length = (uint32_t)(effects.len + block.len),
	                         .effects = (uint32_t)effects.len,
	                         .lsn = ++l->lsn,
	                         .salt = l->salt,
	                         .group = l->group};
	record_write(&h, effects, block, &l->group_buf);
	*ret = (struct blob_record){.lsn = h.lsn,
	                            .group = h.group,
	                            .effects = effects,
	                            .after = {h.lsn, l->segment, offset + size}};
	if (block.len)
		ret->block = (struct blob_place){l->segment, offset + RECORD_HEAD + effects.len,
		                                 block.len};
	return OK;
}

enum result blob_log_sync(struct blob_log *l, struct why *why)
{
	enum result result;

	if (l->failed)
		return why_set(why, FAILED, "the log is at its end");
	if (l->nth == 0)
		return OK;
	if ((result = flush(l, why)) != OK)
		return result;
	if (file_sync(l->file, why) != OK) {
		l->failed = true;
		return FAILED;
	}
	l->group++;
	l->nth = 0;
	l->group_written = false;
	l->space_known = false;
	return OK;
}

bool blob_log_drop(struct blob_log *l)
{
	if (l->group_written || l->failed)
		return false;
	l->lsn -= l->nth;
	l->nth = 0;
	buf_clear(&l->group_buf);
	l->space_known = false;
	return true;
}

struct blob_position blob_log_position(struct blob_log *l)
{
	return (struct blob_position){l->lsn, l->segment ? l->segment : l->last_segment,
	                              l->segment ? l->offset + buf_len(&l->group_buf)
	                                         : l->last_end};
}

uint64_t blob_log_octets(struct blob_log *l)
{
	uint64_t octets;

	pthread_mutex_lock(&l->lock);
	octets = l->octets;
	pthread_mutex_unlock(&l->lock);
	return octets;
}
