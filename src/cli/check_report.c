/* hikyaku check report: the DMARC aggregate report on stdin (XML, gzip, zip, or a mail with one in it). First a line about it: DOMAIN,
 * BEGIN, END (seconds), ORGANISATION, ID; then one a row: ADDRESS, COUNT, DISPOSITION, "dkim" or "-", "spf" or "-" (what was aligned),
 * FROM. Tabs between. */
#include "cli/check.h"
#include "verify/dmarc_report.h"

static void put_row(const struct dmarc_report_row *x, struct buf *out)
{
	char ip[IP_TEXT];

	ip_format(&x->ip, ip);
	buf_printf(out, "%s\t%llu\t%s\t%s\t%s\t%.*s\n", ip, (unsigned long long)x->count,
	           dmarc_policy_name(x->disposition), x->dkim ? "dkim" : "-", x->spf ? "spf" : "-",
	           BYTES_ARG(x->header_from));
}

enum result check_report(const struct check *c, struct buf *out, struct why *why)
{
	struct arena arena = {0};
	struct dmarc_report report;
	enum result r = dmarc_report_find(c->in, &arena, &report, why);

	if (r == OK) {
		buf_printf(out, "%.*s\t%lld\t%lld\t%.*s\t%.*s\n", BYTES_ARG(report.domain),
		           (long long)report.begin, (long long)report.end,
		           BYTES_ARG(report.organization), BYTES_ARG(report.id));
		for (size_t i = 0; i < report.row_count; i++)
			put_row(&report.rows[i], out);
	}
	arena_done(&arena);
	return r;
}
