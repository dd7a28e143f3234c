/* DMARC aggregate reports as strangers send them: XML, gzip, zip, or a mail. Total and bounded; what is read can be printed, packed and
 * unpacked, and what we write of it is read back the same. */
#include <stdlib.h>

#include "base/text.h"
#include "verify/dmarc_report.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void need(bool so)
{
	if (!so)
		abort();
}

static void printable(struct bytes b)
{
	need(b.len <= DMARC_REPORT_TEXT && text_is_utf8(b));
	for (size_t i = 0; i < b.len; i++)
		need((unsigned char)b.ptr[i] >= ' ' && b.ptr[i] != 0x7f);
}

static void same(const struct dmarc_report *a, const struct dmarc_report *b)
{
	need(bytes_equal(a->domain, b->domain) && a->begin == b->begin &&
	     a->row_count == b->row_count);
	for (size_t i = 0; i < a->row_count; i++)
		need(ip_equal(&a->rows[i].ip, &b->rows[i].ip) &&
		     a->rows[i].count == b->rows[i].count && a->rows[i].dkim == b->rows[i].dkim &&
		     a->rows[i].spf == b->rows[i].spf &&
		     bytes_equal(a->rows[i].header_from, b->rows[i].header_from));
}

static void again(const struct dmarc_report *r, struct arena *arena)
{
	struct buf packed = {0}, xml = {0};
	struct dmarc_report back;
	struct why why;

	dmarc_report_pack(r, SIZE_MAX, &packed);
	need(dmarc_report_unpack(buf_bytes(&packed), arena, &back) == OK);
	same(r, &back);
	dmarc_report_write(r, &xml);
	need(buf_len(&xml) > DMARC_REPORT_XML ||
	     dmarc_report_parse(buf_bytes(&xml), arena, &back, &why) == OK);
	if (buf_len(&xml) <= DMARC_REPORT_XML)
		same(r, &back);
	buf_done(&packed);
	buf_done(&xml);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes in = bytes_of(data, size);
	struct arena arena = {0};
	struct dmarc_report r;
	struct why why;

	if (dmarc_report_find(in, &arena, &r, &why) == OK) {
		need(r.row_count <= DMARC_REPORT_ROWS && r.domain.len > 0);
		printable(r.organization);
		printable(r.domain);
		for (size_t i = 0; i < r.row_count; i++)
			printable(r.rows[i].header_from);
		again(&r, &arena);
	}
	(void)(dmarc_report_unpack(in, &arena, &r) == OK);
	arena_done(&arena);
	return 0;
}
