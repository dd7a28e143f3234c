/* What JUDGED was told, until the mail's COMMIT names it: in memory, bounded, the oldest forgotten first. A judgement's number
 * is a time in milliseconds, so that it is new after every start; its short id says the number in letters. */
#include "store/life.h"
#include "store/escrow.h"

#include "base/text.h"

/* The first letter is none of a hexadecimal number's, and a digit always is among them: neither a queue id nor a word. */
static const char first_letters[] = "ghjkmnpqrstvwxyz";
static const char letters[] = "0123456789abcdefghjkmnpqrstvwxyz";

#define EPOCH_MS 1767225600000LL /* 2026-01-01 */
enum { NUMBER_BITS = 4 + 7 * 5 };

void judgement_id(uint64_t number, char out[JUDGEMENT_ID + 1])
{
	out[0] = first_letters[number >> 35 & 15];
	for (int i = 1; i < JUDGEMENT_ID; i++)
		out[i] = letters[number >> (35 - 5 * i) & 31];
	out[JUDGEMENT_ID] = '\0';
}

static int place_of(const char *list, char c)
{
	const char *at = c ? strchr(list, text_lower_char(c)) : NULL;

	return at ? (int)(at - list) : -1;
}

static bool has_digit(struct bytes text)
{
	for (size_t i = 0; i < text.len; i++) {
		if (text_is_digit(text.ptr[i]))
			return true;
	}
	return false;
}

bool judgement_of_id(struct bytes text, uint64_t *ret)
{
	uint64_t number;
	int digit;

	if (text.len != JUDGEMENT_ID || (digit = place_of(first_letters, text.ptr[0])) < 0)
		return false;
	number = (uint64_t)digit;
	for (size_t i = 1; i < text.len; i++) {
		if ((digit = place_of(letters, text.ptr[i])) < 0)
			return false;
		number = number << 5 | (uint64_t)digit;
	}
	if (number == 0 || !has_digit(text))
		return false;
	*ret = number;
	return true;
}

static uint64_t next_number(struct store *s)
{
	uint64_t number = (uint64_t)(s->now - EPOCH_MS) & ((1ULL << NUMBER_BITS) - 1);
	char id[JUDGEMENT_ID + 1];

	if (number <= s->judgements.last)
		number = s->judgements.last + 1;
	for (judgement_id(number, id); !has_digit(bytes_of_text(id)); judgement_id(number, id))
		number++;
	s->judgements.last = number;
	return number;
}

/* ---- in memory ---- */

struct kept {
	uint64_t number;
	struct buf data;
};

static void encode(struct buf *out, const struct judgement *j)
{
	buf_u64(out, (uint64_t)j->at);
	buf_u8(out, j->stage);
	buf_u8(out, j->action);
	buf_u16(out, j->score);
	buf_u32(out, j->known);
	buf_block(out, j->ip);
	buf_block(out, bytes_first(j->helo, LIMIT_DOMAIN));
	buf_block(out, bytes_first(j->ptr, LIMIT_DOMAIN));
	buf_block(out, bytes_first(j->sender, LIMIT_ADDRESS));
	buf_block(out, bytes_first(j->from, LIMIT_ADDRESS));
	buf_block(out, bytes_first(j->domain, LIMIT_DOMAIN));
	buf_block(out, j->evidence);
}

static bool decode(struct bytes data, struct judgement *ret)
{
	struct wire w = wire_of(data);

	ret->at = (int64_t)wire_u64(&w);
	ret->stage = wire_u8(&w);
	ret->action = wire_u8(&w);
	ret->score = wire_u16(&w);
	ret->known = wire_u32(&w);
	ret->ip = wire_block(&w);
	ret->helo = wire_block(&w);
	ret->ptr = wire_block(&w);
	ret->sender = wire_block(&w);
	ret->from = wire_block(&w);
	ret->domain = wire_block(&w);
	ret->evidence = wire_block(&w);
	return !w.bad;
}

static void forget(struct store *s, uint64_t number)
{
	struct kept *k = map_remove_u64(&s->judgements.kept, number);

	if (!k)
		return;
	buf_done(&k->data);
	memory_free(k);
}

uint64_t judgement_keep(struct store *s, const struct judgement *judgement,
                        char ret_id[JUDGEMENT_ID + 1])
{
	struct judgement j = *judgement;
	struct kept *k = NEW(struct kept);
	uint64_t oldest;

	j.at = s->now;
	k->number = next_number(s);
	encode(&k->data, &j);
	map_put_u64(&s->judgements.kept, k->number, k);
	buf_append(&s->judgements.order, bytes_of(&k->number, sizeof(k->number)));
	if (s->judgements.kept.count > JUDGEMENTS_MAX) {
		memcpy(&oldest, buf_bytes(&s->judgements.order).ptr, sizeof(oldest));
		buf_consume(&s->judgements.order, sizeof(oldest));
		forget(s, oldest);
	}
	judgement_id(k->number, ret_id);
	return k->number;
}

bool judgement_find(struct store *s, uint64_t number, struct arena *arena, struct judgement *ret)
{
	struct kept *k;
	bool found;

	store_hold(s);
	k = number ? map_get_u64(&s->judgements.kept, number) : NULL;
	found = k && decode(arena_copy(arena, buf_bytes(&k->data)), ret);
	store_let(s);
	ret->number = number;
	return found;
}

void judgements_done(struct store *s)
{
	struct map_entry *e;

	for (size_t at = 0; (e = map_each(&s->judgements.kept, &at));) {
		struct kept *k = e->value;

		buf_done(&k->data);
		memory_free(k);
	}
	map_done(&s->judgements.kept);
	buf_done(&s->judgements.order);
}
