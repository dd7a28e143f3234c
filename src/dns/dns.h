/* What the DNS is made of: names, record types, RDATA, and a whole answer. Pure; who asks is roles/resolver.c.
 *
 *	struct dns_name name;
 *	if (dns_name_parse(BYTES("mx1.example.test"), &name) == OK)
 *		for (; name.len > 1; dns_name_parent(&name)) ...
 *
 *	struct dns_rdata r;
 *	if (dns_rdata_parse(DNS_MX, record, &arena, &r) == OK)
 *		use r.mx.preference, r.mx.host
 *
 * Names are kept in wire form and lower case: comparing them is comparing octets. Text is ASCII; what a label may not show as
 * it is stands as \DDD or \. (RFC 4343, 2.1); Unicode names are made A-labels before (config_domain_canonical).
 * RDATA is what RESOLVE gives: wire form, names in it not compressed.
 *
 * Not here: sets of facts for pure checks (verify/facts.h). */
#ifndef DNS_DNS_H
#define DNS_DNS_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/ip.h"
#include "base/wire.h"

/* As RESOLVE's status says it. */
enum dns_status {
	DNS_FOUND,
	DNS_NO_DATA, /* the name is there, with no record of this type */
	DNS_NO_NAME, /* there is no such name */
	DNS_FAILED,  /* nobody knows: no answer, or a broken one */
	DNS_BOGUS,   /* what came is not what its zone signed */
};

const char *dns_status_name(enum dns_status s); /* "no data" */

/* ---- types ---- */

enum dns_type {
	DNS_A = 1,
	DNS_NS = 2,
	DNS_CNAME = 5,
	DNS_SOA = 6,
	DNS_PTR = 12,
	DNS_MX = 15,
	DNS_TXT = 16,
	DNS_AAAA = 28,
	DNS_SRV = 33,
	DNS_DNAME = 39,
	DNS_DS = 43,
	DNS_DNSKEY = 48,
	DNS_TLSA = 52,
	DNS_CAA = 257,
};

enum { DNS_TYPE_TEXT = 12 };
void dns_type_format(uint16_t type, char out[DNS_TYPE_TEXT]); /* "MX", "TYPE65280" (RFC 3597, 5) */
enum result dns_type_parse(struct bytes text, uint16_t *ret) MUST_USE; /* any case; digits too */

/* ---- names ---- */

enum {
	DNS_NAME_MAX = 255, /* octets in wire form (RFC 1035, 2.3.4) */
	DNS_LABEL_MAX = 63,
	DNS_NAME_TEXT = 1017, /* of the longest name, each octet as \DDD, and a NUL */
};

struct dns_name {
	uint8_t len; /* 1 is the root; 0 is no name at all */
	uint8_t octets[DNS_NAME_MAX];
};

/* With or without the dot at its end; "." is the root. INVALID: empty labels, an octet that is not ASCII, a broken escape;
 * TOO_BIG: a label or the whole. */
enum result dns_name_parse(struct bytes text, struct dns_name *ret) MUST_USE;
/* Without the dot at its end; the root is ".". */
void dns_name_format(const struct dns_name *n, char out[DNS_NAME_TEXT]);
struct bytes dns_name_text(const struct dns_name *n, struct arena *arena);

/* Reads a name that is not compressed; sets w->bad where there is none. */
void dns_name_take(struct wire *w, struct dns_name *ret);

bool dns_name_equal(const struct dns_name *a, const struct dns_name *b);
/* The canonical order (RFC 4034, 6.1): by labels from the right. */
int dns_name_compare(const struct dns_name *a, const struct dns_name *b);
/* Is it this name, or below it? */
bool dns_name_below(const struct dns_name *n, const struct dns_name *top);
unsigned dns_name_labels(const struct dns_name *n); /* the root has 0 */
/* Without its first label; the root stays the root. */
void dns_name_parent(struct dns_name *n);
/* Puts labels, written as text ("_25._tcp"), before the name. */
enum result dns_name_prepend(struct dns_name *n, struct bytes labels) MUST_USE;
/* May it be a host's name (RFC 1123, 2.1: letters, digits, hyphens inside)? */
bool dns_name_is_host(const struct dns_name *n);

/* "1.2.0.192" or 32 nibbles, then `.zone`: of DNSBLs (RFC 5782, 2.1, 2.4). Empty zone: in-addr.arpa or ip6.arpa, the name
 * whose PTR it is (RFC 1035, 3.5; RFC 3596, 2.5). */
struct bytes dns_reverse(const struct ip *ip, struct bytes zone, struct arena *arena);

/* ---- RDATA ---- */

enum { DNS_STRINGS_MAX = 256 }; /* strings of one TXT record that we join */

struct dns_rdata {
	uint16_t type;
	union {
		struct ip address;    /* A, AAAA */
		struct dns_name name; /* NS, CNAME, PTR, DNAME */
		struct {
			uint16_t preference;
			struct dns_name host; /* the root: a null MX (RFC 7505) */
		} mx;
		struct bytes
		        text; /* TXT: its strings joined, without anything between (RFC 7208, 3.3) */
		struct {
			struct dns_name primary, contact;
			uint32_t serial, refresh, retry, expire, minimum;
		} soa;
		struct {
			uint16_t priority, weight, port;
			struct dns_name target; /* the root: the service is not there (RFC 2782) */
		} srv;
		struct {
			uint8_t usage, selector, matching;
			struct bytes data;
		} tlsa; /* RFC 6698, 2.1 */
		struct {
			uint8_t flags;
			struct bytes tag, value;
		} caa; /* RFC 8659, 4.1 */
		struct {
			uint16_t key;
			uint8_t algorithm, digest_type;
			struct bytes digest;
		} ds; /* RFC 4034, 5.1 */
	};
};

/* bytes in it are the record's or the arena's. INVALID: broken, or a type that is not in the union. */
enum result dns_rdata_parse(uint16_t type, struct bytes rdata, struct arena *arena,
                            struct dns_rdata *ret) MUST_USE;
/* As a zone file has it; what is unknown or broken as \# LENGTH HEX (RFC 3597, 5). Appends. */
void dns_rdata_format(uint16_t type, struct bytes rdata, struct buf *out);
/* The other way, for the types of the union, CNAME and the like: what a zone file has, in wire form. Names must be whole.
 * Appends; out is untouched when INVALID. */
enum result dns_rdata_read(uint16_t type, struct bytes text, struct buf *out) MUST_USE;

/* ---- an answer as it came over the network ---- */

struct dns_answer {
	enum dns_status status;
	uint32_t ttl;              /* the least of all that it rests on; of a denial: RFC 2308, 5 */
	struct dns_name canonical; /* where CNAMEs lead; len 0: none do */
	struct bytes records;      /* blocks, as RESOLVE's */
};

enum { DNS_CHAIN_MAX = 16 }; /* CNAMEs, one after the other */

/* A whole message (RFC 1035, 4.1) that answers this question. DNS_FAILED for the rcodes but NOERROR and NXDOMAIN. INVALID: it
 * breaks the format, or its CNAMEs go in a circle; TOO_BIG: more records than max octets hold. */
enum result dns_message_read(struct bytes packet, const struct dns_name *name, uint16_t type,
                             size_t max, struct arena *arena, struct dns_answer *ret) MUST_USE;

#endif
