#include "store/trace_scan.h"

#include "base/text.h"
#include "store/escrow.h"

/* What may stand in an address, Message-ID or number (RFC 5322, 3.2.3, and UTF-8). */
static bool is_word(char c)
{
	static const char others[] = "!#$%&'*+-/=?^_`{|}~.@:[]";

	return text_is_alnum(c) || (unsigned char)c >= 0x80 ||
	       (c && memchr(others, c, sizeof(others) - 1));
}

static bool trimmed(char c)
{
	return c == '.' || c == ':' || c == '\'' || c == '[' || c == ']' || c == '?' || c == '!';
}

static struct bytes trim(struct bytes w)
{
	while (w.len && trimmed(w.ptr[0]))
		w = bytes_skip(w, 1);
	while (w.len && trimmed(w.ptr[w.len - 1]))
		w.len--;
	return w;
}

static int hex_digit(char c)
{
	if (text_is_digit(c))
		return c - '0';
	c = text_lower_char(c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool read_number(struct bytes w, uint64_t *ret)
{
	uint64_t n = 0;

	if (w.len < 8 || w.len > 16)
		return false;
	for (size_t i = 0; i < w.len; i++) {
		int d = hex_digit(w.ptr[i]);

		if (d < 0)
			return false;
		n = n << 4 | (unsigned)d;
	}
	*ret = n;
	return n > 0 && n <= INT64_MAX;
}

/* "rfc822;ken@example.test", "mailto:ken@example.test", "to=ken@example.test" */
static struct bytes after_label(struct bytes w)
{
	size_t at = bytes_find_char(w, '@'), cut = BYTES_NONE;

	for (size_t i = 0; i < at && i < w.len; i++) {
		if (w.ptr[i] == ':' || (w.ptr[i] == '=' && i < 8))
			cut = i;
	}
	return cut == BYTES_NONE ? w : bytes_skip(w, cut + 1);
}

static bool read_time(struct bytes w, uint64_t *ret)
{
	return bytes_starts(w, BYTES("time=")) &&
	       bytes_to_u64(bytes_skip(w, 5), 1ULL << 43, ret) == OK && *ret > 0;
}

/* "mail.example.test": labels, the last one of letters. A file's name may be one, too, and is found nowhere. */
static bool is_host(struct bytes w)
{
	size_t dot = bytes_find_last(w, '.');

	if (dot == BYTES_NONE || dot == 0 || w.len > 253 || w.len < dot + 3)
		return false;
	for (size_t i = 0; i < w.len; i++) {
		char c = w.ptr[i];

		if (i > dot ? !text_is_alpha(c)
		            : !text_is_alnum(c) && c != '-' && c != '.' && c != '_')
			return false;
	}
	return true;
}

static bool read_clue(struct bytes word, struct trace_clue *ret)
{
	struct bytes w = trim(word);
	size_t at;

	*ret = (struct trace_clue){.text = w};
	if (ip_parse(w, &ret->ip) == OK) {
		ret->kind = TRACE_IP;
		return true;
	}
	if (read_number(w, &ret->number)) {
		ret->kind = TRACE_MAIL;
		return true;
	}
	if (judgement_of_id(w, &ret->number)) {
		ret->kind = TRACE_JUDGEMENT;
		return true;
	}
	if (read_time(w, &ret->number)) {
		ret->kind = TRACE_TIME;
		return true;
	}
	if (is_host(w)) {
		ret->kind = TRACE_HOST;
		return true;
	}
	w = after_label(w);
	at = bytes_find_char(w, '@');
	ret->kind = TRACE_ADDRESS;
	ret->text = w;
	return at != BYTES_NONE && at > 0 && at + 1 < w.len && w.len <= 998;
}

static bool same(const struct trace_clue *a, const struct trace_clue *b)
{
	bool numbers = a->kind == TRACE_MAIL || a->kind == TRACE_JUDGEMENT || a->kind == TRACE_TIME;

	return a->kind == b->kind &&
	       (numbers ? a->number == b->number : bytes_equal_nocase(a->text, b->text));
}

size_t trace_scan(struct bytes text, struct trace_clue list[TRACE_CLUES])
{
	size_t count = 0, at = 0;

	text = bytes_first(text, TRACE_TEXT_MAX);
	while (at < text.len && count < TRACE_CLUES) {
		size_t start = at, i;

		while (at < text.len && is_word(text.ptr[at]))
			at++;
		if (at == start) {
			at++;
			continue;
		}
		if (!read_clue(bytes_of(text.ptr + start, at - start), &list[count]))
			continue;
		for (i = 0; i < count && !same(&list[i], &list[count]); i++)
			;
		count += i == count;
	}
	return count;
}
