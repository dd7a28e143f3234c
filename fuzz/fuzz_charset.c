/* Charsets: the first octet chooses the label; whatever follows becomes UTF-8 of bounded length,
 * folds, normalises. */
#include <stdlib.h>

#include "base/limits.h"
#include "base/text.h"
#include "mail/charset.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool good)
{
	if (!good)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const labels[] = {"iso-2022-jp", "shift_jis",    "euc-jp",  "utf-8",
	                                     "us-ascii",    "utf-7",        "gb18030", "big5",
	                                     "iso-2022-kr", "windows-1252", "utf-16",  "koi8-r"};
	struct buf out = {0}, folded = {0};

	if (size == 0)
		return 0;
	struct bytes in = bytes_of(data + 1, size - 1);
	struct bytes label = bytes_of_text(labels[data[0] % (sizeof(labels) / sizeof(labels[0]))]);
	check(charset_to_utf8(label, in, &out) == OK);
	check(text_is_utf8(buf_bytes(&out)));
	check(buf_len(&out) <= 3 * in.len + 3);
	charset_fold(in, &folded);
	check(text_is_utf8(buf_bytes(&folded)));
	buf_clear(&folded);
	check(charset_nfc(buf_bytes(&out), &folded) == OK);
	buf_clear(&folded);
	if (charset_domain_to_ascii(bytes_first(in, 300), &folded) == OK)
		check(text_is_ascii(buf_bytes(&folded)) && buf_len(&folded) <= LIMIT_DOMAIN);
	buf_done(&out);
	buf_done(&folded);
	return 0;
}
