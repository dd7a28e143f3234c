#include "policy/tokens.h"

#include "base/text.h"

enum {
	WORD_MIN = 2, /* characters */
	WORD_MAX = 24,
	DIGITS_MAX = 4, /* longer numbers say nothing but their length */
};

/* ---- what a character is ---- */

enum script { OTHER, SPACE, DIGIT, LETTER, HAN, HIRAGANA, KATAKANA, JOINED, PICTURE };

static const struct {
	uint32_t first, last;
	enum script script;
} ranges[] = {
        {0x0000, 0x002f, SPACE},      {0x0030, 0x0039, DIGIT},     {0x003a, 0x0060, SPACE},
        {0x0061, 0x007a, LETTER},     {0x007b, 0x00bf, SPACE},     {0x00c0, 0x0dff, LETTER},
        {0x0e00, 0x0eff, JOINED},     {0x0f00, 0x0fff, LETTER},    {0x1000, 0x109f, JOINED},
        {0x10a0, 0x177f, LETTER},     {0x1780, 0x17ff, JOINED},    {0x1800, 0x1fff, LETTER},
        {0x2000, 0x2bff, SPACE},      {0x2c00, 0x2dff, LETTER},    {0x2e00, 0x2e7f, SPACE},
        {0x2e80, 0x2fff, HAN},        {0x3000, 0x3004, SPACE},     {0x3005, 0x3007, HAN},
        {0x3008, 0x303f, SPACE},      {0x3040, 0x309f, HIRAGANA},  {0x30a0, 0x30fa, KATAKANA},
        {0x30fb, 0x30fb, SPACE},      {0x30fc, 0x30ff, KATAKANA},  {0x3100, 0x312f, JOINED},
        {0x3130, 0x318f, LETTER},     {0x31f0, 0x31ff, KATAKANA},  {0x3200, 0x33ff, SPACE},
        {0x3400, 0x4dbf, HAN},        {0x4e00, 0x9fff, HAN},       {0xa000, 0xabff, LETTER},
        {0xac00, 0xd7af, JOINED},     {0xf900, 0xfaff, HAN},       {0xfb00, 0xfdff, LETTER},
        {0xfe00, 0xfe6f, SPACE},      {0xfe70, 0xfefe, LETTER},    {0x10000, 0x1afff, LETTER},
        {0x1b000, 0x1b16f, KATAKANA}, {0x1f000, 0x1faff, PICTURE}, {0x20000, 0x3ffff, HAN},
};

static enum script script_of(uint32_t code)
{
	size_t low = 0, high = sizeof(ranges) / sizeof(*ranges);

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (code > ranges[middle].last)
			low = middle + 1;
		else if (code < ranges[middle].first)
			high = middle;
		else
			return ranges[middle].script;
	}
	return OTHER;
}

/* ---- tokens ---- */

uint64_t token_of(enum token_kind kind, struct bytes text)
{
	uint64_t h = 0xcbf29ce484222325u ^ (uint8_t)kind;

	h *= 0x100000001b3u;
	for (size_t i = 0; i < text.len; i++) {
		h ^= (uint8_t)text.ptr[i];
		h *= 0x100000001b3u;
	}
	h ^= h >> 32;
	h *= 0xd6e8feb86659fd93u;
	h ^= h >> 32;
	return h >> 1; /* SQLite's integers are signed */
}

static void add(struct tokens *t, uint64_t token)
{
	size_t at = token % TOKENS_TABLE;

	while (t->table[at]) {
		if (t->list[t->table[at] - 1] == token)
			return;
		at = (at + 1) % TOKENS_TABLE;
	}
	if (t->count == TOKENS_MAX)
		return;
	t->list[t->count] = token;
	t->table[at] = (uint16_t)++t->count;
}

void tokens_one(struct tokens *t, enum token_kind kind, struct bytes text)
{
	if (text.len)
		add(t, token_of(kind, text));
}

/* ---- text ---- */

/* A run of characters of one sort. */
struct run {
	struct tokens *t;
	enum token_kind kind;
	size_t most; /* tokens in all */
	const char *start, *end;
	size_t chars;
	bool digits;        /* nothing else so far */
	enum script script; /* LETTER (and digits), KATAKANA, or OTHER: none is open */
	struct {
		const char *ptr;
		enum script script;
	} last; /* the character before, where words are not separated; ptr NULL: none */
};

static void put(struct run *r, struct bytes word)
{
	if (r->t->count < r->most)
		tokens_one(r->t, r->kind, word);
}

static void close_run(struct run *r)
{
	struct bytes word = bytes_of(r->start, r->start ? (size_t)(r->end - r->start) : 0);
	char length[2] = {'#', 0};

	if (r->script == LETTER && r->digits && r->chars > DIGITS_MAX) {
		length[1] = (char)('0' + (r->chars < 40 ? r->chars : 40));
		put(r, bytes_of(length, 2));
	} else if (r->script == LETTER ? r->chars >= WORD_MIN && r->chars <= WORD_MAX
	                               : r->chars > 2 && r->chars <= WORD_MAX) {
		put(r, word);
	}
	r->script = OTHER;
	r->start = r->end = NULL;
	r->chars = 0;
}

static void extend(struct run *r, enum script script, struct bytes one, bool digit)
{
	if (r->script != script) {
		close_run(r);
		r->script = script;
		r->start = one.ptr;
		r->digits = true;
	}
	r->end = one.ptr + one.len;
	r->chars++;
	r->digits = r->digits && digit;
}

/* Two neighbours. Two hiragana are mostly grammar. */
static void pair(struct run *r, enum script script, struct bytes one)
{
	if (r->last.ptr && !(script == HIRAGANA && r->last.script == HIRAGANA))
		put(r, bytes_of(r->last.ptr, (size_t)(one.ptr + one.len - r->last.ptr)));
	r->last.ptr = one.ptr;
	r->last.script = script;
}

static void take(struct run *r, uint32_t code, struct bytes one)
{
	enum script script = script_of(code);

	switch (script) {
	case DIGIT:
	case LETTER:
		r->last.ptr = NULL;
		extend(r, LETTER, one, script == DIGIT);
		return;
	case KATAKANA:
		extend(r, KATAKANA, one, false);
		pair(r, script, one);
		return;
	case HAN:
	case HIRAGANA:
	case JOINED:
		close_run(r);
		pair(r, script, one);
		return;
	case PICTURE: put(r, one); break;
	default: break;
	}
	close_run(r);
	r->last.ptr = NULL;
}

void tokens_some(struct tokens *t, enum token_kind kind, struct bytes folded, size_t most)
{
	struct run r = {.t = t, .kind = kind};
	uint32_t code;

	r.most = most < TOKENS_MAX - t->count ? t->count + most : TOKENS_MAX;
	while (folded.len && t->count < r.most) {
		int len = text_utf8_next(folded, &code);

		if (len > 0)
			take(&r, code, bytes_first(folded, (size_t)len));
		else
			take(&r, 0, bytes_first(folded, 1));
		folded = bytes_skip(folded, len > 0 ? (size_t)len : 1);
	}
	close_run(&r);
}

void tokens_text(struct tokens *t, enum token_kind kind, struct bytes folded)
{
	tokens_some(t, kind, folded, TOKENS_MAX);
}

void tokens_pack(const struct tokens *t, struct buf *out)
{
	for (size_t i = 0; i < t->count; i++)
		buf_u64(out, t->list[i]);
}
