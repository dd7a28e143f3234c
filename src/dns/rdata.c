#include <stdio.h>

#include "base/encode.h"
#include "base/text.h"
#include "dns/dns.h"

enum { STRING_MAX = 255 }; /* of one string in a zone file */

/* ---- wire to struct ---- */

static void take_address(struct wire *w, bool v4, struct ip *ret)
{
	struct bytes octets = wire_take(w, v4 ? 4 : 16);
	struct ip ip = {.octets = {[10] = 0xff, [11] = 0xff}};

	if (w->bad)
		return;
	memcpy(ip.octets + (v4 ? 12 : 0), octets.ptr, octets.len);
	*ret = ip;
}

/* Borrows where there is one string, as nearly always. */
static struct bytes take_text(struct wire *w, struct arena *arena)
{
	struct bytes all = w->rest, first = wire_take(w, wire_u8(w));
	char *joined;
	size_t len = first.len;

	if (wire_end(w))
		return first;
	joined = arena_get(arena, all.len);
	memcpy(joined, first.ptr ? first.ptr : "", first.len);
	for (int i = 1; !wire_end(w); i++) {
		struct bytes part = wire_take(w, wire_u8(w));

		if (i == DNS_STRINGS_MAX)
			w->bad = true;
		if (!w->bad && part.len > 0)
			memcpy(joined + len, part.ptr, part.len);
		len += part.len;
	}
	return bytes_of(joined, len);
}

static struct bytes take_rest(struct wire *w)
{
	return wire_take(w, w->rest.len);
}

static void take_soa(struct wire *w, struct dns_rdata *r)
{
	dns_name_take(w, &r->soa.primary);
	dns_name_take(w, &r->soa.contact);
	r->soa.serial = wire_u32(w);
	r->soa.refresh = wire_u32(w);
	r->soa.retry = wire_u32(w);
	r->soa.expire = wire_u32(w);
	r->soa.minimum = wire_u32(w);
}

static void take_srv(struct wire *w, struct dns_rdata *r)
{
	r->srv.priority = wire_u16(w);
	r->srv.weight = wire_u16(w);
	r->srv.port = wire_u16(w);
	dns_name_take(w, &r->srv.target);
}

static void take_tlsa(struct wire *w, struct dns_rdata *r)
{
	r->tlsa.usage = wire_u8(w);
	r->tlsa.selector = wire_u8(w);
	r->tlsa.matching = wire_u8(w);
	r->tlsa.data = take_rest(w);
}

static void take_caa(struct wire *w, struct dns_rdata *r)
{
	r->caa.flags = wire_u8(w);
	r->caa.tag = wire_take(w, wire_u8(w));
	r->caa.value = take_rest(w);
	w->bad = w->bad || r->caa.tag.len == 0;
}

static void take_ds(struct wire *w, struct dns_rdata *r)
{
	r->ds.key = wire_u16(w);
	r->ds.algorithm = wire_u8(w);
	r->ds.digest_type = wire_u8(w);
	r->ds.digest = take_rest(w);
}

enum result dns_rdata_parse(uint16_t type, struct bytes rdata, struct arena *arena,
                            struct dns_rdata *ret)
{
	struct wire w = wire_of(rdata);
	struct dns_rdata r = {.type = type};

	switch (type) {
	case DNS_A:
	case DNS_AAAA: take_address(&w, type == DNS_A, &r.address); break;
	case DNS_NS:
	case DNS_CNAME:
	case DNS_PTR:
	case DNS_DNAME: dns_name_take(&w, &r.name); break;
	case DNS_MX:
		r.mx.preference = wire_u16(&w);
		dns_name_take(&w, &r.mx.host);
		break;
	case DNS_TXT: r.text = take_text(&w, arena); break;
	case DNS_SOA: take_soa(&w, &r); break;
	case DNS_SRV: take_srv(&w, &r); break;
	case DNS_TLSA: take_tlsa(&w, &r); break;
	case DNS_CAA: take_caa(&w, &r); break;
	case DNS_DS: take_ds(&w, &r); break;
	default: return INVALID;
	}
	if (w.bad || w.rest.len > 0)
		return INVALID;
	*ret = r;
	return OK;
}

/* ---- struct to text ---- */

static void put_name(struct buf *out, const struct dns_name *n)
{
	char text[DNS_NAME_TEXT];

	dns_name_format(n, text);
	buf_append_text(out, text);
	if (n->len > 1)
		buf_append_char(out, '.');
}

static void put_string(struct buf *out, struct bytes s)
{
	buf_append_char(out, '"');
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.ptr[i];

		if (c == '"' || c == '\\')
			buf_printf(out, "\\%c", c);
		else if (c >= ' ' && c < 0x7f)
			buf_append_char(out, (char)c);
		else
			buf_printf(out, "\\%03u", c);
	}
	buf_append_char(out, '"');
}

/* Each string by itself, as it was published. */
static void put_strings(struct buf *out, struct bytes rdata)
{
	struct wire w = wire_of(rdata);

	while (!wire_end(&w)) {
		if (w.rest.len < rdata.len)
			buf_append_char(out, ' ');
		put_string(out, wire_take(&w, wire_u8(&w)));
	}
}

static void put_unknown(struct buf *out, struct bytes rdata)
{
	buf_printf(out, "\\# %zu", rdata.len);
	if (rdata.len > 0)
		buf_append_char(out, ' ');
	encode_hex(out, rdata);
}

static void put_soa(struct buf *out, const struct dns_rdata *r)
{
	put_name(out, &r->soa.primary);
	buf_append_char(out, ' ');
	put_name(out, &r->soa.contact);
	buf_printf(out, " %u %u %u %u %u", r->soa.serial, r->soa.refresh, r->soa.retry,
	           r->soa.expire, r->soa.minimum);
}

static void put_known(const struct dns_rdata *r, struct bytes rdata, struct buf *out)
{
	char ip[IP_TEXT];

	switch (r->type) {
	case DNS_A:
	case DNS_AAAA:
		ip_format(&r->address, ip);
		buf_append_text(out, ip);
		break;
	case DNS_MX:
		buf_printf(out, "%u ", r->mx.preference);
		put_name(out, &r->mx.host);
		break;
	case DNS_TXT: put_strings(out, rdata); break;
	case DNS_SOA: put_soa(out, r); break;
	case DNS_SRV:
		buf_printf(out, "%u %u %u ", r->srv.priority, r->srv.weight, r->srv.port);
		put_name(out, &r->srv.target);
		break;
	case DNS_TLSA:
		buf_printf(out, "%u %u %u ", r->tlsa.usage, r->tlsa.selector, r->tlsa.matching);
		encode_hex(out, r->tlsa.data);
		break;
	case DNS_CAA:
		buf_printf(out, "%u %.*s ", r->caa.flags, BYTES_ARG(r->caa.tag));
		put_string(out, r->caa.value);
		break;
	case DNS_DS:
		buf_printf(out, "%u %u %u ", r->ds.key, r->ds.algorithm, r->ds.digest_type);
		encode_hex(out, r->ds.digest);
		break;
	default: put_name(out, &r->name); break;
	}
}

/* What a zone file could not hold as it is: a tag with odd octets, a value too long, nothing where something must stand,
 * an IPv4-mapped AAAA (its text would be an IPv4 address). */
static bool is_writable(const struct dns_rdata *r, struct bytes rdata)
{
	if (r->type == DNS_AAAA)
		return !ip_is_v4(&r->address);
	if (r->type == DNS_TXT)
		return rdata.len > 0;
	if (r->type == DNS_TLSA)
		return r->tlsa.data.len > 0;
	if (r->type == DNS_DS)
		return r->ds.digest.len > 0;
	if (r->type == DNS_CAA && r->caa.value.len > STRING_MAX)
		return false;
	for (size_t i = 0; r->type == DNS_CAA && i < r->caa.tag.len; i++)
		if (!text_is_alnum(r->caa.tag.ptr[i]))
			return false;
	return true;
}

void dns_rdata_format(uint16_t type, struct bytes rdata, struct buf *out)
{
	struct arena arena = {0};
	struct dns_rdata r;

	if (dns_rdata_parse(type, rdata, &arena, &r) == OK && is_writable(&r, rdata))
		put_known(&r, rdata, out);
	else
		put_unknown(out, rdata);
	arena_done(&arena);
}

/* ---- text to wire ---- */

static struct bytes next_word(struct bytes *text)
{
	size_t len = 0;
	struct bytes word;

	while (text->len > 0 && text_is_blank(text->ptr[0]))
		*text = bytes_skip(*text, 1);
	while (len < text->len && !text_is_blank(text->ptr[len]))
		len++;
	word = bytes_first(*text, len);
	*text = bytes_skip(*text, len);
	return word;
}

static bool read_number(struct bytes *text, unsigned octets, struct buf *out)
{
	uint64_t max = (1ULL << octets * 8) - 1, value;

	if (bytes_to_u64(next_word(text), max, &value) != OK)
		return false;
	while (octets-- > 0)
		buf_u8(out, (uint8_t)(value >> octets * 8));
	return true;
}

static bool read_name(struct bytes *text, struct buf *out)
{
	struct dns_name n;

	if (dns_name_parse(next_word(text), &n) != OK)
		return false;
	buf_append(out, bytes_of(n.octets, n.len));
	return true;
}

static bool read_address(struct bytes *text, bool v4, struct buf *out)
{
	struct ip ip;

	if (ip_parse(next_word(text), &ip) != OK || ip_is_v4(&ip) != v4)
		return false;
	buf_append(out, bytes_of(ip.octets + (v4 ? 12 : 0), v4 ? 4 : 16));
	return true;
}

/* Hexadecimal up to the end, blanks between allowed. */
static bool read_hex(struct bytes *text, struct buf *out)
{
	struct buf digits = {0};
	struct bytes word;
	bool done;

	while ((word = next_word(text)).len > 0)
		buf_append(&digits, word);
	done = buf_len(&digits) > 0 && decode_hex(buf_bytes(&digits), out) == OK;
	buf_done(&digits);
	return done;
}

/* One octet of a string, escapes undone; 0 at its end or where it is broken. */
static size_t string_octet(struct bytes in, bool quoted, char *ret)
{
	unsigned value = 0;

	if (in.len == 0 || (quoted ? in.ptr[0] == '"' : text_is_blank(in.ptr[0])))
		return 0;
	*ret = in.ptr[0];
	if (in.ptr[0] != '\\')
		return 1;
	if (in.len < 2)
		return 0;
	*ret = in.ptr[1];
	if (!text_is_digit(in.ptr[1]))
		return 2;
	for (size_t i = 1; i < 4; i++) {
		if (i >= in.len || !text_is_digit(in.ptr[i]))
			return 0;
		value = value * 10 + (unsigned)(in.ptr[i] - '0');
	}
	*ret = (char)value;
	return value <= 255 ? 4 : 0;
}

static bool read_string(struct bytes *text, char ret[STRING_MAX + 1], size_t *ret_len)
{
	bool quoted;
	size_t len = 0, taken;
	char c;

	while (text->len > 0 && text_is_blank(text->ptr[0]))
		*text = bytes_skip(*text, 1);
	quoted = text->len > 0 && text->ptr[0] == '"';
	*text = bytes_skip(*text, quoted);
	while ((taken = string_octet(*text, quoted, &c)) > 0) {
		if (len == STRING_MAX)
			return false;
		ret[len++] = c;
		*text = bytes_skip(*text, taken);
	}
	if (quoted && (text->len == 0 || text->ptr[0] != '"'))
		return false;
	*text = bytes_skip(*text, quoted);
	*ret_len = len;
	return quoted || len > 0;
}

static bool read_strings(struct bytes *text, struct buf *out)
{
	char string[STRING_MAX + 1];
	size_t len, count = 0;

	while (bytes_trim(*text).len > 0) {
		if (!read_string(text, string, &len) || ++count > DNS_STRINGS_MAX)
			return false;
		buf_u8(out, (uint8_t)len);
		buf_append(out, bytes_of(string, len));
	}
	return count > 0;
}

static bool read_caa(struct bytes *text, struct buf *out)
{
	char value[STRING_MAX + 1];
	size_t len;
	struct bytes tag;

	if (!read_number(text, 1, out))
		return false;
	tag = next_word(text);
	if (tag.len == 0 || tag.len > 255 || !read_string(text, value, &len))
		return false;
	buf_u8(out, (uint8_t)tag.len);
	buf_append(out, tag);
	buf_append(out, bytes_of(value, len));
	return true;
}

static bool read_unknown(struct bytes text, struct buf *out)
{
	uint64_t len;
	size_t before = buf_len(out);

	if (bytes_to_u64(next_word(&text), UINT16_MAX, &len) != OK)
		return false;
	if (len > 0 && !read_hex(&text, out))
		return false;
	return buf_len(out) - before == len;
}

static bool read_known(uint16_t type, struct bytes *t, struct buf *out)
{
	switch (type) {
	case DNS_A:
	case DNS_AAAA: return read_address(t, type == DNS_A, out);
	case DNS_NS:
	case DNS_CNAME:
	case DNS_PTR:
	case DNS_DNAME: return read_name(t, out);
	case DNS_MX: return read_number(t, 2, out) && read_name(t, out);
	case DNS_TXT: return read_strings(t, out);
	case DNS_SOA:
		return read_name(t, out) && read_name(t, out) && read_number(t, 4, out) &&
		       read_number(t, 4, out) && read_number(t, 4, out) && read_number(t, 4, out) &&
		       read_number(t, 4, out);
	case DNS_SRV:
		return read_number(t, 2, out) && read_number(t, 2, out) && read_number(t, 2, out) &&
		       read_name(t, out);
	case DNS_TLSA:
		return read_number(t, 1, out) && read_number(t, 1, out) && read_number(t, 1, out) &&
		       read_hex(t, out);
	case DNS_CAA: return read_caa(t, out);
	case DNS_DS:
		return read_number(t, 2, out) && read_number(t, 1, out) && read_number(t, 1, out) &&
		       read_hex(t, out);
	default: return false;
	}
}

enum result dns_rdata_read(uint16_t type, struct bytes text, struct buf *out)
{
	struct buf rdata = {0};
	struct bytes rest = bytes_trim(text);
	bool unknown = bytes_starts(rest, BYTES("\\# "));
	bool done = unknown ? read_unknown(bytes_skip(rest, 3), &rdata)
	                    : read_known(type, &rest, &rdata) && bytes_trim(rest).len == 0;

	if (done)
		buf_append(out, buf_bytes(&rdata));
	buf_done(&rdata);
	return done ? OK : INVALID;
}
