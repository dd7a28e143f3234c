#include "verify/tags.h"

#include "base/text.h"

static bool is_name(struct bytes name)
{
	if (name.len == 0 || !text_is_alpha(name.ptr[0]))
		return false;
	for (size_t i = 0; i < name.len; i++)
		if (!text_is_alnum(name.ptr[i]) && name.ptr[i] != '_')
			return false;
	return true;
}

static bool is_text(struct bytes value)
{
	for (size_t i = 0; i < value.len; i++) {
		unsigned char c = (unsigned char)value.ptr[i];

		if ((c < ' ' && c != '\t' && c != '\r' && c != '\n') || c == 0x7f)
			return false;
	}
	return true;
}

static bool split(struct bytes part, struct tag *ret)
{
	size_t equals = bytes_find_char(part, '=');

	if (equals == BYTES_NONE)
		return false;
	ret->name = bytes_trim(bytes_first(part, equals));
	ret->raw = bytes_skip(part, equals + 1);
	ret->value = bytes_trim(ret->raw);
	return is_name(ret->name) && is_text(ret->value);
}

static bool is_known(const struct tags *t, struct bytes name)
{
	for (size_t i = 0; i < t->count; i++)
		if (bytes_equal(t->items[i].name, name))
			return true;
	return false;
}

enum result tags_parse(struct bytes list, struct tags *ret)
{
	ret->count = 0;
	/* What stands after the last semicolon may be nothing. */
	while (bytes_trim(list).len > 0) {
		struct bytes part = {0};
		struct tag t;

		(void)bytes_cut(&list, ';', &part);
		if (!split(part, &t) || is_known(ret, t.name))
			return INVALID;
		if (ret->count == TAGS_MAX)
			return TOO_BIG;
		ret->items[ret->count++] = t;
	}
	return ret->count > 0 ? OK : INVALID;
}

const struct tag *tags_find(const struct tags *t, const char *name)
{
	for (size_t i = 0; i < t->count; i++)
		if (bytes_equal(t->items[i].name, bytes_of_text(name)))
			return &t->items[i];
	return NULL;
}

bool tags_list_has(struct bytes list, struct bytes word)
{
	struct bytes item;

	while (bytes_cut(&list, ':', &item))
		if (bytes_equal(bytes_trim(item), word))
			return true;
	return false;
}
