/* DNS facts for tests, written as a zone would have them. */
#ifndef FACTS_TEST_H
#define FACTS_TEST_H

#include "../test.h"

#include "base/buf.h"
#include "base/ip.h"
#include "verify/facts.h"

enum { T_A = 1, T_MX = 15, T_TXT = 16, T_AAAA = 28, T_TLSA = 52 };

static inline void wire_name(struct buf *b, const char *text)
{
	struct bytes rest = bytes_of_text(text), label;

	while (bytes_cut(&rest, '.', &label)) {
		buf_u8(b, (uint8_t)label.len);
		buf_append(b, label);
	}
	buf_u8(b, 0);
}

static inline void fact(struct facts *f, const char *name, uint16_t type, enum fact_status status,
                        bool secure, const char *canonical, struct bytes records)
{
	facts_add(f, bytes_of_text(name), type,
	          &(struct answer_resolve){.status = (uint8_t)status,
	                                   .secure = secure,
	                                   .canonical = bytes_of_text(canonical),
	                                   .records = records});
}

/* "10 mx1.test 20 mx2.test" */
static inline void fact_mx(struct facts *f, const char *name, bool secure, const char *text)
{
	struct bytes rest = bytes_of_text(text), word;
	struct buf records = {0};

	while (bytes_cut(&rest, ' ', &word)) {
		uint64_t preference = 0;
		struct buf rdata = {0};
		char host[256];

		assert_int_equal(bytes_to_u64(word, 65535, &preference), OK);
		buf_u16(&rdata, (uint16_t)preference);
		assert_true(bytes_cut(&rest, ' ', &word));
		snprintf(host, sizeof(host), "%.*s", BYTES_ARG(word));
		wire_name(&rdata, strcmp(host, ".") == 0 ? "" : host);
		buf_block(&records, buf_bytes(&rdata));
		buf_done(&rdata);
	}
	fact(f, name, T_MX, FACT_FOUND, secure, "", buf_bytes(&records));
	buf_done(&records);
}

/* "192.0.2.1 192.0.2.2": A or AAAA by the first. */
static inline void fact_ip(struct facts *f, const char *name, bool secure, const char *canonical,
                           const char *text)
{
	struct bytes rest = bytes_of_text(text), word;
	struct buf records = {0};
	bool v4 = true;

	while (bytes_cut(&rest, ' ', &word)) {
		struct ip ip;

		assert_int_equal(ip_parse(word, &ip), OK);
		v4 = ip_is_v4(&ip);
		buf_block(&records, bytes_of(ip.octets + (v4 ? 12 : 0), v4 ? 4 : 16));
	}
	fact(f, name, v4 ? T_A : T_AAAA, FACT_FOUND, secure, canonical, buf_bytes(&records));
	buf_done(&records);
}

static inline void fact_none(struct facts *f, const char *name, uint16_t type, bool secure)
{
	fact(f, name, type, FACT_NO_DATA, secure, "", (struct bytes){0});
}

static inline void fact_txt(struct facts *f, const char *name, const char *text)
{
	struct buf records = {0}, rdata = {0};

	buf_u8(&rdata, (uint8_t)strlen(text));
	buf_append_text(&rdata, text);
	buf_block(&records, buf_bytes(&rdata));
	fact(f, name, T_TXT, FACT_FOUND, false, "", buf_bytes(&records));
	buf_done(&records);
	buf_done(&rdata);
}

/* A host with both families: none of IPv6. */
static inline void fact_host(struct facts *f, const char *name, bool secure, const char *ip4)
{
	fact_ip(f, name, secure, "", ip4);
	fact_none(f, name, T_AAAA, secure);
}

#endif
