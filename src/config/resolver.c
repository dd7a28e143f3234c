#include "config/resolver.h"

#include "base/text.h"

enum { LABEL = 63 };

/* "192.0.2.1", "2001:db8::1@5353" */
static bool is_server(struct bytes word)
{
	size_t at = bytes_find_last(word, '@');
	uint64_t port = 53;
	struct ip ip;

	if (at != BYTES_NONE && bytes_to_u64(bytes_skip(word, at + 1), UINT16_MAX, &port) != OK)
		return false;
	return port > 0 && ip_parse(bytes_first(word, at), &ip) == OK;
}

/* Labels of plain ASCII, with or without the dot at the end; "." is the root. */
static bool is_zone(struct bytes name)
{
	struct bytes label;

	if (bytes_equal(name, BYTES(".")))
		return true;
	if (bytes_ends(name, BYTES(".")))
		name = bytes_first(name, name.len - 1);
	if (name.len == 0 || name.len >= LIMIT_DOMAIN - 1)
		return false;
	while (bytes_cut(&name, '.', &label)) {
		if (label.len == 0 || label.len > LABEL)
			return false;
		for (size_t i = 0; i < label.len; i++)
			if (!text_is_alnum(label.ptr[i]) && label.ptr[i] != '-' &&
			    label.ptr[i] != '_' && label.ptr[i] != '/')
				return false;
	}
	return true;
}

static bool is_stub(struct bytes word)
{
	size_t equals = bytes_find_char(word, '=');

	return equals != BYTES_NONE && is_zone(bytes_first(word, equals)) &&
	       is_server(bytes_skip(word, equals + 1));
}

/* "example.test. 3600 IN DS 12345 13 2 ABCD...": the owner, then somewhere DS or DNSKEY with three numbers and the data. */
static bool is_anchor(struct bytes line)
{
	struct bytes word;
	bool named = false;
	unsigned after = 0;

	for (unsigned i = 0; bytes_cut(&line, ' ', &word);) {
		if (word.len == 0)
			continue;
		if (i++ == 0 && !is_zone(word))
			return false;
		after += named;
		named = named || bytes_equal_nocase(word, BYTES("DS")) ||
		        bytes_equal_nocase(word, BYTES("DNSKEY"));
	}
	return named && after >= 4;
}

typedef bool word_check(struct bytes word);

enum result resolver_check(const struct config *c, const char **ret_key, struct why *why)
{
	const struct {
		const char *key;
		const struct config_words *words;
		word_check *is;
		const char *wanted;
	} rows[] = {
	        {"forward", &c->resolver_forward, is_server, "ADDRESS or ADDRESS@PORT"},
	        {"stub", &c->resolver_stub, is_stub, "ZONE=ADDRESS or ZONE=ADDRESS@PORT"},
	        {"anchor", &c->resolver_anchor, is_anchor,
	         "a DS or DNSKEY record in quotes, as \"example.test. DS 12345 13 2 ABCD\""},
	        {"insecure", &c->resolver_insecure, is_zone, "a zone's name"},
	};

	for (size_t r = 0; r < sizeof(rows) / sizeof(*rows); r++)
		for (size_t i = 0; i < rows[r].words->count; i++) {
			if (rows[r].is(rows[r].words->items[i]))
				continue;
			*ret_key = rows[r].key;
			return why_set(why, INVALID, "%s takes %s, not \"%.*s\"", rows[r].key,
			               rows[r].wanted,
			               BYTES_ARG(bytes_first(rows[r].words->items[i], 80)));
		}
	return OK;
}
