/* Body decoding: the first octet chooses encoding and split; any split gives the same octets,
 * never more than came in. */
#include <stdlib.h>

#include "mail/body.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool good)
{
	if (!good)
		abort();
}

static void decode(enum mime_encoding encoding, struct bytes in, size_t step, struct buf *out)
{
	struct body_decoder d = body_decoder_of(encoding);

	for (; in.len > 0; in = bytes_skip(in, step))
		body_decode(&d, bytes_first(in, step), out);
	body_decode_end(&d, out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf whole = {0}, pieces = {0}, encoded = {0};

	if (size == 0)
		return 0;
	struct bytes in = bytes_of(data + 1, size - 1);
	enum mime_encoding encoding = data[0] & 1 ? MIME_BASE64 : MIME_QUOTED;
	decode(encoding, in, SIZE_MAX, &whole);
	decode(encoding, in, 1 + (data[0] >> 1), &pieces);
	check(bytes_equal(buf_bytes(&whole), buf_bytes(&pieces)));
	check(buf_len(&whole) <= in.len);
	body_encode_base64(in, &encoded);
	buf_clear(&whole);
	decode(MIME_BASE64, buf_bytes(&encoded), 5, &whole);
	check(bytes_equal(buf_bytes(&whole), in));
	buf_done(&whole);
	buf_done(&pieces);
	buf_done(&encoded);
	return 0;
}
