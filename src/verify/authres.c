#include "verify/authres.h"

#include "base/text.h"

enum { LINE = 78, INDENT = 8 }; /* a tab counts as 8 */

/* ---- writing ---- */

struct writer {
	struct buf *out;
	size_t at; /* octets in the line */
};

/* A piece that must not be divided, on the next line where this one has no room for it. */
static void put(struct writer *w, struct bytes piece)
{
	if (w->at + 1 + piece.len > LINE && w->at > INDENT) {
		buf_append_text(w->out, "\r\n\t");
		w->at = INDENT;
	} else if (w->at > INDENT) {
		buf_append_char(w->out, ' ');
		w->at++;
	}
	buf_append(w->out, piece);
	w->at += piece.len;
}

static bool is_token_char(char c)
{
	return (unsigned char)c > ' ' && c != 0x7f && !memchr("()<>@,;:\\\"/[]?=", c, 15);
}

/* What an address's local part and a domain may hold without quotes (RFC 5322, 3.2.3; RFC 6532), and a colon for IPv6: not
 * in the grammar of RFC 8601, so it is quoted. */
static bool is_atom_char(char c)
{
	return text_is_alnum(c) || (unsigned char)c > 0x7f ||
	       memchr("!#$%&'*+-/=?^_`{|}~.", c, 20) != NULL;
}

static bool all(struct bytes text, bool (*is)(char))
{
	for (size_t i = 0; i < text.len; i++)
		if (!is(text.ptr[i]))
			return false;
	return text.len > 0;
}

/* pvalue: a token, or [local-part] "@" domain (RFC 8601, 2.2). */
static bool is_plain(struct bytes value)
{
	size_t at = bytes_find_char(value, '@');

	if (at == BYTES_NONE)
		return all(value, is_token_char);
	return (at == 0 || all(bytes_first(value, at), is_atom_char)) &&
	       all(bytes_skip(value, at + 1), is_atom_char);
}

/* Control characters would end the line or the field. What is no UTF-8 would spoil the header. */
static void put_text(struct buf *out, struct bytes text, bool quoted)
{
	bool utf8 = text_is_utf8(text);

	for (size_t i = 0; i < text.len; i++) {
		char c = text.ptr[i];

		if ((unsigned char)c < ' ' || c == 0x7f || (!utf8 && (unsigned char)c > 0x7f))
			c = '?';
		if (quoted && (c == '"' || c == '\\'))
			buf_append_char(out, '\\');
		buf_append_char(out, c);
	}
}

/* The cut is made between characters. */
static struct bytes cut(struct bytes text)
{
	size_t len = AUTHRES_VALUE;

	if (text.len <= len)
		return text;
	while (len > 0 && ((unsigned char)text.ptr[len] & 0xc0) == 0x80)
		len--;
	return bytes_first(text, len);
}

static void put_value(struct buf *out, struct bytes value)
{
	bool plain;

	value = cut(value);
	plain = is_plain(value) && text_is_utf8(value);
	if (!plain)
		buf_append_char(out, '"');
	put_text(out, value, !plain);
	if (!plain)
		buf_append_char(out, '"');
}

static void put_row(struct writer *w, const struct authres_row *row, bool last)
{
	struct buf piece = {0};

	buf_printf(&piece, "%s=%s", row->method, row->result);
	if (row->reason.len > 0) {
		put(w, buf_bytes(&piece));
		buf_clear(&piece);
		buf_append_text(&piece, "reason=\"");
		put_text(&piece, cut(row->reason), true);
		buf_append_char(&piece, '"');
	}
	for (size_t i = 0; i < AUTHRES_PROPERTIES && row->properties[i].ptype; i++) {
		const struct authres_property *p = &row->properties[i];

		if (p->value.len == 0)
			continue;
		put(w, buf_bytes(&piece));
		buf_clear(&piece);
		buf_printf(&piece, "%s.%s=", p->ptype, p->property);
		put_value(&piece, p->value);
	}
	if (!last)
		buf_append_char(&piece, ';');
	put(w, buf_bytes(&piece));
	buf_done(&piece);
}

void authres_put_value(struct bytes authserv_id, const struct authres_row *rows, size_t count,
                       size_t at, struct buf *out)
{
	struct writer w = {out, at};
	struct buf id = {0};

	put_value(&id, authserv_id);
	buf_append_text(&id, count > 0 ? ";" : "; none");
	put(&w, buf_bytes(&id));
	buf_done(&id);
	for (size_t i = 0; i < count; i++) {
		/* A method a line: people read this. */
		buf_append_text(out, "\r\n\t");
		w.at = INDENT;
		put_row(&w, &rows[i], i + 1 == count);
	}
}

void authres_put(struct bytes authserv_id, const struct authres_row *rows, size_t count,
                 struct buf *out)
{
	static const char name[] = "Authentication-Results:";

	buf_append_text(out, name);
	authres_put_value(authserv_id, rows, count, sizeof(name) - 1, out);
	buf_append_text(out, "\r\n");
}

/* ---- reading ---- */

static struct bytes skip_blanks(struct bytes b)
{
	while (b.len > 0 && (text_is_blank(b.ptr[0]) || b.ptr[0] == '\r' || b.ptr[0] == '\n'))
		b = bytes_skip(b, 1);
	return b;
}

/* A comment and those within it. False: it is never closed. */
static bool skip_comment(struct bytes *b)
{
	size_t depth = 0;

	for (size_t i = 0; i < b->len; i++) {
		char c = b->ptr[i];

		if (c == '\\')
			i++;
		else if (c == '(')
			depth++;
		else if (c == ')' && --depth == 0) {
			*b = bytes_skip(*b, i + 1);
			return true;
		}
	}
	return false;
}

static bool skip_white(struct bytes *b)
{
	*b = skip_blanks(*b);
	while (b->len > 0 && b->ptr[0] == '(') {
		if (!skip_comment(b))
			return false;
		*b = skip_blanks(*b);
	}
	return true;
}

/* Compares a quoted string, escapes undone, as it is read. False: it is never closed. */
static bool quoted_id(struct bytes *b, struct bytes id, bool *ret_equal)
{
	size_t at = 0;

	*ret_equal = true;
	for (size_t i = 1; i < b->len; i++) {
		char c = b->ptr[i];

		if (c == '"') {
			*ret_equal = *ret_equal && at == id.len;
			*b = bytes_skip(*b, i + 1);
			return true;
		}
		if (c == '\r' || c == '\n')
			continue;
		if (c == '\\' && i + 1 < b->len)
			c = b->ptr[++i];
		*ret_equal = *ret_equal && at < id.len &&
		             text_lower_char(c) == text_lower_char(id.ptr[at]);
		at++;
	}
	return false;
}

static bool plain_id(struct bytes *b, struct bytes id)
{
	size_t len = 0;
	struct bytes word;

	while (len < b->len && is_token_char(b->ptr[len]))
		len++;
	word = bytes_first(*b, len);
	*b = bytes_skip(*b, len);
	if (word.len > 0 && word.ptr[word.len - 1] == '.')
		word.len--;
	return bytes_equal_nocase(word, id);
}

/* What may follow the id: its end, a semicolon, or a version. */
static bool is_well_followed(struct bytes rest)
{
	if (!skip_white(&rest))
		return false;
	return rest.len == 0 || rest.ptr[0] == ';' || text_is_digit(rest.ptr[0]);
}

bool authres_is_ours(struct bytes value, struct bytes authserv_id)
{
	struct bytes rest = value;
	bool clear = skip_white(&rest), ours = false;

	if (clear && rest.len > 0 && rest.ptr[0] == '"')
		clear = quoted_id(&rest, authserv_id, &ours);
	else if (clear)
		ours = plain_id(&rest, authserv_id);
	if (clear && is_well_followed(rest))
		return ours;
	return ours || bytes_find_nocase(value, authserv_id) != BYTES_NONE;
}

/* ---- what another host reports ---- */

/* Copies without comments, quotes undone: the quoted octets must not be taken for marks, so those that could be are made '?'. */
static bool plain_copy(struct bytes value, struct buf *out)
{
	bool quoted = false;

	while (value.len > 0) {
		char c = value.ptr[0];

		if (!quoted && c == '(') {
			if (!skip_comment(&value))
				return false;
			buf_append_char(out, ' ');
			continue;
		}
		value = bytes_skip(value, 1);
		if (c == '"') {
			quoted = !quoted;
			continue;
		}
		if (quoted && c == '\\' && value.len > 0) {
			c = value.ptr[0];
			value = bytes_skip(value, 1);
		}
		if (quoted && (c == ';' || c == '=' || (unsigned char)c <= ' '))
			c = '?';
		buf_append_char(out, text_is_blank(c) || c == '\r' || c == '\n' ? ' ' : c);
	}
	return !quoted;
}

static bool is_pair(struct bytes word, struct bytes name, struct bytes value)
{
	return word.len == name.len + 1 + value.len && bytes_starts_nocase(word, name) &&
	       word.ptr[name.len] == '=' &&
	       bytes_equal_nocase(bytes_skip(word, name.len + 1), value);
}

static bool part_says(struct bytes part, struct bytes method, struct bytes result,
                      struct bytes property, struct bytes wanted)
{
	struct bytes word;
	bool first = true;

	part = bytes_trim(part);
	while (bytes_cut(&part, ' ', &word)) {
		if (word.len == 0)
			continue;
		if (first && !is_pair(word, method, result))
			return false;
		if (!first && is_pair(word, property, wanted))
			return true;
		first = false;
	}
	return false;
}

bool authres_says(struct bytes value, struct bytes method, struct bytes result,
                  struct bytes property, struct bytes wanted)
{
	struct buf text = {0};
	struct bytes rest, part;
	bool says = false, first = true;

	if (plain_copy(value, &text)) {
		for (rest = buf_bytes(&text); !says && bytes_cut(&rest, ';', &part); first = false)
			says = !first && part_says(part, method, result, property, wanted);
	}
	buf_done(&text);
	return says;
}
