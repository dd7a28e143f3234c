#include "smtp/client_reply.h"

#include "base/text.h"
#include "smtp/client.h"

void smtp_reader_clear(struct smtp_reader *r)
{
	buf_clear(&r->line);
	buf_clear(&r->lines);
	r->code = 0;
}

void smtp_reader_done(struct smtp_reader *r)
{
	buf_done(&r->line);
	buf_done(&r->lines);
}

static enum smtp_reader_state broken(struct smtp_reader *r, const char *why)
{
	r->broken = why;
	return SMTP_READER_BROKEN;
}

static bool has_code(struct bytes line)
{
	return line.len >= 3 && line.ptr[0] >= '2' && line.ptr[0] <= '5' &&
	       text_is_digit(line.ptr[1]) && text_is_digit(line.ptr[2]) &&
	       (line.len == 3 || line.ptr[3] == ' ' || line.ptr[3] == '-');
}

static enum smtp_reader_state take_line(struct smtp_reader *r, struct bytes line)
{
	uint16_t code;

	if (line.len > 0 && line.ptr[line.len - 1] == '\r')
		line.len--;
	if (!has_code(line))
		return broken(r, "its reply does not begin with a code");
	code = (uint16_t)((line.ptr[0] - '0') * 100 + (line.ptr[1] - '0') * 10 + line.ptr[2] - '0');
	if (r->code && r->code / 100 != code / 100)
		return broken(r, "the lines of its reply have codes that contradict each other");
	r->code = code;
	buf_append(&r->lines, bytes_skip(line, 4));
	buf_append_char(&r->lines, '\n');
	if (buf_len(&r->lines) > SMTP_CLIENT_REPLY)
		return broken(r, "its reply does not end");
	return line.len > 3 && line.ptr[3] == '-' ? SMTP_READER_MORE : SMTP_READER_WHOLE;
}

size_t smtp_reader_feed(struct smtp_reader *r, struct bytes in, enum smtp_reader_state *ret)
{
	size_t taken = 0;

	*ret = r->broken ? SMTP_READER_BROKEN : SMTP_READER_MORE;
	while (*ret == SMTP_READER_MORE && taken < in.len) {
		struct bytes rest = bytes_skip(in, taken);
		size_t lf = bytes_find_char(rest, '\n');
		size_t room = SMTP_CLIENT_LINE - buf_len(&r->line);
		size_t len = lf == BYTES_NONE ? rest.len : lf;

		if (len > room) {
			*ret = broken(r, "a line of its reply does not end");
			break;
		}
		buf_append(&r->line, bytes_first(rest, len));
		taken += len + (lf != BYTES_NONE);
		if (lf == BYTES_NONE)
			break;
		*ret = take_line(r, buf_bytes(&r->line));
		buf_clear(&r->line);
	}
	return taken;
}

/* ---- what it says ---- */

/* "5.1.1" at the text's beginning (RFC 3463, 2); 0: there is none. */
static size_t enhanced_len(struct bytes text, unsigned class)
{
	size_t at = 0;

	for (int part = 0; part < 3; part++) {
		size_t digits = 0;

		while (at < text.len && text_is_digit(text.ptr[at]) && digits < 4) {
			at++;
			digits++;
		}
		if (digits == 0 || digits > (part ? 3 : 1))
			return 0;
		if (part < 2 && (at >= text.len || text.ptr[at++] != '.'))
			return 0;
	}
	if (text.ptr[0] != (char)('0' + class) || (at < text.len && !text_is_blank(text.ptr[at])))
		return 0;
	return at;
}

struct bytes smtp_reader_enhanced(const struct smtp_reader *r, struct arena *arena)
{
	struct bytes text = buf_bytes(&r->lines), line;

	while (bytes_cut(&text, '\n', &line)) {
		size_t len = enhanced_len(line, r->code / 100);

		if (len)
			return arena_copy(arena, bytes_first(line, len));
	}
	return arena_printf(arena, "%u.0.0", r->code / 100);
}

struct bytes smtp_clean(struct bytes text, size_t max, struct arena *arena)
{
	char *out = arena_get(arena, text.len < max ? text.len + 1 : max + 1);
	size_t len = 0;

	while (text.len > 0) {
		uint32_t code;
		int n = text_utf8_next(text, &code);
		size_t octets = n > 0 ? (size_t)n : 1;

		if (len + octets > max)
			break;
		if (n > 0 && code >= ' ' && code != 0x7f && !(code >= 0x80 && code < 0xa0))
			memcpy(out + len, text.ptr, octets);
		else
			memset(out + len, n > 0 && code == '\t' ? ' ' : '?', octets);
		len += octets;
		text = bytes_skip(text, octets);
	}
	return bytes_of(out, len);
}

struct bytes smtp_reader_text(const struct smtp_reader *r, struct arena *arena)
{
	struct bytes text = buf_bytes(&r->lines), line, result;
	struct buf all = {0};
	bool first = true;

	buf_printf(&all, "%u", r->code);
	while (bytes_cut(&text, '\n', &line) && buf_len(&all) < 4 * SMTP_CLIENT_TEXT) {
		/* Each line repeats the enhanced code (RFC 2034, 4); one is enough. */
		if (!first)
			line = bytes_skip(line, enhanced_len(line, r->code / 100));
		line = bytes_trim(line);
		first = false;
		if (line.len == 0)
			continue;
		buf_append_char(&all, ' ');
		buf_append(&all, line);
	}
	result = smtp_clean(buf_bytes(&all), SMTP_CLIENT_TEXT, arena);
	buf_done(&all);
	return result;
}
