#include "verify/facts.h"

#include "base/limits.h"
#include "base/map.h"
#include "base/memory.h"
#include "base/text.h"
#include "base/wire.h"

struct facts {
	struct arena arena;
	struct fact *facts[FACTS_MAX];
	size_t count;
	struct map places; /* key_of: the fact */
	struct fact overflow;
};

struct facts *facts_new(void)
{
	struct facts *f = NEW(struct facts);

	f->overflow = (struct fact){.status = FACT_FAILED,
	                            .state = FACT_KNOWN,
	                            .reason = BYTES("too many names are involved")};
	return f;
}

void facts_free(struct facts **p)
{
	if (!*p)
		return;
	map_done(&(*p)->places);
	arena_done(&(*p)->arena);
	memory_free(*p);
	*p = NULL;
}

static struct bytes plain_name(struct facts *f, struct bytes name)
{
	struct bytes copy;

	if (name.len > 0 && name.ptr[name.len - 1] == '.')
		name = bytes_first(name, name.len - 1);
	copy = arena_copy(&f->arena, name);
	text_lower((char *)(uintptr_t)copy.ptr, copy.len);
	return copy;
}

enum { KEY = LIMIT_DOMAIN + 2 };

/* Lower-case name, then type. Empty: the name is too long for one. */
static struct bytes key_of(struct bytes name, uint16_t type, char room[KEY])
{
	if (name.len > 0 && name.ptr[name.len - 1] == '.')
		name = bytes_first(name, name.len - 1);
	if (name.len == 0 || name.len > LIMIT_DOMAIN)
		return (struct bytes){0};
	memcpy(room, name.ptr, name.len);
	text_lower(room, name.len);
	room[name.len] = (char)(type >> 8);
	room[name.len + 1] = (char)type;
	return bytes_of(room, name.len + 2);
}

static struct fact *find(const struct facts *f, struct bytes name, uint16_t type)
{
	char room[KEY];
	struct bytes key = key_of(name, type, room);

	return key.len ? map_get(&f->places, key) : NULL;
}

static struct fact *add(struct facts *f, struct bytes name, uint16_t type)
{
	char room[KEY];
	struct bytes key = key_of(name, type, room);
	struct fact *x;

	if (f->count == FACTS_MAX || key.len == 0)
		return NULL;
	x = arena_get(&f->arena, sizeof(*x));
	x->name = plain_name(f, name);
	x->type = type;
	f->facts[f->count++] = x;
	map_put(&f->places, key, x);
	return x;
}

const struct fact *facts_need(struct facts *f, struct bytes name, uint16_t type)
{
	struct fact *x = find(f, name, type);

	if (!x && !(x = add(f, name, type)))
		return &f->overflow;
	return x->state == FACT_KNOWN ? x : NULL;
}

static struct fact *next_wanted(const struct facts *f)
{
	for (size_t i = 0; i < f->count; i++)
		if (f->facts[i]->state == FACT_WANTED)
			return f->facts[i];
	return NULL;
}

bool facts_missing(const struct facts *f, struct bytes *ret_name, uint16_t *ret_type)
{
	const struct fact *x = next_wanted(f);

	if (!x)
		return false;
	*ret_name = x->name;
	*ret_type = x->type;
	return true;
}

void facts_asked(struct facts *f, uint32_t number)
{
	struct fact *x = next_wanted(f);

	if (!x)
		return;
	x->state = FACT_ASKED;
	x->number = number;
}

bool facts_again(struct facts *f, uint32_t number)
{
	for (size_t i = 0; i < f->count; i++) {
		if (f->facts[i]->state != FACT_ASKED || f->facts[i]->number != number)
			continue;
		f->facts[i]->state = FACT_WANTED;
		return true;
	}
	return false;
}

static void take_records(struct facts *f, struct fact *x, struct bytes packed)
{
	struct wire w = wire_of(arena_copy(&f->arena, packed));

	x->records = arena_get(&f->arena, (packed.len / 4 + 1) * sizeof(*x->records));
	x->count = 0;
	while (!wire_end(&w)) {
		struct bytes rdata = wire_block(&w);

		if (!w.bad)
			x->records[x->count++] = rdata;
	}
}

static void learn(struct facts *f, struct fact *x, const struct answer_resolve *a)
{
	x->state = FACT_KNOWN;
	x->status = a->status <= FACT_BOGUS ? (enum fact_status)a->status : FACT_FAILED;
	x->secure = a->secure != 0;
	x->canonical = plain_name(f, a->canonical);
	x->reason = arena_copy(&f->arena, a->reason);
	take_records(f, x, a->records);
	if (x->status == FACT_FOUND && x->count == 0)
		x->status = FACT_NO_DATA;
}

bool facts_answer(struct facts *f, const struct answer *a)
{
	for (size_t i = 0; i < f->count; i++) {
		struct fact *x = f->facts[i];

		if (x->state != FACT_ASKED || x->number != a->number)
			continue;
		if (a->result == OK)
			learn(f, x, &a->resolve);
		else
			learn(f, x,
			      &(struct answer_resolve){
			              .status = FACT_FAILED,
			              .reason = a->why.len
			                                ? a->why
			                                : bytes_of_text(result_name(a->result))});
		return true;
	}
	return false;
}

void facts_give_up(struct facts *f, struct bytes reason)
{
	for (size_t i = 0; i < f->count; i++) {
		if (f->facts[i]->state != FACT_KNOWN)
			learn(f, f->facts[i],
			      &(struct answer_resolve){.status = FACT_FAILED, .reason = reason});
	}
}

void facts_add(struct facts *f, struct bytes name, uint16_t type, const struct answer_resolve *a)
{
	struct fact *x = find(f, name, type);

	if (!x)
		x = add(f, name, type);
	if (x)
		learn(f, x, a);
}

/* ---- RDATA ---- */

static bool is_plain_label(struct bytes label)
{
	for (size_t i = 0; i < label.len; i++)
		if (label.ptr[i] <= ' ' || label.ptr[i] == '.' || label.ptr[i] == '\\' ||
		    label.ptr[i] == 0x7f || (unsigned char)label.ptr[i] > 0x7f)
			return false;
	return true;
}

enum result facts_name(struct bytes rdata, struct arena *arena, struct bytes *ret)
{
	struct wire w = wire_of(rdata);
	char text[LIMIT_DOMAIN + 1];
	size_t len = 0;

	for (;;) {
		uint8_t n = wire_u8(&w);
		struct bytes label;

		if (w.bad || n > 63)
			return INVALID;
		if (n == 0)
			break;
		label = wire_take(&w, n);
		if (w.bad || !is_plain_label(label) || len + n + 1 > LIMIT_DOMAIN)
			return INVALID;
		if (len > 0)
			text[len++] = '.';
		memcpy(text + len, label.ptr, n);
		len += n;
	}
	text_lower(text, len);
	*ret = arena_copy(arena, bytes_of(text, len));
	return OK;
}

enum result facts_text(struct bytes rdata, struct arena *arena, struct bytes *ret)
{
	struct wire w = wire_of(rdata);
	char *text = arena_get(arena, rdata.len + 1);
	size_t len = 0;

	while (!wire_end(&w)) {
		struct bytes piece = wire_take(&w, wire_u8(&w));

		if (w.bad)
			return INVALID;
		memcpy(text + len, piece.len ? piece.ptr : "", piece.len);
		len += piece.len;
	}
	if (w.bad)
		return INVALID;
	*ret = bytes_of(text, len);
	return OK;
}
