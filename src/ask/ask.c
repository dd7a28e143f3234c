/* The codec. ask.def becomes one visitor a kind, which calls visit_TYPE for each field in order; what
 * a visit does (encode, decode, copy) is said by struct visit. No kind has code of its own.
 *
 * Message, big-endian:
 *	u8 tag (1 ask, 2 answer) | u16 kind | u32 number | u64 session
 *	ask: fields              answer: u8 result | block why | fields, only when the result is OK
 */
#include "ask/ask.h"

#include <assert.h>
#include <xxhash.h>

#include "base/wire.h"

enum { ASK_TAG = 1, ANSWER_TAG = 2 };

/* Exactly one of out (encode), in (decode) is set, or neither: copy. */
struct visit {
	struct buf *out;
	struct wire *in;
	struct arena *arena; /* decode and copy: where bytes fields go */
};

static void visit_u8(struct visit *v, uint8_t *field)
{
	if (v->out)
		buf_u8(v->out, *field);
	else if (v->in)
		*field = wire_u8(v->in);
}

static void visit_u16(struct visit *v, uint16_t *field)
{
	if (v->out)
		buf_u16(v->out, *field);
	else if (v->in)
		*field = wire_u16(v->in);
}

static void visit_u32(struct visit *v, uint32_t *field)
{
	if (v->out)
		buf_u32(v->out, *field);
	else if (v->in)
		*field = wire_u32(v->in);
}

static void visit_u64(struct visit *v, uint64_t *field)
{
	if (v->out)
		buf_u64(v->out, *field);
	else if (v->in)
		*field = wire_u64(v->in);
}

static void visit_i64(struct visit *v, int64_t *field)
{
	if (v->out)
		buf_u64(v->out, (uint64_t)*field);
	else if (v->in)
		*field = (int64_t)wire_u64(v->in);
}

static void visit_bytes(struct visit *v, struct bytes *field)
{
	if (v->out)
		buf_block(v->out, *field);
	else
		*field = arena_copy(v->arena, v->in ? wire_block(v->in) : *field);
}

#define ASK(NAME, name, from, to, meaning)                          \
	static void visit_ask_##name(struct visit *v, void *fields) \
	{                                                           \
		struct ask_##name *f = fields;                      \
                                                                    \
		(void)v, (void)f;
#define IN(type, field, meaning) visit_##type(v, &f->field);
#define OUT(type, field, meaning)
#define END(name) }
#include "ask/ask.def"
#undef ASK
#undef IN
#undef OUT
#undef END

#define ASK(NAME, name, from, to, meaning)                             \
	static void visit_answer_##name(struct visit *v, void *fields) \
	{                                                              \
		struct answer_##name *f = fields;                      \
                                                                       \
		(void)v, (void)f;
#define IN(type, field, meaning)
#define OUT(type, field, meaning) visit_##type(v, &f->field);
#define END(name) }
#include "ask/ask.def"
#undef ASK
#undef IN
#undef OUT
#undef END

struct kind {
	struct ask_info info;
	void (*visit_ask)(struct visit *v, void *fields);
	void (*visit_answer)(struct visit *v, void *fields);
	const char *text; /* every name and type, for the hash */
};

static const struct kind kinds[ASK_COUNT] = {
        [ASK_NONE] = {.info = {.name = "NONE", .meaning = ""}, .text = ""},
#define ASK(NAME, name, from, to, meaning)                                                 \
	[ASK_##NAME] = {{#NAME, from, to, meaning}, visit_ask_##name, visit_answer_##name, \
	                #NAME "(" #from ">" #to
#define IN(type, field, meaning) " i" #type " " #field
#define OUT(type, field, meaning) " o" #type " " #field
#define END(name) \
	")"       \
	}         \
	,
#include "ask/ask.def"
#undef ASK
#undef IN
#undef OUT
#undef END
};

const struct ask_info *ask_info(enum ask_kind kind)
{
	assert((unsigned)kind < ASK_COUNT);
	return &kinds[kind].info;
}

static void encode_head(struct buf *out, uint8_t tag, enum ask_kind kind, uint32_t number,
                        uint64_t session)
{
	assert(kind > ASK_NONE && kind < ASK_COUNT);
	buf_u8(out, tag);
	buf_u16(out, (uint16_t)kind);
	buf_u32(out, number);
	buf_u64(out, session);
}

/* False unless the tag is right and the kind is one of the table. */
static bool decode_head(struct wire *w, uint8_t tag, enum ask_kind *ret_kind, uint32_t *ret_number,
                        uint64_t *ret_session)
{
	uint8_t got = wire_u8(w);
	uint16_t kind = wire_u16(w);

	*ret_number = wire_u32(w);
	*ret_session = wire_u64(w);
	if (w->bad || got != tag || kind == ASK_NONE || kind >= ASK_COUNT)
		return false;
	*ret_kind = (enum ask_kind)kind;
	return true;
}

void ask_encode(const struct ask *a, struct buf *out)
{
	struct visit v = {.out = out};
	struct ask copy = *a; /* visitors take what they may write to; encoding writes nothing */

	encode_head(out, ASK_TAG, a->kind, a->number, a->session);
	kinds[a->kind].visit_ask(&v, &copy.route);
}

enum result ask_decode(struct bytes in, struct arena *arena, struct ask *ret)
{
	struct wire w = wire_of(in);
	struct visit v = {.in = &w, .arena = arena};
	struct ask a = {0};

	if (!decode_head(&w, ASK_TAG, &a.kind, &a.number, &a.session))
		return INVALID;
	kinds[a.kind].visit_ask(&v, &a.route);
	if (w.bad || w.rest.len)
		return INVALID;
	*ret = a;
	return OK;
}

void answer_encode(const struct answer *a, struct buf *out)
{
	struct visit v = {.out = out};
	struct answer copy = *a;

	encode_head(out, ANSWER_TAG, a->kind, a->number, a->session);
	buf_u8(out, (uint8_t)a->result);
	buf_block(out, a->why);
	if (a->result == OK)
		kinds[a->kind].visit_answer(&v, &copy.route);
}

enum result answer_decode(struct bytes in, struct arena *arena, struct answer *ret)
{
	struct wire w = wire_of(in);
	struct visit v = {.in = &w, .arena = arena};
	struct answer a = {0};
	uint8_t result;

	if (!decode_head(&w, ANSWER_TAG, &a.kind, &a.number, &a.session))
		return INVALID;
	result = wire_u8(&w);
	a.why = arena_copy(arena, wire_block(&w));
	if (w.bad || result >= RESULT_COUNT)
		return INVALID;
	a.result = (enum result)result;
	if (a.result == OK)
		kinds[a.kind].visit_answer(&v, &a.route);
	if (w.bad || w.rest.len)
		return INVALID;
	*ret = a;
	return OK;
}

struct answer answer_to(const struct ask *a, enum result result, struct bytes why)
{
	return (struct answer){.kind = a->kind,
	                       .number = a->number,
	                       .session = a->session,
	                       .result = result,
	                       .why = why};
}

struct ask ask_copy(struct arena *arena, const struct ask *a)
{
	struct visit v = {.arena = arena};
	struct ask copy = *a;

	kinds[a->kind].visit_ask(&v, &copy.route);
	return copy;
}

struct answer answer_copy(struct arena *arena, const struct answer *a)
{
	struct visit v = {.arena = arena};
	struct answer copy = *a;

	copy.why = arena_copy(arena, a->why);
	kinds[a->kind].visit_answer(&v, &copy.route);
	return copy;
}

uint64_t ask_table_hash(void)
{
	uint64_t hash = 0;

	for (int kind = 0; kind < ASK_COUNT; kind++)
		hash = XXH3_64bits_withSeed(kinds[kind].text, strlen(kinds[kind].text), hash);
	return hash;
}
