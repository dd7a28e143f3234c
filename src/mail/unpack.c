#include "mail/unpack.h"

#include <archive.h>
#include <archive_entry.h>

enum { STEP = 64 * 1024 };

enum unpack_kind unpack_kind(struct bytes in)
{
	if (bytes_starts(in, bytes_of("\x1f\x8b", 2)))
		return UNPACK_GZIP;
	return bytes_starts(in, bytes_of("PK\x03\x04", 4)) ? UNPACK_ZIP : UNPACK_PLAIN;
}

static enum result broken(struct archive *a, struct why *why)
{
	const char *said = archive_error_string(a);

	return why_set(why, INVALID, "the archive is broken: %s", said ? said : "unknown");
}

static enum result read_data(struct archive *a, size_t max, struct buf *out, struct why *why)
{
	size_t had = buf_len(out);

	for (;;) {
		ssize_t n = archive_read_data(a, buf_room(out, STEP), STEP);

		if (n < 0)
			return broken(a, why);
		buf_added(out, (size_t)n);
		if (buf_len(out) - had > max)
			return why_set(why, TOO_BIG, "more than %zu octets are packed in it", max);
		if (n == 0)
			return OK;
	}
}

static enum result read_entries(struct archive *a, size_t max, struct buf *out, struct why *why)
{
	size_t had = buf_len(out);
	struct archive_entry *e;

	for (int i = 0; i < UNPACK_ENTRIES; i++) {
		int status = archive_read_next_header(a, &e);
		enum result r;

		if (status == ARCHIVE_EOF)
			break;
		if (status != ARCHIVE_OK && status != ARCHIVE_WARN)
			return broken(a, why);
		if (archive_entry_is_encrypted(e))
			return why_set(why, INVALID, "what is packed is encrypted");
		r = read_data(a, max, out, why);
		if (r != OK || buf_len(out) > had)
			return r;
	}
	return why_set(why, INVALID, "nothing is packed in it");
}

/* Exactly one layer: filters that libarchive would find by itself could be stacked without end. */
static bool choose(struct archive *a, enum unpack_kind kind)
{
	if (kind == UNPACK_GZIP)
		return archive_read_support_format_raw(a) == ARCHIVE_OK &&
		       archive_read_append_filter(a, ARCHIVE_FILTER_GZIP) == ARCHIVE_OK;
	return archive_read_support_format_zip_seekable(a) == ARCHIVE_OK &&
	       archive_read_support_format_zip_streamable(a) == ARCHIVE_OK;
}

enum result unpack_one(struct bytes in, size_t max, struct buf *out, struct why *why)
{
	enum unpack_kind kind = unpack_kind(in);
	struct archive *a;
	enum result r;

	if (kind == UNPACK_PLAIN) {
		if (in.len > max)
			return why_set(why, TOO_BIG, "more than %zu octets", max);
		buf_append(out, in);
		return OK;
	}
	a = archive_read_new();
	if (!a)
		return why_set(why, FAILED, "no memory for an archive");
	if (choose(a, kind) && archive_read_open_memory(a, in.ptr, in.len) == ARCHIVE_OK)
		r = read_entries(a, max, out, why);
	else
		r = broken(a, why);
	archive_read_free(a);
	return r;
}
