/* Answers as they come over the network: compression, CNAMEs, TTLs, denials, and what is broken. */
#include "../test.h"

#include <stdlib.h>

#include "dns/dns.h"

static struct arena arena;

struct packet {
	struct buf all;
	unsigned answers, authorities;
};

static void put_name(struct buf *out, const char *text)
{
	struct dns_name n;

	assert_int_equal(dns_name_parse(bytes_of_text(text), &n), OK);
	buf_append(out, bytes_of(n.octets, n.len));
}

static struct packet begin(const char *question, uint16_t type, unsigned rcode)
{
	struct packet p = {0};

	buf_u16(&p.all, 1);
	buf_u16(&p.all, (uint16_t)(0x8180 | rcode));
	buf_u16(&p.all, 1);
	buf_u16(&p.all, 0);
	buf_u16(&p.all, 0);
	buf_u16(&p.all, 0);
	put_name(&p.all, question);
	buf_u16(&p.all, type);
	buf_u16(&p.all, 1);
	return p;
}

static void count(struct packet *p)
{
	p->all.ptr[7] = (char)p->answers;
	p->all.ptr[9] = (char)p->authorities;
}

static void record(struct packet *p, const char *owner, uint16_t type, uint32_t ttl,
                   struct bytes rdata)
{
	put_name(&p->all, owner);
	buf_u16(&p->all, type);
	buf_u16(&p->all, 1);
	buf_u32(&p->all, ttl);
	buf_u16(&p->all, (uint16_t)rdata.len);
	buf_append(&p->all, rdata);
	p->answers++;
	count(p);
}

static void text_record(struct packet *p, const char *owner, uint16_t type, uint32_t ttl,
                        const char *text)
{
	struct buf rdata = {0};

	assert_int_equal(dns_rdata_read(type, bytes_of_text(text), &rdata), OK);
	record(p, owner, type, ttl, buf_bytes(&rdata));
	buf_done(&rdata);
}

static enum result parse(struct packet *p, const char *name, uint16_t type, struct dns_answer *ret)
{
	struct dns_name n;
	enum result r;

	assert_int_equal(dns_name_parse(bytes_of_text(name), &n), OK);
	r = dns_message_read(buf_bytes(&p->all), &n, type, 4096, &arena, ret);
	buf_done(&p->all);
	return r;
}

static size_t records_in(const struct dns_answer *a)
{
	struct wire w = wire_of(a->records);
	size_t n = 0;

	while (!wire_end(&w)) {
		(void)wire_block(&w);
		n++;
	}
	assert_false(w.bad);
	return n;
}

static void records_of_the_type_only(void **state)
{
	struct packet p = begin("example.test", DNS_MX, 0);
	struct dns_answer a;

	(void)state;
	text_record(&p, "example.test", DNS_MX, 300, "10 a.test");
	text_record(&p, "EXAMPLE.test", DNS_MX, 200, "20 b.test");
	text_record(&p, "other.test", DNS_MX, 5, "0 c.test");
	text_record(&p, "example.test", DNS_TXT, 5, "x");
	assert_int_equal(parse(&p, "example.test", DNS_MX, &a), OK);
	assert_int_equal(a.status, DNS_FOUND);
	assert_int_equal(records_in(&a), 2);
	assert_int_equal(a.ttl, 200);
	assert_int_equal(a.canonical.len, 0);
}

/* In the wrong order, and with the least TTL on the way. */
static void cnames_are_followed(void **state)
{
	struct packet p = begin("a.test", DNS_A, 0);
	struct dns_answer a;

	(void)state;
	text_record(&p, "c.test", DNS_A, 300, "192.0.2.1");
	text_record(&p, "b.test", DNS_CNAME, 7, "C.test");
	text_record(&p, "a.test", DNS_CNAME, 300, "b.test");
	assert_int_equal(parse(&p, "a.test", DNS_A, &a), OK);
	assert_int_equal(a.status, DNS_FOUND);
	assert_bytes(dns_name_text(&a.canonical, &arena), BYTES("c.test"));
	assert_int_equal(a.ttl, 7);
	assert_int_equal(records_in(&a), 1);
	p = begin("a.test", DNS_CNAME, 0);
	text_record(&p, "a.test", DNS_CNAME, 300, "b.test");
	assert_int_equal(parse(&p, "a.test", DNS_CNAME, &a), OK);
	assert_int_equal(records_in(&a), 1);
	assert_int_equal(a.canonical.len, 0);
}

static void cname_circles_end(void **state)
{
	struct packet p = begin("a.test", DNS_A, 0);
	struct dns_answer a;

	(void)state;
	text_record(&p, "a.test", DNS_CNAME, 300, "b.test");
	text_record(&p, "b.test", DNS_CNAME, 300, "a.test");
	assert_int_equal(parse(&p, "a.test", DNS_A, &a), INVALID);
}

/* RFC 2308, 5: the SOA's TTL or its minimum, the smaller. */
static void denials_have_a_ttl(void **state)
{
	static const struct {
		unsigned rcode;
		uint32_t ttl;
		const char *soa;
		uint32_t expected;
	} rows[] = {
	        {3, 900, "a. b. 1 2 3 4 30", 30},
	        {0, 20, "a. b. 1 2 3 4 3600", 20},
	        {3, 0, NULL, 60},
	};

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct packet p = begin("example.test", DNS_MX, rows[i].rcode);
		struct dns_answer a;

		if (rows[i].soa) {
			text_record(&p, "test", DNS_SOA, rows[i].ttl, rows[i].soa);
			p.answers = 0;
			p.authorities = 1;
			count(&p);
		}
		assert_int_equal(parse(&p, "example.test", DNS_MX, &a), OK);
		assert_int_equal(a.status, rows[i].rcode ? DNS_NO_NAME : DNS_NO_DATA);
		assert_int_equal(a.ttl, rows[i].expected);
	}
}

static void other_rcodes_are_failures(void **state)
{
	struct packet p = begin("example.test", DNS_MX, 2);
	struct dns_answer a;

	(void)state;
	assert_int_equal(parse(&p, "example.test", DNS_MX, &a), OK);
	assert_int_equal(a.status, DNS_FAILED);
}

/* The MX's host points into the question (offset 12), as servers write it. */
static void compression_is_undone(void **state)
{
	struct packet p = begin("example.test", DNS_MX, 0);
	struct dns_answer a;
	struct dns_rdata r;
	struct wire w;

	(void)state;
	record(&p, "example.test", DNS_MX, 60, BYTES("\0\12\2mx\300\14"));
	assert_int_equal(parse(&p, "example.test", DNS_MX, &a), OK);
	w = wire_of(a.records);
	assert_int_equal(dns_rdata_parse(DNS_MX, wire_block(&w), &arena, &r), OK);
	assert_bytes(dns_name_text(&r.mx.host, &arena), BYTES("mx.example.test"));
}

static void pointers_forward_or_to_themselves_are_refused(void **state)
{
	static const struct bytes bad[] = {
	        BYTES("\0\12\377\377"),        BYTES("\0\12\300"),    BYTES("\0\12\2mx"),
	        BYTES("\0\12\2mx\300\14junk"), BYTES("\0\12\300\52"),
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct packet p = begin("example.test", DNS_MX, 0);
		struct dns_answer a;

		record(&p, "example.test", DNS_MX, 60, bad[i]);
		assert_int_equal(parse(&p, "example.test", DNS_MX, &a), INVALID);
	}
}

static void too_much_is_refused(void **state)
{
	struct packet p = begin("example.test", DNS_TXT, 0);
	struct dns_answer a;
	struct buf text = {0};

	(void)state;
	while (buf_len(&text) < 200)
		buf_append_char(&text, 'x');
	buf_append_char(&text, 0);
	for (int i = 0; i < 30; i++)
		text_record(&p, "example.test", DNS_TXT, 60, text.ptr);
	buf_done(&text);
	assert_int_equal(parse(&p, "example.test", DNS_TXT, &a), TOO_BIG);
}

/* Every prefix, and every octet changed: no read outside (the sanitizers look), no endless loop. */
static void hostile_octets(void **state)
{
	struct packet p = begin("a.test", DNS_MX, 0);
	struct dns_name n;
	struct dns_answer a;
	size_t len;

	(void)state;
	assert_int_equal(dns_name_parse(BYTES("a.test"), &n), OK);
	text_record(&p, "a.test", DNS_CNAME, 300, "b.test");
	record(&p, "b.test", DNS_MX, 60, BYTES("\0\12\2mx\300\14"));
	len = buf_len(&p.all);
	for (size_t i = 0; i <= len; i++) {
		char *exact = malloc(i + 1);

		memcpy(exact + 1, p.all.ptr, i);
		(void)!dns_message_read(bytes_of(exact + 1, i), &n, DNS_MX, 4096, &arena, &a);
		free(exact);
	}
	for (size_t at = 0; at < len; at++)
		for (unsigned v = 0; v < 256; v++) {
			char was = p.all.ptr[at];

			p.all.ptr[at] = (char)v;
			(void)!dns_message_read(buf_bytes(&p.all), &n, DNS_MX, 4096, &arena, &a);
			p.all.ptr[at] = was;
		}
	buf_done(&p.all);
}

static int done(void **state)
{
	(void)state;
	arena_done(&arena);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(records_of_the_type_only),
	        cmocka_unit_test(cnames_are_followed),
	        cmocka_unit_test(cname_circles_end),
	        cmocka_unit_test(denials_have_a_ttl),
	        cmocka_unit_test(other_rcodes_are_failures),
	        cmocka_unit_test(compression_is_undone),
	        cmocka_unit_test(pointers_forward_or_to_themselves_are_refused),
	        cmocka_unit_test(too_much_is_refused),
	        cmocka_unit_test(hostile_octets),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, done);
}
