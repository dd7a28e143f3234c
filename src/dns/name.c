#include <stdio.h>

#include "base/text.h"
#include "dns/dns.h"

/* ---- text ---- */

/* One octet of a label, plain or escaped; 0 at a broken escape or a character that has no place there. */
static size_t take_octet(struct bytes in, uint8_t *ret)
{
	unsigned value = 0;

	if (in.ptr[0] != '\\') {
		*ret = (uint8_t)in.ptr[0];
		return *ret > ' ' && *ret < 0x7f;
	}
	if (in.len >= 2 && !text_is_digit(in.ptr[1])) {
		*ret = (uint8_t)in.ptr[1];
		return *ret >= ' ' && *ret < 0x7f ? 2 : 0;
	}
	if (in.len < 4)
		return 0;
	for (size_t i = 1; i < 4; i++) {
		if (!text_is_digit(in.ptr[i]))
			return 0;
		value = value * 10 + (unsigned)(in.ptr[i] - '0');
	}
	*ret = (uint8_t)value;
	return value <= 255 ? 4 : 0;
}

/* A label up to its dot or the end; what stands behind stays in *rest. */
static enum result take_label(struct bytes *rest, struct dns_name *n)
{
	size_t at = n->len, len = 0;

	while (rest->len > 0 && rest->ptr[0] != '.') {
		uint8_t octet;
		size_t taken = take_octet(*rest, &octet);

		if (taken == 0)
			return INVALID;
		/* The label, its length, and the root behind it. */
		if (len == DNS_LABEL_MAX || at + 1 + len + 1 >= DNS_NAME_MAX)
			return TOO_BIG;
		n->octets[at + 1 + len++] = (uint8_t)text_lower_char((char)octet);
		*rest = bytes_skip(*rest, taken);
	}
	if (len == 0)
		return INVALID;
	n->octets[at] = (uint8_t)len;
	n->len = (uint8_t)(at + 1 + len);
	return OK;
}

enum result dns_name_parse(struct bytes text, struct dns_name *ret)
{
	struct dns_name n = {0};

	if (text.len == 0)
		return INVALID;
	if (bytes_equal(text, BYTES(".")))
		text.len = 0;
	while (text.len > 0) {
		enum result r = take_label(&text, &n);

		if (r != OK)
			return r;
		if (text.len > 0)
			text = bytes_skip(text, 1); /* the dot */
	}
	n.octets[n.len++] = 0;
	*ret = n;
	return OK;
}

static size_t put_octet(char *out, uint8_t octet)
{
	if (octet == '.' || octet == '\\' || octet == '"' || octet == ';' || octet == '@' ||
	    octet == '$' || octet == '(' || octet == ')') {
		out[0] = '\\';
		out[1] = (char)octet;
		return 2;
	}
	if (octet > ' ' && octet < 0x7f) {
		out[0] = (char)octet;
		return 1;
	}
	out[0] = '\\';
	out[1] = (char)('0' + octet / 100);
	out[2] = (char)('0' + octet / 10 % 10);
	out[3] = (char)('0' + octet % 10);
	return 4;
}

void dns_name_format(const struct dns_name *n, char out[DNS_NAME_TEXT])
{
	size_t len = 0;

	for (size_t at = 0; at < n->len && n->octets[at] > 0; at += 1u + n->octets[at]) {
		if (len > 0)
			out[len++] = '.';
		for (size_t i = 1; i <= n->octets[at]; i++)
			len += put_octet(out + len, n->octets[at + i]);
	}
	if (len == 0)
		out[len++] = '.';
	out[len] = 0;
}

struct bytes dns_name_text(const struct dns_name *n, struct arena *arena)
{
	char text[DNS_NAME_TEXT];

	dns_name_format(n, text);
	return arena_copy(arena, bytes_of_text(text));
}

/* ---- wire ---- */

void dns_name_take(struct wire *w, struct dns_name *ret)
{
	struct dns_name n = {0};

	for (;;) {
		uint8_t len = wire_u8(w);
		struct bytes label = wire_take(w, len <= DNS_LABEL_MAX ? len : 0);

		/* A greater length is a pointer (RFC 1035, 4.1.4) or was never defined. */
		if (w->bad || len > DNS_LABEL_MAX || n.len + 1u + len + (len > 0) > DNS_NAME_MAX) {
			w->bad = true;
			return;
		}
		n.octets[n.len++] = len;
		if (len == 0)
			break;
		for (size_t i = 0; i < len; i++)
			n.octets[n.len++] = (uint8_t)text_lower_char(label.ptr[i]);
	}
	*ret = n;
}

/* ---- comparing ---- */

bool dns_name_equal(const struct dns_name *a, const struct dns_name *b)
{
	return a->len == b->len && memcmp(a->octets, b->octets, a->len) == 0;
}

unsigned dns_name_labels(const struct dns_name *n)
{
	unsigned count = 0;

	for (size_t at = 0; at < n->len && n->octets[at] > 0; at += 1u + n->octets[at])
		count++;
	return count;
}

/* Where the label stands that has `behind` labels after it. */
static size_t label_at(const struct dns_name *n, unsigned behind)
{
	unsigned skip = dns_name_labels(n) - behind - 1;
	size_t at = 0;

	while (skip-- > 0)
		at += 1u + n->octets[at];
	return at;
}

static struct bytes label_of(const struct dns_name *n, unsigned behind)
{
	size_t at = label_at(n, behind);

	return bytes_of(n->octets + at + 1, n->octets[at]);
}

int dns_name_compare(const struct dns_name *a, const struct dns_name *b)
{
	unsigned in_a = dns_name_labels(a), in_b = dns_name_labels(b);

	for (unsigned i = 0; i < in_a && i < in_b; i++) {
		int order = bytes_compare(label_of(a, i), label_of(b, i));

		if (order != 0)
			return order;
	}
	return in_a < in_b ? -1 : in_a > in_b;
}

bool dns_name_below(const struct dns_name *n, const struct dns_name *top)
{
	unsigned above = dns_name_labels(n), labels = dns_name_labels(top);
	struct dns_name tail = *n;

	for (; above > labels; above--)
		dns_name_parent(&tail);
	return dns_name_equal(&tail, top);
}

void dns_name_parent(struct dns_name *n)
{
	size_t first = n->len > 0 && n->octets[0] > 0 ? 1u + n->octets[0] : 0;

	n->len = (uint8_t)(n->len - first);
	memmove(n->octets, n->octets + first, n->len);
}

enum result dns_name_prepend(struct dns_name *n, struct bytes labels)
{
	struct dns_name front;
	enum result r = dns_name_parse(labels, &front);
	size_t len;

	if (r != OK)
		return r;
	len = front.len - 1u;
	if (len + n->len > DNS_NAME_MAX)
		return TOO_BIG;
	memmove(n->octets + len, n->octets, n->len);
	memcpy(n->octets, front.octets, len);
	n->len = (uint8_t)(n->len + len);
	return OK;
}

static bool is_host_label(struct bytes label)
{
	if (label.ptr[0] == '-' || label.ptr[label.len - 1] == '-')
		return false;
	for (size_t i = 0; i < label.len; i++)
		if (!text_is_alnum(label.ptr[i]) && label.ptr[i] != '-')
			return false;
	return true;
}

bool dns_name_is_host(const struct dns_name *n)
{
	unsigned labels = dns_name_labels(n);

	for (unsigned i = 0; i < labels; i++)
		if (!is_host_label(label_of(n, i)))
			return false;
	return labels > 0;
}

/* ---- reverse names ---- */

struct bytes dns_reverse(const struct ip *ip, struct bytes zone, struct arena *arena)
{
	static const char digits[] = "0123456789abcdef";
	bool v4 = ip_is_v4(ip);
	struct buf out = {0};
	struct bytes name;

	if (zone.len == 0)
		zone = v4 ? BYTES("in-addr.arpa") : BYTES("ip6.arpa");
	for (size_t i = 16; i > (v4 ? 12u : 0u); i--) {
		uint8_t octet = ip->octets[i - 1];

		if (v4)
			buf_printf(&out, "%u.", octet);
		else
			buf_printf(&out, "%c.%c.", digits[octet & 15], digits[octet >> 4]);
	}
	buf_append(&out, zone);
	name = arena_copy(arena, buf_bytes(&out));
	buf_done(&out);
	return name;
}
