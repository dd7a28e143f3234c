/* Effects as values, from change.def, and their codec. */
#ifndef STORE_CHANGE_H
#define STORE_CHANGE_H

#include "base/buf.h"
#include "base/wire.h"

enum change_kind {
	CHANGE_NONE,
#define CHANGE(number, NAME, name, meaning) CHANGE_##NAME = number,
#define FIELD(type, field)
#define END(name)
#include "store/change.def"
#undef CHANGE
#undef FIELD
#undef END
};

typedef uint8_t change_u8;
typedef uint32_t change_u32;
typedef uint64_t change_u64;
typedef int64_t change_i64;
typedef struct bytes change_bytes;

#define CHANGE(number, NAME, name, meaning) struct change_##name {
#define FIELD(type, field) change_##type field;
#define END(name) \
	}         \
	;
#include "store/change.def"
#undef CHANGE
#undef FIELD
#undef END

struct change {
	enum change_kind kind;
	union {
#define CHANGE(number, NAME, name, meaning) struct change_##name name;
#define FIELD(type, field)
#define END(name)
#include "store/change.def"
#undef CHANGE
#undef FIELD
#undef END
	};
};

void change_encode(const struct change *c, struct buf *out);
/* The next one of w; bytes are borrowed. False: none is left, or w->bad. */
bool change_decode(struct wire *w, struct change *ret);
const char *change_name(enum change_kind kind);

#endif
