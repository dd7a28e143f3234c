/* What JUDGED was told, until the mail's COMMIT names it: in memory, bounded, the oldest forgotten first. A judgement's number
 * is a time in milliseconds, so that it is new after every start; its short id says the number in letters. */
#include "store/escrow.h"

#include <stdlib.h>

#include "base/ip.h"
#include "base/text.h"
#include "policy/evidence.h"
#include "store/life.h"

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

/* ---- in words ---- */

enum { WORDS_OF_CHECK = 160, WORDS_MAX = 1400 };

static int by_weight(const void *a, const void *b)
{
	const struct evidence *x = a, *y = b;
	int weight = abs(y->points) - abs(x->points);

	return weight ? weight : (int)y->wants - (int)x->wants;
}

/* Quotes and control characters would end the word; what is not UTF-8 would hide the whole event. */
static void quoted(struct buf *out, struct bytes text)
{
	size_t start = buf_len(out);

	while (text.len && buf_len(out) - start < WORDS_OF_CHECK) {
		uint32_t code;
		int n = text_utf8_next(text, &code);
		size_t len = n > 0 ? (size_t)n : 1;

		if (n <= 0)
			buf_append_char(out, '?');
		else if (code == '"')
			buf_append_char(out, '\'');
		else if (code < ' ' || code == 0x7f)
			buf_append_char(out, ' ');
		else
			buf_append(out, bytes_first(text, len));
		text = bytes_skip(text, len);
	}
}

static void named(struct buf *out, struct bytes check)
{
	for (size_t i = 0; i < check.len && i < EVIDENCE_CHECK; i++) {
		char c = check.ptr[i];

		buf_append_char(out,
		                text_is_alnum(c) || c == '.' || c == '-' || c == '_' ? c : '?');
	}
}

static void points(struct buf *out, int hundredths)
{
	unsigned n = (unsigned)abs(hundredths);

	buf_printf(out, "%s%u.%02u", hundredths < 0 ? "-" : "", n / 100, n % 100);
}

struct bytes judgement_words(struct arena *arena, const struct judgement *j)
{
	struct evidence *list = arena_get(arena, EVIDENCE_MAX * sizeof(*list));
	struct wire w = wire_of(j->evidence);
	struct buf out = {0};
	size_t count = 0;
	struct bytes ret;

	while (count < EVIDENCE_MAX && evidence_take(&w, &list[count]))
		count += list[count].says != EVIDENCE_NEUTRAL;
	qsort(list, count, sizeof(*list), by_weight);
	buf_printf(&out, "action=%s score=", judge_action_name(j->action));
	points(&out, (int)j->score - 30000);
	if (j->known)
		buf_printf(&out, " known=%u", j->known);
	for (size_t i = 0; i < count && buf_len(&out) < WORDS_MAX; i++) {
		buf_append_char(&out, ' ');
		named(&out, list[i].check);
		buf_printf(&out, "=\"%s ", evidence_says_name(list[i].says));
		points(&out, list[i].points);
		buf_append_char(&out, list[i].text.len ? ' ' : '"');
		if (list[i].text.len) {
			quoted(&out, list[i].text);
			buf_append_char(&out, '"');
		}
	}
	ret = arena_copy(arena, buf_bytes(&out));
	buf_done(&out);
	return ret;
}

struct bytes judgement_mark(const struct judgement *j)
{
	struct wire w = wire_of(j->evidence);
	struct evidence e;

	while (evidence_take(&w, &e)) {
		if (e.says == EVIDENCE_BAD && bytes_equal(e.check, BYTES("iprev")))
			return BYTES("iprev");
	}
	return (struct bytes){0};
}

/* ---- JUDGED ---- */

static void remember(struct store *s, uint64_t number, const struct judgement *j)
{
	struct kept *k = NEW(struct kept);
	uint64_t oldest;

	k->number = number;
	encode(&k->data, j);
	map_put_u64(&s->judgements.kept, number, k);
	buf_append(&s->judgements.order, bytes_of(&number, sizeof(number)));
	if (s->judgements.kept.count <= JUDGEMENTS_MAX)
		return;
	memcpy(&oldest, buf_bytes(&s->judgements.order).ptr, sizeof(oldest));
	buf_consume(&s->judgements.order, sizeof(oldest));
	forget(s, oldest);
}

/* Of what is refused after DATA the copy in escrow tells more. */
static void write_down(struct store *s, const struct judgement *j)
{
	struct wire w = wire_of(j->rcpts);
	char id[JUDGEMENT_ID + 1];
	struct arena arena = {0};
	struct buf list = {0};
	struct bytes words = judgement_words(&arena, j);

	while (!wire_end(&w) && buf_len(&list) < 3000) {
		if (buf_len(&list))
			buf_append_char(&list, ' ');
		buf_append(&list, wire_block(&w));
	}
	judgement_id(j->number, id);
	ledger_put(s, &(struct ledger_event){
	                      .reason = j->action == JUDGE_REFUSE ? LEDGER_JUDGED_REFUSED
	                                                          : LEDGER_JUDGED_DEFERRED,
	                      .session = j->session,
	                      .judgement = j->number,
	                      .ip = j->ip,
	                      .sender = j->sender,
	                      .rcpt = buf_bytes(&list),
	                      .mark = judgement_mark(j),
	                      .host = arena_printf(&arena, "%.*s %.*s", BYTES_ARG(j->helo),
	                                           BYTES_ARG(j->ptr)),
	                      .text = arena_printf(&arena, "id=%s helo=%.*s %.*s", id,
	                                           BYTES_ARG(bytes_first(j->helo, LIMIT_DOMAIN)),
	                                           BYTES_ARG(words))});
	buf_done(&list);
	arena_done(&arena);
}

uint64_t judgement_keep(struct store *s, const struct judgement *judgement,
                        char ret_id[JUDGEMENT_ID + 1])
{
	struct judgement j = *judgement;

	j.at = s->now;
	j.number = next_number(s);
	remember(s, j.number, &j);
	if (j.action >= JUDGE_DEFER && !(j.action == JUDGE_REFUSE && j.stage == 1))
		write_down(s, &j);
	senders_seen(s, &j);
	judgement_id(j.number, ret_id);
	return j.number;
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
	senders_forget(s);
	buf_done(&s->judgements.order);
}
