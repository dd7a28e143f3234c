/* Effects of a record: what decodes encodes, and decodes again to the same. */
#include <stdlib.h>

#include "store/change.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool good)
{
	if (!good)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct wire w = wire_of(bytes_of(data, size)), again;
	struct buf first = {0}, second = {0};
	struct change c;

	while (change_decode(&w, &c)) {
		check(change_name(c.kind)[0] != '\0');
		change_encode(&c, &first);
	}
	again = wire_of(buf_bytes(&first));
	while (change_decode(&again, &c))
		change_encode(&c, &second);
	check(!again.bad);
	check(bytes_equal(buf_bytes(&first), buf_bytes(&second)));
	buf_done(&first);
	buf_done(&second);
	return 0;
}
