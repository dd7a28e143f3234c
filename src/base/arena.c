#include "base/arena.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/memory.h"

enum { CHUNK = 1024, ALIGN = 16 };

/* The newest chunk is at the head; only it has room. */
struct arena_chunk {
	struct arena_chunk *older;
	size_t size, used;
	char data[] __attribute__((aligned(16)));
};

static struct arena_chunk *add_chunk(struct arena *a, size_t at_least)
{
	size_t size = a->chunks ? a->chunks->size * 2 : CHUNK;
	struct arena_chunk *c;

	if (size > 64 * CHUNK)
		size = 64 * CHUNK;
	if (size < at_least)
		size = at_least;
	c = memory_resize(NULL, sizeof(*c) + size);
	c->size = size;
	c->used = 0;
	c->older = a->chunks;
	a->chunks = c;
	return c;
}

void *arena_get(struct arena *a, size_t size)
{
	size_t rounded = (size + ALIGN - 1) & ~(size_t)(ALIGN - 1);
	struct arena_chunk *c = a->chunks;
	void *ptr;

	if (!c || c->size - c->used < rounded)
		c = add_chunk(a, rounded);
	ptr = c->data + c->used;
	c->used += rounded;
	a->total += rounded;
	return memset(ptr, 0, rounded);
}

struct bytes arena_copy(struct arena *a, struct bytes b)
{
	return b.len ? bytes_of(memcpy(arena_get(a, b.len), b.ptr, b.len), b.len)
	             : (struct bytes){0};
}

char *arena_text(struct arena *a, struct bytes b)
{
	char *text = arena_get(a, b.len + 1);

	if (b.len)
		memcpy(text, b.ptr, b.len);
	return text;
}

struct bytes arena_printf(struct arena *a, const char *format, ...)
{
	va_list args, again;
	char *text;
	int len;

	va_start(args, format);
	va_copy(again, args);
	len = vsnprintf(NULL, 0, format, args);
	va_end(args);
	text = arena_get(a, (size_t)len + 1);
	vsnprintf(text, (size_t)len + 1, format, again);
	va_end(again);
	return bytes_of(text, (size_t)len);
}

static void drop_older(struct arena_chunk *c)
{
	while (c) {
		struct arena_chunk *older = c->older;

		memory_free(c);
		c = older;
	}
}

void arena_reset(struct arena *a)
{
	struct arena_chunk *c = a->chunks;

	a->total = 0;
	if (!c)
		return;
	if (c->size > 4 * CHUNK) {
		arena_done(a);
		return;
	}
	drop_older(c->older);
	c->older = NULL;
	c->used = 0;
}

void arena_done(struct arena *a)
{
	drop_older(a->chunks);
	*a = (struct arena){0};
}
