/* The base subject of RFC 5256, 2.1. */
#include "base/text.h"
#include "mail/summary.h"
#include "mail/words.h"

/* One space for each run of white space. */
static struct bytes collapse(struct buf *b)
{
	char *text = b->ptr + b->start;
	size_t len = 0;

	for (size_t i = 0; i < buf_len(b); i++) {
		bool space = text_is_blank(text[i]) || text[i] == '\r' || text[i] == '\n';
		if (!space)
			text[len++] = text[i];
		else if (len > 0 && text[len - 1] != ' ')
			text[len++] = ' ';
	}
	return bytes_of(text, len);
}

static struct bytes skip_blanks(struct bytes b)
{
	while (b.len > 0 && b.ptr[0] == ' ')
		b = bytes_skip(b, 1);
	return b;
}

/* "[list]" and blanks after it; false: none. */
static bool skip_blob(struct bytes *b)
{
	if (b->len == 0 || b->ptr[0] != '[')
		return false;
	for (size_t i = 1; i < b->len && b->ptr[i] != '['; i++) {
		if (b->ptr[i] == ']') {
			*b = skip_blanks(bytes_skip(*b, i + 1));
			return true;
		}
	}
	return false;
}

/* "Re:", "Fwd [list] :" */
static bool skip_reply(struct bytes *b)
{
	static const char *const words[] = {"re", "fwd", "fw"};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		struct bytes word = bytes_of_text(words[i]), rest = *b;
		if (!bytes_starts_nocase(rest, word))
			continue;
		rest = skip_blanks(bytes_skip(rest, word.len));
		skip_blob(&rest);
		if (rest.len > 0 && rest.ptr[0] == ':') {
			*b = skip_blanks(bytes_skip(rest, 1));
			return true;
		}
	}
	return false;
}

static bool strip_trailer(struct bytes *b)
{
	bool stripped = false;

	for (;;) {
		if (b->len > 0 && b->ptr[b->len - 1] == ' ') {
			b->len--;
		} else if (b->len >= 5 &&
		           bytes_equal_nocase(bytes_skip(*b, b->len - 5), BYTES("(fwd)"))) {
			b->len -= 5;
			stripped = true;
		} else {
			return stripped;
		}
	}
}

/* Replies with any blobs before them; then blobs as long as something is left. Each octet is
 * looked at twice at most: when no reply follows the blobs, none follows some of them either. */
static bool strip_leaders(struct bytes *b)
{
	bool stripped = false;

	for (;;) {
		struct bytes rest = skip_blanks(*b);
		while (skip_blob(&rest))
			;
		if (!skip_reply(&rest))
			break;
		*b = rest;
		stripped = true;
	}
	*b = skip_blanks(*b);
	struct bytes rest = *b;
	while (skip_blob(&rest) && rest.len > 0)
		*b = rest;
	return stripped;
}

void summary_base_subject(struct bytes subject, struct buf *out, bool *ret_reply)
{
	struct buf decoded = {0};
	bool reply = false;

	words_decode(subject, &decoded);
	struct bytes b = collapse(&decoded);
	for (;;) {
		reply |= strip_trailer(&b);
		reply |= strip_leaders(&b);
		if (b.len < 6 || !bytes_starts_nocase(b, BYTES("[fwd:")) || b.ptr[b.len - 1] != ']')
			break;
		b = bytes_of(b.ptr + 5, b.len - 6);
		reply = true;
	}
	buf_append(out, b);
	buf_done(&decoded);
	if (ret_reply)
		*ret_reply = reply;
}
