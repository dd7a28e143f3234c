#include "verify/publish.h"

#include "base/encode.h"
#include "base/text.h"
#include "crypto/digest.h"
#include "verify/publish_wants.h"

enum { TTL = 3600, STRING_MAX = 255, STS_MAX_AGE = 604800, STS_ID = 16 };

/* ---- what we want, as text ---- */

struct bytes publish_want_spf(void)
{
	return BYTES("v=spf1 mx -all");
}

struct bytes publish_want_host_spf(void)
{
	return BYTES("v=spf1 a -all");
}

struct bytes publish_want_dmarc(const struct publish_question *q, struct arena *arena)
{
	return arena_printf(arena, "v=DMARC1; p=none; rua=mailto:postmaster@%.*s",
	                    BYTES_ARG(q->domain));
}

struct bytes publish_want_sts(const struct publish_question *q, struct arena *arena)
{
	struct bytes id = publish_sts_id(q, arena);

	return arena_printf(arena, "v=STSv1; id=%.*s;", BYTES_ARG(id));
}

struct bytes publish_want_tlsrpt(const struct publish_question *q, struct arena *arena)
{
	return arena_printf(arena, "v=TLSRPTv1; rua=mailto:postmaster@%.*s", BYTES_ARG(q->domain));
}

struct bytes publish_want_tlsa(struct bytes spki, struct arena *arena)
{
	struct buf hex = {0};
	struct bytes text;

	encode_hex(&hex, spki);
	text = arena_printf(arena, "3 1 1 %.*s", BYTES_ARG(buf_bytes(&hex)));
	buf_done(&hex);
	return text;
}

struct bytes publish_name(struct arena *arena, const char *labels, struct bytes domain)
{
	return arena_printf(arena, "%s.%.*s", labels, BYTES_ARG(domain));
}

void publish_sts_policy(const struct publish_question *q, struct buf *out)
{
	buf_printf(out, "version: STSv1\nmode: testing\nmx: %.*s\nmax_age: %d\n",
	           BYTES_ARG(q->hostname), STS_MAX_AGE);
}

/* The same text has the same id, another text another one: what the id is for (RFC 8461, 3.1). */
struct bytes publish_sts_id(const struct publish_question *q, struct arena *arena)
{
	struct buf policy = {0}, hex = {0};
	uint8_t digest[DIGEST_SHA256];
	struct bytes id;

	publish_sts_policy(q, &policy);
	digest_sha256(buf_bytes(&policy), digest);
	encode_hex(&hex, bytes_of(digest, sizeof(digest)));
	id = arena_copy(arena, bytes_first(buf_bytes(&hex), STS_ID));
	buf_done(&policy);
	buf_done(&hex);
	return id;
}

/* ---- services that programs look for (RFC 6186, RFC 8314, 5.1) ---- */

size_t publish_services(const struct publish_question *q,
                        struct publish_service ret[PUBLISH_SERVICES])
{
	const struct publish_service all[PUBLISH_SERVICES] = {
	        {"_imaps._tcp", 0, q->imaps},
	        {"_pop3s._tcp", 10, q->pop3s},
	        {"_submissions._tcp", 0, q->submissions},
	        {"_submission._tcp", 10, q->submission},
	};
	size_t count = 0;

	for (size_t i = 0; i < PUBLISH_SERVICES; i++)
		if (all[i].port)
			ret[count++] = all[i];
	return count;
}

struct bytes publish_want_srv(const struct publish_question *q, const struct publish_service *s,
                              struct arena *arena)
{
	return arena_printf(arena, "%u 1 %u %.*s.", s->priority, s->port, BYTES_ARG(q->hostname));
}

/* ---- the list ---- */

struct list {
	const struct publish_question *q;
	struct arena *arena;
	struct publish_records *out;
};

static void add(struct list *l, enum publish_place place, struct bytes name, uint16_t type,
                struct bytes text, const char *english, const char *japanese)
{
	if (l->out->count < PUBLISH_RECORDS)
		l->out->items[l->out->count++] = (struct publish_record){place, name,    type,
		                                                         text,  english, japanese};
}

/* As strings in quotes, cut where they must be. */
static struct bytes strings(struct arena *arena, struct bytes text)
{
	struct buf out = {0};
	struct bytes copy;

	do {
		buf_printf(&out, "%s\"%.*s\"", buf_len(&out) ? " " : "",
		           BYTES_ARG(bytes_first(text, STRING_MAX)));
		text = bytes_skip(text, STRING_MAX);
	} while (text.len > 0);
	copy = arena_copy(arena, buf_bytes(&out));
	buf_done(&out);
	return copy;
}

static void add_txt(struct list *l, enum publish_place place, struct bytes name, struct bytes text,
                    const char *english, const char *japanese)
{
	add(l, place, name, DNS_TXT, strings(l->arena, text), english, japanese);
}

static void add_host(struct list *l)
{
	const struct publish_question *q = l->q;

	for (size_t i = 0; i < q->address_count; i++) {
		bool v4 = ip_is_v4(&q->addresses[i]);
		char text[IP_TEXT];

		ip_format(&q->addresses[i], text);
		add(l, PUBLISH_HOST, q->hostname, v4 ? DNS_A : DNS_AAAA,
		    arena_copy(l->arena, bytes_of_text(text)), "this host", "このホスト");
	}
	if (q->address_count == 0)
		add(l, PUBLISH_HOST, q->hostname, DNS_A, (struct bytes){0},
		    "the address of this host (--address names it)",
		    "このホストのアドレス (--address で指定できます)");
	for (size_t i = 0; i < q->address_count; i++)
		add(l, PUBLISH_REVERSE, dns_reverse(&q->addresses[i], (struct bytes){0}, l->arena),
		    DNS_PTR, arena_printf(l->arena, "%.*s.", BYTES_ARG(q->hostname)),
		    "set by whoever gave the address", "アドレスの提供元で設定します");
	if (!bytes_equal(q->hostname, q->domain))
		add_txt(l, PUBLISH_HOST, q->hostname, publish_want_host_spf(),
		        "bounces have no sender: there SPF looks at this name",
		        "エラーメールには差出人がないので、SPF はこの名前を見ます");
	for (size_t i = 0; i < q->spki_count; i++)
		add(l, PUBLISH_HOST, publish_name(l->arena, "_25._tcp", q->hostname), DNS_TLSA,
		    publish_want_tlsa(q->spki[i], l->arena),
		    "our certificate's key, for DANE (only seen in a zone with DNSSEC)",
		    "証明書の鍵 (DANE 用。DNSSEC で署名したゾーンでのみ有効)");
}

static void add_mail(struct list *l)
{
	const struct publish_question *q = l->q;

	add(l, PUBLISH_DOMAIN, q->domain, DNS_MX,
	    arena_printf(l->arena, "10 %.*s.", BYTES_ARG(q->hostname)), "mail comes here",
	    "メールの届け先");
	add_txt(l, PUBLISH_DOMAIN, q->domain, publish_want_spf(),
	        q->smarthost ? "who may send (add what your smarthost's provider names)"
	                     : "who may send",
	        q->smarthost ? "送信を許すホスト (中継先の指定する項目を加えてください)"
	                     : "送信を許すホスト");
	for (size_t i = 0; i < q->key_count; i++)
		add_txt(l, PUBLISH_DOMAIN,
		        arena_printf(l->arena, "%.*s._domainkey.%.*s",
		                     BYTES_ARG(q->keys[i].selector), BYTES_ARG(q->domain)),
		        q->keys[i].record, "DKIM key", "DKIM の鍵");
	add_txt(l, PUBLISH_DOMAIN, publish_name(l->arena, "_dmarc", q->domain),
	        publish_want_dmarc(q, l->arena),
	        "what others do with forgeries; p=quarantine or p=reject once the reports look "
	        "well",
	        "なりすましの扱い。報告に問題がなければ p=quarantine や p=reject に");
	add_txt(l, PUBLISH_DOMAIN, publish_name(l->arena, "_smtp._tls", q->domain),
	        publish_want_tlsrpt(q, l->arena), "where reports on TLS go", "TLS の報告先");
}

static void add_offers(struct list *l)
{
	const struct publish_question *q = l->q;
	struct publish_service services[PUBLISH_SERVICES];
	size_t count = publish_services(q, services);

	for (size_t i = 0; i < count; i++)
		add(l, PUBLISH_DOMAIN, publish_name(l->arena, services[i].labels, q->domain),
		    DNS_SRV, publish_want_srv(q, &services[i], l->arena),
		    "for programs that set themselves up", "メールソフトの自動設定用");
	add_txt(l, PUBLISH_OFFER, publish_name(l->arena, "_mta-sts", q->domain),
	        publish_want_sts(q, l->arena), "once a web server has the policy below",
	        "下のポリシーを Web サーバーに置いてから");
	add(l, PUBLISH_OFFER, publish_name(l->arena, "autoconfig", q->domain), DNS_CNAME,
	    arena_printf(l->arena, "%.*s.", BYTES_ARG(q->hostname)),
	    "once a web server answers there (Thunderbird)",
	    "Web サーバーが応答するようになってから (Thunderbird)");
}

void publish_records(const struct publish_question *q, struct arena *arena,
                     struct publish_records *ret)
{
	struct list l = {q, arena, ret};

	ret->count = 0;
	add_host(&l);
	add_mail(&l);
	add_offers(&l);
}

/* ---- as a zone file ---- */

static bool is_within(struct bytes name, struct bytes domain)
{
	return bytes_equal(name, domain) || (name.len > domain.len && bytes_ends(name, domain) &&
	                                     name.ptr[name.len - domain.len - 1] == '.');
}

/* Only what belongs into the domain's own zone and is complete is not a comment. */
static bool is_live(const struct publish_question *q, const struct publish_record *r)
{
	return r->text.len > 0 && (r->place == PUBLISH_DOMAIN ||
	                           (r->place == PUBLISH_HOST && is_within(q->hostname, q->domain)));
}

static void put_record(const struct publish_question *q, const struct publish_record *r,
                       bool japanese, struct buf *out)
{
	char type[DNS_TYPE_TEXT];

	dns_type_format(r->type, type);
	buf_printf(out, "; %s\n%s%.*s. %d IN %s %.*s\n", japanese ? r->japanese : r->english,
	           is_live(q, r) ? "" : "; ", BYTES_ARG(r->name), TTL, type, BYTES_ARG(r->text));
}

static void put_policy(const struct publish_question *q, bool japanese, struct buf *out)
{
	struct buf policy = {0};
	struct bytes rest, line;

	publish_sts_policy(q, &policy);
	buf_printf(out, "; https://mta-sts.%.*s/.well-known/mta-sts.txt%s\n", BYTES_ARG(q->domain),
	           japanese ? " の内容:" : " holds:");
	for (rest = buf_bytes(&policy); bytes_cut(&rest, '\n', &line) && line.len > 0;)
		buf_printf(out, ";   %.*s\n", BYTES_ARG(line));
	buf_done(&policy);
}

void publish_zone(const struct publish_question *q, bool japanese, struct buf *out)
{
	struct publish_records records;
	struct arena arena = {0};

	publish_records(q, &arena, &records);
	for (size_t i = 0; i < records.count; i++)
		put_record(q, &records.items[i], japanese, out);
	put_policy(q, japanese, out);
	arena_done(&arena);
}

/* ---- saying what differs ---- */

#define ERROR PUBLISH_ERROR
#define WARNING PUBLISH_WARNING
#define NOTE PUBLISH_NOTE
static const struct {
	const char *name;
	enum publish_level level;
	const char *texts[3][2]; /* enum publish_part, Japanese */
} problems[] = {
#define PROBLEM(NAME, name, level, what, what_ja, causes, causes_ja, remedy, remedy_ja) \
	{name, level, {{what, what_ja}, {causes, causes_ja}, {remedy, remedy_ja}}},
#include "verify/publish.def"
#undef PROBLEM
};

const char *publish_problem_name(enum publish_problem p)
{
	return problems[p].name;
}

enum publish_level publish_problem_level(enum publish_problem p)
{
	return problems[p].level;
}

static bool put_slot(struct bytes *rest, const struct publish_finding *f, struct buf *out)
{
	const struct {
		struct bytes slot, value;
	} slots[] = {
	        {BYTES("{name}"), f->name}, {BYTES("{have}"), f->have}, {BYTES("{want}"), f->want}};

	for (size_t i = 0; i < 3; i++)
		if (bytes_starts(*rest, slots[i].slot)) {
			buf_append(out, slots[i].value);
			*rest = bytes_skip(*rest, slots[i].slot.len);
			return true;
		}
	return false;
}

void publish_say(const struct publish_finding *f, enum publish_part part, bool japanese,
                 struct buf *out)
{
	struct bytes rest = bytes_of_text(problems[f->problem].texts[part][japanese]);

	while (rest.len > 0) {
		if (rest.ptr[0] == '{' && put_slot(&rest, f, out))
			continue;
		buf_append_char(out, rest.ptr[0]);
		rest = bytes_skip(rest, 1);
	}
}
