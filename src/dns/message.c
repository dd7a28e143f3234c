#include "dns/dns.h"

#include "base/limits.h"
#include "base/text.h"

/* The header (RFC 1035, 4.1.1): id, flags, four counts. */
enum { HEADER = 12, RCODE = 0xf, NOERROR = 0, NXDOMAIN = 3, CLASS_IN = 1 };
enum { DENIAL_TTL = 60 }; /* of a denial without SOA: it may not be kept for long (RFC 2308, 5) */

struct message {
	struct bytes all;
	size_t at;
	bool bad;
};

struct record {
	struct dns_name owner;
	uint16_t type, class;
	uint32_t ttl;
	size_t at, len; /* of its RDATA */
};

/* ---- reading ---- */

static unsigned number(struct message *m, size_t octets)
{
	unsigned value = 0;

	if (m->bad || m->at > m->all.len || m->all.len - m->at < octets) {
		m->bad = true;
		return 0;
	}
	while (octets-- > 0)
		value = value << 8 | (unsigned char)m->all.ptr[m->at++];
	return value;
}

/* A name with pointers in it (4.1.4). Each must lead to an earlier place than the last one: so it ends. */
static struct dns_name take_name(struct message *m)
{
	struct dns_name n = {0};
	size_t at = m->at, before = m->at, after = 0;

	for (;;) {
		uint8_t len = at < m->all.len ? (uint8_t)m->all.ptr[at] : 0xff;

		if (len >= 0xc0 && at + 1 < m->all.len) {
			size_t to = (size_t)(len & 0x3f) << 8 | (unsigned char)m->all.ptr[at + 1];

			after = after ? after : at + 2;
			if (to >= before)
				break;
			at = before = to;
			continue;
		}
		if (len > DNS_LABEL_MAX || m->all.len - at <= len ||
		    n.len + 1u + len + (len > 0) > DNS_NAME_MAX)
			break;
		n.octets[n.len++] = len;
		for (size_t i = 1; i <= len; i++)
			n.octets[n.len++] = (uint8_t)text_lower_char(m->all.ptr[at + i]);
		at += 1u + len;
		if (len == 0) {
			m->at = after ? after : at;
			return n;
		}
	}
	m->bad = true;
	return n;
}

static struct record take_record(struct message *m)
{
	struct record r = {.owner = take_name(m)};

	r.type = (uint16_t)number(m, 2);
	r.class = (uint16_t)number(m, 2);
	r.ttl = number(m, 4);
	r.len = number(m, 2);
	r.at = m->at;
	if (r.ttl > INT32_MAX)
		r.ttl = 0; /* RFC 2181, 8 */
	if (m->bad || m->all.len - m->at < r.len)
		m->bad = true;
	else
		m->at += r.len;
	return r;
}

/* ---- RDATA without compression (RFC 3597, 4: only these types may have any) ---- */

static const struct layout {
	uint16_t type;
	uint8_t before, names, after; /* octets, names, octets */
} layouts[] = {
        {DNS_NS, 0, 1, 0}, {DNS_CNAME, 0, 1, 0}, {DNS_PTR, 0, 1, 0},  {DNS_DNAME, 0, 1, 0},
        {DNS_MX, 2, 1, 0}, {DNS_SRV, 6, 1, 0},   {DNS_SOA, 0, 2, 20},
};

static const struct layout *layout_of(uint16_t type)
{
	for (size_t i = 0; i < sizeof(layouts) / sizeof(*layouts); i++)
		if (layouts[i].type == type)
			return &layouts[i];
	return NULL;
}

static void put_raw(struct message *m, size_t len, struct buf *out)
{
	if (m->bad || m->all.len - m->at < len) {
		m->bad = true;
		return;
	}
	buf_append(out, bytes_of(m->all.ptr + m->at, len));
	m->at += len;
}

/* Appends a block. False: broken. */
static bool put_rdata(const struct message *whole, const struct record *r, struct buf *out)
{
	struct message m = {.all = whole->all, .at = r->at};
	const struct layout *l = layout_of(r->type);
	struct buf plain = {0};

	if (!l) {
		put_raw(&m, r->len, &plain);
	} else {
		put_raw(&m, l->before, &plain);
		for (unsigned i = 0; i < l->names && !m.bad; i++) {
			struct dns_name n = take_name(&m);

			buf_append(&plain, bytes_of(n.octets, n.len));
		}
		put_raw(&m, l->after, &plain);
	}
	if (m.at != r->at + r->len)
		m.bad = true;
	if (!m.bad)
		buf_block(out, buf_bytes(&plain));
	buf_done(&plain);
	return !m.bad;
}

/* ---- the answer ---- */

static void at_most(uint32_t *ttl, uint32_t value)
{
	if (value < *ttl)
		*ttl = value;
}

/* The records stand in any order: each round looks for the CNAME of the name that was reached. */
static bool next_cname(struct message m, size_t first, unsigned count, struct dns_name *name,
                       uint32_t *ttl)
{
	m.at = first;
	for (unsigned i = 0; i < count && !m.bad; i++) {
		struct record r = take_record(&m);
		struct message inside = {.all = m.all, .at = r.at};

		if (m.bad || r.type != DNS_CNAME || r.class != CLASS_IN ||
		    !dns_name_equal(&r.owner, name))
			continue;
		*name = take_name(&inside);
		at_most(ttl, r.ttl);
		return !inside.bad;
	}
	return false;
}

static enum result follow(const struct message *m, unsigned count, const struct dns_name *name,
                          uint16_t type, struct dns_answer *a)
{
	struct dns_name at = *name;

	for (int i = 0; type != DNS_CNAME && next_cname(*m, m->at, count, &at, &a->ttl); i++) {
		if (i == DNS_CHAIN_MAX)
			return INVALID;
		a->canonical = at;
	}
	return OK;
}

static enum result collect(struct message *m, unsigned count, const struct dns_name *owner,
                           uint16_t type, size_t max, struct dns_answer *a, struct buf *out)
{
	for (unsigned i = 0; i < count; i++) {
		struct record r = take_record(m);

		if (m->bad)
			return INVALID;
		if (r.type != type || r.class != CLASS_IN || !dns_name_equal(&r.owner, owner))
			continue;
		if (!put_rdata(m, &r, out))
			return INVALID;
		if (buf_len(out) > max)
			return TOO_BIG;
		at_most(&a->ttl, r.ttl);
	}
	return OK;
}

/* The TTL of a denial is the SOA's own or its last field, the smaller (RFC 2308, 5). */
static void denial_ttl(struct message *m, unsigned count, struct dns_answer *a)
{
	uint32_t ttl = DENIAL_TTL;

	for (unsigned i = 0; i < count && !m->bad; i++) {
		struct record r = take_record(m);
		struct message last = {.all = m->all, .at = r.at + r.len - 4};

		if (m->bad || r.type != DNS_SOA || r.len < 22)
			continue;
		ttl = number(&last, 4);
		at_most(&ttl, r.ttl);
		break;
	}
	at_most(&a->ttl, ttl);
}

static void skip_question(struct message *m, unsigned count)
{
	while (count-- > 0 && !m->bad) {
		(void)take_name(m);
		(void)number(m, 4);
	}
}

enum result dns_message_read(struct bytes packet, const struct dns_name *name, uint16_t type,
                             size_t max, struct arena *arena, struct dns_answer *ret)
{
	struct message m = {.all = packet, .at = 2};
	unsigned rcode = number(&m, 2) & RCODE, questions = number(&m, 2), answers = number(&m, 2),
	         authorities = number(&m, 2);
	struct dns_answer a = {.ttl = INT32_MAX};
	struct buf records = {0};
	enum result r;

	(void)number(&m, 2);
	skip_question(&m, questions);
	if (m.bad)
		return INVALID;
	r = follow(&m, answers, name, type, &a);
	if (r == OK)
		r = collect(&m, answers, a.canonical.len ? &a.canonical : name, type, max, &a,
		            &records);
	a.records = arena_copy(arena, buf_bytes(&records));
	buf_done(&records);
	if (r != OK)
		return r;
	if (a.records.len == 0)
		denial_ttl(&m, authorities, &a);
	a.status = rcode == NXDOMAIN    ? DNS_NO_NAME
	           : rcode != NOERROR   ? DNS_FAILED
	           : a.records.len == 0 ? DNS_NO_DATA
	                                : DNS_FOUND;
	*ret = a;
	return OK;
}
