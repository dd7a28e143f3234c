/* Allocation that does not fail: when memory is gone the process ends with a message and master
 * starts it again. What a peer can make large is capped before it gets here (base/limits.h). */
#ifndef BASE_MEMORY_H
#define BASE_MEMORY_H

#include <stddef.h>

void *memory_get(size_t size) __attribute__((malloc, returns_nonnull)); /* zeroed */
void *memory_resize(void *ptr, size_t size)
        __attribute__((returns_nonnull)); /* new part not zeroed */
void memory_free(void *ptr);              /* NULL is fine */

/* Overwrites secrets in a way that the compiler keeps. */
void memory_wipe(void *ptr, size_t size);

#define NEW(type) ((type *)memory_get(sizeof(type)))

#endif
