/* What master takes from a role, and web from the command line: anything is decoded or refused, and what is decoded is written
 * again the same. */
#include <stdlib.h>

#include "roles/admin.h"
#include "roles/orders.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_order(struct bytes in)
{
	struct order o, again;
	struct buf out = {0};

	if (order_decode(in, &o) != OK)
		return;
	order_encode(&o, &out);
	if (order_decode(buf_bytes(&out), &again) != OK || !bytes_equal(o.text, again.text) ||
	    o.number != again.number)
		abort();
	buf_done(&out);
}

static void try_frames(struct bytes in)
{
	enum admin_frame kind;
	struct bytes body;
	size_t len;

	while (admin_frame_take(in, &kind, &body, &len) == OK) {
		struct arena arena = {0};
		struct ask a;

		if (len == 0 || len > in.len)
			abort();
		if (kind == ADMIN_FRAME_ASK && ask_decode(body, &arena, &a) == OK &&
		    a.kind >= ASK_COUNT)
			abort();
		arena_done(&arena);
		in = bytes_skip(in, len);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	try_order(bytes_of(data, size));
	try_frames(bytes_of(data, size));
	return 0;
}
