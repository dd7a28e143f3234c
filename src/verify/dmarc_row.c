/* What an aggregate report says of one mail (RFC 9990), packed for JUDGED and for the store. */
#include "base/wire.h"
#include "verify/dkim.h"
#include "verify/dmarc.h"

enum { VERSION = 1, NAME_MAX_LEN = 255, RECORD_MAX = 1024, WORD_MAX = 64 };
enum { PASSED = 1, ALIGNED_SPF = 2, ALIGNED_DKIM = 4, TESTING = 8, BY_HELO = 16 };

static void put_name(struct buf *out, struct bytes name)
{
	buf_block(out, bytes_first(name, NAME_MAX_LEN));
}

static void put_dkims(const struct dmarc_input *in, struct buf *out)
{
	size_t n = in->dkim_count < DMARC_ROW_DKIMS ? in->dkim_count : DMARC_ROW_DKIMS;

	buf_u8(out, (uint8_t)n);
	for (size_t i = 0; i < n; i++) {
		put_name(out, in->dkim[i].domain);
		buf_block(out, bytes_first(in->dkim[i].selector, WORD_MAX));
		buf_block(out, bytes_of_text(dkim_result_name(in->dkim[i].result)));
	}
}

void dmarc_row_pack(const struct dmarc_input *in, const struct spf_verdict *spf,
                    const struct dmarc_verdict *v, struct buf *out)
{
	unsigned flags = (v->result == DMARC_PASS ? PASSED : 0) |
	                 (v->aligned_spf ? ALIGNED_SPF : 0) | (v->aligned_dkim ? ALIGNED_DKIM : 0) |
	                 (v->testing ? TESTING : 0) | (spf->by_helo ? BY_HELO : 0);

	if (v->rua.len == 0 || v->record.len > RECORD_MAX ||
	    (v->result != DMARC_PASS && v->result != DMARC_FAIL))
		return;
	buf_u8(out, VERSION);
	put_name(out, v->policy_domain);
	buf_block(out, v->record);
	put_name(out, in->from_domain);
	put_name(out, spf->by_helo ? (struct bytes){0} : spf->domain);
	buf_u8(out, (uint8_t)v->policy);
	buf_u8(out, (uint8_t)flags);
	buf_u8(out, (uint8_t)spf->result);
	put_name(out, spf->domain);
	put_dkims(in, out);
}

enum result dmarc_row_parse(struct bytes packed, struct dmarc_row *ret)
{
	struct wire w = wire_of(packed);
	struct dmarc_row r = {0};
	uint8_t version = wire_u8(&w), policy, flags, spf, dkims;

	r.policy_domain = wire_block(&w);
	r.record = wire_block(&w);
	r.from = wire_block(&w);
	r.sender_domain = wire_block(&w);
	policy = wire_u8(&w);
	flags = wire_u8(&w);
	spf = wire_u8(&w);
	r.spf_domain = wire_block(&w);
	dkims = wire_u8(&w);
	for (size_t i = 0; i < dkims && i < DMARC_ROW_DKIMS; i++) {
		struct dmarc_row_dkim *d = &r.dkim[r.dkim_count++];

		d->domain = wire_block(&w);
		d->selector = wire_block(&w);
		d->result = wire_block(&w);
	}
	if (w.bad || w.rest.len > 0 || packed.len > DMARC_ROW_MAX || version != VERSION ||
	    policy > DMARC_POLICY_REJECT || spf >= SPF_RESULTS || dkims > DMARC_ROW_DKIMS ||
	    r.policy_domain.len == 0 || r.policy_domain.len > NAME_MAX_LEN)
		return INVALID;
	r.policy = (enum dmarc_policy)policy;
	r.spf = (enum spf_result)spf;
	r.passed = flags & PASSED;
	r.aligned_spf = flags & ALIGNED_SPF;
	r.aligned_dkim = flags & ALIGNED_DKIM;
	r.testing = flags & TESTING;
	r.spf_by_helo = flags & BY_HELO;
	*ret = r;
	return OK;
}
