#include "proxy/proxy.h"

#include "base/text.h"
#include "base/wire.h"

/* The twelve octets that begin version 2; none of them could begin version 1 or a mail protocol. */
static const char signature[] = "\r\n\r\n\0\r\nQUIT\n";

enum { SIGNATURE = 12, V2_HEAD = 16 };

static bool agrees(struct bytes in, struct bytes with)
{
	size_t len = in.len < with.len ? in.len : with.len;

	return bytes_equal(bytes_first(in, len), bytes_first(with, len));
}

/* ---- version 1: "PROXY TCP4 192.0.2.1 192.0.2.2 56324 25\r\n" ---- */

/* A port without leading zeros. */
static bool parse_port(struct bytes word, uint16_t *ret)
{
	uint64_t port;

	if (word.len == 0 || word.len > 5 || (word.len > 1 && word.ptr[0] == '0'))
		return false;
	if (bytes_to_u64(word, 65535, &port) != OK)
		return false;
	*ret = (uint16_t)port;
	return true;
}

static bool parse_ip(struct bytes word, bool v4, struct ip *ret)
{
	/* A mapped address in TCP6 would be an IPv4 one in disguise. */
	return ip_parse(word, ret) == OK && ip_is_v4(ret) == v4;
}

static bool parse_v1_line(struct bytes line, struct proxy_header *ret)
{
	struct bytes word[5] = {{0}};
	struct bytes rest = bytes_skip(line, 6);
	bool v4;

	for (int i = 0; i < 4; i++)
		if (!bytes_cut(&rest, ' ', &word[i]))
			return false;
	word[4] = rest;
	v4 = bytes_equal(word[0], BYTES("TCP4"));
	if (!v4 && !bytes_equal(word[0], BYTES("TCP6")))
		return false;
	return parse_ip(word[1], v4, &ret->client_ip) && parse_ip(word[2], v4, &ret->local_ip) &&
	       parse_port(word[3], &ret->client_port) && parse_port(word[4], &ret->local_port);
}

static int parse_v1(struct bytes in, struct proxy_header *ret)
{
	struct proxy_header h = {0};
	size_t end = bytes_find(bytes_first(in, PROXY_V1_MAX), BYTES("\r\n"));
	size_t lf = bytes_find_char(bytes_first(in, PROXY_V1_MAX), '\n');
	struct bytes line = bytes_first(in, end);

	if (!agrees(in, BYTES("PROXY ")))
		return PROXY_BROKEN;
	if (end == BYTES_NONE)
		return in.len >= PROXY_V1_MAX || lf != BYTES_NONE ? PROXY_BROKEN : 0;
	if (lf < end)
		return PROXY_BROKEN;
	/* "UNKNOWN" may be followed by anything up to the line's end. */
	if (bytes_equal(line, BYTES("PROXY UNKNOWN")) ||
	    bytes_starts(line, BYTES("PROXY UNKNOWN ")))
		h.local = true;
	else if (!parse_v1_line(line, &h))
		return PROXY_BROKEN;
	*ret = h;
	return (int)end + 2;
}

/* ---- version 2: signature, version and command, family, length, addresses, TLVs ---- */

static void take_ip(struct wire *w, bool v4, struct ip *ret)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
	struct bytes octets = wire_take(w, v4 ? 4 : 16);

	if (w->bad)
		return;
	if (v4)
		memcpy(ret->octets, mapped, sizeof(mapped));
	memcpy(ret->octets + (v4 ? 12 : 0), octets.ptr, octets.len);
}

static bool parse_v2_addresses(struct wire *w, uint8_t family, struct proxy_header *ret)
{
	bool v4 = family == 0x11;

	if (family != 0x11 && family != 0x21)
		return false; /* TCP over IPv4 or IPv6: nothing else can be a mail client */
	take_ip(w, v4, &ret->client_ip);
	take_ip(w, v4, &ret->local_ip);
	ret->client_port = wire_u16(w);
	ret->local_port = wire_u16(w);
	return !w->bad;
}

/* What can be told before all of it is there. */
static bool v2_may_be(struct bytes in)
{
	if (!agrees(in, bytes_of(signature, SIGNATURE)))
		return false;
	if (in.len > SIGNATURE && in.ptr[SIGNATURE] != 0x20 && in.ptr[SIGNATURE] != 0x21)
		return false;
	return true;
}

static int parse_v2(struct bytes in, struct proxy_header *ret)
{
	struct proxy_header h = {0};
	struct wire w = wire_of(bytes_skip(in, SIGNATURE));
	uint8_t command, family;
	uint16_t len;
	struct wire body;

	if (!v2_may_be(in))
		return PROXY_BROKEN;
	if (in.len < V2_HEAD)
		return 0;
	command = wire_u8(&w);
	family = wire_u8(&w);
	len = wire_u16(&w);
	if (V2_HEAD + len > PROXY_V2_MAX)
		return PROXY_BROKEN;
	if (in.len < (size_t)V2_HEAD + len)
		return 0;
	body = wire_of(wire_take(&w, len));
	h.local = command == 0x20;
	if (!h.local && !parse_v2_addresses(&body, family, &h))
		return PROXY_BROKEN;
	*ret = h;
	return V2_HEAD + len;
}

int proxy_parse(struct bytes in, struct proxy_header *ret)
{
	if (in.len == 0)
		return 0;
	return in.ptr[0] == '\r' ? parse_v2(in, ret) : parse_v1(in, ret);
}
