#include "roles/penalty.h"

#include "base/map.h"

static uint32_t failures_now(const struct penalty_slot *s, uint64_t key, time_ms now)
{
	uint64_t forgotten = now > s->last ? (uint64_t)(now - s->last) / PENALTY_FORGET_MS : 0;

	if (s->key != key || forgotten >= s->failures)
		return 0;
	return s->failures - (uint32_t)forgotten;
}

time_ms penalty_of(const struct penalties *p, struct bytes bytes, time_ms now, time_ms max_ms)
{
	uint64_t key = map_hash(bytes);
	uint32_t failures = failures_now(&p->slots[key % PENALTY_SLOTS], key, now);
	time_ms wait = PENALTY_FIRST_MS;

	if (failures < PENALTY_FREE)
		return 0;
	for (uint32_t i = PENALTY_FREE; i < failures && wait < max_ms; i++)
		wait *= 2;
	return wait < max_ms ? wait : max_ms;
}

void penalty_add(struct penalties *p, struct bytes bytes, time_ms now)
{
	uint64_t key = map_hash(bytes);
	struct penalty_slot *s = &p->slots[key % PENALTY_SLOTS];

	s->failures = failures_now(s, key, now) + 1;
	s->key = key;
	s->last = now;
}

void penalty_clear(struct penalties *p, struct bytes bytes)
{
	uint64_t key = map_hash(bytes);
	struct penalty_slot *s = &p->slots[key % PENALTY_SLOTS];

	if (s->key == key)
		s->failures = 0;
}
