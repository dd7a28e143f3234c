#include "store/change.h"

static void put_bytes(struct buf *out, struct bytes v)
{
	buf_block(out, v);
}

#define put_u8 buf_u8
#define put_u32 buf_u32
#define put_u64 buf_u64
#define put_i64(out, v) buf_u64(out, (uint64_t)(v))

void change_encode(const struct change *c, struct buf *out)
{
	size_t start = buf_len(out), len;
	char *p;

	buf_u16(out, (uint16_t)c->kind);
	buf_u32(out, 0);
	switch (c->kind) {
#define CHANGE(number, NAME, name, meaning) \
	case CHANGE_##NAME: {               \
		const struct change_##name *v = &c->name;
#define FIELD(type, field) put_##type(out, v->field);
#define END(name) \
	break;    \
	}
#include "store/change.def"
#undef CHANGE
#undef FIELD
#undef END
	default: break;
	}
	len = buf_len(out) - start - 6;
	p = out->ptr + out->start + start + 2;
	for (int i = 0; i < 4; i++)
		p[i] = (char)(len >> (24 - 8 * i));
}

/* A field beyond the end was added after this record was written: zero. */
static uint8_t get_u8(struct wire *w)
{
	return w->rest.len ? wire_u8(w) : 0;
}

static uint32_t get_u32(struct wire *w)
{
	return w->rest.len ? wire_u32(w) : 0;
}

static uint64_t get_u64(struct wire *w)
{
	return w->rest.len ? wire_u64(w) : 0;
}

static int64_t get_i64(struct wire *w)
{
	return (int64_t)get_u64(w);
}

static struct bytes get_bytes(struct wire *w)
{
	return w->rest.len ? wire_block(w) : (struct bytes){0};
}

static bool decode_fields(struct wire *f, struct change *c)
{
	switch (c->kind) {
#define CHANGE(number, NAME, name, meaning) \
	case CHANGE_##NAME: {               \
		struct change_##name *v = &c->name;
#define FIELD(type, field) v->field = get_##type(f);
#define END(name) \
	break;    \
	}
#include "store/change.def"
#undef CHANGE
#undef FIELD
#undef END
	default: return false;
	}
	return !f->bad;
}

bool change_decode(struct wire *w, struct change *ret)
{
	struct change c = {0};
	struct wire fields;

	if (wire_end(w))
		return false;
	c.kind = (enum change_kind)wire_u16(w);
	fields = wire_of(wire_block(w));
	if (w->bad || !decode_fields(&fields, &c)) {
		w->bad = true;
		return false;
	}
	*ret = c;
	return true;
}

const char *change_name(enum change_kind kind)
{
	switch (kind) {
#define CHANGE(number, NAME, name, meaning) \
	case CHANGE_##NAME:                 \
		return #NAME;
#define FIELD(type, field)
#define END(name)
#include "store/change.def"
#undef CHANGE
#undef FIELD
#undef END
	default: return "NONE";
	}
}
