#include "mail/address.h"

#include "base/text.h"
#include "mail/lexer.h"
#include "mail/words.h"

/* An address is found in two steps, so that nothing has to be kept while reading: scan_item()
 * goes over the tokens up to the next comma and notes where things stand (struct item), then the
 * pieces are read again and put together. Each octet is looked at a fixed number of times. */

struct item {
	struct bytes text;  /* the whole item */
	struct bytes angle; /* between < and >, if has_angle */
	bool has_angle;
	bool has_at; /* an @ outside of the angle */
	enum { ITEM_COMMA, ITEM_GROUP, ITEM_GROUP_END, ITEM_LAST } end;
};

struct parser {
	struct lexer lexer;
	struct arena *arena;
	struct address **tail;
	size_t count;
	bool in_group;
};

static struct bytes between(const char *start, const char *end)
{
	return bytes_of(start, (size_t)(end - start));
}

/* After "<": to the ">", or to a comma outside of a route. */
static void scan_angle(struct parser *p, struct item *ret)
{
	struct token t;
	const char *start = p->lexer.rest.ptr;
	bool first = true, route = false;

	while (lexer_next(&p->lexer, &t)) {
		bool special = t.kind == TOKEN_SPECIAL;
		if (special && t.special == '>')
			break;
		if (special && t.special == '@' && first)
			route = true;
		if (special && t.special == ':')
			route = false;
		if (special && !route &&
		    (t.special == ',' || t.special == ';' || t.special == '<')) {
			p->lexer.rest = bytes_of(t.start, (size_t)(p->lexer.rest.ptr - t.start) +
			                                          p->lexer.rest.len);
			break;
		}
		first = false;
	}
	ret->angle = between(start, t.start);
	ret->has_angle = true;
}

static void scan_item(struct parser *p, struct item *ret)
{
	struct token t;
	bool any = false;

	*ret = (struct item){.text = {p->lexer.rest.ptr, 0}, .end = ITEM_LAST};
	while (lexer_next(&p->lexer, &t)) {
		if (t.kind == TOKEN_SPECIAL && t.special == ',') {
			ret->end = ITEM_COMMA;
			break;
		} else if (t.kind == TOKEN_SPECIAL && t.special == ';') {
			ret->end = ITEM_GROUP_END;
			break;
		} else if (t.kind == TOKEN_SPECIAL && t.special == ':' && any && !p->in_group &&
		           !ret->has_angle && !ret->has_at) {
			ret->end = ITEM_GROUP;
			break;
		} else if (t.kind == TOKEN_SPECIAL && t.special == '<') {
			if (ret->has_angle) { /* a comma was forgotten */
				p->lexer.rest = bytes_of(t.start, p->lexer.rest.len + 1);
				ret->end = ITEM_COMMA;
				break;
			}
			scan_angle(p, ret);
		} else if (t.kind == TOKEN_SPECIAL && t.special == '@') {
			ret->has_at = true;
		}
		any = any || t.kind != TOKEN_COMMENT;
	}
	ret->text = between(ret->text.ptr, t.start);
}

/* The words of a phrase, one space where there was any; the last comment goes to *ret_comment
 * (may be NULL). */
static struct bytes phrase(const struct parser *p, struct bytes text, struct bytes *ret_comment)
{
	struct lexer l = lexer_within(&p->lexer, text);
	struct token t;
	char *out = text.len ? arena_get(p->arena, text.len) : NULL;
	size_t len = 0;
	bool spaced = false;

	while (lexer_next(&l, &t)) {
		if (t.kind == TOKEN_COMMENT) {
			spaced = true;
			if (ret_comment) {
				char *comment = arena_get(p->arena, t.text.len + 1);
				*ret_comment = bytes_trim(
				        bytes_of(comment, token_put(&t, comment)));
			}
			continue;
		}
		if (len > 0 && (t.spaced || spaced))
			out[len++] = ' ';
		spaced = false;
		len += token_put(&t, out + len);
	}
	return bytes_of(out, len);
}

/* All tokens but comments, without spaces between them. */
static struct bytes joined(const struct parser *p, struct bytes text)
{
	struct lexer l = lexer_within(&p->lexer, text);
	struct token t;
	char *out = text.len ? arena_get(p->arena, text.len) : NULL;
	size_t len = 0;

	while (lexer_next(&l, &t)) {
		if (t.kind != TOKEN_COMMENT)
			len += token_put(&t, out + len);
	}
	return bytes_of(out, len);
}

/* Position of the last @, or BYTES_NONE. */
static size_t find_at(const struct parser *p, struct bytes text)
{
	struct lexer l = lexer_within(&p->lexer, text);
	struct token t;
	size_t at = BYTES_NONE;

	while (lexer_next(&l, &t)) {
		if (t.kind == TOKEN_SPECIAL && t.special == '@')
			at = (size_t)(t.start - text.ptr);
	}
	return at;
}

/* "@a,@b:" at the start of what stands in the angle (RFC 5322, 4.4). */
static struct bytes take_route(const struct parser *p, struct bytes *text)
{
	struct bytes rest = bytes_trim(*text);
	if (rest.len == 0 || rest.ptr[0] != '@')
		return (struct bytes){0};
	struct lexer l = lexer_within(&p->lexer, rest);
	struct token t;
	while (lexer_next(&l, &t)) {
		if (t.kind == TOKEN_SPECIAL && t.special == ':') {
			*text = l.rest;
			return joined(p, between(rest.ptr, t.start));
		}
	}
	return (struct bytes){0};
}

static void read_angle(const struct parser *p, struct bytes angle, struct address *a)
{
	a->route = take_route(p, &angle);
	size_t at = find_at(p, angle);
	a->local = joined(p, bytes_first(angle, at == BYTES_NONE ? angle.len : at));
	a->bare = at == BYTES_NONE;
	if (!a->bare)
		a->domain = joined(p, bytes_skip(angle, at + 1));
}

/* Where the last word of the text begins; words that touch a dot belong together (RFC 5322,
 * 4.4). */
static size_t last_word(const struct parser *p, struct bytes text)
{
	struct lexer l = lexer_within(&p->lexer, text);
	struct token t;
	size_t start = 0;
	bool dot = true;

	while (lexer_next(&l, &t)) {
		if (t.kind == TOKEN_COMMENT)
			continue;
		bool begins_dot = t.kind == TOKEN_ATOM && t.text.ptr[0] == '.';
		if (t.spaced && !dot && !begins_dot)
			start = (size_t)(t.start - text.ptr);
		dot = t.kind == TOKEN_ATOM && t.text.ptr[t.text.len - 1] == '.';
	}
	return start;
}

/* Where the first word of the text ends. */
static size_t first_word(const struct parser *p, struct bytes text)
{
	struct lexer l = lexer_within(&p->lexer, text);
	struct token t;
	bool any = false, dot = true;

	while (lexer_next(&l, &t)) {
		if (t.kind == TOKEN_COMMENT)
			continue;
		bool begins_dot = t.kind == TOKEN_ATOM && t.text.ptr[0] == '.';
		if (any && t.spaced && !dot && !begins_dot)
			return (size_t)(t.start - text.ptr);
		any = true;
		dot = t.kind == TOKEN_ATOM && t.text.ptr[t.text.len - 1] == '.';
	}
	return text.len;
}

/* "ken@example.test", "ken @ example . test (Ken)", "Ken Sato ken@example.test". */
static void read_plain(const struct parser *p, struct bytes text, struct address *a)
{
	struct bytes comment = {0};
	size_t at = find_at(p, text);
	struct bytes before = bytes_first(text, at), after = bytes_skip(text, at + 1);
	size_t local = last_word(p, before), domain = first_word(p, after);

	a->local = joined(p, bytes_skip(before, local));
	a->domain = joined(p, bytes_first(after, domain));
	a->name = phrase(p, bytes_first(before, local), &comment);
	if (a->name.len == 0)
		a->name = phrase(p, bytes_skip(after, domain), &comment);
	phrase(p, bytes_first(after, domain), &comment);
	phrase(p, bytes_skip(before, local), comment.len ? NULL : &comment);
	if (a->name.len == 0)
		a->name = comment;
}

/* No @ anywhere: one word is a local part, more are a name. */
static void read_bare(const struct parser *p, struct bytes text, struct address *a)
{
	struct bytes comment = {0};
	struct bytes words = phrase(p, text, &comment);

	a->bare = true;
	if (words.len > 0 && bytes_find_char(words, ' ') == BYTES_NONE) {
		a->local = words;
		a->name = comment;
	} else {
		a->name = words.len ? words : comment;
	}
}

static void read_named(const struct parser *p, const struct item *item, struct address *a)
{
	struct bytes comment = {0};
	const char *open = item->angle.ptr - 1;
	const char *close = item->angle.ptr + item->angle.len;
	const char *end = item->text.ptr + item->text.len;
	struct bytes after = bytes_skip(between(close, end), 1);

	read_angle(p, item->angle, a);
	a->name = phrase(p, between(item->text.ptr, open), &comment);
	if (a->name.len == 0)
		a->name = phrase(p, after, &comment);
	else
		phrase(p, after, comment.len ? NULL : &comment);
	if (a->name.len == 0)
		a->name = comment;
}

static struct address *add(struct parser *p, enum address_kind kind)
{
	struct address *a = arena_get(p->arena, sizeof(*a));

	a->kind = kind;
	*p->tail = a;
	p->tail = &a->next;
	p->count++;
	return a;
}

static void add_mailbox(struct parser *p, const struct item *item)
{
	struct address a = {0};

	if (item->has_angle)
		read_named(p, item, &a);
	else if (item->has_at)
		read_plain(p, item->text, &a);
	else
		read_bare(p, item->text, &a);
	if (a.name.len == 0 && a.local.len == 0 && a.domain.len == 0)
		return; /* ", ," or "<>" */
	a.kind = ADDRESS_MAILBOX;
	*add(p, ADDRESS_MAILBOX) = a;
}

struct address *address_parse(struct bytes value, struct arena *arena)
{
	struct address *first = NULL;
	struct parser p = {
	        .lexer = lexer_of(value, lexer_address_specials), .arena = arena, .tail = &first};
	struct item item = {.end = ITEM_COMMA};

	while (item.end != ITEM_LAST && p.count < ADDRESS_LIST_MAX) {
		scan_item(&p, &item);
		if (item.end == ITEM_GROUP) {
			struct address *group = add(&p, ADDRESS_GROUP_START);
			group->name = phrase(&p, item.text, NULL);
			p.in_group = true;
			continue;
		}
		add_mailbox(&p, &item);
		if (item.end == ITEM_GROUP_END && p.in_group) {
			add(&p, ADDRESS_GROUP_END);
			p.in_group = false;
		}
	}
	if (p.in_group)
		add(&p, ADDRESS_GROUP_END);
	return first;
}

/* dot-atom (RFC 5322, 3.2.3), with UTF-8 (RFC 6532). */
static bool is_dot_atom(struct bytes local)
{
	if (local.len == 0 || local.ptr[0] == '.' || local.ptr[local.len - 1] == '.' ||
	    bytes_find(local, BYTES("..")) != BYTES_NONE)
		return false;
	for (size_t i = 0; i < local.len; i++) {
		unsigned char c = (unsigned char)local.ptr[i];
		if (c <= ' ' || c == 0x7f || strchr("()<>[]:;@\\,\"", c))
			return false;
	}
	return true;
}

static void put_quoted(struct bytes text, struct buf *out)
{
	buf_append_char(out, '"');
	for (size_t i = 0; i < text.len; i++) {
		if (text.ptr[i] == '"' || text.ptr[i] == '\\')
			buf_append_char(out, '\\');
		buf_append_char(out, text.ptr[i]);
	}
	buf_append_char(out, '"');
}

void address_put(const struct address *a, struct buf *out)
{
	if (is_dot_atom(a->local))
		buf_append(out, a->local);
	else
		put_quoted(a->local, out);
	if (!a->bare) {
		buf_append_char(out, '@');
		buf_append(out, a->domain);
	}
}

void address_put_display(const struct address *a, struct buf *out)
{
	if (a->kind == ADDRESS_GROUP_END) {
		buf_append_char(out, ';');
		return;
	}
	if (a->kind == ADDRESS_GROUP_START) {
		words_decode(a->name, out);
		buf_append_char(out, ':');
		return;
	}
	if (a->name.len > 0) {
		words_decode(a->name, out);
		buf_append_text(out, " <");
	}
	if (a->local.len > 0 || a->domain.len > 0)
		address_put(a, out);
	if (a->name.len > 0)
		buf_append_char(out, '>');
}
