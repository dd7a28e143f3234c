/* RDATA: what a zone file says, as octets and as a struct, and back; and no octets that break it. */
#include "../test.h"

#include <stdlib.h>

#include "dns/dns.h"

static struct arena arena;

static struct bytes rdata(uint16_t type, const char *text)
{
	struct buf out = {0};
	struct bytes copy;

	if (dns_rdata_read(type, bytes_of_text(text), &out) != OK) {
		print_error("not read: %s\n", text);
		fail();
	}
	copy = arena_copy(&arena, buf_bytes(&out));
	buf_done(&out);
	return copy;
}

static struct dns_rdata parsed(uint16_t type, const char *text)
{
	struct dns_rdata r;

	assert_int_equal(dns_rdata_parse(type, rdata(type, text), &arena, &r), OK);
	return r;
}

static const struct {
	uint16_t type;
	const char *text;
} samples[] = {
        {DNS_A, "192.0.2.1"},
        {DNS_AAAA, "2001:db8::1"},
        {DNS_NS, "ns.example.test."},
        {DNS_CNAME, "."},
        {DNS_PTR, "mx.example.test."},
        {DNS_MX, "10 mx.example.test."},
        {DNS_MX, "0 ."},
        {DNS_TXT, "\"v=spf1 -all\""},
        {DNS_TXT, "\"v=DKIM1; \" \"p=\\\"a\\\\b\\200\" \"\""},
        {DNS_SOA, "ns.example.test. host.example.test. 1 3600 600 86400 30"},
        {DNS_SRV, "0 1 993 mx.example.test."},
        {DNS_TLSA, "3 1 1 00112233445566778899aabbccddeeff"},
        {DNS_CAA, "0 issue \"letsencrypt.org; x=1\""},
        {DNS_CAA, "128 iodef \"\""},
        {DNS_DS, "20326 8 2 e06d44b8"},
        {65280, "\\# 3 0a0b0c"},
        {65280, "\\# 0"},
        {DNS_A, "\\# 3 0a0b0c"}, /* broken: shown as it is */
        {DNS_AAAA, "\\# 16 00000000000000000000ffffc0000201"},
};
enum { SAMPLES = sizeof(samples) / sizeof(*samples) };

static void text_comes_back(void **state)
{
	(void)state;
	for (size_t i = 0; i < SAMPLES; i++) {
		struct buf out = {0};

		dns_rdata_format(samples[i].type, rdata(samples[i].type, samples[i].text), &out);
		assert_bytes(buf_bytes(&out), bytes_of_text(samples[i].text));
		buf_done(&out);
	}
}

static void structs_have_the_fields(void **state)
{
	struct dns_rdata r = parsed(DNS_MX, "10 MX.Example.test");
	char text[IP_TEXT];

	(void)state;
	assert_int_equal(r.mx.preference, 10);
	assert_bytes(dns_name_text(&r.mx.host, &arena), BYTES("mx.example.test"));
	r = parsed(DNS_A, "192.0.2.9");
	ip_format(&r.address, text);
	assert_string_equal(text, "192.0.2.9");
	r = parsed(DNS_TXT, "one \"two three\" four");
	assert_bytes(r.text, BYTES("onetwo threefour"));
	r = parsed(DNS_SOA, "a. b. 1 2 3 4 5");
	assert_int_equal(r.soa.serial, 1);
	assert_int_equal(r.soa.minimum, 5);
	r = parsed(DNS_SRV, "1 2 3 a.");
	assert_int_equal(r.srv.port, 3);
	r = parsed(DNS_TLSA, "3 1 1 ab cd");
	assert_bytes(r.tlsa.data, BYTES("\xab\xcd"));
	r = parsed(DNS_CAA, "128 issue \"x\"");
	assert_int_equal(r.caa.flags, 128);
	assert_bytes(r.caa.tag, BYTES("issue"));
	assert_bytes(r.caa.value, BYTES("x"));
	r = parsed(DNS_DS, "20326 8 2 ab");
	assert_int_equal(r.ds.key, 20326);
	assert_bytes(r.ds.digest, BYTES("\xab"));
}

static void broken_text_is_refused(void **state)
{
	static const struct {
		uint16_t type;
		const char *text;
	} bad[] = {
	        {DNS_A, ""},
	        {DNS_A, "::1"},
	        {DNS_A, "1.2.3.4 5"},
	        {DNS_AAAA, "1.2.3.4"},
	        {DNS_MX, "mx.test"},
	        {DNS_MX, "65536 mx.test"},
	        {DNS_MX, "10"},
	        {DNS_TXT, ""},
	        {DNS_TXT, "\"open"},
	        {DNS_TXT, "a\\999"},
	        {DNS_TLSA, "3 1 1"},
	        {DNS_TLSA, "3 1 1 abc"},
	        {DNS_TLSA, "256 1 1 ab"},
	        {DNS_CAA, "0 issue"},
	        {65280, "x"},
	        {65280, "\\# 2 ab"},
	};
	struct buf out = {0};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_int_equal(dns_rdata_read(bad[i].type, bytes_of_text(bad[i].text), &out),
		                 INVALID);
	assert_int_equal(buf_len(&out), 0);
	buf_done(&out);
}

/* Cut short, one octet more, each octet changed: never more than INVALID or another record. */
static void hostile_octets(void **state)
{
	(void)state;
	for (size_t i = 0; i < SAMPLES; i++) {
		struct bytes good = rdata(samples[i].type, samples[i].text);
		char room[600];
		struct dns_rdata r;
		struct buf out = {0};

		assert_true(good.len < sizeof(room) - 1);
		for (size_t len = 0; len <= good.len; len++) {
			char *exact = malloc(len +
			                     1); /* so that a sanitizer sees what is read beyond */

			memcpy(exact + 1, good.ptr ? good.ptr : "", len);
			(void)!dns_rdata_parse(samples[i].type, bytes_of(exact + 1, len), &arena,
			                       &r);
			dns_rdata_format(samples[i].type, bytes_of(exact + 1, len), &out);
			free(exact);
		}
		for (size_t at = 0; at < good.len; at++)
			for (unsigned v = 0; v < 256; v += 5) {
				memcpy(room, good.ptr, good.len);
				room[at] = (char)v;
				(void)!dns_rdata_parse(samples[i].type, bytes_of(room, good.len),
				                       &arena, &r);
				buf_clear(&out);
				dns_rdata_format(samples[i].type, bytes_of(room, good.len), &out);
			}
		memcpy(room, good.ptr ? good.ptr : "", good.len);
		room[good.len] = 0;
		if (samples[i].text[0] != '\\' &&
		    (samples[i].type == DNS_A || samples[i].type == DNS_MX))
			assert_int_equal(dns_rdata_parse(samples[i].type,
			                                 bytes_of(room, good.len + 1), &arena, &r),
			                 INVALID);
		buf_done(&out);
	}
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
	        cmocka_unit_test(text_comes_back),
	        cmocka_unit_test(structs_have_the_fields),
	        cmocka_unit_test(broken_text_is_refused),
	        cmocka_unit_test(hostile_octets),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, done);
}
