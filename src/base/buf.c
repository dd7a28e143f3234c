#include "base/buf.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/memory.h"

enum { SMALLEST = 256 };

/* Room at the end: by moving the rest to the front when at least half is used up (so that moving
 * costs no more than the octets that went through), else by doubling. */
char *buf_room(struct buf *b, size_t n)
{
	size_t len = buf_len(b), size = b->size ? b->size : SMALLEST;

	if (b->ptr && b->size - b->end >= n)
		return b->ptr + b->end;
	if (b->start > 0)
		memmove(b->ptr, b->ptr + b->start, len);
	if (b->start < len || b->size - len < n) {
		while (size < len + n || size == b->size)
			size *= 2;
		b->ptr = memory_resize(b->ptr, size);
		b->size = size;
	}
	b->start = 0;
	b->end = len;
	return b->ptr + b->end;
}

void buf_added(struct buf *b, size_t n)
{
	assert(n <= b->size - b->end);
	b->end += n;
}

void buf_append(struct buf *b, struct bytes data)
{
	if (data.len == 0)
		return;
	memcpy(buf_room(b, data.len), data.ptr, data.len);
	b->end += data.len;
}

void buf_append_text(struct buf *b, const char *text)
{
	buf_append(b, bytes_of_text(text));
}

void buf_append_char(struct buf *b, char c)
{
	*buf_room(b, 1) = c;
	b->end++;
}

void buf_printf(struct buf *b, const char *format, ...)
{
	va_list args, again;
	int len;

	va_start(args, format);
	va_copy(again, args);
	len = vsnprintf(NULL, 0, format, args);
	va_end(args);
	assert(len >= 0);
	vsnprintf(buf_room(b, (size_t)len + 1), (size_t)len + 1, format, again);
	va_end(again);
	b->end += (size_t)len;
}

static void number(struct buf *b, uint64_t v, int octets)
{
	char *at = buf_room(b, (size_t)octets);

	for (int i = octets - 1; i >= 0; i--, v >>= 8)
		at[i] = (char)(v & 0xff);
	b->end += (size_t)octets;
}

void buf_u8(struct buf *b, uint8_t v)
{
	number(b, v, 1);
}

void buf_u16(struct buf *b, uint16_t v)
{
	number(b, v, 2);
}

void buf_u32(struct buf *b, uint32_t v)
{
	number(b, v, 4);
}

void buf_u64(struct buf *b, uint64_t v)
{
	number(b, v, 8);
}

void buf_block(struct buf *b, struct bytes data)
{
	assert(data.len <= UINT32_MAX);
	buf_u32(b, (uint32_t)data.len);
	buf_append(b, data);
}

void buf_consume(struct buf *b, size_t n)
{
	assert(n <= buf_len(b));
	b->start += n;
	if (b->start == b->end)
		b->start = b->end = 0;
}

void buf_truncate(struct buf *b, size_t len)
{
	assert(len <= buf_len(b));
	b->end = b->start + len;
}

void buf_clear(struct buf *b)
{
	b->start = b->end = 0;
}

void buf_done(struct buf *b)
{
	memory_free(b->ptr);
	*b = (struct buf){0};
}
