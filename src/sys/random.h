/* Random octets from the kernel (getrandom). Never fails: without randomness the process ends. */
#ifndef SYS_RANDOM_H
#define SYS_RANDOM_H

#include <stddef.h>
#include <stdint.h>

void random_fill(void *ptr, size_t len);
uint64_t random_u64(void);

#endif
