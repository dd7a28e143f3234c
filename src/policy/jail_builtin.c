#include "policy/jail.h"
#include "policy/jail_rules.h"

bool jail_builtin(void *context, struct bytes name, struct bytes *ret)
{
	(void)context;
	for (const struct jail_text *t = jail_texts; t->name; t++) {
		if (bytes_equal(bytes_of_text(t->name), name)) {
			*ret = bytes_of_text(t->text);
			return true;
		}
	}
	return false;
}

struct bytes jail_builtin_name(size_t n)
{
	for (const struct jail_text *t = jail_texts; t->name; t++) {
		if (bytes_equal(bytes_of_text(t->name), BYTES("common")))
			continue;
		if (n-- == 0)
			return bytes_of_text(t->name);
	}
	return (struct bytes){0};
}
