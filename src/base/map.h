/* A hash table from octets to a pointer. Keys are copied; values are borrowed and never freed.
 *
 * The hash is SipHash-1-3 keyed by map_seed(), so that strangers who choose the keys cannot make
 * it slow. Not ordered. While walking with map_each, put and remove nothing (removal moves later
 * entries). */
#ifndef BASE_MAP_H
#define BASE_MAP_H

#include "base/bytes.h"

struct map_entry {
	char *key;
	uint32_t key_len;
	uint32_t hash;
	void *value; /* NULL: a free place */
};

struct map {
	struct map_entry *entries;
	size_t size; /* a power of two, or 0 */
	size_t count;
};

/* Sets the process's hash key, once, before the first map is used: 16 random octets. Optional in
 * tests. */
void map_seed(const uint8_t key[16]);
uint64_t map_hash(struct bytes key);

void *map_get(const struct map *m, struct bytes key); /* NULL: not there */
void *map_put(struct map *m, struct bytes key,
              void *value); /* value not NULL; returns the replaced value or NULL */
void *map_remove(struct map *m, struct bytes key); /* returns the removed value or NULL */
void map_done(struct map *m);

void *map_get_u64(const struct map *m, uint64_t key);
void *map_put_u64(struct map *m, uint64_t key, void *value);
void *map_remove_u64(struct map *m, uint64_t key);

/* for (size_t at = 0; (e = map_each(&m, &at)); ) ... */
struct map_entry *map_each(const struct map *m, size_t *at);

#endif
