/* The arguments of FETCH (RFC 9051, 6.4.5 and 9: fetch-att, section). */
#include "base/text.h"
#include "imap/fetch.h"

enum { NUMBERS_MAX = 64, FIELDS_MAX = 1024, SECTIONS_MAX = 256 };

struct parser {
	struct cursor *c;
	struct fetch_items *items;
	struct section **last;
	unsigned sections;
};

static struct section *new_section(struct parser *p)
{
	struct section *sec;

	if (++p->sections > SECTIONS_MAX) {
		token_fail(p->c, "Too many sections");
		return NULL;
	}
	sec = arena_get(p->c->arena, sizeof(*sec));
	*p->last = sec;
	p->last = &sec->next;
	return sec;
}

/* ---- [1.2.HEADER.FIELDS (a b)] ---- */

/* nz-number *("." nz-number), with the dot before a word after them taken too. */
static bool take_numbers(struct cursor *c, struct section *sec)
{
	uint32_t *numbers = arena_get(c->arena, NUMBERS_MAX * sizeof(*numbers));
	uint64_t n;

	sec->numbers = numbers;
	while (text_is_digit(token_peek(c))) {
		if (sec->count == NUMBERS_MAX || !token_nz_number(c, UINT32_MAX, &n))
			return token_fail(c, "Broken part number");
		numbers[sec->count++] = (uint32_t)n;
		if (!token_try_char(c, '.'))
			return true;
	}
	return sec->count == 0 || token_peek(c) != ']' || token_fail(c, "Broken part number");
}

static bool take_fields(struct cursor *c, struct section *sec)
{
	struct bytes *fields = arena_get(c->arena, FIELDS_MAX * sizeof(*fields));

	sec->fields = fields;
	if (!token_space(c) || !token_char(c, '('))
		return false;
	do {
		if (sec->field_count == FIELDS_MAX)
			return token_fail(c, "Too many header fields");
		if (!token_astring(c, &fields[sec->field_count++]))
			return false;
	} while (token_try_char(c, ' '));
	return token_char(c, ')');
}

static const struct {
	const char *name;
	uint8_t kind;
} words[] = {
        {"HEADER.FIELDS.NOT", SECTION_FIELDS_NOT},
        {"HEADER.FIELDS", SECTION_FIELDS},
        {"HEADER", SECTION_HEADER},
        {"TEXT", SECTION_TEXT},
        {"MIME", SECTION_MIME},
};

static bool take_word(struct cursor *c, struct section *sec)
{
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (!token_try_word(c, bytes_of_text(words[i].name)))
			continue;
		sec->kind = words[i].kind;
		if (sec->kind == SECTION_MIME && sec->count == 0)
			return token_fail(c, "MIME needs a part number");
		if (sec->kind == SECTION_FIELDS || sec->kind == SECTION_FIELDS_NOT)
			return take_fields(c, sec);
		return true;
	}
	return token_fail(c, "Unknown section");
}

static bool take_section(struct cursor *c, struct section *sec)
{
	if (!token_char(c, '[') || !take_numbers(c, sec))
		return false;
	if (token_peek(c) != ']' && (sec->binary || !take_word(c, sec)))
		return token_fail(c, "Unknown section");
	return token_char(c, ']');
}

static bool take_partial(struct cursor *c, struct section *sec)
{
	if (!token_try_char(c, '<'))
		return true;
	sec->partial = true;
	return token_number(c, INT64_MAX, &sec->offset) && token_char(c, '.') &&
	       token_nz_number(c, INT64_MAX, &sec->len) && token_char(c, '>');
}

/* ---- its name in the response ---- */

static void put_spec(const struct section *sec, struct buf *out)
{
	for (size_t i = 0; i < sec->count; i++)
		buf_printf(out, i ? ".%u" : "%u", sec->numbers[i]);
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (words[i].kind == sec->kind)
			buf_printf(out, sec->count ? ".%s" : "%s", words[i].name);
	if (!sec->field_count)
		return;
	for (size_t i = 0; i < sec->field_count; i++) {
		buf_append_text(out, i ? " " : " (");
		if (sec->fields[i].len && !bytes_equal_nocase(sec->fields[i], BYTES("NIL")))
			buf_append(out, sec->fields[i]);
		else
			respond_quoted(out, sec->fields[i]);
	}
	buf_append_char(out, ')');
}

static bool plain_fields(const struct section *sec)
{
	for (size_t i = 0; i < sec->field_count; i++)
		for (size_t n = 0; n < sec->fields[i].len; n++)
			if (!token_is_atom_char(sec->fields[i].ptr[n]))
				return false;
	return true;
}

static bool make_label(struct cursor *c, struct section *sec, const char *word)
{
	struct buf label = {0};

	if (!plain_fields(sec))
		return token_fail(c, "Broken header field name");
	buf_printf(&label, "%s[", word);
	put_spec(sec, &label);
	buf_append_char(&label, ']');
	if (sec->partial && !sec->size_only)
		buf_printf(&label, "<%llu>", (unsigned long long)sec->offset);
	sec->label = arena_copy(c->arena, buf_bytes(&label));
	buf_done(&label);
	return true;
}

/* ---- items ---- */

static bool add_section(struct parser *p, const char *word, bool binary, bool size_only, bool peek)
{
	struct section *sec = new_section(p);

	if (!sec)
		return false;
	sec->binary = binary;
	sec->size_only = size_only;
	if (!peek)
		p->items->set_seen = true;
	return take_section(p->c, sec) && (size_only || take_partial(p->c, sec)) &&
	       make_label(p->c, sec, word);
}

/* RFC822, RFC822.HEADER, RFC822.TEXT: IMAP4rev1's names (RFC 3501, 6.4.5). */
static bool add_old(struct parser *p, const char *label, uint8_t kind)
{
	struct section *sec = new_section(p);

	if (!sec)
		return false;
	sec->kind = kind;
	sec->label = bytes_of_text(label);
	if (kind != SECTION_HEADER)
		p->items->set_seen = true;
	return true;
}

static const struct {
	const char *name;
	unsigned bits;
	bool macro; /* stands alone */
} simple_items[] = {
        {"ALL", FETCH_FLAGS | FETCH_DATE | FETCH_SIZE | FETCH_ENVELOPE, true},
        {"FAST", FETCH_FLAGS | FETCH_DATE | FETCH_SIZE, true},
        {"FULL", FETCH_FLAGS | FETCH_DATE | FETCH_SIZE | FETCH_ENVELOPE | FETCH_BODY, true},
        {"UID", FETCH_UID, false},
        {"FLAGS", FETCH_FLAGS, false},
        {"INTERNALDATE", FETCH_DATE, false},
        {"RFC822.SIZE", FETCH_SIZE, false},
        {"ENVELOPE", FETCH_ENVELOPE, false},
        {"BODYSTRUCTURE", FETCH_STRUCTURE, false},
        {"MODSEQ", FETCH_MODSEQ, false},
};

/* The word without "[": atoms may hold "[" themselves. */
static struct bytes take_item_word(struct cursor *c)
{
	size_t len = 0;
	struct bytes word;

	while (len < c->rest.len && (text_is_alnum(c->rest.ptr[len]) || c->rest.ptr[len] == '.'))
		len++;
	word = bytes_first(c->rest, len);
	c->rest = bytes_skip(c->rest, len);
	return word;
}

static bool is(struct bytes word, const char *name)
{
	return bytes_equal_nocase(word, bytes_of_text(name));
}

static bool take_content_item(struct parser *p, struct bytes word)
{
	bool section = token_peek(p->c) == '[';

	if (is(word, "BODY") && !section) {
		p->items->items |= FETCH_BODY;
		return true;
	}
	if (is(word, "BODY") || is(word, "BODY.PEEK"))
		return add_section(p, "BODY", false, false, word.len > 4);
	if (is(word, "BINARY") || is(word, "BINARY.PEEK"))
		return add_section(p, "BINARY", true, false, word.len > 6);
	if (is(word, "BINARY.SIZE"))
		return add_section(p, "BINARY.SIZE", true, true, true);
	if (is(word, "RFC822"))
		return add_old(p, "RFC822", SECTION_WHOLE);
	if (is(word, "RFC822.HEADER"))
		return add_old(p, "RFC822.HEADER", SECTION_HEADER);
	if (is(word, "RFC822.TEXT"))
		return add_old(p, "RFC822.TEXT", SECTION_TEXT);
	return token_fail(p->c, "Unknown FETCH item");
}

static bool take_item(struct parser *p, bool alone)
{
	struct bytes word = take_item_word(p->c);

	for (size_t i = 0; i < sizeof(simple_items) / sizeof(simple_items[0]); i++) {
		if (!is(word, simple_items[i].name) || (simple_items[i].macro && !alone))
			continue;
		p->items->items |= simple_items[i].bits;
		return true;
	}
	return take_content_item(p, word);
}

bool fetch_items_parse(struct cursor *c, struct fetch_items *ret)
{
	struct parser p = {.c = c, .items = ret, .last = &ret->sections};

	memset(ret, 0, sizeof(*ret));
	if (!token_try_char(c, '('))
		return take_item(&p, true);
	do {
		if (!take_item(&p, false))
			return false;
	} while (token_try_char(c, ' '));
	return token_char(c, ')');
}
