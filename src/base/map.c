#include "base/map.h"

#include "base/memory.h"

/* Set once at start, before any thread; the only process-wide state in base. */
static uint64_t seed[2] = {0x736f6d6570736575, 0x646f72616e646f6d};

void map_seed(const uint8_t key[16])
{
	memcpy(seed, key, sizeof(seed));
}

static inline uint64_t rotate(uint64_t v, int by)
{
	return v << by | v >> (64 - by);
}

static inline void sip_round(uint64_t v[4])
{
	v[0] += v[1];
	v[1] = rotate(v[1], 13) ^ v[0];
	v[0] = rotate(v[0], 32);
	v[2] += v[3];
	v[3] = rotate(v[3], 16) ^ v[2];
	v[0] += v[3];
	v[3] = rotate(v[3], 21) ^ v[0];
	v[2] += v[1];
	v[1] = rotate(v[1], 17) ^ v[2];
	v[2] = rotate(v[2], 32);
}

/* SipHash-1-3: one round a word, three to finish. */
uint64_t map_hash(struct bytes key)
{
	uint64_t v[4] = {seed[0] ^ 0x736f6d6570736575, seed[1] ^ 0x646f72616e646f6d,
	                 seed[0] ^ 0x6c7967656e657261, seed[1] ^ 0x7465646279746573};
	uint64_t word, last = (uint64_t)key.len << 56;
	size_t i = 0;

	for (; i + 8 <= key.len; i += 8) {
		memcpy(&word, key.ptr + i, 8);
		v[3] ^= word;
		sip_round(v);
		v[0] ^= word;
	}
	for (int shift = 0; i < key.len; i++, shift += 8)
		last |= (uint64_t)(unsigned char)key.ptr[i] << shift;
	v[3] ^= last;
	sip_round(v);
	v[0] ^= last;
	v[2] ^= 0xff;
	for (int n = 0; n < 3; n++)
		sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

/* The place where the key is, or the free one where it would go (linear probing). */
static struct map_entry *place(const struct map *m, struct bytes key, uint32_t hash)
{
	for (size_t i = hash & (m->size - 1);; i = (i + 1) & (m->size - 1)) {
		struct map_entry *e = &m->entries[i];

		if (!e->value)
			return e;
		if (e->hash == hash && bytes_equal(bytes_of(e->key, e->key_len), key))
			return e;
	}
}

void *map_get(const struct map *m, struct bytes key)
{
	return m->size ? place(m, key, (uint32_t)map_hash(key))->value : NULL;
}

static struct map_entry *free_place(const struct map *m, uint32_t hash)
{
	size_t i = hash & (m->size - 1);

	while (m->entries[i].value)
		i = (i + 1) & (m->size - 1);
	return &m->entries[i];
}

static void grow(struct map *m)
{
	struct map bigger = {.size = m->size ? m->size * 2 : 16, .count = m->count};

	bigger.entries = memory_get(bigger.size * sizeof(*bigger.entries));
	for (size_t i = 0; i < m->size; i++)
		if (m->entries[i].value)
			*free_place(&bigger, m->entries[i].hash) = m->entries[i];
	memory_free(m->entries);
	*m = bigger;
}

void *map_put(struct map *m, struct bytes key, void *value)
{
	uint32_t hash = (uint32_t)map_hash(key);
	struct map_entry *e;
	void *old;

	if ((m->count + 1) * 4 > m->size * 3)
		grow(m);
	e = place(m, key, hash);
	old = e->value;
	e->value = value;
	if (old)
		return old;
	e->key = memory_resize(NULL, key.len);
	if (key.len)
		memcpy(e->key, key.ptr, key.len);
	e->key_len = (uint32_t)key.len;
	e->hash = hash;
	m->count++;
	return NULL;
}

/* Closes the gap: entries that follow without a free place between move up when they may stand
 * there. */
static void close_gap(struct map *m, size_t gap)
{
	size_t mask = m->size - 1;

	for (size_t i = (gap + 1) & mask; m->entries[i].value; i = (i + 1) & mask) {
		size_t home = m->entries[i].hash & mask;

		if (((i - home) & mask) < ((i - gap) & mask))
			continue;
		m->entries[gap] = m->entries[i];
		gap = i;
	}
	m->entries[gap] = (struct map_entry){0};
}

void *map_remove(struct map *m, struct bytes key)
{
	struct map_entry *e;
	void *old;

	if (!m->size)
		return NULL;
	e = place(m, key, (uint32_t)map_hash(key));
	old = e->value;
	if (!old)
		return NULL;
	memory_free(e->key);
	m->count--;
	close_gap(m, (size_t)(e - m->entries));
	return old;
}

void map_done(struct map *m)
{
	for (size_t i = 0; i < m->size; i++)
		if (m->entries[i].value)
			memory_free(m->entries[i].key);
	memory_free(m->entries);
	*m = (struct map){0};
}

void *map_get_u64(const struct map *m, uint64_t key)
{
	return map_get(m, bytes_of(&key, sizeof(key)));
}

void *map_put_u64(struct map *m, uint64_t key, void *value)
{
	return map_put(m, bytes_of(&key, sizeof(key)), value);
}

void *map_remove_u64(struct map *m, uint64_t key)
{
	return map_remove(m, bytes_of(&key, sizeof(key)));
}

struct map_entry *map_each(const struct map *m, size_t *at)
{
	while (*at < m->size) {
		struct map_entry *e = &m->entries[(*at)++];

		if (e->value)
			return e;
	}
	return NULL;
}
