/* The PROXY header: what is taken of a whole is what is taken of its beginning, once that is enough. */
#include <stdlib.h>

#include "proxy/proxy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct proxy_header whole, part;
	int taken = proxy_parse(bytes_of(data, size), &whole);

	if (taken > (int)size || taken < PROXY_BROKEN)
		abort();
	for (size_t len = 0; len < size && len < 600; len++) {
		int now = proxy_parse(bytes_of(data, len), &part);

		if (now > 0 && now != taken)
			abort();
		if (now == PROXY_BROKEN && taken != PROXY_BROKEN)
			abort();
		if (now == 0 && taken > 0 && (size_t)taken <= len)
			abort();
	}
	return 0;
}
