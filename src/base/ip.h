/* Internet addresses. IPv4 is kept in its IPv4-mapped IPv6 form, so that there is one
 * comparison. */
#ifndef BASE_IP_H
#define BASE_IP_H

#include "base/bytes.h"

struct ip {
	uint8_t octets[16];
};

struct ip_prefix {
	struct ip ip;
	uint8_t bits; /* 0 to 128, counted in the mapped form: 10.0.0.0/8 is 104 */
};

enum { IP_TEXT = 46 };

enum result ip_parse(struct bytes text, struct ip *ret) MUST_USE; /* "192.0.2.1", "2001:db8::1" */
void ip_format(const struct ip *ip, char out[IP_TEXT]); /* RFC 5952; IPv4 as dotted quad */
bool ip_is_v4(const struct ip *ip);
bool ip_equal(const struct ip *a, const struct ip *b);
bool ip_is_loopback(const struct ip *ip);

/* The unit that limits count by: an IPv4 address itself, an IPv6 address's /64. */
struct ip ip_network(const struct ip *ip);

/* "10.0.0.0/8", "2001:db8::/32", or a bare address. Bits beyond the prefix must be zero, else
 * INVALID. */
enum result ip_prefix_parse(struct bytes text, struct ip_prefix *ret) MUST_USE;
bool ip_prefix_contains(const struct ip_prefix *prefix, const struct ip *ip);

#endif
