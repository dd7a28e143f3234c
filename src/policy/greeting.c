#include "policy/greeting.h"

#include "base/text.h"

enum {
	OURS = 300,    /* it calls itself by our own name */
	NO_NAME = 60,  /* no host name at all */
	OTHER_IP = 100 /* a literal of another address */
};

static bool say(struct evidence *ret, int points, struct bytes text)
{
	*ret = (struct evidence){
	        .check = BYTES("greeting"), .says = EVIDENCE_BAD, .points = points, .text = text};
	return true;
}

/* "[192.0.2.1]", "[IPv6:2001:db8::1]", or the same without brackets, which is none. */
static bool literal_of(struct bytes helo, struct ip *ret, bool *ret_brackets)
{
	*ret_brackets = helo.len > 2 && helo.ptr[0] == '[' && helo.ptr[helo.len - 1] == ']';
	if (*ret_brackets)
		helo = bytes_of(helo.ptr + 1, helo.len - 2);
	if (*ret_brackets && bytes_starts_nocase(helo, BYTES("IPv6:")))
		helo = bytes_skip(helo, 5);
	return ip_parse(helo, ret) == OK;
}

static bool is_below(struct bytes name, struct bytes domain)
{
	return name.len > domain.len + 1 && name.ptr[name.len - domain.len - 1] == '.' &&
	       bytes_equal_nocase(bytes_skip(name, name.len - domain.len), domain);
}

static bool is_host_name(struct bytes helo)
{
	for (size_t i = 0; i < helo.len; i++) {
		if (!text_is_alnum(helo.ptr[i]) &&
		    bytes_find_char(BYTES("-._"), helo.ptr[i]) == BYTES_NONE)
			return false;
	}
	return bytes_find_char(helo, '.') != BYTES_NONE && helo.ptr[0] != '.';
}

bool greeting_evidence(struct bytes helo, const struct ip *client, struct bytes name,
                       const struct config *config, struct arena *arena, struct evidence *ret)
{
	struct bytes shown;
	struct ip ip;
	bool brackets;

	if (helo.len && helo.ptr[helo.len - 1] == '.')
		helo.len--;
	shown = bytes_first(helo, 100);
	if (helo.len == 0)
		return say(ret, NO_NAME, BYTES("it did not say its name"));
	if (literal_of(helo, &ip, &brackets)) {
		if (!ip_equal(&ip, client))
			return say(
			        ret, OTHER_IP,
			        arena_printf(arena,
			                     "it calls itself %.*s, another address than its own",
			                     BYTES_ARG(shown)));
		return !brackets && say(ret, NO_NAME, BYTES("a bare address for a name"));
	}
	if (bytes_equal_nocase(helo, config->hostname) && !bytes_equal_nocase(helo, name))
		return say(
		        ret, OURS,
		        arena_printf(arena, "it calls itself %.*s, which is us", BYTES_ARG(shown)));
	for (size_t i = 0; i < config->domains.count; i++) {
		if (bytes_equal_nocase(helo, config->domains.items[i]) && !is_below(name, helo) &&
		    !bytes_equal_nocase(helo, name))
			return say(ret, OURS,
			           arena_printf(arena, "it calls itself %.*s, which is ours",
			                        BYTES_ARG(shown)));
	}
	if (!is_host_name(helo))
		return say(ret, NO_NAME,
		           arena_printf(arena, "%.*s is no host's name", BYTES_ARG(shown)));
	return false;
}
