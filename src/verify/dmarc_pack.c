/* A report that was received, packed for the store: what `hikyaku dmarc` shows of it. */
#include "base/wire.h"
#include "verify/dmarc_report.h"

enum { VERSION = 1, DKIM = 1, SPF = 2, ROW_ROOM = 5 * (DMARC_REPORT_TEXT + 4) + 64 };

static void pack_row(const struct dmarc_report_row *x, struct buf *out)
{
	const struct dmarc_report_dkim *d = x->dkim_count ? &x->dkims[0] : NULL;

	buf_append(out, bytes_of(x->ip.octets, sizeof(x->ip.octets)));
	buf_u64(out, x->count);
	buf_u8(out, (uint8_t)x->disposition);
	buf_u8(out, (uint8_t)((x->dkim ? DKIM : 0) | (x->spf ? SPF : 0)));
	buf_block(out, x->header_from);
	buf_block(out, x->reason);
	buf_block(out, d ? d->domain : (struct bytes){0});
	buf_block(out, x->spf_domain);
	buf_block(out, x->envelope_from);
}

void dmarc_report_pack(const struct dmarc_report *r, size_t max, struct buf *out)
{
	buf_u8(out, VERSION);
	buf_block(out, r->domain);
	buf_block(out, r->organization);
	buf_block(out, r->id);
	buf_u64(out, (uint64_t)r->begin);
	buf_u64(out, (uint64_t)r->end);
	buf_u8(out, (uint8_t)r->p);
	for (size_t i = 0; i < r->row_count && buf_len(out) + ROW_ROOM < max; i++)
		pack_row(&r->rows[i], out);
}

static void take_row(struct wire *w, struct dmarc_report_row *x)
{
	struct bytes ip = wire_take(w, sizeof(x->ip.octets));
	uint8_t flags;

	if (!w->bad)
		memcpy(x->ip.octets, ip.ptr, sizeof(x->ip.octets));
	x->count = wire_u64(w);
	x->disposition = (enum dmarc_policy)(wire_u8(w) % 3);
	flags = wire_u8(w);
	x->dkim = flags & DKIM;
	x->spf = flags & SPF;
	x->header_from = wire_block(w);
	x->reason = wire_block(w);
	x->dkims[0].domain = wire_block(w);
	x->dkim_count = x->dkims[0].domain.len > 0;
	x->spf_domain = wire_block(w);
	x->envelope_from = wire_block(w);
}

enum result dmarc_report_unpack(struct bytes packed, struct arena *arena, struct dmarc_report *ret)
{
	enum { LEAST = 16 + 8 + 2 + 5 * 4 };
	struct wire w = wire_of(packed);
	struct dmarc_report r = {0};
	uint8_t version = wire_u8(&w), p;

	r.domain = wire_block(&w);
	r.organization = wire_block(&w);
	r.id = wire_block(&w);
	r.begin = (int64_t)wire_u64(&w);
	r.end = (int64_t)wire_u64(&w);
	p = wire_u8(&w);
	if (w.bad || version != VERSION || p > DMARC_POLICY_REJECT || r.domain.len == 0)
		return INVALID;
	r.p = (enum dmarc_policy)p;
	r.rows = arena_get(arena, (w.rest.len / LEAST + 1) * sizeof(*r.rows));
	while (!wire_end(&w))
		take_row(&w, &r.rows[r.row_count++]);
	if (w.bad)
		return INVALID;
	*ret = r;
	return OK;
}
