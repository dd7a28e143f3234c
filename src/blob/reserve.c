/* Disk kept back. While there is little space, only urgent records are taken: results of sorting,
 * flags, expunges, so that people can read and tidy up. The file gives its space when that begins
 * and takes it again when enough has returned. */
#include "blob/internal.h"

enum {
	MARGIN = 8 * 1024 * 1024,    /* left for the index beside the log */
	LEAST = 1024 * 1024,         /* ... when the reserve is open */
	LOOK_EVERY = 4 * 1024 * 1024 /* octets taken before the disk is asked again */
};

void reserve_fill(struct blob_log *l)
{
	struct file *f;

	l->full = l->options.reserve != 0;
	if (!l->full)
		return;
	if (file_open(l->fs, "reserve", FILE_WRITE | FILE_CREATE, &f, NULL) != OK)
		return;
	if (file_allocate(f, 0, l->options.reserve, NULL) == OK)
		l->full = false;
	file_close(&f);
	if (l->full && file_remove(l->fs, "reserve", NULL) != OK)
		l->full = true; /* it is not there: the same */
}

/* False: there is none. */
bool reserve_open(struct blob_log *l)
{
	l->full = true;
	l->space_known = false;
	return l->options.reserve && file_remove(l->fs, "reserve", NULL) == OK;
}

static uint64_t space(struct blob_log *l)
{
	if (!l->space_known && file_space(l->fs, &l->space, NULL) != OK)
		l->space = UINT64_MAX / 4; /* it cannot say: then writing will */
	l->space_known = true;
	return l->space;
}

/* What the current segment has reserved counts as space for the log. */
static uint64_t segment_rest(const struct blob_log *l)
{
	return l->file && l->offset < l->options.segment_size ? l->options.segment_size - l->offset
	                                                      : 0;
}

static bool enough(struct blob_log *l, uint64_t octets, uint64_t margin)
{
	uint64_t rest = segment_rest(l), log = octets > rest ? octets : 0;

	return space(l) >= log + octets / 2 + margin;
}

enum result blob_log_room(struct blob_log *l, uint64_t octets, bool urgent, struct why *why)
{
	uint64_t taken = octets + octets / 2;

	if (l->full)
		l->space_known = false; /* it may have come back */
	if (l->full && enough(l, octets, l->options.reserve + 4 * (uint64_t)MARGIN)) {
		reserve_fill(l);
		l->space_known = false;
	}
	if (!l->full && !enough(l, octets, MARGIN))
		reserve_open(l);
	if (l->full && !urgent)
		return why_set(why, DISK_FULL, "the disk is full but for the reserve");
	if (l->full && !enough(l, octets, LEAST))
		return why_set(why, DISK_FULL, "the disk is full, the reserve too");
	l->space = l->space > taken ? l->space - taken : 0;
	if (octets > LOOK_EVERY)
		l->space_known = false;
	return OK;
}

bool blob_log_full(const struct blob_log *l)
{
	return l->full;
}
