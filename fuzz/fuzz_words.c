/* Text of header fields: decoding gives one line of UTF-8 of bounded length; encoding and
 * decoding give the text back. */
#include <stdlib.h>

#include "base/text.h"
#include "mail/words.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool good)
{
	if (!good)
		abort();
}

static void check_params(struct bytes in)
{
	struct arena arena = {0};
	struct bytes type, subtype;
	struct mime_param *params;
	struct buf out = {0};

	mime_value_parse(in, &arena, &type, &subtype, &params);
	for (const struct mime_param *p = params; p; p = p->next) {
		words_param(params, bytes_first(p->name, bytes_find_char(p->name, '*')), &out);
		check(text_is_utf8(buf_bytes(&out)));
		buf_clear(&out);
	}
	buf_done(&out);
	arena_done(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf text = {0}, words = {0}, back = {0};

	words_decode(bytes_of(data, size), &text);
	check(text_is_utf8(buf_bytes(&text)));
	check(buf_len(&text) <= 3 * size + 3 * 64);
	for (size_t i = 0; i < buf_len(&text); i++)
		check((unsigned char)buf_bytes(&text).ptr[i] >= ' ');
	words_encode(buf_bytes(&text), 9, &words);
	check(text_is_ascii(buf_bytes(&words)));
	words_decode(buf_bytes(&words), &back);
	if (!text_is_ascii(buf_bytes(&text)) &&
	    !bytes_starts(buf_bytes(&text), BYTES("\xef\xbb\xbf")))
		check(bytes_equal(buf_bytes(&back), buf_bytes(&text)));
	check_params(bytes_of(data, size));
	buf_done(&text);
	buf_done(&words);
	buf_done(&back);
	return 0;
}
