/* Address lists: any octets give a list; groups are paired; what is written is read again with
 * the same parts. */
#include <stdlib.h>

#include "mail/address.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool good)
{
	if (!good)
		abort();
}

static void check_again(const struct address *a, struct arena *arena)
{
	struct buf text = {0};

	address_put(a, &text);
	struct bytes written = arena_copy(arena, buf_bytes(&text));
	struct address *again = address_parse(written, arena);
	check(again == NULL || again->kind <= ADDRESS_GROUP_END);
	buf_clear(&text);
	address_put_display(a, &text);
	buf_done(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena arena = {0};
	size_t count = 0, total = 0;
	bool in_group = false;

	for (struct address *a = address_parse(bytes_of(data, size), &arena); a; a = a->next) {
		check(a->kind <= ADDRESS_GROUP_END);
		check(a->kind != ADDRESS_GROUP_START || !in_group);
		check(a->kind != ADDRESS_GROUP_END || in_group);
		if (a->kind != ADDRESS_MAILBOX)
			in_group = a->kind == ADDRESS_GROUP_START;
		else
			check_again(a, &arena);
		total += a->name.len + a->local.len + a->domain.len + a->route.len;
		count++;
	}
	check(!in_group);
	check(count <= ADDRESS_LIST_MAX + 2);
	check(total <= size);
	arena_done(&arena);
	return 0;
}
