#include "base/ip.h"

#include <arpa/inet.h>

static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

enum result ip_parse(struct bytes text, struct ip *ret)
{
	char copy[IP_TEXT + 1];
	struct ip ip;

	if (text.len == 0 || text.len >= sizeof(copy) || memchr(text.ptr, 0, text.len))
		return INVALID;
	memcpy(copy, text.ptr, text.len);
	copy[text.len] = 0;
	if (inet_pton(AF_INET6, copy, ip.octets) != 1) {
		if (inet_pton(AF_INET, copy, ip.octets + 12) != 1)
			return INVALID;
		memcpy(ip.octets, mapped, sizeof(mapped));
	}
	*ret = ip;
	return OK;
}

bool ip_is_v4(const struct ip *ip)
{
	return memcmp(ip->octets, mapped, sizeof(mapped)) == 0;
}

void ip_format(const struct ip *ip, char out[IP_TEXT])
{
	if (ip_is_v4(ip))
		inet_ntop(AF_INET, ip->octets + 12, out, IP_TEXT);
	else
		inet_ntop(AF_INET6, ip->octets, out, IP_TEXT);
}

bool ip_equal(const struct ip *a, const struct ip *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

bool ip_is_loopback(const struct ip *ip)
{
	static const uint8_t one[16] = {[15] = 1};

	return ip_is_v4(ip) ? ip->octets[12] == 127 : memcmp(ip->octets, one, sizeof(one)) == 0;
}

struct ip ip_network(const struct ip *ip)
{
	struct ip network = *ip;

	if (!ip_is_v4(ip))
		memset(network.octets + 8, 0, 8);
	return network;
}

static bool has_bits_beyond(const struct ip_prefix *p)
{
	for (unsigned bit = p->bits; bit < 128; bit++)
		if (p->ip.octets[bit / 8] & (0x80 >> bit % 8))
			return true;
	return false;
}

enum result ip_prefix_parse(struct bytes text, struct ip_prefix *ret)
{
	size_t slash = bytes_find_char(text, '/');
	struct ip_prefix p = {.bits = 128};
	unsigned offset;
	uint64_t bits;

	if (ip_parse(bytes_first(text, slash), &p.ip) != OK)
		return INVALID;
	if (slash != BYTES_NONE) {
		offset = ip_is_v4(&p.ip) ? 96 : 0;
		if (bytes_to_u64(bytes_skip(text, slash + 1), 128 - offset, &bits) != OK)
			return INVALID;
		p.bits = (uint8_t)(offset + bits);
	}
	if (has_bits_beyond(&p))
		return INVALID;
	*ret = p;
	return OK;
}

bool ip_prefix_contains(const struct ip_prefix *prefix, const struct ip *ip)
{
	unsigned whole = prefix->bits / 8, rest = prefix->bits % 8;
	uint8_t mask = (uint8_t)(0xff00 >> rest);

	if (memcmp(prefix->ip.octets, ip->octets, whole) != 0)
		return false;
	return rest == 0 || ((prefix->ip.octets[whole] ^ ip->octets[whole]) & mask) == 0;
}
