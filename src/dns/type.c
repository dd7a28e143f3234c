#include <stdio.h>

#include "base/text.h"
#include "dns/dns.h"

static const struct {
	uint16_t type;
	const char *name;
} types[] = {
        {DNS_A, "A"},       {DNS_NS, "NS"},     {DNS_CNAME, "CNAME"}, {DNS_SOA, "SOA"},
        {DNS_PTR, "PTR"},   {DNS_MX, "MX"},     {DNS_TXT, "TXT"},     {DNS_AAAA, "AAAA"},
        {DNS_SRV, "SRV"},   {35, "NAPTR"},      {DNS_DNAME, "DNAME"}, {DNS_DS, "DS"},
        {44, "SSHFP"},      {46, "RRSIG"},      {47, "NSEC"},         {DNS_DNSKEY, "DNSKEY"},
        {50, "NSEC3"},      {51, "NSEC3PARAM"}, {DNS_TLSA, "TLSA"},   {53, "SMIMEA"},
        {61, "OPENPGPKEY"}, {64, "SVCB"},       {65, "HTTPS"},        {99, "SPF"},
        {DNS_CAA, "CAA"},
};
enum { TYPES = sizeof(types) / sizeof(*types) };

void dns_type_format(uint16_t type, char out[DNS_TYPE_TEXT])
{
	for (size_t i = 0; i < TYPES; i++)
		if (types[i].type == type) {
			snprintf(out, DNS_TYPE_TEXT, "%s", types[i].name);
			return;
		}
	snprintf(out, DNS_TYPE_TEXT, "TYPE%u", type);
}

enum result dns_type_parse(struct bytes text, uint16_t *ret)
{
	uint64_t number;

	for (size_t i = 0; i < TYPES; i++)
		if (bytes_equal_nocase(text, bytes_of_text(types[i].name))) {
			*ret = types[i].type;
			return OK;
		}
	if (bytes_starts_nocase(text, BYTES("TYPE")))
		text = bytes_skip(text, 4);
	if (bytes_to_u64(text, UINT16_MAX, &number) != OK || number == 0)
		return INVALID;
	*ret = (uint16_t)number;
	return OK;
}

const char *dns_status_name(enum dns_status s)
{
	static const char *const names[] = {"found", "no data", "no such name", "failed", "bogus"};

	return s <= DNS_BOGUS ? names[s] : "unknown";
}
