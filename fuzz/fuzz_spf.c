/* SPF, reverse DNS and DMARC in a DNS that a stranger made: whatever records say, the checks end, ask for a bounded number of names,
 * and give a verdict that can be printed. Input: blocks, each the data of the records that answer the next question. */
#include <stdlib.h>

#include "base/wire.h"
#include "dns/dns.h"
#include "verify/dkim.h"
#include "verify/dmarc.h"
#include "verify/iprev.h"
#include "verify/spf_record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ROUNDS = 300 };

static void need(bool so)
{
	if (!so)
		abort();
}

/* An answer: u8 status, u8 how many records, then each as a block; a TXT record is wrapped as one, so that text is reached at once. */
static void put_record(struct buf *records, uint16_t type, struct bytes raw)
{
	struct buf rdata = {0};

	for (; type == DNS_TXT && raw.len > 255; raw = bytes_skip(raw, 255)) {
		buf_u8(&rdata, 255);
		buf_append(&rdata, bytes_first(raw, 255));
	}
	if (type == DNS_TXT)
		buf_u8(&rdata, (uint8_t)raw.len);
	buf_append(&rdata, raw);
	buf_block(records, buf_bytes(&rdata));
	buf_done(&rdata);
}

static void answer_all(struct facts *f, struct wire *w, uint32_t *number)
{
	struct bytes name;
	uint16_t type;

	while (facts_missing(f, &name, &type)) {
		struct answer a = {.kind = ASK_RESOLVE, .number = ++*number, .result = OK};
		struct buf records = {0};
		unsigned count;

		need(name.len > 0 && name.len <= 255);
		a.resolve.status = wire_u8(w) % 8 ? 0 : wire_u8(w) % 5;
		count = wire_u8(w) % 4;
		for (unsigned i = 0; i < count && !wire_end(w); i++)
			put_record(&records, type, wire_take(w, wire_u8(w)));
		a.resolve.records = buf_bytes(&records);
		facts_asked(f, *number);
		need(facts_answer(f, &a));
		buf_done(&records);
	}
}

static void printable(struct bytes b)
{
	for (size_t i = 0; i < b.len; i++)
		need(b.ptr[i] >= ' ' && b.ptr[i] < 0x7f);
}

static void check(struct bytes in)
{
	static const struct ip ip = {{[10] = 0xff, [11] = 0xff, [12] = 192, [14] = 2, [15] = 1}};
	struct spf_input spf = {.ip = ip,
	                        .helo = BYTES("mx.helo.test"),
	                        .sender = BYTES("a.b@mail.example.test"),
	                        .hostname = BYTES("us.test"),
	                        .now = 1700000000000};
	struct dkim_verdict signature = {.result = DKIM_PASS, .domain = BYTES("x.y.example.test")};
	struct facts *f = facts_new();
	struct arena arena = {0};
	struct wire w = wire_of(in);
	struct spf_verdict v = {0};
	struct iprev_verdict reverse;
	struct dmarc_verdict policy = {0};
	struct dmarc_input author = {
	        .from_domain = BYTES("a.example.test"), .dkim = &signature, .dkim_count = 1};
	uint32_t number = 0;
	int rounds = 0;

	while (!spf_check(&spf, f, &arena, &v)) {
		answer_all(f, &w, &number);
		need(rounds++ < ROUNDS);
	}
	need(v.result < SPF_RESULTS);
	printable(v.explanation);
	while (!iprev_check(&ip, f, &arena, &reverse)) {
		answer_all(f, &w, &number);
		need(rounds++ < ROUNDS);
	}
	author.spf = v.result;
	author.spf_domain = v.domain;
	while (!dmarc_check(&author, f, &arena, &policy)) {
		answer_all(f, &w, &number);
		need(rounds++ < ROUNDS);
	}
	need(policy.result < DMARC_RESULTS && policy.policy <= DMARC_POLICY_REJECT);
	need(policy.result != DMARC_PASS || policy.aligned_spf || policy.aligned_dkim);
	need(number <= FACTS_MAX);
	facts_free(&f);
	arena_done(&arena);
}

/* Whatever a record's parser lets through, the macros in it can be expanded. */
static void texts(struct bytes in)
{
	struct spf_macro_values values = {
	        .sender = BYTES("a@b.test"), .domain = BYTES("b.test"), .helo = BYTES("h.test")};
	struct arena arena = {0};
	struct spf_record r;
	struct dmarc_record d;
	struct dmarc_row row;
	struct bytes bad, out;

	if (spf_record_is(in) && spf_record_parse(in, &arena, &r, &bad) == OK)
		for (size_t i = 0; i < r.count; i++)
			need(spf_macro_expand(&values, r.terms[i].spec, false, &arena, &out) == OK);
	if (dmarc_record_parse(in, &d) == OK)
		need(d.p <= DMARC_POLICY_REJECT && d.sp <= DMARC_POLICY_REJECT);
	if (dmarc_row_parse(in, &row) == OK)
		need(row.dkim_count <= DMARC_ROW_DKIMS && row.policy_domain.len > 0);
	arena_done(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	check(bytes_of(data, size));
	texts(bytes_of(data, size));
	return 0;
}
