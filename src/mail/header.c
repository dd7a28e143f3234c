#include "mail/header.h"

#include "base/text.h"

/* Octets of the first line, its line end included. */
static size_t line_len(struct bytes b)
{
	size_t lf = bytes_find_char(b, '\n');
	return lf == BYTES_NONE ? b.len : lf + 1;
}

static bool is_blank_line(struct bytes line)
{
	return line.len == 0 || line.ptr[0] == '\n' ||
	       (line.ptr[0] == '\r' && (line.len == 1 || line.ptr[1] == '\n'));
}

static struct bytes without_line_end(struct bytes line)
{
	if (line.len > 0 && line.ptr[line.len - 1] == '\n')
		line.len--;
	if (line.len > 0 && line.ptr[line.len - 1] == '\r')
		line.len--;
	return line;
}

/* Octets of a field: its line and the lines that go on with a blank. */
static size_t field_len(struct bytes b)
{
	size_t len = line_len(b);

	while (len < b.len && text_is_blank(b.ptr[len]))
		len += line_len(bytes_skip(b, len));
	return len;
}

static bool split_field(struct bytes whole, struct header_field *ret)
{
	size_t i = 0;

	while (i < whole.len && (unsigned char)whole.ptr[i] > ' ' && whole.ptr[i] != ':')
		i++;
	size_t name_len = i;
	while (i < whole.len && text_is_blank(whole.ptr[i]))
		i++;
	if (name_len == 0 || i == whole.len || whole.ptr[i] != ':')
		return false;
	ret->name = bytes_first(whole, name_len);
	ret->value = without_line_end(bytes_skip(whole, i + 1));
	ret->whole = whole;
	return true;
}

bool header_next(struct bytes *rest, struct header_field *ret)
{
	while (rest->len > 0) {
		if (is_blank_line(*rest)) {
			*rest = bytes_skip(*rest, line_len(*rest));
			return false;
		}
		struct bytes whole = bytes_first(*rest, field_len(*rest));
		*rest = bytes_skip(*rest, whole.len);
		if (split_field(whole, ret))
			return true;
	}
	return false;
}

bool header_find(struct bytes header, struct bytes name, struct header_field *ret)
{
	struct header_field f;

	while (header_next(&header, &f)) {
		if (bytes_equal_nocase(f.name, name)) {
			*ret = f;
			return true;
		}
	}
	return false;
}

size_t header_len(struct bytes mail)
{
	size_t at = 0;

	while (at < mail.len) {
		struct bytes line = bytes_skip(mail, at);
		at += line_len(line);
		if (is_blank_line(line))
			break;
	}
	return at;
}

struct bytes header_unfold(struct bytes value, struct arena *arena)
{
	value = bytes_trim(value);
	if (bytes_find_char(value, '\n') == BYTES_NONE &&
	    bytes_find_char(value, '\r') == BYTES_NONE &&
	    bytes_find_char(value, '\0') == BYTES_NONE)
		return value;
	char *out = arena_get(arena, value.len);
	size_t len = 0;
	for (size_t i = 0; i < value.len; i++) {
		char c = value.ptr[i];
		if (c != '\r' && c != '\n' && c != '\0')
			out[len++] = c;
	}
	return bytes_of(out, len);
}
