/* The codec of asks and answers: what decodes encodes to the same octets. */
#include <stdlib.h>

#include "ask/ask.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool good)
{
	if (!good)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes in = bytes_of(data, size);
	struct arena arena = {0};
	struct buf out = {0};
	struct answer answer;
	struct ask ask;

	if (ask_decode(in, &arena, &ask) == OK) {
		ask = ask_copy(&arena, &ask);
		ask_encode(&ask, &out);
		check(bytes_equal(buf_bytes(&out), in));
	}
	buf_clear(&out);
	if (answer_decode(in, &arena, &answer) == OK) {
		answer = answer_copy(&arena, &answer);
		answer_encode(&answer, &out);
		check(bytes_equal(buf_bytes(&out), in));
	}
	buf_done(&out);
	arena_done(&arena);
	return 0;
}
