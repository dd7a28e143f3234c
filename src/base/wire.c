#include "base/wire.h"

struct bytes wire_take(struct wire *w, size_t len)
{
	struct bytes taken;

	if (w->bad || w->rest.len < len) {
		w->bad = true;
		return (struct bytes){0};
	}
	taken = bytes_first(w->rest, len);
	w->rest = bytes_skip(w->rest, len);
	return taken;
}

static uint64_t number(struct wire *w, size_t octets)
{
	struct bytes b = wire_take(w, octets);
	uint64_t v = 0;

	for (size_t i = 0; i < b.len; i++)
		v = v << 8 | (unsigned char)b.ptr[i];
	return v;
}

uint8_t wire_u8(struct wire *w)
{
	return (uint8_t)number(w, 1);
}

uint16_t wire_u16(struct wire *w)
{
	return (uint16_t)number(w, 2);
}

uint32_t wire_u32(struct wire *w)
{
	return (uint32_t)number(w, 4);
}

uint64_t wire_u64(struct wire *w)
{
	return number(w, 8);
}

struct bytes wire_block(struct wire *w)
{
	return wire_take(w, wire_u32(w));
}
