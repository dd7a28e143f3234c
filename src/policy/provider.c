#include "policy/provider.h"

#include "base/text.h"

static const struct provider providers[] = {
#define PROVIDER(key, name, hosts, link, site, mail, source) \
	{key, name, hosts, link, site, mail, source},
#include "policy/providers.def"
#undef PROVIDER
};
enum { PROVIDERS = sizeof(providers) / sizeof(providers[0]) };

const struct provider *provider_find(struct bytes key)
{
	for (size_t i = 0; i < PROVIDERS; i++) {
		if (bytes_equal_nocase(key, bytes_of_text(providers[i].key)))
			return &providers[i];
	}
	return NULL;
}

/* Is host this name, or below it? */
static bool is_below(struct bytes host, struct bytes suffix)
{
	if (host.len < suffix.len)
		return false;
	if (!bytes_equal_nocase(bytes_skip(host, host.len - suffix.len), suffix))
		return false;
	return host.len == suffix.len || host.ptr[host.len - suffix.len - 1] == '.';
}

/* The longest suffix that fits: mail.protection.outlook.com before outlook.com. */
static const struct provider *find_host(struct bytes host)
{
	const struct provider *best = NULL;
	size_t best_len = 0;

	for (size_t i = 0; i < PROVIDERS; i++) {
		struct bytes rest = bytes_of_text(providers[i].hosts), suffix;

		while (bytes_cut(&rest, ' ', &suffix)) {
			if (suffix.len > best_len && is_below(host, suffix)) {
				best = &providers[i];
				best_len = suffix.len;
			}
		}
	}
	return best;
}

/* Second labels below which names are sold, where the last label has two letters. */
static bool is_public(struct bytes second)
{
	static const char words[] =
	        "co com net org ac edu gov go ne or ad ed gr lg gob gouv mil nom "
	        "id ltd plc me sch nhs police asn firm gen ind res web";
	struct bytes rest = bytes_of_text(words), word;

	while (bytes_cut(&rest, ' ', &word)) {
		if (bytes_equal_nocase(second, word))
			return true;
	}
	return false;
}

/* Is the last label all digits, or is there a bracket or colon: an address, not a name. */
static bool is_literal(struct bytes host)
{
	return host.len == 0 || host.ptr[0] == '[' || bytes_find_char(host, ':') != BYTES_NONE ||
	       text_is_digit(host.ptr[host.len - 1]);
}

static size_t label_before(struct bytes host, size_t end)
{
	size_t dot = bytes_find_last(bytes_first(host, end), '.');

	return dot == BYTES_NONE ? 0 : dot + 1;
}

struct bytes provider_domain(struct bytes host)
{
	while (host.len > 0 && host.ptr[host.len - 1] == '.')
		host.len--;
	if (is_literal(host))
		return host;
	size_t top = label_before(host, host.len);
	if (top == 0)
		return host;
	size_t second = label_before(host, top - 1);
	struct bytes word = bytes_of(host.ptr + second, top - 1 - second);
	if (second > 0 && host.len - top == 2 && is_public(word))
		second = label_before(host, second - 1);
	return bytes_skip(host, second);
}

/* Hosts of strangers to each other, named by whoever rents them out. */
static bool is_rented(struct bytes host)
{
	static const char words[] = "amazonaws.com googleusercontent.com azure.com cloudapp.net "
	                            "vultrusercontent.com linodeusercontent.com linode.com "
	                            "your-server.de contaboserver.net ovh.net dyndns.org no-ip.org "
	                            "duckdns.org ddns.net compute.internal";
	struct bytes rest = bytes_of_text(words), word;

	while (bytes_cut(&rest, ' ', &word)) {
		if (is_below(host, word))
			return true;
	}
	return false;
}

struct bytes provider_key(struct bytes host)
{
	while (host.len > 0 && host.ptr[host.len - 1] == '.')
		host.len--;
	const struct provider *p = find_host(host);
	if (p)
		return bytes_of_text(p->key);
	return is_rented(host) ? host : provider_domain(host);
}
