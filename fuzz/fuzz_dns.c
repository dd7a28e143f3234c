/* What the DNS says: a message, RDATA of every type, names as text. What is read can be written, and reads the same again. */
#include <stdlib.h>

#include "dns/dns.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool good)
{
	if (!good)
		abort();
}

static const uint16_t types[] = {DNS_A,    DNS_NS,  DNS_CNAME, DNS_SOA,  DNS_PTR, DNS_MX, DNS_TXT,
                                 DNS_AAAA, DNS_SRV, DNS_DNAME, DNS_TLSA, DNS_CAA, DNS_DS, 65280};
enum { TYPES = sizeof(types) / sizeof(*types) };

static void check_name(struct bytes text)
{
	struct dns_name n, again;
	char out[DNS_NAME_TEXT];

	if (dns_name_parse(text, &n) != OK)
		return;
	dns_name_format(&n, out);
	check(dns_name_parse(bytes_of_text(out), &again) == OK && dns_name_equal(&n, &again));
	check(dns_name_below(&n, &again) && dns_name_compare(&n, &again) == 0);
}

static void check_rdata(uint16_t type, struct bytes rdata)
{
	struct buf text = {0}, again = {0};

	dns_rdata_format(type, rdata, &text);
	/* Letters of names become small, so only what has no name in it comes back octet by octet. */
	if (rdata.len > 0 && rdata.len <= UINT16_MAX)
		check(dns_rdata_read(type, buf_bytes(&text), &again) == OK);
	if (buf_len(&again) > 0)
		check(buf_len(&again) == rdata.len);
	buf_done(&text);
	buf_done(&again);
}

static void check_message(struct bytes packet, uint16_t type)
{
	struct arena arena = {0};
	struct dns_name name;
	struct dns_answer a;
	struct wire w;

	check(dns_name_parse(BYTES("a.test"), &name) == OK);
	if (dns_message_read(packet, &name, type, 4096, &arena, &a) == OK) {
		check(a.records.len <= 4096);
		for (w = wire_of(a.records); !wire_end(&w);)
			(void)wire_block(&w);
		check(!w.bad);
	}
	arena_done(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes in = bytes_of(data, size);

	if (size < 1)
		return 0;
	check_name(bytes_skip(in, 1));
	check_rdata(types[data[0] % TYPES], bytes_skip(in, 1));
	check_message(bytes_skip(in, 1), types[data[0] % TYPES]);
	return 0;
}
