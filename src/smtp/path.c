#include "smtp/path.h"

#include "base/text.h"

/* Length up to the > that ends the path, quoted strings passed over; BYTES_NONE: there is none. */
static size_t path_end(struct bytes path)
{
	bool quoted = false;

	for (size_t i = 0; i < path.len; i++) {
		char c = path.ptr[i];

		if (c == '\\' && quoted)
			i++;
		else if (c == '"')
			quoted = !quoted;
		else if (c == '>' && !quoted)
			return i;
	}
	return BYTES_NONE;
}

/* "@one,@two:user@three": RFC 5321, 4.1.1.3 wants the route ignored. */
static struct bytes without_route(struct bytes path)
{
	size_t colon;

	if (path.len == 0 || path.ptr[0] != '@')
		return path;
	colon = bytes_find_char(path, ':');
	return colon == BYTES_NONE ? path : bytes_skip(path, colon + 1);
}

static struct bytes skip_blanks(struct bytes b)
{
	while (b.len > 0 && text_is_blank(b.ptr[0]))
		b = bytes_skip(b, 1);
	return b;
}

enum result smtp_path_cut(struct bytes args, struct bytes keyword, struct bytes *ret_address,
                          struct bytes *ret_params)
{
	size_t end;
	bool brackets;

	if (!bytes_starts_nocase(args, keyword))
		return NOT_FOUND;
	args = skip_blanks(bytes_skip(args, keyword.len));
	if (args.len == 0)
		return NOT_FOUND;
	brackets = args.ptr[0] == '<';
	if (brackets) {
		args = bytes_skip(args, 1);
		end = path_end(args);
		if (end == BYTES_NONE)
			return INVALID;
	} else {
		end = bytes_find_char(args, ' ');
		end = end == BYTES_NONE ? args.len : end;
	}
	*ret_address = without_route(bytes_first(args, end));
	*ret_params = bytes_skip(args, brackets ? end + 1 : end);
	/* "<a@b>SIZE=1": a parameter begins with a blank. */
	if (ret_params->len > 0 && !text_is_blank(ret_params->ptr[0]))
		return INVALID;
	return OK;
}

static bool is_value_char(char c)
{
	return (unsigned char)c > ' ' && c != '=' && c != 0x7f;
}

/* RFC 5321, 4.1.2: esmtp-param. Values may be UTF-8 (RFC 6531, 3.3). */
bool smtp_param_next(struct bytes *params, struct bytes *ret_name, struct bytes *ret_value,
                     bool *ret_has_value)
{
	struct bytes rest = skip_blanks(*params);
	size_t len = 0, value;

	if (rest.len == 0) {
		*params = rest;
		return false;
	}
	while (len < rest.len &&
	       (text_is_alnum(rest.ptr[len]) || (rest.ptr[len] == '-' && len > 0)))
		len++;
	*ret_name = bytes_first(rest, len);
	*ret_has_value = len < rest.len && rest.ptr[len] == '=';
	value = len + (*ret_has_value ? 1 : 0);
	for (len = value; len < rest.len && is_value_char(rest.ptr[len]);)
		len++;
	*ret_value = bytes_of(rest.ptr + value, len - value);
	if (ret_name->len == 0 || (*ret_has_value && ret_value->len == 0) ||
	    (!*ret_has_value && ret_value->len > 0) ||
	    (len < rest.len && !text_is_blank(rest.ptr[len])))
		return false;
	*params = bytes_skip(rest, len);
	return true;
}

static int hex_digit(char c)
{
	if (text_is_digit(c))
		return c - '0';
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

enum result smtp_xtext_decode(struct bytes in, struct arena *arena, struct bytes *ret)
{
	char *out = arena_get(arena, in.len + 1);
	size_t len = 0;

	for (size_t i = 0; i < in.len; i++) {
		int high, low;

		if (in.ptr[i] != '+') {
			out[len++] = in.ptr[i];
			continue;
		}
		high = i + 1 < in.len ? hex_digit(in.ptr[i + 1]) : -1;
		low = i + 2 < in.len ? hex_digit(in.ptr[i + 2]) : -1;
		if (high < 0 || low < 0)
			return INVALID;
		out[len++] = (char)(high * 16 + low);
		i += 2;
	}
	*ret = bytes_of(out, len);
	return OK;
}

uint8_t smtp_notify_parse(struct bytes value)
{
	uint8_t bits = 0;
	struct bytes one;

	if (bytes_equal_nocase(value, BYTES("NEVER")))
		return 1;
	while (bytes_cut(&value, ',', &one)) {
		if (bytes_equal_nocase(one, BYTES("SUCCESS")))
			bits |= 2;
		else if (bytes_equal_nocase(one, BYTES("FAILURE")))
			bits |= 4;
		else if (bytes_equal_nocase(one, BYTES("DELAY")))
			bits |= 8;
		else
			return 0;
	}
	return bits;
}
