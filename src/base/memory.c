#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *or_die(void *ptr)
{
	if (ptr)
		return ptr;
	fputs("out of memory: this process ends and is started again\n", stderr);
	abort();
}

void *memory_get(size_t size)
{
	return or_die(calloc(1, size ? size : 1));
}

void *memory_resize(void *ptr, size_t size)
{
	return or_die(realloc(ptr, size ? size : 1));
}

void memory_free(void *ptr)
{
	free(ptr);
}

void memory_wipe(void *ptr, size_t size)
{
	if (size)
		explicit_bzero(ptr, size);
}
